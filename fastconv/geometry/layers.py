"""The layers of a stack, as `receptive_field` takes them: what each reads on an axis, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from .arguments import (
    Ints,
    Padding,
    PadLike,
    Pairs,
    as_entries,
    as_int,
    padding_rule,
    per_axis,
    pool_rule,
    spread,
    transposed_padding,
)
from .operators import MAX_TAPS, transposed_taps
from .rules import (
    check_output_padding,
    conv_sizes,
    kernel_spans,
    pool_sizes,
    resolved_padding,
    shuffled_sizes,
    transposed_sizes,
    unshuffled_sizes,
)

MAX_PHASES = 4096  # outputs that may differ in what they read; 64 is the most in common networks (five 2x up: 32)

Size = tuple[int, ...]


class Reads(NamedTuple):
    """On one axis, output ``q * out_step + r`` reads the inputs ``q * in_step + offset``, offset in ``offsets[r]``."""

    in_step: int
    offsets: tuple[Sequence[int], ...]  # as many as out_step; ascending or descending with one step


class _Rearrangement:
    """A layer without weights: nothing to learn, no products."""

    def parameters(self, channels: int, ndim: int) -> int:
        return 0

    def multiply_adds(self, channels: int, size: Size, outputs: Size) -> int:
        return 0

    def output_channels(self, channels: int, ndim: int) -> int:
        return channels


@dataclass(frozen=True)
class Conv:
    """A convolution in a stack: the arguments of `fastconv.conv2d`, numbers or one for each axis.

    Parameters
    ----------
    kernel, stride, padding, dilation, groups
        As in `fastconv.conv2d`. A padding that depends on the size of the input ("same" with a stride) needs the
        `input_size` of the stack.
    channels : int, optional
        Of the output; by default as many as come in.
    bias : bool
        Whether there is one to count among the parameters.

    Examples
    --------
    >>> from fastconv.geometry import Conv, receptive_field
    >>> receptive_field([Conv(3, dilation=2)])[0].size
    (5, 5)
    """

    kernel: Ints
    stride: Ints = 1
    padding: Padding = 0
    dilation: Ints = 1
    groups: int = 1
    channels: int | None = None
    bias: bool = True

    def reads(self, ndim: int, size: Size | None) -> list[Reads]:
        kernel, stride, pads, dilation = self._arguments(ndim, size)
        return [
            Reads(s, (range(-lo, d * (k - 1) + 1 - lo, d),))
            for k, s, (lo, _), d in zip(kernel, stride, pads, dilation, strict=True)
        ]

    def output_size(self, size: Size) -> Size:
        kernel, stride, pads, dilation = self._arguments(len(size), size)
        return conv_sizes(size, kernel, stride, pads, dilation)

    def output_channels(self, channels: int, ndim: int) -> int:
        return _output_channels(self, channels)

    def parameters(self, channels: int, ndim: int) -> int:
        return _parameters(self, channels, ndim)

    def multiply_adds(self, channels: int, size: Size, outputs: Size) -> int:
        return _weights(self, channels, len(size)) * prod(outputs)

    def _arguments(self, ndim: int, size: Size | None) -> tuple[Size, Size, Pairs, Size]:
        kernel, stride, dilation = _window(self, ndim)
        rule = padding_rule(self.padding, ndim)
        if isinstance(rule, str) and size is None and any(s > 1 for s in stride):
            raise ValueError(f"padding={rule!r} with a stride depends on the size of the input: give input_size")
        # With stride 1 "same" does not depend on the size.
        return kernel, stride, resolved_padding(rule, size or (1,) * ndim, kernel, stride, dilation), dilation


@dataclass(frozen=True)
class ConvTranspose:
    """A transposed convolution in a stack: the arguments of `fastconv.conv_transpose2d`.

    Parameters
    ----------
    kernel, stride, padding, output_padding, groups, dilation
        As in `fastconv.conv_transpose2d`.
    channels : int, optional
        Of the output; by default as many as come in.
    bias : bool
        Whether there is one to count among the parameters.

    Examples
    --------
    Each output of a 4x4 kernel at stride 2 reads 2x2 inputs:

    >>> from fastconv.geometry import ConvTranspose, receptive_field
    >>> receptive_field([ConvTranspose(4, stride=2, padding=1)])[0].size
    (2, 2)
    """

    kernel: Ints
    stride: Ints = 1
    padding: PadLike = 0
    output_padding: Ints = 0
    groups: int = 1
    dilation: Ints = 1
    channels: int | None = None
    bias: bool = True

    def reads(self, ndim: int, size: Size | None) -> list[Reads]:
        kernel, stride, dilation = _window(self, ndim)
        if max(kernel) > MAX_TAPS:
            raise ValueError(f"kernel {kernel} is larger than {MAX_TAPS}")
        check_phases(max(stride))
        pads = transposed_padding(self.padding, ndim)
        axes = []
        for k, s, (lo, _), d in zip(kernel, stride, pads, dilation, strict=True):
            taps = dict(transposed_taps(k, s, lo, d))
            axes.append(Reads(1, tuple([offset for _, offset in taps.get(residue, ())] for residue in range(s))))
        return axes

    def output_size(self, size: Size) -> Size:
        kernel, stride, dilation = _window(self, len(size))
        extra = per_axis("output_padding", self.output_padding, len(size), 0)
        check_output_padding(extra, stride, dilation)
        return transposed_sizes(size, kernel, stride, transposed_padding(self.padding, len(size)), extra, dilation)

    def output_channels(self, channels: int, ndim: int) -> int:
        return _output_channels(self, channels)

    def parameters(self, channels: int, ndim: int) -> int:
        return _parameters(self, channels, ndim)

    def multiply_adds(self, channels: int, size: Size, outputs: Size) -> int:
        return _weights(self, channels, len(size)) * prod(size)


@dataclass(frozen=True)
class Pool(_Rearrangement):
    """A maximum or average pooling in a stack: the arguments of `fastconv.max_pool2d`.

    Parameters
    ----------
    kernel, stride, padding, dilation, ceil_mode
        As in `fastconv.max_pool2d`: the stride is the kernel size if not given.

    Examples
    --------
    >>> from fastconv.geometry import Pool, receptive_field
    >>> receptive_field([Pool(2), Pool(2)])[-1].size
    (4, 4)
    """

    kernel: Ints
    stride: Ints | None = None
    padding: PadLike = 0
    dilation: Ints = 1
    ceil_mode: bool = False

    def reads(self, ndim: int, size: Size | None) -> list[Reads]:
        rule = pool_rule(ndim, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
        kernel_spans(rule.kernel, rule.dilation)
        return [
            Reads(s, (range(-lo, d * (k - 1) + 1 - lo, d),))
            for k, s, (lo, _), d in zip(rule.kernel, rule.stride, rule.padding, rule.dilation, strict=True)
        ]

    def output_size(self, size: Size) -> Size:
        rule = pool_rule(len(size), self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
        return pool_sizes(size, rule)


@dataclass(frozen=True)
class PixelShuffle(_Rearrangement):
    """A pixel shuffle in a stack; after a convolution it makes a sub-pixel convolution.

    Parameters
    ----------
    upscale_factor : int or tuple of int
        On every axis, or on each.

    Examples
    --------
    Three outputs side by side read the same input:

    >>> from fastconv.geometry import PixelShuffle, receptive_field
    >>> receptive_field([PixelShuffle(3)])[0].jump
    (Fraction(1, 3), Fraction(1, 3))
    """

    upscale_factor: Ints

    def reads(self, ndim: int, size: Size | None) -> list[Reads]:
        factors = self._factors(ndim)
        check_phases(max(factors))
        return [Reads(1, ((0,),) * r) for r in factors]

    def output_size(self, size: Size) -> Size:
        return shuffled_sizes(size, self._factors(len(size)))

    def output_channels(self, channels: int, ndim: int) -> int:
        factors = self._factors(ndim)
        if channels % prod(factors):
            raise ValueError(f"upscale_factor {factors} needs a multiple of {prod(factors)} channels, got {channels}")
        return channels // prod(factors)

    def _factors(self, ndim: int) -> Size:
        return per_axis("upscale_factor", self.upscale_factor, ndim)


@dataclass(frozen=True)
class PixelUnshuffle(_Rearrangement):
    """A pixel unshuffle in a stack: all channels of an output pixel together read a block of inputs.

    Parameters
    ----------
    downscale_factor : int or tuple of int
        On every axis, or on each.

    Examples
    --------
    >>> from fastconv.geometry import PixelUnshuffle, receptive_field
    >>> receptive_field([PixelUnshuffle(2)])[0].size
    (2, 2)
    """

    downscale_factor: Ints

    def reads(self, ndim: int, size: Size | None) -> list[Reads]:
        return [Reads(r, (range(r),)) for r in self._factors(ndim)]

    def output_size(self, size: Size) -> Size:
        return unshuffled_sizes(size, self._factors(len(size)))

    def output_channels(self, channels: int, ndim: int) -> int:
        return channels * prod(self._factors(ndim))

    def _factors(self, ndim: int) -> Size:
        return per_axis("downscale_factor", self.downscale_factor, ndim)


@dataclass(frozen=True)
class Resize(_Rearrangement):
    """An interpolation in a stack: what a resize-convolution does before it convolves.

    Parameters
    ----------
    scale : int, float or Fraction, or a tuple of them
        What sizes are multiplied with, on every axis or on each; the result is rounded down. A float is taken for the
        binary fraction that it is, so a third is written ``Fraction(1, 3)``.
    mode : {"nearest", "bilinear"}
        Nearest reads input ``floor(o / scale)``. Bilinear (pixels as squares, ``align_corners=False``) reads the one
        or two inputs around ``(o + 1/2) / scale - 1/2``.

    Examples
    --------
    >>> from fastconv.geometry import Conv, Resize, receptive_field
    >>> [field.size for field in receptive_field([Resize(2), Conv(3, padding=1)])]
    [(1, 1), (2, 2)]
    """

    scale: Any
    mode: str = "nearest"

    def reads(self, ndim: int, size: Size | None) -> list[Reads]:
        if self.mode not in ("nearest", "bilinear"):
            raise ValueError(f"mode must be 'nearest' or 'bilinear', got {self.mode!r}")
        ratios = self._ratios(ndim)
        check_phases(max(up for up, _ in ratios))
        sources = _nearest if self.mode == "nearest" else _bilinear
        return [Reads(down, tuple(sources(o, up, down) for o in range(up))) for up, down in ratios]

    def output_size(self, size: Size) -> Size:
        sizes = tuple(i * up // down for i, (up, down) in zip(size, self._ratios(len(size)), strict=True))
        if min(sizes) < 1:
            raise ValueError(f"nothing is left of the size {size} at scale {self.scale}")
        return sizes

    def _ratios(self, ndim: int) -> tuple[tuple[int, int], ...]:
        return spread("scale", tuple(_ratio(entry) for entry in as_entries("scale", self.scale)), ndim)


def check_phases(count: int) -> None:
    """Refuse to list more outputs than memory and patience hold."""
    if count > MAX_PHASES:
        raise ValueError(f"{count} outputs side by side differ in what they read, expected at most {MAX_PHASES}")


def _window(layer: Conv | ConvTranspose, ndim: int) -> tuple[Size, Size, Size]:
    kernel, dilation = per_axis("kernel", layer.kernel, ndim), per_axis("dilation", layer.dilation, ndim)
    kernel_spans(kernel, dilation)
    return kernel, per_axis("stride", layer.stride, ndim), dilation


def _output_channels(layer: Conv | ConvTranspose, channels: int) -> int:
    return channels if layer.channels is None else as_int("channels", layer.channels)


def _weights(layer: Conv | ConvTranspose, channels: int, ndim: int) -> int:
    groups, outputs = as_int("groups", layer.groups), _output_channels(layer, channels)
    if channels % groups or outputs % groups:
        raise ValueError(f"groups={groups} must divide the channels, {channels} in and {outputs} out")
    return channels // groups * outputs * prod(per_axis("kernel", layer.kernel, ndim))


def _parameters(layer: Conv | ConvTranspose, channels: int, ndim: int) -> int:
    return _weights(layer, channels, ndim) + (_output_channels(layer, channels) if layer.bias else 0)


def _ratio(value: Any) -> tuple[int, int]:
    """Return a positive scale as a numerator and a denominator."""
    try:
        up, down = value.as_integer_ratio()
    except AttributeError:
        raise TypeError(f"scale takes ints, floats or Fractions, got {value!r}") from None
    except (ValueError, OverflowError):
        up, down = 0, 1  # NaN, Inf
    if up < 1 or isinstance(value, bool):
        raise ValueError(f"scale must be a finite number above 0, got {value!r}")
    return up, down


def _nearest(output: int, up: int, down: int) -> tuple[int, ...]:
    return (output * down // up,)


def _bilinear(output: int, up: int, down: int) -> tuple[int, ...]:
    below, rest = divmod((2 * output + 1) * down - up, 2 * up)
    return (below, below + 1) if rest else (below,)
