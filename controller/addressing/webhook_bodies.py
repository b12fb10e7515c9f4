"""What the routes of webhooks take and answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from controller.addressing.bodies import Request, Text

DAY_S = 86_400

Url = Annotated[
    str,
    StringConstraints(min_length=8, max_length=2000, pattern=r"^https?://[!-~]+$"),
    Field(json_schema_extra={"examples": ["https://hooks.example/herald"]}),
]
Pattern = Annotated[
    str,
    StringConstraints(max_length=60, pattern=r"^(\*|[a-z_]+\.(\*|[a-z_]+))$"),
    Field(json_schema_extra={"examples": ["prefix.*", "change_set.held", "*"]}),
]
Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=50)]


class CreateWebhook(Request):
    """``events``: types, ``<object>.*`` or ``*``."""

    url: Url
    events: Patterns
    description: Text = ""


class EditWebhook(Request):
    """At least one field. ``enabled`` true lets a disabled webhook go on."""

    url: Url | None = None
    events: Patterns | None = None
    description: Text | None = None
    enabled: bool | None = None


class RotateSecret(Request):
    """``overlap_s``: for how long the old secret signs beside the new one (at most a week)."""

    overlap_s: Annotated[int, Field(ge=0, le=7 * DAY_S)] = DAY_S


class WebhookBody(BaseModel):
    """A webhook. ``pending``: deliveries that wait; ``disabled_reason`` is empty while it is enabled."""

    id: str
    account_id: str
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_at: str | None
    disabled_reason: str
    previous_secret_until: str | None
    pending: int
    created_at: str
    modified_at: str


class WebhookSecretBody(WebhookBody):
    """A webhook with its secret, which is shown this once."""

    secret: str


class WebhookPage(BaseModel):
    """All webhooks of an account."""

    result: list[WebhookBody]


class DeliveryBody(BaseModel):
    """One notification for one webhook; ``id`` is its ``webhook-id``, the same at every attempt."""

    seq: int
    id: str
    type: str
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    next_attempt_at: str | None
    last_attempt_at: str | None
    last_status: int | None
    last_error: str
    created_at: str
    delivered_at: str | None


class DeliveryPage(BaseModel):
    """``next``: what to give as ``after`` for the page that follows; null when this is the last."""

    result: list[DeliveryBody]
    next: int | None
