/* transpose: rows become columns, for images whose channels lie side by side.
 *
 *   to[j*to_row + i] = from[i*from_row + j]      i < rows, j < columns
 *
 * Squares of V_LANES x V_LANES in registers: log2(V_LANES) operations a vector. Touches those entries alone.
 *
 * pack_pixels, unpack_pixels: between such images and blocks of V_LANES channels (blocks.h), which is to copy vectors.
 *
 *   pack_pixels:    block[p*V_LANES + i] = pixels[(first + p)*column + i]     p < count, i < channels <= V_LANES
 *                   0 where i >= channels, or where first + p is outside [0, width)
 *   unpack_pixels:  pixels[p*column + i] = block[p*V_LANES + i]               p < count, i < channels <= V_LANES
 */
FC_INLINE m_t FC_WORD(some_lanes)(fc_index n) { return v_mask((uint32_t)(((uint64_t)1 << n) - 1)); }

FC_INLINE void FC_WORD(transpose_edge)(real *to, fc_index to_row, const real *from, fc_index from_row, fc_index rows,
                                       fc_index columns) {
    const m_t read = FC_WORD(some_lanes)(columns);
    v_t x[V_LANES];
    FC_UNROLL
    for (int i = 0; i < V_LANES; i++) {
        x[i] = i < rows ? v_load_m(from, read) : v_zero();
        FC_NEXT_ROW(from, from_row);
    }
    v_transpose(x);
    FC_UNROLL
    for (int j = 0; j < V_LANES; j++) {
        if (j < columns) v_store_first(to, rows, x[j]);
        FC_NEXT_ROW(to, to_row);
    }
}

static void FC_NAME(transpose)(void *to, fc_index to_row, const void *from, fc_index from_row, fc_index rows,
                               fc_index columns) {
    for (fc_index j = 0; j < columns; j += V_LANES) {
        for (fc_index i = 0; i < rows; i += V_LANES) {
            const real *source = (const real *)from + i * from_row + j;
            real *target = (real *)to + j * to_row + i;
            if (rows - i < V_LANES || columns - j < V_LANES) {
                FC_WORD(transpose_edge)(target, to_row, source, from_row, FC_WORD(min)(V_LANES, rows - i),
                                        FC_WORD(min)(V_LANES, columns - j));
                continue;
            }
            v_t x[V_LANES];
            FC_UNROLL
            for (int n = 0; n < V_LANES; n++) {
                /* Rows of weights are read 144 numbers at a time: what comes after those. */
                FC_PREFETCH(source + 160);
                x[n] = v_load(source);
                FC_NEXT_ROW(source, from_row);
            }
            v_transpose(x);
            FC_UNROLL
            for (int n = 0; n < V_LANES; n++) {
                v_store(target, x[n]);
                FC_NEXT_ROW(target, to_row);
            }
        }
    }
}

static void FC_NAME(pack_pixels)(void *block, const void *pixels, fc_index column, fc_index channels, fc_index width,
                                 fc_index first, fc_index count) {
    const m_t mask = FC_WORD(some_lanes)(channels);
    const fc_index lo = FC_WORD(min)(count, FC_WORD(max)(0, -first));
    const fc_index hi = FC_WORD(max)(lo, FC_WORD(min)(count, width - first));
    real *to = block;
    const real *from = (const real *)pixels + (lo < hi ? first * column : 0);
    for (fc_index p = 0; p < lo; p++) v_store(to + p * V_LANES, v_zero());
    if (channels == V_LANES)
        for (fc_index p = lo; p < hi; p++) v_store(to + p * V_LANES, v_load(from + p * column));
    else
        for (fc_index p = lo; p < hi; p++) v_store(to + p * V_LANES, v_load_m(from + p * column, mask));
    for (fc_index p = hi; p < count; p++) v_store(to + p * V_LANES, v_zero());
}

static void FC_NAME(unpack_pixels)(void *pixels, fc_index column, fc_index channels, const void *block,
                                   fc_index count) {
    real *to = pixels;
    const real *from = block;
    if (channels == V_LANES)
        for (fc_index p = 0; p < count; p++) v_store(to + p * column, v_load(from + p * V_LANES));
    else
        for (fc_index p = 0; p < count; p++) v_store_first(to + p * column, channels, v_load(from + p * V_LANES));
}
