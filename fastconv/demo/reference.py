"""The operators once more, as plain float64 NumPy on one image, (C, H, W): one slice per tap, nothing clever."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def convolve(x: Array, weight: NDArray[np.floating], padding: int = 0, dilation: int = 1, groups: int = 1) -> Array:
    """Convolve with kernels (C_out, C_in / groups, K, K): every tap adds a shifted image."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    size = weight.shape[-1]
    height, width = (n - dilation * (size - 1) for n in x.shape[1:])
    y = np.zeros((weight.shape[0], height, width))
    for i, j in np.ndindex(size, size):
        top, left = i * dilation, j * dilation
        y += _mix(weight[:, :, i, j], x[:, top : top + height, left : left + width], groups)
    return y


def transpose(
    x: Array, weight: NDArray[np.floating], stride: int, padding: int, output_padding: int, groups: int = 1
) -> Array:
    """Scatter with kernels (C_in, C_out / groups, K, K): every tap adds the image to every stride-th pixel."""
    channels, size = weight.shape[1] * groups, weight.shape[-1]
    height, width = x.shape[1:]
    y = np.zeros(
        (channels, stride * (height - 1) + size + output_padding, stride * (width - 1) + size + output_padding)
    )
    for i, j in np.ndindex(size, size):
        tap = weight[:, :, i, j].reshape(groups, -1, weight.shape[1]).transpose(0, 2, 1).reshape(channels, -1)
        y[:, i : i + stride * height : stride, j : j + stride * width : stride] += _mix(tap, x, groups)
    return y[:, padding : y.shape[1] - padding, padding : y.shape[2] - padding]


def shuffle(x: Array, factor: int) -> Array:
    """Move channel c * r^2 + i * r + j to the pixels (i, j) modulo r of channel c."""
    channels, height, width = x.shape
    y = np.empty((channels // factor**2, height * factor, width * factor))
    for i, j in np.ndindex(factor, factor):
        y[:, i::factor, j::factor] = x[i * factor + j :: factor**2]
    return y


def _mix(tap: NDArray[np.floating], x: Array, groups: int) -> Array:
    """Multiply channels (C_in) by a matrix (C_out, C_in / groups), each group by its own rows."""
    rows = tap.astype(np.float64).reshape(groups, -1, tap.shape[1])
    return (rows @ x.reshape(groups, tap.shape[1], -1)).reshape(-1, *x.shape[1:])
