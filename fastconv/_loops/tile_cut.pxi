"""How an operator is cut into tiles of one size: its axes, sources, groups of phases, and where their weights lie."""

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


cdef class TileCut:
    """An operator in tiles of one size, but for the numbers of its weights: what all its engines share. Immutable.

    tile : points on the axes h and w. An axis with one tap has one point, the others the same number.
    narrow : vectors of half the width, of the instruction set before; see _core.widths.
    """

    cdef readonly Phases phases
    cdef readonly str isa, algorithm
    cdef readonly int last      # what it can take channels last
    cdef readonly Py_ssize_t weight_bytes       # of all weights, transformed
    cdef TileJob template
    cdef TilePacking packing    # but for the weights
    cdef Job store              # the part that store.pxi reads
    cdef Packed *packed
    cdef TileGroup *groups
    cdef TileSource *sources
    cdef Py_ssize_t *bias_offset        # [panel][group of phases][2 lanes]: in those of a conv group, or -1
    cdef Py_ssize_t b_group             # from one conv group's biases to the next
    cdef list kept              # the arrays behind the tables

    def __cinit__(self, Phases phases, Py_ssize_t groups, Py_ssize_t out_channels, Py_ssize_t in_channels,
                  weight_strides, bias_strides, tile, bint narrow=False):
        from fastconv import _winograd
        cdef const fc_isa *isa = fc_isa_table(current_isa - narrow)
        cdef TileJob *job = &self.template
        cdef Py_ssize_t p
        self.phases, self.isa, self.kept = phases, isa.name.decode(), []
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
        self.weight_bytes = job.groups * job.panels * phases.n_groups * job.points * job.plane_u * sizeof(float)
        self.last = READS_LAST | WRITES_LAST if self._writes_last() else READS_LAST
        tables = _winograd.axis(job.h.points, job.h.taps), _winograd.axis(job.w.points, job.w.taps)
        self.kept.append(tables)
        job.input_table, job.output_table = floats(tables[1].input), floats(tables[1].output)
        self.packing.g_h, self.packing.g_w = floats(tables[0].weights), floats(tables[1].weights)
        self._list_weights(weight_strides)
        self._list_biases(bias_strides)

    def __dealloc__(self):
        free(self.packed)
        free(self.groups)
        free(self.sources)

    cdef Py_ssize_t *table(self, numbers) except NULL:
        cdef Table table = Table(numbers)
        self.kept.append(table)
        return table.at

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

    cdef int _list_weights(self, strides) except -1:
        """Where the weights lie."""
        cdef TileJob *job = &self.template
        cdef TilePacking *packing = &self.packing
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
        packing.row_offset, packing.tap, packing.group_span = self.table(rows), self.table(taps), self.table(spans)
        packing.row_step = steps.pop() if len(steps) == 1 else 0
        packing.span = max(spans)
        # Channels that follow one another are turned together; 144 entries of each row are nine squares of 16.
        packing.channels = max(1, min(job.channels, 144 // packing.s_in)) if packing.span <= packing.s_in else 1
        packing.turned = ((packing.channels - 1) * packing.s_in + packing.span) * 2 * job.lanes
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

    cdef int _list_biases(self, strides) except -1:
        """Where those of a conv group lie, output by output as panels have them."""
        cdef const TileJob *job = &self.template
        cdef Py_ssize_t width = 2 * job.lanes, i, m, at
        cdef list offsets = [-1] * (job.panels * job.n_groups * width)
        for i in range(job.n_groups):
            places = [sum(r * s for r, s in zip(residue, strides[2:])) for residue in self.phases.groups[i][0]]
            for m in range(job.outputs):
                at = (m // job.panel_outputs * job.n_groups + i) * width + m % job.panel_outputs * len(places)
                offsets[at : at + len(places)] = [m * strides[1] + place for place in places]
        self.bias_offset, self.b_group = self.table(offsets), strides[0]
        return 0

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
                and self.weight_bytes <= COLLECTED_WEIGHTS)


cdef const float *floats(const float[::1] values) except NULL:
    return &values[0]


cdef unsigned char outside(const TileJob *job, Py_ssize_t point, Py_ssize_t h0, Py_ssize_t h1, Py_ssize_t w0,
                           Py_ssize_t w1) noexcept nogil:
    """Is the point outside of h0 .. h1 on h (2), and of w0 .. w1 on w (1)?"""
    cdef Py_ssize_t row = point // job.w.points, column = point % job.w.points
    return (not h0 <= row < h1) * 2 + (not w0 <= column < w1)
