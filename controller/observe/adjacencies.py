"""All sessions' Adj-RIBs-In at once, by what was on the wire (pure): who holds what from whom, now.

As :mod:`controller.observe.holding`, for every prefix: the end of a session empties what it brought, and
until it is up again nobody can tell what its receiver holds from its sender.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.bgp import AsPath, Family, Prefix, family_of
from controller.observe.event import Event
from controller.observe.evidence import Sight

_Direction = tuple[str, str]


class Adjacencies:
    """Give it each event in the order of capture."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._routes: dict[_Direction, dict[Prefix, AsPath]] = {}
        self._ends: dict[_Direction, tuple[str, str]] = {}  # sender's and receiver's names
        self._up: set[_Direction] = set()
        self._unread: dict[_Direction, str] = {}
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take one event."""
        way = (event.sender_address, event.receiver_address)
        if event.kind == "update":
            self._update(way, event)
        elif event.kind in ("up", "down"):
            names = (event.sender, event.receiver)
            for one, ends in ((way, names), (way[::-1], names[::-1])):
                self._ends[one] = ends
                self._routes[one] = {}
                self._unread.pop(one, None)
                if event.kind == "up":
                    self._up.add(one)
                else:
                    self._up.discard(one)

    def _update(self, way: _Direction, event: Event) -> None:
        if event.error is not None:
            self._unread[way] = f"an UPDATE from {event.sender} could not be read: {event.error}"
            return
        routes = self._routes.setdefault(way, {})
        for prefix in event.withdrawn:
            routes.pop(prefix, None)
        for announced in event.announced:
            routes[announced.prefix] = announced.as_path

    def sight(self, router: str, site: str, observer: str, family: Family) -> Sight:
        """Return what ``observer`` holds from ``router`` (the site's) over their session of one family."""
        blank = Sight("wire", observer, site, family, "silent")
        six = family is Family.IPV6
        ways = [w for w, ends in self._ends.items() if ends == (router, observer) and (":" in w[0]) == six]
        up = [w for w in ways if w in self._up]
        if not up:
            why = "is down" if ways else "was never seen to come up"
            return _with(blank, f"the {family.value} session of {router} and {observer} {why}")
        unread = next((self._unread[w] for w in up if w in self._unread), "")
        if unread:
            return Sight("wire", observer, site, family, "garbled", unread)
        holds: dict[Prefix, AsPath] = {}
        for way in up:
            holds |= {p: path for p, path in self._routes[way].items() if family_of(p) is family}
        # A message that takes a route away is no source that shrinks: no total to compare.
        return Sight("wire", observer, site, family, holds=holds)


def _with(sight: Sight, why: str) -> Sight:
    return Sight(sight.kind, sight.observer, sight.site, sight.family, sight.state, why)
