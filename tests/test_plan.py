"""Layers: weights packed once, called on arrays of any size, immutable."""

import numpy as np
import pytest
from strategies import fill
from tolerances import assert_same_bits

import fastconv
from fastconv import _core


def weights(*shape, dtype="float32"):
    return fill(np.random.default_rng(0), shape, dtype)


def build(name, dtype="float32"):
    """A layer of each kind, (its input shape without the batch, its output shape for that)."""
    bias = weights(4, dtype=dtype)
    if name == "SubpixelConv2d":
        return fastconv.SubpixelConv2d(weights(4, 3, 3, 3, dtype=dtype), bias, 2, padding=1), (3, 9, 10), (1, 18, 20)
    axes = int(name[-2])
    sizes = (9, 10, 11)[:axes]
    if name.startswith("ConvTranspose"):
        layer = getattr(fastconv, name)(weights(3, 4, *(3,) * axes, dtype=dtype), bias, stride=2)
        return layer, (3, *sizes), (4, *(2 * s + 1 for s in sizes))
    layer = getattr(fastconv, name)(weights(4, 3, *(3,) * axes, dtype=dtype), bias, stride=2)
    return layer, (3, *sizes), (4, *((s - 1) // 2 for s in sizes))


LAYERS = ("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "SubpixelConv2d")


@pytest.mark.parametrize("name", LAYERS)
def test_any_size_and_batch(name, isa):
    layer, (c, *sizes), (m, *_) = build(name)
    for batch, more in ((1, 0), (3, 5), (2, 0), (0, 1), (1, 20)):
        x = fill(np.random.default_rng(more), (batch, c, *(s + more for s in sizes)), "float32")
        y = layer(x)
        assert y.shape[:2] == (batch, m)
        for image, result in zip(x, y, strict=True):
            assert_same_bits(layer(image), result)


def test_weights_are_packed_once_for_all_sizes_of_a_tile():
    """... and those packed before there was an image are dropped, if the first wants others."""
    layer = fastconv.Conv2d(weights(16, 16, 3, 3), padding=1)
    tile = {}
    for size in (224, 60, 57, 200, 14, 224, 13, 61):
        x = np.ones((1, 16, size, size + 1), np.float32)
        layer(x)
        tile[layer.describe(x.shape)["algorithm"]] = size
        assert len(layer._engines) == len(tile)
    assert len(tile) > 1  # or no two would have been there
    small = fastconv.Conv2d(weights(16, 16, 3, 3), padding=1)
    small(np.ones((1, 16, 13, 14), np.float32))
    assert len(small._engines) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_output_shape_and_dtype(name, dtype):
    layer, shape, result = build(name, dtype)
    y = layer(np.ones((2, *shape), dtype))
    assert (y.shape, y.dtype) == ((2, *result), dtype)


@pytest.mark.parametrize("name", LAYERS)
def test_describe_says_what_would_run(name, isa):
    layer, shape, result = build(name)
    for batch in ((), (2,)):
        said = layer.describe((*batch, *shape))
        assert said["isa"] == isa
        assert said["algorithm"] not in ("", "auto")  # what runs, not what was asked for
        assert tuple(said["output_shape"]) == (*batch, *result)


def test_describe_names_the_algorithm_that_was_asked_for(isa):
    layer = fastconv.Conv2d(weights(4, 3, 3, 3), algorithm="direct")
    assert layer.describe((1, 3, 9, 9))["algorithm"].startswith("direct")


def test_describe_refuses_what_the_call_would_refuse():
    layer, _, _ = build("Conv2d")
    with pytest.raises(ValueError, match="input"):
        layer.describe((1, 5, 9, 9))


@pytest.mark.parametrize("name", LAYERS)
def test_weights_are_copied_when_the_layer_is_made(name):
    bias = weights(4)
    w = weights(4, 4, *(3,) * int(name[-2]))
    arguments = (2,) if name == "SubpixelConv2d" else ()
    layer = getattr(fastconv, name)(w, bias, *arguments)
    x = fill(np.random.default_rng(1), (1, 4, *(7,) * int(name[-2])), "float32")
    before = layer(x)
    x64_before = layer(x.astype(np.float64))  # packed on first use: from the weights as they were
    w[...], bias[...] = np.nan, np.nan
    assert_same_bits(layer(x), before)
    assert_same_bits(layer(x.astype(np.float64)), x64_before)


def test_a_wider_engine_packed_later_uses_the_original_weights():
    w, b = weights(4, 3, 3, 3), weights(4)
    layer = fastconv.Conv2d(w, b)
    kept = w.astype(np.float64), b.astype(np.float64)
    w[...], b[...] = np.nan, np.nan
    x = np.random.default_rng(1).standard_normal((1, 3, 7, 7))
    y = layer(x)
    assert y.dtype == np.float64
    assert_same_bits(y, fastconv.conv2d(x, *kept))


@pytest.mark.parametrize("name", LAYERS)
def test_immutable(name):
    layer, _, _ = build(name)
    for attribute in ("stride", "padding", "dilation", "groups"):
        with pytest.raises(AttributeError):
            setattr(layer, attribute, 1)


@pytest.mark.parametrize("name", LAYERS)
def test_repr(name):
    layer, _, _ = build(name)
    assert repr(layer).startswith(f"{name}(")
    assert "stride=" in repr(layer)


def test_layer_keeps_the_instruction_set_it_was_packed_for():
    """Weights are packed for the lanes of one ISA: a later choice of another one is for new layers."""
    x = fill(np.random.default_rng(1), (1, 3, 9, 33), "float32")
    before = _core.isa()
    layers = {}
    try:
        for isa in _core.available_isas():
            _core.use_isa(isa)
            layers[isa] = fastconv.Conv2d(weights(7, 3, 3, 3))
    finally:
        _core.use_isa(before)
    results = [layer(x) for layer in layers.values()]
    assert [layer.describe(x.shape)["isa"] for layer in layers.values()] == list(layers)
    assert all(np.array_equal(y, results[0]) for y in results)  # whole numbers: no ISA may differ


def test_unknown_instruction_set_is_refused():
    with pytest.raises(ValueError, match="pentium"):
        _core.use_isa("pentium")


def test_a_temporary_layer_frees_its_memory():
    """A functional call packs weights for itself; a thousand of them hold no more memory than one."""
    import tracemalloc

    x, w = np.ones((1, 64, 3, 3), np.float32), np.ones((64, 64, 3, 3), np.float32)  # 144 KiB of weights
    fastconv.conv2d(x, w)
    tracemalloc.start()
    for _ in range(50):
        fastconv.conv2d(x, w)
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < 2**20


def test_planes_that_end_inside_a_vector_are_turned(isa):
    """49 pixels would take the time of 64; the bits are those of panels, and of a batch or a crop."""
    rng = np.random.default_rng(0)
    x, w, b, r = (rng.standard_normal(s).astype("f4") for s in ((2, 256, 7, 7), (300, 256, 1, 1), 300, (2, 300, 7, 7)))
    layer = fastconv.Conv2d(w, b, activation="relu")
    if isa == "avx512":
        assert layer.describe(x.shape)["algorithm"] == "direct, rows of turned pixels"
    wide = np.pad(x, [(0, 0), (0, 0), (0, 9), (0, 9)])
    assert "turned" not in layer.describe(wide.shape)["algorithm"]
    np.testing.assert_array_equal(layer(x), layer(wide)[..., :7, :7])
    np.testing.assert_array_equal(layer(wide[..., :7, :7]), layer(x))
    both = fastconv.Conv2d(w, b)(x) + r
    np.testing.assert_array_equal(layer(x, residual=r), np.maximum(both, 0))


def test_a_layer_knows_its_small_calls_by_heart(threads):
    """Of any shape, dtype, layout of memory, and with an activation; no more of them than it should keep."""
    rng = np.random.default_rng(0)
    w, b = (rng.standard_normal(s).astype("f4") for s in ((5, 3, 3, 3), 5))
    layer = fastconv.Conv2d(w, b, padding=1, activation="relu")
    for _ in range(2):
        for size in range(1, 90):
            for dtype in ("f4", "f8", ">f4"):
                x = rng.standard_normal((1, 3, size, 4)).astype(dtype)
                got = layer(x)
                assert got.dtype == np.result_type(np.dtype(dtype).newbyteorder("="), w)
                if size % 20 == 1:
                    assert_same_bits(got, fastconv.conv2d(x, w, b, padding=1, activation="relu"))
                    assert_same_bits(layer(x[0]), got[0])
                    assert_same_bits(layer(np.asfortranarray(x)), got)
    assert 0 < len(layer._calls) <= 64
    with pytest.raises(ValueError, match="input has 4"):
        layer(np.ones((1, 4, 5, 5), np.float32))
