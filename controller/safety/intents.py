"""Intents: signed records that somebody wanted what takes something away (pure): SAFETY.md, 2.

An intent names the account, the prefixes, the kind, the generation that it was based on (the hash of the
account's operational chunk), from when and until when it holds, a nonce, and who asked: the token of one
owner, or those of two operators. Its text is one ASCII line, so that a change-set carries it and whoever
has the public keys can check it alone::

    hi1.<key id>.<base64url of the canonical JSON>.<base64url of the Ed25519 signature (RFC 8032)>

The signature covers a fixed prefix, the key id and the JSON. Both base64 parts are accepted in their one
canonical form only, and the JSON must be what encoding it again gives: no two texts mean the same intent.

Errors::

    IntentError
    ├── MalformedIntentError        not an intent at all, or one that contradicts itself
    ├── UnknownKeyError             signed by a key that is none of ours
    ├── BadSignatureError           changed, or forged
    ├── IntentNotYetValidError      its time has not come
    └── IntentExpiredError          its time is over: ask again
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Literal, get_args

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from controller.bgp import Prefix, PrefixError, covers, parse_prefix, prefix_key
from controller.errors import HeraldError
from controller.safety.base64url import decoded, encoded
from controller.safety.effects import Effect, EffectVerb

IntentKind = Literal["withdraw", "unbind", "delete", "prepend", "narrow", "reorigin"]
KINDS: tuple[IntentKind, ...] = get_args(IntentKind)

COVERS: Mapping[IntentKind, frozenset[EffectVerb]] = {
    "withdraw": frozenset({"withdraw"}),
    "narrow": frozenset({"withdraw"}),
    "unbind": frozenset({"unbind"}),
    "delete": frozenset({"withdraw", "unbind"}),
    "prepend": frozenset({"more-prepend"}),
    "reorigin": frozenset({"reorigin"}),
}
"""Which effects an intent of each kind asks for. ``delete`` reaches all that lies in its prefixes, the
others exactly the prefixes that they name; ``narrow`` must name its sites."""

VERSION = "hi1"
DOMAIN = b"herald intent 1\x00"
"""What is signed begins with this, so that no other signature of the same key can pass for an intent."""

LONGEST = 1 << 20
"""Characters of a text; a longer one is refused unread."""


class IntentError(HeraldError):
    """Root of the errors of intents: this text allows nothing."""


class MalformedIntentError(IntentError):
    """The text is no intent in its canonical form, or its record contradicts itself."""


class UnknownKeyError(IntentError):
    """The text names a key that is not among the public keys given."""


class BadSignatureError(IntentError):
    """The signature is not that key's over this record."""


class IntentNotYetValidError(IntentError):
    """The intent holds only later."""


class IntentExpiredError(IntentError):
    """The intent no longer holds."""


class Intent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody wanted. Times are aware; it holds from ``not_before`` until before ``expires_at``.

    ``prefixes``: canonical, ordered, each once. ``sites`` None: at all of them. ``generation`` None: the
    account had no operational chunk yet. ``asked_by``: token ids; one for ``owner``, and for ``delegate``: an
    account to which the owner had delegated the prefixes; two different ones for ``operators``.
    """

    account_id: str
    kind: IntentKind
    prefixes: tuple[Prefix, ...]
    sites: tuple[str, ...] | None
    generation: str | None
    issued_at: datetime
    not_before: datetime
    expires_at: datetime
    nonce: str
    authority: Literal["owner", "delegate", "operators"]
    asked_by: tuple[str, ...]


def ordered(prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """Return ``prefixes`` as an intent keeps them: each once, in order."""
    return tuple(sorted(set(prefixes), key=prefix_key))


def key_id(public_key: bytes) -> str:
    """Return the name of a raw public key: 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def sign(intent: Intent, key: Ed25519PrivateKey) -> str:
    """Return the text of ``intent``, signed; raises :class:`MalformedIntentError` for one that is none."""
    _check(intent)
    name = key_id(key.public_key().public_bytes_raw())
    body = msgspec.json.encode(intent)
    return ".".join((VERSION, name, encoded(body), encoded(key.sign(_message(name, body)))))


def verify(text: str, public_keys: Iterable[bytes], now: datetime) -> Intent:
    """Return the intent in ``text``, if one of ``public_keys`` (raw, 32 bytes) signed it and it holds now.

    Raises the :class:`IntentError` that says why not.
    """
    intent = verify_signature(text, public_keys)
    if now < intent.not_before:
        raise IntentNotYetValidError(f"this intent holds from {intent.not_before.isoformat()} on: wait")
    if now >= intent.expires_at:
        raise IntentExpiredError(f"this intent expired at {intent.expires_at.isoformat()}: ask again")
    return intent


def verify_signature(text: str, public_keys: Iterable[bytes]) -> Intent:
    """Return the intent in ``text``, whenever it holds; raises as :func:`verify`, but not for its times."""
    parts = text.split(".") if len(text) <= LONGEST else []
    if len(parts) != 4 or parts[0] != VERSION or re.fullmatch(r"[0-9a-f]{16}", parts[1]) is None:
        raise MalformedIntentError("this is no intent: it must read hi1.KEY.RECORD.SIGNATURE")
    name, body, signature = parts[1], _decoded(parts[2]), _decoded(parts[3])
    key = {key_id(raw): raw for raw in public_keys}.get(name)
    if key is None:
        raise UnknownKeyError(f"no intent key is called {name}: fetch the public keys again")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _message(name, body))
    except InvalidSignature as error:
        raise BadSignatureError("the signature is not over this record: it was changed, or forged") from error
    try:
        intent = msgspec.json.decode(body, type=Intent, strict=True)
    except msgspec.MsgspecError as error:
        raise MalformedIntentError(f"the record of the intent does not decode: {error}") from error
    if msgspec.json.encode(intent) != body:
        raise MalformedIntentError("the record of the intent is not in its canonical form")
    _check(intent)
    return intent


def expiry_of(text: str) -> datetime | None:
    """Return when an intent ends, by its own word; None for what is no intent. Nothing is verified."""
    parts = text.split(".") if len(text) <= LONGEST else []
    try:
        return msgspec.json.decode(_decoded(parts[2]), type=Intent).expires_at if len(parts) == 4 else None
    except (IntentError, msgspec.MsgspecError):
        return None


def covers_effect(intent: Intent, effect: Effect) -> bool:
    """Tell whether ``effect`` (of the intent's account) is what the intent asked for."""
    if effect.verb not in COVERS[intent.kind]:
        return False
    if intent.sites is not None and effect.site not in intent.sites:
        return False
    if intent.kind == "delete":
        return any(covers(prefix, effect.cidr) for prefix in intent.prefixes)
    return effect.cidr in intent.prefixes


def covers_all(intent: Intent, account_id: str, effects: Iterable[Effect]) -> bool:
    """Tell whether all of ``effects`` on ``account_id`` are what the intent asked for.

    It is monotone: what covers some effects covers each part of them, and an intent that names more
    prefixes, or more sites, covers no less.
    """
    return intent.account_id == account_id and all(covers_effect(intent, e) for e in effects)


def uncovered(intents: Sequence[Intent], account_id: str, effects: Iterable[Effect]) -> tuple[Effect, ...]:
    """Return the effects on ``account_id`` that none of ``intents`` asked for, in their order."""
    asked: dict[tuple[IntentKind, tuple[str, ...] | None], set[Prefix]] = {}
    for intent in intents:
        if intent.account_id == account_id:
            asked.setdefault((intent.kind, intent.sites), set()).update(intent.prefixes)
    return tuple(e for e in effects if not any(_asked_for(e, *k, prefixes) for k, prefixes in asked.items()))


def _asked_for(
    effect: Effect, kind: IntentKind, sites: tuple[str, ...] | None, prefixes: AbstractSet[Prefix]
) -> bool:
    """Do as :func:`covers_effect`, for the prefixes of many intents of one kind together."""
    if effect.verb not in COVERS[kind] or (sites is not None and effect.site not in sites):
        return False
    return effect.cidr in prefixes or (kind == "delete" and not prefixes.isdisjoint(around(effect.cidr)))


def around(prefix: Prefix) -> list[Prefix]:
    """Return all prefixes that ``prefix`` lies in, but itself, the shortest first."""
    network = ipaddress.ip_network(prefix)
    return [Prefix(str(network.supernet(new_prefix=length))) for length in range(network.prefixlen)]


def needed(
    effects: Iterable[Effect], sites: Iterable[str]
) -> list[tuple[IntentKind, list[Prefix], list[str]]]:
    """Return the kinds, prefixes and sites of the intents that cover exactly the subtractive ``effects``.

    One for each verb and set of sites. A withdrawal at some of ``sites`` only is a ``narrow``.
    """
    everywhere = frozenset(sites)
    where: dict[tuple[EffectVerb, Prefix], set[str]] = {}
    for effect in effects:
        if effect.kind == "subtractive":
            where.setdefault((effect.verb, effect.cidr), set()).add(effect.site)
    grouped: dict[tuple[IntentKind, tuple[str, ...]], list[Prefix]] = {}
    for (verb, cidr), at in where.items():
        kind = NAMED[verb]
        if kind == "withdraw" and at != everywhere:
            kind = "narrow"
        grouped.setdefault((kind, tuple(sorted(at))), []).append(cidr)
    return [(kind, list(ordered(cidrs)), list(at)) for (kind, at), cidrs in sorted(grouped.items())]


NAMED: Mapping[EffectVerb, IntentKind] = {
    "withdraw": "withdraw",
    "unbind": "unbind",
    "more-prepend": "prepend",
    "reorigin": "reorigin",
}
"""The kind of intent that asks for a subtractive effect by itself."""


def _check(intent: Intent) -> None:
    """Raise :class:`MalformedIntentError` for a record that contradicts itself."""
    problem = ""
    if not intent.prefixes or intent.prefixes != _canonical(intent.prefixes):
        problem = "its prefixes must be canonical, ordered, and each there once"
    elif intent.sites is not None and intent.sites != tuple(sorted(set(intent.sites))):
        problem = "its sites must be ordered, and each there once"
    elif intent.kind == "narrow" and not intent.sites:
        problem = "narrowing must name the sites that are left"
    elif len(set(intent.asked_by)) != len(intent.asked_by) or len(intent.asked_by) != (
        2 if intent.authority == "operators" else 1
    ):
        problem = "one owner or delegate, or two different operators, must have asked for it"
    elif any(t.utcoffset() != timedelta(0) for t in (intent.issued_at, intent.not_before, intent.expires_at)):
        problem = "its times must be in UTC"
    elif intent.expires_at <= intent.not_before:
        problem = "it would never hold"
    elif not intent.account_id or not intent.nonce:
        problem = "it must name an account, and have a nonce"
    if problem:
        raise MalformedIntentError(f"this intent is refused: {problem}")


def _canonical(prefixes: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
    try:
        return ordered(parse_prefix(p) for p in prefixes)
    except PrefixError as error:
        raise MalformedIntentError(f"this intent is refused: {error}") from error


def _message(name: str, body: bytes) -> bytes:
    return DOMAIN + name.encode("ascii") + b"\x00" + body


def _decoded(text: str) -> bytes:
    try:
        return decoded(text)
    except ValueError as error:
        raise MalformedIntentError(f"a part of the intent {error}") from error
