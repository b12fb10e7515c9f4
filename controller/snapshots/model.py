"""Chunks, trees and change-sets: the immutable values of the operational state (pure).

A chunk is the canonical encoding of one account's objects, named by the SHA-256 of its bytes; a tree maps
account → chunk hash. Equal configuration gives equal bytes, whatever the order of the changes was.
"""

from __future__ import annotations

import hashlib
from typing import Literal, NewType

import msgspec

from controller.bgp import Prefix
from controller.errors import HeraldError

ChunkHash = NewType("ChunkHash", str)
"""SHA-256 of a chunk's canonical bytes, 64 hex digits."""


class SnapshotError(HeraldError):
    """Root of the errors of this package."""


class DamagedChunkError(SnapshotError):
    """The bytes do not decode, or do not have the hash under which they came."""


class PrefixObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An onboarded prefix. ``asn`` None: our own AS is the origin."""

    id: str
    cidr: Prefix
    asn: int | None


class BgpPrefixObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An advertisable part of a prefix. ``sites`` None: all; ``prepends`` 0 to 3."""

    id: str
    prefix_id: str
    cidr: Prefix
    asn: int | None
    advertised: bool = False
    sites: tuple[str, ...] | None = None
    prepends: int = 0


class BindingObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a prefix that a service serves."""

    id: str
    prefix_id: str
    cidr: Prefix
    service_id: str


class Chunk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One account's operational configuration; the tuples are ordered by id."""

    account_id: str
    prefixes: tuple[PrefixObject, ...] = ()
    bgp_prefixes: tuple[BgpPrefixObject, ...] = ()
    bindings: tuple[BindingObject, ...] = ()


ChunkObject = PrefixObject | BgpPrefixObject | BindingObject
ObjectKind = Literal["prefix", "bgp_prefix", "binding"]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Put one object (exactly one field set), or remove ``(kind, id)``."""

    prefix: PrefixObject | None = None
    bgp_prefix: BgpPrefixObject | None = None
    binding: BindingObject | None = None
    remove: tuple[ObjectKind, str] | None = None


class ChangeSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One actor's changes to one account, in order; ``at``: RFC 3339 UTC.

    ``intents`` carries the signed intents of subtractive changes (SAFETY 2). ``actor`` is ``ROLE:TOKEN``,
    ``lane`` the one that was asked for (``rollback``, ``emergency``, ``drain``, ``migration``); None: the one
    that fits. ``after``: the change-set that it waits for, since it removes what that one withdraws.
    """

    id: str
    account_id: str
    actor: str
    reason: str
    at: str
    changes: tuple[Change, ...]
    intents: tuple[str, ...] = ()
    lane: str | None = None
    after: str | None = None


def encode_chunk(chunk: Chunk) -> bytes:
    """Return the canonical bytes of ``chunk``."""
    ordered = msgspec.structs.replace(
        chunk,
        prefixes=tuple(sorted(chunk.prefixes, key=lambda o: o.id)),
        bgp_prefixes=tuple(sorted(chunk.bgp_prefixes, key=lambda o: o.id)),
        bindings=tuple(sorted(chunk.bindings, key=lambda o: o.id)),
    )
    return msgspec.json.encode(ordered)


def hash_chunk(data: bytes) -> ChunkHash:
    """Return the name of a chunk's bytes."""
    return ChunkHash(hashlib.sha256(data).hexdigest())


def decode_chunk(data: bytes, expected: ChunkHash) -> Chunk:
    """Return the chunk in ``data``; raises :class:`DamagedChunkError` unless its hash is ``expected``."""
    found = hash_chunk(data)
    if found != expected:
        raise DamagedChunkError(f"chunk {expected[:12]} has bytes with hash {found[:12]}: refused whole")
    try:
        return msgspec.json.decode(data, type=Chunk, strict=True)
    except msgspec.MsgspecError as error:
        raise DamagedChunkError(f"chunk {expected[:12]} does not decode: {error}: refused whole") from error
