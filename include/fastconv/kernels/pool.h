/* max_rows, sum_rows, max_taps, mean_taps, max_runs, mean_runs: pooling, one output row at a time and one axis after the
 * other. The windows' rows are joined first (vertically), then the columns of the row that comes out (horizontally):
 *
 *   rows:  to[i] = join over d < planes, h < rows of x[d*plane_step + h*row_step + i]            i < count
 *   taps:  y[j]  = join over k < taps of row[j*stride + k*step]                                   j < count
 *   runs:  y[j]  = join over k < length[j] of row[first[j] + k*step]                              j < count
 *
 *   join is the maximum (the first of equal ones, NaN if there is a NaN, -inf of nothing) or the sum (0 of nothing); a
 *   mean divides the sum by rows*columns[j].
 *
 * A 3x3 window costs 2 + 2 joins in place of 8, and all rows are read as whole vectors, whatever the stride. `taps` has a
 * vector of outputs per operation, and wants a row with its padding; `runs` has a vector of inputs, for windows that
 * are wide beside their number, or irregular, and wants them cut at the edges of the image.
 *
 * Every output is joined in an order of its own: the same bits wherever its row is cut. rows and runs read what the
 * formula names and no more. taps reads whole vectors of outputs: to row[(ceil(count/L)*L - 1)*stride + (taps - 1)*step].
 */
FC_INLINE v_t FC_WORD(nothing)(const int max) { return max ? v_set1((real)-__builtin_inff()) : v_zero(); }
FC_INLINE v_t FC_WORD(join)(const int max, v_t sum, v_t x) { return max ? v_max(x, sum) : v_add(sum, x); }
FC_INLINE real FC_WORD(join_one)(const int max, real sum, real x) {
    return max ? (x > sum || x != x ? x : sum) : sum + x;
}

/* Some vectors side by side, the last of them in its lanes `last` only; there is a row to read. */
FC_INLINE void FC_WORD(join_rows)(const int max, const int vectors, const int whole, m_t last, real *to, const real *x,
                                  fc_index planes, fc_index plane_step, fc_index rows, fc_index row_step) {
    v_t sum[4];
    FC_UNROLL
    for (int v = 0; v < vectors; v++) sum[v] = whole ? v_load(x + v * V_LANES) : v_load_m(x + v * V_LANES, last);
    for (fc_index d = 0; d < planes; d++) {
        for (fc_index h = d == 0; h < rows; h++) {
            const real *row = x + d * plane_step + h * row_step;
            FC_UNROLL
            for (int v = 0; v < vectors; v++) {
                const real *p = row + v * V_LANES;
                sum[v] = FC_WORD(join)(max, sum[v], whole ? v_load(p) : v_load_m(p, last));
            }
        }
    }
    FC_UNROLL
    for (int v = 0; v < vectors; v++) {
        if (whole)
            v_store(to + v * V_LANES, sum[v]);
        else
            v_store_m(to + v * V_LANES, last, sum[v]);
    }
}

FC_INLINE void FC_WORD(all_rows)(const int max, real *to, const real *x, fc_index planes, fc_index plane_step,
                                 fc_index rows, fc_index row_step, fc_index count) {
    const m_t all = v_mask((uint32_t)(((uint64_t)1 << V_LANES) - 1));
    fc_index i = 0;
    for (; i + 4 * V_LANES <= count; i += 4 * V_LANES)
        FC_WORD(join_rows)(max, 4, 1, all, to + i, x + i, planes, plane_step, rows, row_step);
    for (; i + V_LANES <= count; i += V_LANES)
        FC_WORD(join_rows)(max, 1, 1, all, to + i, x + i, planes, plane_step, rows, row_step);
    if (i < count) FC_WORD(join_rows)
    (max, 1, 0, v_mask(((uint32_t)1 << (count - i)) - 1), to + i, x + i, planes, plane_step, rows, row_step);
}

/* The numbers of rows that images have most are unrolled. */
FC_INLINE void FC_WORD(pool_rows)(const int max, real *to, const real *x, fc_index planes, fc_index plane_step,
                                  fc_index rows, fc_index row_step, fc_index count) {
    if (planes == 1 && rows == 2)
        FC_WORD(all_rows)(max, to, x, 1, 0, 2, row_step, count);
    else if (planes == 1 && rows == 3)
        FC_WORD(all_rows)(max, to, x, 1, 0, 3, row_step, count);
    else if (planes > 0 && rows > 0)
        FC_WORD(all_rows)(max, to, x, planes, plane_step, rows, row_step, count);
    else
        for (fc_index i = 0; i < count; i++) to[i] = max ? (real)-__builtin_inff() : 0;
}

static void FC_NAME(max_rows)(void *to, const void *x, fc_index planes, fc_index plane_step, fc_index rows,
                              fc_index row_step, fc_index count) {
    FC_WORD(pool_rows)(1, to, x, planes, plane_step, rows, row_step, count);
}

static void FC_NAME(sum_rows)(void *to, const void *x, fc_index planes, fc_index plane_step, fc_index rows,
                              fc_index row_step, fc_index count) {
    FC_WORD(pool_rows)(0, to, x, planes, plane_step, rows, row_step, count);
}

/* ---- taps ---- */

FC_INLINE v_t FC_WORD(load_every)(const real *p, const int kind, fc_index stride) {
    if (kind == 1) return v_load(p);
    if (kind == 2) return v_even(v_load(p), v_load(p + V_LANES - 1));
    return v_every(p, stride);
}

/* All outputs of a row; kind is the stride, 0 for more than 2. Divided by rows*columns[j] where there are columns. */
FC_INLINE void FC_WORD(join_taps)(const int max, const int kind, real *y, const real *row, fc_index taps, fc_index step,
                                  fc_index stride, fc_index count, const real *columns, real rows) {
    for (fc_index j = 0; j < count; j += V_LANES) {
        const real *p = row + j * stride;
        v_t sum = FC_WORD(load_every)(p, kind, stride);
        for (fc_index k = 1; k < taps; k++)
            sum = FC_WORD(join)(max, sum, FC_WORD(load_every)(p + k * step, kind, stride));
        if (j + V_LANES <= count) {
            v_store(y + j, max ? sum : v_div(sum, v_mul(v_load(columns + j), v_set1(rows))));
        } else {
            const m_t last = v_mask(((uint32_t)1 << (count - j)) - 1);
            v_store_m(y + j, last, max ? sum : v_div(sum, v_mul(v_load_m(columns + j, last), v_set1(rows))));
        }
    }
}

FC_INLINE void FC_WORD(pool_taps)(const int max, real *y, const real *row, fc_index taps, fc_index step,
                                  fc_index stride, fc_index count, const real *columns, real rows) {
#define FC_TAPS(kind, taps, step, stride)                                                                              \
    FC_WORD(join_taps)(max, kind, y, row, taps, step, stride, count, columns, rows)
    if (stride == 1 && taps == 3 && step == 1)
        FC_TAPS(1, 3, 1, 1);
    else if (stride == 1)
        FC_TAPS(1, taps, step, 1);
    else if (stride == 2 && taps == 2 && step == 1)
        FC_TAPS(2, 2, 1, 2);
    else if (stride == 2 && taps == 3 && step == 1)
        FC_TAPS(2, 3, 1, 2);
    else if (stride == 2)
        FC_TAPS(2, taps, step, 2);
    else
        FC_TAPS(0, taps, step, stride);
#undef FC_TAPS
}

static void FC_NAME(max_taps)(void *y, const void *row, fc_index taps, fc_index step, fc_index stride, fc_index count) {
    FC_WORD(pool_taps)(1, y, row, taps, step, stride, count, NULL, 0);
}

static void FC_NAME(mean_taps)(void *y, const void *row, fc_index taps, fc_index stride, fc_index count,
                               const void *columns, double rows) {
    FC_WORD(pool_taps)(0, y, row, taps, 1, stride, count, columns, (real)rows);
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
        /* A maximum may count twice what the last vector shares with the one before; a sum adds zeros instead. */
        const m_t last = v_mask(((uint32_t)1 << (length - i)) - 1);
        sum = FC_WORD(join)(max, sum, max ? v_load(p + length - V_LANES) : v_load_m(p + i, last));
    }
    FC_UNROLL
    for (int n = V_LANES / 2; n; n /= 2) sum = FC_WORD(join)(max, sum, v_swap(sum, n));
    real lanes[V_LANES];
    v_store(lanes, sum);
    return lanes[0];
}

FC_INLINE void FC_WORD(pool_runs)(const int max, real *y, const real *row, const fc_index *first,
                                  const fc_index *length, fc_index step, fc_index count, const real *columns,
                                  real rows) {
    for (fc_index j = 0; j < count; j++) {
        const real *p = row + first[j];
        real sum = max ? (real)-__builtin_inff() : 0;
        if (step == 1 && length[j] >= V_LANES)
            sum = FC_WORD(join_run)(max, p, length[j]);
        else
            for (fc_index k = 0; k < length[j]; k++) sum = FC_WORD(join_one)(max, sum, p[k * step]);
        y[j] = max ? sum : sum / (rows * columns[j]);
    }
}

static void FC_NAME(max_runs)(void *y, const void *row, const fc_index *first, const fc_index *length, fc_index step,
                              fc_index count) {
    FC_WORD(pool_runs)(1, y, row, first, length, step, count, NULL, 0);
}

static void FC_NAME(mean_runs)(void *y, const void *row, const fc_index *first, const fc_index *length, fc_index count,
                               const void *columns, double rows) {
    FC_WORD(pool_runs)(0, y, row, first, length, 1, count, columns, (real)rows);
}
