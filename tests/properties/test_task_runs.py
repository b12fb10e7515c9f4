"""Laws of a run of a task, of the scope that it may not leave, and of who is a second person."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.safety.second_person import SecondPersonError, ancestry, require_second, same_person
from controller.tasks.declaration import Foreseen
from controller.tasks.machine import (
    AT_WORK,
    EVENTS,
    OVER,
    TABLE,
    Approved,
    Begun,
    CarryOut,
    Crashed,
    Event,
    Failed,
    Lapsed,
    MakePlan,
    Proposed,
    Refused,
    Run,
    RunState,
    StepDone,
    Stopped,
    step,
)
from controller.tasks.scope import Call, outside

HASHES = st.sampled_from(["a" * 64, "b" * 64, "c" * 64])
ABOVE = 3


@st.composite
def proposals(draw: st.DrawFn) -> Proposed:
    steps = draw(st.integers(0, 4))
    objects = draw(st.integers(steps, steps * 4))
    return Proposed(draw(HASHES), objects, steps, ABOVE)


EVENT = st.one_of(
    st.just(Begun()),
    proposals(),
    st.builds(Approved, HASHES),
    st.just(StepDone()),
    *(st.just(kind("why")) for kind in (Refused, Failed, Stopped, Crashed, Lapsed)),
)


def test_the_table_has_every_pair() -> None:
    assert set(TABLE) == {(state, event) for state in RunState for event in EVENTS}


@pytest.mark.parametrize("state", sorted(OVER, key=lambda state: state.value))
@given(event=EVENT)
def test_what_is_over_stays_as_it_is(state: RunState, event: Event) -> None:
    run = Run(state, steps=3, done=1)
    assert step(run, event) == (run, ())


@given(st.booleans(), st.lists(EVENT, max_size=30))
def test_nothing_is_carried_out_unplanned_unapproved_twice_or_out_of_order(
    dry_run: bool, events: list[Event]
) -> None:
    """The laws of every history, whatever comes when."""
    run = Run(dry_run=dry_run)
    proposed: Proposed | None = None
    approvals: set[str] = set()
    expected = 0
    for event in events:
        before = run
        run, commands = step(run, event)
        if isinstance(event, Proposed) and before.state in (RunState.PLANNING, RunState.CONFIRMING):
            proposed, expected = event, 0
        if isinstance(event, Approved) and before.state is RunState.WAITING and run != before:
            approvals.add(event.plan_hash)
        for command in commands:
            if isinstance(command, MakePlan):
                assert run.state in AT_WORK
            if isinstance(command, CarryOut):
                assert not dry_run and proposed is not None and run.state is RunState.CARRYING_OUT
                assert command.index == expected < proposed.steps
                assert proposed.objects <= ABOVE or (proposed.plan_hash in approvals)
                assert proposed.objects <= ABOVE or run.approved_hash == proposed.plan_hash
                expected += 1
        if before.state in OVER:
            assert run == before
        if isinstance(event, Stopped | Crashed):
            assert not any(isinstance(c, CarryOut) for c in commands)
        if isinstance(event, Stopped) and before.state not in OVER:
            assert run.state is RunState.STOPPED
        if isinstance(event, Crashed) and before.state in AT_WORK:
            assert run.state is RunState.INTERRUPTED
        if run.state is RunState.DONE and before.state is RunState.CARRYING_OUT:
            assert run.done == run.steps


@given(HASHES, HASHES)
def test_an_approval_is_for_one_plan_and_void_when_that_changes(approved: str, later: str) -> None:
    waiting = Run(RunState.WAITING, plan_hash=approved, objects=9, steps=2)
    run, _ = step(waiting, Approved(approved))
    run, _ = step(run, Begun())
    run, commands = step(run, Proposed(later, 9, 2, ABOVE))
    if later == approved:
        assert run.state is RunState.CARRYING_OUT and commands == (CarryOut(0),)
    else:
        assert run.state is RunState.WAITING and run.approved_hash is None and "void" in run.reason
        assert step(run, Approved(approved))[0] == run  # that plan is no more


def test_an_approval_of_another_plan_does_nothing() -> None:
    waiting = Run(RunState.WAITING, plan_hash="a" * 64, objects=9, steps=2)
    assert step(waiting, Approved("b" * 64)) == (waiting, ())


# -- the foreseen scope ---------------------------------------------------------------------------------

FORESEEN = (
    Foreseen("prefixes", frozenset({"read"}), selector={"pending_delete": True}),
    Foreseen("prefix_deletions", frozenset({"create"}), 5, {"pending_delete": True}),
)
VALUES = st.sampled_from([True, False, None, "true", "", 1, "True"])


@given(st.lists(st.tuples(st.sampled_from(["pending_delete", "limit"]), st.sampled_from(["true", "", "1"]))))
def test_a_read_states_its_selector_once_and_with_its_very_value(query: list[tuple[str, str]]) -> None:
    call = Call("GET", "/herald/v1/prefixes", "prefixes", "read", query)
    stated = [v for n, v in query if n == "pending_delete"] == ["true"]
    assert (outside(call, FORESEEN, {}) is None) == stated


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), VALUES)
def test_a_write_names_what_it_expects_within_its_number_and_selector(
    count: int, expected: int, changed: int, pending: object
) -> None:
    body = {
        "ids": [str(n) for n in range(count)],
        "expected_count": expected,
        "selector": {"pending_delete": pending},
    }
    call = Call("POST", "/herald/v1/prefix_deletions", "prefix_deletions", "create", (), body)
    allowed = outside(call, FORESEEN, {"prefix_deletions": changed}) is None
    assert allowed == (pending is True and count == expected and count + changed <= 5)


@given(
    st.sampled_from(["prefixes", "prefix_deletions", "prefix_purges", None]),
    st.sampled_from(["read", "create", "edit", "delete"]),
)
def test_what_was_not_named_is_outside(resource: str | None, verb: str) -> None:
    call = Call("X", "/p", resource, verb, [("pending_delete", "true")])  # type: ignore[arg-type]
    named = (resource, verb) == ("prefixes", "read")
    assert (outside(call, FORESEEN, {}) is None) == named


# -- second persons -------------------------------------------------------------------------------------


@st.composite
def forests(draw: st.DrawFn) -> dict[str, str | None]:
    """Tokens that were issued by earlier ones, or by nobody."""
    made: dict[str, str | None] = {}
    for number in range(draw(st.integers(2, 12))):
        made[str(number)] = draw(st.sampled_from([None, *made]))
    return made


@given(forests(), st.data())
def test_persons_are_told_apart_by_who_issued_them(
    issuers: dict[str, str | None], data: st.DataObject
) -> None:
    one, other = data.draw(st.sampled_from(sorted(issuers))), data.draw(st.sampled_from(sorted(issuers)))
    same = same_person(one, other, issuers)
    assert same == same_person(other, one, issuers)
    assert same_person(one, one, issuers)
    assert same_person(one, ancestry(one, issuers)[-1], issuers), "the first token is whom it made"
    child = {**issuers, "new": one}
    assert same_person("new", one, child), "who issues himself a token is still one person"
    if issuers[one] is not None and issuers[other] is not None and same:
        assert same_person("new", other, child), "and so is his token beside all that he is"


def test_two_whom_the_first_token_made_are_two_and_what_one_of_them_made_is_one() -> None:
    issuers = {"first": None, "ann": "first", "bob": "first", "ann2": "ann", "ann3": "ann", "bob2": "bob"}
    require_second("ann", "bob", issuers)
    require_second("ann2", "bob2", issuers)
    for one, other in (
        ("ann", "ann"),
        ("ann", "ann2"),
        ("ann2", "ann3"),
        ("first", "bob2"),
        ("bob", "first"),
    ):
        with pytest.raises(SecondPersonError):
            require_second(one, other, issuers)


def test_a_circle_is_nobody() -> None:
    with pytest.raises(SecondPersonError, match="circle"):
        same_person("a", "c", {"a": "b", "b": "a", "c": None})


def test_late_events_keep_the_run() -> None:
    """Such as the answer to a step of a run that was stopped meanwhile."""
    stopped = Run(RunState.STOPPED, steps=3, done=1)
    assert step(stopped, StepDone())[0] == stopped
    assert step(replace(stopped, state=RunState.QUEUED), StepDone())[1] == ()
