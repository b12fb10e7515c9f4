"""From operational state and one change-set to a candidate (pure).

A candidate is an account's *operational* chunk with the changes of one change-set applied; the rest of
the tree stays. What does not fit is refused whole, with a typed error::

    CompileError
    ├── WrongAccountError       the change-set is for another account
    ├── MalformedChangeError    not exactly one thing to do
    ├── UnknownObjectError      removes, or stands on, what is not there
    ├── MovedObjectError        an id would get another CIDR or parent
    └── InvalidChunkError       the result breaks a rule; the message names the object and the rule
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.bgp import Prefix, PrefixError, covers, family_of, parse_prefix
from controller.snapshots.diff import TreeStep
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    Chunk,
    ChunkHash,
    ChunkObject,
    ObjectKind,
    PrefixObject,
    SnapshotError,
    encode_chunk,
    hash_chunk,
)
from controller.snapshots.objects import Objects, chunk_of, objects_of
from controller.snapshots.overlaps import Overlaps

MOST_PREPENDS = 3


class CompileError(SnapshotError):
    """A change-set does not fit the operational state; nothing of it is applied."""


class WrongAccountError(CompileError):
    """The chunk belongs to another account than the change-set."""


class MalformedChangeError(CompileError):
    """A change has none, or more than one, of its fields set."""


class UnknownObjectError(CompileError):
    """A change removes, or an object stands on, something that is not there."""


class MovedObjectError(CompileError):
    """An object would keep its id and get another CIDR or parent; that is another object."""


class InvalidChunkError(CompileError):
    """The result breaks a rule of the operational state."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the account is to have: the chunk, its canonical bytes, and the step in the tree."""

    chunk: Chunk
    body: bytes
    step: TreeStep

    @property
    def hash(self) -> ChunkHash:
        """The new chunk's name."""
        return hash_chunk(self.body)


def candidate(tree: Mapping[str, ChunkHash], chunk: Chunk | None, change_set: ChangeSet) -> Candidate:
    """Return ``tree`` with one account's ``chunk`` (its operational one) changed by ``change_set``.

    Raises :class:`CompileError`.
    """
    new = apply(chunk, change_set)
    body = encode_chunk(new)
    account = change_set.account_id
    return Candidate(new, body, TreeStep(account, tree.get(account), hash_chunk(body)))


def apply(chunk: Chunk | None, change_set: ChangeSet) -> Chunk:
    """Return ``chunk`` (None: the account has nothing yet) with the changes applied in order, validated.

    Raises :class:`CompileError`; the order of changes within a set does not matter to validity, since
    only the result is validated.
    """
    account = change_set.account_id
    if chunk is not None and chunk.account_id != account:
        raise WrongAccountError(
            f"change-set {change_set.id} is for account {account}, the chunk is {chunk.account_id}'s"
        )
    objects = objects_of(chunk)
    for change in change_set.changes:
        _apply_one(objects, change, change_set.id)
    result = chunk_of(account, objects)
    validate(result)
    return result


def _apply_one(objects: Objects, change: Change, change_set_id: str) -> None:
    puts: list[tuple[ObjectKind, ChunkObject | None]] = [
        ("prefix", change.prefix),
        ("bgp_prefix", change.bgp_prefix),
        ("binding", change.binding),
    ]
    given = [(kind, found) for kind, found in puts if found is not None]
    if len(given) + (change.remove is not None) != 1:
        raise MalformedChangeError(f"a change of change-set {change_set_id} must do exactly one thing")
    if change.remove is not None:
        kind, id_ = change.remove
        if objects.pop((kind, id_), None) is None:
            raise UnknownObjectError(f"cannot remove {kind} {id_}: the operational state does not have it")
        return
    kind, put = given[0]
    old = objects.get((kind, put.id))
    if old is not None and (old.cidr != put.cidr or _parent(old) != _parent(put)):
        raise MovedObjectError(
            f"{kind} {put.id} is {old.cidr}, and cannot become {put.cidr}: remove it and add another"
        )
    objects[kind, put.id] = put


def _parent(thing: ChunkObject) -> str | None:
    return None if isinstance(thing, PrefixObject) else thing.prefix_id


def validate(chunk: Chunk) -> None:
    """Raise :class:`InvalidChunkError` (or :class:`UnknownObjectError`) unless the chunk keeps all rules.

    Each CIDR is canonical and there once per kind; BGP prefixes and bindings lie in their prefix; a BGP
    prefix is at most as long as the Internet carries and at least one bit long, with at most three
    prepends; and an advertised one has a binding that it stands on.
    """
    for kind, things in _kinds(chunk):
        _unique(kind, things)
        for thing in things:
            _canonical(kind, thing)
    parents = {p.id: p for p in chunk.prefixes}
    children: list[tuple[str, BgpPrefixObject | BindingObject]] = [
        *(("BGP prefix", b) for b in chunk.bgp_prefixes),
        *(("binding", b) for b in chunk.bindings),
    ]
    for kind, child in children:
        parent = parents.get(child.prefix_id)
        if parent is None:
            raise UnknownObjectError(
                f"{kind} {child.cidr} ({child.id}) stands on prefix {child.prefix_id}, which is not there"
            )
        if not covers(parent.cidr, child.cidr):
            raise InvalidChunkError(
                f"{kind} {child.cidr} ({child.id}) does not lie in its prefix {parent.cidr}"
            )
    bound = Overlaps((b.cidr, b) for b in chunk.bindings)
    for bgp in chunk.bgp_prefixes:
        _announceable(bgp, bound)


def _kinds(chunk: Chunk) -> list[tuple[str, tuple[ChunkObject, ...]]]:
    return [("prefix", chunk.prefixes), ("BGP prefix", chunk.bgp_prefixes), ("binding", chunk.bindings)]


def _unique(kind: str, things: Iterable[ChunkObject]) -> None:
    ids: set[str] = set()
    cidrs: set[Prefix] = set()
    for thing in things:
        if thing.id in ids:
            raise InvalidChunkError(f"{kind} id {thing.id} is there twice")
        if thing.cidr in cidrs:
            raise InvalidChunkError(f"{kind} {thing.cidr} is there twice ({thing.id} is the second)")
        ids.add(thing.id)
        cidrs.add(thing.cidr)


def _canonical(kind: str, thing: ChunkObject) -> None:
    try:
        canonical = parse_prefix(thing.cidr)
    except PrefixError as error:
        raise InvalidChunkError(f"{kind} {thing.id}: {error}") from error
    if canonical != thing.cidr:
        raise InvalidChunkError(f"{kind} {thing.id}: {thing.cidr} is written {canonical} in canonical form")


def _announceable(bgp: BgpPrefixObject, bound: Overlaps[BindingObject]) -> None:
    length, longest = int(bgp.cidr.rpartition("/")[2]), family_of(bgp.cidr).longest
    if not 1 <= length <= longest:
        raise InvalidChunkError(f"BGP prefix {bgp.cidr} ({bgp.id}) must have a length of 1 to {longest}")
    if not 0 <= bgp.prepends <= MOST_PREPENDS:
        raise InvalidChunkError(
            f"BGP prefix {bgp.cidr} ({bgp.id}) has {bgp.prepends} prepends: 0 to {MOST_PREPENDS} are allowed"
        )
    if bgp.advertised and not bound.touching(bgp.cidr):
        raise InvalidChunkError(
            f"BGP prefix {bgp.cidr} ({bgp.id}) is advertised and nothing is bound to it: bind a service first"
        )
