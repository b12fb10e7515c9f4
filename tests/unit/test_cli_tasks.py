"""``herald tasks …`` as operators use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from controller.cli.app import run
from controller.safety.policy import Policy, Tasks
from controller.tasks.clean_up import CLEAN_UP
from controller.tasks.removals_report import REMOVALS_REPORT
from tests.addressing_api import Api
from tests.addressing_api import running_api as serving  # SQLite is enough here
from tests.command_line import speaker
from tests.removal import cast
from tests.tasks import Crew

Herald = Callable[..., tuple[dict, str]]


@pytest.fixture
def api(tmp_path) -> Iterator[Api]:
    crew = Crew(CLEAN_UP, REMOVALS_REPORT, policy=Policy(tasks=Tasks(approve_above=0)))
    with serving(tmp_path, routers_over=crew.routers) as running:
        crew.join(running)
        with cast(running) as stage, crew.at_work():
            stage.ask_deletion()
            yield running


def test_looked_at_tried_run_approved_and_stopped(api: Api, monkeypatch, tmp_path, capsys) -> None:
    herald = speaker(api, monkeypatch, tmp_path, capsys)
    client = api.client()
    ann, bob = (client.create_token("operator")["token"] for _ in range(2))
    assert [t["name"] for t in herald("tasks", "list")[0]] == ["clean-up", "removals-report"]
    assert herald("tasks", "show", "clean-up")[0]["foreseen"][0]["selector"] == {"pending_delete": True}
    assert herald("tasks", "run", "clean-up", "--dry-run")[0]["state"] == "planned"
    waits = herald("tasks", "run", "clean-up", "--token", ann, "--reason", "Ticket 9")[0]
    assert waits["state"] == "waiting" and waits["why"] == "Ticket 9"
    assert (
        "second_operator_needed"
        in herald("tasks", "approve", waits["id"], waits["plan_hash"], "--token", ann, status=1)[1]
    )
    wrong = herald("tasks", "approve", waits["id"], "0123456789abcdef", "--token", bob, status=1)[1]
    assert "is not the plan that run" in wrong
    herald("tasks", "approve", waits["id"], waits["plan_hash"][:16], "--token", bob)
    while (found := herald("tasks", "show", waits["id"])[0])["state"] != "done":
        assert found["state"] in ("approved", "confirming", "carrying_out"), found
    assert [o["cidr"] for o in found["changed"][0]["objects"]] == ["192.0.2.0/24"]
    assert herald("prefixes", "list")[0] == []
    herald("tasks", "stop", "clean-up", "--reason", "incident 7")
    assert "incident 7" in herald("tasks", "run", "clean-up", status=1)[1]
    assert herald("tasks", "stop", status=2) and herald("tasks", "stop", "clean-up", "--all", status=2)
    herald("tasks", "stop", "--all")
    herald("tasks", "start", "clean-up")
    assert "task_is_stopped" in herald("tasks", "run", "clean-up", status=1)[1]
    herald("tasks", "start", "--all")
    assert herald("tasks", "run", "removals-report")[0]["plan"]["notes"][0].startswith("acme: 192.0.2.0/24")
    assert len(herald("tasks", "runs", "clean-up")[0]) == 2
    assert "there is no task" in herald("tasks", "runs", "cleanup", status=1)[1]
    for argv in (["list"], ["show", "clean-up"], ["show", waits["id"]], ["runs", "clean-up"]):
        assert run(["tasks", *argv]) == 0
        out, _ = capsys.readouterr()
        assert out and "{" not in out, argv
