/* pack_weights: the rows of one gemm tile side by side, in the order in which the tile multiplies them.
 *
 *   a[k*rows + r] = w[ row_offset[r] + k_offset[k] ]     k < count, r < rows
 *
 * Returns nonzero if one of them is NaN or infinite: then no product with a padding zero may be left out.
 */
static int FC_NAME(pack_weights)(void *a, const void *w, fc_index rows, const fc_index *row_offset, fc_index count,
                                 const fc_index *k_offset) {
    real *to = a;
    const real *from = w;
    int bad = 0;
    for (fc_index k = 0; k < count; k++) {
        for (fc_index r = 0; r < rows; r++) {
            const real x = from[row_offset[r] + k_offset[k]];
            bad |= !(x - x == 0);
            *to++ = x;
        }
    }
    return bad;
}
