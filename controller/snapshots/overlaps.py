"""Which of many prefixes overlap one: by index, since an account may have twenty thousand (pure)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Generic, TypeVar

from controller.bgp import Prefix, span

T = TypeVar("T")
BITS = {4: 32, 6: 128}


class Overlaps(Generic[T]):
    """Things by their prefixes. Two CIDRs that overlap cover each other one way or the other."""

    def __init__(self, things: Iterable[tuple[Prefix, T]]) -> None:
        self._by_length: dict[int, dict[int, dict[int, list[T]]]] = {4: {}, 6: {}}
        starts: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for cidr, thing in things:
            version, low, _, length = span(cidr)
            self._by_length[version].setdefault(length, {}).setdefault(low, []).append(thing)
            starts[version].append((low, length))
        self._starts = {version: sorted(set(found)) for version, found in starts.items()}

    def around(self, prefix: Prefix) -> list[T]:
        """Return what covers ``prefix``, what equals it among them."""
        version, low, _, own = span(prefix)
        longest = BITS[version]
        return [
            thing
            for length, by_low in self._by_length[version].items()
            if length <= own
            for thing in by_low.get(low >> (longest - length) << (longest - length), ())
        ]

    def within(self, prefix: Prefix) -> list[T]:
        """Return what lies in ``prefix`` and is longer."""
        version, first, last, own = span(prefix)
        starts, by_length = self._starts[version], self._by_length[version]
        found: list[T] = []
        place = bisect_left(starts, (first, own + 1))
        while place < len(starts) and starts[place][0] <= last:
            low, length = starts[place]
            if length > own:
                found += by_length[length][low]
            place += 1
        return found

    def touching(self, prefix: Prefix) -> list[T]:
        """Return what overlaps ``prefix``."""
        return self.around(prefix) + self.within(prefix)
