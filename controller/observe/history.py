"""What a router's neighbours had told it at any moment, rebuilt from the events (pure).

Per session the receiver's Adj-RIB-In: an announcement holds until it is withdrawn, replaced, or the session
ends. Where graceful restart is negotiated (RFC 4724) the end of a session makes routes *stale* instead: they
are still used, until the sender's restart time is over or its new session shows them gone.

A looped path (the receiver's own AS in it) is held, but not usable (RFC 4271, 9.1.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from controller.bgp import AsPath, Family, Prefix, family_of, path_text
from controller.observe.bgp_message import Notification, Open, parse_message
from controller.observe.bgp_update import Update
from controller.observe.errors import BgpMessageError
from controller.observe.event import Event

_FOREVER = 1 << 62

Direction = tuple[str, str]
"""A session's one direction: the sender's address, the receiver's."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A route in a receiver's Adj-RIB-In, from one event until before another.

    ``end_seq``, ``end_ns``: None while it is still held. Times are nanoseconds since the Unix epoch.
    ``stale``: the session that brought it was down then, and graceful restart kept it. ``told_seq``: the
    event that announced it.
    """

    sender: str
    receiver: str
    as_path: AsPath
    next_hop: str | None
    usable: bool
    stale: bool
    told_seq: int
    begin_seq: int
    begin_ns: int
    end_seq: int | None = None
    end_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a promise held; ``reason`` says when it did not, or why nobody can tell."""

    outcome: Literal["pass", "fail", "inconclusive"]
    reason: str


class History:
    """One prefix at one receiver; give it each event in order, then :meth:`intervals`."""

    def __init__(self, receiver: str, prefix: Prefix) -> None:
        self._receiver = receiver
        self._prefix = prefix
        self._family = family_of(prefix)
        self._open: dict[Direction, Interval] = {}
        self._stale_until: dict[Direction, int] = {}
        self._closed: list[Interval] = []
        self._opens: dict[Direction, Open] = {}
        self._notified: set[frozenset[str]] = set()

    def apply(self, event: Event) -> None:
        """Take one event."""
        self._expire(event)
        direction = (event.sender_address, event.receiver_address)
        if event.kind == "update":
            if event.receiver == self._receiver and event.error is None:
                self._update(direction, event)
        elif event.kind == "open":
            message = _parsed(event)
            if isinstance(message, Open):
                self._opens[direction] = message
                self._notified.discard(frozenset(direction))
        elif event.kind == "notification":
            self._notified.add(frozenset(direction))
        elif event.kind == "down":
            for one in (direction, direction[::-1]):
                self._down(one, event)
        elif event.kind == "up":
            for one in (direction, direction[::-1]):
                self._up(one, event)

    def intervals(self) -> list[Interval]:
        """Return all intervals so far, by their beginning; those still held have no end."""
        return sorted([*self._closed, *self._open.values()], key=lambda i: (i.begin_seq, i.sender))

    def _update(self, direction: Direction, event: Event) -> None:
        announced = next((a for a in reversed(event.announced) if a.prefix == self._prefix), None)
        if announced is not None:
            self._end(direction, event)
            ases = (a for hop in announced.as_path for a in (hop if isinstance(hop, tuple) else (hop,)))
            self._open[direction] = Interval(
                sender=event.sender,
                receiver=event.receiver,
                as_path=announced.as_path,
                next_hop=announced.next_hop,
                usable=event.receiver_as not in ases,
                stale=False,
                told_seq=event.seq,
                begin_seq=event.seq,
                begin_ns=event.at_ns,
            )
        elif self._prefix in event.withdrawn or (
            direction in self._stale_until and _ends_rib(event) == self._family
        ):
            self._end(direction, event)

    def _down(self, direction: Direction, event: Event) -> None:
        held = self._open.get(direction)
        if held is None:
            return
        # A receiver that ends the session itself may have died: then it keeps nothing.
        restart = None if event.sender == self._receiver else self._restart_s(direction)
        self._end(direction, event)
        if restart is not None:
            self._open[direction] = replace(held, stale=True, begin_seq=event.seq, begin_ns=event.at_ns)
            self._stale_until[direction] = event.at_ns + restart * 1_000_000_000

    def _restart_s(self, direction: Direction) -> int | None:
        """Return the seconds for which a route of this direction stays stale; None: not at all."""
        sender, receiver = self._opens.get(direction), self._opens.get(direction[::-1])
        if frozenset(direction) in self._notified or sender is None or receiver is None:
            return None
        if sender.graceful_restart is None or receiver.graceful_restart is None:
            return None
        if self._family not in sender.graceful_restart.families:
            return None
        return sender.graceful_restart.restart_s

    def _up(self, direction: Direction, event: Event) -> None:
        """Keep a stale route only if the new OPEN says that its sender kept forwarding (RFC 4724, 4.2)."""
        if direction not in self._stale_until:
            self._end(direction, event)
            return
        opened = self._opens.get(direction)
        restart = opened.graceful_restart if opened else None
        if restart is None or not restart.families.get(self._family, False):
            self._end(direction, event)
        else:
            self._stale_until[direction] = _FOREVER  # until its End-of-RIB

    def _expire(self, event: Event) -> None:
        for direction, until in list(self._stale_until.items()):
            if until <= event.at_ns:
                self._end(direction, event, until)

    def _end(self, direction: Direction, event: Event, at_ns: int | None = None) -> None:
        self._stale_until.pop(direction, None)
        held = self._open.pop(direction, None)
        if held is not None:
            end_ns = event.at_ns if at_ns is None else at_ns
            self._closed.append(replace(held, end_seq=event.seq, end_ns=end_ns))


def held(events: Iterable[Event], receiver: str, prefix: str) -> list[Interval]:
    """Return when ``receiver`` was told which route for ``prefix``, by the beginning of each."""
    history = History(receiver, Prefix(prefix))
    for event in events:
        history.apply(event)
    return history.intervals()


def held_at(events: Iterable[Event], receiver: str, prefix: str, at_ns: int) -> list[Interval]:
    """Return what ``receiver`` held for ``prefix`` at a moment (nanoseconds since the epoch)."""
    return [
        i
        for i in held(events, receiver, prefix)
        if i.begin_ns <= at_ns and (i.end_ns is None or at_ns < i.end_ns)
    ]


def never_lost(
    events: Sequence[Event], receiver: str, prefix: str, *, since_seq: int, missed: int
) -> Verdict:
    """Tell whether ``receiver`` had a usable route for ``prefix`` at each moment after ``since_seq``.

    ``events``: all from the beginning of the capture, which make the state at that moment. ``missed``:
    packets dropped plus streams with gaps; with any, or with a message to the receiver that could not be
    read, or that tells one of several paths (ADD-PATH), nobody can tell. A stale route counts as one.
    """
    if missed:
        return Verdict("inconclusive", f"the capture missed something ({missed} drops and gaps)")
    garbled = next((e for e in events if e.error is not None and e.receiver == receiver), None)
    if garbled is not None:
        return Verdict("inconclusive", f"a message of {garbled.sender} could not be read: {garbled.error}")
    several = next(
        (e for e in events if e.add_path and e.receiver == receiver and _mentions(e, prefix)), None
    )
    if several is not None:
        what = f"{several.sender} tells several paths of {prefix} on one session (ADD-PATH)"
        return Verdict("inconclusive", f"{what}, which events do not tell apart")
    usable = [i for i in held(events, receiver, prefix) if i.usable]
    now = since_seq
    lost_ns: int | None = None
    for interval in usable:
        if interval.begin_seq > now:
            return Verdict("fail", _loss(receiver, prefix, lost_ns, interval.begin_ns))
        if interval.end_seq is None:
            return Verdict("pass", "")
        # What ends with the very event at which we begin is gone at that moment.
        if interval.end_seq > now:
            now, lost_ns = interval.end_seq, interval.end_ns
    return Verdict("fail", _loss(receiver, prefix, lost_ns, None))


def _loss(receiver: str, prefix: str, lost_ns: int | None, back_ns: int | None) -> str:
    begun = (
        "held no route at the beginning" if lost_ns is None else f"lost its last route at {_clock(lost_ns)}"
    )
    if back_ns is None:
        return f"{receiver} {begun} ({prefix}), and none came after"
    if lost_ns is None:
        return f"{receiver} {begun} ({prefix}); one came at {_clock(back_ns)}"
    return f"{receiver} {begun} ({prefix}), for {(back_ns - lost_ns) / 1e6:.3f} ms"


def _clock(at_ns: int) -> str:
    whole = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{whole:%H:%M:%S}.{at_ns % 1_000_000_000 // 1000:06d} UTC"


def timeline(events: Iterable[Event], prefix: str | None = None) -> list[str]:
    """Return a line per UPDATE about ``prefix`` (None: any) and per end or beginning of a session.

    Times are milliseconds since the first line.
    """
    lines: list[str] = []
    first_ns: int | None = None
    for event in events:
        for said in _said(event, prefix):
            first_ns = event.at_ns if first_ns is None else first_ns
            since = (event.at_ns - first_ns) / 1e6
            lines.append(f"{since:+10.3f} ms  #{event.seq:<5} {event.sender} → {event.receiver}  {said}")
    return lines


def _said(event: Event, prefix: str | None) -> list[str]:
    if event.error is not None:
        return [f"{event.kind} that cannot be read: {event.error}"]
    match event.kind:
        case "update":
            announced = [a for a in event.announced if prefix in (None, a.prefix)]
            withdrawn = [p for p in event.withdrawn if prefix in (None, p)]
            return [
                *_counted("announces", [f"{a.prefix}  {path_text(a.as_path)}" for a in announced]),
                *_counted("withdraws", [str(p) for p in withdrawn]),
            ]
        case "up":
            return ["session up"]
        case "down":
            return ["session down"]
        case "notification":
            message = _parsed(event)
            return [f"NOTIFICATION {message.name}"] if isinstance(message, Notification) else []
        case _:
            return []


def _counted(verb: str, items: list[str]) -> list[str]:
    if len(items) <= 3:
        return [f"{verb} {item}" for item in items]
    return [f"{verb} {items[0]}  and {len(items) - 1} more"]


def _mentions(event: Event, prefix: str) -> bool:
    return prefix in event.withdrawn or any(a.prefix == prefix for a in event.announced)


def _parsed(event: Event) -> object:
    try:
        return parse_message(event.raw)
    except BgpMessageError:
        return None


def _ends_rib(event: Event) -> Family | None:
    if event.announced or event.withdrawn:
        return None
    message = _parsed(event)
    return message.end_of_rib if isinstance(message, Update) else None
