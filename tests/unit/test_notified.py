"""``herald serve`` killed at the worst moments: what was acknowledged is told, in order, known by its id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.store import open_store
from tests.fake_agent import FakeAgent
from tests.receiver import DEADLINE_S, Receiver
from tests.unit.test_serve_process import Serve

PROGRAM = """
import sys
from pathlib import Path
from controller.serve import run_serve
state, socket, *sites = sys.argv[1:]
run_serve(state_dir=Path(state), socket=Path(socket), listen=None, inventory=None,
          sites=dict(s.split("=", 1) for s in sites), lab=True)
"""
HOOKS = "/herald/v1/accounts/acme/webhooks"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("n")
    (made / "state").mkdir()
    empty = tmp_path_factory.getbasetemp() / "empty-notified.db"
    if not empty.exists():
        open_store(empty).close()
    shutil.copy(empty, made / "state" / "herald.db")
    return made


@contextlib.asynccontextmanager
async def serving(folder: Path, *sites: str) -> AsyncIterator[Serve]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(folder / "state"), str(folder / "api.sock"), *sites,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"ready\n"
        serve = Serve(process, folder)
        yield serve
        await serve.client.aclose()
    finally:
        await killed(process)


async def killed(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def made_hook(serve: Serve, to: Receiver, *events: str) -> str:
    answer = await serve.call("POST", HOOKS, {"url": to.url, "events": list(events)})
    return str(answer.json()["secret"])


def test_killed_between_commit_and_delivery_it_is_delivered_after_the_restart(folder: Path) -> None:
    to = Receiver()
    to.down()  # so that nothing can have been delivered before the kill

    async def scenario() -> str:
        async with serving(folder) as serve:
            bgp_prefix = await serve.onboard()
            secret = await made_hook(serve, to, "bgp_prefix.*")
            await serve.advertise(bgp_prefix, True)
            await serve.advertise(bgp_prefix, False)
            await killed(serve.process)
        to.up()
        async with serving(folder):
            await asyncio.to_thread(to.wait_for, 2)
        return secret

    secret = asyncio.run(scenario())
    to.down()
    assert to.types() == ["bgp_prefix.advertised", "bgp_prefix.withdrawn"]
    assert all(r.verified(secret) for r in to.received)


def test_killed_while_it_is_being_answered_the_duplicate_has_the_same_id(folder: Path) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def held() -> int:
        asked.set()
        may_answer.wait(DEADLINE_S)
        return 200

    to = Receiver(held)

    async def scenario() -> None:
        async with serving(folder) as serve:
            bgp_prefix = await serve.onboard()
            await made_hook(serve, to, "bgp_prefix.*")
            await serve.advertise(bgp_prefix, True)
            assert await asyncio.to_thread(asked.wait, DEADLINE_S)
            await killed(serve.process)
            may_answer.set()
        async with serving(folder) as serve:
            await serve.advertise(bgp_prefix, False)
            await asyncio.to_thread(to.wait_for, 3)

    asyncio.run(scenario())
    to.down()
    first, again, later = to.received
    assert (first.id, first.body) == (again.id, again.body) and later.id != first.id
    assert to.types() == ["bgp_prefix.advertised", "bgp_prefix.advertised", "bgp_prefix.withdrawn"]


def test_the_labs_file_has_every_entry_once_across_a_kill(folder: Path) -> None:
    log = folder / "state" / "notifications" / "acme.log"

    def written() -> list[Any]:
        text = log.read_text() if log.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    async def whole(serve: Serve) -> tuple[list[Any], list[Any]]:
        """Wait until the file has all of the timeline: it is written a moment after."""
        told = (await serve.call("GET", "/herald/v1/accounts/acme/timeline?limit=1000")).json()["result"]
        async with asyncio.timeout(DEADLINE_S):
            while not (lines := written()) or lines[-1]["seq"] < told[-1]["seq"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return told, lines

    async def scenario() -> None:
        async with FakeAgent("site1", folder / "1.sock") as agent:
            site = f"site1={agent.socket}"
            async with serving(folder, site) as serve:
                bgp_prefix = await serve.onboard()
                await serve.over(await serve.advertise(bgp_prefix, True))
                told, lines = await whole(serve)
                assert lines[: len(told)] == told
                await killed(serve.process)
            with log.open("ab") as file:
                file.write(b'{"seq": 99999, "torn')  # as a crash in the middle of a line leaves it
            async with serving(folder, site) as serve:
                await serve.over(await serve.advertise(bgp_prefix, False))
                told, lines = await whole(serve)
            seqs = [line["seq"] for line in lines]
            assert seqs == sorted(set(seqs)) and lines[: len(told)] == told
            types = [line["type"] for line in lines]
            assert types.count("change_set.done") >= 2 and types.count("site.confirmed") >= 2
            assert log.stat().st_mode & 0o777 == 0o600

    asyncio.run(scenario())
