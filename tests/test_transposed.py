"""conv_transpose1d, 2d and 3d against the reference, on every instruction set."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, EDGE_CHANNELS, EDGE_SIZES, Case, fill, transposed_cases
from tolerances import assert_same_bits

import fastconv


def case(input_shape, weight_shape, dtype="float32", values="whole", **options):
    axes = len(weight_shape) - 2
    one = (1,) * axes
    options = {"stride": one, "padding": 0, "output_padding": 0, "groups": 1, "dilation": one} | options
    return Case("conv_transpose", input_shape, weight_shape, True, dtype, values, seed=1, options=options)


def check(c, algorithm="direct"):
    c.check(c.function(*c.arrays, **c.options, algorithm=algorithm))


@given(c=transposed_cases())
def test_random_calls(c, isa, threads):
    check(c)


@given(c=transposed_cases())
def test_layer_and_function_agree_to_the_bit(c, isa):
    x, w, b = c.arrays
    assert_same_bits(c.layer(w, b, **c.options)(x), c.function(x, w, b, **c.options))


@given(c=transposed_cases())
def test_without_the_batch_axis(c, isa):
    x, w, b = c.arrays
    one = c.function(x[0], w, b, **c.options)
    assert one.ndim == c.axes + 1
    assert_same_bits(one, c.function(x[:1], w, b, **c.options)[0])


@given(c=transposed_cases(), gap=st.integers(0, 2))
def test_out_is_written_in_place_and_nowhere_else(c, gap, isa):
    n, m, *spatial = c.expected.shape
    wide = np.full((n, m + 2 * gap, *spatial), np.nan, c.dtype)
    out = wide[:, gap : gap + m]
    assert c.function(*c.arrays, **c.options, out=out) is out
    c.check(out)
    assert_same_bits(out.copy(), c.function(*c.arrays, **c.options))
    assert np.isnan(wide[:, :gap]).all()
    assert np.isnan(wide[:, gap + m :]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (4, 2), (1, 3), (5, 4)])
def test_every_tile_edge(kernel, stride, dtype, isa):
    for size in EDGE_SIZES:
        check(case((1, 3, 2, size), (3, 7, kernel, kernel), dtype, stride=(stride, stride)))


def test_every_panel_edge(isa):
    for channels, size in itertools.product(EDGE_CHANNELS, (5, 16, 33)):
        check(case((1, 4, 2, size), (4, channels, 4, 4), stride=(2, 2), padding=1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", ["whole", "real"])
@pytest.mark.parametrize("channels", [63, 128, 257, 513])
def test_long_sums(channels, values, dtype, isa):
    check(case((1, channels, 3, 9), (channels, 15, 3, 3), dtype, values, stride=(2, 2), padding=1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((1, 8, 33, 37), (2, 2), {"stride": (2, 2)}),
        ((2, 8, 17, 35), (4, 4), {"stride": (2, 2), "padding": 1}),
        ((1, 8, 18, 33), (3, 3), {"stride": (2, 2), "padding": 1, "output_padding": (1, 1)}),
        ((1, 6, 21, 22), (5, 5), {"padding": 2}),
        ((1, 3, 700), (16,), {"stride": (8,), "padding": 4}),
        ((1, 4, 9, 9), (3, 3), {"stride": (2, 3), "dilation": (3, 2)}),
        ((1, 4, 3, 7, 17), (2, 3, 4), {"stride": (2, 2, 2)}),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_larger_images(shape, kernel, options, dtype, isa, threads):
    check(case(shape, (shape[1], 13, *kernel), dtype, **options))


# Few outputs of many channels: the products of all taps are summed afterwards, some rows at a time.
FEW = [
    ((1, 64, 32, 32), (64, 3, 4, 4), {"stride": (2, 2), "padding": 1}),
    ((2, 56, 37, 41), (56, 1, 9, 9), {"stride": (3, 3), "padding": 4, "output_padding": (2, 2)}),
    ((1, 33, 5, 1400), (33, 1, 9, 9), {"stride": (3, 3), "padding": 1}),
    ((1, 300, 3, 4), (300, 2, 5, 5), {"stride": (2, 2), "padding": 4}),
    ((1, 32, 301, 1), (32, 1, 4, 3), {"stride": (2, 2), "padding": (0, 1)}),
    ((1, 64, 19, 17), (64, 2, 3, 4), {"stride": (1, 2), "padding": (9, 0), "dilation": (9, 3)}),
    ((2, 96, 23, 9), (96, 1, 4, 4), {"stride": (2, 3), "groups": 2}),
    ((1, 64, 700), (64, 2, 5), {"stride": (2,), "padding": 2}),
    ((1, 64, 6, 6, 3), (64, 1, 1, 2, 1), {"stride": (4, 4, 4), "padding": 1}),  # the tap of d is not at the origin
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", ["whole", "real"])
@pytest.mark.parametrize(("shape", "weight", "options"), FEW, ids=str)
def test_few_outputs_of_many_channels(shape, weight, options, values, dtype, isa, threads):
    c = case(shape, weight, dtype, values, **options)
    _, w, b = c.arrays
    assert c.layer(w, b, **c.options).describe(shape)["algorithm"] == "direct, taps first"
    check(c, "auto")


def test_few_outputs_at_every_edge_of_a_tile(isa):
    for size in EDGE_SIZES:
        check(case((1, 32, 4, size), (32, 1, 4, 4), stride=(2, 2), padding=1), "auto")
        check(case((1, 32, size, 3), (32, 1, 5, 4), stride=(2, 2)), "auto")


def test_a_nan_among_many_channels_reaches_the_outputs_of_its_taps(isa, threads):
    x, w = np.ones((1, 64, 40, 33), np.float32), np.ones((64, 2, 4, 4), np.float32)
    x[0, 5, 7, 9] = np.nan
    y = fastconv.conv_transpose2d(x, w, stride=2, padding=1)
    expected = np.zeros(y.shape, bool)
    expected[:, :, 13:17, 17:21] = True
    assert np.array_equal(np.isnan(y), expected)


@pytest.mark.parametrize("channels", [1, 3, 16, 33])
def test_depthwise(channels, isa, threads):
    for multiplier, kernel in ((1, 4), (2, 3)):
        c = case((2, channels, 5, 17), (channels, multiplier, kernel, kernel), groups=channels)
        c.options["stride"] = (2, 2)
        check(c)


def test_outputs_that_no_pixel_reaches_hold_the_bias(isa):
    c = case((1, 2, 2, 3), (2, 3, 1, 2), stride=(3, 5), output_padding=(2, 4))
    check(c)
    y = c.function(*c.arrays, **c.options)
    assert (y[0, :, 1, :] == c.arrays[2][:, None]).all()


def test_3x3_by_2x2_gives_4x4(isa):
    x, w = np.arange(1.0, 10).reshape(1, 1, 3, 3), np.array([[[[1.0, 10], [100, 1000]]]])
    assert fastconv.conv_transpose2d(x, w)[0, 0].tolist() == [
        [1, 12, 23, 30],
        [104, 1245, 2356, 3060],
        [407, 4578, 5689, 6090],
        [700, 7800, 8900, 9000],
    ]


@pytest.mark.parametrize("shape", [(0, 3, 8), (0, 3, 8, 9), (0, 3, 4, 8, 9)])
def test_empty_batch(shape, isa):
    axes = len(shape) - 2
    w = np.ones((3, 5, *(2,) * axes), np.float32)
    y = getattr(fastconv, f"conv_transpose{axes}d")(np.ones(shape, np.float32), w, stride=2)
    assert y.shape == (0, 5, *(2 * s for s in shape[2:]))


def test_zero_input_channels_give_the_bias(isa):
    b = np.array([1.5, -2, 3], np.float32)
    y = fastconv.conv_transpose1d(np.ones((2, 0, 5), np.float32), np.ones((0, 3, 2), np.float32), b, stride=2)
    assert_same_bits(y, np.broadcast_to(b[:, None], (2, 3, 10)).copy())


@pytest.mark.parametrize("huge", [2**31, 2**32 + 1, 2**62])
def test_huge_steps_with_a_single_pixel_or_tap(huge, isa):
    rng = np.random.default_rng(0)
    x, w = fill(rng, (1, 2, 1, 1), "float32"), fill(rng, (2, 3, 3, 3), "float32")
    assert_same_bits(fastconv.conv_transpose2d(x, w, stride=huge), fastconv.conv_transpose2d(x, w))
    x, w = fill(rng, (1, 2, 4, 5), "float32"), fill(rng, (2, 3, 1, 1), "float32")
    assert_same_bits(fastconv.conv_transpose2d(x, w, dilation=huge), fastconv.conv_transpose2d(x, w))


@pytest.mark.parametrize("channels", [3, 16, 24])
@pytest.mark.parametrize("huge", [2**31, 2**62])
def test_huge_steps_with_channels_last(huge, channels, isa):
    rng = np.random.default_rng(0)
    x, w = fill(rng, (1, 1, 1, channels), "float32"), fill(rng, (channels, channels, 3, 3), "float32")
    expected = fastconv.conv_transpose2d(x, w, layout="NHWC")
    assert_same_bits(fastconv.conv_transpose2d(x, w, stride=huge, layout="NHWC"), expected)
    depthwise = fill(rng, (channels, 1, 3, 3), "float32")
    expected = fastconv.conv_transpose2d(x, depthwise, groups=channels, layout="NHWC")
    assert_same_bits(fastconv.conv_transpose2d(x, depthwise, stride=huge, groups=channels, layout="NHWC"), expected)


# ---- arguments -------------------------------------------------------------------------------------------------------


def conv_transpose2d(**options):
    rng = np.random.default_rng(0)
    return fastconv.conv_transpose2d(fill(rng, (1, 2, 5, 6), "float32"), fill(rng, (2, 3, 3, 2), "float32"), **options)


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ({"stride": 2}, {"stride": (2, 2)}),
        ({"stride": (2,)}, {"stride": (2, 2)}),
        ({"stride": 3, "output_padding": 1}, {"stride": (3, 3), "output_padding": (1, 1)}),
        ({"stride": 3, "output_padding": (2,)}, {"stride": (3, 3), "output_padding": (2, 2)}),
        ({"dilation": 2}, {"dilation": (2, 2)}),
        ({"padding": 1}, {"padding": ((1, 1), (1, 1))}),
        ({"padding": (1, 0)}, {"padding": ((1, 1), (0, 0))}),
        ({"stride": np.int8(2), "padding": np.int64(1)}, {"stride": 2, "padding": 1}),
    ],
)
def test_short_forms(short, full):
    assert_same_bits(conv_transpose2d(**short), conv_transpose2d(**full))


def test_output_padding_is_legal_below_the_dilation():
    assert conv_transpose2d(dilation=2, output_padding=1).shape == (1, 3, 5 + 4 + 1, 6 + 2 + 1)


def test_positional_order_is_torchs():
    rng = np.random.default_rng(0)
    x, w, b = (fill(rng, shape, "float32") for shape in ((1, 4, 5, 6), (4, 3, 3, 3), 6))
    assert_same_bits(
        fastconv.conv_transpose2d(x, w, b, 3, 1, 2, 2, 1),
        fastconv.conv_transpose2d(
            input=x, weight=w, bias=b, stride=3, padding=1, output_padding=2, groups=2, dilation=1
        ),
    )


@pytest.mark.parametrize("extra", [(0, 0), (1, 2), (2, 1)])
def test_output_size_chooses_the_output_padding(extra):
    expected = conv_transpose2d(stride=3, padding=1, output_padding=extra)
    size = expected.shape[2:]
    assert_same_bits(conv_transpose2d(stride=3, padding=1, output_size=size), expected)
    assert_same_bits(conv_transpose2d(stride=3, padding=1, output_size=expected.shape), expected)


def test_output_size_as_one_number_and_for_a_layer():
    rng = np.random.default_rng(0)
    x, w = fill(rng, (2, 2, 7), "float32"), fill(rng, (2, 3, 4), "float32")
    layer = fastconv.ConvTranspose1d(w, stride=5)
    for size in range(34, 39):  # 5 * 6 + 4 and what output_padding below 5 adds
        y = layer(x, output_size=(size,))
        assert_same_bits(y, fastconv.conv_transpose1d(x, w, stride=5, output_padding=size - 34))
        assert_same_bits(y, fastconv.conv_transpose1d(x, w, stride=5, output_size=size))
    assert layer(x[0], output_size=(36,)).shape == (3, 36)
