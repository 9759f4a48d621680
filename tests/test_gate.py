"""The gate on exact figures: a slowdown planted in a scratch clone is caught, and no other is seen."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv

ROOT = Path(__file__).parents[1]
LAYERS = "resnet50_maxpool3x3s2_64_112x112", "mobilenet_dw3x3_512_14x14"
# The join of rows of a pooling goes through portable code again.
DISPATCH = "fastconv/_isa/dispatch.c"
PLACE = "    t->name = names[index];\n"
PLANT = "    if (index) t->f32.max_rows = fc_isa_table(0)->f32.max_rows;\n"


def reason():
    """Why the gate cannot be tried here, or None."""
    if not (ROOT / ".git").exists() or Path(fastconv.__file__).parents[1] != ROOT:
        return "compares commits of a checkout, and this is an installed wheel"
    missing = [tool for tool in ("git", "gcc", "valgrind", "tar") if shutil.which(tool) is None]
    missing += [module for module in ("Cython", "setuptools") if importlib.util.find_spec(module) is None]
    return f"needs {', '.join(missing)}" if missing else None


@pytest.fixture
def clone(tmp_path):
    """The working tree as a commit of its own."""
    sys.path.insert(0, str(ROOT))
    try:
        from asv_benches.gate import copy_working_tree
    finally:
        sys.path.remove(str(ROOT))
    tree = tmp_path / "clone"
    tree.mkdir()
    copy_working_tree(tree)
    identity = ["-c", "user.name=Gate", "-c", "user.email=gate@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "As it is"]):
        subprocess.run(["git", *command], cwd=tree, check=True)
    return tree


def gate(tree):
    command = [sys.executable, "-m", "asv_benches.gate", "--base", "HEAD", "--layers", *LAYERS]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True)


@pytest.mark.skipif(reason() is not None, reason=str(reason()))
def test_a_planted_slowdown_is_caught(clone):
    clean = gate(clone)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert all(name in clean.stdout for name in LAYERS)
    source = clone / DISPATCH
    text = source.read_text()
    assert text.count(PLACE) == 1
    source.write_text(text.replace(PLACE, PLANT + PLACE))
    planted = gate(clone)
    assert planted.returncode == 1, planted.stdout + planted.stderr
    assert f"worse than HEAD: {LAYERS[0]} (instructions)\n" in planted.stdout
    assert "worse" in next(line for line in planted.stdout.splitlines() if line.startswith(LAYERS[0]))
