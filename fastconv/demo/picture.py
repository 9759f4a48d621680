"""The photograph: read, turned upright, and brought to three float32 channels from 0 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

LONGEST_SIDE = 1024  # keeps the whole demo, its float64 reference included, within seconds

_WIDE = ("I", "F")  # Pillow's modes of more than 8 bits: "I", "I;16", "I;16B", "F"


class UsageError(Exception):
    """What the user gave cannot be used; the message is one line."""


def open_photo(path: str | None) -> tuple[NDArray[np.float32], str]:
    """Return a photograph of shape (3, H, W), entries from 0 to 1, and a line that says what it is."""
    if path is None:
        from skimage.data import chelsea  # ships inside scikit-image's wheel: nothing is downloaded

        pixels, name = _unit(chelsea()), "skimage.data.chelsea()"
        note = ""
    else:
        pixels, note = _read(path)
        name = path
    height, width = pixels.shape[:2]
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return planes, f"{name}, {width} x {height} pixels{note}"


def resize(photo: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return all of the photograph at size x size pixels."""
    planes = [Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR) for plane in photo]
    return np.stack([np.asarray(plane) for plane in planes])


def _read(path: str) -> tuple[NDArray[np.float32], str]:
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # SyntaxError: a broken PNG
        raise UsageError(f"cannot read {path} as a picture: {_reason(error)}") from error
    width, height = upright.size
    pixels = _wide(upright) if upright.mode.startswith(_WIDE) else _narrow(upright)
    reduced = max(width, height) > LONGEST_SIDE
    return pixels, f" (reduced from {width} x {height})" if reduced else ""


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _narrow(image: Image.Image) -> NDArray[np.float32]:
    """Return an 8-bit picture of any mode; what is transparent lies on white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return _unit(np.asarray(image))


def _wide(image: Image.Image) -> NDArray[np.float32]:
    """Return a grey picture of 16 or 32 bits.

    16 bits have a known white. 32-bit integers and floats have none, so their largest entry is white.
    """
    grey = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0, neginf=0)
    known = image.mode.startswith("I;16") or (image.mode == "I" and 255 < grey.max() <= 65535)
    scaled = Image.fromarray(grey / (65535 if known else max(grey.max(), np.finfo(np.float32).tiny)))
    scaled.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return np.repeat(np.asarray(scaled).clip(0, 1)[..., np.newaxis], 3, axis=-1)


def _unit(pixels: NDArray[Any]) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / 255
