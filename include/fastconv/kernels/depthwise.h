/* depthwise: each lane is a channel with a kernel of its own (blocks.h), so that rows may be as short as they like and
 * a stride is a step of addresses.
 *
 *   y[p*y_step + i] = bias[i] + sum_t w[w_at[t] + i] * x[p*x_step + at[t] + i]      p < count, i < V_LANES, t < taps
 *
 * A tile of pixels is in registers; a tap's weights are loaded once for it, pixels are operands in memory.
 */
enum { FC_WORD(depthwise_tile) = V_REGISTERS == 32 ? 14 : 7 };

FC_INLINE void FC_WORD(depthwise_pixels)(const int pixels, real *y, fc_index y_step, const real *x, fc_index x_step,
                                         fc_index taps, const fc_index *at, const real *w, const fc_index *w_at,
                                         v_t start) {
    v_t acc[FC_WORD(depthwise_tile)];
    FC_UNROLL
    for (int p = 0; p < pixels; p++) acc[p] = start;
    for (fc_index t = 0; t < taps; t++) {
        const v_t weight = v_load_once(w + w_at[t]);
        const real *from = x + at[t];
        FC_UNROLL
        for (int p = 0; p < pixels; p++) acc[p] = v_fma(weight, v_load(from + p * x_step), acc[p]);
    }
    FC_UNROLL
    for (int p = 0; p < pixels; p++) v_store(y + p * y_step, acc[p]);
}

static void FC_NAME(depthwise)(void *y, fc_index y_step, fc_index count, const void *x, fc_index x_step, fc_index taps,
                               const fc_index *at, const void *w, const fc_index *w_at, const void *bias) {
    const v_t start = v_load(bias);
    const real *from = x;
    real *to = y;
#define FC_PIXELS(n)                                                                                                   \
    for (; count >= (n); count -= (n), from += (n) * x_step, to += (n) * y_step)                                       \
    FC_WORD(depthwise_pixels)(n, to, y_step, from, x_step, taps, at, w, w_at, start)
    FC_PIXELS(FC_WORD(depthwise_tile));
    FC_PIXELS(FC_WORD(depthwise_tile) / 2);
    FC_PIXELS(3);
    FC_PIXELS(1);
#undef FC_PIXELS
}
