"""Laws of what reads the wire: any split gives the stream back, any bytes give a message or a typed error."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.observe.bgp_message import parse_message
from controller.observe.bgp_update import MessageForm, Update
from controller.observe.conversations import Conversations
from controller.observe.errors import BgpMessageError, WireError
from controller.observe.merge import Merge, Packet
from controller.observe.packet import ACK, parse_segment
from controller.observe.tcp_stream import Framer, Gap, TcpStream
from tests.bgp_bytes import (
    END_OF_RIB,
    KEEPALIVE,
    Talk,
    message,
    notification,
    opening,
    packet,
    update,
    update6,
)

REAL = [
    opening(64500, restart_s=120, add_path=3),
    opening(70000, four_octet=False),
    update(["192.0.2.0/24", "10.0.0.0/8"], ["198.51.100.0/24"], communities=[(1, 2)]),
    update6(["2001:db8::/48"], ["2001:db8:1::/48"], next_hops=["fd00::1", "fe80::1"]),
    END_OF_RIB,
    KEEPALIVE,
    notification(6, 2, b"\x03bye"),
    message(5, b"\0\1\0\1"),
]
FORMS = [
    MessageForm(),
    MessageForm(four_octet=False),
    MessageForm(add_path=frozenset({(1, 1), (2, 1)})),
]


def read(raw: bytes, form: MessageForm) -> None:
    try:
        parse_message(raw, form)
    except BgpMessageError as error:
        assert 0 <= error.offset <= max(len(raw), 19)
        assert "\n" not in str(error)


@given(st.binary(max_size=200), st.integers(1, 5), st.sampled_from(FORMS))
def test_any_body_is_read_or_refused(body: bytes, kind: int, form: MessageForm) -> None:
    read(message(kind, body), form)
    read(body, form)


@given(st.sampled_from(REAL), st.data(), st.sampled_from(FORMS))
def test_a_damaged_message_is_read_or_refused(raw: bytes, data: st.DataObject, form: MessageForm) -> None:
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(16, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(damaged), form)
    read(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), form)


prefixes = st.builds(
    lambda bits, length: f"{'.'.join(str(b) for b in (bits << (32 - length)).to_bytes(4, 'big'))}/{length}",
    st.integers(0, 255),
    st.integers(8, 32),
)
hops = st.one_of(
    st.integers(1, 2**32 - 1),
    st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=4).map(lambda s: tuple(sorted(s))),
)


@given(st.lists(prefixes, max_size=8), st.lists(prefixes, max_size=8), st.lists(hops, min_size=1, max_size=6))
def test_what_was_written_is_read(up: list[str], down: list[str], path: list[int | tuple[int, ...]]) -> None:
    found = parse_message(update(up, down, path=path))
    assert isinstance(found, Update)
    assert [a.prefix for a in found.announced] == up
    assert list(found.withdrawn) == down
    assert all(a.as_path == tuple(path) for a in found.announced)


@given(
    st.binary(min_size=1, max_size=400),
    st.integers(0, 2**32 - 1),
    st.randoms(use_true_random=False),
    st.integers(1, 80),
)
def test_any_segmentation_gives_the_stream_back(
    data: bytes, isn: int, chance: random.Random, size: int
) -> None:
    segments, at = [], 0
    while at < len(data):
        end = at + chance.randint(1, size)
        segments.append((at, data[at:end]))
        at = end
    for _ in range(chance.randint(0, 10)):  # retransmissions, cut differently
        begin = chance.randrange(len(data))
        segments.append((begin, data[begin : begin + chance.randint(1, size)]))
    chance.shuffle(segments)
    stream = TcpStream()
    stream.begin(isn)
    pieces = [p for at, part in segments for p in stream.segment((isn + 1 + at) % 2**32, part)]
    assert b"".join(p for p in pieces if isinstance(p, bytes)) == data
    assert len([p for p in pieces if not isinstance(p, bytes)]) == 0


@given(st.lists(st.sampled_from(REAL), min_size=1, max_size=12), st.data())
def test_messages_come_out_whole_however_they_are_cut(sent: list[bytes], data: st.DataObject) -> None:
    stream, framer, out, at = b"".join(sent), Framer(), list[object](), 0
    while at < len(stream):
        size = data.draw(st.integers(1, 120))
        out += framer.feed(stream[at : at + size])
        at += size
    assert out == sent
    assert framer.skipped == 0


@given(st.lists(st.sampled_from(REAL), min_size=4, max_size=10), st.data())
def test_a_lost_segment_costs_only_the_messages_in_it(sent: list[bytes], data: st.DataObject) -> None:
    """One segment a message; one is never captured, and the receiver has acknowledged all."""
    lost = data.draw(st.integers(1, len(sent) - 2))
    stream, framer, out, at, gaps = TcpStream(), Framer(), list[object](), 1, 0
    stream.begin(0)
    for index, raw in enumerate(sent):
        pieces = [] if index == lost else stream.segment(at, raw)
        at += len(raw)
        pieces += stream.acked(at)
        for piece in pieces:
            if isinstance(piece, bytes):
                out += framer.feed(piece)
            elif isinstance(piece, Gap):
                gaps += 1
                framer.gap()
    assert out == sent[:lost] + sent[lost + 1 :]
    assert gaps == 1


@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 63), st.booleans()), max_size=30), st.data())
def test_no_packet_harms_the_capture(noise: list[tuple[bytes, int, bool]], data: st.DataObject) -> None:
    """Random segments between real ones: nothing but events comes out."""
    talk, all_sessions = Talk(), Conversations({})
    for payload, flags, left in noise:
        raw = data.draw(st.sampled_from([*REAL, payload]))
        segment = talk.send("left" if left else "right", raw, flags)
        if data.draw(st.booleans()):
            segment = segment._replace(seq=data.draw(st.integers(0, 2**32 - 1)))
        for event in all_sessions.segment(0, "x", segment):
            assert event.raw or event.kind in ("up", "down") or event.error


@given(st.binary(max_size=120))
def test_any_packet_is_a_segment_or_refused(data: bytes) -> None:
    for packet_bytes in (data, b"\x45" + data, b"\x60" + data):
        try:
            parse_segment(packet_bytes)
        except WireError:
            continue


@given(st.binary(max_size=60), st.sampled_from([("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")]))
def test_a_packet_is_read_as_it_was_made(payload: bytes, ends: tuple[str, str]) -> None:
    segment = Talk(*ends).send("left", payload, ACK)
    assert parse_segment(packet(segment) + b"\0" * 3) == segment  # padding is not payload


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 50)), max_size=60), st.randoms(use_true_random=False)
)
def test_merging_keeps_the_order_of_time_and_loses_nothing(
    made: list[tuple[int, int]], chance: random.Random
) -> None:
    """Packets appear in rings at once and are read late, as it happens; what comes out is in order."""
    merge, now = Merge(3), 10_000_000
    rings: list[list[Packet]] = [[], [], []]
    given, sent, out = [0, 0, 0], list[Packet](), list[Packet]()
    for ring, pause in made:
        now += pause * 1_000_000
        one = (now, str(ring), b"")
        rings[ring].append(one)
        given[ring] += 1
        sent.append(one)
        if chance.random() < 0.5:
            index = chance.randrange(3)
            merge.push(index, rings[index])
            rings[index] = []
        if chance.random() < 0.5:
            for index in range(3):
                merge.check(index, now, given[index])
            out += merge.ready()
    for index in range(3):
        merge.push(index, rings[index])
        merge.check(index, now + 2_000_000, given[index])
    out += merge.ready()
    assert out == sent
    assert merge.rest() == []
