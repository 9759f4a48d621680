"""Activations and residuals: as if done afterwards, wherever the outputs are made."""

import pickle
from functools import partial

import numpy as np
import pytest
from test_layout import LAST, LAYERS, normal, operators, to_last
from tolerances import UNIT_ROUNDOFF

import fastconv

EXACT = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    ("leaky_relu", 0.25): lambda x: np.where(x < 0, x * x.dtype.type(0.25), x),
}
SMOOTH = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def assert_close(got, exact, dtype):
    """Within the few roundings of an exponential, a sum and a quotient."""
    assert (abs(got - exact) <= 8 * UNIT_ROUNDOFF[np.dtype(dtype).name] * abs(exact) + 1e-35).all()


@pytest.mark.parametrize("layout", ["planes", "last"])
@pytest.mark.parametrize("name", LAYERS)
def test_as_if_done_afterwards(name, layout, isa, threads):
    make, axes, x = operators(name)
    more, turned = ({"layout": LAST[axes]}, to_last) if layout == "last" else ({}, np.asarray)
    plain = make(**more)(turned(x))
    residual = normal(5, *plain.shape)
    for activation, after in EXACT.items():
        layer = make(activation=activation, **more)
        np.testing.assert_array_equal(layer(turned(x)), after(plain))
        np.testing.assert_array_equal(layer(turned(x), residual=residual), after(plain + residual))
    np.testing.assert_array_equal(make(**more)(turned(x), residual=residual), plain + residual)
    got = make(activation="silu", **more)(turned(x), residual=residual)
    assert_close(got, SMOOTH["silu"]((plain + residual).astype(float)), "float32")


# Sums of several blocks, all but the last of which store what is not final, and filters whose outputs are finished in
# pieces. Operator, input, weight, settings.
DEEP = {
    "panels": ("conv2d", (2, 70, 9, 13), (17, 70, 3, 3), {"padding": 1}),
    "panels, dead columns": ("conv2d", (1, 40, 9, 40), (17, 40, 3, 3), {"padding": 16, "dilation": 16}),
    "1x1, in place": ("conv2d", (1, 600, 8, 8), (9, 600, 1, 1), {}),
    "strips": ("conv2d", (1, 200, 9, 40), (4, 200, 3, 3), {"padding": 1}),
    "one filter": ("conv2d", (2, 2, 25, 40), (2, 1, 19, 19), {"padding": 9, "groups": 2}),
    "one filter of many channels": ("conv2d", (1, 90, 9, 40), (1, 90, 3, 3), {"padding": 1}),
    "pieces": ("conv2d", (1, 2, 120, 130), (2, 1, 3, 3), {"padding": 1, "groups": 2}),
    "pieces, apart": ("conv2d", (1, 2, 230, 130), (2, 1, 3, 3), {"padding": 3, "groups": 2, "dilation": 3}),
    "pieces, strided": ("conv2d", (1, 2, 230, 260), (2, 1, 5, 5), {"padding": 2, "groups": 2, "stride": 2}),
    "pieces of rows": ("conv2d", (1, 1, 9, 5000), (1, 1, 3, 3), {}),
    "transposed": ("conv_transpose2d", (1, 300, 5, 17), (300, 21, 3, 3), {"padding": 1, "stride": 2}),
    "transposed, one output": ("conv_transpose2d", (1, 300, 5, 17), (300, 1, 4, 4), {"padding": 1, "stride": 2}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", DEEP)
def test_outputs_are_finished_once_and_last(name, layout, dtype, isa, threads):
    operator, shape, kernel, settings = DEEP[name]
    turned = to_last if layout == "NHWC" else np.asarray
    x, w = normal(1, *shape, dtype=dtype), normal(2, *kernel, dtype=dtype)
    call = partial(getattr(fastconv, operator), turned(x), w, **settings, layout=layout, algorithm="direct")
    plain = call()
    residual = normal(3, *plain.shape, dtype=dtype)
    np.testing.assert_array_equal(call(activation="relu"), EXACT["relu"](plain))
    np.testing.assert_array_equal(call(activation="relu", residual=residual), EXACT["relu"](plain + residual))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", SMOOTH)
def test_smooth_activations(activation, dtype, isa):
    x, w = normal(1, 2, 5, 9, 20, dtype=dtype), normal(2, 7, 5, 3, 3, dtype=dtype)
    plain = fastconv.conv2d(x, w, padding=1)
    got = fastconv.conv2d(x, w, padding=1, activation=activation)
    assert got.dtype == dtype
    assert_close(got, SMOOTH[activation](plain.astype(np.longdouble)), dtype)


def test_half_precision_is_rounded_once(isa):
    x, w = normal(1, 1, 5, 9, 9, dtype=np.float16), normal(2, 7, 5, 3, 3, dtype=np.float16)
    residual = normal(3, 1, 7, 7, 7, dtype=np.float16)
    wide = fastconv.conv2d(x.astype(np.float32), w.astype(np.float32), activation="relu", residual=residual)
    got = fastconv.conv2d(x, w, activation="relu", residual=residual)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, wide.astype(np.float16))


def test_the_residual_takes_part_in_the_dtype():
    x, w = normal(1, 1, 2, 5, 5), normal(2, 3, 2, 3, 3)
    got = fastconv.conv2d(x, w, residual=np.ones((1, 3, 3, 3)))
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, fastconv.conv2d(x.astype(float), w) + 1)
    with pytest.raises(TypeError, match="residual has dtype int64"):
        fastconv.conv2d(x, w, residual=np.ones((1, 3, 3, 3), np.int64))


@pytest.mark.parametrize("name", ["panels", "winograd", "transposed", "fourier", "depthwise"])
def test_out_may_be_the_residual(name, isa, threads):
    make, _, x = operators(name)
    layer = make(activation="relu")
    y = normal(5, *layer(x).shape)
    want = layer(x, residual=y)
    assert layer(x, residual=y, out=y) is y
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("name", ["panels", "winograd", "transposed"])
def test_any_strides_of_the_residual_and_of_out(name, isa):
    make, _, x = operators(name)
    layer = make(activation="relu")
    residual = normal(5, *layer(x).shape)
    want = layer(x, residual=residual)
    np.testing.assert_array_equal(layer(x, residual=np.repeat(residual, 2, axis=-1)[..., ::2]), want)
    np.testing.assert_array_equal(layer(x, residual=residual.astype(">f4")), want)
    out = np.zeros((*want.shape[:-1], 2 * want.shape[-1]), np.float32)
    layer(x, residual=residual, out=out[..., ::2])
    np.testing.assert_array_equal(out[..., ::2], want)
    np.testing.assert_array_equal(layer(x[0], residual=residual[0]), want[0])


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "relu6"])
@pytest.mark.parametrize("name", ["winograd", "fourier", "transposed, winograd"])
def test_a_tile_that_is_done_again_is_finished_once(name, activation, isa):
    """What is not finite before the end may be finite after it, and must still not have spread in its tile."""
    make, _, x = operators(name)
    x[0, 0, 3, 4] = -np.inf
    residual = normal(5, *make()(x).shape)
    with np.errstate(all="ignore"):
        direct = make(activation=activation)(x, residual=residual)
        plain = make()(x) + residual
        want = (EXACT | SMOOTH)[activation](plain)
    np.testing.assert_allclose(direct, want, rtol=1e-5, atol=1e-6)


def test_infinite_weights_and_outputs_without_taps(isa):
    x, w = normal(1, 1, 3, 5, 6), normal(2, 3, 4, 2, 2)
    w[1, 2, 0, 0] = np.inf
    residual = normal(3, 1, 4, 14, 17)
    plain = fastconv.conv_transpose2d(x, w, stride=3)
    np.testing.assert_array_equal(
        fastconv.conv_transpose2d(x, w, stride=3, activation="relu", residual=residual), EXACT["relu"](plain + residual)
    )


def test_a_batch_has_the_bits_of_its_images(isa):
    make, _, x = operators("winograd")
    layer = make(activation="silu")
    residual = normal(5, *layer(x).shape)
    whole = layer(x, residual=residual)
    for i in range(len(x)):
        np.testing.assert_array_equal(layer(x[i], residual=residual[i]), whole[i])


def test_layers_keep_and_show_their_activation():
    layer = fastconv.Conv2d(normal(1, 4, 3, 3, 3), activation=("leaky_relu", 0.2))
    again = pickle.loads(pickle.dumps(layer))
    assert again.activation == ("leaky_relu", 0.2)
    assert "activation=('leaky_relu', 0.2)" in repr(again)
    assert fastconv.Conv2d(normal(1, 4, 3, 3, 3), activation=("leaky_relu", 0.01)).activation == "leaky_relu"
    assert fastconv.Conv2d(normal(1, 4, 3, 3, 3)).activation is None


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        ("gelu", "activation must be None, 'relu', .* got 'gelu'"),
        (True, "activation must be"),
        (("relu", 0.1), "activation must be"),
        (["relu"], "activation must be"),
        (("leaky_relu", "steep"), "finite number as its slope, got 'steep'"),
        (("leaky_relu", float("nan")), "finite number as its slope, got nan"),
        (("leaky_relu", np.ones(2)), "finite number as its slope, got array"),
        (("leaky_relu", np.complex64(1)), "finite number as its slope, got"),
        (("leaky_relu", 10**400), "finite number as its slope, got 10"),
    ],
)
def test_activations_that_are_none(activation, words):
    with pytest.raises(ValueError, match=words):
        fastconv.conv2d(np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), activation=activation)


@pytest.mark.parametrize("shape", [(3, 3, 3), (1, 2, 3, 3), (2, 3, 3, 3), ()])
def test_residuals_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"residual has shape .*, expected \(1, 3, 3, 3\), the shape of the output"):
        fastconv.conv2d(np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3)), residual=np.ones(shape))
