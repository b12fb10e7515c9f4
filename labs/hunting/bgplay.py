"""A hunt as BGPlay reads it: the JSON of its data source (pure).

BGPlay counts in seconds, and a hunt is over within one. So a millisecond of the hunt is a second here, from
the second of t0 on; ``slower`` says so. A source is a router: what it tells is the path that it uses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from controller.bgp import AsPath, Prefix
from controller.observe.event import Event
from labs.hunting.told import Told, flat

SLOWER = 1000


class Node(msgspec.Struct, frozen=True):
    """An AS; ``owner``: the routers that it has here."""

    as_number: int
    owner: str


class Source(msgspec.Struct, frozen=True):
    """A router that tells which path it uses."""

    id: str
    as_number: int


class Target(msgspec.Struct, frozen=True):
    """The prefix."""

    prefix: Prefix


class State(msgspec.Struct, frozen=True):
    """The path that a source used at the beginning."""

    source_id: str
    target_prefix: Prefix
    path: tuple[int, ...]
    community: tuple[str, ...] = ()


class Attributes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an event is about; ``path`` is empty for a withdrawal."""

    source_id: str
    target_prefix: Prefix
    path: tuple[int, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """From ``timestamp`` (slowed, in seconds since the Unix epoch) on a source uses another path, or none."""

    timestamp: int
    type: str
    attrs: Attributes


class BgPlay(msgspec.Struct, frozen=True):
    """What BGPlay's data source answers."""

    resource: Prefix
    query_starttime: int
    query_endtime: int
    slower: int
    nodes: tuple[Node, ...]
    sources: tuple[Source, ...]
    targets: tuple[Target, ...]
    initial_state: tuple[State, ...]
    events: tuple[Change, ...]


def bgplay(
    before: Iterable[Event], updates: Sequence[Event], *, prefix: Prefix, origins: Collection[str], t0_ns: int
) -> BgPlay:
    """Return a hunt; ``updates``: those about ``prefix`` from t0 on, ``before``: all until then."""
    told = Told(prefix, origins, before)
    now = {node: _ases(told.uses(node)) for node in told.senders() if node not in origins}
    initial = dict(now)
    begin = t0_ns // 1_000_000_000
    changes: list[Change] = []
    for event in updates:
        told.apply(event)
        node = event.sender
        path = _ases(told.uses(node))
        if node in origins or path == now.get(node, ()):
            continue
        now[node] = path
        at = begin + (event.at_ns - t0_ns) * SLOWER // 1_000_000_000
        changes.append(Change(at, "A" if path else "W", Attributes(node, prefix, path)))
    paths = [*initial.values(), *(change.attrs.path for change in changes)]
    names: dict[int, list[str]] = {asn: [] for path in paths for asn in path}
    for node, asn in sorted(told.ases().items()):
        names.setdefault(asn, []).append(node)
    return BgPlay(
        resource=prefix,
        query_starttime=begin,
        query_endtime=max((change.timestamp for change in changes), default=begin) + 1,
        slower=SLOWER,
        nodes=tuple(Node(asn, ", ".join(owners)) for asn, owners in sorted(names.items())),
        sources=tuple(Source(node, told.ases()[node]) for node in sorted(now)),
        targets=(Target(prefix),),
        initial_state=tuple(State(node, prefix, path) for node, path in sorted(initial.items()) if path),
        events=tuple(changes),
    )


def _ases(path: AsPath | None) -> tuple[int, ...]:
    """Return a path as a list of ASes; those of an AS_SET in order."""
    return tuple(asn for hop in path or () for asn in sorted(flat((hop,))))
