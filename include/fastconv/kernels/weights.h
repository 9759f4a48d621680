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
 * within V_LANES of each other go by squares. What is left goes one by one.
 */

/* 0 in each lane that was finite in every vector seen, else NaN. A tree: one sum waits for the last square's. */
FC_INLINE v_t FC_WORD(watch)(v_t seen, const v_t *v, const fc_index count) {
    v_t sum[V_LANES];
    FC_UNROLL
    for (int i = 0; i < count; i++) sum[i] = v_mul(v[i], v_zero());
    FC_UNROLL
    for (int step = 1; step < count; step *= 2) FC_UNROLL
    for (int i = 0; i + step < count; i += 2 * step) sum[i] = v_add(sum[i], sum[i + step]);
    return v_add(seen, sum[0]);
}

FC_INLINE int FC_WORD(saw_special)(v_t seen) {
    real lanes[V_LANES];
    int special = 0;
    v_store(lanes, seen);
    for (int i = 0; i < V_LANES; i++) special |= lanes[i] != 0;
    return special;
}

FC_INLINE m_t FC_WORD(first)(fc_index lanes) { return v_mask((uint32_t)(((uint64_t)1 << lanes) - 1)); }

/* Up to V_LANES rows of entries within V_LANES of each other: they are read as one vector of each row, and the square is
 * transposed in registers. */
FC_INLINE v_t FC_WORD(pack_square)(real *a, const real *w, const fc_index rows, const fc_index *row_offset,
                                   fc_index count, const fc_index *offset, const fc_index *place, v_t seen) {
    const fc_index width = offset[count - 1] - offset[0] + 1;
    v_t v[V_LANES];
    /* The rows of the next panel are next in memory. Beyond L3 that makes 1.3 ns per weight 0.7. */
    const fc_index ahead = rows > 1 ? (row_offset[rows - 1] - row_offset[0]) * rows / (rows - 1) : 0;
    w += offset[0];
    FC_UNROLL
    for (int r = 0; r < V_LANES; r++) {
        if (r < rows) __builtin_prefetch(w + row_offset[r] + ahead, 0, 2);
        if (width == V_LANES)
            v[r] = r < rows ? v_load(w + row_offset[r]) : v_zero();
        else
            v[r] = r < rows ? v_load_m(w + row_offset[r], FC_WORD(first)(width)) : v_zero();
    }
    v_transpose(v);
    if (count == V_LANES) { /* one after the other */
        seen = FC_WORD(watch)(seen, v, V_LANES);
        FC_UNROLL
        for (int column = 0; column < V_LANES; column++) v_store_first(a + place[column], rows, v[column]);
        return seen;
    }
    v_t columns[V_LANES]; /* an array that is indexed by a variable does not stay in registers */
    for (int column = 0; column < V_LANES; column++) columns[column] = v[column];
    for (fc_index i = 0; i < count; i++) {
        const v_t *column = columns + (offset[i] - offset[0]);
        seen = FC_WORD(watch)(seen, column, 1);
        v_store_first(a + place[i], rows, *column);
    }
    return seen;
}

/* Rows that lie side by side in w. */
FC_INLINE v_t FC_WORD(pack_adjacent)(real *a, const real *w, const fc_index rows, fc_index count,
                                     const fc_index *offset, const fc_index *place, v_t seen) {
    const m_t height = FC_WORD(first)(rows);
    for (fc_index i = 0; i < count; i++) {
        const v_t column = rows == V_LANES ? v_load(w + offset[i]) : v_load_m(w + offset[i], height);
        seen = FC_WORD(watch)(seen, &column, 1);
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

/* Rows of one vector at most; `rows` is mostly known where this is compiled. */
FC_INLINE int FC_WORD(pack_rows)(real *a, const real *w, const fc_index rows, const fc_index *row_offset,
                                 fc_index count, const fc_index *offset, const fc_index *place, int adjacent) {
    v_t seen = v_zero();
    int special = 0;
    if (adjacent)
        return FC_WORD(saw_special)(FC_WORD(pack_adjacent)(a, w + row_offset[0], rows, count, offset, place, seen));
    for (fc_index i = 0, n; i < count; i += n) {
        n = i + V_LANES <= count && offset[i + V_LANES - 1] - offset[i] < V_LANES ? V_LANES : 1;
        while (n < V_LANES && i + n < count && offset[i + n] - offset[i] < V_LANES) n++;
        if (n * 4 < V_LANES)
            special |= FC_WORD(pack_scattered)(a, w, rows, row_offset, n, offset + i, place + i);
        else
            seen = FC_WORD(pack_square)(a, w, rows, row_offset, n, offset + i, place + i, seen);
    }
    return special | FC_WORD(saw_special)(seen);
}

static int FC_NAME(pack_weights)(void *a, const void *w, fc_index rows, const fc_index *row_offset, fc_index count,
                                 const fc_index *offset, const fc_index *place) {
    const int tall = FC_ROWS < V_LANES ? FC_ROWS : V_LANES; /* panels have this many rows or one less, mostly */
    int adjacent = 1, special = 0;
    for (fc_index r = 1; r < rows; r++) adjacent &= row_offset[r] == row_offset[0] + r;
    for (fc_index r = 0; r < rows; r += V_LANES) { /* rows in pieces of a vector */
        const fc_index height = FC_WORD(min)(V_LANES, rows - r);
        real *to = (real *)a + r;
        if (height == tall)
            special |= FC_WORD(pack_rows)(to, w, tall, row_offset + r, count, offset, place, adjacent);
        else if (height == tall - 1)
            special |= FC_WORD(pack_rows)(to, w, tall - 1, row_offset + r, count, offset, place, adjacent);
        else
            special |= FC_WORD(pack_rows)(to, w, height, row_offset + r, count, offset, place, adjacent);
    }
    return special;
}
