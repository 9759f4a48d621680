"""The same bits however the work is shared out, and however arrays lie in memory, on every instruction set."""

import numpy as np
import pytest
from memory import misaligned
from roads import ROADS, real, road
from strategies import DTYPES
from tolerances import assert_same_bits

import fastconv
from fastconv import grad


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROADS)
def test_any_number_of_threads(name, dtype, isa):
    x, layer = road(name, dtype)
    with fastconv.threads(1):
        expected = layer(x)
    for count in (2, 3, 5):
        with fastconv.threads(count):
            assert_same_bits(layer(x), expected)


BATCHED = ("nearest", "bilinear", "resize, convolve")  # as in torch, three axes are a batch of signals to them


@pytest.mark.parametrize("name", ROADS)
def test_any_batch_split(name, isa, threads):
    x, layer = road(name)
    whole = layer(x)
    for split in ([1, 2], [1], [2]):
        assert_same_bits(np.concatenate([layer(part) for part in np.split(x, split)]), whole)
    one = (lambda image: layer(image[None])[0]) if name in BATCHED else layer
    assert_same_bits(np.stack([one(image) for image in x]), whole)


@pytest.mark.parametrize("name", ROADS)
def test_any_strides_of_the_input(name, isa):
    x, layer = road(name)
    expected = layer(x)
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, np.float32)
    wide[..., ::2] = x
    backwards = tuple(slice(None, None, -1) for _ in x.shape)
    for view in (
        wide[..., ::2],
        np.asfortranarray(x),
        np.ascontiguousarray(x[backwards])[backwards],
        np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1),  # channels last
        np.pad(x, 1)[(slice(1, -1),) * x.ndim],
    ):
        assert np.array_equal(view, x)
        assert_same_bits(layer(view), expected)


@pytest.mark.parametrize("name", ROADS)
def test_any_strides_of_the_output(name, isa):
    x, layer = road(name)
    expected = layer(x)
    n, m, *spatial = expected.shape
    wide = np.zeros((n, m + 3, *spatial), np.float32)
    assert_same_bits(layer(x, out=wide[:, 2:-1]).copy(), expected)
    assert_same_bits(layer(x, out=np.zeros(expected.shape, np.float32, order="F")).copy(), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("size", "c_in", "c_out", "kernel", "stride", "padding", "dilation", "groups"),
    [
        ((37, 41), 16, 24, (3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((37, 41), 16, 24, (3, 3), (2, 3), (2, 1), (1, 2), 1),
        ((25, 70), 3, 5, (5, 4), (1, 2), (4, 3), (1, 1), 1),
        ((37, 41), 24, 24, (3, 3), (1, 1), (2, 2), (2, 2), 24),
        ((29, 31), 300, 14, (1, 1), (1, 1), (0, 0), (1, 1), 1),
        ((37, 66), 16, 1, (3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((37, 66), 4, 2, (3, 3), (1, 1), (1, 1), (1, 1), 2),
    ],
)
def test_any_tiling(size, c_in, c_out, kernel, stride, padding, dilation, groups, dtype, isa):
    """Each tile from the crop that its windows see, the padding only where they reach over the edge of the image."""
    x, w, b = (real(i, *shape, dtype=dtype) for i, shape in enumerate(
        ((2, c_in, *size), (c_out, c_in // groups, *kernel), (c_out,))))  # fmt: skip
    options = {"stride": stride, "dilation": dilation, "groups": groups, "algorithm": "direct"}
    whole = fastconv.conv2d(x, w, b, padding=padding, **options)

    def crop(axis, first, last):
        """The input that outputs first .. last - 1 read on an axis, and how far they reach beyond."""
        start = first * stride[axis] - padding[axis]
        stop = (last - 1) * stride[axis] - padding[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        return slice(max(start, 0), min(stop, size[axis])), (max(-start, 0), max(stop - size[axis], 0))

    height, width = whole.shape[2:]
    for rows, columns in ((1, width), (5, 7), (height, 16), (8, 33)):
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                bottom, right = min(top + rows, height), min(left + columns, width)
                (ys, pad_y), (xs, pad_x) = crop(0, top, bottom), crop(1, left, right)
                tile = fastconv.conv2d(x[..., ys, xs], w, b, padding=(pad_y, pad_x), **options)
                assert_same_bits(tile, whole[..., top:bottom, left:right].copy())


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(4, 2, 1, 1), (3, 2, 1, 1), (2, 2, 0, 1), (3, 3, 2, 2)]
)
def test_any_tiling_of_a_transposed_convolution(kernel, stride, padding, dilation, isa):
    """Rows [a, b) read the pixels ceil((a + P - d(K-1)) / S) .. floor((b - 1 + P) / S)."""
    x, w, b = real(0, 1, 16, 19, 21), real(1, 16, 14, kernel, kernel), real(2, 14)
    reach = dilation * (kernel - 1)
    options = {"dilation": dilation, "algorithm": "direct"}
    whole = fastconv.conv_transpose2d(x, w, b, stride, padding, **options)
    height = whole.shape[2]
    for rows in (1, 4, 7):
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            first = max(min(-((reach - top - padding) // stride), (top + padding) // stride), 0)
            last = min((bottom - 1 + padding) // stride, x.shape[2] - 1)
            lo = top + padding - first * stride
            full = stride * (last - first) + reach + 1
            hi = full - lo - (bottom - top)
            assert min(lo, hi) >= 0
            crop = x[:, :, first : last + 1]
            tile = fastconv.conv_transpose2d(crop, w, b, stride, ((lo, hi), (padding, padding)), **options)
            assert_same_bits(tile, whole[:, :, top:bottom].copy())


def at_offset(array, offset):
    """A copy of the array that begins so many bytes after a multiple of 64."""
    raw = np.zeros(array.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + offset
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.parametrize("name", ROADS)
def test_any_alignment(name, isa):
    x, layer = road(name)
    expected = layer(x)
    for offset in (0, 4, 16, 28, 32, 60):
        out = at_offset(np.zeros_like(expected), (60 - offset) % 64)
        assert_same_bits(layer(at_offset(x, offset), out=out), expected)
    assert_same_bits(layer(misaligned(x)), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients(dtype, isa):
    """Of any number of threads, and however arrays lie: the weight's is a sum over the batch, so not of any split."""
    shapes = (3, 16, 40, 41), (3, 24, 40, 41), (24, 16, 3, 3), (3, 16, 20, 21), (3, 24, 81, 83), (3, 16, 40, 42)
    x, g, w, pooled, up, fine = (real(i, *shape, dtype=dtype) for i, shape in enumerate(shapes))

    def gradients(turn):
        yield from grad.conv2d_backward(turn(g), turn(x), turn(w), padding=1)
        yield from grad.conv_transpose2d_backward(turn(up), turn(x), turn(w.swapaxes(0, 1)), stride=2, padding=0)
        yield grad.avg_pool2d_input(x.shape, turn(pooled), 3, 2, 1)
        yield grad.interpolate_input(pooled.shape, turn(fine), 2, "bilinear")

    with fastconv.threads(1):
        expected = list(gradients(np.ascontiguousarray))
    for count, turn in (
        (2, np.ascontiguousarray),
        (3, np.asfortranarray),
        (1, lambda a: at_offset(a, 28)),
        (1, misaligned),
        (1, lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)),  # channels last
        (2, lambda a: np.pad(a, 1)[1:-1, 1:-1, 1:-1, 1:-1]),
    ):
        with fastconv.threads(count):
            for one, other in zip(gradients(turn), expected, strict=True):
                assert_same_bits(one, other)
