"""What goes over ``capture.sock``: length-prefixed msgpack, requests by ``op``, answers by ``kind`` (pure).

One connection may subscribe and ask at once: each frame says what it is. An answer to ``sync`` comes after
all events up to its ``last_seq``.
"""

from __future__ import annotations

import msgspec

from controller.bgp import Prefix
from controller.observe.errors import CaptureGarbledError
from controller.observe.event import CaptureStats, Event, FibChange
from controller.observe.evidence import Fate

FRAME_LIMIT = 64 << 20
"""The longest frame that a reader accepts, in bytes."""


class Subscribe(msgspec.Struct, frozen=True, tag_field="op", tag="subscribe"):
    """Stream events from ``after`` + 1 on."""

    after: int = 0


class Stats(msgspec.Struct, frozen=True, tag_field="op", tag="stats"):
    """Tell the counts now."""


class Sync(msgspec.Struct, frozen=True, tag_field="op", tag="sync"):
    """Tell the counts once everything that was sent before this question has been read."""


class Fib(msgspec.Struct, frozen=True, tag_field="op", tag="fib"):
    """Tell the changes of FIBs after ``after_ns``, of one prefix or (None) of all."""

    prefix: Prefix | None = None
    after_ns: int = 0


class Shot(msgspec.Struct, frozen=True):
    """One probe from a node to ``address``: an ICMP echo, or a TCP SYN to ``port``.

    It leaves by ``interface``, from ``source``, to ``next_hop`` on that link, whatever the node's routes say.
    Sent up to ``attempts`` times, each ``wait_s`` seconds.
    """

    node: str
    address: str
    interface: str
    source: str
    next_hop: str
    port: int | None = None
    hops: int = 64
    attempts: int = 3
    wait_s: float = 0.4


class Probe(msgspec.Struct, frozen=True, tag_field="op", tag="probe"):
    """Send probes, all at once, and tell what became of each."""

    shots: tuple[Shot, ...]


class WayAsked(msgspec.Struct, frozen=True):
    """How does this node's kernel route packets to ``address``?"""

    node: str
    address: str


class Ways(msgspec.Struct, frozen=True, tag_field="op", tag="ways"):
    """Tell how nodes' kernels route."""

    asked: tuple[WayAsked, ...]


Request = Subscribe | Stats | Sync | Fib | Probe | Ways


class Events(msgspec.Struct, frozen=True, tag_field="kind", tag="events"):
    """Some events, in order."""

    events: list[Event]


class RawEvents(msgspec.Struct, frozen=True, tag_field="kind", tag="events"):
    """:class:`Events` as the server sends it: each event encoded once, when it was captured."""

    events: list[msgspec.Raw]


class StatsAnswer(msgspec.Struct, frozen=True, tag_field="kind", tag="stats"):
    """The answer to ``stats``."""

    stats: CaptureStats


class SyncAnswer(msgspec.Struct, frozen=True, tag_field="kind", tag="sync"):
    """The answer to ``sync``."""

    stats: CaptureStats


class FibAnswer(msgspec.Struct, frozen=True, tag_field="kind", tag="fib"):
    """The answer to ``fib``; ``lost``: how often changes were lost, anywhere."""

    changes: list[FibChange]
    lost: int


class ProbeResult(msgspec.Struct, frozen=True):
    """What became of one probe; ``by``: the address that answered, ``microseconds`` after it was sent."""

    fate: Fate
    by: str = ""
    why: str = ""
    microseconds: int = 0


class ProbeAnswer(msgspec.Struct, frozen=True, tag_field="kind", tag="probe"):
    """The answer to ``probe``, in the order of the shots."""

    results: tuple[ProbeResult, ...]


class WayTold(msgspec.Struct, frozen=True):
    """By which interfaces, to which gateways (None: on that link itself); ``why``: there is no route.

    Neither: the node keeps the packets, or drops them.
    """

    hops: tuple[tuple[str, str | None], ...] = ()
    why: str = ""


class WaysAnswer(msgspec.Struct, frozen=True, tag_field="kind", tag="ways"):
    """The answer to ``ways``, in the order of what was asked."""

    ways: tuple[WayTold, ...]


class LetGo(msgspec.Struct, frozen=True, tag_field="kind", tag="let-go"):
    """Events that were asked for and are no longer kept: the stream goes on ``count`` events later."""

    count: int


class Refused(msgspec.Struct, frozen=True, tag_field="kind", tag="refused"):
    """Why the connection ends; ``behind``: the reader was too slow."""

    reason: str
    behind: bool = False


Answer = Events | StatsAnswer | SyncAnswer | FibAnswer | ProbeAnswer | WaysAnswer | LetGo | Refused

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def encode_frame(message: Request | Answer | RawEvents) -> bytes:
    """Return a message as one frame."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


def decode_request(body: bytes) -> Request:
    """Return a frame's body as a request; raises :class:`CaptureGarbledError`."""
    try:
        return _requests.decode(body)
    except msgspec.MsgspecError as error:
        raise CaptureGarbledError(f"this is no request of the capture's protocol: {error}") from error


def decode_answer(body: bytes) -> Answer:
    """Return a frame's body as an answer; raises :class:`CaptureGarbledError`."""
    try:
        return _answers.decode(body)
    except msgspec.MsgspecError as error:
        raise CaptureGarbledError(f"this is no answer of the capture's protocol: {error}") from error


class FrameBuffer:
    """Cuts received bytes into frames' bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the bodies that are whole; raises :class:`CaptureGarbledError`."""
        self._buffer += data
        bodies, at = [], 0
        while len(self._buffer) - at >= 4:
            length = int.from_bytes(self._buffer[at : at + 4], "big")
            if length > FRAME_LIMIT:
                raise CaptureGarbledError(f"a frame of {length} bytes is longer than {FRAME_LIMIT}")
            if len(self._buffer) - at - 4 < length:
                break
            bodies.append(bytes(self._buffer[at + 4 : at + 4 + length]))
            at += 4 + length
        del self._buffer[:at]
        return bodies
