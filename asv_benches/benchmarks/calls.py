"""What a call costs beside its sums: plans reused or not, tiny inputs, imports, the size of what is installed."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from statistics import median

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
    track_function_over_layer.pretty_name = "Weights at every call: over the layer"
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

    time_call.pretty_name = "A tiny call: seconds"
    time_call.version = "1"


class Start:
    """Milliseconds within a new process, the median of nine: the import behind NumPy's, and the first call after it."""

    def track_import(self):
        return self._median("import numpy", "import fastconv")

    track_import.unit = "ms"
    track_import.pretty_name = "Import, behind NumPy's"
    track_import.version = "1"

    def track_first_call(self):
        before = "import numpy as n, fastconv as f; x = n.ones((1, 8, 32, 32), 'f4'); w = n.ones((8, 8, 3, 3), 'f4')"
        return self._median(before, "f.conv2d(x, w)")

    track_first_call.unit = "ms"
    track_first_call.pretty_name = "First call"
    track_first_call.version = "1"

    @staticmethod
    def _median(before, timed):
        code = f"from time import perf_counter as c; {before}; t = c(); {timed}; print(c() - t)"
        command = [sys.executable, "-c", code]
        return 1e3 * median(
            float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(9)
        )


class Size:
    """Bytes of the installed package, without what was compiled for a cache."""

    def track_installed(self):
        root = Path(fastconv.__file__).parent
        return sum(p.stat().st_size for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)

    def track_wheel(self):
        """The installed package zipped as a wheel is, which it comes out of but for some hundred bytes of metadata."""
        root = Path(fastconv.__file__).parent
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
            for path in sorted(root.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    wheel.write(path, path.relative_to(root.parent))
        return len(packed.getvalue())

    track_wheel.unit = "bytes"
    track_wheel.pretty_name = "Wheel: bytes"
    track_wheel.version = "1"

    track_installed.unit = "bytes"
    track_installed.pretty_name = "Installed: bytes"
    track_installed.version = "1"


class Memory:
    """Peak memory of a process that convolves 3x3, 64 at 512x512: input, output, weights and workspace."""

    def peakmem_conv(self):
        rng = np.random.default_rng(0)
        x, w = rng.standard_normal((1, 64, 512, 512)).astype("f4"), rng.standard_normal((64, 64, 3, 3)).astype("f4")
        fastconv.conv2d(x, w, padding=1)

    peakmem_conv.pretty_name = "Peak memory of a large call"
    peakmem_conv.version = "1"
