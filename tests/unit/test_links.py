"""What the runtime tells ``ip`` (labs.runtimes.links)."""

from __future__ import annotations

import pytest

from labs.runtimes.errors import LabStartError
from labs.runtimes.links import Step, failed_line, link_lines, steps
from labs.topology.model import Endpoint, LinkSpec

A, B = Endpoint("a", "eth1"), Endpoint("b", "eth2")


def test_a_veth_is_made_in_both_namespaces_with_its_mtu_on_both_ends() -> None:
    (line,) = link_lines([LinkSpec((A, B), mtu=1500)])
    assert line == ("link add name eth1 netns a mtu 1500 type veth peer name eth2 netns b mtu 1500")


def test_a_dummy_has_one_end() -> None:
    assert link_lines([LinkSpec((A,), kind="dummy")]) == ["link add name eth1 netns a mtu 9500 type dummy"]


def test_a_link_to_the_host_is_refused() -> None:
    with pytest.raises(LabStartError, match=r"a:eth1.*no links to the host"):
        link_lines([LinkSpec((A, Endpoint("host", "x")), kind="host")])


def test_consecutive_ip_commands_are_one_batch_and_the_order_is_kept() -> None:
    commands = [
        ("ip", "addr", "add", "10.0.0.1/24", "dev", "eth1"),
        ("ip", "link", "set", "lo", "up"),
        ("sysctl", "-w", "x=1"),
        ("ip", "-6", "route", "add", "default", "via", "fd00::1"),
        ("ip", "route", "add", "10.1.0.0/16", "via", "10.0.0.2"),
    ]
    assert steps(["eth1"], commands) == [
        Step(batch=("link set lo up", "link set eth1 up", "addr add 10.0.0.1/24 dev eth1", "link set lo up")),
        Step(command=commands[2]),
        Step(command=commands[3]),
        Step(batch=("route add 10.1.0.0/16 via 10.0.0.2", "addr show")),
    ]


@pytest.mark.parametrize("word", ["a b", "it's", 'say "x"', "back\\slash", "#1"])
def test_what_a_batch_would_read_otherwise_is_run_by_itself(word: str) -> None:
    command = ("ip", "link", "set", "eth1", "alias", word)
    assert steps([], [command])[1] == Step(command=command)


def test_the_failed_line_of_a_batch_is_found() -> None:
    assert failed_line("RTNETLINK answers: File exists\nCommand failed -:3\n") == 2
    assert failed_line("something else") is None
