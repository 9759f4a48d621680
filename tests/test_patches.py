"""Transposed convolutions whose weights are multiplied as they are given: for one call, or copied by a layer."""

import numpy as np
import pytest
import reference
from strategies import fill
from tolerances import assert_close, assert_same_bits

import fastconv
from fastconv import _choice, _core, _engines, plan
from fastconv._choice import Choice
from fastconv.geometry import transposed_convolution

CASES = {  # shapes of input and weight, arguments
    "3x3, stride 2": ((1, 40, 9, 7), (40, 24, 3, 3), {"stride": 2}),
    "4x4, stride 2, some images": ((5, 33, 8, 8), (33, 20, 4, 4), {"stride": 2, "padding": 1}),
    "more channels than a block": ((1, 300, 4, 5), (300, 30, 2, 2), {"stride": 2}),
    "more pixels than are added at once": ((3, 8, 13, 11), (8, 5, 3, 2), {"stride": (1, 2)}),
    "holes": ((1, 12, 5, 6), (12, 9, 2, 2), {"stride": (3, 4)}),
    "dilated": ((2, 16, 6, 7), (16, 10, 3, 4), {"stride": 2, "dilation": (3, 2), "padding": (2, 1)}),
    "padding cuts taps off": ((1, 16, 4, 4), (16, 6, 7, 6), {"stride": 2, "padding": 5}),
    "output padding": ((1, 16, 4, 5), (16, 6, 3, 3), {"stride": 3, "output_padding": (2, 1)}),
    "groups": ((2, 24, 6, 5), (24, 7, 4, 3), {"stride": 2, "groups": 3, "padding": 1}),
    "one pixel": ((1, 100, 1, 1), (100, 70, 4, 4), {}),
    "large kernel": ((1, 20, 4, 3), (20, 3, 16, 9), {"stride": 8, "padding": 4}),
    "one axis": ((2, 20, 33), (20, 18, 5), {"stride": 2, "padding": 2}),
    "three axes": ((1, 10, 3, 4, 5), (10, 6, 3, 2, 4), {"stride": (2, 1, 3), "padding": (1, 0, 1)}),
}


@pytest.fixture
def patches(monkeypatch):
    """All calls take this way, whatever they would choose."""
    monkeypatch.setattr(plan, "choose", lambda *_, **__: Choice("patches"))
    plan._route.cache_clear()
    plan._direct_call.cache_clear()
    yield
    plan._route.cache_clear()
    plan._direct_call.cache_clear()


def arrays(name, dtype, values):
    x_shape, w_shape, arguments = CASES[name]
    rng = np.random.default_rng(3)
    shapes = x_shape, w_shape, (w_shape[1] * arguments.get("groups", 1),)
    return [fill(rng, shape, dtype, values) for shape in shapes]


def call(x, w, b, arguments, kept=False, activation=None, **more):
    """By a layer, with `kept`, else by a function."""
    if kept:
        layer = getattr(fastconv, f"ConvTranspose{x.ndim - 2}d")(w, b, **arguments, activation=activation)
        return layer(x, **more)
    return getattr(fastconv, f"conv_transpose{x.ndim - 2}d")(x, w, b, **arguments, activation=activation, **more)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_against_the_definition(name, dtype, kept, patches, threads, isa):
    arguments = CASES[name][-1]
    x, w, b = arrays(name, dtype, "whole")
    want = reference.conv_transpose(x, w, b, **arguments)
    assert_same_bits(call(x, w, b, arguments, kept), want.astype(dtype))
    assert_same_bits(call(x, w, None, arguments, kept), reference.conv_transpose(x, w, **arguments).astype(dtype))
    for other in (
        np.asfortranarray(x),
        np.repeat(x, 2, 1)[:, ::2],
        np.pad(x, [(1, 1)] * x.ndim)[(slice(1, -1),) * x.ndim],
    ):
        assert_same_bits(call(other, w, b, arguments, kept), want.astype(dtype))
    out = np.full_like(want, np.nan, dtype)
    assert call(x, w, b, arguments, kept, out=out) is out
    assert_same_bits(out, want.astype(dtype))
    residual = fill(np.random.default_rng(1), want.shape, dtype)
    got = call(x, w, b, arguments, kept, activation="relu", residual=residual)
    assert_same_bits(got, np.maximum(want + residual, 0).astype(dtype))


@pytest.mark.parametrize("name", CASES)
def test_sums_that_round(name, patches, isa):
    """Within the bound for any order of the sum; the bits do not depend on how the work is shared."""
    arguments = CASES[name][-1]
    x, w, b = arrays(name, "float32", "real")
    want, scale = (reference.conv_transpose(*numbers, **arguments) for numbers in ((x, w, b), map(abs, (x, w, b))))
    with fastconv.threads(1):
        got = call(x, w, b, arguments)
    assert_close(got, want, x.shape[1] // arguments.get("groups", 1) * w[0, 0].size, scale)
    for threads, kept in (2, False), (1, True), (2, True), (3, True):
        with fastconv.threads(threads):
            assert_same_bits(call(x, w, b, arguments, kept), got)


def test_images_that_are_turned_one_after_the_other(patches, threads):
    """More than 8 MiB of turned pixels: weights are copied again for each part of the batch."""
    x = fill(np.random.default_rng(0), (9, 260, 32, 32), "float32")
    w = fill(np.random.default_rng(1), (260, 3, 2, 2), "float32")
    assert x.nbytes > 9 << 20
    want = reference.conv_transpose(x, w, stride=2).astype("float32")
    assert_same_bits(call(x, w, None, {"stride": 2}), want)
    assert_same_bits(call(x, w, None, {"stride": 2}, kept=True), want)


def test_nothing_to_compute(patches):
    w = np.ones((4, 3, 2, 2), np.float32)
    ones = np.ones((2, 3, 6, 6), np.float32)
    for kept in False, True:
        assert call(np.ones((0, 4, 5, 5), np.float32), w, None, {}, kept).shape == (0, 3, 6, 6)
        assert_same_bits(call(ones[:, :0, :5, :5], w[:0], ones[0, :, 0, 0], {}, kept), ones)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", CASES)
def test_numbers_that_are_not_finite(name, special, patches):
    """They reach the outputs that the definition says, and no others."""
    arguments = CASES[name][-1]
    for which in (0, 1):
        numbers = arrays(name, "float32", "real")
        numbers[which][(-1,) * numbers[which].ndim] = special
        with np.errstate(invalid="ignore"):
            want, given = reference.conv_transpose(*numbers, **arguments), call(*numbers, arguments)
            copied = call(*numbers, arguments, kept=True)
        for got in given, copied:
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
            np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)])
            assert np.isfinite(got[np.isfinite(want)]).all()


def test_workspace_stays_small(patches):
    """Half a MiB of weights, unless they are kept, and their products for each thread, beside the turned pixels."""
    operator = transposed_convolution(2, (1024, 512, 4, 4), 2, 1, 0, 1, 1, "zeros")
    weight, turned = np.zeros(1024 * 512 * 16, np.float32), 28 * 28 * 1040 * 4
    for once, most in (True, 1 << 20), (False, 1 << 19):
        engine = _engines.make(operator, weight, None, Choice("patches"), once=once)
        said = engine.describe((1, 1024, 1, 28, 28), (1, 512, 1, 56, 56), 2)
        assert (said["threads"], said["isa"]) == (2, _core.isa())
        assert turned < said["workspace_bytes"] <= turned + 2 * most


def test_a_layer_does_not_look_at_its_weights_again(patches):
    x, w, b = arrays("groups", "float32", "whole")
    layer = fastconv.ConvTranspose2d(w, b, **CASES["groups"][-1])
    want = layer(x)
    w.fill(0)
    assert_same_bits(layer(x), want)


WIDTHS = (16,)


def chosen(channels, outputs, kernel, size, once=True, last=False, dtype="float32", **arguments):
    settings = {"stride": 2, "padding": 1, "output_padding": 0, "groups": 1, "dilation": 1, "padding_mode": "zeros"}
    operator = transposed_convolution(2, (channels, outputs, kernel, kernel), *(settings | arguments).values())
    return _choice.choose(operator, (size, size), np.dtype(dtype), "auto", WIDTHS, last, once).engine


@pytest.mark.parametrize("near", [False, True])
def test_who_chooses_it(near, monkeypatch):
    """Calls whose weights are many for their pixels; layers where patches overlap, on small maps."""
    monkeypatch.setattr(_core, "has_near_l3", lambda: near)
    _choice.choose.cache_clear()
    assert chosen(1024, 512, 4, 4) == chosen(320, 256, 8, 10, stride=4, padding=2) == "patches"
    assert chosen(384, 256, 3, 8, once=False, padding=0) == "patches" != chosen(128, 128, 4, 32, once=False)
    assert chosen(1024, 8, 2, 14, once=False, padding=0) != "patches"
    assert chosen(1024, 512, 4, 4, last=True) != "patches"
    assert chosen(1024, 512, 4, 4, dtype="float64") != "patches"
    assert (
        chosen(1024, 512, 2, 4, padding=0) == "patches" != chosen(1024, 512, 2, 4, padding=0, padding_mode="circular")
    )
    assert chosen(64, 32, 4, 64) != "patches"
    assert chosen(1024, 512, 4, 1, padding=0) == "patches" != chosen(1024, 512, 4, 1, padding=0, stride=2**40)
    _choice.choose.cache_clear()
