"""Puts entries into the timeline, and deliveries beside them, in the caller's transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from controller.store.many import those
from controller.timeline.names import wanted
from controller.timeline.show import Entry, notification
from controller.timeline.tables import DeliveryRow, TimelineRow, WebhookRow

REASON_LENGTH = 2000
LISTENING = "herald.listening"
"""In a session's ``info``: account → its webhooks."""

_ENABLED = select(WebhookRow).where(WebhookRow.deleted_at.is_(None), WebhookRow.disabled_at.is_(None))


def note(session: Session, entry: Entry) -> None:
    """Tell the account: add the entry, and a delivery for each enabled webhook that wants it.

    Nothing is sent before the transaction is committed, and nothing is lost after.
    """
    has_event = entry.event_seq is not None
    row = TimelineRow(
        account_id=entry.account_id,
        at=entry.at,
        kind=entry.kind,
        type=entry.type,
        object_kind=entry.object_kind,
        object_id=entry.object_id,
        prefix_id=entry.prefix_id,
        change_set_id=entry.change_set_id,
        site=entry.site,
        event_seq=entry.event_seq,
        actor=None if has_event else entry.actor,
        reason="" if has_event else entry.reason[:REASON_LENGTH],
        detail={} if has_event else dict(entry.detail),
    )
    session.add(row)
    listening = [w for w in _listening(session, entry.account_id) if wanted(w.events, entry.type)]
    if not listening:
        return  # its number is wanted by nobody: it is written with what else there is
    session.flush()
    for webhook in listening:
        session.add(delivery(webhook.id, entry.type, notification(entry, row.seq), entry.at))


def foresee(session: Session, accounts: Iterable[str]) -> None:
    """Ask at once which webhooks these accounts have: they are about to be told something."""
    known = _known(session)
    new = set(accounts) - known.keys()
    found: dict[str, list[WebhookRow]] = {account_id: [] for account_id in new}
    for webhook in those(session, _ENABLED, WebhookRow.account_id, sorted(new)):
        found[webhook.account_id].append(webhook)
    known.update(found)


def delivery(webhook_id: str, type_: str, body: bytes, now: datetime) -> DeliveryRow:
    """Return a delivery that is due at once."""
    return DeliveryRow(
        id=f"msg_{uuid.uuid4().hex}",
        webhook_id=webhook_id,
        type=type_,
        body=body,
        state="pending",
        attempts=0,
        next_at=now,
        created_at=now,
    )


def _listening(session: Session, account_id: str) -> Sequence[WebhookRow]:
    """Return the account's webhooks; asked for once in a transaction that does not change webhooks."""
    known = _known(session)
    if account_id not in known:
        known[account_id] = session.scalars(_ENABLED.where(WebhookRow.account_id == account_id)).all()
    return known[account_id]


def _known(session: Session) -> dict[str, Sequence[WebhookRow]]:
    known: dict[str, Sequence[WebhookRow]] = session.info.setdefault(LISTENING, {})
    return known


@event.listens_for(Session, "before_flush")
def _changed(session: Session, _context: object, _instances: object) -> None:
    """Ask again once a webhook has changed."""
    if any(isinstance(row, WebhookRow) for row in (*session.new, *session.dirty, *session.deleted)):
        session.info.pop(LISTENING, None)
