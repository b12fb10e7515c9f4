"""Waves: all sites, each once; canaries that differ, an unchanged control, shares that grow."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from controller.rollout.waves import bake_s, is_gated, plan_waves
from controller.safety.policy import Waves

POLICY = Waves()
NAMES = st.integers(0, 60).map(lambda n: [f"site{k}" for k in range(n)])
IDS = st.integers(0, 500).map(str)


@given(IDS, NAMES, st.data(), st.booleans())
def test_every_site_is_in_one_wave_once(id_: str, sites: list[str], data: st.DataObject, gated: bool) -> None:
    some = st.lists(st.sampled_from(sites), unique=True) if sites else st.just([])
    touched, unfit = data.draw(st.none() | some), data.draw(some)
    found = plan_waves(id_, sites, POLICY, gated=gated, touched=touched, unfit=unfit)
    assert sorted(s for w in found.waves for s in w) == sorted(sites)
    assert all(found.waves)
    if not gated:
        assert len(found.waves) <= 1 and not found.gated


@given(IDS, st.integers(3, 60), st.integers(0, 3))
def test_two_canaries_go_first_and_a_control_goes_last(id_: str, count: int, unfit_count: int) -> None:
    sites = [f"site{k}" for k in range(count)]
    kinds = {s: "exabgp" if n % 3 else "gobgp" for n, s in enumerate(sites)}
    unfit = sites[:unfit_count] if count > 5 else []
    found = plan_waves(id_, sites, POLICY, gated=True, kinds=kinds, unfit=unfit)
    assert len(found.waves[0]) == 2
    assert not set(found.waves[0]) & set(unfit)
    assert len({kinds[s] for s in found.waves[0]}) == 2, "canaries are unlike one another where sites are"
    assert len(found.control) == 1 and set(found.control) <= set(found.waves[-1])
    assert not set(found.control) & set(unfit)
    reached = list(itertools.accumulate(len(w) for w in found.waves))
    shares = {math.ceil(share * count) for share in POLICY.shares} | {2, count - 1}
    assert set(reached) <= shares and reached[-1] == count
    if count > 8:
        assert len(reached) >= 4, "and no wave is nearly all of them"


@given(st.integers(4, 60))
def test_it_is_not_always_the_same_site_that_pays(count: int) -> None:
    sites = [f"site{k}" for k in range(count)]
    first = {plan_waves(str(n), sites, POLICY, gated=True).waves[0] for n in range(40)}
    assert len(first) > 1
    assert plan_waves("7", sites, POLICY, gated=True) == plan_waves("7", sites[::-1], POLICY, gated=True)


def test_few_sites() -> None:
    assert plan_waves("r", [], POLICY, gated=True).waves == ()
    assert plan_waves("r", ["a"], POLICY, gated=True).waves == (("a",),)
    assert sorted(plan_waves("r", ["a", "b"], POLICY, gated=True).waves) == [("a",), ("b",)]
    three = plan_waves("r", ["a", "b", "c"], POLICY, gated=True)
    assert [len(w) for w in three.waves] == [2, 1] and three.control == three.waves[1]
    six = plan_waves("r", list("abcdef"), POLICY, gated=True)
    assert [len(w) for w in six.waves] == [2, 1, 3]


def test_a_site_where_nothing_happens_is_no_canary() -> None:
    for n in range(20):
        found = plan_waves(str(n), list("abcdef"), POLICY, gated=True, touched={"e"})
        assert found.waves == (("a", "b", "c", "d", "e", "f"),)
        two = plan_waves(str(n), list("abcdef"), POLICY, gated=True, touched={"e", "f"})
        assert two.waves[0] in (("e",), ("f",))


def test_lanes() -> None:
    assert is_gated("staged", subtractive=False)
    assert not is_gated("staged", subtractive=True, staged=False), "a policy may disarm it"
    assert not is_gated("express", subtractive=True)
    assert not is_gated("emergency", subtractive=True)
    assert not is_gated("rollback", subtractive=False) and is_gated("rollback", subtractive=True)


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_a_bake_grows_with_what_is_taken_away(some: int, more: int) -> None:
    assert bake_s(0, POLICY) == 0.0, "what only adds does not bake"
    assert bake_s(1, POLICY) == POLICY.bake_s
    assert bake_s(some, POLICY) <= bake_s(some + more, POLICY) <= POLICY.bake_most_s
