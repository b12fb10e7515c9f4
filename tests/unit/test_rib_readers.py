"""What each daemon answers (recorded from the real ones, in one network) → rows in one form."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from controller.bgp import Family, Prefix
from controller.observe.inventory import Interface, Inventory, InventoryError, Node, Site
from controller.observe.readers import (
    ReaderError,
    ReaderGarbledError,
    ReaderRefusedError,
    ReaderUnreachableError,
    bird_reply,
    frr_reply,
    openbgpd_reply,
    read_ribs,
    read_sent,
    sessions,
)
from controller.observe.readers.gobgp import path_row
from controller.observe.readers.source import Source
from controller.observe.rib import RibRow
from controller.speakers.gobgp_paths import GobgpPath, read_path
from controller.speakers.gobgp_pb import gobgp_pb2 as pb

RECORDED = Path(__file__).parent / "recorded"
SET = (65101, 65102)
# a (BIRD, 65001), b (FRR, 65002), c (GoBGP, 65003), d (OpenBGPD, 65004): a mesh; o (BIRD, 64500) and
# x (ExaBGP, 64501) peer with all four.
OWNERS = {
    "10.9.1.1": "o", "10.9.5.1": "x", "10.9.9.2": "b", "10.9.10.2": "c", "10.9.11.2": "d",
    "fd00:9:5::1": "x", "fd00:9:9::2": "b", "fd00:9:10::2": "c", "fd00:9:11::2": "d",
    "10.9.2.1": "o", "10.9.6.1": "x", "10.9.9.1": "a", "10.9.12.2": "c", "10.9.13.2": "d",
    "fd00:9:6::1": "x", "fd00:9:2::1": "o", "fd00:9:9::1": "a", "fd00:9:12::2": "c", "fd00:9:13::2": "d",
    "10.9.4.1": "o", "10.9.8.1": "x", "10.9.11.1": "a", "10.9.13.1": "b", "10.9.14.1": "c",
    "fd00:9:8::1": "x", "fd00:9:4::1": "o", "fd00:9:11::1": "a", "fd00:9:13::1": "b", "fd00:9:14::1": "c",
}  # fmt: skip


def recorded(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def bird(name: str) -> list[RibRow]:
    source = Source("a", "bird", OWNERS)
    return bird_reply.read_routes(source, bird_reply.read_reply(source, recorded(name)))


def frr(name: str) -> list[RibRow]:
    return frr_reply.read_table(Source("b", "frr", OWNERS), recorded(name))


def openbgpd(name: str, prefix: Prefix | None = None) -> list[RibRow]:
    return openbgpd_reply.read_rib(Source("d", "openbgpd", OWNERS), prefix, recorded(name))


def to(rows: list[RibRow], prefix: str) -> list[RibRow]:
    return [row for row in rows if row.prefix == prefix]


class TestBird:
    def test_every_field_of_a_path_with_a_set_and_communities(self) -> None:
        best = to(bird("bird-master4.txt"), "198.51.100.0/24")[0]
        assert best == RibRow(
            node="a",
            daemon="bird",
            prefix=Prefix("198.51.100.0/24"),
            best=True,
            as_path=(64501, 65100, SET),
            next_hop="10.9.5.1",
            communities=("64501:5", "65535:666", "64501:1:2"),
            from_="x",
        )

    def test_further_routes_to_a_prefix_belong_to_it(self) -> None:
        rows = to(bird("bird-master4.txt"), "192.0.2.0/24")
        assert {(r.from_, r.as_path, r.best) for r in rows} == {
            ("o", (64500,), True),
            ("b", (65002, 64500), False),
            ("c", (65003, 64500), False),
            ("d", (65004, 64500), False),
        }

    def test_its_own_static_route_comes_from_nobody(self) -> None:
        (row,) = to(bird("bird-master4.txt"), "10.200.1.0/24")
        assert (row.as_path, row.next_hop, row.from_, row.best) == ((), None, None, True)

    def test_a_link_local_next_hop_beside_the_global_one_is_left_out(self) -> None:
        rows = {row.from_: row for row in bird("bird-one-ipv6.txt")}
        assert rows["b"].next_hop == "fd00:9:9::2"
        assert b"fe80::" in recorded("bird-one-ipv6.txt")

    def test_communities_that_fill_more_than_a_line(self) -> None:
        text = recorded("bird-master4.txt").replace(
            b"(64501,5) (65535,666)\n", b"(64501,5)\n \t\t(65535,666)\n"
        )
        source = Source("a", "bird", OWNERS)
        rows = bird_reply.read_routes(source, bird_reply.read_reply(source, text))
        assert rows == bird("bird-master4.txt")
        assert text != recorded("bird-master4.txt")

    def test_a_sender_that_is_not_the_gateway(self) -> None:
        head = rb"\[c4 ([0-9:.]+)\]"
        text = re.sub(head, rb"[rs4 \1 from 10.9.11.2]", recorded("bird-master4.txt"))
        source = Source("a", "bird", OWNERS)
        rows = bird_reply.read_routes(source, bird_reply.read_reply(source, text))
        assert Counter(r.from_ for r in to(rows, "192.0.2.0/24")) == {"o": 1, "b": 1, "d": 2}

    def test_loc_ribs_and_sessions_of_its_protocols(self) -> None:
        source = Source("a", "bird", OWNERS)
        reply = bird_reply.read_reply(source, recorded("bird-protocols.txt"))
        protocols = bird_reply.read_protocols(source, reply)
        assert protocols.tables == {Family.IPV4: "master4", Family.IPV6: "master6"}
        assert len(protocols.sessions) == 10
        assert all(s.established and s.state == "Established" for s in protocols.sessions)
        assert {s.node for s in protocols.sessions if ":" not in s.neighbour} == {"o", "x", "b", "c", "d"}

    def test_a_session_that_is_not_up(self) -> None:
        text = recorded("bird-protocols.txt").replace(
            b"Established   \n", b"Active        Socket: refused\n", 1
        )
        source = Source("a", "bird", OWNERS)
        found = bird_reply.read_protocols(source, bird_reply.read_reply(source, text)).sessions
        assert Counter((s.state, s.established) for s in found) == {
            ("Active", False): 1,
            ("Established", True): 9,
        }

    @pytest.mark.parametrize(
        "damage",
        [
            (b"BGP.as_path: 64500\n", b"BGP.as_path: 64500 ...\n"),
            (b"\tType: BGP univ\n", b"\n"),
            (b"0000 \n", b""),
            (b"192.0.2.0/24 ", b"192.0.2.1/24 "),
            (b"{65101 65102}", b"{65101 65102"),
            (b" \tBGP.next_hop: 10.9.1.1\n", b""),
            (b"(64500,1)", b"(64500,x)"),
        ],
    )
    def test_damage_is_an_error_that_names_node_and_daemon(self, damage: tuple[bytes, bytes]) -> None:
        text = recorded("bird-master4.txt")
        assert damage[0] in text
        source = Source("a", "bird", OWNERS)
        with pytest.raises(ReaderGarbledError, match=r"^a \(bird\) answered .*: expected "):
            bird_reply.read_routes(source, bird_reply.read_reply(source, text.replace(*damage)))


class TestFrr:
    def test_every_field_and_both_names_and_numbers_of_communities(self) -> None:
        best = next(r for r in to(frr("frr-ipv4.json"), "198.51.100.0/24") if r.best)
        assert (best.as_path, best.next_hop, best.from_) == ((64501, 65100, SET), "10.9.6.1", "x")
        # FRR adds NO_EXPORT to what carries BLACKHOLE from outside.
        assert best.communities == ("64501:5", "65535:666", "65535:65281", "64501:1:2")

    def test_all_well_known_communities_in_numbers(self) -> None:
        (row,) = to(frr("frr-ipv4.json"), "198.20.0.0/24")
        numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 666, 65281, 65282, 65283, 65284]
        assert row.communities == ("0:0", "0:1", *(f"65535:{n}" for n in numbers))

    def test_a_path_whose_next_hop_cannot_be_reached_is_no_candidate(self) -> None:
        assert b"172.31.9.9" in recorded("frr-ipv4.json")
        rows = to(frr("frr-ipv4.json"), "198.19.0.0/24")
        assert {r.from_ for r in rows} == {"o", "a", "c", "d"}
        assert sum(r.best for r in rows) == 1

    def test_its_own_route_comes_from_nobody(self) -> None:
        (row,) = to(frr("frr-ipv4.json"), "10.200.2.0/24")
        assert (row.as_path, row.next_hop, row.from_, row.best) == ((), None, None, True)

    def test_one_prefix_with_a_link_local_next_hop_in_use(self) -> None:
        prefix = Prefix("2001:db8:2000::/48")
        rows = frr_reply.read_destination(Source("b", "frr", OWNERS), prefix, recorded("frr-one-ipv6.json"))
        hops = {row.from_: row.next_hop for row in rows}
        assert hops["a"] == "fd00:9:9::1"
        assert len(rows) == 5
        assert next(r for r in rows if r.best).communities == ("64501:5", "64501:1:2")

    def test_no_route_to_a_prefix_is_an_empty_object_and_nothing_else(self) -> None:
        source, prefix = Source("b", "frr"), Prefix("10.99.0.0/24")
        assert frr_reply.read_destination(source, prefix, b"{\n}\n") == []
        for text in (b"", b"[]", b'{"warning": "?"}', b"null", b'{"prefix": "10.99.0.0/24"}'):
            with pytest.raises(ReaderGarbledError):
                frr_reply.read_destination(source, prefix, text)

    def test_sessions(self) -> None:
        found = frr_reply.read_sessions(Source("b", "frr", OWNERS), recorded("frr-summary.json"))
        assert len(found) == 10
        assert all(s.established for s in found)

    def test_a_refusal_says_what_frr_said(self) -> None:
        with pytest.raises(ReaderRefusedError, match="Unknown command: nonsense"):
            frr_reply.read_answer(
                Source("b", "frr"), "nonsense", b"% [BGP] Unknown command: nonsense\n\0\0\0\2"
            )


class TestOpenbgpd:
    def test_every_field(self) -> None:
        best = next(r for r in to(openbgpd("openbgpd-rib.json"), "198.51.100.0/24") if r.best)
        assert (best.as_path, best.next_hop, best.from_) == ((64501, 65100, SET), "10.9.8.1", "x")
        assert best.communities == ("64501:5", "65535:666", "64501:1:2")

    def test_its_own_route_comes_from_nobody_and_a_loop_is_no_candidate(self) -> None:
        assert recorded("openbgpd-rib.json").count(b'"valid": false') >= 1
        (row,) = to(openbgpd("openbgpd-rib.json"), "10.200.4.0/24")
        assert (row.as_path, row.next_hop, row.from_, row.best) == ((), None, None, True)

    def test_what_merely_covers_the_prefix_is_not_it(self) -> None:
        assert openbgpd("openbgpd-covering.json", Prefix("192.0.2.7/32")) == []
        assert len(openbgpd("openbgpd-covering.json", Prefix("192.0.2.0/24"))) == 4

    def test_no_route_is_an_empty_object_and_nothing_else(self) -> None:
        assert openbgpd("openbgpd-none.json") == []
        for text in (b"", b"[]", b'{"ribs": []}', b"null"):
            with pytest.raises(ReaderGarbledError):
                openbgpd_reply.read_rib(Source("d", "openbgpd"), None, text)

    def test_sessions(self) -> None:
        found = openbgpd_reply.read_sessions(
            Source("d", "openbgpd", OWNERS), recorded("openbgpd-summary.json")
        )
        assert {s.node for s in found} == {"o", "x", "a", "b", "c"}
        assert len(found) == 10


def test_gobgp_path_as_row() -> None:
    path = GobgpPath(
        prefix=Prefix("2001:db8:2000::/48"),
        as_path=(64501, 65100, SET),
        next_hop="fd00:9:8::1",
        communities=("64501:5",),
        peer="fd00:9:8::1",
        best=True,
        stale=False,
        filtered=False,
    )
    row = path_row(Source("c", "gobgp", OWNERS), path)
    assert (row.from_, row.next_hop, row.as_path) == ("x", "fd00:9:8::1", (64501, 65100, SET))


def test_gobgp_communities_of_both_kinds_whatever_their_order() -> None:
    def packed(message: Message) -> Any:
        found = Any()
        found.Pack(message)
        return found

    plain = packed(pb.CommunitiesAttribute(communities=[(64501 << 16) | 5]))
    large = packed(
        pb.LargeCommunitiesAttribute(
            communities=[pb.LargeCommunity(global_admin=64501, local_data1=1, local_data2=2)]
        )
    )
    for attributes in ([plain, large], [large, plain]):
        path = read_path(Prefix("192.0.2.0/24"), pb.Path(pattrs=attributes))
        assert path.communities == ("64501:5", "64501:1:2")


def test_all_daemons_of_one_network_agree_on_who_is_best() -> None:
    for rows in (bird("bird-master4.txt"), frr("frr-ipv4.json"), openbgpd("openbgpd-rib.json")):
        best = Counter(row.prefix for row in rows if row.best)
        assert set(best.values()) == {1}
        assert set(best) == {row.prefix for row in rows}


# -- silence is an error, never "no routes" -----------------------------------------------------------------


def lab(run: Path, daemon: str) -> Inventory:
    node = Node("r1", "transit", daemon, str(run), "", interfaces=(Interface("e", "x", "e"),))  # type: ignore[arg-type]  # parametrised
    machine = Node("m1", "machine", "linux", str(run), "")
    site = Node("s1", "site", "exabgp", str(run), "")
    return Inventory(
        "t", "t", "", "", "1", "", "", "", (node, machine, site), (Site("s1", "s1", str(run / "a.sock")),)
    )


SOCKETS = {
    "bird": "bird/bird.ctl",
    "frr": "frr/bgpd.vty",
    "gobgp": "gobgp/gobgp.sock",
    "openbgpd": "bgpd.sock.0",
}


@contextlib.contextmanager
def daemon(path: Path, says: bytes | None) -> Iterator[None]:
    """A daemon that says something and closes; with None it accepts, and never answers."""
    path.parent.mkdir(exist_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen()
    over = threading.Event()

    def serve() -> None:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            if says is None:
                over.wait()
            else:
                client.sendall(says)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@pytest.mark.parametrize("kind", SOCKETS)
@pytest.mark.parametrize("prefix", [None, Prefix("192.0.2.0/24")])
def test_a_daemon_that_is_gone_is_an_error(tmp_path: Path, kind: str, prefix: Prefix | None) -> None:
    with pytest.raises(ReaderUnreachableError, match=rf"r1 \({kind}\).*"):
        read_ribs(lab(tmp_path, kind), prefix, deadline_s=2)
    with pytest.raises(ReaderUnreachableError, match="r1"):
        sessions(lab(tmp_path, kind), "r1", deadline_s=2)


@pytest.mark.parametrize("kind", ["bird", "frr"])
def test_a_daemon_that_never_answers_is_an_error_at_the_deadline(tmp_path: Path, kind: str) -> None:
    with (
        daemon(tmp_path / SOCKETS[kind], None),
        pytest.raises(ReaderUnreachableError, match=r"no answer within 0\.2 s"),
    ):
        read_ribs(lab(tmp_path, kind), deadline_s=0.2)


@pytest.mark.parametrize(
    ("kind", "says"), [("bird", b"0001 BIRD 2.0.12 ready.\n1007-Table mas"), ("frr", b'{"routes":{}}')]
)
def test_an_answer_that_breaks_off_is_an_error(tmp_path: Path, kind: str, says: bytes) -> None:
    with daemon(tmp_path / SOCKETS[kind], says), pytest.raises(ReaderUnreachableError):
        read_ribs(lab(tmp_path, kind), deadline_s=2)


def test_an_agent_that_is_gone_is_an_error(tmp_path: Path) -> None:
    inventory = lab(tmp_path, "bird")
    with pytest.raises(ReaderUnreachableError, match="agent of s1"):
        read_sent(inventory, deadline_s=2)
    with pytest.raises(ReaderUnreachableError, match="agent of s1"):
        read_ribs(inventory, node="s1", deadline_s=2)


def test_nodes_without_a_rib_and_unknown_ones(tmp_path: Path) -> None:
    inventory = lab(tmp_path, "bird")
    with pytest.raises(ReaderError, match="m1 has no BGP daemon"):
        read_ribs(inventory, node="m1")
    with pytest.raises(ReaderError, match=r"r1 .* is no site's router"):
        read_sent(inventory, node="r1")
    with pytest.raises(InventoryError, match=r"no node 'nix' .* there are r1, m1, s1"):
        read_ribs(inventory, node="nix")
