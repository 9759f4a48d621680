"""Sizes, paddings, phases and taps: where an operator reads and writes, in whole numbers alone.

An operator is a list of *phases*, a phase a list of *taps*. On each spatial axis the output position
``o = q * out_step + residue`` reads the input positions ``i = q * in_step + offset + origin``, one for each tap
``(k, offset)`` of its phase, and multiplies each with entry ``k`` of the kernel. A convolution has one phase, a
transposed convolution as many as its stride, a sub-pixel convolution as many as its upscale factor.

Nothing here touches an array. Every complaint about a shape or a size is raised here, before anything is allocated.

References
----------
.. [1] V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.
.. [2] ONNX operator specification, Conv and ConvTranspose, attribute ``auto_pad``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import prod
from operator import index
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "conv_output_size",
    "conv_transpose_output_size",
    "effective_kernel_size",
    "output_padding_for",
    "pool_output_size",
    "same_padding",
]

MAX_SIZE = 2**63 - 1  # sizes, offsets and byte counts are signed 64-bit integers below
MAX_TAPS = 2**22  # of a kernel: they are listed one by one, which takes some hundred bytes each
SAME_RULES = ("same", "same_lower")
ONE_TAP = ((0, ((0, 0),)),)  # the phases of an axis that an operator does not have

Ints: TypeAlias = "int | Iterable[int]"
Pairs: TypeAlias = "tuple[tuple[int, int], ...]"
PadLike: TypeAlias = "int | Iterable[int | tuple[int, int]]"
Padding: TypeAlias = "PadLike | str"
Axis: TypeAlias = "tuple[tuple[int, tuple[tuple[int, int], ...]], ...]"  # (residue, ((k, offset), ...)), ...


# Arguments ------------------------------------------------------------------------------------------------------------


def as_int(name: str, value: object, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`. NumPy integers are welcome; bools and floats are refused."""
    number = _whole(name, value)
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    if number > MAX_SIZE:
        raise ValueError(f"{name} must be at most 2**63 - 1, got {number}")
    return number


def int_entries(name: str, value: Ints, minimum: int = 1) -> tuple[int, ...]:
    """Return the entries of a sequence, or the one int, however many there are."""
    return tuple([as_int(name, entry, minimum) for entry in _entries(value)])


def exact(name: str, value: object) -> object:
    """Return an argument as plain ints, tuples of them or a string: a cache key in which 1.0 cannot pass for 1."""
    if type(value) is int or isinstance(value, str):
        return value
    if _is_sequence(value):
        return tuple([exact(name, entry) for entry in _entries(value)])
    return _whole(name, value)


def all_exact(names: tuple[str, ...], values: tuple[object, ...]) -> tuple[object, ...]:
    """Return several arguments `exact`: at once where all are plain ints, as most are."""
    for value in values:
        if type(value) is not int:
            return tuple(map(exact, names, values))
    return values


def per_axis(name: str, value: Ints, ndim: int, minimum: int = 1) -> tuple[int, ...]:
    """Return one int for each spatial axis; a single int, or a tuple of one, stands for all axes."""
    return _spread(name, int_entries(name, value, minimum), ndim)


def padding_pairs(value: PadLike, ndim: int) -> Pairs:
    """Return one ``(lo, hi)`` pair for each spatial axis out of an int, ints per axis or pairs per axis."""
    return _spread("padding", tuple([_pair(entry) for entry in _entries(value)]), ndim)


def padding_rule(value: Padding, ndim: int) -> Pairs | str:
    """Return the ``(lo, hi)`` pairs of a convolution's padding, or the rule that needs the input size to give them."""
    if not isinstance(value, str):
        return padding_pairs(value, ndim)
    if value == "valid":
        return ((0, 0),) * ndim
    if value in SAME_RULES:
        return str(value)
    raise ValueError(f"padding must be numbers, 'valid', 'same' or 'same_lower' (in lower case), got {value!r}")


def transposed_padding(value: PadLike, ndim: int) -> Pairs:
    """Return the ``(lo, hi)`` pairs that a transposed convolution cuts off its output."""
    if not isinstance(value, str):
        return padding_pairs(value, ndim)
    raise ValueError(
        f"padding={value!r} has no meaning for a transposed convolution, where more than one size is the same: "
        "give numbers, or choose the size with output_size"
    )


def shuffle_factors(name: str, value: Ints, ndim: int | None) -> tuple[int, ...]:
    """Return a pixel shuffle's factor on each spatial axis: an int on `ndim` (2) of them, or a tuple with one each."""
    axes = 2 if ndim is None else as_int("ndim", ndim)
    if _is_sequence(value):
        factors = int_entries(name, value)
        if ndim is not None and len(factors) != axes:
            raise ValueError(f"{name} has {len(factors)} entries, but ndim is {ndim}")
        axes = len(factors)
    else:
        factors = (as_int(name, value),) * min(axes, 3)
    if not 1 <= axes <= 3:
        raise ValueError(f"{name} must cover 1, 2 or 3 spatial axes, got {axes}")
    if prod(factors) > MAX_SIZE:
        raise ValueError(f"the product of {name} {factors} is over 2**63 - 1")
    return factors


class PoolRule(NamedTuple):
    """The arguments of a pooling, one entry or pair per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    ceil_mode: bool


def pool_rule(
    ndim: int, kernel_size: Ints, stride: Ints | None, padding: PadLike, dilation: Ints, ceil_mode: bool
) -> PoolRule:
    """Check the arguments of a pooling. A stride of None, or an empty one, is the kernel size."""
    kernel = per_axis("kernel_size", kernel_size, ndim)
    if stride is not None and _is_sequence(stride):
        stride = tuple(stride)  # type: ignore[arg-type]
    steps = kernel if stride is None or stride == () else per_axis("stride", stride, ndim)
    if isinstance(padding, str):
        raise ValueError(f"padding={padding!r} has no meaning for a pooling: give numbers")
    pads = padding_pairs(padding, ndim)
    for axis, (k, ends) in enumerate(zip(kernel, pads, strict=True)):
        if max(ends) > k // 2:
            raise ValueError(f"padding must be at most half of the kernel size {k} on spatial axis {axis}, got {ends}")
    return PoolRule(kernel, steps, pads, per_axis("dilation", dilation, ndim), as_bool("ceil_mode", ceil_mode))


def as_bool(name: str, value: object) -> bool:
    """Return `value` as a bool. NumPy's bools are welcome; numbers are refused."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"{name} takes True or False, got {value!r}")
    return bool(value)


def _whole(name: str, value: object) -> int:
    try:
        if not isinstance(value, bool):
            return index(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise TypeError(f"{name} takes integers, got {value!r}")


def _is_sequence(value: object) -> bool:
    return isinstance(value, (tuple, list)) or (isinstance(value, Iterable) and not isinstance(value, (str, bytes)))


def _entries(value: Any) -> tuple[Any, ...]:
    return tuple(value) if _is_sequence(value) else (value,)


def _spread(name: str, entries: tuple, ndim: int) -> tuple:
    if len(entries) == 1:
        return entries * ndim
    if len(entries) != ndim:
        expected = "1" if ndim == 1 else f"1 or {ndim}"
        hint = "; a (lo, hi) pair is written ((lo, hi),)" if name == "padding" and len(entries) == 2 else ""
        raise ValueError(f"{name} has {len(entries)} entries, expected {expected} (one per spatial axis){hint}")
    return entries


def _pair(entry: object) -> tuple[int, int]:
    ends = [as_int("padding", end, 0) for end in _entries(entry)]
    if not _is_sequence(entry):
        ends *= 2
    if len(ends) != 2:
        raise ValueError(f"padding takes an int or a (lo, hi) pair for each axis, got {entry!r}")
    return ends[0], ends[1]


# Sizes ----------------------------------------------------------------------------------------------------------------


def effective_kernel_size(kernel_size: Ints, dilation: Ints = 1) -> int | tuple[int, ...]:
    """Return the size ``d * (K - 1) + 1`` of the field that a dilated kernel spans.

    Parameters
    ----------
    kernel_size, dilation : int or tuple of int
        Of one axis, or of every axis.

    Examples
    --------
    A 3x3 kernel at rate 2 sees as far as a 5x5 kernel:

    >>> from fastconv.geometry import effective_kernel_size
    >>> effective_kernel_size((3, 3), 2)
    (5, 5)
    """
    kernel = int_entries("kernel_size", kernel_size)
    return _as_given(kernel_size, _spans(kernel, per_axis("dilation", dilation, len(kernel))))


def same_padding(
    input_size: Ints, kernel_size: Ints, stride: Ints = 1, dilation: Ints = 1, *, lower: bool = False
) -> tuple[int, int] | Pairs:
    """Return the ``(lo, hi)`` padding for which the output has ``ceil(I / S)`` positions.

    The total is ``max(0, (ceil(I / S) - 1) * S + d * (K - 1) + 1 - I)``; when it is odd, the extra position goes to the
    end (``padding="same"``, ONNX's SAME_UPPER) or, with `lower`, to the beginning (``"same_lower"``).

    Parameters
    ----------
    input_size, kernel_size, stride, dilation : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `input_size`.
    lower : bool
        Put the odd position at the beginning.

    Returns
    -------
    (lo, hi), or one such pair per axis when `input_size` is a tuple.

    References
    ----------
    ONNX operator specification, Conv, attribute ``auto_pad``.

    Examples
    --------
    >>> from fastconv.geometry import same_padding
    >>> same_padding(7, 4)
    (1, 2)
    >>> same_padding((7, 8), 3, stride=2)
    ((1, 1), (0, 1))
    """
    i, k, s, d = _window_arguments(input_size, kernel_size, stride, dilation)
    return _as_given(input_size, _same_pairs(i, k, s, d, lower))


def conv_output_size(
    input_size: Ints, kernel_size: Ints, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1
) -> int | tuple[int, ...]:
    """Return the spatial size of a convolution's output, ``(I + p_lo + p_hi - d * (K - 1) - 1) // S + 1``.

    Parameters
    ----------
    input_size, kernel_size, stride, dilation : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `input_size`.
    padding : int, ints per axis, (lo, hi) pairs per axis, "valid", "same" or "same_lower"
        As in `fastconv.conv2d`.

    Returns
    -------
    int, or a tuple when `input_size` is one.

    Raises
    ------
    ValueError
        If the dilated kernel does not fit into the padded input.

    Examples
    --------
    >>> from fastconv.geometry import conv_output_size
    >>> conv_output_size(224, 7, stride=2, padding=3)
    112
    >>> conv_output_size((32, 48), 3, padding="same", dilation=(2, 4))
    (32, 48)
    """
    i, k, s, d = _window_arguments(input_size, kernel_size, stride, dilation)
    pads = _resolve(padding_rule(padding, len(i)), i, k, s, d)
    return _as_given(input_size, _conv_sizes(i, k, s, pads, d))


def conv_transpose_output_size(
    input_size: Ints,
    kernel_size: Ints,
    stride: Ints = 1,
    padding: PadLike = 0,
    output_padding: Ints = 0,
    dilation: Ints = 1,
) -> int | tuple[int, ...]:
    """Return the spatial size of a transposed convolution's output.

    ``O = S * (I - 1) + d * (K - 1) + 1 - p_lo - p_hi + output_padding``

    Parameters
    ----------
    input_size, kernel_size, stride, output_padding, dilation : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `input_size`.
    padding : int, ints per axis or (lo, hi) pairs per axis
        What is cut off the output.

    Returns
    -------
    int, or a tuple when `input_size` is one.

    Raises
    ------
    ValueError
        If nothing is left of the output, or if `output_padding` is not below ``max(S, d)``.

    References
    ----------
    Dumoulin and Visin, arXiv:1603.07285, section 4.

    Examples
    --------
    >>> from fastconv.geometry import conv_transpose_output_size
    >>> conv_transpose_output_size(3, 2)
    4
    >>> conv_transpose_output_size((16, 16), 3, stride=2, padding=1, output_padding=1)
    (32, 32)
    """
    i, k, s, d = _window_arguments(input_size, kernel_size, stride, dilation)
    pads = transposed_padding(padding, len(i))
    extra = per_axis("output_padding", output_padding, len(i), 0)
    _check_output_padding(extra, s, d)
    return _as_given(input_size, _transposed_sizes(i, k, s, pads, extra, d))


def pool_output_size(
    input_size: Ints,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> int | tuple[int, ...]:
    """Return the spatial size of a pooling's output, ``(I + p_lo + p_hi - d * (K - 1) - 1) // S + 1``.

    With `ceil_mode` the quotient is rounded up, so that a last window may hang over the end of the padding; but a
    window that would start in the padding at the end, or behind it, is left out.

    Parameters
    ----------
    input_size, kernel_size, dilation : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `input_size`.
    stride : int or tuple of int, optional
        The kernel size if not given.
    padding : int, ints per axis or (lo, hi) pairs per axis
        At most half of the kernel size at each end.
    ceil_mode : bool
        Round the number of windows up.

    Returns
    -------
    int, or a tuple when `input_size` is one.

    Raises
    ------
    ValueError
        If no window fits into the padded input, or a padding is over half of the kernel.

    References
    ----------
    torch.nn.MaxPool2d. ONNX operator specification, MaxPool.

    Examples
    --------
    >>> from fastconv.geometry import pool_output_size
    >>> pool_output_size(112, 3, stride=2, padding=1)
    56
    >>> pool_output_size((5, 6), 2), pool_output_size((5, 6), 2, ceil_mode=True)
    ((2, 3), (3, 3))
    """
    size = int_entries("input_size", input_size, 0)
    rule = pool_rule(len(size), kernel_size, stride, padding, dilation, ceil_mode)
    return _as_given(input_size, _pool_sizes(size, rule))


def output_padding_for(
    output_size: Ints, input_size: Ints, kernel_size: Ints, stride: Ints = 1, padding: PadLike = 0, dilation: Ints = 1
) -> int | tuple[int, ...]:
    """Return the `output_padding` with which a transposed convolution gives `output_size`.

    ``S`` input sizes of a convolution share one output size, so the transposed convolution, going back, has ``S`` sizes
    to choose from; `output_padding`, from 0 to ``max(S, d) - 1``, makes the choice.

    Parameters
    ----------
    output_size, input_size, kernel_size, stride, dilation : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `input_size`.
    padding : int, ints per axis or (lo, hi) pairs per axis
        What is cut off the output.

    Raises
    ------
    ValueError
        If no `output_padding` gives this size; the message names the sizes that can be had.

    Examples
    --------
    >>> from fastconv.geometry import output_padding_for
    >>> output_padding_for(32, 16, 3, stride=2, padding=1)
    1
    """
    i, k, s, d = _window_arguments(input_size, kernel_size, stride, dilation)
    wanted = per_axis("output_size", output_size, len(i))
    return _as_given(input_size, _output_padding(wanted, i, k, s, transposed_padding(padding, len(i)), d))


def _window_arguments(input_size: Ints, kernel_size: Ints, stride: Ints, dilation: Ints) -> list[tuple[int, ...]]:
    size = int_entries("input_size", input_size, 0)
    others = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
    return [size, *(per_axis(name, value, len(size)) for name, value in others.items())]


def _as_given(size: object, per_axis_result: tuple) -> Any:
    return per_axis_result if _is_sequence(size) else per_axis_result[0]


def _spans(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if max(spans, default=0) > MAX_SIZE:
        raise ValueError(f"a kernel of size {kernel} at dilation {dilation} spans more than 2**63 - 1 positions")
    return spans


def _same_pairs(size: tuple, kernel: tuple, stride: tuple, dilation: tuple, lower: bool) -> Pairs:
    pairs = []
    for i, span, s in zip(size, _spans(kernel, dilation), stride, strict=True):
        total = max(0, (-(-i // s) - 1) * s + span - i)
        half = total // 2
        pairs.append((total - half, half) if lower else (half, total - half))
    return tuple(pairs)


def _resolve(padding: Pairs | str, size: tuple, kernel: tuple, stride: tuple, dilation: tuple) -> Pairs:
    if isinstance(padding, str):
        return _same_pairs(size, kernel, stride, dilation, padding == "same_lower")
    return padding


def _conv_sizes(size: tuple, kernel: tuple, stride: tuple, pads: Pairs, dilation: tuple) -> tuple[int, ...]:
    outputs = []
    for axis, (i, span, s, (lo, hi)) in enumerate(zip(size, _spans(kernel, dilation), stride, pads, strict=True)):
        padded = i + lo + hi
        if padded > MAX_SIZE:
            raise ValueError(f"padding {(lo, hi)} makes spatial axis {axis} of the input longer than 2**63 - 1")
        if span > padded:
            raise ValueError(
                f"kernel is larger than the padded input on spatial axis {axis}: it spans {span} positions (size "
                f"{kernel[axis]}, dilation {dilation[axis]}), the input has {padded} (size {i}, padding {(lo, hi)})"
            )
        outputs.append((padded - span) // s + 1)
    return tuple(outputs)


def _pool_sizes(size: tuple[int, ...], rule: PoolRule) -> tuple[int, ...]:
    spans = _spans(rule.kernel, rule.dilation)
    outputs = []
    for axis, (i, span, s, (lo, hi)) in enumerate(zip(size, spans, rule.stride, rule.padding, strict=True)):
        padded = i + lo + hi
        if padded > MAX_SIZE:
            raise ValueError(f"padding {(lo, hi)} makes spatial axis {axis} of the input longer than 2**63 - 1")
        _check_pool_size(axis, i)
        room = padded - span + (s - 1 if rule.ceil_mode else 0)
        if room < 0:
            raise ValueError(
                f"kernel is larger than the padded input on spatial axis {axis}: it spans {span} positions (size "
                f"{rule.kernel[axis]}, dilation {rule.dilation[axis]}), the input has {padded} (size {i}, padding "
                f"{(lo, hi)})"
            )
        count = room // s + 1
        outputs.append(count - 1 if rule.ceil_mode and (count - 1) * s >= i + lo else count)
    return tuple(outputs)


def _check_pool_size(axis: int, size: int) -> None:
    if size < 1:
        raise ValueError(f"input has size {size} on spatial axis {axis}, expected at least 1: a window needs an entry")


def _transposed_sizes(
    size: tuple, kernel: tuple, stride: tuple, pads: Pairs, extra: tuple, dilation: tuple
) -> tuple[int, ...]:
    outputs = []
    spans = _spans(kernel, dilation)
    for axis, (i, span, s, (lo, hi), e) in enumerate(zip(size, spans, stride, pads, extra, strict=True)):
        full = s * (i - 1) + span + e
        if full > MAX_SIZE:
            raise ValueError(f"output of size {full} on spatial axis {axis} is over 2**63 - 1 (input {i}, stride {s})")
        if full - lo - hi < 1:
            raise ValueError(
                f"nothing is left of the output on spatial axis {axis}: size {full} less padding {(lo, hi)} is "
                f"{full - lo - hi} (input {i}, kernel {kernel[axis]}, stride {s}, dilation {dilation[axis]})"
            )
        outputs.append(full - lo - hi)
    return tuple(outputs)


def _check_output_padding(extra: tuple, stride: tuple, dilation: tuple) -> None:
    for axis, (e, s, d) in enumerate(zip(extra, stride, dilation, strict=True)):
        if e >= max(s, d):
            raise ValueError(
                f"output_padding must be below max(stride, dilation) = {max(s, d)} on spatial axis {axis}, got {e}"
            )


def _output_padding(
    wanted: tuple, size: tuple, kernel: tuple, stride: tuple, pads: Pairs, dilation: tuple
) -> tuple[int, ...]:
    extra = []
    for axis, (o, i, span, s, (lo, hi), d) in enumerate(
        zip(wanted, size, _spans(kernel, dilation), stride, pads, dilation, strict=True)
    ):
        least = s * (i - 1) + span - lo - hi
        most = least + max(s, d) - 1
        if not least <= o <= most:
            raise ValueError(f"output_size on spatial axis {axis} must be from {least} to {most}, got {o}")
        extra.append(o - least)
    return tuple(extra)


# Operators ------------------------------------------------------------------------------------------------------------


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
    ) -> None:
        _check_weight(weight_shape, dilation, groups, ("out_channels", "in_channels"))
        self.bias_channels, inputs, *kernel = self.weight_shape = weight_shape
        self.kernel = tuple(kernel)
        self.stride, self.padding, self.dilation, self.groups, self.factor = stride, padding, dilation, groups, factor
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
        return convolution(ndim, self.weight_shape, self.stride, self.padding, self.dilation, self.groups, 1)

    def output(self, size: tuple[int, ...], output_size: tuple[int, ...] | None) -> tuple[tuple, tuple]:
        """Return the output's spatial size and the input position of the first window's first tap."""
        pads = _resolve(self.padding, size, self.kernel, self.stride, self.dilation)
        coarse = _conv_sizes(size, self.kernel, self.stride, pads, self.dilation)
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
    ) -> None:
        _check_weight(weight_shape, dilation, groups, ("in_channels", "out_channels"))
        _check_output_padding(output_padding, stride, dilation)
        self.in_channels, outputs, *kernel = self.weight_shape = weight_shape
        self.kernel = tuple(kernel)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.groups, self.dilation = groups, dilation
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
            extra = _output_padding(output_size, size, self.kernel, self.stride, self.padding, self.dilation)
        sizes = _transposed_sizes(size, self.kernel, self.stride, self.padding, extra, self.dilation)
        return sizes, (0,) * len(size)

    def phases(self) -> tuple[tuple[Axis, ...], tuple[int, ...], tuple[int, ...]]:
        """Return the phases on three axes, ``in_step`` and ``out_step``."""
        axes = [
            _transposed_taps(k, s, lo, d)
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
) -> Convolution:
    """Check the arguments of a convolution."""
    return Convolution(
        weight_shape,
        per_axis("stride", stride, ndim),
        padding_rule(padding, ndim),
        per_axis("dilation", dilation, ndim),
        as_int("groups", groups),
        per_axis("upscale_factor", upscale_factor, ndim),
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
) -> TransposedConvolution:
    """Check the arguments of a transposed convolution."""
    return TransposedConvolution(
        weight_shape,
        per_axis("stride", stride, ndim),
        transposed_padding(padding, ndim),
        per_axis("output_padding", output_padding, ndim, 0),
        as_int("groups", groups),
        per_axis("dilation", dilation, ndim),
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


def _transposed_taps(kernel: int, stride: int, lo: int, dilation: int) -> Axis:
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
    _spans(shape[2:], dilation)


# Calls ----------------------------------------------------------------------------------------------------------------


class Placement(NamedTuple):
    """Where the arrays of one call lie."""

    shape: tuple[int, ...]  # of the output, with or without the batch axis, as the input has it
    origin: tuple[int, int, int]
    lift: tuple  # the index that turns input and output into (N, C, D, H, W)


@lru_cache(maxsize=1024)
def placement(
    operator: Convolution | TransposedConvolution,
    shape: tuple[int, ...],
    itemsize: int,
    output_size: tuple[int, ...] | None,
) -> Placement:
    """Check an input's shape against an operator; return the output's shape and how the core sees both."""
    ndim = len(operator.kernel)
    if len(shape) not in (ndim + 1, ndim + 2):
        raise ValueError(f"input has {len(shape)} axes {shape}, expected {ndim + 1} or {ndim + 2}: ([N,] C, *spatial)")
    *batch, channels = shape[:-ndim]
    _check_channels(operator, channels)
    if output_size is not None:
        output_size = _spatial(output_size, (*batch, operator.out_channels), ndim)
    size, origin = operator.output(shape[-ndim:], output_size)
    output = (*batch, operator.out_channels, *size)
    check_bytes("output", output, itemsize)
    return Placement(output, lift(origin, 0), _lift_index(len(batch), ndim))


def _lift_index(batch_axes: int, ndim: int) -> tuple:
    """Return the index that turns an image, with or without batch axis, into the core's (N, C, D, H, W)."""
    return (*(slice(None),) * batch_axes, *(None,) * (1 - batch_axes), slice(None), *(None,) * (3 - ndim))


def check_bias(shape: tuple[int, ...], channels: int) -> None:
    """Check that there is one bias per output channel."""
    if shape != (channels,):
        raise ValueError(f"bias has shape {shape}, expected {(channels,)}: one for each output channel")


def check_bytes(name: str, shape: tuple[int, ...], itemsize: int) -> None:
    """Check that the bytes of an array can be counted. An axis of size 0 does not excuse the others, as in NumPy."""
    if prod(size for size in shape if size) * itemsize > MAX_SIZE:
        raise ValueError(f"{name} of shape {shape} with {itemsize} bytes per entry is over 2**63 - 1 bytes")


def _check_channels(operator: Convolution | TransposedConvolution, channels: int) -> None:
    if channels != operator.in_channels:
        groups, (_, expected) = operator.groups, operator.core_channels
        total = f" (groups={groups}, so {operator.in_channels} in all)" if groups > 1 else ""
        raise ValueError(f"weight expects {expected} input channels per group, input has {channels}{total}")


def _spatial(output_size: tuple[int, ...], leading: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Take the spatial part of `output_size`, which may be a full shape."""
    if len(output_size) == len(leading) + ndim and output_size[:-ndim] == leading:
        return output_size[-ndim:]
    if len(output_size) not in (1, ndim):
        raise ValueError(f"output_size {output_size} is neither a spatial size of {ndim} axes nor {leading} and one")
    return _spread("output_size", output_size, ndim)


class ShuffleGeometry(NamedTuple):
    """The shapes of one pixel shuffle or unshuffle: of its result, and of both sides with the core's five axes."""

    shape: tuple[int, ...]
    coarse: tuple[int, ...]  # (leading, C * fd * fh * fw, D, H, W)
    fine: tuple[int, ...]  # (leading, C, D * fd, H * fh, W * fw)
    factors: tuple[int, int, int]


@lru_cache(maxsize=1024)
def shuffle_geometry(shape: tuple[int, ...], factors: tuple[int, ...], itemsize: int, undo: bool) -> ShuffleGeometry:
    """Check an input's shape against the factors; return the shapes on both sides of the shuffle."""
    ndim, area = len(factors), prod(factors)
    if len(shape) < ndim + 1:
        raise ValueError(f"input has {len(shape)} axes {shape}, expected {ndim + 1} or more: (..., C, *spatial)")
    leading, channels, size = shape[: -ndim - 1], shape[-ndim - 1], shape[-ndim:]
    if undo:
        if any(s % f for s, f in zip(size, factors, strict=True)):
            raise ValueError(f"downscale_factor {factors} must divide the spatial size {size} of input")
        coarse = (channels * area, *(s // f for s, f in zip(size, factors, strict=True)))
        fine = (channels, *size)
    else:
        if channels % area:
            raise ValueError(f"upscale_factor {factors} needs a multiple of {area} channels, input has {channels}")
        coarse = (channels, *size)
        fine = (channels // area, *(s * f for s, f in zip(size, factors, strict=True)))
    result = (*leading, *(coarse if undo else fine))
    check_bytes("output", result, itemsize)
    count = prod(leading)
    coarse, fine = ((count, side[0], *lift(side[1:], 1)) for side in (coarse, fine))
    return ShuffleGeometry(result, coarse, fine, lift(factors, 1))


class Windows(NamedTuple):
    """The windows of one spatial axis: o is taps ``o * stride - lo + k * step``, k < kernel, cut at the input's ends.

    An adaptive axis has windows from ``o * size // out`` to ``ceil((o + 1) * size / out)`` instead.
    """

    size: int
    out: int
    kernel: int
    stride: int
    lo: int
    hi: int
    step: int
    adaptive: int


class PoolGeometry(NamedTuple):
    """The shapes of one pooling, and its windows on the core's three axes."""

    shape: tuple[int, ...]  # of the output
    lift: tuple  # the index that turns input and output into (N, C, D, H, W)
    windows: tuple[Windows, Windows, Windows]
    row: tuple[Windows, Windows, Windows] | None  # where every window is a whole image: those of all images in one row
    planes: int  # how many of the output's last axes must lie side by side


ONE_WINDOW = Windows(1, 1, 1, 1, 0, 0, 1, 0)


@lru_cache(maxsize=1024)
def pool_geometry(
    ndim: int,
    shape: tuple[int, ...],
    itemsize: int,
    kernel_size: Ints,
    stride: Ints | None,
    padding: PadLike,
    dilation: Ints,
    ceil_mode: bool,
) -> PoolGeometry:
    """Check the arguments of a pooling and its input's shape."""
    rule = pool_rule(ndim, kernel_size, stride, padding, dilation, ceil_mode)
    size = _pool_input(shape, ndim)
    outputs = _pool_sizes(size, rule)
    windows = [
        _windows(*axis)
        for axis in zip(size, outputs, rule.kernel, rule.stride, rule.padding, rule.dilation, strict=True)
    ]
    return _pool_geometry(shape, itemsize, windows)


@lru_cache(maxsize=1024)
def adaptive_geometry(
    ndim: int, shape: tuple[int, ...], itemsize: int, output_size: int | tuple[int | None, ...] | None
) -> PoolGeometry:
    """Check the arguments of an adaptive pooling and its input's shape. None stands for the input's size."""
    size = _pool_input(shape, ndim)
    for axis, i in enumerate(size):
        _check_pool_size(axis, i)
    wanted = _spread("output_size", output_size if isinstance(output_size, tuple) else (output_size,), ndim)
    outputs = [i if o is None else as_int("output_size", o, 0) for i, o in zip(size, wanted, strict=True)]
    windows = []
    for i, o in zip(size, outputs, strict=True):
        even = o > 0 and i % o == 0
        windows.append(_windows(i, o, i // o, i // o, (0, 0), 1) if even else Windows(i, o, 1, 1, 0, 0, 1, 1))
    return _pool_geometry(shape, itemsize, windows)


def _pool_input(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    if len(shape) not in (ndim + 1, ndim + 2):
        raise ValueError(f"input has {len(shape)} axes {shape}, expected {ndim + 1} or {ndim + 2}: ([N,] C, *spatial)")
    return shape[-ndim:]


def _windows(size: int, out: int, kernel: int, stride: int, pads: tuple[int, int], step: int) -> Windows:
    """Describe an axis without taps that no window can use: whatever was asked for, no number is beyond the padding."""
    lo, hi = pads
    kernel = min(kernel, -(-(size + lo + hi) // step))
    return Windows(size, out, kernel, stride if out > 1 else 1, lo, hi, step if kernel > 1 else 1, 0)


def _pool_geometry(shape: tuple[int, ...], itemsize: int, windows: list[Windows]) -> PoolGeometry:
    ndim = len(windows)
    output = (*shape[:-ndim], *(axis.out for axis in windows))
    check_bytes("output", output, itemsize)
    images, size, row = prod(shape[:-ndim]), prod(shape[-ndim:]), None
    if all((axis.out, axis.kernel, axis.lo, axis.hi) == (1, axis.size, 0, 0) for axis in windows):
        row = (ONE_WINDOW, ONE_WINDOW, Windows(images * size, images, size, size, 0, 0, 1, 0))
    planes = len(shape) if row else ndim
    lift_index = _lift_index(len(shape) - ndim - 1, ndim)
    return PoolGeometry(output, lift_index, lift(windows, ONE_WINDOW), row, planes)
