"""Two artifacts that sizes alone foretell: the gridding of dilated, the checkerboard of transposed convolutions."""

from __future__ import annotations

from math import gcd, prod

from .arguments import Ints, int_entries, per_axis, spread
from .operators import MAX_TAPS
from .rules import kernel_spans
from .sizes import as_given


def gridding_holes(dilation: Ints, kernel_size: Ints = 3) -> tuple[int, ...]:
    """Return the positions inside the receptive field of a stack of dilated convolutions that its output never reads.

    The output reads the positions ``k_1 * d_1 + k_2 * d_2 + ...`` with every ``0 <= k_l < K_l`` of a field of
    ``1 + sum of d_l * (K_l - 1)``. Rates with a common factor leave holes: neighbouring outputs then depend on
    different inputs, and a grid shows. In an image a pixel is read if it is on each axis.

    Parameters
    ----------
    dilation : int or tuple of int
        The rate of each layer, all at stride 1.
    kernel_size : int or tuple of int
        Of every layer, or of each.

    Returns
    -------
    tuple of int
        Positions on one axis, 0 the first one read; empty if every one is read.

    Raises
    ------
    ValueError
        If a rate or size is below 1, or the field spans more than 2**22 positions.

    References
    ----------
    P. Wang et al., "Understanding convolution for semantic segmentation", 2018, arXiv:1702.08502.

    Examples
    --------
    >>> from fastconv.geometry import gridding_holes
    >>> gridding_holes((2, 2, 2))
    (1, 3, 5, 7, 9, 11)
    >>> gridding_holes((1, 2, 5))
    ()
    """
    rates = int_entries("dilation", dilation)
    kernel = spread("kernel_size", int_entries("kernel_size", kernel_size), len(rates))
    field = 1 + sum(d * (k - 1) for d, k in zip(rates, kernel, strict=True))
    if field > MAX_TAPS:
        raise ValueError(f"the field spans {field} positions, expected at most {MAX_TAPS}")
    read = 1  # bit i: position i is read
    for d, k in zip(rates, kernel, strict=True):
        taps = 1
        while taps < k:  # as many again, until there are k of them
            more = min(taps, k - taps)
            read |= read << (more * d)
            taps += more
    return tuple(position for position, bit in enumerate(bin(read)[:1:-1]) if bit == "0")


def overlap_counts(
    kernel_size: Ints, stride: Ints = 1, dilation: Ints = 1
) -> tuple[int, ...] | tuple[tuple[int, ...], ...]:
    """Return how many taps of a transposed convolution reach the outputs of each phase.

    Output ``q * S + r`` adds up as many inputs as there are ``0 <= k < K`` with ``k * d = r`` modulo S. Padding turns
    the phases round, but does not change the counts.

    Parameters
    ----------
    kernel_size, stride, dilation : int or tuple of int
        Of one axis, or of every axis. An int or a tuple of one stands for every axis of `kernel_size`.

    Returns
    -------
    tuple of int
        A count for each of the S phases, or a tuple of them per axis when `kernel_size` is one.

    Raises
    ------
    ValueError
        If an argument is below 1, or a stride over 2**22.

    References
    ----------
    A. Odena, V. Dumoulin and C. Olah, "Deconvolution and checkerboard artifacts", Distill, 2016,
    doi:10.23915/distill.00003.

    Examples
    --------
    >>> from fastconv.geometry import overlap_counts
    >>> overlap_counts(3, stride=2), overlap_counts(4, stride=2)
    ((2, 1), (2, 2))
    """
    return as_given(kernel_size, _overlaps(kernel_size, stride, dilation))


def checkerboard_score(kernel_size: Ints, stride: Ints = 1, dilation: Ints = 1) -> float:
    """Return how uneven a transposed convolution is by its sizes alone, from 0 (even) to 1 (some outputs get nothing).

    It is the contrast ``(most - least) / (most + least)`` among the `overlap_counts`: of the pattern that equal weights
    make of a constant image. A kernel size that is a multiple of the stride scores 0; what remains then is up to the
    weights. Cures: such a size, a resize before a convolution, or a sub-pixel convolution that begins with
    `fastconv.icnr`.

    Parameters
    ----------
    kernel_size, stride, dilation : int or tuple of int
        Of one axis, or of every axis: an output of an image is reached by the product of the counts of its axes. An int
        or a tuple of one stands for every axis of `kernel_size`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument is below 1, or a stride over 2**22.

    References
    ----------
    A. Odena, V. Dumoulin and C. Olah, "Deconvolution and checkerboard artifacts", Distill, 2016,
    doi:10.23915/distill.00003.

    Examples
    --------
    In a row of pixels and in an image:

    >>> from fastconv.geometry import checkerboard_score
    >>> round(checkerboard_score(3, stride=2), 2), checkerboard_score((3, 3), stride=2)
    (0.33, 0.6)
    >>> checkerboard_score((4, 4), stride=2)
    0.0
    """
    axes = _overlaps(kernel_size, stride, dilation)
    most, least = prod(max(counts) for counts in axes), prod(min(counts) for counts in axes)
    return (most - least) / (most + least)


def _overlaps(kernel_size: Ints, stride: Ints, dilation: Ints) -> tuple[tuple[int, ...], ...]:
    kernel = int_entries("kernel_size", kernel_size)
    stride, dilation = per_axis("stride", stride, len(kernel)), per_axis("dilation", dilation, len(kernel))
    kernel_spans(kernel, dilation)
    if max(stride, default=1) > MAX_TAPS:
        raise ValueError(f"stride must be at most {MAX_TAPS}, got {stride}")
    return tuple(_axis_overlaps(*axis) for axis in zip(kernel, stride, dilation, strict=True))


def _axis_overlaps(kernel: int, stride: int, dilation: int) -> tuple[int, ...]:
    reached = stride // gcd(stride, dilation)  # phases; the taps go round them, one after the other
    counts = [0] * stride
    for k in range(min(kernel, reached)):
        counts[k * dilation % stride] = (kernel - k - 1) // reached + 1
    return tuple(counts)
