"""Webhooks: where an account wants to be told, and what became of each notification."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.timeline import After, Limit
from controller.addressing.times import rfc3339
from controller.addressing.versions import etag
from controller.addressing.webhook_bodies import (
    CreateWebhook,
    DeliveryBody,
    DeliveryPage,
    EditWebhook,
    RotateSecret,
    WebhookBody,
    WebhookPage,
    WebhookSecretBody,
)
from controller.addressing.writes import Write, WriterDep
from controller.timeline.deliveries import deliveries_after, fail_pending
from controller.timeline.errors import TargetError
from controller.timeline.log import delivery
from controller.timeline.names import TYPES, chooses_nothing
from controller.timeline.policy import WebhookPolicy
from controller.timeline.show import Entry, notification
from controller.timeline.signing import new_secret
from controller.timeline.tables import DeliveryRow, WebhookRow

router = APIRouter(prefix="/herald/v1/accounts/{account_id}/webhooks", tags=["webhooks"])

SHOWN_ONCE = "a secret is shown once and never stored in an answer"

WebhookId = Annotated[str, Path(max_length=32)]
TARGET = (Kind.WEBHOOK_TARGET, Kind.UNKNOWN_EVENT_TYPE)


@router.get("", response_model=WebhookPage)
def list_webhooks(account: AccountDep, context: ContextDep) -> Response:
    """All webhooks of the account, without their secrets."""
    with context.store.read() as session:
        found = [_body(session, row) for row in _live(session, account)]
    return json_response({"result": found})


@router.post("", response_model=WebhookSecretBody, responses=refuses(*TARGET, Kind.TOO_MANY_WEBHOOKS))
def create_webhook(account: AccountDep, body: CreateWebhook, writer: WriterDep) -> Response:
    """Be told of what happens; the secret is shown this once. An idempotency key is refused."""
    writer.refuse_key(SHOWN_ONCE)

    def work(write: Write) -> dict[str, Any]:
        policy = write.context.webhooks
        _check(policy, body.url, body.events)
        if len(_live(write.session, account)) >= policy.most_webhooks:
            raise Refusal(
                Kind.TOO_MANY_WEBHOOKS,
                f"account {account} has {policy.most_webhooks} webhooks, the most that it may: delete one",
            )
        row = WebhookRow(
            id=uuid4().hex,
            account_id=account,
            url=body.url,
            events=body.events,
            description=body.description,
            secret=new_secret(),
            disabled_reason="",
            created_at=write.now,
            modified_at=write.now,
        )
        write.session.add(row)
        write.shows(row)
        write.record("create", "webhook", row.id, account, url=row.url, events=row.events)
        return {**_body(write.session, row), "secret": row.secret}

    return writer.run(work)


@router.get("/{webhook_id}", response_model=WebhookBody)
def get_webhook(account: AccountDep, webhook_id: WebhookId, context: ContextDep) -> Response:
    """One webhook, without its secret."""
    with context.store.read() as session:
        row = _the_webhook(session, account, webhook_id)
        found = _body(session, row)
    return json_response(found, headers={"ETag": etag(row)})


@router.patch("/{webhook_id}", response_model=WebhookBody, responses=refuses(*TARGET))
def edit_webhook(
    account: AccountDep, webhook_id: WebhookId, body: EditWebhook, writer: WriterDep
) -> Response:
    """Change it, disable it, or let it go on; while it is disabled nothing is kept for it."""
    given = sorted(body.model_fields_set)
    nulls = [name for name in given if getattr(body, name) is None]
    if nulls or not given:
        what = f"{nulls[0]} is null" if nulls else "nothing to change"
        raise Refusal(
            Kind.MALFORMED_BODY,
            f"{what}: give url, events, description or enabled",
            f"/{nulls[0]}" if nulls else "",
        )

    def work(write: Write) -> dict[str, Any]:
        row = _the_webhook(write.session, account, webhook_id)
        write.match(row)
        row.url = row.url if body.url is None else body.url
        row.events = row.events if body.events is None else body.events
        row.description = row.description if body.description is None else body.description
        _check(write.context.webhooks, row.url, row.events)
        if body.enabled is True:
            row.disabled_at, row.disabled_reason = None, ""
        elif body.enabled is False and row.disabled_at is None:
            row.disabled_at, row.disabled_reason = write.now, "it was disabled by its account"
            fail_pending(write.session, row.id)
        row.modified_at = write.now
        write.shows(row)
        write.record("edit", "webhook", row.id, account, url=row.url)
        return _body(write.session, row)

    return writer.run(work)


@router.delete("/{webhook_id}", response_model=WebhookBody)
def delete_webhook(account: AccountDep, webhook_id: WebhookId, writer: WriterDep) -> Response:
    """Delete it at once; what waits for it is not sent any more."""

    def work(write: Write) -> dict[str, Any]:
        row = _the_webhook(write.session, account, webhook_id)
        write.match(row)
        row.deleted_at = row.modified_at = write.now
        fail_pending(write.session, row.id)
        write.record("delete", "webhook", row.id, account, url=row.url)
        return _body(write.session, row)

    return writer.run(work)


@router.post("/{webhook_id}/rotate", response_model=WebhookSecretBody)
def rotate_secret(
    account: AccountDep, webhook_id: WebhookId, body: RotateSecret, writer: WriterDep
) -> Response:
    """Make a new secret, shown this once; for the overlap each delivery is signed with both."""
    writer.refuse_key(SHOWN_ONCE)

    def work(write: Write) -> dict[str, Any]:
        row = _the_webhook(write.session, account, webhook_id)
        write.match(row)
        row.previous_secret, row.secret = row.secret, new_secret()
        row.previous_until = write.now + timedelta(seconds=body.overlap_s)
        row.modified_at = write.now
        write.shows(row)
        write.record("rotate", "webhook", row.id, account, overlap_s=body.overlap_s)
        return {**_body(write.session, row), "secret": row.secret}

    return writer.run(work)


@router.post("/{webhook_id}/test", response_model=DeliveryBody, responses=refuses(Kind.WEBHOOK_DISABLED))
def test_webhook(account: AccountDep, webhook_id: WebhookId, writer: WriterDep) -> Response:
    """Send a ``webhook.test`` to this webhook, whatever it chose; the delivery says how it went."""

    def work(write: Write) -> dict[str, Any]:
        hook = _enabled(write.session, account, webhook_id)
        entry = Entry(
            account_id=account,
            at=write.now,
            kind="operational",
            type="webhook.test",
            object_kind="webhook",
            object_id=hook.id,
            actor=write.caller.actor,
            reason="somebody asked for a test",
        )
        row = delivery(hook.id, entry.type, notification(entry, 0), write.now)
        write.session.add(row)
        write.session.flush()
        write.record("test", "webhook", hook.id, account, delivery_id=row.id)
        return _delivery(row)

    return writer.run(work)


@router.get("/{webhook_id}/deliveries", response_model=DeliveryPage)
def list_deliveries(
    account: AccountDep,
    webhook_id: WebhookId,
    context: ContextDep,
    *,
    after: After = 0,
    limit: Limit = 100,
    state: Annotated[Literal["pending", "delivered", "failed"] | None, Query()] = None,
) -> Response:
    """What was, or is to be, sent to a webhook, in its order."""
    with context.store.read() as session:
        hook = _the_webhook(session, account, webhook_id)
        found = deliveries_after(session, hook.id, after, limit + 1, state)
    shown = [_delivery(row) for row in found[:limit]]
    return json_response({"result": shown, "next": shown[-1]["seq"] if len(found) > limit else None})


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    response_model=DeliveryBody,
    responses=refuses(Kind.WEBHOOK_DISABLED, Kind.DELIVERY_PENDING),
)
def redeliver(
    account: AccountDep,
    webhook_id: WebhookId,
    delivery_id: Annotated[str, Path(max_length=40)],
    writer: WriterDep,
) -> Response:
    """Send a delivery again, with the same ``webhook-id`` and body; it comes before younger ones."""

    def work(write: Write) -> dict[str, Any]:
        hook = _enabled(write.session, account, webhook_id)
        row = write.session.scalar(
            select(DeliveryRow).where(DeliveryRow.id == delivery_id, DeliveryRow.webhook_id == hook.id)
        )
        if row is None:
            raise Refusal(Kind.NOT_FOUND, f"webhook {hook.id} has no delivery {delivery_id!r}")
        if row.state == "pending":
            raise Refusal(Kind.DELIVERY_PENDING, f"delivery {row.id} still waits to be sent: wait for it")
        row.state, row.next_at, row.first_attempt_at, row.delivered_at = "pending", write.now, None, None
        row.attempts = 0
        write.record("redeliver", "webhook", hook.id, account, delivery_id=row.id)
        return _delivery(row)

    return writer.run(work)


def _live(session: Session, account_id: str) -> Sequence[WebhookRow]:
    return session.scalars(
        select(WebhookRow)
        .where(WebhookRow.account_id == account_id, WebhookRow.deleted_at.is_(None))
        .order_by(WebhookRow.created_at, WebhookRow.id)
    ).all()


def _the_webhook(session: Session, account_id: str, webhook_id: str) -> WebhookRow:
    row = session.get(WebhookRow, webhook_id)
    if row is None or row.account_id != account_id or row.deleted_at is not None:
        raise Refusal(Kind.NOT_FOUND, f"account {account_id} has no webhook {webhook_id!r}")
    return row


def _enabled(session: Session, account_id: str, webhook_id: str) -> WebhookRow:
    row = _the_webhook(session, account_id, webhook_id)
    if row.disabled_at is not None:
        raise Refusal(
            Kind.WEBHOOK_DISABLED,
            f"webhook {row.id} is disabled ({row.disabled_reason}): put its target right and enable it first",
        )
    return row


def _check(policy: WebhookPolicy, url: str, patterns: Sequence[str]) -> None:
    try:
        policy.check_url(url)
    except TargetError as error:
        raise Refusal(Kind.WEBHOOK_TARGET, f"a webhook cannot go there: {error}", "/url") from error
    for index, pattern in enumerate(patterns):
        if chooses_nothing(pattern):
            objects = ", ".join(sorted({t.partition(".")[0] + ".*" for t in TYPES}))
            raise Refusal(
                Kind.UNKNOWN_EVENT_TYPE,
                f"{pattern!r} chooses no event that there is: there are {objects} and the types in them",
                f"/events/{index}",
            )


def _body(session: Session, row: WebhookRow) -> dict[str, Any]:
    waiting = select(func.count()).where(DeliveryRow.webhook_id == row.id, DeliveryRow.state == "pending")
    return {
        "id": row.id,
        "account_id": row.account_id,
        "url": row.url,
        "events": row.events,
        "description": row.description,
        "enabled": row.disabled_at is None,
        "disabled_at": rfc3339(row.disabled_at),
        "disabled_reason": row.disabled_reason,
        "previous_secret_until": rfc3339(row.previous_until),
        "pending": session.scalar(waiting) or 0,
        "created_at": rfc3339(row.created_at),
        "modified_at": rfc3339(row.modified_at),
    }


def _delivery(row: DeliveryRow) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "id": row.id,
        "type": row.type,
        "state": row.state,
        "attempts": row.attempts,
        "next_attempt_at": rfc3339(row.next_at) if row.state == "pending" else None,
        "last_attempt_at": rfc3339(row.last_attempt_at),
        "last_status": row.last_status,
        "last_error": row.last_error,
        "created_at": rfc3339(row.created_at),
        "delivered_at": rfc3339(row.delivered_at),
    }
