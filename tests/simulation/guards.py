"""Guards that a history can do without: how it is told so, and the invariant that breaks then.

``test_guards.py`` switches each off in turn, and lives through histories until its invariant breaks.
``tests/guards_table.py`` names the other tests that miss a guard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tests.simulation.world import AGENT, POLICY, Settings


@dataclass(frozen=True)
class Guard:
    """``invariant``: the name of the predicate that fails without it."""

    name: str
    without: Callable[[], Settings]
    invariant: str


def controller(name: str, invariant: str) -> Guard:
    """Return a guard of the controller's policy."""

    def without() -> Settings:
        guards = msgspec.structs.replace(POLICY.guards, **{name: False})
        return Settings(policy=msgspec.structs.replace(POLICY, guards=guards))

    return Guard(f"controller: {name}", without, invariant)


def agent(name: str, invariant: str, *, without_too: tuple[str, ...] = ()) -> Guard:
    """Return a guard of the agents' policy; ``without_too``: those in front of it, which would hide it."""

    def without() -> Settings:
        guards = msgspec.structs.replace(AGENT.guards, **dict.fromkeys((name, *without_too), False))
        return Settings(agent=msgspec.structs.replace(AGENT, guards=guards))

    return Guard(f"agent: {name}", without, invariant)


GUARDS = [
    controller("intents", "i06_nothing_is_taken_away_unasked"),
    controller("breaker", "i07_nothing_passes_an_open_breaker"),
    controller("staged", "s06_broad_changes_go_by_waves"),
    controller("last_site", "s04_no_prefix_loses_its_last_site_by_itself"),
    agent("intents", "i06_operational_state_changes_by_recorded_steps_alone"),
    agent("budget", "i01_no_site_withdraws_more_than_its_budget"),
    agent("keeper", "i10_no_keeper_lets_go_without_its_owner"),
]

SECOND_LINES = [
    agent("budget", "i01_no_site_withdraws_more_than_its_budget", without_too=("intents", "keeper")),
    agent("keeper", "i10_no_keeper_lets_go_without_its_owner", without_too=("intents",)),
]
"""What holds when intents do not, as when their service is wrong: it is missed then, too."""
