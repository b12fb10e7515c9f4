"""An agent dies: nothing follows from it (SAFETY.md, I4)."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from tests.labs.faults import PREFIX, PREFIX6, SPEAKERS, TOPOLOGY, announced

pytestmark = pytest.mark.lab

HERALD = str(Path(sys.executable).with_name("herald"))
HOLD_TIME_S = 9
"""The hold time that the topology's speakers negotiate."""


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
@pytest.mark.parametrize("routes", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_a_killed_agent_costs_nothing_while_a_peer_sends_many_routes(
    herald_lab: LabFactory, speaker: str, routes: int
) -> None:
    lab = herald_lab(TOPOLOGY, **SPEAKERS[speaker])
    announced(lab)
    mark = lab.mark()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        lab.running.signal("agent:site1", signal.SIGKILL)
        try:
            send_many_routes(lab, Path(folder), routes)
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


def test_a_damaged_journal_begins_again_by_a_release_and_no_peer_loses_a_route(
    herald_lab: LabFactory, tmp_path: Path
) -> None:
    lab = herald_lab(TOPOLOGY, **SPEAKERS["exabgp"])
    announced(lab)
    journal = Path(lab.inventory.folder, "state", lab.inventory.instance, "agent-site1", "journal")
    mark = lab.mark()
    lab.running.signal("agent:site1", signal.SIGKILL)
    data = bytearray(journal.read_bytes())
    data[data.index(b"HJ1\n", 4) + 20] ^= 1  # of the second record: sound ones are behind it
    journal.write_bytes(data)
    lab.running.restart("agent:site1")
    agent = next(s.agent_socket for s in lab.inventory.sites if s.name == "site1")
    words = (
        "--agent",
        agent,
        "--key",
        lab.inventory.break_glass_key,
        "--who",
        "ann",
        "--reason",
        "a bad disk",
    )
    signed = subprocess.run(
        [HERALD, "site", "sign-release", *words], capture_output=True, text=True, timeout=60, check=True
    )
    (tmp_path / "release").write_text(signed.stdout)
    subprocess.run(
        [HERALD, "site", "release", str(tmp_path / "release"), "--agent", agent], timeout=60, check=True
    )
    # The controller brings the accounts anew; nothing that they ask for had gone meanwhile.
    lab.wait_until(
        lambda: (new := lab.site("site1")["status"])["settled"] and not new["fault"],
        within=60,
        what="site1's agent to be settled again",
    )
    assert [e for e in lab.updates(sender="site1", since=mark) if e.withdrawn] == []
    assert "vantage" in lab.holders(PREFIX) & lab.holders(PREFIX6)


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
