/* filter: a block of output rows of one channel at once, from rows of pixels that lie padded in a strip (strip.h).
 *
 *   y[r*y_row + n] = start + sum over s, i, j of
 *                          w[w_at[s] + i*w_h + j*w_w] * x[x_at[s] + (r*step + i)*x_row + tap[j] + n]
 *
 *   r < rows, n < columns; s < sources (input channels and planes), i < taps_h, j < taps_w
 *   start = *bias where bias is given, else what y holds
 *
 * Strides are in elements. x must be readable for whole vectors; y is touched in its rows and columns only.
 * Preconditions: rows, columns >= 1.
 *
 * With `edges`, which wants step 1, x is an image without padding: its rows top <= r + i < bottom and columns
 * lo <= tap[j] + n < hi are read, and the others taken for zeros. Tiles beside an edge load under masks (edges 1), those
 * at the top and the bottom look at each row as well (edges 2).
 *
 * A tile of rows x vectors stays in registers. Each vector of pixels is loaded once for all rows that see it, which
 * makes the loads of a 3x3 kernel with 8 rows 30 for 72 multiply-adds; unaligned, as most of them are, they cost two
 * each. To know which rows see a vector the code must know the number of taps: it takes up to FC_FILTER_TAPS of a
 * column of the kernel at a time.
 *
 * The products of an output are summed in one register in the order: source, taps i in parts, j, i within the part.
 * That is the same for all tiles.
 */
#define FC_FILTER_TAPS 4

static const real FC_WORD(no_row)[8 * V_LANES]; /* zeros, for the rows above and below an image */

/* Adds the products of taps (i, all j), i < taps, of one source, from its row and column on. */
FC_INLINE void FC_WORD(filter_taps)(const int rows, const int vectors, const int stride, const int edges,
                                    const int taps, const fc_filter *f, fc_index row, fc_index column, const real *x,
                                    const real *w, v_t acc[8][8]) {
    const fc_index w_h = f->w_h, w_w = f->w_w, x_row = f->x_row, below = f->step * x_row;
    const fc_index *end = f->tap + f->taps_w;
    for (const fc_index *tap = f->tap; tap < end; tap++, w += w_w) {
        v_t weight[FC_FILTER_TAPS];
        const real *from = x + *tap;
        FC_UNROLL
        for (int i = 0; i < taps; i++) weight[i] = v_set1(w[i * w_h]);
        if (stride == 0) {
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
        } else {
            m_t mask[8];
            FC_UNROLL
            for (int v = 0; v < vectors; v++)
                if (edges)
                    mask[v] = v_mask(FC_WORD(inside)(column + *tap + v * V_LANES - f->lo, 1, f->hi - f->lo, V_LANES));
            FC_UNROLL
            for (int at = 0; at < (rows - 1) * stride + taps; at++, from += x_row) {
                const int outside = edges == 2 && (size_t)(row + at - f->top) >= (size_t)(f->bottom - f->top);
                const real *seen = outside ? FC_WORD(no_row) : from;
                FC_UNROLL
                for (int v = 0; v < vectors; v++) {
                    const v_t pixels = edges ? v_load_m(seen + v * V_LANES, mask[v]) : v_load_once(from + v * V_LANES);
                    FC_UNROLL
                    for (int i = 0; i < taps; i++) {
                        const int r = at >= i ? (at - i) / (stride ? stride : 1) : rows;
                        if (r < rows && r * stride + i == at) acc[r][v] = v_fma(weight[i], pixels, acc[r][v]);
                    }
                }
            }
        }
    }
}

/* One tile. Stride 0 stands for any, of which nothing is known about who shares what. */
FC_INLINE void FC_WORD(filter_tile)(const int rows, const int vectors, const int stride, const int edges, fc_index rest,
                                    const fc_filter *f, fc_index row, fc_index column, const real *x, real *y,
                                    const real *bias) {
    v_t acc[8][8];
    const v_t start = bias ? v_set1(*bias) : v_zero();
    FC_UNROLL
    for (int r = 0; r < rows; r++) {
        FC_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = start;
    }
    for (fc_index s = 0; s < f->sources; s++) {
        const real *from = x + f->x_at[s], *w = (const real *)f->w + f->w_at[s];
        for (fc_index i = 0, taps; i < f->taps_h; i += taps) {
            taps = f->taps_h - i == 5 ? 3 : FC_WORD(min)(f->taps_h - i, FC_FILTER_TAPS);
            switch (taps) {
#define FC_TAPS(n) FC_WORD(filter_taps)(rows, vectors, stride, edges, n, f, row + i, column, from, w, acc)
            case 1: FC_TAPS(1); break;
            case 2: FC_TAPS(2); break;
            case 3: FC_TAPS(3); break;
            default: FC_TAPS(4); break;
#undef FC_TAPS
            }
            from += taps * f->x_row;
            w += taps * f->w_h;
        }
    }
    FC_UNROLL
    for (int r = 0; r < rows; r++, y += f->y_row) {
        FC_UNROLL
        for (int v = 0; v < vectors; v++) {
            real *p = y + v * V_LANES;
            if (v == vectors - 1 && rest < V_LANES)
                v_store_first(p, rest,
                              bias ? acc[r][v] : v_add(v_load_m(p, v_mask(((uint32_t)1 << rest) - 1)), acc[r][v]));
            else
                v_store(p, bias ? acc[r][v] : v_add(v_load(p), acc[r][v]));
        }
    }
}

/* Tiles side by side, or else one below the other; only the last vector can be partial. */
FC_INLINE void FC_WORD(filter_tiles)(const int rows, const int vectors, const int stride, const int edges,
                                     fc_index beside, fc_index count, fc_index columns, const fc_filter *f,
                                     fc_index row, fc_index column, const real *x, real *y, const real *bias) {
    const fc_index rest = columns - (vectors - 1) * V_LANES;
    const fc_index x_step = beside ? columns : rows * f->step * f->x_row, y_step = beside ? columns : rows * f->y_row;
    for (; count > 0; count--, row += rows) { /* with edges, never side by side */
        FC_WORD(filter_tile)(rows, vectors, stride, edges, rest, f, row, column, x, y, bias);
        x += x_step;
        y += y_step;
    }
}

/* The tiles that there are, by rows and vectors: as many as leave 8 to 16 sums in registers, and smaller ones for what
 * is left over. Stride 0 stands for any: nothing is known about which outputs share pixels. */
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
#define FC_EDGE_TILES(edges)                                                                                           \
    FC_TILE(8, 2, 1, edges)                                                                                            \
    FC_TILE(8, 1, 1, edges)                                                                                            \
    FC_TILE(4, 2, 1, edges)                                                                                            \
    FC_TILE(4, 1, 1, edges)                                                                                            \
    FC_TILE(1, 2, 1, edges)                                                                                            \
    FC_TILE(1, 1, 1, edges)
#define FC_ALL_TILES                                                                                                   \
    FC_TILE(8, 2, 1, 0)                                                                                                \
    FC_TILE(8, 1, 1, 0)                                                                                                \
    FC_TILE(4, 4, 2, 0)                                                                                                \
    FC_TILES(0, 0)                                                                                                     \
    FC_TILES(1, 0)                                                                                                     \
    FC_TILES(2, 0)                                                                                                     \
    FC_EDGE_TILES(1)                                                                                                   \
    FC_EDGE_TILES(2)

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
    const fc_index stride = f->step <= 2 ? f->step : 0;
    const fc_index columns = FC_WORD(min)(f->columns - column, vectors * V_LANES);
    x += row * f->step * f->x_row + column;
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
    return n + left < f->lo ? 0 : f->hi - right - n;
}

/* Rows of tiles one after the other: outputs that go to memory are written row by row, not one cache line of each of
 * many. Wide tiles of many registers do better one below the other, and so do images with few tiles between their
 * edges. */
static void FC_WORD(filter_rows)(const fc_filter *f, fc_index high, fc_index widest, fc_index row, const real *x,
                                 real *y, const real *bias) {
    const int beyond = f->edges && (row < f->top || row + high + f->taps_h - 1 > f->bottom);
    for (fc_index n = 0, count, vectors = widest; n < f->columns; n += count * vectors * V_LANES) {
        while (n + (vectors - 1) * V_LANES >= f->columns) vectors /= 2;
        const fc_index whole = f->columns - n, inner = f->edges ? FC_WORD(inner_columns)(f, n) : whole;
        const int aside = f->edges && inner < vectors * V_LANES;
        count = beyond || aside ? 1 : FC_WORD(max)(1, FC_WORD(min)(whole, inner) / (vectors * V_LANES));
        FC_WORD(filter_some)(high, vectors, beyond ? 2 : aside, 1, count, f, row, n, x, y, bias);
    }
}

/* Tiles one below the other: rows of pixels are read again while they are near. */
static void FC_WORD(filter_columns)(const fc_filter *f, fc_index high, fc_index widest, fc_index count, fc_index row,
                                    const real *x, real *y, const real *bias) {
    fc_index above = 0, below = 0; /* tiles that see rows outside */
    while (f->edges && above < count && row + above * high < f->top) above++;
    while (f->edges && above + below < count && row + (count - below) * high + f->taps_h - 1 > f->bottom) below++;
    for (fc_index n = 0, vectors; n < f->columns; n += vectors * V_LANES) {
        vectors = FC_WORD(min)(widest, (f->columns - n + V_LANES - 1) / V_LANES);
        vectors = vectors >= 8 ? 8 : vectors >= 4 ? 4 : vectors >= 2 ? 2 : 1;
        const int aside = f->edges && FC_WORD(inner_columns)(f, n) < vectors * V_LANES;
        const fc_index end = row + (count - below) * high, between = count - above - below;
        if (above) FC_WORD(filter_some)(high, vectors, 2, 0, above, f, row, n, x, y, bias);
        FC_WORD(filter_some)(high, vectors, aside, 0, between, f, row + above * high, n, x, y, bias);
        if (below) FC_WORD(filter_some)(high, vectors, 2, 0, below, f, end, n, x, y, bias);
    }
}

static void FC_NAME(filter)(const fc_filter *f, const void *x, void *y, const void *bias) {
    for (fc_index r = 0, rows; r < f->rows; r += rows) {
        rows = f->rows - r;
        const fc_index low = rows >= 2 && !f->edges ? 2 : 1;
        const fc_index high = rows >= 8 && f->step == 1 && V_REGISTERS >= 32 ? 8 : rows >= 4 ? 4 : low;
        const fc_index wide = f->edges ? 2 : 8 / high;
        const fc_index widest = f->step == 2 && high == 4 && V_REGISTERS >= 32 ? 4 : high >= 4 ? 2 : wide;
        if (f->step == 1 && V_REGISTERS < 32 && (!f->edges || f->columns > 4 * V_LANES)) {
            rows = high;
            FC_WORD(filter_rows)(f, high, widest, r, x, y, bias);
        } else {
            rows = rows / high * high;
            FC_WORD(filter_columns)(f, high, widest, rows / high, r, x, y, bias);
        }
    }
}
#undef FC_ALL_TILES
#undef FC_EDGE_TILES
#undef FC_TILES
#undef FC_FILTER_TAPS
