"""Transposed convolution whose weights are multiplied as they are given, (C, M, taps).

    z[i][m, k] = sum over c of x[c][i] * w[c][m, k]                     one product, whose rows are pixels
    y[m][i * stride + k * dilation - padding] += z[i][m, k]             a patch of outputs for each pixel and m

The outputs and taps of a channel lie side by side, so that weights are copied, not turned around: for one call, 33 MB
from memory take half the time of packing them by phases (docs/performance.md); a layer copies them once. An item is a
share of the outputs of a group. Its weights are in L2 for all pixels; these are turned, so that their channels lie side
by side. No zero beside the image is multiplied: weights need not be finite.
"""

cdef enum:
    PATCH_BYTES = 512 << 10     # of the weights of an item, where there are as many for a panel: in L2 beside ...
    EVEN_SHARES = 4             # of a group's outputs, or a multiple of it, where they do not depend on the threads
    PATCH_PIXELS = 224          # ... the products of these: 16 tiles of 14
    PATCH_BLOCK = 128           # channels: a panel of their weights, 16 KiB, stays in L1 beside the rows of a tile
    TURNED_AT_ONCE = 8 << 20    # bytes of turned pixels, but for an image that is larger


cdef struct PatchJob:
    const fc_real_kernels *kernels
    Py_ssize_t itemsize, groups, channels, outputs, taps    # channels and outputs of a group
    Py_ssize_t[3] kernel, step, dilation, padding           # on d, h, w; of the padding, what lies before the image
    const char *weights                                     # as given, or copied: shares of share_bytes
    const char *bias                                        # or NULL
    Py_ssize_t share_bytes                                  # 0: to be copied by each item
    End end

    const char *x
    char *y
    Py_ssize_t x_image, x_channel, x_plane, x_row, y_image, y_channel       # strides in elements
    Py_ssize_t[3] size, out
    Py_ssize_t image, images, pixels                        # the first, and the number of those turned at once; of one
    char *turned                                            # [image][pixel][channel], `pitch` apart
    Py_ssize_t pitch, share, shares, threads                # outputs of an item, items of a group
    Py_ssize_t sums_at, sum_row, zeros_at, scratch_bytes    # of a worker's scratch
    char *scratch


cdef struct PanelProduct:       # of pixels and the panels that copy_panels makes
    const fc_real_kernels *kernels
    Py_ssize_t itemsize, channels, block, columns           # channels of a block of the sum
    Py_ssize_t x_pixel, sum_row                             # strides in elements
    const char *weights
    const char *zeros                                       # for a panel


cdef class Patches(Runner):
    """A transposed convolution and its weights: those of the caller, or copies, by so many threads."""

    cdef readonly bint finite
    cdef readonly str isa
    cdef PatchJob template
    cdef Lent weight, given_bias
    cdef char *copies

    def __cinit__(self, Py_ssize_t groups, Py_ssize_t outputs, Py_ssize_t channels, kernel, step, dilation, padding,
                  weight, bias, Py_ssize_t copied_by=0):
        cdef PatchJob *job = &self.template
        cdef int axis
        self.finite, self.isa = True, isa()     # finite as far as it matters
        job.itemsize, job.groups, job.channels, job.outputs = weight.itemsize, groups, channels, outputs
        job.kernels = &fc_isa_table(current_isa).f32 if job.itemsize == 4 else &fc_isa_table(current_isa).f64
        for axis in range(3):
            job.kernel[axis], job.step[axis] = kernel[axis], step[axis]
            job.dilation[axis], job.padding[axis] = dilation[axis], padding[axis]
        job.taps = job.kernel[0] * job.kernel[1] * job.kernel[2]
        self.weight = lend(weight, PyBUF_SIMPLE)
        job.weights, job.bias = <const char *>self.weight.view.buf, NULL
        if bias is not None:
            self.given_bias = lend(bias, PyBUF_SIMPLE)
            job.bias = <const char *>self.given_bias.view.buf
        if copied_by:
            self._copy(copied_by)

    def __dealloc__(self):
        free(self.copies)

    cdef int _copy(self, Py_ssize_t threads) except -1:
        """All weights, in the shares of the items: about equal, whatever the threads, and a panel each at least."""
        cdef PatchJob *job = &self.template
        job.share, job.shares = most_outputs(job), 1
        job.shares = ceil_div(ceil_div(max(1, job.outputs), job.share), EVEN_SHARES) * EVEN_SHARES
        job.share = max(ceil_div(job.outputs, job.shares), ceil_div(2 * job.kernels.lanes, job.taps))
        job.shares = ceil_div(job.outputs, job.share)
        job.share_bytes = max(1, share_columns(job)) * max(1, job.channels) * job.itemsize
        self.copies = <char *>aligned(job.groups * job.shares * job.share_bytes)
        job.scratch = self.copies
        with nogil:
            fc_parallel(copy_share, job, job.groups * job.shares, max(1, min(threads, FC_MAX_THREADS)))
        job.weights, self.weight = self.copies, None
        return 0

    cdef int _run(self, const View *x, const View *y, origin, Py_ssize_t threads, int last,
                  const End *end) except -1:
        cdef PatchJob job = self.template
        cdef Py_ssize_t size = job.itemsize, images
        cdef char *memory
        job.end, job.x, job.y = end[0], <const char *>x.buf, <char *>y.buf
        job.x_image, job.x_channel = x.strides[0] // size, x.strides[1] // size
        job.x_plane, job.x_row = x.strides[2] // size, x.strides[3] // size
        job.y_image, job.y_channel = y.strides[0] // size, y.strides[1] // size
        self._cut_work(&job, x.shape, y.shape, threads)
        if y.shape[0] * y.shape[1] * job.out[0] * job.out[1] * job.out[2] == 0:
            return 0
        images = job.images
        memory = <char *>borrow(images * job.pixels * job.pitch * size + job.threads * job.scratch_bytes)
        job.scratch, job.turned = memory, memory + job.threads * job.scratch_bytes
        with nogil:
            while job.image < x.shape[0]:
                job.images = min(images, x.shape[0] - job.image)
                fc_parallel(turn_channels, &job, job.images * ceil_div(job.groups * job.channels, TURN_CHANNELS),
                            job.threads)
                fc_parallel(patches_item, &job, job.groups * job.shares, job.threads)
                job.image += job.images
        give_back(memory)
        return 0

    cdef int _cut_work(self, PatchJob *job, const Py_ssize_t *x_shape, const Py_ssize_t *y_shape,
                       Py_ssize_t threads) except -1:
        """As many outputs a share as PATCH_BYTES have room for, by whole panels if that wastes less."""
        cdef Py_ssize_t size = job.itemsize, lanes = job.kernels.lanes, line = LINE // size, axis, columns
        cdef Py_ssize_t images = x_shape[0], products
        for axis in range(3):
            job.size[axis], job.out[axis] = x_shape[2 + axis], y_shape[2 + axis]
        job.pixels = job.size[0] * job.size[1] * job.size[2]
        products = images * job.pixels * job.groups * job.channels * job.outputs * job.taps
        job.threads = max(1, min(threads, FC_MAX_THREADS, 1 + products // SERIAL_PRODUCTS))
        # An odd number of cache lines, or the rows of a tile meet in few sets of the cache.
        job.pitch = (ceil_div(job.groups * job.channels, line) | 1) * line
        if not job.share_bytes:
            job.share = max(1, min(most_outputs(job), ceil_div(job.outputs, 2 * job.threads)))
            job.shares = ceil_div(job.outputs, job.share)
        columns = share_columns(job)
        job.sum_row = columns + line
        job.sums_at = 0 if job.share_bytes else ceil_div(columns * job.channels * size, LINE) * LINE
        job.zeros_at = job.sums_at + min(PATCH_PIXELS, images * job.pixels) * job.sum_row * size
        job.scratch_bytes = job.zeros_at + ceil_div(2 * lanes * size, LINE) * LINE
        job.image, job.images = 0, max(1, min(images, TURNED_AT_ONCE // max(1, job.pixels * job.pitch * size)))
        return 0

    def describe(self, x_shape, y_shape, threads=1):
        """How a call would be cut, in a dict."""
        cdef PatchJob job = self.template
        cdef Py_ssize_t[5] x_sizes, y_sizes
        read_shapes(x_shape, y_shape, x_sizes, y_sizes)
        self._cut_work(&job, x_sizes, y_sizes, threads)
        return {"algorithm": "direct, patches of outputs", "isa": self.isa,
                "dtype": "float32" if job.itemsize == 4 else "float64",
                "tile": f"{job.kernels.rows}x{2 * job.kernels.lanes}", "items": job.groups * job.shares,
                "products": [(job.outputs * job.taps, job.channels)], "threads": job.threads,
                "workspace_bytes": job.scratch_bytes * job.threads
                + job.images * job.pixels * job.pitch * job.itemsize}


cdef Py_ssize_t most_outputs(const PatchJob *job) noexcept nogil:
    """Of a share, whose weights are PATCH_BYTES, or a panel."""
    cdef Py_ssize_t most = max(2 * job.kernels.lanes, PATCH_BYTES // (max(1, job.channels) * job.itemsize))
    return max(1, min(job.outputs, most // job.taps))


cdef Py_ssize_t share_columns(const PatchJob *job) noexcept nogil:
    """... and its columns, in whole panels."""
    return ceil_div(job.share * job.taps, 2 * job.kernels.lanes) * 2 * job.kernels.lanes


cdef void copy_share(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """The weights of an item, from where they are given."""
    cdef const PatchJob *job = <const PatchJob *>pointer
    copy_weights(job, number, job.scratch + number * job.share_bytes)


cdef void copy_weights(const PatchJob *job, Py_ssize_t number, char *to) noexcept nogil:
    cdef Py_ssize_t group = number // job.shares, m = number % job.shares * job.share, row = job.outputs * job.taps
    job.kernels.copy_panels(to, job.weights + (group * job.channels * row + m * job.taps) * job.itemsize, row,
                            job.channels, min(job.share, job.outputs - m) * job.taps)


cdef void turn_channels(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """Some channels of an image."""
    cdef const PatchJob *job = <const PatchJob *>pointer
    cdef Py_ssize_t channels = job.groups * job.channels, pieces = ceil_div(channels, TURN_CHANNELS)
    cdef Py_ssize_t image = number // pieces, first = number % pieces * TURN_CHANNELS
    cdef Py_ssize_t width = job.size[2], rows = job.size[1], planes = job.size[0], d, h, w
    cdef const char *x = job.x + ((job.image + image) * job.x_image + first * job.x_channel) * job.itemsize
    cdef char *to = job.turned + (image * job.pixels * job.pitch + first) * job.itemsize
    if rows == 1 or job.x_row == width:                 # one long row
        width, rows = width * rows, 1
        if planes == 1 or job.x_plane == width:
            width, planes = width * planes, 1
    for d in range(planes):
        for h in range(rows):
            w = 0
            while w < width:
                job.kernels.transpose(to + w * job.pitch * job.itemsize, job.pitch,
                                      x + (d * job.x_plane + h * job.x_row + w) * job.itemsize, job.x_channel,
                                      min(channels - first, <Py_ssize_t>TURN_CHANNELS),
                                      min(width - w, <Py_ssize_t>TURN_PIXELS))
                w += TURN_PIXELS
            to += width * job.pitch * job.itemsize


cdef void patches_item(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """A share of the outputs of a group."""
    cdef const PatchJob *job = <const PatchJob *>pointer
    cdef Py_ssize_t size = job.itemsize, group = number // job.shares, m = number % job.shares * job.share, pixel = 0
    cdef Py_ssize_t count, outputs = min(job.share, job.outputs - m)
    cdef const char *weights = job.weights + number * job.share_bytes
    cdef char *scratch = job.scratch + worker * job.scratch_bytes
    cdef PanelProduct product
    if outputs <= 0:
        return
    start_outputs(job, group * job.outputs + m, outputs)
    if not job.share_bytes:
        copy_weights(job, number, scratch)
        weights = scratch
    memset(scratch + job.zeros_at, 0, 2 * job.kernels.lanes * size)
    product = PanelProduct(job.kernels, size, job.channels, PATCH_BLOCK, outputs * job.taps, job.pitch, job.sum_row,
                           weights, scratch + job.zeros_at)
    while job.channels and pixel < job.images * job.pixels:
        count = min(<Py_ssize_t>PATCH_PIXELS, job.images * job.pixels - pixel)
        multiply_by_panels(&product, job.turned + (pixel * job.pitch + group * job.channels) * size, count,
                           scratch + job.sums_at)
        add_products(job, scratch + job.sums_at, group * job.outputs + m, outputs, pixel, count)
        pixel += count
    if job.end.given:
        finish_share(job, group * job.outputs + m, outputs)


cdef void start_outputs(const PatchJob *job, Py_ssize_t first, Py_ssize_t outputs) noexcept nogil:
    """Planes of the bias."""
    cdef Py_ssize_t image, m, i, plane = job.out[0] * job.out[1] * job.out[2]
    cdef char *y
    for image in range(job.images):
        for m in range(outputs):
            y = job.y + ((job.image + image) * job.y_image + (first + m) * job.y_channel) * job.itemsize
            if job.bias is NULL:
                memset(y, 0, plane * job.itemsize)
            elif job.itemsize == 4:
                for i in range(plane):
                    (<float *>y)[i] = (<const float *>job.bias)[first + m]
            else:
                for i in range(plane):
                    (<double *>y)[i] = (<const double *>job.bias)[first + m]


cdef void multiply_by_panels(const PanelProduct *product, const char *x, Py_ssize_t count, char *sums) noexcept nogil:
    """The products of some pixels, block after block of the sum: pixels stay in L2, weights of a panel in L1."""
    cdef const fc_real_kernels *kernels = product.kernels
    cdef Py_ssize_t size = product.itemsize, panel = 2 * kernels.lanes, tiles = ceil_div(count, kernels.rows)
    cdef Py_ssize_t k = 0, n, i, at, width
    cdef fc_run run
    while k < product.channels:
        run, n = fc_run(0, min(product.block, product.channels - k)), 0
        while n < product.columns:
            width = ceil_div(min(panel, product.columns - n), kernels.part) * kernels.part
            for i in range(tiles):
                at = count * i // tiles
                kernels.pixel_product(count * (i + 1) // tiles - at, min(panel, product.columns - n),
                                      x + (at * product.x_pixel + k) * size, product.x_pixel, &run, 1,
                                      product.weights + (n * product.channels + k * width) * size,
                                      sums + (at * product.sum_row + n) * size, product.sum_row,
                                      product.zeros if k == 0 else NULL)
            n += panel
        k += product.block


cdef void add_products(const PatchJob *job, const char *products, Py_ssize_t first, Py_ssize_t outputs,
                       Py_ssize_t pixel, Py_ssize_t count) noexcept nogil:
    """A patch of each output for each pixel, as far as it lies in the output."""
    cdef Py_ssize_t size = job.itemsize, i, at, d, h, w, image, row, plane, tap, to
    cdef Py_ssize_t[3] begin, low, end
    cdef char *y
    for i in range(count):
        image, at = (pixel + i) // job.pixels, (pixel + i) % job.pixels
        w, at = at % job.size[2], at // job.size[2]
        h, d = at % job.size[1], at // job.size[1]
        begin[0], begin[1] = d * job.step[0] - job.padding[0], h * job.step[1] - job.padding[1]
        begin[2] = w * job.step[2] - job.padding[2]
        for at in range(3):                             # the taps that reach an output
            low[at] = min(job.kernel[at], ceil_div(max(0, -begin[at]), job.dilation[at]))
            end[at] = max(low[at], min(job.kernel[at], ceil_div(max(0, job.out[at] - begin[at]), job.dilation[at])))
        row, plane = job.dilation[1] * job.out[2], job.dilation[0] * job.out[1] * job.out[2]
        y = job.y + ((job.image + image) * job.y_image + first * job.y_channel) * size
        for d in range(low[0], end[0]):
            to = begin[0] * job.out[1] * job.out[2] + d * plane
            to += (begin[1] + low[1] * job.dilation[1]) * job.out[2] + begin[2] + low[2] * job.dilation[2]
            tap = (d * job.kernel[1] + low[1]) * job.kernel[2] + low[2]
            job.kernels.add_patches(y + to * size, job.y_channel, row, job.dilation[2], products + tap * size, job.taps,
                                    job.kernel[2], outputs, end[1] - low[1], end[2] - low[2])
        products += job.sum_row * size


cdef void finish_share(const PatchJob *job, Py_ssize_t first, Py_ssize_t outputs) noexcept nogil:
    cdef Py_ssize_t image, plane = job.out[0] * job.out[1] * job.out[2]
    for image in range(job.image, job.image + job.images):
        job.kernels.finish(outputs, plane, job.y + (image * job.y_image + first * job.y_channel) * job.itemsize,
                           job.y_channel, residual_at(&job.end, image, first, 0, job.itemsize), job.end.channel,
                           job.end.kind, job.end.slope)
