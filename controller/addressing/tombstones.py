"""Taking a prefix away with all that stands on it, bringing exactly that back, and removing it for good.

A deletion has an id; each row that it takes carries that id, keeps all its values, and is left alone until
it is brought back or purged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing import reach, rows
from controller.addressing.delegation_tables import DelegationRow
from controller.addressing.deletion_requests import end_request
from controller.addressing.errors import Kind, Refusal
from controller.addressing.life_policy import after
from controller.addressing.life_tables import DeletionRow
from controller.addressing.revocations import revoked_since
from controller.addressing.tables import BgpPrefixRow, BindingRow, PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.writes import Write
from controller.snapshots.model import Change
from controller.store.removal import remove, table_of


def tombstone(write: Write, prefix: PrefixRow, reason: str) -> DeletionRow:
    """Delete ``prefix`` with all that stands on it, all under one id; no check is made here."""
    account = prefix.account_id
    deletion = DeletionRow(
        id=uuid4().hex,
        account_id=account,
        prefix_id=prefix.id,
        cidr=prefix.cidr,
        reason=reason,
        actor=write.caller.actor,
        at=write.now,
        grace_ends_at=after(write.now, write.context.life.grace_s),
    )
    write.session.add(deletion)
    for bgp in rows.bgp_prefixes_of(write.session, account, prefix.id):
        bgp.deleted_at, bgp.deletion_id = write.now, deletion.id
        write.change(account, Change(remove=("bgp_prefix", bgp.id)))
    for binding in rows.bindings_of(write.session, account, prefix.id):
        binding.deleted_at, binding.deletion_id = write.now, deletion.id
        write.change(account, Change(remove=("binding", binding.id)))
    for delegation in reach.delegations_in(write.session, prefix.id):
        delegation.deleted_at, delegation.deletion_id = write.now, deletion.id
        _tell(write, "delete", delegation)
    prefix.deleted_at, prefix.deletion_id = write.now, deletion.id
    write.takes_from(account, prefix.id)
    if prefix.approved:  # else the operational state never had it
        write.change(account, Change(remove=("prefix", prefix.id)))
    end_request(write, prefix)
    write.record("delete", "prefix", prefix.id, account, cidr=prefix.cidr, deletion_id=deletion.id)
    return deletion


def bring_back(write: Write, deletion: DeletionRow) -> PrefixRow:
    """Undo ``deletion``: what it took is as it was, ids included, and withdrawn as it was.

    Refused when the addresses were revoked since, or something else stands where a part of it stood.
    """
    account = deletion.account_id
    prefix = write.session.get_one(PrefixRow, deletion.prefix_id)
    revoked = revoked_since(write.session, account, prefix.cidr, deletion.at)
    if revoked is not None:
        raise Refusal(
            Kind.REVOKED,
            f"{prefix.cidr} was revoked since ({revoked.kind}, entry {revoked.seq}): it cannot come back",
        )
    parts = _taken(write.session, deletion.id)
    ended = select(DelegationRow).where(DelegationRow.deletion_id == deletion.id).order_by(DelegationRow.id)
    delegations = write.session.scalars(ended).all()
    _refuse_taken_places(write.session, account, parts, delegations)
    prefix.deleted_at, prefix.deletion_id = None, None
    if prefix.approved:
        write.change(account, Change(prefix=rows.prefix_object(prefix)))
    for part in parts:
        part.deleted_at, part.deletion_id = None, None
        if isinstance(part, BgpPrefixRow):
            write.change(account, Change(bgp_prefix=rows.bgp_prefix_object(part)))
        else:
            write.change(account, Change(binding=rows.binding_object(part)))
    for delegation in delegations:
        delegation.deleted_at, delegation.deletion_id = None, None
        _tell(write, "undelete", delegation)
    deletion.outcome, deletion.ended_at = "undeleted", write.now
    write.record("undelete", "prefix", prefix.id, account, cidr=prefix.cidr, deletion_id=deletion.id)
    return prefix


def purge(write: Write, deletion: DeletionRow) -> None:
    """Remove for good what ``deletion`` took: its addresses are free again. The history stays."""
    deletion.outcome, deletion.ended_at = "purged", write.now
    write.record(
        "purge",
        "prefix",
        deletion.prefix_id,
        deletion.account_id,
        cidr=deletion.cidr,
        deletion_id=deletion.id,
    )
    write.session.flush()
    prefixes = table_of(PrefixRow)
    remove(write.session, prefixes, prefixes.c.id == deletion.prefix_id)


def deletion_body(row: DeletionRow) -> dict[str, Any]:
    """Return a deletion as it is shown."""
    return {
        "id": row.id,
        "state": row.outcome or "tombstoned",
        "account_id": row.account_id,
        "prefix_id": row.prefix_id,
        "cidr": row.cidr,
        "reason": row.reason,
        "actor": row.actor,
        "deleted_at": rfc3339(row.at),
        "grace_ends_at": rfc3339(row.grace_ends_at),
        "ended_at": rfc3339(row.ended_at),
    }


def _tell(write: Write, action: str, delegation: DelegationRow) -> None:
    """Note in the history of the account to which a part was delegated that it lost it, or has it back."""
    write.record(
        action,
        "delegation",
        delegation.id,
        delegation.delegated_account_id,
        cidr=delegation.cidr,
        owner=delegation.account_id,
    )


def _taken(session: Session, deletion_id: str) -> list[BgpPrefixRow | BindingRow]:
    """Return what a deletion took beside the prefix: bindings first, since BGP prefixes stand on them."""
    bindings = select(BindingRow).where(BindingRow.deletion_id == deletion_id).order_by(BindingRow.id)
    bgp = select(BgpPrefixRow).where(BgpPrefixRow.deletion_id == deletion_id).order_by(BgpPrefixRow.id)
    return [*session.scalars(bindings), *session.scalars(bgp)]


def _refuse_taken_places(
    session: Session,
    account: str,
    parts: Sequence[BgpPrefixRow | BindingRow],
    delegations: Sequence[DelegationRow],
) -> None:
    """Refuse to bring back what something else took the place of, such as in a prefix around it."""
    delegated = select(DelegationRow.cidr).where(
        DelegationRow.account_id == account, DelegationRow.deleted_at.is_(None)
    )
    standing = {
        "binding": {b.cidr for b in rows.bindings_of(session, account)},
        "BGP prefix": {b.cidr for b in rows.bgp_prefixes_of(session, account)},
        "delegation": set(session.scalars(delegated)),
    }
    wanted = [("binding" if isinstance(p, BindingRow) else "BGP prefix", p.cidr) for p in parts]
    for what, cidr in [*wanted, *(("delegation", d.cidr) for d in delegations)]:
        if cidr in standing[what]:
            raise Refusal(
                Kind.ALREADY_EXISTS,
                f"another {what} of {cidr} was made meanwhile: delete that one, then undelete",
            )
