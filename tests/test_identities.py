"""What the operators are to each other.

All data are small whole numbers, so both sides of an identity are exact and must be equal: no tolerance hides a shift
by one. The right-hand sides use one fastconv operator to check another; `test_conv.py` and its neighbours check each
against the reference.
"""

import math

import numpy as np
import pytest
import reference
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import conv_cases, fill, per_axis, shuffle_cases, transposed_cases
from tolerances import assert_same_bits

import fastconv

CONV = {1: fastconv.conv1d, 2: fastconv.conv2d, 3: fastconv.conv3d}
TRANSPOSED = {1: fastconv.conv_transpose1d, 2: fastconv.conv_transpose2d, 3: fastconv.conv_transpose3d}


def whole(case):
    """The case's arrays, filled with whole numbers."""
    rng = np.random.default_rng(case.seed)
    return [None if a is None else fill(rng, a.shape, case.dtype) for a in case.arrays]


def spread(kernel, dilation):
    """The kernel with d - 1 zeros between its taps."""
    return reference.insert_zeros(kernel, dilation)


def flipped(w):
    return np.flip(w, tuple(range(2, w.ndim)))


def swap_channels(w, groups):
    """(C_in, C_out / g, *k) to (C_out, C_in / g, *k): the layout of one operator's weight in that of the other's."""
    c_in, c_out, *kernel = w.shape
    w = w.reshape(groups, c_in // groups, c_out, *kernel).swapaxes(1, 2)
    return w.reshape(groups * c_out, c_in // groups, *kernel)


@given(c=transposed_cases())
def test_transposed_is_zero_insertion_and_convolution_with_the_flipped_kernel(c, isa):
    x, w, b = whole(c)
    got = c.function(x, w, b, **c.options)
    stride, dilation, groups = (c.options[name] for name in ("stride", "dilation", "groups"))
    reach = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
    pads = reference.pairs(c.options["padding"], c.axes)
    # The border of the full result is reach - lo wide; where the crop goes further, it is cut off afterwards.
    border = tuple(
        (max(r - lo, 0), max(r - hi + extra, 0))
        for r, (lo, hi), extra in zip(reach, pads, c.options["output_padding"], strict=True)
    )
    cut = [max(lo - r, 0) for r, (lo, _) in zip(reach, pads, strict=True)]
    full = CONV[c.axes](
        reference.insert_zeros(x, stride), flipped(swap_channels(w, groups)), b, 1, border, dilation, groups
    )
    window = tuple(slice(first, first + size) for first, size in zip(cut, got.shape[2:], strict=True))
    assert np.array_equal(got, full[(..., *window)])


@given(c=transposed_cases())
def test_transposed_with_kernel_equal_to_stride_is_pointwise_convolution_and_shuffle(c, isa):
    x, w, b = whole(c)
    factors, groups = w.shape[2:], c.options["groups"]
    got = c.function(x, w, b, stride=factors, groups=groups)
    r = math.prod(factors)
    rows = np.moveaxis(swap_channels(w, groups), 1, -1)  # (C_out, *k, C_in / g): a row per output phase
    pointwise = rows.reshape(-1, rows.shape[-1], *(1,) * c.axes)
    phases = CONV[c.axes](x, pointwise, None if b is None else b.repeat(r), groups=groups)
    assert np.array_equal(got, fastconv.pixel_shuffle(phases, factors))


@given(c=conv_cases())
def test_dilated_is_convolution_with_a_zero_stuffed_kernel(c, isa):
    x, w, b = whole(c)
    got = c.function(x, w, b, **c.options, algorithm="direct")
    stuffed = spread(w, c.options["dilation"])
    options = c.options | {"dilation": 1}
    assert np.array_equal(got, c.function(x, stuffed, b, **options, algorithm="direct"))


@given(c=transposed_cases())
def test_dilated_transposed_is_transposed_with_a_zero_stuffed_kernel(c, isa):
    x, w, b = whole(c)
    extra = tuple(min(e, s - 1) for e, s in zip(c.options["output_padding"], c.options["stride"], strict=True))
    options = c.options | {"output_padding": extra}
    pads = reference.pairs(c.options["padding"], c.axes)
    geometry = zip(x.shape[2:], w.shape[2:], c.options["stride"], c.options["dilation"], extra, pads, strict=True)
    assume(all(s * (i - 1) + d * (k - 1) + 1 + e > sum(p) for i, k, s, d, e, p in geometry))
    stuffed = spread(w, c.options["dilation"])
    assert np.array_equal(c.function(x, w, b, **options), c.function(x, stuffed, b, **options | {"dilation": 1}))


@given(c=conv_cases(dtype="float64"))
def test_transposed_convolution_is_the_adjoint(c, isa):
    """<conv(x), y> = <x, conv_transpose(y)> with the very same weight array."""
    assume(all(c.input_shape))
    x, w, _ = whole(c)
    stride, padding, dilation, groups = c.options.values()
    forward = c.function(x, w, **c.options)
    y = fill(np.random.default_rng(c.seed + 1), forward.shape, c.dtype)
    pads = reference.pairs(padding, c.axes)
    # Input beyond the last window meets no output; the transposed result is the input's size by output padding.
    unused = tuple(
        (i + sum(p) - d * (k - 1) - 1) % s
        for i, p, d, k, s in zip(x.shape[2:], pads, dilation, w.shape[2:], stride, strict=True)
    )
    back = TRANSPOSED[c.axes](y, w, None, stride, padding, unused, groups, dilation)
    assert back.shape == x.shape
    assert np.vdot(forward, y) == np.vdot(x, back)
    by_size = TRANSPOSED[c.axes](y, w, None, stride, padding, 0, groups, dilation, output_size=x.shape[2:])
    assert_same_bits(back, by_size)


@given(c=shuffle_cases())
def test_unshuffle_undoes_shuffle(c):
    y = fastconv.pixel_shuffle(c.coarse, c.factors, order=c.order)
    assert_same_bits(fastconv.pixel_unshuffle(y, c.factors, order=c.order), c.coarse)


@given(c=shuffle_cases())
def test_shuffle_undoes_unshuffle(c):
    shape = (*c.lead, c.channels, *(s * r for s, r in zip(c.sizes, c.factors, strict=True)))
    fine = np.arange(math.prod(shape)).reshape(shape)
    x = fastconv.pixel_unshuffle(fine, c.factors, order=c.order)
    assert_same_bits(fastconv.pixel_shuffle(x, c.factors, order=c.order), fine)


@given(factors=per_axis(2, 1, 4), channels=st.integers(1, 3))
def test_the_two_orders_differ_by_a_permutation_of_channels(factors, channels):
    x = np.arange(channels * math.prod(factors) * 6).reshape(-1, 2, 3)
    regrouped = x.reshape(math.prod(factors), channels, 2, 3).swapaxes(0, 1).reshape(x.shape)
    assert_same_bits(
        fastconv.pixel_shuffle(x, factors, order="dcr"), fastconv.pixel_shuffle(regrouped, factors, order="crd")
    )


@given(c=conv_cases(axes=2), factor=st.integers(1, 3))
def test_subpixel_is_convolution_then_shuffle(c, factor, isa):
    x, w, b = whole(c)
    w = w.repeat(factor**2, axis=0) * (1 + np.arange(len(w) * factor**2, dtype=w.dtype) % 5)[:, None, None, None]
    b = None if b is None else b.repeat(factor**2)
    got = fastconv.subpixel_conv2d(x, w, b, factor, **c.options, algorithm="direct")
    plain = fastconv.conv2d(x, w, b, **c.options, algorithm="direct")
    assert np.array_equal(got, fastconv.pixel_shuffle(plain, factor))


@given(c=conv_cases())
def test_groups_are_separate_convolutions(c, isa):
    x, w, b = whole(c)
    groups = c.options["groups"]
    options = c.options | {"groups": 1, "algorithm": "direct"}
    biases = [None] * groups if b is None else np.split(b, groups)
    parts = [
        c.function(*part, **options) for part in zip(np.split(x, groups, 1), np.split(w, groups), biases, strict=True)
    ]
    assert np.array_equal(c.function(x, w, b, **c.options, algorithm="direct"), np.concatenate(parts, axis=1))


@given(c=conv_cases())
def test_a_stride_skips_outputs(c, isa):
    x, w, b = whole(c)
    every = c.function(x, w, b, **c.options | {"stride": 1}, algorithm="direct")
    kept = every[(..., *(slice(None, None, s) for s in c.options["stride"]))]
    assert np.array_equal(c.function(x, w, b, **c.options, algorithm="direct"), kept)


@given(c=conv_cases())
def test_padding_is_an_image_with_zeros_around(c, isa):
    x, w, b = whole(c)
    padded = np.pad(x, [(0, 0), (0, 0), *reference.pairs(c.options["padding"], c.axes)])
    options = c.options | {"padding": 0}
    assert np.array_equal(c.function(x, w, b, **c.options), c.function(padded, w, b, **options))


@pytest.mark.parametrize("transposed", [False, True])
@given(data=st.data())
def test_fewer_axes_are_axes_of_size_one(transposed, data, isa):
    c = data.draw(transposed_cases(axes=1) if transposed else conv_cases(axes=1))
    assume(c.input_shape[-1])
    x, w, b = whole(c)
    family = TRANSPOSED if transposed else CONV
    got = family[1](x, w, b, **c.options)
    pads = reference.pairs(c.options["padding"], 1)
    for axes in (2, 3):
        extra = axes - 1
        fill_in = {"stride": 1, "dilation": 1, "output_padding": 0, "padding": (0, 0)}
        options = c.options | {"padding": pads}
        options |= {name: (fill_in[name],) * extra + options[name] for name in options.keys() & fill_in.keys()}
        ones = (1,) * extra
        wide = family[axes](x.reshape(*x.shape[:2], *ones, -1), w.reshape(*w.shape[:2], *ones, -1), b, **options)
        assert np.array_equal(wide.reshape(got.shape), got)


def test_transposed_is_not_the_inverse():
    x, w = np.arange(1.0, 10).reshape(1, 1, 3, 3), np.array([[[[1.0, 2], [3, 4]]]])
    back = fastconv.conv_transpose2d(fastconv.conv2d(x, w), w)
    assert back.shape == x.shape
    assert not np.allclose(back / back.max(), x / x.max())
