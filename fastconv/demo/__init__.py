"""The four operators on a photograph: each one checked against plain float64 NumPy, timed, and drawn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fastconv import Conv2d, ConvTranspose2d, SubpixelConv2d, __version__, _core, conv2d, pixel_shuffle, threads

from . import reference
from .figure import Gallery, draw
from .picture import UsageError, open_photo, resize

__all__ = ["UsageError", "run"]

DILATIONS = (1, 2, 4)
CHANNELS, SIDE = 64, 128  # of the layer-sized rows: the residual blocks of a super-resolution network
BOUND = 1e-5  # float32, sums of up to 576 products; the shuffle moves bytes and has to be exact
BUDGET = 0.25  # seconds of timing for each row


# The kernels ----------------------------------------------------------------------------------------------------------


def sobel() -> NDArray[np.float32]:
    """Return the slopes to the right and downwards, (2, 1, 3, 3)."""
    right = np.outer([1, 2, 1], [-1, 0, 1]) / 8
    return np.float32([[right], [right.T]])


def gaussian() -> NDArray[np.float32]:
    """Return a smooth kernel, sigma 1, for each of three channels, (3, 1, 3, 3).

    It sums to 4, so at stride 2 the output is as bright as the input on the whole. Its four phases, the taps that meet
    in one output pixel, do not sum to one each: 1, 2, 2 and 4 taps give 0.82, 0.99, 0.99 and 1.20.
    """
    row = np.exp(-0.5 * np.array([-1.0, 0.0, 1.0]) ** 2)
    row *= 2 / row.sum()
    return np.tile(np.outer(row, row).astype(np.float32), (3, 1, 1, 1))


def bilinear() -> NDArray[np.float32]:
    """Return the four phases of bilinear upsampling by 2, each of sum one, for three channels: (12, 1, 3, 3)."""
    phases = np.array([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])
    kernels = np.einsum("iy,jx->ijyx", phases, phases).reshape(4, 1, 3, 3)
    return np.tile(kernels.astype(np.float32), (3, 1, 1, 1))


# The cases ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One operator on one input, and how to tell whether it is right."""

    key: str
    title: str
    call: Callable[..., NDArray[np.float32]]  # call(x, out=y)
    x: NDArray[np.float32]
    expected: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    products: int = 0  # multiply-adds, as the definition counts them; none in the pixel shuffle
    bound: float = BOUND
    listed: bool = True


@dataclass(frozen=True)
class Result:
    """What a case gave."""

    case: Case
    y: NDArray[np.float32]
    milliseconds: float
    percent: float  # of the FMA peak, or of memcpy
    error: float  # relative to the largest output

    @property
    def passed(self) -> bool:
        return self.error <= self.case.bound  # False for a NaN, too


def photo_cases(photo: NDArray[np.float32]) -> Iterator[Case]:
    """Yield the four operators as image filters."""
    pixels = photo[0].size
    grey = np.tensordot(np.float32([0.299, 0.587, 0.114]), photo, 1)[np.newaxis]
    for d in DILATIONS:
        yield Case(
            f"dilation {d}",
            "edge filter: conv2d 3x3" if d == 1 else f"dilated conv2d 3x3, d = {d}",
            Conv2d(sobel(), dilation=d),
            _framed(grey, d),
            partial(reference.convolve, weight=sobel(), dilation=d),
            18 * pixels,
            listed=d in (DILATIONS[0], DILATIONS[-1]),
        )
    yield Case(
        "transposed",
        "conv_transpose2d 3x3, stride 2",
        ConvTranspose2d(gaussian(), stride=2, padding=1, output_padding=1, groups=3),
        photo,
        partial(reference.transpose, weight=gaussian(), stride=2, padding=1, output_padding=1, groups=3),
        27 * pixels,
    )
    yield Case(
        "subpixel",
        "subpixel_conv2d 3x3, r = 2",
        SubpixelConv2d(bilinear(), None, 2, groups=3),
        _framed(photo, 1),
        lambda x: reference.shuffle(reference.convolve(x, bilinear(), groups=3), 2),
        108 * pixels,
    )


def layer_cases(photo: NDArray[np.float32]) -> Iterator[Case]:
    """Yield the operators at the size of a network's layer, on feature maps of the photograph."""
    draw_weights = np.random.default_rng(0).standard_normal
    bank = draw_weights((4 * CHANNELS, 3, 3, 3), np.float32)
    features = np.maximum(conv2d(resize(photo, SIDE) - photo.mean(), bank, padding=1), 0)
    weight = draw_weights((CHANNELS, CHANNELS, 3, 3), np.float32) / CHANNELS
    x, products = features[:CHANNELS].copy(), weight.size * SIDE**2
    for d in (1, DILATIONS[-1]):
        yield Case(
            f"layer {d}",
            "conv2d 3x3" if d == 1 else f"dilated conv2d 3x3, d = {d}",
            Conv2d(weight, padding=d, dilation=d),
            x,
            partial(reference.convolve, weight=weight, padding=d, dilation=d),
            products,
        )
    yield Case(
        "layer transposed",
        "conv_transpose2d 3x3, stride 2",
        ConvTranspose2d(weight, stride=2, padding=1, output_padding=1),
        x,
        partial(reference.transpose, weight=weight, stride=2, padding=1, output_padding=1),
        products,
    )
    shuffle, expected = partial(pixel_shuffle, upscale_factor=2), partial(reference.shuffle, factor=2)
    yield Case("shuffle", "pixel_shuffle, r = 2", shuffle, features, expected, bound=0.0)


def _framed(image: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Repeat the outermost pixels: zeros around a photograph would be an edge of their own."""
    return np.pad(image, ((0, 0), (width, width), (width, width)), mode="edge")


# Checking and timing --------------------------------------------------------------------------------------------------


def measure(case: Case) -> Result:
    """Run a case in one thread: check it, and compare its speed with the ceiling of the machine."""
    with threads(1):
        y = case.call(case.x)
        error = relative_error(y, case.expected(case.x.astype(np.float64)))
        if case.products:
            (seconds,) = _medians(lambda: case.call(case.x, out=y))
            ceiling = max(_core.fma_peak() for _ in range(5)) * 1e9  # FLOP/s: what disturbs it only lowers it
            fraction = 2 * case.products / seconds / ceiling
        else:
            copy = np.empty_like(case.x)
            seconds, copying = _medians(lambda: case.call(case.x, out=y), lambda: np.copyto(copy, case.x))
            fraction = copying / seconds
    return Result(case, y, 1e3 * seconds, 100 * fraction, error)


def relative_error(y: NDArray[Any], expected: NDArray[np.float64]) -> float:
    """Return the largest error over the largest output.

    The output of an edge filter on a flat picture is nothing but rounding errors: it counts against a tenth of white.
    """
    return float(np.abs(y - expected).max() / max(np.abs(expected).max(), 0.1))


def _medians(*calls: Callable[[], object]) -> list[float]:
    """Return the median seconds of each call, taken in turns so that all of them see the same machine."""
    times: list[list[float]] = [[] for _ in calls]
    end = perf_counter() + BUDGET
    while perf_counter() < end or len(times[0]) < 5:
        for call, seconds in zip(calls, times, strict=True):
            start = perf_counter()
            call()
            seconds.append(perf_counter() - start)
    return [median(seconds) for seconds in times]


# The report -----------------------------------------------------------------------------------------------------------


def run(path: str | None, output: str) -> int:
    """Run the demo on a picture, print the table, write the figure; return 1 if a check failed, else 0."""
    _check_output(output)
    photo, description = open_photo(path)
    print(f"photo: {description}")
    cases = [*photo_cases(photo), *layer_cases(photo)]
    results = {}
    for case in tqdm(cases, "operators", delay=1, leave=False, disable=None):
        results[case.key] = measure(case)
    print(table(list(results.values())))
    draw(_gallery(photo, results), output)
    print(f"figure: {output}")
    failed = [result.case.title for result in results.values() if not result.passed]
    print(f"FAILED: {'; '.join(failed)}" if failed else f"all {len(results)} results agree with the reference")
    return 1 if failed else 0


def table(results: list[Result]) -> str:
    """Return a line per listed result, and what the columns mean."""
    peak = max(_core.fma_peak() for _ in range(5))
    lines = [
        f"fastconv {__version__}, {_core.isa()}, float32, one thread ({peak:.0f} GFLOP/s of multiply-adds at its peak)",
        "",
        f"{'operator':<32}{'shapes':<36}{'ms':>8}{'speed':>15}{'error':>10}",
    ]
    lines += [_row(result) for result in results if result.case.listed]
    lines += [
        "",
        "ms: median of the calls of a layer packed before. speed: % of what a core can multiply and add; the shuffle:",
        "% of memcpy. A filter with a single channel waits for memory, so the 64-channel layers tell more.",
        f"error: largest, over the largest output, against float64 NumPy; at most {BOUND:g}, and none for the shuffle.",
    ]
    return "\n".join(lines)


def _row(result: Result) -> str:
    case = result.case
    shapes = f"{_shape(case.x)} -> {_shape(result.y)}"
    ceiling = "FMA peak" if case.products else "memcpy  "
    return (
        f"{case.title:<32}{shapes:<36}{result.milliseconds:>8.2f}{result.percent:>5.0f}% {ceiling:<9}"
        f"{result.error:>10.1e}{'' if result.passed else '  FAILED'}"
    )


def _shape(array: NDArray[Any]) -> str:
    return "x".join(map(str, array.shape))


def _gallery(photo: NDArray[np.float32], results: dict[str, Result]) -> Gallery:
    edges = {d: np.hypot(*results[f"dilation {d}"].y) for d in DILATIONS}
    flat = ConvTranspose2d(gaussian()[:1], stride=2, padding=1, output_padding=1)(np.ones((1, 8, 8), np.float32))
    return Gallery(photo, edges, results["transposed"].y, results["subpixel"].y, flat[0])


def _check_output(output: str) -> None:
    """Refuse now what could not be written in the end."""
    folder = os.path.dirname(output) or "."
    if not output.lower().endswith(".png"):
        raise UsageError(f"the figure is a PNG file, got -o {output}")
    if os.path.isdir(output) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {output}")
