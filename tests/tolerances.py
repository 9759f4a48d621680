"""How far a result may lie from the float64 reference: rounding analysis, in this one place.

A sum of n products, computed in floating point with unit roundoff u in any order, with or without fused multiply-add,
satisfies (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1)

    |computed - exact| <= gamma(n) * sum |x||w|,        gamma(n) = n u / (1 - n u).

The bound holds for every input, so a correct implementation cannot miss it, whatever its blocking: a failure is a bug,
never bad luck, and there is no constant to tune. `scale` is that sum of absolute products (plus |bias|): the reference
operator itself, applied to the absolute values. A lost or doubled term shows as soon as its share of the scale,
about 1 / n, exceeds n u: in float32 for all sums shorter than some 4000 terms.

When every operand is a small whole number, no sum rounds at all, and results must *equal* the reference: most tests
use such data, and this bound only serves the rest.
"""

import numpy as np

# 2**-p for p significant bits; the step between subnormals, below which a relative bound means nothing.
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
SUBNORMAL_STEP = {"float16": 2.0**-24, "bfloat16": 2.0**-133}


def gamma(n, u):
    assert n * u < 0.5, "the bound is meaningless for a sum this long"
    return n * u / (1 - n * u)


def tolerance(dtype, length, scale):
    """Largest |got - reference| where a result of `dtype` sums `length` products whose absolute values sum to `scale`.

    Two terms beyond the products: the bias, and the rounding of `scale` itself. The reference rounds too, in float64.
    float16 and bfloat16 are summed in float32 and rounded once more when they are stored.
    """
    name = np.dtype(dtype).name
    computed_in = "float64" if name == "float64" else "float32"
    bound = (gamma(length + 2, UNIT_ROUNDOFF[computed_in]) + gamma(length + 2, UNIT_ROUNDOFF["float64"])) * scale
    if name != computed_in:
        bound = bound + UNIT_ROUNDOFF[name] * (scale + bound) + SUBNORMAL_STEP[name] / 2
    return bound


def transform(size, dtype):
    """Relative error of a Fourier transform in the 2-norm (Higham, theorem 24.2; roots rounded once).

    A butterfly of four is two stages of two, with no more roundings.
    """
    u = UNIT_ROUNDOFF[dtype]
    stages = size.bit_length() - 1
    eta = u + gamma(4, u) * (2**0.5 + u)
    return stages * eta / (1 - stages * eta)


def transforms(size, length):
    """Error of a convolution by float32 transforms, over the sum of ||kernel column||_1 ||image column||_2.

    Transforms of `size` rows forward and back, the spectra of the kernel rounded, a sum of `length` products for each
    frequency; the 2-norm of a column bounds each of its entries. A tile is a part of the image's column, and so are two
    of them, which share a transform.
    """
    u = UNIT_ROUNDOFF["float32"]
    return 2 * transform(size, "float32") + gamma(length + 2, u)


def assert_close(got, reference, length, scale):
    """Compare element by element within `tolerance`; NaN is never close."""
    assert_within(got, reference, tolerance(got.dtype, length, scale))


def assert_within(got, reference, bound):
    """Compare element by element; NaN is never close."""
    assert got.shape == reference.shape
    error = np.abs(np.asarray(got, np.float64) - reference)
    bad = ~(error <= bound)
    if bad.any():
        worst = np.unravel_index(np.argmax(np.where(bad, error, 0)), error.shape)
        worst = tuple(map(int, worst))
        raise AssertionError(
            f"{bad.sum()} of {bad.size} elements off; at {worst}: got {got[worst]}, expected {reference[worst]}, "
            f"error {error[worst]:.3g}, allowed {np.broadcast_to(bound, error.shape)[worst]:.3g}"
        )


# Winograd's sums are not those of the definition, and the bound above does not hold for them. What the documentation
# promises does: this share of the largest output. Random data come to 0.3e-6 (4 points) to 7e-6 (8 points).
WINOGRAD_ERROR = 1e-5


def assert_close_to_largest(got, reference):
    """Compare in the largest norm, as users of networks do."""
    assert got.shape == reference.shape
    error = np.abs(np.asarray(got, np.float64) - reference).max()
    assert error <= WINOGRAD_ERROR * np.abs(reference).max(), error / np.abs(reference).max()


def assert_same_bits(got, expected):
    """The same array to the last bit (so -0.0 is not 0.0, and NaN equals itself)."""
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    assert got.tobytes() == expected.tobytes()
