/* pack_block, unpack_block: between images, where the pixels of a row lie side by side, and blocks, where the entries
 * of V_LANES channels do.
 *
 *   pack_block:    block[p*V_LANES + i] = row[i*channel + first + p]     p < count, i < channels <= V_LANES
 *                  0 where i >= channels, or where first + p is outside [0, width)
 *   unpack_block:  row[i*channel + p] = block[p*V_LANES + i]             p < count, i < channels <= V_LANES
 *
 *   image rows              a block
 *   c0: a0 a1 a2 a3 ...     p0: a0 b0 c0 d0
 *   c1: b0 b1 b2 b3 ...     p1: a1 b1 c1 d1
 *
 * A square of V_LANES x V_LANES is transposed in registers: log2(V_LANES) operations a vector.
 * pack_block writes whole vectors, `count` of them; unpack_block touches `count` entries of `channels` rows.
 */
static void FC_NAME(pack_block)(void *block, const void *rows, fc_index channel, fc_index channels, fc_index width,
                                fc_index first, fc_index count) {
    real *to = block;
    const real *from = rows;
    for (fc_index p = 0; p < count; p += V_LANES) {
        const fc_index n = FC_WORD(min)(V_LANES, count - p);
        const uint32_t bits = FC_WORD(inside)(first + p, 1, width, n);
        const m_t mask = v_mask(bits);
        v_t x[V_LANES];
        if (bits == 0) {
            for (fc_index i = 0; i < n; i++) v_store(to + i * V_LANES, v_zero());
        } else {
            const real *at = from + first + p;
            FC_UNROLL
            for (int i = 0; i < V_LANES; i++) {
                FC_PREFETCH(at + width); /* the row below, likely: 3% */
                x[i] = i < channels ? v_load_m(at, mask) : v_zero();
                FC_NEXT_ROW(at, channel);
            }
            v_transpose(x);
            if (n == V_LANES) {
                FC_UNROLL
                for (int i = 0; i < V_LANES; i++) v_store(to + i * V_LANES, x[i]);
            } else {
                FC_UNROLL
                for (int i = 0; i < V_LANES; i++)
                    if (i < n) v_store(to + i * V_LANES, x[i]);
            }
        }
        to += V_LANES * V_LANES;
    }
}

static void FC_NAME(unpack_block)(void *rows, fc_index channel, fc_index channels, const void *block, fc_index count) {
    real *to = rows;
    const real *from = block;
    for (fc_index p = 0; p < count; p += V_LANES) {
        const fc_index n = FC_WORD(min)(V_LANES, count - p);
        v_t x[V_LANES];
        if (n == V_LANES) {
            FC_UNROLL
            for (int i = 0; i < V_LANES; i++) x[i] = v_load(from + i * V_LANES);
        } else {
            FC_UNROLL
            for (int i = 0; i < V_LANES; i++) x[i] = i < n ? v_load(from + i * V_LANES) : v_zero();
        }
        v_transpose(x);
        real *row = to;
        if (n == V_LANES && channels == V_LANES) {
            FC_UNROLL
            for (int i = 0; i < V_LANES; i++) {
                v_store(row, x[i]);
                FC_NEXT_ROW(row, channel);
            }
        } else {
            FC_UNROLL
            for (int i = 0; i < V_LANES; i++) {
                if (i < channels) v_store_first(row, n, x[i]);
                FC_NEXT_ROW(row, channel);
            }
        }
        to += V_LANES;
        from += V_LANES * V_LANES;
    }
}
