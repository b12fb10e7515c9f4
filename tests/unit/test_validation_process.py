"""``herald serve --validation`` as a process, against stayrtr, nsd and a whois service of our own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.store import open_store
from tests.validation_parts import DIES_WITH_US, Nsd, StayRtr, Whois, roa, route_object

CIDR = "192.0.2.0/24"
BASE = "/client/v4/accounts/acme/addressing/prefixes"
PROGRAM = "from controller.cli import main; main()"
OTHERS = [roa(f"198.18.{n}.0/24", 64496) for n in range(20)]


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "herald.db"
    open_store(path).close()
    return path


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    made = tmp_path_factory.mktemp("v")
    (made / "state").mkdir()
    shutil.copy(empty_database, made / "state" / "herald.db")
    return made


class Serving:
    """A running ``herald serve``, and its operator's client."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(folder / "api.sock")),
            base_url="http://herald",
            headers={"Authorization": f"Bearer {(folder / 'state' / 'operator.token').read_text().strip()}"},
            timeout=30,
        )

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        answer = await self.http.request(method, path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    async def onboard(self, cidr: str = CIDR) -> dict[str, Any]:
        await self.call("POST", "/herald/v1/accounts", {"id": "acme", "name": "Acme"})
        found: dict[str, Any] = (await self.call("POST", BASE, {"cidr": cidr, "asn": None}))["result"]
        return found

    async def checks(self, prefix_id: str) -> dict[str, dict[str, Any]]:
        found = await self.call("GET", f"/herald/v1/accounts/acme/prefixes/{prefix_id}/checks")
        return {c["name"]: c for c in found["result"]}

    async def refused(self) -> int:
        """Wait until the source has a set that was refused; return its number of VRPs."""
        async with asyncio.timeout(30):
            while True:
                (source,) = (await self.call("GET", "/herald/v1/validation"))["sources"]
                if source["refused"] is not None:
                    return int(source["refused"])
                await asyncio.sleep(0.02)

    async def until(
        self, prefix_id: str, reached: Callable[[dict[str, dict[str, Any]]], bool]
    ) -> dict[str, Any]:
        """Wait until the checks are as they are to be."""
        found: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(30):
            while not found or not reached(found):
                await asyncio.sleep(0.02)
                found = await self.checks(prefix_id)
        return found


@contextlib.asynccontextmanager
async def serving(folder: Path, **config: object) -> AsyncIterator[Serving]:
    file = folder / "validation.json"
    file.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        *DIES_WITH_US, sys.executable, "-c", PROGRAM, "serve", "--state-dir", str(folder / "state"),
        "--socket", str(folder / "api.sock"), "--validation", str(file),
        stdout=asyncio.subprocess.PIPE, stderr=(folder / "serve.log").open("ab"),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"ready\n", (folder / "serve.log").read_text()
        serve = Serving(process, folder)
        async with serve.http:
            yield serve
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def states(found: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    return tuple(found[name]["state"] for name in ("irr", "rpki", "ownership"))


def test_a_prefix_is_checked_on_real_data_and_again_when_the_data_change(
    folder: Path, tmp_path: Path
) -> None:
    async def scenario(cache: StayRtr) -> None:
        zone: dict[str, list[str]] = {"2.0.192.in-addr.arpa.": []}
        async with Whois() as whois:
            with Nsd(tmp_path, zone) as nsd:
                sources = {"rtr": [cache.address], "whois": [whois.address], "dns": [nsd.address]}
                async with serving(folder, **sources) as serve:
                    prefix = await serve.onboard()
                    found = await serve.until(
                        prefix["id"], lambda c: states(c) == ("error", "valid", "error")
                    )
                    assert found["rpki"]["evidence"][0]["asn"] == 64500
                    assert found["rpki"]["source"] == cache.address
                    assert CIDR in found["irr"]["remedy"]
                    token = prefix["ownership_validation_token"]
                    assert token in found["ownership"]["remedy"]
                    cache.update([roa(CIDR, 64511), *OTHERS])
                    await serve.until(prefix["id"], lambda c: c["rpki"]["state"] == "invalid")
                    whois.objects[CIDR] = route_object(CIDR, 64500)
                    zone["2.0.192.in-addr.arpa."] = [f'_herald IN TXT "{token}"']
            with Nsd(tmp_path, zone) as nsd:
                sources["dns"] = [nsd.address]
                async with serving(folder, **sources) as serve:
                    await serve.call("POST", f"{BASE}/{prefix['id']}/validate")
                    await serve.until(prefix["id"], lambda c: states(c) == ("valid", "invalid", "valid"))
                    shown = (await serve.call("GET", f"{BASE}/{prefix['id']}"))["result"]
                    assert shown["rpki_validation_state"] == "invalid"
                    assert len(shown["observed"]["warnings"]) == 1

    with StayRtr(tmp_path, [roa(CIDR, 64500), *OTHERS]) as cache:
        asyncio.run(scenario(cache))


def test_while_a_server_is_slow_others_write_and_a_kill_loses_no_request(folder: Path) -> None:
    async def scenario() -> None:
        async with Whois({CIDR: route_object(CIDR, 64500)}) as whois:
            whois.hold.clear()
            config = {"whois": [whois.address], "concurrency": 1, "whois_timeout_s": 600}
            async with serving(folder, **config) as serve:
                prefix = await serve.onboard()
                async with asyncio.timeout(30):
                    while not whois.asked:  # noqa: ASYNC110 (another process asks)
                        await asyncio.sleep(0.01)
                await serve.onboard("198.51.100.0/24")  # a write, while the look-up waits
                assert len(whois.asked) == 1, "no more at once than there may be"
                assert states(await serve.checks(prefix["id"])) == ("pending",) * 3
                serve.process.kill()
                await serve.process.wait()
            whois.hold.set()
            async with serving(folder, **config) as serve:
                found = await serve.until(prefix["id"], lambda c: c["irr"]["state"] == "valid")
                assert found["rpki"]["reason"] == "no source is configured"

    asyncio.run(scenario())


def test_a_cache_that_dies_leaves_valid_with_a_warning_and_blocks_nothing_at_once(
    folder: Path, tmp_path: Path
) -> None:
    async def scenario(cache: StayRtr) -> None:
        async with serving(folder, rtr=[cache.address], rtr_expire_s=1) as serve:
            prefix = await serve.onboard()
            await serve.until(prefix["id"], lambda c: c["rpki"]["state"] == "valid")
            cache.kill()
            found = await serve.until(prefix["id"], lambda c: c["rpki"]["trouble"] != "")
            assert found["rpki"]["state"] == "valid"
            assert "not confirmed since" in found["rpki"]["warnings"][0]
            assert found["rpki"]["blocks"] is None
            other = await serve.onboard("198.51.100.0/24")
            found = await serve.until(other["id"], lambda c: c["rpki"]["state"] != "pending")
            assert found["rpki"]["state"] == "error", "an expired set says nothing, and never invalid"
            validation = await serve.call("GET", "/herald/v1/validation")
            assert validation["sources"][0]["state"] == "stale"

    with StayRtr(tmp_path, [roa(CIDR, 64500), *OTHERS]) as cache:
        asyncio.run(scenario(cache))


def test_a_shrunken_cache_is_taken_on_an_operators_word_alone_across_a_restart(
    folder: Path, tmp_path: Path
) -> None:
    async def scenario(cache: StayRtr) -> None:
        async with serving(folder, rtr=[cache.address]) as serve:
            prefix = await serve.onboard()
            await serve.until(prefix["id"], lambda c: c["rpki"]["state"] == "valid")
        cache.kill()
        few = StayRtr(tmp_path, [roa(CIDR, 64511)])
        few.port = cache.port
        with few:
            async with serving(folder, rtr=[cache.address]) as serve:
                assert await serve.refused() == 1
                await serve.call("POST", f"{BASE}/{prefix['id']}/validate")
                found = await serve.until(prefix["id"], lambda c: c["rpki"]["trouble"] != "")
                assert found["rpki"]["state"] == "valid"
                body = {"source": cache.address, "vrps": 1}
                await serve.call("POST", "/herald/v1/validation/accept?dry_run=true", body)
                assert await serve.refused() == 1
                await serve.call("POST", "/herald/v1/validation/accept", body)
                await serve.until(prefix["id"], lambda c: c["rpki"]["state"] == "invalid")

    with StayRtr(tmp_path, [roa(CIDR, 64500), *OTHERS]) as cache:
        asyncio.run(scenario(cache))


def test_a_wrong_configuration_is_one_line_and_nothing_starts(folder: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(AssertionError) as caught:
            async with serving(folder, rtr=["nowhere"]):
                pass
        assert "'nowhere' is no HOST:PORT" in str(caught.value)
        assert not (folder / "api.sock").exists()
        assert not (folder / "state" / "operator.token").exists()

    asyncio.run(scenario())
