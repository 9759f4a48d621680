/* pack_panel: gathers the pixels that gemm tiles multiply, tap by tap, with zeros where a tap falls on padding.
 *
 *   panel[k'*pitch + n] = image[c][d*step + origin + off][h*step + origin + off][w*step + origin + off]   n < count
 *   (step, origin and off of the axis)
 *
 *   k = tap*channels + c, off = tap_offset[tap], (d, h, w) = output position of pixel + n; k' counts the rows
 *   written: k without those that are left out.
 *
 * Rows are written as whole vectors. A panel of one tile, pitch two vectors, needs room for another vector behind its
 * last row. A wider one, for up to 16 vectors of short sums, needs it in every row, pitch >= vectors of count + 1, and
 * an image whose output rows are at least two vectors long.
 *
 * The pixels are cut at the ends of output rows, and then into vectors, once for all taps. Which lanes are padding
 * depends on the tap but not on the channel, so it is worked out once per tap and the loop over channels is load,
 * store, load, store. A vector may spill over the end of its output row: what belongs there is written after it.
 */
enum { FC_WORD(panel_vectors) = 2 * V_LANES + 32 }; /* 2 V_LANES of one pixel each, or 16 and an odd one per row end */

/* A vector of pixels, as read by a tap with offset 0. */
typedef struct {
    fc_index to;      /* column of the panel */
    fc_index from;    /* its first pixel in the image */
    fc_index d, h, w; /* input position of its first pixel */
    fc_index count;   /* pixels */
} FC_WORD(pixels);

/* Cuts pixels [pixel, pixel + count) into vectors; returns how many. */
static int FC_WORD(cut)(FC_WORD(pixels) * v, const fc_image *image, fc_index pixel, fc_index count) {
    fc_index w = pixel % image->grid[2], row = pixel / image->grid[2];
    fc_index h = row % image->grid[1], d = row / image->grid[1];
    int n = 0;
    for (fc_index to = 0; to < count; w = 0) {
        const fc_index end = to + FC_WORD(min)(count - to, image->grid[2] - w);
        const fc_index at_d = d * image->step[0] + image->origin[0], at_h = h * image->step[1] + image->origin[1];
        for (; to < end; w += v[n].count, to += v[n++].count) {
            const fc_index at_w = w * image->step[2] + image->origin[2];
            const fc_index from = at_d * image->pitch[0] + at_h * image->pitch[1] + at_w;
            v[n] = (FC_WORD(pixels)){to, from, at_d, at_h, at_w, FC_WORD(min)(V_LANES, end - to)};
        }
        if (++h == image->grid[1]) h = 0, d++;
    }
    return n;
}

/* Plans the vectors of one tap; returns whether any pixel lies inside the image. */
FC_INLINE int FC_WORD(plan_tap)(FC_WORD(fetch) * f, const fc_image *image, const FC_WORD(pixels) * v, const int n,
                                const fc_index *offset, const fc_index step) {
    const fc_index shift = offset[0] * image->pitch[0] + offset[1] * image->pitch[1] + offset[2];
    int alive = 0;
    for (int i = 0; i < n; i++) {
        const fc_index d = v[i].d + offset[0], h = v[i].h + offset[1], w = v[i].w + offset[2];
        const int row_inside = d >= 0 && d < image->size[0] && h >= 0 && h < image->size[1];
        alive |= FC_WORD(plan_fetch)(f + i, v[i].to, v[i].from + shift, w, step, row_inside ? image->size[2] : 0,
                                     v[i].count);
    }
    return alive;
}

/* Vectors of one channel after the other. With n a constant the plan stays in registers, masks above all. */
FC_INLINE void FC_WORD(copy_vectors)(real *row, fc_index pitch, const real *image, fc_index channel, fc_index channels,
                                     const FC_WORD(fetch) * plan, const int n, const fc_index step) {
    FC_WORD(fetch) f[4];
    FC_UNROLL
    for (int i = 0; i < n; i++) f[i] = plan[i];
    for (fc_index c = 0; c < channels; c++) {
        if (n == 4) { /* the next four vectors, most often: 5 to 15% of a 1x1 layer on a Zen 3 */
            const real *next = image + f[0].from + 4 * V_LANES * step;
            FC_UNROLL
            for (int i = 0; i < 4 * V_LANES; i += FC_LINE / (int)sizeof(real)) {
                FC_PREFETCH(next + i);
                if (step > 1) FC_PREFETCH(next + 4 * V_LANES + i);
            }
        }
        FC_UNROLL
        for (int i = 0; i < n; i++) v_store(row + f[i].to, FC_WORD(fetch_vector)(image, &f[i], step));
        row += pitch;
        image += channel;
    }
}

/* The same for vectors of one row of the image that hold no padding: no masks, all of a channel's pixels at once, and
 * those of the next panel fetched. 1x1 layers take up to 22% less time on a Zen 3. */
FC_INLINE void FC_WORD(copy_whole)(real *row, fc_index pitch, const real *image, fc_index channel, fc_index channels,
                                   int n, const fc_index step) {
    for (fc_index c = 0; c < channels; c++) {
        for (int i = 0; i < n; i++) {
            const real *p = image + i * V_LANES * step;
            FC_PREFETCH(p + n * V_LANES * step);
            v_store(row + i * V_LANES, step == 1 ? v_load(p) : v_even(v_load(p), v_load(p + V_LANES - 1)));
        }
        row += pitch;
        image += channel;
    }
}

/* Whether n vectors, as a tap of this offset reads them, lie so. */
FC_INLINE int FC_WORD(is_whole)(const fc_image *image, const FC_WORD(pixels) * v, int n, const fc_index *offset,
                                const fc_index step) {
    const FC_WORD(pixels) *last = v + n - 1;
    const fc_index d = v->d + offset[0], h = v->h + offset[1], w = v->w + offset[2];
    const int one_row = last->d == v->d && last->h == v->h && last->count == V_LANES;
    return one_row && step <= 2 && d >= 0 && d < image->size[0] && h >= 0 && h < image->size[1] && w >= 0 &&
           w + (n * V_LANES - 1) * step < image->size[2];
}

FC_INLINE void FC_WORD(copy_tap)(real *row, fc_index pitch, const real *image, fc_index channel, fc_index channels,
                                 const FC_WORD(fetch) * f, int n, const fc_index step) {
#define FC_COPY(vectors) FC_WORD(copy_vectors)(row, pitch, image, channel, channels, f, vectors, step)
    if (n > 4 && pitch == 2 * V_LANES) { /* many short output rows: their vectors overlap the next channel's */
        for (fc_index c = 0; c < channels; c++) {
            for (int i = 0; i < n; i++) v_store(row + f[i].to, FC_WORD(fetch_vector)(image, f + i, step));
            row += pitch;
            image += channel;
        }
        return;
    }
    for (; n > 4; n -= 4, f += 4) FC_COPY(4);
    switch (n) {
    case 1: FC_COPY(1); break;
    case 2: FC_COPY(2); break;
    case 3: FC_COPY(3); break;
    default: FC_COPY(4); break;
    }
#undef FC_COPY
}

/* Adds rows [first, first + count) to the runs, of which there are n; returns how many there are now. */
FC_INLINE fc_index FC_WORD(add_run)(fc_run *runs, fc_index n, fc_index first, fc_index count) {
    if (n && runs[n - 1].first + runs[n - 1].count == first)
        runs[n - 1].count += count;
    else
        runs[n++] = (fc_run){first, count};
    return n;
}

FC_INLINE fc_index FC_WORD(pack_taps)(real *row, fc_index pitch, const fc_image *image, const fc_index *tap_offset,
                                      fc_index taps, fc_index channels, const FC_WORD(pixels) * v, const int n,
                                      int skip_dead, fc_run *runs, const fc_index step) {
    FC_WORD(fetch) fetches[FC_WORD(panel_vectors)];
    /* Lanes behind the last pixel are multiplied too, though never stored: make them 0, not what memory held. */
    const fc_index reached = v[n - 1].to + V_LANES, end = v[n - 1].to + v[n - 1].count + V_LANES - 1;
    const int fill = reached < end / V_LANES * V_LANES;
    fc_index n_runs = 0;
    if (fill) FC_WORD(plan_fetch)(fetches + n, reached, 0, 0, step, 0, V_LANES);
    for (fc_index tap = 0; tap < taps; tap++) {
        const fc_index *offset = tap_offset + 3 * tap;
        if (FC_WORD(is_whole)(image, v, n, offset, step)) {
            const fc_index at = v->from + offset[0] * image->pitch[0] + offset[1] * image->pitch[1] + offset[2];
            FC_WORD(copy_whole)(row, pitch, (const real *)image->pixels + at, image->channel, channels, n, step);
        } else {
            if (!FC_WORD(plan_tap)(fetches, image, v, n, offset, step) && skip_dead) continue;
            FC_WORD(copy_tap)(row, pitch, image->pixels, image->channel, channels, fetches, n + fill, step);
        }
        row += channels * pitch;
        n_runs = FC_WORD(add_run)(runs, n_runs, tap * channels, channels);
    }
    return n_runs;
}

static fc_index FC_NAME(pack_panel)(void *panel, fc_index pitch, const fc_image *image, const fc_index *tap_offset,
                                    fc_index taps, fc_index channels, fc_index pixel, fc_index count, int skip_dead,
                                    fc_run *runs) {
    FC_WORD(pixels) v[FC_WORD(panel_vectors)];
    const int n = FC_WORD(cut)(v, image, pixel, count);
#define FC_PACK(step) FC_WORD(pack_taps)(panel, pitch, image, tap_offset, taps, channels, v, n, skip_dead, runs, step)
    if (image->step[2] == 1) return FC_PACK(1);
    if (image->step[2] == 2) return FC_PACK(2);
    return FC_PACK(image->step[2]);
#undef FC_PACK
}
