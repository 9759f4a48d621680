"""From outputs built aside, phase by phase, to their interleaved places in y."""

cdef enum:
    ROOM_BYTES = 4 << 10        # of rows that are interleaved as one, before the end of the output cuts them


cdef void store_pixels(const Job *job, const Item *item, const Span *span, Py_ssize_t first,
                       Py_ssize_t end) noexcept nogil:
    """Cuts flat positions of a span at row ends, or into whole rows."""
    cdef Py_ssize_t p = first, width = span.w1 - span.w0, w, h, d, count, i
    cdef bint together = width == job.grid[2] and stores_planes(job)
    while p < end:
        w, h, d = p % width, p // width % job.grid[1], p // width // job.grid[1]
        count = min(width - w, end - p)
        if together and count == width:
            count = min(job.grid[1] - h, (end - p) // width)
            for i in range(job.n_lines):
                store_planes(job, item, job.line + i, d, h, count, width, p - first)
            if job.end.given:
                finish_rows(job, item, d, h, count)
            count *= width
        else:
            store_segment(job, item, d, h, span.w0 + w, count, p - first)
        p += count


cdef bint stores_planes(const Job *job) noexcept nogil:
    """Can whole rows be stored channel by channel? Row by row, each would be on a page of its own."""
    return job.shuffle_table is not NULL and not job.last & WRITES_LAST and not job.streams


cdef void store_planes(const Job *job, const Item *item, const Line *line, Py_ssize_t d, Py_ssize_t h, Py_ssize_t rows,
                       Py_ssize_t width, Py_ssize_t column) noexcept nogil:
    """Whole rows of the grid, of the phases that share output rows."""
    cdef const_pointer[16] ways
    cdef Py_ssize_t wide = width * job.out_step[2] * job.itemsize, m, i
    cdef Py_ssize_t row_d = d * job.out_step[0] + line.d, row_h = h * job.out_step[1] + line.h
    cdef bint cut = job.out[2] * job.itemsize < wide <= ROOM_BYTES
    cdef char *to
    rows = min(rows, ceil_div(max(0, job.out[1] - row_h), job.out_step[1]))
    if rows <= 0 or row_d >= job.out[0]:
        return
    for m in range(item.m0, item.m1):
        to = output(job, item, m) + (row_d * job.out[1] + row_h) * job.out[2] * job.itemsize
        for i in range(job.out_step[2]):
            ways[i] = built(job, item, job.way + line.first + i, m, column)
        if cut:
            store_cut_rows(job, ways, to, rows, width)
        else:
            store_whole_rows(job, ways, to, rows, width)


cdef void store_whole_rows(const Job *job, const_pointer *ways, char *to, Py_ssize_t rows,
                           Py_ssize_t width) noexcept nogil:
    """... of one channel; their last position may be cut by the end of the output, if they are long."""
    cdef Py_ssize_t step = job.out_step[2], size = job.itemsize, whole = min(width, job.out[2] // step), i
    cdef fc_interleaving how
    how.ways, how.step, how.count, how.item_bytes, how.rows = step, step, whole, size, rows
    how.table, how.next_fine = job.shuffle_table, job.out_step[1] * job.out[2] * size
    for i in range(step):
        how.next_coarse[i] = width * size
    job.movers.interleave(to, ways, &how)
    if whole < width:                                   # the first phases of one more position
        for i in range(step):
            ways[i] = <const char *>ways[i] + whole * size
        how.ways, how.count, how.table = job.out[2] - whole * step, 1, NULL
        job.movers.interleave(to + whole * step * size, ways, &how)


cdef void store_cut_rows(const Job *job, const_pointer *ways, char *to, Py_ssize_t rows,
                         Py_ssize_t width) noexcept nogil:
    """... interleaved as one, as they were built, and then put in their places without what is cut."""
    cdef Py_ssize_t step = job.out_step[2], size = job.itemsize, most = ROOM_BYTES // (width * step * size), i
    cdef char[4160] room                                # ROOM_BYTES and a cache line
    cdef char *together = line_start(room)
    cdef const_pointer source = together
    cdef fc_interleaving how, put
    how.ways, how.step, how.item_bytes, how.rows, how.table = step, step, size, 1, job.shuffle_table
    put.ways, put.step, put.count, put.item_bytes, put.table = 1, 1, 1, job.out[2] * size, NULL
    put.next_coarse[0], put.next_fine = width * step * size, job.out_step[1] * job.out[2] * size
    while rows > 0:
        put.rows = min(rows, most)
        how.count = put.rows * width
        job.movers.interleave(together, ways, &how)
        job.movers.interleave(to, &source, &put)
        for i in range(step):
            ways[i] = <const char *>ways[i] + how.count * size
        to += put.rows * put.next_fine
        rows -= put.rows


cdef void finish_rows(const Job *job, const Item *item, Py_ssize_t d, Py_ssize_t h, Py_ssize_t rows) noexcept nogil:
    """The output rows of some whole rows of the grid, which lie together but for planes."""
    cdef Py_ssize_t first = h * job.out_step[1], end = min(job.out[1], (h + rows) * job.out_step[1]), plane
    for plane in range(d * job.out_step[0], min(job.out[0], (d + 1) * job.out_step[0])):
        finish_planes(job, item, item.m0, item.m1 - item.m0, (plane * job.out[1] + first) * job.out[2],
                      (end - first) * job.out[2])


cdef void store_segment(const Job *job, const Item *item, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w, Py_ssize_t count,
                        Py_ssize_t column) noexcept nogil:
    """Grid positions (d, h, w .. w + count) of all phases, from scratch to their places in y."""
    cdef const Line *line
    cdef Py_ssize_t i
    for i in range(job.n_lines):
        line = job.line + i
        if d * job.out_step[0] + line.d < job.out[0] and h * job.out_step[1] + line.h < job.out[1]:
            store_line(job, item, line, d, h, w, count, column)


cdef void store_line(const Job *job, const Item *item, const Line *line, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w,
                     Py_ssize_t count, Py_ssize_t column) noexcept nogil:
    """... of the phases that share an output row, which lies inside the output."""
    cdef Py_ssize_t row_d = d * job.out_step[0] + line.d, row_h = h * job.out_step[1] + line.h
    cdef char *to = output(job, item, item.m0) + ((row_d * job.out[1] + row_h) * job.out[2]) * job.itemsize
    cdef Py_ssize_t row = row_d * job.out[1] + row_h, first = row * job.out[2] + w * job.out_step[2]
    cdef Py_ssize_t outputs = min(count * job.out_step[2], (row + 1) * job.out[2] - first)
    if job.last & WRITES_LAST:
        store_pixels_last(job, item, line, row, w, count, column)
    elif job.shuffle_table is not NULL:
        store_rows(job, item, line, to, w, count, column)
    else:
        store_ways(job, item, line, to, w, count, column)
    if job.end.given and job.last & WRITES_LAST:
        finish_pixels(job, item, item.m0, item.m1 - item.m0, first, outputs)
    elif job.end.given:
        finish_planes(job, item, item.m0, item.m1 - item.m0, first, outputs)


cdef const void *built(const Job *job, const Item *item, const Way *way, Py_ssize_t m,
                       Py_ssize_t column) noexcept nogil:
    """Where the outputs of a phase and channel were built."""
    cdef const Group *group = job.packed[way.group].group
    cdef Py_ssize_t row = group.first_phase * (item.m1 - item.m0) + (m - item.m0) * group.phases + way.phase
    return item.c + (row * item.c_row + column) * job.itemsize


cdef void store_rows(const Job *job, const Item *item, const Line *line, char *to, Py_ssize_t w, Py_ssize_t count,
                     Py_ssize_t column) noexcept nogil:
    """All phases of the row at once, of all channels; the last position may be cut by the end of the output."""
    cdef const_pointer[16] ways
    cdef fc_interleaving how
    cdef Py_ssize_t step = job.out_step[2], i, whole = min(count, job.out[2] // step - w)
    cdef Py_ssize_t rest = job.out[2] - (w + whole) * step
    cdef const Way *way
    to += w * step * job.itemsize
    for i in range(step):
        way = job.way + line.first + i
        ways[i] = built(job, item, way, item.m0, column)
        how.next_coarse[i] = job.packed[way.group].group.phases * item.c_row * job.itemsize
    how.ways, how.step, how.count, how.item_bytes = step, step, whole, job.itemsize
    how.table, how.rows, how.next_fine = job.shuffle_table, item.m1 - item.m0, job.y_channel * job.itemsize
    if job.streams and not job.end.given:           # what is finished is read again
        stream_ways(job, ways, to, &how)
    else:
        job.movers.interleave(to, ways, &how)
    if whole < count:                               # the first phases of one more position
        for i in range(rest):
            ways[i] = <const char *>ways[i] + whole * job.itemsize
        how.ways, how.step, how.count, how.table = rest, rest, 1, NULL
        job.movers.interleave(to + whole * step * job.itemsize, ways, &how)


cdef void stream_ways(const Job *job, const const_pointer *ways, char *to, const fc_interleaving *rows) noexcept nogil:
    """... past the caches, some positions at a time."""
    cdef const_pointer[16] at
    cdef char[2112] room                            # STREAM_BYTES and a cache line
    cdef char *built = line_start(room)
    cdef fc_interleaving how = rows[0]
    cdef Py_ssize_t size = how.step * how.item_bytes, most = streamed_positions(how.step, how.item_bytes), row, p, i
    how.rows = 1
    for row in range(rows.rows):
        p = 0
        while p < rows.count:
            how.count = min(most, rows.count - p)
            for i in range(how.ways):
                at[i] = <const char *>ways[i] + row * how.next_coarse[i] + p * how.item_bytes
            job.movers.interleave(built, at, &how)
            job.movers.stream(to + row * how.next_fine + p * size, built, how.count * size)
            p += how.count


cdef void store_ways(const Job *job, const Item *item, const Line *line, char *to, Py_ssize_t w, Py_ssize_t count,
                     Py_ssize_t column) noexcept nogil:
    """Phase by phase, where some have no taps or there are too many for registers."""
    cdef Py_ssize_t step = job.out_step[2], i
    cdef fc_interleaving how
    cdef const Way *way
    cdef const void *source
    how.ways, how.step, how.item_bytes, how.table = 1, step, job.itemsize, NULL
    how.rows, how.next_fine = item.m1 - item.m0, job.y_channel * job.itemsize
    for i in range(line.first, line.first + line.count):
        way = job.way + i
        if way.residue >= job.out[2]:
            continue
        source = built(job, item, way, item.m0, column)
        how.next_coarse[0] = job.packed[way.group].group.phases * item.c_row * job.itemsize
        how.count = min(count, ceil_div(job.out[2] - way.residue, step) - w)
        job.movers.interleave(to + (w * step + way.residue) * job.itemsize, &source, &how)
