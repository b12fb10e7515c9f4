"""Withdrawal locks: while one stands nothing is taken from a prefix, by anybody (SAFETY.md, 2).

What a lock refuses is decided at the end of each write (:mod:`controller.addressing.subtractive`); here it
is put on, and taken off by its owner's key or code.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Annotated, Any
from uuid import uuid4

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import APIRouter, Header, Response

from controller.addressing import rows
from controller.addressing.auth import CallerDep
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.life_bodies import (
    NewWithdrawalLockBody,
    PathId,
    PutWithdrawalLock,
    UnlockedBody,
    WithdrawalLockBody,
)
from controller.addressing.life_tables import WithdrawalLockRow
from controller.addressing.subtractive import refuse_locked
from controller.addressing.tables import PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.who import require_owner
from controller.addressing.writes import Write, WriterDep

UNLOCK_HEADER = "Herald-Unlock"

router = APIRouter(
    prefix="/herald/v1/accounts/{account_id}/prefixes/{prefix_id}/withdrawal_lock", tags=["withdrawal_locks"]
)

UnlockHeader = Annotated[
    str,
    Header(
        alias=UNLOCK_HEADER,
        min_length=1,
        max_length=200,
        description="The code, or the base64 Ed25519 signature over the challenge that a GET shows.",
    ),
]


@router.get("", response_model=WithdrawalLockBody)
def get_withdrawal_lock(account: AccountDep, prefix_id: PathId, context: ContextDep) -> Response:
    """The lock on a prefix, with the challenge that opens it; 404 when there is none."""
    with context.store.read() as session:
        prefix = rows.the_prefix(session, account, prefix_id)
        lock = session.get(WithdrawalLockRow, prefix.id)
    if lock is None:
        raise Refusal(Kind.NOT_FOUND, f"no withdrawal lock stands on {prefix.cidr}")
    return json_response(_body(prefix, lock))


@router.put("", response_model=NewWithdrawalLockBody)
def put_withdrawal_lock(
    account: AccountDep, prefix_id: PathId, body: PutWithdrawalLock, caller: CallerDep, writer: WriterDep
) -> Response:
    """Lock a prefix; a lock that stands already is not replaced, or it would guard nothing.

    With an idempotency key it is refused: its answer, which is stored, may have the code.
    """
    require_owner(caller, account, "lock a prefix")
    writer.refuse_key("a code is shown once and never stored")

    def work(write: Write) -> dict[str, Any]:
        prefix = rows.the_prefix(write.session, account, prefix_id)
        refuse_locked(write.session, (prefix.id,))
        key = None if body.public_key is None else _public_key(body.public_key)
        code = secrets.token_urlsafe(24) if key is None else None
        lock = WithdrawalLockRow(
            prefix_id=prefix.id,
            id=uuid4().hex,
            account_id=account,
            public_key=key,
            code_hash=None if code is None else _hash(code),
            nonce=secrets.token_hex(16),
            tries=0,
            locked_by=caller.token_id,
            created_at=write.now,
        )
        write.session.add(lock)
        write.record("lock", "prefix", prefix.id, account, cidr=prefix.cidr, lock_id=lock.id)
        return {**_body(prefix, lock), "code": code}

    return writer.run(work)


@router.delete("", response_model=UnlockedBody, responses=refuses(Kind.UNLOCK_REFUSED, Kind.UNLOCK_PAUSED))
def delete_withdrawal_lock(
    account: AccountDep, prefix_id: PathId, unlock: UnlockHeader, writer: WriterDep
) -> Response:
    """Take the lock off: with its key's signature, or its code, of which only some wrong ones are heard."""
    refusal = writer.note(lambda write: _try(write, account, prefix_id, unlock))
    if refusal is not None:
        raise refusal

    def work(write: Write) -> dict[str, Any]:
        prefix = rows.the_prefix(write.session, account, prefix_id)
        lock = write.session.get(WithdrawalLockRow, prefix.id)
        if lock is None or not _opens(lock, prefix, unlock):
            raise Refusal(Kind.NOT_FOUND, f"no withdrawal lock of yours stands on {prefix.cidr}")
        write.session.delete(lock)
        write.record("unlock", "prefix", prefix.id, account, cidr=prefix.cidr, lock_id=lock.id)
        return {"id": lock.id, "prefix_id": prefix.id}

    return writer.run(work)


def _try(write: Write, account: str, prefix_id: str, unlock: str) -> Refusal | None:
    """Count a wrong code, in a transaction of its own, and return why it is refused; None: go on."""
    prefix = rows.the_prefix(write.session, account, prefix_id)
    lock = write.session.get(WithdrawalLockRow, prefix.id)
    if lock is None:
        return None
    life = write.context.life
    pause = timedelta(seconds=life.unlock_pause_s)
    tries, since = lock.tries, lock.tries_since or write.now
    if write.now - since >= pause:
        tries, since = 0, write.now
    if lock.public_key is None and tries >= life.unlock_tries:
        until = rfc3339(since + pause)
        return Refusal(Kind.UNLOCK_PAUSED, f"there were {tries} wrong codes: no code is heard until {until}")
    if _opens(lock, prefix, unlock):
        return None
    lock.tries, lock.tries_since = tries + 1, since
    write.record("wrong-unlock", "prefix", prefix.id, account, cidr=prefix.cidr, lock_id=lock.id)
    what = "code" if lock.public_key is None else "signature over the challenge"
    return Refusal(
        Kind.UNLOCK_REFUSED, f"this is not lock {lock.id}'s {what}: it stays", f"/header/{UNLOCK_HEADER}"
    )


def _opens(lock: WithdrawalLockRow, prefix: PrefixRow, unlock: str) -> bool:
    if lock.code_hash is not None:
        return hmac.compare_digest(lock.code_hash, _hash(unlock))
    assert lock.public_key is not None
    try:
        signature = base64.b64decode(unlock, validate=True)
        Ed25519PublicKey.from_public_bytes(lock.public_key).verify(
            signature, _challenge(prefix, lock).encode()
        )
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def _challenge(prefix: PrefixRow, lock: WithdrawalLockRow) -> str:
    """Return what is to be signed: bound to this lock, so that no signature opens another one."""
    return f"herald unlock 1 {lock.id} {lock.nonce} {prefix.account_id} {prefix.id} {prefix.cidr}"


def _public_key(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
        Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError) as error:
        raise Refusal(
            Kind.MALFORMED_BODY, "this is no Ed25519 public key: give 32 bytes in base64", "/public_key"
        ) from error
    return raw


def _hash(code: str) -> str:
    """Return what is kept of a code; it has 192 random bits, so no salt is needed."""
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()


def _body(prefix: PrefixRow, lock: WithdrawalLockRow) -> dict[str, Any]:
    key = lock.public_key
    return {
        "id": lock.id,
        "prefix_id": prefix.id,
        "cidr": prefix.cidr,
        "opens_with": "code" if key is None else "key",
        "public_key": None if key is None else base64.b64encode(key).decode(),
        "challenge": None if key is None else _challenge(prefix, lock),
        "locked_by": lock.locked_by,
        "created_at": rfc3339(lock.created_at),
    }
