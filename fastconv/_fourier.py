"""Convolutions of large kernels by Fourier transforms along h: weights as the core wants them, and the engine.

The transform and what is done with it are described in fastconv/_loops/fourier.pxi and include/fastconv/kernels/fft.h.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._activation import part_of
from .geometry import PADDING_MODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ._activation import End
    from .geometry import Convolution


class Fourier:
    """A convolution by Fourier transforms of `size` rows; what holds a NaN or an infinity is computed directly."""

    __slots__ = ("_core", "_direct", "_pack")
    finite = True
    last = 0

    def __init__(
        self,
        operator: Convolution,
        weight: NDArray[Any],
        bias: NDArray[Any] | None,
        size: int,
        pack: Callable[[], _core.Engine],
    ) -> None:
        outputs, inputs = operator.core_channels
        weight = weight.reshape(operator.groups, outputs, inputs, *operator.kernel)
        if bias is None:
            bias = np.zeros(operator.out_channels, np.float32)
        panel = panels(2 * outputs)
        self._pack = pack
        self._direct: _core.Engine | None = None
        arrays = spectra(weight, size, panel), roots(size).astype(np.float32), bias, panel
        self._core = _core.Fourier(
            *arrays,
            size,
            operator.kernel,
            operator.dilation[1],
            inputs,
            outputs,
            PADDING_MODES.index(operator.padding_mode),
        )

    def run(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        origin: tuple[int, ...],
        threads: int,
        last: int = 0,
        end: End | None = None,
    ) -> None:
        bad = np.zeros((len(x), self._core.pairs(y.shape)), np.uint8)
        if not bad.size:
            return
        self._core.run(x, y, origin, bad, threads, end)
        height, (d, h, w) = self._core.pair_rows(), origin
        for n, pair in np.argwhere(bad).tolist():
            rows = slice(pair * height, (pair + 1) * height)
            self._direct = self._direct or self._pack()
            part = slice(n, n + 1), slice(None), slice(None), rows
            place = d, h + pair * height, w
            self._direct.run(x[n : n + 1], y[part], place, threads, end=end and part_of(end, part))

    def describe(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...], threads: int) -> dict[str, Any]:
        return self._core.describe(x_shape, y_shape, threads)


def roots(size: int) -> NDArray[Any]:
    """Return the roots of unity that the passes of a transform take, in the order of include/fastconv/kernels/fft.h."""
    found = []
    while size >= 4:
        turns = np.outer(np.arange(size // 4), [1, 2, 3]) / size
        found.append(np.exp(-2j * np.pi * turns).ravel().view(float))
        size //= 4
    return np.concatenate(found)


def order(size: int) -> list[int]:
    """Return the frequency that each row of a transform holds."""
    if size <= 2:
        return list(range(size))
    return [4 * f + i for i in range(4) for f in order(size // 4)]


def panels(rows: int) -> NDArray[Any]:
    """Cut rows into panels of nearly equal height: the first row of each, and the end."""
    _, highest, *_ = _core.kernels(_core.isa())["f32"]
    count = -(-rows // highest)
    return np.arange(count + 1) * rows // count


def spectra(weight: NDArray[Any], size: int, panel: NDArray[Any]) -> NDArray[Any]:
    """Return, for each group, frequency and panel, the matrix of products by rows of the panel, one after the other.

    A weight's spectrum h is conjugated, since kernels are not flipped, and divided by size, which the inverse leaves to
    do. As a matrix it is (re h, im h) for the real part of a pixel and (-im h, re h) for the imaginary one.
    """
    groups, outputs, channels, _, taps = weight.shape
    h = np.fft.fft(weight.astype(float), size, axis=3).conj()[:, :, :, order(size)] / size
    parts = np.array([[h.real, h.imag], [-h.imag, h.real]])  # (from, to, group, output, channel, frequency, tap)
    matrix = parts.transpose(2, 5, 4, 6, 0, 3, 1).astype(np.float32)
    matrix = matrix.reshape(groups, size, channels * taps * 2, outputs * 2)
    blocks = [matrix[..., a:b].reshape(groups, size, -1) for a, b in pairwise(panel)]
    return np.concatenate(blocks, axis=2).ravel()
