"""Pooling: how long, and against which ceiling."""

from .common import _AgainstMemcpy, _AgainstTorch, _Times

LAYERS = [
    "resnet50_maxpool3x3s2_64_112x112",
    "vgg16_avgpool2x2_64_112x112",
]


class PoolTime(_Times):
    params = (LAYERS,)
    pretty_name = "Pooling: seconds"


class PoolOverMemcpy(_AgainstMemcpy):
    params = (LAYERS,)
    pretty_name = "Pooling: over memcpy"


class PoolOverTorch(_AgainstTorch):
    params = (LAYERS,)
    pretty_name = "Pooling: over torch"
