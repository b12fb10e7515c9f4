"""OpenBGPD (portable)."""

from __future__ import annotations

from labs.topology.configs.router import HOLD_TIME_S, Router

CONFIG = "configs/{name}/bgpd.conf"
TARGET = "/etc/bgpd.conf"


def render(router: Router) -> str:
    """Return ``bgpd.conf``: everything is let in and out (the default is to refuse, RFC 8212)."""
    lines = [
        f"# {router.name}, AS {router.asn}",
        f"AS {router.asn}",
        f"router-id {router.router_id}",
        'socket "/run/bgpd.sock.0"',
        f"holdtime {HOLD_TIME_S}",
        "connect-retry 1",
        "fib-update no",
        "",
    ]
    for s in router.sessions:
        for family, other, local, remote in (
            ("IPv4", "IPv6", s.local4, s.remote4),
            ("IPv6", "IPv4", s.local6, s.remote6),
        ):
            lines += [
                f"neighbor {remote} {{",
                f'  descr "{s.neighbour}-{family[-1]}"',
                f"  remote-as {s.neighbour_as}",
                f"  local-address {local}",
                f"  announce {family} unicast",
                f"  announce {other} none",
                *([] if s.dials else ["  passive"]),
                "}",
            ]
    lines += ["", "allow from any", "allow to any"]
    return "\n".join(lines) + "\n"
