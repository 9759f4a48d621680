"""Pictures whose pixels cannot be labelled by what is near: the data of the dense prediction example.

Discs and squares are striped, the background is noise of the same mean and spread. In the middle of each shape lies a
dot, bright or dark: it alone says which of two classes *all* of the shape's pixels are of, up to 24 pixels away.
"""

import numpy as np

SIZE, CLASSES, SHAPES = 96, 3, 4  # classes: background, bright dot, dark dot


def picture(rng):
    """A (SIZE, SIZE) picture, and the class of each of its pixels."""
    y, x = np.mgrid[:SIZE, :SIZE]
    pixels, labels = rng.standard_normal((SIZE, SIZE)), np.zeros((SIZE, SIZE), int)
    free = np.ones((SIZE, SIZE), bool)
    for _ in range(SHAPES * 8):
        radius = rng.integers(8, 25)
        cy, cx = rng.integers(radius // 2, SIZE - radius // 2, 2)
        far = np.hypot(y - cy, x - cx) if rng.random() < 0.5 else np.maximum(abs(y - cy), abs(x - cx)) * 1.15
        inside = far <= radius
        if not free[inside].all() or not (4 <= cy < SIZE - 4 and 4 <= cx < SIZE - 4):
            continue
        free[far <= radius + 3] = False
        angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        stripes = 1.2 * np.sin((np.cos(angle) * x + np.sin(angle) * y) * 1.4 + phase)
        pixels[inside] = (stripes + 0.5 * rng.standard_normal((SIZE, SIZE)))[inside]
        kind = rng.integers(1, CLASSES)
        labels[inside] = kind
        pixels[np.hypot(y - cy, x - cx) <= 2.5] = 3 if kind == 1 else -3
    return pixels, labels


def batch(rng, count):
    """(count, 1, SIZE, SIZE) float32 and (count, SIZE, SIZE) classes."""
    pixels, labels = zip(*(picture(rng) for _ in range(count)), strict=True)
    return np.stack(pixels)[:, None].astype(np.float32), np.stack(labels)


def near_boundary(labels, distance=2):
    """Whether another class lies within `distance` pixels, along either axis."""
    near = np.zeros(labels.shape, bool)
    for axis in (1, 2):
        for step in range(1, distance + 1):
            here, there = (np.moveaxis(a, axis, 0) for a in (labels, near))
            differ = here[step:] != here[:-step]
            there[step:] |= differ
            there[:-step] |= differ
    return near


def scores(predicted, labels):
    """(mean intersection over union, accuracy within two pixels of a boundary)."""
    overlaps = []
    for kind in range(CLASSES):
        a, b = predicted == kind, labels == kind
        overlaps.append((a & b).sum() / (a | b).sum())
    near = near_boundary(labels)
    return float(np.mean(overlaps)), float((predicted == labels)[near].mean())
