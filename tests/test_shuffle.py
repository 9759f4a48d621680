"""pixel_shuffle and pixel_unshuffle: every dtype, any leading axes, one to three spatial axes, both orders."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import SHUFFLE_DTYPES, random_bytes, shuffle_cases
from tolerances import assert_same_bits

import fastconv


@given(c=shuffle_cases())
def test_random_shuffles(c, isa, threads):
    got = fastconv.pixel_shuffle(c.coarse, c.factors, order=c.order)
    assert_same_bits(got, reference.pixel_shuffle(c.coarse, c.factors, c.order))


@given(c=shuffle_cases())
def test_random_unshuffles(c, isa, threads):
    fine = reference.pixel_shuffle(c.coarse, c.factors, c.order)
    assert_same_bits(fastconv.pixel_unshuffle(fine, c.factors, order=c.order), c.coarse)


@given(c=shuffle_cases(), undo=st.booleans())
def test_out(c, undo):
    """`out` with its rows apart: written where it should be, and nowhere else."""
    fine = reference.pixel_shuffle(c.coarse, c.factors, c.order)
    x, expected = (fine, c.coarse) if undo else (c.coarse, fine)
    function = fastconv.pixel_unshuffle if undo else fastconv.pixel_shuffle
    wide = random_bytes(np.random.default_rng(c.seed + 1), (*expected.shape[:-1], 2 * expected.shape[-1]), c.dtype)
    before, out = wide.copy(), wide[..., ::2]
    assert function(x, c.factors, order=c.order, out=out) is out
    assert_same_bits(out.copy(), expected)
    assert_same_bits(wide[..., 1::2].copy(), before[..., 1::2].copy())
    fresh = np.empty_like(expected)
    assert function(x, c.factors, order=c.order, out=fresh) is fresh
    assert_same_bits(fresh, expected)


# The layers of the field: sub-pixel layers x2, x3, x4 on rows that end inside, at and past a vector.
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "complex128", "V3"])
@pytest.mark.parametrize("factor", [2, 3, 4, 5, 8])
def test_every_row_edge(factor, dtype, isa):
    rng = np.random.default_rng(factor)
    for size in (*range(1, 36), 63, 64, 65, 127, 128, 129):
        x = random_bytes(rng, (2 * factor**2, 2, size), dtype)
        y = fastconv.pixel_shuffle(x, factor)
        assert_same_bits(y, reference.pixel_shuffle(x, (factor, factor)))
        assert_same_bits(fastconv.pixel_unshuffle(y, factor), x)


@pytest.mark.parametrize("order", ["crd", "dcr"])
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2, 64, 61, 67), "uint8"),
        ((2, 64, 61, 67), "float32"),
        ((1, 1024, 9, 40), "float64"),
        ((16, 1100, 1001), "float32"),  # 70 MB: past any cache, where stores may take another path
    ],
)
def test_larger_images(shape, dtype, order, isa, threads):
    x = random_bytes(np.random.default_rng(0), shape, dtype)
    y = fastconv.pixel_shuffle(x, 4, order=order)
    assert_same_bits(y, reference.pixel_shuffle(x, (4, 4), order))
    assert_same_bits(fastconv.pixel_unshuffle(y, 4, order=order), x)


@pytest.mark.parametrize("dtype", SHUFFLE_DTYPES)
def test_dtype_is_kept_exactly(dtype):
    x = random_bytes(np.random.default_rng(0), (4, 3, 5), dtype)
    y = fastconv.pixel_shuffle(x, 2)
    assert y.dtype == np.dtype(dtype)
    assert y.dtype.byteorder == x.dtype.byteorder


def test_objects_are_counted():
    """References are moved by NumPy, which keeps their counts: every object appears once and lives on."""
    import sys

    marks = [object() for _ in range(8)]
    x = np.array(marks, object).reshape(4, 1, 2)
    counts = [sys.getrefcount(mark) for mark in marks]
    y = fastconv.pixel_shuffle(x, 2)
    assert y.dtype == object
    assert (y == reference.pixel_shuffle(x, (2, 2))).all()
    assert (fastconv.pixel_unshuffle(y, 2) == x).all()
    del y
    assert [sys.getrefcount(mark) for mark in marks] == counts


@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 4, 3, 5), (2, 3, 4, 3, 5), (1, 2, 3, 4, 3, 5)])
def test_any_leading_axes(shape):
    x = np.arange(np.prod(shape)).reshape(shape)
    y = fastconv.pixel_shuffle(x, 2)
    assert y.shape == (*shape[:-3], 1, 6, 10)
    assert_same_bits(y, reference.pixel_shuffle(x, (2, 2)))


def test_how_many_axes():
    """Two, unless `ndim` or the number of factors says otherwise."""
    x = np.arange(2 * 8 * 3 * 4 * 5).reshape(2, 8, 3, 4, 5)
    assert fastconv.pixel_shuffle(x, 2, ndim=3).shape == (2, 1, 6, 8, 10)
    assert fastconv.pixel_shuffle(x, (2, 2, 2)).shape == (2, 1, 6, 8, 10)
    assert fastconv.pixel_shuffle(x[0, :, 0, 0], (2,)).shape == (4, 10)
    assert fastconv.pixel_shuffle(x[0, :, 0, 0], 2, ndim=1).shape == (4, 10)
    assert fastconv.pixel_shuffle(x[0, :, 0], (4, 2)).shape == (1, 16, 10)
    assert fastconv.pixel_shuffle(x[0, :, 0], (4, 2), ndim=2).shape == (1, 16, 10)
    assert_same_bits(fastconv.pixel_shuffle(x[:, :, 0], 2), fastconv.pixel_shuffle(x[:, :, 0], (2, 2)))
    assert_same_bits(fastconv.pixel_unshuffle(x[..., :4], 2, ndim=2), fastconv.pixel_unshuffle(x[..., :4], (2, 2)))


def test_factor_one_copies():
    x = np.arange(24.0).reshape(2, 3, 4)
    y = fastconv.pixel_shuffle(x, 1)
    assert_same_bits(y, x)
    assert not np.shares_memory(x, y)


def test_factors_of_any_integer_type():
    x = np.arange(12).reshape(6, 1, 2)
    expected = fastconv.pixel_shuffle(x, (3, 2))
    assert_same_bits(fastconv.pixel_shuffle(x, (np.int8(3), np.uint64(2))), expected)


@pytest.mark.parametrize(
    ("shape", "shuffled"),
    [
        ((0, 4, 3, 5), (0, 1, 6, 10)),
        ((2, 0, 3, 5), (2, 0, 6, 10)),
        ((2, 4, 0, 5), (2, 1, 0, 10)),
        ((2, 4, 3, 0), (2, 1, 6, 0)),
    ],
)
@pytest.mark.parametrize("order", ["crd", "dcr"])
def test_empty_arrays_change_their_shape(shape, shuffled, order):
    x = np.empty(shape, np.int16)
    y = fastconv.pixel_shuffle(x, 2, order=order)
    assert y.shape == shuffled
    assert fastconv.pixel_unshuffle(y, 2, order=order).shape == shape


@pytest.mark.parametrize("order", ["crd", "dcr"])
@pytest.mark.parametrize(
    ("channels", "dtype"),
    [
        *[(1, "f4"), (3, "u1"), (3, "f4"), (4, "f8"), (5, "c16"), (16, "f4"), (17, "f4"), (24, "f4"), (40, "f8")],
        *[(95, "u1"), (3, "V6"), (3, "V32")],
    ],
)
@pytest.mark.parametrize("factors", [(1, 1), (2, 2), (3, 2), (1, 5), (4, 4), (9, 8)])
def test_channels_last(channels, dtype, factors, order, isa, threads):
    """Many small pixels in a vector, one across several, blocks of channels, and what is left to NumPy."""
    fh, fw = factors
    rng, itemsize = np.random.default_rng(0), np.dtype(dtype).itemsize
    for width in (1, 7, 3000 // channels // itemsize):
        x = rng.integers(0, 256, (2, 3, width, channels * fh * fw * itemsize), np.uint8).view(dtype)
        want = np.moveaxis(reference.pixel_shuffle(np.moveaxis(x, -1, 1), factors, order), 1, -1)
        got = fastconv.pixel_shuffle(x, factors, order=order, layout="NHWC")
        assert_same_bits(got, np.ascontiguousarray(want))
        assert_same_bits(fastconv.pixel_unshuffle(got, factors, order=order, layout="NHWC"), x)
