"""What is foretold of a hunt, against laws of path exploration and what daemons were measured to do."""

from __future__ import annotations

import random

import pytest

from controller.cli.foretold import foretold
from controller.forecast.foretell import foretell
from controller.forecast.network import NothingAnnouncedError, network
from controller.forecast.simulate import Host, Pace, simulate
from tests.forecasting import OURS, clique, row

MEASURED = {
    ("bird", 5): ((42, 74), (6, 13)),
    ("bird", 8): ((279, 584), (33, 71)),
    ("bird", 11): ((860, 1690), (85, 152)),
    ("frr", 5): ((54, 62), (8, 10)),
    ("frr", 8): ((240, 247), (26, 27)),
    ("frr", 11): ((702, 722), (59, 61)),
    ("gobgp", 5): ((31, 50), (9, 18)),
    ("gobgp", 8): ((300, 352), (64, 77)),
}
"""UPDATEs and distinct paths of real hunts, least and most (BIRD: 90 hunts and more, the others a few)."""


def chance(i: int):
    return random.Random(i).random


@pytest.mark.parametrize(("daemon", "n"), sorted(MEASURED))
def test_what_is_foretold_overlaps_what_was_measured(daemon: str, n: int) -> None:
    updates, paths = MEASURED[daemon, n]
    told = foretell(clique(n, daemon), ["site1"], chance)
    assert told.updates.least <= updates[1] and told.updates.most >= updates[0]
    assert told.paths_explored.least <= paths[1] and told.paths_explored.most >= paths[0]
    assert told.longest_path.most == (n if daemon == "gobgp" else n + 1)
    assert told.lost == tuple(f"r{i:02}" for i in range(1, n + 1)) and told.left == {}


def test_equal_chance_gives_equal_forecasts() -> None:
    assert foretell(clique(6), ["site1"], chance) == foretell(clique(6), ["site1"], chance)


def test_quick_acknowledgements_shorten_a_hunt() -> None:
    slow = [simulate(clique(8), ["site1"], chance(i)).spoken[-1].at_s for i in range(10)]
    quick = [simulate(clique(8), ["site1"], chance(i), host=Host(ack_s=0)).spoken[-1].at_s for i in range(10)]
    assert max(quick) < min(slow)


@pytest.mark.parametrize("n", [5, 8])
def test_an_mrai_makes_rounds_of_a_hunt(n: int) -> None:
    """One for each AS that the longest path grows by (RFC 4271, 9.2.1.1: withdrawals wait, too)."""
    paces = {"frr": Pace(gathers_s=0.05, mrai_s=5.0)}
    ends = {simulate(clique(n, "frr"), ["site1"], chance(i), paces=paces).spoken[-1].at_s for i in range(10)}
    assert {int(end // 5.0) for end in ends} <= {n - 4, n - 3, n - 2}


def test_with_another_site_routers_fall_back_and_say_little() -> None:
    """Two sites at two transits that know each other: who loses the one takes the other."""
    rows = [
        row("t1", "site1", (OURS,), best=True),
        row("t1", "t2", (65002, OURS)),
        row("t2", "site2", (OURS,), best=True),
        row("t2", "t1", (65001, OURS)),
    ]
    neighbours = {"t1": ["site1", "t2"], "t2": ["site2", "t1"], "site1": ["t1"], "site2": ["t2"]}
    routers = network(rows, neighbours=neighbours, daemons={}, origins={"site1", "site2"})
    told = foretell(routers, ["site1"], chance)
    assert told.lost == () and told.left == {"t1": ((65002, OURS),), "t2": ((OURS,),)}
    assert (told.updates.least, told.updates.most, told.paths_explored.most) == (2, 2, 0)
    assert foretold(told)[1] == f"t1 ends with 65002 {OURS}"


def test_a_choice_against_length_is_kept() -> None:
    """A longer path that a router prefers by policy stays preferred when it loses another."""
    rows = [
        row("t1", "site1", (OURS,)),
        row("t1", "t2", (65002, OURS), best=True),
        row("t2", "site2", (OURS,), best=True),
    ]
    neighbours = {"t1": ["site1", "t2"], "t2": ["site2", "t1"], "site1": ["t1"], "site2": ["t2"]}
    routers = network(rows, neighbours=neighbours, daemons={}, origins={"site1", "site2"})
    assert routers["t1"].prefers == {"t2"}
    assert foretell(routers, ["site1"], chance).left["t1"] == ((65002, OURS),)


def test_a_stub_is_not_taken_for_a_transit() -> None:
    """The vantage point has two transits; neither ever had a route from it that nothing would have hidden."""
    rows = [
        row("t1", "site1", (OURS,), best=True),
        row("t2", "site1", (OURS,), best=True),
        row("v", "t1", (65001, OURS), best=True),
        row("v", "t2", (65002, OURS)),
    ]
    neighbours = {"t1": ["site1", "v"], "t2": ["site1", "v"], "v": ["t1", "t2"], "site1": ["t1", "t2"]}
    routers = network(rows, neighbours=neighbours, daemons={}, origins={"site1"})
    assert routers["v"].asn is None
    assert {s.sender for s in simulate(routers, ["site1"], chance(0)).spoken} == {"site1", "t1", "t2"}


def test_nothing_announced_is_said() -> None:
    with pytest.raises(NothingAnnouncedError, match="no router has a route"):
        network([], neighbours={"t1": ["site1"], "site1": ["t1"]}, daemons={}, origins={"site1"})


def test_contracts_are_read_from_marks_and_limit_what_is_told() -> None:
    """t1 and t2 sell to us and are peers, t3 sells to both: no stale path goes up once it came down."""
    rows = [
        row("t1", "site1", (OURS,), best=True, mark="65001:1"),
        row("t1", "t2", (65002, OURS), mark="65001:2"),
        row("t2", "site2", (OURS,), best=True, mark="65002:1"),
        row("t2", "t1", (65001, OURS), mark="65002:2"),
        row("t3", "t1", (65001, OURS), best=True, mark="65003:1"),
        row("t3", "t2", (65002, OURS), mark="65003:1"),
    ]
    neighbours = {
        "t1": ["site1", "t2", "t3"], "t2": ["site2", "t1", "t3"], "t3": ["t1", "t2"],
        "site1": ["t1"], "site2": ["t2"],
    }  # fmt: skip
    routers = network(rows, neighbours=neighbours, daemons={}, origins={"site1", "site2"})
    assert routers["t1"].contracts == {"site1": "customer", "t2": "peer", "t3": "provider"}
    told = foretell(routers, ["site1"], chance)
    assert told.left == {"t1": ((65002, OURS),), "t2": ((OURS,),), "t3": ((65002, OURS),)}
    spoken = simulate(routers, ["site1"], chance(0)).spoken
    # t1 takes t2's, which is for its customer alone; from t2 and t3 it only takes back what they had of it.
    assert {(s.receiver, s.path) for s in spoken if s.sender == "t1"} == {
        ("site1", (65001, 65002, OURS)), ("t2", None), ("t3", None)
    }  # fmt: skip
