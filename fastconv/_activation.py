"""Activations, as users name them and as the core numbers them."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Activation: TypeAlias = "str | tuple[str, float] | None"
End: TypeAlias = "tuple[int, float, NDArray[Any] | None]"  # kind, slope, residual

NAMES = (None, "relu", "relu6", "leaky_relu", "sigmoid", "silu", "tanh")  # the order of FC_RELU ... in kernels.h
NO_END = None, 0, 0.0
SLOPE = 0.01  # of leaky_relu, as in torch


def as_end(activation: Activation) -> tuple[Activation, int, float]:
    """Return an activation with its kind and its slope."""
    name, slope = activation, SLOPE
    if isinstance(activation, tuple) and len(activation) == 2 and activation[0] == "leaky_relu":
        name, slope = activation
        if not _is_slope(slope):
            raise ValueError(f"activation 'leaky_relu' takes a finite number as its slope, got {slope!r}")
    if not isinstance(name, str) or name not in NAMES:
        raise ValueError(
            f"activation must be None, 'relu', 'relu6', 'leaky_relu', ('leaky_relu', slope), 'silu', 'sigmoid' or "
            f"'tanh', got {activation!r}"
        )
    return (name if slope == SLOPE else (name, float(slope))), NAMES.index(name), float(slope)


def _is_slope(slope: Any) -> bool:
    """Tell whether this is one real number, finite as a float."""
    if isinstance(slope, (bool, str, bytes)) or not hasattr(type(slope), "__float__") or np.iscomplexobj(slope):
        return False
    try:
        return isfinite(slope)
    except (TypeError, OverflowError):  # an array of several; an integer beyond every float
        return False


def part_of(end: End, index: Any) -> End:
    """Return an end for a part of the output."""
    kind, slope, residual = end
    return kind, slope, None if residual is None else residual[index]
