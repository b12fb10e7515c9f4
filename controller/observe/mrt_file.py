"""MRT files: all events at once, or appended while a capture runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from controller.observe.event import Event
from controller.observe.mrt import mrt_record, mrt_records


def write_mrt(path: Path, events: Iterable[Event]) -> int:
    """Write ``events`` to a new file at ``path`` and return the number of records; raises OSError."""
    count = 0
    with path.open("wb") as file:
        for record in mrt_records(events):
            file.write(record)
            count += 1
    return count


class MrtAppender:
    """Appends records to a file, in its own memory until :meth:`flush`. Raises OSError."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._pending = bytearray()

    def append(self, event: Event) -> None:
        """Append one event."""
        self._pending += mrt_record(event)

    def flush(self) -> None:
        """Hand what was appended to the kernel, so that readers of the file see it."""
        while self._pending:
            del self._pending[: self._file.write(self._pending)]

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close without writing what is pending."""
        self._file.close()
