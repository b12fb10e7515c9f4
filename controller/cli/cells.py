"""How values are shown to people (pure but for the zone that times are shown in)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo


def plain(value: str) -> str:
    """Return ``value`` on one line; what a terminal would act on, or cannot show, is written out."""
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() else " " if c in "\t\r\n" else ascii(c)[1:-1] for c in value)


def text(value: object) -> str:
    """Return a value in words: nothing for None, yes and no, lists with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(text(part) for part in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(str(k))}: {text(v)}" for k, v in value.items())
    return plain(str(value))


def time(value: object, zone: tzinfo | None = None) -> str:
    """Return an RFC 3339 time in ``zone`` (the machine's own if left out), to the second."""
    if not isinstance(value, str):
        return text(value)
    try:
        at = datetime.fromisoformat(value).astimezone(zone)
    except (ValueError, OverflowError):
        return text(value)
    return f"{at:%Y-%m-%d %H:%M:%S}"


def zoned(value: object) -> str:
    """Return an RFC 3339 time as :func:`time` does, with the zone's name: for one object alone."""
    shown = time(value)
    if not isinstance(value, str) or shown == text(value):
        return shown
    return f"{shown} {datetime.fromisoformat(value).astimezone():%Z}"


def state(value: object) -> str:
    """Return an extension field (``operational``, ``observed``) in a few words."""
    if not isinstance(value, Mapping):
        return text(value)
    shown = text(value.get("state"))
    return f"{shown} {value['seen_by']}/{value['of']}" if value.get("of") else shown


def sites(value: object) -> str:
    """Return sites by name; null stands for all."""
    return "all" if value is None else text(value) or "none"


def origin(value: object) -> str:
    """Return an origin AS; null stands for the operator's own."""
    return "ours" if value is None else f"AS{text(value)}"


def approval(value: object) -> str:
    """Return whether a prefix is approved."""
    return {"V": "yes", "P": "pending"}.get(str(value), text(value))


def share(value: object) -> str:
    """Return a part of one as a percentage."""
    return f"{value * 100:.3g} %" if isinstance(value, (int, float)) else text(value)
