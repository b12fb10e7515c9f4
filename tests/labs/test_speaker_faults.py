"""A speaker dies, and the controller with its database: the routes return (SAFETY.md, I4)."""

from __future__ import annotations

import signal

import pytest

from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from tests.labs.faults import PREFIX, PREFIX6, SPEAKERS, TOPOLOGY, announced, sent_by_us

pytestmark = pytest.mark.lab


def speaker_process(lab: LiveLab) -> str:
    return next(p.name for p in lab.running.status().processes if p.name.startswith("site1/"))


def from_site1(lab: LiveLab) -> int:
    return sum(row.from_ == "site1" for prefix in (PREFIX, PREFIX6) for row in lab.ribs(prefix))


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
