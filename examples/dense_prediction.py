"""
Dense prediction: dilation against pooling, at the same number of parameters
============================================================================

Every pixel gets a class that depends on a dot up to 24 pixels away (``textured_shapes.py``). Three nets of as many
parameters are trained by the library's gradients: one that pools three times and enlarges its answer, one with a
context module of rates 1, 2, 4, 8, 16, 1 (Yu and Koltun, 2016, arXiv:1511.07122), and one with an ASPP head of rates 6,
12, 18 and image pooling (Chen et al., 2017, arXiv:1706.05587). ``--train`` trains them again; without, the stored
results are shown.
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from textured_shapes import CLASSES, SIZE, batch, scores
from tqdm import trange
from training import HERE, Adam, Tape, cross_entropy, given, kernel, near_identity

WIDTH, BATCH, TEST, SEEDS = 24, 8, 64, 3
RESULTS = HERE / "results" / "dense_prediction.npz"


class Net:
    """A net whose layers draw their weights when they are first used, in order."""

    def __init__(self, body, seed):
        self.body, self.rng, self.layers = body, np.random.default_rng(seed), []
        self.forward(Tape(), np.zeros((1, 1, SIZE, SIZE), np.float32))

    def forward(self, tape, x):
        self.used = 0
        return self.body(self, tape, given(x))

    def conv(self, tape, x, outputs=WIDTH, size=3, rate=1, activation="relu", identity=False):
        if self.used == len(self.layers):
            fresh = near_identity(self.rng, WIDTH, 3) if identity else None
            self.layers.append(fresh or kernel(self.rng, outputs, x.value.shape[1], size))
        layer, self.used = self.layers[self.used], self.used + 1
        return tape.conv2d(x, *layer, activation=activation, padding=size // 2 * rate, dilation=rate)

    def nodes(self):
        return [node for layer in self.layers for node in layer]


def pooled(net, tape, x):
    """Down by 8, and the answer up again."""
    for _ in range(3):
        x = tape.max_pool2d(net.conv(tape, net.conv(tape, x)), 2)
    x = net.conv(tape, net.conv(tape, net.conv(tape, x)))
    return tape.interpolate(net.conv(tape, x, CLASSES, 1, activation=None), 8)


def front(net, tape, x, layers):
    """What both dilated nets begin with: down by 2."""
    x = tape.max_pool2d(net.conv(tape, net.conv(tape, x)), 2)
    for _ in range(layers):
        x = net.conv(tape, x)
    return x


def context(net, tape, x):
    x = front(net, tape, x, 1)
    for rate in (1, 2, 4, 8, 16, 1):
        x = net.conv(tape, x, rate=rate, identity=True)
    return tape.interpolate(net.conv(tape, x, CLASSES, 1, activation=None), 2)


def aspp(net, tape, x):
    x = front(net, tape, x, 3)
    branches = [net.conv(tape, x, size=1), *(net.conv(tape, x, rate=rate) for rate in (6, 12, 18))]
    branches.append(net.conv(tape, tape.spread_mean(x), size=1))
    x = net.conv(tape, tape.concatenate(branches), size=1)
    x = net.conv(tape, net.conv(tape, x, size=1), size=1)
    return tape.interpolate(net.conv(tape, x, CLASSES, 1, activation=None), 2)


NETS = {"pooled": pooled, "context module": context, "ASPP": aspp}


def train(name, seed, steps):
    """(mean IoU, boundary accuracy, seconds), and the trained net."""
    net, rng, start = Net(NETS[name], seed), np.random.default_rng(100 + seed), time.perf_counter()
    adam = Adam(net.nodes(), steps, rate=3e-3)
    for _ in trange(steps, desc=f"{name}, seed {seed}", leave=False):
        x, labels = batch(rng, BATCH)
        tape = Tape()
        y = net.forward(tape, x)
        tape.backward(y, cross_entropy(y.value, labels)[1])
        adam.step()
    seconds = time.perf_counter() - start
    x, labels = batch(np.random.default_rng(9), TEST)
    return (*scores(predict(net, x), labels), seconds), net


def predict(net, x):
    return np.concatenate([net.forward(Tape(), part).value.argmax(1) for part in np.split(x, len(x))])


def train_all(steps, seeds):
    x, labels = batch(np.random.default_rng(9), 3)
    stored = {"x": x[:, 0], "labels": labels, "steps": steps}
    for name in NETS:
        runs = [train(name, seed, steps) for seed in range(seeds)]
        stored[f"{name} scores"] = np.array([row for row, _ in runs])
        stored[f"{name} picture"] = predict(runs[0][1], x)
        stored[f"{name} parameters"] = sum(node.value.size for node in runs[0][1].nodes())
    return stored


def show(stored):
    print(f"{stored['steps']} batches of {BATCH}, {len(stored['ASPP scores'])} seeds: mean and standard deviation")
    for name in NETS:
        (iou, near, seconds), spread = (f(stored[f"{name} scores"], 0) for f in (np.mean, np.std))
        count = int(stored[f"{name} parameters"])
        print(f"{name:15} {count:,} parameters   mean IoU {iou:.3f} +- {spread[0]:.3f}   "
              f"near boundaries {near:.3f} +- {spread[1]:.3f}   {seconds:.0f} s")  # fmt: skip
    rows = {"picture": stored["x"], "truth": stored["labels"], **{name: stored[f"{name} picture"] for name in NETS}}
    figure, axes = plt.subplots(3, len(rows), figsize=(12, 7.4), layout="constrained")
    for column, (name, pictures) in zip(axes.T, rows.items(), strict=True):
        for axis, picture in zip(column, pictures, strict=True):
            axis.imshow(picture, cmap="gray" if name == "picture" else "viridis", interpolation="nearest")
            axis.axis("off")
        column[0].set_title(name)
    return figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Dense prediction: dilation against pooling.")
    parser.add_argument("--train", action="store_true", help="about 6 minutes on two cores")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("-o", "--output", help="a file for the figure")
    options = parser.parse_args(arguments)
    if options.train:
        options.results.parent.mkdir(exist_ok=True)
        np.savez_compressed(options.results, **train_all(options.steps, options.seeds))
    with np.load(options.results) as stored:
        figure = show(dict(stored))
    if options.output:
        figure.savefig(options.output)


if __name__ == "__main__":
    main()
