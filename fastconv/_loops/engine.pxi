"""The direct algorithm: weights packed once per layer, or for one call; then the items of a call."""

cdef class Engine(Runner):
    """An operator with its weights, packed as its cut says. Immutable; threads may share it."""

    cdef readonly Cut cut
    cdef readonly bint finite       # are all weights?
    cdef char *numbers              # biases, then weights
    cdef bint once                  # for one call

    def __cinit__(self, Cut cut, weight, bias, Py_ssize_t threads=1, bint once=False):
        cdef Lent lent
        cdef Py_ssize_t size = cut.bias_bytes + cut.weight_bytes
        cdef Py_ssize_t stored = cut.template.outputs * cut.template.itemsize
        cdef Py_ssize_t read = cut.template.channels * cut.template.itemsize, pixel = stored * cut.template.groups
        self.once = once
        self.cut, self.last = cut, 0
        if takes_pixels(stored, pixel, TURNED_BYTES) and builds_pixels(pixel, cut.template.out_step[2]):
            self.last |= WRITES_LAST
        # An image is turned once, not for each tap; strips read every pixel once, but know no padding but zeros.
        if ((cut.phases.pointwise or (cut.template.strips and cut.template.border == ZEROS))
                and takes_pixels(read, read * cut.template.groups, TURNED_BYTES)):
            self.last |= READS_LAST
        if not cut.phases.complete:
            self.empty = 0 if bias is None else bias.reshape(1, -1, 1, 1, 1)
        self.numbers = <char *>room(size, once)
        memset(self.numbers, 0, cut.bias_bytes)
        if bias is not None:
            lent = lend(bias, PyBUF_SIMPLE)
            pack_biases(cut, <const char *>lent.view.buf, self.numbers)
        lent = lend(weight, PyBUF_SIMPLE)
        self.finite = pack_weights(cut, <const char *>lent.view.buf, self.numbers + cut.bias_bytes, threads)

    def __dealloc__(self):
        leave(self.numbers, self.once)

    cdef Job _job(self) noexcept:
        """What all calls share."""
        cdef Job job = self.cut.template
        job.bias, job.weights = self.numbers, self.numbers + self.cut.bias_bytes
        job.skip_dead = self.finite and job.border == ZEROS
        return job

    cdef int _run(self, const View *x, const View *y, origin, Py_ssize_t threads, int last,
                  const End *end) except -1:
        cdef Job job = self._job()
        cdef char[65600] stack
        cdef bint small
        bind(&job, x, y, last)
        job.end = end[0]
        self.cut._aim(&job, x.shape, y.shape, origin)
        if job.images == 0 or job.pixels == 0:
            return 0
        self.cut._flatten_pointwise(&job)
        self.cut._cut_work(&job, threads)
        job.in_place = self.cut._reads_in_place(&job)
        small = job.scratch_bytes * job.threads + TABLE_BYTES <= STACK_BYTES
        if small:
            job.scratch = stack + (-<Py_ssize_t>stack & 63)
        else:
            job.scratch = <char *>borrow(job.scratch_bytes * job.threads + TABLE_BYTES)
        self.cut._prepare_tables(&job, job.scratch + job.scratch_bytes * job.threads)
        with nogil:
            fc_parallel(run_item, &job, job.items, job.threads)
        if not small:
            give_back(job.scratch)
        return 0

    @property
    def bands(self):
        """Of how many output rows a part of an output is a multiple, and by how many the first input moves for each."""
        return self.cut.phases.out_step[1], self.cut.phases.in_step[1]

    def describe(self, x_shape, y_shape, threads=1):
        """How a call would be cut: item sizes and workspace, in a dict."""
        cdef Cut cut = self.cut
        cdef Job job = self._job()
        cdef Py_ssize_t[5] x_sizes, y_sizes
        read_shapes(x_shape, y_shape, x_sizes, y_sizes)
        cut._aim(&job, x_sizes, y_sizes, (0, 0, 0))
        cut._cut_work(&job, threads)
        return {
            "algorithm": cut.algorithm, "isa": cut.isa, "dtype": "float32" if job.itemsize == 4 else "float64",
            "tile": f"{job.kernels.rows}x{job.kernels.columns}",
            "products": [(job.outputs * len(residues), job.channels * len(offsets))
                         for residues, offsets, _ in cut.phases.groups],
            "items": job.items, "threads": job.threads, "workspace_bytes": job.scratch_bytes * job.threads,
        }


cdef class Call:
    """A direct call of a function on arrays of one dtype and certain shapes: all of it but the numbers."""

    cdef Cut cut
    cdef tuple shape, origin        # of the output; of the first window
    cdef object dtype, new
    cdef int axes

    def __cinit__(self, Cut cut, tuple shape, tuple origin, dtype, int axes):
        self.cut, self.shape, self.origin, self.dtype, self.axes = cut, shape, origin, dtype, axes
        self.new = emptier(shape, dtype)

    def __call__(self, x, weight, bias, Py_ssize_t threads):
        """The output, or None if an array has to be put in order first, or a weight is not finite."""
        cdef Lent source = lend(x, PyBUF_STRIDES), target
        cdef View image, output
        cdef End end
        cdef Engine engine
        if not (is_in_order(source) and is_in_order(lend(weight, PyBUF_STRIDES))
                and (bias is None or is_in_order(lend(bias, PyBUF_STRIDES)))):
            return None
        engine = Engine(self.cut, weight, bias, threads, True)
        if not engine.finite:
            return None
        y = self.new(self.shape, self.dtype)
        target = lend(y, PyBUF_STRIDES | PyBUF_WRITABLE)
        image, output = view_of(&source.view, self.axes, False), view_of(&target.view, self.axes, False)
        end.given, end.residual = 0, NULL
        engine._run(&image, &output, self.origin, threads, 0, &end)
        return y


cdef bint is_in_order(Lent lent) noexcept:
    """Is the array aligned and C-contiguous?"""
    return <uintptr_t>lent.view.buf % lent.view.itemsize == 0 and PyBuffer_IsContiguous(&lent.view, b"C")


cdef bint is_plain(value):
    """Is it an int, a string, or a tuple of these, of no class derived from them? True is not: it equals 1."""
    if type(value) is tuple:
        for part in <tuple>value:
            if not is_plain(part):
                return False
        return True
    return type(value) is int or type(value) is str


def common_dtype(x, weight, bias, tuple about):
    """The dtype of plain arrays, if they share it and what a function is told about them is plain too."""
    if type(x) is not numpy.ndarray or type(weight) is not numpy.ndarray:
        return None
    if bias is not None and type(bias) is not numpy.ndarray:
        return None
    if not is_plain(about):
        return None
    dtype = x.dtype
    return dtype if weight.dtype is dtype and (bias is None or bias.dtype is dtype) else None


cdef void bind(Job *job, const View *x, const View *y, int last) noexcept:
    """Addresses and strides of input and output."""
    cdef Py_ssize_t size = job.itemsize
    job.last = last
    job.x_column, job.y_column = x.strides[4] // size if last & READS_LAST else 1, job.outputs * job.groups
    job.x, job.y = <const char *>x.buf, <char *>y.buf
    job.x_image, job.image.channel = x.strides[0] // size, x.strides[1] // size
    job.image.pitch[0], job.image.pitch[1] = x.strides[2] // size, x.strides[3] // size
    job.y_image, job.y_channel = y.strides[0] // size, y.strides[1] // size
