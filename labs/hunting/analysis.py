"""What a withdrawal did: events of the capture → the figures of a hunt (pure).

Times are seconds since t0, the origin's first UPDATE of any kind about the prefix (a stub may replace its
route implicitly before it withdraws it). Messages are counted as sent, each once, whoever they went to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from controller.bgp import AsPath, Prefix
from controller.forecast.foretell import Forecast
from controller.observe.event import Event, utc
from controller.observe.holding import about
from labs.hunting.errors import HuntError
from labs.hunting.loops import Loop, loops
from labs.hunting.told import Told


class Peer(msgspec.Struct, frozen=True):
    """One router's part: UPDATEs it sent, distinct paths it announced after t0 in order of appearance."""

    node: str
    updates: int
    paths: tuple[AsPath, ...]
    first_s: float | None
    last_s: float | None


class Session(msgspec.Struct, frozen=True):
    """The UPDATEs about the prefix that one router sent another: those with a path, and those without."""

    sender: str
    receiver: str
    announcements: int
    withdrawals: int


class Back(msgspec.Struct, frozen=True):
    """What followed when the prefix was put back; ``kind`` and times as in :class:`Hunt`."""

    kind: Literal["Tup", "Tshort"]
    t_wire: float
    updates: int
    withdrawals: int
    paths: int


class Hunt(msgspec.Struct, frozen=True):
    """The figures of one hunt, as ``herald hunt --json`` prints them.

    ``kind``: ``Tdown`` if no site announced the prefix any more, ``Tlong`` if others still did (Labovitz's
    names). ``forecast``: what had been foretold of it. ``withdrawn_at`` is t0. ``t_wire``: the last UPDATE;
    ``t_rib``: the last change of a FIB or RIB (None: not observed); ``t_data``: the last lost probe (None: no
    probes). ``depth``: ASes by which the longest path is longer than the longest at t0 (None: not known).
    ``invalid``: announcements of paths that no longer stood when they were sent; ``zombies``: who held a
    path at the end that no longer stood, and no other; ``loops``: of routers that led to each other. These
    four are None when the capture does not have all since the sessions began. ``back``: how it came back
    (None: it was withdrawn before, too). ``drops`` is there only when the capture missed something meanwhile:
    its figures are too low.
    """

    prefix: Prefix
    strategy: str
    routers: int
    withdrawn_at: str
    t_wire: float
    t_rib: float | None
    t_data: float | None
    updates: int
    withdrawals: int
    paths_explored: int
    longest_path: int
    peers: tuple[Peer, ...]
    mrt: str
    report: str | None
    kind: Literal["Tdown", "Tlong"] = "Tdown"
    depth: int | None = None
    invalid: int | None = None
    loops: tuple[Loop, ...] | None = None
    zombies: tuple[str, ...] | None = None
    sessions: tuple[Session, ...] = ()
    back: Back | None = None
    forecast: Forecast | None = None
    drops: int | msgspec.UnsetType = msgspec.UNSET


def path_length(path: AsPath) -> int:
    """Return a path's length as BGP counts it: an AS_SET counts 1 (RFC 4271, 9.1.2.2)."""
    return len(path)


def time_zero(events: Iterable[Event], prefix: Prefix, origins: Collection[str]) -> int:
    """Return t0 in nanoseconds since the epoch; raises HuntError when no origin sent anything."""
    times = [e.at_ns for e in events if e.sender in origins and about(e, prefix)]
    if not times:
        names = ", ".join(sorted(origins))
        raise HuntError(f"no UPDATE about {prefix} left {names} after the withdrawal: look at their agents")
    return min(times)


def updates_of(events: Iterable[Event], prefix: Prefix, t0_ns: int) -> list[Event]:
    """Return the UPDATEs that mention ``prefix`` from ``t0_ns`` on, in order of time."""
    found = [e for e in events if e.at_ns >= t0_ns and about(e, prefix)]
    return sorted(found, key=lambda e: (e.at_ns, e.seq))


def analyse(
    events: Sequence[Event],
    *,
    prefix: Prefix,
    routers: Sequence[str],
    origins: Collection[str],
    before: Sequence[Event] | None = None,
    back: Sequence[Event] = (),
    everywhere: bool = True,
    rib_changes: Iterable[int] = (),
    strategy: str = "plain",
    forecast: Forecast | None = None,
    drops: int = 0,
    mrt: str = "",
    report: str | None = None,
) -> Hunt:
    """Return the figures of the hunt in ``events``, all captured after the trigger.

    ``routers``: every router but our own sites'; ``origins``: our sites' routers; ``before``: all that was
    captured until the trigger (None: not all is known); ``back``: what was captured when it was put back;
    ``everywhere``: it was withdrawn at all sites; ``rib_changes``: when FIBs or RIBs changed, in nanoseconds
    since the epoch. Raises HuntError when no origin sent anything.
    """
    t0 = time_zero(events, prefix, origins)
    updates = updates_of(events, prefix, t0)
    paths = {path for event in updates for path in _paths(event, prefix)}
    changes = [at for at in rib_changes if at >= t0]
    longest = max((path_length(path) for path in paths), default=0)
    standing = None if before is None else _standing(before, updates, prefix, origins)
    return Hunt(
        prefix=prefix,
        strategy=strategy,
        routers=len(routers),
        withdrawn_at=utc(t0),
        t_wire=_seconds(updates[-1].at_ns, t0),
        t_rib=_seconds(max(changes), t0) if changes else None,
        t_data=None,
        updates=len(updates),
        withdrawals=sum(1 for event in updates if not event.announced),
        paths_explored=len(paths),
        longest_path=longest,
        peers=tuple(_peer(name, updates, prefix, t0) for name in routers),
        mrt=mrt,
        report=report,
        kind="Tdown" if everywhere else "Tlong",
        depth=None if standing is None else max(0, longest - standing.longest_before),
        invalid=None if standing is None else standing.invalid,
        loops=None if before is None else loops(before, updates, prefix=prefix, origins=origins, t0_ns=t0),
        zombies=None if standing is None else tuple(n for n in standing.zombies if n in routers),
        sessions=_sessions(updates),
        back=_back(back, prefix, origins, "Tup" if everywhere else "Tshort"),
        forecast=forecast,
        drops=drops or msgspec.UNSET,
    )


@dataclass(frozen=True, slots=True)
class _Standing:
    """What only whoever knows all messages can tell."""

    longest_before: int
    invalid: int
    zombies: tuple[str, ...]


def _standing(
    before: Iterable[Event], updates: Iterable[Event], prefix: Prefix, origins: Collection[str]
) -> _Standing:
    told = Told(prefix, origins, before)
    used = (told.uses(node) for node in told.senders())
    longest_before = max((path_length(path) for path in used if path is not None), default=0)
    invalid = 0
    for event in updates:
        told.apply(event)
        invalid += sum(not told.stands(event.sender, path) for path in _paths(event, prefix))
    zombies = sorted(node for node, stands in told.holders().items() if not stands)
    return _Standing(longest_before, invalid, tuple(zombies))


def _sessions(updates: Iterable[Event]) -> tuple[Session, ...]:
    counts: dict[tuple[str, str], list[int]] = {}
    for event in updates:
        counts.setdefault((event.sender, event.receiver), [0, 0])[not event.announced] += 1
    return tuple(Session(*ends, *counted) for ends, counted in sorted(counts.items()))


def _back(
    events: Sequence[Event], prefix: Prefix, origins: Collection[str], kind: Literal["Tup", "Tshort"]
) -> Back | None:
    if not any(e.sender in origins and about(e, prefix) for e in events):
        return None
    t0 = time_zero(events, prefix, origins)
    updates = updates_of(events, prefix, t0)
    return Back(
        kind=kind,
        t_wire=_seconds(updates[-1].at_ns, t0),
        updates=len(updates),
        withdrawals=sum(1 for event in updates if not event.announced),
        paths=len({path for event in updates for path in _paths(event, prefix)}),
    )


def _peer(name: str, updates: Sequence[Event], prefix: Prefix, t0: int) -> Peer:
    sent = [event for event in updates if event.sender == name]
    return Peer(
        node=name,
        updates=len(sent),
        paths=tuple(dict.fromkeys(path for event in sent for path in _paths(event, prefix))),
        first_s=_seconds(sent[0].at_ns, t0) if sent else None,
        last_s=_seconds(sent[-1].at_ns, t0) if sent else None,
    )


def _paths(event: Event, prefix: Prefix) -> list[AsPath]:
    return [a.as_path for a in event.announced if a.prefix == prefix]


def _seconds(at_ns: int, t0_ns: int) -> float:
    return round((at_ns - t0_ns) / 1e9, 6)
