"""What the routes of checks take and show."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from controller.addressing.bodies import Request


class CheckBody(BaseModel):
    """One check. ``at``: the last look-up; ``age_s``: seconds since an answer last gave this state.

    ``trouble``: why a ``valid`` is not confirmed since; ``blocks``: why nothing new is announced because of
    it; ``remedy``: what to publish, while it is not as it should be; ``under_way``: asked for, not answered.
    """

    name: Literal["irr", "rpki", "ownership"]
    state: Literal["pending", "valid", "invalid", "error"]
    reason: str
    source: str
    evidence: list[dict[str, Any]]
    at: str | None
    confirmed_at: str | None
    age_s: float | None
    expires_at: str | None
    trouble: str
    warnings: list[str]
    blocks: str | None
    remedy: str | None
    requested_at: str | None
    under_way: bool


class ChecksBody(BaseModel):
    """All checks of a prefix. ``required``: whether they must be valid for a new announcement."""

    prefix_id: str
    cidr: str
    required: bool
    result: list[CheckBody]


class CheckAnswerBody(BaseModel):
    """An answer that was another one than the answer before; ``state`` is what the check became by it."""

    name: Literal["irr", "rpki", "ownership"]
    at: str
    outcome: Literal["valid", "invalid", "missing", "failed"]
    state: Literal["pending", "valid", "invalid", "error"]
    reason: str
    source: str
    evidence: list[dict[str, Any]]


class CheckAnswersBody(BaseModel):
    """The newest answers first."""

    result: list[CheckAnswerBody]


class SourceBody(BaseModel):
    """A source of VRPs. ``refused``: the VRPs of a set that was not taken because the source has shrunk."""

    source: str
    kind: Literal["rtr", "vrp_json"]
    state: Literal["fresh", "stale", "waiting"]
    vrps: int | None
    at: str | None
    trouble: str
    refused: int | None


class ValidationBody(BaseModel):
    """Validation as a whole: what is configured, how its sources are, how many checks are in which state."""

    required: bool
    available: list[Literal["irr", "rpki", "ownership"]]
    whois: list[str]
    dns: list[str]
    sources: list[SourceBody]
    checks: dict[str, dict[str, int]]


class AcceptVrps(Request):
    """``vrps``: how many the refused set of ``source`` has, as it was seen."""

    source: Annotated[str, Field(min_length=1, max_length=500)]
    vrps: Annotated[int, Field(ge=0, le=10_000_000)]
