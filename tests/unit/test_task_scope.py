"""What tasks may declare and try: the guard ``tasks``, over the real API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.addressing.life_policy import LifePolicy
from controller.addressing.tables import PrefixRow
from controller.safety.policy import Guards, Policy, Tasks
from controller.tasks import records
from controller.tasks.api import DELETIONS, PREFIXES, TaskApi, deletion
from controller.tasks.clean_up import CLEAN_UP
from controller.tasks.declaration import Foreseen, Task, by_name
from controller.tasks.errors import DeclarationError, PlanError, ScheduleError
from controller.tasks.plan import Plan, Step, Touched
from controller.tasks.removals_report import REMOVALS_REPORT
from controller.tasks.schedule import Cron, Every
from tests.addressing_api import running_api as serving  # SQLite is enough here
from tests.removal import Cast, cast
from tests.tasks import READS, WIDE, Crew, describing, everything, state_of

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


# -- declarations -----------------------------------------------------------------------------------------


def test_what_contradicts_itself_is_no_declaration() -> None:
    for bad in (
        lambda: Foreseen("*", frozenset({"read"})),
        lambda: Foreseen("prefixes", frozenset()),
        lambda: Foreseen("prefixes", frozenset({"read"}), 3),
        lambda: Foreseen("prefixes", frozenset({"delete"})),
        lambda: Task("all", "", (READS,), everything),
        lambda: Task("Clean Up", "", (READS,), everything),
        lambda: by_name([CLEAN_UP, CLEAN_UP]),
    ):
        with pytest.raises(DeclarationError):
            bad()
    for schedule in (lambda: Every(0), lambda: Cron("every day"), lambda: Cron("* * * * * *")):
        with pytest.raises(ScheduleError):
            schedule()


def test_a_cron_line_is_followed_in_utc() -> None:
    now = datetime(2026, 2, 20, 17, 46, tzinfo=UTC)
    assert Cron("0 6 * * *").after(now) == datetime(2026, 2, 21, 6, tzinfo=UTC)
    assert Every(90).after(now) == now + timedelta(seconds=90)


# -- the guard ``tasks``: the foreseen scope --------------------------------------------------------------


@pytest.mark.parametrize(
    "crew",
    [
        (
            Task(
                "outage",
                "",
                (Foreseen("prefixes", frozenset({"read"}), selector={"pending_delete": True}), WIDE),
                everything,
            ),
        )
    ],
    indirect=True,
)
def test_a_list_that_was_not_foreseen_never_leaves(stage: Cast, crew: Crew) -> None:
    before = state_of(stage.api)
    run = crew.run("outage")
    assert run["state"] == "refused" and "pending_delete=true" in run["reason"], run
    (call,) = run["calls"]
    assert call["status"] is None and call["outcome"].startswith("not sent: ")
    assert crew.told and "outside the foreseen scope" in crew.told[-1]
    assert state_of(stage.api) == before
    crew.policy = Policy(guards=Guards(tasks=False))  # without the guard the call leaves
    assert crew.run("outage")["calls"][0]["status"] == 200
    assert state_of(stage.api) == before  # and the API still knows that nobody asked for it


@pytest.mark.parametrize(
    "crew",
    [
        (
            Task("outage", "", (READS, Foreseen("prefix_deletions", frozenset({"create"}), 2)), everything),
            Task("wide", "", (READS, WIDE), everything),
        )
    ],
    indirect=True,
)
def test_more_objects_than_foreseen_never_leave_and_what_nobody_asked_for_is_refused(
    stage: Cast, crew: Crew
) -> None:
    for n in range(3):
        stage.another(f"198.51.{100 + n}.0/24")
    before = state_of(stage.api)
    run = crew.run("outage")
    assert run["state"] == "refused" and "at most 2 were foreseen" in run["reason"]
    assert len(run["plan"]["left_out"][0]["step"]["objects"]) == 4, "what it meant to do can be looked at"
    crew.policy = Policy(tasks=Tasks(most_a_run=3))
    assert "the policy allows 3" in crew.run("wide")["reason"]
    crew.policy = Policy()
    wide = crew.run("wide")  # the API stands behind the guard, and owners' requests behind the API
    assert wide["state"] == "failed" and "neither its owner nor two operators asked" in wide["reason"]
    assert len(wide["plan"]["left_out"][0]["step"]["objects"]) == 4
    assert state_of(stage.api) == before


async def without_a_value(api: TaskApi) -> Plan:
    """The outage's very call: the key, and no value."""
    found = await api.get(PREFIXES, ("pending_delete", ""))
    prefixes = [Touched(p["id"], p["account_id"], p["cidr"]) for p in found["result"]]
    return Plan((deletion(prefixes, None, "clean-up"),))


@pytest.mark.parametrize("crew", [(Task("outage", "", (READS, WIDE), without_a_value),)], indirect=True)
def test_the_outages_own_call_gets_a_400(stage: Cast, crew: Crew) -> None:
    run = crew.run("outage")
    assert (
        run["state"] == "failed" and "malformed_query" in run["reason"] and "pending_delete" in run["reason"]
    )
    assert run["calls"][0]["status"] == 400


async def endless(api: TaskApi) -> Plan:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("crew", [(Task("endless", "", (READS,), endless),)], indirect=True)
def test_a_run_ends_when_its_time_is_up(stage: Cast, crew: Crew) -> None:
    crew.policy = Policy(tasks=Tasks(timeout_s=0.05))
    run = crew.run("endless")
    assert run["state"] == "failed" and "more than 0.05 s" in run["reason"]


async def crashing(api: TaskApi) -> Plan:
    raise RuntimeError("a bug")


async def lying(api: TaskApi) -> Plan:
    """Names one object and says that it is another."""
    return Plan((Step("POST", DELETIONS, {"ids": ["a"], "expected_count": 1}, (Touched("b", "x", "y"),)),))


@pytest.mark.parametrize(
    "crew", [(Task("bug", "", (READS,), crashing), Task("lie", "", (READS, WIDE), lying))], indirect=True
)
def test_a_tasks_own_fault_ends_its_run_and_no_more(stage: Cast, crew: Crew) -> None:
    assert "a bug" in crew.run("bug")["reason"]
    assert "does not name the objects" in crew.run("lie")["reason"]
    with stage.api.http() as http:
        assert http.get(TASKS).status_code == 200


def test_a_list_about_something_else_is_an_error() -> None:
    class Other:
        async def read(self, path: str, query: Any) -> dict[str, Any]:
            return {
                "selector": {"pending_delete": None, "account_id": None},
                "total": 0,
                "result": [],
                "next": None,
            }

    class Cut:
        async def read(self, path: str, query: Any) -> dict[str, Any]:
            selector = {"pending_delete": True, "account_id": None}
            return {"selector": selector, "total": 7, "result": [], "next": None}

    for reader, says in ((Other(), "was asked for"), (Cut(), "7 objects, and 0 were read")):
        with pytest.raises(PlanError, match=says):
            asyncio.run(TaskApi(reader).prefixes(pending_delete=True))


# -- the stop switch ---


@pytest.mark.parametrize("crew", [(describing("x"),)], indirect=True)
def test_a_run_of_fifty_that_is_stopped_after_the_seventh_changes_nothing_more(
    stage: Cast, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew.policy = Policy(tasks=Tasks(approve_above=100))
    for n in range(49):
        client = stage.api.client()
        client.create_prefix("acme", f"198.18.{n}.0/24")
    done = 0
    answered = records.note_answer

    def stop_after_seven(session: Any, run_id: str, number: int, **what: Any) -> None:
        nonlocal done
        answered(session, run_id, number, **what)
        call = records.calls_of(session, run_id)[number - 1]
        done += call.method == "PATCH" and not call.dry_run
        if done == 7:
            records.stop(session, "describing", "operator:me", "it runs away", crew.now())

    monkeypatch.setattr(records, "note_answer", stop_after_seven)
    run = crew.run("describing")
    assert run["state"] == "stopped" and "it runs away" in run["reason"], run
    assert (run["steps"], run["done"], len(run["changed"])) == (50, 7, 7)
    with stage.api.store.read() as session:
        assert session.query(PrefixRow).filter_by(description="x").count() == 7
    refused = stage.operator.post(f"{TASKS}/describing/runs", json={"dry_run": False})
    assert refused.status_code == 409 and "task_is_stopped" in refused.text
