"""Processes: fork and its kin, Ctrl-C, the start and the end of the interpreter."""

import sys

import pytest
from conditions import linux, needs_fork

FORK = """
    import os, sys, threading, time, warnings
    import numpy as np, fastconv
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads: the point here

    fastconv.set_num_threads(2)
    layer = fastconv.Conv2d(np.ones((32, 32, 3, 3), np.float32))
    x = np.ones((2, 32, 64, 64), np.float32)
    expected = layer(x)  # the pool is running now

    def wait_for(child):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        os.kill(child, 9)
        os.waitpid(child, 0)
        return "hung"

    def compute_in_child():
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(layer(x), expected) else 3)
        return wait_for(child)
"""


def run_after_fork(python, code):
    """Run code behind the lines above, in a process of its own; it must come to its end."""
    done = python(f"{FORK}{code}\n    print('done')")
    assert done.stdout == "done\n", done.stderr


@needs_fork
def test_a_forked_child_computes(python):
    run_after_fork(
        python,
        """
    assert compute_in_child() == 0
    assert np.array_equal(layer(x), expected)  # and the parent goes on
    grandchild = os.fork()
    if grandchild == 0:
        layer(x)
        os._exit(0 if compute_in_child() == 0 else 4)
    assert wait_for(grandchild) == 0
    """,
    )


@needs_fork
def test_fork_while_another_thread_convolves(python):
    run_after_fork(
        python,
        """
    stop = threading.Event()
    def keep_busy():
        while not stop.is_set():
            layer(x)
    busy = threading.Thread(target=keep_busy)
    busy.start()
    results = [compute_in_child() for _ in range(10)]
    stop.set()
    busy.join()
    assert results == [0] * 10, results
    """,
    )


@needs_fork
def test_a_forked_pool_of_processes(python):
    run_after_fork(
        python,
        """
    import multiprocessing
    def compute(_):
        return layer(x)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = pool.map_async(compute, range(4)).get(timeout=60)
    assert all(np.array_equal(y, expected) for y in results)
    """,
    )


PROGRAM = """
import multiprocessing, sys
import numpy as np, fastconv

layer = fastconv.Conv2d(np.arange(9.0, dtype=np.float32).reshape(1, 1, 3, 3))

def compute(seed):
    x = np.random.default_rng(seed).standard_normal((8, 1, 200, 200)).astype(np.float32)
    with fastconv.threads(2):
        return layer(x)

if __name__ == "__main__":
    expected = list(map(compute, range(4)))  # the pool of threads is running now
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        results = pool.map_async(compute, range(4)).get(timeout=100)
    assert all(np.array_equal(y, z) for y, z in zip(results, expected))
    print("done")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@needs_fork
def test_every_way_to_start_a_process(method, python, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = python(f"""
    import subprocess, sys
    sys.exit(subprocess.call([sys.executable, "program.py", {method!r}]))
    """)
    assert done.stdout == "done\n", done.stderr


@pytest.mark.skipif(not linux, reason="counts threads in /proc")
def test_nothing_starts_at_import_and_workers_only_when_they_are_needed(python):
    done = python("""
    import os, time, numpy as np
    count = lambda: len(os.listdir("/proc/self/task"))
    before = count()
    import fastconv
    fastconv.set_num_threads(3)
    x, w = np.ones((1, 16, 64, 64), "f4"), np.ones((16, 16, 3, 3), "f4")
    assert count() == before
    with fastconv.threads(1):
        fastconv.conv2d(x, w)
    assert count() == before
    fastconv.conv2d(x, w)
    assert count() == before + 2
    fastconv._core.stop_threads()
    for _ in range(500):            # the system may list a thread for a moment after it was joined
        if count() == before: break
        time.sleep(0.01)
    assert count() == before
    print("done")
    """)
    assert done.stdout == "done\n", done.stderr


LONG = """
import sys, threading, time
import numpy as np, fastconv
layer = fastconv.Conv2d(np.ones((64, 64, 3, 3), np.float32), algorithm="direct")
one = np.ones((1, 64, 64, 64), np.float32)
expected = layer(one)
start = time.perf_counter()
layer(one)
images = min(2000, 1 + int(1.5 / (time.perf_counter() - start)))
x = np.broadcast_to(one, (images, 64, 64, 64))
out = np.empty((images, 64, 62, 62), np.float32)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_is_answered_when_the_call_ends(threads, python, tmp_path):
    """The signal arrives in the middle of one of some long calls; the next call is right."""
    code = f"""{LONG}
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
fastconv.set_num_threads({threads})
print("now", flush=True)
end = time.monotonic() + 60
try:
    while time.monotonic() < end:
        layer(x, out=out)
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted")
assert np.array_equal(layer(one), expected)
print("alive")
"""
    path = tmp_path / "long.py"
    path.write_text(code)
    done = python(f"""
    import signal, subprocess, sys, time
    child = subprocess.Popen([sys.executable, {str(path)!r}], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "now\\n"
    time.sleep(0.4)
    child.send_signal(signal.SIGINT)
    sent = time.monotonic()
    print(child.communicate(timeout=60)[0].split(), child.returncode, time.monotonic() - sent < 30)
    """)
    assert done.stdout == "['interrupted', 'alive'] 0 True\n", done.stderr


@pytest.mark.parametrize("threads", [1, 2])
def test_the_interpreter_may_end_during_a_call(threads, python):
    done = python(f"""{LONG}
fastconv.set_num_threads({threads})
busy = threading.Thread(target=lambda: [layer(x, out=out) for _ in range(99)], daemon=True)
busy.start()
time.sleep(0.3)
print("leaving", flush=True)
""")
    assert (done.stdout, done.returncode) == ("leaving\n", 0), done.stderr


def test_the_interpreter_may_end_in_a_child_that_computes(python):
    run_after_fork(
        python,
        """
    child = os.fork()
    if child == 0:
        layer(x)
        sys.exit(5)  # with all that an interpreter does at its end
    assert wait_for(child) == 5
    """,
    )
