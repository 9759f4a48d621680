"""The oracle itself: numbers worked out by hand, and loops over single elements."""

import itertools

import numpy as np
import pytest
import reference


def image(rows):
    return np.array(rows, float)[None, None]


# ---- by hand ---------------------------------------------------------------------------------------------------------


def test_convolution_is_the_sliding_dot_product_without_flip():
    y = reference.conv(image([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), image([[1, 0], [0, 10]]))
    assert y[0, 0].tolist() == [[1 + 50, 2 + 60], [4 + 80, 5 + 90]]


def test_channels_add_up_and_bias_is_added_once():
    x = np.array([[[1.0, 2.0], [10.0, 20.0]]])  # one image, two channels
    w = np.array([[[1.0], [1.0]], [[2.0], [0.0]]])  # two filters of one tap
    assert reference.conv(x, w, [0.5, -1.0])[0].tolist() == [[11.5, 22.5], [1.0, 3.0]]


def test_groups_see_their_own_channels_only():
    x = np.array([[[1.0, 2.0], [10.0, 20.0]]])
    w = np.array([[[3.0]], [[5.0]]])
    assert reference.conv(x, w, groups=2)[0].tolist() == [[3.0, 6.0], [50.0, 100.0]]


def test_dilated_convolution_skips():
    x, w = np.array([[[1.0, 2, 3, 4, 5, 6]]]), np.array([[[1.0, 10, 100]]])
    assert reference.conv(x, w, dilation=2)[0, 0].tolist() == [1 + 30 + 500, 2 + 40 + 600]


def test_strided_convolution_keeps_every_sth_window():
    x, w = np.array([[[1.0, 2, 3, 4, 5, 6]]]), np.array([[[1.0, 10]]])
    assert reference.conv(x, w, stride=2)[0, 0].tolist() == [21, 43, 65]
    assert reference.conv(x, w, stride=3)[0, 0].tolist() == [21, 54]


def test_asymmetric_padding():
    x, w = np.array([[[1.0, 2, 3]]]), np.array([[[1.0, 10]]])
    assert reference.conv(x, w, padding=((2, 0),))[0, 0].tolist() == [0, 10, 21, 32]
    assert reference.conv(x, w, padding=((0, 1),))[0, 0].tolist() == [21, 32, 3]


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation", "expected"),
    [  # O = (I + 2P - d(K-1) - 1) // S + 1
        (224, 7, 2, 3, 1, 112),  # the first layer of a ResNet
        (56, 3, 1, 1, 1, 56),
        (5, 3, 1, 0, 2, 1),  # a 5-wide receptive field from one 3-tap kernel
        (33, 3, 1, 6, 6, 33),
        (6, 2, 4, 0, 1, 2),
        (5, 2, 4, 0, 1, 1),
        (0, 2, 1, 1, 1, 1),
    ],
)
def test_output_size_of_a_convolution(size, kernel, stride, padding, dilation, expected):
    y = reference.conv(np.zeros((1, 1, size)), np.zeros((1, 1, kernel)), None, stride, padding, dilation)
    assert y.shape == (1, 1, expected)


def test_transposed_3x3_by_2x2_is_4x4_and_overlaps_add():
    x, w = image([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), image([[1, 10], [100, 1000]])
    assert reference.conv_transpose(x, w)[0, 0].tolist() == [
        [1, 10 + 2, 20 + 3, 30],
        [100 + 4, 1000 + 200 + 40 + 5, 2000 + 300 + 50 + 6, 3000 + 60],
        [400 + 7, 4000 + 500 + 70 + 8, 5000 + 600 + 80 + 9, 6000 + 90],
        [700, 7000 + 800, 8000 + 900, 9000],
    ]


def test_transposed_convolution_with_stride_2_overlaps_in_every_other_place():
    x, w = np.array([[[1.0, 2, 3]]]), np.array([[[1.0, 10, 100]]])
    assert reference.conv_transpose(x, w, stride=2)[0, 0].tolist() == [1, 10, 102, 20, 203, 30, 300]


def test_transposed_convolution_with_gaps_has_bias_between():
    x, w = np.array([[[1.0, 2]]]), np.array([[[3.0]]])
    assert reference.conv_transpose(x, w, [7.0], stride=3)[0, 0].tolist() == [10, 7, 7, 13]


def test_transposed_padding_crops_and_output_padding_restores_the_end():
    x, w = np.array([[[1.0, 2, 3]]]), np.array([[[1.0, 10, 100]]])  # uncropped: 1 10 102 20 203 30 300
    assert reference.conv_transpose(x, w, stride=2, padding=1)[0, 0].tolist() == [10, 102, 20, 203, 30]
    assert reference.conv_transpose(x, w, stride=2, padding=1, output_padding=1)[0, 0].tolist() == [
        10, 102, 20, 203, 30, 300,
    ]  # fmt: skip
    assert reference.conv_transpose(x, w, stride=2, output_padding=1)[0, 0].tolist()[-2:] == [300, 0]
    assert reference.conv_transpose(x, w, stride=2, padding=((0, 2),))[0, 0].tolist() == [1, 10, 102, 20, 203]


def test_transposed_dilation_spreads_the_kernel():
    x, w = np.array([[[1.0, 2]]]), np.array([[[1.0, 10]]])
    assert reference.conv_transpose(x, w, dilation=3)[0, 0].tolist() == [1, 2, 0, 10, 20]


def test_transposed_weight_layout_and_groups():
    x = np.array([[[1.0], [2.0]]])  # two input channels, one pixel
    w = np.array([[[3.0], [4.0]], [[5.0], [6.0]]])  # (in, out / groups, taps)
    assert reference.conv_transpose(x, w)[0, :, 0].tolist() == [3 + 10, 4 + 12]
    assert reference.conv_transpose(x, w, groups=2)[0, :, 0].tolist() == [3, 4, 10, 12]


def test_transposed_output_size():
    """O = S(I-1) + K - 2P: S=1, I=3, K=2, P=0 gives 4; with d and output_padding, O = S(I-1) + d(K-1) + 1 - 2P + op."""
    assert reference.conv_transpose(np.zeros((1, 1, 3)), np.zeros((1, 1, 2))).shape == (1, 1, 4)
    y = reference.conv_transpose(np.zeros((1, 1, 7)), np.zeros((1, 1, 3)), None, 3, 2, 1, 1, 2)
    assert y.shape == (1, 1, 3 * 6 + 2 * 2 + 1 - 4 + 1)


def test_transposed_convolution_is_no_inverse():
    """The same kernel and geometry bring the shape back, not the values."""
    x, w = np.array([[[1.0, 2, 3, 4]]]), np.array([[[1.0, 1]]])
    y = reference.conv(x, w)  # 3 5 7
    back = reference.conv_transpose(y, w)
    assert back.shape == x.shape
    assert back[0, 0].tolist() == [3, 8, 12, 7]


def test_pixel_shuffle_in_both_orders():
    x = np.array([[["a", "b"]], [["c", "d"]], [["e", "f"]], [["g", "h"]]])  # four channels of 1x2 pixels
    assert reference.pixel_shuffle(x, (2, 2))[0].tolist() == [["a", "c", "b", "d"], ["e", "g", "f", "h"]]
    x = np.arange(8).reshape(8, 1, 1)
    assert reference.pixel_shuffle(x, (2, 2), "crd").tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert reference.pixel_shuffle(x, (2, 2), "dcr").tolist() == [[[0, 2], [4, 6]], [[1, 3], [5, 7]]]


def test_pixel_shuffle_per_axis_and_in_other_dimensions():
    assert reference.pixel_shuffle(np.array([[1, 2], [3, 4], [5, 6]]), (3,)).tolist() == [[1, 3, 5, 2, 4, 6]]
    assert reference.pixel_shuffle(np.arange(6).reshape(6, 1, 1), (3, 2)).tolist() == [[[0, 1], [2, 3], [4, 5]]]
    assert reference.pixel_shuffle(np.arange(8).reshape(8, 1, 1, 1), (2, 2, 2)).ravel().tolist() == list(range(8))


@pytest.mark.parametrize("order", ["crd", "dcr"])
def test_pixel_shuffle_is_the_reshape_that_onnx_writes_down(order):
    """DepthToSpace: DCR reshapes to [N, r, r, C/r2, H, W], CRD to [N, C/r2, r, r, H, W]."""
    x = np.arange(2 * 12 * 3 * 5).reshape(2, 12, 3, 5)
    if order == "dcr":
        y = x.reshape(2, 2, 2, 3, 3, 5).transpose(0, 3, 4, 1, 5, 2).reshape(2, 3, 6, 10)
    else:
        y = x.reshape(2, 3, 2, 2, 3, 5).transpose(0, 1, 4, 2, 5, 3).reshape(2, 3, 6, 10)
    assert np.array_equal(reference.pixel_shuffle(x, (2, 2), order), y)
    assert np.array_equal(reference.pixel_unshuffle(y, (2, 2), order), x)


def test_same_padding_by_hand():
    assert reference.same_padding(5, 3, 1, 1) == (1, 1)
    assert reference.same_padding(5, 2, 1, 1) == (0, 1)
    assert reference.same_padding(5, 2, 1, 1, lower=True) == (1, 0)
    assert reference.same_padding(224, 7, 2, 1) == (2, 3)  # (112 - 1) * 2 + 7 - 224 = 5
    assert reference.same_padding(4, 1, 3, 1) == (0, 0)
    assert reference.same_padding(7, 3, 2, 4) == (4, 4)  # (4 - 1) * 2 + 9 - 7 = 8


def test_insert_zeros():
    x = np.array([[[[1, 2], [3, 4]]]])
    assert reference.insert_zeros(x, (2, 3))[0, 0].tolist() == [[1, 0, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4]]


# ---- element by element ----------------------------------------------------------------------------------------------


def whole(rng, *shape):
    return rng.integers(-4, 5, shape).astype(float)


def conv_element(x, w, b, n, m, o, stride, pads, dilation, groups):
    """One output, every index spelled out."""
    total = b[m]
    per_group = x.shape[1] // groups
    first = m // (w.shape[0] // groups) * per_group
    for c in range(per_group):
        for k in itertools.product(*map(range, w.shape[2:])):
            position = [o[a] * stride[a] - pads[a][0] + k[a] * dilation[a] for a in range(len(k))]
            if all(0 <= p < size for p, size in zip(position, x.shape[2:], strict=True)):
                total += x[(n, first + c, *position)] * w[(m, c, *k)]
    return total


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_conv_element_by_element(axes, groups):
    rng = np.random.default_rng(axes * 10 + groups)
    for _ in range(3):
        stride, dilation, kernel = (tuple(rng.integers(1, 4, axes).tolist()) for _ in range(3))
        pads = tuple(map(tuple, rng.integers(0, 3, (axes, 2)).tolist()))
        slack = rng.integers(0, 4, axes).tolist()
        sizes = [d * (k - 1) + 1 + more for d, k, more in zip(dilation, kernel, slack, strict=True)]
        x = whole(rng, 2, 2 * groups, *sizes)
        w, b = whole(rng, 3 * groups, 2, *kernel), whole(rng, 3 * groups)
        y = reference.conv(x, w, b, stride, pads, dilation, groups)
        for n, m, *o in np.ndindex(*y.shape):
            assert y[(n, m, *o)] == conv_element(x, w, b, n, m, o, stride, pads, dilation, groups)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_element_by_element(axes, groups):
    """Gathered instead of scattered: output o sums the pairs (i, k) with i*S + k*d - lo = o."""
    rng = np.random.default_rng(axes * 10 + groups)
    for _ in range(2):
        stride, dilation, kernel = (tuple(rng.integers(1, 4, axes).tolist()) for _ in range(3))
        pads = tuple(map(tuple, rng.integers(0, 2, (axes, 2)).tolist()))
        extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
        x = whole(rng, 1, 2 * groups, *rng.integers(1, 4, axes))
        w, b = whole(rng, 2 * groups, 2, *kernel), whole(rng, 2 * groups)
        y = reference.conv_transpose(x, w, b, stride, pads, extra, groups, dilation)
        for m, *o in np.ndindex(*y.shape[1:]):
            total = b[m]
            for c, *i in np.ndindex(2, *x.shape[2:]):
                for k in itertools.product(*map(range, kernel)):
                    hit = [i[a] * stride[a] + k[a] * dilation[a] - pads[a][0] == o[a] for a in range(axes)]
                    total += all(hit) * x[(0, m // 2 * 2 + c, *i)] * w[(m // 2 * 2 + c, m % 2, *k)]
            assert y[(0, m, *o)] == total
