"""Memory of calls: what one leaves is kept for the next.

Given back to the system, pages come back as zeros one fault at a time. On a virtual machine that took
up to a quarter of the call that wanted them: docs/performance.md.
"""

cdef enum:
    HUGE_PAGE = 2 << 20         # buffers of two and more ask for them: 33 MB written in 1.5 ms, not in 12.5
    LINE = 64                   # bytes of a cache line
    LINED_BYTES = 512 << 10     # of an output that begins with one; below, a microsecond is more than that brings
    LEAST_KEPT = 64 << 10       # malloc has smaller ones at hand
    MOST_KEPT = 32 << 20        # bytes of all that are kept
    KEPT_BLOCKS = 8


cdef struct Kept:               # the first cache line of a block
    Py_ssize_t size             # of what follows it


ctypedef Kept *kept_pointer

cdef kept_pointer[8] kept         # KEPT_BLOCKS, or fewer and NULL; the GIL guards it
cdef Py_ssize_t kept_bytes = 0


cdef void *aligned(Py_ssize_t size) except? NULL nogil:
    """At least one cache line, at a cache line's start."""
    cdef void *p = NULL
    cdef bint large = size >= 2 * HUGE_PAGE
    if posix_memalign(&p, HUGE_PAGE if large else 64, <size_t>max(size, 64)):
        with gil:
            raise MemoryError(f"fastconv: no memory for {size} bytes of workspace")
    if large:
        ask_for_huge_pages(p, size)
    return p


def empty(tuple shape, dtype):
    """An output to be filled, as from numpy.empty; a large one begins with a cache line.

    NumPy's begin 16 bytes behind one, and every vector of 64 bytes is stored to two. Depthwise layers take 3 to 8%
    longer for it, FCN's 10%, shuffles past the caches, which write parts of lines, up to 2.5 times as long.
    """
    cdef unsigned char[::1] all_bytes
    cdef Py_ssize_t size
    if emptier(shape, dtype) is not empty:
        return numpy.empty(shape, dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = numpy.empty(size + LINE, numpy.uint8)
    all_bytes = memory
    return numpy.ndarray(shape, dtype, memory, -<uintptr_t>&all_bytes[0] & (LINE - 1))


def emptier(tuple shape, dtype):
    """What makes such outputs fastest: numpy.empty takes 0.2 us less than asking `empty` each time."""
    return empty if math.prod(shape) * dtype.itemsize >= LINED_BYTES and not dtype.hasobject else numpy.empty


cdef void *borrow(Py_ssize_t size) except? NULL:
    """As `aligned`, to be given back: the smallest kept block that is large enough, or a new one."""
    cdef int i, best = -1
    cdef Kept *block
    for i in range(KEPT_BLOCKS):
        if kept[i] is not NULL and kept[i].size >= size and (best < 0 or kept[i].size < kept[best].size):
            best = i
    if best >= 0:
        return <char *>take(best) + 64
    block = <Kept *>aligned(64 + size)
    block.size = size
    return <char *>block + 64


cdef void give_back(void *p) noexcept:
    """Keep what was borrowed, and of the others the largest, which take longest to make, as far as there is room."""
    global kept_bytes
    cdef Kept *block
    cdef int least
    if p is NULL:
        return
    block = <Kept *>(<char *>p - 64)
    if not LEAST_KEPT <= block.size <= MOST_KEPT * KEEPS_MEMORY:
        free(block)
        return
    while empty_place() < 0 or kept_bytes + block.size > MOST_KEPT:
        least = smallest_kept()
        if kept[least].size >= block.size:
            free(block)
            return
        free(take(least))
    kept[empty_place()] = block
    kept_bytes += block.size


cdef void *room(Py_ssize_t size, bint once) except? NULL:
    """For numbers of a layer, which stay, or of one call."""
    return borrow(size) if once else aligned(size)


cdef void leave(void *p, bint once) noexcept:
    if once:
        give_back(p)
    else:
        free(p)


cdef class Workspace:
    """Borrowed memory under Python's arrays: `numpy.frombuffer` of it."""

    cdef void *memory
    cdef Py_ssize_t size

    def __cinit__(self, Py_ssize_t size):
        self.memory, self.size = borrow(size), size

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.memory, self.size, 0, flags)

    def __dealloc__(self):
        give_back(self.memory)


cdef Kept *take(int i) noexcept:
    global kept_bytes
    cdef Kept *block = kept[i]
    kept[i] = NULL
    kept_bytes -= block.size
    return block


cdef int empty_place() noexcept:
    """-1 if there is none."""
    cdef int i
    for i in range(KEPT_BLOCKS):
        if kept[i] is NULL:
            return i
    return -1


cdef int smallest_kept() noexcept:
    """-1 if none is kept."""
    cdef int i, least = -1
    for i in range(KEPT_BLOCKS):
        if kept[i] is not NULL and (least < 0 or kept[i].size < kept[least].size):
            least = i
    return least


def kept_memory():
    """Bytes that are kept for the next call."""
    return kept_bytes


def forget_memory():
    """Give all of them back to the system."""
    while smallest_kept() >= 0:
        free(take(smallest_kept()))
