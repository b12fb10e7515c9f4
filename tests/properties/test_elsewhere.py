"""What is seen elsewhere: the very prefix, by a path without us, at independent observers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import AsPath, Prefix
from controller.observe.elsewhere import Held, held, seen_elsewhere
from controller.observe.rib import RibRow

MINE = Prefix("198.18.0.0/24")
OTHER, WIDER = Prefix("198.18.1.0/24"), Prefix("198.18.0.0/16")
US = 64500


def row(prefix: Prefix, path: AsPath, from_: str | None) -> RibRow:
    return RibRow("t1", "bird", prefix, True, path, "192.0.2.1", from_=from_)


def sees(*paths: AsPath, name: str = "t1") -> Held:
    """Return what an observer holds of us, and by ``paths`` of the prefix that moves."""
    rows = [row(OTHER, (US,), "router1"), *(row(MINE, path, "t9") for path in paths)]
    return held(name, rows, {"router1"}, [MINE])


def test_a_path_without_us_to_the_very_prefix_is_elsewhere() -> None:
    assert seen_elsewhere([sees((3000, 65001))], 1) == {MINE}
    assert seen_elsewhere([sees((3000, US)), sees((3000, US, 65001))], 1) == set(), "it comes from us"
    assert seen_elsewhere([sees((3000, (US, 65001)))], 1) == set(), "we are in its AS set"
    wider = held("t1", [row(OTHER, (US,), "router1"), row(WIDER, (3000,), "t9")], {"router1"}, [MINE])
    assert seen_elsewhere([wider], 1) == set(), "another length"


def test_an_observers_own_route_is_no_evidence() -> None:
    assert seen_elsewhere([sees(())], 1) == set()


def test_as_many_observers_must_agree_as_the_policy_says_or_all_that_answer() -> None:
    one, none = sees((3000,)), sees(name="t2")
    assert seen_elsewhere([one, none], 2) == set()
    assert seen_elsewhere([one, sees((3000,), name="t2")], 2) == {MINE}
    assert seen_elsewhere([one], 2) == {MINE}
    assert seen_elsewhere([], 2) == set()


def test_nobody_who_knows_us_tells_nothing() -> None:
    stranger = held("t1", [row(MINE, (3000,), "t9")], {"router1"}, [MINE])
    assert seen_elsewhere([stranger], 1) == set()


paths = st.lists(st.lists(st.sampled_from([US, 3000, 65001]), min_size=1, max_size=3).map(tuple), max_size=3)


@given(st.lists(paths, min_size=1, max_size=4), st.integers(1, 4))
def test_what_comes_from_us_alone_is_never_elsewhere(told: list[list[AsPath]], observers: int) -> None:
    found = seen_elsewhere([sees(*some, name=f"t{n}") for n, some in enumerate(told)], observers)
    others = sum(any(US not in path for path in some) for some in told)
    assert found == ({MINE} if others >= min(observers, len(told)) else set())
