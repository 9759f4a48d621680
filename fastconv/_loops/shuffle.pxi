"""Pixel shuffle and unshuffle: rows of bytes interleaved, or, with channels last, permuted within pixels.

Large ones are built in L1, some cache lines at a time, and copied past the caches: stream.pxi.
"""

cdef enum:
    PIECE_BYTES = 64 << 10      # of fine: what an item moves, and the longest piece of a row
    ROWS_BYTES = 16 << 10       # of fine, in which the rows lie that one call moves a part of
    AVX2 = 1                    # in the list of instruction sets
    STRIP_OF_TILES = 256        # units of coarse pixels that go through one tile after the other, in L1
    STRIPS_AHEAD = 2            # that are fetched while one is permuted: a single stream of lines waits for each page
    AXES = 7                    # of the walk over pieces
    SERIAL_BYTES = 256 << 10    # below which waking a thread costs more than it brings


cdef struct Shuffle:
    const fc_byte_kernels *movers
    char *coarse
    char *fine
    fc_interleaving how
    Py_ssize_t width, undo                          # positions of a row
    bint streams                                    # past the caches
    Py_ssize_t piece                                # positions of a piece of a row
    Py_ssize_t axis, length, rows                   # of rows that have it moved together; how many there are, and go
    Py_ssize_t pieces, pieces_per_item
    Py_ssize_t next_way                             # bytes of coarse between the rows that make one of fine
    Py_ssize_t[7] count                             # axes in the order of fine: piece of the row, residue h, h, residue
    Py_ssize_t[7] step                              # d, d, channel, image; how many, and their bytes in coarse
    Py_ssize_t[7] fine_step                         # and in fine


def shuffle(x, y, Py_ssize_t itemsize, factors, int order, bint undo, Py_ssize_t threads):
    """Moves bytes between coarse (L, C*fd*fh*fw, D, H, W*itemsize) and fine (L, C, D*fd, H*fh, W*fw*itemsize)."""
    cdef Shuffle job
    cdef const unsigned char[:, :, :, :, ::1] source = x
    cdef unsigned char[:, :, :, :, ::1] target = y
    cdef unsigned char[16384] table
    cdef Py_ssize_t fd, fh, fw, d, h, line, plane, images, channels, next_channel, axis, fine_line, piece_bytes
    if source.size == 0:
        return
    job.movers = &fc_isa_table(current_isa).bytes
    job.coarse = <char *>(&target[0, 0, 0, 0, 0] if undo else &source[0, 0, 0, 0, 0])
    job.fine = <char *>(&source[0, 0, 0, 0, 0] if undo else &target[0, 0, 0, 0, 0])
    images, _, d, h, line = y.shape if undo else x.shape
    channels = source.shape[1] if undo else target.shape[1]
    fd, fh, fw = factors
    plane = d * h * line
    job.undo, job.width = undo, line // itemsize
    job.next_way, next_channel = (channels * plane, plane) if order else (plane, fd * fh * fw * plane)
    job.piece = streamed_positions(fw, itemsize)
    job.streams = job.piece > 0 and goes_past_caches(x.nbytes, y.nbytes)
    if not job.streams:
        job.piece = max(1, PIECE_BYTES // (fw * itemsize))
    job.piece = min(job.width, job.piece)
    fine_line, piece_bytes = fw * line, job.piece * fw * itemsize
    job.count[:] = [ceil_div(job.width, job.piece), fh, h, fd, d, channels, images]
    job.step[:] = [job.piece * itemsize, fw * job.next_way, line, fh * fw * job.next_way, h * line, next_channel,
                   channels * fd * fh * fw * plane]
    job.fine_step[:] = [piece_bytes, fine_line, fh * fine_line, fh * fw * h * line, fd * fh * fw * h * line,
                        fd * fh * fw * plane, channels * fd * fh * fw * plane]
    job.axis = 1 if job.streams else 2              # past the caches in the order of fine
    job.length = job.count[job.axis]
    if not job.streams:
        job.rows = max(1, min(h, ROWS_BYTES // (fh * piece_bytes)))
    else:
        job.rows = max(1, min(job.length, STREAM_BYTES // piece_bytes)) if job.piece == job.width and not undo else 1
    job.count[job.axis] = ceil_div(job.length, job.rows)
    job.pieces = 1
    for axis in range(AXES):
        job.pieces *= job.count[axis]
    job.pieces_per_item = max(1, PIECE_BYTES // (piece_bytes * job.rows))
    job.how.step, job.how.item_bytes, job.how.table = fw, itemsize, NULL
    job.how.next_fine = job.fine_step[job.axis]
    for axis in range(FC_MAX_WAYS):
        job.how.next_coarse[axis] = job.step[job.axis]
    job.step[job.axis] *= job.rows
    job.fine_step[job.axis] *= job.rows
    if 2 <= fw <= FC_MAX_WAYS and itemsize in (1, 2, 4, 8, 16):
        fc_shuffle_table(table, job.movers.unit, fw, itemsize, undo)
        job.how.table = table
    if source.size < SERIAL_BYTES:
        threads = 1
    with nogil:
        fc_parallel(shuffle_item, &job, ceil_div(job.pieces, job.pieces_per_item), threads)


cdef void shuffle_item(void *pointer, Py_ssize_t item, Py_ssize_t worker) noexcept nogil:
    """Pieces in the order of fine, found by counting: the divisions of an index take as long as moving a short row."""
    cdef const Shuffle *job = <const Shuffle *>pointer
    cdef Py_ssize_t first = item * job.pieces_per_item, number = first, axis, ready = 0
    cdef Py_ssize_t[7] at
    cdef char *coarse = job.coarse
    cdef char *fine = job.fine
    cdef char *to                                   # where what is built goes
    cdef char[2112] room                            # STREAM_BYTES and a cache line
    cdef char *built = line_start(room)
    cdef fc_interleaving how = job.how
    for axis in range(AXES):
        at[axis], number = number % job.count[axis], number // job.count[axis]
        coarse += at[axis] * job.step[axis]
        fine += at[axis] * job.fine_step[axis]
    to = fine
    for number in range(min(job.pieces_per_item, job.pieces - first)):
        how.count = min(job.piece, job.width - at[0] * job.piece)
        how.rows = min(job.rows, job.length - at[job.axis] * job.rows)
        if not job.streams:
            shuffle_rows(job, &how, coarse, job.next_way, fine)
        elif job.undo:
            unshuffle_past(job, &how, coarse, fine, built)
        else:
            if ready + how.rows * how.count * how.step * how.item_bytes > STREAM_BYTES:
                job.movers.stream(to, built, ready)
                to, ready = to + ready, 0
            shuffle_rows(job, &how, coarse, job.next_way, built + ready)
            ready += how.rows * how.count * how.step * how.item_bytes
        for axis in range(AXES):
            at[axis] += 1
            coarse += job.step[axis]
            fine += job.fine_step[axis]
            if at[axis] < job.count[axis]:
                break
            coarse -= at[axis] * job.step[axis]
            fine -= at[axis] * job.fine_step[axis]
            at[axis] = 0
    if ready:
        job.movers.stream(to, built, ready)


cdef inline void shuffle_rows(const Shuffle *job, fc_interleaving *how, char *coarse, Py_ssize_t next_way,
                              char *fine) noexcept nogil:
    """A piece of some rows of fine, each of which is `step` pieces of coarse, FC_MAX_WAYS at a time."""
    cdef void_pointer[16] ways
    cdef Py_ssize_t j0 = 0, j, row
    if how.step == 1:
        for row in range(how.rows):
            memcpy(coarse if job.undo else fine, fine if job.undo else coarse, how.count * how.item_bytes)
            coarse += how.next_coarse[0]
            fine += how.next_fine
        return
    while j0 < how.step:
        how.ways = min(<Py_ssize_t>FC_MAX_WAYS, how.step - j0)
        for j in range(how.ways):
            ways[j] = coarse
            coarse += next_way
        if job.undo:
            job.movers.deinterleave(ways, fine + j0 * how.item_bytes, how)
        else:
            job.movers.interleave(fine + j0 * how.item_bytes, <const void *const *>ways, how)
        j0 += how.ways


cdef void unshuffle_past(const Shuffle *job, fc_interleaving *how, char *coarse, char *fine,
                         char *built) noexcept nogil:
    """The pieces of coarse of a piece of fine, built one behind the other and copied past the caches."""
    cdef Py_ssize_t size = how.count * how.item_bytes, j
    shuffle_rows(job, how, built, size, fine)
    for j in range(how.step):
        job.movers.stream(coarse + j * job.next_way, built + j * size, size)


# ---------------------------------------------------------------------------------------------- channels last

cdef struct LastShuffle:        # rows of coarse [w][k], k = (c*fh + i)*fw + j or another order, and of fine [w][j][c]
    const fc_byte_kernels *movers
    const fc_real_kernels *turns                    # whose squares turn the elements of pixels; NULL: permuted
    fc_permutation plan
    char *coarse
    char *fine
    Py_ssize_t fh, fw, width, undo, channels
    Py_ssize_t pixel, block                         # bytes of a fine pixel, and of a block of its channels
    Py_ssize_t columns                              # runs of a fine row: 1, or its pixels apart
    Py_ssize_t piece, pieces                        # coarse pixels of an item
    Py_ssize_t strip                                # and of a call of the kernel
    bint streams                                    # past the caches


def shuffle_last(x, y, Py_ssize_t itemsize, Py_ssize_t channels, factors, permutation, bint undo, Py_ssize_t threads):
    """Moves bytes between coarse (rows, W*fh*fw*channels*itemsize) and fine (rows*fh, W*fw*channels*itemsize).

    permutation : how those of a block of channels change places, by fastconv/_permutation.py. None: a coarse pixel is
        turned, a matrix of channels by fh*fw places, 64 at most, of 4 or 8 bytes.
    """
    cdef LastShuffle job
    cdef const unsigned char[:, ::1] source = x
    cdef unsigned char[:, ::1] target = y
    cdef const Py_ssize_t[::1] places
    cdef const unsigned char[::1] masks
    cdef fc_permutation *plan = &job.plan
    cdef Py_ssize_t rows, area, runs, pixel = channels * itemsize
    job.fh, job.fw = factors
    area = job.fh * job.fw
    job.movers, job.pixel, job.undo = &fc_isa_table(current_isa).bytes, pixel, undo
    job.turns, job.channels = NULL, channels
    plan.pixels, job.block, runs, plan.tiles, plan.unit = 1, pixel, job.fh, 1, job.movers.unit
    if permutation is None:
        job.turns = &fc_isa_table(current_isa).f32 if itemsize == 4 else &fc_isa_table(current_isa).f64
    else:
        plan.unit, plan.pixels, job.block, runs, plan.tiles, places, masks = permutation
        plan.places, plan.masks = &places[0], &masks[0]
    if plan.unit not in (job.movers.unit, job.movers.words):
        job.movers = &fc_isa_table(AVX2).bytes
    job.columns = runs // job.fh
    job.coarse = <char *>(&target[0, 0] if undo else &source[0, 0])
    job.fine = <char *>(&source[0, 0] if undo else &target[0, 0])
    rows, job.width = (y if undo else x).shape[0], (y if undo else x).shape[1] // (area * pixel)
    plan.to_runs, plan.from_runs = runs, 1
    plan.from_run, plan.to_run = plan.pixels * area * job.block, plan.pixels * area // runs * job.block
    plan.from_step, plan.to_step = plan.pixels * area * pixel, plan.pixels * job.fw * pixel
    plan.blocks, plan.from_block, plan.to_block = pixel // job.block, area * job.block, job.block
    if undo:
        plan.to_runs, plan.from_runs = plan.from_runs, plan.to_runs
        plan.to_run, plan.from_run = plan.from_run, plan.to_run
        plan.to_step, plan.from_step = plan.from_step, plan.to_step
        plan.to_block, plan.from_block = plan.from_block, plan.to_block
    job.strip = PIECE_BYTES if plan.tiles == 1 else STRIP_OF_TILES * job.movers.unit
    job.streams = goes_past_caches(x.nbytes, y.nbytes) and area * pixel * plan.pixels <= BUILT_LAST
    if job.streams:
        job.strip = BUILT_LAST
    job.strip = max(1, job.strip // (area * pixel * plan.pixels)) * plan.pixels
    if job.streams:
        job.strip = whole_lines(job.strip, plan.pixels, (area if undo else job.fw) * pixel)
    job.piece = ceil_div(max(job.strip, PIECE_BYTES // (area * pixel)), job.strip) * job.strip
    job.pieces = ceil_div(job.width, job.piece)
    if source.size < SERIAL_BYTES:
        threads = 1
    with nogil:
        fc_parallel(shuffle_last_piece, &job, rows * job.pieces, threads)


cdef Py_ssize_t whole_lines(Py_ssize_t most, Py_ssize_t step, Py_ssize_t size) noexcept:
    """The largest multiple of `step` up to `most` that fills whole cache lines with elements of `size`; or `most`."""
    cdef Py_ssize_t count = most
    while count and count * size % LINE:
        count -= step
    return count or most


cdef void shuffle_last_piece(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """Pixels of a row, some at a time. The last block of channels may begin before the one before it ends."""
    cdef const LastShuffle *job = <const LastShuffle *>pointer
    cdef Py_ssize_t row = number // job.pieces, w = number % job.pieces * job.piece, count, i, run
    cdef Py_ssize_t end = min(job.width, w + job.piece), rest = job.pixel % job.block, area = job.fh * job.fw
    cdef Py_ssize_t fine_row = job.width * job.fw * job.pixel
    cdef fc_permutation last = job.plan
    cdef char *coarse
    cdef char *fine
    cdef char[4160] room                            # BUILT_LAST and a cache line
    cdef char *built = line_start(room)
    last.blocks = 1
    while w < end:
        count = min(job.strip, end - w)
        coarse = job.coarse + (row * job.width + w) * area * job.pixel
        fine = job.fine + (row * job.fh * job.width + w) * job.fw * job.pixel
        run = count * job.fw * job.pixel
        if not job.streams:
            permute_blocks(job, &last, coarse, fine, fine_row, count, rest)
        elif job.undo:
            permute_blocks(job, &last, built, fine, fine_row, count, rest)
            job.movers.stream(coarse, built, job.fh * run)
        else:
            prefetch_bytes(coarse + STRIPS_AHEAD * job.fh * run, job.fh * run)
            permute_blocks(job, &last, coarse, built, run, count, rest)
            for i in range(job.fh):
                job.movers.stream(fine + i * fine_row, built + i * run, run)
        w += count


cdef void permute_blocks(const LastShuffle *job, const fc_permutation *last, char *coarse, char *fine,
                         Py_ssize_t fine_row, Py_ssize_t count, Py_ssize_t rest) noexcept nogil:
    if job.turns is not NULL:
        turn_last(job, coarse, fine, fine_row, count)
        return
    permute_pixels(job, &job.plan, coarse, fine, fine_row, count, 0)
    if rest:
        permute_pixels(job, last, coarse, fine, fine_row, count, job.pixel - job.block)


cdef void permute_pixels(const LastShuffle *job, const fc_permutation *plan, char *coarse, char *fine,
                         Py_ssize_t fine_row, Py_ssize_t count, Py_ssize_t at) noexcept nogil:
    """... of the channels from byte `at` of a fine pixel on."""
    cdef Py_ssize_t i, j
    cdef void_pointer[64] runs
    cdef void_pointer whole = coarse + at * job.fh * job.fw
    for i in range(job.fh):
        for j in range(job.columns):
            runs[i * job.columns + j] = fine + i * fine_row + j * job.pixel + at
    if job.undo:
        job.movers.permute(&whole, <const void *const *>runs, count, plan)
    else:
        job.movers.permute(runs, <const void *const *>&whole, count, plan)


cdef void turn_last(const LastShuffle *job, char *coarse, char *fine, Py_ssize_t fine_row,
                    Py_ssize_t count) noexcept nogil:
    """A coarse pixel is a matrix whose columns are fine pixels."""
    cdef Py_ssize_t area = job.fh * job.fw, step = job.fw * job.channels, i, j
    cdef void_pointer[64] places
    for i in range(job.fh):
        for j in range(job.fw):
            places[i * job.fw + j] = fine + i * fine_row + j * job.pixel
    if job.undo:
        job.turns.turn_together(coarse, <const void *const *>places, step, area, job.channels, count)
    else:
        job.turns.turn_apart(places, step, coarse, job.channels, area, count)
