"""Routes as Herald has them installed in a kernel, and the difference between two sets of them (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from controller.bgp import Family, Prefix, family_of

MACHINE_PROTOCOL = 190
"""Marks a machine's ``local`` routes (rtnetlink's ``rtm_protocol``; 190 is nobody's in iproute2's table)."""

FORWARD_PROTOCOL = 191
"""Marks an agent's routes towards its machines."""


@dataclass(frozen=True, slots=True, order=True)
class KernelRoute:
    """A route for ``prefix``: ``local`` (on lo, table local) when ``next_hops`` is empty, ECMP otherwise."""

    prefix: Prefix
    next_hops: tuple[str, ...] = ()

    def words(self, protocol: int) -> str:
        """Return the route as ``ip route replace`` and ``del`` read it."""
        if not self.next_hops:
            return f"local {self.prefix} dev lo table local proto {protocol}"
        if len(self.next_hops) == 1:
            return f"{self.prefix} proto {protocol} via {self.next_hops[0]}"
        hops = " ".join(f"nexthop via {hop}" for hop in self.next_hops)
        return f"{self.prefix} proto {protocol} {hops}"


def batch_for(
    have: frozenset[KernelRoute], want: frozenset[KernelRoute], protocol: int
) -> dict[Family, list[str]]:
    """Return the ``ip -batch`` lines, by family, that turn ``have`` into ``want`` (pure); replacing first."""
    lines: dict[Family, list[str]] = {family: [] for family in Family}
    for route in sorted(want - have):
        lines[family_of(route.prefix)].append(f"route replace {route.words(protocol)}")
    kept = {route.prefix for route in want}
    for route in sorted(have - want):
        if route.prefix not in kept:
            lines[family_of(route.prefix)].append(f"route del {route.words(protocol)}")
    return lines
