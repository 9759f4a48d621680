"""Convolution, dilated and transposed convolution, pixel shuffle and pooling, for NumPy arrays on the CPU."""

from . import geometry, grad
from ._config import get_num_threads, set_num_threads, show_config, threads
from ._version import __version__
from .conv import conv1d, conv2d, conv3d
from .init import icnr
from .plan import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, SubpixelConv2d
from .pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from .resize import fold, interpolate, resize_conv2d, unfold, zero_insert
from .shuffle import pixel_shuffle, pixel_unshuffle, subpixel_conv2d
from .transposed import conv_transpose1d, conv_transpose2d, conv_transpose3d

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "SubpixelConv2d",
    "__version__",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "fold",
    "geometry",
    "get_num_threads",
    "grad",
    "icnr",
    "interpolate",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "pixel_shuffle",
    "pixel_unshuffle",
    "resize_conv2d",
    "set_num_threads",
    "show_config",
    "subpixel_conv2d",
    "threads",
    "unfold",
    "zero_insert",
]
