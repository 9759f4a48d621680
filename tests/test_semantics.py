"""Corner cases in which implementations differ or fail, one test for each; the rules are those of torch and ONNX."""

import inspect

import numpy as np
import pytest
import reference

import fastconv as fc
from fastconv import grad

MINIMUM = -(2**63)


def ramp(*shape, dtype=float):
    return np.arange(1, 1 + np.prod(shape), dtype=dtype).reshape(shape)


# ---- arguments -------------------------------------------------------------------------------------------------------


def test_order_of_arguments():
    settings = ["input", "weight", "bias", "stride", "padding"]
    for axes in (1, 2, 3):
        conv, transposed = (getattr(fc, f"{name}{axes}d") for name in ("conv", "conv_transpose"))
        assert list(inspect.signature(conv).parameters)[:7] == [*settings, "dilation", "groups"]
        names = [*settings, "output_padding", "groups", "dilation"]
        assert list(inspect.signature(transposed).parameters)[:8] == names


def test_the_weight_of_a_transposed_convolution_has_its_inputs_first():
    assert fc.conv_transpose2d(np.ones((1, 4, 5, 5)), np.ones((4, 3, 2, 2)), groups=2).shape == (1, 6, 6, 6)


def test_a_tuple_of_one_stands_for_all_axes():
    x, w = ramp(1, 1, 6, 6), ramp(1, 1, 2, 2)
    assert np.array_equal(fc.conv2d(x, w, None, (2,), (1,), (2,)), fc.conv2d(x, w, None, 2, 1, 2))


@pytest.mark.parametrize("rule", ["SAME", "Valid", "full"])
def test_rules_for_padding_are_in_lower_case(rule):
    with pytest.raises(ValueError, match="lower case"):
        fc.conv2d(ramp(1, 1, 6, 6), ramp(1, 1, 2, 2), padding=rule)


@pytest.mark.parametrize("rule", ["same", "valid"])
def test_rules_for_padding_mean_nothing_to_a_transposed_convolution(rule):
    with pytest.raises(ValueError, match="output_size"):
        fc.conv_transpose2d(ramp(1, 1, 6, 6), ramp(1, 1, 2, 2), padding=rule)


def test_same_puts_the_odd_one_on_the_right():
    x, w = ramp(1, 1, 6), ramp(1, 1, 4)
    assert np.array_equal(fc.conv1d(x, w, padding="same"), reference.conv(x, w, padding=((1, 2),)))


def test_same_with_a_stride_is_what_onnx_says():
    """ceil(size / stride) outputs, the least total padding, the odd one at the end: SAME_UPPER; same_lower: first."""
    x, w = ramp(1, 1, 5), ramp(1, 1, 4)
    assert np.array_equal(fc.conv1d(x, w, stride=2, padding="same"), reference.conv(x, w, None, 2, ((1, 2),)))
    assert np.array_equal(fc.conv1d(x, w, stride=2, padding="same_lower"), reference.conv(x, w, None, 2, ((2, 1),)))


def test_size_times_stride_is_had_by_output_size():
    x, w = ramp(1, 1, 5), ramp(1, 1, 3)
    y = fc.conv_transpose1d(x, w, stride=2, padding=1, output_size=10)
    assert np.array_equal(y, reference.conv_transpose(x, w, None, 2, 1, 1))


def test_output_padding_stays_below_stride_or_dilation():
    x, w = ramp(1, 1, 5), ramp(1, 1, 3)
    y = fc.conv_transpose1d(x, w, output_padding=1, dilation=2)
    assert np.array_equal(y, reference.conv_transpose(x, w, output_padding=1, dilation=2))
    with pytest.raises(ValueError, match="output_padding"):
        fc.conv_transpose1d(x, w, output_padding=2, dilation=2)


def test_padding_beyond_the_kernel():
    x, w = ramp(1, 1, 3, 3), ramp(1, 1, 2, 2)
    assert np.array_equal(fc.conv2d(x, w, padding=5), reference.conv(x, w, padding=5))
    assert fc.unfold(x, 2, padding=5).shape == (1, 4, 144)


def test_padding_of_a_pool_is_half_of_the_kernel_at_most_however_dilated():
    fc.max_pool1d(ramp(1, 1, 9), 3, padding=1, dilation=3)
    with pytest.raises(ValueError, match="half of the kernel"):
        fc.max_pool1d(ramp(1, 1, 9), 3, padding=2, dilation=3)


@pytest.mark.parametrize("stride", [None, [], ()])
def test_no_stride_of_a_pool_is_its_kernel(stride):
    assert fc.avg_pool1d(ramp(1, 1, 6), 3, stride).tolist() == [[[2, 5]]]


def test_an_output_of_no_or_less_size_is_an_error():
    for kernel in (6, 9):
        with pytest.raises(ValueError, match="kernel is larger"):
            fc.conv1d(ramp(1, 1, 5), ramp(1, 1, kernel))
    with pytest.raises(ValueError, match="padding"):
        fc.conv_transpose1d(ramp(1, 1, 2), ramp(1, 1, 2), padding=2)


def test_a_huge_stride_leaves_one_window():
    x, w = ramp(1, 1, 5), ramp(1, 1, 3)
    assert fc.conv1d(x, w, stride=2**62).tolist() == [[[1 * 1 + 2 * 2 + 3 * 3]]]


def test_zero_channels():
    y = fc.conv2d(np.ones((1, 0, 3, 3)), np.ones((2, 0, 2, 2)), np.array([1.0, 2]))
    assert np.array_equal(y, np.ones((1, 2, 2, 2)) * [[[1]], [[2]]])
    with pytest.raises(ValueError, match="output channel"):
        fc.conv2d(np.ones((1, 2, 3, 3)), np.ones((0, 2, 2, 2)))


# ---- pooling ---------------------------------------------------------------------------------------------------------


def test_ceil_mode_drops_a_window_that_starts_beyond_the_image_and_its_left_padding():
    assert fc.max_pool1d(ramp(1, 1, 3), 1, 2, ceil_mode=True).tolist() == [[[1, 3]]]
    # (6 + 2 - 2) / 4 rounds up to a third window, which would start at 8, and 6 + 1 is the end of the image.
    assert fc.max_pool1d(ramp(1, 1, 6), 2, 4, 1, ceil_mode=True).tolist() == [[[1, 5]]]


def test_an_average_counts_padding_but_not_what_hangs_over():
    x = ramp(1, 1, 4)
    assert fc.avg_pool1d(x, 3, 2, 1, ceil_mode=True).tolist() == [[[(0 + 1 + 2) / 3, (2 + 3 + 4) / 3, (4 + 0) / 2]]]
    options = {"ceil_mode": True, "count_include_pad": False}
    assert fc.avg_pool1d(x, 3, 2, 1, **options).tolist() == [[[(1 + 2) / 2, (2 + 3 + 4) / 3, 4]]]


def test_a_divisor_may_be_negative_but_not_zero():
    assert fc.avg_pool1d(ramp(1, 1, 4), 2, divisor_override=-1).tolist() == [[[-3, -7]]]
    with pytest.raises(ValueError, match="divisor_override"):
        fc.avg_pool1d(ramp(1, 1, 4), 2, divisor_override=0)


def test_maximum_among_equals_nans_and_infinities():
    def pool(*values):
        y, at = fc.max_pool1d(np.array([[values]]), len(values), return_indices=True)
        return y.item(), at.item()

    assert pool(1.0, 7.0, 7.0) == (7, 1)
    value, at = pool(np.nan, 9.0, np.nan, np.inf)
    assert np.isnan(value)
    assert at == 2
    assert pool(-np.inf, -np.inf) == (-np.inf, 0)


def test_an_integer_window_of_padding_alone_is_the_least_of_its_type():
    y = fc.max_pool1d(np.zeros((1, 1, 1), np.int16), 2, 1, 1, dilation=2)
    assert y.tolist() == [[[-(2**15)]]]


def test_a_dilated_window_in_the_padding_has_no_gradient():
    x = np.zeros((1, 1, 1))
    y, at = fc.max_pool1d(x, 2, 1, 1, dilation=2, return_indices=True)
    assert (y.item(), at.item()) == (-np.inf, -1)
    assert grad.max_pool1d_input(x.shape, at, np.ones(at.shape)).tolist() == [[[0]]]


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["direct", "auto"])
def test_zero_times_infinity_in_the_padding(algorithm, isa):
    x, w = np.ones((1, 32, 24, 24), np.float32), np.ones((32, 32, 3, 3), np.float32)
    w[5, 7, 0, 0] = np.inf
    y = fc.conv2d(x, w, padding=1, algorithm=algorithm)
    expected = np.zeros(y.shape, bool)
    expected[:, 5, 0], expected[:, 5, :, 0] = True, True
    assert np.array_equal(np.isnan(y), expected)
    assert np.isinf(y[:, 5, 1:, 1:]).all()


@pytest.mark.parametrize("algorithm", ["direct", "auto"])
def test_a_nan_reaches_the_outputs_whose_window_holds_it_and_no_others(algorithm, isa):
    x, w = np.ones((1, 32, 24, 24), np.float32), np.ones((32, 32, 3, 3), np.float32)
    x[0, 3, 10, 11] = np.nan
    y = fc.conv2d(x, w, padding=1, algorithm=algorithm)
    expected = np.zeros(y.shape, bool)
    expected[..., 9:12, 10:13] = True
    assert np.array_equal(np.isnan(y), expected)


# ---- sizes that crash others -----------------------------------------------------------------------------------------


def small(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize("bad", [0, -1, MINIMUM, -MINIMUM, 2**100])
@pytest.mark.parametrize("name", ["stride", "dilation", "groups"])
def test_numbers_that_are_none(name, bad):
    for function in (fc.conv2d, fc.conv_transpose2d):
        with pytest.raises(ValueError, match=name):
            function(small(1, 1, 5, 5), small(1, 1, 3, 3), **{name: bad})


@pytest.mark.parametrize("factor", [0, -2, 2**32, 2**63 - 1, MINIMUM])
def test_factors_that_are_none(factor):
    for function in (fc.pixel_shuffle, fc.pixel_unshuffle):
        with pytest.raises(ValueError, match=r"factor|channels|multiple"):
            function(small(1, 4, 4, 4), factor)


def test_reaches_that_cannot_be_counted():
    with pytest.raises(ValueError, match=r"\d"):
        fc.conv2d(small(1, 1, 5, 5), small(1, 1, 3, 3), dilation=2**62)
    with pytest.raises(ValueError, match=r"\d"):
        fc.conv_transpose2d(small(1, 1, 5, 5), small(1, 1, 3, 3), dilation=2**62)
    with pytest.raises(ValueError, match=r"\d"):
        fc.conv2d(small(1, 1, 5, 5), np.broadcast_to(small(), (1, 1, 2**32 + 1, 1)))
    with pytest.raises(ValueError, match=r"half of the kernel|kernel is larger"):
        fc.max_pool2d(small(1, 1, 5, 5), 2**32 + 1)


def test_an_array_of_one_entry_that_says_it_has_very_many():
    vast = np.broadcast_to(np.float32(1), (1, 1, 2**22, 2**22))
    with pytest.raises(MemoryError):
        fc.conv2d(vast, small(1, 1, 1, 1))


def test_unshuffle_of_an_empty_batch_changes_its_shape():
    assert fc.pixel_unshuffle(np.ones((0, 3, 4, 6)), 2).shape == (0, 12, 2, 3)
