"""Herald's own processes in a lab, started as docs/architecture.md says."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, cast

import msgspec

from controller.agent.config import AgentConfig, MachineConfig, SpeakerConfig
from controller.observe.inventory import Site
from labs.nodes.bird import HERALD_CONFIG
from labs.nodes.bird import SOCKET as BIRD_SOCKET
from labs.nodes.exabgp import HELPER_SOCKET
from labs.nodes.gobgp import SOCKET as GOBGP_SOCKET
from labs.runtimes.errors import LabStartError
from labs.runtimes.guard_keys import policy_files
from labs.runtimes.node import RunningNode
from labs.runtimes.plan import LabPaths
from labs.runtimes.supervise import ProcessSpec
from labs.topology.model import LinkSpec

RINGS_TOTAL = 256 << 20
"""Bytes of all capture rings of a lab together; a node gets its share, between 1 and 64 MiB."""

CALLS = "60000/300"
"""``--rate-limit``: a lab's commands and tests act as the owners, and are no strangers to be kept off."""

SpeakerKind = Literal["exabgp", "gobgp", "bird"]

_SPEAKER_SOCKETS = {"exabgp": HELPER_SOCKET, "gobgp": GOBGP_SOCKET, "bird": BIRD_SOCKET}


def herald(*words: str) -> tuple[str, ...]:
    """Return the command line of one of Herald's own commands, in this very installation."""
    return (sys.executable, str(Path(sys.executable).with_name("herald")), *words)


def capture_spec(
    nodes: Iterable[RunningNode], paths: LabPaths, config: Path, env: Mapping[str, str]
) -> ProcessSpec:
    """Return the capture's process, and write its configuration to ``config``."""
    routers = [n for n in nodes if n.spec.role != "machine"]
    share = max(1 << 20, min(64 << 20, RINGS_TOTAL // max(1, len(routers))))
    addresses = {
        address.split("/")[0]: node.spec.name
        for node in routers
        for interface, held in node.addresses.items()
        for address in held
        if interface != "lo"
    }
    settings = {
        "socket": str(paths.capture),
        "mrt": str(paths.folder / "capture" / f"{paths.instance}.mrt"),
        "nodes": [{"name": n.spec.name, "netns_fd": n.space.net} for n in routers],
        "addresses": addresses,
        "ring_bytes": 1 << (share.bit_length() - 1),
    }
    config.write_bytes(msgspec.json.encode(settings))
    return ProcessSpec(
        "capture",
        (sys.executable, "-m", "controller.observe.capture", "--config", str(config)),
        env,
        paths.log("capture"),
        pass_fds=tuple(n.space.net for n in routers),
    )


def machine_spec(node: RunningNode, paths: LabPaths, env: Mapping[str, str]) -> ProcessSpec:
    """Return the process of one machine, in its node's network."""
    name, site = node.spec.name, node.spec.site
    if site is None:
        raise LabStartError(f"node {name} is a machine without a site: give it the label herald.site")
    state = paths.state(f"machine-{name}")
    words = ("machine", "--site", site, "--name", name, "--state-dir", str(state))
    argv = herald(*words, "--socket", str(paths.machine(name)))
    return ProcessSpec(
        f"machine:{name}", argv, env, paths.log(name, "machine"), node=name, space=node.space, whole=False
    )


def agent_config(
    site: Site,
    nodes: Mapping[str, RunningNode],
    links: Iterable[LinkSpec],
    paths: LabPaths,
    fleet: Iterable[str],
) -> AgentConfig:
    """Return what a site's agent is told: its speaker, its machines as its router reaches them, its keys.

    ``fleet``: the names of all sites. A policy that the lab signs holds at once: there is nobody to warn.
    """
    router = nodes[site.router]
    kind = router.spec.daemon
    if kind not in _SPEAKER_SOCKETS:
        known = " or ".join(_SPEAKER_SOCKETS)
        raise LabStartError(f"site {site.name}: {kind} cannot be a site's speaker: use {known}")
    socket = paths.run(site.router) / Path(_SPEAKER_SOCKETS[kind]).relative_to("/run")
    machines = tuple(
        MachineConfig(name, str(paths.machine(name)), next_hops(site.router, nodes[name], links))
        for name in site.machines
    )
    written = paths.run(site.router) / Path(HERALD_CONFIG).relative_to("/run")
    speaker = SpeakerConfig(
        cast("SpeakerKind", kind),
        str(socket),
        config_file=str(written) if kind == "bird" else "",
        config_path=HERALD_CONFIG,
    )
    policy, record = policy_files(paths, site.name)
    return AgentConfig(
        speaker,
        machines,
        fleet=tuple(fleet),
        keys=str(paths.runtime / "agent" / "keys.json"),
        policy=str(policy),
        policy_record=str(record) if record.exists() else "",
        policy_delay_s=0.0,
    )


def next_hops(router: str, machine: RunningNode, links: Iterable[LinkSpec]) -> tuple[str, ...]:
    """Return a machine's addresses on its link to ``router``: at most one of each family."""
    found: dict[bool, str] = {}
    for link in links:
        ends = {e.node: e.interface for e in link.endpoints}
        if router in ends and machine.spec.name in ends:
            for address in machine.addresses.get(ends[machine.spec.name], ()):
                found.setdefault(":" in address, address.split("/")[0])
    return tuple(found[family] for family in sorted(found))


def agent_spec(
    site: Site, router: RunningNode, paths: LabPaths, config: Path, env: Mapping[str, str]
) -> ProcessSpec:
    """Return the process of a site's agent, in its router's network: it installs forwarding routes there."""
    state = paths.state(f"agent-{site.name}")
    words = ("agent", "--site", site.name, "--state-dir", str(state), "--socket", site.agent_socket)
    argv = herald(*words, "--config", str(config))
    return ProcessSpec(
        f"agent:{site.name}", argv, env, paths.log(site.router, "agent"),
        node=site.router, space=router.space, whole=False,
    )  # fmt: skip


def serve_spec(sites: Iterable[Site], paths: LabPaths, env: Mapping[str, str], policy: Path) -> ProcessSpec:
    """Return the controller's process, in the lab's own network, which leads nowhere.

    ``policy``: the file of the guards' policy; production's defaults when there is none.
    """
    named = [word for site in sites for word in ("--site", f"{site.name}={site.agent_socket}")]
    words = ("serve", "--state-dir", str(paths.state("serve")), "--socket", str(paths.api), "--lab", *named)
    told = ["--inventory", str(paths.inventory), "--rate-limit", CALLS]
    if policy.exists():
        told += ["--policy", str(policy)]
    return ProcessSpec("serve", herald(*words, *told), env, paths.log("serve"))
