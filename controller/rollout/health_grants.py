"""Which withdrawals for want of bindings the controller grants to sites that wish them (pure): SAFETY.md, 7.

A site cannot know what other sites wish; so it asks, and only the controller's word lets its own guard go on
(guards.md, 5). The controller grants nothing at once: a wish has to have stood alone for the whole window
within which sites count together, so that the first of several is not let go before the others are heard.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from controller.bgp import Prefix
from controller.safety.correlated import Wish, Wishes, may_withdraw
from controller.safety.policy import Policy
from controller.safety.windows import FLEET, account_scope, class_scope
from controller.transport.messages import SiteStatus


def health_grants(
    statuses: Collection[SiteStatus],
    wishes: Wishes,
    sites: int,
    whose: Mapping[Prefix, str],
    held: Collection[str],
    *,
    policy: Policy,
    now: float,
) -> dict[str, tuple[str, ...]]:
    """Return the names of the wishes to grant, by site.

    ``statuses`` of all sites that answer, of so many ``sites``; ``wishes`` as heard up to ``now``; ``whose``
    prefix each is; ``held``: scopes in which the breaker, or a freeze, lets nothing go. A prefix that is not
    known to be anybody's, or that fewer than ``lanes.min_sites`` others would go on sending, is not granted;
    what is granted here does not count among those any more.
    """
    if held and {FLEET, class_scope("withdraw")} & set(held):
        return {}
    sending = _sending(statuses)
    found: dict[str, tuple[str, ...]] = {}
    for status in sorted(statuses, key=lambda s: s.site):
        names: list[str] = []
        for wish in status.health:
            account_id = whose.get(wish.prefix)
            if not wish.wish or account_id is None:
                continue
            if {account_scope(account_id), f"site:{status.site}"} & set(held):
                continue
            mine = next((w for w in wishes.wished if (w.site, w.prefix) == (status.site, wish.prefix)), None)
            if policy.guards.correlated and not _alone(mine, wishes, sites, policy, now):
                continue
            others = sending[wish.prefix] - {status.site}
            if policy.guards.last_site and len(others) < policy.lanes.min_sites:
                continue
            sending[wish.prefix] = others
            names.append(wish.wish)
        if names:
            found[status.site] = tuple(names)
    return found


def _alone(wish: Wish | None, wishes: Wishes, sites: int, policy: Policy, now: float) -> bool:
    """Tell whether the wish has stood for the whole window, and no quorum of sites wishes any."""
    if wish is None or now - wish.since < policy.correlated.window_s:
        return False
    return may_withdraw(wish, wishes, sites, policy.correlated)


def _sending(statuses: Iterable[SiteStatus]) -> defaultdict[Prefix, set[str]]:
    found: defaultdict[Prefix, set[str]] = defaultdict(set)
    wished = {wish.prefix for status in statuses for wish in status.health if wish.wish}
    for status in statuses:
        for prefix in wished & status.sent.keys():
            found[prefix].add(status.site)
    return found
