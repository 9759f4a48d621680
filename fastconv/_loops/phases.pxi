"""Phases and taps as tables that the loops read: where the outputs of an operator lie, and what they read."""

cdef struct Block:              # a block of the sum: some channels of some taps, at most FC_BLOCK_K products
    Py_ssize_t c0, c1, t0, t1
    Py_ssize_t k0               # products of the blocks before it


cdef struct Group:              # phases whose taps read the same places
    Py_ssize_t phases, taps
    Py_ssize_t first_phase      # phases of the groups before it
    Py_ssize_t *offset          # [taps][3]
    Py_ssize_t[3] kernel        # taps on each axis: they are a grid, w innermost


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
    border : what lies in the padding, as in _loops/border.pxi
    taps_apart : make each tap a phase of its own, of one tap with offset 0, for _loops/taps.pxi
    """

    cdef readonly tuple in_step, out_step
    cdef readonly tuple groups          # per group: (residues of its phases, offsets, kernel indices per phase)
    cdef readonly bint complete         # has every output position a phase?
    cdef readonly bint pointwise        # is there one tap in all, which reads the output's own position?
    cdef int border
    cdef Py_ssize_t n_groups, n_phases, n_lines
    cdef Group *group
    cdef Reach reach
    cdef Line *line
    cdef Way *way
    cdef list tables

    def __cinit__(self, axes, in_step, out_step, bint taps_apart=False, int border=0):
        self.in_step, self.out_step, self.border, self.tables = tuple(in_step), tuple(out_step), border, []
        by_offsets = {}
        for d, taps_d in axes[0]:
            for h, taps_h in axes[1]:
                for w, taps_w in axes[2]:
                    taps = [((kd, kh, kw), (od, oh, ow)) for kd, od in taps_d for kh, oh in taps_h for kw, ow in taps_w]
                    phase = ((d, h, w), tuple(k for k, _ in taps))
                    by_offsets.setdefault(tuple(o for _, o in taps), []).append(phase)
        self.groups = tuple((tuple(r for r, _ in phases), offsets, tuple(k for _, k in phases))
                            for offsets, phases in by_offsets.items())
        if taps_apart:
            residues = tuple(r for residues, offsets, _ in self.groups for r in residues for _ in offsets)
            taps = tuple((k,) for _, _, kernels in self.groups for kernel in kernels for k in kernel)
            self.groups = ((residues, ((0, 0, 0),), taps),)
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
        for axis in range(3):
            group.kernel[axis] = len({o[axis] for o in offsets})
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
