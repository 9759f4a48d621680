"""Depthwise convolutions whose lanes are channels: short rows, and images with their channels last."""

from functools import partial

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

import fastconv
from fastconv import _core


def normal(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


LAYERS = [
    # channels, image, kernel, settings
    (16, (7, 7), (3, 3), {"padding": 1}),
    (33, (14, 14), (3, 3), {"padding": 1, "stride": 2}),
    (24, (1, 1), (3, 3), {"padding": 1}),
    (40, (9, 24), (5, 5), {"padding": 2}),
    (17, (20, 23), (7, 7), {"padding": 3}),
    (64, (300, 3), (3, 3), {"padding": ((2, 0), (1, 1))}),
    (19, (12, 30), (3, 1), {"padding": (4, 0), "dilation": (4, 1), "stride": (1, 2)}),
    (16, (5, 40), (1, 3), {"stride": (3, 2)}),
    (48, (60, 60), (3, 3), {"padding": 9, "dilation": 9, "stride": 3}),
    (32, (24,), (3,), {"padding": 1}),
    (20, (50,), (9,), {"padding": 40, "stride": 7}),
    (212, (6, 27), (3, 3), {"padding": 1}),  # channels last: more than go at a time
]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("channels", "size", "kernel", "settings"), LAYERS)
def test_against_the_reference(channels, size, kernel, settings, last, isa, threads):
    x, w, b = normal(1, 2, channels, *size), normal(2, channels, 1, *kernel), normal(3, channels)
    want = reference.conv(x, w, b, groups=channels, **settings)
    scale = reference.conv(abs(x), abs(w), abs(b), groups=channels, **settings)
    layout = {1: "NWC", 2: "NHWC"}[len(size)] if last else None
    layer = getattr(fastconv, f"Conv{len(size)}d")(w, b, groups=channels, layout=layout, **settings)
    if last:
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    assert layer.describe(x.shape)["algorithm"].startswith("depthwise")
    got = layer(x)
    assert_close(np.moveaxis(got, -1, 1) if last else got, want, w[0].size, scale)
    # Rows that are no neighbours, each image for itself, another number of threads.
    np.testing.assert_array_equal(layer(np.repeat(x, 2, axis=-2)[..., ::2, :]), got)
    np.testing.assert_array_equal(layer(x[1]), got[1])
    with fastconv.threads(5):
        np.testing.assert_array_equal(layer(x), got)


@given(data=st.data())
def test_any_small_map(data, isa):
    ints = st.integers
    kernel, stride, dilation = (data.draw(st.tuples(ints(1, top), ints(1, top))) for top in (4, 3, 3))
    pads = data.draw(st.tuples(*[st.tuples(ints(0, 4), ints(0, 4))] * 2))
    room = [max(1, d * (k - 1) + 1 - sum(p)) for d, k, p in zip(dilation, kernel, pads, strict=True)]
    size = tuple(least + data.draw(ints(0, 9)) for least in room)
    channels = data.draw(st.sampled_from([8, 16, 17, 31, 32]))
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-4, 5, s).astype("f4") for s in ((2, channels, *size), (channels, 1, *kernel)))
    options = {"stride": stride, "padding": pads, "dilation": dilation, "groups": channels}
    np.testing.assert_array_equal(fastconv.conv2d(x, w, **options), reference.conv(x, w, **options))


def placed(x, skew):
    """A copy of x that begins `skew` bytes behind a cache line."""
    memory = np.full(x.nbytes + 128 + skew, 255, np.uint8)  # NaN beside it
    first = -memory.ctypes.data % 64 + skew
    copy = memory[first : first + x.nbytes].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "settings"),
    [
        (512, (13, 20), (3, 3), {"padding": 1}),
        (512, (40, 30), (3, 3), {"padding": 1, "stride": 2}),
        (256, (50, 24), (3, 3), {"padding": ((2, 0), (0, 3))}),
        (1024, (60, 9), (1, 3), {"padding": (0, 1), "stride": (3, 1)}),
        (1024, (7, 70), (3, 1), {"dilation": (2, 1)}),
    ],
)
def test_pixels_that_meet_in_the_cache(channels, size, kernel, settings, isa, threads):
    """Rows are copied, or not, by where the image begins: the same bits."""
    x, w, b = normal(1, 2, *size, channels), normal(2, channels, 1, *kernel), normal(3, channels)
    layer = fastconv.Conv2d(w, b, groups=channels, layout="NHWC", **settings)
    got = [layer(placed(x, skew)) for skew in (0, 4, 16, 60)]
    want = reference.conv(np.moveaxis(x, -1, 1), w, b, groups=channels, **settings)
    scale = reference.conv(np.moveaxis(abs(x), -1, 1), abs(w), abs(b), groups=channels, **settings)
    assert_close(np.moveaxis(got[0], -1, 1), want, w[0].size, scale)
    for y in got[1:]:
        np.testing.assert_array_equal(y, got[0])


def test_rows_that_are_too_long_are_not_copied(isa):
    x, w = placed(normal(1, 1, 3, 1100, 512), 16), normal(2, 512, 1, 3, 3)
    layer = fastconv.Conv2d(w, padding=1, groups=512, layout="NHWC")
    _core.forget_memory()
    layer(x)
    assert _core.kept_memory() < 1 << 20


UPWARDS = [
    # channels, image, kernel, settings: channels last, a depthwise convolution for each phase
    (21, (9, 11), (16, 16), {"stride": 8, "padding": 4}),
    (64, (33, 17), (4, 4), {"stride": 2, "padding": 1}),
    (16, (9, 30), (3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    (40, (5, 1), (3, 3), {"stride": 2}),
    (40, (1, 3), (5, 5), {"stride": 2, "output_padding": 1}),
    (17, (4, 4), (6, 6), {"stride": 2, "padding": 5}),
    (19, (12, 9), (3, 3), {"stride": 2, "dilation": 3, "output_padding": 2}),
    (33, (12, 9), (3, 3), {"padding": 1}),
    (20, (60, 40), (2, 5), {"stride": (2, 5), "padding": (0, 2)}),
    (18, (3, 9), (5, 5), {"stride": 5, "padding": 2, "output_padding": (4, 0)}),
    (32, (40,), (4,), {"stride": 2, "padding": 1}),
    (23, (2,), (9,), {"stride": 3}),
]


@pytest.mark.parametrize(("channels", "size", "kernel", "settings"), UPWARDS)
def test_transposed_channels_last(channels, size, kernel, settings, isa, threads):
    x, w, b = normal(1, 2, channels, *size), normal(2, channels, 1, *kernel), normal(3, channels)
    want = reference.conv_transpose(x, w, b, groups=channels, **settings)
    scale = reference.conv_transpose(abs(x), abs(w), abs(b), groups=channels, **settings)
    layout = {1: "NWC", 2: "NHWC"}[len(size)]
    make = partial(getattr(fastconv, f"ConvTranspose{len(size)}d"), groups=channels, layout=layout, **settings)
    x, layer = np.ascontiguousarray(np.moveaxis(x, 1, -1)), make(w, b)
    assert layer.describe(x.shape)["algorithm"] == "depthwise, lanes of channels, phase by phase"
    got = layer(x)
    assert_close(np.moveaxis(got, -1, 1), want, w[0].size, scale)
    # Pixels and rows that are no neighbours, each image for itself, more threads, and a part of a wider output.
    wider = np.concatenate([x, np.full_like(x, np.nan)], axis=-1)
    np.testing.assert_array_equal(layer(wider[..., :channels]), got)
    np.testing.assert_array_equal(layer(np.repeat(x, 2, axis=1)[:, ::2]), got)
    np.testing.assert_array_equal(layer(x[1]), got[1])
    with fastconv.threads(5):
        np.testing.assert_array_equal(layer(x), got)
    room = np.full((2, 3, *got.shape[1:]), 7, np.float32)
    layer(x, out=room[:, 1])
    np.testing.assert_array_equal(room[:, 1], got)
    assert (room[:, ::2] == 7).all()
    residual = normal(4, *got.shape)
    finished = make(w, b, activation="relu")
    np.testing.assert_array_equal(finished(x, residual=residual), np.maximum(got + residual, 0))


@given(data=st.data())
def test_any_transposed_map(data, isa):
    """As few columns as may be: all of them ends; and layers that have too many of these."""
    ints = st.integers
    kernel, stride, dilation = (data.draw(st.tuples(ints(1, top), ints(1, top))) for top in (6, 4, 5))
    extra = tuple(data.draw(ints(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    size = data.draw(st.tuples(ints(1, 9), ints(1, 9)))
    whole = [(n - 1) * s + d * (k - 1) for n, s, d, k in zip(size, stride, dilation, kernel, strict=True)]
    pads = tuple(data.draw(ints(0, min(4, length // 2))) for length in whole)
    channels = data.draw(st.sampled_from([16, 17, 31, 32]))
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-4, 5, s).astype("f4") for s in ((2, channels, *size), (channels, 1, *kernel)))
    options = {"stride": stride, "padding": pads, "output_padding": extra, "dilation": dilation, "groups": channels}
    got = fastconv.conv_transpose2d(np.moveaxis(x, 1, -1), w, layout="NHWC", **options)
    np.testing.assert_array_equal(np.moveaxis(got, -1, 1), reference.conv_transpose(x, w, **options))


def test_transposed_weights_that_are_not_finite(isa):
    x, w = normal(1, 1, 32, 5, 6), normal(2, 32, 1, 4, 4)
    w[3, 0, 0, 0], w[4, 0, 1, 2] = np.inf, np.nan
    options = {"stride": 2, "padding": 1, "groups": 32}
    got = fastconv.conv_transpose2d(np.moveaxis(x, 1, -1), w, layout="NHWC", **options)
    np.testing.assert_array_equal(np.moveaxis(got, -1, 1), fastconv.conv_transpose2d(x, w, **options))


def test_a_nan_stays_in_its_windows(isa):
    x, w = normal(1, 1, 32, 9, 9), normal(2, 32, 1, 3, 3)
    x[0, 5, 4, 4] = np.nan
    x[0, 6, 0, 0] = np.inf
    got = fastconv.conv2d(x, w, padding=1, groups=32)
    want = reference.conv(x, w, padding=1, groups=32)
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))


def test_infinite_weights_do_not_meet_the_padding(isa):
    x, w = normal(1, 1, 32, 9, 9), normal(2, 32, 1, 3, 3)
    w[3, 0, 0, 0] = np.inf
    layer = fastconv.Conv2d(w, padding=1, groups=32)
    assert layer.describe(x.shape)["algorithm"].startswith("direct")
    np.testing.assert_array_equal(np.isfinite(layer(x)), np.isfinite(reference.conv(x, w, padding=1, groups=32)))


def test_what_is_chosen():
    w = np.ones((64, 1, 3, 3), np.float32)
    choices = {
        (1, 64, 14, 14): ({}, "depthwise"),
        (1, 64, 56, 56): ({}, "direct, strips"),
        (1, 56, 56, 64): ({"layout": "NHWC"}, "depthwise, lanes of channels"),
    }
    for shape, (options, expected) in choices.items():
        layer = fastconv.Conv2d(w, padding=1, groups=64, **options)
        assert layer.describe(shape)["algorithm"].startswith(expected)
    colours = fastconv.Conv2d(w[:3], padding=1, groups=3, layout="NHWC")
    assert colours.describe((1, 56, 56, 3))["algorithm"] == "depthwise, lanes of colours"
    few = colours.describe((1, 3, 1, 3))["algorithm"]  # a row of one pixel does not fill the lanes
    assert few != "depthwise, lanes of colours"
    wide = fastconv._core.lanes() > 8
    for row in (16, 28):  # fill most of wide vectors
        expected = "direct" if wide else "depthwise"
        square = fastconv.Conv2d(w, padding=1, groups=64).describe((1, 64, row, row))
        assert square["algorithm"].startswith(expected)
    for settings, row, expected in [
        ({}, 29, "direct"),  # 15 outputs, of every second pixel
        ({}, 25, "depthwise"),
        ({"dilation": (2, 1)}, 35, "depthwise"),  # which cannot be picked from the image
        ({"padding_mode": "reflect"}, 35, "depthwise"),
        ({"stride": (1, 2)}, 35, "depthwise"),
    ]:
        strided = fastconv.Conv2d(w, groups=64, **{"padding": 1, "stride": 2, **settings})
        assert strided.describe((1, 64, row, row))["algorithm"].startswith(expected)
    direct = fastconv.Conv2d(w, padding=1, groups=64, algorithm="direct")
    assert direct.describe((1, 64, 14, 14))["algorithm"].startswith("direct")
