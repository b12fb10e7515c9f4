"""What BIRD 2 is told: routes as two static protocols, in one file that begins with its own (pure).

The file includes the configuration that BIRD was started with, and adds ``herald4`` and ``herald6``. BIRD is
told to read *this* file; when it starts anew it reads its own again, and so comes back with none of our
routes: which of them may be announced is for the agent to say, once machines hold what they stand on. The
starting configuration names the two in its export filters: ``export where proto = "herald4";``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from controller.bgp import Family, Prefix, PrefixError, Route, family_of, parse_prefix, prefix_key

PROTOCOLS = {Family.IPV4: "herald4", Family.IPV6: "herald6"}
LARGEST_ASN = 2**32 - 1
_COMMUNITY = re.compile(r"(\d{1,5}):(\d{1,5})", re.ASCII)
_LARGE = re.compile(r"(\d{1,10}):(\d{1,10}):(\d{1,10})", re.ASCII)


def canonical(route: Route) -> Route:
    """Return the route as it is read back: communities in order, each once."""
    return Route(route.prefix, route.as_path, tuple(sorted(set(route.communities))))


def sound(route: Route, local_as: int) -> bool:
    """Tell whether BIRD can be told of the route; nothing else gets into its configuration."""
    try:
        parsed = parse_prefix(route.prefix)
    except PrefixError:
        return False
    return (
        parsed == route.prefix
        and route.as_path[:1] == (local_as,)
        and all(0 < asn <= LARGEST_ASN for asn in route.as_path)
        and all(_community(c) is not None for c in route.communities)
    )


def render(boot_config: str, routes: Iterable[Route]) -> str:
    """Return the whole configuration for ``routes``, which must be sound; the same for the same set.

    BIRD prepends its own AS on each eBGP session, so a route carries its path without the first.
    """
    by_family: dict[Family, list[Route]] = {family: [] for family in Family}
    for route in sorted(routes, key=lambda r: prefix_key(r.prefix)):
        by_family[family_of(route.prefix)].append(route)
    lines = [f'include "{boot_config}";']
    for family, name in PROTOCOLS.items():
        lines += [f"protocol static {name} {{", f"  {family.value};"]
        lines += [f"  route {r.prefix} unreachable{_attributes(r)};" for r in by_family[family]]
        lines.append("}")
    return "\n".join(lines) + "\n"


def _attributes(route: Route) -> str:
    words = [f"bgp_path.prepend({asn});" for asn in reversed(route.as_path[1:])]
    words += [w for c in route.communities if (w := _community(c)) is not None]
    return f" {{ {' '.join(words)} }}" if words else ""


def _community(text: str) -> str | None:
    """Return the statement that adds a community (RFC 1997) or a large one (RFC 8092); None for neither."""
    if match := _COMMUNITY.fullmatch(text):
        numbers = [int(n) for n in match.groups()]
        return f"bgp_community.add(({numbers[0]},{numbers[1]}));" if max(numbers) < 1 << 16 else None
    if match := _LARGE.fullmatch(text):
        numbers = [int(n) for n in match.groups()]
        return (
            f"bgp_large_community.add(({numbers[0]},{numbers[1]},{numbers[2]}));"
            if max(numbers) < 1 << 32
            else None
        )
    return None


def by_prefix(routes: Iterable[Route]) -> dict[Prefix, Route]:
    """Return canonical routes by prefix."""
    return {r.prefix: canonical(r) for r in routes}
