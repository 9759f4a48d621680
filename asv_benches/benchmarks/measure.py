"""Ratios that survive a noisy machine: both sides are timed in turn, in one process; the median of each counts."""

from statistics import median
from time import perf_counter

ROUNDS = 15


def seconds(*calls, rounds=ROUNDS):
    """Median seconds of each call, taken in turn."""
    times = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(rounds):
        for call, taken in zip(calls, times, strict=True):
            start = perf_counter()
            call()
            taken.append(perf_counter() - start)
    return [median(taken) for taken in times]


def peak():
    """Multiply-adds a second of one core, as measured here and now."""
    from fastconv import _core

    if not hasattr(_core, "fma_peak"):
        raise NotImplementedError("no peak")
    _core.fma_peak()
    return max(_core.fma_peak() for _ in range(5)) * 1e9 / 2


def torch_layer(name):
    """torch's function for a layer; NotImplementedError where torch is not installed or has none."""
    try:
        import torch
    except ImportError as error:
        raise NotImplementedError("torch is not installed") from error
    from .layers import LAYERS, arrays

    operator, _, _, settings = LAYERS[name]
    torch.set_num_threads(1)
    x, w = (None if a is None else torch.from_numpy(a) for a in arrays(name))
    functional = torch.nn.functional
    names = {"Conv1d": "conv1d", "Conv2d": "conv2d", "ConvTranspose2d": "conv_transpose2d"}
    if operator in names:
        return lambda: getattr(functional, names[operator])(x, w, **settings)
    if operator == "SubpixelConv2d":
        return lambda: functional.pixel_shuffle(functional.conv2d(x, w, **settings), int(name[-1]))
    return lambda: getattr(functional, operator)(x, **settings)
