"""The compiled loops. Axes are always (d, h, w); see the head of _core.pyx for the terms."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Taps = tuple[tuple[int, int], ...]

class Phases:
    in_step: tuple[int, ...]
    out_step: tuple[int, ...]
    groups: tuple[Any, ...]
    complete: bool
    pointwise: bool
    def __init__(
        self,
        axes: Sequence[Sequence[tuple[int, _Taps]]],
        in_step: Sequence[int],
        out_step: Sequence[int],
        taps_apart: bool = False,
        border: int = 0,
    ) -> None: ...

class Workspace:
    def __init__(self, size: int) -> None: ...
    def __buffer__(self, flags: int) -> memoryview: ...

class Cut:
    phases: Phases
    isa: str
    algorithm: str
    def __init__(
        self,
        phases: Phases,
        groups: int,
        out_channels: int,
        in_channels: int,
        weight_strides: Sequence[int],
        bias_strides: Sequence[int],
        itemsize: int,
    ) -> None: ...

class Runner:
    last: int
    def takes(self, last: int, one: bool) -> bool: ...
    def run(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        origin: Sequence[int],
        threads: int,
        last: int = 0,
        end: tuple[int, float, NDArray[Any] | None] | None = None,
        axes: int = 0,
    ) -> None: ...

class Engine(Runner):
    cut: Cut
    bands: tuple[int, int]
    finite: bool
    def __init__(
        self, cut: Cut, weight: NDArray[Any], bias: NDArray[Any] | None, threads: int = 1, once: bool = False
    ) -> None: ...
    def describe(self, x_shape: Sequence[int], y_shape: Sequence[int], threads: int = 1) -> dict[str, Any]: ...

class Call:
    def __init__(
        self, cut: Cut, shape: tuple[int, ...], origin: tuple[int, ...], dtype: np.dtype[Any], axes: int
    ) -> None: ...
    def __call__(
        self, x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any] | None, threads: int
    ) -> NDArray[Any] | None: ...

def common_dtype(x: object, weight: object, bias: object, about: tuple[object, ...]) -> np.dtype[Any] | None: ...

class TileCut:
    phases: Phases
    isa: str
    algorithm: str
    last: int
    weight_bytes: int
    def __init__(
        self,
        phases: Phases,
        groups: int,
        out_channels: int,
        in_channels: int,
        weight_strides: Sequence[int],
        bias_strides: Sequence[int],
        tile: tuple[int, ...],
        narrow: bool = False,
    ) -> None: ...

class Winograd:
    cut: TileCut
    last: int
    finite: bool
    def __init__(
        self,
        cut: TileCut,
        weight: NDArray[Any],
        bias: NDArray[Any] | None,
        threads: int = 1,
        once: bool = False,
        late: int = 0,
    ) -> None: ...
    def run(
        self, x: NDArray[Any], y: NDArray[Any], origin: Sequence[int], threads: int, last: int = 0
    ) -> list[int]: ...
    def describe(self, x_shape: Sequence[int], y_shape: Sequence[int], threads: int = 1) -> dict[str, Any]: ...

class Pixels(Runner):
    cut: Cut
    def __init__(
        self,
        cut: Cut,
        weight: NDArray[Any],
        bias: NDArray[Any] | None,
        threads: int = 1,
        once: bool = False,
        kind: int = 0,
    ) -> None: ...
    def describe(self, x_shape: Sequence[int], y_shape: Sequence[int], threads: int = 1) -> dict[str, Any]: ...

class Depthwise(Runner):
    phases: Phases
    isa: str
    finite: bool
    def __init__(
        self,
        phases: Phases,
        weight: NDArray[Any],
        bias: NDArray[Any] | None,
        group: int,
        pixels: int = 1,
        sums: int = 0,
        twice: bool = False,
    ) -> None: ...
    def describe(self, x_shape: Sequence[int], y_shape: Sequence[int], threads: int = 1) -> dict[str, Any]: ...

class TapsFirst(Runner):
    products: Engine
    direct: Engine
    algorithm: str
    finite: bool
    def __init__(self, products: Engine, direct: Engine, ones: NDArray[Any]) -> None: ...
    def describe(self, x_shape: Sequence[int], y_shape: Sequence[int], threads: int = 1) -> dict[str, Any]: ...

class Fourier:
    isa: str
    def __init__(
        self,
        spectra: NDArray[Any],
        roots: NDArray[Any],
        bias: NDArray[Any],
        panel: NDArray[Any],
        size: int,
        kernel: Sequence[int],
        step_w: int,
        channels: int,
        outputs: int,
    ) -> None: ...
    def run(self, x: NDArray[Any], y: NDArray[Any], origin: Sequence[int], bad: NDArray[Any], threads: int) -> None: ...
    def describe(self, x_shape: Sequence[int], y_shape: Sequence[int], threads: int) -> dict[str, Any]: ...
    def pairs(self, y_shape: Sequence[int]) -> int: ...
    def pair_rows(self) -> int: ...

def shuffle(
    x: NDArray[Any], y: NDArray[Any], itemsize: int, factors: Sequence[int], order: int, undo: bool, threads: int
) -> None: ...

class Pool:
    def __init__(
        self, windows: Sequence[Sequence[int]], mean: bool, count_padding: bool = True, divisor: float = 0
    ) -> None: ...
    def run(self, x: NDArray[Any], y: NDArray[Any], threads: int) -> None: ...

PLAIN_DTYPES: tuple[str, ...]

def max_pool(
    windows: Sequence[Sequence[int]],
    x: NDArray[Any],
    y: NDArray[Any],
    lowest: NDArray[Any],
    indices: NDArray[Any] | None,
    kind: int,
    threads: int,
) -> None: ...
def kernel_sums(
    small: NDArray[Any],
    large: NDArray[Any],
    sums: NDArray[Any],
    step: Sequence[int],
    dilation: Sequence[int],
    lo: Sequence[int],
    groups: int,
    threads: int,
) -> None: ...
def compiled_isas() -> tuple[str, ...]: ...
def available_isas() -> tuple[str, ...]: ...
def isa() -> str: ...
def lanes() -> int: ...
def widths() -> tuple[int, ...]: ...
def has_near_l3() -> bool: ...
def use_isa(name: str) -> None: ...
def build_info() -> dict[str, str]: ...
def stop_threads() -> None: ...
def stream_from(size: int) -> int: ...
def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]: ...
def emptier(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Callable[..., NDArray[Any]]: ...
def kept_memory() -> int: ...
def forget_memory() -> None: ...
def kernels(name: str) -> dict[str, Any]: ...
def byte_units() -> tuple[int, int]: ...
def shuffle_table(unit: int, ways: int, item_bytes: int, undo: bool) -> bytes: ...
def fma_peak(rounds: int = 2000) -> float: ...
