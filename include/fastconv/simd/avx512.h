/* The vocabulary in AVX-512F: 64-byte vectors, 32 of them, masks in mask registers. */
#if FC_IS_F32
typedef __m512 v_t;
typedef __mmask16 m_t;
#define FC_AVX512(op) _mm512_##op##_ps
#else
typedef __m512d v_t;
typedef __mmask8 m_t;
#define FC_AVX512(op) _mm512_##op##_pd
#endif
#define V_LANES ((int)(64 / sizeof(real)))
#define V_REGISTERS 32

FC_INLINE v_t v_zero(void) { return FC_AVX512(setzero)(); }
FC_INLINE v_t v_set1(real x) { return FC_AVX512(set1)(x); }
FC_INLINE v_t v_load(const real *p) { return FC_AVX512(loadu)(p); }
FC_INLINE v_t v_load_once(const real *p) {
    v_t v = v_load(p);
    __asm__("" : "+v"(v));
    return v;
}
FC_INLINE void v_store(real *p, v_t v) { FC_AVX512(storeu)(p, v); }
FC_INLINE m_t v_mask(uint32_t bits) { return (m_t)bits; }
FC_INLINE v_t v_load_m(const real *p, m_t m) { return FC_AVX512(maskz_loadu)(m, p); }
FC_INLINE v_t v_load_or(const real *p, m_t m, v_t v) { return FC_AVX512(mask_loadu)(v, m, p); }
FC_INLINE void v_store_first(real *p, fc_index n, v_t v) {
    FC_AVX512(mask_storeu)(p, v_mask(((uint32_t)1 << n) - 1), v);
}
FC_INLINE v_t v_add(v_t a, v_t b) { return FC_AVX512(add)(a, b); }
FC_INLINE v_t v_sub(v_t a, v_t b) { return FC_AVX512(sub)(a, b); }
FC_INLINE v_t v_fma(v_t a, v_t b, v_t c) { return FC_AVX512(fmadd)(a, b, c); }
FC_INLINE v_t v_fnma(v_t a, v_t b, v_t c) { return FC_AVX512(fnmadd)(a, b, c); }
FC_INLINE v_t v_fma_at(const real *p, v_t b, v_t c) {
    /* Left to themselves, compilers load and broadcast a factor once and keep it. */
#if FC_IS_F32
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(c) : "v"(b), "m"(*p));
#else
    __asm__("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(c) : "v"(b), "m"(*p));
#endif
    return c;
}
FC_INLINE v_t v_mul(v_t a, v_t b) { return FC_AVX512(mul)(a, b); }
FC_INLINE v_t v_div(v_t a, v_t b) { return FC_AVX512(div)(a, b); }
FC_INLINE v_t v_max(v_t a, v_t b) { /* the instruction gives b where one of the two is NaN: there, a stays */
#if FC_IS_F32
    return _mm512_mask_max_ps(a, _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), a, b);
#else
    return _mm512_mask_max_pd(a, _mm512_cmp_pd_mask(a, a, _CMP_ORD_Q), a, b);
#endif
}
FC_INLINE v_t v_scale(v_t v, v_t n) { return FC_AVX512(scalef)(v, n); }
FC_INLINE v_t v_swap(v_t v, const int n) {
#if FC_IS_F32
    if (n == 8) return _mm512_shuffle_f32x4(v, v, _MM_SHUFFLE(1, 0, 3, 2));
    if (n == 4) return _mm512_shuffle_f32x4(v, v, _MM_SHUFFLE(2, 3, 0, 1));
    return n == 2 ? _mm512_permute_ps(v, _MM_SHUFFLE(1, 0, 3, 2)) : _mm512_permute_ps(v, _MM_SHUFFLE(2, 3, 0, 1));
#else
    if (n == 4) return _mm512_shuffle_f64x2(v, v, _MM_SHUFFLE(1, 0, 3, 2));
    return n == 2 ? _mm512_shuffle_f64x2(v, v, _MM_SHUFFLE(2, 3, 0, 1)) : _mm512_permute_pd(v, 0x55);
#endif
}
FC_INLINE v_t v_repeat(const real *p) {
#if FC_IS_F32
    return _mm512_broadcast_f32x4(_mm_loadu_ps(p));
#else
    return _mm512_broadcast_f64x2(_mm_loadu_pd(p));
#endif
}
FC_INLINE v_t v_every(const real *p, fc_index step) {
#if FC_IS_F32
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_i32gather_ps(_mm512_mullo_epi32(lane, _mm512_set1_epi32((int)step)), p, 4);
#else
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm512_i32gather_pd(_mm256_mullo_epi32(lane, _mm256_set1_epi32((int)step)), p, 8);
#endif
}
FC_INLINE v_t v_zip_low(v_t a, v_t b) {
#if FC_IS_F32
    const __m512i from = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#else
    const __m512i from = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
#endif
    return FC_AVX512(permutex2var)(a, from, b);
}
FC_INLINE v_t v_zip_high(v_t a, v_t b) {
#if FC_IS_F32
    const __m512i from = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#else
    const __m512i from = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
#endif
    return FC_AVX512(permutex2var)(a, from, b);
}
FC_INLINE v_t v_even_mixed(v_t a, v_t b) { /* lanes of b count from V_LANES, and b begins one element early */
#if FC_IS_F32
    const __m512i from = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
#else
    const __m512i from = _mm512_setr_epi64(0, 2, 4, 6, 9, 11, 13, 15);
#endif
    return FC_AVX512(permutex2var)(a, from, b);
}
FC_INLINE v_t v_pair_mixed(v_t a, v_t b, const int odd) {
#if FC_IS_F32
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i from = _mm512_add_epi32(even, _mm512_set1_epi32(odd));
#else
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const __m512i from = _mm512_add_epi64(even, _mm512_set1_epi64(odd));
#endif
    return FC_AVX512(permutex2var)(a, from, b);
}
FC_INLINE v_t v_unmix(v_t v) { return v; }
FC_INLINE void v_transpose(v_t *x) {
    v_t y[V_LANES];
#if FC_IS_F32 /* squares of 4 within quarters, then a square of quarters for every four rows */
    FC_UNROLL
    for (int i = 0; i < 16; i += 4) {
        const v_t a = _mm512_unpacklo_ps(x[i], x[i + 1]), b = _mm512_unpackhi_ps(x[i], x[i + 1]);
        const v_t c = _mm512_unpacklo_ps(x[i + 2], x[i + 3]), d = _mm512_unpackhi_ps(x[i + 2], x[i + 3]);
        y[i] = _mm512_shuffle_ps(a, c, _MM_SHUFFLE(1, 0, 1, 0));
        y[i + 1] = _mm512_shuffle_ps(a, c, _MM_SHUFFLE(3, 2, 3, 2));
        y[i + 2] = _mm512_shuffle_ps(b, d, _MM_SHUFFLE(1, 0, 1, 0));
        y[i + 3] = _mm512_shuffle_ps(b, d, _MM_SHUFFLE(3, 2, 3, 2));
    }
    FC_UNROLL
    for (int i = 0; i < 4; i++) {
        const v_t a = _mm512_shuffle_f32x4(y[i], y[i + 4], 0x44), b = _mm512_shuffle_f32x4(y[i], y[i + 4], 0xee);
        const v_t c = _mm512_shuffle_f32x4(y[i + 8], y[i + 12], 0x44);
        const v_t d = _mm512_shuffle_f32x4(y[i + 8], y[i + 12], 0xee);
        x[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        x[i + 4] = _mm512_shuffle_f32x4(a, c, 0xdd);
        x[i + 8] = _mm512_shuffle_f32x4(b, d, 0x88);
        x[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
#else
    FC_UNROLL
    for (int i = 0; i < 8; i += 2) {
        y[i] = _mm512_unpacklo_pd(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_pd(x[i], x[i + 1]);
    }
    FC_UNROLL
    for (int i = 0; i < 2; i++) {
        const v_t a = _mm512_shuffle_f64x2(y[i], y[i + 2], 0x44), b = _mm512_shuffle_f64x2(y[i], y[i + 2], 0xee);
        const v_t c = _mm512_shuffle_f64x2(y[i + 4], y[i + 6], 0x44);
        const v_t d = _mm512_shuffle_f64x2(y[i + 4], y[i + 6], 0xee);
        x[i] = _mm512_shuffle_f64x2(a, c, 0x88);
        x[i + 2] = _mm512_shuffle_f64x2(a, c, 0xdd);
        x[i + 4] = _mm512_shuffle_f64x2(b, d, 0x88);
        x[i + 6] = _mm512_shuffle_f64x2(b, d, 0xdd);
    }
#endif
}
#undef FC_AVX512
