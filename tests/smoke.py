"""A short tour of every operator, for machines that are slow or strange: `python tests/smoke.py [ISA expected]`."""

import sys

import numpy as np
import reference

import fastconv as fc
from fastconv import grad

if len(sys.argv) > 1:
    assert fc.show_config("dicts")["isa"]["in use"] == sys.argv[1], fc.show_config("dicts")["isa"]

rng = np.random.default_rng(0)


def whole(*shape, dtype):
    return rng.integers(-3, 4, shape).astype(dtype)


def same(got, expected):
    np.testing.assert_array_equal(got, expected)


for dtype in (np.float32, np.float64):
    x, b = whole(1, 5, 9, 19, dtype=dtype), whole(8, dtype=dtype)
    w, one, apart = whole(8, 5, 3, 3, dtype=dtype), whole(8, 5, 1, 1, dtype=dtype), whole(5, 1, 3, 3, dtype=dtype)
    for options in ({"padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 2}):
        same(fc.conv2d(x, w, b, **options, algorithm="direct"), reference.conv(x, w, b, **options))
    same(fc.conv2d(x, one, b), reference.conv(x, one, b))
    same(fc.conv2d(x, apart, padding=1, groups=5), reference.conv(x, apart, padding=1, groups=5))
    y = fc.conv2d(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), w, b, padding=1, layout="NHWC", activation="relu")
    same(y.transpose(0, 3, 1, 2), np.maximum(reference.conv(x, w, b, padding=1), 0))
    turned = whole(5, 3, 4, 4, dtype=dtype)
    same(fc.conv_transpose2d(x, turned, stride=2, padding=1), reference.conv_transpose(x, turned, None, 2, 1))
    same(fc.subpixel_conv2d(x, w, b, 2, padding=1), reference.pixel_shuffle(reference.conv(x, w, b, padding=1), (2, 2)))
    same(fc.max_pool2d(x, 3, 2, 1), reference.max_pool(x, [reference.pool_windows(i, 3, 2, 1, 1) for i in (9, 19)])[0])
    assert abs(fc.avg_pool2d(x, 3) - x[..., :18].reshape(1, 5, 3, 3, 6, 3).mean((3, 5))).max() < 1e-5
    same(fc.interpolate(x, scale_factor=2), x.repeat(2, 2).repeat(2, 3))
    g, v = whole(1, 8, 9, 19, dtype=dtype), whole(8, 5, 3, 3, dtype=dtype)
    gradient = grad.conv2d_weight(x, w.shape, g, padding=1)
    assert (gradient * v).sum() == (g * reference.conv(x, v, padding=1)).sum()
    fine = fc.interpolate(x, scale_factor=2, mode="bilinear")
    back = grad.interpolate_input(x.shape, np.ones_like(fine), 2, "bilinear")
    assert abs(back.sum() - fine.size) < 1e-2
for dtype in ("u1", "f2", "f4", "c16", "V3"):
    x = rng.integers(0, 256, 12 * 3 * 17 * np.dtype(dtype).itemsize, np.uint8).view(dtype).reshape(12, 3, 17)
    for order in ("crd", "dcr"):
        y = fc.pixel_shuffle(x, 2, order=order)
        assert y.tobytes() == reference.pixel_shuffle(x, (2, 2), order).tobytes()
        assert fc.pixel_unshuffle(y, 2, order=order).tobytes() == x.tobytes()

# By tiles, by Fourier transforms, and by two threads.
x, w = whole(1, 32, 26, 26, dtype=np.float32), whole(32, 32, 3, 3, dtype=np.float32)
exact = reference.conv(x, w, padding=1)
with fc.threads(2):
    assert abs(fc.conv2d(x, w, padding=1) - exact).max() <= 1e-5 * abs(exact).max()
x, w = whole(1, 44, 40, 40, dtype=np.float32), whole(32, 44, 3, 3, dtype=np.float32)  # 44 are no whole vectors
exact = reference.conv(x, w, padding=1, stride=2)
assert abs(fc.Conv2d(w, padding=1, stride=2)(x) - exact).max() <= 1e-5 * abs(exact).max()
x, w = whole(1, 1, 60, 60, dtype=np.float32), whole(1, 1, 31, 31, dtype=np.float32)
exact = reference.conv(x, w)
assert abs(fc.conv2d(x, w) - exact).max() <= 1e-5 * abs(exact).max()
print("smoke passed on", fc.show_config("dicts")["isa"]["in use"])
