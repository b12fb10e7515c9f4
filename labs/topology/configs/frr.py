"""FRR 8 and later, integrated configuration."""

from __future__ import annotations

from labs.topology.configs.router import HOLD_TIME_S, Router

CONFIG = "configs/{name}/frr.conf"
TARGET = "/etc/frr/frr.conf"
DAEMONS = "zebra=yes\nbgpd=yes\nvtysh_enable=yes\n"


def render(router: Router) -> str:
    """Return ``frr.conf``. FRR dials; there are no filters between networks in this lab (RFC 8212 off)."""
    lines = [
        f"! {router.name}, AS {router.asn}",
        f"hostname {router.name}",
        "log stdout",
        f"router bgp {router.asn}",
        f" bgp router-id {router.router_id}",
        " no bgp ebgp-requires-policy",
        " no bgp network import-check",
        " no bgp default ipv4-unicast",
        f" timers bgp {HOLD_TIME_S // 3} {HOLD_TIME_S}",
    ]
    for s in router.sessions:
        for remote in (s.remote4, s.remote6):
            lines += [
                f" neighbor {remote} remote-as {s.neighbour_as}",
                f" neighbor {remote} description {s.neighbour}",
                f" neighbor {remote} timers connect 1",
                f" neighbor {remote} advertisement-interval 0",
            ]
            if not s.dials:
                lines.append(f" neighbor {remote} passive")
    for family, remotes in (
        ("ipv4", [s.remote4 for s in router.sessions]),
        ("ipv6", [s.remote6 for s in router.sessions]),
    ):
        lines.append(f" address-family {family} unicast")
        lines += [f"  neighbor {remote} activate" for remote in remotes]
        lines.append(" exit-address-family")
    return "\n".join(lines) + "\n"
