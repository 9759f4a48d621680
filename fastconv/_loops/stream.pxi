"""Outputs too large for the caches: built in L1, a little at a time, and copied past the caches from there.

An ordinary store reads the line that it overwrites, and that line pushes one of the input out of L3. For shuffles,
filters, depthwise pixels and interleaved rows, which do little else than move data; products take so long that nothing
is gained. An activation is applied where filters are built; elsewhere outputs that are read again go the ordinary way.

Runs should begin and end with a cache line: a part of one is stored as ever. So large outputs do (`empty` in
memory.pxi), and what is built at a time fills whole ones.
"""

cdef enum:
    STREAM_BYTES = 2 << 10      # of an output that are built before they are copied. 16 KiB keep the reads waiting
    BUILT_LAST = 4 << 10        # likewise, where channels lie last
    FAR_OUTPUTS = 20 << 20

cdef Py_ssize_t streamed_from


def stream_from(Py_ssize_t size):
    """Copy outputs past the caches where input and two outputs have this many bytes; returns what was set before."""
    global streamed_from
    before, streamed_from = streamed_from, size
    return before


# Five eighths of L3, from where on it pays on a Zen 4. An L3 that is far, as of Intel's servers, gives no more than
# memory from so many bytes on, whatever its size (docs/performance.md). The baseline has no such stores.
stream_from(fc_amd_l3_bytes() * 5 // 8 or (FAR_OUTPUTS if len(available_isas()) > 1 else 1 << 62))


cdef char *line_start(char *room) noexcept nogil:
    """The first start of a cache line."""
    return room + (-<uintptr_t>room & (LINE - 1))


cdef Py_ssize_t streamed_positions(Py_ssize_t ways, Py_ssize_t itemsize) noexcept nogil:
    """How many of each way are built at a time: whole cache lines, if there is room for one."""
    return STREAM_BYTES // ways // LINE * LINE // itemsize


cdef bint goes_past_caches(Py_ssize_t input_bytes, Py_ssize_t output_bytes) noexcept nogil:
    """Twice the output: a caller mostly holds the one before while the next is made."""
    return input_bytes + 2 * output_bytes >= streamed_from


def past_caches(Py_ssize_t input_bytes, Py_ssize_t output_bytes):
    return goes_past_caches(input_bytes, output_bytes)


cdef bint filters_streaming(const Job *job) noexcept nogil:
    """One output per pixel, whose rows are built in scratch and copied past the caches."""
    return job.streams and not job.aside and job.strips and job.outputs * job.n_phases == 1
