"""A PostgreSQL server of the tests' own: on a unix socket in a temporary folder, gone with the tests.

It runs under a keeper (this module as a program), which stops it and removes the folder as soon as its
standard input ends: at the end of the tests, and when pytest is killed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

USER = "herald"
TEMPLATE = "herald_template"
FAST = (
    "fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0", "autovacuum=off",
    "shared_buffers=32MB", "max_connections=300", "listen_addresses=", "log_min_messages=fatal",
)  # fmt: skip
"""Not for tests of durability: a crash of the machine loses what was committed."""


def binary(name: str) -> Path | None:
    """Return one of the server's programs, of its newest version; None when it is not installed."""
    found = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[-3].partition(".")[0])
    )
    return found[-1] if found else None


class Server:
    """A running server. ``url(database)`` is what ``open_store`` takes."""

    def __init__(self, *, settings: tuple[str, ...] = FAST) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="herald-pg-"))
        self._settings = settings
        self._numbers = itertools.count(1)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._initialise()
        self.start()

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it (again); returns once it takes connections."""
        command = [str(binary("postgres")), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        for setting in self._settings:
            command += ["-c", setting]
        self._keeper = subprocess.Popen(
            [sys.executable, __file__, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        told = self._keeper.stdout.readline()
        assert told == b"ready\n", f"PostgreSQL did not start: {told!r}"

    def stop(self) -> None:
        """Stop it at once, as a crash does; the data stays for :meth:`start`."""
        self._tell(b"stop\n")

    def remove(self) -> None:
        """Stop it and remove everything."""
        self._tell(b"")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _tell(self, what: bytes) -> None:
        assert self._keeper is not None
        with contextlib.suppress(BrokenPipeError):
            self._keeper.communicate(what, timeout=30)

    def run_sql(self, statement: str, database: str = "postgres") -> None:
        """Run one statement outside any transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, *, template: str = "template1") -> str:
        """Make a database and return its name."""
        name = f"herald_{next(self._numbers)}"
        self.run_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self.run_sql(f"DROP DATABASE {name} WITH (FORCE)")

    def _initialise(self) -> None:
        owner = _owner()
        if owner is not None:
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        command = [str(binary("initdb")), "-D", str(self.folder / "data"), "-U", USER, "-A", "trust"]
        command += ["--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **_as(owner))
        assert done.returncode == 0, done.stderr


def _owner() -> pwd.struct_passwd | None:
    """Return who the server is to run as: somebody else when we are root, which it refuses."""
    if os.geteuid() != 0:
        return None
    names = {p.pw_name: p for p in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _as(owner: pwd.struct_passwd | None) -> dict:
    return (
        {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": "/"}
    )


def keep(command: list[str]) -> None:
    """Run the server until standard input says so or ends; in the latter case remove its folder, too."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)  # not ignored: the server would inherit that
    folder = Path(command[command.index("-k") + 1])
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **_as(_owner()),
    )
    try:
        _say("ready" if _answers(server, folder) else "it ended at once")
        told = sys.stdin.buffer.readline()
    finally:
        server.send_signal(signal.SIGQUIT)  # immediate: what is committed is in the log
        server.wait()
    if told != b"stop\n":
        shutil.rmtree(folder, ignore_errors=True)


def _answers(server: subprocess.Popen[bytes], folder: Path) -> bool:
    """Wait until the server takes connections; it writes its state into its pid file."""
    pid_file = folder / "data" / "postmaster.pid"
    while server.poll() is None:
        with contextlib.suppress(OSError):
            lines = pid_file.read_text().splitlines()
            if len(lines) >= 8 and lines[0] == str(server.pid) and lines[7].strip() == "ready":
                return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.02)
    return False


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    keep(sys.argv[1:])
