"""The task-runner over the real API: the clean-up, the token, the schedule, a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.addressing.life_policy import LifePolicy
from controller.addressing.life_tables import DeletionRow
from controller.guard.telling import OPERATORS
from controller.tasks import records
from controller.tasks.api import DELETIONS, PREFIXES
from controller.tasks.clean_up import CLEAN_UP
from controller.tasks.removals_report import REMOVALS_REPORT
from controller.tasks.tables import TaskRunRow
from controller.tasks.telling import tell_operators
from controller.tasks.token import token_id
from controller.timeline.tables import TimelineRow
from tests.addressing_api import running_api
from tests.removal import Cast, admit, cast
from tests.tasks import Crew, describing, state_of

TASKS = "/herald/v1/tasks"


@pytest.fixture
def crew(request: pytest.FixtureRequest) -> Crew:
    return Crew(*getattr(request, "param", (CLEAN_UP, REMOVALS_REPORT)))


@pytest.fixture
def stage(tmp_path: Path, crew: Crew) -> Iterator[Cast]:
    with running_api(tmp_path, routers_over=crew.routers, life=LifePolicy(grace_s=3600)) as api:
        crew.join(api)
        with cast(api) as made:
            yield made


# -- the clean-up -----------------------------------------------------------------------------------------


def test_the_clean_up_removes_what_owners_asked_for_and_nothing_else(stage: Cast, crew: Crew) -> None:
    kept = stage.another("198.51.100.0/24")
    assert stage.ask_deletion().status_code == 200
    admit(stage.api)
    looked = crew.run("clean-up", dry_run=True)
    assert looked["state"] == "planned" and looked["objects"] == 1 and looked["changed"] == []
    assert len(state_of(stage.api)) == 2
    run = crew.run("clean-up")
    assert run["state"] == "done", run
    assert [o["cidr"] for c in run["changed"] for o in c["objects"]] == ["192.0.2.0/24"]
    (call,) = [c for c in run["calls"] if c["method"] == "POST" and not c["dry_run"]]
    assert call["target"] == DELETIONS and call["change_sets"]
    assert call["body"]["selector"] == {"pending_delete": True, "account_id": "acme"}
    assert call["body"]["expected_count"] == 1 and call["body"]["ids"] == [stage.prefix]
    assert run["calls"][0]["target"].startswith(f"{PREFIXES}?pending_delete=true")
    assert [c for c, _, _ in state_of(stage.api)] == ["198.51.100.0/24"]
    chunk = admit(stage.api)
    assert chunk is not None and [p.id for p in chunk.prefixes] == [kept]


def test_purging_waits_for_the_grace_to_be_over(stage: Cast, crew: Crew) -> None:
    stage.ask_deletion()
    assert crew.run("clean-up")["objects"] == 1
    assert crew.run("clean-up")["objects"] == 0
    with stage.api.store.write() as session:
        for row in session.query(DeletionRow):
            row.grace_ends_at = datetime.now(UTC) - timedelta(seconds=1)
    run = crew.run("clean-up")
    assert run["state"] == "done" and [c["path"] for c in run["changed"]] == ["/herald/v1/prefix_purges"]
    assert stage.operator.get(DELETIONS, params={"grace_over": "true"}).json()["total"] == 0


def test_an_account_with_an_advertised_prefix_is_left_alone_and_that_is_said(stage: Cast, crew: Crew) -> None:
    stage.advertise()
    stage.ask_deletion()
    run = crew.run("clean-up")
    assert run["state"] == "done" and run["reason"] == "there was nothing to do"
    assert run["plan"]["notes"] == ["acme: 192.0.2.0/24 is still advertised: its owner withdraws it first"]
    report = crew.run("removals-report")
    assert "is to go since" in report["plan"]["notes"][0] and report["changed"] == []


def test_the_list_of_tombstones_takes_its_flag_strictly(stage: Cast) -> None:
    for query in ("grace_over", "grace_over=", "grace_over=1", "grace_over=true&grace_over=true"):
        assert stage.operator.get(f"{DELETIONS}?{query}").status_code == 400, query


# -- the token --------------------------------------------------------------------------------------------


def test_the_token_can_do_what_was_declared_and_is_void_after_the_run(stage: Cast, crew: Crew) -> None:
    crew.run("clean-up")
    token = stage.operator.get(f"/herald/v1/tokens/{token_id('clean-up')}").json()
    assert token["role"] == "task" and token["revoked_at"] is not None and token["issued_by"] is None
    assert token["scopes"] == {
        "prefixes": ["read"],
        "prefix_deletions": ["read", "create"],
        "prefix_purges": ["create"],
    }
    crew.run("clean-up")
    again = stage.operator.get(f"/herald/v1/tokens/{token_id('clean-up')}").json()
    assert again["created_at"] > token["created_at"], "it was rotated"
    tokens = [t for t in stage.operator.get("/herald/v1/tokens").json() if t["role"] == "task"]
    assert len(tokens) == 1, "the actor, by which the breaker counts, stays the same"


# -- the schedule ----------------------------------------------------------------------------------------


def test_the_schedule_begins_a_run_once_and_never_two_at_a_time(stage: Cast, crew: Crew) -> None:
    crew.work()
    assert stage.operator.get(f"{TASKS}/clean-up/runs").json()["result"] == []
    crew.late = timedelta(seconds=3601)
    crew.work()
    crew.work()
    (run,) = stage.operator.get(f"{TASKS}/clean-up/runs").json()["result"]
    assert run["started_by"] == "schedule" and run["state"] == "done"
    first = stage.operator.post(f"{TASKS}/clean-up/runs", json={"dry_run": False})
    assert first.status_code == 200
    second = stage.operator.post(f"{TASKS}/clean-up/runs", json={"dry_run": False})
    assert second.status_code == 409 and "one at a time" in second.text


# -- a crash ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crew", [(describing("x"),)], indirect=True)
def test_a_run_whose_runner_died_is_interrupted_and_never_resumed(
    stage: Cast, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.another("198.51.100.0/24")

    real = crew.runner._carry_on
    done = asyncio.Event()

    async def die(work: Any, commands: Any) -> None:
        carry_out = work.client.carry_out

        async def once(step: Any, number: int) -> Any:
            await carry_out(step, number)
            done.set()
            await asyncio.Event().wait()

        work.client.carry_out = once
        await real(work, commands)

    monkeypatch.setattr(crew.runner, "_carry_on", die)
    run_id = stage.operator.post(f"{TASKS}/describing/runs", json={"dry_run": False}).json()["id"]

    async def turn_and_die() -> None:
        await crew.runner.turn()
        (working,) = crew.runner._working.values()
        await done.wait()
        monkeypatch.setattr(crew.runner, "_step", lambda *_: None)  # it does not live to say so
        working.cancel()
        await asyncio.wait([working])

    asyncio.run(turn_and_die())
    assert crew.see(run_id)["state"] == "carrying_out"
    crew.runner = crew.another(stage.api.store)  # the next start
    crew.work()
    assert crew.see(run_id)["state"] == "carrying_out", "its lease still holds"
    crew.late = timedelta(seconds=16)
    crew.work()
    found = crew.see(run_id)
    assert found["state"] == "interrupted" and "gone" in found["reason"]
    assert any("gone" in says for says in crew.told)
    assert len([c for c in found["calls"] if c["method"] == "PATCH" and not c["dry_run"]]) == 1
    assert crew.run("describing")["state"] == "done", "the next run looks anew"


@pytest.mark.parametrize("crew", [(describing("x"),)], indirect=True)
def test_a_run_that_another_controller_took_over_makes_no_further_call(
    stage: Cast, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.another("198.51.100.0/24")
    answered = records.note_answer

    def lose_the_lease(session: Any, run_id: str, number: int, **what: Any) -> None:
        answered(session, run_id, number, **what)
        if records.calls_of(session, run_id)[number - 1].target.endswith(stage.prefix):
            session.query(TaskRunRow).filter_by(id=run_id).update({"held_by": "another"})

    monkeypatch.setattr(records, "note_answer", lose_the_lease)
    run = crew.run("describing")
    assert run["state"] == "planning" and run["changed"] == [] and run["ended_at"] is None
    assert [c["dry_run"] for c in run["calls"] if c["method"] == "PATCH"][-1] is True


def test_operators_are_told_in_their_timeline_with_what_happened(stage: Cast, crew: Crew) -> None:
    with stage.api.store.write() as session:
        row = records.begin(session, "clean-up", started_by="schedule", why="", dry_run=False, now=crew.now())
        row.state = "refused"
        tell_operators(session, row, "outside the foreseen scope: it tried everything")
    with stage.api.store.read() as session:
        (entry,) = session.query(TimelineRow).filter_by(object_id=row.id)
        assert (entry.account_id, entry.type) == (OPERATORS, "task_run.refused")
        assert "tried everything" in entry.reason and entry.detail["task"] == "clean-up"
