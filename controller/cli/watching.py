"""``--watch``: a line for each UPDATE about a prefix, from the capture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.bgp import Prefix
from controller.cli.errors import CliError

if TYPE_CHECKING:
    from controller.observe.event import Event
    from controller.observe.inventory import Inventory


@dataclass(frozen=True, slots=True)
class Watching:
    """What was captured before the change was asked for."""

    inventory: Inventory
    prefix: Prefix
    before: list[Event]
    last_seq: int

    @classmethod
    def open(cls, inventory: Inventory | None, prefix: Prefix) -> Watching:
        """Read what was captured so far; do it before asking for the change."""
        if inventory is None:
            raise CliError("--watch needs a lab's capture: leave --url out, or watch where the lab runs")
        from controller.observe.stream import fetch_events  # noqa: PLC0415

        before, stats = fetch_events(inventory.capture_socket)
        return cls(inventory, prefix, before, stats.last_seq)

    def follow(self, deadline: float, on_line: Callable[[str], None]) -> bool:
        """Call ``on_line`` until the prefix is gone everywhere or ``deadline``; tell whether it is gone."""
        from controller.observe.stream import CaptureStream  # noqa: PLC0415
        from controller.observe.watch import watch  # noqa: PLC0415

        with CaptureStream(self.inventory.capture_socket) as stream:
            events = stream.events(self.last_seq, timeout=max(deadline - time.monotonic(), 0.0))
            return watch(events, self.inventory, self.prefix, on_line, before=self.before)
