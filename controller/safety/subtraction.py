"""What a write takes away from one account (pure): its subtractive effects, and the prefixes that they hit.

Judged by the objects that it touches, against each state that it may meet: the configured one that the
caller saw, and the operational one, which may be behind. What is subtractive against either of them counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.safety.effects import Effect, step_effects, subtractive
from controller.snapshots.diff import ObjectStep
from controller.snapshots.model import Change, ChunkObject, ObjectKind, PrefixObject

Base = Mapping[tuple[ObjectKind, str], ChunkObject]
"""Objects of one account by (kind, id)."""


@dataclass(frozen=True, slots=True)
class Subtraction:
    """``effects``: subtractive ones, ordered. ``prefix_ids``: the onboarded prefixes that lose something.

    An object that goes takes from its prefix even when it was not in effect.
    """

    effects: tuple[Effect, ...]
    prefix_ids: frozenset[str]


def subtraction(changes: Iterable[Change], bases: Sequence[Base], sites: Sequence[str]) -> Subtraction:
    """Return what ``changes`` take away at ``sites``; ``bases``: the states that they may meet."""
    after: dict[tuple[ObjectKind, str], ChunkObject | None] = {}
    for change in changes:
        after.update(_outcome(change))
    effects: set[Effect] = set()
    prefix_ids: set[str] = set()
    for base in bases:
        for (kind, id_), new in after.items():
            old = base.get((kind, id_))
            if old is None or old == new:
                continue
            lost = subtractive(step_effects(ObjectStep(kind, id_, old, new), sites))
            effects.update(lost)
            if lost or new is None:
                prefix_ids.add(_prefix_of(old))
    return Subtraction(tuple(sorted(effects)), frozenset(prefix_ids))


def _outcome(change: Change) -> dict[tuple[ObjectKind, str], ChunkObject | None]:
    if change.remove is not None:
        return {change.remove: None}
    if change.prefix is not None:
        return {("prefix", change.prefix.id): change.prefix}
    if change.bgp_prefix is not None:
        return {("bgp_prefix", change.bgp_prefix.id): change.bgp_prefix}
    return {} if change.binding is None else {("binding", change.binding.id): change.binding}


def _prefix_of(thing: ChunkObject) -> str:
    return thing.id if isinstance(thing, PrefixObject) else thing.prefix_id
