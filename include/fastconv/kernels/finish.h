/* finish: a residual added, and an activation, where outputs have just been written and still lie in L1.
 *
 *   y[r*y_row + n] = end(y[r*y_row + n] + residual[r*r_row + n])      r < rows, n < columns; no residual if NULL
 *
 *   end, by `kind`:  FC_NO_END x,  FC_RELU max(x, 0),  FC_RELU6 min(max(x, 0), 6),  FC_LEAKY_RELU x < 0 ? slope*x : x,
 *                    FC_SIGMOID 1/(1 + e^-x),  FC_SILU x/(1 + e^-x),  FC_TANH (e^2x - 1)/(e^2x + 1)
 *
 * NaN stays NaN. Exponentials go by t = e^z - 1 = 2^n q + (2^n - 1), z = n log 2 + r, q = e^r - 1 by its series, so that
 * nothing cancels near 0; z is cut where 2^n leaves the normal numbers, which moves results by less than 1000 times the
 * smallest of them (FC_SILU of minus infinity is that small, not NaN).
 */
enum {
    FC_WORD(series) = FC_IS_F32 ? 7 : 13
}; /* terms of e^r - 1 for |r| <= log(2)/2: the next is below half a digit */

FC_INLINE v_t FC_WORD(at_most)(v_t x, real limit) { return v_sub(v_zero(), v_max(v_sub(v_zero(), x), v_set1(-limit))); }

/* e^z - 1 for z cut to what has a normal 2^n. */
FC_INLINE v_t FC_WORD(expm1)(v_t z) {
    const real most = (real)(FC_IS_F32 ? 88.0 : 709.0), least = (real)(FC_IS_F32 ? -87.0 : -708.0);
    /* 1/k!: one multiply-add a term, where q = q*r/k + 1 takes two operations, one after the other */
    static const double inverse[] = {
        1.0,        1.0,         1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
        1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
    const v_t round = v_set1((real)(FC_IS_F32 ? 12582912.0 : 6755399441055744.0)); /* 1.5 * 2^23, or 2^52 */
    z = FC_WORD(at_most)(v_max(z, v_set1(least)), most);
    const v_t n = v_sub(v_fma(z, v_set1((real)1.4426950408889634), round), round);
    v_t r = v_fnma(n, v_set1((real)(FC_IS_F32 ? 0.693359375 : 0.693147180369123816490)), z);
    r = v_fnma(n, v_set1((real)(FC_IS_F32 ? -2.12194440054690583e-4 : 1.90821492927058770002e-10)), r);
    v_t q = v_set1((real)inverse[FC_WORD(series)]);
    FC_UNROLL
    for (int k = FC_WORD(series) - 1; k > 0; k--) q = v_fma(q, r, v_set1((real)inverse[k]));
    const v_t power = v_scale(v_set1(1), n);
    return v_fma(power, v_mul(q, r), v_sub(power, v_set1(1)));
}

FC_INLINE v_t FC_WORD(end)(v_t x, const int kind, v_t slope) {
    if (kind == FC_RELU) return v_max(v_zero(), x); /* this order keeps -0 */
    if (kind == FC_RELU6) return FC_WORD(at_most)(v_max(x, v_zero()), 6);
    if (kind == FC_LEAKY_RELU) {
        const v_t above = v_max(x, v_zero()), below = FC_WORD(at_most)(x, 0); /* one of the two is 0, or both NaN */
        return v_fma(below, slope, above);
    }
    if (kind == FC_TANH) {
        const v_t t = FC_WORD(expm1)(v_add(x, x));
        return v_div(t, v_add(t, v_set1(2)));
    }
    if (kind == FC_SIGMOID || kind == FC_SILU) {
        const v_t s = v_add(FC_WORD(expm1)(v_sub(v_zero(), x)), v_set1(2));
        return v_div(kind == FC_SILU ? v_max(x, v_set1((real)(FC_IS_F32 ? -88.0 : -709.0))) : v_set1(1), s);
    }
    return x;
}

FC_INLINE void FC_WORD(finish_rows)(fc_index rows, fc_index columns, real *y, fc_index y_row, const real *residual,
                                    fc_index r_row, const int kind, v_t slope) {
    const fc_index whole = columns / V_LANES * V_LANES;
    const m_t rest = v_mask((uint32_t)(((uint64_t)1 << (columns - whole)) - 1));
    for (fc_index r = 0; r < rows; r++, y += y_row, residual += residual ? r_row : 0) {
        for (fc_index n = 0; n < whole; n += V_LANES) {
            v_t x = v_load(y + n);
            if (residual) x = v_add(x, v_load(residual + n));
            v_store(y + n, FC_WORD(end)(x, kind, slope));
        }
        if (whole < columns) {
            v_t x = v_load_m(y + whole, rest);
            if (residual) x = v_add(x, v_load_m(residual + whole, rest));
            v_store_first(y + whole, columns - whole, FC_WORD(end)(x, kind, slope));
        }
    }
}

static void FC_NAME(finish)(fc_index rows, fc_index columns, void *y, fc_index y_row, const void *residual,
                            fc_index r_row, int kind, double slope) {
    const v_t s = v_set1((real)slope);
    if (y_row == columns && (r_row == columns || !residual)) { /* one long row: no rest of a vector but at its end */
        columns *= rows;
        rows = 1;
    }
#define FC_FINISH(kind)                                                                                                \
    case kind: FC_WORD(finish_rows)(rows, columns, y, y_row, residual, r_row, kind, s); break
    switch (kind) {
        FC_FINISH(FC_NO_END);
        FC_FINISH(FC_RELU);
        FC_FINISH(FC_RELU6);
        FC_FINISH(FC_LEAKY_RELU);
        FC_FINISH(FC_SIGMOID);
        FC_FINISH(FC_SILU);
        FC_FINISH(FC_TANH);
    default: break;
    }
#undef FC_FINISH
}
