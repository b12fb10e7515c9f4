"""``herald serve`` killed at the worst moments: what was acknowledged is told, in order, known by its id."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from tests import serve_process
from tests.fake_agent import FakeAgent
from tests.receiver import DEADLINE_S, Receiver
from tests.serve_process import Serve

HOOKS = "/herald/v1/accounts/acme/webhooks"


def serving(folder: Path, *sites: str) -> AbstractAsyncContextManager[Serve]:
    """Run it as a lab does: webhooks may go to us."""
    return serve_process.serving(folder, "--lab", *(a for site in sites for a in ("--site", site)))


async def made_hook(serve: Serve, to: Receiver, *events: str) -> str:
    answer = await serve.call("POST", HOOKS, {"url": to.url, "events": list(events)})
    return str(answer.json()["secret"])


def test_killed_between_commit_and_delivery_it_is_delivered_after_the_restart(serve_folder: Path) -> None:
    to = Receiver()
    to.down()  # so that nothing can have been delivered before the kill

    async def scenario() -> str:
        async with serving(serve_folder) as serve:
            bgp_prefix = await serve.onboard()
            secret = await made_hook(serve, to, "bgp_prefix.*")
            await serve.advertise(bgp_prefix, True)
            await serve.advertise(bgp_prefix, False)
            await serve.kill()
        to.up()
        async with serving(serve_folder):
            await asyncio.to_thread(to.wait_for, 2)
        return secret

    secret = asyncio.run(scenario())
    to.down()
    assert to.types() == ["bgp_prefix.advertised", "bgp_prefix.withdrawn"]
    assert all(r.verified(secret) for r in to.received)


def test_killed_while_it_is_being_answered_the_duplicate_has_the_same_id(serve_folder: Path) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def held() -> int:
        asked.set()
        may_answer.wait(DEADLINE_S)
        return 200

    to = Receiver(held)

    async def scenario() -> None:
        async with serving(serve_folder) as serve:
            bgp_prefix = await serve.onboard()
            await made_hook(serve, to, "bgp_prefix.*")
            await serve.advertise(bgp_prefix, True)
            assert await asyncio.to_thread(asked.wait, DEADLINE_S)
            await serve.kill()
            may_answer.set()
        async with serving(serve_folder) as serve:
            await serve.advertise(bgp_prefix, False)
            await asyncio.to_thread(to.wait_for, 3)

    asyncio.run(scenario())
    to.down()
    first, again, later = to.received
    assert (first.id, first.body) == (again.id, again.body) and later.id != first.id
    assert to.types() == ["bgp_prefix.advertised", "bgp_prefix.advertised", "bgp_prefix.withdrawn"]


def test_the_labs_file_has_every_entry_once_across_a_kill(serve_folder: Path) -> None:
    log = serve_folder / "state" / "notifications" / "acme.log"

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
        async with FakeAgent("site1", serve_folder / "1.sock") as agent:
            site = f"site1={agent.socket}"
            async with serving(serve_folder, site) as serve:
                bgp_prefix = await serve.onboard()
                await serve.over(await serve.advertise(bgp_prefix, True))
                told, lines = await whole(serve)
                assert lines[: len(told)] == told
                await serve.kill()
            with log.open("ab") as file:
                file.write(b'{"seq": 99999, "torn')  # as a crash in the middle of a line leaves it
            async with serving(serve_folder, site) as serve:
                await serve.over(await serve.advertise(bgp_prefix, False))
                told, lines = await whole(serve)
            seqs = [line["seq"] for line in lines]
            assert seqs == sorted(set(seqs)) and lines[: len(told)] == told
            types = [line["type"] for line in lines]
            assert types.count("change_set.done") >= 2 and types.count("site.confirmed") >= 2
            assert log.stat().st_mode & 0o777 == 0o600

    asyncio.run(scenario())
