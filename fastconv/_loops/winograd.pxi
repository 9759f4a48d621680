"""Winograd's minimal filtering: tiles of pixels and weights transformed, multiplied point by point, transformed back.

Along an axis with dilation d, outputs a, a + d, a + 2d, ... read inputs that no others read: d interleaved convolutions with
neighbouring taps. A tile has m outputs d apart. Tiles are numbered along each axis by `run*d + a`: a run is the d tiles
that lie between one another, m*d outputs long.

    item: some runs, all input channels, some panels of outputs
        v[point][channel block][tile][lane]  =  transformed pixels
        for each panel of 2 vectors of outputs
            sums[point][tile][output]  =  v . weights            (a matrix product per point)
            y  =  sums transformed back
"""

cdef struct TileAxis:
    Py_ssize_t points, outputs, taps    # n, m, r; n = m + r - 1
    Py_ssize_t dilation, low            # offsets of the taps: low, low + dilation, ...
    Py_ssize_t size                     # outputs of the axis
    Py_ssize_t runs, tiles


cdef struct TileJob:
    const fc_real_kernels *kernels
    TileAxis h, w
    Py_ssize_t points, lanes
    Py_ssize_t channels, outputs, groups, channel_blocks, panels        # of a conv group
    const float *input_table
    const float *output_table
    const float *weights        # [group][panel][point][channel][2 lanes], a point plane_u apart
    const float *bias           # [group][panel][2 lanes]
    Py_ssize_t plane_u

    const float *x
    float *y
    Py_ssize_t x_image, x_channel, x_row, y_image, y_channel
    Py_ssize_t height, width, origin_h, origin_w        # of x
    Py_ssize_t images, blocks, panel_ranges, items, threads
    Py_ssize_t item_tiles                               # the most of an item
    Py_ssize_t segment_runs
    Py_ssize_t plane_v, plane_s                         # from point to point
    Py_ssize_t sums_at, strip_at, scratch_size          # in a worker's scratch
    float *scratch


cdef struct Segment:            # runs of one row of tiles, as many as a strip of pixels holds
    Py_ssize_t row, run, runs   # row of tiles; first run and how many
    Py_ssize_t tile, tiles      # in the item


cdef class Winograd:
    """A convolution with its weights transformed for tiles of one size. Immutable; threads may share it."""

    cdef readonly Phases phases
    cdef readonly str isa, dtype, algorithm
    cdef TileJob template
    cdef object kept            # the arrays behind the tables
    cdef float *weights
    cdef float *bias

    def __cinit__(self, Phases phases, weight, bias, Py_ssize_t groups, Py_ssize_t out_channels,
                  Py_ssize_t in_channels, weight_strides, bias_strides, tile):
        from fastconv import _winograd
        cdef const fc_isa *isa = fc_isa_table(current_isa)
        cdef TileJob *job = &self.template
        self.phases, self.isa, self.dtype = phases, isa.name.decode(), str(weight.dtype)
        job.kernels = &isa.f32
        job.lanes = isa.f32.lanes
        job.channels, job.outputs, job.groups = in_channels, out_channels, groups
        self._set_axis(&job.h, 1, tile[0])
        self._set_axis(&job.w, 2, tile[1])
        job.points = job.h.points * job.w.points
        self.algorithm = f"winograd F({job.h.outputs}x{job.w.outputs}, {job.h.taps}x{job.w.taps})"
        job.channel_blocks = ceil_div(in_channels, job.lanes)
        job.panels = ceil_div(out_channels, 2 * job.lanes)
        # An odd number of cache lines from point to point: planes a power of two apart meet in one cache set.
        job.plane_u = in_channels * 2 * job.lanes + 16
        tables = _winograd.axis(job.h.points, job.h.taps), _winograd.axis(job.w.points, job.w.taps)
        self.kept = tables
        job.input_table, job.output_table = floats(tables[1].input), floats(tables[1].output)
        self._pack(weight, weight_strides, floats(tables[0].weights), floats(tables[1].weights))
        self._pack_bias(bias)

    def __dealloc__(self):
        free(self.weights)
        free(self.bias)

    cdef int _set_axis(self, TileAxis *axis, int number, Py_ssize_t points) except -1:
        offsets = sorted({offset[number] for offset in self.phases.groups[0][1]})
        axis.points, axis.taps, axis.low = points, len(offsets), offsets[0]
        axis.outputs = points - axis.taps + 1
        axis.dilation = offsets[1] - offsets[0] if len(offsets) > 1 else 1
        return 0

    cdef int _pack(self, const float[::1] weight, strides, const float *g_h, const float *g_w) except -1:
        cdef TileJob *job = &self.template
        cdef Py_ssize_t width = 2 * job.lanes, size = job.groups * job.panels * job.points * job.plane_u
        cdef Py_ssize_t g, p, c, rows, s_group = strides[0], s_out = strides[1], s_in = strides[5]
        cdef Table row_offset = Table([r * s_out for r in range(width)])
        residues, offsets, kernels = self.phases.groups[0]
        order = sorted(range(len(offsets)), key=offsets.__getitem__)
        cdef Table tap_offset = Table([sum(k * s for k, s in zip(kernels[0][i], strides[6:])) for i in order])
        cdef const float *source
        cdef float *to
        self.weights = <float *>aligned(size * sizeof(float))
        job.weights = self.weights
        for g in range(job.groups):
            for p in range(job.panels):
                rows = min(width, job.outputs - p * width)
                to = self.weights + (g * job.panels + p) * job.points * job.plane_u
                source = &weight[0] + g * s_group + p * width * s_out
                for c in range(job.channels):
                    job.kernels.winograd_weights(to + c * width, job.plane_u, source + c * s_in, rows, row_offset.at,
                                                 job.h.taps, job.w.taps, tap_offset.at, job.h.points, job.w.points,
                                                 g_h, g_w)
        return 0

    cdef int _pack_bias(self, bias) except -1:
        cdef TileJob *job = &self.template
        cdef Py_ssize_t width = 2 * job.lanes, size = job.groups * job.panels * width * sizeof(float), g, m
        cdef const float[::1] values
        self.bias = <float *>aligned(size)
        job.bias = self.bias
        memset(self.bias, 0, size)
        if bias is not None:
            values = bias
            for g in range(job.groups):
                for m in range(job.outputs):
                    self.bias[g * job.panels * width + m] = values[g * job.outputs + m]
        return 0

    def run(self, x, y, origin, Py_ssize_t threads):
        """y = the convolution of x; fastconv/plan.py says what x and y must be."""
        cdef TileJob job = self.template
        self._aim(&job, x.shape, y.shape, origin)
        bind_tiles(&job, x, y)
        self._cut_work(&job, threads)
        if job.items == 0:
            return
        job.scratch = <float *>aligned(job.scratch_size * job.threads * sizeof(float))
        with nogil:
            fc_parallel(run_tiles, &job, job.items, job.threads)
        free(job.scratch)

    def describe(self, x_shape, y_shape, threads=1):
        """How a call would be cut: tile, item sizes and workspace, in a dict."""
        cdef TileJob job = self.template
        self._aim(&job, x_shape, y_shape, (0, 0, 0))
        self._cut_work(&job, threads)
        return {
            "algorithm": self.algorithm, "isa": self.isa, "dtype": self.dtype,
            "tile": f"{job.kernels.rows}x{2 * job.lanes}", "tiles": job.h.tiles * job.w.tiles,
            "products": [(job.outputs, job.channels)] * job.points,
            "items": job.items, "threads": job.threads,
            "workspace_bytes": job.scratch_size * job.threads * <Py_ssize_t>sizeof(float),
        }

    cdef int _aim(self, TileJob *job, x_shape, y_shape, origin) except -1:
        job.images, job.height, job.width = x_shape[0], x_shape[3], x_shape[4]
        job.origin_h, job.origin_w = origin[1] + job.h.low, origin[2] + job.w.low
        count_tiles(&job.h, y_shape[3])
        count_tiles(&job.w, y_shape[4])
        return 0

    cdef int _cut_work(self, TileJob *job, Py_ssize_t threads) except -1:
        """Items of so many tiles that their transformed pixels stay near, and enough items for every thread."""
        cdef Py_ssize_t units = job.h.tiles * job.w.runs, tiles = job.h.tiles * job.w.tiles
        cdef Py_ssize_t tile_bytes = job.points * (job.channel_blocks + 2) * job.lanes * sizeof(float)
        cdef Py_ssize_t most = max(TILE_BYTES // tile_bytes, min(MANY_TILES, TILE_LIMIT // tile_bytes)), wanted
        cdef Py_ssize_t products = job.points * tiles * job.channels * job.outputs * job.groups * job.images
        most = max(1, min(units, most // job.w.dilation))
        job.threads = max(1, min(threads, FC_MAX_THREADS, 1 + products // SERIAL_PRODUCTS))
        job.blocks = ceil_div(units, most)
        wanted = ceil_div(job.threads, max(1, job.images * job.groups))
        job.panel_ranges = 1
        if wanted > 1:
            if units >= 2 * wanted * job.kernels.rows or job.panels < wanted:
                job.blocks = min(units, ceil_div(job.blocks, wanted) * wanted)
            else:
                job.panel_ranges = wanted
        job.item_tiles = ceil_div(units, max(job.blocks, 1)) * job.w.dilation
        job.segment_runs = max(1, SEGMENT_PIXELS // (job.w.outputs * job.w.dilation))
        job.items = job.images * job.groups * job.panel_ranges * job.blocks
        job.threads = min(job.threads, job.items)
        self._lay_out_scratch(job)
        return 0

    cdef int _lay_out_scratch(self, TileJob *job) except -1:
        """[transformed pixels][sums][a strip of pixels or outputs], planes an odd number of cache lines apart"""
        cdef Py_ssize_t reach = (job.segment_runs * job.w.outputs + job.w.taps - 1) * job.w.dilation
        job.plane_v = job.channel_blocks * job.item_tiles * job.lanes // 32 * 32 + 48
        job.plane_s = 2 * job.item_tiles * job.lanes // 32 * 32 + 48
        job.sums_at = job.points * job.plane_v
        job.strip_at = job.sums_at + job.points * job.plane_s
        job.scratch_size = ceil_div(job.strip_at + job.h.points * (reach + job.lanes) * job.lanes, 16) * 16
        return 0


cdef const float *floats(const float[::1] values) except NULL:
    return &values[0]


cdef int bind_tiles(TileJob *job, const float[:, :, :, :, :] x, float[:, :, :, :, :] y) except -1:
    cdef Py_ssize_t size = sizeof(float)
    job.x, job.y = &x[0, 0, 0, 0, 0], &y[0, 0, 0, 0, 0]
    job.x_image, job.x_channel, job.x_row = x.strides[0] // size, x.strides[1] // size, x.strides[3] // size
    job.y_image, job.y_channel = y.strides[0] // size, y.strides[1] // size
    return 0


cdef void count_tiles(TileAxis *axis, Py_ssize_t size) noexcept nogil:
    """The last run may lack the tiles whose first output is beyond the end."""
    cdef Py_ssize_t run = axis.outputs * axis.dilation
    axis.size, axis.runs = size, ceil_div(size, run)
    axis.tiles = 0
    if size:
        axis.tiles = (axis.runs - 1) * axis.dilation + tiles_of_run(axis, axis.runs - 1)


cdef Py_ssize_t tiles_of_run(const TileAxis *axis, Py_ssize_t run) noexcept nogil:
    return min(axis.dilation, axis.size - run * axis.outputs * axis.dilation)


cdef void run_tiles(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """One item: see the head of this file."""
    cdef const TileJob *job = <const TileJob *>pointer
    cdef Py_ssize_t block = number % job.blocks, units = job.h.tiles * job.w.runs, share, panel
    cdef Py_ssize_t first = units * block // job.blocks, end = units * (block + 1) // job.blocks, tiles, image, group
    cdef float *scratch = job.scratch + worker * job.scratch_size
    number //= job.blocks
    share, number = number % job.panel_ranges, number // job.panel_ranges
    group, image = number % job.groups, number // job.groups
    tiles = transform_pixels(job, scratch, first, end, image, group)
    for panel in range(job.panels * share // job.panel_ranges, job.panels * (share + 1) // job.panel_ranges):
        multiply_tiles(job, scratch, tiles, group * job.panels + panel)
        store_tiles(job, scratch, first, end, image, group, panel)


cdef Segment segment_at(const TileJob *job, Py_ssize_t unit, Py_ssize_t end, Py_ssize_t tile) noexcept nogil:
    """The runs from `unit` on that lie in one row of tiles and in one strip."""
    cdef Segment segment
    cdef Py_ssize_t last
    segment.row, segment.run, segment.tile = unit // job.w.runs, unit % job.w.runs, tile
    segment.runs = min(job.segment_runs, min(end - unit, job.w.runs - segment.run))
    last = segment.run + segment.runs - 1
    segment.tiles = (segment.runs - 1) * job.w.dilation + tiles_of_run(&job.w, last)
    return segment


cdef Py_ssize_t first_output(const TileAxis *axis, Py_ssize_t tile) noexcept nogil:
    return tile // axis.dilation * axis.outputs * axis.dilation + tile % axis.dilation


cdef Py_ssize_t transform_pixels(const TileJob *job, float *scratch, Py_ssize_t unit, Py_ssize_t end,
                                 Py_ssize_t image, Py_ssize_t group) noexcept nogil:
    """Fills v; returns how many tiles there are. A tile's number does not depend on its channel block."""
    cdef Segment segment
    cdef Py_ssize_t tile = 0, block
    while unit < end:
        segment = segment_at(job, unit, end, tile)
        for block in range(job.channel_blocks):
            transform_segment(job, scratch, &segment, image, group * job.channels + block * job.lanes, block)
        unit += segment.runs
        tile += segment.tiles
    return tile


cdef void transform_segment(const TileJob *job, float *scratch, const Segment *segment, Py_ssize_t image,
                            Py_ssize_t channel, Py_ssize_t block) noexcept nogil:
    """Pixels of some channels are put side by side, then their tiles transformed."""
    cdef Py_ssize_t lanes = job.lanes, run_length = job.w.outputs * job.w.dilation, i, at, width
    cdef Py_ssize_t count = segment.runs * run_length + (job.w.taps - 1) * job.w.dilation
    cdef Py_ssize_t row = first_output(&job.h, segment.row) + job.origin_h
    cdef Py_ssize_t channels = min(lanes, job.channels - block * lanes)
    cdef const float *x = job.x + image * job.x_image + channel * job.x_channel
    cdef float *strip = scratch + job.strip_at
    cdef float *v = scratch + (block * job.item_tiles + segment.tile) * lanes
    for i in range(job.h.points):
        at = row + i * job.h.dilation
        width = job.width if 0 <= at < job.height else 0
        job.kernels.pack_block(strip + i * count * lanes, x + (at * job.x_row if width else 0), job.x_channel, channels,
                               width, segment.run * run_length + job.origin_w, count)
    for_each_run(job, segment, strip, count, v, job.plane_v)


cdef void for_each_run(const TileJob *job, const Segment *segment, const float *strip, Py_ssize_t count, float *v,
                       Py_ssize_t plane) noexcept nogil:
    cdef Py_ssize_t lanes = job.lanes, d = job.w.dilation, i
    if d == 1:
        job.kernels.winograd_input(job.h.points, job.w.points, job.input_table, segment.tiles, strip, count * lanes,
                                   lanes, job.w.outputs * lanes, v, plane)
        return
    for i in range(segment.runs):
        job.kernels.winograd_input(job.h.points, job.w.points, job.input_table, tiles_of_run(&job.w, segment.run + i),
                                   strip + i * job.w.outputs * d * lanes, count * lanes, d * lanes, lanes,
                                   v + i * d * lanes, plane)


cdef void multiply_tiles(const TileJob *job, float *scratch, Py_ssize_t tiles, Py_ssize_t panel) noexcept nogil:
    """sums = v . weights, one matrix product per point, in blocks of the sum and of tiles."""
    cdef Py_ssize_t lanes = job.lanes, cuts = ceil_div(tiles, job.kernels.rows), p, block, k, i, first, end
    cdef Py_ssize_t a_block = job.item_tiles * lanes
    cdef const float *weights = job.weights + panel * job.points * job.plane_u
    cdef const float *v = scratch
    cdef float *sums = scratch + job.sums_at
    for p in range(job.points):
        for block in range(ceil_div(job.channels, FC_BLOCK_K)):
            k = block * FC_BLOCK_K
            for i in range(cuts):
                first, end = tiles * i // cuts, tiles * (i + 1) // cuts
                job.kernels.winograd_product(end - first, min(<Py_ssize_t>FC_BLOCK_K, job.channels - k),
                                             v + k // lanes * a_block + first * lanes, a_block,
                                             weights + k * 2 * lanes, sums + first * 2 * lanes, 2 * lanes, k > 0)
        weights += job.plane_u
        v += job.plane_v
        sums += job.plane_s


cdef void store_tiles(const TileJob *job, float *scratch, Py_ssize_t unit, Py_ssize_t end, Py_ssize_t image,
                      Py_ssize_t group, Py_ssize_t panel) noexcept nogil:
    """The sums of a panel, transformed back, to their places in y."""
    cdef Segment segment
    cdef Py_ssize_t tile = 0, half, channel
    while unit < end:
        segment = segment_at(job, unit, end, tile)
        for half in range(2):
            channel = (2 * panel + half) * job.lanes
            if channel < job.outputs:
                store_segment_tiles(job, scratch, &segment, image, group, channel)
        unit += segment.runs
        tile += segment.tiles


cdef void store_segment_tiles(const TileJob *job, float *scratch, const Segment *segment, Py_ssize_t image,
                              Py_ssize_t group, Py_ssize_t channel) noexcept nogil:
    cdef Py_ssize_t lanes = job.lanes, run_length = job.w.outputs * job.w.dilation, i, at
    cdef Py_ssize_t length = segment.runs * run_length, column = segment.run * run_length
    cdef Py_ssize_t row = first_output(&job.h, segment.row)
    cdef float *block = scratch + job.strip_at
    cdef float *y = job.y + image * job.y_image + (group * job.outputs + channel) * job.y_channel
    cdef const float *sums = scratch + job.sums_at + segment.tile * 2 * lanes + channel % (2 * lanes)
    transform_back(job, segment, sums, job.bias + group * job.panels * 2 * lanes + channel, block, length)
    for i in range(job.h.outputs):
        at = row + i * job.h.dilation
        if at < job.h.size:
            job.kernels.unpack_block(y + at * job.w.size + column, job.y_channel, min(lanes, job.outputs - channel),
                                     block + i * length * lanes, min(length, job.w.size - column))


cdef void transform_back(const TileJob *job, const Segment *segment, const float *sums, const float *bias,
                         float *block, Py_ssize_t length) noexcept nogil:
    """block[row of a tile][pixel of the segment][lane]"""
    cdef Py_ssize_t lanes = job.lanes, d = job.w.dilation, i
    if d == 1:
        job.kernels.winograd_output(job.h.points, job.w.points, job.h.outputs, job.w.outputs, job.output_table,
                                    segment.tiles, sums, job.plane_s, 2 * lanes, bias, block, length * lanes, lanes,
                                    job.w.outputs * lanes)
        return
    for i in range(segment.runs):
        job.kernels.winograd_output(job.h.points, job.w.points, job.h.outputs, job.w.outputs, job.output_table,
                                    tiles_of_run(&job.w, segment.run + i), sums + i * d * 2 * lanes, job.plane_s,
                                    2 * lanes, bias, block + i * job.w.outputs * d * lanes, length * lanes, d * lanes,
                                    lanes)
