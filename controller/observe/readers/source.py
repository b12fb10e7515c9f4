"""Whose answer is being read, and the normal form of what stands in it (pure)."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.bgp import AsPath, Prefix, PrefixError, parse_prefix
from controller.observe.inventory import Inventory
from controller.observe.readers.errors import ReaderGarbledError, ReaderRefusedError
from controller.observe.rib import RibRow

WELL_KNOWN = {
    "gracefulshutdown": 0xFFFF0000,
    "acceptown": 0xFFFF0001,
    "routefiltertranslatedv4": 0xFFFF0002,
    "routefilterv4": 0xFFFF0003,
    "routefiltertranslatedv6": 0xFFFF0004,
    "routefilterv6": 0xFFFF0005,
    "llgrstale": 0xFFFF0006,
    "nollgr": 0xFFFF0007,
    "acceptownnexthop": 0xFFFF0008,
    "blackhole": 0xFFFF029A,
    "noexport": 0xFFFFFF01,
    "noadvertise": 0xFFFFFF02,
    "noexportsubconfed": 0xFFFFFF03,
    "localas": 0xFFFFFF03,
    "nopeer": 0xFFFFFF04,
    "internet": 0,
}
"""The names that FRR and OpenBGPD write in place of IANA's well-known communities, letters only."""

_SHOWN = 80
_NUMBER_PARTS = (2, 3)  # a community (RFC 1997), a large community (RFC 8092)


@dataclass(frozen=True, slots=True)
class Source:
    """One node's daemon. ``owners``: address on a link → the name of the node that holds it."""

    node: str
    daemon: str
    owners: Mapping[str, str] = field(default_factory=dict)

    def garbled(self, expected: str, got: object) -> ReaderGarbledError:
        """Return the error for an answer in which ``got`` stands where ``expected`` should."""
        shown = repr(got)
        if len(shown) > _SHOWN:
            shown = shown[:_SHOWN] + "…"
        return ReaderGarbledError(f"{self.node} ({self.daemon}) answered {shown}: expected {expected}")

    def refused(self, question: str, said: str) -> ReaderRefusedError:
        """Return the error for a daemon that answers ``question`` with an error of its own."""
        said = " ".join(said.split())[:200]
        return ReaderRefusedError(f"{self.node} ({self.daemon}) refuses {question!r}: {said}")

    def row(
        self,
        prefix: object,
        *,
        best: bool,
        as_path: AsPath,
        next_hop: str | None,
        communities: tuple[str, ...],
        neighbour: str | None,
    ) -> RibRow:
        """Return a row; ``neighbour`` is the address that the path came from, None for a local route."""
        return RibRow(
            node=self.node,
            daemon=self.daemon,
            prefix=self.prefix(prefix),
            best=best,
            as_path=as_path,
            next_hop=next_hop,
            communities=communities,
            from_=None if neighbour is None else self.owners.get(neighbour),
        )

    def prefix(self, text: object) -> Prefix:
        """Return a prefix as daemons write it."""
        if not isinstance(text, str):
            raise self.garbled("a prefix", text)
        try:
            return parse_prefix(text)
        except PrefixError as error:
            raise self.garbled("a prefix", text) from error

    def address(self, text: object) -> str:
        """Return an address in canonical text, without a zone."""
        if not isinstance(text, str):
            raise self.garbled("an address", text)
        try:
            return _address(text)
        except ValueError as error:
            raise self.garbled("an address", text) from error

    def next_hop(self, texts: list[str]) -> str | None:
        """Return the global one of a next hop's addresses (RFC 2545, 3); None when unspecified."""
        return _global_one(tuple(self.address(text) for text in texts))

    def as_path(self, text: object) -> AsPath:
        """Return an AS_PATH written as ``1 2 {3 4}`` (BIRD, OpenBGPD) or ``1 2 {3,4}`` (FRR).

        Confederation segments (RFC 5065) stay inside their AS: sequences are flattened, sets nested.
        """
        if not isinstance(text, str):
            raise self.garbled("an AS path", text)
        try:
            return _as_path(text)
        except ValueError as error:
            raise self.garbled(str(error), text) from error

    def community(self, text: object) -> str:
        """Return a community in numbers: ``a:b``, or ``a:b:c`` for a large one."""
        if isinstance(text, str):
            parts = text.split(":")
            if len(parts) in _NUMBER_PARTS and all(p.isascii() and p.isdigit() for p in parts):
                return ":".join(str(int(p)) for p in parts)
            number = WELL_KNOWN.get(re.sub(r"[^a-z0-9]", "", text.lower()))
            if number is not None:
                return f"{number >> 16}:{number & 0xFFFF}"
        raise self.garbled("a community", text)


def source_of(inventory: Inventory, node: str) -> Source:
    """Return the source for ``node``; raises InventoryError for an unknown one."""
    found = inventory.node(node)
    return Source(found.name, found.daemon, _owners(inventory))


# A RIB says the same few addresses and paths very many times.


@functools.lru_cache(maxsize=1 << 12)
def _address(text: str) -> str:
    return str(ipaddress.ip_address(text.partition("%")[0]))


@functools.lru_cache(maxsize=1 << 12)
def _global_one(texts: tuple[str, ...]) -> str | None:
    addresses = [ipaddress.ip_address(text) for text in texts]
    chosen = next((a for a in addresses if not a.is_link_local), addresses[0] if addresses else None)
    return None if chosen is None or chosen.is_unspecified else str(chosen)


@functools.lru_cache(maxsize=1 << 14)
def _as_path(text: str) -> AsPath:
    """Return the path in ``text``; raises ValueError that says what was expected."""
    path: list[int | tuple[int, ...]] = []
    members: list[int] | None = None
    for token in re.findall(r"[{}]|[^\s,{}()\[\]]+", text):
        if token == "{" and members is None:
            members = []
        elif token == "}" and members is not None:
            path.append(tuple(members))
            members = None
        elif token.isascii() and token.isdigit() and int(token) < 2**32:
            (path if members is None else members).append(int(token))
        else:
            raise ValueError("an AS path")
    if members is not None:
        raise ValueError("an AS path whose sets are closed")
    return tuple(path)


@functools.lru_cache(maxsize=4)
def _owners(inventory: Inventory) -> Mapping[str, str]:
    """Return address → node; once an inventory, since all of its nodes' readers ask for it."""
    return {
        str(ipaddress.ip_interface(address).ip): owner.name
        for owner in inventory.nodes
        for interface in owner.interfaces
        for address in interface.addresses
    }
