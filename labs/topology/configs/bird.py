"""BIRD 2."""

from __future__ import annotations

from labs.topology.configs.router import HOLD_TIME_S, Router

CONFIG = "configs/{name}/bird.conf"
TARGET = "/etc/bird/bird.conf"


def render(router: Router) -> str:
    """Return ``bird.conf``: what comes in goes out again, unless the router is a stub.

    A site of ours lets nothing in, and lets out what its agent adds: the two static protocols ``herald4`` and
    ``herald6`` of the configuration that the agent generates around this one.
    """
    lines = [
        f"# {router.name}, AS {router.asn}",
        "log stderr all;",
        f"router id {router.router_id};",
        "",
        "protocol device {}",
        "# What BGP finds best goes into the kernel, so that packets follow it.",
        "protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }",
        "protocol kernel { ipv6 { import none; export where source = RTS_BGP; }; }",
    ]
    for family, prefixes in (("ipv4", router.own4), ("ipv6", router.own6)):
        if prefixes:
            routes = " ".join(f"route {prefix} blackhole;" for prefix in prefixes)
            lines.append(f"protocol static {{ {family}; {routes} }}")
    lines += [
        "",
        "template bgp neighbour {",
        f"  local as {router.asn};",
        f"  hold time {HOLD_TIME_S};",
        "  # By default BIRD waits 5 s before its first attempt.",
        "  connect delay time 1;",
        "  connect retry time 1;",
        "  error wait time 1, 2;",
        "}",
    ]
    for s in router.sessions:
        name = s.neighbour.replace("-", "_")
        passive = "" if s.dials else " passive;"
        for family, local, remote in (("ipv4", s.local4, s.remote4), ("ipv6", s.local6, s.remote6)):
            lines += [
                f"protocol bgp {name}_{family[-1]} from neighbour {{",
                f"  local {local}; neighbor {remote} as {s.neighbour_as};{passive}",
                f"  {family} {{ import {_in(router)}; export {_out(router, family)}; }};",
                "}",
            ]
    return "\n".join(lines) + "\n"


def _in(router: Router) -> str:
    return "none" if router.site else "all"


def _out(router: Router, family: str) -> str:
    if router.site:
        return f'where proto = "herald{family[-1]}"'
    return "none" if router.stub else "all"
