"""The journal's records, their bytes, and the state that they add up to (pure).

A record is framed as ``magic (4) · length (4) · CRC-32 of length and payload (4) · payload``, big-endian,
the payload msgpack. A write that was cut short can only be the last one: it is cut off. Damage with a sound
record behind it is another matter (:class:`~controller.agent.errors.JournalDamagedError`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from controller.agent.errors import JournalDamagedError
from controller.snapshots.model import ChunkHash

MAGIC = b"HJ1\n"
HEADER = struct.Struct(">4sII")


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The journal's first record: whose it is, and which life of it (``epoch`` is drawn once)."""

    site: str
    epoch: str


class Applied(msgspec.Struct, frozen=True, tag="applied"):
    """A command that was accepted. ``chunk``: the bytes of ``to_hash``."""

    generation: int
    rollout_id: str
    account_id: str
    from_hash: ChunkHash | None
    to_hash: ChunkHash | None
    chunk: bytes | None


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """Compacted: a chunk that an account left, whose routes or bindings may still be out there."""

    account_id: str
    hash: ChunkHash
    chunk: bytes


class Settled(msgspec.Struct, frozen=True, tag="settled"):
    """The speaker announces nothing of the chunks that were left; their bindings are needed no more.

    ``generation``: the highest that was applied.
    """

    generation: int


Record = Opened | Applied | Kept | Settled


@dataclass(frozen=True, slots=True)
class Held:
    """An account's chunk at this site, and the command that put it there."""

    generation: int
    rollout_id: str
    from_hash: ChunkHash | None
    hash: ChunkHash | None
    chunk: bytes | None


@dataclass(slots=True)
class JournalState:
    """What the journal says. ``left``: chunks that accounts moved away from and that are not settled yet."""

    site: str = ""
    epoch: str = ""
    generation: int = 0
    accounts: dict[str, Held] = field(default_factory=dict)
    left: dict[ChunkHash, tuple[str, bytes]] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        """Add one record."""
        if isinstance(record, Opened):
            self.site, self.epoch = record.site, record.epoch
        elif isinstance(record, Applied):
            before = self.accounts.get(record.account_id)
            if before is not None and before.hash is not None and before.chunk is not None:
                self.left[before.hash] = (record.account_id, before.chunk)
            self.accounts[record.account_id] = Held(
                record.generation, record.rollout_id, record.from_hash, record.to_hash, record.chunk
            )
            self.generation = max(self.generation, record.generation)
        elif isinstance(record, Kept):
            self.left[record.hash] = (record.account_id, record.chunk)
        else:
            self.left.clear()
            self.generation = max(self.generation, record.generation)

    def copy(self) -> JournalState:
        """Return one that can be changed without changing this."""
        return JournalState(self.site, self.epoch, self.generation, dict(self.accounts), dict(self.left))

    def hash_of(self, account_id: str) -> ChunkHash | None:
        """Return the hash of what the account has here."""
        held = self.accounts.get(account_id)
        return held.hash if held is not None else None

    def chunk_bytes(self) -> dict[str, tuple[ChunkHash, bytes]]:
        """Return each account's chunk, accounts that have nothing left out."""
        return {
            account: (held.hash, held.chunk)
            for account, held in self.accounts.items()
            if held.hash is not None and held.chunk is not None
        }

    def records(self) -> list[Record]:
        """Return the shortest journal that adds up to this state."""
        found: list[Record] = [Opened(self.site, self.epoch), Settled(self.generation)]
        found += [
            Applied(held.generation, held.rollout_id, account, held.from_hash, held.hash, held.chunk)
            for account, held in sorted(self.accounts.items())
        ]
        found += [Kept(account, hash_, chunk) for hash_, (account, chunk) in sorted(self.left.items())]
        return found


def encode_record(record: Record) -> bytes:
    """Return a record's frame."""
    payload = msgspec.msgpack.encode(record)
    return HEADER.pack(MAGIC, len(payload), _crc(len(payload), payload)) + payload


def decode_journal(data: bytes) -> tuple[list[Record], int]:
    """Return the records in ``data`` and the offset at which a torn tail begins (its length: none).

    Raises :class:`JournalDamagedError` when a damaged record has a sound one behind it.
    """
    records: list[Record] = []
    at = 0
    while at < len(data):
        found = _record_at(data, at)
        if found is None:
            behind = data.find(MAGIC, at + 1)
            while behind != -1:
                if _record_at(data, behind) is not None:
                    message = f"the journal is damaged at byte {at}, with sound records behind: restore it"
                    raise JournalDamagedError(message)
                behind = data.find(MAGIC, behind + 1)
            return records, at
        record, at = found
        records.append(record)
    return records, at


def replay(records: Iterable[Record]) -> JournalState:
    """Return what the records add up to."""
    state = JournalState()
    for record in records:
        state.apply(record)
    return state


def _record_at(data: bytes, at: int) -> tuple[Record, int] | None:
    if len(data) - at < HEADER.size:
        return None
    magic, length, crc = HEADER.unpack_from(data, at)
    payload = data[at + HEADER.size : at + HEADER.size + length]
    if magic != MAGIC or len(payload) != length or _crc(length, payload) != crc:
        return None
    try:
        return msgspec.msgpack.decode(payload, type=Record), at + HEADER.size + length
    except msgspec.MsgspecError:
        return None


def _crc(length: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(length.to_bytes(4, "big")))
