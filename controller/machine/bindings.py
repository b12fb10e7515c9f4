"""What a set of bindings is called, what a machine does with one, and the routes it means (pure)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from controller.bgp import Prefix
from controller.machine.routes import KernelRoute
from controller.transport.messages import BindingItem, BindingSet


def hash_bindings(bindings: Iterable[BindingItem]) -> str:
    """Return the SHA-256 of the bindings' canonical JSON, whatever their order."""
    return hashlib.sha256(msgspec.json.encode(_ordered(bindings))).hexdigest()


def binding_set(generation: int, bindings: Iterable[BindingItem]) -> BindingSet:
    """Return the ordered set with its hash."""
    ordered = _ordered(bindings)
    return BindingSet(generation, hash_bindings(ordered), ordered)


def refusal(held: BindingSet, offered: BindingSet) -> str | None:
    """Return why a machine refuses ``offered``, or None when it takes it.

    A lower generation, or the same one with another content, comes from somebody who does not know what
    the machine holds.
    """
    if offered.hash != hash_bindings(offered.bindings):
        return f"the set of generation {offered.generation} is damaged: its hash does not fit its bindings"
    if offered.generation < held.generation:
        return f"generation {offered.generation} is lower than {held.generation}, which is held"
    if offered.generation == held.generation and offered.hash != held.hash:
        return f"generation {held.generation} is held with other bindings (hash {held.hash[:12]})"
    return None


def routes_for(bindings: BindingSet) -> frozenset[KernelRoute]:
    """Return the ``local`` routes that the bindings stand for; two bindings may share one."""
    return frozenset(KernelRoute(Prefix(item.cidr)) for item in bindings.bindings)


def _ordered(bindings: Iterable[BindingItem]) -> tuple[BindingItem, ...]:
    return tuple(sorted(bindings, key=lambda b: (b.cidr, b.service_id, b.account_id, b.binding_id)))


EMPTY = binding_set(0, ())
"""What a machine holds before it was ever told anything."""
