"""Roll-outs, sites and their trees in the database. All functions work in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from controller.rollout.begin import change_set_state, decode_course, sides_of
from controller.rollout.course import Rollout, SiteProgress
from controller.rollout.delivery import Footprint, footprint
from controller.rollout.errors import StoreReplacedError
from controller.rollout.remembered import Remembered
from controller.rollout.states import OVER, RolloutState, SiteState
from controller.rollout.tables import (
    RolloutRow,
    RolloutSiteRow,
    SiteConflictRow,
    SiteJournalRow,
    SiteRow,
    SiteTreeRow,
)
from controller.rollout.tracked import Target, Tracked
from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.model import ChunkHash, DamagedChunkError
from controller.snapshots.tables import ChangeSetRow, ChunkRow, HeadRow
from controller.store.many import those
from controller.timeline.log import foresee, note
from controller.timeline.show import Entry

REASON_LENGTH = 2000

TOLD = frozenset(SiteState) - {SiteState.PENDING, SiteState.DELIVERED}
"""The states of a site that accounts are told of: the others last for a moment and say only that it moves."""


def aim(session: Session, rollout: Rollout, sites: Iterable[str]) -> ChunkHash:
    """Record that these sites are to have the roll-out's chunk from now on; return it.

    It is the row's, not the value's: a change may have been applied on both sides meanwhile.
    """
    to_hash = ChunkHash(session.scalars(select(RolloutRow.to_hash).where(RolloutRow.id == rollout.id)).one())
    for site in sites:
        session.merge(
            SiteTreeRow(site=site, account_id=rollout.account_id, hash=to_hash, rollout_id=rollout.id)
        )
    return to_hash


def aim_back(session: Session, rollout: Rollout, sites: Iterable[str]) -> ChunkHash | None:
    """Record that these sites are to have what was before, since they have put back by themselves."""
    row = session.scalars(select(RolloutRow).where(RolloutRow.id == rollout.id)).one()
    for site in sites:
        tree = session.get(SiteTreeRow, (site, rollout.account_id))
        if tree is None:
            continue
        if row.from_hash is None:
            session.delete(tree)
        else:
            tree.hash, tree.rollout_id = row.from_hash, rollout.id
    return None if row.from_hash is None else ChunkHash(row.from_hash)


def save(session: Session, rollouts: Iterable[Rollout], at: float) -> None:
    """Write down how far roll-outs are; the change-set's state goes with its roll-out's.

    ``at``: the time now, of the clock of their deadlines.
    """
    now = datetime.now(UTC)
    found = {rollout.id: rollout for rollout in rollouts}
    rows = {row.id: row for row in those(session, select(RolloutRow), RolloutRow.id, found)}
    site_rows = those(session, select(RolloutSiteRow), RolloutSiteRow.rollout_id, found)
    sites = {(row.rollout_id, row.site): row for row in site_rows}
    named = (rollout.change_set_id for rollout in found.values())
    change_sets = {row.id: row for row in those(session, select(ChangeSetRow), ChangeSetRow.id, named)}
    foresee(session, (rollout.account_id for rollout in found.values()))
    for rollout in found.values():
        row = rows.get(rollout.id)
        if row is None:
            continue
        row.state, row.reason, row.modified_at = rollout.state.value, rollout.reason[:REASON_LENGTH], now
        row.wave, row.course = rollout.wave, msgspec.json.encode(rollout.course).decode()
        row.left_s = None if rollout.deadline is None else max(0.0, rollout.deadline - at)
        for name, progress in rollout.sites.items():
            at_site = sites.get((rollout.id, name))
            if progress.state in TOLD and (at_site is None or at_site.state != progress.state.value):
                _tell(session, rollout, name, progress, now)
            if at_site is None:
                at_site = RolloutSiteRow(rollout_id=rollout.id, site=name)
                session.add(at_site)
            at_site.wave, at_site.state = progress.wave, progress.state.value
            at_site.reason = progress.reason[:REASON_LENGTH]
        change_set = change_sets.get(rollout.change_set_id)
        if change_set is not None:
            outbox.put(session, change_set, change_set_state(rollout), rollout.reason)


def _tell(session: Session, rollout: Rollout, site: str, progress: SiteProgress, now: datetime) -> None:
    """Put what became of a roll-out at one site into its account's timeline."""
    note(
        session,
        Entry(
            account_id=rollout.account_id,
            at=now,
            kind="operational",
            type=f"site.{progress.state.value}",
            object_kind="change_set",
            object_id=rollout.change_set_id,
            change_set_id=rollout.change_set_id,
            site=site,
            reason=progress.reason,
            detail={"rollout_id": rollout.id, "wave": progress.wave},
        ),
    )


def load_open(session: Session, at: float) -> list[Tracked]:
    """Return the roll-outs that are not over, oldest first, as they were when last recorded.

    ``at``: the time now; what was left of a bake is left of it still, whatever the clock on the wall did.
    """
    over = [state.value for state in OVER]
    rows = select(RolloutRow).where(RolloutRow.state.not_in(over)).order_by(RolloutRow.seq)
    return [_tracked(session, row, at) for row in session.scalars(rows)]


def _tracked(session: Session, row: RolloutRow, at: float) -> Tracked:
    sites = session.scalars(select(RolloutSiteRow).where(RolloutSiteRow.rollout_id == row.id))
    progress = {s.site: SiteProgress(SiteState(s.state), s.reason, s.wave) for s in sites}
    from_hash = None if row.from_hash is None else ChunkHash(row.from_hash)
    to_hash = ChunkHash(row.to_hash)
    rollout = Rollout(
        row.id,
        row.change_set_id,
        row.account_id,
        from_hash,
        to_hash,
        progress,
        state=RolloutState(row.state),
        wave=row.wave if row.gated else _wave_reached(session, row.id, progress),
        deadline=at + row.left_s if row.gated and row.left_s is not None else None,
        course=decode_course(row),
    )
    by = session.scalar(select(ChangeSetRow.actor).where(ChangeSetRow.id == row.change_set_id))
    return Tracked(row.seq, rollout, _footprint(session, from_hash, to_hash), at, by or "")


def _footprint(session: Session, from_hash: ChunkHash | None, to_hash: ChunkHash) -> Footprint:
    try:
        old = None if from_hash is None else snapshots.chunk(session, from_hash)
        return footprint(old, snapshots.chunk(session, to_hash))
    except DamagedChunkError:
        # The delivery will say so; until then only a site that is settled as a whole confirms it.
        return Footprint((), bindings=True)


def _wave_reached(session: Session, rollout_id: str, progress: dict[str, SiteProgress]) -> int:
    """The last wave with a site that was aimed at this roll-out, or moved by it."""
    aimed = set(session.scalars(select(SiteTreeRow.site).where(SiteTreeRow.rollout_id == rollout_id)))
    begun = [p.wave for name, p in progress.items() if name in aimed or p.state is not SiteState.PENDING]
    return max(begun, default=0)


def join_sites(session: Session, sites: Iterable[str]) -> None:
    """Make rows for sites that are new, and give each the operational tree as its own.

    A new site is brought to what the recorded roll-outs made of each account; the account's last roll-out
    is the one that answers for it.
    """
    fresh = [site for site in sites if session.get(SiteRow, site) is None]
    if not fresh:
        return
    session.add_all(SiteRow(name=site, generation=0) for site in fresh)
    session.flush()
    # A fleet has thousands of accounts: what is asked of each is asked of all at once.
    newest = select(func.max(RolloutRow.seq)).group_by(RolloutRow.account_id)
    last = {
        row.account_id: row.id
        for row in session.execute(
            select(RolloutRow.account_id, RolloutRow.id).where(RolloutRow.seq.in_(newest))
        )
    }
    over = [state.value for state in OVER]
    staged = set(
        session.scalars(
            select(RolloutRow.account_id).where(RolloutRow.state.not_in(over), RolloutRow.gated).distinct()
        )
    )
    heads = session.execute(select(HeadRow.account_id, HeadRow.hash)).all()
    for site in fresh:
        rows = []
        for account_id, head in heads:
            hash_ = _join_staged(session, site, account_id, head) if account_id in staged else head
            if account_id in last and hash_ is not None:
                rows.append(
                    {"site": site, "account_id": account_id, "hash": hash_, "rollout_id": last[account_id]}
                )
        if rows:
            session.execute(insert(SiteTreeRow), rows)


def _join_staged(session: Session, site: str, account_id: str, head: str) -> str | None:
    """Return what a new site is to have of an account: the head, or what a staged roll-out goes from.

    That takes the site along in its last wave: a new site is no canary, and sees nothing before the others.
    """
    staged = sides_of(session, account_id, ()).staged
    if staged is None:
        return head
    waves = select(func.max(RolloutSiteRow.wave)).where(RolloutSiteRow.rollout_id == staged.id)
    last = session.scalar(waves) or 0
    if staged.state != RolloutState.REVERTING.value:
        if last <= staged.wave:
            return head  # the others have it all but behind them
        session.add(RolloutSiteRow(rollout_id=staged.id, site=site, wave=last, state="pending", reason=""))
    return staged.from_hash


def targets(session: Session, site: str) -> dict[str, Target]:
    """Return what a site is to have, by account."""
    # Columns, not rows as objects: a fleet has accounts times sites of them.
    columns = select(SiteTreeRow.account_id, SiteTreeRow.hash, SiteTreeRow.rollout_id)
    rows = session.execute(columns.where(SiteTreeRow.site == site))
    return {account_id: Target(ChunkHash(hash_), rollout_id) for account_id, hash_, rollout_id in rows}


def known_chunks(session: Session) -> set[str]:
    """Return the names of all chunks that this controller ever made."""
    return set(session.scalars(select(ChunkRow.hash)))


def given_generations(session: Session) -> dict[str, int]:
    """Return the highest generation that this store has given each site."""
    return {row.name: row.generation for row in session.scalars(select(SiteRow))}


def conflicts(session: Session) -> list[SiteConflictRow]:
    """Return what sites hold by commands that this store never gave."""
    return list(
        session.scalars(select(SiteConflictRow).order_by(SiteConflictRow.site, SiteConflictRow.account_id))
    )


def remembered_journals(session: Session) -> dict[str, Remembered]:
    """Return what is remembered of each site's journal."""
    rows = session.scalars(select(SiteJournalRow))
    return {row.site: Remembered(row.epoch, row.generation) for row in rows}


def remember_journals(session: Session, journals: Mapping[str, Remembered]) -> None:
    """Keep what sites have told of their journals."""
    for site, journal in journals.items():
        session.merge(SiteJournalRow(site=site, epoch=journal.epoch, generation=journal.generation))


def record_foreign(
    session: Session, site: str, generation: int, foreign: Mapping[str, ChunkHash], now: datetime
) -> None:
    """Keep that a site has commands up to ``generation``, which this store never gave, and what they left."""
    row = session.get_one(SiteRow, site)
    row.generation = max(row.generation, generation)
    for account_id, hash_ in foreign.items():
        session.merge(
            SiteConflictRow(site=site, account_id=account_id, hash=hash_, generation=generation, since=now)
        )


def forget_conflict(session: Session, site: str, account_id: str, generation: int) -> None:
    """Remove a conflict that had ended at that generation of the site; a newer one stays."""
    row = session.get(SiteConflictRow, (site, account_id))
    if row is not None and row.generation <= generation:
        session.delete(row)


def reserve_generations(session: Session, site: str, floor: int, count: int, *, given: int = 0) -> range:
    """Return ``count`` generations of a site that nobody was given, all above ``floor``; kept at once.

    Reserve one only for a command whose target is kept already: that is what ``foreign_chunks`` stands on.
    Raises :class:`StoreReplacedError` when the store does not know of ``given``, which was reserved before.
    """
    row = session.get(SiteRow, site)
    if row is None:
        row = SiteRow(name=site, generation=0)
        session.add(row)
    if row.generation < given:
        raise StoreReplacedError(
            f"the store says that {site} was given {row.generation} commands, and it was given {given}: an "
            "older copy was restored under a running controller; nothing is sent until herald serve restarts"
        )
    first = max(row.generation, floor) + 1
    row.generation = first + count - 1
    session.flush()
    return range(first, first + count)
