"""Gradients of convolutions, by input and weight together: beside torch's autograd."""

import numpy as np

import fastconv

from .layers import LAYERS, arrays, runner
from .measure import seconds

NAMES = ["resnet50_3x3_64_56x56", "drn_3x3d2_512_28x28", "dcgan_4x4s2_256to128_16x16"]
BACKWARD = {"Conv2d": "conv2d_backward", "ConvTranspose2d": "conv_transpose2d_backward"}


class Gradients:
    """Time of `*_backward` (input and weight) over that of `torch.autograd.grad`, in turn in one process."""

    params = (NAMES,)
    param_names = ("layer",)

    def setup(self, name):
        fastconv.set_num_threads(1)
        operator, _, _, settings = LAYERS[name]
        if not hasattr(fastconv, "grad"):
            raise NotImplementedError("no gradients yet")
        x, w = arrays(name)
        y = runner(name)()
        g = np.random.default_rng(1).standard_normal(y.shape).astype("f4")
        backward = getattr(fastconv.grad, BACKWARD[operator])
        self.backward = lambda: backward(g, x, w, **settings, needs=(True, True, False))
        self.arrays = x, w, g

    def time_backward(self, name):
        self.backward()

    time_backward.pretty_name = "Gradients: seconds"
    time_backward.version = "1"

    def track_backward_over_torch(self, name):
        try:
            import torch
        except ImportError as error:
            raise NotImplementedError("torch is not installed") from error
        torch.set_num_threads(1)
        operator, _, _, settings = LAYERS[name]
        function = getattr(torch.nn.functional, {"Conv2d": "conv2d", "ConvTranspose2d": "conv_transpose2d"}[operator])
        x, w, g = (torch.from_numpy(a) for a in self.arrays)
        inputs = x.requires_grad_(), w.requires_grad_()
        y = function(*inputs, **settings)
        ours, torchs = seconds(self.backward, lambda: torch.autograd.grad(y, inputs, g, retain_graph=True))
        return ours / torchs

    track_backward_over_torch.pretty_name = "Gradients: over torch"
    track_backward_over_torch.unit = "times torch"
    track_backward_over_torch.version = "1"
