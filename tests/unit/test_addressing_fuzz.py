"""Schemathesis against the served description, a small seeded tier; ``scripts/fuzz-api`` has the long one."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import APIRouter, Response

from controller.addressing.auth import CallerDep
from controller.addressing.envelope import json_response
from tests.addressing_api import furnished, running_api
from tests.fuzz.run import fuzz

broken = APIRouter(prefix="/herald/v1/broken", tags=["accounts"])


@broken.get("")
def read_broken(caller: CallerDep) -> Response:
    """Answer with a status that nothing declares."""
    return json_response({}, 418)


def test_nothing_is_found(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        furnished(api)
        found = fuzz(api, tmp_path, examples=5, seed=1, phases=("examples", "fuzzing", "stateful"))
    assert found.code == 0, found.output
    assert found.cases > 100


@pytest.mark.parametrize("phase", ["fuzzing"])
def test_a_route_that_answers_what_it_does_not_declare_is_found(tmp_path: Path, phase: str) -> None:
    with running_api(tmp_path, extra_routers=[broken]) as api:
        furnished(api)
        found = fuzz(api, tmp_path, examples=1, seed=1, phases=(phase,))
    assert found.code == 1 and "418" in found.output, found.output
