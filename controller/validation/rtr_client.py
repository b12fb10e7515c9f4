"""The router's side of the RPKI-to-Router protocol as a state machine (pure; RFC 8210, 6810).

Octets and the time (monotonic seconds) go in; what happened and what is to be sent comes out. It speaks
version 1, and version 0 to a cache that has no other. The whole behaviour is :data:`TABLE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from controller.validation import rtr_pdu as pdu
from controller.validation.errors import RtrError
from controller.validation.vrps import Vrp

MOST_VRPS = 5_000_000
"""VRPs of a set that is taken; ten times what there is, so that no cache gone wild fills the memory."""

REFRESH, RETRY, EXPIRE = (1, 86_400, 3600), (1, 7200, 600), (600, 172_800, 7200)
"""Least, most and default seconds of the three intervals (RFC 8210, 6)."""


class State(Enum):
    """Where a connection is."""

    CLOSED = "closed"
    ASKED = "asked"  # a query was sent
    RECEIVING = "receiving"  # Cache Response came, End of Data did not
    SYNCED = "synced"  # all is known, until the cache notifies or the refresh interval ends


class Input(Enum):
    """What can come."""

    NOTIFY = "serial notify"
    RESPONSE = "cache response"
    PREFIX = "prefix"
    ROUTER_KEY = "router key"
    END = "end of data"
    RESET = "cache reset"
    REPORT = "error report"
    QUERY = "query"  # which only routers send
    REFRESH = "refresh interval ended"


class Act(Enum):
    """What is done about it."""

    BEGIN = "begin a new set"
    CHANGE = "change the new set"
    COMMIT = "make the new set the set"
    ASK = "ask for changes"
    ASK_ALL = "ask for all"
    LATER = "ask once this is received"
    PASS = "nothing"
    FAIL = "report a protocol error and close"
    REPORTED = "close, or speak version 0"


_S, _I, _A = State, Input, Act

TABLE: dict[tuple[State, Input], tuple[Act, State]] = {
    (_S.ASKED, _I.NOTIFY): (_A.PASS, _S.ASKED),  # RFC 8210, 5.2: before the first answer it means nothing
    (_S.ASKED, _I.RESPONSE): (_A.BEGIN, _S.RECEIVING),
    (_S.ASKED, _I.PREFIX): (_A.FAIL, _S.CLOSED),
    (_S.ASKED, _I.ROUTER_KEY): (_A.FAIL, _S.CLOSED),
    (_S.ASKED, _I.END): (_A.FAIL, _S.CLOSED),
    (_S.ASKED, _I.RESET): (_A.ASK_ALL, _S.ASKED),
    (_S.ASKED, _I.REPORT): (_A.REPORTED, _S.CLOSED),
    (_S.ASKED, _I.QUERY): (_A.FAIL, _S.CLOSED),
    (_S.ASKED, _I.REFRESH): (_A.PASS, _S.ASKED),
    (_S.RECEIVING, _I.NOTIFY): (_A.LATER, _S.RECEIVING),
    (_S.RECEIVING, _I.RESPONSE): (_A.FAIL, _S.CLOSED),
    (_S.RECEIVING, _I.PREFIX): (_A.CHANGE, _S.RECEIVING),
    (_S.RECEIVING, _I.ROUTER_KEY): (_A.PASS, _S.RECEIVING),
    (_S.RECEIVING, _I.END): (_A.COMMIT, _S.SYNCED),
    (_S.RECEIVING, _I.RESET): (_A.FAIL, _S.CLOSED),
    (_S.RECEIVING, _I.REPORT): (_A.REPORTED, _S.CLOSED),
    (_S.RECEIVING, _I.QUERY): (_A.FAIL, _S.CLOSED),
    (_S.RECEIVING, _I.REFRESH): (_A.PASS, _S.RECEIVING),
    (_S.SYNCED, _I.NOTIFY): (_A.ASK, _S.ASKED),
    (_S.SYNCED, _I.RESPONSE): (_A.FAIL, _S.CLOSED),
    (_S.SYNCED, _I.PREFIX): (_A.FAIL, _S.CLOSED),
    (_S.SYNCED, _I.ROUTER_KEY): (_A.FAIL, _S.CLOSED),
    (_S.SYNCED, _I.END): (_A.FAIL, _S.CLOSED),
    (_S.SYNCED, _I.RESET): (_A.FAIL, _S.CLOSED),
    (_S.SYNCED, _I.REPORT): (_A.REPORTED, _S.CLOSED),
    (_S.SYNCED, _I.QUERY): (_A.FAIL, _S.CLOSED),
    (_S.SYNCED, _I.REFRESH): (_A.ASK, _S.ASKED),
}

INPUTS: dict[type, Input] = {
    pdu.SerialNotify: Input.NOTIFY,
    pdu.CacheResponse: Input.RESPONSE,
    pdu.PrefixPdu: Input.PREFIX,
    pdu.RouterKey: Input.ROUTER_KEY,
    pdu.EndOfData: Input.END,
    pdu.CacheReset: Input.RESET,
    pdu.ErrorReport: Input.REPORT,
    pdu.SerialQuery: Input.QUERY,
    pdu.ResetQuery: Input.QUERY,
}


@dataclass(frozen=True, slots=True)
class Send:
    """These octets are to be sent."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Synced:
    """The cache's set is now this one."""

    vrps: frozenset[Vrp]
    session: int
    serial: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is of no more use. ``at_once``: connect again now, to speak version 0."""

    reason: str
    at_once: bool = False


Output = Send | Synced | Closed


@dataclass(frozen=True, slots=True)
class Timing:
    """``answer_s``: seconds to wait for octets of an answer; ``expire_s``: a ceiling of our own."""

    answer_s: float = 30.0
    expire_s: float | None = None


class RtrClient:
    """One cache, over all connections to it; what was synced outlives a connection until it expires."""

    def __init__(self, timing: Timing | None = None) -> None:
        self._timing = timing or Timing()
        self.state = State.CLOSED
        self.version = 1
        self.session: int | None = None
        self.serial = 0
        self.vrps: frozenset[Vrp] = frozenset()
        self.expires_at: float | None = None
        self.retry_s: float = RETRY[2]
        self._refresh_at: float | None = None
        self._silent_at: float | None = None
        self._buffer = bytearray()
        self._pending: set[Vrp] = set()
        self._all = False
        self._negotiated = False
        self._noted = False

    def fresh(self, now: float) -> bool:
        """Whether what was synced may still be used."""
        return self.expires_at is not None and now < self.expires_at

    @property
    def _open(self) -> bool:
        return self.state is not State.CLOSED

    def deadline(self) -> float | None:
        """Return when :meth:`tick` is to be called next; None: only when something came."""
        return {State.CLOSED: None, State.SYNCED: self._refresh_at}.get(self.state, self._silent_at)

    def connected(self, now: float) -> list[Output]:
        """Return the first query on a new connection."""
        self._buffer.clear()
        self._negotiated = self._noted = False
        self.state = State.ASKED
        if not self.fresh(now):
            self.session = None
        return self._ask(now)

    def disconnected(self) -> None:
        """Note that the connection is gone; what was synced stays until it expires."""
        if self.state is not State.SYNCED and not self._negotiated:
            self.version = 1  # whoever made us speak version 0 may speak version 1 by now
        self.state = State.CLOSED
        self._pending = set()

    def received(self, data: bytes, now: float) -> list[Output]:
        """Return what follows from octets that came; never raises for any octets."""
        if not self._open:
            return []
        self._buffer += data
        self._silent_at = now + self._timing.answer_s
        outputs: list[Output] = []
        raw = b""
        try:
            while self._open and (next_ := pdu.split(self._buffer)) is not None:
                raw = next_
                del self._buffer[: len(raw)]
                outputs += self._take(pdu.decode(raw), now)
                raw = b""
        except RtrError as error:
            outputs += self._fail(error, raw or bytes(self._buffer[:64]))
        return outputs

    def tick(self, now: float) -> list[Output]:
        """Return what follows from the time alone."""
        due = self.deadline()
        if due is None or now < due:
            return []
        if self.state is State.SYNCED:
            return self._do(*TABLE[State.SYNCED, Input.REFRESH], None, now)
        self.state = State.CLOSED
        return [Closed(f"no answer within {self._timing.answer_s:g} s")]

    # -- one PDU ------------------------------------------------------------------------------------------
    def _take(self, got: pdu.Pdu, now: float) -> list[Output]:
        kind = INPUTS[type(got)]
        if kind is not Input.REPORT and not (kind is Input.NOTIFY and not self._negotiated):
            self._agree(got.version)
        act, after = TABLE[self.state, kind]
        return self._do(act, after, got, now)

    def _agree(self, version: int) -> None:
        """Take the version of the first answer, if it is not above ours, for the whole connection."""
        if version == self.version:
            self._negotiated = True
        elif not self._negotiated and version < self.version and self._all:
            self.version, self._negotiated = version, True
        else:
            raise RtrError(
                f"a PDU of version {version} on a connection of version {self.version}",
                pdu.UNEXPECTED_VERSION,
            )

    def _do(self, act: Act, after: State, got: pdu.Pdu | None, now: float) -> list[Output]:
        if act is Act.FAIL:
            raise RtrError(f"{INPUTS[type(got)].value} while {self.state.value}")
        self.state = after
        match act, got:
            case Act.BEGIN, pdu.CacheResponse():
                self._begin(got)
            case Act.CHANGE, pdu.PrefixPdu():
                self._change(got)
            case Act.COMMIT, pdu.EndOfData():
                return self._commit(got, now)
            case Act.ASK, pdu.SerialNotify() if (got.session, got.serial) == (self.session, self.serial):
                self.state = State.SYNCED  # nothing new
            case Act.ASK, _:
                if isinstance(got, pdu.SerialNotify) and got.session != self.session:
                    self.session = None
                return self._ask(now)
            case Act.ASK_ALL, _:
                if self._all:
                    raise RtrError("cache reset in answer to a reset query")
                self.session = None
                return self._ask(now)
            case Act.LATER, _:
                self._noted = True
            case Act.REPORTED, pdu.ErrorReport():
                return [self._reported(got)]
            case _:
                pass
        return []

    def _ask(self, now: float) -> list[Output]:
        self._silent_at = now + self._timing.answer_s
        self._all = self.session is None
        if self.session is None:
            return [Send(pdu.encode(pdu.ResetQuery(self.version)))]
        return [Send(pdu.encode(pdu.SerialQuery(self.version, self.session, self.serial)))]

    def _begin(self, got: pdu.CacheResponse) -> None:
        if self._all:
            self.session, self._pending = got.session, set()
        elif got.session != self.session:
            self.session = None
            raise RtrError(f"the session changed to {got.session} in answer to a serial query")
        else:
            self._pending = set(self.vrps)

    def _change(self, got: pdu.PrefixPdu) -> None:
        if got.announce:
            if got.vrp in self._pending:
                raise RtrError(f"{got.vrp.evidence()} is announced twice", pdu.DUPLICATE)
            if len(self._pending) >= MOST_VRPS:
                raise RtrError(f"more than {MOST_VRPS} VRPs")
            self._pending.add(got.vrp)
        elif got.vrp in self._pending:
            self._pending.remove(got.vrp)
        else:
            raise RtrError(f"{got.vrp.evidence()} is withdrawn and unknown", pdu.UNKNOWN_WITHDRAWAL)

    def _commit(self, got: pdu.EndOfData, now: float) -> list[Output]:
        if got.session != self.session:
            raise RtrError(f"End of Data of session {got.session} in session {self.session}")
        self.vrps, self.serial, self._pending = frozenset(self._pending), got.serial, set()
        refresh, retry, expire = got.intervals or (REFRESH[2], RETRY[2], EXPIRE[2])
        self.retry_s = _within(retry, RETRY)
        lasts: float = _within(expire, EXPIRE)
        if self._timing.expire_s is not None:
            lasts = min(lasts, self._timing.expire_s)
        # A set is to be refreshed well before it expires, however short our own ceiling is.
        self._refresh_at = now + min(_within(refresh, REFRESH), lasts / 2)
        self.expires_at = now + lasts
        outputs: list[Output] = [Synced(self.vrps, got.session, got.serial)]
        if self._noted:
            self._noted, self.state = False, State.ASKED
            outputs += self._ask(now)
        return outputs

    def _reported(self, got: pdu.ErrorReport) -> Closed:
        """Speak version 0 next to a cache that says that it has no other (RFC 8210, 7)."""
        if got.code == pdu.UNSUPPORTED_VERSION and self.version == 1 and not self._negotiated:
            self.version, self.session, self._negotiated = 0, None, True
            return Closed("the cache does not speak version 1", at_once=True)
        if got.code in (pdu.CORRUPT, pdu.UNKNOWN_WITHDRAWAL, pdu.DUPLICATE):
            self.session = None
        said = f" ({got.text})" if got.text else ""
        return Closed(f"the cache reports: {got.name}{said}")

    def _fail(self, error: RtrError, about: bytes) -> list[Output]:
        """Report to the cache what was wrong, except about a report (RFC 8210, 5.11), and start anew."""
        self.state, self.session = State.CLOSED, None
        closed = Closed(str(error))
        if len(about) > 1 and about[1] == pdu.ERROR_REPORT:
            return [closed]
        return [Send(pdu.encode(pdu.ErrorReport(self.version, error.code, about, str(error)))), closed]


def _within(value: int, limits: tuple[int, int, int]) -> int:
    """Return the interval within what the protocol allows (RFC 8210, 6)."""
    return min(max(value, limits[0]), limits[1])
