"""Reads RPSL objects (RFC 2622, 2) and route objects among them (RFC 2622, 4; RFC 4012, 3); pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from controller.bgp import Prefix, PrefixError, parse_prefix
from controller.validation.errors import RpslError

NAME = re.compile(r"\*?([A-Za-z][A-Za-z0-9_-]*)\s*:(.*)", re.ASCII | re.DOTALL)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
ORIGIN = re.compile(r"AS([0-9]{1,10})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RpslObject:
    """``attributes``: (name in lower case, value) in order; the first names the object's class."""

    attributes: tuple[tuple[str, str], ...]

    @property
    def kind(self) -> str:
        """The object's class: ``route``, ``mntner``, …"""
        return self.attributes[0][0]

    def values(self, name: str) -> tuple[str, ...]:
        """Return all values of an attribute."""
        return tuple(value for found, value in self.attributes if found == name)


@dataclass(frozen=True, slots=True)
class RouteObject:
    """A ``route`` or ``route6`` object: ``origin`` may originate ``prefix``, says ``source``."""

    prefix: Prefix
    origin: int
    source: str
    maintainers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def evidence(self) -> dict[str, object]:
        """Return it as the API shows it."""
        return {
            "prefix": self.prefix,
            "origin": self.origin,
            "source": self.source,
            "mnt_by": list(self.maintainers),
        }


def read_objects(text: str) -> Iterator[RpslObject]:
    """Give the objects in ``text``, which blank lines part.

    A line that begins with ``%`` or ``#`` is a comment; one with a blank, a tab or ``+`` continues the one
    before; ``#`` ends a value. Raises
    :class:`RpslError` with the number of the line that is none of these.
    """
    if found := CONTROL.search(text):
        raise RpslError(f"the control character {found[0]!r} is no part of RPSL")
    attributes: list[tuple[str, str]] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not line:
            if attributes:
                yield RpslObject(tuple(attributes))
            attributes = []
        elif line[0] in "%#":
            continue
        elif line[0] in " \t+":
            more = _value(line[1:])
            if attributes:
                name, before = attributes[-1]
                attributes[-1] = (name, f"{before}\n{more}" if more else before)
            elif more:
                raise RpslError(f"line {number} continues nothing: {line[:60]!r}")
        elif match := NAME.fullmatch(line):
            attributes.append((match[1].lower(), _value(match[2])))
        else:
            raise RpslError(f"line {number} is no attribute: {line[:60]!r}")
    if attributes:
        yield RpslObject(tuple(attributes))


def route_objects(text: str) -> tuple[RouteObject, ...]:
    """Return the route and route6 objects in ``text``; raises :class:`RpslError` if one is not whole."""
    return tuple(_route(o) for o in read_objects(text) if o.kind in ("route", "route6"))


def _value(text: str) -> str:
    return text.partition("#")[0].strip()


def _route(found: RpslObject) -> RouteObject:
    prefix, origin, source = (_single(found, name) for name in (found.kind, "origin", "source"))
    try:
        parsed = parse_prefix(prefix)
    except PrefixError as error:
        raise RpslError(f"{found.kind}: {error}") from error
    if (":" in parsed) != (found.kind == "route6"):
        raise RpslError(f"{found.kind}: {parsed} is of the other address family")
    match = ORIGIN.fullmatch(origin)
    if match is None or int(match[1]) >= 2**32:
        raise RpslError(f"{found.kind} {parsed}: origin {origin[:40]!r} is no AS number")
    remarks = found.values("remarks") + found.values("descr")
    return RouteObject(parsed, int(match[1]), source.upper(), found.values("mnt-by"), remarks)


def _single(found: RpslObject, name: str) -> str:
    """Return a mandatory attribute; an answer that was cut off in an object has lost the last ones."""
    values = found.values(name)
    if len(values) != 1 or not values[0]:
        what = "no" if not values or not values[0] else "more than one"
        raise RpslError(f"the {found.kind} object {found.attributes[0][1][:60]!r} has {what} {name}")
    return values[0]
