/* The tiles of permute.h for one kind of unit, U_KIND, of U_UNIT bytes, with its vocabulary. Included once for each.
 *
 *   u_load(p)  u_store(p, v)
 *   u_pick(v, m)         what mask m takes from v
 *   u_put(out, v, m)     ... put into out
 */
#define FC_UNIT(name) FC_PASTE(name##_, U_KIND, __, FC_ISA, )

/* With `each`, every store has loads of its own; else all of them pick from the same. */
FC_INLINE void FC_UNIT(permute_tile)(const int loads, const int stores, const int each, void *const *to,
                                     const void *const *from, const fc_index *places, const unsigned char *masks,
                                     fc_index groups, const fc_permutation *plan) {
    const int all = each ? loads * stores : loads;
    const unsigned char *read[16];
    unsigned char *written[4];
    u_t x[16], mask[16];
    const fc_permutation kept = *plan;
    FC_UNROLL
    for (int i = 0; i < all; i++) read[i] = (const unsigned char *)from[places[2 * i]] + places[2 * i + 1];
    places += 2 * all;
    FC_UNROLL
    for (int i = 0; i < stores; i++) written[i] = (unsigned char *)to[places[2 * i]] + places[2 * i + 1];
    FC_UNROLL
    for (int i = 0; i < loads * stores; i++) mask[i] = u_load(masks + U_UNIT * i);
    for (fc_index g = 0; g < groups; g++)
        for (fc_index b = 0; b < kept.blocks; b++) {
            const fc_index from_at = g * kept.from_step + b * kept.from_block;
            const fc_index to_at = g * kept.to_step + b * kept.to_block;
            FC_UNROLL
            for (int i = 0; i < all; i++) x[i] = u_load(read[i] + from_at);
            FC_UNROLL
            for (int s = 0; s < stores; s++) {
                const u_t *seen = each ? x + s * loads : x;
                u_t out = u_pick(seen[0], mask[s * loads]);
                FC_UNROLL
                for (int i = 1; i < loads; i++) out = u_put(out, seen[i], mask[s * loads + i]);
                u_store(written[s] + to_at, out);
            }
        }
}

/* One store of any number of loads, for some groups: each waits for its own last mask alone. */
FC_INLINE void FC_UNIT(permute_loads)(fc_index loads, const int groups, unsigned char *to, const void *const *from,
                                      fc_index from_at, const fc_index *places, const unsigned char *masks,
                                      const fc_permutation *plan) {
    const unsigned char *read = (const unsigned char *)from[places[0]] + places[1] + from_at;
    u_t out[4], mask = u_load(masks);
    FC_UNROLL
    for (int g = 0; g < groups; g++) out[g] = u_pick(u_load(read + g * plan->from_step), mask);
    for (fc_index i = 1; i < loads; i++) {
        read = (const unsigned char *)from[places[2 * i]] + places[2 * i + 1] + from_at;
        mask = u_load(masks + U_UNIT * i);
        FC_UNROLL
        for (int g = 0; g < groups; g++) out[g] = u_put(out[g], u_load(read + g * plan->from_step), mask);
    }
    FC_UNROLL
    for (int g = 0; g < groups; g++) u_store(to + g * plan->to_step, out[g]);
}

static void FC_UNIT(permute_many)(fc_index loads, void *const *to, const void *const *from, const fc_index *places,
                                  const unsigned char *masks, fc_index groups, const fc_permutation *plan) {
    unsigned char *first = (unsigned char *)to[places[2 * loads]] + places[2 * loads + 1];
    for (fc_index g = 0, n; g < groups; g += n) {
        n = g + 4 <= groups ? 4 : 1;
        for (fc_index b = 0; b < plan->blocks; b++) {
            unsigned char *at = first + g * plan->to_step + b * plan->to_block;
            const fc_index from_at = g * plan->from_step + b * plan->from_block;
            if (n == 4)
                FC_UNIT(permute_loads)(loads, 4, at, from, from_at, places, masks, plan);
            else
                FC_UNIT(permute_loads)(loads, 1, at, from, from_at, places, masks, plan);
        }
    }
}

static void FC_UNIT(permute_groups)(void *const *to, const void *const *from, fc_index groups,
                                    const fc_permutation *plan) {
    const fc_index *places = plan->places;
    const unsigned char *masks = plan->masks;
    for (fc_index tile = 0; tile < plan->tiles; tile++) {
        const fc_index loads = *places++, stores = *places++, each = *places++;
        switch (loads > 4 ? 0 : each << 8 | loads << 4 | stores) {
#define FC_CASE(loads, stores, each)                                                                                   \
    case (each) << 8 | (loads) << 4 | (stores):                                                                        \
        FC_UNIT(permute_tile)(loads, stores, each, to, from, places, masks, groups, plan);                             \
        break;
#define FC_CASES(loads) FC_CASE(loads, 1, 0) FC_CASE(loads, 2, 0) FC_CASE(loads, 3, 0) FC_CASE(loads, 4, 0)
            FC_CASES(1)
            FC_CASES(2)
            FC_CASES(3)
            FC_CASES(4)
            FC_CASE(1, 2, 1)
            FC_CASE(1, 3, 1)
            FC_CASE(1, 4, 1)
            FC_CASE(2, 2, 1)
            FC_CASE(2, 3, 1)
            FC_CASE(2, 4, 1)
            FC_CASE(3, 2, 1)
            FC_CASE(4, 2, 1)
#undef FC_CASES
#undef FC_CASE
        default: FC_UNIT(permute_many)(loads, to, from, places, masks, groups, plan);
        }
        places += 2 * ((each ? loads * stores : loads) + stores);
        masks += U_UNIT * loads * stores;
    }
}

#undef FC_UNIT
