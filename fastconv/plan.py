"""Layers: weights packed once, called many times.

A layer joins an operator of `fastconv.geometry` (channels, phases, taps) with the numbers, packed by the core for the
instruction set at hand. It is immutable, takes inputs of any size, and may be shared between threads. The functions of
`fastconv.conv`, `fastconv.transposed` and `fastconv.shuffle` build a layer for one call: there is one way through.
"""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import pairwise
from math import prod
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import _core
from ._activation import NO_END, as_end, part_of
from ._arrays import (
    LAYOUTS,
    as_array,
    channels_first_shape,
    channels_last_shape,
    check_layout,
    check_out,
    check_residual,
    dtypes,
    flat,
    in_planes,
    keep,
    lies_in_planes,
    rows,
)
from ._choice import DIRECT, MAX_SUM, choose
from ._config import get_num_threads
from ._fourier import Fourier
from .geometry import (
    PADDING_MODES,
    Convolution,
    all_exact,
    check_bias,
    convolution,
    five_axes,
    int_entries,
    lift,
    placement,
    transposed_convolution,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from ._activation import Activation, End
    from ._choice import Choice
    from .geometry import Ints, Padding, PadLike, Placement, TransposedConvolution

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "SubpixelConv2d",
]

ALGORITHMS = ("auto", "direct")
FAR_WEIGHTS = 1 << 18  # numbers: transformed weights that leave L2 before they are used, if all of them are made first
SHARE_BYTES = 8 << 20  # of weights that are packed at a time for one call; two shares at least are worth it
SHARE_ROWS = 128  # rows of a product in a share at least: its pixels are packed again for each
KNOWN_CALLS = 64  # shapes and dtypes whose direct calls a layer knows by heart: 2.2 us become 1.8 for the smallest
READS_LAST, WRITES_LAST = 1, 2  # of the core: which arrays of a call have their channels last


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
def _cut(operator: Convolution | TransposedConvolution, itemsize: int, isa: str, taps_apart: bool) -> _core.Cut:
    """Return how the core cuts an operator on the instruction set in use: what depends on shapes alone."""
    phases, outputs, inputs, strides, bias_strides = _terms(operator, taps_apart)
    return _core.Cut(phases, operator.groups, outputs, inputs, strides, bias_strides, itemsize)


def _direct(
    operator: Convolution | TransposedConvolution,
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    taps_apart: bool = False,
    once: bool = False,
) -> _core.Engine:
    cut = _cut(operator, weight.itemsize, _core.isa(), taps_apart)
    return _core.Engine(cut, weight, bias, get_num_threads(), once)


def _winograd(
    operator: Convolution | TransposedConvolution,
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    tile: tuple[int, ...],
    once: bool = False,
) -> _core.Winograd:
    phases, outputs, inputs, strides, bias_strides = _terms(operator)
    terms = phases, weight, bias, operator.groups, outputs, inputs, strides, bias_strides
    return _core.Winograd(*terms, tile, get_num_threads(), once)


@lru_cache(maxsize=256)
def _shares(
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


class _Form:
    """A layer but for its numbers: the operator, what it was made from, and dtypes."""

    __slots__ = (
        "activation",
        "algorithm",
        "compute",
        "dtype",
        "end",
        "last",
        "lasts",
        "layout",
        "operator",
        "settings",
    )


@lru_cache(maxsize=256)
def _form(
    kind: type[_Layer],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    bias: tuple[tuple[int, ...], np.dtype[Any]] | None,
    algorithm: str,
    settings: tuple,
    layout: str,
    end: tuple[str | None, int, float],
) -> _Form:
    """Check all that a layer is made from, which is shapes, dtypes and exact settings."""
    form = _Form()
    form.algorithm, form.settings, form.layout = algorithm, settings, layout
    form.activation, *form.end = end
    form.last = layout == LAYOUTS[kind._ndim][1]
    form.dtype, form.compute = dtypes(("weight", "bias"), dtype, dtype if bias is None else bias[1])
    form.operator = kind._rule(kind._ndim, shape, *settings)
    form.lasts = READS_LAST | WRITES_LAST if form.last else 0
    if bias is not None:
        check_bias(bias[0], form.operator.bias_channels)
    return form


@lru_cache(maxsize=1024)
def _route(
    form: _Form,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    output_size: tuple[int, ...] | None,
    lanes: int,
    once: bool,
    residual: np.dtype[Any] | None = None,
) -> tuple[np.dtype[Any], np.dtype[Any], Placement, Choice]:
    """Return all that a call on an input of this shape, that of planes, and this dtype needs to know."""
    if residual is None:
        result, compute = dtypes(("input", "weight"), dtype, form.dtype)
    else:
        result, compute = dtypes(("input", "weight", "residual"), dtype, form.dtype, residual)
    operator = form.operator
    place = placement(operator, shape, compute.itemsize, output_size)
    choice = choose(operator, shape[-len(operator.kernel) :], compute, form.algorithm, lanes, form.last, once)
    return result, compute, place, choice


class _Layer:
    """What all layers share: weights, engines per dtype, and the call."""

    __slots__ = ("_bias", "_calls", "_engines", "_form", "_weight")
    _ndim: int
    _rule: Callable[..., Convolution | TransposedConvolution]
    _names: tuple[str, ...]  # of the settings, in the order of _rule
    _settings: tuple[str, ...]  # of the repr

    def _set(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None,
        algorithm: str,
        settings: tuple,
        layout: str | None,
        activation: Activation,
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm must be one of {ALGORITHMS}, got {algorithm!r}")
        layout = check_layout(layout, self._ndim)
        end = NO_END if activation is None else as_end(activation)
        self._weight = weight = as_array("weight", weight)
        self._bias = bias = None if bias is None else as_array("bias", bias)
        about_bias = None if bias is None else (bias.shape, bias.dtype)
        settings = all_exact(self._names, settings)
        self._form = _form(type(self), weight.shape, weight.dtype, about_bias, algorithm, settings, layout, end)
        self._engines: dict[tuple[np.dtype[Any], Choice], Engine] = {}
        self._calls: dict[tuple, tuple] | None = None

    def _keep(self) -> None:
        """Make the weights the layer's own and pack them."""
        self._calls = {}
        self._weight = keep(self._weight)
        if self._bias is not None:
            self._bias = keep(self._bias)
        form = self._form
        self._engine(form.compute, choose(form.operator, None, form.compute, form.algorithm, _core.lanes(), form.last))

    @classmethod
    def _borrow(
        cls,
        weight: ArrayLike,
        bias: ArrayLike | None,
        algorithm: str,
        settings: tuple,
        layout: str | None,
        activation: Activation,
    ) -> Self:
        """Make a layer for one call, on the caller's own weights, which it packs only once the input has passed."""
        layer = cls.__new__(cls)
        layer._set(weight, bias, algorithm, settings, layout, activation)
        return layer

    def _apply(
        self,
        input: ArrayLike,
        out: NDArray[Any] | None,
        residual: ArrayLike | None = None,
        output_size: tuple | None = None,
    ) -> NDArray[Any]:
        x = as_array("input", input)
        plain = residual is None and output_size is None
        if out is None and plain and self._calls and (known := self._calls.get((x.shape, x.dtype))):
            engine, shape, origin, last, end = known
            y = np.empty(shape, x.dtype)
            engine.run(rows(x, x.dtype), y, origin, get_num_threads(), last, end, self._ndim)
            return y
        form, ndim = self._form, self._ndim
        shape = channels_first_shape(x.shape, ndim) if form.last else x.shape
        about_residual = None
        if residual is not None:
            residual = as_array("residual", residual)
            about_residual = residual.dtype
        once = self._calls is None
        dtype, compute, place, choice = _route(form, shape, x.dtype, output_size, _core.lanes(), once, about_residual)
        shape = channels_last_shape(place.shape, ndim) if form.last else place.shape
        if residual is not None:
            check_residual(residual, shape)
        if out is None:
            y = self._run(x, np.empty(shape, compute), residual, place, choice, plain)
            return y if compute == dtype else y.astype(dtype)
        target = check_out(out, shape, dtype)
        arrays = x, self._weight, self._bias, residual
        apart = not any(np.may_share_memory(target, a) for a in arrays if a is not None)
        if target.dtype == compute and lies_in_planes(target, ndim + form.last) and apart:
            self._run(x, target, residual, place, choice)
        else:
            target[...] = self._run(x, np.empty(shape, compute), residual, place, choice)
        return out

    def _run(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        residual: NDArray[Any] | None,
        place: Placement,
        choice: Choice,
        to_learn: bool = False,
    ) -> NDArray[Any]:
        """Fill y, which lies as the core wants it and overlaps no other array; with `to_learn`, know the next call."""
        if not y.size:
            return y
        engine, form = self._engine(y.dtype, choice), self._form
        if residual is None and isinstance(engine, _core.Runner) and engine.takes(form.lasts):
            last = form.lasts
            if not last or (x.shape[-1] > 1 and y.shape[-1] > 1):  # one channel lies the same either way
                end = (*form.end, None) if form.end[0] else None
                if to_learn and self._calls is not None and x.dtype == y.dtype and len(self._calls) < KNOWN_CALLS:
                    self._calls[x.shape, x.dtype] = engine, y.shape, place.origin, last, end
                engine.run(rows(x, y.dtype), y, place.origin, get_num_threads(), last, end, self._ndim)
                return y
        view = partial(_lifted, place=place, ndim=self._ndim, last=form.last)
        run = partial(_run_last, engine) if form.last else engine.run
        call = view(rows(x, y.dtype)), view(y), place.origin, get_num_threads()
        if residual is not None:
            residual = view(in_planes(residual, y.dtype, self._ndim + form.last))
        if residual is None and not form.end[0]:
            run(*call)
        else:
            run(*call, end=(*form.end, residual))
        return y

    def _engine(self, compute: np.dtype[Any], choice: Choice) -> Engine:
        """Return the engine for a compute dtype and algorithm, packed when an input first calls for it.

        Two threads may both pack it; setdefault lets one of the two win. That of one call is not kept: it would be in
        a cycle with the layer, and its memory not free when the call ends.
        """
        if self._calls is None:
            return self._pack_for_once(compute, choice)
        key = compute, choice
        return self._engines.get(key) or self._engines.setdefault(key, self._pack(compute, choice))

    def _pack(self, compute: np.dtype[Any], choice: Choice) -> Engine:
        return self._core_engine(self._form.operator, flat(self._weight, compute), choice)

    def _pack_for_once(self, compute: np.dtype[Any], choice: Choice) -> Engine:
        """Pack nothing that a call can pack while it runs, and so keep in cache.

        It learns only then whether all weights are finite. If not, it is done again, as a layer does it.
        """
        operator, weights = self._form.operator, self._weight.size
        if choice.engine == "direct" and not self._form.last and weights * compute.itemsize >= 2 * SHARE_BYTES:
            shares = _shares(operator, compute.itemsize, _core.isa())
            if len(shares) > 1:
                numbers = flat(self._weight, compute), self._flat_bias(compute)
                return _InShares(shares, *numbers, partial(self._pack, compute, choice))
        if choice.engine == "winograd" and weights // prod(operator.kernel) * prod(choice.tile) >= FAR_WEIGHTS:
            numbers = flat(self._weight, compute), self._flat_bias(compute)
            engine = _winograd(operator, *numbers, choice.tile, once=True)
            return _OrDirect(engine, partial(self._pack, compute, DIRECT))
        return self._pack(compute, choice)

    def _flat_bias(self, compute: np.dtype[Any]) -> NDArray[Any] | None:
        return None if self._bias is None else flat(self._bias, compute)

    def _core_engine(
        self, operator: Convolution | TransposedConvolution, weight: NDArray[Any], choice: Choice
    ) -> Engine:
        """Pack weights; an algorithm that multiplies zeros of its own wants them finite."""
        bias = self._flat_bias(weight.dtype)
        once = self._calls is None
        if choice.engine == "direct":
            return _direct(operator, weight, bias, once=once)
        packed = partial(_direct, operator, weight, bias)
        if choice.engine == "winograd":
            engine = _winograd(operator, weight, bias, choice.tile)
            if engine.finite:
                return _OrDirect(engine, packed)
        if choice.engine.endswith("pixels"):
            cut = _cut(operator, weight.itemsize, _core.isa(), False)
            pixels = _core.Pixels(cut, weight, bias, get_num_threads(), once)
            return _Turned(pixels) if choice.engine.startswith("turned") else pixels
        if choice.engine == "depthwise":
            engine = _core.Depthwise(_terms(operator)[0], weight, bias, operator.core_channels[0], *choice.tile)
            if engine.finite:
                return engine
        if choice.engine == "fourier" and np.isfinite(weight).all():
            return Fourier(operator, weight, bias, *choice.tile, packed)
        if choice.engine != "taps":
            return packed()
        products = _direct(operator, weight, None, taps_apart=True)
        return _core.TapsFirst(products, packed(), np.ones(MAX_SUM, weight.dtype))

    def describe(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return what would run on an input of this shape in the layer's own dtype: algorithm, ISA, output shape."""
        shape = int_entries("shape", shape, 0)
        if self._form.last:
            shape = channels_first_shape(shape, self._ndim)
        _, compute, place, choice = _route(self._form, shape, self.dtype, None, _core.lanes(), once=False)
        sides = five_axes(shape, self._ndim), five_axes(place.shape, self._ndim)
        said = self._engine(compute, choice).describe(*sides, get_num_threads())
        output = channels_last_shape(place.shape, self._ndim) if self._form.last else place.shape
        return {**said, "why": choice.why, "output_shape": output}

    def __repr__(self) -> str:
        operator = self._form.operator
        form = self._form
        rare = {"padding_mode": self.padding_mode != "zeros", "activation": form.end[0], "layout": form.last}
        names = (*self._settings, *(name for name, given in rare.items() if given))
        settings = "".join(f", {name}={getattr(self, name)}" for name in names)
        return (
            f"{type(self).__name__}({operator.in_channels} -> {operator.out_channels} channels, "
            f"kernel={operator.kernel}{settings}, bias={self._bias is not None}, dtype={self.dtype.name})"
        )

    def __reduce__(self) -> tuple:
        form = self._form
        state = self._weight, self._bias, form.algorithm, form.settings, form.layout, form.activation
        return _restore, (type(self), *state)

    weight = property(attrgetter("_weight"), doc="The weight, as a read-only copy.")
    bias = property(attrgetter("_bias"), doc="The bias, as a read-only copy, or None.")
    dtype = property(attrgetter("_form.dtype"), doc="The promoted dtype of weight and bias.")
    stride = property(attrgetter("_form.operator.stride"), doc="The stride on each spatial axis.")
    padding = property(
        attrgetter("_form.operator.padding"), doc='The (lo, hi) padding on each spatial axis, or a "same".'
    )
    dilation = property(attrgetter("_form.operator.dilation"), doc="The dilation on each spatial axis.")
    groups = property(attrgetter("_form.operator.groups"), doc="The number of groups.")
    padding_mode = property(attrgetter("_form.operator.padding_mode"), doc="What the padding holds.")
    activation = property(attrgetter("_form.activation"), doc="What is applied to the outputs, or None.")
    layout = property(attrgetter("_form.layout"), doc="The order of the axes of input and output.")
    algorithm = property(attrgetter("_form.algorithm"), doc="What was asked for; `describe` tells what runs.")


def _lifted(array: NDArray[Any], place: Placement, ndim: int, last: bool) -> NDArray[Any]:
    """Return a view of an image, or a batch of them, as (N, C, D, H, W)."""
    if last:  # np.moveaxis takes 2 us
        batch = range(array.ndim - 1 - ndim)
        array = array.transpose(*batch, -1, *range(len(batch), array.ndim - 1))
    return array[place.lift]


def _run_last(
    engine: Engine,
    x: NDArray[Any],
    y: NDArray[Any],
    origin: tuple[int, ...],
    threads: int,
    end: End | None = None,
) -> None:
    """Run an engine on images whose channels lie side by side; turn into planes what it cannot take that way.

    One channel lies the same either way.
    """
    last = engine.last
    if x.shape[1] == 1 and (x.strides[4] == x.itemsize or x.shape[4] == 1):
        last &= ~READS_LAST
    elif not last & READS_LAST:
        x = _planes(x, threads)
    if y.shape[1] == 1 or last & WRITES_LAST:
        engine.run(x, y, origin, threads, last if y.shape[1] > 1 else last & ~WRITES_LAST, end)
    else:
        planes = np.empty(y.shape, y.dtype)
        engine.run(x, planes, origin, threads, last)
        _core.turn(planes, y, True, threads)
        if end is not None:
            _core.finish(y, end, True, threads)


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
        seen, made = (np.moveaxis(np.empty((a.shape[0], *a.shape[2:], a.shape[1]), a.dtype), 4, 1) for a in (x, y))
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


def _planes(x: NDArray[Any], threads: int) -> NDArray[Any]:
    pixels = np.moveaxis(x, 1, 4)
    if not pixels[:1].flags.c_contiguous:
        pixels = np.ascontiguousarray(pixels)
    planes = np.empty(x.shape, x.dtype)
    _core.turn(np.moveaxis(pixels, 4, 1), planes, False, threads)
    return planes


class _OrDirect:
    """A fast algorithm, and the direct one for images where it gives a number that is not finite.

    Its tiles spread a NaN or an infinity of the input to outputs that do not read it, and numbers near the largest may
    overflow within. The direct sum says what the output is.
    """

    __slots__ = ("_direct", "_engine", "_pack")
    finite = True
    last = READS_LAST | WRITES_LAST

    def __init__(self, engine: _core.Winograd, pack: Callable[[], _core.Engine]) -> None:
        self._engine = engine
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
        for i in self._engine.run(x, y, origin, threads, last, end):
            self._direct = self._direct or self._pack()
            run = partial(_run_last, self._direct) if last else self._direct.run
            image = slice(i, i + 1)
            run(x[image], y[image], origin, threads, end=end and part_of(end, image))

    def describe(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...], threads: int) -> dict[str, Any]:
        return self._engine.describe(x_shape, y_shape, threads)


class _InShares:
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


def _restore(kind: type[_Layer], *state: Any) -> _Layer:
    """Make a copied or unpickled layer, packed for the machine that it is on now."""
    layer = kind.__new__(kind)
    layer._set(*state)
    layer._keep()
    return layer


# Convolution ----------------------------------------------------------------------------------------------------------


class _Conv(_Layer):
    __slots__ = ()
    _rule = staticmethod(convolution)
    _names = ("stride", "padding", "dilation", "groups", "upscale_factor", "padding_mode")
    _settings: tuple[str, ...] = _names[:4]

    def __init__(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        *,
        padding_mode: str = "zeros",
        activation: Activation = None,
        layout: str | None = None,
        algorithm: str = "auto",
    ) -> None:
        self._set(weight, bias, algorithm, (stride, padding, dilation, groups, 1, padding_mode), layout, activation)
        self._keep()

    def __call__(
        self, input: ArrayLike, *, residual: ArrayLike | None = None, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Convolve `input`, of any batch and image size, and add `residual`; write to `out` if given."""
        return self._apply(input, out, residual)


class Conv1d(_Conv):
    """A 1-D convolution with its weights packed once: ``Conv1d(...)(x)`` is ``conv1d(x, ...)``.

    Parameters
    ----------
    weight, bias, stride, padding, dilation, groups, padding_mode, activation, layout, algorithm
        As in `fastconv.conv1d`. The layer keeps its own copy of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import Conv1d
    >>> difference = Conv1d(np.array([[[-1.0, 1.0]]]))
    >>> difference(np.array([[1.0, 4.0, 9.0]]))
    array([[3., 5.]])
    """

    __slots__ = ()
    _ndim = 1


class Conv2d(_Conv):
    """A 2-D convolution with its weights packed once: ``Conv2d(...)(x)`` is ``conv2d(x, ...)``.

    Parameters
    ----------
    weight, bias, stride, padding, dilation, groups, padding_mode, activation, layout, algorithm
        As in `fastconv.conv2d`. The layer keeps its own copy of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import Conv2d
    >>> layer = Conv2d(np.ones((8, 3, 3, 3), np.float32), padding="same")
    >>> layer(np.ones((1, 3, 32, 48), np.float32)).shape
    (1, 8, 32, 48)
    >>> layer
    Conv2d(3 -> 8 channels, kernel=(3, 3), stride=(1, 1), padding=same, dilation=(1, 1), groups=1, bias=False, \
dtype=float32)
    """

    __slots__ = ()
    _ndim = 2


class Conv3d(_Conv):
    """A 3-D convolution with its weights packed once: ``Conv3d(...)(x)`` is ``conv3d(x, ...)``.

    Parameters
    ----------
    weight, bias, stride, padding, dilation, groups, padding_mode, activation, layout, algorithm
        As in `fastconv.conv3d`. The layer keeps its own copy of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import Conv3d
    >>> layer = Conv3d(np.ones((4, 1, 3, 3, 3)), stride=2)
    >>> layer(np.ones((1, 9, 9, 9))).shape
    (4, 4, 4, 4)
    """

    __slots__ = ()
    _ndim = 3


class SubpixelConv2d(_Conv):
    """A convolution and a pixel shuffle in one: ``SubpixelConv2d(...)(x)`` is ``subpixel_conv2d(x, ...)``.

    Parameters
    ----------
    weight, bias, upscale_factor, stride, padding, dilation, groups, padding_mode, activation, layout, algorithm
        As in `fastconv.subpixel_conv2d`. The layer keeps its own copy of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import SubpixelConv2d
    >>> layer = SubpixelConv2d(np.ones((12, 8, 3, 3), np.float32), None, 2, padding=1)
    >>> layer(np.ones((1, 8, 16, 16), np.float32)).shape
    (1, 3, 32, 32)
    """

    __slots__ = ()
    _ndim = 2
    _settings = ("upscale_factor", *_Conv._settings)

    def __init__(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None,
        upscale_factor: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        *,
        padding_mode: str = "zeros",
        activation: Activation = None,
        layout: str | None = None,
        algorithm: str = "auto",
    ) -> None:
        self._set(
            weight,
            bias,
            algorithm,
            (stride, padding, dilation, groups, upscale_factor, padding_mode),
            layout,
            activation,
        )
        self._keep()

    def _pack(self, compute: np.dtype[Any], choice: Choice) -> Engine:
        if self._form.operator.splits_evenly():
            return super()._pack(compute, choice)
        plain = self._core_engine(self._form.operator.plain(), flat(self._weight, compute), choice)
        return _ThenShuffled(plain, self._form.operator.factor)

    upscale_factor = property(attrgetter("_form.operator.factor"), doc="The upscale factor on each spatial axis.")


class _ThenShuffled:
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


# Transposed convolution -----------------------------------------------------------------------------------------------


class _ConvTranspose(_Layer):
    __slots__ = ()
    _rule = staticmethod(transposed_convolution)
    _names = ("stride", "padding", "output_padding", "groups", "dilation", "padding_mode")
    _settings = _names[:5]

    def __init__(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        stride: Ints = 1,
        padding: PadLike = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        dilation: Ints = 1,
        *,
        padding_mode: str = "zeros",
        activation: Activation = None,
        layout: str | None = None,
        algorithm: str = "auto",
    ) -> None:
        self._set(
            weight,
            bias,
            algorithm,
            (stride, padding, output_padding, groups, dilation, padding_mode),
            layout,
            activation,
        )
        self._keep()

    def __call__(
        self,
        input: ArrayLike,
        *,
        output_size: Ints | None = None,
        residual: ArrayLike | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Transpose-convolve `input`, of any batch and image size, and add `residual`; write to `out` if given."""
        size = None if output_size is None else int_entries("output_size", output_size, 0)
        return self._apply(input, out, residual, size)

    def _pack(self, compute: np.dtype[Any], choice: Choice) -> Engine:
        weight = flat(self._weight, compute)
        engine = self._core_engine(self._form.operator, weight, choice)
        if engine.finite or self.padding_mode == "circular":  # in a circle, no position is outside
            return engine
        finite = np.isfinite(weight)
        # The stand-in has the sign of the infinity: an infinite input times it is the same, any other next to nothing.
        stand_in = np.copysign(np.finfo(compute).tiny, weight)
        engine = self._core_engine(self._form.operator, np.where(finite, weight, stand_in), choice)
        return _WithNonFinite(engine, self._form.operator, np.where(finite, 0, weight))

    output_padding = property(attrgetter("_form.operator.output_padding"), doc="What is added to each spatial axis.")


class ConvTranspose1d(_ConvTranspose):
    """A 1-D transposed convolution with its weights packed once: the layer of `conv_transpose1d`.

    Parameters
    ----------
    weight, bias, stride, padding, output_padding, groups, dilation, padding_mode, activation, layout, algorithm
        As in `fastconv.conv_transpose1d`. The layer keeps its own copy of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ConvTranspose1d
    >>> layer = ConvTranspose1d(np.array([[[1.0, 1.0]]]), stride=2)
    >>> layer(np.array([[1.0, 2.0]]))
    array([[1., 1., 2., 2.]])
    """

    __slots__ = ()
    _ndim = 1


class ConvTranspose2d(_ConvTranspose):
    """A 2-D transposed convolution with its weights packed once: the layer of `conv_transpose2d`.

    Parameters
    ----------
    weight, bias, stride, padding, output_padding, groups, dilation, padding_mode, activation, layout, algorithm
        As in `fastconv.conv_transpose2d`. The layer keeps its own copy of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ConvTranspose2d
    >>> layer = ConvTranspose2d(np.ones((8, 4, 3, 3), np.float32), stride=2, padding=1)
    >>> x = np.ones((1, 8, 16, 16), np.float32)
    >>> layer(x).shape, layer(x, output_size=32).shape
    ((1, 4, 31, 31), (1, 4, 32, 32))
    """

    __slots__ = ()
    _ndim = 2


class ConvTranspose3d(_ConvTranspose):
    """A 3-D transposed convolution with its weights packed once: the layer of `conv_transpose3d`.

    Parameters
    ----------
    weight, bias, stride, padding, output_padding, groups, dilation, padding_mode, activation, layout, algorithm
        As in `fastconv.conv_transpose3d`. The layer keeps its own copy of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ConvTranspose3d
    >>> layer = ConvTranspose3d(np.ones((2, 1, 2, 2, 2)), stride=2)
    >>> layer(np.ones((2, 4, 4, 4))).shape
    (1, 8, 8, 8)
    """

    __slots__ = ()
    _ndim = 3


class _WithNonFinite:
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
