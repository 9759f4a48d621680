"""Maximum and average pooling on one, two and three spatial axes, and average pooling to a given output size."""

from __future__ import annotations

from functools import lru_cache, partial
from math import inf
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._arrays import as_array, check_out, dtypes, lies_in_planes, rows
from ._config import get_num_threads
from .geometry import MAX_SIZE, adaptive_geometry, as_bool, exact, pool_geometry

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from .geometry import Ints, PadLike, PoolGeometry, Windows

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

_KINDS = {np.dtype(name): kind for kind, name in enumerate(_core.PLAIN_DTYPES)}


def max_pool1d(
    input: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: NDArray[Any] | None = None,
) -> Any:
    """Take the largest entry of each window of signals.

    ``output[n, c, x] = the largest of padded[n, c, x * S + k * d] over k < K``

    Parameters
    ----------
    input : array_like, (N, C, W) or (C, W)
        The signal, or a batch of them, of bool, integers or floats.
    kernel_size : int
        K, the size of a window.
    stride : int, optional
        S, the step between windows; K if not given.
    padding : int or (lo, hi) pair in a tuple
        Entries on both sides that are smaller than all others: at most half of K.
    dilation : int
        d, the step between the entries of a window.
    ceil_mode : bool
        Let a last window hang over the end, if it does not start in the padding there.
    return_indices : bool
        Return the places of the maxima as well.
    out : ndarray, optional
        Where to write the maxima: their shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (N, C, L) or (C, L)
        With ``L = (W + p_lo + p_hi - d * (K - 1) - 1) // S + 1``, rounded up in `ceil_mode`. The dtype is that of
        `input`, in native byte order. A window with a NaN gives NaN; a dilated one that sees padding alone gives -inf,
        or the smallest integer.
    ndarray of int64, of the same shape
        Only with `return_indices`: the place ``x`` in its channel of the first of the largest entries, of
        the last NaN if there is one, or -1 where a window sees padding alone.

    Raises
    ------
    ValueError
        If no window fits into the padded input, a padding is over half of the kernel, or an argument is out of range.
    TypeError
        If `input` has no order (complex numbers, objects), or an int is none.

    See Also
    --------
    fastconv.geometry.pool_output_size : the size of the output.

    References
    ----------
    torch.nn.functional.max_pool1d. ONNX operator specification, MaxPool.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import max_pool1d
    >>> x = np.array([[3, 1, 4, 1, 5]])
    >>> max_pool1d(x, 2)
    array([[3, 4]])
    >>> max_pool1d(x, 2, ceil_mode=True, return_indices=True)
    (array([[3, 4, 5]]), array([[0, 2, 4]]))
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, out)


def max_pool2d(
    input: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: NDArray[Any] | None = None,
) -> Any:
    """Take the largest entry of each window of images.

    ``output[n, c, y, x] = the largest of padded[n, c, y * S_h + i * d_h, x * S_w + j * d_w]``

    Parameters
    ----------
    input : array_like, (N, C, H, W) or (C, H, W)
        The image, or a batch of them, of bool, integers or floats.
    kernel_size : int or (K_h, K_w)
        K, the size of a window.
    stride : int or (S_h, S_w), optional
        S, the step between windows; K if not given.
    padding : int, (p_h, p_w), ((lo, hi), (lo, hi))
        Entries on both sides that are smaller than all others: at most half of K.
    dilation : int or (d_h, d_w)
        d, the step between the entries of a window.
    ceil_mode : bool
        Let a last window hang over the end, if it does not start in the padding there.
    return_indices : bool
        Return the places of the maxima as well.
    out : ndarray, optional
        Where to write the maxima: their shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (N, C, O_h, O_w) or (C, O_h, O_w)
        With ``O_h = (H + p_lo + p_hi - d_h * (K_h - 1) - 1) // S_h + 1``, likewise O_w,
        rounded up in `ceil_mode`. The dtype is that of `input`, in native byte order. A window with a NaN gives NaN; a
        dilated one that sees padding alone gives -inf, or the smallest integer.
    ndarray of int64, of the same shape
        Only with `return_indices`: the place ``y * W + x`` in its channel of the first of the largest entries, of
        the last NaN if there is one, or -1 where a window sees padding alone.

    Raises
    ------
    ValueError
        If no window fits into the padded input, a padding is over half of the kernel, or an argument is out of range.
    TypeError
        If `input` has no order (complex numbers, objects), or an int is none.

    See Also
    --------
    fastconv.geometry.pool_output_size : the size of the output.

    References
    ----------
    torch.nn.functional.max_pool2d. ONNX operator specification, MaxPool.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import max_pool2d
    >>> image = np.arange(16).reshape(1, 4, 4) % 7
    >>> max_pool2d(image, 2)
    array([[[5, 6],
            [6, 4]]])
    >>> max_pool2d(np.zeros((8, 64, 112, 112), np.float32), 3, stride=2, padding=1).shape
    (8, 64, 56, 56)
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, out)


def max_pool3d(
    input: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: NDArray[Any] | None = None,
) -> Any:
    """Take the largest entry of each window of volumes.

    ``output[n, c, z, y, x] = the largest of padded[n, c, z * S_d + h * d_d, y * S_h + i * d_h, x * S_w + j * d_w]``

    Parameters
    ----------
    input : array_like, (N, C, D, H, W) or (C, D, H, W)
        The volume, or a batch of them, of bool, integers or floats.
    kernel_size : int or (K_d, K_h, K_w)
        K, the size of a window.
    stride : int or (S_d, S_h, S_w), optional
        S, the step between windows; K if not given.
    padding : int, (p_d, p_h, p_w), ((lo, hi), (lo, hi), (lo, hi))
        Entries on both sides that are smaller than all others: at most half of K.
    dilation : int or (d_d, d_h, d_w)
        d, the step between the entries of a window.
    ceil_mode : bool
        Let a last window hang over the end, if it does not start in the padding there.
    return_indices : bool
        Return the places of the maxima as well.
    out : ndarray, optional
        Where to write the maxima: their shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (N, C, O_d, O_h, O_w) or (C, O_d, O_h, O_w)
        With ``O_d = (D + p_lo + p_hi - d_d * (K_d - 1) - 1) // S_d + 1``, likewise on the
        other axes, rounded up in `ceil_mode`. The dtype is that of `input`, in native byte order. A window with a NaN
        gives NaN; a dilated one that sees padding alone gives -inf, or the smallest integer.
    ndarray of int64, of the same shape
        Only with `return_indices`: the place ``(z * H + y) * W + x`` in its channel of the first of the largest
        entries, of the last NaN if there is one, or -1 where a window sees padding alone.

    Raises
    ------
    ValueError
        If no window fits into the padded input, a padding is over half of the kernel, or an argument is out of range.
    TypeError
        If `input` has no order (complex numbers, objects), or an int is none.

    See Also
    --------
    fastconv.geometry.pool_output_size : the size of the output.

    References
    ----------
    torch.nn.functional.max_pool3d. ONNX operator specification, MaxPool.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import max_pool3d
    >>> max_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[7.]]]])
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, out)


def avg_pool1d(
    input: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Average each window of signals.

    ``output[n, c, x] = sum over k of padded[n, c, x * S + k] / divisor``

    Parameters
    ----------
    input : array_like, (N, C, W) or (C, W)
        The signal, or a batch of them.
    kernel_size : int
        K, the size of a window.
    stride : int, optional
        S, the step between windows; K if not given.
    padding : int or (lo, hi) pair in a tuple
        Zeros on both sides: at most half of K.
    ceil_mode : bool
        Let a last window hang over the end, if it does not start in the padding there.
    count_include_pad : bool
        Divide by the number of entries of the window, padding included, but not what hangs over beyond the padding;
        otherwise by the number of those in `input`.
    divisor_override : int, optional
        Divide by this number instead.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (N, C, L) or (C, L)
        With ``L = (W + p_lo + p_hi - K) // S + 1``, rounded up in `ceil_mode`. The dtype is that of `input`,
        in native byte order; float32 and float64 compute as such, float16 and bfloat16 compute in float32 and are
        rounded once.

    Raises
    ------
    ValueError
        If no window fits into the padded input, a padding is over half of the kernel, or an argument is out of range.
    TypeError
        If `input` is not of a float dtype (a mean of integers is none: convert them), or an int is none.

    See Also
    --------
    adaptive_avg_pool1d : the same for a given size of the output.
    fastconv.geometry.pool_output_size : the size of the output.

    References
    ----------
    torch.nn.functional.avg_pool1d. ONNX operator specification, AveragePool.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import avg_pool1d
    >>> x = np.array([[3.0, 1.0, 4.0, 1.0, 5.0]])
    >>> avg_pool1d(x, 2)
    array([[2. , 2.5]])
    >>> avg_pool1d(x, 3, stride=2, padding=1, count_include_pad=False)
    array([[2., 2., 3.]])
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, out)


def avg_pool2d(
    input: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Average each window of images.

    ``output[n, c, y, x] = sum over i, j of padded[n, c, y * S_h + i, x * S_w + j] / divisor``

    Parameters
    ----------
    input : array_like, (N, C, H, W) or (C, H, W)
        The image, or a batch of them.
    kernel_size : int or (K_h, K_w)
        K, the size of a window.
    stride : int or (S_h, S_w), optional
        S, the step between windows; K if not given.
    padding : int, (p_h, p_w), ((lo, hi), (lo, hi))
        Zeros on both sides: at most half of K.
    ceil_mode : bool
        Let a last window hang over the end, if it does not start in the padding there.
    count_include_pad : bool
        Divide by the number of entries of the window, padding included, but not what hangs over beyond the padding;
        otherwise by the number of those in `input`.
    divisor_override : int, optional
        Divide by this number instead.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (N, C, O_h, O_w) or (C, O_h, O_w)
        With ``O_h = (H + p_lo + p_hi - K_h) // S_h + 1``, likewise O_w, rounded up in `ceil_mode`. The dtype
        is that of `input`, in native byte order; float32 and float64 compute as such, float16 and bfloat16 compute in
        float32 and are rounded once.

    Raises
    ------
    ValueError
        If no window fits into the padded input, a padding is over half of the kernel, or an argument is out of range.
    TypeError
        If `input` is not of a float dtype (a mean of integers is none: convert them), or an int is none.

    See Also
    --------
    adaptive_avg_pool2d : the same for a given size of the output.
    fastconv.geometry.pool_output_size : the size of the output.

    References
    ----------
    torch.nn.functional.avg_pool2d. ONNX operator specification, AveragePool.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import avg_pool2d
    >>> image = np.arange(16.0).reshape(1, 4, 4)
    >>> avg_pool2d(image, 2)
    array([[[ 2.5,  4.5],
            [10.5, 12.5]]])
    >>> avg_pool2d(image, 2, divisor_override=1)[0, 0]
    array([10., 18.])
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, out)


def avg_pool3d(
    input: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Average each window of volumes.

    ``output[n, c, z, y, x] = sum over h, i, j of padded[n, c, z * S_d + h, y * S_h + i, x * S_w + j] / divisor``

    Parameters
    ----------
    input : array_like, (N, C, D, H, W) or (C, D, H, W)
        The volume, or a batch of them.
    kernel_size : int or (K_d, K_h, K_w)
        K, the size of a window.
    stride : int or (S_d, S_h, S_w), optional
        S, the step between windows; K if not given.
    padding : int, (p_d, p_h, p_w), ((lo, hi), (lo, hi), (lo, hi))
        Zeros on both sides: at most half of K.
    ceil_mode : bool
        Let a last window hang over the end, if it does not start in the padding there.
    count_include_pad : bool
        Divide by the number of entries of the window, padding included, but not what hangs over beyond the padding;
        otherwise by the number of those in `input`.
    divisor_override : int, optional
        Divide by this number instead.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (N, C, O_d, O_h, O_w) or (C, O_d, O_h, O_w)
        With ``O_d = (D + p_lo + p_hi - K_d) // S_d + 1``, likewise on the other axes, rounded up in `ceil_mode`.
        The dtype is that of `input`, in native byte order; float32 and float64 compute as such, float16 and bfloat16
        compute in float32 and are rounded once.

    Raises
    ------
    ValueError
        If no window fits into the padded input, a padding is over half of the kernel, or an argument is out of range.
    TypeError
        If `input` is not of a float dtype (a mean of integers is none: convert them), or an int is none.

    See Also
    --------
    adaptive_avg_pool3d : the same for a given size of the output.
    fastconv.geometry.pool_output_size : the size of the output.

    References
    ----------
    torch.nn.functional.avg_pool3d. ONNX operator specification, AveragePool.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import avg_pool3d
    >>> avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[3.5]]]])
    """
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, out)


def adaptive_avg_pool1d(
    input: ArrayLike, output_size: Ints | tuple[int | None, ...] | None, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Average windows of signals that are spread evenly to make an output of a given size.

    On an axis of I entries and O outputs, window o reaches from ``o * I // O`` up to ``ceil((o + 1) * I / O)``.

    Parameters
    ----------
    input : array_like, (N, C, W) or (C, W)
        The signal, or a batch of them.
    output_size : int or None
        O, the size of the output; None for that of the input.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (N, C, L) or (C, L)
        Of the dtype of `input`, in native byte order; float32 and float64 compute as such, float16 and bfloat16 compute
        in float32 and are rounded once.

    Raises
    ------
    ValueError
        If the input has no entries on a spatial axis, or an argument is out of range.
    TypeError
        If `input` is not of a float dtype (a mean of integers is none: convert them), or an int is none.

    See Also
    --------
    avg_pool1d : windows of a given size.

    References
    ----------
    torch.nn.functional.adaptive_avg_pool1d.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import adaptive_avg_pool1d
    >>> adaptive_avg_pool1d(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), 2)
    array([[2., 4.]])
    """
    return _adaptive_avg_pool(1, input, output_size, out)


def adaptive_avg_pool2d(
    input: ArrayLike, output_size: Ints | tuple[int | None, ...] | None, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Average windows of images that are spread evenly to make an output of a given size.

    On an axis of I entries and O outputs, window o reaches from ``o * I // O`` up to ``ceil((o + 1) * I / O)``.

    Parameters
    ----------
    input : array_like, (N, C, H, W) or (C, H, W)
        The image, or a batch of them.
    output_size : int, None or (O_h, O_w)
        O, the size of the output; None for that of the input.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (N, C, O_h, O_w) or (C, O_h, O_w)
        Of the dtype of `input`, in native byte order; float32 and float64 compute as such, float16 and bfloat16 compute
        in float32 and are rounded once.

    Raises
    ------
    ValueError
        If the input has no entries on a spatial axis, or an argument is out of range.
    TypeError
        If `input` is not of a float dtype (a mean of integers is none: convert them), or an int is none.

    See Also
    --------
    avg_pool2d : windows of a given size.

    References
    ----------
    torch.nn.functional.adaptive_avg_pool2d.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import adaptive_avg_pool2d
    >>> features = np.ones((2, 512, 7, 7), np.float32)
    >>> adaptive_avg_pool2d(features, 1).shape
    (2, 512, 1, 1)
    >>> adaptive_avg_pool2d(features, (3, None)).shape
    (2, 512, 3, 7)
    """
    return _adaptive_avg_pool(2, input, output_size, out)


def adaptive_avg_pool3d(
    input: ArrayLike, output_size: Ints | tuple[int | None, ...] | None, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Average windows of volumes that are spread evenly to make an output of a given size.

    On an axis of I entries and O outputs, window o reaches from ``o * I // O`` up to ``ceil((o + 1) * I / O)``.

    Parameters
    ----------
    input : array_like, (N, C, D, H, W) or (C, D, H, W)
        The volume, or a batch of them.
    output_size : int, None or (O_d, O_h, O_w)
        O, the size of the output; None for that of the input.
    out : ndarray, optional
        Where to write the result: its shape and dtype, writable. It may overlap `input`.

    Returns
    -------
    ndarray, (N, C, O_d, O_h, O_w) or (C, O_d, O_h, O_w)
        Of the dtype of `input`, in native byte order; float32 and float64 compute as such, float16 and bfloat16 compute
        in float32 and are rounded once.

    Raises
    ------
    ValueError
        If the input has no entries on a spatial axis, or an argument is out of range.
    TypeError
        If `input` is not of a float dtype (a mean of integers is none: convert them), or an int is none.

    See Also
    --------
    avg_pool3d : windows of a given size.

    References
    ----------
    torch.nn.functional.adaptive_avg_pool3d.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import adaptive_avg_pool3d
    >>> adaptive_avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 1)
    array([[[[3.5]]]])
    """
    return _adaptive_avg_pool(3, input, output_size, out)


# The call -------------------------------------------------------------------------------------------------------------


def _max_pool(
    ndim: int,
    input: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None,
    padding: PadLike,
    dilation: Ints,
    ceil_mode: bool,
    return_indices: bool,
    out: NDArray[Any] | None,
) -> Any:
    x = as_array("input", input)
    dtype, compute = _max_dtypes(x.dtype)
    places = as_bool("return_indices", return_indices)
    geometry = pool_geometry(
        ndim,
        x.shape,
        8 if places else x.itemsize,
        exact("kernel_size", kernel_size),
        None if stride is None else exact("stride", stride),
        exact("padding", padding),
        exact("dilation", dilation),
        as_bool("ceil_mode", ceil_mode),
    )
    if not places and compute.char in "fd":
        return _deliver(
            x, dtype, compute, geometry, partial(_fill, pool=_pool(geometry.row or geometry.windows, mean=False)), out
        )
    indices = np.empty(geometry.shape, np.int64) if places else None
    geometry = geometry._replace(planes=len(geometry.shape))
    y = _deliver(x, dtype, compute, geometry, partial(_fill_entries, indices=indices), out)
    return (y, indices) if places else y


def _avg_pool(
    ndim: int,
    input: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None,
    padding: PadLike,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    out: NDArray[Any] | None,
) -> NDArray[Any]:
    x = as_array("input", input)
    dtype, compute = dtypes(("input",), x.dtype)
    geometry = pool_geometry(
        ndim,
        x.shape,
        compute.itemsize,
        exact("kernel_size", kernel_size),
        None if stride is None else exact("stride", stride),
        exact("padding", padding),
        1,
        as_bool("ceil_mode", ceil_mode),
    )
    divisor, count_padding = as_divisor(divisor_override), as_bool("count_include_pad", count_include_pad)
    pool = _pool(geometry.row or geometry.windows, mean=True, count_padding=count_padding, divisor=divisor)
    return _deliver(x, dtype, compute, geometry, partial(_fill, pool=pool), out)


def _adaptive_avg_pool(
    ndim: int, input: ArrayLike, output_size: Ints | tuple[int | None, ...] | None, out: NDArray[Any] | None
) -> NDArray[Any]:
    x = as_array("input", input)
    dtype, compute = dtypes(("input",), x.dtype)
    wanted: Any = output_size if isinstance(output_size, (tuple, list)) else (output_size,)
    sizes: Any = tuple([None if entry is None else exact("output_size", entry) for entry in wanted])
    geometry = adaptive_geometry(ndim, x.shape, compute.itemsize, sizes)
    fill = partial(_fill, pool=_pool(geometry.row or geometry.windows, mean=True))
    return _deliver(x, dtype, compute, geometry, fill, out)


@lru_cache(maxsize=64)
def _max_dtypes(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the native dtype of the maxima, and one that holds the same numbers and that the core compares."""
    native = dtype.newbyteorder("=")
    compute = np.dtype({"float16": np.float32, "bfloat16": np.float32, "bool": np.uint8}.get(dtype.name, native))
    if compute not in _KINDS:
        raise TypeError(f"input has dtype {dtype}, expected bool, integers or floats")
    return native, compute


def as_divisor(value: int | None) -> float:
    """Return what sums are divided by in place of the size of their window; 0 for that size."""
    if value is None:
        return 0.0
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"divisor_override takes an integer or None, got {value!r}")
    if number == 0 or abs(number) > MAX_SIZE:
        raise ValueError(f"divisor_override must be an integer below 2**63 in size and not 0, got {number}")
    return float(number)


@lru_cache(maxsize=1024)
def _pool(windows: tuple[Windows, ...], mean: bool, count_padding: bool = True, divisor: float = 0.0) -> _core.Pool:
    return _core.Pool(windows, mean, count_padding, divisor)


def _deliver(
    x: NDArray[Any],
    dtype: np.dtype[Any],
    compute: np.dtype[Any],
    geometry: PoolGeometry,
    fill: Callable[[NDArray[Any], NDArray[Any], PoolGeometry], None],
    out: NDArray[Any] | None,
) -> NDArray[Any]:
    """Have the result filled in, as `compute`; return it as `dtype`, or put it into `out`."""
    if out is None:
        y = _core.empty(geometry.shape, compute)
        fill(x, y, geometry)
        return y if compute == dtype else y.astype(dtype)
    target = check_out(out, geometry.shape, dtype)
    if target.dtype == compute and lies_in_planes(target, geometry.planes) and not np.may_share_memory(target, x):
        fill(x, target, geometry)
    else:
        target[...] = _deliver(x, dtype, compute, geometry, fill, None)
    return out


def _fill(x: NDArray[Any], y: NDArray[Any], geometry: PoolGeometry, pool: _core.Pool) -> None:
    """Pool in float32 or float64."""
    if not y.size:
        return
    if geometry.row:
        x5, y5 = np.ascontiguousarray(rows(x, y.dtype)).reshape(1, 1, 1, 1, -1), y.reshape(1, 1, 1, 1, -1)
    else:
        x5, y5 = rows(x, y.dtype)[geometry.lift], y[geometry.lift]
    pool.run(x5, y5, get_num_threads())


def _fill_entries(x: NDArray[Any], y: NDArray[Any], geometry: PoolGeometry, indices: NDArray[np.int64] | None) -> None:
    """Take maxima, and their places, of any dtype that the core compares."""
    if not y.size:
        return
    least = np.array(-inf if y.dtype.kind == "f" else np.iinfo(y.dtype).min, y.dtype)
    entries, places = np.require(x, y.dtype, "CA"), None if indices is None else indices.reshape(-1)
    data = [array.reshape(-1).view(np.uint8) for array in (entries, y, least)]
    _core.max_pool(geometry.windows, *data, places, _KINDS[y.dtype], get_num_threads())
