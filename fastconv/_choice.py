"""Which algorithm computes an operator: looking at the operator, the size of the image and the dtype.

Never at the number of threads or at the batch, so that results do not depend on them. Costs are estimates in
multiply-adds at the peak; docs/performance.md holds the measurement behind each number.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import chain, pairwise
from math import gcd, inf, prod
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ._tiles import NEAR_WEIGHTS, POINTS, Rates, Tiles, rates_of, streamed
from .geometry import Convolution, TransposedConvolution, lift

if TYPE_CHECKING:
    from typing import TypeGuard

    import numpy as np

    from .geometry import Axis

LARGE = 224  # pixels beyond what the kernel spans: what an image is taken for whose size is not known yet
MAX_STEP = 2**20  # stride and dilation of patches, whose places are computed from them
MAX_SPAN = 2**40  # a kernel that spans more than any image has nothing to choose

NARROW_TIME = 1.15  # of vectors of half the width, where both leave no lane empty

# Multiply-adds that other work costs as much time as:
PACKED = 10  # to gather one pixel for one product of the direct algorithm
PACKED_WEIGHT = 45, 100  # to pack one weight for one call, within L3 or beyond
TURNED_WEIGHT = 25, 70  # the same to fetch one for tiles
COPIED_WEIGHT, ADDED_PATCH = 25, 80  # to copy one as it is given, and to add one product to its output
PATCH_PIXELS = 224  # for which weights are read again: see _loops/patches.pxi
DIRECT_SHARE = 0.88  # of the peak that the direct product reaches
DEAD_PRODUCTS = 128  # of an output, that are worth tiles of their own: see _loops/cut.pxi

WORKSPACE = 12 << 20  # bytes of a thread: a run of tiles has as many as the dilation, and needs all channels at once

# Outputs of a row up to which it pays to turn pixels so that lanes are channels, by the channels of a group: with one,
# turning takes the time of half-empty vectors at 28 outputs; with eight, a gemm tile is mostly empty at any length.
# With vectors of 16 lanes, rows that fill most of one or two are not short: 16 and 28 outputs, not 20 or 24.
SHORT_ROWS = {1: 28, 2: 56, 4: 56, 8: 2**40}
LARGE_KERNELS, SHORT_ROW_OF_8 = range(25, 50), 56  # the same for one channel, of so many taps and vectors of 8 lanes
SHORT_ROW_OF_SECONDS = 14  # and where the filter reads every second pixel; one less up to 3x3 taps

MOST_SKIPPED = 2  # stride of a row whose outputs are all computed, where lanes are pixels and channels
# Of vectors of channels, from which on pixels share them; and of those of a row's outputs, from which on it is short.
WASTED_LANES = 1.15

MOST_ENDS, COPIED_BYTES = 16, 512 << 10  # columns that read padding, and of copied rows, at most: _loops/depthwise.pxi
PHASE_TAPS = 9  # of a phase at most
MOST_SUMMED = 4096  # products of a lane, one after the other: 12544 of positive numbers have an error of 0.8e-6
TWO_SUMS_TAPS = 9  # up to which two outputs are sums of channels: strips of planes are as fast at more

MAX_SUM = 256  # taps that are summed at a time
NARROW_ROWS = 6  # up to this many outputs of a pixel, a gemm tile is mostly empty
FOURIER_SIZES = (16, 32, 64, 128, 256)
FOURIER_PRODUCT = 4 * 1.4  # multiply-adds of a complex product, at the rate at which two rows of outputs run
FOURIER_NUMBER = 100  # multiply-adds in whose time a complex number is fetched or stored, and transformed
DIRECT_PRODUCT, DIRECT_NUMBER = 1.2, 20  # the same of the direct way, whose numbers are real
FOURIER_BYTES = 1 << 20  # of the spectra that a thread holds at least


class Choice(NamedTuple):
    """An engine of the core, its tile if it has one to choose, and the reason in a few words."""

    engine: str
    tile: tuple[int, ...] = ()
    narrow: bool = False  # in vectors of half the width
    why: str = ""

    @property
    def key(self) -> tuple:
        """What an engine is known by: not why it was chosen, which tells sizes apart."""
        return self[:3]


DIRECT = Choice("direct", why="nothing faster is known for this kernel")


# Planes of few pixels end inside a vector: 49 take the time of 64. Turned, pixels are the rows of a product and fill
# it; that pays where vectors would take this share longer, each number that is turned has this many products, and all
# of them take longer than the calls that turn them, 2 us.
HALF_EMPTY, TURNED_PRODUCTS, LEAST_TURNED = 1.15, 100, 500_000
# Products of a tap and pixel from which turning its channels takes longer than products that leave lanes empty.
TURNED_PIXEL = 80
MOST_DOTS = 64  # taps, each a run of its own: the core has room for the 256 of a block of the sum
MOST_SUMS = 2  # outputs that are sums of channels in all lanes: three take 0.9 to 1.6 times as long as dots
# Channels of a pixel from which the products of all its taps pay, their weights at most, and what they may cost beyond
# tiles, which take longer than estimated where their outputs are few.
PATCHED_CHANNELS, PATCHED_BYTES, PATCHED_COST = 24, 512 << 10, 1.25
ADDED_RUN = 20  # multiply-adds in the time of adding one product of a run
DOTS_OF_A_PIXEL = 32  # channels of a 1x1 tap from which two vectors of outputs pay, too
PADDED_ROWS = 1 << 20  # numbers: the most that the padded input rows of 64 outputs may have, where channels lie last


@lru_cache(maxsize=1024)
def choose(
    operator: Convolution | TransposedConvolution,
    size: tuple[int, ...] | None,
    compute: np.dtype[Any],
    algorithm: str,
    widths: tuple[int, ...],
    last: bool = False,
    once: bool = False,
) -> Choice:
    """Return how to compute `operator` on an image of this spatial size; None stands for a large image.

    widths : lanes of a float32 vector of the instruction set, and of one of half the width if that takes half the time.
        Products have two vectors of outputs.
    last : whether the channels of input and output lie side by side.
    once : whether weights are packed for this call alone.
    """
    lanes = widths[0]
    choice = _choose(operator, size, compute, algorithm, widths, last, once)
    if choice.engine == "direct" and last and _sums_of_channels(operator, lanes, compute.itemsize):
        return choice._replace(engine="sums of channels")
    empty = choice.engine == "taps" and _leaves_lanes_empty(operator, lanes * 4 // compute.itemsize)
    known = choice.engine in ("direct", "taps") and last and not empty
    if known and _patches_of_pixels(operator, lanes, compute.itemsize):
        return choice._replace(engine="patches of pixels")
    if choice.engine == "direct" and last and _dots_of_pixels(operator, lanes, compute.itemsize):
        return choice._replace(engine=_dots_or_sums(operator, lanes * 4 // compute.itemsize))
    if choice.engine == "direct" and _rows_of_pixels(operator, lanes, last):
        if last:
            return choice._replace(engine="pixels")
        if size is not None and _planes_are_half_empty(operator, size, lanes * 4 // compute.itemsize):
            return choice._replace(engine="turned pixels")
    return choice


def _planes_are_half_empty(operator: Convolution, size: tuple[int, ...], lanes: int) -> bool:
    outputs, channels = operator.core_channels
    pixels = prod(operator.output(size, None)[0])
    if -(-pixels // lanes) * lanes < HALF_EMPTY * pixels:
        return False
    turned = channels * prod(size) + outputs * pixels
    return outputs * channels * prod(operator.kernel) * pixels >= max(TURNED_PRODUCTS * turned, LEAST_TURNED)


def _reads_rows(operator: Convolution | TransposedConvolution) -> TypeGuard[Convolution]:
    """Tell whether taps read neighbouring pixels, and whether their padded rows are not too wide for a copy."""
    if not isinstance(operator, Convolution) or len(operator.kernel) > 2:
        return False
    *rows, columns = operator.kernel
    numbers = operator.groups * operator.core_channels[1] * prod(rows) * (columns + 64 * operator.stride[-1])
    return prod(operator.factor) == 1 and max(operator.dilation) == 1 and numbers <= PADDED_ROWS


def _rows_of_pixels(operator: Convolution | TransposedConvolution, lanes: int, last: bool) -> TypeGuard[Convolution]:
    """Tell whether a direct convolution has vectors of outputs, and neighbouring taps.

    Channels that lie last would have to be turned otherwise: then nearly a vector will do, half of one in a group, or
    enough products of a tap.
    """
    if not _reads_rows(operator):
        return False
    outputs, channels = operator.core_channels
    if operator.groups > 1:
        nearly = 2 * outputs >= lanes or prod(operator.kernel) == 1
    else:
        nearly = 8 * outputs >= 7 * lanes or (prod(operator.kernel) == 1 and outputs * channels >= TURNED_PIXEL)
    return outputs >= lanes or (last and nearly)


def _dots_of_pixels(operator: Convolution | TransposedConvolution, lanes: int, itemsize: int) -> bool:
    """Tell whether a direct convolution has few outputs, and channels by 16 bytes: lanes of both.

    Taps that read a pixel again, without a stride and for all outputs, are better in strips of planes.
    """
    if not _reads_rows(operator):
        return False
    outputs, channels = operator.core_channels
    if channels * itemsize % 16 or prod(operator.kernel) > MOST_DOTS or 2 * outputs > lanes:
        return False
    if prod(operator.kernel) == 1:
        return 16 * outputs <= lanes * itemsize or channels >= DOTS_OF_A_PIXEL
    return max(operator.stride) > 1 or operator.groups > 1


def _patches_of_pixels(operator: Convolution | TransposedConvolution, lanes: int, itemsize: int) -> bool:
    """Tell whether the outputs that a pixel reaches are a product of its own: those of a transposed convolution are.

    A convolution without stride, too, whose outputs alone would leave vectors empty.
    """
    outputs, channels = operator.core_channels
    if operator.groups > 1 or not _adds_patches(operator):
        return False
    if channels < PATCHED_CHANNELS or channels * outputs * prod(operator.kernel) * itemsize > PATCHED_BYTES:
        return False
    if isinstance(operator, TransposedConvolution):
        return True
    few = outputs > MOST_SUMS and 8 * outputs < 7 * lanes
    return few and prod(operator.kernel) > 1 and max(operator.stride) == prod(operator.factor) == 1


def _leaves_lanes_empty(operator: Convolution | TransposedConvolution, lanes: int) -> bool:
    """Tell whether the products of a pixel leave a tenth of some vectors empty, which those of rows of taps do not."""
    columns = operator.core_channels[0] * prod(operator.kernel)
    return columns > 2 * lanes and columns < 0.9 * (-(-columns // lanes) * lanes)


def _adds_patches(operator: Convolution | TransposedConvolution) -> bool:
    """Tell whether pixels have patches: two axes at most, nothing but zeros around, steps that cannot overflow."""
    small = max(*operator.stride, *operator.dilation) <= MAX_STEP
    return small and len(operator.kernel) <= 2 and operator.padding_mode == "zeros"


def _pixels_cost(operator: Convolution | TransposedConvolution, size: tuple[int, ...], lanes: int) -> float:
    """Return the cost of the same: products in whole vectors, and adding them to outputs."""
    outputs, channels = operator.core_channels
    columns = outputs * prod(operator.kernel)
    return prod(size) * (channels * -(-columns // lanes) * lanes / DIRECT_SHARE + columns * ADDED_RUN)


def _dots_or_sums(operator: Convolution, lanes: int) -> str:
    """Return how few outputs fill vectors: several with a few channels each, or one with channels alone."""
    outputs, channels = operator.core_channels
    return "sums of pixels" if outputs <= MOST_SUMS and channels % lanes == 0 else "dots of pixels"


def _reads_few_ends(operator: Convolution) -> bool:
    """Tell whether the columns whose taps are not all inside the image are few: there is room for few lists of taps."""
    span = operator.dilation[-1] * (operator.kernel[-1] - 1)  # which "same" pads in all
    pads = sum(operator.padding[-1]) if isinstance(operator.padding, tuple) else span
    return operator.padding_mode == "zeros" and pads <= MOST_ENDS


def _sums_of_channels(operator: Convolution | TransposedConvolution, lanes: int, itemsize: int) -> bool:
    """Tell whether a convolution has very few outputs, each of whole vectors of channels, and taps for several."""
    if not isinstance(operator, Convolution) or itemsize != 4 or len(operator.kernel) > 2 or operator.groups > 1:
        return False
    outputs, channels = operator.core_channels
    if not _reads_few_ends(operator) or prod(operator.factor) > 1 or channels % lanes:
        return False
    taps = prod(operator.kernel)
    if channels * taps > MOST_SUMMED * lanes:
        return False
    return taps > 1 and (outputs == 1 or (outputs == 2 and max(operator.stride) == 1 and taps <= TWO_SUMS_TAPS))


def _choose(
    operator: Convolution | TransposedConvolution,
    size: tuple[int, ...] | None,
    compute: np.dtype[Any],
    algorithm: str,
    widths: tuple[int, ...],
    last: bool,
    once: bool,
) -> Choice:
    lanes = widths[0]
    if algorithm == "direct":
        return Choice("direct", why="asked for")
    if isinstance(operator, TransposedConvolution) and taps_first(operator):
        return Choice("taps", why="few outputs share a pixel, and many channels make each")
    if compute.name != "float32":
        return Choice("direct", why=f"{compute.name} is always direct")
    known, size = size, size or _large(operator)
    waves, rows = _fourier_cost(operator, size) if max(size) <= MAX_SPAN else (inf, 0)
    if not last or waves == inf:  # many taps are worth turning pixels
        if last and (pixels := _pixels_in_lanes(operator, known, lanes)):
            return Choice("depthwise", (pixels,), why="lanes are pixels and their few channels")
        if _lanes_of_channels(operator, known, lanes, last):
            return Choice("depthwise", why="channels lie last" if last else "rows are short for groups this small")
    if last and known and _two_outputs(operator, known, lanes):
        return Choice("depthwise", why="channels lie last, copied once for each of two outputs")
    if last and _depthwise_phases(operator, lanes):
        return Choice("depthwise phases", why="channels lie last")
    if max(size) > MAX_SPAN:
        return Choice("direct", why="the kernel spans more than any image")
    rates = rates_of(widths)
    every = [Tiles(operator, width, rates) for width in widths]
    kinds = [tiles for tiles in every if tiles.exist()]
    patches = inf if last else _patches_cost(operator, size, once, rates)
    if not kinds and patches == inf:
        if waves < inf:
            return Choice("fourier", (rows,), why="the kernel is large, the channels are few")
        return DIRECT
    grid = _grid(operator, size, every[0].out_step)
    if grid[0] > 1:
        return Choice("direct", why="tiles have two axes")
    direct = _direct_cost(operator, every[0].axes, grid, size, lanes, rates)
    weights = prod(operator.core_channels) * operator.groups * prod(operator.kernel) if once else 0
    direct += weights * PACKED_WEIGHT[weights > NEAR_WEIGHTS]
    two = _reads_two_pixels(operator, size)
    found = [_best_tile(tiles, grid, two, weights, NARROW_TIME if tiles.lanes < lanes else 1) for tiles in kinds]
    cost = min(map(itemgetter(0), found), default=inf)
    if patches < min(cost, direct):
        return Choice(
            "patches", why=f"estimated {patches:.2g} multiply-adds, {min(cost, direct):.2g} with packed weights"
        )
    if not kinds:
        return DIRECT
    cost, points, tiles = min(found, key=itemgetter(0))
    if waves < min(cost, direct):
        return Choice("fourier", (rows,), why=f"estimated {waves:.2g} multiply-adds, {cost:.2g} in tiles")
    if cost >= direct:
        return Choice("direct", why=f"estimated {direct:.2g} multiply-adds, {cost:.2g} in tiles")
    if last and _patches_of_pixels(operator, lanes, 4) and _pixels_cost(operator, size, lanes) < PATCHED_COST * cost:
        return Choice("patches of pixels", why=f"few outputs, estimated {cost:.2g} multiply-adds in tiles")
    if tiles.workspace(points, grid) > WORKSPACE:
        return Choice("direct", why=f"tiles would take more than {WORKSPACE >> 20} MiB of workspace")
    tile, narrow = (points if tiles.taps[1] > 1 else 1, points), tiles.lanes < lanes
    return Choice("winograd", tile, narrow, f"estimated {cost:.2g} multiply-adds, {direct:.2g} directly")


def _best_tile(tiles: Tiles, grid: tuple[int, ...], two: bool, weights: int, time: float) -> tuple[float, int, Tiles]:
    """Return the least cost, times `time`, and the points that have it.

    two : whether three points may be two pixels.
    weights : how many are transformed for this call alone.
    """
    fitting = [points for points in POINTS if tiles.fits(points)] + [3] * two
    costs = {points: tiles.cost(points, grid) * time for points in fitting}
    if weights:
        turned = weights * TURNED_WEIGHT[weights > NEAR_WEIGHTS]
        costs = {n: cost + turned + tiles.rates.made * tiles.weights(n) for n, cost in costs.items()}
    points = min(costs, key=costs.__getitem__)
    return costs[points], points, tiles


def _lanes_of_channels(
    operator: Convolution | TransposedConvolution, size: tuple[int, ...] | None, lanes: int, last: bool
) -> bool:
    """Tell whether channels are in lanes, those of a small group side by side: short rows, or they lie so already."""
    outputs, inputs = operator.core_channels
    if not isinstance(operator, Convolution) or outputs != inputs or len(operator.kernel) > 2:
        return False
    if inputs not in SHORT_ROWS or inputs > lanes or 2 * operator.groups * inputs < lanes:
        return False
    if prod(operator.factor) > 1 or operator.groups == 1 or (prod(operator.kernel) == 1 and not last):
        return False
    short = SHORT_ROWS[inputs]
    if inputs == 1 and lanes == 8 and prod(operator.kernel) in LARGE_KERNELS:
        short = SHORT_ROW_OF_8
    if inputs == 1 and _reads_every_second(operator):
        short = SHORT_ROW_OF_SECONDS - (prod(operator.kernel) <= 9)
    if last or size is None:
        return last
    row = operator.output(size, None)[0][-1]
    full = inputs == 1 and lanes > 8 and row >= lanes and -(-row // lanes) * lanes < WASTED_LANES * row
    return row <= short and not full


def _two_outputs(operator: Convolution | TransposedConvolution, size: tuple[int, ...], lanes: int) -> bool:
    """Tell whether channels have two outputs each, and the rows of an output row are not too many to be copied."""
    outputs, inputs = operator.core_channels
    if not isinstance(operator, Convolution) or (outputs, inputs) != (2, 1) or 2 * operator.groups < lanes:
        return False
    if len(operator.kernel) > 2 or prod(operator.factor) > 1 or not _reads_few_ends(operator):
        return False
    rows = (lift(operator.kernel, 1)[1] - 1) * lift(operator.dilation, 1)[1] + 1
    return 4 * rows * size[-1] * (2 * operator.groups + 16) <= COPIED_BYTES


def _depthwise_phases(operator: Convolution | TransposedConvolution, lanes: int) -> bool:
    """Tell whether a transposed convolution has a vector of channels, each by itself, and few taps in every phase.

    The columns whose taps are not all inside the image have lists of their own, of which there is room for few.
    """
    if not isinstance(operator, TransposedConvolution) or operator.core_channels != (1, 1) or operator.groups < lanes:
        return False
    if len(operator.kernel) > 2 or operator.padding_mode != "zeros":
        return False
    axes = operator.phases()[0]
    if any(len(axis) < step for axis, step in zip(axes[::-1], operator.stride[::-1], strict=False)):
        return False  # not every output has a tap
    taps = prod(max(len(taps) for _, taps in axis) for axis in axes)
    span = max(max(at for _, at in taps) - min(at for _, at in taps) for _, taps in axes[-1])
    step, dilation = operator.stride[-1], operator.dilation[-1]
    ends = 2 * span + -(-max(step, dilation) // step) + 1  # output_padding is less than stride or dilation
    return taps <= PHASE_TAPS and ends <= MOST_ENDS


def _reads_every_second(operator: Convolution) -> bool:
    """Tell whether a filter of one channel can pick its pixels from the image itself (filters_in_place of the core)."""
    step, dilation, mode = operator.stride, operator.dilation, operator.padding_mode
    return len(step) == 2 and set(step) == {2} and operator.kernel[0] > 1 and dilation[0] == 1 and mode == "zeros"


def _pixels_in_lanes(operator: Convolution | TransposedConvolution, size: tuple[int, ...] | None, lanes: int) -> int:
    """Return how many pixels of a depthwise layer fill vectors that its channels alone would leave half empty, or 0."""
    channels = operator.groups
    if not isinstance(operator, Convolution) or operator.core_channels != (1, 1) or len(operator.kernel) > 2:
        return 0
    if channels == 1 or prod(operator.factor) > 1 or prod(operator.kernel) == 1 or operator.stride[-1] > MOST_SKIPPED:
        return 0
    if channels >= lanes and (operator.stride[-1] > 1 or -(-channels // lanes) * lanes < WASTED_LANES * channels):
        return 0
    pixels = lanes // gcd(channels, lanes)
    return pixels if size is None or operator.output(size, None)[0][-1] >= pixels else 0


def _reads_two_pixels(operator: Convolution | TransposedConvolution, size: tuple[int, ...]) -> bool:
    """Tell whether of the four inputs of two outputs the outer ones are padding, wherever the tile lies: 3 points."""
    if not isinstance(operator, Convolution) or prod(operator.factor) > 1 or operator.padding_mode != "zeros":
        return False
    if max(operator.stride) > 1:  # then the taps that read them are not those of one tile
        return False
    output, origin = operator.output(size, None)
    axes = zip(operator.kernel, operator.dilation, size, output, origin, strict=True)
    return all(k == 1 or (k == 3 and first == -d and max(i, o) <= 2 * d) for k, d, i, o, first in axes)


def _large(operator: Convolution | TransposedConvolution) -> tuple[int, ...]:
    """Return the size of an image on which most windows are whole, and something is left of a transposed output."""
    pads = operator.padding if isinstance(operator.padding, tuple) else ((0, 0),) * len(operator.kernel)
    spans = zip(operator.kernel, operator.dilation, pads, strict=True)
    return tuple(LARGE + d * (k - 1) + sum(pad) for k, d, pad in spans)


def _grid(operator: Convolution | TransposedConvolution, size: tuple[int, ...], out_step: tuple) -> tuple:
    """Return the output positions of one phase on d, h and w."""
    output, _ = operator.output(size, None)
    padded = (1,) * (3 - len(output)) + tuple(output)
    return tuple(-(-o // s) for o, s in zip(padded, out_step, strict=True))


def _direct_cost(
    operator: Convolution | TransposedConvolution,
    axes: tuple[Axis, ...],
    grid: tuple[int, ...],
    size: tuple[int, ...],
    lanes: int,
    rates: Rates,
) -> float:
    """Return the multiply-adds of the taps that are computed, in whole vectors, and the gathering of their pixels."""
    outputs, inputs = operator.core_channels
    taps = [sum(len(taps) for _, taps in axis) for axis in axes[1:]]
    live, ranges = _live_share(operator, grid[-len(size) :], size, 2 * lanes)
    pixels = -(-prod(grid) // lanes) * lanes
    read = ranges * streamed(inputs * outputs * prod(taps), rates)
    work = pixels * live * (outputs / DIRECT_SHARE + PACKED) + outputs * read
    return operator.groups * inputs * prod(taps) * work


def _patches_cost(
    operator: Convolution | TransposedConvolution, size: tuple[int, ...], once: bool, rates: Rates
) -> float:
    """Return the cost of a transposed convolution whose weights are multiplied as they are given; inf of others.

    Where patches do not overlap, a layer's outputs are a product of their own.
    """
    if not isinstance(operator, TransposedConvolution) or not _adds_patches(operator):
        return inf
    if not once and all(k <= step for k, step in zip(operator.kernel, operator.stride, strict=True)):
        return inf
    outputs, inputs = operator.core_channels
    products, pixels = operator.groups * outputs * prod(operator.kernel), prod(size)
    fetched = COPIED_WEIGHT if once else streamed(products * inputs, rates) * -(-pixels // PATCH_PIXELS)
    return products * (inputs * (pixels / DIRECT_SHARE + fetched) + pixels * ADDED_PATCH)


def _live_share(
    operator: Convolution | TransposedConvolution, grid: tuple[int, ...], size: tuple[int, ...], columns: int
) -> tuple[float, int]:
    """Return how many of a convolution's taps are computed; a transposed one has few that only read padding.

    The second number is how often all weights are read: for each range of columns.
    A tap is left out of a tile none of whose pixels it has an input for. Columns that see different taps have tiles of
    their own if these are large enough, as in `Cut._cut_columns`, and each tile has as many rows as fill its columns.
    """
    if max(operator.dilation) == 1 or operator.padding_mode != "zeros":
        return 1.0, 1
    _, origin = operator.output(size, None)
    runs = []  # of each axis the positions that each tap has an input for
    for i, o, k, d, first in zip(size, grid, operator.kernel, operator.dilation, origin, strict=True):
        starts = [first + tap * d for tap in range(k)]
        runs.append([(min(o, max(0, -at)), max(0, min(o, i - at))) for at in starts])
    share = _share(runs[-1], grid[-1])
    cuts = sorted({0, grid[-1], *chain.from_iterable(runs[-1])})
    ranges = len(cuts) - 1
    dead = (1 - share) * operator.core_channels[1] * prod(operator.kernel)
    narrowest = min(b - a for a, b in pairwise(cuts)) * prod(grid[:-1])
    if 8 * share >= 7 or dead < DEAD_PRODUCTS or narrowest < columns:
        share, ranges = _share(runs[-1], grid[-1], columns), 1
    rows = max(1.0, columns * ranges / grid[-1])
    return share * prod(_share(axis, o, rows) for axis, o in zip(runs[:-1], grid[:-1], strict=True)), ranges


def _share(runs: list[tuple[int, int]], size: int, together: float = 1) -> float:
    """Return the share of `size` positions that are computed for some runs, so many of them together.

    A run has one of its ends, as a rule, at an end of the axis, and the other somewhere among those.
    """
    return sum(min(size, max(0, end - begin) + (together - 1) / 2) for begin, end in runs) / (size * len(runs))


@lru_cache(maxsize=256)
def taps_first(operator: TransposedConvolution) -> bool:
    """Tell whether the products of all taps fill a gemm tile that the outputs of one phase would not."""
    axes, _, _ = operator.phases()
    outputs, channels = operator.core_channels
    if operator.padding_mode != "zeros":  # beside the image, the products of taps are zeros
        return False
    taps = [[len(taps) for _, taps in axis] for axis in axes]
    alike = prod(max(Counter(tuple(o for _, o in taps) for _, taps in axis).values(), default=0) for axis in axes)
    if alike == prod(map(len, taps)) or sum(taps[0]) != 1 or prod(max(axis, default=0) for axis in taps) > MAX_SUM:
        return False
    return outputs * alike <= NARROW_ROWS and channels >= 16 * (outputs + 1)


def _fourier_cost(operator: Convolution | TransposedConvolution, size: tuple[int, ...]) -> tuple[float, int]:
    """Return what Fourier transforms along h cost where the direct way costs more, and how many rows they have."""
    if not isinstance(operator, Convolution) or len(operator.kernel) != 2 or prod(operator.factor) > 1:
        return inf, 0
    if operator.stride != (1, 1) or operator.dilation[0] > 1:
        return inf, 0
    rows, columns = operator.output(size, None)[0]
    taps_h, taps_w = operator.kernel
    outputs, channels = operator.core_channels
    reach = 64 + operator.dilation[1] * (taps_w - 1)

    def cost(length: int) -> float:
        tiles = -(-rows // (2 * (length - taps_h + 1)))
        return tiles * length * (FOURIER_PRODUCT * taps_w * outputs * channels + FOURIER_NUMBER * (outputs + channels))

    small = (n for n in FOURIER_SIZES if n >= taps_h and n * (channels * reach + outputs * 64) * 8 <= FOURIER_BYTES)
    best = min(small, key=cost, default=0)
    direct = DIRECT_PRODUCT * taps_h * taps_w * outputs * channels + DIRECT_NUMBER * (outputs + channels)
    if not best or cost(best) >= rows * direct:
        return inf, 0
    return operator.groups * columns * cost(best), best
