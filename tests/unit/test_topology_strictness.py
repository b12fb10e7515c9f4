"""What a topology reader must not take, crash on, or change in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labs.topology import Topology, TopologyError, load_topology

BASE = """name: lab
topology:
  nodes:
    a:
      kind: linux
{node}
    b: {{kind: linux}}
  links:
    - endpoints: ["a:eth1", "b:eth1"]
{link}
"""
NODE_LINE, LINK_LINE = 6, 10


def read(folder: Path, text: str, **variables: str) -> Topology:
    path = folder / "lab.clab.yml"
    path.write_text(text, newline="")
    return load_topology(path, variables)


def with_node(line: str) -> str:
    return BASE.format(node=f"      {line}", link="")


def with_link(line: str) -> str:
    return BASE.format(node="", link=f"    - {line}")


def problems(folder: Path, text: str, **variables: str) -> list[tuple[int, str, str]]:
    with pytest.raises(TopologyError) as caught:
        read(folder, text, **variables)
    assert str(caught.value).count("\n") == len(caught.value.problems) - 1
    return [(p.line, p.key, p.message) for p in caught.value.problems]


WRONG_NODES = {
    # a line of a node → parts of the one message that is to come of it
    "startup-delay: " + "9" * 400: ["startup-delay", "64 bits"],
    "startup-delay: -1": ["greater than or equal to 0"],
    'binds: ["a\\0b:/x"]': ["NUL"],
    'binds: ["' + "a" * 5000 + ':/x"]': ["cannot be bound", "File name too long", "…"],
    'binds: ["loop:/x"]': ["cannot be bound", "loop"],
    'binds: ["~nobodyatall/x:/x"]': ["cannot be bound", "home directory"],
    'binds: ["here:/x/../etc"]': ["not absolute", ".."],
    'binds: ["here:/x:rx"]': ["SOURCE:TARGET:ro"],
    'binds: ["/x"]': ["SOURCE:TARGET"],
    'binds: ["here:/x", "here:/x:ro"]': ["/x is bound already"],
    "<<: 5": ["<<", "a map"],
    "image: !!binary aGk=": ["'binary'", "in quotes"],
    "image: 2001-01-01": ["'timestamp'", "in quotes"],
    "image: 5": ["must be text", "quotes"],
    'image: !!python/object/apply:os.system ["true"]': ["python/object"],
    "labels: !!set {x, y}": ["'set'"],
    "config: {vars: {x: .nan}}": ["finite"],
    'exec: [""]': ["exec.0", "is empty"],
    "sysctls: {kernel.panic: 1}": ["kernel.panic", "net."],
    "sysctls: {net./../../../kernel/panic: 1}": ["network namespace"],
    "env: {A=B: x}": ["'A=B'", "letters"],
    "network-mode: container:a": ["itself"],
    "network-mode: container:z": ["'z'", "allowed: a, b"],
    "network-mode: host": ["'host'", "none"],
    "labels: {herald.rule: site}": ["unknown label", "herald.role"],
    "labels: {herald.role: sit}": ["'sit'", "did you mean 'site'?"],
    "labels: {herald.role: machine, herald.site: nowhere}": ["'nowhere'", "no node has herald.role: site"],
    "labels: {herald.role: site, herald.kind: exabgp, herald.site: ../x}": ["'../x'", "site's name"],
    "labels: {herald.role: site, herald.kind: frr, herald.site: x}": ["'frr'", "exabgp, gobgp, bird"],
    "stages: {create: {wait-for: [{node: z, stage: create}]}}": ["'z'", "allowed: a, b"],
    "stages: {create: {wait-for: [{node: a, stage: healthy}]}}": ["for ever", "a create"],
    "healthcheck: {test: []}": ["healthcheck.test", "at least 1"],
    "image: ${MULTI}": ["MULTI", "line break"],
    "image: ${NO%x}": ["${NO%x}", "not supported"],
    'exec: ["echo a #${UNSET}"]': ["${UNSET} is not set"],
}
WRONG_LINKS = {
    "{}": ["either endpoints"],
    "null": ["is empty"],
    '{endpoints: ["a:eth2"]}': ["has 2 endpoints, not 1"],
    '{endpoints: ["a:eth2", 5]}': ["must be text"],
    '{endpoints: ["a:e/2", "b:eth2"]}': ["'e/2'"],
    '{endpoints: ["a:lo", "b:eth2"]}': ["'lo'"],
    '{endpoints: ["a:eth2", "bb:eth2"]}': ["dangling", "did you mean 'b'?"],
    '{endpoints: ["a:eth2", "b:eth2"], mtu: 1e3}': ["mtu", "integer"],
    '{endpoints: ["a:eth2", "b:eth2"], mtu: 70000}': ["mtu", "65535"],
    '{type: veth, endpoints: ["a:eth2", "b:eth2"], endpoint: {node: a, interface: e}}': ["either endpoints"],
    "{type: veth, endpoints: [{node: a, interface: eth2}, {node: b, iface: eth2}]}": ["'interface'", "iface"],
    "{type: host, endpoint: {node: a, interface: eth2}}": ["host-interface"],
    "{type: dummy, endpoint: {node: a, interface: eth2}, host-interface: x}": ["host-interface"],
    "{type: vxlan, endpoint: {node: a, interface: eth2}}": ["'veth', 'host' or 'dummy'"],
}


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [(with_node(node), NODE_LINE, parts) for node, parts in WRONG_NODES.items()]
    + [(with_link(link), LINK_LINE, parts) for link, parts in WRONG_LINKS.items()],
    ids=[key[:60] for key in (*WRONG_NODES, *WRONG_LINKS)],
)
def test_it_is_refused_in_its_line(tmp_path: Path, text: str, line: int, parts: list[str]) -> None:
    (tmp_path / "here").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    found = problems(tmp_path, text, MULTI="a\nb: c")
    assert {at for at, _, _ in found} == {line}, found
    told = " ".join(f"{key}: {message}" for _, key, message in found)
    for part in parts:
        assert part in told


def test_nesting_and_aliases_without_end_are_refused_in_time(tmp_path: Path) -> None:
    assert "nested too deeply" in problems(tmp_path, "a: " + "[" * 100_000)[0][2]
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in range(9):
        laughs += f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n"
    assert any("stand for too much" in message for _, _, message in problems(tmp_path, laughs))


def test_a_control_character_is_told_with_its_line(tmp_path: Path) -> None:
    assert problems(tmp_path, "name: x\n# fine\nimage: a\x0cb\n")[0][0] == 3


def test_what_is_wrong_by_itself_does_not_hide_the_rest(tmp_path: Path) -> None:
    text = """name: lab
topology:
  groups:
    g: {exec: "not a list"}
  nodes:
    a: {knid: linux}
    b: 5
    c: {binds: ["none:/x"], labels: {herald.role: machine, herald.site: [x]}}
  links:
    - {endpoints: ["a:eth1", "b:eth1"], mtoo: 5}
    - {endpoints: ["a:eth1", "z:eth1"]}
  lnks: []
"""
    found = problems(tmp_path, text)
    assert [(line, key) for line, key, _ in found] == [
        (4, "topology.groups.g.exec"),
        (6, "topology.nodes.a.knid"),
        (7, "topology.nodes.b"),
        (8, "topology.nodes.c.labels.herald.site"),
        (8, "topology.nodes.c.binds.0"),
        (10, "topology.links.0.mtoo"),
        (11, "topology.links.1.endpoints.1"),
        (12, "topology.lnks"),
    ]


def test_what_is_inherited_is_told_where_it_stands(tmp_path: Path) -> None:
    text = """name: lab
topology:
  defaults:
    kind: linux
    binds: ["none:/d"]
    cpu: 2
  kinds:
    linux:
      group: g
      exec: ["echo 'k"]
  groups:
    g:
      labels: {herald.kind: brid}
  nodes:
    a:
      exec: [ip link]
    b:
"""
    found = problems(tmp_path, text)
    assert [line for line, _, _ in found] == [5, 5, 10, 10, 13, 13]


def test_a_warning_that_all_nodes_inherit_comes_once(tmp_path: Path) -> None:
    text = (
        "name: lab\nprefix: x\nmgmt: {network: n, skip-when-unused: true}\ntopology:\n  defaults: {cpu: 2}\n"
    )
    topology = read(tmp_path, text + "  nodes: {a: , b: , c: {user: root}}\n")
    assert [w.split(": ", 1)[1] for w in topology.warnings] == [
        "prefix is accepted and not used here",
        "mgmt.network is accepted and not used here",
        "defaults: cpu is accepted and not used here",
        "c: user is accepted and not used here",
    ]


def test_lists_and_maps_are_inherited_as_containerlab_does(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).write_text("")
    text = """name: lab
topology:
  defaults: {exec: [echo d, echo all], binds: ["one:/x", "one:/y"], image: d, config: {vars: {m: {p: 1}}}}
  kinds: {linux: {exec: [echo k], image: k, stages: {create: {wait-for: [{node: b, stage: create}]}}}}
  groups: {g: {kind: linux, exec: [echo all, echo g], binds: ["two:/y"], config: {vars: {m: {q: 2}}}}}
  nodes:
    a: {group: g, exec: [echo a], binds: ["three:/z"], stages: {create: {exec: [{command: "ip l"}]}}}
    b: {kind: other}
  links: []
"""
    with pytest.raises(TopologyError, match="kind 'other'"):
        read(tmp_path, text)
    node = read(tmp_path, text.replace("kind: other", "image: b")).node("a")
    assert [words[1] for words in node.exec] == ["d", "all", "k", "g", "a"]
    assert [(b.source.name, b.target) for b in node.binds] == [("one", "/x"), ("two", "/y"), ("three", "/z")]
    assert (node.kind, node.image, node.vars) == ("linux", "k", {"m": {"p": 1, "q": 2}})
    (stage,) = node.stages
    assert (stage.name, stage.wait_for[0].node, stage.exec[0].command) == ("create", "b", ("ip", "l"))


def test_text_is_kept_as_it_is_written(tmp_path: Path) -> None:
    node = read(
        tmp_path,
        with_node(
            "env: {A: 010, B: 1.10, C: yes, D: 2001-01-01, E: 12:30:00, F: , G: '${V}', H: $V, I: $Wx}"
        ),
        V="v",
    ).node("a")
    assert node.env == {
        "A": "010", "B": "1.10", "C": "yes", "D": "2001-01-01", "E": "12:30:00", "F": "", "G": "v", "H": "v",
        "I": "$Wx",
    }  # fmt: skip


def test_a_node_may_be_called_like_a_key(tmp_path: Path) -> None:
    text = "name: lab\ntopology:\n  nodes:\n    env: {startup-delay: 2}\n    nodes: {env: {A: 1}}\n"
    topology = read(tmp_path, text)
    assert (topology.node("env").startup_delay, topology.node("nodes").env) == (2.0, {"A": "1"})


@pytest.mark.parametrize(
    ("line", "given", "expected"),
    [
        ("${V:=d}", {}, "d"),
        ("${V:-d}", {"V": ""}, "d"),
        ("${V-d}", {"V": ""}, ""),
        ("${V=d}", {}, "d"),
        ("x${V}y", {"V": "1"}, "x1y"),
        ("${V:=}", {}, ""),
    ],
)
def test_variables(tmp_path: Path, line: str, given: dict[str, str], expected: str) -> None:
    assert read(tmp_path, with_node(f"image: '{line}'"), **given).node("a").image == expected


def test_comments_may_name_what_is_not_set(tmp_path: Path) -> None:
    text = with_node("image: don't  # ${NOT_SET} and {{ this }}")
    assert read(tmp_path, text).node("a").image == "don't"


def test_a_byte_order_mark_and_windows_lines_are_taken(tmp_path: Path) -> None:
    topology = read(tmp_path, "\ufeff" + with_node("image: x").replace("\n", "\r\n"))
    assert topology.node("a").image == "x"


def test_a_link_to_the_host_in_both_forms(tmp_path: Path) -> None:
    brief = read(tmp_path, with_link('{endpoints: ["host:veth9", "a:eth2"]}')).links[1]
    full = "{type: host, endpoint: {node: a, interface: eth2}, host-interface: veth9}"
    assert brief == read(tmp_path, with_link(full)).links[1]
    assert (brief.kind, [end.node for end in brief.endpoints]) == ("host", ["a", "host"])


def test_a_site_has_one_router(tmp_path: Path) -> None:
    site = "labels: {herald.role: site, herald.kind: gobgp, herald.site: x}"
    text = with_node(site).replace("b: {kind: linux}", f"b: {{{site}}}")
    ((line, key, message),) = problems(tmp_path, text)
    assert (line, key) == (7, "topology.nodes.b.labels.herald.site")
    assert "has the router a already" in message


def test_a_folder_stands_for_its_only_topology(tmp_path: Path) -> None:
    read(tmp_path, with_node("image: x"))
    assert load_topology(tmp_path).path.name == "lab.clab.yml"
    (tmp_path / "other.clab.yml").write_text("")
    with pytest.raises(TopologyError, match=r"2 topology files \(lab.clab.yml, other.clab.yml\)"):
        load_topology(tmp_path)


def test_the_digest_covers_the_files_of_a_bound_folder(tmp_path: Path) -> None:
    (tmp_path / "files" / "deep").mkdir(parents=True)
    (tmp_path / "files" / "deep" / "x").write_text("1")
    text = with_node('binds: ["files:/x"]')
    before = read(tmp_path, text).digest
    (tmp_path / "files" / "deep" / "x").write_text("2")
    assert read(tmp_path, text).digest != before


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("")
    (tmp_path / "secret").chmod(0)
    topology = read(tmp_path, with_node('binds: ["secret:/x"]'))
    assert any("cannot be read" in warning for warning in topology.warnings)
