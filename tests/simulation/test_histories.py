"""Histories by the thousand, and Hypothesis over the same operations for what it shrinks better."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation import histories, volume
from tests.simulation.world import OPERATIONS

HISTORIES, STEPS_EACH = 20_000, 12


@pytest.mark.timeout(900)  # half a minute on two cores that have nothing else to do
def test_no_history_breaks_an_invariant() -> None:
    """On all cores by itself: it is one test, which no other worker could share."""
    jobs = os.cpu_count() or 1
    lived = volume.many(HISTORIES, seed=1, jobs=jobs, length=STEPS_EACH)
    broken = [b for found in lived for b in found.broken]
    assert not broken, histories.shortest(broken[0])


STEPS = st.tuples(
    st.sampled_from([operation for operation, weight in OPERATIONS.items() for _ in range(weight)]),
    st.integers(0, 2**32 - 1),
)


@settings(max_examples=max(100, settings().max_examples))
@given(st.lists(STEPS, min_size=1, max_size=60))
def test_no_history_that_hypothesis_finds_breaks_one(steps: list[histories.Step]) -> None:
    histories.run(steps)
