"""Weights to begin with."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import dtypes
from .geometry import MAX_SIZE, int_entries, per_axis
from .shuffle import ORDERS

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from .geometry import Ints

__all__ = ["icnr"]


def icnr(
    weight_shape: Ints,
    upscale_factor: Ints,
    rng: np.random.Generator | int | None = None,
    *,
    order: str = "crd",
    dtype: DTypeLike = np.float32,
) -> NDArray[Any]:
    """Return weights with which a sub-pixel convolution begins as a convolution and a nearest-neighbour enlargement.

    The r^2 kernels that a shuffle interleaves to one channel are equal, so there is no checkerboard before training:
    ``weight[m * r * r + i * r + j] = base[m]``, with `base` normal, of mean 0 and variance ``2 / (C * K_h * K_w)``.

    Parameters
    ----------
    weight_shape : tuple of int, ``(M * r^2, C / groups, *kernel)``
        The shape of a convolution's weight, with 1 to 3 spatial axes.
    upscale_factor : int or tuple of int
        The factor r of the shuffle that follows, or one for each spatial axis.
    rng : numpy.random.Generator or int, optional
        Where the numbers come from, or a seed for `numpy.random.default_rng`.
    order : {"crd", "dcr"}
        The channel order of the shuffle, as in `pixel_shuffle`; `subpixel_conv2d` has "crd".
    dtype : dtype, optional
        Of the weights.

    Returns
    -------
    ndarray of `weight_shape`

    Raises
    ------
    ValueError
        If the output channels are not a multiple of r^2, or an argument is out of range.
    TypeError
        If an entry of the shape is not an int, or the dtype has no fractions.

    See Also
    --------
    subpixel_conv2d : what the weights are for.
    fastconv.geometry.checkerboard_score : the checkerboard of transposed convolutions.

    References
    ----------
    A. Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017, arXiv:1707.02937. The variance is that
    of K. He et al., "Delving deep into rectifiers", 2015, arXiv:1502.01852.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import icnr, subpixel_conv2d
    >>> weight = icnr((3 * 4, 8, 3, 3), 2, rng=0)
    >>> y = subpixel_conv2d(np.ones((8, 5, 5), np.float32), weight, None, 2)
    >>> bool(np.all(y == y[:, :1, :1]))
    True
    """
    shape = int_entries("weight_shape", weight_shape)
    if not 3 <= len(shape) <= 5:
        raise ValueError(f"weight_shape {shape} is not (out_channels, in_channels / groups, *kernel) with 1 to 3 axes")
    if prod(shape) > MAX_SIZE:
        raise ValueError(f"weight_shape {shape} has more than 2**63 - 1 entries")
    if order not in ORDERS:
        raise ValueError(f"order must be one of {ORDERS}, got {order!r}")
    try:
        dtypes(("dtype",), np.dtype(dtype))
    except TypeError:
        raise TypeError(f"dtype must be one that convolutions take, got {np.dtype(dtype)}") from None
    area = prod(per_axis("upscale_factor", upscale_factor, len(shape) - 2))
    if shape[0] % area:
        raise ValueError(f"upscale_factor {upscale_factor} needs a multiple of {area} output channels, got {shape[0]}")
    spread = (2 / prod(shape[1:])) ** 0.5
    base = np.random.default_rng(rng).normal(0, spread, (shape[0] // area, *shape[1:])).astype(dtype)
    return np.repeat(base, area, axis=0) if order == "crd" else np.tile(base, (area, *(1,) * (len(shape) - 1)))
