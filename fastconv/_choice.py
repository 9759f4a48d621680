"""Which algorithm computes an operator: one function, looking at the operator, the image size and the dtype.

Never at the number of threads or at the batch, so that results do not depend on them. docs/performance.md holds the
measurement behind each number.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from .geometry import Convolution, TransposedConvolution


class Choice(NamedTuple):
    """An engine of the core, its tile if it has one to choose, and the reason in a few words."""

    engine: str
    tile: tuple[int, ...] = ()
    why: str = ""


@lru_cache(maxsize=1024)
def choose(
    operator: Convolution | TransposedConvolution,
    size: tuple[int, ...] | None,
    compute: np.dtype[Any],
    algorithm: str,
) -> Choice:
    """Return how to compute `operator` on an image of this spatial size; None stands for a large image."""
    if algorithm == "direct":
        return Choice("direct", why="asked for")
    import os
    if compute.name == "float32" and hasattr(operator, "factor") and operator.factor == (1, 1) and operator.kernel == (3, 3) and operator.stride == (1, 1) and operator.core_channels[1] >= 8:
        n = int(os.environ.get("WN", "8"))
        if n: return Choice("winograd", (n, n), "3x3")
    return Choice("direct", why="nothing faster is known for this kernel")
