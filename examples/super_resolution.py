"""
Super-resolution: a small net against bicubic resizing
======================================================

An efficient sub-pixel net computes at the size of the small picture and shuffles pixels once, at its end. This one
learns what bicubic resizing gets wrong, from twelve photographs, and is judged on four that it never saw.
``--train`` trains it again; without, the stored weights (beside this file) are evaluated. ``upscale.py`` uses them on
any picture.
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from espcn import HALO, WEIGHTS, Upscaler, bicubic_weight, shapes
from photographs import HELD_OUT, TRAINING, cropped, luma, photograph, resized, to_bytes
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from tqdm import trange
from training import Adam, Tape, given, kernel, squared_error

import fastconv as fc

PATCH, BATCH, SCALES = 24, 16, (2, 3, 4)


def small_and_large(plane, scale):
    """A photograph, and what is left of it at 1 / scale of its size, in 8 bits."""
    large = cropped(plane, scale)
    return to_bytes(resized(large, *(side // scale for side in large.shape))), large


def pairs_to_learn(scale):
    """(small, large) planes; each photograph at three sizes."""
    for name in TRAINING:
        plane = luma(photograph(name))
        for share in (1, 0.8, 0.6):
            pair = small_and_large(resized(plane, *(int(side * share) for side in plane.shape)), scale)
            if min(pair[0].shape) >= PATCH + 2 * HALO:
                yield pair


def batch_of(rng, pairs, scale):
    """Random patches, turned and mirrored: (BATCH, 1, PATCH + 2 HALO, ..) and the fine pixels of their middles."""
    shares = np.array([small.size for small, _ in pairs], float)
    xs, ys = [], []
    for small, large in (pairs[i] for i in rng.choice(len(pairs), BATCH, p=shares / shares.sum())):
        side, fine = PATCH + 2 * HALO, PATCH * scale
        top, left = (rng.integers(0, extent - side + 1) for extent in small.shape)
        x = small[top : top + side, left : left + side]
        at = (slice((begin + HALO) * scale, (begin + HALO) * scale + fine) for begin in (top, left))
        y = large[tuple(at)]
        turns, mirror = rng.integers(4), rng.choice((1, -1))
        xs.append(np.rot90(x, turns)[:, ::mirror])
        ys.append(np.rot90(y, turns)[:, ::mirror])
    return np.stack(xs)[:, None], np.stack(ys)[:, None]


def train(scale, steps, folder):
    rng = np.random.default_rng(scale)
    pairs = list(pairs_to_learn(scale))
    layers = [kernel(rng, *shape[:3]) for shape in shapes(scale)]
    layers[-1][0].value *= 0.01  # begins at bicubic
    adam = Adam([node for layer in layers for node in layer], steps, rate=2e-3)
    cubic, crop = bicubic_weight(scale), slice(HALO - 2, 2 - HALO)
    with trange(steps, desc=f"x{scale}", unit="batch") as bar:
        for step in bar:
            x, y = batch_of(rng, pairs, scale)
            tape, node = Tape(), given(x)
            for layer in layers[:-1]:
                node = tape.conv2d(node, *layer, activation="relu")
            node = tape.subpixel_conv2d(node, *layers[-1], upscale_factor=scale)
            missing = y - fc.subpixel_conv2d(x[..., crop, crop], cubic, None, scale)
            loss, gradient = squared_error(node.value, missing)
            tape.backward(node, gradient)
            adam.step()
            if step % 100 == 0:
                bar.set_postfix(gain=f"{10 * np.log10(np.square(missing).mean() / loss):+.2f} dB")
    nodes = {
        f"{what}{i}": node
        for i, layer in enumerate(layers)
        for what, node in zip(("weight", "bias"), layer, strict=True)
    }
    folder.mkdir(exist_ok=True)
    np.savez_compressed(
        folder / f"upscale_x{scale}.npz", **{name: n.value.astype(np.float16) for name, n in nodes.items()}
    )


def scores(plane, truth, scale):
    """(PSNR, SSIM) without a border of `scale` pixels, as is usual."""
    a, b = (part[scale:-scale, scale:-scale] for part in (to_bytes(plane), truth))
    similar = structural_similarity(a, b, data_range=1, gaussian_weights=True, use_sample_covariance=False)
    return peak_signal_noise_ratio(b, a, data_range=1), similar


def evaluate(scale, folder):
    """Print a table of the held-out photographs."""
    net, rows, pixels, seconds = Upscaler.load(scale, folder), [], 0, 0.0
    for name in HELD_OUT:
        small, large = small_and_large(luma(photograph(name)), scale)
        start = time.perf_counter()
        fine = net.enhance_whole(small)
        pixels, seconds = pixels + fine.size, seconds + time.perf_counter() - start
        ways = resized(small, *large.shape), fine
        rows.append([score for way in ways for score in scores(way, large, scale)])
    for name, row in zip((*HELD_OUT, "mean"), (*rows, np.mean(rows, 0)), strict=True):
        a, b, c, d = row
        print(f"x{scale} {name:8} bicubic {a:.2f} dB {b:.4f}   net {c:.2f} dB {d:.4f}   {c - a:+.2f} dB")
    print(f"x{scale} {pixels / 1e6 / seconds:.1f} million pixels a second, {fc.get_num_threads()} threads")


def draw(scale, folder):
    """A part of a held-out photograph: bicubic, the net, the truth."""
    small, large = small_and_large(luma(photograph("chelsea")), scale)
    planes = {
        "bicubic": resized(small, *large.shape),
        "net": Upscaler.load(scale, folder).enhance_whole(small),
        "truth": large,
    }
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
    for axis, (name, plane) in zip(axes, planes.items(), strict=True):
        axis.imshow(plane[60:190, 150:300], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(name if name == "truth" else f"{name}, {scores(plane, large, scale)[0]:.2f} dB")
        axis.axis("off")
    figure.suptitle(f"x{scale}, a photograph that the net never saw")
    return figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Super-resolution: a small net against bicubic resizing.")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--scales", type=int, nargs="+", default=SCALES, choices=SCALES)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the folder of the weights")
    parser.add_argument("-o", "--output", type=Path, help="a file for the figure")
    options = parser.parse_args(arguments)
    for scale in options.scales:
        if options.train:
            train(scale, options.steps, options.weights)
        evaluate(scale, options.weights)
    figure = draw(options.scales[min(1, len(options.scales) - 1)], options.weights)
    if options.output:
        figure.savefig(options.output)


if __name__ == "__main__":
    main()
