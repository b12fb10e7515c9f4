"""The intent service: signs what an authenticated owner, or two operators, asked for (SAFETY.md, 2).

The key is in a file of the state directory (mode 0600), made at the first start. Its first line is the
private key that signs; further lines ``public KEY`` are keys of before, whose intents are still accepted.
To rotate: :func:`rotate`, start again, and remove the old line once its intents have expired.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.addressing.errors import AddressingError
from controller.addressing.private_file import write_private
from controller.bgp import Prefix
from controller.safety.drain import Drain, sign_drain
from controller.safety.intents import Intent, IntentKind, key_id, ordered, sign, verify

PUBLIC = "public "


class IntentKeyError(AddressingError):
    """The file with the intent key cannot be read; a person must put it back."""


class IntentService:
    """Signs and checks; ``public_keys``: raw, the one that signs first."""

    def __init__(self, key: Ed25519PrivateKey, retired: Sequence[bytes] = ()) -> None:
        self._key = key
        self.public_keys: tuple[bytes, ...] = (key.public_key().public_bytes_raw(), *retired)

    def sign(
        self,
        account_id: str,
        kind: IntentKind,
        prefixes: Iterable[Prefix],
        *,
        asked_by: tuple[str] | tuple[str, str],
        sites: Iterable[str] | None,
        generation: str | None,
        now: datetime,
        expires_at: datetime,
        not_before: datetime | None = None,
        delegated: bool = False,
    ) -> str:
        """Return the signed intent of one owner, or of two operators: the tokens ``asked_by``.

        Call it only when those tokens have just been authenticated. ``not_before`` None: from now on.
        ``delegated``: the one who asks does not own the prefixes; their owner delegated them.
        """
        intent = Intent(
            account_id=account_id,
            kind=kind,
            prefixes=ordered(prefixes),
            sites=None if sites is None else tuple(sorted(set(sites))),
            generation=generation,
            issued_at=now,
            not_before=not_before or now,
            expires_at=expires_at,
            nonce=secrets.token_hex(16),
            authority="operators" if len(asked_by) == 2 else "delegate" if delegated else "owner",
            asked_by=asked_by,
        )
        return sign(intent, self._key)

    def sign_drain(self, record: Drain) -> str:
        """Return a drain's text; call it only when the second of its two operators has been authenticated."""
        return sign_drain(record, self._key.private_bytes_raw())

    def check(self, text: str, now: datetime) -> Intent:
        """Return the intent in ``text``; raises :class:`~controller.safety.intents.IntentError`."""
        return verify(text, self.public_keys, now)

    def described(self) -> list[dict[str, str | bool]]:
        """Return the public keys as they are published."""
        return [
            {
                "id": key_id(raw),
                "algorithm": "ed25519",
                "public_key": base64.b64encode(raw).decode(),
                "signs": index == 0,
            }
            for index, raw in enumerate(self.public_keys)
        ]


def temporary_service() -> IntentService:
    """Return a service whose key is kept nowhere: its intents die with the process."""
    return IntentService(Ed25519PrivateKey.generate())


def open_intent_service(path: Path) -> IntentService:
    """Return the service with the key in ``path``, made when there is none.

    Raises :class:`IntentKeyError` when the file is there and damaged: a new key instead of it would make
    every intent that is under way worthless.
    """
    try:
        lines = path.read_text().split("\n")
    except FileNotFoundError:
        key = Ed25519PrivateKey.generate()
        write_intent_key(path, key)
        return IntentService(key)
    except (OSError, UnicodeDecodeError) as error:
        raise IntentKeyError(f"cannot read the intent key {path}: {error}") from error
    try:
        first, *rest = [line.strip() for line in lines if line.strip()] or [""]
        key = Ed25519PrivateKey.from_private_bytes(_raw(first))
        if not all(line.startswith(PUBLIC) for line in rest):
            raise IntentKeyError(f"{path}: every line but the first must read: {PUBLIC}KEY")
        return IntentService(key, [_raw(line.removeprefix(PUBLIC)) for line in rest])
    except ValueError as error:
        raise IntentKeyError(f"{path} is damaged ({error}): put it back from a copy") from error


def write_intent_key(path: Path, key: Ed25519PrivateKey) -> None:
    """Make the file of :func:`open_intent_service` with this key alone."""
    write_private(path, _text(key.private_bytes_raw()))


def rotate(path: Path) -> IntentService:
    """Make a new key that signs from the next start on; keep accepting what the old ones signed.

    Raises as :func:`open_intent_service`.
    """
    old = open_intent_service(path)
    key = Ed25519PrivateKey.generate()
    write_private(
        path, "\n".join([_text(key.private_bytes_raw()), *(PUBLIC + _text(raw) for raw in old.public_keys)])
    )
    return IntentService(key, old.public_keys)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _raw(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"a key is not base64: {error}") from error
    if len(raw) != 32:
        raise ValueError(f"a key has {len(raw)} bytes, and must have 32")
    return raw
