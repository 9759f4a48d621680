/* pack_strip: copies input rows with their padding, so that every tap of every output reads them in place.
 *
 *   strip[r*strip_row + f*pitch + j] = row[r*row_pitch + first + j*step + f]     r < rows, f < step, j < count;
 *                                      0 where first + j*step + f is outside [0, width)
 *
 * and zeros behind, up to a whole vector: pitch must have room for it. Splitting by the position modulo `step` makes
 * the reads of a strided convolution contiguous as well. Rows that are padding throughout have width 0.
 *
 * What is padding is the same for all rows: vectors that hold any are done one after the other for all rows, with
 * their masks in registers; those between are loaded and stored.
 */
FC_INLINE void FC_WORD(strip_edges)(real *to, fc_index strip_row, const real *row, fc_index row_pitch, fc_index rows,
                                    fc_index width, fc_index first, const fc_index step, fc_index begin, fc_index end,
                                    fc_index count) {
    for (fc_index j = begin; j < end; j += V_LANES) {
        const fc_index at = first + j * step;
        FC_WORD(fetch) f;
        FC_WORD(plan_fetch)(&f, j, at, at, step, width, FC_WORD(min)(V_LANES, count - j));
        for (fc_index r = 0; r < rows; r++)
            v_store(to + r * strip_row + j, FC_WORD(fetch_vector)(row + r * row_pitch, &f, step));
    }
}

FC_INLINE void FC_WORD(strip_phase)(real *to, fc_index strip_row, const real *row, fc_index row_pitch, fc_index rows,
                                    fc_index width, fc_index first, const fc_index step, fc_index count) {
    const fc_index lo = first >= 0 ? 0 : FC_WORD(min)(count, (step - 1 - first) / step);
    const fc_index hi = first >= width ? lo : FC_WORD(max)(lo, FC_WORD(min)(count, (width - first + step - 1) / step));
    const fc_index begin = (lo + V_LANES - 1) / V_LANES * V_LANES;
    const fc_index end = FC_WORD(max)(begin, hi / V_LANES * V_LANES);
    FC_WORD(fetch) f;
    FC_WORD(strip_edges)(to, strip_row, row, row_pitch, rows, width, first, step, 0, FC_WORD(min)(begin, count), count);
    FC_WORD(strip_edges)(to, strip_row, row, row_pitch, rows, width, first, step, end, count, count);
    FC_WORD(plan_fetch)(&f, 0, 0, 0, step, V_LANES * step, V_LANES);
    for (fc_index r = 0; r < rows; r++) {
        const real *from = row + r * row_pitch + first;
        for (fc_index j = begin; j < end; j += V_LANES) {
            const real *p = from + j * step;
            v_t x;
            if (step == 1)
                x = v_load(p);
            else if (step == 2)
                x = v_even(v_load(p), v_load(p + V_LANES - 1));
            else
                x = FC_WORD(fetch_vector)(p, &f, step);
            v_store(to + r * strip_row + j, x);
        }
    }
}

static void FC_NAME(pack_strip)(void *strip, fc_index strip_row, fc_index pitch, const void *row, fc_index row_pitch,
                                fc_index rows, fc_index width, fc_index first, fc_index step, fc_index count) {
    for (fc_index f = 0; f < step; f++) {
        real *to = (real *)strip + f * pitch;
#define FC_PHASE(n) FC_WORD(strip_phase)(to, strip_row, row, row_pitch, rows, width, first + f, n, count)
        if (step == 1)
            FC_PHASE(1);
        else if (step == 2)
            FC_PHASE(2);
        else
            FC_PHASE(step);
#undef FC_PHASE
    }
}
