"""Deliveries in the database: what is due, and what became of an attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from controller.timeline.log import note
from controller.timeline.policy import Answer, WebhookPolicy, verdict
from controller.timeline.show import Entry, rfc3339
from controller.timeline.tables import DeliveryRow, WebhookRow

ERROR_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Due:
    """The oldest delivery that waits for one webhook, and what it takes to send it."""

    id: str
    webhook_id: str
    url: str
    secrets: tuple[str, ...]
    body: bytes
    next_at: datetime


def heads(session: Session, now: datetime) -> list[Due]:
    """Return the oldest waiting delivery of each enabled webhook, those that are due longest first.

    Only the oldest: the next one is not sent before it has arrived, so that the order is kept.
    """
    pending = select(func.min(DeliveryRow.seq)).where(DeliveryRow.state == "pending")
    oldest = pending.group_by(DeliveryRow.webhook_id)
    found = session.execute(
        select(DeliveryRow, WebhookRow)
        .join(WebhookRow, WebhookRow.id == DeliveryRow.webhook_id)
        .where(DeliveryRow.seq.in_(oldest), WebhookRow.disabled_at.is_(None), WebhookRow.deleted_at.is_(None))
        .order_by(DeliveryRow.next_at, DeliveryRow.seq)
    )
    return [
        Due(row.id, hook.id, hook.url, signing_secrets(hook, now), row.body, row.next_at)
        for row, hook in found
    ]


def signing_secrets(webhook: WebhookRow, now: datetime) -> tuple[str, ...]:
    """Return the secrets that a delivery is signed with: two of them while one replaces the other."""
    overlaps = webhook.previous_until is not None and now < webhook.previous_until
    if overlaps and webhook.previous_secret is not None:
        return (webhook.secret, webhook.previous_secret)
    return (webhook.secret,)


def settle(
    session: Session, due: Due, answer: Answer, policy: WebhookPolicy, *, now: datetime, chance: float
) -> str:
    """Write down what became of an attempt; return the delivery's state then.

    A target that is gone (410), or that failed for too long, disables its webhook, which is told.
    """
    row = session.scalar(select(DeliveryRow).where(DeliveryRow.id == due.id))
    if row is None or row.state != "pending":
        return "" if row is None else row.state
    row.attempts += 1
    row.first_attempt_at = row.first_attempt_at or now
    row.last_attempt_at, row.last_status = now, answer.status
    row.last_error = answer.error[:ERROR_LENGTH]
    found = verdict(answer.status)
    if found == "delivered":
        row.state, row.delivered_at, row.last_error = "delivered", now, ""
        return row.state
    wait = max(policy.delay_s(row.attempts, chance), min(answer.retry_after_s or 0.0, policy.longest_delay_s))
    row.next_at = now + timedelta(seconds=wait)
    if found == "gone":
        disable(session, due.webhook_id, "its target says that it is gone for good (410)", now)
    elif policy.gives_up(row.first_attempt_at, now):
        why = f"nothing arrived since {rfc3339(row.first_attempt_at)}; last: {row.last_error}"
        disable(session, due.webhook_id, why, now)
    return row.state


def disable(session: Session, webhook_id: str, reason: str, now: datetime) -> None:
    """Disable a webhook, let what waits for it fail, and tell the account."""
    row = session.get(WebhookRow, webhook_id)
    if row is None or row.disabled_at is not None or row.deleted_at is not None:
        return
    row.disabled_at, row.disabled_reason, row.modified_at = now, reason[:ERROR_LENGTH], now
    fail_pending(session, webhook_id)
    note(
        session,
        Entry(
            account_id=row.account_id,
            at=now,
            kind="operational",
            type="webhook.disabled",
            object_kind="webhook",
            object_id=row.id,
            reason=row.disabled_reason,
            detail={"url": row.url},
        ),
    )


def fail_pending(session: Session, webhook_id: str) -> None:
    """Let all that waits for a webhook fail: it can be asked for again, one by one."""
    session.flush()
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.webhook_id == webhook_id, DeliveryRow.state == "pending")
        .values(state="failed")
        .execution_options(synchronize_session="fetch")
    )


def deliveries_after(
    session: Session, webhook_id: str, after: int, limit: int, state: str | None
) -> Sequence[DeliveryRow]:
    """Return deliveries in the order in which they are sent."""
    query = select(DeliveryRow).where(DeliveryRow.webhook_id == webhook_id, DeliveryRow.seq > after)
    if state is not None:
        query = query.where(DeliveryRow.state == state)
    return session.scalars(query.order_by(DeliveryRow.seq).limit(limit)).all()
