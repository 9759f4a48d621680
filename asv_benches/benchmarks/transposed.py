"""Transposed and sub-pixel convolution: how long, and against which ceiling."""

from .common import _AgainstPeak, _AgainstTorch, _Times

LAYERS = [
    "dcgan_4x4s2_256to128_16x16",
    "dcgan_4x4s2_64to3_32x32",
    "unet_2x2s2_128to64_28x28",
    "espcn_3x3_32to27_90x120_r3",
]


class TransposedTime(_Times):
    params = (LAYERS,)
    pretty_name = "Transposed, sub-pixel: seconds"


class TransposedOverPeak(_AgainstPeak):
    params = (LAYERS,)
    pretty_name = "Transposed, sub-pixel: over the FMA peak"


class TransposedOverTorch(_AgainstTorch):
    params = (LAYERS,)
    pretty_name = "Transposed, sub-pixel: over torch"
