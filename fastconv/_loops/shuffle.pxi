"""Pixel shuffle and unshuffle: rows of bytes interleaved."""

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
