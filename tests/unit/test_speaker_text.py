"""What is said to ExaBGP and GoBGP, and how their answers are read."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from controller.bgp import Prefix, Route
from controller.speakers.exabgp import _merge
from controller.speakers.exabgp_text import ROUTES_A_LINE, SentRow, batches, canonical, parse_row
from controller.speakers.gobgp_paths import LocalPath, path_message, read_path

HEAD = (
    "neighbor 10.0.0.2 local-ip 10.0.0.1 local-as 64500 peer-as 65001 router-id 10.0.0.1 "
    "family-allowed in-open ipv4 unicast 192.0.2.0/24"
)


@pytest.mark.parametrize(
    ("tail", "path", "communities"),
    [
        ("next-hop 10.0.0.1", (64500,), ()),
        ("next-hop 10.0.0.1 as-path ( 64500 64511 )", (64500, 64511), ()),
        ("next-hop 10.0.0.1 as-path ( 64500 64511 ) community 64500:7", (64500, 64511), ("64500:7",)),
        ("next-hop 10.0.0.1 med 10 community [ 64500:9 no-export ]", (64500,), ("64500:9", "65535:65281")),
    ],
)
def test_a_line_of_the_adj_rib_out_is_read(
    tail: str, path: tuple[int, ...], communities: tuple[str, ...]
) -> None:
    assert parse_row(f"{HEAD} {tail}") == SentRow(
        "10.0.0.2", Prefix("192.0.2.0/24"), "10.0.0.1", path, communities
    )


@pytest.mark.parametrize("line", ["", "done", "exabgp 5.0.15", '{ "exabgp": "5.0.0" }'])
def test_other_lines_are_no_rows(line: str) -> None:
    assert parse_row(line) is None


def test_families_and_attributes_never_share_a_line() -> None:
    routes = [
        Route(Prefix("192.0.2.0/24"), (64500,)),
        Route(Prefix("2001:db8:1::/48"), (64500,)),
        Route(Prefix("198.51.1.0/24"), (64500, 64511), ("64500:7",)),
    ]
    lines = [b.line() for b in batches(routes, withdraw=False)]
    assert lines == [
        "announce attributes next-hop self as-path [ 64500 ] nlri 192.0.2.0/24",
        "announce attributes next-hop self as-path [ 64500 64511 ] community [ 64500:7 ] nlri 198.51.1.0/24",
        "announce attributes next-hop self as-path [ 64500 ] nlri 2001:db8:1::/48",
    ]
    lines = [b.line() for b in batches(routes, withdraw=True)]
    assert lines == [
        "withdraw attributes next-hop self nlri 192.0.2.0/24 198.51.1.0/24",
        "withdraw attributes next-hop self nlri 2001:db8:1::/48",
    ]


def test_many_routes_are_split_and_a_batch_is_halved_without_loss() -> None:
    routes = [Route(Prefix(f"10.{i // 256}.{i % 256}.0/24"), (64500,)) for i in range(ROUTES_A_LINE + 1)]
    first, second = batches(routes, withdraw=False)
    assert (len(first.routes), len(second.routes)) == (ROUTES_A_LINE, 1)
    left, right = first.halves()
    assert left.routes + right.routes == first.routes
    assert len(first.line()) < 1 << 20


def test_what_a_neighbour_lacks_is_sent_again() -> None:
    prefix = Prefix("192.0.2.0/24")
    other = SentRow("10.0.0.3", Prefix("198.51.100.0/24"), None, (64500,), ())
    both = [SentRow(n, prefix, None, (64500,), ()) for n in ("10.0.0.2", "10.0.0.3")]
    has, announced = _merge([*both, other])
    assert has == {prefix: Route(prefix, (64500,)), other.prefix: None}
    assert {r.prefix for r in announced} == {prefix, other.prefix}


def test_communities_compare_whatever_their_order() -> None:
    route = Route(Prefix("192.0.2.0/24"), (64500,), ("64500:9", "64500:1", "64500:9"))
    assert canonical(route).communities == ("64500:1", "64500:9")


@pytest.mark.parametrize("prefix", ["192.0.2.0/24", "2001:db8:1::/48"])
def test_gobgp_paths_come_back_as_they_went(prefix: str) -> None:
    message = path_message(LocalPath(Prefix(prefix), (64500, 64511), ("64500:7",)))
    path = read_path(Prefix(prefix), message)
    assert (path.as_path, path.communities, path.peer) == ((64500, 64511), ("64500:7",), None)
    assert path.next_hop in ("0.0.0.0", "::")


def test_the_generated_messages_are_those_of_the_proto(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".venv/bin/protoc-gen-mypy").exists() or shutil.which("sh") is None:
        pytest.skip("mypy-protobuf is not installed in .venv")
    subprocess.run([str(root / "scripts/generate-gobgp-pb"), str(tmp_path)], check=True)
    for name in ("gobgp_pb2.py", "gobgp_pb2.pyi"):
        here = (root / "controller/speakers/gobgp_pb" / name).read_text()
        assert (tmp_path / name).read_text() == here, f"{name} is stale: run scripts/generate-gobgp-pb"
