"""FRR's vty framing and the JSON of its bgpd (pure; seen with FRR 8.4).

A command ends with a zero byte; the answer is text, three zero bytes and a status byte (0: success).
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from controller.bgp import AsPath, Prefix
from controller.observe.readers.session import Session
from controller.observe.readers.source import Source
from controller.observe.rib import RibRow

_T = TypeVar("_T")

_TRAILER = 4


class _Segment(msgspec.Struct):
    type: str
    numbers: list[Annotated[int, msgspec.Meta(ge=0, lt=2**32)]] = msgspec.field(name="list")


class _AsPath(msgspec.Struct):
    segments: list[_Segment]


class _NextHop(msgspec.Struct):
    ip: str | None = None


class _Peer(msgspec.Struct):
    peerId: str  # noqa: N815


class _Names(msgspec.Struct):
    names: list[str] = msgspec.field(name="list")


class _Best(msgspec.Struct):
    overall: bool = False


class _Path(msgspec.Struct):
    aspath: _AsPath
    peer: _Peer
    nexthops: list[_NextHop]
    valid: bool = False
    removed: bool = False
    history: bool = False
    sourced: bool = False
    local: bool = False
    bestpath: _Best = msgspec.field(default_factory=_Best)
    community: _Names | None = None
    largeCommunity: _Names | None = None  # noqa: N815


class _Destination(msgspec.Struct):
    prefix: str | None = None
    paths: list[_Path] | None = None


class _Table(msgspec.Struct):
    routes: dict[str, Any]


class _SummaryPeer(msgspec.Struct):
    state: str


class _Summary(msgspec.Struct):
    peers: dict[str, _SummaryPeer] = {}


def complete(raw: bytearray) -> bool:
    """Tell whether an answer has its trailer."""
    return len(raw) >= _TRAILER and raw[-_TRAILER:-1] == b"\0\0\0"


def read_answer(source: Source, question: str, raw: bytes) -> bytes:
    """Take the trailer off; raises ReaderRefusedError when the status says that the command failed."""
    if not complete(bytearray(raw)):
        raise source.garbled("an answer with its status", raw[-60:])
    text, status = raw[:-_TRAILER], raw[-1]
    if status:
        raise source.refused(question, text.decode("utf-8", errors="replace"))
    return text


def read_table(source: Source, text: bytes) -> list[RibRow]:
    """Read ``show bgp … json detail``: each prefix has a list, its head first, then the paths."""
    table = _decode(source, text, _Table, "an object with routes")
    rows: list[RibRow] = []
    for prefix, found in table.routes.items():
        # Newer versions give an object with ``paths`` instead of the list.
        items = found.get("paths") if isinstance(found, dict) else found
        if not isinstance(items, list):
            raise source.garbled(f"the paths to {prefix}", found)
        for item in items:
            if isinstance(item, dict) and "aspath" not in item and "prefix" in item:
                continue
            rows += _rows(source, prefix, [_convert(source, item)])
    return rows


def read_destination(source: Source, prefix: Prefix, text: bytes) -> list[RibRow]:
    """Read ``show bgp … PREFIX json``: an object with ``paths``, or an empty one when there is no route."""
    destination = _decode(source, text, _Destination, "an object with paths")
    if destination.prefix is None and destination.paths is None:
        if msgspec.json.decode(text) != {}:
            raise source.garbled(f"the paths to {prefix}", text)
        return []
    if destination.prefix is None or destination.paths is None:
        raise source.garbled(f"the paths to {prefix}", text)
    if source.prefix(destination.prefix) != prefix:
        return []
    return _rows(source, prefix, destination.paths)


def read_sessions(source: Source, text: bytes) -> list[Session]:
    """Read ``show bgp summary json``: per family, peers with their states.

    A peer of several families is established when it is in each.
    """
    families = _decode(source, text, dict[str, Any], "an object of families")
    states: dict[str, str] = {}
    for family in families.values():
        try:
            summary = msgspec.convert(family, _Summary)
        except msgspec.ValidationError as error:
            raise source.garbled(f"a summary of peers ({error})", family) from error
        for peer, found in summary.peers.items():
            address = source.address(peer)
            if states.get(address, "Established") == "Established":
                states[address] = found.state
    return [
        Session(address, source.owners.get(address), state, established=state == "Established")
        for address, state in states.items()
    ]


def _rows(source: Source, prefix: str, paths: list[_Path]) -> list[RibRow]:
    """Return the eligible paths; one without ``valid`` has no next hop that can be reached."""
    rows = []
    for path in paths:
        if not path.valid or path.removed or path.history:
            continue
        names = [*(path.community.names if path.community else [])]
        names += path.largeCommunity.names if path.largeCommunity else []
        own = path.sourced or path.local
        rows.append(
            source.row(
                prefix,
                best=path.bestpath.overall,
                as_path=_as_path(source, path.aspath),
                next_hop=source.next_hop([hop.ip for hop in path.nexthops if hop.ip is not None]),
                communities=tuple(source.community(name) for name in names),
                neighbour=None if own else source.address(path.peer.peerId),
            )
        )
    return rows


def _as_path(source: Source, path: _AsPath) -> AsPath:
    found: list[int | tuple[int, ...]] = []
    for segment in path.segments:
        if segment.type.endswith("sequence"):
            found += segment.numbers
        elif segment.type.endswith("set"):
            found.append(tuple(segment.numbers))
        else:
            raise source.garbled("an AS path segment", segment.type)
    return tuple(found)


def _convert(source: Source, item: object) -> _Path:
    try:
        return msgspec.convert(item, _Path)
    except msgspec.ValidationError as error:
        raise source.garbled(f"a path ({error})", item) from error


def _decode(source: Source, text: bytes, kind: type[_T], expected: str) -> _T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise source.garbled(f"{expected} ({error})", text) from error
