"""docs/invariants.md names every predicate that histories are judged by, and tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.simulation.invariants import INVARIANTS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "invariants.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:labs/)?test_\w+\.py)(?:::(\w+))?`", TEXT)))


def test_every_predicate_is_in_the_table() -> None:
    assert sorted(set(re.findall(r"`([is]\d\d_\w+)`", TEXT))) == sorted(INVARIANTS)
    assert {f"I{n}" for n in range(1, 12)} == set(re.findall(r"^\| (I\d+) \|", TEXT, re.MULTILINE))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_is_there(file: str, name: str) -> None:
    found = [ROOT / "tests" / file] if file.startswith("labs/") else [*(ROOT / "tests").rglob(file)]
    assert found and any(not name or f"def {name}(" in one.read_text() for one in found), (
        f"no {name} in {file}"
    )
