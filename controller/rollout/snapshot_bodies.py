"""What requests about snapshots carry, and what answers show."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from controller.addressing.bodies import Request
from controller.snapshots.collection import Keep

DEFAULT = Keep()


class CreateCollection(Request):
    """How much stays: the newest, and whatever is younger; never less than what something stands on."""

    keep_newest: Annotated[int, Field(ge=1, le=1_000_000_000)] = DEFAULT.newest
    keep_days: Annotated[int, Field(ge=0, le=36_500)] = DEFAULT.age.days


class ObjectStepBody(BaseModel):
    """One object: what it is before and after, null where it is not there."""

    kind: Literal["prefix", "bgp_prefix", "binding"]
    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class EffectBody(BaseModel):
    """One thing that happens to a prefix at a site."""

    site: str
    cidr: str
    verb: str
    kind: Literal["additive", "subtractive"]


class AccountStepBody(BaseModel):
    """What differs for one account: chunks, objects, and effects at each site."""

    account_id: str
    from_hash: str | None
    to_hash: str | None
    objects: list[ObjectStepBody]
    effects: list[EffectBody]


class SnapshotLineBody(BaseModel):
    """One step of the operational state; ``accounts``: what it changed, from hash to hash.

    ``thinned``: the history before it was let go, so that nobody can go back to it any more.
    """

    id: str
    parent_id: str | None
    change_set_id: str
    actor: str
    reason: str
    at: str
    accounts: dict[str, tuple[str | None, str | None]]
    thinned: bool = False


class SnapshotBody(SnapshotLineBody):
    """A snapshot with what it changed; ``head``: it is the newest."""

    head: bool
    changes: list[AccountStepBody]


class DiffBody(BaseModel):
    """What going from one snapshot to another changes; ``total``: accounts that differ."""

    from_id: str
    to_id: str
    total: int
    accounts: list[AccountStepBody]


class CollectionBody(BaseModel):
    """How many of each were let go; ``thinned``: snapshots that tell what they changed, and no more."""

    snapshots: int
    thinned: int
    rollouts: int
    chunks: int
    chunks_left: int


class DamagedBody(BaseModel):
    """A chunk that is not what its name says, and who stands on it."""

    hash: str
    why: str
    accounts: list[str]
    sites: list[str]
    snapshots: list[str]


class ChunkCheckBody(BaseModel):
    """All chunks were read and hashed."""

    chunks: int
    damaged: list[DamagedBody]
