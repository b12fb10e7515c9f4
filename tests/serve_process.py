"""``herald serve`` as a process of its own, for tests that end, kill or restart it.

The fixture ``serve_folder`` (every test has it, by ``conftest.py``) is what :func:`serving` runs in.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.bgp import Prefix
from controller.store import open_store
from tests.validation_parts import DIES_WITH_US

READY_S = 60.0
CIDR = Prefix("192.0.2.0/24")
BASE = "/client/v4/accounts/acme/addressing/prefixes"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated store with nothing in it: migrations cost more than most tests."""
    path = tmp_path_factory.mktemp("empty") / "herald.db"
    open_store(path).close()
    return path


@pytest.fixture
def serve_folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A short folder (unix sockets) whose ``state`` is the state directory of a new controller."""
    made = tmp_path_factory.mktemp("s")
    (made / "state").mkdir()
    shutil.copy(empty_database, made / "state" / "herald.db")
    return made


def serve_command(folder: Path, *arguments: str) -> list[str]:
    """Return the command line; it listens on ``api.sock`` unless ``arguments`` say where."""
    where = () if "--listen" in arguments else ("--socket", str(folder / "api.sock"))
    program = "from controller.cli import main; main()"
    command = [*DIES_WITH_US, sys.executable, "-c", program, "serve", "--state-dir", str(folder / "state")]
    return [*command, *where, *arguments]


def operator_token(folder: Path) -> str:
    return (folder / "state" / "operator.token").read_text().strip()


@contextlib.asynccontextmanager
async def started(
    folder: Path, *arguments: str, stderr: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it, from the moment it is ready until the block ends (killed then, if it has not ended).

    Its log goes to ``serve.log`` in ``folder``, across restarts, unless ``stderr`` says ``PIPE``; one that
    does not start is an AssertionError with the log.
    """
    log = folder / "serve.log"
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *serve_command(folder, *arguments), stdout=asyncio.subprocess.PIPE, stderr=stderr or file
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            first = await process.stdout.readline()
        assert first == b"ready\n", log.read_text()
        yield process
    finally:
        await killed(process)


async def killed(process: asyncio.subprocess.Process) -> None:
    """Kill it if it still runs, and wait for its end."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.communicate()


@dataclass
class Serve:
    """One life of the process, with a client that holds the operator's token."""

    process: asyncio.subprocess.Process
    client: httpx.AsyncClient

    async def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        answer = await self.client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer

    async def kill(self) -> None:
        await killed(self.process)

    async def onboard(self) -> str:
        """Onboard, approve and bind a prefix; return its BGP prefix's id."""
        await self.call("POST", "/herald/v1/services", {"id": "cdn", "name": "CDN"})
        await self.call("POST", "/herald/v1/accounts", {"id": "acme", "name": "Acme"})
        prefix = (await self.call("POST", BASE, {"cidr": CIDR, "asn": None})).json()["result"]["id"]
        await self.call("POST", f"{BASE}/{prefix}/approve")
        await self.call("POST", f"{BASE}/{prefix}/bindings", {"cidr": CIDR, "service_id": "cdn"})
        found: dict[str, Any] = (await self.call("GET", f"/herald/v1/bgp_prefixes?cidr={CIDR}")).json()
        return str(found["bgp_prefix_id"])

    async def advertise(self, bgp_prefix: str, advertised: bool) -> str:
        """Ask as the prefix's owner; return the change-set."""
        body = {"role": "customer", "account_id": "acme", "description": "owner"}
        token = (await self.call("POST", "/herald/v1/tokens", body)).json()["token"]
        path = f"/herald/v1/accounts/acme/bgp_prefixes/{bgp_prefix}/advertisement"
        answer = await self.client.request(
            "PUT",
            path,
            json={"advertised": advertised, "sites": None},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.is_success, answer.text
        return answer.headers["Herald-Change-Set"]

    async def over(self, change_set: str) -> dict[str, Any]:
        answer = await self.call("GET", f"/herald/v1/change-sets/{change_set}?wait=20")
        found: dict[str, Any] = answer.json()
        return found


@contextlib.asynccontextmanager
async def serving(folder: Path, *arguments: str) -> AsyncIterator[Serve]:
    """As :func:`started`, on the unix socket, with a client."""
    async with (
        started(folder, *arguments) as process,
        httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(folder / "api.sock")),
            base_url="http://herald",
            headers={"Authorization": f"Bearer {operator_token(folder)}"},
            timeout=30,
        ) as client,
    ):
        yield Serve(process, client)
