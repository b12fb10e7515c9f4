"""The ledger: what counts, where, and for how long; the same as counting it all over each time."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.safety.effects import EffectVerb
from controller.safety.policy import Policy, Window
from controller.safety.windows import (
    BREADTH,
    FLEET,
    OWNERS,
    Entry,
    Ledger,
    Outcome,
    charged,
    limits,
    too_many,
)
from tests.safety_controller import prefix

POLICY = Policy()
SCOPES = [FLEET, OWNERS, BREADTH, "actor:task:t", "actor:operator:o", "account:a1", "class:withdraw"]
DAY = 86400.0


def entry(
    at: float,
    actor: str = "task:t",
    n: int = 0,
    *,
    account: str = "a1",
    owned: bool = False,
    gone: bool = False,
    outcome: Outcome = "admitted",
    verb: EffectVerb = "withdraw",
) -> Entry:
    return Entry(at, actor, account, verb, prefix(n), ("s1",), owned, gone, outcome)


entries = st.builds(
    entry,
    st.floats(0, 3 * DAY),
    st.sampled_from(["task:t", "operator:o", "customer:a1"]),
    st.integers(0, 8),
    account=st.sampled_from(["a1", "a2", "a3"]),
    owned=st.booleans(),
    gone=st.booleans(),
    outcome=st.sampled_from(["admitted", "held", "released"]),
    verb=st.sampled_from(["withdraw", "unbind"]),
)


def counted_anew(seen: Iterable[tuple[float, Entry]], scope: str, now: float, window: Window) -> int:
    """Count as a reader of the table would: different prefixes, each with its greatest weight."""
    weights: dict[str, int] = {}
    for at, one in seen:
        if scope in charged(one) and now - window.seconds < at:
            key = one.account_id if scope == BREADTH else one.prefix
            weight = POLICY.breaker.gone_counts if one.gone and not one.owned else 1
            weights[key] = max(weights.get(key, 0), weight)
    return sum(weights.values())


@given(st.lists(entries, max_size=30), st.lists(entries, max_size=3))
def test_incremental_counts_are_never_less_than_counting_anew(found: list[Entry], plus: list[Entry]) -> None:
    """Times come in any order (a clock that jumps back): none is forgotten early."""
    ledger, seen, now = Ledger(POLICY), [], float("-inf")
    for one in found:
        now = max(now, one.at)
        seen.append((now, one))
        ledger.record([one])
        for scope in SCOPES:
            counts = ledger.counts(scope, one.at)
            for window in limits(POLICY, scope):
                anew = counted_anew(seen, scope, now, window)
                # A prefix keeps its greatest weight as long as it is there at all.
                assert anew <= counts[window.seconds] <= anew * POLICY.breaker.gone_counts
                if not any(e.gone for _, e in seen):
                    assert counts[window.seconds] == anew
    for scope in SCOPES:
        with_plus = ledger.counts(scope, now, plus)
        for window in limits(POLICY, scope):
            anew = counted_anew([*seen, *((now, p) for p in plus)], scope, now, window)
            assert anew <= with_plus[window.seconds]


@given(st.lists(entries, max_size=30))
def test_a_ledger_that_is_put_together_again_counts_the_same(found: list[Entry]) -> None:
    ledger = Ledger(POLICY)
    ledger.record(sorted(found, key=lambda e: e.at))
    again = Ledger(POLICY, ledger.entries)
    for scope in SCOPES:
        assert ledger.counts(scope, ledger.now) == again.counts(scope, ledger.now)


def test_what_no_window_reaches_is_let_go() -> None:
    ledger = Ledger(POLICY)
    ledger.record(entry(float(n), actor=f"task:t{n}", n=n) for n in range(100))
    assert len(ledger.entries) == 100
    ledger.record([entry(DAY + 200.0, n=7)])
    assert len(ledger.entries) == 1
    assert ledger.counts("actor:task:t5", DAY + 200.0)[86400] == 0
    assert len(ledger._windows) == 4


def test_a_window_is_open_at_its_far_end() -> None:
    ledger = Ledger(POLICY)
    ledger.record([entry(0.0)])
    assert ledger.counts(FLEET, 59.9)[60] == 1
    assert ledger.counts(FLEET, 60.0)[60] == 0
    assert ledger.counts(FLEET, 60.0)[600] == 1
    assert ledger.first(FLEET, 600, 60.0) == 0.0


def test_the_same_prefix_counts_once_and_more_when_it_is_gone() -> None:
    ledger = Ledger(POLICY)
    ledger.record([entry(0.0), entry(1.0), entry(2.0, verb="unbind")])
    assert ledger.counts(FLEET, 2.0)[60] == 1
    ledger.record([entry(3.0, gone=True)])
    assert ledger.counts(FLEET, 3.0)[60] == 2


@pytest.mark.parametrize(
    ("one", "scopes"),
    [
        (entry(0.0, "customer:a1", owned=True), {"account:a1", OWNERS}),
        (entry(0.0, "customer:a1", owned=True, outcome="held"), set()),
        (entry(0.0, "customer:a1", outcome="held"), set()),
        (entry(0.0), {"actor:task:t", "class:withdraw", FLEET, BREADTH}),
        (entry(0.0, outcome="held"), {"actor:task:t"}),
        (entry(0.0, "operator:o", outcome="held"), set()),
        (entry(0.0, outcome="released"), set()),
    ],
)
def test_what_is_charged_to_whom(one: Entry, scopes: set[str]) -> None:
    assert set(charged(one)) == scopes


def test_closing_the_fleet_begins_to_count_anew_and_stays_so_after_a_restart() -> None:
    ledger = Ledger(POLICY)
    ledger.record(entry(float(n), n=n) for n in range(30))
    ledger.forget(FLEET, 30.0)
    assert ledger.counts(FLEET, 30.0)[600] == 0
    assert ledger.counts("actor:task:t", 30.0)[600] == 30
    ledger.record([entry(31.0, n=99)])
    again = Ledger(POLICY, ledger.entries, ledger.closed)
    assert again.counts(FLEET, 31.0)[600] == ledger.counts(FLEET, 31.0)[600] == 1


@given(st.integers(0, 50), st.integers(0, 10000), st.integers(0, 40), st.floats(0, 1))
def test_a_share_counts_only_above_the_floor(count: int, total: int, number: int, share: float) -> None:
    window = Window(seconds=60, number=number, share=share)
    if count <= number and count <= 5:
        assert not too_many(count, window, total, 5)
    if count > number:
        assert too_many(count, window, total, 5)
