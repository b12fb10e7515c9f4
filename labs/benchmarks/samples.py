"""Samples and their ratio to a floor (pure)."""

from __future__ import annotations

from statistics import median

import msgspec
from rich.table import Table


class Comparison(msgspec.Struct, frozen=True):
    """One measurement beside its floor; all samples in seconds, raw, in the order they were taken."""

    name: str
    floor_name: str
    samples: tuple[float, ...]
    floor: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median over median of the floor."""
        return median(self.samples) / median(self.floor)


def table(comparisons: list[Comparison], title: str) -> Table:
    """Return the comparisons as a table of medians, spans and ratios."""
    result = Table(title=title)
    for heading in ("what", "median", "min … max", "floor", "median", "min … max", "ratio"):
        result.add_column(heading, justify="left" if heading in ("what", "floor") else "right")
    for c in comparisons:
        result.add_row(c.name, *_figures(c.samples), c.floor_name, *_figures(c.floor), f"{c.ratio:.2f}")
    return result


def _figures(samples: tuple[float, ...]) -> tuple[str, str]:
    return f"{median(samples) * 1000:.1f} ms", f"{min(samples) * 1000:.1f} … {max(samples) * 1000:.1f}"


def as_json(comparison: Comparison) -> dict[str, object]:
    """Return the comparison with its ratio, for ``--json``."""
    return {**msgspec.to_builtins(comparison), "ratio": round(comparison.ratio, 3)}
