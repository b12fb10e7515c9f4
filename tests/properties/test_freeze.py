"""Freezes: each has its owner, and nobody's word is lifted by another's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.safety.freeze import (
    BadFreezeError,
    Freeze,
    FreezeKind,
    NotYoursError,
    UnknownFreezeError,
    check,
    frozen,
    holds,
    lift,
)
from tests.safety_controller import SITES, at_sites, prefix

WITHDRAWAL = at_sites([prefix(1)], "withdraw")
ANNOUNCEMENT = at_sites([prefix(1)], "announce")

freezes = st.lists(
    st.builds(
        Freeze,
        st.uuids().map(str),
        st.sampled_from(["fleet", "account:a", "account:b", "site:s1", "site:s9", "actor:task:t"]),
        st.sampled_from(["subtractive", "all"]),
        st.sampled_from(["operator:o1", "operator:o2", "customer:a"]),
        st.just("a reason"),
        st.floats(0, 100),
        st.none() | st.floats(100, 200),
    ),
    max_size=6,
    unique_by=lambda f: f.id,
)


def freeze(scope: str = "fleet", kind: FreezeKind = "subtractive", expires: float | None = None) -> Freeze:
    return Freeze("f1", scope, kind, "operator:o1", "a fibre works", 0.0, expires)


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        ("fleet", True),
        ("account:a", True),
        ("account:b", False),
        ("site:s1", True),
        ("site:s9", False),
        ("actor:operator:x", True),
        ("actor:operator:y", False),
    ],
)
def test_a_freeze_holds_its_scope_and_no_more(scope: str, held: bool) -> None:
    assert (frozen([freeze(scope)], WITHDRAWAL, "operator:x", "a", 1.0, owner=False) is not None) == held
    assert frozen([freeze(scope)], ANNOUNCEMENT, "operator:x", "a", 1.0, owner=False) is None
    everything = freeze(scope, "all")
    assert (frozen([everything], ANNOUNCEMENT, "operator:x", "a", 1.0, owner=False) is not None) == held


@given(freezes, st.floats(0, 300))
def test_an_owners_additive_change_passes_any_freeze(found: list[Freeze], now: float) -> None:
    assert frozen(found, ANNOUNCEMENT, "customer:a", "a", now, owner=True) is None


@given(freezes, st.floats(0, 300))
def test_ones_unfreeze_lifts_nobody_elses(found: list[Freeze], now: float) -> None:
    for one in found:
        if not holds(one, now):
            with pytest.raises(UnknownFreezeError):
                lift(found, one.id, one.by, now)
            continue
        left = lift(found, one.id, one.by, now)
        assert set(left) == {f for f in found if holds(f, now)} - {one}
        for other in {"operator:o1", "operator:o2", "customer:a", "task:t"} - {one.by}:
            with pytest.raises(NotYoursError):
                lift(found, one.id, other, now)
        # Whatever still holds the candidate held it before.
        after = frozen(left, WITHDRAWAL, "task:t", "a", now, owner=False)
        assert after is None or after in found


@given(freezes)
def test_more_freezes_never_let_more_through(found: list[Freeze]) -> None:
    for n in range(len(found)):
        if frozen(found[:n], WITHDRAWAL, "task:t", "a", 50.0, owner=False) is not None:
            assert frozen(found, WITHDRAWAL, "task:t", "a", 50.0, owner=False) is not None


def test_two_operators_lift_what_its_owner_left_behind() -> None:
    left = [freeze()]
    assert lift(left, "f1", "operator:o2", 1.0, second="operator:o3") == ()
    for by, second in [
        ("operator:o2", "operator:o2"),
        ("operator:o2", "task:t"),
        ("customer:a", "customer:b"),
    ]:
        with pytest.raises(NotYoursError):
            lift(left, "f1", by, 1.0, second=second)


def test_a_freeze_ends_with_its_time_and_a_clock_behind_does_not_delay_it() -> None:
    one = freeze(expires=100.0)
    assert frozen([one], WITHDRAWAL, "operator:x", "a", -50.0, owner=False) == one
    assert frozen([one], WITHDRAWAL, "operator:x", "a", 99.9, owner=False) == one
    assert frozen([one], WITHDRAWAL, "operator:x", "a", 100.0, owner=False) is None


@pytest.mark.parametrize(
    "bad",
    [
        Freeze("f", "planet", "all", "operator:o", "why", 0.0),
        Freeze("f", "site:", "all", "operator:o", "why", 0.0),
        Freeze("f", "class:withdraw", "all", "operator:o", "why", 0.0),
        Freeze("f", "fleet", "all", "operator:o", "  ", 0.0),
        Freeze("f", "fleet", "all", "operator:o", "why", 5.0, 5.0),
    ],
)
def test_a_freeze_that_makes_no_sense_is_refused(bad: Freeze) -> None:
    with pytest.raises(BadFreezeError):
        check(bad)
    check(freeze())
    assert SITES


def test_it_says_who_and_why_and_what_ends_it() -> None:
    assert freeze().says == (
        "operator:o1 froze subtractive changes of fleet (a fibre works): wait until it is lifted "
        "(herald unfreeze)"
    )
