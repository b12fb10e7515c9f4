"""Owners' requests in a copy, signed anew with the copy's own key.

Production's key does not leave production. What the requests say stays as it is, their end among it; that
each is truly its owner's is for production to check, as it does at every deletion.
"""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.safety.intents import Intent, IntentError, sign
from controller.shadow.errors import CopyError


def sign_requests_anew(copy: Path, key: Ed25519PrivateKey) -> int:
    """Sign each request for deletion in ``copy`` with ``key``; return how many there are.

    One that is no intent is left as it is: the candidate will refuse it.
    """
    count = 0
    try:
        with closing(sqlite3.connect(copy)) as opened, opened:
            there = opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'deletion_requests'").fetchone()
            if there is None:
                return 0
            for prefix_id, text in opened.execute("SELECT prefix_id, text FROM deletion_requests").fetchall():
                anew = _signed(text, key)
                if anew is not None:
                    opened.execute(
                        "UPDATE deletion_requests SET text = ? WHERE prefix_id = ?", (anew, prefix_id)
                    )
                    count += 1
    except sqlite3.DatabaseError as error:
        raise CopyError(f"{copy} cannot be changed: {error}") from error
    return count


def _signed(text: str, key: Ed25519PrivateKey) -> str | None:
    parts = text.split(".")
    if len(parts) != 4:
        return None
    try:
        body = base64.urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4))
        return sign(msgspec.json.decode(body, type=Intent, strict=True), key)
    except (ValueError, msgspec.MsgspecError, IntentError):
        return None
