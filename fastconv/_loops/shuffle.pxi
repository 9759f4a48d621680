"""Pixel shuffle and unshuffle: rows of bytes interleaved."""

cdef enum:
    PIECE_BYTES = 64 << 10      # of fine: what an item moves, and the longest piece of a row
    AXES = 7                    # of the walk over pieces
    SERIAL_BYTES = 256 << 10    # below which waking a thread costs more than it brings


cdef struct Shuffle:
    const fc_byte_kernels *movers
    const unsigned char *table
    char *coarse
    char *fine
    Py_ssize_t itemsize, factor, width, undo        # factor and positions of a row
    Py_ssize_t piece                                # positions of a piece of a row
    Py_ssize_t pieces, pieces_per_item
    Py_ssize_t next_way                             # bytes of coarse between the rows that make one of fine
    Py_ssize_t[7] count                             # axes in the order of fine: piece of the row, residue h, h, residue
    Py_ssize_t[7] step                              # d, d, channel, image; how many, and their bytes in coarse


def shuffle(x, y, Py_ssize_t itemsize, factors, int order, bint undo, Py_ssize_t threads):
    """Moves bytes between coarse (L, C*fd*fh*fw, D, H, W*itemsize) and fine (L, C, D*fd, H*fh, W*fw*itemsize)."""
    cdef Shuffle job
    cdef const unsigned char[:, :, :, :, ::1] source = x
    cdef unsigned char[:, :, :, :, ::1] target = y
    cdef unsigned char[16384] table
    cdef Py_ssize_t fd, fh, fw, d, h, line, plane, images, channels, next_channel, axis
    if source.size == 0:
        return
    job.movers = &fc_isa_table(current_isa).bytes
    job.coarse = <char *>(&target[0, 0, 0, 0, 0] if undo else &source[0, 0, 0, 0, 0])
    job.fine = <char *>(&source[0, 0, 0, 0, 0] if undo else &target[0, 0, 0, 0, 0])
    images, _, d, h, line = y.shape if undo else x.shape
    channels = source.shape[1] if undo else target.shape[1]
    fd, fh, fw = factors
    plane = d * h * line
    job.itemsize, job.undo, job.factor, job.width = itemsize, undo, fw, line // itemsize
    job.next_way, next_channel = (channels * plane, plane) if order else (plane, fd * fh * fw * plane)
    job.piece = min(job.width, max(1, PIECE_BYTES // (fw * itemsize)))
    job.count[:] = [ceil_div(job.width, job.piece), fh, h, fd, d, channels, images]
    job.step[:] = [job.piece * itemsize, fw * job.next_way, line, fh * fw * job.next_way, h * line, next_channel,
                   channels * fd * fh * fw * plane]
    job.pieces = 1
    for axis in range(AXES):
        job.pieces *= job.count[axis]
    job.pieces_per_item = max(1, PIECE_BYTES // (job.piece * fw * itemsize))
    job.table = NULL
    if 2 <= fw <= FC_MAX_WAYS and itemsize in (1, 2, 4, 8, 16):
        fc_shuffle_table(table, job.movers.unit, fw, itemsize, undo)
        job.table = table
    if source.size < SERIAL_BYTES:
        threads = 1
    with nogil:
        fc_parallel(shuffle_item, &job, ceil_div(job.pieces, job.pieces_per_item), threads)


cdef void shuffle_item(void *pointer, Py_ssize_t item, Py_ssize_t worker) noexcept nogil:
    """Pieces in the order of fine, found by counting: the divisions of an index take as long as moving a short row."""
    cdef const Shuffle *job = <const Shuffle *>pointer
    cdef Py_ssize_t first = item * job.pieces_per_item, number = first, axis
    cdef Py_ssize_t[7] at
    cdef char *coarse = job.coarse
    cdef char *fine
    for axis in range(AXES):
        at[axis], number = number % job.count[axis], number // job.count[axis]
        coarse += at[axis] * job.step[axis]
    fine = job.fine + (first // job.count[0] * job.width + at[0] * job.piece) * job.factor * job.itemsize
    for number in range(min(job.pieces_per_item, job.pieces - first)):
        fine += shuffle_piece(job, coarse, fine, min(job.piece, job.width - at[0] * job.piece))
        for axis in range(AXES):
            at[axis] += 1
            coarse += job.step[axis]
            if at[axis] < job.count[axis]:
                break
            coarse -= at[axis] * job.step[axis]
            at[axis] = 0


cdef Py_ssize_t shuffle_piece(const Shuffle *job, char *coarse, char *fine, Py_ssize_t count) noexcept nogil:
    """A piece of a row of fine, which is `factor` pieces of coarse, FC_MAX_WAYS at a time. Returns its bytes."""
    cdef void_pointer[16] ways
    cdef Py_ssize_t factor = job.factor, itemsize = job.itemsize, j0 = 0, j, n
    while j0 < factor:
        n = min(<Py_ssize_t>FC_MAX_WAYS, factor - j0)
        for j in range(n):
            ways[j] = coarse
            coarse += job.next_way
        if factor == 1:
            memcpy(ways[0] if job.undo else fine, fine if job.undo else ways[0], count * itemsize)
        elif job.undo:
            job.movers.deinterleave(ways, fine + j0 * itemsize, n, factor, count, itemsize, job.table)
        else:
            job.movers.interleave(fine + j0 * itemsize, <const void *const *>ways, n, factor, count, itemsize,
                                  job.table)
        j0 += n
    return count * factor * itemsize
