"""Few outputs of many channels that lie side by side: the products of a pixel with all taps, added as patches.

    z[p][k, m] = sum over c of x[p][c] * w[c][k, m]             one product, whose rows are the pixels as they lie
    y[p * stride + k * dilation - padding][m] += z[p][k, m]     a row of taps is one run of outputs

A convolution is the transposed one of its kernel turned around. 3 outputs of 3x3 taps are 27 columns, which fill two
vectors; as outputs alone they fill a fifth of one. Nothing is packed but weights. An item is a band of output rows, or
a part of the columns of few; what two of them read is multiplied for both. A sum does not depend on that: it adds up
row after row of the input, along a row piece after piece, and in a piece in the order of `add_run`.
"""

cdef enum:
    SUMS_BYTES = 24 << 10       # of products that are added at once, of some rows of the image or a part of one: in L1
    LEAST_PIECE = 28            # pixels: two tiles


cdef struct PixelPatchJob:
    const fc_real_kernels *kernels
    Py_ssize_t itemsize, channels, outputs, columns         # columns of the product: outputs times taps
    Py_ssize_t[2] kernel, step, dilation, padding           # on h, w; of the padding, what lies before the image
    const char *weights                                     # panels: see copy_panels of kernels/patches.h
    const char *bias
    End end

    const char *x
    char *y
    Py_ssize_t x_image, x_row, x_column, y_image            # strides in elements
    Py_ssize_t height, width, out_h, out_w
    Py_ssize_t images, bands, rows, parts, columns_of_part, threads     # output rows of a band
    Py_ssize_t together, piece      # input rows, and pixels of a row, whose products are added at once
    Py_ssize_t sum_row, scratch_bytes
    char *scratch


cdef struct Band:
    Py_ssize_t top, bottom, left, right                     # output rows and columns
    char *y                                                 # of its image
    char *sums


cdef class PixelPatches(Runner):
    """Immutable; threads may share it."""

    cdef readonly bint finite
    cdef readonly str isa
    cdef PixelPatchJob template
    cdef bint transposed
    cdef char *numbers              # weights, a panel of zeros, biases

    def __cinit__(self, kernel, step, dilation, padding, weight, bias):
        """weight: (channels, taps, outputs); padding: None of a convolution, whose origin says it."""
        cdef PixelPatchJob *job = &self.template
        cdef Lent lent = lend(weight, PyBUF_SIMPLE), lent_bias
        cdef Py_ssize_t size = weight.itemsize, room, axis
        self.finite, self.isa = True, isa()     # finite as far as it matters: no zero beside the image is multiplied
        self.last, self.pixels, self.transposed = READS_LAST | WRITES_LAST, True, padding is not None
        job.kernels = &fc_isa_table(current_isa).f32 if size == 4 else &fc_isa_table(current_isa).f64
        job.itemsize, job.channels, job.outputs = size, weight.shape[0], weight.shape[2]
        job.columns = weight.shape[1] * weight.shape[2]
        for axis in range(2):
            job.kernel[axis], job.step[axis], job.dilation[axis] = kernel[axis], step[axis], dilation[axis]
            job.padding[axis] = padding[axis] if self.transposed else 0
        room = ceil_div(job.columns, 2 * job.kernels.lanes) * 2 * job.kernels.lanes
        self.numbers = <char *>aligned((job.channels * room + 2 * job.kernels.lanes + job.outputs) * size)
        job.weights, job.bias = self.numbers, self.numbers + (job.channels * room + 2 * job.kernels.lanes) * size
        job.kernels.copy_panels(self.numbers, lent.view.buf, job.columns, job.channels, job.columns)
        memset(self.numbers + job.channels * room * size, 0, (2 * job.kernels.lanes + job.outputs) * size)
        if bias is not None:
            lent_bias = lend(bias, PyBUF_SIMPLE)
            memcpy(<char *>job.bias, lent_bias.view.buf, job.outputs * size)

    def __dealloc__(self):
        free(self.numbers)

    cdef int _run(self, const View *x, const View *y, origin, Py_ssize_t threads, int last,
                  const End *end) except -1:
        cdef PixelPatchJob job = self.template
        cdef Py_ssize_t size = job.itemsize, axis
        job.end, job.x, job.y = end[0], <const char *>x.buf, <char *>y.buf
        job.x_image, job.x_row, job.x_column = x.strides[0] // size, x.strides[3] // size, x.strides[4] // size
        job.y_image = y.strides[0] // size
        if not self.transposed:
            for axis in range(2):
                job.padding[axis] = origin[1 + axis] + (job.kernel[axis] - 1) * job.dilation[axis]
        self._cut_work(&job, x.shape, y.shape, threads)
        if job.images * job.out_h * job.out_w == 0:
            return 0
        job.scratch = <char *>borrow(job.threads * job.scratch_bytes)
        with nogil:
            fc_parallel(pixel_band, &job, job.images * job.bands * job.parts, job.threads)
        give_back(job.scratch)
        return 0

    cdef int _cut_work(self, PixelPatchJob *job, const Py_ssize_t *x_shape, const Py_ssize_t *y_shape,
                       Py_ssize_t threads) except -1:
        cdef Py_ssize_t line = LINE // job.itemsize, lanes = job.kernels.lanes, products
        job.images, job.height, job.width = x_shape[0], x_shape[3], x_shape[4]
        job.out_h, job.out_w = y_shape[3], y_shape[4]
        products = job.images * job.height * job.width * job.channels * job.columns
        job.threads = max(1, min(threads, FC_MAX_THREADS, 1 + products // SERIAL_PRODUCTS))
        job.bands = max(1, min(ceil_div(job.threads, max(1, job.images)), job.out_h))
        job.rows = ceil_div(job.out_h, job.bands)
        job.sum_row = ceil_div(job.columns, 2 * lanes) * 2 * lanes + line
        job.piece = max(<Py_ssize_t>LEAST_PIECE, SUMS_BYTES // (job.sum_row * job.itemsize))
        job.together = job.piece // max(1, job.width) if job.x_row == job.width * job.x_column else 1
        job.together, job.piece = max(1, job.together), ceil_div(job.width, max(1, ceil_div(job.width, job.piece)))
        job.scratch_bytes = job.together * job.piece * job.sum_row * job.itemsize
        job.parts = max(1, min(ceil_div(job.threads, max(1, job.images * job.bands)),
                               job.width // (4 * max(1, job.piece))))
        job.columns_of_part = ceil_div(job.out_w, job.parts)
        job.threads = max(1, min(job.threads, job.images * job.bands * job.parts))
        return 0

    def describe(self, x_shape, y_shape, threads=1):
        """How a call would be cut, in a dict."""
        cdef PixelPatchJob job = self.template
        cdef Py_ssize_t[5] x_sizes, y_sizes
        read_shapes(x_shape, y_shape, x_sizes, y_sizes)
        job.x_column, job.x_row = job.channels, job.channels * x_sizes[4]
        self._cut_work(&job, x_sizes, y_sizes, threads)
        return {"algorithm": "direct, rows of pixels, patches", "isa": self.isa,
                "dtype": "float32" if job.itemsize == 4 else "float64",
                "tile": f"{job.kernels.rows}x{2 * job.kernels.lanes}", "items": job.images * job.bands * job.parts,
                "products": [(job.columns, job.channels)], "threads": job.threads,
                "workspace_bytes": job.scratch_bytes * job.threads}


cdef void pixel_band(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """Some output rows, or a part of their columns: all that the input above, there and below adds to them."""
    cdef const PixelPatchJob *job = <const PixelPatchJob *>pointer
    cdef Py_ssize_t size = job.itemsize, part = number % job.parts, h, w, r, i, count, rows, row
    cdef Band band
    cdef PanelProduct product = PanelProduct(job.kernels, size, job.channels, FC_BLOCK_K, job.columns, job.x_column,
                                             job.sum_row, job.weights, job.bias - 2 * job.kernels.lanes * size)
    cdef const char *x
    number //= job.parts
    band.top, band.left = number % job.bands * job.rows, part * job.columns_of_part
    band.bottom = min(job.out_h, band.top + job.rows)
    band.right = min(job.out_w, band.left + job.columns_of_part)
    number //= job.bands
    band.y, x = job.y + number * job.y_image * size, job.x + number * job.x_image * size
    band.sums = job.scratch + worker * job.scratch_bytes
    if band.top >= band.bottom or band.left >= band.right:
        return
    for r in range(band.top, band.bottom):
        start_pixels(job, band.y + (r * job.out_w + band.left) * job.outputs * size, band.right - band.left)
    h = ceil_div(max(0, band.top + job.padding[0] - (job.kernel[0] - 1) * job.dilation[0]), job.step[0])
    while h < inputs_before(job, 0, band.bottom, job.height):
        rows = min(job.together, inputs_before(job, 0, band.bottom, job.height) - h)
        w = ceil_div(max(0, band.left + job.padding[1] - (job.kernel[1] - 1) * job.dilation[1]), job.step[1])
        w -= w % job.piece
        while w < inputs_before(job, 1, band.right, job.width):
            count = min(job.piece, job.width - w)
            multiply_by_panels(&product, x + (h * job.x_row + w * job.x_column) * size, rows * count, band.sums)
            for r in range(rows):
                for i in range(job.kernel[1] if job.dilation[1] > 1 else 1):
                    add_run(job, &band, band.sums + r * count * job.sum_row * size, h + r, w, count, i)
            w += count
        h += rows
    for r in range(band.top, band.bottom if job.end.given else band.top):
        row = (r * job.out_w + band.left) * job.outputs
        job.kernels.finish(1, (band.right - band.left) * job.outputs, band.y + row * size, 0,
                           residual_at(&job.end, number, 0, row, size), 0, job.end.kind, job.end.slope)


cdef Py_ssize_t inputs_before(const PixelPatchJob *job, int axis, Py_ssize_t output, Py_ssize_t size) noexcept nogil:
    """How many input rows or columns may reach outputs before one."""
    return min(size, ceil_div(max(0, output + job.padding[axis]), job.step[axis]))


cdef void start_pixels(const PixelPatchJob *job, char *y, Py_ssize_t pixels) noexcept nogil:
    """The biases, copied from pixel to pixel; from all that there are to as many more, up to some KiB at a time."""
    cdef Py_ssize_t pixel = job.outputs * job.itemsize, done = min(<Py_ssize_t>1, pixels), most = 1 + 8192 // pixel, n
    memcpy(y, job.bias, done * pixel)
    while done < pixels:
        n = min(done, pixels - done, most)
        memcpy(y + done * pixel, y, n * pixel)
        done += n


cdef void add_run(const PixelPatchJob *job, const Band *band, const char *sums, Py_ssize_t h, Py_ssize_t w,
                  Py_ssize_t count, Py_ssize_t tap) noexcept nogil:
    """To the outputs of a band, of an input row's `count` pixels from w on, the products of a run of taps.

    A run is a row of taps, or one where dilation is between them. So many pixels apart runs do not overlap, and are
    added without waiting for each other.
    """
    cdef Py_ssize_t taps = job.kernel[1] if job.dilation[1] == 1 else 1, step = job.step[1], size = job.itemsize
    cdef Py_ssize_t apart = ceil_div(taps, step), row = h * job.step[0] - job.padding[0], residue, i, n, lo, hi, at
    cdef Py_ssize_t first = w * step + tap * job.dilation[1] - job.padding[1]       # output of the first pixel
    cdef Py_ssize_t low = ceil_div(max(0, band.top - row), job.dilation[0])
    cdef Py_ssize_t rows = min(job.kernel[0], ceil_div(max(0, band.bottom - row), job.dilation[0])) - low
    cdef char *y
    if rows <= 0:
        return
    y = band.y + (row + low * job.dilation[0]) * job.out_w * job.outputs * size
    sums += (low * job.kernel[1] + tap) * job.outputs * size
    for residue in range(min(apart, count)):
        i = residue
        while i < count:
            at, n = first + i * step, 1
            lo, hi = min(taps, max(0, band.left - at)), min(taps, max(0, band.right - at))
            if lo == 0 and hi == taps:                      # and so are others behind it
                n = min((count - 1 - i) // apart, (band.right - taps - at) // (apart * step)) + 1
            if lo < hi:
                job.kernels.add_patches(y + (at + lo) * job.outputs * size, apart * step * job.outputs,
                                        job.dilation[0] * job.out_w * job.outputs, 1,
                                        sums + (i * job.sum_row + lo * job.outputs) * size, apart * job.sum_row,
                                        job.kernel[1] * job.outputs, n, rows, (hi - lo) * job.outputs)
            i += n * apart
