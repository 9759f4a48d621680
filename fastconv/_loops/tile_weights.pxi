"""Weights of tiles: turned so that those of a tap lie side by side, then transformed. See winograd.pxi."""

cdef void pack_tile_panel(void *pointer, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    """All weights of a panel."""
    cdef TilePacking *packing = <TilePacking *>pointer
    cdef const TileJob *job = packing.job
    cdef Py_ssize_t size = job.n_groups * job.points * job.plane_u
    cdef float *to = packing.packed + number * size
    if job.depth > job.channels:    # a source ends inside a block
        memset(to, 0, size * sizeof(float))
    if transform_weights(packing, number, 0, job.n_sources, 0, job.channels, packing.scratch + worker * packing.turned,
                         to, job.plane_u):
        packing.special[worker] = 1


cdef int transform_weights(const TilePacking *packing, Py_ssize_t panel, Py_ssize_t s0, Py_ssize_t s1, Py_ssize_t c0,
                           Py_ssize_t c1, float *turned, float *to, Py_ssize_t plane) noexcept nogil:
    """A panel's weights for some sources and channels, turned so that a tap's lie side by side, then transformed.

    Returns nonzero if one of them is NaN or infinite.
    """
    cdef const TileJob *job = packing.job
    cdef Py_ssize_t first = panel % job.panels * job.panel_outputs, width = 2 * job.lanes, c = c0, i, n, k, s
    cdef Py_ssize_t window = job.h.taps * job.w.taps
    cdef Py_ssize_t outputs = min(job.panel_outputs, job.outputs - first)
    cdef const float *weight = packing.weight + panel // job.panels * packing.s_group + first * packing.s_out
    cdef int special = 0
    memset(turned, 0, packing.turned * sizeof(float))
    while c < c1:
        n = min(packing.channels, c1 - c)
        for i in range(job.n_groups):
            if i == 0 or not packing.alike:
                # Alike, one turns all groups' taps. Else not beyond its own: a phase that begins later may be the last
                # of the weights.
                turn_rows(packing, turned, weight + c * packing.s_in, outputs * job.group[i].phases,
                          packing.row_offset + i * width,
                          (n - 1) * packing.s_in + (packing.span if packing.alike else packing.group_span[i]))
            for s in range(s0, s1):
                for k in range(n):
                    special |= job.kernels.winograd_weights(
                        to + i * job.points * plane + ((s - s0) * job.depth + c - c0 + k) * width, plane,
                        turned + k * packing.s_in * width, packing.tap + (i * job.n_sources + s) * window, job.h.taps,
                        job.w.taps, job.h.points, job.w.points, packing.g_h, packing.g_w)
        c += n
    return special


cdef void turn_rows(const TilePacking *packing, float *turned, const float *weight, Py_ssize_t rows,
                    const Py_ssize_t *row_offset, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t width = 2 * packing.job.lanes, r, k
    if packing.row_step or rows == 1:
        packing.job.kernels.transpose(turned, width, weight + row_offset[0], packing.row_step, rows, columns)
        return
    for r in range(rows):
        for k in range(columns):
            turned[k * width + r] = weight[row_offset[r] + k]
