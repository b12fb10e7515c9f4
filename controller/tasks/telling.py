"""Tells operators of a run: in their timeline, with what happened, and in the log."""

from __future__ import annotations

import structlog
from sqlalchemy.orm import Session

from controller.guard.telling import News, tell
from controller.tasks.tables import TaskRunRow

log = structlog.get_logger()


def tell_operators(session: Session, row: TaskRunRow, says: str) -> None:
    """Tell what became of a run in the transaction of what happened; ``says``: one line."""
    log.warning("a task needs attention", task=row.task, run=row.id, state=row.state, reason=says)
    news = News(
        f"task_run.{row.state}",
        "task_run",
        row.id,
        says,
        detail={"task": row.task, "plan_hash": row.plan_hash},
    )
    tell(session, (), news, row.modified_at)
