"""``herald serve`` as a process: ready, ended in order, killed at the worst moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.bgp import Prefix
from controller.serve import ServeError, run_serve, split_listen
from controller.store import open_store
from tests.fake_agent import FakeAgent
from tests.postgresql import Server

CIDR = Prefix("192.0.2.0/24")
PROGRAM = """
import os, sys
from pathlib import Path
from controller.serve import run_serve
state, socket, *sites = sys.argv[1:]
run_serve(state_dir=Path(state), socket=Path(socket), listen=None, inventory=None,
          sites=dict(s.split("=", 1) for s in sites), database=os.environ.get("HERALD_DATABASE"))
"""


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "herald.db"
    open_store(path).close()
    return path


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    made = tmp_path_factory.mktemp("s")
    (made / "state").mkdir()
    shutil.copy(empty_database, made / "state" / "herald.db")
    return made


class Serve:
    """One life of the process, with a client that holds the operator's token."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        token = (folder / "state" / "operator.token").read_text().strip()
        self.client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(folder / "api.sock")),
            base_url="http://herald",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )

    async def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        answer = await self.client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer

    async def onboard(self) -> str:
        """Onboard, approve and bind a prefix; return its BGP prefix's id."""
        base = "/client/v4/accounts/acme/addressing/prefixes"
        await self.call("POST", "/herald/v1/services", {"id": "cdn", "name": "CDN"})
        await self.call("POST", "/herald/v1/accounts", {"id": "acme", "name": "Acme"})
        prefix = (await self.call("POST", base, {"cidr": CIDR, "asn": None})).json()["result"]["id"]
        await self.call("POST", f"{base}/{prefix}/approve")
        await self.call("POST", f"{base}/{prefix}/bindings", {"cidr": CIDR, "service_id": "cdn"})
        found: dict[str, Any] = (await self.call("GET", f"/herald/v1/bgp_prefixes?cidr={CIDR}")).json()
        return str(found["bgp_prefix_id"])

    async def advertise(self, bgp_prefix: str, advertised: bool) -> str:
        path = f"/herald/v1/accounts/acme/bgp_prefixes/{bgp_prefix}/advertisement"
        answer = await self.call("PUT", path, {"advertised": advertised, "sites": None})
        return answer.headers["Herald-Change-Set"]

    async def over(self, change_set: str) -> dict[str, Any]:
        found: dict[str, Any] = (
            await self.call("GET", f"/herald/v1/change-sets/{change_set}?wait=20")
        ).json()
        return found


@contextlib.asynccontextmanager
async def serving(folder: Path, *sites: str) -> AsyncIterator[Serve]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(folder / "state"), str(folder / "api.sock"), *sites,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    try:
        async with asyncio.timeout(30):
            first = await process.stdout.readline()
        assert first == b"ready\n", (await process.stderr.read()).decode()
        serve = Serve(process, folder)
        try:
            yield serve
        finally:
            await serve.client.aclose()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.communicate()


def test_it_ends_in_order_though_somebody_waits(folder: Path) -> None:
    async def scenario() -> None:
        async with serving(folder, f"site1={folder}/none.sock") as serve:
            bgp_prefix = await serve.onboard()
            change_set = await serve.advertise(bgp_prefix, True)
            waiting = asyncio.create_task(serve.over(change_set))
            found = (await serve.call("GET", f"/herald/v1/change-sets/{change_set}?wait=0.5")).json()
            assert found["state"] in ("queued", "rolling")
            second = await asyncio.create_subprocess_exec(
                sys.executable, "-c", PROGRAM, str(folder / "state"), str(folder / "api.sock"),
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, err = await second.communicate()
            assert second.returncode == 1, "one socket, one controller"
            assert b"somebody already listens on" in err
            serve.process.send_signal(signal.SIGTERM)
            out, err = await serve.process.communicate()
            assert (await waiting)["state"] == "rolling", "who waited is answered"
            assert (serve.process.returncode, out) == (0, b"")
            lines = [json.loads(line) for line in err.splitlines()]
            assert lines[-1]["event"] == "ended in order"
            assert all(line["process"] == "serve" for line in lines)
            assert not [line for line in lines if line["level"] in ("error", "critical")]
        assert not (folder / "api.sock").exists()

    asyncio.run(scenario())


def test_a_write_accepted_before_a_kill_arrives_after_the_restart(folder: Path) -> None:
    async def scenario() -> None:
        agent = FakeAgent("site1", folder / "1.sock")
        site = f"site1={agent.socket}"
        async with serving(folder, site) as serve:  # nobody answers at the site
            change_set = await serve.advertise(await serve.onboard(), True)
            serve.process.kill()
            await serve.process.wait()
        assert (folder / "api.sock").exists(), "the kill leaves its socket; the next start replaces it"
        async with agent, serving(folder, site) as serve:
            assert (await serve.over(change_set))["state"] == "done"
            assert agent.status().sent == {CIDR: (64500,)}

    asyncio.run(scenario())


def test_killed_in_the_middle_again_and_again_the_last_write_wins(folder: Path) -> None:
    async def scenario() -> None:
        async with FakeAgent("site1", folder / "1.sock") as agent:
            site, bgp_prefix, advertised = f"site1={agent.socket}", "", False
            for _ in range(2):
                async with serving(folder, site) as serve:
                    bgp_prefix = bgp_prefix or await serve.onboard()
                    advertised = not advertised
                    change_set = await serve.advertise(bgp_prefix, advertised)
                    serve.process.kill()  # wherever it is by now
                    await serve.process.wait()
            async with serving(folder, site) as serve:
                assert (await serve.over(change_set))["state"] == "done"
            assert agent.status().sent == ({CIDR: (64500,)} if advertised else {})
            generations = [c.generation for c in agent.commands]
            assert generations == sorted(set(generations)), "no generation is given twice"

    asyncio.run(scenario())


def test_the_database_deleted_withdraws_nothing(folder: Path, empty_database: Path) -> None:
    async def scenario() -> None:
        async with FakeAgent("site1", folder / "1.sock") as agent:
            site = f"site1={agent.socket}"
            async with serving(folder, site) as serve:
                change_set = await serve.advertise(await serve.onboard(), True)
                assert (await serve.over(change_set))["state"] == "done"
                serve.process.kill()
                await serve.process.wait()
            sent = len(agent.commands)
            for left in (folder / "state").glob("herald.db*"):
                left.unlink()
            shutil.copy(empty_database, folder / "state" / "herald.db")
            async with serving(folder, site) as serve:
                found = await serve.over(await serve.advertise(await serve.onboard(), False))
                assert found["state"] == "failed"
                assert "conflict" in found["reason"]
            assert len(agent.commands) == sent
            assert agent.status().sent == {CIDR: (64500,)}

    asyncio.run(scenario())


def test_a_server_that_is_restarted_under_it_holds_up_what_is_asked_and_loses_nothing(
    folder: Path, monkeypatch
) -> None:
    async def scenario(server: Server) -> None:
        async with (
            FakeAgent("site1", folder / "1.sock") as agent,
            serving(folder, f"site1={agent.socket}") as serve,
        ):
            bgp_prefix = await serve.onboard()
            assert (await serve.over(await serve.advertise(bgp_prefix, True)))["state"] == "done"
            await asyncio.to_thread(server.stop)
            answer = await serve.client.get("/herald/v1/accounts")
            assert answer.status_code == 503
            assert agent.status().sent == {CIDR: (64500,)}, "fail static"
            await asyncio.to_thread(server.start)
            found = await serve.over(await serve.advertise(bgp_prefix, False))
            assert found["state"] == "done"
            assert agent.status().sent == {}
            assert not list((folder / "state").glob("*.db-wal")), "it was not SQLite"

    server = Server()
    try:
        monkeypatch.setenv("HERALD_DATABASE", server.url(server.create()))
        asyncio.run(scenario(server))
    finally:
        server.remove()


def test_addresses_are_checked() -> None:
    assert split_listen("127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert split_listen("[::1]:0") == ("::1", 0)
    for wrong in ("8080", "localhost:", ":80", "h:99999", "h:-1"):
        with pytest.raises(ServeError, match="is no HOST:PORT"):
            split_listen(wrong)
    with pytest.raises(ServeError, match="either --socket PATH or --listen"):
        run_serve(state_dir=Path(os.devnull), socket=None, listen=None, sites={}, inventory=None)
