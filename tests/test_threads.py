"""Thread counts, and Python threads."""

import os
import re
import threading
import time

import numpy as np
import pytest
from roads import real, road
from tolerances import assert_same_bits

import fastconv
from fastconv import _core

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
