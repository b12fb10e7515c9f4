"""What requests carry and answers show around removal."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from controller.addressing.bodies import Cidr, Id, Request
from controller.safety.intents import IntentKind

MOST = 1000
"""Prefixes that one request may name."""

Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")
]
AnyId = Annotated[str, StringConstraints(min_length=1, max_length=32)]
Ids = Annotated[list[AnyId], Field(min_length=1, max_length=MOST)]
Cidrs = Annotated[list[Cidr], Field(min_length=1, max_length=MOST)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Time = Annotated[str, StringConstraints(min_length=20, max_length=40)]
PathId = Annotated[str, StringConstraints(max_length=32)]


class CreateIntentRequest(Request):
    """``sites`` null: at all; ``expires_in_s``: for confirming and using it together."""

    account_id: Id
    kind: IntentKind
    prefixes: Cidrs
    sites: Annotated[list[str], Field(max_length=10_000)] | None = None
    reason: Reason
    expires_in_s: Annotated[int, Field(ge=60, le=31_536_000)]


class Because(Request):
    """Why."""

    reason: Reason


class Selector(Request):
    """The query of the list that the ids were taken from, as its answer states it."""

    pending_delete: bool | None
    account_id: Id | None


class CreatePrefixDeletions(Request):
    """All must be named, and how many there are: a list that is not what it seems is refused whole."""

    ids: Ids
    expected_count: Count
    selector: Selector | None
    reason: Reason


class CreatePrefixPurges(Request):
    """Ids of prefixes that were deleted, and how many they are."""

    ids: Ids
    expected_count: Count


class PutWithdrawalLock(Request):
    """``public_key``: base64 of a raw Ed25519 key; null: a code that is shown once opens the lock."""

    public_key: Annotated[str, StringConstraints(min_length=44, max_length=44)] | None


class CreateTransfer(Request):
    """Whose it is to be."""

    to_account_id: Id
    reason: Reason


class CreateRevocation(Request):
    """Operators enter legal orders by hand; the other kinds enter by what caused them."""

    kind: Literal["legal_order"]
    account_id: Id
    cidr: Cidr
    reason: Reason


class CreateMigration(Request):
    """``cidrs``: BGP prefixes, each named; the window is RFC 3339."""

    cidrs: Cidrs
    expected_count: Count
    not_before: Time
    not_after: Time
    reason: Reason


class ConfirmMigration(Request):
    """The code that the plan was answered with."""

    confirmation: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class WithdrawMigration(Request):
    """Which of the list are to be withdrawn now."""

    cidrs: Cidrs


# -- answers ------------------------------------------------------------------------------------------


class IntentKeyBody(BaseModel):
    """A public key that intents are checked with; ``signs``: new ones are signed with this one."""

    id: str
    algorithm: Literal["ed25519"]
    public_key: str
    signs: bool


class IntentRequestBody(BaseModel):
    """An intent that two operators make together."""

    id: str
    state: Literal["pending", "signed", "used", "expired"]
    account_id: str
    kind: IntentKind
    prefixes: list[str]
    sites: list[str] | None
    reason: str
    requested_by: str
    requested_at: str
    expires_at: str
    confirmed_by: str | None
    confirmed_at: str | None
    used_at: str | None
    used_for: str | None


class DeletionRequestBody(BaseModel):
    """What an owner wants of a prefix; without a request all but the first three are null."""

    prefix_id: str
    cidr: str
    pending_delete: bool
    reason: str | None
    requested_by: str | None
    requested_at: str | None
    expires_at: str | None


class PrefixLineBody(BaseModel):
    """A prefix in the list of all accounts' prefixes."""

    id: str
    account_id: str
    cidr: str
    asn: int | None
    approved: Literal["P", "V"]
    advertised: bool
    pending_delete: bool
    pending_delete_at: str | None
    created_at: str
    modified_at: str


class SelectorBody(BaseModel):
    """What a list was asked for; null: not asked."""

    pending_delete: bool | None
    account_id: str | None


class PrefixPage(BaseModel):
    """``total``: how many match the selector, on all pages; ``next``: the ``after`` of the next page."""

    selector: SelectorBody
    total: int
    result: list[PrefixLineBody]
    next: str | None


class DeletionBody(BaseModel):
    """A deletion; until the grace ends it can be undone."""

    id: str
    state: Literal["tombstoned", "undeleted", "purged"]
    account_id: str
    prefix_id: str
    cidr: str
    reason: str
    actor: str
    deleted_at: str
    grace_ends_at: str
    ended_at: str | None


class TombstoneSelectorBody(BaseModel):
    """What a list of tombstones was asked for; null: not asked."""

    grace_over: bool | None


class TombstonePage(BaseModel):
    """``total``: how many match the selector, on all pages; ``next``: the ``after`` of the next page."""

    selector: TombstoneSelectorBody
    total: int
    result: list[DeletionBody]
    next: str | None


class PrefixDeletionsBody(BaseModel):
    """What was deleted."""

    count: int
    result: list[DeletionBody]


class PurgeBody(BaseModel):
    """What is gone for good."""

    prefix_id: str
    cidr: str


class PrefixPurgesBody(BaseModel):
    """What was purged."""

    count: int
    result: list[PurgeBody]


class WithdrawalLockBody(BaseModel):
    """A lock. ``challenge`` is what is to be signed (UTF-8), null for one that opens to a code."""

    id: str
    prefix_id: str
    cidr: str
    opens_with: Literal["key", "code"]
    public_key: str | None
    challenge: str | None
    locked_by: str
    created_at: str


class NewWithdrawalLockBody(WithdrawalLockBody):
    """``code`` is shown here once, and kept nowhere."""

    code: str | None


class UnlockedBody(BaseModel):
    """The lock that was taken away."""

    id: str
    prefix_id: str


class TransferBody(BaseModel):
    """An offer of a prefix to another account."""

    id: str
    state: Literal["offered", "accepted", "cancelled", "lapsed"]
    account_id: str
    to_account_id: str
    prefix_id: str
    cidr: str
    reason: str
    created_at: str
    expires_at: str
    decided_at: str | None


class RevocationBody(BaseModel):
    """An entry of the ledger."""

    seq: int
    at: str
    kind: Literal["transfer", "loa_withdrawn", "legal_order", "origin_deauthorised"]
    account_id: str
    cidr: str
    reason: str
    actor: str


class RevocationPage(BaseModel):
    """``next``: the ``after`` of the next page."""

    result: list[RevocationBody]
    next: int | None


class MigrationBody(BaseModel):
    """An owner's plan to move prefixes away."""

    id: str
    state: Literal["planned", "confirmed", "withdrawing", "done", "cancelled", "lapsed"]
    account_id: str
    cidrs: list[str]
    withdrawn: list[str]
    not_before: str
    not_after: str
    reason: str
    confirmation: str
    created_at: str
    modified_at: str


class IntentKeyList(BaseModel):
    """The one that signs is the first."""

    result: list[IntentKeyBody]


class IntentRequestPage(BaseModel):
    """Newest first."""

    result: list[IntentRequestBody]
    next: str | None


class DeletionPage(BaseModel):
    """Newest first."""

    result: list[DeletionBody]
    next: str | None


class TransferPage(BaseModel):
    """Newest first."""

    result: list[TransferBody]
    next: str | None


class MigrationPage(BaseModel):
    """Newest first."""

    result: list[MigrationBody]
    next: str | None
