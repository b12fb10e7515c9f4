"""What requests about address maps carry, and answers show."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from controller.addressing.bodies import Bare, Id, Request, Text
from controller.addressing.envelope import bare, listing

MOST = 1000
"""Addresses, or members, that one request may bring."""

MemberKind = Literal["zone", "account"]
Ip = Annotated[
    str,
    StringConstraints(min_length=1, max_length=45),
    Field(json_schema_extra={"format": "ip", "examples": ["192.0.2.1", "2001:db8:1000::1"]}),
]


class CreateMembership(Request):
    """Who is given the addresses."""

    identifier: Id
    kind: MemberKind


class CreateAddressMap(Request):
    """All may be left out; ``enabled`` left out or null is false."""

    description: Text | None = None
    enabled: bool | None = None
    ips: Annotated[list[Ip], Field(max_length=MOST, default_factory=list)]
    memberships: Annotated[list[CreateMembership], Field(max_length=MOST, default_factory=list)]


class EditAddressMap(Request):
    """At least one; null clears ``description`` and ``default_sni``, and is no value for ``enabled``."""

    default_sni: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = None
    description: Text | None = None
    enabled: bool | None = None


class PutManagement(Request):
    """False for what only an operator may do with the map."""

    can_delete: bool
    can_modify_ips: bool


class AddressMapBody(BaseModel):
    """An address map without what is in it."""

    id: str
    can_delete: bool
    can_modify_ips: bool
    created_at: str
    default_sni: str | None
    description: str | None
    enabled: bool
    modified_at: str


class MapIpBody(BaseModel):
    """An address of a map."""

    ip: str
    created_at: str


class MembershipBody(BaseModel):
    """A member of a map."""

    can_delete: bool
    created_at: str
    identifier: str
    kind: MemberKind


class WholeAddressMapBody(AddressMapBody):
    """An address map with what is in it."""

    ips: list[MapIpBody]
    memberships: list[MembershipBody]


class MapBare(Bare):
    """The envelope without a result, as the reference has it for maps: with the page of an empty list."""

    result_info: dict[str, int]


def map_bare() -> dict[str, Any]:
    """Return the envelope of a write that has no result."""
    return {**bare(), "result_info": listing([])["result_info"]}
