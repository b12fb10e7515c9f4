"""Topology files: what is read, and that every mistake is told with file, line, key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.topology import Topology, TopologyError, load_topology
from labs.topology.addressing_data import read_addressing
from labs.topology.generate import (
    generate_clique,
    generate_hierarchy,
    generate_ring,
    generate_six_sites,
    generate_two_sites,
)

ROOT = Path(__file__).resolve().parents[2]
GOOD = """name: lab
topology:
  defaults:
    kind: linux
    network-mode: none
    labels: {herald.role: transit}
    exec: [ip route]
  groups:
    big:
      env: {SIZE: big, COLOUR: red}
  nodes:
    a:
      group: big
      env: {COLOUR: blue}
      labels:
        herald.kind: ${KIND:=bird}
      exec:
        - ip addr add 10.0.0.1/30 dev eth1
        - sh -c 'echo "__clabNodeName__ in __clabDir__"'
      binds:
        - file:/etc/x:ro
    b:
      startup-delay: 2
      cpu: 1.5
  links:
    - endpoints: ["a:eth1", "b:eth1"]
    - type: veth
      mtu: 1500
      endpoints:
        - {node: a, interface: eth2}
        - {node: b, interface: eth2}
      vars: {delay_ms: 10}
    - type: dummy
      endpoint: {node: a, interface: dum0}
"""


def load(tmp_path: Path, text: str, **variables: str) -> Topology:
    (tmp_path / "file").write_text("x")
    path = tmp_path / "lab.clab.yml"
    path.write_text(text)
    return load_topology(path, variables)


def test_a_good_file_with_inheritance_variables_and_both_forms_of_links(tmp_path: Path) -> None:
    topology = load(tmp_path, GOOD)
    a, b = topology.node("a"), topology.node("b")
    assert (a.daemon, a.role, b.daemon, b.role) == ("bird", "transit", "linux", "transit")
    assert a.env == {"SIZE": "big", "COLOUR": "blue"}
    assert a.exec[0] == ("ip", "route")
    assert a.exec[2] == ("sh", "-c", f'echo "a in {tmp_path}/clab-lab"')
    assert a.binds[0].source == tmp_path / "file"
    assert a.binds[0].read_only
    assert b.startup_delay == 2
    assert [link.kind for link in topology.links] == ["veth", "veth", "dummy"]
    assert [link.mtu for link in topology.links] == [9500, 1500, 9500]
    assert topology.links[1].vars == {"delay_ms": 10}
    assert topology.folder == tmp_path / "clab-lab"
    assert sorted(w.split(": ", 1)[1] for w in topology.warnings) == [
        "a: env is accepted and not used here",
        "b: cpu is accepted and not used here",
        "b: startup-delay is accepted and not used here",
    ]


def test_a_variable_is_taken_from_the_caller(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD, KIND="frr").node("a").daemon == "frr"


def test_the_digest_tells_labs_apart(tmp_path: Path) -> None:
    first = load(tmp_path, GOOD).digest
    assert load(tmp_path, GOOD).digest == first
    assert load(tmp_path, GOOD, KIND="frr").digest != first
    (tmp_path / "file").write_text("y")
    assert load_topology(tmp_path / "lab.clab.yml", {}).digest != first


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), start=1) if part in line)


MISTAKES = {
    # what is replaced, by what, the line in which it is found, and parts of the message
    "unknown key": ("kind: linux", "knid: linux", "knid", ["topology.defaults.knid", "'kind'", "allowed:"]),
    "x- key": ("name: lab", "name: lab\nx-more: 1", "x-more", ["x-more", "unknown key", "allowed: mgmt"]),
    "dangling endpoint": ('"b:eth1"]', '"c:eth1"]', '"c:eth1"]', ["dangling", "'c'", "allowed: a, b"]),
    "duplicate interface": ("interface: eth2}", "interface: eth1}", "interface: eth1}", ["eth1", "already"]),
    "interface too long": (
        "interface: dum0", "interface: dummy0123456789a", "type: dummy", ["16 characters", "15"],
    ),
    "node name too long": ("    b:\n", f"    {'b' * 60}:\n", "b" * 60, ["too long", "63"]),
    "wrong type": ("startup-delay: 2", "startup-delay: soon", "soon", ["startup-delay", "integer"]),
    "key twice": ("      group: big", "      group: big\n      group: big", "group: big", ["given twice"]),
    "unset variable": ("${KIND:=bird}", "${KIND}", "${KIND}", ["${KIND} is not set", "${KIND:=value}"]),
    "template": ("ip route]", "'{{ .x }}']", "{{", ["templates"]),
    "missing bind": ("file:/etc/x:ro", "nofile:/etc/x:ro", "nofile", ["does not exist"]),
    "relative target": ("file:/etc/x:ro", "file:etc/x:ro", "file:etc", ["not absolute"]),
    "unclosed quote": ("__clabDir__\"'", "__clabDir__\"", "__clabDir__", ["close the quotes"]),
    "unknown daemon": ("${KIND:=bird}", "quagga", "quagga", ["herald.kind", "'quagga'", "bird, frr"]),
    "unknown kind": ("kind: linux", "kind: ceos", "topology", ["'ceos'", "allowed: linux"]),
    "machine of no site": ("herald.role: transit", "herald.role: machine", "a:", ["herald.site"]),
    "not an endpoint": ('"a:eth1", ', '"a-eth1", ', "a-eth1", ["NODE:INTERFACE"]),
    "mtu": ("mtu: 1500", "mtu: 15", "mtu: 15", ["mtu", "greater than or equal to 68"]),
    "no group": ("group: big", "group: small", "group: small", ["'small'", "allowed: big"]),
    "syntax": ("  nodes:", "  nodes: [", "", ["not valid YAML"]),
    "no name": ("name: lab", "mgmt: {}", "", ["name", "is missing"]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_told_with_file_line_and_what_is_allowed(tmp_path: Path, mistake: str) -> None:
    old, new, shown_at, parts = MISTAKES[mistake]
    assert old in GOOD
    text = GOOD.replace(old, new)
    with pytest.raises(TopologyError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert str(tmp_path / "lab.clab.yml") in message
    for part in parts:
        assert part in message
    assert all(problem.line >= 1 for problem in caught.value.problems)
    if shown_at and mistake not in ("key twice", "duplicate interface", "unknown kind", "machine of no site"):
        assert line_of(text, shown_at) in {problem.line for problem in caught.value.problems}, message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace('"b:eth1"]', '"c:eth1"]').replace("file:/etc/x", "nofile:/etc/x")
    with pytest.raises(TopologyError) as caught:
        load(tmp_path, text)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("text", ["", "[]", "just text", "name: lab", "\0", "a: &a [*a]", "? [x]\n: y"])
def test_what_is_no_topology_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(TopologyError):
        load(tmp_path, text)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"cannot read the topology .*No such file"):
        load_topology(tmp_path / "none.clab.yml")


@pytest.mark.parametrize(
    ("lab", "generate"),
    [
        ("two-sites", generate_two_sites),
        ("six-sites", generate_six_sites),
        ("clique", lambda folder: generate_clique(8, folder)),
        ("hierarchy", lambda folder: generate_hierarchy(30, folder)),
    ],
)
def test_checked_in_labs_are_what_the_generator_writes(tmp_path: Path, lab: str, generate: object) -> None:
    generate(tmp_path)  # type: ignore[operator]  # one of the two above
    there = ROOT / "topologies" / lab
    written = {p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()}
    kept = {p.relative_to(there) for p in there.rglob("*") if p.is_file() and "clab-" not in str(p)}
    assert written == kept
    for name in written:
        assert (tmp_path / name).read_text() == (there / name).read_text(), name


@pytest.mark.parametrize(
    ("generate", "n"),
    [
        (generate_clique, 41), (generate_ring, 2), (generate_ring, 251),
        (generate_hierarchy, 6), (generate_hierarchy, 501),
    ],
)  # fmt: skip
def test_a_size_out_of_range_is_refused(tmp_path: Path, generate: object, n: int) -> None:
    with pytest.raises(TopologyError, match=str(n)):
        generate(n, tmp_path)  # type: ignore[operator]  # one of the generators


def test_the_largest_labs_are_read(tmp_path: Path) -> None:
    assert len(load_topology(generate_ring(250, tmp_path / "ring")).nodes) == 250
    assert len(load_topology(generate_hierarchy(500, tmp_path / "hierarchy")).nodes) == 500 + 2 + 4
    assert len(load_topology(generate_clique(40, tmp_path / "clique")).links) == 40 * 39 // 2 + 3


def test_addresses_of_links_and_customers_do_not_overlap() -> None:
    data = read_addressing(ROOT / "topologies/two-sites/configs/addressing.json")
    cidrs = [p.cidr for account in data.accounts for p in account.prefixes]
    assert len(cidrs) == len(set(cidrs))
    assert not any(c.startswith(("10.", "fd00:")) for c in cidrs)


def test_a_mistake_in_the_addressing_data_is_told(tmp_path: Path) -> None:
    file = tmp_path / "addressing.json"
    file.write_text('{"accounts": [{"id": "a", "name": "A", "prefix": []}]}')
    with pytest.raises(TopologyError, match=r"prefix"):
        read_addressing(file)


def test_a_reader_who_may_not_write_gets_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.topology.folder.os.access", lambda *_: False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert load(tmp_path, GOOD).folder.is_relative_to(tmp_path / "state" / "herald")
