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
    n = int(os.environ.get("WN", "6"))
    if n and compute.name == "float32" and operator.core_channels[1] >= 8:
        axes, in_step, out_step = operator.phases()
        if in_step == (1, 1, 1) and len(axes[0]) == 1 and operator.splits_evenly():
            taps = [max(len(t) for _, t in axis) for axis in axes]
            dil = max(getattr(operator, "dilation", (1,)))
            if taps[0] == 1 and taps[2] > 1 and all(len(a) == s for a, s in zip(axes, out_step)) and (out_step == (1, 1, 1) or dil == 1) and n - max(taps) + 1 >= 2:
                return Choice("winograd", (n if taps[1] > 1 else 1, n), "fits")
    return Choice("direct", why="nothing faster is known for this kernel")
