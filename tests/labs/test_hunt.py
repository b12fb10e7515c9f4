"""Path hunting in cliques of BIRD routers: the figures that the literature and our own runs imply."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import pytest
from mrtparse import Reader

from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from labs.topology.as_graph import as_graph
from labs.topology.generate import generate_clique, generate_hierarchy

pytestmark = pytest.mark.lab

HERALD = Path(sys.executable).parent / "herald"
MOST_UPDATES = {5: 240, 8: 2_000, 11: 5_000}
"""Three times the most UPDATEs of a hunt in 60 to 150 (74, 584, 1,642): how many there are is the scheduler's
doing, and differs between machines; a router that repeats itself does not stop there."""


REVERSED = {"customer": "provider", "peer": "peer", "provider": "customer"}


def hunt(lab: LiveLab, prefix: str, *options: str) -> dict[str, Any]:
    return herald(lab, "hunt", prefix, *options)


def herald(lab: LiveLab, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [HERALD, *words, "--json"],
        env={**os.environ, "HERALD_LAB": lab.inventory.topology},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def clique(herald_lab: LabFactory, folder: Path, n: int, speaker: str) -> LiveLab:
    path = folder / f"clique-{n}"
    topology = path / "clique.clab.yml"
    if not topology.exists():
        topology = generate_clique(n, path)
    return herald_lab(topology, HERALD_SPEAKER=speaker)


@pytest.fixture(scope="session")
def cliques(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cliques")


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("speaker", ["exabgp", "gobgp"])
@pytest.mark.parametrize("n", [5, 8, 11])
def test_a_hunt_in_a_clique_keeps_the_laws_of_path_exploration(
    herald_lab: LabFactory, cliques: Path, n: int, speaker: str, family: str
) -> None:
    lab = clique(herald_lab, cliques, n, speaker)
    prefix = "192.0.2.0/24" if family == "ipv4" else "2001:db8:1000::/48"
    result = hunt(lab, prefix)
    # Each of the n - 1 others had told n - 2 neighbours, and r1 all of them: each of that is taken back.
    assert result["withdrawals"] >= (n - 1) ** 2
    # A path of k routers was first announced with k - 1: each length in between was on the wire, too.
    announcements = result["updates"] - result["withdrawals"]
    assert announcements >= result["longest_path"] - 3
    assert result["paths_explored"] >= result["longest_path"] - 3
    assert result["paths_explored"] <= announcements
    assert result["updates"] <= MOST_UPDATES[n]
    # One router more than any simple path through the mesh, less what the last rounds never reached.
    assert n <= result["longest_path"] <= n + 1
    assert 0 < result["t_wire"] < 5
    assert result["routers"] == n
    assert {peer["node"] for peer in result["peers"]} == {f"r{i}" for i in range(1, n + 1)}
    for peer in result["peers"]:
        number = 65000 + int(peer["node"][1:])
        assert all(path[0] == number and path[-1] == 64500 for path in peer["paths"])
        assert len({tuple(path) for path in peer["paths"]}) == len(peer["paths"])
    assert sum(peer["updates"] for peer in result["peers"]) < result["updates"]
    told = result["forecast"]
    assert sorted(told["lost"]) == sorted(peer["node"] for peer in result["peers"]) and told["left"] == {}
    assert told["longest_path"]["most"] == n + 1

    assert bgpdump_updates(result["mrt"]) == (result["updates"], result["withdrawals"])
    assert mrtparse_updates(result["mrt"]) == (result["updates"], result["withdrawals"])


def bgpdump_updates(mrt: str) -> tuple[int, int]:
    """Count (UPDATEs, UPDATEs without NLRI) as bgpdump reads them: each of ours names one prefix."""
    done = subprocess.run(["bgpdump", "-m", mrt], capture_output=True, text=True, check=True)
    kinds = [line.split("|")[2] for line in done.stdout.splitlines()]
    return len(kinds), kinds.count("W")


def mrtparse_updates(mrt: str) -> tuple[int, int]:
    """The same counts from a second, independent reader."""
    updates = withdrawals = 0
    for entry in Reader(mrt):
        message = entry.data["bgp_message"]
        attributes = {next(iter(a["type"])): a["value"] for a in message.get("path_attributes", [])}
        updates += 1
        withdrawals += not message["nlri"] and 14 not in attributes
    return updates, withdrawals


def test_the_prefix_is_back_after_the_hunt(herald_lab: LabFactory, cliques: Path) -> None:
    lab = clique(herald_lab, cliques, 5, "exabgp")
    lab.announce("192.0.2.0/24")
    lab.wait_for_route("192.0.2.0/24")
    hunt(lab, "192.0.2.0/24")
    assert lab.holders("192.0.2.0/24") == {f"r{i}" for i in range(1, 6)}


def test_a_dry_run_foretells_who_falls_back_to_what(herald_lab: LabFactory) -> None:
    lab = herald_lab("topologies/two-sites/two-sites.clab.yml")
    lab.announce("192.0.2.0/24")
    lab.wait_for_route("192.0.2.0/24")
    told = herald(lab, "withdraw", "192.0.2.0/24", "--site", "site1", "--dry-run")["forecast"]
    assert told["lost"] == [] and told["left"].keys() == {node.name for node in lab.inventory.routers()}
    herald(lab, "withdraw", "192.0.2.0/24", "--site", "site1")
    lab.wait_until(
        lambda: not any(row.from_ == "site1" for row in lab.ribs("192.0.2.0/24")), what="site1's routes to go"
    )
    for row in lab.ribs("192.0.2.0/24"):
        if row.best:
            assert list(row.as_path) in told["left"][row.node], row


def test_contracts_keep_a_hunt_short_and_foretell_it(herald_lab: LabFactory, cliques: Path) -> None:
    lab = herald_lab(generate_hierarchy(14, cliques / "hierarchy-14"), HERALD_SPEAKER="bird")
    lab.announce("192.0.2.0/24")
    one = hunt(lab, "192.0.2.0/24", "--site", "site1")
    told = one["forecast"]
    assert told["lost"] == []
    assert one["longest_path"] <= told["longest_path"]["most"]
    every = hunt(lab, "192.0.2.0/24")
    assert every["forecast"]["left"] == {}
    # Whatever was tried is valley-free: after a step down or aside, only steps down follow.
    graph = as_graph(14, 1)
    number = {65000 + i: name for i, name in enumerate(graph.tiers, start=1)}
    what = {(a, b): relation for a, b, relation in graph.contracts}
    what |= {(b, a): REVERSED[relation] for (a, b), relation in what.items()}
    for peer in every["peers"]:
        for path in peer["paths"]:
            hops = [number[asn] for asn in reversed(path[:-1])]
            steps = [what[a, b] for a, b in pairwise(hops)]  # as the announcement went
            up = len(list(takewhile(lambda step: step == "provider", steps)))
            assert all(step == "customer" for step in steps[up + 1 :]), path
