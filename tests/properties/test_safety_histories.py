"""Random lives of assessment, windows, breaker and freezes together, with people who close and release.

I7, and the law of windows between closings, after each step; clocks jump back.
"""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.safety import breaker
from controller.safety.breaker import Closing, Decision, Drop, Release, Ticked
from controller.safety.effects import Effect, EffectVerb
from controller.safety.freeze import Freeze, frozen, lift
from controller.safety.intents import Intent
from controller.safety.policy import Guards, Policy
from controller.safety.windows import charged, floor_of, limits, too_many
from tests.safety_controller import SITES, Controller, asked_by_operators, asked_by_owner, at_sites, prefix

ACCOUNTS = ["a", "b", "c"]
ACTORS = ["task:t", "operator:o", "operator:p", *(f"customer:{a}" for a in ACCOUNTS)]
VERBS = [v for v in get_args(EffectVerb) if v != "bind"]


class Lives(RuleBasedStateMachine):
    """``waiting``: change-sets in the breaker's queue by id, as they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        # The first line is off, so that the second one has to stand alone.
        self.controller = Controller(Policy(guards=Guards(intents=False, last_site=False)))
        self.now = 0.0
        self.waiting: dict[str, tuple[list[Effect], str, str, list[Intent]]] = {}
        self.since: dict[str, int] = {}

    def ask(
        self, effects: list[Effect], actor: str, account: str, intents: list[Intent], by: str = ""
    ) -> str:
        controller = self.controller
        before = controller.state
        verdict = controller.ask(effects, actor, account, self.now, intents=intents, released_by=by)
        verbs = {e.verb for e in effects if e.kind == "subtractive"}
        if verdict.decision != "hold":
            assert by or not breaker.holding(before, actor, account, verbs)
            owner = actor == f"customer:{account}"
            assert frozen(controller.freezes, effects, actor, account, self.now, owner=owner) is None
        elif f"change-set-{controller.asked}" in controller.state.held:
            self.waiting[f"change-set-{controller.asked}"] = (effects, actor, account, intents)
        return verdict.decision

    @rule(
        gone=st.floats(-300, 900),
        actor=st.sampled_from(ACTORS),
        account=st.sampled_from(ACCOUNTS),
        numbers=st.sets(st.integers(0, 7), min_size=1, max_size=5),
        verb=st.sampled_from(VERBS),
        who=st.sampled_from(["nobody", "owner", "operators"]),
        sites=st.sets(st.sampled_from(SITES), min_size=1),
    )
    def change(  # noqa: PLR0917
        self,
        gone: float,
        actor: str,
        account: str,
        numbers: set[int],
        verb: EffectVerb,
        who: str,
        sites: set[str],
    ) -> None:
        self.now += gone
        first = ACCOUNTS.index(account) * 10
        effects = at_sites([prefix(first + n) for n in sorted(numbers)], verb, sorted(sites))
        intents = {"owner": asked_by_owner, "operators": asked_by_operators}.get(who, lambda *_: [])
        decision = self.ask(effects, actor, account, intents(account, effects))
        if actor == f"customer:{account}" and all(e.kind == "additive" for e in effects):
            assert decision == "admit"

    @rule(scope=st.sampled_from(["fleet", "account:a", "site:s1", "actor:task:t"]), by=st.sampled_from("op"))
    def freeze(self, scope: str, by: str) -> None:
        one = Freeze(f"f{self.now}{scope}{by}", scope, "subtractive", f"operator:{by}", "a test", self.now)
        if len(self.controller.freezes) < 2:
            self.controller.freezes.append(one)

    @precondition(lambda self: self.controller.freezes)
    @rule()
    def unfreeze(self) -> None:
        one = self.controller.freezes[0]
        self.controller.freezes = list(lift(self.controller.freezes, one.id, one.by, self.now))

    @rule(gone=st.floats(0, 4000))
    def tick(self, gone: float) -> None:
        self.now += gone
        self.controller.tell(Ticked(), self.now)

    @precondition(lambda self: self.controller.state.open)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        state = self.controller.state
        scope = data.draw(st.sampled_from(sorted(state.open)))
        only = data.draw(st.sampled_from([None, None, None, "account:a"]))
        waiting = breaker.queue(state, scope, only)
        decisions: dict[str, Decision] = {
            g: data.draw(st.sampled_from(["deploy", "drop", "wait"])) for g in breaker.groups(waiting)
        }
        closing = Closing(scope, breaker.queue_hash(waiting), decisions, "operator:p", only)
        commands = self.controller.tell(closing, self.now)
        if only is None:
            self.since[scope] = len(self.controller.admitted)
        for command in commands:
            if isinstance(command, Release | Drop):
                effects, actor, account, intents = self.waiting.pop(command.change_set_id)
                if isinstance(command, Release):
                    self.ask(effects, actor, account, intents, by=command.by)

    @invariant()
    def the_queue_is_what_waits(self) -> None:
        assert set(self.controller.state.held) == set(self.waiting)

    @invariant()
    def no_window_holds_more_than_its_limit_since_it_was_closed(self) -> None:
        """Of each scope alone: what people released, and what came before a closing, does not count."""
        controller = self.controller
        names = {s for c, _ in controller.admitted for e in c.entries("admitted") for s in charged(e)}
        for scope in names:
            closed = self.since.get("fleet" if scope in {"owners", "accounts"} else scope, 0)
            spared = controller.state.open.get(scope)
            if spared is not None and spared.except_for:
                continue
            entries = [
                (e, at)
                for c, at in controller.admitted[closed:]
                if not c.context.released_by
                for e in c.entries("admitted")
                if scope in charged(e)
            ]
            now = controller.ledger.now
            for window in limits(controller.policy, scope):
                keys: dict[str, int] = {}
                for e, at in entries:
                    if at > now - window.seconds:
                        key = e.account_id if scope == "accounts" else e.prefix
                        keys[key] = max(keys.get(key, 0), 2 if e.gone and not e.owned else 1)
                total = {"accounts": 900}.get(scope, 10 if scope.startswith("account:") else 5000)
                assert not too_many(sum(keys.values()), window, total, floor_of(controller.policy, scope)), (
                    scope,
                    window,
                    keys,
                )


TestLives = Lives.TestCase
