"""Gradients of convolutions and transposed convolutions, and of the pixel shuffle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, conv, transposed
from .._arrays import as_array, dtypes, result_dtype
from .._config import get_num_threads
from ..geometry import (
    TransposedConvolution,
    as_int,
    convolution,
    exact,
    int_entries,
    lift,
    placement,
    transposed_convolution,
)
from ..shuffle import pixel_shuffle, pixel_unshuffle

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..geometry import Convolution, Ints, Padding, PadLike

__all__ = [
    "bias_gradient",
    "conv1d_backward",
    "conv1d_input",
    "conv1d_weight",
    "conv2d_backward",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_backward",
    "conv3d_input",
    "conv3d_weight",
    "conv_transpose1d_backward",
    "conv_transpose1d_input",
    "conv_transpose1d_weight",
    "conv_transpose2d_backward",
    "conv_transpose2d_input",
    "conv_transpose2d_weight",
    "conv_transpose3d_backward",
    "conv_transpose3d_input",
    "conv_transpose3d_weight",
    "pixel_shuffle_input",
    "pixel_unshuffle_input",
]


def bias_gradient(grad_output: ArrayLike, ndim: int) -> NDArray[Any]:
    """Sum the gradient of an output, ``([N,] O, *spatial)`` with `ndim` spatial axes, over all but its channels."""
    if as_int("ndim", ndim) > 3:
        raise ValueError(f"ndim must be 1, 2 or 3, got {ndim}")
    g = _float_array("grad_output", grad_output)
    _check_axes("grad_output", g.shape, ndim)
    result, compute = dtypes(("grad_output",), g.dtype)
    g = np.ascontiguousarray(g, compute)  # NumPy's sums have other bits where entries lie otherwise
    rows = g.reshape(*(g.shape[:-ndim] if g.ndim == ndim + 2 else (1, *g.shape[:-ndim])), -1)
    return rows.sum(axis=2).sum(axis=0).astype(result, copy=False)


def pixel_shuffle_input(grad_output: ArrayLike, upscale_factor: Ints, **options: Any) -> NDArray[Any]:
    """Give the gradient by the input of `pixel_shuffle`, which only moves entries: it moves them back.

    >>> import numpy as np
    >>> from fastconv.grad import pixel_shuffle_input
    >>> pixel_shuffle_input(np.arange(4.0).reshape(1, 2, 2), 2).ravel()
    array([0., 1., 2., 3.])
    """
    return pixel_unshuffle(grad_output, upscale_factor, **options)


def pixel_unshuffle_input(grad_output: ArrayLike, downscale_factor: Ints, **options: Any) -> NDArray[Any]:
    """Give the gradient by the input of `pixel_unshuffle`: `pixel_shuffle`.

    >>> import numpy as np
    >>> from fastconv.grad import pixel_unshuffle_input
    >>> pixel_unshuffle_input(np.arange(4.0).reshape(4, 1, 1), 2).ravel()
    array([0., 1., 2., 3.])
    """
    return pixel_shuffle(grad_output, downscale_factor, **options)


def conv1d_input(
    input_size: Ints,
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv1d` by its input.

    ``grad[n, c, i] = sum of weight[o, c, k] * grad_output[n, o, q] over all o, q, k with q * S + k * d - P == i``

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, W).
    weight : array_like, (O, C / groups, K)
        The kernels.
    grad_output : array_like, ([N,] O, W of the output)
        The derivative by the output.
    stride, padding, dilation, groups
        As in `fastconv.conv1d`.

    Returns
    -------
    ndarray, of shape input_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv1d_input
    >>> float(conv1d_input((1, 1, 4), np.ones((1, 1, 2)), np.ones((1, 1, 3))).max())
    2.0
    """
    shape = int_entries("input_size", input_size, 0)
    w, g = _float_array("weight", weight), _float_array("grad_output", grad_output)
    return _by_input(1, shape, w, g, (stride, padding, dilation, groups))


def conv1d_weight(
    input: ArrayLike,
    weight_size: Ints,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv1d` by its weight.

    ``grad[o, c, k] = sum over n, q of grad_output[n, o, q] * input[n, c, q * S + k * d - P]``

    Parameters
    ----------
    input : array_like, ([N,] C, W)
        The input.
    weight_size : tuple of int
        The full shape of the weight, (O, C / groups, K).
    grad_output : array_like, ([N,] O, W of the output)
        The derivative by the output.
    stride, padding, dilation, groups
        As in `fastconv.conv1d`.

    Returns
    -------
    ndarray, of shape weight_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv1d_weight
    >>> float(conv1d_weight(np.ones((1, 1, 4)), (1, 1, 2), np.ones((1, 1, 3))).max())
    3.0
    """
    x, g = _float_array("input", input), _float_array("grad_output", grad_output)
    return _conv_weight(1, x, int_entries("weight_size", weight_size, 0), g, (stride, padding, dilation, groups))


def conv1d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
    """Give the gradients of `conv1d` by input, weight and bias: those that are asked for.

    The formulas are those of `conv1d_input` and `conv1d_weight`; that of the
    bias is the sum over all pixels.

    Parameters
    ----------
    grad_output : array_like, ([N,] O, W of the output)
        The derivative by the output.
    input : array_like, ([N,] C, W)
        The input.
    weight : array_like, (O, C / groups, K)
        The kernels.
    stride, padding, dilation, groups
        As in `fastconv.conv1d`.
    needs : (bool, bool, bool)
        Which of the gradients by input, weight and bias to compute.

    Returns
    -------
    tuple of ndarray or None
        Of the shapes of input, weight and bias; None for what was not asked for.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv1d_backward
    >>> g, x, w = np.ones((1, 1, 3)), np.ones((1, 1, 4)), np.ones((1, 1, 2))
    >>> _, _, bias = conv1d_backward(g, x, w, needs=(False, False, True))
    >>> bias
    array([3.])
    """
    return _backward(
        1, grad_output, input, weight, (stride, padding, dilation, groups), needs, (_by_input, _conv_weight)
    )


def conv2d_input(
    input_size: Ints,
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv2d` by its input.

    ``grad[n, c, i] = sum of weight[o, c, k] * grad_output[n, o, q] over all o, q, k with q * S + k * d - P == i``

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, H, W).
    weight : array_like, (O, C / groups, K_h, K_w)
        The kernels.
    grad_output : array_like, ([N,] O, H, W of the output)
        The derivative by the output.
    stride, padding, dilation, groups
        As in `fastconv.conv2d`.

    Returns
    -------
    ndarray, of shape input_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv2d_input
    >>> float(conv2d_input((1, 1, 4, 4), np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3))).max())
    4.0
    """
    shape = int_entries("input_size", input_size, 0)
    w, g = _float_array("weight", weight), _float_array("grad_output", grad_output)
    return _by_input(2, shape, w, g, (stride, padding, dilation, groups))


def conv2d_weight(
    input: ArrayLike,
    weight_size: Ints,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv2d` by its weight.

    ``grad[o, c, k] = sum over n, q of grad_output[n, o, q] * input[n, c, q * S + k * d - P]``

    Parameters
    ----------
    input : array_like, ([N,] C, H, W)
        The input.
    weight_size : tuple of int
        The full shape of the weight, (O, C / groups, K_h, K_w).
    grad_output : array_like, ([N,] O, H, W of the output)
        The derivative by the output.
    stride, padding, dilation, groups
        As in `fastconv.conv2d`.

    Returns
    -------
    ndarray, of shape weight_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv2d_weight
    >>> float(conv2d_weight(np.ones((1, 1, 4, 4)), (1, 1, 2, 2), np.ones((1, 1, 3, 3))).max())
    9.0
    """
    x, g = _float_array("input", input), _float_array("grad_output", grad_output)
    return _conv_weight(2, x, int_entries("weight_size", weight_size, 0), g, (stride, padding, dilation, groups))


def conv2d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
    """Give the gradients of `conv2d` by input, weight and bias: those that are asked for.

    The formulas are those of `conv2d_input` and `conv2d_weight`; that of the
    bias is the sum over all pixels.

    Parameters
    ----------
    grad_output : array_like, ([N,] O, H, W of the output)
        The derivative by the output.
    input : array_like, ([N,] C, H, W)
        The input.
    weight : array_like, (O, C / groups, K_h, K_w)
        The kernels.
    stride, padding, dilation, groups
        As in `fastconv.conv2d`.
    needs : (bool, bool, bool)
        Which of the gradients by input, weight and bias to compute.

    Returns
    -------
    tuple of ndarray or None
        Of the shapes of input, weight and bias; None for what was not asked for.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv2d_backward
    >>> g, x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))
    >>> _, _, bias = conv2d_backward(g, x, w, needs=(False, False, True))
    >>> bias
    array([9.])
    """
    return _backward(
        2, grad_output, input, weight, (stride, padding, dilation, groups), needs, (_by_input, _conv_weight)
    )


def conv3d_input(
    input_size: Ints,
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv3d` by its input.

    ``grad[n, c, i] = sum of weight[o, c, k] * grad_output[n, o, q] over all o, q, k with q * S + k * d - P == i``

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, D, H, W).
    weight : array_like, (O, C / groups, K_d, K_h, K_w)
        The kernels.
    grad_output : array_like, ([N,] O, D, H, W of the output)
        The derivative by the output.
    stride, padding, dilation, groups
        As in `fastconv.conv3d`.

    Returns
    -------
    ndarray, of shape input_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv3d_input
    >>> float(conv3d_input((1, 1, 4, 4, 4), np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 3, 3, 3))).max())
    8.0
    """
    shape = int_entries("input_size", input_size, 0)
    w, g = _float_array("weight", weight), _float_array("grad_output", grad_output)
    return _by_input(3, shape, w, g, (stride, padding, dilation, groups))


def conv3d_weight(
    input: ArrayLike,
    weight_size: Ints,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv3d` by its weight.

    ``grad[o, c, k] = sum over n, q of grad_output[n, o, q] * input[n, c, q * S + k * d - P]``

    Parameters
    ----------
    input : array_like, ([N,] C, D, H, W)
        The input.
    weight_size : tuple of int
        The full shape of the weight, (O, C / groups, K_d, K_h, K_w).
    grad_output : array_like, ([N,] O, D, H, W of the output)
        The derivative by the output.
    stride, padding, dilation, groups
        As in `fastconv.conv3d`.

    Returns
    -------
    ndarray, of shape weight_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv3d_weight
    >>> float(conv3d_weight(np.ones((1, 1, 4, 4, 4)), (1, 1, 2, 2, 2), np.ones((1, 1, 3, 3, 3))).max())
    27.0
    """
    x, g = _float_array("input", input), _float_array("grad_output", grad_output)
    return _conv_weight(3, x, int_entries("weight_size", weight_size, 0), g, (stride, padding, dilation, groups))


def conv3d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
    """Give the gradients of `conv3d` by input, weight and bias: those that are asked for.

    The formulas are those of `conv3d_input` and `conv3d_weight`; that of the
    bias is the sum over all pixels.

    Parameters
    ----------
    grad_output : array_like, ([N,] O, D, H, W of the output)
        The derivative by the output.
    input : array_like, ([N,] C, D, H, W)
        The input.
    weight : array_like, (O, C / groups, K_d, K_h, K_w)
        The kernels.
    stride, padding, dilation, groups
        As in `fastconv.conv3d`.
    needs : (bool, bool, bool)
        Which of the gradients by input, weight and bias to compute.

    Returns
    -------
    tuple of ndarray or None
        Of the shapes of input, weight and bias; None for what was not asked for.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv3d_backward
    >>> g, x, w = np.ones((1, 1, 3, 3, 3)), np.ones((1, 1, 4, 4, 4)), np.ones((1, 1, 2, 2, 2))
    >>> _, _, bias = conv3d_backward(g, x, w, needs=(False, False, True))
    >>> bias
    array([27.])
    """
    return _backward(
        3, grad_output, input, weight, (stride, padding, dilation, groups), needs, (_by_input, _conv_weight)
    )


def conv_transpose1d_input(
    input_size: Ints,
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv_transpose1d` by its input.

    ``grad[n, c, i] = sum over o, k of weight[c, o, k] * grad_output[n, o, i * S + k * d - P]``

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, W).
    weight : array_like, (C, O / groups, K)
        The kernels.
    grad_output : array_like, ([N,] O, W of the output)
        The derivative by the output.
    stride, padding, output_padding, groups, dilation
        As in `fastconv.conv_transpose1d`.

    Returns
    -------
    ndarray, of shape input_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv_transpose1d_input
    >>> float(conv_transpose1d_input((1, 1, 4), np.ones((1, 1, 2)), np.ones((1, 1, 5))).max())
    2.0
    """
    shape = int_entries("input_size", input_size, 0)
    w, g = _float_array("weight", weight), _float_array("grad_output", grad_output)
    return _by_transposed_input(1, shape, w, g, (stride, padding, output_padding, groups, dilation))


def conv_transpose1d_weight(
    input: ArrayLike,
    weight_size: Ints,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv_transpose1d` by its weight.

    ``grad[c, o, k] = sum over n, i of input[n, c, i] * grad_output[n, o, i * S + k * d - P]``

    Parameters
    ----------
    input : array_like, ([N,] C, W)
        The input.
    weight_size : tuple of int
        The full shape of the weight, (C, O / groups, K).
    grad_output : array_like, ([N,] O, W of the output)
        The derivative by the output.
    stride, padding, output_padding, groups, dilation
        As in `fastconv.conv_transpose1d`.

    Returns
    -------
    ndarray, of shape weight_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv_transpose1d_weight
    >>> float(conv_transpose1d_weight(np.ones((1, 1, 4)), (1, 1, 2), np.ones((1, 1, 5))).max())
    4.0
    """
    x, g = _float_array("input", input), _float_array("grad_output", grad_output)
    return _transposed_weight(
        1, x, int_entries("weight_size", weight_size, 0), g, (stride, padding, output_padding, groups, dilation)
    )


def conv_transpose1d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
    """Give the gradients of `conv_transpose1d` by input, weight and bias: those that are asked for.

    The formulas are those of `conv_transpose1d_input` and `conv_transpose1d_weight`; that of the
    bias is the sum over all pixels.

    Parameters
    ----------
    grad_output : array_like, ([N,] O, W of the output)
        The derivative by the output.
    input : array_like, ([N,] C, W)
        The input.
    weight : array_like, (C, O / groups, K)
        The kernels.
    stride, padding, output_padding, groups, dilation
        As in `fastconv.conv_transpose1d`.
    needs : (bool, bool, bool)
        Which of the gradients by input, weight and bias to compute.

    Returns
    -------
    tuple of ndarray or None
        Of the shapes of input, weight and bias; None for what was not asked for.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv_transpose1d_backward
    >>> g, x, w = np.ones((1, 1, 5)), np.ones((1, 1, 4)), np.ones((1, 1, 2))
    >>> _, _, bias = conv_transpose1d_backward(g, x, w, needs=(False, False, True))
    >>> bias
    array([5.])
    """
    return _backward(
        1,
        grad_output,
        input,
        weight,
        (stride, padding, output_padding, groups, dilation),
        needs,
        (_by_transposed_input, _transposed_weight),
    )


def conv_transpose2d_input(
    input_size: Ints,
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv_transpose2d` by its input.

    ``grad[n, c, i] = sum over o, k of weight[c, o, k] * grad_output[n, o, i * S + k * d - P]``

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, H, W).
    weight : array_like, (C, O / groups, K_h, K_w)
        The kernels.
    grad_output : array_like, ([N,] O, H, W of the output)
        The derivative by the output.
    stride, padding, output_padding, groups, dilation
        As in `fastconv.conv_transpose2d`.

    Returns
    -------
    ndarray, of shape input_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv_transpose2d_input
    >>> float(conv_transpose2d_input((1, 1, 4, 4), np.ones((1, 1, 2, 2)), np.ones((1, 1, 5, 5))).max())
    4.0
    """
    shape = int_entries("input_size", input_size, 0)
    w, g = _float_array("weight", weight), _float_array("grad_output", grad_output)
    return _by_transposed_input(2, shape, w, g, (stride, padding, output_padding, groups, dilation))


def conv_transpose2d_weight(
    input: ArrayLike,
    weight_size: Ints,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv_transpose2d` by its weight.

    ``grad[c, o, k] = sum over n, i of input[n, c, i] * grad_output[n, o, i * S + k * d - P]``

    Parameters
    ----------
    input : array_like, ([N,] C, H, W)
        The input.
    weight_size : tuple of int
        The full shape of the weight, (C, O / groups, K_h, K_w).
    grad_output : array_like, ([N,] O, H, W of the output)
        The derivative by the output.
    stride, padding, output_padding, groups, dilation
        As in `fastconv.conv_transpose2d`.

    Returns
    -------
    ndarray, of shape weight_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv_transpose2d_weight
    >>> float(conv_transpose2d_weight(np.ones((1, 1, 4, 4)), (1, 1, 2, 2), np.ones((1, 1, 5, 5))).max())
    16.0
    """
    x, g = _float_array("input", input), _float_array("grad_output", grad_output)
    return _transposed_weight(
        2, x, int_entries("weight_size", weight_size, 0), g, (stride, padding, output_padding, groups, dilation)
    )


def conv_transpose2d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
    """Give the gradients of `conv_transpose2d` by input, weight and bias: those that are asked for.

    The formulas are those of `conv_transpose2d_input` and `conv_transpose2d_weight`; that of the
    bias is the sum over all pixels.

    Parameters
    ----------
    grad_output : array_like, ([N,] O, H, W of the output)
        The derivative by the output.
    input : array_like, ([N,] C, H, W)
        The input.
    weight : array_like, (C, O / groups, K_h, K_w)
        The kernels.
    stride, padding, output_padding, groups, dilation
        As in `fastconv.conv_transpose2d`.
    needs : (bool, bool, bool)
        Which of the gradients by input, weight and bias to compute.

    Returns
    -------
    tuple of ndarray or None
        Of the shapes of input, weight and bias; None for what was not asked for.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv_transpose2d_backward
    >>> g, x, w = np.ones((1, 1, 5, 5)), np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))
    >>> _, _, bias = conv_transpose2d_backward(g, x, w, needs=(False, False, True))
    >>> bias
    array([25.])
    """
    return _backward(
        2,
        grad_output,
        input,
        weight,
        (stride, padding, output_padding, groups, dilation),
        needs,
        (_by_transposed_input, _transposed_weight),
    )


def conv_transpose3d_input(
    input_size: Ints,
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv_transpose3d` by its input.

    ``grad[n, c, i] = sum over o, k of weight[c, o, k] * grad_output[n, o, i * S + k * d - P]``

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, D, H, W).
    weight : array_like, (C, O / groups, K_d, K_h, K_w)
        The kernels.
    grad_output : array_like, ([N,] O, D, H, W of the output)
        The derivative by the output.
    stride, padding, output_padding, groups, dilation
        As in `fastconv.conv_transpose3d`.

    Returns
    -------
    ndarray, of shape input_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv_transpose3d_input
    >>> float(conv_transpose3d_input((1, 1, 4, 4, 4), np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 5, 5, 5))).max())
    8.0
    """
    shape = int_entries("input_size", input_size, 0)
    w, g = _float_array("weight", weight), _float_array("grad_output", grad_output)
    return _by_transposed_input(3, shape, w, g, (stride, padding, output_padding, groups, dilation))


def conv_transpose3d_weight(
    input: ArrayLike,
    weight_size: Ints,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Give the gradient of `conv_transpose3d` by its weight.

    ``grad[c, o, k] = sum over n, i of input[n, c, i] * grad_output[n, o, i * S + k * d - P]``

    Parameters
    ----------
    input : array_like, ([N,] C, D, H, W)
        The input.
    weight_size : tuple of int
        The full shape of the weight, (C, O / groups, K_d, K_h, K_w).
    grad_output : array_like, ([N,] O, D, H, W of the output)
        The derivative by the output.
    stride, padding, output_padding, groups, dilation
        As in `fastconv.conv_transpose3d`.

    Returns
    -------
    ndarray, of shape weight_size
        Of the promoted dtype of the arrays; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv_transpose3d_weight
    >>> float(conv_transpose3d_weight(np.ones((1, 1, 4, 4, 4)), (1, 1, 2, 2, 2), np.ones((1, 1, 5, 5, 5))).max())
    64.0
    """
    x, g = _float_array("input", input), _float_array("grad_output", grad_output)
    return _transposed_weight(
        3, x, int_entries("weight_size", weight_size, 0), g, (stride, padding, output_padding, groups, dilation)
    )


def conv_transpose3d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
    """Give the gradients of `conv_transpose3d` by input, weight and bias: those that are asked for.

    The formulas are those of `conv_transpose3d_input` and `conv_transpose3d_weight`; that of the
    bias is the sum over all pixels.

    Parameters
    ----------
    grad_output : array_like, ([N,] O, D, H, W of the output)
        The derivative by the output.
    input : array_like, ([N,] C, D, H, W)
        The input.
    weight : array_like, (C, O / groups, K_d, K_h, K_w)
        The kernels.
    stride, padding, output_padding, groups, dilation
        As in `fastconv.conv_transpose3d`.
    needs : (bool, bool, bool)
        Which of the gradients by input, weight and bias to compute.

    Returns
    -------
    tuple of ndarray or None
        Of the shapes of input, weight and bias; None for what was not asked for.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    References
    ----------
    torch.nn.grad. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import conv_transpose3d_backward
    >>> g, x, w = np.ones((1, 1, 5, 5, 5)), np.ones((1, 1, 4, 4, 4)), np.ones((1, 1, 2, 2, 2))
    >>> _, _, bias = conv_transpose3d_backward(g, x, w, needs=(False, False, True))
    >>> bias
    array([125.])
    """
    return _backward(
        3,
        grad_output,
        input,
        weight,
        (stride, padding, output_padding, groups, dilation),
        needs,
        (_by_transposed_input, _transposed_weight),
    )


def _float_array(name: str, value: object) -> NDArray[Any]:
    array = as_array(name, value)
    dtypes((name,), array.dtype)
    return array


# The sums -------------------------------------------------------------------------------------------------------------


def _conv(ndim: int, weight_shape: tuple[int, ...], settings: tuple) -> Convolution:
    names = "stride", "padding", "dilation", "groups"
    return convolution(ndim, weight_shape, *map(exact, names, settings), 1)


def _transposed(ndim: int, weight_shape: tuple[int, ...], settings: tuple) -> TransposedConvolution:
    names = "stride", "padding", "output_padding", "groups", "dilation"
    return transposed_convolution(ndim, weight_shape, *map(exact, names, settings))


def _check_axes(name: str, shape: tuple[int, ...], ndim: int) -> None:
    if len(shape) not in (ndim + 1, ndim + 2):
        raise ValueError(f"{name} has {len(shape)} axes {shape}, expected {ndim + 1} or {ndim + 2}: ([N,] C, *spatial)")


def _check_output(operator: Any, input_shape: tuple[int, ...], g: NDArray[Any]) -> None:
    """Check that `g` has the shape of the operator's output; a transposed one may have been given its output_size."""
    wanted = None
    if isinstance(operator, TransposedConvolution) and not any(operator.output_padding):
        wanted = g.shape[-len(operator.kernel) :]
    shape = placement(operator, input_shape, 8, wanted).shape
    if g.shape != shape:
        raise ValueError(f"grad_output has shape {g.shape}, expected {shape}, that of the output")


def _conv_pads(operator: Convolution, size: tuple[int, ...]) -> tuple:
    """Return the padding of this input, less what no window reaches; the strings are resolved."""
    outputs, origin = operator.output(size, None)
    axes = zip(size, outputs, origin, operator.kernel, operator.stride, operator.dilation, strict=True)
    return tuple((-first, max(0, s * (o - 1) + d * (k - 1) + 1 + first - i)) for i, o, first, k, s, d in axes)


def _by_input(ndim: int, input_shape: tuple, weight: NDArray[Any], g: NDArray[Any], settings: tuple) -> NDArray[Any]:
    operator = _conv(ndim, weight.shape, settings)
    _check_output(operator, input_shape, g)
    size = input_shape[-ndim:]
    dtype = result_dtype(weight.dtype, g.dtype)
    if 0 in input_shape or 0 in g.shape:
        return np.zeros(input_shape, dtype)
    # Inputs beyond the last window get nothing; they may be more than output_padding allows.
    outputs = g.shape[-ndim:]
    pads, reached = _conv_pads(operator, size), []
    axes = zip(size, outputs, pads, operator.kernel, operator.stride, operator.dilation, strict=True)
    for i, o, (lo, _), k, s, d in axes:
        reached.append(min(i, s * (o - 1) + d * (k - 1) + 1 - lo))
    if min(reached) <= 0:  # all windows lie in the padding before the input
        return np.zeros(input_shape, dtype)
    transpose = getattr(transposed, f"conv_transpose{ndim}d")
    options = {"groups": operator.groups, "dilation": operator.dilation, "output_size": tuple(reached)}
    part = transpose(g, weight, None, operator.stride, pads, **options)
    if part.shape == input_shape:
        return part
    whole = np.zeros(input_shape, part.dtype)
    whole[(..., *map(slice, reached))] = part
    return whole


def _by_transposed_input(
    ndim: int, input_shape: tuple, weight: NDArray[Any], g: NDArray[Any], settings: tuple
) -> NDArray[Any]:
    operator = _transposed(ndim, weight.shape, settings)
    _check_output(operator, input_shape, g)
    if 0 in input_shape:
        return np.zeros(input_shape, result_dtype(weight.dtype, g.dtype))
    convolve = getattr(conv, f"conv{ndim}d")
    y = convolve(g, weight, None, operator.stride, operator.padding, operator.dilation, operator.groups)
    # With an output_padding of a whole stride (dilation above it) there are outputs beyond the last input.
    return np.ascontiguousarray(y[(..., *map(slice, input_shape[-ndim:]))])


def _by_weight(
    small: NDArray[Any], large: NDArray[Any], operator: Any, lo: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Sum over pixels q of small[m, q] * large[c, q * stride + k * dilation - lo], for each m, c, k."""
    ndim, (_, compute) = len(operator.kernel), dtypes(("grad_output",), dtype)
    arrays = []
    for array in (small, large):
        images = array if array.ndim == ndim + 2 else array[None]
        shape = (*images.shape[:2], *lift(images.shape[2:], 1))
        arrays.append(np.require(images, compute, "CA").reshape(shape))
    sums = np.zeros((operator.weight_shape[0], *lift(operator.kernel, 1), operator.weight_shape[1]), compute)
    steps = lift(operator.stride, 1), lift(operator.dilation, 1), lift(lo, 0)
    _core.kernel_sums(*arrays, sums, *steps, operator.groups, get_num_threads())
    return np.ascontiguousarray(np.moveaxis(sums, -1, 1).reshape(operator.weight_shape), dtype)


def _conv_weight(ndim: int, x: NDArray[Any], shape: tuple, g: NDArray[Any], settings: tuple) -> NDArray[Any]:
    operator = _conv(ndim, shape, settings)
    _check_output(operator, x.shape, g)
    lo = tuple(first for first, _ in _conv_pads(operator, x.shape[-ndim:]))
    return _by_weight(g, x, operator, lo, result_dtype(x.dtype, g.dtype))


def _transposed_weight(ndim: int, x: NDArray[Any], shape: tuple, g: NDArray[Any], settings: tuple) -> NDArray[Any]:
    operator = _transposed(ndim, shape, settings)
    _check_output(operator, x.shape, g)
    return _by_weight(x, g, operator, tuple(lo for lo, _ in operator.padding), result_dtype(x.dtype, g.dtype))


def _backward(ndim: int, g: ArrayLike, x: ArrayLike, w: ArrayLike, settings: tuple, needs: tuple, sums: tuple) -> tuple:
    by_input, by_weight = sums
    g, x, w = _float_array("grad_output", g), _float_array("input", x), _float_array("weight", w)
    if len(needs) != 3:
        raise ValueError(f"needs takes three truth values, for input, weight and bias, got {needs!r}")
    _check_output((_conv if by_input is _by_input else _transposed)(ndim, w.shape, settings), x.shape, g)
    return (
        by_input(ndim, x.shape, w, g, settings) if needs[0] else None,
        by_weight(ndim, x, w.shape, g, settings) if needs[1] else None,
        bias_gradient(g, ndim) if needs[2] else None,
    )
