"""
How far a stack of convolutions sees
====================================

A 3x3 kernel at dilation 2 reads 9 pixels of a 5x5 window: it sees farther at the price of holes. Stacked at rates 1, 2,
4, 8, ... the field doubles with every layer while parameters only add up, and no pixel is lost. This script counts
that, times it against the other ways to the same field, and draws which pixels really matter.
"""

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm
from training import Tape, given, kernel

import fastconv as fc
from fastconv.geometry import Conv, Pool, gridding_holes, receptive_field

CHANNELS, SIZE = 32, 128
LAYERS = {"channels": CHANNELS}


def same(dilation=1, kernel_size=3):
    return Conv(kernel_size, padding=dilation * (kernel_size // 2), dilation=dilation, **LAYERS)


# Ways to a field of 31x31 pixels or a little more.
WAYS = {
    "rates 1, 2, 4, 8": [same(d) for d in (1, 2, 4, 8)],
    "fifteen plain layers": [same()] * 15,
    "one kernel of 31x31": [same(kernel_size=31)],
    "pooled three times": [same(), Pool(2), same(), Pool(2), same(), Pool(2), same()],
    "strided three times": [Conv(3, 2, 1, **LAYERS)] * 3 + [same()] * 1,
}


def milliseconds(stack, x, repeats):
    """Median time of the stack's layers, one after the other."""
    rng, calls = np.random.default_rng(0), []
    for layer in stack:
        if isinstance(layer, Pool):
            calls.append(lambda x: fc.max_pool2d(x, 2))
            continue
        weight = 0.1 * rng.standard_normal((CHANNELS, CHANNELS, layer.kernel, layer.kernel), np.float32)
        calls.append(fc.Conv2d(weight, None, layer.stride, layer.padding, layer.dilation, activation="relu"))
    times = []
    for _ in range(repeats + 1):  # the first one chooses and packs
        start, y = time.perf_counter(), x
        for call in calls:
            y = call(y)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times[1:]))


def print_table(repeats):
    x = np.random.default_rng(0).standard_normal((1, CHANNELS, SIZE, SIZE), np.float32)
    print(f"{CHANNELS} channels, {SIZE}x{SIZE} pixels, float32, {fc.get_num_threads()} threads")
    print(f"{'':22} field  resolution  parameters  multiply-adds      time")
    for name, stack in WAYS.items():
        fields = receptive_field(stack, (SIZE, SIZE), CHANNELS)
        field, out = fields[-1].size[0], fields[-1].output_size[0]
        parameters, products = sum(f.parameters for f in fields), sum(f.multiply_adds for f in fields)
        took = milliseconds(stack, x, repeats)
        print(f"{name:22} {field:5}  {out:4}x{out:<5}  {parameters:10,}  {products / 1e6:9.0f} M  {took:7.2f} ms")
    print(f"holes at rates 2, 2, 2: {gridding_holes((2, 2, 2))}; at 1, 2, 3: {gridding_holes((1, 2, 3))}")


def effective_field(dilations, draws, relu=True):
    """Mean size of the gradient of the middle output by each input, over random weights (Luo et al., 2016).

    Without ReLU and with weights of one: how many ways lead from an input to the output.
    """
    side = 2 * sum(dilations) + 5
    total = np.zeros((side, side))
    for seed in tqdm(range(draws), desc=f"rates {dilations}", leave=False):
        rng, tape = np.random.default_rng(seed), Tape()
        channels = 8 if relu else 1
        node = first = given(rng.standard_normal((1, channels, side, side)))
        first.needed = True
        for d in dilations:
            weight, bias = kernel(rng, channels, channels, 3)
            if not relu:
                weight.value[:] = 1
            node = tape.conv2d(node, weight, bias, "relu" if relu else None, padding=d, dilation=d)
        gradient = np.zeros_like(node.value)
        gradient[..., side // 2, side // 2] = rng.standard_normal(channels) if relu else 1
        tape.backward(node, gradient)
        total += np.abs(first.gradient[0]).sum(0)
    return total / total.max()


def draw_taps(axis, dilation):
    seen = np.zeros((11, 11))
    seen[5 - dilation : 6 + dilation, 5 - dilation : 6 + dilation] = 0.3
    seen[5 - dilation : 6 + dilation : dilation, 5 - dilation : 6 + dilation : dilation] = 1
    axis.imshow(seen, cmap="Blues", vmin=0, vmax=1)
    axis.set_title(f"3x3 at rate {dilation}: {2 * dilation + 1}x{2 * dilation + 1}")


def draw_growth(axis):
    depth = np.arange(1, 9)
    for name, rates in (("rate 1", [1] * 8), ("rates 1, 2, 4, ...", [2**i for i in range(8)])):
        sizes = [f.size[0] for f in receptive_field([same(d) for d in rates], (512, 512), CHANNELS)]
        axis.semilogy(depth, sizes, "o-", base=2, label=f"field, {name}")
    axis.semilogy(depth, depth * (9 * CHANNELS + 1) * CHANNELS / 1024, "k--", base=2, label="parameters / 1024, both")
    axis.set(xlabel="layers", title="the field doubles, parameters add up")
    axis.legend(fontsize=8)


def draw(draws):
    figure, axes = plt.subplots(2, 4, figsize=(14, 7), layout="constrained")
    for axis, dilation in zip(axes[0], (1, 2, 4), strict=False):
        draw_taps(axis, dilation)
    draw_growth(axes[0, 3])
    pictures = {
        "ways in, rates 2, 2, 2: a grid": effective_field((2, 2, 2), 1, relu=False),
        "ways in, rates 1, 2, 3: no holes": effective_field((1, 2, 3), 1, relu=False),
        "effective field, rates 1, 2, 4, 8": effective_field((1, 2, 4, 8), draws),
        "effective field, fifteen plain layers": effective_field((1,) * 15, draws),
    }
    for axis, (name, picture) in zip(axes[1], pictures.items(), strict=True):
        axis.imshow(np.sqrt(picture), cmap="magma")
        axis.set_title(name, fontsize=10)
        reached = np.sqrt((picture > 0.05).mean() * picture.size)
        print(
            f"{name}: reads {(picture > 0).sum()} pixels, {reached:.0f}x{reached:.0f} of them above 5% of the largest"
        )
    for axis in (*axes[0, :3], *axes[1]):
        axis.set(xticks=[], yticks=[])
    return figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description="How far a stack of convolutions sees.")
    parser.add_argument("--repeats", type=int, default=30, help="timed runs of each stack")
    parser.add_argument("--draws", type=int, default=40, help="random nets that the effective field is the mean of")
    parser.add_argument("-o", "--output", help="a file for the figure")
    options = parser.parse_args(arguments)
    print_table(options.repeats)
    figure = draw(options.draws)
    if options.output:
        figure.savefig(options.output)


if __name__ == "__main__":
    main()
