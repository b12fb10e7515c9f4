"""Loops while a network hunts: routers that lead to each other, by the paths that they announce (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from controller.bgp import Prefix
from controller.observe.event import Event
from labs.hunting.told import Told


class Loop(msgspec.Struct, frozen=True):
    """Routers that led to each other, in the order of hops, from the first by name on.

    ``begin_s``, ``end_s``: seconds since t0; None: it had not ended when the last event was seen.
    """

    members: tuple[str, ...]
    begin_s: float
    end_s: float | None


def loops(
    before: Iterable[Event],
    updates: Iterable[Event],
    *,
    prefix: Prefix,
    origins: Collection[str],
    t0_ns: int,
) -> tuple[Loop, ...]:
    """Return the loops of a hunt by their beginnings.

    A router leads to the neighbour from whom it had the path that it uses. Its kernel may be later or
    earlier than its word: what packets do is for probes to see.
    """
    told = Told(prefix, origins, before)
    leads = {node: told.leads_to(node) for node in told.senders()}
    open_: dict[tuple[str, ...], float] = {}
    found: list[Loop] = []
    for event in updates:
        told.apply(event)
        node, at = event.sender, round((event.at_ns - t0_ns) / 1e9, 6)
        to = told.leads_to(node)
        if to == leads.get(node):
            continue
        leads[node] = to
        for members in [m for m in open_ if node in m]:
            found.append(Loop(members, open_.pop(members), at))
        cycle = _cycle(leads, node)
        if cycle:
            open_[cycle] = at
    found += [Loop(members, begin, None) for members, begin in open_.items()]
    return tuple(sorted(found, key=lambda loop: (loop.begin_s, loop.members)))


def _cycle(leads: dict[str, str | None], node: str) -> tuple[str, ...]:
    """Return the cycle through ``node``, or nothing."""
    members: list[str] = []
    at: str | None = node
    while at is not None and at not in members:
        members.append(at)
        at = leads.get(at)
    return _from_first(members) if at == node else ()


def _from_first(members: Sequence[str]) -> tuple[str, ...]:
    first = members.index(min(members))
    return (*members[first:], *members[:first])
