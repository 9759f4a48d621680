"""Gradients of poolings, of resizing and of the sub-pixel convolution: by unit vectors through the operators."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_grad import by_unit_vectors

import fastconv
from fastconv import grad


def whole(seed, *shape, dtype=float):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


@st.composite
def pools(draw):
    """(number of axes, input shape, settings) of a pooling that has outputs."""
    axes = draw(st.integers(1, 3))
    several = lambda low, high: draw(st.tuples(*[st.integers(low, high)] * axes))  # noqa: E731
    kernel, stride = several(1, 3), several(1, 4)
    padding = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel)
    size = tuple(k + more for k, more in zip(kernel, several(0, 3), strict=True))
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}
    return axes, (draw(st.integers(1, 2)), 2, *size), options


@given(case=pools(), data=st.data())
def test_average_pools(case, data, isa):
    axes, shape, options = case
    options["count_include_pad"] = data.draw(st.booleans())
    options["divisor_override"] = data.draw(st.sampled_from([None, None, 3]))
    pool, by_input = getattr(fastconv, f"avg_pool{axes}d"), getattr(grad, f"avg_pool{axes}d_input")
    g = whole(1, *pool(np.zeros(shape), **options).shape)
    want = by_unit_vectors(lambda v: pool(v, **options), shape, g)
    np.testing.assert_allclose(by_input(shape, g, **options), want, atol=1e-13)
    np.testing.assert_allclose(by_input(shape[1:], g[0], **options), want[0], atol=1e-13)
    got = by_input(shape, g.astype("f4"), **options)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-5)


@given(case=pools(), dilation=st.integers(1, 2))
def test_maximum_pools(case, dilation, isa):
    axes, shape, options = case
    options["dilation"] = dilation
    pool, by_input = getattr(fastconv, f"max_pool{axes}d"), getattr(grad, f"max_pool{axes}d_input")
    x = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(float)
    try:
        y, places = pool(x, return_indices=True, **options)
    except ValueError:  # the dilated kernel is too large
        return
    g = whole(1, *y.shape)
    want = np.zeros(shape)
    for n, c in np.ndindex(*shape[:2]):
        for place, value in zip(places[n, c].ravel(), g[n, c].ravel(), strict=True):
            if place >= 0:
                want[n, c].ravel()[place] += value
    for dtype in ("float64", "float32", "float16"):
        got = by_input(shape, places, g.astype(dtype))
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(by_input(shape[1:], places[0], g[0]), want[0])
    # The entries are all different: a small step moves each maximum by itself.
    seen = y > -np.inf
    step = whole(2, *shape) / 100
    moved = pool(x + step, **options)
    np.testing.assert_allclose((g * (moved - y))[seen].sum(), (want * step).sum(), atol=1e-9)


@pytest.mark.parametrize("size", [((7,), (3,)), ((6, 5), (2, 5)), ((5, 9), (7, 1)), ((4, 6, 5), (2, 4, 3))])
def test_adaptive_average_pools(size):
    size, out = size
    axes, shape = len(size), (2, 3, *size)
    pool, by_input = getattr(fastconv, f"adaptive_avg_pool{axes}d"), getattr(grad, f"adaptive_avg_pool{axes}d_input")
    g = whole(1, 2, 3, *out)
    want = by_unit_vectors(lambda v: pool(v, out), shape, g)
    np.testing.assert_allclose(by_input(shape, g), want, atol=1e-13)
    np.testing.assert_allclose(by_input(shape[1:], g[0].astype("f4")), want[0], atol=1e-5)


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ((5,), {"size": 12}),
        ((4, 3), {"scale_factor": 2}),
        ((4, 6), {"size": (9, 4)}),
        ((4, 3), {"scale_factor": (2, 3), "mode": "linear"}),
        ((4, 5), {"scale_factor": 1.7, "mode": "linear"}),
        ((7, 6), {"size": (3, 11), "mode": "linear", "align_corners": True}),
        ((2, 3, 4), {"scale_factor": 2, "mode": "linear"}),
        ((1, 3), {"size": (3, 1), "mode": "linear"}),
        ((5, 4), {"size": (13, 3), "mode": "nearest-exact"}),
    ],
)
def test_interpolation(size, settings):
    shape = (1, 2, *size)
    if settings.get("mode") == "linear":
        settings = settings | {"mode": {1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)]}
    g = whole(1, *fastconv.interpolate(np.zeros(shape), **settings).shape)
    want = by_unit_vectors(lambda v: fastconv.interpolate(v, **settings), shape, g)
    options = {name: value for name, value in settings.items() if name != "size"}
    np.testing.assert_allclose(grad.interpolate_input(shape, g, **options), want, atol=1e-12)
    got = grad.interpolate_input(shape, g.astype("f4"), **options)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_sub_pixel_convolution(isa):
    shape, kernel, options = (2, 3, 5, 4), (8, 3, 3, 3), {"padding": 1, "stride": 2}
    x, w = whole(1, *shape), whole(2, *kernel)
    y = fastconv.subpixel_conv2d(x, w, None, 2, **options)
    g = whole(3, *y.shape)
    apply = lambda x, w, b: fastconv.subpixel_conv2d(x, w, b, 2, **options)  # noqa: E731
    want = (
        by_unit_vectors(lambda v: apply(v, w, None), shape, g),
        by_unit_vectors(lambda v: apply(x, v, None), kernel, g),
        by_unit_vectors(lambda v: apply(0 * x, 0 * w, v), (8,), g),
    )
    for got, expected in zip(grad.subpixel_conv2d_backward(g, x, w, 2, **options), want, strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(grad.subpixel_conv2d_input(shape, w, g, 2, **options), want[0])
    np.testing.assert_array_equal(grad.subpixel_conv2d_weight(x, kernel, g, 2, **options), want[1])
    some = grad.subpixel_conv2d_backward(g, x, w, 2, **options, needs=(False, True, False))
    assert [part is None for part in some] == [True, False, True]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: grad.max_pool2d_input((1, 4, 4), np.full((1, 2, 2), 16), np.ones((1, 2, 2))),
            ValueError,
            "from -1 to 15",
        ),
        (
            lambda: grad.max_pool2d_input((1, 4, 4), np.full((1, 2, 2), -2), np.ones((1, 2, 2))),
            ValueError,
            "from -1 to 15",
        ),
        (lambda: grad.max_pool2d_input((1, 4, 4), np.ones((1, 2, 2)), np.ones((1, 2, 2))), TypeError, "dtype float64"),
        (
            lambda: grad.max_pool2d_input((1, 4, 4), np.ones((1, 2, 3), int), np.ones((1, 2, 2))),
            ValueError,
            "indices has",
        ),
        (
            lambda: grad.max_pool2d_input((2, 4, 4), np.ones((1, 2, 2), int), np.ones((1, 2, 2))),
            ValueError,
            "grad_output",
        ),
        (lambda: grad.avg_pool2d_input((1, 4, 4), np.ones((1, 3, 2)), 2), ValueError, r"expected \(1, 2, 2\)"),
        (lambda: grad.avg_pool2d_input((1, 4, 4), np.ones((1, 2, 2), int), 2), TypeError, "dtype int64"),
        (lambda: grad.interpolate_input((1, 1, 4), np.ones((1, 1, 9)), 2), ValueError, r"expected \(1, 1, 8\)"),
        (lambda: grad.interpolate_input((1, 1), np.ones((1, 1, 9))), ValueError, "input_size has 2 entries"),
        (lambda: grad.adaptive_avg_pool1d_input((2, 4), np.ones((3, 2))), ValueError, r"expected \(2, 2\)"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
