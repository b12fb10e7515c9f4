"""One hunt from beginning to end: withdraw through the API, wait until all is at rest, put back.

What it stands on (API, capture, RIBs) comes through small protocols; :mod:`labs.hunting.real` has the real
ones. Whatever happens after the withdrawal, the prefix is left as it was found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from controller.bgp import Prefix
from controller.observe.event import CaptureStats, Event
from controller.observe.holding import Holding
from controller.observe.rib import RibRow
from controller.observe.settled import unsettled
from labs.hunting.errors import HuntError

RECHECK_S = 0.05
"""Seconds after which the state is looked at again although nothing was captured."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A prefix as it is configured: ``sites`` None means all."""

    advertised: bool
    sites: tuple[str, ...] | None = None


class Api(Protocol):
    """What a hunt asks of the Addressing API."""

    def wanted(self, prefix: Prefix) -> Wanted:
        """Return what is configured; raises HeraldError when nobody may advertise the prefix."""

    def ask(self, prefix: Prefix, wanted: Wanted, within_s: float) -> None:
        """Ask for a state and return when its change-set is done; HuntError after ``within_s`` seconds."""


class Wire(Protocol):
    """What a hunt asks of the capture."""

    def fetch(self, after: int) -> tuple[list[Event], CaptureStats]:
        """Return all events after a sequence number that were sent before this call, and the counts."""

    def wait(self, after: int, seconds: float) -> None:
        """Return when there is an event after ``after``, or after ``seconds``."""


class RibWatch(Protocol):
    """Notes when routers' RIBs or FIBs change about one prefix."""

    def begin(self) -> None:
        """Begin to look."""

    def end(self) -> list[int]:
        """Stop looking; return the times of all changes since, in nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one hunt saw: events until the trigger, events after it, RIB changes, packets missed.

    ``back``: the events while it was put back; none if it is withdrawn again. ``whole``: ``before`` has all
    since the sessions began; a capture keeps only so many. ``everywhere``: it was withdrawn at all sites.
    """

    before: tuple[Event, ...]
    events: tuple[Event, ...]
    rib_changes: tuple[int, ...]
    drops: int
    back: tuple[Event, ...] = ()
    whole: bool = True
    everywhere: bool = True


class HuntRun:
    """Carries one hunt out; ``deadline_s`` (seconds) bounds each of its waits.

    ``routers``: all that are not ours; ``sites``: our sites' names; ``say`` gets a line about each step;
    ``about_to`` gets the routers' RIBs about the prefix, at rest, before it is withdrawn.
    """

    def __init__(
        self,
        prefix: Prefix,
        *,
        routers: Collection[str],
        sites: Sequence[str],
        api: Api,
        wire: Wire,
        ribs: Callable[[Prefix], list[RibRow]],
        rib_watch: RibWatch,
        deadline_s: float = 30.0,
        say: Callable[[str], None] = lambda _line: None,
        about_to: Callable[[list[RibRow]], None] = lambda _rows: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix = prefix
        self._routers = routers
        self._sites = sites
        self._api = api
        self._wire = wire
        self._ribs = ribs
        self._rib_watch = rib_watch
        self._deadline_s = deadline_s
        self._say = say
        self._about_to = about_to
        self._clock = clock
        self._holding = Holding(prefix)
        self._events: list[Event] = []
        self._seen = 0

    def run(self, at_sites: Sequence[str] = ()) -> Record:
        """Withdraw everywhere (or only ``at_sites``), return what was seen; the prefix is back when it does.

        A prefix that is not announced is announced first, and withdrawn again in the end. Raises HuntError
        when the network does not come to rest.
        """
        found = self._api.wanted(self._prefix)
        announced = self._target(found, at_sites, advertised=True)
        target = self._target(announced, at_sites, advertised=False)
        touched = False
        try:
            if announced != found:
                self._say(f"{self._prefix} is not announced: announcing it first")
                touched = True
                self._api.ask(self._prefix, announced, self._deadline_s)
            self._until_announced()
            touched = True
            record = self._measure(target)
        finally:
            if touched:
                self._put_back(found)
        rest = self._events[len(record.before) + len(record.events) :]
        return replace(record, back=tuple(rest)) if found.advertised else record

    def _target(self, wanted: Wanted, at_sites: Sequence[str], *, advertised: bool) -> Wanted:
        unknown = sorted(set(at_sites) - set(self._sites))
        if unknown:
            raise HuntError(f"no site {unknown[0]!r}: there are {', '.join(self._sites)}")
        if advertised:
            if not wanted.advertised:
                return Wanted(advertised=True, sites=tuple(at_sites) or None)
            missing = sorted(set(at_sites) - set(self._sites if wanted.sites is None else wanted.sites))
            if missing:
                raise HuntError(f"{self._prefix} is not announced at {missing[0]}: announce it there first")
            return wanted
        if not at_sites:
            return replace(wanted, advertised=False)
        now = self._sites if wanted.sites is None else wanted.sites
        left = tuple(site for site in now if site not in at_sites)
        return Wanted(advertised=True, sites=left) if left else replace(wanted, advertised=False)

    def _measure(self, target: Wanted) -> Record:
        self._about_to([row for row in self._ribs(self._prefix) if row.prefix == self._prefix])
        stats = self._catch_up()
        before, mark = tuple(self._events), self._seen
        self._rib_watch.begin()
        changes: list[int] = []
        try:
            self._say(f"withdrawing {self._prefix}")
            self._api.ask(self._prefix, target, self._deadline_s)
            self._until_gone(mark, everywhere=not target.advertised)
        finally:
            changes = self._rib_watch.end()
        after = self._catch_up()
        return Record(
            before=before,
            events=tuple(self._events[len(before) :]),
            rib_changes=tuple(changes),
            drops=after.dropped + after.gaps - stats.dropped - stats.gaps,
            everywhere=not target.advertised,
            whole=not (stats.let_go or stats.dropped or stats.gaps),
        )

    def _put_back(self, found: Wanted) -> None:
        self._say(f"putting {self._prefix} back: {'announced' if found.advertised else 'withdrawn'}")
        self._api.ask(self._prefix, found, self._deadline_s)
        if found.advertised:
            self._until_announced()
        else:
            self._until_gone(0, everywhere=True)

    def _until_announced(self) -> None:
        """Wait until all routers have it and all is at rest.

        Some router may never get it, by its own policy: then rest is enough, at the deadline.
        """

        def lacking(rows: list[RibRow]) -> str | None:
            missing = sorted(set(self._routers) - {row.node for row in rows})
            return (
                f"{', '.join(missing)} {'has' if len(missing) == 1 else 'have'} no route" if missing else None
            )

        ends = self._clock() + self._deadline_s
        while (reason := self._unrest(lacking)) is not None:
            if self._clock() >= ends:
                if self._holding.holders() and self._unrest(lambda _rows: None) is None:
                    self._say(f"{reason}; going on without")
                    return
                raise HuntError(f"{self._prefix} is not stable after {self._deadline_s:g} s: {reason}")
            self._wire.wait(self._seen, RECHECK_S)

    def _until_gone(self, mark: int, *, everywhere: bool) -> None:
        """Wait until the prefix is gone (or, at some sites only, until all is at rest without them).

        RIBs are not read before the wire says so: reading would slow down what is being measured.
        """

        def by_wire() -> str | None:
            if mark and self._holding.last_seq <= mark:
                return "no UPDATE has left our sites"
            held = self._holding.held()
            if everywhere and held:
                return f"{held[0].sender} has not withdrawn it from {held[0].receiver}"
            return None

        def by_ribs(rows: list[RibRow]) -> str | None:
            if everywhere and rows:
                return f"{rows[0].node} still holds it from {rows[0].from_}"
            return None

        ends = self._clock() + self._deadline_s
        while (reason := self._unrest(by_ribs, by_wire)) is not None:
            if self._clock() >= ends:
                raise HuntError(
                    f"{self._prefix} is not gone after {self._deadline_s:g} s: {reason} (a stuck route?)"
                )
            self._wire.wait(self._seen, RECHECK_S)

    def _unrest(
        self,
        by_ribs: Callable[[list[RibRow]], str | None],
        by_wire: Callable[[], str | None] = lambda: None,
    ) -> str | None:
        """Return why the state is not the wanted one at rest; None when it is, and nothing came meanwhile."""
        before = self._holding.last_seq
        self._catch_up()
        if self._holding.last_seq != before:
            return "UPDATEs are still coming"
        reason = by_wire()
        if reason is not None:
            return reason
        # Looked at twice: one look would not see an UPDATE and its undoing on their way together.
        for _look in range(2):
            rows = [row for row in self._ribs(self._prefix) if row.prefix == self._prefix]
            reason = by_ribs(rows) or unsettled(rows, self._holding.held(), self._routers)
            if reason is not None:
                return reason
            self._catch_up()
            if self._holding.last_seq != before:
                return "UPDATEs are still coming"
        return None

    def _catch_up(self) -> CaptureStats:
        events, stats = self._wire.fetch(self._seen)
        for event in events:
            self._holding.apply(event)
            self._seen = max(self._seen, event.seq)
        self._events += events
        return stats
