"""Signs deliveries as Standard Webhooks says (the specification's symmetric scheme, ``v1``)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

SECRET_BYTES = 32


def new_secret() -> str:
    """Return a new secret in the form in which libraries take it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(delivery_id: str, now: datetime, body: bytes, secrets_: Sequence[str]) -> dict[str, str]:
    """Return the headers of one attempt: signed with each of ``secrets_``, so that one can be replaced.

    ``webhook-id`` is the same at each attempt; the time is the attempt's, for receivers refuse old ones.
    """
    at = now.astimezone(UTC).replace(microsecond=0)
    text = body.decode()
    signatures = [Webhook(secret).sign(delivery_id, at, text) for secret in secrets_]
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
