"""An entry of the timeline as the API and notifications show it (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

EntryKind = Literal["configured", "operational", "observed"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is told to an account.

    ``object_kind``, ``object_id``: what it is about; ``prefix_id``: the prefix that this stands in, if any.
    ``actor``: who asked for it. ``origin``: from where, None for what is not an API call. ``event_seq``: the
    number of the event that has it in full.
    """

    account_id: str
    at: datetime
    kind: EntryKind
    type: str
    object_kind: str
    object_id: str
    prefix_id: str | None = None
    change_set_id: str | None = None
    site: str | None = None
    event_seq: int | None = None
    actor: str | None = None
    origin: str | None = None
    reason: str = ""
    detail: Mapping[str, Any] = {}  # msgspec copies it


def shown(entry: Entry, seq: int) -> dict[str, Any]:
    """Return the entry with its number in the timeline.

    An operator's address is nothing that customers need: ``origin`` is only that of the account's own calls.
    """
    own = entry.actor is not None and entry.actor.startswith("customer:")
    return {
        "seq": seq,
        "at": rfc3339(entry.at),
        "kind": entry.kind,
        "type": entry.type,
        "account_id": entry.account_id,
        "object": {"kind": entry.object_kind, "id": entry.object_id},
        "prefix_id": entry.prefix_id,
        "change_set_id": entry.change_set_id,
        "site": entry.site,
        "actor": entry.actor,
        "origin": entry.origin if own else None,
        "reason": entry.reason,
        "detail": dict(entry.detail),
    }


def notification(entry: Entry, seq: int) -> bytes:
    """Return the body of a notification: the Standard Webhooks' ``type``, ``timestamp`` and ``data``."""
    return msgspec.json.encode(
        {"type": entry.type, "timestamp": rfc3339(entry.at), "data": shown(entry, seq)}
    )


def rfc3339(at: datetime) -> str:
    """Return an aware time as RFC 3339 UTC with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
