/* pack_weights: the rows of one gemm tile side by side, in the order in which the tile multiplies them.
 *
 *   a[place[i] + r] = w[ row_offset[r] + offset[i] ]     i < count, r < rows; offset[i] < offset[i + 1]
 *
 *   w, here 3 rows of a 3x3 convolution: an entry                 a, taps outermost: an entry becomes a column
 *   is a tap of a channel, channels outermost
 *     row_offset[0]: | c0t0 c0t1 ... c0t8 c1t0 ... |                | c0t0 | c1t0 | ... | c0t1 | c1t1 | ...
 *     row_offset[1]: | c0t0 c0t1 ... c0t8 c1t0 ... |                 r0r1r2 r0r1r2       r0r1r2
 *     row_offset[2]: | c0t0 c0t1 ... c0t8 c1t0 ... |
 *
 * Returns nonzero if one of them is NaN or infinite: then no product with a padding zero may be left out.
 *
 * Rows that lie side by side (a transposed convolution with kernel = stride) are copied. Elsewhere entries that lie
 * within V_LANES of each other are read from each row as one vector, and the square of rows and entries is transposed
 * in registers. What is left goes one by one.
 */

/* V_LANES rows of V_LANES entries become columns. Each round joins row i and row i + V_LANES/2 element by element. */
FC_INLINE void FC_WORD(transpose)(v_t *v) {
    v_t joined[V_LANES];
    FC_UNROLL
    for (int round = 1; round < V_LANES; round *= 2) {
        FC_UNROLL
        for (int i = 0; i < V_LANES / 2; i++) {
            joined[2 * i] = v_zip_low(v[i], v[i + V_LANES / 2]);
            joined[2 * i + 1] = v_zip_high(v[i], v[i + V_LANES / 2]);
        }
        FC_UNROLL
        for (int i = 0; i < V_LANES; i++) v[i] = joined[i];
    }
}

/* 0 in each lane that was finite in every vector seen, else NaN. */
FC_INLINE v_t FC_WORD(watch)(v_t seen, v_t v) { return v_fma(v, v_zero(), seen); }

FC_INLINE int FC_WORD(saw_special)(v_t seen) {
    real lanes[V_LANES];
    int special = 0;
    v_store(lanes, seen);
    for (int i = 0; i < V_LANES; i++) special |= lanes[i] != 0;
    return special;
}

FC_INLINE m_t FC_WORD(first)(fc_index lanes) { return v_mask((uint32_t)(((uint64_t)1 << lanes) - 1)); }

/* Up to V_LANES rows of entries within V_LANES of each other. */
FC_INLINE v_t FC_WORD(pack_square)(real *a, const real *w, fc_index rows, const fc_index *row_offset, fc_index count,
                                   const fc_index *offset, const fc_index *place, v_t seen) {
    const m_t width = FC_WORD(first)(offset[count - 1] - offset[0] + 1);
    fc_index i = 0;
    v_t v[V_LANES];
    /* The rows of the next panel are next in memory. Beyond L3 that makes 1.3 ns per weight 0.7. */
    const fc_index ahead = rows > 1 ? (row_offset[1] - row_offset[0]) * rows : 0;
    for (fc_index r = 0; r < rows; r++) __builtin_prefetch(w + row_offset[r] + offset[0] + ahead, 0, 2);
    FC_UNROLL
    for (int r = 0; r < V_LANES; r++) v[r] = r < rows ? v_load_m(w + row_offset[r] + offset[0], width) : v_zero();
    FC_WORD(transpose)(v);
    FC_UNROLL
    for (int column = 0; column < V_LANES; column++) {
        if (count < V_LANES && (i == count || offset[i] - offset[0] != column)) continue;
        seen = FC_WORD(watch)(seen, v[column]);
        v_store_first(a + place[i++], rows, v[column]);
    }
    return seen;
}

/* Rows that lie side by side in w. */
FC_INLINE v_t FC_WORD(pack_adjacent)(real *a, const real *w, fc_index rows, fc_index count, const fc_index *offset,
                                     const fc_index *place, v_t seen) {
    const m_t height = FC_WORD(first)(rows);
    for (fc_index i = 0; i < count; i++) {
        const v_t column = v_load_m(w + offset[i], height);
        seen = FC_WORD(watch)(seen, column);
        v_store_first(a + place[i], rows, column);
    }
    return seen;
}

/* One by one. */
FC_INLINE int FC_WORD(pack_scattered)(real *a, const real *w, fc_index rows, const fc_index *row_offset, fc_index count,
                                      const fc_index *offset, const fc_index *place) {
    int special = 0;
    for (fc_index i = 0; i < count; i++) {
        for (fc_index r = 0; r < rows; r++) {
            const real x = w[row_offset[r] + offset[i]];
            special |= !(x - x == 0);
            a[place[i] + r] = x;
        }
    }
    return special;
}

static int FC_NAME(pack_weights)(void *a, const void *w, fc_index rows, const fc_index *row_offset, fc_index count,
                                 const fc_index *offset, const fc_index *place) {
    int adjacent = 1, special = 0;
    v_t seen = v_zero();
    for (fc_index r = 1; r < rows; r++) adjacent &= row_offset[r] == row_offset[0] + r;
    for (fc_index r = 0; r < rows; r += V_LANES) { /* rows in pieces of a vector */
        const fc_index height = FC_WORD(min)(V_LANES, rows - r);
        real *to = (real *)a + r;
        if (adjacent) {
            seen = FC_WORD(pack_adjacent)(to, (const real *)w + row_offset[r], height, count, offset, place, seen);
            continue;
        }
        for (fc_index i = 0, n; i < count; i += n) {
            n = i + V_LANES <= count && offset[i + V_LANES - 1] - offset[i] < V_LANES ? V_LANES : 1;
            while (n < V_LANES && i + n < count && offset[i + n] - offset[i] < V_LANES) n++;
            if (n * 4 < V_LANES)
                special |= FC_WORD(pack_scattered)(to, w, height, row_offset + r, n, offset + i, place + i);
            else
                seen = FC_WORD(pack_square)(to, w, height, row_offset + r, n, offset + i, place + i, seen);
        }
    }
    return special | FC_WORD(saw_special)(seen);
}
