"""The operators by their definitions: float64, plain loops, no regard for speed.

Arrays are laid out (N, C, *spatial) with one to three spatial axes. The loops run over kernel taps, input pixels or
phases, whichever the definition names, so that each line can be checked against a formula by eye. `test_reference.py`
checks these functions themselves, by hand-computed numbers and by loops over single elements.
"""

import math

import numpy as np


def per_axis(value, axes):
    """One entry per spatial axis: a single value, or a tuple of one, stands for all of them."""
    values = value if isinstance(value, tuple) else (value,)
    return values * axes if len(values) == 1 else values


def pairs(padding, axes):
    """Padding as one (lo, hi) pair per spatial axis."""
    return tuple(p if isinstance(p, tuple) else (p, p) for p in per_axis(padding, axes))


def window_starts(size, kernel, stride, dilation):
    """The positions at which a window fits into an axis of `size` (padding included), by trying one after the other."""
    reach = dilation * (kernel - 1)  # from the first tap of a window to its last
    return range(0, max(size - reach, 0), stride)


def same_padding(size, kernel, stride, dilation, lower=False):
    """The least total padding that gives ceil(size / stride) outputs; an odd one goes to the end (lower: the start)."""
    total = 0
    while len(window_starts(size + total, kernel, stride, dilation)) < -(-size // stride):
        total += 1
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


@np.errstate(invalid="ignore", over="ignore")  # NaN and Inf are results like others
def conv(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, m, o] = b[m] + sum over c, k of w[m, c, k] * x[n, c, o*S - lo + k*d], zero where x is not defined.

    c runs over the input channels of m's group; o and k have one component per spatial axis.
    """
    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    kernel = w.shape[2:]
    axes = len(kernel)
    stride, dilation = per_axis(stride, axes), per_axis(dilation, axes)
    x = np.pad(x, [(0, 0), (0, 0), *pairs(padding, axes)])
    starts = [window_starts(*axis) for axis in zip(x.shape[2:], kernel, stride, dilation, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *map(len, starts)))
    c_in, c_out = w.shape[1], w.shape[0] // groups
    for g in range(groups):
        xg, wg, yg = x[:, g * c_in :][:, :c_in], w[g * c_out :][:c_out], y[:, g * c_out :][:, :c_out]
        for tap in np.ndindex(*kernel):
            read = tuple(np.array(s, int) + k * d for s, k, d in zip(starts, tap, dilation, strict=True))
            yg += multiply_channels(wg[(..., *tap)], xg[(slice(None), slice(None), *np.ix_(*read))])
    return y if b is None else y + channel_bias(b, axes)


@np.errstate(invalid="ignore", over="ignore")  # NaN and Inf are results like others
def conv_transpose(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Each input pixel i adds x[n, c, i] * w[c, m, k] to the output at i*S + k*d - lo; the rest falls off."""
    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    sizes, kernel = x.shape[2:], w.shape[2:]
    axes = len(kernel)
    stride, dilation = per_axis(stride, axes), per_axis(dilation, axes)
    extra, pads = per_axis(output_padding, axes), pairs(padding, axes)
    full = [s * (i - 1) + d * (k - 1) + 1 + e
            for i, k, s, d, e in zip(sizes, kernel, stride, dilation, extra, strict=True)]  # fmt: skip
    c_in, c_out = x.shape[1] // groups, w.shape[1]
    y = np.zeros((x.shape[0], groups * c_out, *full))
    for g in range(groups):
        xg, wg, yg = x[:, g * c_in :][:, :c_in], w[g * c_in :][:c_in], y[:, g * c_out :][:, :c_out]
        for pixel in np.ndindex(*sizes):
            place = [slice(i * s, i * s + d * (k - 1) + 1, d)
                     for i, s, k, d in zip(pixel, stride, kernel, dilation, strict=True)]  # fmt: skip
            yg[(..., *place)] += multiply_channels(wg.swapaxes(0, 1), xg[(..., *pixel)], kernel_last=True)
    crop = tuple(slice(lo, size - hi) for size, (lo, hi) in zip(full, pads, strict=True))
    y = y[(..., *crop)]
    return y if b is None else y + channel_bias(b, axes)


def conv_gradients(x, w, g, stride=1, padding=0, dilation=1, groups=1):
    """What g, said of conv's output, says of x and of w: each product of the definition gives g to both its factors."""
    x, w, g = (np.asarray(a, np.float64) for a in (x, w, g))
    pads = pairs(padding, w.ndim - 2)
    image = np.pad(x, [(0, 0), (0, 0), *pads])
    by_image, by_w = np.zeros(image.shape), np.zeros(w.shape)
    for group in range(groups):
        c, m = group_slice(x.shape[1], groups, group), group_slice(w.shape[0], groups, group)
        for tap, read in each_tap(w.shape[2:], g.shape[2:], stride, dilation):
            at = (slice(None), c, *read)
            by_w[(m, slice(None), *tap)] = sum_pixels(g[:, m], image[at])
            by_image[at] += multiply_channels(w[(m, slice(None), *tap)].T, g[:, m])
    crop = tuple(slice(lo, lo + size) for size, (lo, _) in zip(x.shape[2:], pads, strict=True))
    return by_image[(..., *crop)], by_w


def conv_transpose_gradients(x, w, g, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The same of conv_transpose: g is read where the pixels of x were added. g's shape says its output_padding."""
    x, w, g = (np.asarray(a, np.float64) for a in (x, w, g))
    frame = np.pad(g, [(0, 0), (0, 0), *pairs(padding, w.ndim - 2)])
    by_x, by_w = np.zeros(x.shape), np.zeros(w.shape)
    for group in range(groups):
        c, m = group_slice(x.shape[1], groups, group), group_slice(g.shape[1], groups, group)
        for tap, read in each_tap(w.shape[2:], x.shape[2:], stride, dilation):
            seen = frame[(slice(None), m, *read)]
            by_w[(c, slice(None), *tap)] = sum_pixels(x[:, c], seen)
            by_x[:, c] += multiply_channels(w[(c, slice(None), *tap)], seen)
    return by_x, by_w


def each_tap(kernel, outputs, stride, dilation):
    """(tap, what all outputs read of it in a padded image)."""
    axes = len(kernel)
    for tap in np.ndindex(*kernel):
        steps = zip(outputs, tap, per_axis(stride, axes), per_axis(dilation, axes), strict=True)
        yield tap, tuple(slice(k * d, k * d + max(0, s * (o - 1) + 1), s) for o, k, s, d in steps)


def group_slice(channels, groups, group):
    width = channels // groups
    return slice(group * width, (group + 1) * width)


def sum_pixels(a, b):
    """Sum over n and pixels of a[n, m, ...] * b[n, c, ...], for each m and c."""
    pixels = (0, *range(2, a.ndim))
    return np.tensordot(a, b, (pixels, pixels))


def multiply_channels(w, x, kernel_last=False):
    """Sum over c of w[m, c] * x[n, c, ...], or of w[m, c, ...] * x[n, c]."""
    return np.einsum("mc...,nc->nm..." if kernel_last else "mc,nc...->nm...", w, x)


def channel_bias(b, axes):
    return np.asarray(b, np.float64).reshape(-1, *(1,) * axes)


def coarse_channels(channels, factors, phase, order):
    """The channels of the coarse array that hold phase (i, j, ...) of the fine channels 0 .. channels-1, in order."""
    index = 0
    for factor, part in zip(factors, phase, strict=True):
        index = index * factor + part
    c = np.arange(channels)
    return c * int(np.prod(factors)) + index if order == "crd" else index * channels + c


def pixel_shuffle(x, factors, order="crd"):
    """y[..., c, h*r + i, w*r + j] = x[..., channel(c, i, j), h, w] for each axis' own factor r; any dtype."""
    lead, sizes = x.shape[: -1 - len(factors)], x.shape[-len(factors) :]
    channels = x.shape[-1 - len(factors)] // int(np.prod(factors))
    y = np.empty((*lead, channels, *(s * r for s, r in zip(sizes, factors, strict=True))), x.dtype)
    spatial = (slice(None),) * len(factors)
    for phase in np.ndindex(*factors):
        every_rth = tuple(slice(i, None, r) for i, r in zip(phase, factors, strict=True))
        source = coarse_channels(channels, factors, phase, order)
        y[(..., slice(None), *every_rth)] = x[(..., source, *spatial)]
    return y


def pixel_unshuffle(y, factors, order="crd"):
    """The array that `pixel_shuffle` would turn into y."""
    lead, sizes = y.shape[: -1 - len(factors)], y.shape[-len(factors) :]
    channels = y.shape[-1 - len(factors)]
    coarse = (s // r for s, r in zip(sizes, factors, strict=True))
    x = np.empty((*lead, channels * int(np.prod(factors)), *coarse), y.dtype)
    spatial = (slice(None),) * len(factors)
    for phase in np.ndindex(*factors):
        every_rth = tuple(slice(i, None, r) for i, r in zip(phase, factors, strict=True))
        target = coarse_channels(channels, factors, phase, order)
        x[(..., target, *spatial)] = y[(..., slice(None), *every_rth)]
    return x


def insert_zeros(x, stride):
    """The pixels of x `stride` apart, zeros between them: the slow way to say a fractional stride."""
    sizes = [(i - 1) * s + 1 for i, s in zip(x.shape[2:], stride, strict=True)]
    y = np.zeros((*x.shape[:2], *sizes), x.dtype)
    y[(..., *(slice(None, None, s) for s in stride))] = x
    return y


def pool_windows(size, kernel, stride, lo, hi, dilation=1, ceil_mode=False):
    """The positions of each window of an axis, from -lo on; a last one may hang over if it starts before `size`."""
    starts = []
    for start in range(-lo, size, stride):
        overhang = start + dilation * (kernel - 1) + 1 - (size + hi)
        if overhang <= 0 or (ceil_mode and overhang < stride):
            starts.append(start)
    return [[start + k * dilation for k in range(kernel)] for start in starts]


def adaptive_windows(size, out):
    """Window o covers every entry that lies, in whole or in part, in the o-th of `out` equal parts."""
    return [[i for i in range(size) if (i + 1) * out > o * size and i * out < (o + 1) * size] for o in range(out)]


def each_window(windows):
    """Yields (output index, positions of its window on each axis), one after the other."""
    for output in np.ndindex(*map(len, windows)):
        yield output, [axis[o] for axis, o in zip(windows, output, strict=True)]


def inside(positions, size):
    return [i for i in positions if 0 <= i < size]


def max_pool(x, windows):
    """The first of the largest entries of each window, the last NaN if there is one; and its flat place, or -1."""
    sizes = x.shape[2:]
    y = np.empty((*x.shape[:2], *map(len, windows)), x.dtype)
    places = np.full(y.shape, -1, np.int64)
    flat_places = np.arange(np.prod(sizes)).reshape(sizes)
    for output, positions in each_window(windows):
        at = np.ix_(*(np.array(inside(p, s), int) for p, s in zip(positions, sizes, strict=True)))
        seen, where = x[(..., *at)].reshape(*x.shape[:2], -1), flat_places[at].ravel()
        for n, c in np.ndindex(*x.shape[:2]):
            best = -1
            for i, value in enumerate(seen[n, c]):
                if best < 0 or value > seen[n, c, best] or value != value:
                    best = i
            place = (n, c, *output)
            if best < 0:
                y[place] = 0 if x.dtype == bool else -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
            else:
                y[place], places[place] = seen[n, c, best], where[best]
    return y, places


@np.errstate(invalid="ignore", over="ignore")
def avg_pool(x, windows, pads, count_include_pad=True, divisor=None):
    """The sum of each window over the number of its entries: with those in the padding, or without."""
    x = np.asarray(x, np.float64)
    sizes = x.shape[2:]
    y = np.empty((*x.shape[:2], *map(len, windows)))
    for output, positions in each_window(windows):
        real = [inside(p, s) for p, s in zip(positions, sizes, strict=True)]
        padded = [[i for i in p if i < s + hi] for p, s, (_, hi) in zip(positions, sizes, pads, strict=True)]
        count = divisor or np.prod([len(p) for p in (padded if count_include_pad else real)])
        axes = tuple(range(2, x.ndim))
        y[(..., *output)] = x[(..., *np.ix_(*(np.array(p, int) for p in real)))].sum(axes) / count
    return y


def resize_matrix(size, out, mode, align=False, scale=None):
    """Row o holds what output o takes of each input: the formulas of `fastconv.interpolate`, one by one."""
    matrix = np.zeros((out, size))
    for o in range(out):
        if mode == "nearest":
            matrix[o, min(size - 1, math.floor(o * size / out if scale is None else o / scale))] = 1
        elif mode == "nearest-exact":
            matrix[o, min(size - 1, math.floor((o + 0.5) * size / out if scale is None else (o + 0.5) / scale))] = 1
        else:
            ratio = size / out if scale is None else 1 / scale
            place = max(0.0, (o + 0.5) * ratio - 0.5)
            if align:
                place = o * (size - 1) / (out - 1) if out > 1 else 0.0
            elif size == out:
                place = float(o)
            at = min(math.floor(place), size - 1)
            matrix[o, at] += 1 - (place - at)
            matrix[o, min(at + 1, size - 1)] += place - at
    return matrix


def resize(x, sizes, mode, align=False, scales=None):
    y = np.asarray(x, np.float64)
    for axis, out in enumerate(sizes):
        scale = None if scales is None else scales[axis]
        y = np.moveaxis(
            np.moveaxis(y, axis + 2, -1) @ resize_matrix(x.shape[axis + 2], out, mode, align, scale).T, -1, axis + 2
        )
    return y
