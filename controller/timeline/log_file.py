"""The second channel: all that is told to an account, appended to a file of its own as JSON lines.

Always on in a lab. It follows the timeline by its numbers, and after a restart goes on after the last whole
line, so that each entry is there once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from controller.store import Store
from controller.timeline.bell import Bell, rung_within

BATCH = 500
LOOK_EVERY_S = 30.0

ReadEntries = Callable[[Any, int, int], Sequence[dict[str, Any]]]
"""Reads entries of all accounts as they are shown: session, after which number, at most how many."""


class LogFiles:
    """``FOLDER/<account>.log``; :meth:`run` it on an event loop."""

    def __init__(self, folder: Path, store: Store, bell: Bell, read: ReadEntries) -> None:
        self._folder = folder
        self._store = store
        self._bell = bell
        self._read = read
        self._last: int | None = None

    async def run(self) -> NoReturn:
        """Append for ever what is new."""
        woken = self._bell.listener()
        while True:
            woken.clear()
            await asyncio.to_thread(self.catch_up)
            await rung_within(woken, LOOK_EVERY_S)

    def catch_up(self) -> None:
        """Append all that is not there yet; raises OSError when the files cannot be written."""
        if self._last is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._last = max((mend(path) for path in self._folder.glob("*.log")), default=0)
        while True:
            with self._store.read() as session:
                found = self._read(session, self._last, BATCH)
            for entry in found:
                self._append(entry)
                self._last = int(entry["seq"])
            if len(found) < BATCH:
                return

    def _append(self, entry: dict[str, Any]) -> None:
        path = self._folder / f"{entry['account_id']}.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")


def mend(path: Path) -> int:
    """Cut off a line that a crash left unfinished; return the number of the last entry, 0 without any."""
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end != len(whole):
        os.truncate(path, end)
    lines = whole[:end].splitlines()
    return int(msgspec.json.decode(lines[-1])["seq"]) if lines else 0
