"""The pictures' numbers, and a page that needs nothing but itself."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from controller.bgp import AsPath, Prefix
from controller.observe.event import Announcement, Event
from controller.observe.inventory import Interface, Inventory, Node, Site
from labs.hunting.analysis import Hunt, analyse
from labs.hunting.layout import layout
from labs.hunting.replay import replay
from labs.hunting.report import write_report
from labs.hunting.series import bin_width, bins, graph, series, staircase, visible

P = Prefix("192.0.2.0/24")
T = 1_795_486_923_000_000_000
ASNS = {"site1": 64500, "r1": 65001, "r2": 65002, "r3": 65003}
LINKS = [("site1", "r1"), ("r1", "r2"), ("r1", "r3"), ("r2", "r3")]


def update(ms: float, sender: str, receiver: str, path: AsPath | None) -> Event:
    announced = () if path is None else (Announcement(P, path, None),)
    return Event(
        round(ms * 1000) + 10_000, T + round(ms * 1e6), sender, receiver, f"{sender}>{receiver}",
        f"{receiver}>{sender}", ASNS[sender], ASNS[receiver], "update", announced, () if path else (P,),
    )  # fmt: skip


BEFORE = [
    update(-9, "site1", "r1", (64500,)),
    update(-8, "r1", "r2", (65001, 64500)),
    update(-8, "r1", "r3", (65001, 64500)),
    update(-7, "r2", "r3", (65002, 65001, 64500)),
    update(-7, "r3", "r2", (65003, 65001, 64500)),
]
HUNT = [
    update(0, "site1", "r1", None),
    update(1, "r1", "r2", None),
    update(1, "r1", "r3", None),
    update(2, "r2", "r3", None),  # r2 takes r3's path up
    update(2, "r2", "r1", (65002, 65003, 65001, 64500)),
    update(3, "r3", "r2", None),
    update(4, "r2", "r1", None),
]


def inventory() -> Inventory:
    nodes = tuple(
        Node(
            name, "site" if name == "site1" else "transit", "bird", "", "",
            interfaces=tuple(
                Interface(f"to-{b}", b, f"to-{a}")
                for link in LINKS
                for a, b in (link, link[::-1])
                if a == name
            ),
        )
        for name in ASNS
    )  # fmt: skip
    machine = Node("m1", "machine", "linux", "", "", interfaces=(Interface("e", "site1", "e"),))
    return Inventory("t", "t", "", "", "1", "", "", "", (*nodes, machine), (Site("site1", "site1", ""),))


def test_a_router_keeps_a_path_while_it_announces_one_to_anybody() -> None:
    assert staircase("r2", P, BEFORE, HUNT, T) == ((-math.inf, 3), (0.002, 4), (0.004, None))
    assert staircase("r1", P, BEFORE, HUNT, T) == ((-math.inf, 2), (0.001, None))


def test_visible_counts_routers_with_a_path_free_of_their_own_as() -> None:
    # After 2 ms r1 holds r2's path, which goes through r1 itself: that does not count.
    points = visible(["r1", "r2", "r3"], P, BEFORE, HUNT, T)
    assert points == ((-math.inf, 3), (0.0, 2), (0.002, 1), (0.003, 0))


def test_bins_hold_each_update_once() -> None:
    found = bins(HUNT, T, 0.002)
    assert [(b.start, b.announcements, b.withdrawals) for b in found] == [
        (0.0, 0, 3),
        (0.002, 1, 2),
        (0.004, 0, 1),
    ]
    assert bins([], T, 0.002) == ()


@pytest.mark.parametrize(("end", "width"), [(0.157, 0.005), (0.0, 5e-6), (8.592, 0.5), (0.04, 0.001)])
def test_bin_widths_are_round(end: float, width: float) -> None:
    assert bin_width(end) == pytest.approx(width)


def test_the_graph_has_each_link_once_and_no_machines() -> None:
    found = graph(inventory(), HUNT)
    assert found.nodes == ("site1", "r1", "r2", "r3")
    assert found.edges == {("site1", "r1"): 1, ("r1", "r2"): 3, ("r1", "r3"): 1, ("r2", "r3"): 2}
    places = layout(found)
    assert len({(round(x, 3), round(y, 3)) for x, y in places.values()}) == 4


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    found = analysed(mrt="/x/hunt.mrt", drops=4)
    page = write_report(tmp_path / "out", found, inventory(), BEFORE, HUNT)
    assert (tmp_path / "out" / "hunt.png").read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', text)
    assert sources == ["data:image/png;base64,iVBORw0K"]
    assert not re.search(r"https?://|url\(|@import|<script src|fetch\(|XMLHttpRequest|WebSocket", text)
    assert "default-src 'none'; img-src data:" in text, "a browser is to load nothing"
    assert "65002 65003 65001 64500" in text
    assert "missed 4 packets" in text
    assert "{{" not in text


def test_bgplay_gets_what_each_router_used_slowed_a_thousand_times(tmp_path: Path) -> None:
    write_report(tmp_path, analysed(), inventory(), BEFORE, HUNT)
    found = json.loads((tmp_path / "hunt.bgplay.json").read_bytes())
    begin = T // 1_000_000_000
    assert (found["resource"], found["query_starttime"], found["query_endtime"]) == (P, begin, begin + 5)
    assert found["targets"] == [{"prefix": P}]
    assert found["sources"] == [{"id": f"r{i}", "as_number": 65000 + i} for i in (1, 2, 3)]
    assert {n["as_number"]: n["owner"] for n in found["nodes"]} == {
        64500: "site1", 65001: "r1", 65002: "r2", 65003: "r3"
    }  # fmt: skip
    assert [(s["source_id"], s["path"]) for s in found["initial_state"]] == [
        ("r1", [65001, 64500]),
        ("r2", [65002, 65001, 64500]),
        ("r3", [65003, 65001, 64500]),
    ]
    events = [
        (e["timestamp"] - begin, e["type"], e["attrs"]["source_id"], e["attrs"].get("path"))
        for e in found["events"]
    ]
    assert events == [
        (1, "W", "r1", None),
        (2, "W", "r2", None),
        (2, "A", "r2", [65002, 65003, 65001, 64500]),
        (3, "W", "r3", None),
        (4, "W", "r2", None),
    ]


def analysed(**more: object) -> Hunt:
    return analyse(HUNT, before=BEFORE, prefix=P, routers=["r1", "r2", "r3"], origins={"site1"}, **more)  # type: ignore[arg-type]


def test_a_replay_has_each_choice_of_each_router_and_each_message() -> None:
    found = analysed()
    shown = series(inventory(), P, BEFORE, HUNT, T)
    played = replay(inventory(), found, shown, before=BEFORE, updates=HUNT, t0_ns=T)
    names = [node.name for node in played.nodes]
    assert names == ["site1", "r1", "r2", "r3"]
    assert [node.ours for node in played.nodes] == [True, False, False, False]
    choices = [(c.at, names[c.node], names[c.to] if c.to >= 0 else None, c.length) for c in played.choices]
    assert choices == [
        (0, "r1", "site1", 2),
        (0, "r2", "r1", 3),
        (0, "r3", "r1", 3),
        (1, "r1", None, 0),
        (2, "r2", None, 0),
        (2, "r2", "r3", 4),
        (3, "r3", None, 0),
        (4, "r2", None, 0),
    ]
    assert [(s.at, names[s.sender], names[s.receiver], s.path) for s in played.said][:5:4] == [
        (0, "site1", "r1", ""),
        (2, "r2", "r1", "65002 65003 65001 64500"),
    ]
    assert played.end == 4
    assert sum(a + w for a, w in played.bins) == len(HUNT)
