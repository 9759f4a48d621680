"""The receptive field of a stack of layers: which inputs an output depends on.

On one axis, a layer whose output ``q * out_step + r`` reads the inputs ``q * in_step + offset`` turns the field of its
inputs into that of its outputs. Where outputs differ in what they read (after a transposed convolution, a shuffle or a
resize), they do so periodically; one period of first and last inputs describes all of them, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from .arguments import Ints, as_int, int_entries, is_sequence, per_axis, spread
from .layers import Conv, ConvTranspose, PixelShuffle, PixelUnshuffle, Pool, Reads, Resize, Size, check_phases

if TYPE_CHECKING:
    from fractions import Fraction

AnyLayer: TypeAlias = "Conv | ConvTranspose | Pool | PixelShuffle | PixelUnshuffle | Resize"


class Reach(NamedTuple):
    """On one axis, output ``q * len(ends) + r`` depends on no input outside ``q * advance + first`` to ``... + last``.

    ``(first, last) = ends[r]``, both of them inputs that it does depend on; None if it depends on none.
    """

    advance: int
    ends: tuple[tuple[int, int] | None, ...]


ITSELF = Reach(1, ((0, 0),))


@dataclass(frozen=True)
class ReceptiveField:
    """What the outputs of a layer depend on in the input of its stack; tuples have an entry for each spatial axis.

    Attributes
    ----------
    size : tuple of int
        The most positions that one output spans, from the first input that it depends on to the last.
    jump : tuple of int or Fraction
        How many inputs the field moves on from one output to the next, on average.
    offset : tuple of int
        The first input that any output depends on; below 0 it is padding.
    output_size : tuple of int, or None
        Of the layer; None if the `input_size` of the stack is not given.
    channels : int, or None
        Of the layer's output; None if the `in_channels` of the stack are not given.
    parameters : int, or None
        Weights and biases of this layer alone.
    multiply_adds : int, or None
        Of this layer alone and for one image, those with padding included, as is usual.
    """

    size: tuple[int, ...]
    jump: tuple[int | Fraction, ...]
    offset: tuple[int, ...]
    output_size: tuple[int, ...] | None = None
    channels: int | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    _reaches: tuple[Reach, ...] = field(default=(), repr=False, compare=False)

    def region(self, output: Ints) -> tuple[range, ...]:
        """Return the range of inputs that one output depends on, on each axis; empty if it depends on none.

        Parameters
        ----------
        output : int or tuple of int
            Its position, on every axis or on each.

        Examples
        --------
        >>> from fastconv.geometry import Conv, Resize, receptive_field
        >>> layers = receptive_field([Resize(2), Conv(3, padding=1)], ndim=1)
        >>> layers[-1].region(4), layers[-1].region(5)
        ((range(1, 3),), (range(2, 4),))
        """
        places = spread("output", int_entries("output", output, 0), len(self._reaches))
        return tuple(_range(reach, place) for reach, place in zip(self._reaches, places, strict=True))


def receptive_field(
    layers: Iterable[AnyLayer],
    input_size: Ints | None = None,
    in_channels: int | None = None,
    *,
    ndim: int | None = None,
) -> tuple[ReceptiveField, ...]:
    """Return the receptive field of each layer of a stack, with its parameters and multiply-adds beside it.

    For convolutions and pools, with ``r = j = 1`` and ``s = 0`` at the input,

    * size: ``r_out = r_in + d * (K - 1) * j_in``
    * jump: ``j_out = j_in * S``
    * offset: ``s_out = s_in - p_lo * j_in``

    and output ``o`` depends on the inputs ``s + o * j`` to ``s + o * j + r - 1``. After a layer that goes up, outputs
    differ: `ReceptiveField.region` has the inputs of each.

    Parameters
    ----------
    layers : iterable of Conv, ConvTranspose, Pool, PixelShuffle, PixelUnshuffle and Resize
        One path from input to output. Of branches that are added, such as residual ones, take the longest.
    input_size : int or tuple of int, optional
        The spatial size of the input, for `output_size` and `multiply_adds`.
    in_channels : int, optional
        The channels of the input, for `channels`, `parameters` and `multiply_adds`.
    ndim : int, optional
        The number of spatial axes: by default 2, or the length of `input_size`.

    Returns
    -------
    tuple of ReceptiveField
        One for each layer, of the stack that ends with it. The counts are of the layer alone: sum them.

    Raises
    ------
    ValueError
        If an argument of a layer is out of range or does not fit what comes in; the message names the layer.
    TypeError
        If something in `layers` is none, or an argument is not an int.

    References
    ----------
    A. Araujo, W. Norris and J. Sim, "Computing receptive fields of convolutional neural networks", Distill, 2019,
    doi:10.23915/distill.00021.

    Examples
    --------
    >>> from fastconv.geometry import Conv, Pool, receptive_field
    >>> [field.size[0] for field in receptive_field([Conv(3, dilation=d) for d in (1, 2, 4, 8)])]
    [3, 7, 15, 31]
    >>> stem = receptive_field([Conv(7, 2, 3, channels=64), Pool(3, 2, 1)], (224, 224), in_channels=3)
    >>> stem[-1].size, stem[-1].jump, stem[-1].offset, stem[-1].output_size
    ((11, 11), (4, 4), (-5, -5), (56, 56))
    >>> sum(field.parameters for field in stem), sum(field.multiply_adds for field in stem)
    (9472, 118013952)
    """
    if ndim is None:
        ndim = len(tuple(input_size)) if is_sequence(input_size) else 2  # type: ignore[arg-type]
    ndim = as_int("ndim", ndim)
    size = None if input_size is None else per_axis("input_size", input_size, ndim)
    channels = None if in_channels is None else as_int("in_channels", in_channels)
    reaches: tuple[Reach, ...] = (ITSELF,) * ndim
    fields = []
    for number, layer in enumerate(layers):
        try:
            result = _next(layer, reaches, size, channels)
        except (TypeError, ValueError) as error:
            raise type(error)(f"layer {number}, {layer}: {error}") from None
        fields.append(result)
        reaches, size, channels = result._reaches, result.output_size, result.channels
    return tuple(fields)


def _next(layer: AnyLayer, reaches: tuple[Reach, ...], size: Size | None, channels: int | None) -> ReceptiveField:
    if not isinstance(layer, (Conv, ConvTranspose, Pool, PixelShuffle, PixelUnshuffle, Resize)):
        raise TypeError("expected a Conv, ConvTranspose, Pool, PixelShuffle, PixelUnshuffle or Resize")
    ndim = len(reaches)
    reaches = tuple(_through(*axis) for axis in zip(reaches, layer.reads(ndim, size), strict=True))
    outputs = size and layer.output_size(size)
    counted = channels is not None
    return ReceptiveField(
        size=tuple(max((b - a + 1 for a, b in filter(None, reach.ends)), default=0) for reach in reaches),
        jump=tuple(_quotient(reach.advance, len(reach.ends)) for reach in reaches),
        offset=tuple(min((a for a, _ in filter(None, reach.ends)), default=0) for reach in reaches),
        output_size=outputs,
        channels=layer.output_channels(channels, ndim) if counted else None,
        parameters=layer.parameters(channels, ndim) if counted else None,
        multiply_adds=layer.multiply_adds(channels, size, outputs) if counted and size and outputs else None,
        _reaches=reaches,
    )


def _through(reach: Reach, reads: Reads) -> Reach:
    """Carry the reach of a layer's inputs over to its outputs."""
    period = len(reach.ends)
    turns = period // gcd(period, reads.in_step)  # after so many steps the inputs' period begins anew
    check_phases(turns * len(reads.offsets))
    ends = [_hull(reach, q * reads.in_step, offsets) for q in range(turns) for offsets in reads.offsets]
    return Reach(turns * reads.in_step // period * reach.advance, tuple(ends))


def _hull(reach: Reach, start: int, offsets: Sequence[int]) -> tuple[int, int] | None:
    """Return the first and last input behind several positions.

    They are not always behind the first and last position, but never a period further in: the offsets have one step, so
    a position a period of offsets further on has the same ends, moved on.
    """
    period = len(reach.ends)
    if len(offsets) > 2 * period:
        offsets = [*offsets[:period], *offsets[-period:]]
    ends = [end for offset in offsets if (end := _ends(reach, start + offset)) is not None]
    return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None


def _ends(reach: Reach, position: int) -> tuple[int, int] | None:
    turn, phase = divmod(position, len(reach.ends))
    ends = reach.ends[phase]
    return ends and (ends[0] + turn * reach.advance, ends[1] + turn * reach.advance)


def _range(reach: Reach, output: int) -> range:
    first, last = _ends(reach, output) or (0, -1)
    return range(first, last + 1)


def _quotient(a: int, b: int) -> int | Fraction:
    if a % b == 0:
        return a // b
    from fractions import Fraction  # 5 ms, which an import of the package need not wait for

    return Fraction(a, b)
