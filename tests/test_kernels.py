"""Every kernel on every instruction set against plain NumPy, at tail sizes, beside unmapped memory.

In the manner of dav1d's checkasm. Each call runs in two placements (see guard.py): inputs and outputs end exactly at an
unmapped page, or begin right after one. Small whole numbers make sums exact, so most results must equal the reference.
"""

import ctypes
from itertools import islice, product

import numpy as np
import pytest
from conftest import isas_under_test
from guard import Guard, address
from tolerances import UNIT_ROUNDOFF, assert_close, assert_same_bits, transform

from fastconv import _core, _winograd
from fastconv._fourier import order, roots
from fastconv._permutation import permutation, word_plans, written

INT, INDEX, POINTER, DOUBLE = ctypes.c_int, ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_double


class Run(ctypes.Structure):
    _fields_ = [("first", INDEX), ("count", INDEX)]


class Image(ctypes.Structure):
    _fields_ = [("pixels", POINTER), ("channel", INDEX), ("pitch", INDEX * 2)]
    _fields_ += [(name, INDEX * 3) for name in ("size", "step", "origin", "grid")]


class Filter(ctypes.Structure):
    _fields_ = [(name, INDEX) for name in ("rows", "columns", "y_row", "step", "x_row", "sources")]
    _fields_ += [("x_at", POINTER), ("w_at", POINTER), ("taps_h", INDEX), ("taps_w", INDEX), ("tap", POINTER)]
    _fields_ += [("w", POINTER)]
    _fields_ += [(name, INDEX) for name in ("w_h", "w_w", "edges", "lo", "hi", "top", "bottom", "across")]


class Rows(ctypes.Structure):
    _fields_ = [(name, INDEX) for name in ("outputs", "step", "planes", "plane_step", "rows", "row_step")]


class Columns(ctypes.Structure):
    _fields_ = [(name, INDEX) for name in ("outputs", "pitch", "y_pitch", "count", "step", "taps", "stride")]
    _fields_ += [("first", POINTER), ("length", POINTER)]


class Interleaving(ctypes.Structure):
    _fields_ = [(name, INDEX) for name in ("ways", "step", "count", "item_bytes")]
    _fields_ += [("table", POINTER), ("rows", INDEX), ("next_fine", INDEX), ("next_coarse", INDEX * 16)]


# The types of include/fastconv/kernels.h, result first.
SIGNATURES = {
    "pack_weights": (INT, POINTER, POINTER, INDEX, POINTER, INDEX, POINTER, POINTER),
    "pack_panel": (INDEX, POINTER, INDEX, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX, INT, POINTER),
    "pack_strip": (None, POINTER, INDEX, INDEX, POINTER, INDEX, INDEX, INDEX, INDEX, INDEX, INDEX),
    "filter": (None, POINTER, POINTER, POINTER, POINTER),
    "gemm": (None, INDEX, INDEX, POINTER, POINTER, INDEX, POINTER, POINTER, POINTER, INDEX, POINTER),
    "pixel_sums": (None, INDEX, INDEX, POINTER, INDEX, POINTER, INDEX, POINTER, POINTER, INDEX, POINTER),
    "pixel_dots": (None, INDEX, INDEX, POINTER, INDEX, POINTER, INDEX, POINTER, POINTER, INDEX, POINTER),
    "pixel_product": (None, INDEX, INDEX, POINTER, INDEX, POINTER, INDEX, POINTER, POINTER, INDEX, POINTER),
    "copy_panels": (None, POINTER, POINTER, INDEX, INDEX, INDEX),
    "add_patches": (None, POINTER, INDEX, INDEX, INDEX, POINTER, INDEX, INDEX, INDEX, INDEX, INDEX),
    "fft": (INT, POINTER, POINTER, INDEX, INDEX, INDEX, POINTER, INT),
    "fma_peak": (INDEX, INDEX, POINTER),
    "finish": (None, INDEX, INDEX, POINTER, INDEX, POINTER, INDEX, INT, DOUBLE),
    "resize_row": (None, POINTER, POINTER, POINTER, POINTER, INDEX),
    "depthwise": (None, POINTER, INDEX, INDEX, POINTER, *[INDEX] * 4, POINTER, POINTER, INDEX, POINTER, POINTER),
    "depthwise_sums": (None, POINTER, INDEX, INDEX, POINTER, *[INDEX] * 3, POINTER, POINTER, INDEX, POINTER, POINTER),
    "transpose": (None, POINTER, INDEX, POINTER, INDEX, INDEX, INDEX),
    "turn_apart": (None, POINTER, INDEX, POINTER, INDEX, INDEX, INDEX),
    "turn_together": (None, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX),
    "pack_pixels": (None, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX, INDEX),
    "unpack_pixels": (None, POINTER, INDEX, INDEX, POINTER, INDEX),
    "pack_block": (None, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX, INDEX),
    "unpack_block": (None, POINTER, INDEX, INDEX, POINTER, INDEX),
    "winograd_weights": (
        INT,
        POINTER,
        INDEX,
        POINTER,
        POINTER,
        *[INDEX] * 4,
        POINTER,
        POINTER,
    ),
    "winograd_input": (None, INDEX, INDEX, POINTER, INDEX, POINTER, *[INDEX] * 3, POINTER, INDEX),
    "winograd_product": (None, INDEX, INDEX, INDEX, POINTER, INDEX, POINTER, POINTER, INDEX, INT),
    "winograd_output": (INT, *[INDEX] * 4, POINTER, INDEX, POINTER, INDEX, INDEX, POINTER, POINTER, *[INDEX] * 3),
    **dict.fromkeys(("max_rows", "sum_rows"), (None, POINTER, INDEX, POINTER, POINTER, INDEX)),
    **dict.fromkeys(("max_taps", "max_runs"), (None, POINTER, POINTER, POINTER)),
    **dict.fromkeys(("mean_taps", "mean_runs"), (None, POINTER, POINTER, POINTER, POINTER, POINTER)),
    **dict.fromkeys(("interleave", "deinterleave"), (None, POINTER, POINTER, POINTER)),
    "permute": (None, POINTER, POINTER, INDEX, POINTER),
    "stream": (None, POINTER, POINTER, INDEX),
}


class Kernel:
    """A kernel of one instruction set, called with arrays where it takes addresses."""

    def __init__(self, isa, name):
        self.isa, self.name = isa, name
        element, _, self.family = name.partition("_")
        table = _core.kernels(isa)
        self.function = ctypes.CFUNCTYPE(*SIGNATURES[self.family])(table[name])
        if element != "bytes":
            self.dtype = np.dtype({"f32": np.float32, "f64": np.float64}[element])
            self.lanes, self.rows, self.columns, self.narrow, self.part = table[element]
        else:
            self.unit, self.words = table[element]

    def __call__(self, *args):
        return self.function(*(address(x) if isinstance(x, np.ndarray) else x for x in args))


covered = set()


def every(*families):
    """Run a test on each kernel of some families: every element type, every instruction set."""
    covered.update(families)
    names = [(isa, name) for isa in isas_under_test() for name in _core.kernels(isa)]
    kernels = [pytest.param(Kernel(*n), id="{1}__{0}".format(*n)) for n in names if n[1].partition("_")[2] in families]
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


def halves(lanes, vectors):
    """And counts around each of these and half a vector."""
    return sorted({*tails(lanes, vectors), *tails(lanes // 2, 2 * vectors)})


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


# ---------------------------------------------------------------------------------------------- rows of pixels


def pixel_product(kernel, guard, pixels, step, runs, weights, bias, before, gap=0):
    """c from a row of numbers that the tile's rows read `step` apart, and weights[k', n]."""
    rows, columns = (len(pixels) - max(first + count for first, count in runs)) // step + 1, weights.shape[1]
    together, part = 1, kernel.part  # products of an output side by side, and outputs
    if "dots" in kernel.name:
        together = 16 // kernel.dtype.itemsize
        part = kernel.lanes // together
    elif "sums" in kernel.name:
        together, part = kernel.lanes, 1
    width = -(-columns // part) * part
    b = np.full((len(weights) // together, width, together), np.nan, kernel.dtype)
    b[:, :columns] = weights.reshape(-1, together, columns).transpose(0, 2, 1)
    flat = guard.output((rows - 1) * (columns + gap) + columns, kernel.dtype)
    c = strided(flat, (rows, columns), columns + gap, 1)
    if bias is None:
        c[...] = before
    runs_in = guard.input(np.array(runs, np.dtype(Run)))
    start = None if bias is None else guard.input(bias)
    a = guard.input(pixels)
    kernel(rows, columns, a, step, runs_in, len(runs), guard.input(b), flat, columns + gap, start)
    got = guard.take(c)
    guard.check()
    return got


def check_pixel_products(kernel, guard, rng, runs, widths):
    """Tiles of every height, of some widths; rows overlap where the step is shorter than the runs."""
    live, reach = live_rows(runs), max(first + count for first, count in runs)
    for rows, step, columns in product(range(1, kernel.rows + 1), (1, 3, 64), widths):
        pixels = np.full((rows - 1) * step + reach, np.nan, kernel.dtype)
        seen = np.arange(rows)[:, None] * step + live
        pixels[seen] = whole_numbers(rng, seen.shape, kernel.dtype)
        weights = whole_numbers(rng, (len(live), columns), kernel.dtype)
        bias, before = (whole_numbers(rng, shape, kernel.dtype) for shape in (columns, (rows, columns)))
        sums = pixels[seen].astype(float) @ weights
        got = pixel_product(kernel, guard, pixels, step, runs, weights, bias, None, gap=columns % 3)
        assert_same_bits(got, (sums + bias).astype(kernel.dtype))
        got = pixel_product(kernel, guard, pixels, step, runs, weights, None, before, gap=columns % 2)
        assert_same_bits(got, (sums + before).astype(kernel.dtype))


@every("pixel_product")
@pytest.mark.parametrize("runs", [[(0, 1)], [(0, 9)], [(0, 3), (5, 3), (20, 3)], [(3, 200), (300, 56)]], ids=str)
def test_pixel_product(kernel, guard, rng, runs):
    """All widths about whole vectors and halves of them."""
    check_pixel_products(kernel, guard, rng, runs, [n for n in halves(kernel.lanes, 2) if n <= 2 * kernel.lanes])


@every("pixel_dots")
@pytest.mark.parametrize("runs", [[(0, 4)], [(0, 12)], [(0, 4), (5, 8), (20, 4)], [(3, 200), (300, 56)]], ids=str)
def test_pixel_dots(kernel, guard, rng, runs):
    """All outputs that two vectors have room for."""
    check_pixel_products(kernel, guard, rng, runs, range(1, 2 * kernel.lanes * kernel.dtype.itemsize // 16 + 1))


@every("pixel_sums")
@pytest.mark.parametrize("vectors", [[(0, 1)], [(3, 5)], [(0, 1), (20, 3), (90, 1)]], ids=str)
def test_pixel_sums(kernel, guard, rng, vectors):
    """Rows that fill no vector with their sums, one, and some; stored side by side, and apart."""
    runs = [(first, count * kernel.lanes) for first, count in vectors]
    live, reach = live_rows(runs), max(first + count for first, count in runs)
    heights = {1, 2, kernel.lanes - 1, kernel.lanes, kernel.lanes + 1, 5 * kernel.lanes // 2}
    for rows, step, columns, gap in product(heights, (kernel.lanes, 300), (1, 2), (0, 3)):
        pixels = np.full((rows - 1) * step + reach, np.nan, kernel.dtype)
        seen = np.arange(rows)[:, None] * step + live
        pixels[seen] = whole_numbers(rng, seen.shape, kernel.dtype)
        weights, bias = (whole_numbers(rng, shape, kernel.dtype) for shape in ((len(live), columns), columns))
        got = pixel_product(kernel, guard, pixels, step, runs, weights, bias, None, gap)
        assert_same_bits(got, (pixels[seen].astype(float) @ weights + bias).astype(kernel.dtype))


@every("copy_panels")
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_copy_panels(kernel, guard, rng, rows):
    """Whole panels and a last one, from rows with something between them that is not copied."""
    panel = 2 * kernel.lanes
    for columns, gap in product(halves(kernel.lanes, 6), (0, 5)):
        row, rest = columns + gap, columns % panel
        flat = rng.standard_normal((rows - 1) * row + columns).astype(kernel.dtype)
        weights = strided(flat, (rows, columns), row, 1)
        widths = [panel] * (columns // panel) + [-(-rest // kernel.part) * kernel.part] * (rest > 0)
        padded = np.pad(weights, [(0, 0), (0, sum(widths) - columns)])
        want = np.concatenate([part.ravel() for part in np.split(padded, np.cumsum(widths)[:-1], axis=1)])
        to = guard.output(want.shape, kernel.dtype)
        kernel(to, guard.input(flat), row, rows, columns)
        assert_same_bits(guard.take(to), want)
        guard.check()


@every("add_patches")
@pytest.mark.parametrize("taps", [*range(1, 19), 32, 33])
@pytest.mark.parametrize("step", [1, 3])
def test_add_patches(kernel, guard, rng, taps, step):
    """Each product to its output, and nothing to those between."""
    for channels, rows, gap in product((1, 2, 5), (1, 2, 4), (0, 2)):
        shape, reach = (channels, rows, taps), (taps - 1) * step + 1
        y_row = reach + gap
        y_channel, z_row = (rows - 1) * y_row + reach + gap, taps + gap
        z_channel = (rows - 1) * z_row + taps + gap
        sizes = [
            (channels - 1) * a + (rows - 1) * b + c for a, b, c in ((y_channel, y_row, reach), (z_channel, z_row, taps))
        ]
        y, z = (whole_numbers(rng, size, kernel.dtype) for size in sizes)
        want = y.copy()
        strided(want, shape, y_channel, y_row, step)[...] += strided(z, shape, z_channel, z_row, 1)
        got = guard.output(y.shape, kernel.dtype)
        got[...] = y
        kernel(got, y_channel, y_row, step, guard.input(z), z_channel, z_row, channels, rows, taps)
        assert_same_bits(guard.take(got), want)
        guard.check()


@every("pixel_product")
def test_pixel_product_has_the_bits_of_gemm(kernel, guard, rng):
    other = Kernel(kernel.isa, kernel.name.replace("pixel_product", "gemm"))
    runs, count, columns = [(0, 60), (77, 50)], 110, 2 * kernel.lanes
    pixels = rng.standard_normal((kernel.rows - 1) * 40 + 127).astype(kernel.dtype)
    weights, bias = (rng.standard_normal(shape).astype(kernel.dtype) for shape in ((count, columns), columns))
    panel = pixels[np.arange(kernel.rows)[:, None] * 40 + live_rows(runs)].T
    got = pixel_product(kernel, guard, pixels, 40, runs, weights, bias, None)
    for n in range(0, columns, kernel.rows):
        part = np.s_[n : n + kernel.rows]
        want = gemm(other, guard, weights[:, part], panel, [(0, count)], bias[part], None)
        assert_same_bits(np.ascontiguousarray(got[:, part].T), want)


# ---------------------------------------------------------------------------------------------- filter


def filtered(kernel, guard, x, w, taps, step, columns, bias, before, crop=None):
    """y from x[s, row, n], w[s, i, j] and where taps j begin, whole vectors of x and no more; y's rows lie apart.

    Or, with `crop`, from that part of x alone, around which lie zeros; its columns have the step of its rows.
    """
    sources, x_rows, width = x.shape
    rows = (x_rows - w.shape[1]) // step + 1
    y_row = columns + 1
    flat = guard.output((rows - 1) * y_row + columns, kernel.dtype)
    y = strided(flat, (rows, columns), y_row, 1)
    if bias is None:
        y[...] = before
    order = np.random.default_rng(sources).permutation(sources)  # sources lie in any order
    pixels, weights = np.empty_like(x), np.empty_like(w)
    pixels[order], weights[order] = x, w
    data, numbers = guard.input(pixels), guard.input(weights.transpose(0, 2, 1)[..., ::-1])  # [s, j, i], i descending
    last = w.shape[1] - 1
    edges, first, pitch = (0, 0, 0, 0, 0, 1), 0, width
    if crop is not None:
        top, bottom, lo, hi = crop
        edges, pitch = (1, lo, hi, top, bottom, step), hi - lo
        data = guard.input(pixels[:, top:bottom, lo:hi])
        first = top * pitch + lo  # of the elements before the array, where x[0, 0, 0] would be
    tables = [order * data[0].size, order * w[0].size + last, np.array(taps)]
    x_at, w_at, tap = (guard.input(table.astype(np.intp)) for table in tables)
    shape = rows, columns, y_row, step, pitch, sources, address(x_at), address(w_at), *w.shape[1:], address(tap)
    job = Filter(*shape, address(numbers), -1, w.shape[1], *edges)
    start = None if bias is None else guard.input(np.array([bias], kernel.dtype))
    kernel(guard.input(np.frombuffer(job, np.uint8)), address(data) - first * data.itemsize, flat, start)
    got = guard.take(y)
    guard.check()
    return got


def draw_filter(kernel, rng, rows, columns, step, taps_h, taps_w, draw):
    taps = rng.integers(0, 5, taps_w)
    width = columns + -columns % kernel.lanes + max(taps)
    sources = int(rng.integers(1, 4))
    x = draw((sources, (rows - 1) * step + taps_h, width))
    return x, draw((sources, taps_h, taps_w)), taps


def filter_sums(x, w, taps, step, rows, columns):
    """The plain sums, in float64."""
    sums = np.zeros((rows, columns))
    for s, i, j in np.ndindex(*w.shape):
        sums += float(w[s, i, j]) * x[s, i : i + rows * step : step][:rows, taps[j] : taps[j] + columns]
    return sums


@every("filter")
@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("taps_h", [1, 2, 3, 4, 5, 7])
def test_filter(kernel, guard, rng, step, taps_h):
    """Heights with every tile in them, columns around every number of vectors, sums that do not round."""
    for rows, columns in product([1, 2, 3, 4, 7, 8, 15, 17], halves(kernel.lanes, 9 if taps_h == 3 else 3)):
        x, w, taps = draw_filter(
            kernel, rng, rows, columns, step, taps_h, 1 + rows % 3, lambda n: whole_numbers(rng, n, kernel.dtype)
        )
        sums = filter_sums(x, w, taps, step, rows, columns)
        bias, before = 5, whole_numbers(rng, (rows, columns), kernel.dtype)
        got = filtered(kernel, guard, x, w, taps, step, columns, bias, None)
        assert_same_bits(got, (sums + bias).astype(kernel.dtype))
        got = filtered(kernel, guard, x, w, taps, step, columns, None, before)
        assert_same_bits(got, (sums + before).astype(kernel.dtype))


@every("filter")
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("taps_h", [1, 3, 5, 7])
@pytest.mark.parametrize("crop", [(0, 0, 0, 0), (1, 1, 1, 1), (3, 2, 5, 0), (0, 4, 0, 9), (9, 9, 40, 3), (30, 0, 0, 0)])
def test_filter_of_an_image_without_padding(kernel, guard, rng, step, taps_h, crop):
    """The same bits as with zeros around it; rows and columns outside are never read.

    Every fifth size, from another one on with each step, height and crop: all of them took a fifth of the whole suite.
    """
    rows_of_taps = [[3], [0, 2, 4], [0, 1, 2], [4, 2, 0], [0, 1], [1, 3, 4], [0, 1, 2, 3, 4], [3, 2, 1]]
    sizes = product([1, 3, 8, 17, 26], halves(kernel.lanes, 10), [0, 2])
    for n, (rows, columns, other) in islice(enumerate(sizes), (step + taps_h + sum(crop)) % 5, None, 5):
        taps = rows_of_taps[(n // 2 + other) % len(rows_of_taps)]
        x, w, _ = draw_filter(
            kernel, rng, rows, columns, step, taps_h, len(taps), lambda n: rng.standard_normal(n).astype(kernel.dtype)
        )
        width = (columns - 1) * step + 5  # of what is read
        x = rng.standard_normal((*x.shape[:2], width)).astype(kernel.dtype)
        top, left = min(crop[0], x.shape[1]), min(crop[2], width)
        bottom, right = max(top, x.shape[1] - crop[1]), max(left, width - crop[3])
        x[:, :top], x[:, bottom:], x[:, :, :left], x[:, :, right:] = 0, 0, 0, 0
        got = filtered(kernel, guard, x, w, taps, step, columns, 0.3, None, (top, bottom, left, right))
        # A strip: the pixels of each remainder of the position by the step side by side, and whole vectors.
        strip = np.pad(x, [(0, 0), (0, 0), (0, step * (kernel.lanes + 2))])
        strip = np.stack([strip[:, :, i::step][:, :, : columns + -columns % kernel.lanes + 4] for i in range(step)], 2)
        begin = [tap % step * strip.shape[3] + tap // step for tap in taps]
        strip = strip.reshape(*strip.shape[:2], -1)
        assert_same_bits(got, filtered(kernel, guard, strip, w, begin, step, columns, 0.3, None))


@every("filter")
@pytest.mark.parametrize("step", [1, 2, 3])
def test_filter_has_the_same_bits_in_any_tile(kernel, guard, rng, step):
    """Tiles of one output each say what all others must repeat."""
    rows, columns, taps_h = 15, 9 * kernel.lanes + 1, 7
    x, w, taps = draw_filter(
        kernel, rng, rows, columns, step, taps_h, 3, lambda n: rng.standard_normal(n).astype(kernel.dtype)
    )
    whole = filtered(kernel, guard, x, w, taps, step, columns, 0.3, None)
    sums, bias = filter_sums(x, w, taps, step, rows, columns), kernel.dtype.type(0.3)
    assert_close(whole, sums + bias, w.size, filter_sums(abs(x), abs(w), taps, step, rows, columns) + bias)
    for r, n in product(range(rows), rng.integers(0, columns, 5)):
        width = kernel.lanes + max(taps)
        part = x[:, r * step : r * step + taps_h, n : n + width]
        part = np.pad(part, [(0, 0), (0, 0), (0, width - part.shape[2])])
        got = filtered(kernel, guard, np.ascontiguousarray(part), w, taps, step, 1, 0.3, None)
        assert_same_bits(got, whole[r : r + 1, n : n + 1].copy())


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
    wide = product([2 * lanes, 2 * lanes + 3, 5 * lanes], [2 * lanes + 1, 4 * lanes, 7 * lanes + 3, 16 * lanes])
    for width, count in [*product(sorted(widths), counts), *wide] * 2:
        spare = lanes + int(rng.integers(0, 3))
        pitch = kernel.columns if count <= kernel.columns else count + -count % lanes + spare
        pixels, step, origin, grid, taps, first = draw_panel(rng, kernel.dtype, step_w, width, count)
        rows, alive = gather(pixels, step, origin, grid, taps, np.arange(first, first + count))
        channels, kept = len(pixels), alive if skip_dead else np.ones(len(taps), bool)
        edges = np.flatnonzero(np.diff(kept, prepend=False, append=False)).reshape(-1, 2) * channels
        expected_runs = [(begin, end - begin) for begin, end in edges.tolist()]
        data, strides = place_image(guard, rng, pixels)
        axes = (tuple(axis.tolist()) for axis in (strides[1:3], np.array(pixels.shape[1:]), step, origin, grid))
        image = Image(address(data), int(strides[0]), *axes)
        height = kept.sum() * channels
        panel = guard.output(height * pitch + lanes, kernel.dtype)
        runs = guard.output(len(expected_runs), np.dtype(Run))
        image, offsets = guard.input(np.frombuffer(image, np.uint8)), guard.input(taps.astype(np.intp))
        n_runs = kernel(panel, pitch, image, offsets, len(taps), channels, first, count, skip_dead, runs)
        assert n_runs == len(expected_runs)
        assert guard.take(runs).tolist() == expected_runs
        got = guard.take(panel)[: height * pitch].reshape(-1, channels, pitch)
        guard.check()
        assert_same_bits(got[:, :, :count].copy(), rows[kept])
        assert not got[:, :, count : count + -count % lanes].any()  # not NaN either: whole vectors are multiplied


@every("pack_strip")
@pytest.mark.parametrize("step", [1, 2, 3])
def test_pack_strip(kernel, guard, rng, step):
    """Rows end at the page, or begin at it, with poison between; a whole vector of the strip is written, no more."""
    lanes = kernel.lanes
    for width, count in product([0, *tails(lanes, 1), 2 * lanes + 1, 7 * lanes], [0, *tails(lanes, 2)]):
        for first in {-step * (count + 1), -step * lanes, -3, -1, 0, 1, width - 1, width, width + lanes}:
            rows, gap, room = (int(n) for n in rng.integers([1, 0, 0], 4))
            row = rng.standard_normal((rows, width)).astype(kernel.dtype)
            flat = np.full(max(0, (rows - 1) * (width + gap) + width), np.nan, kernel.dtype)
            strided(flat, (rows, width), width + gap, 1)[...] = row
            at = first + np.arange(step)[:, None] + np.arange(count + -count % lanes) * step
            inside = (at >= 0) & (at < width) & (np.arange(at.shape[1]) < count)
            expected = np.append(row, np.zeros((rows, 1), row.dtype), axis=1)[:, np.where(inside, at, width)]
            pitch = at.shape[1] + room
            strip = guard.output(max(0, (rows * step - 1) * pitch + at.shape[1]), kernel.dtype)
            source = guard.input(flat)
            kernel(strip, step * pitch, pitch, source, width + gap, rows, width, first, step, count)
            got = guard.take(strided(strip, expected.shape, step * pitch, pitch, 1))
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


# ---------------------------------------------------------------------------------------------- transforms


def transformed(kernel, guard, x, inverse):
    """Real and imaginary parts (2, size, columns) through the kernel, rows some way apart; and what it returns."""
    _, size, columns = x.shape
    whole = columns + -columns % kernel.lanes
    stride = 2 * whole + 3
    flat = guard.output((size - 1) * stride + 2 * whole, kernel.dtype)
    parts = [strided(flat[offset:], (size, whole), stride, 1) for offset in (0, whole)]
    for part, values in zip(parts, x, strict=True):
        part[...] = 0
        part[:, :columns] = values
    angles = guard.input(roots(size).astype(kernel.dtype))
    bad = kernel(flat, flat[whole:], size, stride, columns, angles, inverse)
    got = np.stack([guard.take(part)[:, :columns] for part in parts])
    guard.check()
    return got, bad


@every("fft")
@pytest.mark.parametrize("size", [4, 8, 16, 32, 64, 128, 256])
def test_fft(kernel, guard, rng, size):
    for columns in tails(kernel.lanes, 2):
        x = rng.standard_normal((2, size, columns)).astype(kernel.dtype)
        exact = x[0].astype(float) + 1j * x[1]
        bound = transform(size, kernel.dtype.name) * np.linalg.norm(exact, axis=0) * np.sqrt(size)
        (re, im), _ = transformed(kernel, guard, x, 0)
        assert (np.linalg.norm(re + 1j * im - np.fft.fft(exact, axis=0)[order(size)], axis=0) <= bound).all()
        (re, im), bad = transformed(kernel, guard, x[:, order(size)], 1)
        assert (np.linalg.norm(re + 1j * im - size * np.fft.ifft(exact, axis=0), axis=0) <= bound).all()
        assert not bad


@every("fft")
@pytest.mark.parametrize("size", [4, 8, 32])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, "max"])
def test_fft_reports_what_is_not_finite(kernel, guard, rng, size, value):
    value = np.finfo(kernel.dtype).max if value == "max" else value
    for part in (0, 1):
        x = rng.standard_normal((2, size, kernel.lanes + 1)).astype(kernel.dtype)
        x[part, rng.permutation(size)[:3], rng.integers(0, kernel.lanes + 1)] = value
        got, bad = transformed(kernel, guard, x, 1)
        assert bad
        assert not np.isfinite(got).all()


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


ENDS = {  # by kind, in float64 of float32 or float64 numbers
    0: lambda x: x,
    1: lambda x: np.maximum(x, 0),
    2: lambda x: np.minimum(np.maximum(x, 0), 6),
    3: lambda x: np.where(x < 0, 0.3 * x, x),
    4: lambda x: 1 / (1 + np.exp(-x)),
    5: lambda x: x / (1 + np.exp(-x)),
    6: np.tanh,
}


@every("finish")
@pytest.mark.parametrize("kind", ENDS)
def test_finish(kernel, guard, rng, kind):
    tiny = np.finfo(kernel.dtype).tiny
    for columns, rows, with_residual in product(tails(kernel.lanes, 2), (1, 3), (False, True)):
        y_row, r_row = columns + int(rng.integers(0, 3)), columns + int(rng.integers(0, 3))
        x = (rng.standard_normal((rows, columns)) * 10.0 ** rng.integers(-4, 3, (rows, columns))).astype(kernel.dtype)
        residual = rng.standard_normal((rows, columns)).astype(kernel.dtype)
        y = guard.output((rows - 1) * y_row + columns, kernel.dtype)
        strided(y, x.shape, y_row, 1)[...] = x
        r = np.zeros((rows - 1) * r_row + columns, kernel.dtype)
        strided(r, x.shape, r_row, 1)[...] = residual
        kernel(rows, columns, y, y_row, guard.input(r) if with_residual else None, r_row, kind, 0.3)
        got = guard.take(strided(y, x.shape, y_row, 1))
        guard.check()
        expected = ENDS[kind]((x + residual if with_residual else x).astype(float))
        error = np.abs(got - expected)
        assert (
            error <= (8 if kind > 3 else 2) * UNIT_ROUNDOFF[kernel.dtype.name] * np.abs(expected) + 1000 * tiny
        ).all()


@every("finish")
def test_finish_far_out(kernel, guard):
    most = np.finfo(kernel.dtype).max
    x = np.array([np.nan, np.inf, -np.inf, most, -most, 0.0, 1000.0, -1000.0], kernel.dtype)
    expected = {
        0: x,
        1: [np.nan, np.inf, 0, most, 0, 0, 1000, 0],
        2: [np.nan, 6, 0, 6, 0, 0, 6, 0],
        3: [np.nan, np.inf, -np.inf, most, most * kernel.dtype.type(-0.25), 0, 1000, -250],
        4: [np.nan, 1, 0, 1, 0, 0.5, 1, 0],
        5: [np.nan, np.inf, 0, most, 0, 0, 1000, 0],
        6: [np.nan, 1, -1, 1, -1, 0, 1, -1],
    }
    for kind, want in expected.items():
        y = guard.output(len(x), kernel.dtype)
        y[:] = x
        kernel(1, len(x), y, 0, None, 0, kind, 0.25)
        got = guard.take(y)
        guard.check()
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-35, err_msg=str(kind))


@every("finish")
def test_relu_of_minus_zero_keeps_its_sign(kernel, guard):
    y = guard.output(kernel.lanes + 1, kernel.dtype)
    y[:] = -0.0
    kernel(1, len(y), y, 0, None, 0, 1, 0)
    assert np.signbit(guard.take(y)).all()
    guard.check()


@every("resize_row")
def test_resize_row(kernel, guard, rng):
    for count, size in product(tails(kernel.lanes, 2), (1, 2, 17)):
        x = whole_numbers(rng, size, kernel.dtype)
        at = rng.integers(0, size, (2, count))
        w = whole_numbers(rng, (2, count), kernel.dtype)
        y = guard.output(count, kernel.dtype)
        kernel(y, guard.input(x), guard.input(at), guard.input(w), count)
        got = guard.take(y)
        guard.check()
        np.testing.assert_array_equal(got, w[0] * x[at[0]] + w[1] * x[at[1]])


# Outputs, taps, the step from output to output, and how many taps in a row read neighbours, whose loads are shared; 0
# stands for runs of different lengths.
TAPS_OF_ROWS = list(
    product([1, 2, 3, 4, 6, 7, 8, 10, 13, 14, 15, 18, 23, 31], [1, 2, 9, 25, 49], [1, 3], [1, 2, 3, 4, 5, 6, 7, 9, 0])
)


def pixels_of_taps(rng, taps, step, run):
    """The pixels that taps read, from the least on."""
    lengths = rng.integers(1, 9, taps) if run == 0 else np.full(taps, run)
    starts = rng.permutation(2 * taps)[:taps] * max(lengths) * step
    at = np.concatenate([a + step * np.arange(n) for a, n in zip(starts, lengths, strict=True)])[:taps]
    return at - at.min()


@every("depthwise")
@pytest.mark.parametrize("group", [1, 2, 4, 8])
def test_depthwise(kernel, guard, rng, group):
    lanes = kernel.lanes
    if group > lanes:
        pytest.skip("a group is within a vector")
    seen = np.arange(lanes) ^ np.array([j ^ j >> 1 for j in range(group)])[:, None]
    for count, taps, step, run in TAPS_OF_ROWS:
        at = pixels_of_taps(rng, taps, step, run)
        size, blocks = (count - 1) * step + at.max() + 1, 1 + count % 3  # so that the last entry is read
        x = whole_numbers(rng, (size, blocks, lanes), kernel.dtype)
        numbers = whole_numbers(rng, (blocks, taps, group, lanes), kernel.dtype)
        bias = whole_numbers(rng, (blocks, lanes), kernel.dtype)
        y_step, w_at = blocks * lanes + taps % 4, rng.permutation(taps)
        weights = np.pad(numbers[:, np.argsort(w_at)].reshape(blocks, -1), [(0, 0), (0, 3)])
        flat = guard.output((count - 1) * y_step + blocks * lanes, kernel.dtype)
        arrays = x, at * blocks * lanes, weights.ravel()[: weights.size - 3], w_at * group * lanes, bias
        placed = [guard.input(array) for array in arrays]
        x_step, w_block = step * blocks * lanes, weights.shape[1]
        x_at, w, places, start = placed[1:]
        kernel(flat, y_step, count, placed[0], x_step, blocks, group, taps, x_at, w, w_block, places, start)
        got = guard.take(strided(flat, (count, blocks, lanes), y_step, lanes, 1))
        guard.check()
        read = [x[at[t] :][: (count - 1) * step + 1 : step] for t in range(taps)]
        expected = bias + sum(numbers[:, t, j] * read[t][:, :, seen[j]] for t in range(taps) for j in range(group))
        np.testing.assert_array_equal(got, expected)


@every("depthwise_sums")
def test_depthwise_sums(kernel, guard, rng):
    lanes = kernel.lanes
    for count, taps, step, run in TAPS_OF_ROWS:
        at = pixels_of_taps(rng, taps, step, run)
        size, blocks = (count - 1) * step + at.max() + 1, 1 + count % 3
        x = whole_numbers(rng, (size, blocks, lanes), kernel.dtype)
        numbers, bias = whole_numbers(rng, (blocks, taps, lanes), kernel.dtype), whole_numbers(rng, 1, kernel.dtype)
        y_step, w_at = 1 + taps % 4, rng.permutation(taps)
        weights = np.pad(numbers[:, np.argsort(w_at)].reshape(blocks, -1), [(0, 0), (0, 3)])
        flat = guard.output((count - 1) * y_step + 1, kernel.dtype)
        arrays = x, at * blocks * lanes, weights.ravel()[: weights.size - 3], w_at * lanes, bias
        x_in, x_at, w, places, start = [guard.input(array) for array in arrays]
        x_step, w_block = step * blocks * lanes, weights.shape[1]
        kernel(flat, y_step, count, x_in, x_step, blocks, taps, x_at, w, w_block, places, start)
        got = guard.take(strided(flat, (count,), y_step))
        guard.check()
        read = [x[at[t] :][: (count - 1) * step + 1 : step] for t in range(taps)]
        expected = bias + sum((numbers[:, t] * read[t]).sum((1, 2)) for t in range(taps))
        np.testing.assert_array_equal(got, expected)


@every("transpose")
def test_transpose(kernel, guard, rng):
    for rows, columns in product(tails(kernel.lanes, 2), repeat=2):
        from_row, to_row = columns + int(rng.integers(0, 3)), rows + int(rng.integers(0, 3))
        x = rng.standard_normal((rows, columns)).astype(kernel.dtype)
        flat = np.zeros((rows - 1) * from_row + columns, kernel.dtype)
        strided(flat, x.shape, from_row, 1)[...] = x
        y = guard.output((columns - 1) * to_row + rows, kernel.dtype)
        kernel(y, to_row, guard.input(flat), from_row, rows, columns)
        got = guard.take(strided(y, (columns, rows), to_row, 1))
        guard.check()
        assert_same_bits(got, x.T.copy())


@every("turn_apart")
def test_turn_apart(kernel, guard, rng):
    for rows, columns in product(tails(kernel.lanes, 2), repeat=2):
        count, gap = int(rng.integers(0, 4)), int(rng.integers(0, 3))
        x = rng.standard_normal((count, rows, columns)).astype(kernel.dtype)
        places = [guard.output((count, rows + gap), kernel.dtype) for _ in range(columns)]
        to = guard.input(np.array([address(place) for place in places], np.uintp))
        kernel(to, rows + gap, guard.input(x), rows, columns, count)
        got = np.array([guard.take(place[:, :rows]) for place in places])
        guard.check()
        assert_same_bits(got, np.ascontiguousarray(x.transpose(2, 0, 1)))


@every("turn_together")
def test_turn_together(kernel, guard, rng):
    for rows, columns in product(tails(kernel.lanes, 2), repeat=2):
        count, gap = int(rng.integers(0, 4)), int(rng.integers(0, 3))
        x = rng.standard_normal((rows, count, columns + gap)).astype(kernel.dtype)
        y = guard.output((count, columns, rows), kernel.dtype)
        places = [guard.input(place.reshape(-1)[: place.size - gap if count else 0]) for place in x]
        from_ = guard.input(np.array([address(place) for place in places], np.uintp))
        kernel(y, from_, columns + gap, rows, columns, count)
        got = guard.take(y)
        guard.check()
        assert_same_bits(got, np.ascontiguousarray(x[..., :columns].transpose(1, 2, 0)))


@every("pack_pixels")
def test_pack_pixels(kernel, guard, rng):
    lanes = kernel.lanes
    for channels, count in product({1, lanes - 1 or 1, lanes}, tails(lanes, 2)):
        for width in {0, 1, lanes, 2 * lanes + 1}:
            for first in {-count - 1, -2, 0, 1, width - 1, width + 2}:
                column = channels + int(rng.integers(0, 3))
                pixels = rng.standard_normal((width, channels)).astype(kernel.dtype)
                flat = np.zeros(max(0, (width - 1) * column + channels), kernel.dtype)
                if width:
                    strided(flat, pixels.shape, column, 1)[...] = pixels
                at = first + np.arange(count)
                padded = np.vstack([pixels, np.zeros((1, channels), kernel.dtype)])
                expected = np.zeros((count, lanes), kernel.dtype)
                expected[:, :channels] = padded[np.where((at >= 0) & (at < width), at, width)]
                block = guard.output((count, lanes), kernel.dtype)
                kernel(block, guard.input(flat), column, channels, width, first, count)
                got = guard.take(block)
                guard.check()
                assert_same_bits(got, expected)


@every("unpack_pixels")
def test_unpack_pixels(kernel, guard, rng):
    lanes = kernel.lanes
    for channels, count in product({1, lanes - 1 or 1, lanes}, tails(lanes, 2)):
        column = channels + int(rng.integers(0, 3))
        block = rng.standard_normal((count, lanes)).astype(kernel.dtype)
        flat = guard.output((count - 1) * column + channels, kernel.dtype)
        kernel(flat, column, channels, guard.input(block), count)
        got = guard.take(strided(flat, (count, channels), column, 1))
        guard.check()
        assert_same_bits(got, block[:, :channels].copy())


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

TILES = [(n_h, n_w) for n_w in (3, *_winograd.PAIRS) for n_h in (1, n_w)]


def matrices(points, taps=2):
    """A^T (for as many outputs as there can be), B^T and G of an axis, from the definition, in float64."""
    if points == 1:
        return (np.ones((1, 1)),) * 3
    outputs, pairs = points - taps + 1, _winograd.PAIRS.get(points, (1.0,))
    finite = [0.0] * (1 - points % 2) + [sign * a for a in pairs for sign in (1, -1)]
    a, b, g = np.zeros((outputs, points)), np.zeros((points, points)), np.zeros((points, taps))
    for j, p in enumerate(finite):
        others = [q for i, q in enumerate(finite) if i != j]
        a[:, j], b[j, :-1] = p ** np.arange(outputs), np.poly(others)[::-1]
        g[j] = p ** np.arange(taps) / np.prod([p - q for q in others])
    a[-1, -1], b[-1], g[-1, -1] = 1, np.poly(finite)[::-1], 1
    if points == 3:  # pixels and weights in each other's place: y[0] = g1 d0 + g2 d1, y[1] = g0 d0 + g1 d1
        b, g = np.array([[0.0, 1], [1, 1], [1, 0]]), np.array([[0.0, -1, 1], [0, 1, 0], [1, -1, 0]])
        if outputs == 2:
            a = np.array([[1.0, 1, 0], [0, 1, 1]])
    return a, b, g


def table(guard, numbers):
    return guard.input(np.ascontiguousarray(numbers))


@every("winograd_input")
@pytest.mark.parametrize(("n_h", "n_w"), TILES)
def test_winograd_input(kernel, guard, rng, n_h, n_w):
    lanes, dtype = kernel.lanes, kernel.dtype
    for tiles, column, tile in [(1, 1, 1), (3, 1, 2), (3, 5, 1)]:  # strides in pixels
        b_h, b_w = matrices(n_h)[1], matrices(n_w)[1]
        reads_h, reads_w = b_h.shape[1], b_w.shape[1]
        row = (reads_w - 1) * column + (tiles - 1) * tile + 1
        x = rng.standard_normal((reads_h, row, lanes)).astype(dtype)
        plane = tiles * lanes + lanes
        v = guard.output((n_h * n_w - 1) * plane + tiles * lanes, dtype)
        numbers = table(guard, _winograd.axis(n_w, 2).input)
        kernel(n_h, n_w, numbers, tiles, guard.input(x), row * lanes, column * lanes, tile * lanes, v, plane)
        got = guard.take(strided(v, (n_h * n_w, tiles, lanes), plane, lanes, 1)).reshape(n_h, n_w, tiles, lanes)
        guard.check()
        at = np.arange(reads_w)[:, None] * column + np.arange(tiles) * tile
        d = x[:, at].astype(float)
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
    """Every height; sums that end inside, at and behind a block of lanes and a part of 32; one vector and two."""
    lanes, dtype = kernel.lanes, kernel.dtype
    heights = range(1, kernel.rows + 1)
    shapes = [*product(heights, [2]), *product([*heights, 2 * kernel.rows], [1])]
    for (rows, vectors), count in product(shapes, [1, lanes - 1, lanes, lanes + 1, 31, 32, 33, 65, 100]):
        blocks, gap = -(-count // lanes), int(rng.integers(0, 2)) * lanes
        a = whole_numbers(rng, (blocks, rows * lanes + gap), dtype)
        b = whole_numbers(rng, (count, 2 * lanes), dtype)
        before = whole_numbers(rng, (rows, vectors * lanes), dtype)
        c_row = vectors * lanes + int(rng.integers(0, 3))
        flat = guard.output((rows - 1) * c_row + vectors * lanes, dtype)
        c = strided(flat, before.shape, c_row, 1)
        if add:
            c[...] = before
        last = a[:, : rows * lanes].reshape(blocks, rows, lanes).transpose(1, 0, 2).reshape(rows, -1)[:, :count]
        factors = guard.input(a.ravel()[: a.size - gap])
        kernel(rows, vectors, count, factors, a.shape[1], guard.input(b), flat, c_row, add)
        got = guard.take(c)
        guard.check()
        sums = last.astype(float) @ b[:, : vectors * lanes]
        assert_same_bits(got, (sums + add * before).astype(dtype))


@every("winograd_weights")
@pytest.mark.parametrize(("n_h", "n_w"), TILES)
def test_winograd_weights(kernel, guard, rng, n_h, n_w):
    lanes, dtype = kernel.lanes, kernel.dtype
    shapes = {(1, 2), (1, min(3, n_w - 1))} if n_h == 1 else {(2, 2), (2, 3), (min(3, n_w - 1),) * 2}
    for taps_h, taps_w in {(1, 3)} if (n_h, n_w) == (1, 3) else {(3, 3)} if n_w == 3 else shapes:
        if max(taps_h, taps_w) >= n_w > 3:
            continue
        taps = taps_h * taps_w
        w = rng.standard_normal((taps + 3, 2 * lanes)).astype(dtype)
        tap = rng.permutation(taps + 3)[:taps]
        tap[rng.integers(taps)] = -1
        g = np.where(tap[:, None] >= 0, w[tap], 0).reshape(taps_h, taps_w, 2 * lanes)
        for special in (0, np.nan, -np.inf):
            plane = 2 * lanes + 4
            u = guard.output((n_h * n_w - 1) * plane + 2 * lanes, dtype)
            if special:
                w[tap.max(), rng.integers(2 * lanes)] = special
            bad = kernel(
                *(u, plane, guard.input(w), guard.input(tap), taps_h, taps_w, n_h, n_w),
                *(table(guard, _winograd.axis(n, t).weights) for n, t in ((n_h, taps_h), (n_w, taps_w))),
            )
            got = guard.take(strided(u, (n_h * n_w, 2 * lanes), plane, 1))
            guard.check()
            assert bool(bad) == bool(special)
            if not special:
                g_h, g_w = matrices(n_h, taps_h)[2], matrices(n_w, taps_w)[2]
                exact, scale = (
                    np.einsum("ij,jkr,lk->ilr", h, p, q).reshape(got.shape)
                    for h, p, q in ((g_h, g, g_w), map(abs, (g_h, g, g_w)))
                )
                assert_close(got, exact, 4 * taps, scale)


# ---------------------------------------------------------------------------------------------- pooling


def entries(rng, shape, dtype, mean):
    """Whole numbers; for maxima, NaN, infinities and zeros among them."""
    x = whole_numbers(rng, shape, dtype)
    if not mean:
        x[rng.random(shape) < 0.1] = 0
        x[rng.random(shape) < 0.1] = -np.inf
        x[rng.random(shape) < 0.02] = np.nan
    return x


def join(x, axis, mean):
    """The sum, or the maximum, where NaN wins; of nothing 0, or -inf."""
    return x.sum(axis) if mean else x.max(axis, initial=-np.inf)


@pytest.mark.parametrize("window", [(1, 1), (1, 2), (1, 3), (1, 5), (2, 3), (3, 1), (0, 2), (2, 0)], ids=str)
@every("max_rows", "sum_rows")
def test_rows(kernel, guard, rng, window):
    (planes, rows), mean = window, kernel.family == "sum_rows"
    for count, outputs in product(tails(kernel.lanes, 5), [0, 1, 3]):
        whole = count + -count % kernel.lanes
        shape = outputs, planes, rows, count
        gaps = rng.integers(0, 3, 3)
        row_step = count + int(gaps[0])
        plane_step = rows * row_step + int(gaps[1])
        step = int(rng.choice([row_step, planes * plane_step + gaps[2]]))
        size = max(0, outputs - 1) * step + max(0, planes - 1) * plane_step + max(0, rows - 1) * row_step + count
        flat = entries(rng, size, kernel.dtype, mean)
        x = guard.input(flat)
        expected = join(strided(flat, shape, step, plane_step, row_step, 1), (1, 2), mean) if min(shape) else None
        pitch = whole + int(rng.integers(0, 3))
        to = guard.output(max(0, outputs - 1) * pitch + whole, kernel.dtype)
        windows = guard.input(np.frombuffer(Rows(outputs, step, planes, plane_step, rows, row_step), np.uint8))
        kernel(to, pitch, x, windows, count)
        got = guard.take(strided(to, (outputs, whole), pitch, 1)) if outputs else np.empty((0, whole), kernel.dtype)
        guard.check()
        nothing = 0 if mean else -np.inf
        assert (got[:, count:] == nothing).all()
        assert np.array_equal(got[:, :count], nothing + np.zeros_like(got[:, :count]) if expected is None else expected,
                              equal_nan=True)  # fmt: skip


def join_columns(kernel, guard, rng, joined, pitch, first, length, step, taps=0, stride=0):
    """Run a taps or runs kernel on rows of `pitch`; check it against joining each window by itself."""
    mean, count, outputs = kernel.family.startswith("mean"), len(first), len(joined)
    y_pitch = count + int(rng.integers(0, 3))
    y = guard.output(max(0, outputs - 1) * y_pitch + count, kernel.dtype)
    at = guard.input(first.astype(np.intp)), guard.input(length.astype(np.intp))
    fields = outputs, pitch, y_pitch, count, step, taps, stride, *map(address, at)
    windows = guard.input(np.frombuffer(Columns(*fields), np.uint8))
    columns, rows = (rng.integers(1, 9, n).astype(kernel.dtype) for n in (count, outputs))
    flat = np.full(max(0, outputs - 1) * pitch + joined.shape[1], np.nan, kernel.dtype)
    strided(flat, joined.shape, pitch, 1)[...] = joined
    divisors = (guard.input(columns), guard.input(rows)) if mean else ()
    kernel(y, guard.input(flat), windows, *divisors)
    got = guard.take(strided(y, (outputs, count), y_pitch, 1))
    guard.check()
    expected = np.empty_like(got)
    for j in range(count):
        expected[:, j] = join(joined[:, first[j] + step * np.arange(length[j])], 1, mean)
    assert np.array_equal(got, expected / (rows[:, None] * columns) if mean else expected, equal_nan=True)


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("taps", [1, 2, 3, 4])
@every("max_taps", "mean_taps")
def test_taps(kernel, guard, rng, taps, stride):
    mean = kernel.family == "mean_taps"
    for count, outputs, step in product(tails(kernel.lanes, 2), [1, 3], [1] if mean else [1, 4]):
        whole = count + -count % kernel.lanes
        reach = whole * stride + (taps - 1) * step
        joined = entries(rng, (outputs, reach), kernel.dtype, mean)
        first, length = np.arange(count) * stride, np.full(count, taps)
        join_columns(kernel, guard, rng, joined, reach + int(rng.integers(0, 3)), first, length, step, taps, stride)


@every("max_runs", "mean_runs")
def test_runs(kernel, guard, rng):
    mean, lanes = kernel.family == "mean_runs", kernel.lanes
    for longest, outputs, step in product([*tails(lanes, 1), 4 * lanes, 8 * lanes + 3, 13 * lanes + 1], [1, 3], [1, 3]):
        if mean and step > 1:
            continue
        length = np.array([longest, 0, 1, max(0, longest - 1), longest])
        first = np.array([0, 3, longest // 2, 1, 2])
        reach = int((first + (length - 1) * step).max()) + 1
        joined = entries(rng, (outputs, reach), kernel.dtype, mean)
        join_columns(kernel, guard, rng, joined, reach + int(rng.integers(0, 3)), first, length, step)


# ---------------------------------------------------------------------------------------------- movers

MANY_ROWS = 83  # short ones that lie together: more than are moved as one
ITEM_BYTES = [1, 2, 4, 8, 16, 3, 12, 24, 36, 100, 1040]


def moves(item):
    """Yields ways, step, count; with the table of masks? and skew, to unalign the fine rows; how many of these."""
    groups = [max(1, group // item) * n for group in (16, 32) for n in (1, 2)]
    counts = {0, 1, 2, 70, *(n + around for n in groups for around in (-1, 0, 1))} & set(range(71 if item < 200 else 4))
    for ways, step in [*((n, n) for n in (2, 3, 4, 5, 6, 7, 8, 9, 16)), (1, 1), (1, 3), (2, 5), (3, 4)]:
        for count, table in product(sorted(counts), [False, True] if ways == step and 16 % item == 0 else [False]):
            for skew, rows in ((0, 3), (1, 1), (1, 2), *[(2, MANY_ROWS)] * (table and count * item < 64)):
                yield ways, step, count, table, skew, rows


def interleaving(kernel, guard, rng, ways, step, count, item, table, rows, undo):
    """What the kernel is told, and how far apart rows lie: of each of coarse and of fine, beside one another or not."""
    masks = guard.input(np.frombuffer(_core.shuffle_table(kernel.unit, ways, item, undo), np.uint8)) if table else None
    *next_coarse, next_fine = (size * item + int(rng.integers(0, 9)) for size in [*[count] * ways, count * step])
    if rows == MANY_ROWS:
        next_coarse = [count * item] * ways
    how = Interleaving(ways, step, count, item, masks is not None and address(masks), rows, next_fine)
    how.next_coarse[:ways] = next_coarse
    return how, next_coarse


def fine_entries(fine, how, skew):
    """View bytes of fine rows as [row, way, count, byte]."""
    shape, step = (how.rows, how.ways, how.count, how.item_bytes), how.item_bytes
    return strided(fine[skew:], shape, how.next_fine, step, how.step * step, 1)


def fine_bytes(how, skew):
    return skew + (how.rows - 1) * how.next_fine + max(0, (how.count - 1) * how.step + how.ways) * how.item_bytes


@every("interleave")
@pytest.mark.parametrize("item", ITEM_BYTES)
def test_interleave(kernel, guard, rng, item):
    for ways, step, count, table, skew, rows in moves(item):
        how, nexts = interleaving(kernel, guard, rng, ways, step, count, item, table, rows, 0)
        coarse = [rng.integers(0, 256, (rows - 1) * next_ + count * item, np.uint8) for next_ in nexts]
        pointers = guard.input(np.array([address(guard.input(way)) for way in coarse], np.uintp))
        fine = guard.output(fine_bytes(how, skew), np.uint8)
        kernel(fine[skew:], pointers, ctypes.addressof(how))
        got = guard.take(fine_entries(fine, how, skew))
        guard.check()
        want = [strided(way, (rows, count, item), next_, item, 1) for way, next_ in zip(coarse, nexts, strict=True)]
        assert_same_bits(got, np.stack(want, axis=1))


@every("deinterleave")
@pytest.mark.parametrize("item", ITEM_BYTES)
def test_deinterleave(kernel, guard, rng, item):
    for ways, step, count, table, skew, rows in moves(item):
        how, nexts = interleaving(kernel, guard, rng, ways, step, count, item, table, rows, 1)
        fine = rng.integers(0, 256, fine_bytes(how, skew), np.uint8)
        coarse = [guard.output((rows - 1) * next_ + count * item, np.uint8) for next_ in nexts]
        pointers = guard.input(np.array([address(way) for way in coarse], np.uintp))
        kernel(pointers, guard.input(fine)[skew:], ctypes.addressof(how))
        got = [
            guard.take(strided(way, (rows, count, item), next_, item, 1))
            for way, next_ in zip(coarse, nexts, strict=True)
        ]
        guard.check()
        assert_same_bits(np.stack(got, axis=1), fine_entries(fine, how, skew).copy())


PERMUTED = [  # channels, factors, item: groups of many pixels and of one, runs around a vector, blocks of channels
    *[(1, (2, 2), 1), (3, (2, 2), 1), (1, (1, 3), 2), (1, (3, 1), 4), (3, (2, 2), 4), (3, (3, 3), 4)],
    *[(3, (4, 4), 4), (1, (2, 5), 3), (5, (2, 3), 2), (4, (2, 2), 4), (15, (2, 2), 4), (16, (2, 2), 4)],
    *[(21, (2, 3), 8), (3, (8, 8), 4), (2, (1, 2), 16), (1, (64, 1), 1), (40, (1, 1), 2), (15, (3, 3), 4)],
]


@every("stream")
def test_stream(kernel, guard, rng):
    """Less than a cache line, whole ones and their neighbours, from and to any place in one."""
    for bytes_, skew in product([0, 1, 4, 63, 64, 65, 127, 128, 129, 191, 500, 2048], [0, 1, 16, 60, 63]):
        values = rng.integers(0, 256, bytes_ + skew, np.uint8)
        y = guard.output(bytes_ + skew, np.uint8)
        kernel(y[skew:], guard.input(values)[skew:], bytes_)
        got = guard.take(y[skew:])
        guard.check()
        assert_same_bits(got, values[skew:])


@every("permute")
@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("order", ["crd", "dcr"])
@pytest.mark.parametrize(("channels", "factors", "item"), PERMUTED)
def test_permute(kernel, guard, rng, channels, factors, item, order, undo):
    plan = permutation((kernel.unit, 0), item, channels, factors, order, undo)
    if plan is None:
        assert order == "dcr" and channels * item >= kernel.unit
    elif plan.unit != kernel.unit:
        assert plan.unit == 16 and channels * item >= kernel.unit
    else:
        check_permute(kernel, guard, rng, plan, factors, item, order, undo)


@every("permute")
@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("order", ["crd", "dcr"])
@pytest.mark.parametrize(("channels", "factors", "item"), [case for case in PERMUTED if case[2] % 4 == 0])
def test_permute_words(kernel, guard, rng, channels, factors, item, order, undo):
    """Groups of each number of pixels that are compared, whichever is chosen."""
    pixel = channels * item
    plans = word_plans((kernel.unit, kernel.words), item, channels, factors, order, undo)
    assert bool(plans) == (pixel < kernel.words)
    assert len({plan.pixels for plan in plans}) == len(plans)
    for plan in plans:
        assert plan.unit == kernel.words
        check_permute(kernel, guard, rng, written(plan), factors, item, order, undo)


def check_permute(kernel, guard, rng, plan, factors, item, order, undo):
    (fh, fw), columns, gap = factors, plan.rows // factors[0], 24 * (plan.rows > factors[0])  # other blocks' bytes
    fine_run, coarse_run = fw // columns * plan.block, fh * fw * plan.block

    def rows(number, run):
        """Rows of canaries, and a view without what lies between the pixels."""
        memory = [guard.output(max(0, pixels * (run + gap) - gap), np.uint8) for _ in range(number)]
        views = [strided(row, (pixels, run), run + gap, 1) for row in memory]
        return guard.input(np.array([address(row) for row in memory], np.uintp)), views

    for pixels in {*range(7), *(n * plan.pixels + around for n in (1, 2, 5) for around in (-1, 0, 1))}:
        values = rng.integers(0, 256, (pixels, coarse_run), np.uint8)
        block = plan.block // item
        split = (block, fh, fw) if order == "crd" else (fh, fw, block)
        elements = values.reshape(pixels, *split, item)
        fine = elements.transpose((2, 0, 3, 1, 4) if order == "crd" else (1, 0, 2, 3, 4))  # fh, pixel, fw, channel
        fine = fine.reshape(fh, pixels, columns, fine_run).swapaxes(1, 2).reshape(plan.rows, pixels, fine_run)
        sides = [(rows(1, coarse_run), values[None]), (rows(plan.rows, fine_run), fine)]
        ((to, written), want), ((source, read), given) = sides if undo else sides[::-1]
        for view, numbers in zip(read, given, strict=True):
            view[...] = numbers
        runs = [n * plan.pixels for view in (written[0], read[0]) for n in (view.shape[1], view.shape[1] + gap)]
        program = plan.tiles, address(plan.places), address(plan.masks)
        struct = [plan.unit, plan.pixels, len(written), *runs[:2], len(read), *runs[2:], 1, 0, 0, *program]
        kernel(to, source, pixels, guard.input(np.array(struct, np.intp)))
        got, left = (np.stack([guard.take(view) for view in views]) for views in (written, read))
        guard.check()
        assert_same_bits(got, np.ascontiguousarray(want))
        assert_same_bits(left, np.ascontiguousarray(given))


# ---------------------------------------------------------------------------------------------- the list


def test_every_kernel_has_a_test():
    """kernels.def is the list: every instruction set has it whole, and each family of it is tested above."""
    names = [{name for name in _core.kernels(isa) if "_" in name} for isa in _core.available_isas()]
    assert all(each == names[0] for each in names)
    assert {name.partition("_")[2] for name in names[0]} == covered
