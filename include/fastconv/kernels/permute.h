/* permute: bytes of a row of pixels change places, where channels lie side by side (fastconv/_permutation.py).
 *
 *   to[r][g*to_step + i] = from[s][g*from_step + j]     g: groups of `pixels` pixels, i < to_run, j < from_run
 *
 * A group is cut into tiles: some loads of a unit of bytes, and some stores, each picked from those loads by masks.
 * The groups of a row go through one tile after the other, its masks in registers. A run shorter than a unit has one
 * store, which spoils what the next group makes good; so the last group, and what is left of one, take their way
 * through a buffer.
 */
#define U_KIND bytes
#define U_UNIT B_UNIT
#include "permute_tiles.h"
#undef U_KIND
#undef U_UNIT
#if FC_WORDS
#define U_KIND words
#define U_UNIT W_UNIT
#define u_t w_t
#define u_load w_load
#define u_store w_store
#define u_pick w_pick
#define u_put w_put
#include "permute_tiles.h"
#undef U_KIND
#undef U_UNIT
#undef u_t
#undef u_load
#undef u_store
#undef u_pick
#undef u_put
#endif

/* Whole groups, by the tiles of the plan's unit. */
FC_INLINE void FC_PASTE(permute_groups__, FC_ISA, , , )(void *const *to, const void *const *from, fc_index groups,
                                                        const fc_permutation *plan) {
#if FC_WORDS
    if (plan->unit == W_UNIT) {
        FC_PASTE(permute_groups_words__, FC_ISA, , , )(to, from, groups, plan);
        return;
    }
#endif
    FC_PASTE(permute_groups_bytes__, FC_ISA, , , )(to, from, groups, plan);
}

static void FC_KERNEL_NAME(bytes, permute, FC_ISA)(void *const *to, const void *const *from, fc_index pixels,
                                                   const fc_permutation *plan) {
    const int spoils = plan->to_run < plan->unit || plan->from_run < plan->unit;
    const fc_index groups = pixels > 0 ? (pixels - spoils) / plan->pixels : 0;
    FC_PASTE(permute_groups__, FC_ISA, , , )(to, from, groups, plan);
    const fc_index left = pixels - groups * plan->pixels;
    if (!left) return;
    unsigned char in[FC_MAX_GROUP], out[FC_MAX_GROUP];
    const void *read[FC_MAX_RUNS];
    void *written[FC_MAX_RUNS];
    const fc_index in_pitch = plan->from_run > plan->unit ? plan->from_run : plan->unit;
    const fc_index out_pitch = plan->to_run > plan->unit ? plan->to_run : plan->unit;
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
