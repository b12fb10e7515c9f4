"""Answers that stand for a transaction: asked for once, and again when a row of their table has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.orm import Session

from controller.store.base import Base

ANSWERS = "herald.answers"
"""In a session's ``info``: table → name → answer."""

Answer = TypeVar("Answer")


def once(session: Session, table: type[Base], name: str, ask: Callable[[], Answer]) -> Answer:
    """Return what ``ask`` returned in this transaction.

    It may stand on rows of ``table`` alone, and these may only be changed as objects of the session.
    """
    session.flush()  # as any question does: what is not written yet may be a row of the table
    answers: dict[str, Any] = session.info.setdefault(ANSWERS, {}).setdefault(table, {})
    if name not in answers:
        answers[name] = ask()
    answer: Answer = answers[name]
    return answer


@event.listens_for(Session, "before_flush")
def _changed(session: Session, _context: object, _instances: object) -> None:
    answers: dict[type, dict[str, Any]] = session.info.get(ANSWERS, {})
    if answers:
        for row in (*session.new, *session.dirty, *session.deleted):
            answers.pop(type(row), None)
