"""Depthwise convolution: how long, and against which ceiling."""

from .common import _AgainstPeak, _AgainstTorch, _Times

LAYERS = [
    "mobilenet_dw3x3_32_112x112",
    "mobilenet_dw3x3s2_64_112x112",
    "mobilenet_dw3x3_512_14x14",
    "convnext_dw7x7_96_56x56",
]


class DepthwiseTime(_Times):
    params = (LAYERS,)
    pretty_name = "Depthwise: seconds"


class DepthwiseOverPeak(_AgainstPeak):
    params = (LAYERS,)
    pretty_name = "Depthwise: over the FMA peak"


class DepthwiseOverTorch(_AgainstTorch):
    params = (LAYERS,)
    pretty_name = "Depthwise: over torch"
