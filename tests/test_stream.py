"""Outputs too large for the caches are copied past them: the same bits, and nothing beside them."""

import numpy as np
import pytest
from tolerances import assert_same_bits

import fastconv
from fastconv import _core


@pytest.fixture(autouse=True)
def streams():
    """Let small outputs go the way of large ones; call it to have them go their own."""
    before = _core.stream_from(0)
    yield lambda: _core.stream_from(before)
    _core.stream_from(before)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def placed(shape, dtype, skew):
    """An output that begins `skew` elements behind a cache line, and all of its memory."""
    size, itemsize = int(np.prod(shape)), np.dtype(dtype).itemsize
    memory = np.zeros((size + skew) * itemsize + 128, np.uint8)
    first = -memory.ctypes.data % 64 + skew * itemsize
    return memory[first : first + size * itemsize].view(dtype).reshape(shape), memory


def same_both_ways(call, shape, dtype, streams):
    """Past the caches to three places in a cache line, then as ever."""
    got = []
    for skew in (0, 1, 15):
        y, memory = placed(shape, dtype, skew)
        call(y)
        got.append(y.copy())
        y[...] = np.zeros(1, dtype)[0]
        assert not memory.any()
    streams()
    want = np.empty(shape, dtype)
    call(want)
    for y in got:
        assert_same_bits(y, want)


SHUFFLED = [  # channels, factor, size, dtype: rows shorter and longer than what is built at a time, many ways
    *[(3, 2, (7, 33), np.float32), (1, 3, (5, 700), np.float32), (2, 4, (3, 65), np.uint8), (1, 2, (4, 40), np.int16)],
    *[(2, 5, (3, 21), np.complex128), (1, 17, (2, 9), np.float64), (1, 40, (2, 9), np.complex128)],
    *[(2, 2, (3, 3), "V100"), (1, 2, (2, 3), "V3000"), (3, 1, (4, 50), np.float32)],
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("order", ["crd", "dcr"])
@pytest.mark.parametrize(("channels", "factor", "size", "dtype"), SHUFFLED)
def test_shuffles(channels, factor, size, dtype, order, threads, isa, rng, streams):
    dtype, (h, w) = np.dtype(dtype), size
    coarse = rng.integers(0, 256, (2, channels * factor**2, h, w * dtype.itemsize), np.uint8).view(dtype)
    with fastconv.threads(threads):
        fine = fastconv.pixel_shuffle(coarse, factor, order=order)
        assert_same_bits(fastconv.pixel_unshuffle(fine, factor, order=order), coarse)
        same_both_ways(lambda y: fastconv.pixel_shuffle(coarse, factor, order=order, out=y), fine.shape, dtype, streams)


@pytest.mark.parametrize("factors", [(2, 1), (1, 3), (2, 3, 1), (1, 1, 2)])
def test_shuffles_along_some_axes(factors, isa, rng, streams):
    shape = (2, 2 * int(np.prod(factors)), *(5, 6, 70)[-len(factors) :])
    x = rng.standard_normal(shape, dtype=np.float32)
    y = fastconv.pixel_shuffle(x, factors)
    assert_same_bits(fastconv.pixel_unshuffle(y, factors), x)
    same_both_ways(lambda y: fastconv.pixel_shuffle(x, factors, out=y), y.shape, x.dtype, streams)


LAST = [  # channels of a fine pixel, factor, size, dtype: in one piece and in many, more than is built at a time
    *[(3, 2, (7, 33), np.float32), (3, 3, (4, 700), np.float32), (1, 2, (5, 300), np.uint8), (5, 2, (4, 90), np.int16)],
    *[(16, 4, (3, 21), np.uint8), (64, 2, (5, 12), np.float32), (15, 2, (3, 40), np.float32)],
    *[(300, 2, (2, 5), np.float32), (2, 2, (3, 50), np.complex128)],
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("order", ["crd", "dcr"])
@pytest.mark.parametrize(("channels", "factor", "size", "dtype"), LAST)
def test_shuffles_channels_last(channels, factor, size, dtype, order, threads, isa, rng, streams):
    dtype, (h, w), last = np.dtype(dtype), size, dict(order=order, layout="NHWC")
    coarse = rng.integers(0, 256, (2, h, w, channels * factor**2 * dtype.itemsize), np.uint8).view(dtype)
    planes = np.ascontiguousarray(np.moveaxis(coarse, -1, 1))
    with fastconv.threads(threads):
        fine = fastconv.pixel_shuffle(coarse, factor, **last)
        assert_same_bits(np.moveaxis(fine, -1, 1), fastconv.pixel_shuffle(planes, factor, order=order))
        same_both_ways(lambda y: fastconv.pixel_shuffle(coarse, factor, out=y, **last), fine.shape, dtype, streams)
        _core.stream_from(0)
        assert_same_bits(fastconv.pixel_unshuffle(fine, factor, **last), coarse)
        same_both_ways(lambda x: fastconv.pixel_unshuffle(fine, factor, out=x, **last), coarse.shape, dtype, streams)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("channels", "size"), [(16, (9, 90)), (32, (6, 50)), (56, (7, 31)), (200, (5, 40)), (1100, (4, 9))]
)
def test_depthwise_channels_last(channels, size, stride, activation, isa, rng, streams):
    """Rows in pieces, without their ends; more channels than are built at a time."""
    x = rng.standard_normal((2, *size, channels), dtype=np.float32)
    w = rng.standard_normal((channels, 1, 3, 3), dtype=np.float32)
    known = dict(stride=stride, padding=1, groups=channels, layout="NHWC", activation=activation)
    layer = fastconv.Conv2d(w, None, **known)
    described = layer.describe(x.shape)
    assert described["algorithm"] == "depthwise, lanes of channels"
    same_both_ways(lambda y: layer(x, out=y), described["output_shape"], x.dtype, streams)


LARGE = {
    "function": lambda x: fastconv.conv2d(x, np.ones((8, 8, 1, 1), np.float32)),
    "layer": lambda x: fastconv.Conv2d(np.ones((8, 8, 3, 3), np.float32), padding=1)(x),
    "layer that knows the call": lambda x: [*map(fastconv.Conv2d(np.ones((8, 8, 3, 3), np.float32)), [x, x])][1],
    "shuffle": lambda x: fastconv.pixel_shuffle(x, 2),
    "pool": lambda x: fastconv.max_pool2d(x, 3, 1),
    "resized": lambda x: fastconv.interpolate(x, scale_factor=2),
    "resized, then a convolution": lambda x: fastconv.resize_conv2d(
        x, np.ones((8, 8, 3, 3), np.float32), scale_factor=2
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_outputs_begin_with_a_cache_line(name, rng):
    x = rng.standard_normal((1, 8, 160, 160), dtype=np.float32)
    y = LARGE[name](x)
    assert y.nbytes > 1 << 19
    assert y.ctypes.data % 64 == 0
    assert y.flags.c_contiguous
    assert y.flags.writeable


def test_large_arrays_of_objects(rng):
    x = rng.standard_normal((4, 160, 160)).astype(object)
    assert (fastconv.pixel_unshuffle(fastconv.pixel_shuffle(x, 2), 2) == x).all()


FILTERS = {  # what differs: the image or strips of it, rows in turns, pieces of rows, several taps of the sum at a time
    "3x3": dict(size=(19, 70), kernel=(3, 3), padding=1),
    "3x3 of long rows": dict(size=(11, 2500), kernel=(3, 3), padding=1),
    "5x5": dict(size=(30, 37), kernel=(5, 5), padding=2),
    "stride 2": dict(size=(40, 90), kernel=(3, 3), padding=1, stride=2),
    "stride 3": dict(size=(40, 90), kernel=(3, 3), padding=1, stride=3),
    "rate 3": dict(size=(29, 50), kernel=(3, 3), padding=3, dilation=3),
    "stride 2 and rate 3": dict(size=(29, 50), kernel=(3, 3), padding=3, stride=2, dilation=3),
    "reflected": dict(size=(29, 50), kernel=(3, 3), padding=1, padding_mode="reflect"),
    "17x17": dict(size=(40, 50), kernel=(17, 17), padding=8),
}


@pytest.mark.parametrize("end", ["nothing", "activation", "residual"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FILTERS)
def test_filters(name, dtype, end, isa, rng, streams):
    case = dict(FILTERS[name])
    x = rng.standard_normal((2, 3, *case.pop("size"))).astype(dtype)
    w = rng.standard_normal((3, 1, *case.pop("kernel"))).astype(dtype)
    b = rng.standard_normal(3).astype(dtype)
    activation = None if end == "nothing" else ("leaky_relu", 0.5)
    layer = fastconv.Conv2d(w, b, groups=3, algorithm="direct", activation=activation, **case)
    shape = layer.describe(x.shape)["output_shape"]
    residual = rng.standard_normal(shape).astype(dtype) if end == "residual" else None
    same_both_ways(lambda y: layer(x, residual=residual, out=y), shape, dtype, streams)


def test_filters_have_room_to_build_rows(isa, streams):
    """Eight of them. That they go past the caches shows in nothing else."""
    layer = fastconv.Conv2d(np.ones((3, 1, 3, 3), np.float32), padding=1, groups=3)
    past = layer.describe((1, 3, 50, 96))["workspace_bytes"]
    streams()
    assert past - layer.describe((1, 3, 50, 96))["workspace_bytes"] == 8 * 96 * 4


def test_filters_of_several_channels(isa, rng, streams):
    x, w = rng.standard_normal((1, 3, 30, 40)), rng.standard_normal((1, 3, 3, 3))
    layer = fastconv.Conv2d(w, None, padding=1, algorithm="direct")
    same_both_ways(lambda y: layer(x, out=y), (1, 1, 30, 40), x.dtype, streams)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "kernel", "stride", "size"),
    [
        (5, 4, 1, 4, 2, (9, 40)),
        (64, 3, 1, 4, 2, (9, 40)),
        (16, 40, 1, 3, 2, (6, 300)),
        (3, 3, 3, 16, 8, (5, 41)),
        (4, 4, 1, 2, 2, (5, 23)),
    ],
)
def test_interleaved_rows(channels, outputs, groups, kernel, stride, size, dtype, activation, isa, rng, streams):
    x = rng.standard_normal((2, channels, *size)).astype(dtype)
    w = rng.standard_normal((channels, outputs // groups, kernel, kernel)).astype(dtype)
    layer = fastconv.ConvTranspose2d(w, None, stride=stride, padding=1, groups=groups, activation=activation)
    shape = layer.describe(x.shape)["output_shape"]
    same_both_ways(lambda y: layer(x, out=y), shape, dtype, streams)


LAST_PHASES = [  # channels, outputs, groups, kernel, stride: outputs of a phase in whole lines, in parts of one, ...
    *[(5, 32, 1, 3, 2), (6, 48, 1, 2, 2), (4, 128, 1, 2, 2), (3, 160, 1, 2, 2), (8, 20, 1, 3, 2)],
    *[(32, 64, 2, 2, 3), (21, 21, 21, 16, 8), (64, 64, 64, 4, 2), (6, 10, 1, 16, 8)],  # ... of a group; in planes
    *[(30, 150, 30, 2, 2), (70, 70, 70, 3, 2), (6, 20, 1, 2, 3)],
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("channels", "outputs", "groups", "kernel", "stride"), LAST_PHASES)
def test_phases_channels_last(
    channels, outputs, groups, kernel, stride, dtype, activation, threads, isa, rng, streams, monkeypatch
):
    """Turned row by row, or from planes, where the core is told that they go past the caches."""
    past, turn = [], _core.turn
    monkeypatch.setattr(_core, "turn", lambda *about: (past.append(about[4:]), turn(*about)))
    x = rng.standard_normal((2, 7, 45, channels)).astype(dtype)
    w = rng.standard_normal((channels, outputs // groups, kernel, kernel)).astype(dtype)
    layer = fastconv.ConvTranspose2d(
        w, None, stride=stride, padding=1, groups=groups, activation=activation, layout="NHWC"
    )
    described = layer.describe(x.shape)
    with fastconv.threads(threads):
        same_both_ways(lambda y: layer(x, out=y), described["output_shape"], dtype, streams)
    told = [flags[0] for flags in past if flags]
    assert bool(told) == (outputs // groups < 8 and "phase by phase" not in described["algorithm"])
    places = [activation is None] * 3 + [False]  # three in a cache line, and as ever
    assert told == [streamed for streamed in places for _ in range(len(told) // 4)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("channels", "outputs", "groups"), [(64, 128, 64), (90, 90, 45), (40, 320, 40), (18, 18, 9)])
def test_planes_that_are_turned(channels, outputs, groups, dtype, isa, rng, streams):
    """Pixels of as many bytes as are built at a time, of parts of lines, and of too many."""
    x = rng.standard_normal((2, 9, 70, channels)).astype(dtype)
    w = rng.standard_normal((outputs, channels // groups, 3, 3)).astype(dtype)
    layer = fastconv.Conv2d(w, None, padding=1, groups=groups, layout="NHWC", algorithm="direct")
    shape = layer.describe(x.shape)["output_shape"]
    same_both_ways(lambda y: layer(x, out=y), shape, dtype, streams)


def test_rows_that_are_too_long_are_not_built_aside(isa, rng):
    """One of the grid: eight of the output, 4.5 MB."""
    x, w = rng.standard_normal((1, 1, 1100, 16), dtype=np.float32), np.ones((16, 1, 16, 16), np.float32)
    layer = fastconv.ConvTranspose2d(w, None, stride=8, padding=4, groups=16, layout="NHWC")
    assert "phase by phase" in layer.describe(x.shape)["algorithm"]
    _core.forget_memory()
    layer(x)
    assert _core.kept_memory() < 1 << 20


def test_sub_pixel(isa, rng, streams):
    x = rng.standard_normal((1, 8, 20, 150), dtype=np.float32)
    layer = fastconv.SubpixelConv2d(rng.standard_normal((12, 8, 3, 3), dtype=np.float32), None, 2, padding=1)
    same_both_ways(lambda y: layer(x, out=y), (1, 3, 40, 300), x.dtype, streams)


def test_where_it_begins(streams):
    """Five eighths of L3, which is between one and some hundred megabytes; never where the CPU is not an AMD."""
    streams()
    least = _core.stream_from(0)
    assert least == 1 << 62 or 1 << 19 < least < 1 << 30
