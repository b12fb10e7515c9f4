"""From TCP segments to events: which BGP sessions there are, and what was said on them (pure).

A connection *lives* from the moment when both OPENs were seen (or, for one that began before the capture,
any other message) until a NOTIFICATION, FIN or RST. ``up`` and ``down`` are told for a pair of addresses, not
for a connection: of two that collide (RFC 4271, 6.8) the one that loses ends in silence, even when the other
one carries routes by then. One that nobody ended is taken for dead once another is Established in its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from controller.bgp import Family, family_of
from controller.observe.bgp_message import (
    Keepalive,
    Message,
    Notification,
    Open,
    form_between,
    parse_message,
)
from controller.observe.bgp_update import MessageForm, Update
from controller.observe.errors import BgpMessageError
from controller.observe.event import Event, Kind
from controller.observe.packet import ACK, FIN, RST, SYN, Segment
from controller.observe.tcp_stream import Framer, Gap, Piece, TcpStream

ENDED_KEPT = 4096
"""Ended connections that are remembered, so that their last segments are not taken for a late start."""

_KINDS: dict[int, Kind] = {1: "open", 2: "update", 3: "notification", 4: "keepalive", 5: "route-refresh"}
_SAFI_UNICAST = {Family.IPV4: (1, 1), Family.IPV6: (2, 1)}

Endpoint = tuple[str, int]


class _Side:
    """What one end of a connection sends."""

    __slots__ = (
        *("address", "confirmed", "connection", "form", "framer"),
        *("gapped", "node", "open", "peer", "stream"),
    )
    peer: _Side

    def __init__(self, connection: _Connection, address: str, node: str) -> None:
        self.connection = connection
        self.address = address
        self.node = node
        self.stream = TcpStream()
        self.framer = Framer()
        self.form = MessageForm()
        self.open: Open | None = None
        self.gapped = False
        self.confirmed = False  # it has sent a KEEPALIVE: it took the other side's OPEN

    @property
    def asn(self) -> int:
        return self.open.asn if self.open else 0


class _Connection:
    def __init__(self, here: Endpoint, there: Endpoint, node: str, receiver: str) -> None:
        one, two = _Side(self, here[0], node), _Side(self, there[0], receiver)
        one.peer, two.peer = two, one
        self.sides = {here: one, there: two}
        self.key = frozenset((here, there))
        self.pair = frozenset((here[0], there[0]))
        self.lives = False
        self.ended = False
        self.carries = False  # an UPDATE was seen


class Conversations:
    """All BGP sessions of a network; give it each segment in order of time.

    ``addresses``: address → node name. An address that is not there is taken for the node's whose ring caught
    the segment; one that is may be forwarded by, and caught at, another node.
    """

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._connections: dict[frozenset[Endpoint], _Connection] = {}
        self._living: dict[frozenset[str], list[_Connection]] = {}
        self._ended: deque[_Connection] = deque()
        self._events: list[Event] = []
        self._at_ns = 0
        self.messages = 0
        self.sessions = 0
        self.gaps = 0

    def segment(self, at_ns: int, node: str, seen: Segment) -> list[Event]:
        """Take one segment that left ``node``; return the events that it completes, numbered 0."""
        self._at_ns, self._events = at_ns, []
        here, there = (seen.source, seen.source_port), (seen.target, seen.target_port)
        connection = self._connections.get(frozenset((here, there)))
        flags = seen.flags
        if connection is not None and flags & SYN and connection.sides[here].stream.begun_otherwise(seen.seq):
            self._end(connection.sides[here])
            connection = None
        if connection is None:
            connection = _Connection(here, there, node, self._addresses.get(there[0], there[0]))
            self._connections[connection.key] = connection
        side = connection.sides[here]
        side.node = self._addresses.get(seen.source, node)
        if flags & SYN:
            side.stream.begin(seen.seq)
        else:
            fin = bool(flags & FIN)
            if seen.length or fin:
                pieces = side.stream.segment(seen.seq, seen.payload, fin=fin, length=seen.length)
                self._take(side, pieces)
            if flags & ACK:
                self._take(side.peer, side.peer.stream.acked(seen.ack))
        if flags & RST:
            self._take(side, side.stream.reset())
        return self._events

    def _take(self, side: _Side, pieces: list[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                for message in side.framer.feed(piece):
                    if isinstance(message, bytes):
                        self._message(side, message)
                    else:
                        self._missing(side)
                        self._tell(side, "update", error=str(message))
            elif isinstance(piece, Gap):
                side.framer.gap()
                self._missing(side)
            else:
                self._end(side)

    def _missing(self, side: _Side) -> None:
        if not side.gapped:
            side.gapped = True
            self.gaps += 1

    def _message(self, side: _Side, raw: bytes) -> None:
        self.messages += 1
        kind = _KINDS[raw[18]]
        known = side.open is not None and side.peer.open is not None
        try:
            message = _parse(raw, side, known=known)
        except BgpMessageError as error:
            self._tell(side, kind, raw, error=str(error))
            return
        if isinstance(message, Open):
            self._settle(side, message)
        self._outlive(side, message)
        self._tell(side, kind, raw, message if isinstance(message, Update) else None)
        if isinstance(message, Notification):
            self._end(side)
            return
        if isinstance(message, Update):
            side.connection.carries = True
        self._live(side)

    def _settle(self, side: _Side, opened: Open) -> None:
        side.open = opened
        other = side.peer
        if other.open is not None:
            side.form, other.form = form_between(opened, other.open), form_between(other.open, opened)
            side.framer.limit, other.framer.limit = side.form.limit, other.form.limit

    def _live(self, side: _Side) -> None:
        """Tell ``up`` when the connection now lives; one that began before the capture lives untold."""
        connection = side.connection
        opens = (side.open is not None) + (side.peer.open is not None)
        if connection.lives or connection.ended or opens == 1:
            return
        living = self._living.setdefault(connection.pair, [])
        if not living and opens == 2:
            self.sessions += 1
            self._tell(side, "up")
        living.append(connection)
        connection.lives = True

    def _outlive(self, side: _Side, message: Message) -> None:
        """End older connections that carry routes, once this one of the same pair is Established.

        Nobody said that they ended: their router died, or the link did. Both OPENs are not enough: a router
        takes a new connection beside an Established one, and refuses it only when it has read the OPEN.
        """
        connection = side.connection
        side.confirmed |= isinstance(message, Keepalive)
        established = isinstance(message, Update) or (side.confirmed and side.peer.confirmed)
        if not established or not connection.lives or connection.ended or connection.carries:
            return
        living = self._living[connection.pair]
        dead = [old for old in living if old is not connection and old.carries]
        if not dead:
            return
        living.remove(connection)  # so that the end of the last of them is told
        for old in dead:
            self._end(next(iter(old.sides.values())))
        self._living.setdefault(connection.pair, []).append(connection)
        self.sessions += 1
        self._tell(side, "up")

    def _end(self, side: _Side) -> None:
        """End a connection; ``side`` is the one that ended it."""
        connection = side.connection
        if connection.ended:
            return
        connection.ended = True
        self._ended.append(connection)
        if len(self._ended) > ENDED_KEPT:
            old = self._ended.popleft()
            if self._connections.get(old.key) is old:
                del self._connections[old.key]
        if not connection.lives:
            return
        living = self._living[connection.pair]
        living.remove(connection)
        if not living:
            del self._living[connection.pair]
            self._tell(side, "down")

    def _tell(
        self,
        side: _Side,
        kind: Kind,
        raw: bytes = b"",
        update: Update | None = None,
        *,
        error: str | None = None,
    ) -> None:
        self._events.append(
            Event(
                seq=0,
                at_ns=self._at_ns,
                sender=side.node,
                receiver=side.peer.node,
                sender_address=side.address,
                receiver_address=side.peer.address,
                sender_as=side.asn,
                receiver_as=side.peer.asn,
                kind=kind,
                announced=update.announced if update else (),
                withdrawn=update.withdrawn if update else (),
                four_octet=side.form.four_octet,
                raw=raw,
                error=error,
                add_path=update is not None and _has_path_ids(update, side.form),
            )
        )


def _has_path_ids(update: Update, form: MessageForm) -> bool:
    """Tell whether NLRI of an UPDATE carry path identifiers; speakers put one family into each UPDATE."""
    if not form.add_path:
        return False
    prefixes = [a.prefix for a in update.announced] + list(update.withdrawn)
    families = {family_of(prefix) for prefix in prefixes}
    return any(_SAFI_UNICAST[family] in form.add_path for family in families)


def _parse(raw: bytes, side: _Side, *, known: bool) -> Message:
    """Parse by the session's form; where no OPEN was seen, try four-octet ASNs, then two-octet ones."""
    try:
        return parse_message(raw, side.form)
    except BgpMessageError:
        if known or not side.form.four_octet:
            raise
        two_octet = MessageForm(four_octet=False)
        message = parse_message(raw, two_octet)
        side.form = two_octet
        return message
