"""The roll-out's tables: every pair has an entry, and no history leads astray."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rollout.machine import (
    BROKEN,
    FINISHED,
    OVER,
    ROLLOUT_TABLE,
    SITE_TABLE,
    Conclude,
    DeadlinePassed,
    Deliver,
    Event,
    Progress,
    Rollout,
    RolloutState,
    SiteEvent,
    SiteHeard,
    SiteState,
    Started,
    plan,
    step,
)
from controller.snapshots.model import ChunkHash

SITES = ("site1", "site2", "site3")
EVENTS = st.one_of(
    st.builds(
        SiteHeard,
        st.sampled_from([*SITES, "elsewhere"]),
        st.sampled_from(SiteEvent),
        st.sampled_from(["", "because"]),
    ),
    st.just(DeadlinePassed()),
    st.just(Started()),
)
WAVES = st.sampled_from([(SITES,), (SITES[:1], SITES[1:]), tuple((s,) for s in SITES)])


def planned(waves: tuple[tuple[str, ...], ...]) -> Rollout:
    return plan("r1", "cs1", "acme", None, ChunkHash("a" * 64), waves=waves)


def play(rollout: Rollout, events: list[Event]) -> tuple[list[Rollout], list[Deliver | Conclude]]:
    states, commands = [rollout], []
    for now, event in enumerate(events):
        rollout, more = step(rollout, event, float(now))
        states.append(rollout)
        commands.extend(more)
    return states, commands


@pytest.mark.parametrize(("state", "event"), list(itertools.product(SiteState, SiteEvent)))
def test_every_site_state_knows_every_event(state: SiteState, event: SiteEvent) -> None:
    after = SITE_TABLE[state][event]
    if state in FINISHED:
        assert after is state
    if event is SiteEvent.SETTLED and state is not SiteState.SUPERSEDED:
        assert after is SiteState.CONFIRMED
    if after is SiteState.CONFIRMED and state is not SiteState.CONFIRMED:
        assert event is SiteEvent.SETTLED, "only a status that says so confirms"


@pytest.mark.parametrize(("state", "event"), list(itertools.product(RolloutState, Progress)))
def test_every_rollout_state_knows_every_event(state: RolloutState, event: Progress) -> None:
    after = ROLLOUT_TABLE[state][event]
    if state in OVER:
        assert after is state
    elif after is RolloutState.DONE:
        assert event is Progress.COMPLETE
    elif after is RolloutState.FAILED:
        assert event is Progress.BROKEN


@given(WAVES, st.lists(EVENTS, max_size=40))
def test_no_history_concludes_twice_or_delivers_twice(
    waves: tuple[tuple[str, ...], ...], events: list[Event]
) -> None:
    states, commands = play(planned(waves), [Started(), *events])
    concluded = [c for c in commands if isinstance(c, Conclude)]
    assert len(concluded) == (states[-1].state in OVER)
    delivered = [site for c in commands if isinstance(c, Deliver) for site in c.sites]
    assert len(delivered) == len(set(delivered))
    if states[-1].state is RolloutState.DONE:
        assert set(delivered) == set(SITES)
        assert all(s.state in FINISHED for s in states[-1].sites.values())
    if states[-1].state is RolloutState.FAILED:
        assert any(s.state in BROKEN for r in states for s in r.sites.values())
    ends = [r.state for r in states if r.state in OVER]
    assert len(set(ends)) <= 1, "an end is an end"


@given(WAVES, st.lists(EVENTS, max_size=40))
def test_a_wave_waits_for_the_one_before(waves: tuple[tuple[str, ...], ...], events: list[Event]) -> None:
    rollout = planned(waves)
    for now, event in enumerate([Started(), *events]):
        before = rollout
        rollout, commands = step(rollout, event, float(now))
        for command in commands:
            if isinstance(command, Deliver):
                opened = {rollout.sites[s].wave for s in command.sites}
                assert all(
                    rollout.sites[s].state in FINISHED
                    for s in rollout.sites
                    if rollout.sites[s].wave < min(opened)
                ), (before, event)


@given(WAVES, st.lists(EVENTS, max_size=20))
def test_an_event_that_comes_twice_changes_nothing_more(
    waves: tuple[tuple[str, ...], ...], events: list[Event]
) -> None:
    rollout = play(planned(waves), [Started(), *events])[0][-1]
    for event in events:
        once, _ = step(rollout, event, 100.0)
        twice, commands = step(once, event, 100.0)
        assert twice == once
        assert commands == ()


@given(WAVES, st.lists(EVENTS, max_size=30))
def test_sites_that_settle_in_the_end_finish_it(
    waves: tuple[tuple[str, ...], ...], events: list[Event]
) -> None:
    """Whatever happened, short of a failure that was told: all sites settled means done."""
    rest: list[Event] = [SiteHeard(site, SiteEvent.SETTLED) for site in SITES]
    states, _ = play(planned(waves), [Started(), *events, *rest])
    assert states[-1].state in OVER


def test_the_reasons_of_sites_that_wait_are_told() -> None:
    states, _ = play(
        planned((SITES,)),
        [
            Started(),
            SiteHeard("site1", SiteEvent.SETTLED),
            SiteHeard("site2", SiteEvent.HELD_UP, "192.0.2.0/24: 0 of 2 machines"),
            SiteHeard("site3", SiteEvent.UNREACHED, "agent of site3 does not answer"),
        ],
    )
    assert states[-1].state is RolloutState.WAITING
    assert states[-1].reason == (
        "site2: 192.0.2.0/24: 0 of 2 machines; site3: agent of site3 does not answer"
    )


def test_a_rollout_that_moves_too_long_says_so() -> None:
    states, _ = play(planned((SITES,)), [Started()])
    assert states[-1].deadline is not None
    late, commands = step(states[-1], DeadlinePassed(), states[-1].deadline)
    assert (late.state, late.deadline, commands) == (RolloutState.WAITING, None, ())
