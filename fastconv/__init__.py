"""Convolution, dilated and transposed convolution, and pixel shuffle, for NumPy arrays on the CPU."""

from . import geometry
from ._config import get_num_threads, set_num_threads, show_config, threads
from ._version import __version__
from .conv import conv1d, conv2d, conv3d
from .plan import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, SubpixelConv2d
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
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "geometry",
    "get_num_threads",
    "pixel_shuffle",
    "pixel_unshuffle",
    "set_num_threads",
    "show_config",
    "subpixel_conv2d",
    "threads",
]
