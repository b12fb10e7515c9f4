"""A forecast in words (pure)."""

from __future__ import annotations

from controller.bgp import path_text
from controller.forecast.foretell import Forecast, Spread

SHOWN = 3
"""Routers, and paths of each, that are named; the rest is counted."""


def foretold(forecast: Forecast) -> list[str]:
    """Return what a withdrawal is foretold to do, line by line."""
    figures = (
        f"foretold ({forecast.runs} runs of a model fed with the RIBs): {_count(forecast.updates)} UPDATEs, "
        f"{_count(forecast.withdrawals)} of them withdrawals; {_count(forecast.paths_explored)} paths tried, "
        f"the longest {_count(forecast.longest_path)} ASes; over in {_milliseconds(forecast.seconds)}"
    )
    if not forecast.left:
        return [figures, "no router keeps a route"]
    ends = [
        f"{name} ends with {' or '.join(path_text(path) for path in paths)}"
        for name, paths in list(forecast.left.items())[:SHOWN]
    ]
    if len(forecast.left) > SHOWN:
        ends.append(f"{len(forecast.left) - SHOWN} more routers keep a route")
    if forecast.lost:
        more = f" and {len(forecast.lost) - SHOWN} more" if len(forecast.lost) > SHOWN else ""
        ends.append(f"without a route at the end: {', '.join(forecast.lost[:SHOWN])}{more}")
    return [figures, *ends]


def _count(spread: Spread) -> str:
    return _span(f"{spread.least:.0f}", f"{spread.most:.0f}")


def _milliseconds(spread: Spread) -> str:
    return _span(f"{spread.least * 1000:.0f}", f"{spread.most * 1000:.0f}") + " ms"


def _span(least: str, most: str) -> str:
    return least if least == most else f"{least}–{most}"
