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

cdef struct TileAxis:
    Py_ssize_t points, outputs, taps    # n, m, r; n = m + r - 1, but for tiles whose outer inputs are padding
    Py_ssize_t reads, first_read        # inputs of a tile, and where the first lies in its window
    Py_ssize_t step, spread             # the stride; from the first input of the first source to that of the last
    Py_ssize_t dilation, low            # offsets of the taps: low, low + dilation, ...; 1 where there is a stride
    Py_ssize_t size                     # output positions of the axis
    Py_ssize_t tiled                    # the same from the first that any group has to the last
    Py_ssize_t runs, tiles
    Py_ssize_t whole                    # tiles of the last run that are not short
    Py_ssize_t live, live_end           # points of a short tile


cdef struct TileGroup:                  # phases that read alike: their outputs are the columns of one product
    Py_ssize_t phases, first_phase      # as in Group
    Py_ssize_t shift_h, shift_w         # output q reads from q + low + shift on
    Py_ssize_t residue_h, residue_w     # the least of its phases
    unsigned char[MOST_POINTS] dead     # points at which its weights are zeros


cdef struct TileSource:                 # the pixels of one residue of the stride
    Py_ssize_t first_h, first_w         # the first of a window, from that of the first source


cdef struct TilePacking


cdef struct TileJob:
    const fc_real_kernels *kernels
    TileAxis h, w
    TileGroup *group
    TileSource *source
    Py_ssize_t n_groups, n_phases, n_sources, points, lanes
    int border                  # what lies in the padding: see border.pxi
    Py_ssize_t channels, outputs, groups, channel_blocks                # of a conv group
    Py_ssize_t depth            # products that a source adds to a sum: its channels, in whole blocks if it is not alone
    unsigned char[MOST_POINTS] edge     # is a point the last on h (2) and on w (1)?
    unsigned char[MOST_POINTS] lacking  # do tiles that are short on h (2) and on w (1) have no use for it?
    Py_ssize_t[4] live, live_end        # products of a sum, by the edge of the point
    Py_ssize_t panel_outputs, panels    # output channels of a panel, with all their phases
    const float *input_table
    const float *output_table
    const float *weights        # [conv group][panel][group][point][source][channel][2 lanes], a point plane_u apart
    const TilePacking *packing  # of the weights that an item transforms for itself; NULL if that was done before
    const float *bias           # [conv group][panel][group][2 lanes]
    Py_ssize_t plane_u
    Py_ssize_t plane_w          # the same for those of an item: [point][channel of a block][2 lanes]
    Py_ssize_t block_k          # channels of a block of the sum

    const float *x
    float *y
    Py_ssize_t x_image, x_channel, x_row, y_image, y_channel
    Py_ssize_t x_column, y_column       # from pixel to pixel: not 1 where channels lie last
    int last                            # READS_LAST, WRITES_LAST: see last.pxi
    End end
    Py_ssize_t height, width, origin_h, origin_w        # of x
    Py_ssize_t images, blocks, panel_ranges, items, threads
    Py_ssize_t item_tiles, item_rows                    # the most of an item; rows of tiles
    Py_ssize_t near_panels                              # that are multiplied together, mostly one
    Py_ssize_t segment_runs
    Py_ssize_t plane_v, plane_s                         # from point to point
    Py_ssize_t product_s                                # from the sums of a panel and group of phases to the next
    Py_ssize_t sums_at, strip_at, aside_at, weights_at, scratch_size        # in a worker's scratch
    Py_ssize_t aside_pitch                              # from one row of outputs aside to the next
    bint collects               # do outputs of all panels lie aside, before they are stored?
    float *scratch
    unsigned char *bad          # [image]: has it an output that is NaN or infinite?
    Job *store                  # where outputs of several phases go; NULL if there is one


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


cdef struct TilePacking:        # an item is the weights of a panel
    const TileJob *job
    const float *weight                     # the caller's: [conv group][output][channel] at these strides
    Py_ssize_t s_group, s_out, s_in
    const Py_ssize_t *row_offset            # [group of phases][2 lanes]
    const Py_ssize_t *tap                   # [group of phases][source][tap of the window]: within `span`, or -1
    const float *g_h
    const float *g_w
    float *packed
    Py_ssize_t row_step                     # between the rows of a panel, if it is the same for all; else 0
    bint alike                              # do all groups of phases have the same rows?
    const Py_ssize_t *group_span            # [group of phases]: entries from a channel's first to the group's last tap
    Py_ssize_t span, channels               # the most of these; channels at a time
    float *scratch                          # [worker][turned: (channels - 1)*s_in + span entries][2 lanes]
    Py_ssize_t turned                       # numbers of these
    unsigned char[256] special              # [worker]: has it met a NaN or an infinity?


cdef class Winograd:
    """An operator with its weights transformed for tiles of one size. Immutable; threads may share it.

    tile : points on the axes h and w. An axis with one tap has one point, the others the same number.
    narrow : vectors of half the width, of the instruction set before; see _core.widths.
    once : for one call: weights are transformed when they are needed, see the head of this file. Not for threads.
    """

    cdef readonly Phases phases
    cdef readonly str isa, dtype, algorithm
    cdef readonly int last      # what it can take channels last
    cdef readonly bint finite   # are all weights finite numbers? If not, padding and tiles would spread them
    cdef TileJob template
    cdef TilePacking packing    # how weights are transformed: all at first, or by a call
    cdef Job store              # the part that store.pxi reads
    cdef Packed *packed
    cdef TileGroup *groups
    cdef TileSource *sources
    cdef object kept            # the arrays behind the tables
    cdef float *weights
    cdef float *bias
    cdef bint once

    def __cinit__(self, Phases phases, weight, bias, Py_ssize_t groups, Py_ssize_t out_channels,
                  Py_ssize_t in_channels, weight_strides, bias_strides, tile, bint narrow=False, Py_ssize_t threads=1,
                  bint once=False):
        from fastconv import _winograd
        cdef const fc_isa *isa = fc_isa_table(current_isa - narrow)
        cdef TileJob *job = &self.template
        cdef Py_ssize_t p
        self.phases, self.isa, self.dtype, self.finite = phases, isa.name.decode(), str(weight.dtype), True
        job.kernels, job.lanes, job.border = &isa.f32, isa.f32.lanes, phases.border
        job.channels, job.outputs, job.groups = in_channels, out_channels, groups
        job.channel_blocks = ceil_div(in_channels, job.lanes)
        rows, columns = self._set_axis(&job.h, 1, tile[0]), self._set_axis(&job.w, 2, tile[1])
        job.points = job.h.points * job.w.points
        for p in range(job.points):
            job.edge[p] = outside(job, p, 0, job.h.points - 1, 0, job.w.points - 1)
        self._set_sources(rows, columns)
        self._set_groups()
        self._set_store(isa)
        self.algorithm = f"winograd F({job.h.outputs}x{job.w.outputs}, {job.h.taps}x{job.w.taps})"
        if job.n_sources > 1:
            self.algorithm += f" of {job.n_sources} interleaved parts"
        job.panels = ceil_div(out_channels, job.panel_outputs)
        # An odd number of cache lines from point to point: planes a power of two apart meet in one cache set.
        job.plane_u = job.n_sources * job.depth * 2 * job.lanes + 16
        self.last = READS_LAST | WRITES_LAST if self._writes_last() else READS_LAST
        tables = _winograd.axis(job.h.points, job.h.taps), _winograd.axis(job.w.points, job.w.taps)
        job.input_table, job.output_table = floats(tables[1].input), floats(tables[1].output)
        self.kept = tables, weight, self._list_weights(weight, weight_strides)
        self.packing.g_h, self.packing.g_w = floats(tables[0].weights), floats(tables[1].weights)
        self.once = once
        if not once:
            self._pack(threads)
            self.kept = tables
        self._pack_bias(bias, bias_strides)

    def __dealloc__(self):
        leave(self.weights, self.once)
        free(self.bias)
        free(self.packed)
        free(self.groups)
        free(self.sources)

    cdef list _set_axis(self, TileAxis *axis, int number, Py_ssize_t points):
        """Set an axis; returns of each source where its first input lies, and whether it has fewer taps than others.

        The window is as long as the longest group's; groups that begin later write their outputs earlier.
        """
        offsets = [sorted({offset[number] for offset in group}) for _, group, _ in self.phases.groups]
        axis.step = self.phases.in_step[number]
        residues = {}
        for group in offsets:
            for residue in {offset % axis.step for offset in group}:
                residues.setdefault(residue, []).append([o for o in group if o % axis.step == residue])
        longest = max((group for parts in residues.values() for group in parts), key=len)
        first = [min(group[0] for group in parts) for parts in residues.values()]
        axis.points, axis.taps, axis.low, axis.spread = points, len(longest), min(first), max(first) - min(first)
        axis.outputs, axis.reads = points - axis.taps + 1, points
        axis.dilation = (longest[1] - longest[0]) // axis.step if len(longest) > 1 else 1
        if points == 3:
            axis.outputs, axis.reads, axis.first_read = 2, 2, axis.dilation
        short = [max(map(len, parts)) < axis.taps for parts in residues.values()]
        return [(at - axis.low, few) for at, few in zip(first, short)]

    cdef int _set_sources(self, list rows, list columns) except -1:
        """Sources in an order in which those that have a point follow one another, whichever axis it is the last of."""
        cdef TileJob *job = &self.template
        cdef Py_ssize_t i, last
        order = [(False, True), (False, False), (True, False), (True, True)]
        sources = sorted([(h, w) for h in rows for w in columns], key=lambda s: order.index((s[0][1], s[1][1])))
        job.n_sources = len(sources)
        job.depth = job.channels if job.n_sources == 1 else job.channel_blocks * job.lanes
        self.sources = <TileSource *>calloc(job.n_sources, sizeof(TileSource))
        if self.sources is NULL:
            raise MemoryError()
        job.source = self.sources
        for i, ((h, _), (w, _)) in enumerate(sources):
            job.source[i].first_h, job.source[i].first_w = h, w
        for last in range(4):
            live = [i for i, (h, w) in enumerate(sources) if not (last & 2 and h[1]) and not (last & 1 and w[1])]
            job.live[last], job.live_end[last] = min(live) * job.depth, (max(live) + 1) * job.depth
        return 0

    cdef int _set_groups(self) except -1:
        cdef TileJob *job = &self.template
        cdef TileGroup *group
        cdef Py_ssize_t n = self.phases.n_groups, i, p, most = 0
        self.groups = <TileGroup *>calloc(n, sizeof(TileGroup))
        self.packed = <Packed *>calloc(n, sizeof(Packed))
        if self.groups is NULL or self.packed is NULL:
            raise MemoryError()
        job.group, job.n_groups, job.n_phases = self.groups, n, self.phases.n_phases
        for i, (residues, offsets, _) in enumerate(self.phases.groups):
            group = self.groups + i
            self.packed[i].group = self.phases.group + i
            group.phases, group.first_phase = self.phases.group[i].phases, self.phases.group[i].first_phase
            group.shift_h, dead_h = self._place(&job.h, [o[1] for o in offsets])
            group.shift_w, dead_w = self._place(&job.w, [o[2] for o in offsets])
            for p in range(job.points):
                group.dead[p] = p // job.w.points == dead_h or p % job.w.points == dead_w
            group.residue_h, group.residue_w = min(r[1] for r in residues), min(r[2] for r in residues)
            most = max(most, group.phases)
        job.panel_outputs = 2 * job.lanes // most
        return 0

    cdef tuple _place(self, const TileAxis *axis, list offsets):
        """(shift of a group, its dead point).

        The shift is the least with which the window reaches the group's farthest tap. Fewer taps than the window has
        make the value at 0, if that is a point, or at infinity zero, by the end at which they are missing.
        """
        if axis.step > 1:
            return 0, -1
        low, high, last = min(offsets) - axis.low, max(offsets) - axis.low, (axis.taps - 1) * axis.dilation
        shift, short = max(0, high - last), len(set(offsets)) < axis.taps
        if short and axis.points % 2 and high - shift == last:
            shift = low
        if not short:
            return shift, -1
        return shift, axis.points - 1 if high - shift < last else 0

    cdef int _set_store(self, const fc_isa *isa) except -1:
        cdef Job *store = &self.store
        store.kernels, store.movers, store.packed = &isa.f32, &isa.bytes, self.packed
        store.line, store.way = self.phases.line, self.phases.way
        store.n_phases, store.n_lines, store.itemsize = self.phases.n_phases, self.phases.n_lines, sizeof(float)
        store.outputs, store.groups = self.template.outputs, self.template.groups
        for axis in range(3):
            store.out_step[axis] = self.phases.out_step[axis]
        return 0

    def _list_weights(self, const float[::1] weight, strides):
        """Where the weights lie; returns the tables that say so."""
        cdef TileJob *job = &self.template
        cdef TilePacking *packing = &self.packing
        cdef Table row_offset, tap, group_span
        packing.job, packing.weight = job, &weight[0]
        packing.s_group, packing.s_out, packing.s_in = strides[0], strides[1], strides[5]
        rows, taps, spans, steps = [], [], [], set()
        packing.alike = True
        for i in range(job.n_groups):
            phases, window = self._offsets(i, strides)
            panel = [m * packing.s_out + offset for m in range(job.panel_outputs) for offset in phases]
            packing.alike = packing.alike and panel == (rows[: len(panel)] or panel)
            steps |= {b - a for a, b in zip(panel, panel[1:])}
            rows += panel + [0] * (2 * job.lanes - len(panel))
            taps += window
            spans.append(max(window) + 1)
        row_offset, tap, group_span = Table(rows), Table(taps), Table(spans)
        packing.row_offset, packing.tap, packing.group_span = row_offset.at, tap.at, group_span.at
        packing.row_step = steps.pop() if len(steps) == 1 else 0
        packing.span = max(spans)
        # Channels that follow one another are turned together; 144 entries of each row are nine squares of 16.
        packing.channels = max(1, min(job.channels, 144 // packing.s_in)) if packing.span <= packing.s_in else 1
        packing.turned = ((packing.channels - 1) * packing.s_in + packing.span) * 2 * job.lanes
        return row_offset, tap, group_span

    cdef Py_ssize_t _weight_bytes(self) noexcept:
        cdef const TileJob *job = &self.template
        return job.groups * job.panels * job.n_groups * job.points * job.plane_u * <Py_ssize_t>sizeof(float)

    cdef bint _writes_last(self) noexcept:
        """What several phases have of a pixel is collected from all panels, for items of few tiles.

        These read all weights: where weights come from memory, planes that are turned at last take less time.
        """
        cdef const TileJob *job = &self.template
        cdef Py_ssize_t pixel = job.outputs * job.groups, panel = min(job.panel_outputs, job.outputs)
        cdef Py_ssize_t size = sizeof(float)
        if takes_pixels(panel * size, pixel * size, MASKED_BYTES):
            return True
        return (job.n_phases > 1 and takes_pixels(job.outputs * size, pixel * size, MASKED_BYTES)
                and self._weight_bytes() <= COLLECTED_WEIGHTS)

    cdef int _pack(self, Py_ssize_t threads) except -1:
        """All weights, before any is used."""
        cdef TileJob *job = &self.template
        cdef TilePacking *packing = &self.packing
        cdef Py_ssize_t items = job.groups * job.panels, size = self._weight_bytes(), i
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

    def _offsets(self, Py_ssize_t index, strides):
        """Where the weights of a group's phases lie, and those of the window's taps, -1 where it has none."""
        cdef const TileJob *job = &self.template
        cdef const TileGroup *group = job.group + index
        residues, offsets, kernels = self.phases.groups[index]
        places = [[sum(k * s for k, s in zip(tap, strides[6:])) for tap in phase] for phase in kernels]
        rows = [place[0] - places[0][0] + sum(r * s for r, s in zip(residue, strides[2:5]))
                for place, residue in zip(places, residues)]
        taps = [-1] * (job.n_sources * job.h.taps * job.w.taps)
        for i in range(job.n_sources):
            for (_, h, w), place in zip(offsets, places[0]):
                row, beside_h = divmod(h - job.h.low - group.shift_h - job.source[i].first_h, job.h.step)
                column, beside_w = divmod(w - job.w.low - group.shift_w - job.source[i].first_w, job.w.step)
                if not beside_h and not beside_w:
                    row, column = row // job.h.dilation, column // job.w.dilation
                    taps[(i * job.h.taps + row) * job.w.taps + column] = place
        return rows, taps

    cdef int _pack_bias(self, bias, strides) except -1:
        cdef TileJob *job = &self.template
        cdef Py_ssize_t width = 2 * job.lanes, panels = job.groups * job.panels * job.n_groups, i, g, m, p, at
        cdef const float[::1] values
        self.bias = <float *>aligned(panels * width * sizeof(float))
        job.bias = self.bias
        memset(self.bias, 0, panels * width * sizeof(float))
        if bias is None:
            return 0
        values = bias
        for i in range(job.n_groups):
            residues = self.phases.groups[i][0]
            for g in range(job.groups):
                for m in range(job.outputs):
                    for p, residue in enumerate(residues):
                        at = ((g * job.panels + m // job.panel_outputs) * job.n_groups + i) * width
                        at += m % job.panel_outputs * job.group[i].phases + p
                        self.bias[at] = values[g * strides[0] + m * strides[1]
                                               + sum(r * s for r, s in zip(residue, strides[2:]))]
        return 0

    def run(self, x, y, origin, Py_ssize_t threads, int last=0, tuple end=None):
        """y = the operator of x; returns the images that have an output which is NaN or infinite, and may be wrong.

        fastconv/_engines.py says what x and y must be.
        """
        cdef TileJob job = self.template
        cdef Job store = self.store
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
            "algorithm": self.algorithm, "isa": self.isa, "dtype": self.dtype,
            "tile": f"{job.kernels.rows}x{2 * job.lanes}", "tiles": job.h.tiles * job.w.tiles,
            "products": [(job.outputs * len(residues), job.channels * job.n_sources)
                         for residues, _, _ in self.phases.groups],
            "items": job.items, "threads": job.threads,
            "workspace_bytes": job.scratch_size * job.threads * <Py_ssize_t>sizeof(float),
        }

    cdef int _aim(self, TileJob *job, x_shape, y_shape, origin) except -1:
        cdef Py_ssize_t step_h = self.store.out_step[1], step_w = self.store.out_step[2], tiled_h = 0, tiled_w = 0, i
        cdef Py_ssize_t height = y_shape[3], width = y_shape[4]
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
        job.packing = &self.packing if self.weights is NULL and job.blocks <= BLOCKS_OF_ONCE else NULL
        self._lay_out_scratch(job)
        return 0

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


cdef const float *floats(const float[::1] values) except NULL:
    return &values[0]


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


cdef unsigned char outside(const TileJob *job, Py_ssize_t point, Py_ssize_t h0, Py_ssize_t h1, Py_ssize_t w0,
                           Py_ssize_t w1) noexcept nogil:
    """Is the point outside of h0 .. h1 on h (2), and of w0 .. w1 on w (1)?"""
    cdef Py_ssize_t row = point // job.w.points, column = point % job.w.points
    return (not h0 <= row < h1) * 2 + (not w0 <= column < w1)


cdef Py_ssize_t tiles_of_run(const TileAxis *axis, Py_ssize_t run) noexcept nogil:
    return min(axis.dilation, axis.tiled - run * axis.outputs * axis.dilation)


cdef Py_ssize_t window_rows(const TileJob *job) noexcept nogil:
    """Input rows of a row of tiles, those of a dilation apart."""
    return (job.h.reads - 1) * job.h.step + 1 + job.h.spread


cdef Py_ssize_t window_pixels(const TileJob *job, Py_ssize_t runs) noexcept nogil:
    """Pixels of an input row that the tiles of some runs read."""
    cdef const TileAxis *axis = &job.w
    return ((runs - 1) * axis.outputs + axis.reads - 1) * axis.dilation * axis.step + axis.dilation + axis.spread
