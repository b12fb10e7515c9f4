"""A change that does not wait for a staged roll-out under way: it is applied on both its sides (pure).

Sites that the roll-out has reached hold ``T``, the others ``F``. A change C makes of them ``T + C`` and
``F + C``; from then on the roll-out goes from ``F + C`` to ``T + C``. That is sound as long as C touches no
object that differs between the two: then (``tests/properties/test_rebase_laws.py``)

- what is left of the roll-out is what it was: ``diff(F + C, T + C) == diff(F, T)``;
- C does the same on both sides: ``diff(F, F + C) == diff(T, T + C)``;
- their order does not matter: ``F + C``, then the roll-out, is ``T + C``.

A change that touches the same object queues behind the roll-out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from controller.safety.effects import effects, subtractive
from controller.snapshots.compile import CompileError, apply
from controller.snapshots.diff import diff_chunks
from controller.snapshots.model import Change, ChangeSet, Chunk, ObjectKind
from controller.snapshots.objects import objects_of

Key = tuple[ObjectKind, str]


@dataclass(frozen=True, slots=True)
class Overlap:
    """The change has to wait; ``why`` says which object, or what it stands on."""

    why: str


def touched(changes: Iterable[Change]) -> frozenset[Key]:
    """Return the objects that changes put or remove."""
    found: set[Key] = set()
    for change in changes:
        if change.remove is not None:
            found.add(change.remove)
        if change.prefix is not None:
            found.add(("prefix", change.prefix.id))
        if change.bgp_prefix is not None:
            found.add(("bgp_prefix", change.bgp_prefix.id))
        if change.binding is not None:
            found.add(("binding", change.binding.id))
    return frozenset(found)


def restore(beside: Chunk | None, change_set: ChangeSet, sites: Sequence[str]) -> Chunk | Overlap:
    """Return ``beside`` with the additive half of a rollback applied, if nothing is taken away by that.

    What it restores may be what the roll-out is just taking away: there it is put back, and where the
    roll-out has not been yet it simply stays. The roll-out then moves what is left.
    """
    there = objects_of(beside)
    changes = tuple(c for c in change_set.changes if c.remove is None or c.remove in there)
    try:
        made = apply(beside, msgspec.structs.replace(change_set, changes=changes))
    except CompileError as error:
        return Overlap(f"it cannot be restored beside it: {error}")
    lost = subtractive(effects(beside, made, sites))
    if lost:
        return Overlap(f"restoring would {lost[0].verb} {lost[0].cidr} at {lost[0].site}, not reached by it")
    return made


def rebase(beside: Chunk | None, head: Chunk | None, change_set: ChangeSet) -> Chunk | Overlap:
    """Return ``beside`` with the change applied, if that is the same change as on ``head``."""
    moving = {(step.kind, step.id) for step in diff_chunks(beside, head)}
    both = sorted(moving & touched(change_set.changes))
    if both:
        kind, id_ = both[0]
        more = f" (and {len(both) - 1} more)" if len(both) > 1 else ""
        return Overlap(f"{kind} {id_}{more} is being changed by it")
    try:
        return apply(beside, change_set)
    except CompileError as error:
        return Overlap(f"it stands on what the roll-out brings: {error}")
