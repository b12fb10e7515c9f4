"""A running lab as an inventory: the only thing that the controller knows of it (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast, get_args

from controller.observe.inventory import Daemon, Interface, Inventory, Node, Owner, Role, Site
from labs.runtimes.errors import LabStartError
from labs.runtimes.node import RunningNode
from labs.runtimes.plan import LabPaths
from labs.topology.model import LinkSpec, Topology


def sites_of(topology: Topology, paths: LabPaths) -> tuple[Site, ...]:
    """Return the sites that the nodes' labels name."""
    routers = {n.site: n.name for n in topology.nodes if n.role == "site" and n.site is not None}
    machines: dict[str, list[str]] = {site: [] for site in routers}
    for node in topology.nodes:
        if node.role == "site" and node.site is None:
            raise LabStartError(
                f"node {node.name} is a site's router without a name: give it the label herald.site"
            )
        if node.role == "machine":
            if node.site not in routers:
                raise LabStartError(f"machine {node.name}: no router has the label herald.site: {node.site}")
            machines[str(node.site)].append(node.name)
    return tuple(
        Site(site, router, str(paths.agent(site)), tuple(machines[site])) for site, router in routers.items()
    )


def inventory_of(
    topology: Topology,
    paths: LabPaths,
    nodes: Mapping[str, RunningNode],
    token: str,
    owner_tokens: Mapping[str, str],
) -> Inventory:
    """Return the inventory of a lab whose nodes' addresses are known; tokens of operator and owners."""
    return Inventory(
        lab=topology.name,
        topology=str(topology.path),
        folder=str(topology.folder),
        runtime=str(paths.runtime),
        instance=paths.instance,
        api_socket=str(paths.api),
        api_token=token,
        capture_socket=str(paths.capture),
        nodes=tuple(_node(nodes[n.name], topology.links, paths) for n in topology.nodes),
        sites=sites_of(topology, paths),
        break_glass_key=str(paths.state("guard") / "overrides.key"),
        owners=tuple(Owner(account, held) for account, held in sorted(owner_tokens.items())),
    )


def _node(node: RunningNode, links: Iterable[LinkSpec], paths: LabPaths) -> Node:
    spec, kind = node.spec, node.kind
    role = spec.role if spec.role in get_args(Role) else "other"
    return Node(
        name=spec.name,
        role=cast("Role", role),
        daemon=cast("Daemon", kind.name),
        run=str(paths.run(spec.name)),
        log=str(paths.log(spec.name, kind.main)) if kind.main else "",
        site=spec.site,
        interfaces=tuple(_interfaces(node, links)),
    )


def _interfaces(node: RunningNode, links: Iterable[LinkSpec]) -> Iterable[Interface]:
    for link in links:
        for near, far in zip(link.endpoints, reversed(link.endpoints), strict=True):
            if near.node == node.spec.name and near is not far:
                held = node.addresses.get(near.interface, ())
                yield Interface(near.interface, far.node, far.interface, held)
