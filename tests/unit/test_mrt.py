"""Our MRT files as independent readers see them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
from mrtparse import Reader

from controller.observe.conversations import Conversations
from controller.observe.errors import TableDumpError
from controller.observe.event import Event
from controller.observe.mrt_file import MrtAppender, write_mrt
from controller.observe.packet import ACK, FIN, SYN
from controller.observe.table_dump import table_dump
from tests.bgp_bytes import KEEPALIVE, Talk, opening, update, update6

AT = 1_700_000_000_123_456_789


def session(ends: tuple[str, str], *, four_octet: bool = True) -> list[Event]:
    talk, all_sessions, events = Talk(*ends), Conversations({}), list[Event]()
    width = 4 if four_octet else 2
    said = [
        ("left", b"", SYN),
        ("right", b"", SYN | ACK),
        ("left", opening(64501), ACK),
        ("right", opening(64502, four_octet=four_octet), ACK),
        ("left", KEEPALIVE, ACK),
        ("left", update(["192.0.2.0/24", "10.0.0.0/8"], path=[64501, (1, 2)], width=width), ACK),
        ("left", update(withdrawn=["192.0.2.0/24"]), ACK),
        ("left", update6(["2001:db8::/48"], path=[64501]) if four_octet else b"", ACK),
        ("left", b"", FIN | ACK),
    ]
    for index, (end, payload, flags) in enumerate(said):
        events += all_sessions.segment(AT + index * 1000, end, talk.send(end, payload, flags))
    return events


@pytest.fixture(params=[("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")], ids=["ipv4", "ipv6"])
def ends(request: pytest.FixtureRequest) -> tuple[str, str]:
    value: tuple[str, str] = request.param
    return value


@pytest.mark.parametrize("four_octet", [True, False], ids=["four", "two"])
def test_bgpdump_reads_what_we_wrote(tmp_path: Path, ends: tuple[str, str], four_octet: bool) -> None:
    file = tmp_path / "out.mrt"
    events = session(ends, four_octet=four_octet)
    write_mrt(file, events)
    done = subprocess.run(["bgpdump", "-m", str(file)], capture_output=True, text=True, check=True)
    rows = [line.split("|") for line in done.stdout.splitlines()]
    routes = [row for row in rows if row[2] in "AW"]
    assert [(row[2], row[3], row[4], row[5]) for row in routes[:3]] == [
        ("A", ends[0], "64501", "192.0.2.0/24"),
        ("A", ends[0], "64501", "10.0.0.0/8"),
        ("W", ends[0], "64501", "192.0.2.0/24"),
    ]
    assert routes[0][6] == "64501 {1,2}"
    assert routes[0][1] == "1700000000.123461"
    assert [row[5] for row in routes[3:]] == (["2001:db8::/48"] if four_octet else [])
    states = [row for row in rows if row[2] == "STATE"]
    assert [row[5:7] for row in states] == [["5", "6"], ["6", "1"]]


def test_mrtparse_reads_what_we_wrote(tmp_path: Path, ends: tuple[str, str]) -> None:
    file = tmp_path / "out.mrt"
    events = session(ends)
    assert write_mrt(file, events) == len(events) == 8
    found = []
    for entry in Reader(str(file)):  # the same object each time
        assert not entry.err, entry.err_msg
        found.append(entry.data)
    assert [d["peer_as"] for d in found if "bgp_message" in d][:3] == ["64501", "64502", "64501"]
    assert [d["local_ip"] for d in found][:2] == [ends[1], ends[0]]
    # microseconds, as this reader gives them: an integer
    assert [d["microsecond_timestamp"] for d in found][:1] == [123458]


def test_an_event_without_bytes_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "out.mrt"
    event = session(("10.0.0.1", "10.0.0.2"))[0]
    assert write_mrt(file, [msgspec.structs.replace(event, raw=b"", error="no marker")]) == 0
    assert file.read_bytes() == b""


def test_what_is_appended_is_there_once_flushed(tmp_path: Path) -> None:
    events = session(("10.0.0.1", "10.0.0.2"))
    whole, file = tmp_path / "whole.mrt", tmp_path / "sub" / "out.mrt"
    write_mrt(whole, events)
    appender = MrtAppender(file)
    for event in events:
        appender.append(event)
    appender.flush()
    assert file.read_bytes() == whole.read_bytes()
    appender.close()


@pytest.mark.parametrize("four_octet", [True, False], ids=["four", "two"])
def test_path_identifiers_are_not_read_as_prefixes(tmp_path: Path, four_octet: bool) -> None:
    talk, all_sessions, events = Talk(), Conversations({}), list[Event]()
    routes = update(["192.0.2.0/24", "10.0.0.0/8"], path=[64501], path_id=7, width=4 if four_octet else 2)
    for end, payload, flags in [
        ("left", b"", SYN),
        ("right", b"", SYN | ACK),
        ("left", opening(64501, add_path=3, four_octet=four_octet), ACK),
        ("right", opening(64502, add_path=3, four_octet=four_octet), ACK),
        ("left", routes, ACK),
        ("left", update6(["2001:db8::/48"], path=[64501]) if four_octet else b"", ACK),
    ]:
        events += all_sessions.segment(AT, end, talk.send(end, payload, flags))
    file = tmp_path / "out.mrt"
    write_mrt(file, events)
    done = subprocess.run(["bgpdump", "-m", str(file)], capture_output=True, text=True, check=True)
    rows = [line.split("|") for line in done.stdout.splitlines()]
    # IPv6 was offered without identifiers, and is written without.
    assert [(row[0], row[2], row[5]) for row in rows if row[2] == "A"] == [
        ("BGP4MP_ET_AP", "A", "192.0.2.0/24"),
        ("BGP4MP_ET_AP", "A", "10.0.0.0/8"),
        *([("BGP4MP_ET", "A", "2001:db8::/48")] if four_octet else []),
    ]


def dumped(events: list[Event], router: str, at_ns: int, file: Path) -> list[list[str]]:
    """Write a router's table; return what bgpdump reads of it."""
    numbered = [msgspec.structs.replace(e, seq=number) for number, e in enumerate(events, 1)]
    file.write_bytes(b"".join(table_dump(numbered, router, at_ns)))
    done = subprocess.run(["bgpdump", "-m", str(file)], capture_output=True, text=True, check=True)
    assert "error" not in done.stderr.lower(), done.stderr
    return [line.split("|") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("four_octet", [True, False], ids=["four", "two"])
def test_a_table_dump_is_what_was_held_at_that_moment(
    tmp_path: Path, ends: tuple[str, str], four_octet: bool
) -> None:
    events = session(ends, four_octet=four_octet)
    updates = [e for e in events if e.kind == "update"]
    receiver = updates[0].receiver
    first = dumped(events, receiver, updates[0].at_ns, tmp_path / "first.mrt")
    assert [(r[0], r[1], r[2], r[3], r[4], r[5], r[6]) for r in first] == [
        ("TABLE_DUMP2", "1700000000", "B", ends[0], "64501", prefix, "64501 {1,2}")
        for prefix in ("10.0.0.0/8", "192.0.2.0/24")
    ]
    later = dumped(events, receiver, updates[-1].at_ns, tmp_path / "later.mrt")
    assert [r[5] for r in later] == ["10.0.0.0/8", *(["2001:db8::/48"] if four_octet else [])]
    assert dumped(events, receiver, events[-1].at_ns, tmp_path / "end.mrt") == [], "the session is over"

    tables = []
    for entry in Reader(str(tmp_path / "later.mrt")):
        assert not entry.err, entry.err_msg
        tables.append(entry.data)
    assert [next(iter(t["subtype"])) for t in tables] == [1, 2, *([4] if four_octet else [])]
    assert tables[0]["view_name"] == receiver
    assert [p["peer_ip"] for p in tables[0]["peer_entries"]] == [ends[0]]
    hops = {
        t["prefix"]: next(
            a["value"] for a in t["rib_entries"][0]["path_attributes"] if next(iter(a["type"])) in (3, 14)
        )
        for t in tables[1:]
    }
    assert hops["10.0.0.0"] == updates[0].announced[0].next_hop
    if four_octet:
        assert hops["2001:db8::"] == {"next_hop_length": 16, "next_hop": [updates[-1].announced[0].next_hop]}


def test_several_paths_of_a_session_are_no_table() -> None:
    events = [msgspec.structs.replace(e, add_path=True) for e in session(("10.0.0.1", "10.0.0.2"))]
    with pytest.raises(TableDumpError, match="several paths of a prefix"):
        list(table_dump(events, events[-1].receiver, AT + 10**9))
