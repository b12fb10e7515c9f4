"""What the operational state wants of single prefixes: whose they are, where announced, where bound."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Collection, Iterable

import structlog
from sqlalchemy.orm import Session

from controller.bgp import Prefix, covers
from controller.rollout.tables import SiteTreeRow
from controller.rollout.votes import wanted_at
from controller.snapshots import store as snapshots
from controller.snapshots.model import Chunk, ChunkHash, SnapshotError
from controller.store import Store

log = structlog.get_logger()


class Intended:
    """An index over operational chunks, brought up to date by what differs. Called from worker threads.

    A prefix that has left its account is still known to have been that account's, so that its absence can
    be told from a loss.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
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

    def _refresh(self, session: Session) -> None:
        for account, hash_ in snapshots.head(session).items():
            if self._read.get(account) == hash_:
                continue
            try:
                chunk = snapshots.chunk(session, hash_)
            except SnapshotError as error:
                log.warning("a chunk cannot be read", account=account, reason=str(error))
                continue
            self._owner |= {b.cidr: account for b in chunk.bgp_prefixes}
            self._bound[account] = tuple(b.cidr for b in chunk.bindings)
            self._read[account] = hash_


def _at_site(session: Session, site: str, account: str) -> Chunk | None:
    row = session.get(SiteTreeRow, (site, account))
    if row is None:
        return None
    try:
        return snapshots.chunk(session, ChunkHash(row.hash))
    except SnapshotError:
        return None


def _first_address(cidr: Prefix) -> str:
    network = ipaddress.ip_network(cidr)
    return str(network[1] if network.num_addresses > 1 else network[0])
