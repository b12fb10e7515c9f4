"""The programs that the lab process started, and what became of them.

Orphans are not ours: process 1 reaps them (:mod:`labs.runtimes.init`). One thread waits for all children, by
their pidfds (pidfd_open(2)), so that libraries that start programs of their own can wait for those.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO


@dataclass(slots=True)
class Child:
    """One program; ``status`` is its exit status, or minus the signal that ended it, or None."""

    popen: subprocess.Popen[bytes]
    status: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pid(self) -> int:
        """Its pid in the lab's PID namespace."""
        return self.popen.pid

    def signal(self, number: int) -> None:
        """Send a signal to the process group that the program leads, if it is still there."""
        with self.lock:  # as long as we hold it, its pid cannot be another's
            if self.status is None:
                os.killpg(self.pid, number)

    def reap(self) -> None:
        """Note how it ended."""
        with self.lock:
            self.status = self.popen.wait()
        self.ended.set()

    def describe(self) -> str:
        """Say how it ended."""
        if self.status is None:
            return "running"
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        return f"exit status {self.status}"


class Children:
    """Starts programs, and notes their ends."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._live: dict[int, Child] = {}

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
        child = Child(popen)
        descriptor = os.pidfd_open(popen.pid)
        self._live[descriptor] = child
        self._epoll.register(descriptor, select.EPOLLIN)
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
            for descriptor, _ in self._epoll.poll():
                child = self._live.pop(descriptor)  # before its number can be another's
                self._epoll.unregister(descriptor)
                os.close(descriptor)
                child.reap()


def _memory_file(text: str = "") -> IO[bytes]:
    """Return a file in memory: unlike a pipe it never fills, so that nobody must drain it."""
    file = os.fdopen(os.memfd_create("herald", os.MFD_CLOEXEC), "w+b", buffering=0)
    file.write(text.encode())
    file.seek(0)
    return file
