"""One node of a running lab: its namespaces made, its links up, its commands run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from labs.nodes.model import Kind, Place
from labs.runtimes import filesystem, namespaces
from labs.runtimes.children import Children
from labs.runtimes.errors import SetupCommandError
from labs.runtimes.links import Step, failed_line, steps
from labs.runtimes.namespaces import Namespaces
from labs.topology.model import NodeSpec

# What a router of a lab needs of its kernel. Set before links exist: they take over the defaults.
_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv6.conf.default.forwarding": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    # Addresses are usable at once: nobody else can have them here.
    "net.ipv6.conf.all.accept_dad": "0",
    "net.ipv6.conf.default.accept_dad": "0",
    "net.ipv6.conf.all.accept_ra": "0",
    "net.ipv6.conf.default.accept_ra": "0",
    # A site spreads flows over its machines, by addresses and ports.
    "net.ipv4.fib_multipath_hash_policy": "1",
    "net.ipv6.fib_multipath_hash_policy": "1",
}


@dataclass(slots=True)
class RunningNode:
    """A node; ``addresses`` maps interfaces to ``ADDRESS/LENGTH``, without link-local ones."""

    spec: NodeSpec
    kind: Kind
    space: Namespaces
    place: Place
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def make_node(
    spec: NodeSpec, kind: Kind, *, run: Path, staging: Path, accounts: Path, execution: Execution
) -> RunningNode:
    """Make a node's namespaces and its files; its links come after."""
    if spec.network_mode not in (None, "none"):
        raise SetupCommandError(
            f"node {spec.name}: network-mode {spec.network_mode}: the netns runtime gives each node "
            "a network of its own: use none"
        )
    run.mkdir(parents=True)
    view = filesystem.View(spec.name, run, staging, spec.binds, kind.private, accounts)

    def prepare() -> None:
        for name, value in _SYSCTLS.items():
            write_sysctl(name, value, must=False)
        filesystem.apply(view)

    space = namespaces.create(spec.name, prepare)
    place = Place(spec, run, lambda argv: execution.run(space, argv))
    if kind.config is not None and place.config(kind.config) is None:
        raise SetupCommandError(
            f"node {spec.name}: nothing is bound to {kind.config}, which {kind.name} reads: bind one"
        )
    kind.prepare(place)
    return RunningNode(spec, kind, space, place)


def set_up(node: RunningNode, interfaces: list[str], execution: Execution) -> None:
    """Bring a node's interfaces up, run its ``exec`` commands, and note its addresses."""

    def sysctls() -> None:
        for name, value in node.spec.sysctls.items():
            write_sysctl(name, value, must=True, node=node.spec.name)

    if node.spec.sysctls:
        namespaces.inside_network(node.space, sysctls)
    output = ""
    for step in steps(interfaces, node.spec.exec):
        output = execution.step(node, step)
    node.addresses = parse_addresses(output)


def write_sysctl(name: str, value: str, *, must: bool, node: str = "") -> None:
    """Set a sysctl of the calling thread's network; one that this kernel lacks only counts if ``must``."""
    path = Path("/proc/sys", *PurePosixPath(name.replace(".", "/")).parts)
    try:
        path.write_text(value)
    except OSError as error:
        if must:
            raise SetupCommandError(f"node {node}: sysctl {name}={value}: {error.strerror}") from error


class Execution:
    """Runs commands in nodes and shows what went wrong with them."""

    def __init__(self, children: Children, env: Mapping[str, str]) -> None:
        self._children = children
        self.env = env

    def run(self, space: Namespaces, argv: tuple[str, ...], text: str = "") -> tuple[int, str]:
        """Run a command in a node's namespaces to its end; return its exit status and all its output."""
        return namespaces.inside(space, lambda: self._children.run(argv, env=self.env, text=text))

    def step(self, node: RunningNode, step: Step) -> str:
        """Run one step of a node's set-up; raises :class:`SetupCommandError` with the command's output."""
        argv = ("ip", "-json", "-batch", "-") if step.batch else step.command
        text = "".join(f"{line}\n" for line in step.batch)
        try:
            status, output = self.run(node.space, argv, text)
        except OSError as error:
            raise SetupCommandError(
                f"node {node.spec.name}: cannot run {argv[0]}: {error.strerror}"
            ) from error
        if status != 0:
            line = failed_line(output)
            command = f"ip {step.batch[line]}" if step.batch and line is not None else " ".join(argv)
            raise SetupCommandError(
                f"node {node.spec.name}: {command}: exit status {status}: {one_line(output)}"
            )
        return output


def one_line(output: str) -> str:
    """Return a command's output as part of one line, without ``ip``'s own note of the batch's line."""
    lines = [li.strip() for li in output.splitlines() if not li.startswith("Command failed ")]
    return "; ".join(li for li in lines if li) or "no output"


def parse_addresses(output: str) -> dict[str, tuple[str, ...]]:
    """Read ``ip -json addr show`` (the last line of a batch's output): interface → its addresses."""
    found = {}
    for interface in json.loads(output.strip().splitlines()[-1]):
        found[interface["ifname"]] = tuple(
            f"{info['local']}/{info['prefixlen']}"
            for info in interface.get("addr_info", [])
            if info.get("scope") == "global"
        )
    return found
