"""The roll-out's tables: every pair has an entry, and no history leads astray."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rollout.course import Course, Rollout
from controller.rollout.diagram import drawn
from controller.rollout.events import (
    Aborted,
    BaselineLooked,
    BreakerClosed,
    BreakerOpened,
    Command,
    Conclude,
    Confirm,
    DeadlinePassed,
    Deliver,
    Event,
    GateAnswered,
    Paused,
    Replanned,
    Resumed,
    Revert,
    RevertEnded,
    SiteHeard,
    Started,
)
from controller.rollout.machine import plan, step
from controller.rollout.states import (
    BROKEN,
    FINISHED,
    OVER,
    ROLLOUT_TABLE,
    SITE_TABLE,
    Progress,
    RolloutState,
    SiteEvent,
    SiteState,
)
from controller.snapshots.model import ChunkHash

SITES = ("site1", "site2", "site3")
OUTCOMES = st.sampled_from(["pass", "pass", "fail", "inconclusive", "error"])
HEARD = st.builds(
    SiteHeard,
    st.sampled_from([*SITES, "elsewhere"]),
    st.sampled_from(SiteEvent),
    st.sampled_from(["", "because"]),
)
WISHES = st.one_of(
    st.builds(Paused, st.just("operator"), st.just("wait")),
    st.builds(Resumed, st.just("operator"), st.just("go on"), st.booleans()),
    st.just(Aborted("not this")),
    st.just(BreakerOpened("fleet", "too many")),
    st.just(BreakerClosed("fleet")),
)
EVENTS = st.one_of(
    HEARD,
    HEARD,
    st.builds(BaselineLooked, st.integers(0, 3), OUTCOMES, st.just("looked")),
    st.builds(GateAnswered, st.integers(0, 3), OUTCOMES, st.just("looked")),
    st.just(DeadlinePassed()),
    st.just(Started()),
    st.just(Replanned((SITES[1:2], SITES[:1], SITES[2:]))),
    WISHES,
    st.builds(RevertEnded, st.booleans(), st.just("why")),
)
"""All events, in any order, whether anybody asked for them or not."""

WAVES = st.sampled_from([(SITES,), (SITES[:1], SITES[1:]), tuple((s,) for s in SITES)])
GOOD = (SiteEvent.ACCEPTED, SiteEvent.JOURNALLED, SiteEvent.SETTLED)


def courses(*, gated: bool | None = None, subtractive: bool | None = None) -> st.SearchStrategy[Course]:
    return st.builds(
        Course,
        lane=st.just("staged"),
        gated=st.booleans() if gated is None else st.just(gated),
        subtractive=st.booleans() if subtractive is None else st.just(subtractive),
        bake_s=st.sampled_from([0.0, 3.0]),
        gate_wait_s=st.just(4.0),
    )


def planned(waves: tuple[tuple[str, ...], ...], course: Course | None = None) -> Rollout:
    return plan("r1", "cs1", "acme", None, ChunkHash("a" * 64), waves=waves, course=course)


@dataclass
class History:
    """A roll-out and all that it went through; a step before its deadline never passes it."""

    rollout: Rollout
    states: list[Rollout] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    now: float = 0.0

    def play(self, *events: Event) -> History:
        for event in events:
            self.now += 1.0
            if isinstance(event, DeadlinePassed):
                if self.rollout.deadline is None:
                    continue
                self.now = max(self.now, self.rollout.deadline)
            self.states.append(self.rollout)
            self.rollout, commands = step(self.rollout, event, self.now)
            self.commands += commands
        self.states.append(self.rollout)
        return self

    def settle(self, sites: tuple[str, ...] = SITES) -> History:
        return self.play(*(SiteHeard(s, SiteEvent.SETTLED) for s in sites))


def begun(waves: tuple[tuple[str, ...], ...], course: Course | None = None) -> History:
    return History(planned(waves, course)).play(Started())


GATED = Course(lane="staged", gated=True, subtractive=True, bake_s=30.0, gate_wait_s=10.0)
ONE_BY_ONE = tuple((s,) for s in SITES)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(SiteState, SiteEvent)))
def test_every_site_state_knows_every_event(state: SiteState, event: SiteEvent) -> None:
    after = SITE_TABLE[state][event]
    if state in FINISHED and event is not SiteEvent.PUT_BACK:
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
        assert event in (Progress.BROKEN, Progress.REVERT_FAILED)
    elif after is RolloutState.REVERTED:
        assert (state, event) == (RolloutState.REVERTING, Progress.REVERTED)
    elif after is RolloutState.ABORTED:
        assert (state, event) == (RolloutState.REVERTING, Progress.ABORTED)
    if after is RolloutState.BAKING and state is not after:
        assert event is Progress.UNBAKED, "nothing bakes whose gate has not passed"
    if state is RolloutState.PAUSED and after is not state:
        assert event in (Progress.RESUME, Progress.ABORT), "only somebody's wish moves what is paused"


def test_the_page_shows_the_table_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rollouts.md").read_text()
    assert drawn(page) == page, "draw it again: python -m controller.rollout.diagram"


@given(WAVES, courses(), st.lists(EVENTS, max_size=60))
def test_no_history_concludes_twice_or_delivers_twice(
    waves: tuple[tuple[str, ...], ...], course: Course, events: list[Event]
) -> None:
    history = begun(waves, course).play(*events)
    concluded = [c for c in history.commands if isinstance(c, Conclude)]
    assert len(concluded) == (history.rollout.state in OVER)
    ends = [r.state for r in history.states if r.state in OVER]
    assert len(set(ends)) <= 1, "an end is an end"
    delivered = [site for c in history.commands if isinstance(c, Deliver) for site in c.sites]
    if not any(s.state is SiteState.PUT_BACK for r in history.states for s in r.sites.values()):
        assert len(delivered) == len(set(delivered)), "only what was put back is handed over again"
    if history.rollout.state is RolloutState.DONE:
        assert set(delivered) == set(SITES)
        assert all(s.state in FINISHED for s in history.rollout.sites.values())
    assert len([c for c in history.commands if isinstance(c, Revert)]) <= 1


@given(WAVES, st.lists(st.one_of(HEARD, st.just(DeadlinePassed())), max_size=40))
def test_without_gates_a_wave_waits_for_the_one_before(
    waves: tuple[tuple[str, ...], ...], events: list[Event]
) -> None:
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


@given(WAVES, courses(gated=True), st.lists(EVENTS, max_size=60))
def test_no_wave_begins_before_the_gate_of_the_one_before_has_passed(
    waves: tuple[tuple[str, ...], ...], course: Course, events: list[Event]
) -> None:
    """And, for what takes something away, only an answer that says pass passes a gate, or a baseline."""
    history = History(planned(waves, course))
    for event in [Started(), *events]:
        before = len(history.commands)
        history.play(event)
        for command in history.commands[before:]:
            if not isinstance(command, Deliver):
                continue
            wave = min(history.rollout.sites[s].wave for s in command.sites)
            assert history.rollout.course.passed >= wave
            if course.subtractive:
                said = {(x.wave, x.baseline): x.outcome for x in history.rollout.course.looked}
                assert all(said[n, False] == "pass" for n in range(wave))
                assert said[wave, True] == "pass", "and nothing is sent to a site that nobody has looked at"


@given(WAVES, courses(gated=True), st.lists(EVENTS, max_size=60))
def test_what_is_final_is_so_by_its_gate(
    waves: tuple[tuple[str, ...], ...], course: Course, events: list[Event]
) -> None:
    history = History(planned(waves, course))
    for event in [Started(), *events]:
        before = len(history.commands)
        history.play(event)
        for command in history.commands[before:]:
            if isinstance(command, Confirm):
                waves_of = {history.rollout.sites[s].wave for s in command.sites}
                assert max(waves_of) < history.rollout.course.passed
                if course.subtractive:
                    passed = {x.wave for x in history.rollout.course.looked
                              if not x.baseline and x.outcome == "pass"}  # fmt: skip
                    assert waves_of <= passed


@given(WAVES, courses(), st.lists(EVENTS, max_size=60))
def test_what_is_taken_back_is_taken_back_wherever_it_was_handed_over(
    waves: tuple[tuple[str, ...], ...], course: Course, events: list[Event]
) -> None:
    history = begun(waves, course).play(*events)
    delivered = {s for c in history.commands if isinstance(c, Deliver) for s in c.sites}
    reverts = [c for c in history.commands if isinstance(c, Revert)]
    if history.rollout.state in (RolloutState.REVERTED, RolloutState.ABORTED, RolloutState.REVERTING):
        assert {s for c in reverts for s in c.sites} == delivered
    after = False
    for command in history.commands:
        assert not (after and isinstance(command, Deliver | Confirm)), "and nothing more is handed over"
        after = after or isinstance(command, Revert)


@given(WAVES, courses(), st.lists(EVENTS, max_size=30))
def test_an_event_that_comes_twice_changes_nothing_more(
    waves: tuple[tuple[str, ...], ...], course: Course, events: list[Event]
) -> None:
    """But a deadline's: that is not there any more. Where a state asks the same again, so is the answer."""
    rollout = begun(waves, course).play(*events).rollout
    for event in events:
        once, _ = step(rollout, event, 100.0)
        twice, commands = step(once, event, 100.0)
        if isinstance(event, DeadlinePassed | GateAnswered | BaselineLooked | Resumed | Replanned):
            continue
        assert twice == once
        assert commands == ()


@given(WAVES, courses(gated=False), st.lists(HEARD, max_size=30))
def test_sites_that_settle_in_the_end_finish_it(
    waves: tuple[tuple[str, ...], ...], course: Course, events: list[Event]
) -> None:
    """Whatever happened, short of a failure that was told: all sites settled means done."""
    assert begun(waves, course).play(*events).settle().rollout.state in OVER


@given(WAVES, courses(gated=True), st.lists(EVENTS, max_size=40))
def test_a_staged_roll_out_always_gets_out(
    waves: tuple[tuple[str, ...], ...], course: Course, events: list[Event]
) -> None:
    """Once sites settle, gates pass, times end and a person resumes, or the revert is done, it is over."""
    history = begun(waves, course).play(*events)
    for wave in range(4):
        history.play(BreakerClosed("fleet"), Resumed("operator"))
        history.play(BaselineLooked(wave, "pass", ""), BaselineLooked(wave, "pass", ""))
        history.settle()
        history.play(GateAnswered(wave, "pass", ""))
        if history.rollout.state is RolloutState.BAKING:
            history.play(DeadlinePassed())
    history.play(RevertEnded(True))
    assert history.rollout.state in OVER


@given(WAVES, courses(gated=True), st.lists(EVENTS, max_size=60))
def test_a_bake_is_never_shorter_than_it_is_to_be(
    waves: tuple[tuple[str, ...], ...], course: Course, events: list[Event]
) -> None:
    history = History(planned(waves, course))
    baked = 0.0
    for event in [Started(), *events]:
        before, at = history.rollout, history.now
        history.play(event)
        after = history.rollout
        if before.state is RolloutState.BAKING:
            baked += history.now - at
        if after.wave > before.wave:
            assert baked >= course.bake_s
            baked = 0.0


def test_the_reasons_of_sites_that_wait_are_told() -> None:
    history = begun((SITES,)).play(
        SiteHeard("site1", SiteEvent.SETTLED),
        SiteHeard("site2", SiteEvent.HELD_UP, "192.0.2.0/24: 0 of 2 machines"),
        SiteHeard("site3", SiteEvent.UNREACHED, "agent of site3 does not answer"),
    )
    assert history.rollout.state is RolloutState.WAITING
    assert history.rollout.reason == (
        "site2: 192.0.2.0/24: 0 of 2 machines; site3: agent of site3 does not answer"
    )


def test_a_rollout_that_moves_too_long_says_so() -> None:
    rollout = begun((SITES,)).rollout
    assert rollout.deadline is not None
    late, commands = step(rollout, DeadlinePassed(), rollout.deadline)
    assert (late.state, late.deadline, commands) == (RolloutState.WAITING, None, ())


def test_a_staged_roll_out_goes_wave_by_wave() -> None:
    history = begun(ONE_BY_ONE, GATED)
    assert (history.rollout.state, history.commands) == (RolloutState.PLANNED, []), "it looks before it sends"
    for wave, site in enumerate(SITES):
        history.play(BaselineLooked(wave, "pass", "well"))
        assert history.commands[-1] == Deliver((site,))
        history.settle((site,))
        assert history.rollout.state is RolloutState.GATING
        history.play(GateAnswered(wave, "pass", "well"))
        if wave < 2:
            assert (history.rollout.state, history.commands[-1]) == (
                RolloutState.BAKING,
                Confirm(SITES[: wave + 1]),
            )
            history.play(DeadlinePassed())
            assert history.rollout.state is RolloutState.PLANNED
    assert history.rollout.state is RolloutState.DONE
    assert isinstance(history.commands[-1], Conclude)


def to_the_gate(course: Course = GATED) -> History:
    history = begun(ONE_BY_ONE, course).play(BaselineLooked(0, "pass", "well")).settle(SITES[:1])
    assert history.rollout.state is RolloutState.GATING
    return history


def test_a_gate_that_fails_takes_it_back() -> None:
    history = to_the_gate().play(GateAnswered(0, "fail", "three peers lost it"))
    assert history.rollout.state is RolloutState.REVERTING
    assert history.commands[-1] == Revert(("site1",), "the gate of wave 0 failed: three peers lost it")
    history.play(RevertEnded(True))
    assert history.rollout.state is RolloutState.REVERTED
    assert "three peers lost it" in history.rollout.reason


@pytest.mark.parametrize("outcome", ["inconclusive", "error"])
def test_no_data_stops_what_takes_away_and_lets_pass_what_only_adds(outcome: str) -> None:
    unclear = GateAnswered(0, outcome, "observers disagree")  # type: ignore[arg-type]
    history = to_the_gate().play(unclear)
    assert history.rollout.state is RolloutState.GATING, "it is asked again"
    history.play(DeadlinePassed())
    assert history.rollout.state is RolloutState.PAUSED
    assert "observers disagree" in history.rollout.reason
    adds = to_the_gate(Course(gated=True, gate_wait_s=10.0)).play(unclear, DeadlinePassed())
    assert adds.rollout.state is RolloutState.PLANNED and adds.rollout.wave == 1


def test_a_person_asks_the_gate_again_or_stands_for_it() -> None:
    paused = to_the_gate().play(DeadlinePassed()).rollout
    again = History(paused).play(Resumed("operator", "look again"))
    assert again.rollout.state is RolloutState.GATING
    vouched = History(paused).play(Resumed("operator", "I saw it", vouch=True))
    assert vouched.rollout.state is RolloutState.BAKING
    assert vouched.rollout.course.looked[-1].reason == "vouched for: I saw it"


def test_a_pause_stops_the_bakes_clock() -> None:
    history = to_the_gate().play(GateAnswered(0, "pass", "well"))
    assert history.rollout.deadline is not None
    left = history.rollout.deadline - history.now
    history.play(Paused("operator", "lunch"))
    assert history.rollout.course.left == left - 1.0
    history.now += 1000.0
    history.play(DeadlinePassed(), Resumed("operator"))
    assert history.rollout.state is RolloutState.BAKING
    assert history.rollout.deadline == history.now + left - 1.0


def test_the_breaker_stops_only_what_takes_away_and_not_for_ever() -> None:
    history = to_the_gate().play(BreakerOpened("fleet", "23 in 10 min"))
    assert history.rollout.reason == "paused (breaker fleet): 23 in 10 min"
    history.play(Resumed("operator"))
    assert history.rollout.state is RolloutState.PAUSED, "nobody resumes past an open breaker"
    assert history.play(BreakerClosed("fleet")).rollout.state is RolloutState.GATING
    adds = to_the_gate(Course(gated=True)).play(BreakerOpened("fleet", "23 in 10 min"))
    assert adds.rollout.state is RolloutState.GATING


def test_a_site_that_puts_back_fails_its_wave_until_it_is_final() -> None:
    history = to_the_gate().play(SiteHeard("site1", SiteEvent.PUT_BACK, "nobody confirmed"))
    assert history.rollout.state is RolloutState.REVERTING
    final = to_the_gate().play(GateAnswered(0, "pass", ""), SiteHeard("site1", SiteEvent.PUT_BACK))
    assert final.rollout.state is RolloutState.BAKING


def test_a_site_that_is_away_holds_up_no_wave_and_is_not_forgotten() -> None:
    history = begun((SITES[:2], SITES[2:]), GATED).play(
        BaselineLooked(0, "pass", ""),
        SiteHeard("site1", SiteEvent.SETTLED),
        SiteHeard("site2", SiteEvent.UNREACHED, "away"),
    )
    assert history.rollout.state is RolloutState.GATING
    history.play(GateAnswered(0, "pass", ""), DeadlinePassed(), BaselineLooked(1, "pass", ""))
    history.settle(("site3",)).play(GateAnswered(1, "pass", ""))
    assert (history.rollout.state, history.rollout.reason) == (RolloutState.WAITING, "site2: away")
    assert history.settle(("site2",)).rollout.state is RolloutState.DONE


def test_an_abort_before_anything_was_sent_reaches_nobody() -> None:
    history = begun(ONE_BY_ONE, GATED).play(Aborted("a typing error"))
    assert history.commands == [Revert((), "a typing error")], "the operational state goes back all the same"
    assert history.play(RevertEnded(True)).rollout.state is RolloutState.ABORTED


def test_other_canaries_are_chosen_only_before_anything_is_sent() -> None:
    other = Replanned((("site2",), ("site1",), ("site3",)), ("site3",))
    history = begun(ONE_BY_ONE, GATED).play(other, BaselineLooked(0, "pass", ""))
    assert history.commands == [Deliver(("site2",))]
    late = history.play(Replanned(ONE_BY_ONE)).rollout
    assert late.sites["site2"].wave == 0


def test_broken_is_broken() -> None:
    assert frozenset({SiteState.CONFLICT, SiteState.REFUSED}) == BROKEN
    whole = begun((SITES,)).play(SiteHeard("site1", SiteEvent.REFUSED, "envelope")).rollout
    assert (whole.state, whole.reason) == (RolloutState.FAILED, "site1: envelope")
    staged = begun(ONE_BY_ONE, GATED).play(
        BaselineLooked(0, "pass", ""), SiteHeard("site1", SiteEvent.REFUSED, "envelope")
    )
    assert staged.rollout.state is RolloutState.REVERTING
