"""Large kernels by Fourier transforms: near the definition at every edge of a tile; NaN and infinity in their place."""

import numpy as np
import pytest
import reference
from strategies import fill
from tolerances import assert_same_bits, assert_within, transforms

import fastconv


def case(image, weight, **options):
    """Input, weight and bias of normal deviates, and a layer that takes transforms, said by `describe`."""
    rng = np.random.default_rng(0)
    x, w, b = (fill(rng, shape, "float32", "real") for shape in (image, weight, weight[0]))
    layer = fastconv.Conv2d(w, b, **options)
    assert layer.describe(image)["algorithm"].startswith("fourier")
    return x, w, b, layer


def check(got, x, w, b, **options):
    """The bound of `transforms` on the norms of columns: ||w|| sums a kernel's column, ||x|| takes an image's."""
    columns = np.sqrt((x.astype(float) ** 2).sum(axis=2, keepdims=True))
    pads = reference.pairs(options.get("padding", 0), 2)
    dilation = reference.per_axis(options.get("dilation", 1), 2)
    flat = {"groups": options.get("groups", 1), "padding": ((0, 0), pads[1]), "dilation": dilation}
    scale = reference.conv(columns, np.abs(w).sum(axis=2, keepdims=True), None, **flat)
    length = 2 * w.shape[1] * w.shape[3]
    exact = reference.conv(x, w, b, **options)
    assert_within(got, exact, transforms(256, length) * scale + 2.0**-23 * (scale + np.abs(exact)))


@pytest.mark.parametrize(
    ("image", "weight", "options"),
    [
        ((1, 1, 90, 90), (1, 1, 31, 31), {"padding": 15}),
        ((1, 1, 31, 31), (1, 1, 31, 31), {"padding": ((15, 14), (0, 31))}),
        ((2, 1, 200, 40), (1, 1, 40, 17), {}),
        ((1, 1, 64, 300), (1, 1, 15, 33), {"padding": 8, "dilation": (1, 5)}),
        ((1, 1, 83, 1001), (1, 1, 63, 19), {"padding": (40, 9)}),
        ((1, 3, 150, 67), (3, 3, 13, 13), {"padding": 6}),
        ((1, 3, 100, 33), (40, 3, 17, 17), {"padding": 8}),
        ((1, 5, 100, 33), (1, 5, 11, 31), {"padding": 8}),
        ((2, 6, 71, 53), (6, 1, 31, 31), {"padding": 15, "groups": 6}),
        ((2, 6, 71, 53), (4, 3, 21, 21), {"padding": 15, "groups": 2}),
    ],
    ids=str,
)
def test_near_the_definition(image, weight, options, isa, threads):
    x, w, b, layer = case(image, weight, **options)
    check(layer(x), x, w, b, **options)


@pytest.mark.parametrize("height", [25, 33, 34, 35, 67, 68, 69, 102, 103, 137])
def test_every_edge_of_a_tile(height, isa):
    """Tiles of 34 rows for transforms of 64, whose last row is the last that does not wrap around."""
    rng = np.random.default_rng(height)
    w, b = fill(rng, (1, 1, 31, 64), "float32", "real"), np.ones(1, np.float32)
    x = fill(rng, (1, 1, height, 70), "float32", "real")
    layer = fastconv.Conv2d(w, b, padding=(15, 31))
    assert layer.describe(x.shape)["algorithm"].startswith("fourier")
    check(layer(x), x, w, b, padding=(15, 31))


def test_error_is_that_of_float32():
    x, w, b, layer = case((1, 1, 256, 256), (1, 1, 31, 31), padding=15)
    exact = reference.conv(x, w, b, padding=15)
    assert np.abs(layer(x) - exact).max() <= 1e-6 * np.abs(exact).max()


def test_no_bias_and_out_in_place(isa):
    x, w, b, layer = case((2, 1, 80, 81), (3, 1, 21, 21), padding=10)
    wide = np.full((2, 5, 80, 81), np.nan, np.float32)
    assert layer(x, out=wide[:, 1:4]).base is wide
    assert_same_bits(wide[:, 1:4].copy(), layer(x))
    assert np.isnan(wide[:, [0, 4]]).all()
    bare = fastconv.conv2d(x, w, padding=10)
    check(bare, x, w, 0 * b, padding=10)


@pytest.mark.parametrize("shape", [(0, 1, 90, 90), (1, 1, 0, 90), (1, 1, 90, 0)])
def test_empty_images(shape, isa):
    w = np.ones((1, 1, 31, 31), np.float32)
    y = fastconv.conv2d(np.ones(shape, np.float32), w, np.ones(1, np.float32), padding=20)
    assert y.shape == (shape[0], 1, shape[2] + 10, shape[3] + 10)
    assert (y == 1).all()


def test_an_image_of_zeros_gives_the_bias(isa):
    _, _, b, layer = case((1, 1, 90, 90), (1, 1, 31, 31))
    assert (layer(np.zeros((1, 1, 90, 90), np.float32)) == b[0]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.finfo(np.float32).max])
def test_what_is_not_finite_stays_in_its_window(value, isa, threads):
    """Rows of tiles without it keep their bits, the others are those of the direct way."""
    x, w, b, layer = case((3, 2, 500, 91), (2, 1, 31, 31), padding=15, groups=2)
    clean, direct = layer(x), fastconv.Conv2d(w, b, padding=15, groups=2, algorithm="direct")
    x[1, 1, 3, 40] = x[1, 1, 3, 41] = value
    got, exact = layer(x), direct(x)
    assert np.isnan(exact).any() or np.isinf(exact).any()
    assert_same_bits(got[[0, 2]], clean[[0, 2]])
    assert_same_bits(got[1, :, :30], exact[1, :, :30])
    assert_same_bits(got[1, :, -30:], clean[1, :, -30:])
    assert np.array_equal(np.isfinite(got), np.isfinite(exact))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_multiplied_directly(value, isa):
    x, w, b, _ = case((1, 1, 90, 90), (1, 1, 31, 31))
    w[0, 0, 3, 5] = value
    assert_same_bits(fastconv.conv2d(x, w, b), fastconv.conv2d(x, w, b, algorithm="direct"))


def test_float64_and_direct_never_transform():
    x, w = np.ones((1, 1, 90, 90)), np.ones((1, 1, 31, 31))
    for layer in (fastconv.Conv2d(w), fastconv.Conv2d(w.astype(np.float32), algorithm="direct")):
        assert layer.describe(x.shape)["algorithm"].startswith("direct")
