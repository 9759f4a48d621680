"""Arrays beside unmapped memory, for kernels that trust their arguments.

An array ends exactly where an unmapped page begins, or begins exactly where one ends: an access beyond it on that side
stops the process on the spot, and faulthandler (which pytest switches on) names the test. On its other side lies a
margin of known bytes that `check` looks at. A test runs in both placements, so both sides get both treatments.

    with Guard(at_end=True) as guard:
        x, y = guard.input(values), guard.output(shape, dtype)
        kernel(x, y)
        got = guard.take(y)     # what the kernel was to write
        guard.check()           # nothing else has changed
"""

import ctypes
import math
import mmap

import numpy as np

MARGIN = 512  # bytes: 8 of the widest vectors
CAPACITY = 1 << 20  # bytes of an array and its margin; pages that are never touched cost nothing
POISON = 0xFF  # around inputs: a NaN of any floating-point type, which shows in every sum that it gets into
CANARY = 0xA5  # in and around outputs: a finite number (about -3e-16), which does not survive an addition

PROT_NONE = 0
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_ssize_t)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


def check_errno(ok):
    if not ok:
        raise OSError(ctypes.get_errno(), "no guarded memory")


class Mapping:
    """CAPACITY bytes between two unmapped pages."""

    def __init__(self):
        page, readable = mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE
        self.size = CAPACITY + 2 * page
        self.start = libc.mmap(None, self.size, readable, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        check_errno(self.start != ctypes.c_void_p(-1).value)
        for address in (self.start, self.start + page + CAPACITY):
            check_errno(libc.mprotect(address, page, PROT_NONE) == 0)
        self.memory = memoryview((ctypes.c_ubyte * CAPACITY).from_address(self.start + page)).cast("B")

    def close(self):
        check_errno(libc.munmap(self.start, self.size) == 0)


class Guard:
    """Hands out arrays, one mapping each. `check` takes them all back, and their memory serves the next call."""

    def __init__(self, at_end):
        self.at_end = at_end
        self.mappings = []
        self.expected = []  # per array handed out: its memory with the margin, and the bytes that should be there

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for mapping in self.mappings:
            mapping.close()

    def _place(self, shape, dtype, content, fill):
        """An array of these bytes in the next mapping, with a margin of bytes `fill`."""
        if len(self.expected) == len(self.mappings):
            self.mappings.append(Mapping())
        memory, size = self.mappings[len(self.expected)].memory, len(content)
        assert size + MARGIN <= CAPACITY
        margin = bytes([fill]) * MARGIN
        if self.at_end:
            memory, expected, start = memory[CAPACITY - MARGIN - size :], margin + content, MARGIN
        else:
            memory, expected, start = memory[: size + MARGIN], content + margin, 0
        memory[:] = expected
        self.expected.append((memory, expected))
        return np.ndarray(shape, dtype, memory, start)

    def input(self, values):
        """An array of these values, which `check` wants to find unchanged."""
        values = np.asarray(values)
        return self._place(values.shape, values.dtype, values.tobytes(), POISON)

    def output(self, shape, dtype):
        """An array of canaries. `check` wants them all back, save what `take` has taken before."""
        shape, dtype = np.atleast_1d(shape).tolist(), np.dtype(dtype)
        return self._place(shape, dtype, bytes([CANARY]) * (math.prod(shape) * dtype.itemsize), CANARY)

    def take(self, part):
        """A copy of a part of an output; canaries in its place."""
        copy, part = part.copy(), part.view(np.uint8) if part.dtype == bool else part
        part[...] = np.frombuffer(bytes([CANARY]) * part.itemsize, part.dtype)[0]
        return copy

    def check(self):
        """Has nothing changed but what was taken? Then the arrays are done with."""
        for i, (memory, expected) in enumerate(self.expected):
            if memory.tobytes() != expected:
                size, start = len(expected) - MARGIN, MARGIN * self.at_end
                wrong = np.flatnonzero(np.frombuffer(memory, np.uint8) != np.frombuffer(expected, np.uint8)) - start
                raise AssertionError(f"array {i}, of {size} bytes: wrongly written from byte {wrong[0]} to {wrong[-1]}")
        self.expected.clear()


def address(array):
    return array.ctypes.data
