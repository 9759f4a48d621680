"""NaN, infinities, subnormals and overflow: where they go, and where they do not."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, conv_cases, fill, transposed_cases

import fastconv


def classes(array):
    """What IEEE 754 decides whatever the order of the sum: NaN, +Inf, -Inf or finite."""
    return np.select([np.isnan(array), np.isposinf(array), np.isneginf(array)], [3, 2, 1], 0)


def poison(rng, array, share, values=(np.nan, np.inf, -np.inf)):
    array = array.copy()
    array[rng.random(array.shape) < share] = rng.choice(values)
    return array


def assert_same_values(got, expected):
    """The same class everywhere, and the same number where it is finite: the data are whole numbers."""
    assert got.shape == expected.shape
    assert np.array_equal(classes(got), classes(expected))
    finite = np.isfinite(expected)
    assert np.array_equal(got[finite], expected[finite])


@given(c=conv_cases(), algorithm=st.sampled_from(("auto", "direct")))
def test_a_nan_reaches_exactly_the_outputs_whose_window_holds_it(c, algorithm, isa):
    x, w, b = replace(c, values="whole").arrays
    rng = np.random.default_rng(c.seed)
    marked = rng.random(x.shape) < 1.5 / max(x.size, 1)
    held = c.reference(marked, np.ones_like(w)) > 0  # by the geometry alone: a zero weight passes NaN on, too
    got = c.function(np.where(marked, x.dtype.type(np.nan), x), w, b, **c.options, algorithm=algorithm)
    assert np.array_equal(np.isnan(got), held)
    clean = c.function(x, w, b, **c.options, algorithm="direct")
    assert np.array_equal(got[~held], clean[~held])


@given(c=transposed_cases())
def test_a_nan_reaches_exactly_the_outputs_its_kernel_covers(c, isa):
    x, w, b = replace(c, values="whole").arrays
    rng = np.random.default_rng(c.seed)
    marked = rng.random(x.shape) < 1.5 / x.size
    held = c.reference(marked, np.ones_like(w)) > 0
    got = c.function(np.where(marked, x.dtype.type(np.nan), x), w, b, **c.options)
    assert np.array_equal(np.isnan(got), held)
    clean = c.function(x, w, b, **c.options)
    assert np.array_equal(got[~held], clean[~held])


SHARE = st.sampled_from((0.05, 0.5))  # how much is poisoned: few, and so many that they meet one another


@given(c=conv_cases(), share=SHARE)
def test_infinite_pixels_and_weights(c, share, isa):
    """0 * Inf is NaN, also where the 0 is padding: the padded image is an image."""
    rng = np.random.default_rng(c.seed)
    x, w, b = replace(c, values="whole").arrays
    x, w = poison(rng, x, share), poison(rng, w, share)
    assert_same_values(c.function(x, w, b, **c.options, algorithm="direct"), c.reference(x, w, b))


@given(c=transposed_cases(), share=SHARE)
def test_infinite_pixels_and_weights_transposed(c, share, isa):
    """What lies outside the input adds nothing at all, not 0 * Inf."""
    rng = np.random.default_rng(c.seed)
    x, w, b = replace(c, values="whole").arrays
    x, w = poison(rng, x, share), poison(rng, w, share)
    assert_same_values(c.function(x, w, b, **c.options), c.reference(x, w, b))


def test_infinite_weight_on_padding_by_hand(isa):
    x, w = np.ones((1, 1, 3), np.float32), np.array([[[np.inf, 1]]], np.float32)
    y = fastconv.conv1d(x, w, padding=1, algorithm="direct")
    assert np.isnan(y[0, 0, 0])  # Inf * 0
    assert np.isposinf(y[0, 0, 1:]).all()


def test_infinite_weight_beyond_the_input_of_a_transposed_convolution_by_hand(isa):
    x, w = np.ones((1, 1, 2), np.float32), np.array([[[np.inf, 1, 1]]], np.float32)
    assert fastconv.conv_transpose1d(x, w).tolist() == [[[np.inf, np.inf, 2, 1]]]
    assert fastconv.conv_transpose1d(x, w, stride=2).tolist() == [[[np.inf, 1, np.inf, 1, 1]]]
    assert fastconv.conv_transpose1d(-w, w, stride=4)[0, 0, ::5].tolist() == [-np.inf, -1, -1]  # Inf by -Inf


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
def test_a_non_finite_weight_in_a_transposed_layer(dtype, isa):
    """Prepacked, in every dtype, with out=, and where the finite part of the sum is not zero."""
    rng = np.random.default_rng(0)
    x, w, b = fill(rng, (2, 4, 5, 6), dtype), fill(rng, (4, 3, 3, 3), dtype), fill(rng, 6, dtype)
    w[1, 2, 0, 1], w[3, 0, 2, 2] = np.nan, -np.inf
    options = {"stride": 2, "padding": ((1, 0), (0, 2)), "output_padding": 1, "groups": 2}
    expected = reference.conv_transpose(x, w, b, **options)
    layer = fastconv.ConvTranspose2d(w, b, **options)
    assert_same_values(layer(x), expected)
    assert_same_values(layer(x[1]), expected[1])
    out = np.zeros(expected.shape, dtype)
    layer(x, out=out)
    assert_same_values(out, expected)


@given(c=conv_cases(axes=2), factor=st.integers(1, 2))
def test_infinities_through_a_subpixel_convolution(c, factor, isa):
    rng = np.random.default_rng(c.seed)
    x, w, _ = replace(c, values="whole").arrays
    x, w = poison(rng, x, 0.05), poison(rng, w.repeat(factor**2, axis=0), 0.05)
    expected = reference.pixel_shuffle(c.reference(x, w), (factor, factor))
    assert_same_values(fastconv.subpixel_conv2d(x, w, None, factor, **c.options, algorithm="direct"), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinite_bias_stay_in_their_channel(dtype, isa):
    rng = np.random.default_rng(0)
    x, w = fill(rng, (2, 3, 5, 17), dtype), fill(rng, (15, 3, 3, 3), dtype)
    b = fill(rng, 15, dtype)
    b[[1, 7, 14]] = np.nan, np.inf, -np.inf
    assert_same_values(fastconv.conv2d(x, w, b, padding=1), reference.conv(x, w, b, padding=1))
    assert_same_values(
        fastconv.conv_transpose2d(x, w.swapaxes(0, 1), b, stride=2),
        reference.conv_transpose(x, w.swapaxes(0, 1), b, stride=2),
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormals_are_not_flushed(dtype, isa, threads):
    smallest = np.finfo(dtype).smallest_subnormal
    x = np.full((1, 1, 40, 40), 3 * smallest, dtype)
    y = fastconv.conv2d(x, np.ones((1, 1, 1, 1), dtype))
    assert (y == 3 * smallest).all()
    x = np.full((4, 32, 40, 40), smallest, dtype)  # large enough for two threads
    assert (fastconv.conv2d(x, np.ones((8, 32, 3, 3), dtype), algorithm="direct") == 32 * 9 * smallest).all()
    assert smallest * 1 > 0  # nor has the processor been left in a mode that flushes


@pytest.mark.parametrize("dtype", DTYPES)
def test_overflow_is_infinite_and_raises_nothing(dtype, isa):
    big = np.finfo(dtype).max
    x = np.full((1, 1, 20), big, dtype)
    with np.errstate(all="raise"):
        y = fastconv.conv1d(x, np.ones((1, 1, 2), dtype))
    assert np.isposinf(y).all()


def test_float16_overflows_when_it_is_stored_not_before(isa):
    x = np.full((1, 1, 8), 60000, np.float16)
    w = np.array([[[1, 1, -1]], [[1, 1, 0]]], np.float16)
    with np.errstate(over="ignore"):
        y = fastconv.conv1d(x, w)
    assert (y[0, 0] == 60000).all()  # 60000 + 60000 - 60000, in float32
    assert np.isposinf(y[0, 1]).all()
