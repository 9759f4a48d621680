"""Channels last: the same numbers as with planes, wherever each array comes from and goes to."""

import pickle

import numpy as np
import pytest
import reference

import fastconv
from fastconv import _choice, _engines

LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


def normal(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def to_last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


# operator, input, weight, settings
LAYERS = {
    "panels": ("conv", (2, 20, 9, 13), (17, 20, 3, 3), {"padding": 1, "algorithm": "direct"}),
    "panels, strided": ("conv", (1, 9, 15, 37), (23, 9, 5, 5), {"padding": 2, "stride": 2, "algorithm": "direct"}),
    "pixels, more outputs": (
        "conv",
        (2, 70, 9, 31),
        (75, 70, 3, 3),
        {"padding": ((0, 2), (3, 1)), "stride": (1, 2), "algorithm": "direct"},
    ),
    "pixels, no padding": ("conv", (2, 7, 12, 40), (33, 7, 4, 3), {"stride": 2}),
    "pixels, circular": ("conv", (1, 5, 9, 30), (24, 5, 3, 5), {"padding": (1, 4), "padding_mode": "circular"}),
    "pixels, 1-D": ("conv", (2, 40, 65), (48, 40, 5), {"padding": ((1, 4),)}),
    "pixels, groups": (
        "conv",
        (2, 120, 9, 31),
        (111, 40, 3, 3),
        {"padding": ((0, 2), (3, 1)), "stride": (1, 2), "groups": 3, "algorithm": "direct"},
    ),
    "pixels, groups, circular": (
        "conv",
        (1, 36, 9, 14),
        (24, 12, 3, 3),
        {"padding": (1, 2), "stride": 2, "groups": 3, "padding_mode": "circular", "algorithm": "direct"},
    ),
    "pixels, groups, 1x1": ("conv", (2, 70, 7, 9), (14, 10, 1, 1), {"groups": 7}),
    "pixels, groups, 1-D": ("conv", (2, 66, 65), (48, 22, 5), {"padding": ((1, 4),), "groups": 3, "stride": 3}),
    "dots, 1x1": ("conv", (2, 36, 7, 9), (3, 36, 1, 1), {}),
    "dots, strided": ("conv", (2, 12, 9, 31), (2, 12, 3, 3), {"padding": ((0, 2), (3, 1)), "stride": (1, 2)}),
    "dots, groups, reflected": (
        "conv",
        (1, 36, 9, 14),
        (6, 12, 3, 3),
        {"padding": 2, "groups": 3, "padding_mode": "reflect", "algorithm": "direct"},
    ),
    "dots, 1-D": ("conv", (2, 60, 65), (2, 60, 5), {"padding": ((1, 4),), "stride": 3}),
    "sums, 1x1": ("conv", (2, 64, 7, 9), (1, 64, 1, 1), {}),
    "sums, strided": ("conv", (2, 16, 9, 31), (2, 16, 3, 3), {"padding": ((0, 2), (3, 1)), "stride": (1, 2)}),
    "sums, groups, reflected": (
        "conv",
        (1, 48, 9, 14),
        (3, 16, 3, 3),
        {"padding": 2, "groups": 3, "padding_mode": "reflect", "algorithm": "direct"},
    ),
    "sums, 1-D": ("conv", (2, 32, 65), (2, 32, 5), {"padding": ((1, 4),), "stride": 3}),
    "1x1, strided": ("conv", (2, 33, 17, 19), (40, 33, 1, 1), {"stride": 2, "padding": 1}),
    "panels, dilated": ("conv", (1, 24, 9, 9), (8, 24, 3, 3), {"padding": 8, "dilation": 8, "algorithm": "direct"}),
    "panels, reflected": (
        "conv",
        (1, 20, 9, 40),
        (17, 20, 3, 3),
        {"padding": 3, "padding_mode": "reflect", "stride": 2, "algorithm": "direct"},
    ),
    "panels, 3-D": ("conv", (1, 5, 4, 5, 19), (8, 5, 3, 3, 3), {"padding": 1}),
    "groups": ("conv", (2, 12, 8, 11), (16, 6, 3, 3), {"padding": 1, "groups": 2}),
    "groups of a line": ("conv", (2, 12, 8, 11), (40, 6, 3, 3), {"padding": 1, "groups": 2}),
    "groups, reflected": (
        "conv",
        (2, 12, 21, 11),
        (16, 3, 3, 3),
        {"padding": 2, "stride": 2, "groups": 4, "padding_mode": "reflect"},
    ),
    "groups, two outputs of a channel": ("conv", (1, 8, 23, 11), (16, 1, 3, 3), {"padding": 1, "groups": 8}),
    "groups, two outputs of a channel, strided": (
        "conv",
        (2, 37, 9, 15),
        (74, 1, 5, 4),
        {"padding": ((0, 3), (5, 2)), "stride": (2, 3), "groups": 37},
    ),
    "groups, two outputs of a channel, 1-D": ("conv", (2, 16, 45), (32, 1, 3), {"padding": "same", "groups": 16}),
    "groups, three outputs of a channel": ("conv", (1, 8, 23, 11), (24, 1, 3, 3), {"padding": 1, "groups": 8}),
    "groups of four, 1x1": ("conv", (2, 40, 7, 9), (40, 4, 1, 1), {"groups": 10}),
    "groups of eight, 1x1, strided": ("conv", (1, 48, 9, 8), (48, 8, 1, 1), {"groups": 6, "stride": 2, "padding": 1}),
    "1x1": ("conv", (2, 33, 7, 9), (40, 33, 1, 1), {}),
    "1x1, few outputs": ("conv", (2, 33, 7, 9), (5, 33, 1, 1), {}),
    "1x1, outputs of one and a half vectors": ("conv", (2, 33, 7, 9), (21, 33, 1, 1), {}),
    "1x1, outputs of two and a half vectors": ("conv", (1, 300, 7, 9), (36, 300, 1, 1), {}),
    "strips": ("conv", (1, 3, 11, 70), (16, 3, 3, 3), {"padding": 1}),
    "depthwise": ("conv", (2, 47, 10, 21), (47, 1, 3, 3), {"padding": 1, "groups": 47}),
    "depthwise, wide": ("conv", (1, 35, 4, 60), (35, 1, 3, 5), {"padding": (1, 2), "groups": 35, "stride": (1, 2)}),
    "colours": ("conv", (2, 3, 40, 37), (3, 1, 5, 5), {"padding": 2, "groups": 3}),
    "colours, strided": ("conv", (1, 3, 21, 67), (3, 1, 5, 4), {"padding": (1, 3), "groups": 3, "stride": 2}),
    "colours, dilated": ("conv", (1, 6, 21, 67), (6, 1, 3, 3), {"padding": 4, "groups": 6, "dilation": (4, 3)}),
    "colours, more than lanes": ("conv", (1, 24, 9, 33), (24, 1, 3, 3), {"padding": 1, "groups": 24}),
    "colours, reflected": (
        "conv",
        (1, 3, 40, 37),
        (3, 1, 5, 5),
        {"padding": 2, "groups": 3, "padding_mode": "reflect"},
    ),
    "one output of lines of channels": ("conv", (2, 32, 17, 18), (1, 32, 3, 5), {"padding": (1, 2)}),
    "one output, strided": ("conv", (2, 32, 15, 22), (1, 32, 4, 4), {"padding": (1, 3), "stride": 2}),
    "one output, dilated": ("conv", (1, 48, 16, 9), (1, 48, 3, 3), {"padding": 4, "dilation": 4}),
    "one output, more padding than pixels": ("conv", (1, 16, 3, 2), (1, 16, 8, 8), {"padding": ((7, 7), (6, 10))}),
    "one output, pixels that meet in cache": ("conv", (1, 512, 7, 20), (1, 512, 1, 2), {}),
    "one output, 1-D": ("conv", (2, 32, 45), (1, 32, 3), {"padding": "same"}),
    "two outputs of lines of channels": ("conv", (2, 32, 11, 40), (2, 32, 3, 3), {"padding": 1}),
    "1-D": ("conv", (2, 6, 45), (9, 6, 3), {"padding": 7, "dilation": 7}),
    "one column": ("conv", (2, 6, 9, 1), (9, 6, 3, 1), {"padding": (1, 0)}),
    "one channel": ("conv", (1, 1, 9, 12), (1, 1, 3, 3), {"padding": 1}),
    "winograd": ("conv", (2, 24, 19, 37), (40, 24, 3, 3), {"padding": 1}),
    "winograd, stride": ("conv", (2, 64, 37, 39), (64, 64, 3, 3), {"padding": 1, "stride": 2}),
    "winograd, dilated": ("conv", (1, 64, 17, 21), (61, 64, 3, 3), {"padding": 4, "dilation": 4}),
    "winograd, circular": ("conv", (1, 32, 9, 12), (32, 32, 3, 3), {"padding": 3, "padding_mode": "circular"}),
    "fourier": ("conv", (2, 2, 50, 43), (1, 2, 31, 31), {"padding": 15}),
    "transposed": ("conv_transpose", (2, 9, 5, 17), (9, 21, 3, 3), {"padding": 1, "stride": 2, "algorithm": "direct"}),
    "transposed, winograd": ("conv_transpose", (1, 40, 18, 20), (40, 61, 4, 4), {"padding": 1, "stride": 2}),
    "transposed, winograd, 64 phases": (
        "conv_transpose",
        (2, 21, 9, 10),
        (21, 21, 16, 16),
        {"padding": 4, "stride": 8},
    ),
    "transposed, winograd, 64 phases in items": (
        "conv_transpose",
        (2, 16, 19, 21),
        (16, 12, 16, 16),
        {"padding": 4, "stride": 8, "output_padding": 3},
    ),
    "transposed, winograd, 64 phases in shares": (
        "conv_transpose",
        (1, 16, 7, 7),
        (16, 50, 16, 16),
        {"padding": 4, "stride": 8},
    ),
    "transposed, winograd, 64 phases, many weights": (
        "conv_transpose",
        (1, 40, 7, 7),
        (40, 50, 16, 16),
        {"padding": 4, "stride": 8},
    ),
    "transposed, 256 phases": ("conv_transpose", (1, 6, 3, 5), (6, 21, 32, 32), {"padding": 8, "stride": 16}),
    "transposed, groups": ("conv_transpose", (2, 21, 6, 7), (21, 1, 8, 8), {"padding": 2, "stride": 4, "groups": 21}),
    "transposed, groups of two": (
        "conv_transpose",
        (2, 20, 6, 7),
        (20, 2, 8, 8),
        {"padding": 2, "stride": 4, "groups": 10},
    ),
    "transposed, holes": ("conv_transpose", (2, 6, 5, 7), (6, 9, 2, 2), {"stride": 3}),
    "transposed, taps first": ("conv_transpose", (1, 600, 8, 9), (600, 4, 8, 8), {"padding": 1, "stride": 2}),
    "patches, 3x3": ("conv", (2, 33, 19, 45), (3, 33, 3, 3), {"padding": 1}),
    "patches, dilated": ("conv", (1, 24, 15, 22), (4, 24, 4, 3), {"padding": ((3, 2), (0, 7)), "dilation": (2, 3)}),
    "patches, same": ("conv", (1, 24, 9, 9), (5, 24, 2, 4), {"padding": "same"}),
    "patches, more padding than pixels": ("conv", (1, 24, 3, 2), (3, 24, 7, 6), {"padding": 6}),
    "patches, 1-D": ("conv", (2, 32, 145), (3, 32, 5), {"padding": 2}),
    "patches, long": ("conv", (1, 32, 3001), (3, 32, 7), {"padding": 9, "dilation": 3}),
    "patches, transposed, long": (
        "conv_transpose",
        (1, 128, 2, 1500),
        (128, 3, 1, 5),
        {"padding": (0, 2), "stride": (1, 2)},
    ),
    "patches, transposed": ("conv_transpose", (2, 64, 8, 9), (64, 3, 4, 4), {"padding": 1, "stride": 2}),
    "patches, transposed, 1-D": ("conv_transpose", (1, 24, 50), (24, 1, 5), {"stride": 3, "output_padding": 1}),
    "patches, transposed, holes": ("conv_transpose", (1, 30, 7, 6), (30, 2, 2, 3), {"stride": (3, 5)}),
    "patches, transposed, dilated": (
        "conv_transpose",
        (1, 24, 10, 17),
        (24, 5, 3, 4),
        {"padding": (4, 1), "stride": 2, "dilation": (1, 3), "output_padding": (0, 1)},
    ),
    "patches, transposed, one line of outputs": ("conv_transpose", (1, 32, 40, 31), (32, 1, 3, 3), {"stride": 1}),
    "transposed, 17 phases": ("conv_transpose", (1, 6, 9), (6, 8, 17), {"stride": 17}),
    "sub-pixel": ("subpixel", (2, 20, 9, 13), (36, 20, 3, 3), {"padding": 1}),
    "sub-pixel across groups": ("subpixel", (1, 10, 9, 13), (12, 5, 3, 3), {"padding": 1, "groups": 2}),
}


def operators(name):
    """The layer with planes, that with channels last, and the arrays."""
    operator, shape, kernel, settings = LAYERS[name]
    axes = len(shape) - 2
    x, w = normal(1, *shape), normal(2, *kernel)
    b = normal(3, kernel[1] * settings.get("groups", 1) if operator == "conv_transpose" else kernel[0])
    if operator == "subpixel":
        return (lambda **more: fastconv.SubpixelConv2d(w, b, 2, **settings, **more)), axes, x
    kind = getattr(fastconv, {"conv": "Conv", "conv_transpose": "ConvTranspose"}[operator] + f"{axes}d")
    return (lambda **more: kind(w, b, **settings, **more)), axes, x


@pytest.mark.parametrize("name", LAYERS)
def test_channels_last_is_the_same_convolution(name, isa, threads):
    make, axes, x = operators(name)
    planes, last = make(), make(layout=LAST[axes])
    want = planes(x)
    got = last(to_last(x))
    assert got.flags.c_contiguous
    algorithms = planes.describe(x.shape)["algorithm"], last.describe(to_last(x).shape)["algorithm"]
    if algorithms[0] == algorithms[1] or algorithms[1].endswith("pixels"):
        np.testing.assert_array_equal(got, to_last(want))
    else:  # depthwise with long rows, which filters planes, or in phases, or dots, whose sums have another order
        assert "lanes of " in algorithms[1] or algorithms[1].endswith(("dots", "sums", "patches"))
        np.testing.assert_allclose(got, to_last(want), rtol=1e-5, atol=1e-5)
    # A view of planes, parts of images with more channels and columns, one image alone, and into a given array.
    np.testing.assert_array_equal(last(np.moveaxis(x, 1, -1)), got)
    wider = np.concatenate([to_last(x), np.ones((*to_last(x).shape[:-1], 3), np.float32)], axis=-1)
    np.testing.assert_array_equal(last(wider[..., :-3]), got)
    longer = np.concatenate([to_last(x), np.ones((*x.shape[:1], *x.shape[2:-1], 2, x.shape[1]), np.float32)], axis=-2)
    np.testing.assert_array_equal(last(longer[..., :-2, :]), got)
    np.testing.assert_array_equal(last(to_last(x)[0]), got[0])
    out = np.full_like(got, np.nan)
    assert last(to_last(x), out=out) is out
    np.testing.assert_array_equal(out, got)
    room = np.full((got.shape[0], 2, *got.shape[1:]), 7, np.float32)
    last(to_last(x), out=room[:, 1])
    np.testing.assert_array_equal(room[:, 1], got)
    assert (room[:, 0] == 7).all()


@pytest.mark.parametrize("band", [1, 5000, 10**6])
@pytest.mark.parametrize(
    "name",
    [
        "groups, reflected",
        "groups, three outputs of a channel",
        "transposed, groups of two",
        "transposed, winograd",
        "transposed, winograd, 64 phases",
    ],
)
def test_outputs_that_are_turned_band_by_band(name, band, monkeypatch, isa, threads):
    make, axes, x = operators(name)
    x[-1, 0, 3, 4] = np.nan
    want = make()(x)
    residual = normal(4, *want.shape)
    want = make(activation="relu")(x, residual=residual)
    turned = []
    turn = _engines._core.turn
    monkeypatch.setattr(_engines, "BAND_BYTES", band)
    monkeypatch.setattr(_engines._core, "turn", lambda *about: (turned.append(about[2]), turn(*about)))
    last = make(layout=LAST[axes], activation="relu")
    got = last(to_last(x), residual=to_last(residual))
    np.testing.assert_array_equal(got, to_last(want))
    # Winograd's tiles are cut from the first row on; with short vectors, outputs of a group are half of one.
    if "winograd" not in name and "pixels" not in last.describe(to_last(x).shape)["algorithm"]:
        assert sum(turned) >= (1 if band == 10**6 else 2 * len(x))


@pytest.mark.parametrize("name", ["panels", "winograd", "transposed", "depthwise", "sub-pixel"])
def test_other_dtypes(name, isa):
    make, axes, x = operators(name)
    for dtype in (np.float64, np.float16):
        got = make(layout=LAST[axes])(to_last(x).astype(dtype))
        np.testing.assert_array_equal(got, to_last(make()(x.astype(dtype))))


@pytest.mark.parametrize("name", ["winograd", "transposed, winograd", "transposed, winograd, 64 phases", "fourier"])
def test_a_nan_stays_where_it_is(name, isa):
    make, axes, x = operators(name)
    x[0, 0, 3, 4] = np.nan
    np.testing.assert_array_equal(make(layout=LAST[axes])(to_last(x)), to_last(make()(x)))


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith(("dots, ", "sums, ", "patches, "))])
def test_dots_and_sums_and_patches(name, isa):
    """What is far from finite stays in its own output, and float64 has its own lanes."""
    make, axes, x = operators(name)
    last = make(layout=LAST[axes])
    said = last.describe(to_last(x).shape)["algorithm"]
    assert said.endswith(name.partition(",")[0]) or isa == "baseline"  # three outputs are more than half its vector
    np.testing.assert_allclose(last(to_last(x.astype(float))), to_last(make()(x.astype(float))), rtol=1e-12, atol=1e-12)
    x[0, 0, 3:5], x[-1, 5, -1:] = np.nan, np.inf
    want = make()(x)
    np.testing.assert_allclose(last(to_last(x)), to_last(want), rtol=1e-5, atol=1e-5)
    residual = normal(4, *want.shape)
    got = make(layout=LAST[axes], activation="relu")(to_last(x), residual=to_last(residual))
    np.testing.assert_allclose(got, to_last(np.maximum(want + residual, 0)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["patches, dilated", "patches, transposed", "patches, long", "patches, transposed, long"]
)
def test_patches_have_the_same_bits_on_any_number_of_threads(name, isa):
    """Bands of rows, and parts of the columns of few."""
    make, axes, x = operators(name)
    layer, x = make(layout=LAST[axes], activation="relu"), to_last(x)
    with fastconv.threads(1):
        want = layer(x)
    for threads in (2, 3, 5):
        with fastconv.threads(threads):
            assert layer.describe(x.shape)["items"] > 1
            np.testing.assert_array_equal(layer(x), want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_patches_of_many_channels_in_many_pieces(dtype, isa, threads):
    """More than a block of the sum, and rows whose products do not stay in L1: whole numbers, which do not round."""
    rng = np.random.default_rng(0)
    for kernel, shape, settings in [
        ((520, 3, 4, 4), (2, 520, 6, 90), {"stride": 2}),
        ((300, 5, 3, 3), (1, 300, 70, 3), {}),
    ]:
        x, w = (rng.integers(-4, 5, sizes).astype(dtype) for sizes in (shape, kernel))
        layer = fastconv.ConvTranspose2d(w, layout="NHWC", **settings)
        assert layer.describe(to_last(x).shape)["algorithm"].endswith("patches")
        np.testing.assert_array_equal(layer(to_last(x)), to_last(reference.conv_transpose(x, w, **settings)))


@pytest.mark.parametrize("name", [name for name in LAYERS if "of lines of channels" in name or "one output," in name])
@pytest.mark.parametrize("weight", ["finite", "infinite"])
def test_sums_of_channels(name, weight, isa, threads):
    """Lanes are channels, which are added up at last: few outputs, each of many products."""
    _, shape, kernel, settings = LAYERS[name]
    axes, x, w, b = len(shape) - 2, normal(1, *shape), normal(2, *kernel), normal(3, kernel[0])
    x[0, 0, -1] = np.nan
    x[-1, 5, 0] = np.inf
    if weight == "infinite":
        w[-1, 3].flat[1] = np.inf
    kind = getattr(fastconv, f"Conv{axes}d")
    layer = kind(w, b, **settings, layout=LAST[axes], activation="relu")
    assert layer.describe(to_last(x).shape)["algorithm"].startswith("direct, lanes of") == (weight == "finite")
    want = kind(w.astype(float), b.astype(float), **settings)(x.astype(float))
    residual = normal(4, *want.shape)
    got = layer(to_last(x), residual=to_last(residual))
    with np.errstate(invalid="ignore"):
        want = np.maximum(want + residual, 0)
    np.testing.assert_allclose(got, to_last(want), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["two outputs of a channel", "two outputs of a channel, strided"])
def test_two_outputs_of_a_channel(name, isa, threads):
    """Channels are copied twice, side by side: no turning, and no copy of rows that are too long."""
    make, axes, x = operators("groups, " + name)
    x[0, 0, 3:5], x[-1, 5, -1:] = np.nan, np.inf
    last, want = make(layout=LAST[axes], activation="relu"), make()(x)
    about = last.describe(to_last(x).shape)
    assert about["algorithm"] == "depthwise, lanes of channels"
    assert 0 < about["workspace_bytes"] <= about["threads"] * 1 << 20
    residual = normal(4, *want.shape)
    np.testing.assert_allclose(
        last(to_last(x), residual=to_last(residual)), to_last(np.maximum(want + residual, 0)), rtol=1e-5, atol=1e-5
    )
    assert last.describe((1, 100, 10**5, x.shape[1]))["algorithm"] != about["algorithm"]


def test_more_columns_of_padding_than_there_are_lists_for(isa):
    x, w = normal(1, 1, 9, 11, 32), normal(2, 1, 32, 3, 3)
    layer = fastconv.Conv2d(w, padding=(1, 9), layout="NHWC")
    assert layer.describe(x.shape)["algorithm"] != "direct, lanes of channels"
    want = fastconv.conv2d(np.moveaxis(x, -1, 1), w, padding=(1, 9))
    np.testing.assert_allclose(layer(x), to_last(want), rtol=1e-5, atol=1e-5)


def test_padded_rows_of_dots_have_a_bound(isa):
    layer = fastconv.Conv2d(np.ones((2, 4096, 3, 3), np.float32), stride=2, padding=1, layout="NHWC")
    about = layer.describe((1, 256, 256, 4096))
    assert not about["algorithm"].endswith("dots")
    assert about["workspace_bytes"] <= about["threads"] * 16 << 20


def test_turned_pixels_of_groups(isa, threads):
    """Planes of 49 pixels, which fill few vectors, are turned to rows of pixels and back."""
    x, w, b = normal(1, 2, 256, 14, 14), normal(2, 256, 64, 3, 3), normal(3, 256)
    layer = fastconv.Conv2d(w, b, stride=2, padding=1, groups=4, algorithm="direct")
    assert layer.describe(x.shape)["algorithm"].endswith("turned pixels") == (isa == "avx512")
    want = fastconv.conv2d(*(a.astype(float) for a in (x, w, b)), stride=2, padding=1, groups=4)
    np.testing.assert_allclose(layer(x), want, rtol=1e-5, atol=1e-4)


def test_dots_of_several_panels(monkeypatch, isa, threads):
    """More outputs than are chosen: two vectors of them are a panel."""
    x, w, b = normal(1, 2, 9, 11, 24), normal(2, 38, 12, 3, 3), normal(3, 38)
    want = fastconv.conv2d(np.moveaxis(x, -1, 1).astype(float), w.astype(float), b.astype(float), groups=2, padding=1)
    monkeypatch.setattr(_choice, "_dots_of_pixels", lambda *about: True)
    layer = fastconv.Conv2d(w, b, groups=2, padding=1, algorithm="direct", layout="NHWC")
    assert layer.describe(x.shape)["algorithm"].endswith("dots")
    np.testing.assert_allclose(layer(x), to_last(want), rtol=1e-5, atol=1e-5)


def test_infinite_weights_of_a_transposed_convolution():
    x, w = normal(1, 1, 3, 5, 6), normal(2, 3, 4, 3, 3)
    w[1, 2, 0, 0] = np.inf
    got = fastconv.conv_transpose2d(to_last(x), w, stride=2, padding=1, layout="NHWC")
    np.testing.assert_array_equal(got, to_last(fastconv.conv_transpose2d(x, w, stride=2, padding=1)))


def test_empty_batches_and_output_sizes():
    w = normal(2, 8, 4, 3, 3)
    assert fastconv.conv2d(np.zeros((0, 9, 9, 4), np.float32), w, layout="NHWC").shape == (0, 7, 7, 8)
    x = normal(1, 2, 9, 9, 8)
    assert fastconv.conv_transpose2d(x, w, stride=2, padding=1, output_size=18, layout="NHWC").shape == (2, 18, 18, 4)
    layer = fastconv.Conv2d(w, layout="NHWC")
    assert layer.describe((1, 9, 9, 4))["output_shape"] == (1, 7, 7, 8)


def test_layers_keep_and_show_their_layout():
    layer = fastconv.Conv2d(normal(1, 4, 3, 3, 3), layout="NHWC")
    again = pickle.loads(pickle.dumps(layer))
    assert again.layout == "NHWC"
    assert "layout=NHWC" in repr(again)
    assert fastconv.Conv1d(normal(1, 4, 3, 3)).layout == "NCW"


@pytest.mark.parametrize("layout", ["NWC", "nhwc", "HWC", 3, ["NHWC"]])
def test_a_layout_that_is_none(layout):
    with pytest.raises(ValueError, match="layout must be 'NCHW' or 'NHWC', got"):
        fastconv.conv2d(np.ones((1, 3, 5, 5)), np.ones((2, 3, 3, 3)), layout=layout)


def test_errors_speak_of_channels():
    with pytest.raises(ValueError, match="input channels"):
        fastconv.conv2d(np.ones((1, 3, 5, 5)), np.ones((2, 3, 3, 3)), layout="NHWC")
    with pytest.raises(ValueError, match=r"out has shape \(1, 2, 3, 3\), expected \(1, 3, 3, 2\)"):
        fastconv.conv2d(np.ones((1, 5, 5, 3)), np.ones((2, 3, 3, 3)), layout="NHWC", out=np.empty((1, 2, 3, 3)))


# Pixel shuffle --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex128", "S3", "V24", "O"])
@pytest.mark.parametrize("order", ["crd", "dcr"])
@pytest.mark.parametrize(
    ("channels", "size", "factors"),
    [
        (3, (5, 37), (2, 2)),
        (1, (4, 9), (3, 3)),
        (16, (3, 21), (2, 2)),
        (5, (2, 130), (4, 4)),
        (7, (3, 5), (3, 2)),
        (2, (3, 6), (1, 2)),
        (2, (3, 6), (17, 1)),
        (3, (33,), (2,)),
        (2, (3, 4, 5), (2, 2, 2)),
        (2, (3, 4, 5), (1, 3, 2)),
        (3, (0, 4), (2, 2)),
    ],
)
def test_pixel_shuffle(channels, size, factors, order, dtype, isa, threads):
    shape = (2, channels * int(np.prod(factors)), *size)
    x = np.random.default_rng(0).integers(0, 256, (*shape, np.dtype(dtype).itemsize or 1), np.uint8)
    x = x.view(dtype)[..., 0] if dtype != "O" else x[..., 0].astype(object)
    layout = LAST[len(size)]
    want = fastconv.pixel_shuffle(x, factors, order=order)
    got = fastconv.pixel_shuffle(to_last(x), factors, order=order, layout=layout)
    assert got.tobytes() == to_last(want).tobytes()
    assert got.shape == to_last(want).shape
    back = fastconv.pixel_unshuffle(got, factors, order=order, layout=layout)
    assert back.tobytes() == to_last(x).tobytes()
    strided = np.repeat(to_last(x), 2, axis=-2)[..., ::2, :]
    out = np.zeros_like(got)
    assert fastconv.pixel_shuffle(strided, factors, order=order, layout=layout, out=out) is out
    assert out.tobytes() == got.tobytes()


def test_a_large_shuffle_in_pieces(isa, threads):
    x = normal(1, 1, 48, 9, 700)
    got = fastconv.pixel_shuffle(to_last(x), 4, layout="NHWC")
    np.testing.assert_array_equal(got, to_last(fastconv.pixel_shuffle(x, 4)))


def test_shuffle_errors():
    with pytest.raises(ValueError, match="multiple of 4 channels, input has 6"):
        fastconv.pixel_shuffle(np.ones((8, 8, 6)), 2, layout="NHWC")
    with pytest.raises(ValueError, match="layout must be 'NCHW' or 'NHWC', got 'NWC'"):
        fastconv.pixel_shuffle(np.ones((8, 8, 4)), 2, layout="NWC")
