"""Depthwise convolutions of few channels side by side, as of a photograph: lanes are pixels times channels.

    lanes    r0 g0 b0 r1 g1 b1 ... r15 g15 b15      three vectors of 16 pixels, with the weights r g b r g b ...

So many pixels that they fill vectors are one to the kernel `depthwise`, whose taps are as many numbers apart as ever.
Input rows are copied with their padding around them. The kernel goes down the rows, so that the taps of a column share
what they load: along a row no two loads begin at the same place, and most cross a cache line. A stride along the row
computes what lies between as well.
"""

cdef enum:
    ROWS_DOWN = 14              # that the kernel has in registers; more of them meet in few sets of the cache
    COLOUR_BYTES = 384 << 10    # of the padded input rows of an item


cdef void colour_band(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """A band of output rows."""
    cdef const DepthwiseJob *job = <const DepthwiseJob *>pointer
    cdef Py_ssize_t band = number % job.bands, image = number // job.bands, r, h = 0, count
    cdef Py_ssize_t first = job.rows * band, rows = min(job.rows, job.out_h - job.rows * band)
    cdef Py_ssize_t row = job.out_w * job.colours, wide_row = ((job.out_w - 1) * job.step_w + 1) * job.colours
    cdef float *scratch = job.scratch + worker * job.scratch_size
    cdef float *wide = scratch + job.out_at
    cdef float *y = job.y + image * job.y_image + first * row
    cdef const float *x
    if rows <= 0:
        return
    list_columns(job, <Py_ssize_t *>(scratch + job.list_at))
    for r in range((rows - 1) * job.step_h + job.span_h + 1):
        pad_row(job, scratch + r * job.colour_row, job.x + image * job.x_image, first * job.step_h + job.origin_h + r)
    while h < rows:
        count = min(<Py_ssize_t>ROWS_DOWN, rows - h)
        x = scratch + h * job.step_h * job.colour_row
        if job.step_w == 1:
            colour_rows(job, x, y + h * row, row, row, count, <Py_ssize_t *>(scratch + job.list_at))
        else:
            colour_rows(job, x, wide, wide_row, wide_row, count, <Py_ssize_t *>(scratch + job.list_at))
            skip_columns(job, y + h * row, wide, wide_row, count)
        h += count
    if job.end.given:
        job.kernels.finish(1, rows * row, y, 0, residual_at(&job.end, image, 0, first * row, sizeof(float)), 0,
                           job.end.kind, job.end.slope)


cdef void list_columns(const DepthwiseJob *job, Py_ssize_t *at) noexcept nogil:
    """Where taps read and their weights lie, column by column of the kernel; next to each other where a stride away."""
    cdef Py_ssize_t w, h, residue, t, n = 0
    for w in range(job.span_w + 1):
        for residue in range(min(job.step_h, job.span_h + 1)):
            for t in range(job.taps):
                h = job.offset[3 * t + 1] - job.low_h
                if job.offset[3 * t + 2] - job.low_w == w and h % job.step_h == residue:
                    at[n], at[job.taps + n] = h * job.colour_row + w * job.colours, t * job.lanes
                    n += 1


cdef void skip_columns(const DepthwiseJob *job, float *y, const float *wide, Py_ssize_t wide_row,
                       Py_ssize_t rows) noexcept nogil:
    """Of rows with all columns, those that are outputs."""
    cdef Py_ssize_t r, w, c
    for r in range(rows):
        for w in range(job.out_w):
            for c in range(job.colours):
                y[(r * job.out_w + w) * job.colours + c] = wide[r * wide_row + w * job.step_w * job.colours + c]


cdef void colour_rows(const DepthwiseJob *job, const float *x, float *y, Py_ssize_t y_row, Py_ssize_t width,
                      Py_ssize_t rows, const Py_ssize_t *taps) noexcept nogil:
    """Rows of `width` numbers, at least as many as share the lanes. The last ones may be computed twice."""
    cdef Py_ssize_t column = 0
    while column < width:
        column = min(column, width - job.channels)
        job.kernels.depthwise(y + column, y_row, rows, x + column, job.step_h * job.colour_row, job.blocks, 1, job.taps,
                              taps, job.weights, job.taps * job.lanes, taps + job.taps, job.bias)
        column += job.channels


cdef void pad_row(const DepthwiseJob *job, float *to, const float *x, Py_ssize_t row) noexcept nogil:
    """An input row with its padding around it."""
    cdef Py_ssize_t colours = job.colours, h = fold(job.border, row, job.height), i, c, at
    cdef Py_ssize_t left = min(max(-job.origin_w, 0), job.pitch)
    cdef Py_ssize_t right = max(left, min(job.pitch, job.width - job.origin_w))
    if h < 0 or left == right:
        memset(to, 0, job.pitch * colours * sizeof(float))
    if h < 0:
        return
    x += h * job.x_row
    if job.x_column == colours:
        memcpy(to + left * colours, x + (job.origin_w + left) * colours, (right - left) * colours * sizeof(float))
    else:
        for i in range(left, right):
            memcpy(to + i * colours, x + (job.origin_w + i) * job.x_column, colours * sizeof(float))
    for i in range(job.pitch - (right - left)):
        i += (right - left) * (i >= left)
        at = fold(job.border, job.origin_w + i, job.width)
        for c in range(colours):
            to[i * colours + c] = x[at * job.x_column + c] if at >= 0 else 0
