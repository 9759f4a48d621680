"""What a call costs beside its sums: plans reused or not, tiny inputs, imports, the size of what is installed."""

import subprocess
import sys
from pathlib import Path

import numpy as np

import fastconv

from .layers import function, runner
from .measure import seconds


class PlanReuse:
    """Time of the function, handed the weights at every call, over that of the layer, which has packed them."""

    params = (
        [
            "resnet50_3x3_64_56x56",
            "resnet50_3x3_256_14x14",
            "resnet50_1x1_1024to256_14x14",
            "mobilenet_dw3x3_512_14x14",
            "drn_3x3d2_512_28x28",
            "dcgan_4x4s2_256to128_16x16",
        ],
    )
    param_names = ("layer",)

    def track_function_over_layer(self, name):
        fastconv.set_num_threads(1)
        layer, call = seconds(runner(name), function(name))
        return call / layer

    track_function_over_layer.unit = "times the layer"
    track_function_over_layer.version = "1"


class TinyCall:
    """Seconds of a 3x3 convolution of 8 to 8 channels at 8x8, where Python is what takes the time."""

    params = (["function", "layer"],)
    param_names = ("form",)

    def setup(self, form):
        rng = np.random.default_rng(0)
        x, w = rng.standard_normal((1, 8, 8, 8)).astype("f4"), rng.standard_normal((8, 8, 3, 3)).astype("f4")
        layer = fastconv.Conv2d(w, padding=1)
        self.call = (lambda: layer(x)) if form == "layer" else (lambda: fastconv.conv2d(x, w, padding=1))

    def time_call(self, form):
        self.call()

    time_call.version = "1"


class Start:
    """Milliseconds of a new process: the import beyond NumPy's, and the first call of a convolution."""

    def track_import(self):
        return 1e3 * (self._median("import numpy, fastconv") - self._median("import numpy"))

    track_import.unit = "ms beyond importing NumPy"
    track_import.version = "1"

    def track_first_call(self):
        code = "import numpy as n, fastconv as f; x = n.ones((1, 8, 32, 32), 'f4'); w = n.ones((8, 8, 3, 3), 'f4')"
        return 1e3 * (self._median(code + "; f.conv2d(x, w)") - self._median(code))

    track_first_call.unit = "ms of the first call"
    track_first_call.version = "1"

    @staticmethod
    def _median(code):
        command = [sys.executable, "-c", code]
        (taken,) = seconds(lambda: subprocess.run(command, check=True), rounds=9)
        return taken


class Size:
    """Bytes of the installed package, without what was compiled for a cache."""

    def track_installed(self):
        root = Path(fastconv.__file__).parent
        return sum(p.stat().st_size for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)

    track_installed.unit = "bytes"
    track_installed.version = "1"


class Memory:
    """Peak memory of a process that convolves 3x3, 64 at 512x512: input, output, weights and workspace."""

    def peakmem_conv(self):
        rng = np.random.default_rng(0)
        x, w = rng.standard_normal((1, 64, 512, 512)).astype("f4"), rng.standard_normal((64, 64, 3, 3)).astype("f4")
        fastconv.conv2d(x, w, padding=1)

    peakmem_conv.version = "1"
