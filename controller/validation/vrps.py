"""Validated ROA payloads and origin validation with them (RFC 6811; pure)."""

from __future__ import annotations

import ipaddress
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from controller.bgp import Prefix

OriginState = Literal["valid", "invalid", "not-found"]


class Key(NamedTuple):
    """A prefix as numbers: ``version`` 4 or 6, the network's address, the length. Sorts as prefixes do."""

    version: int
    network: int
    length: int

    @property
    def width(self) -> int:
        """The bits of an address."""
        return 32 if self.version == 4 else 128

    @property
    def prefix(self) -> Prefix:
        """The canonical text."""
        address = (
            ipaddress.IPv4Address(self.network) if self.version == 4 else ipaddress.IPv6Address(self.network)
        )
        return Prefix(f"{address}/{self.length}")


class Vrp(NamedTuple):
    """One validated ROA payload: ``asn`` may originate ``key`` and what is in it down to ``max_length``."""

    key: Key
    max_length: int
    asn: int

    def evidence(self) -> dict[str, object]:
        """Return it as the API shows it."""
        return {"prefix": self.key.prefix, "max_length": self.max_length, "asn": self.asn}


@dataclass(frozen=True, slots=True)
class Origin:
    """The outcome of origin validation; ``covering``: all VRPs that cover the prefix, matching ones first."""

    state: OriginState
    matching: tuple[Vrp, ...]
    covering: tuple[Vrp, ...]


def key_of(prefix: Prefix) -> Key:
    """Return a canonical prefix as numbers."""
    network = ipaddress.ip_network(prefix)
    return Key(network.version, int(network.network_address), network.prefixlen)


class VrpSet:
    """An immutable set of VRPs; ``expires``: unix seconds at which some of them end, where that is known."""

    def __init__(self, vrps: Iterable[Vrp] = (), expires: Mapping[Vrp, int] | None = None) -> None:
        self._vrps = frozenset(vrps)
        self.expires: Mapping[Vrp, int] = dict(expires or {})
        by_key: dict[Key, list[Vrp]] = {}
        for vrp in self._vrps:
            by_key.setdefault(vrp.key, []).append(vrp)
        self._by_key = by_key
        self._order = sorted(by_key)

    def __len__(self) -> int:
        return len(self._vrps)

    def __iter__(self) -> Iterator[Vrp]:
        return iter(self._vrps)

    def __contains__(self, vrp: object) -> bool:
        return vrp in self._vrps

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VrpSet) and (self._vrps, self.expires) == (other._vrps, other.expires)

    def __hash__(self) -> int:
        return hash(self._vrps)

    def covering(self, key: Key) -> tuple[Vrp, ...]:
        """Return the VRPs whose prefix covers ``key``, the shortest first."""
        found: list[Vrp] = []
        for length in range(key.length + 1):
            shift = key.width - length
            around = Key(key.version, key.network >> shift << shift, length)
            found += sorted(self._by_key.get(around, ()))
        return tuple(found)

    def overlapping(self, key: Key) -> tuple[Vrp, ...]:
        """Return the VRPs that cover ``key`` or lie in it: all that can matter to any part of it."""
        found = list(self.covering(key))
        last = key.network + (1 << (key.width - key.length)) - 1
        at = bisect_left(self._order, Key(key.version, key.network, key.length + 1))
        while at < len(self._order):
            inner = self._order[at]
            if inner.version != key.version or inner.network > last:
                break
            if inner.length > key.length:
                found += sorted(self._by_key[inner])
            at += 1
        return tuple(found)

    def changed(self, other: VrpSet) -> VrpSet:
        """Return the VRPs that only one of both has, or that end at another time: empty when equal."""
        both = self._vrps & other._vrps
        moved = {v for v in both if self.expires.get(v) != other.expires.get(v)}
        return VrpSet((self._vrps ^ other._vrps) | moved)

    def without_expired(self, now: int) -> VrpSet:
        """Return the VRPs that have not ended by ``now`` (unix seconds)."""
        ended = {v for v, at in self.expires.items() if at <= now}
        if not ended:
            return self
        left = {v: at for v, at in self.expires.items() if at > now}
        return VrpSet(self._vrps - ended, left)


def validate_origin(prefix: Prefix, asn: int, vrps: VrpSet) -> Origin:
    """Return whether ``asn`` may originate ``prefix`` (RFC 6811, 2); AS 0 never matches (RFC 6483, 4)."""
    key = key_of(prefix)
    covering = vrps.covering(key)
    matching = tuple(v for v in covering if asn == v.asn != 0 and key.length <= v.max_length)
    if matching:
        return Origin("valid", matching, matching + tuple(v for v in covering if v not in matching))
    return Origin("invalid" if covering else "not-found", (), covering)
