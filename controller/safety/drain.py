"""A drain: one site is taken out of use, and everything else stays as it is (pure; SAFETY.md, 5).

It is an overlay at the site's agent: what accounts have, configured and operational, is not touched, so that
lifting it restores exactly what is operational by then. Two operators ask for it
(:mod:`controller.safety.drain_plan` says what of it may go), the intent service signs it (:class:`Drain`),
and every agent is told: the drained site's takes the prefixes off, the others count it for no keeper site.

While it lasts nothing becomes announced at the drained site that is announced at enough others (:func:`off`).

Errors::

    DrainRefusedError       the record is forged, or not by two operators; the message says which
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from controller.bgp import Prefix
from controller.errors import HeraldError
from controller.safety.signed import SignedError, open_signed, sign_record

DOMAIN = "herald drain 1"

Strategy = Literal["prepend", "withdraw"]
"""``prepend``: the site's paths become longer, so that it is used last; ``withdraw``: its routes go."""


VERBS: Mapping[Strategy, Literal["more-prepend", "withdraw"]] = {
    "prepend": "more-prepend",
    "withdraw": "withdraw",
}
"""What each does to a prefix."""


PREPENDS = 3
"""How often a site that is drained by prepending repeats its own AS."""


class DrainRefusedError(HeraldError):
    """This text lets no agent drain anything."""


class Drain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What two operators asked for, signed. ``expires_at`` (aware): by when agents must have it.

    Once an agent has it, it lasts until it is lifted or a later one of the same site takes its place.
    ``goes``: the prefixes that are taken off; ``stays``: those that are not; ordered. ``others``: sites that
    are drained at the same time. ``elsewhere``: at how many other sites a prefix must be announced (K).
    ``asked_by``: the ids of two operators' tokens.
    """

    id: str
    site: str
    strategy: Strategy
    goes: tuple[Prefix, ...]
    stays: tuple[Prefix, ...]
    others: tuple[str, ...]
    elsewhere: int
    asked_by: tuple[str, str]
    expires_at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A drain that agents are to have: its id, site and signed text; ``stays``: what it leaves alone."""

    id: str
    site: str
    text: str
    stays: frozenset[Prefix] = frozenset()


def sign_drain(record: Drain, private_key: bytes) -> str:
    """Return the text of ``record``, signed with a raw Ed25519 key: the intent service's."""
    return sign_record(DOMAIN, msgspec.json.encode(record), private_key)


def read_drain(text: str, public_keys: Iterable[bytes]) -> Drain:
    """Return the drain in ``text`` if one of ``public_keys`` (raw) signed it; whether it holds is not asked.

    Raises :class:`DrainRefusedError`.
    """
    try:
        record = msgspec.json.decode(open_signed(DOMAIN, text, public_keys), type=Drain, strict=True)
    except (SignedError, msgspec.MsgspecError) as error:
        raise DrainRefusedError(f"drain refused: {error}") from error
    if len(set(record.asked_by)) != 2:
        raise DrainRefusedError("drain refused: two different operators must have asked for it")
    if record.expires_at.utcoffset() is None or not record.why.strip():
        raise DrainRefusedError("drain refused: it must say until when it may be brought, and why")
    return record


def longer(path: tuple[int, ...]) -> tuple[int, ...]:
    """Return the path that a drain by prepending makes of ``path``, whose first hop is our own AS."""
    own = path[:1]
    return own * (1 + PREPENDS) + tuple(hop for hop in path if (hop,) != own)


def elsewhere(
    sites: Collection[str] | None, fleet: Collection[str], drained: Collection[str]
) -> frozenset[str]:
    """Return where a prefix with these ``sites`` (None: all) is to be announced, less what is drained."""
    return frozenset(fleet if sites is None else set(sites).intersection(fleet)) - frozenset(drained)


def off(
    desired: Mapping[Prefix, Collection[str] | None],
    goes: AbstractSet[Prefix],
    stays: AbstractSet[Prefix],
    *,
    fleet: Collection[str],
    drained: Collection[str],
    least: int,
) -> frozenset[Prefix]:
    """Return which of the prefixes that are to be announced here (with their sites) the drain takes off.

    What it names goes, and what it says stays does. What came since does not become announced here as long
    as that leaves it announced at ``least`` other sites; ``stays`` is to have what is announced already.
    """
    return frozenset(
        cidr
        for cidr, sites in desired.items()
        if cidr in goes or (cidr not in stays and len(elsewhere(sites, fleet, drained)) >= least)
    )
