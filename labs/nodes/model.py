"""What the runtime must know of a kind of daemon."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labs.runtimes.host import Privilege
from labs.topology.model import NodeSpec

PROBE_TIMEOUT_S = 0.5
"""Seconds that one look at a daemon's socket may take; a stopped daemon would not answer for ever."""

Run = Callable[[tuple[str, ...]], tuple[int, str]]
"""Runs a command in the node's namespaces; gives its exit status and its output."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """One program of a node. ``ready`` is its own sign that it answers; it is asked until it is true.

    ``stale``: sockets of an earlier run, to be removed before it starts, since their presence is the sign.
    ``after``: another program of the node that must be ready before this one starts.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    stale: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node runs: its spec, the folder that it sees as ``/run``, and a way into it."""

    spec: NodeSpec
    run: Path
    execute: Run

    def config(self, target: str) -> Path | None:
        """Return the host's file that is bound to ``target``, or None."""
        for bind in self.spec.binds:
            if bind.target == target:
                return bind.source
            if bind.source.is_dir() and target.startswith(f"{bind.target.rstrip('/')}/"):
                return bind.source / target.removeprefix(bind.target).lstrip("/")
        return None


def nothing_to_prepare(_place: Place) -> None:
    """Do nothing."""


def no_commands(_place: Place) -> tuple[tuple[str, ...], ...]:
    """Return no commands."""
    return ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of daemon.

    ``config``: the file without which it does not start. ``private``: files that it accepts only when they
    are its owner's alone. ``configure``: commands to run when all daemons of the node answer. ``main``:
    the daemon whose log is the node's. ``privileges``: where it can run.
    """

    name: str
    main: str
    daemons: Callable[[Place], tuple[Daemon, ...]]
    config: str | None = None
    private: tuple[str, ...] = ()
    prepare: Callable[[Place], None] = nothing_to_prepare
    configure: Callable[[Place], tuple[tuple[str, ...], ...]] = no_commands
    privileges: frozenset[Privilege] = frozenset(Privilege)


def connect(path: Path) -> socket.socket | None:
    """Connect to a unix socket; None while nobody listens there."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(PROBE_TIMEOUT_S)
    try:
        client.connect(os.fspath(path))
    except OSError:
        client.close()
        return None
    return client


def accepts(path: Path) -> bool:
    """Say whether somebody listens at a unix socket."""
    client = connect(path)
    if client is None:
        return False
    client.close()
    return True
