from __future__ import annotations

import struct

import pytest

from controller.bgp import Family
from controller.observe.bgp_message import Notification, Open, RouteRefresh, form_between, parse_message
from controller.observe.bgp_update import MessageForm, Update
from controller.observe.errors import BgpMessageError
from tests.bgp_bytes import (
    END_OF_RIB,
    KEEPALIVE,
    MARKER,
    attribute,
    capability,
    message,
    notification,
    opening,
    path_bytes,
    update,
    update6,
)


def parsed_open(raw: bytes) -> Open:
    found = parse_message(raw)
    assert isinstance(found, Open)
    return found


def parsed(raw: bytes, form: MessageForm | None = None) -> Update:
    found = parse_message(raw, form)
    assert isinstance(found, Update)
    return found


def test_open_with_its_capabilities() -> None:
    found = parsed_open(opening(4_200_000_000, restart_s=120, forwarding=True, add_path=3))
    assert (found.asn, found.hold_time, found.identifier) == (4_200_000_000, 90, "10.0.0.1")
    assert found.families == {Family.IPV4, Family.IPV6}
    assert found.add_path == {(1, 1): 3}
    assert found.graceful_restart is not None
    assert found.graceful_restart.restart_s == 120
    assert found.graceful_restart.families == {Family.IPV4: True, Family.IPV6: True}


def test_open_with_extended_parameters() -> None:
    capabilities = capability(65, struct.pack("!I", 70000))
    parameters = struct.pack("!BH", 2, len(capabilities)) + capabilities
    body = struct.pack("!BHH4sBBH", 4, 23456, 90, b"\1\1\1\1", 255, 255, len(parameters)) + parameters
    assert parsed_open(message(1, body)).asn == 70000


@pytest.mark.parametrize(
    ("mine", "theirs", "ids"), [(2, 1, True), (3, 3, True), (1, 1, False), (2, 2, False), (1, 2, False)]
)
def test_path_identifiers_are_sent_only_as_both_sides_say(mine: int, theirs: int, ids: bool) -> None:
    form = form_between(parsed_open(opening(1, add_path=mine)), parsed_open(opening(2, add_path=theirs)))
    assert ((1, 1) in form.add_path) is ids


def test_two_octet_when_one_side_is_old() -> None:
    assert not form_between(parsed_open(opening(1)), parsed_open(opening(2, four_octet=False))).four_octet


def test_update_with_everything() -> None:
    large = attribute(32, struct.pack("!III", 70000, 1, 2), 0xC0)
    raw = update(
        ["192.0.2.0/24", "10.0.0.0/9"],
        ["198.51.100.0/25"],
        path=[64500, (65001, 65002), 4_200_000_000],
        next_hop="10.1.2.3",
        communities=[(64500, 1), (65535, 65281)],
        extra=large,
    )
    found = parsed(raw)
    assert [a.prefix for a in found.announced] == ["192.0.2.0/24", "10.0.0.0/9"]
    assert found.withdrawn == ("198.51.100.0/25",)
    first = found.announced[0]
    assert first.as_path == (64500, (65001, 65002), 4_200_000_000)
    assert first.next_hop == "10.1.2.3"
    assert first.communities == ("64500:1", "65535:65281", "70000:1:2")
    assert found.end_of_rib is None


def test_bits_beyond_the_length_mean_nothing() -> None:
    raw = bytearray(update(["10.0.0.0/9"]))
    raw[-1] |= 0x7F
    assert parsed(bytes(raw)).announced[0].prefix == "10.0.0.0/9"


def test_update_ipv6_takes_the_global_next_hop() -> None:
    for hops in (["fd00::1"], ["fd00::1", "fe80::1"], ["fe80::1", "fd00::1"]):
        found = parsed(update6(["2001:db8::/48"], ["2001:db8:1::/48"], next_hops=hops))
        assert found.announced[0].next_hop == "fd00::1"
        assert found.withdrawn == ("2001:db8:1::/48",)


def test_end_of_rib() -> None:
    assert parsed(END_OF_RIB).end_of_rib is Family.IPV4
    assert parsed(update6()).end_of_rib is Family.IPV6
    assert parsed(update6(withdrawn=["2001:db8::/48"])).end_of_rib is None


def test_path_identifiers_are_read_over() -> None:
    form = MessageForm(add_path=frozenset({(1, 1)}))
    found = parsed(update(["192.0.2.0/24"], ["10.0.0.0/8"], path_id=7), form)
    assert found.announced[0].prefix == "192.0.2.0/24"
    assert found.withdrawn == ("10.0.0.0/8",)


def test_as4_path_gives_two_octet_paths_their_true_asns() -> None:
    true = attribute(17, path_bytes([70000, 64501]), 0xC0)
    raw = update(["192.0.2.0/24"], path=[64500, 23456, 64501], width=2, extra=true)
    form = MessageForm(four_octet=False)
    assert parsed(raw, form).announced[0].as_path == (64500, 70000, 64501)
    # An old router aggregated: AS4_PATH is of an older path (RFC 6793, 4.2.3).
    old = attribute(7, struct.pack("!H4s", 64509, b"\1\1\1\1"), 0xC0)
    raw = update(["192.0.2.0/24"], path=[64500, 23456, 64501], width=2, extra=true + old)
    assert parsed(raw, form).announced[0].as_path == (64500, 23456, 64501)


def test_the_other_kinds() -> None:
    assert parse_message(notification(6, 2, b"\x03bye")) == Notification(6, 2, "bye")
    assert Notification(6, 2).name == "Cease/Administrative Shutdown"
    assert parse_message(message(5, b"\0\2\0\1")) == RouteRefresh(2, 1, 0)


@pytest.mark.parametrize(
    ("raw", "offset", "words"),
    [
        (b"\0" + KEEPALIVE[1:], 0, "marker"),
        (MARKER + b"\0\x13\x09", 18, "type 9"),
        (MARKER + b"\0\x14\x04\0", 16, "20 bytes"),
        (update(["192.0.2.0/24"])[:-1], 16, "header says"),
        (message(2, b"\0\xff\0\0"), 19, "withdrawn routes"),
        (message(2, b"\0\0\0\xff"), 21, "attributes run over"),
        (message(2, b"\0\2\x21\x0a\0\0"), 21, "33 bits"),
        (message(2, b"\0\2\x18\x0a\0\0"), 21, "cut off"),
        (update(["192.0.2.0/24"], path=[], extra=b"\x40"), 37, "cut off"),
        (message(2, b"\0\0\0\x07\x40\x02\x04\x02\x02\0\1"), 28, "2 ASNs"),
        (message(2, b"\0\0\0\x00\x08\x0a"), 23, "without AS_PATH"),
        (message(1, struct.pack("!BHH4sB", 3, 1, 90, b"\1\1\1\1", 0)), 19, "version 3"),
        (message(1, struct.pack("!BHH4sB", 4, 1, 90, b"\1\1\1\1", 9)), 28, "parameters end"),
    ],
)
def test_a_malformed_message_says_where(raw: bytes, offset: int, words: str) -> None:
    with pytest.raises(BgpMessageError, match=words) as caught:
        parse_message(raw)
    assert caught.value.offset == offset
