"""A short tour under valgrind's memcheck: no complaint whose stack passes through the extension module."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conditions import sanitized

import fastconv

pytestmark = pytest.mark.skipif(shutil.which("valgrind") is None or sanitized, reason="needs valgrind")
TESTS = Path(__file__).parent


def test_smoke(tmp_path):
    """Python's own complaints are not ours; its allocator must be malloc, or there are no ends of arrays to see."""
    log = tmp_path / "memcheck.log"
    path = os.pathsep.join([str(Path(fastconv.__file__).parents[1]), str(TESTS)])
    done = subprocess.run(
        ["valgrind", "--tool=memcheck", f"--log-file={log}", sys.executable, str(TESTS / "smoke.py")],
        env=os.environ | {"PYTHONPATH": path, "PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout.startswith("smoke passed"), done.stderr
    report = log.read_text()
    assert "ERROR SUMMARY" in report
    assert "_core." not in report, report
