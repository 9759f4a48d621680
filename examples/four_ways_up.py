"""
Four ways up, and the checkerboard
==================================

A decoder can enlarge by putting zeros between pixels and convolving (the simple approach), by the transposed
convolution (the same numbers without the zeros), by resizing and then convolving, or by a convolution whose channels
are shuffled into fine pixels. With a 3x3 kernel at stride 2 the first two reach some pixels four times and others once,
which shows as a checkerboard before training and after. The same small net ends in each way here.
"""

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
from photographs import TRAINING, cropped, luma, photograph, random_patches, resized
from skimage.metrics import peak_signal_noise_ratio
from tqdm import trange
from training import Adam, Node, Tape, given, kernel, squared_error

import fastconv as fc
from fastconv.geometry import checkerboard_score

CHANNELS, PATCH, BATCH = 16, 24, 8
TRANSPOSED = {"stride": 2, "padding": 1, "output_padding": 1}


def simple(tape, x, weight, bias):
    """Zeros between pixels, then a convolution with the kernel turned round. Only for looking: has no gradient here."""
    turned = weight.value.transpose(1, 0, 2, 3)[..., ::-1, ::-1]
    return given(fc.conv2d(fc.zero_insert(x.value, 2), turned, bias.value, padding=((1, 2), (1, 2))))


WAYS = {
    "transposed": lambda tape, x, *layer: tape.conv_transpose2d(x, *layer, **TRANSPOSED),
    "simple approach": simple,
    "resize and convolve": lambda tape, x, *layer: tape.conv2d(tape.interpolate(x, 2, "nearest"), *layer, padding=1),
    "shuffle, ICNR": lambda tape, x, *layer: tape.subpixel_conv2d(x, *layer, upscale_factor=2, padding=1),
    "shuffle, independent": lambda tape, x, *layer: tape.subpixel_conv2d(x, *layer, upscale_factor=2, padding=1),
}


def last_layer(name, rng):
    if name == "transposed":
        weight, bias = kernel(rng, 1, CHANNELS, 3)
        return Node(weight.value.swapaxes(0, 1)), bias
    weight, bias = kernel(rng, 4 if "shuffle" in name else 1, CHANNELS, 3)
    if "ICNR" in name:
        weight = Node(fc.icnr(weight.value.shape, 2, rng))
    return weight, bias


class Net:
    def __init__(self, name):
        rng = np.random.default_rng(0)
        self.up, self.layers = WAYS[name], [kernel(rng, CHANNELS, 1, 3), kernel(rng, CHANNELS, CHANNELS, 3)]
        self.last = last_layer(name, rng)

    def nodes(self):
        return [node for layer in (*self.layers, self.last) for node in layer]

    def features(self, tape, x):
        for layer in self.layers:
            x = tape.conv2d(x, *layer, activation="relu", padding=1)
        return x

    def __call__(self, tape, x):
        return self.up(tape, self.features(tape, x), *self.last)

    def train(self, steps, name):
        rng, adam = np.random.default_rng(1), Adam(self.nodes(), steps, rate=4e-3)
        planes = [luma(photograph(name)) for name in TRAINING]
        for _ in trange(steps, desc=name, leave=False):
            large = random_patches(rng, planes, BATCH, 2 * PATCH)
            small = np.stack([resized(patch, PATCH, PATCH) for patch in large])
            tape = Tape()
            y = self(tape, given(small[:, None]))
            tape.backward(y, squared_error(y.value, large[:, None])[1])
            adam.step()


def unevenness(net):
    """How far the four fine pixels of a flat grey picture differ (standard deviation), over the range of all greys."""
    greys = np.linspace(0.1, 0.9, 9, dtype=np.float32)
    flat = np.broadcast_to(greys[:, None, None, None], (9, 1, 16, 16))
    middle = net(Tape(), given(flat)).value[:, 0, 14:16, 14:16]
    return float(middle.std((1, 2)).mean() / np.ptp(middle.mean((1, 2))))


def milliseconds(net, x, repeats=30):
    """Median time of the way up alone."""
    times, features = [], given(net.features(Tape(), x).value)
    for _ in range(repeats):
        start = time.perf_counter()
        net.up(Tape(), features, *net.last)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def what_it_is_not():
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((1, 1, 32, 32)), rng.standard_normal((1, 1, 3, 3))
    down = fc.conv2d(x, weight, stride=2, padding=1)
    back = fc.conv_transpose2d(down, weight, **TRANSPOSED)
    v = rng.standard_normal(down.shape)
    sides = (down * v).sum(), (x * fc.conv_transpose2d(v, weight, **TRANSPOSED)).sum()
    off = np.linalg.norm(back - x) / np.linalg.norm(x)
    print(f"no inverse: down and up by the same kernel is off by {off:.1f} times the input's norm;")
    print(f"a transpose: <A x, v> = {sides[0]:.10f}, <x, A' v> = {sides[1]:.10f}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Four ways up, and the checkerboard.")
    parser.add_argument("--steps", type=int, default=300, help="of training")
    parser.add_argument("-o", "--output", help="a file for the figure")
    options = parser.parse_args(arguments)
    what_it_is_not()
    truth = cropped(luma(photograph("chelsea")), 2)
    x = given(resized(truth, *(side // 2 for side in truth.shape))[None, None])
    for k in (3, 4):
        print(f"by sizes alone {k}x{k} at stride 2 scores {checkerboard_score((k, k), 2)}")
    print(f"how far the fine pixels of a flat grey differ, and what training ({options.steps} steps) makes of it:")
    figure, axes = plt.subplots(2, len(WAYS), figsize=(15, 5), layout="constrained")
    for column, (name, way) in zip(axes.T, WAYS.items(), strict=True):
        if way is not simple:
            net = Net(name)
            stages = [(net(Tape(), x).value[0, 0], unevenness(net))]
            net.train(options.steps, name)
        else:  # the net that was just trained, by the other way
            net.up, trained = simple, stages.pop()[0]
        stages.append((net(Tape(), x).value[0, 0], unevenness(net)))
        if way is simple:
            print(f"{'':20} differs from the transposed by {np.abs(stages[1][0] - trained).max():.0e} at most:")
        quality = peak_signal_noise_ratio(truth, np.clip(stages[1][0], 0, 1), data_range=1)
        before, after = (f"{score:.1%}" for _, score in stages)
        print(f"{name:20} {before:>6} to {after:>5}   {quality:.2f} dB   {milliseconds(net, x):.2f} ms")
        for axis, (picture, score), when in zip(column, stages, ("before", "after"), strict=True):
            axis.imshow(picture[40:110, 180:280], cmap="gray", interpolation="nearest")
            axis.set_title(f"{name}\n{when} training: {score:.1%} uneven", fontsize=10)
            axis.axis("off")
    if options.output:
        figure.savefig(options.output)


if __name__ == "__main__":
    main()
