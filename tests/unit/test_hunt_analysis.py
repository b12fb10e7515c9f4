"""A hunt's figures, the Adj-RIBs-In by the wire, and when the network is at rest."""

from __future__ import annotations

import json

import msgspec
import pytest

from controller.bgp import AsPath, Prefix
from controller.observe.event import Announcement, Event
from controller.observe.holding import Holding
from controller.observe.inventory import Inventory, Site
from controller.observe.rib import RibRow
from controller.observe.settled import unsettled
from controller.observe.watch import Watch, watch
from labs.hunting.analysis import analyse
from labs.hunting.errors import HuntError
from labs.hunting.told import Told

P = Prefix("192.0.2.0/24")
OTHER = Prefix("198.51.100.0/24")
T = 1_795_486_923_000_000_000
ASNS = {"site1": 64500, "site2": 64500, "r1": 65001, "r2": 65002, "r3": 65003}


class Wire:
    """Events one after the other, as a capture numbers them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def say(self, ms: float, sender: str, receiver: str, *paths: AsPath, prefix: Prefix = P) -> Event:
        """One UPDATE: announces the paths (for one prefix), or withdraws."""
        return self.add(
            ms,
            sender,
            receiver,
            announced=tuple(Announcement(prefix, path, None) for path in paths),
            withdrawn=() if paths else (prefix,),
        )

    def add(self, ms: float, sender: str, receiver: str, kind: str = "update", **said: object) -> Event:
        event = Event(
            seq=len(self.events) + 1,
            at_ns=T + round(ms * 1e6),
            sender=sender,
            receiver=receiver,
            sender_address=f"{sender}-{receiver}",
            receiver_address=f"{receiver}-{sender}",
            sender_as=ASNS[sender],
            receiver_as=ASNS[receiver],
            kind=kind,  # type: ignore[arg-type]  # given by the tests as a literal
            **said,  # type: ignore[arg-type]  # likewise
        )
        self.events.append(event)
        return event


def triangle_hunt() -> Wire:
    """A triangle r1 r2 r3, its stub site1 on r1: what follows when the stub withdraws."""
    wire = Wire()
    wire.say(-2, "r3", "r2", (65003, 65001, 64500), prefix=OTHER)
    wire.say(0, "site1", "r1")
    wire.say(1, "r1", "r2", (65001, 65002, 65003, 64500))
    wire.say(1.5, "r1", "r3", (65001, 65002, 65003, 64500))
    wire.say(2, "r2", "r3", (65002, 65003, 65001, 64500))
    wire.say(3, "r1", "r2")
    wire.say(3, "r1", "r3")
    wire.say(4, "r2", "r3", (65002, (65003, 65009), 64500))
    wire.say(5, "r2", "r3")
    wire.add(6, "r3", "r2", kind="keepalive")
    return wire


def analysed(wire: Wire, **more: object) -> dict[str, object]:
    hunt = analyse(
        wire.events,
        before=(),
        prefix=P,
        routers=["r1", "r2", "r3"],
        origins={"site1"},
        **more,  # type: ignore[arg-type]  # named by the tests
    )
    decoded: dict[str, object] = json.loads(msgspec.json.encode(hunt))
    return decoded


def test_the_whole_answer_as_json() -> None:
    assert analysed(triangle_hunt(), mrt="x.mrt") == {
        "prefix": "192.0.2.0/24",
        "strategy": "plain",
        "routers": 3,
        "withdrawn_at": "2026-11-24T02:22:03.000000Z",
        "t_wire": 0.005,
        "t_rib": None,
        "t_data": None,
        "updates": 8,
        "withdrawals": 4,
        "paths_explored": 3,
        "longest_path": 4,
        "peers": [
            {
                "node": "r1",
                "updates": 4,
                "paths": [[65001, 65002, 65003, 64500]],
                "first_s": 0.001,
                "last_s": 0.003,
            },
            {
                "node": "r2",
                "updates": 3,
                "paths": [[65002, 65003, 65001, 64500], [65002, [65003, 65009], 64500]],
                "first_s": 0.002,
                "last_s": 0.005,
            },
            {"node": "r3", "updates": 0, "paths": [], "first_s": None, "last_s": None},
        ],
        "mrt": "x.mrt",
        "report": None,
        "kind": "Tdown",
        "depth": 4,
        "invalid": 4,
        "loops": [],
        "zombies": [],
        "sessions": [
            {"sender": "r1", "receiver": "r2", "announcements": 1, "withdrawals": 1},
            {"sender": "r1", "receiver": "r3", "announcements": 1, "withdrawals": 1},
            {"sender": "r2", "receiver": "r3", "announcements": 2, "withdrawals": 1},
            {"sender": "site1", "receiver": "r1", "announcements": 0, "withdrawals": 1},
        ],
        "back": None,
        "forecast": None,
    }


def fall_back_on_each_other(wire: Wire) -> None:
    """r2 and r3, whose paths lead through r1 to its stub; then that withdraws, and each takes the other."""
    for sender, receivers, path in (
        ("site1", ("r1",), (64500,)),
        ("r1", ("r2", "r3"), (65001, 64500)),
        ("r2", ("r1", "r3"), (65002, 65001, 64500)),
        ("r3", ("r1", "r2"), (65003, 65001, 64500)),
    ):
        for receiver in receivers:
            wire.say(-5, sender, receiver, path)
    wire.say(0, "site1", "r1")
    wire.say(1, "r1", "r2")
    wire.say(1, "r1", "r3")
    wire.say(2, "r2", "r1", (65002, 65003, 65001, 64500))
    wire.say(2, "r2", "r3")
    wire.say(2.5, "r3", "r1", (65003, 65002, 65001, 64500))
    wire.say(2.6, "r3", "r2")
    wire.say(3, "r2", "r1")


def halves(wire: Wire) -> dict[str, list[Event]]:
    return {
        "before": [e for e in wire.events if e.at_ns < T],
        "events": [e for e in wire.events if e.at_ns >= T],
    }


def whole(wire: Wire, **more: object) -> dict[str, object]:
    return msgspec.to_builtins(  # type: ignore[no-any-return]  # msgspec says Any
        analyse(**halves(wire), prefix=P, routers=["r1", "r2", "r3"], origins={"site1"}, **more)  # type: ignore[arg-type]
    )


def test_routers_that_take_each_others_word_loop_until_one_gives_up() -> None:
    wire = Wire()
    fall_back_on_each_other(wire)
    wire.say(3.5, "r3", "r1")
    found = whole(wire)
    assert found["loops"] == ({"members": ("r2", "r3"), "begin_s": 0.0025, "end_s": 0.003},)
    assert found["invalid"] == 2, "r1 had told both that it has no path any more"
    assert found["depth"] == 1
    assert found["zombies"] == ()


def test_a_loop_and_a_route_that_stay_are_told() -> None:
    wire = Wire()
    fall_back_on_each_other(wire)
    del wire.events[-1]
    found = whole(wire)
    assert found["loops"] == ({"members": ("r2", "r3"), "begin_s": 0.0025, "end_s": None},)
    assert found["zombies"] == (), "what r1 was told has its own AS in it"
    wire.say(4, "r3", "r2", (65003, 65009, 64500))
    assert whole(wire)["zombies"] == ("r2",)


def test_a_path_that_still_stands_is_not_invalid() -> None:
    wire = Wire()
    wire.say(-5, "site1", "r1", (64500,))
    wire.say(-5, "site2", "r2", (64500, 64500))
    wire.say(-5, "r1", "r3", (65001, 64500))
    wire.say(-5, "r2", "r3", (65002, 64500, 64500))
    wire.say(0, "site1", "r1")
    wire.say(1, "r1", "r3")
    wire.say(2, "r3", "r1", (65003, 65002, 64500, 64500))
    found = msgspec.to_builtins(
        analyse(
            **halves(wire), prefix=P, routers=["r1", "r2", "r3"], origins={"site1", "site2"}, everywhere=False
        )
    )
    assert (found["kind"], found["invalid"], found["zombies"], found["loops"]) == ("Tlong", 0, (), ())
    assert found["depth"] == 1


def test_who_does_not_know_all_messages_says_nothing_of_what_stands() -> None:
    wire = Wire()
    fall_back_on_each_other(wire)
    found = msgspec.to_builtins(
        analyse(halves(wire)["events"], prefix=P, routers=["r1"], origins={"site1"}, before=None)
    )
    assert [found[name] for name in ("depth", "invalid", "loops", "zombies")] == [None] * 4


def test_only_the_session_that_brought_a_path_takes_it_back() -> None:
    wire = Wire()
    wire.say(-5, "site1", "r1", (64500,))
    wire.say(-4, "r1", "r2", (65001, 64500))
    other = msgspec.structs.replace(
        wire.add(-3, "r1", "r2", kind="up"), sender_address="fd00::1", receiver_address="fd00::2"
    )
    told = Told(P, {"site1"}, [*wire.events[:-1], other])
    assert told.leads_to("r1") == "site1" and told.holders() == {"r1": True, "r2": True}
    told.apply(wire.add(-2, "r2", "r1", kind="down"))
    assert told.holders() == {"r1": True}


def test_how_it_came_back() -> None:
    wire = Wire()
    fall_back_on_each_other(wire)
    back = Wire()
    back.say(10, "site1", "r1", (64500,))
    back.say(11, "r1", "r2", (65001, 64500))
    back.say(12.5, "r2", "r3", (65002, 65001, 64500))
    back.add(20, "r2", "r3", kind="keepalive")
    assert whole(wire, back=back.events)["back"] == {
        "kind": "Tup", "t_wire": 0.0025, "updates": 3, "withdrawals": 0, "paths": 3
    }  # fmt: skip


def test_an_implicit_withdrawal_by_the_origin_is_t0() -> None:
    wire = Wire()
    wire.say(0, "site1", "r1", (64500, 64500, 64500))
    wire.say(7, "site1", "r1")
    hunt = analysed(wire)
    assert (hunt["t_wire"], hunt["updates"], hunt["withdrawals"]) == (0.007, 2, 1)


def test_an_update_that_withdraws_this_prefix_and_announces_another_has_nlri() -> None:
    wire = Wire()
    wire.say(0, "site1", "r1")
    wire.add(1, "r1", "r2", announced=(Announcement(OTHER, (65001,), None),), withdrawn=(P,))
    hunt = analysed(wire)
    assert (hunt["updates"], hunt["withdrawals"], hunt["paths_explored"]) == (2, 1, 0)


def test_t_rib_is_the_last_change_after_t0() -> None:
    changes = [T - 5_000_000, T + 2_300_000, T + 1_000_000]
    assert analysed(triangle_hunt(), rib_changes=changes)["t_rib"] == 0.0023
    assert analysed(triangle_hunt(), rib_changes=[T - 1])["t_rib"] is None


def test_drops_mark_the_hunt() -> None:
    assert "drops" not in analysed(triangle_hunt())
    assert analysed(triangle_hunt(), drops=3)["drops"] == 3


def test_without_a_word_of_the_origin_there_is_no_hunt() -> None:
    wire = Wire()
    wire.say(1, "r1", "r2")
    with pytest.raises(HuntError, match="no UPDATE about 192"):
        analysed(wire)


# -- Adj-RIBs-In ---------------------------------------------------------------------------------------------


def test_holders_are_those_with_a_path_free_of_their_own_as() -> None:
    wire = Wire()
    wire.say(0, "site1", "r1", (64500,))
    wire.say(1, "r1", "r2", (65001, 64500))
    wire.say(2, "r2", "r1", (65002, 65001, 64500))
    holding = Holding(P, wire.events[:1])
    assert holding.holders() == {"r1"}
    for event in wire.events[1:]:
        assert holding.apply(event)
    assert holding.holders() == {"r1", "r2"}
    assert len(holding.held()) == 3
    holding.apply(wire.say(3, "site1", "r1"))
    assert holding.holders() == {"r2"}  # what r1 has left goes through itself


def test_the_end_of_a_session_empties_both_directions() -> None:
    wire = Wire()
    wire.say(0, "r1", "r2", (65001, 64500))
    wire.say(1, "r2", "r1", (65002, 64500))
    holding = Holding(P, wire.events)
    assert holding.apply(wire.add(2, "r1", "r2", kind="down"))
    assert holding.held() == []
    assert holding.last_seq == 3
    assert not holding.apply(wire.add(3, "r1", "r2", kind="keepalive"))
    assert holding.last_seq == 3


# -- at rest -------------------------------------------------------------------------------------------------


def row(node: str, path: AsPath, from_: str | None, *, best: bool = False) -> RibRow:
    return RibRow(node, "bird", P, best, path, None, (), from_)


def rest() -> tuple[list[RibRow], Wire]:
    wire = Wire()
    wire.say(0, "site1", "r1", (64500,))
    wire.say(1, "r1", "r2", (65001, 64500))
    wire.say(1, "r1", "r3", (65001, 64500))
    wire.say(2, "r2", "r3", (65002, 65001, 64500))
    wire.say(2, "r2", "r1", (65002, 65001, 64500))  # loops: r1 holds it in no RIB
    rows = [
        row("r1", (64500,), "site1", best=True),
        row("r2", (65001, 64500), "r1", best=True),
        row("r3", (65001, 64500), "r1", best=True),
        row("r3", (65002, 65001, 64500), "r2"),
    ]
    return rows, wire


ROUTERS = {"r1", "r2", "r3"}


def test_at_rest() -> None:
    rows, wire = rest()
    assert unsettled(rows, Holding(P, wire.events).held(), ROUTERS) is None
    assert unsettled([], [], ROUTERS) is None


def test_a_message_on_its_way_is_unrest() -> None:
    rows, wire = rest()
    wire.say(3, "site1", "r1")
    assert unsettled(rows, Holding(P, wire.events).held(), ROUTERS) == "r1 still holds 64500 from site1"
    rows, wire = rest()
    del rows[3]
    assert (
        unsettled(rows, Holding(P, wire.events).held(), ROUTERS)
        == "r3 has not yet taken 65002 65001 64500 from r2"
    )


def test_a_router_with_news_that_it_has_not_told_is_unrest() -> None:
    rows, wire = rest()
    wire.say(3, "site1", "r1")
    del rows[0]  # r1 has taken the withdrawal, and r2 and r3 do not know
    assert unsettled(rows, Holding(P, wire.events).held(), ROUTERS) == "r1 has not yet told r2 of its change"


def test_prepending_on_export_is_no_unrest() -> None:
    wire = Wire()
    wire.say(0, "site1", "r1", (64500,))
    wire.say(1, "r1", "r2", (65001, 65001, 64500))
    rows = [row("r1", (64500,), "site1", best=True), row("r2", (65001, 65001, 64500), "r1", best=True)]
    assert unsettled(rows, Holding(P, wire.events).held(), ROUTERS) is None


# -- watching ------------------------------------------------------------------------------------------------


def test_watch_tells_each_update_and_ends_when_all_is_gone() -> None:
    rest_wire = rest()[1]
    wire = Wire()
    wire.events = list(rest_wire.events)
    before = len(wire.events)
    wire.say(10, "site1", "r1")
    wire.say(10.25, "r1", "r2")
    wire.say(10.5, "r1", "r3", (65001, 65002, 64500))
    wire.say(11, "r2", "r3")
    wire.say(11, "r2", "r1")
    wire.say(12, "r1", "r3")
    wire.say(13, "r3", "r1")
    watching = Watch(P, {"site1"}, wire.events[:before])
    lines: list[str] = []
    for event in wire.events[before:]:
        if watching.gone:
            break
        lines += watching.apply(event)
    assert lines == [
        "    +0.000 ms  site1 → r1  withdraws",
        "    +0.250 ms  r1 → r2  withdraws",
        "    +0.500 ms  r1 → r3  announces 65001 65002 64500",
        "    +1.000 ms  r2 → r3  withdraws",
        "    +1.000 ms  r2 → r1  withdraws",
        "    +2.000 ms  r1 → r3  withdraws",
    ]


def test_watch_says_when_the_events_end_too_early() -> None:
    site = Site("s1", "site1", "")
    inventory = Inventory("t", "t", "", "", "1", "", "", "", (), (site,))
    lines: list[str] = []
    assert not watch(rest()[1].events, inventory, P, lines.append)
    assert len(lines) == 5
