"""Tasks, their runs and each call of a run. Runs and calls are history: they stay."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import SEQ, Base, UtcDateTime

ID = String(32)
NAME = String(40)
REASON = String(2000)
OPEN = text("ended_at IS NULL")


class TaskRow(Base):
    """What is kept of a task beside its declaration: when it is due, and whether it was stopped.

    The row ``all`` stands for all of them: its switch stops each, those of later releases among them.
    """

    __tablename__ = "tasks"

    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_by: Mapped[str | None] = mapped_column(String(100))
    stop_reason: Mapped[str] = mapped_column(REASON, default="")


class TaskRunRow(Base):
    """A run; ``state`` as in ``tasks.machine``. At most one of a task is not over.

    ``held_by`` and ``held_until``: the lease of the process that is at work on it; one that has passed means
    that the process is gone. ``plan``: the newest proposal. ``changed``: what its calls changed.
    """

    __tablename__ = "task_runs"
    __table_args__ = (
        Index("ix_task_runs_task", "task", "seq"),
        Index("uq_task_runs_open", "task", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
    )

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(ID, unique=True)
    task: Mapped[str] = mapped_column(NAME)
    started_by: Mapped[str] = mapped_column(String(100))
    why: Mapped[str] = mapped_column(REASON)
    dry_run: Mapped[bool]
    state: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(REASON)
    plan: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    plan_hash: Mapped[str | None] = mapped_column(String(64))
    objects: Mapped[int]
    steps: Mapped[int]
    done: Mapped[int]
    approved_hash: Mapped[str | None] = mapped_column(String(64))
    approved_by: Mapped[str | None] = mapped_column(String(100))
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    changed: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    held_by: Mapped[str | None] = mapped_column(ID)
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class TaskCallRow(Base):
    """One call that a run tried. ``status`` None and no ``outcome``: it was under way when the runner ended.

    ``outcome``: what the API refused it with, or why it never left; empty when it was answered.
    """

    __tablename__ = "task_calls"

    run_id: Mapped[str] = mapped_column(ID, ForeignKey("task_runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    method: Mapped[str] = mapped_column(String(10))
    target: Mapped[str] = mapped_column(REASON)
    dry_run: Mapped[bool]
    body: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    status: Mapped[int | None]
    outcome: Mapped[str | None] = mapped_column(REASON)
    change_sets: Mapped[list[str]] = mapped_column(JSON)
