"""When machines say for long enough that nothing is bound, so that a route might go for that (pure).

The asymmetric quorums of SAFETY.md, 7. A route whose announce quorum is lost stays (``degraded-held``). Only
when the withdraw quorum positively reports its bindings absent, without a break for a time, is a withdrawal
*wished*; the guard (:mod:`controller.agent.guard`) decides on that, and never before the controller has said
that no other sites wish the same (guards.md, 5). What went comes back once the announce quorum has held for a
time, so that machines that flap do not flap routes. Silence counts for neither quorum, and ends nothing that
is out. All of it begins anew with the agent: a restart forgets wishes, and announces by the quorum alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.agent.policy import AgentPolicy, quorum, withdraw_quorum
from controller.agent.reconcile import Facts, MachineFacts
from controller.bgp import Prefix
from controller.snapshots.projection import SiteBinding


@dataclass(frozen=True, slots=True)
class Counts:
    """Of ``live`` machines so many serve all that a route stands on, or report all of it absent; and the
    quorums."""

    live: int
    holding: int
    announce: int
    absent: int
    withdraw: int

    @property
    def gone(self) -> bool:
        """Whether the withdraw quorum reports it absent."""
        return self.absent >= self.withdraw

    @property
    def held(self) -> bool:
        """Whether the announce quorum holds it."""
        return bool(self.live) and self.holding >= self.announce

    @property
    def says(self) -> str:
        """Say it in one line, with the numbers."""
        return (
            f"{self.absent} of {self.live} live machines report its bindings absent ({self.withdraw} must "
            f"for a withdrawal), {self.holding} serve them ({self.announce} must for an announcement)"
        )


@dataclass(frozen=True, slots=True)
class Health:
    """``absent_since``: since when the withdraw quorum has reported prefixes absent without a break, in
    seconds of a monotonic clock. ``out``: those withdrawn for it, each with the time since which the announce
    quorum holds again (None: it does not)."""

    absent_since: Mapping[Prefix, float] = field(default_factory=dict)
    out: Mapping[Prefix, float | None] = field(default_factory=dict)

    def seen(self, counts: Mapping[Prefix, Counts], now: float, policy: AgentPolicy) -> Health:
        """Return this after a look at the machines (:func:`count`); what is over is forgotten."""
        if not policy.health_withdrawal:
            return Health()
        out: dict[Prefix, float | None] = {}
        for prefix, held_since in self.out.items():
            found = counts.get(prefix)
            if found is None:
                continue  # it is not desired any more
            if not found.held:
                out[prefix] = None
                continue
            since = now if held_since is None else held_since
            if now - since < policy.return_after_s:
                out[prefix] = since
        absent_since = {
            prefix: self.absent_since.get(prefix, now)
            for prefix, found in counts.items()
            if found.gone and prefix not in out
        }
        return Health(absent_since, out)

    def wished(self, now: float, policy: AgentPolicy) -> frozenset[Prefix]:
        """Return the prefixes that have been reported absent for long enough."""
        return frozenset(p for p, at in self.absent_since.items() if now - at >= policy.withdraw_after_s)

    def went(self, prefixes: frozenset[Prefix]) -> Health:
        """Return this once ``prefixes`` have been let go."""
        absent_since = {p: at for p, at in self.absent_since.items() if p not in prefixes}
        return Health(absent_since, {**self.out, **dict.fromkeys(prefixes)})

    def wait_s(self, now: float, policy: AgentPolicy) -> float | None:
        """Return after how many seconds something changes by itself; None: nothing does."""
        due = [at + policy.withdraw_after_s - now for at in self.absent_since.values()]
        due += [at + policy.return_after_s - now for at in self.out.values() if at is not None]
        return min((d for d in due if d > 0), default=None)


def count(facts: Facts, watched: frozenset[Prefix]) -> dict[Prefix, Counts]:
    """Count for each desired route of which something is reported absent, and for those ``watched``.

    A machine reports a route's bindings absent when it says so of each of them, or when what it said it holds
    has nothing for any; one that does not answer reports nothing.
    """
    live = [m for m in facts.machines if m.live]
    absent = {m.name: _absent_at(m, facts.desired.bindings) for m in live}
    of_interest = frozenset().union(*absent.values())
    if not of_interest and not watched:
        return {}
    found: dict[Prefix, Counts] = {}
    for route in facts.desired.routes:
        needs = facts.desired.needs.get(route.prefix)
        cidrs = frozenset(b.cidr for b in needs or ())
        if needs and (route.prefix in watched or cidrs & of_interest):
            found[route.prefix] = Counts(
                len(live),
                sum(m.serves(needs) for m in live),
                quorum(len(live), facts.policy),
                sum(cidrs <= absent[m.name] for m in live),
                withdraw_quorum(len(live), len(facts.machines), facts.policy),
            )
    return found


def _absent_at(machine: MachineFacts, bindings: frozenset[SiteBinding]) -> frozenset[Prefix]:
    """Return the prefixes of ``bindings`` that a live machine positively does not serve."""
    if not machine.known or bindings <= machine.held:
        return machine.absent
    return machine.absent | ({b.cidr for b in bindings} - {b.cidr for b in machine.held})
