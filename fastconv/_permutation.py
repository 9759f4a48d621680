"""How pixels change places where channels lie side by side: the tiles of the core's `permute` (kernels/permute.h).

A coarse pixel holds the elements of fh rows of fw fine pixels:

    coarse    a0 a1 a2 a3 b0 b1 b2 b3 c0 c1 c2 c3      3 channels by 2x2, order "crd"
    row 0     a0 b0 c0 a1 b1 c1
    row 1     a2 b2 c2 a3 b3 c3

Both are cut into vectors of `unit` bytes. A vector that is stored is picked from some that are loaded, with a mask of
bytes for each; stores that pick from the same few loads are a tile.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

TAKE, KEEP = 0x40, 0x80  # of include/fastconv/kernels.h
SIDE = 4  # of a tile: its loads, unless one store alone has more, and its stores
SMALL_UNIT = 16  # of AVX2: 4 elements from 4 loads, where 16 would come from as many as there are fine pixels
MOST_BYTES = 4096  # of a coarse group: at the worst they have 64 KiB of masks, which stay in L2
MOST_RUNS = 64  # FC_MAX_RUNS


class Permutation(NamedTuple):
    """What the core does again and again along a row: a group of pixels, a block of their channels."""

    unit: int
    pixels: int  # coarse ones of a group
    block: int  # bytes of a fine pixel that a block has
    rows: int  # runs of fine bytes: the rows of fine pixels, or each fine pixel apart
    tiles: int
    places: np.ndarray  # of each tile: loads, stores, (run from, byte) of each load, (run to, byte) of each store
    masks: np.ndarray  # [tile][store][load][byte]


@lru_cache(maxsize=256)
def permutation(
    unit: int, itemsize: int, channels: int, factors: tuple[int, int], order: str, undo: bool
) -> Permutation | None:
    """Return the tiles of a shuffle whose fine pixels have `channels`, or None where there are too many."""
    fh, fw = factors
    if fh * fw > SIDE and channels * itemsize >= unit:
        unit = min(unit, SMALL_UNIT)
    apart = channels * itemsize >= unit
    if apart and (unit % itemsize or order == "dcr"):  # in "dcr", rows of fine pixels are whole runs of the coarse one
        return None
    pixels = 1 if apart else max(1, unit // (fw * channels * itemsize))
    block = unit // itemsize if apart else channels
    rows = fh * fw if apart else fh
    size = pixels * block * fh * fw
    if rows > MOST_RUNS or size * itemsize > MOST_BYTES:
        return None
    places = np.arange(size).reshape((pixels, block, fh, fw) if order == "crd" else (pixels, fh, fw, block))
    places = places.transpose((2, 3, 0, 1) if apart else (2, 0, 3, 1) if order == "crd" else (1, 0, 2, 3)).reshape(-1)
    if undo:
        places = np.argsort(places)
    places = (places[:, None] * itemsize + np.arange(itemsize)).reshape(1 if undo else rows, -1)
    return Permutation(
        unit, pixels, block * itemsize, rows, *_tiles(places, unit, size * itemsize // (rows if undo else 1))
    )


def _tiles(places: np.ndarray, unit: int, run: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Cut `places`, for each byte of each run to the byte it comes from, of runs of `run` bytes one after the other."""
    tiles: list[tuple[list, list]] = []  # loads and stores
    for to, sources in enumerate(places):
        for start in _starts(len(sources), unit):
            wanted = sources[start : start + unit]
            grid = [(number, byte) for number in np.unique(wanted // run) for byte in _starts(run, unit)]
            loads = [load for load in grid if (_mask(wanted, load, unit, run) & TAKE).any()]
            joined = tiles[-1][0] + [load for load in loads if load not in tiles[-1][0]] if tiles else loads
            if tiles and len(joined) <= SIDE and len(tiles[-1][1]) < SIDE:
                tiles[-1][0][:] = joined
                tiles[-1][1].append((to, start))
            else:
                tiles.append((loads, [(to, start)]))
    numbers, masks = [], []
    for loads, stores in tiles:
        numbers += [len(loads), len(stores), *np.ravel(loads), *np.ravel(stores)]
        masks += [_mask(places[to, at : at + unit], load, unit, run) for to, at in stores for load in loads]
    return len(tiles), np.array(numbers, np.intp), np.concatenate(masks)


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
