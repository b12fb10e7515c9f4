"""``herald serve`` as a process: ready, ended in order, killed at the worst moment."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from controller.serve import ServeError, run_serve, split_listen
from tests.fake_agent import FakeAgent
from tests.postgresql import Server
from tests.serve_process import CIDR, serve_command, serving


def test_it_ends_in_order_though_somebody_waits(serve_folder: Path) -> None:
    async def scenario() -> None:
        async with serving(serve_folder, "--site", f"site1={serve_folder}/none.sock") as serve:
            bgp_prefix = await serve.onboard()
            change_set = await serve.advertise(bgp_prefix, True)
            waiting = asyncio.create_task(serve.over(change_set))
            found = (await serve.call("GET", f"/herald/v1/change-sets/{change_set}?wait=0.5")).json()
            assert found["state"] in ("queued", "rolling")
            second = await asyncio.create_subprocess_exec(
                *serve_command(serve_folder), stderr=asyncio.subprocess.PIPE
            )
            _, err = await second.communicate()
            assert second.returncode == 1, "one socket, one controller"
            assert b"somebody already listens on" in err
            serve.process.send_signal(signal.SIGTERM)
            out, _ = await serve.process.communicate()
            assert (await waiting)["state"] == "rolling", "who waited is answered"
            assert (serve.process.returncode, out) == (0, b"")
            lines = [json.loads(line) for line in (serve_folder / "serve.log").read_text().splitlines()]
            assert lines[-1]["event"] == "ended in order"
            assert all(line["process"] == "serve" for line in lines)
            assert not [line for line in lines if line["level"] in ("error", "critical")]
        assert not (serve_folder / "api.sock").exists()

    asyncio.run(scenario())


def test_a_write_accepted_before_a_kill_arrives_after_the_restart(serve_folder: Path) -> None:
    async def scenario() -> None:
        agent = FakeAgent("site1", serve_folder / "1.sock")
        site = f"site1={agent.socket}"
        async with serving(serve_folder, "--site", site) as serve:  # nobody answers at the site
            change_set = await serve.advertise(await serve.onboard(), True)
            await serve.kill()
        assert (serve_folder / "api.sock").exists(), "the kill leaves its socket; the next start replaces it"
        async with agent, serving(serve_folder, "--site", site) as serve:
            assert (await serve.over(change_set))["state"] == "done"
            assert agent.status().sent == {CIDR: (64500,)}

    asyncio.run(scenario())


def test_killed_in_the_middle_again_and_again_the_last_write_wins(serve_folder: Path) -> None:
    async def scenario() -> None:
        async with FakeAgent("site1", serve_folder / "1.sock") as agent:
            site, bgp_prefix, advertised = f"site1={agent.socket}", "", False
            for _ in range(2):
                async with serving(serve_folder, "--site", site) as serve:
                    bgp_prefix = bgp_prefix or await serve.onboard()
                    advertised = not advertised
                    change_set = await serve.advertise(bgp_prefix, advertised)
                    await serve.kill()  # wherever it is by now
            async with serving(serve_folder, "--site", site) as serve:
                assert (await serve.over(change_set))["state"] == "done"
            assert agent.status().sent == ({CIDR: (64500,)} if advertised else {})
            generations = [c.generation for c in agent.commands]
            assert generations == sorted(set(generations)), "no generation is given twice"

    asyncio.run(scenario())


def test_the_database_deleted_withdraws_nothing(serve_folder: Path, empty_database: Path) -> None:
    async def scenario() -> None:
        async with FakeAgent("site1", serve_folder / "1.sock") as agent:
            site = f"site1={agent.socket}"
            async with serving(serve_folder, "--site", site) as serve:
                change_set = await serve.advertise(await serve.onboard(), True)
                assert (await serve.over(change_set))["state"] == "done"
                await serve.kill()
            sent = len(agent.commands)
            for left in (serve_folder / "state").glob("herald.db*"):
                left.unlink()
            shutil.copy(empty_database, serve_folder / "state" / "herald.db")
            async with serving(serve_folder, "--site", site) as serve:
                found = await serve.over(await serve.advertise(await serve.onboard(), False))
                assert found["state"] == "failed"
                assert "conflict" in found["reason"]
            assert len(agent.commands) == sent
            assert agent.status().sent == {CIDR: (64500,)}

    asyncio.run(scenario())


def test_a_server_that_is_restarted_under_it_holds_up_what_is_asked_and_loses_nothing(
    serve_folder: Path,
) -> None:
    async def scenario(server: Server) -> None:
        database = server.url(server.create())
        async with (
            FakeAgent("site1", serve_folder / "1.sock") as agent,
            serving(serve_folder, "--database", database, "--site", f"site1={agent.socket}") as serve,
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
            assert not list((serve_folder / "state").glob("*.db-wal")), "it was not SQLite"

    server = Server()
    try:
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
