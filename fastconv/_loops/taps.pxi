"""Few outputs per pixel of many channels: the products of all taps first, then sums over the taps of each output.

    t[m, k][i] = sum over c of w[m, c, k] * x[c, i]             one matrix product, whose rows are outputs times taps
    y[m][q] = bias[m] + sum over the taps k of q's phase of t[m, k][q + offset of k]

A DCGAN's last layer has 3 outputs a pixel and 4 phases of 4 taps, four products of 3 rows each; together they are 48
rows, which fill the gemm tile, and every pixel is fetched once. The sums are a load and an addition per tap.

An item goes down some rows of the grid, a few at a time, so that t stays in L2. Rows of t lie `pitch` apart with zeros
between, so that a tap beside the image reads zeros, and several rows are one long row to the kernels:

    left | row 0 of the image, zeros | row 1, zeros | ...       a position left of row 1 lies in the zeros of row 0
"""

cdef struct Taps:
    Job products                # of the matrix product: one tap, outputs*taps rows
    Job sums                    # of the operator: where outputs lie, and the biases
    const char *ones            # weights of the sums
    Py_ssize_t rows             # of t
    Py_ssize_t chunk, columns, pitch, left, base    # rows and columns at a time; of t: see above
    Py_ssize_t row_blocks, column_blocks, items
    Py_ssize_t t_row, t_offset, c_offset, list_offset, scratch_bytes
    char *scratch


cdef class TapsFirst(Runner):
    """An operator as `products`, the same with each tap a phase of its own that reads one pixel, and `direct`."""

    cdef readonly Engine products, direct
    cdef readonly str algorithm
    cdef readonly bint finite
    cdef object ones
    cdef const unsigned char[::1] ones_bytes

    def __cinit__(self, Engine products, Engine direct, ones):
        self.products, self.direct, self.ones, self.ones_bytes = products, direct, ones, ones.view("uint8")
        self.empty, self.finite, self.algorithm = direct.empty, direct.finite, "direct, taps first"
        self.last = READS_LAST | WRITES_LAST

    cdef int _run(self, const View *x, const View *y, origin, Py_ssize_t threads, int last,
                  const End *end) except -1:
        cdef Taps job
        cdef char *tables
        self._cut(&job, x.shape, y.shape, origin, threads)
        bind(&job.sums, x, y, last)
        job.sums.end = end[0]
        if job.items == 0:
            return 0
        job.products.x, job.products.x_image, job.products.x_column = job.sums.x, job.sums.x_image, job.sums.x_column
        job.products.last = last & READS_LAST
        job.products.image.channel, job.products.image.pitch = job.sums.image.channel, job.sums.image.pitch
        job.scratch = <char *>borrow(job.scratch_bytes * job.sums.threads + 2 * TABLE_BYTES)
        job.sums.scratch, job.sums.scratch_bytes, job.ones = job.scratch, job.scratch_bytes, <char *>&self.ones_bytes[0]
        tables = job.scratch + job.scratch_bytes * job.sums.threads
        self.products.cut._prepare_tables(&job.products, tables)
        self.direct.cut._prepare_tables(&job.sums, tables + TABLE_BYTES)
        with nogil:
            fc_parallel(taps_item, &job, job.items, job.sums.threads)
        give_back(job.scratch)
        return 0

    def describe(self, x_shape, y_shape, threads=1):
        """How a call would be cut, in a dict."""
        cdef Taps job
        cdef Py_ssize_t[5] x_sizes, y_sizes
        read_shapes(x_shape, y_shape, x_sizes, y_sizes)
        self._cut(&job, x_sizes, y_sizes, (0, 0, 0), threads)
        return {**self.products.describe(x_shape, y_shape, threads), "algorithm": self.algorithm, "items": job.items,
                "threads": job.sums.threads, "workspace_bytes": job.scratch_bytes * job.sums.threads}

    cdef int _cut(self, Taps *job, const Py_ssize_t *x_shape, const Py_ssize_t *y_shape, origin,
                  Py_ssize_t threads) except -1:
        """Rows as long as the image, if some of them fit in TAPS_BYTES; else pieces with their neighbours around."""
        cdef Job *sums = &job.sums
        cdef Py_ssize_t shares, height, span_h, before, behind, first = origin[2]
        job.sums, job.products = self.direct._job(), self.products._job()
        job.rows = job.products.n_phases * sums.outputs
        self.direct.cut._aim(sums, x_shape, y_shape, origin)
        shares = sums.images * sums.groups
        threads = min(threads, 1 + sums.pixels * shares * job.rows * sums.channels // SERIAL_PRODUCTS)
        height, span_h = sums.grid[1], sums.reach.span_h
        job.columns = sums.grid[2]
        before = -(first + sums.reach.low_w)
        behind = sums.grid[2] - before + sums.reach.span_w - sums.image.size[2]
        job.left, job.base = max(before, 0), 0
        job.pitch = sums.image.size[2] + max(before, behind, 0)
        if sums.grid[2] > job.pitch or self._most(job) < max(4, 2 * span_h):
            job.left, job.pitch = 0, 0
            while True:
                job.pitch = job.columns + sums.reach.span_w
                if job.columns <= 64 or self._most(job) >= max(4, 2 * span_h):
                    break
                job.columns = ceil_div(job.columns, 2)
            job.base = first + sums.reach.low_w
        job.chunk = max(1, min(height, self._most(job)))
        job.column_blocks = ceil_div(sums.grid[2], job.columns)
        shares *= sums.grid[0] * job.column_blocks
        job.row_blocks = max(1, min(ceil_div(threads, max(shares, 1)), height))
        job.items = shares * job.row_blocks if sums.pixels else 0
        sums.threads, sums.unit_ranges = max(1, min(threads, job.items, FC_MAX_THREADS)), 1
        job.chunk = min(job.chunk, ceil_div(height, job.row_blocks))
        self._lay_out(job, x_shape)
        return 0

    cdef Py_ssize_t _most(self, const Taps *job):
        """Rows of outputs at a time whose t fits in TAPS_BYTES."""
        return TAPS_BYTES // (job.rows * job.pitch * job.sums.itemsize) - job.sums.reach.span_h

    cdef int _lay_out(self, Taps *job, const Py_ssize_t *x_shape) except -1:
        """[panel, runs][t][outputs][where the sums read]"""
        cdef Job *products = &job.products
        cdef Py_ssize_t rows = job.chunk + job.sums.reach.span_h, lanes = products.kernels.lanes, size
        cdef Py_ssize_t[5] t_shape
        t_shape[0] = t_shape[1] = t_shape[2] = 1
        t_shape[3], t_shape[4] = rows, job.pitch
        self.products.cut._aim(products, x_shape, t_shape, (0, 0, 0))
        products.aside = 0
        self.products.cut._cut_work(products, 1)
        # An odd number of cache lines, or the rows of a tile meet in few sets of the cache.
        job.t_row = ceil_div(job.left + rows * job.pitch + 5 * lanes, 2 * lanes) * 2 * lanes + lanes
        job.t_offset = products.scratch_bytes
        size = job.rows * job.t_row * products.itemsize
        job.c_offset = job.t_offset + ceil_div(size, 64) * 64
        size = job.sums.n_phases * job.sums.outputs * job.chunk * job.pitch * products.itemsize
        job.list_offset = job.c_offset + ceil_div(size, 64) * 64
        job.scratch_bytes = job.list_offset + FC_BLOCK_K * sizeof(Py_ssize_t)
        return 0


cdef void taps_item(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """Some rows of the grid, downwards: what the next rows need of t again is moved up."""
    cdef const Taps *job = <const Taps *>pointer
    cdef const Job *sums = &job.sums
    cdef Item product, item
    cdef Py_ssize_t w, d, h, end, block, row, count, columns, have = 0, span = sums.reach.span_h
    w, number = number % job.column_blocks * job.columns, number // job.column_blocks
    block, number = number % job.row_blocks, number // job.row_blocks
    d, number = number % sums.grid[0], number // sums.grid[0]
    item.group, item.image = number % sums.groups, number // sums.groups
    item.u0, item.u1, item.m0, item.m1 = 0, job.products.units, 0, sums.outputs
    item.pixels = job.scratch + worker * job.scratch_bytes
    item.c_row = job.chunk * job.pitch
    item.c = item.pixels + job.c_offset
    product = item
    product.c, product.c_row = item.pixels + job.t_offset, job.t_row
    h, end = sums.grid[1] * block // job.row_blocks, sums.grid[1] * (block + 1) // job.row_blocks
    columns = min(job.columns, sums.grid[2] - w)
    clear_left(job, &product)
    while h < end:
        count = min(job.chunk, end - h)
        multiply_taps(job, &product, d, h + have, w, have, count + span - have)
        add_taps(job, &item, product.c, count, columns)
        for row in range(count):
            store_segment(sums, &item, d, h + row, w, columns, row * job.pitch)
        have = span
        h += count
        if h < end:
            move_up(job, &product, count, span)


cdef void clear_left(const Taps *job, const Item *product) noexcept nogil:
    cdef Py_ssize_t r, size = job.sums.itemsize
    for r in range(job.rows):
        memset(product.c + r * job.t_row * size, 0, job.left * size)


cdef void move_up(const Taps *job, const Item *product, Py_ssize_t count, Py_ssize_t span) noexcept nogil:
    """Rows count .. count + span of t become the first."""
    cdef Py_ssize_t r, size = job.sums.itemsize
    cdef char *to
    for r in range(job.rows):
        to = product.c + (r * job.t_row + job.left) * size
        memmove(to, to + count * job.pitch * size, span * job.pitch * size)


cdef void multiply_taps(const Taps *job, const Item *product, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w,
                        Py_ssize_t first, Py_ssize_t count) noexcept nogil:
    """Rows first .. first + count of t, for the input rows that the outputs of grid row h see first."""
    cdef Job products = job.products
    cdef Item item = product[0]
    cdef fc_image *image = &products.image
    image.origin[0] = d + job.sums.image.origin[0] + job.sums.reach.plane_offset[0]    # the one of its axis
    image.origin[1] = h + job.sums.image.origin[1] + job.sums.reach.low_h
    image.origin[2] = job.base + w
    image.grid[1], image.grid[2] = count, job.pitch
    products.pixels = count * job.pitch
    products.span[0] = Span(0, job.pitch, products.pixels, ceil_div(products.pixels, products.kernels.columns), 0)
    products.spans = products.blocks = products.span[1].first_block = 1
    item.c += (job.left + first * job.pitch) * products.itemsize
    panel_item(&products, &item, 0)


cdef void add_taps(const Taps *job, const Item *item, const char *t, Py_ssize_t count,
                   Py_ssize_t columns) noexcept nogil:
    """All rows of each phase at once: between them lie sums that nobody stores."""
    cdef const Job *sums = &job.sums
    cdef const Group *group
    cdef Py_ssize_t *b_row = <Py_ssize_t *>(item.pixels + job.list_offset)
    cdef Py_ssize_t g, p, m, k, row, tap = 0, size = sums.itemsize
    cdef Py_ssize_t at = job.left + sums.image.origin[2] - job.base
    cdef Py_ssize_t apart = job.products.n_phases * job.t_row
    cdef const char *bias
    cdef fc_run run
    for g in range(sums.n_groups):
        group = sums.packed[g].group
        run = fc_run(0, group.taps)
        for p in range(group.phases):
            for k in range(group.taps):
                b_row[k] = (tap * job.t_row + (group.offset[3 * k + 1] - sums.reach.low_h) * job.pitch
                            + group.offset[3 * k + 2] + at)
                tap += 1
            for m in range(sums.outputs):
                row = m * group.phases + p
                bias = sums.bias + (sums.packed[g].bias_at + item.group * sums.outputs * group.phases + row) * size
                job.sums.kernels.gemm(1, (count - 1) * job.pitch + columns, job.ones, &run, 1,
                                      t + m * apart * size, b_row,
                                      item.c + (group.first_phase * sums.outputs + row) * item.c_row * size,
                                      item.c_row, bias)
