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
FC_INLINE void v_store(real *p, v_t v) { FC_AVX512(storeu)(p, v); }
FC_INLINE m_t v_mask(uint32_t bits) { return (m_t)bits; }
FC_INLINE v_t v_load_m(const real *p, m_t m) { return FC_AVX512(maskz_loadu)(m, p); }
FC_INLINE void v_store_m(real *p, m_t m, v_t v) { FC_AVX512(mask_storeu)(p, m, v); }
FC_INLINE v_t v_add(v_t a, v_t b) { return FC_AVX512(add)(a, b); }
FC_INLINE v_t v_fma(v_t a, v_t b, v_t c) { return FC_AVX512(fmadd)(a, b, c); }
FC_INLINE v_t v_fma_at(const real *p, v_t b, v_t c) {
    /* Left to themselves, compilers load and broadcast a factor once and keep it. */
#if FC_IS_F32
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(c) : "v"(b), "m"(*p));
#else
    __asm__("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(c) : "v"(b), "m"(*p));
#endif
    return c;
}
FC_INLINE v_t v_even(v_t a, v_t b) { /* lanes of b count from V_LANES, and b begins one element early */
#if FC_IS_F32
    const __m512i from = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
#else
    const __m512i from = _mm512_setr_epi64(0, 2, 4, 6, 9, 11, 13, 15);
#endif
    return FC_AVX512(permutex2var)(a, from, b);
}
#undef FC_AVX512
