"""Pooling: windows joined one output row at a time, their rows first and then their columns.

Other dtypes than float32 and float64, and maxima whose place is wanted, go entry by entry (PlainPool, below).
"""

cdef enum:
    JOINED_BYTES = 12 << 10     # of joined rows: with the image rows that they come from, half of a small L1
    JOINED_ROWS = 64            # at most
    JOINED_LIMIT = 64 << 10     # of one that is padded to be read tap by tap
    POOL_ITEM_BYTES = 64 << 10  # of the image, for an item
    POOL_THREAD_BYTES = 128 << 10   # of input and output, below which waking a thread costs more than it brings


cdef struct Windows:            # of an axis: fastconv/geometry/calls.py
    Py_ssize_t size, out, kernel, stride, lo, hi, step
    int adaptive


cdef struct Window:             # input positions first, first + step ... count of them; a mean may divide by extent,
    Py_ssize_t first, count, extent     # which counts padding as well


cdef Window window(const Windows *axis, Py_ssize_t o) noexcept nogil:
    cdef Py_ssize_t start, rest, taps = axis.kernel, cut = 0
    if axis.adaptive:           # o*size could overflow
        rest = axis.size % axis.out
        start = o * (axis.size // axis.out) + o * rest // axis.out
        taps = (o + 1) * (axis.size // axis.out) + ceil_div((o + 1) * rest, axis.out) - start
        return Window(start, taps, taps)
    start = o * axis.stride - axis.lo
    if start < 0:
        cut = min(taps, ceil_div(-start, axis.step))
    if start + (taps - 1) * axis.step >= axis.size:
        taps = max(cut, ceil_div(max(<Py_ssize_t>0, axis.size - start), axis.step))
    return Window(start + cut * axis.step, taps - cut, min(axis.kernel, axis.size + axis.hi - start))


cdef int read_windows(Windows *axes, windows) except -1:
    cdef Py_ssize_t i
    for i in range(3):
        axes[i].size, axes[i].out, axes[i].kernel, axes[i].stride, *rest = windows[i]
        axes[i].lo, axes[i].hi, axes[i].step, axes[i].adaptive = rest
    return 0


cdef struct PoolJob:
    const fc_real_kernels *kernels
    Windows[3] axis
    int mean, count_padding
    double divisor              # in place of a count, if not 0
    int runs                    # columns are joined by runs, not by taps
    int direct                  # ... of the image itself, where every window has one row
    int y_dense                 # the rows of y follow each other from plane to plane
    const char *x
    char *y
    Py_ssize_t itemsize, x_image, x_channel, y_image, y_channel     # strides in elements
    Py_ssize_t[2] pitch
    Py_ssize_t channels, rows                   # rows of all output planes
    Py_ssize_t inner, inner_end                 # rows of a plane whose windows lie inside it, on their axis
    Py_ssize_t columns, column_blocks           # outputs of a block
    Py_ssize_t reach            # input positions, with their padding, that a block reads of a joined row
    Py_ssize_t joined_pitch, joined_rows
    Py_ssize_t item_rows, items, threads
    Py_ssize_t scratch_bytes    # of a worker: [joined rows][divisors of columns][of rows][first][length]
    char *scratch


cdef struct PoolItem:           # a block of columns
    Py_ssize_t j, count         # its outputs
    Py_ssize_t a, b             # its input positions
    Py_ssize_t margin           # padding before a
    char *joined
    char *columns
    char *rows
    Py_ssize_t *first
    Py_ssize_t *length


cdef struct PoolRow:            # an output row
    Py_ssize_t image, channel, d, h


cdef class Pool:
    """The windows of one pooling, on three axes. Immutable; threads may share it."""

    cdef PoolJob template

    def __cinit__(self, windows, bint mean, bint count_padding=True, double divisor=0):
        read_windows(self.template.axis, windows)
        self.template.mean, self.template.count_padding, self.template.divisor = mean, count_padding, divisor

    def run(self, x, y, Py_ssize_t threads):
        """y = the maxima or means of x, five axes each, float32 or float64; fastconv/pool.py says how they lie."""
        cdef PoolJob job = self.template
        cdef const fc_isa *isa = fc_isa_table(current_isa)
        if y.itemsize == 4:
            job.kernels, job.itemsize = &isa.f32, 4
            bind_pool[float](&job, x, y)
        else:
            job.kernels, job.itemsize = &isa.f64, 8
            bind_pool[double](&job, x, y)
        job.threads = max(1, min(threads, FC_MAX_THREADS, (x.nbytes + y.nbytes) // POOL_THREAD_BYTES))
        cut_columns(&job)
        cut_rows(&job)
        job.scratch = <char *>borrow(job.scratch_bytes * job.threads)
        with nogil:
            fc_parallel(pool_item, &job, job.items, job.threads)
        give_back(job.scratch)


cdef int bind_pool(PoolJob *job, const real[:, :, :, :, :] x, real[:, :, :, :, :] y) except -1:
    """Addresses and strides of input and output."""
    cdef Py_ssize_t size = sizeof(real), plane = job.axis[0].out * job.axis[1].out * job.axis[2].out
    job.x, job.y = <const char *>&x[0, 0, 0, 0, 0], <char *>&y[0, 0, 0, 0, 0]
    job.x_image, job.x_channel = x.strides[0] // size, x.strides[1] // size
    job.pitch[0], job.pitch[1] = x.strides[2] // size, x.strides[3] // size
    job.y_image, job.y_channel = y.strides[0] // size, y.strides[1] // size
    job.channels = x.shape[1]
    job.rows = x.shape[0] * job.channels * job.axis[0].out * job.axis[1].out
    job.y_dense = ((job.channels == 1 or job.y_channel == plane)
                   and (x.shape[0] == 1 or job.y_image == job.channels * plane))
    return 0


cdef bint runs_pay(const PoolJob *job) noexcept nogil:
    """Are columns cheaper by one reduction per output than by one vector of outputs per tap?

    Looks at the windows only: the choice decides the order of a sum.
    """
    cdef const Windows *axis = &job.axis[2]
    cdef double lanes = <double>job.kernels.lanes, taps, runs
    if axis.adaptive or (lanes * axis.stride + (axis.kernel - 1.) * axis.step) * job.itemsize > JOINED_LIMIT:
        return True
    taps = axis.kernel * axis.stride            # per vector of outputs
    if axis.stride > 2:
        taps = min(taps, 1.5 * lanes * axis.kernel) + 1.5 * lanes
    taps *= ceil_div(axis.out, job.kernels.lanes)
    runs = axis.out * (axis.kernel / lanes + 12 if axis.kernel >= lanes else 3. * axis.kernel)
    return axis.step == 1 and runs < taps


cdef bint one_row(const Windows *axis) noexcept nogil:
    """Does every window have one entry on this axis, and never padding?"""
    return axis.kernel == 1 and axis.lo == 0 and axis.hi == 0 and not axis.adaptive


cdef void cut_columns(PoolJob *job) noexcept nogil:
    """Blocks of output columns whose joined row is within JOINED_BYTES, if a window is."""
    cdef const Windows *axis = &job.axis[2]
    cdef Py_ssize_t most = JOINED_BYTES // job.itemsize, lanes = job.kernels.lanes
    cdef Py_ssize_t span = (axis.kernel - 1) * axis.step + 1, stride = axis.stride
    job.runs = runs_pay(job)
    job.direct = job.runs and one_row(&job.axis[0]) and one_row(&job.axis[1])
    if job.direct:
        most = POOL_ITEM_BYTES // job.itemsize
    if axis.adaptive:
        span = stride = axis.size // axis.out + 2
    job.columns = max(most - span, <Py_ssize_t>0) // stride + 1
    if job.columns < axis.out and job.columns > lanes:
        job.columns -= job.columns % lanes
    elif not job.runs:
        job.columns = max(job.columns, lanes)
    job.columns = axis.out if job.runs and axis.step > 1 else min(job.columns, axis.out)
    job.column_blocks = ceil_div(axis.out, job.columns)
    if job.runs and axis.step > 1:      # dilated too far to be padded: the row as it is
        job.reach = axis.size
    elif job.runs:
        job.reach = min(axis.size, (job.columns - 1) * stride + span)
    else:                               # whole vectors of outputs
        job.reach = ceil_div(job.columns, lanes) * lanes * stride + span - 1
    job.joined_pitch = ceil_div(job.reach, lanes) * lanes + lanes       # stores begin anywhere and are whole vectors


cdef void cut_rows(PoolJob *job) noexcept nogil:
    """Items of about POOL_ITEM_BYTES, and enough of them for every thread."""
    cdef const Windows *axis = &job.axis[1]
    cdef Py_ssize_t row_bytes = job.joined_pitch * job.itemsize
    job.item_rows = min(job.rows, POOL_ITEM_BYTES // (row_bytes * max(<Py_ssize_t>1, axis.size // axis.out)) + 1)
    while job.item_rows > 1 and job.column_blocks * ceil_div(job.rows, job.item_rows) < 4 * job.threads:
        job.item_rows = ceil_div(job.item_rows, 2)
    job.items = job.column_blocks * ceil_div(job.rows, job.item_rows)
    job.threads = min(job.threads, job.items)
    job.inner = job.inner_end = 0
    if not axis.adaptive and axis.size > (axis.kernel - 1) * axis.step:
        job.inner = min(axis.out, ceil_div(axis.lo, axis.stride))
        job.inner_end = min(axis.out, (axis.size - 1 - (axis.kernel - 1) * axis.step + axis.lo) // axis.stride + 1)
    job.joined_rows = max(<Py_ssize_t>1, min(job.item_rows, min(<Py_ssize_t>JOINED_ROWS, JOINED_BYTES // row_bytes)))
    job.scratch_bytes = 0 if job.direct else row_bytes * (job.joined_rows + 1)
    if job.mean:
        job.scratch_bytes += ceil_div((job.columns + JOINED_ROWS) * job.itemsize, 64) * 64
    if job.runs:
        job.scratch_bytes += ceil_div(2 * job.columns * <Py_ssize_t>sizeof(Py_ssize_t), 64) * 64


cdef void pool_item(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """Some output rows of a block of columns, as many at a time as are joined in L1."""
    cdef PoolJob *job = <PoolJob *>pointer
    cdef PoolItem item
    cdef Py_ssize_t plane = job.axis[0].out * job.axis[1].out, n
    cdef Py_ssize_t row = number // job.column_blocks * job.item_rows, end = min(job.rows, row + job.item_rows)
    prepare_columns(job, &item, number % job.column_blocks, job.scratch + worker * job.scratch_bytes)
    while row < end:
        n = min(job.joined_rows, end - row)
        if not job.y_dense:
            n = min(n, plane - row % plane)
        if job.direct:
            n = min(n, job.axis[1].out - row % job.axis[1].out)
        join_rows(job, &item, row, n)
        join_columns(job, &item, row, n)
        row += n


cdef void prepare_columns(const PoolJob *job, PoolItem *item, Py_ssize_t block, char *scratch) noexcept nogil:
    """What the rows of an item share: where columns are read, the padding around them, what sums are divided by."""
    cdef const Windows *axis = &job.axis[2]
    cdef Py_ssize_t j, start, pitch = job.joined_pitch * job.itemsize
    cdef Window cut
    item.j = block * job.columns
    item.count = min(job.columns, axis.out - item.j)
    item.joined, item.margin = scratch, 0
    item.columns = scratch if job.direct else scratch + pitch * (job.joined_rows + 1)
    item.rows = item.columns + job.columns * job.itemsize
    item.first = <Py_ssize_t *>(item.columns + (ceil_div((job.columns + JOINED_ROWS) * job.itemsize, 64) * 64
                                                if job.mean else 0))
    item.length = item.first + job.columns
    if job.runs and axis.step > 1:
        item.a, item.b = 0, axis.size
    elif job.runs:
        item.a = window(axis, item.j).first
        cut = window(axis, item.j + item.count - 1)
        item.b = cut.first + cut.count
    else:
        start = item.j * axis.stride - axis.lo
        item.a = min(axis.size, max(<Py_ssize_t>0, start))
        item.b = max(item.a, min(axis.size, start + (item.count - 1) * axis.stride + (axis.kernel - 1) * axis.step + 1))
        item.margin = item.a - start
        item.joined += (job.kernels.lanes - item.margin % job.kernels.lanes) * job.itemsize     # stores are aligned
        if job.itemsize == 4:
            pad_columns(job, item, <float *>item.joined)
        else:
            pad_columns(job, item, <double *>item.joined)
    if job.runs or job.mean:
        for j in range(item.count):
            cut = window(axis, item.j + j)
            if job.runs:
                item.first[j], item.length[j] = cut.first - item.a, cut.count
            if job.mean and job.divisor:
                put(job, item.columns, j, job.divisor)
            elif job.mean:
                put(job, item.columns, j, <double>(cut.extent if job.count_padding else cut.count))


cdef inline void put(const PoolJob *job, char *to, Py_ssize_t i, double value) noexcept nogil:
    if job.itemsize == 4:
        (<float *>to)[i] = <float>value
    else:
        (<double *>to)[i] = value


cdef void pad_columns(const PoolJob *job, const PoolItem *item, real *joined) noexcept nogil:
    """What joins nothing, before and behind the whole vectors that join_rows writes."""
    cdef real nothing = 0 if job.mean else -INFINITY
    cdef Py_ssize_t i, r, lanes = job.kernels.lanes
    for r in range(job.joined_rows):
        for i in range(item.margin):
            joined[i] = nothing
        for i in range(item.margin + ceil_div(item.b - item.a, lanes) * lanes, job.reach):
            joined[i] = nothing
        joined += job.joined_pitch


cdef PoolRow locate(const PoolJob *job, Py_ssize_t number) noexcept nogil:
    cdef PoolRow row
    row.h, number = number % job.axis[1].out, number // job.axis[1].out
    row.d, number = number % job.axis[0].out, number // job.axis[0].out
    row.image, row.channel = number // job.channels, number % job.channels
    return row


cdef void join_rows(const PoolJob *job, const PoolItem *item, Py_ssize_t number, Py_ssize_t n) noexcept nogil:
    """The rows of the windows of n output rows become one each; those that lie alike in a plane, in one go."""
    cdef PoolRow row = locate(job, number)
    cdef Window d = window(&job.axis[0], row.d), h
    cdef Py_ssize_t done = 0, i
    cdef fc_rows alike
    cdef double divisor
    alike.step = job.axis[1].stride * job.pitch[1]
    alike.plane_step, alike.row_step = job.axis[0].step * job.pitch[0], job.axis[1].step * job.pitch[1]
    while done < n:
        h = window(&job.axis[1], row.h)
        alike.outputs, alike.planes, alike.rows = 1, d.count, h.count
        if job.inner <= row.h < job.inner_end:
            alike.outputs = min(n - done, job.inner_end - row.h)
        if not job.direct:
            (job.kernels.sum_rows if job.mean else job.kernels.max_rows)(
                item.joined + (done * job.joined_pitch + item.margin) * job.itemsize, job.joined_pitch,
                job.x + (row.image * job.x_image + row.channel * job.x_channel + d.first * job.pitch[0]
                         + h.first * job.pitch[1] + item.a) * job.itemsize,
                &alike, item.b - item.a)
        if job.mean:
            divisor = <double>d.extent * h.extent if job.count_padding else <double>d.count * h.count
            for i in range(done, done + alike.outputs):
                put(job, item.rows, i, 1 if job.divisor else divisor)
        done += alike.outputs
        row.h += alike.outputs
        if row.h == job.axis[1].out:
            row = locate(job, number + done)
            d = window(&job.axis[0], row.d)


cdef void join_columns(const PoolJob *job, const PoolItem *item, Py_ssize_t number, Py_ssize_t n) noexcept nogil:
    """The columns of the windows of n output rows become their outputs."""
    cdef const Windows *axis = &job.axis[2]
    cdef PoolRow row = locate(job, number)
    cdef const char *joined = item.joined
    cdef char *y = job.y + (row.image * job.y_image + row.channel * job.y_channel + item.j
                            + (row.d * job.axis[1].out + row.h) * axis.out) * job.itemsize
    cdef fc_columns columns = fc_columns(n, job.joined_pitch, axis.out, item.count, axis.step, axis.kernel, axis.stride,
                                         item.first, item.length)
    if job.direct:
        columns.pitch = job.axis[1].stride * job.pitch[1]
        joined = job.x + (row.image * job.x_image + row.channel * job.x_channel
                          + row.d * job.axis[0].stride * job.pitch[0] + row.h * columns.pitch + item.a) * job.itemsize
    if job.runs and job.mean:
        job.kernels.mean_runs(y, joined, &columns, item.columns, item.rows)
    elif job.runs:
        job.kernels.max_runs(y, joined, &columns)
    elif job.mean:
        job.kernels.mean_taps(y, joined, &columns, item.columns, item.rows)
    else:
        job.kernels.max_taps(y, joined, &columns)


# ---------------------------------------------------------------------------------------------- entry by entry

ctypedef fused number:
    int8_t
    uint8_t
    int16_t
    uint16_t
    int32_t
    uint32_t
    int64_t
    uint64_t
    float
    double
    long_double


cdef struct PlainPool:
    Windows[3] axis
    Py_ssize_t kind
    const void *x
    void *y
    Py_ssize_t *indices         # NULL if nobody asks
    const void *lowest          # the maximum of nothing


PLAIN_DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64",
                "longdouble")


def max_pool(windows, x, y, lowest, indices, Py_ssize_t kind, Py_ssize_t threads):
    """y = the maxima of x, and indices where they lie in their planes; flat arrays of PLAIN_DTYPES[kind] as bytes."""
    cdef PlainPool job
    cdef const unsigned char[::1] source = x, nothing = lowest
    cdef unsigned char[::1] target = y
    cdef int64_t[::1] places
    cdef Py_ssize_t rows
    read_windows(job.axis, windows)
    job.kind, job.x, job.y, job.lowest, job.indices = kind, &source[0], &target[0], &nothing[0], NULL
    if indices is not None:
        places = indices
        job.indices = <Py_ssize_t *>&places[0]
    rows = x.size // lowest.size // (job.axis[0].size * job.axis[1].size * job.axis[2].size)
    rows *= job.axis[0].out * job.axis[1].out
    threads = min(threads, 1 + (source.size + target.size) // POOL_THREAD_BYTES)
    with nogil:
        fc_parallel(plain_row, &job, rows, threads)


cdef void plain_row(void *pointer, Py_ssize_t row, Py_ssize_t worker) noexcept nogil:
    cdef const PlainPool *job = <const PlainPool *>pointer
    if job.kind == 0:
        largest_of_row(job, row, <const int8_t *>job.x, <int8_t *>job.y)
    elif job.kind == 1:
        largest_of_row(job, row, <const uint8_t *>job.x, <uint8_t *>job.y)
    elif job.kind == 2:
        largest_of_row(job, row, <const int16_t *>job.x, <int16_t *>job.y)
    elif job.kind == 3:
        largest_of_row(job, row, <const uint16_t *>job.x, <uint16_t *>job.y)
    elif job.kind == 4:
        largest_of_row(job, row, <const int32_t *>job.x, <int32_t *>job.y)
    elif job.kind == 5:
        largest_of_row(job, row, <const uint32_t *>job.x, <uint32_t *>job.y)
    elif job.kind == 6:
        largest_of_row(job, row, <const int64_t *>job.x, <int64_t *>job.y)
    elif job.kind == 7:
        largest_of_row(job, row, <const uint64_t *>job.x, <uint64_t *>job.y)
    elif job.kind == 8:
        largest_of_row(job, row, <const float *>job.x, <float *>job.y)
    elif job.kind == 9:
        largest_of_row(job, row, <const double *>job.x, <double *>job.y)
    else:
        largest_of_row(job, row, <const long_double *>job.x, <long_double *>job.y)


cdef void largest_of_row(const PlainPool *job, Py_ssize_t row, const number *x, number *y) noexcept nogil:
    """The first of the largest entries of each window; the last NaN if there is one."""
    cdef const Windows *axis = &job.axis[0]
    cdef Py_ssize_t plane = row // axis[1].out // axis[0].out * axis[0].size, j, i_d, i_h, i_w, at, best
    cdef Window d = window(axis, row // axis[1].out % axis[0].out), h = window(axis + 1, row % axis[1].out), w
    cdef number largest
    cdef const number *entry = x + plane * axis[1].size * axis[2].size
    for j in range(axis[2].out):
        w = window(axis + 2, j)
        best, largest = -1, (<const number *>job.lowest)[0]
        for i_d in range(d.count):
            for i_h in range(h.count):
                at = (((d.first + i_d * axis[0].step) * axis[1].size + h.first + i_h * axis[1].step) * axis[2].size
                      + w.first)
                for i_w in range(w.count):
                    if best < 0 or entry[at] > largest or entry[at] != entry[at]:
                        best, largest = at, entry[at]
                    at += axis[2].step
        y[row * axis[2].out + j] = largest
        if job.indices:
            job.indices[row * axis[2].out + j] = best


# ---- the gradient of a maximum: each output's goes to the place that was the largest

cdef struct Scatter:
    const int64_t *places
    const char *values
    char *to
    Py_ssize_t count, size, itemsize        # values and entries of a plane


def scatter(const int64_t[:, ::1] places, values, to, Py_ssize_t threads):
    """to[p, places[p, i]] += values[p, i]; a place of -1 is none. The caller sees to it that places lie in a plane."""
    cdef Scatter job
    cdef Lent source = lend(values, PyBUF_SIMPLE), target = lend(to, PyBUF_SIMPLE | PyBUF_WRITABLE)
    job.places, job.values, job.to = &places[0, 0], <const char *>source.view.buf, <char *>target.view.buf
    job.count, job.size, job.itemsize = places.shape[1], to.shape[1], to.itemsize
    with nogil:
        fc_parallel(scatter_plane, &job, places.shape[0], threads)


cdef void scatter_plane(void *pointer, Py_ssize_t plane, Py_ssize_t worker) noexcept nogil:
    cdef const Scatter *job = <const Scatter *>pointer
    cdef const char *values = job.values + plane * job.count * job.itemsize
    cdef char *to = job.to + plane * job.size * job.itemsize
    if job.itemsize == 4:
        add_at(<float *>to, <const float *>values, job.places + plane * job.count, job.count)
    else:
        add_at(<double *>to, <const double *>values, job.places + plane * job.count, job.count)


cdef void add_at(real *to, const real *values, const int64_t *places, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        if places[i] >= 0:
            to[places[i]] += values[i]
