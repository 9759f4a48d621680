"""conv1d, conv2d and conv3d against the reference, on every instruction set."""

import itertools

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, EDGE_CHANNELS, EDGE_SIZES, Case, conv_cases, fill
from tolerances import assert_same_bits

import fastconv


def case(input_shape, weight_shape, dtype="float32", values="whole", **options):
    axes = len(weight_shape) - 2
    options = {"stride": (1,) * axes, "padding": 0, "dilation": (1,) * axes, "groups": 1} | options
    return Case("conv", input_shape, weight_shape, True, dtype, values, seed=1, options=options)


def check(c):
    c.check(c.function(*c.arrays, **c.options, algorithm="direct"))


@given(c=conv_cases())
def test_random_calls(c, isa, threads):
    check(c)


@given(c=conv_cases())
def test_automatic_choice_of_algorithm(c, isa):
    c.check(c.function(*c.arrays, **c.options))


@given(c=conv_cases(), algorithm=st.sampled_from(("auto", "direct")))
def test_layer_and_function_agree_to_the_bit(c, algorithm, isa):
    x, w, b = c.arrays
    layer = c.layer(w, b, **c.options, algorithm=algorithm)
    assert_same_bits(layer(x), c.function(x, w, b, **c.options, algorithm=algorithm))


@given(c=conv_cases())
def test_without_the_batch_axis(c, isa):
    x, w, b = c.arrays
    one = c.function(x[0], w, b, **c.options)
    assert one.ndim == c.axes + 1
    assert_same_bits(one, c.function(x[:1], w, b, **c.options)[0])


@given(c=conv_cases(), gap=st.integers(0, 2))
def test_out_is_written_in_place_and_nowhere_else(c, gap, isa):
    """`out` as a slice of channels, as branches that end in one array use it; its neighbours stay."""
    n, m, *spatial = c.expected.shape
    wide = np.full((n, m + 2 * gap, *spatial), np.nan, c.dtype)
    out = wide[:, gap : gap + m]
    assert c.function(*c.arrays, **c.options, out=out) is out
    c.check(out)
    assert_same_bits(out.copy(), c.function(*c.arrays, **c.options))
    assert np.isnan(wide[:, :gap]).all()
    assert np.isnan(wide[:, gap + m :]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [1, 3])
def test_every_tile_edge_with_every_panel_edge(kernel, dtype, isa):
    for size, channels in itertools.product(EDGE_SIZES, EDGE_CHANNELS):
        check(case((1, 2, size + kernel - 1), (channels, 2, kernel), dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stride", [2, 3, 5])
def test_every_tile_edge_with_a_stride(stride, dtype, isa):
    for size in EDGE_SIZES:
        check(case((2, 3, 2, size * stride), (7, 3, 2, 4), dtype, stride=(1, stride), padding=(0, 2)))


# Sums just below, at and above the powers of two at which a sum may be cut into blocks.
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", ["whole", "real"])
@pytest.mark.parametrize(
    ("channels", "kernel"),
    [(127, 1), (128, 1), (129, 1), (255, 1), (256, 1), (257, 1), (511, 1), (513, 1), (1025, 1), (29, 3), (57, 3)],
)
def test_long_sums(channels, kernel, values, dtype, isa):
    check(case((1, channels, 5, 9), (15, channels, kernel, kernel), dtype, values, padding=kernel // 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("out_channels", [59, 128, 257])
def test_many_output_channels(out_channels, dtype, isa, threads):
    check(case((1, 9, 6, 35), (out_channels, 9, 3, 3), dtype, padding=1))


# Images of several blocks of pixels, with rows shorter and longer than a tile.
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((1, 8, 121, 130), (3, 3), {"padding": 1}),
        ((2, 8, 90, 5), (3, 3), {"padding": 1}),
        ((1, 5, 3, 4099), (3, 3), {"padding": 1}),
        ((1, 3, 131, 131), (7, 7), {"stride": (2, 2), "padding": 3}),
        ((1, 8, 75, 77), (3, 3), {"dilation": (6, 6), "padding": 6}),
        ((3, 16, 37, 41), (1, 1), {}),
        ((2, 24, 40, 41), (1, 1), {"stride": (2, 2)}),
        ((1, 4, 9, 30, 33), (3, 3, 3), {"padding": 1}),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_larger_images(shape, kernel, options, dtype, isa, threads):
    check(case(shape, (13, shape[1], *kernel), dtype, **options))


@pytest.mark.parametrize("multiplier", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3, 16, 33])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise(channels, multiplier, stride, isa, threads):
    for size in (7, 16, 33):
        c = case((2, channels, 9, size), (channels * multiplier, 1, 3, 3), padding=1, groups=channels)
        c.options["stride"] = (stride, stride)
        check(c)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 2, 1200, 130), (1, 1, 9, 4200)], ids=["rows", "columns"])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 2), (1, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_filters_of_large_images(shape, kernel, stride, dtype, isa, threads):
    """In parts: some rows, or pieces of them, each of which begins somewhere in the image."""
    channels, padding = shape[1], tuple((k // 2, k // 2) for k in kernel)
    check(case(shape, (channels, 1, *kernel), dtype, padding=padding, groups=channels, stride=(stride, stride)))


@pytest.mark.parametrize("channels_in", [1, 2, 3, 4])
@pytest.mark.parametrize("channels_out", [1, 2, 3, 4])
def test_few_channels(channels_in, channels_out, isa):
    """Image filters, and the last layer of a generator."""
    for kernel, size in itertools.product((1, 3, 5, 9), (15, 64)):
        check(case((1, channels_in, 6, size), (channels_out, channels_in, kernel, kernel), padding=kernel // 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("width", "stride", "padding", "dilation"),
    [(33, 1, (18, 18), 18), (33, 1, (18, 3), 18), (40, 2, (18, 18), 18), (70, 1, (40, 40), 30), (33, 1, (0, 18), 9)],
)
def test_columns_where_taps_fall_on_padding(width, stride, padding, dilation, dtype, isa, threads):
    """Ranges of columns are computed apart, each without the taps that are dead there: from 128 products per output."""
    steps = {"stride": (stride, stride), "dilation": (1, dilation)}
    check(case((2, 130, 40, width), (9, 130, 3, 3), dtype, padding=((1, 1), padding), **steps))


def test_kernel_wider_than_the_image(isa):
    check(case((1, 2, 3, 4), (5, 2, 9, 11), padding=((4, 4), (5, 5))))


def test_padding_beyond_the_kernel(isa):
    """Windows that lie in the padding altogether give the bias."""
    c = case((1, 2, 3, 4), (5, 2, 2, 3), padding=((7, 5), (6, 20)))
    check(c)
    assert (c.function(*c.arrays, **c.options)[0, :, 0, 0] == c.arrays[2]).all()


def test_empty_image_within_padding(isa):
    check(case((2, 3, 0), (4, 3, 2), padding=1))
    check(case((2, 3, 4, 0), (4, 3, 2, 2), padding=((0, 0), (1, 1))))


@pytest.mark.parametrize("shape", [(0, 3, 8), (0, 3, 8, 9), (0, 3, 4, 8, 9)])
def test_empty_batch(shape, isa):
    axes = len(shape) - 2
    w = np.ones((5, 3, *(3,) * axes), np.float32)
    y = getattr(fastconv, f"conv{axes}d")(np.ones(shape, np.float32), w)
    assert y.shape == (0, 5, *(s - 2 for s in shape[2:]))
    assert y.dtype == np.float32


@pytest.mark.parametrize("bias", [True, False])
def test_zero_input_channels_give_the_bias(bias, isa):
    b = np.array([1.5, -2, 3], np.float32) if bias else None
    y = fastconv.conv2d(np.ones((2, 0, 5, 6), np.float32), np.ones((3, 0, 3, 3), np.float32), b)
    expected = np.zeros((2, 3, 3, 4), np.float32) + (np.float32(0) if b is None else b[:, None, None])
    assert_same_bits(y, expected)


@pytest.mark.parametrize("huge", [2**31, 2**32 + 1, 2**62])
def test_huge_steps_with_a_single_window_or_tap(huge, isa):
    rng = np.random.default_rng(0)
    x, w = fill(rng, (1, 2, 5, 6), "float32"), fill(rng, (3, 2, 3, 3), "float32")
    assert_same_bits(fastconv.conv2d(x, w, stride=huge), fastconv.conv2d(x, w)[..., :1, :1].copy())
    pointwise = w[:, :, :1, :1]
    assert_same_bits(fastconv.conv2d(x, pointwise, dilation=huge), fastconv.conv2d(x, pointwise))


@pytest.mark.parametrize("channels", [3, 16, 24])
@pytest.mark.parametrize("huge", [2**31, 2**62])
def test_huge_steps_with_channels_last(huge, channels, isa):
    rng = np.random.default_rng(0)
    x, w = fill(rng, (1, 4, 5, channels), "float32"), fill(rng, (channels, channels, 3, 3), "float32")
    expected = fastconv.conv2d(x[:, :3, :3].copy(), w, layout="NHWC")
    assert_same_bits(fastconv.conv2d(x, w, stride=huge, layout="NHWC"), expected)
    depthwise = fill(rng, (channels, 1, 3, 3), "float32")
    expected = fastconv.conv2d(x[:, :3, :3].copy(), depthwise, groups=channels, layout="NHWC")
    assert_same_bits(fastconv.conv2d(x, depthwise, stride=huge, groups=channels, layout="NHWC"), expected)
    pointwise = fill(rng, (channels, channels, 1, 1), "float32")
    same = fastconv.conv2d(x, pointwise, layout="NHWC")
    assert_same_bits(fastconv.conv2d(x, pointwise, dilation=huge, layout="NHWC"), same)


def test_an_image_of_long_rows(isa, threads):
    """More than 4 MiB, which comes from memory, and rows of more than a page."""
    rng = np.random.default_rng(0)
    x, w = fill(rng, (1, 1, 1040, 1030), "float32"), fill(rng, (1, 1, 3, 5), "float32")
    assert_same_bits(fastconv.conv2d(x, w, padding=(1, 2)), reference.conv(x, w, padding=(1, 2)).astype("float32"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "options"),
    [
        (16, 32, 2, {}),
        (20, 16, 9, {"padding": 4}),
        (3, 9, 3, {"padding": 2, "dilation": 70}),
        (8, 8, 2, {"padding": 300, "dilation": 512, "groups": 2}),
    ],
)
def test_a_row_read_as_it_lies_is_read_to_its_ends(channels, outputs, kernel, options, dtype, isa, threads):
    """Between numbers that are none, which no output may have read."""
    c = case((2, channels, 1063), (outputs, channels // options.get("groups", 1), kernel), dtype, **options)
    x, w, b = c.arrays
    wide = np.full((*x.shape[:-1], x.shape[-1] + 20), np.nan, dtype)
    wide[..., 9:-11] = x
    y = c.function(wide[..., 9:-11], w, b, **c.options, algorithm="direct")
    c.check(y)
    assert_same_bits(y, c.function(x, w, b, **c.options, algorithm="direct"))


@pytest.mark.parametrize("outputs", [1, 3, 21, 40])
@pytest.mark.parametrize(("channels", "size"), [(16, 33), (64, 100), (64, 128), (256, 32)])
def test_few_outputs_of_a_pixel(channels, size, outputs, isa, threads):
    """Images near and far, whose channels lie whole pages apart or do not; and with their channels last."""
    rng = np.random.default_rng(0)
    x, w = fill(rng, (1, channels, size, size), "float32"), fill(rng, (outputs, channels, 1, 1), "float32")
    want = np.tensordot(w[:, :, 0, 0].astype(float), x.astype(float), (1, 1)).swapaxes(0, 1)
    assert_same_bits(fastconv.conv2d(x, w), np.ascontiguousarray(want, "float32"))
    x, want = (np.ascontiguousarray(np.moveaxis(a, 1, -1), "float32") for a in (x, want))
    assert_same_bits(fastconv.conv2d(x, w, layout="NHWC"), want)


# ---- the ways to say stride, padding and dilation --------------------------------------------------------------------


def conv2d(**options):
    rng = np.random.default_rng(0)
    return fastconv.conv2d(fill(rng, (1, 2, 9, 11), "float32"), fill(rng, (3, 2, 3, 2), "float32"), **options)


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ({"stride": 2}, {"stride": (2, 2)}),
        ({"stride": (2,)}, {"stride": (2, 2)}),
        ({"stride": np.int32(2)}, {"stride": (2, 2)}),
        ({"stride": (np.uint8(2), np.int64(3))}, {"stride": (2, 3)}),
        ({"dilation": 3}, {"dilation": (3, 3)}),
        ({"dilation": (3,)}, {"dilation": (3, 3)}),
        ({"padding": 2}, {"padding": ((2, 2), (2, 2))}),
        ({"padding": (2,)}, {"padding": ((2, 2), (2, 2))}),
        ({"padding": (1, 2)}, {"padding": ((1, 1), (2, 2))}),
        ({"padding": np.int16(1)}, {"padding": 1}),
        ({"padding": "valid"}, {"padding": 0}),
        ({"padding": "same"}, {"padding": ((1, 1), (0, 1))}),
        ({"padding": "same_lower"}, {"padding": ((1, 1), (1, 0))}),
    ],
)
def test_short_forms(short, full):
    assert_same_bits(conv2d(**short), conv2d(**full))


def test_one_pair_for_one_axis():
    x, w = np.arange(1, 4, dtype=np.float32).reshape(1, 1, 3), np.array([[[1, 10]]], np.float32)
    assert fastconv.conv1d(x, w, padding=((2, 0),)).ravel().tolist() == [0, 10, 21, 32]
    assert fastconv.conv1d(x, w, padding=((0, 1),)).ravel().tolist() == [21, 32, 3]


def test_positional_order_is_torchs():
    rng = np.random.default_rng(0)
    x, w, b = (fill(rng, shape, "float32") for shape in ((1, 4, 9, 9), (6, 2, 3, 3), 6))
    assert_same_bits(
        fastconv.conv2d(x, w, b, 2, 1, 3, 2),
        fastconv.conv2d(input=x, weight=w, bias=b, stride=2, padding=1, dilation=3, groups=2),
    )


@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dilation=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    lower=st.booleans(),
)
def test_same_works_with_every_stride_and_dilation(size, kernel, stride, dilation, lower):
    rng = np.random.default_rng(0)
    x, w = fill(rng, (1, 1, *size), "float32"), fill(rng, (2, 1, *kernel), "float32")
    pads = tuple(
        reference.same_padding(*axis, lower=lower) for axis in zip(size, kernel, stride, dilation, strict=True)
    )
    y = fastconv.conv2d(x, w, None, stride, "same_lower" if lower else "same", dilation)
    assert y.shape[2:] == tuple(-(-i // s) for i, s in zip(size, stride, strict=True))
    assert np.array_equal(y, reference.conv(x, w, None, stride, pads, dilation))
