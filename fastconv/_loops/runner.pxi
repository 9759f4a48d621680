"""What engines have in common: a call, from arrays to their addresses and strides."""


@cython.freelist(4)
cdef class Lent:
    """The memory of an array, given back when the last name of it goes, after an error too."""

    cdef Py_buffer view

    def __dealloc__(self):
        PyBuffer_Release(&self.view)


cdef Lent lend(array, int flags):
    cdef Lent lent = Lent.__new__(Lent)
    PyObject_GetBuffer(array, &lent.view, flags)
    return lent


cdef struct View:               # an image, or a batch of them, as (N, C, D, H, W)
    char *buf
    Py_ssize_t[5] shape, strides            # strides in bytes


cdef View view_of(const Py_buffer *array, int axes, bint last) noexcept:
    """([N,] C, *spatial), or ([N,] *spatial, C), as five axes: NumPy's own views take 0.1 us each."""
    cdef View view
    cdef int batch = array.ndim - axes - 1, i, axis
    view.buf = <char *>array.buf
    for i in range(5):
        if i < 2:
            axis = (0 if batch else -1) if i == 0 else (array.ndim - 1 if last else batch)
        else:
            axis = batch + (not last) + i - 5 + axes if i >= 5 - axes else -1
        view.shape[i] = array.shape[axis] if axis >= 0 else 1
        view.strides[i] = array.strides[axis] if axis >= 0 else 0
    return view


cdef class Runner:
    """What is called with arrays."""

    cdef object empty               # what outputs without any tap are: the bias, or 0; None if all have some
    cdef readonly int last          # what it can take channels last: see last.pxi
    cdef readonly bint pixels       # takes one channel, which lies the same either way, as it takes many

    def takes(self, int last, bint one):
        """Whether `run` takes arrays of any number of axes, with their channels where `last` says, or just one."""
        return self.empty is None and self.last & last == last and (not one or self.pixels)

    def run(self, x, y, origin, Py_ssize_t threads, int last=0, tuple end=None, int axes=0):
        """y = the operator of x, then its end; fastconv/_engines.py says what x and y must be.

        Typed memoryviews of them would take as long as a small layer. With a number of spatial `axes`, both are
        ([N,] C, *spatial), or ([N,] *spatial, C) where both have their channels last.
        """
        cdef View image, output
        cdef Lent source = lend(x, PyBUF_STRIDES), target = lend(y, PyBUF_STRIDES | PyBUF_WRITABLE), residual
        cdef End bound
        cdef bint at_last = end is not None and self.empty is not None
        bound.given, bound.residual = 0, NULL
        if self.empty is not None:
            y[...] = self.empty
        if end is not None and not at_last:
            residual = bind_end(&bound, end, target.view.itemsize)
        image = view_of(&source.view, axes or 3, axes and last)
        output = view_of(&target.view, axes or 3, axes and last)
        self._run(&image, &output, origin, threads, last, &bound)
        if at_last:
            finish(y, end, last & WRITES_LAST, threads)

    cdef int _run(self, const View *x, const View *y, origin, Py_ssize_t threads, int last,
                  const End *end) except -1:
        raise NotImplementedError


cdef int read_shapes(x_shape, y_shape, Py_ssize_t *x_sizes, Py_ssize_t *y_sizes) except -1:
    for axis in range(5):
        x_sizes[axis], y_sizes[axis] = x_shape[axis], y_shape[axis]
    return 0
