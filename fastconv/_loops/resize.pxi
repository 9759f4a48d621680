"""Resizing: each output row is a sum of input rows that have been resized along w, or a copy of one.

Rows resized along w are kept while the output rows that need them follow one another: at a scale of two, each is made
once and used four times.
"""

cdef struct Resize:
    const fc_real_kernels *kernels                  # NULL: nearest
    const fc_byte_kernels *movers
    const unsigned char *table                      # of the shuffle, where w grows by a factor
    const_places[3] at                              # on d, h, w: [out], or [2][out] with weights
    const_pointer[3] weight
    const char *x
    char *y
    Py_ssize_t[3] size, out
    Py_ssize_t x_image, x_channel, x_plane, x_row, y_image, y_channel        # strides in bytes
    Py_ssize_t channels, itemsize, factor           # factor: 0 if w grows by none
    Py_ssize_t rows, blocks                         # output rows of an item
    Py_ssize_t row_bytes, scratch_bytes
    char *scratch


def resize(x, y, at, weight, Py_ssize_t factor, Py_ssize_t threads):
    """y = x resized, both (N, C, D, H, W); rows of x and channels of y are contiguous.

    at, weight : for each axis positions, and their weights in the dtype of x, (2, out); or (out,) and None for nearest
    factor : by which w grows, each entry standing for so many, if it does
    """
    cdef Resize job
    cdef Lent source = lend(x, PyBUF_STRIDES), target = lend(y, PyBUF_STRIDES | PyBUF_WRITABLE)
    cdef const Py_buffer *x_view = &source.view
    cdef const Py_buffer *y_view = &target.view
    cdef const Py_ssize_t[::1] positions
    cdef const unsigned char[::1] weights
    cdef unsigned char[16384] table
    cdef Py_ssize_t axis, items
    job.itemsize, job.kernels, job.movers, job.table = x.itemsize, NULL, &fc_isa_table(current_isa).bytes, NULL
    if weight is not None:
        job.kernels = &fc_isa_table(current_isa).f32 if job.itemsize == 4 else &fc_isa_table(current_isa).f64
    kept = [(axis_at.ravel(), axis_weight if axis_weight is None else axis_weight.ravel().view("uint8"))
            for axis_at, axis_weight in zip(at, weight or (None, None, None))]
    for axis in range(3):
        positions = kept[axis][0]
        job.at[axis], job.size[axis], job.out[axis] = &positions[0], x_view.shape[2 + axis], y_view.shape[2 + axis]
        if weight is not None:
            weights = kept[axis][1]
            job.weight[axis] = &weights[0]
    job.x, job.y, job.channels = <const char *>x_view.buf, <char *>y_view.buf, x_view.shape[1]
    job.x_image, job.x_channel, job.x_plane, job.x_row = x_view.strides[:4]
    job.y_image, job.y_channel = y_view.strides[:2]
    job.factor = factor if 2 <= factor <= FC_MAX_WAYS else 0
    if job.factor and job.itemsize in (1, 2, 4, 8, 16):
        fc_shuffle_table(table, job.movers.unit, job.factor, job.itemsize, 0)
        job.table = table
    job.rows = max(1, min(job.out[1], PIECE_BYTES // (job.out[2] * job.itemsize)))
    job.blocks = ceil_div(job.out[1], job.rows)
    job.row_bytes = ceil_div(job.out[2] * job.itemsize, 64) * 64 + 256          # gemm reads whole vectors
    job.scratch_bytes = 4 * job.row_bytes
    items = x_view.shape[0] * job.channels * job.out[0] * job.blocks
    if x.nbytes + y.nbytes < SERIAL_BYTES:
        threads = 1
    threads = max(1, min(threads, items, FC_MAX_THREADS))
    job.scratch = <char *>borrow(job.scratch_bytes * threads)
    with nogil:
        fc_parallel(resize_linear if job.kernels is not NULL else resize_nearest, &job, items, threads)
    give_back(job.scratch)


cdef struct ResizedRows:               # an item: some output rows of a plane
    const char *x               # of the channel
    char *y                     # of the plane
    Py_ssize_t d, first, end


cdef ResizedRows rows_of(const Resize *job, Py_ssize_t number) noexcept nogil:
    cdef ResizedRows rows
    cdef Py_ssize_t plane = number // job.blocks
    rows.first = number % job.blocks * job.rows
    rows.end = min(rows.first + job.rows, job.out[1])
    rows.d, plane = plane % job.out[0], plane // job.out[0]
    rows.x = job.x + plane // job.channels * job.x_image + plane % job.channels * job.x_channel
    rows.y = job.y + plane // job.channels * job.y_image + plane % job.channels * job.y_channel
    rows.y += rows.d * job.out[1] * job.out[2] * job.itemsize
    return rows


cdef void resize_nearest(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    cdef const Resize *job = <const Resize *>pointer
    cdef ResizedRows rows = rows_of(job, number)
    cdef Py_ssize_t h, length = job.out[2] * job.itemsize
    cdef const char *x = rows.x + job.at[0][rows.d] * job.x_plane
    cdef char *y
    for h in range(rows.first, rows.end):
        y = rows.y + h * length
        if h > rows.first and job.at[1][h] == job.at[1][h - 1]:
            memcpy(y, y - length, length)
        else:
            repeat_row(job, y, x + job.at[1][h] * job.x_row)


cdef void repeat_row(const Resize *job, char *y, const char *x) noexcept nogil:
    cdef const_pointer[16] ways
    cdef fc_interleaving how
    cdef const Py_ssize_t *at = job.at[2]
    cdef Py_ssize_t j, size = job.itemsize
    if job.factor:
        for j in range(job.factor):
            ways[j] = x
        how.ways, how.step, how.count, how.item_bytes = job.factor, job.factor, job.size[2], size
        how.table, how.rows = job.table, 1
        job.movers.interleave(y, ways, &how)
    elif size == 1:
        for j in range(job.out[2]):
            y[j] = x[at[j]]
    elif size == 4:
        for j in range(job.out[2]):
            memcpy(y + j * 4, x + at[j] * 4, 4)     # one move, aligned or not: four bytes may be of any type
    elif size == 8:
        for j in range(job.out[2]):
            memcpy(y + j * 8, x + at[j] * 8, 8)
    else:
        for j in range(job.out[2]):
            memcpy(y + j * size, x + at[j] * size, size)


cdef void resize_linear(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """Two rows, or four of two planes, by their weights; zero weights of an axis that keeps its size are left out."""
    cdef const Resize *job = <const Resize *>pointer
    cdef ResizedRows rows = rows_of(job, number)
    cdef char *scratch = job.scratch + worker * job.scratch_bytes
    cdef Py_ssize_t[4] held_d, held_h, b_row
    cdef double[4] wide
    cdef float[4] narrow
    cdef double[1] none
    cdef Py_ssize_t i, d, h, row, slot, n, at_d, at_h
    cdef double w
    cdef fc_run run
    none[0] = 0
    for i in range(4):
        held_d[i] = held_h[i] = -1
    for row in range(rows.first, rows.end):
        n = 0
        for d in range(2 if job.size[0] > 1 else 1):
            for h in range(2 if job.size[1] > 1 else 1):
                at_d, at_h = job.at[0][d * job.out[0] + rows.d], job.at[1][h * job.out[1] + row]
                slot = (at_d & 1) * 2 + (at_h & 1)
                if held_d[slot] != at_d or held_h[slot] != at_h:
                    held_d[slot], held_h[slot] = at_d, at_h
                    job.kernels.resize_row(scratch + slot * job.row_bytes,
                                           rows.x + at_d * job.x_plane + at_h * job.x_row, job.at[2], job.weight[2],
                                           job.out[2])
                w = weight_of(job, 0, d, rows.d) * weight_of(job, 1, h, row)
                wide[n] = w
                narrow[n] = <float>w
                b_row[n] = slot * job.row_bytes // job.itemsize
                n += 1
        run = fc_run(0, n)
        job.kernels.gemm(1, job.out[2], narrow if job.itemsize == 4 else <const void *>wide, &run, 1, scratch, b_row,
                         rows.y + row * job.out[2] * job.itemsize, job.out[2], none)


cdef double weight_of(const Resize *job, Py_ssize_t axis, Py_ssize_t side, Py_ssize_t out) noexcept nogil:
    cdef Py_ssize_t i = side * job.out[axis] + out
    if job.size[axis] == 1:                 # then both sides are the one entry
        return 1
    return (<const float *>job.weight[axis])[i] if job.itemsize == 4 else (<const double *>job.weight[axis])[i]


# ---- the gradient: rows are added to those that they were made from, then entries of rows

def resize_back(g, x, at, weight, Py_ssize_t threads):
    """x, (N, C, D, H, W) and zero, gets the gradient of `resize` by its input; g is that of its output."""
    cdef Resize job
    cdef Lent source = lend(g, PyBUF_STRIDES), target = lend(x, PyBUF_STRIDES | PyBUF_WRITABLE)
    cdef const Py_ssize_t[::1] positions
    cdef const unsigned char[::1] weights
    cdef Py_ssize_t axis, planes
    kept = [(axis_at.ravel(), axis_weight.ravel().view("uint8")) for axis_at, axis_weight in zip(at, weight)]
    job.itemsize = x.itemsize
    job.kernels = &fc_isa_table(current_isa).f32 if job.itemsize == 4 else &fc_isa_table(current_isa).f64
    for axis in range(3):
        positions, weights = kept[axis]
        job.at[axis], job.weight[axis] = &positions[0], &weights[0]
        job.size[axis], job.out[axis] = x.shape[2 + axis], g.shape[2 + axis]
    job.rows = len(kept[0][0]) // job.out[0]                # inputs that each output reads on an axis
    job.x, job.y = <const char *>source.view.buf, <char *>target.view.buf
    planes = x.shape[0] * x.shape[1]
    job.row_bytes = job.out[2] * job.itemsize
    job.scratch_bytes = ceil_div(job.size[0] * job.size[1] * job.row_bytes, 64) * 64
    threads = max(1, min(threads, planes, FC_MAX_THREADS))
    job.scratch = <char *>borrow(job.scratch_bytes * threads)
    with nogil:
        fc_parallel(resize_plane_back, &job, planes, threads)
    give_back(job.scratch)


cdef void resize_plane_back(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    cdef const Resize *job = <const Resize *>pointer
    cdef char *rows = job.scratch + worker * job.scratch_bytes
    cdef char *row
    cdef const char *g = job.x + number * job.out[0] * job.out[1] * job.row_bytes
    cdef char *x = job.y + number * job.size[0] * job.size[1] * job.size[2] * job.itemsize
    cdef Py_ssize_t d, h, i, j, at_d, at_h
    cdef double w
    memset(rows, 0, job.size[0] * job.size[1] * job.row_bytes)
    for d in range(job.out[0]):
        for h in range(job.out[1]):
            for i in range(job.rows if job.size[0] > 1 else 1):
                for j in range(job.rows if job.size[1] > 1 else 1):
                    w = weight_of(job, 0, i, d) * weight_of(job, 1, j, h)
                    at_d, at_h = job.at[0][i * job.out[0] + d], job.at[1][j * job.out[1] + h]
                    row = rows + (at_d * job.size[1] + at_h) * job.row_bytes
                    if job.itemsize == 4:
                        add_row(<float *>row, <const float *>g, <float>w, job.out[2])
                    else:
                        add_row(<double *>row, <const double *>g, w, job.out[2])
            g += job.row_bytes
    for h in range(job.size[0] * job.size[1]):
        for i in range(job.rows):
            if job.itemsize == 4:
                add_weighted(<float *>x, <const float *>rows, <const float *>job.weight[2] + i * job.out[2],
                             job.at[2] + i * job.out[2], job.out[2])
            else:
                add_weighted(<double *>x, <const double *>rows, <const double *>job.weight[2] + i * job.out[2],
                             job.at[2] + i * job.out[2], job.out[2])
        x += job.size[2] * job.itemsize
        rows += job.row_bytes


cdef void add_row(real *to, const real *values, real weight, Py_ssize_t count) noexcept nogil:
    """Not by gemm, which reads whole vectors: `values` is the caller's array, and may end at an unmapped page."""
    cdef Py_ssize_t i
    for i in range(count):
        to[i] = to[i] + weight * values[i]


cdef void add_weighted(real *to, const real *values, const real *weight, const Py_ssize_t *places,
                       Py_ssize_t count) noexcept nogil:
    """Places ascend: a sum is kept until the next place."""
    cdef real sum = 0
    cdef Py_ssize_t i, place = places[0]
    for i in range(count):
        if places[i] != place:
            to[place] += sum
            sum, place = 0, places[i]
        sum = sum + weight[i] * values[i]
    to[place] += sum
