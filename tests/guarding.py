"""What tests of the controller's guards share: a key, intents signed with it, and guards that are off."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.bgp import Prefix
from controller.guard.admission import Guard
from controller.safety.intents import Intent, IntentKind, ordered, sign
from controller.safety.policy import Guards, Policy
from controller.snapshots.model import ChangeSet

KEY = Ed25519PrivateKey.generate()
KEYS = (KEY.public_key().public_bytes_raw(),)

ALL_OFF = Guards(**dict.fromkeys(Guards.__struct_fields__, False))
"""No guard is armed."""

_nonces = itertools.count(1)


def unguarded() -> Guard:
    """Return a guard with every check off: for tests of what comes after it."""
    return Guard(Policy(guards=ALL_OFF), KEYS)


def asked(
    change_set: ChangeSet,
    kind: IntentKind,
    *cidrs: Prefix,
    sites: Sequence[str] | None = None,
    by: tuple[str, ...] = ("t1",),
    holds_for: timedelta = timedelta(hours=1),
) -> ChangeSet:
    """Return a change-set with the signed intent of its owner, or of two operators: the tokens ``by``."""
    now = datetime.now(UTC)
    intent = Intent(
        account_id=change_set.account_id,
        kind=kind,
        prefixes=ordered(cidrs),
        sites=None if sites is None else tuple(sorted(sites)),
        generation=None,
        issued_at=now - timedelta(hours=2),
        not_before=now - timedelta(hours=2),
        expires_at=now + holds_for,
        nonce=f"n{next(_nonces)}",
        authority="owner" if len(by) == 1 else "operators",
        asked_by=by,
    )
    return msgspec.structs.replace(change_set, intents=(*change_set.intents, sign(intent, KEY)))
