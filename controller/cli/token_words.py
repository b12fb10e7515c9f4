"""How people write what a token may do, and for how long (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from controller.addressing.permissions import VERBS
from controller.cli.errors import CliError

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def scopes(words: Iterable[str]) -> dict[str, list[str]] | None:
    """Return scopes from ``RESOURCE:VERB[,VERB]``; None for no words. Raises :class:`CliError`."""
    found: dict[str, list[str]] = {}
    for word in words:
        resource, colon, verbs = word.partition(":")
        named = verbs.split(",")
        if not resource or not colon or any(v not in VERBS for v in named):
            raise CliError(
                f"{word!r} is no scope: give RESOURCE:VERB[,VERB], such as prefixes:read,edit; "
                f"the verbs are {', '.join(VERBS)}"
            )
        kept = found.setdefault(resource.replace("-", "_"), [])
        kept += [v for v in named if v not in kept]
    return found or None


def end(text: str, now: datetime) -> datetime:
    """Return when something ends: after ``text`` (90m, 8h, 30d, 2w), or at it (RFC 3339, with a zone).

    Raises :class:`CliError`.
    """
    found = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", text)
    if found is None:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise CliError(
                f"{text!r} is no time: give one such as 90m, 8h, 30d or 2w, or 2027-01-31T12:00:00Z"
            )
        return at
    try:
        return now + timedelta(**{UNITS[found[2]]: int(found[1])})
    except OverflowError as error:
        raise CliError(f"{text} is longer than there are dates: give a shorter time") from error


def head(text: str) -> tuple[str, str]:
    """Return number and hash of ``SEQ:HASH``. Raises :class:`CliError`."""
    found = re.fullmatch(r"([1-9]\d{0,18}):([0-9a-f]{64})", text)
    if found is None:
        raise CliError(f"{text!r} is no SEQ:HASH as herald audit verify shows it")
    return found[1], found[2]
