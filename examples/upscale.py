"""Enlarge a picture by 2, 3 or 4 with the super-resolution net whose weights lie beside this file.

    python examples/upscale.py PHOTO -o OUT --scale 3

Brightness goes through the net; colour and transparency are resized bicubically. All of it is done tile by tile, so
that memory holds the two pictures and little else. Grey and colour of 8 and 16 bits stay what they are, and so does
the colour profile. OUT is written whole or not at all.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from espcn import Upscaler, tiles
from picture_files import UsageError, check_output, read, write
from tqdm import tqdm

import fastconv as fc

# Rows: Y, Cb, Cr of R, G, B (ITU-R BT.601, full range, Cb and Cr around 0).
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def mix(planes, matrix):
    """Each pixel's channels times a matrix: a 1x1 convolution, whose bits do not depend on the tile either."""
    return fc.conv2d(planes[None], matrix[:, :, None, None].astype(np.float32), algorithm="direct")[0]


def enlarge_tile(pixels, net):
    """(HALO + h + HALO, HALO + w + HALO, C) integers to (scale h, scale w, C) of the same dtype."""
    most = np.iinfo(pixels.dtype).max
    planes = np.moveaxis(pixels, -1, 0) * np.float32(1 / most)
    colour = len(planes) >= 3
    if colour:
        planes[:3] = mix(planes[:3], TO_YCC)
    fine = np.concatenate([net.enhance(planes[:1]), net.bicubic(planes[1:])])
    if colour:
        fine[:3] = mix(fine[:3], np.linalg.inv(TO_YCC))
    return np.moveaxis(np.rint(np.clip(fine, 0, 1) * most), 0, -1).astype(pixels.dtype)


def enlarge(pixels, net, quiet=False):
    """(H, W, C) integers of 1 to 4 channels, grey or colour and then alpha, to (scale H, scale W, C)."""
    height, width, channels = pixels.shape
    fine = np.empty((height * net.scale, width * net.scale, channels), pixels.dtype)
    bar = tqdm(total=height * width * net.scale**2 / 1e6, unit="Mpx", bar_format=BAR, disable=quiet)
    with bar:
        for place, around in tiles(height, width):
            rows, columns = (slice(side.start * net.scale, side.stop * net.scale) for side in place)
            fine[rows, columns] = enlarge_tile(pixels[around], net)
            bar.update((rows.stop - rows.start) * (columns.stop - columns.start) / 1e6)
    return fine


BAR = "{percentage:3.0f}%|{bar}| {n:.1f} of {total:.1f} Mpx [{elapsed}, {rate_fmt}]"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write, in a format by its name")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), default=3)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    try:
        pixels, profile, note = read(options.photo)
        check_output(options.output, pixels)
        start = time.perf_counter()
        fine = enlarge(pixels, Upscaler.load(options.scale), options.quiet)
        seconds = time.perf_counter() - start
        write(options.output, fine, profile)
    except UsageError as error:
        print(f"upscale: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print(f"upscale: not enough memory to enlarge {options.photo} by {options.scale}", file=sys.stderr)
        return 2
    kind = f"{fine.shape[1]} x {fine.shape[0]} pixels, {8 * fine.itemsize} bits, {fine.shape[2]} channels"
    print(f"{options.output}: {kind}; {fine[..., 0].size / 1e6 / seconds:.1f} Mpx/s{'; ' * bool(note)}{note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
