/* pixel_sums: what pixel_dots (pixels.h) does for one or two outputs of whole vectors of channels, which fill all lanes:
 *
 *   c[r*c_row + n] = bias[n] + sum over runs, sum over k of a[r*a_row + run.first + k] * b[k'/L][n][k' % L]
 *
 *   for r < rows, n < columns <= 2; L = V_LANES; runs are multiples of L
 *
 * As many rows at a time as give a vector of sums. Their lanes are added up together in L - 1 steps: the halves of two
 * vectors change places so that one sum has lanes of both,
 *
 *   zip_low(u, v) + zip_high(u, v) = u0+u8 v0+v8 u1+u9 v1+v9 ...
 *
 * and each vector joins the one that is half as many away, so that sum p arrives in lane p.
 */
FC_INLINE v_t FC_WORD(add_lanes)(v_t *sums) {
    FC_UNROLL
    for (int n = V_LANES / 2; n; n /= 2) FC_UNROLL
    for (int p = 0; p < n; p++) sums[p] = v_add(v_zip_low(sums[p], sums[p + n]), v_zip_high(sums[p], sums[p + n]));
    return sums[0];
}

FC_INLINE v_t FC_WORD(sums_tile)(const int rows, const int outputs, const real *a, fc_index a_row, const fc_run *runs,
                                 fc_index n_runs, const real *b) {
    v_t acc[V_LANES];
    const fc_index two = 2 * a_row, three = 3 * a_row; /* four rows share a pointer: registers are few */
    FC_UNROLL
    for (int i = 0; i < V_LANES; i++) acc[i] = v_zero();
    for (fc_index i = 0; i < n_runs; i++) {
        const real *x[(V_LANES + 3) / 4];
        FC_UNROLL
        for (int r = 0; r < rows; r += 4) x[r / 4] = a + runs[i].first + r * a_row;
        for (fc_index k = 0; k < runs[i].count; k += V_LANES) {
            v_t w[2];
            FC_UNROLL
            for (int n = 0; n < outputs; n++) w[n] = v_load_once(b + n * V_LANES);
            FC_UNROLL
            for (int r = 0; r < rows; r++) {
                const real *p = x[r / 4] + k + (r % 4 == 0 ? 0 : r % 4 == 1 ? a_row : r % 4 == 2 ? two : three);
                const v_t pixel = v_load(p);
                FC_UNROLL
                for (int n = 0; n < outputs; n++) acc[r * outputs + n] = v_fma(pixel, w[n], acc[r * outputs + n]);
            }
            b += outputs * V_LANES;
        }
    }
    return FC_WORD(add_lanes)(acc);
}

/* Whole tiles, the last of which ends at the last row and computes some for the second time; of few rows, one by one. */
FC_INLINE void FC_WORD(sums_rows)(const int outputs, fc_index rows, const real *a, fc_index a_row, const fc_run *runs,
                                  fc_index n_runs, const real *b, real *c, fc_index c_row, const real *bias) {
    const int most = V_LANES / outputs;
    const fc_index tile = rows < most ? 1 : most;
    real sums[V_LANES];
    for (int i = 0; i < V_LANES; i++) sums[i] = bias[i % outputs];
    const v_t start = v_load(sums);
    for (fc_index r = 0; r < rows; r += tile) {
        const fc_index at = FC_WORD(min)(r, rows - tile);
        v_t sum = start;
        if (tile > 1)
            sum = v_add(sum, FC_WORD(sums_tile)(most, outputs, a + at * a_row, a_row, runs, n_runs, b));
        else
            sum = v_add(sum, FC_WORD(sums_tile)(1, outputs, a + at * a_row, a_row, runs, n_runs, b));
        if (c_row == outputs) {
            v_store_first(c + at * outputs, tile * outputs, sum);
            continue;
        }
        v_store(sums, sum);
        for (fc_index i = 0; i < tile; i++)
            for (int n = 0; n < outputs; n++) c[(at + i) * c_row + n] = sums[i * outputs + n];
    }
}

static void FC_NAME(pixel_sums)(fc_index rows, fc_index columns, const void *a, fc_index a_row, const fc_run *runs,
                                fc_index n_runs, const void *b, void *c, fc_index c_row, const void *bias) {
    if (columns == 1)
        FC_WORD(sums_rows)(1, rows, a, a_row, runs, n_runs, b, c, c_row, bias);
    else
        FC_WORD(sums_rows)(2, rows, a, a_row, runs, n_runs, b, c, c_row, bias);
}
