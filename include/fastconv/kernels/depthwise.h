/* depthwise: each lane is a channel with kernels of its own (blocks.h), so that rows may be as short as they like and
 * a stride is a step of addresses. Channels may see those of a group of 1, 2, 4 or 8, as many outputs as inputs.
 *
 *   y[p*y_step + b*L + i] = bias[b*L + i]
 *                           + sum_t sum_j w[b*w_block + w_at[t] + j*L + i] * x[p*x_step + b*L + at[t] + (i ^ gray(j))]
 *
 *   for p < count, b < blocks, i < L = V_LANES, t < taps, j < group <= L
 *
 * A tile of pixels is in registers; a tap's weights are loaded once for it. From one j to the next, lanes change places
 * with neighbours, which is one shuffle: gray(j) = j ^ j/2 differs from gray(j + 1) in one bit. All blocks of a tile
 * follow one another, as they lie: pixels a power of two of bytes apart meet in few sets of L1, and would be read from
 * L2 again for each block.
 */
#if FC_IS_F32 /* float64 is always direct */
enum { FC_WORD(depthwise_tile) = V_REGISTERS == 32 ? 14 : 8 };

/* How many of the taps read neighbouring pixels, each one further. */
FC_INLINE fc_index FC_WORD(depthwise_run)(fc_index taps, const fc_index *at, fc_index x_step) {
    fc_index n = 1;
    while (n < taps && at[n] - at[n - 1] == x_step) n++;
    return n;
}

/* Such taps at once: each pixel is loaded once for all of them. */
FC_INLINE void FC_WORD(depthwise_taps)(const int pixels, const int taps, v_t *acc, const real *x, fc_index x_step,
                                       const real *w, const fc_index *w_at) {
    v_t weight[7];
    FC_UNROLL
    for (int t = 0; t < taps; t++) weight[t] = v_load_once(w + w_at[t]);
    FC_UNROLL
    for (int p = 0; p < pixels + taps - 1; p++) {
        const v_t seen = v_load_once(x + p * x_step);
        FC_UNROLL
        for (int t = 0; t < taps; t++)
            if (p - t >= 0 && p - t < pixels) acc[p - t] = v_fma(weight[t], seen, acc[p - t]);
    }
}

/* One tap, of all channels of the group. */
FC_INLINE void FC_WORD(depthwise_tap)(const int pixels, const int group, v_t *acc, const real *x, fc_index x_step,
                                      const real *w) {
    v_t seen[FC_WORD(depthwise_tile)];
    FC_UNROLL
    for (int j = 0; j < group; j++) {
        const v_t weight = v_load_once(w + j * V_LANES);
        FC_UNROLL
        for (int p = 0; p < pixels; p++) {
            seen[p] = j == 0 ? v_load(x + p * x_step) : v_swap(seen[p], j & -j);
            acc[p] = v_fma(weight, seen[p], acc[p]);
        }
    }
}

/* All taps of a tile. They come in runs of `some` neighbours; 0 stands for runs of any length, which take longer to
 * find. */
FC_INLINE void FC_WORD(depthwise_taps_of)(const int pixels, const int group, const int some, v_t *acc, const real *x,
                                          fc_index x_step, fc_index taps, const fc_index *at, const real *w,
                                          const fc_index *w_at) {
    for (fc_index t = 0; t < taps;) {
        const fc_index n = some ? some : FC_WORD(depthwise_run)(taps - t, at + t, x_step);
        const real *from = x + at[t];
#define FC_TAPS(n) FC_WORD(depthwise_taps)(pixels, n, acc, from, x_step, w, w_at + t), t += n
        if (n >= 7)
            FC_TAPS(7);
        else if (n >= 5)
            FC_TAPS(5);
        else if (n >= 3)
            FC_TAPS(3);
        else if (n == 2)
            FC_TAPS(2);
        else
            FC_WORD(depthwise_tap)(pixels, group, acc, from, x_step, w + w_at[t]), t++;
#undef FC_TAPS
    }
}

FC_INLINE void FC_WORD(depthwise_pixels)(const int pixels, const int group, const int some, real *y, fc_index y_step,
                                         const real *x, fc_index x_step, fc_index taps, const fc_index *at,
                                         const real *w, const fc_index *w_at, v_t start) {
    v_t acc[FC_WORD(depthwise_tile)];
    FC_UNROLL
    for (int p = 0; p < pixels; p++) acc[p] = start;
    FC_WORD(depthwise_taps_of)(pixels, group, some, acc, x, x_step, taps, at, w, w_at);
    FC_UNROLL
    for (int p = 0; p < pixels; p++) v_store(y + p * y_step, acc[p]);
}

/* Tiles of n pixels while there are as many, and one more for more than `least`, which ends at the last pixel and
 * computes some for the second time: half a tile takes as long as fewer pixels, which wait for their own sums. */
#define FC_TILES_OF(size, least, ...)                                                                                  \
    while (count >= (size) || (count > (least) && all >= (size))) {                                                    \
        const int n = size;                                                                                            \
        const fc_index again = count < n ? n - count : 0;                                                              \
        x -= again * x_step, y -= again * y_step;                                                                      \
        __VA_ARGS__;                                                                                                   \
        x += n * x_step, y += n * y_step, count -= n - again;                                                          \
    }
#define FC_TILES(size, ...)                                                                                            \
    FC_TILES_OF(size, (size) / 2, __VA_ARGS__)                                                                         \
    FC_TILES_OF((size) / 2, 0, __VA_ARGS__)                                                                            \
    FC_TILES_OF(3, 0, __VA_ARGS__)                                                                                     \
    FC_TILES_OF(1, 0, __VA_ARGS__)

FC_INLINE void FC_WORD(depthwise_row)(const int group, const int some, real *y, fc_index y_step, fc_index count,
                                      const real *x, fc_index x_step, fc_index blocks, fc_index taps,
                                      const fc_index *at, const real *w, fc_index w_block, const fc_index *w_at,
                                      const real *bias) {
    const int tile = V_REGISTERS == 16 && group > 1 ? 7 : FC_WORD(depthwise_tile); /* each pixel changes lanes */
    const fc_index end = blocks * V_LANES, all = count;
    FC_TILES(tile, for (fc_index i = 0, k = 0; i < end; i += V_LANES, k += w_block) FC_WORD(depthwise_pixels)(
                       n, group, some, y + i, y_step, x + i, x_step, taps, at, w + k, w_at, v_load(bias + i)))
}

/* The most taps, of 7, 5 or 3, that all runs can be cut into; or 1 if no run has as many, or 0. */
FC_INLINE int FC_WORD(depthwise_some)(fc_index taps, const fc_index *at, fc_index x_step) {
    fc_index rest[3] = {0, 0, 0}, longest = 1;
    for (fc_index t = 0, run; t < taps; t += run) {
        run = FC_WORD(depthwise_run)(taps - t, at + t, x_step);
        for (int i = 0; i < 3; i++) rest[i] += run % (7 - 2 * i);
        if (run > longest) longest = run;
    }
    if (longest < 3) return 1;
    for (int i = 0; i < 3; i++)
        if (rest[i] == 0) return 7 - 2 * i;
    return 0;
}

static void FC_NAME(depthwise)(void *y, fc_index y_step, fc_index count, const void *x, fc_index x_step,
                               fc_index blocks, fc_index group, fc_index taps, const fc_index *at, const void *w,
                               fc_index w_block, const fc_index *w_at, const void *bias) {
    const int some = group == 1 ? FC_WORD(depthwise_some)(taps, at, x_step) : 1;
#define FC_ROW(group, some)                                                                                            \
    FC_WORD(depthwise_row)(group, some, y, y_step, count, x, x_step, blocks, taps, at, w, w_block, w_at, bias)
    if (some == 7)
        FC_ROW(1, 7);
    else if (some == 5)
        FC_ROW(1, 5);
    else if (some == 3)
        FC_ROW(1, 3);
    else if (some == 0)
        FC_ROW(1, 0);
    else if (group == 1)
        FC_ROW(1, 1);
    else if (group == 2)
        FC_ROW(2, 1);
    else if (group == 4)
        FC_ROW(4, 1);
#if FC_ROWS > 4 /* 4 lanes in the baseline, 8 with AVX2, 16 with AVX-512 */
    else if (group == 8)
        FC_ROW(8, 1);
#endif
#undef FC_ROW
}

/* depthwise_sums: one output of all channels, whose products are added up at last.
 *
 *   y[p*y_step] = bias + sum_b sum_t sum_i w[b*w_block + w_at[t] + i] * x[p*x_step + b*L + at[t] + i]
 *
 * Lanes are added up as in sums.h.
 */
FC_INLINE void FC_WORD(summed_pixels)(const int pixels, const int some, real *y, fc_index y_step, const real *x,
                                      fc_index x_step, fc_index blocks, fc_index taps, const fc_index *at,
                                      const real *w, fc_index w_block, const fc_index *w_at, real bias) {
    v_t acc[(FC_WORD(depthwise_tile) + V_LANES - 1) / V_LANES * V_LANES];
    FC_UNROLL
    for (int p = 0; p < pixels; p++) acc[p] = v_zero();
    for (fc_index b = 0; b < blocks; b++)
        FC_WORD(depthwise_taps_of)(pixels, 1, some, acc, x + b * V_LANES, x_step, taps, at, w + b * w_block, w_at);
    FC_UNROLL
    for (int first = 0; first < pixels; first += V_LANES) {
        real sums[V_LANES];
        FC_UNROLL
        for (int p = pixels; p < first + V_LANES; p++) acc[p] = v_zero();
        v_store(sums, v_add(v_set1(bias), FC_WORD(add_lanes)(acc + first)));
        FC_UNROLL
        for (int p = 0; p < V_LANES; p++)
            if (first + p < pixels) y[(first + p) * y_step] = sums[p];
    }
}

FC_INLINE void FC_WORD(summed_row)(const int some, real *y, fc_index y_step, fc_index count, const real *x,
                                   fc_index x_step, fc_index blocks, fc_index taps, const fc_index *at, const real *w,
                                   fc_index w_block, const fc_index *w_at, real bias) {
    const fc_index all = count;
    FC_TILES(FC_WORD(depthwise_tile),
             FC_WORD(summed_pixels)(n, some, y, y_step, x, x_step, blocks, taps, at, w, w_block, w_at, bias))
}

static void FC_NAME(depthwise_sums)(void *y, fc_index y_step, fc_index count, const void *x, fc_index x_step,
                                    fc_index blocks, fc_index taps, const fc_index *at, const void *w, fc_index w_block,
                                    const fc_index *w_at, const void *bias) {
    const int some = FC_WORD(depthwise_some)(taps, at, x_step);
#define FC_ROW(some)                                                                                                   \
    FC_WORD(summed_row)(some, y, y_step, count, x, x_step, blocks, taps, at, w, w_block, w_at, *(const real *)bias)
    if (some == 7)
        FC_ROW(7);
    else if (some == 5)
        FC_ROW(5);
    else if (some == 3)
        FC_ROW(3);
    else if (some == 1)
        FC_ROW(1);
    else
        FC_ROW(0);
#undef FC_ROW
}
#undef FC_TILES
#undef FC_TILES_OF
#endif
