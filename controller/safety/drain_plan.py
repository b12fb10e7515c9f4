"""What of a site may be drained, prefix by prefix (pure; SAFETY.md, 5).

A prefix goes when it is to be announced at the site, is observed at enough other sites that are not drained,
and is neither locked nor frozen. What is not so stays, with why. The lane's own check has the last word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from controller.bgp import Prefix, prefix_key
from controller.safety import checks
from controller.safety.candidate import Candidate, Context, Numbers
from controller.safety.drain import VERBS, Strategy
from controller.safety.effects import Effect
from controller.safety.freeze import Freeze, frozen
from controller.safety.policy import Policy
from controller.safety.verdict import Finding
from controller.safety.windows import Ledger


@dataclass(frozen=True, slots=True)
class AtSite:
    """A BGP prefix that is to be announced at the site. ``sites``: all at which it is to be announced."""

    account_id: str
    cidr: Prefix
    sites: frozenset[str]
    locked: bool = False


class Stay(msgspec.Struct, frozen=True):
    """A prefix that a drain leaves where it is. ``seen_at``: the other sites that it is observed at."""

    account_id: str
    cidr: Prefix
    seen_at: tuple[str, ...]
    why: str


class Plan(msgspec.Struct, frozen=True):
    """What a drain would do. It is refused as a whole while there are ``findings``."""

    goes: tuple[Prefix, ...]
    stays: tuple[Stay, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What a plan depends on beside the prefixes.

    ``seen``: at which sites each prefix is observed; ``drained``: the sites that are drained now. ``actor``:
    ``ROLE:ID``; ``now``: seconds since the epoch, for freezes. ``capacity_confirmed``: somebody says that the
    other sites can carry the traffic. Nothing here measures that.
    """

    site: str
    strategy: Strategy
    seen: Mapping[Prefix, Collection[str]]
    drained: Collection[str]
    freezes: Sequence[Freeze]
    actor: str
    now: float
    capacity_confirmed: bool
    policy: Policy


def plan(asked: Question, at_site: Iterable[AtSite]) -> Plan:
    """Return what may go and what stays, prefix by prefix; and what speaks against the drain as a whole."""
    least = asked.policy.lanes.drain_elsewhere
    out = {asked.site, *asked.drained}
    goes: list[AtSite] = []
    stays: list[Stay] = []
    seen_at: dict[Prefix, tuple[str, ...]] = {}
    for one in sorted(at_site, key=lambda a: prefix_key(a.cidr)):
        seen = tuple(sorted((set(asked.seen.get(one.cidr, ())) & one.sites) - out))
        seen_at[one.cidr] = seen
        why = _why_stays(asked, one, seen, least)
        if why:
            stays.append(Stay(one.account_id, one.cidr, seen, why))
        else:
            goes.append(one)
    return Plan(tuple(a.cidr for a in goes), tuple(stays), tuple(_findings(asked, goes, seen_at)))


def _why_stays(asked: Question, one: AtSite, seen: Sequence[str], least: int) -> str:
    if one.locked:
        return "its owner has put a withdrawal lock on it"
    if len(seen) < least:
        where = ", ".join(seen) or "none"
        return f"it is observed at {len(seen)} other undrained sites ({where}), and must be at {least}"
    held = frozen(asked.freezes, [_effect(asked, one)], asked.actor, one.account_id, asked.now, owner=False)
    return "" if held is None else held.says


def _effect(asked: Question, one: AtSite) -> Effect:
    return Effect(asked.site, one.cidr, VERBS[asked.strategy])


def _findings(
    asked: Question, goes: Sequence[AtSite], seen_at: Mapping[Prefix, Sequence[str]]
) -> Iterable[Finding]:
    """Return what the lane's own check says, and what else forbids the whole."""
    if not goes:
        yield Finding("drain", f"nothing that {asked.site} announces may go now: see why each prefix stays")
    if not asked.capacity_confirmed:
        yield Finding(
            "capacity",
            "nothing here measures capacity: look whether the other sites can carry the traffic, and say so "
            "(--capacity-confirmed)",
        )
    context = Context(
        policy=asked.policy,
        actor=asked.actor,
        owner=False,
        account_id="",
        numbers=Numbers(0, 0),
        ledger=Ledger(asked.policy),
        now=asked.now,
        lane="drain",
        seen_at={cidr: len(seen) for cidr, seen in seen_at.items()},
        drains=frozenset(asked.drained) - {asked.site},
    )
    yield from checks.drain(Candidate([_effect(asked, one) for one in goes], context))
