"""Signals: what is observed opens the smallest scope that explains it, and ordinary life opens none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.safety.breaker import Exceeded, State, step
from controller.safety.correlated import Correlation
from controller.safety.observed import (
    Detection,
    Fallen,
    Sample,
    correlated,
    detection,
    falling,
    shrunk,
    worse_off,
)
from controller.safety.policy import Guards, Policy
from controller.safety.windows import Entry, Ledger
from tests.safety_controller import prefix

POLICY = Policy()
LOST = frozenset(prefix(n) for n in range(30))
ACCOUNTS = {prefix(n): f"c{n // 10}" for n in range(30)}


def ledger(*actors: str, owned: bool = False, at: float = 900.0) -> Ledger:
    """Return a ledger in which these actors took the lost prefixes away, in turn."""
    found = Ledger(POLICY)
    for n, cidr in enumerate(sorted(LOST)) if actors else ():
        account = ACCOUNTS[cidr]
        found.record([Entry(at, actors[n % len(actors)], account, "withdraw", cidr, ("s1",), owned)])
    return found


def test_what_falls_out_of_sight_opens_the_actor_that_did_it() -> None:
    fallen = Fallen(LOST, 4306, 600.0, ACCOUNTS)
    found = falling(fallen, ledger("task:t"), POLICY, 1000.0)
    assert found is not None
    assert (found.scope, found.check, found.first_harm) == ("actor:task:t", "visibility", 900.0)
    assert found.accounts == ("c0", "c1", "c2")
    several = falling(fallen, ledger("task:t", "task:u"), POLICY, 1000.0)
    assert several is not None
    assert several.scope == "fleet"
    nobody = falling(fallen, ledger(), POLICY, 1000.0)
    assert nobody is not None
    assert (nobody.scope, nobody.first_harm) == ("fleet", 1000.0)


def test_what_one_account_loses_opens_that_account() -> None:
    mine = dict.fromkeys(LOST, "c7")
    found = falling(Fallen(LOST, 4306, 600.0, mine), ledger(), POLICY, 1000.0)
    assert found is not None
    assert found.scope == "account:c7"


def test_what_owners_took_away_is_no_harm_and_a_slow_fall_no_fast_one() -> None:
    fallen = Fallen(LOST, 4306, 600.0, ACCOUNTS)
    assert falling(fallen, ledger("customer:c0", owned=True), POLICY, 1000.0) is None
    slow = Fallen(frozenset(sorted(LOST)[:15]), 4306, 600.0, ACCOUNTS)
    assert falling(slow, ledger(), POLICY, 1000.0) is None
    fast = Fallen(frozenset(sorted(LOST)[:15]), 4306, 60.0, ACCOUNTS)
    assert falling(fast, ledger(), POLICY, 1000.0) is not None


@given(st.integers(0, 30), st.integers(1, 6))
def test_small_fleets_are_not_all_false_alarms(count: int, of: int) -> None:
    lost = frozenset(sorted(LOST)[: min(count, of, POLICY.breaker.floor)])
    assert falling(Fallen(lost, of, 30.0), ledger(), POLICY, 1000.0) is None


def test_changed_accounts_are_compared_with_unchanged_ones() -> None:
    found = worse_off(
        Sample(4, 10), Sample(1, 100), ["c0", "c1"], ledger("operator:o"), policy=POLICY, now=1000.0
    )
    assert found is not None
    assert (found.scope, found.accounts) == ("actor:operator:o", ("c0", "c1"))
    assert (
        worse_off(Sample(4, 10), Sample(40, 100), ["c0"], ledger("operator:o"), policy=POLICY, now=1000.0)
        is None
    )
    assert (
        worse_off(Sample(1, 1), Sample(0, 100), ["c0"], ledger("operator:o"), policy=POLICY, now=1000.0)
        is None
    )
    assert (
        worse_off(Sample(4, 10), Sample(0, 0), ["c0"], ledger("operator:o"), policy=POLICY, now=1000.0)
        is None
    )


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50), st.integers(1, 50))
def test_what_ails_everybody_alike_is_not_laid_on_the_changes(a: int, b: int, c: int, d: int) -> None:
    changed, unchanged = Sample(min(a, b), b), Sample(min(c, d), d)
    found = worse_off(changed, unchanged, ["c0"], ledger(), policy=POLICY, now=0.0)
    if changed.share <= unchanged.share:
        assert found is None
    elif found is not None:
        assert changed.share - unchanged.share > POLICY.signals.health_worse


def test_a_quorum_of_sites_stops_withdrawals() -> None:
    found = correlated(Correlation(("s1", "s2", "s3"), 6, tuple(sorted(LOST)), 5.0), 9.0)
    assert (found.scope, found.first_harm) == ("class:withdraw", 5.0)
    assert found.says.startswith("3 of 6 sites")


@pytest.mark.parametrize(
    ("before", "after", "opens"),
    [
        (4306, 2000, True),
        (4306, 0, True),
        (4306, 2153, False),
        (4306, 9000, False),
        (5, 0, False),
        (6, 0, True),
    ],
)
def test_a_source_that_shrank_opens_what_works_by_it(before: int, after: int, opens: bool) -> None:
    found = shrunk("the registry", before, after, policy=POLICY, now=1.0, actor="task:t")
    assert (found is not None) == opens
    if found is not None:
        assert found.scope == "actor:task:t"
        assert shrunk("the registry", before, after, policy=POLICY, now=1.0).scope == "fleet"  # type: ignore[union-attr]
        off = Policy(guards=Guards(shrinkage=False))
        assert shrunk("the registry", before, after, policy=off, now=1.0) is None


def test_the_time_to_detection_is_measured_from_the_first_harm_of_all() -> None:
    assert detection(()) is None
    state = State()
    for scope, harm, at in [("actor:task:t", 100.0, 105.5), ("fleet", 90.0, 121.8)]:
        state, _ = step(state, Exceeded(scope, "x", "y", harm), at, POLICY)
    found = detection(state.open.values())
    assert found == Detection(90.0, 105.5, {"actor:task:t": 15.5, "fleet": pytest.approx(31.8)})
    assert found.says == (
        "detected 15.5 s after the first harm (actor:task:t after 15.5 s, fleet after 31.8 s)"
    )
