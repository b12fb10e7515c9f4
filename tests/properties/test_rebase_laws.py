"""A change applied on both sides of a staged roll-out: nothing of either is lost, in whatever order."""

from __future__ import annotations

import contextlib

from hypothesis import assume, given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.rollout.rebase import Overlap, rebase, restore, touched
from controller.safety.effects import effects, subtractive
from controller.snapshots.compile import CompileError, apply
from controller.snapshots.diff import apply_to_chunk, diff_chunks
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    Chunk,
    PrefixObject,
)
from controller.snapshots.objects import objects_of
from controller.snapshots.rollback import plan_account

WHOLE = [Prefix(f"198.18.{n}.0/24") for n in range(4)]
NUMBERS = st.integers(0, 3)


def put_prefix(n: int) -> Change:
    return Change(prefix=PrefixObject(f"p{n}", WHOLE[n], None))


def put_bgp(n: int, advertised: bool, prepends: int) -> Change:
    return Change(bgp_prefix=BgpPrefixObject(f"g{n}", f"p{n}", WHOLE[n], None, advertised, None, prepends))


def put_binding(n: int, service: str) -> Change:
    return Change(binding=BindingObject(f"b{n}", f"p{n}", WHOLE[n], service))


CHANGES = st.one_of(
    st.builds(put_prefix, NUMBERS),
    st.builds(put_bgp, NUMBERS, st.booleans(), st.integers(0, 3)),
    st.builds(put_binding, NUMBERS, st.sampled_from(["cdn", "spectrum"])),
    st.builds(
        lambda kind, n: Change(remove=(kind, f"{kind[0] if kind != 'bgp_prefix' else 'g'}{n}")),
        st.sampled_from(["prefix", "bgp_prefix", "binding"]),
        NUMBERS,
    ),
)
SETS = st.lists(CHANGES, min_size=1, max_size=6).map(
    lambda found: ChangeSet("cs", "acme", "customer:t1", "why", "2026-01-01T00:00:00Z", tuple(found))
)


def built(sets: list[ChangeSet]) -> Chunk | None:
    """Return what those change-sets that fit make of nothing."""
    onboarded = (*map(put_prefix, range(3)), *(put_binding(n, "cdn") for n in range(3)))
    chunk: Chunk | None = apply(None, ChangeSet("cs0", "acme", "a", "", "", onboarded))
    for change_set in sets:
        with contextlib.suppress(CompileError):
            chunk = apply(chunk, change_set)
    return chunk


@given(st.lists(SETS, max_size=3), SETS, SETS)
def test_both_sides_get_the_change_and_keep_what_is_between_them(
    before: list[ChangeSet], staged: ChangeSet, change: ChangeSet
) -> None:
    old = built(before)
    try:
        new = apply(old, staged)
        new_changed = apply(new, change)
    except CompileError:
        assume(False)
        raise AssertionError from None
    found = rebase(old, new, change)
    if isinstance(found, Overlap):
        moving = {(s.kind, s.id) for s in diff_chunks(old, new)}
        fits = True
        try:
            apply(old, change)
        except CompileError:
            fits = False
        assert not fits or moving & touched(change.changes), found.why
        return
    assert diff_chunks(found, new_changed) == diff_chunks(old, new)
    assert diff_chunks(old, found) == diff_chunks(new, new_changed)
    assert apply_to_chunk("acme", found, diff_chunks(old, new)) == new_changed


@given(st.lists(SETS, max_size=3), SETS)
def test_a_change_to_what_is_being_changed_waits(before: list[ChangeSet], staged: ChangeSet) -> None:
    old = built(before)
    try:
        new = apply(old, staged)
    except CompileError:
        assume(False)
        raise AssertionError from None
    found = rebase(old, new, staged)
    if diff_chunks(old, new):
        assert isinstance(found, Overlap)
    else:
        assert found == new


@given(st.lists(SETS, max_size=3), SETS, SETS)
def test_what_a_rollback_restores_takes_nothing_from_sites_that_the_roll_out_has_not_reached(
    before: list[ChangeSet], since: ChangeSet, staged: ChangeSet
) -> None:
    then = built(before)
    try:
        old = apply(then, since)
        new = apply(old, staged)
    except CompileError:
        assume(False)
        raise AssertionError from None
    half = plan_account("acme", new, then, ("site1", "site2")).additive
    change = ChangeSet("cs", "acme", "operator:o", "", "2026-01-01T00:00:00Z", half, lane="rollback")
    found = restore(old, change, ("site1", "site2"))
    if isinstance(found, Overlap):
        return
    assert subtractive(effects(old, found, ("site1", "site2"))) == ()
    restored = objects_of(apply(new, change))
    for key in {k for k in touched(half) if k in restored}:
        assert objects_of(found)[key] == restored[key]
