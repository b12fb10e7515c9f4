"""Any document, however odd its values, is a topology or a :class:`TopologyError` that names lines of it."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from labs.runtimes.host import Privilege
from labs.runtimes.plan import LabPaths, LabPlan, read_plan, write_plan
from labs.topology import Topology, TopologyError, load_topology

FULL: dict[str, Any] = {
    "name": "lab",
    "mgmt": {"skip-when-unused": True},
    "topology": {
        "defaults": {"kind": "linux", "exec": ["ip link"], "sysctls": {"net.ipv4.ip_forward": 1}},
        "kinds": {"linux": {"group": "g", "labels": {"herald.role": "transit"}}},
        "groups": {"g": {"env": {"A": 1}}},
        "nodes": {
            "a": {
                "binds": ["lab.clab.yml:/etc/x:ro"],
                "healthcheck": {"test": ["CMD", "true"], "interval": 3},
                "config": {"vars": {"x": [1, {"y": None}]}},
                "startup-delay": 1,
                "cmd": "sleep 1",
                "stages": {"create": {"wait-for": [{"node": "b", "stage": "exit"}]}},
            },
            "b": {"group": "g", "stages": {}, "network-mode": "none"},
        },
        "links": [
            {"endpoints": ["a:eth1", "b:eth1"], "mtu": 1500},
            {
                "type": "veth",
                "endpoints": [{"node": "a", "interface": "e2"}, {"node": "b", "interface": "e2"}],
            },
            {"type": "dummy", "endpoint": {"node": "a", "interface": "d0"}, "vars": {"x": 1}},
            {"type": "host", "endpoint": {"node": "b", "interface": "h0"}, "host-interface": "v0"},
        ],
    },
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.binary(max_size=4),
    st.text(max_size=20),
    st.sampled_from(["a", "b:eth1", "host:x", "container:a", "~/x:/y", "..", "'", "x" * 300, "${X:=}", "<<"]),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [place] if place else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        found += places(below, (*place, key))
    return found


def holder(document: Any, place: tuple[Any, ...]) -> Any:
    for part in place[:-1]:
        document = document[part]
    return document


PLACES = places(FULL)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "drop", "add"]), st.sampled_from(PLACES), ODD), min_size=1, max_size=4
)


def changed(changes: list[tuple[str, tuple[Any, ...], Any]]) -> Any:
    document = copy.deepcopy(FULL)
    for how, place, odd in changes:
        try:
            around = holder(document, place)
            if how == "put":
                around[place[-1]] = odd
            elif how == "drop":
                del around[place[-1]]
            elif isinstance(around, list):
                around.append(odd)
            else:
                around[str(odd)] = odd
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    return document


def load(folder: Path, document: Any) -> Topology:
    path = folder / "lab.clab.yml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    return load_topology(path, {})


@given(CHANGES)
@example([("put", ("topology", "nodes", "a", "startup-delay"), 10**30)])
@example([("add", ("name",), "\n")])
@example([("put", ("name",), "x" * 300)])
@example([("put", ("topology", "nodes", "a", "config", "vars", "x"), float("nan"))])
def test_an_odd_document_is_a_topology_or_a_topology_error(changes: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            topology = load(folder, changed(changes))
        except TopologyError as error:
            last = (folder / "lab.clab.yml").read_text().count("\n") + 1
            assert error.problems
            assert all(1 <= p.line <= last and "\n" not in str(p) for p in error.problems)
            return
        survives_being_told_to_the_lab_process(folder, topology)


def survives_being_told_to_the_lab_process(folder: Path, topology: Topology) -> None:
    """What was read can be written into the lab's plan and comes back the same."""
    plan = LabPlan(topology, LabPaths(folder, folder, "i"), folder, Privilege.ROOT)
    write_plan(plan)
    assert read_plan(plan.paths.plan).topology == topology


def test_the_document_that_is_changed_is_good() -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert len(load(Path(folder), FULL).links) == 4
