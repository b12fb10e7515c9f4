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
from controller.snapshots.model import BgpPrefixObject, ChunkHash


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
    """Return the BGP prefixes that a site is to announce, of all accounts.

    Their sites are those at which they are, and are to stay: a roll-out under way may take them from some.
    """
    locked = set(session.scalars(select(WithdrawalLockRow.prefix_id)))
    targets = select(SiteTreeRow.account_id, SiteTreeRow.hash).where(SiteTreeRow.site == site)
    heads = snapshots.head(session)
    found: list[AtSite] = []
    for account_id, hash_ in session.execute(targets):
        head = heads.get(account_id)
        to_stay = None
        if head is not None and head != hash_:
            to_stay = {b.cidr: _sites(b, fleet) for b in snapshots.chunk(session, head).bgp_prefixes}
        for bgp in snapshots.chunk(session, ChunkHash(hash_)).bgp_prefixes:
            sites = _sites(bgp, fleet)
            if site in sites:
                if to_stay is not None:
                    sites &= to_stay.get(bgp.cidr, frozenset())
                found.append(AtSite(account_id, bgp.cidr, sites, bgp.prefix_id in locked))
    return found


def _sites(bgp: BgpPrefixObject, fleet: Sequence[str]) -> frozenset[str]:
    """Return the sites at which a BGP prefix is to be announced."""
    return frozenset(() if not bgp.advertised else fleet if bgp.sites is None else bgp.sites)
