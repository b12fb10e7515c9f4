"""How people name a snapshot: the beginning of its id, ``HEAD``, ``HEAD~2``, or a time (pure).

``@2026-02-20T17:56Z`` is the newest snapshot at or before that time (without a zone: UTC; a date alone: its
beginning), ``@-15m`` the newest at or before fifteen minutes ago (``s``, ``m``, ``h``, ``d``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from controller.snapshots.model import SnapshotError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
HOW = "give the beginning of an id, HEAD, HEAD~N, @2026-02-20T17:56Z or @-15m (herald snapshots list)"


class SnapshotNameError(SnapshotError):
    """The text names no snapshot, whatever there is."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The one whose id begins so."""

    digits: str


@dataclass(frozen=True, slots=True)
class Back:
    """So many before the newest."""

    count: int


@dataclass(frozen=True, slots=True)
class Until:
    """The newest at or before a time."""

    at: datetime


SnapshotName = Beginning | Back | Until


def parse_name(text: str, now: datetime) -> SnapshotName:
    """Return which snapshot ``text`` means; ``now`` is aware. Raises :class:`SnapshotNameError`."""
    if re.fullmatch(r"[0-9a-f]{1,64}", text):
        return Beginning(text)
    if (back := re.fullmatch(r"HEAD(?:~([0-9]{1,9}))?", text)) is not None:
        return Back(int(back[1] or 0))
    if text.startswith("@"):
        return Until(_time(text, now))
    raise SnapshotNameError(f"{text!r} names no snapshot: {HOW}")


def _time(text: str, now: datetime) -> datetime:
    ago = re.fullmatch(r"@-([0-9]{1,9})([smhd])", text)
    try:
        if ago is not None:
            return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text[1:])
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise SnapshotNameError(f"{text!r} is no time: {HOW}") from error
