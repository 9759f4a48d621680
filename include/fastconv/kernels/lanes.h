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

FC_INLINE void FC_WORD(plan_fetch)(FC_WORD(fetch) * f, fc_index to, fc_index from, uint32_t bits, fc_index step) {
    f->to = to;
    f->from = from;
    f->bits = bits;
    f->mask = f->mask_high = v_mask(bits);
    if (step == 2) { /* lane i is element 2i of the low load; V_LANES/2 + i is element 2i + 1 of the high one */
        uint32_t low = 0, high = 0;
        for (int i = 0; i < V_LANES / 2; i++) {
            low |= (bits >> i & 1) << (2 * i);
            high |= (bits >> (V_LANES / 2 + i) & 1) << (2 * i + 1);
        }
        f->mask = v_mask(low);
        f->mask_high = v_mask(high);
    }
}

FC_INLINE v_t FC_WORD(fetch_vector)(const real *row, const FC_WORD(fetch) * f, fc_index step) {
    const real *p = row + f->from;
    if (step == 1) return v_load_m(p, f->mask);
    if (step == 2) return v_even(v_load_m(p, f->mask), v_load_m(p + V_LANES - 1, f->mask_high));
    real lanes[V_LANES];
    for (int i = 0; i < V_LANES; i++) lanes[i] = f->bits >> i & 1 ? p[i * step] : 0;
    return v_load(lanes);
}
