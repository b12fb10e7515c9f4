"""Routers that exchange UPDATEs about one prefix until all is still (pure; chance comes from outside).

How long a hunt is depends on when routers speak: what reaches one before it gets to speak is weighed
together, and the paths in between are never announced. So the model has what makes messages gather: a message
waits while an earlier one on its connection is not acknowledged (Nagle's algorithm with delayed
acknowledgements; a message in the other direction acknowledges, too), routers share their host's processors,
some daemons gather changes before they speak, and some wait between announcements (MRAI; RFC 4271, 9.2.1.1).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from controller.bgp import AsPath
from controller.forecast.network import (
    AVOIDS_LOOPS,
    KEEPS_OLDEST,
    LIKED,
    Network,
    Router,
    holds_itself,
    may_tell,
)

TRAVEL_S = 0.0003
"""Seconds, at most, that an UPDATE is under way on a link without delay."""

Chance = Callable[[], float]
"""Draws from [0, 1)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon a daemon speaks: ``gathers_s`` after a change; announcements ``mrai_s`` apart (seconds)."""

    gathers_s: float = 0.0
    mrai_s: float = 0.0


PACES: Mapping[str, Pace] = {"frr": Pace(gathers_s=0.05)}
"""Measured: FRR's update groups wait 50 ms; the others speak at once. None has an MRAI unless told to."""


@dataclass(frozen=True, slots=True)
class Host:
    """What all routers run on.

    ``ack_s``: seconds until an acknowledgement comes by itself (Linux: 40 ms; with ``quickack`` 0);
    ``work_s``: seconds that a router needs for what it has read, on one of ``cores``.

    The defaults are fitted to idle cliques of BIRDs on two processors, and to nothing else.
    """

    ack_s: float = 0.04
    work_s: float = 0.0001
    cores: int = 2


@dataclass(frozen=True, slots=True)
class Spoken:
    """One UPDATE as sent; ``path`` None: a withdrawal."""

    at_s: float
    sender: str
    receiver: str
    path: AsPath | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to: every UPDATE in order, and each router's choice at the end (None: no route)."""

    spoken: tuple[Spoken, ...]
    final: Mapping[str, AsPath | None]


@dataclass(slots=True)
class _Way:
    """One direction of a session."""

    queue: list[AsPath | None] = field(default_factory=list)
    free_at: float = 0.0
    leaves_at: float | None = None
    quiet_until: float = 0.0  # MRAI


class _State:
    """One router's state in a run."""

    def __init__(self, router: Router, network: Network) -> None:
        self.router = router
        self.routes = dict(router.routes)  # insertion order is age
        self.best = router.best
        self.withdrawn = False
        self.told: dict[str, AsPath] = {}
        self.speaks_at: float | None = None
        self.inbox: list[tuple[str, list[AsPath | None]]] = []
        self._order = {name: i for i, name in enumerate(network)}
        if (path := self.own_path()) is not None:
            self.told = {n: path for n in router.tells if self._may_tell(n, path, network)}

    def own_path(self) -> AsPath | None:
        """The path that it tells others."""
        asn = self.router.asn
        if asn is None:
            return None
        if self.router.origin:
            return None if self.withdrawn else (asn,)
        return None if self.best is None else (asn, *self.routes[self.best])

    def _may_tell(self, neighbour: str, path: AsPath, network: Network) -> bool:
        if neighbour == self.best or not may_tell(self.router, self.best, neighbour):
            return False  # it came from there, or is none of the neighbour's business
        receiver = network[neighbour]
        return not (self.router.daemon in AVOIDS_LOOPS and holds_itself(receiver, path))

    def wanted(self, network: Network) -> dict[str, AsPath]:
        """What its neighbours are to have from it now."""
        path = self.own_path()
        if path is None:
            return {}
        return {n: path for n in self.router.tells if self._may_tell(n, path, network)}

    def take(self, sender: str, path: AsPath | None) -> None:
        """Take one UPDATE into the Adj-RIB-In."""
        self.routes.pop(sender, None)
        if path is not None and not holds_itself(self.router, path):
            self.routes[sender] = path

    def decide(self) -> None:
        """Choose (RFC 4271, 9.1.2.2, as far as one prefix over eBGP needs it)."""
        if not self.routes:
            self.best = None
            return
        ages = list(self.routes)
        oldest = self.router.daemon in KEEPS_OLDEST

        def rank(neighbour: str) -> tuple[bool, int, int, int]:
            age = ages.index(neighbour) if oldest else self._order[neighbour]
            liked = LIKED.index(self.router.contracts.get(neighbour))
            return neighbour not in self.router.prefers, liked, len(self.routes[neighbour]), age

        self.best = min(self.routes, key=rank)


class _Run:
    def __init__(self, network: Network, chance: Chance, paces: Mapping[str, Pace], host: Host) -> None:
        self._host = host
        self._cores = [0.0] * host.cores  # until when each is at work
        self._network = network
        self._chance = chance
        self._paces = paces
        self._states = {name: _State(router, network) for name, router in network.items()}
        self._ways: dict[tuple[str, str], _Way] = {}
        self._todo: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = 0
        self._spoken: list[Spoken] = []

    def withdraw(self, at: Collection[str]) -> Outcome:
        for name in sorted(at):
            self._states[name].withdrawn = True
            self._soon(name, self._chance() * TRAVEL_S)
        while self._todo:
            now, _, do = heapq.heappop(self._todo)
            do(now)
        final = {
            name: None if state.best is None else state.routes[state.best]
            for name, state in self._states.items()
            if not state.router.origin
        }
        return Outcome(tuple(self._spoken), final)

    def _at(self, when: float, do: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._todo, (when, self._number, do))

    def _speak(self, name: str, now: float) -> None:
        """Tell each neighbour what has changed for it since it was last told."""
        state = self._states[name]
        state.speaks_at = None
        wanted = state.wanted(self._network)
        for neighbour in state.router.tells:
            path = wanted.get(neighbour)
            if path == state.told.get(neighbour):
                continue
            way = self._ways.setdefault((name, neighbour), _Way())
            if now < way.quiet_until:
                self._soon(name, way.quiet_until)
                continue
            way.quiet_until = now + self._pace(name).mrai_s
            if path is None:
                del state.told[neighbour]
            else:
                state.told[neighbour] = path
            self._spoken.append(Spoken(now, name, neighbour, path))
            way.queue.append(path)
            self._send_off((name, neighbour), max(now, way.free_at))

    def _send_off(self, ends: tuple[str, str], when: float) -> None:
        """Let what waits on a way leave at ``when``, unless it leaves earlier."""
        way = self._ways[ends]
        if way.queue and (way.leaves_at is None or when < way.leaves_at):
            way.leaves_at = when
            self._at(when, lambda now: self._leave(ends, now) if way.leaves_at == when else None)

    def _leave(self, ends: tuple[str, str], now: float) -> None:
        way = self._ways[ends]
        paths, way.queue, way.leaves_at = way.queue, [], None
        way.free_at = now + self._host.ack_s
        arrives = now + self._chance() * TRAVEL_S
        self._at(arrives, lambda at: self._arrive(*ends, paths, at))

    def _arrive(self, sender: str, receiver: str, paths: list[AsPath | None], now: float) -> None:
        back = self._ways.get((receiver, sender))
        if back is not None:  # it carries the acknowledgement of all that came before it
            back.free_at = min(back.free_at, now)
            self._send_off((receiver, sender), now)
        state = self._states[receiver]
        if state.router.origin:
            return
        if not state.inbox:  # whatever comes until it gets a processor is weighed together
            core = min(range(len(self._cores)), key=self._cores.__getitem__)
            self._cores[core] = max(now, self._cores[core]) + self._host.work_s * (0.5 + self._chance())
            self._at(self._cores[core], lambda at: self._wake(receiver, at))
        state.inbox.append((sender, paths))

    def _wake(self, name: str, now: float) -> None:
        state = self._states[name]
        for sender, paths in state.inbox:
            for path in paths:
                state.take(sender, path)
        state.inbox.clear()
        state.decide()
        if state.wanted(self._network) != state.told:
            self._soon(name, now + self._pace(name).gathers_s)

    def _soon(self, name: str, when: float) -> None:
        state = self._states[name]
        if state.speaks_at is None or when < state.speaks_at:
            state.speaks_at = when
            self._at(when, lambda now: self._speak(name, now) if state.speaks_at == when else None)

    def _pace(self, name: str) -> Pace:
        return self._paces.get(self._network[name].daemon, Pace())


def simulate(
    network: Network,
    withdrawn_at: Collection[str],
    chance: Chance,
    *,
    paces: Mapping[str, Pace] = PACES,
    host: Host = Host(),
) -> Outcome:
    """Let the origins ``withdrawn_at`` withdraw, and return what came of it."""
    return _Run(network, chance, paces, host).withdraw(withdrawn_at)
