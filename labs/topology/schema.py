"""The subset of containerlab's topology that is read, as types: an unknown key is refused (pure).

What is accepted and not used stands in :data:`UNUSED`; a lab that relies on it is warned.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
)

LONGEST_DELAY_S = 86_400
"""Seconds that a node's start can be put off."""
StageName = Literal["create", "create-links", "configure", "healthy", "exit"]
PullPolicy = Literal["IfNotPresent", "ifnotpresent", "Never", "never", "Always", "always"]


def _hyphens(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


class Strict(BaseModel):
    """No unknown keys, no silent conversions; keys have hyphens where the attributes have underscores."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=_hyphens, frozen=True)


class Config(Strict):
    """``config``: only its variables."""

    vars: dict[str, Any] = Field(default_factory=dict)


class WaitFor(Strict):
    """One ``wait-for`` of a stage."""

    node: StrictStr
    stage: StageName


class StageExec(Strict):
    """One ``exec`` of a stage."""

    command: StrictStr
    target: Literal["container", "host"] = "container"
    phase: Literal["on-enter", "on-exit"] = "on-enter"


class Stage(Strict):
    """One stage."""

    wait_for: list[WaitFor] = Field(default_factory=list)
    exec: list[StageExec] = Field(default_factory=list)


class Stages(Strict):
    """The stages of a node's start."""

    create: Stage | None = None
    create_links: Stage | None = None
    configure: Stage | None = None
    healthy: Stage | None = None
    exit: Stage | None = None


class HealthCheck(Strict):
    """A container's health check; times in seconds."""

    test: list[StrictStr] = Field(min_length=1)
    start_period: StrictInt = Field(default=0, ge=0, le=LONGEST_DELAY_S)
    interval: StrictInt = Field(default=30, ge=0, le=LONGEST_DELAY_S)
    timeout: StrictInt = Field(default=30, ge=0, le=LONGEST_DELAY_S)
    retries: StrictInt = Field(default=3, ge=0, le=10_000)


class NodeKeys(Strict):
    """A node, or what it inherits from ``defaults``, its kind or its group."""

    kind: StrictStr | None = None
    group: StrictStr | None = None
    image: StrictStr | None = None
    image_pull_policy: PullPolicy | None = None
    binds: list[StrictStr] = Field(default_factory=list)
    exec: list[StrictStr] = Field(default_factory=list)
    cmd: StrictStr | None = None
    entrypoint: StrictStr | None = None
    env: dict[str, StrictStr | None] = Field(default_factory=dict)
    env_files: list[StrictStr] = Field(default_factory=list)
    labels: dict[str, StrictStr] = Field(default_factory=dict)
    sysctls: dict[str, StrictStr] = Field(default_factory=dict)
    user: StrictStr | None = None
    network_mode: StrictStr | None = None
    startup_delay: StrictInt | None = Field(default=None, ge=0, le=LONGEST_DELAY_S)
    stages: Stages | None = None
    healthcheck: HealthCheck | None = None
    config: Config | None = None
    # Accepted, because labs of others have them; not used here (UNUSED).
    ports: list[StrictStr] | None = None
    mgmt_ipv4: StrictStr | None = None
    mgmt_ipv6: StrictStr | None = None
    cpu: StrictFloat | StrictInt | None = None
    cpu_set: StrictStr | None = None
    memory: StrictStr | None = None
    shm_size: StrictStr | None = None
    cap_add: list[StrictStr] | None = None
    devices: list[StrictStr] | None = None
    privileged: StrictBool | None = None
    restart_policy: StrictStr | None = None
    auto_remove: StrictBool | None = None
    runtime: StrictStr | None = None
    dns: dict[str, Any] | None = None
    aliases: list[StrictStr] | None = None
    certificate: dict[str, Any] | None = None
    cgroup_parent: StrictStr | None = None
    cgroupns_mode: StrictStr | None = None
    components: list[Any] | None = None
    credentials: dict[str, Any] | None = None
    hostname: StrictStr | None = None
    link_apply_mode: StrictStr | None = None
    pid_mode: StrictStr | None = None
    security_opts: list[StrictStr] | None = None
    tmpfs: dict[str, Any] | None = None
    volumes: list[StrictStr] | None = None
    type: StrictStr | None = None
    license: StrictStr | None = None
    position: StrictStr | None = None
    startup_config: StrictStr | None = None
    enforce_startup_config: StrictBool | None = None
    suppress_startup_config: StrictBool | None = None
    extras: dict[str, Any] | None = None


UNUSED = (
    "ports", "mgmt_ipv4", "mgmt_ipv6", "cpu", "cpu_set", "memory", "shm_size", "cap_add", "devices",
    "privileged", "restart_policy", "auto_remove", "runtime", "dns", "aliases", "certificate",
    "cgroup_parent", "cgroupns_mode", "components", "credentials", "hostname", "link_apply_mode", "pid_mode",
    "security_opts",
    "tmpfs", "volumes", "type", "license", "position", "startup_config", "enforce_startup_config",
    "suppress_startup_config", "extras", "env_files", "env", "cmd", "entrypoint", "startup_delay", "stages",
    "healthcheck", "user",
)  # fmt: skip
"""Node keys that are accepted and do nothing in the namespaces' runtime: it starts the daemon that
``herald.kind`` names, all nodes at once.
"""
UNUSED_MANAGEMENT = (
    "network", "bridge", "ipv4_subnet", "ipv6_subnet", "ipv4_gw", "ipv6_gw", "ipv4_range", "ipv6_range",
    "mtu", "external_access", "driver_opts",
)  # fmt: skip
"""Keys of ``mgmt`` that are accepted and do nothing: no management network is ever made."""
UNUSED_END = ("mac", "ipv4", "ipv6")
"""Keys of a link's end that are accepted and do nothing: addresses go in ``exec``."""


class LinkEnd(Strict):
    """One end of an extended link."""

    node: StrictStr
    interface: StrictStr
    mac: StrictStr | None = None
    ipv4: StrictStr | None = None
    ipv6: StrictStr | None = None
    vars: dict[str, Any] = Field(default_factory=dict)


def _form(value: object) -> str:
    return "extended" if isinstance(value, dict) else "brief"


AnyEnd = Annotated[
    Annotated[StrictStr, Tag("brief")] | Annotated[LinkEnd, Tag("extended")], Discriminator(_form)
]


class LinkKeys(Strict):
    """A link, brief (``endpoints: ["a:eth1", "b:eth1"]``) or extended (with ``type``)."""

    type: Literal["veth", "host", "dummy"] | None = None
    endpoints: list[AnyEnd] | None = None
    endpoint: LinkEnd | None = None
    host_interface: StrictStr | None = None
    mtu: StrictInt | None = Field(default=None, ge=68, le=65535)
    labels: dict[str, StrictStr] = Field(default_factory=dict)
    vars: dict[str, Any] = Field(default_factory=dict)
    config: Config | None = None


class Management(Strict):
    """The management network, which is never made here."""

    network: StrictStr | None = None
    bridge: StrictStr | None = None
    ipv4_subnet: StrictStr | None = None
    ipv6_subnet: StrictStr | None = None
    ipv4_gw: StrictStr | None = None
    ipv6_gw: StrictStr | None = None
    ipv4_range: StrictStr | None = None
    ipv6_range: StrictStr | None = None
    mtu: StrictInt | None = None
    external_access: StrictBool | None = None
    driver_opts: dict[str, Any] | None = None
    skip_when_unused: StrictBool | None = None


class TopologyKeys(Strict):
    """What stands under ``topology``."""

    defaults: NodeKeys | None = None
    kinds: dict[str, NodeKeys | None] = Field(default_factory=dict)
    groups: dict[str, NodeKeys | None] = Field(default_factory=dict)
    nodes: dict[str, NodeKeys | None]
    # Null takes the place of a link that is wrong by itself, so that the others keep their numbers.
    links: list[LinkKeys | None] = Field(default_factory=list)


class Document(Strict):
    """The whole file."""

    name: StrictStr
    prefix: StrictStr | None = None
    mgmt: Management | None = None
    topology: TopologyKeys
