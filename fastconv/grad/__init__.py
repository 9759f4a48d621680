"""Gradients: what a change of an operator's input, weight or bias does to a sum over its output.

``grad_output`` is the derivative of a number by the operator's output; each function gives that by one argument.
The gradient by the input of a convolution is a transposed convolution, and the other way round; the gradient by the
weights is a matrix product over pixels. Names and order of arguments are those of `torch.nn.grad`.
"""

from . import convolutions, ways
from .convolutions import *  # noqa: F403
from .ways import *  # noqa: F403

__all__ = sorted([*convolutions.__all__, *ways.__all__])
