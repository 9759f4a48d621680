"""Random calls, right ones and wrong ones, against the plain float64 reference: convolutions of every kind, shuffles,
pools, resizing and unfold. `fuzz_gradients` takes the gradients of such calls.

A call is plain data and prints as Python, so that a failing one can be pasted back: `python tests/fuzz.py again`.
Entries are small whole numbers, whose sums are exact in any order: results must be *equal* to the reference, but where
an algorithm with rounding of its own was chosen, or an operator divides. A call may ask for what does not exist (no
window fits, a crop leaves nothing): then a ValueError is the right answer, and the only one.
"""

import math
from contextlib import ExitStack
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401  (makes bfloat16 a dtype)
import numpy as np
import reference
from guard import CAPACITY, MARGIN, Guard
from memory import LAYOUTS
from strategies import SHUFFLE_DTYPES, fill, random_bytes
from tolerances import UNIT_ROUNDOFF, WINOGRAD_ERROR, assert_same_bits, assert_within, tolerance

import fastconv
from fastconv import _core
from fastconv._choice import choose

# Primes, and a vector or a tile of any width, plus and minus one.
SIZES = (1, 2, 3, 5, 7, 8, 9, 11, 13, 15, 16, 17, 23, 29, 31, 32, 33, 47, 48, 49, 61, 63, 64, 65, 97)
CHANNELS = (1, 1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 16, 17, 28, 29, 31, 33)
GUARDED = {"ends at a page": True, "begins at a page": False}
MEMORY = ("plain", *LAYOUTS, *GUARDED, *GUARDED)
MOST = CAPACITY - MARGIN  # bytes of a guarded array
PRODUCTS = 200_000  # multiplications of a call: about a millisecond of the reference
LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
RELUS = {
    None: lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    ("leaky_relu", 0.25): lambda x: np.where(x < 0, x / 4, x),
}


class Call(NamedTuple):
    """A call of `fastconv.<function>`, or of a layer of that name, on arrays of these shapes."""

    function: str
    shapes: dict[str, tuple]
    options: dict[str, Any]
    dtype: str = "float32"
    special: float = 0.0  # the share of entries that are NaN or infinite
    residual: bool = False
    memory: str = "plain"  # how arrays lie
    out: str | None = None  # how `out` lies, if it is given
    isa: str = "baseline"
    threads: int = 1
    seed: int = 0

    @property
    def axes(self):
        return int(self.function[-2])


class Nothing(Exception):  # noqa: N818
    """There is no output, and a ValueError should say so."""


# ---- drawing ---------------------------------------------------------------------------------------------------------


def per_axis(rng, axes, low, high):
    return tuple(rng.randint(low, high) for _ in range(axes))


def a_size(rng, axes):
    """Short rows but for the last axis, along which the vectors run; now and then an axis of nothing."""
    size = [rng.randint(1, 7) for _ in range(axes - 1)] + [rng.choice(SIZES)]
    if rng.random() < 0.02:
        size[rng.randrange(axes)] = 0
    return tuple(size)


def some_padding(rng, axes, high):
    """A number, one per axis, or a (lo, hi) pair per axis."""
    kind = rng.randrange(3)
    if kind == 0:
        return rng.randint(0, high)
    return per_axis(rng, axes, 0, high) if kind == 1 else tuple(per_axis(rng, 2, 0, high) for _ in range(axes))


def how(rng):
    """Where it runs, and how its arrays lie."""
    return {
        "memory": rng.choice(MEMORY),
        "out": rng.choice((None, None, *MEMORY[1:])) if rng.random() < 0.5 else None,
        "isa": rng.choice(_core.available_isas()),
        "threads": rng.choice((1, 1, 2, 3)),
        "seed": rng.randrange(2**32),
    }


def channels(rng, groups, products):
    """(inputs, outputs) per group, so that the call stays small."""
    budget = max(1, PRODUCTS * (10 if rng.random() < 0.03 else 1) // max(1, products * groups))
    inputs = rng.choice([c for c in CHANNELS if c <= budget])
    return inputs, rng.choice([c for c in CHANNELS if inputs * c <= budget] or [1])


def ends(rng, axes, dtype):
    """What may follow a convolution."""
    options = {"algorithm": rng.choice(("auto", "direct"))}
    if rng.random() < 0.3:
        options["activation"] = rng.choice(list(RELUS))
    if rng.random() < 0.25:
        options["layout"] = LAST[axes]
    special = rng.choice((0.02, 0.3)) if rng.random() < 0.1 and dtype in ("float32", "float64") else 0.0
    return options, 0.0 if options.get("activation") else special


def a_conv(rng, name="conv", axes=None):
    axes = axes or rng.randint(1, 3)
    size = a_size(rng, axes)
    kernel = per_axis(rng, axes, 1, 6 - axes if rng.random() < 0.9 else 9 - 2 * axes)
    options = {"stride": per_axis(rng, axes, 1, 3), "dilation": per_axis(rng, axes, 1, rng.choice((1, 3)))}
    options["padding"] = rng.choice(("same", "valid")) if rng.random() < 0.3 else some_padding(rng, axes, 4)
    groups = options["groups"] = rng.choice((1, 1, 1, 2, 3, 16))
    batch = rng.choice((0, 1, 1, 1, 2, 3))
    inputs, outputs = channels(rng, groups, max(1, batch) * math.prod(size) * math.prod(kernel))
    if inputs == 1 and rng.random() < 0.5:
        outputs = 1  # depthwise
    dtype = rng.choice(("float32", "float32", "float64", "float16", "bfloat16"))
    more, special = ends(rng, axes, dtype)
    shapes = {"input": (batch, inputs * groups, *size), "weight": (outputs * groups, inputs, *kernel)}
    if name == "subpixel_conv":
        factors = options["upscale_factor"] = per_axis(rng, axes, 1, 3)
        shapes["weight"] = (outputs * groups * math.prod(factors), inputs, *kernel)
    shapes["bias"] = shapes["weight"][:1]
    if rng.random() < 0.3 and special == 0:
        options["padding_mode"] = rng.choice(("reflect", "replicate", "circular"))
    if rng.random() < 0.4:
        name = {"conv": "Conv", "subpixel_conv": "SubpixelConv"}[name]
    return Call(f"{name}{axes}d", shapes, options | more, dtype, special, rng.random() < 0.2, **how(rng))


def a_subpixel(rng):
    return a_conv(rng, "subpixel_conv", 2)


def a_conv_transpose(rng):
    axes = rng.randint(1, 3)
    size = tuple(min(i, 33) for i in a_size(rng, axes))
    kernel = per_axis(rng, axes, 1, 6 - axes)
    stride, dilation = per_axis(rng, axes, 1, 4), per_axis(rng, axes, 1, 3)
    options = {"stride": stride, "padding": some_padding(rng, axes, 3), "dilation": dilation}
    options["output_padding"] = tuple(rng.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True))
    groups = options["groups"] = rng.choice((1, 1, 1, 2, 3, 16))
    batch = rng.choice((0, 1, 1, 1, 2))
    inputs, outputs = channels(rng, groups, max(1, batch) * math.prod(size) * math.prod(kernel))
    shapes = {"input": (batch, inputs * groups, *size), "weight": (inputs * groups, outputs, *kernel)}
    shapes["bias"] = (outputs * groups,)
    dtype = rng.choice(("float32", "float32", "float64", "float16"))
    more, special = ends(rng, axes, dtype)
    name = "ConvTranspose" if rng.random() < 0.4 else "conv_transpose"
    return Call(f"{name}{axes}d", shapes, options | more, dtype, special, rng.random() < 0.2, **how(rng))


def a_shuffle(rng):
    axes = rng.randint(1, 3)
    factors, order = per_axis(rng, axes, 1, 5 - axes), rng.choice(("crd", "dcr"))
    size = tuple(i * rng.choice((0, 1, 1, 1, 1, 1)) for i in a_size(rng, axes))
    lead, fine = per_axis(rng, rng.randint(0, 2), 0, 3), rng.randint(1, 4)
    name = rng.choice(("pixel_shuffle", "pixel_unshuffle"))
    shape = (*lead, fine * math.prod(factors), *size)
    if name == "pixel_unshuffle":
        shape = (*lead, fine, *(i * r for i, r in zip(size, factors, strict=True)))
    options = {"upscale_factor" if name == "pixel_shuffle" else "downscale_factor": factors, "order": order}
    options["ndim"] = axes
    if rng.random() < 0.3:
        options["layout"] = LAST[axes]
        del options["ndim"]
        shape = (*shape[: len(lead)], *shape[len(lead) + 1 :], shape[len(lead)])
    return Call(name, {"input": shape}, options, rng.choice(SHUFFLE_DTYPES), **how(rng))


def a_pool(rng):
    name, axes = rng.choice(("max_pool", "avg_pool")), rng.randint(1, 3)
    size = tuple(max(1, min(i, 65)) for i in a_size(rng, axes))
    kernel = per_axis(rng, axes, 1, 5)
    options = {
        "kernel_size": kernel,
        "padding": tuple((rng.randint(0, k // 2), rng.randint(0, k // 2)) for k in kernel),
    }
    options |= {"stride": per_axis(rng, axes, 1, 4), "ceil_mode": rng.random() < 0.5}
    if name == "max_pool":
        options |= {"dilation": per_axis(rng, axes, 1, 3), "return_indices": rng.random() < 0.3}
    else:
        options |= {"count_include_pad": rng.random() < 0.5, "divisor_override": rng.choice((None, None, 3, -2))}
    shape = (rng.choice((1, 1, 2)), rng.randint(1, 3), *size)
    return Call(f"{name}{axes}d", {"input": shape}, options, rng.choice(("float32", "float64")), **how(rng))


def an_adaptive_pool(rng):
    axes = rng.randint(1, 3)
    shape = (rng.randint(1, 2), rng.randint(1, 3), *(max(1, min(i, 33)) for i in a_size(rng, axes)))
    options = {"output_size": per_axis(rng, axes, 1, 9)}
    dtype = rng.choice(("float32", "float64"))
    return Call(f"adaptive_avg_pool{axes}d", {"input": shape}, options, dtype, **how(rng))


def a_resize(rng):
    """Sizes at which no output's place is a whole number but for its rounding."""
    axes = rng.randint(1, 3)
    size = tuple(max(1, i) for i in a_size(rng, axes))
    linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[axes]
    mode = rng.choice(("nearest", linear, linear))
    out = tuple(i * rng.randint(1, 5) for i in size)
    if mode == linear:
        out = tuple(rng.choice((i, o, rng.randint(1, 70))) for i, o in zip(size, out, strict=True))
    options = {"size": out, "mode": mode}
    if mode == linear and rng.random() < 0.4:
        options["align_corners"] = True
    shape = (rng.randint(1, 2), rng.randint(1, 3), *size)
    return Call("interpolate", {"input": shape}, options, rng.choice(("float32", "float64")), **how(rng))


def windows(rng):
    kernel, stride, dilation = per_axis(rng, 2, 1, 4), per_axis(rng, 2, 1, 3), per_axis(rng, 2, 1, 2)
    shape = (rng.randint(1, 2), rng.randint(1, 3), rng.randint(1, 9), rng.choice(SIZES[:16]))
    options = {"kernel_size": kernel, "stride": stride, "dilation": dilation, "padding": some_padding(rng, 2, 2)}
    return Call("unfold", {"input": shape}, options, rng.choice(("float32", "float64")), **how(rng) | {"out": None})


DRAWS = (a_conv, a_conv, a_conv, a_conv_transpose, a_conv_transpose, a_subpixel, a_shuffle, a_shuffle, a_pool,
         an_adaptive_pool, a_resize, windows)  # fmt: skip


def draw(rng):
    """A random call, from a `random.Random`."""
    return rng.choice(DRAWS)(rng)


# ---- what must come out: an array, and how far a result may lie from it ----------------------------------------------


def to_last(x):
    return np.moveaxis(x, 1, -1)


def pads_of(call):
    options, size, kernel = call.options, call.shapes["input"][2:], call.shapes["weight"][2:]
    if options["padding"] == "valid":
        return ((0, 0),) * call.axes
    if options["padding"] == "same":
        axes = zip(size, kernel, options["stride"], options["dilation"], strict=True)
        return tuple(reference.same_padding(*axis) for axis in axes)
    return reference.pairs(options["padding"], call.axes)


def check_border(call, mode, pads):
    """No position of the padding is reflected twice, or goes round the circle twice."""
    for i, pad in zip(call.shapes["input"][2:], map(max, pads), strict=True):
        if pad and (i < 1 or (mode == "reflect" and pad >= i) or (mode == "circular" and pad > i)):
            raise Nothing


def expect_conv(call, x, w, b):
    options, pads = call.options, pads_of(call)
    mode = options.get("padding_mode", "zeros")
    if mode != "zeros":
        check_border(call, mode, pads)
    kind = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    with np.errstate(invalid="ignore"):
        x = np.pad(x.astype(float), [(0, 0), (0, 0), *pads], mode=kind)
    y = reference.conv(x, w, b, options["stride"], 0, options["dilation"], options["groups"])
    if "upscale_factor" in options:
        y = reference.pixel_shuffle(y, options["upscale_factor"])
    return y


def expect_conv_transpose(call, x, w, b):
    options = call.options
    pads = reference.pairs(options["padding"], call.axes)
    for i, k, s, d, e, pad in zip(call.shapes["input"][2:], call.shapes["weight"][2:], options["stride"],
                                  options["dilation"], options["output_padding"], pads, strict=True):  # fmt: skip
        if s * (i - 1) + d * (k - 1) + 1 + e <= sum(pad):
            raise Nothing
    return reference.conv_transpose(x, w, b, **{k: v for k, v in options.items() if k in TRANSPOSED_OPTIONS})


TRANSPOSED_OPTIONS = ("stride", "padding", "output_padding", "groups", "dilation")


def expect_convolution(call, x, w, b):
    """(result, bound): exact, or within what the documentation promises of Winograd's and Fourier's way."""
    make = expect_conv_transpose if "ranspose" in call.function else expect_conv
    y = make(call, x, w, b)
    if 0 in y.shape[2:]:
        raise Nothing
    if call.residual:
        y = y + make_residual(call, y.shape)
    finite = np.abs(y[np.isfinite(y)])
    largest = finite.max() if finite.size else 0.0
    y = RELUS[call.options.get("activation")](y)
    if call.options.get("layout"):
        y = to_last(y)
    if not (y.size and is_fast(call, w, b)):
        return y.astype(call.dtype), 0.0
    half = UNIT_ROUNDOFF[call.dtype] if call.dtype in ("float16", "bfloat16") else 0.0
    return y, WINOGRAD_ERROR * largest + half * largest


def is_fast(call, w, b):
    if call.options["algorithm"] == "direct" or call.dtype == "float64":
        return False
    layer, size = layer_of(call, w, b), call.shapes["input"][2:]
    if not layer.describe(shape_given(call))["algorithm"].startswith(("direct", "depthwise", "grouped")):
        return True
    # A function, which packs its weights for one call, may choose another way.
    last = "layout" in call.options
    choice = choose(layer._form.operator, size, np.dtype(np.float32), "auto", _core.widths(), last, once=True)
    return call.function[0].islower() and choice.engine in ("winograd", "fourier")


def shape_given(call):
    shape = call.shapes["input"]
    return (shape[0], *shape[2:], shape[1]) if call.options.get("layout") else shape


def layer_of(call, w, b):
    name = call.function
    if name[0].islower():
        name = {"conv": "Conv", "subpixel_conv": "SubpixelConv", "conv_transpose": "ConvTranspose"}[name[:-2]] + name[
            -2:
        ]
    return getattr(fastconv, name)(w, b, **call.options)


def expect_shuffle(call, x):
    factors = call.options.get("upscale_factor") or call.options["downscale_factor"]
    move = getattr(reference, call.function)
    if not call.options.get("layout"):
        return move(x, factors, call.options["order"]), 0
    at = -1 - len(factors)
    return np.moveaxis(move(np.moveaxis(x, -1, at), factors, call.options["order"]), at, -1), 0


def expect_pool(call, x):
    o = call.options
    axes = zip(
        x.shape[2:], o["kernel_size"], o["stride"], o["padding"], o.get("dilation", (1,) * call.axes), strict=True
    )
    windows = [reference.pool_windows(i, k, s, *p, d, o["ceil_mode"]) for i, k, s, p, d in axes]
    if not all(windows):
        raise Nothing
    if call.function.startswith("max"):
        y, places = reference.max_pool(x, windows)
        return ((y, places) if o["return_indices"] else y), 0
    sums = o["padding"], o["count_include_pad"], o["divisor_override"]
    scale = np.abs(reference.avg_pool(np.abs(x), windows, *sums))
    return reference.avg_pool(x, windows, *sums), tolerance(x.dtype, math.prod(o["kernel_size"]), scale)


def expect_adaptive_pool(call, x):
    windows = [reference.adaptive_windows(i, o) for i, o in zip(x.shape[2:], call.options["output_size"], strict=True)]
    pads = ((0, 0),) * call.axes
    scale = reference.avg_pool(np.abs(x), windows, pads)
    return reference.avg_pool(x, windows, pads), tolerance(x.dtype, math.prod(max(map(len, w)) for w in windows), scale)


def expect_resize(call, x):
    options = call.options
    y = reference.resize(x, options["size"], options["mode"], options.get("align_corners", False))
    # Places are computed in the precision of the image: off by 2 u of their size, times the steps between entries.
    bound = 16 * UNIT_ROUNDOFF[call.dtype] * (2 + sum(x.shape[2:]))
    return y, 0.0 if options["mode"] == "nearest" else bound


def expect_unfold(call, x):
    o = call.options
    x = np.pad(x, [(0, 0), (0, 0), *reference.pairs(o["padding"], 2)])
    axes = zip(x.shape[2:], o["kernel_size"], o["stride"], o["dilation"], strict=True)
    starts = [reference.window_starts(*axis) for axis in axes]
    if not all(starts):
        raise Nothing
    taps = []
    for tap in np.ndindex(*o["kernel_size"]):
        h, w = (np.array(s) + k * d for s, k, d in zip(starts, tap, o["dilation"], strict=True))
        taps.append(x[..., h[:, None], w])
    return np.stack(taps, 2).reshape(x.shape[0], x.shape[1] * len(taps), -1), 0


EXPECT = {
    "pixel_": expect_shuffle,
    "max_pool": expect_pool,
    "avg_pool": expect_pool,
    "adaptive": expect_adaptive_pool,
    "interpolate": expect_resize,
    "unfold": expect_unfold,
}


def is_convolution(call):
    return "conv" in call.function.lower()


def expected_of(call, arrays):
    expect = next((e for name, e in EXPECT.items() if call.function.startswith(name)), expect_convolution)
    return expect(call, *arrays.values())


# ---- calling ---------------------------------------------------------------------------------------------------------


def make_arrays(call):
    rng = np.random.default_rng(call.seed)
    make = random_bytes if call.function.startswith("pixel_") else fill
    arrays = {name: make(rng, shape, call.dtype) for name, shape in call.shapes.items()}
    for name in ("input", "weight") if call.special else ():
        at = rng.random(arrays[name].shape) < call.special
        arrays[name][at] = rng.choice((np.nan, np.inf, -np.inf), at.sum())
    return arrays


def make_residual(call, shape):
    return fill(np.random.default_rng(call.seed + 1), shape, call.dtype)


def residual_as_given(call, shape):
    """The same entries in the layout of the output."""
    if call.options.get("layout"):
        return np.ascontiguousarray(to_last(make_residual(call, (shape[0], shape[-1], *shape[1:-1]))))
    return make_residual(call, shape)


def invoke(call, arrays, **more):
    if call.function[0].isupper():
        x = arrays["input"]
        return layer_of(call, arrays["weight"], arrays["bias"])(x, **more)
    return getattr(fastconv, call.function)(**arrays, **call.options, **more)


def place(array, memory, guards):
    if memory in GUARDED and array.nbytes <= MOST:
        guard = guards.enter_context(Guard(GUARDED[memory]))
        placed = guard.input(array)
        guards.callback(guard.check)
        return placed
    return LAYOUTS[memory](array) if memory in LAYOUTS and array.size else array


def place_out(expected, dtype, memory, guards):
    """An array for `out`, and what takes the result out of it."""
    blank = np.zeros(expected.shape, dtype)
    if memory in GUARDED and blank.nbytes <= MOST:
        guard = guards.enter_context(Guard(GUARDED[memory]))
        out = guard.output(expected.shape, dtype)
        guards.callback(guard.check)
        return out, lambda: guard.take(out)
    out = LAYOUTS[memory](blank) if memory in LAYOUTS and memory != "read-only" and blank.size else blank
    return out, lambda: np.array(out)


def compare(call, got, expected, bound):
    if isinstance(expected, tuple):
        for one, other in zip(got, expected, strict=True):
            assert_same_bits(one, other)
        return
    assert got.dtype == call.dtype, (got.dtype, call.dtype)
    assert got.shape == expected.shape, (got.shape, expected.shape)
    if call.function.startswith("pixel_"):
        assert_same_bits(got, expected)
        return
    if np.ndim(bound) == 0 and bound == 0 and not call.special:
        np.testing.assert_array_equal(got, expected)
        return
    if not call.special:
        assert_within(got, np.asarray(expected, float), np.broadcast_to(bound, expected.shape))
        return
    got, expected = got.astype(float), expected.astype(float)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.where(finite, 0, expected), np.where(np.isfinite(got), 0, got))
    assert_within(got[finite], expected[finite], bound)


def check(call):
    """Make the call; raise unless the right thing comes out, and nothing else has changed."""
    before, arrays = _core.isa(), make_arrays(call)
    _core.use_isa(call.isa)
    try:
        with ExitStack() as guards, fastconv.threads(call.threads):
            operands = {name: place(array, call.memory, guards) for name, array in arrays.items()}
            if is_convolution(call) and call.options.get("layout"):
                operands["input"] = place(np.ascontiguousarray(to_last(arrays["input"])), call.memory, guards)
            try:
                expected, bound = expected_of(call, arrays)
            except Nothing:
                refused(call, operands)
                return
            more, take = {}, None
            if call.residual:
                more["residual"] = place(residual_as_given(call, expected.shape), call.memory, guards)
            if call.out and not isinstance(expected, tuple):
                more["out"], take = place_out(expected, call.dtype, call.out, guards)
            got = invoke(call, operands, **more)
            compare(call, take() if take else got, expected, bound)
    finally:
        _core.use_isa(before)


def refused(call, operands):
    try:
        got = invoke(call, operands)
    except ValueError as error:
        assert str(error)
    else:
        raise AssertionError(f"there is no such output, but {got.shape} came")


KINDS = (Call,)
