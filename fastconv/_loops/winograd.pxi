"""Winograd's minimal filtering: tiles of pixels and weights transformed, multiplied point by point, transformed back.

Along an axis with dilation d, outputs a, a + d, a + 2d, ... read inputs that no others read: d interleaved convolutions
with neighbouring taps. A tile has m outputs d apart. Tiles are numbered along each axis by `run*d + a`: a run is the d
tiles that lie between one another, m*d outputs long.

Phases of a transposed convolution that read one input further on have their tiles one output earlier: so all phases
read the same tiles of pixels, which are transformed once.

With a stride, the pixels of each of its residues are a source of their own: taps of the same residue are neighbours
there, and their outputs are those of a convolution without stride. Sums go over all sources before they are transformed
back [1].

A group of phases or a source with fewer taps than the window has points at which its weights are zeros, whatever its
taps are: the last point, if the window's last tap is missing. There is nothing to multiply.

A tile that reaches beyond the end, so that its last output is not wanted, is short: it does without the last point,
which adds to no other output. On 14 positions, three tiles of 5 outputs have 20 points, not 21. In an item, tiles are
in the order B A C D (short on w, on neither, on h, on both): those that have a point, B A C D, A C, B A or A, follow
one another.

    item: some runs, of one image or several, all input channels, some panels of outputs
        v[point][source][channel block][tile][lane]  =  transformed pixels
        for each panel of 2 vectors of outputs
            sums[point][tile][output]  =  v . weights            (a matrix product per point)
            y  =  sums transformed back

Where v and the weights of a panel are too much for the cache that they are read from again, panels are multiplied
together: sums[panel][point][tile][output], for each point all panels, so that v is read once.

For one call, the weights are transformed as they are needed: those of a panel and a block of channels, which stay in
L2. All of them would go to memory and back, which took longer than the transforms.

.. [1] D. Huang et al., "DWM: A Decomposable Winograd Method for Convolution Acceleration", AAAI 2020, arXiv:2002.00552.
"""

cdef struct Segment:            # runs of one row of tiles, as many as a strip of pixels holds
    Py_ssize_t image, row       # row of tiles
    Py_ssize_t run, runs        # first run and how many
    Py_ssize_t tiles, whole         # those that are not short on w come first
    Py_ssize_t tile, short_tile     # numbers in the item: of the first, and of the first that is short


cdef struct TileItem:
    float *scratch
    Py_ssize_t group            # of channels
    Py_ssize_t first, end       # runs, of all images
    Py_ssize_t tiles
    Py_ssize_t[4] place         # of the first tile that is short on h (2) and on w (1)
    Py_ssize_t[4] live, live_end        # tiles that have a point, by the axes on which short ones lack it: likewise
    Py_ssize_t m0, m1           # output channels
    Py_ssize_t first_aside, end_aside                   # those whose outputs lie aside: of the panel, or of all panels
    Py_ssize_t product          # number of the panel of weights
    float *sums                 # of that panel


cdef class Winograd:
    """A cut with its weights transformed. Immutable; threads may share it.

    once : for one call, in memory that is kept for the next. Not for threads.
    late : weights are transformed when they are needed, too, by up to so many items that want the same ones: see the
        head of this file. For more items they are made first. 0: they are made now.
    """

    cdef readonly TileCut cut
    cdef readonly int last      # what it can take channels last
    cdef readonly bint finite   # are all weights finite numbers? If not, padding and tiles would spread them
    cdef TileJob template
    cdef TilePacking packing    # how weights are transformed: all at first, or by a call
    cdef object weight          # while it is needed
    cdef float *weights
    cdef float *bias
    cdef bint once
    cdef Py_ssize_t late

    def __cinit__(self, TileCut cut, const float[::1] weight, bias, Py_ssize_t threads=1, bint once=False,
                  Py_ssize_t late=0):
        self.cut, self.last, self.finite, self.once, self.late = cut, cut.last, True, once, late
        self.template, self.packing = cut.template, cut.packing
        self.packing.job, self.packing.weight = &self.template, &weight[0]
        if late:
            self.weight = weight
        else:
            self._pack(threads)
        self._pack_bias(bias)

    def __dealloc__(self):
        leave(self.weights, self.once)
        free(self.bias)

    cdef int _pack(self, Py_ssize_t threads) except -1:
        """All weights, before any is used."""
        cdef TileJob *job = &self.template
        cdef TilePacking *packing = &self.packing
        cdef Py_ssize_t items = job.groups * job.panels, size = self.cut.weight_bytes, i
        self.weights = <float *>room(size, self.once)
        job.weights = packing.packed = self.weights
        threads = max(1, min(threads, FC_MAX_THREADS, items, size // (4 * PACK_SERIAL)))
        memset(packing.special, 0, threads)
        packing.scratch = <float *>borrow(packing.turned * threads * sizeof(float))
        with nogil:
            fc_parallel(pack_tile_panel, packing, items, threads)
        give_back(packing.scratch)
        for i in range(threads):
            if packing.special[i]:
                self.finite = False
        return 0

    cdef int _pack_bias(self, bias) except -1:
        cdef TileJob *job = &self.template
        cdef Py_ssize_t count = job.panels * job.n_groups * 2 * job.lanes, g, i
        cdef const Py_ssize_t *offset = self.cut.bias_offset
        cdef const float[::1] values
        self.bias = <float *>aligned(job.groups * count * sizeof(float))
        job.bias = self.bias
        memset(self.bias, 0, job.groups * count * sizeof(float))
        if bias is not None:
            values = bias
            for g in range(job.groups):
                for i in range(count):
                    if offset[i] >= 0:
                        self.bias[g * count + i] = values[g * self.cut.b_group + offset[i]]
        return 0

    def run(self, x, y, origin, Py_ssize_t threads, int last=0, tuple end=None):
        """y = the operator of x; returns the images that have an output which is NaN or infinite, and may be wrong.

        fastconv/_engines.py says what x and y must be.
        """
        cdef TileJob job = self.template
        cdef Job store = self.cut.store
        cdef Lent residual
        cdef Py_ssize_t bytes_of_threads, i
        self._aim(&job, x.shape, y.shape, origin)
        bind_tiles(&job, x, y, last)
        job.collects = last & WRITES_LAST and job.n_phases > 1 and not takes_pixels(
            min(job.panel_outputs, job.outputs) * sizeof(float), job.y_column * sizeof(float), MASKED_BYTES)
        self._cut_work(&job, threads)
        if job.items == 0:
            return []
        if job.packing is NULL and self.weights is NULL:
            self._pack(threads)
            job.weights = self.weights
        if not self.finite:
            return list(range(job.images))
        job.end.given, job.end.residual = 0, NULL
        if end is not None:
            residual = bind_end(&job.end, end, sizeof(float))
        bytes_of_threads = job.scratch_size * job.threads * <Py_ssize_t>sizeof(float)
        job.scratch = <float *>borrow(bytes_of_threads + FC_MAX_TABLE + job.images)
        job.bad = <unsigned char *>job.scratch + bytes_of_threads + FC_MAX_TABLE
        memset(job.bad, 0, job.images)
        if job.aside_at:
            self._aim_store(&store, &job, y.shape)
            store.streams = goes_past_caches(x.nbytes, y.nbytes)
            prepare_ways(&store, <unsigned char *>job.scratch + bytes_of_threads,
                         job.panels == 1 or job.collects and job.panel_ranges == 1)
            job.store = &store
        try:
            with nogil:
                fc_parallel(run_tiles, &job, job.items, job.threads)
            return [i for i in range(job.images) if job.bad[i]]
        finally:
            give_back(job.scratch)

    def describe(self, x_shape, y_shape, threads=1):
        """How a call would be cut: tile, item sizes and workspace, in a dict."""
        cdef TileJob job = self.template
        self._aim(&job, x_shape, y_shape, (0, 0, 0))
        self._cut_work(&job, threads)
        return {
            "algorithm": self.cut.algorithm, "isa": self.cut.isa, "dtype": "float32",
            "tile": f"{job.kernels.rows}x{2 * job.lanes}", "tiles": job.h.tiles * job.w.tiles,
            "products": [(job.outputs * len(residues), job.channels * job.n_sources)
                         for residues, _, _ in self.cut.phases.groups],
            "items": job.items, "threads": job.threads,
            "workspace_bytes": job.scratch_size * job.threads * <Py_ssize_t>sizeof(float),
        }

    cdef int _aim(self, TileJob *job, x_shape, y_shape, origin) except -1:
        cdef Py_ssize_t step_h = self.cut.store.out_step[1], step_w = self.cut.store.out_step[2]
        cdef Py_ssize_t height = y_shape[3], width = y_shape[4], tiled_h = 0, tiled_w = 0, i
        cdef const TileGroup *group
        job.images, job.height, job.width = x_shape[0], x_shape[3], x_shape[4]
        job.origin_h = origin[1] + job.h.low + job.h.first_read
        job.origin_w = origin[2] + job.w.low + job.w.first_read
        for i in range(job.n_groups):
            group = job.group + i
            tiled_h = max(tiled_h, ceil_div(height - group.residue_h, step_h) + group.shift_h)
            tiled_w = max(tiled_w, ceil_div(width - group.residue_w, step_w) + group.shift_w)
        count_tiles(&job.h, ceil_div(height, step_h), tiled_h, job.height)
        count_tiles(&job.w, ceil_div(width, step_w), tiled_w, job.width)
        for i in range(job.points):
            job.lacking[i] = outside(job, i, job.h.live, job.h.live_end, job.w.live, job.w.live_end)
        return 0

    cdef int _aim_store(self, Job *store, const TileJob *job, y_shape) except -1:
        store.y, store.y_image, store.y_channel = <char *>job.y, job.y_image, job.y_channel
        store.y_column, store.last, store.end = job.y_column, job.last, job.end
        store.end.given = job.end.residual is not NULL      # else done already: see store_block
        for axis in range(3):
            store.out[axis] = y_shape[2 + axis]
        return 0

    cdef int _cut_work(self, TileJob *job, Py_ssize_t threads) except -1:
        """Items of so many tiles that their transformed pixels stay near, and enough items for every thread.

        Small images share an item, since weights are read once for each. Where outputs are interleaved, an item is
        whole rows of tiles: then it has all phases of its output rows.
        """
        cdef Py_ssize_t whole = job.w.runs if job.n_phases > 1 else 1, wanted
        cdef Py_ssize_t units = tile_units(job, whole), tiles = job.images * job.h.tiles * job.w.tiles
        cdef Py_ssize_t tile_bytes = job.points * (job.n_sources * job.channel_blocks + 2) * job.lanes * sizeof(float)
        cdef Py_ssize_t most = max(TILE_BYTES // tile_bytes, min(MANY_TILES, TILE_LIMIT // tile_bytes))
        cdef bint few
        cdef Py_ssize_t products = job.points * tiles * job.n_sources * job.channels * job.outputs * job.groups
        most = max(1, min(units, most // (job.w.dilation * whole)))
        if job.collects:
            most = min(most, ASIDE_BYTES // (job.outputs * job.n_phases * job.h.outputs * job.w.size * sizeof(float)))
            most = max(1, most)
        job.threads = max(1, min(threads, FC_MAX_THREADS, 1 + products * job.n_groups // SERIAL_PRODUCTS))
        job.blocks = ceil_div(units, most)
        wanted = ceil_div(job.threads, job.groups)
        job.panel_ranges = 1
        if wanted > 1:
            few = units * whole * job.w.dilation < 2 * wanted * job.kernels.rows
            # For one call, weights are made again by each thread, or else pixels are, a number in 2.5 times the time.
            few |= self.weights is NULL and 2 * job.outputs * job.n_phases > 5 * tiles
            if job.panels < wanted or not few:
                job.blocks = min(units, ceil_div(job.blocks, wanted) * wanted)
            else:
                job.panel_ranges = wanted
        most = ceil_div(units, max(job.blocks, 1)) * whole
        job.item_tiles, job.item_rows = most * job.w.dilation, most // max(1, job.w.runs)
        job.segment_runs = max(1, SEGMENT_PIXELS // (job.w.outputs * job.w.dilation * job.w.step))
        job.items = job.groups * job.panel_ranges * job.blocks
        job.threads = min(job.threads, job.items)
        job.packing = &self.packing if self.weights is NULL and self._made_by_items(job) else NULL
        self._lay_out_scratch(job)
        return 0

    cdef bint _made_by_items(self, const TileJob *job) noexcept:
        """Are weights for one call made by each item that wants them, not all at first?

        A thread that makes them all would have the others wait, and fetch them from its cache.
        """
        cdef bint alone = self.late and job.groups * job.panels < job.threads
        return job.blocks <= (max(self.late, job.threads) if alone else self.late)

    cdef int _lay_out_scratch(self, TileJob *job) except -1:
        """[transformed pixels][sums][strip][outputs aside][weights, turned and transformed]

        Planes are an odd number of cache lines apart.
        """
        cdef Py_ssize_t panels = ceil_div(job.panels, job.panel_ranges)
        cdef Py_ssize_t runs = min(job.segment_runs, job.w.runs), rows = max(window_rows(job), job.h.outputs), outputs
        job.plane_v = job.n_sources * job.channel_blocks * job.item_tiles * job.lanes // 32 * 32 + 48
        job.plane_s = 2 * job.item_tiles * job.lanes // 32 * 32 + 48
        job.product_s = job.points * job.plane_s
        job.near_panels, job.block_k = 1, FC_BLOCK_K
        if job.points * (job.plane_v + job.n_groups * job.plane_u) > NEAR_TILES:
            job.near_panels = (ITEM_LIMIT - job.points * job.plane_v) // (job.n_groups * job.product_s)
            job.near_panels = max(1, min(panels, job.near_panels))
        job.sums_at = job.points * job.plane_v
        job.strip_at = job.sums_at + job.near_panels * job.n_groups * job.product_s
        job.scratch_size = ceil_div(job.strip_at + rows * (window_pixels(job, runs) + job.lanes) * job.lanes, 16) * 16
        if job.n_phases > 1:
            job.aside_at = job.scratch_size
            job.aside_pitch = aside_row(job.item_rows * job.h.outputs * job.w.size, sizeof(float))
            outputs = min(job.outputs, panels * job.panel_outputs) if job.collects else job.panel_outputs
            job.scratch_size += outputs * job.n_phases * job.aside_pitch
        if job.packing is not NULL:
            job.weights_at = job.scratch_size
            job.block_k = WEIGHT_BYTES // (job.n_groups * job.points * 2 * job.lanes * sizeof(float))
            job.block_k = min(max(1, job.block_k // job.lanes) * job.lanes, min(job.channels, FC_BLOCK_K))
            job.plane_w = job.block_k * 2 * job.lanes + 16
            job.scratch_size += ceil_div(job.packing.turned, 16) * 16 + job.n_groups * job.points * job.plane_w
        return 0


cdef int bind_tiles(TileJob *job, const float[:, :, :, :, :] x, float[:, :, :, :, :] y, int last) except -1:
    cdef Py_ssize_t size = sizeof(float)
    job.x, job.y = &x[0, 0, 0, 0, 0], &y[0, 0, 0, 0, 0]
    job.x_image, job.x_channel, job.x_row = x.strides[0] // size, x.strides[1] // size, x.strides[3] // size
    job.y_image, job.y_channel = y.strides[0] // size, y.strides[1] // size
    job.last, job.x_column, job.y_column = last, 1, job.outputs * job.groups
    if last & READS_LAST:
        job.x_channel, job.x_column = 1, x.strides[4] // size
    return 0


cdef Py_ssize_t tile_units(const TileJob *job, Py_ssize_t whole) noexcept nogil:
    """Runs of all images, or rows of them: what items are made of."""
    return job.images * job.h.tiles * job.w.runs // max(1, whole)


cdef void count_tiles(TileAxis *axis, Py_ssize_t size, Py_ssize_t tiled, Py_ssize_t inputs) noexcept nogil:
    """The last run may lack the tiles whose first output is beyond the end. Those that lack their last are short."""
    cdef Py_ssize_t last = (axis.outputs - 1) * axis.dilation
    axis.size, axis.tiled, axis.runs, axis.tiles, axis.whole = size, tiled, 0, 0, 0
    axis.live, axis.live_end = 0, axis.points - 1
    if axis.points == 3 and inputs <= tiled:    # the second of its two pixels is padding: see kernels/winograd.h
        axis.live = 1
    if size:
        axis.runs = ceil_div(tiled, axis.outputs * axis.dilation)
        axis.tiles = (axis.runs - 1) * axis.dilation + tiles_of_run(axis, axis.runs - 1)
        axis.whole = min(max(0, tiled - last - (axis.runs - 1) * axis.outputs * axis.dilation), axis.dilation)


cdef Py_ssize_t tiles_of_run(const TileAxis *axis, Py_ssize_t run) noexcept nogil:
    return min(axis.dilation, axis.tiled - run * axis.outputs * axis.dilation)


cdef Py_ssize_t window_rows(const TileJob *job) noexcept nogil:
    """Input rows of a row of tiles, those of a dilation apart."""
    return (job.h.reads - 1) * job.h.step + 1 + job.h.spread


cdef Py_ssize_t window_pixels(const TileJob *job, Py_ssize_t runs) noexcept nogil:
    """Pixels of an input row that the tiles of some runs read."""
    cdef const TileAxis *axis = &job.w
    return ((runs - 1) * axis.outputs + axis.reads - 1) * axis.dilation * axis.step + axis.dilation + axis.spread
