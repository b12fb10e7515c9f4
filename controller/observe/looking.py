"""Gathers evidence around sites: neighbours' RIBs, the wire, probes. Blocking, each part with its deadline.

Nothing here raises for what cannot be seen: it stands in the evidence as no data, or as an answer that makes
no sense. Sites' routers are never asked: a speaker's own word is not an observation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from controller.bgp import Family, Prefix, family_of
from controller.observe.adjacencies import Adjacencies
from controller.observe.elsewhere import Held, held
from controller.observe.errors import CaptureError, ObserveError
from controller.observe.evidence import Kind, Moment, Probed, Sight
from controller.observe.inventory import Inventory, InventoryError, read_inventory
from controller.observe.probes import Link, links, probe_sites
from controller.observe.readers import (
    ReaderError,
    ReaderUnreachableError,
    Session,
    read_node,
    sessions,
)
from controller.observe.rib import RibRow
from controller.observe.stream import CaptureStream

DEADLINE_S = 5.0
CATCH_UP_S = 30.0
"""Seconds within which a capture must have told all that it keeps: at first that may be a million events."""
AT_ONCE = 16
_ALL: frozenset[Kind] = frozenset({"rib", "wire", "probe"})

log = structlog.get_logger()

ReadRib = Callable[[Inventory, str], Sequence[RibRow]]
"""Reads one router's whole Loc-RIB; raises ReaderError."""


def _read_rib(inventory: Inventory, node: str) -> Sequence[RibRow]:
    return read_node(inventory, node, deadline_s=DEADLINE_S)


class Wire:
    """Follows a capture from its beginning; what it lets go or misses makes it of no use, and it says so."""

    def __init__(self) -> None:
        self._path = ""
        self._stream: CaptureStream | None = None
        self._adjacencies = Adjacencies()

    def read(self, socket_path: str) -> tuple[Adjacencies | None, str]:
        """Return the sessions' state by all that was sent before this call; or None, and why not."""
        if socket_path != self._path:
            self.close()
        try:
            if self._stream is None:
                self._adjacencies = Adjacencies()
                self._stream = CaptureStream(socket_path, answer_within=CATCH_UP_S)
                self._stream.subscribe(0)
                self._path = socket_path
            stats = self._stream.sync()
            for event in self._stream.read_available():
                self._adjacencies.apply(event)
            missed = stats.dropped + stats.gaps + self._stream.let_go
        except CaptureError as error:
            self.close()
            return None, str(error)
        if missed:
            return None, f"the capture has missed {missed} packets or events: who holds what cannot be told"
        return self._adjacencies, ""

    def close(self) -> None:
        """End the connection; the next reading begins anew."""
        if self._stream is not None:
            self._stream.close()
        self._stream, self._path = None, ""


class Looker:
    """Looks around sites by an inventory, which is read anew each time. One look at a time."""

    def __init__(self, inventory: Path, *, read_rib: ReadRib = _read_rib) -> None:
        self._path = inventory
        self._read_rib = read_rib
        self._wire = Wire()
        self._lock = threading.Lock()

    def look(
        self,
        sites: Sequence[str],
        touched: Collection[Prefix],
        targets: Mapping[Prefix, str],
        mine: frozenset[Prefix] = frozenset(),
    ) -> Moment:
        """Return sights and probes of ``sites`` now.

        ``touched``: the prefixes that are being changed, not counted in totals; ``targets``: prefix → address
        to probe in it; ``mine``: those of the account that is changed.
        """
        with self._lock:
            try:
                inventory = read_inventory(self._path)
                around = [link for s in inventory.sites if s.name in sites for link in links(inventory, s)]
            except InventoryError as error:
                log.warning("nobody can look", reason=str(error))
                return Moment(kinds=_ALL)
            kinds: set[Kind] = {"rib"}
            sights = self._ribs(inventory, around, touched)
            probes: list[Probed] = []
            if inventory.capture_socket:
                kinds |= {"wire", "probe"}
                sights += self._on_the_wire(inventory, around)
                probes = _probes(inventory, sites, targets, mine)
            return Moment((), tuple(sights), tuple(probes), frozenset(kinds))

    def probe(self, sites: Sequence[str], targets: Mapping[Prefix, str]) -> Sequence[Probed]:
        """Return probes of ``targets`` (prefix → address) from neighbours of ``sites``; none: no data."""
        with self._lock:
            try:
                inventory = read_inventory(self._path)
            except InventoryError as error:
                log.warning("nobody can look", reason=str(error))
                return ()
            return _probes(inventory, sites, targets, frozenset()) if inventory.capture_socket else ()

    def held_elsewhere(self, prefixes: Collection[Prefix]) -> tuple[Held, ...]:
        """Return what all routers of others hold of ``prefixes``; one that does not answer is left out."""
        with self._lock:
            try:
                inventory = read_inventory(self._path)
            except InventoryError as error:
                log.warning("nobody can look", reason=str(error))
                return ()
            ours = frozenset(site.router for site in inventory.sites)
            names = sorted(node.name for node in inventory.routers())

            def one(node: str) -> Held | None:
                try:
                    return held(node, self._read_rib(inventory, node), ours, prefixes)
                except ReaderError as error:
                    log.warning("a router does not tell what it holds", node=node, reason=str(error))
                    return None

            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look") as pool:
                return tuple(h for h in pool.map(one, names) if h is not None)

    def close(self) -> None:
        """Let go of the capture."""
        with self._lock:
            self._wire.close()

    def _ribs(self, inventory: Inventory, around: Sequence[Link], touched: Collection[Prefix]) -> list[Sight]:
        routers = {site.name: site.router for site in inventory.sites}
        names = sorted({link.observer for link in around})
        if not names:
            return []
        with ThreadPoolExecutor(min(AT_ONCE, len(names)), thread_name_prefix="look") as pool:
            told = dict(zip(names, pool.map(lambda n: self._one_rib(inventory, n), names), strict=True))
        return [_rib_sight(link, routers[link.site], told[link.observer], touched) for link in around]

    def _one_rib(self, inventory: Inventory, node: str) -> _RibTold | ReaderError:
        try:
            return _RibTold(
                list(self._read_rib(inventory, node)), sessions(inventory, node, deadline_s=DEADLINE_S)
            )
        except ReaderError as error:
            return error

    def _on_the_wire(self, inventory: Inventory, around: Sequence[Link]) -> list[Sight]:
        routers = {site.name: site.router for site in inventory.sites}
        adjacencies, why = self._wire.read(inventory.capture_socket)
        if adjacencies is None:
            return [Sight("wire", k.observer, k.site, k.family, "silent", why) for k in around]
        return [adjacencies.sight(routers[k.site], k.site, k.observer, k.family) for k in around]


class _RibTold:
    def __init__(self, rows: list[RibRow], known: list[Session]) -> None:
        self.rows = rows
        self.sessions = known


def _rib_sight(link: Link, router: str, told: _RibTold | ReaderError, touched: Collection[Prefix]) -> Sight:
    def blank(state: str, why: str) -> Sight:
        return Sight(
            "rib", link.observer, link.site, link.family, "garbled" if state == "garbled" else "silent", why
        )

    if isinstance(told, ReaderUnreachableError):
        return blank("silent", str(told))
    if isinstance(told, ReaderError):
        return blank("garbled", str(told))
    six = link.family is Family.IPV6
    states = [s for s in told.sessions if s.node == router and (":" in s.neighbour) == six]
    if not any(s.established for s in states):
        state = states[0].state if states else "not configured"
        return blank("silent", f"{link.observer} has no {link.family.value} session with {router}: {state}")
    mine = [row for row in told.rows if family_of(row.prefix) is link.family]
    return Sight(
        "rib",
        link.observer,
        link.site,
        link.family,
        holds={row.prefix: row.as_path for row in mine if row.from_ == router},
        total=len({row.prefix for row in mine}.difference(touched)),
    )


def _probes(
    inventory: Inventory, sites: Sequence[str], targets: Mapping[Prefix, str], mine: frozenset[Prefix]
) -> list[Probed]:
    try:
        return probe_sites(inventory, sites, targets, mine=mine)
    except (ObserveError, InventoryError) as error:
        log.warning("no probe could be sent", reason=str(error))
        return [
            Probed("", site, p, "unsent", "unsent", mine=p in mine, why=str(error))
            for site in sites
            for p in targets
        ]
