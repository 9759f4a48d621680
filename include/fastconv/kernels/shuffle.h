/* interleave, deinterleave: the two data movers under pixel shuffle, sub-pixel and transposed convolution.
 *
 *   interleave:    fine[q*step + j] = coarse[j][q]      q < count, j < ways <= step
 *   deinterleave:  coarse[j][q] = fine[q*step + j]
 *
 * for elements of any size, row after row; step counts elements. Beginning a call takes as long as moving 300 bytes.
 * Rows of less than a vector that lie together in every way are moved as one, through a buffer. Where ways == step and
 * an element is 1, 2, 4, 8 or 16 bytes, a unit (B_UNIT bytes) of every coarse row makes `ways` units of the fine one,
 * its blocks; each block is picked from the rows, one row after the other, by permutations of bytes:
 *
 *   coarse[0]  a0 a1 a2 a3                         fine  a0 b0 c0 a1 | b1 c1 a2 b2 | c2 a3 b3 c3
 *   coarse[1]  b0 b1 b2 b3     ways 3, 4 bytes           block 0       block 1       block 2
 *   coarse[2]  c0 c1 c2 c3
 *
 * So one table of ways*ways masks (fc_shuffle_table) serves every factor and type. A vector is a group of one or more
 * units (AVX2 has two of 16 bytes, which never mix; AVX-512 with VBMI one of 64); rows of a vector or more end in a
 * group that overlaps the one before it and writes the same bytes again.
 */
/* The byte vocabulary, in simd/bytes_<isa>.h: b_t, a vector of B_BYTES, units of B_UNIT.
 *   b_load(p)  b_store(p, v)                    a vector, any alignment
 *   b_load_block(p, block, blocks)  b_store_block(p, block, blocks, v)
 *                                               unit u of the vector is block u*blocks + block of p
 *   b_mask(table, i)                            mask i of a table, for every unit
 *   b_pick(v, m)                                byte i of a unit is byte m[i] & 63 of that unit of v, with FC_TAKE set
 *   b_put(out, v, m)                            the same, and out[i] where FC_KEEP is set
 */
#if FC_BYTE_WORDS
/* One group: a vector of each coarse row from byte `at` on, `ways` vectors of the fine one. */
FC_INLINE void FC_PASTE(interleave_group__, FC_ISA, , , )(unsigned char *restrict fine, const void *const *coarse,
                                                          const fc_index ways, fc_index at,
                                                          const unsigned char *restrict table) {
    FC_UNROLL
    for (fc_index block = 0; block < ways; block++) {
        b_t out = b_pick(b_load((const unsigned char *)coarse[0] + at), b_mask(table, block * ways));
        FC_UNROLL
        for (fc_index j = 1; j < ways; j++)
            out = b_put(out, b_load((const unsigned char *)coarse[j] + at), b_mask(table, block * ways + j));
        b_store_block(fine + at * ways, block, ways, out);
    }
}

FC_INLINE void FC_PASTE(deinterleave_group__, FC_ISA, , , )(void *const *coarse, const unsigned char *restrict fine,
                                                            const fc_index ways, fc_index at,
                                                            const unsigned char *restrict table) {
    FC_UNROLL
    for (fc_index j = 0; j < ways; j++) {
        b_t out = b_pick(b_load_block(fine + at * ways, 0, ways), b_mask(table, j * ways));
        FC_UNROLL
        for (fc_index i = 1; i < ways; i++)
            out = b_put(out, b_load_block(fine + at * ways, i, ways), b_mask(table, j * ways + i));
        b_store((unsigned char *)coarse[j] + at, out);
    }
}

/* All groups of a row of row_bytes >= B_BYTES. */
FC_INLINE void FC_PASTE(interleave_groups__, FC_ISA, , , )(unsigned char *fine, const void *const *coarse,
                                                           const fc_index ways, fc_index row_bytes,
                                                           const unsigned char *table) {
    fc_index at = 0;
    for (; at + B_BYTES <= row_bytes; at += B_BYTES)
        FC_PASTE(interleave_group__, FC_ISA, , , )(fine, coarse, ways, at, table);
    if (at < row_bytes) FC_PASTE(interleave_group__, FC_ISA, , , )(fine, coarse, ways, row_bytes - B_BYTES, table);
}

/* Many ways. Not inlined, or GCC would unroll the loop for each number of them up to 16: twice as slow. */
static __attribute__((noinline)) void
FC_PASTE(interleave_many__, FC_ISA, , , )(unsigned char *fine, const void *const *coarse, const fc_interleaving *how) {
    FC_PASTE(interleave_groups__, FC_ISA, , , )(fine, coarse, how->ways, how->count * how->item_bytes, how->table);
}

/* All rows. `few` is the number of ways where it is a constant, or 0: then the addresses stay in registers, where the
 * stores cannot be thought to change them, and 5 to 8 ways take half as long. */
FC_INLINE void FC_PASTE(interleave_rows__, FC_ISA, , , )(unsigned char *fine, const void *const *coarse,
                                                         const fc_index few, const fc_interleaving *how) {
    const void *at[FC_MAX_WAYS];
    const fc_index ways = few ? few : how->ways;
    FC_UNROLL
    for (fc_index j = 0; j < ways; j++) at[j] = coarse[j];
    for (fc_index row = 1;; row++) {
        if (few)
            FC_PASTE(interleave_groups__, FC_ISA, , , )(fine, at, ways, how->count * how->item_bytes, how->table);
        else
            FC_PASTE(interleave_many__, FC_ISA, , , )(fine, at, how);
        if (row >= how->rows) return;
        fine += how->next_fine;
        FC_UNROLL
        for (fc_index j = 0; j < ways; j++) at[j] = (const char *)at[j] + how->next_coarse[j];
    }
}

FC_INLINE void FC_PASTE(deinterleave_groups__, FC_ISA, , , )(void *const *coarse, const unsigned char *fine,
                                                             const fc_index ways, fc_index row_bytes,
                                                             const unsigned char *table) {
    fc_index at = 0;
    for (; at + B_BYTES <= row_bytes; at += B_BYTES)
        FC_PASTE(deinterleave_group__, FC_ISA, , , )(coarse, fine, ways, at, table);
    if (at < row_bytes) FC_PASTE(deinterleave_group__, FC_ISA, , , )(coarse, fine, ways, row_bytes - B_BYTES, table);
}

static __attribute__((noinline)) void FC_PASTE(deinterleave_many__, FC_ISA, , , )(void *const *coarse,
                                                                                  const unsigned char *fine,
                                                                                  const fc_interleaving *how) {
    FC_PASTE(deinterleave_groups__, FC_ISA, , , )(coarse, fine, how->ways, how->count * how->item_bytes, how->table);
}

FC_INLINE void FC_PASTE(deinterleave_rows__, FC_ISA, , , )(void *const *coarse, const unsigned char *fine,
                                                           const fc_index few, const fc_interleaving *how) {
    void *at[FC_MAX_WAYS];
    const fc_index ways = few ? few : how->ways;
    FC_UNROLL
    for (fc_index j = 0; j < ways; j++) at[j] = coarse[j];
    for (fc_index row = 1;; row++) {
        if (few)
            FC_PASTE(deinterleave_groups__, FC_ISA, , , )(at, fine, ways, how->count * how->item_bytes, how->table);
        else
            FC_PASTE(deinterleave_many__, FC_ISA, , , )(at, fine, how);
        if (row >= how->rows) return;
        fine += how->next_fine;
        FC_UNROLL
        for (fc_index j = 0; j < ways; j++) at[j] = (char *)at[j] + how->next_coarse[j];
    }
}
#endif

/* Some hundred bytes, more than 16: a call of memcpy takes as long as moving them. The last move overlaps. */
FC_INLINE void FC_PASTE(move_run__, FC_ISA, , , )(unsigned char *to, const unsigned char *from, fc_index bytes) {
    if (bytes < 32) {
        memcpy(to, from, 16);
        memcpy(to + bytes - 16, from + bytes - 16, 16);
    } else if (bytes < 64) {
        memcpy(to, from, 32);
        memcpy(to + bytes - 32, from + bytes - 32, 32);
    } else {
        for (fc_index at = 0; at + 64 < bytes; at += 64) memcpy(to + at, from + at, 64);
        memcpy(to + bytes - 64, from + bytes - 64, 64);
    }
}

/* One element, with a constant size where the compiler can make a move of it. */
FC_INLINE void FC_PASTE(move__, FC_ISA, , , )(unsigned char *to, const unsigned char *from, fc_index item_bytes) {
    switch (item_bytes) {
    case 1: *to = *from; break;
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    case 16: memcpy(to, from, 16); break;
    default:
        if (item_bytes > 16 && item_bytes <= 1024)
            FC_PASTE(move_run__, FC_ISA, , , )(to, from, item_bytes);
        else
            memcpy(to, from, (size_t)item_bytes);
    }
}

#if FC_BYTE_WORDS
enum { FC_PASTE(room_bytes__, FC_ISA, , , ) = 4096 }; /* for rows that are moved as one: at least two of them */

/* How many rows that are shorter than a vector can be moved as one, since they lie together in every way; else 0. */
static fc_index FC_PASTE(rows_as_one__, FC_ISA, , , )(const fc_interleaving *how) {
    const fc_index row = how->count * how->item_bytes, room = FC_PASTE(room_bytes__, FC_ISA, , , );
    if (!how->table || row < 1 || row >= B_BYTES || how->rows * row < B_BYTES) return 0;
    for (fc_index j = 0; j < how->ways; j++)
        if (how->next_coarse[j] != row) return 0;
    const fc_index most = room / (row * how->ways);
    return how->rows <= most ? how->rows : how->rows < 2 * most ? (how->rows + 1) / 2 : most;
}
#endif

static void FC_KERNEL_NAME(bytes, interleave, FC_ISA)(void *fine, const void *const *coarse,
                                                      const fc_interleaving *how) {
#if FC_BYTE_WORDS
    const fc_index together = FC_PASTE(rows_as_one__, FC_ISA, , , )(how);
    if (together > 1) {
        const void *at[FC_MAX_WAYS];
        const fc_index row = how->count * how->item_bytes, wide = row * how->ways;
        unsigned char room[FC_PASTE(room_bytes__, FC_ISA, , , )], *to = fine;
        fc_interleaving as_one = *how;
        as_one.rows = 1;
        for (fc_index done = 0, n; done < how->rows; done += n) {
            n = how->rows - done < together ? how->rows - done : together;
            as_one.count = n * how->count;
            for (fc_index j = 0; j < how->ways; j++) at[j] = (const unsigned char *)coarse[j] + done * row;
            FC_KERNEL_NAME(bytes, interleave, FC_ISA)(room, at, &as_one);
            for (fc_index r = 0; r < n; r++, to += how->next_fine)
                FC_PASTE(move__, FC_ISA, , , )(to, room + r * wide, wide);
        }
        return;
    }
    if (how->table && how->count * how->item_bytes >= B_BYTES) {
#define FC_CASE(n)                                                                                                     \
    case n: FC_PASTE(interleave_rows__, FC_ISA, , , )(fine, coarse, n, how); break;
        switch (how->ways) {
            FC_CASE(2)
            FC_CASE(3)
            FC_CASE(4)
            FC_CASE(5)
            FC_CASE(6)
            FC_CASE(7)
            FC_CASE(8)
        default: FC_PASTE(interleave_rows__, FC_ISA, , , )(fine, coarse, 0, how);
        }
#undef FC_CASE
        return;
    }
#endif
    const fc_index ways = how->ways, step = how->step, item_bytes = how->item_bytes;
    for (fc_index row = 0; row < how->rows; row++)
        for (fc_index j = 0; j < ways; j++) {
            const unsigned char *from = (const unsigned char *)coarse[j] + (row ? row * how->next_coarse[j] : 0);
            unsigned char *to = (unsigned char *)fine + (row ? row * how->next_fine : 0);
            for (fc_index q = 0; q < how->count; q++)
                FC_PASTE(move__, FC_ISA, , , )(to + (q * step + j) * item_bytes, from + q * item_bytes, item_bytes);
        }
}

static void FC_KERNEL_NAME(bytes, deinterleave, FC_ISA)(void *const *coarse, const void *fine,
                                                        const fc_interleaving *how) {
#if FC_BYTE_WORDS
    const fc_index together = FC_PASTE(rows_as_one__, FC_ISA, , , )(how);
    if (together > 1) {
        void *at[FC_MAX_WAYS];
        const fc_index row = how->count * how->item_bytes, wide = row * how->ways;
        unsigned char room[FC_PASTE(room_bytes__, FC_ISA, , , )];
        const unsigned char *from = fine;
        fc_interleaving as_one = *how;
        as_one.rows = 1;
        for (fc_index done = 0, n; done < how->rows; done += n) {
            n = how->rows - done < together ? how->rows - done : together;
            as_one.count = n * how->count;
            for (fc_index r = 0; r < n; r++, from += how->next_fine)
                FC_PASTE(move__, FC_ISA, , , )(room + r * wide, from, wide);
            for (fc_index j = 0; j < how->ways; j++) at[j] = (unsigned char *)coarse[j] + done * row;
            FC_KERNEL_NAME(bytes, deinterleave, FC_ISA)(at, room, &as_one);
        }
        return;
    }
    if (how->table && how->count * how->item_bytes >= B_BYTES) {
#define FC_CASE(n)                                                                                                     \
    case n: FC_PASTE(deinterleave_rows__, FC_ISA, , , )(coarse, fine, n, how); break;
        switch (how->ways) {
            FC_CASE(2)
            FC_CASE(3)
            FC_CASE(4)
            FC_CASE(5)
            FC_CASE(6)
            FC_CASE(7)
            FC_CASE(8)
        default: FC_PASTE(deinterleave_rows__, FC_ISA, , , )(coarse, fine, 0, how);
        }
#undef FC_CASE
        return;
    }
#endif
    const fc_index ways = how->ways, step = how->step, item_bytes = how->item_bytes;
    for (fc_index row = 0; row < how->rows; row++)
        for (fc_index j = 0; j < ways; j++) {
            unsigned char *to = (unsigned char *)coarse[j] + (row ? row * how->next_coarse[j] : 0);
            const unsigned char *from = (const unsigned char *)fine + (row ? row * how->next_fine : 0);
            for (fc_index q = 0; q < how->count; q++)
                FC_PASTE(move__, FC_ISA, , , )(to + q * item_bytes, from + (q * step + j) * item_bytes, item_bytes);
        }
}
