"""Gridding and checkerboards, against pixels marked one by one and sums of ones."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from fastconv.geometry import Conv, checkerboard_score, gridding_holes, overlap_counts, receptive_field

RATES = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)


@given(rates=RATES, kernel=st.integers(1, 4))
def test_holes_are_the_pixels_that_no_path_reads(rates, kernel):
    field = receptive_field([Conv(kernel, dilation=d) for d in rates], ndim=1)[-1].size[0]
    x = np.eye(field)[:, None]  # an image for each pixel of the field; one output is left of each
    for d in rates:
        x = reference.conv(x, np.ones((1, 1, kernel)), None, 1, 0, d)
    assert x.shape == (field, 1, 1)
    assert gridding_holes(rates, kernel) == tuple(np.flatnonzero(x[:, 0, 0] == 0))


def test_known_rates():
    """Wang et al., arXiv:1702.08502, section 3.2: rates 2, 2, 2 leave holes, and so do 1, 2, 9; 1, 2, 5 do not."""
    assert gridding_holes((2, 2, 2)) == tuple(range(1, 13, 2))  # of 13: in an image 49 pixels of 169 are read
    assert gridding_holes((1, 2, 5)) == ()
    assert gridding_holes((1, 2, 9)) == (7, 8, 16, 17)
    assert gridding_holes(2) == (1, 3)
    assert gridding_holes((1, 4), (4, 2)) == ()


@given(rates=RATES, factor=st.integers(2, 5))
def test_a_common_factor_leaves_holes(rates, factor):
    holes = gridding_holes([factor * d for d in rates])
    assert {p for p in range(2 * factor * sum(rates) + 1) if p % factor} <= set(holes)


def test_large_fields():
    assert gridding_holes(1, 2**22) == ()
    with pytest.raises(ValueError, match=str(2**22)):
        gridding_holes(1, 2**22 + 1)
    with pytest.raises(ValueError, match="dilation"):
        gridding_holes((1, 0))
    with pytest.raises(ValueError, match="kernel_size"):
        gridding_holes((1, 2), (3, 3, 3))


@given(
    kernel=st.integers(1, 9),
    stride=st.integers(1, 6),
    dilation=st.integers(1, 5),
    padding=st.integers(0, 3),
)
def test_overlaps_are_the_sums_of_ones(kernel, stride, dilation, padding):
    y = reference.conv_transpose(np.ones((1, 1, 60)), np.ones((1, 1, kernel)), None, stride, padding, dilation=dilation)
    inside = 40 * stride  # 8 taps at dilation 5 reach back 40 outputs: no border is near
    phases = y[0, 0, inside - padding :][:stride]
    assert overlap_counts(kernel, stride, dilation) == tuple(phases)
    most, least = max(phases), min(phases)
    assert checkerboard_score(kernel, stride, dilation) == (most - least) / (most + least)


def test_known_checkerboards():
    """Odena et al., Distill 2016: a kernel that the stride divides is even; in an image the counts multiply."""
    assert overlap_counts((3, 4), (2, 2)) == ((2, 1), (2, 2))
    assert checkerboard_score(4, 2) == checkerboard_score((4, 6), 2) == checkerboard_score(5) == 0
    assert checkerboard_score((3, 3), 2) == (4 - 1) / (4 + 1)
    assert checkerboard_score((5, 5), 2) == (9 - 4) / (9 + 4)
    assert checkerboard_score(2, 3) == checkerboard_score(4, 2, 2) == 1  # some outputs are reached by nothing
    assert overlap_counts(2**60, 3) == (2**60 // 3 + 1, 2**60 // 3, 2**60 // 3)
    for bad in ({"stride": 0}, {"stride": 2**40}, {"dilation": 0}, {"kernel_size": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            checkerboard_score(**{"kernel_size": 3, **bad})
