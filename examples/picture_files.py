"""Picture files as arrays and back: grey or colour, with or without transparency, 8 or 16 bits. Nothing is rounded.

Pillow reads and writes them, but for colour of 16 bits, of which it keeps 8: those are pypng's (PNG) and tifffile's.
"""

import os
from pathlib import Path

import numpy as np
import png
import tifffile
from PIL import Image, ImageOps

Image.MAX_IMAGE_PIXELS = None  # pictures may be large here
EIGHT_BITS = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
SIXTEEN_BITS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF"}
FORMATS = EIGHT_BITS | SIXTEEN_BITS
OPAQUE = {"JPEG", "BMP"}


class UsageError(Exception):
    """What the user gave cannot be used; the message is one line."""


def read(path):
    """(pixels, profile, note): (H, W, C) uint8 or uint16 of 1 to 4 channels, transparency last; the colour profile."""
    try:
        with Image.open(path) as image:
            frames = getattr(image, "n_frames", 1)
            note = f"the first of {frames} frames" if frames > 1 else ""
            if deep := deep_colour(image, path):
                return *deep, note
            image.load()
            profile = image.info.get("icc_profile")
            upright = ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, EOFError, png.Error, tifffile.TiffFileError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"cannot read {path} as a picture: {reason}") from error
    pixels = pixels_of(upright, path)
    return pixels, profile if upright.mode in ("L", "LA", "P", "RGB", "RGBA") else None, note


def pixels_of(image, path):
    if image.mode.startswith(("I", "F")):
        pixels = np.asarray(image)
        if image.mode == "F" or pixels.min() < 0 or pixels.max() > 65535:
            raise UsageError(f"{path} has grey values beyond 16 bits (mode {image.mode}): convert it first")
        return pixels.astype(np.uint16)[..., np.newaxis]
    grey = image.mode in ("1", "L", "LA", "La")
    clear = image.has_transparency_data
    image = image.convert(
        {(True, False): "L", (True, True): "LA", (False, False): "RGB", (False, True): "RGBA"}[grey, clear]
    )
    return np.asarray(image).reshape(image.height, image.width, -1)


def deep_colour(image, path):
    """(pixels, profile) of channels of 16 bits that Pillow would cut to 8, or None."""
    if image.format == "PNG" and bits_of_png(path) == 16:
        with open(path, "rb") as file:
            width, height, rows, info = png.Reader(file).read()
            pixels = np.vstack([np.frombuffer(row, np.uint16) for row in rows])
        pixels = pixels.reshape(height, width, info["planes"])
        if (clear := info.get("transparent")) is not None:  # one colour is
            pixels = np.dstack([pixels, np.where((pixels == clear).all(-1), 0, 65535).astype(np.uint16)])
        return pixels, image.info.get("icc_profile")
    if image.format == "TIFF" and 16 in (image.tag_v2.get(258) or ()) and len(image.tag_v2[258]) > 1:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            if page.photometric not in (1, 2) or not 2 <= page.samplesperpixel <= 4 or page.dtype != np.uint16:
                raise UsageError(f"{path} is TIFF of 16 bits, but neither grey nor RGB: convert it first")
            pixels = page.asarray()
            return np.moveaxis(pixels, 0, -1) if page.planarconfig == 2 else pixels, page.tags.valueof(34675)
    return None


def bits_of_png(path):
    with open(path, "rb") as file:
        return file.read(25)[24]


def check_output(path, pixels):
    """Find out before the work whether the file can hold it."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"cannot write {path}: the name must end in one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {path.parent}")
    if kind in OPAQUE and pixels.shape[-1] in (2, 4):
        raise UsageError(f"cannot write {path}: {kind} has no transparency, the picture has; choose .png")
    if kind in EIGHT_BITS.values() and pixels.dtype == np.uint16:
        raise UsageError(f"cannot write {path}: {kind} has 8 bits, the picture has 16; choose .png")


def write(path, pixels, profile=None):
    """Write the file whole, or leave what was there."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "xb") as file:
            encode(file, FORMATS[path.suffix.lower()], pixels, profile)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, ValueError, png.Error) as error:
        raise UsageError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        Path(partial).unlink(missing_ok=True)


def encode(file, kind, pixels, profile):
    height, width, channels = pixels.shape
    more = {"icc_profile": profile} if profile else {}
    if pixels.dtype == np.uint8 or channels == 1:
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(file, kind, **more)
    elif kind == "PNG":
        writer = png.Writer(width, height, greyscale=channels < 3, alpha=channels in (2, 4), bitdepth=16)
        writer.write(file, pixels.reshape(height, width * channels))
    else:
        alpha = {"extrasamples": ["unassalpha"]} if channels in (2, 4) else {}
        photometric = "rgb" if channels >= 3 else "minisblack"
        tifffile.imwrite(file, pixels, photometric=photometric, planarconfig="contig", iccprofile=profile, **alpha)
