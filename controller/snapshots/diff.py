"""What differs between two trees, and between two chunks (pure).

Laws, for trees and for chunks alike (``tests/properties/test_snapshot_laws.py``):

- ``apply(old, diff(old, new)) == new``;
- ``diff(x, x)`` is empty;
- ``merge(diff(a, b), diff(b, c)) == diff(a, c)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.snapshots.model import Chunk, ChunkHash, ChunkObject, ObjectKind, SnapshotError
from controller.snapshots.objects import chunk_of, objects_of


class DiffMismatchError(SnapshotError):
    """A step starts from something other than what is there (compare-and-set)."""


@dataclass(frozen=True, slots=True)
class TreeStep:
    """One account's chunk moves; None: the account has nothing."""

    account_id: str
    from_hash: ChunkHash | None
    to_hash: ChunkHash | None


@dataclass(frozen=True, slots=True)
class ObjectStep:
    """One object appears (``before`` None), disappears (``after`` None) or changes."""

    kind: ObjectKind
    id: str
    before: ChunkObject | None
    after: ChunkObject | None


def diff_trees(old: Mapping[str, ChunkHash], new: Mapping[str, ChunkHash]) -> tuple[TreeStep, ...]:
    """Return the accounts that differ, ordered by id."""
    return tuple(
        TreeStep(account, old.get(account), new.get(account))
        for account in sorted(old.keys() | new.keys())
        if old.get(account) != new.get(account)
    )


def apply_to_tree(tree: Mapping[str, ChunkHash], steps: tuple[TreeStep, ...]) -> dict[str, ChunkHash]:
    """Return ``tree`` with ``steps`` taken; raises :class:`DiffMismatchError` when one does not fit."""
    result = dict(tree)
    for step in steps:
        if result.get(step.account_id) != step.from_hash:
            raise DiffMismatchError(
                f"account {step.account_id} is at {_short(result.get(step.account_id))}, "
                f"and the step starts from {_short(step.from_hash)}"
            )
        if step.to_hash is None:
            result.pop(step.account_id, None)
        else:
            result[step.account_id] = step.to_hash
    return result


def merge_trees(first: tuple[TreeStep, ...], then: tuple[TreeStep, ...]) -> tuple[TreeStep, ...]:
    """Return the one diff that does what ``first`` and then ``then`` do.

    Raises :class:`DiffMismatchError` when ``then`` does not start where ``first`` ends.
    """
    merged = {step.account_id: step for step in first}
    for step in then:
        before = merged.get(step.account_id)
        if before is not None and before.to_hash != step.from_hash:
            raise DiffMismatchError(
                f"account {step.account_id}: a step to {_short(before.to_hash)} cannot be followed by one "
                f"from {_short(step.from_hash)}"
            )
        start = step.from_hash if before is None else before.from_hash
        merged[step.account_id] = TreeStep(step.account_id, start, step.to_hash)
    return tuple(merged[a] for a in sorted(merged) if merged[a].from_hash != merged[a].to_hash)


def diff_chunks(old: Chunk | None, new: Chunk | None) -> tuple[ObjectStep, ...]:
    """Return the objects that differ, ordered by kind and id; None is a chunk with nothing in it."""
    before, after = objects_of(old), objects_of(new)
    return tuple(
        ObjectStep(kind, id_, before.get((kind, id_)), after.get((kind, id_)))
        for kind, id_ in sorted(before.keys() | after.keys())
        if before.get((kind, id_)) != after.get((kind, id_))
    )


def apply_to_chunk(account_id: str, chunk: Chunk | None, steps: tuple[ObjectStep, ...]) -> Chunk:
    """Return ``chunk`` with ``steps`` taken; raises :class:`DiffMismatchError` when one does not fit."""
    objects = objects_of(chunk)
    for step in steps:
        if objects.get((step.kind, step.id)) != step.before:
            raise DiffMismatchError(
                f"{step.kind} {step.id} of account {account_id} is not as the step expects"
            )
        if step.after is None:
            objects.pop((step.kind, step.id), None)
        else:
            objects[step.kind, step.id] = step.after
    return chunk_of(account_id, objects)


def merge_chunks(first: tuple[ObjectStep, ...], then: tuple[ObjectStep, ...]) -> tuple[ObjectStep, ...]:
    """Return the one diff that does what ``first`` and then ``then`` do; raises as :func:`merge_trees`."""
    merged = {(step.kind, step.id): step for step in first}
    for step in then:
        key = (step.kind, step.id)
        before = merged.get(key)
        if before is not None and before.after != step.before:
            raise DiffMismatchError(
                f"{step.kind} {step.id}: the second step does not start where the first ends"
            )
        start = step.before if before is None else before.before
        merged[key] = ObjectStep(step.kind, step.id, start, step.after)
    return tuple(merged[key] for key in sorted(merged) if merged[key].before != merged[key].after)


def _short(hash_: ChunkHash | None) -> str:
    return "nothing" if hash_ is None else hash_[:12]
