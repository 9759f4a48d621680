"""The end of an operator: a residual added, and an activation, applied to outputs as soon as they have been written.

A tile, a row of a tile's outputs, or an interleaved row is finished where it was stored, still in L1: see
kernels/finish.h. An operator some of whose outputs have no tap, or that NumPy completes, is finished as a whole.
"""

cdef Lent bind_end(End *end, tuple given, Py_ssize_t itemsize):
    """From (kind, slope, residual or None); the caller holds the residual's memory, which is returned."""
    cdef Lent lent
    end.given, end.kind, end.slope, end.residual = 1, given[0], given[1], NULL
    if given[2] is None:
        return None
    lent = lend(given[2], PyBUF_STRIDES)
    end.residual = <const char *>lent.view.buf
    end.image, end.channel = lent.view.strides[0] // itemsize, lent.view.strides[1] // itemsize
    return lent


cdef const char *residual_at(const End *end, Py_ssize_t image, Py_ssize_t channel, Py_ssize_t at,
                             Py_ssize_t itemsize) noexcept nogil:
    """The residual of a channel's output at a flat position of its plane."""
    if end.residual is NULL:
        return NULL
    return end.residual + (image * end.image + channel * end.channel + at) * itemsize


cdef void finish_planes(const Job *job, const Item *item, Py_ssize_t channel, Py_ssize_t channels, Py_ssize_t at,
                        Py_ssize_t count) noexcept nogil:
    """Outputs at .. at + count of the planes of some channels of the item's group."""
    cdef Py_ssize_t first = item.group * job.outputs + channel
    cdef char *y = job.y + (item.image * job.y_image + first * job.y_channel + at) * job.itemsize
    job.kernels.finish(channels, count, y, job.y_channel, residual_at(&job.end, item.image, first, at, job.itemsize),
                       job.end.channel, job.end.kind, job.end.slope)


cdef void finish_pixels(const Job *job, const Item *item, Py_ssize_t channel, Py_ssize_t channels, Py_ssize_t at,
                        Py_ssize_t count) noexcept nogil:
    """... where channels lie side by side."""
    at = at * job.y_column + item.group * job.outputs + channel
    job.kernels.finish(count, channels, job.y + (item.image * job.y_image + at) * job.itemsize, job.y_column,
                       residual_at(&job.end, item.image, 0, at, job.itemsize), job.y_column, job.end.kind,
                       job.end.slope)


cdef struct Finish:             # a whole array: rows of `columns`, from image to image
    const fc_real_kernels *kernels
    End end
    char *y
    Py_ssize_t rows, columns, y_image, y_row, itemsize


def finish(y, tuple end, bint last, Py_ssize_t threads):
    """Finish all of y, (N, C, D, H, W): planes, or pixels whose channels lie side by side."""
    cdef Finish job
    cdef Lent target = lend(y, PyBUF_STRIDES | PyBUF_WRITABLE), residual
    job.itemsize, job.y = y.itemsize, <char *>target.view.buf
    job.kernels = &fc_isa_table(current_isa).f32 if job.itemsize == 4 else &fc_isa_table(current_isa).f64
    residual = bind_end(&job.end, end, job.itemsize)
    job.rows, job.columns = 1 if last else y.shape[1], y.shape[2] * y.shape[3] * y.shape[4]
    job.y_image, job.y_row = target.view.strides[0] // job.itemsize, target.view.strides[1] // job.itemsize
    if last:
        job.columns *= y.shape[1]
    with nogil:
        fc_parallel(finish_row, &job, target.view.shape[0] * job.rows, threads)


cdef void finish_row(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    cdef const Finish *job = <const Finish *>pointer
    cdef Py_ssize_t image = number // job.rows, row = number % job.rows
    job.kernels.finish(1, job.columns, job.y + (image * job.y_image + row * job.y_row) * job.itemsize, 0,
                       residual_at(&job.end, image, row, 0, job.itemsize), 0, job.end.kind, job.end.slope)
