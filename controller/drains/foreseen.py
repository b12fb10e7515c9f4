"""What a drain would do, from the store and from who looks around the sites. In the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.life_tables import WithdrawalLockRow
from controller.bgp import Prefix
from controller.guard import freezes
from controller.rollout.tables import SiteTreeRow
from controller.safety.drain import Strategy
from controller.safety.drain_plan import AtSite, Plan, Question, plan
from controller.safety.policy import Policy
from controller.snapshots import store as snapshots
from controller.snapshots.model import ChunkHash


def foresee(
    session: Session,
    site: str,
    strategy: Strategy,
    *,
    fleet: Sequence[str],
    seen: Mapping[Prefix, Collection[str]],
    drained: Collection[str],
    actor: str,
    now: datetime,
    capacity_confirmed: bool,
    policy: Policy,
) -> Plan:
    """Return the plan of a drain; raises :class:`~controller.snapshots.model.DamagedChunkError`."""
    asked = Question(
        site=site,
        strategy=strategy,
        seen=seen,
        drained=drained,
        freezes=freezes.values(session, now),
        actor=actor,
        now=now.timestamp(),
        capacity_confirmed=capacity_confirmed,
        policy=policy,
    )
    return plan(asked, at_site(session, site, fleet))


def at_site(session: Session, site: str, fleet: Sequence[str]) -> list[AtSite]:
    """Return the BGP prefixes that a site is to announce, of all accounts."""
    locked = set(session.scalars(select(WithdrawalLockRow.prefix_id)))
    targets = select(SiteTreeRow.account_id, SiteTreeRow.hash).where(SiteTreeRow.site == site)
    found: list[AtSite] = []
    for account_id, hash_ in session.execute(targets):
        for bgp in snapshots.chunk(session, ChunkHash(hash_)).bgp_prefixes:
            sites = frozenset(fleet if bgp.sites is None else bgp.sites)
            if bgp.advertised and site in sites:
                found.append(AtSite(account_id, bgp.cidr, sites, bgp.prefix_id in locked))
    return found
