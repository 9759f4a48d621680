"""One call for every road through the core."""

from functools import partial

import numpy as np
from strategies import fill

import fastconv


def real(seed, *shape, dtype="float32"):
    return fill(np.random.default_rng(seed), shape, dtype, "real")


# Every road through the core, each large enough to be worth sharing: (input shape, a function from weights of a dtype).
ROADS = {
    "3x3": ((3, 16, 40, 41), lambda w: fastconv.Conv2d(w(24, 16, 3, 3), w(24), padding=1)),
    "3x3 direct": ((3, 16, 40, 41), lambda w: fastconv.Conv2d(w(24, 16, 3, 3), w(24), padding=1, algorithm="direct")),
    "1x1": ((3, 64, 29, 31), lambda w: fastconv.Conv2d(w(40, 64, 1, 1), w(40))),
    "few pixels": ((2, 128, 5, 5), lambda w: fastconv.Conv2d(w(300, 128, 3, 3), w(300), padding=1)),
    "turned": ((3, 256, 7, 7), lambda w: fastconv.Conv2d(w(300, 256, 1, 1), w(300), activation="silu")),
    "strided, tiles": ((3, 44, 70, 71), lambda w: fastconv.Conv2d(w(64, 44, 3, 3), w(64), padding=1, stride=2)),
    "strided": ((3, 3, 95, 97), lambda w: fastconv.Conv2d(w(24, 3, 7, 7), w(24), stride=2, padding=3)),
    "dilated": ((3, 16, 40, 41), lambda w: fastconv.Conv2d(w(24, 16, 3, 3), None, padding=4, dilation=(4, 3))),
    "one output": ((3, 16, 60, 61), lambda w: fastconv.Conv2d(w(1, 16, 5, 5), w(1))),
    "large kernel": ((3, 2, 90, 83), lambda w: fastconv.Conv2d(w(3, 2, 15, 15), w(3), padding=7)),
    "depthwise": ((3, 48, 40, 41), lambda w: fastconv.Conv2d(w(48, 1, 3, 3), w(48), padding=1, groups=48)),
    "grouped": ((3, 48, 40, 41), lambda w: fastconv.Conv2d(w(48, 12, 3, 3), w(48), padding=1, groups=4)),
    "1-D": ((3, 24, 1501), lambda w: fastconv.Conv1d(w(30, 24, 9), w(30), padding="same")),
    "3-D": ((3, 8, 12, 17, 19), lambda w: fastconv.Conv3d(w(12, 8, 3, 3, 3), w(12), padding=1)),
    "transposed": ((3, 32, 23, 21), lambda w: fastconv.ConvTranspose2d(w(32, 24, 4, 4), w(24), stride=2, padding=1)),
    "transposed to few": (
        (3, 64, 23, 21),
        lambda w: fastconv.ConvTranspose2d(w(64, 3, 4, 4), w(3), stride=2, padding=1),
    ),
    "transposed k2s2": ((3, 32, 23, 21), lambda w: fastconv.ConvTranspose2d(w(32, 24, 2, 2), w(24), stride=2)),
    "sub-pixel": ((3, 32, 31, 33), lambda w: fastconv.SubpixelConv2d(w(12, 32, 3, 3), w(12), 2, padding=1)),
    "reflected": (
        (3, 16, 40, 41),
        lambda w: fastconv.Conv2d(
            w(24, 16, 3, 3), w(24), padding=3, padding_mode="reflect", stride=2, algorithm="direct"
        ),
    ),
    "silu": ((3, 16, 40, 41), lambda w: fastconv.Conv2d(w(24, 16, 3, 3), w(24), padding=1, activation="silu")),
    "last": ((3, 40, 41, 16), lambda w: fastconv.Conv2d(w(24, 16, 3, 3), w(24), padding=1, layout="NHWC")),
    "last, rows of pixels": (
        (3, 40, 41, 3),
        lambda w: fastconv.Conv2d(w(24, 3, 3, 3), w(24), padding=1, layout="NHWC", activation="relu"),
    ),
    "last, rows of pixels, groups": (
        (3, 40, 41, 96),
        lambda w: fastconv.Conv2d(w(60, 32, 3, 3), w(60), stride=2, groups=3, layout="NHWC", activation="silu"),
    ),
    "last, dots": (
        (3, 29, 31, 64),
        lambda w: fastconv.Conv2d(w(3, 64, 1, 1), w(3), layout="NHWC", activation="sigmoid"),
    ),
    "last, sums": (
        (3, 29, 31, 64),
        lambda w: fastconv.Conv2d(w(1, 64, 1, 1), w(1), layout="NHWC", activation="sigmoid"),
    ),
    "last, 1x1": ((3, 29, 31, 64), lambda w: fastconv.Conv2d(w(80, 64, 1, 1), w(80), layout="NHWC")),
    "last, strided": (
        (3, 40, 41, 70),
        lambda w: fastconv.Conv2d(w(24, 70, 3, 3), w(24), stride=2, layout="NHWC", algorithm="direct"),
    ),
    "last, depthwise": ((3, 40, 41, 48), lambda w: fastconv.Conv2d(w(48, 1, 3, 3), w(48), groups=48, layout="NHWC")),
    "last, depthwise, from a copy": (
        (2, 9, 40, 512),
        lambda w: fastconv.Conv2d(w(512, 1, 3, 3), w(512), padding=1, groups=512, layout="NHWC"),
    ),
    "last, one output": ((3, 29, 31, 64), lambda w: fastconv.Conv2d(w(1, 64, 3, 3), w(1), padding=1, layout="NHWC")),
    "last, two outputs of a channel": (
        (3, 29, 31, 40),
        lambda w: fastconv.Conv2d(w(80, 1, 3, 3), w(80), padding=1, groups=40, layout="NHWC"),
    ),
    "last, depthwise phases": (
        (3, 23, 21, 40),
        lambda w: fastconv.ConvTranspose2d(w(40, 1, 4, 4), w(40), stride=2, padding=1, groups=40, layout="NHWC"),
    ),
    "last, 64 phases": (
        (2, 19, 21, 16),
        lambda w: fastconv.ConvTranspose2d(w(16, 12, 16, 16), w(12), stride=8, padding=4, layout="NHWC"),
    ),
    "last, colours": (
        (3, 90, 91, 3),
        lambda w: fastconv.Conv2d(w(3, 1, 5, 5), w(3), padding=2, groups=3, layout="NHWC", activation="relu"),
    ),
    "maximum": ((3, 16, 40, 41), lambda w: partial(fastconv.max_pool2d, kernel_size=3, stride=2, padding=1)),
    "average": ((3, 16, 40, 41), lambda w: partial(fastconv.avg_pool2d, kernel_size=3, stride=2, padding=1)),
    "adaptive": ((3, 16, 40, 41), lambda w: partial(fastconv.adaptive_avg_pool2d, output_size=(7, 9))),
    "nearest": ((3, 16, 40, 41), lambda w: partial(fastconv.interpolate, scale_factor=2)),
    "bilinear": ((3, 16, 40, 41), lambda w: partial(fastconv.interpolate, size=(57, 90), mode="bilinear")),
    "resize, convolve": (
        (3, 16, 40, 41),
        lambda w: partial(fastconv.resize_conv2d, weight=w(5, 16, 3, 3), scale_factor=1.5, mode="bilinear"),
    ),
    "shuffle": ((3, 48, 40, 41), lambda w: partial(fastconv.pixel_shuffle, upscale_factor=4)),
    "unshuffle": ((3, 8, 60, 63), lambda w: partial(fastconv.pixel_unshuffle, downscale_factor=3)),
}


def road(name, dtype="float32"):
    shape, build = ROADS[name]
    return real(0, *shape, dtype=dtype), build(lambda *weight_shape: real(1, *weight_shape, dtype=dtype))
