"""Random gradients against the reference: of convolutions entry by entry, of other operators in a random direction.

An operator is linear in what a gradient is taken by, so <grad_output, operator(v)> = <gradient, v> for any v: without
zeros among v, a wrong entry shows. The calls are those of `fuzz_calls`, which print as Python.
"""

from contextlib import ExitStack
from typing import NamedTuple

import fuzz_calls
import numpy as np
import reference
from fuzz_calls import Call, Nothing
from strategies import fill
from tolerances import UNIT_ROUNDOFF, WINOGRAD_ERROR

import fastconv
from fastconv import _core, grad

CONVOLUTION = ("stride", "padding", "dilation", "groups", "output_padding", "upscale_factor")


class Gradient(NamedTuple):
    """The gradient of a call by its "input" or "weight"."""

    call: Call
    by: str = "input"


def draw(rng):
    """A random gradient, from a `random.Random`."""
    make = rng.choice((fuzz_calls.a_conv, fuzz_calls.a_conv, fuzz_calls.a_conv_transpose, fuzz_calls.a_subpixel,
                       fuzz_calls.a_pool, fuzz_calls.an_adaptive_pool, fuzz_calls.a_resize, fuzz_calls.windows,
                       fuzz_calls.a_shuffle))  # fmt: skip
    call = make(rng)._replace(special=0.0, out=None)
    if fuzz_calls.is_convolution(call):
        plain = {"SubpixelConv": "subpixel_conv", "ConvTranspose": "conv_transpose", "Conv": "conv"}
        call = call._replace(
            function=plain.get(call.function[:-2], call.function[:-2]) + call.function[-2:],
            shapes={name: call.shapes[name] for name in ("input", "weight")},
            options={name: value for name, value in call.options.items() if name in CONVOLUTION},
        )
        return Gradient(call, rng.choice(("input", "weight")))
    options = {name: value for name, value in call.options.items() if name != "layout"}
    dtype = call.dtype if call.dtype in UNIT_ROUNDOFF else "float64"
    if call.function.startswith("pixel_") and "ndim" not in options:  # channels last: the gradient has the layout too
        options["layout"] = call.options["layout"]
    if call.function.startswith("max_pool"):
        options["return_indices"] = True
    return Gradient(call._replace(options=options, dtype=dtype))


# ---- what must come out ----------------------------------------------------------------------------------------------


def of_convolution(case, x, w, g):
    """(gradient, bound): exact, or within what is promised of Winograd's way."""
    call, options = case.call, dict(case.call.options)
    transposed = "transpose" in call.function
    if factors := options.pop("upscale_factor", None):
        g = reference.pixel_unshuffle(g, factors)
    if not transposed:
        options["padding"] = fuzz_calls.pads_of(call)
    gradients = reference.conv_transpose_gradients if transposed else reference.conv_gradients
    expected = gradients(x, w, g, **options)[case.by == "weight"]
    if case.by == "weight" or call.dtype == "float64":
        with np.errstate(over="ignore"):
            return expected.astype(call.dtype), 0.0
    half = UNIT_ROUNDOFF[call.dtype] if call.dtype in ("float16", "bfloat16") else 0.0
    return expected, (WINOGRAD_ERROR + half) * np.abs(expected).max(initial=0.0)


def apply(call, v, places):
    """The operator as the reference has it, by a direction."""
    if places is not None:
        flat, shape = v.reshape(*v.shape[:2], -1), places.shape
        read = np.take_along_axis(flat, np.maximum(places, 0).reshape(*shape[:2], -1), -1).reshape(shape)
        return np.where(places < 0, 0, read)
    return fuzz_calls.expected_of(call._replace(dtype="float64"), {"input": v})[0]


def check_direction(call, gradient, g, places):
    """<g, operator(v)> = <gradient, v>."""
    rng = np.random.default_rng(call.seed + 1)
    v = rng.choice((-3.0, -2.0, -1.0, 1.0, 2.0, 3.0), call.shapes["input"])
    assert gradient.dtype == call.dtype, (gradient.dtype, call.dtype)
    assert gradient.shape == v.shape, (gradient.shape, v.shape)
    ours, other = (gradient.astype(float) * v).sum(), (g.astype(float) * apply(call, v, places)).sum()
    scale = (np.abs(gradient.astype(float)) * 3).sum() + np.abs(g.astype(float)).sum() * 3
    sizes = 2 + sum(call.shapes["input"][2:]) if call.function == "interpolate" else 32
    assert abs(ours - other) <= 16 * UNIT_ROUNDOFF[call.dtype] * sizes * scale, (ours, other)


# ---- calling ---------------------------------------------------------------------------------------------------------


def output_gradient(case, arrays):
    """Random entries of the output's shape, and where maxima lie."""
    call, places = case.call, None
    if fuzz_calls.is_convolution(call):
        make = fuzz_calls.expect_conv_transpose if "transpose" in call.function else fuzz_calls.expect_conv
        y = make(call, arrays["input"], arrays["weight"], None)
        if 0 in y.shape[2:]:
            raise Nothing
    else:
        y = fuzz_calls.expected_of(call, arrays)[0]
        y, places = y if isinstance(y, tuple) else (y, None)
    return fill(np.random.default_rng(call.seed + 2), y.shape, call.dtype), places


def invoke(case, operands, places):
    call, g = case.call, operands["grad_output"]
    name, shape, options = call.function, call.shapes["input"], dict(call.options)
    if fuzz_calls.is_convolution(call):
        function = getattr(grad, f"{name}_{case.by}")
        if case.by == "input":
            return function(shape, operands["weight"], g, **options)
        return function(operands["input"], call.shapes["weight"], g, **options)
    if name.startswith("pixel_"):
        return getattr(grad, f"{name}_input")(g, **options)
    if name == "unfold":
        return fastconv.fold(g, shape[2:], **options)
    if name.startswith("max_pool"):
        return getattr(grad, f"{name}_input")(shape, places, g)
    if name.startswith("adaptive"):
        return getattr(grad, f"{name}_input")(shape, g)
    options.pop("size", None)
    return getattr(grad, f"{name}_input")(shape, g, **options)


def check(case):
    """Take the gradient; raise unless the right thing comes out, and nothing else has changed."""
    call, before = case.call, _core.isa()
    arrays = fuzz_calls.make_arrays(call)
    if call.function.startswith("pixel_"):
        arrays["input"] = np.zeros(call.shapes["input"], call.dtype)
    _core.use_isa(call.isa)
    try:
        with ExitStack() as guards, fastconv.threads(call.threads), np.errstate(over="ignore"):
            try:
                g, places = output_gradient(case, arrays)
            except Nothing:
                return
            operands = {"grad_output": g, **arrays}
            operands = {name: fuzz_calls.place(array, call.memory, guards) for name, array in operands.items()}
            got = invoke(case, operands, places)
            if not fuzz_calls.is_convolution(call):
                check_direction(call, got, g, places)
                return
            expected, bound = of_convolution(case, arrays["input"], arrays["weight"], g)
            fuzz_calls.compare(call, got, expected, bound)
    finally:
        _core.use_isa(before)


KINDS = (Gradient, Call)
