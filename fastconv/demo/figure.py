"""The figure: the photograph, and what each operator makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

Image = NDArray[np.float32]
Box = tuple[int, int, int, int]  # top, left, height, width

# Inches, except where said.
WIDTH, MARGIN, GAP = 15.0, 0.45, 0.3
HEAD, TITLE, CAPTION = 0.95, 0.42, 0.85
TALLEST = 5.2
DPI = 110
LETTERS_PER_INCH = 13.6  # of the captions

INK, PALE, ACCENT, DOT = "#1a1a1a", "#5a5a5a", "#ff8c1a", "#19c3ff"
ZOOM = 36  # pixels of the photograph in the upsampled details
FIELD = 17  # pixels in the receptive-field details: the 9x9 square and some of its surroundings


@dataclass(frozen=True)
class Gallery:
    """What there is to show."""

    photo: Image  # (3, H, W), 0 to 1
    edges: dict[int, Image]  # by dilation: the length of the gradient, (H, W)
    transposed: Image  # (3, 2H, 2W)
    subpixel: Image  # (3, 2H, 2W)
    flat: Image  # what the transposed convolution makes of ones


def draw(gallery: Gallery, path: str) -> None:
    """Write the figure as a PNG."""
    height, width = gallery.photo.shape[1:]
    aspect = min(max(width / height, 0.6), 2.4)
    rows = [[aspect] * 2, [aspect] * 3, [1.0] * 4]
    figure, panels = _lay_out(rows)
    zoom = busiest(gallery.edges[1], ZOOM)
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "axes.edgecolor": PALE}):
        _head(figure)
        _edge_row(panels[0], gallery, zoom)
        _dilation_row(panels[1], gallery, zoom)
        _upsampling_row(panels[2], gallery, zoom)
        figure.savefig(path, dpi=DPI, format="png")


# Layout ---------------------------------------------------------------------------------------------------------------


def _lay_out(rows: list[list[float]]) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with rows of panels of given aspects, each row as wide as the page or else centred."""
    heights = [min(TALLEST, (WIDTH - 2 * MARGIN - GAP * (len(row) - 1)) / sum(row)) for row in rows]
    total = HEAD + sum(heights) + len(rows) * (TITLE + CAPTION)
    figure = Figure(figsize=(WIDTH, total), facecolor="white")
    top, panels = total - HEAD, []
    for row, height in zip(rows, heights, strict=True):
        left = (WIDTH - sum(row) * height - GAP * (len(row) - 1)) / 2
        bottom = top - TITLE - height
        panels.append([])
        for aspect in row:
            place = left / WIDTH, bottom / total, aspect * height / WIDTH, height / total
            panels[-1].append(figure.add_axes(place, xticks=[], yticks=[]))
            left += aspect * height + GAP
        top = bottom - CAPTION
    return figure, panels


def _head(figure: Figure) -> None:
    height = figure.get_figheight()
    figure.text(MARGIN / WIDTH, 1 - 0.48 / height, "fastconv", size=23, weight="bold", color=INK)
    figure.text(
        MARGIN / WIDTH,
        1 - 0.80 / height,
        "one photograph, four operators: standard, dilated and transposed convolution, and the sub-pixel convolution",
        size=12.5,
        color=PALE,
    )


def _label(axes: Axes, title: str, caption: str) -> None:
    axes.set_title(title, size=12.5, weight="bold", color=INK, loc="left", pad=6)
    inches = axes.get_position().width * WIDTH
    text = fill(caption, int(inches * LETTERS_PER_INCH))
    axes.annotate(
        text, (0, 0), (0, -6), "axes fraction", "offset points", size=9.5, color=PALE, va="top", linespacing=1.3
    )


def _show(axes: Axes, image: Image, **settings: object) -> None:
    """Show (H, W) in grey or (3, H, W) in colour; a pixel of the picture is one unit of the axes."""
    colour = image.transpose(1, 2, 0).clip(0, 1) if image.ndim == 3 else image
    axes.imshow(colour, **{"cmap": "gray", "vmin": 0, "interpolation": "antialiased", **settings})


# Rows -----------------------------------------------------------------------------------------------------------------


def _edge_row(panels: list[Axes], gallery: Gallery, zoom: Box) -> None:
    _show(panels[0], gallery.photo)
    _frame(panels[0], zoom, ACCENT)
    height, width = gallery.photo.shape[1:]
    _label(panels[0], "The photograph", f"{width} x {height} pixels. The frame is the detail of the bottom row.")
    _show(panels[1], gallery.edges[1], vmax=_white(gallery.edges[1]))
    _label(
        panels[1],
        "Standard convolution: edges",
        "The Sobel pair, two 3x3 kernels as the two output channels of one conv2d on the luminance; shown is the "
        "length of the gradient.",
    )


def _dilation_row(panels: list[Axes], gallery: Gallery, zoom: Box) -> None:
    grey = gallery.photo.mean(0)
    field = _around(_strongest(gallery.edges[1], zoom), FIELD)
    for axes, (d, edges) in zip(panels, gallery.edges.items(), strict=True):
        reach = 2 * d + 1
        _show(axes, edges, vmax=_white(edges))
        _frame(axes, field, ACCENT)
        _receptive_field(axes, grey, field, d)
        _label(
            axes,
            f"Dilation {d}: a {reach} x {reach} receptive field",
            f"The same nine weights, {d} pixel{'s' if d > 1 else ''} apart. Inset: the taps and the square they span "
            "for one output pixel (the centre).",
        )


def _receptive_field(axes: Axes, grey: Image, field: Box, d: int) -> None:
    """Draw an inset with the nine taps around the middle pixel of a detail."""
    top, left, height, width = field
    y, x = top + height // 2, left + width // 2
    inset = axes.inset_axes((0.0, 0.0, 0.46, 0.46), anchor="SW", xticks=[], yticks=[])
    _show(inset, grey, vmax=1, interpolation="nearest")
    inset.set(xlim=(left - 0.5, left + width - 0.5), ylim=(top + height - 0.5, top - 0.5), facecolor="#808080")
    inset.add_patch(
        Rectangle((x - d - 0.5, y - d - 0.5), 2 * d + 1, 2 * d + 1, fill=False, edgecolor=ACCENT, linewidth=2.2)
    )
    taps = np.array([(x + j * d, y + i * d) for i in (-1, 0, 1) for j in (-1, 0, 1)]).T
    inset.scatter(*taps, s=26, color=DOT, edgecolor="black", linewidth=0.7, zorder=3)
    for spine in inset.spines.values():
        spine.set(edgecolor=ACCENT, linewidth=1.6)


def _upsampling_row(panels: list[Axes], gallery: Gallery, zoom: Box) -> None:
    top, left, height, width = zoom
    small = np.s_[:, top : top + height, left : left + width]
    large = np.s_[:, 2 * top : 2 * (top + height), 2 * left : 2 * (left + width)]
    for axes, image in zip(
        panels, (gallery.photo[small], gallery.transposed[large], gallery.subpixel[large]), strict=False
    ):
        _show(axes, image, interpolation="nearest")
    _label(panels[0], "The detail", f"{width} x {height} pixels of the photograph, to be upsampled by 2.")
    _label(
        panels[1],
        "Transposed convolution",
        "A smooth 3x3 kernel (Gaussian) at stride 2: 1, 2 or 4 kernels overlap in an output pixel. The checkerboard is "
        "not in the photograph.",
    )
    _label(
        panels[2],
        "Sub-pixel convolution",
        "Four 3x3 kernels, one per output phase, then the pixel shuffle. The weights of each phase (bilinear) sum to "
        "one, so flat stays flat.",
    )
    _overlap_map(panels[3], gallery.flat)


def _overlap_map(axes: Axes, flat: Image) -> None:
    """Show what a flat white area becomes, and why: the overlaps at kernel 3, stride 2."""
    patch = flat[4:10, 4:10]
    axes.imshow(patch, cmap="coolwarm", vmin=0.7, vmax=1.3)
    for y, x in np.ndindex(patch.shape):
        overlaps = (1 + y % 2) * (1 + x % 2)
        axes.text(x, y + 0.02, overlaps, ha="center", va="bottom", size=13, weight="bold", color=INK)
        axes.text(x, y + 0.06, f"{patch[y, x]:.2f}", ha="center", va="top", size=9.5, color=INK)
    _label(
        axes,
        "Where it comes from",
        "Kernels that overlap in each output pixel of the transposed convolution, and the sum of their weights. In the "
        "sub-pixel convolution every sum is 1.",
    )


# Details --------------------------------------------------------------------------------------------------------------


def busiest(edges: Image, size: int) -> Box:
    """Return the square with the most edge in it, or all of a smaller picture."""
    height, width = (min(size, n) for n in edges.shape)
    sums = np.pad(edges.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    rows = sums[height:] - sums[:-height]
    windows = rows[:, width:] - rows[:, :-width]
    top, left = np.unravel_index(windows.argmax(), windows.shape)
    return int(top), int(left), height, width


def _strongest(edges: Image, box: Box) -> tuple[int, int]:
    top, left, height, width = box
    y, x = np.unravel_index(edges[top : top + height, left : left + width].argmax(), (height, width))
    return top + int(y), left + int(x)


def _around(centre: tuple[int, int], size: int) -> Box:
    return centre[0] - size // 2, centre[1] - size // 2, size, size


def _frame(axes: Axes, box: Box, colour: str) -> None:
    top, left, height, width = box
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=colour, linewidth=1.8))


def _white(edges: Image) -> float:
    """Return what is shown as white: nearly the largest, so that a single strong edge does not darken the rest."""
    return max(float(np.quantile(edges, 0.995)), 1e-3)
