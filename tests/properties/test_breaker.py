"""The breaker: what opens it, what it holds, and that only a person who looked closes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.safety import breaker
from controller.safety.breaker import (
    TABLE,
    Answered,
    Closing,
    Command,
    Decided,
    Decision,
    Drop,
    Exceeded,
    Forget,
    Held,
    Holding,
    Left,
    Notify,
    NotOpenError,
    PartError,
    Release,
    ScopeEvent,
    ScopeState,
    StaleQueueError,
    State,
    Ticked,
    UndecidedError,
    holding,
    next_due,
    queue,
    queue_hash,
    step,
)
from controller.safety.policy import Breaker, Policy

POLICY = Policy()
SCOPES = [
    "fleet",
    "class:withdraw",
    "class:unbind",
    "actor:task:t",
    "actor:operator:o",
    "account:a",
    "account:b",
]


def opened(*scopes: str, at: float = 0.0) -> State:
    state = State()
    for scope in scopes:
        state, _ = step(state, Exceeded(scope, "budget-actor", "too many", at - 5.0, ("a",)), at, POLICY)
    return state


def held(id_: str, actor: str = "task:t", account: str = "a", *verbs: str) -> Held:
    return Held(id_, account, actor, verbs or ("withdraw",), 1, 0.0)


def put(state: State, *several: Held, now: float = 1.0) -> State:
    for one in several:
        state, _ = step(state, Holding(one), now, POLICY)
    return state


def close(
    state: State, scope: str, decision: Decision, only: str | None = None
) -> tuple[State, list[Command]]:
    waiting = queue(state, scope, only)
    decisions = dict.fromkeys(breaker.groups(waiting), decision)
    return step(state, Closing(scope, queue_hash(waiting), decisions, "operator:o", only), 100.0, POLICY)


def test_every_state_and_event_has_an_entry() -> None:
    assert set(TABLE) == {(s, e) for s in ScopeState for e in ScopeEvent}


def test_nothing_but_a_person_closes_a_scope() -> None:
    """The table says so; the state machine below tries."""
    closing = {e for (s, e), to in TABLE.items() if s is not ScopeState.CLOSED and to is ScopeState.CLOSED}
    assert closing == {ScopeEvent.CLOSE}


def test_a_stale_queue_closes_nothing() -> None:
    state = put(opened("actor:task:t"), held("c1"))
    looked_at = queue_hash(queue(state, "actor:task:t"))
    state = put(state, held("c2"))
    with pytest.raises(StaleQueueError, match="look at it again"):
        step(
            state,
            Closing("actor:task:t", looked_at, {"task:t withdraw": "deploy"}, "operator:o"),
            9.0,
            POLICY,
        )
    state, _ = step(state, Left("c2"), 9.0, POLICY)
    assert queue_hash(queue(state, "actor:task:t")) == looked_at


@pytest.mark.parametrize(
    "decisions", [{}, {"task:t withdraw": "drop", "another": "drop"}, {"another": "drop"}]
)
def test_each_group_is_decided_on_and_no_other(decisions: dict[str, Decision]) -> None:
    state = put(opened("fleet"), held("c1"))
    with pytest.raises(UndecidedError):
        step(state, Closing("fleet", queue_hash(queue(state, "fleet")), decisions, "operator:o"), 9.0, POLICY)


def test_decisions_go_by_group() -> None:
    state = put(opened("fleet"), held("c1"), held("c2"), held("c3", "operator:o"), held("c4", "operator:p"))
    decisions: dict[str, Decision] = {
        "task:t withdraw": "drop",
        "operator:o withdraw": "deploy",
        "operator:p withdraw": "wait",
    }
    state, commands = step(
        state, Closing("fleet", queue_hash(queue(state, "fleet")), decisions, "operator:x"), 9.0, POLICY
    )
    assert commands == [
        Forget("fleet", 9.0),
        Drop("c1", "operator:x"),
        Drop("c2", "operator:x"),
        Release("c3", "operator:x"),
    ]
    assert {k: v.decided for k, v in state.held.items()} == {"c4": "wait"}
    state, commands = step(state, Decided(("c4",), "deploy", "operator:y"), 10.0, POLICY)
    assert commands == [Release("c4", "operator:y")]
    assert state.held == {}


def test_what_two_scopes_hold_goes_when_both_are_closed() -> None:
    state = put(opened("actor:task:t", "fleet"), held("c1"))
    state, commands = close(state, "actor:task:t", "deploy")
    assert not any(isinstance(c, Release) for c in commands)
    with pytest.raises(UndecidedError, match="close that scope first"):
        step(state, Decided(("c1",), "deploy", "operator:o"), 101.0, POLICY)
    state, commands = close(state, "fleet", "deploy")
    assert Release("c1", "operator:o") in commands
    assert state.open == {}


def test_it_can_be_closed_for_one_account_alone() -> None:
    state = put(opened("fleet"), held("c1", "operator:o", "a"), held("c2", "operator:o", "b"))
    state, commands = close(state, "fleet", "deploy", only="account:a")
    assert commands == [Release("c1", "operator:o")]
    assert holding(state, "operator:o", "a", ["withdraw"]) == ()
    assert [o.scope for o in holding(state, "operator:o", "b", ["withdraw"])] == ["fleet"]
    with pytest.raises(PartError):
        close(state, "fleet", "deploy", only="class:withdraw")


def test_several_open_scopes_of_a_kind_open_the_fleet() -> None:
    assert "fleet" not in opened("actor:task:a", "actor:task:b", "account:c").open
    state = opened("actor:task:a", "actor:task:b", "actor:task:c")
    assert state.open["fleet"].check == "several"
    apart = State()
    for n, scope in enumerate(["actor:task:a", "actor:task:b", "actor:task:c"]):
        apart, _ = step(apart, Exceeded(scope, "x", "y", 0.0), n * 3000.0, POLICY)
    assert "fleet" not in apart.open


def test_whoever_is_concerned_is_told_at_once_and_again_until_somebody_answers() -> None:
    state, commands = step(State(), Exceeded("fleet", "x", "y", 40.0, ("a",)), 100.0, POLICY)
    assert [(c.nth, c.accounts) for c in commands if isinstance(c, Notify)] == [(0, ("a",))]
    assert state.open["fleet"].detection_s == 60.0
    state, commands = step(state, Holding(held("c1", "operator:o", "b")), 110.0, POLICY)
    assert [(c.nth, c.accounts) for c in commands if isinstance(c, Notify)] == [(0, ("b",))]
    told = []
    now = 100.0
    while (due := next_due(state, POLICY)) is not None:
        now = due
        assert step(state, Ticked(), due - 0.1, POLICY)[1] == []
        state, commands = step(state, Ticked(), due, POLICY)
        told += [(c.nth, c.accounts, now) for c in commands if isinstance(c, Notify)]
    assert told == [(1, ("a", "b"), 400.0), (2, ("a", "b"), 1000.0), (3, ("a", "b"), 3700.0)]
    fresh = opened("fleet")
    fresh, _ = step(fresh, Answered("fleet", "operator:o"), 50.0, POLICY)
    assert next_due(fresh, POLICY) is None
    assert holding(fresh, "task:t", "a", ["withdraw"])
    asleep, commands = step(opened("fleet"), Ticked(), 1e6, POLICY)
    assert [c.nth for c in commands if isinstance(c, Notify)] == [3]
    assert next_due(asleep, POLICY) is None


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=5, unique=True))
def test_each_reminder_tells_all_that_were_told_before_and_more_by_the_policy(after: list[int]) -> None:
    rules = Breaker(remind_after=tuple(sorted(after)))
    policy = Policy(breaker=rules)
    state, (told,) = step(State(), Exceeded("fleet", "x", "y", 0.0, ("a",)), 0.0, policy)
    assert isinstance(told, Notify) and told.audience == ()
    for nth, seconds in enumerate(rules.remind_after, 1):
        state, (wider,) = step(state, Ticked(), float(seconds), policy)
        assert isinstance(wider, Notify)
        assert wider.audience == rules.remind_whom[:nth]
        assert set(told.accounts) <= set(wider.accounts) and set(told.audience) <= set(wider.audience)
        assert len(wider.audience) > len(told.audience) or nth > len(rules.remind_whom)
        told = wider


def test_an_actor_that_goes_on_does_not_open_again_what_was_closed() -> None:
    state, _ = close(opened("actor:task:t", "fleet"), "fleet", "drop")
    assert state.excused == {"fleet": ("actor:task:t",)}
    state, _ = close(state, "actor:task:t", "drop")
    assert state.excused == {}


@given(st.sampled_from(SCOPES), st.sampled_from(["task:t", "operator:o"]), st.sampled_from(["a", "b"]))
def test_additive_changes_are_never_held(scope: str, actor: str, account: str) -> None:
    assert holding(opened(scope), actor, account, []) == ()


def test_answers_and_closings_of_what_is_not_open_are_refused() -> None:
    for event in (Answered("fleet", "o"), Closing("fleet", queue_hash(()), {}, "o")):
        with pytest.raises(NotOpenError, match="it is not open"):
            step(State(), event, 0.0, POLICY)


class Histories(RuleBasedStateMachine):
    """Random lives, with clocks that jump back: what is open holds until a person closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.now = 0.0
        self.count = 0
        self.closed_now: set[str] = set()
        self.waiting: dict[str, Held] = {}

    def feed(self, event: breaker.Event) -> list[Command]:
        before = self.state
        self.state, commands = step(self.state, event, self.now, POLICY)
        if not isinstance(event, Closing):
            assert set(before.open) <= set(self.state.open)
        for command in commands:
            if isinstance(command, Release | Drop):
                one = self.waiting.pop(command.change_set_id)
                if isinstance(command, Release):
                    assert holding(self.state, one.actor, one.account_id, one.verbs) == ()
        return commands

    @rule(scope=st.sampled_from(SCOPES), gone=st.floats(-500, 4000))
    def exceed(self, scope: str, gone: float) -> None:
        self.now += gone
        self.feed(Exceeded(scope, "x", "y", self.now - 3, ("a",)))
        assert self.state.open[scope].detection_s >= 0

    @rule(
        actor=st.sampled_from(["task:t", "operator:o"]),
        account=st.sampled_from(["a", "b"]),
        verbs=st.sets(st.sampled_from(["withdraw", "unbind", "reorigin"]), min_size=1),
    )
    def hold(self, actor: str, account: str, verbs: set[str]) -> None:
        if holding(self.state, actor, account, verbs):
            self.count += 1
            one = Held(f"c{self.count}", account, actor, tuple(sorted(verbs)), 1, self.now)
            self.waiting[one.change_set_id] = one
            self.feed(Holding(one))

    @rule(gone=st.floats(-500, 4000))
    def tick(self, gone: float) -> None:
        self.now += gone
        self.feed(Ticked())

    @precondition(lambda self: self.state.open)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        scope = data.draw(st.sampled_from(sorted(self.state.open)))
        only = data.draw(st.sampled_from([None, None, "account:a", "actor:task:t"]))
        waiting = queue(self.state, scope, only)
        decisions: dict[str, Decision] = {
            g: data.draw(st.sampled_from(["deploy", "drop", "wait"])) for g in breaker.groups(waiting)
        }
        with pytest.raises(StaleQueueError):
            step(self.state, Closing(scope, "0" * 16, decisions, "o", only), self.now, POLICY)
        self.feed(Closing(scope, queue_hash(waiting), decisions, "o", only))
        assert (scope in self.state.open) == (only is not None)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[id_]
        self.feed(Left(id_))

    @invariant()
    def nothing_is_lost(self) -> None:
        assert set(self.state.held) == set(self.waiting)

    @invariant()
    def everything_open_is_told(self) -> None:
        for opening in self.state.open.values():
            assert opening.told >= 1
        due = next_due(self.state, POLICY)
        assert due is None or any(due >= o.since for o in self.state.open.values())


TestHistories = Histories.TestCase
