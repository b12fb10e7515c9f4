"""A run-away clean-up at six sites: with the guards, without them, and with each line of them alone.

The clean-up is an operator's script that takes one prefix after the other off the air, as on 2026-02-20, and
in seconds instead of minutes. "Unreachable" is judged by what the vantage points' routers were told on the
wire, at any moment, and by a packet to each prefix at the end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.bgp import Prefix
from controller.observe.history import never_lost
from controller.observe.stream import fetch_events
from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from labs.topology.generate import generate_six_sites

pytestmark = pytest.mark.lab

CUSTOMERS = 24
VICTIMS = [Prefix(f"100.64.{2 * i}.0/24") for i in range(CUSTOMERS)]
"""The first /24 of each of the first customers."""

VANTAGES = ("v1", "v2")


@dataclass(frozen=True)
class Armed:
    """Which lines of defence stand."""

    controller: bool = True
    controller_intents: bool = True
    agent_intents: bool = True
    keeper: bool = True
    budget: bool = True

    def files(self) -> dict[str, str]:
        """The policies that say so; production's defaults are not said at all."""
        found = {}
        if not self.controller:
            off = ("intents", "breaker", "staged", "last_site", "correlated", "shrinkage", "tasks")
            found["policy.toml"] = "[guards]\n" + "".join(f"{name} = false\n" for name in off)
        elif not self.controller_intents:
            found["policy.toml"] = "[guards]\nintents = false\nstaged = false\n"
        guards = {"intents": self.agent_intents, "keeper": self.keeper, "budget": self.budget}
        armed = all(guards.values())
        found["agent-policy.json"] = json.dumps({} if armed else {"guards": guards})
        return found


NOTHING = Armed(controller=False, agent_intents=False, keeper=False, budget=False)


@pytest.fixture(scope="session")
def topologies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("six-sites")


def lab_with(herald_lab: LabFactory, topologies: Path, name: str, armed: Armed) -> LiveLab:
    folder = topologies / name
    topology = folder / "six-sites.clab.yml"
    if not topology.exists():
        generate_six_sites(folder)
        addressing = json.loads((folder / "configs" / "addressing.json").read_text())
        addressing["accounts"] = addressing["accounts"][: CUSTOMERS + 1]
        for account in addressing["accounts"]:
            account["prefixes"] = account["prefixes"][:1]
        (folder / "configs" / "addressing.json").write_text(json.dumps(addressing))
        for file, text in armed.files().items():
            (folder / "configs" / file).write_text(text)
    return herald_lab(topology, HERALD_SPEAKER="bird")


def announce_all(lab: LiveLab, prefixes: Sequence[Prefix]) -> None:
    for prefix in prefixes:
        lab.ask(prefix, advertised=True)
    for prefix in prefixes:
        lab.wait_for_route(prefix, within=60)
    lab.wait_until(
        lambda: (
            {row.prefix for row in lab.sent()} >= set(prefixes)
            and all(site["status"]["settled"] for site in lab.client.sites())
        ),
        within=60,
        what="every site to have announced all",
    )


def run_away(lab: LiveLab, prefixes: Sequence[Prefix]) -> list[str]:
    """Withdraw all as one operator, who asks nobody; return the change-sets that the API accepted."""
    operator = lab.as_operator()
    made = [operator.advertise(prefix, advertised=False) for prefix in prefixes]
    return [change_set for change_set in made if change_set]


def settled(lab: LiveLab, change_sets: Sequence[str]) -> list[Any]:
    """Wait until each change-set is over, held, or waits at sites for good; return them."""
    found: list[Any] = []

    def quiet() -> bool:
        found[:] = [lab.client.change_set(change_set) for change_set in change_sets]
        return all(
            c.state in ("done", "failed", "held")
            or (c.sites and all(s.state not in ("pending", "delivered") for s in c.sites.values()))
            for c in found
        )

    lab.wait_until(quiet, within=60, what="the clean-up's change-sets to have come to rest")
    return found


def lost(lab: LiveLab, since: int) -> set[Prefix]:
    """The victims that some vantage point had no route for, at any moment since the mark."""
    events, stats = fetch_events(lab.inventory.capture_socket, 0)
    missed = stats.dropped + stats.gaps + stats.let_go
    verdicts = {
        (v, prefix): never_lost(events, v, prefix, since_seq=since, missed=missed)
        for v in VANTAGES
        for prefix in VICTIMS
    }
    assert {verdict.outcome for verdict in verdicts.values()} <= {"pass", "fail"}, verdicts
    return {prefix for (_, prefix), verdict in verdicts.items() if verdict.outcome == "fail"}


def withdrawn_by_site(lab: LiveLab, since: int) -> dict[str, set[Prefix]]:
    """What each site has taken from any neighbour."""
    found: dict[str, set[Prefix]] = {site.name: set() for site in lab.inventory.sites}
    routers = {site.router: site.name for site in lab.inventory.sites}
    for event in lab.updates(since=since):
        if event.sender in routers:
            found[routers[event.sender]] |= set(event.withdrawn) & set(VICTIMS)
    return found


def answers(lab: LiveLab, prefix: Prefix) -> bool:
    """Whether a machine answers for an address in ``prefix`` at both vantage points."""
    address = prefix.removesuffix("0/24") + "1"
    done = [lab.running.exec(v, ["ping", "-c", "1", "-W", "2", address]) for v in VANTAGES]
    return all(d.returncode == 0 for d in done)


def test_with_all_guards_nothing_is_lost_and_owners_go_on(herald_lab: LabFactory, topologies: Path) -> None:
    lab = lab_with(herald_lab, topologies, "armed", Armed())
    announce_all(lab, VICTIMS)
    mark = lab.mark()
    found = settled(lab, run_away(lab, VICTIMS))
    assert [c.state for c in found] == ["held"] * CUSTOMERS
    assert all("intents" in c.reason for c in found), found[0].reason
    # An owner's announcement, and his withdrawal, go their way meanwhile.
    other = Prefix(f"100.64.{2 * CUSTOMERS}.0/24")
    lab.announce(other)
    lab.wait_for_route(other)
    lab.withdraw(other)
    lab.wait_for_absence(other)
    assert withdrawn_by_site(lab, mark) == {site.name: set() for site in lab.inventory.sites}
    assert lost(lab, mark) == set()
    assert all(answers(lab, prefix) for prefix in VICTIMS)


def test_without_guards_it_is_the_outage(herald_lab: LabFactory, topologies: Path) -> None:
    lab = lab_with(herald_lab, topologies, "disarmed", NOTHING)
    announce_all(lab, VICTIMS)
    mark = lab.mark()
    run_away(lab, VICTIMS)
    for prefix in VICTIMS:
        lab.wait_for_absence(prefix, within=60)
    assert lost(lab, mark) == set(VICTIMS)
    assert not any(answers(lab, prefix) for prefix in VICTIMS[:3])


ALONE = {
    "the breaker": (Armed(controller_intents=False, agent_intents=False, keeper=False, budget=False), 5),
    "the agents' intents": (Armed(controller=False, keeper=False, budget=False), 0),
    "the keepers": (Armed(controller=False, agent_intents=False, budget=False), 0),
    "the agents' budget": (Armed(controller=False, agent_intents=False, keeper=False), 20),
}


@pytest.mark.slow
@pytest.mark.parametrize("line", ALONE)
def test_each_line_alone_bounds_the_harm(herald_lab: LabFactory, topologies: Path, line: str) -> None:
    armed, most = ALONE[line]
    lab = lab_with(herald_lab, topologies, line.replace("'", "").replace(" ", "-"), armed)
    announce_all(lab, VICTIMS)
    mark = lab.mark()
    settled(lab, run_away(lab, VICTIMS))
    assert len(lost(lab, mark)) <= most
    assert all(len(gone) <= 20 for gone in withdrawn_by_site(lab, mark).values()) or line == "the keepers"
