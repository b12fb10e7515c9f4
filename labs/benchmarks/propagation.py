"""From an API call to the last peer's Loc-RIB, against the same speakers driven by a bare script.

Both are timed by the same observer, which asks every router's own daemon in turn, over and over: its cost is
in both. The floor runs in the same lab, in turn with ours: for its part the sites' agents are killed (the
speakers keep their sessions), and the script writes the speakers' own commands.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import labs.runtimes.lab as runtime
from controller.bgp import Prefix, parse_prefix
from controller.cli.output import progress
from controller.observe.inventory import Inventory
from controller.observe.readers import read_ribs
from labs.benchmarks.bare_speakers import bare
from labs.benchmarks.samples import Comparison
from labs.live import LiveLab
from labs.topology.generate import generate_clique, generate_two_sites

DEADLINE_S = 30.0
PREFIX = parse_prefix("192.0.2.0/24")
FLOOR = "speakers' commands, bare script"


def until(inventory: Inventory, prefix: Prefix, *, present: bool) -> None:
    """Return when all routers (or none of them) hold ``prefix``."""
    wanted = {node.name for node in inventory.routers()} if present else set()
    deadline = time.monotonic() + DEADLINE_S
    while {row.node for row in read_ribs(inventory, prefix)} != wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{prefix} is not {'everywhere' if present else 'gone'} after {DEADLINE_S:g} s"
            )


def through_the_api(lab: LiveLab) -> tuple[float, float]:
    """Time one announcement and one withdrawal, each from the HTTP call on."""
    times = []
    for advertised in (True, False):
        began = time.monotonic()
        change_set = lab.ask(PREFIX, advertised=advertised)
        until(lab.inventory, PREFIX, present=advertised)
        times.append(time.monotonic() - began)
        if change_set is not None:
            lab.client.wait_change_set(change_set, DEADLINE_S)
    return times[0], times[1]


def by_bare_script(lab: LiveLab) -> tuple[float, float]:
    """Time the same with nothing but the speakers' own commands; the agents are not running."""
    agents = [f"agent:{site.name}" for site in lab.inventory.sites]
    for agent in agents:
        lab.running.signal(agent, signal.SIGKILL)
    speakers = [bare(lab.inventory.node(site.router)) for site in lab.inventory.sites]
    times = []
    for present in (True, False):
        began = time.monotonic()
        for speaker in speakers:
            speaker.write(PREFIX, withdraw=not present)
        until(lab.inventory, PREFIX, present=present)
        times.append(time.monotonic() - began)
    for speaker in speakers:
        speaker.close()
    for agent in agents:
        lab.running.restart(agent)
    lab.wait_until(
        lambda: all(row["reachable"] and row["status"]["settled"] for row in lab.client.sites()),
        what="agents to be settled again",
    )
    return times[0], times[1]


def measure(lab: LiveLab, name: str, runs: int) -> list[Comparison]:
    """Compare announcing and withdrawing on ``lab``, ours and the floor in turn."""
    through_the_api(lab)  # the first use of each daemon's reader is not counted
    ours, floor = [], []
    for _ in range(runs):
        ours.append(through_the_api(lab))
        floor.append(by_bare_script(lab))
    return [
        Comparison(
            f"{name}: {what}", FLOOR, tuple(pair[i] for pair in ours), tuple(pair[i] for pair in floor)
        )
        for i, what in enumerate(("announce call → last Loc-RIB", "withdraw call → gone from all"))
    ]


def measure_all(folder: Path, runs: int) -> list[Comparison]:
    """Measure on ``two-sites`` (four kinds of daemon) and on a clique of BIRDs, with each speaker."""
    found = []
    for speaker in ("exabgp", "gobgp"):
        variables = {"HERALD_SPEAKER": speaker, "HERALD_SPEAKER_2": speaker}
        topologies = {
            "two-sites": generate_two_sites(folder / speaker / "two-sites"),
            "clique 5": generate_clique(5, folder / speaker / "clique-5"),
        }
        for name, topology in topologies.items():
            progress(f"{name}, {speaker}: bringing it up, then {runs} runs")
            with runtime.temporary(topology, variables=variables) as running:
                found += measure(LiveLab(running), f"{name}, {speaker}", runs)
    return found
