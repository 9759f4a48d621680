"""The short form of the fuzzers, in this process; `python tests/fuzz.py` is the long one."""

import random
import shlex
import subprocess
import sys
from pathlib import Path

import fuzz_arguments
import fuzz_calls
import fuzz_gradients
import numpy as np
import pytest
from conditions import linux, needs_true_memory

import fastconv
from fastconv import grad

FUZZ = Path(__file__).parent / "fuzz.py"


def cases(fuzzer, part, count):
    """Other ones than those of the long form, and of the other parts."""
    return [fuzzer.draw(random.Random(f"short {part} {number}")) for number in range(count)]


@pytest.mark.parametrize("part", range(8))
@pytest.mark.parametrize("fuzzer", [fuzz_calls, fuzz_gradients])
@pytest.mark.skipif(not linux, reason="needs mprotect")
def test_calls(fuzzer, part):
    for case in cases(fuzzer, part, 250):
        try:
            fuzzer.check(case)
        except Exception as error:
            raise AssertionError(f"python tests/fuzz.py again {shlex.quote(repr(case))}") from error


@needs_true_memory
def test_arguments():
    """In a process of its own, whose memory is limited."""
    done = subprocess.run(
        [sys.executable, FUZZ, "arguments", "--cases", "5000", "--seed", "7"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    assert "5000 cases, 0 failures" in done.stdout


@pytest.mark.parametrize("fuzzer", [fuzz_calls, fuzz_gradients, fuzz_arguments])
def test_a_case_is_what_it_prints(fuzzer):
    names = {kind.__name__: kind for kind in fuzzer.KINDS}
    for case in cases(fuzzer, "printed", 200):
        assert repr(eval(repr(case), names)) == repr(case)


def test_a_printed_case_runs_again():
    call = next(c for c in cases(fuzz_calls, "again", 99) if c.function == "conv2d")
    done = subprocess.run([sys.executable, FUZZ, "again", repr(call)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "right\n", done.stderr


def test_a_wrong_number_is_found(monkeypatch):
    right = fastconv.interpolate

    def wrong(*arguments, **options):
        y = right(*arguments, **options)
        y.flat[-1] = np.nextafter(y.flat[-1], 9) + 1e-3
        return y

    monkeypatch.setattr(fastconv, "interpolate", wrong)
    call = fuzz_calls.Call("interpolate", {"input": (1, 1, 3)}, {"size": (6,), "mode": "nearest"})
    with pytest.raises(AssertionError):
        fuzz_calls.check(call)


@pytest.mark.parametrize(("name", "by"), [("interpolate", "input"), ("conv1d", "input"), ("conv1d", "weight")])
def test_a_wrong_entry_of_a_gradient_is_found(name, by, monkeypatch):
    right = getattr(grad, f"{name}_{by}")

    def wrong(*arguments, **options):
        gradient = right(*arguments, **options)
        gradient.flat[-1] += 1e-2
        return gradient

    monkeypatch.setattr(grad, f"{name}_{by}", wrong)
    options = {"size": (6,), "mode": "nearest"} if name == "interpolate" else {
        "stride": (1,), "padding": 1, "dilation": (1,), "groups": 1}  # fmt: skip
    call = fuzz_calls.Call(name, {"input": (1, 1, 3), "weight": (2, 1, 3)}, options)
    if name == "interpolate":
        del call.shapes["weight"]
    with pytest.raises(AssertionError):
        fuzz_gradients.check(fuzz_gradients.Gradient(call, by))


def test_a_kept_reference_and_an_unclean_exception_are_found(monkeypatch):
    kept = []
    monkeypatch.setattr(fastconv, "zero_insert", lambda input, stride: kept.append(input))
    case = fuzz_arguments.Arguments("fastconv.zero_insert", ("ones(2, 2)", "2"), {})
    with pytest.raises(AssertionError, match="references kept"):
        fuzz_arguments.check(case)
    monkeypatch.setattr(fastconv, "zero_insert", lambda input, stride: [][0])
    with pytest.raises(IndexError):
        fuzz_arguments.check(case)
