/* Winograd's minimal filtering on tiles of n_h x n_w inputs: three transforms and the product between them.
 *
 *   y = A^T [ (G g G^T) . (B^T d B) ] A       per tile and pair of channels, summed over input channels before A
 *
 * On one axis, n points +-a, +-b, ..., infinity, and 0 where n is even, turn r taps and m = n - r + 1 outputs into n
 * products (Toom and Cook). fastconv/_winograd.py has the points and their derivation. Points come in pairs +-a, and so
 * do the rows of B^T and the columns of A^T: even and odd terms are summed once, then added and subtracted.
 *
 *   input, with z = 1 where 0 is a point, else 0; q the coefficients of prod(x^2 - a^2), as a polynomial in x^2, and
 *   R_a those of the same without a; sums are over all but the leading ones, which are 1:
 *     t[0] = sum q d[2i] + d[n-2]  (if z)       t[n-1] = sum q d[2i+z] + d[n-1]
 *     t[+-a] = E +- a O,                        E = sum R_a d[2i+z+1] + d[n-2],  O = sum R_a d[2i+z] + d[n-3]
 *   output, with S_a = t[a] + t[-a], D_a = t[a] - t[-a]:
 *     y[j] = sum a^j (j even: S_a, j odd: D_a)  + t[0] if z and j = 0  + t[n-1] if j = m - 1
 *
 * Where the dilation is half of the image or more, tiles of 2 outputs and 3 taps read 2 pixels, the others are padding:
 *     y[0] = g[1] d[0] + g[2] d[1],   y[1] = g[0] d[0] + g[1] d[1]
 * This takes 3 products (Karatsuba), with pixels and weights in each other's place: n = 3,
 *     t = (g[2] - g[1]) d[1],  g[1] (d[0] + d[1]),  (g[0] - g[1]) d[0],    y[0] = t[0] + t[1],  y[1] = t[1] + t[2]
 * and where d[1] is padding too and y[1] is not wanted, t[1] is all.
 *
 * All data is in blocks of V_LANES channels (kernels/blocks.h), so that any tile position is a plain address and no
 * lane is lost at the ends of rows. n is 3 to 8 on an axis that is transformed, 1 on one that is not; both are the
 * same, or n_h is 1. Strides are in elements.
 */
enum { FC_WORD(most_points) = 8 };

/* Products of one sum in a register before it is added to those before it. The error of a long sum is what limits large
 * tiles: with 8 points, 256 channels and 3 x 3 taps it was 1.5e-5 of the largest output in one piece, and is 4.6e-6 in
 * parts of 32 (which cost 2 to 3% of the time). */
#define FC_WINOGRAD_PART 32

/* Bytes by which weights are fetched ahead, into the next panel's too: up to 20% less time than with 2048 where they
 * come from memory and serve few tiles, within 3% elsewhere. */
#define FC_WINOGRAD_AHEAD 8192

/* Calls FC_TILES(n_h, n_w) with constants. */
#define FC_WINOGRAD_SIZES                                                                                              \
    switch (n_h == 1 ? n_w : n_h * n_w) {                                                                              \
    case 3: FC_TILES(1, 3); break;                                                                                     \
    case 9: FC_TILES(3, 3); break;                                                                                     \
    case 4: FC_TILES(1, 4); break;                                                                                     \
    case 5: FC_TILES(1, 5); break;                                                                                     \
    case 6: FC_TILES(1, 6); break;                                                                                     \
    case 7: FC_TILES(1, 7); break;                                                                                     \
    case 8: FC_TILES(1, 8); break;                                                                                     \
    case 16: FC_TILES(4, 4); break;                                                                                    \
    case 25: FC_TILES(5, 5); break;                                                                                    \
    case 36: FC_TILES(6, 6); break;                                                                                    \
    case 49: FC_TILES(7, 7); break;                                                                                    \
    case 64: FC_TILES(8, 8); break;                                                                                    \
    default: break;                                                                                                    \
    }

/* table: q, then per pair R_a and a. */
FC_INLINE void FC_WORD(input_axis)(const int n, const real *table, const v_t *d, v_t *t) {
    const int pairs = (n - 1) / 2, zero = 1 - n % 2;
    if (n == 1) {
        t[0] = d[0];
        return;
    }
    if (n == 3) {
        t[0] = d[1];
        t[1] = v_add(d[0], d[1]);
        t[2] = d[0];
        return;
    }
    v_t first = d[n - 2], last = d[n - 1];
    FC_UNROLL
    for (int i = 0; i < pairs; i++) {
        first = v_fma(v_set1(table[i]), d[2 * i], first);
        last = v_fma(v_set1(table[i]), d[2 * i + zero], last);
    }
    if (zero) t[0] = first;
    t[n - 1] = last;
    table += pairs;
    FC_UNROLL
    for (int a = 0; a < pairs; a++) {
        v_t even = d[n - 2], odd = d[n - 3];
        FC_UNROLL
        for (int i = 0; i < pairs - 1; i++) {
            even = v_fma(v_set1(table[i]), d[2 * i + zero + 1], even);
            odd = v_fma(v_set1(table[i]), d[2 * i + zero], odd);
        }
        t[zero + 2 * a] = v_fma(v_set1(table[pairs - 1]), odd, even);
        t[zero + 2 * a + 1] = v_fma(v_set1(-table[pairs - 1]), odd, even);
        table += pairs;
    }
}

FC_INLINE void FC_WORD(input_tile)(const int n_h, const int n_w, const real *table, const real *x, fc_index x_row,
                                   fc_index x_column, real *v, fc_index v_plane) {
    v_t d[FC_WORD(most_points)], t[FC_WORD(most_points)];
    real rows[FC_WORD(most_points) * FC_WORD(most_points) * V_LANES];
    const int reads_h = n_h == 3 ? 2 : n_h, reads_w = n_w == 3 ? 2 : n_w;
    const fc_index to_next = n_h == 1 ? v_plane : V_LANES;
    for (int i = 0; i < reads_h; i++) {
        const real *from = x + i * x_row;
        real *to = n_h == 1 ? v : rows + i * n_w * V_LANES;
        FC_UNROLL
        for (int j = 0; j < reads_w; j++) {
            d[j] = v_load(from);
            FC_NEXT_ROW(from, x_column);
        }
        FC_WORD(input_axis)(n_w, table, d, t);
        FC_UNROLL
        for (int j = 0; j < n_w; j++) v_store(to + j * to_next, t[j]);
    }
    if (n_h == 1) return;
    for (int j = 0; j < n_w; j++) {
        real *to = v + j * v_plane;
        FC_UNROLL
        for (int i = 0; i < reads_h; i++) d[i] = v_load(rows + (i * n_w + j) * V_LANES);
        FC_WORD(input_axis)(n_h, table, d, t);
        FC_UNROLL
        for (int i = 0; i < n_h; i++) {
            v_store(to, t[i]);
            FC_NEXT_ROW(to, n_w * v_plane);
        }
    }
}

/* winograd_input: v[p*v_plane + tile*V_LANES + c] = (B^T d B)[p], d[i][j] = x[tile*x_tile + i*x_row + j*x_column + c],
 * i and j below n, or 2 where n is 3, for p = i*n_w + j < n_h*n_w, tile < tiles, c < V_LANES. */
static void FC_NAME(winograd_input)(fc_index n_h, fc_index n_w, const void *table, fc_index tiles, const void *x,
                                    fc_index x_row, fc_index x_column, fc_index x_tile, void *v, fc_index v_plane) {
    const real *from = x;
    real *to = v;
    for (fc_index i = 0; i < tiles; i++) {
#define FC_TILES(h, w) FC_WORD(input_tile)(h, w, table, from, x_row, x_column, to, v_plane)
        FC_WINOGRAD_SIZES
#undef FC_TILES
        from += x_tile;
        to += V_LANES;
    }
}

/* y[j] + start; table: a^j per j and pair. Returns 0 * (sum of the y), which is 0 unless one of them is NaN or
 * infinite. */
FC_INLINE v_t FC_WORD(output_axis)(const int n, fc_index m, const real *table, const v_t *t, v_t start, real *y,
                                   fc_index y_step) {
    const int pairs = (n - 1) / 2, zero = 1 - n % 2;
    v_t sum[FC_WORD(most_points) / 2], difference[FC_WORD(most_points) / 2];
    v_t first = zero ? v_add(start, t[0]) : start;
    FC_UNROLL
    for (int a = 0; a < pairs; a++) {
        sum[a] = v_add(t[zero + 2 * a], t[zero + 2 * a + 1]);
        difference[a] = v_fma(v_set1(-1), t[zero + 2 * a + 1], t[zero + 2 * a]);
        first = v_add(first, sum[a]);
    }
    if (n == 3) difference[0] = t[1]; /* y[1] has no t[0] */
    const v_t end = v_add(start, t[n - 1]);
    if (m == 1) first = v_add(first, t[n - 1]);
    v_store(y, first);
    v_t zero_sum = v_fma(first, v_zero(), v_zero());
    for (fc_index j = 1; j < m; j++) {
        const real *power = table + j * pairs;
        v_t value = j == m - 1 ? end : start;
        FC_UNROLL
        for (int a = 0; a < pairs; a++) value = v_fma_at(power + a, j % 2 ? difference[a] : sum[a], value);
        v_store(y + j * y_step, value);
        zero_sum = v_fma(value, v_zero(), zero_sum);
    }
    return zero_sum;
}

FC_INLINE v_t FC_WORD(output_tile)(const int n_h, const int n_w, fc_index m_h, fc_index m_w, const real *table,
                                   const real *sums, fc_index plane, v_t bias, real *y, fc_index y_row,
                                   fc_index y_column) {
    v_t t[FC_WORD(most_points)], zero_sum = v_zero();
    real columns[FC_WORD(most_points) * FC_WORD(most_points) * V_LANES];
    if (n_h > 1) {
        for (int j = 0; j < n_w; j++) {
            const real *from = sums + j * plane;
            FC_UNROLL
            for (int i = 0; i < n_h; i++) {
                t[i] = v_load(from);
                FC_NEXT_ROW(from, n_w * plane);
            }
            FC_WORD(output_axis)(n_h, m_h, table, t, v_zero(), columns + j * V_LANES, n_w * V_LANES);
        }
    }
    for (fc_index i = 0; i < m_h; i++) {
        FC_UNROLL
        for (int j = 0; j < n_w; j++) t[j] = v_load(n_h == 1 ? sums + j * plane : columns + (i * n_w + j) * V_LANES);
        zero_sum = v_add(zero_sum, FC_WORD(output_axis)(n_w, m_w, table, t, bias, y + i * y_row, y_column));
    }
    return zero_sum;
}

/* winograd_output: y[tile*y_tile + i*y_row + j*y_column + c] = (A^T t A)[i][j] + bias[c], t[p] = sums[p*plane +
 * tile*tile_step + c], for i < m_h, j < m_w, tile < tiles, c < V_LANES. Returns nonzero if an output is NaN or
 * infinite: an input that is so, or overflows in a transform, reaches outputs of its tile that its taps do not. */
static int FC_NAME(winograd_output)(fc_index n_h, fc_index n_w, fc_index m_h, fc_index m_w, const void *table,
                                    fc_index tiles, const void *sums, fc_index plane, fc_index tile_step,
                                    const void *bias, void *y, fc_index y_row, fc_index y_column, fc_index y_tile) {
    const real *from = sums;
    const v_t start = v_load(bias);
    v_t zero_sum = v_zero();
    real *to = y;
    for (fc_index i = 0; i < tiles; i++) {
#define FC_TILES(h, w)                                                                                                 \
    zero_sum = v_add(zero_sum, FC_WORD(output_tile)(h, w, m_h, m_w, table, from, plane, start, to, y_row, y_column))
        FC_WINOGRAD_SIZES
#undef FC_TILES
        from += tile_step;
        to += y_tile;
    }
    real lane[V_LANES];
    v_store(lane, zero_sum);
    int bad = 0;
    for (int i = 0; i < V_LANES; i++) bad |= lane[i] != 0;
    return bad;
}

/* One product of each sum of a tile. */
FC_INLINE void FC_WORD(product_step)(const int rows, const int vectors, const real *x, const real *b, v_t *acc) {
    v_t weights[2] = {v_load(b), v_zero()};
    if (vectors == 2) weights[1] = v_load(b + V_LANES);
    FC_PREFETCH((const char *)b + FC_WINOGRAD_AHEAD);
    if (V_LANES * sizeof(real) >= 64) FC_PREFETCH((const char *)(b + V_LANES) + FC_WINOGRAD_AHEAD); /* another line */
    FC_UNROLL
    for (int r = 0; r < rows; r++) { /* every other factor from memory: see kernels/gemm.h */
        const v_t factor = v_set1(x[r * V_LANES]);
        FC_UNROLL
        for (int i = 0; i < vectors; i++, acc++)
            *acc = r % 2 ? v_fma_at(x + r * V_LANES, weights[i], *acc) : v_fma(factor, weights[i], *acc);
    }
}

/* winograd_product: c[r*c_row + n] = start + sum over k of a[(k/V_LANES)*a_block + r*V_LANES + k%V_LANES] *
 * b[k*2*V_LANES + n]
 *
 * for r < rows, n < vectors*V_LANES, k < count; start is c where `add` is set, else 0. a: tiles of transformed
 * pixels in blocks of channels; b: a panel of transformed weights, outputs side by side; c: sums of the tiles.
 * There are two vectors of outputs, or one in a last panel that is half empty; rows <= FC_ROWS, or 2*FC_ROWS of one.
 * A row of a block is V_LANES entries behind the one before it, a constant: one pointer serves all rows. */
FC_INLINE void FC_WORD(product_tile)(const int rows, const int vectors, fc_index count, const real *a, fc_index a_block,
                                     const real *b, real *c, fc_index c_row, int add) {
    static const real none[FC_ROWS * 2 * V_LANES];
    v_t acc[FC_ROWS * 2];
    _Alignas(64) real partial[FC_ROWS * 2 * V_LANES];
    const real *before = none; /* sums of the parts before */
    for (fc_index left = count;; left -= FC_WINOGRAD_PART) {
        FC_UNROLL
        for (int i = 0; i < rows * vectors; i++) acc[i] = v_zero();
        for (fc_index k = 0; k < FC_WINOGRAD_PART && k < left; k += V_LANES) {
            const fc_index depth = FC_WORD(min)(V_LANES, left - k);
            if (depth == V_LANES) {
                FC_UNROLL_BY(8)
                for (int i = 0; i < V_LANES; i++) FC_WORD(product_step)(rows, vectors, a + i, b + i * 2 * V_LANES, acc);
            } else {
                for (fc_index i = 0; i < depth; i++)
                    FC_WORD(product_step)(rows, vectors, a + i, b + i * 2 * V_LANES, acc);
            }
            b += depth * 2 * V_LANES;
            a += a_block;
        }
        FC_UNROLL
        for (int i = 0; i < rows * vectors; i++) acc[i] = v_add(v_load(before + i * V_LANES), acc[i]);
        if (left <= FC_WINOGRAD_PART) break;
        FC_UNROLL
        for (int i = 0; i < rows * vectors; i++) v_store(partial + i * V_LANES, acc[i]);
        before = partial;
    }
    FC_UNROLL
    for (int r = 0; r < rows; r++) {
        FC_UNROLL
        for (int i = 0; i < vectors; i++) {
            real *out = c + i * V_LANES;
            v_store(out, add ? v_add(v_load(out), acc[r * vectors + i]) : acc[r * vectors + i]);
        }
        FC_NEXT_ROW(c, c_row);
    }
}

static void FC_NAME(winograd_product)(fc_index rows, fc_index vectors, fc_index count, const void *a, fc_index a_block,
                                      const void *b, void *c, fc_index c_row, int add) {
    switch (vectors == 2 ? rows : -rows) {
#define FC_CASE(n)                                                                                                     \
    case n: FC_WORD(product_tile)(n, 2, count, a, a_block, b, c, c_row, add); break;                                   \
    case -(n): FC_WORD(product_tile)(n, 1, count, a, a_block, b, c, c_row, add); break;
        FC_ROW_CASES
#undef FC_CASE
    case -2 * FC_ROWS: FC_WORD(product_tile)(2 * FC_ROWS, 1, count, a, a_block, b, c, c_row, add); break;
    default: break;
    }
}

/* winograd_weights: u[p*u_plane + r] = (G g G^T)[p], g[i][j] = w[tap[i*taps_w + j]*2*V_LANES + r], for
 * p = i*n_w + j < n_h*n_w, r < 2*V_LANES; 0 where `tap` is negative. G: n rows of taps entries on each axis (g_h, g_w).
 * Returns nonzero if an entry read is NaN or infinite. */
FC_INLINE v_t FC_WORD(weights_tile)(const int n_h, const int n_w, const int taps_h, const int taps_w, real *u,
                                    fc_index u_plane, const real *w, const fc_index *tap, const real *g_h,
                                    const real *g_w) {
    v_t g[FC_WORD(most_points) * FC_WORD(most_points)], row[FC_WORD(most_points)], check = v_zero();
    for (int j = 0; j < FC_WORD(most_points); j++) row[j] = check; /* so that no compiler wonders */
    FC_UNROLL
    for (int t = 0; t < taps_h * taps_w; t++) {
        g[t] = tap[t] < 0 ? v_zero() : v_load(w + tap[t] * 2 * V_LANES);
        check = v_fma(g[t], v_zero(), check);
    }
    for (int i = 0; i < n_h; i++) {
        FC_UNROLL
        for (int j = 0; j < taps_w; j++) {
            row[j] = v_zero();
            FC_UNROLL
            for (int k = 0; k < taps_h; k++) row[j] = v_fma_at(g_h + i * taps_h + k, g[k * taps_w + j], row[j]);
        }
        FC_UNROLL
        for (int j = 0; j < n_w; j++) {
            v_t sum = v_zero();
            FC_UNROLL
            for (int k = 0; k < taps_w; k++) sum = v_fma_at(g_w + j * taps_w + k, row[k], sum);
            v_store(u + (i * n_w + j) * u_plane, sum);
        }
    }
    return check;
}

static int FC_NAME(winograd_weights)(void *u, fc_index u_plane, const void *w, const fc_index *tap, fc_index taps_h,
                                     fc_index taps_w, fc_index n_h, fc_index n_w, const void *g_h, const void *g_w) {
    const int square = n_h == 1 ? taps_h == 1 : taps_h == taps_w;
    int bad = 0;
    for (int half = 0; half < 2; half++) {
        real *to = (real *)u + half * V_LANES, lanes[V_LANES];
        const real *from = (const real *)w + half * V_LANES;
        v_t check = v_zero();
#define FC_WEIGHTS(n_h, n_w, taps_h, taps_w)                                                                           \
    check = FC_WORD(weights_tile)(n_h, n_w, taps_h, taps_w, to, u_plane, from, tap, g_h, g_w)
        if (square && taps_w == 3) {
#define FC_TILES(n_h, n_w) FC_WEIGHTS(n_h, n_w, (n_h) == 1 ? 1 : 3, 3)
            FC_WINOGRAD_SIZES
#undef FC_TILES
        } else if (square && taps_w == 2) {
#define FC_TILES(n_h, n_w) FC_WEIGHTS(n_h, n_w, (n_h) == 1 ? 1 : 2, 2)
            FC_WINOGRAD_SIZES
#undef FC_TILES
        } else {
            FC_WEIGHTS((int)n_h, (int)n_w, (int)taps_h, (int)taps_w);
        }
#undef FC_WEIGHTS
        v_store(lanes, check);
        for (int i = 0; i < V_LANES; i++) bad |= !(lanes[i] == 0);
    }
    return bad;
}
