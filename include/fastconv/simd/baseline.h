/* The vocabulary in portable C: 16-byte vectors of the compiler's own (SSE2 on x86-64, NEON on aarch64, or plain code).
 * Multiply and add are rounded separately. */
#if !defined(V_BYTES)
#define V_BYTES 16
#endif
typedef real v_t __attribute__((vector_size(V_BYTES)));
typedef uint32_t m_t;
#define V_LANES ((int)(V_BYTES / sizeof(real)))
#define V_REGISTERS (V_BYTES == 64 ? 32 : 16)

FC_INLINE v_t v_set1(real x) {
    v_t v;
    for (int i = 0; i < V_LANES; i++) v[i] = x;
    return v;
}
FC_INLINE v_t v_zero(void) { return v_set1(0); }
FC_INLINE v_t v_load(const real *p) {
    v_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
FC_INLINE v_t v_load_once(const real *p) { return v_load(p); }
FC_INLINE void v_store(real *p, v_t v) { memcpy(p, &v, sizeof v); }
FC_INLINE m_t v_mask(uint32_t bits) { return bits; }
FC_INLINE v_t v_load_m(const real *p, m_t m) {
    v_t v = v_zero();
    for (int i = 0; i < V_LANES; i++)
        if (m >> i & 1) v[i] = p[i];
    return v;
}
FC_INLINE v_t v_load_or(const real *p, m_t m, v_t v) {
    for (int i = 0; i < V_LANES; i++)
        if (m >> i & 1) v[i] = p[i];
    return v;
}
FC_INLINE void v_store_first(real *p, fc_index n, v_t v) {
    for (int i = 0; i < V_LANES; i++)
        if (i < n) p[i] = v[i];
}
FC_INLINE v_t v_add(v_t a, v_t b) { return a + b; }
FC_INLINE v_t v_sub(v_t a, v_t b) { return a - b; }
FC_INLINE v_t v_fma(v_t a, v_t b, v_t c) { return a * b + c; }
FC_INLINE v_t v_fnma(v_t a, v_t b, v_t c) { return c - a * b; }
FC_INLINE v_t v_fma_at(const real *p, v_t b, v_t c) { return v_fma(v_set1(*p), b, c); }
FC_INLINE v_t v_mul(v_t a, v_t b) { return a * b; }
FC_INLINE v_t v_div(v_t a, v_t b) { return a / b; }
FC_INLINE v_t v_max(v_t a, v_t b) {
    typedef __typeof__(a > b) lanes; /* -1 where true, of integers as wide as real */
    const lanes from_a = (a > b) | (a != a);
    return (v_t)(((lanes)a & from_a) | ((lanes)b & ~from_a));
}
FC_INLINE v_t v_scale(v_t v, v_t n) { /* the low bits of n + 1.5*2^23 (2^52) + bias are the exponent of 2^n */
    typedef __typeof__(v > v) lanes;
    const real bias = (real)(FC_IS_F32 ? 12582912.0 + 127 : 6755399441055744.0 + 1023);
    return v * (v_t)((lanes)(n + v_set1(bias)) << (FC_IS_F32 ? 23 : 52));
}
FC_INLINE v_t v_swap(v_t v, const int n) {
    v_t other;
    for (int i = 0; i < V_LANES; i++) other[i] = v[i ^ n];
    return other;
}
FC_INLINE v_t v_repeat(const real *p) {
    v_t v;
    for (int i = 0; i < V_LANES; i++) v[i] = p[i % (16 / (int)sizeof(real))];
    return v;
}
FC_INLINE v_t v_every(const real *p, fc_index step) {
    v_t v;
    for (int i = 0; i < V_LANES; i++) v[i] = p[i * step];
    return v;
}
FC_INLINE v_t v_zip_low(v_t a, v_t b) {
    v_t v;
    for (int i = 0; i < V_LANES / 2; i++) v[2 * i] = a[i], v[2 * i + 1] = b[i];
    return v;
}
FC_INLINE v_t v_zip_high(v_t a, v_t b) {
    v_t v;
    for (int i = 0; i < V_LANES / 2; i++) v[2 * i] = a[V_LANES / 2 + i], v[2 * i + 1] = b[V_LANES / 2 + i];
    return v;
}
FC_INLINE v_t v_even_mixed(v_t a, v_t b) {
    v_t v;
    for (int i = 0; i < V_LANES / 2; i++) v[i] = a[2 * i], v[V_LANES / 2 + i] = b[2 * i + 1];
    return v;
}
FC_INLINE v_t v_pair_mixed(v_t a, v_t b, const int odd) {
    v_t v;
    for (int i = 0; i < V_LANES / 2; i++) v[i] = a[2 * i + odd], v[V_LANES / 2 + i] = b[2 * i + odd];
    return v;
}
FC_INLINE v_t v_unmix(v_t v) { return v; }
FC_INLINE void v_transpose(v_t *x) {
    for (int i = 0; i < V_LANES; i++)
        for (int j = 0; j < i; j++) {
            const real kept = x[i][j];
            x[i][j] = x[j][i];
            x[j][i] = kept;
        }
}
