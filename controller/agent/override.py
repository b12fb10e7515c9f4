"""Break-glass: what operators may do at one site with the controller, the store and the API gone (pure).

Two kinds of signed record (:mod:`controller.safety.signed`), by a key that lies with the operators and not
with the controller (SAFETY.md, 3 and 5):

- an :class:`Override` lets go exactly the held effects whose hash it names, once: it gives the agent's nonce,
  which changes with each use;
- an :class:`Emergency` is prepared and signed beforehand: withdraw these prefixes here now, or announce these
  more-specifics of ours. It has a nonce of its own, which is used up, and stays in force until a later one
  lifts it: no command of the controller undoes it.

Errors::

    OverrideRefusedError        it does nothing; the message says which check refused it, and what to do
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeVar

import msgspec

from controller.agent.errors import AgentError
from controller.bgp import Prefix, PrefixError, Route, covers, family_of, parse_prefix
from controller.safety.registry import Index, RegistryEntry
from controller.safety.signed import SignedError, open_signed, sign_record
from controller.snapshots.model import Chunk
from controller.snapshots.projection import SiteBinding, SiteState

OVERRIDE = "herald override 1"
EMERGENCY = "herald emergency 1"

MOST = 100
"""Prefixes of one emergency."""


class Bearing(Protocol):
    """What every record says that a person signed for one site."""

    @property
    def site(self) -> str:
        """The site that it is for."""
        ...

    @property
    def expires_at(self) -> datetime:
        """Until when it may be brought, aware."""
        ...

    @property
    def who(self) -> str:
        """Who signed it."""
        ...

    @property
    def why(self) -> str:
        """For what."""
        ...


R = TypeVar("R", bound=Bearing)


class OverrideRefusedError(AgentError):
    """An override or an emergency is forged, expired, used up, or not for what is held here now."""


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let go what is held at ``site`` and has the hash ``change``, whoever asked. ``expires_at`` is aware."""

    site: str
    change: str
    nonce: str
    expires_at: datetime
    who: str
    why: str


class Emergency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``withdraw`` or ``announce`` ``prefixes`` at ``site``, or ``lift`` what earlier ones did to them.

    ``account_id``: whose prefixes are announced, with ``asn`` as their origin (None: our own); empty for the
    other actions.
    """

    site: str
    action: Literal["withdraw", "announce", "lift"]
    prefixes: tuple[Prefix, ...]
    account_id: str
    asn: int | None
    nonce: str
    expires_at: datetime
    who: str
    why: str


class Announced(msgspec.Struct, frozen=True):
    """A more-specific that an emergency announces, and the bindings that it stands on."""

    account_id: str
    prefix: Prefix
    as_path: tuple[int, ...]
    needs: tuple[SiteBinding, ...]


@dataclass(frozen=True, slots=True)
class Desk:
    """What a record is checked against: ``keys`` (raw), the wall clock, and how long one may hold."""

    site: str
    keys: Collection[bytes]
    now: datetime
    longest_s: float


def sign_override(record: Override, private_key: bytes) -> str:
    """Return the text of an override, signed with a raw Ed25519 key."""
    return sign_record(OVERRIDE, msgspec.json.encode(record), private_key)


def sign_emergency(record: Emergency, private_key: bytes) -> str:
    """Return the text of an emergency, signed with a raw Ed25519 key."""
    return sign_record(EMERGENCY, msgspec.json.encode(record), private_key)


def read_override(text: str, desk: Desk, *, change: str, nonce: str) -> Override:
    """Return the override in ``text`` if it is for the held effects named ``change``, and for this nonce.

    Raises :class:`OverrideRefusedError`.
    """
    record = read_signed(OVERRIDE, text, Override, desk)
    if record.nonce != nonce:
        raise OverrideRefusedError(
            "override refused: it does not name this agent's nonce: it was used already, or made before "
            "another one was; sign it again"
        )
    if record.change != change:
        raise OverrideRefusedError(
            f"override refused: it is for change {record.change[:12]}, and what is held here now is "
            f"{change[:12]}: look at it again (herald site show), and sign that"
        )
    return record


def read_emergency(text: str, desk: Desk, *, used: Collection[str]) -> Emergency:
    """Return the emergency in ``text`` if its nonce is not in ``used``.

    Raises :class:`OverrideRefusedError`.
    """
    record = read_signed(EMERGENCY, text, Emergency, desk, limited=False)
    if record.nonce in used:
        raise OverrideRefusedError("emergency refused: it was carried out already: it works once")
    if not 0 < len(record.prefixes) <= MOST:
        raise OverrideRefusedError(f"emergency refused: it names 1 to {MOST} prefixes")
    for prefix in record.prefixes:
        _check_prefix(prefix)
    return record


def announcements(
    record: Emergency,
    chunk: Chunk | None,
    desired: SiteState,
    local_as: int,
    entry: RegistryEntry | None = None,
) -> tuple[Announced, ...]:
    """Return the routes that an emergency announces; raises :class:`OverrideRefusedError`.

    Each must lie in a prefix that ``chunk``, the account's at this site, has onboarded, have its origin, and
    stand on bindings; what the site is to announce anyhow needs no emergency. ``entry``: the account's in
    the registry, which must cover it; None where none has come, or nothing is checked.
    """
    index = None if entry is None else Index(entry)
    onboarded = () if chunk is None else chunk.prefixes
    wanted = {r.prefix for r in desired.routes}
    made: list[Announced] = []
    for prefix in record.prefixes:
        parents = [p for p in onboarded if covers(p.cidr, prefix)]
        if not parents:
            raise OverrideRefusedError(
                f"emergency refused: {prefix} lies in nothing that account {record.account_id} onboarded here"
            )
        if record.asn is not None and record.asn not in {p.asn for p in parents}:
            raise OverrideRefusedError(f"emergency refused: AS {record.asn} is not the origin of {prefix}")
        why = (
            index.against(prefix, local_as if record.asn is None else record.asn, local_as) if index else None
        )
        if why is not None:
            raise OverrideRefusedError(f"emergency refused: {prefix} is not in the registry: {why}")
        if prefix in wanted:
            raise OverrideRefusedError(f"emergency refused: {prefix} is to be announced here already")
        needs = tuple(sorted(_under(prefix, record.account_id, desired.bindings)))
        if not needs:
            raise OverrideRefusedError(f"emergency refused: nothing is bound to {prefix} here")
        origin = () if record.asn is None else (record.asn,)
        made.append(Announced(record.account_id, prefix, (local_as, *origin), needs))
    return tuple(made)


def _under(prefix: Prefix, account_id: str, bindings: Iterable[SiteBinding]) -> Iterable[SiteBinding]:
    return (
        b
        for b in bindings
        if b.account_id == account_id and (covers(b.cidr, prefix) or covers(prefix, b.cidr))
    )


def with_emergencies(
    state: SiteState, withdrawn: Collection[Prefix], announced: Mapping[Prefix, Announced]
) -> SiteState:
    """Return ``state`` without what emergencies withdrew, and with what they announce."""
    if not withdrawn and not announced:
        return state
    routes = {r.prefix: r for r in state.routes if r.prefix not in withdrawn}
    needs = dict(state.needs)
    bindings = set(state.bindings)
    for prefix, one in announced.items():
        if prefix not in routes and prefix not in withdrawn:
            routes[prefix] = Route(prefix, one.as_path)
            needs[prefix] = frozenset(one.needs)
            bindings.update(one.needs)
    return SiteState(frozenset(routes.values()), frozenset(bindings), needs)


def text_hash(text: str) -> str:
    """Return the name of a record's text, as the journal keeps it."""
    return hashlib.sha256(text.strip().encode()).hexdigest()


def read_signed(domain: str, text: str, kind: type[R], desk: Desk, *, limited: bool = True) -> R:
    """Return the record in ``text``, signed for ``domain`` and for this site, that holds now.

    ``limited``: it may not hold for longer than the desk says. Raises :class:`OverrideRefusedError`.
    """
    what = kind.__name__.lower()
    try:
        record = msgspec.json.decode(open_signed(domain, text, desk.keys), type=kind, strict=True)
    except (SignedError, msgspec.MsgspecError) as error:
        raise OverrideRefusedError(f"{what} refused: {error}") from error
    if record.site != desk.site:
        raise OverrideRefusedError(f"{what} refused: it is for site {record.site}, and this is {desk.site}")
    if record.expires_at.utcoffset() is None or desk.now >= record.expires_at:
        raise OverrideRefusedError(
            f"{what} refused: it expired at {record.expires_at.isoformat()}: sign a new one"
        )
    if limited and record.expires_at - desk.now > timedelta(seconds=desk.longest_s):
        raise OverrideRefusedError(
            f"{what} refused: it holds for longer than {desk.longest_s:g} s, which is the most that one may"
        )
    if not record.who.strip() or not record.why.strip():
        raise OverrideRefusedError(f"{what} refused: it must say who, and why")
    return record


def _check_prefix(prefix: Prefix) -> None:
    try:
        sound = parse_prefix(prefix) == prefix
    except PrefixError:
        sound = False
    length = int(prefix.partition("/")[2]) if sound else 0
    if not sound or not 0 < length <= family_of(prefix).longest:
        raise OverrideRefusedError(
            f"emergency refused: {prefix!r} is no prefix that a site announces: canonical, no default route, "
            "at most /24 (IPv6: /48)"
        )
