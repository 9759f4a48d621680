/* gemm: one tile of a matrix product, the kernel under every convolution.
 *
 *   c[r][n] = start[r][n] + sum over runs, sum over k of a[k][r] * b[b_row[k'] + n]      r < rows, n < columns
 *
 *   start = bias[r] where bias is given, else c[r][n]: the first block of a sum adds the bias, later ones add to c.
 *
 *   a, packed weights, `rows` of a block's row k side by side:        b, pixels, row k at b_row[k] (ascending k' over
 *                                                                     all runs: k' counts live rows only)
 *        k=0        k=1        k=2                                      n=0 1 2 ...          columns-1
 *      |r0 r1 ..  |r0 r1 ..  |r0 r1 ..                            k'=0 |x x x x x x x x x x x x|
 *                                                                 k'=1 |x x x x x x x x x x x x|
 *
 * Strides are in elements. b must be readable for whole vectors; c is touched in its columns only.
 * Preconditions: 1 <= rows <= FC_ROWS; columns >= 1; runs ascend. Columns are taken two vectors at a time, or four
 * where rows <= FC_NARROW leaves registers for it.
 *
 * Within a call the products of one output are summed in order of k, in one register; the caller cuts long sums into
 * blocks of FC_BLOCK_K. That makes the result independent of tiles, threads and images, and keeps the rounding error
 * of a sum of 18432 products (a 3x3 layer with 2048 channels) near that of 256 + 72 terms.
 * */
FC_INLINE void FC_WORD(tile)(const int rows, const int vectors, fc_index columns, const real *a, const fc_run *runs,
                             fc_index n_runs, const real *b, const fc_index *b_row, real *c, fc_index c_stride,
                             const real *bias) {
    v_t acc[FC_ROWS][4], x[4];
    real *out = c;
    FC_UNROLL
    for (int r = 0; r < rows; r++) {
        FC_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = v_zero();
        FC_WORD(prefetch_row)(out, vectors);
        FC_NEXT_ROW(out, c_stride);
    }
    for (fc_index i = 0; i < n_runs; i++) {
        const real *w = a + runs[i].first * rows;
        const fc_index *end = b_row + runs[i].count;
        FC_UNROLL_BY(4)
        for (; b_row < end; b_row++) {
            /* Every other row takes its weight from memory within the multiply-add: 41 instead of 48 operations a step
             * for 14 x 2, and 23 instead of 16 loads. Alone on a core both reach 96% of the peak; beside a busy
             * hyper-thread, which takes half of the decoder, 80% instead of 70 to 75%. Weights are fetched 8 KiB
             * ahead, into the next tile's as well: from L3 91% of the peak become 96%, from L2 95% 97%; where they
             * come from memory and serve 16 pixels, a third less time than with 1 KiB. */
            const real *row = b + *b_row;
            FC_PREFETCH((const char *)w + 8192);
            FC_UNROLL
            for (int v = 0; v < vectors; v++) x[v] = v_load(row + v * V_LANES);
            FC_UNROLL
            for (int r = 0; r < rows; r++) {
                const v_t weight = v_set1(w[r]);
                FC_UNROLL
                for (int v = 0; v < vectors; v++)
                    acc[r][v] =
                        r % 2 && vectors <= 2 ? v_fma_at(w + r, x[v], acc[r][v]) : v_fma(weight, x[v], acc[r][v]);
            }
            w += rows;
        }
    }
    /* Only the last vector can be partial. */
    const int whole = columns == (fc_index)vectors * V_LANES;
    const fc_index rest = columns - (vectors - 1) * V_LANES;
    const m_t last = v_mask(((uint32_t)1 << rest) - 1);
    out = c;
    FC_UNROLL
    for (int r = 0; r < rows; r++) {
        FC_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int cut = v == vectors - 1 && !whole;
            real *p = out + v * V_LANES;
            const v_t start = bias ? v_set1(bias[r]) : cut ? v_load_m(p, last) : v_load(p);
            const v_t sum = v_add(start, acc[r][v]);
            if (cut)
                v_store_first(p, rest, sum);
            else
                v_store(p, sum);
        }
        FC_NEXT_ROW(out, c_stride);
    }
}

/* All columns at one height: tiles of `widest` vectors, then one for the rest. */
FC_INLINE void FC_WORD(tiles)(const int rows, const int widest, fc_index columns, const real *a, const fc_run *runs,
                              fc_index n_runs, const real *b, const fc_index *b_row, real *c, fc_index c_stride,
                              const real *bias) {
#define FC_TILE(vectors, n) FC_WORD(tile)(rows, vectors, n, a, runs, n_runs, b, b_row, c, c_stride, bias)
    for (; columns > widest * V_LANES; columns -= widest * V_LANES) {
        FC_TILE(widest, widest * V_LANES);
        b += widest * V_LANES;
        c += widest * V_LANES;
    }
    if (widest == 4 && columns > 3 * V_LANES)
        FC_TILE(widest, columns);
    else if (widest == 4 && columns > 2 * V_LANES)
        FC_TILE(3, columns);
    else if (columns > V_LANES)
        FC_TILE(2, columns);
    else
        FC_TILE(1, columns);
#undef FC_TILE
}

/* FC_CASE(rows) for every height of a tile. */
#undef FC_ROW_CASES
#if FC_ROWS > 6
#define FC_ROW_CASES                                                                                                   \
    FC_CASE(1)                                                                                                         \
    FC_CASE(2)                                                                                                         \
    FC_CASE(3)                                                                                                         \
    FC_CASE(4)                                                                                                         \
    FC_CASE(5) FC_CASE(6) FC_CASE(7) FC_CASE(8) FC_CASE(9) FC_CASE(10) FC_CASE(11) FC_CASE(12) FC_CASE(13) FC_CASE(14)
#elif FC_ROWS > 4
#define FC_ROW_CASES FC_CASE(1) FC_CASE(2) FC_CASE(3) FC_CASE(4) FC_CASE(5) FC_CASE(6)
#else
#define FC_ROW_CASES FC_CASE(1) FC_CASE(2) FC_CASE(3) FC_CASE(4)
#endif

static void FC_NAME(gemm)(fc_index rows, fc_index columns, const void *a, const fc_run *runs, fc_index n_runs,
                          const void *b, const fc_index *b_row, void *c, fc_index c_stride, const void *bias) {
    switch (rows) {
#define FC_CASE(n)                                                                                                     \
    case n: FC_WORD(tiles)(n, n <= FC_NARROW ? 4 : 2, columns, a, runs, n_runs, b, b_row, c, c_stride, bias); break;
        FC_ROW_CASES
#undef FC_CASE
    default: break;
    }
}
