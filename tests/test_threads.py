"""The same bits however the work is shared out; thread counts; Python threads."""

import os
import re
import threading
import time

import numpy as np
import pytest
from strategies import DTYPES, fill
from tolerances import assert_same_bits

import fastconv
from fastconv import _core


def real(seed, *shape, dtype="float32"):
    return fill(np.random.default_rng(seed), shape, dtype, "real")


# Every road through the engine, each large enough to be worth sharing: (input shape, a layer from weights of a dtype).
ROADS = {
    "3x3": ((3, 16, 40, 41), lambda w: fastconv.Conv2d(w(24, 16, 3, 3), w(24), padding=1)),
    "3x3 direct": ((3, 16, 40, 41), lambda w: fastconv.Conv2d(w(24, 16, 3, 3), w(24), padding=1, algorithm="direct")),
    "1x1": ((3, 64, 29, 31), lambda w: fastconv.Conv2d(w(40, 64, 1, 1), w(40))),
    "few pixels": ((2, 128, 5, 5), lambda w: fastconv.Conv2d(w(300, 128, 3, 3), w(300), padding=1)),
    "strided": ((3, 3, 95, 97), lambda w: fastconv.Conv2d(w(24, 3, 7, 7), w(24), stride=2, padding=3)),
    "dilated": ((3, 16, 40, 41), lambda w: fastconv.Conv2d(w(24, 16, 3, 3), None, padding=4, dilation=(4, 3))),
    "one output": ((3, 16, 60, 61), lambda w: fastconv.Conv2d(w(1, 16, 5, 5), w(1))),
    "large kernel": ((3, 2, 90, 83), lambda w: fastconv.Conv2d(w(3, 2, 15, 15), w(3), padding=7)),
    "depthwise": ((3, 48, 40, 41), lambda w: fastconv.Conv2d(w(48, 1, 3, 3), w(48), padding=1, groups=48)),
    "grouped": ((3, 48, 40, 41), lambda w: fastconv.Conv2d(w(48, 12, 3, 3), w(48), padding=1, groups=4)),
    "1-D": ((3, 24, 1501), lambda w: fastconv.Conv1d(w(30, 24, 9), w(30), padding="same")),
    "3-D": ((3, 8, 12, 17, 19), lambda w: fastconv.Conv3d(w(12, 8, 3, 3, 3), w(12), padding=1)),
    "transposed": ((3, 32, 23, 21), lambda w: fastconv.ConvTranspose2d(w(32, 24, 4, 4), w(24), stride=2, padding=1)),
    "transposed to few": (
        (3, 64, 23, 21),
        lambda w: fastconv.ConvTranspose2d(w(64, 3, 4, 4), w(3), stride=2, padding=1),
    ),
    "transposed k2s2": ((3, 32, 23, 21), lambda w: fastconv.ConvTranspose2d(w(32, 24, 2, 2), w(24), stride=2)),
    "sub-pixel": ((3, 32, 31, 33), lambda w: fastconv.SubpixelConv2d(w(12, 32, 3, 3), w(12), 2, padding=1)),
}


def road(name, dtype="float32"):
    shape, build = ROADS[name]
    return real(0, *shape, dtype=dtype), build(lambda *weight_shape: real(1, *weight_shape, dtype=dtype))


# ---- the same bits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROADS)
def test_any_number_of_threads(name, dtype, isa):
    x, layer = road(name, dtype)
    with fastconv.threads(1):
        expected = layer(x)
    for count in (2, 3, 5):
        with fastconv.threads(count):
            assert_same_bits(layer(x), expected)


@pytest.mark.parametrize("name", ROADS)
def test_any_batch_split(name, isa, threads):
    x, layer = road(name)
    whole = layer(x)
    for split in ([1, 2], [1], [2]):
        assert_same_bits(np.concatenate([layer(part) for part in np.split(x, split)]), whole)
    assert_same_bits(np.stack([layer(image) for image in x]), whole)


@pytest.mark.parametrize("name", ROADS)
def test_any_strides_of_the_input(name, isa):
    x, layer = road(name)
    expected = layer(x)
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, np.float32)
    wide[..., ::2] = x
    backwards = tuple(slice(None, None, -1) for _ in x.shape)
    for view in (
        wide[..., ::2],
        np.asfortranarray(x),
        np.ascontiguousarray(x[backwards])[backwards],
        np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1),  # channels last
        np.pad(x, 1)[(slice(1, -1),) * x.ndim],
    ):
        assert np.array_equal(view, x)
        assert_same_bits(layer(view), expected)


@pytest.mark.parametrize("name", ROADS)
def test_any_strides_of_the_output(name, isa):
    x, layer = road(name)
    expected = layer(x)
    n, m, *spatial = expected.shape
    wide = np.zeros((n, m + 3, *spatial), np.float32)
    assert_same_bits(layer(x, out=wide[:, 2:-1]).copy(), expected)
    assert_same_bits(layer(x, out=np.zeros(expected.shape, np.float32, order="F")).copy(), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("size", "c_in", "c_out", "kernel", "stride", "padding", "dilation", "groups"),
    [
        ((37, 41), 16, 24, (3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((37, 41), 16, 24, (3, 3), (2, 3), (2, 1), (1, 2), 1),
        ((25, 70), 3, 5, (5, 4), (1, 2), (4, 3), (1, 1), 1),
        ((37, 41), 24, 24, (3, 3), (1, 1), (2, 2), (2, 2), 24),
        ((29, 31), 300, 14, (1, 1), (1, 1), (0, 0), (1, 1), 1),
        ((37, 66), 16, 1, (3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((37, 66), 4, 2, (3, 3), (1, 1), (1, 1), (1, 1), 2),
    ],
)
def test_any_tiling(size, c_in, c_out, kernel, stride, padding, dilation, groups, dtype, isa):
    """Each tile from the crop that its windows see, the padding only where they reach over the edge of the image."""
    x, w, b = (real(i, *shape, dtype=dtype) for i, shape in enumerate(
        ((2, c_in, *size), (c_out, c_in // groups, *kernel), (c_out,))))  # fmt: skip
    options = {"stride": stride, "dilation": dilation, "groups": groups, "algorithm": "direct"}
    whole = fastconv.conv2d(x, w, b, padding=padding, **options)

    def crop(axis, first, last):
        """The input that outputs first .. last - 1 read on an axis, and how far they reach beyond."""
        start = first * stride[axis] - padding[axis]
        stop = (last - 1) * stride[axis] - padding[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        return slice(max(start, 0), min(stop, size[axis])), (max(-start, 0), max(stop - size[axis], 0))

    height, width = whole.shape[2:]
    for rows, columns in ((1, width), (5, 7), (height, 16), (8, 33)):
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                bottom, right = min(top + rows, height), min(left + columns, width)
                (ys, pad_y), (xs, pad_x) = crop(0, top, bottom), crop(1, left, right)
                tile = fastconv.conv2d(x[..., ys, xs], w, b, padding=(pad_y, pad_x), **options)
                assert_same_bits(tile, whole[..., top:bottom, left:right].copy())


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(4, 2, 1, 1), (3, 2, 1, 1), (2, 2, 0, 1), (3, 3, 2, 2)]
)
def test_any_tiling_of_a_transposed_convolution(kernel, stride, padding, dilation, isa):
    """Rows [a, b) read the pixels ceil((a + P - d(K-1)) / S) .. floor((b - 1 + P) / S)."""
    x, w, b = real(0, 1, 16, 19, 21), real(1, 16, 14, kernel, kernel), real(2, 14)
    reach = dilation * (kernel - 1)
    options = {"dilation": dilation, "algorithm": "direct"}
    whole = fastconv.conv_transpose2d(x, w, b, stride, padding, **options)
    height = whole.shape[2]
    for rows in (1, 4, 7):
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            first = max(min(-((reach - top - padding) // stride), (top + padding) // stride), 0)
            last = min((bottom - 1 + padding) // stride, x.shape[2] - 1)
            lo = top + padding - first * stride
            full = stride * (last - first) + reach + 1
            hi = full - lo - (bottom - top)
            assert min(lo, hi) >= 0
            crop = x[:, :, first : last + 1]
            tile = fastconv.conv_transpose2d(crop, w, b, stride, ((lo, hi), (padding, padding)), **options)
            assert_same_bits(tile, whole[:, :, top:bottom].copy())


# ---- how many threads ------------------------------------------------------------------------------------------------


@pytest.fixture
def restored():
    """The process-wide thread count, put back afterwards."""
    before = fastconv.get_num_threads()
    yield before
    fastconv.set_num_threads(before)


def test_set_and_get(restored):
    for count in (1, 3, np.int64(2)):
        fastconv.set_num_threads(count)
        assert fastconv.get_num_threads() == count


def test_context_manager_nests_and_restores(restored):
    fastconv.set_num_threads(2)
    with fastconv.threads(5):
        assert fastconv.get_num_threads() == 5
        with fastconv.threads(1):
            assert fastconv.get_num_threads() == 1
        assert fastconv.get_num_threads() == 5
    assert fastconv.get_num_threads() == 2
    with pytest.raises(KeyError), fastconv.threads(3):
        raise KeyError
    assert fastconv.get_num_threads() == 2


def in_another_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_context_manager_is_for_its_own_thread_and_the_setting_for_all(restored):
    fastconv.set_num_threads(2)
    with fastconv.threads(5):
        assert in_another_thread(fastconv.get_num_threads) == 2
    fastconv.set_num_threads(3)
    assert in_another_thread(fastconv.get_num_threads) == 3


@pytest.mark.parametrize(
    ("bad", "error"),
    [(0, ValueError), (-1, ValueError), (2**63, ValueError), (1.5, TypeError), ("2", TypeError), (None, TypeError)],
)
def test_bad_counts(bad, error, restored):
    with pytest.raises(error, match=re.escape(str(bad))):
        fastconv.set_num_threads(bad)
    with pytest.raises(error, match=re.escape(str(bad))), fastconv.threads(bad):
        pass
    assert fastconv.get_num_threads() == restored


SHOW = "import fastconv; print(fastconv.get_num_threads())"


@pytest.mark.parametrize(
    ("ours", "openmp", "expected"), [("3", None, "3"), (None, "2", "2"), ("3", "2", "3"), ("1", "4", "1")]
)
def test_environment_variables(ours, openmp, expected, python):
    done = python(SHOW, FASTCONV_NUM_THREADS=ours, OMP_NUM_THREADS=openmp)
    assert done.stdout.split() == [expected], done.stderr


@pytest.mark.parametrize("bad", ["0", "-2", "many", "1.5"])
def test_bad_environment_variable_is_named_at_import(bad, python):
    done = python(SHOW, FASTCONV_NUM_THREADS=bad)
    assert done.returncode == 1
    last_line = done.stderr.strip().splitlines()[-1]
    assert last_line.startswith("ValueError")
    assert "FASTCONV_NUM_THREADS" in last_line
    assert bad in last_line


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_default_is_what_the_process_may_use(python):
    code = f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); {SHOW}"
    assert python(code, FASTCONV_NUM_THREADS=None, OMP_NUM_THREADS=None).stdout.split() == ["1"]
    default = int(python(SHOW, FASTCONV_NUM_THREADS=None, OMP_NUM_THREADS=None).stdout)
    assert 1 <= default <= len(os.sched_getaffinity(0))


def test_environment_chooses_the_instruction_set(python):
    code = "from fastconv import _core; print(_core.isa())"
    for isa in _core.available_isas():
        assert python(code, FASTCONV_ISA=isa).stdout.split() == [isa]
    assert python(code, FASTCONV_ISA=None).stdout.split() == [_core.available_isas()[-1]]
    refused = python(code, FASTCONV_ISA="pentium")
    assert refused.returncode == 1
    assert "pentium" in refused.stderr
    assert "baseline" in refused.stderr  # what is available


def test_show_config_tells_what_is_in_use(isa, threads, capsys):
    said = fastconv.show_config(mode="dicts")
    assert fastconv.__version__ in str(said)
    assert said["isa"]["in use"] == isa
    assert said["fastconv"]["threads"] == threads
    assert capsys.readouterr().out == ""
    assert fastconv.show_config() is None
    printed = capsys.readouterr().out
    assert fastconv.__version__ in printed
    assert isa in printed
    with pytest.raises(ValueError, match="mode"):
        fastconv.show_config(mode="dict")


def test_more_threads_than_work(isa):
    layer = fastconv.Conv2d(real(0, 3, 2, 3, 3))
    x = real(1, 1, 2, 4, 4)
    with fastconv.threads(1):
        expected = layer(x)
    with fastconv.threads(1000):
        assert_same_bits(layer(x), expected)


# ---- Python threads --------------------------------------------------------------------------------------------------


def test_the_pool_can_be_stopped_and_starts_again(isa):
    x, layer = road("3x3")
    with fastconv.threads(2):
        expected = layer(x)
        for _ in range(3):
            _core.stop_threads()
            assert_same_bits(layer(x), expected)


@pytest.mark.parametrize("name", ["3x3", "transposed", "sub-pixel", "depthwise"])
def test_sixteen_python_threads_share_one_layer(name, isa, threads):
    x, layer = road(name)
    expected = layer(x)
    start, failures = threading.Barrier(16), []

    def work(seed):
        try:
            start.wait()
            with fastconv.threads(1 + seed % 3):
                for _ in range(4):
                    assert_same_bits(layer(x), expected)
        except BaseException as failure:  # an assertion in a thread is lost unless it is carried out
            failures.append(failure)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_the_number_of_threads_changes_during_calls(isa, restored):
    x, layer = road("3x3")
    expected, stop, failures = layer(x), threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                assert_same_bits(layer(x), expected)
            except BaseException as failure:
                failures.append(failure)
                return

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for i in range(200):
        fastconv.set_num_threads(1 + i % 5)
        if i % 50 == 0:
            _core.stop_threads()
        time.sleep(0.001)
    stop.set()
    for worker in workers:
        worker.join()
    assert not failures


def test_python_threads_pack_a_wider_engine_at_once(isa):
    """The float64 weights of a float32 layer are packed on first use, by whoever comes first."""
    x = real(0, 1, 3, 20, 21, dtype="float64")
    w = real(1, 8, 3, 3, 3)
    expected = fastconv.conv2d(x, w.astype(np.float64))
    for _ in range(5):
        layer = fastconv.Conv2d(w)
        start, results = threading.Barrier(8), []

        def work(layer=layer, start=start, results=results):
            start.wait()
            results.append(layer(x))

        workers = [threading.Thread(target=work) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(results) == 8
        for y in results:
            assert_same_bits(y, expected)


def test_python_runs_on_while_a_convolution_does(threads):
    """A thread that notes the time every millisecond must have ticked in the middle of a long call."""
    layer = fastconv.Conv2d(real(0, 16, 256, 3, 3))
    image = real(1, 1, 256, 66, 66)
    started = time.perf_counter()
    layer(image)
    batch = min(200, 1 + int(0.4 / (time.perf_counter() - started)))
    x = np.broadcast_to(image, (batch, *image.shape[1:]))  # many images, the memory of one

    ticks, stop = [], threading.Event()

    def tick():
        while not stop.wait(0.001):
            ticks.append(time.perf_counter())

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.perf_counter()
    layer(x)
    end = time.perf_counter()
    stop.set()
    ticker.join()
    quarter = (end - start) / 4
    assert any(start + quarter < t < end - quarter for t in ticks)
