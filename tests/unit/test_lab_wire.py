"""The talk with the lab process, and what is told to it at its start."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from labs.runtimes import wire
from labs.runtimes.control import receive
from labs.runtimes.errors import LabControlError, LabStartError, UnknownProcessError
from labs.runtimes.host import Privilege
from labs.runtimes.plan import LabPaths, LabPlan, read_plan, write_plan
from labs.topology.model import Bind, Endpoint, LinkSpec, NodeSpec, Topology


def test_an_answer_is_progress_and_then_its_result() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send_line(theirs, wire.Line(progress=wire.Progress("daemons", 1, 2)))
        wire.send_line(theirs, wire.Line(warning="careful"))
        wire.send_line(theirs, wire.Line(result={"x": 1}))
        told: list[object] = []
        assert wire.read_answer(ours, told.append, told.append) == {"x": 1}
    assert told == [wire.Progress("daemons", 1, 2), "careful"]


def test_an_error_is_raised_as_what_it_was() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send_line(theirs, wire.error_line(UnknownProcessError("no process x")))
        with pytest.raises(UnknownProcessError, match="no process x"):
            wire.read_answer(ours)


def test_an_end_without_an_answer_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        with pytest.raises(LabControlError, match="without an answer"):
            wire.read_answer(ours)


def test_a_request_brings_its_descriptors() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    with ours, theirs:
        socket.send_fds(ours, [b'{"op":"exec","name":"r1",'], [write])
        ours.sendall(b'"argv":["ip","route"]}\n')
        request, descriptors = receive(theirs)
    assert request == wire.Request("exec", name="r1", argv=("ip", "route"))
    os.write(descriptors[0], b"here")
    assert os.read(read, 4) == b"here"
    for descriptor in (read, write, *descriptors):
        os.close(descriptor)


def plan(runtime: Path, node: str = "r1") -> LabPlan:
    spec = NodeSpec(
        node,
        "linux",
        labels={"herald.kind": "bird"},
        binds=(Bind(Path("/a"), "/etc/b", True),),
        vars={"x": [1]},
    )
    links = (LinkSpec((Endpoint(node, "eth1"), Endpoint(node, "eth2"))),)
    topology = Topology("t", Path("/t/t.clab.yml"), Path("/t/clab-t"), (spec,), links, "digest")
    return LabPlan(topology, LabPaths(runtime, topology.folder, "i"), runtime.parent, Privilege.SINGLE)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = plan(tmp_path)
    write_plan(written)
    assert read_plan(written.paths.plan) == written


def test_a_socket_path_that_linux_would_refuse_is_refused_with_the_way_out() -> None:
    plan(Path("/tmp/herald-1000/0123abcd")).check()
    with pytest.raises(LabStartError, match=r"longer than 107 bytes.*HERALD_RUNTIME_DIR"):
        plan(Path("/tmp/" + "x" * 90)).check()
    with pytest.raises(LabStartError, match=r"n{80}"):
        plan(Path("/tmp/herald-1000/0123abcd"), "n" * 80).check()
