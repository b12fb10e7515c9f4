"""A history's controller: the product's decisions over a store that survives and memory that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from controller.rollout.delivery import Footprint, Move, Unknown, footprint, foreign_chunks, judge, next_move
from controller.rollout.machine import (
    DeadlinePassed,
    Deliver,
    Event,
    Rollout,
    SiteEvent,
    SiteHeard,
    Started,
    plan,
    step,
)
from controller.rollout.records import Target
from controller.safety.effects import Effect, effects
from controller.snapshots.compile import candidate
from controller.snapshots.model import ChangeSet, Chunk, ChunkHash, SnapshotError, decode_chunk
from controller.transport.messages import Command, Receipt, SiteStatus
from tests.simulation.records import Admitted, Fact
from tests.simulation.store import SnapshotRow, Store
from tests.simulation.universe import SITES

_CHUNKS: dict[ChunkHash, Chunk] = {}
_FOOTPRINTS: dict[tuple[ChunkHash | None, ChunkHash], Footprint] = {}


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

    def __init__(self, store: Store, note: Callable[[Fact], None], clock: Callable[[], float]) -> None:
        self.store = store
        self._note = note
        self._clock = clock
        self.start()

    def start(self) -> None:
        """Forget everything but the store."""
        self.views = {site: View() for site in SITES}
        self.open = {i: r for i, r in self.store.rollouts.items() if not r.quiet}
        self.at_start = {site: {a: t.hash for a, t in self.store.targets[site].items()} for site in SITES}

    # -- admission ----------------------------------------------------------------------------------

    def chunk(self, hash_: ChunkHash) -> Chunk:
        found = _CHUNKS.get(hash_)
        if found is None:
            found = _CHUNKS[hash_] = decode_chunk(self.store.chunks[hash_], hash_)
        return found

    def admit(self) -> None:
        """Take the oldest change-set that waits, in one transaction."""
        waiting = self.store.queued()
        if waiting is None or any(v.reachable is None for v in self.views.values()):
            return  # a conflict is to show before anything is compiled
        change_set = self.store.change_sets[waiting].change_set
        account = change_set.account_id
        old_hash = self.store.head.get(account)
        old = None if old_hash is None else self.chunk(old_hash)
        try:
            found = candidate(self.store.head, old, change_set)
        except SnapshotError as error:
            self.store.move(waiting, "failed", str(error))
            return
        foreseen = effects(old, found.chunk, SITES)
        held = self._held(change_set, old, found.chunk, foreseen)
        if held is not None:
            self.store.move(waiting, "held", held)
            return
        to_hash = found.hash
        self.store.chunks[to_hash] = found.body
        self.store.head[account] = to_hash
        self.store.snapshots.append(SnapshotRow(found.step, change_set, foreseen))
        self._begin(plan(f"r-{waiting}", waiting, account, old_hash, to_hash, waves=(SITES,)))
        self._note(Admitted(waiting, foreseen, self._clock()))

    def _held(
        self, change_set: ChangeSet, old: Chunk | None, new: Chunk, foreseen: tuple[Effect, ...]
    ) -> str | None:
        """Say why a change-set is held, or None."""
        return None

    def _begin(self, rollout: Rollout) -> None:
        self._do(rollout, Started())
        self.store.move(rollout.change_set_id, "rolling")

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
                for site in command.sites:
                    self.store.targets[site][after.account_id] = Target(after.to_hash, after.id)
            else:
                self.store.move(after.change_set_id, command.outcome.value, command.reason)

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
