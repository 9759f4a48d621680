"""Depthwise convolutions of small maps, and grouped ones with few channels in a group: lanes are channels.

So short rows and strides fill them all the same.

An item is a band of output rows of as many channels as a vector has lanes. Its input rows are turned into a block, with
their padding around them, the kernels run over the block, and the outputs are turned back:

    planes  pack_block  block[row][column][lane]  depthwise  block[output][lane]  unpack_block  planes

Turning costs some 5 cycles a vector each way, as much as a 3x3 kernel; images with long rows are quicker by filter.pxi.

Where channels lie side by side already, pixels are read and outputs stored in place: outputs whose taps are all inside
at once, those at the ends of a row one by one, with the taps that they have. One or two outputs of all channels are
such lanes too, added up at last (`sums`); channels with two outputs each are read from a copy that has them twice
(`twice`).
"""

cdef enum:
    BAND_BYTES = 256 << 10      # of the padded input rows of an item
    COPIED_BYTES = 512 << 10    # of input rows that are copied, half of L2
    FAR_PIXELS = 2 << 10        # bytes: pixels a multiple of it apart meet in one set of L1 out of 32
    IN_PLACE_TAPS = 9           # more of them are faster from a block in L1
    SHORT_ROW = 24              # of outputs: ends take longer than the copy for groups of several channels
    NEAR_BYTES = 5 << 9         # of weights: more channels at a time are more rows of pixels than L1 has ways for
    MOST_ENDS = 16              # columns whose taps leave the image, if it is read in place


cdef struct DepthwiseJob:
    const fc_real_kernels *kernels
    const fc_byte_kernels *movers
    Py_ssize_t lanes, channels, blocks, group       # blocks of `lanes` channels; channels that see each other
    Py_ssize_t pixels, colours                      # that share the lanes, as channels: see colours.pxi; or 1, channels
    Py_ssize_t sums                                 # outputs, each of all channels; or 0
    bint twice                                      # has each channel two outputs, and lies in a copy twice?
    Py_ssize_t taps, low_h, low_w, span_h, span_w   # offsets of the taps: least, and greatest less least
    const Py_ssize_t *offset                        # [tap][d, h, w]
    Py_ssize_t step_h, step_w
    const float *weights                            # [block][tap][j][lane]; one more block: the last channels
    const float *bias                               # [block][lane]; of sums [output], and weights [output][block] ...
    int border, last
    End end

    const float *x
    float *y
    Py_ssize_t x_image, x_channel, x_row, x_column, y_image, y_channel, y_row, y_column
    Py_ssize_t height, width, origin_h, origin_w    # of x
    Py_ssize_t out_h, out_w
    Py_ssize_t rows, bands, items, threads          # output rows of a band
    Py_ssize_t padded_rows, pitch                   # of the block: rows, and pixels of one
    Py_ssize_t colour_row                           # numbers of one: an odd number of cache lines
    int in_place
    Py_ssize_t copied                               # of rows that are read from a copy: from pixel to pixel; or 0
    Py_ssize_t inner, inner_end                     # columns whose taps are all inside
    Py_ssize_t streamed                             # columns at a time that go past the caches, or 0
    Py_ssize_t flat_at, out_at, list_at, scratch_size       # in a worker's scratch, in floats
    float *scratch


cdef class Depthwise(Runner):
    """A convolution with as many outputs as inputs in a group, its weights packed by lanes; threads may share it."""

    cdef readonly Phases phases
    cdef readonly str isa
    cdef readonly bint finite       # are all weights? If not, padding would spread them
    cdef DepthwiseJob template
    cdef float *numbers

    def __cinit__(self, Phases phases, const float[::1] weight, bias, Py_ssize_t group, Py_ssize_t pixels=1,
                  Py_ssize_t sums=0, bint twice=False):
        cdef const fc_isa *isa = fc_isa_table(current_isa)
        cdef DepthwiseJob *job = &self.template
        self.phases, self.isa, self.last, self.pixels = phases, isa.name.decode(), READS_LAST | WRITES_LAST, True
        job.kernels, job.lanes, job.border = &isa.f32, isa.f32.lanes, phases.border
        job.taps, job.offset = phases.group[0].taps, phases.group[0].offset
        job.low_h, job.low_w = phases.reach.low_h, phases.reach.low_w
        job.span_h, job.span_w = phases.reach.span_h, phases.reach.span_w
        job.step_h, job.step_w = phases.in_step[1], phases.in_step[2]
        job.group, job.pixels, job.sums, job.twice = group, pixels, sums, twice
        job.colours = weight.shape[0] // job.taps // max(group, sums)
        job.channels = job.colours * pixels
        job.blocks = ceil_div(job.channels, job.lanes)
        self.finite = True
        if sums:
            self._pack_sums(&weight[0], bias)
        else:
            self._pack(&weight[0], bias)

    cdef float *_room(self, Py_ssize_t biases, Py_ssize_t weights) except NULL:
        """Zeros for these many vectors; returns where weights begin."""
        cdef DepthwiseJob *job = &self.template
        cdef Py_ssize_t size = (biases + weights) * job.lanes * <Py_ssize_t>sizeof(float)
        self.numbers = <float *>aligned(size)
        memset(self.numbers, 0, size)
        job.bias, job.weights = self.numbers, self.numbers + biases * job.lanes
        return self.numbers + biases * job.lanes

    cdef int _pack(self, const float *weight, bias) except -1:
        cdef const DepthwiseJob *job = &self.template
        cdef Py_ssize_t lanes = job.lanes, block = job.taps * job.group * lanes, last = max(0, job.channels - lanes)
        cdef float *weights = self._room(job.blocks + 1, (job.blocks + 1) * job.taps * job.group)
        cdef Py_ssize_t c, at
        cdef const float[::1] biases
        for c in range(job.channels):
            at = c % job.colours
            self.finite &= pack_lane(job, weights + c // lanes * block, c % lanes, weight, at)
            if c >= last:
                pack_lane(job, weights + job.blocks * block, c - last, weight, at)
        if bias is not None:
            biases = bias
            for c in range(job.channels):
                self.numbers[c] = biases[c % job.colours]
                if c >= last:
                    self.numbers[job.blocks * lanes + c - last] = biases[c % job.colours]
        return 0

    cdef int _pack_sums(self, const float *weight, bias) except -1:
        """Channels are whole vectors."""
        cdef const DepthwiseJob *job = &self.template
        cdef Py_ssize_t lanes = job.lanes, c, m
        cdef float *weights = self._room(ceil_div(job.sums, lanes), job.sums * job.blocks * job.taps)
        cdef const float[::1] biases
        for c in range(job.sums * job.channels):
            self.finite &= pack_lane(job, weights + c // lanes * job.taps * lanes, c % lanes, weight, c)
        if bias is not None:
            biases = bias
            for m in range(job.sums):
                self.numbers[m] = biases[m]
        return 0

    def __dealloc__(self):
        free(self.numbers)

    cdef int _run(self, const View *x, const View *y, origin, Py_ssize_t threads, int last,
                  const End *end) except -1:
        cdef DepthwiseJob job = self.template
        cdef Py_ssize_t size = sizeof(float)
        job.copied = last & READS_LAST and meets_in_cache(x, job.step_w)
        self._cut(&job, x.shape, y.shape, origin, last, threads)
        if job.items == 0:
            return 0
        job.x, job.y, job.last, job.end = <const float *>x.buf, <float *>y.buf, last, end[0]
        job.x_image, job.x_channel, job.x_row = x.strides[0] // size, x.strides[1] // size, x.strides[3] // size
        job.y_image, job.y_channel = y.strides[0] // size, y.strides[1] // size
        job.x_column = x.strides[4] // size if last & READS_LAST else 1
        job.y_column = job.sums or job.colours
        job.y_row = job.out_w * job.y_column
        job.movers, job.streamed = &fc_isa_table(current_isa).bytes, 0
        if job.in_place and not job.end.given and goes_past_caches(size_of(x.shape) * size, size_of(y.shape) * size):
            job.streamed = BUILT_LAST // (job.y_column * size)
        job.scratch = <float *>borrow(job.scratch_size * job.threads * size)
        with nogil:
            fc_parallel(colour_band if job.pixels > 1 else depthwise_rows if job.in_place else depthwise_band, &job,
                        job.items, job.threads)
        give_back(job.scratch)
        return 0

    def describe(self, x_shape, y_shape, threads=1):
        """How a call would be cut, in a dict."""
        cdef DepthwiseJob job = self.template
        cdef Py_ssize_t[5] x_sizes, y_sizes
        read_shapes(x_shape, y_shape, x_sizes, y_sizes)
        self._cut(&job, x_sizes, y_sizes, (0, 0, 0), 0, threads)
        lanes = "colours" if job.pixels > 1 else "channels"
        kind = "direct" if job.sums else "depthwise" if job.group == 1 else "grouped"
        return {"algorithm": f"{kind}, lanes of {lanes}", "isa": self.isa,
                "dtype": "float32", "tile": f"{job.lanes} {lanes}", "products": [(job.group, job.taps * job.group)],
                "items": job.items,
                "threads": job.threads, "workspace_bytes": job.scratch_size * job.threads * <Py_ssize_t>sizeof(float)}

    cdef int _aim(self, DepthwiseJob *job, Py_ssize_t height, Py_ssize_t width, Py_ssize_t out_h, Py_ssize_t out_w,
                  origin) except -1:
        """Sizes of input and output, and the columns whose taps are all inside."""
        job.height, job.width, job.out_h, job.out_w = height, width, out_h, out_w
        job.step_h, job.step_w = taken_step(job.step_h, out_h, height), taken_step(job.step_w, out_w, width)
        job.origin_h, job.origin_w = origin[1] + job.low_h, origin[2] + job.low_w
        job.inner = min(out_w, ceil_div(max(0, -job.origin_w), job.step_w))
        job.inner_end = max(job.inner, min(out_w, ceil_div(max(0, width - job.span_w - job.origin_w), job.step_w)))
        return 0

    cdef int _cut(self, DepthwiseJob *job, const Py_ssize_t *x_shape, const Py_ssize_t *y_shape, origin, int last,
                  Py_ssize_t threads) except -1:
        cdef Py_ssize_t wanted, least, shares, products, width
        products = x_shape[0] * job.colours * y_shape[3] * y_shape[4] * job.taps * max(job.group, job.sums)
        self._aim(job, x_shape[3], x_shape[4], y_shape[3], y_shape[4], origin)
        job.in_place = job.sums > 0 or job.twice or (
            last == READS_LAST | WRITES_LAST and job.border == ZEROS and job.pixels == 1
            and job.channels >= job.lanes and job.taps <= IN_PLACE_TAPS and (job.group == 1 or job.out_w > SHORT_ROW)
            and job.out_w - (job.inner_end - job.inner) <= min(MOST_ENDS, job.out_w // 2))
        job.pitch = (job.out_w - 1) * job.step_w + job.span_w + 1
        job.colour_row = (ceil_div(job.pitch * job.colours, 16) | 1) * 16
        width = job.colour_row if job.pixels > 1 else job.pitch * job.lanes
        least = (COLOUR_BYTES if job.pixels > 1 else BAND_BYTES) // <Py_ssize_t>sizeof(float) // width
        job.rows = max(1, min(job.out_h, (least - job.span_h - 1) // job.step_h + 1))
        if job.pixels > 1 and job.rows > ROWS_DOWN:
            job.rows -= job.rows % ROWS_DOWN
        job.threads = max(1, min(threads, FC_MAX_THREADS, 1 + products // SERIAL_PRODUCTS))
        wanted = 2 * job.threads if job.threads > 1 else 1
        shares = x_shape[0] * (1 if job.in_place or job.pixels > 1 else job.blocks)
        job.copied = job.channels + 16 if job.twice or (job.copied and job.in_place) else 0
        if job.copied:
            least = COPIED_BYTES // <Py_ssize_t>sizeof(float) // (job.width * job.copied)
            if least <= job.span_h:         # not even those of one output row
                job.copied = 0
            else:
                job.rows = max(1, min(job.out_h, (least - job.span_h - 1) // job.step_h + 1))
        while job.rows > 1 and shares * ceil_div(job.out_h, job.rows) < wanted:
            job.rows = ceil_div(job.rows, 2)
        job.bands = ceil_div(job.out_h, job.rows)
        if job.pixels == 1:         # else all bands but the last are whole tiles
            job.rows = ceil_div(job.out_h, max(1, job.bands))
        job.padded_rows = (job.rows - 1) * job.step_h + job.span_h + 1
        job.items = shares * job.bands
        job.threads = min(job.threads, max(1, job.items))
        job.flat_at = job.out_at = job.padded_rows * width
        if job.pixels > 1:
            job.list_at = job.out_at + ROWS_DOWN * width
        else:
            job.out_at += (job.padded_rows * job.width + job.lanes) * job.lanes
            job.list_at = 0 if job.in_place else job.out_at + job.rows * job.out_w * job.lanes
        if job.copied:
            job.list_at = job.padded_rows * job.width * job.copied
        job.scratch_size = ceil_div(job.list_at + 4 * job.taps * (MOST_ENDS + 1), 16) * 16
        return 0


cdef bint pack_lane(const DepthwiseJob *job, float *to, Py_ssize_t lane, const float *weight, Py_ssize_t c) noexcept:
    """The weights (channel of the group, tap) of output c, in the order of the kernel; are they all finite?"""
    cdef Py_ssize_t j, t
    cdef float check = 0
    for j in range(job.group):
        for t in range(job.taps):
            to[(t * job.group + j) * job.lanes + lane] = weight[
                (c * job.group + ((c % job.group) ^ (j ^ j >> 1))) * job.taps + t]
            check += 0 * to[(t * job.group + j) * job.lanes + lane]
    return check == 0


cdef void depthwise_band(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    cdef const DepthwiseJob *job = <const DepthwiseJob *>pointer
    cdef Py_ssize_t band = number % job.bands, block = number // job.bands % job.blocks, t, h
    cdef Py_ssize_t image = number // job.bands // job.blocks, lanes = job.lanes
    cdef Py_ssize_t first = job.rows * band, rows = min(job.rows, job.out_h - job.rows * band)
    cdef Py_ssize_t channels = min(lanes, job.channels - block * lanes), column = lanes
    cdef bint whole = job.last & WRITES_LAST and channels == lanes and not job.end.given
    cdef float *scratch = job.scratch + worker * job.scratch_size
    cdef float *out = scratch + job.out_at
    cdef Py_ssize_t *at = <Py_ssize_t *>(scratch + job.list_at)
    cdef Py_ssize_t *w_at = at + job.taps
    if rows <= 0:
        return
    for t in range(job.taps):
        at[t] = ((job.offset[3 * t + 1] - job.low_h) * job.pitch + job.offset[3 * t + 2] - job.low_w) * lanes
        w_at[t] = t * job.group * lanes
    fill_band(job, scratch, image, block * lanes, channels, first * job.step_h + job.origin_h,
              (rows - 1) * job.step_h + job.span_h + 1)
    if whole:       # vectors that lie in y as they are: nothing is turned or finished in L1
        out = job.y + image * job.y_image + first * job.out_w * job.y_column + block * lanes
        column = job.y_column
    for h in range(rows):
        job.kernels.depthwise(out + h * job.out_w * column, column, job.out_w,
                              scratch + h * job.step_h * job.pitch * lanes, job.step_w * lanes, 1, job.group, job.taps,
                              at, job.weights + block * job.taps * job.group * lanes, 0, w_at, job.bias + block * lanes)
    if whole:
        return
    if job.end.given and job.end.residual is NULL:
        job.kernels.finish(1, rows * job.out_w * lanes, out, 0, NULL, 0, job.end.kind, job.end.slope)
    store_band(job, out, image, block * lanes, channels, first * job.out_w, rows * job.out_w)


cdef void fill_band(const DepthwiseJob *job, float *scratch, Py_ssize_t image, Py_ssize_t channel,
                    Py_ssize_t channels, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Input rows first .. first + rows with their padding, as a block.

    Planes whose rows follow one another are turned in one go: short rows would leave squares half empty.
    """
    cdef Py_ssize_t lanes = job.lanes, begin = min(max(-first, 0), rows), row, h, i, c, at
    cdef Py_ssize_t end = max(begin, min(rows, job.height - first))
    cdef Py_ssize_t left = min(max(-job.origin_w, 0), job.pitch)
    cdef Py_ssize_t right = max(left, min(job.pitch, job.width - job.origin_w))
    cdef const float *x = job.x + image * job.x_image + channel * job.x_channel
    cdef float *flat = scratch + job.flat_at
    cdef float *to
    cdef bint turned = not job.last & READS_LAST and job.x_row == job.width and begin < end
    if turned:
        job.kernels.pack_block(flat, x + (first + begin) * job.width, job.x_channel, channels,
                               (end - begin) * job.width, 0, (end - begin) * job.width)
    for row in range(rows):
        to = scratch + row * job.pitch * lanes
        h = fold(job.border, first + row, job.height)
        if h < 0 or left == right:
            memset(to, 0, job.pitch * lanes * sizeof(float))
            if h < 0:
                continue
        elif turned and begin <= row < end:
            memset(to, 0, left * lanes * sizeof(float))
            memcpy(to + left * lanes, flat + ((row - begin) * job.width + job.origin_w + left) * lanes,
                   (right - left) * lanes * sizeof(float))
            memset(to + right * lanes, 0, (job.pitch - right) * lanes * sizeof(float))
        elif job.last & READS_LAST:
            job.kernels.pack_pixels(to, x + h * job.x_row, job.x_column, channels, job.width, job.origin_w, job.pitch)
        else:
            job.kernels.pack_block(to, x + h * job.x_row, job.x_channel, channels, job.width, job.origin_w, job.pitch)
        if job.border != ZEROS:
            for i in range(job.pitch - (right - left)):
                i += (right - left) * (i >= left)
                at = fold(job.border, job.origin_w + i, job.width)
                if at >= 0:
                    for c in range(channels):
                        to[i * lanes + c] = x[c * job.x_channel + h * job.x_row + at * job.x_column]


cdef void store_band(const DepthwiseJob *job, const float *out, Py_ssize_t image, Py_ssize_t channel,
                     Py_ssize_t channels, Py_ssize_t at, Py_ssize_t count) noexcept nogil:
    """Outputs at .. at + count of the planes, and what the residual adds."""
    cdef float *y = job.y + image * job.y_image
    if job.last & WRITES_LAST:
        at = at * job.y_column + channel
        job.kernels.unpack_pixels(y + at, job.y_column, channels, out, count)
        if job.end.residual is not NULL:
            job.kernels.finish(count, channels, y + at, job.y_column,
                               residual_at(&job.end, image, 0, at, sizeof(float)), job.y_column, job.end.kind,
                               job.end.slope)
        return
    y += channel * job.y_channel + at
    job.kernels.unpack_block(y, job.y_channel, channels, out, count)
    if job.end.residual is not NULL:
        job.kernels.finish(channels, count, y, job.y_channel,
                           residual_at(&job.end, image, channel, at, sizeof(float)), job.end.channel, job.end.kind,
                           job.end.slope)


cdef void depthwise_rows(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """A band of output rows of all channels, read and stored in place."""
    cdef const DepthwiseJob *job = <const DepthwiseJob *>pointer
    cdef Py_ssize_t band = number % job.bands, image = number // job.bands
    cdef Py_ssize_t first = job.rows * band, end = min(job.out_h, job.rows * (band + 1))
    cdef Ends ends
    cdef float *scratch = job.scratch + worker * job.scratch_size
    cdef DepthwiseJob near
    ends.lists = <Py_ssize_t *>(scratch + job.list_at)
    if job.copied and first < end:
        near = copy_rows(job, scratch, image, first, end)
        depthwise_span(&near, image, job.y + image * job.y_image, first, end, &ends)
    else:
        depthwise_span(job, image, job.y + image * job.y_image, first, end, &ends)


cdef bint meets_in_cache(const View *x, Py_ssize_t step) noexcept:
    """Do the pixels that a tile reads meet in so few sets of L1 that a copy of them takes less time?

    Vectors of NumPy's large arrays lie in two cache lines each; then half as far is too far, and a copy pays even where
    every second pixel is read once or twice.
    """
    cdef bint straddling = <uintptr_t>x.buf % LINE != 0
    if x.strides[4] % FAR_PIXELS == 0:
        return step == 1 or straddling
    return x.strides[4] == FAR_PIXELS // 2 and step == 1 and straddling


cdef DepthwiseJob copy_rows(const DepthwiseJob *job, float *to, Py_ssize_t image, Py_ssize_t first,
                            Py_ssize_t end) noexcept nogil:
    """The job of reading a copy of the input rows of some output rows, its pixels an odd number of lines apart."""
    cdef DepthwiseJob near = job[0]
    cdef Py_ssize_t top = max(0, first * job.step_h + job.origin_h), row = job.width * job.copied, h, w
    cdef Py_ssize_t bottom = min(job.height, (end - 1) * job.step_h + job.origin_h + job.span_h + 1)
    cdef const float *x
    for h in range(top, bottom):
        x = job.x + image * job.x_image + h * job.x_row
        for w in range(job.width):
            if job.twice:
                spread_pixel(to + (h - top) * row + w * job.copied, x + w * job.x_column, job.channels // 2)
            else:
                memcpy(to + (h - top) * row + w * job.copied, x + w * job.x_column, job.channels * sizeof(float))
    near.x, near.x_image, near.x_row, near.x_column = to - top * row, 0, row, job.copied
    return near


cdef void spread_pixel(float *to, const float *x, Py_ssize_t channels) noexcept nogil:
    """Each channel twice, which compilers make vectors of; not so for three and more times, whose planes are faster."""
    cdef Py_ssize_t c
    for c in range(channels):
        to[2 * c] = to[2 * c + 1] = x[c]


cdef void depthwise_span(const DepthwiseJob *job, Py_ssize_t image, float *y, Py_ssize_t first, Py_ssize_t end,
                         Ends *ends) noexcept nogil:
    """Output rows first .. end of an image, row after row.

    Columns at an end go first, downwards: their few taps are the same in all rows but those at the top and the bottom.
    """
    cdef Py_ssize_t h, at, row = job.y_row
    cdef bint listed = False
    cdef Py_ssize_t whole = min(end, max(first, ceil_div(max(0, -job.origin_h), job.step_h)))
    cdef Py_ssize_t whole_end = max(whole, min(end, ceil_div(max(0, job.height - job.span_h - job.origin_h),
                                                             job.step_h)))
    cdef const float *x = job.x + image * job.x_image + job.origin_w * job.x_column
    if whole < whole_end:
        list_ends(job, whole * job.step_h + job.origin_h, ends)
        listed = whole == first
        depthwise_ends(job, x + (whole * job.step_h + job.origin_h) * job.x_row, y + whole * row, whole_end - whole,
                       ends)
    for h in range(first, end):
        if not whole <= h < whole_end:
            list_ends(job, h * job.step_h + job.origin_h, ends)
            depthwise_ends(job, x + (h * job.step_h + job.origin_h) * job.x_row, y + h * row, 1, ends)
        elif h == whole and not listed:
            list_ends(job, h * job.step_h + job.origin_h, ends)
        depthwise_inner(job, x + (h * job.step_h + job.origin_h) * job.x_row, y + h * row, ends)
        if job.end.given:
            at = h * row
            job.kernels.finish(1, row, y + at, 0, residual_at(&job.end, image, 0, at, sizeof(float)), 0, job.end.kind,
                               job.end.slope)


cdef struct Ends:               # columns whose taps are not all inside; then, as one, those whose taps are
    Py_ssize_t *lists           # of each: where its taps read, and where their weights lie
    Py_ssize_t[MOST_ENDS + 1] column, taps
    Py_ssize_t count


cdef void depthwise_pixels(const DepthwiseJob *job, const float *x, Py_ssize_t x_step, float *y, Py_ssize_t y_step,
                           Py_ssize_t count, const Ends *ends, Py_ssize_t i) noexcept nogil:
    """Outputs of all channels, some cache lines at a time. The last vector may begin before the one before it ends.

    Or sums of all channels, output after output.
    """
    cdef Py_ssize_t whole = job.channels // job.lanes, last = job.channels - job.lanes, block = 0, blocks
    cdef Py_ssize_t weights = job.taps * job.group * job.lanes
    cdef Py_ssize_t near = max(1, NEAR_BYTES // (weights * <Py_ssize_t>sizeof(float)))
    cdef const Py_ssize_t *at = ends.lists + 2 * i * job.taps
    if job.sums:
        for block in range(job.sums):
            job.kernels.depthwise_sums(y + block, y_step, count, x, x_step, job.blocks, ends.taps[i], at,
                                       job.weights + block * job.blocks * weights, weights, at + job.taps,
                                       job.bias + block)
        return
    while block < whole:
        blocks = min(near, whole - block)
        job.kernels.depthwise(y + block * job.lanes, y_step, count, x + block * job.lanes, x_step, blocks, job.group,
                              ends.taps[i], at, job.weights + block * weights, weights, at + job.taps,
                              job.bias + block * job.lanes)
        block += blocks
    if whole < job.blocks:
        job.kernels.depthwise(y + last, y_step, count, x + last, x_step, 1, job.group, ends.taps[i], at,
                              job.weights + job.blocks * weights, weights, at + job.taps,
                              job.bias + job.blocks * job.lanes)


cdef void depthwise_inner(const DepthwiseJob *job, const float *x, float *y, const Ends *ends) noexcept nogil:
    """The columns of a row that have the same taps, past the caches in pieces."""
    cdef Py_ssize_t w = job.inner, step = job.step_w * job.x_column, count
    cdef char[4160] room                            # BUILT_LAST and a cache line
    cdef float *built = <float *>line_start(room)
    while w < job.inner_end:
        count = min(job.streamed, job.inner_end - w) if job.streamed else job.inner_end - w
        depthwise_pixels(job, x + w * step, step, built if job.streamed else y + w * job.y_column, job.y_column, count,
                         ends, ends.count)
        if job.streamed:
            job.movers.stream(y + w * job.y_column, built, count * job.y_column * <Py_ssize_t>sizeof(float))
        w += count


cdef void depthwise_ends(const DepthwiseJob *job, const float *x, float *y, Py_ssize_t rows,
                         const Ends *ends) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(ends.count):
        depthwise_pixels(job, x + ends.column[i] * job.step_w * job.x_column, job.step_h * job.x_row,
                         y + ends.column[i] * job.y_column, job.y_row, rows, ends, i)


cdef void list_ends(const DepthwiseJob *job, Py_ssize_t at_h, Ends *ends) noexcept nogil:
    """For an output row that begins at input row `at_h`."""
    cdef Py_ssize_t w
    ends.count = 0
    for w in range(job.out_w - (job.inner_end - job.inner)):
        list_taps(job, at_h, w if w < job.inner else w + job.inner_end - job.inner, ends, ends.count)
        ends.count += 1
    if job.inner < job.inner_end:
        list_taps(job, at_h, job.inner, ends, ends.count)


cdef void list_taps(const DepthwiseJob *job, Py_ssize_t at_h, Py_ssize_t w, Ends *ends, Py_ssize_t i) noexcept nogil:
    """The taps that are inside the image for the outputs of a column."""
    cdef Py_ssize_t t, n = 0, h, at_w
    cdef Py_ssize_t *at = ends.lists + 2 * i * job.taps
    cdef const Py_ssize_t *offset
    for t in range(job.taps):
        offset = job.offset + 3 * t
        h, at_w = offset[1] - job.low_h, offset[2] - job.low_w
        if 0 <= at_h + h < job.height and 0 <= w * job.step_w + job.origin_w + at_w < job.width:
            at[n], at[job.taps + n] = h * job.x_row + at_w * job.x_column, t * job.group * job.lanes
            n += 1
    ends.column[i], ends.taps[i] = w, n
