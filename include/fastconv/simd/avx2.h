/* The vocabulary in AVX2 and FMA: 32-byte vectors, masks in vector registers. */
#if FC_IS_F32
typedef __m256 v_t;
#define FC_AVX(op) _mm256_##op##_ps
#else
typedef __m256d v_t;
#define FC_AVX(op) _mm256_##op##_pd
#endif
typedef __m256i m_t;
#define V_LANES ((int)(32 / sizeof(real)))
#define V_REGISTERS 16

FC_INLINE v_t v_zero(void) { return FC_AVX(setzero)(); }
FC_INLINE v_t v_set1(real x) { return FC_AVX(set1)(x); }
FC_INLINE v_t v_load(const real *p) { return FC_AVX(loadu)(p); }
FC_INLINE v_t v_load_once(const real *p) {
    v_t v = v_load(p);
    __asm__("" : "+x"(v));
    return v;
}
FC_INLINE void v_store(real *p, v_t v) { FC_AVX(storeu)(p, v); }
FC_INLINE m_t v_mask(uint32_t bits) {
#if FC_IS_F32
    const m_t lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), lane), lane);
#else
    const m_t lane = _mm256_setr_epi64x(1, 2, 4, 8);
    return _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x((long long)bits), lane), lane);
#endif
}
FC_INLINE v_t v_load_m(const real *p, m_t m) { return FC_AVX(maskload)(p, m); }
FC_INLINE v_t v_load_or(const real *p, m_t m, v_t v) {
#if FC_IS_F32
    return _mm256_blendv_ps(v, v_load_m(p, m), _mm256_castsi256_ps(m));
#else
    return _mm256_blendv_pd(v, v_load_m(p, m), _mm256_castsi256_pd(m));
#endif
}
/* Not by the masked store: on a Zen 3 weights packed with it take up to a third longer. */
FC_INLINE void v_store_first(real *p, fc_index n, v_t v) {
    if (n == V_LANES) {
        v_store(p, v);
        return;
    }
#if FC_IS_F32
    __m128 half = _mm256_castps256_ps128(v);
    if (n & 4) {
        _mm_storeu_ps(p, half);
        half = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, half);
        half = _mm_movehl_ps(half, half);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, half);
#else
    __m128d half = _mm256_castpd256_pd128(v);
    if (n & 2) {
        _mm_storeu_pd(p, half);
        half = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if (n & 1) _mm_store_sd(p, half);
#endif
}
FC_INLINE v_t v_add(v_t a, v_t b) { return FC_AVX(add)(a, b); }
FC_INLINE v_t v_sub(v_t a, v_t b) { return FC_AVX(sub)(a, b); }
FC_INLINE v_t v_fma(v_t a, v_t b, v_t c) { return FC_AVX(fmadd)(a, b, c); }
FC_INLINE v_t v_fnma(v_t a, v_t b, v_t c) { return FC_AVX(fnmadd)(a, b, c); }
FC_INLINE v_t v_fma_at(const real *p, v_t b, v_t c) { return v_fma(v_set1(*p), b, c); }
FC_INLINE v_t v_mul(v_t a, v_t b) { return FC_AVX(mul)(a, b); }
FC_INLINE v_t v_div(v_t a, v_t b) { return FC_AVX(div)(a, b); }
FC_INLINE v_t v_max(v_t a, v_t b) { /* the instruction gives b where one of the two is NaN */
    return FC_AVX(blendv)(FC_AVX(max)(a, b), a, FC_AVX(cmp)(a, a, _CMP_UNORD_Q));
}
FC_INLINE v_t v_scale(v_t v, v_t n) { /* the low bits of n + 1.5*2^23 (2^52) + bias are the exponent of 2^n */
#if FC_IS_F32
    const __m256i bits = _mm256_castps_si256(_mm256_add_ps(n, _mm256_set1_ps(12582912.0f + 127)));
    return _mm256_mul_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23)));
#else
    const __m256i bits = _mm256_castpd_si256(_mm256_add_pd(n, _mm256_set1_pd(6755399441055744.0 + 1023)));
    return _mm256_mul_pd(v, _mm256_castsi256_pd(_mm256_slli_epi64(bits, 52)));
#endif
}
FC_INLINE v_t v_swap(v_t v, const int n) {
    if (n == V_LANES / 2) return FC_AVX(permute2f128)(v, v, 1);
#if FC_IS_F32
    return n == 2 ? _mm256_permute_ps(v, _MM_SHUFFLE(1, 0, 3, 2)) : _mm256_permute_ps(v, _MM_SHUFFLE(2, 3, 0, 1));
#else
    return _mm256_permute_pd(v, 5);
#endif
}
FC_INLINE v_t v_repeat(const real *p) {
#if FC_IS_F32
    return _mm256_broadcast_ps((const __m128 *)p);
#else
    return _mm256_broadcast_pd((const __m128d *)p);
#endif
}
FC_INLINE v_t v_every(const real *p, fc_index step) {
#if FC_IS_F32
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_i32gather_ps(p, _mm256_mullo_epi32(lane, _mm256_set1_epi32((int)step)), 4);
#else
    const __m128i lane = _mm_setr_epi32(0, 1, 2, 3);
    return _mm256_i32gather_pd(p, _mm_mullo_epi32(lane, _mm_set1_epi32((int)step)), 8);
#endif
}
FC_INLINE v_t v_zip_low(v_t a, v_t b) { /* unpack works in halves of 16 bytes */
    return FC_AVX(permute2f128)(FC_AVX(unpacklo)(a, b), FC_AVX(unpackhi)(a, b), 0x20);
}
FC_INLINE v_t v_zip_high(v_t a, v_t b) {
    return FC_AVX(permute2f128)(FC_AVX(unpacklo)(a, b), FC_AVX(unpackhi)(a, b), 0x31);
}
FC_INLINE v_t v_even_mixed(v_t a, v_t b) {
#if FC_IS_F32 /* a0 a2 b1 b3 | a4 a6 b5 b7 */
    return _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 2, 0));
#else /* a0 b1 | a2 b3 */
    return _mm256_shuffle_pd(a, b, 10);
#endif
}
FC_INLINE v_t v_pair_mixed(v_t a, v_t b, const int odd) { /* a0 a2 b0 b2 | a4 a6 b4 b6, or a1 a3 ... */
    return odd ? FC_AVX(shuffle)(a, b, FC_IS_F32 ? _MM_SHUFFLE(3, 1, 3, 1) : 15)
               : FC_AVX(shuffle)(a, b, FC_IS_F32 ? _MM_SHUFFLE(2, 0, 2, 0) : 0);
}
FC_INLINE v_t v_unmix(v_t v) { /* the middle halves of halves change places */
#if FC_IS_F32
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), _MM_SHUFFLE(3, 1, 2, 0)));
#else
    return _mm256_permute4x64_pd(v, _MM_SHUFFLE(3, 1, 2, 0));
#endif
}
FC_INLINE void v_transpose(v_t *x) {
    v_t y[V_LANES];
#if FC_IS_F32 /* within halves: pairs of rows, then pairs of pairs; halves last */
    FC_UNROLL
    for (int i = 0; i < 8; i += 4) {
        const v_t a = _mm256_unpacklo_ps(x[i], x[i + 1]), b = _mm256_unpackhi_ps(x[i], x[i + 1]);
        const v_t c = _mm256_unpacklo_ps(x[i + 2], x[i + 3]), d = _mm256_unpackhi_ps(x[i + 2], x[i + 3]);
        y[i] = _mm256_shuffle_ps(a, c, _MM_SHUFFLE(1, 0, 1, 0));
        y[i + 1] = _mm256_shuffle_ps(a, c, _MM_SHUFFLE(3, 2, 3, 2));
        y[i + 2] = _mm256_shuffle_ps(b, d, _MM_SHUFFLE(1, 0, 1, 0));
        y[i + 3] = _mm256_shuffle_ps(b, d, _MM_SHUFFLE(3, 2, 3, 2));
    }
#else
    FC_UNROLL
    for (int i = 0; i < 4; i += 2) {
        y[i] = _mm256_unpacklo_pd(x[i], x[i + 1]);
        y[i + 1] = _mm256_unpackhi_pd(x[i], x[i + 1]);
    }
#endif
    FC_UNROLL
    for (int i = 0; i < V_LANES / 2; i++) {
        x[i] = FC_AVX(permute2f128)(y[i], y[i + V_LANES / 2], 0x20);
        x[i + V_LANES / 2] = FC_AVX(permute2f128)(y[i], y[i + V_LANES / 2], 0x31);
    }
}
#undef FC_AVX
