"""What the guards' routes take and answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from controller.addressing.bodies import Request
from controller.addressing.token_bodies import Time

Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
Scope = Annotated[str, StringConstraints(min_length=1, max_length=150, pattern=r"^[\x21-\x7e]+$")]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
GroupName = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[\x20-\x7e]+$")]


class GroupBody(BaseModel):
    """Held change-sets that are decided on as one. ``unasked``: neither owner nor operators asked for it."""

    group: str
    actor: str
    accounts: list[str]
    change_sets: list[str]
    prefixes: int
    unasked: bool


class OpeningBody(BaseModel):
    """An open scope: why, since when, how long after the first harm that it counted, and what closes it."""

    scope: str
    check: str
    says: str
    since: str
    open_for_s: float
    first_harm_at: str
    detected_after_s: float
    told: int
    next_reminder_at: str | None
    answered_by: str
    except_for: list[str]
    queue_hash: str
    groups: list[GroupBody]
    closes: str


class ClosedBody(BaseModel):
    """An opening of before."""

    scope: str
    since: str
    closed_at: str
    closed_by: str
    reason: str
    detected_after_s: float
    decisions: dict[str, str]


class BreakerBody(BaseModel):
    """``open``: all scopes that hold something up (customers: those that can concern them)."""

    open: list[OpeningBody]
    closed: list[ClosedBody]


class CloseBreaker(Request):
    """``only``: for this ``account:ID`` or ``actor:ROLE:ID`` alone; the scope stays open for others."""

    scope: Scope
    queue_hash: Hash
    decisions: dict[GroupName, Literal["deploy", "drop", "wait"]] = Field(max_length=1000)
    only: Scope | None = None
    reason: Reason


class AnswerBreaker(Request):
    """Somebody has seen it: the scope stays open, and nobody is reminded."""

    scope: Scope
    reason: Reason


class HoldBody(BaseModel):
    """``checks``: what holds it; ``scopes``: the breaker's that do; ``waiting``: what is behind it."""

    change_set_id: str
    account_id: str
    actor: str
    group: str
    checks: list[str]
    scopes: list[str]
    reason: str
    since: str
    prefixes: int
    decided: str
    unasked: bool
    waiting: list[str]


class HoldList(BaseModel):
    """What is held, oldest first; ``queue_hash`` names exactly these."""

    result: list[HoldBody]
    queue_hash: str


class DecideHold(Request):
    """``deploy``: its owner, or two operators by their intent, want it after all; ``drop``: nobody does."""

    decision: Literal["deploy", "drop"]
    reason: Reason


class DecidedHoldBody(BaseModel):
    """What was decided, and the state that the change-set has now."""

    change_set_id: str
    decision: str
    state: str


class CreateFreeze(Request):
    """``scope``: fleet, account:ID, site:NAME or actor:ROLE:ID. ``kind`` all: also what only adds."""

    scope: Scope
    kind: Literal["subtractive", "all"] = "subtractive"
    reason: Reason
    ends_at: Time | None = None


class FreezeBody(BaseModel):
    """A freeze; only its owner lifts it, or break-glass."""

    id: str
    scope: str
    kind: str
    owner: str
    reason: str
    created_at: str
    ends_at: str | None
    lifted_at: str | None
    lifted_by: str | None


class FreezeList(BaseModel):
    """The freezes that stand, oldest first."""

    result: list[FreezeBody]


class PolicyBody(BaseModel):
    """The policy of this controller's guards, by section, with what its file left out."""

    policy: dict[str, dict[str, Any]]
