"""Dilated convolution: how long, and against which ceiling."""

from .common import _AgainstPeak, _AgainstTorch, _Times

LAYERS = [
    "drn_3x3d2_512_28x28",
    "context_3x3d4_64_64x64",
    "deeplab_aspp_3x3d12_256_33x33",
    "wavenet_2d64_64_4096",
]


class DilatedTime(_Times):
    params = (LAYERS,)
    pretty_name = "Dilated: seconds"


class DilatedOverPeak(_AgainstPeak):
    params = (LAYERS,)
    pretty_name = "Dilated: over the FMA peak"


class DilatedOverTorch(_AgainstTorch):
    params = (LAYERS,)
    pretty_name = "Dilated: over torch"
