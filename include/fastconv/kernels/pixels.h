/* pixel_product: one tile of a matrix product whose rows are pixels: gemm.h with its sides changed.
 *
 *   c[r*c_row + n] = start[r][n] + sum over runs, sum over k of a[r*a_row + run.first + k] * b[k'*width + n]
 *
 *   for r < rows, n < columns; k' counts through all runs; start = bias[n] where bias is given, else c[r*c_row + n].
 *
 *   a, pixels whose channels lie side by side:       b, packed weights, outputs side by side, width = whole vectors
 *        run 0        run 1                               n=0 1 2 ...     width-1
 *     r=0 |c c c c c c|...|c c c c c c|              k'=0 |w w w w w w w w w w w w|
 *     r=1    |c c c c c c|                           k'=1 |w w w w w w w w w w w w|
 *
 * A run is the channels of a tap, or of a row of taps, whose pixels are neighbours; rows of a may overlap. Nothing is
 * packed but weights, and outputs are stored as they lie. Strides are in elements. Preconditions: 1 <= rows <= FC_ROWS,
 * 1 <= columns <= 2*V_LANES. Where there are vectors of half the width (half.h), up to so many last outputs are theirs,
 * and width is a multiple of that: on CPUs that multiply 64 bytes in two halves, 21 outputs cost 1.5 vectors, not 2.
 *
 * The products of one output are summed in order of k' in one register, as in gemm.h: the same bits.
 */
FC_INLINE void FC_WORD(pixel_tile)(const int rows, const int vectors, fc_index columns, const real *a, fc_index a_row,
                                   const fc_run *runs, fc_index n_runs, const real *b, fc_index width, real *c,
                                   fc_index c_row, const real *bias) {
    v_t acc[FC_ROWS][2];
    const fc_index two = 2 * a_row, three = 3 * a_row; /* four rows share a pointer: registers are few */
    const real *next = c + rows * c_row;               /* of the next tile */
    FC_UNROLL
    for (int r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = v_zero();
        FC_WORD(prefetch_row)(next, vectors);
        FC_NEXT_ROW(next, c_row);
    }
    for (fc_index i = 0; i < n_runs; i++) {
        const real *x[(FC_ROWS + 3) / 4];
        FC_UNROLL
        for (int r = 0; r < rows; r += 4) x[r / 4] = a + runs[i].first + r * a_row;
        FC_UNROLL_BY(4)
        for (fc_index k = 0; k < runs[i].count; k++) {
            v_t w[2];
            FC_PREFETCH((const char *)b + 8192);
            FC_UNROLL
            for (int v = 0; v < vectors; v++) w[v] = v_load(b + v * V_LANES);
            FC_UNROLL
            for (int r = 0; r < rows; r++) {
                const real *p = x[r / 4] + k + (r % 4 == 0 ? 0 : r % 4 == 1 ? a_row : r % 4 == 2 ? two : three);
                const v_t pixel = v_set1(*p);
                FC_UNROLL
                for (int v = 0; v < vectors; v++)
                    acc[r][v] = r % 2 ? v_fma_at(p, w[v], acc[r][v]) : v_fma(pixel, w[v], acc[r][v]);
            }
            b += width;
        }
    }
    /* Only the last vector can be partial. */
    const int whole = columns == (fc_index)vectors * V_LANES;
    const fc_index rest = columns - (vectors - 1) * V_LANES;
    const m_t last = v_mask(((uint32_t)1 << rest) - 1);
    FC_UNROLL
    for (int r = 0; r < rows; r++) {
        FC_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int cut = v == vectors - 1 && !whole;
            real *p = c + v * V_LANES;
            const real *from = bias ? bias + v * V_LANES : p;
            const v_t sum = v_add(cut ? v_load_m(from, last) : v_load(from), acc[r][v]);
            if (cut)
                v_store_first(p, rest, sum);
            else
                v_store(p, sum);
        }
        FC_NEXT_ROW(c, c_row);
    }
}

#if !defined(FC_IS_HALF)
static void FC_NAME(pixel_product)(fc_index rows, fc_index columns, const void *a, fc_index a_row, const fc_run *runs,
                                   fc_index n_runs, const void *b, void *c, fc_index c_row, const void *bias) {
    const fc_index part = FC_WORD(part), width = (columns + part - 1) / part * part;
#define FC_TILE(n, vectors) FC_WORD(pixel_tile)(n, vectors, columns, a, a_row, runs, n_runs, b, width, c, c_row, bias)
#if defined(FC_HALF)
    const fc_index whole = width / V_LANES * V_LANES;
    if (whole < width) {
        const real *last_bias = bias ? (const real *)bias + whole : NULL;
        const fc_index last = columns - whole;
        columns = whole;
        switch (rows) {
#define FC_CASE(n)                                                                                                     \
    case n:                                                                                                            \
        if (whole) FC_TILE(n, 1);                                                                                      \
        FC_PASTE(pixel_tile__, FC_DTYPE, _, FC_HALF, )                                                                 \
        (n, 1, last, a, a_row, runs, n_runs, (const real *)b + whole, width, (real *)c + whole, c_row, last_bias);     \
        return;
            FC_ROW_CASES
#undef FC_CASE
        default: return;
        }
    }
#endif
    switch (rows) {
#define FC_CASE(n)                                                                                                     \
    case n:                                                                                                            \
        if (columns > V_LANES)                                                                                         \
            FC_TILE(n, 2);                                                                                             \
        else                                                                                                           \
            FC_TILE(n, 1);                                                                                             \
        break;
        FC_ROW_CASES
#undef FC_CASE
    default: break;
    }
#undef FC_TILE
}

FC_INLINE v_t FC_WORD(add_pairs)(v_t a, v_t b) { /* a0+a1 a2+a3 ... b0+b1 ... */
    return v_unmix(v_add(v_pair_mixed(a, b, 0), v_pair_mixed(a, b, 1)));
}

/* pixel_dots: the same for few outputs. A vector has not V_LANES of them and one channel, but a few channels of each,
 * Q = 16/sizeof(real), whose products are added up at last:
 *
 *   weights      | o0k0 o0k1 o0k2 o0k3 | o1k0 o1k1 o1k2 o1k3 | ...       b[k'/Q][output][k' % Q], f32
 *   pixel        | c0   c1   c2   c3   | c0   c1   c2   c3   | ...
 *
 * Preconditions: 1 <= rows <= FC_ROWS, 1 <= columns <= 2*V_LANES/Q; runs are multiples of Q. The order of a sum is not
 * that of the other products.
 */
FC_INLINE void FC_WORD(dots_tile)(const int rows, const int vectors, fc_index columns, const real *a, fc_index a_row,
                                  const fc_run *runs, fc_index n_runs, const real *b, real *c, fc_index c_row,
                                  const real *bias) {
    const int together = 16 / (int)sizeof(real);
    v_t acc[FC_ROWS][2];
    const fc_index two = 2 * a_row, three = 3 * a_row;
    FC_UNROLL
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = v_zero();
    for (fc_index i = 0; i < n_runs; i++) {
        const real *x[(FC_ROWS + 3) / 4];
        FC_UNROLL
        for (int r = 0; r < rows; r += 4) x[r / 4] = a + runs[i].first + r * a_row;
        for (fc_index k = 0; k < runs[i].count; k += together) {
            v_t w[2];
            FC_UNROLL
            for (int v = 0; v < vectors; v++) w[v] = v_load(b + v * V_LANES);
            FC_UNROLL
            for (int r = 0; r < rows; r++) {
                const real *p = x[r / 4] + k + (r % 4 == 0 ? 0 : r % 4 == 1 ? a_row : r % 4 == 2 ? two : three);
                const v_t pixel = v_repeat(p);
                FC_UNROLL
                for (int v = 0; v < vectors; v++) acc[r][v] = v_fma(pixel, w[v], acc[r][v]);
            }
            b += vectors * V_LANES;
        }
    }
    /* A few rows at a time fill a vector with their sums. */
    const int outputs = V_LANES / together;
    FC_UNROLL
    for (int r = 0; r < rows; r += together) {
        const int last = rows - r < together ? rows - r : together;
        FC_UNROLL
        for (int v = 0; v < vectors; v++) {
            const fc_index n_last = columns - v * outputs < outputs ? columns - v * outputs : outputs;
            real sums[V_LANES];
            v_t sum[16 / sizeof(real)];
            FC_UNROLL
            for (int i = 0; i < together; i++) sum[i] = i < last ? acc[r + i][v] : v_zero();
            FC_UNROLL
            for (int i = together; i > 1; i /= 2) FC_UNROLL
            for (int j = 0; j < i; j += 2) sum[j / 2] = FC_WORD(add_pairs)(sum[j], sum[j + 1]);
            v_store(sums, sum[0]);
            __asm__("" : "+m"(sums)); /* compilers else take lane after lane from the register, a few cycles each */
            FC_UNROLL
            for (int i = 0; i < last; i++)
                for (fc_index n = 0; n < n_last; n++) {
                    real *p = c + i * c_row + v * outputs + n;
                    *p = (bias ? bias[v * outputs + n] : *p) + sums[i * outputs + n];
                }
        }
        c += last * c_row;
    }
}

static void FC_NAME(pixel_dots)(fc_index rows, fc_index columns, const void *a, fc_index a_row, const fc_run *runs,
                                fc_index n_runs, const void *b, void *c, fc_index c_row, const void *bias) {
    switch (rows) {
#define FC_CASE(n)                                                                                                     \
    case n:                                                                                                            \
        if (columns > V_LANES * (fc_index)sizeof(real) / 16)                                                           \
            FC_WORD(dots_tile)(n, 2, columns, a, a_row, runs, n_runs, b, c, c_row, bias);                              \
        else                                                                                                           \
            FC_WORD(dots_tile)(n, 1, columns, a, a_row, runs, n_runs, b, c, c_row, bias);                              \
        break;
        FC_ROW_CASES
#undef FC_CASE
    default: break;
    }
}
#endif
