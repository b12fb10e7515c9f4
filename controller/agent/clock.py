"""The clocks of this machine, read in one place."""

from __future__ import annotations

import functools
import time
from datetime import UTC, datetime
from pathlib import Path

from controller.safety.budget import Reading

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        # Nobody knows which boot this is: none that was written down before. Then no time has passed.
        return f"unknown at {time.time_ns()}"


def reading() -> Reading:
    """Return this boot's id and its monotonic clock, which no setting of the wall clock moves."""
    return Reading(_boot_id(), time.monotonic())


def wall_clock() -> datetime:
    """Return the wall clock, aware; only an intent's expiry is judged by it."""
    return datetime.now(UTC)
