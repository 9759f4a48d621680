"""Every bad argument: the class of the exception, and that its message names the argument and the numbers."""

import itertools
import tracemalloc

import numpy as np
import pytest
from conditions import needs_true_memory

import fastconv


def zeros(*shape):
    return np.zeros(shape, np.float32)


def scalar(*shape, dtype="float32"):
    """An array of any size in the memory of one number."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def refuses(function, arguments, error, words):
    with pytest.raises(error) as caught:
        function(**arguments)
    assert type(caught.value) is error  # not a UnicodeError, a TooLarge... that callers cannot expect
    said = str(caught.value)
    assert all(word in said for word in words), said


def bad(error, words, **change):
    """One line of a table: what to change about a good call, and what must be said."""
    return pytest.param(change, error, words.split(), id=f"{words} ({error.__name__})")


HUGE = 2**63
INT64_MIN = -(2**63)
WHOLE_NUMBERS = [  # for each option that counts something: at least 1, below 2**63, of an integer type
    (0, ValueError, "0"),
    (-3, ValueError, "-3"),
    (INT64_MIN, ValueError, "-9223372036854775808"),
    (HUGE, ValueError, ""),
    (2.0, TypeError, "2.0"),
    (np.float32(2), TypeError, "2.0"),
    (None, TypeError, "None"),
]
PER_AXIS = [  # for those that have one number for each of two axes
    ((1, 2, 3), ValueError, "3 2"),
    ((), ValueError, "0 2"),
    ((1, 0), ValueError, "0"),
    ((1, 1.5), TypeError, "1.5"),
]


def bad_options(names, values):
    return [bad(error, f"{name} {words}", **{name: value}) for name in names for value, error, words in values]


# ---- convolution -----------------------------------------------------------------------------------------------------

CONV = {"input": zeros(2, 6, 5, 7), "weight": zeros(4, 3, 3, 3), "bias": zeros(4), "groups": 2}
BAD_WEIGHTS = [
    bad(ValueError, "weight 3 4", weight=zeros(4, 3, 3)),
    bad(ValueError, "weight 5 4", weight=zeros(4, 3, 3, 3, 3)),
    bad(ValueError, "weight 0", weight=zeros(4, 3, 0, 3)),
    bad(TypeError, "weight object", weight=None),
    bad(TypeError, "weight int64", weight=np.zeros((4, 3, 3, 3), np.int64)),
]
BAD_INPUTS = [
    bad(ValueError, "input 2 3 4", input=zeros(5, 7)),
    bad(ValueError, "input 5 3 4", input=zeros(1, 2, 6, 5, 7)),
    bad(ValueError, "input 0", input=np.float32(1)),
    bad(TypeError, "input object", input=None),
    bad(TypeError, "input int32", input=np.zeros((2, 6, 5, 7), np.int32)),
]
BAD_BIASES = [
    bad(ValueError, "bias (5,) (4,)", bias=zeros(5)),
    bad(ValueError, "bias (1,) (4,)", bias=zeros(1)),
    bad(ValueError, "bias (4, 1) (4,)", bias=zeros(4, 1)),
    bad(ValueError, "bias () (4,)", bias=np.float32(0)),
]
BAD_CONVS = [
    *BAD_INPUTS,
    *BAD_WEIGHTS,
    *BAD_BIASES,
    *bad_options(("stride", "dilation"), [*WHOLE_NUMBERS, *PER_AXIS]),
    *bad_options(("groups",), WHOLE_NUMBERS),
    bad(ValueError, "weight 0", weight=zeros(0, 3, 3, 3), bias=None),
    bad(ValueError, "weight expects 8 input channels per group, input has 6", weight=zeros(4, 8, 3, 3), groups=1),
    bad(ValueError, "weight expects 3 input channels per group, input has 5", input=zeros(2, 5, 5, 7)),
    bad(ValueError, "groups=3 4", groups=3, input=zeros(2, 9, 5, 7)),
    bad(ValueError, "kernel 6 5", weight=zeros(4, 3, 6, 3)),
    bad(ValueError, "kernel 9 7", dilation=(1, 4)),
    bad(ValueError, "kernel 12 11", weight=zeros(4, 3, 3, 12), padding=(0, 2)),
    bad(ValueError, "kernel 3 0", input=zeros(2, 6, 0, 7)),
    bad(ValueError, "padding -1", padding=-1),
    bad(ValueError, "padding -2", padding=(0, -2)),
    bad(ValueError, "padding -1", padding=((1, -1), (0, 0))),
    bad(ValueError, "padding -9223372036854775808", padding=INT64_MIN),
    bad(ValueError, "padding", padding=HUGE),
    bad(ValueError, "padding 3 2", padding=(1, 2, 3)),
    bad(ValueError, "padding 3 2", padding=((1, 2), (1, 2), (1, 2))),
    bad(ValueError, "padding", padding=((1, 2, 3), (1, 2, 3))),
    bad(ValueError, "padding Same 'same'", padding="Same"),
    bad(ValueError, "padding VALID 'valid'", padding="VALID"),
    bad(ValueError, "padding full", padding="full"),
    bad(TypeError, "padding True", padding=True),
    bad(TypeError, "padding 1.0", padding=1.0),
    bad(TypeError, "padding 0.5", padding=(1, 0.5)),
    bad(TypeError, "padding None", padding=None),
    bad(ValueError, "algorithm fft", algorithm="fft"),
    bad(ValueError, "algorithm AUTO", algorithm="AUTO"),
]


@pytest.mark.parametrize(("change", "error", "words"), BAD_CONVS)
def test_conv2d(change, error, words):
    fastconv.conv2d(**CONV)  # what is not changed is good
    refuses(fastconv.conv2d, CONV | change, error, words)


@pytest.mark.parametrize(("change", "error", "words"), BAD_CONVS)
def test_conv2d_layer(change, error, words):
    def build_and_call(input, **arguments):
        return fastconv.Conv2d(**arguments)(input)

    refuses(build_and_call, CONV | change, error, words)


@pytest.mark.parametrize("axes", [1, 3])
def test_conv1d_and_conv3d(axes):
    function = getattr(fastconv, f"conv{axes}d")
    good = {"input": zeros(2, 6, *(5,) * axes), "weight": zeros(4, 6, *(3,) * axes)}
    assert function(**good).shape == (2, 4, *(3,) * axes)
    refuses(function, good | {"weight": zeros(4, 8, *(3,) * axes)}, ValueError, ("weight", "8", "6"))
    refuses(function, good | {"stride": (1,) * (axes + 1)}, ValueError, ("stride", str(axes + 1), str(axes)))
    refuses(function, good | {"weight": zeros(4, 6, 3, 3)}, ValueError, ("weight", "4", str(axes + 2)))
    refuses(function, good | {"weight": zeros(4, 6, *(6,) * axes)}, ValueError, ("kernel", "6", "5"))


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "subpixel_conv2d", "pixel_shuffle", "pixel_unshuffle"])
def test_unknown_keyword(name):
    with pytest.raises(TypeError, match="paddings"):
        getattr(fastconv, name)(zeros(1, 4, 4, 4), zeros(4, 4, 1, 1), paddings=1)


# ---- transposed convolution ------------------------------------------------------------------------------------------

TRANSPOSED = {"input": zeros(2, 4, 5, 7), "weight": zeros(4, 3, 3, 3), "bias": zeros(6), "groups": 2, "stride": 2}
BAD_TRANSPOSED = [
    bad(ValueError, "input 2 3 4", input=zeros(5, 7)),
    bad(TypeError, "input object", input=None),
    bad(TypeError, "input int32", input=np.zeros((2, 4, 5, 7), np.int32)),
    *BAD_WEIGHTS,
    bad(ValueError, "bias (4,) (6,)", bias=zeros(4)),
    *bad_options(("stride", "dilation"), [*WHOLE_NUMBERS, *PER_AXIS]),
    *bad_options(("groups",), WHOLE_NUMBERS),
    bad(ValueError, "weight 0", weight=zeros(4, 0, 3, 3), bias=None),
    bad(ValueError, "weight expects 4 input channels input has 5", input=zeros(2, 5, 5, 7)),
    bad(ValueError, "groups=3 4", groups=3),
    bad(ValueError, "output_padding 2 2", output_padding=2),
    bad(ValueError, "output_padding 3 3", output_padding=(0, 3), dilation=3),
    bad(ValueError, "output_padding -1", output_padding=-1),
    bad(ValueError, "output_padding 3 2", output_padding=(0, 0, 0)),
    bad(TypeError, "output_padding 0.5", output_padding=0.5),
    bad(ValueError, "padding same", padding="same"),
    bad(ValueError, "padding valid", padding="valid"),
    bad(ValueError, "padding -1", padding=-1),
    bad(TypeError, "padding True", padding=True),
    bad(TypeError, "padding 1.0", padding=1.0),
    bad(ValueError, "output -1", padding=6),  # 2 * 4 + 3 - 12
    bad(ValueError, "output -5", padding=((0, 0), (0, 20))),  # 2 * 6 + 3 - 20
    bad(ValueError, "output_size 11 12 13", output_size=(13, 15)),
    bad(ValueError, "output_size 15 16 14", output_size=(11, 14)),
    bad(ValueError, "output_size 11 12 10", output_size=10),
    bad(ValueError, "output_size", output_size=(2, 5, 11, 15)),
    bad(ValueError, "output_size", output_size=(11, 15, 1)),
    bad(TypeError, "output_size 11.0", output_size=(11.0, 15)),
    bad(ValueError, "output_size output_padding", output_size=(11, 15), output_padding=(0, 1)),
]


@pytest.mark.parametrize(("change", "error", "words"), BAD_TRANSPOSED)
def test_conv_transpose2d(change, error, words):
    fastconv.conv_transpose2d(**TRANSPOSED)
    refuses(fastconv.conv_transpose2d, TRANSPOSED | change, error, words)


@pytest.mark.parametrize(("change", "error", "words"), BAD_TRANSPOSED)
def test_conv_transpose2d_layer(change, error, words):
    def build_and_call(input, output_size=None, **arguments):
        return fastconv.ConvTranspose2d(**arguments)(input, output_size=output_size)

    refuses(build_and_call, TRANSPOSED | change, error, words)


# ---- sub-pixel convolution and shuffle -------------------------------------------------------------------------------

SUBPIXEL = {"input": zeros(2, 6, 5, 7), "weight": zeros(8, 3, 3, 3), "bias": zeros(8), "groups": 2, "upscale_factor": 2}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        *BAD_INPUTS,
        bad(ValueError, "weight 8 6", weight=zeros(8, 8, 3, 3), groups=1),
        bad(ValueError, "bias (2,) (8,)", bias=zeros(2)),
        bad(ValueError, "upscale_factor 9 8", upscale_factor=3),
        *bad_options(("upscale_factor",), [*WHOLE_NUMBERS, *PER_AXIS]),
        bad(ValueError, "upscale_factor", upscale_factor=2**32),
        *bad_options(("stride", "dilation", "groups"), WHOLE_NUMBERS),
        bad(ValueError, "padding full", padding="full"),
        bad(ValueError, "kernel 6 5", weight=zeros(8, 3, 6, 3)),
        bad(ValueError, "algorithm fft", algorithm="fft"),
    ],
)
def test_subpixel_conv2d(change, error, words):
    fastconv.subpixel_conv2d(**SUBPIXEL)
    refuses(fastconv.subpixel_conv2d, SUBPIXEL | change, error, words)


SHUFFLE = {"input": zeros(2, 12, 4, 6), "upscale_factor": 2}
BAD_SHUFFLES = [
    *bad_options(("upscale_factor",), WHOLE_NUMBERS),
    bad(ValueError, "upscale_factor", upscale_factor=()),
    bad(ValueError, "upscale_factor 4", upscale_factor=(1, 1, 1, 1)),
    bad(ValueError, "upscale_factor 0", upscale_factor=(2, 0)),
    bad(TypeError, "upscale_factor 2.0", upscale_factor=(1, 2.0)),
    bad(ValueError, "upscale_factor 25 12", upscale_factor=5),
    bad(ValueError, "upscale_factor", upscale_factor=2**32),
    bad(ValueError, "upscale_factor", upscale_factor=2**32, input=zeros(2, 0, 4, 6)),
    bad(ValueError, "upscale_factor", upscale_factor=(2**31, 2**31, 4), input=zeros(0, 0, 1, 1, 1)),
    bad(ValueError, "", upscale_factor=2**31, input=zeros(2, 0, 4, 6)),  # 2 * (4 * 2^31) * (6 * 2^31) entries
    bad(ValueError, "order rcd", order="rcd"),
    bad(ValueError, "order CRD", order="CRD"),
    bad(ValueError, "ndim 2 3", ndim=3, upscale_factor=(2, 2)),
    bad(ValueError, "4", ndim=4),
    bad(ValueError, "ndim 0", ndim=0),
    bad(TypeError, "ndim 2.0", ndim=2.0),
    bad(ValueError, "input 2 3", input=zeros(4, 6)),
    bad(ValueError, "input 3 4", input=zeros(8, 4, 6), ndim=3),
    bad(ValueError, "input 0", input=np.float32(1)),
]


@pytest.mark.parametrize(("change", "error", "words"), BAD_SHUFFLES)
def test_pixel_shuffle(change, error, words):
    fastconv.pixel_shuffle(**SHUFFLE)
    refuses(fastconv.pixel_shuffle, SHUFFLE | change, error, words)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        *bad_options(("downscale_factor",), WHOLE_NUMBERS),
        bad(ValueError, "downscale_factor 4 6", downscale_factor=4),
        bad(ValueError, "downscale_factor 3 4", downscale_factor=(3, 1)),
        bad(ValueError, "downscale_factor", downscale_factor=2**32),
        bad(ValueError, "downscale_factor", downscale_factor=2**32, input=zeros(1, 3, 0, 0)),
        bad(ValueError, "", downscale_factor=2**31, input=zeros(1, 3, 0, 0)),  # 3 * 2^62 channels
        bad(ValueError, "order rcd", order="rcd"),
        bad(ValueError, "ndim 2 1", ndim=1, downscale_factor=(2, 2)),
        bad(ValueError, "input 2 3", input=zeros(4, 6)),
    ],
)
def test_pixel_unshuffle(change, error, words):
    good = {"input": zeros(2, 3, 4, 6), "downscale_factor": 2}
    fastconv.pixel_unshuffle(**good)
    refuses(fastconv.pixel_unshuffle, good | change, error, words)


# ---- sizes beyond all measure ----------------------------------------------------------------------------------------

NOTHING = 8 << 20  # bytes: not the arrays, which are hundreds of megabytes, but messages and modules on first use


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("conv2d", {"input": zeros(1, 1, 5, 5), "weight": zeros(1, 1, 3, 3), "dilation": 2**62}),
        ("conv2d", {"input": zeros(1, 1, 5, 5), "weight": zeros(1, 1, 3, 3), "dilation": 2**63 - 1}),
        ("conv2d", {"input": zeros(1, 1, 5, 5), "weight": zeros(1, 1, 3, 3), "padding": 2**40}),
        ("conv2d", {"input": zeros(1, 1, 5, 5), "weight": zeros(1, 1, 3, 3), "padding": 2**63 - 1}),
        ("conv2d", {"input": zeros(1, 1, 5, 5), "weight": zeros(1, 1, 3, 3), "padding": "same", "dilation": 2**62}),
        ("conv2d", {"input": scalar(2**40, 1, 2**10, 2**9), "weight": zeros(1, 1, 1, 1), "padding": 2**12}),
        ("conv2d", {"input": scalar(2**59, 1, 1, 1), "weight": zeros(8, 1, 1, 1)}),
        ("conv2d", {"input": zeros(0, 1, 5, 5), "weight": zeros(1, 1, 1, 1), "padding": 2**40}),
        ("conv2d", {"input": zeros(1, 1, 5, 5), "weight": scalar(1, 1, 2**32 + 1, 1)}),
        ("conv1d", {"input": scalar(2**59, 1, 1, dtype="float16"), "weight": zeros(8, 1, 1)}),
        ("conv_transpose2d", {"input": zeros(1, 1, 2, 2), "weight": zeros(1, 1, 1, 1), "stride": 2**63 - 1}),
        ("conv_transpose2d", {"input": zeros(1, 1, 3, 3), "weight": zeros(1, 1, 1, 1), "stride": 2**62}),
        ("conv_transpose2d", {"input": zeros(1, 1, 3, 3), "weight": zeros(1, 1, 3, 3), "stride": 2**31}),
        ("conv_transpose2d", {"input": zeros(1, 1, 3, 3), "weight": zeros(1, 1, 3, 3), "dilation": 2**62}),
        ("conv_transpose2d", {"input": zeros(1, 1, 3, 3), "weight": zeros(1, 1, 3, 3), "padding": 2**63 - 1}),
        ("subpixel_conv2d", {"input": scalar(2**59, 1, 1, 1), "weight": zeros(8, 1, 1, 1), "bias": None,
                             "upscale_factor": 2}),
        ("pixel_shuffle", {"input": scalar(1, 1, 1, 1), "upscale_factor": 2**63 - 1}),
    ],
)  # fmt: skip
def test_sizes_that_cannot_be_counted(function, arguments):
    """More than 2**63 - 1 bytes, or a step on the way there: ValueError, with nothing allocated."""
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"\d"):
        getattr(fastconv, function)(**arguments)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < NOTHING


LIMITED = """
import resource
import numpy as np, fastconv
from fastconv import _core

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
one = np.ones((1, 1, 1), np.float32)

def scalar(*shape, dtype="float32"):
    return np.broadcast_to(np.ones((), dtype), shape)

def works():
    return fastconv.conv1d(np.ones((1, 1, 3)), np.ones((1, 1, 2))).tolist() == [[[2, 2]]]

def check(function, *arguments, **options):
    try:
        getattr(fastconv, function)(*arguments, **options)
    except MemoryError:
        assert works()
        print("MemoryError")
"""


@needs_true_memory
@pytest.mark.parametrize(
    "call",
    [
        "'conv2d', scalar(1, 1, 2**22, 2**22), scalar(1, 1, 1, 1)",  # 2**44 elements
        "'conv2d', scalar(1, 1, 2**22, 2**22, dtype='float16'), scalar(1, 1, 1, 1)",
        "'conv2d', scalar(1, 1, 2**22, 2**22, dtype='float64'), scalar(1, 1, 1, 1)",
        "'conv1d', scalar(1, 1, 2**44), one, stride=2**43",  # the output is small, but the input must be copied
        "'conv1d', scalar(1, 1, 2**44)[..., ::-1], one, stride=2**43",
        "'conv1d', one, one, padding=2**45",
        "'conv1d', scalar(2**44, 1, 1), one",
        "'conv1d', one, scalar(2**44, 1, 1)",
        "'conv1d', one, scalar(2**32, 1, 1)",  # the weights themselves do not fit
        "'conv_transpose1d', scalar(1, 1, 2), one, stride=2**44",
        "'conv_transpose2d', scalar(1, 1, 2**20, 2**20), scalar(1, 1, 2, 2), stride=2",
        "'subpixel_conv2d', scalar(1, 1, 2**20, 2**20), scalar(4, 1, 1, 1), None, 2",
        "'pixel_shuffle', scalar(4, 2**21, 2**21), 2",
        "'pixel_unshuffle', scalar(1, 2**22, 2**22, dtype='u1'), 2",
        "'pixel_shuffle', scalar(4, 2**21, 2**21, dtype='O'), 2",
    ],
)
def test_sizes_that_do_not_fit_raise_memory_error_and_the_process_lives_on(call, python):
    done = python(f"{LIMITED}\ncheck({call})")
    assert done.stdout == "MemoryError\n", f"exit status {done.returncode}: {done.stderr}"


@needs_true_memory
def test_workspace_that_does_not_fit_raises_memory_error(python):
    """All arrays exist already; memory runs out inside the call, between one size and the next."""
    done = python(f"""{LIMITED}
x, w = np.ones((1, 64, 40, 40), np.float32), np.ones((128, 64, 3, 3), np.float32)
out = np.empty((1, 128, 38, 38), np.float32)
layer = fastconv.Conv2d(w)
expected = layer(x).copy()
refused = 0
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
for spare in range(0, 4 << 20, 128 << 10):
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, 4 << 30))
    try:
        layer(x, out=out)
        fastconv.conv2d(x, w, out=out)
    except MemoryError:
        refused += 1
assert refused
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
assert np.array_equal(layer(x, out=out), expected)
print("alive")
""")
    assert done.stdout == "alive\n", f"exit status {done.returncode}: {done.stderr}"


# ---- objects of no use -----------------------------------------------------------------------------------------------


def test_an_endless_sequence_is_not_read_to_its_end():
    for endless in (itertools.count(1), range(2**60), np.broadcast_to(1, 2**40)):
        with pytest.raises(ValueError, match=r"stride takes one entry per axis, got a .* of more than 1000"):
            fastconv.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), stride=endless)
    with pytest.raises(ValueError, match="scale_factor takes one entry per axis, got a repeat of more than 1000"):
        fastconv.interpolate(zeros(1, 1, 5, 5), scale_factor=itertools.repeat(2.0))


def test_steps_that_are_never_taken():
    x = np.arange(4.0).reshape(1, 2, 2)
    assert fastconv.unfold(x, 1, dilation=2**62, stride=2**62).tolist() == [[0.0]]
    assert fastconv.unfold(x, 2, stride=2**63 - 1).tolist() == [[0.0], [1.0], [2.0], [3.0]]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_rows_of_rows_without_end():
    with pytest.raises(TypeError, match="stride takes integers"):
        fastconv.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), stride=np.matrix([[1, 2]]))


def test_half_a_dlpack():
    with pytest.raises(TypeError, match="__dlpack_device__"):
        fastconv.conv2d(type("Half", (), {"__dlpack__": lambda self: None})(), zeros(1, 1, 3, 3))


@pytest.mark.parametrize(("ndim", "error"), [(0, ValueError), (4, ValueError), (True, TypeError), (2.0, TypeError)])
def test_bias_gradient_of_no_axes(ndim, error):
    with pytest.raises(error, match="ndim"):
        fastconv.grad.bias_gradient(zeros(2, 3, 4), ndim)


# ---- nothing is done before everything is checked --------------------------------------------------------------------

# 400 MB each if copied: strides of zero on the last axis, and a dtype that must be converted.
COSTLY = {"input": scalar(1, 6, 4096, 4096, dtype="float16"), "weight": scalar(4096, 6, 64, 64)}


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 4},
        {"stride": 0},
        {"padding": -1},
        {"padding": "SAME"},
        {"dilation": 4096},
        {"bias": zeros(3)},
        {"bias": np.zeros(4096, int)},
        {"algorithm": "fft"},
        {"input": scalar(1, 5, 4096, 4096, dtype="float16")},
        {"input": scalar(1, 6, 4096, 4096, dtype="int8")},
        {"weight": scalar(4096, 6, 64, 64, dtype="int8")},
        {"out": zeros(1, 1, 1, 1)},
        {"out": zeros(1, 4096, 1, 1), "stride": 4096, "bias": np.zeros(4096)},  # float64 would come out
    ],
    ids=lambda change: ", ".join(change),
)
def test_nothing_is_copied_before_the_check(change):
    tracemalloc.start()
    try:
        with pytest.raises((TypeError, ValueError)):
            fastconv.conv2d(**COSTLY | change)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < NOTHING
