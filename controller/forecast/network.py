"""The routers that will hunt, as far as their RIBs tell (pure).

A session shows in a RIB only where it brought a route. Where it did not, the route may have been dropped for
the receiver's own AS in its path (RFC 4271, 9.1.2), or never sent: by policy, or because the route came from
there. The first is assumed of whoever is seen to pass the prefix on to anybody, the second of everybody else.

Where routers mark routes by whose they are (a community of their own: ``AS:1`` a customer's, ``:2`` a peer's,
``:3`` a provider's), the contracts are known, and with them what is liked best and who is told of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from controller.bgp import AsPath
from controller.errors import HeraldError
from controller.observe.rib import RibRow

KEEPS_OLDEST = frozenset({"frr", "gobgp"})
"""Daemons that stay with the older of two routes that are equal up to there; others take the lower id."""

AVOIDS_LOOPS = frozenset({"gobgp"})
"""Daemons that do not send a route to whoever's AS is in its path."""


class NothingAnnouncedError(HeraldError):
    """No router has a route from any of our sites: there is nothing to foretell."""


Contract = Literal["customer", "peer", "provider"]
"""What a neighbour is."""


@dataclass(frozen=True, slots=True)
class Router:
    """A router before the withdrawal.

    ``asn`` None: nobody has a route from it, so it never matters. ``routes``: neighbour → path, as received,
    the oldest first. ``tells``: the neighbours that it passes routes on to. ``prefers``: neighbours whose
    routes it takes whatever their length, as its choice shows. ``origin``: it has the prefix itself.
    ``contracts``: what each neighbour is to it, where that is known.
    """

    name: str
    daemon: str
    asn: int | None = None
    routes: Mapping[str, AsPath] = field(default_factory=dict)
    best: str | None = None
    tells: tuple[str, ...] = ()
    prefers: frozenset[str] = frozenset()
    origin: bool = False
    contracts: Mapping[str, Contract] = field(default_factory=dict)


CONTRACTS: Mapping[int, Contract] = {1: "customer", 2: "peer", 3: "provider"}
"""The mark that a router puts on a route, and what it says of the neighbour."""

LIKED: Sequence[Contract | None] = ("customer", "peer", None, "provider")
"""Whose routes are liked best, by common policy."""

_REVERSED: Mapping[Contract, Contract] = {"customer": "provider", "peer": "peer", "provider": "customer"}

Network = Mapping[str, Router]
"""All routers by name, in the order of their identifiers."""


def network(
    rows: Sequence[RibRow],
    *,
    neighbours: Mapping[str, Collection[str]],
    daemons: Mapping[str, str],
    origins: Collection[str],
) -> Network:
    """Return the routers as the rows of their Loc-RIBs about one prefix show them.

    ``neighbours``: each router's, by its links; ``daemons``: what runs where; ``origins``: our sites'
    routers, whose RIBs say nothing. Raises :class:`NothingAnnouncedError` when nobody has a
    route from an origin.
    """
    brought: dict[str, dict[str, RibRow]] = {name: {} for name in neighbours}
    for row in rows:
        if row.from_ is not None and row.node in brought:
            brought[row.node][row.from_] = row
    ases = _ases(rows)
    contracts = _contracts(rows, ases)
    if not set(origins) & ases.keys():
        raise NothingAnnouncedError("no router has a route from one of our sites")
    found = {}
    for name in neighbours:
        routes = {sender: row.as_path for sender, row in brought[name].items()}
        best = next((sender for sender, row in brought[name].items() if row.best), None)
        found[name] = Router(
            name=name,
            daemon=daemons.get(name, ""),
            asn=ases.get(name),
            routes=routes,
            best=best,
            tells=tuple(contracts[name])
            if name in contracts and name not in origins
            else _tells(name, brought, neighbours[name], ases, origins),
            prefers=frozenset() if name in contracts else _prefers(routes, best),
            origin=name in origins,
            contracts=contracts.get(name, {}),
        )
    return found


def _contracts(rows: Sequence[RibRow], ases: Mapping[str, int]) -> dict[str, dict[str, Contract]]:
    """What neighbours are to each router, by its own marks on routes, else by theirs."""
    marked = [
        (row.node, row.from_, contract) for row, contract in _marked(rows, ases) if row.from_ is not None
    ]
    found: dict[str, dict[str, Contract]] = {}
    for node, neighbour, contract in marked:
        found.setdefault(node, {})[neighbour] = contract
    for node, neighbour, contract in marked:
        found.setdefault(neighbour, {}).setdefault(node, _REVERSED[contract])
    return found


def _marked(rows: Sequence[RibRow], ases: Mapping[str, int]) -> Iterator[tuple[RibRow, Contract]]:
    """The rows of routers that mark every route by one AS, which is their own as far as anybody knows it."""
    marks = {id(row): dict(_marks(row)) for row in rows}
    by_node: dict[str, list[RibRow]] = {}
    for row in rows:
        by_node.setdefault(row.node, []).append(row)
    for node, its in by_node.items():
        common = set.intersection(*(set(marks[id(row)]) for row in its))
        asn = ases.get(node, min(common, default=0))
        if asn in common:
            yield from ((row, marks[id(row)][asn]) for row in its)


def _marks(row: RibRow) -> Iterator[tuple[int, Contract]]:
    for community in row.communities:
        asn, _, mark = community.partition(":")
        if asn.isdecimal() and mark.isdecimal() and int(mark) in CONTRACTS:
            yield int(asn), CONTRACTS[int(mark)]


def may_tell(router: Router, best: str | None, neighbour: str) -> bool:
    """Tell whether contracts let a router pass the route from ``best`` on to a neighbour (valley-free)."""
    if not router.contracts or router.origin:
        return True
    return "customer" in (router.contracts.get(neighbour), router.contracts.get(best or ""))


def _ases(rows: Iterable[RibRow]) -> dict[str, int]:
    """Whose routes begin with which AS: a sender puts its own in front (RFC 4271, 5.1.2)."""
    return {
        row.from_: row.as_path[0]
        for row in rows
        if row.from_ is not None and row.as_path and isinstance(row.as_path[0], int)
    }


def _tells(
    name: str,
    brought: Mapping[str, Mapping[str, RibRow]],
    neighbours: Collection[str],
    ases: Mapping[str, int],
    origins: Collection[str],
) -> tuple[str, ...]:
    seen = [other for other in neighbours if name in brought.get(other, {})]
    if not seen or name in origins:
        return tuple(seen)
    best = next((row for row in brought[name].values() if row.best), None)
    if best is None:
        return tuple(seen)
    # Sent and dropped, or not sent because it came from there: neither says that policy forbids it.
    hidden = {
        other
        for other in neighbours
        if other not in origins and (other == best.from_ or ases.get(other) in _flat(best.as_path))
    }
    return tuple(other for other in neighbours if other in hidden or other in seen)


def _prefers(routes: Mapping[str, AsPath], best: str | None) -> frozenset[str]:
    if best is None or len(routes[best]) <= min(map(len, routes.values())):
        return frozenset()
    return frozenset({best})


def _flat(path: AsPath) -> set[int]:
    return {asn for hop in path for asn in (hop if isinstance(hop, tuple) else (hop,))}


def holds_itself(router: Router, path: AsPath) -> bool:
    """Tell whether a path has the router's own AS in it, so that it must not be used."""
    return router.asn is not None and router.asn in _flat(path)
