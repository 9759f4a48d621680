"""Pooling: against loops over windows, by hand, and at the corners that torch defines."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import EDGE_SIZES, per_axis
from tolerances import assert_close, assert_same_bits

import fastconv
from fastconv import geometry

MAX_DTYPES = (
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
    "longdouble",
)  # fmt: skip


def function(name, axes):
    return getattr(fastconv, f"{name}_pool{axes}d")


def values(rng, shape, dtype, special=False):
    """Few different ones, so that there are equals; NaN and infinities among them if `special`."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.3
    x = rng.integers(-6, 7, shape)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        ends = rng.integers(0, 8, shape)  # not by np.choose: int64 and uint64 meet in float64, which rounds the ends
        x = np.abs(x).astype(dtype)
        x[ends == 0], x[ends == 1] = bounds.min, bounds.max
        return x
    x = x.astype(dtype)
    if special:
        x[rng.random(shape) < 0.05] = np.nan
        x[rng.random(shape) < 0.1] = -np.inf
        x[rng.random(shape) < 0.05] = np.inf
    return x


@st.composite
def pools(draw, dilated):
    """(input shape, options, seed): windows of any kind on one to three axes, the last one around whole vectors."""
    axes = draw(st.integers(1, 3))
    size = (*draw(per_axis(axes - 1, 1, 6)), draw(st.sampled_from(EDGE_SIZES)))
    kernel, stride = draw(per_axis(axes, 1, 5)), draw(per_axis(axes, 1, 4))
    dilation = draw(per_axis(axes, 1, 3)) if dilated else (1,) * axes
    ceil_mode = draw(st.booleans())
    kernel = tuple(k if k <= s + 1 else s for k, s in zip(kernel, size, strict=True))
    padding = tuple(draw(per_axis(2, 0, k // 2)) for k in kernel)
    windows = [
        reference.pool_windows(i, k, s, *p, d, ceil_mode)
        for i, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *size)
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    return shape, windows, options | ({"dilation": dilation} if dilated else {}), draw(st.integers(0, 2**16))


# ---- against the definition ------------------------------------------------------------------------------------------


@given(case=pools(dilated=True), dtype=st.sampled_from(("float32", "float64")), special=st.booleans())
def test_random_max_pools(case, dtype, special, isa, threads):
    shape, windows, options, seed = case
    x, pool = values(np.random.default_rng(seed), shape, dtype, special), function("max", len(windows))
    if not all(windows):
        with pytest.raises(ValueError, match="kernel is larger"):
            pool(x, **options)
        return
    expected, places = reference.max_pool(x, windows)
    for y in (pool(x, **options), pool(x[0], **options)[None], pool(x, **options, return_indices=True)[0]):
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(y, expected[: len(y)])
    assert_same_bits(pool(x, **options, return_indices=True)[1], places)


@given(
    case=pools(dilated=False),
    dtype=st.sampled_from(("float32", "float64")),
    count_include_pad=st.booleans(),
    divisor=st.sampled_from((None, None, 3, -2)),
)
def test_random_avg_pools(case, dtype, count_include_pad, divisor, isa, threads):
    shape, windows, options, seed = case
    if not all(windows):
        return
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    how = options["padding"], count_include_pad, divisor
    expected = reference.avg_pool(x, windows, *how)
    scale = np.abs(reference.avg_pool(np.abs(x), windows, *how))
    y = function("avg", len(windows))(x, **options, count_include_pad=count_include_pad, divisor_override=divisor)
    assert y.dtype == x.dtype
    assert_close(y, expected, math.prod(options["kernel_size"]), scale)


@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from(EDGE_SIZES)),
    out=per_axis(3, 1, 9),
    dtype=st.sampled_from(("float32", "float64")),
    axes=st.integers(1, 3),
)
def test_random_adaptive_pools(size, out, dtype, axes, isa, threads):
    x = np.random.default_rng(0).standard_normal((2, 3, *size[-axes:])).astype(dtype)
    windows = [reference.adaptive_windows(i, o) for i, o in zip(size[-axes:], out, strict=False)]
    y = getattr(fastconv, f"adaptive_avg_pool{axes}d")(x, out[:axes])
    pads = [(0, 0)] * axes
    scale = reference.avg_pool(np.abs(x), windows, pads, count_include_pad=False)
    assert_close(y, reference.avg_pool(x, windows, pads, count_include_pad=False), math.prod(size), scale)


# The layers of the field, on rows of one vector, of some, and of more than one block of columns.
LAYERS = [(3, 2, 1), (2, 2, 0), (3, 1, 1), (3, 3, 0), (7, 1, 3), (4, 4, 0), (5, 3, 2), (13, 1, 6)]


@pytest.mark.parametrize(("kernel", "stride", "padding"), LAYERS, ids=str)
@pytest.mark.parametrize("size", [(14, 14), (23, 61), (13, 3500)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers_of_networks(size, kernel, stride, padding, dtype, isa, threads):
    x = np.random.default_rng(0).integers(-1000, 1000, (2, 5, *size)).astype(dtype)
    windows = [reference.pool_windows(i, kernel, stride, padding, padding) for i in size]
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)], constant_values=-np.inf)
    taps = [padded[..., i :: stride, j :: stride][..., : len(windows[0]), : len(windows[1])]
            for i, j in itertools.product(range(kernel), repeat=2)]  # fmt: skip
    assert_same_bits(fastconv.max_pool2d(x, kernel, stride, padding), np.max(taps, axis=0))
    sums = np.sum([np.where(np.isinf(tap), 0, tap) for tap in taps], axis=0)  # whole numbers: exact
    assert_same_bits(fastconv.avg_pool2d(x, kernel, stride, padding), sums / sums.dtype.type(kernel**2))


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (8, 8), (31, 37), (5, 4000)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_images(size, dtype, isa, threads):
    x = np.random.default_rng(0).integers(-8, 9, (3, 17, *size)).astype(dtype)
    mean = x.sum((2, 3), keepdims=True) / x.dtype.type(math.prod(size))
    assert_same_bits(fastconv.adaptive_avg_pool2d(x, 1), mean)
    assert_same_bits(fastconv.avg_pool2d(x, size), mean)
    assert_same_bits(fastconv.max_pool2d(x, size), x.max((2, 3), keepdims=True))


# ---- by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", MAX_DTYPES)
def test_maximum_of_every_dtype(dtype, threads):
    x = values(np.random.default_rng(0), (2, 3, 9, 20), dtype, special=np.dtype(dtype).kind == "f")
    windows = [reference.pool_windows(i, 3, 2, 1, 1, 2) for i in x.shape[2:]]
    expected, places = reference.max_pool(x, windows)
    y, indices = fastconv.max_pool2d(x, 3, 2, 1, 2, return_indices=True)
    for got in (y, fastconv.max_pool2d(x, 3, 2, 1, 2)):
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, expected)
    assert_same_bits(indices, places)


def test_large_integers_are_not_rounded():
    x = np.array([[2**63 - 2, 2**63 - 1, -(2**63), -(2**63) + 1]])
    assert fastconv.max_pool1d(x, 2).tolist() == [[2**63 - 1, -(2**63) + 1]]
    assert fastconv.max_pool1d(np.array([[2**64 - 2, 2**64 - 1]], np.uint64), 2).tolist() == [[2**64 - 1]]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_floats_compute_in_float32(dtype):
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 20)).astype(dtype)
    wide = x.astype(np.float32)
    assert_same_bits(fastconv.max_pool2d(x, 3), fastconv.max_pool2d(wide, 3).astype(dtype))
    assert_same_bits(fastconv.avg_pool2d(x, 3), fastconv.avg_pool2d(wide, 3).astype(dtype))
    assert_same_bits(fastconv.adaptive_avg_pool2d(x, 2), fastconv.adaptive_avg_pool2d(wide, 2).astype(dtype))
    y, indices = fastconv.max_pool2d(x, 3, return_indices=True)
    assert_same_bits(y, np.take_along_axis(x.reshape(2, 3, -1), indices.reshape(2, 3, -1), 2).reshape(y.shape))
    # 4096 ones and a half: the sum needs more digits than float16 has
    assert fastconv.avg_pool1d(np.append(np.ones(4095), 0.5).astype(dtype)[None], 4096)[0, 0] == dtype(1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_reaches_exactly_its_windows(dtype, isa):
    for size in (1, 5, 16, 17, 40):
        for at in range(size):
            x = np.zeros((1, size), dtype)
            x[0, at] = np.nan
            for kernel, stride, padding in ((3, 2, 1), (2, 2, 0), (3, 1, 1), (3, 3, 1)):
                if kernel <= size + 2 * padding:
                    windows = reference.pool_windows(size, kernel, stride, padding, padding)
                    hit = [at in window for window in windows]
                    for pool in (fastconv.max_pool1d, fastconv.avg_pool1d):
                        assert np.isnan(pool(x, kernel, stride, padding))[0].tolist() == hit


def test_first_of_equals_and_last_nan():
    x = np.array([[7.0, 7, 3, np.nan, 5, np.nan, 9, 9]])
    y, indices = fastconv.max_pool1d(x, 2, return_indices=True)
    np.testing.assert_array_equal(y, [[7, np.nan, np.nan, 9]])
    assert indices.tolist() == [[0, 3, 5, 6]]
    assert fastconv.max_pool1d(x, 8, return_indices=True)[1].tolist() == [[5]]
    assert fastconv.max_pool1d(np.full((1, 4), -np.inf), 4, return_indices=True)[1].tolist() == [[0]]


def test_places_count_through_the_channel():
    x = np.zeros((1, 2, 3, 4, 5))
    x[0, 1, 2, 3, 4] = x[0, 0, 1, 0, 2] = 1
    assert fastconv.max_pool3d(x, (3, 4, 5), return_indices=True)[1].ravel().tolist() == [22, 59]


def test_a_dilated_window_of_padding_alone():
    y, indices = fastconv.max_pool1d(np.array([[1.0, 2, 3]]), 2, 1, 1, 4, return_indices=True)
    assert (y.tolist(), indices.tolist()) == (
        [
            [
                -np.inf,
            ]
        ],
        [[-1]],
    )
    assert fastconv.max_pool1d(np.array([[1.0, 2, 3]]), 2, 1, 1, 4).tolist() == [[-np.inf]]
    assert fastconv.max_pool1d(np.array([[1, 2, 3]], np.int8), 2, 1, 1, 4).tolist() == [[-128]]


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "floor", "ceil"),
    [
        (5, 2, 2, 0, 2, 3),
        (6, 3, 2, 0, 2, 3),
        (4, 3, 3, 1, 2, 2),
        (3, 2, 2, 1, 2, 2),  # a third window would start in the padding
        (7, 3, 4, 1, 2, 2),
        (3, 5, 4, 0, None, 1),  # one window, which hangs over
        (1, 1, 5, 0, 1, 1),
    ],
)
def test_ceil_mode(size, kernel, stride, padding, floor, ceil):
    x = np.ones((1, size))
    for mode, expected in ((False, floor), (True, ceil)):
        if expected is None:
            with pytest.raises(ValueError, match="kernel is larger"):
                fastconv.max_pool1d(x, kernel, stride, padding, ceil_mode=mode)
            continue
        assert geometry.pool_output_size(size, kernel, stride, padding, 1, mode) == expected
        assert fastconv.max_pool1d(x, kernel, stride, padding, ceil_mode=mode).shape == (1, expected)
        assert fastconv.avg_pool1d(x, kernel, stride, padding, mode).shape == (1, expected)


def test_divisors():
    """Padding counts, what hangs over it does not."""
    x = np.ones((1, 5))
    assert fastconv.avg_pool1d(x, 2, 2, ceil_mode=True).tolist() == [[1, 1, 1]]
    assert fastconv.avg_pool1d(x, 4, 3, 1, ceil_mode=True).tolist() == [[0.75, 0.75]]
    assert fastconv.avg_pool1d(x, 4, 3, 2, ceil_mode=True).tolist() == [[0.5, 1, 1 / 3]]
    assert fastconv.avg_pool1d(x, 4, 3, 2, count_include_pad=False).tolist() == [[1, 1]]
    assert fastconv.avg_pool1d(x, 4, 3, 2, divisor_override=-2).tolist() == [[-1, -2]]
    corners = fastconv.avg_pool2d(np.ones((1, 2, 2)), 2, 1, 1)
    assert corners[0].tolist() == [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]


def test_a_mean_of_equals_is_exact(isa):
    for size in (*range(1, 70), 196, 3136):
        for dtype in (np.float32, np.float64):
            assert fastconv.avg_pool1d(np.ones((1, size), dtype), size)[0, 0] == 1


def test_infinity_and_padding():
    x = np.array([[np.inf, 1, -np.inf, 1, 1]])
    np.testing.assert_array_equal(fastconv.avg_pool1d(x, 3, 1, 1), [[np.inf, np.nan, -np.inf, -np.inf, 2 / 3]])


def test_stride_is_the_kernel_unless_given():
    x = np.arange(36.0).reshape(1, 6, 6)
    for stride in (None, (), [], (2, 3)):
        assert_same_bits(fastconv.max_pool2d(x, (2, 3), stride), fastconv.max_pool2d(x, (2, 3), (2, 3)))


def test_adaptive_size_none_and_zero():
    x = np.arange(24.0).reshape(1, 4, 6)
    assert_same_bits(fastconv.adaptive_avg_pool2d(x, (None, 3)), x.reshape(1, 4, 3, 2).mean(-1))
    assert_same_bits(fastconv.adaptive_avg_pool2d(x, None), x)
    assert fastconv.adaptive_avg_pool2d(x, (0, 3)).shape == (1, 0, 3)


@pytest.mark.parametrize("shape", [(0, 3, 6, 6), (2, 0, 6, 6), (0, 6, 6)])
def test_no_images(shape):
    for pool in (fastconv.max_pool2d, fastconv.avg_pool2d):
        assert pool(np.empty(shape), 2).shape == (*shape[:-2], 3, 3)
    y, indices = fastconv.max_pool2d(np.empty(shape), 2, return_indices=True)
    assert y.shape == indices.shape == (*shape[:-2], 3, 3)
    assert fastconv.adaptive_avg_pool2d(np.empty(shape), 1).shape == (*shape[:-2], 1, 1)


# ---- arrays and threads ----------------------------------------------------------------------------------------------

CALLS = {
    "max": lambda x, **kw: fastconv.max_pool2d(x, 3, 2, 1, **kw),
    "max of integers": lambda x, **kw: fastconv.max_pool2d((8 * x).astype(np.int16), 3, 2, 1, **kw),
    "avg": lambda x, **kw: fastconv.avg_pool2d(x, 3, 2, 1, **kw),
    "wide avg": lambda x, **kw: fastconv.avg_pool2d(x, (3, 37), (2, 2), **kw),
    "global": lambda x, **kw: fastconv.adaptive_avg_pool2d(x, 1, **kw),
    "adaptive": lambda x, **kw: fastconv.adaptive_avg_pool2d(x, (5, 7), **kw),
    "halves": lambda x, **kw: fastconv.avg_pool2d(x.astype(np.float16), 2, **kw),
}
X = np.random.default_rng(0).standard_normal((3, 21, 58, 61)).astype(np.float32)


@pytest.mark.parametrize("name", CALLS)
def test_same_bits_however_it_is_cut(name, isa):
    """Any number of threads, any batch, any memory layout."""
    call = CALLS[name]
    with fastconv.threads(1):
        expected = call(X)
    for count in (2, 3):
        with fastconv.threads(count):
            assert_same_bits(call(X), expected)
    assert_same_bits(np.stack([call(image) for image in X]), expected)
    backwards = (slice(None, None, -1),) * X.ndim
    wide = np.full((*X.shape[:-1], 2 * X.shape[-1]), np.nan, np.float32)
    wide[..., ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    views = wide[..., ::2], np.asfortranarray(X), X[backwards].copy()[backwards], np.pad(X, 1)[(slice(1, -1),) * 4]
    for view in (*views, read_only, X.astype(X.dtype.newbyteorder("S"))):
        got = call(view)
        assert got.dtype.isnative
        assert_same_bits(got, expected)


@pytest.mark.parametrize("name", CALLS)
def test_out(name):
    """Written where it should be and nowhere else, planes apart, rows apart, other byte order, over the input."""
    call = CALLS[name]
    expected = call(X)
    n, c, h, w = expected.shape
    frame = np.full((n, c + 2, h + 2, w + 2), 7, expected.dtype)
    for out in (frame[:, 1:-1, :h, :w], frame[:, 1:-1].reshape(-1)[: expected.size].reshape(expected.shape)):
        assert call(X, out=out) is out
        assert_same_bits(out.copy(), expected)
    planes = np.full((n, c + 2, h, w), 7, expected.dtype)
    call(X, out=planes[:, 1:-1])
    assert_same_bits(planes[:, 1:-1].copy(), expected)
    assert (planes[:, [0, -1]] == 7).all()
    with pytest.raises(ValueError, match="out"):
        call(X, out=np.empty((n, c, h, w + 1), expected.dtype))
    with pytest.raises(TypeError, match="out"):
        call(X, out=expected.astype(complex))


def test_out_over_the_input_and_with_indices():
    x = np.random.default_rng(0).standard_normal((2, 6, 6))
    expected, places = fastconv.max_pool2d(x, 3, 1, 1, return_indices=True)
    for indices in (False, True):
        same = x.copy()
        got = fastconv.max_pool2d(same, 3, 1, 1, return_indices=indices, out=same)
        assert (got[0] if indices else got) is same
        assert_same_bits(same, expected)
    wide = np.zeros((2, 3, 6, 6))
    y, again = fastconv.max_pool2d(x, 3, 1, 1, return_indices=True, out=wide[:, 1])
    assert_same_bits(y.copy(), expected)
    assert_same_bits(again, places)


# ---- errors ----------------------------------------------------------------------------------------------------------

Z = np.zeros((1, 2, 6, 8), np.float32)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"kernel_size": 0}, ValueError, "kernel_size 0"),
        ({"kernel_size": 2.0}, TypeError, "kernel_size 2.0"),
        ({"kernel_size": (2, 2, 2)}, ValueError, "kernel_size 3 2"),
        ({"kernel_size": 9}, ValueError, "kernel 9 6"),
        ({"kernel_size": 2**64}, ValueError, "kernel_size"),
        ({"stride": 0}, ValueError, "stride 0"),
        ({"stride": (1, 1, 1)}, ValueError, "stride 3 2"),
        ({"padding": 2}, ValueError, "padding half 3 (2, 2)"),
        ({"padding": -1}, ValueError, "padding -1"),
        ({"padding": "same"}, ValueError, "padding same"),
        ({"padding": None}, TypeError, "padding None"),
        ({"ceil_mode": 1}, TypeError, "ceil_mode 1"),
        ({"input": np.zeros((6, 8))}, ValueError, "input 2 3 4"),
        ({"input": np.zeros((1, 1, 1, 6, 8))}, ValueError, "input 5 3 4"),
        ({"input": np.zeros((1, 2, 0, 8))}, ValueError, "input 0"),
        ({"input": Z.astype(complex)}, TypeError, "input complex128"),
        ({"input": Z.astype(object)}, TypeError, "input object"),
    ],
)
@pytest.mark.parametrize("pool", [fastconv.max_pool2d, fastconv.avg_pool2d], ids=["max", "avg"])
def test_errors(pool, change, error, words):
    with pytest.raises(error) as caught:
        pool(**{"input": Z, "kernel_size": 3} | change)
    assert type(caught.value) is error
    assert all(word in str(caught.value) for word in words.split()), str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fastconv.avg_pool2d(Z.astype(int), 2), TypeError, "input int64 float32"),
        (lambda: fastconv.avg_pool2d(Z.astype(bool), 2), TypeError, "input bool"),
        (lambda: fastconv.adaptive_avg_pool2d(Z.astype(int), 2), TypeError, "input int64"),
        (lambda: fastconv.avg_pool2d(Z, 2, divisor_override=0), ValueError, "divisor_override 0"),
        (lambda: fastconv.avg_pool2d(Z, 2, divisor_override=2**63), ValueError, "divisor_override"),
        (lambda: fastconv.avg_pool2d(Z, 2, divisor_override=0.5), TypeError, "divisor_override 0.5"),
        (lambda: fastconv.avg_pool2d(Z, 2, divisor_override=True), TypeError, "divisor_override True"),
        (lambda: fastconv.avg_pool2d(Z, 2, count_include_pad=None), TypeError, "count_include_pad None"),
        (lambda: fastconv.max_pool2d(Z, 2, return_indices=2), TypeError, "return_indices 2"),
        (lambda: fastconv.max_pool2d(Z, 2, dilation=0), ValueError, "dilation 0"),
        (lambda: fastconv.max_pool2d(Z, 2, dilation=2**62), ValueError, "kernel 2"),
        (lambda: fastconv.max_pool2d(Z, 3, dilation=2**62), ValueError, "kernel 3"),
        (lambda: fastconv.max_pool2d(Z, 2, dilation=8), ValueError, "kernel 9 6"),
        (lambda: fastconv.max_pool2d(Z.astype("M8[s]"), 2), TypeError, "input datetime64"),
        (lambda: fastconv.adaptive_avg_pool2d(Z, -1), ValueError, "output_size -1"),
        (lambda: fastconv.adaptive_avg_pool2d(Z, (1, 2, 3)), ValueError, "output_size 3 2"),
        (lambda: fastconv.adaptive_avg_pool2d(Z, 1.0), TypeError, "output_size 1.0"),
        (lambda: fastconv.adaptive_avg_pool2d(Z[:, :, :0], 1), ValueError, "input 0"),
        (lambda: fastconv.adaptive_avg_pool2d(Z, 2**62), ValueError, "output"),
        (lambda: fastconv.max_pool2d(Z, 2**63 - 1, padding=2**62), ValueError, "padding"),
    ],
)
def test_more_errors(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert all(word in str(caught.value) for word in words.split()), str(caught.value)


def test_numbers_beyond_the_input():
    """Sizes near 2**62 that leave few windows: nothing is allocated for what no window sees."""
    x = np.array([[1.0, 5, 3]])
    assert fastconv.max_pool1d(x, 2**62, 2**61, 2**61).tolist() == [[5]]
    assert fastconv.avg_pool1d(x, 3, 2**62).tolist() == [[3]]
    assert fastconv.max_pool1d(x, 2, 2**62, 0, 2).tolist() == [[3]]
    assert fastconv.max_pool1d(x, 2**40, 2**40, 2**39).tolist() == [[5]]
    far = np.zeros((1, 3, 40_000))
    far[0, 1, 39_999] = 1
    assert fastconv.max_pool2d(far, (3, 2), 1, 0, (1, 39_998)).tolist() == [[[0, 1]]]
