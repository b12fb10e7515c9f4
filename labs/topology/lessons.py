"""The READMEs of generated labs: goal, deploy, check, try (pure)."""

from __future__ import annotations


def two_sites_readme() -> str:
    """Return the README of ``two-sites``."""
    return """# two-sites: one prefix, two sites, four daemons

![the lab](two-sites.svg)

Two sites of ours announce customers' prefixes from AS 64500, the one by ExaBGP, the other by GoBGP. Four
transit networks, each on another daemon (BIRD, FRR, GoBGP, OpenBGPD), peer with both sites and with each
other. A vantage point with two transits looks on and passes nothing on. Each site has two machines, which
hold the bindings and answer for the addresses. IPv4 and IPv6 everywhere, on a session each.

## Goals
- See an API call become routes in four different daemons, by exactly the AS paths that the picture implies.
- See that bindings reach machines before a route goes out, and that a withdrawal takes no binding away.
- Take parts away (a machine, an agent, a speaker, the controller) and see what does not happen.

## Deploy, destroy
```sh
herald lab up topologies/two-sites/two-sites.clab.yml     # network namespaces, no root needed
herald lab down two-sites
```
The file is containerlab's own YAML; with images called `herald/<daemon>:latest`:
```sh
containerlab deploy -t topologies/two-sites/two-sites.clab.yml
containerlab destroy -t topologies/two-sites/two-sites.clab.yml
```
Site 1's speaker is `${HERALD_SPEAKER:=exabgp}`, site 2's `${HERALD_SPEAKER_2:=gobgp}`; either may be exabgp,
gobgp or bird.

## What to check
`herald announce 192.0.2.0/24`, then `herald ribs 192.0.2.0/24`:

| node | AS paths of its candidates |
|---|---|
| each transit | `64500` twice (site1, site2), and one by each other transit, such as `65002 64500` |
| vantage | `65001 64500`, `65002 64500` |

`herald announce 198.51.100.0/24` is a customer's with an ASN of its own: the same paths with 64511 at the
end. `herald lab exec vantage -- ping -c 3 192.0.2.1` is answered by a machine.
`herald withdraw 192.0.2.0/24 --watch` prints every UPDATE until nobody has the prefix.

What is refused, and why: `198.51.100.128/25` (longer than /24), `192.0.2.1/24` (host bits),
`203.0.113.0/24` (not approved), `100.64.0.0/22` (nothing bound), `8.8.8.0/24` (nobody's here).

## Things to try
- `herald withdraw 192.0.2.0/24 --site site1`: who moves, and does anybody lose the prefix?
- `herald lab status`, then `kill -STOP` both machines of site1 and announce: what leaves site1, and when?
- `kill -9` site1's agent; announce at site2 only; `herald lab restart agent:site1`.
- `kill -9` site1's speaker; `herald lab restart` it; watch its routes return from the agent's journal.
- `HERALD_SPEAKER=gobgp herald lab up -c topologies/two-sites/two-sites.clab.yml`: what changes at the peers?
"""


def six_sites_readme() -> str:
    """Return the README of ``six-sites``."""
    return """# six-sites: anycast large enough for guards to matter

![the lab](six-sites.svg)

Six sites of ours announce customers' prefixes from AS 64500. Each has two of four transit networks (two on
BIRD, one on FRR, one on OpenBGPD), which peer with each other; two vantage points look on from different
transits. Each site has two machines. Forty customers have two /24s and one /48 each, bound to the CDN.

## Goals
- See a change go over sites in waves: canaries first, one site left unchanged to compare with, then the rest.
- See what a withdrawal at one site costs, when five others still announce the prefix: nobody loses it.
- Let something run away, and see what holds it: intents, the breaker, the agents' own budgets and keepers.

## Deploy, destroy
```sh
herald lab up topologies/six-sites/six-sites.clab.yml
herald lab down six-sites
```
All six speakers are `${HERALD_SPEAKER:=exabgp}`: exabgp, gobgp or bird.

## What to check
`herald announce 100.64.0.0/24`, then `herald ribs 100.64.0.0/24`: each transit holds `64500` from each of the
sites that it serves, and one path by each other transit; `v1` and `v2` hold two paths each.
`herald lab exec v1 -- ping -c 3 100.64.0.1` is answered by a machine.

## Things to try
- `herald withdraw 100.64.0.0/24 --site site1`: who moves?
- As an operator alone (`HERALD_TOKEN` from the lab's state directory), withdraw a customer's prefix: what
  holds it?
- `herald rollouts watch` in another terminal while you announce ten prefixes of different customers.
- `herald snapshots list`, then `herald rollback @TIME --dry-run`.
"""


def hierarchy_readme(n: int, seed: int) -> str:
    """Return the README of a hierarchy of ``n`` networks."""
    name = f"hierarchy-{n}-{seed}"
    return f"""# {name}: contracts keep a hunt short

![the lab](hierarchy.svg)

{n} networks on BIRD, drawn by chance (seed {seed}): a few at the top are one another's peers, those in the
middle sell transit and buy it, those at the edge only buy. Two sites of ours are customers of two networks in
the middle each. Who likes a route best and whom it tells of it follows the contract: routes of customers are
liked best and told to all; those of peers and providers are told to customers only. So no path goes down and
up again (valley-free), and a stale path has few ways to travel. Each router marks a route with a community of
its own, `<its AS>:1` for a customer's, `:2` for a peer's, `:3` for a provider's; BIRDs negotiate their BGP
roles (RFC 9234).

## Goals
- See how far less is hunted than in a full mesh of fewer routers.
- See who moves, and to what, when one of two sites withdraws.

## Deploy, destroy
```sh
herald lab up {name}.clab.yml
herald lab down {name}
```
Another size, another chance: `herald lab generate hierarchy --n 60 --seed 7 my-hierarchy`.

## Predict
`herald announce 192.0.2.0/24`, then look at `herald ribs 192.0.2.0/24 --node edge1`: by which contract did
each route come? `herald withdraw 192.0.2.0/24 --dry-run` has a forecast of its own; make yours first.

## Observe
```sh
herald withdraw 192.0.2.0/24 --site site1 --watch
herald announce 192.0.2.0/24
herald hunt 192.0.2.0/24 --report out
```

## What to expect
Some three to five UPDATEs a router for the whole withdrawal, where a mesh of eight has forty: most routers
try no stale path at all, and the longest is hardly longer than the one that was in use. When one site of two
withdraws, only networks near it say anything.
"""


def clique_readme(n: int) -> str:
    """Return the README of a clique of ``n``."""
    file = "clique.clab.yml" if n == 8 else f"clique-{n}.clab.yml"
    name = file.removesuffix(".clab.yml")
    return f"""# {name}: path hunting in a full mesh of {n}

![the lab](clique.svg)

{n} BIRD routers, r1 to r{n} (AS 65001 to {65000 + n}), each a neighbour of every other, with no policy
between them. Our one site is a stub at r1: whoever reaches its prefixes does so through r1. When such a
prefix is withdrawn, every router believes for a while that one of the others still has a way, and tries one
stale path after another, each longer than the last: path hunting, in its worst case.

## Goals
- Watch routers explore paths that no longer lead anywhere, in microseconds, on real daemons.
- Count: how many UPDATEs, how many distinct paths, how long is the longest?

## Deploy, destroy
```sh
herald lab up topologies/clique/{file}
herald lab down {name}
```
It is containerlab's own YAML: `containerlab deploy -t {file}` works, too, with images called
`herald/bird:latest` and so on. Another size: `herald lab generate clique --n 11 my-clique`.

## Predict
How many simple paths lead from a router through the mesh to r1? Will the routers try them all? What ends it?

## Observe
```sh
herald announce 192.0.2.0/24
herald withdraw 192.0.2.0/24 --watch
herald hunt 192.0.2.0/24 --report out
```

## What to expect
| routers | UPDATEs | distinct paths | longest path |
|---|---|---|---|
| 5 | 42 to 74 | 6 to 14 | 6 |
| 8 | 249 to 584 | 29 to 72 | 9 |
| 11 | 860 to 1,690 | 85 to 152 | 12 |

Seen in 60 to 150 hunts on two cores with BIRD 2.0.12, no MRAI, no link delay: the spread is the scheduler's
doing. The longest path goes through every router once, and ends in our own AS. It is over in a fraction of a
second: BIRD sends at once. Nowhere near all simple paths are tried: routers answer faster than stale news can
travel every way there is.

## Things to try
- The same over IPv6: `herald hunt 2001:db8:1000::/48`.
- GoBGP as our speaker: `HERALD_SPEAKER=gobgp herald lab up -c topologies/clique/{file}`.
- A larger or a smaller mesh: how do the UPDATEs grow with the number of routers?
- Read the raw messages: `bgpdump -m` on the file that the hunt names as `mrt`.
"""


def ring_readme(n: int) -> str:
    """Return the README of a ring of ``n``."""
    return f"""# ring-{n}: {n} BIRD routers in a circle

Each router announces one /24 and one /48 of its own, and is done when it has everybody's. There is no site of
ours; the lab measures how fast a lab of this size starts (`scripts/bench startup`).

```sh
herald lab up ring-{n}.clab.yml
herald lab exec r1 -- birdc show route count     # {n} networks in each of master4 and master6
herald lab down ring-{n}
```
"""
