"""A history's controller: the product's decisions over a store that survives and memory that does not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from msgspec import structs

from controller.bgp import Prefix
from controller.rollout.course import Course, Rollout
from controller.rollout.delivery import Footprint, Move, Unknown, footprint, foreign_chunks, judge, next_move
from controller.rollout.events import (
    Aborted,
    BaselineLooked,
    BreakerClosed,
    BreakerOpened,
    Conclude,
    DeadlinePassed,
    Deliver,
    Event,
    GateAnswered,
    GateOutcome,
    Paused,
    Resumed,
    Revert,
    RevertEnded,
    SiteHeard,
    Started,
)
from controller.rollout.machine import plan, step
from controller.rollout.records import Target
from controller.rollout.reverts import halves
from controller.rollout.states import RolloutState, SiteEvent
from controller.rollout.waves import bake_s, is_gated, plan_waves
from controller.safety import assess, breaker
from controller.safety.candidate import Context, Numbers
from controller.safety.effects import Effect, effects, subtractive
from controller.safety.intents import Intent, IntentError, verify_signature
from controller.safety.policy import Policy
from controller.safety.verdict import Verdict
from controller.safety.windows import Ledger
from controller.snapshots.compile import Candidate, candidate
from controller.snapshots.model import ChangeSet, Chunk, ChunkHash, SnapshotError, decode_chunk
from controller.snapshots.rollback import changes_of
from controller.transport.messages import Command, Receipt, SiteStatus
from tests.simulation.actors import EPOCH, OWNER, PUBLIC_KEYS
from tests.simulation.records import Admitted, Fact, Handed, HeldBack, Looked
from tests.simulation.store import SnapshotRow, Store
from tests.simulation.universe import SITES

WAY_BACK = frozenset({RolloutState.REVERTING})
ENDED = frozenset({"done", "failed", "held", "dropped", "reverted", "aborted"})
_CHUNKS: dict[ChunkHash, Chunk] = {}
_FOOTPRINTS: dict[tuple[ChunkHash | None, ChunkHash], Footprint] = {}


@functools.lru_cache(maxsize=50_000)
def read_intent(text: str) -> Intent | None:
    """Return the intent in ``text``, if one of our keys signed it."""
    try:
        return verify_signature(text, PUBLIC_KEYS)
    except IntentError:
        return None


def announced_at(chunk: Chunk | None) -> dict[Prefix, tuple[str, ...]]:
    """Return where each prefix of an account is to be announced."""
    found = () if chunk is None else chunk.bgp_prefixes
    return {b.cidr: b.sites or SITES for b in found if b.advertised}


@dataclass(slots=True)
class View:
    """What the controller has learnt of one site since it started."""

    status: SiteStatus | None = None
    reachable: bool | None = None
    held: dict[str, ChunkHash] = field(default_factory=dict)
    given: int = 0
    refused: dict[str, ChunkHash] = field(default_factory=dict)


class Controller:
    """One life of the controller, from :meth:`start` to the next."""

    def __init__(
        self, store: Store, note: Callable[[Fact], None], clock: Callable[[], float], policy: Policy
    ) -> None:
        self.store = store
        self._policy = policy
        self._note = note
        self._clock = clock
        self.start()

    def start(self) -> None:
        """Forget everything but the store."""
        self.views = {site: View() for site in SITES}
        self.open = {i: r for i, r in self.store.rollouts.items() if not r.quiet}
        self.ledger = Ledger(self._policy, self.store.ledger, self.store.closed)
        self.at_start = {site: {a: t.hash for a, t in self.store.targets[site].items()} for site in SITES}

    # -- admission ----------------------------------------------------------------------------------

    def chunk(self, hash_: ChunkHash) -> Chunk:
        found = _CHUNKS.get(hash_)
        if found is None:
            found = _CHUNKS[hash_] = decode_chunk(self.store.chunks[hash_], hash_)
        return found

    def admit(self) -> bool:
        """Take the oldest change-set that may go, in one transaction; tells whether there was one."""
        if any(v.reachable is None for v in self.views.values()):
            return False  # a conflict is to show before anything is compiled
        behind = {r.account_id for r in self.open.values() if r.under_way or r.state in WAY_BACK}
        for waiting in self.store.queued():
            change_set = self.store.change_sets[waiting].change_set
            if change_set.account_id not in behind or self._takes_back(waiting):
                self._admit(waiting, change_set)
                return True
        return False

    def _takes_back(self, change_set_id: str) -> bool:
        return any(change_set_id in r.course.reverted_by for r in self.open.values())

    def _admit(self, waiting: str, change_set: ChangeSet) -> None:
        account = change_set.account_id
        old = self.chunk(self.store.head[account])
        try:
            found = candidate(self.store.head, old, change_set)
        except SnapshotError as error:
            self._move(waiting, "failed", str(error))
            return
        foreseen = effects(old, found.chunk, SITES)
        verdict = self._assessed(waiting, change_set, old, foreseen)
        if verdict.decision == "hold":
            self._note(HeldBack(waiting, change_set.actor, account, foreseen, verdict.reason))
            self._move(waiting, "held", verdict.reason)
            return
        self._begin(change_set, found, foreseen, verdict.lane)

    def _assessed(
        self, waiting: str, change_set: ChangeSet, old: Chunk, foreseen: tuple[Effect, ...]
    ) -> Verdict:
        """Judge a candidate; the ledger and the breaker learn of it in the same transaction."""
        account, now = change_set.account_id, self._clock()
        counts = {
            a: sum(b.advertised for b in self.chunk(h).bgp_prefixes) for a, h in self.store.head.items()
        }
        context = Context(
            self._policy, change_set.actor, change_set.actor == OWNER.format(account), account,
            Numbers(counts[account], sum(counts.values()), len(counts)), self.ledger, now,
            intents=tuple(self._verified(change_set)), lane=change_set.lane,  # type: ignore[arg-type]
            breaker=self.store.breaker, announced=announced_at(old),
            released_by=self.store.change_sets[waiting].released_by,
        )  # fmt: skip
        verdict = assess.assess(foreseen, context)
        entries = assess.entries(foreseen, context, verdict)
        self.ledger.record(entries)
        self.store.ledger += entries
        for event in assess.events(foreseen, context, verdict, waiting):
            self.breaker(event)
        return verdict

    def _verified(self, change_set: ChangeSet) -> Iterator[Intent]:
        """Return the intents that hold; none is trusted for having been put into the store."""
        now = EPOCH + timedelta(seconds=self._clock())
        for text in change_set.intents:
            intent = read_intent(text)
            if intent is not None and intent.not_before <= now < intent.expires_at:
                yield intent

    def breaker(self, event: breaker.Event) -> None:
        """Take the breaker one step on, and do what it says."""
        self.store.breaker, commands = breaker.step(self.store.breaker, event, self._clock(), self._policy)
        for command in commands:
            if isinstance(command, breaker.Release):
                row = self.store.change_sets[command.change_set_id]
                self.store.change_sets[command.change_set_id] = replace(
                    row, state="queued", released_by=command.by
                )
            elif isinstance(command, breaker.Drop):
                self._move(command.change_set_id, "dropped", f"by {command.by}")
            elif isinstance(command, breaker.Forget):
                self.ledger.forget(command.scope, command.at)
                self.store.closed[command.scope] = command.at
                self._tell_all(BreakerClosed(command.scope), command.scope)
            elif command.nth == 0:
                self._tell_all(BreakerOpened(command.scope, command.says), command.scope)

    def _tell_all(self, event: BreakerOpened | BreakerClosed, scope: str) -> None:
        for rollout in list(self.open.values()):
            change_set = self.store.change_sets[rollout.change_set_id].change_set
            verbs = {e.verb for e in subtractive(self._foreseen(rollout))}
            if scope in breaker.scopes_of(change_set.actor, rollout.account_id, verbs):
                self._do(rollout, event)

    def _foreseen(self, rollout: Rollout) -> tuple[Effect, ...]:
        old = None if rollout.from_hash is None else self.chunk(rollout.from_hash)
        return effects(old, self.chunk(rollout.to_hash), SITES)

    def _begin(  # noqa: PLR0917
        self, change_set: ChangeSet, found: Candidate, foreseen: tuple[Effect, ...], lane: str,
        sites: tuple[str, ...] | None = None, reverts: str = "",
    ) -> None:  # fmt: skip
        store, policy = self.store, self._policy
        lost = {e.cidr for e in subtractive(foreseen)}
        gated = not reverts and is_gated(lane, subtractive=bool(lost), staged=policy.guards.staged)
        id_ = f"r-{change_set.id}"
        waves = plan_waves(id_, SITES, policy.waves, gated=gated, touched={e.site for e in foreseen})
        course = Course(lane=lane, subtractive=bool(lost), reverts=reverts)
        if gated:
            course = Course(
                lane=lane, gated=True, subtractive=bool(lost), bake_s=bake_s(len(lost), policy.waves),
                gate_wait_s=policy.gates.wait_s, control=waves.control,
            )  # fmt: skip
        from_hash, to_hash = found.step.from_hash, found.hash
        store.chunks[to_hash] = found.body
        store.head[change_set.account_id] = to_hash
        store.snapshots.append(SnapshotRow(found.step, change_set, foreseen))
        rollout = plan(
            id_, change_set.id, change_set.account_id, from_hash, to_hash,
            waves=waves.waves if sites is None else (sites,), course=course,
        )  # fmt: skip
        self._move(change_set.id, "rolling")
        old = None if from_hash is None else self.chunk(from_hash)
        row = store.change_sets[change_set.id]
        opens = frozenset(o.scope for o in store.breaker.open.values() if not o.except_for)
        self._note(
            Admitted(
                change_set.id, change_set.account_id, change_set.actor, foreseen, self._clock(),
                announced_at(old), opens, bool(row.released_by), reverts != "",
            )
        )  # fmt: skip
        self._do(rollout, Started())

    def _move(self, change_set_id: str, state: str, reason: str = "") -> None:
        self.store.move(change_set_id, state, reason)
        for rollout in list(self.open.values()):
            made = rollout.course.reverted_by
            if change_set_id not in made:
                continue
            states = {self.store.change_sets[i].state for i in made}
            if states <= ENDED:
                self._do(rollout, RevertEnded(states == {"done"}, reason or "a part of it was not done"))

    # -- roll-outs ----------------------------------------------------------------------------------

    def _do(self, before: Rollout, event: Event) -> None:
        after, commands = step(before, event, self._clock())
        if after == before and before.id in self.store.rollouts:
            return
        self.store.rollouts[after.id] = after
        if after.quiet:
            self.open.pop(after.id, None)
        else:
            self.open[after.id] = after
        for command in commands:
            if isinstance(command, Deliver):
                self._note(Handed(after.id, after.wave, command.sites))
                for site in command.sites:
                    self.store.targets[site][after.account_id] = Target(after.to_hash, after.id)
            elif isinstance(command, Revert):
                self._take_back(after, command.sites, command.reason)
            elif isinstance(command, Conclude):
                self._move(after.change_set_id, command.outcome.value, command.reason)

    def _take_back(self, rollout: Rollout, reached: tuple[str, ...], reason: str) -> None:
        """Begin the way back: what only adds at once, what takes away as a change-set like any other."""
        account, store = rollout.account_id, self.store
        if store.head[account] != rollout.to_hash:
            self._do(rollout, RevertEnded(False, "newer changes stand on it"))
            return
        old = Chunk(account) if rollout.from_hash is None else self.chunk(rollout.from_hash)
        adds, takes = halves(self.chunk(rollout.to_hash), old, reached)
        by = store.change_sets[rollout.change_set_id].change_set.actor
        made = [
            ChangeSet(f"{rollout.change_set_id}-{half}", account, by, f"takes back {rollout.id}: {reason}",
                      f"{self._clock()}", changes_of(steps), lane="rollback")
            for half, steps in (("adds", adds), ("takes", takes)) if steps
        ]  # fmt: skip
        for change_set in made:
            store.write(change_set, change_set.id)
        back = replace(rollout, course=structs.replace(rollout.course, reverted_by=tuple(c.id for c in made)))
        store.rollouts[back.id] = self.open[back.id] = back
        if adds:
            found = candidate(store.head, self.chunk(rollout.to_hash), made[0])
            foreseen = effects(self.chunk(rollout.to_hash), found.chunk, reached)
            self._begin(made[0], found, foreseen, "rollback", reached, rollout.id)
        if not made:
            self._do(back, RevertEnded(True))

    def look(self, which: int, outcome: GateOutcome) -> None:
        """Let those who look answer for a roll-out that asks: truly, wrongly, or not at all."""
        asking = [r for r in self.open.values() if r.wants_look]
        if asking:
            rollout = asking[which % len(asking)]
            what = BaselineLooked if rollout.state is RolloutState.PLANNED else GateAnswered
            self._note(Looked(rollout.id, rollout.wave, what is BaselineLooked, outcome))
            self._do(rollout, what(rollout.wave, outcome, "as seen"))

    def wish(self, which: int, event: Paused | Resumed | Aborted) -> None:
        """Let an operator pause, resume or abort a roll-out."""
        if self.open:
            self._do(list(self.open.values())[which % len(self.open)], event)

    def deadlines(self) -> None:
        now = self._clock()
        for rollout in list(self.open.values()):
            if rollout.deadline is not None and rollout.deadline <= now:
                self._do(rollout, DeadlinePassed())

    def _judge(self, site: str) -> None:
        view = self.views[site]
        later: dict[str, set[str]] = {}
        for rollout in reversed(list(self.open.values())):
            account = rollout.account_id
            if view.status is None or not view.reachable:
                self._do(rollout, SiteHeard(site, SiteEvent.UNREACHED, "nobody answers"))
                continue
            event, reason = judge(
                rollout.to_hash,
                later.setdefault(account, set()),
                account,
                view.status,
                held=view.held.get(account),
                known=self.store.chunks,
                changed=self._footprint(rollout),
                foreign=account in self.store.conflicts[site],
            )
            later[account].add(rollout.to_hash)
            self._do(rollout, SiteHeard(site, event, reason))

    def _footprint(self, rollout: Rollout) -> Footprint:
        key = (rollout.from_hash, rollout.to_hash)
        if key not in _FOOTPRINTS:
            old = None if rollout.from_hash is None else self.chunk(rollout.from_hash)
            _FOOTPRINTS[key] = footprint(old, self.chunk(rollout.to_hash))
        return _FOOTPRINTS[key]

    # -- sites --------------------------------------------------------------------------------------

    def hear(self, site: str, status: SiteStatus | None) -> None:
        """Take a site's status; None: nobody answered."""
        view = self.views[site]
        if status is None or status.fault:
            view.reachable = False
            self._judge(site)
            return
        if status.generation < view.given:
            return  # it was written before a receipt that is here already
        self._recognise(status)
        if not view.reachable:
            view.refused.clear()
        view.status, view.reachable, view.held = status, True, dict(status.accounts)
        self._judge(site)

    def _recognise(self, status: SiteStatus) -> None:
        """Keep what a site holds by commands that this store never gave."""
        site, store = status.site, self.store
        targets = {a: t.hash for a, t in store.targets[site].items()}
        found = foreign_chunks(
            {a: ChunkHash(h) for a, h in status.accounts.items()}, status.generation, store.given[site],
            targets, self.at_start[site],
        )  # fmt: skip
        store.conflicts[site] |= found
        store.given[site] = max(store.given[site], status.generation)
        for account in list(store.conflicts[site]):
            if status.accounts.get(account) == targets.get(account):
                del store.conflicts[site][account]

    def next_command(self, site: str, turn: int = 0) -> Command | None:
        """Return the command that a site lacks; its generation is kept before it is sent."""
        view, store = self.views[site], self.store
        if not view.reachable or view.status is None:
            return None
        accounts = sorted(store.targets[site])
        for n in range(len(accounts)):
            account = accounts[(n + turn) % len(accounts)]
            target = store.targets[site][account]
            if view.refused.get(account) == target.hash:
                continue
            foreign = account in store.conflicts[site]
            move = next_move(target.hash, view.held.get(account), store.chunks, foreign=foreign)
            if isinstance(move, Move):
                handed = self.open.get(target.rollout_id)
                if handed is not None and not handed.may_hand(site):
                    continue  # it is paused
                return self._command(site, account, move, target.rollout_id)
            if isinstance(move, Unknown):
                self._tell(site, account, SiteEvent.CONFLICTED, move.reason)
        return None

    def _command(self, site: str, account: str, move: Move, rollout_id: str) -> Command:
        view, store = self.views[site], self.store
        assert view.status is not None
        generation = max(store.given[site], view.given, view.status.generation) + 1
        store.given[site] = generation
        return Command(
            site, generation, rollout_id, account, move.from_hash, move.to_hash, store.chunks[move.to_hash],
            intents=self._intents(account, move),
        )  # fmt: skip

    def _intents(self, account: str, move: Move) -> tuple[str, ...]:
        """Return the intents of the change-sets that lie between two chunks of an account."""
        found: dict[str, None] = {}
        for row in reversed(self.store.snapshots):
            if row.step.account_id != account:
                continue
            found |= dict.fromkeys(row.change_set.intents)
            if row.step.from_hash == move.from_hash:
                break
        return tuple(found)

    def answered(self, command: Command, receipt: Receipt) -> None:
        """Take a receipt."""
        view = self.views[command.site]
        account = command.account_id
        if receipt.outcome in ("accepted", "duplicate"):
            assert command.to_hash is not None
            view.given = max(view.given, receipt.generation)
            view.held[account] = command.to_hash
            self._judge(command.site)
        elif receipt.outcome == "refused":
            assert command.to_hash is not None
            view.refused[account] = command.to_hash
            self._tell(command.site, account, SiteEvent.REFUSED, receipt.reason)

    def _tell(self, site: str, account: str, event: SiteEvent, reason: str) -> None:
        held = self.views[site].held.get(account)
        for rollout in list(self.open.values()):
            if rollout.account_id == account and rollout.to_hash != held:
                self._do(rollout, SiteHeard(site, event, reason))
