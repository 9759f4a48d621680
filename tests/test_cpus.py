"""Other processors, emulated: each gets the best kernels that it can run, and right answers from them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conditions import sanitized

import fastconv

EMULATOR = shutil.which("qemu-x86_64")
pytestmark = pytest.mark.skipif(EMULATOR is None or sanitized, reason="needs qemu-x86_64")
TESTS = Path(__file__).parent


def emulate(cpu, *command, **environment):
    """Run Python on a processor. NumPy's OpenBLAS takes every emulated one for a newer one; it is told which it is."""
    path = os.pathsep.join([str(Path(fastconv.__file__).parents[1]), str(TESTS)])
    settings = {"PYTHONPATH": path, "OPENBLAS_CORETYPE": "NEHALEM"} | environment
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FASTCONV_")}
    return subprocess.run(
        [EMULATOR, "-cpu", cpu, sys.executable, *command],
        env=kept | settings,
        capture_output=True,
        text=True,
        timeout=600,
    )


# The third has AVX2, and an operating system that does not save its registers.
@pytest.mark.parametrize(
    ("cpu", "isa"),
    [("Nehalem", "baseline"), ("Haswell", "avx2"), ("Haswell,-xsave", "baseline"), ("Haswell,-fma", "baseline")],
)
def test_the_best_that_runs(cpu, isa):
    done = emulate(cpu, str(TESTS / "smoke.py"), isa)
    assert done.stdout == f"smoke passed on {isa}\n", done.stderr


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_what_cannot_run_is_refused_by_name(isa):
    done = emulate("Nehalem", "-c", "import fastconv", FASTCONV_ISA=isa)
    assert done.returncode == 1
    assert f"FASTCONV_ISA={isa} is built in, but this CPU cannot run it; available here: baseline" in done.stderr
