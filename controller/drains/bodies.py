"""What the routes of drains take and answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, StringConstraints

from controller.addressing.bodies import Request
from controller.guard.bodies import Reason

SiteName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]
State = Literal["asked", "draining", "drained", "lifting", "ended", "cancelled", "expired", "unknown"]


class CreateDrain(Request):
    """``capacity_confirmed``: you have looked whether the other sites carry the traffic; Herald cannot."""

    site: SiteName
    strategy: Literal["prepend", "withdraw"] = "withdraw"
    reason: Reason
    capacity_confirmed: bool = False


class LiftDrain(Request):
    """Why the site comes back, or is not drained after all."""

    reason: Reason


class StayBody(BaseModel):
    """A prefix that stays at the site, and why; ``seen_at``: the other sites that it is observed at."""

    account_id: str
    cidr: str
    seen_at: list[str]
    why: str


class KeptBody(BaseModel):
    """A prefix that was to go, and that the site's own agent did not let go."""

    account_id: str
    cidr: str
    check: str
    reason: str


class FindingBody(BaseModel):
    """What speaks against the drain as a whole."""

    check: str
    says: str


class DrainBody(BaseModel):
    """A drain. ``asked``: another operator confirms it; ``draining``, ``lifting``: agents are being told.

    ``why`` says for what it waits. ``off``: prefixes that the site's agent has taken off by now. ``unknown``:
    a site tells of it, and this store knows nothing of it. ``findings`` are of a dry run alone.
    """

    id: str
    site: str
    strategy: str
    state: State
    why: str
    reason: str
    capacity_confirmed: bool
    goes: list[str]
    stays: list[StayBody]
    kept: list[KeptBody]
    off: list[str]
    asked_by: str
    asked_at: str | None
    expires_at: str | None
    confirmed_by: str | None
    confirmed_at: str | None
    lifted_by: str | None
    lifted_at: str | None
    lifted_why: str
    replaced_by: str | None
    findings: list[FindingBody] = []


class DrainList(BaseModel):
    """Drains, newest first."""

    result: list[DrainBody]
