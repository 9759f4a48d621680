"""The photographs of the examples: those that ship inside scikit-image's wheel, so that nothing is downloaded."""

import numpy as np
from PIL import Image
from skimage import data

TRAINING = (
    "astronaut", "stereo_motorcycle", "brick", "grass", "gravel", "coins", "moon", "retina", "immunohistochemistry",
    "hubble_deep_field", "page", "text",
)  # fmt: skip
SCENES = ("astronaut", "stereo_motorcycle", "coins", "moon", "retina", "immunohistochemistry", "hubble_deep_field")
HELD_OUT = ("camera", "chelsea", "coffee", "rocket")


def photograph(name):
    """(H, W, 3) or (H, W), float32, 0 to 1."""
    pixels = getattr(data, name)()
    return np.float32(1 / 255) * (pixels[0] if isinstance(pixels, tuple) else pixels)  # the left eye's of two


def luma(pixels):
    """(H, W): brightness as JPEG has it (ITU-R BT.601)."""
    return pixels @ np.float32((0.299, 0.587, 0.114)) if pixels.ndim == 3 else pixels


def resized(plane, height, width):
    """Bicubic, averaging over what becomes one pixel where the plane shrinks."""
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))


def cropped(plane, multiple):
    """The largest part whose sides are multiples."""
    height, width = (side // multiple * multiple for side in plane.shape[:2])
    return plane[:height, :width]


def to_bytes(plane):
    """Rounded to what a file of 8 bits keeps."""
    return np.rint(np.clip(plane, 0, 1) * 255).astype(np.float32) / 255


def random_patches(rng, planes, count, side):
    """(count, side, side): parts of random planes, turned and mirrored."""
    patches = []
    for plane in (planes[i] for i in rng.integers(len(planes), size=count)):
        top, left = (rng.integers(extent - side + 1) for extent in plane.shape)
        patch = np.rot90(plane[top : top + side, left : left + side], rng.integers(4))
        patches.append(patch[:, :: rng.choice((1, -1))])
    return np.stack(patches)
