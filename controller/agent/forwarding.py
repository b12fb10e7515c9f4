"""Which routes lead a site's traffic to its machines: one a binding, over those that hold it (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from controller.agent.config import MachineConfig
from controller.agent.reconcile import MachineFacts
from controller.bgp import Family, Prefix, family_of
from controller.machine.routes import KernelRoute


def forward_routes(machines: Iterable[tuple[MachineConfig, MachineFacts]]) -> frozenset[KernelRoute]:
    """Return an ECMP route for each binding's prefix, over the live machines that hold it.

    One that says that the binding is absent there gets none while another serves it. When no live machine
    serves it, those that held it last keep the route: silence is no reason to drop traffic.
    """
    live: dict[Prefix, set[str]] = defaultdict(set)
    silent: dict[Prefix, set[str]] = defaultdict(set)
    for config, facts in machines:
        hops = {Family.IPV6 if ":" in hop else Family.IPV4: hop for hop in config.next_hops}
        for binding in facts.held:
            hop = hops.get(family_of(binding.cidr))
            if hop is not None:
                serves = facts.live and binding.cidr not in facts.absent
                (live if serves else silent)[binding.cidr].add(hop)
    return frozenset(
        KernelRoute(prefix, tuple(sorted(live.get(prefix) or silent[prefix])))
        for prefix in live.keys() | silent.keys()
    )
