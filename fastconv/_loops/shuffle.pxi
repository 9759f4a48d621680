"""Pixel shuffle and unshuffle: rows of bytes interleaved."""

cdef enum:
    VECTOR_BYTES = 64           # of a fine pixel, from which on its channels are moved as a row
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


# ---------------------------------------------------------------------------------------------- channels last

cdef struct LastShuffle:        # rows of coarse [w][k], k = (c*fh + i)*fw + j, and of fine [w][j][c]
    const fc_byte_kernels *movers
    const fc_real_kernels *kernels                  # for elements of 4 and 8 bytes
    const unsigned char *pixel_table                # for all of a coarse pixel, and of a fine row's; NULL if too many
    const unsigned char *fine_table
    const unsigned char *area_table                 # for the fine pixels of a coarse one, where they are vectors
    char *coarse
    char *fine
    Py_ssize_t itemsize, channels, fh, fw, width, undo
    Py_ssize_t piece, pieces, pitch, scratch_bytes  # positions of a piece; bytes of a plane of it
    char *scratch


def shuffle_last(x, y, Py_ssize_t itemsize, Py_ssize_t channels, factors, bint undo, Py_ssize_t threads):
    """Moves bytes between coarse (rows, W, C*fh*fw) and fine (rows*fh, W*fw, C), channel order "crd", both contiguous.

    Where the channels of a fine pixel fill a vector, a coarse pixel's elements go straight to the fine ones. Else by
    planes: they go to as many rows of scratch, and these, in another order, to the fine rows.
    """
    cdef LastShuffle job
    cdef const unsigned char[:, ::1] source = x
    cdef unsigned char[:, ::1] target = y
    cdef unsigned char[16384] pixel_table
    cdef unsigned char[16384] fine_table
    cdef Py_ssize_t ways, rows, workers, area
    job.fh, job.fw = factors
    area = job.fh * job.fw
    ways = channels * job.fh * job.fw
    job.coarse = <char *>(&target[0, 0] if undo else &source[0, 0])
    job.fine = <char *>(&source[0, 0] if undo else &target[0, 0])
    rows, job.width = (y if undo else x).shape[0], (y if undo else x).shape[1] // (ways * itemsize)
    job.movers, job.kernels = &fc_isa_table(current_isa).bytes, NULL
    if itemsize == 4 or itemsize == 8:
        job.kernels = &fc_isa_table(current_isa).f32 if itemsize == 4 else &fc_isa_table(current_isa).f64
    job.itemsize, job.channels, job.undo = itemsize, channels, undo
    job.piece = min(job.width, max(16, PIECE_BYTES // (ways * itemsize)))
    job.pieces = ceil_div(job.width, job.piece)
    job.pitch = (ceil_div(job.piece * itemsize, 64) | 1) * 64
    job.scratch_bytes = ways * job.pitch
    job.pixel_table = job.fine_table = job.area_table = NULL
    if itemsize in (1, 2, 4, 8, 16) and 2 <= area <= FC_MAX_WAYS and channels * itemsize >= VECTOR_BYTES:
        fc_shuffle_table(pixel_table, job.movers.unit, area, itemsize, not undo)
        job.area_table = pixel_table
    elif itemsize in (1, 2, 4, 8, 16):
        if 2 <= ways <= FC_MAX_WAYS:
            fc_shuffle_table(pixel_table, job.movers.unit, ways, itemsize, not undo)
            job.pixel_table = pixel_table
        if 2 <= channels * job.fw <= FC_MAX_WAYS:
            fc_shuffle_table(fine_table, job.movers.unit, channels * job.fw, itemsize, undo)
            job.fine_table = fine_table
    workers = 1 if source.size < SERIAL_BYTES else max(1, min(threads, FC_MAX_THREADS, rows * job.pieces))
    job.scratch = <char *>aligned(job.scratch_bytes * workers)
    with nogil:
        fc_parallel(shuffle_last_piece, &job, rows * job.pieces, workers)
    free(job.scratch)


cdef void shuffle_last_piece(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    cdef const LastShuffle *job = <const LastShuffle *>pointer
    cdef Py_ssize_t row = number // job.pieces, w = number % job.pieces * job.piece
    cdef Py_ssize_t count = min(job.piece, job.width - w), area = job.fh * job.fw, i, j, c, n = job.fw * job.channels
    cdef char *planes = job.scratch + worker * job.scratch_bytes
    cdef char *coarse = job.coarse + (row * job.width + w) * area * job.channels * job.itemsize
    cdef char *fine
    cdef void_pointer[16] ways
    if job.area_table is not NULL:
        shuffle_vectors(job, row, w, count)
        return
    if not job.undo:
        exchange(job, coarse, area * job.channels, planes, 1, area * job.channels, count, 0, job.pixel_table)
    for i in range(job.fh):
        fine = job.fine + ((row * job.fh + i) * job.width + w) * n * job.itemsize
        if job.fine_table is not NULL:
            for j in range(job.fw):
                for c in range(job.channels):
                    ways[j * job.channels + c] = planes + (c * area + i * job.fw + j) * job.pitch
            if job.undo:
                job.movers.deinterleave(ways, fine, n, n, count, job.itemsize, job.fine_table)
            else:
                job.movers.interleave(fine, <const void *const *>ways, n, n, count, job.itemsize, job.fine_table)
        else:
            for j in range(job.fw):
                exchange(job, fine + j * job.channels * job.itemsize, n, planes + (i * job.fw + j) * job.pitch, area,
                         job.channels, count, not job.undo, NULL)
    if job.undo:
        exchange(job, coarse, area * job.channels, planes, 1, area * job.channels, count, 1, job.pixel_table)


cdef void shuffle_vectors(const LastShuffle *job, Py_ssize_t row, Py_ssize_t w, Py_ssize_t count) noexcept nogil:
    """Coarse pixels one by one, their fine ones as rows of `channels` elements."""
    cdef Py_ssize_t area = job.fh * job.fw, fine_pixel = job.channels * job.itemsize, p, i
    cdef char *coarse
    cdef void_pointer[16] ways
    for p in range(w, w + count):
        coarse = job.coarse + (row * job.width + p) * area * fine_pixel
        for i in range(area):
            ways[i] = job.fine + (((row * job.fh + i // job.fw) * job.width + p) * job.fw + i % job.fw) * fine_pixel
        if job.undo:
            job.movers.interleave(coarse, <const void *const *>ways, area, area, job.channels, job.itemsize,
                                  job.area_table)
        else:
            job.movers.deinterleave(ways, coarse, area, area, job.channels, job.itemsize, job.area_table)


cdef void exchange(const LastShuffle *job, char *pixels, Py_ssize_t step, char *planes, Py_ssize_t apart,
                   Py_ssize_t ways, Py_ssize_t count, bint to_pixels, const unsigned char *table) noexcept nogil:
    """planes[k*apart][q] = pixels[q*step + k] for k < ways, q < count; or back."""
    cdef void_pointer[16] at
    cdef Py_ssize_t first = 0, n, k, pitch = apart * job.pitch
    if table is NULL and job.kernels is not NULL:
        if to_pixels:
            job.kernels.transpose(pixels, step, planes, pitch // job.itemsize, ways, count)
        else:
            job.kernels.transpose(planes, pitch // job.itemsize, pixels, step, count, ways)
        return
    while first < ways:
        n = min(<Py_ssize_t>FC_MAX_WAYS, ways - first)
        for k in range(n):
            at[k] = planes + (first + k) * pitch
        if to_pixels:
            job.movers.interleave(pixels + first * job.itemsize, <const void *const *>at, n, step, count, job.itemsize,
                                  table)
        else:
            job.movers.deinterleave(at, pixels + first * job.itemsize, n, step, count, job.itemsize, table)
        first += n
