"""The lab's processes by name: start, readiness, end. Nothing is restarted by itself.

A lab is there to see what happens when a process dies: it stays dead, and is shown as dead, until somebody
says ``restart`` or ``up``.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from labs.runtimes import namespaces
from labs.runtimes.children import Child, Children
from labs.runtimes.errors import LabStartError, ProcessStartError, UnknownProcessError
from labs.runtimes.namespaces import Namespaces

READY_S = 30.0
"""Seconds within which a process must show its sign of readiness."""

GRACE_S = 3.0
"""Seconds between SIGTERM and SIGKILL."""

_THREADS = 4

LOG_LINES = 12
"""Lines of a log that an error shows."""

State = Literal["running", "dead", "left out"]


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to be.

    ``space``: the node's namespaces that it runs in, or None for the lab's own; ``whole``: in the node's
    files too, not only in its network. ``ready`` is asked until it is true; None: the line ``ready`` in its
    log. ``stale``: files to remove before it starts. ``left_out``: why it is not started on this host.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    node: str | None = None
    space: Namespaces | None = None
    whole: bool = True
    ready: Callable[[], bool] | None = None
    pass_fds: tuple[int, ...] = ()
    stale: tuple[Path, ...] = ()
    left_out: str | None = None


@dataclass(slots=True)
class _Process:
    spec: ProcessSpec
    child: Child | None = None
    log_from: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def state(self) -> State:
        if self.spec.left_out is not None:
            return "left out"
        return "running" if self.child is not None and self.child.status is None else "dead"


class Supervisor:
    """The table of processes. ``cancelled`` is set when nobody wants the lab any more."""

    def __init__(self, children: Children, cancelled: threading.Event) -> None:
        self._children = children
        self._cancelled = cancelled
        self._table: dict[str, _Process] = {}

    def names(self) -> list[str]:
        """Return the names of all processes, in order of their first start."""
        return list(self._table)

    def state(self, name: str) -> tuple[State, int | None, str]:
        """Return a process's state, its pid in the lab's PID namespace, and how it ended or why it is not."""
        process = self._find(name)
        if process.spec.left_out is not None:
            return process.state, None, process.spec.left_out
        if process.child is None:
            return process.state, None, "not started"
        return process.state, process.child.pid, process.child.describe()

    def spec(self, name: str) -> ProcessSpec:
        """Return what a process was started from."""
        return self._find(name).spec

    def begin(self, specs: Sequence[ProcessSpec]) -> None:
        """Start processes, and do not wait for them; raises :class:`ProcessStartError`."""
        fresh = [self._table.setdefault(spec.name, _Process(spec)) for spec in specs]
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(self._start, [p for p in fresh if p.spec.left_out is None]))

    def wait_ready(self, names: Iterable[str], on_ready: Callable[[int], None] = lambda _count: None) -> None:
        """Wait until all are ready, else :class:`ProcessStartError`; ``on_ready`` hears how many are."""
        found = [self._find(name) for name in names]
        self._wait_ready([p for p in found if p.spec.left_out is None], on_ready)

    def restart(self, name: str) -> None:
        """End a process if it is alive, start it again, and wait until it is ready."""
        process = self._find(name)
        if process.spec.left_out is not None:
            raise LabStartError(f"{name} is left out: {process.spec.left_out}")
        with process.lock:
            self._end([process], signal.SIGTERM)
            self._start(process)
            self._wait_ready([process], lambda _count: None)

    def stop(self, names: Iterable[str]) -> None:
        """End processes in order: SIGTERM, a time of grace, SIGKILL; return when they are gone."""
        self._end([self._find(name) for name in names], signal.SIGTERM)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a process."""
        process = self._find(name)
        if process.child is None or process.child.status is not None:
            raise UnknownProcessError(f"{name} is not running: herald lab restart {name}")
        process.child.signal(number)

    def _find(self, name: str) -> _Process:
        try:
            return self._table[name]
        except KeyError:
            raise UnknownProcessError(f"no process {name!r}: there are {', '.join(self._table)}") from None

    def _start(self, process: _Process) -> None:
        spec = process.spec
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        for path in spec.stale:
            path.unlink(missing_ok=True)
        with spec.log.open("ab") as log:
            process.log_from = log.tell()

            def spawn() -> Child:
                return self._children.spawn(
                    spec.argv, env=spec.env, stdout=log, stderr=log, pass_fds=spec.pass_fds, cwd="/"
                )

            try:
                if spec.space is None:
                    process.child = spawn()
                else:
                    enter = namespaces.inside if spec.whole else namespaces.inside_network
                    process.child = enter(spec.space, spawn)
            except OSError as error:
                raise ProcessStartError(
                    f"{spec.name}: cannot run {spec.argv[0]}: {error.strerror}"
                ) from error

    def _wait_ready(self, processes: list[_Process], on_ready: Callable[[int], None]) -> None:
        deadline = time.monotonic() + READY_S
        waiting, pause = processes, 0.005
        while True:
            still = [process for process in waiting if not self._is_ready(process)]
            if len(still) < len(waiting):
                on_ready(len(processes) - len(still))
            if not still:
                return
            if time.monotonic() > deadline:
                raise ProcessStartError(_story(still[0], f"is not ready after {READY_S:g} s"))
            if self._cancelled.wait(pause):
                raise LabStartError("interrupted")
            waiting, pause = still, min(pause * 1.5, 0.05)

    def _is_ready(self, process: _Process) -> bool:
        assert process.child is not None
        spec = process.spec
        ready = spec.ready() if spec.ready is not None else _says_ready(process)
        if process.child.status is not None and (spec.ready is None or not ready or process.child.status):
            raise ProcessStartError(_story(process, f"ended: {process.child.describe()}"))
        return ready

    def _end(self, processes: list[_Process], first: int) -> None:
        children = [p.child for p in processes if p.child is not None and p.child.status is None]
        for child in children:
            child.signal(first)
            child.signal(signal.SIGCONT)  # a stopped one would not see the signal
        deadline = time.monotonic() + GRACE_S
        for child in children:
            if not child.ended.wait(max(0.0, deadline - time.monotonic())):
                child.signal(signal.SIGKILL)
                child.ended.wait()


def _says_ready(process: _Process) -> bool:
    with process.spec.log.open("rb") as log:
        log.seek(process.log_from)
        return b"ready" in log.read().splitlines()


def _story(process: _Process, what: str) -> str:
    """Say what happened to a process, with the last lines of its log since its start."""
    spec = process.spec
    with spec.log.open("rb") as log:
        log.seek(process.log_from)
        lines = log.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    shown = "".join(f"\n  {line}" for line in lines) or "\n  (empty)"
    return f"{spec.name} {what}; the end of {spec.log}:{shown}"
