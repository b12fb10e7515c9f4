"""Wait until a lab's BGP sessions are Established, by what each daemon itself shows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

from controller.observe.inventory import Inventory
from controller.observe.readers.errors import ReaderError
from controller.observe.readers.session import Session
from controller.observe.readers.sessions import sessions
from labs.runtimes.errors import LabStartError
from labs.runtimes.wire import Progress

DEADLINE_S = 30.0
"""Seconds that a start waits for sessions; those that are not Established by then are reported."""

_READER_S = 5.0
_PAUSE_S = 0.05
_NAMED = 8
_THREADS = 4


def wait_established(
    inventory: Inventory,
    silent: Collection[str],
    cancelled: threading.Event,
    report: Callable[[Progress], None],
    *,
    deadline_s: float = DEADLINE_S,
) -> list[str]:
    """Return when all sessions between nodes that run are Established, or after ``deadline_s`` seconds.

    ``silent``: nodes whose daemon does not run, with whom nobody can have a session. Returns warnings that
    name who is not Established. Raises :class:`LabStartError` when ``cancelled`` is set.
    """
    ends = time.monotonic() + deadline_s
    waiting = [n.name for n in inventory.nodes if n.daemon != "linux" and n.name not in silent]
    established: dict[str, int] = {}
    while True:
        missing: dict[str, list[str]] = {}

        def look(node: str, into: dict[str, list[str]] = missing) -> None:
            up, lacking = _look(inventory, node, silent)
            established[node] = up
            if lacking:
                into[node] = lacking

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(look, waiting))
        waiting = [name for name in waiting if name in missing]
        up = sum(established.values())
        report(Progress("sessions", up, up + sum(len(m) for m in missing.values())))
        if not waiting:
            return []
        if time.monotonic() > ends:
            return _warnings(missing)
        if cancelled.wait(_PAUSE_S):
            raise LabStartError("interrupted")


def _look(inventory: Inventory, node: str, silent: Collection[str]) -> tuple[int, list[str]]:
    """Return how many sessions of ``node`` are Established, and what each of the others is."""
    try:
        found = [s for s in sessions(inventory, node, deadline_s=_READER_S) if s.node not in silent]
    except ReaderError as error:
        return 0, [str(error)]
    lacking = [_describe(node, s) for s in found if not s.established]
    return len(found) - len(lacking), lacking


def _describe(node: str, session: Session) -> str:
    return f"{node} – {session.node or session.neighbour} ({session.neighbour}): {session.state}"


def _warnings(missing: dict[str, list[str]]) -> list[str]:
    named = [text for texts in missing.values() for text in texts]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return [f"these BGP sessions are not Established: {'; '.join(named[:_NAMED])}{more}"]
