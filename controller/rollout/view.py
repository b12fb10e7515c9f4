"""What the Addressing API shows beside what was asked: operational and observed state.

Implements :class:`controller.addressing.views.OperationalView`. Called from worker threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.views import (
    DRAINED,
    Observed,
    Operational,
    OperationalKind,
    Provisioning,
    SiteOperational,
)
from controller.bgp import AsPath, Prefix
from controller.errors import HeraldError
from controller.observe.rib import RibRow
from controller.rollout.reports import SiteReport, rfc3339
from controller.rollout.site import SiteView
from controller.rollout.states import FINISHED
from controller.rollout.tables import RolloutRow, RolloutSiteRow
from controller.snapshots import outbox, pins
from controller.snapshots import store as snapshots
from controller.snapshots.model import BgpPrefixObject, BindingObject, SnapshotError
from controller.snapshots.tables import ChangeSetRow
from controller.store import Store
from controller.timeline.sighting import Reading

LOOK_BACK = 200
"""Change-sets of an account that are searched for the newest about an object."""

OBSERVED_FOR_S = 1.0
"""Seconds for which one reading of all RIBs serves."""

PACE = 5.0
"""A reading serves so many times as long as it took: looking must not become what the process does most."""

PATIENCE_S = 0.5
"""Seconds that a caller waits for a new reading while there is one that serves."""

LAST_SERVES_S = 60.0
"""Seconds for which the last reading serves beyond that, while a new one is under way; it has its time."""

FINISHED_NAMES = frozenset(s.value for s in FINISHED)

Reader = Callable[[], tuple[Sequence[RibRow], int]]
"""Reads all RIBs: the rows, and how many routers were asked."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Cause:
    """The newest change-set about an object."""

    state: str
    reason: str
    at: str
    sites: Mapping[str, SiteReport]


@dataclass(frozen=True, slots=True)
class _Account:
    bgp: Mapping[str, BgpPrefixObject] = field(default_factory=dict)
    bindings: Mapping[str, BindingObject] = field(default_factory=dict)
    causes: Mapping[str, _Cause] = field(default_factory=dict)
    damaged: str = ""
    undone: Mapping[str, str] = field(default_factory=dict)
    """By object: why it is not as it was asked, where a rollback undid that and nobody has decided yet."""


@dataclass(frozen=True, slots=True)
class _Reading:
    until: float
    found: Reading
    reason: str = ""


class StoreView:
    """Operational state from the store, per account until something of it changes; observed from RIBs."""

    def __init__(
        self, store: Store, sites: Callable[[], Sequence[SiteView]], read_ribs: Reader | None
    ) -> None:
        self._store = store
        self._sites = sites
        self._read_ribs = read_ribs
        self._accounts: dict[str, _Account] = {}
        self._version = 0
        self._reading: _Reading | None = None
        self._lock = threading.Lock()
        self._reader_lock = threading.Lock()
        self._refresh: Future[_Reading] | None = None
        self._reading_thread = ThreadPoolExecutor(1, thread_name_prefix="observe")

    def forget(self, account_id: str) -> None:
        """Read this account anew next time: something of it was written."""
        with self._lock:
            self._version += 1
            self._accounts.pop(account_id, None)

    def forget_all(self) -> None:
        """Read every account anew next time."""
        with self._lock:
            self._version += 1
            self._accounts.clear()

    def operational(self, account_id: str, bgp_prefix_id: str) -> Operational:
        """Return what is to be of one BGP prefix, and how far each site is."""
        account = self._account(account_id)
        bgp, cause = account.bgp.get(bgp_prefix_id), account.causes.get(bgp_prefix_id)
        if account.damaged:
            return Operational("unknown", reason=account.damaged)
        if bgp is None and cause is None:
            return Operational("unknown", reason="no change-set about it was found")
        base: OperationalKind = "announced" if bgp is not None and bgp.advertised else "withdrawn"
        since = None if cause is None else cause.at
        state, reason = _state(base, cause)
        reason = reason or account.undone.get(bgp_prefix_id, "")
        sites = {} if bgp is None else {v.site: _at_site(bgp, v, cause) for v in self._sites()}
        return Operational(state, since, reason, sites)

    def observed(self, prefix: Prefix) -> Observed:
        """Return how many routers of others hold ``prefix``."""
        if self._read_ribs is None:
            return Observed("unknown", reason="no inventory: this controller can look at no router")
        reading = self._observe(self._read_ribs)
        found = reading.found
        if reading.reason:
            return Observed("unknown", at=found.at, reason=reading.reason)
        seen = len(found.seen.get(prefix, {}))
        return Observed("visible" if seen else "absent", seen, found.routers, found.at)

    def reading(self) -> Reading | None:
        """Return what all routers hold, not older than ``OBSERVED_FOR_S``; None when it cannot be read."""
        if self._read_ribs is None:
            return None
        reading = self._observe(self._read_ribs)
        return None if reading.reason else reading.found

    def provisioning(self, account_id: str, binding_id: str) -> Provisioning:
        """Return ``active`` once a majority of the sites hold the binding."""
        account = self._account(account_id)
        if binding_id not in account.bindings:
            return "provisioning"
        cause = account.causes.get(binding_id)
        if cause is None or cause.state == "done":
            return "active"
        there = sum(s.state in FINISHED_NAMES for s in cause.sites.values())
        return "active" if there * 2 > len(cause.sites) else "provisioning"

    def _account(self, account_id: str) -> _Account:
        with self._lock:
            found, version = self._accounts.get(account_id), self._version
        if found is None:
            found = self._read(account_id)
            with self._lock:
                if self._version == version:
                    self._accounts[account_id] = found
        return found

    def _read(self, account_id: str) -> _Account:
        with self._store.read() as session:
            newest = (
                select(ChangeSetRow)
                .where(ChangeSetRow.account_id == account_id)
                .order_by(ChangeSetRow.seq.desc())
                .limit(LOOK_BACK)
            )
            rows = list(session.scalars(newest))
            under_way = [row.id for row in rows if row.state in ("rolling", "failed")]
            at_sites = select(RolloutSiteRow, RolloutRow.change_set_id).join(
                RolloutRow, RolloutRow.id == RolloutSiteRow.rollout_id
            )
            sites: dict[str, dict[str, SiteReport]] = {}
            for site, change_set_id in session.execute(
                at_sites.where(RolloutRow.change_set_id.in_(under_way))
            ):
                sites.setdefault(change_set_id, {})[site.site] = SiteReport(site.state, site.reason)
            causes: dict[str, _Cause] = {}
            for row in rows:
                cause = _Cause(row.state, row.reason, rfc3339(row.modified_at), sites.get(row.id, {}))
                for object_id in _objects(row):
                    causes.setdefault(object_id, cause)
            undone = _undone(session, account_id)
            head = snapshots.head_of(session, account_id)
            if head is None:
                return _Account(causes=causes)
            try:
                chunk = snapshots.chunk(session, head)
            except SnapshotError as error:
                return _Account(causes=causes, damaged=str(error))
        return _Account(
            {b.id: b for b in chunk.bgp_prefixes}, {b.id: b for b in chunk.bindings}, causes, undone=undone
        )

    def _observe(self, read_ribs: Reader) -> _Reading:
        """Return a reading: a new one if it comes soon, else the last, as long as that is not too old.

        A network of many routes takes seconds to read, which no caller of the API is to wait for each time.
        """
        with self._reader_lock:
            last, now = self._reading, time.monotonic()
            if last is not None and now < last.until:
                return last
            if self._refresh is None or self._refresh.done():
                self._refresh = self._reading_thread.submit(self._read_all, read_ribs)
            refresh = self._refresh
        serves = last is not None and now < last.until + LAST_SERVES_S
        try:
            return refresh.result(PATIENCE_S if serves else None)
        except TimeoutError:
            assert last is not None
            return last

    def _read_all(self, read_ribs: Reader) -> _Reading:
        seen: dict[Prefix, dict[str, AsPath]] = {}
        routers, reason = 0, ""
        at, began = rfc3339(datetime.now(UTC)), time.monotonic()
        try:
            rows, routers = read_ribs()
        except HeraldError as error:
            log.warning("routers cannot be observed", reason=str(error))
            rows, reason = [], str(error)
        for row in rows:
            if row.best:
                seen.setdefault(row.prefix, {})[row.node] = row.as_path
        ended = time.monotonic()
        serves = max(OBSERVED_FOR_S, PACE * (ended - began))
        found = _Reading(ended + serves, Reading(at, routers, seen), reason)
        with self._reader_lock:
            self._reading = found
        return found


def _undone(session: Session, account_id: str) -> dict[str, str]:
    """Return the objects of the change-sets that the account's pin leaves to decide, each with why."""
    pin = pins.pin_of(session, account_id)
    if pin is None:
        return {}
    rows = select(ChangeSetRow).where(ChangeSetRow.id.in_(pins.open_decisions(session, pin)))
    why = pins.why_pinned(session, pin)
    return {object_id: why for row in session.scalars(rows) for object_id in _objects(row)}


def _objects(row: ChangeSetRow) -> set[str]:
    """Return the ids of the objects that a change-set puts or removes."""
    try:
        change_set = outbox.decode(row)
    except SnapshotError:
        return set()
    found: set[str] = set()
    for change in change_set.changes:
        put = change.prefix or change.bgp_prefix or change.binding
        if put is not None:
            found.add(put.id)
        elif change.remove is not None:
            found.add(change.remove[1])
    return found


def _state(base: OperationalKind, cause: _Cause | None) -> tuple[OperationalKind, str]:
    if cause is None or cause.state == "done":
        return base, ""
    if cause.state == "queued":
        return "rolling", "queued"
    if cause.state == "rolling":
        return "rolling", cause.reason
    return ("held" if cause.state == "held" else "failed"), cause.reason


def _at_site(bgp: BgpPrefixObject, view: SiteView, cause: _Cause | None) -> SiteOperational:
    """Tell what the site's speaker was given, and why it is not (yet) what it is to be given."""
    wanted = bgp.advertised and (bgp.sites is None or view.site in bgp.sites)
    if view.status is None:
        return SiteOperational("unknown", view.reason)
    sent = bgp.cidr in view.status.sent
    away = "" if view.reachable else f"as of its last report at {view.heard_at}; {view.reason}"
    why = "; ".join(w.reason for w in view.status.waiting if w.prefix == bgp.cidr)
    if wanted and bgp.cidr in view.status.drained:
        return SiteOperational("announced" if sent else "withdrawn", DRAINED)
    if wanted == sent:
        return SiteOperational("announced" if sent else "withdrawn", away or why)
    report = None if cause is None else cause.sites.get(view.site)
    told = "" if report is None else report.reason
    failed = report is not None and report.state in ("conflict", "refused")
    return SiteOperational("failed" if failed else "rolling", away or why or told)
