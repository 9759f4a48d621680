/* fft: discrete Fourier transforms of the columns of a complex image, in place, every lane a column of its own.
 *
 *   forward:  X[order(f)][n] = sum over r of x[r][n] * exp(-2 pi i f r / size)      f, r < size; n < columns
 *   inverse:  x[r][n] = sum over f of X[order(f)][n] * exp(+2 pi i f r / size)      not divided by size
 *
 * Row r has its real parts at re + r*stride, its imaginary parts at im + r*stride. size is a power of two, at least 4.
 * order is what the forward passes leave, digits reversed: row i*size/4 + order'(f) of a transform of size/4 holds
 * frequency 4f + i. Products of spectra do not mind, and the inverse undoes it, so no row is ever moved. Columns are
 * taken in whole vectors: rows must be readable and writable for those.
 *
 * roots holds, for the lengths size, size/4, ... >= 4 and each j < length/4, the real and imaginary parts of w^j, w^2j
 * and w^3j, w = exp(-2 pi i / length).
 *
 * All passes of a column follow each other: 128 rows of 64 + 64 bytes are 16 KiB and stay in L1, if rows lie an odd
 * number of cache lines apart.
 *
 * The inverse returns nonzero if a result is NaN or infinite, which any such input makes.
 */
typedef struct {
    v_t re, im;
} FC_WORD(complex);

FC_INLINE FC_WORD(complex) FC_WORD(plus)(FC_WORD(complex) a, FC_WORD(complex) b) {
    return (FC_WORD(complex)){v_add(a.re, b.re), v_add(a.im, b.im)};
}

FC_INLINE FC_WORD(complex) FC_WORD(minus)(FC_WORD(complex) a, FC_WORD(complex) b) {
    return (FC_WORD(complex)){v_sub(a.re, b.re), v_sub(a.im, b.im)};
}

/* a * w; the inverse turns the other way: a * conj(w). */
FC_INLINE FC_WORD(complex) FC_WORD(turn)(FC_WORD(complex) a, const real *w, const int inverse) {
    const v_t re = v_set1(w[0]), im = v_set1(w[1]);
    const v_t x = v_mul(a.re, re), y = v_mul(a.im, re);
    if (inverse) return (FC_WORD(complex)){v_fma(a.im, im, x), v_fnma(a.re, im, y)};
    return (FC_WORD(complex)){v_fnma(a.im, im, x), v_fma(a.re, im, y)};
}

/* One pass of butterflies over rows a quarter of a length apart. Forward turns what comes out, inverse what goes in. */
FC_INLINE v_t FC_WORD(pass4)(real *re, real *im, fc_index size, fc_index stride, fc_index quarter, const real *roots,
                             const int inverse, v_t zeros) {
    for (fc_index first = 0; first < size; first += 4 * quarter) {
        const real *w = roots;
        for (fc_index j = first; j < first + quarter; j++, w += 6) {
            FC_WORD(complex) x[4];
            FC_UNROLL
            for (int i = 0; i < 4; i++) {
                const fc_index at = (j + i * quarter) * stride;
                x[i] = (FC_WORD(complex)){v_load(re + at), v_load(im + at)};
                if (inverse && i) x[i] = FC_WORD(turn)(x[i], w + 2 * (i - 1), inverse);
            }
            const FC_WORD(complex) a = FC_WORD(plus)(x[0], x[2]), b = FC_WORD(minus)(x[0], x[2]);
            const FC_WORD(complex) c = FC_WORD(plus)(x[1], x[3]), d = FC_WORD(minus)(x[1], x[3]);
            const FC_WORD(complex) plus = {v_sub(b.re, d.im), v_add(b.im, d.re)};  /* b + i d */
            const FC_WORD(complex) minus = {v_add(b.re, d.im), v_sub(b.im, d.re)}; /* b - i d */
            x[0] = FC_WORD(plus)(a, c);
            x[1] = inverse ? plus : minus;
            x[2] = FC_WORD(minus)(a, c);
            x[3] = inverse ? minus : plus;
            FC_UNROLL
            for (int i = 0; i < 4; i++) {
                const fc_index at = (j + i * quarter) * stride;
                if (!inverse && i) x[i] = FC_WORD(turn)(x[i], w + 2 * (i - 1), inverse);
                v_store(re + at, x[i].re);
                v_store(im + at, x[i].im);
            }
            if (inverse && 4 * quarter == size) { /* 0 * x is 0 for finite x, else NaN */
                v_t bad = v_zero();
                FC_UNROLL
                for (int i = 0; i < 4; i++) bad = v_fma(x[i].im, v_zero(), v_fma(x[i].re, v_zero(), bad));
                zeros = v_add(zeros, bad);
            }
        }
    }
    return zeros;
}

/* The pass that is left where size is not a power of four: rows 2r and 2r + 1, the same both ways. */
FC_INLINE void FC_WORD(pass2)(real *re, real *im, fc_index size, fc_index stride) {
    for (fc_index at = 0; at < size * stride; at += 2 * stride) {
        const FC_WORD(complex) a = {v_load(re + at), v_load(im + at)};
        const FC_WORD(complex) b = {v_load(re + at + stride), v_load(im + at + stride)};
        const FC_WORD(complex) sum = FC_WORD(plus)(a, b), difference = FC_WORD(minus)(a, b);
        v_store(re + at, sum.re);
        v_store(im + at, sum.im);
        v_store(re + at + stride, difference.re);
        v_store(im + at + stride, difference.im);
    }
}

static int FC_NAME(fft)(void *re, void *im, fc_index size, fc_index stride, fc_index columns, const void *roots,
                        int inverse) {
    const real *shortest = roots; /* behind the roots of the shortest length */
    fc_index least = size;
    for (; least >= 4; least /= 4) shortest += 6 * (least / 4);
    v_t zeros = v_zero();
    for (fc_index n = 0; n < columns; n += V_LANES) {
        real *x = (real *)re + n, *y = (real *)im + n;
        if (inverse) {
            const real *w = shortest;
            if (least == 2) FC_WORD(pass2)(x, y, size, stride);
            for (fc_index quarter = least; quarter < size; quarter *= 4) {
                w -= 6 * quarter;
                zeros = FC_WORD(pass4)(x, y, size, stride, quarter, w, 1, zeros);
            }
        } else {
            const real *w = roots;
            for (fc_index quarter = size / 4; quarter >= 1; quarter /= 4) {
                FC_WORD(pass4)(x, y, size, stride, quarter, w, 0, zeros);
                w += 6 * quarter;
            }
            if (least == 2) FC_WORD(pass2)(x, y, size, stride);
        }
    }
    real lanes[V_LANES];
    v_store(lanes, zeros);
    int bad = 0;
    for (int i = 0; i < V_LANES; i++) bad |= !(lanes[i] == 0);
    return bad;
}
