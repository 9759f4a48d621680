"""Images whose channels lie side by side (NHWC): pixels on their way into panels, outputs on their way to y.

The sums are the same, entry for entry: only packing and storing differ, by transpositions in registers. Winograd's
tiles have channels in their lanes anyway. What reads or writes planes alone (strips, transforms along h), or would
read or write few bytes of a pixel at once, has its image turned by `turn` before, or its output after, some rows at a
time (fastconv/_engines.py).
"""

cdef enum:                      # what of a call lies channels last; of an engine, what it can take that way
    READS_LAST = 1
    WRITES_LAST = 2
    TURN_PIXELS = 256           # of a piece of `turn`: some 16 KiB a side with 16 channels
    TURN_CHANNELS = 64
    STREAMED_PIXEL = 512        # bytes at most: 16 of them are built at a time, 8 KiB
    BUILT_ROW = 16 << 10        # at most, of 16 positions with all phases
    TURNED_BYTES = 64           # read or stored of a pixel at once, below which it is turned: in squares ...
    MASKED_BYTES = 32           # ... or under a mask


cdef bint takes_pixels(Py_ssize_t moved, Py_ssize_t pixel, Py_ssize_t least) noexcept nogil:
    """Are the bytes of a pixel that are read or stored at once all it has, or not less than a least number?

    A few take 20 to 50 cycles a number, whose line has to come first; planes turned at last take half of one and more.
    """
    return moved >= min(pixel, least)


cdef bint builds_pixels(Py_ssize_t pixel, Py_ssize_t step) noexcept nogil:
    """Are pixels neighbours, or whole lines, or are 16 positions with all phases built side by side?

    Pixels of 84 bytes, 32 apart, took twice as long as planes that are turned at last.
    """
    return step == 1 or pixel % LINE == 0 or step <= BUILT_ROW // (16 * max(1, pixel))


cdef Py_ssize_t pack_panel_last(const Job *job, const fc_image *image, const Packed *packed, const Block *block,
                                Py_ssize_t pixel, Py_ssize_t count, char *panel, fc_run *runs) noexcept nogil:
    """What the kernel pack_panel does, from an image whose channels lie side by side."""
    cdef Py_ssize_t channels = block.c1 - block.c0, lanes = job.kernels.lanes, n_runs = 0, t, k, live
    cdef Py_ssize_t row_bytes = job.panel_pitch * job.itemsize
    cdef Py_ssize_t written = min(job.panel_pitch, ceil_div(count, lanes) * lanes + lanes) * job.itemsize
    for t in range(block.t0, block.t1):
        for k in range(channels):           # behind the last pixel there are lanes that are multiplied too
            memset(panel + k * row_bytes, 0, written)
        live = turn_tap(job, image, packed.group.offset + 3 * t, channels, pixel, count, panel)
        if live == 0 and job.skip_dead:
            continue
        if n_runs and runs[n_runs - 1].first + runs[n_runs - 1].count == (t - block.t0) * channels:
            runs[n_runs - 1].count += channels
        else:
            runs[n_runs] = fc_run((t - block.t0) * channels, channels)
            n_runs += 1
        panel += channels * row_bytes
    return n_runs


cdef Py_ssize_t turn_tap(const Job *job, const fc_image *image, const Py_ssize_t *offset, Py_ssize_t channels,
                         Py_ssize_t pixel, Py_ssize_t count, char *panel) noexcept nogil:
    """The pixels of a tap that are not padding, piece by piece of the output rows; returns how many there are."""
    cdef Py_ssize_t width = image.grid[2], end = pixel + count, step = image.step[2], live = 0
    cdef Py_ssize_t w, n, lo, hi, at_d, at_h, at_w
    while pixel < end:
        w, n = pixel % width, min(width - pixel % width, end - pixel)
        at_d = pixel // width // image.grid[1] * image.step[0] + image.origin[0] + offset[0]
        at_h = pixel // width % image.grid[1] * image.step[1] + image.origin[1] + offset[1]
        at_w = w * step + image.origin[2] + offset[2]
        lo = min(n, ceil_div(max(0, -at_w), step))
        hi = max(lo, min(n, ceil_div(max(0, image.size[2] - at_w), step)))
        if lo < hi and 0 <= at_d < image.size[0] and 0 <= at_h < image.size[1]:
            turn_pixels(job, panel + lo * job.itemsize, job.panel_pitch,
                        <const char *>image.pixels + (at_d * image.pitch[0] + at_h * image.pitch[1]
                                                      + (at_w + lo * step) * job.x_column) * job.itemsize,
                        step, hi - lo, channels)
            live += hi - lo
        panel += n * job.itemsize
        pixel += n
    return live


cdef void pack_strips_last(const Job *job, const Item *item, const Strip *strip) noexcept nogil:
    """What pack_strips does, from an image whose channels lie side by side: its padding is zeros."""
    cdef const fc_image *image = &job.image
    cdef Py_ssize_t size = job.itemsize, step = image.step[2], plane, r, f, at_d, at_h, at_w, lo, hi
    cdef Py_ssize_t channel = job.reach.planes * strip.rows * strip.row, channels = strip.c1 - strip.c0
    cdef Py_ssize_t count = strip.w1 - strip.w0 + job.reach.span_w // step
    cdef const char *pixels = channel_pixels(job, item, strip.c0)
    memset(item.pixels, 0, channels * channel * size)
    for plane in range(job.reach.planes):
        at_d = strip.d * image.step[0] + image.origin[0] + job.reach.plane_offset[plane]
        for r in range(strip.rows if 0 <= at_d < image.size[0] else 0):
            at_h = strip.h0 * image.step[1] + image.origin[1] + job.reach.low_h + r
            for f in range(step if 0 <= at_h < image.size[1] else 0):
                at_w = strip.w0 * step + image.origin[2] + job.reach.low_w + f
                lo = min(count, ceil_div(max(0, -at_w), step))
                hi = max(lo, min(count, ceil_div(max(0, image.size[2] - at_w), step)))
                turn_pixels(
                    job, item.pixels + ((plane * strip.rows + r) * strip.row + f * strip.pitch + lo) * size, channel,
                    pixels + (at_d * image.pitch[0] + at_h * image.pitch[1] + (at_w + lo * step) * job.x_column) * size,
                    step, hi - lo, channels)


cdef void store_pixels_last(const Job *job, const Item *item, const Line *line, Py_ssize_t row, Py_ssize_t w,
                            Py_ssize_t count, Py_ssize_t column) noexcept nogil:
    """What store_line does, where the channels of y lie side by side; `row` is that of the output.

    Past the caches, pixels of all phases that are turned are built in L1 and copied; of an item that has but a part of
    their channels, pixels whose part is whole lines are copied one by one.
    """
    cdef char[16448] room                           # BUILT_ROW and a cache line
    cdef char *built = line_start(room)
    cdef Py_ssize_t step = job.out_step[2], position = step * job.y_column * job.itemsize, most, n
    cdef Py_ssize_t first = (row * job.out[2] + w * step) * job.y_column + item.group * job.outputs + item.m0
    cdef char *to = job.y + (item.image * job.y_image + first) * job.itemsize
    cdef bint streams = job.streams and not job.end.given       # what is finished is read again
    if (not streams or job.shuffle_table is not NULL or line.count < step or item.m1 - item.m0 < job.y_column
            or 16 * position > BUILT_ROW):
        store_last_ways(job, item, line, to, w, count, column, streams)
        return
    most = built_pixels(position)
    while count > 0:
        n = min(most, count)
        store_last_ways(job, item, line, built, w, n, column, False)
        job.movers.stream(to, built, min(n * step, job.out[2] - w * step) * job.y_column * job.itemsize)
        to, w, column, count = to + n * position, w + n, column + n, count - n


cdef void store_last_ways(const Job *job, const Item *item, const Line *line, char *to, Py_ssize_t w,
                          Py_ssize_t count, Py_ssize_t column, bint streams) noexcept nogil:
    """Positions from w on to `to`: all channels of all phases at once, or phase by phase, turned in squares."""
    cdef const_pointer[16] ways
    cdef Py_ssize_t step = job.out_step[2], size = job.itemsize, whole = 0, i, m, n
    cdef const Way *way
    cdef fc_interleaving how
    if job.shuffle_table is not NULL:
        whole = min(count, job.out[2] // step - w)
        how.ways, how.step, how.count, how.item_bytes = job.ways, job.ways, whole, size
        how.table, how.rows = job.shuffle_table, 1
        for i in range(step):
            for m in range(job.outputs):
                ways[i * job.outputs + m] = built(job, item, job.way + line.first + i, m, column)
        job.movers.interleave(to, ways, &how)
    for i in range(line.first, line.first + line.count):
        way = job.way + i
        n = min(count, ceil_div(max(0, job.out[2] - way.residue), step) - w) - whole
        if n > 0:
            turn_row(job, to + (whole * step + way.residue) * job.y_column * size, step * job.y_column,
                     <const char *>built(job, item, way, item.m0, column + whole),
                     job.packed[way.group].group.phases * item.c_row, item.m1 - item.m0, n, streams)


cdef void turn_row(const Job *job, char *to, Py_ssize_t to_row, const char *source, Py_ssize_t from_row,
                   Py_ssize_t channels, Py_ssize_t pixels, bint streams) noexcept nogil:
    """Pixels of y, `to_row` apart, from planes that were built aside."""
    cdef Py_ssize_t pixel = channels * job.itemsize
    if streams and pixel <= STREAMED_PIXEL and pixel % LINE == 0:
        turn_past_caches(job.kernels, job.movers, job.itemsize, to, to_row, source, from_row, channels, pixels)
    else:
        job.kernels.transpose(to, to_row, source, from_row, channels, pixels)


cdef void turn_pixels(const Job *job, char *to, Py_ssize_t pitch, const char *pixels, Py_ssize_t step,
                      Py_ssize_t count, Py_ssize_t channels) noexcept nogil:
    """Every step-th of neighbouring pixels becomes a column of `to`: few channels as ways of a row, more in squares."""
    cdef void_pointer[16] ways
    cdef fc_interleaving how
    cdef Py_ssize_t c
    if job.turn_table is NULL or step > 1 or job.x_column != channels:
        job.kernels.transpose(to, pitch, pixels, step * job.x_column, count, channels)
        return
    for c in range(channels):
        ways[c] = to + c * pitch * job.itemsize
    how.ways, how.step, how.count, how.item_bytes = channels, channels, count, job.itemsize
    how.table, how.rows = job.turn_table, 1
    job.movers.deinterleave(ways, pixels, &how)


cdef Py_ssize_t built_pixels(Py_ssize_t pixel) noexcept nogil:
    """How many are built before they are copied past the caches: whole lines of them, and of their channels."""
    return max(1, BUILT_LAST // (pixel * 16)) * 16


cdef void turn_past_caches(const fc_real_kernels *kernels, const fc_byte_kernels *movers, Py_ssize_t size, char *to,
                           Py_ssize_t to_row, const char *source, Py_ssize_t from_row, Py_ssize_t channels,
                           Py_ssize_t pixels) noexcept nogil:
    """What the kernel `transpose` does from planes to pixels of at most STREAMED_PIXEL bytes, built in L1."""
    cdef char[8256] room                            # 16 * STREAMED_PIXEL and a cache line
    cdef char *built = line_start(room)
    cdef Py_ssize_t pixel = channels * size, most = built_pixels(pixel), count, i
    while pixels > 0:
        count = min(most, pixels)
        kernels.transpose(built, channels, source, from_row, channels, count)
        if to_row == channels:                      # side by side
            movers.stream(to, built, count * pixel)
        else:
            for i in range(count):
                movers.stream(to + i * to_row * size, built + i * pixel, pixel)
        to, source, pixels = to + count * to_row * size, source + count * size, pixels - count


cdef struct Turn:               # [image][row][column] to [image][column][row]
    const fc_real_kernels *kernels
    const char *source
    char *target
    Py_ssize_t rows, columns, from_image, from_row, to_image, to_row, itemsize
    Py_ssize_t row_pieces, column_pieces, row_piece, column_piece
    const fc_byte_kernels *movers
    bint streamed               # past the caches


def turn(x, y, bint to_last, Py_ssize_t threads, bint streams=False):
    """y, (N, C, D, H, W), gets the entries of x: from planes to channels last, or back. Planes are contiguous.

    Pixels that are not too long may go past the caches, if y `streams`.
    """
    cdef Turn job
    cdef Lent source = lend(x, PyBUF_STRIDES), target = lend(y, PyBUF_STRIDES | PyBUF_WRITABLE)
    cdef const Py_buffer *from_view = &source.view
    cdef const Py_buffer *to_view = &target.view
    cdef Py_ssize_t n, c, pixels, size = x.itemsize
    n, c, pixels = x.shape[0], x.shape[1], x.shape[2] * x.shape[3] * x.shape[4]
    job.kernels = &fc_isa_table(current_isa).f32 if size == 4 else &fc_isa_table(current_isa).f64
    job.source, job.target, job.itemsize = <const char *>from_view.buf, <char *>to_view.buf, size
    job.from_image, job.to_image = from_view.strides[0] // size, to_view.strides[0] // size
    job.row_piece, job.column_piece = (TURN_CHANNELS, TURN_PIXELS) if to_last else (TURN_PIXELS, TURN_CHANNELS)
    if to_last:
        job.rows, job.columns, job.from_row, job.to_row = c, pixels, from_view.strides[1] // size, c
    else:
        job.rows, job.columns, job.from_row, job.to_row = pixels, c, c, to_view.strides[1] // size
    job.movers, job.streamed = &fc_isa_table(current_isa).bytes, streams and to_last and c * size <= STREAMED_PIXEL
    if job.streamed:
        job.row_piece, job.column_piece = c, max(1, TURN_PIXELS // built_pixels(c * size)) * built_pixels(c * size)
    job.row_pieces, job.column_pieces = ceil_div(job.rows, job.row_piece), ceil_div(job.columns, job.column_piece)
    with nogil:
        fc_parallel(turn_piece, &job, n * job.row_pieces * job.column_pieces, threads)


cdef void turn_piece(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    cdef const Turn *job = <const Turn *>pointer
    cdef Py_ssize_t column = number % job.column_pieces * job.column_piece, row, image, rows, columns
    cdef char *to
    cdef const char *source
    number //= job.column_pieces
    row, image = number % job.row_pieces * job.row_piece, number // job.row_pieces
    rows, columns = min(job.row_piece, job.rows - row), min(job.column_piece, job.columns - column)
    to = job.target + (image * job.to_image + column * job.to_row + row) * job.itemsize
    source = job.source + (image * job.from_image + row * job.from_row + column) * job.itemsize
    if job.streamed:
        turn_past_caches(job.kernels, job.movers, job.itemsize, to, job.to_row, source, job.from_row, rows, columns)
    else:
        job.kernels.transpose(to, job.to_row, source, job.from_row, rows, columns)
