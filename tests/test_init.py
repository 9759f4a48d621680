"""Weights to begin with: what they make of an image, and how they are spread."""

import numpy as np
import pytest
import reference

from fastconv import conv2d, icnr, pixel_shuffle


@pytest.mark.parametrize("order", ["crd", "dcr"])
@pytest.mark.parametrize("factor", [2, (3, 1)])
def test_icnr_enlarges_to_the_nearest_neighbour(order, factor):
    factors = reference.per_axis(factor, 2)
    area = factors[0] * factors[1]
    weight = icnr((5 * area, 4, 3, 3), factor, 1, order=order)
    base = weight[:: area if order == "crd" else 1][:5]
    x = np.random.default_rng(2).standard_normal((2, 4, 7, 6), np.float32)
    fine = pixel_shuffle(conv2d(x, weight, algorithm="direct"), factor, order=order)
    coarse = conv2d(x, base, algorithm="direct")
    assert np.array_equal(fine, coarse.repeat(factors[0], axis=2).repeat(factors[1], axis=3))


def test_icnr_draws_normal_numbers_of_the_right_variance():
    weight = icnr((4 * 64, 64, 3, 3), 2, np.random.default_rng(3), dtype=np.float64)
    base = weight[::4]
    assert weight.dtype == np.float64
    deviation = (2 / (64 * 9)) ** 0.5
    count = base.size  # 36864 numbers: bounds of five standard errors
    assert abs(base.mean()) < 5 * deviation / count**0.5
    assert abs(base.std() / deviation - 1) < 5 / (2 * count) ** 0.5
    assert len(np.unique(base)) == count


def test_icnr_arguments():
    assert np.array_equal(icnr((4, 1, 3, 3), 2, 7), icnr((4, 1, 3, 3), 2, np.random.default_rng(7)))
    assert icnr((6, 2, 3), 3).shape == (6, 2, 3)
    assert icnr((16, 2, 1, 3, 3), (2, 2, 2)).dtype == np.float32
    for shape, factor, options, error, words in [
        ((6, 1, 3, 3), 2, {}, ValueError, "multiple of 4"),
        ((4, 1), 2, {}, ValueError, "weight_shape"),
        ((4, 0, 3, 3), 2, {}, ValueError, "weight_shape"),
        ((2**40, 2**40, 3, 3), 2, {}, ValueError, "weight_shape"),
        ((4.0, 1, 3, 3), 2, {}, TypeError, "weight_shape"),
        ((4, 1, 3, 3), 0, {}, ValueError, "upscale_factor"),
        ((4, 1, 3, 3), (2, 2, 1), {}, ValueError, "upscale_factor"),
        ((4, 1, 3, 3), 2, {"order": "rcd"}, ValueError, "order"),
        ((4, 1, 3, 3), 2, {"dtype": np.int32}, TypeError, "dtype"),
    ]:
        with pytest.raises(error, match=words):
            icnr(shape, factor, **options)
