"""Arrays past 2**31 elements and 2**32 bytes: positions are counted in 64 bits everywhere.

Inputs are zero pages but for a few entries at both ends and around the 2**31st, so that they take no memory; outputs
are compared around those, and their sum with the sum that these give.
"""

import numpy as np
import pytest
import reference
from conditions import linux, sanitized

import fastconv

SIDE = 46_400  # squared: 2**31 + 5 million
MARKS = [(0, 0), (2**31 // SIDE, 2**31 % SIDE), (2**31 // SIDE, 2**31 % SIDE + 1), (SIDE - 1, SIDE - 1), (SIDE - 2, 7)]


def gigabytes_free():
    with open("/proc/meminfo") as meminfo:
        return next(int(line.split()[1]) for line in meminfo if line.startswith("MemAvailable")) / 2**20


pytestmark = pytest.mark.skipif(not linux or sanitized or gigabytes_free() < 12, reason="needs 12 GiB")


def marked(dtype):
    x = np.zeros((1, 1, SIDE, SIDE), dtype)
    for value, place in enumerate(MARKS, 1):
        x[(0, 0, *place)] = value
    return x


def around(x, h, w):
    """Rows and columns of x near a place, at an even distance from the start."""
    h0, w0 = max(0, h - 4) // 2 * 2, max(0, w - 4) // 2 * 2
    return (h0, w0), x[:, :, h0 : h0 + 12, w0 : w0 + 12]


def check_windows(x, y, function, step):
    """Outputs of windows that lie near a mark."""
    for place in MARKS:
        (h, w), part = around(x, *place)
        expected = function(part)[:, :, 2 // step : 8 // step, 2 // step : 8 // step]
        got = y[:, :, (h + 2) // step : (h + 8) // step, (w + 2) // step : (w + 8) // step]
        np.testing.assert_array_equal(got, expected[:, :, : got.shape[2], : got.shape[3]])


def test_convolution():
    x, w = marked("f4"), np.arange(1.0, 10).astype("f4").reshape(1, 1, 3, 3)
    y = fastconv.conv2d(x, w, stride=2)
    check_windows(x, y, lambda part: reference.conv(part, w, stride=2), 2)
    assert np.count_nonzero(y) < 4 * len(MARKS)


def test_pooling():
    x = marked("f4")
    y = fastconv.max_pool2d(x, 2)
    check_windows(x, y, lambda part: part.reshape(1, 1, part.shape[2] // 2, 2, part.shape[3] // 2, 2).max((3, 5)), 2)
    assert y.sum(dtype=np.float64) == 1 + 3 + 4 + 5  # 2 and 3 are neighbours


def test_gradient_of_the_weight():
    x = marked("f4")
    g = np.zeros((1, 1, SIDE // 16, SIDE // 16), "f4")
    h, w = 2**31 // SIDE // 16, 2**31 % SIDE // 16
    g[0, 0, h, w] = 1
    x[0, 0, 16 * h + 1, 16 * w + 2] = 7
    got = fastconv.grad.conv2d_weight(x, (1, 1, 3, 3), g, stride=16)
    assert got[0, 0, 1, 2] == 7
    assert np.count_nonzero(got) == 1


def test_transposed_convolution_and_resizing():
    x = np.zeros((1, 1, SIDE // 2, SIDE // 2), "f4")
    h, w = 2**31 // SIDE // 2, 2**31 % SIDE // 2
    x[0, 0, 0, 0], x[0, 0, h, w], x[0, 0, -1, -1] = 1, 2, 3
    kernel = np.arange(1.0, 5).astype("f4").reshape(1, 1, 2, 2)
    for function, block in (
        (lambda: fastconv.conv_transpose2d(x, kernel, stride=2), kernel),
        (lambda: fastconv.interpolate(x, scale_factor=2), np.ones((1, 1, 2, 2))),
    ):
        y = function()
        for value, (i, j) in ((1, (0, 0)), (2, (h, w)), (3, (SIDE // 2 - 1, SIDE // 2 - 1))):
            np.testing.assert_array_equal(y[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2], value * block)
        assert np.count_nonzero(y) == 12
        del y


@pytest.mark.parametrize("layout", [None, "NHWC"])
def test_shuffles(layout):
    size = SIDE // 4
    shape = (1, 16, size, size) if layout is None else (1, size, size, 16)
    x = np.zeros(shape, np.uint8)
    flat = x.reshape(-1)
    places = [0, 2**31 - 1, 2**31, 2**31 + 1, flat.size - 1]
    flat[places] = [1, 2, 3, 4, 5]
    y = fastconv.pixel_shuffle(x, 4, layout=layout)
    for value, place in zip((1, 2, 3, 4, 5), places, strict=True):
        at = np.unravel_index(place, shape)
        c, h, w = at[1:] if layout is None else (at[3], at[1], at[2])
        to = (4 * h + c // 4, 4 * w + c % 4)
        assert y[(0, 0, *to) if layout is None else (0, *to, 0)] == value
    assert np.count_nonzero(y) == 5
    assert np.array_equal(fastconv.pixel_unshuffle(y, 4, layout=layout).reshape(-1)[places], [1, 2, 3, 4, 5])


def test_very_many_images_of_one():
    """2**33 elements, the memory of one image."""
    image = np.random.default_rng(0).integers(-4, 5, (1, 1, 64, 64)).astype("f4")
    w = np.full((1, 1, 1, 1), 3, "f4")
    y = fastconv.conv2d(np.broadcast_to(image, (2**21, 1, 64, 64)), w, stride=63, algorithm="direct")
    assert y.shape == (2**21, 1, 2, 2)
    assert (y == 3 * image[:, :, ::63, ::63]).all()
