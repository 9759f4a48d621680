"""What the modules of the operators share: the questions asked of every layer."""

import fastconv

from .layers import multiply_adds, runner
from .measure import peak, seconds, torch_layer


class _Layers:
    """A class per operator says which layers; see the attributes for what its methods measure."""

    param_names = ("layer",)
    version = "1"

    def setup(self, name):
        fastconv.set_num_threads(1)
        try:
            self.run = runner(name)
        except (AttributeError, TypeError) as error:  # an old commit
            raise NotImplementedError(str(error)) from error


class _Times(_Layers):
    """Seconds of a call of one thread, weights packed before: to be compared on one machine only."""

    def time_layer(self, name):
        self.run()

    time_layer.version = "1"


class _AgainstPeak(_Layers):
    """Time over that of the definition's multiply-adds at the FMA peak measured in the same process.

    Lower is better; 1 is the ceiling of the direct sum, and a fast algorithm goes below it.
    """

    def track_time_over_peak(self, name):
        multiply_adds_per_second = peak()
        (taken,) = seconds(self.run)
        return taken * multiply_adds_per_second / multiply_adds(name)

    track_time_over_peak.unit = "times the direct sum at the FMA peak"
    track_time_over_peak.version = "1"


class _AgainstTorch(_Layers):
    """Time over torch's (oneDNN) for the same call, both in turn in one process. Lower is better."""

    def track_time_over_torch(self, name):
        ours, torchs = seconds(self.run, torch_layer(name))
        return ours / torchs

    track_time_over_torch.unit = "times torch"
    track_time_over_torch.version = "1"


class _AgainstMemcpy(_Layers):
    """Time over that of memcpy (`numpy.copyto`) of the same bytes, both in turn in one process. Lower is better."""

    def track_time_over_memcpy(self, name):
        import numpy as np

        source = np.ascontiguousarray(self.run())
        target = np.empty_like(source)
        ours, copied = seconds(self.run, lambda: np.copyto(target, source))
        return ours / copied

    track_time_over_memcpy.unit = "times memcpy"
    track_time_over_memcpy.version = "1"
