"""The journal's records, their bytes, and the state that they add up to (pure).

A record is framed as ``magic (4) · length (4) · CRC-32 of length and payload (4) · payload``, big-endian,
the payload msgpack. A write that was cut short can only be the last one: it is cut off. Damage with a sound
record behind it is another matter (:class:`~controller.agent.errors.JournalDamagedError`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from controller.agent.errors import JournalDamagedError
from controller.agent.standing import SpentKey, Standing
from controller.bgp import Prefix
from controller.safety.budget import REMEMBERED_S, Budget, Spent
from controller.snapshots.model import ChunkHash
from controller.snapshots.projection import SiteBinding

MAGIC = b"HJ1\n"
HEADER = struct.Struct(">4sII")


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The journal's first record: whose it is, and which life of it (``epoch`` is drawn once)."""

    site: str
    epoch: str


class Applied(msgspec.Struct, frozen=True, tag="applied"):
    """A command that was accepted. ``chunk``: the bytes of ``to_hash``.

    ``stands``: all that stands of the account from now on (:mod:`controller.agent.standing`); ``spent``: what
    of which intents, by nonce, was used for it. ``fence``: that of the controller which gave the command.
    """

    generation: int
    rollout_id: str
    account_id: str
    from_hash: ChunkHash | None
    to_hash: ChunkHash | None
    chunk: bytes | None
    stands: Standing = Standing()
    spent: dict[str, tuple[SpentKey, ...]] = {}
    fence: int = 0


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


class Charge(msgspec.Struct, frozen=True):
    """What one budget paid for, and its clock at that time (:class:`controller.safety.budget.Budget`)."""

    passed_s: float
    boot_id: str
    monotonic_s: float
    prefixes: tuple[Prefix, ...]


class Released(msgspec.Struct, frozen=True, tag="released"):
    """What the guard let go: it stands no more. ``charges``: by the budget's name."""

    routes: tuple[tuple[str, Prefix], ...]
    bindings: tuple[SiteBinding, ...]
    charges: dict[str, Charge]


class Remembered(msgspec.Struct, frozen=True, tag="remembered"):
    """Compacted: budgets, used intents, and the routes that were let go and may still be out there."""

    budgets: dict[str, Budget]
    spent: dict[str, tuple[SpentKey, ...]]
    going: tuple[tuple[Prefix, tuple[SiteBinding, ...]], ...]
    fence: int


class Known(msgspec.Struct, frozen=True, tag="known"):
    """Since when a policy record is known, by the clock of time that has provably passed."""

    record: str
    clock: Budget


Record = Opened | Applied | Kept | Settled | Released | Remembered | Known


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
    """What the journal says. ``left``: chunks that accounts moved away from and that are not settled yet.

    ``standing``: by account; ``going``: routes that were let go since the last release, with the bindings
    that they stand on; ``known``: the newest policy record. ``spent``: what of each intent was used, by
    nonce, for ever: whatever clocks say, an intent takes a thing away once.
    """

    site: str = ""
    epoch: str = ""
    generation: int = 0
    accounts: dict[str, Held] = field(default_factory=dict)
    left: dict[ChunkHash, tuple[str, bytes]] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    going: dict[Prefix, tuple[SiteBinding, ...]] = field(default_factory=dict)
    spent: dict[str, set[SpentKey]] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    fence: int = 0
    known: Known | None = None

    def apply(self, record: Record) -> None:
        """Add one record."""
        if isinstance(record, Opened):
            self.site, self.epoch = record.site, record.epoch
        elif isinstance(record, Applied):
            before = self.accounts.get(record.account_id)
            if before is not None and before.hash not in (None, record.to_hash) and before.chunk is not None:
                assert before.hash is not None
                self.left[before.hash] = (record.account_id, before.chunk)
            self.accounts[record.account_id] = Held(
                record.generation, record.rollout_id, record.from_hash, record.to_hash, record.chunk
            )
            self.generation = max(self.generation, record.generation)
            self.fence = max(self.fence, record.fence)
            for route in self.standing.get(record.account_id, Standing()).routes:
                self._may_stand_on(route.prefix, route.needs)
            self._stand(record.account_id, record.stands)
            self._use(record.spent)
        elif isinstance(record, Kept):
            self.left[record.hash] = (record.account_id, record.chunk)
        elif isinstance(record, Released):
            self._release(record)
        elif isinstance(record, Remembered):
            self.budgets, self.going = dict(record.budgets), dict(record.going)
            self.fence = max(self.fence, record.fence)
            self._use(record.spent)
        elif isinstance(record, Known):
            self.known = record
        else:
            self.left.clear()
            self.going.clear()
            self.generation = max(self.generation, record.generation)

    def _stand(self, account_id: str, stands: Standing) -> None:
        if stands:
            self.standing[account_id] = stands
        else:
            self.standing.pop(account_id, None)

    def _use(self, spent: Mapping[str, Iterable[SpentKey]]) -> None:
        for nonce, keys in spent.items():
            self.spent[nonce] = self.spent.get(nonce, set()) | set(keys)

    def _may_stand_on(self, prefix: Prefix, bindings: tuple[SiteBinding, ...]) -> None:
        self.going[prefix] = tuple(sorted({*self.going.get(prefix, ()), *bindings}))

    def _release(self, record: Released) -> None:
        gone, unbound = set(record.routes), set(record.bindings)
        for account_id in {a for a, _ in gone} | {b.account_id for b in unbound}:
            stands = self.standing.get(account_id, Standing())
            for route in stands.routes:
                if (account_id, route.prefix) in gone:
                    self._may_stand_on(route.prefix, route.needs)
            for bound in stands.bindings:
                if bound.binding in unbound:
                    for prefix in bound.under:
                        self._may_stand_on(prefix, (bound.binding,))
            self._stand(
                account_id,
                Standing(
                    tuple(r for r in stands.routes if (account_id, r.prefix) not in gone),
                    tuple(b for b in stands.bindings if b.binding not in unbound),
                ),
            )
        for name, charge in record.charges.items():
            before = self.budgets.get(name, Budget())
            kept = tuple(s for s in before.spent if s.at_s > charge.passed_s - REMEMBERED_S)
            new = tuple(Spent(charge.passed_s, prefix) for prefix in charge.prefixes)
            self.budgets[name] = Budget(charge.passed_s, charge.boot_id, charge.monotonic_s, kept + new)

    def copy(self) -> JournalState:
        """Return one that can be changed without changing this."""
        return JournalState(
            self.site,
            self.epoch,
            self.generation,
            dict(self.accounts),
            dict(self.left),
            dict(self.standing),
            dict(self.going),
            dict(self.spent),
            dict(self.budgets),
            self.fence,
            self.known,
        )

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
        spent = {nonce: tuple(sorted(keys)) for nonce, keys in sorted(self.spent.items())}
        found.append(Remembered(self.budgets, spent, tuple(sorted(self.going.items())), self.fence))
        if self.known is not None:
            found.append(self.known)
        found += [
            Applied(
                held.generation,
                held.rollout_id,
                account,
                held.from_hash,
                held.hash,
                held.chunk,
                self.standing.get(account, Standing()),
            )
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
