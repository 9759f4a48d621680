/* interleave, deinterleave: the two data movers under pixel shuffle, sub-pixel and transposed convolution.
 *
 *   interleave:    fine[q*step + j] = coarse[j][q]      q < count, j < ways <= step
 *   deinterleave:  coarse[j][q] = fine[q*step + j]
 *
 * for elements of any size; step counts elements. Where ways == step and an element is 1, 2, 4, 8 or 16 bytes, 16
 * bytes of every coarse row make ways*16 bytes of the fine one, and each 16 of those are picked from the `ways` rows by byte
 * shuffles and joined by or:
 *
 *   coarse[0]  a0 a1 a2 a3                         fine  a0 b0 c0 a1 | b1 c1 a2 b2 | c2 a3 b3 c3
 *   coarse[1]  b0 b1 b2 b3     ways 3, 4 bytes           block 0       block 1       block 2
 *   coarse[2]  c0 c1 c2 c3
 *
 * So one table of ways*ways masks (fc_shuffle_table) serves every factor and type. AVX2 does two such groups at once.
 */
#if FC_BYTE_WORDS
/* One group: 32 bytes of each coarse row from byte `at` on, 32*ways of the fine one. */
FC_INLINE void FC_PASTE(interleave_group__, FC_ISA, , , )(unsigned char *fine, const void *const *coarse,
                                                          const fc_index ways, fc_index at,
                                                          const unsigned char *table) {
    fine += at * ways;
    FC_UNROLL
    for (fc_index block = 0; block < ways; block++) {
        b_t out = b_zero();
        FC_UNROLL
        for (fc_index j = 0; j < ways; j++) {
            const b_t row = b_load((const unsigned char *)coarse[j] + at);
            out = b_or(out, b_pick(row, b_both(table + 16 * (block * ways + j))));
        }
        b_store_halves(fine + 16 * block, fine + 16 * (ways + block), out);
    }
}

FC_INLINE void FC_PASTE(deinterleave_group__, FC_ISA, , , )(void *const *coarse, const unsigned char *fine,
                                                            const fc_index ways, fc_index at,
                                                            const unsigned char *table) {
    fine += at * ways;
    FC_UNROLL
    for (fc_index j = 0; j < ways; j++) {
        b_t out = b_zero();
        FC_UNROLL
        for (fc_index block = 0; block < ways; block++) {
            const b_t both = b_halves(fine + 16 * block, fine + 16 * (ways + block));
            out = b_or(out, b_pick(both, b_both(table + 16 * (j * ways + block))));
        }
        b_store((unsigned char *)coarse[j] + at, out);
    }
}

/* All groups of rows of row_bytes >= 32; the last one overlaps the one before it and writes the same bytes again. */
FC_INLINE void FC_PASTE(interleave_groups__, FC_ISA, , , )(unsigned char *fine, const void *const *coarse,
                                                           const fc_index ways, fc_index row_bytes,
                                                           const unsigned char *table) {
    fc_index at = 0;
    for (; at + 32 <= row_bytes; at += 32) FC_PASTE(interleave_group__, FC_ISA, , , )(fine, coarse, ways, at, table);
    if (at < row_bytes) FC_PASTE(interleave_group__, FC_ISA, , , )(fine, coarse, ways, row_bytes - 32, table);
}

FC_INLINE void FC_PASTE(deinterleave_groups__, FC_ISA, , , )(void *const *coarse, const unsigned char *fine,
                                                             const fc_index ways, fc_index row_bytes,
                                                             const unsigned char *table) {
    fc_index at = 0;
    for (; at + 32 <= row_bytes; at += 32) FC_PASTE(deinterleave_group__, FC_ISA, , , )(coarse, fine, ways, at, table);
    if (at < row_bytes) FC_PASTE(deinterleave_group__, FC_ISA, , , )(coarse, fine, ways, row_bytes - 32, table);
}
#endif

/* One element, with a constant size where the compiler can make a move of it. */
FC_INLINE void FC_PASTE(move__, FC_ISA, , , )(unsigned char *to, const unsigned char *from, fc_index item_bytes) {
    switch (item_bytes) {
    case 1: *to = *from; break;
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    case 16: memcpy(to, from, 16); break;
    default: memcpy(to, from, (size_t)item_bytes);
    }
}

static void FC_KERNEL_NAME(bytes, interleave, FC_ISA)(void *fine, const void *const *coarse, fc_index ways,
                                                      fc_index step, fc_index count, fc_index item_bytes,
                                                      const unsigned char *table) {
    unsigned char *to = fine;
#if FC_BYTE_WORDS
    const fc_index bytes = count * item_bytes;
    if (table && bytes >= 32) {
#define FC_GROUPS(n) FC_PASTE(interleave_groups__, FC_ISA, , , )(to, coarse, n, bytes, table)
        if (ways == 2)
            FC_GROUPS(2);
        else if (ways == 3)
            FC_GROUPS(3);
        else if (ways == 4)
            FC_GROUPS(4);
        else
            FC_GROUPS(ways);
#undef FC_GROUPS
        return;
    }
#endif
    (void)table;
    for (fc_index q = 0; q < count; q++)
        for (fc_index j = 0; j < ways; j++)
            FC_PASTE(move__, FC_ISA, , , )(to + (q * step + j) * item_bytes,
                                           (const unsigned char *)coarse[j] + q * item_bytes, item_bytes);
}

static void FC_KERNEL_NAME(bytes, deinterleave, FC_ISA)(void *const *coarse, const void *fine, fc_index ways,
                                                        fc_index step, fc_index count, fc_index item_bytes,
                                                        const unsigned char *table) {
    const unsigned char *from = fine;
#if FC_BYTE_WORDS
    const fc_index bytes = count * item_bytes;
    if (table && bytes >= 32) {
#define FC_GROUPS(n) FC_PASTE(deinterleave_groups__, FC_ISA, , , )(coarse, from, n, bytes, table)
        if (ways == 2)
            FC_GROUPS(2);
        else if (ways == 3)
            FC_GROUPS(3);
        else if (ways == 4)
            FC_GROUPS(4);
        else
            FC_GROUPS(ways);
#undef FC_GROUPS
        return;
    }
#endif
    (void)table;
    for (fc_index q = 0; q < count; q++)
        for (fc_index j = 0; j < ways; j++)
            FC_PASTE(move__, FC_ISA, , , )((unsigned char *)coarse[j] + q * item_bytes,
                                           from + (q * step + j) * item_bytes, item_bytes);
}
