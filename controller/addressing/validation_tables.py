"""What is known of prefixes' checks. None of it is operational state, and nothing compiles from it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import SEQ, Base, UtcDateTime

ID = String(32)


class PrefixCheckRow(Base):
    """The latest of one check of one prefix; ``body`` is a :class:`controller.validation.checks.Check`.

    Its ``evidence`` stands apart, since lists have no use for it: it is loaded where it is asked for.
    ``requested_at``: when somebody last asked for it; ``due_at``: when it is to be looked up (again), which
    is all that a restart needs to go on. ``answer_hash``: of the last answer, so history has only others.
    """

    __tablename__ = "prefix_checks"
    __table_args__ = (
        CheckConstraint("name IN ('irr', 'rpki', 'ownership')", name="name"),
        CheckConstraint("state IN ('pending', 'valid', 'invalid', 'error')", name="state"),
        Index("ix_prefix_checks_due", "due_at"),
    )

    prefix_id: Mapped[str] = mapped_column(ID, ForeignKey("prefixes.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(10), primary_key=True)
    state: Mapped[str] = mapped_column(String(10), default="pending")
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    evidence: Mapped[list[Any]] = mapped_column(JSON, deferred=True)
    answer_hash: Mapped[str | None] = mapped_column(String(64))
    requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PrefixCheckAnswerRow(Base):
    """An answer that was another one than the answer before; ``state`` is what the check became by it."""

    __tablename__ = "prefix_check_answers"
    __table_args__ = (Index("ix_prefix_check_answers_of", "prefix_id", "seq"),)

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    prefix_id: Mapped[str] = mapped_column(ID, ForeignKey("prefixes.id"))
    name: Mapped[str] = mapped_column(String(10))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    outcome: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(String(1000))
    source: Mapped[str] = mapped_column(String(500))
    evidence: Mapped[list[Any]] = mapped_column(JSON)


class VrpBaselineRow(Base):
    """How many VRPs a source had when its set was last good: what a restart must not forget."""

    __tablename__ = "vrp_baselines"

    source: Mapped[str] = mapped_column(String(500), primary_key=True)
    vrps: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcDateTime)
