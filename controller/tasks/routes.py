"""``/herald/v1/tasks`` and ``/herald/v1/task_runs``: look, start, approve, stop; for operators only."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.auth import CallerDep
from controller.addressing.context import ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.life_bodies import PathId
from controller.addressing.persons import require_second_operator
from controller.addressing.times import rfc3339
from controller.addressing.writes import Write, WriterDep
from controller.tasks import records
from controller.tasks.bodies import (
    ApproveTaskRun,
    CreateTaskRun,
    SwitchedBody,
    TaskBody,
    TaskList,
    TaskRunBody,
    TaskRunLineBody,
    TaskRunPage,
)
from controller.tasks.declaration import ALL, Task
from controller.tasks.machine import Approved, RunState, step
from controller.tasks.runner import SCHEDULE, Runner
from controller.tasks.tables import TaskCallRow, TaskRow, TaskRunRow

Limit = Annotated[int, Query(ge=1, le=1000)]


def build_tasks_router(runner: Runner) -> APIRouter:
    """Return the routes over ``runner``."""
    router = APIRouter(prefix="/herald/v1")
    for add in (_add_tasks, _add_switches, _add_runs):
        add(router, runner)
    return router


def _add_tasks(router: APIRouter, runner: Runner) -> None:
    @router.get("/tasks", response_model=TaskList, tags=["tasks"])
    def list_tasks(caller: CallerDep, context: ContextDep) -> Response:
        """All declared tasks: when they are due, whether they are stopped, how their last run ended."""
        caller.require_operator()
        with context.store.read() as session:
            found = [_task(session, task) for _, task in sorted(runner.tasks.items())]
        return json_response({"result": found})

    @router.get("/tasks/{task}", response_model=TaskBody, tags=["tasks"])
    def get_task(task: PathId, caller: CallerDep, context: ContextDep) -> Response:
        """One task with its foreseen scope."""
        caller.require_operator()
        declared = _declared(runner, task)
        with context.store.read() as session:
            return json_response(_task(session, declared))

    @router.get("/tasks/{task}/runs", response_model=TaskRunPage, tags=["tasks"])
    def list_task_runs(
        task: PathId,
        caller: CallerDep,
        context: ContextDep,
        after: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
        limit: Limit = 100,
    ) -> Response:
        """The history of a task, newest first."""
        caller.require_operator()
        _declared(runner, task)
        query = select(TaskRunRow).where(TaskRunRow.task == task).order_by(TaskRunRow.seq.desc())
        if after is not None:
            query = query.where(TaskRunRow.seq < after)
        with context.store.read() as session:
            found = session.scalars(query.limit(limit + 1)).all()
        following = found[limit - 1].seq if len(found) > limit else None
        return json_response({"result": [_line(r) for r in found[:limit]], "next": following})


def _add_switches(router: APIRouter, runner: Runner) -> None:
    @router.post("/tasks/{task}/stop", response_model=SwitchedBody, tags=["tasks"])
    def stop_task(task: PathId, caller: CallerDep, writer: WriterDep) -> Response:
        """Stop a task (``all``: every one) at once: a run that is under way makes no further call."""
        caller.require_operator()
        name = task if task == ALL else _declared(runner, task).name

        def work(write: Write) -> dict[str, Any]:
            records.stop(write.session, name, caller.actor, write.reason, write.now)
            write.record("stop", "task", name, None)
            return {"name": name, "stopped": True}

        answer = writer.run(work)
        runner.wake()
        return answer

    @router.post("/tasks/{task}/start", response_model=SwitchedBody, tags=["tasks"])
    def start_task(task: PathId, caller: CallerDep, writer: WriterDep) -> Response:
        """Let a task (``all``: every one that was not stopped by itself) run again when it is due next."""
        caller.require_operator()
        declared = None if task == ALL else _declared(runner, task)

        def work(write: Write) -> dict[str, Any]:
            schedule = None if declared is None else declared.schedule
            name = ALL if declared is None else declared.name
            records.start(write.session, name, None if schedule is None else schedule.after(write.now))
            write.record("start", "task", name, None)
            return {"name": name, "stopped": False}

        answer = writer.run(work)
        runner.wake()
        return answer


def _add_runs(router: APIRouter, runner: Runner) -> None:
    @router.post(
        "/tasks/{task}/runs",
        response_model=TaskRunLineBody,
        responses=refuses(Kind.TASK_STOPPED, Kind.NOT_IN_THAT_STATE),
        tags=["tasks"],
    )
    def create_task_run(task: PathId, body: CreateTaskRun, caller: CallerDep, writer: WriterDep) -> Response:
        """Start a run now; above the policy's limit it waits for the approval of another person."""
        caller.require_operator()
        declared = _declared(runner, task)

        def work(write: Write) -> dict[str, Any]:
            switch = records.switch_of(write.session, declared.name)
            if switch is not None:
                raise Refusal(Kind.TASK_STOPPED, records.says_stopped(switch))
            running = records.open_run(write.session, declared.name)
            if running is not None:
                raise Refusal(
                    Kind.NOT_IN_THAT_STATE,
                    f"run {running.id} of {declared.name} is {running.state}: one at a time",
                )
            row = records.begin(
                write.session,
                declared.name,
                started_by=caller.actor,
                why=write.reason,
                dry_run=body.dry_run,
                now=write.now,
            )
            write.record("run", "task", row.id, None, task=declared.name, dry_run=body.dry_run)
            return _line(row)

        answer = writer.run(work)
        runner.wake()
        return answer

    @router.get("/task_runs/{run_id}", response_model=TaskRunBody, tags=["task_runs"])
    def get_task_run(run_id: PathId, caller: CallerDep, context: ContextDep) -> Response:
        """A run: what it means to do, each call that it tried, and what it changed."""
        caller.require_operator()
        with context.store.read() as session:
            row = _run(session, run_id)
            calls = [_call(c) for c in records.calls_of(session, run_id)]
        return json_response({**_line(row), "plan": row.plan, "changed": row.changed, "calls": calls})

    @router.post(
        "/task_runs/{run_id}/approve",
        response_model=TaskRunLineBody,
        responses=refuses(Kind.PLAN_CHANGED, Kind.SECOND_OPERATOR, Kind.NOT_IN_THAT_STATE),
        tags=["task_runs"],
    )
    def approve_task_run(
        run_id: PathId, body: ApproveTaskRun, caller: CallerDep, writer: WriterDep
    ) -> Response:
        """Approve the very plan that a run waits with; it is void should the plan change until then."""
        caller.require_operator()

        def work(write: Write) -> dict[str, Any]:
            row = _run(write.session, run_id)
            if row.state != RunState.WAITING.value:
                raise Refusal(Kind.NOT_IN_THAT_STATE, f"run {run_id} is {row.state}, and waits for nobody")
            if row.plan_hash != body.plan_hash:
                raise Refusal(
                    Kind.PLAN_CHANGED,
                    f"run {run_id} waits with the plan {row.plan_hash}: look at that one",
                    "/plan_hash",
                )
            if row.started_by != SCHEDULE:
                require_second_operator(write.session, row.started_by.partition(":")[2], caller.token_id)
            run, _ = step(records.run_of(row), Approved(body.plan_hash))
            records.save(row, run, write.now)
            row.approved_by, row.approved_at = caller.actor, write.now
            write.record("approve", "task_run", run_id, None, plan_hash=body.plan_hash, task=row.task)
            return _line(row)

        answer = writer.run(work)
        runner.wake()
        return answer


def _declared(runner: Runner, name: str) -> Task:
    if name not in runner.tasks:
        known = ", ".join(sorted(runner.tasks)) or "none"
        raise Refusal(Kind.NOT_FOUND, f"there is no task {name!r}: there are {known}")
    return runner.tasks[name]


def _run(session: Session, run_id: str) -> TaskRunRow:
    row = session.scalar(select(TaskRunRow).where(TaskRunRow.id == run_id))
    if row is None:
        raise Refusal(Kind.NOT_FOUND, f"there is no run {run_id!r}")
    return row


def _task(session: Session, task: Task) -> dict[str, Any]:
    row, switch = session.get(TaskRow, task.name), records.switch_of(session, task.name)
    last = records.last_run(session, task.name)
    return {
        "name": task.name,
        "purpose": task.purpose,
        "schedule": None if task.schedule is None else str(task.schedule),
        "next_at": None if row is None or switch is not None else rfc3339(row.next_at),
        "foreseen": task.foresees(),
        "stopped": None if switch is None else _stopped(switch),
        "last_run": None if last is None else _line(last),
    }


def _stopped(row: TaskRow) -> dict[str, Any]:
    return {
        "at": rfc3339(row.stopped_at),
        "by": row.stopped_by,
        "reason": row.stop_reason,
        "all": row.name == ALL,
    }


def _line(row: TaskRunRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "task": row.task,
        "state": row.state,
        "reason": row.reason,
        "dry_run": row.dry_run,
        "started_by": row.started_by,
        "why": row.why,
        "plan_hash": row.plan_hash,
        "objects": row.objects,
        "steps": row.steps,
        "done": row.done,
        "approved_by": row.approved_by,
        "created_at": rfc3339(row.created_at),
        "modified_at": rfc3339(row.modified_at),
        "ended_at": rfc3339(row.ended_at),
    }


def _call(row: TaskCallRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "at": rfc3339(row.at),
        "method": row.method,
        "target": row.target,
        "dry_run": row.dry_run,
        "body": row.body,
        "status": row.status,
        "outcome": row.outcome,
        "change_sets": row.change_sets,
    }
