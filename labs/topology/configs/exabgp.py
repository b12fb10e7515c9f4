"""ExaBGP 5: a site's speaker only; it announces what its agent says, and passes nothing on."""

from __future__ import annotations

from labs.topology.configs.router import HOLD_TIME_S, Router

CONFIG = "configs/{name}/exabgp.conf"
TARGET = "/etc/exabgp/exabgp.conf"


def render(router: Router) -> str:
    """Return ``exabgp.conf``.

    The helper on ExaBGP's pipe hands them to the agent. Received updates are not subscribed to: nobody
    reads them, and an unread pipe costs the session. Graceful restart is not negotiated: when a speaker
    dies, its peers are to use another site at once rather than keep a route that leads nowhere.
    """
    lines = [
        f"# {router.name}, AS {router.asn}",
        "process ctl {",
        "  run /run/herald/exabgp-pipe;",
        "  encoder json;",
        "}",
    ]
    for s in router.sessions:
        for family, local, remote in (("ipv4", s.local4, s.remote4), ("ipv6", s.local6, s.remote6)):
            lines += [
                "",
                f"neighbor {remote} {{",
                f"  description {s.neighbour}-{family};",
                f"  router-id {router.router_id};",
                f"  local-address {local};",
                f"  local-as {router.asn};",
                f"  peer-as {s.neighbour_as};",
                f"  hold-time {HOLD_TIME_S};",
                "  group-updates true;",
                "  adj-rib-out true;",
                f"  family {{ {family} unicast; }}",
                "  capability { route-refresh enable; }",
                "  api { processes [ ctl ]; neighbor-changes; }",
                "}",
            ]
    return "\n".join(lines) + "\n"
