"""A BGP session as its daemon shows it (pure)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """``neighbour``: its address; ``node``: whose that is (None: unknown); ``state``: the daemon's word."""

    neighbour: str
    node: str | None
    state: str
    established: bool
