"""The task-runner, for tests: over a running API's store and application, driven turn by turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter

from controller.safety.policy import Policy
from controller.store import Store
from controller.tasks.api import PREFIXES, TaskApi, deletion
from controller.tasks.declaration import Foreseen, Task
from controller.tasks.declared import OWN
from controller.tasks.plan import Plan, Step
from controller.tasks.routes import build_tasks_router
from controller.tasks.runner import Runner
from tests.addressing_api import Api

READS = Foreseen("prefixes", frozenset({"read"}))
WIDE = Foreseen("prefix_deletions", frozenset({"create"}), 1000)


async def everything(api: TaskApi) -> Plan:
    """The outage's clean-up, once its list call is well-formed: all prefixes, and all that is on them."""
    prefixes = [p.touched for p in await api.prefixes()]
    return Plan((deletion(prefixes, None, "clean-up"),) if prefixes else ())


def describing(*marks: str) -> Task:
    """A task of one step a prefix: it gives each another description."""

    async def plan(api: TaskApi) -> Plan:
        return Plan(
            tuple(
                Step(
                    "PATCH",
                    f"/client/v4/accounts/{p.account_id}/addressing/prefixes/{p.id}",
                    {"description": "".join(marks)},
                    (p.touched,),
                )
                for p in await api.prefixes()
            )
        )

    foreseen = (Foreseen("prefixes", frozenset({"read"})), Foreseen("prefixes", frozenset({"edit"}), 50))
    return Task("describing", "Describes all prefixes.", foreseen, plan)


def state_of(api: Api) -> list[tuple[str, bool, str]]:
    with api.http() as http:
        rows = http.get(PREFIXES, params={"limit": 1000}).json()["result"]
    return [(r["cidr"], r["pending_delete"], r["modified_at"]) for r in rows]


def _no_app() -> Any:
    raise AssertionError("this runner takes nothing up")


def task_routers(store: Store) -> list[APIRouter]:
    """Return the routes of the product's own tasks; nothing is run."""
    runner = Runner(store, OWN, _no_app)
    runner.declare()
    return [build_tasks_router(runner)]


class Crew:
    """A runner with a test's tasks, whose clock and policy the test sets; ``told``: what operators were told.

    Give :meth:`routers` to ``running_api`` as ``routers_over``, then :meth:`join` the API.
    """

    def __init__(self, *tasks: Task, policy: Policy | None = None, lease_s: float = 15.0) -> None:
        self.tasks = tasks
        self.policy = policy or Policy()
        self.lease_s = lease_s
        self.late = timedelta()
        self.told: list[str] = []
        self._api: Api | None = None

    def routers(self, store: Store) -> Sequence[APIRouter]:
        self.runner = self.another(store)
        self.runner.declare()
        return [build_tasks_router(self.runner)]

    def another(self, store: Store) -> Runner:
        """Return one more runner, as another process has it."""
        return Runner(
            store,
            self.tasks,
            lambda: self.api.app,
            policy=lambda: self.policy,
            tell=lambda session, run, says: self.told.append(says),
            now=self.now,
            lease_s=self.lease_s,
        )

    def join(self, api: Api) -> None:
        self._api = api

    @property
    def api(self) -> Api:
        assert self._api is not None
        return self._api

    def now(self) -> datetime:
        return datetime.now(UTC) + self.late

    def work(self, before: Callable[[], None] = lambda: None) -> None:
        """Let the runner do all that is to be done now."""

        async def turn() -> None:
            before()
            await self.runner.turn()
            await self.runner.settle()

        asyncio.run(turn())

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let the runner work by itself, in a thread of its own, as ``herald serve`` lets it."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        running = asyncio.run_coroutine_threadsafe(self.runner.run(), loop)
        try:
            yield
        finally:
            running.cancel()
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    def run(self, task: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Start a run as the operator, let the runner work, and return the run."""
        with self.api.http() as http:
            made = http.post(f"/herald/v1/tasks/{task}/runs", json={"dry_run": dry_run})
            assert made.status_code == 200, made.text
        self.work()
        return self.see(made.json()["id"])

    def see(self, run_id: str) -> dict[str, Any]:
        with self.api.http() as http:
            found = http.get(f"/herald/v1/task_runs/{run_id}")
        assert found.status_code == 200, found.text
        body: dict[str, Any] = found.json()
        return body
