"""Transposed convolution on one, two and three spatial axes.

Also called fractionally strided convolution, and "deconvolution", which it is not. It is the transpose of the linear
map that a convolution is: the gradient of a convolution with respect to its input. It gives back the shape of that
input, not its values; no kernel is inverted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .plan import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ._activation import Activation
    from .geometry import Ints, PadLike

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def conv_transpose1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    padding_mode: str = "zeros",
    output_size: Ints | None = None,
    activation: Activation = None,
    residual: ArrayLike | None = None,
    layout: str = "NCW",
    out: NDArray[Any] | None = None,
    algorithm: str = "auto",
) -> NDArray[Any]:
    """Let every sample of a signal add its multiple of a kernel to the output: the transpose of `conv1d`.

    ``output[n, o, x] = bias[o] + sum of weight[c, o, k] * input[n, c, i] over all c, i, k with i * S + k * d - p == x``

    Not an inverse (no true deconvolution): ``conv_transpose1d(conv1d(x, w), w)`` has the shape of x, not its values.

    Parameters
    ----------
    input : array_like, (N, C, W) or (C, W)
        The signal, or a batch of them.
    weight : array_like, (C, O / groups, K)
        The kernels, as in the convolution whose transpose this is: its outputs are the inputs here.
    bias : array_like, (O,), optional
        What is added to each output channel.
    stride : int
        S, the step between the kernels in the output.
    padding : int, or (lo, hi) pair in a tuple
        What is cut off the output at both ends: ``1``, or ``((1, 2),)`` for one before and two after.
    output_padding : int
        What is added to the output at its end, below max(S, d).
    groups : int
        Each of this many equal parts of the input channels adds only to its own part of the output channels.
    dilation : int
        d, the step between taps.
    padding_mode : {"zeros", "circular"}
        "circular" turns each axis into a circle: what "zeros" cuts off comes in again at the other end. The output must
        have the size S times the input's; it is then the transpose of the circular convolution.
    output_size : int or tuple of int, optional
        The size of the output, instead of `output_padding`: spatial, or the full shape.
    activation : {None, "relu", "relu6", "leaky_relu", "silu", "sigmoid", "tanh"}
        What is applied to the outputs while they are in the cache: as if done afterwards. The slope of "leaky_relu" is
        0.01, or s with ``("leaky_relu", s)``.
    residual : array_like, optional
        What is added to the outputs before the activation, of their shape. It takes part in the dtype of the result.
    layout : {"NCW", "NWC"}
        The axes of input and output: "NWC" has the channels last, as other libraries give signals. The weight has the
        same axes for both.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap the other arrays.
    algorithm : {"auto", "direct"}
        "direct" for sums of the products of the definition and the last digit; "auto" for the fastest, with an error of
        at most 1e-5 of the largest output in float32.

    Returns
    -------
    ndarray, (N, O, L) or (O, L)
        With ``L = S * (W - 1) + d * (K - 1) + 1 - p_lo - p_hi + output_padding``. The dtype is `numpy.result_type` of
        the arrays; float32 and float64 compute as such, float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype (integers would overflow: convert them), or an int is none.

    See Also
    --------
    ConvTranspose1d : the same with the weights packed once.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285, section 4.
    ONNX operator specification, ConvTranspose.

    Examples
    --------
    Where the kernels overlap, they add up:

    >>> import numpy as np
    >>> from fastconv import conv_transpose1d
    >>> conv_transpose1d(np.array([[1.0, 1.0, 1.0]]), np.array([[[1.0, 1.0, 1.0]]]), stride=2)
    array([[1., 1., 2., 1., 2., 1., 1.]])
    """
    about = algorithm, layout, stride, padding, output_padding, groups, dilation, padding_mode
    return ConvTranspose1d._call(input, weight, bias, about, activation, out, residual, output_size)


def conv_transpose2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    padding_mode: str = "zeros",
    output_size: Ints | None = None,
    activation: Activation = None,
    residual: ArrayLike | None = None,
    layout: str = "NCHW",
    out: NDArray[Any] | None = None,
    algorithm: str = "auto",
) -> NDArray[Any]:
    """Let every pixel of an image add its multiple of a kernel to the output: the transpose of `conv2d`.

    ``output[n, o, y, x] = bias[o] + sum of weight[c, o, i, j] * input[n, c, v, u] over all c, v, u, i, j with
    v * S_h + i * d_h - p_h == y and u * S_w + j * d_w - p_w == x``

    Not an inverse (no true deconvolution): ``conv_transpose2d(conv2d(x, w), w)`` has the shape of x, not its values.

    Parameters
    ----------
    input : array_like, (N, C, H, W) or (C, H, W)
        The image, or a batch of them.
    weight : array_like, (C, O / groups, K_h, K_w)
        The kernels, as in the convolution whose transpose this is: its outputs are the inputs here.
    bias : array_like, (O,), optional
        What is added to each output channel.
    stride : int or (S_h, S_w)
        S, the step between the kernels in the output.
    padding : int, (p_h, p_w) or ((lo, hi), (lo, hi))
        What is cut off the output: on all sides, per axis, or per end of each axis.
    output_padding : int or a tuple of two
        What is added to the output at the end of each axis, below max(S, d).
    groups : int
        Each of this many equal parts of the input channels adds only to its own part of the output channels.
    dilation : int or (d_h, d_w)
        d, the step between taps.
    padding_mode : {"zeros", "circular"}
        "circular" turns each axis into a circle: what "zeros" cuts off comes in again at the other end. The output must
        have the size S times the input's; it is then the transpose of the circular convolution.
    output_size : int or tuple of int, optional
        The size of the output, instead of `output_padding`: spatial, or the full shape.
    activation : {None, "relu", "relu6", "leaky_relu", "silu", "sigmoid", "tanh"}
        What is applied to the outputs while they are in the cache: as if done afterwards. The slope of "leaky_relu" is
        0.01, or s with ``("leaky_relu", s)``.
    residual : array_like, optional
        What is added to the outputs before the activation, of their shape. It takes part in the dtype of the result.
    layout : {"NCHW", "NHWC"}
        The axes of input and output: "NHWC" has the channels last, as other libraries give images. The weight has the
        same axes for both.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap the other arrays.
    algorithm : {"auto", "direct"}
        "direct" for sums of the products of the definition and the last digit; "auto" for the fastest, with an error of
        at most 1e-5 of the largest output in float32.

    Returns
    -------
    ndarray, (N, O, O_h, O_w) or (O, O_h, O_w)
        With ``O_h = S_h * (H - 1) + d_h * (K_h - 1) + 1 - p_lo - p_hi + output_padding``, likewise O_w. The dtype is
        `numpy.result_type` of the arrays; float32 and float64 compute as such, float16 and bfloat16 compute in float32
        and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype (integers would overflow: convert them), or an int is none.

    See Also
    --------
    ConvTranspose2d : the same with the weights packed once.
    fastconv.geometry.conv_transpose_output_size : the size of the output.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285, section 4.
    ONNX operator specification, ConvTranspose.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import conv_transpose2d
    >>> conv_transpose2d(np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.ones((1, 1, 2, 2)))
    array([[[ 1.,  3.,  2.],
            [ 4., 10.,  6.],
            [ 3.,  7.,  4.]]])
    >>> conv_transpose2d(np.ones((8, 16, 16)), np.ones((8, 4, 3, 3)), stride=2, padding=1, output_size=32).shape
    (4, 32, 32)
    """
    about = algorithm, layout, stride, padding, output_padding, groups, dilation, padding_mode
    return ConvTranspose2d._call(input, weight, bias, about, activation, out, residual, output_size)


def conv_transpose3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    padding_mode: str = "zeros",
    output_size: Ints | None = None,
    activation: Activation = None,
    residual: ArrayLike | None = None,
    layout: str = "NCDHW",
    out: NDArray[Any] | None = None,
    algorithm: str = "auto",
) -> NDArray[Any]:
    """Let every voxel of a volume add its multiple of a kernel to the output: the transpose of `conv3d`.

    ``output[n, o, z, y, x] = bias[o] + sum of weight[c, o, h, i, j] * input[n, c, w, v, u] over all c, w, v, u, h, i, j
    with w * S_d + h * d_d - p_d == z, v * S_h + i * d_h - p_h == y and u * S_w + j * d_w - p_w == x``

    Not an inverse (no true deconvolution): ``conv_transpose3d(conv3d(x, w), w)`` has the shape of x, not its values.

    Parameters
    ----------
    input : array_like, (N, C, D, H, W) or (C, D, H, W)
        The volume, or a batch of them.
    weight : array_like, (C, O / groups, K_d, K_h, K_w)
        The kernels, as in the convolution whose transpose this is: its outputs are the inputs here.
    bias : array_like, (O,), optional
        What is added to each output channel.
    stride : int or (S_d, S_h, S_w)
        S, the step between the kernels in the output.
    padding : int, (p_d, p_h, p_w) or ((lo, hi), (lo, hi), (lo, hi))
        What is cut off the output: on all sides, per axis, or per end of each axis.
    output_padding : int or a tuple of three
        What is added to the output at the end of each axis, below max(S, d).
    groups : int
        Each of this many equal parts of the input channels adds only to its own part of the output channels.
    dilation : int or (d_d, d_h, d_w)
        d, the step between taps.
    padding_mode : {"zeros", "circular"}
        "circular" turns each axis into a circle: what "zeros" cuts off comes in again at the other end. The output must
        have the size S times the input's; it is then the transpose of the circular convolution.
    output_size : int or tuple of int, optional
        The size of the output, instead of `output_padding`: spatial, or the full shape.
    activation : {None, "relu", "relu6", "leaky_relu", "silu", "sigmoid", "tanh"}
        What is applied to the outputs while they are in the cache: as if done afterwards. The slope of "leaky_relu" is
        0.01, or s with ``("leaky_relu", s)``.
    residual : array_like, optional
        What is added to the outputs before the activation, of their shape. It takes part in the dtype of the result.
    layout : {"NCDHW", "NDHWC"}
        The axes of input and output: "NDHWC" has the channels last, as other libraries give volumes. The weight has the
        same axes for both.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap the other arrays.
    algorithm : {"auto", "direct"}
        "direct" for sums of the products of the definition and the last digit; "auto" for the fastest, with an error of
        at most 1e-5 of the largest output in float32.

    Returns
    -------
    ndarray, (N, O, O_d, O_h, O_w) or (O, O_d, O_h, O_w)
        With ``O_d = S_d * (D - 1) + d_d * (K_d - 1) + 1 - p_lo - p_hi + output_padding``, likewise O_h and O_w. The
        dtype is `numpy.result_type` of the arrays; float32 and float64 compute as such, float16 and bfloat16 compute in
        float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype (integers would overflow: convert them), or an int is none.

    See Also
    --------
    ConvTranspose3d : the same with the weights packed once.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285, section 4.
    ONNX operator specification, ConvTranspose.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import conv_transpose3d
    >>> conv_transpose3d(np.ones((1, 4, 4, 4)), np.ones((1, 2, 2, 2, 2)), stride=2).shape
    (2, 8, 8, 8)
    """
    about = algorithm, layout, stride, padding, output_padding, groups, dilation, padding_mode
    return ConvTranspose3d._call(input, weight, bias, about, activation, out, residual, output_size)
