"""Signals beside the counts of changes that open the breaker (pure): SAFETY.md, 4.

What was observed, whatever caused it: prefixes that fall out of sight though nobody asked for it, services
of changed accounts that fare worse than those of unchanged ones, health withdrawals that a quorum of sites
want at once, a source that shrank. Each is an event for :func:`controller.safety.breaker.step`, or None; each
names the smallest scope that explains it: who did, of late, what the harm can come from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from controller.bgp import Prefix
from controller.safety.breaker import Exceeded, Opening
from controller.safety.correlated import Correlation
from controller.safety.policy import Policy
from controller.safety.windows import (
    FLEET,
    Entry,
    Ledger,
    account_scope,
    actor_scope,
    class_scope,
    too_many,
)

LATELY_S = 3600.0
"""Changes of so long ago may be what harm that is observed now comes from."""


class Fallen(msgspec.Struct, frozen=True):
    """Prefixes that observers saw ``seconds`` ago and see no more, of so many that they saw.

    Only those that are to be announced; ``accounts``: whose each one is.
    """

    prefixes: frozenset[Prefix]
    of: int
    seconds: float
    accounts: Mapping[Prefix, str] = {}


class Sample(msgspec.Struct, frozen=True):
    """So many accounts of ``of`` have services that fail."""

    failing: int
    of: int

    @property
    def share(self) -> float:
        """The failing share; of none, none fails."""
        return self.failing / self.of if self.of else 0.0


def falling(fallen: Fallen, ledger: Ledger, policy: Policy, now: float) -> Exceeded | None:
    """Return what falling visibility opens.

    A window of the policy judges what fell within its own time or less: a fall within a longer time says
    nothing about a shorter one. What was taken away by its owners is no harm, even while it is still wanted
    somewhere.
    """
    entries = _lately(ledger, now)
    owned = {e.prefix for e in entries if e.owned and e.outcome == "admitted"}
    lost = fallen.prefixes - owned
    for window in policy.signals.visibility:
        if fallen.seconds <= window.seconds and too_many(len(lost), window, fallen.of, policy.breaker.floor):
            said = (
                f"{len(lost)} of {fallen.of} prefixes have gone from the sight of independent observers "
                f"within {fallen.seconds:.0f} s, and nobody asked for it: look at what changed last"
            )
            return _signal("visibility", said, lost, accounts=fallen.accounts, entries=entries, now=now)
    return None


def worse_off(
    changed: Sample,
    unchanged: Sample,
    accounts: Collection[str],
    ledger: Ledger,
    *,
    policy: Policy,
    now: float,
) -> Exceeded | None:
    """Return what the health of ``accounts`` (changed lately, and failing) opens.

    Changed accounts are compared with unchanged ones at the same time: what ails all of them has not come
    from the changes. With no unchanged ones there is nothing to compare with, and nothing opens.
    """
    signals = policy.signals
    if not unchanged.of or changed.failing < signals.health_least:
        return None
    if changed.share - unchanged.share <= signals.health_worse:
        return None
    said = (
        f"services of {changed.failing} of {changed.of} accounts that were changed lately fail "
        f"({changed.share:.0%}), and of {unchanged.failing} of {unchanged.of} others "
        f"({unchanged.share:.0%}): look at those changes"
    )
    mine = [e for e in _lately(ledger, now) if e.account_id in accounts]
    whose = {e.prefix: e.account_id for e in mine}
    return _signal(
        "health", said, frozenset(whose), accounts=whose, entries=mine, now=now, concerned=accounts
    )


def correlated(found: Correlation, now: float) -> Exceeded:
    """Return what a quorum of sites opens that want health withdrawals at once: no withdrawal passes."""
    return Exceeded(class_scope("withdraw"), "correlated", found.says, min(found.began, now))


def shrunk(
    source: str, before: int, after: int, *, policy: Policy, now: float, actor: str = ""
) -> Exceeded | None:
    """Return what a ``source`` opens that gives ``after`` things and gave ``before`` (guards.md, 7).

    ``actor``: the one that works by it, ``ROLE:ID``; empty: everybody does.
    """
    if not policy.guards.shrinkage or before <= policy.breaker.floor:
        return None
    if after >= policy.signals.shrunk_to * before:
        return None
    return Exceeded(
        actor_scope(actor) if actor else FLEET,
        "shrinkage",
        f"{source} gives {after} and gave {before} before: that is an error until somebody says otherwise",
        now,
    )


def _lately(ledger: Ledger, now: float) -> list[Entry]:
    begin = max(now, ledger.now) - LATELY_S
    return [e for e in ledger.entries if e.at > begin]


def _signal(
    check: str,
    says: str,
    lost: Collection[Prefix],
    *,
    accounts: Mapping[Prefix, str],
    entries: Iterable[Entry],
    now: float,
    concerned: Collection[str] = (),
) -> Exceeded:
    """Open the smallest scope that explains the loss: its one actor, its one account, or the fleet."""
    causes = [e for e in entries if e.prefix in lost and not e.owned and e.outcome != "held"]
    actors = {e.actor for e in causes}
    whose = {accounts.get(p, "") for p in lost}
    scope = FLEET
    if len(actors) == 1 and {e.prefix for e in causes} >= set(lost):
        scope = actor_scope(next(iter(actors)))
    elif len(whose) == 1 and whose != {""}:
        scope = account_scope(next(iter(whose)))
    told = {*concerned, *(a for a in whose if a)}
    return Exceeded(scope, check, says, min([now, *(e.at for e in causes)]), tuple(sorted(told)))


class Detection(msgspec.Struct, frozen=True):
    """How long it took from the first harm to the first opening, and to each scope's (seconds)."""

    first_harm: float
    first_opened: float
    scopes: dict[str, float]

    @property
    def seconds(self) -> float:
        """From the first harm to the first opening."""
        return max(0.0, self.first_opened - self.first_harm)

    @property
    def says(self) -> str:
        """Say it in one line."""
        each = ", ".join(f"{scope} after {after:.1f} s" for scope, after in self.scopes.items())
        return f"detected {self.seconds:.1f} s after the first harm ({each})"


def detection(openings: Iterable[Opening]) -> Detection | None:
    """Return how long ``openings`` of one incident took, from the earliest harm of all; None: none."""
    found = sorted(openings, key=lambda o: (o.since, o.scope))
    if not found:
        return None
    first = min(o.first_harm for o in found)
    return Detection(first, found[0].since, {o.scope: max(0.0, o.since - first) for o in found})
