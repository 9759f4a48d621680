"""Nothing beyond the ends of any array: every operator, on arrays that end at an unmapped page or begin after one.

A stray access stops the process, and faulthandler names the test. Outputs are surrounded by canaries.
"""

import numpy as np
import pytest
from conditions import linux
from guard import Guard
from tolerances import assert_same_bits

import fastconv as fc
from fastconv import grad

pytestmark = pytest.mark.skipif(not linux, reason="needs mprotect")

SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65)


def real(*shape, dtype="f4"):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def check(function, *arrays, at_end, out=True):
    """The same result as with arrays that lie anywhere."""
    expected = function(*arrays)
    with Guard(at_end) as guard:
        placed = [guard.input(array) for array in arrays]
        if out:
            y = guard.output(expected.shape, expected.dtype)
            function(*placed, out=y)
            got = guard.take(y)
        else:
            got = function(*placed)
        for one, other in zip(*((r if isinstance(r, tuple) else (r,)) for r in (got, expected)), strict=True):
            assert_same_bits(one, other)
        guard.check()


def options(function, *positional, **settings):
    return lambda *arrays, **more: function(*arrays, *positional, **settings, **more)


@pytest.fixture(params=[True, False], ids=["ends_at_page", "begins_at_page"])
def at_end(request):
    return request.param


@pytest.mark.parametrize("outputs", [1, 3, 6, 15, 29])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_convolutions(outputs, dtype, at_end, isa):
    for n in SIZES:
        x, b = real(1, 2, 3, n, dtype=dtype), real(outputs, dtype=dtype)
        w = {kernel: real(outputs, 2, *kernel, dtype=dtype) for kernel in ((3, 3), (1, 1), (3, 2))}
        check(options(fc.conv2d, padding=1, algorithm="direct"), x, w[3, 3], b, at_end=at_end)
        check(options(fc.conv2d, padding=1), x, w[3, 3], b, at_end=at_end)
        check(options(fc.conv2d), x, w[1, 1], b, at_end=at_end)
        check(options(fc.conv2d, stride=(1, 2), padding=2), x, w[3, 2], b, at_end=at_end)
        check(options(fc.conv2d, padding=(1, 0), padding_mode="reflect"), x, w[1, 1], b, at_end=at_end)
        depthwise = real(2 * outputs, 1, 3, 3, dtype=dtype)
        check(options(fc.conv2d, padding=1, groups=2), x, depthwise, real(2 * outputs, dtype=dtype), at_end=at_end)
        turned = real(2, outputs, 3, 3, dtype=dtype)
        up = options(fc.conv_transpose2d, stride=2, padding=1, output_padding=1)
        check(up, x, turned, b, at_end=at_end)
        many = real(4 * outputs, 2, 3, 3, dtype=dtype), real(4 * outputs, dtype=dtype)
        check(options(fc.subpixel_conv2d, upscale_factor=2, padding=1), x, *many, at_end=at_end)
        residual = real(1, outputs, 3, n, dtype=dtype)
        ended = lambda x, w, r, **more: fc.conv2d(x, w, padding=1, residual=r, activation="silu", **more)  # noqa: E731
        check(ended, x, w[3, 3], residual, at_end=at_end)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_channels_last(dtype, at_end, isa):
    for n in SIZES:
        x = real(1, 3, 5, n, dtype=dtype)
        for settings in ({}, {"algorithm": "direct"}, {"stride": 2}):
            w = real(7, n, 3, 3, dtype=dtype)
            check(options(fc.conv2d, padding=1, layout="NHWC", **settings), x, w, at_end=at_end)
        check(options(fc.conv2d, padding=1, groups=n, layout="NHWC"), x, real(n, 1, 3, 3, dtype=dtype), at_end=at_end)
        check(options(fc.conv2d, layout="NHWC"), x, real(9, n, 1, 1, dtype=dtype), at_end=at_end)
        check(options(fc.conv_transpose2d, stride=2, layout="NHWC"), x, real(n, 5, 2, 2, dtype=dtype), at_end=at_end)
        check(options(fc.pixel_shuffle, 2, layout="NHWC"), real(1, 3, n, 12, dtype=dtype), at_end=at_end)


@pytest.mark.parametrize(
    "settings", [{"k": 3}, {"k": 31, "padding": 15}, {"k": 3, "dilation": 4, "padding": 4}], ids=str
)
def test_fast_algorithms(settings, at_end, isa):
    kernel, settings = settings["k"], {k: v for k, v in settings.items() if k != "k"}
    for n in (36, 41, 50):
        channels, outputs = (2, 2) if kernel > 3 else (24, 24)
        x, w = real(1, channels, 40, n), real(outputs, channels, kernel, kernel)
        check(options(fc.conv2d, **settings), x, w, at_end=at_end)
    for n in (18, 20, 25):
        up = options(fc.conv_transpose2d, stride=2, padding=1)
        check(up, real(1, 32, 18, n), real(32, 24, 4, 4), at_end=at_end)
        check(up, real(1, 64, 9, n), real(64, 3, 4, 4), at_end=at_end)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8", "c16", "V3"])
def test_shuffles(dtype, at_end, isa):
    rng = np.random.default_rng(0)
    for n in SIZES:
        for r in (2, 3, 4, 8):
            shape = (1, 3 * r * r, 2, n)
            x = rng.integers(0, 256, np.prod(shape) * np.dtype(dtype).itemsize, np.uint8).view(dtype).reshape(shape)
            for order in ("crd", "dcr"):
                check(options(fc.pixel_shuffle, r, order=order), x, at_end=at_end)
                check(options(fc.pixel_unshuffle, r, order=order), fc.pixel_shuffle(x, r), at_end=at_end)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_ways_down_and_up(dtype, at_end, isa):
    for n in SIZES:
        x, g = real(2, 3, 5, n, dtype=dtype), real(2, 3, 3, (n + 1) // 2, dtype=dtype)
        for pool in (fc.max_pool2d, fc.avg_pool2d):
            check(options(pool, 3, 2, 1), x, at_end=at_end)
        indices = fc.max_pool2d(x, 3, 2, 1, return_indices=True)[1]
        check(lambda i, g, x=x: grad.max_pool2d_input(x.shape, i, g), indices, g, at_end=at_end, out=False)
        check(lambda g, x=x: grad.avg_pool2d_input(x.shape, g, 3, 2, 1), g, at_end=at_end, out=False)
        check(options(fc.adaptive_avg_pool2d, (2, 3)), x, at_end=at_end)
        for mode in ("nearest", "bilinear"):
            for factor in (2, 1.5):
                check(options(fc.interpolate, scale_factor=factor, mode=mode), x, at_end=at_end)
                g = fc.interpolate(x, scale_factor=factor, mode=mode)
                back = lambda g, x=x, f=factor, m=mode: grad.interpolate_input(x.shape, g, f, m)  # noqa: E731
                check(back, g, at_end=at_end, out=False)
            resized = options(fc.resize_conv2d, scale_factor=2, mode=mode, padding=1)
            check(resized, x, real(4, 3, 3, 3, dtype=dtype), at_end=at_end)
        check(options(fc.unfold, (3, 1), padding=(1, 0)), x, at_end=at_end, out=False)
        check(options(fc.zero_insert, 2), x, at_end=at_end, out=False)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_gradients(dtype, at_end, isa):
    for n in SIZES:
        x, w, g = real(1, 4, 5, n, dtype=dtype), real(7, 4, 3, 3, dtype=dtype), real(1, 7, 5, n, dtype=dtype)
        check(options(grad.conv2d_backward, padding=1), g, x, w, at_end=at_end, out=False)
        up = fc.conv_transpose2d(x, w.transpose(1, 0, 2, 3), stride=2)
        turned = np.ascontiguousarray(w.transpose(1, 0, 2, 3))
        check(options(grad.conv_transpose2d_backward, stride=2), up, x, turned, at_end=at_end, out=False)
        fine = real(1, 2, 10, 2 * n, dtype=dtype)
        back = options(grad.subpixel_conv2d_backward, upscale_factor=2, padding=1)
        check(back, fine, x, real(8, 4, 3, 3, dtype=dtype), at_end=at_end, out=False)
