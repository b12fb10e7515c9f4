"""Correlated health withdrawals, and falling visibility: one mistake, or one observer's own trouble."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.observe.visibility import Seen, Visibility
from controller.safety.correlated import Wish, Wishes, correlation, may_withdraw
from controller.safety.policy import Correlated

OURS = [Prefix(f"198.18.{n}.0/24") for n in range(20)]
POLICY = Correlated()


def wishes(*heard: tuple[str, int, float]) -> Wishes:
    """Fold (site, how many prefixes it wants gone, when)."""
    found = Wishes()
    for site, count, at in heard:
        found = found.heard(site, OURS[:count], at, POLICY)
    return found


def test_one_ill_site_may_withdraw_and_a_quorum_may_not() -> None:
    alone = wishes(("s1", 3, 0.0), ("s2", 0, 1.0), ("s3", 0, 1.0))
    assert correlation(alone, 6, POLICY) is None
    assert may_withdraw(alone.wished[0], alone, 6, POLICY)
    many = wishes(("s1", 3, 0.0), ("s2", 1, 60.0), ("s3", 2, 119.0))
    found = correlation(many, 6, POLICY)
    assert found is not None
    assert found.sites == ("s1", "s2", "s3")
    assert found.says.startswith("3 of 6 sites (s1, s2, s3) want to withdraw 3 prefixes for their health")
    assert not any(may_withdraw(w, many, 6, POLICY) for w in many.wished)


def test_sites_that_fall_ill_hours_apart_are_not_correlated() -> None:
    apart = wishes(("s1", 3, 0.0), ("s2", 1, 3600.0), ("s3", 2, 7200.0))
    assert correlation(apart, 6, POLICY) is None


def test_a_wish_that_was_granted_a_moment_ago_still_counts() -> None:
    """Otherwise sites that withdraw one after another would each be the only one that wants to."""
    one_by_one = wishes(("s1", 3, 0.0), ("s1", 0, 1.0), ("s2", 3, 2.0), ("s2", 0, 3.0), ("s3", 3, 4.0))
    assert correlation(one_by_one, 6, POLICY) is not None
    assert (
        correlation(wishes(("s1", 3, 0.0), ("s1", 0, 1.0), ("s1", 0, 200.0), ("s2", 1, 201.0)), 2, POLICY)
        is None
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["s1", "s2", "s3", "s4"]), st.integers(0, 3), st.integers(0, 400)),
        max_size=12,
    )
)
def test_a_quorum_within_the_window_is_found_whatever_the_order_of_reports(
    heard: list[tuple[str, int, int]],
) -> None:
    inorder = sorted(heard, key=lambda h: h[2])
    found = wishes(*((s, n, float(t)) for s, n, t in inorder))
    began: dict[str, set[float]] = {}
    for wish in found.wished:
        began.setdefault(wish.site, set()).add(wish.since)
    quorum = max(POLICY.least, math.ceil(POLICY.share * 4))
    together = any(
        sum(any(t <= other <= t + POLICY.window_s for other in times) for times in began.values()) >= quorum
        for t in {x for times in began.values() for x in times}
    )
    assert (correlation(found, 4, POLICY) is not None) == together
    for wish in found.wished:
        assert wish == Wish(wish.site, wish.prefix, wish.since)
        assert wish.prefix in OURS[:3]


@given(st.integers(2, 12), st.sets(st.integers(0, 11)))
def test_more_sites_that_want_it_never_end_a_correlation(sites: int, ill: set[int]) -> None:
    ill = {n for n in ill if n < sites}
    found = correlation(wishes(*((f"s{n}", 1, 0.0) for n in sorted(ill))), sites, POLICY)
    assert (found is not None) == (len(ill) >= max(2, math.ceil(sites / 2)))


# -- visibility ---------------------------------------------------------------------------------------------


def look(at: float, lost: int = 0, *, observers: int = 3, shrunk: int = 0) -> list[Seen]:
    """All observers at one moment; of the first ``shrunk`` of them most of what they told is missing."""
    return [
        Seen(f"o{n}", at, frozenset(OURS[18:] if n < shrunk else OURS[lost:]), 2 if n < shrunk else 20 - lost)
        for n in range(observers)
    ]


WANTED = frozenset(OURS)


def test_prefixes_that_most_observers_lose_show() -> None:
    seen = Visibility().take(look(0.0)).take(look(60.0, lost=5))
    fall = seen.fall(WANTED, 600.0, 60.0)
    assert fall.prefixes == tuple(OURS[:5])
    assert fall.share == 0.25
    assert fall.says.startswith("5 of 20 prefixes (25.0%) have gone from the sight of most of 3 observers")


def test_what_nobody_wants_any_more_does_not_count() -> None:
    seen = Visibility().take(look(0.0)).take(look(60.0, lost=5))
    assert seen.fall(frozenset(OURS[5:]), 600.0, 60.0).prefixes == ()


def test_one_observer_that_shrinks_is_left_out_and_all_of_them_are_not() -> None:
    one = Visibility().take(look(0.0)).take(look(60.0, shrunk=1)).fall(WANTED, 600.0, 60.0)
    assert (one.prefixes, one.left_out, one.observers) == ((), ("o0",), 2)
    all_of_them = Visibility().take(look(0.0)).take(look(60.0, shrunk=3)).fall(WANTED, 600.0, 60.0)
    assert len(all_of_them.prefixes) == 18


def test_an_observer_that_is_away_says_nothing() -> None:
    seen = Visibility().take(look(0.0)).take(look(60.0, observers=2))
    assert seen.fall(WANTED, 600.0, 60.0).observers == 2
    assert Visibility().take(look(0.0)).fall(WANTED, 600.0, 9999.0).of == 0
    gone_silent = Visibility().take(look(0.0)).take(look(60.0))  # and an hour later nobody has looked again
    assert gone_silent.fall(WANTED, 7200.0, 3600.0).observers == 0
    lonely = Visibility().take(look(0.0, observers=1)).take(look(60.0, observers=1, shrunk=1))
    assert (
        lonely.fall(WANTED, 600.0, 60.0).prefixes == ()
    )  # nobody else can tell whether it is its own trouble


@given(st.lists(st.integers(0, 8), min_size=2, max_size=8), st.integers(1, 5))
def test_slow_drips_add_up_over_the_window(lost: list[int], observers: int) -> None:
    """However small each step, what is gone since the window began is what counts."""
    totals = [min(sum(lost[: n + 1]), 10) for n in range(len(lost))]
    seen = Visibility().take(look(0.0, observers=observers))
    for n, total in enumerate(totals):
        seen = seen.take(look(float(n + 1), total, observers=observers))
    now = float(len(totals))
    assert len(seen.fall(WANTED, 3600.0, now).prefixes) == totals[-1]
