"""What is seen from day to day, beside any wave, and when it is a matter for the breaker (pure).

Three things: prefixes that fall out of the sight of independent observers though they are to be announced,
health withdrawals that a quorum of sites want at about the same time, and a store that has shrunk beside what
sites hold. Each is told once: after a fall the count begins anew, so that a breaker which somebody has closed
stays closed unless more falls. And people are told of routes that stay though too few machines serve them,
and of those that a site has withdrawn for that, once it was so at two looks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal

import msgspec

from controller.bgp import Prefix
from controller.observe.evidence import Moment
from controller.observe.visibility import Seen, Visibility
from controller.safety.breaker import Exceeded
from controller.safety.correlated import Wishes, correlation
from controller.safety.observed import Fallen, correlated, falling, shrunk
from controller.safety.policy import Policy
from controller.safety.windows import Ledger
from controller.transport.messages import SiteStatus

DEGRADED = "degraded-held"
"""How an agent begins the reason of a route that stays though its machines say that it is not served."""


Trouble = Literal["degraded", "unserved"]
"""What people are told of; the type of the entry is ``site.`` with this."""


class Outlook(msgspec.Struct, frozen=True):
    """``correlated``: the sites of the correlation that was told last; empty when there is none now.

    ``troubled``: by site and trouble, what was so at the last look; ``told``: what of it people know.
    ``shrunk``: whether it was told that the store has shrunk.
    """

    visibility: Visibility = Visibility()
    wishes: Wishes = Wishes()
    correlated: frozenset[str] = frozenset()
    troubled: dict[tuple[str, Trouble], frozenset[Prefix]] = {}
    told: dict[tuple[str, Trouble], frozenset[Prefix]] = {}
    shrunk: bool = False

    def looked(self, moment: Moment, now: float) -> Outlook:
        """Return this with what was seen at ``now`` (seconds)."""
        return msgspec.structs.replace(self, visibility=self.visibility.take(seen_by(moment, now)))

    def fallen(
        self,
        announced: Callable[[Collection[Prefix]], Mapping[Prefix, str]],
        ledger: Ledger,
        policy: Policy,
        now: float,
    ) -> tuple[Outlook, Exceeded | None]:
        """Return what falling visibility opens; ``announced`` says which prefixes are wanted, and whose."""
        known = self.visibility.known
        for window in policy.signals.visibility:
            fall = self.visibility.fall(known, window.seconds, now)
            if not fall.prefixes:
                continue
            whose = announced(fall.prefixes)
            fallen = Fallen(frozenset(whose), fall.of, fall.seconds, whose)
            found = falling(fallen, ledger, policy, now)
            if found is not None:
                newest = {o: h[-1:] for o, h in self.visibility.seen.items()}
                anew = msgspec.structs.replace(self.visibility, seen=newest)
                return msgspec.structs.replace(self, visibility=anew), found
        return self, None

    def heard(
        self, statuses: Iterable[SiteStatus], sites: int, policy: Policy, now: float, steady: float
    ) -> tuple[Outlook, Exceeded | None]:
        """Take what the sites that answer say; return what correlated health withdrawals open.

        Wishes are counted on a ``steady`` clock: one on the wall (``now``) that jumps is to let none go.
        """
        wishes = self.wishes
        for status in statuses:
            wishes = wishes.heard(status.site, degraded_at(status), steady, policy.correlated)
        found = correlation(wishes, sites, policy.correlated) if policy.guards.correlated else None
        involved = frozenset(found.sites) if found is not None else frozenset()
        new = found is not None and not involved <= self.correlated
        after = msgspec.structs.replace(self, wishes=wishes, correlated=involved)
        if found is None or not new:
            return after, None
        return after, correlated(msgspec.structs.replace(found, began=now - (steady - found.began)), now)

    def worse(
        self, statuses: Iterable[SiteStatus]
    ) -> tuple[Outlook, dict[tuple[str, Trouble], frozenset[Prefix]]]:
        """Take in the troubles of sites that answer; return what people are to be told, by site and trouble.

        A site that does not answer is as it was.
        """
        troubled, told = dict(self.troubled), dict(self.told)
        news: dict[tuple[str, Trouble], frozenset[Prefix]] = {}
        for status in statuses:
            found: dict[Trouble, frozenset[Prefix]] = {
                "degraded": degraded_at(status),
                "unserved": unserved_at(status),
            }
            for trouble, now in found.items():
                key = (status.site, trouble)
                known = told.get(key, frozenset())
                fresh = (now & troubled.get(key, frozenset())) - known
                troubled[key], told[key] = now, (known & now) | fresh
                if fresh:
                    news[key] = fresh
        return msgspec.structs.replace(self, troubled=troubled, told=told), news

    def stored(
        self, held: Mapping[str, tuple[int, int]], policy: Policy, now: float
    ) -> tuple[Outlook, Exceeded | None]:
        """Return what it opens that sites hold so much more than the store ever gave them (SAFETY.md, 12).

        ``held``: of each site, the accounts that it has something of, and how many of those the store knows.
        """
        found = [
            signal
            for site, (before, after) in sorted(held.items())
            if (signal := shrunk(f"the store, beside {site},", before, after, policy=policy, now=now))
            is not None
        ]
        after = msgspec.structs.replace(self, shrunk=bool(found))
        return after, found[0] if found and not self.shrunk else None


def degraded_at(status: SiteStatus) -> frozenset[Prefix]:
    """Return the prefixes that the site announces though too few of its machines serve them."""
    return frozenset(w.prefix for w in status.waiting if w.reason.startswith(DEGRADED))


def unserved_at(status: SiteStatus) -> frozenset[Prefix]:
    """Return the prefixes that the site has withdrawn because its machines report their bindings absent."""
    return frozenset(wish.prefix for wish in status.health if wish.check == "out")


def seen_by(moment: Moment, now: float) -> list[Seen]:
    """Return what each observer holds from our sites.

    One whose sessions are not those of another time is another observer: a session that was lost is no loss
    of the prefixes that came over it.
    """
    told: dict[tuple[str, str], list[str]] = {}
    held: dict[tuple[str, str], set[Prefix]] = {}
    totals: dict[tuple[str, str], dict[str, int]] = {}
    for sight in moment.sights:
        if sight.state == "told":
            key = (sight.kind, sight.observer)
            told.setdefault(key, []).append(f"{sight.site}/{sight.family.value}")
            held.setdefault(key, set()).update(sight.holds)
            totals.setdefault(key, {})[sight.family.value] = sight.total
    return [
        Seen(
            f"{kind} of {observer} from {' '.join(sorted(told[kind, observer]))}",
            now,
            frozenset(prefixes),
            sum(totals[kind, observer].values()),
        )
        for (kind, observer), prefixes in sorted(held.items())
    ]
