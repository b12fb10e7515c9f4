"""Histories by the thousand, and Hypothesis over the same operations for what it shrinks better."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation import histories, volume
from tests.simulation.world import OPERATIONS

HISTORIES = 6_000


def test_no_history_breaks_an_invariant() -> None:
    """On all cores by itself: it is one test, which no other worker could share."""
    broken = [b for found in volume.many(HISTORIES, seed=1, jobs=os.cpu_count() or 1) for b in found.broken]
    assert not broken, histories.shortest(broken[0])


STEPS = st.tuples(
    st.sampled_from([operation for operation, weight in OPERATIONS.items() for _ in range(weight)]),
    st.integers(0, 2**32 - 1),
)


@settings(max_examples=max(100, settings().max_examples))
@given(st.lists(STEPS, min_size=1, max_size=60))
def test_no_history_that_hypothesis_finds_breaks_one(steps: list[histories.Step]) -> None:
    histories.run(steps)
