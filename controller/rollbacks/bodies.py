"""What requests about rollbacks and pins carry, and what answers show."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from controller.addressing.bodies import Id, Request
from controller.addressing.life_bodies import AnyId, Count, Reason

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    Field(description="The beginning of an id, HEAD, HEAD~N, @2026-02-20T17:56Z or @-15m."),
]
SnapshotId = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class CreateRollback(Request):
    """``accounts`` null: all that differ.

    ``expected_accounts``: how many are to be rolled back; if not, nothing is done. ``based_on``: the head
    that the plan was seen at; an account of the plan that has changed since refuses the whole.
    """

    snapshot: Name
    accounts: Annotated[list[Id], Field(min_length=1, max_length=100_000)] | None
    reason: Reason
    expected_accounts: Count | None = None
    based_on: SnapshotId | None = None


class PutDecisions(Request):
    """By change-set: ``keep`` asks for it anew, ``drop`` lets it go. They may come one after the other."""

    decisions: Annotated[dict[AnyId, Literal["keep", "drop"]], Field(min_length=1, max_length=10_000)]


# -- answers ------------------------------------------------------------------------------------------


class HalfBody(BaseModel):
    """A half of an account's rollback: its change-set, how far that is and why it is not further."""

    change_set_id: str
    state: str
    reason: str


class StepBody(BaseModel):
    """One object: what it is before and after, null where it is not there."""

    kind: Literal["prefix", "bgp_prefix", "binding"]
    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class SkippedBody(BaseModel):
    """One object that is left as it is, and why."""

    kind: Literal["prefix", "bgp_prefix", "binding"]
    id: str
    cidr: str
    why: str


class RollbackAccountBody(BaseModel):
    """``back``: what the additive half restores; ``rest``: what the subtractive one takes, once released."""

    account_id: str
    additive: HalfBody | None
    subtractive: HalfBody | None
    back: list[StepBody]
    rest: list[StepBody]
    skipped: list[SkippedBody]
    pinned: bool


class RollbackLineBody(BaseModel):
    """A rollback in short."""

    id: str
    snapshot_id: str
    based_on: str | None
    actor: str
    reason: str
    at: str
    accounts: int
    pinned: int


class RollbackBody(RollbackLineBody):
    """A rollback with what it does to each account."""

    result: list[RollbackAccountBody]


class RollbackPage(BaseModel):
    """Newest first."""

    result: list[RollbackLineBody]
    next: int | None


class SiteProgressBody(BaseModel):
    """How many accounts' additive halves are in effect at a site; ``reasons``: why others are not (5)."""

    done: int
    of: int
    reasons: list[str]


class ProgressBody(BaseModel):
    """How many halves are in each state, and how far the additive ones are at each site."""

    id: str
    additive: dict[str, int]
    subtractive: dict[str, int]
    sites: dict[str, SiteProgressBody]


class PinnedBody(BaseModel):
    """A change-set that a rollback undid or kept back; ``decision`` null: open."""

    change_set_id: str
    actor: str
    reason: str
    at: str
    state: str
    touches: list[str]
    decision: Literal["keep", "drop"] | None
    decided_by: str | None


class PinBody(BaseModel):
    """An account that was rolled back; the pin ends once each change-set has been decided on."""

    account_id: str
    rollback_id: str
    snapshot_id: str
    since: str
    reason: str
    open: int
    change_sets: list[PinnedBody]


class PinPage(BaseModel):
    """Ordered by account."""

    result: list[PinBody]
    next: str | None


class DecidedBody(BaseModel):
    """``pin`` null: everything is decided, and it has ended."""

    account_id: str
    pin: PinBody | None
