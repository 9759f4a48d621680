"""From an output size back."""

from __future__ import annotations

from .arguments import Ints, Padding, PadLike, int_entries, padding_rule, per_axis, pool_rule, transposed_padding
from .rules import kernel_spans, output_paddings
from .sizes import as_given, window_arguments


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
    i, k, s, d = window_arguments(input_size, kernel_size, stride, dilation)
    wanted = per_axis("output_size", output_size, len(i))
    return as_given(input_size, output_paddings(wanted, i, k, s, transposed_padding(padding, len(i)), d))


def conv_input_sizes(
    output_size: Ints, kernel_size: Ints, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1
) -> range | tuple[range, ...]:
    """Return the input sizes of which a convolution makes `output_size`: up to ``S`` of them, side by side.

    The first is ``S * (O - 1) + d * (K - 1) + 1 - p_lo - p_hi``; with padding "same" it is ``S * (O - 1) + 1``.

    Parameters
    ----------
    output_size, kernel_size, stride, dilation : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `output_size`.
    padding : int, ints per axis, (lo, hi) pairs per axis, "valid", "same" or "same_lower"
        As in `fastconv.conv2d`.

    Returns
    -------
    range, or a tuple of them when `output_size` is one; empty if the padding alone makes more.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    Dumoulin and Visin, arXiv:1603.07285, section 4.

    Examples
    --------
    >>> from fastconv.geometry import conv_input_sizes
    >>> conv_input_sizes(112, 7, stride=2, padding=3)
    range(223, 225)
    """
    o, k, s, d = _backward_arguments(output_size, kernel_size, stride, dilation)
    spans, pads = kernel_spans(k, d), padding_rule(padding, len(o))
    if isinstance(pads, str):  # the padding makes up for the span
        spans, pads = (1,) * len(o), ((0, 0),) * len(o)
    axes = []
    for outputs, span, step, (lo, hi) in zip(o, spans, s, pads, strict=True):
        least = step * (outputs - 1) + span - lo - hi
        axes.append(range(max(least, 0), max(least + step, 0)))
    return as_given(output_size, tuple(axes))


def conv_transpose_input_sizes(
    output_size: Ints, kernel_size: Ints, stride: Ints = 1, padding: PadLike = 0, dilation: Ints = 1
) -> range | tuple[range, ...]:
    """Return the input sizes of which a transposed convolution makes `output_size` with some `output_padding`.

    They are those ``I`` for which ``S * (I - 1) + d * (K - 1) + 1 - p_lo - p_hi`` is `output_size` or below it by less
    than ``max(S, d)``; `output_padding_for` gives the difference.

    Parameters
    ----------
    output_size, kernel_size, stride, dilation : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `output_size`.
    padding : int, ints per axis or (lo, hi) pairs per axis
        What is cut off the output.

    Returns
    -------
    range, or a tuple of them when `output_size` is one; empty if there are none.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    Dumoulin and Visin, arXiv:1603.07285, section 4.

    Examples
    --------
    >>> from fastconv.geometry import conv_transpose_input_sizes, output_padding_for
    >>> conv_transpose_input_sizes(32, 3, stride=2, padding=1)
    range(16, 17)
    >>> output_padding_for(32, 16, 3, stride=2, padding=1)
    1
    """
    o, k, s, d = _backward_arguments(output_size, kernel_size, stride, dilation)
    axes = []
    for outputs, span, step, (lo, hi), rate in zip(
        o, kernel_spans(k, d), s, transposed_padding(padding, len(o)), d, strict=True
    ):
        room = outputs + lo + hi - span
        axes.append(range(max(-((max(step, rate) - 1 - room) // step) + 1, 0), max(room // step + 2, 0)))
    return as_given(output_size, tuple(axes))


def pool_input_sizes(
    output_size: Ints,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: PadLike = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> range | tuple[range, ...]:
    """Return the input sizes of which a pooling makes `output_size`.

    The first is the least that has room for window ``O - 1``: ``S * (O - 1) + d * (K - 1) + 1 - p_lo - p_hi``; with
    `ceil_mode` the window may hang over by ``S - 1``, but has to start before the padding at the end.

    Parameters
    ----------
    output_size, kernel_size, dilation : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `output_size`.
    stride : int or tuple of int, optional
        The kernel size if not given.
    padding : int, ints per axis or (lo, hi) pairs per axis
        At most half of the kernel size at each end.
    ceil_mode : bool
        Round the number of windows up.

    Returns
    -------
    range, or a tuple of them when `output_size` is one; empty if there are none.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    torch.nn.MaxPool2d.

    Examples
    --------
    >>> from fastconv.geometry import pool_input_sizes
    >>> pool_input_sizes(56, 3, stride=2, padding=1), pool_input_sizes(3, 2, ceil_mode=True)
    (range(111, 113), range(5, 7))
    """
    o = int_entries("output_size", output_size)
    rule = pool_rule(len(o), kernel_size, stride, padding, dilation, ceil_mode)
    axes = []
    for outputs, span, step, (lo, hi) in zip(
        o, kernel_spans(rule.kernel, rule.dilation), rule.stride, rule.padding, strict=True
    ):
        over = min(step - 1, span - hi - 1) if ceil_mode else 0  # how far the last window may hang over
        least = step * (outputs - 1) + span - over - lo - hi
        axes.append(range(max(least, 1), max(least + step, 1)))
    return as_given(output_size, tuple(axes))


def _backward_arguments(output_size: Ints, kernel_size: Ints, stride: Ints, dilation: Ints) -> list[tuple[int, ...]]:
    size = int_entries("output_size", output_size)
    return [size, *window_arguments(size, kernel_size, stride, dilation)[1:]]
