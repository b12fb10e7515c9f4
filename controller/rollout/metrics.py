"""``GET /metrics`` for Prometheus: what is wanted, what is seen, what was taken away, what is held.

No label names a prefix or an account. What nobody can tell is left out: a site that no observer sees has no
``herald_observed_prefixes``, and that is not zero.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from controller.addressing.auth import CallerDep
from controller.bgp import Prefix
from controller.guard.tables import OpeningRow
from controller.observe.evidence import Kind, Moment
from controller.rollout.driver import Driver
from controller.rollout.outlook import degraded_at, unserved_at
from controller.rollout.states import RolloutState
from controller.rollout.tables import RolloutRow
from controller.rollout.votes import wanted_at
from controller.safety.effects import effects
from controller.snapshots import store as snapshots
from controller.snapshots.model import Chunk, ChunkHash, SnapshotError
from controller.snapshots.tables import ChangeSetRow

OBSERVED_FOR_S = 30.0
"""Seconds for which one look at all sites serves."""
SCOPES = ("fleet", "class", "actor", "account")
SOURCES: tuple[Kind, ...] = ("rib", "wire")


class Look(Protocol):
    """Whoever looks around sites; see :class:`controller.observe.looking.Looker`. Blocking."""

    def look(self, sites: Sequence[str], touched: Sequence[Prefix], targets: Mapping[Prefix, str]) -> Moment:
        """Look around sites."""
        ...


class Metrics:
    """Gathers the numbers when they are asked for; called from worker threads."""

    def __init__(self, driver: Driver, looker: Look | None = None) -> None:
        self._driver = driver
        self._looker = looker
        self._lock = threading.Lock()
        self._announced: dict[ChunkHash, Counter[str]] = {}
        self._withdrawn: Counter[str] = Counter()
        with driver.store.read() as session:
            self._counted = _newest(session)  # the roll-out up to which withdrawals are counted
        self._seen: tuple[float, Moment] | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        with self._lock:
            return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics now (what a registry asks of its collectors)."""
        with self._driver.store.read() as session:
            yield self._operational(session)
            yield self._withdrawals(session)
            yield _breaker(session)
            yield _phases(session)
        yield self._generations()
        yield from self._unserved()
        if self._looker is not None:
            yield from self._observed(self._looker)

    def _operational(self, session: Session) -> Metric:
        found = GaugeMetricFamily(
            "herald_operational_prefixes", "BGP prefixes that are to be announced.", labels=["site"]
        )
        used: dict[ChunkHash, Counter[str]] = {}
        for site in sorted(self._driver.sites):
            hashes = [target.hash for target in dict(self._driver.targets(site)).values()]
            used |= {h: self._count(session, h) for h in hashes}
            found.add_metric([site], sum(used[h][site] for h in hashes))
        self._announced = used
        return found

    def _count(self, session: Session, hash_: ChunkHash) -> Counter[str]:
        if hash_ not in self._announced:
            chunk = _chunk(session, hash_)
            return Counter(
                site
                for site in self._driver.sites
                for bgp in (chunk.bgp_prefixes if chunk is not None else ())
                if wanted_at(bgp, site)
            )
        return self._announced[hash_]

    def _withdrawals(self, session: Session) -> Metric:
        """Count what roll-outs that began since this process did take away, by who wanted it and how."""
        newest = _newest(session)
        began = (
            select(RolloutRow, ChangeSetRow.actor)
            .join(ChangeSetRow, ChangeSetRow.id == RolloutRow.change_set_id)
            .where(RolloutRow.seq > self._counted)
            .order_by(RolloutRow.seq)
        )
        for row, actor in session.execute(began):
            before = None if row.from_hash is None else _chunk(session, ChunkHash(row.from_hash))
            after = _chunk(session, ChunkHash(row.to_hash))
            if after is not None:
                lost = [e for e in effects(before, after, sorted(self._driver.sites)) if e.verb == "withdraw"]
                self._withdrawn[actor.partition(":")[0]] += len(lost)
        self._counted = newest
        found = CounterMetricFamily(
            "herald_withdrawals",
            "Routes that roll-outs took off at sites since this process began, by the role of who caused it.",
            labels=["reason"],
        )
        for role in sorted({"customer", "operator", "task", *self._withdrawn}):
            found.add_metric([role], self._withdrawn[role])
        return found

    def _generations(self) -> Metric:
        found = GaugeMetricFamily(
            "herald_snapshot_generation", "The newest generation in a site's journal.", labels=["site"]
        )
        for site, follower in sorted(self._driver.sites.items()):
            if follower.view.status is not None:
                found.add_metric([site], follower.view.status.generation)
        return found

    def _unserved(self) -> Iterator[Metric]:
        degraded = GaugeMetricFamily(
            "herald_degraded_prefixes",
            "Prefixes that a site goes on announcing though too few of its machines serve them.",
            labels=["site"],
        )
        out = GaugeMetricFamily(
            "herald_unserved_prefixes",
            "Prefixes that a site has withdrawn because its machines report their bindings absent.",
            labels=["site"],
        )
        drained = GaugeMetricFamily(
            "herald_drained_prefixes",
            "Prefixes that a site is to announce and does not, or by a longer path, since it is drained.",
            labels=["site"],
        )
        for site, follower in sorted(self._driver.sites.items()):
            status = follower.view.status
            if follower.view.reachable and status is not None:
                drained.add_metric([site], len(status.drained))
                degraded.add_metric([site], len(degraded_at(status)))
                out.add_metric([site], len(unserved_at(status)))
        yield degraded
        yield out
        yield drained

    def _observed(self, looker: Look) -> Iterator[Metric]:
        now = time.monotonic()
        if self._seen is None or now - self._seen[0] > OBSERVED_FOR_S:
            self._seen = (now, looker.look(sorted(self._driver.sites), (), {}))
        moment = self._seen[1]
        prefixes = GaugeMetricFamily(
            "herald_observed_prefixes",
            "Prefixes that neighbours hold from a site, by how that is known.",
            labels=["site", "source"],
        )
        observers = GaugeMetricFamily(
            "herald_observers",
            "Sessions of neighbours with a site that can be told of.",
            labels=["site", "source"],
        )
        for site in sorted(self._driver.sites):
            for source in SOURCES:
                told = [s for s in moment.sights if (s.site, s.kind, s.state) == (site, source, "told")]
                observers.add_metric([site, source], len(told))
                if told:
                    prefixes.add_metric([site, source], len({p for s in told for p in s.holds}))
        yield prefixes
        yield observers


def build_metrics_router(metrics: Metrics) -> APIRouter:
    """Return the route over ``metrics``."""
    router = APIRouter(tags=["metrics"])

    @router.get("/metrics", response_class=Response)
    async def prometheus(caller: CallerDep) -> Response:
        """Numbers in Prometheus's text format (operators)."""
        caller.require_operator()
        return Response(await asyncio.to_thread(metrics.text), media_type=CONTENT_TYPE_LATEST)

    return router


def _newest(session: Session) -> int:
    return session.scalar(select(func.max(RolloutRow.seq))) or 0


def _chunk(session: Session, hash_: ChunkHash) -> Chunk | None:
    try:
        return snapshots.chunk(session, hash_)
    except SnapshotError:
        return None  # whatever needs it says so


def _breaker(session: Session) -> Metric:
    scopes = session.scalars(select(OpeningRow.scope).where(OpeningRow.closed_at.is_(None)))
    opened = Counter(scope.partition(":")[0] for scope in scopes)
    found = GaugeMetricFamily(
        "herald_breaker_state",
        "Scopes of each kind in which the breaker is open; 0: closed.",
        labels=["scope"],
    )
    for scope in SCOPES:
        found.add_metric([scope], opened[scope])
    return found


def _phases(session: Session) -> Metric:
    over = {RolloutState.DONE, RolloutState.FAILED, RolloutState.REVERTED, RolloutState.ABORTED}
    rows = session.execute(
        select(RolloutRow.state, func.count())
        .where(RolloutRow.state.not_in([s.value for s in over]))
        .group_by(RolloutRow.state)
    )
    counts = Counter({str(row[0]): int(row[1]) for row in rows})
    found = GaugeMetricFamily(
        "herald_rollout_phase", "Roll-outs that are in this phase now.", labels=["phase"]
    )
    for state in RolloutState:
        if state not in over:
            found.add_metric([state.value], counts[state.value])
    return found
