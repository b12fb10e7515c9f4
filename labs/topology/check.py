"""What types cannot say: names, references, duplicates, values of our labels (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from typing import get_args

from controller.observe.inventory import Daemon, Role
from labs.topology.marks import Place
from labs.topology.model import LinkSpec
from labs.topology.schema import Document, NodeKeys, TopologyKeys

Note = Callable[[Place, str], None]

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]*")
INTERFACE_LIMIT = 15
"""Characters in an interface's name (IFNAMSIZ less its terminator)."""
HOST_NAME_LIMIT = 63
"""Characters in a container's host name, ``clab-<lab>-<node>`` (RFC 1123 section 2.1)."""

KINDS = {"linux"}


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


def check_node(name: str, keys: NodeKeys, topology: TopologyKeys, note: Note) -> None:
    """Check one node with all that it inherits."""
    place: Place = ("topology", "nodes", name)
    kind = keys.kind or "linux"
    if kind not in KINDS:
        note((*place, "kind"), f"kind {kind!r} is not supported; allowed: {', '.join(sorted(KINDS))}")
    if keys.group is not None and keys.group not in topology.groups:
        allowed = ", ".join(sorted(topology.groups)) or "none is defined"
        note((*place, "group"), f"no group {keys.group!r}; allowed: {allowed}")
    mode = keys.network_mode
    if mode not in (None, "none", "bridge") and not (mode or "").startswith("container:"):
        note((*place, "network-mode"), f"{mode!r} is not supported; allowed: none, container:NODE")
    elif mode and mode.startswith("container:") and mode.split(":", 1)[1] not in topology.nodes:
        note((*place, "network-mode"), f"no node {mode.split(':', 1)[1]!r} to share a network with")
    _check_labels(place, keys, note)


def _check_labels(place: Place, keys: NodeKeys, note: Note) -> None:
    for label, allowed in (("herald.role", get_args(Role)), ("herald.kind", get_args(Daemon))):
        value = keys.labels.get(label)
        if value is not None and value not in allowed:
            note((*place, "labels", label), f"{value!r} is unknown; allowed: {', '.join(allowed)}")
    for label in keys.labels:
        if label.startswith("herald.") and label not in ("herald.role", "herald.kind", "herald.site"):
            note((*place, "labels", label), "unknown; allowed: herald.role, herald.kind, herald.site")
    role = keys.labels.get("herald.role")
    if role in ("site", "machine") and not keys.labels.get("herald.site"):
        note((*place, "labels"), f"a {role} needs the label herald.site")


def check_links(links: Sequence[LinkSpec], nodes: Set[str], note: Note) -> None:
    """Check that endpoints exist, are named well, and are used once."""
    used: dict[tuple[str, str], int] = {}
    for i, link in enumerate(links):
        place: Place = ("topology", "links", i)
        for j, end in enumerate(link.endpoints):
            here = (*place, "endpoints", j)
            if end.node not in nodes and not (end.node == "host" and link.kind == "host"):
                note(here, f"dangling endpoint: no node {end.node!r}; allowed: {', '.join(sorted(nodes))}")
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
            used[end.node, end.interface] = i
