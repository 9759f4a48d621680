"""subpixel_conv2d: a convolution whose store address is the pixel shuffle."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, EDGE_CHANNELS, EDGE_SIZES, conv_cases, fill
from tolerances import assert_close, assert_same_bits

import fastconv


@st.composite
def subpixel_cases(draw):
    """A two-dimensional convolution with r*r times the output channels, and r."""
    case, factor = draw(conv_cases(axes=2)), draw(st.integers(1, 3))
    return replace(case, weight_shape=(case.weight_shape[0] * factor**2, *case.weight_shape[1:])), factor


def shuffled(array, factor):
    return reference.pixel_shuffle(array, (factor, factor))


@given(drawn=subpixel_cases())
def test_random_calls(drawn, isa, threads):
    case, factor = drawn
    x, w, b = case.arrays
    got = fastconv.subpixel_conv2d(x, w, b, factor, **case.options, algorithm="direct")
    assert got.dtype == case.dtype
    expected = shuffled(case.expected, factor)
    if case.values == "whole":
        assert got.shape == expected.shape
        assert (got == expected).all()
    else:
        scale = case.reference(*(None if a is None else np.abs(a) for a in case.arrays))
        assert_close(got, expected, case.sum_length, shuffled(scale, factor))


@given(drawn=subpixel_cases())
def test_layer_and_function_agree_to_the_bit(drawn, isa):
    case, factor = drawn
    x, w, b = case.arrays
    layer = fastconv.SubpixelConv2d(w, b, factor, **case.options)
    expected = fastconv.subpixel_conv2d(x, w, b, factor, **case.options)
    assert_same_bits(layer(x), expected)
    assert_same_bits(layer(x[0]), expected[0])
    out = np.full_like(expected, -99)
    assert layer(x, out=out) is out
    assert_same_bits(out, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_every_tile_and_panel_edge(factor, dtype, isa):
    rng = np.random.default_rng(0)
    for size in EDGE_SIZES:
        channels = EDGE_CHANNELS[size % len(EDGE_CHANNELS)]
        x, w = fill(rng, (1, 2, 3, size), dtype), fill(rng, (channels * factor**2, 2, 3, 3), dtype)
        b = fill(rng, len(w), dtype)
        got = fastconv.subpixel_conv2d(x, w, b, factor, padding=1)
        assert (got == shuffled(reference.conv(x, w, b, padding=1), factor)).all()


@pytest.mark.parametrize(("groups", "factor", "channels"), [(2, 2, 12), (4, 2, 8), (6, 2, 12), (3, 3, 9)])
def test_a_shuffle_that_mixes_groups(groups, factor, channels, isa):
    """The channels of one output pixel block may come from several groups: only their total must divide."""
    rng = np.random.default_rng(0)
    x, w = fill(rng, (2, 2 * groups, 5, 7), "float32"), fill(rng, (channels, 2, 3, 3), "float32")
    b = fill(rng, channels, "float32")
    got = fastconv.subpixel_conv2d(x, w, b, factor, padding=1, groups=groups)
    assert np.array_equal(got, shuffled(reference.conv(x, w, b, padding=1, groups=groups), factor))


def test_larger_image(isa, threads):
    rng = np.random.default_rng(0)
    x, w, b = fill(rng, (2, 16, 43, 45), "float32"), fill(rng, (12, 16, 3, 3), "float32"), fill(rng, 12, "float32")
    got = fastconv.subpixel_conv2d(x, w, b, 2, padding="same", algorithm="direct")
    assert np.array_equal(got, shuffled(reference.conv(x, w, b, padding=1), 2))


def test_empty_batch_and_no_bias(isa):
    w = np.ones((8, 3, 3, 3), np.float32)
    assert fastconv.subpixel_conv2d(np.ones((0, 3, 5, 6), np.float32), w, None, 2).shape == (0, 2, 6, 8)
    y = fastconv.subpixel_conv2d(np.ones((1, 3, 5, 6), np.float32), w, None, 2)
    assert (y == 27).all()


def test_positional_order():
    rng = np.random.default_rng(0)
    x, w, b = (fill(rng, shape, "float32") for shape in ((1, 4, 9, 9), (16, 2, 3, 3), 16))
    assert_same_bits(
        fastconv.subpixel_conv2d(x, w, b, 2, 2, 1, 3, 2),
        fastconv.subpixel_conv2d(
            input=x, weight=w, bias=b, upscale_factor=2, stride=2, padding=1, dilation=3, groups=2
        ),
    )
