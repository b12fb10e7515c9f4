"""Shows hunts as text, on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from controller.bgp import path_text
from controller.cli.foretold import foretold
from labs.hunting.analysis import Hunt
from labs.hunting.repeats import Repeats

NAMES = {
    "updates": "UPDATEs",
    "withdrawals": "withdrawals",
    "paths_explored": "paths tried",
    "most_paths": "paths, one router",
    "longest_path": "longest path",
    "invalid": "already invalid",
    "loops": "loops",
    "t_wire": "last UPDATE",
    "t_rib": "last RIB change",
    "t_data": "last lost probe",
    "back_t_wire": "back: last UPDATE",
    "back_updates": "back: UPDATEs",
}


def show(found: Hunt) -> None:
    """Print one hunt: router by router, then its figures, and the forecast beside them."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("router", "UPDATEs", "paths", "first", "last", "longest path tried"):
        table.add_column(title, justify="left" if title in ("router", "longest path tried") else "right")
    for peer in found.peers:
        table.add_row(
            peer.node,
            str(peer.updates),
            str(len(peer.paths)),
            _ms(peer.first_s),
            _ms(peer.last_s),
            path_text(max(peer.paths, key=len, default=())),
        )
    console = Console()
    console.print(table)
    console.print(
        f"\n{found.prefix}, withdrawn at {found.withdrawn_at}: {found.updates} UPDATEs "
        f"({found.withdrawals} withdrawals), {found.paths_explored} paths tried, "
        f"the longest {found.longest_path} ASes.",
        highlight=False,
    )
    console.print(
        f"Last UPDATE {_ms(found.t_wire)}, last RIB change {_ms(found.t_rib)} after the origin's first.",
        highlight=False,
    )
    for line in _beside(found):
        console.print(line, highlight=False, soft_wrap=True)
    for line in foretold(found.forecast) if found.forecast is not None else ():
        console.print(line[0].upper() + line[1:] + ".", highlight=False, soft_wrap=True)
    if found.drops:
        console.print(f"The capture missed {found.drops} packets: the counts are too low.", style="bold red")
    console.print(f"MRT: {found.mrt}", soft_wrap=True, highlight=False)
    if found.report:
        console.print(f"Report: {found.report}", soft_wrap=True, highlight=False)


def _beside(found: Hunt) -> list[str]:
    """Say what else there was to see."""
    lines = []
    if found.invalid is not None:
        sent = found.updates - found.withdrawals
        lines.append(f"{found.invalid} of {sent} announcements were of paths that no longer stood.")
    if found.loops:
        ended = [loop.end_s - loop.begin_s for loop in found.loops if loop.end_s is not None]
        members = ", ".join(sorted({node for loop in found.loops for node in loop.members}))
        lines.append(
            f"{len(found.loops)} loops by what was announced, up to {_ms(max(ended, default=0))}: {members}."
        )
    if found.zombies:
        lines.append(f"Still held, though no path to it stands: {', '.join(found.zombies)}.")
    if found.back is not None:
        last = _ms(found.back.t_wire)
        lines.append(f"Put back: {found.back.updates} UPDATEs, the last after {last} ({found.back.kind}).")
    return lines


def show_spread(several: Repeats) -> None:
    """Print the figures of several hunts with their spread."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("figure", "least", "median", "most", "median, 95 %"):
        table.add_column(title, justify="left" if title == "figure" else "right")
    for name, spread in several.spread.items():
        between = "–" if spread.low is None else f"{_shown(name, spread.low)} – {_shown(name, spread.high)}"
        three = (_shown(name, value) for value in (spread.least, spread.median, spread.most))
        table.add_row(NAMES[name], *three, between)
    console = Console()
    console.print(f"{several.hunts[0].prefix}, hunted {several.times} times", highlight=False)
    console.print(table)
    if several.times < 6:
        console.print("Six hunts or more say where the median lies.", style="dim")


def _shown(name: str, value: float | None) -> str:
    return _ms(value) if name.removeprefix("back_").startswith("t_") else f"{value:g}"


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.1f} ms"
