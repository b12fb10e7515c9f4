"""On real daemons: what no machine serves, and a site that was put back from a backup, stays announced."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from tests.labs.test_agent_guard import FIRST, SECOND, TOPOLOGY, herald, socket_of, status_of

pytestmark = pytest.mark.lab


def announced(lab: LiveLab) -> None:
    lab.spoiled = True
    for prefix in (FIRST, SECOND):
        lab.announce(prefix)
        lab.wait_for_route(prefix)


def test_what_no_machine_serves_stays_and_the_site_shows_both_quorums(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    announced(lab)
    (site,) = [s for s in lab.inventory.sites if s.name == "site1"]
    with lab.never_lost("vantage", FIRST):
        for name in site.machines:
            machine = str(Path(lab.inventory.runtime, "machine", f"{name}.sock"))
            out, _ = herald("site", "absent", FIRST, "--machine", machine, "--seconds", "300")
            assert f"reports absent: {FIRST}" in out
        lab.wait_until(lambda: bool(status_of(lab, "site1").health), what="site1 to hear of it")
        shown = json.loads(herald("site", "show", "--agent", socket_of(lab, "site1"), "--json")[0])
        (wish,) = shown["health"]
        assert (wish["check"], wish["absent"], wish["holding"]) == ("policy", len(site.machines), 0)
        assert FIRST in shown["sent"]


def test_a_site_that_was_put_back_whole_is_told_by_the_controller(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    announced(lab)
    state, place = lab.state_folder("agent-site1"), Path(lab.inventory.runtime, "agent", "site1.epoch")
    copies = {path: state.with_name(f"copy-of-{path.name}") for path in (state, place)}
    shutil.copytree(state, copies[state])
    shutil.copy(place, copies[place])
    lab.withdraw(SECOND)
    lab.wait_for_absence(SECOND)
    with lab.never_lost("vantage", FIRST):
        lab.running.signal("agent:site1", signal.SIGKILL)
        shutil.rmtree(state)
        shutil.copytree(copies[state], state)
        shutil.copy(copies[place], place)
        lab.running.restart("agent:site1")
        lab.wait_until(lambda: bool(status_of(lab, "site1").fault), what="site1 to be quarantined")
        assert "older copy" in status_of(lab, "site1").fault
