"""The table of guards: each guard of the policy has a test that fails without it, and that test is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from controller.safety.policy import Guards
from tests.guards_table import GUARDS

ROOT = Path(__file__).resolve().parents[2]


LATER = {"tasks"}
"""Guards whose tests come with the rooms that they guard."""


def test_every_guard_of_the_policy_is_in_the_table() -> None:
    assert set(Guards.__struct_fields__) - LATER <= set(GUARDS)


@pytest.mark.parametrize(("guard", "test"), GUARDS.items())
def test_the_test_that_catches_its_absence_is_there(guard: str, test: str) -> None:
    file, _, name = test.partition("::")
    functions = {
        node.name
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in functions, f"{guard}: {test} is not there"
