"""Layers: weights packed once, called many times.

A layer joins an operator of `fastconv.geometry` (channels, phases, taps) with the numbers, packed by the core for the
instruction set at hand. It is immutable, takes inputs of any size, and may be shared between threads. The functions of
`fastconv.conv`, `fastconv.transposed` and `fastconv.shuffle` build a layer for one call, all but direct calls like one
before (`_Layer._call`).
"""

from __future__ import annotations

from functools import lru_cache, partial
from math import prod
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._activation import NO_END, as_end
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
from ._choice import DIRECT, choose
from ._config import get_num_threads
from ._engines import (
    READS_LAST,
    WRITES_LAST,
    InShares,
    OrDirect,
    ThenShuffled,
    WithNonFinite,
    cut_of,
    make,
    run_last,
    shares_of,
    winograd,
)
from .geometry import (
    Convolution,
    all_exact,
    check_bias,
    convolution,
    five_axes,
    int_entries,
    placement,
    transposed_convolution,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from ._activation import Activation
    from ._choice import Choice
    from ._engines import Engine
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
KNOWN_CALLS = 64  # shapes and dtypes whose direct calls a layer knows by heart: 2.2 us become 1.8 for the smallest


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
    widths: tuple[int, ...],
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
    choice = choose(operator, shape[-len(operator.kernel) :], compute, form.algorithm, widths, form.last, once)
    return result, compute, place, choice


@lru_cache(maxsize=256)
def _direct_call(
    kind: type[_Layer], shapes: tuple[tuple[int, ...], ...], dtype: np.dtype[Any], about: tuple, isa: str
) -> _core.Call | None:
    """Return a function's call on arrays of these shapes and one dtype, if it is direct and reads weights at once."""
    shape, weight, bias = shapes
    algorithm, layout, *settings = about
    _check_algorithm(algorithm)
    layout = check_layout(layout, kind._ndim)
    form = _form(kind, weight, dtype, bias and (bias, dtype), algorithm, tuple(settings), layout, NO_END)
    if form.last or not form.operator.splits_evenly():
        return None
    result, compute, place, choice = _route(form, shape, dtype, None, _core.widths(), True)
    if choice.engine != "direct" or not result == dtype == compute or not prod(place.shape):
        return None
    cut = cut_of(form.operator, compute.itemsize, isa, False)
    if not cut.phases.complete or shares_of(form.operator, compute.itemsize, isa):
        return None
    return _core.Call(cut, place.shape, place.origin, compute, kind._ndim)


def _check_algorithm(algorithm: str) -> None:
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {ALGORITHMS}, got {algorithm!r}")


class _Layer:
    """What all layers share: weights, engines per dtype, and the call."""

    __slots__ = ("_bias", "_calls", "_engines", "_form", "_guess", "_weight")
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
        _check_algorithm(algorithm)
        layout = check_layout(layout, self._ndim)
        end = NO_END if activation is None else as_end(activation)
        self._weight = weight = as_array("weight", weight)
        self._bias = bias = None if bias is None else as_array("bias", bias)
        about_bias = None if bias is None else (bias.shape, bias.dtype)
        settings = all_exact(self._names, settings)
        self._form = _form(type(self), weight.shape, weight.dtype, about_bias, algorithm, settings, layout, end)
        self._engines: dict[tuple, Engine] = {}
        self._guess: tuple | None = None
        self._calls: dict[tuple, tuple] | None = None

    def _keep(self) -> None:
        """Make the weights the layer's own and pack them, as a usual image would have them."""
        self._calls = {}
        self._weight = keep(self._weight)
        if self._bias is not None:
            self._bias = keep(self._bias)
        form = self._form
        choice = choose(form.operator, None, form.compute, form.algorithm, _core.widths(), form.last)
        self._engine(form.compute, choice)
        self._guess = form.compute, *choice.key

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

    @classmethod
    def _call(
        cls,
        input: ArrayLike,
        weight: ArrayLike,
        bias: ArrayLike | None,
        about: tuple,
        activation: Activation,
        out: NDArray[Any] | None,
        residual: ArrayLike | None,
        output_size: Ints | None = None,
    ) -> NDArray[Any]:
        """Compute a function's result; `about` is the algorithm, the layout and the settings.

        A small call notices what Python does. So one that is like a call before, direct and of plain arrays, knows all
        but the numbers.
        """
        if activation is out is residual is output_size is None:
            dtype = _core.common_dtype(input, weight, bias, about)
            if dtype is not None:
                shapes = input.shape, weight.shape, None if bias is None else bias.shape
                call = _direct_call(cls, shapes, dtype, about, _core.isa())
                if call is not None and (y := call(input, weight, bias, get_num_threads())) is not None:
                    return y
        layer = cls._borrow(weight, bias, about[0], about[2:], about[1], activation)
        size = None if output_size is None else int_entries("output_size", output_size, 0)
        return layer._apply(input, out, residual, size)

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
            engine, empty, shape, origin, last, end = known
            y = empty(shape, x.dtype)
            engine.run(rows(x, x.dtype), y, origin, get_num_threads(), last, end, self._ndim)
            return y
        form, ndim = self._form, self._ndim
        shape = channels_first_shape(x.shape, ndim) if form.last else x.shape
        about_residual = None
        if residual is not None:
            residual = as_array("residual", residual)
            about_residual = residual.dtype
        once = self._calls is None
        dtype, compute, place, choice = _route(form, shape, x.dtype, output_size, _core.widths(), once, about_residual)
        shape = channels_last_shape(place.shape, ndim) if form.last else place.shape
        if residual is not None:
            check_residual(residual, shape)
        if out is None:
            y = self._run(x, _core.empty(shape, compute), residual, place, choice, plain)
            return y if compute == dtype else y.astype(dtype)
        target = check_out(out, shape, dtype)
        arrays = x, self._weight, self._bias, residual
        apart = not any(np.may_share_memory(target, a) for a in arrays if a is not None)
        if target.dtype == compute and lies_in_planes(target, ndim + form.last) and apart:
            self._run(x, target, residual, place, choice)
        else:
            target[...] = self._run(x, _core.empty(shape, compute), residual, place, choice)
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
        last = form.lasts
        one = last and 1 in (x.shape[-1], y.shape[-1])
        if residual is None and isinstance(engine, _core.Runner) and engine.takes(last, one):
            end = (*form.end, None) if form.end[0] else None
            if to_learn and self._calls is not None and x.dtype == y.dtype and len(self._calls) < KNOWN_CALLS:
                empty = _core.emptier(y.shape, y.dtype)
                self._calls[x.shape, x.dtype] = engine, empty, y.shape, place.origin, last, end
            engine.run(rows(x, y.dtype), y, place.origin, get_num_threads(), last, end, self._ndim)
            return y
        view = partial(_lifted, place=place, ndim=self._ndim, last=form.last)
        run = partial(run_last, engine) if form.last else engine.run
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
        a cycle with the layer, and its memory not free when the call ends. Weights in tiles may take 64 numbers for 9:
        those that were packed before there was an image go, if the first one wants others.
        """
        if self._calls is None:
            return self._pack_for_once(compute, choice)
        key = compute, *choice.key
        guess, self._guess = self._guess, None
        if guess not in (None, key):
            self._engines.pop(guess, None)
        return self._engines.get(key) or self._engines.setdefault(key, self._pack(compute, choice))

    def _pack(self, compute: np.dtype[Any], choice: Choice) -> Engine:
        return self._make(self._form.operator, flat(self._weight, compute), choice)

    def _pack_for_once(self, compute: np.dtype[Any], choice: Choice) -> Engine:
        """Pack nothing that a call can pack while it runs, and so keep in cache; the rest in memory that is kept.

        It learns only then whether all weights are finite. If not, it is done again, as a layer does it.
        """
        operator = self._form.operator
        if choice.engine == "direct" and not self._form.last:
            shares = shares_of(operator, compute.itemsize, _core.isa())
            if shares:
                numbers = flat(self._weight, compute), self._flat_bias(compute)
                return InShares(shares, *numbers, partial(self._pack, compute, choice))
        if choice.engine == "winograd":
            numbers = flat(self._weight, compute), self._flat_bias(compute)
            engine = winograd(operator, *numbers, choice.tile, choice.narrow, once=True)
            return OrDirect(engine, partial(self._pack, compute, DIRECT))
        return self._pack(compute, choice)

    def _make(self, operator: Convolution | TransposedConvolution, weight: NDArray[Any], choice: Choice) -> Engine:
        return make(operator, weight, self._flat_bias(weight.dtype), choice, once=self._calls is None)

    def _flat_bias(self, compute: np.dtype[Any]) -> NDArray[Any] | None:
        return None if self._bias is None else flat(self._bias, compute)

    def describe(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return what would run on an input of this shape in the layer's own dtype: algorithm, ISA, output shape."""
        shape = int_entries("shape", shape, 0)
        if self._form.last:
            shape = channels_first_shape(shape, self._ndim)
        _, compute, place, choice = _route(self._form, shape, self.dtype, None, _core.widths(), once=False)
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
        plain = self._make(self._form.operator.plain(), flat(self._weight, compute), choice)
        return ThenShuffled(plain, self._form.operator.factor)

    upscale_factor = property(attrgetter("_form.operator.factor"), doc="The upscale factor on each spatial axis.")


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
        engine = self._make(self._form.operator, weight, choice)
        if engine.finite or self.padding_mode == "circular":  # in a circle, no position is outside
            return engine
        finite = np.isfinite(weight)
        # The stand-in has the sign of the infinity: an infinite input times it is the same, any other next to nothing.
        stand_in = np.copysign(np.finfo(compute).tiny, weight)
        # Directly, which takes planes: so does what adds the others.
        engine = self._make(self._form.operator, np.where(finite, weight, stand_in), DIRECT)
        return WithNonFinite(engine, self._form.operator, np.where(finite, 0, weight))

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
