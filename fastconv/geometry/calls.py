"""The shapes of one call: of its output, and of every array as the core sees it."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

from .arguments import MAX_SIZE, Ints, PadLike, as_int, pool_rule, spread
from .operators import Convolution, TransposedConvolution, lift
from .rules import check_pool_size, pool_sizes, shuffled_sizes, unshuffled_sizes


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
    return spread("output_size", output_size, ndim)


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
        coarse = (channels * area, *unshuffled_sizes(size, factors))
        fine = (channels, *size)
    else:
        if channels % area:
            raise ValueError(f"upscale_factor {factors} needs a multiple of {area} channels, input has {channels}")
        coarse = (channels, *size)
        fine = (channels // area, *shuffled_sizes(size, factors))
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
    outputs = pool_sizes(size, rule)
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
        check_pool_size(axis, i)
    wanted = spread("output_size", output_size if isinstance(output_size, tuple) else (output_size,), ndim)
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
