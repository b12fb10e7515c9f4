"""Writes down what roll-outs have come to, together with what they want done; what follows, follows then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn

from controller.rollout import records
from controller.rollout.acts import Act, Done, carry_out
from controller.rollout.conflicts import Settled
from controller.rollout.course import Rollout
from controller.rollout.crash_points import crash_point
from controller.rollout.fleet import Fleet
from controller.rollout.remembered import Remembered
from controller.rollout.unwritten import Unwritten
from controller.store import Store


class Recorder:
    """One transaction a batch. ``writing`` is held from the write until memory has followed.

    ``did(done)``: an act is on disk. ``freed()``: change-sets that wait in the queue may be admitted now.
    ``tell(change_set, account)``: something of it was written down.
    """

    def __init__(
        self,
        store: Store,
        unwritten: Unwritten,
        fleet: Fleet,
        writing: asyncio.Lock,
        clock: Callable[[], float],
        *,
        did: Callable[[Done], None],
        freed: Callable[[], None],
        tell: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._unwritten = unwritten
        self._conflicts = fleet.conflicts
        self._journals = fleet.journals
        self._writing = writing
        self._clock = clock
        self._did = did
        self._freed = freed
        self._tell = tell

    async def run(self) -> NoReturn:
        """Write for ever."""
        while True:
            await self._unwritten.waits.wait()
            await self.record()

    async def record(self) -> None:
        """Write what there is to be written; nothing of it is lost when that fails."""
        async with self._writing:
            batch = self._unwritten.take()
            settled, journals = self._conflicts.take_settled(), self._journals.take()
            if not batch.rollouts and not settled and not batch.acts and not journals:
                return
            rollouts = {id_: tracked.rollout for id_, tracked in batch.rollouts.items()}
            wanted = [(tracked.rollout, act) for tracked, act in batch.acts]
            done: list[Done] | None = None
            try:
                done = await asyncio.to_thread(self._save, rollouts, wanted, settled, journals)
            finally:
                if done is None:
                    self._unwritten.put_back(batch)
                    self._conflicts.put_back(settled)
                    self._journals.put_back(journals)
            if batch.frees:
                self._freed()
            for one in done:
                crash_point(f"{type(one.act).__name__.lower()}-written")
                self._did(one)
        for rollout in rollouts.values():
            self._tell(rollout.change_set_id, rollout.account_id)

    def _save(
        self,
        rollouts: Mapping[str, Rollout],
        acts: Sequence[tuple[Rollout, Act]],
        settled: Iterable[Settled],
        journals: Mapping[str, Remembered],
    ) -> list[Done]:
        with self._store.write() as session:
            done = carry_out(session, rollouts, acts, self._clock())
            for one in done:
                crash_point(f"{type(one.act).__name__.lower()}-unwritten")
            for site, account_id, generation in settled:
                records.forget_conflict(session, site, account_id, generation)
            records.remember_journals(session, journals)
        return done
