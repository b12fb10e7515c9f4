"""Which of many prefixes overlap one: by index, since an account may have twenty thousand (pure)."""

from __future__ import annotations

import ipaddress
from bisect import bisect_left
from collections.abc import Iterable
from typing import Generic, TypeVar

from controller.bgp import Prefix

T = TypeVar("T")


class Overlaps(Generic[T]):
    """Things by their prefixes. Two CIDRs that overlap cover each other one way or the other."""

    def __init__(self, things: Iterable[tuple[Prefix, T]]) -> None:
        self._by_length: dict[int, dict[int, dict[int, list[T]]]] = {4: {}, 6: {}}
        starts: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for cidr, thing in things:
            network = ipaddress.ip_network(cidr)
            low, length = int(network.network_address), network.prefixlen
            self._by_length[network.version].setdefault(length, {}).setdefault(low, []).append(thing)
            starts[network.version].append((low, length))
        self._starts = {version: sorted(set(found)) for version, found in starts.items()}

    def around(self, prefix: Prefix) -> list[T]:
        """Return what covers ``prefix``, what equals it among them."""
        network = ipaddress.ip_network(prefix)
        low, longest = int(network.network_address), network.max_prefixlen
        return [
            thing
            for length, by_low in self._by_length[network.version].items()
            if length <= network.prefixlen
            for thing in by_low.get(low >> (longest - length) << (longest - length), ())
        ]

    def within(self, prefix: Prefix) -> list[T]:
        """Return what lies in ``prefix`` and is longer."""
        network = ipaddress.ip_network(prefix)
        starts, by_length = self._starts[network.version], self._by_length[network.version]
        first = bisect_left(starts, (int(network.network_address), network.prefixlen + 1))
        found: list[T] = []
        for low, length in starts[first:]:
            if low > int(network.broadcast_address):
                break
            if length > network.prefixlen:
                found += by_length[length][low]
        return found

    def touching(self, prefix: Prefix) -> list[T]:
        """Return what overlaps ``prefix``."""
        return self.around(prefix) + self.within(prefix)
