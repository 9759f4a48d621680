"""Standard and strided convolution: how long, and against which ceiling."""

from .common import _AgainstPeak, _AgainstTorch, _Times

LAYERS = [
    "resnet50_3x3_64_56x56",
    "resnet50_3x3_256_14x14",
    "resnet50_3x3s2_128_56x56",
    "resnet50_7x7s2_3to64_224x224",
    "resnet50_1x1_64to256_56x56",
    "resnet50_1x1_1024to256_14x14",
    "vgg16_3x3_256_56x56",
    "filter_31x31_1_512x512",
]


class ConvTime(_Times):
    params = (LAYERS,)
    pretty_name = "Convolution: seconds"


class ConvOverPeak(_AgainstPeak):
    params = (LAYERS,)
    pretty_name = "Convolution: over the FMA peak"


class ConvOverTorch(_AgainstTorch):
    params = (LAYERS,)
    pretty_name = "Convolution: over torch"
