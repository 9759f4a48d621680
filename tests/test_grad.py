"""Gradients: by adjointness and finite differences of the reference, and with the same bits on any number of threads.

An operator is linear in its input and in its weight, so a gradient is exact: for every direction v,
<grad_output, operator(v)> = <gradient, v>; whole numbers make both sides exact, and unit vectors as v make every entry
of the gradient seen.
"""

import numpy as np
import pytest
import reference
from conditions import needs_true_memory
from hypothesis import given
from hypothesis import strategies as st
from strategies import fill
from tolerances import assert_same_bits

import fastconv
from fastconv import grad


def by_unit_vectors(function, shape, g):
    """The gradient by an argument in which `function` is linear: a finite difference of step 1 from 0 has no error."""
    gradient = np.zeros(shape)
    for at in np.ndindex(*shape):
        unit = np.zeros(shape)
        unit[at] = 1
        gradient[at] = (g * function(unit)).sum()
    return gradient


@st.composite
def cases(draw):
    """(operator, input, weight, options): shapes that the reference can take one unit vector at a time."""
    axes, groups = draw(st.integers(1, 3)), draw(st.sampled_from((1, 1, 2)))
    several = lambda low, high: draw(st.tuples(*[st.integers(low, high)] * axes))  # noqa: E731
    kernel, stride, dilation = several(1, 2 if axes == 3 else 3), several(1, 3), several(1, 3)
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes))
    operator = draw(st.sampled_from(("conv", "conv_transpose")))
    c_in, c_out = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    size = tuple(d * (k - 1) + 1 + extra for d, k, extra in zip(dilation, kernel, several(0, 2), strict=True))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if operator == "conv":
        weight = (c_out * groups, c_in, *kernel)
    else:
        weight = (c_in * groups, c_out, *kernel)
        size = tuple(i + 4 for i in size)
        options["output_padding"] = tuple(min(1, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = fill(rng, (draw(st.integers(1, 2)), c_in * groups, *size), draw(st.sampled_from(("float32", "float64"))))
    return operator, x, fill(rng, weight, x.dtype), options


@given(case=cases())
def test_every_gradient_equals_the_differences_of_the_reference(case, isa):
    operator, x, w, options = case
    apply = getattr(reference, operator)
    y = apply(x, w, **options)
    g = fill(np.random.default_rng(1), y.shape, x.dtype)
    backward = getattr(grad, f"{operator}{x.ndim - 2}d_backward")
    by_input, by_weight, by_bias = backward(g, x, w, **options)
    assert by_input.dtype == by_weight.dtype == by_bias.dtype == x.dtype
    if x.size <= 200:
        np.testing.assert_array_equal(by_input, by_unit_vectors(lambda v: apply(v, w, **options), x.shape, g))
    v = fill(np.random.default_rng(2), x.shape, "float64")
    assert (by_input.astype(float) * v).sum() == (g * apply(v, w, **options)).sum()
    np.testing.assert_array_equal(by_weight, by_unit_vectors(lambda v: apply(x, v, **options), w.shape, g))
    np.testing.assert_array_equal(by_bias, g.sum(axis=(0, *range(2, g.ndim))))


@pytest.mark.parametrize(("channels", "outputs", "size"), [(33, 29, 17), (65, 14, 16), (3, 130, 33), (31, 15, 20)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weight_gradient_at_the_edges_of_tiles(channels, outputs, size, dtype, isa):
    rng = np.random.default_rng(0)
    x, g = fill(rng, (2, channels, size, size), dtype), fill(rng, (2, outputs, size, size), dtype)
    got = grad.conv2d_weight(x, (outputs, channels, 3, 3), g, padding="same")
    padded = np.pad(x.astype(float), ((0, 0), (0, 0), (1, 1), (1, 1)))
    for i, j in np.ndindex(3, 3):
        tap = np.einsum("nohw,nchw->oc", g.astype(float), padded[:, :, i : i + size, j : j + size], optimize=True)
        np.testing.assert_array_equal(got[:, :, i, j], tap)


@pytest.mark.parametrize(
    ("size", "kernel", "options"),
    [
        ((250, 260), (3, 3), {"padding": 1}),
        ((520, 130), (3, 2), {"padding": ((0, 2), (1, 0)), "stride": (2, 1)}),
        ((70_000,), (4,), {"dilation": 3, "padding": 5}),
        ((40, 41, 42), (2, 1, 2), {"padding": (1, 0, 0)}),
    ],
)
def test_weight_gradient_by_bands(size, kernel, options, isa, threads):
    """Images that are not transposed as a whole."""
    rng, axes = np.random.default_rng(0), len(size)
    x, w = fill(rng, (1, 60, *size), "float32"), np.zeros((62, 60, *kernel), np.float32)
    y = getattr(fastconv, f"conv{axes}d")(x, w, **options)
    g = fill(rng, y.shape, "float32")
    got = getattr(grad, f"conv{axes}d_weight")(x, w.shape, g, **options)
    stride, dilation = (reference.per_axis(options.get(name, 1), axes) for name in ("stride", "dilation"))
    padded = np.pad(x, [(0, 0), (0, 0), *reference.pairs(options["padding"], axes)])
    for tap, read in reference.each_tap(kernel, y.shape[2:], stride, dilation):
        want = g[0].reshape(62, -1).astype(float) @ padded[(0, slice(None), *read)].reshape(60, -1).T
        np.testing.assert_array_equal(got[(..., *tap)], want)


@needs_true_memory
def test_weight_gradient_holds_a_band_alone(python):
    done = python("""
    import resource
    import numpy as np
    from fastconv.grad import conv2d_weight
    x, g = np.ones((1, 2, 3000, 3000), np.float32), np.ones((1, 2, 3000, 3000), np.float32)
    conv2d_weight(x[..., :40, :40], (2, 2, 3, 3), g[..., :40, :40], padding=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    conv2d_weight(x, (2, 2, 3, 3), g, padding=1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    assert int(done.stdout) * 1024 < 40 << 20, done.stdout


def test_same_bits_for_any_number_of_threads(isa):
    rng = np.random.default_rng(0)
    x, g = fill(rng, (2, 70, 40, 41), "float32", "real"), fill(rng, (2, 130, 40, 41), "float32", "real")
    w = fill(rng, (130, 70, 3, 3), "float32", "real")
    results = []
    for count in (1, 2, 3):
        with fastconv.threads(count):
            results.append(grad.conv2d_backward(g, x, w, padding=1))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert_same_bits(one, two)


def test_padding_adds_nothing_where_a_gradient_is_infinite():
    g = np.full((1, 1, 3), np.inf)
    got = grad.conv1d_weight(np.ones((1, 1, 3)), (1, 1, 9), g, padding=4)
    np.testing.assert_array_equal(got[0, 0], [np.inf if 2 <= k <= 6 else 0 for k in range(9)])


def test_windows_that_see_padding_alone():
    got = grad.conv2d_input((2, 1, 1, 5), np.ones((1, 1, 3, 3)), np.ones((2, 1, 1, 4)), (2, 1), ((3, 0), (0, 1)))
    assert_same_bits(got, np.zeros((2, 1, 1, 5)))


@pytest.mark.parametrize("groups", [1, 16])
def test_huge_steps(groups, isa):
    rng = np.random.default_rng(0)
    x, w = fill(rng, (2, 16, 4, 5), "float32"), fill(rng, (16, 16 // groups, 3, 3), "float32")
    grad_y, huge = fill(rng, (2, 16, 1, 1), "float32"), 2**62
    got = grad.conv2d_backward(grad_y, x, w, stride=huge, groups=groups)
    for one, expected in zip(got, grad.conv2d_backward(grad_y, x, w, stride=9, groups=groups), strict=True):
        assert_same_bits(one, expected)


def test_only_what_is_asked_for():
    x, w = np.ones((1, 1, 4)), np.ones((1, 1, 2))
    assert [a is None for a in grad.conv1d_backward(np.ones((1, 1, 3)), x, w, needs=(False, True, False))] == [1, 0, 1]


def test_shuffles_move_entries_back():
    x = np.arange(32.0).reshape(1, 8, 2, 2)
    assert_same_bits(grad.pixel_shuffle_input(fastconv.pixel_shuffle(x, 2), 2), x)
    assert_same_bits(grad.pixel_unshuffle_input(fastconv.pixel_unshuffle(x, 2), 2), x)


def test_errors_name_the_argument():
    x, w = np.ones((1, 1, 4)), np.ones((1, 1, 2))
    with pytest.raises(ValueError, match="grad_output"):
        grad.conv1d_weight(x, w.shape, np.ones((1, 1, 4)))
    with pytest.raises(ValueError, match="grad_output"):
        grad.conv1d_input(x.shape, w, np.ones((1, 2, 3)))
    with pytest.raises(TypeError, match="grad_output"):
        grad.conv1d_weight(x, w.shape, np.ones((1, 1, 3), int))
    with pytest.raises(ValueError, match="needs"):
        grad.conv1d_backward(np.ones((1, 1, 3)), x, w, needs=(True,))
