/* filter: a block of output rows of one channel at once, from rows of pixels that lie padded in a strip (strip.h).
 *
 *   y[r*y_row + n] = start + sum over s, i, j of
 *                          w[w_at[s] + i*w_h + j*w_w] * x[x_at[s] + (r*step + i)*x_row + tap[j] + n*across]
 *
 *   r < rows, n < columns; s < sources (input channels and planes), i < taps_h, j < taps_w
 *   start = *bias where bias is given, else what y holds
 *
 * Strides are in elements. x must be readable for whole vectors; y is touched in its rows and columns only.
 * Preconditions: rows, columns >= 1.
 *
 * With `edges`, which wants step = across = 1 or 2, x is an image without padding: its rows top <= r*step + i < bottom
 * and columns lo <= tap[j] + n*across < hi are read, and the others taken for zeros. Tiles beside an edge load under
 * masks (edges 1), those at the top and the bottom look at each row as well (edges 2). Without, across is 1: strips are
 * split by the stride.
 *
 * A tile of rows x vectors stays in registers. Each vector of pixels is loaded once for all rows that see it, which
 * makes the loads of a 3x3 kernel with 8 rows 30 for 72 multiply-adds; unaligned, as most of them are, they cost two
 * each. To know which rows see a vector the code must know the number of taps: it takes up to FC_FILTER_TAPS of a
 * column of the kernel at a time. Where every second pixel is picked, two columns beside each other share their loads.
 *
 * The products of an output are summed in one register in the order: source, taps i in parts, j, i within the part.
 * That is the same for all tiles.
 *
 * Where the last columns fill at most half of a vector, vectors of half the width take them, if the unit has any
 * (kernels/half.h): on CPUs that multiply 64 bytes in two halves, 56 columns cost 3.5 vectors, not 4.
 */
#define FC_FILTER_TAPS 4
#define FC_HALF_TAPS 25                     /* of a channel at least: a pass more over the rows costs 3x3 up to 10% */
#define FC_SECONDS (3 * 2 + FC_FILTER_TAPS) /* rows of pixels of a tile of 4 rows */

static const real FC_WORD(no_row)[8 * V_LANES]; /* zeros, for the rows above and below an image */

/* Strides of a tile: of rows alone, of 1 or 2 or any, or of both, where every second pixel is picked. */
#define FC_ANY 0
#define FC_BOTH 4

/* A vector of pixels from p on, every second one if `both`, or under masks. */
FC_INLINE v_t FC_WORD(filter_pixels)(const int both, const int masked, const real *p, const m_t *mask) {
    if (both)
        return masked ? v_even_mixed(v_load_m(p, mask[0]), v_load_m(p + V_LANES - 1, mask[1]))
                      : v_even_mixed(v_load(p), v_load(p + V_LANES - 1));
    return masked ? v_load_m(p, mask[0]) : v_load_once(p);
}

/* The columns of a pair: the second one sees the pixels between those that the first one sees. They are loaded once, and
 * the second's wait on the stack, in L1 and aligned: the order of the sum is that of single columns. */
#define FC_FIRST 1
#define FC_SECOND 2

FC_INLINE v_t FC_WORD(filter_pair)(const int masked, const real *p, const m_t *mask, v_t *second) {
    const v_t low = masked ? v_load_m(p, mask[0]) : v_load(p);
    const v_t high = masked ? v_load_m(p + V_LANES, mask[1]) : v_load(p + V_LANES);
    *second = v_pair_mixed(low, high, 1);
    return v_pair_mixed(low, high, 0);
}

FC_INLINE int FC_WORD(is_pair)(const fc_filter *f, fc_index j) {
    return j + 1 < f->taps_w && f->tap[j + 1] == f->tap[j] + 1;
}

/* The columns of the image that the taps of one column of the kernel see, as masks. */
FC_INLINE void FC_WORD(filter_masks)(const int vectors, const int across, const fc_filter *f, fc_index column,
                                     fc_index tap, const int pair, m_t mask[8][2]) {
    FC_UNROLL
    for (int v = 0; v < vectors; v++) {
        FC_UNROLL
        for (int i = 0; i < across; i++) {
            const fc_index first = (column + v * V_LANES) * across + i * (V_LANES - !pair);
            mask[v][i] = v_mask(FC_WORD(inside)(first + tap - f->lo, 1, f->hi - f->lo, V_LANES));
        }
    }
}

/* Adds the products of `taps` taps of one column of the kernel, from the pixels of the first one on, which is `above`
 * rows below the top. */
FC_INLINE void FC_WORD(filter_taps)(const int rows, const int vectors, const int stride, const int edges,
                                    const int taps, const int pair, const fc_filter *f, fc_index row, fc_index above,
                                    const real *from, const real *w, m_t mask[8][2], v_t seconds[FC_SECONDS][2],
                                    v_t acc[8][8]) {
    const int both = stride == FC_BOTH, down = both ? 2 : stride, across = both ? 2 : 1;
    const fc_index x_row = f->x_row, below = f->step * x_row;
    v_t weight[FC_FILTER_TAPS];
    FC_UNROLL
    for (int i = 0; i < taps; i++) weight[i] = v_set1(w[i * f->w_h]);
    if (stride == FC_ANY) {
        FC_UNROLL
        for (int r = 0; r < rows; r++) {
            FC_UNROLL
            for (int i = 0; i < taps; i++) {
                FC_UNROLL
                for (int v = 0; v < vectors; v++)
                    acc[r][v] = v_fma(weight[i], v_load(from + i * x_row + v * V_LANES), acc[r][v]);
            }
            from += below;
        }
        return;
    }
    FC_UNROLL
    for (int at = 0; at < (rows - 1) * down + taps; at++, from += x_row) {
        const int outside = edges == 2 && (size_t)(row * down + above + at - f->top) >= (size_t)(f->bottom - f->top);
        const real *seen = outside ? FC_WORD(no_row) : from;
        FC_UNROLL
        for (int v = 0; v < vectors; v++) {
            const real *p = seen + v * V_LANES * across;
            v_t pixels;
            if (pair == FC_FIRST)
                pixels = FC_WORD(filter_pair)(edges, p, mask[v], &seconds[at][v]);
            else
                pixels = pair == FC_SECOND ? seconds[at][v] : FC_WORD(filter_pixels)(both, edges, p, mask[v]);
            FC_UNROLL
            for (int i = 0; i < taps; i++) {
                const int r = at >= i ? (at - i) / (down ? down : 1) : rows;
                if (r < rows && r * down + i == at) acc[r][v] = v_fma(weight[i], pixels, acc[r][v]);
            }
        }
    }
}

/* Adds the products of all taps, from the row and column of the first one on. */
FC_INLINE void FC_WORD(filter_sums)(const int rows, const int vectors, const int stride, const int edges,
                                    const fc_filter *f, fc_index row, fc_index column, const real *x, v_t acc[8][8]) {
    m_t mask[8][2];
    v_t seconds[FC_SECONDS][2];
    for (fc_index s = 0; s < f->sources; s++) {
        const real *from = x + f->x_at[s], *w = (const real *)f->w + f->w_at[s];
        for (fc_index i = 0, taps; i < f->taps_h; i += taps) {
            taps = f->taps_h - i == 5 ? 3 : FC_WORD(min)(f->taps_h - i, FC_FILTER_TAPS);
#define FC_COLUMN(n, pair)                                                                                             \
    FC_WORD(filter_taps)(rows, vectors, stride, edges, n, pair, f, row, i, from + f->tap[j], w + j * f->w_w, mask,     \
                         seconds, acc)
#define FC_TAPS(n)                                                                                                     \
    for (fc_index j = 0; j < f->taps_w; j++) {                                                                         \
        const int pair = stride == FC_BOTH && FC_WORD(is_pair)(f, j);                                                  \
        if (edges) FC_WORD(filter_masks)(vectors, stride == FC_BOTH ? 2 : 1, f, column, f->tap[j], pair, mask);        \
        if (pair) {                                                                                                    \
            FC_COLUMN(n, FC_FIRST);                                                                                    \
            j++;                                                                                                       \
            FC_COLUMN(n, FC_SECOND);                                                                                   \
        } else                                                                                                         \
            FC_COLUMN(n, 0);                                                                                           \
    }
            switch (taps) {
            case 1: FC_TAPS(1) break;
            case 2: FC_TAPS(2) break;
            case 3: FC_TAPS(3) break;
            default: FC_TAPS(4) break;
            }
#undef FC_TAPS
#undef FC_COLUMN
            from += taps * f->x_row;
            w += taps * f->w_h;
        }
    }
}

/* One tile. With `three`, the 3x3 taps of one channel, the most common of filters, are all written out, and their masks
 * made once for a column of tiles: 65 operations for a vector of outputs at 28x28, 87 by the loops (AVX2). */
FC_INLINE void FC_WORD(filter_tile)(const int rows, const int vectors, const int stride, const int edges,
                                    const int three, fc_index rest, const fc_filter *f, fc_index row, fc_index column,
                                    const real *x, real *y, const real *bias, m_t masks[3][8][2]) {
    v_t acc[8][8];
    const v_t start = bias ? v_set1(*bias) : v_zero();
    FC_UNROLL
    for (int r = 0; r < rows; r++) {
        FC_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = start;
    }
    if (three) {
        const real *from = x + f->x_at[0], *w = (const real *)f->w + f->w_at[0];
        v_t seconds[FC_SECONDS][2];
        FC_UNROLL
        for (int j = 0; j < 3; j++) {
            const int pair = stride == FC_BOTH && j < 2 ? FC_FIRST + j : 0;
            FC_WORD(filter_taps)(rows, vectors, stride, edges, 3, pair, f, row, 0, from + f->tap[j], w + j * f->w_w,
                                 masks[j], seconds, acc);
        }
    } else
        FC_WORD(filter_sums)(rows, vectors, stride, edges, f, row, column, x, acc);
    FC_UNROLL
    for (int r = 0; r < rows; r++, y += f->y_row) {
        FC_UNROLL
        for (int v = 0; v < vectors; v++) {
            real *p = y + v * V_LANES;
            const v_t sum = stride == FC_BOTH ? v_unmix(acc[r][v]) : acc[r][v];
            if (v == vectors - 1 && rest < V_LANES)
                v_store_first(p, rest, bias ? sum : v_add(v_load_m(p, v_mask(((uint32_t)1 << rest) - 1)), sum));
            else
                v_store(p, bias ? sum : v_add(v_load(p), sum));
        }
    }
}

/* Tiles side by side, or else one below the other; only the last vector can be partial. */
FC_INLINE void FC_WORD(filter_tiles)(const int rows, const int vectors, const int stride, const int edges,
                                     fc_index beside, fc_index count, fc_index columns, const fc_filter *f,
                                     fc_index row, fc_index column, const real *x, real *y, const real *bias) {
    const fc_index rest = columns - (vectors - 1) * V_LANES;
    const fc_index x_step = beside ? columns * f->across : rows * f->step * f->x_row;
    const fc_index y_step = beside ? columns : rows * f->y_row;
    m_t masks[3][8][2]; /* with edges, tiles are never side by side */
#define FC_EACH(three)                                                                                                 \
    for (; count > 0; count--, row += rows, x += x_step, y += y_step) {                                                \
        FC_WORD(filter_tile)(rows, vectors, stride, edges, three, rest, f, row, column, x, y, bias, masks);            \
    }
    const int both = stride == FC_BOTH, three = f->sources == 1 && f->taps_h == 3 && f->taps_w == 3;
    if (stride != FC_ANY && three && (!both || FC_WORD(is_pair)(f, 0))) {
        FC_UNROLL
        for (int j = 0; edges && j < 3; j++)
            FC_WORD(filter_masks)(vectors, 1 + both, f, column, f->tap[j], both && j == 0, masks[j]);
        FC_EACH(1)
    } else {
        FC_EACH(0)
    }
#undef FC_EACH
}

/* The tiles that there are, by rows and vectors: as many as leave 8 to 16 sums in registers, and smaller ones for what
 * is left over. */
#define FC_TILES(stride, edges)                                                                                        \
    FC_TILE(4, 2, stride, edges)                                                                                       \
    FC_TILE(4, 1, stride, edges)                                                                                       \
    FC_TILE(2, 4, stride, edges)                                                                                       \
    FC_TILE(2, 2, stride, edges)                                                                                       \
    FC_TILE(2, 1, stride, edges)                                                                                       \
    FC_TILE(1, 8, stride, edges)                                                                                       \
    FC_TILE(1, 4, stride, edges)                                                                                       \
    FC_TILE(1, 2, stride, edges)                                                                                       \
    FC_TILE(1, 1, stride, edges)
/* Fewer of an image in place, where what is left over is little. */
#define FC_EDGE_TILES(stride, edges)                                                                                   \
    FC_TILE(4, 2, stride, edges)                                                                                       \
    FC_TILE(4, 1, stride, edges)                                                                                       \
    FC_TILE(1, 2, stride, edges)                                                                                       \
    FC_TILE(1, 1, stride, edges)
#if defined(FC_IS_HALF) /* the last columns alone, one vector wide, without a stride */
#define FC_ALL_TILES                                                                                                   \
    FC_TILE(8, 1, 1, 0)                                                                                                \
    FC_TILE(4, 1, 1, 0)                                                                                                \
    FC_TILE(2, 1, 1, 0)                                                                                                \
    FC_TILE(1, 1, 1, 0)                                                                                                \
    FC_TILE(8, 1, 1, 1)                                                                                                \
    FC_TILE(4, 1, 1, 1)                                                                                                \
    FC_TILE(1, 1, 1, 1)                                                                                                \
    FC_TILE(8, 1, 1, 2)                                                                                                \
    FC_TILE(4, 1, 1, 2)                                                                                                \
    FC_TILE(1, 1, 1, 2)
#else
#define FC_ALL_TILES                                                                                                   \
    FC_TILE(8, 2, 1, 0)                                                                                                \
    FC_TILE(8, 1, 1, 0)                                                                                                \
    FC_TILE(4, 4, 2, 0)                                                                                                \
    FC_TILES(FC_ANY, 0)                                                                                                \
    FC_TILES(1, 0)                                                                                                     \
    FC_TILES(2, 0)                                                                                                     \
    FC_TILE(8, 2, 1, 1)                                                                                                \
    FC_TILE(8, 1, 1, 1)                                                                                                \
    FC_EDGE_TILES(1, 1)                                                                                                \
    FC_TILE(8, 2, 1, 2)                                                                                                \
    FC_TILE(8, 1, 1, 2)                                                                                                \
    FC_EDGE_TILES(1, 2)                                                                                                \
    FC_EDGE_TILES(FC_BOTH, 0)                                                                                          \
    FC_EDGE_TILES(FC_BOTH, 1)                                                                                          \
    FC_EDGE_TILES(FC_BOTH, 2)
#endif

/* A function each, lest the compiler share address arithmetic among them until no register is left. */
#define FC_TILE(rows, vectors, stride, edges)                                                                          \
    static __attribute__((noinline)) void FC_WORD(filter_##rows##x##vectors##_##stride##_##edges)(                     \
        fc_index beside, fc_index count, fc_index columns, const fc_filter *f, fc_index row, fc_index column,          \
        const real *x, real *y, const real *bias) {                                                                    \
        FC_WORD(filter_tiles)(rows, vectors, stride, edges, beside, count, columns, f, row, column, x, y, bias);       \
    }
FC_ALL_TILES
#undef FC_TILE

/* `count` tiles side by side or one below the other, from a row and column of outputs on. */
static void FC_WORD(filter_some)(fc_index high, fc_index vectors, fc_index edges, fc_index beside, fc_index count,
                                 const fc_filter *f, fc_index row, fc_index column, const real *x, real *y,
                                 const real *bias) {
    const fc_index stride = f->across == 2 ? FC_BOTH : f->step <= 2 ? f->step : FC_ANY;
    const fc_index columns = FC_WORD(min)(f->columns - column, vectors * V_LANES);
    x += row * f->step * f->x_row + column * f->across;
    y += row * f->y_row + column;
    switch (edges << 12 | stride << 8 | high << 4 | vectors) {
#define FC_TILE(rows, vectors, stride, edges)                                                                          \
    case edges << 12 | stride << 8 | rows << 4 | vectors:                                                              \
        FC_WORD(filter_##rows##x##vectors##_##stride##_##edges)(beside, count, columns, f, row, column, x, y, bias);   \
        break;
        FC_ALL_TILES
#undef FC_TILE
    default: break;
    }
}

/* Columns from n on whose taps all read the image, where that has no padding; vectors must end among them. */
FC_INLINE fc_index FC_WORD(inner_columns)(const fc_filter *f, fc_index n) {
    const fc_index left = FC_WORD(min)(f->tap[0], f->tap[f->taps_w - 1]); /* of the taps of a row, which lie in order */
    const fc_index right = FC_WORD(max)(f->tap[0], f->tap[f->taps_w - 1]);
    if (n * f->across + left < f->lo) return 0;
    return f->across == 2 ? ((f->hi - right + 1) >> 1) - n : f->hi - right - n;
}

/* Tiles one below the other: rows of pixels are read again while they are near. */
static void FC_WORD(filter_columns)(const fc_filter *f, fc_index high, fc_index widest, fc_index count, fc_index row,
                                    fc_index begin, fc_index end, const real *x, real *y, const real *bias) {
    fc_index above = 0, below = 0; /* tiles that see rows outside */
    while (f->edges && above < count && (row + above * high) * f->step < f->top) above++;
    while (f->edges && above + below < count && (row + (count - below) * high - 1) * f->step + f->taps_h > f->bottom)
        below++;
    for (fc_index n = begin, vectors; n < end; n += vectors * V_LANES) {
        vectors = FC_WORD(min)(widest, (end - n + V_LANES - 1) / V_LANES);
        vectors = vectors >= 8 ? 8 : vectors >= 4 ? 4 : vectors >= 2 ? 2 : 1;
        const int aside = f->edges && FC_WORD(inner_columns)(f, n) < vectors * V_LANES;
        const fc_index last = row + (count - below) * high, between = count - above - below;
        if (above) FC_WORD(filter_some)(high, vectors, 2, 0, above, f, row, n, x, y, bias);
        FC_WORD(filter_some)(high, vectors, aside, 0, between, f, row + above * high, n, x, y, bias);
        if (below) FC_WORD(filter_some)(high, vectors, 2, 0, below, f, last, n, x, y, bias);
    }
}

#if !defined(FC_IS_HALF)
/* Rows of tiles one after the other: outputs that go to memory are written row by row, not one cache line of each of
 * many. Tiles that load under masks do better one below the other, and so do images with few tiles between. */
static void FC_WORD(filter_rows)(const fc_filter *f, fc_index high, fc_index widest, fc_index row, fc_index begin,
                                 fc_index end, const real *x, real *y, const real *bias) {
    const int beyond = f->edges && (row < f->top || row + high + f->taps_h - 1 > f->bottom); /* step 1 */
    for (fc_index n = begin, count, vectors = widest; n < end; n += count * vectors * V_LANES) {
        while (n + (vectors - 1) * V_LANES >= end) vectors /= 2;
        count = beyond ? 1 : FC_WORD(max)(1, (end - n) / (vectors * V_LANES));
        FC_WORD(filter_some)(high, vectors, beyond ? 2 : 0, 1, count, f, row, n, x, y, bias);
    }
}

/* All rows of some columns; those from `end` to `last` by vectors of half the width. */
static void FC_WORD(filter_block)(const fc_filter *f, int by_rows, fc_index begin, fc_index end, fc_index last,
                                  const real *x, real *y, const real *bias) {
    if (begin == last) return;
    for (fc_index r = 0, rows; r < f->rows; r += rows) {
        rows = f->rows - r;
        const fc_index low = rows >= 2 && !f->edges ? 2 : 1;
        const fc_index high = rows >= 8 && f->step == 1 && V_REGISTERS >= 32 ? 8 : rows >= 4 ? 4 : low;
        const fc_index wide = f->edges ? 2 : 8 / high;
        const fc_index widest = f->step == 2 && !f->edges && high == 4 && V_REGISTERS >= 32 ? 4 : high >= 4 ? 2 : wide;
        if (by_rows) {
            rows = high;
            FC_WORD(filter_rows)(f, high, widest, r, begin, end, x, y, bias);
        } else {
            rows = rows / high * high;
            FC_WORD(filter_columns)(f, high, widest, rows / high, r, begin, end, x, y, bias);
        }
#if defined(FC_HALF)
        FC_PASTE(filter_columns__, FC_DTYPE, _, FC_HALF, )(f, high, 1, rows / high, r, end, last, x, y, bias);
#endif
    }
}

static void FC_NAME(filter)(const fc_filter *f, const void *x, void *y, const void *bias) {
    const fc_index tile = 2 * V_LANES, last = f->columns;
    const int by_rows = f->step == 1 && (!f->edges || last > (fc_index)(4 * FC_LINE / sizeof(real)));
    fc_index columns = last;
#if defined(FC_HALF)
    if (f->step == 1 && f->taps_h * f->taps_w >= FC_HALF_TAPS && columns % V_LANES <= V_LANES / 2)
        columns -= columns % V_LANES;
#endif
    fc_index begin = 0, end = columns; /* of the columns whose taps all read the image */
    if (by_rows && f->edges) {
        begin = FC_WORD(inner_columns)(f, 0) < tile ? tile : 0;
        end = begin + FC_WORD(max)(0, FC_WORD(min)(FC_WORD(inner_columns)(f, begin), end - begin)) / tile * tile;
    }
    FC_WORD(filter_block)(f, 0, 0, begin, begin, x, y, bias);
    FC_WORD(filter_block)(f, by_rows, begin, end, end == columns ? last : end, x, y, bias);
    if (end < columns) FC_WORD(filter_block)(f, 0, end, columns, last, x, y, bias);
}
#endif
#undef FC_ALL_TILES
#undef FC_EDGE_TILES
#undef FC_TILES
#undef FC_ANY
#undef FC_BOTH
#undef FC_FIRST
#undef FC_SECOND
#undef FC_SECONDS
#undef FC_FILTER_TAPS
#undef FC_HALF_TAPS
