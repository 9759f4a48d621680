"""Output sizes and paddings, against counting windows and pixels one by one."""

from pathlib import Path

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


SIZES = range(260)  # tried one by one: the largest that the arguments below lead back to is 250


def sizes_that_give(output, size_of):
    """All input sizes of which `size_of` makes `output`, by trying; an error is no size."""
    found = []
    for size in SIZES:
        try:
            if size_of(size) == output:
                found.append(size)
        except ValueError:
            pass
    return found


PADDING = st.one_of(st.tuples(st.tuples(PAD, PAD)), st.sampled_from(["valid", "same", "same_lower"]))


@given(output=st.integers(1, 30), kernel=KERNEL, stride=STEP, padding=PADDING, dilation=STEP)
def test_conv_input_sizes_are_all_that_give_the_output(output, kernel, stride, padding, dilation):
    found = sizes_that_give(output, lambda size: geometry.conv_output_size(size, kernel, stride, padding, dilation))
    assert list(geometry.conv_input_sizes(output, kernel, stride, padding, dilation)) == found


@given(output=st.integers(1, 60), kernel=KERNEL, stride=STEP, lo=PAD, hi=PAD, dilation=STEP)
def test_transposed_input_sizes_are_all_that_give_the_output(output, kernel, stride, lo, hi, dilation):
    arguments = kernel, stride, ((lo, hi),)

    def size_of(size):
        extra = geometry.output_padding_for(output, size, *arguments, dilation)
        return geometry.conv_transpose_output_size(size, *arguments, extra, dilation)

    assert list(geometry.conv_transpose_input_sizes(output, *arguments, dilation)) == sizes_that_give(output, size_of)


@given(output=st.integers(1, 30), kernel=KERNEL, stride=STEP, data=st.data(), dilation=STEP, ceil_mode=st.booleans())
def test_pool_input_sizes_are_all_that_give_the_output(output, kernel, stride, data, dilation, ceil_mode):
    pads = data.draw(st.tuples(st.integers(0, kernel // 2), st.integers(0, kernel // 2)))
    arguments = kernel, stride, (pads,), dilation, ceil_mode
    found = sizes_that_give(output, lambda size: geometry.pool_output_size(size, *arguments))
    assert list(geometry.pool_input_sizes(output, *arguments)) == found


def test_known_input_sizes():
    assert geometry.conv_input_sizes(112, 7, 2, 3) == range(223, 225)
    assert geometry.conv_input_sizes((3, 4), 3, (1, 2), "same") == (range(3, 4), range(7, 9))
    assert geometry.conv_transpose_input_sizes((32, 31), 3, 2, 1) == (range(16, 17), range(16, 17))
    assert geometry.pool_input_sizes(3, 2) == range(6, 8)
    assert geometry.pool_input_sizes(1, 2, padding=1) == range(1, 2)  # an input of size 0 has no windows
    assert list(geometry.conv_input_sizes(1, 1, padding=4)) == []
    assert list(geometry.conv_transpose_input_sizes(2, 2, stride=5, padding=0)) == [1]
    assert list(geometry.conv_transpose_input_sizes(1, 3)) == []
    with pytest.raises(ValueError, match="output_size"):
        geometry.conv_input_sizes(0, 3)
    with pytest.raises(ValueError, match="half"):
        geometry.pool_input_sizes(4, 3, padding=2)


def test_shuffled_sizes():
    assert geometry.pixel_shuffle_output_size((4, 5), (2, 3)) == (8, 15)
    assert geometry.pixel_unshuffle_output_size(12, 4) == 3
    with pytest.raises(ValueError, match=r"downscale_factor.*7"):
        geometry.pixel_unshuffle_output_size(7, 2)
    with pytest.raises(ValueError, match="upscale_factor"):
        geometry.pixel_shuffle_output_size(7, 0)


def test_geometry_needs_the_standard_library_alone(python):
    """Loaded without the package around it, it brings no NumPy and nothing compiled of ours."""
    folder = str(Path(geometry.__file__).parents[1])
    result = python(f"""
        import sys
        sys.path.insert(0, {folder!r})
        before = set(sys.modules)
        import geometry
        assert geometry.conv_output_size(5, 3) == 3
        loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}} - {{"geometry"}}
        assert loaded <= sys.stdlib_module_names, loaded - sys.stdlib_module_names
    """)
    assert result.returncode == 0, result.stderr
