/* max_rows, sum_rows, max_taps, mean_taps, max_runs, mean_runs: pooling, one axis after the other. The rows of the
 * windows are joined first (vertically), then the columns of the rows that come out (horizontally), for several output
 * rows r < outputs at once:
 *
 *   rows:  to[r*pitch + i] = join over d < planes, h < rows of x[r*step + d*plane_step + h*row_step + i]
 *   taps:  y[r*y_pitch + j] = join over k < taps of joined[r*pitch + j*stride + k*step]
 *   runs:  y[r*y_pitch + j] = join over k < length[j] of joined[r*pitch + first[j] + k*step]        i, j < count
 *
 *   join is the maximum (the first of equal ones, NaN if there is a NaN, -inf of nothing) or the sum (0 of nothing); a
 *   mean divides the sum by rows[r]*columns[j].
 *
 * A 3x3 window costs 2 + 2 joins in place of 8, and all rows are read as whole vectors, whatever the stride. `taps` has
 * a vector of outputs per operation, and wants rows with their padding; `runs` has a vector of inputs, for windows that
 * are wide beside their number, or irregular, and wants them cut at the edges of the image.
 *
 * rows writes whole vectors, with what joins nothing behind `count`: a store of some lanes would hold up the loads to
 * come. It reads what the formula names and no more, as does runs. taps reads whole vectors: below
 * joined[r*pitch + ceil(count/L)*L*stride + (taps - 1)*step]. Each output is joined in an order of its own: the same
 * bits wherever its row is cut.
 */
FC_INLINE real FC_WORD(nothing)(const int max) { return max ? (real)-__builtin_inff() : 0; }
FC_INLINE v_t FC_WORD(join)(const int max, v_t sum, v_t x) { return max ? v_max(x, sum) : v_add(sum, x); }
FC_INLINE real FC_WORD(join_one)(const int max, real sum, real x) {
    return max ? (x > sum || x != x ? x : sum) : sum + x;
}

/* Bits below `rest`, the lanes of a row's last vector. */
FC_INLINE m_t FC_WORD(first_lanes)(fc_index rest) { return v_mask(((uint32_t)1 << rest) - 1); }

/* Some vectors side by side, or one with lanes `last` only; there is a row to read. */
FC_INLINE void FC_WORD(join_rows)(const int max, const int vectors, const int cut, m_t last, real *to, const real *x,
                                  fc_index planes, fc_index plane_step, fc_index rows, fc_index row_step) {
    const v_t none = v_set1(FC_WORD(nothing)(max));
    v_t sum[4];
    FC_UNROLL
    for (int v = 0; v < vectors; v++) sum[v] = cut ? v_load_or(x, last, none) : v_load(x + v * V_LANES);
    for (fc_index d = 0; d < planes; d++) {
        for (fc_index h = d == 0; h < rows; h++) {
            const real *row = x + d * plane_step + h * row_step;
            FC_UNROLL
            for (int v = 0; v < vectors; v++)
                sum[v] = FC_WORD(join)(max, sum[v], cut ? v_load_or(row, last, none) : v_load(row + v * V_LANES));
        }
    }
    FC_UNROLL
    for (int v = 0; v < vectors; v++) v_store(to + v * V_LANES, sum[v]);
}

FC_INLINE void FC_WORD(all_rows)(const int max, real *to, fc_index pitch, const real *x, const fc_rows w,
                                 fc_index count) {
    const m_t last = FC_WORD(first_lanes)(count % V_LANES);
#define FC_JOIN(vectors, cut)                                                                                          \
    FC_WORD(join_rows)(max, vectors, cut, last, to + i, x + i, w.planes, w.plane_step, w.rows, w.row_step)
    for (fc_index r = 0; r < w.outputs; r++) {
        fc_index i = 0;
        for (; i + 4 * V_LANES <= count; i += 4 * V_LANES) FC_JOIN(4, 0);
        for (; i + V_LANES <= count; i += V_LANES) FC_JOIN(1, 0);
        if (i < count) FC_JOIN(1, 1);
        to += pitch;
        x += w.step;
    }
#undef FC_JOIN
}

/* The numbers of rows that images have most are unrolled. */
FC_INLINE void FC_WORD(pool_rows)(const int max, real *to, fc_index pitch, const real *x, const fc_rows *w,
                                  fc_index count) {
    const fc_rows two = {w->outputs, w->step, 1, 0, 2, w->row_step},
                  three = {w->outputs, w->step, 1, 0, 3, w->row_step};
    if (w->planes == 1 && w->rows == 2)
        FC_WORD(all_rows)(max, to, pitch, x, two, count);
    else if (w->planes == 1 && w->rows == 3)
        FC_WORD(all_rows)(max, to, pitch, x, three, count);
    else if (w->planes > 0 && w->rows > 0)
        FC_WORD(all_rows)(max, to, pitch, x, *w, count);
    else
        for (fc_index r = 0; r < w->outputs; r++)
            for (fc_index i = 0; i < count; i += V_LANES) v_store(to + r * pitch + i, v_set1(FC_WORD(nothing)(max)));
}

static void FC_NAME(max_rows)(void *to, fc_index pitch, const void *x, const fc_rows *windows, fc_index count) {
    FC_WORD(pool_rows)(1, to, pitch, x, windows, count);
}

static void FC_NAME(sum_rows)(void *to, fc_index pitch, const void *x, const fc_rows *windows, fc_index count) {
    FC_WORD(pool_rows)(0, to, pitch, x, windows, count);
}

/* ---- taps ---- */

FC_INLINE v_t FC_WORD(load_every)(const real *p, const int kind, fc_index stride) {
    if (kind == 1) return v_load(p);
    if (kind == 2) return v_even(v_load(p), v_load(p + V_LANES - 1));
    return v_every(p, stride);
}

/* The taps of a vector of windows; kind is the stride, 0 for more than 2. */
FC_INLINE v_t FC_WORD(join_taps_of)(const int max, const int kind, const real *p, fc_index taps, fc_index step,
                                    fc_index stride) {
    v_t sum = FC_WORD(load_every)(p, kind, stride);
    for (fc_index k = 1; k < taps; k++) sum = FC_WORD(join)(max, sum, FC_WORD(load_every)(p + k * step, kind, stride));
    return sum;
}

/* Up to this stride windows at all positions, of which some are gathered, cost less than a gather per tap. */
enum { FC_WORD(dense) = 8 };

/* A vector of outputs, n of which are wanted. */
FC_INLINE v_t FC_WORD(join_taps)(const int max, const int kind, const real *p, const fc_columns c, fc_index n,
                                 real *dense) {
    if (kind || c.stride > FC_WORD(dense)) return FC_WORD(join_taps_of)(max, kind, p, c.taps, c.step, c.stride);
    for (fc_index i = 0; i <= (n - 1) * c.stride; i += V_LANES)
        v_store(dense + i, FC_WORD(join_taps_of)(max, 1, p + i, c.taps, c.step, 1));
    return v_every(dense, c.stride);
}

FC_INLINE void FC_WORD(all_taps)(const int max, const int kind, real *y, const real *joined, const fc_columns c,
                                 const real *columns, const real *rows) {
    const m_t last = FC_WORD(first_lanes)(c.count % V_LANES);
    real dense[FC_WORD(dense) * V_LANES] = {0};
    for (fc_index r = 0; r < c.outputs; r++) {
        const v_t by = v_set1(max ? 0 : rows[r]);
        fc_index j = 0;
        for (; j + V_LANES <= c.count; j += V_LANES) {
            const v_t sum = FC_WORD(join_taps)(max, kind, joined + j * c.stride, c, V_LANES, dense);
            v_store(y + j, max ? sum : v_div(sum, v_mul(v_load(columns + j), by)));
        }
        if (j < c.count) {
            const v_t sum = FC_WORD(join_taps)(max, kind, joined + j * c.stride, c, c.count - j, dense);
            v_store_first(y + j, c.count - j, max ? sum : v_div(sum, v_mul(v_load_m(columns + j, last), by)));
        }
        y += c.y_pitch;
        joined += c.pitch;
    }
}

FC_INLINE void FC_WORD(pool_taps)(const int max, real *y, const real *joined, const fc_columns *c, const real *columns,
                                  const real *rows) {
#define FC_TAPS(kind, n_taps, n_step, n_stride)                                                                        \
    do {                                                                                                               \
        fc_columns windows = *c;                                                                                       \
        windows.taps = n_taps, windows.step = n_step, windows.stride = n_stride;                                       \
        FC_WORD(all_taps)(max, kind, y, joined, windows, columns, rows);                                               \
    } while (0)
    if (c->stride == 1 && c->taps == 3 && c->step == 1)
        FC_TAPS(1, 3, 1, 1);
    else if (c->stride == 1)
        FC_TAPS(1, c->taps, c->step, 1);
    else if (c->stride == 2 && c->taps == 2 && c->step == 1)
        FC_TAPS(2, 2, 1, 2);
    else if (c->stride == 2 && c->taps == 3 && c->step == 1)
        FC_TAPS(2, 3, 1, 2);
    else if (c->stride == 2)
        FC_TAPS(2, c->taps, c->step, 2);
    else
        FC_TAPS(0, c->taps, c->step, c->stride);
#undef FC_TAPS
}

static void FC_NAME(max_taps)(void *y, const void *joined, const fc_columns *windows) {
    FC_WORD(pool_taps)(1, y, joined, windows, NULL, NULL);
}

static void FC_NAME(mean_taps)(void *y, const void *joined, const fc_columns *windows, const void *columns,
                               const void *rows) {
    FC_WORD(pool_taps)(0, y, joined, windows, columns, rows);
}

/* ---- runs ---- */

/* A run of at least one vector: four sums, then all that is left of whole vectors, then the last few lanes. */
FC_INLINE real FC_WORD(join_run)(const int max, const real *p, fc_index length) {
    fc_index i = V_LANES;
    v_t sum = v_load(p);
    if (length >= 8 * V_LANES) {
        v_t part[3];
        FC_UNROLL
        for (int v = 0; v < 3; v++) part[v] = v_load(p + (v + 1) * V_LANES);
        for (i = 4 * V_LANES; i + 4 * V_LANES <= length; i += 4 * V_LANES) {
            sum = FC_WORD(join)(max, sum, v_load(p + i));
            FC_UNROLL
            for (int v = 0; v < 3; v++) part[v] = FC_WORD(join)(max, part[v], v_load(p + i + (v + 1) * V_LANES));
        }
        FC_UNROLL
        for (int v = 0; v < 3; v++) sum = FC_WORD(join)(max, sum, part[v]);
    }
    for (; i + V_LANES <= length; i += V_LANES) sum = FC_WORD(join)(max, sum, v_load(p + i));
    if (i < length) {
        const v_t none = v_set1(FC_WORD(nothing)(max));
        sum = FC_WORD(join)(max, sum, v_load_or(p + i, FC_WORD(first_lanes)(length - i), none));
    }
    FC_UNROLL
    for (int n = V_LANES / 2; n; n /= 2) sum = FC_WORD(join)(max, sum, v_swap(sum, n));
    real lanes[V_LANES];
    v_store(lanes, sum);
    return lanes[0];
}

FC_INLINE void FC_WORD(pool_runs)(const int max, real *y, const real *joined, const fc_columns *c, const real *columns,
                                  const real *rows) {
    for (fc_index r = 0; r < c->outputs; r++) {
        for (fc_index j = 0; j < c->count; j++) {
            const real *p = joined + r * c->pitch + c->first[j];
            const fc_index length = c->length[j];
            real sum = FC_WORD(nothing)(max);
            if (c->step == 1 && length >= V_LANES)
                sum = FC_WORD(join_run)(max, p, length);
            else
                for (fc_index k = 0; k < length; k++) sum = FC_WORD(join_one)(max, sum, p[k * c->step]);
            y[r * c->y_pitch + j] = max ? sum : sum / (rows[r] * columns[j]);
        }
    }
}

static void FC_NAME(max_runs)(void *y, const void *joined, const fc_columns *windows) {
    FC_WORD(pool_runs)(1, y, joined, windows, NULL, NULL);
}

static void FC_NAME(mean_runs)(void *y, const void *joined, const fc_columns *windows, const void *columns,
                               const void *rows) {
    FC_WORD(pool_runs)(0, y, joined, windows, columns, rows);
}
