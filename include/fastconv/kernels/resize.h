/* resize_row: a row at other positions, each between two of its pixels.
 *
 *   y[j] = w[j] * x[at[j]] + w[count + j] * x[at[count + j]]      j < count
 */
static void FC_NAME(resize_row)(void *restrict y, const void *restrict x, const fc_index *restrict at,
                                const void *restrict w, fc_index count) {
    real *restrict to = y;
    const real *restrict from = x, *restrict weight = w;
    for (fc_index j = 0; j < count; j++) to[j] = weight[j] * from[at[j]] + weight[count + j] * from[at[count + j]];
}
