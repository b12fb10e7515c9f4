"""Start the lab process and wait until the lab is up, on the side of whoever asked for it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from controller.locations import runtime_dir, runtime_root
from labs.runtimes import host, lock, wire
from labs.runtimes.errors import LabBusyError, LabStartError
from labs.runtimes.plan import LabPaths, LabPlan, write_plan
from labs.topology.model import Topology

END_S = 20.0
"""Seconds within which a lab that was told to end must be gone, before it is killed."""


def new_instance() -> str:
    """Return a name for a fresh start: its time and a little chance."""
    return f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(2)}"


def launch(
    topology: Topology, on_progress: wire.OnProgress | None = None, on_warning: wire.OnWarning | None = None
) -> Any:
    """Bring up a lab that is not running; return the lab process's answer.

    Raises :class:`HostRefusesError`, :class:`LabStartError` and its kin, :class:`LabBusyError`. Whatever is
    raised (KeyboardInterrupt, too), nothing of the lab is left.
    """
    found = host.detect()
    for warning in found.warnings:
        if on_warning is not None and any(n.daemon == "openbgpd" for n in topology.nodes):
            on_warning(warning)
    paths = LabPaths(runtime_dir(topology.folder), topology.folder, new_instance())
    plan = LabPlan(topology, paths, runtime_root().resolve(), found.privilege)
    plan.check()
    paths.runtime.mkdir(mode=0o700, exist_ok=True)
    descriptor = lock.acquire(paths.lock)
    if descriptor is None:
        raise LabBusyError(f"lab {topology.name} is being brought up or down by another command: try again")
    os.ftruncate(descriptor, 0)  # the pid that an earlier lab hung on may be somebody else's by now
    try:
        clear(paths.runtime)
        paths.stage.mkdir()
        _make_folder(topology.folder)
        write_plan(plan)
        return _run(plan, descriptor, on_progress, on_warning)
    finally:
        os.close(descriptor)


def _run(
    plan: LabPlan,
    descriptor: int,
    on_progress: wire.OnProgress | None,
    on_warning: wire.OnWarning | None,
) -> Any:
    ours, theirs = socket.socketpair()
    process: subprocess.Popen[bytes] | None = None
    try:
        with ours:
            with theirs, plan.paths.log("lab").open("wb") as log:
                # Its own session: it outlives this command and does not hear its terminal's Ctrl-C.
                process = subprocess.Popen(
                    _command(plan, theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs.fileno(), descriptor),
                    start_new_session=True,
                    env={**os.environ, "PATH": host.search_path()},
                    cwd="/",
                )
            lock.write_owner(descriptor, process.pid)
            result = wire.read_answer(ours, on_progress, on_warning)
    except BaseException:
        # The socket is closed now, so that the lab process ends itself. It must be gone before we say so.
        if process is not None:
            _wait_end(process)
        clear(plan.paths.runtime)
        remove(plan.paths.runtime)
        raise
    # Leave the lab to itself; if it ends before we do, it must not stay as a zombie of ours.
    threading.Thread(target=process.wait, name="lab", daemon=True).start()
    return result


def _command(plan: LabPlan, descriptor: int) -> list[str]:
    words = host.unshare_command(plan.privilege)
    return [*words, sys.executable, "-m", "labs.runtimes.init", str(plan.paths.plan), str(descriptor)]


def _wait_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()  # and with it, by --kill-child, everything
        process.wait()


def clear(runtime: Path) -> None:
    """Remove what a dead lab left in its runtime directory; the caller holds its lock."""
    for entry in runtime.iterdir():
        if entry.name == "lab.lock":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def remove(runtime: Path) -> None:
    """Remove a cleared runtime directory with its lock; the caller holds it."""
    (runtime / "lab.lock").unlink(missing_ok=True)
    try:
        runtime.rmdir()
    except OSError as error:
        raise LabStartError(f"cannot remove {runtime}: {error.strerror}") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabStartError(
            f"cannot make {folder} for the lab's logs and state: {error.strerror}; "
            f"copy the topology to a folder of yours"
        ) from error
    if not os.access(folder, os.W_OK):
        raise LabStartError(f"{folder} belongs to another user: copy the topology to a folder of yours")
