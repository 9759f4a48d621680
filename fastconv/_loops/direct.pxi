"""One item of the direct algorithm: panels of pixels, or strips of padded rows, through the gemm kernel."""

cdef struct Item:
    Py_ssize_t image, group                 # group of channels
    Py_ssize_t u0, u1, m0, m1               # units of output channels, and the channels
    char *pixels                            # scratch: panel or strip
    char *c                                 # outputs: row m0, column 0
    Py_ssize_t c_row                        # stride of its rows


cdef Py_ssize_t strip_rows(const Job *job, Py_ssize_t rows) noexcept nogil:
    return (rows - 1) * job.image.step[1] + job.reach.span_h + 1


cdef Py_ssize_t strip_pitch(const Job *job, Py_ssize_t columns) noexcept nogil:
    """Whole vectors, as many as hold the last column's farthest tap."""
    cdef Py_ssize_t lanes = job.kernels.lanes
    return ceil_div(columns + job.reach.span_w // job.image.step[2], lanes) * lanes


cdef void run_item(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """Images, channel groups and ranges of output channels outermost, blocks of pixels innermost.

    Weights are then still near when the next block wants them; the other way round, `unet_k2s2_1024-512@28` with its
    four ranges of 512 rows took 2 to 5% longer.
    """
    cdef Job *job = <Job *>pointer
    cdef Item item
    cdef Py_ssize_t block = number % job.blocks, share
    number //= job.blocks
    share = number % job.unit_ranges
    number //= job.unit_ranges
    item.group, item.image = number % job.groups, number // job.groups
    item.u0, item.u1 = job.units * share // job.unit_ranges, job.units * (share + 1) // job.unit_ranges
    item.m0, item.m1 = job.unit_channel[item.u0], job.unit_channel[item.u1]
    item.pixels = job.scratch + worker * job.scratch_bytes
    if job.aside:
        item.c, item.c_row = item.pixels + job.aside_offset, aside_row(job.item_pixels, job.itemsize)
    else:
        item.c, item.c_row = output(job, &item, item.m0), job.y_channel
    if job.strips:
        strip_item(job, &item, block)
    else:
        panel_item(job, &item, block)


cdef char *output(const Job *job, const Item *item, Py_ssize_t channel) noexcept nogil:
    channel += item.group * job.outputs
    return job.y + (item.image * job.y_image + channel * job.y_channel) * job.itemsize


cdef const char *channel_pixels(const Job *job, const Item *item, Py_ssize_t channel) noexcept nogil:
    channel += item.group * job.channels
    return job.x + (item.image * job.x_image + channel * job.image.channel) * job.itemsize


cdef void multiply(const Job *job, const Item *item, const Packed *packed, const Block *block, Py_ssize_t column,
                   Py_ssize_t columns, const fc_run *runs, Py_ssize_t n_runs, const char *b,
                   const Py_ssize_t *b_row) noexcept nogil:
    """One block of the sum for one tile of pixels and all rows of weights of the item."""
    cdef Py_ssize_t phases = packed.group.phases, all_rows = job.outputs * phases
    cdef Py_ssize_t k = (block.c1 - block.c0) * (block.t1 - block.t0)
    cdef const char *weights = job.weights + (packed.weights_at + (item.group * packed.products + block.k0) * all_rows
                                              ) * job.itemsize
    cdef const char *bias = job.bias + (packed.bias_at + item.group * all_rows) * job.itemsize
    cdef Py_ssize_t above = packed.group.first_phase * (item.m1 - item.m0) - item.m0 * phases
    cdef Py_ssize_t i, row
    for i in range(packed.unit[item.u0], packed.unit[item.u1]):
        row = packed.panel[i]
        job.kernels.gemm(packed.panel[i + 1] - row, columns, weights + row * k * job.itemsize, runs, n_runs, b, b_row,
                         item.c + ((above + row) * item.c_row + column) * job.itemsize, item.c_row,
                         bias + row * job.itemsize if block.k0 == 0 else NULL)
        if job.end.given and not job.aside and block.k0 + k == packed.products:
            finish_planes(job, item, row, packed.panel[i + 1] - row, column, columns)


cdef void panel_item(const Job *job, const Item *item, Py_ssize_t number) noexcept nogil:
    """Some tiles of the flattened grid: panels of pixels are packed for them, block by block of the sum."""
    cdef Py_ssize_t columns = job.panel_tiles * job.kernels.columns, g, b, p, count, n_runs, column
    cdef const Span *span = job.span
    cdef Py_ssize_t first, end, blocks
    cdef const char *pixels
    cdef Py_ssize_t *image_row = <Py_ssize_t *>(item.pixels + job.list_offset)
    cdef fc_run *runs = <fc_run *>(image_row + FC_BLOCK_K)
    cdef fc_image image = job.image
    cdef const Packed *packed
    cdef const Block *block
    while number >= span[1].first_block:
        span += 1
    blocks = span[1].first_block - span.first_block
    number -= span.first_block
    first = span.tiles * number // blocks * job.kernels.columns
    end = min(span.pixels, span.tiles * (number + 1) // blocks * job.kernels.columns)
    if job.spans > 1:
        image.grid[2] = span.w1 - span.w0
        image.origin[2] += span.w0 * image.step[2]
    for g in range(job.n_groups):
        packed = job.packed + g
        for b in range(packed.blocks):
            block = packed.block + b
            image.pixels = channel_pixels(job, item, block.c0)
            if job.in_place:
                index_image(&image, packed, block, image_row)
            p = first
            while p < end:
                count = min(columns, end - p)
                column = p - first if job.aside else p
                if job.in_place and lies_inside(job, &image, p, count):
                    runs[0] = fc_run(0, (block.c1 - block.c0) * (block.t1 - block.t0))
                    pixels = <const char *>image.pixels + (p + image.origin[2]) * job.itemsize
                    multiply(job, item, packed, block, column, count, runs, 1, pixels, image_row)
                else:
                    if job.last & READS_LAST:
                        n_runs = pack_panel_last(job, &image, packed, block, p, count, item.pixels, runs)
                    else:
                        n_runs = job.kernels.pack_panel(item.pixels, job.panel_pitch, &image,
                                                        packed.group.offset + 3 * block.t0, block.t1 - block.t0,
                                                        block.c1 - block.c0, p, count, job.skip_dead, runs)
                    if job.border != ZEROS:
                        fill_panel(job, &image, packed, block, p, count, item.pixels)
                    multiply(job, item, packed, block, column, count, runs, n_runs, item.pixels, job.panel_row)
                p += columns
    if job.aside:
        store_pixels(job, item, span, first, end)


cdef bint lies_inside(const Job *job, const fc_image *image, Py_ssize_t p, Py_ssize_t count) noexcept nogil:
    """Are these pixels of an image of one row whole vectors, and all that their taps read pixels of it?"""
    cdef Py_ssize_t first = p + image.origin[2] + job.reach.low_w
    return count % job.kernels.lanes == 0 and first >= 0 and first + count + job.reach.span_w <= image.size[2]


cdef void index_image(const fc_image *image, const Packed *packed, const Block *block,
                      Py_ssize_t *image_row) noexcept nogil:
    """Where each product of the block reads an image of one row, for the first output."""
    cdef Py_ssize_t t, c
    for t in range(block.t0, block.t1):
        for c in range(block.c1 - block.c0):
            image_row[0] = c * image.channel + packed.group.offset[3 * t + 2]
            image_row += 1


cdef struct Strip:              # padded input rows: [channel][plane][row][w modulo step][pitch]
    Py_ssize_t d, h0, h1, w0, w1            # the outputs that it serves
    Py_ssize_t c0, c1                       # its channels
    Py_ssize_t rows, pitch, row             # rows; from one w modulo step to the next; from one row to the next
    Py_ssize_t channel                      # ... from one channel to the next
    const char *pixels


cdef void strip_item(const Job *job, const Item *item, Py_ssize_t number) noexcept nogil:
    """Some output rows, or a piece of one: their input rows are padded once, all taps read them in place."""
    cdef Strip strip
    cdef Py_ssize_t row_block = number // job.column_blocks, g, b, h, share
    cdef const Block *block
    strip.d, strip.h0 = row_block // job.row_blocks, row_block % job.row_blocks * job.rows
    strip.w0 = number % job.column_blocks * job.columns
    strip.h1, strip.w1 = min(job.grid[1], strip.h0 + job.rows), min(job.grid[2], strip.w0 + job.columns)
    strip.rows, strip.pitch = strip_rows(job, strip.h1 - strip.h0), strip_pitch(job, strip.w1 - strip.w0)
    strip.row = strip.pitch * job.image.step[2]
    for share in range(job.packed.blocks // job.packed.tap_blocks):
        block = job.packed.block + share * job.packed.tap_blocks
        strip.c0, strip.c1 = block.c0, block.c1
        if job.filters_in_place:
            find_strip(job, item, &strip)
        else:
            strip.pixels, strip.channel = item.pixels, job.reach.planes * strip.rows * strip.row
            pack_strips(job, item, &strip)
        for g in range(job.n_groups):
            for b in range(share * job.packed[g].tap_blocks, (share + 1) * job.packed[g].tap_blocks):
                if job.outputs * job.packed[g].group.phases == 1:
                    filter_strip(job, item, job.packed + g, job.packed[g].block + b, &strip)
                else:
                    multiply_strip(job, item, job.packed + g, job.packed[g].block + b, &strip)
    if job.aside:
        for h in range(strip.h0, strip.h1):
            store_segment(job, item, strip.d, h, strip.w0, strip.w1 - strip.w0, (h - strip.h0) * job.columns)


cdef void multiply_strip(const Job *job, const Item *item, const Packed *packed, const Block *block,
                         const Strip *strip) noexcept nogil:
    """Row after row through the gemm tile, which wants several outputs per pixel."""
    cdef Py_ssize_t *b_row = <Py_ssize_t *>(item.pixels + job.list_offset)
    cdef Py_ssize_t below = job.image.step[1] * strip.row * job.itemsize, h
    cdef Py_ssize_t column = strip_column(job, strip), row = output_row(job)
    cdef fc_run whole = fc_run(0, (block.c1 - block.c0) * (block.t1 - block.t0))
    index_strip(job, packed.group, block, strip, b_row)
    for h in range(strip.h1 - strip.h0):
        multiply(job, item, packed, block, column + h * row, strip.w1 - strip.w0, &whole, 1, item.pixels + h * below,
                 b_row)


cdef Py_ssize_t output_row(const Job *job) noexcept nogil:
    """From one output row of an item to the next."""
    return job.columns if job.aside else job.grid[2]


cdef Py_ssize_t strip_column(const Job *job, const Strip *strip) noexcept nogil:
    """Where the strip's first output lies in a row of c."""
    return 0 if job.aside else (strip.d * job.grid[1] + strip.h0) * job.grid[2] + strip.w0


cdef void pack_strips(const Job *job, const Item *item, const Strip *strip) noexcept nogil:
    """The rows that the taps can reach, zero where they are padding."""
    cdef const fc_image *image = &job.image
    cdef Py_ssize_t c, plane, at_d, begin, end, low = strip.h0 * image.step[1] + image.origin[1] + job.reach.low_h
    cdef const char *pixels
    cdef char *to = item.pixels
    if job.last & READS_LAST:
        pack_strips_last(job, item, strip)
        return
    for c in range(strip.c0, strip.c1):
        for plane in range(job.reach.planes):
            at_d = strip.d * image.step[0] + image.origin[0] + job.reach.plane_offset[plane]
            begin = end = strip.rows
            if 0 <= at_d < image.size[0]:
                begin, end = min(max(-low, 0), strip.rows), max(min(image.size[1] - low, strip.rows), 0)
                end = max(begin, end)
            pixels = channel_pixels(job, item, c) + (at_d * image.pitch[0] + low * image.pitch[1]) * job.itemsize
            pack_rows(job, strip, to, pixels, 0, begin, 0)
            pack_rows(job, strip, to, pixels, begin, end, image.size[2])
            pack_rows(job, strip, to, pixels, end, strip.rows, 0)
            if job.border != ZEROS:
                fill_plane(job, strip, to, channel_pixels(job, item, c), fold(job.border, at_d, image.size[0]), at_d,
                           low)
            to += strip.rows * strip.row * job.itemsize


cdef void pack_rows(const Job *job, const Strip *strip, char *to, const char *pixels, Py_ssize_t begin, Py_ssize_t end,
                    Py_ssize_t width) noexcept nogil:
    """Rows begin .. end of a plane of the strip; width 0 makes them padding."""
    cdef Py_ssize_t step = job.image.step[2], row = job.image.pitch[1]
    if begin < end:
        job.kernels.pack_strip(to + begin * strip.row * job.itemsize, strip.row, strip.pitch,
                               pixels + begin * row * job.itemsize, row, end - begin, width,
                               strip.w0 * step + job.image.origin[2] + job.reach.low_w, step,
                               strip.w1 - strip.w0 + job.reach.span_w // step)


cdef void fill_plane(const Job *job, const Strip *strip, char *to, const char *channel, Py_ssize_t in_d,
                     Py_ssize_t at_d, Py_ssize_t low) noexcept nogil:
    """The padding of a plane of the strip that stands for plane in_d of the image, where it is not zeros."""
    cdef const fc_image *image = &job.image
    cdef Py_ssize_t size = job.itemsize, step = image.step[2], width = image.size[2], r, h
    cdef Py_ssize_t first = strip.w0 * step + image.origin[2] + job.reach.low_w
    cdef Py_ssize_t count = strip.w1 - strip.w0 + job.reach.span_w // step
    cdef const char *row
    for r in range(strip.rows):
        h = fold(job.border, low + r, image.size[1])
        if in_d >= 0 and h >= 0:
            row = channel + (in_d * image.pitch[0] + h * image.pitch[1]) * size
            if in_d != at_d or h != low + r:
                job.kernels.pack_strip(to + r * strip.row * size, strip.row, strip.pitch, row, image.pitch[1], 1, width,
                                       first, step, count)
            fill_strip_row(job.border, size, to + r * strip.row * size, strip.pitch, row, width, first, step, count)


cdef void index_strip(const Job *job, const Group *group, const Block *block, const Strip *strip,
                      Py_ssize_t *b_row) noexcept nogil:
    """Where each product of the block reads the strip, for the first output."""
    cdef Py_ssize_t t, c, w, row, plane, step = job.image.step[2]
    cdef const Py_ssize_t *offset
    for t in range(block.t0, block.t1):
        offset, plane = group.offset + 3 * t, 0
        while job.reach.plane_offset[plane] != offset[0]:
            plane += 1
        w = offset[2] - job.reach.low_w
        for c in range(strip.c1 - strip.c0):
            row = (c * job.reach.planes + plane) * strip.rows + offset[1] - job.reach.low_h
            b_row[0] = (row * step + w % step) * strip.pitch + w // step
            b_row += 1
