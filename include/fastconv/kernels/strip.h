/* pack_strip: copies one input row with its padding, so that every tap of every output in the row reads it in place.
 *
 *   strip[f*pitch + j] = row[first + j*step + f]   f < step, j < count;   0 where that index is outside [0, width)
 *
 * Splitting by the position modulo `step` makes the reads of a strided convolution contiguous as well. A row that is
 * padding throughout has width 0.
 */
FC_INLINE void FC_WORD(zero)(real *to, fc_index from, fc_index end) {
    fc_index j = from;
    for (; j + V_LANES <= end; j += V_LANES) v_store(to + j, v_zero());
    for (; j < end; j++) to[j] = 0;
}

FC_INLINE void FC_WORD(copy_every)(real *to, const real *from, fc_index count, const fc_index step) {
    fc_index j = 0;
    if (step == 1)
        for (; j + V_LANES <= count; j += V_LANES) v_store(to + j, v_load(from + j));
    else if (step == 2)
        for (; j + V_LANES <= count; j += V_LANES)
            v_store(to + j, v_even(v_load(from + 2 * j), v_load(from + 2 * j + V_LANES - 1)));
    for (; j < count; j++) to[j] = from[j * step];
}

static void FC_NAME(pack_strip)(void *strip, fc_index pitch, const void *row, fc_index width, fc_index first,
                                fc_index step, fc_index count) {
    for (fc_index f = 0; f < step; f++) {
        real *to = (real *)strip + f * pitch;
        const fc_index at = first + f; /* position of j = 0; inside for lo <= j < hi */
        const fc_index lo = at >= 0 ? 0 : FC_WORD(min)(count, (step - 1 - at) / step);
        const fc_index hi = at >= width ? lo : FC_WORD(max)(lo, FC_WORD(min)(count, (width - at + step - 1) / step));
        FC_WORD(zero)(to, 0, lo);
        FC_WORD(copy_every)(to + lo, (const real *)row + at + lo * step, hi - lo, step);
        FC_WORD(zero)(to, hi, count);
    }
}
