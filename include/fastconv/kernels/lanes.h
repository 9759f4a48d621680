/* Which lanes of a vector of pixels lie inside the image, and how they are fetched: shared by panel.h and strip.h.
 *
 * Lane i of a fetch is row[first + i*step] if that index is in [0, width), else 0. Steps 1 and 2 are vector loads.
 */
FC_INLINE fc_index FC_WORD(min)(fc_index a, fc_index b) { return a < b ? a : b; }
FC_INLINE fc_index FC_WORD(max)(fc_index a, fc_index b) { return a > b ? a : b; }

/* Bit i is on where first + i*step lies in [0, width), for i < lanes <= 32. */
FC_INLINE uint32_t FC_WORD(inside)(fc_index first, fc_index step, fc_index width, fc_index lanes) {
    fc_index lo = 0, hi = lanes;
    if (first >= width) return 0;
    if (first < 0) lo = FC_WORD(min)(lanes, (-first - 1) / step + 1);
    if (first + (lanes - 1) * step >= width) hi = (width - 1 - first) / step + 1;
    return (uint32_t)((((uint64_t)1 << hi) - 1) & ~(((uint64_t)1 << lo) - 1));
}

/* How one vector is fetched. For step 2 the two loads of v_even have a mask each. */
typedef struct {
    fc_index to, from; /* offsets in the destination row and in the image */
    uint32_t bits;
    m_t mask, mask_high;
} FC_WORD(fetch);

/* Plans `count` lanes from input position w on; returns whether any of them lies in [0, width).
 *
 * No branches for steps 1 and 2: a plan is made for each tap and serves few channels where a layer has few. Step 2
 * loads the odd positions between its lanes as well, where they lie in the row.
 */
FC_INLINE int FC_WORD(plan_fetch)(FC_WORD(fetch) * f, fc_index to, fc_index from, fc_index w, const fc_index step,
                                  fc_index width, fc_index count) {
    f->to = to;
    if (step > 2) {
        f->bits = FC_WORD(inside)(w, step, width, count);
        f->from = f->bits ? from : 0;
        return f->bits != 0;
    }
    const fc_index lo = FC_WORD(min)(FC_WORD(max)(-w, 0), 2 * V_LANES);
    const fc_index hi = FC_WORD(max)(FC_WORD(min)(width - w, (count - 1) * step + 1), lo);
    const uint64_t bits = ((uint64_t)1 << hi) - ((uint64_t)1 << lo);
    f->from = bits ? from : 0;
    f->mask = v_mask((uint32_t)(bits & (((uint64_t)1 << V_LANES) - 1)));
    if (step == 1) return bits != 0;
    f->mask_high = v_mask((uint32_t)(bits >> (V_LANES - 1)));
    return (bits & 0x5555555555555555) != 0;
}

FC_INLINE v_t FC_WORD(fetch_vector)(const real *row, const FC_WORD(fetch) * f, fc_index step) {
    const real *p = row + f->from;
    if (step == 1) return v_load_m(p, f->mask);
    if (step == 2) return v_even(v_load_m(p, f->mask), v_load_m(p + V_LANES - 1, f->mask_high));
    real lanes[V_LANES];
    for (int i = 0; i < V_LANES; i++) lanes[i] = f->bits >> i & 1 ? p[i * step] : 0;
    return v_load(lanes);
}
