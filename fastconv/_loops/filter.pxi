"""One output per pixel (depthwise layers, image filters): blocks of output rows through the filter kernel."""

cdef void filter_strip(const Job *job, const Item *item, const Packed *packed, const Block *block,
                       const Strip *strip) noexcept nogil:
    """One block of the sum for all outputs of a strip.

    Output rows are taken `apart` by apart, input rows `unit` by unit, so that the taps of an output are neighbours
    whatever the dilation: with stride s and dilation d, rows s*d / gcd(s, d) of the input apart see the same taps.
    """
    cdef fc_filter rows
    cdef Py_ssize_t unit = 1, apart = 1, h, at, count, row = output_row(job)
    cdef Py_ssize_t reach = locate_taps(job, item, packed, block, strip, &rows, &unit)
    cdef const char *bias = job.bias + (packed.bias_at + item.group) * job.itemsize if block.k0 == 0 else NULL
    cdef Py_ssize_t to = packed.group.first_phase * item.c_row + strip_column(job, strip)
    cdef Py_ssize_t products = (block.c1 - block.c0) * (block.t1 - block.t0), high = strip.h1 - strip.h0
    cdef Py_ssize_t y
    cdef char *built = NULL
    cdef bint final = job.end.given and not job.aside and block.k0 + products == packed.products
    apart = unit // gcd(unit, job.image.step[1])
    rows.step, rows.x_row = job.image.step[1] * apart // unit, unit * strip.row
    rows.columns, rows.y_row, rows.edges = strip.w1 - strip.w0, apart * row, job.filters_in_place
    rows.across = job.image.step[2] if job.filters_in_place else 1
    if final:
        high = max(1, FINISH_BYTES // (rows.columns * job.itemsize) // FILTER_ROWS) * FILTER_ROWS
    if filters_streaming(job) and products == packed.products:
        built, high, rows.y_row = item.pixels + job.aside_offset, FILTER_ROWS, rows.columns
    for h in range(min(apart, strip.h1 - strip.h0)):
        count, at = ceil_div(strip.h1 - strip.h0 - h, apart), 0
        while at < count:
            rows.rows = min(high, count - at)
            y = to + (h + at * apart) * row
            if job.filters_in_place:
                find_edges(job, strip, reach + h * job.image.step[1] + at * rows.step * unit, unit, &rows)
            job.kernels.filter(&rows, strip.pixels + ((reach + h * job.image.step[1]) * strip.row
                                                      + at * rows.step * rows.x_row) * job.itemsize,
                               built if built else item.c + y * job.itemsize, bias)
            if final:
                finish_filtered(job, item, &rows, y, built, apart * row)
            if built:
                stream_rows(job, item.c + y * job.itemsize, apart * row, built, &rows)
            at += high


cdef void find_strip(const Job *job, const Item *item, Strip *strip) noexcept nogil:
    """The image itself, in place of a strip: from the first row and column that a tap of the first output reads."""
    cdef const fc_image *image = &job.image
    strip.row, strip.channel = image.pitch[1], image.channel
    strip.pixels = channel_pixels(job, item, strip.c0) + (
        (strip.h0 * image.step[1] + image.origin[1] + job.reach.low_h) * strip.row
        + strip.w0 * image.step[2] + image.origin[2] + job.reach.low_w) * job.itemsize


cdef void find_edges(const Job *job, const Strip *strip, Py_ssize_t row, Py_ssize_t unit,
                     fc_filter *rows) noexcept nogil:
    """Which rows and columns are the image's, from a row of the strip on and `unit` rows apart."""
    row += strip.h0 * job.image.step[1] + job.image.origin[1] + job.reach.low_h
    rows.top = ceil_div(-row, unit) if row < 0 else 0
    rows.bottom = ceil_div(max(0, job.image.size[1] - row), unit)
    rows.lo = -(strip.w0 * job.image.step[2] + job.image.origin[2] + job.reach.low_w)
    rows.hi = rows.lo + job.image.size[2]


cdef void finish_filtered(const Job *job, const Item *item, const fc_filter *rows, Py_ssize_t at, char *built,
                          Py_ssize_t y_row) noexcept nogil:
    """Output rows of a channel that the kernel has just written, to their place or where they are built."""
    job.kernels.finish(rows.rows, rows.columns, built if built else item.c + at * job.itemsize, rows.y_row,
                       residual_at(&job.end, item.image, item.group * job.outputs + item.m0, at, job.itemsize),
                       y_row, job.end.kind, job.end.slope)


cdef void stream_rows(const Job *job, char *y, Py_ssize_t y_row, const char *built,
                      const fc_filter *rows) noexcept nogil:
    """... from where they were built, at once if they lie so in the output, too."""
    cdef Py_ssize_t r, size = rows.columns * job.itemsize
    if y_row == rows.columns:
        job.movers.stream(y, built, rows.rows * size)
    else:
        for r in range(rows.rows):
            job.movers.stream(y + r * y_row * job.itemsize, built + r * size, size)


cdef Py_ssize_t locate_taps(const Job *job, const Item *item, const Packed *packed, const Block *block,
                            const Strip *strip, fc_filter *rows, Py_ssize_t *unit) noexcept nogil:
    """Weights and offsets of a block of the sum; returns the row of its first tap, in unit the rows between two.

    Weights lie as [d][h][w][channel]. A transposed convolution's offsets descend: then h runs from its last tap.
    """
    cdef const Group *group = packed.group
    cdef const Py_ssize_t *offset = group.offset + 3 * block.t0
    cdef Py_ssize_t channels = block.c1 - block.c0, row = group.kernel[2], taps = block.t1 - block.t0
    cdef Py_ssize_t plane = row * group.kernel[1], planes = max(1, taps // plane), step = job.image.step[2]
    cdef Py_ssize_t *x_at = <Py_ssize_t *>(item.pixels + job.list_offset)
    cdef Py_ssize_t *w_at = x_at + FC_BLOCK_K
    cdef Py_ssize_t *tap = w_at + FC_BLOCK_K
    cdef Py_ssize_t c, d, t, w, n = 0, below = 0, first = 0
    rows.taps_w = min(row, taps)
    rows.taps_h = taps // planes // rows.taps_w
    rows.w = job.weights + (packed.weights_at + item.group * packed.products + block.k0) * job.itemsize
    rows.w_h, rows.w_w = row * channels, channels
    if rows.taps_h > 1:
        below = offset[3 * row + 1] - offset[1]
    if below < 0:
        first = (rows.taps_h - 1) * rows.w_h
        rows.w_h = -rows.w_h
    for d in range(planes):
        t = 0
        while job.reach.plane_offset[t] != offset[3 * d * plane]:
            t += 1
        for c in range(channels):
            x_at[n], w_at[n] = c * strip.channel + t * strip.rows * strip.row, first + d * plane * channels + c
            n += 1
    for t in range(rows.taps_w):
        w = offset[3 * t + 2] - job.reach.low_w
        tap[t] = w if job.filters_in_place else w % step * strip.pitch + w // step
    rows.sources, rows.x_at = n, x_at
    rows.w_at, rows.tap = w_at, tap
    unit[0] = below if below > 0 else -below if below else job.image.step[1]
    return offset[1] - job.reach.low_h + (below * (rows.taps_h - 1) if below < 0 else 0)


cdef Py_ssize_t gcd(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    while b:
        a, b = b, a % b
    return a
