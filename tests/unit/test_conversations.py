from __future__ import annotations

from controller.observe.conversations import Conversations
from controller.observe.event import Event
from controller.observe.packet import ACK, FIN, RST, SYN, Segment
from tests.bgp_bytes import END_OF_RIB, KEEPALIVE, Talk, notification, opening, update

NAMES = {"10.0.0.1": "a", "10.0.0.2": "b"}


class Wire:
    """Feeds segments as they left their senders, a microsecond apart."""

    def __init__(self) -> None:
        self.all = Conversations(NAMES)
        self.events: list[Event] = []
        self._now = 0

    def see(self, segment: Segment) -> list[Event]:
        self._now += 1000
        found = self.all.segment(self._now, NAMES[segment.source], segment)
        self.events += found
        return found

    def handshake(self, talk: Talk) -> None:
        self.see(talk.send("left", flags=SYN))
        self.see(talk.send("right", flags=SYN | ACK))

    def open(self, talk: Talk, left: int = 64501, right: int = 64502, four_octet: bool = True) -> None:
        self.handshake(talk)
        self.see(talk.send("left", opening(left)))
        self.see(talk.send("right", opening(right, four_octet=four_octet)))
        self.see(talk.send("right", KEEPALIVE))
        self.see(talk.send("left", KEEPALIVE))

    def kinds(self) -> list[str]:
        return [f"{e.sender}:{e.kind}" for e in self.events]


def test_a_session_from_its_first_segment_to_its_last() -> None:
    wire, talk = Wire(), Talk()
    wire.open(talk)
    raw = update(["192.0.2.0/24"], path=[64501])
    (event,) = wire.see(talk.send("left", raw))
    assert (event.sender, event.receiver, event.sender_as, event.receiver_as) == ("a", "b", 64501, 64502)
    assert event.announced[0].prefix == "192.0.2.0/24"
    assert event.raw == raw
    wire.see(talk.send("right", notification(6, 2)))
    wire.see(talk.send("right", flags=FIN | ACK))
    assert wire.kinds() == [
        *("a:open", "b:open", "b:up", "b:keepalive", "a:keepalive"),
        *("a:update", "b:notification", "b:down"),
    ]
    assert (wire.all.sessions, wire.all.gaps, wire.all.messages) == (1, 0, 6)


def test_fin_and_reset_end_a_session() -> None:
    for flags in (FIN | ACK, RST):
        wire, talk = Wire(), Talk()
        wire.open(talk)
        assert [e.kind for e in wire.see(talk.send("left", flags=flags))] == ["down"]


def test_a_refused_connection_says_nothing() -> None:
    wire, talk = Wire(), Talk()
    wire.see(talk.send("left", flags=SYN))
    assert wire.see(talk.send("right", flags=RST | ACK)) == []
    assert wire.all.gaps == 0


def test_two_octet_sessions_are_read_as_such() -> None:
    wire, talk = Wire(), Talk()
    wire.open(talk, four_octet=False)
    (event,) = wire.see(talk.send("left", update(["192.0.2.0/24"], path=[64501, 1], width=2)))
    assert not event.four_octet
    assert event.announced[0].as_path == (64501, 1)


def test_a_retransmission_counts_once() -> None:
    wire, talk = Wire(), Talk()
    wire.open(talk)
    segment = talk.send("left", update(["192.0.2.0/24"]))
    assert len(wire.see(segment)) == 1
    assert wire.see(segment) == []


def test_a_late_start_is_a_gap_and_the_next_message_is_read() -> None:
    wire, talk = Wire(), Talk()
    wire.see(talk.send("left", update(["192.0.2.0/24"])[30:] + KEEPALIVE + update(["10.0.0.0/8"])))
    assert wire.kinds() == ["a:keepalive", "a:update"]
    assert wire.all.gaps == 1
    wire.see(talk.send("left", flags=RST))
    assert wire.kinds()[-1] == "a:down"


def test_a_late_two_octet_session_is_found_out() -> None:
    wire, talk = Wire(), Talk()
    (event,) = wire.see(talk.send("left", update(["192.0.2.0/24"], path=[64501, 1, 2], width=2)))
    assert event.announced[0].as_path == (64501, 1, 2)


def test_a_dropped_segment_is_a_gap_once_later_bytes_are_acknowledged() -> None:
    wire, talk = Wire(), Talk()
    wire.open(talk)
    talk.send("left", update(["192.0.2.0/24"]))  # never captured
    assert wire.see(talk.send("left", update(["10.0.0.0/8"]))) == []
    (event,) = wire.see(talk.send("right"))
    assert (event.sender, event.announced[0].prefix) == ("a", "10.0.0.0/8")
    assert wire.all.gaps == 1


def test_a_malformed_update_is_kept_with_its_error_and_the_next_is_read() -> None:
    wire, talk = Wire(), Talk()
    wire.open(talk)
    bad = bytearray(update(["192.0.2.0/24"]))
    bad[-4] = 99
    first, second = wire.see(talk.send("left", bytes(bad) + END_OF_RIB))
    assert first.error is not None
    assert "99 bits" in first.error
    assert first.raw == bytes(bad)
    assert second.error is None


def test_of_colliding_connections_the_loser_ends_in_silence() -> None:
    wire, one, two = Wire(), Talk(port=40000), Talk(port=40001)
    wire.handshake(one)
    wire.handshake(two)
    for talk in (one, two):
        wire.see(talk.send("left", opening(64501)))
        wire.see(talk.send("right", opening(64502)))
    wire.see(two.send("right", notification(6, 7)))
    wire.see(two.send("right", flags=FIN | ACK))
    wire.see(one.send("left", update(["192.0.2.0/24"])))
    assert [k for k in wire.kinds() if k.endswith(("up", "down"))] == ["b:up"]


def test_a_session_that_nobody_ended_ends_when_the_next_is_up() -> None:
    wire, one, two = Wire(), Talk(port=40000), Talk(port=40001)
    wire.open(one)
    wire.see(one.send("left", update(["192.0.2.0/24"])))
    wire.open(two)
    assert [k[2:] for k in wire.kinds() if k.endswith(("up", "down"))] == ["up", "down", "up"]
    assert wire.see(one.send("left", flags=RST)) == []


def test_the_same_ports_again_are_a_new_connection() -> None:
    wire, talk = Wire(), Talk()
    wire.open(talk)
    talk.skip("left", 5_000_000)
    talk.skip("right", 9_000_000)
    wire.open(talk)
    assert [k[2:] for k in wire.kinds() if k.endswith(("up", "down"))] == ["up", "down", "up"]
    assert wire.all.gaps == 0
