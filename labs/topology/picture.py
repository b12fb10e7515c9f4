"""Pictures of generated labs, as SVG (pure)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from html import escape

_STYLE = (
    "<style>text{font:13px sans-serif;text-anchor:middle;fill:#1d2733}.s{font-size:11px;fill:#5b6876}"
    "line{stroke:#9aa7b4;stroke-width:1.4}rect,circle{stroke:#33475b;stroke-width:1.4}</style>"
)
OURS, OTHERS, MACHINE, VIEW = "#cfe8d5", "#dbe6f4", "#f4f1e4", "#f6ddd5"


class _Canvas:
    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.below: list[str] = []
        self.above: list[str] = []

    def line(self, a: tuple[float, float], b: tuple[float, float], *, dashed: bool = False) -> None:
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.below.append(f'<line x1="{a[0]:.0f}" y1="{a[1]:.0f}" x2="{b[0]:.0f}" y2="{b[1]:.0f}"{dashes}/>')

    def box(self, at: tuple[float, float], fill: str, name: str, below: str = "", width: int = 104) -> None:
        x, y = at
        height = 40 if below else 28
        self.above.append(
            f'<rect x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width}" height="{height}" '
            f'rx="6" fill="{fill}"/>'
            f'<text x="{x:.0f}" y="{y + (-3 if below else 4):.0f}">{escape(name)}</text>'
        )
        if below:
            self.above.append(f'<text class="s" x="{x:.0f}" y="{y + 13:.0f}">{escape(below)}</text>')

    def text(self) -> str:
        width, height = self.size
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}">{_STYLE}'
            f'<rect width="{width}" height="{height}" fill="#ffffff" stroke="none"/>\n'
            + "\n".join(self.below + self.above)
            + "\n</svg>\n"
        )


def two_sites_picture() -> str:
    """Return the picture of ``two-sites``."""
    canvas = _Canvas(760, 420)
    vantage = (380.0, 40.0)
    transits = {
        name: (140.0 + 160 * i, 150.0) for i, name in enumerate(("t-bird", "t-frr", "t-gobgp", "t-openbgpd"))
    }
    sites = {"site1": (220.0, 280.0), "site2": (540.0, 280.0)}
    for name in ("t-bird", "t-frr"):
        canvas.line(vantage, transits[name])
    names = list(transits)
    for i, one in enumerate(names):
        for j, other in enumerate(names[i + 1 :], start=i + 1):
            if j == i + 1:
                canvas.line(transits[one], transits[other])
            else:
                (x1, y1), (x2, y2) = transits[one], transits[other]
                lift = 34 + 22 * (j - i)
                canvas.below.append(
                    f'<path d="M{x1:.0f} {y1:.0f} Q{(x1 + x2) / 2:.0f} {y1 - lift:.0f} {x2:.0f} {y2:.0f}" '
                    'fill="none" stroke="#9aa7b4" stroke-width="1.4"/>'
                )
    for site, at in sites.items():
        for transit in transits.values():
            canvas.line(at, transit)
        for k in (-1, 1):
            machine = (at[0] + 70 * k, 375.0)
            canvas.line(at, machine)
            canvas.box(machine, MACHINE, f"s{site[-1]}m{1 if k < 0 else 2}", width=70)
        canvas.box(at, OURS, site, "AS 64500")
    for i, (name, at) in enumerate(transits.items(), start=1):
        canvas.box(at, OTHERS, name, f"AS {65000 + i}")
    canvas.box(vantage, VIEW, "vantage", "AS 65010")
    return canvas.text()


def clique_picture(n: int) -> str:
    """Return the picture of a clique of ``n``."""
    canvas = _Canvas(620, 470)
    centre, radius = (270.0, 235.0), 185.0
    routers = [
        (
            centre[0] + radius * math.cos(2 * math.pi * i / n),
            centre[1] - radius * math.sin(2 * math.pi * i / n),
        )
        for i in range(n)
    ]
    for i, one in enumerate(routers):
        for other in routers[i + 1 :]:
            canvas.line(one, other)
    site = (routers[0][0] + 105, centre[1])
    canvas.line(site, routers[0])
    for k, name in ((-1, "s1m1"), (1, "s1m2")):
        machine = (site[0], site[1] + 95 * k)
        canvas.line(site, machine)
        canvas.box(machine, MACHINE, name, width=64)
    canvas.box(site, OURS, "site1", "AS 64500", width=80)
    for i, at in enumerate(routers, start=1):
        canvas.box(at, OTHERS, f"r{i}", str(65000 + i), width=58)
    return canvas.text()


def hierarchy_picture(tiers: Mapping[str, int], contracts: Collection[tuple[str, str, str]]) -> str:
    """Return the picture of a hierarchy: tier 1 on top, our sites tier 0; links of peers are dashed."""
    rows = {tier: [name for name, at in tiers.items() if at == tier] for tier in (1, 2, 3, 0)}
    room = 46
    width = max(640, room * max(len(row) for row in rows.values()) + 40)
    canvas = _Canvas(width, 460)
    at = {
        name: (width * (i + 1) / (len(row) + 1), y)
        for (tier, row), y in zip(rows.items(), (60.0, 180.0, 410.0, 310.0), strict=True)
        for i, name in enumerate(row)
    }
    for a, b, relation in contracts:
        canvas.line(at[a], at[b], dashed=relation == "peer")
    colours = {0: OURS, 1: OTHERS, 2: OTHERS, 3: VIEW}
    for name, place in at.items():
        canvas.box(place, colours[tiers[name]], name, width=room - 2)
    return canvas.text()


def six_sites_picture(transits: Mapping[str, int], homes: Mapping[str, tuple[str, str]]) -> str:
    """Return the picture of ``six-sites``; ``homes``: each site's, or vantage point's, two transits."""
    canvas = _Canvas(900, 470)
    at = {name: (150.0 + 200 * i, 190.0) for i, name in enumerate(transits)}
    names = list(at)
    for i, one in enumerate(names):
        for j, other in enumerate(names[i + 1 :], start=i + 1):
            (x1, y1), (x2, y2) = at[one], at[other]
            lift = 0 if j == i + 1 else 30 + 18 * (j - i)
            canvas.below.append(
                f'<path d="M{x1:.0f} {y1:.0f} Q{(x1 + x2) / 2:.0f} {y1 - lift:.0f} {x2:.0f} {y2:.0f}" '
                'fill="none" stroke="#9aa7b4" stroke-width="1.4"/>'
            )
    views = [name for name in homes if name.startswith("v")]
    sites = [name for name in homes if name not in views]
    places = {name: (300.0 + 300 * i, 45.0) for i, name in enumerate(views)}
    places |= {name: (90.0 + 144 * i, 330.0) for i, name in enumerate(sites)}
    for name, place in places.items():
        for transit in homes[name]:
            canvas.line(place, at[transit])
    for name in sites:
        x, y = places[name]
        for k in (-1, 1):
            machine = (x + 33 * k, y + 95)
            canvas.line((x, y), machine)
            canvas.box(machine, MACHINE, f"s{name[-1]}m{1 if k < 0 else 2}", width=56)
        canvas.box((x, y), OURS, name, "AS 64500")
    for name, asn in transits.items():
        canvas.box(at[name], OTHERS, name, f"AS {asn}")
    for i, name in enumerate(views):
        canvas.box(places[name], VIEW, name, f"AS {65010 + i}")
    return canvas.text()
