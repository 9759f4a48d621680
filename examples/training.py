"""What the examples train with: a tape over fastconv's operators and their gradients, and Adam.

A `Tape` has the operators as methods. Each computes, and remembers how a gradient by its output becomes gradients by
what went in; `backward` goes through what it remembers in reverse, and forgets it.

    tape = Tape()
    y = tape.conv2d(x, weight, bias, padding=1, activation="relu")
    loss, gradient = squared_error(y.value, target)
    tape.backward(y, gradient)
    adam.step()
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import grad

HERE = Path(__file__).parent  # beside which weights and results are stored


class Node:
    """An array, and the derivative of the loss by it once that is known."""

    def __init__(self, value, needed=True):
        self.value, self.gradient, self.needed = np.asarray(value, np.float32), None, needed

    def add(self, gradient):
        self.gradient = gradient if self.gradient is None else self.gradient + gradient


def given(value):
    """Data: nobody asks for the gradient by it."""
    return Node(value, needed=False)


class Tape:
    def __init__(self):
        self.steps = []

    def record(self, value, undo):
        node = Node(value)
        self.steps.append((node, undo))
        return node

    def backward(self, node, gradient):
        node.add(gradient)
        while self.steps:
            output, undo = self.steps.pop()
            if output.gradient is not None:
                undo(output.gradient)

    def _convolve(self, name, x, weight, bias, activation, options):
        operator, backward = getattr(fc, name), getattr(grad, f"{name}_backward")
        y = operator(x.value, weight.value, bias.value, activation=activation, **options)

        def undo(g):
            if activation == "relu":
                g = g * (y > 0)
            needs = x.needed, True, True
            gradients = backward(g, x.value, weight.value, needs=needs, **options)
            for node, part in zip((x, weight, bias), gradients, strict=True):
                if part is not None:
                    node.add(part)

        return self.record(y, undo)

    def conv2d(self, x, weight, bias, activation=None, **options):
        return self._convolve("conv2d", x, weight, bias, activation, options)

    def conv_transpose2d(self, x, weight, bias, activation=None, **options):
        return self._convolve("conv_transpose2d", x, weight, bias, activation, options)

    def subpixel_conv2d(self, x, weight, bias, activation=None, **options):
        return self._convolve("subpixel_conv2d", x, weight, bias, activation, options)

    def max_pool2d(self, x, size):
        y, indices = fc.max_pool2d(x.value, size, return_indices=True)
        return self.record(y, lambda g: x.add(grad.max_pool2d_input(x.value.shape, indices, g)))

    def interpolate(self, x, scale, mode="bilinear"):
        undo = lambda g: x.add(grad.interpolate_input(x.value.shape, g, scale, mode))  # noqa: E731
        return self.record(fc.interpolate(x.value, scale_factor=scale, mode=mode), undo)

    def spread_mean(self, x):
        """The mean over all pixels, at every pixel."""
        mean = fc.adaptive_avg_pool2d(x.value, 1)
        undo = lambda g: x.add(np.broadcast_to(g.mean((2, 3), keepdims=True), g.shape))  # noqa: E731
        return self.record(np.broadcast_to(mean, x.value.shape), undo)

    def concatenate(self, nodes):
        ends = np.cumsum([node.value.shape[1] for node in nodes])[:-1]

        def undo(g):
            for node, part in zip(nodes, np.split(g, ends, 1), strict=True):
                node.add(part)

        return self.record(np.concatenate([node.value for node in nodes], 1), undo)


def kernel(rng, outputs, inputs, size):
    """A weight and a bias for a ReLU behind them (He et al., 2015)."""
    weight = rng.standard_normal((outputs, inputs, size, size)) * (2 / (inputs * size * size)) ** 0.5
    return Node(weight), Node(np.zeros(outputs))


def near_identity(rng, channels, size):
    """One that begins as a copy of its input with a little noise: dilated layers want that (Yu and Koltun, 2016)."""
    weight, bias = kernel(rng, channels, channels, size)
    weight.value *= 0.1
    weight.value[range(channels), range(channels), size // 2, size // 2] += 1
    return weight, bias


def squared_error(y, target):
    """Mean squared error, and the gradient by y."""
    difference = y - target
    return float(np.square(difference).mean()), 2 * difference / difference.size


def cross_entropy(logits, labels):
    """Mean cross entropy of (N, classes, H, W) scores with (N, H, W) labels, and the gradient by the scores."""
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    at = labels[:, None]
    right = np.take_along_axis(shares, at, 1)
    loss = float(-np.log(np.maximum(right, 1e-30)).mean())
    np.put_along_axis(shares, at, right - 1, 1)
    return loss, shares / np.float32(labels.size)


class Adam:
    """Adam (Kingma and Ba, 2015), with a learning rate that falls to zero along half a cosine."""

    def __init__(self, parameters, steps, rate=1e-3, decay=(0.9, 0.999)):
        self.parameters, self.steps, self.rate, self.decay, self.done = list(parameters), steps, rate, decay, 0
        self.moments = [(np.zeros_like(p.value), np.zeros_like(p.value)) for p in self.parameters]

    def step(self):
        rate = self.rate * 0.5 * (1 + np.cos(np.pi * self.done / self.steps))
        self.done += 1
        first, second = (1 - decay**self.done for decay in self.decay)
        for parameter, (mean, square) in zip(self.parameters, self.moments, strict=True):
            g, parameter.gradient = parameter.gradient, None
            mean += (1 - self.decay[0]) * (g - mean)
            square += (1 - self.decay[1]) * (g * g - square)
            parameter.value -= np.float32(rate / first) * mean / (np.sqrt(square / second) + 1e-8)
