"""When the network has come to rest about a prefix, by its state and not by a pause (pure).

At rest, each router holds exactly what its neighbours last sent, and has sent its neighbours what it now
thinks best: nothing is in flight and nobody has anything left to say. One thing cannot be seen so: a change
and its undoing that are both still on their way to the same router. Look twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from controller.bgp import AsPath, path_text
from controller.observe.holding import Held
from controller.observe.rib import RibRow


def unsettled(rows: Sequence[RibRow], held: Sequence[Held], routers: Collection[str]) -> str | None:
    """Return why the network is not at rest, None when it is.

    ``rows``: the Loc-RIBs of ``routers`` for one prefix, read after all of ``held`` was captured. A session
    that carries nothing says nothing: policy and split horizon look the same.
    """
    best = {row.node: row.as_path for row in rows if row.best}
    brought = {(row.from_, row.node, row.as_path) for row in rows if row.from_ is not None}
    sent = {(h.sender, h.receiver, h.as_path) for h in held if h.usable and h.receiver in routers}
    for sender, receiver, path in sorted(sent - brought, key=str):
        return f"{receiver} has not yet taken {path_text(path)} from {sender}"
    for sender, receiver, path in sorted(brought - sent, key=str):
        return f"{receiver} still holds {path_text(path)} from {sender}"
    for one in held:
        if one.sender in routers and not _is_export(one.as_path, best.get(one.sender)):
            return f"{one.sender} has not yet told {one.receiver} of its change"
    return None


def _is_export(path: AsPath, best: AsPath | None) -> bool:
    """Tell whether ``path`` is ``best`` with the sender's AS in front, once or more often."""
    if best is None:
        return False
    added = len(path) - len(best)
    return added > 0 and path[added:] == best and len(set(path[:added])) == 1
