"""The life of a prefix: the table knows every pair, and agrees with the state derived from what is stored."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.addressing.life import (
    NEXT_STEP,
    REMOVED,
    TABLE,
    Event,
    Facts,
    Life,
    Return,
    State,
    events_between,
    fold,
    life_of,
    state_of,
    step,
)

NAMES = ("all", "half")


@dataclass
class Stored:
    """A prefix as it is stored, changed as the routes change it: what is not allowed changes nothing."""

    asked: bool = False
    approved: bool = False
    bindings: set[str] = field(default_factory=set)
    bgp: dict[str, bool] = field(default_factory=dict)  # name → advertised
    once: bool = False
    deleted: bool = False
    purged: bool = False

    def facts(self) -> Facts:
        stands = any("all" in self.bindings or name in self.bindings for name in self.bgp)
        return Facts(
            validation_asked=self.asked,
            approved=self.approved,
            bound=bool(self.bindings),
            stands=stands,
            advertised=any(self.bgp.values()),
            once_advertised=self.once,
            tombstoned=self.deleted,
            purged=self.purged,
        )

    def do(self, action: str, name: str) -> None:  # noqa: PLR0912 (a case an action)
        if self.purged:
            return
        if self.deleted:
            if action == "undelete":
                self.deleted = False
            elif action == "purge":
                self.purged = True
            return
        match action:
            case "validate":
                self.asked = True
            case "approve":
                self.approved = True
            case "bind" if self.approved and (name == "all" or "all" in self.bindings):
                self.bindings.add(name)
                if name == "all":
                    self.bgp.setdefault(name, False)
            case "unbind" if not any(self.bgp.values()) and (name != "all" or self.bindings == {"all"}):
                self.bindings.discard(name)
            case "make" if self.approved:
                self.bgp.setdefault(name, False)
            case "remove" if not self.bgp.get(name, True):
                del self.bgp[name]
            case "advertise" if name in self.bgp and {"all", name} & self.bindings:
                self.bgp[name] = self.once = True
            case "withdraw" if name in self.bgp:
                self.bgp[name] = False
            case "delete":
                self.deleted = True


ACTIONS = ("validate", "approve", "bind", "unbind", "make", "remove", "advertise", "withdraw",
           "delete", "undelete", "purge")  # fmt: skip
ON_AIR = [("approve", "all"), ("bind", "all"), ("advertise", "all")]
ANY = st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(NAMES)), max_size=40)
# Chance alone seldom gets a prefix on the air: half of the histories begin there.
HISTORIES = st.tuples(st.sampled_from([[], ON_AIR]), ANY).map(lambda parts: parts[0] + parts[1])


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_state_knows_every_event(state: State, event: Event) -> None:
    entry = TABLE[state][event]
    assert isinstance(entry, State | Return)
    if state is State.GONE:
        assert entry is State.GONE, "what is gone stays gone"
    if entry is State.GONE and state is not State.GONE:
        assert (state, event) == (State.TOMBSTONED, Event.PURGED), "nothing goes without a tombstone first"
    if state not in REMOVED and event in (Event.UNDELETED, Event.PURGED):
        assert entry is state
    if entry is State.ADVERTISED and state is not State.ADVERTISED:
        assert event is Event.ADVERTISED, "nothing but an advertisement advertises"
    if state is State.ADVERTISED and entry is not State.ADVERTISED:
        assert event in (Event.WITHDRAWN, Event.TOMBSTONED), "nothing else takes it off the air"


@given(HISTORIES)
def test_folding_the_events_gives_the_state_of_the_facts(history: list[tuple[str, str]]) -> None:
    stored = Stored()
    life = life_of(stored.facts())
    for action, name in history:
        before = stored.facts()
        stored.do(action, name)
        after = stored.facts()
        life = fold(life, events_between(before, after))
        assert life.state is state_of(after), (action, name, before, after)
        assert life == life_of(after)


@given(HISTORIES, HISTORIES)
def test_events_between_far_apart_facts_lead_there_too(
    history: list[tuple[str, str]], more: list[tuple[str, str]]
) -> None:
    stored = Stored()
    for action, name in history:
        stored.do(action, name)
    before = stored.facts()
    for action, name in more:
        stored.do(action, name)
    assert fold(life_of(before), events_between(before, stored.facts())).state is state_of(stored.facts())


@given(HISTORIES)
def test_undeleting_brings_back_what_there_was(history: list[tuple[str, str]]) -> None:
    stored = Stored()
    for action, name in history:
        stored.do(action, name)
    facts = stored.facts()
    if facts.tombstoned or facts.purged:
        return
    gone = replace(facts, tombstoned=True)
    life = fold(life_of(facts), events_between(facts, gone))
    assert life.state is State.TOMBSTONED
    life = fold(life, [e for e in Event if e not in (Event.UNDELETED, Event.PURGED)])
    assert step(life, Event.UNDELETED) == Life(state_of(facts)), "late events change nothing of a tombstone"


def test_everything_that_routes_can_do_agrees_and_walks_every_arrow() -> None:
    """All that can be stored is reached: table and derivation agree there, and no arrow is there for show."""
    walked: set[tuple[State, Event]] = set()
    frontier, seen = [Stored()], {repr(Stored())}
    while frontier:
        stored = frontier.pop()
        for action, name in itertools.product(ACTIONS, NAMES):
            after = replace(stored, bindings=set(stored.bindings), bgp=dict(stored.bgp))
            after.do(action, name)
            life = life_of(stored.facts())
            for event in events_between(stored.facts(), after.facts()):
                walked.add((life.state, event))
                life = step(life, event)
            assert life == life_of(after.facts()), (action, name, stored, after)
            key = repr((after.asked, after.approved, sorted(after.bindings), sorted(after.bgp.items()),
                        after.once, after.deleted, after.purged))  # fmt: skip
            if key not in seen:
                seen.add(key)
                frontier.append(after)
    arrows = {(s, e) for s in State for e in Event if TABLE[s][e] is not s}
    assert arrows - walked == set()


def test_every_state_that_waits_for_somebody_says_what_for() -> None:
    assert set(NEXT_STEP) == set(State)
    assert {s for s in State if not NEXT_STEP[s]} == {State.ADVERTISED, State.GONE}
