"""Float64, and each instruction set: time over the peak of that arithmetic, as in the modules of the operators."""

import numpy as np

import fastconv
from fastconv import _core

from .layers import multiply_adds, runner
from .measure import peak, seconds


class Float64:
    """Time of float64 over that of the multiply-adds at half of the float32 peak, measured in the same process."""

    params = (["resnet50_3x3_64_56x56", "resnet50_1x1_64to256_56x56", "context_3x3d4_64_64x64"],)
    param_names = ("layer",)

    def track_float64_over_peak(self, name):
        fastconv.set_num_threads(1)
        rate = peak() / 2
        (taken,) = seconds(runner(name, np.float64))
        return taken * rate / multiply_adds(name)

    track_float64_over_peak.pretty_name = "float64: over its FMA peak"
    track_float64_over_peak.unit = "times the direct sum at the float64 FMA peak"
    track_float64_over_peak.version = "1"


class InstructionSets:
    """Time of a direct 3x3 convolution (64 at 56x56) with each instruction set, over its own FMA peak."""

    params = (["baseline", "avx2", "avx512"],)
    param_names = ("instruction set",)

    def track_time_over_peak(self, isa):
        if not hasattr(_core, "available_isas") or isa not in _core.available_isas():
            raise NotImplementedError(f"no {isa} here")
        fastconv.set_num_threads(1)
        before = _core.isa()
        _core.use_isa(isa)
        try:
            name = "resnet50_3x3_64_56x56"
            rate = peak()
            (taken,) = seconds(runner(name, algorithm="direct"), rounds=5 if isa == "baseline" else 15)
            return taken * rate / multiply_adds(name)
        finally:
            _core.use_isa(before)

    track_time_over_peak.pretty_name = "Instruction sets: over their FMA peaks"
    track_time_over_peak.unit = "times the direct sum at the FMA peak"
    track_time_over_peak.version = "1"
