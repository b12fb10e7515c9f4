"""What the controller's guards remember: assessments, holds, counted effects, open scopes, freezes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import SEQ, Base, UtcDateTime

ID = String(32)
SCOPE = String(150)
REASON = String(2000)
OPEN = text("closed_at IS NULL")
STANDS = text("lifted_at IS NULL")
UNDECIDED = text("decided IS NULL")


class AssessmentRow(Base):
    """What the last assessment of a change-set said (I6): who, lane, blast radius foreseen, intents.

    ``verdict``: a :class:`controller.safety.verdict.Verdict` as JSON. ``intents``: the records of those that
    held, by kind, authority and who asked, without their signatures, which the change-set has.
    """

    __tablename__ = "assessments"

    change_set_id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID)
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(500))
    decision: Mapped[str] = mapped_column(String(10))
    lane: Mapped[str] = mapped_column(String(12))
    verdict: Mapped[bytes] = mapped_column(LargeBinary)
    intents: Mapped[list[Any]] = mapped_column(JSON)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class HoldRow(Base):
    """A change-set that was held: by which checks, and as the breaker's queue has it.

    ``seq``: its place in the order of change-sets. ``body``: a :class:`controller.safety.breaker.Held`.
    ``decided``: deploy or drop, once somebody has; one that was to be deployed and is held again is undecided
    again.
    """

    __tablename__ = "holds"
    __table_args__ = (
        Index("ix_holds_undecided", "account_id", sqlite_where=UNDECIDED, postgresql_where=UNDECIDED),
        CheckConstraint("decided IN ('deploy', 'drop')", name="decided"),
    )

    change_set_id: Mapped[str] = mapped_column(ID, primary_key=True)
    seq: Mapped[int] = mapped_column(SEQ, index=True)
    account_id: Mapped[str] = mapped_column(ID)
    actor: Mapped[str] = mapped_column(String(100))
    checks: Mapped[list[str]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    reason: Mapped[str] = mapped_column(REASON)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    decided: Mapped[str | None] = mapped_column(String(10))
    decided_by: Mapped[str | None] = mapped_column(String(100))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_why: Mapped[str] = mapped_column(String(500), default="")


class WaitRow(Base):
    """A change-set that waits behind a held one of its account, because both touch the same object.

    ``behind`` is empty once it waits no longer.
    """

    __tablename__ = "hold_waits"

    change_set_id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, index=True)
    behind: Mapped[str] = mapped_column(ID, index=True)


class EffectEntryRow(Base):
    """One change-set's subtractive effects, as the windows count them.

    ``body``: a list of :class:`controller.safety.windows.Entry` as JSON.
    """

    __tablename__ = "effect_ledger"
    __table_args__ = (Index("ix_effect_ledger_at", "at"),)

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    change_set_id: Mapped[str] = mapped_column(ID)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class OpeningRow(Base):
    """One opening of the breaker in one scope; open until somebody closes it.

    ``body``: a :class:`controller.safety.breaker.Opening`. ``closing``: the queue's hash and decisions.
    """

    __tablename__ = "breaker_openings"
    __table_args__ = (
        Index("ix_breaker_openings_open", "scope", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
        Index("ix_breaker_openings_closed", "closed_at"),
    )

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    scope: Mapped[str] = mapped_column(SCOPE)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_by: Mapped[str | None] = mapped_column(String(100))
    closed_why: Mapped[str] = mapped_column(String(500), default="")
    closing: Mapped[dict[str, Any]] = mapped_column(JSON)


class ExcusedRow(Base):
    """Narrower scopes that were open when a scope was closed: what goes on there does not open it again."""

    __tablename__ = "breaker_excused"

    scope: Mapped[str] = mapped_column(SCOPE, primary_key=True)
    narrower: Mapped[list[str]] = mapped_column(JSON)


class FreezeRow(Base):
    """Nothing may change in ``scope``, or nothing be taken away, until its owner lifts it or it ends.

    ``scope`` and ``kind`` as in :class:`controller.safety.freeze.Freeze`; ``owner``: ROLE:TOKEN.
    """

    __tablename__ = "freezes"
    __table_args__ = (Index("ix_freezes_standing", "scope", sqlite_where=STANDS, postgresql_where=STANDS),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    scope: Mapped[str] = mapped_column(SCOPE)
    kind: Mapped[str] = mapped_column(String(12))
    owner: Mapped[str] = mapped_column(String(100))
    account_id: Mapped[str | None] = mapped_column(ID, ForeignKey("accounts.id"))
    reason: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lifted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lifted_by: Mapped[str | None] = mapped_column(String(100))
    lifted_why: Mapped[str] = mapped_column(String(500), default="")


class DrainRow(Base):
    """A site that is to be out of use, who asked for that, and what goes (:mod:`controller.safety.drain`).

    ``asked_by`` and ``confirmed_by``: token ids of two operators. ``goes``: prefixes; ``stays``: those that
    do not, each a :class:`controller.safety.drain_plan.Stay`. ``text``: signed once it is confirmed; it
    stands until ``lifted_at``. ``replaced_by``: the drain of the same site that took its place.
    """

    __tablename__ = "drains"
    __table_args__ = (Index("ix_drains_standing", "site", sqlite_where=STANDS, postgresql_where=STANDS),)

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(ID, unique=True)
    site: Mapped[str] = mapped_column(String(100))
    strategy: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(String(500))
    capacity_confirmed: Mapped[bool]
    goes: Mapped[list[str]] = mapped_column(JSON)
    stays: Mapped[list[Any]] = mapped_column(JSON)
    asked_by: Mapped[str] = mapped_column(ID)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    confirmed_by: Mapped[str | None] = mapped_column(ID)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    text: Mapped[str | None]
    lifted_by: Mapped[str | None] = mapped_column(ID)
    lifted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lifted_why: Mapped[str] = mapped_column(String(500), default="")
    replaced_by: Mapped[str | None] = mapped_column(ID)
