"""Whether routers hold what they are to hold (pure)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from controller.bgp import Prefix
from controller.observe.rib import RibRow


class Sight(msgspec.Struct, frozen=True):
    """What was observed: ``seen_by`` of ``of`` routers hold the prefix; ``lacking`` says what is missing."""

    state: str
    seen_by: int | None = None
    of: int | None = None
    reason: str = ""


def look(
    rows: Sequence[RibRow],
    prefix: Prefix,
    routers: Sequence[str],
    *,
    announcing: Collection[str],
    withdrawn: Collection[str],
) -> tuple[Sight, bool]:
    """Return what ``rows`` show of ``prefix``, and whether it is as it is to be.

    ``announcing``/``withdrawn``: the router nodes of our sites that are to announce it and that are not.
    Announced: each router has a best route, and each announcing site is somebody's neighbour for it.
    Withdrawn: no candidate comes from a withdrawn site; from nobody if no site announces.
    """
    rows = [r for r in rows if r.prefix == prefix]
    holders = {r.node for r in rows}
    sources = {r.from_ for r in rows}
    if not announcing:
        still = sorted(holders)
        reason = f"still held by {', '.join(still)}" if still else ""
        return _sight(holders, routers, reason), not still
    lacking = sorted(set(routers) - {r.node for r in rows if r.best})
    absent = sorted(set(announcing) - sources)
    stays = sorted({r.node for r in rows if r.from_ in set(withdrawn)})
    reasons = [
        f"{', '.join(names)} {what}"
        for names, what in (
            (lacking, "hold(s) no route yet"),
            (absent, "is/are seen by nobody yet"),
            (stays, "still hold(s) a withdrawn site's route"),
        )
        if names
    ]
    return _sight(holders, routers, "; ".join(reasons)), not reasons


def _sight(holders: Collection[str], routers: Sequence[str], reason: str) -> Sight:
    seen = len(set(holders) & set(routers))
    return Sight("visible" if holders else "absent", seen, len(routers), reason)
