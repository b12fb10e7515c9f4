"""A guard that is switched off is missed: some history breaks the invariant that it keeps."""

from __future__ import annotations

import pytest

from tests.simulation.guards import GUARDS, SECOND_LINES, Guard
from tests.simulation.histories import run_numbered

HISTORIES = 3000


@pytest.mark.parametrize("guard", [*GUARDS, *SECOND_LINES], ids=lambda g: g.name)
def test_without_it_its_invariant_breaks(guard: Guard) -> None:
    settings = guard.without()
    others: set[str] = set()
    for number in range(HISTORIES):
        broken = run_numbered(f"without {guard.name}/{number}", settings=settings)
        if broken is not None and broken.invariant == guard.invariant:
            return
        if broken is not None:
            others.add(broken.invariant)
    raise AssertionError(
        f"nothing misses {guard.name} in {HISTORIES} histories; broken: {others or 'nothing'}"
    )
