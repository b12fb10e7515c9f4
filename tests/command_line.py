"""What tests of the command line share: ``herald`` in this process, and what it prints."""

from __future__ import annotations

import json
import time

from fastapi import APIRouter, Response

from controller.addressing.auth import CallerDep
from controller.addressing.envelope import json_response
from controller.cli.app import run
from tests.addressing_api import Api


def speaker(api: Api, monkeypatch, tmp_path, capsys):
    """Return what runs a command against the API with ``--json``, and gives its answer and its stderr."""
    monkeypatch.setenv("HERALD_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HERALD_URL", f"unix:{api.socket}")
    monkeypatch.setenv("HERALD_TOKEN", api.token)

    def call(*argv: str, status: int = 0):
        assert run([*argv, "--json"]) == status, capsys.readouterr().err
        captured = capsys.readouterr()
        return (json.loads(captured.out) if captured.out else None), captured.err

    return call


def readable(capsys, *argvs: list[str]) -> None:
    """Hold that a command prints a table or a card for people, too."""
    for argv in argvs:
        assert run(argv) == 0
        out, _ = capsys.readouterr()
        assert out and "{" not in out, argv


def change_sets(state: str, sites: dict) -> APIRouter:
    """The one route of the roll-outs that the command line waits on, with an answer of the test's."""
    router = APIRouter()

    @router.get("/herald/v1/change-sets/{id_}")
    def change_set(id_: str, caller: CallerDep, wait: float = 0.0) -> Response:
        time.sleep(min(wait, 0.01))
        return json_response({"id": id_, "state": state, "reason": "", "rollout_id": None, "sites": sites})

    return router
