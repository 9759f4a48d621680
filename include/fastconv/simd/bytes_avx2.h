/* The byte vocabulary in AVX2: 32 bytes as two units of 16, which never mix. */
#define FC_BYTE_WORDS 1
#define B_BYTES 32
#define B_UNIT 16
#define FC_WORDS 1
#define W_UNIT 32
typedef __m256i b_t;

FC_INLINE b_t b_load(const unsigned char *p) { return _mm256_loadu_si256((const __m256i *)p); }
FC_INLINE void b_store(unsigned char *p, b_t v) { _mm256_storeu_si256((__m256i *)p, v); }
FC_INLINE void b_stream(unsigned char *p, b_t v) { _mm256_stream_si256((__m256i *)p, v); }
FC_INLINE b_t b_load_block(const unsigned char *p, fc_index block, fc_index blocks) {
    const __m128i low = _mm_loadu_si128((const __m128i *)p + block);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_loadu_si128((const __m128i *)p + blocks + block),
                                   1);
}
FC_INLINE void b_store_block(unsigned char *p, fc_index block, fc_index blocks, b_t v) {
    _mm_storeu_si128((__m128i *)p + block, _mm256_castsi256_si128(v));
    _mm_storeu_si128((__m128i *)p + blocks + block, _mm256_extracti128_si256(v, 1));
}
FC_INLINE b_t b_mask(const unsigned char *table, fc_index i) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table + i));
}
FC_INLINE b_t b_pick(b_t v, b_t m) { return _mm256_shuffle_epi8(v, m); }
FC_INLINE b_t b_put(b_t out, b_t v, b_t m) { return _mm256_or_si256(out, _mm256_shuffle_epi8(v, m)); }

typedef __m128i u_t;
FC_INLINE u_t u_load(const unsigned char *p) { return _mm_loadu_si128((const __m128i *)p); }
FC_INLINE void u_store(unsigned char *p, u_t v) { _mm_storeu_si128((__m128i *)p, v); }
FC_INLINE u_t u_pick(u_t v, u_t m) { return _mm_shuffle_epi8(v, m); }
FC_INLINE u_t u_put(u_t out, u_t v, u_t m) { return _mm_or_si128(out, _mm_shuffle_epi8(v, m)); }

/* Words of 4 bytes, which cross the halves: masks have the number of a word, and the sign where it is taken. */
typedef __m256i w_t;
FC_INLINE w_t w_load(const unsigned char *p) { return b_load(p); }
FC_INLINE void w_store(unsigned char *p, w_t v) { b_store(p, v); }
FC_INLINE w_t w_pick(w_t v, w_t m) { return _mm256_permutevar8x32_epi32(v, m); }
FC_INLINE w_t w_put(w_t out, w_t v, w_t m) {
    const __m256 kept = _mm256_castsi256_ps(out), taken = _mm256_castsi256_ps(w_pick(v, m));
    return _mm256_castps_si256(_mm256_blendv_ps(kept, taken, _mm256_castsi256_ps(m)));
}
