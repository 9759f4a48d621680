/* depthwise: each lane is a channel with kernels of its own (blocks.h), so that rows may be as short as they like and
 * a stride is a step of addresses. Channels may see those of a group of 1, 2, 4 or 8, as many outputs as inputs.
 *
 *   y[p*y_step + i] = bias[i] + sum_t sum_j w[w_at[t] + j*V_LANES + i] * x[p*x_step + at[t] + (i ^ gray(j))]
 *
 *   for p < count, i < V_LANES, t < taps, j < group <= V_LANES
 *
 * A tile of pixels is in registers; a tap's weights are loaded once for it. From one j to the next, lanes change places
 * with neighbours, which is one shuffle: gray(j) = j ^ j/2 differs from gray(j + 1) in one bit.
 */
#if FC_IS_F32 /* float64 is always direct */
enum { FC_WORD(depthwise_tile) = V_REGISTERS == 32 ? 14 : 7 };

/* How many of the taps read neighbouring pixels, each one further. */
FC_INLINE fc_index FC_WORD(depthwise_run)(fc_index taps, const fc_index *at, fc_index x_step) {
    fc_index n = 1;
    while (n < taps && at[n] - at[n - 1] == x_step) n++;
    return n;
}

/* Such taps at once: each pixel is loaded once for all of them, as in a row of pixels p, the next tap wants p + 1. */
FC_INLINE void FC_WORD(depthwise_taps)(const int pixels, const int taps, v_t *acc, const real *x, fc_index x_step,
                                       const real *w, const fc_index *w_at) {
    v_t weight[7];
    FC_UNROLL
    for (int t = 0; t < taps; t++) weight[t] = v_load_once(w + w_at[t]);
    FC_UNROLL
    for (int p = 0; p < pixels + taps - 1; p++) {
        const v_t seen = v_load(x + p * x_step);
        FC_UNROLL
        for (int t = 0; t < taps; t++)
            if (p - t >= 0 && p - t < pixels) acc[p - t] = v_fma(weight[t], seen, acc[p - t]);
    }
}

FC_INLINE void FC_WORD(depthwise_pixels)(const int pixels, const int group, const int runs, real *y, fc_index y_step,
                                         const real *x, fc_index x_step, fc_index taps, const fc_index *at,
                                         const real *w, const fc_index *w_at, v_t start) {
    v_t acc[FC_WORD(depthwise_tile)], seen[FC_WORD(depthwise_tile)];
    FC_UNROLL
    for (int p = 0; p < pixels; p++) acc[p] = start;
    for (fc_index t = 0; t < taps; t++) {
        const real *from = x + at[t];
        if (runs && pixels > 3) {
            const fc_index run = FC_WORD(depthwise_run)(taps - t, at + t, x_step);
#define FC_TAPS(n)                                                                                                     \
    if (run >= (n)) {                                                                                                  \
        FC_WORD(depthwise_taps)(pixels, n, acc, from, x_step, w, w_at + t);                                            \
        t += (n) - 1;                                                                                                  \
        continue;                                                                                                      \
    }
            FC_TAPS(7)
            FC_TAPS(5)
            FC_TAPS(3)
            FC_TAPS(2)
#undef FC_TAPS
        }
        FC_UNROLL
        for (int j = 0; j < group; j++) {
            const v_t weight = v_load_once(w + w_at[t] + j * V_LANES);
            FC_UNROLL
            for (int p = 0; p < pixels; p++) {
                seen[p] = j == 0 ? v_load(from + p * x_step) : v_swap(seen[p], j & -j);
                acc[p] = v_fma(weight, seen[p], acc[p]);
            }
        }
    }
    FC_UNROLL
    for (int p = 0; p < pixels; p++) v_store(y + p * y_step, acc[p]);
}

FC_INLINE void FC_WORD(depthwise_row)(const int group, const int runs, real *y, fc_index y_step, fc_index count,
                                      const real *x, fc_index x_step, fc_index taps, const fc_index *at, const real *w,
                                      const fc_index *w_at, const real *bias) {
    const v_t start = v_load(bias);
    /* Tiles of n pixels while there are as many, and one more for more than `least`, which ends at the last pixel and
     * computes some for the second time: half a tile takes as long as fewer pixels, which wait for their own sums. */
#define FC_PIXELS(n, least)                                                                                            \
    for (; count >= (n); count -= (n), x += (n) * x_step, y += (n) * y_step)                                           \
        FC_WORD(depthwise_pixels)(n, group, runs, y, y_step, x, x_step, taps, at, w, w_at, start);                     \
    if (count > (least) && done >= (n)) {                                                                              \
        x -= ((n) - count) * x_step, y -= ((n) - count) * y_step;                                                      \
        FC_WORD(depthwise_pixels)(n, group, runs, y, y_step, x, x_step, taps, at, w, w_at, start);                     \
        return;                                                                                                        \
    }
    const fc_index done = count; /* all of them, in the end */
    FC_PIXELS(FC_WORD(depthwise_tile), FC_WORD(depthwise_tile) / 2);
    FC_PIXELS(FC_WORD(depthwise_tile) / 2, 0);
    FC_PIXELS(3, 0);
    FC_PIXELS(1, 0);
#undef FC_PIXELS
}

static void FC_NAME(depthwise)(void *y, fc_index y_step, fc_index count, const void *x, fc_index x_step, fc_index group,
                               fc_index taps, const fc_index *at, const void *w, const fc_index *w_at,
                               const void *bias) {
    fc_index run = 0;
    if (group == 1)
        for (fc_index t = 0; t < taps && run < 3; t += run) run = FC_WORD(depthwise_run)(taps - t, at + t, x_step);
    switch (run >= 3 ? 0 : group) {
    case 0: FC_WORD(depthwise_row)(1, 1, y, y_step, count, x, x_step, taps, at, w, w_at, bias); break;
#define FC_GROUP(n)                                                                                                    \
    case n: FC_WORD(depthwise_row)(n, 0, y, y_step, count, x, x_step, taps, at, w, w_at, bias); break;
        FC_GROUP(1)
        FC_GROUP(2)
        FC_GROUP(4)
#if FC_ROWS > 4 /* 4 lanes in the baseline, 8 with AVX2, 16 with AVX-512 */
        FC_GROUP(8)
#endif
#undef FC_GROUP
    default: break;
    }
}
#endif
