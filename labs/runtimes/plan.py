"""What the lab process is told at its start, and where everything of a lab lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from controller.locations import SOCKET_PATH_LIMIT
from labs.runtimes.errors import LabStartError
from labs.runtimes.host import Privilege
from labs.topology.model import Topology


@dataclass(frozen=True, slots=True)
class LabPaths:
    """Where a lab's files are: ``runtime`` (sockets) goes with the lab, ``folder`` (logs, state) stays."""

    runtime: Path
    folder: Path
    instance: str

    @property
    def inventory(self) -> Path:
        """The inventory, there once the lab is up."""
        return self.runtime / "inventory.json"

    @property
    def control(self) -> Path:
        """The lab process's own socket."""
        return self.runtime / "lab.sock"

    @property
    def lock(self) -> Path:
        """The file whose lock is held as long as anything of the lab lives."""
        return self.runtime / "lab.lock"

    @property
    def plan(self) -> Path:
        """This plan, as the lab process reads it."""
        return self.runtime / "lab.json"

    @property
    def stage(self) -> Path:
        """Empty on the host; in the lab, a tmpfs in which nodes' shadowed folders are made."""
        return self.runtime / "stage"

    @property
    def api(self) -> Path:
        """``serve``'s socket."""
        return self.runtime / "api.sock"

    @property
    def capture(self) -> Path:
        """The capture's socket."""
        return self.runtime / "capture.sock"

    def agent(self, site: str) -> Path:
        """Return a site's agent's socket."""
        return self.runtime / "agent" / f"{site}.sock"

    def machine(self, node: str) -> Path:
        """Return a machine's socket."""
        return self.runtime / "machine" / f"{node}.sock"

    def run(self, node: str) -> Path:
        """Return what ``node`` sees as ``/run``."""
        return self.runtime / "run" / node

    def log(self, *parts: str) -> Path:
        """Return a log in the lab's folder: ``log("r1", "bird")``, ``log("serve")``."""
        return self.folder.joinpath(*parts[:-1], f"{parts[-1]}.log")

    def state(self, process: str) -> Path:
        """Return a process's state folder in this instance of the lab."""
        return self.folder / "state" / self.instance / process


@dataclass(frozen=True, slots=True)
class LabPlan:
    """One lab to be. ``runtime_root``: HERALD_RUNTIME_DIR for what runs inside, with another uid."""

    topology: Topology
    paths: LabPaths
    runtime_root: Path
    privilege: Privilege

    def check(self) -> None:
        """Raise :class:`LabStartError` when a socket's path would be longer than Linux accepts."""
        sockets = [self.paths.agent("x" * 16), self.paths.capture]
        for node in self.topology.nodes:
            sockets += [self.paths.run(node.name) / "herald/exabgp.sock", self.paths.machine(node.name)]
        longest = max((str(s) for s in sockets), key=len)
        if len(longest.encode()) > SOCKET_PATH_LIMIT:
            raise LabStartError(
                f"the socket's path {longest} is longer than {SOCKET_PATH_LIMIT} bytes: "
                f"set HERALD_RUNTIME_DIR to a shorter folder, or shorten the node's name"
            )


def write_plan(plan: LabPlan) -> None:
    """Write the plan where :func:`read_plan` finds it."""
    plan.paths.plan.write_bytes(msgspec.json.encode(plan, enc_hook=_encode))


def read_plan(path: Path) -> LabPlan:
    """Read what :func:`write_plan` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=LabPlan, dec_hook=_decode)


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"cannot write {type(value).__name__}")


def _decode(kind: type, value: Any) -> Any:
    if kind is object:  # a label or variable of any type
        return value
    if issubclass(kind, Path):
        return kind(value)
    raise TypeError(f"cannot read {kind.__name__}")
