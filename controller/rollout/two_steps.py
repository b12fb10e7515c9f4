"""A delete is two roll-outs (pure): SAFETY.md, 7.

A change-set that withdraws routes *and* removes bindings first only withdraws, everywhere; what it removes
goes by a second change-set, once the first is seen to be gone wherever a site can be reached, and after a
grace time. At a site the agent orders the two by itself; this orders them across sites, so that a site that
still announces never draws traffic which nobody serves any more.
"""

from __future__ import annotations

import msgspec

from controller.snapshots.compile import CompileError, apply
from controller.snapshots.model import BgpPrefixObject, BindingObject, Change, ChangeSet, Chunk
from controller.snapshots.objects import objects_of


def in_two_steps(
    old: Chunk | None, change_set: ChangeSet, second_id: str
) -> tuple[ChangeSet, ChangeSet] | None:
    """Return what withdraws, and what removes after it; None: one step does.

    The first keeps the id, the second has ``second_id`` and names the first as what it is ``after``. Both
    carry all intents. Raises :class:`~controller.snapshots.compile.CompileError` when the whole does not fit.
    """
    new = apply(old, change_set)
    before, after = objects_of(old), objects_of(new)
    announced = {b.cidr for b in new.bgp_prefixes if b.advertised}
    lost = {
        key: thing
        for key, thing in before.items()
        if isinstance(thing, BgpPrefixObject) and thing.advertised and thing.cidr not in announced
    }
    unbound = {
        key for key, thing in before.items() if isinstance(thing, BindingObject) and after.get(key) != thing
    }
    if not lost or not unbound:
        return None
    first: list[Change] = [
        Change(bgp_prefix=msgspec.structs.replace(b, advertised=False)) for b in lost.values()
    ]
    second: list[Change] = []
    for change in change_set.changes:
        late = change.remove is not None
        late = late or (change.binding is not None and ("binding", change.binding.id) in unbound)
        late = late or (change.bgp_prefix is not None and ("bgp_prefix", change.bgp_prefix.id) in lost)
        (second if late else first).append(change)
    halves = (
        msgspec.structs.replace(change_set, changes=tuple(first)),
        msgspec.structs.replace(
            change_set,
            id=second_id,
            changes=tuple(second),
            after=change_set.id,
            reason=f"removes what change-set {change_set.id} has withdrawn: {change_set.reason}"[:500],
        ),
    )
    try:
        withdrawn = apply(old, halves[0])
        whole = apply(withdrawn, halves[1])
    except CompileError:
        return None  # it cannot be had in two; each site still orders it by itself
    return halves if whole == new else None
