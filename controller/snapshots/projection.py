"""What a chunk means at one site: the routes to announce and the bindings to hold (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from controller.bgp import Prefix, Route
from controller.snapshots.model import Chunk
from controller.snapshots.overlaps import Overlaps


@dataclass(frozen=True, slots=True, order=True)
class SiteBinding:
    """A binding as a machine holds it."""

    cidr: Prefix
    service_id: str
    account_id: str
    binding_id: str


@dataclass(frozen=True, slots=True)
class SiteState:
    """All that one site is to have. ``needs`` maps a route's prefix to the bindings it stands on."""

    routes: frozenset[Route]
    bindings: frozenset[SiteBinding]
    needs: dict[Prefix, frozenset[SiteBinding]]


def project(chunks: dict[str, Chunk], site: str, local_as: int) -> SiteState:
    """Return the state that ``chunks`` (by account id) ask of ``site``.

    Bindings go to every site, so that traffic finds them wherever it lands; routes only where ``sites``
    names the site or is None. A route stands on each binding that covers it or lies within it.
    """
    bindings: set[SiteBinding] = set()
    routes: set[Route] = set()
    needs: dict[Prefix, frozenset[SiteBinding]] = {}
    for account_id, chunk in chunks.items():
        held = {
            b.id: SiteBinding(cidr=b.cidr, service_id=b.service_id, account_id=account_id, binding_id=b.id)
            for b in chunk.bindings
        }
        bindings.update(held.values())
        bound = Overlaps((b.cidr, b) for b in held.values())
        for bgp in chunk.bgp_prefixes:
            if not bgp.advertised or (bgp.sites is not None and site not in bgp.sites):
                continue
            origin = () if bgp.asn is None else (bgp.asn,)
            routes.add(Route(bgp.cidr, (local_as,) * (1 + bgp.prepends) + origin))
            needs[bgp.cidr] = frozenset(bound.touching(bgp.cidr))
    return SiteState(frozenset(routes), frozenset(bindings), needs)
