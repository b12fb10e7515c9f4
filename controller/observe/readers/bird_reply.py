"""BIRD 2's control protocol and what it prints (pure).

A reply is lines of ``CODE-text`` (more follows) or ``CODE text`` (the last); a line that begins with a
space belongs to the code before it. Codes: 0xxx success, 1xxx data, 8xxx and 9xxx errors (BIRD's
doc/reply_codes).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from controller.bgp import Family, Prefix, family_of
from controller.observe.readers.session import Session
from controller.observe.readers.source import Source
from controller.observe.rib import RibRow

NOT_FOUND = 8001
"""``Network not found``: there is no route to that very prefix."""

_ROUTE, _TYPE, _ATTRIBUTES = 1007, 1008, 1012
_PROTOCOL, _DETAILS = 1002, 1006
_LAST = re.compile(rb"\d{4} ")
_HEAD = re.compile(
    r"(?P<net>\S+)?\s+(?P<kind>[a-z]+) \[(?P<protocol>\S+) [^\]]*?(?: from (?P<origin>[^\]\s]+))?\]"
    r"(?P<best> [*!])?(?: \(.*)?$"
)
_PAIR = re.compile(r"\(([^()]*)\)")


def complete(raw: bytearray) -> bool:
    """Tell whether a reply has come to its last line."""
    if not raw.endswith(b"\n"):
        return False
    return _LAST.match(raw, raw.rfind(b"\n", 0, len(raw) - 1) + 1) is not None


@dataclass(frozen=True, slots=True)
class Reply:
    """``lines``: (code, text) in order; ``code``: the last line's, ``said`` its text."""

    lines: tuple[tuple[int, str], ...]
    code: int
    said: str


def read_reply(source: Source, raw: bytes) -> Reply:
    """Take the framing off a reply; raises ReaderGarbledError when it is not BIRD's."""
    lines: list[tuple[int, str]] = []
    last: tuple[int, str] | None = None
    for line in raw.decode("utf-8", errors="replace").split("\n")[:-1]:
        if last is not None:
            raise source.garbled("nothing after the last line of a reply", line)
        if line.startswith("+"):
            continue  # asynchronous output, such as log lines that were asked for
        if line.startswith(" ") and lines:
            lines.append((lines[-1][0], line[1:]))
        elif re.match(r"\d{4}[ -]", line, re.ASCII):
            code, text = int(line[:4]), line[5:]
            if line[4] == " ":
                last = (code, text)
            else:
                lines.append((code, text))
        else:
            raise source.garbled("a reply code", line)
    if last is None:
        raise source.garbled("a reply with a last line", raw[-60:])
    return Reply(tuple(lines), *last)


@dataclass(slots=True)
class _Path:
    """A route being read; the lines after its head fill it."""

    prefix: str
    best: bool
    reachable: bool
    origin: str | None
    gateway: str | None = None
    kind: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    attribute: str = ""

    def describe(self, code: int, text: str) -> None:
        """Take one of the lines after the head."""
        words = text.split()
        if code == _ROUTE:
            if words[:1] == ["via"] and len(words) > 1 and self.gateway is None:
                self.gateway = words[1]
        elif code == _TYPE:
            self.kind = words[1] if words[:1] == ["Type:"] and len(words) > 1 else None
        elif text.startswith("\t\t"):  # a long list of communities goes on
            self.attributes[self.attribute] = f"{self.attributes.get(self.attribute, '')} {text.strip()}"
        else:
            name, _, value = text.strip().partition(":")
            self.attribute = name
            self.attributes[name] = value.strip()


def read_routes(source: Source, reply: Reply) -> list[RibRow]:
    """Return the BGP and static routes of ``show route all``; others (device, kernel, …) are passed over.

    Of BGP routes BIRD prints the sender only when it is not the gateway. Unreachable ones are no candidates.
    """
    return [row for path in _paths(source, reply) if (row := _row(source, path)) is not None]


def read_given(source: Source, reply: Reply) -> list[RibRow]:
    """Return the routes of ``show route … all`` with whatever BGP attributes they were given or will carry.

    For static routes, and for ``show route export``: there the AS path is as it leaves, less BIRD's own AS.
    """
    return [
        source.row(
            path.prefix,
            best=path.best,
            as_path=source.as_path(path.attributes.get("BGP.as_path", "")),
            next_hop=None,
            communities=_communities(source, path.attributes),
            neighbour=None,
        )
        for path in _paths(source, reply)
    ]


def _paths(source: Source, reply: Reply) -> Iterator[_Path]:
    path: _Path | None = None
    for code, text in reply.lines:
        if code == _ROUTE and not text.startswith("\t"):
            if text.startswith("Table "):
                continue
            if path is not None:
                yield path
            head = _HEAD.match(text)
            # The second and further routes to a prefix do not repeat it.
            net: str | None = (head["net"] if head else None) or (path.prefix if path else None)
            if head is None or net is None:
                raise source.garbled("a route", text)
            path = _Path(net, head["best"] is not None, head["kind"] != "unreachable", head["origin"])
        elif path is None or code not in (_ROUTE, _TYPE, _ATTRIBUTES):
            raise source.garbled("a route and then its attributes", f"{code} {text}")
        else:
            path.describe(code, text)
    if path is not None:
        yield path


def _row(source: Source, path: _Path) -> RibRow | None:
    if path.kind is None:
        raise source.garbled(f"the type of the route to {path.prefix}", path.attributes)
    if path.kind == "static":
        return source.row(
            path.prefix,
            best=path.best,
            as_path=(),
            next_hop=None,
            communities=_communities(source, path.attributes),
            neighbour=None,
        )
    if path.kind != "BGP" or not path.reachable:
        return None
    if "BGP.as_path" not in path.attributes or "BGP.next_hop" not in path.attributes:
        raise source.garbled(f"AS path and next hop of the route to {path.prefix}", path.attributes)
    neighbour = path.origin or path.gateway
    return source.row(
        path.prefix,
        best=path.best,
        as_path=source.as_path(path.attributes["BGP.as_path"]),
        next_hop=source.next_hop(path.attributes["BGP.next_hop"].split()),
        communities=_communities(source, path.attributes),
        neighbour=None if neighbour is None else source.address(neighbour),
    )


def _communities(source: Source, attributes: dict[str, str]) -> tuple[str, ...]:
    found = []
    for name in ("BGP.community", "BGP.large_community"):
        text = attributes.get(name, "")
        if _PAIR.sub("", text).strip():
            raise source.garbled("communities", text)
        found += [source.community(pair.replace(", ", ":").replace(",", ":")) for pair in _PAIR.findall(text)]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Protocols:
    """``sessions``: BIRD's BGP protocols; ``tables``: each family's Loc-RIB."""

    sessions: tuple[Session, ...]
    tables: dict[Family, str]


def read_protocols(source: Source, reply: Reply) -> Protocols:
    """Read ``show protocols all``.

    A family's Loc-RIB is its master table when a BGP channel is attached to that, else the table to which
    most of its BGP channels are.
    """
    sessions: list[Session] = []
    channels: dict[Family, Counter[str]] = {family: Counter() for family in Family}
    bgp, info, family = False, "", None
    for code, text in reply.lines:
        words = text.split()
        if code == _PROTOCOL:
            if len(words) < 4:
                raise source.garbled("a protocol", text)
            bgp, info, family = words[1] == "BGP", _info(words), None
        elif code == _DETAILS and bgp and words:
            if words[0] == "Channel":
                family = next((f for f in Family if words[1:] == [f.value]), None)
            elif words[0] == "Table:" and family is not None and len(words) == 2:
                channels[family][words[1]] += 1
            elif words[:2] == ["Neighbor", "address:"] and len(words) > 2:
                address = source.address(words[2])
                sessions.append(
                    Session(address, source.owners.get(address), info, established=info == "Established")
                )
    return Protocols(tuple(sessions), {f: _loc_rib(f, counts) for f, counts in channels.items() if counts})


def _info(words: list[str]) -> str:
    """Return the BGP state out of: name, protocol, table, state, since (one or two words), info."""
    states = {"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established", "Passive", "Close"}
    return next((w for w in words[4:] if w in states), words[3])


def _loc_rib(family: Family, counts: Counter[str]) -> str:
    master = "master4" if family is Family.IPV4 else "master6"
    return master if master in counts else counts.most_common(1)[0][0]


def family_question(table: str, prefix: Prefix | None) -> str:
    """Return the command for all routes of a table, or those to one prefix."""
    return f"show route all {prefix + ' ' if prefix else ''}table {table}"


def wanted(tables: dict[Family, str], prefix: Prefix | None) -> list[str]:
    """Return the tables in which ``prefix`` (None: any) can be."""
    return [table for family, table in tables.items() if prefix is None or family is family_of(prefix)]
