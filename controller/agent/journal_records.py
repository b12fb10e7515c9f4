"""The journal's records, their bytes, and the state that they add up to (pure).

A record is framed as ``magic (4) · length (4) · CRC-32 of length and payload (4) · payload``, big-endian,
the payload msgpack. A write that was cut short can only be the last one: it is cut off. Damage with a sound
record behind it is another matter (:class:`~controller.agent.errors.JournalDamagedError`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from controller.agent.errors import JournalDamagedError
from controller.agent.override import Announced
from controller.agent.registry import Listed
from controller.agent.standing import SpentKey, Standing
from controller.bgp import Prefix
from controller.safety.budget import REMEMBERED_S, Budget, Spent
from controller.safety.drain import Strategy
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
    ``listed``: what the registry says of the account from now on; None: as before.
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
    confirm_within_s: float | None = None
    listed: Listed | None = None


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


class Unconfirmed(msgspec.Struct, frozen=True):
    """A command that is put back unless it is confirmed within ``within_s`` of the agent's own clock."""

    generation: int
    within_s: float
    from_hash: ChunkHash | None
    chunk: bytes | None


class Charge(msgspec.Struct, frozen=True):
    """What one budget paid for, and its clock at that time (:class:`controller.safety.budget.Budget`)."""

    passed_s: float
    boot_id: str
    monotonic_s: float
    prefixes: tuple[Prefix, ...]


class Released(msgspec.Struct, frozen=True, tag="released"):
    """What the guard let go: it stands no more. ``charges``: by the budget's name.

    ``unserved``: routes that are still asked for, and went for want of bindings.
    """

    routes: tuple[tuple[str, Prefix], ...]
    bindings: tuple[SiteBinding, ...]
    charges: dict[str, Charge]
    unserved: tuple[Prefix, ...] = ()


class Decided(msgspec.Struct, frozen=True, tag="decided"):
    """What came of an override or emergency that somebody brought, carried out or refused; for the record.

    ``at``: the wall clock, RFC 3339. ``text``: the SHA-256 of what was brought.
    """

    at: str
    what: str
    outcome: Literal["accepted", "refused"]
    who: str
    why: str
    text: str


class Overridden(msgspec.Struct, frozen=True, tag="overridden"):
    """Held effects (account, prefix, verb) that an override let go; ``nonce``: what the next must name."""

    effects: tuple[tuple[str, Prefix, str], ...]
    nonce: str


class Emerged(msgspec.Struct, frozen=True, tag="emerged"):
    """An emergency that was carried out. ``used``: its nonce; ``charges`` as in :class:`Released`."""

    used: str
    withdrawn: tuple[Prefix, ...]
    announced: tuple[Announced, ...]
    lifted: tuple[Prefix, ...]
    charges: dict[str, Charge]


class Confirmed(msgspec.Struct, frozen=True, tag="confirmed"):
    """The account's command of ``generation`` is final."""

    account_id: str
    generation: int


class PutBack(msgspec.Struct, frozen=True, tag="put_back"):
    """Nobody confirmed the account's command in time: it has what it had before; the rest as in Applied."""

    account_id: str
    generation: int
    stands: Standing
    listed: Listed | None = None


class Enrolled(msgspec.Struct, frozen=True, tag="enrolled"):
    """What the registry says of an account from now on, whatever it has here.

    ``revocations``: the number of the ledger up to which this site was told, with this and all before it.
    """

    account_id: str
    listed: Listed
    revocations: int = 0


class Drained(msgspec.Struct, frozen=True, tag="drained"):
    """A site is drained, until :class:`Undrained`. At the site itself ``goes`` are off, ``stays`` are not.

    ``kept``: of what was to go, what this agent did not let go: prefix, check, reason. ``elsewhere``: K of
    the drain; ``charges`` as in :class:`Released`. Of other sites it is only known that they are drained.
    """

    id: str
    site: str
    strategy: Strategy
    goes: tuple[Prefix, ...]
    stays: tuple[Prefix, ...]
    elsewhere: int
    kept: tuple[tuple[Prefix, str, str], ...]
    charges: dict[str, Charge]


class Undrained(msgspec.Struct, frozen=True, tag="undrained"):
    """The drain of this id is over. ``fence``: that of the controller which said so."""

    id: str
    fence: int = 0


class Adopting(msgspec.Struct, frozen=True, tag="adopting"):
    """Whatever the speaker has when it answers next stands, but for what the release revoked.

    This journal may have lost who asked for it, or that an emergency or a drain had been lifted.
    """

    revoked: tuple[Prefix, ...] = ()


class Adopted(msgspec.Struct, frozen=True, tag="adopted"):
    """All routes that stand though no account here asks for them: the speaker had them.

    Machines keep what they hold until none is left: what these routes stand on is not known. ``lifted``: what
    emergencies took off by this journal, and the speaker has.
    """

    routes: tuple[tuple[Prefix, tuple[int, ...]], ...]
    lifted: tuple[Prefix, ...] = ()


class Resumed(msgspec.Struct, frozen=True, tag="resumed"):
    """The journal was released from quarantine though another, or a newer state of it, had been here."""

    epoch: str
    generation: int


class Remembered(msgspec.Struct, frozen=True, tag="remembered"):
    """Compacted: budgets, used intents, and the routes that were let go and may still be out there."""

    budgets: dict[str, Budget]
    spent: dict[str, tuple[SpentKey, ...]]
    going: tuple[tuple[Prefix, tuple[SiteBinding, ...]], ...]
    fence: int
    serial: int = 0
    nonce: str = ""
    excepted: tuple[tuple[str, Prefix, str], ...] = ()
    used: tuple[str, ...] = ()
    withdrawn: tuple[Prefix, ...] = ()
    announced: tuple[Announced, ...] = ()
    unconfirmed: dict[str, Unconfirmed] = {}
    decided: tuple[Decided, ...] = ()
    drains: tuple[Drained, ...] = ()
    adopting: tuple[Prefix, ...] | None = None
    adopted: tuple[tuple[Prefix, tuple[int, ...]], ...] = ()
    revocations: int = 0
    resumed_from: tuple[str, int] | None = None


class Known(msgspec.Struct, frozen=True, tag="known"):
    """Since when a policy record is known, by the clock of time that has provably passed."""

    record: str
    clock: Budget


Record = (
    Opened
    | Applied
    | Kept
    | Settled
    | Released
    | Remembered
    | Known
    | Decided
    | Overridden
    | Emerged
    | Confirmed
    | PutBack
    | Enrolled
    | Drained
    | Undrained
    | Adopting
    | Adopted
    | Resumed
)

DECISIONS = 100
"""Overrides and emergencies, carried out or refused, that are kept through compactions."""


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
    nonce, for ever: whatever clocks say, an intent takes a thing away once. ``serial``: how many records
    there were; ``nonce``: what the next override must name; ``excepted``: effects that one let go; ``used``:
    nonces of emergencies, which took ``withdrawn`` and announce ``emerged``, and ids of drains;
    ``unconfirmed`` and ``listed`` (what the registry says): by account; ``drains``: by the site;
    ``adopting``: what was revoked, while :class:`Adopting` stands; ``adopted``: what came of it, by prefix;
    ``revocations``: up to which number of the ledger this site was told.
    ``resumed_from``: the journal that this one was last released in place of.
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
    serial: int = 0
    nonce: str = ""
    excepted: frozenset[tuple[str, Prefix, str]] = frozenset()
    used: frozenset[str] = frozenset()
    withdrawn: frozenset[Prefix] = frozenset()
    emerged: dict[Prefix, Announced] = field(default_factory=dict)
    unconfirmed: dict[str, Unconfirmed] = field(default_factory=dict)
    decided: tuple[Decided, ...] = ()
    listed: dict[str, Listed] = field(default_factory=dict)
    drains: dict[str, Drained] = field(default_factory=dict)
    adopting: tuple[Prefix, ...] | None = None
    adopted: dict[Prefix, tuple[int, ...]] = field(default_factory=dict)
    revocations: int = 0
    resumed_from: tuple[str, int] | None = None

    def apply(self, record: Record) -> None:
        """Add one record."""
        self.serial += 1
        if isinstance(record, Opened):
            self.site, self.epoch = record.site, record.epoch
        elif isinstance(record, Applied):
            self._apply(record)
        elif isinstance(record, Kept):
            self.left[record.hash] = (record.account_id, record.chunk)
        elif isinstance(record, Released):
            self._release(record)
        elif isinstance(record, Remembered):
            self._remember(record)
        elif isinstance(record, Resumed):
            self.resumed_from = (record.epoch, record.generation)
        elif isinstance(record, Settled):
            self.left.clear()
            self.going.clear()
            self.generation = max(self.generation, record.generation)
        else:
            self._note(record)

    def _note(
        self,
        record: Known
        | Decided
        | Overridden
        | Emerged
        | Confirmed
        | PutBack
        | Enrolled
        | Drained
        | Undrained
        | Adopting
        | Adopted,
    ) -> None:
        if isinstance(record, Known):
            self.known = record
        elif isinstance(record, Enrolled):
            self._list(record.account_id, record.listed)
            self.revocations = max(self.revocations, record.revocations)
        elif isinstance(record, Adopting):
            self.adopting = record.revoked
        elif isinstance(record, Adopted):
            self.adopting, self.adopted = None, dict(record.routes)
            self.withdrawn -= set(record.lifted)
        elif isinstance(record, Decided):
            self.decided = (*self.decided, record)[-DECISIONS:]
        elif isinstance(record, Overridden):
            self.excepted |= frozenset(record.effects)
            self.nonce = record.nonce
        elif isinstance(record, Emerged):
            self.used |= {record.used}
            self.withdrawn = (self.withdrawn | set(record.withdrawn)) - set(record.lifted)
            self.emerged = {
                prefix: one
                for prefix, one in {**self.emerged, **{a.prefix: a for a in record.announced}}.items()
                if prefix not in record.lifted
            }
            self._lift(frozenset(record.lifted))
            self._charge(record.charges)
        elif isinstance(record, Drained):
            self.used |= {record.id}
            self.drains[record.site] = record
            self._charge(record.charges)
        elif isinstance(record, Undrained):
            self.drains = {site: d for site, d in self.drains.items() if d.id != record.id}
            self.fence = max(self.fence, record.fence)
        elif isinstance(record, Confirmed):
            pending = self.unconfirmed.get(record.account_id)
            if pending is not None and pending.generation == record.generation:
                del self.unconfirmed[record.account_id]
        else:
            self._put_back(record)

    def _lift(self, prefixes: frozenset[Prefix]) -> None:
        """Let an emergency's lifting hold against the site's own drain: these stay on."""
        drain = self.drains.get(self.site)
        if drain is not None and not prefixes.isdisjoint(drain.goes):
            self.drains[self.site] = msgspec.structs.replace(
                drain,
                goes=tuple(p for p in drain.goes if p not in prefixes),
                stays=tuple(sorted({*drain.stays, *prefixes.intersection(drain.goes)})),
            )

    def _apply(self, record: Applied) -> None:
        before = self.accounts.get(record.account_id)
        self._leave(record.account_id, record.to_hash)
        self.accounts[record.account_id] = Held(
            record.generation, record.rollout_id, record.from_hash, record.to_hash, record.chunk
        )
        self.generation = max(self.generation, record.generation)
        self.fence = max(self.fence, record.fence)
        self._stand_anew(record.account_id, record.stands)
        self._list(record.account_id, record.listed)
        self._use(record.spent)
        self.unconfirmed.pop(record.account_id, None)
        if record.confirm_within_s is not None:
            was = (None, None) if before is None else (before.hash, before.chunk)
            self.unconfirmed[record.account_id] = Unconfirmed(
                record.generation, record.confirm_within_s, *was
            )

    def _leave(self, account_id: str, to_hash: ChunkHash | None) -> None:
        """Remember what the account has now among what it left."""
        before = self.accounts.get(account_id)
        if before is None or before.hash is None or before.chunk is None or before.hash == to_hash:
            return
        self.left[before.hash] = (account_id, before.chunk)

    def _stand_anew(self, account_id: str, stands: Standing) -> None:
        for route in self.standing.get(account_id, Standing()).routes:
            self._may_stand_on(route.prefix, route.needs)
        self._stand(account_id, stands)
        self.excepted = frozenset(e for e in self.excepted if e[0] != account_id)

    def _put_back(self, record: PutBack) -> None:
        pending = self.unconfirmed.pop(record.account_id, None)
        held = self.accounts.get(record.account_id)
        if pending is None or held is None or pending.generation != record.generation:
            return
        self._leave(record.account_id, pending.from_hash)
        self.accounts[record.account_id] = Held(
            held.generation, held.rollout_id, held.hash, pending.from_hash, pending.chunk
        )
        self._stand_anew(record.account_id, record.stands)
        self._list(record.account_id, record.listed)

    def _list(self, account_id: str, listed: Listed | None) -> None:
        if listed is not None:
            self.listed[account_id] = listed

    def _remember(self, record: Remembered) -> None:
        self.budgets, self.going = dict(record.budgets), dict(record.going)
        self.fence = max(self.fence, record.fence)
        self._use(record.spent)
        self.serial = record.serial  # the last of a compacted journal: those before it say nothing new
        self.nonce, self.excepted = record.nonce, frozenset(record.excepted)
        self.used, self.withdrawn = frozenset(record.used), frozenset(record.withdrawn)
        self.emerged = {a.prefix: a for a in record.announced}
        self.unconfirmed, self.decided = dict(record.unconfirmed), record.decided
        self.drains = {drain.site: drain for drain in record.drains}
        self.adopting, self.adopted = record.adopting, dict(record.adopted)
        self.revocations = record.revocations
        self.resumed_from = record.resumed_from

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
        for prefix in record.unserved:
            self._may_stand_on(prefix, ())
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
        self.excepted = frozenset(e for e in self.excepted if e[:2] not in gone)
        self._charge(record.charges)

    def _charge(self, charges: Mapping[str, Charge]) -> None:
        for name, charge in charges.items():
            before = self.budgets.get(name, Budget())
            kept = tuple(s for s in before.spent if s.at_s > charge.passed_s - REMEMBERED_S)
            new = tuple(Spent(charge.passed_s, prefix) for prefix in charge.prefixes)
            self.budgets[name] = Budget(charge.passed_s, charge.boot_id, charge.monotonic_s, kept + new)

    def copy(self) -> JournalState:
        """Return one that can be changed without changing this."""
        other = replace(self)
        for name in (
            "accounts",
            "left",
            "standing",
            "going",
            "spent",
            "budgets",
            "emerged",
            "unconfirmed",
            "listed",
            "drains",
        ):
            setattr(other, name, dict(getattr(self, name)))
        return other

    def barred_of(self, account_id: str) -> tuple[Prefix, ...]:
        """Return the prefixes that the account's chunk asks for and the registry bars."""
        listed = self.listed.get(account_id)
        return () if listed is None else listed.barred

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
        found += [Enrolled(account, listed) for account, listed in sorted(self.listed.items())]
        found += [Kept(account, hash_, chunk) for hash_, (account, chunk) in sorted(self.left.items())]
        found.append(
            Remembered(
                self.budgets,
                {nonce: tuple(sorted(keys)) for nonce, keys in sorted(self.spent.items())},
                tuple(sorted(self.going.items())),
                self.fence,
                self.serial,
                self.nonce,
                tuple(sorted(self.excepted)),
                tuple(sorted(self.used)),
                tuple(sorted(self.withdrawn)),
                tuple(one for _, one in sorted(self.emerged.items())),
                self.unconfirmed,
                self.decided,
                tuple(one for _, one in sorted(self.drains.items())),
                self.adopting,
                tuple(sorted(self.adopted.items())),
                self.revocations,
                self.resumed_from,
            )
        )
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


def sound_records(data: bytes) -> list[Record]:
    """Return the records that are sound in a journal which is damaged, in order."""
    records: list[Record] = []
    at = data.find(MAGIC)
    while at != -1:
        found = _record_at(data, at)
        if found is None:
            at = data.find(MAGIC, at + 1)
            continue
        record, after = found
        records.append(record)
        at = data.find(MAGIC, after)
    return records


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
