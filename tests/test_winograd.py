"""Winograd's minimal filtering: its numbers, every operator that it computes, and what it must not spread."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import reference
from strategies import fill
from tolerances import assert_close_to_largest, assert_same_bits

import fastconv
from fastconv import _core, _winograd, plan
from fastconv._choice import DEAD_PRODUCTS, Choice, _live_share, choose
from fastconv._engines import winograd
from fastconv._tiles import Tiles

POINTS = sorted(_winograd.PAIRS)


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("taps", [2, 3, 4])
def test_tables_make_a_convolution(points, taps):
    """y = A^T [(G g) (B^T d)] on one axis, spelled out from the tables as kernels/winograd.h reads them."""
    if taps + 1 > points:
        taps = points - 1
    outputs, table = points - taps + 1, _winograd.axis(points, taps)
    rng = np.random.default_rng(points)
    d, g = rng.standard_normal(points), rng.standard_normal(taps)
    pairs, zero = (points - 1) // 2, 1 - points % 2
    q, *rest = np.split(table.input.astype(float), np.arange(1, pairs + 1) * pairs)
    t = np.empty(points)
    if zero:
        t[0] = q @ d[: 2 * pairs : 2] + d[-2]
    t[-1] = q @ d[zero : zero + 2 * pairs : 2] + d[-1]
    for i, (*r, a) in enumerate(rest):
        even = np.dot(r, d[zero + 1 : zero - 1 + 2 * pairs : 2]) + d[-2]
        odd = np.dot(r, d[zero : zero - 2 + 2 * pairs : 2]) + d[-3]
        t[zero + 2 * i : zero + 2 * i + 2] = even + a * odd, even - a * odd
    t *= table.weights.reshape(points, taps).astype(float) @ g
    powers = table.output.reshape(points, pairs).astype(float)
    plus, minus = t[zero : points - 1 : 2], t[zero + 1 : points - 1 : 2]
    y = [powers[j] @ (plus - minus if j % 2 else plus + minus) for j in range(outputs)]
    y[0] += t[0] if zero else 0
    y[-1] += t[-1]
    assert np.allclose(y, np.correlate(d, g, "valid"), rtol=0, atol=1e-5)


@pytest.fixture(params=POINTS)
def tile(request, monkeypatch):
    """Make every layer use tiles with this many points, whatever pays."""

    def choose(operator, size, compute, algorithm, widths, last=False, once=False):
        if algorithm == "direct":
            return Choice("direct")
        rows = (1, *operator.kernel)[-2]
        return Choice("winograd", (1 if rows == 1 else request.param, request.param))

    monkeypatch.setattr(plan, "choose", choose)
    plan._route.cache_clear()
    plan._direct_call.cache_clear()
    yield request.param
    plan._route.cache_clear()
    plan._direct_call.cache_clear()


def arrays(x_shape, w_shape, outputs, seed=0):
    rng = np.random.default_rng(seed)
    return [fill(rng, shape, "float32", "real") for shape in (x_shape, w_shape, outputs)]


def needs(tile, taps):
    if tile < taps + 1 or (tile == 8 and taps < 3):
        pytest.skip("no such tile")


CONVOLUTIONS = {
    "one tile": ((1, 8, 4, 4), (8, 8, 3, 3), {"padding": 1}),
    "tails of channels and tiles": ((2, 21, 19, 33), (37, 21, 3, 3), {"padding": 1}),
    "short tiles of a batch": ((5, 9, 8, 10), (17, 9, 3, 3), {"padding": 1}),
    "short tiles, dilation": ((3, 9, 14, 25), (17, 9, 3, 3), {"padding": (2, 4), "dilation": (2, 4)}),
    "no padding, two groups": ((1, 16, 11, 9), (24, 8, 3, 3), {"groups": 2}),
    "more padding than pixels": ((1, 8, 2, 3), (8, 8, 3, 3), {"padding": 4}),
    "asymmetric padding": ((1, 9, 13, 14), (8, 9, 3, 3), {"padding": ((0, 2), (3, 1))}),
    "dilation 2": ((2, 17, 15, 22), (9, 17, 3, 3), {"padding": 2, "dilation": 2}),
    "dilation larger than the image": ((1, 8, 7, 6), (8, 8, 3, 3), {"padding": 9, "dilation": 9}),
    "dilation by axis": ((1, 8, 20, 21), (8, 8, 3, 3), {"padding": (1, 5), "dilation": (1, 5)}),
    "two taps": ((1, 8, 14, 15), (16, 8, 2, 2), {}),
    "two taps by three": ((1, 8, 14, 15), (16, 8, 2, 3), {"padding": 1}),
    "one row of taps": ((1, 8, 3, 50), (16, 8, 1, 3), {"padding": (0, 1)}),
    "long sums": ((1, 300, 9, 9), (8, 300, 3, 3), {"padding": 1}),
    "stride": ((2, 21, 19, 34), (37, 21, 3, 3), {"padding": 1, "stride": 2}),
    "stride, channels in whole blocks": ((1, 32, 28, 27), (24, 32, 3, 3), {"padding": 1, "stride": 2}),
    "stride, no padding, two groups": ((2, 18, 14, 15), (16, 9, 3, 3), {"stride": 2, "groups": 2}),
    "stride, two taps of each residue": ((1, 12, 17, 40), (20, 12, 4, 4), {"padding": 1, "stride": 2}),
    "stride, three taps and two": ((1, 9, 13, 22), (17, 9, 5, 5), {"padding": 2, "stride": 2}),
    "stride, many residues": ((1, 9, 23, 31), (17, 9, 7, 7), {"padding": 3, "stride": 4}),
    "stride of one axis": ((1, 8, 11, 30), (16, 8, 3, 3), {"padding": 1, "stride": (1, 2)}),
    "stride of the other axis": ((1, 8, 20, 13), (16, 8, 3, 3), {"padding": 1, "stride": (2, 1)}),
    "stride, one row of taps": ((1, 8, 5, 50), (16, 8, 1, 3), {"padding": (0, 1), "stride": 2}),
    "stride, asymmetric padding": ((1, 9, 13, 14), (8, 9, 3, 3), {"padding": ((0, 3), (2, 1)), "stride": 2}),
    "stride, more padding than pixels": ((1, 8, 2, 3), (8, 8, 3, 3), {"padding": 5, "stride": 2}),
    "stride and dilation 2": ((1, 8, 15, 22), (9, 8, 3, 3), {"padding": 2, "stride": 2, "dilation": 2}),
    "stride and dilation by axis": (
        (1, 8, 15, 31),
        (9, 8, 3, 3),
        {"padding": (1, 3), "stride": (2, 1), "dilation": (1, 3)},
    ),
    "stride, a batch": ((5, 16, 9, 9), (16, 16, 3, 3), {"padding": 1, "stride": 2}),
    "stride, long sums": ((1, 130, 9, 9), (8, 130, 3, 3), {"padding": 1, "stride": 2}),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name, tile, isa, threads):
    x_shape, w_shape, options = CONVOLUTIONS[name]
    stride, dilation = (np.broadcast_to(options.get(name, 1), 2) for name in ("stride", "dilation"))
    residues = stride // np.gcd(stride, dilation)  # that the taps of an axis fall on
    taps = -(-np.array(w_shape[2:]) // residues)
    needs(tile, max(taps))
    needs(tile, min(taps[taps > 1]))
    x, w, b = arrays(x_shape, w_shape, w_shape[0])
    layer = fastconv.Conv2d(w, b, **options)
    assert layer.describe(x.shape)["algorithm"].startswith("winograd")
    assert_close_to_largest(layer(x), reference.conv(x, w, b, **options))


@pytest.mark.parametrize(
    ("size", "dilation"), [((33, 33), 18), ((12, 20), (6, 10)), ((7, 10), 12), ((1, 9), 5), ((2, 2), 1)]
)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("missing", [0, 3])
def test_tiles_of_two_live_pixels(size, dilation, groups, missing, monkeypatch, isa, threads):
    """Three points, where a dilation is half of the image or more: see kernels/winograd.h.

    With less padding at the end, there are pixels of which no output is wanted: a short tile may have two.
    """
    x, w, b = arrays((2, 18, *size), (20, 18 // groups, 3, 3), 20)
    monkeypatch.setattr(plan, "choose", lambda *args: Choice("winograd", (3, 3)))
    pads = tuple((d, max(0, d - min(missing, i - 1))) for d, i in zip(np.broadcast_to(dilation, 2), size, strict=True))
    options = {"padding": pads, "dilation": dilation, "groups": groups}
    got = fastconv.conv2d(x, w, b, **options)
    assert_close_to_largest(got, reference.conv(x, w, b, **options))


@pytest.mark.parametrize(
    ("size", "rate", "points", "products"),
    [
        (14, 1, 7, 7 + 7 + 6),
        (7, 1, 4, 15),
        (12, 1, 6, 18),
        (33, 18, 3, 15 * 3 + 3),
        (33, 24, 3, 9 * 3 + 15),
        (33, 12, 5, 57),
    ],
)
def test_short_tiles_cost_less(size, rate, points, products):
    """The estimate knows which products they do without: on 12 positions none is short."""
    operator = fastconv.Conv2d(np.ones((16, 16, 3, 3), np.float32), padding=rate, dilation=rate)._form.operator
    assert Tiles(operator, 8)._live_points(points, (1, size, size)) == (points**2, products**2)


@pytest.mark.parametrize("columns", [16, 32])
@pytest.mark.parametrize(
    ("channels", "size", "rate", "within"),
    [(64, 65, 12, 0.05), (64, 33, 6, 0.05), (64, 33, 16, 0.05), (64, 14, 4, 0.1), (64, 10, 4, 0.1), (4, 56, 16, 0.05)],
)
def test_taps_of_the_direct_way_are_those_of_its_tiles(channels, size, rate, within, columns):
    """The estimate beside a count: a tile computes a tap if one of its pixels has an input for it."""
    operator = fastconv.Conv2d(np.ones((8, channels, 3, 3)), padding=rate, dilation=rate)._form.operator
    at = np.arange(size)
    sees = np.array([(at + shift >= 0) & (at + shift < size) for shift in (-rate, 0, rate)])
    cuts = np.flatnonzero((np.diff(sees.astype(int), prepend=2, append=2) != 0).any(0))
    dead = (~sees).sum() / size * channels * 3
    if 8 * sees.mean() >= 7 or dead < DEAD_PRODUCTS or min(np.diff(cuts)) * size < columns:
        cuts = [0, size]
    taps = 0.0
    for begin, end in pairwise(cuts):
        live = (sees[:, None, :, None] & sees[:, begin:end][None, :, None]).reshape(9, -1)
        for first in range(0, live.shape[1], columns):
            tile = live[:, first : first + columns]
            taps += tile.any(1).sum() * tile.shape[1]
    share, ranges = _live_share(operator, (size, size), (size, size), columns)
    assert share == pytest.approx(taps / (9 * size**2), rel=within)
    assert ranges == len(cuts) - 1


def test_two_live_pixels_with_a_stride(isa):
    """... are not those of a tile: the taps that read them are a stride apart."""
    x, w, b = arrays((1, 256, 33, 4), (64, 256, 3, 3), 64)
    options = {"stride": (1, 2), "padding": (18, 2), "dilation": (18, 2)}
    assert_close_to_largest(fastconv.Conv2d(w, b, **options)(x), reference.conv(x, w, b, **options))


@pytest.mark.parametrize("dilation", [1, 3, 40])
@pytest.mark.parametrize("taps", [2, 3])
def test_one_axis(taps, dilation, tile, isa):
    x, w, b = arrays((2, 10, 130), (18, 10, taps), 18)
    needs(tile, taps)
    got = fastconv.conv1d(x, w, b, padding=dilation, dilation=dilation)
    assert_close_to_largest(got, reference.conv(x, w, b, padding=dilation, dilation=dilation))


@pytest.mark.parametrize(("factor", "outputs"), [(2, 3), (3, 1), (2, 17)])
@pytest.mark.parametrize("stride", [1, 2])
def test_subpixel(stride, factor, outputs, tile, isa, threads):
    x, w, b = arrays((2, 12, 9, 20), (outputs * factor**2, 12, 3, 3), outputs * factor**2)
    needs(tile, 3 if stride == 1 else 2)
    if factor**2 > 2 * fastconv._core.lanes():
        pytest.skip("more phases than a product has outputs")
    got = fastconv.subpixel_conv2d(x, w, b, factor, padding=1, stride=stride)
    assert_close_to_largest(got, fastconv.pixel_shuffle(reference.conv(x, w, b, padding=1, stride=stride), factor))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "output_padding"),
    [
        (4, 2, 1, 0),
        (3, 2, 1, 1),
        (3, 2, 0, 0),
        (3, 2, 0, 1),
        (5, 2, 2, 1),
        (6, 3, 1, 0),
        (4, 3, 2, 1),
        (5, 3, 0, 2),
        (5, 4, 3, 3),
    ],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed(kernel, stride, padding, output_padding, groups, tile, isa, threads):
    needs(tile, -(-kernel // stride))
    x, w, b = arrays((2, 16, 7, 12), (16, 18 // groups, kernel, kernel), 18)
    options = {"stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups}
    assert_close_to_largest(fastconv.conv_transpose2d(x, w, b, **options), reference.conv_transpose(x, w, b, **options))


def some_operator(rng):
    """A layer that tiles may compute, and an input."""
    groups = int(rng.choice((1, 1, 2)))
    kernel, size = rng.integers(1, 6, 2), rng.integers(2, 20, 2)
    stride, dilation = rng.choice((1, 1, 2, 2, 3, 4), 2), rng.choice((1, 1, 1, 2, 4, 7), 2)
    inputs, outputs = (int(n) for n in rng.choice((8, 9, 16, 21), 2))
    options = {"stride": tuple(stride.tolist()), "dilation": tuple(dilation.tolist()), "groups": groups}
    options["padding"] = tuple(rng.integers(0, 9, 2).tolist())
    kind, weight = "Conv2d", (outputs * groups, inputs, *kernel)
    if rng.random() < 0.4:
        kind, weight = "ConvTranspose2d", (inputs * groups, outputs, *kernel)
        options["output_padding"] = tuple(rng.integers(0, np.maximum(stride, dilation)).tolist())
    elif rng.random() < 0.5:
        options["padding_mode"] = str(rng.choice(("reflect", "replicate", "circular")))
    x, w, b = arrays((int(rng.integers(1, 4)), inputs * groups, *size), weight, outputs * groups)
    return partial(getattr(fastconv, kind), w, b, **options), x


@pytest.mark.parametrize("seed", range(20))
def test_random_operators(seed, monkeypatch, isa, threads):
    """Any stride, dilation, padding and kernel, in a tile of some size, against the direct sum."""
    rng = np.random.default_rng(seed)

    def in_tiles(operator, size, compute, algorithm, widths, last=False, once=False):
        tiles = Tiles(operator, widths[0])
        sizes = [points for points in POINTS if tiles.exist() and tiles.fits(points)]
        if algorithm == "direct" or not sizes:
            return Choice("direct")
        points = sizes[seed % len(sizes)]
        return Choice("winograd", (points if tiles.taps[1] > 1 else 1, points))

    monkeypatch.setattr(plan, "choose", in_tiles)
    plan._route.cache_clear()
    computed = 0
    while computed < 5:
        layer, x = some_operator(rng)
        try:
            expected = layer(algorithm="direct")(x)
        except ValueError:  # no output, or padding that the image is too small for
            continue
        made = layer()
        if expected.size and made.describe(x.shape)["algorithm"].startswith("winograd"):
            assert_close_to_largest(made(x), expected)
            computed += 1
    plan._route.cache_clear()


@pytest.mark.parametrize("transposed", [False, True])
def test_panels_that_are_multiplied_together(transposed, monkeypatch, isa, threads):
    """So many channels that transformed pixels and a panel's weights do not stay near: sums of all panels are kept."""
    monkeypatch.setattr(plan, "choose", lambda *args: Choice("winograd", (5, 5) if transposed else (8, 8)))
    if transposed:
        x, w, b = arrays((1, 1500, 28, 28), (1500, 41, 4, 4), 41)
        make, options, expected = fastconv.ConvTranspose2d, {"stride": 2, "padding": 1}, reference.conv_transpose
    else:
        x, w, b = arrays((1, 1500, 35, 35), (41, 1500, 3, 3), 41)
        make, options, expected = fastconv.Conv2d, {"padding": 1}, reference.conv
    layer = make(w, b, **options)
    got = layer(x)
    assert_close_to_largest(got, expected(x, w, b, **options))
    alone = make(w[:, 20:21] if transposed else w[20:21], b[20:21], **options)
    assert_same_bits(alone(x), got[:, 20:21])
    with fastconv.threads(1):  # more of them may take a panel each
        assert layer.describe(x.shape)["workspace_bytes"] > alone.describe(x.shape)["workspace_bytes"]


# ---- what the result does not depend on -----------------------------------------------------------------------------


def test_same_bits_for_any_threads_batch_and_layout(tile, isa):
    needs(tile, 3)
    x, w, b = arrays((5, 20, 17, 23), (40, 20, 3, 3), 40)
    layer = fastconv.Conv2d(w, b, padding=1)
    with fastconv.threads(1):
        whole = layer(x)
    for threads in (2, 3, 7):
        with fastconv.threads(threads):
            assert_same_bits(layer(x), whole)
            assert_same_bits(np.concatenate([layer(part) for part in np.split(x, [1, 4])]), whole)
            assert_same_bits(layer(np.asfortranarray(x)), whole)
            assert_same_bits(layer(np.pad(x, 3)[3:-3, 3:-3, 3:-3, 3:-3]), whole)


# ---- numbers that are not finite ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_where_the_direct_sum_puts_it(value, tile, isa):
    """... and images of the batch without it keep their bits."""
    needs(tile, 3)
    x, w, b = arrays((3, 8, 16, 21), (9, 8, 3, 3), 9)
    layer, direct = fastconv.Conv2d(w, b, padding=1), fastconv.Conv2d(w, b, padding=1, algorithm="direct")
    clean = layer(x)
    x[1, 2, 5, 7] = value
    y = layer(x)
    assert_same_bits(y[1:2], direct(x[1:2]))
    assert_same_bits(y[[0, 2]], clean[[0, 2]])
    assert (~np.isfinite(y)).sum() == 9 * 9


@pytest.mark.parametrize("transposed", [False, True])
def test_what_a_call_leaves_in_the_workspace_does_not_show(transposed, tile, isa):
    """Not in sums that nothing is added to either: were they NaN, the direct sum would replace the tiles."""
    needs(tile, 2 if transposed else 3)
    x, w, b = arrays((2, 9, 14, 16), (9, 9, 3, 3), 9)
    layer = fastconv.ConvTranspose2d(w, b, stride=2) if transposed else fastconv.Conv2d(w, b, padding=1)
    outputs, more = (tile - 1, 1) if transposed else (tile - 2, 0)
    whole = [-(-(n + more) // outputs) * outputs - more for n in x.shape[2:]]  # as many tiles, and none is short
    clean = layer(x)
    layer(np.full((2, 9, *whole), np.nan, np.float32))
    assert_same_bits(layer(x), clean)


def test_an_overflow_within_a_tile_does_not_show(tile, isa):
    """3e38 overflows in the transforms, not in the sum."""
    needs(tile, 3)
    x, w = np.full((1, 8, 12, 12), 3e38, np.float32), np.zeros((8, 8, 3, 3), np.float32)
    w[:, 0, 1, 1] = 1
    assert (fastconv.conv2d(x, w, padding=1) == np.float32(3e38)).all()


def test_weights_that_are_not_finite_are_direct(tile, isa):
    needs(tile, 3)
    x, w, b = arrays((1, 8, 9, 9), (8, 8, 3, 3), 8)
    w[3, 2, 0, 0] = np.inf
    layer = fastconv.Conv2d(w, b, padding=1)
    assert layer.describe(x.shape)["algorithm"].startswith("direct")
    assert_same_bits(layer(x), fastconv.conv2d(x, w, b, padding=1, algorithm="direct"))


def test_out_may_overlap_the_weights(tile, isa):
    """Also when the direct sum has to look at them again."""
    needs(tile, 3)
    x, w, b = arrays((1, 8, 9, 9), (8, 8, 3, 3), 8)
    x[0, 0, 4, 4] = np.nan
    expected = fastconv.conv2d(x, w, b, padding=1)
    memory = np.empty(8 * 9 * 9, np.float32)
    held = memory[: w.size].reshape(w.shape)
    held[...] = w
    out = memory.reshape(1, 8, 9, 9)
    assert_same_bits(fastconv.conv2d(x, held, b, padding=1, out=out), expected)


# ---- the choice -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "algorithm"),
    [
        (lambda w: fastconv.Conv2d(w(64, 64, 3, 3), padding=1), (1, 64, 56, 56), "winograd F(6x6, 3x3)"),
        (lambda w: fastconv.Conv2d(w(64, 64, 3, 3), padding=1, algorithm="direct"), (1, 64, 56, 56), "direct, panels"),
        (lambda w: fastconv.Conv2d(w(64, 64, 3, 3).astype(float), padding=1), (1, 64, 56, 56), "direct, panels"),
        (lambda w: fastconv.Conv2d(w(64, 64, 3, 3), padding=1, stride=2), (1, 64, 56, 56), "winograd F(4x4, 2x2) of 4"),
        (lambda w: fastconv.Conv2d(w(64, 64, 3, 3), padding=1, stride=3), (1, 64, 56, 56), "direct, panels"),
        (lambda w: fastconv.Conv2d(w(64, 64, 3, 3), stride=2, dilation=3), (1, 64, 56, 56), "direct, panels"),
        (lambda w: fastconv.Conv2d(w(512, 512, 3, 3), padding=1, stride=2), (1, 512, 14, 14), "direct"),
        (lambda w: fastconv.Conv2d(w(256, 64, 1, 1)), (1, 64, 56, 56), "direct, panels"),
        (
            lambda w: fastconv.Conv2d(w(64, 512, 3, 3), padding=18, dilation=18),
            (1, 512, 33, 33),
            "winograd F(2x2, 3x3)",
        ),
        (
            lambda w: fastconv.Conv2d(w(256, 512, 3, 3), padding=24, dilation=24),
            (1, 512, 33, 33),
            "winograd F(2x2, 3x3)",  # by its short tiles alone
        ),
        (lambda w: fastconv.Conv2d(w(64, 512, 3, 3), padding=18, dilation=18), (1, 512, 40, 40), "direct, panels"),
        (lambda w: fastconv.Conv2d(w(64, 512, 3, 3), padding=9, dilation=18), (1, 512, 33, 33), "direct, panels"),
        (lambda w: fastconv.ConvTranspose2d(w(64, 64, 4, 4), stride=2, padding=1), (1, 64, 32, 32), "winograd"),
    ],
)
def test_what_is_chosen(layer, shape, algorithm):
    layer = layer(lambda *shape: np.ones(shape, np.float32))
    said = layer.describe(shape)
    assert said["algorithm"].startswith(algorithm), said
    batch = layer.describe((7, *shape[1:]))
    assert batch["algorithm"] == said["algorithm"]
    with fastconv.threads(5):
        assert layer.describe(shape)["algorithm"] == said["algorithm"]
    assert said["why"]


def test_direct_sums_of_the_smallest_maps_fill_rows_of_the_tile(isa):
    """Four positions are all of the baseline's rows, where tiles gain nothing; of 6 rows they are 7 us, not 12."""
    layer = fastconv.Conv2d(np.ones((64, 64, 3, 3), np.float32), padding=1)
    chosen = layer.describe((1, 64, 2, 2))["algorithm"]
    assert chosen == ("direct, panels" if isa == "baseline" else "winograd F(2x2, 3x3)")


@pytest.mark.parametrize("channels", [8, 21, 24, 40, 64, 72])
def test_vectors_of_half_the_width_where_the_others_leave_lanes_empty(channels, monkeypatch):
    monkeypatch.setattr(_core, "has_near_l3", lambda: True)
    operator = fastconv.Conv2d(np.ones((channels, channels, 3, 3), np.float32), padding=1)._form.operator
    whole, either = (
        choose.__wrapped__(operator, (64, 64), np.dtype("float32"), "auto", widths) for widths in ((16,), (16, 8))
    )
    assert either == whole or either.narrow
    assert either.narrow == (channels < 64)


@pytest.mark.parametrize(
    ("layer", "size", "near", "far"),
    [
        (lambda w: fastconv.Conv1d(w(64, 32, 2)), (16000,), "winograd", "direct"),
        (lambda w: fastconv.ConvTranspose2d(w(512, 256, 4, 4), stride=2, padding=1), (8, 8), "winograd", "direct"),
        (lambda w: fastconv.Conv2d(w(128, 128, 3, 3)), (56, 56), "winograd", "winograd"),
        (lambda w: fastconv.Conv2d(w(16, 24, 3, 3), stride=2), (28, 28), "direct", "direct"),
    ],
)
def test_tiles_where_l3_is_near_or_far(layer, size, near, far, monkeypatch):
    """A row of many tiles of few channels, and many weights for few tiles, cost more where caches are slower."""
    operator = layer(lambda *shape: np.ones(shape, np.float32))._form.operator
    for is_near, expected in (True, near), (False, far):
        monkeypatch.setattr(_core, "has_near_l3", lambda is_near=is_near: is_near)
        choice = choose.__wrapped__(operator, size, np.dtype("float32"), "auto", (16,))
        assert choice.engine == expected


def test_weights_of_one_call_and_pixels_a_stride_apart_where_l3_is_far(monkeypatch):
    """Only both together make tiles of this function too dear."""
    operator = fastconv.Conv2d(np.ones((64, 192, 3, 3), np.float32), stride=2, padding=1)._form.operator
    for near, once, expected in (True, True, "winograd"), (False, False, "winograd"), (False, True, "direct"):
        monkeypatch.setattr(_core, "has_near_l3", lambda near=near: near)
        choice = choose.__wrapped__(operator, (56, 56), np.dtype("float32"), "auto", (16,), False, once)
        assert choice.engine == expected


@pytest.mark.skipif(len(_core.available_isas()) == 1, reason="there is no set before")
@pytest.mark.parametrize("once", [False, True])
def test_vectors_of_half_the_width_are_those_of_the_set_before(once, isa):  # which is restored
    operator = fastconv.Conv2d(np.ones((21, 21, 3, 3), np.float32), padding=1)._form.operator
    x, w, b = arrays((2, 21, 1, 19, 23), (21, 21, 3, 3), (21,))
    (before, last), found = _core.available_isas()[-2:], []
    for name, narrow in ((before, False), (last, True), (last, False)):
        _core.use_isa(name)
        engine = winograd(operator, w.reshape(-1), b, (6, 6), narrow, once=once)
        found.append(np.empty_like(x))
        assert engine.run(x, found[-1], (0, -1, -1), 2) == []
        assert engine.cut.isa == (before if narrow else name)
    assert_same_bits(found[1], found[0])
    assert np.allclose(found[2], found[0], rtol=0, atol=1e-4)


def test_cpus_that_halve_their_vectors_have_vectors_to_halve(isa):
    assert _core.widths() in ((_core.lanes(),), (_core.lanes(), _core.lanes() // 2))
    assert len(_core.widths()) == 1 or isa == "avx512"


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda w: fastconv.Conv1d(w(8, 8, 2), dilation=512), (1, 8, 600)),
        (lambda w: fastconv.Conv2d(w(8, 8, 2, 2), dilation=2**60, padding=2**60), (1, 8, 3, 3)),
        (lambda w: fastconv.ConvTranspose2d(w(8, 8, 3, 3), padding=400), (1, 8, 900, 900)),
        (lambda w: fastconv.Conv2d(w(8, 8, 300, 1)), (1, 8, 301, 9)),
    ],
)
def test_layers_are_packed_before_their_image_is_known(layer, shape):
    """A kernel or a padding larger than a usual image is no error until the image is there."""
    layer = layer(lambda *shape: np.ones(shape, np.float32))
    if max(layer.dilation) < 2**60:
        assert layer.describe(shape)["output_shape"]
