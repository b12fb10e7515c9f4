"""A topology as the runtimes see it: checked, with inheritance and variables resolved (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

LinkKind = Literal["veth", "host", "dummy"]
StageName = Literal["create", "create-links", "configure", "healthy", "exit"]


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of the host shown in the node; ``source`` is absolute."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Wait until ``node`` has come through ``stage``."""

    node: str
    stage: StageName


@dataclass(frozen=True, slots=True)
class StageExec:
    """A command of a stage, split into words; ``target``: in the node or on the host; ``phase``: when."""

    command: tuple[str, ...]
    target: Literal["container", "host"]
    phase: Literal["on-enter", "on-exit"]


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage of a node's start: what it waits for, what it runs."""

    name: StageName
    wait_for: tuple[WaitFor, ...] = ()
    exec: tuple[StageExec, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A container's own check; times in seconds."""

    test: tuple[str, ...]
    start_period_s: int
    interval_s: int
    timeout_s: int
    retries: int


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node. ``exec`` holds commands already split into words; ``startup_delay`` is in seconds.

    ``labels`` carry our metadata: ``herald.role``, ``herald.kind`` (the daemon), ``herald.site``.
    """

    name: str
    kind: str
    image: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    exec: tuple[tuple[str, ...], ...] = ()
    cmd: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    network_mode: str | None = None
    startup_delay: float = 0.0
    vars: Mapping[str, object] = field(default_factory=dict)
    stages: tuple[StageSpec, ...] = ()
    healthcheck: HealthCheck | None = None

    @property
    def role(self) -> str:
        """``herald.role``, or ``"other"``."""
        return self.labels.get("herald.role", "other")

    @property
    def daemon(self) -> str:
        """``herald.kind``, or ``"linux"``: a node without a routing daemon."""
        return self.labels.get("herald.kind", "linux")

    @property
    def site(self) -> str | None:
        """``herald.site``: the site that this router or machine belongs to."""
        return self.labels.get("herald.site")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a link."""

    node: str
    interface: str
    vars: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A link; a dummy has one endpoint only. ``mtu`` in bytes (containerlab's default is 9500)."""

    endpoints: tuple[Endpoint, ...]
    kind: LinkKind = "veth"
    mtu: int = 9500
    vars: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topology:
    """A whole lab. ``digest`` names file content, variables and bound files: equal digest, equal lab.

    ``folder`` is ``clab-<name>`` beside the file; ``warnings`` are keys that are accepted and not used.
    """

    name: str
    path: Path
    folder: Path
    nodes: tuple[NodeSpec, ...]
    links: tuple[LinkSpec, ...]
    digest: str
    warnings: tuple[str, ...] = ()

    def node(self, name: str) -> NodeSpec:
        """Return the node called ``name``; KeyError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)
