"""GoBGP 3."""

from __future__ import annotations

from labs.topology.configs.router import HOLD_TIME_S, Router

CONFIG = "configs/{name}/gobgpd.toml"
TARGET = "/etc/gobgp/gobgpd.toml"

ONLY_OURS = """
# A site is a stub: it keeps, and sends, only what its agent put in here. Without this it would pass one
# transit's routes to the next, and become a transit itself; and were it to let them in and only not out, it
# would still send a withdrawal for each that goes (GoBGP 3.10).
[[policy-definitions]]
  name = "only-ours"
  [[policy-definitions.statements]]
    name = "local"
    [policy-definitions.statements.conditions.bgp-conditions]
      route-type = "local"
    [policy-definitions.statements.actions]
      route-disposition = "accept-route"

[global.apply-policy.config]
  import-policy-list = ["only-ours"]
  default-import-policy = "reject-route"
  export-policy-list = ["only-ours"]
  default-export-policy = "reject-route"
"""

PEER_LOCK = """
# From one neighbour no route that leads through another one, as networks of one rank do in earnest (peer
# locking). It also keeps clear of a fault of GoBGP 3.10: when its best path comes to contain a neighbour's
# AS, it sends that neighbour nothing at all, not even the withdrawal of what it sent before, and the
# neighbour keeps a route that leads nowhere (seen in 2 of 9 withdrawals without this).
[[defined-sets.bgp-defined-sets.as-path-sets]]
  as-path-set-name = "through-another-neighbour"
  as-path-list = ["^[0-9]+ (.* )?(%s)( |$)"]

[[policy-definitions]]
  name = "peer-lock"
  [[policy-definitions.statements]]
    name = "through-another-neighbour"
    [policy-definitions.statements.conditions.bgp-conditions.match-as-path-set]
      as-path-set = "through-another-neighbour"
      match-set-options = "any"
    [policy-definitions.statements.actions]
      route-disposition = "reject-route"

[global.apply-policy.config]
  import-policy-list = ["peer-lock"]
  default-import-policy = "accept-route"
"""


def render(router: Router) -> str:
    """Return ``gobgpd.toml``. Dialling takes GoBGP 4 to 8 s: it is passive where the other end dials."""
    lines = [
        f"# {router.name}, AS {router.asn}",
        "[global.config]",
        f"  as = {router.asn}",
        f'  router-id = "{router.router_id}"',
    ]
    text = "\n".join(lines) + "\n"
    if router.stub:
        text += ONLY_OURS
    elif others := sorted({s.neighbour_as for s in router.sessions if s.passes_on}):
        text += PEER_LOCK % "|".join(map(str, others))
    for s in router.sessions:
        for family, local, remote in (("ipv4", s.local4, s.remote4), ("ipv6", s.local6, s.remote6)):
            text += _neighbour(s.neighbour, s.neighbour_as, family, local, remote, passive=not s.dials)
    return text


def _neighbour(name: str, asn: int, family: str, local: str, remote: str, *, passive: bool) -> str:
    return f"""
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{remote}"
    peer-as = {asn}
    description = "{name}"
  [neighbors.timers.config]
    connect-retry = 1
    idle-hold-time-after-reset = 1
    hold-time = {HOLD_TIME_S}
    keepalive-interval = {HOLD_TIME_S // 3}
  [neighbors.transport.config]
    local-address = "{local}"
    passive-mode = {str(passive).lower()}
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "{family}-unicast"
"""
