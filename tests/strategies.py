"""Random operator calls for hypothesis: shapes at the edges of tiles and panels, the work kept small.

A case is plain data (shapes, options, a seed), so that a failing one prints as something to paste; its arrays come from
the seed. `values="whole"` fills them with small whole numbers, whose sums are exact in float32 in any order: such a
result must equal the reference. `values="real"` fills them with normal deviates, compared within rounding.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import reference
from hypothesis import strategies as st
from tolerances import assert_close

import fastconv

# Around 1, 2 and 4 vectors of 8 or 16 lanes: where a row ends inside, at, or just past a tile.
EDGE_SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65)
# Output channels around micro-kernel heights of 6 and 14, and twice that: full, partial and second panels.
EDGE_CHANNELS = (1, 2, 3, 4, 5, 6, 7, 13, 14, 15, 28, 29)
IN_CHANNELS = (1, 2, 3, 4, 5, 8, 17)
MAX_PRODUCTS = 300_000  # multiplications per case: about a millisecond for the reference

DTYPES = ("float32", "float64")


def fill(rng, shape, dtype, values="whole"):
    whole = values == "whole"
    return (rng.integers(-4, 5, shape) if whole else rng.standard_normal(shape)).astype(dtype)


@dataclass(frozen=True)
class Case:
    """One call of an operator on random arrays, and what must come out."""

    operator: str  # "conv" or "conv_transpose"
    input_shape: tuple
    weight_shape: tuple
    bias: bool
    dtype: str
    values: str
    seed: int
    options: dict

    @property
    def axes(self):
        return len(self.weight_shape) - 2

    @property
    def function(self):
        return getattr(fastconv, f"{self.operator}{self.axes}d")

    @property
    def layer(self):
        name = {"conv": "Conv", "conv_transpose": "ConvTranspose"}[self.operator]
        return getattr(fastconv, f"{name}{self.axes}d")

    @property
    def out_channels(self):
        return self.weight_shape[0] if self.operator == "conv" else self.weight_shape[1] * self.options["groups"]

    @cached_property
    def arrays(self):
        """Input, weight, and bias or None."""
        rng = np.random.default_rng(self.seed)
        x, w = (fill(rng, shape, self.dtype, self.values) for shape in (self.input_shape, self.weight_shape))
        return x, w, fill(rng, self.out_channels, self.dtype, self.values) if self.bias else None

    def reference(self, *arrays):
        return getattr(reference, self.operator)(*arrays, **self.options)

    @cached_property
    def expected(self):
        return self.reference(*self.arrays)

    @property
    def sum_length(self):
        """The most products that meet in one output."""
        if self.operator == "conv":
            return math.prod(self.weight_shape[1:])
        channels = self.weight_shape[0] // self.options["groups"]
        geometry = zip(self.weight_shape[2:], self.options["stride"], self.options["dilation"], strict=True)
        # k*d takes every S-th value once in S / gcd(S, d) taps
        return channels * math.prod(math.ceil(k * math.gcd(s, d) / s) for k, s, d in geometry)

    def check(self, got):
        """Equal for whole numbers; else within the rounding of the sums."""
        assert got.dtype == self.dtype
        if self.values == "whole":
            assert got.shape == self.expected.shape
            np.testing.assert_array_equal(got, self.expected)
            return
        scale = self.reference(*(None if a is None else np.abs(a) for a in self.arrays))
        assert_close(got, self.expected, self.sum_length, scale)


def per_axis(axes, low, high):
    return st.tuples(*[st.integers(low, high)] * axes)


def paddings(axes, high):
    """One number per axis, or a (lo, hi) pair per axis."""
    return per_axis(axes, 0, high) | st.tuples(*[per_axis(2, 0, high)] * axes)


def sizes(axes):
    """Short rows but for the last axis, along which the vectors run."""
    return st.tuples(*[st.integers(1, 4)] * (axes - 1), st.sampled_from(EDGE_SIZES))


@st.composite
def channel_counts(draw, products_per_pair):
    """(groups, input channels, output channels), the latter two per group, within the budget."""
    groups = draw(st.sampled_from((1, 1, 1, 2, 3, 16)))
    budget = MAX_PRODUCTS // (products_per_pair * groups)
    c_out = draw(st.sampled_from([c for c in EDGE_CHANNELS if c <= max(1, budget)]))
    c_in = draw(st.sampled_from([c for c in IN_CHANNELS if c * c_out <= max(c_out, budget)]))
    return groups, c_in, c_out


@st.composite
def conv_cases(draw, axes=None, dtype=None):
    axes = axes or draw(st.integers(1, 3))
    kernel = draw(per_axis(axes, 1, 5 - axes))
    stride, dilation, padding = draw(per_axis(axes, 1, 3)), draw(per_axis(axes, 1, 3)), draw(paddings(axes, 3))
    # The sizes drawn are those of the output; the last pixels of the input may be more than the windows need.
    out, slack = draw(sizes(axes)), draw(per_axis(axes, 0, 2))
    pads = reference.pairs(padding, axes)
    spatial = [
        max(0, (o - 1) * s + d * (k - 1) + 1 - sum(p) + min(more, s - 1))
        for o, s, d, k, p, more in zip(out, stride, dilation, kernel, pads, slack, strict=True)
    ]
    batch = draw(st.integers(1, 2))
    groups, c_in, c_out = draw(channel_counts(batch * math.prod(out) * math.prod(kernel)))
    return Case(
        operator="conv",
        input_shape=(batch, groups * c_in, *spatial),
        weight_shape=(groups * c_out, c_in, *kernel),
        bias=draw(st.booleans()),
        dtype=dtype or draw(st.sampled_from(DTYPES)),
        values=draw(st.sampled_from(("whole", "real"))),
        seed=draw(st.integers(0, 2**16)),
        options={"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
    )


@st.composite
def transposed_cases(draw, axes=None, dtype=None):
    axes = axes or draw(st.integers(1, 3))
    kernel = draw(per_axis(axes, 1, 5 - axes))
    stride, dilation = draw(per_axis(axes, 1, 4)), draw(per_axis(axes, 1, 3))
    spatial = draw(sizes(axes))
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    padding = draw(paddings(axes, 4))
    # A crop that leaves nothing is an error, and not what is tested here: such an axis keeps everything.
    full = [
        s * (i - 1) + d * (k - 1) + 1 + e
        for i, s, d, k, e in zip(spatial, stride, dilation, kernel, extra, strict=True)
    ]
    fits = [sum(p) < size for p, size in zip(reference.pairs(padding, axes), full, strict=True)]
    padding = tuple(p if ok else 0 * p if isinstance(p, int) else (0, 0) for p, ok in zip(padding, fits, strict=True))
    batch = draw(st.integers(1, 2))
    groups, c_in, c_out = draw(channel_counts(batch * math.prod(spatial) * math.prod(kernel)))
    return Case(
        operator="conv_transpose",
        input_shape=(batch, groups * c_in, *spatial),
        weight_shape=(groups * c_in, c_out, *kernel),
        bias=draw(st.booleans()),
        dtype=dtype or draw(st.sampled_from(DTYPES)),
        values=draw(st.sampled_from(("whole", "real"))),
        seed=draw(st.integers(0, 2**16)),
        options={
            "stride": stride,
            "padding": padding,
            "output_padding": extra,
            "groups": groups,
            "dilation": dilation,
        },
    )


# One of every width in bytes that a data mover may treat on its own, and widths it may not know.
SHUFFLE_DTYPES = (
    "bool", "int8", "uint8", "int16", ">u2", "float16", "int32", "float32", ">f4", "float64", "int64",
    "complex64", "complex128", "M8[ns]", "S3", "U2", "V5", "V32", "i2,f4",
)  # fmt: skip


@dataclass(frozen=True)
class ShuffleCase:
    """A coarse array for pixel_shuffle: any leading axes, a factor per axis, any dtype."""

    lead: tuple
    channels: int  # of the fine array
    sizes: tuple  # of the coarse array
    factors: tuple
    order: str
    dtype: str
    seed: int

    @cached_property
    def coarse(self):
        shape = (*self.lead, self.channels * math.prod(self.factors), *self.sizes)
        return random_bytes(np.random.default_rng(self.seed), shape, self.dtype)


def random_bytes(rng, shape, dtype):
    """An array of any dtype with every byte random, except where only some bytes are values."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind == "U":
        return rng.integers(0, 100, shape).astype(dtype)
    raw = rng.integers(0, 256, (math.prod(shape), dtype.itemsize), np.uint8)
    return raw.reshape(-1).view(dtype).reshape(shape)


@st.composite
def shuffle_cases(draw):
    factors = draw(st.integers(1, 3).flatmap(lambda axes: per_axis(axes, 1, 5 - axes)))
    return ShuffleCase(
        lead=tuple(draw(st.lists(st.integers(0, 3), max_size=3))),
        channels=draw(st.integers(1, 3)),
        sizes=(*draw(per_axis(len(factors) - 1, 1, 4)), draw(st.sampled_from((0, *EDGE_SIZES)))),
        factors=factors,
        order=draw(st.sampled_from(("crd", "dcr"))),
        dtype=draw(st.sampled_from(SHUFFLE_DTYPES)),
        seed=draw(st.integers(0, 2**16)),
    )
