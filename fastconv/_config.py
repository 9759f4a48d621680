"""Threads, instruction set, and what this build is."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import ceil, inf
from typing import Any

import numpy as np

from . import _core
from ._version import __version__
from .geometry import as_int

__all__ = ["get_num_threads", "set_num_threads", "show_config", "threads"]


# Threads --------------------------------------------------------------------------------------------------------------


def get_num_threads() -> int:
    """Return the number of threads that a call made here and now may use.

    Examples
    --------
    >>> from fastconv import get_num_threads, threads
    >>> with threads(2):
    ...     get_num_threads()
    2
    """
    return _here.get() or _everywhere


def set_num_threads(n: int) -> None:
    """Set the number of threads for the whole process; where `threads` is in force, it keeps the upper hand.

    The default is ``FASTCONV_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the CPUs that the process may use by its
    affinity and by the quota of its control group. Results have the same bits for any number of threads.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an int of at least 1.
    """
    global _everywhere
    _everywhere = as_int("n", n)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let calls in a ``with`` block use `n` threads: those of this Python thread, and no others.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an int of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import conv1d, threads
    >>> with threads(1):
    ...     y = conv1d(np.ones((1, 4)), np.ones((1, 1, 2)))
    """
    token = _here.set(as_int("n", n))
    try:
        yield
    finally:
        _here.reset(token)


def _threads_from_environment() -> int | None:
    wish = os.environ.get("FASTCONV_NUM_THREADS", "").strip()
    if wish:
        if _count(wish) is None:
            raise ValueError(f"FASTCONV_NUM_THREADS must be an integer of at least 1, got {wish!r}")
        return _count(wish)
    # OpenMP's variable may list a number per level of nesting, and is not ours to complain about.
    return _count(os.environ.get("OMP_NUM_THREADS", "").split(",")[0])


def _count(text: str) -> int | None:
    try:
        return as_int("threads", int(text))
    except ValueError:
        return None


def _usable_cpus() -> int:
    """Return how many CPUs the process may keep busy: its affinity, or less if its control group has a quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, affinity if quota == inf else min(affinity, ceil(quota)))


def _cgroup_quota(membership: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> float:
    """Return the CPUs that the process's control groups (version 1 or 2) grant it, inf if they set no limit.

    A limit on any group further up holds too. In a container the path may be the host's, with no such folder here;
    then the root of the mount is the container's own group.
    """
    try:
        with open(membership) as file:
            groups = [line.rstrip("\n").split(":", 2)[1:] for line in file]
    except (OSError, UnicodeDecodeError):
        return inf
    quota = inf
    for controllers, path in (group for group in groups if len(group) == 2):
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = f"{root}/{controllers}".rstrip("/")
        ancestors = [name for name in path.split("/") if name]
        for depth in range(len(ancestors) + 1):
            quota = min(quota, _quota_of("/".join([mount, *ancestors[:depth]])))
    return quota


def _quota_of(folder: str) -> float:
    try:
        if os.path.exists(f"{folder}/cpu.max"):  # version 2: "quota period", the quota may be "max"
            quota, period = _words(f"{folder}/cpu.max")
        else:  # version 1: two files, the quota may be -1
            quota, period = _words(f"{folder}/cpu.cfs_quota_us") + _words(f"{folder}/cpu.cfs_period_us")
        return int(quota) / int(period) if int(quota) > 0 else inf
    except (OSError, ValueError, ZeroDivisionError):
        return inf


def _words(path: str) -> list[str]:
    with open(path) as file:
        return file.read().split()


_here: ContextVar[int] = ContextVar("fastconv_threads", default=0)  # 0: as everywhere
_everywhere: int = _threads_from_environment() or _usable_cpus()


# Instruction set ------------------------------------------------------------------------------------------------------


def _choose_isa() -> None:
    name = os.environ.get("FASTCONV_ISA", "").strip()
    if name and name not in _core.available_isas():
        state = "built in, but this CPU cannot run it" if name in _core.compiled_isas() else "unknown to this build"
        raise ValueError(f"FASTCONV_ISA={name} is {state}; available here: {', '.join(_core.available_isas())}")
    if name:
        _core.use_isa(name)


_choose_isa()


# Information ----------------------------------------------------------------------------------------------------------


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print, or with ``mode="dicts"`` return, the version, instruction sets, threads and build of this fastconv.

    Raises
    ------
    ValueError
        If `mode` is neither "stdout" nor "dicts".
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', got {mode!r}")
    config: dict[str, dict[str, Any]] = {
        "fastconv": {"version": __version__, "threads": get_num_threads()},
        "isa": {
            "in use": _core.isa(),
            "available": list(_core.available_isas()),
            "compiled": list(_core.compiled_isas()),
        },
        "build": _core.build_info(),
        "runtime": {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()},
    }
    if mode == "dicts":
        return config
    for section, entries in config.items():
        print(section)
        for name, value in entries.items():
            print(f"  {name:<12}{', '.join(value) if isinstance(value, list) else value}")
    return None
