"""Arguments as users give them, checked and turned into one plain int or pair for each spatial axis."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from math import prod
from operator import index
from typing import Any, NamedTuple, TypeAlias

MAX_SIZE = 2**63 - 1  # sizes, offsets and byte counts are signed 64-bit integers below
MAX_ENTRIES = 1000  # of a sequence that is given where a few numbers are expected
SAME_RULES = ("same", "same_lower")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")  # the core's 0, 1, 2 and 3

Ints: TypeAlias = "int | Iterable[int]"
Pairs: TypeAlias = "tuple[tuple[int, int], ...]"
PadLike: TypeAlias = "int | Iterable[int | tuple[int, int]]"
Padding: TypeAlias = "PadLike | str"


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
    return tuple([as_int(name, entry, minimum) for entry in as_entries(name, value)])


def exact(name: str, value: object, depth: int = 0) -> object:
    """Return an argument as plain ints, tuples of them or a string: a cache key in which 1.0 cannot pass for 1."""
    if type(value) is int or isinstance(value, str):
        return value
    if is_sequence(value) and depth < 3:  # pairs per axis are the deepest; an np.matrix has rows of rows of rows ...
        return tuple([exact(name, entry, depth + 1) for entry in as_entries(name, value)])
    if name == "padding_mode":
        return padding_mode_rule(value)
    return _whole(name, value)


def all_exact(names: tuple[str, ...], values: tuple[object, ...]) -> tuple[object, ...]:
    """Return several arguments `exact`: at once where all are plain ints and strings, as most are."""
    for value in values:
        if type(value) is not int and type(value) is not str:
            return tuple(map(exact, names, values))
    return values


def per_axis(name: str, value: Ints, ndim: int, minimum: int = 1) -> tuple[int, ...]:
    """Return one int for each spatial axis; a single int, or a tuple of one, stands for all axes."""
    return spread(name, int_entries(name, value, minimum), ndim)


def padding_pairs(value: PadLike, ndim: int) -> Pairs:
    """Return one ``(lo, hi)`` pair for each spatial axis out of an int, ints per axis or pairs per axis."""
    return spread("padding", tuple([_pair(entry) for entry in as_entries("padding", value)]), ndim)


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


def padding_mode_rule(value: object, allowed: tuple[str, ...] = PADDING_MODES) -> str:
    """Return the padding mode, one of those that the operator knows."""
    if isinstance(value, str) and value in allowed:
        return str(value)
    if isinstance(value, str) and value in PADDING_MODES:
        raise ValueError(
            f"padding_mode={value!r} has no meaning for a transposed convolution, expected one of {allowed}"
        )
    raise ValueError(f"padding_mode must be one of {allowed}, got {value!r}")


def shuffle_factors(name: str, value: Ints, ndim: int | None) -> tuple[int, ...]:
    """Return a pixel shuffle's factor on each spatial axis: an int on `ndim` (2) of them, or a tuple with one each."""
    axes = 2 if ndim is None else as_int("ndim", ndim)
    if is_sequence(value):
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
    if stride is not None and is_sequence(stride):
        stride = as_entries("stride", stride)
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


def is_sequence(value: object) -> bool:
    return isinstance(value, (tuple, list)) or (isinstance(value, Iterable) and not isinstance(value, (str, bytes)))


def as_entries(name: str, value: Any) -> tuple[Any, ...]:
    """Return the entries of a sequence, or the one that is given; an endless one is not read to its end."""
    if not is_sequence(value):
        return (value,)
    entries = tuple(islice(value, MAX_ENTRIES + 1))
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"{name} takes one entry per axis, got a {type(value).__name__} of more than {MAX_ENTRIES}")
    return entries


def spread(name: str, entries: tuple, ndim: int) -> tuple:
    if len(entries) == 1:
        return entries * ndim
    if len(entries) != ndim:
        expected = "1" if ndim == 1 else f"1 or {ndim}"
        hint = "; a (lo, hi) pair is written ((lo, hi),)" if name == "padding" and len(entries) == 2 else ""
        raise ValueError(f"{name} has {len(entries)} entries, expected {expected} (one per spatial axis){hint}")
    return entries


def _pair(entry: object) -> tuple[int, int]:
    ends = [as_int("padding", end, 0) for end in as_entries("padding", entry)]
    if not is_sequence(entry):
        ends *= 2
    if len(ends) != 2:
        raise ValueError(f"padding takes an int or a (lo, hi) pair for each axis, got {entry!r}")
    return ends[0], ends[1]
