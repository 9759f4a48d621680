"""What lies in the padding, where it is not zeros: positions beyond an end are folded back onto the axis.

Packers first fill padding with zeros, as they do for everybody; then the functions below overwrite it, from the image
itself. So there is no padded copy of the image, and an image's inside costs nothing more.
"""

cdef enum:                      # the order of PADDING_MODES in fastconv/geometry/arguments.py
    ZEROS = 0
    REFLECT = 1                 # about the first and the last pixel, which are not repeated
    REPLICATE = 2
    CIRCULAR = 3


cdef Py_ssize_t fold(int border, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """The pixel of the axis that stands for position `at`; -1 if none does.

    One fold is enough for padding (geometry/rules.py sees to it). Behind it lie positions that no output reads.
    """
    if 0 <= at < size:
        return at
    if border == ZEROS or size == 0:
        return -1
    if border == REPLICATE:
        return 0 if at < 0 else size - 1
    if border == REFLECT:
        at = -at if at < 0 else 2 * (size - 1) - at
    else:
        at += size if at < 0 else -size
    return at if 0 <= at < size else -1


cdef void copy_entry(char *to, const char *pixel, Py_ssize_t itemsize) noexcept nogil:
    if itemsize == 4:
        (<uint32_t *>to)[0] = (<const uint32_t *>pixel)[0]
    else:
        (<uint64_t *>to)[0] = (<const uint64_t *>pixel)[0]


cdef void fill_panel(const Job *job, const fc_image *image, const Packed *packed, const Block *block, Py_ssize_t pixel,
                     Py_ssize_t count, char *panel) noexcept nogil:
    """The padding of a panel, whose dead rows are not left out: see kernels/panel.h."""
    cdef Py_ssize_t width = image.grid[2], end = pixel + count, column = 0, t, w, h, d, n
    cdef Py_ssize_t tap_bytes = (block.c1 - block.c0) * job.panel_pitch * job.itemsize
    while pixel < end:
        w, h, d = pixel % width, pixel // width % image.grid[1], pixel // width // image.grid[1]
        n = min(width - w, end - pixel)
        for t in range(block.t0, block.t1):
            fill_segment(job, image, packed.group.offset + 3 * t, block.c1 - block.c0, d, h, w, n,
                         panel + (t - block.t0) * tap_bytes + column * job.itemsize)
        pixel += n
        column += n


cdef void fill_segment(const Job *job, const fc_image *image, const Py_ssize_t *offset, Py_ssize_t channels,
                       Py_ssize_t d, Py_ssize_t h, Py_ssize_t w, Py_ssize_t count, char *panel) noexcept nogil:
    """... of one tap and neighbouring outputs of a row."""
    cdef Py_ssize_t step = image.step[2], size = image.size[2], lo = 0, hi = 0, i, c, at
    cdef Py_ssize_t at_d = d * image.step[0] + image.origin[0] + offset[0]
    cdef Py_ssize_t at_h = h * image.step[1] + image.origin[1] + offset[1]
    cdef Py_ssize_t at_w = w * step + image.origin[2] + offset[2]
    cdef Py_ssize_t in_d = fold(job.border, at_d, image.size[0]), in_h = fold(job.border, at_h, image.size[1])
    cdef const char *row = <const char *>image.pixels + (in_d * image.pitch[0] + in_h * image.pitch[1]) * job.itemsize
    if in_d < 0 or in_h < 0:
        return
    if in_d == at_d and in_h == at_h:
        lo = min(count, ceil_div(max(0, -at_w), step))
        hi = max(lo, min(count, ceil_div(max(0, size - at_w), step)))
    for i in range(count - (hi - lo)):
        i += (hi - lo) * (i >= lo)
        at = fold(job.border, at_w + i * step, size)
        if at >= 0:
            for c in range(channels):
                copy_entry(panel + (c * job.panel_pitch + i) * job.itemsize,
                           row + (c * image.channel + at * job.x_column) * job.itemsize, job.itemsize)


cdef void fill_strip_row(int border, Py_ssize_t itemsize, char *to, Py_ssize_t pitch, const char *row,
                         Py_ssize_t width, Py_ssize_t first, Py_ssize_t step, Py_ssize_t count) noexcept nogil:
    """The padding at the ends of a row: see kernels/strip.h."""
    cdef Py_ssize_t positions = count * step, i, at
    cdef Py_ssize_t lo = min(positions, max(0, -first)), hi = max(lo, min(positions, width - first))
    for i in range(positions - (hi - lo)):
        i += (hi - lo) * (i >= lo)
        at = fold(border, first + i, width)
        if at >= 0:
            copy_entry(to + (i % step * pitch + i // step) * itemsize, row + at * itemsize, itemsize)


cdef void fill_block(const TileJob *job, float *block, const float *row, Py_ssize_t channels, Py_ssize_t first,
                     Py_ssize_t count) noexcept nogil:
    """The padding at the ends of a row of blocks: see kernels/blocks.h."""
    cdef Py_ssize_t lo = min(count, max(0, -first)), hi = max(lo, min(count, job.width - first)), i, c, at
    for i in range(count - (hi - lo)):
        i += (hi - lo) * (i >= lo)
        at = fold(job.border, first + i, job.width)
        if at >= 0:
            for c in range(channels):
                block[i * job.lanes + c] = row[c * job.x_channel + at * job.x_column]
