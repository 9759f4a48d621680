"""Engines: packed weights that can be run, of the core's own kinds and what has to be wrapped around them."""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import _core
from ._activation import part_of
from ._choice import MAX_SUM
from ._config import get_num_threads
from ._fourier import Fourier
from .geometry import PADDING_MODES, TransposedConvolution, lift

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ._activation import End
    from ._choice import Choice
    from .geometry import Convolution

SHARE_BYTES = 8 << 20  # of weights that are packed at a time for one call; two shares at least are worth it
SHARE_ROWS = 128  # rows of a product in a share at least: its pixels are packed again for each
FAR_WEIGHTS = (
    1 << 20
)  # bytes of tiles' weights that leave L2 before they are used, if all of one call are made first ...
MANY_WEIGHTS = 8 << 20  # ... and a larger L2, as they have whose L3 is far
MOST_ITEMS = 4  # that each transform all weights of one call
PIXEL_KINDS = {"pixels": 0, "turned pixels": 0, "dots of pixels": 1, "sums of pixels": 2}  # of the core
BAND_BYTES = 1 << 20  # of an output that are made as planes before they are turned to pixels
READS_LAST, WRITES_LAST = 1, 2  # of the core: which arrays of a call have their channels last
TO_LAST, TO_FIRST = (0, 2, 3, 4, 1), (0, 4, 1, 2, 3)  # the axes of their views: np.moveaxis takes 6 us


class Engine(Protocol):
    """Packed weights that can be run: those of `_core`, or one of the wrappers below."""

    last: int  # which arrays it takes with their channels last, READS_LAST and WRITES_LAST

    def run(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        origin: tuple[int, ...],
        threads: int,
        last: int = 0,
        end: End | None = None,
    ) -> None:
        """Compute y, (N, C_out, D, H, W), from x, (N, C_in, D, H, W): aligned, native, of the dtype of the weights.

        Entries on the last axis of x lie side by side; its other strides are free, and it may be read-only. Each
        y[n, c] is C-contiguous. The two do not overlap. The stride of an axis with one entry, or of an empty array,
        means nothing. `origin` is the input position of the first output's offset 0. Where `last` says so, the
        channels lie side by side instead, and each pixel of y follows the one before. `end` is what is done to y at
        last; its residual lies as y does.
        """

    def describe(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...], threads: int) -> dict[str, Any]:
        """Tell what `run` would do on arrays of these shapes."""


@lru_cache(maxsize=256)
def _terms(operator: Convolution | TransposedConvolution, taps_apart: bool = False) -> tuple:
    """Return an operator in the core's terms: its phases, and the channels of a group and strides of its weights."""
    border = PADDING_MODES.index(operator.padding_mode)
    return _core.Phases(*operator.phases(), taps_apart, border), *operator.core_channels, *operator.layout()


@lru_cache(maxsize=256)
def cut_of(operator: Convolution | TransposedConvolution, itemsize: int, isa: str, taps_apart: bool) -> _core.Cut:
    """Return how the core cuts an operator on the instruction set in use: what depends on shapes alone."""
    phases, outputs, inputs, strides, bias_strides = _terms(operator, taps_apart)
    return _core.Cut(phases, operator.groups, outputs, inputs, strides, bias_strides, itemsize)


@lru_cache(maxsize=256)
def tiles_of(
    operator: Convolution | TransposedConvolution, isa: str, tile: tuple[int, ...], narrow: bool
) -> _core.TileCut:
    """Return the same for tiles of so many points on h and w, in vectors of half the width if `narrow`."""
    phases, outputs, inputs, strides, bias_strides = _terms(operator)
    return _core.TileCut(phases, operator.groups, outputs, inputs, strides, bias_strides, tile, narrow)


def direct(
    operator: Convolution | TransposedConvolution,
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    taps_apart: bool = False,
    once: bool = False,
) -> _core.Engine:
    cut = cut_of(operator, weight.itemsize, _core.isa(), taps_apart)
    return _core.Engine(cut, weight, bias, get_num_threads(), once)


def winograd(
    operator: Convolution | TransposedConvolution,
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    tile: tuple[int, ...],
    narrow: bool,
    once: bool = False,
) -> _core.Winograd:
    cut = tiles_of(operator, _core.isa(), tile, narrow)
    return _core.Winograd(cut, weight, bias, get_num_threads(), once, _items_that_transform(cut) if once else 0)


def _items_that_transform(cut: _core.TileCut) -> int:
    """Return how many items of one call may each transform all weights, not to fetch them from far: 0 for few weights.

    Where L3 is far, L2 has 2 MiB: there some more are as well made before.
    """
    if cut.weight_bytes < FAR_WEIGHTS:
        return 0
    return MOST_ITEMS if _core.has_near_l3() or cut.weight_bytes > MANY_WEIGHTS else 1


def make(
    operator: Convolution | TransposedConvolution,
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    choice: Choice,
    once: bool = False,
) -> Engine:
    """Pack weights as an algorithm wants them; one that multiplies zeros of its own wants them finite."""
    if choice.engine == "direct":
        return direct(operator, weight, bias, once=once)
    packed = partial(direct, operator, weight, bias)
    if choice.engine == "winograd":
        engine = winograd(operator, weight, bias, choice.tile, choice.narrow)
        if engine.finite:
            return OrDirect(engine, packed)
    if choice.engine in PIXEL_KINDS:
        cut = cut_of(operator, weight.itemsize, _core.isa(), False)
        pixels = _core.Pixels(cut, weight, bias, get_num_threads(), once, PIXEL_KINDS[choice.engine])
        return _Turned(pixels) if choice.engine.startswith("turned") else pixels
    if choice.engine == "patches":
        return _patches(operator, weight, bias, once)
    if choice.engine == "patches of pixels":
        return _pixel_patches(operator, weight, bias)
    if choice.engine == "depthwise phases":
        engine = _depthwise_phases(operator, weight, bias)
        if engine.finite:
            return engine
    if choice.engine == "depthwise":
        outputs, inputs = operator.core_channels
        engine = _core.Depthwise(_terms(operator)[0], weight, bias, inputs, *choice.tile, twice=outputs > inputs)
        if engine.finite:
            return engine
    if choice.engine == "sums of channels":
        engine = _core.Depthwise(_terms(operator)[0], weight, bias, 1, sums=operator.core_channels[0])
        if engine.finite:
            return engine
    if choice.engine == "fourier" and np.isfinite(weight).all():
        return Fourier(operator, weight, bias, *choice.tile, packed)
    if choice.engine != "taps":
        return packed()
    products = direct(operator, weight, None, taps_apart=True)
    return _core.TapsFirst(products, packed(), np.ones(MAX_SUM, weight.dtype))


def _patches(
    operator: TransposedConvolution, weight: NDArray[Any], bias: NDArray[Any] | None, once: bool
) -> _core.Patches:
    settings = (lift(part, 1) for part in (operator.kernel, operator.stride, operator.dilation))
    before = [first for first, _ in lift(operator.padding, (0, 0))]
    copied_by = 0 if once else get_num_threads()
    return _core.Patches(operator.groups, *operator.core_channels, *settings, before, weight, bias, copied_by)


def _pixel_patches(
    operator: Convolution | TransposedConvolution, weight: NDArray[Any], bias: NDArray[Any] | None
) -> _core.PixelPatches:
    """Weights (channels, taps, outputs); a convolution's taps turned around, and what its outputs read says where."""
    rows, columns = lift(operator.kernel, 1)[1:]
    step, dilation = (lift(part, 1)[1:] for part in (operator.stride, operator.dilation))
    if isinstance(operator, TransposedConvolution):
        weight = weight.reshape(*operator.weight_shape[:2], rows * columns).transpose(0, 2, 1)
        before = [first for first, _ in lift(operator.padding, (0, 0))][1:]
    else:
        weight = weight.reshape(*operator.weight_shape[:2], rows * columns)[..., ::-1].transpose(1, 2, 0)
        before = None
    return _core.PixelPatches((rows, columns), step, dilation, before, np.ascontiguousarray(weight), bias)


@lru_cache(maxsize=256)
def _phases_apart(operator: TransposedConvolution) -> list[tuple]:
    """Return of each phase its residues on h and w, and its taps: their kernel indices, and as phases of the core."""
    (depth, rows, columns), in_step, _ = operator.phases()
    return [
        (h, w, np.ix_([k for k, _ in taps_h], [k for k, _ in taps_w]), _core.Phases(axes, in_step, (1, 1, 1)))
        for h, taps_h in rows
        for w, taps_w in columns
        for axes in [(depth, ((0, taps_h),), ((0, taps_w),))]
    ]


def _depthwise_phases(
    operator: TransposedConvolution, weight: NDArray[Any], bias: NDArray[Any] | None
) -> _core.DepthwisePhases:
    kernels = weight.reshape(operator.groups, *lift(operator.kernel, 1)[1:])
    parts = [
        (h, w, _core.Depthwise(phases, kernels[:, taps[0], taps[1]].reshape(-1), bias, 1))
        for h, w, taps, phases in _phases_apart(operator)
    ]
    return _core.DepthwisePhases(parts, *lift(operator.stride, 1)[1:])


@lru_cache(maxsize=256)
def shares_of(
    operator: Convolution | TransposedConvolution, itemsize: int, isa: str
) -> tuple[tuple[slice, slice, slice, _core.Cut], ...]:
    """Return shares of the outputs whose weights stay in cache: the outputs, their weights and biases, and the cut."""
    phases, outputs, inputs, strides, bias_strides = _terms(operator)
    weights = itemsize * prod(operator.weight_shape)
    count = min(weights // SHARE_BYTES, outputs * max(len(residues) for residues, _, _ in phases.groups) // SHARE_ROWS)
    if operator.groups > 1 or count < 2:
        return ()
    ends = [outputs * i // count for i in range(count + 1)]
    return tuple(
        (
            slice(a, b),
            slice(a * strides[1], None),
            slice(a * bias_strides[1], b * bias_strides[1]),
            _core.Cut(phases, 1, b - a, inputs, strides, bias_strides, itemsize),
        )
        for a, b in pairwise(ends)
    )


def workspace(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array for the length of a call, of memory that the core keeps for the next one."""
    size = prod(shape)
    return np.frombuffer(_core.Workspace(max(1, size) * dtype.itemsize), dtype, size).reshape(shape)


def _room_for_planes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the workspace of images whose planes are an odd number of cache lines apart.

    When they are turned to pixels or back, sixteen planes are read or written side by side: a power of two apart they
    meet in one set of the cache, which took two to three times as long.
    """
    n, channels, *spatial = shape
    pixels, line = prod(spatial), 64 // dtype.itemsize
    pitch = (-(-pixels // line) | 1) * line
    return workspace((n, channels, pitch), dtype)[:, :, :pixels].reshape(shape)


def run_last(
    engine: Engine,
    x: NDArray[Any],
    y: NDArray[Any],
    origin: tuple[int, ...],
    threads: int,
    end: End | None = None,
    given: int = READS_LAST | WRITES_LAST,
) -> None:
    """Run an engine on images whose channels lie side by side; turn into planes what it cannot take that way.

    One channel lies the same either way. `given` says which of the two images lies so.
    """
    last = engine.last & given
    if x.shape[1] == 1 and (x.strides[4] == x.itemsize or x.shape[4] == 1):
        last &= ~READS_LAST
    elif given & ~last & READS_LAST:
        x = _planes(x, threads)
    if y.shape[1] == 1 or not given & ~last & WRITES_LAST:
        engine.run(x, y, origin, threads, last if y.shape[1] > 1 else last & ~WRITES_LAST, end)
    else:
        _through_planes(engine, x, y, origin, threads, last, end)


def _through_planes(
    engine: Engine, x: NDArray[Any], y: NDArray[Any], origin: tuple[int, ...], threads: int, last: int, end: End | None
) -> None:
    """Make some rows of y as planes, which are still near when they are turned, and go on.

    Rows of an engine that has `bands`; else whole images, whose tiles are cut from the first row on.
    """
    fast = engine.fast if isinstance(engine, OrDirect) else engine
    n, channels, depth, height, width = y.shape
    rows, reads = fast.bands if depth == 1 and hasattr(fast, "bands") else (height, 0)
    row_bytes = channels * depth * width * y.itemsize
    images = max(1, BAND_BYTES // (row_bytes * height))
    step = min(height, max(1, BAND_BYTES // (row_bytes * rows)) * rows)
    streams = end is None and _core.past_caches(x.nbytes, y.nbytes)  # what is finished is read again
    room = _room_for_planes((min(n, images), channels, depth, step, width), y.dtype)
    bad: list[int] = []
    for first in range(0, n, images):
        for h in range(0, height, step):
            band = slice(first, first + images), slice(None), slice(None), slice(h, h + step)
            part = y[band]
            planes = room[: part.shape[0], :, :, : part.shape[3]]
            start = origin[0], origin[1] + h // rows * reads, origin[2]
            bad += [first + i for i in fast.run(x[band[0]], planes, start, threads, last) or ()]
            _core.turn(planes, part, True, threads, streams)
            if end is not None:
                _core.finish(part, part_of(end, band), True, threads)
    if isinstance(engine, OrDirect):
        engine.again(sorted(set(bad)), x, y, origin, threads, last | WRITES_LAST, end)


def _planes(x: NDArray[Any], threads: int) -> NDArray[Any]:
    pixels = x.transpose(*TO_LAST)
    if not pixels[:1].flags.c_contiguous:
        x = np.ascontiguousarray(pixels).transpose(*TO_FIRST)
    planes = _room_for_planes(x.shape, x.dtype)
    _core.turn(x, planes, False, threads)
    return planes


class _Turned:
    """Rows of pixels for images with planes: turned on their way in, outputs on their way out."""

    __slots__ = ("_engine",)
    last = 0

    def __init__(self, engine: _core.Pixels) -> None:
        self._engine = engine

    def run(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        origin: tuple[int, ...],
        threads: int,
        last: int = 0,
        end: End | None = None,
    ) -> None:
        if not x[:1, :1].flags.c_contiguous:
            x = np.ascontiguousarray(x)
        seen, made = (workspace((a.shape[0], *a.shape[2:], a.shape[1]), a.dtype).transpose(*TO_FIRST) for a in (x, y))
        _core.turn(x, seen, True, threads)
        self._engine.run(seen, made, origin, threads, READS_LAST | WRITES_LAST)
        _core.turn(made, y, False, threads)
        if end is not None:
            _core.finish(y, end, False, threads)

    def describe(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...], threads: int) -> dict[str, Any]:
        said = self._engine.describe(x_shape, y_shape, threads)
        numbers = prod(x_shape) + prod(y_shape)
        turned = numbers * (4 if said["dtype"] == "float32" else 8)
        return {
            **said,
            "algorithm": "direct, rows of turned pixels",
            "workspace_bytes": said["workspace_bytes"] + turned,
        }


class OrDirect:
    """A fast algorithm, and the direct one for images where it gives a number that is not finite.

    Its tiles spread a NaN or an infinity of the input to outputs that do not read it, and numbers near the largest may
    overflow within. The direct sum says what the output is.
    """

    __slots__ = ("_direct", "_pack", "fast", "last")
    finite = True

    def __init__(self, engine: _core.Winograd, pack: Callable[[], _core.Engine]) -> None:
        self.fast = engine
        self.last = engine.last
        self._pack = pack
        self._direct: _core.Engine | None = None

    def run(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        origin: tuple[int, ...],
        threads: int,
        last: int = 0,
        end: End | None = None,
    ) -> None:
        self.again(self.fast.run(x, y, origin, threads, last, end), x, y, origin, threads, last, end)

    def again(
        self,
        images: list[int],
        x: NDArray[Any],
        y: NDArray[Any],
        origin: tuple[int, ...],
        threads: int,
        last: int,
        end: End | None,
    ) -> None:
        """Compute some images directly."""
        for i in images:
            self._direct = self._direct or self._pack()
            image = slice(i, i + 1)
            run_last(self._direct, x[image], y[image], origin, threads, end and part_of(end, image), last)

    def describe(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...], threads: int) -> dict[str, Any]:
        return self.fast.describe(x_shape, y_shape, threads)


class InShares:
    """A direct convolution for one call, a share of the outputs after the other: packed, multiplied, forgotten.

    Weights of 33 MB go to memory and back otherwise, and are more than is kept for the next call.
    """

    __slots__ = ("_bias", "_shares", "_weight", "_whole")
    finite = True
    last = 0

    def __init__(
        self,
        shares: tuple[tuple[slice, slice, slice, _core.Cut], ...],
        weight: NDArray[Any],
        bias: NDArray[Any] | None,
        whole: Callable[[], Engine],
    ) -> None:
        self._shares = shares
        self._weight = weight
        self._bias = bias
        self._whole = whole

    def run(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        origin: tuple[int, ...],
        threads: int,
        last: int = 0,
        end: End | None = None,
    ) -> None:
        for outputs, weights, biases, cut in self._shares:
            bias = None if self._bias is None else self._bias[biases]
            engine = _core.Engine(cut, self._weight[weights], bias, threads, True)
            if not engine.finite:
                return self._whole().run(x, y, origin, threads, last, end)
            share = slice(None), outputs
            engine.run(x, y[share], origin, threads, 0, end and part_of(end, share))
        return None

    def describe(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...], threads: int) -> dict[str, Any]:
        return self._whole().describe(x_shape, y_shape, threads)


class ThenShuffled:
    """A convolution shuffled afterwards, where output channels of the shuffle straddle the groups.

    The core's phases cannot cross groups, and such a layer is rare: NumPy moves the entries.
    """

    __slots__ = ("_engine", "_factor")
    last = 0

    def __init__(self, engine: _core.Engine, factor: tuple[int, ...]) -> None:
        self._engine = engine
        self._factor = factor

    def run(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        origin: tuple[int, ...],
        threads: int,
        last: int = 0,
        end: End | None = None,
    ) -> None:
        coarse = np.empty(self._coarse(y.shape), y.dtype)
        self._engine.run(x, coarse, origin, threads)
        n, _, _, height, width = coarse.shape
        fh, fw = self._factor
        residues = coarse.reshape(n, -1, fh, fw, height, width)
        y.reshape(n, -1, height, fh, width, fw)[...] = residues.transpose(0, 1, 4, 2, 5, 3)
        if end is not None:
            _core.finish(y, end, False, threads)

    def describe(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...], threads: int) -> dict[str, Any]:
        return self._engine.describe(x_shape, self._coarse(y_shape), threads)

    def _coarse(self, fine: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, depth, height, width = fine
        fh, fw = self._factor
        return n, channels * fh * fw, depth, height // fh, width // fw


class WithNonFinite:
    """A transposed convolution whose weights hold infinities or NaNs.

    Positions outside the input contribute nothing, but the core multiplies them as zeros, and 0 * inf is NaN. So the
    core runs on finite weights, and each of the others is added to just those outputs that its inputs reach.
    """

    __slots__ = ("_engine", "_entries", "_operator")
    last = 0

    def __init__(self, engine: _core.Engine, operator: TransposedConvolution, weight: NDArray[Any]) -> None:
        self._engine = engine
        self._operator = operator
        weight = weight.reshape(*operator.weight_shape[:2], *lift(operator.kernel, 1))
        self._entries = [(tuple(at), weight[tuple(at)]) for at in np.argwhere(weight).tolist()]

    def run(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        origin: tuple[int, ...],
        threads: int,
        last: int = 0,
        end: End | None = None,
    ) -> None:
        self._engine.run(x, y, origin, threads)
        outputs, inputs = self._operator.core_channels
        with np.errstate(all="ignore"):  # inf * 0 and inf - inf are NaN by IEEE 754, and no surprise here
            for (channel, row, *taps), value in self._entries:
                reach = [self._reach(axis, tap, x, y) for axis, tap in enumerate(taps)]
                sources, targets = zip(*reach, strict=True)
                target = channel // inputs * outputs + row
                y[(slice(None), target, *targets)] += value * x[(slice(None), channel, *sources)]
        if end is not None:
            _core.finish(y, end, False, threads)

    def _reach(self, axis: int, tap: int, x: NDArray[Any], y: NDArray[Any]) -> tuple[slice, slice]:
        """Return the inputs of a spatial axis that a tap carries into the output, and the outputs they reach."""
        operator = self._operator
        stride, dilation = lift(operator.stride, 1)[axis], lift(operator.dilation, 1)[axis]
        shift = tap * dilation - lift(operator.padding, (0, 0))[axis][0]  # input i reaches output i * stride + shift
        first = max(0, -(shift // stride))
        stop = max(first, min(x.shape[2 + axis], (y.shape[2 + axis] - 1 - shift) // stride + 1))
        start = first * stride + shift
        return slice(first, stop), slice(start, start + (stop - first) * stride, stride)

    def describe(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...], threads: int) -> dict[str, Any]:
        return self._engine.describe(x_shape, y_shape, threads)
