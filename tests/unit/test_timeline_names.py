"""The types of what is told: all that the code records has one, and the page lists exactly these."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from controller.rollout.records import TOLD
from controller.timeline.names import PAST, TYPES, chooses_nothing, event_type, matches, wanted

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "webhooks.md").read_text()


def recorded() -> set[tuple[str, str]]:
    """Return (kind, action) of every ``write.record("action", "kind", …)`` of the code."""
    found: set[tuple[str, str]] = set()
    for path in (ROOT / "controller").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr != "record" or len(node.args) < 4:
                    continue
                if isinstance(node.args[3], ast.Constant) and node.args[3].value is None:
                    continue  # it is no account's
                kinds, actions = _texts(node.args[1]), _texts(node.args[0])
                found |= {(kind, action) for kind in kinds for action in actions}
    return found


def _texts(node: ast.expr) -> list[str]:
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def test_all_that_is_recorded_has_a_type_with_a_meaning() -> None:
    missing = {event_type(kind, action) for kind, action in recorded()} - set(TYPES)
    assert missing == set(), "add it to controller/timeline/names.py and docs/webhooks.md"
    assert {action for _, action in recorded()} <= set(PAST)


def test_the_page_lists_exactly_the_types_and_their_meaning() -> None:
    listed = dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.*) \|$", PAGE, re.MULTILINE))
    assert listed == TYPES


def test_every_state_of_a_site_that_is_told_has_a_type() -> None:
    assert {f"site.{state.value}" for state in TOLD} <= set(TYPES)


@pytest.mark.parametrize("type_", TYPES)
def test_types_are_chosen_by_themselves_their_object_and_the_star(type_: str) -> None:
    kind = type_.partition(".")[0]
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", type_) and len(type_) <= 60
    assert wanted(["x.y", type_], type_) and matches(f"{kind}.*", type_) and matches("*", type_)
    assert not matches(f"{kind}", type_) and not matches(f"{kind[:-1]}.*", type_)


def test_a_pattern_that_chooses_nothing_is_told_apart() -> None:
    assert not any(map(chooses_nothing, ["*", "prefix.*", "change_set.held"]))
    assert all(map(chooses_nothing, ["prefixes.*", "prefix.create", ""]))
