"""How the direct algorithm is cut: sums and rows into blocks and panels once per operator, a call's work into items."""

cdef struct Packed:             # one group of phases: its weights, and how rows and sums are cut
    const Group *group
    Py_ssize_t weights_at       # in elements: [conv group][block][panel][product][row]
    Py_ssize_t bias_at          # likewise: [conv group][row], row = channel*phases + phase
    Py_ssize_t *bias_offset     # [row], in the caller's array
    Block *block
    Py_ssize_t blocks
    Py_ssize_t tap_blocks       # blocks that share channels
    Py_ssize_t products         # length of the sum: taps*channels
    Py_ssize_t *panel           # first row of each panel, and the end
    Py_ssize_t *unit            # first panel of each unit, and the end


cdef struct Span:               # a range of output columns, all rows: an image of its own for panels
    Py_ssize_t w0, w1
    Py_ssize_t pixels, tiles
    Py_ssize_t first_block      # blocks of the spans before it


cdef struct Spot:               # where the products of a tap go, for a part of the channels:
    Py_ssize_t start            # start + (conv group)*group + row*length + (first + channel)*rows
    Py_ssize_t group, length, first                         # of the panel that begins at `row` and has `rows`


cdef struct Source:             # weights that are packed together, in the order in which they lie in the caller's array
    const Packed *packed        # whose panels all its groups have
    Py_ssize_t rows, taps
    Py_ssize_t *row_offset      # [rows]
    Py_ssize_t *tap_offset      # [taps], ascending
    Spot *spot                  # [part of the channels][taps]


cdef struct End:                # what is done to outputs at last: see finish.pxi
    int given                   # is there anything to do?
    int kind                    # of fc_finish
    double slope
    const char *residual        # lies as y does; NULL if there is none
    Py_ssize_t image, channel   # its strides, in elements


cdef struct Job:
    const fc_real_kernels *kernels
    const fc_byte_kernels *movers
    const Packed *packed
    const char *weights                                     # see Packed
    const char *bias
    const Line *line
    const Way *way
    Reach reach
    Py_ssize_t n_groups, n_phases, n_lines
    Py_ssize_t itemsize, channels, outputs, groups, units   # channels and outputs per conv group
    const Py_ssize_t *unit_channel                          # first output channel of each unit, and the end
    int skip_dead, strips
    int border                  # what lies in the padding: see border.pxi
    int aside                   # outputs are built in scratch, then interleaved into y
    int in_place                # panels are read from the image as it lies

    const char *x
    char *y
    Py_ssize_t x_image, y_image, y_channel                  # strides in elements
    Py_ssize_t x_column, y_column                           # from pixel to pixel: not 1 where channels lie last
    int last                                                # READS_LAST, WRITES_LAST: see last.pxi
    End end
    fc_image image
    Py_ssize_t[3] grid                                      # output positions of a phase
    Py_ssize_t[3] out                                       # output size
    Py_ssize_t[3] out_step

    Py_ssize_t images, unit_ranges, blocks, items, threads
    Py_ssize_t pixels                                       # flat positions of the grid
    Span[16] span                                           # panels: ranges of its columns,
    Py_ssize_t spans                                        # mostly one; a last one has only first_block, the end
    Py_ssize_t panel_tiles, panel_pitch                     # tiles that are packed at once, and elements of a row
    Py_ssize_t rows, row_blocks, columns, column_blocks     # strips: block size and number of blocks
    Py_ssize_t item_pixels, item_channels                   # the most of an item
    Py_ssize_t item_tiles
    Py_ssize_t aside_offset, list_offset, scratch_bytes     # of a worker's scratch, in bytes
    char *scratch
    Py_ssize_t *panel_row                                   # where the rows of a panel begin
    unsigned char *turn_table                               # if pixels with few channels are turned
    unsigned char *shuffle_table                            # if whole output rows are interleaved at once,
    bint filters_in_place                                   # the image, instead of strips of it
    bint streams                                            # outputs go past the caches
    Py_ssize_t ways                                         # so many phases, or phases and channels


cdef Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """a / b rounded up, a >= 0, b > 0; no intermediate overflows."""
    return a // b + (a % b != 0)


cdef Py_ssize_t taken_step(Py_ssize_t step, Py_ssize_t count, Py_ssize_t size) noexcept nogil:
    """A step that no second position takes may be huge, and its bytes wrap: one past all entries does as well."""
    return step if count > 1 else min(step, size + FC_MAX_WAYS)


cdef class Cut:
    """How an operator's rows and sums are cut for one instruction set and dtype: what all its engines share."""

    cdef readonly Phases phases
    cdef readonly str isa
    cdef readonly str algorithm
    cdef Packed *packed
    cdef Source *sources
    cdef Py_ssize_t n_sources, bias_bytes, weight_bytes
    cdef Py_ssize_t w_group, w_channel, b_group     # strides of weights and biases
    cdef Py_ssize_t *part                           # first channel of each part of the sum, and the end
    cdef Py_ssize_t parts, most_products            # most_products: of a block
    cdef Job template
    cdef list tables

    def __cinit__(self, Phases phases, Py_ssize_t groups, Py_ssize_t out_channels, Py_ssize_t in_channels,
                  weight_strides, bias_strides, Py_ssize_t itemsize):
        cdef const fc_isa *isa = fc_isa_table(current_isa)
        cdef Job *job = &self.template
        cdef Py_ssize_t i, axis
        self.phases, self.isa, self.tables, self.most_products = phases, isa.name.decode(), [], 1
        self.packed = <Packed *>calloc(phases.n_groups + 1, sizeof(Packed))
        if self.packed is NULL:
            raise MemoryError()
        job.itemsize, job.x_column, job.y_column = itemsize, 1, 1
        job.kernels = &isa.f32 if job.itemsize == 4 else &isa.f64
        job.movers, job.packed, job.line, job.way = &isa.bytes, self.packed, phases.line, phases.way
        job.n_groups, job.n_phases, job.n_lines = phases.n_groups, phases.n_phases, phases.n_lines
        job.channels, job.outputs, job.groups = in_channels, out_channels, groups
        for axis in range(3):
            job.out_step[axis] = phases.out_step[axis]
            job.image.step[axis] = phases.in_step[axis]
        job.reach, job.border = phases.reach, phases.border
        self._expect_room()
        job.strips = self._strips_pay()
        self.algorithm = "direct, strips" if job.strips else "direct, panels"
        self._cut_units()
        for i in range(phases.n_groups):
            self._cut_sum(self.packed + i, phases.group + i)
            self._cut_rows(self.packed + i)
            self._list_biases(i, bias_strides)
        self._list_parts()
        self._list_sources(weight_strides)

    def __dealloc__(self):
        if self.packed is not NULL:
            for i in range(self.template.n_groups):
                free(self.packed[i].block)
        free(self.packed)
        free(self.sources)

    cdef Py_ssize_t *table(self, numbers) except NULL:
        cdef Table kept = Table(numbers)
        self.tables.append(kept)
        return kept.at

    cdef int _expect_room(self) except -1:
        """Weights that will not fit when they are packed: lists of as many rows would fill the memory before."""
        cdef Py_ssize_t i
        size = 0
        for i in range(self.phases.n_groups):
            size += self.phases.group[i].phases * self.phases.group[i].taps
        size *= self.template.groups * self.template.outputs * self.template.channels * self.template.itemsize
        if size > LEAST_KEPT:
            free(aligned(min(size, 1 << 62)))
        return 0

    cdef bint _strips_pay(self):
        """Few outputs per pixel or few channels, several taps, and a strip that can be made small.

        Looks at taps and weights only, never at the image: the choice decides the order of the sum.
        """
        cdef Job *job = &self.template
        cdef Py_ssize_t i, most = 0
        cdef object step = job.image.step[2], rows = job.reach.span_h, smallest     # Python's integers do not overflow
        for i in range(self.phases.n_groups):
            most = max(most, self.phases.group[i].phases * job.outputs)
        smallest = (64 * step + job.reach.span_w) * (rows + 1) * job.reach.planes * self._strip_channels()
        if most > NARROW_ROWS and job.channels > FEW_CHANNELS:
            return False
        return job.reach.taps > 1 and smallest * job.itemsize <= STRIP_LIMIT

    cdef Py_ssize_t _strip_channels(self):
        """Channels of a strip: a block of the sum for the group with the most taps."""
        return max(1, min(self.template.channels, FC_BLOCK_K // max(self.template.reach.taps, 1)))

    cdef int _cut_units(self) except -1:
        """Units of whole output channels with all their phases, of UNIT_PANELS panels or more in the largest group.

        A power of two, so that they can be shared out evenly.
        """
        cdef Job *job = &self.template
        cdef Py_ssize_t most = 1
        for i in range(self.phases.n_groups):
            most = max(most, self.phases.group[i].phases)
        share = max(1, UNIT_PANELS * job.kernels.rows // most)
        job.units = 1
        while 2 * job.units * share <= job.outputs:
            job.units *= 2
        job.unit_channel = self.table([job.outputs * u // job.units for u in range(job.units + 1)])
        return 0

    cdef int _cut_sum(self, Packed *packed, const Group *group) except -1:
        """Blocks of at most FC_BLOCK_K products: strips hold whole channels, panels take many channels of few taps."""
        cdef Py_ssize_t channels, taps, c_parts, t_parts, k0 = 0
        if self.template.strips:            # all groups cut alike, since they share the strip
            channels, cuts_t = self._strip_channels(), self._cut_taps(group)
        else:
            taps = min(FC_BLOCK_K, max(1, group.taps))
            channels = max(1, FC_BLOCK_K // taps)
            t_parts = max(1, ceil_div(group.taps, taps))
            cuts_t = [group.taps * i // t_parts for i in range(t_parts + 1)]
        c_parts = max(1, ceil_div(self.template.channels, channels))
        cuts_c = [self.template.channels * i // c_parts for i in range(c_parts + 1)]
        blocks = [(c0, c1, t0, t1) for t0, t1 in zip(cuts_t, cuts_t[1:]) for c0, c1 in zip(cuts_c, cuts_c[1:])]
        if self.template.strips:
            blocks.sort()
        packed.group, packed.blocks, packed.products = group, len(blocks), group.taps * self.template.channels
        packed.tap_blocks = len(cuts_t) - 1
        packed.block = <Block *>malloc(len(blocks) * sizeof(Block))
        if packed.block is NULL:
            raise MemoryError()
        for i, (c0, c1, t0, t1) in enumerate(blocks):
            packed.block[i] = Block(c0, c1, t0, t1, k0)
            k0 += (c1 - c0) * (t1 - t0)
            self.most_products = max(self.most_products, (c1 - c0) * (t1 - t0))
        return 0

    cdef list _cut_taps(self, const Group *group):
        """Blocks of whole planes of taps, or else of whole rows of one plane, or else of a part of one row."""
        cdef Py_ssize_t row = group.kernel[2], plane = group.kernel[1] * row, whole = 1, part = row
        if plane <= FC_BLOCK_K:
            whole, part = plane, group.taps
        elif row <= FC_BLOCK_K:
            whole, part = row, plane
        share = FC_BLOCK_K // whole * whole
        return [t for first in range(0, group.taps, part) for t in range(first, first + part, share)] + [group.taps]

    cdef int _cut_rows(self, Packed *packed) except -1:
        """Panels of nearly equal height: 64 rows are 13 13 13 13 12, not 14 14 14 14 8."""
        cdef Py_ssize_t phases = packed.group.phases
        panels, units = [], []
        for u in range(self.template.units):
            first, end = self.template.unit_channel[u] * phases, self.template.unit_channel[u + 1] * phases
            count = ceil_div(end - first, self.template.kernels.rows)
            units.append(len(panels))
            height, taller = divmod(end - first, count)
            panels += [first + height * i + min(i, taller) for i in range(count)]
        packed.panel = self.table([*panels, self.template.outputs * phases])
        packed.unit = self.table([*units, len(panels)])
        return 0

    cdef int _list_biases(self, Py_ssize_t index, strides) except -1:
        cdef Packed *packed = self.packed + index
        self.b_group, s_out, *s_residue = strides
        offsets = [sum(r * s for r, s in zip(residue, s_residue)) for residue in self.phases.groups[index][0]]
        packed.bias_at = self.bias_bytes // self.template.itemsize
        packed.bias_offset = self.table([m * s_out + o for m in range(self.template.outputs) for o in offsets])
        self.bias_bytes += self.template.groups * self.template.outputs * packed.group.phases * self.template.itemsize
        return 0

    cdef int _list_parts(self) except -1:
        """Parts of the channels that no block cuts. Groups with fewer taps have more channels in a block."""
        cdef Py_ssize_t g, b
        edges = {0}
        for g in range(self.phases.n_groups):
            for b in range(self.packed[g].blocks):
                edges.add(self.packed[g].block[b].c1)
        self.parts = len(edges) - 1
        self.part = self.table(sorted(edges))
        return 0

    cdef int _list_sources(self, strides) except -1:
        """A source for each group of phases; one for all of them where each group is one phase."""
        n = self.phases.n_groups
        self.sources = <Source *>calloc(n + 1, sizeof(Source))
        if self.sources is NULL:
            raise MemoryError()
        for groups in [range(n)] if n == self.phases.n_phases else [range(i, i + 1) for i in range(n)]:
            self._list_source(self.sources + self.n_sources, groups, strides)
            self.n_sources += 1
        return 0

    cdef int _list_source(self, Source *source, groups, strides) except -1:
        """Rows r, row = channel*phases + phase, and the taps of some groups of phases.

        Within a group, the kernel index of a tap differs from phase to phase by the same step for all taps, so that a
        weight lies at row_offset[row] + tap_offset[tap] + channel*w_channel.
        """
        cdef Packed *packed
        cdef Py_ssize_t g
        self.w_group, s_out, *s_residue, self.w_channel, s_d, s_h, s_w = strides
        taps = []                           # (offset, its spots)
        for g in groups:
            packed = self.packed + g
            residues, _, kernels = self.phases.groups[g]
            phases = [[kd * s_d + kh * s_h + kw * s_w for kd, kh, kw in k] for k in kernels]
            packed.weights_at = self.weight_bytes // self.template.itemsize
            taps += zip(phases[0], self._spots(packed))
            self.weight_bytes += (self.template.groups * self.template.outputs * packed.group.phases * packed.products
                                  * self.template.itemsize)
        taps.sort()
        steps = [phase[0] - phases[0][0] + sum(r * s for r, s in zip(residue, s_residue))
                 for phase, residue in zip(phases, residues)]
        spots = [spot for part in zip(*(spots for _, spots in taps)) for spot in part]
        source.packed = self.packed + <Py_ssize_t>groups[0]
        source.rows, source.taps = self.template.outputs * len(steps), len(taps)
        source.tap_offset = self.table([offset for offset, _ in taps])
        source.row_offset = self.table([m * s_out + step for m in range(self.template.outputs) for step in steps])
        source.spot = <Spot *>self.table([number for spot in spots for number in spot])
        return 0

    cdef list _spots(self, const Packed *packed):
        """The spots of each tap, one for each part."""
        cdef const Block *block
        cdef Py_ssize_t rows = self.template.outputs * packed.group.phases, channels, start, b, t, i, parts
        cdef Py_ssize_t group = packed.products * rows if self.template.groups > 1 else 0
        spots = [[] for _ in range(packed.group.taps)]
        for b in range(packed.blocks):
            block = packed.block + b
            channels, start = block.c1 - block.c0, packed.weights_at + block.k0 * rows
            parts = 0
            for i in range(self.parts):
                parts += block.c0 <= self.part[i] < block.c1
            for t in range(block.t0, block.t1):
                spots[t] += [(start, group, channels * (block.t1 - block.t0),
                              channels * (t - block.t0) - block.c0)] * parts
        return spots

    cdef int _aim(self, Job *job, const Py_ssize_t *x_shape, const Py_ssize_t *y_shape, origin) except -1:
        """Sizes of input, output and grid."""
        cdef Py_ssize_t axis
        job.images, job.pixels = x_shape[0], 1
        for axis in range(3):
            job.image.size[axis] = x_shape[2 + axis]
            job.image.origin[axis] = origin[axis]
            job.out[axis] = y_shape[2 + axis]
            job.grid[axis] = job.image.grid[axis] = ceil_div(job.out[axis], job.out_step[axis])
            job.image.step[axis] = taken_step(job.image.step[axis], job.grid[axis], job.image.size[axis])
            job.out_step[axis] = taken_step(job.out_step[axis], job.grid[axis], job.out[axis])
            job.pixels *= job.grid[axis]
        job.aside = job.n_phases > 1 or not self.phases.complete or job.last & WRITES_LAST != 0
        job.streams = goes_past_caches(size_of(x_shape) * job.itemsize, size_of(y_shape) * job.itemsize)
        return 0

    cdef int _flatten_pointwise(self, Job *job) except -1:
        """A tap that reads the output's own position makes the image one long row: no segments, no padding."""
        cdef fc_image *image = &job.image
        cdef Py_ssize_t axis
        if not self.phases.pointwise or (image.pitch[1] != image.size[2] * job.x_column and image.size[1] > 1):
            return 0
        if image.pitch[0] != image.size[1] * image.size[2] * job.x_column and image.size[0] > 1:
            return 0
        for axis in range(3):
            if image.origin[axis] or image.size[axis] != job.grid[axis]:
                return 0
        for axis in range(3):
            image.size[axis] = image.grid[axis] = job.pixels if axis == 2 else 1
        return 0

    cdef bint _reads_in_place(self, const Job *job):
        """Of an image of one row, where all taps of a panel lie inside.

        With one tap, two of three: each pixel is read once, its image is near, its channels do not meet in few sets of
        a cache. With several, where L1 and its pages hold a panel beside the weights.
        """
        cdef const fc_image *image = &job.image
        cdef Py_ssize_t channel = abs(image.channel) * job.itemsize, rows = job.outputs * job.n_phases
        cdef Py_ssize_t channels = min(job.channels, FC_BLOCK_K), apart = min(PAGE, channel & -channel)
        cdef Py_ssize_t width = job.panel_tiles * job.kernels.columns * job.itemsize
        cdef bint once = rows <= job.kernels.rows, near = job.channels * channel <= NEAR_IMAGE
        cdef bint one_row = image.size[0] == image.size[1] == image.grid[0] == image.grid[1] == 1
        cdef bint level = job.reach.planes == 1 and job.reach.low_h == job.reach.span_h == 0
        if job.strips or job.last & READS_LAST or image.step[2] != 1 or rows > IN_PLACE_ROWS or not (one_row and level):
            return False
        if image.origin[0] + job.reach.plane_offset[0] or image.origin[1]:
            return False
        if not job.reach.span_w:
            return once + near + (channel % PAGE != 0) >= 2
        return (0 < channels * min(channel, PAGE) <= IN_PLACE_PAGES * PAGE
                and channels * max(apart, width) <= IN_PLACE_WAYS * PAGE)

    cdef int _cut_work(self, Job *job, Py_ssize_t threads) except -1:
        """Items: enough for every thread, each small enough for its caches."""
        cdef Py_ssize_t products = 0, i
        for i in range(job.n_groups):
            products += self.packed[i].products * self.packed[i].group.phases
        products *= job.outputs * job.groups * job.images * job.pixels
        job.threads = max(1, min(threads, FC_MAX_THREADS, 1 + products // SERIAL_PRODUCTS))
        if job.strips:
            self._cut_strips(job)
        else:
            self._cut_panels(job)
        self._lay_out_scratch(job)
        return 0

    cdef Py_ssize_t _aside_bytes(self, const Job *job, Py_ssize_t pixels):
        return aside_row(pixels, job.itemsize) * job.n_phases * job.item_channels * job.itemsize if job.aside else 0

    cdef int _cut_units_of_items(self, Job *job, Py_ssize_t ranges) except -1:
        """At least `ranges` shares of the units if there are as many, within an eighth of equal."""
        cdef Py_ssize_t i
        job.unit_ranges, job.item_channels = max(1, min(ranges, job.units)), 0
        while 8 * job.unit_ranges * ceil_div(job.units, job.unit_ranges) > 9 * job.units:
            job.unit_ranges += 1
        for i in range(job.unit_ranges):
            job.item_channels = max(job.item_channels, job.unit_channel[job.units * (i + 1) // job.unit_ranges]
                                    - job.unit_channel[job.units * i // job.unit_ranges])
        return 0

    cdef int _cut_panels(self, Job *job) except -1:
        cdef Py_ssize_t columns = job.kernels.columns, shares = job.images * job.groups
        cdef Py_ssize_t tiles = 0, blocks = 0, wanted, room, i
        cdef bint alone
        self._cut_columns(job)
        for i in range(job.spans):
            job.span[i].tiles = ceil_div(job.span[i].pixels, columns)
            tiles += job.span[i].tiles
        # Weights that one tile reads once need not stay near: an item has all outputs, and pixels are packed once.
        alone = tiles == 1
        room = OUTPUT_BYTES // 4 if alone else OUTPUT_BYTES
        wanted = job.threads if alone or job.threads == 1 else 4 * job.threads
        job.item_tiles = min(ITEM_TILES, tiles)
        self._cut_units_of_items(job, 1 if alone else ceil_div(job.outputs * job.n_phases, ITEM_ROWS))
        while job.item_tiles > 1 and (shares * job.unit_ranges * ceil_div(tiles, job.item_tiles) < wanted
                                      or self._aside_bytes(job, job.item_tiles * columns) > room):
            job.item_tiles -= 1
        while job.unit_ranges < job.units and (shares * job.unit_ranges * tiles < wanted
                                               or self._aside_bytes(job, min(columns, job.pixels)) > room):
            self._cut_units_of_items(job, job.unit_ranges + 1)
        for i in range(job.spans):
            # The same number of blocks for every thread: 98 tiles are 14 blocks of 7 for two, not 13 of up to 8.
            job.span[i].first_block, tiles = blocks, job.span[i].tiles
            blocks += min(tiles, ceil_div(ceil_div(tiles, job.item_tiles), job.threads) * job.threads)
        job.span[job.spans].first_block = job.blocks = blocks
        job.item_pixels = min(job.item_tiles * columns, job.pixels)
        # Several tiles at once where output rows are long: fewer, longer reads. Up to 8, if sums are short.
        job.panel_tiles = 1
        if job.image.grid[2] >= columns and job.spans == 1:
            job.panel_tiles = min(job.item_tiles, min(8, max(PANEL_TILES, FC_BLOCK_K // self.most_products)))
        job.panel_pitch = columns if job.panel_tiles == 1 else job.panel_tiles * columns + job.kernels.lanes
        return 0

    cdef int _cut_columns(self, Job *job) except -1:
        """One span, or one for each set of taps that meet the image, where an eighth of the products are dead.

        Rows of a tile share what is dead above and below, but 33 columns and taps 18 apart have a live tap in any tile.
        """
        cdef Py_ssize_t grid = job.grid[2], step = job.image.step[2], size = job.image.size[2], i, t
        cdef Py_ssize_t lo = 0, hi = 0
        cdef Py_ssize_t low = job.image.origin[2] + job.reach.low_w, dead = 0, products = 0
        cdef Py_ssize_t beyond = max(0, -low) + max(0, low + job.reach.span_w + (grid - 1) * step - size + 1)
        cdef const Group *group
        job.spans, job.span[0] = 1, Span(0, grid, job.pixels, 0, 0)
        if not job.skip_dead or 8 * beyond <= grid * step:      # all taps at once leave out no more than these
            return 0
        for i in range(job.n_groups):
            group = job.packed[i].group
            for t in range(group.taps):
                live_columns(job, group.offset[3 * t + 2], &lo, &hi)
                dead += group.phases * (grid - (hi - lo))
            products += group.phases * group.taps * grid
        # Before any object of Python's: a call of a few us notices.
        if 8 * dead <= products or job.channels * dead < DEAD_PRODUCTS * job.n_phases * grid:
            return 0
        edges = {0, grid}
        for i in range(job.n_groups):
            group = job.packed[i].group
            for t in range(group.taps):
                live_columns(job, group.offset[3 * t + 2], &lo, &hi)
                edges |= {lo, hi}
        cuts = sorted(edges)
        least = min([b - a for a, b in zip(cuts, cuts[1:])]) * (job.pixels // grid)
        if len(cuts) > 16 or least < job.kernels.columns:
            return 0
        job.spans, job.aside = len(cuts) - 1, 1
        for i in range(job.spans):
            lo, hi = cuts[i], cuts[i + 1]
            job.span[i] = Span(lo, hi, job.pixels // grid * (hi - lo), 0, 0)
        return 0

    cdef Py_ssize_t _strip_bytes(self, const Job *job, Py_ssize_t rows, Py_ssize_t columns):
        return (self._strip_channels() * job.reach.planes * strip_rows(job, rows) * job.image.step[2]
                * strip_pitch(job, columns) + 2 * job.kernels.lanes) * job.itemsize     # a tile reads whole vectors

    cdef int _cut_strips(self, Job *job) except -1:
        """Blocks of output rows, or pieces of one, whose strip stays in L2, about, where taps are far apart."""
        cdef Py_ssize_t shares = job.images * job.groups * job.grid[0], budget = STRIP_BYTES, pixels
        cdef Py_ssize_t wanted = 4 * job.threads if job.threads > 1 else 1, row
        cdef bint wide, lines, few, near
        # One output of a few channels: the filter reads the image itself, and knows where it ends. It loads under masks
        # there: many taps pay more for these than for a copy. A large image comes from memory, which is fast along long
        # rows, and down short ones where a tile picks pixels from four lines.
        pixels = job.images * job.groups * job.channels * job.image.size[1] * job.image.size[2]
        row = job.image.size[2] * job.itemsize
        wide = job.kernels.lanes * job.itemsize == LINE
        lines = wide and job.image.step[2] == 2
        few = job.reach.taps <= (FILTERED_TAPS_OF_LINES if wide else FILTERED_TAPS)
        near = pixels * job.itemsize <= FILTERED_BYTES << lines
        job.filters_in_place = (job.outputs * job.n_phases == 1 and job.skip_dead and not job.last & READS_LAST
                                and (row >= PAGE or (few if near else lines and row <= 8 * LINE))
                                and self._picks_pixels(job) and job.reach.planes == 1
                                and job.image.size[0] == job.grid[0] == 1
                                and job.image.origin[0] + job.reach.plane_offset[0] == 0)
        if job.outputs * job.n_phases == 1 and job.image.step[1] > 1 and not job.filters_in_place:
            budget = FILTER_BYTES
        self._cut_units_of_items(job, 1)
        job.columns, job.rows = min(job.grid[2], STRIP_COLUMNS), 1
        while job.columns > 64 and max(self._strip_bytes(job, 1, job.columns),
                                       self._aside_bytes(job, job.columns)) > budget:
            job.columns = ceil_div(job.columns, 2)
        if self._strip_bytes(job, 1, job.columns) > budget // 2:
            budget *= 4
        while job.rows < job.grid[1] and (max(self._strip_bytes(job, 2 * job.rows, job.columns),
                                              self._aside_bytes(job, 2 * job.rows * job.columns)) <= budget):
            job.rows *= 2
        job.rows = min(job.rows, job.grid[1])
        job.column_blocks = ceil_div(job.grid[2], job.columns)
        while job.rows > 1 and shares * job.column_blocks * ceil_div(job.grid[1], job.rows) < wanted:
            job.rows = ceil_div(job.rows, 2)
        job.row_blocks = ceil_div(job.grid[1], job.rows)
        job.blocks = job.grid[0] * job.row_blocks * job.column_blocks
        job.item_pixels = job.rows * job.columns
        return 0

    cdef bint _picks_pixels(self, const Job *job):
        """Can a filter read an image whose rows have no padding and are not split? Every pixel, or every second one."""
        cdef const Group *group = job.packed[0].group
        if job.image.step[1] != job.image.step[2] or job.image.step[2] > 2:
            return False
        if job.image.step[2] == 1:
            return True
        if group.kernel[1] == 1:
            return False
        return group.offset[3 * group.kernel[2] + 1] - group.offset[1] == 1

    cdef int _lay_out_scratch(self, Job *job) except -1:
        """[pixels: a panel or a strip][outputs built aside][rows of the image or the strip][runs]"""
        cdef Py_ssize_t pixels, lists, aside
        if job.strips:
            pixels = self._strip_bytes(job, job.rows, job.columns)
            lists = 3 * FC_BLOCK_K * sizeof(Py_ssize_t)
        else:
            pixels = (self.most_products * job.panel_pitch + 2 * job.kernels.columns) * job.itemsize
            lists = FC_BLOCK_K * sizeof(Py_ssize_t) + (self.most_products + 1) * sizeof(fc_run)
        job.aside_offset = ceil_div(pixels, 64) * 64
        aside = self._aside_bytes(job, job.item_pixels)
        if filters_streaming(job):
            aside = FILTER_ROWS * job.columns * job.itemsize
        job.list_offset = job.aside_offset + ceil_div(aside, 64) * 64
        job.scratch_bytes = job.list_offset + ceil_div(lists, 64) * 64
        job.items = job.images * job.groups * job.unit_ranges * job.blocks
        job.threads = min(job.threads, job.items)
        return 0

    cdef void _prepare_tables(self, Job *job, char *room) noexcept:
        """TABLE_BYTES: [tables of the shuffles out and in][rows of a panel]"""
        cdef Py_ssize_t i
        cdef unsigned char *turn_table = <unsigned char *>room + FC_MAX_TABLE
        job.panel_row = <Py_ssize_t *>(turn_table + TURN_TABLE)
        if not job.strips:
            for i in range(self.most_products):
                job.panel_row[i] = i * job.panel_pitch
        if job.last & READS_LAST and job.groups == 1 and 2 <= job.channels <= LAST_WAYS:
            job.turn_table = turn_table
            fc_shuffle_table(turn_table, job.movers.unit, job.channels, job.itemsize, 1)
        if job.aside and self.phases.complete:
            prepare_ways(job, <unsigned char *>room, job.unit_ranges == 1)


cdef void prepare_ways(Job *job, unsigned char *table, bint whole) noexcept:
    """Outputs are interleaved phase by phase; channels last, with all channels, if an item has the whole of them."""
    cdef bint last = job.last & WRITES_LAST
    cdef Py_ssize_t most = FC_MAX_WAYS
    job.ways = job.out_step[2]
    if last:
        most = LAST_WAYS if job.groups == 1 and whole else 0
        job.ways *= job.outputs
    if 2 <= job.ways <= most:
        job.shuffle_table = table
        fc_shuffle_table(table, job.movers.unit, job.ways, job.itemsize, 0)


cdef Py_ssize_t size_of(const Py_ssize_t *shape) noexcept nogil:
    """Elements of an array of five axes."""
    return shape[0] * shape[1] * shape[2] * shape[3] * shape[4]


cdef Py_ssize_t aside_row(Py_ssize_t pixels, Py_ssize_t itemsize) noexcept nogil:
    """From one row of outputs built aside to the next: an odd number of cache lines.

    28 KiB apart, the rows of a square that is turned would meet in one set of the cache.
    """
    return (ceil_div(pixels * itemsize, 64) | 1) * 64 // itemsize


cdef void live_columns(const Job *job, Py_ssize_t offset, Py_ssize_t *lo, Py_ssize_t *hi) noexcept nogil:
    """The columns of the grid, lo <= w < hi, where a tap reads the image."""
    cdef Py_ssize_t at = job.image.origin[2] + offset, step = job.image.step[2]
    lo[0] = min(job.grid[2], ceil_div(max(0, -at), step))
    hi[0] = max(lo[0], min(job.grid[2], ceil_div(max(0, job.image.size[2] - at), step)))
