"""Prints comparisons: a table as soon as there is one, and at the end the raw samples, or all as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console

from labs.benchmarks.samples import Comparison, as_json, table


class Showing:
    """What one run of a benchmark prints; with ``to_json`` its tables go to stderr."""

    def __init__(self, *, to_json: bool) -> None:
        self._to_json = to_json
        self._console = Console(stderr=to_json, width=160)
        self._shown: list[Comparison] = []

    def add(self, comparisons: Sequence[Comparison], title: str) -> None:
        """Print a table of these."""
        self._console.print(table(list(comparisons), title))
        self._shown += comparisons

    def end(self) -> None:
        """Print what each of them was made of."""
        if self._to_json:
            print(json.dumps([as_json(c) for c in self._shown], indent=2))
            return
        for c in self._shown:
            self._console.print(f"raw, s: {c.name}: {[round(s, 4) for s in c.samples]}")
            self._console.print(f"raw, s: {c.floor_name}: {[round(s, 4) for s in c.floor]}")
