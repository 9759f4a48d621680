/* permute: bytes of a row of pixels change places, where channels lie side by side (fastconv/_permutation.py).
 *
 *   to[r][g*to_step + i] = from[s][g*from_step + j]     g: groups of `pixels` pixels, i < to_run, j < from_run
 *
 * A group is cut into tiles: some loads of B_UNIT bytes, and some stores, each picked from all of those loads by masks.
 * The groups of a row go through one tile after the other, its masks in registers. A run shorter than a unit has one
 * store, which spoils what the next group makes good; so the last group, and what is left of one, take their way
 * through a buffer.
 */
/* The vocabulary beside that of shuffle.h, in simd/bytes_<isa>.h: u_t, a vector of one unit.
 *   u_load(p)  u_store(p, v)  u_pick(v, m)  u_put(out, v, m)
 */
enum { FC_PASTE(tile_side__, FC_ISA, , , ) = 4 }; /* loads and stores of a tile: 16 masks, 4 vectors and one to fill */

FC_INLINE void FC_PASTE(permute_tile__, FC_ISA, , , )(const int loads, const int stores, void *const *to,
                                                      const void *const *from, const fc_index *places,
                                                      const unsigned char *masks, fc_index groups,
                                                      const fc_permutation *plan) {
    const unsigned char *read[FC_PASTE(tile_side__, FC_ISA, , , )];
    unsigned char *written[FC_PASTE(tile_side__, FC_ISA, , , )];
    u_t x[FC_PASTE(tile_side__, FC_ISA, , , )];
    u_t mask[FC_PASTE(tile_side__, FC_ISA, , , ) * FC_PASTE(tile_side__, FC_ISA, , , )];
    const fc_permutation kept = *plan;
    FC_UNROLL
    for (int i = 0; i < loads; i++) read[i] = (const unsigned char *)from[places[2 * i]] + places[2 * i + 1];
    places += 2 * loads;
    FC_UNROLL
    for (int i = 0; i < stores; i++) written[i] = (unsigned char *)to[places[2 * i]] + places[2 * i + 1];
    FC_UNROLL
    for (int i = 0; i < loads * stores; i++) mask[i] = u_load(masks + B_UNIT * i);
    for (fc_index g = 0; g < groups; g++)
        for (fc_index b = 0; b < kept.blocks; b++) {
            const fc_index from_at = g * kept.from_step + b * kept.from_block;
            const fc_index to_at = g * kept.to_step + b * kept.to_block;
            FC_UNROLL
            for (int i = 0; i < loads; i++) x[i] = u_load(read[i] + from_at);
            FC_UNROLL
            for (int s = 0; s < stores; s++) {
                u_t out = u_pick(x[0], mask[s * loads]);
                FC_UNROLL
                for (int i = 1; i < loads; i++) out = u_put(out, x[i], mask[s * loads + i]);
                u_store(written[s] + to_at, out);
            }
        }
}

/* One store of any number of loads. */
static void FC_PASTE(permute_many__, FC_ISA, , , )(fc_index loads, void *const *to, const void *const *from,
                                                   const fc_index *places, const unsigned char *masks, fc_index groups,
                                                   const fc_permutation *plan) {
    for (fc_index g = 0; g < groups; g++)
        for (fc_index b = 0; b < plan->blocks; b++) {
            const fc_index at = g * plan->from_step + b * plan->from_block;
            u_t out = u_pick(u_load((const unsigned char *)from[places[0]] + at + places[1]), u_load(masks));
            for (fc_index i = 1; i < loads; i++)
                out = u_put(out, u_load((const unsigned char *)from[places[2 * i]] + at + places[2 * i + 1]),
                            u_load(masks + B_UNIT * i));
            u_store((unsigned char *)to[places[2 * loads]] + places[2 * loads + 1] + g * plan->to_step +
                        b * plan->to_block,
                    out);
        }
}

static void FC_PASTE(permute_groups__, FC_ISA, , , )(void *const *to, const void *const *from, fc_index groups,
                                                     const fc_permutation *plan) {
    const fc_index *places = plan->places;
    const unsigned char *masks = plan->masks;
    for (fc_index tile = 0; tile < plan->tiles; tile++) {
        const fc_index loads = *places++, stores = *places++;
        switch (loads > FC_PASTE(tile_side__, FC_ISA, , , ) ? 0 : 4 * loads + stores) {
#define FC_CASE(loads, stores)                                                                                         \
    case 4 * (loads) + (stores):                                                                                       \
        FC_PASTE(permute_tile__, FC_ISA, , , )(loads, stores, to, from, places, masks, groups, plan);                  \
        break;
#define FC_CASES(loads) FC_CASE(loads, 1) FC_CASE(loads, 2) FC_CASE(loads, 3) FC_CASE(loads, 4)
            FC_CASES(1)
            FC_CASES(2)
            FC_CASES(3)
            FC_CASES(4)
#undef FC_CASES
#undef FC_CASE
        default: FC_PASTE(permute_many__, FC_ISA, , , )(loads, to, from, places, masks, groups, plan);
        }
        places += 2 * (loads + stores);
        masks += B_UNIT * loads * stores;
    }
}

static void FC_KERNEL_NAME(bytes, permute, FC_ISA)(void *const *to, const void *const *from, fc_index pixels,
                                                   const fc_permutation *plan) {
    const int spoils = plan->to_run < B_UNIT || plan->from_run < B_UNIT;
    const fc_index groups = pixels > 0 ? (pixels - spoils) / plan->pixels : 0;
    FC_PASTE(permute_groups__, FC_ISA, , , )(to, from, groups, plan);
    const fc_index left = pixels - groups * plan->pixels;
    if (!left) return;
    unsigned char in[FC_MAX_RUNS * B_UNIT], out[FC_MAX_RUNS * B_UNIT];
    const void *read[FC_MAX_RUNS];
    void *written[FC_MAX_RUNS];
    const fc_index in_pitch = plan->from_run > B_UNIT ? plan->from_run : B_UNIT;
    const fc_index out_pitch = plan->to_run > B_UNIT ? plan->to_run : B_UNIT;
    for (fc_index r = 0; r < plan->from_runs; r++) {
        read[r] = in + r * in_pitch;
        memset(in + r * in_pitch, 0, (size_t)in_pitch);
        memcpy(in + r * in_pitch, (const unsigned char *)from[r] + groups * plan->from_step,
               (size_t)(plan->from_run / plan->pixels * left));
    }
    for (fc_index r = 0; r < plan->to_runs; r++) written[r] = out + r * out_pitch;
    FC_PASTE(permute_groups__, FC_ISA, , , )(written, read, 1, plan);
    for (fc_index r = 0; r < plan->to_runs; r++)
        memcpy((unsigned char *)to[r] + groups * plan->to_step, written[r],
               (size_t)(plan->to_run / plan->pixels * left));
}
