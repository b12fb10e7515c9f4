"""Guards that a history can do without: how it is told so, and the invariant that breaks then.

``test_guards.py`` switches each off in turn, and lives through histories until its invariant breaks.
``tests/guards_table.py`` names the other tests that miss a guard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tests.simulation.world import POLICY, Settings


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


GUARDS = [
    controller("intents", "i06_nothing_is_taken_away_unasked"),
    controller("breaker", "i07_nothing_passes_an_open_breaker"),
    controller("staged", "s06_broad_changes_go_by_waves"),
    controller("last_site", "s04_no_prefix_loses_its_last_site_by_itself"),
]
