"""Validation asks real parts: stayrtr over RTR, nsd over DNS, and a whois service of our own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from controller.bgp import Prefix
from controller.validation.checks import Answer, Subject
from controller.validation.config import ValidationConfig
from controller.validation.feeds import Feed
from controller.validation.sources import Sources
from controller.validation.vrps import VrpSet
from tests.validation_parts import Nsd, StayRtr, Whois, roa, route_object, write_export

CIDR = Prefix("192.0.2.0/24")
TOKEN = "5f9a2c1e-0000-4000-8000-1234567890ab"
SUBJECT = Subject("p", CIDR, 64500, TOKEN)
OTHERS = [roa(f"198.18.{n}.0/24", 64496) for n in range(20)]
RIGHT, WRONG = roa(CIDR, 64500), roa(CIDR, "AS64511")


class Followed:
    """Sources that are followed, and what they told."""

    def __init__(self, config: ValidationConfig, baselines: dict[str, int] | None = None) -> None:
        self.told: list[tuple[Feed, VrpSet | None]] = []
        self._moved = asyncio.Event()
        self.sources = Sources(config, self._changed, baselines)

    def _changed(self, feed: Feed, difference: VrpSet | None) -> None:
        self.told.append((feed, difference))
        self._moved.set()

    async def rpki(self) -> Answer:
        return (await self.sources.look(SUBJECT, ["rpki"]))["rpki"]

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something that is not told of is so."""
        async with asyncio.timeout(20):
            while not reached():  # noqa: ASYNC110 (nobody tells of it)
                await asyncio.sleep(0.01)

    async def next_change(self) -> None:
        """Wait until the sources tell of a change."""
        async with asyncio.timeout(20):
            await self._moved.wait()
        self._moved.clear()

    def trouble(self) -> str:
        (report,) = self.sources.report()
        return report.trouble


@contextlib.asynccontextmanager
async def followed(
    config: ValidationConfig, baselines: dict[str, int] | None = None
) -> AsyncIterator[Followed]:
    found = Followed(config, baselines)
    task = asyncio.create_task(found.sources.follow())
    try:
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_a_real_cache_is_followed_through_an_update(tmp_path: Path, version: str) -> None:
    async def scenario(cache: StayRtr) -> None:
        async with followed(ValidationConfig(rtr=(cache.address,))) as found:
            await found.next_change()
            first = await found.rpki()
            assert (first.outcome, first.source) == ("valid", cache.address)
            assert first.evidence[0] | {"source": ""} == {
                "prefix": CIDR, "max_length": 24, "asn": 64500, "matches": True, "source": ""
            }  # fmt: skip
            cache.update([WRONG, *OTHERS])
            await found.next_change()
            assert found.told[-1][1] is not None and len(found.told[-1][1]) == 2, "what differs, and no more"
            second = await found.rpki()
            assert second.outcome == "invalid"
            assert "AS64511, not AS64500" in second.reason
            cache.update(OTHERS)
            await found.next_change()
            assert (await found.rpki()).outcome == "missing"

    with StayRtr(tmp_path, [RIGHT, *OTHERS], "-protocol", version) as cache:
        asyncio.run(scenario(cache))


def test_a_killed_cache_leaves_the_last_good_set_until_it_expires_and_then_an_error(tmp_path: Path) -> None:
    async def scenario(cache: StayRtr) -> None:
        config = ValidationConfig(rtr=(cache.address,), rtr_expire_s=1.5)
        async with followed(config) as found:
            await found.next_change()
            cache.kill()
            await found.until(lambda: found.trouble() != "")
            kept = await found.rpki()
            assert kept.outcome == "valid" or len(found.told) > 1, "what was good stays so while it is fresh"
            await found.next_change()
            gone = await found.rpki()
            assert gone.outcome == "failed"
            assert "too old" in gone.reason
            with cache:
                await found.next_change()
                assert (await found.rpki()).outcome == "valid", "it comes back by itself"

    with StayRtr(tmp_path, [RIGHT, *OTHERS]) as cache:
        asyncio.run(scenario(cache))


def test_a_cache_that_has_shrunk_is_not_believed_until_somebody_says_so(tmp_path: Path) -> None:
    async def scenario(cache: StayRtr) -> None:
        async with followed(ValidationConfig(rtr=(cache.address,))) as found:
            await found.next_change()
            cache.update([WRONG])
            await found.until(lambda: found.trouble() != "")
            (report,) = found.sources.report()
            assert (report.state, report.vrps, report.refused) == ("fresh", 21, 1)
            assert "lost 21 of 21 VRPs" in report.trouble
            assert (await found.rpki()).outcome == "valid"
            found.sources.accept(cache.address, 1)
            assert (await found.rpki()).outcome == "invalid"

    with StayRtr(tmp_path, [RIGHT, *OTHERS]) as cache:
        asyncio.run(scenario(cache))


def test_what_was_good_before_a_restart_is_not_forgotten(tmp_path: Path) -> None:
    async def scenario(cache: StayRtr) -> None:
        async with followed(ValidationConfig(rtr=(cache.address,)), {cache.address: 1000}) as found:
            await found.until(lambda: found.trouble() != "")
            answer = await found.rpki()
            assert answer.outcome == "failed"
            assert "lost 979 of 1000" in answer.reason

    with StayRtr(tmp_path, [RIGHT, *OTHERS]) as cache:
        asyncio.run(scenario(cache))


@pytest.mark.parametrize(
    "rubbish", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x01\x04" + b"\xff" * 40, b"\x00" * 9]
)
def test_a_server_that_speaks_something_else_is_an_error(rubbish: bytes) -> None:
    async def scenario() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(rubbish)
            await reader.read(-1)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, followed(ValidationConfig(rtr=(address,), rtr_timeout_s=0.2)) as found:
            await found.until(lambda: found.trouble() != "")
            assert (await found.rpki()).outcome == "failed"

    asyncio.run(scenario())


def test_a_json_export_is_followed_and_a_bad_one_keeps_the_good_one(tmp_path: Path) -> None:
    export = tmp_path / "vrps.json"
    write_export(export, [roa(CIDR, 64500, expires=4_000_000_000), *OTHERS])

    async def scenario() -> None:
        config = ValidationConfig(vrp_json=(str(export),), vrp_interval_s=0.05, retry_s=0.05)
        async with followed(config) as found:
            await found.next_change()
            first = await found.rpki()
            assert first.outcome == "valid" and first.expires_at is not None
            for bad in ("", "{}", '{"roas": []}', '{"roas": [{"asn": 1}]}', "[" * 100_000, '{"roas": [nul'):
                export.write_text(bad)
                await found.until(lambda: found.trouble() != "")
                assert (await found.rpki()).outcome == "valid", bad[:20]
                write_export(export, [RIGHT, *OTHERS])
                await found.until(lambda: found.trouble() == "")
            export.unlink()
            await found.until(lambda: "cannot be read" in found.trouble())
            assert (await found.rpki()).outcome == "valid"

    asyncio.run(scenario())


async def answers_to(whois: Whois, **changes: object) -> dict[str, Answer]:
    config = ValidationConfig(whois=(whois.address,), **changes)
    sources = Sources(config, lambda *_: None)
    return dict(await sources.look(SUBJECT, ["irr", "ownership"]))


def test_route_objects_over_whois() -> None:
    async def scenario() -> None:
        async with Whois({CIDR: route_object(CIDR, 64500, f"herald-ownership={TOKEN}")}) as whois:
            found = await answers_to(whois)
            assert (found["irr"].outcome, found["ownership"].outcome) == ("valid", "valid")
            assert whois.asked == ["-r -T route 192.0.2.0/24"], "asked once for both"
            whois.objects[CIDR] = route_object(CIDR, 64511)
            found = await answers_to(whois)
            assert (found["irr"].outcome, found["ownership"].outcome) == ("invalid", "missing")
            assert found["irr"].evidence[0]["origin"] == 64511
            whois.objects[CIDR] = route_object("192.0.0.0/16", 64511)
            assert (await answers_to(whois))["irr"].outcome == "missing", "a covering object says nothing"
            del whois.objects[CIDR]
            assert (await answers_to(whois))["irr"].outcome == "missing"

    asyncio.run(scenario())


WHOLE = route_object(CIDR, 64511).encode()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "an empty answer"),
        (b"\n\n", "an empty answer"),
        (b"% nothing but comments\n", "comments alone"),
        (WHOLE[:-20], "broke off in the middle of a line"),
        (b"".join(WHOLE.splitlines(keepends=True)[:-1]), "no source"),
        (b"%ERROR:201: access denied for 192.0.2.1\n", "access denied"),
        (b"<html>busy</html>\n", "is no attribute"),
        (b"route: 192.0.2.0/24\norigin: AS1\nsource: \x00\n", "control character"),
        (WHOLE + b"remarks: " + b"x" * (1 << 20) + b"\n", "more than 1048576 octets"),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error_and_never_invalid(raw: bytes, says: str) -> None:
    async def scenario() -> None:
        async with Whois() as whois:
            whois.raw = raw
            found = await answers_to(whois)
            assert {a.outcome for a in found.values()} == {"failed"}
            assert says in found["irr"].reason

    asyncio.run(scenario())


def test_names_in_latin_1_are_no_obstacle() -> None:
    async def scenario() -> None:
        async with Whois() as whois:
            whois.raw = "route: 192.0.2.0/24\ndescr: Zürich\norigin: AS64500\nsource: T\n".encode("latin-1")
            assert (await answers_to(whois))["irr"].outcome == "valid"

    asyncio.run(scenario())


def test_a_silent_a_broken_and_an_absent_server_are_errors() -> None:
    async def scenario() -> None:
        async with Whois() as whois:
            whois.hold.clear()
            found = await answers_to(whois, whois_timeout_s=0.05)
            assert "did not answer within 0.05 s" in found["irr"].reason
            whois.hold.set()
            whois.reset = True
            assert (await answers_to(whois))["irr"].outcome == "failed"
        assert "cannot be asked" in (await answers_to(whois))["irr"].reason

    asyncio.run(scenario())


def test_one_registry_that_fails_spoils_an_invalid_but_no_valid() -> None:
    async def scenario() -> None:
        async with Whois({CIDR: route_object(CIDR, 64511)}) as wrong, Whois() as broken:
            broken.raw = b""
            sources = Sources(ValidationConfig(whois=(wrong.address, broken.address)), lambda *_: None)
            assert (await sources.look(SUBJECT, ["irr"]))["irr"].outcome == "failed"
            wrong.objects[CIDR] = route_object(CIDR, 64500)
            assert (await sources.look(SUBJECT, ["irr"]))["irr"].outcome == "valid"

    asyncio.run(scenario())


def test_the_token_in_the_reverse_zones_of_a_real_server(tmp_path: Path) -> None:
    zones = {
        "2.0.192.in-addr.arpa.": [f'_herald IN TXT "herald-ownership={TOKEN}"'],
        "0.51.198.in-addr.arpa.": [f'@ IN TXT "v=something" "{TOKEN}"', f'@ IN TXT "{TOKEN}"'],
        "1.51.198.in-addr.arpa.": ['_herald IN TXT "another"'],
        "0.0.10.in-addr.arpa.": ['_herald IN TXT "herald-ownership=someone-else"'],
        "8.b.d.0.1.0.0.2.ip6.arpa.": [f'_herald.0.0.0.0 IN TXT "{TOKEN}"'],
    }

    async def scenario(nsd: Nsd) -> None:
        sources = Sources(ValidationConfig(dns=(nsd.address,), dns_timeout_s=10), lambda *_: None)

        async def ask(cidr: str) -> Answer:
            subject = Subject("p", Prefix(cidr), 64500, TOKEN)
            return (await sources.look(subject, ["ownership"]))["ownership"]

        assert (await ask("192.0.2.0/24")).outcome == "valid"
        assert (await ask("198.51.0.0/24")).outcome == "valid", "at the zone itself"
        assert (await ask("2001:db8::/48")).outcome == "valid"
        both = await ask("198.51.0.0/23")
        assert both.outcome == "missing", "one of two zones proves nothing about the other"
        assert "1.51.198.in-addr.arpa." in both.reason
        assert (await ask("10.0.0.0/24")).outcome == "invalid", "somebody else's token"
        refused = await ask("203.0.113.0/24")
        assert refused.outcome == "failed", "a server that refuses has not said that there is nothing"
        assert "203.in-addr.arpa" in refused.reason

    with Nsd(tmp_path, zones) as nsd:
        asyncio.run(scenario(nsd))


def test_no_dns_server_is_an_error() -> None:
    async def scenario() -> None:
        async with Whois() as closed:
            pass
        sources = Sources(ValidationConfig(dns=(closed.address,), dns_timeout_s=0.2), lambda *_: None)
        assert (await sources.look(SUBJECT, ["ownership"]))["ownership"].outcome == "failed"

    asyncio.run(scenario())
