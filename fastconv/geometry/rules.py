"""The rules of sizes and paddings, on tuples with one checked entry for each spatial axis."""

from __future__ import annotations

from .arguments import MAX_SIZE, Pairs, PoolRule


def kernel_spans(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if max(spans, default=0) > MAX_SIZE:
        raise ValueError(f"a kernel of size {kernel} at dilation {dilation} spans more than 2**63 - 1 positions")
    return spans


def same_pairs(size: tuple, kernel: tuple, stride: tuple, dilation: tuple, lower: bool) -> Pairs:
    pairs = []
    for i, span, s in zip(size, kernel_spans(kernel, dilation), stride, strict=True):
        total = max(0, (-(-i // s) - 1) * s + span - i)
        half = total // 2
        pairs.append((total - half, half) if lower else (half, total - half))
    return tuple(pairs)


def resolved_padding(padding: Pairs | str, size: tuple, kernel: tuple, stride: tuple, dilation: tuple) -> Pairs:
    if isinstance(padding, str):
        return same_pairs(size, kernel, stride, dilation, padding == "same_lower")
    return padding


def conv_sizes(size: tuple, kernel: tuple, stride: tuple, pads: Pairs, dilation: tuple) -> tuple[int, ...]:
    outputs = []
    for axis, (i, span, s, (lo, hi)) in enumerate(zip(size, kernel_spans(kernel, dilation), stride, pads, strict=True)):
        padded = i + lo + hi
        if padded > MAX_SIZE:
            raise ValueError(f"padding {(lo, hi)} makes spatial axis {axis} of the input longer than 2**63 - 1")
        if span > padded:
            raise ValueError(
                f"kernel is larger than the padded input on spatial axis {axis}: it spans {span} positions (size "
                f"{kernel[axis]}, dilation {dilation[axis]}), the input has {padded} (size {i}, padding {(lo, hi)})"
            )
        outputs.append((padded - span) // s + 1)
    return tuple(outputs)


def check_padding_mode(mode: str, size: tuple, pads: Pairs) -> None:
    """Check that no position of the padding needs more than one reflection, or more than one turn of a circle."""
    if mode == "zeros":
        return
    for axis, (i, ends) in enumerate(zip(size, pads, strict=True)):
        pad = max(ends)
        if pad and (i < 1 or (mode == "reflect" and pad >= i) or (mode == "circular" and pad > i)):
            most = {"reflect": f"less than its size {i}", "circular": f"at most its size {i}"}.get(mode, "empty")
            raise ValueError(
                f"padding_mode={mode!r} on spatial axis {axis} of the input, of size {i}, has padding {ends}; "
                f"expected {most}"
                if i
                else f"padding_mode={mode!r} has nothing to pad an empty axis {axis} with"
            )


def check_circle(size: tuple, outputs: tuple, kernel: tuple, stride: tuple, pads: Pairs, dilation: tuple) -> None:
    """Check that a circular transposed convolution maps circles onto circles, and goes around at most once."""
    rows = zip(size, outputs, kernel_spans(kernel, dilation), stride, pads, strict=True)
    for axis, (i, o, span, s, (lo, _)) in enumerate(rows):
        if o != s * i:
            raise ValueError(
                f"padding_mode='circular' needs an output of stride * input = {s * i} on spatial axis {axis}, got {o}: "
                "change padding, output_padding or output_size"
            )
        if max(lo, span - 1 - lo) > o:
            raise ValueError(
                f"padding_mode='circular' on spatial axis {axis}: the kernel spans {span} positions with padding {lo}, "
                f"more than one turn of the output's {o}"
            )


def pool_sizes(size: tuple[int, ...], rule: PoolRule) -> tuple[int, ...]:
    spans = kernel_spans(rule.kernel, rule.dilation)
    outputs = []
    for axis, (i, span, s, (lo, hi)) in enumerate(zip(size, spans, rule.stride, rule.padding, strict=True)):
        padded = i + lo + hi
        if padded > MAX_SIZE:
            raise ValueError(f"padding {(lo, hi)} makes spatial axis {axis} of the input longer than 2**63 - 1")
        check_pool_size(axis, i)
        room = padded - span + (s - 1 if rule.ceil_mode else 0)
        if room < 0:
            raise ValueError(
                f"kernel is larger than the padded input on spatial axis {axis}: it spans {span} positions (size "
                f"{rule.kernel[axis]}, dilation {rule.dilation[axis]}), the input has {padded} (size {i}, padding "
                f"{(lo, hi)})"
            )
        count = room // s + 1
        outputs.append(count - 1 if rule.ceil_mode and (count - 1) * s >= i + lo else count)
    return tuple(outputs)


def check_pool_size(axis: int, size: int) -> None:
    if size < 1:
        raise ValueError(f"input has size {size} on spatial axis {axis}, expected at least 1: a window needs an entry")


def transposed_sizes(
    size: tuple, kernel: tuple, stride: tuple, pads: Pairs, extra: tuple, dilation: tuple
) -> tuple[int, ...]:
    outputs = []
    spans = kernel_spans(kernel, dilation)
    for axis, (i, span, s, (lo, hi), e) in enumerate(zip(size, spans, stride, pads, extra, strict=True)):
        full = s * (i - 1) + span + e
        if full > MAX_SIZE:
            raise ValueError(f"output of size {full} on spatial axis {axis} is over 2**63 - 1 (input {i}, stride {s})")
        if full - lo - hi < 1:
            raise ValueError(
                f"nothing is left of the output on spatial axis {axis}: size {full} less padding {(lo, hi)} is "
                f"{full - lo - hi} (input {i}, kernel {kernel[axis]}, stride {s}, dilation {dilation[axis]})"
            )
        outputs.append(full - lo - hi)
    return tuple(outputs)


def check_output_padding(extra: tuple, stride: tuple, dilation: tuple) -> None:
    for axis, (e, s, d) in enumerate(zip(extra, stride, dilation, strict=True)):
        if e >= max(s, d):
            raise ValueError(
                f"output_padding must be below max(stride, dilation) = {max(s, d)} on spatial axis {axis}, got {e}"
            )


def output_paddings(
    wanted: tuple, size: tuple, kernel: tuple, stride: tuple, pads: Pairs, dilation: tuple
) -> tuple[int, ...]:
    extra = []
    for axis, (o, i, span, s, (lo, hi), d) in enumerate(
        zip(wanted, size, kernel_spans(kernel, dilation), stride, pads, dilation, strict=True)
    ):
        least = s * (i - 1) + span - lo - hi
        most = least + max(s, d) - 1
        if not least <= o <= most:
            raise ValueError(f"output_size on spatial axis {axis} must be from {least} to {most}, got {o}")
        extra.append(o - least)
    return tuple(extra)


def shuffled_sizes(size: tuple[int, ...], factors: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i * r for i, r in zip(size, factors, strict=True))


def unshuffled_sizes(size: tuple[int, ...], factors: tuple[int, ...]) -> tuple[int, ...]:
    if any(i % r for i, r in zip(size, factors, strict=True)):
        raise ValueError(f"downscale_factor {factors} must divide the spatial size {size} of input")
    return tuple(i // r for i, r in zip(size, factors, strict=True))
