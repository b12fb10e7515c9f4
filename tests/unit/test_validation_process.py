"""``herald serve --validation`` as a process, against stayrtr, nsd and a whois service of our own."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests import serve_process
from tests.serve_process import BASE, CIDR, Serve
from tests.validation_parts import Nsd, StayRtr, Whois, roa, route_object

OTHERS = [roa(f"198.18.{n}.0/24", 64496) for n in range(20)]


class Checked(Serve):
    """A running ``herald serve`` that checks prefixes."""

    async def result(self, method: str, path: str, body: object = None) -> Any:
        return (await self.call(method, path, body)).json()

    async def onboarded(self, cidr: str = CIDR) -> dict[str, Any]:
        """Onboard a prefix, and no more: it is to be checked."""
        await self.call("POST", "/herald/v1/accounts", {"id": "acme", "name": "Acme"})
        found: dict[str, Any] = (await self.result("POST", BASE, {"cidr": cidr, "asn": None}))["result"]
        return found

    async def checks(self, prefix_id: str) -> dict[str, dict[str, Any]]:
        found = await self.result("GET", f"/herald/v1/accounts/acme/prefixes/{prefix_id}/checks")
        return {c["name"]: c for c in found["result"]}

    async def refused(self) -> int:
        """Wait until the source has a set that was refused; return its number of VRPs."""
        async with asyncio.timeout(30):
            while True:
                (source,) = (await self.result("GET", "/herald/v1/validation"))["sources"]
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
async def serving(folder: Path, **config: object) -> AsyncIterator[Checked]:
    file = folder / "validation.json"
    file.write_text(json.dumps(config))
    async with serve_process.serving(folder, "--validation", str(file)) as serve:
        yield Checked(serve.process, serve.client)


def states(found: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    return tuple(found[name]["state"] for name in ("irr", "rpki", "ownership"))


def test_a_prefix_is_checked_on_real_data_and_again_when_the_data_change(
    serve_folder: Path, tmp_path: Path
) -> None:
    async def scenario(cache: StayRtr) -> None:
        zone: dict[str, list[str]] = {"2.0.192.in-addr.arpa.": []}
        async with Whois() as whois:
            with Nsd(tmp_path, zone) as nsd:
                sources = {"rtr": [cache.address], "whois": [whois.address], "dns": [nsd.address]}
                async with serving(serve_folder, **sources) as serve:
                    prefix = await serve.onboarded()
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
                async with serving(serve_folder, **sources) as serve:
                    await serve.call("POST", f"{BASE}/{prefix['id']}/validate")
                    await serve.until(prefix["id"], lambda c: states(c) == ("valid", "invalid", "valid"))
                    shown = (await serve.result("GET", f"{BASE}/{prefix['id']}"))["result"]
                    assert shown["rpki_validation_state"] == "invalid"
                    assert len(shown["observed"]["warnings"]) == 1

    with StayRtr(tmp_path, [roa(CIDR, 64500), *OTHERS]) as cache:
        asyncio.run(scenario(cache))


def test_while_a_server_is_slow_others_write_and_a_kill_loses_no_request(serve_folder: Path) -> None:
    async def scenario() -> None:
        async with Whois({CIDR: route_object(CIDR, 64500)}) as whois:
            whois.hold.clear()
            config = {"whois": [whois.address], "concurrency": 1, "whois_timeout_s": 600}
            async with serving(serve_folder, **config) as serve:
                prefix = await serve.onboarded()
                async with asyncio.timeout(30):
                    while not whois.asked:  # noqa: ASYNC110 (another process asks)
                        await asyncio.sleep(0.01)
                await serve.onboarded("198.51.100.0/24")  # a write, while the look-up waits
                assert len(whois.asked) == 1, "no more at once than there may be"
                assert states(await serve.checks(prefix["id"])) == ("pending",) * 3
                await serve.kill()
            whois.hold.set()
            async with serving(serve_folder, **config) as serve:
                found = await serve.until(prefix["id"], lambda c: c["irr"]["state"] == "valid")
                assert found["rpki"]["reason"] == "no source is configured"

    asyncio.run(scenario())


def test_a_cache_that_dies_leaves_valid_with_a_warning_and_blocks_nothing_at_once(
    serve_folder: Path, tmp_path: Path
) -> None:
    async def scenario(cache: StayRtr) -> None:
        async with serving(serve_folder, rtr=[cache.address], rtr_expire_s=1) as serve:
            prefix = await serve.onboarded()
            await serve.until(prefix["id"], lambda c: c["rpki"]["state"] == "valid")
            cache.kill()
            found = await serve.until(prefix["id"], lambda c: c["rpki"]["trouble"] != "")
            assert found["rpki"]["state"] == "valid"
            assert "not confirmed since" in found["rpki"]["warnings"][0]
            assert found["rpki"]["blocks"] is None
            other = await serve.onboarded("198.51.100.0/24")
            found = await serve.until(other["id"], lambda c: c["rpki"]["state"] != "pending")
            assert found["rpki"]["state"] == "error", "an expired set says nothing, and never invalid"
            validation = await serve.result("GET", "/herald/v1/validation")
            assert validation["sources"][0]["state"] == "stale"

    with StayRtr(tmp_path, [roa(CIDR, 64500), *OTHERS]) as cache:
        asyncio.run(scenario(cache))


def test_a_shrunken_cache_is_taken_on_an_operators_word_alone_across_a_restart(
    serve_folder: Path, tmp_path: Path
) -> None:
    async def scenario(cache: StayRtr) -> None:
        async with serving(serve_folder, rtr=[cache.address]) as serve:
            prefix = await serve.onboarded()
            await serve.until(prefix["id"], lambda c: c["rpki"]["state"] == "valid")
        cache.kill()
        few = StayRtr(tmp_path, [roa(CIDR, 64511)])
        few.port = cache.port
        with few:
            async with serving(serve_folder, rtr=[cache.address]) as serve:
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


def test_a_wrong_configuration_is_one_line_and_nothing_starts(serve_folder: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(AssertionError) as caught:
            async with serving(serve_folder, rtr=["nowhere"]):
                pass
        assert "'nowhere' is no HOST:PORT" in str(caught.value)
        assert not (serve_folder / "api.sock").exists()
        assert not (serve_folder / "state" / "operator.token").exists()

    asyncio.run(scenario())
