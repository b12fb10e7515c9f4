"""A machine's sets, its journal, and the difference that goes to the kernel."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from controller.agent.config import MachineConfig
from controller.agent.forwarding import forward_routes
from controller.agent.reconcile import MachineFacts, quorum
from controller.bgp import Family, Prefix
from controller.machine.bindings import EMPTY, binding_set, refusal, routes_for
from controller.machine.errors import MachineJournalError
from controller.machine.journal import read_bindings, write_bindings
from controller.machine.routes import KernelRoute, batch_for
from controller.snapshots.projection import SiteBinding
from controller.transport.messages import BindingItem

ONE = BindingItem(Prefix("192.0.2.0/24"), "s", "a", "x")
TWO = BindingItem(Prefix("2001:db8:1::/48"), "s", "a", "y")


def test_a_set_is_named_by_its_content_whatever_the_order() -> None:
    assert binding_set(1, [ONE, TWO]) == binding_set(1, [TWO, ONE])
    assert binding_set(1, [ONE]).hash != binding_set(1, [TWO]).hash


def test_what_a_machine_refuses() -> None:
    held = binding_set(5, [ONE])
    assert refusal(held, binding_set(6, [])) is None
    assert refusal(held, held) is None
    assert "lower than 5" in (refusal(held, binding_set(4, [ONE])) or "")
    assert "other bindings" in (refusal(held, binding_set(5, [TWO])) or "")
    damaged = msgspec.structs.replace(binding_set(6, [ONE]), bindings=(TWO,))
    assert "damaged" in (refusal(held, damaged) or "")


def test_the_journal_gives_back_what_was_written_and_refuses_damage(tmp_path: Path) -> None:
    path = tmp_path / "bindings.json"
    assert read_bindings(path) == EMPTY
    write_bindings(path, binding_set(3, [ONE, TWO]))
    assert read_bindings(path) == binding_set(3, [ONE, TWO])
    path.write_bytes(path.read_bytes().replace(b"192.0.2.0", b"192.0.3.0"))
    with pytest.raises(MachineJournalError, match="damaged"):
        read_bindings(path)


def test_only_the_difference_goes_to_the_kernel() -> None:
    have = routes_for(binding_set(1, [ONE])) | {KernelRoute(Prefix("10.0.0.0/24"), ("10.1.0.1",))}
    want = routes_for(binding_set(2, [ONE, TWO])) | {
        KernelRoute(Prefix("10.0.0.0/24"), ("10.1.0.1", "10.1.0.2"))
    }
    assert batch_for(have, want, 190) == {
        Family.IPV4: ["route replace 10.0.0.0/24 proto 190 nexthop via 10.1.0.1 nexthop via 10.1.0.2"],
        Family.IPV6: ["route replace local 2001:db8:1::/48 dev lo table local proto 190"],
    }
    assert batch_for(want, routes_for(EMPTY), 190)[Family.IPV6] == [
        "route del local 2001:db8:1::/48 dev lo table local proto 190"
    ]
    assert batch_for(want, want, 190) == {Family.IPV4: [], Family.IPV6: []}


@pytest.mark.parametrize(("live", "needed"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (8, 4)])
def test_the_announce_quorum(live: int, needed: int) -> None:
    assert quorum(live) == needed


def test_traffic_goes_to_live_machines_that_hold_the_binding_and_to_silent_ones_if_there_are_no_others() -> (
    None
):
    binding = SiteBinding(Prefix("192.0.2.0/24"), "s", "a", "x")
    first = MachineConfig("m1", "", ("10.0.1.2", "2001:db8::2"))
    second = MachineConfig("m2", "", ("10.0.2.2",))

    def routes(live1: bool, live2: bool, held2: frozenset[SiteBinding]) -> frozenset[KernelRoute]:
        one = MachineFacts("m1", live1, frozenset({binding}))
        return forward_routes([(first, one), (second, MachineFacts("m2", live2, held2))])

    both, only = ("10.0.1.2", "10.0.2.2"), ("10.0.1.2",)
    assert routes(True, True, frozenset({binding})) == {KernelRoute(binding.cidr, both)}
    assert routes(True, False, frozenset({binding})) == {KernelRoute(binding.cidr, only)}
    assert routes(True, True, frozenset()) == {KernelRoute(binding.cidr, only)}
    assert routes(False, False, frozenset({binding})) == {KernelRoute(binding.cidr, both)}
