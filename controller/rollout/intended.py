"""What is wanted of single prefixes: whose they are, where announced, where bound, who asked for less."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.bgp import Prefix, covers
from controller.guard.tables import HoldRow
from controller.rollout.gatekeeper import GateQuestion
from controller.rollout.tables import RolloutRow, SiteTreeRow
from controller.rollout.votes import wanted_at
from controller.safety.effects import effects
from controller.safety.intents import Intent, IntentError, uncovered, verify_signature
from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.model import Chunk, ChunkHash, SnapshotError
from controller.snapshots.tables import ChangeSetRow
from controller.store import Store


class Intended:
    """An index over operational chunks, brought up to date by what differs. Called from worker threads.

    A prefix that has left its account is still known to have been that account's, so that its absence can
    be told from a loss. ``keys``: the public keys of intents.
    """

    def __init__(self, store: Store, keys: Sequence[bytes] = ()) -> None:
        self._store = store
        self._keys = keys
        self._lock = threading.Lock()
        self._read: dict[str, ChunkHash] = {}
        self._owner: dict[Prefix, str] = {}
        self._bound: dict[str, tuple[Prefix, ...]] = {}

    def addresses(self, prefixes: Iterable[Prefix]) -> dict[Prefix, str]:
        """Return an address to probe in each prefix of which something is bound."""
        with self._lock:
            with self._store.read() as session:
                self._refresh(session)
            found = {}
            for prefix in prefixes:
                for cidr in self._bound.get(self._owner.get(prefix, ""), ()):
                    inner = cidr if covers(prefix, cidr) else prefix if covers(cidr, prefix) else None
                    if inner is not None:
                        found[prefix] = _first_address(inner)
                        break
            return found

    def owned(self, account_id: str, prefixes: Iterable[Prefix]) -> frozenset[Prefix]:
        """Return those of ``prefixes`` that are, or were, the account's."""
        with self._lock:
            return frozenset(p for p in prefixes if self._owner.get(p) == account_id)

    def gone(self, site: str, prefixes: Collection[Prefix]) -> frozenset[Prefix]:
        """Return those of ``prefixes`` that the site is not to announce any more, by its own tree.

        Of a prefix that this store does not know nothing is said.
        """
        if not prefixes:
            return frozenset()
        with self._lock, self._store.read() as session:
            self._refresh(session)
            found: set[Prefix] = set()
            chunks: dict[str, Chunk | None] = {}
            for prefix in prefixes:
                account = self._owner.get(prefix)
                if account is None:
                    continue
                if account not in chunks:
                    chunks[account] = _at_site(session, site, account)
                chunk = chunks[account]
                if chunk is not None and not any(
                    b.cidr == prefix and wanted_at(b, site) for b in chunk.bgp_prefixes
                ):
                    found.add(prefix)
            return frozenset(found)

    def announced(self, prefixes: Iterable[Prefix]) -> dict[Prefix, str]:
        """Return those of ``prefixes`` that are to be announced somewhere, and whose each is."""
        with self._lock, self._store.read() as session:
            self._refresh(session)
            head = snapshots.head(session)
            found: dict[Prefix, str] = {}
            chunks: dict[str, Chunk | None] = {}
            for prefix in prefixes:
                account = self._owner.get(prefix, "")
                if account not in chunks:
                    chunks[account] = _chunk(session, head[account]) if account in head else None
                chunk = chunks[account]
                if chunk is not None and any(
                    b.cidr == prefix and b.advertised and b.sites != () for b in chunk.bgp_prefixes
                ):
                    found[prefix] = account
            return found

    def unasked(self, question: GateQuestion) -> tuple[Prefix, ...]:
        """Return the prefixes that the wave withdraws, and that neither an intent nor a person asked for.

        A person did who looked at the held change-set and decided to deploy it.
        """
        with self._store.read() as session:
            row = session.scalar(select(RolloutRow).where(RolloutRow.id == question.rollout_id))
            if row is None:
                return ()
            hold = session.get(HoldRow, row.change_set_id)
            if hold is not None and hold.decided == "deploy":
                return ()
            old = None if row.from_hash is None else _chunk(session, ChunkHash(row.from_hash))
            new = _chunk(session, ChunkHash(row.to_hash))
            asked = session.scalar(select(ChangeSetRow).where(ChangeSetRow.id == row.change_set_id))
            if old is None or new is None or asked is None:
                return ()
            texts = _intents_of(asked)
        known = [i for text in texts if (i := _verified(text, self._keys)) is not None]
        lost = [e for e in effects(old, new, question.changed) if e.verb == "withdraw"]
        return tuple(dict.fromkeys(e.cidr for e in uncovered(known, question.account_id, lost)))

    def _refresh(self, session: Session) -> None:
        for account, hash_ in snapshots.head(session).items():
            if self._read.get(account) == hash_:
                continue
            chunk = _chunk(session, hash_)
            if chunk is None:
                continue
            self._owner |= {b.cidr: account for b in chunk.bgp_prefixes}
            self._bound[account] = tuple(b.cidr for b in chunk.bindings)
            self._read[account] = hash_


def _at_site(session: Session, site: str, account: str) -> Chunk | None:
    row = session.get(SiteTreeRow, (site, account))
    return None if row is None else _chunk(session, ChunkHash(row.hash))


def _chunk(session: Session, hash_: ChunkHash) -> Chunk | None:
    try:
        return snapshots.chunk(session, hash_)
    except SnapshotError:
        return None  # whatever needs it says so


def _intents_of(row: ChangeSetRow) -> tuple[str, ...]:
    try:
        return outbox.decode(row).intents
    except SnapshotError:
        return ()  # what it asked for cannot be read, and so nothing is allowed by it


def _verified(text: str, keys: Iterable[bytes]) -> Intent | None:
    """Return an intent that was signed; when it was to hold was judged at its admission."""
    try:
        return verify_signature(text, keys)
    except IntentError:
        return None


def _first_address(cidr: Prefix) -> str:
    network = ipaddress.ip_network(cidr)
    return str(network[1] if network.num_addresses > 1 else network[0])
