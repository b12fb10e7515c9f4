"""Drives runs: begins those that are due, takes them up, does what the machine says, and writes it down.

All that matters is in the store before it is done: a crash leaves a lease that passes, and the next runner
marks the run as interrupted. It is never resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import uuid4

import msgspec
import structlog
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.safety.policy import Policy
from controller.store import Store
from controller.tasks import records, token
from controller.tasks.client import TaskClient
from controller.tasks.declaration import Task, by_name
from controller.tasks.errors import OutsideScopeError, TaskError, TaskStoppedError
from controller.tasks.foretell import foretell
from controller.tasks.machine import (
    AT_WORK,
    Begun,
    CarryOut,
    Command,
    Crashed,
    Event,
    Failed,
    Lapsed,
    MakePlan,
    Proposed,
    Refused,
    StepDone,
    Stopped,
    Tell,
    step,
)
from controller.tasks.plan import Proposal, Step
from controller.tasks.tables import TaskRow, TaskRunRow
from controller.tasks.telling import tell_operators

log = structlog.get_logger()

LEASE_S = 15.0
TURN_S = 1.0
"""How often the clock is looked at; whoever starts or approves a run wakes the runner at once."""

APPROVAL_LASTS_S = 24 * 3600
"""For so long a plan can be approved; the next run plans anew."""

SCHEDULE = "schedule"
"""Who started a run that nobody started."""

Teller = Callable[[Session, TaskRunRow, str], None]
"""Tells operators of a run in one line, in the transaction of what happened."""


@dataclass(frozen=True, slots=True)
class _Work:
    """A run that this runner is at work on."""

    task: Task
    run_id: str
    client: TaskClient
    policy: Policy


class Runner:
    """The runs of all declared tasks. ``app``: the API in this process, once it is put together."""

    def __init__(
        self,
        store: Store,
        tasks: Sequence[Task],
        app: Callable[[], FastAPI],
        *,
        policy: Callable[[], Policy] = Policy,
        tell: Teller = tell_operators,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        lease_s: float = LEASE_S,
    ) -> None:
        self.store = store
        self.tasks = by_name(tasks)
        self._app = app
        self._policy = policy
        self._tell = tell
        self._now = now
        self._lease_s = lease_s
        self._holder = uuid4().hex
        self._working: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- what others call ---------------------------------------------------------------------------

    def declare(self) -> None:
        """Write down which tasks there are and when each is due next; blocks for the store."""
        with self.store.write() as session:
            records.declare(session, self.tasks.values(), self._now())

    def wake(self) -> None:
        """Look at once; may be called from any thread, after the commit."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> NoReturn:
        """Do everything for ever; cancel it to stop. Runs that are under way then end as interrupted."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.declare)
        try:
            while True:
                self._woken.clear()
                await self.turn()
                await self._wait()
        finally:
            await self._end_all()

    async def turn(self) -> None:
        """Do once what is to be done now, and leave the runs that it takes up at work."""
        for id_, finished in list(self._working.items()):
            if finished.done():
                del self._working[id_]
                finished.result()
        for task, run_id in await asyncio.to_thread(self._look):
            self._working[run_id] = asyncio.create_task(self._work(task, run_id), name=f"task {task.name}")

    async def settle(self) -> None:
        """Wait until the runs that are at work are over, or wait for somebody."""
        while self._working:
            await asyncio.wait(list(self._working.values()))
            await self.turn()

    # -- looking ------------------------------------------------------------------------------------

    def _look(self) -> list[tuple[Task, str]]:
        """Bring the store up to date with the clock; return the runs that are to be taken up."""
        now = self._now()
        with self.store.read() as session:
            idle = not (
                records.due(session, now)
                or records.to_move(session)
                or records.abandoned(session, now)
                or records.unapproved_since(session, now - timedelta(seconds=APPROVAL_LASTS_S))
                or self._working
            )
        if idle:
            return []
        with self.store.write() as session:
            records.renew(session, self._holder, now, self._lease_s)
            for row in records.abandoned(session, now):
                why = "whoever was at work on it is gone; what its last call did is in the audit"
                self._advance(session, row, Crashed(why))
            for row in records.unapproved_since(session, now - timedelta(seconds=APPROVAL_LASTS_S)):
                self._advance(session, row, Lapsed(f"nobody approved it in {APPROVAL_LASTS_S} s"))
            self._begin_due(session, now)
            return self._take_up(session, now)

    def _begin_due(self, session: Session, now: datetime) -> None:
        for name in records.due(session, now):
            row = session.get_one(TaskRow, name)
            task = self.tasks.get(name)
            if task is None or task.schedule is None:  # an older release's
                row.next_at = None
                continue
            row.next_at = task.schedule.after(now)
            if records.switch_of(session, name) is None and records.open_run(session, name) is None:
                records.begin(
                    session, name, started_by=SCHEDULE, why=str(task.schedule), dry_run=False, now=now
                )

    def _take_up(self, session: Session, now: datetime) -> list[tuple[Task, str]]:
        taken: list[tuple[Task, str]] = []
        for row, switch in records.to_move(session):
            task = self.tasks.get(row.task)
            if switch is not None:
                self._advance(session, row, Stopped(records.says_stopped(switch)))
            elif task is None:
                self._advance(session, row, Failed(f"this release has no task {row.task!r}"))
            else:
                self._advance(session, row, Begun())
                records.hold(row, self._holder, now, self._lease_s)
                taken.append((task, row.id))
        return taken

    # -- at work ------------------------------------------------------------------------------------

    async def _work(self, task: Task, run_id: str) -> None:
        """Take one run to its end, or to where it waits for somebody."""
        policy = self._policy()
        limit = policy.tasks.timeout_s
        secret = await asyncio.to_thread(self._rotate, task, limit)
        try:
            async with TaskClient(
                self.store, self._app(), task, run_id, secret, self._holder, self._now, policy.guards.tasks
            ) as client:
                event = await self._try(_Work(task, run_id, client, policy), limit)
        except asyncio.CancelledError:
            self._step(run_id, Crashed("herald serve ended while it was at work"))
            raise
        finally:
            self._end_token(task)
        if event is not None:
            try:
                await asyncio.to_thread(self._step, run_id, event)
            except TaskStoppedError as error:  # it is somebody else's now: he says what becomes of it
                log.warning("a run was taken away", task=task.name, run=run_id, reason=str(error))

    async def _try(self, work: _Work, limit: float) -> Event | None:
        """Return the event that ends the run early; None when it is where it should be."""
        try:
            async with asyncio.timeout(limit):
                await self._carry_on(work, [MakePlan()])
        except TimeoutError:
            return Failed(f"it took more than {limit:g} s: what it did until then is in its calls")
        except OutsideScopeError as error:
            if error.proposal is not None:
                await asyncio.to_thread(self._keep, work.run_id, error.proposal)
            return Refused(f"outside the foreseen scope: {error}")
        except TaskStoppedError as error:
            return Stopped(str(error))
        except TaskError as error:
            return Failed(str(error))
        except Exception as error:  # (a task is anybody's code: its fault ends its run, and no more)
            log.exception("a task crashed", task=work.task.name, run=work.run_id)
            return Failed(f"the task itself failed: {error!r}")
        return None

    async def _carry_on(self, work: _Work, commands: list[Command]) -> None:
        proposal = Proposal()
        while commands:
            match commands.pop(0):
                case MakePlan():
                    proposal = await foretell(work.task, work.client, work.policy.tasks.most_a_run)
                    if proposal.left_out and not proposal.steps:
                        await asyncio.to_thread(self._keep, work.run_id, proposal)
                        first = proposal.left_out[0]
                        raise TaskError(f"the API would refuse all of it: {first.refusal}")
                    above = work.policy.tasks.approve_above
                    event: Event = Proposed(proposal.hash, proposal.objects, len(proposal.steps), above)
                    commands += await asyncio.to_thread(self._proposed, work.run_id, proposal, event)
                case CarryOut(index):
                    todo = proposal.steps[index].step
                    change_sets = await work.client.carry_out(todo, index)
                    commands += await asyncio.to_thread(self._done, work.run_id, todo, change_sets)
                case Tell():
                    pass  # told where it was written down

    # -- writing down (in worker threads) -----------------------------------------------------------

    def _rotate(self, task: Task, limit: float) -> str:
        now = self._now()
        with self.store.write() as session:
            return token.rotate(session, task, now, now + timedelta(seconds=limit + 60))

    def _end_token(self, task: Task) -> None:
        with self.store.write() as session:
            token.end(session, task.name, self._now())

    def _keep(self, run_id: str, proposal: Proposal) -> None:
        with self.store.write() as session:
            records.keep_proposal(_row(session, run_id), proposal)

    def _proposed(self, run_id: str, proposal: Proposal, event: Event) -> list[Command]:
        with self.store.write() as session:
            row = _row(session, run_id)
            records.keep_proposal(row, proposal)
            return list(self._advance(session, row, event))

    def _done(self, run_id: str, todo: Step, change_sets: list[str]) -> list[Command]:
        with self.store.write() as session:
            row = _row(session, run_id)
            what = {
                "path": todo.path,
                "objects": msgspec.to_builtins(todo.objects),
                "change_sets": change_sets,
            }
            row.changed = [*row.changed, what]
            return list(self._advance(session, row, StepDone()))

    def _step(self, run_id: str, event: Event) -> None:
        with self.store.write() as session:
            self._advance(session, _row(session, run_id), event)

    def _advance(self, session: Session, row: TaskRunRow, event: Event) -> tuple[Command, ...]:
        """Advance a run that nobody else is at work on, and tell what is to be told."""
        if row.held_by not in (None, self._holder) and not isinstance(event, Crashed):
            raise TaskStoppedError("another controller is at work on the run")
        before = records.run_of(row)
        run, commands = step(before, event)
        if run == before:
            return commands
        records.save(row, run, self._now())
        for command in commands:
            if isinstance(command, Tell):
                self._tell(session, row, command.says)
        if row.ended_at is not None:
            what = ("task_run", row.id)
            records.record_event(
                session, self._now(), row.state, what, row.reason, task=row.task, done=row.done
            )
        if run.state in AT_WORK:
            records.hold(row, self._holder, self._now(), self._lease_s)
        return commands

    # -- ending -------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(min(TURN_S, self._lease_s / 3)):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _end_all(self) -> None:
        for working in self._working.values():
            working.cancel()
        if self._working:
            await asyncio.wait(list(self._working.values()))
        self._working.clear()


def _row(session: Session, run_id: str) -> TaskRunRow:
    return session.scalars(select(TaskRunRow).where(TaskRunRow.id == run_id)).one()
