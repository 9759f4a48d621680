"""Depthwise transposed convolutions of images whose channels lie side by side: a depthwise convolution for each phase.

Each stores every s-th pixel of every s-th row, in place. An item is a band of the output, which the phases fill one
after the other while it is near; a large one is built in scratch and copied past the caches.
"""

cdef enum:
    PHASES_BYTES = 512 << 10    # of a band: half of L2
    MOST_BUILT = 4 << 20        # of one that is built aside; a row of the grid may be longer


cdef struct PhasesJob:
    DepthwiseJob *phase
    const fc_byte_kernels *movers
    const fc_real_kernels *kernels
    const Py_ssize_t *residue                       # [phase][h, w]
    Py_ssize_t phases, step_h, step_w
    float *y
    Py_ssize_t y_image, row                         # numbers of an output row
    Py_ssize_t height, grid, rows, bands, items, threads
    bint streams
    End end
    Py_ssize_t lists, scratch_size                  # of a worker, in floats: lists, then a band
    float *scratch


cdef class DepthwisePhases:
    """A transposed convolution with one output for each input channel; threads may share it.

    parts : of each phase its residues on h and w, and the Depthwise that makes it
    """

    cdef readonly str isa
    cdef readonly int last
    cdef readonly bint finite
    cdef list parts
    cdef Table residue
    cdef Py_ssize_t step_h, step_w, taps

    def __cinit__(self, parts, step_h, step_w):
        self.isa, self.last, self.step_h, self.step_w = isa(), READS_LAST | WRITES_LAST, step_h, step_w
        self.parts = [part for _, _, part in parts]
        self.residue = Table([residue for h, w, _ in parts for residue in (h, w)])
        self.finite = all(part.finite for part in self.parts)
        self.taps = max((<Depthwise>part).template.taps for part in self.parts)

    def run(self, x, y, origin, Py_ssize_t threads, int last=0, tuple end=None):
        """y = the operator of x, then its end; fastconv/_engines.py says what x and y must be. Channels lie last."""
        cdef PhasesJob job
        cdef Lent source = lend(x, PyBUF_STRIDES), target = lend(y, PyBUF_STRIDES | PyBUF_WRITABLE), residual
        self._cut(&job, x.shape, y.shape, threads)
        if job.items == 0:
            return
        job.end.given, job.end.residual = 0, NULL
        if end is not None:
            residual = bind_end(&job.end, end, sizeof(float))
        job.streams &= end is None
        job.y, job.y_image = <float *>target.view.buf, target.view.strides[0] // sizeof(float)
        job.phase = <DepthwiseJob *>borrow(job.phases * sizeof(DepthwiseJob))
        try:
            self._aim(&job, &source.view, x.shape, y.shape, origin)
            job.scratch = <float *>borrow(job.scratch_size * job.threads * sizeof(float))
            with nogil:
                fc_parallel(phases_band, &job, job.items, job.threads)
            give_back(job.scratch)
        finally:
            give_back(job.phase)

    def describe(self, x_shape, y_shape, threads=1):
        """How a call would be cut, in a dict."""
        cdef PhasesJob job
        self._cut(&job, x_shape, y_shape, threads)
        return {"algorithm": "depthwise, lanes of channels, phase by phase", "isa": self.isa, "dtype": "float32",
                "tile": f"{job.kernels.lanes} channels", "products": [(1, self.taps)], "items": job.items,
                "threads": job.threads,
                "workspace_bytes": job.scratch_size * job.threads * <Py_ssize_t>sizeof(float)}

    cdef int _cut(self, PhasesJob *job, x_shape, y_shape, Py_ssize_t threads) except -1:
        cdef Py_ssize_t wanted, band, size = sizeof(float)
        cdef Py_ssize_t products = x_shape[0] * y_shape[1] * y_shape[3] * y_shape[4] * self.taps
        cdef const fc_isa *table = fc_isa_table(current_isa)
        job.kernels, job.movers, job.phases = &table.f32, &table.bytes, len(self.parts)
        job.residue = self.residue.at
        job.height, job.row = y_shape[3], y_shape[4] * y_shape[1]
        job.grid = ceil_div(job.height, self.step_h)
        job.step_h = taken_step(self.step_h, job.grid, job.height)
        job.step_w = taken_step(self.step_w, ceil_div(y_shape[4], self.step_w), y_shape[4])
        job.threads = max(1, min(threads, FC_MAX_THREADS, 1 + products // SERIAL_PRODUCTS))
        wanted = 2 * job.threads if job.threads > 1 else 1
        job.rows = PHASES_BYTES // max(1, job.step_h * job.row * <Py_ssize_t>sizeof(float))
        job.rows = max(1, min(job.grid, job.rows))
        while job.rows > 1 and x_shape[0] * ceil_div(job.grid, job.rows) < wanted:
            job.rows = ceil_div(job.rows, 2)
        job.bands = ceil_div(job.grid, job.rows) if job.row else 0
        job.items = x_shape[0] * job.bands
        job.threads = min(job.threads, max(1, job.items))
        band = job.rows * job.step_h * job.row
        job.streams = (goes_past_caches(math.prod(x_shape) * size, math.prod(y_shape) * size)
                       and band * size <= MOST_BUILT)
        job.lists = ceil_div(4 * self.taps * (MOST_ENDS + 1), 16) * 16
        job.scratch_size = ceil_div(job.lists + job.streams * band, 16) * 16
        return 0

    cdef int _aim(self, PhasesJob *job, const Py_buffer *x, x_shape, y_shape, origin) except -1:
        """A job for each phase, whose rows and columns are some of y's."""
        cdef Py_ssize_t size = sizeof(float), channels = y_shape[1], i, h, w
        cdef Depthwise part
        cdef DepthwiseJob *phase
        for i in range(job.phases):
            part, phase = self.parts[i], job.phase + i
            phase[0] = part.template
            h, w = job.residue[2 * i], job.residue[2 * i + 1]
            part._aim(phase, x_shape[3], x_shape[4], ceil_div(max(0, job.height - h), job.step_h),
                      ceil_div(max(0, y_shape[4] - w), job.step_w), origin)
            if phase.out_w - (phase.inner_end - phase.inner) > MOST_ENDS:
                raise ValueError(f"a phase must have at most {MOST_ENDS} columns at its ends, got {phase.out_w} in all")
            phase.x, phase.x_image = <const float *>x.buf, x.strides[0] // size
            phase.x_row, phase.x_column = x.strides[3] // size, x.strides[4] // size
            phase.y_row, phase.y_column = job.step_h * job.row, job.step_w * channels
            phase.end.given, phase.streamed = 0, 0
        return 0


cdef void phases_band(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """Some rows of the grid, with all phases."""
    cdef const PhasesJob *job = <const PhasesJob *>pointer
    cdef Py_ssize_t band = number % job.bands, image = number // job.bands, i
    cdef Py_ssize_t first = job.rows * band, end = min(job.grid, first + job.rows)
    cdef Py_ssize_t at = first * job.step_h * job.row, count = min(job.height, end * job.step_h) * job.row - at
    cdef float *scratch = job.scratch + worker * job.scratch_size
    cdef float *y = job.y + image * job.y_image + at
    cdef float *to = scratch + job.lists if job.streams else y
    cdef const DepthwiseJob *phase
    cdef Ends ends
    ends.lists = <Py_ssize_t *>scratch
    for i in range(job.phases):
        phase = job.phase + i
        depthwise_span(phase, image, to + job.residue[2 * i] * job.row + job.residue[2 * i + 1] * phase.y_column
                       // job.step_w - at, min(first, phase.out_h), min(end, phase.out_h), &ends)
    if job.streams:
        job.movers.stream(y, to, count * <Py_ssize_t>sizeof(float))
    if job.end.given:
        job.kernels.finish(1, count, y, 0, residual_at(&job.end, image, 0, at, sizeof(float)), 0, job.end.kind,
                           job.end.slope)
