"""Two TCP connections of one pair of routers: which of them ends the session, and which only a try."""

from __future__ import annotations

import msgspec

from controller.observe.conversations import Conversations
from controller.observe.event import Event
from controller.observe.history import held, never_lost
from controller.observe.packet import ACK, FIN, RST, SYN, Segment
from tests.bgp_bytes import END_OF_RIB, KEEPALIVE, Talk, notification, opening, update

PREFIX = "192.0.2.0/24"
NAMES = {"10.0.0.1": "a", "10.0.0.2": "b"}


class Wire:
    def __init__(self) -> None:
        self.sessions = Conversations(NAMES)
        self.events: list[Event] = []
        self._now = 0

    def see(self, segment: Segment, node: str | None = None) -> None:
        self._now += 1000
        for event in self.sessions.segment(self._now, node or NAMES[segment.source], segment):
            self.events.append(msgspec.structs.replace(event, seq=len(self.events) + 1))

    def opens(self, talk: Talk) -> None:
        self.see(talk.send("left", flags=SYN))
        self.see(talk.send("right", flags=SYN | ACK))
        self.see(talk.send("left", opening(64501)))
        self.see(talk.send("right", opening(64502)))

    def established(self, talk: Talk) -> None:
        self.opens(talk)
        self.see(talk.send("left", KEEPALIVE))
        self.see(talk.send("right", KEEPALIVE))

    def turns(self) -> list[str]:
        return [e.kind for e in self.events if e.kind in ("up", "down")]


def carrying() -> tuple[Wire, Talk]:
    """One session, whose left side has announced a prefix."""
    wire, talk = Wire(), Talk(port=40000)
    wire.established(talk)
    wire.see(talk.send("left", update([PREFIX], path=[64501])))
    return wire, talk


def test_a_connection_refused_after_both_opens_leaves_the_session_and_its_routes() -> None:
    """BIRD takes a second connection beside an Established one, sends its OPEN, and refuses by Cease/7."""
    wire, first = carrying()
    mark = wire.events[-1].seq
    second = Talk("10.0.0.2", "10.0.0.1", port=41000)
    wire.opens(second)
    wire.see(second.send("right", notification(6, 7)))
    wire.see(second.send("right", flags=FIN | ACK))
    wire.see(second.send("left", flags=FIN | ACK))
    assert wire.turns() == ["up"]
    assert never_lost(wire.events, "b", PREFIX, since_seq=mark, missed=0).outcome == "pass"
    wire.see(first.send("right", flags=RST))
    assert wire.turns() == ["up", "down"]


def test_a_connection_that_is_tried_and_reset_says_nothing_either() -> None:
    wire, _ = carrying()
    second = Talk(port=41000)
    wire.opens(second)
    wire.see(second.send("left", KEEPALIVE))
    wire.see(second.send("right", flags=RST))
    assert wire.turns() == ["up"]


def test_an_established_connection_ends_the_one_that_died_before_its_own_first_route() -> None:
    wire, first = carrying()
    second = Talk(port=41000)
    wire.opens(second)
    assert wire.turns() == ["up"]
    wire.see(second.send("right", KEEPALIVE))
    wire.see(second.send("left", KEEPALIVE))
    assert wire.turns() == ["up", "down", "up"]
    wire.see(second.send("left", update([PREFIX], path=[64501, 64999])))
    assert [i.as_path for i in held(wire.events, "b", PREFIX)] == [(64501,), (64501, 64999)]
    wire.see(first.send("left", flags=RST))
    wire.see(second.send("left", END_OF_RIB))
    assert wire.turns() == ["up", "down", "up"]
    assert wire.sessions.sessions == 2


def test_an_update_shows_that_a_connection_is_established_when_its_keepalives_were_missed() -> None:
    wire, _ = carrying()
    second = Talk(port=41000)
    wire.opens(second)
    wire.see(second.send("left", update(["198.51.100.0/24"], path=[64501])))
    assert [e.kind for e in wire.events[-3:]] == ["down", "up", "update"]
    assert held(wire.events, "b", PREFIX)[-1].end_seq is not None


def test_segments_that_a_third_router_forwards_change_no_names() -> None:
    wire, talk = Wire(), Talk()
    for end, payload, flags in [
        ("left", b"", SYN),
        ("right", b"", SYN | ACK),
        ("left", opening(64501), ACK),
        ("right", opening(64502), ACK),
        ("left", update([PREFIX], path=[64501]), ACK),
        ("right", END_OF_RIB, ACK),
    ]:
        segment = talk.send(end, payload, flags)
        wire.see(segment)
        wire.see(segment, "between")
    assert {(e.sender, e.receiver) for e in wire.events} == {("a", "b"), ("b", "a")}
    assert [e.kind for e in wire.events] == ["open", "open", "up", "update", "update"]
