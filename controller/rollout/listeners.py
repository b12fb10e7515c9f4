"""Who is told that something about a change-set has been written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Written = Callable[[str, str], None]
"""Takes a change-set's id and its account's."""


class Listeners:
    """Lives on the driver's event loop."""

    def __init__(self) -> None:
        self.ending = False
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._told: list[Written] = []

    def on_written(self, callback: Written) -> None:
        """Call back, on the event loop, for each change-set of which something was written down."""
        self._told.append(callback)

    def watch(self, change_set_id: str) -> asyncio.Event:
        """Return an event that is set when something is written down about a change-set.

        Give it back with :meth:`unwatch`.
        """
        event = asyncio.Event()
        self._watchers.setdefault(change_set_id, set()).add(event)
        return event

    def unwatch(self, change_set_id: str, event: asyncio.Event) -> None:
        """End :meth:`watch`."""
        waiting = self._watchers.get(change_set_id, set())
        waiting.discard(event)
        if not waiting:
            self._watchers.pop(change_set_id, None)

    def release(self) -> None:
        """Wake everybody who watches, for good: the process is about to end."""
        self.ending = True
        for events in self._watchers.values():
            for event in events:
                event.set()

    def tell(self, change_set_id: str, account_id: str) -> None:
        """Say that something was written down."""
        for event in self._watchers.get(change_set_id, ()):
            event.set()
        for callback in self._told:
            callback(change_set_id, account_id)
