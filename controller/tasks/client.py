"""The one way by which a task's calls leave: to the strict API in this process, each checked and recorded.

In this order: the stop switch and the lease are asked, the call is written down, it is held against the
foreseen scope, it leaves, what it was answered with is written down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
from fastapi import FastAPI

from controller.addressing.permissions import OF_METHOD
from controller.addressing.strict import DeclaredRoutes
from controller.store import Store
from controller.tasks import records
from controller.tasks.declaration import Task
from controller.tasks.errors import CallRefusedError, OutsideScopeError, TaskStoppedError
from controller.tasks.plan import Step
from controller.tasks.scope import Call, outside
from controller.tasks.tables import TaskRunRow

CHANGE_SET_HEADER = "Herald-Change-Set"
HTTP_OK = 200


@dataclass
class TaskClient:
    """The calls of one run. ``holder``: who holds its lease. ``guarded``: the guard ``tasks`` is armed."""

    store: Store
    app: FastAPI
    task: Task
    run_id: str
    token: str
    holder: str
    now: Callable[[], datetime]
    guarded: bool = True
    changed: dict[str, int] = field(default_factory=dict)
    """How many objects of each resource this run has changed."""

    def __post_init__(self) -> None:
        self._routes = DeclaredRoutes(lambda: self.app)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(
            transport=transport,
            base_url="http://herald",
            headers={"Authorization": f"Bearer {self.token}"},
        )

    async def __aenter__(self) -> TaskClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def read(self, path: str, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Return the body that ``GET path?query`` answers with; see :meth:`send` for what it raises."""
        return await self.send("GET", path, query=query)

    async def foretell(self, step: Step) -> dict[str, Any]:
        """Return the API's dry run of a step."""
        return await self.send(step.method, step.path, body=step.body, dry_run=True)

    async def carry_out(self, step: Step, number: int) -> list[str]:
        """Carry a step out; return the ids of the change-sets that it made."""
        made: list[str] = []
        key = f"{self.run_id}-{number}"
        await self.send(step.method, step.path, body=step.body, key=key, made=made)
        return made

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: dict[str, Any] | None = None,
        dry_run: bool = False,
        key: str | None = None,
        made: list[str] | None = None,
    ) -> dict[str, Any]:
        """Make one call.

        Raises :class:`OutsideScopeError` for what was not foreseen, :class:`TaskStoppedError` when the switch
        is on or the run is no longer this process's, :class:`CallRefusedError` when the API refuses.
        """
        route = self._routes.find(method, path)
        call = Call(method, path, None if route is None else route.resource, OF_METHOD[method], query, body)
        number = await asyncio.to_thread(self._note, call, dry_run)
        why = outside(call, self.task.foreseen, self.changed) if self.guarded else None
        if why is not None:
            await self._answered(number, None, f"not sent: {why}", [])
            raise OutsideScopeError(why)
        asked: list[tuple[str, Any]] = [*query, *([("dry_run", "true")] if dry_run else [])]
        headers = {} if key is None else {"Idempotency-Key": key}
        if method != "GET":
            headers["Herald-Reason"] = f"task {self.task.name}, run {self.run_id}"
        answer = await self._http.request(
            method, path, params=asked or None, json=body, headers=headers, timeout=None
        )
        change_sets = [i for i in answer.headers.get(CHANGE_SET_HEADER, "").split(", ") if i]
        if answer.status_code != HTTP_OK:
            says = _refusal(answer)
            await self._answered(number, answer.status_code, says, [])
            raise CallRefusedError(says, answer.status_code)
        if not dry_run and call.count and call.resource is not None:
            self.changed[call.resource] = self.changed.get(call.resource, 0) + call.count
        await self._answered(number, answer.status_code, "", change_sets)
        if made is not None:
            made += change_sets
        found = answer.json()
        assert isinstance(found, dict | list)
        return found if isinstance(found, dict) else {"result": found}

    def _note(self, call: Call, dry_run: bool) -> int:
        """Ask the switch and the lease, and write the call down: in one transaction, before it leaves."""
        with self.store.write() as session:
            switch = records.switch_of(session, self.task.name)
            if switch is not None:
                raise TaskStoppedError(records.says_stopped(switch))
            row = session.query(TaskRunRow).filter_by(id=self.run_id).one()
            if row.ended_at is not None or row.held_by != self.holder:
                raise TaskStoppedError("the run was ended, or taken for abandoned, while it was at work")
            return records.note_call(session, self.run_id, call, dry_run=dry_run, now=self.now())

    async def _answered(self, number: int, status: int | None, outcome: str, change_sets: list[str]) -> None:
        def note() -> None:
            with self.store.write() as session:
                records.note_answer(
                    session, self.run_id, number, status=status, outcome=outcome, change_sets=change_sets
                )

        await asyncio.to_thread(note)


def _refusal(answer: httpx.Response) -> str:
    """Return the API's own words."""
    try:
        errors = answer.json()["errors"]
        says = "; ".join(dict.fromkeys(str(e["message"]) for e in errors[:3]))
        return says + (f"; and {len(errors) - 3} more" if len(errors) > 3 else "")
    except (ValueError, KeyError, TypeError):
        return f"the API answered {answer.status_code}"
