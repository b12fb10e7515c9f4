"""Approvals by a second person, and the stop switch of all tasks, over the real API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.addressing.life_policy import LifePolicy
from controller.safety.policy import Policy, Tasks
from controller.tasks.clean_up import CLEAN_UP
from controller.tasks.removals_report import REMOVALS_REPORT
from tests.addressing_api import running_api as serving  # SQLite is enough here
from tests.removal import Cast, cast
from tests.tasks import Crew, state_of

TASKS = "/herald/v1/tasks"


@pytest.fixture
def crew(request: pytest.FixtureRequest) -> Crew:
    return Crew(*getattr(request, "param", (CLEAN_UP, REMOVALS_REPORT)))


@pytest.fixture
def stage(tmp_path: Path, crew: Crew) -> Iterator[Cast]:
    with serving(tmp_path, routers_over=crew.routers, life=LifePolicy(grace_s=3600)) as api:
        crew.join(api)
        with cast(api) as made:
            yield made


def test_stopping_all_stops_each_and_starting_makes_up_for_nothing(stage: Cast, crew: Crew) -> None:
    queued = stage.operator.post(f"{TASKS}/clean-up/runs", json={"dry_run": False}).json()
    stopped = stage.operator.post(f"{TASKS}/all/stop", headers={"Herald-Reason": "incident 7"})
    assert stopped.json() == {"name": "all", "stopped": True}
    crew.work()
    assert crew.see(queued["id"])["state"] == "stopped" and crew.see(queued["id"])["calls"] == []
    crew.late = timedelta(days=2)  # due, and not begun
    crew.work()
    task = stage.operator.get(f"{TASKS}/clean-up").json()
    assert task["last_run"]["id"] == queued["id"] and task["next_at"] is None
    assert task["stopped"]["all"] is True and task["stopped"]["reason"] == "incident 7"
    assert stage.operator.post(f"{TASKS}/all/start").status_code == 200
    crew.work()
    task = stage.operator.get(f"{TASKS}/clean-up").json()
    assert task["stopped"] is None and task["last_run"]["id"] == queued["id"]
    assert datetime.fromisoformat(task["next_at"]) > crew.now()


# -- approval ---------------------------------------------------------------------------------------------


def waiting(stage: Cast, crew: Crew) -> dict[str, Any]:
    crew.policy = Policy(tasks=Tasks(approve_above=1))
    stage.more = stage.another("198.51.100.0/24")  # type: ignore[attr-defined]
    stage.ask_deletion()
    stage.ask_deletion(stage.more)  # type: ignore[attr-defined]
    run = crew.run("clean-up")
    assert run["state"] == "waiting" and run["objects"] == 2 and run["changed"] == []
    assert any("second person approves" in t for t in crew.told)
    return run


def test_a_second_person_approves_the_very_plan(stage: Cast, crew: Crew) -> None:
    run = waiting(stage, crew)
    path, body = f"/herald/v1/task_runs/{run['id']}/approve", {"plan_hash": run["plan_hash"]}
    other = stage.second.post(path, json={"plan_hash": "0" * 64})
    assert other.status_code == 409 and "plan_changed" in other.text
    own = stage.operator.post(path, json=body)
    assert own.status_code == 409 and "second_operator_needed" in own.text
    child = stage.second.post(path, json=body)  # the operator issued that token: one person
    assert child.status_code == 409 and "descend from each other" in child.text
    assert crew.see(run["id"])["state"] == "waiting"


def stop_and_start(stage: Cast, crew: Crew) -> None:
    stage.operator.post(f"{TASKS}/clean-up/stop")
    crew.work()
    stage.operator.post(f"{TASKS}/clean-up/start")


def two_persons(stage: Cast) -> tuple[Any, Any]:
    client = stage.api.client()
    return tuple(stage.api.http(client.create_token("operator")["token"]) for _ in range(2))  # type: ignore[return-value]


def test_what_was_approved_is_carried_out_when_it_is_still_the_plan(stage: Cast, crew: Crew) -> None:
    waiting(stage, crew)
    ann, bob = two_persons(stage)
    stop_and_start(stage, crew)
    run = ann.post(f"{TASKS}/clean-up/runs", json={"dry_run": False}).json()
    crew.work()
    run = crew.see(run["id"])
    approved = bob.post(f"/herald/v1/task_runs/{run['id']}/approve", json={"plan_hash": run["plan_hash"]})
    assert approved.status_code == 200 and approved.json()["state"] == "approved", approved.text
    crew.work()
    found = crew.see(run["id"])
    assert found["state"] == "done" and found["done"] == 1 and found["approved_by"].startswith("operator:")
    assert state_of(stage.api) == []


def test_an_approval_is_void_when_the_plan_changes(stage: Cast, crew: Crew) -> None:
    first = waiting(stage, crew)
    ann, bob = two_persons(stage)
    stop_and_start(stage, crew)
    run = ann.post(f"{TASKS}/clean-up/runs", json={"dry_run": False}).json()
    crew.work()
    run = crew.see(run["id"])
    assert run["plan_hash"] == first["plan_hash"]
    third = stage.another("203.0.113.0/24")
    stage.ask_deletion(third)
    approve = f"/herald/v1/task_runs/{run['id']}/approve"
    assert bob.post(approve, json={"plan_hash": run["plan_hash"]}).status_code == 200
    crew.work()
    found = crew.see(run["id"])
    assert found["state"] == "waiting" and found["plan_hash"] != run["plan_hash"] and found["objects"] == 3
    assert found["approved_by"] is None and "void" in found["reason"] and "void" in crew.told[-1]
    assert len(state_of(stage.api)) == 3 and found["changed"] == []
    crew.late = timedelta(days=2)
    crew.work()
    assert crew.see(run["id"])["state"] == "lapsed"
