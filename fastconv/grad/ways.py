"""Gradients of poolings, of resizing and of the sub-pixel convolution, by their inputs and weights."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._arrays import as_array, dtypes
from .._config import get_num_threads
from ..geometry import (
    adaptive_geometry,
    as_bool,
    exact,
    int_entries,
    pool_geometry,
    shuffle_factors,
)
from ..pool import as_divisor
from ..resize import axis_tables, check_mode, output_sizes
from ..shuffle import pixel_unshuffle
from ..transposed import conv_transpose1d, conv_transpose2d, conv_transpose3d
from .convolutions import conv2d_backward, conv2d_input, conv2d_weight

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from ..geometry import Ints, Padding, PadLike, PoolGeometry, Windows


__all__ = [
    "adaptive_avg_pool1d_input",
    "adaptive_avg_pool2d_input",
    "adaptive_avg_pool3d_input",
    "avg_pool1d_input",
    "avg_pool2d_input",
    "avg_pool3d_input",
    "interpolate_input",
    "max_pool1d_input",
    "max_pool2d_input",
    "max_pool3d_input",
    "subpixel_conv2d_backward",
    "subpixel_conv2d_input",
    "subpixel_conv2d_weight",
]


def max_pool1d_input(input_size: Ints, indices: ArrayLike, grad_output: ArrayLike) -> NDArray[Any]:
    """Give the gradient of `max_pool1d` by its input, from the places that it returned.

    Each output's gradient goes to the entry that was the largest of its window.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, W).
    indices : array_like of int, of the shape of grad_output
        What ``max_pool1d(..., return_indices=True)`` returned; -1 stands for no place.
    grad_output : array_like, of the shape of the output
        The derivative by the output.

    Returns
    -------
    ndarray, of shape input_size
        Of the dtype of `grad_output`; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If `grad_output` is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import max_pool1d
    >>> from fastconv.grad import max_pool1d_input
    >>> x = np.arange(4.0).reshape(1, 4)
    >>> y, places = max_pool1d(x, 2, return_indices=True)
    >>> max_pool1d_input(x.shape, places, np.ones_like(y)).ravel()
    array([0., 1., 0., 1.])
    """
    return _max_pool(1, input_size, indices, grad_output)


def max_pool2d_input(input_size: Ints, indices: ArrayLike, grad_output: ArrayLike) -> NDArray[Any]:
    """Give the gradient of `max_pool2d` by its input, from the places that it returned.

    Each output's gradient goes to the entry that was the largest of its window.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, H, W).
    indices : array_like of int, of the shape of grad_output
        What ``max_pool2d(..., return_indices=True)`` returned; -1 stands for no place.
    grad_output : array_like, of the shape of the output
        The derivative by the output.

    Returns
    -------
    ndarray, of shape input_size
        Of the dtype of `grad_output`; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If `grad_output` is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import max_pool2d
    >>> from fastconv.grad import max_pool2d_input
    >>> x = np.arange(4.0).reshape(1, 2, 2)
    >>> y, places = max_pool2d(x, 2, return_indices=True)
    >>> max_pool2d_input(x.shape, places, np.ones_like(y)).ravel()
    array([0., 0., 0., 1.])
    """
    return _max_pool(2, input_size, indices, grad_output)


def max_pool3d_input(input_size: Ints, indices: ArrayLike, grad_output: ArrayLike) -> NDArray[Any]:
    """Give the gradient of `max_pool3d` by its input, from the places that it returned.

    Each output's gradient goes to the entry that was the largest of its window.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, D, H, W).
    indices : array_like of int, of the shape of grad_output
        What ``max_pool3d(..., return_indices=True)`` returned; -1 stands for no place.
    grad_output : array_like, of the shape of the output
        The derivative by the output.

    Returns
    -------
    ndarray, of shape input_size
        Of the dtype of `grad_output`; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If `grad_output` is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import max_pool3d
    >>> from fastconv.grad import max_pool3d_input
    >>> x = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> y, places = max_pool3d(x, (1, 2, 2), return_indices=True)
    >>> max_pool3d_input(x.shape, places, np.ones_like(y)).ravel()
    array([0., 0., 0., 1.])
    """
    return _max_pool(3, input_size, indices, grad_output)


def avg_pool1d_input(
    input_size: Ints,
    grad_output: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> NDArray[Any]:
    """Give the gradient of `avg_pool1d` by its input.

    Each output's gradient, divided as the average was, goes to every entry of its window.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, W).
    grad_output : array_like, of the shape of the output
        The derivative by the output.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As in `fastconv.avg_pool1d`.

    Returns
    -------
    ndarray, of shape input_size
        Of the dtype of `grad_output`; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If `grad_output` is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import avg_pool1d_input
    >>> avg_pool1d_input((1, 4), np.ones((1, 2)), 2).ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    settings = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    return _avg_pool(1, input_size, grad_output, *settings)


def avg_pool2d_input(
    input_size: Ints,
    grad_output: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> NDArray[Any]:
    """Give the gradient of `avg_pool2d` by its input.

    Each output's gradient, divided as the average was, goes to every entry of its window.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, H, W).
    grad_output : array_like, of the shape of the output
        The derivative by the output.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As in `fastconv.avg_pool2d`.

    Returns
    -------
    ndarray, of shape input_size
        Of the dtype of `grad_output`; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If `grad_output` is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import avg_pool2d_input
    >>> avg_pool2d_input((1, 1, 4), np.ones((1, 1, 2)), (1, 2)).ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    settings = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    return _avg_pool(2, input_size, grad_output, *settings)


def avg_pool3d_input(
    input_size: Ints,
    grad_output: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> NDArray[Any]:
    """Give the gradient of `avg_pool3d` by its input.

    Each output's gradient, divided as the average was, goes to every entry of its window.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, D, H, W).
    grad_output : array_like, of the shape of the output
        The derivative by the output.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As in `fastconv.avg_pool3d`.

    Returns
    -------
    ndarray, of shape input_size
        Of the dtype of `grad_output`; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If `grad_output` is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import avg_pool3d_input
    >>> avg_pool3d_input((1, 1, 1, 4), np.ones((1, 1, 1, 2)), (1, 1, 2)).ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    settings = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    return _avg_pool(3, input_size, grad_output, *settings)


def adaptive_avg_pool1d_input(input_size: Ints, grad_output: ArrayLike) -> NDArray[Any]:
    """Give the gradient of `adaptive_avg_pool1d` by its input.

    Each output's gradient, divided by the size of its window, goes to every entry of it.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, W).
    grad_output : array_like, ``([N,] C, *output_size)``
        The derivative by the output.

    Returns
    -------
    ndarray, of shape input_size
        Of the dtype of `grad_output`; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If `grad_output` is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import adaptive_avg_pool1d_input
    >>> adaptive_avg_pool1d_input((1, 4), np.ones((1, 2))).ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    return _adaptive_avg_pool(1, input_size, grad_output)


def adaptive_avg_pool2d_input(input_size: Ints, grad_output: ArrayLike) -> NDArray[Any]:
    """Give the gradient of `adaptive_avg_pool2d` by its input.

    Each output's gradient, divided by the size of its window, goes to every entry of it.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, H, W).
    grad_output : array_like, ``([N,] C, *output_size)``
        The derivative by the output.

    Returns
    -------
    ndarray, of shape input_size
        Of the dtype of `grad_output`; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If `grad_output` is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import adaptive_avg_pool2d_input
    >>> adaptive_avg_pool2d_input((1, 1, 4), np.ones((1, 1, 2))).ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    return _adaptive_avg_pool(2, input_size, grad_output)


def adaptive_avg_pool3d_input(input_size: Ints, grad_output: ArrayLike) -> NDArray[Any]:
    """Give the gradient of `adaptive_avg_pool3d` by its input.

    Each output's gradient, divided by the size of its window, goes to every entry of it.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, D, H, W).
    grad_output : array_like, ``([N,] C, *output_size)``
        The derivative by the output.

    Returns
    -------
    ndarray, of shape input_size
        Of the dtype of `grad_output`; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If `grad_output` is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import adaptive_avg_pool3d_input
    >>> adaptive_avg_pool3d_input((1, 1, 1, 4), np.ones((1, 1, 1, 2))).ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    return _adaptive_avg_pool(3, input_size, grad_output)


def interpolate_input(
    input_size: Ints,
    grad_output: ArrayLike,
    scale_factor: float | Iterable[float] | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
) -> NDArray[Any]:
    """Give the gradient of `interpolate` by its input.

    Each output's gradient goes to the entries that it was mixed from, by the same weights.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ``(N, C, *spatial)``.
    grad_output : array_like, ``(N, C, *size)``
        The derivative by the output, whose shape tells the size.
    scale_factor : number or tuple of numbers, optional
        If `interpolate` was given one.
    mode, align_corners
        As in `fastconv.interpolate`.

    Returns
    -------
    ndarray, of shape input_size
        Of the dtype of `grad_output`; float16 and bfloat16 compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If `grad_output` is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import interpolate_input
    >>> interpolate_input((1, 1, 2), np.arange(4.0).reshape(1, 1, 4), 2)
    array([[[1., 5.]]])
    """
    g = as_array("grad_output", grad_output)
    dtype, compute = dtypes(("grad_output",), g.dtype)
    shape = int_entries("input_size", input_size, 0)
    if not 3 <= len(shape) <= 5:
        raise ValueError(f"input_size has {len(shape)} entries {shape}, expected 3 to 5: (N, C, *spatial)")
    align = as_bool("align_corners", align_corners)
    check_mode(mode, len(shape) - 2, align)
    if 0 in shape[2:]:
        raise ValueError(f"input_size has an empty spatial axis: {shape}")
    sizes, scales = g.shape[2:], (None,) * (len(shape) - 2)
    if scale_factor is not None:
        sizes, scales = output_sizes(shape[2:], None, scale_factor)
    if g.shape != (*shape[:2], *sizes) or 0 in sizes:
        raise ValueError(f"grad_output has shape {g.shape}, expected {(*shape[:2], *sizes)}, that of the output")
    gathered = np.zeros(shape, compute)
    if g.size:
        axes = zip(shape[2:], sizes, scales, strict=True)
        tables = [axis_tables(*axis, mode, align, compute.char) for axis in axes]
        tables = [axis_tables(1, 1, None, mode, align, compute.char)] * (3 - len(tables)) + tables
        weights = [np.ones(len(at), compute) if weight is None else weight for at, weight in tables]
        lift = (slice(None), slice(None), *(None,) * (3 - len(sizes)))
        sides = np.require(g, compute, "CA")[lift], gathered[lift]
        _core.resize_back(*sides, [at for at, _ in tables], weights, get_num_threads())
    return gathered.astype(dtype, copy=False)


def subpixel_conv2d_input(
    input_size: Ints,
    weight: ArrayLike,
    grad_output: ArrayLike,
    upscale_factor: Ints,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Give the gradient of `subpixel_conv2d` by its input: `conv2d_input` of the unshuffled gradient.

    Parameters
    ----------
    input_size : tuple of int
        The full shape of the input, ([N,] C, H, W).
    weight : array_like, (M * r^2, C / groups, K_h, K_w)
        The kernels.
    grad_output : array_like, ([N,] M, r * O_h, r * O_w)
        The derivative by the output.
    upscale_factor, stride, padding, dilation, groups
        As in `fastconv.subpixel_conv2d`.

    Returns
    -------
    ndarray, of shape input_size
        With dtypes as in `conv2d_input`.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import subpixel_conv2d_input
    >>> subpixel_conv2d_input((1, 1, 2), np.ones((4, 1, 1, 1)), np.ones((1, 2, 4)), 2)
    array([[[4., 4.]]])
    """
    g = pixel_unshuffle(grad_output, shuffle_factors("upscale_factor", upscale_factor, 2))
    return conv2d_input(input_size, weight, g, stride, padding, dilation, groups)


def subpixel_conv2d_weight(
    input: ArrayLike,
    weight_size: Ints,
    grad_output: ArrayLike,
    upscale_factor: Ints,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Give the gradient of `subpixel_conv2d` by its weight: `conv2d_weight` of the unshuffled gradient.

    Parameters
    ----------
    input : array_like, ([N,] C, H, W)
        The image, or a batch of them.
    weight_size : tuple of int
        The shape of the weight, (M * r^2, C / groups, K_h, K_w).
    grad_output : array_like, ([N,] M, r * O_h, r * O_w)
        The derivative by the output.
    upscale_factor, stride, padding, dilation, groups
        As in `fastconv.subpixel_conv2d`.

    Returns
    -------
    ndarray, of shape weight_size
        With dtypes as in `conv2d_weight`.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import subpixel_conv2d_weight
    >>> subpixel_conv2d_weight(np.ones((1, 1, 2)), (4, 1, 1, 1), np.ones((1, 2, 4)), 2).ravel()
    array([2., 2., 2., 2.])
    """
    g = pixel_unshuffle(grad_output, shuffle_factors("upscale_factor", upscale_factor, 2))
    return conv2d_weight(input, weight_size, g, stride, padding, dilation, groups)


def subpixel_conv2d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    upscale_factor: Ints,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
    """Give the gradients of `subpixel_conv2d` by input, weight and bias: what `needs` asks for, None for the rest.

    Parameters
    ----------
    grad_output : array_like, ([N,] M, r * O_h, r * O_w)
        The derivative by the output.
    input : array_like, ([N,] C, H, W)
        The image, or a batch of them.
    weight : array_like, (M * r^2, C / groups, K_h, K_w)
        The kernels.
    upscale_factor, stride, padding, dilation, groups
        As in `fastconv.subpixel_conv2d`.
    needs : three bools
        Which gradients are computed.

    Returns
    -------
    tuple of ndarray or None
        As in `conv2d_backward`; the bias has M * r^2 entries.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument is out of range.
    TypeError
        If an array is not of a float dtype, or an int is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.grad import subpixel_conv2d_backward
    >>> g, x, w = np.ones((1, 2, 4)), np.ones((1, 1, 2)), np.ones((4, 1, 1, 1))
    >>> subpixel_conv2d_backward(g, x, w, 2, needs=(False, False, True))
    (None, None, array([2., 2., 2., 2.]))
    """
    g = pixel_unshuffle(grad_output, shuffle_factors("upscale_factor", upscale_factor, 2))
    return conv2d_backward(g, input, weight, stride, padding, dilation, groups, needs=needs)


# The sums -------------------------------------------------------------------------------------------------------------


def _max_pool(ndim: int, input_size: Ints, indices: ArrayLike, grad_output: ArrayLike) -> NDArray[Any]:
    g, places = as_array("grad_output", grad_output), as_array("indices", indices)
    dtype, compute = dtypes(("grad_output",), g.dtype)
    shape = int_entries("input_size", input_size, 0)
    if len(shape) not in (ndim + 1, ndim + 2) or g.ndim != len(shape) or g.shape[:-ndim] != shape[:-ndim]:
        raise ValueError(f"grad_output has shape {g.shape}, input_size is {shape}: expected ([N,] C, *spatial) of both")
    if places.dtype.kind not in "iu":
        raise TypeError(f"indices has dtype {places.dtype}, expected integers")
    if places.shape != g.shape:
        raise ValueError(f"indices has shape {places.shape}, expected {g.shape}, that of grad_output")
    size = prod(shape[-ndim:])
    if places.size and (places.min() < -1 or places.max() >= size):
        raise ValueError(f"indices must be from -1 to {size - 1}, got {places.min()} to {places.max()}")
    gathered = np.zeros(shape, compute)
    if g.size and gathered.size:
        planes = prod(shape[:-ndim])
        rows = (np.ascontiguousarray(side).reshape(planes, -1) for side in (places.astype(np.int64), g.astype(compute)))
        _core.scatter(*rows, gathered.reshape(planes, -1), get_num_threads())
    return gathered.astype(dtype, copy=False)


def _avg_pool(
    ndim: int,
    input_size: Ints,
    grad_output: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None,
    padding: PadLike,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> NDArray[Any]:
    """Divide, then let each output add to its window: a transposed convolution with ones."""
    g = as_array("grad_output", grad_output)
    dtype, compute = dtypes(("grad_output",), g.dtype)
    shape = int_entries("input_size", input_size, 0)
    geometry = pool_geometry(
        ndim,
        shape,
        compute.itemsize,
        exact("kernel_size", kernel_size),
        None if stride is None else exact("stride", stride),
        exact("padding", padding),
        1,
        as_bool("ceil_mode", ceil_mode),
    )
    _check_shape(g, geometry)
    divisor, with_padding = as_divisor(divisor_override), as_bool("count_include_pad", count_include_pad)
    if 0 in g.shape:
        return np.zeros(shape, dtype)
    windows, pads, extra = geometry.windows[3 - ndim :], [], []
    g = g.astype(compute)
    for axis, rule in enumerate(windows):
        counts = np.asarray(_counts(rule, with_padding), compute)
        g = g if divisor else g / counts.reshape(-1, *(1,) * (ndim - 1 - axis))
        behind = rule.stride * (rule.out - 1) + rule.kernel - rule.lo - rule.size  # of the last window
        pads.append((rule.lo, max(behind, 0)))
        extra.append(max(-behind, 0))
    g = g / compute.type(divisor) if divisor else g
    channels = g.shape[-1 - ndim]
    ones = np.ones((channels, 1, *(rule.kernel for rule in windows)), compute)
    transpose = (conv_transpose1d, conv_transpose2d, conv_transpose3d)[ndim - 1]
    steps = tuple(max(rule.stride, more + 1) for rule, more in zip(windows, extra, strict=True))  # free for one window
    return transpose(g, ones, None, steps, tuple(pads), tuple(extra), channels).astype(dtype, copy=False)


def _counts(rule: Windows, with_padding: bool) -> list[int]:
    """Return by what the sum of each window of an axis is divided."""
    counts = []
    for o in range(rule.out):
        start = o * rule.stride - rule.lo
        end = min(start + rule.kernel, rule.size + rule.hi)
        counts.append(end - start if with_padding else min(end, rule.size) - max(start, 0))
    return counts


def _adaptive_avg_pool(ndim: int, input_size: Ints, grad_output: ArrayLike) -> NDArray[Any]:
    """A product with the windows of each axis, as a matrix."""
    g = as_array("grad_output", grad_output)
    dtype, compute = dtypes(("grad_output",), g.dtype)
    shape = int_entries("input_size", input_size, 0)
    geometry = adaptive_geometry(ndim, shape, compute.itemsize, g.shape[-ndim:])
    _check_shape(g, geometry)
    g = g.astype(compute, copy=False)
    for axis in range(-ndim, 0):
        size, out = shape[axis], g.shape[axis]
        o, i = np.arange(out)[:, None], np.arange(size)
        windows = (i >= o * size // out) & (i < -(-(o + 1) * size // out))
        matrix = (windows / windows.sum(1, keepdims=True)).astype(compute)
        g = np.moveaxis(np.moveaxis(g, axis, -1) @ matrix, -1, axis)
    return np.ascontiguousarray(g, dtype)


def _check_shape(g: NDArray[Any], geometry: PoolGeometry) -> None:
    if g.shape != geometry.shape:
        raise ValueError(f"grad_output has shape {g.shape}, expected {geometry.shape}, that of the output")
