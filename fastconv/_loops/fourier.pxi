"""Large kernels on few channels: Fourier transforms along h, the taps of a kernel's row along w.

Along h, the convolution of a tile of rows is a product for each frequency; along w it stays a sum over taps, which the
gemm kernel computes as it does for a strip, real and imaginary part being two rows of outputs:

    Y[f][w] = sum over c, k of H[c][k][f] * X[c][f][w + k*step_w]        complex, f < size

So lanes are neighbouring columns throughout, nothing is ever transposed, and a 31x31 filter takes 81 multiply-adds a
pixel in place of 961. Two tiles, one below the other, are the real and the imaginary part of one complex image, since
kernels are real. Tiles are cut by the height of the image alone.

A NaN or an infinity spreads over its pair of tiles, as an overflow does: `run` tells which, for another to compute.
"""

cdef struct Waves:
    const fc_real_kernels *kernels
    const float *spectra        # [group][frequency][panel][product][row of the panel]
    const float *roots
    const float *bias           # [group][output]
    const Py_ssize_t *panel     # first row of each panel, and the end
    Py_ssize_t panels
    Py_ssize_t size, tile       # rows of a transform, and of its outputs
    Py_ssize_t channels, outputs, groups    # channels and outputs per group
    Py_ssize_t taps, step_w
    int border                  # what lies in the padding: see border.pxi

    const float *x
    float *y
    Py_ssize_t x_image, x_channel, x_pitch, y_image, y_channel      # strides in elements
    Py_ssize_t height, width, origin_h, origin_w, rows, row         # of the input; where it begins; of the output
    unsigned char *bad                                              # [image][pair]
    End end

    Py_ssize_t pairs, columns, column_blocks, items
    Py_ssize_t in_pitch, in_row, out_pitch, out_row  # scratch: from part to part, and from frequency to frequency
    Py_ssize_t out_offset, list_offset, scratch_floats
    float *scratch


cdef struct Tiles:              # an item: two tiles of rows, some columns, all channels of a group
    Py_ssize_t image, group, pair, w
    Py_ssize_t columns, whole   # to store; to compute, in whole vectors
    float *spectrum             # [channel][frequency][part][in_pitch]
    float *sum                  # [frequency][output][part][out_pitch]
    Py_ssize_t *b_row           # [product]: where it reads the spectrum of frequency 0


cdef class Fourier:
    """A convolution with stride 1 by transforms of `size` rows; fastconv/_fourier.py makes the arrays."""

    cdef readonly str isa
    cdef Waves template
    cdef tuple arrays           # that the template points into

    def __cinit__(self, const float[::1] spectra, const float[::1] roots, const float[::1] bias,
                  const Py_ssize_t[::1] panel, Py_ssize_t size, kernel, Py_ssize_t step_w, Py_ssize_t channels,
                  Py_ssize_t outputs, int border):
        cdef const fc_isa *isa = fc_isa_table(current_isa)
        cdef Waves *job = &self.template
        self.isa, self.arrays = isa.name.decode(), (spectra, roots, bias, panel)
        job.kernels, job.border = &isa.f32, border
        job.spectra, job.roots, job.bias, job.panel = &spectra[0], &roots[0], &bias[0], &panel[0]
        job.panels = panel.shape[0] - 1
        job.size, job.tile, job.taps, job.step_w = size, size - kernel[0] + 1, kernel[1], step_w
        job.channels, job.outputs, job.groups = channels, outputs, bias.shape[0] // outputs

    def run(self, const float[:, :, :, :, :] x, float[:, :, :, :, :] y, origin, unsigned char[:, ::1] bad,
            Py_ssize_t threads, tuple end=None):
        """y = the convolution of x and its end, but for pairs of tiles with a NaN or an infinity, which `bad` tells."""
        cdef Waves job = self.template
        cdef Lent residual
        self._cut(&job, x.shape, y.shape)
        job.origin_h, job.origin_w = origin[1], origin[2]
        job.x, job.y, job.bad = &x[0, 0, 0, 0, 0], &y[0, 0, 0, 0, 0], &bad[0, 0]
        job.x_image, job.x_channel, job.x_pitch = x.strides[0] // 4, x.strides[1] // 4, x.strides[3] // 4
        job.y_image, job.y_channel = y.strides[0] // 4, y.strides[1] // 4
        threads = max(1, min(threads, job.items, FC_MAX_THREADS))
        job.end.given, job.end.residual = 0, NULL
        if end is not None:
            residual = bind_end(&job.end, end, sizeof(float))
        job.scratch = <float *>borrow(job.scratch_floats * 4 * threads)
        with nogil:
            fc_parallel(waves_item, &job, job.items, threads)
        give_back(job.scratch)

    def describe(self, x_shape, y_shape, Py_ssize_t threads):
        """How a call would be cut, in a dict."""
        cdef Waves job = self.template
        self._cut(&job, x_shape, y_shape)
        threads = max(1, min(threads, job.items))
        return {"algorithm": f"fourier, {job.size} rows", "isa": self.isa, "dtype": "float32",
                "tile": f"2x{job.tile}x{job.columns}", "items": job.items, "threads": threads,
                "workspace_bytes": job.scratch_floats * 4 * threads}

    def pairs(self, y_shape):
        """Pairs of tiles of an image."""
        return ceil_div(y_shape[3], 2 * self.template.tile)

    def pair_rows(self):
        """Output rows of a pair."""
        return 2 * self.template.tile

    cdef int _cut(self, Waves *job, x_shape, y_shape) except -1:
        """Columns of an item: the spectra of as many as fit in WAVES_BYTES, in equal shares."""
        job.height, job.width = x_shape[3], x_shape[4]
        job.rows, job.row = y_shape[3], y_shape[4]
        job.pairs = self.pairs(y_shape)
        self._lay_out(job, 0)
        least, job.columns = job.scratch_floats, 64
        self._lay_out(job, 64)
        job.columns = max(1, (WAVES_BYTES // 4 - least) // (job.scratch_floats - least)) * 64
        job.column_blocks = ceil_div(job.row, job.columns)
        job.columns = ceil_div(ceil_div(job.row, job.column_blocks), 16) * 16
        job.column_blocks = ceil_div(job.row, job.columns)
        self._lay_out(job, job.columns)
        job.items = x_shape[0] * job.groups * job.pairs * job.column_blocks
        return 0

    cdef int _lay_out(self, Waves *job, Py_ssize_t columns) except -1:
        """[spectrum][sum][b_row]; an odd number of cache lines between frequencies, or they meet in few sets."""
        job.out_pitch = ceil_div(columns, 16) * 16
        job.in_pitch = ceil_div(columns + (job.taps - 1) * job.step_w, 16) * 16
        job.in_row, job.out_row = 2 * job.in_pitch + 16, 2 * job.outputs * job.out_pitch + 16
        job.out_offset = job.size * job.channels * job.in_row
        job.list_offset = job.out_offset + job.size * job.out_row
        job.scratch_floats = job.list_offset + ceil_div(2 * job.channels * job.taps, 8) * 16 + 64
        return 0


cdef void waves_item(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    cdef const Waves *job = <const Waves *>pointer
    cdef Tiles item
    cdef Py_ssize_t c, m
    cdef int bad = 0
    item.w, number = number % job.column_blocks * job.columns, number // job.column_blocks
    item.pair, number = number % job.pairs, number // job.pairs
    item.group, item.image = number % job.groups, number // job.groups
    item.columns = min(job.columns, job.row - item.w)
    item.whole = ceil_div(item.columns, job.kernels.lanes) * job.kernels.lanes
    item.spectrum = job.scratch + worker * job.scratch_floats
    item.sum = item.spectrum + job.out_offset
    item.b_row = <Py_ssize_t *>(item.spectrum + job.list_offset)
    for c in range(job.channels):
        load_waves(job, &item, c)
    multiply_waves(job, &item)
    for m in range(job.outputs):
        bad |= job.kernels.fft(item.sum + 2 * m * job.out_pitch, item.sum + (2 * m + 1) * job.out_pitch, job.size,
                               job.out_row, item.whole, job.roots, 1)
        store_waves(job, &item, m)
    if bad:
        job.bad[item.image * job.pairs + item.pair] = 1


cdef void load_waves(const Waves *job, const Tiles *item, Py_ssize_t c) noexcept nogil:
    """The spectra of a channel's two tiles."""
    cdef float *to = item.spectrum + c * job.size * job.in_row
    cdef const float *x = job.x + item.image * job.x_image + (item.group * job.channels + c) * job.x_channel
    cdef Py_ssize_t part, h, begin, end
    for part in range(2):
        h = (2 * item.pair + part) * job.tile + job.origin_h
        begin = min(max(-h, 0), job.size)
        end = max(begin, min(job.height - h, job.size))
        load_rows(job, item, to + part * job.in_pitch, x + h * job.x_pitch, 0, begin, 0)
        load_rows(job, item, to + part * job.in_pitch, x + h * job.x_pitch, begin, end, job.width)
        load_rows(job, item, to + part * job.in_pitch, x + h * job.x_pitch, end, job.size, 0)
        if job.border != ZEROS:
            fill_rows(job, item, to + part * job.in_pitch, x, h)
    job.kernels.fft(to, to + job.in_pitch, job.size, job.in_row, item.whole + (job.taps - 1) * job.step_w, job.roots,
                    0)


cdef void load_rows(const Waves *job, const Tiles *item, float *to, const float *x, Py_ssize_t begin, Py_ssize_t end,
                    Py_ssize_t width) noexcept nogil:
    """Rows begin .. end of a tile; width 0 makes them padding."""
    if begin < end:
        job.kernels.pack_strip(to + begin * job.in_row, job.in_row, job.in_pitch, x + begin * job.x_pitch, job.x_pitch,
                               end - begin, width, item.w + job.origin_w, 1, job.in_pitch)


cdef void fill_rows(const Waves *job, const Tiles *item, float *to, const float *x, Py_ssize_t h) noexcept nogil:
    """The padding of a tile whose first row is row h of the image, where it is not zeros."""
    cdef Py_ssize_t first = item.w + job.origin_w, r, at
    for r in range(job.size):
        at = fold(job.border, h + r, job.height)
        if at >= 0:
            if at != h + r:
                load_rows(job, item, to + r * job.in_row, x + at * job.x_pitch, 0, 1, job.width)
            fill_strip_row(job.border, sizeof(float), <char *>(to + r * job.in_row), job.in_pitch,
                           <const char *>(x + at * job.x_pitch), job.width, first, 1, job.in_pitch)


cdef void multiply_waves(const Waves *job, const Tiles *item) noexcept nogil:
    """Frequency by frequency, in blocks of the sum."""
    cdef Py_ssize_t products = 2 * job.channels * job.taps, c, t, part, f, i, k, rows
    cdef const float *spectra = job.spectra + item.group * job.size * 2 * job.outputs * products
    cdef Py_ssize_t *b_row = item.b_row
    cdef float[256] none
    cdef fc_run run
    memset(none, 0, sizeof(none))
    for c in range(job.channels):
        for t in range(job.taps):
            for part in range(2):
                b_row[0] = c * job.size * job.in_row + part * job.in_pitch + t * job.step_w
                b_row += 1
    for f in range(job.size):
        for i in range(job.panels):
            rows = job.panel[i + 1] - job.panel[i]
            k = 0
            while k < products:
                run = fc_run(0, min(products - k, <Py_ssize_t>FC_BLOCK_K))
                job.kernels.gemm(rows, item.whole, spectra, &run, 1, item.spectrum + f * job.in_row, item.b_row + k,
                                 item.sum + f * job.out_row + job.panel[i] * job.out_pitch, job.out_pitch,
                                 none if k == 0 else NULL)
                k += run.count
                spectra += run.count * rows


cdef void store_waves(const Waves *job, const Tiles *item, Py_ssize_t m) noexcept nogil:
    """y = bias + 1 * sum: the rows of both tiles."""
    cdef Py_ssize_t channel = item.group * job.outputs + m, part, r, h, at, none = 0
    cdef float *y = job.y + item.image * job.y_image + channel * job.y_channel + item.w
    cdef float *sum
    cdef float one = 1
    cdef fc_run run = fc_run(0, 1)
    for part in range(2):
        h = (2 * item.pair + part) * job.tile
        sum = item.sum + (2 * m + part) * job.out_pitch
        for r in range(min(job.tile, job.rows - h)):
            job.kernels.gemm(1, item.columns, &one, &run, 1, sum + r * job.out_row, &none, y + (h + r) * job.row,
                             job.row, job.bias + channel)
            if job.end.given:
                at = (h + r) * job.row
                job.kernels.finish(1, item.columns, y + at, 0,
                                   residual_at(&job.end, item.image, channel, at + item.w, sizeof(float)), 0,
                                   job.end.kind, job.end.slope)
