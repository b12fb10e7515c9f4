"""Lets a candidate's tasks run at once on the copy, and approves whatever they ask for: it is a copy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from controller.shadow.errors import CandidateError

UNDER_WAY = frozenset({"queued", "planning", "approved", "confirming", "carrying_out"})
POLL_S = 0.05
HTTP_NOT_FOUND, HTTP_CONFLICT = 404, 409

Run = dict[str, Any]


class Driving:
    """The API of a candidate on its socket, as two operators of the copy; ``ends``: monotonic seconds."""

    def __init__(self, socket: Path, token: str, seconds: float) -> None:
        self._socket = socket
        self._first = self._as(token)
        self._ends = time.monotonic() + seconds

    def _as(self, token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(self._socket)),
            base_url="http://herald",
            headers={"Authorization": f"Bearer {token}", "Herald-Reason": "herald shadow"},
            timeout=30,
        )

    async def run_tasks(self, names: Sequence[str]) -> tuple[list[Run], list[str]]:
        """Run the tasks of these names (none given: all) one by one; return the runs, and what went wrong.

        A candidate without the tasks' API is let run for as long as is left.
        """
        try:
            async with asyncio.timeout(max(self._ends - time.monotonic(), 0) + 60):
                return await self._run_tasks(names)
        except (httpx.HTTPError, TimeoutError) as error:
            raise CandidateError(f"the candidate does not answer any more: {error!r}") from error
        finally:
            await self._first.aclose()

    async def _run_tasks(self, names: Sequence[str]) -> tuple[list[Run], list[str]]:
        listed = await self._first.get("/herald/v1/tasks")
        if listed.status_code == HTTP_NOT_FOUND:
            await asyncio.sleep(max(self._ends - time.monotonic(), 0))
            return [], []
        found = [str(t["name"]) for t in listed.json()["result"]]
        problems = [f"the candidate has no task {name!r}" for name in names if name not in found]
        runs: list[Run] = []
        ann, bob = [self._as(await self._another()) for _ in range(2)]
        async with ann, bob:
            await ann.post("/herald/v1/tasks/all/start")
            for name in found:
                if names and name not in names:
                    continue
                await ann.post(f"/herald/v1/tasks/{name}/start")
                run = await self._run(ann, bob, name)
                runs.append(run)
                if run["state"] in UNDER_WAY | {"waiting"}:
                    problems.append(f"the run of {name} is still {run['state']}: give it longer with --for")
            await self._settle(ann, runs)
        return runs, problems

    async def _another(self) -> str:
        made = await self._first.post(
            "/herald/v1/tokens", json={"role": "operator", "account_id": None, "description": "herald shadow"}
        )
        if made.is_error:
            raise CandidateError(f"the candidate issues no token: {made.text[:200]}")
        return str(made.json()["token"])

    async def _run(self, ann: httpx.AsyncClient, bob: httpx.AsyncClient, name: str) -> Run:
        """Run a task to its end, or for as long as there is."""
        made = await ann.post(f"/herald/v1/tasks/{name}/runs", json={"dry_run": False})
        if made.status_code == HTTP_CONFLICT:  # its schedule was quicker
            made = await ann.get(f"/herald/v1/tasks/{name}")
            id_ = made.json()["last_run"]["id"]
        else:
            if made.is_error:
                raise CandidateError(f"the candidate does not run {name}: {made.text[:200]}")
            id_ = made.json()["id"]
        while True:
            run: Run = (await ann.get(f"/herald/v1/task_runs/{id_}")).json()
            if run["state"] == "waiting":
                asked = await bob.post(
                    f"/herald/v1/task_runs/{id_}/approve", json={"plan_hash": run["plan_hash"]}
                )
                if asked.is_error:
                    return run
            elif run["state"] not in UNDER_WAY:
                return run
            if time.monotonic() >= self._ends:
                return run
            await asyncio.sleep(POLL_S)

    async def _settle(self, ann: httpx.AsyncClient, runs: Sequence[Run]) -> None:
        """Wait until the candidate's guards have looked at each change-set that the runs made."""
        for change_set in (c for run in runs for call in run["calls"] for c in call["change_sets"]):
            while time.monotonic() < self._ends:
                found = await ann.get(f"/herald/v1/change-sets/{change_set}")
                if found.is_error or found.json()["state"] != "queued" or found.json()["reason"]:
                    break
                await asyncio.sleep(POLL_S)
