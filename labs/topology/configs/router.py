"""A router as its configuration sees it (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Relation = Literal["customer", "peer", "provider"]
"""What a neighbour is to a network, by their contract."""

HOLD_TIME_S = 9
"""Seconds; short, so that a silent neighbour is found soon. Keepalives each third (RFC 4271 section 10)."""


@dataclass(frozen=True, slots=True)
class Session:
    """A neighbour, reached over IPv4 for IPv4 routes and over IPv6 for IPv6 routes.

    ``dials``: this end opens the connection. One end that dials is enough; GoBGP takes seconds to dial,
    so it waits for the other end where that can. ``passes_on``: the neighbour announces others' routes, too.
    ``relation``: what the neighbour is to this router; None where everybody tells everybody everything.
    ``roles``: both ends know BGP roles (RFC 9234).
    """

    neighbour: str
    neighbour_as: int
    local4: str
    remote4: str
    local6: str
    remote6: str
    dials: bool = True
    passes_on: bool = True
    relation: Relation | None = None
    roles: bool = False


@dataclass(frozen=True, slots=True)
class Router:
    """One router. ``own``: prefixes that it announces itself; ``stub``: it passes nothing on.

    ``site``: it is one of ours, and announces what its agent says.
    """

    name: str
    asn: int
    router_id: str
    sessions: tuple[Session, ...]
    own4: tuple[str, ...] = ()
    own6: tuple[str, ...] = ()
    stub: bool = False
    site: bool = False
