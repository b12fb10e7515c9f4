"""The programs that the lab process started, and what became of them.

The lab process is process 1 of its PID namespace: it must reap orphans, too. So exactly one thread waits for
all children, and ``subprocess`` only starts them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO


@dataclass(slots=True)
class Child:
    """One program; ``status`` is its exit status, or minus the signal that ended it, or None."""

    argv: tuple[str, ...]
    pid: int
    status: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def signal(self, number: int) -> None:
        """Send a signal to the program's process group, if it is still there."""
        # Its pid cannot have been given to another: the reaper records the status before it frees the pid's
        # number, and we are the only thread that looks at a status of None here.
        if self.status is None:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                self.ended.wait(1.0)

    def describe(self) -> str:
        """Say how it ended."""
        if self.status is None:
            return "running"
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        return f"exit status {self.status}"


class Children:
    """Starts programs, and reaps them and all orphans."""

    def __init__(self, on_end: Callable[[Child], None] = lambda _child: None) -> None:
        self._lock = threading.Lock()
        self._started = threading.Event()
        self._live: dict[int, Child] = {}
        self._popen: dict[int, subprocess.Popen[bytes]] = {}
        self._on_end = on_end

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
        cwd: str | None = None,
    ) -> Child:
        """Start a program from the calling thread (whose namespaces it inherits), in a session of its own.

        Raises OSError when it cannot be executed.
        """
        # The lock keeps the reaper from a program that ends before it is in the table. It costs nothing:
        # fork and exec hold the interpreter's lock anyway.
        with self._lock:
            popen = subprocess.Popen(
                list(argv),
                env=dict(env),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=tuple(pass_fds),
                cwd=cwd,
                start_new_session=True,
            )
            child = Child(tuple(argv), popen.pid)
            self._live[popen.pid] = child
            self._popen[popen.pid] = popen
        self._started.set()
        return child

    def run(self, argv: Sequence[str], *, env: Mapping[str, str], text: str = "") -> tuple[int, str]:
        """Run a program to its end, with ``text`` as its input; return its status and all its output."""
        with _memory_file(text) as given, _memory_file() as output:
            child = self.spawn(argv, env=env, stdin=given, stdout=output, stderr=output)
            child.ended.wait()
            output.seek(0)
            assert child.status is not None
            return child.status, output.read().decode(errors="replace")

    def reap_for_ever(self) -> None:
        """Wait for children until the process ends (the work of one thread)."""
        while True:
            self._started.clear()
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                self._started.wait()
                continue
            if found is not None:
                self._reap(found.si_pid)

    def _reap(self, pid: int) -> None:
        with self._lock:
            try:
                _, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # a program that could not be executed: subprocess reaped it itself
                return
            child, popen = self._live.pop(pid, None), self._popen.pop(pid, None)
            if child is None or popen is None:  # an orphan
                return
            child.status = popen.returncode = os.waitstatus_to_exitcode(status)
        child.ended.set()
        self._on_end(child)


def _memory_file(text: str = "") -> IO[bytes]:
    """Return a file in memory: unlike a pipe it never fills, so that nobody must drain it."""
    file = os.fdopen(os.memfd_create("herald", os.MFD_CLOEXEC), "w+b", buffering=0)
    file.write(text.encode())
    file.seek(0)
    return file
