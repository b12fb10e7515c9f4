"""What a reading of routers' RIBs changes, as it is told (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from controller.bgp import AsPath, Prefix, path_text

ROUTERS_SHOWN = 50
"""How many routers an entry names as evidence; the counts are of all."""

Seen = Mapping[Prefix, Mapping[str, AsPath]]
"""Who holds a prefix, and by which path: router → AS path of its best route."""


class Reading(msgspec.Struct, frozen=True):
    """What all routers that could be asked hold; ``at``: RFC 3339 UTC."""

    at: str
    routers: int
    seen: Seen


def moved(before: Seen, after: Seen) -> set[Prefix]:
    """Return the prefixes that other routers hold than before, whatever their paths."""
    return {p for p in before.keys() | after.keys() if before.get(p, {}).keys() != after.get(p, {}).keys()}


def evidence(cidr: Prefix, reading: Reading, lost: set[str]) -> dict[str, Any]:
    """Return who holds ``cidr`` by which path; ``lost``: who held it at the reading before."""
    holders = reading.seen.get(cidr, {})
    return {
        "cidr": cidr,
        "seen_by": len(holders),
        "of": reading.routers,
        "read_at": reading.at,
        "routers": {node: path_text(holders[node]) for node in sorted(holders)[:ROUTERS_SHOWN]},
        "lost": sorted(lost)[:ROUTERS_SHOWN],
    }
