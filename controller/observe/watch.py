"""A line per UPDATE about one prefix, until no router can use it any more: ``herald withdraw --watch``.

``watch`` needs events in order of capture from *before* the withdrawal on, so that it knows who held the
prefix; it prints from the first UPDATE that an origin sends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from controller.bgp import Prefix, path_text
from controller.observe.event import Event
from controller.observe.holding import Holding, about
from controller.observe.inventory import Inventory


class Watch:
    """The lines of one withdrawal (pure); give it each event after ``after_seq`` in order.

    ``origins``: our sites' routers; t0 is the first UPDATE that one of them sends.
    """

    def __init__(self, prefix: Prefix, origins: Collection[str], before: Iterable[Event] = ()) -> None:
        self._holding = Holding(prefix, before)
        self._origins = origins
        self._t0: int | None = None

    @property
    def begun(self) -> bool:
        """Whether an origin has sent anything about the prefix."""
        return self._t0 is not None

    @property
    def gone(self) -> bool:
        """Whether it has begun, and no session carries the prefix any more."""
        return self.begun and not self._holding.held()

    def apply(self, event: Event) -> list[str]:
        """Take one event and return its lines (none when it is not about the prefix)."""
        self._holding.apply(event)
        if not about(event, self._holding.prefix):
            return []
        if self._t0 is None and event.sender in self._origins:
            self._t0 = event.at_ns
        since = 0.0 if self._t0 is None else (event.at_ns - self._t0) / 1e6
        where = f"{since:+10.3f} ms  {event.sender} → {event.receiver}"
        lines = [
            f"{where}  announces {path_text(a.as_path)}"
            for a in event.announced
            if a.prefix == self._holding.prefix
        ]
        return lines or [f"{where}  withdraws"]


def watch(
    events: Iterable[Event],
    inventory: Inventory,
    prefix: Prefix,
    on_line: Callable[[str], None],
    *,
    before: Iterable[Event] = (),
) -> bool:
    """Call ``on_line`` for each line until the prefix is gone everywhere; tell whether it is.

    ``events``: those after the withdrawal was asked for, as they come (``CaptureStream.events``), ending at
    the caller's deadline; ``before``: all captured until then. False when ``events`` ended too early.
    """
    watching = Watch(prefix, {site.router for site in inventory.sites}, before)
    for event in events:
        for line in watching.apply(event):
            on_line(line)
        if watching.gone:
            return True
    return watching.gone
