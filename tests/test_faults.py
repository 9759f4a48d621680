"""Memory runs out at every allocation in turn: MemoryError, nothing lost, and the next call is right.

A preloaded library (`faults.c`) makes the n-th allocation of the extension module fail, for n = 1, 2, ... until a call
gets through without a failure. Threads that cannot be started are no error: the call does with fewer.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conditions import linux, sanitized

compiler = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(
    not linux or sanitized or compiler is None, reason="needs a C compiler and its own malloc"
)

SETTING = """
import ctypes, gc, sys
import numpy as np, fastconv as fc
from fastconv import _core, grad

fc.set_num_threads(2)
rng = np.random.default_rng(0)

def real(*shape, dtype="f4"):
    return rng.standard_normal(shape).astype(dtype)

def convolution(kind, x, w, *more, dtype="f4", residual=None, **settings):
    outputs = w[1] if "Trans" in kind else w[0]
    arrays = [real(*shape, dtype=dtype) for shape in (x, w, (outputs,), *([residual] if residual else []))]
    return (lambda x, w, b, r=None: getattr(fc, kind)(w, b, *more, **settings)(x, residual=r)), *arrays

CALLS = {
    "panels": convolution("Conv2d", (2, 20, 19, 33), (30, 20, 3, 3), algorithm="direct", padding=1),
    "strips": convolution("Conv2d", (1, 3, 90, 90), (16, 3, 3, 3), padding=1),
    "filter": convolution("Conv2d", (1, 1, 200, 300), (1, 1, 3, 3), padding=1),
    "1x1": convolution("Conv2d", (1, 64, 28, 28), (64, 64, 1, 1)),
    "float64": convolution("Conv2d", (2, 20, 19, 33), (30, 20, 3, 3), dtype="f8"),
    "float16": convolution("Conv2d", (2, 20, 19, 33), (30, 20, 3, 3), dtype="f2", padding=1),
    "depthwise": convolution("Conv2d", (2, 64, 14, 14), (64, 1, 3, 3), padding=1, groups=64),
    "winograd": convolution("Conv2d", (1, 64, 28, 28), (64, 64, 3, 3), padding=1),
    "winograd, stride": convolution("Conv2d", (1, 64, 57, 57), (64, 64, 3, 3), padding=1, stride=2),
    "winograd, reflected": convolution("Conv2d", (1, 64, 28, 28), (64, 64, 3, 3), padding=1, padding_mode="reflect"),
    "fourier": convolution("Conv2d", (1, 1, 99, 99), (1, 1, 31, 31)),
    "transposed": convolution("ConvTranspose2d", (1, 64, 20, 20), (64, 64, 4, 4), stride=2, padding=1),
    "taps first": convolution("ConvTranspose2d", (1, 64, 20, 20), (64, 3, 4, 4), stride=2, padding=1),
    "patches": (lambda x, w, b: fc.conv_transpose2d(x, w, b, stride=2, padding=1), real(1, 128, 4, 4),
                real(128, 64, 8, 8), real(64)),
    "sub-pixel": convolution("SubpixelConv2d", (1, 64, 20, 20), (36, 64, 3, 3), 3, padding=1),
    "last": convolution("Conv2d", (1, 30, 31, 20), (30, 20, 3, 3), layout="NHWC", activation="silu"),
    "last, pixels": convolution("Conv2d", (2, 30, 31, 20), (30, 20, 3, 3), layout="NHWC", padding=1, stride=2,
                                algorithm="direct", residual=(2, 15, 16, 30)),
    "last, patches": convolution("Conv2d", (1, 30, 31, 32), (3, 32, 3, 3), layout="NHWC", padding=1),
    "turned, residual": convolution("Conv2d", (2, 256, 7, 7), (300, 256, 1, 1), residual=(2, 300, 7, 7)),
    "last, winograd": convolution("Conv2d", (1, 28, 28, 64), (64, 64, 3, 3), layout="NHWC", padding=1),
    "last, depthwise": convolution("Conv2d", (1, 14, 14, 64), (64, 1, 3, 3), layout="NHWC", padding=1, groups=64),
    "last, depthwise phases": (
        lambda x, w: fc.ConvTranspose2d(w, stride=2, padding=1, groups=40, layout="NHWC")(x),
        real(2, 20, 21, 40), real(40, 1, 4, 4)),
    "last, 64 phases": convolution("ConvTranspose2d", (2, 19, 21, 16), (16, 12, 16, 16), layout="NHWC", stride=8,
                                   padding=4),
    "panels, residual": convolution("Conv2d", (1, 20, 19, 33), (30, 20, 3, 3), padding=1, algorithm="direct",
                                    residual=(1, 30, 19, 33)),
    "depthwise, residual": convolution("Conv2d", (1, 64, 14, 14), (64, 1, 3, 3), padding=1, groups=64,
                                       residual=(1, 64, 14, 14)),
    "winograd, residual": convolution("Conv2d", (1, 64, 28, 28), (64, 64, 3, 3), padding=1, residual=(1, 64, 28, 28)),
    "fourier, residual": convolution("Conv2d", (1, 1, 99, 99), (1, 1, 31, 31), residual=(1, 1, 69, 69)),
    "shuffle": (lambda x: fc.pixel_shuffle(x, 2), real(2, 64, 64, 64)),
    "unshuffle": (lambda x: fc.pixel_unshuffle(x, 3), real(2, 7, 99, 99)),
    "shuffle, last": (lambda x: fc.pixel_shuffle(x, 2, layout="NHWC"), real(2, 64, 64, 64)),
    "max": (lambda x: fc.max_pool2d(x, 3, 2, 1), real(2, 64, 56, 56)),
    "max, indices": (lambda x: fc.max_pool2d(x, 3, 2, 1, return_indices=True)[1], real(2, 64, 56, 56)),
    "average": (lambda x: fc.avg_pool2d(x, 3, 2, 1), real(2, 64, 56, 56)),
    "adaptive": (lambda x: fc.adaptive_avg_pool2d(x, (3, 5)), real(2, 64, 56, 56)),
    "nearest": (lambda x: fc.interpolate(x, scale_factor=2), real(2, 64, 28, 28)),
    "bilinear": (lambda x: fc.interpolate(x, scale_factor=2, mode="bilinear"), real(2, 64, 28, 28)),
    "resize, convolve": (lambda x, w: fc.resize_conv2d(x, w, scale_factor=2, mode="bilinear", padding=1),
                         real(2, 16, 28, 28), real(16, 16, 3, 3)),
    "gradients": (lambda g, x, w: grad.conv2d_backward(g, x, w, padding=1)[1],
                  real(2, 24, 28, 28), real(2, 16, 28, 28), real(24, 16, 3, 3)),
    "gradient of max": (lambda g, i: grad.max_pool2d_input((2, 64, 56, 56), i, g), real(2, 64, 28, 28),
                        fc.max_pool2d(real(2, 64, 56, 56), 3, 2, 1, return_indices=True)[1]),
    "gradient of bilinear": (lambda g: grad.interpolate_input((2, 64, 28, 28), g, 2, "bilinear"), real(2, 64, 56, 56)),
}

faults = ctypes.CDLL(None)
with open("/proc/self/maps") as maps:
    ranges = [line.split()[0].split("-") for line in maps if "_core.cpython" in line]
faults.faults_watch(ctypes.c_void_p(int(ranges[0][0], 16)), ctypes.c_void_p(int(ranges[-1][1], 16)))
faults.faults_at.argtypes = (ctypes.c_long,)
faults.faults_outstanding.restype = faults.faults_failed.restype = ctypes.c_long

def forget():
    'Engines and tables are kept for the next call: without them each call allocates all that it needs.'
    for module in [m for name, m in sys.modules.items() if name.startswith("fastconv")]:
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    gc.collect()

def state(arrays):
    forget()
    return faults.faults_outstanding(), [sys.getrefcount(a) for a in arrays]

def exhaust(name):
    function, *arrays = CALLS[name]
    expected = function(*arrays)
    before, n, refused = state(arrays), 0, 0
    while True:
        n += 1
        forget()
        _core.stop_threads()
        faults.faults_at(n)
        try:
            got = function(*arrays)
        except MemoryError:
            refused += 1
            got = None
        finally:
            failed = faults.faults_failed()
            faults.faults_at(0)
        if got is not None:
            assert np.array_equal(got, expected), (name, n)
        if not failed:
            break
        assert state(arrays) == before, (name, n, before, state(arrays))
        assert np.array_equal(function(*arrays), expected), (name, n)
    print(name, n - 1, refused)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("faults") / "faults.so"
    source = Path(__file__).parent / "faults.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", path, source, "-ldl", "-pthread"], check=True)
    return path


def test_every_allocation_in_turn(library, python, isa):
    code = f"{SETTING}\n_core.use_isa({isa!r})\nfor name in CALLS:\n    exhaust(name)\n"
    preload = os.pathsep.join(filter(None, [str(library), os.environ.get("LD_PRELOAD")]))
    done = python(code, timeout=600, LD_PRELOAD=preload)
    assert done.returncode == 0, done.stderr
    # The name of a call, faults, and those of them that were reported: a thread that cannot start is none.
    counts = {line.rsplit(None, 2)[0]: list(map(int, line.split()[-2:])) for line in done.stdout.splitlines()}
    print(f"{isa}: {sum(faults for faults, _ in counts.values())} faults in {len(counts)} calls")
    assert len(counts) >= 33
    assert all(faults >= 1 for faults, _ in counts.values()), counts
    assert sum(refused for _, refused in counts.values()) > 300
