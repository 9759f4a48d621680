# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The loops of fastconv: phases, blocks and tiles over images, calling the kernels of include/fastconv.

An operator is a list of phases, a phase is a list of taps, a tap is an offset and a slice of the weights. On each
spatial axis (d, h, w) output position q*out_step + residue reads input positions q*in_step + origin + offset for the
taps of that residue's phase. Phases whose taps have the same offsets form a group: their outputs are the rows of one
matrix product, for which the pixels are fetched once.

    Phases    where outputs read: offsets and groups; independent of weights and of the image
    Engine    Phases and packed weights: what a layer keeps
    Job       one call: pointers, sizes, and how the work is cut into items that threads take

include/fastconv/README.md draws the whole picture.
"""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from fastconv._kernels cimport (
    FC_BLOCK_K, FC_ISA_COUNT, FC_MAX_THREADS, FC_MAX_WAYS, fc_any_fn, fc_byte_kernels, fc_image, fc_isa,
    fc_isa_compiled, fc_isa_kernel, fc_isa_name, fc_isa_table, fc_isa_usable, fc_parallel, fc_real_kernels,
    fc_run, fc_shuffle_table, fc_stop_threads,
)

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **pointer, size_t alignment, size_t size)

cdef extern from *:
    """
    #ifndef FC_BUILD_FLAGS
    #define FC_BUILD_FLAGS ""
    #endif
    /* Cython's arrays want literal sizes: [256] below is FC_BLOCK_K, [16] FC_MAX_WAYS, [4096] its largest table. */
    _Static_assert(FC_BLOCK_K == 256 && FC_MAX_WAYS == 16, "array sizes in _core.pyx");
    """
    const char *FC_BUILD_FLAGS
    const char *COMPILER "__VERSION__"

ctypedef void *void_pointer
ctypedef const void *const_pointer

ctypedef fused real:
    float
    double

cdef enum:
    NARROW_ROWS = 6             # up to this many outputs per pixel, strips beat panels: docs/performance.md
    IN_PLACE_ROWS = 32          # up to this many outputs per pixel, a 1x1 product reads the image itself, unpacked
    UNIT_PANELS = 8             # panels of weights that make a unit, the smallest share of output channels of an item
    ITEM_ROWS = 512             # rows of weights of an item: 512 x FC_BLOCK_K floats are 512 KiB, half of a small L2
    ITEM_TILES = 8              # tiles of pixels of an item
    OUTPUT_BYTES = 1 << 20      # the part of an output that is built aside before it is interleaved
    STRIP_BYTES = 32 << 10      # a strip of padded rows: it should stay in L1 with the weights
    STRIP_LIMIT = 1 << 20       # a strip that cannot be cut below this is not used at all
    SHUFFLE_TABLE_BYTES = 4096  # of fc_shuffle_table for FC_MAX_WAYS
    SERIAL_PRODUCTS = 200_000   # multiply-adds per thread, below which waking one costs more than it brings


# ---------------------------------------------------------------------------------------------- instruction sets

cdef int current_isa = 0


def compiled_isas():
    """Names of the instruction sets that this build has code for, best last."""
    return tuple(fc_isa_name(i).decode() for i in range(FC_ISA_COUNT) if fc_isa_compiled(i))


def available_isas():
    """Names of those that this machine runs, best last."""
    return tuple(fc_isa_name(i).decode() for i in range(FC_ISA_COUNT) if fc_isa_compiled(i) and fc_isa_usable(i))


def isa():
    """Name of the instruction set that new engines use."""
    return fc_isa_name(current_isa).decode()


def use_isa(name):
    """Make new engines use the instruction set `name`."""
    global current_isa
    current_isa = _isa_index(name)


cdef int _isa_index(name) except -1:
    if name not in available_isas():
        known = "unknown" if name not in compiled_isas() else "not available on this machine"
        raise ValueError(f"instruction set {name!r} is {known}; available: {', '.join(available_isas())}")
    return compiled_isas().index(name)


use_isa(max(available_isas(), key=compiled_isas().index))


def build_info():
    """Compiler and flags that the C and Cython code was built with."""
    return {"compiler": COMPILER.decode(), "flags": FC_BUILD_FLAGS.decode()}


def kernels(name):
    """Addresses and tile sizes of the kernels of instruction set `name`, for the kernel tests."""
    cdef const fc_isa *table = fc_isa_table(_isa_index(name))
    cdef const char *entry = NULL
    cdef fc_any_fn *kernel = NULL
    cdef int i = 0
    found = {"f32": (table.f32.lanes, table.f32.rows, table.f32.columns, table.f32.narrow),
             "f64": (table.f64.lanes, table.f64.rows, table.f64.columns, table.f64.narrow)}
    while fc_isa_kernel(table, i, &entry, &kernel):
        found[entry.decode()] = <uintptr_t>kernel
        i += 1
    return found


def shuffle_table(Py_ssize_t ways, Py_ssize_t item_bytes, bint undo):
    """The byte-shuffle masks of include/fastconv/kernels/shuffle.h, for the kernel tests."""
    cdef unsigned char[4096] table
    fc_shuffle_table(table, ways, item_bytes, undo)
    return bytes(table[: 16 * ways * ways])


def stop_threads():
    """End the worker threads; the next parallel call starts new ones."""
    with nogil:
        fc_stop_threads()


# ---------------------------------------------------------------------------------------------- phases

cdef struct Block:              # a block of the sum: some channels of some taps, at most FC_BLOCK_K products
    Py_ssize_t c0, c1, t0, t1
    Py_ssize_t k0               # products of the blocks before it


cdef struct Group:              # phases whose taps read the same places
    Py_ssize_t phases, taps
    Py_ssize_t first_phase      # phases of the groups before it
    Py_ssize_t *offset          # [taps][3]


cdef struct Reach:              # what the taps of all phases read, for strips
    Py_ssize_t planes
    Py_ssize_t *plane_offset    # [planes]: the distinct d offsets, ascending
    Py_ssize_t low_h, low_w     # least offset
    Py_ssize_t span_h, span_w   # greatest less least
    Py_ssize_t taps             # most taps of a group


cdef struct Way:                # one phase as a place in an output row
    Py_ssize_t residue, group, phase


cdef struct Line:               # the phases that share an output row: ways[first .. first + count)
    Py_ssize_t d, h, first, count


cdef class Table:
    """A block of Py_ssize_t that lives as long as its owner."""
    cdef Py_ssize_t *at

    def __cinit__(self, numbers):
        cdef Py_ssize_t i
        self.at = <Py_ssize_t *>malloc((len(numbers) + 1) * sizeof(Py_ssize_t))
        if self.at is NULL:
            raise MemoryError()
        for i, number in enumerate(numbers):
            self.at[i] = number

    def __dealloc__(self):
        free(self.at)


cdef class Phases:
    """Where the outputs of an operator read; see the top of this file.

    axes : for each of d, h, w a tuple of (residue, taps), taps a tuple of (kernel index, offset)
    in_step, out_step : three ints each
    """

    cdef readonly tuple in_step, out_step
    cdef readonly tuple groups          # per group: (residues of its phases, offsets, kernel indices per phase)
    cdef readonly bint complete         # has every output position a phase?
    cdef readonly bint pointwise        # is there one tap in all, which reads the output's own position?
    cdef Py_ssize_t n_groups, n_phases, n_lines
    cdef Group *group
    cdef Reach reach
    cdef Line *line
    cdef Way *way
    cdef list tables

    def __cinit__(self, axes, in_step, out_step):
        self.in_step, self.out_step, self.tables = tuple(in_step), tuple(out_step), []
        by_offsets = {}
        for d, taps_d in axes[0]:
            for h, taps_h in axes[1]:
                for w, taps_w in axes[2]:
                    taps = [((kd, kh, kw), (od, oh, ow)) for kd, od in taps_d for kh, oh in taps_h for kw, ow in taps_w]
                    phase = ((d, h, w), tuple(k for k, _ in taps))
                    by_offsets.setdefault(tuple(o for _, o in taps), []).append(phase)
        self.groups = tuple((tuple(r for r, _ in phases), offsets, tuple(k for _, k in phases))
                            for offsets, phases in by_offsets.items())
        self.complete = all(len(axis) == step for axis, step in zip(axes, out_step))
        self.pointwise = (len(self.groups) == 1 and self.groups[0][1] == ((0, 0, 0),)
                          and self.in_step == (1, 1, 1))
        self.n_groups = len(self.groups)
        self.group = <Group *>calloc(self.n_groups + 1, sizeof(Group))
        if self.group is NULL:
            raise MemoryError()
        for i, (residues, offsets, _) in enumerate(self.groups):
            self._fill_group(i, len(residues), offsets)
        self._fill_reach()
        self._fill_lines()

    def __dealloc__(self):
        free(self.group)
        free(self.line)
        free(self.way)

    cdef Py_ssize_t *table(self, numbers) except NULL:
        cdef Table kept = Table(numbers)
        self.tables.append(kept)
        return kept.at

    cdef int _fill_group(self, Py_ssize_t i, Py_ssize_t phases, tuple offsets) except -1:
        cdef Group *group = self.group + i
        group.phases, group.taps, group.first_phase = phases, len(offsets), self.n_phases
        self.n_phases += phases
        group.offset = self.table([x for o in offsets for x in o])
        return 0

    cdef int _fill_reach(self) except -1:
        offsets = [o for _, offsets, _ in self.groups for o in offsets] or [(0, 0, 0)]
        d, h, w = (sorted(set(axis)) for axis in zip(*offsets))
        self.reach = Reach(len(d), self.table(d), min(h), min(w), max(h) - min(h), max(w) - min(w),
                           max([len(offsets) for _, offsets, _ in self.groups], default=0))
        return 0

    cdef int _fill_lines(self) except -1:
        cdef Py_ssize_t n = 0
        lines = {}
        for g, (residues, _, _) in enumerate(self.groups):
            for p, (d, h, w) in enumerate(residues):
                lines.setdefault((d, h), []).append((w, g, p))
        self.n_lines = len(lines)
        self.line = <Line *>calloc(len(lines) + 1, sizeof(Line))
        self.way = <Way *>calloc(self.n_phases + 1, sizeof(Way))
        if self.line is NULL or self.way is NULL:
            raise MemoryError()
        for i, ((d, h), ways) in enumerate(sorted(lines.items())):
            self.line[i] = Line(d, h, n, len(ways))
            for w, g, p in sorted(ways):
                self.way[n] = Way(w, g, p)
                n += 1
        return 0


# ---------------------------------------------------------------------------------------------- engine

cdef struct Packed:             # one group of phases: its weights, and how rows and sums are cut
    const Group *group
    char *weights               # [conv group][block][row of outputs in panels][k], see kernels/weights.h
    char *bias                  # [conv group][row], row = channel*phases + phase
    Block *block
    Py_ssize_t blocks
    Py_ssize_t products         # length of the sum: taps*channels
    Py_ssize_t *panel           # first row of each panel, and the end
    Py_ssize_t *unit            # first panel of each unit, and the end


cdef struct Job:
    const fc_real_kernels *kernels
    const fc_byte_kernels *movers
    const Packed *packed
    const Line *line
    const Way *way
    Reach reach
    Py_ssize_t n_groups, n_phases, n_lines
    Py_ssize_t itemsize, channels, outputs, groups, units   # channels and outputs per conv group
    const Py_ssize_t *unit_channel                          # first output channel of each unit, and the end
    int skip_dead, strips
    int aside                   # outputs are built in scratch, then interleaved into y
    int in_place                # panels are read from the image as it lies

    const char *x
    char *y
    Py_ssize_t x_image, y_image, y_channel                  # strides in elements
    fc_image image
    Py_ssize_t[3] grid                                      # output positions of a phase
    Py_ssize_t[3] out                                       # output size
    Py_ssize_t[3] out_step

    Py_ssize_t images, unit_ranges, blocks, items, threads
    Py_ssize_t pixels, tiles                                # panels: flat positions and tiles of the grid
    Py_ssize_t rows, row_blocks, columns, column_blocks     # strips: block size and number of blocks
    Py_ssize_t item_pixels, item_channels                   # the most of an item
    Py_ssize_t item_tiles
    Py_ssize_t aside_offset, list_offset, scratch_bytes     # of a worker's scratch, in bytes
    char *scratch
    Py_ssize_t[256] panel_row, image_row                    # where the rows of a panel begin; those of the image
    unsigned char *shuffle_table                            # if whole output rows are interleaved at once


cdef Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """a / b rounded up, a >= 0, b > 0; no intermediate overflows."""
    return a // b + (a % b != 0)


cdef void *aligned(Py_ssize_t size) except? NULL nogil:
    """At least one cache line, at a cache line's start."""
    cdef void *p = NULL
    if posix_memalign(&p, 64, <size_t>max(size, 64)):
        with gil:
            raise MemoryError(f"fastconv: no memory for {size} bytes of workspace")
    return p


cdef class Engine:
    """An operator with its weights packed for one instruction set. Immutable; threads may share it."""

    cdef readonly Phases phases
    cdef readonly str isa
    cdef readonly str dtype
    cdef readonly str algorithm
    cdef object empty               # what outputs without any tap are: the bias, or 0
    cdef Packed *packed
    cdef Job template
    cdef list tables

    def __cinit__(self, Phases phases, weight, bias, Py_ssize_t groups, Py_ssize_t out_channels,
                  Py_ssize_t in_channels, weight_strides, bias_strides, algorithm="auto"):
        cdef const fc_isa *isa = fc_isa_table(current_isa)
        cdef Job *job = &self.template
        cdef Py_ssize_t i, axis
        self.phases, self.isa, self.tables = phases, isa.name.decode(), []
        self.dtype = str(weight.dtype)
        self.empty = 0 if bias is None else bias.reshape(1, -1, 1, 1, 1)
        self.packed = <Packed *>calloc(phases.n_groups + 1, sizeof(Packed))
        if self.packed is NULL:
            raise MemoryError()
        job.itemsize = weight.itemsize
        job.kernels = &isa.f32 if job.itemsize == 4 else &isa.f64
        job.movers, job.packed, job.line, job.way = &isa.bytes, self.packed, phases.line, phases.way
        job.n_groups, job.n_phases, job.n_lines = phases.n_groups, phases.n_phases, phases.n_lines
        job.channels, job.outputs, job.groups = in_channels, out_channels, groups
        for axis in range(3):
            job.out_step[axis] = phases.out_step[axis]
            job.image.step[axis] = phases.in_step[axis]
        job.reach = phases.reach
        job.strips = self._strips_pay()
        self.algorithm = "direct, strips" if job.strips else "direct, panels"
        self._cut_units()
        job.skip_dead = 1
        for i in range(phases.n_groups):
            self._cut_sum(self.packed + i, phases.group + i)
            self._cut_rows(self.packed + i)
            self._pack(i, weight.view("uint8"), weight_strides)
            self._pack_bias(i, bias, bias_strides)

    def __dealloc__(self):
        if self.packed is not NULL:
            for i in range(self.template.n_groups):
                free(self.packed[i].weights)
                free(self.packed[i].bias)
                free(self.packed[i].block)
        free(self.packed)

    cdef Py_ssize_t *table(self, numbers) except NULL:
        cdef Table kept = Table(numbers)
        self.tables.append(kept)
        return kept.at

    cdef bint _strips_pay(self):
        """Few outputs per pixel, several taps, and a strip that can be made small.

        Looks at taps and weights only, never at the image: the choice decides the order of the sum.
        """
        cdef Job *job = &self.template
        cdef Py_ssize_t i, most = 0
        cdef object step = job.image.step[2], rows = job.reach.span_h, smallest     # Python's integers do not overflow
        for i in range(self.phases.n_groups):
            most = max(most, self.phases.group[i].phases * job.outputs)
        smallest = (64 * step + job.reach.span_w) * (rows + 1) * job.reach.planes * self._strip_channels()
        return most <= NARROW_ROWS and job.reach.taps > 1 and smallest * job.itemsize <= STRIP_LIMIT

    cdef Py_ssize_t _strip_channels(self):
        """Channels of a strip: a block of the sum for the group with the most taps."""
        return max(1, min(self.template.channels, FC_BLOCK_K // max(self.template.reach.taps, 1)))

    cdef int _cut_units(self) except -1:
        """Units of whole output channels with all their phases, of about UNIT_PANELS panels in the largest group."""
        cdef Job *job = &self.template
        cdef Py_ssize_t most = 1
        for i in range(self.phases.n_groups):
            most = max(most, self.phases.group[i].phases)
        share = max(1, UNIT_PANELS * job.kernels.rows // most)
        job.units = ceil_div(job.outputs, share)
        job.unit_channel = self.table([job.outputs * u // job.units for u in range(job.units + 1)])
        return 0

    cdef int _cut_sum(self, Packed *packed, const Group *group) except -1:
        """Blocks of at most FC_BLOCK_K products: strips hold whole channels, panels take many channels of few taps."""
        cdef Py_ssize_t channels, taps, c_parts, t_parts, k0 = 0
        if self.template.strips:            # all groups cut alike, since they share the strip
            channels, taps = self._strip_channels(), FC_BLOCK_K
            t_parts = max(1, ceil_div(self.template.reach.taps, taps))
        else:
            channels, taps = FC_BLOCK_K, max(1, FC_BLOCK_K // max(1, self.template.channels))
            t_parts = max(1, ceil_div(group.taps, taps))
        c_parts = max(1, ceil_div(self.template.channels, channels))
        cuts_c = [self.template.channels * i // c_parts for i in range(c_parts + 1)]
        cuts_t = [group.taps * i // t_parts for i in range(t_parts + 1)]
        blocks = [(c0, c1, t0, t1) for t0, t1 in zip(cuts_t, cuts_t[1:]) for c0, c1 in zip(cuts_c, cuts_c[1:])]
        if self.template.strips:
            blocks.sort()
        packed.group, packed.blocks, packed.products = group, len(blocks), group.taps * self.template.channels
        packed.block = <Block *>malloc(len(blocks) * sizeof(Block))
        if packed.block is NULL:
            raise MemoryError()
        for i, (c0, c1, t0, t1) in enumerate(blocks):
            packed.block[i] = Block(c0, c1, t0, t1, k0)
            k0 += (c1 - c0) * (t1 - t0)
        return 0

    cdef int _cut_rows(self, Packed *packed) except -1:
        """Panels of nearly equal height: 64 rows are 13 13 13 13 12, not 14 14 14 14 8."""
        cdef Py_ssize_t phases = packed.group.phases
        panels, units = [], []
        for u in range(self.template.units):
            first, end = self.template.unit_channel[u] * phases, self.template.unit_channel[u + 1] * phases
            count = ceil_div(end - first, self.template.kernels.rows)
            units.append(len(panels))
            panels += [first + (end - first) * i // count for i in range(count)]
        packed.panel = self.table([*panels, self.template.outputs * phases])
        packed.unit = self.table([*units, len(panels)])
        return 0

    cdef int _pack(self, Py_ssize_t index, const unsigned char[::1] weight, strides) except -1:
        """Panels of rows r, row = channel*phases + phase, block after block of the sum.

        Within a group, the kernel index of a tap differs from phase to phase by the same step for all taps, so that
        weight[row, k] lies at row_offset[row] + k_offset[k].
        """
        cdef Job *job = &self.template
        cdef Packed *packed = self.packed + index
        cdef Py_ssize_t phases = packed.group.phases, rows = job.outputs * phases, panels = packed.unit[job.units]
        cdef Py_ssize_t s_group, s_out, s_in, g, b, c, t, m, p, n, i, at
        cdef Py_ssize_t[256] k_offset
        cdef Table phase_offset, tap_offset, row_offset = Table(range(rows))
        cdef Block *block
        cdef const unsigned char *from_group
        cdef char *to
        s_group, s_out, *s_residue, s_in, s_d, s_h, s_w = strides
        residues, _, kernels = self.phases.groups[index]
        taps = [[kd * s_d + kh * s_h + kw * s_w for kd, kh, kw in k] for k in kernels]
        tap_offset = Table(taps[0])
        phase_offset = Table([(k[0] - taps[0][0] if k else 0) + sum(r * s for r, s in zip(residue, s_residue))
                              for k, residue in zip(taps, residues)])
        for m in range(job.outputs):
            for p in range(phases):
                row_offset.at[m * phases + p] = m * s_out + phase_offset.at[p]
        packed.weights = <char *>aligned(job.groups * rows * packed.products * job.itemsize)
        for g in range(job.groups):
            from_group = &weight[0] + g * s_group * job.itemsize if weight.shape[0] else NULL
            for b in range(packed.blocks):
                block, n = packed.block + b, 0
                for t in range(block.t0, block.t1):
                    for c in range(block.c0, block.c1):
                        k_offset[n] = tap_offset.at[t] + c * s_in
                        n += 1
                for i in range(panels):
                    at = packed.panel[i]
                    to = packed.weights + ((g * packed.products + block.k0) * rows + at * n) * job.itemsize
                    if job.kernels.pack_weights(to, from_group, packed.panel[i + 1] - at, row_offset.at + at, n,
                                                k_offset):
                        job.skip_dead = 0
        return 0

    cdef int _pack_bias(self, Py_ssize_t index, bias, strides) except -1:
        cdef Job *job = &self.template
        cdef Packed *packed = self.packed + index
        cdef Py_ssize_t size = job.groups * job.outputs * packed.group.phases * job.itemsize
        cdef Py_ssize_t g, m, n = 0, at, s_group, s_out
        cdef const unsigned char[::1] values
        packed.bias = <char *>aligned(size)
        if bias is None:
            memset(packed.bias, 0, size)
            return 0
        values = bias.view("uint8")
        s_group, s_out, *s_residue = strides
        offsets = [sum(r * s for r, s in zip(residue, s_residue)) for residue in self.phases.groups[index][0]]
        for g in range(job.groups):
            for m in range(job.outputs):
                for offset in offsets:
                    at = g * s_group + m * s_out + <Py_ssize_t>offset
                    memcpy(packed.bias + n * job.itemsize, &values[at * job.itemsize], job.itemsize)
                    n += 1
        return 0

    def run(self, x, y, origin, Py_ssize_t threads):
        """y = the operator of x; fastconv/plan.py says what x and y must be."""
        cdef Job job = self.template
        self._aim(&job, x.shape, y.shape, origin)
        if job.itemsize == 4:
            bind[float](&job, x, y)
        else:
            bind[double](&job, x, y)
        if job.images == 0 or job.pixels == 0:
            return
        if not self.phases.complete:
            y[...] = self.empty
        self._flatten_pointwise(&job)
        self._cut_work(&job, threads)
        job.scratch = <char *>aligned(job.scratch_bytes * job.threads + SHUFFLE_TABLE_BYTES)
        try:
            self._prepare_store(&job)
            with nogil:
                fc_parallel(run_item, &job, job.items, job.threads)
        finally:
            free(job.scratch)

    def describe(self, x_shape, y_shape, threads=1):
        """How a call would be cut: item sizes and workspace, in a dict."""
        cdef Job job = self.template
        self._aim(&job, x_shape, y_shape, (0, 0, 0))
        self._cut_work(&job, threads)
        return {
            "algorithm": self.algorithm, "isa": self.isa, "dtype": self.dtype,
            "tile": f"{job.kernels.rows}x{job.kernels.columns}",
            "products": [(job.outputs * len(residues), job.channels * len(offsets))
                         for residues, offsets, _ in self.phases.groups],
            "items": job.items, "threads": job.threads, "workspace_bytes": job.scratch_bytes * job.threads,
        }

    cdef int _aim(self, Job *job, x_shape, y_shape, origin) except -1:
        """Sizes of input, output and grid."""
        job.images = x_shape[0]
        job.pixels = 1
        for axis in range(3):
            job.image.size[axis] = x_shape[2 + axis]
            job.image.origin[axis] = origin[axis]
            job.out[axis] = y_shape[2 + axis]
            job.grid[axis] = job.image.grid[axis] = ceil_div(job.out[axis], job.out_step[axis])
            job.pixels *= job.grid[axis]
        job.aside = job.n_phases > 1 or not self.phases.complete
        return 0

    cdef int _flatten_pointwise(self, Job *job) except -1:
        """A tap that reads the output's own position makes the image one long row: no segments, no padding."""
        cdef fc_image *image = &job.image
        cdef Py_ssize_t axis
        if not self.phases.pointwise or (image.pitch[1] != image.size[2] and image.size[1] > 1):
            return 0
        if image.pitch[0] != image.size[1] * image.size[2] and image.size[0] > 1:
            return 0
        for axis in range(3):
            if image.origin[axis] or image.size[axis] != job.grid[axis]:
                return 0
        for axis in range(3):
            image.size[axis] = image.grid[axis] = job.pixels if axis == 2 else 1
        job.in_place = job.outputs * job.n_phases <= IN_PLACE_ROWS
        return 0

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
        return pixels * job.n_phases * job.item_channels * job.itemsize if job.aside else 0

    cdef int _cut_units_of_items(self, Job *job, Py_ssize_t ranges) except -1:
        job.unit_ranges = max(1, min(ranges, job.units))
        job.item_channels = max([self.template.unit_channel[job.units * (i + 1) // job.unit_ranges]
                                 - self.template.unit_channel[job.units * i // job.unit_ranges]
                                 for i in range(job.unit_ranges)])
        return 0

    cdef int _cut_panels(self, Job *job) except -1:
        cdef Py_ssize_t columns = job.kernels.columns, shares = job.images * job.groups
        cdef Py_ssize_t wanted = 4 * job.threads if job.threads > 1 else 1
        job.tiles = ceil_div(job.pixels, columns)
        job.item_tiles = min(ITEM_TILES, job.tiles)
        self._cut_units_of_items(job, ceil_div(job.outputs * job.n_phases, ITEM_ROWS))
        while job.item_tiles > 1 and (shares * job.unit_ranges * ceil_div(job.tiles, job.item_tiles) < wanted
                                      or self._aside_bytes(job, job.item_tiles * columns) > OUTPUT_BYTES):
            job.item_tiles -= 1
        while job.unit_ranges < job.units and (shares * job.unit_ranges * job.tiles < wanted
                                               or self._aside_bytes(job, columns) > OUTPUT_BYTES):
            self._cut_units_of_items(job, job.unit_ranges + 1)
        # The same number of blocks for every thread: 98 tiles are 14 blocks of 7 for two, not 13 of up to 8.
        job.blocks = ceil_div(ceil_div(job.tiles, job.item_tiles), job.threads) * job.threads
        job.blocks = min(job.blocks, job.tiles)
        job.item_pixels = job.item_tiles * columns
        return 0

    cdef Py_ssize_t _strip_bytes(self, const Job *job, Py_ssize_t rows, Py_ssize_t columns):
        return (self._strip_channels() * job.reach.planes * strip_rows(job, rows) * job.image.step[2]
                * strip_pitch(job, columns) * job.itemsize)

    cdef int _cut_strips(self, Job *job) except -1:
        """Blocks of output rows, or pieces of one, whose strip stays in L1, or in L2 where taps are far apart."""
        cdef Py_ssize_t shares = job.images * job.groups * job.grid[0], budget = STRIP_BYTES
        cdef Py_ssize_t wanted = 4 * job.threads if job.threads > 1 else 1
        self._cut_units_of_items(job, 1)
        job.columns, job.rows = min(job.grid[2], 1024), 1
        while job.columns > 64 and max(self._strip_bytes(job, 1, job.columns),
                                       self._aside_bytes(job, job.columns)) > budget:
            job.columns = ceil_div(job.columns, 2)
        if self._strip_bytes(job, 1, job.columns) > budget // 2:
            budget *= 8
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

    cdef int _lay_out_scratch(self, Job *job) except -1:
        """[pixels: a panel or a strip][outputs built aside][runs, or rows of the strip]"""
        cdef Py_ssize_t pixels, lists
        if job.strips:
            pixels = self._strip_bytes(job, job.rows, job.columns)
            lists = FC_BLOCK_K * sizeof(Py_ssize_t)
        else:
            pixels = (FC_BLOCK_K + 2) * job.kernels.columns * job.itemsize
            lists = (FC_BLOCK_K + 1) * sizeof(fc_run)
        job.aside_offset = ceil_div(pixels, 64) * 64
        job.list_offset = job.aside_offset + ceil_div(self._aside_bytes(job, job.item_pixels), 64) * 64
        job.scratch_bytes = job.list_offset + ceil_div(lists, 64) * 64
        job.items = job.images * job.groups * job.unit_ranges * job.blocks
        job.threads = min(job.threads, job.items)
        return 0

    cdef int _prepare_store(self, Job *job) except -1:
        cdef Py_ssize_t i
        for i in range(FC_BLOCK_K):
            job.panel_row[i] = i * job.kernels.columns
            job.image_row[i] = i * job.image.channel
        job.shuffle_table = NULL
        if job.aside and self.phases.complete and 2 <= job.out_step[2] <= FC_MAX_WAYS:
            job.shuffle_table = <unsigned char *>job.scratch + job.scratch_bytes * job.threads
            fc_shuffle_table(job.shuffle_table, job.out_step[2], job.itemsize, 0)
        return 0


cdef int bind(Job *job, const real[:, :, :, :, :] x, real[:, :, :, :, :] y) except -1:
    """Addresses and strides of input and output."""
    cdef Py_ssize_t size = sizeof(real)
    job.x = <const char *>&x[0, 0, 0, 0, 0]
    job.y = <char *>&y[0, 0, 0, 0, 0]
    job.x_image, job.image.channel = x.strides[0] // size, x.strides[1] // size
    job.image.pitch[0], job.image.pitch[1] = x.strides[2] // size, x.strides[3] // size
    job.y_image, job.y_channel = y.strides[0] // size, y.strides[1] // size
    return 0


# ---------------------------------------------------------------------------------------------- one item of work

cdef struct Item:
    Py_ssize_t image, group                 # group of channels
    Py_ssize_t u0, u1, m0, m1               # units of output channels, and the channels
    char *pixels                            # scratch: panel or strip
    char *c                                 # outputs: row m0, column 0
    Py_ssize_t c_row                        # stride of its rows


cdef Py_ssize_t strip_rows(const Job *job, Py_ssize_t rows) noexcept nogil:
    return (rows - 1) * job.image.step[1] + job.reach.span_h + 1


cdef Py_ssize_t strip_pitch(const Job *job, Py_ssize_t columns) noexcept nogil:
    """Room for the farthest tap and for a tile of four vectors behind the last column."""
    cdef Py_ssize_t lanes = job.kernels.lanes
    return ceil_div(columns + job.reach.span_w // job.image.step[2] + 1, lanes) * lanes + 4 * lanes


cdef void run_item(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """Images, channel groups and ranges of output channels outermost, blocks of pixels innermost.

    Weights are then still near when the next block wants them; the other way round, `unet_k2s2_1024-512@28` with its
    four ranges of 512 rows took 2 to 5% longer.
    """
    cdef Job *job = <Job *>pointer
    cdef Item item
    cdef Py_ssize_t block = number % job.blocks, share
    number //= job.blocks
    share = number % job.unit_ranges
    number //= job.unit_ranges
    item.group, item.image = number % job.groups, number // job.groups
    item.u0, item.u1 = job.units * share // job.unit_ranges, job.units * (share + 1) // job.unit_ranges
    item.m0, item.m1 = job.unit_channel[item.u0], job.unit_channel[item.u1]
    item.pixels = job.scratch + worker * job.scratch_bytes
    if job.aside:
        item.c, item.c_row = item.pixels + job.aside_offset, job.item_pixels
    else:
        item.c, item.c_row = output(job, &item, item.m0), job.y_channel
    if job.strips:
        strip_item(job, &item, block)
    else:
        panel_item(job, &item, block)


cdef char *output(const Job *job, const Item *item, Py_ssize_t channel) noexcept nogil:
    channel += item.group * job.outputs
    return job.y + (item.image * job.y_image + channel * job.y_channel) * job.itemsize


cdef const char *channel_pixels(const Job *job, const Item *item, Py_ssize_t channel) noexcept nogil:
    channel += item.group * job.channels
    return job.x + (item.image * job.x_image + channel * job.image.channel) * job.itemsize


cdef void multiply(const Job *job, const Item *item, const Packed *packed, const Block *block, Py_ssize_t column,
                   Py_ssize_t columns, const fc_run *runs, Py_ssize_t n_runs, const char *b,
                   const Py_ssize_t *b_row) noexcept nogil:
    """One block of the sum for one tile of pixels and all rows of weights of the item."""
    cdef Py_ssize_t phases = packed.group.phases, all_rows = job.outputs * phases
    cdef Py_ssize_t k = (block.c1 - block.c0) * (block.t1 - block.t0)
    cdef const char *weights = packed.weights + (item.group * packed.products + block.k0) * all_rows * job.itemsize
    cdef const char *bias = packed.bias + item.group * all_rows * job.itemsize
    cdef Py_ssize_t above = packed.group.first_phase * (item.m1 - item.m0) - item.m0 * phases
    cdef Py_ssize_t i, row
    for i in range(packed.unit[item.u0], packed.unit[item.u1]):
        row = packed.panel[i]
        job.kernels.gemm(packed.panel[i + 1] - row, columns, weights + row * k * job.itemsize, runs, n_runs, b, b_row,
                         item.c + ((above + row) * item.c_row + column) * job.itemsize, item.c_row,
                         bias + row * job.itemsize if block.k0 == 0 else NULL)


cdef void panel_item(const Job *job, const Item *item, Py_ssize_t number) noexcept nogil:
    """Some tiles of the flattened grid: a panel of pixels is packed for each, block by block of the sum."""
    cdef Py_ssize_t columns = job.kernels.columns, g, b, p, count, n_runs, column
    cdef Py_ssize_t first = job.tiles * number // job.blocks * columns
    cdef Py_ssize_t end = min(job.pixels, job.tiles * (number + 1) // job.blocks * columns)
    cdef fc_run *runs = <fc_run *>(item.pixels + job.list_offset)
    cdef fc_image image = job.image
    cdef const Packed *packed
    cdef const Block *block
    for g in range(job.n_groups):
        packed = job.packed + g
        for b in range(packed.blocks):
            block = packed.block + b
            image.pixels = channel_pixels(job, item, block.c0)
            p = first
            while p < end:
                count = min(columns, end - p)
                column = p - first if job.aside else p
                if job.in_place and count % job.kernels.lanes == 0:
                    runs[0] = fc_run(0, block.c1 - block.c0)
                    multiply(job, item, packed, block, column, count, runs, 1,
                             <const char *>image.pixels + p * job.itemsize, job.image_row)
                else:
                    n_runs = job.kernels.pack_panel(item.pixels, &image, packed.group.offset + 3 * block.t0,
                                                    block.t1 - block.t0, block.c1 - block.c0, p, count,
                                                    job.skip_dead, runs)
                    multiply(job, item, packed, block, column, count, runs, n_runs, item.pixels, job.panel_row)
                p += columns
    if job.aside:
        store_pixels(job, item, first, end)


cdef struct Strip:              # padded input rows: [channel][plane][row][w modulo step][pitch]
    Py_ssize_t d, h0, h1, w0, w1            # the outputs that it serves
    Py_ssize_t c0, c1                       # its channels
    Py_ssize_t rows, pitch


cdef void strip_item(const Job *job, const Item *item, Py_ssize_t number) noexcept nogil:
    """Some output rows, or a piece of one: their input rows are padded once, all taps read them in place."""
    cdef Strip strip
    cdef Py_ssize_t row_block = number // job.column_blocks, g, b, h, last = -1
    cdef const Block *block
    strip.d, strip.h0 = row_block // job.row_blocks, row_block % job.row_blocks * job.rows
    strip.w0 = number % job.column_blocks * job.columns
    strip.h1, strip.w1 = min(job.grid[1], strip.h0 + job.rows), min(job.grid[2], strip.w0 + job.columns)
    strip.rows, strip.pitch = strip_rows(job, strip.h1 - strip.h0), strip_pitch(job, strip.w1 - strip.w0)
    for b in range(job.packed.blocks):
        block = job.packed.block + b
        strip.c0, strip.c1 = block.c0, block.c1
        if strip.c0 != last:
            pack_strips(job, item, &strip)
            last = strip.c0
        for g in range(job.n_groups):
            multiply_strip(job, item, job.packed + g, job.packed[g].block + b, &strip)
    if job.aside:
        for h in range(strip.h0, strip.h1):
            store_segment(job, item, strip.d, h, strip.w0, strip.w1 - strip.w0, (h - strip.h0) * job.columns)


cdef void multiply_strip(const Job *job, const Item *item, const Packed *packed, const Block *block,
                         const Strip *strip) noexcept nogil:
    cdef Py_ssize_t *b_row = <Py_ssize_t *>(item.pixels + job.list_offset)
    cdef Py_ssize_t below = job.image.step[1] * job.image.step[2] * strip.pitch * job.itemsize, h, column
    cdef fc_run whole = fc_run(0, (block.c1 - block.c0) * (block.t1 - block.t0))
    index_strip(job, packed.group, block, strip, b_row)
    for h in range(strip.h1 - strip.h0):
        column = h * job.columns
        if not job.aside:
            column = (strip.d * job.grid[1] + strip.h0 + h) * job.grid[2] + strip.w0
        multiply(job, item, packed, block, column, strip.w1 - strip.w0, &whole, 1, item.pixels + h * below, b_row)


cdef void pack_strips(const Job *job, const Item *item, const Strip *strip) noexcept nogil:
    """The rows that the taps can reach, zero where they are padding."""
    cdef const fc_image *image = &job.image
    cdef Py_ssize_t c, plane, row, at_d, at_h, width, at
    cdef Py_ssize_t first = strip.w0 * image.step[2] + image.origin[2] + job.reach.low_w
    cdef char *to = item.pixels
    for c in range(strip.c0, strip.c1):
        for plane in range(job.reach.planes):
            at_d = strip.d * image.step[0] + image.origin[0] + job.reach.plane_offset[plane]
            for row in range(strip.rows):
                at_h = strip.h0 * image.step[1] + image.origin[1] + job.reach.low_h + row
                width = image.size[2] if 0 <= at_d < image.size[0] and 0 <= at_h < image.size[1] else 0
                at = at_d * image.pitch[0] + at_h * image.pitch[1]
                job.kernels.pack_strip(to, strip.pitch, channel_pixels(job, item, c) + at * job.itemsize, width, first,
                                       image.step[2], strip.pitch)
                to += strip.pitch * image.step[2] * job.itemsize


cdef void index_strip(const Job *job, const Group *group, const Block *block, const Strip *strip,
                      Py_ssize_t *b_row) noexcept nogil:
    """Where each product of the block reads the strip, for the first output."""
    cdef Py_ssize_t t, c, w, row, plane, step = job.image.step[2]
    cdef const Py_ssize_t *offset
    for t in range(block.t0, block.t1):
        offset, plane = group.offset + 3 * t, 0
        while job.reach.plane_offset[plane] != offset[0]:
            plane += 1
        w = offset[2] - job.reach.low_w
        for c in range(strip.c1 - strip.c0):
            row = (c * job.reach.planes + plane) * strip.rows + offset[1] - job.reach.low_h
            b_row[0] = (row * step + w % step) * strip.pitch + w // step
            b_row += 1


# ---------------------------------------------------------------------------------------------- interleaving

cdef void store_pixels(const Job *job, const Item *item, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    """Cuts flat grid positions at row ends."""
    cdef Py_ssize_t p = first, w, h, d, count
    while p < end:
        w, h, d = p % job.grid[2], p // job.grid[2] % job.grid[1], p // job.grid[2] // job.grid[1]
        count = min(job.grid[2] - w, end - p)
        store_segment(job, item, d, h, w, count, p - first)
        p += count


cdef void store_segment(const Job *job, const Item *item, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w, Py_ssize_t count,
                        Py_ssize_t column) noexcept nogil:
    """Grid positions (d, h, w .. w + count) of all phases, from scratch to their places in y."""
    cdef const Line *line
    cdef Py_ssize_t i, row_d, row_h
    cdef char *to
    for i in range(job.n_lines):
        line = job.line + i
        row_d, row_h = d * job.out_step[0] + line.d, h * job.out_step[1] + line.h
        if row_d >= job.out[0] or row_h >= job.out[1]:
            continue
        to = output(job, item, item.m0) + ((row_d * job.out[1] + row_h) * job.out[2]) * job.itemsize
        if job.shuffle_table is not NULL:
            store_rows(job, item, line, to, w, count, column)
        else:
            store_ways(job, item, line, to, w, count, column)


cdef const void *built(const Job *job, const Item *item, const Way *way, Py_ssize_t m,
                       Py_ssize_t column) noexcept nogil:
    """Where the outputs of a phase and channel were built."""
    cdef const Group *group = job.packed[way.group].group
    cdef Py_ssize_t row = group.first_phase * (item.m1 - item.m0) + (m - item.m0) * group.phases + way.phase
    return item.c + (row * item.c_row + column) * job.itemsize


cdef void store_rows(const Job *job, const Item *item, const Line *line, char *to, Py_ssize_t w, Py_ssize_t count,
                     Py_ssize_t column) noexcept nogil:
    """All phases of the row at once, channel by channel; the last position may be cut by the end of the output."""
    cdef const_pointer[16] ways
    cdef Py_ssize_t[16] next_channel
    cdef Py_ssize_t step = job.out_step[2], i, _m, whole = min(count, job.out[2] // step - w)
    cdef Py_ssize_t rest = job.out[2] - (w + whole) * step
    cdef const Way *way
    to += w * step * job.itemsize
    for i in range(step):
        way = job.way + line.first + i
        ways[i] = built(job, item, way, item.m0, column)
        next_channel[i] = job.packed[way.group].group.phases * item.c_row * job.itemsize
    for _m in range(item.m0, item.m1):
        job.movers.interleave(to, ways, step, step, whole, job.itemsize, job.shuffle_table)
        if whole < count:
            store_last(job, ways, to + whole * step * job.itemsize, whole, rest)
        for i in range(step):
            ways[i] = <const char *>ways[i] + next_channel[i]
        to += job.y_channel * job.itemsize


cdef void store_last(const Job *job, const const_pointer *ways, char *to, Py_ssize_t position,
                     Py_ssize_t phases) noexcept nogil:
    """The first phases of one position."""
    cdef const_pointer[16] at
    cdef Py_ssize_t i
    for i in range(phases):
        at[i] = <const char *>ways[i] + position * job.itemsize
    job.movers.interleave(to, at, phases, phases, 1, job.itemsize, NULL)


cdef void store_ways(const Job *job, const Item *item, const Line *line, char *to, Py_ssize_t w, Py_ssize_t count,
                     Py_ssize_t column) noexcept nogil:
    """Phase by phase, where some have no taps or there are too many for registers."""
    cdef Py_ssize_t step = job.out_step[2], i, m, n
    cdef const Way *way
    cdef const void *source
    for i in range(line.first, line.first + line.count):
        way = job.way + i
        if way.residue >= job.out[2]:
            continue
        n = min(count, ceil_div(job.out[2] - way.residue, step) - w)
        for m in range(item.m0, item.m1):
            source = built(job, item, way, m, column)
            job.movers.interleave(to + ((m - item.m0) * job.y_channel + w * step + way.residue) * job.itemsize,
                                  &source, 1, step, n, job.itemsize, NULL)


# ---------------------------------------------------------------------------------------------- pixel shuffle

cdef struct Shuffle:
    const fc_byte_kernels *movers
    const unsigned char *table
    char *coarse
    char *fine
    Py_ssize_t itemsize, channels, rows_per_item, rows, undo, order
    Py_ssize_t[3] size          # of coarse
    Py_ssize_t[3] factor


def shuffle(x, y, Py_ssize_t itemsize, factors, int order, bint undo, Py_ssize_t threads):
    """Moves bytes between coarse (L, C*fd*fh*fw, D, H, W*itemsize) and fine (L, C, D*fd, H*fh, W*fw*itemsize)."""
    cdef Shuffle job
    cdef const unsigned char[:, :, :, :, ::1] source = x
    cdef unsigned char[:, :, :, :, ::1] target = y
    cdef unsigned char[4096] table
    cdef Py_ssize_t axis, items
    coarse, fine = (y, x) if undo else (x, y)
    if source.size == 0:
        return
    job.movers = &fc_isa_table(current_isa).bytes
    job.coarse = <char *>(&target[0, 0, 0, 0, 0] if undo else &source[0, 0, 0, 0, 0])
    job.fine = <char *>(&source[0, 0, 0, 0, 0] if undo else &target[0, 0, 0, 0, 0])
    job.itemsize, job.undo, job.order = itemsize, undo, order
    job.channels = fine.shape[1]
    for axis in range(3):
        job.factor[axis] = factors[axis]
        job.size[axis] = coarse.shape[2 + axis]
    job.size[2] //= itemsize
    job.table = NULL
    if 2 <= job.factor[2] <= FC_MAX_WAYS and itemsize in (1, 2, 4, 8, 16):
        fc_shuffle_table(table, job.factor[2], itemsize, undo)
        job.table = table
    job.rows = fine.shape[0] * fine.shape[1] * fine.shape[2] * fine.shape[3]
    job.rows_per_item = max(1, (64 << 10) // max(1, fine.shape[4]))
    items = ceil_div(job.rows, job.rows_per_item)
    if fine.size < 256 << 10:
        threads = 1
    with nogil:
        fc_parallel(shuffle_item, &job, items, threads)


cdef void shuffle_item(void *pointer, Py_ssize_t item, Py_ssize_t worker) noexcept nogil:
    cdef Shuffle *job = <Shuffle *>pointer
    cdef Py_ssize_t row
    for row in range(item * job.rows_per_item, min(job.rows, (item + 1) * job.rows_per_item)):
        shuffle_row(job, row)


cdef void shuffle_row(const Shuffle *job, Py_ssize_t row) noexcept nogil:
    """One row of fine, which is factor[2] rows of coarse; in pieces of FC_MAX_WAYS."""
    cdef void_pointer[16] ways
    cdef Py_ssize_t fw = job.factor[2], width = job.size[2], line_bytes = width * job.itemsize
    cdef Py_ssize_t h = row % (job.size[1] * job.factor[1]), rest = row // (job.size[1] * job.factor[1])
    cdef Py_ssize_t d = rest % (job.size[0] * job.factor[0])
    cdef Py_ssize_t phase = d % job.factor[0] * job.factor[1] + h % job.factor[1], j0, j, n
    cdef Py_ssize_t within = (d // job.factor[0]) * job.size[1] + h // job.factor[1]
    cdef Py_ssize_t plane = job.size[0] * job.size[1], image, c, channel
    cdef char *fine = job.fine + row * fw * line_bytes
    rest //= job.size[0] * job.factor[0]
    c, image = rest % job.channels, rest // job.channels
    j0 = 0
    while j0 < fw:
        n = min(<Py_ssize_t>FC_MAX_WAYS, fw - j0)
        for j in range(n):
            channel = phase * fw + j0 + j
            if job.order == 0:
                channel += c * job.factor[0] * job.factor[1] * fw
            else:
                channel = channel * job.channels + c
            channel += image * job.channels * job.factor[0] * job.factor[1] * fw
            ways[j] = job.coarse + (channel * plane + within) * line_bytes
        if fw == 1:
            memcpy(ways[0] if job.undo else fine, fine if job.undo else ways[0], line_bytes)
        elif job.undo:
            job.movers.deinterleave(ways, fine + j0 * job.itemsize, n, fw, width, job.itemsize, job.table)
        else:
            job.movers.interleave(fine + j0 * job.itemsize, <const void *const *>ways, n, fw, width, job.itemsize,
                                  job.table)
        j0 += n


# ---------------------------------------------------------------------------------------------- ceilings

def fma_peak(Py_ssize_t rounds=2000):
    """Float32 multiply-adds of one core in the current instruction set, in GFLOP/s (two per multiply-add)."""
    from time import perf_counter
    cdef const fc_real_kernels *kernels = &fc_isa_table(current_isa).f32
    cdef float[64] sink
    cdef Py_ssize_t products
    memset(sink, 0, sizeof(sink))
    start = perf_counter()
    with nogil:
        products = kernels.fma_peak(rounds, sink)
    return 2e-9 * rounds * products / (perf_counter() - start)
