"""BGP messages from bytes (pure): RFC 4271, 4760, 5492, 6793, 7911, 8654, 8950.

Bytes that are no message raise :class:`BgpMessageError`, and nothing else. How an UPDATE is to be read
depends on both sides' OPENs: :func:`form_between` says it for one direction.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.bgp import Family
from controller.observe.bgp_update import MessageForm, Update, address_text, parse_update
from controller.observe.errors import BgpMessageError

MARKER = b"\xff" * 16
HEADER = 19
"""Bytes of the header: marker, length, type (RFC 4271, 4.1)."""
USUAL_LIMIT, EXTENDED_LIMIT = 4096, 65535
"""The longest message, without and with RFC 8654."""

OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = 1, 2, 3, 4, 5
_SHORTEST = {OPEN: 29, UPDATE: 23, NOTIFICATION: 21, KEEPALIVE: 19, ROUTE_REFRESH: 23}

_CAPABILITIES_PARAMETER, _EXTENDED_PARAMETERS = 2, 255
_MULTIPROTOCOL, _EXTENDED_MESSAGE, _GRACEFUL_RESTART, _FOUR_OCTET, _ADD_PATH = 1, 6, 64, 65, 69
_FAMILIES = {(1, 1): Family.IPV4, (2, 1): Family.IPV6}


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """What an OPEN promises about the restart of its sender (RFC 4724, 3).

    ``restart_s``: seconds within which it wants to be back; ``families``: family → forwarding state kept.
    """

    restart_s: int
    families: dict[Family, bool]


@dataclass(frozen=True, slots=True)
class Open:
    """An OPEN. ``asn`` is the four-octet one where the capability gives it; ``hold_time`` in seconds.

    ``add_path``: (AFI, SAFI) → 1 receive, 2 send, 3 both (RFC 7911, 4). Without a multiprotocol capability
    ``families`` is IPv4 alone.
    """

    asn: int
    hold_time: int
    identifier: str
    families: frozenset[Family]
    four_octet: bool
    extended_messages: bool = False
    add_path: dict[tuple[int, int], int] = field(default_factory=dict)
    graceful_restart: GracefulRestart | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """Why a session ends; ``text`` is the sender's own word, if any (RFC 9003)."""

    code: int
    subcode: int
    text: str = ""

    @property
    def name(self) -> str:
        """The error's name, such as ``Cease/Administrative Shutdown``, or its numbers."""
        name = _CODES.get(self.code, f"code {self.code}")
        sub = _CEASE.get(self.subcode) if self.code == 6 else None
        return f"{name}/{sub or self.subcode}" if self.subcode else name


@dataclass(frozen=True, slots=True)
class Keepalive:
    """A KEEPALIVE: nothing but its header."""


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """A ROUTE-REFRESH (RFC 2918, 7313): ``subtype`` 0 request, 1 begin, 2 end."""

    afi: int
    safi: int
    subtype: int


Message = Open | Update | Notification | Keepalive | RouteRefresh

_CODES = {
    1: "Message Header Error",
    2: "OPEN Message Error",
    3: "UPDATE Message Error",
    4: "Hold Timer Expired",
    5: "Finite State Machine Error",
    6: "Cease",
    7: "ROUTE-REFRESH Message Error",
    8: "Send Hold Timer Expired",
}
_CEASE = {
    1: "Maximum Number of Prefixes Reached",
    2: "Administrative Shutdown",
    3: "Peer De-configured",
    4: "Administrative Reset",
    5: "Connection Rejected",
    6: "Other Configuration Change",
    7: "Connection Collision Resolution",
    8: "Out of Resources",
    9: "Hard Reset",
    10: "BFD Down",
}


def message_length(data: bytes, at: int = 0, limit: int = USUAL_LIMIT) -> int:
    """Check the header at ``at`` and return its message's length; needs :data:`HEADER` bytes there.

    Raises :class:`BgpMessageError` for a wrong marker, length or type.
    """
    if data[at : at + 16] != MARKER:
        raise BgpMessageError("the marker is not sixteen bytes of ones", 0)
    if len(data) - at < HEADER:
        raise BgpMessageError("the header ends early", len(data) - at)
    length, kind = int.from_bytes(data[at + 16 : at + 18], "big"), data[at + 18]
    shortest = _SHORTEST.get(kind)
    if shortest is None:
        raise BgpMessageError(f"no message has type {kind}", 18)
    longest = HEADER if kind == KEEPALIVE else USUAL_LIMIT if kind == OPEN else limit
    if not shortest <= length <= longest:
        raise BgpMessageError(f"a message of type {kind} cannot be {length} bytes long", 16)
    return length


def parse_message(raw: bytes, form: MessageForm | None = None) -> Message:
    """Return what one whole message says; ``form`` matters for UPDATEs only.

    Raises :class:`BgpMessageError`.
    """
    form = form or MessageForm()
    length = message_length(raw, 0, EXTENDED_LIMIT)
    if length != len(raw):
        raise BgpMessageError(f"{len(raw)} bytes are given, and the header says {length}", 16)
    match raw[18]:
        case 2:
            return parse_update(raw, HEADER, form)
        case 1:
            return _parse_open(raw)
        case 3:
            return _parse_notification(raw)
        case 5:
            return RouteRefresh(int.from_bytes(raw[19:21], "big"), raw[22], raw[21])
        case _:
            return Keepalive()


def form_between(sender: Open, receiver: Open) -> MessageForm:
    """Return how messages from ``sender`` to ``receiver`` are written (RFC 6793, 4.1; RFC 7911, 4)."""
    return MessageForm(
        four_octet=sender.four_octet and receiver.four_octet,
        add_path=frozenset(
            family
            for family, mode in sender.add_path.items()
            if mode & 2 and receiver.add_path.get(family, 0) & 1
        ),
        limit=EXTENDED_LIMIT if sender.extended_messages and receiver.extended_messages else USUAL_LIMIT,
    )


def _parse_notification(raw: bytes) -> Notification:
    code, subcode, data = raw[19], raw[20], raw[21:]
    text = ""
    if code == 6 and subcode in (2, 4) and data and data[0] <= len(data) - 1:
        text = data[1 : 1 + data[0]].decode("utf-8", "replace")
    return Notification(code, subcode, text)


def _parse_open(raw: bytes) -> Open:
    if raw[19] != 4:
        raise BgpMessageError(f"BGP version {raw[19]} is not known", 19)
    capabilities = _capabilities(raw)
    asn, four_octet, add_path, families = int.from_bytes(raw[20:22], "big"), False, {}, set[Family]()
    extended, restart = False, None
    for code, value, at in capabilities:
        if code == _FOUR_OCTET:
            _expect(len(value) == 4, "the four-octet AS capability is not 4 bytes long", at)
            asn, four_octet = int.from_bytes(value, "big"), True
        elif code == _MULTIPROTOCOL:
            _expect(len(value) == 4, "the multiprotocol capability is not 4 bytes long", at)
            families |= {f for f in [_FAMILIES.get((int.from_bytes(value[:2], "big"), value[3]))] if f}
        elif code == _ADD_PATH:
            _expect(len(value) % 4 == 0, "the ADD-PATH capability ends inside a family", at)
            add_path.update(
                {
                    (int.from_bytes(value[i : i + 2], "big"), value[i + 2]): value[i + 3]
                    for i in range(0, len(value), 4)
                    if value[i + 3] <= 3
                }
            )
        elif code == _EXTENDED_MESSAGE:
            extended = True
        elif code == _GRACEFUL_RESTART:
            _expect(len(value) >= 2 and len(value) % 4 == 2, "the graceful restart capability is cut off", at)
            restart = _graceful_restart(value)
    return Open(
        asn=asn,
        hold_time=int.from_bytes(raw[22:24], "big"),
        identifier=address_text(raw[24:28]),
        families=frozenset(families or {Family.IPV4}),
        four_octet=four_octet,
        extended_messages=extended,
        add_path=add_path,
        graceful_restart=restart,
    )


def _graceful_restart(value: bytes) -> GracefulRestart:
    families = {}
    for i in range(2, len(value), 4):
        family = _FAMILIES.get((int.from_bytes(value[i : i + 2], "big"), value[i + 2]))
        if family is not None:
            families[family] = bool(value[i + 3] & 0x80)
    return GracefulRestart(int.from_bytes(value[:2], "big") & 0x0FFF, families)


def _capabilities(raw: bytes) -> list[tuple[int, bytes, int]]:
    """Return (code, value, offset) of each capability (RFC 5492; long parameters: RFC 9072)."""
    end, at, wide = 29 + raw[28], 29, 1
    if raw[28] != 0 and len(raw) >= 32 and raw[29] == _EXTENDED_PARAMETERS:
        end, at, wide = 32 + int.from_bytes(raw[30:32], "big"), 32, 2
    _expect(end == len(raw), f"optional parameters end at byte {end} of {len(raw)}", 28)
    found = []
    while at < end:
        _expect(at + 1 + wide <= end, "an optional parameter is cut off", at)
        kind, length = raw[at], int.from_bytes(raw[at + 1 : at + 1 + wide], "big")
        at += 1 + wide
        _expect(at + length <= end, f"an optional parameter of {length} bytes is cut off", at)
        if kind == _CAPABILITIES_PARAMETER:
            inner, stop = at, at + length
            while inner < stop:
                _expect(inner + 2 <= stop, "a capability is cut off", inner)
                code, size = raw[inner], raw[inner + 1]
                _expect(inner + 2 + size <= stop, f"capability {code} is cut off", inner)
                found.append((code, raw[inner + 2 : inner + 2 + size], inner))
                inner += 2 + size
        at += length
    return found


def _expect(holds: bool, what: str, offset: int) -> None:
    if not holds:
        raise BgpMessageError(what, offset)
