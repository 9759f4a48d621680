"""
Denoising with a small dilated net
==================================

To tell texture from noise, a pixel needs to see around it. Seven 3x3 layers at rates 1, 1, 2, 3, 2, 1, 1 see 23x23
pixels where plain ones see 15x15, for the same parameters and the same multiply-adds (after K. Zhang et al., "Learning
deep CNN denoiser prior for image restoration", 2017, arXiv:1704.03264, whose rates go on to 4). Both nets learn to
predict the noise of photographs and are judged on others, beside two methods of scikit-image. ``--train`` trains them
again; without, the stored weights are evaluated.
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from photographs import HELD_OUT, SCENES, luma, photograph, random_patches, resized
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle
from tqdm import trange
from training import HERE, Adam, Tape, given, kernel, near_identity, squared_error

import fastconv as fc

NOISE, CHANNELS, PATCH, BATCH, MARGIN = 50 / 255, 24, 48, 8, 11
NETS = {"plain": (1,) * 7, "dilated": (1, 1, 2, 3, 2, 1, 1)}
WEIGHTS = HERE / "weights" / "denoise.npz"


def noisy(rng, planes):
    return (planes + NOISE * rng.standard_normal(planes.shape)).astype(np.float32)


def planes_to_learn():
    """Each photograph at three sizes, if a patch fits in."""
    for plane in (luma(photograph(name)) for name in SCENES):
        for share in (1, 0.7, 0.5):
            height, width = (int(share * side) for side in plane.shape)
            if min(height, width) >= PATCH + 2 * MARGIN:
                yield resized(plane, height, width)


def train(rates, name, steps):
    """Return the arrays of a net, by name."""
    rng = np.random.default_rng(0)
    layers = [kernel(rng, CHANNELS, 1, 3), *(near_identity(rng, CHANNELS, 3) for _ in rates[1:-1])]
    layers.append(kernel(rng, 1, CHANNELS, 3))
    planes = list(planes_to_learn())
    adam = Adam([node for layer in layers for node in layer], steps, rate=2e-3)
    with trange(steps, desc=name, leave=False) as bar:
        for step in bar:
            clean = random_patches(rng, planes, BATCH, PATCH + 2 * MARGIN)[:, None]
            x, tape = noisy(rng, clean), Tape()
            outside, middle = MARGIN - sum(rates), (..., *[slice(MARGIN, -MARGIN)] * 2)  # no padding is seen
            node = given(x[..., outside : x.shape[2] - outside, outside : x.shape[3] - outside])
            for layer, rate in zip(layers[:-1], rates, strict=False):
                node = tape.conv2d(node, *layer, activation="relu", dilation=rate)
            node = tape.conv2d(node, *layers[-1], dilation=rates[-1])
            loss, gradient = squared_error(node.value, (x - clean)[middle])
            tape.backward(node, gradient)
            adam.step()
            if step % 50 == 0:
                bar.set_postfix(PSNR=f"{-10 * np.log10(loss):.2f} dB")
    half = {f"{name} weight{i}": weight.value.astype(np.float16) for i, (weight, _) in enumerate(layers)}
    return half | {f"{name} bias{i}": bias.value.astype(np.float16) for i, (_, bias) in enumerate(layers)}


def load(stored, name):
    """A function of a plane: the layers packed once, one after the other."""
    layers = []
    for i, rate in enumerate(NETS[name]):
        weight, bias = (stored[f"{name} {what}{i}"].astype(np.float32) for what in ("weight", "bias"))
        activation = "relu" if i < len(NETS[name]) - 1 else None
        options = {"padding": rate, "dilation": rate, "padding_mode": "reflect"}
        layers.append(fc.Conv2d(weight, bias, activation=activation, **options))

    def denoise(plane):
        y = plane[None, None]
        for layer in layers:
            y = layer(y)
        return plane - y[0, 0]

    return denoise


def evaluate(methods):
    """Print means over the held-out photographs; return the results on one of them."""
    pictures, scores, seconds = {}, {name: [] for name in methods}, dict.fromkeys(methods, 0.0)
    pixels = 0
    for photo in HELD_OUT:
        clean = luma(photograph(photo))
        x = noisy(np.random.default_rng(7), clean)
        pixels += x.size
        for name, method in methods.items():
            start = time.perf_counter()
            y = np.clip(method(x), 0, 1)
            seconds[name] += time.perf_counter() - start
            similar = structural_similarity(clean, y, data_range=1, gaussian_weights=True, use_sample_covariance=False)
            scores[name].append((peak_signal_noise_ratio(clean, y, data_range=1), similar))
            if photo == "chelsea":
                pictures |= {"photograph": clean, name: y}
    print(f"noise of standard deviation 50 of 255, mean of {', '.join(HELD_OUT)}")
    for name, rows in scores.items():
        psnr, similar = np.mean(rows, 0)
        speed = "" if name == "noisy" else f"{pixels / 1e6 / seconds[name]:6.2f} Mpx/s"
        print(f"{name:16} {psnr:.2f} dB   SSIM {similar:.3f}   {speed}")
    return pictures


def draw(pictures):
    figure, axes = plt.subplots(2, 3, figsize=(12, 8), layout="constrained")
    for axis, (name, picture) in zip(axes.flat, pictures.items(), strict=True):
        axis.imshow(picture[40:190, 120:300], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if name != "photograph":
            name += f", {peak_signal_noise_ratio(pictures['photograph'], picture, data_range=1):.2f} dB"
        axis.set_title(name)
        axis.axis("off")
    return figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Denoising with a small dilated net.")
    parser.add_argument("--train", action="store_true", help="about 5 minutes on two cores")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("-o", "--output", help="a file for the figure")
    options = parser.parse_args(arguments)
    if options.train:
        options.weights.parent.mkdir(exist_ok=True)
        nets = [train(rates, name, options.steps) for name, rates in NETS.items()]
        np.savez_compressed(options.weights, **{key: array for net in nets for key, array in net.items()})
    methods = {
        "noisy": lambda x: x,
        "total variation": lambda x: denoise_tv_chambolle(x, weight=0.2),
        "non-local means": lambda x: denoise_nl_means(x, 5, 6, h=0.8 * NOISE, sigma=NOISE, fast_mode=True),
    }
    with np.load(options.weights) as stored:
        methods |= {f"{name} net": load(stored, name) for name in NETS}
    figure = draw(evaluate(methods))
    if options.output:
        figure.savefig(options.output)


if __name__ == "__main__":
    main()
