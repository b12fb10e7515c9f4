"""The PDUs of the RPKI-to-Router protocol: version 1 (RFC 8210, 5) and version 0 (RFC 6810, 5); pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from controller.validation.errors import RtrError
from controller.validation.vrps import Key, Vrp

HEADER = struct.Struct(">BBHI")
VERSIONS = (0, 1)

SERIAL_NOTIFY, SERIAL_QUERY, RESET_QUERY, CACHE_RESPONSE = 0, 1, 2, 3
IPV4_PREFIX, IPV6_PREFIX, END_OF_DATA, CACHE_RESET, ROUTER_KEY, ERROR_REPORT = 4, 6, 7, 8, 9, 10

CORRUPT, NO_DATA, UNSUPPORTED_VERSION, UNSUPPORTED_TYPE = 0, 2, 4, 5
UNKNOWN_WITHDRAWAL, DUPLICATE, UNEXPECTED_VERSION = 6, 7, 8

ERROR_NAMES = {
    0: "corrupt data", 1: "internal error", 2: "no data available", 3: "invalid request",
    4: "unsupported protocol version", 5: "unsupported PDU type", 6: "withdrawal of unknown record",
    7: "duplicate announcement received", 8: "unexpected protocol version",
}  # fmt: skip

LONGEST = 65_536
"""Octets of the longest PDU that is taken: only error reports and router keys vary, and none needs more."""

FIXED = {
    SERIAL_NOTIFY: 12, SERIAL_QUERY: 12, RESET_QUERY: 8, CACHE_RESPONSE: 8, IPV4_PREFIX: 20, IPV6_PREFIX: 32,
    CACHE_RESET: 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SerialNotify:
    """The cache has something new."""

    version: int
    session: int
    serial: int


@dataclass(frozen=True, slots=True)
class SerialQuery:
    """What has changed since ``serial``?"""

    version: int
    session: int
    serial: int


@dataclass(frozen=True, slots=True)
class ResetQuery:
    """All that there is, please."""

    version: int


@dataclass(frozen=True, slots=True)
class CacheResponse:
    """Payload follows, until End of Data."""

    version: int
    session: int


@dataclass(frozen=True, slots=True)
class PrefixPdu:
    """A VRP that is announced, or withdrawn."""

    version: int
    announce: bool
    vrp: Vrp


@dataclass(frozen=True, slots=True)
class EndOfData:
    """All was sent. The intervals (refresh, retry, expire; seconds) are None in version 0."""

    version: int
    session: int
    serial: int
    intervals: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class CacheReset:
    """The cache cannot tell the difference: ask for all."""

    version: int


@dataclass(frozen=True, slots=True)
class RouterKey:
    """A BGPsec key (version 1), of which Herald makes no use."""

    version: int


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """What the other end could not take; ``about`` is the PDU that it means."""

    version: int
    code: int
    about: bytes
    text: str

    @property
    def name(self) -> str:
        """The code in words."""
        return ERROR_NAMES.get(self.code, f"error {self.code}")


Pdu = (
    SerialNotify
    | SerialQuery
    | ResetQuery
    | CacheResponse
    | PrefixPdu
    | EndOfData
    | CacheReset
    | RouterKey
    | ErrorReport
)


def split(buffer: bytes | bytearray) -> bytes | None:
    """Return the octets of the first whole PDU in ``buffer``, None when more must come.

    Raises :class:`RtrError` when its header cannot be one, so that nobody waits for the rest of rubbish.
    """
    if len(buffer) < HEADER.size:
        return None
    version, kind, _, length = HEADER.unpack_from(buffer)
    if version > 2:  # of version 2 an error report may come, which says that the cache has no other
        raise RtrError(f"a PDU of version {version}, which does not exist", UNSUPPORTED_VERSION)
    if length < HEADER.size or length > LONGEST or FIXED.get(kind, length) != length:
        raise RtrError(f"a PDU of type {kind} that is {length} octets long")
    return None if len(buffer) < length else bytes(buffer[:length])


def decode(raw: bytes) -> Pdu:
    """Return one whole PDU, as :func:`split` gave it; raises :class:`RtrError`."""
    version, kind, field, length = HEADER.unpack_from(raw)
    if length != len(raw):
        raise RtrError(f"a PDU of {len(raw)} octets that says it has {length}")
    if kind == ERROR_REPORT:
        return _error_report(version, field, raw)
    if version not in VERSIONS:
        raise RtrError(f"a PDU of version {version}: this speaks 1 and 0", UNSUPPORTED_VERSION)
    if kind in (IPV4_PREFIX, IPV6_PREFIX):
        return _prefix(version, kind, raw)
    if kind == END_OF_DATA:
        return _end_of_data(version, field, raw)
    if kind == ROUTER_KEY and version == 1 and length >= 32:
        return RouterKey(version)
    if kind in (SERIAL_NOTIFY, SERIAL_QUERY):
        (serial,) = struct.unpack_from(">I", raw, 8)
        return (SerialNotify if kind == SERIAL_NOTIFY else SerialQuery)(version, field, serial)
    return _short(version, kind, field)


def encode(pdu: SerialNotify | SerialQuery | ResetQuery | ErrorReport) -> bytes:
    """Return the octets of what a router sends (and, for tests, of a notification)."""
    if isinstance(pdu, ResetQuery):
        return HEADER.pack(pdu.version, RESET_QUERY, 0, 8)
    if isinstance(pdu, ErrorReport):
        text = pdu.text.encode()[:1000].decode(errors="ignore").encode()
        about = pdu.about[:1000]
        body = struct.pack(">I", len(about)) + about + struct.pack(">I", len(text)) + text
        return HEADER.pack(pdu.version, ERROR_REPORT, pdu.code, 8 + len(body)) + body
    kind = SERIAL_QUERY if isinstance(pdu, SerialQuery) else SERIAL_NOTIFY
    return HEADER.pack(pdu.version, kind, pdu.session, 12) + struct.pack(">I", pdu.serial)


def _short(version: int, kind: int, field: int) -> Pdu:
    if kind == CACHE_RESPONSE:
        return CacheResponse(version, field)
    if kind == CACHE_RESET:
        return CacheReset(version)
    if kind == RESET_QUERY:
        return ResetQuery(version)
    raise RtrError(f"a PDU of type {kind}, which version {version} does not have", UNSUPPORTED_TYPE)


def _prefix(version: int, kind: int, raw: bytes) -> PrefixPdu:
    flags, length, max_length, _ = raw[8:12]
    width = 32 if kind == IPV4_PREFIX else 128
    network = int.from_bytes(raw[12 : 12 + width // 8], "big")
    (asn,) = struct.unpack_from(">I", raw, 12 + width // 8)
    key = Key(4 if width == 32 else 6, network, length)
    if not length <= max_length <= width:
        raise RtrError(f"a prefix of length {length} with the maximum length {max_length}")
    if network & ((1 << (width - length)) - 1):
        raise RtrError(f"{key.prefix} has host bits set")
    return PrefixPdu(version, bool(flags & 1), Vrp(key, max_length, asn))


def _end_of_data(version: int, session: int, raw: bytes) -> EndOfData:
    if len(raw) != (24 if version == 1 else 12):
        raise RtrError(f"an End of Data of version {version} that is {len(raw)} octets long")
    (serial,) = struct.unpack_from(">I", raw, 8)
    intervals = struct.unpack_from(">III", raw, 12) if version == 1 else None
    return EndOfData(version, session, serial, intervals)


def _error_report(version: int, code: int, raw: bytes) -> ErrorReport:
    if len(raw) < 16:
        raise RtrError(f"an error report that is {len(raw)} octets long")
    (about,) = struct.unpack_from(">I", raw, 8)
    if about > len(raw) - 16:
        raise RtrError("an error report whose parts are longer than itself")
    (text,) = struct.unpack_from(">I", raw, 12 + about)
    if 16 + about + text != len(raw):
        raise RtrError("an error report whose parts do not add up to itself")
    said = raw[16 + about :].decode(errors="replace")
    return ErrorReport(version, code, raw[12 : 12 + about], " ".join(said.split())[:200])
