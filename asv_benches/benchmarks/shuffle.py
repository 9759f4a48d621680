"""Pixel shuffle and unshuffle: how long, and against which ceiling."""

from .common import _AgainstMemcpy, _AgainstTorch, _Times

LAYERS = [
    "edsr_shuffle_64_96x96_r2",
    "espcn_shuffle_3_270x480_r3",
    "edsr_unshuffle_64_192x192_r2",
]


class ShuffleTime(_Times):
    params = (LAYERS,)
    pretty_name = "Shuffle: seconds"


class ShuffleOverMemcpy(_AgainstMemcpy):
    params = (LAYERS,)
    pretty_name = "Shuffle: over memcpy"


class ShuffleOverTorch(_AgainstTorch):
    params = (LAYERS,)
    pretty_name = "Shuffle: over torch"
