"""The size of every operator's output."""

from __future__ import annotations

from typing import Any

from .arguments import (
    Ints,
    Padding,
    PadLike,
    Pairs,
    int_entries,
    is_sequence,
    padding_rule,
    per_axis,
    pool_rule,
    transposed_padding,
)
from .rules import (
    check_output_padding,
    conv_sizes,
    kernel_spans,
    pool_sizes,
    resolved_padding,
    same_pairs,
    shuffled_sizes,
    transposed_sizes,
    unshuffled_sizes,
)


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
    return as_given(kernel_size, kernel_spans(kernel, per_axis("dilation", dilation, len(kernel))))


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
    i, k, s, d = window_arguments(input_size, kernel_size, stride, dilation)
    return as_given(input_size, same_pairs(i, k, s, d, lower))


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
    i, k, s, d = window_arguments(input_size, kernel_size, stride, dilation)
    pads = resolved_padding(padding_rule(padding, len(i)), i, k, s, d)
    return as_given(input_size, conv_sizes(i, k, s, pads, d))


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
    i, k, s, d = window_arguments(input_size, kernel_size, stride, dilation)
    pads = transposed_padding(padding, len(i))
    extra = per_axis("output_padding", output_padding, len(i), 0)
    check_output_padding(extra, s, d)
    return as_given(input_size, transposed_sizes(i, k, s, pads, extra, d))


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
    return as_given(input_size, pool_sizes(size, rule))


def pixel_shuffle_output_size(input_size: Ints, upscale_factor: Ints) -> int | tuple[int, ...]:
    """Return the spatial size of a pixel shuffle's output, ``I * r``.

    Parameters
    ----------
    input_size, upscale_factor : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `input_size`.

    Returns
    -------
    int, or a tuple when `input_size` is one.

    Raises
    ------
    ValueError
        If a factor is below 1.

    References
    ----------
    ONNX operator specification, DepthToSpace.

    Examples
    --------
    >>> from fastconv.geometry import pixel_shuffle_output_size
    >>> pixel_shuffle_output_size((270, 480), 4)
    (1080, 1920)
    """
    size = int_entries("input_size", input_size, 0)
    return as_given(input_size, shuffled_sizes(size, per_axis("upscale_factor", upscale_factor, len(size))))


def pixel_unshuffle_output_size(input_size: Ints, downscale_factor: Ints) -> int | tuple[int, ...]:
    """Return the spatial size of a pixel unshuffle's output, ``I / r``.

    Parameters
    ----------
    input_size, downscale_factor : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `input_size`.

    Returns
    -------
    int, or a tuple when `input_size` is one.

    Raises
    ------
    ValueError
        If a factor does not divide the size, or is below 1.

    References
    ----------
    ONNX operator specification, SpaceToDepth.

    Examples
    --------
    >>> from fastconv.geometry import pixel_unshuffle_output_size
    >>> pixel_unshuffle_output_size((1080, 1920), 4)
    (270, 480)
    """
    size = int_entries("input_size", input_size, 0)
    return as_given(input_size, unshuffled_sizes(size, per_axis("downscale_factor", downscale_factor, len(size))))


def window_arguments(input_size: Ints, kernel_size: Ints, stride: Ints, dilation: Ints) -> list[tuple[int, ...]]:
    size = int_entries("input_size", input_size, 0)
    others = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
    return [size, *(per_axis(name, value, len(size)) for name, value in others.items())]


def as_given(size: object, per_axis_result: tuple) -> Any:
    return per_axis_result if is_sequence(size) else per_axis_result[0]
