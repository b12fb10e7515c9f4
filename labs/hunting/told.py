"""What routers last told each other of one prefix: which paths still stand, and who leads whom (pure).

All of it is by the wire, and from the sender's side: a message counts from the moment it was sent, which is
before its receiver can know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from controller.bgp import AsPath, Prefix
from controller.observe.event import Event
from controller.observe.holding import about


class Told:
    """Give it each event in the order of capture. ``origins``: the nodes that announce it of themselves."""

    def __init__(self, prefix: Prefix, origins: Collection[str], events: Iterable[Event] = ()) -> None:
        self._prefix = prefix
        self._origins = frozenset(origins)
        self._by_receiver: dict[str, dict[str, AsPath]] = {}
        self._by_sender: dict[str, dict[str, AsPath]] = {}
        self._neighbours: dict[str, set[str]] = {}
        self._over: dict[tuple[str, str], frozenset[str]] = {}
        """Over which session the last word of one router to another came, by its addresses."""
        self._ases: dict[str, int] = {}
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take one event; the end of a session takes back what was told over it."""
        session = frozenset((event.sender_address, event.receiver_address))
        if event.kind in ("up", "down"):
            # Two routers may have a session for each family: the other one's end takes nothing back.
            for pair in ((event.sender, event.receiver), (event.receiver, event.sender)):
                if self._over.get(pair) == session:
                    self._forget(*pair)
        elif about(event, self._prefix):
            self._ases[event.sender] = event.sender_as
            self._ases[event.receiver] = event.receiver_as
            self._neighbours.setdefault(event.receiver, set()).add(event.sender)
            self._over[event.sender, event.receiver] = session
            self._forget(event.sender, event.receiver)
            for announcement in event.announced:
                if announcement.prefix == self._prefix:
                    self._by_receiver.setdefault(event.receiver, {})[event.sender] = announcement.as_path
                    self._by_sender.setdefault(event.sender, {})[event.receiver] = announcement.as_path

    def _forget(self, sender: str, receiver: str) -> None:
        self._by_receiver.get(receiver, {}).pop(sender, None)
        self._by_sender.get(sender, {}).pop(receiver, None)

    def uses(self, node: str) -> AsPath | None:
        """Return the path that ``node`` uses: the one that it announced last and has not taken back.

        A router withdraws from the neighbour whose path it takes up and announces to the others, so it has
        none only once it has withdrawn from all. One that tells nobody is taken to use none.
        """
        return next(reversed(self._by_sender.get(node, {}).values()), None)

    def ases(self) -> dict[str, int]:
        """Return the AS of each router that has told, or was told, of it."""
        return dict(self._ases)

    def senders(self) -> list[str]:
        """Return who announces it to anybody now."""
        return sorted(node for node, told in self._by_sender.items() if told)

    def leads_to(self, node: str) -> str | None:
        """Return the neighbour to whom ``node`` sends what is for the prefix, by the path that it uses."""
        path = None if node in self._origins else self.uses(node)
        heard = () if path is None else self._heard(node, path)
        if path is None or not heard:
            return None
        # He may have told something else by now, which has not arrived: it is his network that is meant.
        near = (s for s in sorted(self._neighbours.get(node, ())) if self._ases[s] == heard[0])
        return self._teller(node, heard) or next(near, None)

    def _teller(self, node: str, heard: AsPath) -> str | None:
        return next((s for s, told in self._by_receiver.get(node, {}).items() if told == heard), None)

    def stands(self, node: str, path: AsPath) -> bool:
        """Tell whether ``path``, as ``node`` announces it, is what each network on it still says.

        It does not once any of them has told another path, or none, to the one before it.
        """
        seen: set[str] = set()
        while node not in self._origins:
            path = self._heard(node, path)
            if not path:
                return True  # it announces the prefix of itself
            teller = self._teller(node, path)
            if teller is None or teller in seen:
                return False
            seen.add(teller)
            node = teller
        return True

    def _heard(self, node: str, path: AsPath) -> AsPath:
        own, begin = self._ases.get(node), 0
        while begin < len(path) and path[begin] == own:
            begin += 1
        return path[begin:]

    def holders(self) -> dict[str, bool]:
        """Return who holds a path free of its own AS, and whether any such path of it still stands."""
        found: dict[str, bool] = {}
        for receiver, told in self._by_receiver.items():
            usable = [(s, p) for s, p in told.items() if self._ases[receiver] not in flat(p)]
            if usable:
                found[receiver] = any(self.stands(sender, path) for sender, path in usable)
        return found


def flat(path: AsPath) -> set[int]:
    """Return the ASes of a path, those in AS_SETs, too."""
    return {asn for hop in path for asn in (hop if isinstance(hop, tuple) else (hop,))}
