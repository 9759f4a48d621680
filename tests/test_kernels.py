"""Every kernel on every instruction set against plain NumPy, at tail sizes, beside unmapped memory.

In the manner of dav1d's checkasm. Each call runs in two placements (see guard.py): inputs and outputs end exactly at an
unmapped page, or begin right after one. Small whole numbers make sums exact, so most results must equal the reference.
"""

import ctypes
from itertools import product

import numpy as np
import pytest
from conftest import isas_under_test
from guard import Guard, address
from tolerances import UNIT_ROUNDOFF, assert_close, assert_same_bits

from fastconv import _core, _winograd

INT, INDEX, POINTER = ctypes.c_int, ctypes.c_ssize_t, ctypes.c_void_p


class Run(ctypes.Structure):
    _fields_ = [("first", INDEX), ("count", INDEX)]


class Image(ctypes.Structure):
    _fields_ = [("pixels", POINTER), ("channel", INDEX), ("pitch", INDEX * 2)]
    _fields_ += [(name, INDEX * 3) for name in ("size", "step", "origin", "grid")]


# The types of include/fastconv/kernels.h, result first.
SIGNATURES = {
    "pack_weights": (INT, POINTER, POINTER, INDEX, POINTER, INDEX, POINTER, POINTER),
    "pack_panel": (INDEX, POINTER, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX, INT, POINTER),
    "pack_strip": (None, POINTER, INDEX, POINTER, INDEX, INDEX, INDEX, INDEX),
    "gemm": (None, INDEX, INDEX, POINTER, POINTER, INDEX, POINTER, POINTER, POINTER, INDEX, POINTER),
    "fma_peak": (INDEX, INDEX, POINTER),
    "pack_block": (None, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX, INDEX),
    "unpack_block": (None, POINTER, INDEX, INDEX, POINTER, INDEX),
    "winograd_weights": (
        INT,
        POINTER,
        INDEX,
        POINTER,
        INDEX,
        POINTER,
        INDEX,
        INDEX,
        POINTER,
        INDEX,
        INDEX,
        POINTER,
        POINTER,
    ),
    "winograd_input": (None, INDEX, INDEX, POINTER, INDEX, POINTER, *[INDEX] * 3, POINTER, INDEX),
    "winograd_product": (None, INDEX, INDEX, POINTER, INDEX, POINTER, POINTER, INDEX, INT),
    "winograd_output": (INT, *[INDEX] * 4, POINTER, INDEX, POINTER, INDEX, INDEX, POINTER, POINTER, *[INDEX] * 3),
    "interleave": (None, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX, POINTER),
    "deinterleave": (None, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX, POINTER),
}


class Kernel:
    """A kernel of one instruction set, called with arrays where it takes addresses."""

    def __init__(self, isa, name):
        element, _, family = name.partition("_")
        table = _core.kernels(isa)
        self.function = ctypes.CFUNCTYPE(*SIGNATURES[family])(table[name])
        if element != "bytes":
            self.dtype = np.dtype({"f32": np.float32, "f64": np.float64}[element])
            self.lanes, self.rows, self.columns, self.narrow = table[element]

    def __call__(self, *args):
        return self.function(*(address(x) if isinstance(x, np.ndarray) else x for x in args))


covered = set()


def every(family):
    """Run a test on each kernel of a family: every element type, every instruction set."""
    covered.add(family)
    names = [(isa, name) for isa in isas_under_test() for name in _core.kernels(isa)]
    kernels = [pytest.param(Kernel(*n), id="{1}__{0}".format(*n)) for n in names if n[1].partition("_")[2] == family]
    return pytest.mark.parametrize("kernel", kernels)


@pytest.fixture(params=[True, False], ids=["ends_at_page", "begins_at_page"])
def guard(request):
    with Guard(at_end=request.param) as guard:
        yield guard


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def tails(lanes, vectors):
    """Counts around each number of whole vectors, up to one element more than `vectors`."""
    return sorted({n for v in range(vectors + 1) for n in (v * lanes - 1, v * lanes, v * lanes + 1) if n > 0} | {2})


def whole_numbers(rng, shape, dtype):
    """Not 0, so that a lost product shows; small, so that no sum of a block rounds."""
    return np.array([-7, -5, -4, -3, -2, -1, 1, 2, 3, 5, 6, 7], dtype)[rng.integers(0, 12, shape)]


def strided(flat, shape, *strides):
    """A view of a flat array; strides in elements."""
    return np.ndarray(shape, flat.dtype, flat, strides=[stride * flat.itemsize for stride in strides])


# ---------------------------------------------------------------------------------------------- gemm


def live_rows(runs):
    return np.array([k for first, count in runs for k in range(first, first + count)], int)


def gemm(kernel, guard, a, panel, runs, bias, before, gap=0):
    """c from a[k, r] and panel[k', n]; the rows of the panel lie in another order, and those of c `gap` apart."""
    rows, (live, columns) = a.shape[1], panel.shape
    b_row = np.random.default_rng(live).permutation(live)
    b = np.full((live, columns + -columns % kernel.lanes), np.nan, kernel.dtype)  # whole vectors, and no more
    b[b_row, :columns] = panel
    flat = guard.output((rows - 1) * (columns + gap) + columns, kernel.dtype)
    c = strided(flat, (rows, columns), columns + gap, 1)
    if bias is None:
        c[...] = before
    runs_in = guard.input(np.array(runs, np.dtype(Run)))
    offsets = guard.input((b_row * b.shape[1]).astype(np.intp))
    start = None if bias is None else guard.input(bias)
    kernel(rows, columns, guard.input(a), runs_in, len(runs), guard.input(b), offsets, flat, columns + gap, start)
    got = guard.take(c)
    guard.check()
    return got


@every("gemm")
@pytest.mark.parametrize("runs", [[], [(0, 1)], [(0, 2)], [(0, 255)], [(2, 1), (4, 2), (9, 5)]], ids=str)
def test_gemm(kernel, guard, rng, runs):
    """Tiles of every height; with gaps, all widths at the heights where the code changes, else those at tails."""
    live = live_rows(runs)
    turns = {1, kernel.narrow, kernel.narrow + 1, kernel.rows} if len(runs) > 1 else set()
    for rows in range(1, kernel.rows + 1):
        for columns in range(1, 4 * kernel.lanes + 2) if rows in turns else tails(kernel.lanes, 4):
            a = np.full((live.max(initial=-1) + 1, rows), np.nan, kernel.dtype)  # weights of dead rows are not read
            a[live] = whole_numbers(rng, (len(live), rows), kernel.dtype)
            panel = whole_numbers(rng, (len(live), columns), kernel.dtype)
            bias, before = (whole_numbers(rng, shape, kernel.dtype) for shape in (rows, (rows, columns)))
            sums = a[live].T.astype(float) @ panel
            got = gemm(kernel, guard, a, panel, runs, bias, None, gap=columns % 3)
            assert_same_bits(got, (sums + bias[:, None]).astype(kernel.dtype))
            got = gemm(kernel, guard, a, panel, runs, None, before, gap=columns % 2)
            assert_same_bits(got, (sums + before).astype(kernel.dtype))


@every("gemm")
def test_gemm_has_the_same_bits_in_any_tile(kernel, guard, rng):
    """Tiles of one output each say what wider and higher tiles, and panels with zeros for dead rows, must repeat."""
    runs, length, width = [(0, 3), (7, 60), (90, 37)], 130, 5 * kernel.lanes
    live, shapes = live_rows(runs), [(length, kernel.rows), (length, width), kernel.rows]
    a, panel, bias = (rng.standard_normal(shape).astype(kernel.dtype) for shape in shapes)
    panel[np.setdiff1d(np.arange(length), live)] = 0
    single = np.empty((kernel.rows, width), kernel.dtype)
    for r, n in np.ndindex(single.shape):
        single[r, n] = gemm(kernel, guard, a[:, r : r + 1], panel[live, n : n + 1], runs, bias[r : r + 1], None)[0, 0]
    exact = a.T.astype(float) @ panel + bias[:, None]
    assert_close(single, exact, len(live), np.abs(a.T).astype(float) @ np.abs(panel) + np.abs(bias)[:, None])
    for rows, columns in product(range(1, kernel.rows + 1), tails(kernel.lanes, 4)):
        start = int(rng.integers(0, width - columns + 1))
        tile, top = np.s_[start : start + columns], np.s_[:rows]
        got = gemm(kernel, guard, a[:, top], panel[live, tile], runs, bias[top], None)
        assert_same_bits(got, single[top, tile])
        got = gemm(kernel, guard, a[:, top], panel[:, tile], [(0, length)], bias[top], None)
        assert_same_bits(got, single[top, tile])


# ---------------------------------------------------------------------------------------------- packing


def place_image(guard, rng, pixels):
    """Pixels (c, d, h, w), outer axes in any order and direction, poison between; from element 0 on, and strides."""
    sizes = np.array(pixels.shape)
    strides, least = np.ones(4, int), sizes[3]
    for axis in rng.permutation(3):
        strides[axis] = (least + rng.integers(0, 3)) * rng.choice([1, 1, -1])
        least = abs(strides[axis]) * sizes[axis]
    zero = int(sum((sizes - 1) * -np.minimum(strides, 0)))
    flat = np.full(1 + sum((sizes - 1) * abs(strides)), np.nan, pixels.dtype)
    np.ndarray(sizes, flat.dtype, flat, zero * flat.itemsize, strides * flat.itemsize)[...] = pixels
    return guard.input(flat)[zero:], strides


def gather(pixels, step, origin, grid, taps, at):
    """Rows of a panel (taps, channels, pixels) for flat output positions `at`, and which taps meet the image."""
    output = np.stack(np.unravel_index(at, grid)) * step[:, None] + origin[:, None]
    position = output + taps[:, :, None]
    size = np.array(pixels.shape[1:])[:, None]
    inside = ((position >= 0) & (position < size)).all(axis=1)
    d, h, w = np.clip(position, 0, size - 1).transpose(1, 0, 2)
    rows = np.where(inside, pixels[:, d, h, w], 0).transpose(1, 0, 2)
    return rows.astype(pixels.dtype), inside.any(axis=1)


def draw_panel(rng, dtype, step_w, width, count):
    """An image, and a tile that fits its grid, on which taps fall before, on and far behind the image."""
    grid = np.array([0, rng.integers(1, 4), width])
    grid[0] = -(-count // (grid[1] * width)) + rng.integers(0, 2)
    step = np.array([*rng.integers(1, 4, 2), step_w])
    size = rng.integers(1, grid * step + 3)
    pixels = rng.standard_normal((rng.integers(1, 4), *size)).astype(dtype)
    taps = rng.integers(-3, 4, (rng.integers(1, 9), 3))
    taps[:, 2] += rng.choice([0, 0, 0, -size[2], size[2], -(10**6), 10**6], len(taps))
    return pixels, step, rng.integers(-3, 2, 3), grid, taps, int(rng.integers(0, grid.prod() - count + 1))


@every("pack_panel")
@pytest.mark.parametrize("step_w", [1, 2, 3])
@pytest.mark.parametrize("skip_dead", [0, 1])
def test_pack_panel(kernel, guard, rng, skip_dead, step_w):
    lanes = kernel.lanes
    widths, counts = {7, 2 * lanes + 3, 5 * lanes, *tails(lanes, 1)}, [*tails(lanes, 1), 2 * lanes - 1, 2 * lanes]
    for width, count in [*product(sorted(widths), counts)] * 2:
        pixels, step, origin, grid, taps, first = draw_panel(rng, kernel.dtype, step_w, width, count)
        rows, alive = gather(pixels, step, origin, grid, taps, np.arange(first, first + count))
        channels, kept = len(pixels), alive if skip_dead else np.ones(len(taps), bool)
        edges = np.flatnonzero(np.diff(kept, prepend=False, append=False)).reshape(-1, 2) * channels
        expected_runs = [(begin, end - begin) for begin, end in edges.tolist()]
        data, strides = place_image(guard, rng, pixels)
        axes = (tuple(axis.tolist()) for axis in (strides[1:3], np.array(pixels.shape[1:]), step, origin, grid))
        image = Image(address(data), int(strides[0]), *axes)
        height = kept.sum() * channels
        panel = guard.output(height * kernel.columns + lanes, kernel.dtype)
        runs = guard.output(len(expected_runs), np.dtype(Run))
        image, offsets = guard.input(np.frombuffer(image, np.uint8)), guard.input(taps.astype(np.intp))
        n_runs = kernel(panel, image, offsets, len(taps), channels, first, count, skip_dead, runs)
        assert n_runs == len(expected_runs)
        assert guard.take(runs).tolist() == expected_runs
        got = guard.take(panel)[: height * kernel.columns].reshape(-1, channels, kernel.columns)
        guard.check()
        assert_same_bits(got[:, :, :count].copy(), rows[kept])
        assert not got[:, :, count : count + -count % lanes].any()  # not NaN either: whole vectors are multiplied


@every("pack_strip")
@pytest.mark.parametrize("step", [1, 2, 3])
def test_pack_strip(kernel, guard, rng, step):
    lanes = kernel.lanes
    for width, count in product([0, *tails(lanes, 1), 2 * lanes + 1, 7 * lanes], [0, *tails(lanes, 2)]):
        row = rng.standard_normal(width).astype(kernel.dtype)
        for first in {-step * (count + 1), -step * lanes, -3, -1, 0, 1, width - 1, width, width + lanes}:
            pitch = count + int(rng.integers(0, 3))
            at = first + np.arange(step)[:, None] + np.arange(count) * step
            expected = np.append(row, row.dtype.type(0))[np.where((at >= 0) & (at < width), at, width)]
            flat = guard.output((step - 1) * pitch + count, kernel.dtype)
            kernel(flat, pitch, guard.input(row), width, first, step, count)
            got = guard.take(strided(flat, (step, count), pitch, 1))
            guard.check()
            assert_same_bits(got, expected)


# How weights lie, as (steps between rows, steps between entries): rows far apart with entries side by side, rows side
# by side, taps of a kernel between those of other phases, and neither.
LAYOUTS = {
    "entries": ((60, 61), (1,)),
    "rows": ((1,), (33, 40)),
    "taps": ((16,), (2, 6, 2, 26)),
    "none": ((5, 9), (70,)),
}


@every("pack_weights")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pack_weights(kernel, guard, rng, layout):
    """What is not packed is poison, which must not be reported; what is packed and not finite must."""
    largest, least = np.finfo(kernel.dtype).max, np.finfo(kernel.dtype).smallest_subnormal
    row_steps, steps = (rng.choice(s, 60) if len(s) == 2 else np.resize(s, 60) for s in LAYOUTS[layout])
    for rows, count in product(range(1, kernel.rows + 1), [0, *tails(kernel.lanes, 2), 2 * kernel.lanes + 5]):
        row_offset = np.cumsum(row_steps)[:rows] - 30  # of either sign
        offset = np.cumsum(steps)[:count] - 70
        place = rng.permutation(count + 3)[:count]  # columns between them are not written
        at = offset[:, None] + row_offset
        zero = int(-at.min(initial=0))
        w = np.full(zero + at.max(initial=-zero - 1) + 1, np.nan, kernel.dtype)
        for special in [0, largest, -largest, least, np.nan, np.inf, -np.inf]:
            if count:
                w[zero + at] = rng.standard_normal(at.shape)
                w[zero + rng.choice(at.ravel())] = special
            a = guard.output((count + 3, rows), kernel.dtype)
            first = address(guard.input(w)) + zero * w.itemsize
            tables = guard.input(row_offset), guard.input(offset), guard.input(place * rows)
            bad = kernel(a, first, rows, tables[0], count, tables[1], tables[2])
            got = np.array([guard.take(a[k]) for k in place], kernel.dtype).reshape(at.shape)
            guard.check()
            assert_same_bits(got, w[zero + at])
            assert bool(bad) == (not np.isfinite(got).all())


@every("fma_peak")
@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_fma_peak(kernel, guard, rounds):
    """It counts what it does: x -> 0.999 x + 0.001, 1024 times a round, from 0, 1, 2 ... 11 in all lanes."""
    sink = guard.output(kernel.lanes, kernel.dtype)
    sink[:] = 0
    assert kernel(rounds, sink) == 12 * 1024 * kernel.lanes
    got = guard.take(sink)
    guard.check()
    expected = sum(1 + (start - 1) * 0.999 ** (1024 * rounds) for start in range(12))
    # A step's error fades by 0.999 a step, so 1000 steps' worth stays: roundings of factor, term and result of sum 67.
    assert np.abs(got - expected).max() <= 1000 * 3 * 67 * UNIT_ROUNDOFF[kernel.dtype.name]


# ---------------------------------------------------------------------------------------------- blocks of channels


@every("pack_block")
def test_pack_block(kernel, guard, rng):
    lanes = kernel.lanes
    for channels, count in product({1, lanes - 1, lanes}, tails(lanes, 2)):
        for width in {0, 1, lanes, 2 * lanes + 1}:
            for first in {-count - 1, -2, 0, 1, width - 1, width + 2}:
                rows = rng.standard_normal((channels, width)).astype(kernel.dtype)
                at = first + np.arange(count)
                padded = np.hstack([rows, np.zeros((channels, 1), kernel.dtype)])
                expected = np.zeros((count, lanes), kernel.dtype)
                expected[:, :channels] = padded[:, np.where((at >= 0) & (at < width), at, width)].T
                block = guard.output((count, lanes), kernel.dtype)
                kernel(block, guard.input(rows), width, channels, width, first, count)
                got = guard.take(block)
                guard.check()
                assert_same_bits(got, expected)


@every("unpack_block")
def test_unpack_block(kernel, guard, rng):
    lanes = kernel.lanes
    for channels, count in product({1, lanes - 1, lanes}, [*tails(lanes, 2), 3 * lanes]):
        pitch = count + int(rng.integers(0, 3))
        block = rng.standard_normal((count, lanes)).astype(kernel.dtype)
        flat = guard.output((channels - 1) * pitch + count, kernel.dtype)
        kernel(flat, pitch, channels, guard.input(block), count)
        got = guard.take(strided(flat, (channels, count), pitch, 1))
        guard.check()
        assert_same_bits(got, block.T[:channels].copy())


# ---------------------------------------------------------------------------------------------- Winograd
# Points that are no whole numbers round: results are compared within the sum of the absolute values of what is added.

TILES = [(n_h, n_w) for n_w in _winograd.PAIRS for n_h in (1, n_w)]


def matrices(points, taps=2):
    """A^T (for as many outputs as there can be), B^T and G of an axis, from the definition, in float64."""
    if points == 1:
        return (np.ones((1, 1)),) * 3
    outputs, pairs = points - taps + 1, _winograd.PAIRS[points]
    finite = [0.0] * (1 - points % 2) + [sign * a for a in pairs for sign in (1, -1)]
    a, b, g = np.zeros((outputs, points)), np.zeros((points, points)), np.zeros((points, taps))
    for j, p in enumerate(finite):
        others = [q for i, q in enumerate(finite) if i != j]
        a[:, j], b[j, :-1] = p ** np.arange(outputs), np.poly(others)[::-1]
        g[j] = p ** np.arange(taps) / np.prod([p - q for q in others])
    a[-1, -1], b[-1], g[-1, -1] = 1, np.poly(finite)[::-1], 1
    return a, b, g


def table(guard, numbers):
    return guard.input(np.ascontiguousarray(numbers))


@every("winograd_input")
@pytest.mark.parametrize(("n_h", "n_w"), TILES)
def test_winograd_input(kernel, guard, rng, n_h, n_w):
    lanes, dtype = kernel.lanes, kernel.dtype
    for tiles, column, tile in [(1, 1, 1), (3, 1, 2), (3, 5, 1)]:  # strides in pixels
        row = (n_w - 1) * column + (tiles - 1) * tile + 1
        x = rng.standard_normal((n_h, row, lanes)).astype(dtype)
        plane = tiles * lanes + lanes
        v = guard.output((n_h * n_w - 1) * plane + tiles * lanes, dtype)
        numbers = table(guard, _winograd.axis(n_w, 2).input)
        kernel(n_h, n_w, numbers, tiles, guard.input(x), row * lanes, column * lanes, tile * lanes, v, plane)
        got = guard.take(strided(v, (n_h * n_w, tiles, lanes), plane, lanes, 1)).reshape(n_h, n_w, tiles, lanes)
        guard.check()
        at = np.arange(n_w)[:, None] * column + np.arange(tiles) * tile
        d = x[:, at].astype(float)
        b_h, b_w = matrices(n_h)[1], matrices(n_w)[1]
        exact, scale = (np.einsum("ij,jktc,lk->iltc", h, p, w) for h, p, w in ((b_h, d, b_w), map(abs, (b_h, d, b_w))))
        assert_close(got, exact, 4 * n_w, scale)


@every("winograd_output")
@pytest.mark.parametrize(("n_h", "n_w"), TILES)
def test_winograd_output(kernel, guard, rng, n_h, n_w):
    lanes, dtype, most = kernel.lanes, kernel.dtype, n_w - 1
    for tiles, m_w, column, tile in [(1, most, 1, 1), (2, 1, 2, 1), (3, 2, 1, 2), (2, most, 3, 1)]:
        m_h = 1 if n_h == 1 else m_w
        a_h, a_w = (np.zeros((m, n)) for m, n in ((m_h, n_h), (m_w, n_w)))
        for a, n in ((a_h, n_h), (a_w, n_w)):
            full = matrices(n, n - len(a) + 1 if n > 1 else 1)[0]
            a[...] = full
        plane, step = 2 * tiles * lanes + lanes, 2 * lanes
        sums = rng.standard_normal((n_h * n_w, plane)).astype(dtype)
        bias = rng.standard_normal(lanes).astype(dtype)
        for special in (None, np.nan, np.inf):
            if special is not None:
                sums[rng.integers(n_h * n_w), rng.integers(tiles) * step + rng.integers(lanes)] = special
            row = (m_w - 1) * column + (tiles - 1) * tile + 1
            y = guard.output((m_h, row, lanes), dtype)
            bad = kernel(
                *(n_h, n_w, m_h, m_w, table(guard, _winograd.axis(n_w, 2).output), tiles, guard.input(sums), plane),
                *(step, guard.input(bias), y, row * lanes, column * lanes, tile * lanes),
            )
            # Tiles whose outputs lie between one another write each their own places.
            at = np.arange(m_w)[:, None] * column + np.arange(tiles) * tile
            got = guard.take(y)[:, at]
            y[...] = np.frombuffer(b"\xa5" * dtype.itemsize, dtype)[0]  # whatever was between them is not looked at
            guard.check()
            assert bool(bad) == (not np.isfinite(got).all()) == (special is not None)
        finite = strided(sums.ravel(), (n_h, n_w, tiles, lanes), n_w * plane, plane, step, 1)
        if column == 1 and tile < m_w:
            continue  # overlapping tiles: only their writing is looked at
        clean = np.nan_to_num(finite.astype(float), nan=0, posinf=0)
        y = guard.output((m_h, row, lanes), dtype)
        kernel(
            *(n_h, n_w, m_h, m_w, table(guard, _winograd.axis(n_w, 2).output), tiles),
            *(guard.input(np.where(np.isfinite(sums), sums, 0)), plane, step, guard.input(bias), y),
            *(row * lanes, column * lanes, tile * lanes),
        )
        got = guard.take(y)[:, at]
        exact, scale = (
            np.einsum("ij,jktc,lk->iltc", h, p, w) + b
            for h, p, w, b in ((a_h, clean, a_w, bias.astype(float)), map(abs, (a_h, clean, a_w, bias.astype(float))))
        )
        assert_close(got, exact, 4 * n_w, scale)
        guard.expected.clear()


@every("winograd_product")
@pytest.mark.parametrize("add", [0, 1])
def test_winograd_product(kernel, guard, rng, add):
    """Every height; sums that end inside, at and behind a block of lanes and a part of 32."""
    lanes, dtype = kernel.lanes, kernel.dtype
    for rows, count in product(range(1, kernel.rows + 1), [1, lanes - 1, lanes, lanes + 1, 31, 32, 33, 65, 100]):
        blocks, gap = -(-count // lanes), int(rng.integers(0, 2)) * lanes
        a = whole_numbers(rng, (blocks, rows * lanes + gap), dtype)
        b = whole_numbers(rng, (count, 2 * lanes), dtype)
        before = whole_numbers(rng, (rows, 2 * lanes), dtype)
        c_row = 2 * lanes + int(rng.integers(0, 3))
        flat = guard.output((rows - 1) * c_row + 2 * lanes, dtype)
        c = strided(flat, before.shape, c_row, 1)
        if add:
            c[...] = before
        last = a[:, : rows * lanes].reshape(blocks, rows, lanes).transpose(1, 0, 2).reshape(rows, -1)[:, :count]
        kernel(rows, count, guard.input(a.ravel()[: a.size - gap]), a.shape[1], guard.input(b), flat, c_row, add)
        got = guard.take(c)
        guard.check()
        assert_same_bits(got, (last.astype(float) @ b + add * before).astype(dtype))


@every("winograd_weights")
@pytest.mark.parametrize(("n_h", "n_w"), TILES)
def test_winograd_weights(kernel, guard, rng, n_h, n_w):
    lanes, dtype = kernel.lanes, kernel.dtype
    for rows, taps_w in product([1, lanes + 1, 2 * lanes], {2, min(3, n_w - 1)}):
        taps_h = 1 if n_h == 1 else taps_w
        taps = taps_h * taps_w
        w = rng.standard_normal((rows, taps)).astype(dtype)
        row_offset, tap_offset = rng.permutation(rows) * taps, rng.permutation(taps)
        tap_offset[rng.integers(taps)] = -1
        g = np.where(tap_offset >= 0, w.ravel()[row_offset[:, None] + np.maximum(tap_offset, 0)], 0)
        for special in (0, np.nan, -np.inf):
            plane = 2 * lanes + 4
            u = guard.output((n_h * n_w - 1) * plane + 2 * lanes, dtype)
            if special:
                w.ravel()[row_offset[0] + tap_offset.max()] = special
            bad = kernel(
                *(u, plane, guard.input(w), rows, guard.input(np.resize(row_offset, 2 * lanes)), taps_h, taps_w),
                *(guard.input(tap_offset), n_h, n_w),
                *(table(guard, _winograd.axis(n, t).weights) for n, t in ((n_h, taps_h), (n_w, taps_w))),
            )
            got = guard.take(strided(u, (n_h * n_w, 2 * lanes), plane, 1))
            guard.check()
            assert bool(bad) == bool(special)
            if not special:
                full = np.zeros((2 * lanes, taps_h, taps_w))
                full[:rows] = g.reshape(rows, taps_h, taps_w)
                g_h, g_w = matrices(n_h, taps_h)[2], matrices(n_w, taps_w)[2]
                exact, scale = (
                    np.einsum("ij,rjk,lk->ilr", h, p, q).reshape(got.shape)
                    for h, p, q in ((g_h, full, g_w), map(abs, (g_h, full, g_w)))
                )
                assert_close(got, exact, 4 * taps, scale)


# ---------------------------------------------------------------------------------------------- movers

ITEM_BYTES = [1, 2, 4, 8, 16, 3, 12]


def moves(item):
    """Yields ways, step, count; with the table of masks? and skew, to unalign the fine row."""
    groups = [group // item * n for group in (16, 32) for n in (1, 2)]
    counts = {0, 1, 2, 70, *(n + around for n in groups for around in (-1, 0, 1))} & set(range(71))
    for ways, step in [(2, 2), (3, 3), (4, 4), (5, 5), (7, 7), (16, 16), (1, 1), (1, 3), (2, 5), (3, 4)]:
        for count, table in product(sorted(counts), [False, True] if ways == step and 16 % item == 0 else [False]):
            for skew in (0, 1):
                yield ways, step, count, table, skew


def rows_of(fine, ways, step, item):
    """View bytes of the fine row as [way, count, byte]."""
    count = -(-len(fine) // (step * item))
    return strided(fine, (ways, count, item), item, step * item, 1)


@every("interleave")
@pytest.mark.parametrize("item", ITEM_BYTES)
def test_interleave(kernel, guard, rng, item):
    for ways, step, count, table, skew in moves(item):
        rows = rng.integers(0, 256, (ways, count, item), np.uint8)
        masks = guard.input(np.frombuffer(_core.shuffle_table(ways, item, 0), np.uint8)) if table else None
        pointers = guard.input(np.array([address(guard.input(row)) for row in rows], np.uintp))
        fine = guard.output(skew + max(0, (count - 1) * step + ways) * item, np.uint8)
        kernel(fine[skew:], pointers, ways, step, count, item, masks)
        got = guard.take(rows_of(fine[skew:], ways, step, item))
        guard.check()
        assert_same_bits(got, rows)


@every("deinterleave")
@pytest.mark.parametrize("item", ITEM_BYTES)
def test_deinterleave(kernel, guard, rng, item):
    for ways, step, count, table, skew in moves(item):
        fine = rng.integers(0, 256, skew + max(0, (count - 1) * step + ways) * item, np.uint8)
        masks = guard.input(np.frombuffer(_core.shuffle_table(ways, item, 1), np.uint8)) if table else None
        coarse = [guard.output((count, item), np.uint8) for _ in range(ways)]
        pointers = guard.input(np.array([address(row) for row in coarse], np.uintp))
        kernel(pointers, guard.input(fine)[skew:], ways, step, count, item, masks)
        got = np.stack([guard.take(row) for row in coarse])
        guard.check()
        assert_same_bits(got, rows_of(fine[skew:], ways, step, item).copy())


# ---------------------------------------------------------------------------------------------- the list


def test_every_kernel_has_a_test():
    """kernels.def is the list: every instruction set has it whole, and each family of it is tested above."""
    names = [{name for name in _core.kernels(isa) if "_" in name} for isa in _core.available_isas()]
    assert all(each == names[0] for each in names)
    assert {name.partition("_")[2] for name in names[0]} == covered
