"""Bytes as text within signed records: base64url without padding (RFC 4648, 5), in one form only (pure)."""

from __future__ import annotations

import base64
import binascii


def encoded(data: bytes) -> str:
    """Return the text of ``data``."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decoded(text: str) -> bytes:
    """Return the bytes of ``text``.

    Raises ValueError, also for another text of the same bytes: a record has one text, so that a copy of it
    cannot pass for another record.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64url") from error
    if encoded(data) != text:
        raise ValueError("is not base64url in its canonical form")
    return data
