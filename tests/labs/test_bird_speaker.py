"""BIRD as a site's speaker: the same promises as of the others, and its own ways to break them."""

from __future__ import annotations

import asyncio
import functools
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from controller.bgp import Prefix, Route
from controller.speakers import bird as driver
from controller.speakers.bird import BirdSpeaker
from controller.speakers.bird_control import BirdControl
from controller.speakers.protocol import SpeakerDownError, SpeakerRefusedError
from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from tests.labs.test_two_sites import PREFIXES, TRANSITS, wait_for_paths

pytestmark = pytest.mark.lab

TOPOLOGY = "topologies/two-sites/two-sites.clab.yml"
BIRD = {"HERALD_SPEAKER": "bird", "HERALD_SPEAKER_2": "bird"}
PREFIX, PREFIX6 = PREFIXES["ipv4", None], PREFIXES["ipv6", None]


def announced(lab: LiveLab) -> None:
    for prefix in (PREFIX, PREFIX6):
        lab.announce(prefix)
        lab.wait_for_route(prefix)


def from_site1(lab: LiveLab) -> int:
    return sum(row.from_ == "site1" for prefix in (PREFIX, PREFIX6) for row in lab.ribs(prefix))


@pytest.mark.parametrize("key", PREFIXES, ids=lambda key: f"{key[0]}-{key[1]}")
def test_announced_by_the_implied_paths_and_gone_after_the_withdrawal(
    herald_lab: LabFactory, key: tuple[str, int | None]
) -> None:
    lab = herald_lab(TOPOLOGY, **BIRD)
    prefix, asn = PREFIXES[key], key[1]
    origin = (64500,) if asn is None else (64500, asn)
    lab.announce(prefix)
    wait_for_paths(lab, prefix, origin)
    sent = lab.sent(prefix)
    assert {(r.node, r.from_, r.as_path) for r in sent} == {
        (site, transit, origin) for site in ("site1", "site2") for transit in TRANSITS
    }
    assert all(row.next_hop for row in sent), sent
    lab.withdraw(prefix)
    lab.wait_for_absence(prefix)
    assert lab.sent(prefix) == []


def test_a_restarted_agent_sends_nothing(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY, **BIRD)
    announced(lab)
    mark = lab.mark()
    before = lab.site("site1")["status"]["version"]
    lab.running.restart("agent:site1")
    lab.wait_until(
        lambda: (new := lab.site("site1")["status"])["settled"] and new["version"] > before,
        what="site1's agent to be settled again",
    )
    assert lab.updates(sender="site1", since=mark) == []


def test_a_restarted_bird_has_nothing_by_itself_and_gets_its_routes_back(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY, **BIRD)
    announced(lab)
    with lab.never_lost("vantage", PREFIX), lab.never_lost("vantage", PREFIX6):
        lab.running.signal("agent:site1", signal.SIGKILL)
        lab.running.signal("site1/bird", signal.SIGKILL)
        lab.wait_until(lambda: from_site1(lab) == 0, what="site1's routes to go")
        lab.running.restart("site1/bird")
        # Its file of routes is still there; what may be announced is not for a file to say (I2).
        assert "herald4" not in lab.node("site1").run("birdc", "show", "protocols")
        lab.running.restart("agent:site1")
        lab.wait_until(lambda: from_site1(lab) == 8, within=40, what="site1's routes to be back at all peers")


def test_what_somebody_else_configured_away_comes_back(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY, **BIRD)
    announced(lab)
    with lab.never_lost("vantage", PREFIX), lab.never_lost("vantage", PREFIX6):
        assert "Reconfigur" in lab.node("site1").run("birdc", "configure")
        lab.wait_until(
            lambda: "herald4" in lab.node("site1").run("birdc", "show", "protocols") and from_site1(lab) == 8,
            what="site1's routes to be back",
        )


# -- the driver alone, on a BIRD without neighbours -------------------------------------------------------


def story(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that awaits."""

    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        async def told() -> None:
            await test(**fixtures)

        asyncio.run(told())

    return run


class Alone:
    """A BIRD of the test's own, and what it needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.boot = folder / "boot.conf"
        self.boot.write_text("router id 10.0.0.1;\nprotocol device {}\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        bird = shutil.which("bird", path="/usr/sbin:/usr/bin")
        assert bird is not None
        self.process = subprocess.Popen(
            [
                bird,
                "-f",
                "-c",
                str(self.boot),
                "-s",
                str(self.folder / "ctl"),
                "-P",
                str(self.folder / "pid"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def speaker(self) -> BirdSpeaker:
        file = self.folder / "routes.conf"
        return BirdSpeaker(
            str(self.folder / "ctl"),
            config_file=file,
            config_path=str(file),
            boot_config=str(self.boot),
            local_as=64500,
        )

    async def attached(self) -> tuple[BirdSpeaker, frozenset[Route]]:
        speaker = self.speaker()
        async with asyncio.timeout(10):
            while True:
                try:
                    return speaker, await speaker.attach()
                except SpeakerDownError:
                    await asyncio.sleep(0.01)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    bird = Alone(tmp_path)
    bird.start()
    yield bird
    bird.stop()


async def said(control: BirdControl) -> list[str]:
    reply = await control.ask("show route protocol herald4 count")
    return [*(text for _, text in reply.lines), reply.said]


ROUTES = frozenset(
    {
        Route(Prefix("192.0.2.0/24"), (64500,)),
        Route(Prefix("198.51.100.0/24"), (64500, 64500, 64500, 64511), ("64500:1", "64500:2:3")),
        Route(Prefix("2001:db8::/48"), (64500, 64511), ("65535:0",)),
    }
)


@story
async def test_what_was_set_is_read_back_by_the_next_driver(alone: Alone) -> None:
    speaker, before = await alone.attached()
    assert before == frozenset()
    await speaker.set(ROUTES)
    await speaker.close()
    again, found = await alone.attached()
    assert found == ROUTES
    await again.set(frozenset(r for r in ROUTES if ":" in r.prefix))
    await again.close()
    _, found = await alone.attached()
    assert found == frozenset(r for r in ROUTES if ":" in r.prefix)


@story
async def test_an_equal_set_does_not_configure(alone: Alone) -> None:
    speaker, _ = await alone.attached()
    await speaker.set(ROUTES)
    (alone.folder / "routes.conf").unlink()
    await speaker.set(ROUTES)
    assert not (alone.folder / "routes.conf").exists()
    await speaker.close()


@pytest.mark.parametrize(
    "bad",
    [
        Route(Prefix("192.0.2.1/24"), (64500,)),
        Route(Prefix("192.0.2.0/24 unreachable; } protocol static x { ipv4; route 0.0.0.0/0"), (64500,)),
        Route(Prefix("203.0.113.0/24"), (64501,)),
        Route(Prefix("203.0.113.0/24"), (64500,), ("64500:1));",)),
        Route(Prefix("203.0.113.0/24"), (64500,), ("70000:1",)),
    ],
)
@story
async def test_what_is_malformed_is_refused_and_the_others_are_announced(alone: Alone, bad: Route) -> None:
    speaker, _ = await alone.attached()
    with pytest.raises(SpeakerRefusedError) as refused:
        await speaker.set(ROUTES | {bad})
    assert refused.value.prefixes == {bad.prefix}
    await speaker.close()
    _, found = await alone.attached()
    assert found == ROUTES


@story
async def test_a_configuration_that_bird_does_not_take_leaves_what_was(alone: Alone) -> None:
    speaker, _ = await alone.attached()
    await speaker.set(ROUTES)
    alone.boot.write_text("this is no configuration\n")
    more = Route(Prefix("203.0.113.0/24"), (64500,))
    with pytest.raises(SpeakerRefusedError) as refused:
        await speaker.set(ROUTES | {more})
    assert refused.value.prefixes == {more.prefix}
    await speaker.close()
    _, found = await alone.attached()
    assert found == ROUTES


@story
async def test_bird_goes_back_by_itself_when_the_driver_dies_before_it_has_looked(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker, _ = await alone.attached()
    await speaker.set(ROUTES)
    monkeypatch.setattr(driver, "UNDO_AFTER_S", 1)
    died = RuntimeError("as if killed between configure and confirm")

    async def die(_: object) -> None:
        raise died

    monkeypatch.setattr(driver, "_in_effect", die)
    with pytest.raises(RuntimeError):
        await speaker.set(frozenset())
    monkeypatch.undo()
    await speaker.close()
    # A new driver would confirm what it finds; so look on without one until BIRD has gone back by itself.
    control = await BirdControl.open(str(alone.folder / "ctl"))
    async with asyncio.timeout(10):
        while not any("2 of 2 routes" in t for t in await said(control)):  # noqa: ASYNC110 (BIRD tells nobody)
            await asyncio.sleep(0.02)
    await control.close()
    _, found = await alone.attached()
    assert found == ROUTES


@story
async def test_the_end_of_bird_is_noticed(alone: Alone) -> None:
    speaker, _ = await alone.attached()
    await speaker.set(ROUTES)
    lost = asyncio.ensure_future(speaker.lost())
    alone.stop()
    async with asyncio.timeout(10):
        await lost
    with pytest.raises(SpeakerDownError):
        await speaker.set(frozenset())
    await speaker.close()
    alone.start()
    _, found = await alone.attached()
    assert found == frozenset()
