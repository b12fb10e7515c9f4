"""Attacks, from a slow drip to a burst: how many prefixes become unreachable in a day, past which guards."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from controller.bgp import Prefix
from controller.safety.budget import Budget, Limit, Reading
from controller.safety.keepers import keepers
from controller.safety.policy import Guards, Policy
from controller.safety.windows import FLEET
from tests.year.fleet import Change, made

A_DAY = 86400.0
RATES_A_MINUTE = (0.01, 0.1, 0.5, 1.0, 5.0, 22.0, 100.0, 1000.0)
"""22 a minute is the outage of 2026-02-20."""

AGENT = (Limit(60, 20), Limit(600, 50), Limit(3600, 120), Limit(86400, 500))


@dataclass(frozen=True)
class Armed:
    """Which guards stand in the way."""

    name: str
    intents: bool = False
    breaker: bool = False
    budget: bool = False
    keepers: bool = False

    def policy(self, policy: Policy) -> Policy:
        guards = Guards(intents=self.intents, breaker=self.breaker, last_site=False)
        return msgspec.structs.replace(policy, guards=guards)


COMBINATIONS = (
    Armed("none"),
    Armed("agents' budgets", budget=True),
    Armed("breaker", breaker=True),
    Armed("keepers", keepers=True),
    Armed("intents", intents=True),
    Armed("breaker and budgets", breaker=True, budget=True),
    Armed("all", intents=True, breaker=True, budget=True, keepers=True),
)


@dataclass(frozen=True)
class Attack:
    """Withdrawals at an even rate by ``actors`` tokens; ``stolen``: the intent service signs as owners do."""

    name: str
    rate_a_minute: float
    actors: int = 1
    stolen: bool = False


@dataclass(frozen=True)
class Harm:
    """``unreachable``: prefixes withdrawn at every site; ``anywhere``: at one at least, when the day ended.

    ``opened_after_s``: from the first withdrawal until the breaker opened; None: it did not.
    """

    attack: Attack
    armed: Armed
    unreachable: int
    anywhere: int
    opened_after_s: float | None


def suffered(attack: Attack, armed: Armed, policy: Policy, *, prefixes: int, seed: int) -> Harm:
    """Live through a day of ``attack`` with these guards; nobody comes to help.

    Sites are alike but for keepers, so that one agent's budget stands for all; six sites are enough for that.
    """
    chance = random.Random(f"{seed}/{attack.name}")
    fleet = made(armed.policy(policy), sites=6, prefixes=prefixes, chance=random.Random(seed))
    targets = [p for parts in fleet.accounts.values() for p in parts]
    chance.shuffle(targets)
    limits = AGENT
    budget, gone, anywhere = Budget(), set[Prefix](), set[Prefix]()
    waiting: list[Prefix] = []
    gap = 60.0 / attack.rate_a_minute
    for n, prefix in enumerate(targets):
        at = n * gap
        if at > A_DAY:
            break
        account = fleet.owner_of[prefix]
        actor = f"customer:{account}" if attack.stolen else f"task:t{n % attack.actors}"
        asked = "owner" if attack.stolen else ""
        change = Change(at, attack.name, account, actor, "withdraw", (prefix,), asked)
        # Nobody closes what is open, and what is not armed lets everything pass.
        passes = FLEET not in fleet.state.open
        if passes and (armed.breaker or armed.intents):
            passes = fleet.put(change).verdict.decision != "hold"
        waiting += [prefix] if passes else []
        if armed.budget:
            room = budget.room(limits, Reading("boot", at))
            spending = budget.try_spend(waiting[:room], Reading("boot", at), limits)
            budget, waiting = spending.budget, waiting[room:]
            taken: Iterable[Prefix] = spending.allowed
        else:
            taken, waiting = waiting, []
        anywhere.update(taken)
        kept = armed.keepers and not attack.stolen  # an owner's intent lets keepers go
        gone.update(p for p in taken if not kept or not keepers(p, fleet.sites, 2))
    opened = min((o.since for o in fleet.openings), default=None)
    return Harm(attack, armed, len(gone), len(anywhere), opened)


def attacks(*, stolen: bool, actors: int = 1) -> list[Attack]:
    """Return the same attack at each rate."""
    base = Attack("stolen intents" if stolen else f"{actors} actor(s)", 1.0, actors, stolen)
    return [replace(base, rate_a_minute=rate) for rate in RATES_A_MINUTE]
