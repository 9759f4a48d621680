"""Winograd's tiles of an operator: which there can be, and what they cost, for fastconv/_choice.py.

Costs are estimates in multiply-adds at the peak; docs/performance.md holds the measurement behind each number.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from math import gcd, prod
from typing import TYPE_CHECKING, NamedTuple

from . import _core

if TYPE_CHECKING:
    from .geometry import Convolution, TransposedConvolution

MIN_CHANNELS = 8  # per group, in and out: with fewer, lanes and sums are too short for a matrix product per point
POINTS = (4, 5, 6, 7, 8)
# The error grows with the tile. Largest seen over the largest output, with random data: 0.6e-6, 0.6e-6, 1.1e-6, 2.5e-6
# (4.8e-6 with two taps) and 7e-6; with two taps and 8 points it would be 12e-6, and more than 1e-5 is not allowed.
LEAST_TAPS = {8: 3}
HANDICAP = {8: 1.05}  # the last digit is worth something

NEAR_WEIGHTS = 4 << 20  # floats that stay in L3 between two readings
MANY_TILES = 64
SEGMENT_PIXELS = 256
LEAST_TILES = 5  # fewer rows in a product leave multiply-adds waiting for one another


class Rates(NamedTuple):
    """Multiply-adds in the time of other work.

    transformed : taking one point of one channel of a tile in or out, with taps on one axis and on two
    sources : how much longer it takes to take in the pixels of several sources, a stride apart
    made : making one weight of tiles for one call, where it is used at once
    streamed : reading one weight from L3, or memory: once for all pixels, or once per MANY_TILES tiles
    started : what a call of tiles takes before the first, 2 us
    """

    transformed: tuple[int, int]
    sources: float
    made: int
    streamed: tuple[int, int]
    started: int


RATES = Rates((19, 25), 1, 10, (5, 10), 100_000)
# Twice the multiply-adds beside slower caches: Intel's with AVX-512.
FAR_RATES = Rates((25, 25), 1.75, 15, (8, 15), 160_000)


def rates_of(widths: tuple[int, ...]) -> Rates:
    """Return the rates of this CPU with vectors of such lanes, of which the second take half the time of the first."""
    return FAR_RATES if widths == (16,) and not _core.has_near_l3() else RATES


class Tiles:
    """How an operator falls apart into convolutions of neighbouring pixels, for tiles to compute.

    windows : of each product, its neighbouring taps on d, h and w. An axis has one product for all phases that read
        the same places, and one for each residue of the stride.
    lanes : of a float32 vector of the instruction set
    rates : what other work costs
    """

    def __init__(self, operator: Convolution | TransposedConvolution, lanes: int, rates: Rates = RATES) -> None:
        self.operator, self.lanes, self.rates = operator, lanes, rates
        self.axes, self.in_step, self.out_step = operator.phases()
        read = [{tuple(offset for _, offset in taps) for _, taps in axis} for axis in self.axes]
        self.windows = tuple(
            tuple(chain.from_iterable(Counter(o % step for o in offsets).values() for offsets in phases))
            for phases, step in zip(read, self.in_step, strict=True)
        )
        self.taps = tuple(max(window, default=0) for window in self.windows)
        self.products = prod(map(len, read))  # that have their own outputs
        self.sources = prod(map(len, self.windows)) // max(1, self.products)  # that add to the same outputs
        self.residues = prod(map(len, self.axes))  # outputs of a channel that a grid position has
        self.dilation = tuple(
            d // gcd(d, step) for d, step in zip((1, 1, *operator.dilation)[-3:], self.in_step, strict=True)
        )

    def exist(self) -> bool:
        """Tell whether tiles can be cut: neighbouring taps on the last axes, every output reached, enough channels."""
        outputs, inputs = self.operator.core_channels
        phases = self.residues // max(1, self.products)
        interleaved = prod(self.out_step) > 1
        return (
            self.taps[0] == self.out_step[0] == self.in_step[0] == 1
            and self.taps[2] > 1
            and all(step == 1 or d == 1 for step, d in zip(self.in_step, self.dilation, strict=True))
            and min(outputs * phases, inputs) >= MIN_CHANNELS
            and phases <= 2 * self.lanes
            and all(len(axis) == step for axis, step in zip(self.axes, self.out_step, strict=True))
            and not (interleaved and (max(self.dilation) > 1 or not self.operator.splits_evenly()))
            and any(self.fits(points) for points in POINTS)
        )

    def fits(self, points: int) -> bool:
        """Tell whether a tile has at least two outputs on each axis that is cut, and few enough for the error."""
        taps = [taps for taps in self.taps[1:] if taps > 1]
        return max(taps) + 1 <= points and min(taps) >= LEAST_TAPS.get(points, 2)

    def cost(self, points: int, grid: tuple[int, ...]) -> float:
        """Return the products of all tiles, and what it takes to transform pixels, sums and weights.

        grid : the output positions of one phase on d, h and w
        """
        tiles = prod(whole + short for whole, short in self._tiles(points, grid))
        inputs, lanes = self.operator.core_channels[1], self.lanes
        live, products = self._live_points(points, grid)
        streams = -(-tiles // MANY_TILES)
        weights = live * inputs * self._rows() // self.products
        multiplied = weights * (max(products / live, LEAST_TILES) + streamed(weights, self.rates) * streams)
        packed = -(-inputs // lanes) * lanes * self.sources * (self.rates.sources if self.sources > 1 else 1)
        point = self.rates.transformed[min(self.taps[1:]) > 1]
        transformed = point * tiles * self._area(points) * (packed + self._rows())
        return self.operator.groups * (multiplied + transformed) * HANDICAP.get(points, 1) + self.rates.started

    def weights(self, points: int) -> int:
        """Return how many numbers the transformed weights are."""
        inputs = self.operator.core_channels[1]
        return self.operator.groups * self._area(points) * inputs * self.sources * self._rows()

    def workspace(self, points: int, grid: tuple[int, ...]) -> int:
        """Return the bytes of the least that a thread works on: a run of tiles, or a row with interleaved outputs."""
        inputs, lanes = self.operator.core_channels[1], self.lanes
        dilation, interleaved = self.dilation[2], self.residues > 1
        rows = points if self.taps[1] > 1 else 1
        tiles = max(dilation, -(-grid[2] // 2) if interleaved else 1)
        step_h, step_w = self.in_step[1:]
        strip = step_h * rows * max(SEGMENT_PIXELS, step_w * points * dilation) * lanes
        aside = 2 * lanes * self.residues * rows * grid[2] if interleaved else 0
        return 4 * (rows * points * tiles * (inputs * self.sources + 3 * lanes) + strip + aside)

    def _tiles(self, points: int, grid: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return of each axis the tiles, and how many more are short: without their last output."""
        tiles = []
        for axis, taps, step, d, positions in zip(self.axes, self.taps, self.in_step, self.dilation, grid, strict=True):
            m = 1 if taps == 1 else 2 if points == 3 else points - taps + 1
            apart = step == 1 and len({offset for _, phase in axis for _, offset in phase}) > taps
            runs, rest = divmod(positions + apart, m * d)
            whole = max(0, rest - (m - 1) * d)
            tiles.append((runs * d + whole, min(d, rest) - whole))
        return tiles

    def _area(self, points: int) -> int:
        return prod(points for taps in self.taps[1:] if taps > 1)

    def _live_points(self, points: int, grid: tuple[int, ...]) -> tuple[int, int]:
        """Return the points of all products together, and with them multiplied tiles.

        A product with fewer taps than others has a point less on that axis, and so has a tile that is short. Of three
        points, it has one.
        """
        live = products = 1
        tiles = self._tiles(points, grid)
        for window, taps, (whole, short) in zip(self.windows[1:], self.taps[1:], tiles[1:], strict=True):
            own = [points - (n < taps) if taps > 1 else 1 for n in window]
            live *= sum(own)
            products *= whole * sum(own) + short * len(own) * (1 if points == 3 else points - 1)
        return live, products

    def _rows(self) -> int:
        """Return the outputs of all products of a point, in whole vectors."""
        outputs = self.operator.core_channels[0] * self.residues // self.products
        return -(-outputs // self.lanes) * self.lanes * self.products


def streamed(weights: int, rates: Rates) -> int:
    return rates.streamed[weights > NEAR_WEIGHTS]
