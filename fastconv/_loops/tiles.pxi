"""One item of Winograd's tiles: pixels transformed, multiplied point by point, transformed back. See winograd.pxi."""

cdef void run_tiles(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """One item: see the head of winograd.pxi."""
    cdef const TileJob *job = <const TileJob *>pointer
    cdef Py_ssize_t whole = job.w.runs if job.n_phases > 1 else 1, units = tile_units(job, whole)
    cdef Py_ssize_t block = number % job.blocks, share, panel, end, panels
    cdef TileItem item
    item.first, item.end = units * block // job.blocks * whole, units * (block + 1) // job.blocks * whole
    item.scratch = job.scratch + worker * job.scratch_size
    number //= job.blocks
    share, item.group = number % job.panel_ranges, number // job.panel_ranges
    panel, end = job.panels * share // job.panel_ranges, job.panels * (share + 1) // job.panel_ranges
    item.first_aside, item.end_aside = panel * job.panel_outputs, min(job.outputs, end * job.panel_outputs)
    order_tiles(job, &item)
    clear_dead_sums(job, &item)
    transform_pixels(job, &item)
    while panel < end:
        panels = min(job.near_panels, end - panel)
        if job.packing is not NULL:
            transform_and_multiply(job, &item, panel, panels)
        else:
            multiply_panels(job, &item, panel, panels)
        store_panels(job, &item, panel, panels)
        panel += panels
    if job.collects:
        store_aside(job, &item)


cdef void order_tiles(const TileJob *job, TileItem *item) noexcept nogil:
    """Where tiles lie that are short on no axis, on w, on h and on both, and which have a point."""
    cdef Py_ssize_t unit = item.first, kind
    cdef Py_ssize_t[4] count = [0, 0, 0, 0]
    while unit < item.end:
        unit += next_segment(job, unit, item.end, count).runs
    item.tiles = count[0] + count[1] + count[2] + count[3]
    item.place = [count[1], 0, count[1] + count[0], count[1] + count[0] + count[2]]
    for kind in range(4):
        item.live[kind] = count[1] if kind & 1 else 0
        item.live_end[kind] = item.tiles - count[3] - (count[2] if kind & 2 else 0) if kind else item.tiles


cdef Segment next_segment(const TileJob *job, Py_ssize_t unit, Py_ssize_t end, Py_ssize_t *place) noexcept nogil:
    """The runs from `unit` on that lie in one row of tiles and in one strip; their places are taken."""
    cdef Segment segment
    cdef Py_ssize_t row = unit // job.w.runs, last, short_h
    segment.image, segment.row = row // job.h.tiles, row % job.h.tiles
    segment.run = unit % job.w.runs
    segment.runs = min(job.segment_runs, min(end - unit, job.w.runs - segment.run))
    last = segment.run + segment.runs - 1
    segment.tiles = segment.whole = (segment.runs - 1) * job.w.dilation + tiles_of_run(&job.w, last)
    if last == job.w.runs - 1:
        segment.whole = (segment.runs - 1) * job.w.dilation + job.w.whole
    short_h = 2 * (segment.row >= (job.h.runs - 1) * job.h.dilation + job.h.whole)
    segment.tile, segment.short_tile = place[short_h], place[short_h + 1]
    place[short_h] += segment.whole
    place[short_h + 1] += segment.tiles - segment.whole
    return segment


cdef Py_ssize_t first_output(const TileAxis *axis, Py_ssize_t tile) noexcept nogil:
    return tile // axis.dilation * axis.outputs * axis.dilation + tile % axis.dilation


cdef void transform_pixels(const TileJob *job, const TileItem *item) noexcept nogil:
    """Fills v. A tile's number does not depend on its channel block."""
    cdef Segment segment
    cdef Py_ssize_t unit = item.first, block
    cdef Py_ssize_t[4] place = item.place
    while unit < item.end:
        segment = next_segment(job, unit, item.end, place)
        for block in range(job.channel_blocks):
            transform_segment(job, item, &segment, block)
        unit += segment.runs


cdef void transform_segment(const TileJob *job, const TileItem *item, const Segment *segment,
                            Py_ssize_t block) noexcept nogil:
    """Pixels of some channels are put side by side, then their tiles transformed, source by source."""
    cdef Py_ssize_t lanes = job.lanes, count = window_pixels(job, segment.runs), i, at, width
    cdef Py_ssize_t row = first_output(&job.h, segment.row) * job.h.step + job.origin_h
    cdef Py_ssize_t first = segment.run * job.w.outputs * job.w.dilation * job.w.step + job.origin_w
    cdef Py_ssize_t channels = min(lanes, job.channels - block * lanes)
    cdef Py_ssize_t channel = item.group * job.channels + block * lanes
    cdef const float *x = job.x + segment.image * job.x_image + channel * job.x_channel
    cdef float *strip = item.scratch + job.strip_at
    for i in range(window_rows(job)):
        at = fold(job.border, row + i * job.h.dilation, job.height)
        width = job.width if at >= 0 else 0
        if job.last & READS_LAST:
            job.kernels.pack_pixels(strip + i * count * lanes, x + (at * job.x_row if width else 0), job.x_column,
                                    channels, width, first, count)
        else:
            job.kernels.pack_block(strip + i * count * lanes, x + (at * job.x_row if width else 0), job.x_channel,
                                   channels, width, first, count)
        if job.border != ZEROS and width:
            fill_block(job, strip + i * count * lanes, x + at * job.x_row, channels, first, count)
    for i in range(job.n_sources):
        transform_runs(job, segment, strip + (job.source[i].first_h * count + job.source[i].first_w) * lanes, count,
                       item.scratch + (i * job.channel_blocks + block) * job.item_tiles * lanes)


cdef void transform_runs(const TileJob *job, const Segment *segment, const float *strip, Py_ssize_t count,
                         float *v) noexcept nogil:
    cdef Py_ssize_t lanes = job.lanes, d = job.w.dilation, step = job.w.step * lanes, i, tiles, whole
    cdef Py_ssize_t row = job.h.step * count * lanes, column = d * step
    cdef Py_ssize_t to_next = lanes if d > 1 else job.w.outputs * step
    cdef const float *x
    for i in range(segment.runs if d > 1 else 1):   # the tiles of a run follow one another, and without dilation all
        tiles = tiles_of_run(&job.w, segment.run + i) if d > 1 else segment.tiles
        whole = min(tiles, segment.whole - i * d)
        x = strip + i * job.w.outputs * column
        job.kernels.winograd_input(job.h.points, job.w.points, job.input_table, whole, x, row, column, to_next,
                                   v + (segment.tile + i * d) * lanes, job.plane_v)
        if whole < tiles:
            job.kernels.winograd_input(job.h.points, job.w.points, job.input_table, tiles - whole, x + whole * to_next,
                                       row, column, to_next, v + segment.short_tile * lanes, job.plane_v)


cdef void clear_dead_sums(const TileJob *job, const TileItem *item) noexcept nogil:
    """Sums that nothing is ever added to: `transform_back` reads them with the others."""
    cdef Py_ssize_t row = 2 * job.lanes * <Py_ssize_t>sizeof(float), n, i, p, kind
    cdef char *sums = <char *>(item.scratch + job.sums_at)
    for n in range(job.near_panels):
        for i in range(job.n_groups):
            for p in range(job.points):
                kind = job.lacking[p]
                if job.group[i].dead[p]:
                    memset(sums, 0, item.tiles * row)
                elif kind:
                    memset(sums, 0, item.live[kind] * row)
                    memset(sums + item.live_end[kind] * row, 0, (item.tiles - item.live_end[kind]) * row)
                sums += job.plane_s * sizeof(float)


cdef void multiply_panels(const TileJob *job, const TileItem *item, Py_ssize_t panel,
                          Py_ssize_t panels) noexcept nogil:
    """sums = v . weights: a matrix product per point, panel and group of phases, in blocks of the sum."""
    cdef Py_ssize_t products = panels * job.n_groups, first = (item.group * job.panels + panel) * job.n_groups
    cdef Py_ssize_t lanes = job.lanes, a_block = job.item_tiles * lanes, p, k, i, start, end
    cdef const float *weights = job.weights + first * job.points * job.plane_u
    cdef float *sums = item.scratch + job.sums_at
    cdef const TileGroup *group
    for p in range(job.points):
        start, end = job.live[job.edge[p]], job.live_end[job.edge[p]]
        for i in range(products):
            group = job.group + i % job.n_groups
            k = end if group.dead[p] else start
            while k < end:
                multiply_tiles(job, item, p, item.scratch + p * job.plane_v + k // lanes * a_block,
                               weights + (i * job.points + p) * job.plane_u + k * 2 * lanes,
                               sums + i * job.product_s + p * job.plane_s, min(job.block_k, end - k), k > start,
                               vectors_of(job, panel + i // job.n_groups, group))
                k += job.block_k


cdef void transform_and_multiply(const TileJob *job, const TileItem *item, Py_ssize_t panel,
                                 Py_ssize_t panels) noexcept nogil:
    """The same sums, with weights that are transformed a block of the sum and a panel at a time.

    One that is not finite makes sums that are not, in every image: `transform_back` tells.
    """
    cdef Py_ssize_t source, c
    for source in range(job.n_sources):
        c = 0
        while c < job.channels:
            multiply_block(job, item, panel, panels, source, c, min(c + job.block_k, job.channels))
            c += job.block_k


cdef void multiply_block(const TileJob *job, const TileItem *item, Py_ssize_t panel, Py_ssize_t panels,
                         Py_ssize_t source, Py_ssize_t c0, Py_ssize_t c1) noexcept nogil:
    """What some channels of a source add to the sums."""
    cdef Py_ssize_t lanes = job.lanes, a_block = job.item_tiles * lanes, k = source * job.depth + c0, n, i, p, at
    cdef float *weights = item.scratch + job.weights_at
    cdef float *turned = weights + job.n_groups * job.points * job.plane_w
    cdef float *sums = item.scratch + job.sums_at
    for n in range(panel, panel + panels):
        transform_weights(job.packing, item.group * job.panels + n, source, source + 1, c0, c1, turned, weights,
                          job.plane_w)
        for i in range(job.n_groups):
            for p in range(job.points):
                at = job.edge[p]
                if job.live[at] <= k < job.live_end[at] and not job.group[i].dead[p]:
                    multiply_tiles(job, item, p, item.scratch + p * job.plane_v + k // lanes * a_block,
                                   weights + (i * job.points + p) * job.plane_w, sums + p * job.plane_s, c1 - c0,
                                   k > job.live[at], vectors_of(job, n, job.group + i))
            sums += job.product_s


cdef void multiply_tiles(const TileJob *job, const TileItem *item, Py_ssize_t point, const float *v,
                         const float *weights, float *sums, Py_ssize_t count, bint add,
                         Py_ssize_t vectors) noexcept nogil:
    """A block of the sum of all tiles that have the point; with one vector of outputs, twice as many at a time."""
    cdef Py_ssize_t lanes = job.lanes, kind = job.lacking[point], rows, cuts
    cdef Py_ssize_t first = item.live[kind], end = item.live_end[kind]
    while first < end:
        rows = 2 * job.kernels.rows
        if vectors == 2 or end - first < rows:
            cuts = ceil_div(end - first, job.kernels.rows)
            rows = (end - first) // cuts
        job.kernels.winograd_product(rows, vectors, count, v + first * lanes, job.item_tiles * lanes, weights,
                                     sums + first * 2 * lanes, 2 * lanes, add)
        first += rows


cdef Py_ssize_t vectors_of(const TileJob *job, Py_ssize_t panel, const TileGroup *group) noexcept nogil:
    """One, if the last panel is at most half full, else two."""
    cdef Py_ssize_t outputs = min(job.panel_outputs, job.outputs - panel * job.panel_outputs)
    return 1 if outputs * group.phases <= job.lanes else 2


cdef void store_panels(const TileJob *job, TileItem *item, Py_ssize_t panel, Py_ssize_t panels) noexcept nogil:
    cdef Py_ssize_t n, i
    item.sums = item.scratch + job.sums_at
    for n in range(panel, panel + panels):
        item.m0, item.m1 = n * job.panel_outputs, min(job.outputs, (n + 1) * job.panel_outputs)
        if not job.collects:
            item.first_aside, item.end_aside = item.m0, item.m1
        for i in range(job.n_groups):
            item.product = (item.group * job.panels + n) * job.n_groups + i
            store_tiles(job, item, job.group + i)
            item.sums += job.product_s
        if job.store is not NULL and not job.collects:
            store_aside(job, item)


cdef void store_tiles(const TileJob *job, const TileItem *item, const TileGroup *group) noexcept nogil:
    """The sums of a product, transformed back, to their places in y, or aside."""
    cdef Segment segment
    cdef Py_ssize_t unit = item.first, row
    cdef Py_ssize_t[4] place = item.place
    while unit < item.end:
        segment = next_segment(job, unit, item.end, place)
        row = 0
        while row < (item.m1 - item.m0) * group.phases:
            if transform_back(job, item, &segment, row):
                job.bad[segment.image] = 1
            store_block(job, item, &segment, group, row)
            row += job.lanes
        unit += segment.runs


cdef int transform_back(const TileJob *job, const TileItem *item, const Segment *segment,
                        Py_ssize_t row) noexcept nogil:
    """Outputs of one block of rows: block[row of a tile][pixel of the segment][lane]."""
    cdef Py_ssize_t lanes = job.lanes, width = 2 * lanes, d = job.w.dilation, column = d * lanes, i, tiles, whole
    cdef Py_ssize_t length = segment.runs * job.w.outputs * column, to_next = lanes if d > 1 else job.w.outputs * lanes
    cdef const float *sums = item.sums + row
    cdef const float *bias = job.bias + item.product * width + row
    cdef float *y
    cdef int bad = 0
    for i in range(segment.runs if d > 1 else 1):   # see `transform_runs`
        tiles = tiles_of_run(&job.w, segment.run + i) if d > 1 else segment.tiles
        whole = min(tiles, segment.whole - i * d)
        y = item.scratch + job.strip_at + i * job.w.outputs * column
        bad |= job.kernels.winograd_output(
            job.h.points, job.w.points, job.h.outputs, job.w.outputs, job.output_table, whole,
            sums + (segment.tile + i * d) * width, job.plane_s, width, bias, y, length, column, to_next)
        if whole < tiles:
            bad |= job.kernels.winograd_output(
                job.h.points, job.w.points, job.h.outputs, job.w.outputs, job.output_table, tiles - whole,
                sums + segment.short_tile * width, job.plane_s, width, bias, y + whole * to_next, length, column,
                to_next)
    return bad


cdef void store_block(const TileJob *job, const TileItem *item, const Segment *segment, const TileGroup *group,
                      Py_ssize_t row) noexcept nogil:
    """Rows of pixels from the block of `transform_back` to y, or to the place aside that store.pxi reads.

    An activation alone is applied to the block: rows of y, just written in parts of vectors, are slow to read again.
    """
    cdef Py_ssize_t lanes = job.lanes, length = segment.runs * job.w.outputs * job.w.dilation, i, at
    cdef Py_ssize_t first = segment.run * job.w.outputs * job.w.dilation - group.shift_w, skip = max(0, -first)
    cdef Py_ssize_t count = min(length, job.w.size - first) - skip, rows = (item.m1 - item.m0) * group.phases - row
    cdef Py_ssize_t output_row = first_output(&job.h, segment.row) - group.shift_h, aside
    cdef float *block = item.scratch + job.strip_at + skip * lanes
    if count <= 0:
        return
    if job.end.given and job.end.residual is NULL:
        job.kernels.finish(job.h.outputs, count * lanes, block, length * lanes, NULL, 0, job.end.kind, job.end.slope)
    aside = (segment.image * job.h.tiles + segment.row - item.first // job.w.runs) * job.h.outputs
    for i in range(job.h.outputs):
        at = output_row + i * job.h.dilation
        if 0 <= at < job.h.size and job.store is not NULL:
            job.kernels.unpack_block(aside_outputs(job, item, group.first_phase * (item.end_aside - item.first_aside)
                                                   + (item.m0 - item.first_aside) * group.phases + row)
                                     + (aside + i) * job.w.size + first + skip, job.aside_pitch, min(lanes, rows),
                                     block + i * length * lanes, count)
        elif 0 <= at < job.h.size:
            store_pixels_of(job, segment.image, item.group * job.outputs + item.m0 + row, min(lanes, rows),
                            at * job.w.size + first + skip, count, block + i * length * lanes)


cdef void store_pixels_of(const TileJob *job, Py_ssize_t image, Py_ssize_t channel, Py_ssize_t channels,
                          Py_ssize_t at, Py_ssize_t count, const float *block) noexcept nogil:
    """A row of a block to outputs at .. at + count of some channels, and what the residual adds."""
    cdef float *y = job.y + image * job.y_image
    if job.last & WRITES_LAST:
        at = at * job.y_column + channel
        job.kernels.unpack_pixels(y + at, job.y_column, channels, block, count)
        if job.end.residual is not NULL:
            job.kernels.finish(count, channels, y + at, job.y_column,
                               residual_at(&job.end, image, 0, at, sizeof(float)), job.y_column, job.end.kind,
                               job.end.slope)
        return
    y += channel * job.y_channel + at
    job.kernels.unpack_block(y, job.y_channel, channels, block, count)
    if job.end.residual is not NULL:
        job.kernels.finish(channels, count, y, job.y_channel,
                           residual_at(&job.end, image, channel, at, sizeof(float)), job.end.channel, job.end.kind,
                           job.end.slope)


cdef float *aside_outputs(const TileJob *job, const TileItem *item, Py_ssize_t row) noexcept nogil:
    return item.scratch + job.aside_at + row * job.aside_pitch


cdef void store_aside(const TileJob *job, const TileItem *item) noexcept nogil:
    """Output rows of all phases, interleaved into y. The ways of a line share their vertical shift."""
    cdef Item to
    cdef Py_ssize_t first = item.first // job.w.runs, end = item.end // job.w.runs, n
    to.group, to.m0, to.m1 = item.group, item.first_aside, item.end_aside
    to.c, to.c_row = <char *>aside_outputs(job, item, 0), job.aside_pitch
    while first < end:                                  # the rows of tiles of an image
        to.image, n = first // job.h.tiles, min(end - first, job.h.tiles - first % job.h.tiles)
        store_tile_rows(job, &to, first % job.h.tiles, n, (first - item.first // job.w.runs) * job.h.outputs)
        first += n


cdef void store_tile_rows(const TileJob *job, const Item *item, Py_ssize_t first, Py_ssize_t count,
                          Py_ssize_t at) noexcept nogil:
    """... of which `at` rows were built before."""
    cdef Job *store = job.store
    cdef const Line *line
    cdef Py_ssize_t n, row, skipped, rows, i
    for n in range(store.n_lines):
        line = store.line + n
        row = first * job.h.outputs - job.group[store.way[line.first].group].shift_h
        skipped = max(0, -row)
        rows = min(row + count * job.h.outputs, job.h.size) - row - skipped
        if stores_planes(store) and not store.end.given:
            store_planes(store, item, line, 0, row + skipped, rows, job.w.size, (at + skipped) * job.w.size)
            continue
        for i in range(skipped, skipped + rows):
            if (row + i) * store.out_step[1] + line.h < store.out[1]:
                store_line(store, item, line, 0, row + i, 0, job.w.size, (at + i) * job.w.size)
