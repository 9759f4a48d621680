"""Sizes, paddings, phases and taps: where an operator reads and writes, in whole numbers alone.

An operator is a list of *phases*, a phase a list of *taps*. On each spatial axis the output position
``o = q * out_step + residue`` reads the input positions ``i = q * in_step + offset + origin``, one for each tap
``(k, offset)`` of its phase, and multiplies each with entry ``k`` of the kernel. A convolution has one phase, a
transposed convolution as many as its stride, a sub-pixel convolution as many as its upscale factor.

Nothing here touches an array. Every complaint about a shape or a size is raised here, before anything is allocated.

References
----------
.. [1] V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.
.. [2] ONNX operator specification, Conv and ConvTranspose, attribute ``auto_pad``.
"""

from .arguments import MAX_SIZE, Ints, Padding, PadLike, Pairs, as_bool, as_int, exact, int_entries, shuffle_factors
from .calls import (
    Placement,
    PoolGeometry,
    ShuffleGeometry,
    Windows,
    adaptive_geometry,
    check_bias,
    placement,
    pool_geometry,
    shuffle_geometry,
)
from .inverse import output_padding_for
from .operators import (
    Axis,
    Convolution,
    TransposedConvolution,
    convolution,
    five_axes,
    lift,
    transposed_convolution,
)
from .sizes import (
    conv_output_size,
    conv_transpose_output_size,
    effective_kernel_size,
    pool_output_size,
    same_padding,
)

__all__ = [
    "conv_output_size",
    "conv_transpose_output_size",
    "effective_kernel_size",
    "output_padding_for",
    "pool_output_size",
    "same_padding",
]
