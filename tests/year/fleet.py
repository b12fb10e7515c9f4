"""The fleet that the year happens to, and how one change is put to the guards."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from controller.bgp import Prefix
from controller.rollout.waves import bake_s, is_gated, plan_waves
from controller.safety import assess, breaker
from controller.safety.candidate import Context, Numbers
from controller.safety.effects import Effect, EffectVerb, subtractive
from controller.safety.intents import Intent, needed
from controller.safety.policy import Policy
from controller.safety.verdict import Verdict
from controller.safety.windows import Ledger

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
INTENT_S = 86400.0


@dataclass(frozen=True)
class Change:
    """Somebody's change at ``at``: an effect on each of ``prefixes`` at ``sites`` (None: all).

    ``asked``: who signed for it: the ``owner``, two ``operators``, or nobody. ``kind``: what work it is of.
    """

    at: float
    kind: str
    account: str
    actor: str
    verb: EffectVerb
    prefixes: tuple[Prefix, ...]
    asked: str = ""
    lane: str | None = None
    sites: tuple[str, ...] | None = None
    elsewhere: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a change, and how much later it arrived for having been guarded."""

    change: Change
    verdict: Verdict
    delay_s: float


@dataclass
class Fleet:
    """Who has what, what is announced, and the guards' memory."""

    policy: Policy
    sites: tuple[str, ...]
    accounts: dict[str, tuple[Prefix, ...]]
    ledger: Ledger = field(init=False)
    state: breaker.State = field(default_factory=breaker.State)
    down: set[Prefix] = field(default_factory=set)
    openings: list[breaker.Opening] = field(default_factory=list)
    held: dict[str, Change] = field(default_factory=dict)
    released: list[str] = field(default_factory=list)
    _numbers: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.policy)
        self.total = sum(map(len, self.accounts.values()))
        self.owner_of = {p: a for a, parts in self.accounts.items() for p in parts}

    def put(self, change: Change, *, released_by: str = "") -> Outcome:
        """Judge a change, let ledger and breaker learn of it; one that is admitted happens at once."""
        sites = change.sites or self.sites
        there = [p for p in change.prefixes if self._moves(change, p)]
        effects = [Effect(s, p, change.verb) for p in there for s in sites]
        context = self._context(change, effects, released_by)
        verdict = assess.assess(effects, context)
        self.ledger.record(assess.entries(effects, context, verdict))
        self._numbers += 1
        for event in assess.events(effects, context, verdict, f"cs{self._numbers}"):
            self.step(event, change.at)
        if verdict.decision != "hold":
            self._happen(change)
        elif f"cs{self._numbers}" in self.state.held:
            self.held[f"cs{self._numbers}"] = change
        return Outcome(change, verdict, self._bakes(change, verdict, effects))

    def step(self, event: breaker.Event, now: float) -> None:
        before = self.state.open.keys()
        self.state, commands = breaker.step(self.state, event, now, self.policy)
        self.openings += [o for scope, o in self.state.open.items() if scope not in before]
        for command in commands:
            if isinstance(command, breaker.Forget):
                self.ledger.forget(command.scope, command.at)
            elif isinstance(command, breaker.Release):
                self.released.append(command.change_set_id)

    def close(self, scope: str, now: float) -> list[Change]:
        """Let an operator look at an open scope and deploy what waits; returns that."""
        waiting = breaker.queue(self.state, scope)
        decisions: dict[str, breaker.Decision] = dict.fromkeys(breaker.groups(waiting), "deploy")
        self.released.clear()
        self.step(breaker.Closing(scope, breaker.queue_hash(waiting), decisions, "operator:noc0"), now)
        return [self.held.pop(i) for i in self.released]

    def _context(self, change: Change, effects: Sequence[Effect], released_by: str) -> Context:
        own = self.accounts[change.account]
        announced = {p: () if p in self.down else self.sites for p in change.prefixes}
        return Context(
            self.policy, change.actor, change.actor == f"customer:{change.account}", change.account,
            Numbers(len(own), self.total - len(self.down), len(self.accounts)), self.ledger, change.at,
            intents=tuple(self._intents(change, effects)), lane=change.lane, breaker=self.state,  # type: ignore[arg-type]
            announced=announced, seen_at=dict.fromkeys(change.prefixes, len(self.sites) - 1),
            seen_elsewhere=frozenset(change.prefixes) if change.elsewhere else frozenset(),
            released_by=released_by,
        )  # fmt: skip

    def _intents(self, change: Change, effects: Iterable[Effect]) -> Iterable[Intent]:
        """Give what the intent service would have signed; its signatures are checked elsewhere."""
        if not change.asked:
            return
        now = BEGAN + timedelta(seconds=change.at)
        by = ("op1", "op2") if change.asked == "operators" else (change.account,)
        for kind, prefixes, sites in needed(subtractive(effects), self.sites):
            yield Intent(
                change.account, kind, tuple(prefixes), tuple(sites), None, now, now,
                now + timedelta(seconds=INTENT_S), f"n{self._numbers}",
                "operators" if change.asked == "operators" else "owner", by,
            )  # fmt: skip

    def _moves(self, change: Change, prefix: Prefix) -> bool:
        """Tell whether there is anything to do: what is down is not withdrawn again."""
        if change.verb == "withdraw":
            return prefix not in self.down
        return change.verb != "announce" or change.sites is not None or prefix in self.down

    def _happen(self, change: Change) -> None:
        if change.verb == "withdraw" and change.sites is None:
            self.down.update(change.prefixes)
        elif change.verb == "announce":
            self.down.difference_update(change.prefixes)

    def _bakes(self, change: Change, verdict: Verdict, effects: Sequence[Effect]) -> float:
        """Return how long waves keep the last site waiting; gates and machines take seconds."""
        lost = {e.cidr for e in subtractive(effects)}
        staged = self.policy.guards.staged
        if not is_gated(verdict.lane, subtractive=bool(lost), staged=staged):
            return 0.0
        waves = plan_waves("r", self.sites, self.policy.waves, gated=True, touched=change.sites).waves
        return (len(waves) - 1) * bake_s(len(lost), self.policy.waves)


def made(policy: Policy, *, sites: int, prefixes: int, chance: random.Random) -> Fleet:
    """Return a fleet with many small accounts and a few large ones."""
    accounts: dict[str, tuple[Prefix, ...]] = {}
    left = [Prefix(f"{20 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.0/24") for n in range(prefixes)]
    while left:
        count = min(len(left), max(1, int(chance.paretovariate(1.05) * 2)), prefixes // 10)
        accounts[f"a{len(accounts):04}"] = tuple(left[:count])
        left = left[count:]
    return Fleet(policy, tuple(f"s{n:03}" for n in range(sites)), accounts)
