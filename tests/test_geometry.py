"""Output sizes and paddings, against counting windows and pixels one by one."""

import numpy as np
import pytest
import reference
from hypothesis import assume, given
from hypothesis import strategies as st

from fastconv import geometry

SIZE, KERNEL, STEP, PAD = st.integers(0, 40), st.integers(1, 7), st.integers(1, 6), st.integers(0, 9)


@given(size=SIZE, kernel=KERNEL, stride=STEP, lo=PAD, hi=PAD, dilation=STEP)
def test_conv_output_size_counts_windows(size, kernel, stride, lo, hi, dilation):
    count = len(reference.window_starts(size + lo + hi, kernel, stride, dilation))
    if count:
        assert geometry.conv_output_size(size, kernel, stride, ((lo, hi),), dilation) == count
    else:
        with pytest.raises(ValueError, match="kernel") as caught:
            geometry.conv_output_size(size, kernel, stride, ((lo, hi),), dilation)
        assert str(size + lo + hi) in str(caught.value)
        assert str(dilation * (kernel - 1) + 1) in str(caught.value)


@given(size=st.integers(1, 40), kernel=KERNEL, stride=STEP, lo=PAD, hi=PAD, dilation=STEP, data=st.data())
def test_transposed_output_size_ends_after_the_last_tap(size, kernel, stride, lo, hi, dilation, data):
    extra = data.draw(st.integers(0, max(stride, dilation) - 1))
    last = max(i * stride + k * dilation for i in range(size) for k in range(kernel))
    expected = last + 1 + extra - lo - hi
    if expected > 0:
        arguments = (size, kernel, stride, ((lo, hi),), extra, dilation)
        assert geometry.conv_transpose_output_size(*arguments) == expected
    elif expected < 0:
        with pytest.raises(ValueError, match="output"):
            geometry.conv_transpose_output_size(size, kernel, stride, ((lo, hi),), extra, dilation)


@given(size=SIZE, kernel=KERNEL, stride=STEP, padding=PAD, dilation=STEP)
def test_transposed_size_goes_back_where_the_convolution_came_from(size, kernel, stride, padding, dilation):
    """One of the sizes that output_padding chooses among is the one that went in."""
    assume(reference.window_starts(size + 2 * padding, kernel, stride, dilation) and size)
    out = geometry.conv_output_size(size, kernel, stride, padding, dilation)
    extra = geometry.output_padding_for(size, out, kernel, stride, padding, dilation)
    assert 0 <= extra < stride
    assert geometry.conv_transpose_output_size(out, kernel, stride, padding, extra, dilation) == size


@given(size=st.integers(1, 40), kernel=KERNEL, stride=STEP, dilation=STEP, lower=st.booleans())
def test_same_padding_is_the_least_that_keeps_every_sth_position(size, kernel, stride, dilation, lower):
    pads = geometry.same_padding(size, kernel, stride, dilation, lower=lower)
    assert pads == reference.same_padding(size, kernel, stride, dilation, lower=lower)
    rule = "same_lower" if lower else "same"
    assert geometry.conv_output_size(size, kernel, stride, rule, dilation) == -(-size // stride)


@given(size=st.integers(1, 40), kernel=KERNEL, dilation=STEP)
def test_same_padding_with_stride_1_is_half_the_reach_the_odd_one_last(size, kernel, dilation):
    total = dilation * (kernel - 1)
    assert geometry.same_padding(size, kernel, 1, dilation) == (total // 2, total - total // 2)


def test_known_sizes():
    assert geometry.conv_output_size(224, 7, 2, 3) == 112
    assert geometry.conv_transpose_output_size(3, 2) == 4
    assert geometry.conv_transpose_output_size(16, 4, 2, 1) == 32
    assert geometry.effective_kernel_size(3, 2) == 5


def test_per_axis_sizes():
    assert geometry.conv_output_size((9, 11), 3, (1, 2), (0, 1), (2, 1)) == (5, 6)
    assert geometry.conv_output_size((9, 11), (3, 2), padding="same") == (9, 11)
    assert geometry.conv_output_size((9, 11), (3, 2), padding=((1, 0), (2, 3))) == (8, 15)
    assert geometry.conv_transpose_output_size((3, 4, 5), 2, (1, 2, 3)) == (4, 8, 14)
    assert geometry.same_padding((5, 6), (2, 3), lower=True) == ((1, 0), (1, 1))


def test_numpy_integers_are_integers():
    size = geometry.conv_output_size(np.int32(9), np.int8(3), np.uint16(2), np.int64(1), np.uint8(1))
    assert size == 5
    assert type(size) is int  # small types must not wrap on the way
    assert geometry.conv_output_size(np.uint8(200), np.uint8(1), np.uint8(1), np.uint8(100)) == 400


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((5, 3, 0), ValueError, ("stride", "0")),
        ((5, 3, -2), ValueError, ("stride", "-2")),
        ((5, 3, 2**63), ValueError, ("stride",)),
        ((5, 3, 1.0), TypeError, ("stride", "1.0")),
        ((5, 3, 1, -1), ValueError, ("padding", "-1")),
        ((5, 3, 1, True), TypeError, ("padding", "True")),
        ((5, 3, 1, "SAME"), ValueError, ("padding", "SAME")),
        ((5, 3, 1, 0, 0), ValueError, ("dilation", "0")),
        ((5, 3, 1, 0, 2**62), ValueError, ("kernel",)),
        ((5, 0), ValueError, ("kernel", "0")),
        ((-1, 3), ValueError, ("input_size", "-1")),
        (((5, 5), (3, 3, 3)), ValueError, ("kernel_size", "3", "2")),
        ((5, 3, 1, 2**62), ValueError, ("padding",)),
    ],
)
def test_bad_arguments(arguments, error, words):
    with pytest.raises(error) as caught:
        geometry.conv_output_size(*arguments)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 2), (2, 5)])
def test_output_padding_stays_below_stride_or_dilation(stride, dilation):
    limit = max(stride, dilation)
    for extra in range(limit):
        geometry.conv_transpose_output_size(4, 3, stride, 0, extra, dilation)
    with pytest.raises(ValueError, match="output_padding") as caught:
        geometry.conv_transpose_output_size(4, 3, stride, 0, limit, dilation)
    assert str(limit) in str(caught.value)


def test_unreachable_output_size_names_the_reachable_ones():
    for size in (31, 32):
        assert geometry.output_padding_for(size, 16, 3, 2, 1) == size - 31
    for size in (30, 33):
        with pytest.raises(ValueError, match="output_size") as caught:
            geometry.output_padding_for(size, 16, 3, 2, 1)
        assert "31" in str(caught.value)
        assert "32" in str(caught.value)
