"""Judges one change-set on its way into the operational state, and keeps what the verdict says (I6, I7).

In the transaction that admits it: compile, effects at each site, intents, verdict; then its assessment is
recorded, what it takes away is counted, scopes of the breaker open, and it passes or is held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast, get_args

import msgspec
from sqlalchemy.orm import Session

from controller.bgp import Prefix, covers
from controller.guard import drains, freezes, holds, scopes
from controller.guard.elsewhere import Sightings
from controller.guard.ledger import KeptLedger
from controller.guard.scopes import Moment
from controller.guard.tables import AssessmentRow
from controller.safety.assess import assess, entries, events
from controller.safety.breaker import Held, State
from controller.safety.candidate import Context, Numbers
from controller.safety.effects import Effect, effects, subtractive
from controller.safety.intents import Intent, IntentError, uncovered, verify
from controller.safety.policy import Policy
from controller.safety.verdict import Lane, Verdict
from controller.safety.windows import Ledger
from controller.snapshots import store as snapshots
from controller.snapshots.compile import Candidate, candidate
from controller.snapshots.model import ChangeSet, Chunk, ChunkHash
from controller.snapshots.objects import objects_of
from controller.snapshots.tables import ChangeSetRow

OWNER = "customer:"
"""How the actor of an owner's change-set begins (or of a delegate's, who may do no more than he is let)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """It is not carried out now, and that is written down: held, waiting behind a held one, or failed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """A change-set against the operational chunk, and the intents of it that hold; others say why not."""

    change_set: ChangeSet
    old_hash: ChunkHash | None
    old: Chunk | None
    candidate: Candidate
    effects: tuple[Effect, ...]
    intents: tuple[Intent, ...]
    void: tuple[str, ...]

    @property
    def owner(self) -> bool:
        """Whether it is an owner's, or a delegate's."""
        return self.change_set.actor.startswith(OWNER)

    @property
    def losses(self) -> tuple[Effect, ...]:
        """What it takes away."""
        return subtractive(self.effects)

    @property
    def unasked(self) -> tuple[Effect, ...]:
        """What it takes away that nobody asked for."""
        return uncovered(self.intents, self.change_set.account_id, self.losses)


@dataclass(frozen=True, slots=True)
class Judged:
    """It may be carried out; :meth:`Guard.passed` writes that down once it is."""

    compiled: Compiled
    context: Context
    verdict: Verdict
    first: bool = False
    """Whether it was never judged before."""

    @property
    def change_set(self) -> ChangeSet:
        """What is to be carried out: less what a later change-set has overtaken."""
        return self.compiled.change_set

    @property
    def lane(self) -> Lane:
        """Its lane; a change-set may ask for more care than it needs, and not for less.

        What is bound where nothing is announced yet reaches nobody: there is nothing for a gate to look at.
        """
        if self.change_set.lane == "staged":
            return "staged"
        lane = self.verdict.lane
        return "express" if lane == "staged" and self._reaches_nobody else lane

    @property
    def _reaches_nobody(self) -> bool:
        announced = self.context.announced
        return all(
            e.verb == "bind" and not any(covers(c, e.cidr) or covers(e.cidr, c) for c in announced)
            for e in self.compiled.effects
        )


class Guard:
    """The guards over one store. ``public_keys``: raw, of the intent service; ``clock`` gives aware times.

    Without keys no intent can be checked, so that whatever takes something away is held. ``sightings``: what
    was seen elsewhere of late, by whoever looks.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        public_keys: Sequence[bytes] = (),
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.policy = policy or Policy()
        self.sightings = Sightings()
        self._keys = tuple(public_keys)
        self._clock = clock
        self._ledger = KeptLedger(self.policy)

    def forget(self) -> None:
        """Forget what was counted in a transaction that was undone: it is read anew."""
        self._ledger.forget()

    def judge(
        self,
        session: Session,
        row: ChangeSetRow,
        change_set: ChangeSet,
        sites: Sequence[str],
        *,
        shrunk: str = "",
        first: bool = False,
    ) -> Judged | Kept:
        """Return what is to become of a queued change-set; whatever keeps it back is written down.

        ``shrunk``: why the store that it was compiled from is not to be believed, or empty.
        ``first``: it is known that this change-set was never judged before (:func:`holds.judged_before`).

        Raises :class:`~controller.snapshots.model.SnapshotError` when it does not fit.
        """
        left = change_set if first else holds.less_overtaken(session, row, change_set)
        if change_set.changes and not left.changes:
            why = "later change-sets of the account have overtaken all of it: nothing was done"
            holds.fail(session, row.id, why)
            return Kept(why)
        now = self._clock()
        found = compiled(session, left, sites, self._keys, now)
        # An owner's word, additive or asked for, passes what is held of the same object: that is overtaken.
        if not found.owner or found.unasked:
            ahead = holds.in_the_way(session, row, left)
            if ahead:
                return Kept(holds.wait_behind(session, row, ahead[-1]))
        everywhere = drains.without_drained(session, _announced(found.old, frozenset(sites)))
        context = self._context(session, found, now, first=first)
        context = replace(context, announced=everywhere, shrunk=shrunk)
        verdict = _with_remedies(assess(found.effects, context), found)
        judged = Judged(found, context, verdict, first)
        if verdict.decision == "hold":
            self._settle(session, judged)
            holds.hold(session, row, _held(found, now), verdict, now)
            return Kept(verdict.reason)
        return judged

    def passed(self, session: Session, judged: Judged) -> None:
        """Write down who, why, how far and on whose intents (I6), count it, and let go what waited for it."""
        self._settle(session, judged)
        holds.let_go(session, [judged.change_set.id])

    def _context(self, session: Session, found: Compiled, now: datetime, *, first: bool) -> Context:
        change_set = found.change_set
        released = None if first else holds.to_be_deployed(session, change_set.id)
        return Context(
            policy=self.policy,
            actor=change_set.actor,
            owner=found.owner,
            account_id=change_set.account_id,
            numbers=Numbers(*snapshots.announced(session, change_set.account_id)),
            ledger=self._ledger.at(session, now) if found.losses else Ledger(self.policy),
            now=now.timestamp(),
            intents=found.intents,
            lane=_lane(change_set),
            breaker=scopes.load(session) if found.losses else State(),
            freezes=freezes.values(session, now),
            touched=_touched(change_set, found.old),
            seen_elsewhere=self.sightings.fresh(now.timestamp()),
            released_by="" if released is None else released.decided_by or "somebody",
        )

    def _settle(self, session: Session, judged: Judged) -> None:
        """Record the assessment, count what it takes away, and open the breaker where the verdict says so."""
        found, context, verdict = judged.compiled, judged.context, judged.verdict
        now, id_ = freezes.moment(context.now), found.change_set.id
        self._record(session, judged, now)
        if found.losses:
            self._ledger.record(session, id_, entries(found.effects, context, verdict))
            self._ledger.prune(session, now)
        moment = Moment(session, self.policy, now, change_set_id=id_)
        state = context.breaker
        for event in events(found.effects, context, verdict, id_):
            state = scopes.happened(moment, state, event)

    def _record(self, session: Session, judged: Judged, now: datetime) -> None:
        change_set, verdict = judged.change_set, judged.verdict
        row = AssessmentRow(
            change_set_id=change_set.id,
            account_id=change_set.account_id,
            actor=change_set.actor[:100],
            reason=change_set.reason[:500],
            decision=verdict.decision,
            lane=verdict.lane,
            verdict=msgspec.json.encode(verdict),
            intents=[_shown(i) for i in judged.compiled.intents],
            at=now,
        )
        if judged.first:
            session.add(row)
        else:
            session.merge(row)


def compiled(
    session: Session,
    change_set: ChangeSet,
    sites: Sequence[str],
    public_keys: Sequence[bytes],
    now: datetime,
) -> Compiled:
    """Return a change-set against its account's operational chunk as it is now, with the intents that hold.

    Raises :class:`~controller.snapshots.model.SnapshotError` when it does not fit.
    """
    old_hash = snapshots.head_of(session, change_set.account_id)
    old = None if old_hash is None else snapshots.chunk(session, old_hash)
    tree = {} if old_hash is None else {change_set.account_id: old_hash}
    new = candidate(tree, old, change_set)
    good: list[Intent] = []
    void: list[str] = []
    for text in change_set.intents:
        try:
            good.append(verify(text, public_keys, now))
        except IntentError as error:
            void.append(str(error))
    done = effects(old, new.chunk, sites)
    return Compiled(change_set, old_hash, old, new, done, tuple(good), tuple(void))


def _held(found: Compiled, now: datetime) -> Held:
    return Held(
        change_set_id=found.change_set.id,
        account_id=found.change_set.account_id,
        actor=found.change_set.actor,
        verbs=tuple(sorted({e.verb for e in found.losses})),
        prefixes=len({e.cidr for e in found.losses}),
        at=now.timestamp(),
    )


def _with_remedies(verdict: Verdict, found: Compiled) -> Verdict:
    """Say how what nobody asked for can be asked for, and why intents that it carries do not count."""
    id_ = found.change_set.id
    how = (
        f" (the owner: herald holds deploy {id_}; two operators: herald intents add and confirm, then "
        f"herald holds deploy {id_} --intent ID)"
    )
    if found.void:
        how += f"; it carries an intent that does not count: {found.void[0]}"
    findings = tuple(
        msgspec.structs.replace(f, says=f.says + how) if f.check == "intents" else f for f in verdict.findings
    )
    return msgspec.structs.replace(verdict, findings=findings)


def _lane(change_set: ChangeSet) -> Lane | None:
    return cast(Lane, change_set.lane) if change_set.lane in get_args(Lane) else None


def _announced(old: Chunk | None, sites: frozenset[str]) -> dict[Prefix, frozenset[str]]:
    """Return where each of the account's prefixes is announced, of all ``sites``."""
    if old is None:
        return {}
    return {
        b.cidr: sites if b.sites is None else sites.intersection(b.sites)
        for b in old.bgp_prefixes
        if b.advertised
    }


def _touched(change_set: ChangeSet, old: Chunk | None) -> frozenset[Prefix]:
    """Return the prefixes of the objects that a change-set names."""
    before = objects_of(old)
    found: set[Prefix] = set()
    for change in change_set.changes:
        put = change.prefix or change.bgp_prefix or change.binding
        thing = put if put is not None else before.get(change.remove) if change.remove else None
        if thing is not None:
            found.add(thing.cidr)
    return frozenset(found)


def _shown(intent: Intent) -> dict[str, Any]:
    return {
        "kind": intent.kind,
        "authority": intent.authority,
        "asked_by": list(intent.asked_by),
        "prefixes": len(intent.prefixes),
        "expires_at": intent.expires_at.isoformat(),
        "nonce": intent.nonce,
    }
