"""Wished withdrawals for want of bindings by name: what was granted of them, and what is told of them.

A wish has a name of its own for as long as the machines' report lasts without a break; a grant is for a name,
so one that comes late, or was meant for an earlier time, grants nothing. It is good for :data:`GRANTED_S`:
what the guard holds back for longer asks again. No I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from controller.agent.guard import Wished
from controller.agent.health import Counts, Health
from controller.agent.policy import AgentPolicy
from controller.agent.standing import Standing
from controller.bgp import Prefix, Route
from controller.snapshots.model import Chunk
from controller.transport.messages import HealthGrant, HealthWish, HeldEffect, Outcome

GRANTED_S = 30.0
"""Seconds of the agent's own clock for which a grant is good: without the controller nothing goes."""


class Wishes:
    """``life`` tells this process's wishes from those of an earlier one."""

    def __init__(self, life: str) -> None:
        self._life = life
        self._granted: dict[str, float] = {}
        self._counts: Mapping[Prefix, Counts] = {}
        self.wished: dict[Prefix, str] = {}
        """Names by prefix."""

    def look(
        self, counts: Mapping[Prefix, Counts], health: Health, policy: AgentPolicy, now: float,
        announced: Collection[Route],
    ) -> None:  # fmt: skip
        """Take in what is wished now, of what is announced."""
        due = health.wished(now, policy)
        reach = {r.prefix for r in announced} if due else set()
        self._counts = counts
        self.wished = {p: f"{self._life}.{health.absent_since[p]:.6f}.{p}" for p in sorted(due & reach)}
        names = set(self.wished.values())
        self._granted = {n: until for n, until in self._granted.items() if n in names and until > now}

    def grant(self, grant: HealthGrant, site: str, fence: int, now: float) -> tuple[Outcome, str]:
        """Take in a grant; return what to answer."""
        if grant.site != site:
            return "refused", f"this is site {site}, not {grant.site}"
        if grant.fence < fence:
            return "stale", f"fence {grant.fence} is below {fence}: another controller leads by now"
        fits = set(self.wished.values()) & set(grant.wishes)
        if not fits:
            return "stale", "none of it is wished any more"
        self._granted |= dict.fromkeys(fits, now + GRANTED_S)
        return "accepted", ""

    def due(self, chunks: Mapping[str, Chunk], standing: Mapping[str, Standing]) -> tuple[Wished, ...]:
        """Return what the guard is to judge: an account's own announced prefixes, that do not go already."""
        going = {r.prefix for stands in standing.values() for r in stands.routes}
        return tuple(
            Wished(account_id, bgp.cidr, bgp.sites, self.wished[bgp.cidr] in self._granted)
            for account_id, chunk in sorted(chunks.items())
            for bgp in chunk.bgp_prefixes
            if bgp.advertised and bgp.cidr in self.wished and bgp.cidr not in going
        )

    def report(
        self, health: Health, held: Collection[HeldEffect], policy: AgentPolicy
    ) -> tuple[HealthWish, ...]:
        """Return what the site tells of prefixes that machines report absent, and of those that are out."""
        by = {h.prefix: h for h in held}
        found: list[HealthWish] = []
        for prefix, counts in sorted(self._counts.items()):
            wish, why = "", counts.says
            if prefix in health.out:
                check = "out"
                why = (
                    f"withdrawn here: {why}; it comes back once that has held for {policy.return_after_s:g} s"
                )
            elif not counts.absent:
                continue
            elif not policy.health_withdrawal:
                check = "policy"
                why = f"degraded-held: {why}; this site withdraws nothing for that (health_withdrawal is off)"
            elif not counts.gone:
                check = "quorum"
            elif prefix in by:
                held_by = by[prefix]
                check, why = held_by.check, f"{why}; {held_by.reason}"
                # Only what waits for that, or may be held again when it goes on, is for the controller.
                wish = self.wished[prefix] if check in ("correlated", "budget", "speaker") else ""
            else:
                check = "time"
                why = f"{why}; for {policy.withdraw_after_s:g} s without a break they must"
            found.append(
                HealthWish(
                    prefix, wish, check, why, counts.live, counts.holding, counts.announce, counts.absent,
                    counts.withdraw,
                )
            )  # fmt: skip
        return tuple(found)
