"""Records that a person or a service signed, other than intents (pure).

One ASCII line, so that a file, a command line or a message carries it::

    hs1.<key id>.<base64url of the record's JSON>.<base64url of the Ed25519 signature (RFC 8032)>

The signature covers the domain, which says what kind of record it is: no signature made for one kind passes
for another, whatever key made it. Whoever reads it decodes the record strictly by itself.

Errors::

    SignedError                     this text proves nothing; the message says why
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from controller.errors import HeraldError
from controller.safety.base64url import decoded, encoded
from controller.safety.intents import key_id

VERSION = "hs1"

LONGEST = 1 << 22
"""Characters of a text; a longer one is refused unread."""


class SignedError(HeraldError):
    """The text is no signed record, or none of the given keys signed it for this purpose."""


def sign_record(domain: str, body: bytes, private_key: bytes) -> str:
    """Return the text of a record, signed with a raw Ed25519 private key for ``domain``."""
    key = Ed25519PrivateKey.from_private_bytes(private_key)
    name = key_id(key.public_key().public_bytes_raw())
    return ".".join((VERSION, name, encoded(body), encoded(key.sign(_message(domain, name, body)))))


def open_signed(domain: str, text: str, public_keys: Iterable[bytes], longest: int = LONGEST) -> bytes:
    """Return the record in ``text``, if one of ``public_keys`` (raw) signed it for ``domain``.

    ``longest``: so many characters it may have at most. Raises :class:`SignedError`.
    """
    parts = text.strip().split(".") if len(text) <= longest else []
    if len(parts) != 4 or parts[0] != VERSION:
        raise SignedError(f"it is no signed record: it must read {VERSION}.KEY.RECORD.SIGNATURE")
    key = {key_id(raw): raw for raw in public_keys}.get(parts[1])
    if key is None:
        raise SignedError(f"none of the keys for a {domain.rstrip(' 0123456789')} is called {parts[1]}")
    body, signature = _decoded(parts[2]), _decoded(parts[3])
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _message(domain, parts[1], body))
    except InvalidSignature as error:
        raise SignedError("the signature is not over this record: it was changed, or forged") from error
    return body


def _message(domain: str, name: str, body: bytes) -> bytes:
    return domain.encode() + b"\x00" + name.encode() + b"\x00" + body


def _decoded(text: str) -> bytes:
    try:
        return decoded(text)
    except ValueError as error:
        raise SignedError(f"a part of it {error}") from error
