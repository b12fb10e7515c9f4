"""Admits the change-sets that wait, in order, whenever one may go (``admission`` and the guard judge)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

from controller.guard.admission import Guard
from controller.rollout.admission import Admission, admit_next, has_queued
from controller.rollout.crash_points import crash_point
from controller.rollout.delivery import Unknown, next_move
from controller.rollout.fleet import Fleet
from controller.rollout.tracked import Terms
from controller.rollout.waiting_line import Round
from controller.snapshots.model import ChunkHash
from controller.store import Store


class Admitter:
    """The admission's loop. ``writing`` is held from the write until memory has followed.

    ``admitted(admission)``: what became of a change-set is on disk. :meth:`grew` wakes it, on the event loop.
    """

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        guard: Guard,
        writing: asyncio.Lock,
        clock: Callable[[], float],
        *,
        terms: Callable[[], Terms],
        admitted: Callable[[Admission], None],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._guard = guard
        self._writing = writing
        self._clock = clock
        self._terms = terms
        self._admitted = admitted
        self._gone: dict[str, float] = {}  # since when what first halves of deletes withdrew is gone
        self._queue_grew = asyncio.Event()

    def grew(self) -> None:
        """A change-set was queued, or one that waits may go now."""
        self._queue_grew.set()

    async def run(self) -> NoReturn:
        """Admit for ever."""
        self._queue_grew.set()
        for follower in self._fleet.sites.values():
            await follower.tried.wait()  # so that a conflict shows before anything is compiled
        while True:
            await self._queue_grew.wait()
            self._queue_grew.clear()
            this_round = Round()
            while await self._admit_some(this_round):
                pass

    async def _admit_some(self, this_round: Round) -> bool:
        async with self._writing:
            admitted = await asyncio.to_thread(self._admit, this_round)
            if admitted:
                crash_point("admission-written")
            for stage in _stages(admitted):
                crash_point(f"{stage}-written")
            for admission in admitted:
                self._admitted(admission)
        self._wake_after_grace()
        return bool(admitted)

    def _wake_after_grace(self) -> None:
        """Look at the queue again when the grace of a delete's second half is over."""
        if self._gone:
            over = min(self._gone.values()) + self._terms().policy.lanes.unbind_after_s
            asyncio.get_running_loop().call_later(max(0.05, over - self._clock()), self._queue_grew.set)

    def _admit(self, this_round: Round) -> list[Admission]:
        with self._store.read() as session:
            if not has_queued(session):
                return []
        try:
            with self._store.write() as session:
                admitted = admit_next(
                    session,
                    tuple(self._fleet.sites),
                    self._blocked,
                    self._clock(),
                    self._guard,
                    terms=self._terms(),
                    gone=self._gone,
                    this_round=this_round,
                )
                if admitted:
                    crash_point("admission-unwritten")
                for stage in _stages(admitted):
                    crash_point(f"{stage}-unwritten")
        except BaseException:
            self._guard.forget()  # what it counted is undone
            raise
        return admitted

    def _blocked(self, account_id: str) -> str | None:
        """Say why nothing of an account can be carried out: each site that answers holds what is not ours."""
        answering = [f for f in self._fleet.sites.values() if f.view.reachable]
        whys = []
        for follower in answering:
            foreign = self._fleet.conflicts.is_foreign(follower.site, account_id)
            move = next_move(_ANY, follower.held.get(account_id), self._fleet.known, foreign=foreign)
            if not isinstance(move, Unknown):
                return None
            whys.append(f"{follower.site}: {move.reason}")
        return "; ".join(whys) or None


def _stages(admitted: Iterable[Admission]) -> Iterator[str]:
    return (stage for a in admitted if a.begun is not None for stage in a.begun.stages)


_ANY = ChunkHash("")
"""A target that no site holds: asks only whether what is held is known."""
