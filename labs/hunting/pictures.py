"""The pictures of a hunt, drawn off screen by matplotlib, which is slow to import."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labs.hunting.analysis import Hunt
from labs.hunting.layout import layout
from labs.hunting.series import Graph, Series, Step

INK, PALE, GRID = "#1c2733", "#6b7a89", "#e3e8ed"
PAPER = "#ffffff"
ANNOUNCED, WITHDRAWN, SITE = "#2a78b8", "#e0783c", "#e0783c"
RAMP = mpl.colormaps["viridis"]
_STYLE: Any = {  # matplotlib types each of its keys
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": PALE,
    "axes.edgecolor": GRID,
    "xtick.color": PALE,
    "ytick.color": PALE,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "svg.fonttype": "path",
}


def overview(hunt: Hunt, series: Series) -> Figure:
    """Return the whole hunt on one page: staircases, graph, visibility and UPDATEs per bin."""
    rows = len(hunt.peers)
    height = 9.0 + max(0, rows - 12) * 0.3
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(16, height), facecolor=PAPER)
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(
            2, 2, width_ratios=(1.45, 1), height_ratios=(1.5, 1), left=0.06, right=0.965,
            top=1 - 1.35 / height, bottom=0.62 / height, hspace=0.34, wspace=0.16,
        )  # fmt: skip
        staircases(figure.add_subplot(grid[0, 0]), hunt, series)
        as_graph(figure.add_subplot(grid[0, 1]), hunt, series.graph)
        updates(figure.add_subplot(grid[1, 0]), series)
        visibility(figure.add_subplot(grid[1, 1]), hunt, series)
        figure.text(
            0.06, 1 - 0.42 / height, f"Hunting for {hunt.prefix}", fontsize=21, weight="bold", va="center"
        )
        figure.text(0.06, 1 - 0.78 / height, subtitle(hunt), fontsize=11.5, color=PALE, va="center")
    return figure


def subtitle(hunt: Hunt) -> str:
    """Return the hunt's figures in one line."""
    rib = "" if hunt.t_rib is None else f"  ·  last RIB change {milliseconds(hunt.t_rib)}"
    missed = f"  ·  capture missed {hunt.drops} packets: counts are too low" if hunt.drops else ""
    return (
        f"{hunt.routers} routers  ·  {hunt.updates:,} UPDATEs, {hunt.withdrawals:,} of them withdrawals  ·  "
        f"{hunt.paths_explored} paths tried, the longest {hunt.longest_path} ASes  ·  "
        f"last UPDATE {milliseconds(hunt.t_wire)}{rib}{missed}"
    )


def milliseconds(seconds: float) -> str:
    """Return a time for people: three digits, in ms or s."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def staircases(axes: Axes, hunt: Hunt, series: Series) -> None:
    """Draw one staircase per router, one below the other: the length of the path that it announces."""
    scale, unit = _unit(series.end)
    tallest = max(
        [length or 0 for steps in series.steps.values() for _, length in steps], default=1
    ) or 1  # fmt: skip
    start, end = _span(series, scale)
    peers = list(hunt.peers)
    for index, peer in enumerate(peers):
        base = len(peers) - 1 - index
        colour = RAMP(0.08 + 0.72 * index / max(1, len(peers) - 1))
        xs, ys = _outline(series.steps[peer.node], scale, start, end)
        heights = [base + 0.86 * y / tallest for y in ys]
        axes.fill_between(xs, base, heights, step="post", color=colour, alpha=0.22, lw=0)
        axes.step(xs, heights, where="post", color=colour, lw=1.5, solid_joinstyle="miter")
        axes.axhline(base, color=GRID, lw=0.8, zorder=0)
        axes.text(
            1.008, base + 0.3, f"{len(peer.paths)} paths" if len(peer.paths) != 1 else "1 path",
            transform=axes.get_yaxis_transform(), fontsize=8.5, color=PALE, va="center",
        )  # fmt: skip
    axes.set_yticks([len(peers) - 1 - i + 0.3 for i in range(len(peers))], [p.node for p in peers])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(-0.08, len(peers))
    axes.set_title(f"Path length that each router announces (a row is {tallest} ASes high)")
    _time_axis(axes, start, end, unit)


def visibility(axes: Axes, hunt: Hunt, series: Series) -> None:
    """Draw how many routers have a path that they can use."""
    scale, unit = _unit(series.end)
    start, end = _span(series, scale)
    xs = [max(start, t * scale) for t, _ in series.visible] + [end]
    ys = [n for _, n in series.visible] + [series.visible[-1][1]]
    axes.fill_between(xs, 0, ys, step="post", color=ANNOUNCED, alpha=0.16, lw=0)
    axes.step(xs, ys, where="post", color=ANNOUNCED, lw=2)
    axes.set_ylim(0, hunt.routers * 1.12 + 0.2)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.set_title("Routers that were last told of a path they can use")
    _time_axis(axes, start, end, unit)


def updates(axes: Axes, series: Series) -> None:
    """Draw the UPDATEs per bin, announcements below withdrawals."""
    scale, unit = _unit(series.end)
    start, end = _span(series, scale)
    xs = [b.start * scale for b in series.bins]
    width = series.bin_width * scale
    low = [b.announcements for b in series.bins]
    axes.bar(xs, low, width * 0.92, align="edge", color=ANNOUNCED, label="with a path")
    axes.bar(
        xs, [b.withdrawals for b in series.bins], width * 0.92, bottom=low, align="edge",
        color=WITHDRAWN, label="withdrawal",
    )  # fmt: skip
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.legend(frameon=False, loc="upper right", fontsize=9.5)
    axes.set_title(f"UPDATEs sent in each {width:g} {unit}")
    _time_axis(axes, start, end, unit)


def as_graph(axes: Axes, hunt: Hunt, graph: Graph) -> None:
    """Draw who peers with whom: darker links carried more UPDATEs, brighter routers tried more paths."""
    places = layout(graph)
    most = max(graph.edges.values(), default=1) or 1
    for (a, b), count in graph.edges.items():
        (x1, y1), (x2, y2) = places[a], places[b]
        share = count / most
        axes.plot(
            [x1, x2], [y1, y2], color=INK, alpha=0.10 + 0.45 * share, lw=0.8 + 2.6 * share, zorder=1,
            solid_capstyle="round",
        )  # fmt: skip
    tried = {peer.node: len(peer.paths) for peer in hunt.peers}
    norm = Normalize(0, max([*tried.values(), 1]))
    long = any(len(name) > 5 for name in tried)
    size = 1250 if len(graph.nodes) <= 14 else 420
    for name in graph.nodes:
        x, y = places[name]
        ours = name in graph.sites
        colour = SITE if ours else RAMP(0.15 + 0.8 * norm(tried.get(name, 0)))
        axes.scatter([x], [y], s=size, color=colour, edgecolors=PAPER, linewidths=2.5, zorder=2,
                     marker="s" if ours else "o")  # fmt: skip
        dark = ours or norm(tried.get(name, 0)) < 0.62
        paths = "" if ours else str(tried.get(name, 0))
        inside, beside = (paths or name, "" if ours else name) if long else (name, paths)
        axes.text(x, y, inside, ha="center", va="center", zorder=3, weight="bold", fontsize=9,
                  color="white" if dark else INK)  # fmt: skip
        r = math.hypot(x, y) or 1
        away = 0.27 if len(graph.nodes) <= 14 else 0.16
        # A long name would run into its circle on the left and right: it goes above or below.
        dx, dy = (0.0, away if y > 0.1 else -away) if long else (away * x / r, away * y / r)
        axes.text(x + dx, y + dy, beside, ha="center", va="center", fontsize=9.5, color=PALE, zorder=3)
    axes.set_title("Paths that each router tried; links by UPDATEs carried")
    axes.set_aspect("equal", adjustable="datalim")
    ys = [y for _, y in places.values()]
    axes.set_ylim(min(ys) - 0.42, max(ys) + 0.42)
    axes.axis("off")


def _outline(steps: Sequence[Step], scale: float, start: float, end: float) -> tuple[list[float], list[int]]:
    xs = [max(start, t * scale) for t, _ in steps] + [end]
    ys = [length or 0 for _, length in steps]
    return xs, [*ys, ys[-1]]


def _unit(end: float) -> tuple[float, str]:
    return (1.0, "s") if end >= 2 else (1000.0, "ms")


def _span(series: Series, scale: float) -> tuple[float, float]:
    end = max(series.end, 1e-4) * scale
    return -0.03 * end, 1.04 * end


def _time_axis(axes: Axes, start: float, end: float, unit: str) -> None:
    axes.set_xlim(start, end)
    axes.set_xlabel(f"{unit} since the origin's first UPDATE", fontsize=9.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", length=3)
