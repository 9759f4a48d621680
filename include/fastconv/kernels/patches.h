/* The two ends of a product of pixels with the weights of a transposed convolution as they are given, (C, M, taps).
 *
 * copy_panels: some columns of all rows, in the panels of weights that pixel_product reads (pixels.h).
 *
 *   to[p*rows*W + k*w + n] = from[k*from_row + p*W + n]     k < rows, n < w, p*W + n < columns; else 0
 *
 *   W = 2*V_LANES is the width of a panel, w too, but for a last one with fewer columns: a multiple of `part` there
 */
enum { FC_WORD(copied_ahead) = 2048 / sizeof(real) }; /* a line from memory takes as long as the copy of 32 others */

static void FC_NAME(copy_panels)(void *to, const void *from, fc_index from_row, fc_index rows, fc_index columns) {
    const fc_index part = FC_WORD(part), panel = 2 * V_LANES, rest = columns % panel;
    const fc_index width = (rest + part - 1) / part * part;
    const real *row = from, *ahead = row + (FC_WORD(copied_ahead) / columns + 1) * from_row;
    for (fc_index k = 0; k < rows; k++, row += from_row, ahead += from_row) {
        real *place = (real *)to + k * panel;
        fc_index n = 0;
        for (; n + panel <= columns; n += panel, place += rows * panel) {
            FC_UNROLL
            for (fc_index i = 0; i < panel; i += FC_LINE / (fc_index)sizeof(real)) FC_PREFETCH(ahead + n + i);
            v_store(place, v_load(row + n));
            v_store(place + V_LANES, v_load(row + n + V_LANES));
        }
        if (rest) FC_PREFETCH(ahead + n);
        place = (real *)to + n * rows + k * width;
        for (fc_index i = 0; i < width; i += V_LANES) {
            const fc_index left = FC_WORD(max)(0, FC_WORD(min)(V_LANES, rest - i));
            v_store_first(place + i, FC_WORD(min)(V_LANES, width - i), v_load_m(row + n + i, FC_WORD(first)(left)));
        }
    }
}

/* add_patches: the products of one pixel to the outputs that they reach.
 *
 *   y[m*y_channel + r*y_row + t*y_step] += z[m*z_channel + r*z_row + t]     m < channels, r < rows, t < taps
 *
 * Channels inside: the patches of neighbouring pixels overlap, and a sum that was just stored would be waited for. So
 * would one beside it that is loaded under a mask: runs are added in vectors and parts of one that end where they do.
 */
FC_INLINE void FC_WORD(add_taps)(real *restrict y, const real *restrict z, fc_index channels, fc_index y_channel,
                                 fc_index z_channel, const fc_index taps, const fc_index y_step) {
    for (fc_index m = 0; m < channels; m++, y += y_channel, z += z_channel) {
        FC_UNROLL_BY(16)
        for (fc_index t = 0; t < taps; t++) y[t * y_step] += z[t];
    }
}

static void FC_NAME(add_patches)(void *y, fc_index y_channel, fc_index y_row, fc_index y_step, const void *z,
                                 fc_index z_channel, fc_index z_row, fc_index channels, fc_index rows, fc_index taps) {
    for (fc_index r = 0; r < rows; r++) {
        fc_index left = taps;
        real *to = (real *)y + r * y_row;
        const real *from = (const real *)z + r * z_row;
        if (y_step != 1) {
            FC_WORD(add_taps)(to, from, channels, y_channel, z_channel, taps, y_step);
            continue;
        }
        for (; left > 16; left -= 16, to += 16, from += 16)
            FC_WORD(add_taps)(to, from, channels, y_channel, z_channel, 16, 1);
        switch (left) { /* as many are known where this is compiled */
#define FC_CASE(n)                                                                                                     \
    case n: FC_WORD(add_taps)(to, from, channels, y_channel, z_channel, n, 1); break;
            FC_CASE(1)
            FC_CASE(2)
            FC_CASE(3)
            FC_CASE(4)
            FC_CASE(5)
            FC_CASE(6)
            FC_CASE(7)
            FC_CASE(8)
            FC_CASE(9)
            FC_CASE(10)
            FC_CASE(11)
            FC_CASE(12)
            FC_CASE(13)
            FC_CASE(14)
            FC_CASE(15)
            FC_CASE(16)
#undef FC_CASE
        default: break;
        }
    }
}
