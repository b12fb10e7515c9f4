"""Tasks' switches, runs and calls in the database. All functions work in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from controller.addressing.tables import EventRow
from controller.tasks.declaration import ALL, Task
from controller.tasks.machine import AT_WORK, OVER, Run, RunState
from controller.tasks.plan import Proposal
from controller.tasks.scope import Call
from controller.tasks.tables import TaskCallRow, TaskRow, TaskRunRow

LONGEST = 2000


def declare(session: Session, tasks: Iterable[Task], now: datetime) -> None:
    """Make rows for tasks that are new, due for the first time one interval from now; and for ``all``."""
    names: dict[str, Task | None] = {ALL: None, **{t.name: t for t in tasks}}
    for name, task in names.items():
        row = session.get(TaskRow, name)
        if row is None:
            row = TaskRow(name=name, next_at=None, stop_reason="")
            session.add(row)
        schedule = None if task is None else task.schedule
        if schedule is None:
            row.next_at = None
        elif row.next_at is None or row.next_at > schedule.after(now):  # it is due more often now
            row.next_at = schedule.after(now)


def due(session: Session, now: datetime) -> list[str]:
    """Return the names of the tasks that are due."""
    return list(session.scalars(select(TaskRow.name).where(TaskRow.next_at <= now).order_by(TaskRow.name)))


def switch_of(session: Session, name: str) -> TaskRow | None:
    """Return the switch that keeps a task from running: its own, or that of all; None when neither is on."""
    for wanted in (ALL, name):
        row = session.get(TaskRow, wanted)
        if row is not None and row.stopped_at is not None:
            return row
    return None


def says_stopped(row: TaskRow) -> str:
    """Say who stopped what, and what starts it again."""
    which = "all tasks were" if row.name == ALL else "it was"
    flag = "--all" if row.name == ALL else row.name
    why = f" ({row.stop_reason})" if row.stop_reason else ""
    return f"{which} stopped by {row.stopped_by}{why}: herald tasks start {flag}"


def stop(session: Session, name: str, who: str, why: str, now: datetime) -> TaskRow:
    """Turn a task's switch on; what was stopped already stays as it was."""
    row = session.get_one(TaskRow, name)
    if row.stopped_at is None:
        row.stopped_at, row.stopped_by, row.stop_reason = now, who, why[:LONGEST]
    return row


def start(session: Session, name: str, next_at: datetime | None) -> TaskRow:
    """Turn a task's switch off; what it missed is not made up for."""
    row = session.get_one(TaskRow, name)
    row.stopped_at, row.stopped_by, row.stop_reason = None, None, ""
    row.next_at = next_at
    return row


def open_run(session: Session, task: str) -> TaskRunRow | None:
    """Return the run of a task that is not over; there is one at most."""
    return session.scalar(select(TaskRunRow).where(TaskRunRow.task == task, TaskRunRow.ended_at.is_(None)))


def begin(
    session: Session, task: str, *, started_by: str, why: str, dry_run: bool, now: datetime
) -> TaskRunRow:
    """Add a run, queued; the store refuses a second one of the same task."""
    row = TaskRunRow(
        id=uuid4().hex,
        task=task,
        started_by=started_by,
        why=why[:LONGEST],
        dry_run=dry_run,
        state=RunState.QUEUED.value,
        reason="",
        objects=0,
        steps=0,
        done=0,
        changed=[],
        created_at=now,
        modified_at=now,
    )
    session.add(row)
    session.flush()
    return row


def run_of(row: TaskRunRow) -> Run:
    """Return a run as the machine knows it."""
    return Run(
        RunState(row.state),
        row.dry_run,
        row.plan_hash,
        row.objects,
        row.steps,
        row.done,
        row.approved_hash,
        row.reason,
    )


def save(row: TaskRunRow, run: Run, now: datetime) -> None:
    """Write down how far a run is; one that nobody is at work on has no lease."""
    row.state, row.reason = run.state.value, run.reason[:LONGEST]
    row.plan_hash, row.objects, row.steps, row.done = run.plan_hash, run.objects, run.steps, run.done
    row.approved_hash, row.modified_at = run.approved_hash, now
    if run.approved_hash is None:
        row.approved_by, row.approved_at = None, None
    if run.state not in AT_WORK:
        row.held_by, row.held_until = None, None
    if run.state in OVER:
        row.ended_at = now


def keep_proposal(row: TaskRunRow, proposal: Proposal) -> None:
    """Keep what a run means to do."""
    row.plan = msgspec.to_builtins(proposal)


def to_move(session: Session) -> list[tuple[TaskRunRow, TaskRow | None]]:
    """Return the runs that wait for a runner, oldest first, each with the switch that stops it, if any.

    Of those that wait for an approval only the ones that are stopped.
    """
    states = [RunState.QUEUED.value, RunState.APPROVED.value, RunState.WAITING.value]
    wanted = select(TaskRunRow).where(TaskRunRow.state.in_(states)).order_by(TaskRunRow.seq)
    found = [(row, switch_of(session, row.task)) for row in session.scalars(wanted)]
    return [(r, s) for r, s in found if s is not None or r.state != RunState.WAITING.value]


def abandoned(session: Session, now: datetime) -> Sequence[TaskRunRow]:
    """Return the runs whose lease has passed: whoever was at work on them is gone."""
    states = [s.value for s in AT_WORK]
    return session.scalars(
        select(TaskRunRow).where(TaskRunRow.state.in_(states), TaskRunRow.held_until <= now)
    ).all()


def unapproved_since(session: Session, before: datetime) -> Sequence[TaskRunRow]:
    """Return the runs that have waited for an approval since ``before``."""
    return session.scalars(
        select(TaskRunRow).where(TaskRunRow.state == RunState.WAITING.value, TaskRunRow.modified_at <= before)
    ).all()


def hold(row: TaskRunRow, holder: str, now: datetime, lease_s: float) -> None:
    """Take or keep the lease of a run."""
    row.held_by, row.held_until = holder, now + timedelta(seconds=lease_s)


def renew(session: Session, holder: str, now: datetime, lease_s: float) -> None:
    """Keep all leases of one holder."""
    mine = (TaskRunRow.held_by == holder, TaskRunRow.ended_at.is_(None))
    session.execute(update(TaskRunRow).where(*mine).values(held_until=now + timedelta(seconds=lease_s)))


def note_call(session: Session, run_id: str, call: Call, *, dry_run: bool, now: datetime) -> int:
    """Record a call before it leaves; return its number in the run."""
    last = session.scalar(select(func.max(TaskCallRow.number)).where(TaskCallRow.run_id == run_id))
    number = (last or 0) + 1
    query = "&".join(f"{n}={v}" for n, v in call.query)
    session.add(
        TaskCallRow(
            run_id=run_id,
            number=number,
            at=now,
            method=call.method,
            target=(call.path + (f"?{query}" if query else ""))[:LONGEST],
            dry_run=dry_run,
            body=None if call.body is None else dict(call.body),
            change_sets=[],
        )
    )
    session.flush()
    return number


def note_answer(
    session: Session, run_id: str, number: int, *, status: int | None, outcome: str, change_sets: list[str]
) -> None:
    """Record what became of a call."""
    row = session.get_one(TaskCallRow, (run_id, number))
    row.status, row.outcome, row.change_sets = status, outcome[:LONGEST], change_sets


def calls_of(session: Session, run_id: str) -> Sequence[TaskCallRow]:
    """Return the calls of a run in their order."""
    wanted = select(TaskCallRow).where(TaskCallRow.run_id == run_id).order_by(TaskCallRow.number)
    return session.scalars(wanted).all()


def last_run(session: Session, task: str) -> TaskRunRow | None:
    """Return the newest run of a task."""
    wanted = select(TaskRunRow).where(TaskRunRow.task == task).order_by(TaskRunRow.seq.desc()).limit(1)
    return session.scalar(wanted)


def record_event(
    session: Session, now: datetime, action: str, of: tuple[str, str], reason: str, **detail: Any
) -> None:
    """Put into the audit what the runner does by itself; ``of``: the object's kind and id."""
    session.add(
        EventRow(
            at=now,
            actor="herald",
            origin="task-runner",
            action=action,
            account_id=None,
            object_kind=of[0],
            object_id=of[1],
            reason=reason[:500],
            detail=detail,
        )
    )
