"""The blast radius of a candidate, in numbers; and how findings say numbers (pure)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from controller.bgp import Prefix, prefix_key
from controller.safety.candidate import Candidate
from controller.safety.effects import Effect
from controller.safety.verdict import Radius, SiteRadius


def radius(candidate: Candidate) -> Radius:
    """Return the blast radius foreseen."""
    by_site: dict[str, list[Effect]] = {}
    for effect in candidate.effects:
        by_site.setdefault(effect.site, []).append(effect)
    order = {cidr: n for n, cidr in enumerate(sorted(candidate.withdrawn, key=prefix_key))}
    numbers, nowhere = candidate.context.numbers, candidate.nowhere
    return Radius(
        sites={site: _at(found, order) for site, found in sorted(by_site.items())},
        prefixes=len(candidate.lost),
        gone=len(nowhere),
        accounts=1 if candidate.lost else 0,
        share_of_account=_share(len(candidate.lost), numbers.account),
        share_of_all=_share(len(candidate.lost), numbers.fleet),
        addresses=addresses(nowhere),
    )


def _at(found: list[Effect], order: Mapping[Prefix, int]) -> SiteRadius:
    lost = sum(e.kind == "subtractive" for e in found)
    withdrawn = {e.cidr for e in found if e.verb == "withdraw"}
    return SiteRadius(len(found) - lost, lost, tuple(sorted(withdrawn, key=order.__getitem__)))


def addresses(prefixes: Iterable[Prefix]) -> tuple[int, int]:
    """Return how many IPv4 addresses, and how many IPv6 /48s (at least one each), lie in ``prefixes``.

    One that lies in another is counted once.
    """
    networks = [ipaddress.ip_network(p) for p in prefixes]
    four = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(
        n.supernet(new_prefix=48) if n.prefixlen > 48 else n
        for n in networks
        if isinstance(n, ipaddress.IPv6Network)
    )
    return sum(n.num_addresses for n in four), sum(1 << (48 - n.prefixlen) for n in six)


def _share(part: int, of: int) -> float:
    return min(1.0, part / of) if of else (1.0 if part else 0.0)


def several(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def some(names: Iterable[str]) -> str:
    """Return the first three of some names."""
    found = sorted(set(names))
    return ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
