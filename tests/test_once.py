"""Functions: weights for one call are packed while it runs, in shares or as tiles need them, and forgotten."""

import gc
import threading

import numpy as np
import pytest
from conditions import needs_true_memory
from strategies import fill
from tolerances import assert_close_to_largest, assert_same_bits

import fastconv
from fastconv import _core, _engines, plan
from fastconv._choice import DIRECT, Choice


@pytest.fixture
def small_shares(monkeypatch):
    """Make shares of what is otherwise far too little."""
    monkeypatch.setattr(_engines, "SHARE_BYTES", 1 << 10)
    monkeypatch.setattr(_engines, "SHARE_ROWS", 8)
    monkeypatch.setattr(plan, "choose", lambda *_, **__: DIRECT)
    forget()
    yield
    forget()


def forget():
    plan._route.cache_clear()
    plan._direct_call.cache_clear()
    _engines.shares_of.cache_clear()


@pytest.fixture(params=[(4, True), (5, True), (6, True), (7, True), (8, True), (5, False), (8, False)], ids=str)
def tile(request, monkeypatch):
    """Make functions transform their weights as they need them, in tiles of this size; where L3 is far, one item."""
    points, near = request.param
    monkeypatch.setattr(_engines, "FAR_WEIGHTS", 0)
    monkeypatch.setattr(_core, "has_near_l3", lambda: near)

    def choose(operator, size, compute, algorithm, widths, last=False, once=False):
        rows = (1, *operator.kernel)[-2]
        return DIRECT if algorithm == "direct" else Choice("winograd", (1 if rows == 1 else points, points))

    monkeypatch.setattr(plan, "choose", choose)
    forget()
    yield points
    forget()


def subpixel(x, w, b, **more):
    return fastconv.subpixel_conv2d(x, w, b, 2, **more)


def subpixel_layer(w, b, **more):
    return fastconv.SubpixelConv2d(w, b, 2, **more)


CONV1D = fastconv.conv1d, fastconv.Conv1d
CONV = fastconv.conv2d, fastconv.Conv2d
TRANSPOSED = fastconv.conv_transpose2d, fastconv.ConvTranspose2d
SUBPIXEL = subpixel, subpixel_layer

OPERATORS = {  # function and layer, shapes of input and weight, outputs, arguments
    "3x3": (CONV, (2, 24, 13, 15), (37, 24, 3, 3), 37, {"padding": 1}),
    "strided": (CONV, (1, 24, 13, 15), (40, 24, 3, 3), 40, {"padding": 1, "stride": 2}),
    "pointwise": (CONV, (1, 64, 9, 11), (50, 64, 1, 1), 50, {}),
    "columns of padding": (CONV, (1, 130, 33, 33), (20, 130, 3, 3), 20, {"padding": 18, "dilation": 18}),
    "one axis": (CONV1D, (2, 33, 70), (32, 33, 3), 32, {"padding": 2, "dilation": 2}),
    "reflected": (CONV, (1, 16, 12, 9), (24, 16, 3, 3), 24, {"padding": 1, "padding_mode": "reflect"}),
    "transposed": (TRANSPOSED, (2, 24, 7, 6), (24, 33, 4, 4), 33, {"stride": 2, "padding": 1}),
    "one tap a phase": (TRANSPOSED, (1, 24, 7, 6), (24, 33, 2, 2), 33, {"stride": 2}),
    "phases without a tap": (TRANSPOSED, (1, 24, 7, 6), (24, 33, 2, 2), 33, {"stride": 3}),
    "sub-pixel": (SUBPIXEL, (1, 24, 9, 10), (64, 24, 3, 3), 64, {"padding": 1}),
}
TILED = {name: OPERATORS[name] for name in ("3x3", "one axis", "reflected", "transposed", "sub-pixel")} | {
    "dilated": (CONV, (1, 30, 17, 16), (20, 30, 3, 3), 20, {"padding": 3, "dilation": 3}),
    "groups": (CONV, (1, 48, 14, 13), (42, 16, 3, 3), 42, {"padding": 1, "groups": 3}),
    "many channels": (CONV, (1, 530, 9, 9), (20, 530, 3, 3), 20, {"padding": 1}),
    "strided": (CONV, (2, 24, 13, 15), (40, 24, 3, 3), 40, {"padding": 1, "stride": 2}),
    "strided, more channels than a block": (CONV, (1, 270, 9, 9), (20, 270, 3, 3), 20, {"padding": 1, "stride": 2}),
    "strided, channels last": (CONV, (2, 13, 15, 21), (37, 21, 3, 3), 37, {"stride": 2, "layout": "NHWC"}),
    "more outputs than tiles": (CONV, (1, 48, 12, 13), (90, 48, 3, 3), 90, {"padding": 1}),
    "more outputs than tiles, transposed": (TRANSPOSED, (1, 64, 8, 9), (64, 70, 3, 3), 70, {"stride": 2}),
    "3x3 transposed, stride 2": (TRANSPOSED, (2, 40, 9, 9), (40, 24, 3, 3), 24, {"stride": 2}),
    "3x3 transposed": (TRANSPOSED, (1, 40, 9, 9), (40, 24, 3, 3), 24, {}),
    "channels last": (CONV, (2, 13, 15, 24), (37, 24, 3, 3), 37, {"padding": 1, "layout": "NHWC"}),
}
OF_TWO_TAPS = {name for name in TILED if 2 in TILED[name][-1].values()} - {"one axis"}


def arrays(case, dtype="float32"):
    _, x_shape, w_shape, outputs, _ = case
    rng = np.random.default_rng(3)
    return [fill(rng, shape, dtype, "real") for shape in (x_shape, w_shape, (outputs,))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPERATORS)
def test_shares_give_the_bits_of_the_layer(name, dtype, small_shares, threads, isa):
    (function, layer), *_, arguments = OPERATORS[name]
    x, w, b = arrays(OPERATORS[name], dtype)
    made = layer(w, b, **arguments)
    assert len(_engines.shares_of(made._form.operator, x.itemsize, _core.isa())) > 1
    want = made(x)
    assert_same_bits(function(x, w, b, **arguments), want)
    assert_same_bits(function(x, w, None, **arguments), layer(w, None, **arguments)(x))
    residual = fill(np.random.default_rng(1), want.shape, dtype, "real")
    ended = layer(w, b, activation="relu", **arguments)(x, residual=residual)
    assert_same_bits(function(x, w, b, activation="relu", residual=residual, **arguments), ended)
    out = np.empty_like(want)
    assert function(x, w, b, out=out, **arguments) is out
    assert_same_bits(out, want)


@pytest.mark.parametrize("name", TILED)
def test_tiles_made_once_are_those_of_the_layer(name, tile, threads, isa):
    (function, layer), *_, arguments = TILED[name]
    taps = 2 if name in OF_TWO_TAPS else 3
    if tile < taps + 1 or (tile == 8 and taps < 3):
        pytest.skip("no such tile")
    x, w, b = arrays(TILED[name])
    want = layer(w, b, **arguments)(x)
    got = function(x, w, b, **arguments)
    assert_close_to_largest(got, want)
    if name not in ("many channels", "transposed", *OF_TWO_TAPS):  # one block of the sum either way
        assert_same_bits(got, want)
    residual = fill(np.random.default_rng(1), want.shape, "float32", "real")
    ended = layer(w, b, activation="relu", **arguments)(x, residual=residual)
    assert_close_to_largest(function(x, w, b, activation="relu", residual=residual, **arguments), ended)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", OPERATORS)
def test_shares_notice_a_weight_that_is_not_finite(name, special, small_shares):
    notices(OPERATORS[name], special)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", TILED)
def test_tiles_notice_a_weight_that_is_not_finite(name, special, tile):
    if name in OF_TWO_TAPS and tile == 8:
        pytest.skip("no such tile")
    notices(TILED[name], special)


def notices(case, special):
    """The last weight is the last to be packed: all else is done by then."""
    (function, layer), *_, arguments = case
    x, w, b = arrays(case)
    w[-1, -1, ..., -1] = special
    with np.errstate(invalid="ignore"):
        want = layer(w, b, algorithm="direct", **arguments)(x)
        got = function(x, w, b, **arguments)
    assert not np.isfinite(want).all()
    assert_same_bits(got, want)


def test_an_image_that_is_not_finite_among_others(tile):
    x, w, b = arrays(TILED["3x3"])
    x[1, 3, 4, 5] = np.inf
    want = fastconv.Conv2d(w, b, padding=1, algorithm="direct")(x)
    got = fastconv.conv2d(x, w, b, padding=1)
    assert_same_bits(got[1], want[1])
    assert_close_to_largest(got[:1], want[:1])


def large(outputs):
    return np.ones((1, 2048, 3, 3), np.float32), np.ones((outputs, 2048, 1, 1), np.float32)


def test_nothing_of_a_call_waits_for_the_garbage_collector():
    """Engines and their memory go with the call: a cycle would hold it until some later collection."""
    x, w = large(2200)
    tiled = np.ones((1, 256, 14, 14), np.float32), np.ones((256, 256, 3, 3), np.float32)
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):
            fastconv.conv2d(x, w)
            fastconv.conv2d(*tiled, padding=1)
            fastconv.conv_transpose2d(x[..., :2, :2], np.ones((2048, 64, 4, 4), np.float32), stride=2)
        left = [
            thing
            for thing in gc.get_objects()
            if isinstance(thing, (plan._Layer, _engines.OrDirect, _engines.InShares))
        ]
        assert not left
    finally:
        gc.enable()


# ---------------------------------------------------------------------------------------------- memory between calls


@pytest.fixture
def no_memory():
    _core.forget_memory()
    yield
    _core.forget_memory()


@needs_true_memory
def test_memory_is_kept_for_the_next_call(no_memory):
    x, w = np.ones((1, 64, 56, 56), np.float32), np.ones((64, 64, 3, 3), np.float32)
    assert _core.kept_memory() == 0
    fastconv.conv2d(x, w, padding=1)
    kept = _core.kept_memory()
    assert kept > 1 << 20
    for _ in range(3):
        fastconv.conv2d(x, w, padding=1)
        assert _core.kept_memory() == kept
    _core.forget_memory()
    assert _core.kept_memory() == 0


@needs_true_memory
def test_little_memory_is_kept(no_memory):
    """However many calls of whatever size there were; what is larger than all that may be kept is not kept at all."""
    for channels in (512, 64, 128, 256, 32, 512, 96, 384, 448, 192):
        x, w = np.ones((1, channels, 40, 40), np.float32), np.ones((channels, channels, 3, 3), np.float32)
        fastconv.conv2d(x, w, padding=1)
        fastconv.conv2d(x, w, padding=1, stride=2)
        fastconv.grad.conv2d_weight(x, w.shape, x, padding=1)
        assert 0 < _core.kept_memory() <= 32 << 20
    _core.forget_memory()
    x, w = large(4200)  # 34 MB, and rows of pixels take them all at once
    fastconv.conv2d(np.moveaxis(x, 1, -1), w, layout="NHWC")
    assert _core.kept_memory() < 8 << 20


def test_threads_do_not_share_what_is_kept():
    """The same calls at once: memory that two of them held would mix their numbers."""
    rng = np.random.default_rng(5)
    w = fill(rng, (64, 64, 3, 3), "float32", "real")
    images = [fill(rng, (1, 64, 30, 30), "float32", "real") for _ in range(4)]
    want = [fastconv.conv2d(x, w, padding=1) for x in images]
    wrong = []

    def work(i):
        for _ in range(30):
            if not np.array_equal(fastconv.conv2d(images[i], w, padding=1), want[i]):
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


# ---------------------------------------------------------------------------------------------- calls like one before

ALIKE = {  # function and layer, shapes of input and weight, outputs, arguments: all direct
    "1-D": (CONV1D, (2, 5, 30), (4, 5, 3), 4, {"padding": 1}),
    "2-D": (CONV, (1, 8, 8, 8), (8, 8, 3, 3), 8, {"padding": 1}),
    "one image": (CONV, (8, 8, 8), (8, 8, 3, 3), 8, {"stride": (2, 1), "padding": ((0, 1), (2, 3))}),
    "3-D": ((fastconv.conv3d, fastconv.Conv3d), (1, 3, 4, 5, 6), (4, 3, 2, 2, 2), 4, {}),
    "same": (CONV, (1, 6, 9, 9), (4, 3, 3, 3), 4, {"padding": "same", "groups": 2, "padding_mode": "circular"}),
    "transposed": (TRANSPOSED, (1, 6, 5, 5), (6, 4, 3, 3), 4, {"stride": 2, "padding": 1}),
    "holes": (TRANSPOSED, (1, 6, 5, 5), (6, 4, 2, 2), 4, {"stride": 3}),
    "sub-pixel": (SUBPIXEL, (1, 6, 5, 5), (8, 6, 3, 3), 8, {}),
    "sub-pixel across groups": (SUBPIXEL, (1, 6, 5, 5), (12, 3, 3, 3), 12, {"groups": 2}),
}
KNOWN = [name for name in ALIKE if name not in ("holes", "sub-pixel across groups")]


@pytest.fixture
def calls():
    plan._direct_call.cache_clear()
    return plan._direct_call.cache_info


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ALIKE)
def test_a_call_like_one_before(name, dtype, calls, threads, isa):
    """... knows all but the numbers, and reads them from arrays that lie as the others did, or otherwise."""
    (function, layer), x_shape, w_shape, outputs, arguments = ALIKE[name]
    rng = np.random.default_rng(7)
    for _ in range(3):
        x, w, b = (fill(rng, shape, dtype, "real") for shape in (x_shape, w_shape, (outputs,)))
        want = layer(w, b, **arguments, algorithm="direct")(x)
        assert_same_bits(function(x, w, b, **arguments, algorithm="direct"), want)
        odd = np.frombuffer(bytearray(b" " + x.tobytes()), x.dtype, offset=1).reshape(x.shape)
        for other in (np.asfortranarray(x), x.astype(x.dtype.newbyteorder()), np.repeat(x, 2, -1)[..., ::2], odd):
            assert_same_bits(function(other, w, b, **arguments, algorithm="direct"), want)
        assert_same_bits(function(x, np.asfortranarray(w), np.repeat(b, 2)[::2], **arguments, algorithm="direct"), want)
        plain = layer(w, None, **arguments, algorithm="direct")(x)
        assert_same_bits(function(x, w, None, **arguments, algorithm="direct"), plain)
    assert calls().hits > 6


@pytest.mark.parametrize("name", ALIKE)
def test_which_calls_are_known(name, monkeypatch, calls):
    """Those that no wrapper of an engine has to see."""
    (function, _), x_shape, w_shape, outputs, arguments = ALIKE[name]
    x, w, b = (np.ones(shape, np.float32) for shape in (x_shape, w_shape, outputs))
    want = function(x, w, b, **arguments, algorithm="direct")
    monkeypatch.setattr(plan._Layer, "_borrow", None)
    if name in KNOWN:
        assert_same_bits(function(x, w, b, **arguments, algorithm="direct"), want)
    else:
        with pytest.raises(TypeError, match="not callable"):
            function(x, w, b, **arguments, algorithm="direct")


def test_arguments_that_equal_those_of_a_known_call(calls):
    """True and 1.0 equal 1, and are refused all the same."""
    x, w = np.ones((1, 8, 8, 8), np.float32), np.ones((8, 8, 3, 3), np.float32)
    for stride in (1, (1, 1)):
        assert fastconv.conv2d(x, w, stride=stride).shape == (1, 8, 6, 6)
    for bad in (True, 1.0, (True, 1), (1.0, 1), (1, np.float32(1))):
        with pytest.raises(TypeError, match="stride"):
            fastconv.conv2d(x, w, stride=bad)
    for bad in ({"algorithm": "fast"}, {"layout": "NCW"}, {"padding_mode": "ones"}, {"padding": "Same"}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            fastconv.conv2d(x, w, **bad)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", KNOWN)
def test_a_weight_that_is_not_finite_after_others(name, special, calls):
    (function, layer), *_, arguments = case = ALIKE[name]
    x, w, b = arrays(case)
    function(x, w, b, **arguments, algorithm="direct")
    w[0, 0, ..., 0] = special
    with np.errstate(invalid="ignore"):
        want = layer(w, b, algorithm="direct", **arguments)(x)
        assert_same_bits(function(x, w, b, algorithm="direct", **arguments), want)


def test_arrays_of_other_kinds_after_others(calls):
    x, w = np.ones((1, 8, 8, 8), np.float32), np.ones((8, 8, 3, 3), np.float32)
    want = fastconv.conv2d(x, w)
    masked = np.ma.masked_array(x, mask=np.zeros(x.shape, bool))
    with pytest.raises(TypeError, match="masked"):
        fastconv.conv2d(masked, w)
    assert_same_bits(fastconv.conv2d(x.tolist(), w.tolist()), want.astype(float))
    assert fastconv.conv2d(x, w.astype(float)).dtype == np.float64
    assert fastconv.conv2d(x, w, np.ones(8)).dtype == np.float64
    with pytest.raises(ValueError, match="bias"):
        fastconv.conv2d(x, w, np.ones(7, np.float32))
    with pytest.raises(TypeError, match="int64"):
        fastconv.conv2d(x.astype(int), w.astype(int))
