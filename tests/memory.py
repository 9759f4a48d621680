"""How an array may lie in memory: views of every kind with the same entries as the array given."""

import numpy as np


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def every_second(array):
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 7, array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def reversed_axes(array):
    backwards = (slice(None, None, -1),) * array.ndim
    return array[backwards].copy()[backwards]


def moved_axes(array):
    """The last axis lies first in memory."""
    return np.moveaxis(np.moveaxis(array, -1, 0).copy(), 0, -1)


def misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned or array.dtype.alignment == 1
    return view


def byte_swapped(array):
    return array.astype(array.dtype.newbyteorder("S"))


def inside_a_frame(array):
    return np.pad(array, 2, constant_values=7)[(slice(2, -2),) * array.ndim]


LAYOUTS = {
    "read-only": read_only,
    "every second": every_second,
    "reversed": reversed_axes,
    "moved axes": moved_axes,
    "Fortran order": np.asfortranarray,
    "misaligned": misaligned,
    "inside a frame": inside_a_frame,
}
