"""Probes as bytes, and what comes back for them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.observe.probe_packets import (
    ICMP,
    ICMPV6,
    TCP,
    TOKEN,
    checksum,
    echo,
    packet,
    read_packet,
    syn,
)

ENDS = {"ipv4": ("10.0.5.2", "192.0.2.1", "10.0.5.1"), "ipv6": ("fd00::2", "2001:db8::1", "fd00::1")}
BOTH = pytest.mark.parametrize("family", ENDS)


def icmp(family: str) -> int:
    return ICMP if family == "ipv4" else ICMPV6


def reply(family: str, identifier: int, sequence: int, token: bytes = TOKEN) -> bytes:
    source, target, _ = ENDS[family]
    kind = 0 if family == "ipv4" else 129
    body = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence) + token
    return packet(target, source, icmp(family), body, 60)


def error(family: str, kind: int, code: int, quoted: bytes, by: str = "") -> bytes:
    source, _, router = ENDS[family]
    return packet(by or router, source, icmp(family), struct.pack("!BBHI", kind, code, 0, 0) + quoted, 64)


def sent(family: str, identifier: int = 7, sequence: int = 33001) -> bytes:
    source, target, _ = ENDS[family]
    return packet(source, target, icmp(family), echo(source, target, identifier, sequence), 64)


@BOTH
def test_checksums_are_right(family: str) -> None:
    whole = sent(family)
    if family == "ipv4":
        assert checksum(whole[:20]) == 0
        assert checksum(whole[20:]) == 0
        assert struct.unpack("!H", whole[2:4])[0] == len(whole)
    else:
        pseudo = whole[8:40] + struct.pack("!IHBB", len(whole) - 40, 0, 0, ICMPV6)
        assert checksum(pseudo + whole[40:]) == 0
        assert struct.unpack("!H", whole[4:6])[0] == len(whole) - 40


@BOTH
def test_an_answer_is_one_and_anybody_elses_is_not(family: str) -> None:
    found = read_packet(reply(family, 7, 33001), 7)
    assert found is not None
    assert (found.fate, found.by, found.target, found.mark) == (
        "answered",
        ENDS[family][1],
        ENDS[family][1],
        33001,
    )
    assert read_packet(reply(family, 8, 33001), 7) is None
    assert read_packet(reply(family, 7, 33001, b"somebody's ping"), 7) is None
    assert read_packet(sent(family), 7) is None  # our own, on its way out


@BOTH
@pytest.mark.parametrize(
    ("kinds", "fate", "says"),
    [((11, 3), "looped", "hops used up at"), ((3, 1), "unreachable", "says")],
    ids=["time-exceeded", "unreachable"],
)
def test_an_error_tells_who_sent_it_and_about_what(
    family: str, kinds: tuple[int, int], fate: str, says: str
) -> None:
    _, target, router = ENDS[family]
    kind = kinds[0 if family == "ipv4" else 1]
    found = read_packet(error(family, kind, 1, sent(family)), 7)
    assert found is not None
    assert (found.fate, found.by, found.target, found.mark) == (fate, router, target, 33001)
    assert says in found.why
    assert read_packet(error(family, kind, 1, sent(family, identifier=8)), 7) is None


@BOTH
@pytest.mark.parametrize(("flags", "why"), [(0x12, ""), (0x14, "refused the connection")])
def test_a_machine_that_takes_or_refuses_a_connection_is_there(family: str, flags: int, why: str) -> None:
    source, target, _ = ENDS[family]
    first = syn(source, target, 33001, 443)
    assert struct.unpack("!HH", first[:4]) == (33001, 443)
    back = struct.pack("!HHIIBBHHH", 443, 33001, 0, 0, 5 << 4, flags, 0, 0, 0)
    found = read_packet(packet(target, source, TCP, back, 60), 7)
    assert found is not None
    assert (found.fate, found.mark, found.why) == ("answered", 33001, why)


@given(st.binary(max_size=120), st.sampled_from([b"", b"\x45", b"\x60"]))
def test_any_bytes_are_read_or_left_alone(data: bytes, begin: bytes) -> None:
    read_packet(begin + data, 7)


@given(st.integers(0, 200), st.sampled_from(sorted(ENDS)))
def test_cut_packets_are_read_or_left_alone(size: int, family: str) -> None:
    read_packet(error(family, 3 if family == "ipv4" else 1, 0, sent(family))[:size], 7)
