"""How services of accounts fare that others changed lately, beside unchanged ones (pure): SAFETY.md, 4.

A few prefixes of each are probed, along the routes that lead to them. No data says nothing: neither an
observer that reaches nobody, nor probes that could not be sent, nor one side of the comparison alone. What
fails must fail at two looks: a route may be on its way at one of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

import msgspec

from controller.bgp import Prefix
from controller.observe.evidence import Probed
from controller.safety.breaker import Exceeded
from controller.safety.observed import LATELY_S, Sample, worse_off
from controller.safety.policy import Policy
from controller.safety.windows import Ledger

PROBED = 12
"""Prefixes that are probed of changed accounts, and as many of others."""


class Chosen(msgspec.Struct, frozen=True):
    """What is to be probed, where it is wanted and bound; ``changed`` accounts lost something unasked."""

    prefixes: tuple[Prefix, ...]
    changed: frozenset[str]


class Faring(msgspec.Struct, frozen=True):
    """``failing``: accounts that failed at the last look; ``told``: those of whom the breaker knows."""

    failing: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()

    def looked(
        self,
        probes: Iterable[Probed],
        whose: Mapping[Prefix, str],
        changed: frozenset[str],
        ledger: Ledger,
        *,
        policy: Policy,
        now: float,
    ) -> tuple[Faring, Exceeded | None]:
        """Return this with what probes met, and what it opens; ``whose``: the account of each prefix."""
        answers = _answers(probes, whose)
        failing = frozenset(a for a, told in answers.items() if 2 * sum(told) < len(told))
        twice = failing & self.failing
        mine = answers.keys() & changed
        others = answers.keys() - changed
        signal = worse_off(
            Sample(len(twice & mine), len(mine)),
            Sample(len(failing & others), len(others)),
            twice & mine,
            ledger,
            policy=policy,
            now=now,
        )
        if signal is None or twice & mine <= self.told:
            return Faring(failing, self.told & failing), None
        return Faring(failing, (self.told & failing) | (twice & mine)), signal


def chosen(ledger: Ledger, seen: Collection[Prefix], now: float) -> Chosen:
    """Return what is to be probed: of accounts from which others took something of late, and of others.

    ``seen``: prefixes that observers know. What owners did themselves is theirs to judge. Nothing is probed
    when there is nobody to be compared.
    """
    begin = max(now, ledger.now) - LATELY_S
    entries = [e for e in ledger.entries if e.at > begin and e.outcome != "held"]
    mine = {e.prefix: e.account_id for e in entries if not e.owned}
    if not mine:
        return Chosen((), frozenset())
    others = frozenset(seen) - {e.prefix for e in entries}
    return Chosen((*_some(mine), *_some(others)), frozenset(mine.values()))


def _answers(probes: Iterable[Probed], whose: Mapping[Prefix, str]) -> dict[str, list[bool]]:
    """Return, by account, whether each observer was answered; one that reaches nobody tells nothing."""
    known = [p for p in probes if p.led != "unsent" and p.prefix in whose]
    telling = {p.observer for p in known if p.led == "answered"}
    found: dict[str, dict[tuple[str, Prefix], bool]] = {}
    for probe in known:
        if probe.observer in telling:
            # An observer probes a prefix once for each site, along the same way.
            each = found.setdefault(whose[probe.prefix], {})
            each[probe.observer, probe.prefix] = probe.led == "answered"
    return {account: list(each.values()) for account, each in found.items()}


def _some(prefixes: Iterable[Prefix]) -> list[Prefix]:
    """Return a few, the same ones whoever asks."""
    return sorted(prefixes, key=lambda p: hashlib.sha256(p.encode()).digest())[:PROBED]
