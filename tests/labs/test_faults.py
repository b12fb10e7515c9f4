"""What dies, and what must not follow from it (SAFETY.md, I4)."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path

import pytest

from controller.errors import HeraldError
from controller.observe.event import Event
from labs.live import LiveLab
from labs.pytest_plugin import LabFactory

pytestmark = pytest.mark.lab

TOPOLOGY = "topologies/two-sites/two-sites.clab.yml"
SPEAKERS = {
    "exabgp": {"HERALD_SPEAKER": "exabgp", "HERALD_SPEAKER_2": "exabgp"},
    "gobgp": {"HERALD_SPEAKER": "gobgp", "HERALD_SPEAKER_2": "gobgp"},
}
PREFIX, PREFIX6 = "192.0.2.0/24", "2001:db8:1000::/48"
HOLD_TIME_S = 9
"""The hold time that the topology's speakers negotiate."""


def announced(lab: LiveLab) -> None:
    for prefix in (PREFIX, PREFIX6):
        lab.announce(prefix)
        lab.wait_for_route(prefix)


def sent_by_us(lab: LiveLab, since: int) -> list[Event]:
    """UPDATEs of our sites, End-of-RIB markers aside."""
    return [
        event
        for event in lab.updates(since=since)
        if event.sender in ("site1", "site2") and (event.announced or event.withdrawn)
    ]


def speaker_process(lab: LiveLab) -> str:
    return next(p.name for p in lab.running.status().processes if p.name.startswith("site1/"))


def send_many_routes(lab: LiveLab, folder: Path, count: int) -> None:
    """Let t-bird announce ``count`` routes of its own to everybody, by a configuration beside its own."""
    own = (Path(lab.inventory.topology).parent / "configs" / "t-bird" / "bird.conf").read_text()
    routes = "".join(
        f"  route 100.{64 + i // 16384}.{i // 64 % 256}.{i % 64 * 4}/30 blackhole;\n" for i in range(count)
    )
    config = folder / "many.conf"
    config.write_text(own + f"\nprotocol static many {{\n  ipv4;\n{routes}}}\n")
    answer = lab.node("t-bird").run("birdc", "configure", f'"{config}"')
    assert "Reconfigur" in answer, answer


def restore_routes(lab: LiveLab) -> None:
    lab.node("t-bird").run("birdc", "configure", '"/etc/bird/bird.conf"')


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_killed_agent_costs_nothing_while_a_peer_sends_20_000_routes(
    herald_lab: LabFactory, speaker: str
) -> None:
    lab = herald_lab(TOPOLOGY, **SPEAKERS[speaker])
    announced(lab)
    mark = lab.mark()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        lab.running.signal("agent:site1", signal.SIGKILL)
        try:
            send_many_routes(lab, Path(folder), 20_000)
            lab.wait_for_route("100.64.0.0/30", ["t-frr", "t-gobgp", "t-openbgpd"], within=60)
            began = time.monotonic()
            # And again, three times within each hold time. Nothing marks the end but the time itself.
            for part in range(1, 10):
                ends = began + part * HOLD_TIME_S / 3
                lab.wait_until(lambda ends=ends: time.monotonic() > ends, within=60, what="time to pass")
                lab.node("t-bird").run("birdc", "reload", "out", "site1_4")
        finally:
            restore_routes(lab)
            lab.running.restart("agent:site1")
    seen = [e for e in lab.events(mark) if "site1" in (e.sender, e.receiver)]
    assert [e for e in seen if e.kind in ("down", "notification")] == []
    # A peer may ask for all routes again (RFC 2918); what must not be is a withdrawal.
    assert [e for e in seen if e.sender == "site1" and {PREFIX, PREFIX6} & set(e.withdrawn)] == []
    assert {"t-bird", "t-frr", "t-gobgp", "t-openbgpd", "vantage"} <= lab.holders(PREFIX) & lab.holders(
        PREFIX6
    )


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_restarted_agent_sends_nothing_and_goes_on_working(herald_lab: LabFactory, speaker: str) -> None:
    lab = herald_lab(TOPOLOGY, **SPEAKERS[speaker])
    announced(lab)
    mark = lab.mark()
    before = lab.site("site1")["status"]["version"]
    lab.running.restart("agent:site1")
    lab.wait_until(
        lambda: (new := lab.site("site1")["status"])["settled"] and new["version"] > before,
        what="site1's agent to be settled again",
    )
    assert lab.updates(sender="site1", since=mark) == []
    lab.withdraw(PREFIX)
    lab.wait_for_absence(PREFIX)


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_restarted_speaker_gets_its_routes_back(herald_lab: LabFactory, speaker: str) -> None:
    lab = herald_lab(TOPOLOGY, **SPEAKERS[speaker])
    announced(lab)
    with lab.never_lost("vantage", PREFIX), lab.never_lost("vantage", PREFIX6):
        lab.running.signal(speaker_process(lab), signal.SIGKILL)
        lab.wait_until(
            lambda: not any(row.from_ == "site1" for row in lab.ribs(PREFIX)), what="site1's routes to go"
        )
        lab.running.restart(speaker_process(lab))
        lab.wait_until(lambda: from_site1(lab) == 8, within=40, what="site1's routes to be back at all peers")


def from_site1(lab: LiveLab) -> int:
    return sum(row.from_ == "site1" for prefix in (PREFIX, PREFIX6) for row in lab.ribs(prefix))


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_routes_return_without_controller_and_database(herald_lab: LabFactory, speaker: str) -> None:
    lab = herald_lab(TOPOLOGY, **SPEAKERS[speaker])
    lab.spoiled = True
    announced(lab)
    with lab.never_lost("vantage", PREFIX), lab.never_lost("vantage", PREFIX6):
        lab.running.signal("serve", signal.SIGKILL)
        for file in lab.state_folder("serve").glob("herald.db*"):
            file.unlink()
        lab.running.signal("agent:site1", signal.SIGKILL)
        lab.running.signal(speaker_process(lab), signal.SIGKILL)
        lab.wait_until(
            lambda: not any(row.from_ == "site1" for row in lab.ribs(PREFIX)), what="site1's routes to go"
        )
        lab.running.restart(speaker_process(lab))
        lab.running.restart("agent:site1")
        lab.wait_until(lambda: from_site1(lab) == 8, within=40, what="site1's routes to be back at all peers")
        # And a controller that knows nothing takes nothing away.
        mark = lab.mark()
        lab.running.restart("serve")
        lab.wait_until(lambda: lab.site("site1")["reachable"], what="serve to have seen site1")
        assert sent_by_us(lab, mark) == []


def test_a_controller_killed_at_once_after_its_answer_still_delivers(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    lab.ask(PREFIX, advertised=True)
    lab.running.signal("serve", signal.SIGKILL)
    lab.running.restart("serve")
    lab.wait_for_route(PREFIX)


def test_a_damaged_database_is_said_and_takes_nothing_away(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    announced(lab)
    mark = lab.mark()
    lab.running.signal("serve", signal.SIGKILL)
    database = lab.state_folder("serve") / "herald.db"
    good = {file: file.read_bytes() for file in database.parent.glob("herald.db*")}
    for file in good:
        file.unlink()
    database.write_bytes(b"not a database at all" * 500)
    with pytest.raises(HeraldError, match=r"herald\.db"):
        lab.running.restart("serve")
    assert sent_by_us(lab, mark) == []
    assert database.read_bytes() == b"not a database at all" * 500
    for file, data in good.items():
        file.write_bytes(data)
    lab.running.restart("serve")
    lab.withdraw(PREFIX)
    lab.wait_for_absence(PREFIX)
