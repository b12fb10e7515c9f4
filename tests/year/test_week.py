"""A week of ordinary work opens nothing, and the outage's rate harms next to nothing: the year's small tier.

``scripts/simulate-year`` lives through the whole of it, and draws the pictures of ``docs/year.md``.
"""

from __future__ import annotations

import random

import pytest

from controller.safety.policy import Policy
from tests.year.attacks import COMBINATIONS, Attack, suffered
from tests.year.fleet import Change, made
from tests.year.report import lived
from tests.year.work import Rates, year

SEEDS = (1, 2)
OUTAGE = Attack("the outage", 22.0)
BY_NAME = {armed.name: armed for armed in COMBINATIONS}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_week_of_ordinary_work_opens_nothing_and_delays_no_owners_toggle(seed: int) -> None:
    chance = random.Random(seed)
    fleet = made(Policy(), sites=12, prefixes=5000, chance=chance)
    found = lived(fleet, year(fleet, chance, Rates(careless=0.0), days=7))
    assert found.changes > 1000
    assert found.openings == []
    assert {kind for kind, _ in found.held} <= {"order", "slip"}, "what operators do without the owner"
    assert max(found.delays["toggle"]) == max(found.delays["flapping"]) == 0.0


def test_whoever_withdraws_all_of_a_large_account_at_once_opens_that_accounts_scope_alone() -> None:
    fleet = made(Policy(), sites=12, prefixes=5000, chance=random.Random(1))
    account = max(fleet.accounts, key=lambda a: len(fleet.accounts[a]))
    whole = Change(
        0.0, "maintenance", account, f"customer:{account}", "withdraw", fleet.accounts[account], "owner"
    )
    assert fleet.put(whole).verdict.decision == "hold"
    assert [o.scope for o in fleet.openings] == [f"account:{account}"]


@pytest.mark.parametrize(
    ("armed", "most"),
    [("intents", 0), ("keepers", 0), ("breaker", 3), ("agents' budgets", 500), ("all", 0)],
)
def test_each_guard_by_itself_bounds_the_outages_harm(armed: str, most: int) -> None:
    assert suffered(OUTAGE, BY_NAME[armed], Policy(), prefixes=1000, seed=1).unreachable <= most


def test_without_any_guard_the_outage_takes_all() -> None:
    assert suffered(OUTAGE, BY_NAME["none"], Policy(), prefixes=1000, seed=1).unreachable == 1000
