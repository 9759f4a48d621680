"""Which algorithm computes an operator: looking at the operator, the size of the image and the dtype.

Never at the number of threads or at the batch, so that results do not depend on them. Costs are estimates in
multiply-adds at the peak; docs/performance.md holds the measurement behind each number.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from .geometry import Axis, Convolution, TransposedConvolution

LARGE = 224  # what an image is taken for whose size is not known yet

# Multiply-adds that other work costs as much time as:
PACKED = 10  # to gather one pixel for one product of the direct algorithm
TRANSFORMED = 25  # to take one point of one channel of a tile in or out
STREAMED = 12  # to read one weight that is not in the cache: once for all pixels, or once per MANY_TILES tiles
WEIGHT_PACKED = 25  # to pack one weight
KERNEL_TRANSFORMED = 1200  # to transform the weights of one input and output ...
POINT_TRANSFORMED = 20  # ... and for each point that they become
DIRECT_SHARE = 0.88  # of the peak that the direct product reaches
MANY_TILES = 64
SEGMENT_PIXELS = 256
LEAST_TILES = 5  # fewer rows in a product leave multiply-adds waiting for one another

MIN_CHANNELS = 8  # per group, in and out: with fewer, lanes and sums are too short for a matrix product per point
POINTS = (4, 5, 6, 7, 8)
# The error grows with the tile. Largest seen over the largest output, with random data: 0.6e-6, 0.6e-6, 1.1e-6, 2.5e-6
# (4.8e-6 with two taps) and 7e-6; with two taps and 8 points it would be 12e-6, and more than 1e-5 is not allowed.
LEAST_TAPS = {8: 3}
HANDICAP = {8: 1.05}  # the last digit is worth something
WORKSPACE = 12 << 20  # bytes of a thread: a run of tiles has as many as the dilation, and needs all channels at once


class Choice(NamedTuple):
    """An engine of the core, its tile if it has one to choose, and the reason in a few words."""

    engine: str
    tile: tuple[int, ...] = ()
    why: str = ""


@lru_cache(maxsize=1024)
def choose(
    operator: Convolution | TransposedConvolution,
    size: tuple[int, ...] | None,
    compute: np.dtype[Any],
    algorithm: str,
    lanes: int,
    once: bool = False,
) -> Choice:
    """Return how to compute `operator` on an image of this spatial size; None stands for a large image.

    lanes : of a float32 vector of the instruction set. Products have two vectors of outputs.
    once : whether the weights are packed for this call alone, so that it pays for that as well.
    """
    if algorithm == "direct":
        return Choice("direct", why="asked for")
    if compute.name != "float32":
        return Choice("direct", why=f"{compute.name} is always direct")
    axes, in_step, out_step = operator.phases()
    if not _has_tiles(operator, axes, in_step, out_step, lanes):
        return Choice("direct", why="nothing faster is known for this kernel")
    grid = _grid(operator, size, out_step)
    if grid[0] > 1:
        return Choice("direct", why="tiles have two axes")
    direct = _direct_cost(operator, axes, grid, size, once)
    fitting = [points for points in POINTS if _fits(axes, points)]
    costs = {points: _tiled_cost(operator, axes, grid, points, 2 * lanes, once) for points in fitting}
    points = min(costs, key=costs.__getitem__)
    if costs[points] >= direct:
        return Choice("direct", why=f"estimated {direct:.2g} multiply-adds, {costs[points]:.2g} in tiles")
    if _workspace(operator, axes, grid, points, lanes) > WORKSPACE:
        return Choice("direct", why=f"tiles would take more than {WORKSPACE >> 20} MiB of workspace")
    tile = (points if len(_window(axes[1])) > 1 else 1, points)
    return Choice("winograd", tile, f"estimated {costs[points]:.2g} multiply-adds, {direct:.2g} directly")


def _has_tiles(
    operator: Convolution | TransposedConvolution, axes: tuple[Axis, ...], in_step: tuple, out_step: tuple, lanes: int
) -> bool:
    """Tell whether tiles can be cut: neighbouring taps on the last axes, every output reached, enough channels."""
    outputs, inputs = operator.core_channels
    phases = _residues(axes) // _products(axes)
    interleaved = prod(out_step) > 1
    return (
        in_step == (1, 1, 1)
        and len(_window(axes[0])) == out_step[0] == 1
        and len(_window(axes[2])) > 1
        and min(outputs * phases, inputs) >= MIN_CHANNELS
        and phases <= 2 * lanes
        and all(len(axis) == step for axis, step in zip(axes, out_step, strict=True))
        and not (interleaved and (max(operator.dilation) > 1 or not operator.splits_evenly()))
        and any(_fits(axes, points) for points in POINTS)
    )


def _window(axis: Axis) -> tuple[tuple[int, int], ...]:
    """Return the taps of the phase that has the most."""
    return max((taps for _, taps in axis), key=len)


def _fits(axes: tuple[Axis, ...], points: int) -> bool:
    """Tell whether a tile has at least two outputs on each axis that is cut, and few enough for the error."""
    taps = [len(_window(axis)) for axis in axes[1:] if len(_window(axis)) > 1]
    return max(taps) + 1 <= points and min(taps) >= LEAST_TAPS.get(points, 2)


def _grid(operator: Convolution | TransposedConvolution, size: tuple[int, ...] | None, out_step: tuple) -> tuple:
    """Return the output positions of one phase on d, h and w."""
    size = (LARGE,) * len(operator.kernel) if size is None else size
    output, _ = operator.output(size, None)
    padded = (1,) * (3 - len(output)) + tuple(output)
    return tuple(-(-o // s) for o, s in zip(padded, out_step, strict=True))


def _direct_cost(
    operator: Convolution | TransposedConvolution,
    axes: tuple[Axis, ...],
    grid: tuple,
    size: tuple[int, ...] | None,
    once: bool,
) -> float:
    """Return the multiply-adds of the taps that do not fall on padding, and the gathering of their pixels."""
    outputs, inputs = operator.core_channels
    taps = [sum(len(taps) for _, taps in axis) for axis in axes[1:]]
    live = _live_share(operator, grid, size)
    work = prod(grid) * live * (outputs / DIRECT_SHARE + PACKED) + outputs * (STREAMED + WEIGHT_PACKED * once)
    return operator.groups * inputs * prod(taps) * work


def _live_share(operator: Convolution | TransposedConvolution, grid: tuple, size: tuple[int, ...] | None) -> float:
    """Return how many of a convolution's taps read the image; a transposed one has few that do not."""
    if size is None or max(operator.dilation) == 1:
        return 1.0
    share = 1.0
    _, origin = operator.output(size, None)
    for i, o, k, d, first in zip(size, grid[-len(size) :], operator.kernel, operator.dilation, origin, strict=True):
        starts = [first + tap * d for tap in range(k)]
        share *= sum(max(0, min(o, i - at) - max(0, -at)) for at in starts) / (o * k)
    return share


def _tiled_cost(
    operator: Convolution | TransposedConvolution,
    axes: tuple[Axis, ...],
    grid: tuple,
    points: int,
    width: int,
    once: bool,
) -> float:
    """Return the products of all tiles, and what it takes to transform pixels, sums and weights."""
    outputs, inputs = operator.core_channels
    tiles = area = 1
    for axis, positions, d in zip(axes[1:], grid[1:], (1, *operator.dilation)[-2:], strict=True):
        taps = len(_window(axis))
        if taps > 1:
            m = points - taps + 1
            shift = len({offset for _, phase in axis for _, offset in phase}) > taps
            runs, rest = divmod(positions + shift, m * d)
            tiles *= runs * d + min(d, rest)
            area *= points
        else:
            tiles *= positions
    products = _products(axes)
    rows = -(-outputs * _residues(axes) // products // width) * width * products
    streams = -(-tiles // MANY_TILES)
    multiplied = inputs * rows * (max(tiles, LEAST_TILES) + STREAMED * streams)
    cost = area * (multiplied + TRANSFORMED * tiles * (inputs + rows))
    if once:
        cost += inputs * rows * (KERNEL_TRANSFORMED + POINT_TRANSFORMED * area)
    return operator.groups * cost * HANDICAP.get(points, 1)


def _workspace(
    operator: Convolution | TransposedConvolution, axes: tuple[Axis, ...], grid: tuple, points: int, lanes: int
) -> int:
    """Return the bytes of the least that a thread works on: a run of tiles, or a row where outputs are interleaved."""
    _, inputs = operator.core_channels
    dilation, interleaved = operator.dilation[-1], _residues(axes) > 1
    rows = points if len(_window(axes[1])) > 1 else 1
    tiles = max(dilation, -(-grid[2] // 2) if interleaved else 1)
    strip = rows * max(SEGMENT_PIXELS, points * dilation) * lanes
    aside = 2 * lanes * _residues(axes) * rows * grid[2] if interleaved else 0
    return 4 * (rows * points * tiles * (inputs + 3 * lanes) + strip + aside)


def _residues(axes: tuple[Axis, ...]) -> int:
    """Return how many outputs of a channel a grid position has."""
    return prod(len(axis) for axis in axes)


def _products(axes: tuple[Axis, ...]) -> int:
    """Return how many matrix products a point has: phases that read the same places share one."""
    return prod(len({tuple(offset for _, offset in taps) for _, taps in axis}) for axis in axes)
