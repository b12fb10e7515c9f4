"""A short tier of ``scripts/crash-rollouts``: ``herald serve`` killed at named steps."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest

from controller.rollout.crash_points import ACTS, NAMES, STAGES
from tests.crash.rollouts import run_case

ROOT = Path(__file__).resolve().parents[2] / "controller"


@pytest.mark.parametrize(
    ("scenario", "point", "times"),
    [
        ("passes", "deliver-written", 2),
        ("refused", "revert-written", 1),
        ("refused", "command-received", 4),
        ("delete", "removal-written", 1),
        ("rollback", "rollback-half-unwritten", 2),
    ],
)
def test_a_kill_there_ends_as_the_law_says(
    empty_database: Path, scenario: str, point: str, times: int
) -> None:
    assert asyncio.run(run_case(empty_database, scenario, point, times)), "it was killed there"


def test_every_named_place_is_in_the_code_once() -> None:
    passed = [
        ast.unparse(node.args[0])
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "crash_point"
    ]
    of_acts = {f"{act}-{when}" for act in (*STAGES, *ACTS) for when in ("unwritten", "written")}
    plain = [name for name in NAMES if name not in of_acts]
    assert sorted(ast.literal_eval(p) for p in passed if not p.startswith("f")) == sorted(plain)
    assert len([p for p in passed if p.startswith("f")]) == 4, "before and after acts and stages are written"
