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
 * A tile of rows x vectors stays in registers. Each vector of pixels is loaded once for all rows that see it, which
 * makes the loads of a 3x3 kernel with 8 rows 30 for 72 multiply-adds; unaligned, as most of them are, they cost two
 * each. To know which rows see a vector the code must know the number of taps: it takes up to FC_FILTER_TAPS of a
 * column of the kernel at a time.
 *
 * The products of an output are summed in one register in the order: source, taps i in parts, j, i within the part.
 * That is the same for all tiles.
 */
#define FC_FILTER_TAPS 4

/* Adds the products of taps (i, all j), i < taps, of one source. */
FC_INLINE void FC_WORD(filter_taps)(const int rows, const int vectors, const int stride, const int taps,
                                    const fc_filter *f, const real *x, const real *w, v_t acc[8][8]) {
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
            FC_UNROLL
            for (int at = 0; at < (rows - 1) * stride + taps; at++) {
                FC_UNROLL
                for (int v = 0; v < vectors; v++) {
                    const v_t pixels = v_load_once(from + v * V_LANES);
                    FC_UNROLL
                    for (int i = 0; i < taps; i++) {
                        const int r = at >= i ? (at - i) / (stride ? stride : 1) : rows;
                        if (r < rows && r * stride + i == at) acc[r][v] = v_fma(weight[i], pixels, acc[r][v]);
                    }
                }
                from += x_row;
            }
        }
    }
}

/* One tile. Stride 0 stands for any, of which nothing is known about who shares what. */
FC_INLINE void FC_WORD(filter_tile)(const int rows, const int vectors, const int stride, const int whole, m_t last,
                                    const fc_filter *f, const real *x, real *y, const real *bias) {
    v_t acc[8][8];
    const v_t start = bias ? v_set1(*bias) : v_zero();
    FC_UNROLL
    for (int r = 0; r < rows; r++) {
        FC_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = start;
    }
    for (fc_index s = 0; s < f->sources; s++) {
        const real *from = x + f->x_at[s], *w = (const real *)f->w + f->w_at[s];
        for (fc_index left = f->taps_h; left > 0;) {
            const fc_index taps = left == 5 ? 3 : FC_WORD(min)(left, FC_FILTER_TAPS);
            switch (taps) {
            case 1: FC_WORD(filter_taps)(rows, vectors, stride, 1, f, from, w, acc); break;
            case 2: FC_WORD(filter_taps)(rows, vectors, stride, 2, f, from, w, acc); break;
            case 3: FC_WORD(filter_taps)(rows, vectors, stride, 3, f, from, w, acc); break;
            default: FC_WORD(filter_taps)(rows, vectors, stride, 4, f, from, w, acc); break;
            }
            from += taps * f->x_row;
            w += taps * f->w_h;
            left -= taps;
        }
    }
    FC_UNROLL
    for (int r = 0; r < rows; r++, y += f->y_row) {
        FC_UNROLL
        for (int v = 0; v < vectors; v++) {
            real *p = y + v * V_LANES;
            if (v == vectors - 1 && !whole)
                v_store_m(p, last, bias ? acc[r][v] : v_add(v_load_m(p, last), acc[r][v]));
            else
                v_store(p, bias ? acc[r][v] : v_add(v_load(p), acc[r][v]));
        }
    }
}

/* Tiles one below the other; only the last vector can be partial. */
FC_INLINE void FC_WORD(filter_tiles)(const int rows, const int vectors, const int stride, fc_index count,
                                     fc_index columns, const fc_filter *f, const real *x, real *y, const real *bias) {
    const int whole = columns == (fc_index)vectors * V_LANES;
    const m_t last = v_mask(((uint32_t)1 << (columns - (vectors - 1) * V_LANES)) - 1);
    for (; count > 0; count--) {
        FC_WORD(filter_tile)(rows, vectors, stride, whole, last, f, x, y, bias);
        x += rows * f->step * f->x_row;
        y += rows * f->y_row;
    }
}

/* The tiles that there are, by rows and vectors: as many as leave 8 to 16 sums in registers, and smaller ones for what
 * is left over. Stride 0 stands for any: nothing is known about which outputs share pixels. */
#define FC_TILES(stride)                                                                                               \
    FC_TILE(4, 2, stride)                                                                                              \
    FC_TILE(4, 1, stride)                                                                                              \
    FC_TILE(2, 4, stride)                                                                                              \
    FC_TILE(2, 2, stride)                                                                                              \
    FC_TILE(2, 1, stride)                                                                                              \
    FC_TILE(1, 8, stride)                                                                                              \
    FC_TILE(1, 4, stride)                                                                                              \
    FC_TILE(1, 2, stride)                                                                                              \
    FC_TILE(1, 1, stride)

/* A function each, lest the compiler share address arithmetic among them until no register is left. */
#define FC_TILE(rows, vectors, stride)                                                                                 \
    static __attribute__((noinline)) void FC_WORD(filter_##rows##x##vectors##_##stride)(                               \
        fc_index count, fc_index columns, const fc_filter *f, const real *x, real *y, const real *bias) {              \
        FC_WORD(filter_tiles)(rows, vectors, stride, count, columns, f, x, y, bias);                                   \
    }
FC_TILE(8, 2, 1)
FC_TILE(8, 1, 1)
FC_TILE(4, 4, 2)
FC_TILES(0)
FC_TILES(1)
FC_TILES(2)
#undef FC_TILE

static void FC_NAME(filter)(const fc_filter *f, const void *pixels, void *outputs, const void *bias) {
    const fc_index stride = f->step <= 2 ? f->step : 0;
    for (fc_index r = 0, rows; r < f->rows; r += rows) {
        const real *x = (const real *)pixels + r * f->step * f->x_row;
        real *y = (real *)outputs + r * f->y_row;
        rows = f->rows - r;
        const fc_index high = rows >= 8 && stride == 1 && V_REGISTERS >= 32 ? 8 : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        const fc_index widest = stride == 2 && high == 4 && V_REGISTERS >= 32 ? 4 : high >= 4 ? 2 : 8 / high;
        const fc_index count = rows / high;
        rows = count * high;
        for (fc_index n = 0, vectors; n < f->columns; n += vectors * V_LANES) {
            vectors = FC_WORD(min)(widest, (f->columns - n + V_LANES - 1) / V_LANES);
            vectors = vectors >= 8 ? 8 : vectors >= 4 ? 4 : vectors >= 2 ? 2 : 1;
            const fc_index columns = FC_WORD(min)(f->columns - n, vectors * V_LANES);
            switch (stride << 8 | high << 4 | vectors) {
#define FC_TILE(rows, vectors, stride)                                                                                 \
    case stride << 8 | rows << 4 | vectors:                                                                            \
        FC_WORD(filter_##rows##x##vectors##_##stride)(count, columns, f, x + n, y + n, bias);                          \
        break;
                FC_TILE(8, 2, 1)
                FC_TILE(8, 1, 1)
                FC_TILE(4, 4, 2)
                FC_TILES(0)
                FC_TILES(1)
                FC_TILES(2)
#undef FC_TILE
            default: break;
            }
        }
    }
}
#undef FC_TILES
#undef FC_FILTER_TAPS
