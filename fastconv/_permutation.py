"""How pixels change places where channels lie side by side: the tiles of the core's `permute` (kernels/permute.h).

A coarse pixel holds the elements of fh rows of fw fine pixels:

    coarse    a0 a1 a2 a3 b0 b1 b2 b3 c0 c1 c2 c3      3 channels by 2x2, order "crd"
    row 0     a0 b0 c0 a1 b1 c1
    row 1     a2 b2 c2 a3 b3 c3

Both are cut into vectors of `unit` bytes. A vector that is stored is picked from some that are loaded, with a mask for
each, of bytes or of words.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

TAKE, KEEP = 0x40, 0x80  # of include/fastconv/kernels.h
WORD, SIGN = 4, 0x80  # bytes of a word, and what its mask has where it is taken
SIDE = 4  # of a tile: its loads, unless one store alone has more, and its stores
EACH = 8  # masks of a tile whose stores have loads of their own
LONG_UNIT = 64  # of AVX-512
SMALL_UNIT = 16  # of AVX2: 4 elements from 4 loads, where 16 would come from as many as there are fine pixels
MOST_BYTES = 4096  # FC_MAX_GROUP; at the worst they have 64 KiB of masks, which stay in L2
MOST_RUNS = 64  # FC_MAX_RUNS
OWN_LOADS = 16, 32  # units that may have them: with 64 bytes, which cross cache lines, 5% faster to 35% slower
WORD_PLANS = 3  # that are compared: groups of still more pixels never were the best
STRIP = 4 << 10  # of AVX2: bytes of coarse pixels that go through one tile after the other, 256 units in the core
PUT_BYTES, PUT_WORDS, LOOP, BEGIN = 2, 4, 4, 60  # operations, about: for a mask with AVX2, around a tile, before it
PUT_LONG = 1  # for a mask with AVX-512

# How much of its squares a coarse pixel has to fill to be turned as a matrix (kernels/turn.h), by the lanes of a
# float32 vector: measured beside permutations, which take eight times as long without byte shuffles.
LEAST_FILLED = {4: 0, 8: 0.45, 16: 0.3}


class Permutation(NamedTuple):
    """What the core does again and again along a row: a group of pixels, a block of their channels."""

    unit: int
    pixels: int  # coarse ones of a group
    block: int  # bytes of a fine pixel that a block has
    rows: int  # runs of fine bytes: the rows of fine pixels, or each fine pixel apart
    tiles: int
    places: np.ndarray  # of each tile: loads, stores, whether each store has its own; (run, byte) of loads, of stores
    masks: np.ndarray  # [tile][store][load][byte]


class _Store(NamedTuple):
    """A vector that is stored: where, what each of its bytes comes from, and the vectors to load for it."""

    at: tuple[int, int]  # run, byte
    wanted: np.ndarray
    loads: list[tuple[int, int]]


class _Tile(NamedTuple):
    each: bool  # has each store loads of its own? Then they are in the stores
    loads: list[tuple[int, int]]  # of all stores; with `each`, as many as a store has
    stores: list[_Store]


class Plan(NamedTuple):
    """A permutation before its masks are written, which takes longer than all else."""

    unit: int
    words: bool
    pixels: int
    block: int
    rows: int
    run: int  # bytes
    tiles: list[_Tile]
    cost: float  # operations of a pixel, about


def turns(lanes: int, itemsize: int, channels: int, factors: tuple[int, int], order: str) -> bool:
    """Tell whether coarse pixels are turned, not permuted: many fine ones of many channels that lie apart.

    lanes : of a float32 vector.
    """
    least, places = LEAST_FILLED[lanes], math.prod(factors)
    if order == "dcr" or itemsize not in (WORD, 2 * WORD) or places > MOST_RUNS or channels == 1:
        return False
    if places <= SIDE and least:
        return False  # vectors of a few fine pixels are permuted as fast as they are copied
    lanes = lanes * WORD // itemsize
    whole = places // lanes * lanes if places % lanes <= 1 else -(-places // lanes) * lanes  # a single one is copied
    filled = places * channels / (max(whole, places) * -(-channels // lanes) * lanes)
    return filled >= least


@lru_cache(maxsize=256)
def permutation(
    units: tuple[int, int], itemsize: int, channels: int, factors: tuple[int, int], order: str, undo: bool
) -> Permutation | None:
    """Return the tiles of a shuffle whose fine pixels have `channels`, or None where there are too many.

    units : bytes of a vector whose bytes go anywhere, and of one whose words do (0: none).
    """
    unit, _ = units
    fh, fw = factors
    pixel = channels * itemsize
    plans = word_plans(units, itemsize, channels, factors, order, undo)
    if fh * fw > SIDE and pixel >= unit:
        unit = min(unit, SMALL_UNIT)
    if pixel < unit or not (unit % itemsize or order == "dcr"):  # where rows of fine pixels are runs of the coarse one
        pixels = 1 if pixel >= unit else max(1, unit // (fw * pixel))
        plans += _plan(unit, False, itemsize, channels, factors, order, undo, pixels)
        # Whole vectors spoil nothing: 3 to 13% faster in one tile; in more, up to 23% slower. Pixels of which blocks of
        # channels are permuted are not side by side.
        if unit == LONG_UNIT and pixel < unit:
            whole = unit // math.gcd(unit, fh * fw * pixel)
            fuller = _plan(unit, False, itemsize, channels, factors, order, undo, -(-pixels // whole) * whole)
            plans += [plan for plan in fuller if len(plan.tiles) == 1]
    return written(min(plans, key=lambda plan: plan.cost)) if plans else None


def word_plans(
    units: tuple[int, int], itemsize: int, channels: int, factors: tuple[int, int], order: str, undo: bool
) -> list[Plan]:
    """Return what words can do, from the least pixels on whose runs spoil no more than the next one."""
    _, words = units
    pixel = channels * itemsize
    if itemsize % WORD or pixel >= words:
        return []
    least = max(1, -(-words // (factors[1] * pixel)) - 1)
    return [
        plan
        for n in range(least, least + WORD_PLANS)
        for plan in _plan(words, True, itemsize, channels, factors, order, undo, n)
    ]


def _plan(
    unit: int, words: bool, itemsize: int, channels: int, factors: tuple[int, int], order: str, undo: bool, pixels: int
) -> list[Plan]:
    """Return the plan for groups of so many pixels, or none if they are too large."""
    fh, fw = factors
    apart = channels * itemsize >= unit
    block = unit // itemsize if apart else channels
    rows = fh * fw if apart else fh
    size = pixels * block * fh * fw
    if rows > MOST_RUNS or size * itemsize > MOST_BYTES:
        return []
    places = np.arange(size).reshape((pixels, block, fh, fw) if order == "crd" else (pixels, fh, fw, block))
    places = places.transpose((2, 3, 0, 1) if apart else (2, 0, 3, 1) if order == "crd" else (1, 0, 2, 3)).reshape(-1)
    if undo:
        places = np.argsort(places)
    places = (places[:, None] * itemsize + np.arange(itemsize)).reshape(1 if undo else rows, -1)
    run = size * itemsize // (rows if undo else 1)
    groups = max(1, STRIP // (size * itemsize))
    ways = [_shared_tiles(places, unit, run), *([_own_tiles(places, unit, run)] if unit in OWN_LOADS else [])]
    put = PUT_WORDS if words else PUT_LONG if unit == LONG_UNIT else PUT_BYTES
    cost, tiles = min(((_operations(way, put, groups), way) for way in ways), key=lambda pair: pair[0])
    return [Plan(unit, words, pixels, block * itemsize, rows, run, tiles, cost / pixels)]


def _operations(tiles: list[_Tile], put: int, groups: int) -> float:
    """Estimate the operations for a group of pixels, of a row of `groups`: a tile is set up, and done for each.

    put : those for a mask.
    """
    total = 0.0
    for tile in tiles:
        loads, stores = len(tile.loads), len(tile.stores)
        masks, read = loads * stores, loads * stores if tile.each else loads
        moves = masks * put + read + stores + LOOP
        total += moves * (1 if loads <= SIDE else 2) + BEGIN / groups
    return total


def _shared_tiles(places: np.ndarray, unit: int, run: int) -> list[_Tile]:
    """Cut `places`, for each byte of each run to the byte it comes from, of runs of `run` bytes one after the other.

    Loads lie side by side; stores that pick from the same few are a tile.
    """
    tiles: list[_Tile] = []
    for store in _stores(places, unit):
        number, byte = np.divmod(store.wanted, run)
        loads = [divmod(at, run) for at in np.unique(number * run + _load_at(byte, unit, run)).tolist()]
        joined = tiles[-1].loads + [load for load in loads if load not in tiles[-1].loads] if tiles else loads
        if tiles and len(joined) <= SIDE and len(tiles[-1].stores) < SIDE:
            tiles[-1].loads[:] = joined
            tiles[-1].stores.append(store)
        else:
            tiles.append(_Tile(False, loads, [store]))
    return tiles


def _own_tiles(places: np.ndarray, unit: int, run: int) -> list[_Tile]:
    """Cut `places` likewise; each store has loads of its own, which begin with the first byte that it wants."""
    tiles: list[_Tile] = []
    for store in _stores(places, unit):
        for number in np.unique(store.wanted // run):
            left = np.sort(store.wanted[store.wanted // run == number] - number * run)
            while left.size:
                start = max(0, min(int(left[0]), run - unit))
                store.loads.append((number, start))
                left = left[left >= start + unit]
        count = len(store.loads)
        alike = tiles and tiles[-1].each and len(tiles[-1].loads) == count
        if alike and len(tiles[-1].stores) < SIDE and (len(tiles[-1].stores) + 1) * count <= EACH:
            tiles[-1].stores.append(store)
        else:
            tiles.append(_Tile(count <= SIDE, store.loads, [store]))
    return tiles


def _stores(places: np.ndarray, unit: int) -> list[_Store]:
    runs = ((to, sources, start) for to, sources in enumerate(places) for start in _starts(len(sources), unit))
    return [_Store((to, start), sources[start : start + unit], []) for to, sources, start in runs]


def written(plan: Plan) -> Permutation:
    """Return a plan as the kernel reads it."""
    numbers, masks = [], []
    for tile in plan.tiles:
        each = tile.each and len(tile.stores) > 1
        loads = [load for store in tile.stores for load in store.loads] if each else tile.loads
        numbers += [len(tile.loads), len(tile.stores), each, *np.ravel(loads)]
        numbers += [place for store in tile.stores for place in store.at]
        for store in tile.stores:
            loads = store.loads if each else tile.loads
            masks += [_mask(store.wanted, load, plan.unit, plan.run) for load in loads]
    if plan.words:
        masks = [_words(mask) for mask in masks]
    places = np.array(numbers, np.intp)
    return Permutation(*plan[:1], *plan[2:5], len(plan.tiles), places, np.concatenate(masks))


def _load_at(byte: np.ndarray, unit: int, run: int) -> np.ndarray:
    """Return where the vector begins that holds each byte, of those by which a run is loaded."""
    return np.minimum(byte // unit * unit, max(0, run - unit))


def _starts(run: int, unit: int) -> list[int]:
    """Return where the vectors of a run begin. The last one ends with the run."""
    return [*range(0, run - unit + 1, unit), *([max(0, run - unit)] if run % unit else [])]


def _mask(wanted: np.ndarray, load: tuple[int, int], unit: int, run: int) -> np.ndarray:
    """Return the mask that takes what is wanted from one load: where two have a byte, it may come from either."""
    number, byte = load
    first = number * run + byte
    here = (wanted >= first) & (wanted < min(first + unit, (number + 1) * run))
    mask = KEEP | np.arange(unit, dtype=np.uint8)
    mask[: len(wanted)][here] = TAKE | (wanted - first)[here].astype(np.uint8)
    return mask


def _words(mask: np.ndarray) -> np.ndarray:
    """Return a mask of bytes, whole words of which stay together, as one of words."""
    words = np.zeros((len(mask) // WORD, WORD), np.uint8)
    first = mask[::WORD]
    taken = (first & KEEP) == 0
    words[:, 0] = np.where(taken, (first & (TAKE - 1)) // WORD, 0)
    words[:, -1] = np.where(taken, SIGN, 0)
    return words.reshape(-1)
