"""Write whole labs: topology, configurations and README, the same bytes for the same arguments.

``topologies/two-sites``, ``six-sites`` and ``clique`` are what this writes; ``herald lab generate`` writes
more.
"""

from __future__ import annotations

from pathlib import Path

from labs.topology.as_graph import as_graph
from labs.topology.configs import bird, exabgp, frr, gobgp, openbgpd
from labs.topology.datasets import CLIQUE_ADDRESSING, SIX_SITES_ADDRESSING, TWO_SITES_ADDRESSING
from labs.topology.design import LOCAL_AS, Design, Node
from labs.topology.errors import TopologyError
from labs.topology.lessons import (
    clique_readme,
    hierarchy_readme,
    ring_readme,
    six_sites_readme,
    two_sites_readme,
)
from labs.topology.picture import clique_picture, hierarchy_picture, six_sites_picture, two_sites_picture
from labs.topology.yaml_text import render_topology

RENDERERS = {"bird": bird, "frr": frr, "gobgp": gobgp, "openbgpd": openbgpd, "exabgp": exabgp}
SPEAKERS = ("exabgp", "gobgp", "bird")
LARGEST_CLIQUE = 40
LARGEST_RING = 250
SMALLEST_HIERARCHY, LARGEST_HIERARCHY = 7, 500


def two_sites() -> Design:
    """Two sites of ours at four transit networks, one each of BIRD, FRR, GoBGP and OpenBGPD."""
    design = Design("two-sites")
    design.add_site("site1", "s1", ("HERALD_SPEAKER", "exabgp"))
    design.add_site("site2", "s2", ("HERALD_SPEAKER_2", "gobgp"))
    transits = ["t-bird", "t-frr", "t-gobgp", "t-openbgpd"]
    for i, name in enumerate(transits, start=1):
        design.add(Node(name, "transit", name.removeprefix("t-"), asn=65000 + i))  # type: ignore[arg-type]  # the names are the daemons'
    vantage = design.add(Node("vantage", "vantage", "bird", asn=65010, stub=True))
    ways = {site: [design.link(site, transit) for transit in transits] for site in ("site1", "site2")}
    for i, one in enumerate(transits):
        for other in transits[i + 1 :]:
            between = design.link(one, other)
            if (one, other) == ("t-bird", "t-frr"):
                mesh = between
    to_bird, to_frr = design.link("t-bird", "vantage"), design.link("t-frr", "vantage")
    # Answers to the vantage point find their way back by these; no BGP table carries link addresses.
    for version, length in ((4, 30), (6, 64)):
        for site, way in (("site1", ways["site1"][0]), ("site2", ways["site2"][1])):
            gateway = way.address(way.other(site), version)
            design.nodes[site].exec.append(f"ip route add default via {gateway}")
        for transit, far, towards in (("t-bird", to_frr, "t-frr"), ("t-frr", to_bird, "t-bird")):
            network = far.address(towards, version).removesuffix("1") + ("0" if version == 4 else "")
            gateway = mesh.address(towards, version)
            design.nodes[transit].exec.append(f"ip route add {network}/{length} via {gateway}")
    assert vantage.stub
    return design


SIX_TRANSITS = {"t-bird1": 65001, "t-bird2": 65002, "t-frr": 65003, "t-openbgpd": 65004}
SIX_HOMES = {
    "v1": ("t-bird1", "t-frr"),
    "v2": ("t-bird2", "t-openbgpd"),
    "site1": ("t-bird1", "t-bird2"),
    "site2": ("t-bird2", "t-frr"),
    "site3": ("t-frr", "t-openbgpd"),
    "site4": ("t-openbgpd", "t-bird1"),
    "site5": ("t-bird1", "t-frr"),
    "site6": ("t-bird2", "t-openbgpd"),
}
"""Whom each site and each vantage point of ``six-sites`` buys transit from."""


def six_sites() -> Design:
    """Six sites of ours, each at two of four transit networks, and two vantage points."""
    design = Design("six-sites")
    for i in range(1, 7):
        design.add_site(f"site{i}", f"s{i}", ("HERALD_SPEAKER", "exabgp"))
    for name, asn in SIX_TRANSITS.items():
        daemon = name.removeprefix("t-").rstrip("12")
        design.add(Node(name, "transit", daemon, asn=asn))  # type: ignore[arg-type]  # the names are the daemons'
    views = [name for name in SIX_HOMES if name.startswith("v")]
    for i, name in enumerate(views):
        design.add(Node(name, "vantage", "bird", asn=65010 + i, stub=True))
    ways = {
        name: [design.link(name, transit) for transit in homes]
        for name, homes in SIX_HOMES.items()
        if name not in views
    }
    transits = list(SIX_TRANSITS)
    mesh = {
        frozenset((one, other)): design.link(one, other)
        for i, one in enumerate(transits)
        for other in transits[i + 1 :]
    }
    looks = {name: [design.link(transit, name) for transit in SIX_HOMES[name]] for name in views}
    # Answers to the vantage points find their way back by these; no BGP table carries link addresses.
    for version, length in ((4, 30), (6, 64)):
        for site, links in ways.items():
            design.nodes[site].exec.append(
                f"ip route add default via {links[0].address(links[0].other(site), version)}"
            )
        for name, links in looks.items():
            for link in links:
                home = link.other(name)
                network = link.address(home, version).removesuffix("1") + ("0" if version == 4 else "")
                for transit in transits:
                    if transit != home:
                        gateway = mesh[frozenset((transit, home))].address(home, version)
                        design.nodes[transit].exec.append(f"ip route add {network}/{length} via {gateway}")
    return design


def clique(n: int) -> Design:
    """A mesh of ``n`` BIRD routers, with one site of ours as the stub origin on the first."""
    if not 2 <= n <= LARGEST_CLIQUE:
        raise TopologyError(f"a clique has 2 to {LARGEST_CLIQUE} routers, not {n}")
    design = Design("clique" if n == 8 else f"clique-{n}")
    site = design.add_site("site1", "s1", ("HERALD_SPEAKER", "exabgp"))
    routers = [design.add(Node(f"r{i}", "transit", "bird", asn=LOCAL_AS + 500 + i)) for i in range(1, n + 1)]
    link = design.link("site1", "r1")
    site.exec += [f"ip route add default via {link.address('r1', version)}" for version in (4, 6)]
    for i, one in enumerate(routers):
        for other in routers[i + 1 :]:
            design.link(one.name, other.name)
    return design


def hierarchy(n: int, seed: int) -> Design:
    """``n`` BIRD networks that sell transit to each other; our two sites buy it from two of them each."""
    if not SMALLEST_HIERARCHY <= n <= LARGEST_HIERARCHY:
        raise TopologyError(f"a hierarchy has {SMALLEST_HIERARCHY} to {LARGEST_HIERARCHY} networks, not {n}")
    graph = as_graph(n, seed)
    design = Design(f"hierarchy-{n}-{seed}")
    sites = [design.add_site(f"site{i}", f"s{i}", ("HERALD_SPEAKER", "exabgp")) for i in (1, 2)]
    for i, (name, tier) in enumerate(graph.tiers.items(), start=1):
        role = "vantage" if tier == 3 else "transit"
        design.add(Node(name, role, "bird", asn=LOCAL_AS + 500 + i, stub=tier == 3))
    middle = [name for name, tier in graph.tiers.items() if tier == 2]
    for i, site in enumerate(sites):
        providers = [middle[i % len(middle)], middle[-1 - i]]
        ways = [design.link(site.name, provider, "provider") for provider in dict.fromkeys(providers)]
        site.exec += [f"ip route add default via {ways[0].address(providers[0], v)}" for v in (4, 6)]
    for a, b, relation in graph.contracts:
        design.link(a, b, relation)
    return design


def ring(n: int) -> Design:
    """A ring of ``n`` BIRD routers, each announcing one /24 and one /48 of its own; no site of ours."""
    if not 3 <= n <= LARGEST_RING:
        raise TopologyError(f"a ring has 3 to {LARGEST_RING} routers, not {n}")
    design = Design(f"ring-{n}")
    for i in range(1, n + 1):
        design.add(
            Node(
                f"r{i}",
                "transit",
                "bird",
                asn=LOCAL_AS + 500 + i,
                own4=(f"100.64.{i}.0/24",),
                own6=(f"2001:db8:{i:x}::/48",),
            )
        )
    for i in range(1, n + 1):
        design.link(f"r{i}", f"r{i % n + 1}")
    return design


def generate_clique(n: int, folder: Path) -> Path:
    """Write a clique of ``n`` into ``folder``; returns the topology file.

    Raises :class:`TopologyError` for an ``n`` out of range or a folder that cannot be written.
    """
    extra = {
        "configs/addressing.json": CLIQUE_ADDRESSING,
        "README.md": clique_readme(n),
        "clique.svg": clique_picture(n),
    }
    return _write(clique(n), folder, "clique.clab.yml" if n == 8 else f"clique-{n}.clab.yml", extra)


def generate_ring(n: int, folder: Path) -> Path:
    """Write a ring of ``n`` into ``folder``; returns the topology file. Raises as :func:`generate_clique`."""
    return _write(ring(n), folder, f"ring-{n}.clab.yml", {"README.md": ring_readme(n)})


def generate_hierarchy(n: int, folder: Path, seed: int = 1) -> Path:
    """Write a hierarchy of ``n`` networks into ``folder``; returns the topology file.

    Raises as :func:`generate_clique`.
    """
    design = hierarchy(n, seed)
    extra = {
        "configs/addressing.json": CLIQUE_ADDRESSING,
        "README.md": hierarchy_readme(n, seed),
        "hierarchy.svg": hierarchy_picture(
            {name: _tier(node) for name, node in design.nodes.items() if node.daemon != "linux"},
            [(link.a, link.b, link.relation) for link in design.links if link.relation is not None],
        ),
    }
    return _write(design, folder, f"{design.name}.clab.yml", extra)


def _tier(node: Node) -> int:
    """Return 0 for a site of ours, else the tier that the node's name tells."""
    return next((tier for tier, name in enumerate(("top", "mid", "edge"), start=1) if name in node.name), 0)


def generate_two_sites(folder: Path) -> Path:
    """Write ``two-sites`` into ``folder``; returns the topology file."""
    extra = {
        "configs/addressing.json": TWO_SITES_ADDRESSING,
        "README.md": two_sites_readme(),
        "two-sites.svg": two_sites_picture(),
    }
    return _write(two_sites(), folder, "two-sites.clab.yml", extra)


def generate_six_sites(folder: Path) -> Path:
    """Write ``six-sites`` into ``folder``; returns the topology file."""
    extra = {
        "configs/addressing.json": SIX_SITES_ADDRESSING,
        "README.md": six_sites_readme(),
        "six-sites.svg": six_sites_picture(SIX_TRANSITS, SIX_HOMES),
    }
    return _write(six_sites(), folder, "six-sites.clab.yml", extra)


def _write(design: Design, folder: Path, file: str, extra: dict[str, str]) -> Path:
    files = {file: render_topology(design), **configurations(design), **extra}
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    except OSError as error:
        raise TopologyError(f"cannot write the lab into {folder}: {error.strerror}") from error
    return folder / file


def configurations(design: Design) -> dict[str, str]:
    """Return all configuration files of a lab: path below its folder → text."""
    files = {}
    for node in design.nodes.values():
        daemons = SPEAKERS if node.daemon == "site" else () if node.daemon == "linux" else (node.daemon,)
        for daemon in daemons:
            renderer = RENDERERS[daemon]
            files[renderer.CONFIG.format(name=node.name)] = renderer.render(design.router(node.name, daemon))
        if node.daemon == "frr":
            files[f"configs/{node.name}/daemons"] = frr.DAEMONS
    return files
