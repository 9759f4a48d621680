"""Sizes, paddings, phases and taps: where an operator reads and writes, in whole numbers alone.

An operator is a list of *phases*, a phase a list of *taps*. On each spatial axis the output position
``o = q * out_step + residue`` reads the input positions ``i = q * in_step + offset + origin``, one for each tap
``(k, offset)`` of its phase, and multiplies each with entry ``k`` of the kernel. A convolution has one phase, a
transposed convolution as many as its stride, a sub-pixel convolution as many as its upscale factor.

Nothing here touches an array, or needs more than the standard library. Every complaint about a shape or a size is
raised here, before anything is allocated.

What users call: output sizes and the way back (`sizes`, `inverse`), the receptive field of a stack of layers
(`layers`, `receptive`), gridding and checkerboards (`artifacts`). What operators call: `arguments`, `rules`,
`operators`, `calls`.

References
----------
.. [1] V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.
.. [2] ONNX operator specification, Conv and ConvTranspose, attribute ``auto_pad``.
"""

from .arguments import (
    MAX_SIZE,
    PADDING_MODES,
    Ints,
    Padding,
    PadLike,
    Pairs,
    all_exact,
    as_bool,
    as_entries,
    as_int,
    exact,
    int_entries,
    is_sequence,
    padding_pairs,
    per_axis,
    shuffle_factors,
    spread,
)
from .artifacts import checkerboard_score, gridding_holes, overlap_counts
from .calls import (
    Placement,
    PoolGeometry,
    ShuffleGeometry,
    Windows,
    adaptive_geometry,
    check_bias,
    check_bytes,
    placement,
    pool_geometry,
    shuffle_geometry,
)
from .inverse import conv_input_sizes, conv_transpose_input_sizes, output_padding_for, pool_input_sizes
from .layers import Conv, ConvTranspose, PixelShuffle, PixelUnshuffle, Pool, Resize
from .operators import (
    Axis,
    Convolution,
    TransposedConvolution,
    convolution,
    five_axes,
    lift,
    transposed_convolution,
)
from .receptive import ReceptiveField, receptive_field
from .rules import resolved_padding
from .sizes import (
    conv_output_size,
    conv_transpose_output_size,
    effective_kernel_size,
    pixel_shuffle_output_size,
    pixel_unshuffle_output_size,
    pool_output_size,
    same_padding,
)

__all__ = [
    "Conv",
    "ConvTranspose",
    "PixelShuffle",
    "PixelUnshuffle",
    "Pool",
    "ReceptiveField",
    "Resize",
    "checkerboard_score",
    "conv_input_sizes",
    "conv_output_size",
    "conv_transpose_input_sizes",
    "conv_transpose_output_size",
    "effective_kernel_size",
    "gridding_holes",
    "output_padding_for",
    "overlap_counts",
    "pixel_shuffle_output_size",
    "pixel_unshuffle_output_size",
    "pool_input_sizes",
    "pool_output_size",
    "receptive_field",
    "same_padding",
]
