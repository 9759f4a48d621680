"""Pixel shuffle and unshuffle, and the sub-pixel convolution that ends in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._arrays import (
    LAYOUTS,
    as_array,
    channels_first_shape,
    channels_last_shape,
    check_layout,
    check_out,
)
from ._config import get_num_threads
from ._permutation import permutation, turns
from .geometry import shuffle_factors, shuffle_geometry
from .plan import SubpixelConv2d

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ._activation import Activation
    from .geometry import Ints, Padding, ShuffleGeometry

__all__ = ["pixel_shuffle", "pixel_unshuffle", "subpixel_conv2d"]

ORDERS = ("crd", "dcr")  # the core's 0 and 1


def pixel_shuffle(
    input: ArrayLike,
    upscale_factor: Ints,
    *,
    order: str = "crd",
    ndim: int | None = None,
    layout: str | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Rearrange channels into space: (..., C r^2, H, W) becomes (..., C, r H, r W).

    ``output[..., c, y * r + i, x * r + j] = input[..., k, y, x]`` with, by `order`,

    * ``"crd"``: ``k = c * r * r + i * r + j`` (torch's pixel_shuffle, ONNX DepthToSpace mode CRD),
    * ``"dcr"``: ``k = (i * r + j) * C + c`` (TensorFlow's depth_to_space, ONNX DepthToSpace mode DCR).

    Parameters
    ----------
    input : array_like, (..., C * r^2, H, W)
        Of any dtype, with any number of leading axes, none included.
    upscale_factor : int or tuple of int
        An int is the factor r on each of `ndim` axes; a tuple has a factor for each spatial axis, 1 to 3 of them.
    order : {"crd", "dcr"}
        Which part of the channel index is the output's channel: the first (crd) or the last (dcr).
    ndim : int, optional
        The number of spatial axes, 1 to 3: by default 2, or the length of a tuple of factors.
    layout : {"NCHW", "NHWC"}, optional
        The axes of input and output: "NHWC" has the channels last ("NCW", "NWC" and "NCDHW", "NDHWC" for one and three
        spatial axes). By default they come before the spatial axes.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (..., C, H * r, W * r)
        Of the dtype of `input`.

    Raises
    ------
    ValueError
        If the channels are not a multiple of the product of the factors, or an argument is out of range.
    TypeError
        If a factor is not an int, or `out` has another dtype.

    See Also
    --------
    pixel_unshuffle : the inverse.
    subpixel_conv2d : a convolution that writes its result shuffled.

    References
    ----------
    W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
    network", 2016, arXiv:1609.05158. ONNX operator specification, DepthToSpace.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import pixel_shuffle
    >>> pixel_shuffle(np.array([[[1]], [[2]], [[3]], [[4]]]), 2)
    array([[[1, 2],
            [3, 4]]])
    >>> pixel_shuffle(np.zeros((8, 6, 10, 10)), (3, 1)).shape
    (8, 2, 30, 10)
    """
    factors = shuffle_factors("upscale_factor", upscale_factor, ndim)
    return _rearrange(input, factors, order, layout, out, undo=False)


def pixel_unshuffle(
    input: ArrayLike,
    downscale_factor: Ints,
    *,
    order: str = "crd",
    ndim: int | None = None,
    layout: str | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Rearrange space into channels: (..., C, r H, r W) becomes (..., C r^2, H, W), the inverse of `pixel_shuffle`.

    ``output[..., k, y, x] = input[..., c, y * r + i, x * r + j]`` with, by `order`,

    * ``"crd"``: ``k = c * r * r + i * r + j`` (torch's pixel_unshuffle),
    * ``"dcr"``: ``k = (i * r + j) * C + c`` (TensorFlow's space_to_depth, ONNX SpaceToDepth).

    Parameters
    ----------
    input : array_like, (..., C, H * r, W * r)
        Of any dtype, with any number of leading axes, none included.
    downscale_factor : int or tuple of int
        An int is the factor r on each of `ndim` axes; a tuple has a factor for each spatial axis, 1 to 3 of them.
    order : {"crd", "dcr"}
        Which part of the channel index is the input's channel: the first (crd) or the last (dcr).
    ndim : int, optional
        The number of spatial axes, 1 to 3: by default 2, or the length of a tuple of factors.
    layout : {"NCHW", "NHWC"}, optional
        The axes of input and output: "NHWC" has the channels last ("NCW", "NWC" and "NCDHW", "NDHWC" for one and three
        spatial axes). By default they come before the spatial axes.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (..., C * r^2, H, W)
        Of the dtype of `input`.

    Raises
    ------
    ValueError
        If a factor does not divide its axis, or an argument is out of range.
    TypeError
        If a factor is not an int, or `out` has another dtype.

    See Also
    --------
    pixel_shuffle : the inverse.

    References
    ----------
    ONNX operator specification, SpaceToDepth.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import pixel_unshuffle
    >>> pixel_unshuffle(np.array([[[1, 2], [3, 4]]]), 2).ravel()
    array([1, 2, 3, 4])
    """
    factors = shuffle_factors("downscale_factor", downscale_factor, ndim)
    return _rearrange(input, factors, order, layout, out, undo=True)


def subpixel_conv2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    upscale_factor: Ints,
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
    """Convolve and shuffle in one pass: ``pixel_shuffle(conv2d(input, ...), upscale_factor)``, never held unshuffled.

    ``output[n, m, y * r + i, x * r + j] = conv2d(input, ...)[n, m * r * r + i * r + j, y, x]``

    Parameters
    ----------
    input : array_like, (N, C, H, W) or (C, H, W)
        The image, or a batch of them.
    weight : array_like, (M * r^2, C / groups, K_h, K_w)
        The kernels of the convolution, in the channel order "crd".
    bias : array_like, (M * r^2,), or None
        What is added to each channel of the convolution.
    upscale_factor : int or tuple of two ints
        The factor r, or one for each axis.
    stride, padding, dilation, groups, padding_mode, activation, layout, algorithm
        Of the convolution, as in `conv2d`.
    residual : array_like, optional
        What is added to the outputs before the activation, of the shuffled shape.
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

    Returns
    -------
    ndarray, (N, M, r * O_h, r * O_w) or (M, r * O_h, r * O_w)
        With O as in `conv2d`. The dtype is as in `conv2d`.

    Raises
    ------
    ValueError
        If the output channels of `weight` are not a multiple of r^2, or as in `conv2d`.
    TypeError
        As in `conv2d`.

    See Also
    --------
    SubpixelConv2d : the same with the weights packed once.

    References
    ----------
    W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
    network", 2016, arXiv:1609.05158.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import subpixel_conv2d
    >>> x = np.ones((1, 8, 16, 16), np.float32)
    >>> subpixel_conv2d(x, np.ones((12, 8, 3, 3), np.float32), None, 2, padding=1).shape
    (1, 3, 32, 32)
    """
    about = algorithm, layout, stride, padding, dilation, groups, upscale_factor, padding_mode
    return SubpixelConv2d._call(input, weight, bias, about, activation, out, residual)


def _rearrange(
    input: ArrayLike,
    factors: tuple[int, ...],
    order: str,
    layout: str | None,
    out: NDArray[Any] | None,
    *,
    undo: bool,
) -> NDArray[Any]:
    if order not in ORDERS:
        raise ValueError(f"order must be one of {ORDERS}, got {order!r}")
    x, ndim = as_array("input", input), len(factors)
    last = check_layout(layout, ndim) == LAYOUTS[ndim][1]
    shape = channels_first_shape(x.shape, ndim) if last and x.ndim > ndim else x.shape
    geometry = shuffle_geometry(shape, factors, x.itemsize, undo)
    shape = channels_last_shape(geometry.shape, ndim) if last else geometry.shape
    move = _move_last if last else _move
    if out is None:
        return move(x, _core.empty(shape, x.dtype), geometry, order, undo)
    target = check_out(out, shape, x.dtype)
    if target.flags.c_contiguous and not np.may_share_memory(target, x):
        move(x, target, geometry, order, undo)
    else:
        target[...] = move(x, _core.empty(shape, x.dtype), geometry, order, undo)
    return out


def _move(x: NDArray[Any], y: NDArray[Any], geometry: ShuffleGeometry, order: str, undo: bool) -> NDArray[Any]:
    """Fill y, which is contiguous."""
    if not y.size:
        return y
    source, target = (geometry.fine, geometry.coarse) if undo else (geometry.coarse, geometry.fine)
    x5, y5 = np.ascontiguousarray(x).reshape(source), y.reshape(target)
    if x.dtype.hasobject or not x.itemsize:  # references have to be counted, and no bytes cannot be viewed as bytes
        _permute(x5, y5, geometry, order, undo)
    else:
        code, threads = ORDERS.index(order), get_num_threads()
        _core.shuffle(x5.view(np.uint8), y5.view(np.uint8), x.itemsize, geometry.factors, code, undo, threads)
    return y


def _permute(x: NDArray[Any], y: NDArray[Any], geometry: ShuffleGeometry, order: str, undo: bool) -> None:
    """Shuffle by NumPy's own assignment."""
    coarse, fine = (y, x) if undo else (x, y)
    n, channels = geometry.fine[:2]
    factors = geometry.factors
    d, h, w = geometry.coarse[2:]
    if order == "crd":
        residues = coarse.reshape(n, channels, *factors, d, h, w).transpose(0, 1, 5, 2, 6, 3, 7, 4)
    else:
        residues = coarse.reshape(n, *factors, channels, d, h, w).transpose(0, 4, 5, 1, 6, 2, 7, 3)
    places = fine.reshape(n, channels, d, factors[0], h, factors[1], w, factors[2])
    if undo:
        residues[...] = places
    else:
        places[...] = residues


def _move_last(x: NDArray[Any], y: NDArray[Any], geometry: ShuffleGeometry, order: str, undo: bool) -> NDArray[Any]:
    """Fill y, which is contiguous; both have their channels last."""
    if not y.size:
        return y
    n, channels = geometry.fine[:2]
    (fd, fh, fw), (d, h, w) = geometry.factors, geometry.coarse[2:]
    pixel, threads = channels * x.itemsize, get_num_threads()
    steps, turned = None, False
    if fd == 1 and pixel and not x.dtype.hasobject:
        aligned = x.flags.aligned and y.flags.aligned
        turned = aligned and turns(_core.widths()[0], x.itemsize, channels, (fh, fw), order)
    if fd == 1 and pixel and not x.dtype.hasobject and not turned:
        steps = permutation(_core.byte_units(), x.itemsize, channels, (fh, fw), order, undo)
    if steps is not None or turned:
        x, rows = np.ascontiguousarray(x), [(n * d * h, w * fh * fw * pixel), (n * d * h * fh, w * fw * pixel)]
        source, target = rows[::-1] if undo else rows
        sides = x.reshape(-1).view(np.uint8).reshape(source), y.reshape(-1).view(np.uint8).reshape(target)
        _core.shuffle_last(*sides, x.itemsize, channels, (fh, fw), steps, undo, threads)
    elif fd == 1 and order == "dcr" and pixel and not x.dtype.hasobject:
        # Of fw neighbouring pixels all channels stay together: only fh such runs change places with the row.
        x, run = np.ascontiguousarray(x), fw * pixel
        rows = [(n * d * h, 1, 1, 1, w * fh * run), (n * d * h, fh, 1, 1, w * run)]
        source, target = rows[::-1] if undo else rows
        sides = x.reshape(-1).view(np.uint8).reshape(source), y.reshape(-1).view(np.uint8).reshape(target)
        _core.shuffle(*sides, run, (1, 1, fh), ORDERS.index("crd"), not undo, threads)
    else:
        coarse, fine = (y, x) if undo else (x, y)
        split = (channels, fd, fh, fw) if order == "crd" else (fd, fh, fw, channels)
        axes = (0, 1, 5, 2, 6, 3, 7, 4) if order == "crd" else (0, 1, 4, 2, 5, 3, 6, 7)
        pixels = coarse.reshape(n, d, h, w, *split).transpose(axes)
        places = fine.reshape(pixels.shape)
        if undo:
            pixels[...] = places
        else:
            places[...] = pixels
    return y
