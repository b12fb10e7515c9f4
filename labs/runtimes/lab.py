"""Labs from outside: bring one up, find one, and what a running one can do.

::

    lab = up("topologies/clique/clique.clab.yml")
    lab.exec("r1", ["ip", "route"])
    lab.signal("r1/bird", signal.SIGSTOP)
    lab.down()
"""

from __future__ import annotations

import array
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from controller.locations import runtime_dir, runtime_root
from controller.observe.inventory import Inventory, read_inventory
from labs.runtimes import host_pids, launch, lock, wire
from labs.runtimes.errors import (
    LabBusyError,
    LabControlError,
    NoLabError,
    UnknownProcessError,
)
from labs.runtimes.plan import LabPlan, read_plan
from labs.topology.model import Topology


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a lab; ``pid`` is the host's, None when it is not running."""

    name: str
    state: str
    pid: int | None
    detail: str
    log: str
    node: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """A lab as it stands; ``state``: up (all processes run), degraded (some are dead) or down."""

    lab: str
    state: str
    instance: str
    topology: str
    folder: str
    runtime: str
    privilege: str
    nodes: tuple[str, ...]
    processes: tuple[Process, ...]


class RunningLab:
    """A lab that is up. ``warnings`` and ``restarted`` tell what the ``up`` that gave it found and did."""

    def __init__(
        self, runtime: Path, *, warnings: Sequence[str] = (), restarted: Sequence[str] | None = None
    ) -> None:
        self.runtime = runtime
        self._holding: socket.socket | None = None
        self.warnings = tuple(warnings)
        self.restarted = None if restarted is None else tuple(restarted)

    @property
    def inventory(self) -> Inventory:
        """The lab's inventory."""
        return read_inventory(self.runtime / "inventory.json")

    def status(self) -> Status:
        """Return the lab's processes and their states."""
        plan = read_plan(self.runtime / "lab.json")
        answer = self._ask(wire.Request("status"))
        pids = host_pids.host_pids(lock.owner(self.runtime / "lab.lock") or 0)
        rows = []
        for row in answer["processes"]:
            pid = pids.get(row["pid"]) if row["state"] == "running" else None
            rows.append(Process(row["name"], row["state"], pid, row["detail"], row["log"], row["node"]))
        state = "degraded" if any(row.state == "dead" for row in rows) else "up"
        names = tuple(n.name for n in plan.topology.nodes)
        return _status(plan, self.runtime, state, names, tuple(rows))

    def exec(
        self, node: str, argv: Sequence[str], *, stdin: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a node's namespaces and return its exit status and output.

        Raises :class:`UnknownProcessError` for a node that is not there or a program that cannot be run.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull, "rb") as null:  # noqa: PTH123
            given = null.fileno() if stdin is None else stdin
            status = self.exec_attached(node, argv, (given, out.fileno(), err.fileno()))
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        return subprocess.CompletedProcess(list(argv), status, *texts)

    def exec_attached(self, node: str, argv: Sequence[str], descriptors: tuple[int, int, int]) -> int:
        """Run a command in a node on the given stdin, stdout and stderr; return its exit status."""
        answer = self._ask(wire.Request("exec", name=node, argv=tuple(argv)), descriptors)
        return int(answer["status"])

    def restart(self, name: str) -> None:
        """Restart one process: end it if it lives, start it, wait until it is ready."""
        self._ask(wire.Request("restart", name=name))

    def signal(self, name: str, number: int) -> None:
        """Send a signal to one process (and to the process group that it leads)."""
        self._ask(wire.Request("signal", name=name, number=number))

    def host_pid(self, name: str) -> int:
        """Return a process's pid on the host; raises :class:`UnknownProcessError` when it does not run."""
        for process in self.status().processes:
            if process.name == name and process.pid is not None:
                return process.pid
        raise UnknownProcessError(f"{name} is not running in this lab (herald lab status)")

    def reconcile(self, topology: Topology, on_progress: wire.OnProgress | None = None) -> RunningLab:
        """Restart what has died; raises :class:`LabChangedError` when ``topology`` is not the lab's own."""
        answer = self._ask(wire.Request("up", digest=topology.digest), (), on_progress)
        return RunningLab(self.runtime, warnings=answer["warnings"], restarted=answer["restarted"])

    def hold(self) -> None:
        """Have the lab end with this object, or with its process, however that ends (SIGKILL, too)."""
        sock = self._connect()
        try:
            self._tell(sock, wire.Request("hold"))
        except BaseException:
            sock.close()
            raise
        self._holding = sock

    def down(self, *, cleanup: bool = False, on_progress: wire.OnProgress | None = None) -> None:
        """End the lab, wait until all of it is gone, and remove its runtime directory.

        ``cleanup``: remove its logs and state, too.
        """
        plan = read_plan(self.runtime / "lab.json")
        try:
            self._ask(wire.Request("down"), (), on_progress)
        except (LabControlError, LabBusyError):
            _kill(self.runtime)
        descriptor = lock.wait(self.runtime / "lab.lock", launch.END_S)
        if descriptor is None:
            _kill(self.runtime)
            descriptor = lock.wait(self.runtime / "lab.lock", launch.END_S)
        if descriptor is None:
            raise LabBusyError(
                f"the lab's lock {self.runtime / 'lab.lock'} is still held: is another command at work?"
            )
        _forget(self.runtime, descriptor)
        if self._holding is not None:
            self._holding.close()
        if cleanup:
            shutil.rmtree(plan.topology.folder, ignore_errors=True)

    def _ask(
        self,
        request: wire.Request,
        descriptors: Sequence[int] = (),
        on_progress: wire.OnProgress | None = None,
    ) -> Any:
        with self._connect() as sock:
            if request.op != "exec":
                sock.settimeout(launch.END_S if request.op == "down" else wire.CONTROL_S)
            return self._tell(sock, request, descriptors, on_progress)

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(self.runtime / "lab.sock"))
        except FileNotFoundError as error:
            sock.close()
            raise LabBusyError("the lab is being brought up or down by another command") from error
        except OSError as error:
            sock.close()
            raise _silent(error) from error
        return sock

    def _tell(
        self,
        sock: socket.socket,
        request: wire.Request,
        descriptors: Sequence[int] = (),
        on_progress: wire.OnProgress | None = None,
    ) -> Any:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            sock.sendmsg([msgspec.json.encode(request) + b"\n"], ancillary if descriptors else [])
            return wire.read_answer(sock, on_progress)
        except OSError as error:
            raise _silent(error) from error


def _silent(error: OSError) -> LabControlError:
    return LabControlError(f"the lab process does not answer ({error}): herald lab down")


def up(
    path: Path | str,
    *,
    variables: Mapping[str, str] | None = None,
    on_progress: wire.OnProgress | None = None,
    on_warning: wire.OnWarning | None = None,
    reconfigure: bool = False,
) -> RunningLab:
    """Bring up the lab of a topology file; of one that runs, restart what has died.

    ``variables`` stand in for the environment's where the file says ``${NAME}``. ``reconfigure``: end a
    running one first. Raises the topology's errors and those of labs.runtimes.errors; if it raises, nothing
    of a fresh lab is left.
    """
    from labs.topology import load_topology  # noqa: PLC0415  (YAML: not for commands that only look)

    topology = load_topology(topology_file(Path(path)), variables=variables)
    return up_topology(topology, on_progress=on_progress, on_warning=on_warning, reconfigure=reconfigure)


@contextmanager
def temporary(path: Path | str, *, variables: Mapping[str, str] | None = None) -> Iterator[RunningLab]:
    """Bring a lab up for a block: it ends with that, or with this process, however that ends.

    Raises as :func:`up` does.
    """
    running = up(path, variables=variables)
    try:
        running.hold()
        yield running
    finally:
        running.down()


def up_topology(
    topology: Topology,
    *,
    on_progress: wire.OnProgress | None = None,
    on_warning: wire.OnWarning | None = None,
    reconfigure: bool = False,
) -> RunningLab:
    """Bring up a topology that has been read already; see :func:`up`."""
    runtime = runtime_dir(topology.folder)
    if lock.is_held(runtime / "lab.lock"):
        running = RunningLab(runtime)
        if not reconfigure:
            return running.reconcile(topology, on_progress)
        running.down(on_progress=on_progress)
    warnings = []

    def warn(text: str) -> None:
        warnings.append(text)
        if on_warning is not None:
            on_warning(text)

    for text in (*topology.warnings, *unused(topology)):
        warn(text)
    answer = launch.launch(topology, on_progress, warn)
    return RunningLab(runtime, warnings=[*warnings, *answer["warnings"]])


def topology_file(path: Path) -> Path:
    """Return ``path``, or the one topology file in the folder that it is."""
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.clab.yml"))
    if len(found) != 1:
        names = ", ".join(f.name for f in found) or "none"
        raise NoLabError(f"{path} is a folder without exactly one *.clab.yml ({names}): name the file")
    return found[0]


def unused(topology: Topology) -> list[str]:
    """Say what of a topology the netns runtime does not carry out."""
    told = []
    for node in topology.nodes:
        if node.startup_delay:
            told.append(f"node {node.name}: startup-delay is not used: daemons start together")
        if node.user is not None:
            told.append(f"node {node.name}: user is not used: daemons run as the lab's owner")
    return told


def labs() -> list[Status]:
    """Return this user's labs: running ones, and dead ones, of which only logs and state are left.

    What a dead one left in its runtime directory is removed.
    """
    found = []
    for plan_file in sorted(runtime_root().glob("*/lab.json")):
        runtime = plan_file.parent
        descriptor = lock.acquire(runtime / "lab.lock")
        plan = _plan(plan_file)
        if descriptor is not None:
            if plan is not None:
                found.append(_status(plan, runtime, "dead", (), ()))
            _forget(runtime, descriptor)
        elif plan is not None:
            found.append(
                _status(plan, runtime, "up" if (runtime / "inventory.json").exists() else "starting", (), ())
            )
    return found


def find(name_or_path: str | Path | None = None) -> RunningLab:
    """Return the running lab with this name or topology file, or the only one there is.

    Raises :class:`NoLabError` that lists the choices.
    """
    running = [status for status in labs() if status.state == "up"]
    wanted = str(name_or_path) if name_or_path is not None else None
    chosen = [s for s in running if wanted is None or is_meant(s, wanted)]
    if len(chosen) == 1:
        return RunningLab(Path(chosen[0].runtime))
    if not running:
        raise NoLabError("no lab is running: herald lab up TOPOLOGY")
    names = ", ".join(f"{s.lab} ({s.topology})" for s in (chosen or running))
    if not chosen:
        raise NoLabError(f"no running lab {wanted!r}: there are {names}")
    raise NoLabError(f"several labs are running, name one by its topology file: {names}")


def is_meant(status: Status, name_or_path: str) -> bool:
    """Say whether a lab is the one with this name, topology file, or topology's folder."""
    named = Path(name_or_path).resolve()
    topology = Path(status.topology)
    return name_or_path == status.lab or named in (topology, topology.parent)


def _status(
    plan: LabPlan, runtime: Path, state: str, nodes: tuple[str, ...], processes: tuple[Process, ...]
) -> Status:
    topology = plan.topology
    return Status(
        topology.name, state, plan.paths.instance, str(topology.path), str(topology.folder), str(runtime),
        plan.privilege.value, nodes, processes,
    )  # fmt: skip


def _plan(path: Path) -> LabPlan | None:
    try:
        return read_plan(path)
    except (OSError, msgspec.MsgspecError):  # gone meanwhile, or written by another version
        return None


def _forget(runtime: Path, descriptor: int) -> None:
    try:
        launch.clear(runtime)
        launch.remove(runtime)
    finally:
        os.close(descriptor)


def _kill(runtime: Path) -> None:
    """Kill a lab that does not answer, by the process that all of it hangs on."""
    import signal  # noqa: PLC0415

    owner = lock.owner(runtime / "lab.lock")
    if owner is not None and lock.is_held(runtime / "lab.lock"):
        try:
            os.kill(owner, signal.SIGKILL)
        except ProcessLookupError:  # it has ended meanwhile
            return
