"""Resizing, convolving what was resized, zeros between pixels, and windows as a matrix."""

import math

import numpy as np
import pytest
import reference
from conditions import needs_true_memory
from hypothesis import given
from hypothesis import strategies as st
from test_workspace import MARGIN, MEASURE

import fastconv

MODES = {1: ("nearest", "nearest-exact", "linear"), 2: ("nearest", "nearest-exact", "bilinear")}


def normal(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# Sizes for which no o * size / out is a whole number but for its rounding.
SIZES = [
    ((1, 1), (1, 1)),
    ((3, 5), (6, 10)),
    ((3, 5), (9, 20)),
    ((4, 7), (4, 11)),
    ((8, 6), (4, 2)),
    ((5, 9), (3, 70)),
    ((17, 33), (34, 33)),
    ((1, 4), (5, 1)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("size", "out"), SIZES)
@pytest.mark.parametrize("mode", [*MODES[2], "aligned"])
def test_images(mode, size, out, dtype, isa, threads):
    align, mode = mode == "aligned", "bilinear" if mode == "aligned" else mode
    x = normal(1, 2, 3, *size, dtype=dtype)
    want = reference.resize(x, out, mode, align)
    for source in (x, np.repeat(x, 2, axis=2)[:, :, ::2], np.repeat(x, 2, axis=3)[..., ::2]):
        got = fastconv.interpolate(source, out, mode=mode, align_corners=align)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=0, atol=(1e-5 if dtype == "float32" else 1e-13))
    target = np.zeros((2, 3, out[0], 2 * out[1]), dtype)[..., ::2]
    assert fastconv.interpolate(x, out, mode=mode, align_corners=align, out=target) is target
    np.testing.assert_array_equal(target, got)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("ndim", [1, 3])
def test_signals_and_volumes(ndim, mode, isa):
    x = normal(1, 2, 3, *(5, 4, 7)[:ndim])
    out = (10, 3, 30)[:ndim]
    want = reference.resize(x, out, mode)
    name = {1: "linear", 3: "trilinear"}[ndim] if mode == "linear" else mode
    np.testing.assert_allclose(fastconv.interpolate(x, out, mode=name), want, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3.0, 0.5, 1.7, (1.3, 2), (17, 1), (1, 16)])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_scale_factors(scale, mode, isa):
    x = normal(1, 1, 2, 7, 9)
    scales = scale if isinstance(scale, tuple) else (scale, scale)
    out = tuple(math.floor(i * s) for i, s in zip((7, 9), scales, strict=True))
    got = fastconv.interpolate(x, scale_factor=scale, mode=mode)
    np.testing.assert_allclose(got, reference.resize(x, out, mode, scales=scales), atol=1e-5)


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", ">i2", "float16", "int64", "complex128", "M8[ns]", "S3", "V12", "O"]
)
def test_nearest_takes_every_dtype(dtype, isa):
    x = np.random.default_rng(0).integers(0, 2, (1, 2, 3, 20)).astype("V12" if dtype == "V12" else dtype)
    got = fastconv.interpolate(x, scale_factor=2)
    assert got.dtype == x.dtype
    assert got.tobytes() == x.repeat(2, axis=2).repeat(2, axis=3).tobytes()
    got = fastconv.interpolate(x, (2, 7))
    assert got.tobytes() == x[:, :, [0, 1]][..., [0, 2, 5, 8, 11, 14, 17]].tobytes()


def test_half_precision_is_mixed_in_single(isa):
    x = normal(1, 1, 2, 5, 6, dtype=np.float16)
    got = fastconv.interpolate(x, (11, 8), mode="bilinear")
    np.testing.assert_array_equal(got, fastconv.interpolate(x.astype("f4"), (11, 8), mode="bilinear").astype("f2"))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ValueError, "give either size or scale_factor"),
        ({"size": 3, "scale_factor": 2}, ValueError, "give either size or scale_factor"),
        ({"size": 0}, ValueError, "size must be at least 1"),
        ({"size": (3, 3, 3)}, ValueError, "size has 3 entries"),
        ({"size": 2.0}, TypeError, "size takes integers"),
        ({"scale_factor": 0.1}, ValueError, "nothing is left"),
        ({"scale_factor": -1}, ValueError, "positive and finite"),
        ({"scale_factor": float("nan")}, ValueError, "positive and finite"),
        ({"scale_factor": "2"}, TypeError, "scale_factor takes numbers"),
        (
            {"size": 3, "mode": "linear"},
            ValueError,
            "mode must be one of .*bilinear.* for 2 spatial axes, got 'linear'",
        ),
        ({"size": 3, "align_corners": True}, ValueError, "align_corners has a meaning for the linear modes only"),
        ({"size": 3, "out": np.empty((1, 1, 2, 3))}, ValueError, "out has shape"),
    ],
)
def test_interpolate_errors(options, error, words):
    with pytest.raises(error, match=words):
        fastconv.interpolate(np.ones((1, 1, 4, 4)), **options)


def test_integers_are_not_mixed_and_nothing_is_not_resized():
    with pytest.raises(TypeError, match="input has dtype int64"):
        fastconv.interpolate(np.ones((1, 1, 4, 4), int), 2, mode="bilinear")
    with pytest.raises(ValueError, match="empty spatial axis"):
        fastconv.interpolate(np.ones((1, 1, 0, 4)), 2)
    assert fastconv.interpolate(np.ones((0, 1, 4, 4)), 2).shape == (0, 1, 2, 2)


# Resize, then convolve ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"scale_factor": 2, "padding": 1},
        {"scale_factor": 2},
        {"scale_factor": (3, 2), "padding": ((0, 2), (1, 0))},
        {"scale_factor": (1, 4), "padding": "same"},
        {"scale_factor": 2, "padding": 3},
        {"scale_factor": 2, "padding": 1, "stride": 2},
        {"scale_factor": 2, "padding": 2, "dilation": 2},
        {"scale_factor": 2, "padding": 1, "groups": 2},
        {"scale_factor": (3.01, 2.04), "padding": 1},
        {"size": (13, 8), "padding": 1},
        {"size": (4, 5), "padding": 1},
        {"scale_factor": 2, "padding": 1, "mode": "bilinear"},
        {"size": (30, 41), "mode": "bilinear", "align_corners": True, "stride": (3, 1), "padding": (4, 1)},
    ],
)
@pytest.mark.parametrize("channels", [4, 24])
def test_resize_conv(options, channels, isa, threads, monkeypatch):
    monkeypatch.setattr("fastconv.resize.BAND_BYTES", 20_000)  # several bands
    groups = options.get("groups", 1)
    x, w, b = normal(1, 2, channels, 8, 11), normal(2, 20, channels // groups, 3, 3), normal(3, 20)
    resizing = {k: v for k, v in options.items() if k in ("size", "scale_factor", "mode", "align_corners")}
    convolving = {k: v for k, v in options.items() if k not in resizing}
    want = fastconv.conv2d(fastconv.interpolate(x.astype(float), **resizing), w, b, **convolving)
    for dtype, digits in (("float32", 1e-5), ("float64", 1e-12)):
        got = fastconv.resize_conv2d(*(a.astype(dtype) for a in (x, w, b)), **options)
        assert got.dtype == dtype
        assert got.shape == want.shape
        if dtype == "float32":
            np.testing.assert_allclose(got, want, rtol=0, atol=2 * digits * abs(want).max())
    out = np.zeros_like(want)
    assert fastconv.resize_conv2d(x.astype(float), w, b, out=out, **options) is out
    np.testing.assert_allclose(out, want, rtol=0, atol=1e-6 * abs(want).max())


def test_resize_conv_with_infinite_weights():
    x, w = normal(1, 1, 3, 5, 6), normal(2, 4, 3, 3, 3)
    w[1, 2, 0, 1], w[1, 2, 0, 0] = np.inf, -np.inf
    want = fastconv.conv2d(fastconv.interpolate(x, scale_factor=2), w, padding=1)
    np.testing.assert_array_equal(
        np.isfinite(fastconv.resize_conv2d(x, w, scale_factor=2, padding=1)), np.isfinite(want)
    )


@needs_true_memory
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_the_resized_image_is_never_held(mode, python):
    done = python(f"""{MEASURE}
x, w = np.ones((1, 64, 256, 256), "f4"), np.ones((8, 64, 3, 3), "f4")
y = fastconv.resize_conv2d(x, w, scale_factor=4, mode={mode!r}, padding=1)
print(high_water() - before, x.nbytes + w.nbytes + y.nbytes)
""")
    grown, arrays = map(int, done.stdout.split())
    assert grown >= arrays / 2, "the measurement itself does not work"
    assert grown <= arrays + (28 << 20) + MARGIN  # the resized image would be 268 MB


def test_resize_conv_errors():
    with pytest.raises(ValueError, match="input channels"):
        fastconv.resize_conv2d(np.ones((1, 2, 4, 4)), np.ones((1, 3, 3, 3)), scale_factor=2)
    with pytest.raises(ValueError, match="expected 4"):
        fastconv.resize_conv2d(np.ones((2, 4, 4)), np.ones((1, 2, 3, 3)), scale_factor=2)
    with pytest.raises(ValueError, match="kernel is larger than the padded input"):
        fastconv.resize_conv2d(np.ones((1, 2, 4, 4)), np.ones((1, 2, 3, 3)), size=2)


# Zeros, windows -------------------------------------------------------------------------------------------------------


def test_zero_insert():
    x = normal(1, 2, 3, 4, 5)
    for stride in ((2, 3), (1, 1), (4, 1)):
        np.testing.assert_array_equal(fastconv.zero_insert(x, stride), reference.insert_zeros(x, stride))
    assert fastconv.zero_insert(x, (3,)).shape == (2, 3, 4, 13)
    assert fastconv.zero_insert(np.zeros((0, 3)), 2).shape == (0, 5)
    with pytest.raises(ValueError, match="stride has 2 entries, input has 1 axes"):
        fastconv.zero_insert(np.ones(3), 2)
    with pytest.raises(ValueError, match="stride must be at least 1"):
        fastconv.zero_insert(x, 0)


@given(st.data())
def test_unfold_is_what_a_convolution_multiplies_and_fold_its_transpose(data):
    ints = st.integers
    kernel, rate, step = (data.draw(st.tuples(ints(1, 3), ints(1, high))) for high in (3, 2, 3))
    pads = data.draw(st.tuples(*[st.tuples(ints(0, 2), ints(0, 2))] * 2))
    size = tuple(data.draw(ints(d * (k - 1) + 1, 9)) for d, k in zip(rate, kernel, strict=True))
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 5, (2, 3, *size)).astype(float), rng.integers(-4, 5, (5, 3, *kernel)).astype(float)
    columns = fastconv.unfold(x, kernel, rate, pads, step)
    y = reference.conv(x, w, None, step, pads, rate)
    np.testing.assert_array_equal((w.reshape(5, -1) @ columns).reshape(y.shape), y)
    np.testing.assert_array_equal(fastconv.unfold(x[0], kernel, rate, pads, step), columns[0])
    g = rng.integers(-4, 5, columns.shape).astype(float)
    back = fastconv.fold(g, size, kernel, rate, pads, step)
    assert np.vdot(back, x) == np.vdot(g, columns)
    np.testing.assert_array_equal(fastconv.fold(g[0], size, kernel, rate, pads, step), back[0])


def test_fold_errors():
    with pytest.raises(ValueError, match=r"input has shape \(4, 5\), expected \(\[N,\] C \* 4, 4\)"):
        fastconv.fold(np.ones((4, 5)), 3, 2)
    with pytest.raises(TypeError, match="dtype int64"):
        fastconv.fold(np.ones((4, 4), int), 3, 2)
    with pytest.raises(ValueError, match="kernel is larger"):
        fastconv.unfold(np.ones((1, 2, 2)), 3)
