/* pack_panel: gathers the pixels that a gemm tile multiplies, tap by tap, with zeros where a tap falls on padding.
 *
 *   panel[k'][n] = image[c][d*step + origin + off][h*step + origin + off][w*step + origin + off]     n < count
 *   (step, origin and off of the axis)
 *
 *   k = tap*channels + c, off = tap_offset[tap], (d, h, w) = output position of pixel + n; k' counts the rows
 *   written: k without those that are left out. Rows are `columns` of the table apart (two vectors) and written as
 *   whole vectors: room for one vector behind the last row is needed.
 *
 * The tile's pixels are cut at the ends of output rows into segments, and segments into vectors. Which lanes are
 * padding depends on the tap but not on the channel, so it is worked out once per tap and the loop over channels is
 * load, store, load, store. A vector may spill over its segment's end: the next segment, or the next row, is written
 * after it.
 */
typedef struct {
    fc_index to, count; /* columns of the panel */
    fc_index at[3];     /* input position of the first pixel, for a tap with offset 0 */
} FC_WORD(segment);

/* Cuts pixels [pixel, pixel + count) at row ends; returns how many segments. */
static int FC_WORD(cut)(FC_WORD(segment) * seg, const fc_image *image, fc_index pixel, fc_index count) {
    fc_index w = pixel % image->grid[2], row = pixel / image->grid[2];
    fc_index h = row % image->grid[1], d = row / image->grid[1];
    int n = 0;
    for (fc_index to = 0; to < count; n++) {
        const fc_index length = FC_WORD(min)(count - to, image->grid[2] - w);
        seg[n].to = to;
        seg[n].count = length;
        seg[n].at[0] = d * image->step[0] + image->origin[0];
        seg[n].at[1] = h * image->step[1] + image->origin[1];
        seg[n].at[2] = w * image->step[2] + image->origin[2];
        to += length;
        w = 0;
        if (++h == image->grid[1]) h = 0, d++;
    }
    return n;
}

/* Plans the vectors of one tap; returns how many, and in *alive whether any pixel lies inside the image. */
FC_INLINE int FC_WORD(plan_tap)(FC_WORD(fetch) * f, const fc_image *image, const FC_WORD(segment) * seg, int n_seg,
                                const fc_index *offset, const fc_index step, int *alive) {
    int n = 0;
    uint32_t any = 0;
    for (int s = 0; s < n_seg; s++) {
        const fc_index d = seg[s].at[0] + offset[0], h = seg[s].at[1] + offset[1], w = seg[s].at[2] + offset[2];
        const int row_inside = d >= 0 && d < image->size[0] && h >= 0 && h < image->size[1];
        const fc_index from = row_inside ? d * image->pitch[0] + h * image->pitch[1] + w : 0;
        for (fc_index i = 0; i < seg[s].count; i += V_LANES) {
            const fc_index first = w + i * step, lanes = FC_WORD(min)(V_LANES, seg[s].count - i);
            const uint32_t bits = row_inside ? FC_WORD(inside)(first, step, image->size[2], lanes) : 0;
            any |= bits;
            FC_WORD(plan_fetch)(f + n++, seg[s].to + i, from + (row_inside ? i * step : 0), bits, step);
        }
    }
    /* Lanes behind the last pixel are multiplied too, though never stored: make them 0, not what memory held. */
    const fc_index reached = f[n - 1].to + V_LANES, last = seg[n_seg - 1].to + seg[n_seg - 1].count;
    if (reached < (last + V_LANES - 1) / V_LANES * V_LANES) FC_WORD(plan_fetch)(f + n++, reached, 0, 0, 1);
    *alive = any != 0;
    return n;
}

/* Vectors of one channel after the other. With n a constant the plan stays in registers, masks above all. */
FC_INLINE real *FC_WORD(copy_vectors)(real *row, const real *image, fc_index channel, fc_index channels,
                                      const FC_WORD(fetch) * plan, const int n, const fc_index step) {
    FC_WORD(fetch) f[4];
    FC_UNROLL
    for (int i = 0; i < n; i++) f[i] = plan[i];
    for (fc_index c = 0; c < channels; c++) {
        FC_UNROLL
        for (int i = 0; i < n; i++) v_store(row + f[i].to, FC_WORD(fetch_vector)(image, &f[i], step));
        row += 2 * V_LANES;
        image += channel;
    }
    return row;
}

FC_INLINE real *FC_WORD(copy_tap)(real *row, const real *image, fc_index channel, fc_index channels,
                                  const FC_WORD(fetch) * f, int n, const fc_index step) {
    switch (n) {
    case 1: return FC_WORD(copy_vectors)(row, image, channel, channels, f, 1, step);
    case 2: return FC_WORD(copy_vectors)(row, image, channel, channels, f, 2, step);
    case 3: return FC_WORD(copy_vectors)(row, image, channel, channels, f, 3, step);
    case 4: return FC_WORD(copy_vectors)(row, image, channel, channels, f, 4, step);
    default: break;
    }
    for (fc_index c = 0; c < channels; c++) {
        for (int i = 0; i < n; i++) v_store(row + f[i].to, FC_WORD(fetch_vector)(image, f + i, step));
        row += 2 * V_LANES;
        image += channel;
    }
    return row;
}

/* The panel, with a constant step where that spares divisions. */
FC_INLINE fc_index FC_WORD(pack_taps)(real *row, const fc_image *image, const fc_index *tap_offset, fc_index taps,
                                      fc_index channels, fc_index pixel, fc_index count, int skip_dead, fc_run *runs,
                                      const fc_index step) {
    FC_WORD(segment) seg[2 * V_LANES];
    FC_WORD(fetch) fetches[2 * V_LANES + 1];
    const int n_seg = FC_WORD(cut)(seg, image, pixel, count);
    fc_index n_runs = 0;
    for (fc_index tap = 0; tap < taps; tap++) {
        int alive;
        const int n = FC_WORD(plan_tap)(fetches, image, seg, n_seg, tap_offset + 3 * tap, step, &alive);
        if (skip_dead && !alive) continue;
        row = FC_WORD(copy_tap)(row, image->pixels, image->channel, channels, fetches, n, step);
        if (n_runs && runs[n_runs - 1].first + runs[n_runs - 1].count == tap * channels)
            runs[n_runs - 1].count += channels;
        else
            runs[n_runs++] = (fc_run){tap * channels, channels};
    }
    return n_runs;
}

static fc_index FC_NAME(pack_panel)(void *panel, const fc_image *image, const fc_index *tap_offset, fc_index taps,
                                    fc_index channels, fc_index pixel, fc_index count, int skip_dead, fc_run *runs) {
#define FC_PACK(step) FC_WORD(pack_taps)(panel, image, tap_offset, taps, channels, pixel, count, skip_dead, runs, step)
    if (image->step[2] == 1) return FC_PACK(1);
    if (image->step[2] == 2) return FC_PACK(2);
    return FC_PACK(image->step[2]);
#undef FC_PACK
}
