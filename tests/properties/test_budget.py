"""The withdrawal budget: no window ever holds more than it allows, whatever the clocks and restarts do."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.safety.budget import Budget, Limit, Reading

LIMITS = (Limit(60, 3), Limit(600, 7))
OURS = [Prefix(f"198.18.{n}.0/24") for n in range(30)]


def wish(count: int) -> list[Prefix]:
    return OURS[:count]


moves = st.lists(
    st.tuples(
        st.sampled_from(["run", "back", "reboot", "restart", "old picture"]),
        st.floats(0, 400),
        st.integers(0, 6),
    ),
    max_size=40,
)


@given(moves)
def test_no_window_of_true_time_ever_holds_more_than_its_limit(
    history: list[tuple[str, float, int]],
) -> None:
    """True time runs; the monotonic clock may go back, begin anew, or be put back with the machine."""
    budget, boot, clock, true_time = Budget(), 1, 0.0, 0.0
    done: list[float] = []
    for what, seconds, count in history:
        if what == "reboot":
            # Off for some time: nobody can tell for how long.
            boot, clock, true_time = boot + 1, count * 1e4, true_time + seconds
        elif what in {"back", "old picture"}:
            clock = max(0.0, clock - seconds)
        elif what == "restart":
            budget = msgspec.json.decode(msgspec.json.encode(budget), type=Budget)
        else:
            clock, true_time = clock + seconds, true_time + seconds
        spending = budget.try_spend(wish(count), Reading(f"boot-{boot}", clock), LIMITS)
        assert len(spending.allowed) + len(spending.held) == count
        budget = spending.budget
        done += [true_time] * len(spending.allowed)
        for limit in LIMITS:
            within = [t for t in done if t > true_time - limit.seconds + 1e-6]
            assert len(within) <= limit.number, (what, limit, within)


def test_a_budget_refills_as_its_own_boot_shows_time_to_pass() -> None:
    first = Budget().try_spend(wish(5), Reading("b", 100.0), LIMITS)
    assert (len(first.allowed), len(first.held), first.wait_s, first.limit) == (3, 2, 60.0, LIMITS[0])
    assert first.says == (
        "2 of 5 withdrawals are held: this site allows 3 in 60 s; more will be allowed in 60 s, or by an "
        "override"
    )
    assert first.budget.room(LIMITS, Reading("b", 159.9)) == 0
    assert first.budget.room(LIMITS, Reading("b", 160.0)) == 3
    again = first.budget.try_spend(wish(3), Reading("b", 160.0), LIMITS).budget
    last = again.try_spend(wish(3), Reading("b", 220.0), LIMITS)
    assert (len(last.allowed), last.wait_s, last.limit) == (1, 480.0, LIMITS[1])


def test_a_reboot_never_refills() -> None:
    spent = Budget().try_spend(wish(3), Reading("b", 100.0), LIMITS).budget
    assert spent.room(LIMITS, Reading("other", 1e9)) == 0
    booted = spent.at(Reading("other", 50.0))
    assert booted.room(LIMITS, Reading("other", 109.0)) == 0
    assert booted.room(LIMITS, Reading("other", 110.0)) == 3


def test_a_clock_that_goes_back_and_forth_makes_no_time() -> None:
    budget = Budget().try_spend(wish(3), Reading("b", 100.0), LIMITS).budget
    for _ in range(10):
        budget = budget.at(Reading("b", 50.0)).at(Reading("b", 100.0))
    assert budget.room(LIMITS, Reading("b", 100.0)) == 0


def test_a_state_that_is_lost_counts_as_all_spent() -> None:
    budget = Budget.exhausted(LIMITS, Reading("b", 5.0))
    assert budget.room(LIMITS, Reading("b", 6.0)) == 0
    assert budget.room(LIMITS, Reading("b", 606.0)) == 3


def test_nothing_is_unlimited_and_zero_is_never() -> None:
    assert Budget().room((), Reading("b", 0.0)) == 0
    none = Budget().try_spend(wish(1), Reading("b", 0.0), (Limit(60, 0),))
    assert (none.allowed, none.wait_s) == ((), None)
    assert "never by itself" in none.says


def test_what_was_forced_counts_too_and_longer_windows_put_in_later_see_it() -> None:
    forced = Budget().charge(wish(10), Reading("b", 0.0), LIMITS)
    assert forced.room(LIMITS, Reading("b", 599.0)) == 0
    assert forced.room(LIMITS, Reading("b", 600.0)) == 3
    later = forced.try_spend(wish(1), Reading("b", 700.0), LIMITS).budget
    assert later.room((Limit(3600, 11),), Reading("b", 701.0)) == 0
