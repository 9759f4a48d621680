"""What comes in and what goes out: dtype rules, inputs as the core wants them, and the ``out=`` argument."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The dtype that each float dtype computes in. bfloat16 comes from ml_dtypes, which need not be installed: its name
# is enough, since NumPy casts from and to it once its owner has made it.
_COMPUTE: dict[str, np.dtype[Any]] = {
    "float16": np.dtype(np.float32),
    "bfloat16": np.dtype(np.float32),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}  # by the number of spatial axes
_CPU = 1  # kDLCPU, the device type of DLPack


# Inputs ---------------------------------------------------------------------------------------------------------------


def as_array(name: str, value: object) -> NDArray[Any]:
    """Return `value` as a plain ndarray, without a copy where it already is an array of some kind."""
    if type(value) is np.ndarray:
        return value
    if _is_masked(value):
        raise TypeError(f"{name} is a masked array, whose mask would be ignored: fill it first, e.g. {name}.filled(0)")
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return _from_dlpack(name, value)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} does not make an array: {error}") from error


def _is_masked(value: object) -> bool:
    return isinstance(value, np.ndarray) and type(value) is not np.ndarray and isinstance(value, np.ma.MaskedArray)


def _from_dlpack(name: str, value: Any) -> NDArray[Any]:
    if not hasattr(value, "__dlpack_device__"):
        raise TypeError(f"{name} has __dlpack__ but no __dlpack_device__ to say where it lies")
    device, _ = value.__dlpack_device__()
    if device != _CPU:
        raise TypeError(f"{name} is on a device of DLPack type {int(device)}, expected the CPU: copy it there first")
    return np.from_dlpack(value)


def rows(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return `array` with entries of `dtype` that lie side by side on the last axis, copied only if they do not."""
    flags = array.flags
    if array.dtype == dtype and flags.aligned and (flags.c_contiguous or array.strides[-1] == dtype.itemsize):
        return array
    return np.array(array, dtype=dtype, order="C")


def check_layout(layout: str | None, ndim: int) -> str:
    """Return the layout of images with `ndim` spatial axes; None stands for planes."""
    known = LAYOUTS[ndim]
    if layout is None:
        return known[0]
    if layout not in known:
        raise ValueError(f"layout must be {known[0]!r} or {known[1]!r}, got {layout!r}")
    return layout


def channels_first_shape(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Return the shape of an image with its channels last as that of one with planes."""
    return (*shape[: -1 - ndim], *shape[-1:], *shape[-1 - ndim : -1])


def channels_last_shape(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Return the shape of an image with planes as that of one with its channels last."""
    return (*shape[: -1 - ndim], *shape[-ndim:], shape[-1 - ndim])


def check_residual(residual: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Check that a residual has an entry for each of the output."""
    if residual.shape != shape:
        raise ValueError(f"residual has shape {residual.shape}, expected {shape}, the shape of the output")


def in_planes(array: NDArray[Any], dtype: np.dtype[Any], ndim: int) -> NDArray[Any]:
    """Return `array` in `dtype` as the core writes its outputs, copied only if it does not lie that way."""
    if array.dtype == dtype and array.dtype.isnative and lies_in_planes(array, ndim):
        return array
    return np.array(array, dtype=dtype, order="C")


def flat(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return `array` as one row of `dtype` in C order, copied only if it does not lie that way."""
    row = array.ravel()
    return row if row.dtype == dtype and row.flags.aligned else row.astype(dtype)


def keep(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only copy that nobody else can write to."""
    copy = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    copy.setflags(write=False)
    return copy


# dtypes ---------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def dtypes(names: tuple[str, ...], *operands: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype of the result of arrays of these names and dtypes, and the dtype that it is computed in."""
    for name, dtype in zip(names, operands, strict=True):
        if dtype.name not in _COMPUTE:
            raise TypeError(
                f"{name} has dtype {dtype}, expected float16, bfloat16, float32 or float64: "
                f"convert it, e.g. {name}.astype(np.float32)"
            )
    result = result_dtype(*operands)
    return result, _COMPUTE[result.name]


def result_dtype(*dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """Return the native dtype that ``np.result_type`` promotes float dtypes to.

    NumPy knows no common dtype for float16 and bfloat16: they meet in float32, which holds both and which both
    compute in.
    """
    try:
        common = np.result_type(*dtypes)
    except TypeError:
        common = np.result_type(*(_COMPUTE[dtype.name] for dtype in dtypes))
    return common.newbyteorder("=")


# out= -----------------------------------------------------------------------------------------------------------------


def check_out(out: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Check that `out` can take the result exactly; return it as a plain ndarray over the same memory."""
    if not isinstance(out, np.ndarray) or _is_masked(out):
        raise TypeError(f"out must be an ndarray of shape {shape} and dtype {dtype}, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {_exact(out.dtype)}, expected {_exact(dtype)}, the dtype of the result")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, expected {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only, expected a writable array")
    if _may_overlap_itself(out):
        raise ValueError(f"out must not overlap itself: shape {out.shape}, strides {out.strides}")
    return np.asarray(out)


def lies_in_planes(array: NDArray[Any], ndim: int) -> bool:
    """Tell whether the last `ndim` axes are C-contiguous and aligned, as the core writes them."""
    flags = array.flags
    if flags.c_contiguous or not flags.aligned:
        return flags.aligned
    step = array.itemsize
    for axis in range(-1, -ndim - 1, -1):
        if array.strides[axis] != step:
            return False
        step *= array.shape[axis]
    return True


def _exact(dtype: np.dtype[Any]) -> str:
    """Name a dtype together with a byte order that is not native."""
    return dtype.name if dtype.isnative else dtype.str


def _may_overlap_itself(array: NDArray[Any]) -> bool:
    """Tell whether two entries may share memory: whether some axis takes steps shorter than what it steps over.

    An exotic layout whose axes interlock without touching (from as_strided, say) is counted as overlapping.
    """
    if array.flags.c_contiguous or array.size == 0:
        return False
    extent = array.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in zip(array.strides, array.shape, strict=True)):
        if size > 1:
            if stride < extent:
                return True
            extent += stride * (size - 1)
    return False
