"""From an output size back."""

from __future__ import annotations

from .arguments import Ints, PadLike, per_axis, transposed_padding
from .rules import output_paddings
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
