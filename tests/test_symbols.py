"""The extension module shows its initialisation to the dynamic linker, and nothing else."""

import shutil
import subprocess

import pytest
from conditions import linux, sanitized

from fastconv import _core


@pytest.mark.skipif(
    not linux or sanitized or shutil.which("nm") is None, reason="needs nm, and no sanitizer's own symbols"
)
def test_only_the_initialisation_is_exported():
    listed = subprocess.run(["nm", "-D", "--defined-only", _core.__file__], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["PyInit__core"]
