"""Packing of weights and biases: from the caller's array into panels, in the order in which they are multiplied."""

cdef struct Packing:            # one source; an item is a conv group, a run of its products, and a share of its panels
    const Source *source
    const fc_real_kernels *kernels
    Py_ssize_t itemsize, panels, shares
    Py_ssize_t products, run, runs          # of a row, in the order of the caller's array; at most 1024 in a run
    const Py_ssize_t *part
    Py_ssize_t w_group, w_channel           # strides of the caller's array
    const char *weights
    char *packed
    unsigned char[256] special              # per worker: has it met a NaN or an infinity?


cdef bint pack_weights(Cut cut, const char *weights, char *packed, Py_ssize_t threads) noexcept:
    """Returns whether all are finite."""
    cdef Packing job
    cdef const Job *shape = &cut.template
    cdef Py_ssize_t i, rows_apart, items, workers
    job.kernels, job.itemsize, job.part = shape.kernels, shape.itemsize, cut.part
    job.weights, job.w_group, job.w_channel = weights, cut.w_group, cut.w_channel
    threads = max(1, min(threads, FC_MAX_THREADS))
    job.packed = packed
    memset(job.special, 0, threads)
    for i in range(cut.n_sources):
        job.source = cut.sources + i
        job.panels, job.products = job.source.packed.unit[shape.units], job.source.taps * shape.channels
        # Where channels lie farther apart than rows, all rows of a few channels at a time, so that every cache line is
        # read once; else long runs of each row.
        rows_apart = job.source.row_offset[job.source.rows - 1]
        job.run = min(1024, 16 * job.source.taps if rows_apart < cut.w_channel else 1024)
        job.runs = ceil_div(job.products, job.run)
        workers = max(1, min(threads, job.products * job.source.rows * shape.groups // PACK_SERIAL))
        items = shape.groups * job.runs
        job.shares = min(job.panels, ceil_div(4 * workers, items)) if workers > 1 else 1
        with nogil:
            fc_parallel(pack_item, &job, items * job.shares, workers)
    for i in range(threads):
        if job.special[i]:
            return False
    return True


cdef void pack_item(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    cdef Packing *job = <Packing *>pointer
    cdef const Source *source = job.source
    cdef Py_ssize_t[1024] offset, place, step
    cdef Py_ssize_t share = number % job.shares, first = number // job.shares % job.runs * job.run
    cdef Py_ssize_t group = number // job.shares // job.runs, count = min(job.run, job.products - first)
    cdef Py_ssize_t i, k, row, rows, listed = 0
    cdef const char *weights = job.weights + group * job.w_group * job.itemsize
    list_offsets(job, first, count, offset)
    for i in range(job.panels * share // job.shares, job.panels * (share + 1) // job.shares):
        row, rows = source.packed.panel[i], source.packed.panel[i + 1] - source.packed.panel[i]
        if rows != listed:
            list_places(job, first, count, group, row, rows, place, step)
            listed = rows
        else:
            for k in range(count):
                place[k] += step[k]
        if job.kernels.pack_weights(job.packed, weights, rows, source.row_offset + row, count, offset, place):
            job.special[worker] = 1


cdef void list_offsets(const Packing *job, Py_ssize_t first, Py_ssize_t count, Py_ssize_t *offset) noexcept nogil:
    """Where the products of a row lie: channels outermost, taps in the order of their offsets."""
    cdef Py_ssize_t taps = job.source.taps, c = first // taps, t = first % taps, i
    for i in range(count):
        offset[i] = job.source.tap_offset[t] + c * job.w_channel
        t += 1
        if t == taps:
            t, c = 0, c + 1


cdef void list_places(const Packing *job, Py_ssize_t first, Py_ssize_t count, Py_ssize_t group, Py_ssize_t row,
                      Py_ssize_t rows, Py_ssize_t *place, Py_ssize_t *step) noexcept nogil:
    """Where they go in the panel of `rows` that begins at `row`, and how far from there the next as high has them."""
    cdef Py_ssize_t taps = job.source.taps, c = first // taps, t = first % taps, part = 0, i
    cdef const Spot *spot
    while job.part[part + 1] <= c:
        part += 1
    for i in range(count):
        spot = job.source.spot + part * taps + t
        place[i] = spot.start + group * spot.group + (spot.first + c) * rows + row * spot.length
        step[i] = rows * spot.length
        t += 1
        if t == taps:
            t, c = 0, c + 1
            if c == job.part[part + 1]:
                part += 1


cdef void pack_biases(Cut cut, const char *biases, char *packed) noexcept:
    cdef const Job *job = &cut.template
    cdef const Packed *group
    cdef Py_ssize_t i, g, row
    for i in range(job.n_groups):
        group = cut.packed + i
        for g in range(job.groups):
            for row in range(job.outputs * group.group.phases):
                memcpy(packed + (group.bias_at + g * job.outputs * group.group.phases + row) * job.itemsize,
                       biases + (g * cut.b_group + group.bias_offset[row]) * job.itemsize, job.itemsize)
