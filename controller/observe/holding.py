"""Who holds a prefix by what was seen on the wire: the Adj-RIBs-In, rebuilt event by event (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.bgp import AsPath, Prefix
from controller.observe.event import Event


@dataclass(frozen=True, slots=True)
class Held:
    """What one session's receiver holds of a prefix: the sender's last announcement, since ``at_ns``."""

    sender: str
    receiver: str
    as_path: AsPath
    at_ns: int
    receiver_as: int

    @property
    def usable(self) -> bool:
        """Whether the receiver may use it: its own AS is not in the path (RFC 4271, 9.1.2)."""
        ases = (a for hop in self.as_path for a in (hop if isinstance(hop, tuple) else (hop,)))
        return self.receiver_as not in ases


def about(event: Event, prefix: Prefix) -> bool:
    """Tell whether an event is an UPDATE that mentions ``prefix``."""
    return event.kind == "update" and (
        prefix in event.withdrawn or any(a.prefix == prefix for a in event.announced)
    )


class Holding:
    """One prefix's routes in flight or at rest; give it each event in the order of capture.

    The end of a session empties what it brought. ``last_seq``: the last event that changed anything.
    """

    def __init__(self, prefix: Prefix, events: Iterable[Event] = ()) -> None:
        self.prefix = prefix
        self.last_seq = 0
        self._held: dict[tuple[str, str], Held] = {}
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> bool:
        """Take one event; tell whether it was about the prefix (or ended a session that had brought it)."""
        key = (event.sender_address, event.receiver_address)
        if event.kind in ("up", "down"):
            ended = self._held.pop(key, None), self._held.pop(key[::-1], None)
            changed = ended != (None, None)
        elif about(event, self.prefix):
            changed = True
            self._held.pop(key, None)
            for announcement in event.announced:
                if announcement.prefix == self.prefix:
                    self._held[key] = Held(
                        event.sender, event.receiver, announcement.as_path, event.at_ns, event.receiver_as
                    )
        else:
            return False
        if changed:
            self.last_seq = event.seq
        return changed

    def held(self) -> list[Held]:
        """Return what is held now, over all sessions."""
        return list(self._held.values())

    def holders(self) -> set[str]:
        """Return the routers that hold a path that they may use."""
        return {held.receiver for held in self._held.values() if held.usable}
