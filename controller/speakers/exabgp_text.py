"""ExaBGP 5's command lines and answers ⇄ Herald's values (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from controller.bgp import AsPath, Family, Prefix, Route, family_of

SHOW_RIB = "show adj-rib out extensive"
"""Its JSON form leaves the attributes out (5.0.15), so the text is read."""

ROUTES_A_LINE = 500
"""Enough for full speed (100 and 6,500 a line cost the same), few enough not to hold up keepalives."""

BRACKETS = {"(": ")", "[": "]", "{": "}"}

NAMED_COMMUNITIES = {
    "no-export": "65535:65281",
    "no-advertise": "65535:65282",
    "no-export-subconfed": "65535:65283",
    "nopeer": "65535:65284",
    "no-peer": "65535:65284",
    "blackhole": "65535:666",
}
"""Communities that ExaBGP prints by name (RFC 1997, 3765, 7999)."""


@dataclass(frozen=True, slots=True)
class SentRow:
    """One line of ``show adj-rib out extensive``."""

    neighbour: str
    prefix: Prefix
    next_hop: str | None
    as_path: AsPath
    communities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Routes that one command line carries; ``withdraw`` takes them back."""

    routes: tuple[Route, ...]
    withdraw: bool

    def halves(self) -> tuple[Batch, Batch]:
        """Return the batch in two, to find the route that ExaBGP does not like."""
        middle = len(self.routes) // 2
        return replace(self, routes=self.routes[:middle]), replace(self, routes=self.routes[middle:])

    def line(self) -> str:
        """Return the command; the routes share their attributes."""
        prefixes = " ".join(r.prefix for r in self.routes)
        if self.withdraw:
            return f"withdraw attributes next-hop self nlri {prefixes}"
        first = self.routes[0]
        path = " ".join(map(str, first.as_path))
        communities = f" community [ {' '.join(first.communities)} ]" if first.communities else ""
        return f"announce attributes next-hop self as-path [ {path} ]{communities} nlri {prefixes}"


def canonical(route: Route) -> Route:
    """Return the route with its communities in one order, so that equal routes compare equal."""
    ordered = tuple(sorted(set(route.communities)))
    return route if ordered == route.communities else replace(route, communities=ordered)


def batches(routes: Iterable[Route], *, withdraw: bool) -> list[Batch]:
    """Return the routes grouped by equal attributes, at most :data:`ROUTES_A_LINE` each, in a fixed order.

    The families never share a line: ExaBGP 5.0.15 reads 192.0.2.0/24 beside an IPv6 prefix as c000:200::/24,
    and announces that.
    """
    groups: dict[tuple[Family, tuple[int, ...], tuple[str, ...]], list[Route]] = defaultdict(list)
    for route in sorted(routes):
        attributes = ((), ()) if withdraw else (route.as_path, route.communities)
        groups[(family_of(route.prefix), *attributes)].append(route)
    return [
        Batch(tuple(group[i : i + ROUTES_A_LINE]), withdraw)
        for group in groups.values()
        for i in range(0, len(group), ROUTES_A_LINE)
    ]


def parse_row(line: str) -> SentRow | None:
    """Read one line of the answer to :data:`SHOW_RIB`; None when it is not such a line.

    ``neighbor A local-ip B local-as N peer-as N router-id I family-allowed F AFI unicast PREFIX next-hop …``
    A route without ``as-path`` leaves with the local AS alone.
    """
    words = line.split()
    if len(words) < 15 or words[0] != "neighbor" or words[13] != "unicast":
        return None
    fields = dict(zip(words[2:12:2], words[3:12:2], strict=True))
    values = _attributes(words[15:])
    path = values.get("as-path")
    return SentRow(
        neighbour=words[1],
        prefix=Prefix(words[14]),
        next_hop=values["next-hop"][0] if values.get("next-hop") else None,
        as_path=_path(path) if path is not None else (int(fields["local-as"]),),
        communities=tuple(
            sorted(NAMED_COMMUNITIES.get(c, c) for c in values.get("community", ()) if c not in "[]")
        ),
    )


def _attributes(words: list[str]) -> dict[str, list[str]]:
    """Return each attribute's words, its brackets included, by its name."""
    found: dict[str, list[str]] = {}
    at = 0
    while at < len(words):
        name, start = words[at], at + 1
        at = start
        while at < len(words) and words[at] in BRACKETS:
            at = words.index(BRACKETS[words[at]], at) + 1 if BRACKETS[words[at]] in words[at:] else len(words)
        at = at if at > start else start + 1
        found[name] = words[start:at]
    return found


def _path(words: list[str]) -> AsPath:
    path: list[int | tuple[int, ...]] = []
    members: list[int] | None = None
    for word in words:
        if word in ("{", "["):
            members = []
        elif word in ("}", "]"):
            path.append(tuple(members or ()))
            members = None
        elif word.isdigit():
            (path if members is None else members).append(int(word))
    return tuple(path)
