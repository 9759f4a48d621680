"""Ways up without weights, or around a convolution: resizing, zeros between pixels, windows as a matrix and back."""

from __future__ import annotations

from functools import lru_cache
from math import floor, isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._arrays import as_array, check_out, dtypes, rows
from ._choice import choose
from ._config import get_num_threads
from .geometry import (
    as_bool,
    as_entries,
    check_bytes,
    conv_output_size,
    int_entries,
    is_sequence,
    padding_pairs,
    per_axis,
    placement,
    resolved_padding,
    spread,
)
from .plan import Conv2d
from .transposed import conv_transpose2d

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from .geometry import Convolution, Ints, Padding, PadLike, Pairs

__all__ = ["fold", "interpolate", "resize_conv2d", "unfold", "zero_insert"]

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}  # by the number of spatial axes
NEAREST = "nearest", "nearest-exact"
BAND_BYTES = 2 << 20  # of a resized image that is convolved band by band


def interpolate(
    input: ArrayLike,
    size: Ints | None = None,
    scale_factor: float | Iterable[float] | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
    *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Resize signals, images or volumes.

    On each axis, output ``o`` reads the input around position

    * ``floor(o / scale)``: nearest (torch's and the oldest rule); ``floor((o + 1/2) / scale)``: nearest-exact,
    * ``(o + 1/2) / scale - 1/2``, not below 0: linear, which mixes the two entries beside it by their distances,
    * ``o * (size - 1) / (output size - 1)``: linear with `align_corners`.

    Parameters
    ----------
    input : array_like, ``(N, C, *spatial)``, with one to three spatial axes
        The image, or a batch of them. "nearest" takes any dtype.
    size : int or tuple of int, optional
        The output's spatial size; a single int stands for all axes. Either this or `scale_factor` is given.
    scale_factor : number or tuple of numbers, optional
        What the spatial size is multiplied with, rounded down. It is used as given for the positions as well.
    mode : {"nearest", "nearest-exact", "linear", "bilinear", "trilinear"}
        The last three are one mode, for one, two and three spatial axes.
    align_corners : bool
        Whether the centres of the corner pixels coincide; only for the linear modes.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, ``(N, C, *size)``
        Of the dtype of `input`; float16 and bfloat16 are mixed in float32 and rounded once.

    Raises
    ------
    ValueError
        If an argument is out of range, or does not fit the number of axes.
    TypeError
        If a linear mode is asked for an array that is not of a float dtype.

    See Also
    --------
    resize_conv2d : a convolution of the resized image, which is never held.

    References
    ----------
    torch.nn.functional.interpolate. ONNX operator specification, Resize (half_pixel, asymmetric, align_corners).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import interpolate
    >>> x = np.array([[[[1.0, 2.0]]]])
    >>> interpolate(x, scale_factor=2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
    >>> interpolate(x, (1, 4), mode="bilinear")
    array([[[[1.  , 1.25, 1.75, 2.  ]]]])
    """
    x = as_array("input", input)
    ndim = x.ndim - 2
    if not 1 <= ndim <= 3:
        raise ValueError(f"input has {x.ndim} axes {x.shape}, expected 3 to 5: (N, C, *spatial)")
    align = as_bool("align_corners", align_corners)
    check_mode(mode, ndim, align)
    if 0 in x.shape[2:]:
        raise ValueError(f"input has an empty spatial axis: shape {x.shape}")
    sizes, scales = output_sizes(x.shape[2:], size, scale_factor)
    shape = (*x.shape[:2], *sizes)
    check_bytes("output", shape, x.itemsize)
    linear = mode not in NEAREST
    dtype, compute = dtypes(("input",), x.dtype) if linear else (x.dtype, x.dtype)
    target = None if out is None else check_out(out, shape, dtype)
    if target is not None and target.dtype == compute and target.flags.c_contiguous and target.flags.aligned:
        y = _core.empty(shape, compute) if np.may_share_memory(target, x) else target
    else:
        y = _core.empty(shape, compute)
    if y.size:
        _fill(x, y, _tables(x.shape[2:], sizes, scales, mode, align, compute.char if linear else ""))
    if target is None:
        return y if compute == dtype else y.astype(dtype)
    if target is not y:
        target[...] = y
    return out  # type: ignore[return-value]


def check_mode(mode: str, ndim: int, align: bool) -> None:
    """Check that a mode exists for so many spatial axes."""
    modes = (*NEAREST, LINEAR[ndim])
    if mode not in modes:
        raise ValueError(f"mode must be one of {modes} for {ndim} spatial axes, got {mode!r}")
    if align and mode in NEAREST:
        raise ValueError(f"align_corners has a meaning for the linear modes only, got it with mode={mode!r}")


def output_sizes(
    shape: tuple[int, ...], size: Ints | None, scale_factor: float | Iterable[float] | None
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """Return the output's spatial size, and the scale of each axis as given, or None."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"give either size or scale_factor, got size={size!r} and scale_factor={scale_factor!r}")
    ndim = len(shape)
    if size is not None:
        return per_axis("size", size, ndim), (None,) * ndim
    given = as_entries("scale_factor", scale_factor)
    for scale in given:
        if isinstance(scale, (bool, str, bytes)) or not hasattr(type(scale), "__float__"):
            raise TypeError(f"scale_factor takes numbers, got {scale!r}")
        if not (isfinite(scale) and scale > 0):
            raise ValueError(f"scale_factor must be positive and finite, got {scale!r}")
    scales = spread("scale_factor", tuple(map(float, given)), ndim)
    sizes = tuple(floor(i * scale) for i, scale in zip(shape, scales, strict=True))
    if min(sizes) < 1:
        raise ValueError(f"nothing is left of the spatial size {shape} at scale_factor {scale_factor!r}")
    return sizes, scales


@lru_cache(maxsize=64)
def _tables(
    shape: tuple[int, ...],
    sizes: tuple[int, ...],
    scales: tuple[float | None, ...],
    mode: str,
    align: bool,
    kind: str,
) -> tuple[list, list | None, int]:
    """Return positions, weights and the factor of w as `_core.resize` wants them, on three axes."""
    axes = [axis_tables(*axis, mode, align, kind) for axis in zip(shape, sizes, scales, strict=True)]
    one = axis_tables(1, 1, None, mode, align, kind)
    axes = [one] * (3 - len(axes)) + axes
    factor, rest = divmod(sizes[-1], shape[-1])
    at = axes[-1][0]
    repeats = not kind and not rest and np.array_equal(at, np.arange(sizes[-1]) // factor)
    return [at for at, _ in axes], [w for _, w in axes] if kind else None, factor if repeats else 0


def axis_tables(
    i: int, o: int, scale: float | None, mode: str, align: bool, kind: str
) -> tuple[NDArray[np.intp], NDArray[Any] | None]:
    """Return the inputs that the outputs of an axis read, and for the linear modes their weights.

    Rounded as torch rounds, since a floor shows the last digit: in float32, but for the linear modes of float64 images.
    An axis that keeps its size is copied by the linear modes, even if a scale near 1 was given.
    """
    real = np.dtype(kind or "f").type
    step = real(1 / scale) if scale is not None else real(i) / real(o)
    place = np.arange(o).astype(real)
    if mode in NEAREST:
        at = np.floor((place + real(0.5) if mode == "nearest-exact" else place) * step).astype(np.intp)
        return np.minimum(at, i - 1), None
    if align:
        place = place * (real(i - 1) / real(o - 1) if o > 1 else real(0))
    elif i != o:
        place = np.maximum(step * (place + real(0.5)) - real(0.5), real(0))
    at = np.minimum(np.floor(place).astype(np.intp), i - 1)
    above = np.clip(place - at.astype(real), real(0), real(1))
    return np.stack([at, np.minimum(at + 1, i - 1)]), np.stack([real(1) - above, above])


def _fill(x: NDArray[Any], y: NDArray[Any], tables: tuple[list, list | None, int]) -> None:
    at, weight, factor = tables
    if x.dtype.hasobject or not x.itemsize:
        y[...] = x[(..., *np.ix_(*at[3 - (x.ndim - 2) :]))]
        return
    if weight is None:
        x = rows(x, x.dtype)
        sides = [side.view(np.dtype((np.void, side.itemsize))) for side in (x, y)]
    else:
        sides = [rows(x, y.dtype), y]
    lift = (slice(None), slice(None), *(None,) * (5 - x.ndim))
    _core.resize(*(side[lift] for side in sides), at, weight, factor, get_num_threads())


def resize_conv2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    size: Ints | None = None,
    scale_factor: float | Iterable[float] | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    out: NDArray[Any] | None = None,
    algorithm: str = "auto",
) -> NDArray[Any]:
    """Resize and convolve: ``conv2d(interpolate(input, size, ...), weight, ...)``, whose resized image is never held.

    Where each pixel becomes r x r equal ones (nearest, a whole factor) and the stride and the dilation are 1, this is a
    transposed convolution with stride r, whose kernels are sums of entries of `weight`: at r = 2, a 3x3 kernel takes 4
    multiply-adds an output in place of 9. Else the image is resized and convolved in bands of rows.

    Parameters
    ----------
    input : array_like, (N, C, H, W)
        A batch of images.
    weight : array_like, (O, C / groups, K_h, K_w)
        The kernels.
    bias : array_like, (O,), optional
        What is added to each output channel.
    size, scale_factor, mode, align_corners
        Of the resizing, as in `interpolate`; the mode is "nearest", "nearest-exact" or "bilinear".
    stride, padding, dilation, groups, algorithm
        Of the convolution, as in `conv2d`.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap the other arrays.

    Returns
    -------
    ndarray, (N, O, O_h, O_w)
        With O_h and O_w as in `conv2d` for the resized image; the dtype is as in `conv2d`.

    Raises
    ------
    ValueError
        As in `interpolate` and `conv2d`.
    TypeError
        As in `conv2d`.

    References
    ----------
    A. Odena, V. Dumoulin and C. Olah, "Deconvolution and checkerboard artifacts", Distill, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import resize_conv2d
    >>> x, w = np.arange(4.0).reshape(1, 1, 2, 2), np.ones((1, 1, 3, 3))
    >>> resize_conv2d(x, w, scale_factor=2, padding=1)
    array([[[[ 0.,  2.,  4.,  4.],
             [ 4.,  9., 12., 10.],
             [ 8., 15., 18., 14.],
             [ 8., 14., 16., 12.]]]])
    """
    x, w = as_array("input", input), as_array("weight", weight)
    if x.ndim != 4:
        raise ValueError(f"input has {x.ndim} axes {x.shape}, expected 4: (N, C, H, W)")
    align = as_bool("align_corners", align_corners)
    check_mode(mode, 2, align)
    if 0 in x.shape[2:]:
        raise ValueError(f"input has an empty spatial axis: shape {x.shape}")
    sizes, scales = output_sizes(x.shape[2:], size, scale_factor)
    settings = stride, padding, dilation, groups, 1, "zeros"
    layer = Conv2d._borrow(w, bias, algorithm, settings, None, None)
    operator = layer._form.operator
    dtype, compute = dtypes(("input", "weight"), x.dtype, layer.dtype)
    place = placement(operator, (*x.shape[:2], *sizes), compute.itemsize, None)
    factors = tuple(o // i for o, i in zip(sizes, x.shape[2:], strict=True))
    axes = zip(factors, x.shape[2:], sizes, scales, strict=True)
    repeated = mode in NEAREST and all(f * i == o and s in (None, f) for f, i, o, s in axes)
    cut = _transposed_padding(operator, sizes)
    target = None if out is None else check_out(out, place.shape, dtype)
    if repeated and cut is not None and max(factors) > 1 and np.isfinite(w).all():
        kernels = _repeated_kernels(w, operator.groups, factors).astype(compute)
        y = conv_transpose2d(x, kernels, layer.bias, factors, cut, groups=operator.groups, algorithm=algorithm)
    else:
        y = _core.empty(place.shape, compute)
        if y.size:
            tables = _tables(x.shape[2:], sizes, scales, mode, align, "" if mode in NEAREST else compute.char)
            _convolve_bands(rows(x, compute), y, layer, sizes, tables)
    if target is None:
        return y if y.dtype == dtype else y.astype(dtype)
    target[...] = y
    return out  # type: ignore[return-value]


def _transposed_padding(operator: Convolution, sizes: tuple[int, ...]) -> Pairs | None:
    """Return the padding with which a transposed convolution is this one of an image of repeated pixels, if any is."""
    if {*operator.stride, *operator.dilation} != {1}:
        return None
    pads = resolved_padding(operator.padding, sizes, operator.kernel, operator.stride, operator.dilation)
    cut = tuple((k - 1 - lo, k - 1 - hi) for k, (lo, hi) in zip(operator.kernel, pads, strict=True))
    return cut if min(map(min, cut)) >= 0 else None


def _repeated_kernels(weight: NDArray[Any], groups: int, factors: tuple[int, ...]) -> NDArray[Any]:
    """Return the transposed kernels of a convolution of pixels that are repeated: sums of r neighbours, flipped.

    ``sum[c, o, t] = sum of weight[o, c, k] over K - 1 - k <= t < K - 1 - k + r``, on each axis.
    """
    outputs, inputs, *kernel = weight.shape
    flipped = weight[:, :, ::-1, ::-1].astype(np.float64)
    sums = np.zeros((outputs, inputs, *(k + r - 1 for k, r in zip(kernel, factors, strict=True))))
    for i, j in np.ndindex(*factors):
        sums[:, :, i : i + kernel[0], j : j + kernel[1]] += flipped
    grouped = sums.reshape(groups, outputs // groups, inputs, *sums.shape[2:])
    return grouped.swapaxes(1, 2).reshape(groups * inputs, outputs // groups, *sums.shape[2:])


def _convolve_bands(
    x: NDArray[Any],
    y: NDArray[Any],
    layer: Conv2d,
    sizes: tuple[int, ...],
    tables: tuple[list, list | None, int],
) -> None:
    """Resize the rows that some rows of the output read, convolve them, and go on; image by image."""
    operator, threads = layer._form.operator, get_num_threads()
    choice = choose(operator, sizes, y.dtype, layer.algorithm, _core.widths())
    engine = layer._engine(y.dtype, choice)
    (low, left), (step, _) = operator.output(sizes, None)[1], operator.stride
    reach = operator.dilation[0] * (operator.kernel[0] - 1)
    (at_d, at_h, at_w), weight, factor = tables
    row_bytes = x.shape[1] * sizes[1] * y.itemsize
    height = max(1, (BAND_BYTES // row_bytes - reach) // step)  # of the output
    room = np.empty((min(sizes[0], (height - 1) * step + reach + 1) or 1) * row_bytes // y.itemsize, y.dtype)
    for n in range(len(x)):
        for first in range(0, y.shape[2], height):
            end = min(first + height, y.shape[2])
            begin = min(max(first * step + low, 0), sizes[0] - 1)
            stop = max(begin + 1, min((end - 1) * step + low + reach + 1, sizes[0]))
            band = room[: x.shape[1] * (stop - begin) * sizes[1]].reshape(1, x.shape[1], 1, stop - begin, sizes[1])
            part = slice(begin, stop)
            weights = weight and [weight[0], weight[1][:, part], weight[2]]
            positions = [at_d, at_h[..., part], at_w]
            _core.resize(x[n : n + 1, :, None], band, positions, weights, factor, threads)
            place = 0, first * step + low - begin, left
            engine.run(band, y[n : n + 1, :, None, first:end], place, threads)


def zero_insert(input: ArrayLike, stride: Ints) -> NDArray[Any]:
    """Put ``stride - 1`` zeros between neighbouring pixels: what a transposed convolution does, written out.

    ``output[..., x * S] = input[..., x]``, zero elsewhere. A transposed convolution is the convolution of this with the
    kernels flipped and turned, padded by ``d * (K - 1) - P``; `conv_transpose2d` never holds the zeros or multiplies
    them.

    Parameters
    ----------
    input : array_like, ``(..., *spatial)``
        Of any dtype.
    stride : int or tuple of int
        S. An int stands for the last two axes, a tuple has one for each of the last axes.

    Returns
    -------
    ndarray, ``(..., *((size - 1) * S + 1))``
        Of the dtype of `input`; an empty axis stays empty.

    Raises
    ------
    ValueError
        If a stride is below 1, or there are more strides than axes.
    TypeError
        If a stride is not an int.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import conv2d, conv_transpose2d, zero_insert
    >>> zero_insert(np.array([[1, 2], [3, 4]]), 2)
    array([[1, 0, 2],
           [0, 0, 0],
           [3, 0, 4]])
    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.arange(9.0).reshape(1, 1, 3, 3)
    >>> by_zeros = conv2d(zero_insert(x, 2), w[:, :, ::-1, ::-1], padding=2)
    >>> bool((by_zeros == conv_transpose2d(x, w, stride=2)).all())
    True
    """
    x = as_array("input", input)
    steps = int_entries("stride", stride)
    steps = steps if is_sequence(stride) else steps * 2
    if len(steps) > x.ndim:
        raise ValueError(f"stride has {len(steps)} entries, input has {x.ndim} axes {x.shape}")
    lead, sizes = x.shape[: x.ndim - len(steps)], x.shape[x.ndim - len(steps) :]
    shape = (*lead, *((i - 1) * s + 1 if i else 0 for i, s in zip(sizes, steps, strict=True)))
    check_bytes("output", shape, x.itemsize)
    y = np.zeros(shape, x.dtype)
    y[(..., *(slice(None, None, s) for s in steps))] = x
    return y


def unfold(
    input: ArrayLike, kernel_size: Ints, dilation: Ints = 1, padding: PadLike = 0, stride: Ints = 1
) -> NDArray[Any]:
    """Write the windows of images as the columns of a matrix (im2col): `conv2d` is a product with it.

    ``output[n, (c * K_h + i) * K_w + j, y * L_w + x] = padded[n, c, y * S_h + i * d_h, x * S_w + j * d_w]``

    Each pixel is copied as often as windows see it: nine times for 3x3. No convolution of this library does so.

    Parameters
    ----------
    input : array_like, (N, C, H, W) or (C, H, W)
        The image, or a batch of them, of any dtype.
    kernel_size, dilation, padding, stride : int or tuple of two
        As in `conv2d`; the padding holds zeros.

    Returns
    -------
    ndarray, (N, C * K_h * K_w, L_h * L_w) or (C * K_h * K_w, L_h * L_w)
        With L as in `conv2d`; of the dtype of `input`.

    Raises
    ------
    ValueError
        If no window fits, or an argument is out of range.
    TypeError
        If an int is none.

    See Also
    --------
    fold : the transpose.

    References
    ----------
    torch.nn.functional.unfold.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import unfold
    >>> unfold(np.arange(9).reshape(1, 3, 3), 2)
    array([[0, 1, 3, 4],
           [1, 2, 4, 5],
           [3, 4, 6, 7],
           [4, 5, 7, 8]])
    """
    x = as_array("input", input)
    if x.ndim not in (3, 4):
        raise ValueError(f"input has {x.ndim} axes {x.shape}, expected 3 or 4: ([N,] C, H, W)")
    kernel, steps, rates, pads, sizes = _windows(x.shape[-2:], kernel_size, dilation, padding, stride)
    shape = (*x.shape[:-2], *kernel, *sizes)
    matrix = (*x.shape[:-3], x.shape[-3] * prod(kernel), prod(sizes))
    check_bytes("output", matrix, x.itemsize)
    padded = np.pad(x, (*((0, 0),) * (x.ndim - 2), *pads)) if any(map(any, pads)) else x
    # A step beyond the image is not taken: it may be 2**62, too many bytes to count.
    steps_in = [min(step, i) for step, i in zip((*rates, *steps), padded.shape[-2:] * 2, strict=True)]
    strides = (*padded.strides[:-2], *(step * b for step, b in zip(steps_in, padded.strides[-2:] * 2, strict=True)))
    windows = np.lib.stride_tricks.as_strided(padded, shape, strides, writeable=False)
    return np.ascontiguousarray(windows).reshape(matrix)


def fold(
    input: ArrayLike,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: PadLike = 0,
    stride: Ints = 1,
) -> NDArray[Any]:
    """Add the columns of a matrix to the windows of images that they stand for (col2im): the transpose of `unfold`.

    Parameters
    ----------
    input : array_like, (N, C * K_h * K_w, L_h * L_w) or (C * K_h * K_w, L_h * L_w)
        Columns, as `unfold` makes them; of a float dtype, since sums of integers would overflow.
    output_size : int or (H, W)
        The spatial size of the images.
    kernel_size, dilation, padding, stride : int or tuple of two
        As in `unfold`.

    Returns
    -------
    ndarray, (N, C, H, W) or (C, H, W)
        Of the dtype of `input`; float16 and bfloat16 are added in float32 and rounded once.

    Raises
    ------
    ValueError
        If the matrix has not the shape that `unfold` gives, or an argument is out of range.
    TypeError
        If `input` is not of a float dtype, or an int is none.

    See Also
    --------
    unfold : the transpose, not the inverse: ``fold(unfold(x))`` is x times how many windows see each pixel.

    References
    ----------
    torch.nn.functional.fold.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import fold, unfold
    >>> fold(unfold(np.ones((1, 3, 3)), 2), 3, 2)
    array([[[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]]])
    """
    x = as_array("input", input)
    dtype, compute = dtypes(("input",), x.dtype)
    size = per_axis("output_size", output_size, 2)
    kernel, steps, rates, pads, sizes = _windows(size, kernel_size, dilation, padding, stride)
    if x.ndim not in (2, 3) or x.shape[-2] % prod(kernel) or x.shape[-1] != prod(sizes):
        raise ValueError(
            f"input has shape {x.shape}, expected ([N,] C * {prod(kernel)}, {prod(sizes)}): a kernel of {kernel} has "
            f"{sizes} places in an output of {size}"
        )
    columns = x.reshape(*x.shape[:-2], -1, *kernel, *sizes)
    padded = np.zeros((*columns.shape[:-4], *(i + sum(ends) for i, ends in zip(size, pads, strict=True))), compute)
    for i, j in np.ndindex(*kernel):
        taps = zip((i, j), rates, steps, sizes, strict=True)
        window = tuple(slice(k * d, k * d + s * (o - 1) + 1, s) for k, d, s, o in taps)
        padded[(..., *window)] += columns[..., i, j, :, :]
    inside = tuple(slice(lo, lo + i) for (lo, _), i in zip(pads, size, strict=True))
    return np.ascontiguousarray(padded[(..., *inside)], dtype)


def _windows(size: tuple[int, ...], kernel_size: Ints, dilation: Ints, padding: PadLike, stride: Ints) -> tuple:
    """Return kernel, stride, dilation, padding and number of windows on both axes."""
    kernel = per_axis("kernel_size", kernel_size, 2)
    steps, rates = per_axis("stride", stride, 2), per_axis("dilation", dilation, 2)
    pads = padding_pairs(padding, 2)
    return kernel, steps, rates, pads, conv_output_size(size, kernel, steps, pads, rates)
