"""What requests about tokens carry and answers show."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from controller.addressing.bodies import Id, Request
from controller.addressing.permissions import Role, Verb

Resource = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z][a-z_]{0,39})$")]
Verbs = Annotated[list[Verb], Field(min_length=1, max_length=4)]
Time = Annotated[
    str,
    StringConstraints(
        max_length=40,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
        r"(Z|[+-][0-9]{2}:[0-9]{2})$",
    ),
    Field(json_schema_extra={"format": "date-time", "examples": ["2027-01-31T12:00:00Z"]}),
]


class CreateToken(Request):
    """A customer's token needs an account, an operator's has none, a task's may have one.

    ``scopes``: what the token may do, by resource (a tag of this description, or ``*``); null for all that
    its role may. Tasks need scopes, tasks and break-glass an ``expires_at``.
    """

    role: Role
    account_id: Id | None = None
    description: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    scopes: Annotated[dict[Resource, Verbs], Field(min_length=1, max_length=50)] | None = None
    expires_at: Time | None = None


class TokenBody(BaseModel):
    """A token, without what would let anybody use it. ``issued_by``: the token it was issued with."""

    id: str
    role: Role
    account_id: str | None
    description: str
    created_at: str
    revoked_at: str | None
    scopes: dict[str, list[Verb]] | None
    expires_at: str | None
    issued_by: str | None


class IssuedTokenBody(TokenBody):
    """A new token: ``token`` is shown this once."""

    token: str


class RevokedTokenBody(TokenBody):
    """``revoked``: the ids of all tokens that were revoked by this call."""

    revoked: list[str]


class CallerBody(BaseModel):
    """Whose token it is."""

    id: str
    role: Role
    account_id: str | None
    scopes: dict[str, list[Verb]] | None
    expires_at: str | None
