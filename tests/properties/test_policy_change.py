"""What a new policy allows that the old one did not is named, key by key."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.safety.policy import Guards, Lanes, Policy, Waves, Window
from controller.safety.policy_change import LESS_IS_LOOSER, MORE_IS_LOOSER, NEITHER, WINDOWS, loosened

NUMBERS = [*MORE_IS_LOOSER, *LESS_IS_LOOSER]


def put(policy: Policy, path: str, value: object) -> Policy:
    section, _, key = path.partition(".")
    changed = msgspec.structs.replace(getattr(policy, section), **{key: value})
    return msgspec.structs.replace(policy, **{section: changed})


def value_of(policy: Policy, path: str) -> float:
    section, _, key = path.partition(".")
    return getattr(getattr(policy, section), key)  # type: ignore[no-any-return]


def test_every_key_of_the_policy_is_judged() -> None:
    keys = {
        f"{section}.{key}"
        for section in Policy.__struct_fields__
        if section != "guards"
        for key in getattr(Policy(), section).__struct_fields__
    }
    assert keys == {*NUMBERS, *WINDOWS, *NEITHER}


@given(st.sampled_from(NUMBERS), st.integers(1, 100))
def test_what_loosens_is_named(path: str, by: int) -> None:
    policy = Policy()
    more = put(policy, path, value_of(policy, path) + by)
    looser, tighter = (policy, more) if path in MORE_IS_LOOSER else (more, policy)
    found = loosened(looser, tighter)
    assert len(found) == 1
    assert found[0].startswith(f"{path}: ")
    assert loosened(tighter, looser) == ()


@pytest.mark.parametrize("guard", Guards.__struct_fields__)
def test_a_guard_that_is_switched_off_is_named(guard: str) -> None:
    off = Policy(guards=Guards(**{guard: False}))
    assert loosened(Policy(), off) == (f"guards.{guard}: switched off",)
    assert loosened(off, Policy()) == ()


@pytest.mark.parametrize("path", WINDOWS)
def test_a_window_that_is_wider_or_gone_is_named(path: str) -> None:
    policy = Policy()
    section, _, key = path.partition(".")
    windows = getattr(getattr(policy, section), key)
    wider = tuple(Window(seconds=w.seconds, number=w.number + 1, share=w.share) for w in windows)
    assert len(loosened(policy, put(policy, path, wider))) == len(windows)
    assert loosened(put(policy, path, wider), policy) == ()
    assert len(loosened(policy, put(policy, path, windows[1:]))) == 1
    more = (*windows, Window(seconds=7, number=1, share=0.1))
    assert loosened(policy, put(policy, path, more)) == ()


def test_waves_that_reach_further_are_named() -> None:
    fast = Policy(waves=Waves(shares=(0.5, 1.0)))
    assert loosened(Policy(), fast) == ("waves.shares: [0.1, 0.25, 0.5, 1.0] becomes [0.5, 1.0]",)
    assert loosened(fast, Policy()) == ()


@given(st.lists(st.integers(0, 9), min_size=3, max_size=3))
def test_small_steps_are_no_way_around_it(values: list[int]) -> None:
    one, two, three = (Policy(lanes=Lanes(express_bgp_prefixes=v)) for v in values)
    if not loosened(one, two) and not loosened(two, three):
        assert not loosened(one, three)
