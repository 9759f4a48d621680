"""Operators without their numbers: channels, phases, taps, and where the weights lie."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import prod
from typing import TypeAlias

from .arguments import (
    Ints,
    Padding,
    PadLike,
    Pairs,
    as_int,
    padding_mode_rule,
    padding_rule,
    per_axis,
    transposed_padding,
)
from .rules import (
    check_circle,
    check_output_padding,
    check_padding_mode,
    conv_sizes,
    kernel_spans,
    output_paddings,
    resolved_padding,
    transposed_sizes,
)

MAX_TAPS = 2**22  # of a kernel: they are listed one by one, which takes some hundred bytes each
ONE_TAP = ((0, ((0, 0),)),)  # the phases of an axis that an operator does not have

Axis: TypeAlias = "tuple[tuple[int, tuple[tuple[int, int], ...]], ...]"  # (residue, ((k, offset), ...)), ...


class Convolution:
    """A convolution, but for its numbers: channels, phases, taps, and where its weights lie.

    With an upscale `factor` it is the sub-pixel convolution: output ``(y * r + i, x * r + j)`` of channel ``m`` is
    output ``(y, x)`` of channel ``m * r * r + i * r + j`` of the plain convolution, so each residue is a phase with the
    same taps and with weights of its own. The plain convolution is the factor 1.
    """

    def __init__(
        self,
        weight_shape: tuple[int, ...],
        stride: tuple[int, ...],
        padding: Pairs | str,
        dilation: tuple[int, ...],
        groups: int,
        factor: tuple[int, ...],
        padding_mode: str = "zeros",
    ) -> None:
        _check_weight(weight_shape, dilation, groups, ("out_channels", "in_channels"))
        self.bias_channels, inputs, *kernel = self.weight_shape = weight_shape
        self.kernel = tuple(kernel)
        self.stride, self.padding, self.dilation, self.groups, self.factor = stride, padding, dilation, groups, factor
        self.padding_mode = padding_mode
        self.in_channels = inputs * groups
        self.out_channels, rest = divmod(self.bias_channels, prod(factor))
        if rest:
            raise ValueError(
                f"upscale_factor {factor} needs a multiple of {prod(factor)} output channels, "
                f"weight has {self.bias_channels}"
            )
        self.core_channels = self.out_channels // groups, inputs  # outputs (of a phase) and inputs of one group

    def splits_evenly(self) -> bool:
        """Tell whether every group fills whole output channels, so that the residues can be phases of the group."""
        return self.out_channels % self.groups == 0

    def plain(self) -> Convolution:
        """Return the convolution under the shuffle."""
        ndim = len(self.kernel)
        settings = self.stride, self.padding, self.dilation, self.groups, 1, self.padding_mode
        return convolution(ndim, self.weight_shape, *settings)

    def output(self, size: tuple[int, ...], output_size: tuple[int, ...] | None) -> tuple[tuple, tuple]:
        """Return the output's spatial size and the input position of the first window's first tap."""
        pads = resolved_padding(self.padding, size, self.kernel, self.stride, self.dilation)
        check_padding_mode(self.padding_mode, size, pads)
        coarse = conv_sizes(size, self.kernel, self.stride, pads, self.dilation)
        return tuple(o * r for o, r in zip(coarse, self.factor, strict=True)), tuple(-lo for lo, _ in pads)

    def phases(self) -> tuple[tuple[Axis, ...], tuple[int, ...], tuple[int, ...]]:
        """Return the phases on three axes, ``in_step`` and ``out_step``."""
        axes = []
        for k, d, r in zip(self.kernel, self.dilation, self.factor, strict=True):
            taps = tuple((tap, tap * d) for tap in range(k))
            axes.append(tuple((residue, taps) for residue in range(r)))
        return lift(axes, ONE_TAP), lift(self.stride, 1), lift(self.factor, 1)

    def layout(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the strides of weight (g, o, residues, c, kernel) and bias (g, o, residues), in elements."""
        row, channel, *kernel = element_strides(self.weight_shape)
        rows, area = self.bias_channels // self.groups, prod(self.factor)
        residues = lift(element_strides(self.factor), 0)
        weight = (rows * row, area * row, *(step * row for step in residues), channel, *lift(kernel, 0))
        return weight, (rows, area, *residues)


class TransposedConvolution:
    """A transposed convolution, but for its numbers: channels, phases, taps, and where its weights lie."""

    def __init__(
        self,
        weight_shape: tuple[int, ...],
        stride: tuple[int, ...],
        padding: Pairs,
        output_padding: tuple[int, ...],
        groups: int,
        dilation: tuple[int, ...],
        padding_mode: str = "zeros",
    ) -> None:
        _check_weight(weight_shape, dilation, groups, ("in_channels", "out_channels"))
        check_output_padding(output_padding, stride, dilation)
        self.in_channels, outputs, *kernel = self.weight_shape = weight_shape
        self.kernel = tuple(kernel)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.groups, self.dilation, self.padding_mode = groups, dilation, padding_mode
        self.out_channels = self.bias_channels = outputs * groups
        self.core_channels = outputs, self.in_channels // groups  # outputs and inputs of one group

    def splits_evenly(self) -> bool:
        """A group's outputs are whole channels."""
        return True

    def output(self, size: tuple[int, ...], output_size: tuple[int, ...] | None) -> tuple[tuple, tuple]:
        """Return the output's spatial size and the origin, 0: the padding is in the taps."""
        extra = self.output_padding
        if output_size is not None:
            if any(extra):
                raise ValueError(f"give output_size or output_padding, not both: got {output_size} and {extra}")
            extra = output_paddings(output_size, size, self.kernel, self.stride, self.padding, self.dilation)
        sizes = transposed_sizes(size, self.kernel, self.stride, self.padding, extra, self.dilation)
        if self.padding_mode == "circular":
            check_circle(size, sizes, self.kernel, self.stride, self.padding, self.dilation)
        return sizes, (0,) * len(size)

    def phases(self) -> tuple[tuple[Axis, ...], tuple[int, ...], tuple[int, ...]]:
        """Return the phases on three axes, ``in_step`` and ``out_step``."""
        axes = [
            transposed_taps(k, s, lo, d)
            for k, s, (lo, _), d in zip(self.kernel, self.stride, self.padding, self.dilation, strict=True)
        ]
        return lift(axes, ONE_TAP), (1, 1, 1), lift(self.stride, 1)

    def layout(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the strides of weight (g, o, residues, c, kernel) and bias (g, o, residues), in elements."""
        channel, row, *kernel = element_strides(self.weight_shape)
        outputs, inputs = self.core_channels
        return (inputs * channel, row, 0, 0, 0, channel, *lift(kernel, 0)), (outputs, 1, 0, 0, 0)


# Both are built once per set of arguments, given in the order of the user's function and made `exact`: a function call
# then costs a look-up.


@lru_cache(maxsize=256)
def convolution(
    ndim: int,
    weight_shape: tuple[int, ...],
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    upscale_factor: Ints,
    padding_mode: str = "zeros",
) -> Convolution:
    """Check the arguments of a convolution."""
    return Convolution(
        weight_shape,
        per_axis("stride", stride, ndim),
        padding_rule(padding, ndim),
        per_axis("dilation", dilation, ndim),
        as_int("groups", groups),
        per_axis("upscale_factor", upscale_factor, ndim),
        padding_mode_rule(padding_mode),
    )


@lru_cache(maxsize=256)
def transposed_convolution(
    ndim: int,
    weight_shape: tuple[int, ...],
    stride: Ints,
    padding: PadLike,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
    padding_mode: str = "zeros",
) -> TransposedConvolution:
    """Check the arguments of a transposed convolution."""
    return TransposedConvolution(
        weight_shape,
        per_axis("stride", stride, ndim),
        transposed_padding(padding, ndim),
        per_axis("output_padding", output_padding, ndim, 0),
        as_int("groups", groups),
        per_axis("dilation", dilation, ndim),
        padding_mode_rule(padding_mode, ("zeros", "circular")),
    )


def lift(values: Iterable, fill: object) -> tuple:
    """Put 1 or 2 axes at the end of the core's three (d, h, w)."""
    values = tuple(values)
    return (fill,) * (3 - len(values)) + values


def five_axes(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Return the shape of an image, with or without batch axis, as the core's (N, C, D, H, W)."""
    *batch, channels = shape[:-ndim]
    return (*(batch or (1,)), channels, *lift(shape[-ndim:], 1))


def element_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in elements, of a C-contiguous array."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def transposed_taps(kernel: int, stride: int, lo: int, dilation: int) -> Axis:
    """List the taps of each residue: output ``q * S + r`` reads input ``q + (r + P - k * d) / S`` where that is whole.

    The loop runs over the taps, not over the residues: a stride may be huge, and a residue that no tap reaches (its
    outputs are the bias alone) has no phase.
    """
    phases: dict[int, list[tuple[int, int]]] = {}
    for k in range(kernel):
        residue = (k * dilation - lo) % stride
        phases.setdefault(residue, []).append((k, (residue + lo - k * dilation) // stride))
    return tuple((residue, tuple(taps)) for residue, taps in sorted(phases.items()))


def _check_weight(shape: tuple[int, ...], dilation: tuple[int, ...], groups: int, names: tuple[str, str]) -> None:
    """Check a weight of shape ``(names[0], names[1] / groups, *kernel)``."""
    axes = len(dilation) + 2
    if len(shape) != axes:
        raise ValueError(
            f"weight has {len(shape)} axes {shape}, expected {axes}: ({names[0]}, {names[1]} / groups, *kernel)"
        )
    if not 1 <= prod(shape[2:]) <= MAX_TAPS:
        raise ValueError(f"weight has a kernel of size {shape[2:]}, expected 1 to {MAX_TAPS} entries")
    if shape[names.index("out_channels")] < 1:
        raise ValueError(f"weight has 0 output channels (shape {shape}), expected at least 1")
    if shape[0] % groups:
        raise ValueError(f"groups={groups} must divide the {shape[0]} {names[0]} of weight")
    kernel_spans(shape[2:], dilation)
