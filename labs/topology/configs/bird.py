"""BIRD 2."""

from __future__ import annotations

from collections.abc import Mapping

from labs.topology.configs.router import HOLD_TIME_S, Relation, Router, Session

CONFIG = "configs/{name}/bird.conf"
TARGET = "/etc/bird/bird.conf"

MARKS: Mapping[Relation, int] = {"customer": 1, "peer": 2, "provider": 3}
"""The second half of a router's own community on a route, by whom it came from."""

PREFERENCES: Mapping[Relation, int] = {"customer": 200, "peer": 150, "provider": 100}
OWN_ROLE: Mapping[Relation, str] = {"customer": "provider", "peer": "peer", "provider": "customer"}


def render(router: Router) -> str:
    """Return ``bird.conf``: what comes in goes out again, unless the router is a stub.

    Where neighbours are customers, peers or providers, routes of customers are liked best and told to all,
    those of peers and providers to customers only (valley-free).

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
    if not router.site and any(s.relation for s in router.sessions):
        lines += _contracts(router.asn)
    for s in router.sessions:
        name = s.neighbour.replace("-", "_")
        passive = "" if s.dials else " passive;"
        for family, local, remote in (("ipv4", s.local4, s.remote4), ("ipv6", s.local6, s.remote6)):
            lines += [
                f"protocol bgp {name}_{family[-1]} from neighbour {{",
                f"  local {local}; neighbor {remote} as {s.neighbour_as};{passive}",
                *([f"  local role {OWN_ROLE[s.relation]};"] if s.roles and s.relation else []),
                f"  {family} {{ import {_in(router, s)}; export {_out(router, s, family)}; }};",
                "}",
            ]
    return "\n".join(lines) + "\n"


def _contracts(mine: int) -> list[str]:
    """Filters by what a neighbour is; a community says whose a route is, and goes no further."""
    lines = [""]
    for relation, mark in MARKS.items():
        lines += [
            f"filter from_{relation} {{",
            f"  bgp_community.delete([({mine}, *)]); bgp_community.add(({mine}, {mark}));",
            f"  bgp_local_pref = {PREFERENCES[relation]}; accept;",
            "}",
        ]
    return [
        *lines,
        f"filter to_customer {{ bgp_community.delete([({mine}, *)]); accept; }}",
        "filter to_others { # customers' routes alone",
        f"  if ({mine}, {MARKS['customer']}) !~ bgp_community then reject;",
        f"  bgp_community.delete([({mine}, *)]); accept;",
        "}",
    ]


def _in(router: Router, session: Session) -> str:
    if router.site:
        return "none"
    return "all" if session.relation is None else f"filter from_{session.relation}"


def _out(router: Router, session: Session, family: str) -> str:
    if router.site:
        return f'where proto = "herald{family[-1]}"'
    if router.stub:
        return "none"
    if session.relation is None:
        return "all"
    return "filter to_customer" if session.relation == "customer" else "filter to_others"
