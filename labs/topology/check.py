"""What types cannot say: names, references, duplicates, values of our labels (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import get_args

from controller.observe.inventory import Daemon, Role
from labs.topology.explain import Note, near_miss
from labs.topology.inherit import Resolved, group_of
from labs.topology.marks import Place
from labs.topology.model import LinkSpec, NodeSpec, StageName
from labs.topology.schema import Document, TopologyKeys

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]*")
SYSCTL = re.compile(r"net(\.[A-Za-z0-9_-][A-Za-z0-9_/-]*)+")
ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
INTERFACE_LIMIT = 15
"""Characters in an interface's name (IFNAMSIZ less its terminator)."""
HOST_NAME_LIMIT = 63
"""Characters in a container's host name, ``clab-<lab>-<node>`` (RFC 1123 section 2.1)."""

KINDS = {"linux"}
SPEAKERS = ("exabgp", "gobgp", "bird")
"""Daemons that an agent can drive (controller.agent.config.SpeakerConfig)."""
LABELS = ("herald.role", "herald.kind", "herald.site")


def check_names(document: Document, note: Note) -> None:
    """Check the lab's and the nodes' names, and that there is a node at all."""
    if not NAME.fullmatch(document.name):
        note(("name",), f"{document.name!r} is no lab name; allowed: letters, digits, '-', '_' and '.'")
    if not document.topology.nodes:
        note(("topology", "nodes"), "is empty; allowed: at least one node")
    for name in document.topology.nodes:
        place = ("topology", "nodes", name)
        host = f"clab-{document.name}-{name}"
        if not NAME.fullmatch(name):
            note(place, f"{name!r} is no node name; allowed: letters, digits, '-', '_' and '.'")
        elif len(host) > HOST_NAME_LIMIT:
            note(
                place, f"the name is too long: {host} has {len(host)} characters; allowed: {HOST_NAME_LIMIT}"
            )
        elif name == "host":
            note(place, "'host' means the host itself in links; allowed: any other name")


def check_node(name: str, node: Resolved, topology: TopologyKeys, note: Note) -> None:
    """Check one node with all that it inherits."""
    keys = node.keys
    kind = keys.kind or "linux"
    if kind not in KINDS:
        note(node.place("kind"), f"kind {kind!r} is not supported; allowed: {', '.join(sorted(KINDS))}")
    group = group_of(name, topology)
    if group is not None and group[0] not in topology.groups:
        allowed = ", ".join(sorted(topology.groups)) or "none is defined"
        note(group[1], f"no group {group[0]!r}; {near_miss(group[0], topology.groups)}allowed: {allowed}")
    _check_network_mode(name, node, topology, note)
    for sysctl in keys.sysctls:
        if not SYSCTL.fullmatch(sysctl):
            what = (
                f"{sysctl!r} is not of a network namespace; allowed: net.…, the host's own stay as they are"
            )
            note(node.place("sysctls", sysctl), what)
    for variable in keys.env:
        if not ENVIRONMENT.fullmatch(variable):
            what = f"{variable!r} is no variable's name; allowed: letters, digits and '_'"
            note(node.place("env", variable), what)
    _check_labels(node, note)


def _check_network_mode(name: str, node: Resolved, topology: TopologyKeys, note: Note) -> None:
    mode, place = node.keys.network_mode, node.place("network-mode")
    if mode in (None, "none", "bridge"):
        return
    how, _, other = str(mode).partition(":")
    if how != "container" or not other:
        note(place, f"{mode!r} is not supported; allowed: none, container:NODE")
    elif other not in topology.nodes:
        allowed = ", ".join(sorted(topology.nodes))
        note(place, f"no node {other!r} to share a network with; allowed: {allowed}")
    elif other == name:
        note(place, "a node cannot share its network with itself; allowed: another node")


def _check_labels(node: Resolved, note: Note) -> None:
    labels = node.keys.labels
    for label, allowed in (("herald.role", get_args(Role)), ("herald.kind", get_args(Daemon))):
        value = labels.get(label)
        if value is not None and value not in allowed:
            near = near_miss(value, allowed)
            note(node.place("labels", label), f"{value!r} is unknown; {near}allowed: {', '.join(allowed)}")
    for label in labels:
        if label.startswith("herald.") and label not in LABELS:
            note(node.place("labels", label), f"unknown label; allowed: {', '.join(LABELS)}")
    role, site = labels.get("herald.role"), labels.get("herald.site")
    if role in ("site", "machine") and not site:
        note(node.place("labels"), f"a {role} needs the label herald.site")
    if site and not NAME.fullmatch(site):
        what = f"{site!r} is no site's name; allowed: letters, digits, '-', '_' and '.'"
        note(node.place("labels", "herald.site"), what)


def check_sites(nodes: Sequence[NodeSpec], resolved: Mapping[str, Resolved], note: Note) -> None:
    """Check that each site has one router with a speaker, and each machine such a site."""
    routers: dict[str, str] = {}
    for node in nodes:
        if node.role != "site" or not node.site:
            continue
        place = resolved[node.name].place("labels", "herald.site")
        if node.site in routers:
            note(place, f"site {node.site!r} has the router {routers[node.site]} already; allowed: one")
        routers.setdefault(node.site, node.name)
        if node.daemon in get_args(Daemon) and node.daemon not in SPEAKERS:
            place = resolved[node.name].place("labels", "herald.kind")
            what = f"no agent can speak through {node.daemon!r} yet; allowed: {', '.join(SPEAKERS)}"
            note(place, f"{node.name} is a site's router: {what}")
    for node in nodes:
        if node.role == "machine" and node.site and node.site not in routers:
            place = resolved[node.name].place("labels", "herald.site")
            allowed = ", ".join(sorted(routers)) or "none, since no node has herald.role: site"
            note(place, f"no site {node.site!r}; {near_miss(node.site, routers)}allowed: {allowed}")


def check_waits(nodes: Sequence[NodeSpec], resolved: Mapping[str, Resolved], note: Note) -> None:
    """Check that what nodes' stages wait for exists and can come to pass."""
    names = {node.name for node in nodes}
    before: dict[tuple[str, str], set[tuple[str, str]]] = {}
    stages = get_args(StageName)
    for node in nodes:
        place = resolved[node.name].place("stages")
        for stage in node.stages:
            waits = before.setdefault((node.name, stage.name), set())
            for wait in stage.wait_for:
                if wait.node not in names:
                    allowed = ", ".join(sorted(names))
                    note(place, f"{stage.name} waits for no node: {wait.node!r}; allowed: {allowed}")
                waits.add((wait.node, wait.stage))
        if node.stages:
            for first, then in pairwise(stages):
                before.setdefault((node.name, then), set()).add((node.name, first))
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        way = " → ".join(f"{name} {stage}" for name, stage in reversed(error.args[1]))
        name = next(name for name, _ in error.args[1] if name in resolved)
        note(resolved[name].place("stages"), f"nodes wait for each other for ever: {way}")


def check_links(links: Sequence[tuple[int, LinkSpec]], nodes: Set[str], note: Note) -> None:
    """Check that endpoints exist, are named well, and are used once; ``links`` with their numbers."""
    used: dict[tuple[str, str], int] = {}
    for i, link in links:
        place: Place = ("topology", "links", i)
        for j, end in enumerate(link.endpoints):
            here = (*place, "endpoints", j)
            if end.node not in nodes and not (end.node == "host" and link.kind == "host"):
                near, allowed = near_miss(end.node, nodes), ", ".join(sorted(nodes))
                note(here, f"dangling endpoint: no node {end.node!r}; {near}allowed: {allowed}")
            if len(end.interface) > INTERFACE_LIMIT:
                note(
                    here,
                    f"interface {end.interface!r} has {len(end.interface)} characters; "
                    f"allowed: {INTERFACE_LIMIT}",
                )
            elif not INTERFACE.fullmatch(end.interface) or end.interface == "lo":
                note(here, f"{end.interface!r} is no interface name; allowed: such as eth1")
            if (end.node, end.interface) in used:
                first = used[end.node, end.interface]
                note(here, f"{end.node}:{end.interface} is used by link {first} already; allowed: once")
            used.setdefault((end.node, end.interface), i)
