"""What padding holds: np.pad says what it should, for each way in which the core fetches pixels."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

import fastconv

NUMPY_MODE = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
MODES = [mode for mode in NUMPY_MODE if mode != "zeros"]


def normal(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def padded(x, pads, mode):
    return np.pad(x, [(0, 0), (0, 0), *pads], mode=NUMPY_MODE[mode])


def expected_conv(x, w, b, pads, mode, **options):
    pads = reference.pairs(pads, w.ndim - 2)
    return reference.conv(padded(np.asarray(x, np.float64), pads, mode), w, b, **options)


# input, weight, settings, and what computes it
LAYERS = {
    "panels": ((2, 20, 9, 13), (17, 20, 3, 3), {"padding": 1, "algorithm": "direct"}, "direct, panels"),
    "panels, strided": (
        (1, 8, 15, 37),
        (9, 8, 5, 5),
        {"padding": 3, "stride": 2, "algorithm": "direct"},
        "direct, panels",
    ),
    "panels, wide": ((1, 4, 6, 150), (70, 4, 3, 3), {"padding": ((2, 1), (0, 3)), "stride": (1, 2)}, "direct, panels"),
    "panels, 3-D": ((1, 5, 4, 5, 19), (8, 5, 3, 3, 3), {"padding": 2, "algorithm": "direct"}, "direct, panels"),
    "panels, dilated": ((1, 16, 7, 7), (8, 16, 3, 3), {"padding": 6, "dilation": 6, "algorithm": "direct"}, "direct"),
    "strips": ((1, 3, 11, 70), (16, 3, 3, 3), {"padding": ((1, 4), (2, 3))}, "direct, strips"),
    "strips, strided": ((2, 3, 13, 41), (16, 3, 7, 7), {"padding": 3, "stride": 2}, "direct, strips"),
    "strips, 3-D": ((1, 2, 3, 6, 33), (4, 2, 3, 3, 3), {"padding": (1, 2, 3), "dilation": (1, 2, 3)}, "direct, strips"),
    "depthwise": ((2, 20, 10, 21), (20, 1, 3, 3), {"padding": 1, "groups": 20}, "depthwise"),
    "depthwise, strided": ((1, 20, 9, 9), (20, 1, 5, 5), {"padding": 2, "stride": 2, "groups": 20}, "depthwise"),
    "filter": ((2, 20, 7, 50), (20, 1, 3, 3), {"padding": ((2, 1), (0, 3)), "groups": 20}, "direct, strips"),
    "1-D": ((2, 6, 45), (9, 6, 3), {"padding": 7, "dilation": 7, "algorithm": "direct"}, "direct, panels"),
    "winograd": ((2, 24, 19, 37), (40, 24, 3, 3), {"padding": 1}, "winograd"),
    "winograd, stride": ((1, 64, 37, 39), (64, 64, 4, 4), {"padding": 1, "stride": 2}, "winograd"),
    "winograd, wide padding": ((1, 32, 9, 12), (32, 32, 3, 3), {"padding": ((5, 3), (8, 1))}, "winograd"),
    "winograd, dilated": ((1, 64, 17, 21), (64, 64, 3, 3), {"padding": 4, "dilation": 4}, "winograd"),
    "winograd, 1-D": ((1, 64, 99), (64, 64, 3), {"padding": 8, "dilation": 8}, "winograd"),
    "fourier": ((2, 2, 50, 43), (1, 2, 31, 31), {"padding": 15}, "fourier"),
    "fourier, by ends": ((1, 1, 90, 33), (1, 1, 25, 25), {"padding": ((24, 0), (7, 19))}, "fourier"),
}


@pytest.mark.parametrize("mode", NUMPY_MODE)
@pytest.mark.parametrize("name", LAYERS)
def test_every_way_of_fetching(name, mode, isa):
    shape, kernel, settings, way = LAYERS[name]
    x, w, b = normal(1, *shape), normal(2, *kernel), normal(3, kernel[0])
    layer = getattr(fastconv, f"Conv{x.ndim - 2}d")(w, b, padding_mode=mode, **settings)
    if isa != "baseline":  # whose vectors of one number choose otherwise
        assert layer.describe(shape)["algorithm"].startswith(way)
    options = {name: value for name, value in settings.items() if name not in ("padding", "algorithm")}
    want = expected_conv(x, w, b, settings["padding"], mode, **options)
    scale = expected_conv(abs(x), abs(w), abs(b), settings["padding"], mode, **options)
    every_second = np.repeat(x, 2, axis=2)[:, :, ::2]  # rows that are not neighbours
    for threads in (1, 3):
        with fastconv.threads(threads):
            got = layer(x)
            np.testing.assert_array_equal(layer(every_second), got)
        if way.startswith(("direct", "depthwise")):
            assert_close(got, want, w[0].size, scale)
        else:
            assert abs(got - want).max() <= 1e-5 * abs(want).max()


@pytest.mark.parametrize("mode", MODES)
def test_float64_is_exact_to_its_last_digits(mode, isa):
    x, w = normal(1, 1, 16, 12, 14, dtype=np.float64), normal(2, 16, 16, 3, 3, dtype=np.float64)
    got = fastconv.conv2d(x, w, padding=2, dilation=2, padding_mode=mode)
    want = expected_conv(x, w, None, 2, mode, dilation=2)
    assert_close(got, want, w[0].size, expected_conv(abs(x), abs(w), None, 2, mode, dilation=2))


@st.composite
def cases(draw):
    axes = draw(st.integers(1, 3))
    mode = draw(st.sampled_from(MODES))
    size = [draw(st.integers(1, 20 if axis == axes - 1 else 6)) for axis in range(axes)]
    most = {"reflect": -1, "circular": 0, "replicate": 9}[mode]
    pads = tuple(tuple(draw(st.integers(0, min(7, i + most))) for _ in range(2)) for i in size)
    kernel = [draw(st.integers(1, min(4, i + sum(p)))) for i, p in zip(size, pads, strict=True)]
    room = [(i + sum(p) - 1) // max(k - 1, 1) for i, p, k in zip(size, pads, kernel, strict=True)]
    dilation = tuple(draw(st.integers(1, max(1, min(3, r)))) for r in room)
    stride = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    groups, inputs, outputs = draw(st.sampled_from([(1, 1, 1), (1, 3, 8), (1, 9, 7), (5, 1, 1), (2, 4, 3)]))
    return mode, (2, groups * inputs, *size), (groups * outputs, inputs, *kernel), pads, stride, dilation, groups


@given(cases(), st.sampled_from([np.float32, np.float64]))
def test_any_convolution(case, dtype):
    mode, shape, kernel, pads, stride, dilation, groups = case
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-4, 5, s).astype(dtype) for s in (shape, kernel))
    options = {"stride": stride, "dilation": dilation, "groups": groups}
    function = getattr(fastconv, f"conv{len(pads)}d")
    got = function(x, w, padding=pads, padding_mode=mode, algorithm="direct", **options)
    np.testing.assert_array_equal(got, expected_conv(x, w, None, pads, mode, **options))


@pytest.mark.parametrize("mode", MODES)
def test_same_padding_and_a_sub_pixel_convolution(mode, isa):
    x, w = normal(1, 1, 10, 9, 14), normal(2, 12, 10, 3, 3)
    got = fastconv.subpixel_conv2d(x, w, None, 2, padding="same", padding_mode=mode)
    want = reference.pixel_shuffle(expected_conv(x, w, None, 1, mode), (2, 2))
    assert abs(got - want).max() <= 1e-5 * abs(want).max()
    grouped = normal(3, 12, 5, 3, 3)  # whose output channels straddle the groups
    got = fastconv.subpixel_conv2d(x, grouped, None, 2, padding=1, groups=2, padding_mode=mode)
    want = reference.pixel_shuffle(expected_conv(x, grouped, None, 1, mode, groups=2), (2, 2))
    assert abs(got - want).max() <= 1e-5 * abs(want).max()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["panels", "strips", "depthwise", "winograd", "fourier"])
def test_a_nan_goes_where_the_padding_repeats_it_and_nowhere_else(name, mode, isa):
    shape, kernel, settings, _ = LAYERS[name]
    x, w = normal(1, *shape), normal(2, *kernel)
    x[0, :, 2, 1] = np.nan
    got = fastconv.conv2d(x, w, padding_mode=mode, **settings)
    options = {name: value for name, value in settings.items() if name not in ("padding", "algorithm")}
    want = expected_conv(x, w, None, settings["padding"], mode, **options)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))


# Transposed -----------------------------------------------------------------------------------------------------------


def circular_transpose(x, w, lo, out, **options):
    """The whole transposed convolution, wound around circles of the output's size."""
    full = reference.conv_transpose(x, w, **options)
    y = np.zeros((*full.shape[:2], *out))
    for at in np.ndindex(*full.shape[2:]):
        y[(..., *((i - low) % o for i, low, o in zip(at, lo, out, strict=True)))] += full[(..., *at)]
    return y


@pytest.mark.parametrize(
    ("shape", "kernel", "settings"),
    [
        ((1, 7, 9, 13), (7, 5, 3, 3), {"padding": 1}),
        ((2, 6, 5, 17), (6, 9, 4, 4), {"padding": 1, "stride": 2}),
        ((1, 40, 8, 9), (40, 2, 4, 4), {"padding": 1, "stride": 2}),  # few outputs: not by their taps
        ((1, 24, 18, 20), (24, 24, 3, 3), {"padding": 1, "stride": 2, "output_padding": 1}),
        ((1, 4, 21), (4, 3, 5), {"padding": 4, "dilation": 2}),
        ((1, 4, 6, 7), (4, 3, 2, 2), {"stride": 2, "groups": 2}),
        ((1, 32, 20, 20), (32, 32, 3, 3), {"padding": 1}),
        ((1, 2, 3, 4, 9), (2, 3, 3, 3, 3), {"padding": 1}),
        ((1, 3, 6), (3, 2, 3), {"padding": ((0, 2),)}),
    ],
)
def test_circular_transposed_convolution(shape, kernel, settings, isa):
    x, w = normal(1, *shape), normal(2, *kernel)
    axes = x.ndim - 2
    lo = [pair[0] for pair in reference.pairs(settings["padding"], axes)] if "padding" in settings else [0] * axes
    out = [i * settings.get("stride", 1) for i in shape[2:]]
    got = getattr(fastconv, f"conv_transpose{axes}d")(x, w, padding_mode="circular", **settings)
    options = {name: value for name, value in settings.items() if name not in ("padding", "output_padding")}
    want = circular_transpose(x, w, lo, out, **options)
    assert got.shape == want.shape
    assert abs(got - want).max() <= 1e-5 * abs(want).max()
    # It is the transpose of the circular convolution.
    z = normal(3, *got.shape, dtype=np.float64)
    pads = settings.get("padding", 0)
    options.pop("output_padding", None)
    if reference.pairs(pads, axes) == tuple((p[0], p[0]) for p in reference.pairs(pads, axes)):
        forward = getattr(fastconv, f"conv{axes}d")(
            z, w.astype(float), padding=pads, padding_mode="circular", **options
        )
        if forward.shape == x.shape:
            np.testing.assert_allclose(np.vdot(forward, x), np.vdot(z, got.astype(float)), rtol=1e-4)


def test_infinite_weights_in_a_circle(isa):
    x, w = normal(1, 1, 3, 7), normal(2, 3, 2, 3)
    w[1, 0, 2] = np.inf
    got = fastconv.conv_transpose1d(x, w, padding=1, padding_mode="circular")
    want = circular_transpose(x, w, [1], [7])
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
    assert not np.isnan(got).any()


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "size", "padding", "words"),
    [
        (
            "reflect",
            (5, 3),
            (0, 3),
            "spatial axis 1 .* of size 3, has padding \\(3, 3\\); expected less than its size 3",
        ),
        ("circular", (5, 3), ((6, 0), (0, 0)), "spatial axis 0 .* of size 5, has padding \\(6, 0\\); expected at most"),
        ("replicate", (0, 3), 1, "nothing to pad an empty axis 0"),
        ("mirror", (5, 5), 1, "padding_mode must be one of .*'reflect'.*, got 'mirror'"),
        (None, (5, 5), 1, "padding_mode must be one of .*, got None"),
    ],
)
def test_padding_that_cannot_be(mode, size, padding, words):
    with pytest.raises((ValueError, TypeError), match=words):
        fastconv.conv2d(np.ones((1, 1, *size)), np.ones((1, 1, 1, 1)), padding=padding, padding_mode=mode)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"padding_mode": "reflect"}, "'reflect' has no meaning for a transposed convolution"),
        ({"padding_mode": "circular"}, "needs an output of stride \\* input = 5 on spatial axis 0, got 7"),
        ({"padding_mode": "circular", "stride": 2, "padding": 1}, "= 10 on spatial axis 0, got 9"),
        ({"padding_mode": "circular", "padding": 7, "dilation": 7}, "spans 15 positions with padding 7"),
        ({"padding_mode": "wrap"}, "padding_mode must be one of"),
    ],
)
def test_circles_that_do_not_close(settings, words):
    with pytest.raises(ValueError, match=words):
        fastconv.conv_transpose2d(np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), **settings)


def test_layers_keep_and_show_their_mode():
    import pickle

    layer = fastconv.Conv2d(np.ones((2, 1, 3, 3)), padding=1, padding_mode="reflect")
    assert "padding_mode=reflect" in repr(layer)
    assert "padding_mode" not in repr(fastconv.Conv2d(np.ones((2, 1, 3, 3))))
    again = pickle.loads(pickle.dumps(layer))
    x = normal(1, 1, 1, 6, 6)
    assert again.padding_mode == "reflect"
    np.testing.assert_array_equal(again(x), layer(x))
