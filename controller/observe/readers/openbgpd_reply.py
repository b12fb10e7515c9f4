"""What ``bgpctl -j`` prints (pure; seen with OpenBGPD 7.7)."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from controller.bgp import Prefix
from controller.observe.readers.session import Session
from controller.observe.readers.source import Source
from controller.observe.rib import RibRow

_T = TypeVar("_T")

_LOCAL = "LOCAL"


class _Neighbour(msgspec.Struct):
    remote_addr: str
    description: str = ""


class _Path(msgspec.Struct):
    prefix: str
    aspath: str
    exit_nexthop: str
    neighbor: _Neighbour
    valid: bool = False
    best: bool = False
    announced: bool = False
    communities: list[str] = []
    large_communities: list[str] = []


class _Rib(msgspec.Struct):
    rib: list[_Path] | None = None


class _Peer(msgspec.Struct):
    remote_addr: str
    state: str


class _Peers(msgspec.Struct):
    neighbors: list[_Peer]


def read_rib(source: Source, prefix: Prefix | None, text: bytes) -> list[RibRow]:
    """Read ``show rib detail [PREFIX]``; an empty object means that there is no route.

    ``exit_nexthop`` is the next hop as received. A path that is not ``valid`` (our own AS in its path, or
    no way to its next hop) is no candidate. For a whole address bgpctl answers with what covers it, which
    is left out.
    """
    answer = _decode(source, text, _Rib, "an object with a rib")
    if answer.rib is None:
        if msgspec.json.decode(text) != {}:
            raise source.garbled("an object with a rib", text)
        return []
    rows = [
        source.row(
            path.prefix,
            best=path.best,
            as_path=source.as_path(path.aspath),
            next_hop=source.next_hop([path.exit_nexthop]),
            communities=tuple(source.community(c) for c in [*path.communities, *path.large_communities]),
            neighbour=None if _is_local(path) else source.address(path.neighbor.remote_addr),
        )
        for path in answer.rib
        if path.valid
    ]
    return rows if prefix is None else [row for row in rows if row.prefix == prefix]


def read_sessions(source: Source, text: bytes) -> list[Session]:
    """Read ``show summary``."""
    peers = _decode(source, text, _Peers, "an object with neighbors").neighbors
    addresses = [source.address(peer.remote_addr) for peer in peers]
    return [
        Session(address, source.owners.get(address), peer.state, established=peer.state == "Established")
        for address, peer in zip(addresses, peers, strict=True)
    ]


def _is_local(path: _Path) -> bool:
    return path.announced and path.neighbor.description == _LOCAL


def _decode(source: Source, text: bytes, kind: type[_T], expected: str) -> _T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise source.garbled(f"{expected} ({error})", text) from error
