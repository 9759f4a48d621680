"""The fuzzers' long form. Each failure is printed as one line that can be pasted back.

    python tests/fuzz.py calls --cases 100000           random calls, against the reference
    python tests/fuzz.py gradients --cases 100000       their gradients
    python tests/fuzz.py arguments --cases 100000       arguments of any kind: a clean exception, or an answer
    python tests/fuzz.py again "Call(...)"              one of them once more

Cases run in child processes, so that a crash or a hang is a finding like others. Case number i of a seed is the same
on every machine that has the same instruction sets.
"""

import argparse
import multiprocessing
import random
import shlex
import sys
import time
import traceback
from pathlib import Path

import fuzz_arguments
import fuzz_calls
import fuzz_gradients
from tqdm import tqdm

FUZZERS = {"calls": fuzz_calls, "gradients": fuzz_gradients, "arguments": fuzz_arguments}
CHUNK = 500  # cases of a child process
SECONDS = 60  # without a case coming to its end, and it hangs


def case(fuzzer, seed, number):
    return fuzzer.draw(random.Random(f"{seed} {number}"))


def run_chunk(fuzzer, seed, first, end, at, findings):
    """A child's work: `at` says how far it is."""
    if fuzzer is fuzz_arguments:
        fuzzer.limit_memory()
    for number in range(first, end):
        at.value = number
        try:
            fuzzer.check(case(fuzzer, seed, number))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            findings.put((number, f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"))
    at.value = end


def watch(child, at, findings):
    """Wait for the child; what it found, and what has become of it, if that is no good."""
    last, since = -1, time.monotonic()
    while child.is_alive():
        yield from drained(findings)  # a child does not end before its findings are read
        child.join(0.2)
        if at.value != last:
            last, since = at.value, time.monotonic()
        elif time.monotonic() - since > SECONDS:
            child.kill()
            child.join()
            yield at.value, f"no answer in {SECONDS} s"
            return
    yield from drained(findings)
    if child.exitcode:
        yield at.value, f"the process ended with {child.exitcode}"


def drained(findings):
    while not findings.empty():
        yield findings.get()


def fuzz(name, seed, cases):
    """Run the cases; yields (number, what went wrong)."""
    context = multiprocessing.get_context("fork")
    at, findings = context.Value("q", 0), context.Queue()
    first = 0
    with tqdm(total=cases, unit="case") as bar:
        while first < cases:
            end = min(cases, first + CHUNK)
            child = context.Process(target=run_chunk, args=(FUZZERS[name], seed, first, end, at, findings))
            child.start()
            yield from watch(child, at, findings)
            reached = min(at.value + 1, end)  # the next one after a case that ended the child
            bar.update(reached - first)
            first = reached


def again(text):
    """Run a case from what was printed."""
    fuzzer = next(f for f in FUZZERS.values() if f.KINDS[0].__name__ == text.partition("(")[0])
    names = {kind.__name__: kind for kind in fuzzer.KINDS}
    fuzzer.check(eval(text, {**names, "inf": float("inf"), "nan": float("nan")}))


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=[*FUZZERS, "again"])
    parser.add_argument("case", nargs="?", help="for again: what was printed")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.what == "again":
        again(options.case)
        print("right")
        return 0
    failures = 0
    for number, reason in fuzz(options.what, options.seed, options.cases):
        failures += 1
        call = case(FUZZERS[options.what], options.seed, number)
        print(f"python tests/fuzz.py again {shlex.quote(repr(call))}\n    # case {number}: {reason}", flush=True)
    print(f"{options.cases} cases, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
