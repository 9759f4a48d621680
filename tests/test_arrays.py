"""What comes in and goes out: memory layouts, dtypes, foreign arrays, and out= in every manner."""

import itertools

import numpy as np
import pytest
from memory import LAYOUTS, byte_swapped
from strategies import fill
from tolerances import assert_same_bits

import fastconv

RNG = np.random.default_rng(0)
X = fill(RNG, (2, 4, 9, 17), "float32", "real")
CONV_WEIGHT = fill(RNG, (6, 2, 3, 3), "float32", "real")
TRANSPOSED_WEIGHT = fill(RNG, (4, 3, 3, 3), "float32", "real")
SUBPIXEL_WEIGHT = fill(RNG, (8, 2, 3, 3), "float32", "real")
BIAS = fill(RNG, 6, "float32", "real")

# Each operator as (function of input, weight, bias and keywords; weight; bias).
OPERATORS = {
    "conv": (lambda x, w, b, **kw: fastconv.conv2d(x, w, b, padding=1, groups=2, **kw), CONV_WEIGHT, BIAS),
    "transposed": (
        lambda x, w, b, **kw: fastconv.conv_transpose2d(x, w, b, stride=2, groups=2, **kw), TRANSPOSED_WEIGHT, BIAS,
    ),
    "subpixel": (
        lambda x, w, b, **kw: fastconv.subpixel_conv2d(x, w, b, 2, groups=2, **kw), SUBPIXEL_WEIGHT, BIAS[[0] * 8],
    ),
    "shuffle": (lambda x, w, b, **kw: fastconv.pixel_shuffle(x, 2, **kw), None, None),
    "unshuffle": (lambda x, w, b, **kw: fastconv.pixel_unshuffle(x, (3, 17), **kw), None, None),
}  # fmt: skip


@pytest.fixture(params=OPERATORS)
def operator(request):
    return OPERATORS[request.param]


@pytest.fixture(params=["conv", "transposed", "subpixel"])
def convolution(request):
    """An operator that computes, and so has rules for dtypes."""
    return OPERATORS[request.param]


# ---- layouts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [*LAYOUTS, "byte-swapped"])
def test_layouts(layout, operator):
    function, w, b = operator
    change = LAYOUTS.get(layout, byte_swapped)
    expected = function(X, w, b)
    x = change(X)
    before = x.copy()
    got = function(x, w, b)
    assert_same_bits(x.copy(), before)
    if w is None:
        assert got.dtype == x.dtype  # a mover keeps the dtype, its byte order included
        assert np.array_equal(got, expected)
    else:
        assert_same_bits(got, expected)  # native, whatever came in
        assert_same_bits(function(x, change(w), change(b)), expected)


def test_zero_strides(operator):
    function, w, b = operator
    for keep in itertools.product((slice(None), slice(1)), repeat=4):
        x = np.broadcast_to(X[keep], X.shape)
        assert_same_bits(function(x, w, b), function(x.copy(), w, b))
    if w is not None:
        flat = np.broadcast_to(w[:1, :1, :1, :1], w.shape), np.broadcast_to(b[:1], b.shape)
        assert_same_bits(function(X, *flat), function(X, *(a.copy() for a in flat)))


def test_overlapping_windows_of_one_buffer(operator):
    function, w, b = operator
    row = fill(np.random.default_rng(1), 17 + 9 + 4, "float32", "real")
    x = np.lib.stride_tricks.as_strided(row, X.shape, (0, 4, 4, 4), writeable=False)
    assert_same_bits(function(x, w, b), function(x.copy(), w, b))


# ---- foreign arrays --------------------------------------------------------------------------------------------------


class HasArray:
    """What pandas, xarray and others offer."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


class HasDlpack:
    """What other tensor libraries offer, and nothing else."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnAnotherDevice(HasDlpack):
    def __dlpack_device__(self):
        return (2, 0)  # kDLCUDA

    def __dlpack__(self, **options):
        raise AssertionError("must not be asked for")


class Subclass(np.ndarray):
    """A subclass that would break if its own arithmetic were used."""

    def __array_finalize__(self, parent):
        self.extra = "kept by nobody"

    def __mul__(self, other):
        raise AssertionError

    __matmul__ = __add__ = __mul__


@pytest.mark.parametrize("wrap", [HasArray, HasDlpack, lambda a: a.view(Subclass)], ids=["array", "dlpack", "subclass"])
def test_foreign_arrays(wrap, operator):
    function, w, b = operator
    expected = function(X, w, b)
    got = function(wrap(X.copy()), *(None if a is None else wrap(a.copy()) for a in (w, b)))
    assert type(got) is np.ndarray
    assert_same_bits(got, expected)


def test_nested_lists_are_float64(operator):
    function, w, b = operator
    arrays = [None if a is None else a.astype(np.float64) for a in (X, w, b)]
    lists = [None if a is None else a.tolist() for a in arrays]
    assert_same_bits(function(*lists), function(*arrays))


def test_memory_mapped_file(tmp_path, operator):
    function, w, b = operator
    np.save(tmp_path / "x.npy", X)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    got = function(x, w, b)
    assert type(got) is np.ndarray
    assert_same_bits(got, function(X, w, b))
    del x


def test_masked_arrays_are_refused(operator):
    function, w, b = operator
    masked = np.ma.masked_less(X, 0)
    with pytest.raises(TypeError, match="mask"):
        function(masked, w, b)
    if w is not None:
        with pytest.raises(TypeError, match=r"weight.*mask"):
            function(X, np.ma.masked_less(w, 0), b)
        with pytest.raises(TypeError, match=r"bias.*mask"):
            function(X, w, np.ma.masked_less(b, 0))
    with pytest.raises(TypeError, match="out"):
        function(X, w, b, out=np.ma.zeros(function(X, w, b).shape, np.float32))


def test_other_devices_are_refused(operator):
    function, w, b = operator
    with pytest.raises(TypeError, match=r"input.*CPU"):
        function(OnAnotherDevice(X), w, b)


def test_ragged_lists_are_refused(operator):
    function, w, b = operator
    with pytest.raises(ValueError, match="input"):
        function([[[[1.0, 2.0], [3.0]]]], w, b)


# ---- dtypes ----------------------------------------------------------------------------------------------------------


def dtype_of(name):
    return np.dtype(getattr(pytest.importorskip("ml_dtypes"), name)) if name == "bfloat16" else np.dtype(name)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_computes_in_float32_and_rounds_once(name, convolution, isa):
    function, w, b = convolution
    half = dtype_of(name)
    x, w, b = (a.astype(half) for a in (X, w, b))
    got = function(x, w, b)
    assert got.dtype == half
    assert_same_bits(got, function(*(a.astype(np.float32) for a in (x, w, b))).astype(half))
    out = np.zeros(got.shape, half)
    assert function(x, w, b, out=out) is out
    assert_same_bits(out, got)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_sums_do_not_saturate(name):
    """4096 ones and one more: a float16 or bfloat16 accumulator would stop counting long before."""
    half = dtype_of(name)
    y = fastconv.conv1d(np.ones((1, 4096, 1), half), np.ones((1, 4096, 1), half))
    assert float(y[0, 0, 0]) == 4096


MIXED = [  # input, weight, bias, result
    ("float16", "float32", "float32", "float32"),
    ("float32", "float16", "float16", "float32"),
    ("float32", "float64", "float32", "float64"),
    ("float64", "float32", "float32", "float64"),
    ("float32", "float32", "float64", "float64"),
    ("float16", "float64", "float16", "float64"),
    ("float16", "bfloat16", "float16", "float32"),
    ("bfloat16", "float16", "bfloat16", "float32"),
    ("bfloat16", "bfloat16", "float16", "float32"),
    ("bfloat16", "float32", "bfloat16", "float32"),
    ("float64", "bfloat16", "bfloat16", "float64"),
    (">f4", "<f4", ">f4", "float32"),
    (">f8", "float32", "float32", "float64"),
]


@pytest.mark.parametrize("names", MIXED, ids="-".join)
def test_mixed_dtypes_follow_numpy(names, convolution):
    function, w, b = convolution
    *dtypes, result = map(dtype_of, names)
    x, w, b = (a.astype(dtype) for a, dtype in zip((X, w, b), dtypes, strict=True))
    got = function(x, w, b)
    assert_same_bits(got, function(*(a.astype(result) for a in (x, w, b))))


def test_the_table_of_mixed_dtypes_is_numpys():
    for *given, result in MIXED:
        if "bfloat16" not in given:
            assert np.result_type(*given).newbyteorder("=") == result


@pytest.mark.parametrize(("dtype", "wider"), [("float32", "float64"), ("float16", "float32"), ("float16", "float64")])
def test_a_layer_meets_an_input_of_a_wider_dtype(dtype, wider):
    """The layer computes as np.result_type promises: with its weights in the wider dtype."""
    w, b = CONV_WEIGHT.astype(dtype), BIAS.astype(dtype)
    x = X.astype(wider) + 2.0**-12
    layer = fastconv.Conv2d(w, b, groups=2)
    expected = fastconv.conv2d(x, w.astype(wider), b.astype(wider), groups=2)
    for _ in range(2):  # the second call finds the wider engine
        assert_same_bits(layer(x), expected)
    assert layer(X.astype(dtype)).dtype == dtype


REFUSED = ["int8", "uint8", "int32", "int64", "bool", "complex64", "complex128", "object", "U1", "S1", "M8[s]", "V4"]
if np.dtype("longdouble") != np.dtype("float64"):
    REFUSED.append("longdouble")


@pytest.mark.parametrize("dtype", REFUSED)
@pytest.mark.parametrize("argument", ["input", "weight", "bias"])
def test_other_dtypes_are_refused_by_convolutions(argument, dtype, convolution):
    function, w, b = convolution
    arrays = {"input": X, "weight": w, "bias": b}
    arrays[argument] = np.zeros(arrays[argument].shape, dtype)
    with pytest.raises(TypeError) as caught:
        function(*arrays.values())
    said = str(caught.value)
    assert argument in said
    assert str(np.dtype(dtype)) in said
    if np.dtype(dtype).kind in "biu":
        assert "astype" in said  # what to do about it


def test_lists_of_integers_are_integers():
    with pytest.raises(TypeError, match="int64"):
        fastconv.conv1d([[[1, 2, 3]]], [[[1.0]]])


# ---- out= ------------------------------------------------------------------------------------------------------------


MARK = np.full(4, 0xA5, np.uint8).view(np.float32)[0]  # a pattern of bytes that no result holds


def outs(shape):
    """A float32 array of the shape in every layout, with the buffer it lies in: (layout, out, buffer)."""
    buffer = np.zeros(shape, np.float32)
    yield "C order", buffer, buffer
    buffer = np.zeros(shape, np.float32, order="F")
    yield "Fortran order", buffer, buffer
    for axis in range(len(shape)):
        buffer = np.zeros([s * (1 + (a == axis)) for a, s in enumerate(shape)], np.float32)
        yield f"every second on axis {axis}", buffer[(slice(None),) * axis + (slice(1, None, 2),)], buffer
        buffer = np.zeros(shape, np.float32)
        yield f"reversed axis {axis}", np.flip(buffer, axis), buffer
    buffer = np.zeros([s + 4 for s in shape], np.float32)
    yield "inside a frame", buffer[(slice(2, -2),) * len(shape)], buffer
    buffer = np.zeros(4 * int(np.prod(shape)) + 2, np.uint8)
    yield "misaligned", buffer[1:-1].view(np.float32).reshape(shape), buffer


def test_out_in_every_layout(operator):
    """Written where `out` lies, and nowhere else: with `out` wiped, the whole buffer is as it was."""
    function, w, b = operator
    expected = function(X, w, b)
    for layout, out, buffer in outs(expected.shape):
        buffer[...] = 0xA5 if buffer.dtype == np.uint8 else MARK
        assert function(X, w, b, out=out) is out, layout
        assert_same_bits(out.copy(), expected)
        out[...] = MARK
        assert set(buffer.tobytes()) == {0xA5}, layout


def test_out_without_the_batch_axis(operator):
    function, w, b = operator
    expected = function(X[0], w, b)
    out = np.zeros_like(expected)
    assert function(X[0], w, b, out=out) is out
    assert_same_bits(out, expected)


def test_out_for_an_empty_batch(operator):
    function, w, b = operator
    out = np.zeros((0, *function(X, w, b).shape[1:]), np.float32)
    assert function(X[:0], w, b, out=out) is out


@pytest.mark.parametrize("change", [1, -1])
def test_out_of_the_wrong_shape(change, operator):
    function, w, b = operator
    shape = function(X, w, b).shape
    for axis in range(4):
        wrong = tuple(s + change * (a == axis) for a, s in enumerate(shape))
        with pytest.raises(ValueError, match="out") as caught:
            function(X, w, b, out=np.zeros(wrong, np.float32))
        assert str(shape) in str(caught.value)
        assert str(wrong) in str(caught.value)
    with pytest.raises(ValueError, match="out"):
        function(X, w, b, out=np.zeros(shape[1:], np.float32))


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "V4", np.dtype("f4").newbyteorder("S")])
def test_out_of_the_wrong_dtype(dtype, operator):
    function, w, b = operator
    with pytest.raises(TypeError, match=r"out.*float32"):
        function(X, w, b, out=np.zeros(function(X, w, b).shape, dtype))


@pytest.mark.parametrize("out", [[0.0], "out", 1, (np.zeros(1),)])
def test_out_that_is_no_array(out, operator):
    function, w, b = operator
    with pytest.raises(TypeError, match="out"):
        function(X, w, b, out=out)


def test_out_that_is_read_only(operator):
    function, w, b = operator
    out = np.zeros(function(X, w, b).shape, np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"out.*read-only"):
        function(X, w, b, out=out)
    assert not out.any()


def test_out_that_overlaps_itself(operator):
    function, w, b = operator
    shape = function(X, w, b).shape
    buffer = np.zeros(shape, np.float32)
    several = np.flatnonzero(np.array(shape) > 1)  # a single entry cannot meet another
    for axis in several:
        for stride in (0, 2 if axis == several[-1] else 4):  # half an entry, or what the last axis steps by
            strides = tuple(stride if a == axis else s for a, s in enumerate(buffer.strides))
            out = np.lib.stride_tricks.as_strided(buffer, shape, strides)
            with pytest.raises(ValueError, match=r"out.*overlap"):
                function(X, w, b, out=out)
    assert not buffer.any()


SAME_SHAPE = {  # operators whose output can be their own input
    "conv": (lambda x, out: fastconv.conv2d(x, CONV_WEIGHT[:4], BIAS[:4], padding=1, groups=2, out=out)),
    "pointwise": (lambda x, out: fastconv.conv2d(x, CONV_WEIGHT[:4, :, :1, :1], groups=2, out=out)),
    "transposed": (lambda x, out: fastconv.conv_transpose2d(x, TRANSPOSED_WEIGHT[:, :2], padding=1, groups=2, out=out)),
    "subpixel": (lambda x, out: fastconv.subpixel_conv2d(x, CONV_WEIGHT[:4], None, 1, 1, 1, 1, 2, out=out)),
    "shuffle": (lambda x, out: fastconv.pixel_shuffle(x, 1, out=out)),
}


@pytest.mark.parametrize("name", SAME_SHAPE)
@pytest.mark.parametrize("shift", [0, 1, 16, 17, 153, 612])
def test_out_that_overlaps_the_input(name, shift, isa, threads):
    """The result is as if it did not: for the input itself, and shifted by an element, a row, an image."""
    function = SAME_SHAPE[name]
    expected = function(X, None)
    for forward in (True, False):
        buffer = np.zeros(X.size + shift, np.float32)
        first, second = buffer[: X.size].reshape(X.shape), buffer[shift:].reshape(X.shape)
        x, out = (first, second) if forward else (second, first)
        x[...] = X
        assert function(x, out) is out
        assert_same_bits(out.copy(), expected)


@pytest.mark.parametrize("name", SAME_SHAPE)
def test_out_is_the_input_backwards(name):
    function = SAME_SHAPE[name]
    expected = function(X, None)
    x = X.copy()
    function(x, x[:, ::-1, ::-1])
    assert_same_bits(x[:, ::-1, ::-1].copy(), expected)


@pytest.mark.parametrize("layered", [False, True])
def test_out_that_overlaps_weight_or_bias(layered):
    for axis, target in ((1, "weight"), (0, "bias")):
        buffer = np.zeros(5000, np.float32)
        w, b = CONV_WEIGHT.copy(), BIAS.copy()
        expected = fastconv.conv2d(X, w, b, groups=2)
        if target == "weight":
            w = buffer[: w.size].reshape(w.shape)
            w[...] = CONV_WEIGHT
        else:
            b = buffer[: b.size]
            b[...] = BIAS
        out = buffer[axis : axis + expected.size].reshape(expected.shape)
        if layered:
            fastconv.Conv2d(w, b, groups=2)(X, out=out)
        else:
            fastconv.conv2d(X, w, b, groups=2, out=out)
        assert_same_bits(out.copy(), expected)


def test_refused_out_is_left_alone():
    """An error is found before anything is written."""
    out = np.full((2, 6, 7, 15), 5, np.float32)
    with pytest.raises(ValueError, match="weight"):
        fastconv.conv2d(X[:, :3], CONV_WEIGHT, BIAS, groups=2, out=out)
    assert (out == 5).all()
