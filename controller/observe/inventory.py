"""The inventory: which routers can be observed, and where their sockets are.

Whoever runs the routers writes it (a lab when it is up; an operator's own tooling elsewhere); Herald
reads it. It is the only thing that the controller knows of a lab.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from controller.errors import HeraldError
from controller.locations import runtime_root

Daemon = Literal["bird", "frr", "gobgp", "openbgpd", "exabgp", "linux"]
Role = Literal["site", "machine", "transit", "vantage", "origin", "other"]


class InventoryError(HeraldError):
    """No inventory, or one that cannot be read."""


class Interface(msgspec.Struct, frozen=True):
    """One end of a link: addresses are ``ADDRESS/LENGTH``, without link-local ones."""

    name: str
    peer_node: str
    peer_interface: str
    addresses: tuple[str, ...] = ()


class Node(msgspec.Struct, frozen=True):
    """A router or machine.

    ``run`` is the folder that the node sees as ``/run``: BIRD's socket is ``<run>/bird/bird.ctl``, FRR's
    ``<run>/frr/bgpd.vty``, GoBGP's ``<run>/gobgp/gobgp.sock``, OpenBGPD's ``<run>/bgpd.sock.0``.
    """

    name: str
    role: Role
    daemon: Daemon
    run: str
    log: str
    site: str | None = None
    interfaces: tuple[Interface, ...] = ()


class Site(msgspec.Struct, frozen=True):
    """One site of ours: its router node, its agent's socket, its machines' node names."""

    name: str
    router: str
    agent_socket: str
    machines: tuple[str, ...] = ()


class Owner(msgspec.Struct, frozen=True):
    """A token of an account's own customer."""

    account_id: str
    token: str


class Inventory(msgspec.Struct, frozen=True):
    """All that can be observed in one running lab (or network).

    ``api_token``: the operator's. ``owners``: of each account that the lab onboarded.
    ``break_glass_key``: the file of the key that signs overrides.
    """

    lab: str
    topology: str
    folder: str
    runtime: str
    instance: str
    api_socket: str
    api_token: str
    capture_socket: str
    nodes: tuple[Node, ...]
    sites: tuple[Site, ...]
    owners: tuple[Owner, ...] = ()
    break_glass_key: str = ""

    def node(self, name: str) -> Node:
        """Return the node called ``name``; raises :class:`InventoryError` that lists the names there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(n.name for n in self.nodes)
        raise InventoryError(f"no node {name!r} in lab {self.lab}: there are {names}")

    def owner_token(self, account_id: str) -> str | None:
        """Return a token of an account's own customer, None where there is none."""
        return next((o.token for o in self.owners if o.account_id == account_id), None)

    def routers(self) -> tuple[Node, ...]:
        """Return the nodes that are BGP routers of others (not our sites, not machines)."""
        return tuple(n for n in self.nodes if n.role not in ("site", "machine") and n.daemon != "linux")

    def owner_of(self, address: str) -> str | None:
        """Return the name of the node that holds ``address`` (without a length) on a link."""
        for node in self.nodes:
            for interface in node.interfaces:
                if any(a.split("/")[0] == address for a in interface.addresses):
                    return node.name
        return None


def read_inventory(path: Path) -> Inventory:
    """Read one inventory file; raises :class:`InventoryError` when it is missing or malformed."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Inventory, strict=True)
    except FileNotFoundError as error:
        raise InventoryError(f"no inventory at {path}: is the lab up? (herald lab list)") from error
    except msgspec.MsgspecError as error:
        raise InventoryError(f"{path} is not an inventory: {error}") from error


def running_inventories() -> list[Path]:
    """Return the inventory files of this user's labs, newest first (a dead lab may have left one)."""
    found = list(runtime_root().glob("*/inventory.json"))
    return sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)
