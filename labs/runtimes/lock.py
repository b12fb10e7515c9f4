"""The lab's lock: held by the lab process, so that it is free exactly when nothing of the lab lives."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_POLL_S = 0.01


def acquire(path: Path) -> int | None:
    """Take the lock and return its descriptor, or None when a lab holds it.

    A file that was removed while we opened it does not count: another may be there already.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_current(descriptor, path):
            return descriptor
        os.close(descriptor)


def wait(path: Path, seconds: float) -> int | None:
    """Take the lock as soon as it is free; None when it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        descriptor = acquire(path)
        if descriptor is not None or time.monotonic() > deadline:
            return descriptor
        time.sleep(_POLL_S)


def is_held(path: Path) -> bool:
    """Say whether a lab holds the lock."""
    if not path.exists():
        return False
    descriptor = acquire(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def write_owner(descriptor: int, pid: int) -> None:
    """Note in the locked file which process (a pid of the host) the whole lab hangs on."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{pid}\n".encode(), 0)


def owner(path: Path) -> int | None:
    """Return the pid that :func:`write_owner` noted; it is alive if the lock is held."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    return int(text) if text.strip().isdigit() else None


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
