"""Going back to a snapshot: what of it may come back at once, and what must be held like any other (pure).

For each account that differs, in SAFETY.md's words (5, 8)::

    now ──additive half──▶ between ──subtractive half──▶ the snapshot, less what was revoked since

The additive half takes nothing away at any site, and restores all that it can: objects with their ids,
bindings among them. The subtractive half is the rest: what the snapshot did not have, and what cannot be put
back without taking something off first. Laws (``tests/properties/test_rollback_laws.py``):

- the additive half, then the subtractive one, is the snapshot less what is barred;
- the additive half has no subtractive effect at any site;
- equal chunks give nothing, and so does a plan that was carried out;
- only accounts that are asked for and that differ are looked at.

What is barred (revoked since, or somebody else's now) does not come back; it is left as it is now, not taken
away: a revocation keeps things from returning, and withdraws nothing by itself. Taking away what the snapshot
did not have is no return, and so is not barred. A withdrawal lock keeps the subtractive half from a prefix.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from controller.bgp import Prefix, covers
from controller.safety.effects import step_effects, subtractive
from controller.snapshots.compile import CompileError, validate
from controller.snapshots.diff import ObjectStep, diff_trees
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    Chunk,
    ChunkHash,
    ChunkObject,
    ObjectKind,
    PrefixObject,
)
from controller.snapshots.objects import Objects, chunk_of, objects_of
from controller.snapshots.overlaps import Overlaps

Key = tuple[ObjectKind, str]
KINDS: tuple[ObjectKind, ...] = ("prefix", "binding", "bgp_prefix")
"""In the order in which things stand on each other: routes last."""


class Bar(msgspec.Struct, frozen=True):
    """An account may not have ``cidr`` back: ``why``, as a person reads it."""

    cidr: Prefix
    why: str


class Skipped(msgspec.Struct, frozen=True):
    """One object of the snapshot, or of now, that the rollback leaves as it is, and why."""

    kind: ObjectKind
    id: str
    cidr: Prefix
    why: str


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """What one account is to go through: ``now``, then ``between``, then ``target``."""

    account_id: str
    now: Chunk
    between: Chunk
    target: Chunk
    back: tuple[ObjectStep, ...]
    rest: tuple[ObjectStep, ...]
    skipped: tuple[Skipped, ...]

    @property
    def additive(self) -> tuple[Change, ...]:
        """The changes of the additive half; empty: nothing is to be restored."""
        return changes_of(self.back)

    @property
    def subtractive(self) -> tuple[Change, ...]:
        """The changes of the subtractive half."""
        return changes_of(self.rest)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do, and nothing was left undone."""
        return not (self.back or self.rest or self.skipped)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a rollback may not do with an account.

    ``bars``: what it may not have back; ``locked``: ids of prefixes from which nothing may be taken.
    """

    bars: Sequence[Bar] = ()
    locked: Collection[str] = ()


def plan(
    now: Mapping[str, ChunkHash],
    then: Mapping[str, ChunkHash],
    chunks: Mapping[ChunkHash, Chunk],
    sites: Sequence[str],
    limits: Mapping[str, Limits],
    *,
    accounts: Collection[str] | None = None,
) -> tuple[AccountPlan, ...]:
    """Return the plans of the accounts that differ between two trees, ordered by id.

    ``chunks`` has those of both trees for the accounts that differ; ``accounts`` None: all. An account for
    which nothing is to be done and nothing was skipped has no plan.
    """
    steps = [s for s in diff_trees(now, then) if accounts is None or s.account_id in accounts]
    plans = (
        plan_account(
            s.account_id,
            None if s.from_hash is None else chunks[s.from_hash],
            None if s.to_hash is None else chunks[s.to_hash],
            sites,
            limits.get(s.account_id, Limits()),
        )
        for s in steps
    )
    return tuple(p for p in plans if not p.is_empty)


def plan_account(
    account_id: str,
    now: Chunk | None,
    then: Chunk | None,
    sites: Sequence[str],
    limits: Limits = Limits(),
) -> AccountPlan:
    """Return how one account goes from its chunk ``now`` to the one of ``then``; None: it had nothing."""
    before, wanted = objects_of(now), objects_of(then)
    target, skipped = _less_barred(before, wanted, sites, limits.bars)
    between = _Adding(before, sites, limits.locked).all_of(target)
    target, kept = _less_locked(between, target, limits.locked)
    if kept:
        between = _Adding(before, sites, limits.locked).all_of(target)
    old = chunk_of(account_id, before)
    try:
        if target != wanted:  # the snapshot itself is valid, and by the laws so is what leads there
            validate(chunk_of(account_id, between))
            validate(chunk_of(account_id, target))
    except CompileError as error:
        why = (
            f"the account is left as it is, since what would be left of the snapshot does not stand: {error}"
        )
        whole = [Skipped(k, i, o.cidr, why) for (k, i), o in wanted.items() if before.get((k, i)) != o]
        return AccountPlan(account_id, old, old, old, (), (), tuple(whole))
    return AccountPlan(
        account_id,
        old,
        chunk_of(account_id, between),
        chunk_of(account_id, target),
        _steps(before, between),
        _steps(between, target),
        tuple(sorted((*skipped, *kept), key=lambda s: (s.kind, s.id))),
    )


def changes_of(steps: Iterable[ObjectStep]) -> tuple[Change, ...]:
    """Return the changes that take these steps: removals first, so that a place is free for another."""
    removes, puts = [], []
    for step in steps:
        if step.after is None or (step.before is not None and _is_moved(step.before, step.after)):
            removes.append(Change(remove=(step.kind, step.id)))
        if step.after is not None:
            puts.append(_put(step.after))
    return (*removes, *puts)


def _put(thing: ChunkObject) -> Change:
    if isinstance(thing, PrefixObject):
        return Change(prefix=thing)
    return Change(binding=thing) if isinstance(thing, BindingObject) else Change(bgp_prefix=thing)


def _steps(old: Objects, new: Objects) -> tuple[ObjectStep, ...]:
    order = {kind: n for n, kind in enumerate(KINDS)}
    keys = sorted(old.keys() | new.keys(), key=lambda k: (order[k[0]], k[1]))
    return tuple(ObjectStep(*k, old.get(k), new.get(k)) for k in keys if old.get(k) != new.get(k))


# -- what may not come back ---------------------------------------------------------------------------


def _less_barred(
    now: Objects, then: Objects, sites: Sequence[str], bars: Sequence[Bar]
) -> tuple[Objects, list[Skipped]]:
    """Return the snapshot with each barred object as it is now, where it would be brought back."""
    target = dict(then)
    if not bars:
        return target, []
    index = Overlaps((bar.cidr, bar) for bar in bars)
    skipped: list[Skipped] = []
    left: set[Key] = set()
    for (kind, id_), wanted in then.items():
        present = now.get((kind, id_))
        if present == wanted:
            continue  # it stands as it stood: that is for those to judge who barred it
        bar = _barred(wanted, index)
        if bar is None or (present is not None and not _adds(kind, present, wanted, sites)):
            continue
        skipped.append(Skipped(kind, id_, wanted.cidr, bar.why))
        if present is None:
            del target[kind, id_]
        else:
            target[kind, id_] = present
            left.add((kind, id_))
    _support(target, now, left)
    return target, skipped


def _barred(thing: ChunkObject, bars: Overlaps[Bar]) -> Bar | None:
    """Return the bar that keeps ``thing`` from coming back, if any.

    A route is barred by any part of it. What only surrounds a barred part (an onboarded prefix, a binding of
    more than it) reaches nobody without a route, and other parts stand on it.
    """
    found = bars.around(thing.cidr)
    if not found and isinstance(thing, BgpPrefixObject):
        found = bars.within(thing.cidr)
    return found[0] if found else None


def _adds(kind: ObjectKind, before: ChunkObject, after: ChunkObject, sites: Sequence[str]) -> bool:
    """Tell whether the step brings anything back at any site."""
    if _is_moved(before, after):
        return True
    return any(e.kind == "additive" for e in step_effects(ObjectStep(kind, after.id, before, after), sites))


def _less_locked(between: Objects, target: Objects, locked: Collection[str]) -> tuple[Objects, list[Skipped]]:
    """Return ``target`` with all that stands in locked prefixes as it is before the subtractive half."""
    if not locked:
        return target, []
    found, kept, left = dict(target), [], set()
    for key in sorted(between.keys() | target.keys()):
        here = between.get(key)
        if here is None or here == target.get(key) or _prefix_of(here) not in locked:
            continue
        why = "a withdrawal lock stands on its prefix: its owner takes it away first"
        kept.append(Skipped(*key, here.cidr, why))
        found[key] = here
        left.add(key)
    kept += _make_room(found, left)
    _support(found, between, left)
    return found, kept


def _make_room(target: Objects, left: Collection[Key]) -> list[Skipped]:
    """Take out what would need the place of something that is left as it is, with all that stands in it."""
    places = {(kind, target[kind, id_].cidr): (kind, id_) for kind, id_ in left}
    displaced = {k for k, o in target.items() if places.get((k[0], o.cidr), k) != k}
    displaced |= {
        k
        for k, o in target.items()
        if not isinstance(o, PrefixObject) and ("prefix", o.prefix_id) in displaced and k not in left
    }
    why = "its place is taken by something that is left as it is"
    return [Skipped(*k, target.pop(k).cidr, why) for k in sorted(displaced)]


def _support(target: Objects, source: Objects, left: Iterable[Key]) -> None:
    """Keep what the objects that are left as they are stand on: their prefix, and a route its bindings."""
    routes = [o for k in left if isinstance(o := target[k], BgpPrefixObject) and o.advertised]
    if routes:
        bound = Overlaps((o.cidr, o) for o in target.values() if isinstance(o, BindingObject))
        had = Overlaps((o.cidr, o) for o in source.values() if isinstance(o, BindingObject))
        for route in routes:
            if not bound.touching(route.cidr):
                target.update({("binding", o.id): o for o in had.touching(route.cidr)})
    for thing in list(target.values()):
        if not isinstance(thing, PrefixObject):
            parent: Key = ("prefix", thing.prefix_id)
            if parent not in target and parent in source:
                target[parent] = source[parent]


# -- the additive half --------------------------------------------------------------------------------


class _Adding:
    """An account's objects, to which others are added as far as that takes nothing away."""

    def __init__(self, now: Objects, sites: Sequence[str], locked: Collection[str]) -> None:
        self._found = dict(now)
        self._sites = sites
        self._locked = locked
        self._places: dict[tuple[ObjectKind, Prefix], Key] = {
            (k, o.cidr): (k, i) for (k, i), o in now.items()
        }
        self._standing: dict[str, set[Key]] = {}
        for key, thing in now.items():
            if not isinstance(thing, PrefixObject):
                self._standing.setdefault(thing.prefix_id, set()).add(key)

    def all_of(self, target: Objects) -> Objects:
        """Return the objects with all of ``target`` that can be put there; routes only on bindings."""
        for kind in KINDS:
            bound = Overlaps((o.cidr, k) for k, o in self._found.items() if k[0] == "binding")
            for key in sorted(k for k in target if k[0] == kind):
                put = self._fitting(key, target[key])
                if put is None:
                    continue
                if isinstance(put, BgpPrefixObject) and put.advertised and not bound.touching(put.cidr):
                    continue
                self._put(key, put)
        return self._found

    def _fitting(self, key: Key, wanted: ChunkObject) -> ChunkObject | None:
        """Return what of ``wanted`` can be put, having made room for it; None: nothing."""
        here = self._found.get(key)
        if here == wanted:
            return None
        if here is not None and _is_moved(here, wanted):
            if not self._clear(key):
                return None
            here = None
        if not isinstance(wanted, PrefixObject) and not _stands(wanted, self._found):
            return None
        other = self._places.get((key[0], wanted.cidr), key)
        if other != key and not self._clear(other):
            return None
        put = _additive_part(here, wanted, self._sites)
        return None if put == here else put

    def _put(self, key: Key, thing: ChunkObject) -> None:
        self._found[key], self._places[key[0], thing.cidr] = thing, key
        if not isinstance(thing, PrefixObject):
            self._standing.setdefault(thing.prefix_id, set()).add(key)

    def _clear(self, key: Key) -> bool:
        """Take an object out with all that stands in it; False: that would take something away."""
        gone = [key, *(self._standing.get(key[1], ()) if key[0] == "prefix" else ())]
        for each in gone:
            thing = self._found[each]
            if _prefix_of(thing) in self._locked or _takes(each, thing, None, self._sites):
                return False
        for each in gone:
            thing = self._found.pop(each)
            self._places.pop((each[0], thing.cidr), None)
            if not isinstance(thing, PrefixObject):
                self._standing[thing.prefix_id].discard(each)
        return True


def _additive_part(here: ChunkObject | None, wanted: ChunkObject, sites: Sequence[str]) -> ChunkObject | None:
    """Return ``wanted``, or as much of it as takes nothing away; None: nothing of it."""
    kind: ObjectKind = "bgp_prefix" if isinstance(wanted, BgpPrefixObject) else "binding"
    if isinstance(wanted, PrefixObject) or not _takes((kind, wanted.id), here, wanted, sites):
        return wanted
    if not isinstance(wanted, BgpPrefixObject) or not isinstance(here, BgpPrefixObject):
        return None
    if not wanted.advertised or not here.advertised:
        return None
    both: tuple[str, ...] | None = None
    if here.sites is not None and wanted.sites is not None:
        both = tuple(sorted({*here.sites, *wanted.sites}))
        both = wanted.sites if set(both) == set(wanted.sites) else both
    # Its origin is what peers hold now: changing that drops the route there first.
    return msgspec.structs.replace(here, sites=both, prepends=min(here.prepends, wanted.prepends))


def _stands(thing: BgpPrefixObject | BindingObject, found: Objects) -> bool:
    parent = found.get(("prefix", thing.prefix_id))
    return parent is not None and covers(parent.cidr, thing.cidr)


def _takes(key: Key, here: ChunkObject | None, after: ChunkObject | None, sites: Sequence[str]) -> bool:
    """Tell whether a step takes anything away at any site."""
    return here is not None and bool(subtractive(step_effects(ObjectStep(*key, here, after), sites)))


def _is_moved(before: ChunkObject, after: ChunkObject) -> bool:
    """Tell whether an id means another object: compiling refuses to change an object's CIDR or prefix."""
    return before.cidr != after.cidr or _prefix_of(before) != _prefix_of(after)


def _prefix_of(thing: ChunkObject) -> str:
    return thing.id if isinstance(thing, PrefixObject) else thing.prefix_id
