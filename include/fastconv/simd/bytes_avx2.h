/* The byte vocabulary in AVX2: 32 bytes as two halves of 16, which never mix.
 *
 *   b_load(p)  b_store(p, v)                    32 bytes, any alignment
 *   b_halves(low, high)                         16 bytes from each address
 *   b_store_halves(low, high, v)                ... and back
 *   b_both(p)                                   the same 16 bytes in both halves
 *   b_pick(v, m)                                byte i of a half is v[m[i]] of that half, 0 where m[i] >= 128
 *   b_or(a, b)  b_zero()
 */
#define FC_BYTE_WORDS 1
typedef __m256i b_t;

FC_INLINE b_t b_zero(void) { return _mm256_setzero_si256(); }
FC_INLINE b_t b_load(const unsigned char *p) { return _mm256_loadu_si256((const __m256i *)p); }
FC_INLINE void b_store(unsigned char *p, b_t v) { _mm256_storeu_si256((__m256i *)p, v); }
FC_INLINE b_t b_halves(const unsigned char *low, const unsigned char *high) {
    const __m128i half = _mm_loadu_si128((const __m128i *)low);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(half), _mm_loadu_si128((const __m128i *)high), 1);
}
FC_INLINE void b_store_halves(unsigned char *low, unsigned char *high, b_t v) {
    _mm_storeu_si128((__m128i *)low, _mm256_castsi256_si128(v));
    _mm_storeu_si128((__m128i *)high, _mm256_extracti128_si256(v, 1));
}
FC_INLINE b_t b_both(const unsigned char *p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
}
FC_INLINE b_t b_pick(b_t v, b_t m) { return _mm256_shuffle_epi8(v, m); }
FC_INLINE b_t b_or(b_t a, b_t b) { return _mm256_or_si256(a, b); }
