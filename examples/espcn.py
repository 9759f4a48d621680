"""The net of the super-resolution example: an ESPCN (Shi et al., 2016, arXiv:1609.05158) that corrects bicubic pixels.

All of its work is done at the small size; the last layer makes scale * scale values for each pixel, and the pixel
shuffle puts them in place. Bicubic resizing by a whole number is a sub-pixel convolution too, with fixed weights.
"""

from pathlib import Path

import numpy as np

import fastconv as fc

CHANNELS, KERNELS = 32, (5, 3, 3, 3, 3)  # the last one makes the fine pixels
HALO = sum(k // 2 for k in KERNELS)  # how far around a pixel the net looks
WEIGHTS = Path(__file__).parent / "weights"
TILE = 96  # pixels on a side, of the small picture: 32 channels of it are 1.5 MB


def keys_cubic(t):
    """Keys' kernel with a = -1/2, as in Pillow's BICUBIC."""
    t = np.abs(t)
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def bicubic_weight(scale):
    """(scale * scale, 1, 5, 5): fine pixel p of a coarse one lies (p + 1/2) / scale - 1/2 from its centre."""
    offset = (np.arange(scale) + 0.5) / scale - 0.5
    taps = keys_cubic(offset[:, None] - np.arange(-2, 3))
    return np.einsum("ai,bj->abij", taps, taps).reshape(scale * scale, 1, 5, 5).astype(np.float32)


def shapes(scale):
    """The shape of each layer's weight."""
    outputs = (*[CHANNELS] * (len(KERNELS) - 1), scale * scale)
    return [(o, c, k, k) for o, c, k in zip(outputs, (1, *outputs), KERNELS, strict=False)]


def tiles(height, width):
    """(place, around) of each tile: two slices of the picture, and two lists of what the net sees for it.

    Edges are repeated outwards: positions outside of the picture are those of its edge.
    """
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            bottom, right = min(top + TILE, height), min(left + TILE, width)
            rows = np.clip(np.arange(top - HALO, bottom + HALO), 0, height - 1)
            columns = np.clip(np.arange(left - HALO, right + HALO), 0, width - 1)
            yield (slice(top, bottom), slice(left, right)), np.ix_(rows, columns)


class Upscaler:
    """Enlarges planes (N, HALO + H + HALO, HALO + W + HALO) to (N, scale H, scale W).

    Sums are direct: a pixel has the same bits whatever tile it is computed in.
    """

    def __init__(self, scale, arrays):
        *hidden, last = [(arrays[f"weight{i}"], arrays[f"bias{i}"]) for i in range(len(KERNELS))]
        self.scale = scale
        self.layers = [fc.Conv2d(*layer, activation="relu", algorithm="direct") for layer in hidden]
        self.layers.append(fc.SubpixelConv2d(*last, upscale_factor=scale, algorithm="direct"))
        self.cubic = fc.SubpixelConv2d(bicubic_weight(scale), None, upscale_factor=scale, algorithm="direct")

    @classmethod
    def load(cls, scale, folder=WEIGHTS):
        with np.load(folder / f"upscale_x{scale}.npz") as arrays:
            return cls(scale, {name: arrays[name].astype(np.float32) for name in arrays})

    def bicubic(self, planes):
        inner = slice(HALO - 2, 2 - HALO)
        return self.cubic(planes[:, None, inner, inner])[:, 0]

    def enhance(self, planes):
        """Bicubic, and the net's correction."""
        y = planes[:, None]
        for layer in self.layers:
            y = layer(y)
        return y[:, 0] + self.bicubic(planes)

    def enhance_whole(self, plane):
        """(H, W) to (scale H, scale W), in one piece."""
        return self.enhance(np.pad(plane, HALO, mode="edge")[None])[0]
