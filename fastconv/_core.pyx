# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The loops of fastconv: phases, blocks and tiles over images, calling the kernels of include/fastconv.

An operator is a list of phases, a phase is a list of taps, a tap is an offset and a slice of the weights. On each
spatial axis (d, h, w) output position q*out_step + residue reads input positions q*in_step + origin + offset for the
taps of that residue's phase. Phases whose taps have the same offsets form a group: their outputs are the rows of one
matrix product, for which the pixels are fetched once.

    Phases    where outputs read: offsets and groups; independent of weights and of the image
    Cut       Phases, and how rows and sums are cut for an instruction set and a dtype: what engines share
    Engine    a Cut and packed weights: what a layer keeps; of tiles, a TileCut and a Winograd
    Job       one call: pointers, sizes, and how the work is cut into items that threads take

The loops lie beside this file, one family each, in _loops/*.pxi; they are compiled as one module. The whole picture is
drawn in include/fastconv/README.md.
"""

import math

import numpy

cimport cython
from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_IsContiguous, PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.math cimport INFINITY
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memmove, memset

from fastconv._kernels cimport (
    FC_BLOCK_K, FC_ISA_COUNT, FC_MAX_TABLE, FC_MAX_THREADS, FC_MAX_WAYS, fc_any_fn, fc_byte_kernels, fc_columns,
    fc_amd_l3_bytes, fc_filter, fc_image, fc_interleaving, fc_isa, fc_isa_compiled, fc_isa_halves, fc_isa_kernel,
    fc_isa_name, fc_isa_table, fc_isa_usable, fc_parallel, fc_permutation, fc_real_kernels, fc_rows, fc_run,
    fc_shuffle_table, fc_stop_threads,
)

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **pointer, size_t alignment, size_t size)

cdef extern from *:
    """
    #include <sys/mman.h>
    #ifdef MADV_HUGEPAGE
    #define ask_for_huge_pages(p, size) (void)madvise(p, size, MADV_HUGEPAGE)
    #else
    #define ask_for_huge_pages(p, size) (void)0
    #endif
    /* A tool that watches memory should see each block end where it was asked to. */
    #if defined(__SANITIZE_ADDRESS__)
    #define KEEPS_MEMORY 0
    #elif defined(__has_feature)
    #define KEEPS_MEMORY !__has_feature(address_sanitizer)
    #else
    #define KEEPS_MEMORY 1
    #endif
    #ifndef FC_BUILD_FLAGS
    #define FC_BUILD_FLAGS ""
    #endif
    static inline void prefetch_bytes(const char *p, Py_ssize_t bytes) { /* into L2; they may lie beyond the image */
        for (Py_ssize_t at = 0; at < bytes; at += 64) __builtin_prefetch(p + at, 0, 2);
    }
    /* Cython's arrays want literal sizes: [256] below is FC_MAX_THREADS, [16] FC_MAX_WAYS, [16384] FC_MAX_TABLE,
     * [65600] STACK_BYTES and a cache line, [2112] STREAM_BYTES and one, [4160] BUILT_LAST and one, [8] KEPT_BLOCKS. */
    _Static_assert(FC_MAX_THREADS == 256 && FC_MAX_WAYS == 16 && FC_MAX_TABLE == 16384, "array sizes in _core.pyx");
    """
    void ask_for_huge_pages(void *p, size_t size) nogil
    void prefetch_bytes(const char *p, Py_ssize_t bytes) nogil
    const int KEEPS_MEMORY
    const char *FC_BUILD_FLAGS
    const char *COMPILER "__VERSION__"

ctypedef void *void_pointer
ctypedef const void *const_pointer
ctypedef const Py_ssize_t *const_places
ctypedef long double long_double

ctypedef fused real:
    float
    double

cdef enum:
    NARROW_ROWS = 6             # up to this many outputs per pixel, strips beat panels: docs/performance.md
    FEW_CHANNELS = 3            # up to this many channels, too: planning a tap of a panel takes longer than copying it
    IN_PLACE_ROWS = 32          # up to this many outputs per pixel, a product may read the image itself, unpacked:
    NEAR_IMAGE = 1 << 20        # one tap, if it stays in L2, about: from further away it takes 2 to 3 times as long
    IN_PLACE_PAGES = 32         # several, if its channels have so many pages at most: half of what a load finds at once
    IN_PLACE_WAYS = 4           # ... and so many lines of a panel meet in one set of L1: half of a small one
    PAGE = 4096                 # channels that lie whole pages apart meet in one set of L1
    DEAD_PRODUCTS = 128         # dead products per output that pay for building it aside: 16 are copied in 50 cycles
    UNIT_PANELS = 8             # panels of weights that make a unit, the smallest share of output channels of an item
    ITEM_ROWS = 512             # rows of weights of an item: 512 x FC_BLOCK_K floats are 512 KiB, half of a small L2
    PANEL_TILES = 4             # tiles that are packed at once: 147 KiB for FC_BLOCK_K floats, read from L2 at no cost
    ITEM_TILES = 16             # tiles of pixels of an item
    LAST_WAYS = 9               # elements side by side, channels last: of more, squares are turned
    TURN_TABLE = LAST_WAYS * LAST_WAYS * 64
    OUTPUT_BYTES = 1 << 20      # the part of an output that is built aside before it is interleaved
    FILTERED_BYTES = 4 << 20    # images that a filter reads in place; larger ones come from memory, best along rows
    FILTERED_TAPS = 9           # the most of such a filter: it loads under masks ...
    FILTERED_TAPS_OF_LINES = 25     # ... which have registers of their own where vectors are cache lines
    FILTER_BYTES = 24 << 10     # one of a filter with a stride, which reads a row for few outputs: in L1
    STRIP_BYTES = 256 << 10     # a strip of padded rows: in L2; smaller ones in L1 copy more rows twice for no gain
    FINISH_BYTES = 16 << 10     # of a filter's outputs that are finished at once, still in L1 ...
    FILTER_ROWS = 8             # ... and whole tiles of it
    STRIP_COLUMNS = 2048        # of its outputs: shorter pieces of a row fetch slower than whole ones
    STRIP_LIMIT = 1 << 20       # a strip that cannot be cut below this is not used at all
    TAPS_BYTES = 512 << 10      # products of taps, before they are summed: half of a small L2
    WAVES_BYTES = 768 << 10     # the spectra of an item, most of a small L2
    TILE_BYTES = 1 << 20        # transformed pixels and sums of an item: they should stay in L2 ...
    MANY_TILES = 64             # ... but weights are read once for all tiles of an item: it has this many, ...
    TILE_LIMIT = 8 << 20        # ... up to this size
    NEAR_TILES = 2 << 20        # floats of transformed pixels and a panel's weights that stay in a share of L3; where
    ITEM_LIMIT = 3 << 20        # there are more, panels are multiplied together: so many of pixels and sums at most
    ASIDE_BYTES = 2 << 20       # of outputs of all panels, before they are stored
    COLLECTED_WEIGHTS = 16 << 20    # bytes of tiles' weights up to which that is done: more come from memory each time
    MOST_POINTS = 64            # of a tile
    WEIGHT_BYTES = 256 << 10    # so much of them at a time stays in L2
    SEGMENT_PIXELS = 256        # of a row of tiles that are transformed together: docs/performance.md
    STACK_BYTES = 64 << 10      # workspace that needs no malloc: a panel of floats. A call of a few us notices
    TABLE_BYTES = FC_MAX_TABLE + TURN_TABLE + FC_BLOCK_K * 8   # of a call: see Cut._prepare_tables
    PACK_SERIAL = 1 << 16       # weights per thread that are worth a thread
    SERIAL_PRODUCTS = 200_000   # multiply-adds per thread, below which waking one costs more than it brings


# ---------------------------------------------------------------------------------------------- instruction sets

cdef int current_isa = 0
cdef tuple current_widths = ()  # asked once: in a virtual machine, CPUID takes 20 us
cdef bint near_l3 = fc_amd_l3_bytes() > 0


def compiled_isas():
    """Names of the instruction sets that this build has code for, best last."""
    return tuple(fc_isa_name(i).decode() for i in range(FC_ISA_COUNT) if fc_isa_compiled(i))


def available_isas():
    """Names of those that this machine runs, best last."""
    return tuple(fc_isa_name(i).decode() for i in range(FC_ISA_COUNT) if fc_isa_compiled(i) and fc_isa_usable(i))


def isa():
    """Name of the instruction set that new engines use."""
    return fc_isa_name(current_isa).decode()


def lanes():
    """Float32 numbers of a vector of the instruction set that new engines use."""
    return fc_isa_table(current_isa).f32.lanes


def widths():
    """The same, and where they take half the time those of a vector of half the width: of the set before."""
    return current_widths


def has_near_l3():
    """Do few cores share their own L3, as AMD's do? A server of Intel's has a mesh, a third as fast for one core."""
    return near_l3


def use_isa(name):
    """Make new engines use the instruction set `name`."""
    global current_isa, current_widths
    current_isa = _isa_index(name)
    current_widths = (lanes(), lanes() // 2) if fc_isa_halves(current_isa) else (lanes(),)


cdef int _isa_index(name) except -1:
    if name not in available_isas():
        known = "unknown" if name not in compiled_isas() else "not available on this machine"
        raise ValueError(f"instruction set {name!r} is {known}; available: {', '.join(available_isas())}")
    return compiled_isas().index(name)


use_isa(max(available_isas(), key=compiled_isas().index))


def build_info():
    """Compiler and flags that the C and Cython code was built with."""
    return {"compiler": COMPILER.decode(), "flags": FC_BUILD_FLAGS.decode()}


def kernels(name):
    """Addresses and tile sizes of the kernels of instruction set `name`, for the kernel tests."""
    cdef const fc_isa *table = fc_isa_table(_isa_index(name))
    cdef const char *entry = NULL
    cdef fc_any_fn *kernel = NULL
    cdef int i = 0
    found = {"f32": (table.f32.lanes, table.f32.rows, table.f32.columns, table.f32.narrow, table.f32.part),
             "f64": (table.f64.lanes, table.f64.rows, table.f64.columns, table.f64.narrow, table.f64.part),
             "bytes": (table.bytes.unit, table.bytes.words)}
    while fc_isa_kernel(table, i, &entry, &kernel):
        found[entry.decode()] = <uintptr_t>kernel
        i += 1
    return found


def byte_units():
    """Bytes of a vector whose bytes one mask permutes, and of one whose words of 4; 0 where the first is as large."""
    return fc_isa_table(current_isa).bytes.unit, fc_isa_table(current_isa).bytes.words


def shuffle_table(Py_ssize_t unit, Py_ssize_t ways, Py_ssize_t item_bytes, bint undo):
    """The masks of include/fastconv/kernels/shuffle.h, for the kernel tests."""
    cdef unsigned char[16384] table
    fc_shuffle_table(table, unit, ways, item_bytes, undo)
    return bytes(table[: unit * ways * ways])


def stop_threads():
    """End the worker threads; the next parallel call starts new ones."""
    with nogil:
        fc_stop_threads()


# ---------------------------------------------------------------------------------------------- the loops

include "_loops/memory.pxi"
include "_loops/phases.pxi"
include "_loops/runner.pxi"
include "_loops/cut.pxi"
include "_loops/engine.pxi"
include "_loops/weights.pxi"
include "_loops/border.pxi"
include "_loops/direct.pxi"
include "_loops/last.pxi"
include "_loops/finish.pxi"
include "_loops/filter.pxi"
include "_loops/store.pxi"
include "_loops/tile_cut.pxi"
include "_loops/winograd.pxi"
include "_loops/tile_weights.pxi"
include "_loops/tiles.pxi"
include "_loops/depthwise.pxi"
include "_loops/depthwise_phases.pxi"
include "_loops/colours.pxi"
include "_loops/pixels.pxi"
include "_loops/patches.pxi"
include "_loops/pixel_patches.pxi"
include "_loops/taps.pxi"
include "_loops/fourier.pxi"
include "_loops/stream.pxi"
include "_loops/shuffle.pxi"
include "_loops/resize.pxi"
include "_loops/pool.pxi"
include "_loops/gradient.pxi"


# ---------------------------------------------------------------------------------------------- ceilings

def fma_peak(Py_ssize_t rounds=2000):
    """Float32 multiply-adds of one core in the current instruction set, in GFLOP/s (two per multiply-add)."""
    from time import perf_counter
    cdef const fc_real_kernels *kernels = &fc_isa_table(current_isa).f32
    cdef float[64] sink
    cdef Py_ssize_t products
    memset(sink, 0, sizeof(sink))
    start = perf_counter()
    with nogil:
        products = kernels.fma_peak(rounds, sink)
    return 2e-9 * rounds * products / (perf_counter() - start)
