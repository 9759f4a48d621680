"""Compare the exact figures of the working tree with those of a base commit; exit with 1 if one got worse.

    python -m asv_benches.gate [--base HEAD~1] [--quick] [--threshold 0.02]

Both are built, side by side, with what is installed here (Cython, setuptools, NumPy, gcc), and their instructions
counted by valgrind. Noise has no part in it: the counts of two builds of one source are the same to some digits.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .benchmarks import counted

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m asv_benches.gate", description=__doc__.split("\n\n")[0])
    parser.add_argument("--base", default="HEAD~1", help="the commit to compare with (HEAD~1)")
    parser.add_argument("--quick", action="store_true", help="some layers instead of all")
    parser.add_argument("--layers", nargs="+", choices=counted.ALL, metavar="LAYER", help="these layers alone")
    parser.add_argument("--threshold", type=float, default=0.02, help="what share more is worse (0.02)")
    options = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed, and counts the instructions: e.g. apt-get install valgrind")
    names = options.layers or (counted.QUICK if options.quick else counted.ALL)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        trees = Path(folder) / "base", Path(folder) / "now"
        export(options.base, trees[0])
        copy_working_tree(trees[1])
        base, now = pool.map(lambda tree: measure(tree, names), trees)
    worse = []
    for figure in ("instructions", "workspace"):
        before, after = ({name: tree[name][figure] for name in tree} for tree in (base, now))
        print(table(f"{figure} of a call", before, after, options.threshold), end="\n\n")
        worse += [f"{name} ({figure})" for name in after if is_worse(before.get(name), after[name], options.threshold)]
    worse += [f"{name} (is missing)" for name in base if name not in now]
    print(f"worse than {options.base}: {', '.join(worse) or 'none'}")
    return 1 if worse else 0


def is_worse(before: int | None, after: int, threshold: float) -> bool:
    return before is not None and after > before * (1 + threshold)


def export(commit: str, folder: Path) -> None:
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)


def copy_working_tree(folder: Path) -> None:
    """What git would know of: committed or not, but nothing that is built."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def measure(tree: Path, names: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Build a tree in place and count; the layers and the counting are this tree's, for both."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(build, cwd=tree, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{tree.name} does not build:\n{done.stderr[-3000:]}")
    return counted.count(names, tree)


def table(title: str, base: dict[str, int], now: dict[str, int], threshold: float) -> str:
    """Return the figures side by side, the worst first; layers for which both are 0 are left out."""
    rows = []
    for name in {**base, **now}:
        before, after = base.get(name), now.get(name)
        if not before and not after:
            continue
        change = after / before - 1 if before and after else 0.0
        mark = "worse" if change > threshold else "better" if change < -threshold else ""
        rows.append((-change, name, before, after, mark))
    lines = [f"{title:<36} {'base':>14} {'now':>14} {'change':>9}"]
    for change, name, before, after, mark in sorted(rows, key=lambda row: row[:2]):
        sides = " ".join(f"{'-' if side is None else format(side, ','):>14}" for side in (before, after))
        lines.append(f"{name:<36} {sides} {-change:>+9.2%} {mark}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
