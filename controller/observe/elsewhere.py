"""What routers of others hold of some prefixes that does not come from us (pure): migrations wait for it.

A route counts as seen elsewhere when it is to the very prefix, and our AS is nowhere in its path: so the
owner's own AS may originate it at both places. Which AS is ours is told by what comes over our sites' links.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from controller.bgp import AsPath, Prefix
from controller.observe.rib import RibRow


class Held(msgspec.Struct, frozen=True):
    """What one router holds: ``paths`` of the prefixes asked for, ``ours`` the AS numbers of our sites.

    ``ours`` is empty where it has no session with a site of ours, or nothing comes over it.
    """

    observer: str
    ours: frozenset[int]
    paths: dict[Prefix, tuple[AsPath, ...]]


def held(
    observer: str, rows: Iterable[RibRow], routers: Collection[str], prefixes: Collection[Prefix]
) -> Held:
    """Return what an observer's RIB has; ``routers``: those of our sites. Its own routes are no evidence."""
    wanted = frozenset(prefixes)
    ours: set[int] = set()
    paths: dict[Prefix, tuple[AsPath, ...]] = {}
    for row in rows:
        if not row.as_path:
            continue
        first = row.as_path[0]
        if row.from_ in routers and isinstance(first, int):
            ours.add(first)
        if row.prefix in wanted:
            paths[row.prefix] = (*paths.get(row.prefix, ()), row.as_path)
    return Held(observer, frozenset(ours), paths)


def seen_elsewhere(told: Collection[Held], observers: int) -> frozenset[Prefix]:
    """Return the prefixes that so many observers, or all that answered if fewer, hold from somebody else.

    When nobody tells which AS is ours, nothing can be told from ours: none.
    """
    ours = frozenset[int]().union(*(h.ours for h in told))
    if not ours:
        return frozenset()
    needed = max(1, min(observers, len(told)))
    seen: dict[Prefix, int] = {}
    for one in told:
        for prefix, paths in one.paths.items():
            if any(ours.isdisjoint(_numbers(path)) for path in paths):
                seen[prefix] = seen.get(prefix, 0) + 1
    return frozenset(p for p, count in seen.items() if count >= needed)


def _numbers(path: AsPath) -> frozenset[int]:
    found: set[int] = set()
    for step in path:
        found.update((step,) if isinstance(step, int) else step)
    return frozenset(found)
