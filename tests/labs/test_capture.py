"""The capture on real BIRD routers, from before their first session: nothing missed, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mrtparse import Reader

from controller.observe.bgp_message import parse_message
from controller.observe.bgp_update import Update
from controller.observe.event import CaptureStats, Event
from controller.observe.history import never_lost
from controller.observe.stream import CaptureStream, fetch_events

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces of its own: needs root"),
]

COUNT = 6500
NODES = {"a": 64501, "b": 64502, "c": 64503}
LINKS = [("a", "b", 1), ("b", "c", 2)]
ADDRESSES = {
    address: node
    for left, right, n in LINKS
    for host, node in ((1, left), (2, right))
    for address in (f"10.0.{n}.{host}", f"fd00:{n}::{host}")
}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def bird_configuration(node: str, routes: str = "") -> str:
    protocols = []
    for left, right, n in LINKS:
        if node not in (left, right):
            continue
        peer = right if node == left else left
        mine, theirs = (1, 2) if node == left else (2, 1)
        for family, address in (("ipv4", f"10.0.{n}."), ("ipv6", f"fd00:{n}::")):
            protocols.append(
                f"protocol bgp {peer}{family[3]} {{ local {address}{mine} as {NODES[node]};"
                f" neighbor {address}{theirs} as {NODES[peer]}; connect delay time 1; direct;"
                " connect retry time 1; error wait time 1, 2;"
                f" graceful restart on; {family} {{ import all; export all; next hop self; }}; }}"
            )
    return "\n".join(
        [
            f"router id 10.255.0.{NODES[node] - 64500};",
            "protocol device { }",
            "protocol kernel { ipv4 { export all; }; }",
            "protocol static s4 { ipv4;",
            *([f'include "{routes}4";'] if routes else []),
            "}",
            "protocol static s6 { ipv6;",
            *([f'include "{routes}6";'] if routes else []),
            "}",
            *protocols,
        ]
    )


@dataclass
class Net:
    """Three routers in a row, their namespaces, and the capture."""

    folder: Path
    tag: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "capture.sock"

    @property
    def mrt(self) -> Path:
        return self.folder / "capture.mrt"

    def namespace(self, node: str) -> str:
        return f"hcap-{self.tag}-{node}"

    def birdc(self, node: str, *words: str) -> str:
        control = str(self.folder / f"{node}.ctl")
        done = subprocess.run(["birdc", "-s", control, *words], check=True, capture_output=True, text=True)
        return done.stdout

    def start(self, *argv: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(argv, text=True)
        self.processes.append(process)
        return process

    def stop_capture(self) -> int:
        capture = self.processes[0]
        capture.send_signal(signal.SIGTERM)
        return capture.wait(10)

    def announce(self, ipv4: int, ipv6: int) -> None:
        """Have ``a`` announce so many prefixes of each family, in place of what it announced."""
        (self.folder / "routes4").write_text(
            "".join(f"route 20.{i >> 8}.{i & 255}.0/24 blackhole;\n" for i in range(ipv4))
        )
        (self.folder / "routes6").write_text(
            "".join(f"route 2001:db8:{i:x}::/48 blackhole;\n" for i in range(ipv6))
        )
        self.birdc("a", "configure")

    def wait_for_fib(self, node: str, mark: str, wanted: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the changes of a node's FIB, once they are as many as wanted or the time is over."""
        deadline = time.monotonic() + 30
        with CaptureStream(self.socket) as stream:
            while True:
                changes, lost = stream.fib()
                assert lost == 0
                found = [
                    (c.prefix, c.action) for c in changes if c.node == node and c.prefix.startswith(mark)
                ]
                if len(found) >= len(wanted) or time.monotonic() > deadline:
                    return sorted(found)
                time.sleep(0.02)

    def wait(self, met: Callable[[list[Event]], bool], what: str, within: float = 30.0) -> list[Event]:
        """Return all events once they meet a condition, which is tried at each new one."""
        with CaptureStream(self.socket) as stream:
            seen: list[Event] = []
            for event in stream.events(0, timeout=within):
                seen.append(event)
                waiting = stream.read_available()
                seen += waiting
                if met(seen):
                    return seen
        told = "\n".join(f"{e.sender} {e.sender_address} > {e.receiver}: {e.kind}" for e in seen)
        raise AssertionError(f"not within {within:g} s: {what}; {len(seen)} events\n{told}")


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    made = Net(tmp_path, uuid.uuid4().hex[:6])
    descriptors: dict[str, int] = {}
    try:
        for node in NODES:
            ip("netns", "add", made.namespace(node))
            descriptors[node] = os.open(f"/run/netns/{made.namespace(node)}", os.O_RDONLY)
        for left, right, n in LINKS:
            ends = made.namespace(left), made.namespace(right)
            ip(
                "-n",
                ends[0],
                "link",
                "add",
                f"to-{right}",
                "type",
                "veth",
                "peer",
                f"to-{left}",
                "netns",
                ends[1],
            )
            for end, name, host in ((ends[0], f"to-{right}", 1), (ends[1], f"to-{left}", 2)):
                ip("-n", end, "addr", "add", f"10.0.{n}.{host}/24", "dev", name)
                ip("-n", end, "addr", "add", f"fd00:{n}::{host}/64", "dev", name, "nodad")
                ip("-n", end, "link", "set", name, "up")
        start_capture(made, descriptors)
        (tmp_path / "routes4").write_text("")
        (tmp_path / "routes6").write_text("")
        for node in NODES:
            configuration = tmp_path / f"{node}.conf"
            configuration.write_text(
                bird_configuration(node, str(tmp_path / "routes") if node == "a" else "")
            )
            made.start(
                *("ip", "netns", "exec", made.namespace(node), "bird", "-f"),
                *("-c", str(configuration), "-s", str(tmp_path / f"{node}.ctl")),
            )
        yield made
    finally:
        for process in reversed(made.processes):
            if process.poll() is None:
                process.terminate()
                process.wait(10)
        for node, descriptor in descriptors.items():
            os.close(descriptor)
            ip("netns", "del", made.namespace(node))


def start_capture(net: Net, descriptors: dict[str, int]) -> None:
    config = {
        "socket": str(net.socket),
        "mrt": str(net.mrt),
        "nodes": [{"name": node, "netns_fd": fd} for node, fd in descriptors.items()],
        "addresses": ADDRESSES,
        "ring_bytes": 8 << 20,
    }
    path = net.folder / "capture.json"
    path.write_text(json.dumps(config))
    process = subprocess.Popen(
        [sys.executable, "-m", "controller.observe.capture", "--config", str(path)],
        pass_fds=tuple(descriptors.values()),
        stdout=subprocess.PIPE,
        text=True,
    )
    net.processes.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def announced(events: list[Event], sender: str, receiver: str, mark: str) -> int:
    chosen = [e for e in events if (e.sender, e.receiver) == (sender, receiver)]
    return sum(mark in a.prefix for e in chosen for a in e.announced)


def withdrawn(events: list[Event], sender: str, receiver: str, mark: str) -> int:
    chosen = [e for e in events if (e.sender, e.receiver) == (sender, receiver)]
    return sum(mark in p for e in chosen for p in e.withdrawn)


def all_up(events: list[Event]) -> bool:
    """Four sessions, each with its End-of-RIB both ways: what follows comes in messages of its own."""
    ends = [e for e in events if e.kind == "update" and parse_message(e.raw).end_of_rib is not None]  # type: ignore[union-attr]  # an UPDATE
    # Where both ends dialled at once a session may come up, go, and come up again.
    up = sum(e.kind == "up" for e in events) - sum(e.kind == "down" for e in events)
    return up == 4 and len(ends) >= 8


def whole(stats: CaptureStats) -> bool:
    return stats.dropped == stats.gaps == stats.let_go == 0


def bgpdump_counts(mrt: Path) -> tuple[int, int]:
    done = subprocess.run(["bgpdump", "-m", str(mrt)], check=True, capture_output=True, text=True)
    kinds = [line.split("|")[2] for line in done.stdout.splitlines()]
    return kinds.count("A"), kinds.count("W")


def mrtparse_counts(mrt: Path) -> tuple[int, int, int]:
    """(messages, prefixes announced, prefixes withdrawn)."""
    messages = up = down = 0
    for entry in Reader(str(mrt)):
        assert not entry.err, entry.err_msg
        message = entry.data.get("bgp_message")
        if message is None:
            continue
        messages += 1
        up += len(message.get("nlri", []))
        down += len(message.get("withdrawn_routes", []))
        for attribute in message.get("path_attributes", []):
            value = attribute["value"]
            if 14 in attribute["type"]:
                up += len(value["nlri"])
            if 15 in attribute["type"]:
                down += len(value["withdrawn_routes"])
    return messages, up, down


def test_every_message_is_seen_once_and_other_readers_agree(net: Net) -> None:
    events = net.wait(all_up, "four sessions up")
    opens = [e for e in events if e.kind == "open"]
    assert {(e.sender, e.receiver) for e in opens} == {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")}
    assert all(e.raw[:16] == b"\xff" * 16 and e.error is None for e in opens)

    net.announce(COUNT, 500)
    net.wait(
        lambda seen: announced(seen, "b", "c", ".") == COUNT and announced(seen, "b", "c", ":") == 500,
        "all announced to c",
    )
    net.announce(0, 0)
    net.wait(
        lambda seen: withdrawn(seen, "b", "c", ".") == COUNT and withdrawn(seen, "b", "c", ":") == 500,
        "all withdrawn from c",
    )

    events, stats = fetch_events(net.socket)
    assert whole(stats), stats
    # Two routers may connect to each other at once: the connection that loses (RFC 4271, 6.8) counts, too.
    assert stats.sessions >= 4
    assert [e.seq for e in events] == list(range(1, stats.last_seq + 1))
    assert [e.at_ns for e in events] == sorted(e.at_ns for e in events)
    assert not [e.error for e in events if e.error]
    for sender, receiver in (("a", "b"), ("b", "c")):
        for mark, count in ((".", COUNT), (":", 500)):
            assert announced(events, sender, receiver, mark) == count
            assert withdrawn(events, sender, receiver, mark) == count
    paths = {a.as_path for e in events for a in e.announced if (e.sender, e.receiver) == ("b", "c")}
    assert paths == {(64502, 64501)}
    hops = {a.next_hop for e in events for a in e.announced if (e.sender, e.receiver) == ("b", "c")}
    assert hops == {"10.0.2.1", "fd00:2::1"}

    second, _ = fetch_events(net.socket)
    assert second[: len(events)] == events
    with CaptureStream(net.socket) as stream:
        assert [e.seq for e in stream.events(10, timeout=0.5)][:3] == [11, 12, 13]

    assert net.stop_capture() == 0
    up = sum(len(e.announced) for e in events)
    down = sum(len(e.withdrawn) for e in events)
    assert bgpdump_counts(net.mrt) == (up, down)
    messages, *counts = mrtparse_counts(net.mrt)
    assert tuple(counts) == (up, down)
    assert messages >= stats.messages  # keepalives went on


def test_a_prefix_that_stays_is_never_lost_and_one_that_goes_is(net: Net) -> None:
    net.wait(all_up, "four sessions up")
    net.announce(2, 0)
    net.wait(lambda seen: announced(seen, "b", "c", ".") == 2, "announced to c")
    _, stats = fetch_events(net.socket)
    net.announce(1, 0)
    net.wait(lambda seen: withdrawn(seen, "b", "c", ".") == 1, "withdrawn from c")
    events, after = fetch_events(net.socket)
    missed = after.dropped + after.gaps
    stays = never_lost(events, "c", "20.0.0.0/24", since_seq=stats.last_seq, missed=missed)
    goes = never_lost(events, "c", "20.0.1.0/24", since_seq=stats.last_seq, missed=missed)
    assert (stays.outcome, goes.outcome) == ("pass", "fail"), (stays, goes)
    # BIRD tells its kernel after it took the UPDATE, when it pleases.
    wanted = [("20.0.0.0/24", "add"), ("20.0.1.0/24", "add"), ("20.0.1.0/24", "remove")]
    assert net.wait_for_fib("c", "20.", wanted) == wanted


def test_a_router_that_dies_ends_its_sessions_in_the_events(net: Net) -> None:
    before = len(net.wait(all_up, "four sessions up"))
    net.processes[1].kill()  # `ip netns exec` becomes the program that it starts

    def lost(seen: list[Event]) -> set[tuple[frozenset[str], bool]]:
        down = [e for e in seen[before:] if e.kind == "down"]
        return {(frozenset((e.sender, e.receiver)), ":" in e.sender_address) for e in down}

    both = {(frozenset("ab"), False), (frozenset("ab"), True)}
    events = net.wait(lambda seen: lost(seen) >= both, "both of a's sessions down")
    assert lost(events) == both


def test_parsed_and_raw_say_the_same(net: Net) -> None:
    net.wait(all_up, "four sessions up")
    net.announce(3, 3)
    events = net.wait(lambda seen: announced(seen, "b", "c", "") == 6, "announced to c")
    for event in events:
        if event.kind == "update":
            message = parse_message(event.raw)
            assert isinstance(message, Update)
            assert (message.announced, message.withdrawn) == (event.announced, event.withdrawn)
