"""The registry: what an account may announce at all, signed apart from the snapshots (pure): SAFETY.md, 3.

An entry is one account's. It says which prefixes are registered, up to which length, with which origins, and
what of them was revoked since; it comes from ownership (approved prefixes, the revocation ledger) and never
from what is to be announced. So it costs what the account costs, however many others there are, and goes with
the account's own commands. Its serial only rises: an agent believes the newest that it has seen. A delegation
makes no entry: what a delegated account has announced is a BGP prefix of the owner's, in the owner's chunk.

An entry allows, and takes nothing away: what is announced already stays, and shows as a conflict.

Errors::

    RegistryError       this text is no entry of ours, or not of this account; the message says why
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from controller.bgp import Prefix, family_of, prefix_key, span
from controller.errors import HeraldError
from controller.safety.signed import SignedError, open_signed, sign_record
from controller.snapshots.overlaps import Overlaps

DOMAIN = "herald registry 1"

LONGEST = 1 << 26
"""Characters of an entry: those of some 800,000 prefixes of one account."""

OWNERSHIP_ALONE = frozenset({"transfer"})
"""Kinds of revocation that narrow nothing by themselves: whose the prefix is now says it all."""


class RegistryError(HeraldError):
    """The text is no entry that one of the given keys signed, or it is another account's."""


class Registered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``cidr`` and its parts, down to the length ``longest``, with one of ``origins`` (None: our own AS)."""

    cidr: Prefix
    longest: int
    origins: tuple[int | None, ...]


class Revoked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing that overlaps ``cidr`` is announced anew; ``why``: the ledger's entry."""

    cidr: Prefix
    why: str


class RegistryEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one account may announce. ``serial``: of two entries the one with the higher counts."""

    account_id: str
    serial: int
    registered: tuple[Registered, ...] = ()
    revoked: tuple[Revoked, ...] = ()


@dataclass(frozen=True, slots=True)
class Owned:
    """An approved prefix of an account; ``asn`` None: our own AS is its origin. ``since`` it was approved."""

    cidr: Prefix
    asn: int | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Loss:
    """An entry of the revocation ledger about an account."""

    seq: int
    kind: str
    cidr: Prefix
    at: datetime


def compose(account_id: str, owned: Iterable[Owned], lost: Iterable[Loss]) -> RegistryEntry:
    """Return what ``account_id`` may announce, with the serial 0.

    A revocation narrows what was approved before it; what an operator approves later is a new decision.
    """
    mine = sorted(owned, key=lambda o: prefix_key(o.cidr))
    ledger = Overlaps((loss.cidr, loss) for loss in lost)
    against = {
        (loss.seq, prefix_key(cidr)): Revoked(cidr, f"{loss.kind}, entry {loss.seq} of the ledger")
        for o in mine
        for loss in ledger.touching(o.cidr)
        if narrows(loss.kind, loss.at, o.since)
        for cidr in [max(o.cidr, loss.cidr, key=lambda c: span(c)[3])]
    }
    return RegistryEntry(
        account_id,
        0,
        tuple(Registered(o.cidr, family_of(o.cidr).longest, (o.asn,)) for o in mine),
        tuple(revoked for _, revoked in sorted(against.items(), key=lambda one: one[0])),
    )


def narrows(kind: str, at: datetime, approved_at: datetime | None) -> bool:
    """Tell whether a revocation holds against a prefix that was approved then (None: who knows when)."""
    return kind not in OWNERSHIP_ALONE and (approved_at is None or at >= approved_at)


def sign_entry(entry: RegistryEntry, private_key: bytes) -> str:
    """Return the text of ``entry``, signed with a raw Ed25519 key."""
    return sign_record(DOMAIN, msgspec.json.encode(entry), private_key)


def read_entry(text: str, account_id: str, public_keys: Iterable[bytes]) -> RegistryEntry:
    """Return the entry in ``text``; raises :class:`RegistryError` unless it is the account's, and signed."""
    try:
        body = open_signed(DOMAIN, text, public_keys, LONGEST)
        entry = msgspec.json.decode(body, type=RegistryEntry, strict=True)
    except (SignedError, msgspec.MsgspecError) as error:
        raise RegistryError(f"the registry's entry is refused: {error}") from error
    if entry.account_id != account_id:
        raise RegistryError(f"the registry's entry is refused: it is account {entry.account_id}'s")
    return entry


class Index:
    """An entry by its prefixes, since an account may have twenty thousand."""

    def __init__(self, entry: RegistryEntry) -> None:
        self._account_id = entry.account_id
        self._registered = Overlaps((r.cidr, r) for r in entry.registered)
        self._revoked = Overlaps((r.cidr, r) for r in entry.revoked)

    def against(self, cidr: Prefix, origin: int, own_as: int) -> str | None:
        """Return why ``cidr`` with ``origin`` may not be announced, or None; ``own_as``: our own AS."""
        length = int(cidr.rpartition("/")[2])
        if length == 0:
            return "a default route is never registered"
        around = self._registered.around(cidr)
        if not around:
            return f"nothing that is registered for account {self._account_id} covers it"
        fitting = [r for r in around if length <= r.longest]
        if not fitting:
            return f"it is longer than /{max(r.longest for r in around)}, which is registered at most"
        origins = {own_as if asn is None else asn for r in fitting for asn in r.origins}
        if origin not in origins:
            said = ", ".join(f"AS {asn}" for asn in sorted(origins)) or "none"
            return f"AS {origin} is not its registered origin ({said})"
        revoked = self._revoked.touching(cidr)
        return f"{revoked[0].cidr} was revoked ({revoked[0].why})" if revoked else None
