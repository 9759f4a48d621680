"""The scratch memory of a call is a megabyte or two per thread, whatever the image: never a whole im2col matrix."""

import numpy as np
import pytest
from conditions import needs_true_memory

import fastconv

# Bytes of a thread. Direct: a panel or a strip, and at most 1 MiB of outputs before they are interleaved. Winograd:
# some tiles of all channels, transformed, and outputs before they are interleaved. Fourier: spectra of some columns.
WORKSPACE = {"direct": 2 << 20, "winograd": 12 << 20, "fourier": 2 << 20}
MARGIN = 8 << 20  # bytes that the process grows by at a large call besides: thread stacks, Python, NumPy


def ones(*shape):
    return np.ones(shape, np.float32)


LAYERS = {
    "3x3": lambda: fastconv.Conv2d(ones(64, 64, 3, 3), padding=1),
    "3x3 of many channels": lambda: fastconv.Conv2d(ones(512, 512, 3, 3), padding=1),
    "dilated": lambda: fastconv.Conv2d(ones(64, 64, 3, 3), padding=12, dilation=12),
    "strided": lambda: fastconv.Conv2d(ones(64, 64, 7, 7), padding=3, stride=2),
    "1x1": lambda: fastconv.Conv2d(ones(256, 64, 1, 1)),
    "one output": lambda: fastconv.Conv2d(ones(1, 64, 9, 9), padding=4),
    "depthwise": lambda: fastconv.Conv2d(ones(64, 1, 3, 3), padding=1, groups=64),
    "transposed": lambda: fastconv.ConvTranspose2d(ones(64, 64, 4, 4), stride=2, padding=1),
    "transposed to one": lambda: fastconv.ConvTranspose2d(ones(64, 1, 9, 9), stride=3, padding=4),
    "large kernel": lambda: fastconv.Conv2d(ones(3, 3, 31, 31), padding=15),
    "sub-pixel": lambda: fastconv.SubpixelConv2d(ones(48, 64, 3, 3), None, 4, padding=1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_stated_workspace_does_not_grow_with_the_image(name, isa):
    layer = LAYERS[name]()
    channels = layer.weight.shape[0 if name.startswith("transposed") else 1] * layer.groups
    with fastconv.threads(2):
        stated = [layer.describe((1, channels, size, size))["workspace_bytes"] for size in (64, 512, 2048, 8192)]
        algorithm = layer.describe((1, channels, 64, 64))["algorithm"].split()[0].strip(",")
    assert all(0 < size <= 2 * WORKSPACE[algorithm] for size in stated), stated


# The high-water mark of this very process image. (ru_maxrss will not do: a child starts with its parent's.)
MEASURE = """
import numpy as np, fastconv

def high_water():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

fastconv.set_num_threads(2)
fastconv.conv2d(np.ones((1, 8, 64, 64), np.float32), np.ones((8, 8, 3, 3), np.float32))  # whatever comes once
before = high_water()
"""


@needs_true_memory
@pytest.mark.parametrize(
    ("shape", "dtype", "weight", "call"),
    [
        ((64, 512, 512), "float32", (64, 64, 3, 3), "fastconv.conv2d(x, w, padding=1)"),
        ((64, 512, 512), "float32", (64, 64, 3, 3), "fastconv.conv2d(x, w, padding=1, algorithm='direct')"),
        ((32, 512, 512), "float64", (16, 32, 3, 3), "fastconv.conv2d(x, w, padding=2, dilation=2)"),
        ((64, 512, 512), "float32", (1, 64, 5, 5), "fastconv.conv2d(x, w, padding=2)"),
        ((64, 512, 512), "float32", (64, 1, 3, 3), "fastconv.conv2d(x, w, padding=1, groups=64)"),
        ((64, 512, 512), "float32", (64, 64, 3, 3), "fastconv.conv2d(x, w, padding=1, padding_mode='reflect')"),
        ((32, 512, 512), "float64", (16, 32, 3, 3), "fastconv.conv2d(x, w, padding=1, padding_mode='circular')"),
        ((64, 512, 512), "float32", (64, 64, 3, 3), "fastconv.conv2d(x, w, padding=1, activation='silu', residual=x)"),
        ((256, 256, 256), "float32", (32, 256, 1, 1), "fastconv.conv2d(x, w)"),
        ((64, 256, 256), "float32", (64, 16, 4, 4), "fastconv.conv_transpose2d(x, w, stride=2, padding=1)"),
        ((64, 256, 256), "float32", (48, 64, 3, 3), "fastconv.subpixel_conv2d(x, w, None, 4, padding=1)"),
        ((64, 512, 512), "float32", (1,), "fastconv.pixel_shuffle(x, 4)"),
    ],
    ids=[
        "3x3",
        "3x3 direct",
        "dilated",
        "one output",
        "depthwise",
        "reflect",
        "circular",
        "residual",
        "1x1",
        "transposed",
        "sub-pixel",
        "shuffle",
    ],
)
def test_peak_memory_of_a_large_call(shape, dtype, weight, call, python):
    """Input, output, weights, and the workspace: nothing else."""
    done = python(f"""{MEASURE}
x, w = np.ones((1, *{shape}), {dtype!r}), np.ones({weight}, {dtype!r})
y = {call}
print(high_water() - before, x.nbytes + w.nbytes + y.nbytes)
""")
    grown, arrays = map(int, done.stdout.split())
    assert grown >= arrays / 2, "the measurement itself does not work"
    assert grown <= arrays + 2 * WORKSPACE["direct" if "direct" in call else "winograd"] + MARGIN
