"""The gradient of a kernel: a product of two images over their pixels, one matrix product per tap.

    sums[g, m, k, c] += sum over q of small[g, m, q] * large[g, c, q*step + k*dilation - lo]

Both images are transposed, a band at a time, a pixel's channels side by side; then a tap is an offset, and the gemm
kernel reads `large` where it lies. Pixels beyond its edges are left out of the sum. The sum is cut into blocks of
FC_BLOCK_K pixels, added up in order: neither bands nor threads have a part in it.
"""

cdef enum:
    GRADIENT_BYTES = 16 << 20   # of both images of a band, about: it bounds the memory, and stays in L3
    GRADIENT_PANELS = 8         # panels of an item: they share the list of live pixels, and 32 KiB of `large` in L1


cdef struct KernelSum:
    const fc_real_kernels *kernels
    Py_ssize_t itemsize, groups, outputs, channels, taps    # outputs of `small` and channels of `large` per group
    Py_ssize_t panels, panel_ranges, strips                 # of outputs, of panels, of channels
    Py_ssize_t q_size, x_size                               # pixels of either image
    Py_ssize_t band, bands                                  # pixels of `small` of a band, and how many there are
    Py_ssize_t q_first, q_count, x_first, x_count           # of the band that is transposed
    Py_ssize_t[3] q, x, kernel, step, dilation, lo
    const char *small
    const char *large
    char *sums
    char *q_pack                # [group][panel][pixel][output]
    char *x_pack                # [group][strip][pixel][channel]


def kernel_sums(small, large, sums, step, dilation, lo, Py_ssize_t groups, Py_ssize_t threads):
    """Adds to sums, (M, K_d, K_h, K_w, C / groups): small is (N, M, *Q), large (N, C, *X), all contiguous."""
    cdef KernelSum job
    cdef const fc_isa *isa = fc_isa_table(current_isa)
    cdef const unsigned char[::1] q = small.reshape(-1).view("uint8"), x = large.reshape(-1).view("uint8")
    cdef unsigned char[::1] y = sums.reshape(-1).view("uint8")
    cdef Py_ssize_t n, band, widest = 0, images = small.shape[0], pixel
    if q.shape[0] == 0 or x.shape[0] == 0 or y.shape[0] == 0:
        return
    job.itemsize, job.groups = small.itemsize, groups
    job.kernels = &isa.f32 if job.itemsize == 4 else &isa.f64
    job.outputs, job.channels = small.shape[1] // groups, large.shape[1] // groups
    job.q[:], job.x[:], job.kernel[:] = small.shape[2:], large.shape[2:], sums.shape[1:4]
    job.lo[:] = lo
    for n in range(3):
        job.step[n] = taken_step(step[n], job.q[n], job.x[n])
        job.dilation[n] = taken_step(dilation[n], job.kernel[n], job.x[n])
    job.taps = job.kernel[0] * job.kernel[1] * job.kernel[2]
    job.q_size, job.x_size = job.q[0] * job.q[1] * job.q[2], job.x[0] * job.x[1] * job.x[2]
    job.panels = ceil_div(job.outputs, job.kernels.rows)
    job.panel_ranges = ceil_div(job.panels, GRADIENT_PANELS)
    job.strips = ceil_div(job.channels, job.kernels.columns)
    job.sums = <char *>&y[0]
    products = groups * job.outputs * job.channels * job.taps * job.q_size
    threads = max(1, min(threads, FC_MAX_THREADS, 1 + products // SERIAL_PRODUCTS))
    pixel = groups * (job.outputs + job.channels * job.step[0] * job.step[1] * job.step[2]) * job.itemsize
    job.band = max(1, GRADIENT_BYTES // (pixel * FC_BLOCK_K)) * FC_BLOCK_K
    job.bands = ceil_div(job.q_size, job.band)
    job.q_pack = job.x_pack = NULL
    try:
        for n in range(job.bands):
            set_band(&job, n)
            widest = max(widest, job.x_count)
        job.q_pack = <char *>borrow(groups * job.outputs * min(job.q_size, job.band) * job.itemsize)
        # Whole vectors are read: up to four, less one column, past the last pixel.
        job.x_pack = <char *>borrow((groups * job.channels * widest + 4 * job.kernels.lanes) * job.itemsize)
        with nogil:
            for n in range(images):
                job.small = <const char *>&q[0] + n * groups * job.outputs * job.q_size * job.itemsize
                job.large = <const char *>&x[0] + n * groups * job.channels * job.x_size * job.itemsize
                for band in range(job.bands):
                    set_band(&job, band)
                    fc_parallel(transpose_item, &job, groups * (job.panels + job.strips), threads)
                    fc_parallel(kernel_item, &job, groups * job.strips * job.taps * job.panel_ranges, threads)
    finally:
        give_back(job.q_pack)
        give_back(job.x_pack)


cdef void set_band(KernelSum *job, Py_ssize_t band) noexcept nogil:
    """Pixels of `small` of a band, and the rows of `large` (planes, in volumes) that its taps read."""
    cdef Py_ssize_t axis = 0, q_row, x_row, first, end
    job.q_first = band * job.band
    job.q_count = min(job.band, job.q_size - job.q_first)
    while axis < 2 and job.q[axis] == job.x[axis] == job.kernel[axis] == 1:
        axis += 1
    q_row, x_row = job.q_size // job.q[axis], job.x_size // job.x[axis]
    first = job.q_first // q_row * job.step[axis] - job.lo[axis]
    end = ((job.q_first + job.q_count - 1) // q_row * job.step[axis] + (job.kernel[axis] - 1) * job.dilation[axis]
           - job.lo[axis] + 1)
    first, end = max(<Py_ssize_t>0, first), min(job.x[axis], end)
    job.x_first, job.x_count = first * x_row, max(<Py_ssize_t>0, end - first) * x_row


cdef void transpose_item(void *pointer, Py_ssize_t item, Py_ssize_t worker) noexcept nogil:
    """One panel of outputs of `small`, or one strip of channels of `large`."""
    cdef const KernelSum *job = <const KernelSum *>pointer
    cdef Py_ssize_t g = item // (job.panels + job.strips), i = item % (job.panels + job.strips)
    if i < job.panels:
        transpose(job, job.q_pack, job.small, g, i, job.panels, job.outputs, job.q_size, job.q_first, job.q_count)
    else:
        transpose(job, job.x_pack, job.large, g, i - job.panels, job.strips, job.channels, job.x_size, job.x_first,
                  job.x_count)


cdef void transpose(const KernelSum *job, char *to, const char *rows, Py_ssize_t g, Py_ssize_t i, Py_ssize_t parts,
                    Py_ssize_t channels, Py_ssize_t size, Py_ssize_t from_pixel, Py_ssize_t pixels) noexcept nogil:
    cdef Py_ssize_t[256] row, pixel, place
    cdef Py_ssize_t first = channels * i // parts, count = channels * (i + 1) // parts - first
    cdef Py_ssize_t block, p, n
    to += (g * channels + first) * pixels * job.itemsize
    rows += ((g * channels + first) * size + from_pixel) * job.itemsize
    for p in range(count):
        row[p] = p * size
    for p in range(FC_BLOCK_K):
        pixel[p], place[p] = p, p * count
    for block in range(ceil_div(pixels, FC_BLOCK_K)):
        p = block * FC_BLOCK_K
        n = min(<Py_ssize_t>FC_BLOCK_K, pixels - p)
        job.kernels.pack_weights(to + p * count * job.itemsize, rows + p * job.itemsize, count, row, n,
                                 pixel, place)


cdef void kernel_item(void *pointer, Py_ssize_t item, Py_ssize_t worker) noexcept nogil:
    """One tap of some panels of outputs and one strip of channels, over all pixels."""
    cdef const KernelSum *job = <const KernelSum *>pointer
    cdef Py_ssize_t part = item % job.panel_ranges, tap = item // job.panel_ranges % job.taps
    cdef Py_ssize_t strip = item // (job.panel_ranges * job.taps) % job.strips
    cdef Py_ssize_t g = item // (job.panel_ranges * job.taps * job.strips)
    cdef Py_ssize_t c0 = job.channels * strip // job.strips
    cdef Py_ssize_t columns = job.channels * (strip + 1) // job.strips - c0, first, n_runs, block, i
    cdef Py_ssize_t r0, rows
    cdef const char *x = job.x_pack + (g * job.channels + c0) * job.x_count * job.itemsize
    cdef fc_run[256] runs
    cdef Py_ssize_t[256] b_row
    for block in range(ceil_div(job.q_count, FC_BLOCK_K)):
        first = block * FC_BLOCK_K
        n_runs = live_pixels(job, tap, job.q_first + first,
                             job.q_first + min(first + FC_BLOCK_K, job.q_count), columns, runs, b_row)
        if n_runs == 0:
            continue
        for i in range(job.panels * part // job.panel_ranges, job.panels * (part + 1) // job.panel_ranges):
            r0 = job.outputs * i // job.panels
            rows = job.outputs * (i + 1) // job.panels - r0
            job.kernels.gemm(
                rows, columns, job.q_pack + ((g * job.outputs + r0) * job.q_count + first * rows) * job.itemsize, runs,
                n_runs, x, b_row,
                job.sums + (((g * job.outputs + r0) * job.taps + tap) * job.channels + c0) * job.itemsize,
                job.taps * job.channels, NULL)


cdef Py_ssize_t live_pixels(const KernelSum *job, Py_ssize_t tap, Py_ssize_t first, Py_ssize_t end, Py_ssize_t pitch,
                            fc_run *runs, Py_ssize_t *b_row) noexcept nogil:
    """Lists the pixels first .. end-1 for which `tap` reads inside `large`, and where; returns the number of runs."""
    cdef Py_ssize_t kernel_w = job.kernel[2], kernel_h = job.kernel[1], width = job.q[2]
    cdef Py_ssize_t at_w = tap % kernel_w * job.dilation[2] - job.lo[2]
    cdef Py_ssize_t at_h = tap // kernel_w % kernel_h * job.dilation[1] - job.lo[1]
    cdef Py_ssize_t at_d = tap // (kernel_w * kernel_h) * job.dilation[0] - job.lo[0]
    cdef Py_ssize_t p = first, row, w, stop, d, h, live = 0, n_runs = 0
    while p < end:
        row, w = p // width, p % width
        stop = min(width, w + end - p)
        d, h = row // job.q[1] * job.step[0] + at_d, row % job.q[1] * job.step[1] + at_h
        p += stop - w
        if d < 0 or d >= job.x[0] or h < 0 or h >= job.x[1]:
            continue
        if at_w < 0:
            w = max(w, ceil_div(-at_w, job.step[2]))
        if at_w >= job.x[2]:
            continue
        stop = min(stop, (job.x[2] - 1 - at_w) // job.step[2] + 1)
        if w >= stop:
            continue
        row = row * width
        if n_runs and runs[n_runs - 1].first + runs[n_runs - 1].count == row + w - first:
            runs[n_runs - 1].count += stop - w
        else:
            runs[n_runs].first, runs[n_runs].count = row + w - first, stop - w
            n_runs += 1
        row = (d * job.x[1] + h) * job.x[2] + at_w - job.x_first
        while w < stop:
            b_row[live] = (row + w * job.step[2]) * pitch
            live += 1
            w += 1
    return n_runs
