"""HTTP over unix sockets and TCP: what arrives, and how each fault is told."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controller.snapshots.model import ChunkHash
from controller.transport.errors import (
    TransportAddressError,
    TransportGarbledError,
    TransportRefusedError,
    TransportUnreachableError,
)
from controller.transport.http import HttpMachineLink, HttpSiteLink
from controller.transport.http_server import json_response, problem, read_body, serve_app
from controller.transport.messages import BindingAck, BindingSet, Command, Receipt

COMMAND = Command("site1", 7, "r1", "acme", None, ChunkHash("a" * 64), b"\x00\xffbytes")


def app(seen: list[Command], hangs: asyncio.Event) -> Starlette:
    async def commands(request: Request) -> Response:
        try:
            given = await read_body(request, list[Command])
        except TransportGarbledError as error:
            return problem(400, str(error))
        seen.extend(given)
        return json_response([Receipt("site1", 7, "accepted")])

    async def bindings(request: Request) -> Response:
        if request.method == "PUT":
            return problem(409, "generation 3 is lower than 5")
        return json_response(BindingAck("m1", 5, "h"))

    async def status(_: Request) -> Response:
        await hangs.wait()
        return json_response({"nonsense": True})

    return Starlette(
        routes=[
            Route("/commands", commands, methods=["POST"]),
            Route("/bindings", bindings, methods=["GET", "PUT"]),
            Route("/status", status),
        ]
    )


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def serving(folder: Path, scenario: Callable[[Path, list[Command], asyncio.Event], Awaitable[None]]) -> None:
    async def run() -> None:
        socket, seen = folder / "a.sock", list[Command]()
        ready, stop, hangs = asyncio.Event(), asyncio.Event(), asyncio.Event()
        server = asyncio.create_task(
            serve_app(app(seen, hangs), socket=socket, ready=ready.set, stop=stop, on_stop=hangs.set)
        )
        await ready.wait()
        await scenario(socket, seen, hangs)
        stop.set()
        await server
        assert not socket.exists()

    asyncio.run(run())


def test_a_command_arrives_as_it_was_sent(tmp_path: Path) -> None:
    async def scenario(socket: Path, seen: list[Command], hangs: asyncio.Event) -> None:
        assert mode_of(socket) == 0o600
        link = HttpSiteLink("site1", str(socket))
        assert [r.outcome for r in await link.deliver([COMMAND])] == ["accepted"]
        assert seen == [COMMAND]
        await link.close()

    serving(tmp_path, scenario)


def test_faults_are_told_apart(tmp_path: Path) -> None:
    async def scenario(socket: Path, seen: list[Command], hangs: asyncio.Event) -> None:
        link = HttpSiteLink("site1", f"unix:{socket}", deadline_s=0.2)
        with pytest.raises(TransportUnreachableError, match=r"agent of site1 does not answer within 0\.2 s"):
            await link.status()
        hangs.set()
        with pytest.raises(TransportGarbledError, match=r"GET /status.*with nonsense"):
            await link.status()
        with pytest.raises(TransportRefusedError, match="404"):
            await link.adj_rib_out()
        await link.close()
        machine = HttpMachineLink("m1", str(socket))
        assert await machine.get() == BindingAck("m1", 5, "h")
        with pytest.raises(TransportRefusedError, match="409: generation 3 is lower than 5") as caught:
            await machine.put(BindingSet(3, "h", ()))
        assert caught.value.status == 409
        with pytest.raises(TransportRefusedError, match=r"the body is not a list of Command: .*site"):
            await machine.call("POST", "/commands", Receipt, body=[{"site": 1}])
        await machine.close()

    serving(tmp_path, scenario)


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    async def run() -> None:
        link = HttpSiteLink("site1", str(tmp_path / "none.sock"))
        with pytest.raises(
            TransportUnreachableError, match=r"agent of site1 cannot be reached at .*none\.sock"
        ):
            await link.status()
        await link.close()

    asyncio.run(run())


def test_a_stale_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    async def scenario(socket: Path, seen: list[Command], hangs: asyncio.Event) -> None:
        with pytest.raises(TransportAddressError, match="somebody already listens on"):
            await serve_app(app([], hangs), socket=socket, ready=lambda: None, stop=asyncio.Event())
        assert mode_of(socket) == 0o600

    import socket as sockets

    with sockets.socket(sockets.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "a.sock"))
    serving(tmp_path, scenario)


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    with pytest.raises(TransportAddressError, match="longer than 107 bytes"):
        asyncio.run(serve_app(Starlette(), socket=long, ready=lambda: None, stop=asyncio.Event()))
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_tcp_works_too() -> None:
    async def run() -> None:
        ready, stop, hangs = asyncio.Event(), asyncio.Event(), asyncio.Event()
        server = asyncio.create_task(
            serve_app(app([], hangs), host="127.0.0.1", port=47129, ready=ready.set, stop=stop)
        )
        await ready.wait()
        machine = HttpMachineLink("m1", "http://127.0.0.1:47129")
        assert await machine.get() == BindingAck("m1", 5, "h")
        await machine.close()
        stop.set()
        await server

    asyncio.run(run())
