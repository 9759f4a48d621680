"""Convolutions of images whose channels lie side by side (NHWC), by products whose rows are pixels.

The channels of neighbouring taps are one run of the image, in groups those of one tap, so that no pixel is packed,
turned or gathered; outputs are stored as they lie. Where taps leave the image, its rows are copied with their padding
around them, all channels at once. The blocks of the sum are those of the cut: the sums are those of direct.pxi, bit
for bit. Not those of few outputs, of which a vector has several channels each (DOTS), or of one all lanes (SUMS), added
up at last.
"""

cdef enum:
    PIXELS_BYTES = 256 << 10    # of the padded rows of an item
    PIXELS_OF_ITEM = 448        # outputs: 32 tiles of 14
    PRODUCTS = 0                # what the lanes of a vector are: outputs, ...
    DOTS = 1                    # ... outputs with 16 bytes of channels each,
    SUMS = 2                    # or channels
    MOST_SUMS = 2               # outputs of a panel


cdef struct PixelJob:
    const fc_real_kernels *kernels
    const Packed *packed
    const Block *block                                      # how the sum is cut
    Py_ssize_t blocks
    int kind                                                # PRODUCTS, DOTS or SUMS
    Py_ssize_t itemsize, groups, channels, outputs          # channels and outputs per conv group
    Py_ssize_t x_pixel, y_pixel                             # those of all groups
    Py_ssize_t width, panels, padded                        # outputs of a panel, but for a group's last; and of a group
    Py_ssize_t together                                     # channels of an output in a vector of dots, or of sums
    const char *given                                       # weights as they are given, while they are packed
    const char *weights             # [conv group][block][panel][product][output]; of dots and sums: see pack_dots
    const char *bias                                        # [conv group][output]
    Py_ssize_t step_h, step_w, low_h, low_w, span_h, span_w
    int border
    End end

    const char *x
    char *y
    Py_ssize_t x_image, x_row, x_column, y_image            # strides in elements
    Py_ssize_t height, width_in, origin_h, origin_w, out_h, out_w
    int in_place                                            # no tap leaves the image
    Py_ssize_t images, rows, columns, row_blocks, column_blocks, panel_ranges, items, threads
    Py_ssize_t strip_row, list_at, scratch_bytes            # of a worker's scratch
    char *scratch


cdef struct PixelItem:
    Py_ssize_t image, h0, w0, rows, columns                 # a piece of some output rows
    const char *x                   # the first pixel that its taps reach, in the image or in a padded copy
    Py_ssize_t row, column          # strides of these, in elements
    fc_run *runs


cdef class Pixels(Runner):
    """A convolution with its weights packed for rows of pixels. Immutable; threads may share it."""

    cdef readonly Cut cut
    cdef PixelJob template
    cdef char *numbers              # biases, then weights
    cdef bint once                  # for one call
    cdef Block whole                # of the sum

    def __cinit__(self, Cut cut, weight, bias, Py_ssize_t threads=1, bint once=False, int kind=PRODUCTS):
        cdef PixelJob *job = &self.template
        cdef const Job *direct = &cut.template
        cdef Lent lent = lend(weight, PyBUF_SIMPLE), lent_bias
        cdef Py_ssize_t size, lanes, part, g
        self.cut, self.last, self.pixels = cut, READS_LAST | WRITES_LAST, True
        job.kernels, job.packed, job.itemsize, job.border = direct.kernels, cut.packed, direct.itemsize, direct.border
        job.block, job.blocks, job.kind = cut.packed.block, cut.packed.blocks, kind
        lanes, part, job.width = direct.kernels.lanes, direct.kernels.part, 2 * direct.kernels.lanes
        if kind != PRODUCTS:        # a sum is not cut: its weights are few
            self.whole = Block(0, direct.channels, 0, cut.packed.group.taps, 0)
            job.block, job.blocks = &self.whole, 1
        if kind == DOTS:
            job.together = 16 // job.itemsize
            part, job.width = lanes // job.together, 2 * lanes // job.together
        elif kind == SUMS:
            job.together, part, job.width = lanes, 1, MOST_SUMS
        job.groups, job.channels, job.outputs = direct.groups, direct.channels, direct.outputs
        job.x_pixel, job.y_pixel = job.groups * job.channels, job.groups * job.outputs
        job.panels, job.padded = ceil_div(job.outputs, job.width), ceil_div(job.outputs, part) * part
        job.step_h, job.step_w = direct.image.step[1], direct.image.step[2]
        job.low_h, job.low_w = direct.reach.low_h, direct.reach.low_w
        job.span_h, job.span_w = direct.reach.span_h, direct.reach.span_w
        size = job.groups * job.padded * job.itemsize
        self.once = once
        self.numbers = <char *>room(size * (1 + job.packed.products), once)
        memset(self.numbers, 0, size * (1 + job.packed.products) if job.padded > job.outputs else size)
        job.bias, job.weights = self.numbers, self.numbers + size
        if bias is not None:
            lent_bias = lend(bias, PyBUF_SIMPLE)
            for g in range(job.groups):
                memcpy(self.numbers + g * job.padded * job.itemsize,
                       <const char *>lent_bias.view.buf + g * job.outputs * job.itemsize, job.outputs * job.itemsize)
        job.given = <const char *>lent.view.buf
        threads = max(1, min(threads, FC_MAX_THREADS, job.y_pixel * job.packed.products // PACK_SERIAL))
        with nogil:
            fc_parallel(pack_pixel_panel if kind == PRODUCTS else pack_dots, job, job.groups * job.panels, threads)

    def __dealloc__(self):
        leave(self.numbers, self.once)

    cdef int _run(self, const View *x, const View *y, origin, Py_ssize_t threads, int last,
                  const End *end) except -1:
        cdef PixelJob job = self.template
        cdef Py_ssize_t size = job.itemsize
        job.end, job.x, job.y = end[0], <const char *>x.buf, <char *>y.buf
        job.x_image, job.x_row, job.x_column = x.strides[0] // size, x.strides[3] // size, x.strides[4] // size
        job.y_image = y.strides[0] // size
        job.images, job.height, job.width_in, job.out_h, job.out_w = (x.shape[0], x.shape[3], x.shape[4], y.shape[3],
                                                                      y.shape[4])
        job.origin_h, job.origin_w = origin[1] + job.low_h, origin[2] + job.low_w
        self._cut_work(&job, threads)
        if job.items == 0:
            return 0
        job.scratch = <char *>borrow(job.scratch_bytes * job.threads)
        with nogil:
            fc_parallel(pixels_item, &job, job.items, job.threads)
        give_back(job.scratch)
        return 0

    cdef int _cut_work(self, PixelJob *job, Py_ssize_t threads) except -1:
        """Items: a range of panels of outputs, for a piece of some output rows."""
        cdef Py_ssize_t products = job.images * job.out_h * job.out_w * job.y_pixel * job.packed.products, wanted
        job.step_h = taken_step(job.step_h, job.out_h, job.height)
        job.step_w = taken_step(job.step_w, job.out_w, job.width_in)
        job.in_place = (job.origin_h >= 0 and job.origin_w >= 0
                        and job.origin_h + (job.out_h - 1) * job.step_h + job.span_h < job.height
                        and job.origin_w + (job.out_w - 1) * job.step_w + job.span_w < job.width_in)
        if (job.in_place and job.packed.group.taps == 1 and job.step_h == job.step_w == 1
                and job.x_row == job.width_in * job.x_column and job.out_w == job.width_in):
            job.out_w, job.out_h = job.out_w * job.out_h, min(1, job.out_h)     # one long row
        job.threads = max(1, min(threads, FC_MAX_THREADS, 1 + products // SERIAL_PRODUCTS))
        wanted = 4 * job.threads if job.threads > 1 else 1
        job.columns, job.rows, job.panel_ranges = max(1, min(job.out_w, PIXELS_OF_ITEM)), 1, 1
        while job.columns > 64 and self._strip_bytes(job, 1) > PIXELS_BYTES:
            job.columns = ceil_div(job.columns, 2)
        while (job.rows < job.out_h and job.rows * job.columns <= PIXELS_OF_ITEM
               and (job.in_place or self._strip_bytes(job, 2 * job.rows) <= PIXELS_BYTES)):
            job.rows *= 2
        job.rows = max(1, min(job.rows, job.out_h))
        job.column_blocks = ceil_div(job.out_w, job.columns)
        while job.rows > 1 and job.images * job.column_blocks * ceil_div(job.out_h, job.rows) < wanted:
            job.rows = ceil_div(job.rows, 2)
        job.row_blocks = ceil_div(job.out_h, job.rows)
        while (job.column_blocks * 4 * job.kernels.rows < job.out_w
               and job.images * job.column_blocks * job.row_blocks < wanted):
            job.column_blocks += 1
        job.columns = ceil_div(job.out_w, max(1, job.column_blocks))
        while (job.panel_ranges < job.groups * job.panels
               and job.images * job.column_blocks * job.row_blocks * job.panel_ranges < wanted):
            job.panel_ranges += 1
        job.strip_row = ((job.columns - 1) * job.step_w + job.span_w + 1) * job.x_pixel
        job.list_at = 0 if job.in_place else ceil_div(self._strip_bytes(job, job.rows), 64) * 64
        job.scratch_bytes = job.list_at + ceil_div((FC_BLOCK_K + 1) * sizeof(fc_run), 64) * 64
        job.items = job.images * job.row_blocks * job.column_blocks * job.panel_ranges
        job.threads = max(1, min(job.threads, job.items))
        return 0

    cdef Py_ssize_t _strip_bytes(self, const PixelJob *job, Py_ssize_t rows):
        return (((rows - 1) * job.step_h + job.span_h + 1) * ((job.columns - 1) * job.step_w + job.span_w + 1)
                * job.x_pixel * job.itemsize)

    def describe(self, x_shape, y_shape, threads=1):
        """How a call would be cut, in a dict."""
        cdef PixelJob job = self.template
        job.images, job.height, job.width_in, job.out_h, job.out_w = (x_shape[0], x_shape[3], x_shape[4], y_shape[3],
                                                                      y_shape[4])
        job.x_column, job.x_row = job.x_pixel, job.x_pixel * job.width_in
        self._cut_work(&job, threads)
        kind = ("", ", dots", ", sums")[job.kind]
        return {"algorithm": f"direct, rows of pixels{kind}", "isa": self.cut.isa,
                "dtype": "float32" if job.itemsize == 4 else "float64", "tile": f"{job.kernels.rows}x{job.width}",
                "products": [(job.outputs, job.packed.products)], "items": job.items, "threads": job.threads,
                "workspace_bytes": job.scratch_bytes * job.threads}


cdef void pack_pixel_panel(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """From (O, C, taps) to [block][panel][tap][channel][output] of a group, zeros beyond its last output."""
    cdef const PixelJob *job = <const PixelJob *>pointer
    cdef Py_ssize_t group = number // job.panels, panel = number % job.panels, first = panel * job.width, b, t, c, n = 0
    cdef Py_ssize_t taps = job.packed.group.taps, size = job.itemsize
    cdef Py_ssize_t outputs = min(job.width, job.outputs - first), width = min(job.width, job.padded - first)
    cdef Py_ssize_t[64] row_offset          # outputs of a panel: two vectors
    cdef Py_ssize_t[256] offset, place      # FC_BLOCK_K products
    cdef char *weights = <char *>weights_of_group(job, group)
    cdef const Block *block
    for c in range(outputs):
        row_offset[c] = (group * job.outputs + first + c) * job.channels * taps
    for b in range(job.blocks):
        block, n = job.block + b, 0
        for c in range(block.c0, block.c1):
            for t in range(block.t0, block.t1):
                offset[n] = c * taps + t
                place[n] = ((t - block.t0) * (block.c1 - block.c0) + c - block.c0) * width
                n += 1
        job.kernels.pack_weights(weights + (block.k0 * job.padded + n * first) * size, job.given, outputs, row_offset,
                                 n, offset, place)


cdef void pack_dots(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """From the same to [tap][channels of a vector][output][channel]."""
    cdef const PixelJob *job = <const PixelJob *>pointer
    cdef Py_ssize_t group = number // job.panels, panel = number % job.panels, first = panel * job.width, t, c, o, k
    cdef Py_ssize_t taps = job.packed.group.taps, size = job.itemsize, width = min(job.width, job.padded - first)
    cdef char *to = <char *>weights_of_group(job, group) + first * job.packed.products * size
    cdef const char *given = job.given + (group * job.outputs + first) * job.packed.products * size
    for o in range(min(job.width, job.outputs - first)):
        for t in range(taps):
            for c in range(job.channels):
                k = t * job.channels + c
                memcpy(to + ((k // job.together * width + o) * job.together + k % job.together) * size,
                       given + ((o * job.channels + c) * taps + t) * size, size)


cdef const char *weights_of_group(const PixelJob *job, Py_ssize_t group) noexcept nogil:
    return job.weights + group * job.packed.products * job.padded * job.itemsize


cdef void pixels_item(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """Panels of outputs outside, pixels inside: a panel of weights stays in L1 for them all."""
    cdef const PixelJob *job = <const PixelJob *>pointer
    cdef PixelItem item
    cdef Py_ssize_t size = job.itemsize, panels = job.groups * job.panels, share, first, end, group
    cdef char *scratch = job.scratch + worker * job.scratch_bytes
    item.runs = <fc_run *>(scratch + job.list_at)
    item.w0, number = number % job.column_blocks * job.columns, number // job.column_blocks
    item.h0, number = number % job.row_blocks * job.rows, number // job.row_blocks
    share, item.image = number % job.panel_ranges, number // job.panel_ranges
    item.rows, item.columns = min(job.rows, job.out_h - item.h0), min(job.columns, job.out_w - item.w0)
    if item.rows <= 0 or item.columns <= 0:
        return
    first, end = panels * share // job.panel_ranges, panels * (share + 1) // job.panel_ranges
    item.x = job.x + item.image * job.x_image * size
    if job.in_place:
        item.row, item.column = job.x_row, job.x_column
        item.x += ((item.h0 * job.step_h + job.origin_h) * item.row
                   + (item.w0 * job.step_w + job.origin_w) * item.column) * size
    else:
        pad_rows(job, item.x, scratch, item.h0 * job.step_h + job.origin_h,
                 (item.rows - 1) * job.step_h + job.span_h + 1, item.w0 * job.step_w + job.origin_w,
                 (item.columns - 1) * job.step_w + job.span_w + 1)
        item.row, item.column, item.x = job.strip_row, job.x_pixel, scratch
    for group in range(first // job.panels, ceil_div(end, job.panels)):
        multiply_pixels(job, &item, group, max(0, first - group * job.panels),
                        min(job.panels, end - group * job.panels))


cdef void multiply_pixels(const PixelJob *job, const PixelItem *item, Py_ssize_t group, Py_ssize_t first,
                          Py_ssize_t end) noexcept nogil:
    """Some panels of a group, block after block of the sum."""
    cdef Py_ssize_t size = job.itemsize, b, p, h, k, n_runs
    cdef const char *weights = weights_of_group(job, group)
    cdef const Block *block
    for b in range(job.blocks):
        block = job.block + b
        k = (block.c1 - block.c0) * (block.t1 - block.t0)
        n_runs = list_runs(job, block, item.row, item.column, group * job.channels, item.runs)
        for p in range(first, end):
            for h in range(item.rows):
                pixels_row(job, item, h, n_runs, weights + p * k * job.width * size, group, p, b)
        weights += job.padded * k * size


cdef void pixels_row(const PixelJob *job, const PixelItem *item, Py_ssize_t h, Py_ssize_t n_runs,
                     const char *weights, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t b) noexcept nogil:
    """One block of the sum, for a panel of outputs and neighbouring pixels of a row, in tiles of nearly one height."""
    cdef Py_ssize_t count = item.columns, tiles = ceil_div(count, job.kernels.rows), size = job.itemsize, i, at, rows
    cdef Py_ssize_t n = min(job.width, job.outputs - panel * job.width), step = job.step_w * item.column, y_at
    cdef Py_ssize_t pixel = (item.h0 + h) * job.out_w + item.w0
    cdef const char *x = item.x + h * job.step_h * item.row * size
    cdef const char *bias = job.bias + (group * job.padded + panel * job.width) * size if b == 0 else NULL
    cdef char *y
    if job.kind == SUMS:            # which has tiles of its own
        tiles = 1
    for i in range(tiles):
        at = count * i // tiles
        rows = count * (i + 1) // tiles - at
        y_at = (pixel + at) * job.y_pixel + group * job.outputs + panel * job.width
        y = job.y + (item.image * job.y_image + y_at) * size
        if job.kind == SUMS:
            job.kernels.pixel_sums(rows, n, x + at * step * size, step, item.runs, n_runs, weights, y, job.y_pixel,
                                   bias)
        elif job.kind == DOTS:
            job.kernels.pixel_dots(rows, n, x + at * step * size, step, item.runs, n_runs, weights, y, job.y_pixel,
                                   bias)
        else:
            job.kernels.pixel_product(rows, n, x + at * step * size, step, item.runs, n_runs, weights, y,
                                      job.y_pixel, bias)
        if job.end.given and b == job.blocks - 1:
            job.kernels.finish(rows, n, y, job.y_pixel, residual_at(&job.end, item.image, 0, y_at, size), job.y_pixel,
                               job.end.kind, job.end.slope)


cdef Py_ssize_t list_runs(const PixelJob *job, const Block *block, Py_ssize_t row, Py_ssize_t column,
                          Py_ssize_t channel, fc_run *runs) noexcept nogil:
    """The channels that a block reads, from the first pixel that the taps of an output reach."""
    cdef Py_ssize_t t, first, n = 0, channels = block.c1 - block.c0
    cdef const Py_ssize_t *offset
    for t in range(block.t0, block.t1):
        offset = job.packed.group.offset + 3 * t
        first = (offset[1] - job.low_h) * row + (offset[2] - job.low_w) * column + channel + block.c0
        if n and runs[n - 1].first + runs[n - 1].count == first:
            runs[n - 1].count += channels
        else:
            runs[n] = fc_run(first, channels)
            n += 1
    return n


cdef void pad_rows(const PixelJob *job, const char *x, char *to, Py_ssize_t top, Py_ssize_t rows, Py_ssize_t left,
                   Py_ssize_t columns) noexcept nogil:
    """Input rows from `top` and columns from `left`, as if the image went on beyond its ends."""
    cdef Py_ssize_t pixel = job.x_pixel * job.itemsize, row, h, w, at
    cdef Py_ssize_t lo = min(max(0, -left), columns), hi = max(lo, min(columns, job.width_in - left))
    cdef const char *source
    for row in range(rows):
        h = fold(job.border, top + row, job.height)
        if h < 0:
            memset(to, 0, columns * pixel)
        else:
            source = x + h * job.x_row * job.itemsize
            if job.x_column == job.x_pixel:
                memcpy(to + lo * pixel, source + (left + lo) * pixel, (hi - lo) * pixel)
            else:
                for w in range(lo, hi):
                    memcpy(to + w * pixel, source + (left + w) * job.x_column * job.itemsize, pixel)
            for w in range(columns - (hi - lo)):
                w += (hi - lo) * (w >= lo)
                at = fold(job.border, left + w, job.width_in)
                if at < 0:
                    memset(to + w * pixel, 0, pixel)
                else:
                    memcpy(to + w * pixel, source + at * job.x_column * job.itemsize, pixel)
        to += job.strip_row * job.itemsize
