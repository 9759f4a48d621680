"""Convolution on one, two and three spatial axes: strided, dilated, grouped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .plan import Conv1d, Conv2d, Conv3d

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ._activation import Activation
    from .geometry import Ints, Padding

__all__ = ["conv1d", "conv2d", "conv3d"]


def conv1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    activation: Activation = None,
    residual: ArrayLike | None = None,
    layout: str = "NCW",
    out: NDArray[Any] | None = None,
    algorithm: str = "auto",
) -> NDArray[Any]:
    """Convolve signals with a bank of kernels (without flipping them, as networks do).

    ``output[n, o, x] = bias[o] + sum over c, k of weight[o, c, k] * padded[n, c, x * S + k * d]``

    Parameters
    ----------
    input : array_like, (N, C, W) or (C, W)
        The signal, or a batch of them.
    weight : array_like, (O, C / groups, K)
        The kernels.
    bias : array_like, (O,), optional
        What is added to each output channel.
    stride : int
        S, the step between windows.
    padding : int, (lo, hi) pair in a tuple, "valid", "same" or "same_lower"
        Entries on both sides: ``1``, or ``((1, 2),)`` for one before and two after. "valid" is none; "same" pads for an
        output of size ceil(W / S), an odd one at the end, and "same_lower" puts the odd one at the beginning.
    dilation : int
        d, the step between taps.
    groups : int
        Each of this many equal parts of the output channels sees only its own part of the input channels.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding holds: zeros, the signal mirrored about its outermost entries, the outermost entries again, or
        the other end. It is read from the signal itself, which is never copied for it.
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
        With ``L = (W + p_lo + p_hi - d * (K - 1) - 1) // S + 1``. The dtype is `numpy.result_type` of the arrays;
        float32 and float64 compute as such, float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype (integers would overflow: convert them), or an int is none.

    See Also
    --------
    Conv1d : the same with the weights packed once.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.
    F. Yu and V. Koltun, "Multi-scale context aggregation by dilated convolutions", 2016, arXiv:1511.07122.
    ONNX operator specification, Conv.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import conv1d
    >>> x = np.array([[1.0, 2.0, 4.0, 8.0]])
    >>> w = np.array([[[-1.0, 1.0]]])
    >>> conv1d(x, w)
    array([[1., 2., 4.]])
    >>> conv1d(x, w, dilation=2, padding="same")
    array([[ 2.,  3.,  6., -4.]])
    """
    about = algorithm, layout, stride, padding, dilation, groups, 1, padding_mode
    return Conv1d._call(input, weight, bias, about, activation, out, residual)


def conv2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    activation: Activation = None,
    residual: ArrayLike | None = None,
    layout: str = "NCHW",
    out: NDArray[Any] | None = None,
    algorithm: str = "auto",
) -> NDArray[Any]:
    """Convolve images with a bank of kernels (without flipping them, as networks do).

    ``output[n, o, y, x] = bias[o] + sum over c, i, j of
    weight[o, c, i, j] * padded[n, c, y * S_h + i * d_h, x * S_w + j * d_w]``

    Parameters
    ----------
    input : array_like, (N, C, H, W) or (C, H, W)
        The image, or a batch of them.
    weight : array_like, (O, C / groups, K_h, K_w)
        The kernels.
    bias : array_like, (O,), optional
        What is added to each output channel.
    stride : int or (S_h, S_w)
        S, the step between windows.
    padding : int, (p_h, p_w), ((lo, hi), (lo, hi)), "valid", "same" or "same_lower"
        Entries around the image: on all sides, per axis, or per end of each axis. "valid" is none; "same" pads for an
        output of size ceil(H / S), an odd one at the end, and "same_lower" puts the odd one at the beginning.
    dilation : int or (d_h, d_w)
        d, the step between taps.
    groups : int
        Each of this many equal parts of the output channels sees only its own part of the input channels;
        ``groups=C`` is the depthwise convolution.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding holds: zeros, the image mirrored about its outermost entries, the outermost entries again, or
        the other end. It is read from the image itself, which is never copied for it.
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
        With ``O_h = (H + p_lo + p_hi - d_h * (K_h - 1) - 1) // S_h + 1``, likewise O_w. The dtype is
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
    Conv2d : the same with the weights packed once.
    fastconv.geometry.conv_output_size : the size of the output.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.
    F. Yu and V. Koltun, "Multi-scale context aggregation by dilated convolutions", 2016, arXiv:1511.07122.
    ONNX operator specification, Conv.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import conv2d
    >>> image = np.arange(16.0).reshape(1, 4, 4)
    >>> mean = np.full((1, 1, 2, 2), 0.25)
    >>> conv2d(image, mean, stride=2)
    array([[[ 2.5,  4.5],
            [10.5, 12.5]]])
    >>> conv2d(image, mean, padding="same", dilation=(1, 2)).shape
    (1, 4, 4)
    """
    about = algorithm, layout, stride, padding, dilation, groups, 1, padding_mode
    return Conv2d._call(input, weight, bias, about, activation, out, residual)


def conv3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    activation: Activation = None,
    residual: ArrayLike | None = None,
    layout: str = "NCDHW",
    out: NDArray[Any] | None = None,
    algorithm: str = "auto",
) -> NDArray[Any]:
    """Convolve volumes with a bank of kernels (without flipping them, as networks do).

    ``output[n, o, z, y, x] = bias[o] + sum over c, h, i, j of
    weight[o, c, h, i, j] * padded[n, c, z * S_d + h * d_d, y * S_h + i * d_h, x * S_w + j * d_w]``

    Parameters
    ----------
    input : array_like, (N, C, D, H, W) or (C, D, H, W)
        The volume, or a batch of them.
    weight : array_like, (O, C / groups, K_d, K_h, K_w)
        The kernels.
    bias : array_like, (O,), optional
        What is added to each output channel.
    stride : int or (S_d, S_h, S_w)
        S, the step between windows.
    padding : int, (p_d, p_h, p_w), ((lo, hi), (lo, hi), (lo, hi)), "valid", "same" or "same_lower"
        Entries around the volume: on all sides, per axis, or per end of each axis. "valid" is none; "same" pads for an
        output of size ceil(D / S), an odd one at the end, and "same_lower" puts the odd one at the beginning.
    dilation : int or (d_d, d_h, d_w)
        d, the step between taps.
    groups : int
        Each of this many equal parts of the output channels sees only its own part of the input channels.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding holds: zeros, the volume mirrored about its outermost entries, the outermost entries again, or
        the other end. It is read from the volume itself, which is never copied for it.
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
        With ``O_d = (D + p_lo + p_hi - d_d * (K_d - 1) - 1) // S_d + 1``, likewise O_h and O_w. The dtype is
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
    Conv3d : the same with the weights packed once.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.
    F. Yu and V. Koltun, "Multi-scale context aggregation by dilated convolutions", 2016, arXiv:1511.07122.
    ONNX operator specification, Conv.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import conv3d
    >>> conv3d(np.ones((1, 2, 2, 2)), np.ones((1, 1, 2, 2, 2)), bias=[0.5])
    array([[[[8.5]]]])
    """
    about = algorithm, layout, stride, padding, dilation, groups, 1, padding_mode
    return Conv3d._call(input, weight, bias, about, activation, out, residual)
