"""Where things are in the API: paths from ids (pure)."""

from __future__ import annotations

from urllib.parse import quote

from controller.cli.errors import CliError

LONGEST = 255
"""Characters of one part of a path; no id is as long."""


def addressing(account_id: str, *parts: str) -> str:
    """Return the path of an account's resource in the compatible API."""
    return f"/client/v4/accounts/{_part(account_id)}/addressing" + segments(*parts)


def herald(*parts: str) -> str:
    """Return the path of one of Herald's own resources."""
    return "/herald/v1" + segments(*parts)


def segments(*parts: str) -> str:
    """Return the end of a path."""
    return "".join(f"/{_part(p)}" for p in parts)


def _part(text: str) -> str:
    """Return one part of a path, quoted; raises CliError for what would lead to another route."""
    if text in ("", ".", "..") or len(text) > LONGEST:
        raise CliError(f"{text[:LONGEST]!r} is no id: give one of those that list shows")
    return quote(text, safe="")
