"""A drain at this site: what of it the agent carries out, and which routes are off by it (pure).

The controller may ask for no more than the agent itself finds sound: at a keeper's place a prefix goes only
if enough sites that are not drained are to announce it (its keepers are drawn among those from then on), and
the lane's budget has room. What may not go stays, and is reported. In force it is an overlay over what the
chunks ask for, laid on anew at each plan: commands that come meanwhile are journalled as ever, and lifting it
leaves exactly what they ask for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from controller.agent.guard import ORDINARY
from controller.agent.journal_records import Charge, Drained, JournalState
from controller.agent.policy import AgentPolicy
from controller.bgp import Prefix, Route
from controller.safety.budget import Budget, Reading
from controller.safety.drain import Drain, DrainRefusedError, elsewhere, longer, off, read_drain
from controller.snapshots.model import Chunk
from controller.snapshots.projection import SiteState

LANE = "drain"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a drain is brought. ``sites``: the sites of each prefix that is to be announced here (None: all).

    ``reach``: what is or may be announced, None while that is not known; ``busy``: why nothing may be
    withdrawn now, or empty. ``keys``: raw, of the intent service.
    """

    state: JournalState
    policy: AgentPolicy
    fleet: Collection[str]
    sites: Mapping[Prefix, Collection[str] | None]
    reach: AbstractSet[Prefix] | None
    busy: str
    keys: Collection[bytes]
    wall: datetime
    now: Reading


def sites_of(chunks: Mapping[str, Chunk], site: str) -> dict[Prefix, tuple[str, ...] | None]:
    """Return what chunks ask ``site`` to announce, with all sites of each prefix (None: all there are)."""
    return {
        bgp.cidr: bgp.sites
        for chunk in chunks.values()
        for bgp in chunk.bgp_prefixes
        if bgp.advertised and (bgp.sites is None or site in bgp.sites)
    }


def accept(text: str, place: Place) -> Drained | None:
    """Return the record of the drain in ``text`` that is to be journalled; None: it is in force already.

    Raises :class:`~controller.safety.drain.DrainRefusedError`.
    """
    state = place.state
    record = read_drain(text, place.keys)
    standing = state.drains.get(record.site)
    if standing is not None and standing.id == record.id:
        return None
    if record.id in state.used:
        raise DrainRefusedError("drain refused: it was lifted, or another took its place: it begins once")
    if place.wall >= record.expires_at:
        raise DrainRefusedError(
            f"drain refused: it expired at {record.expires_at.isoformat()}: ask for it again"
        )
    if record.site != state.site:
        return Drained(record.id, record.site, record.strategy, (), (), record.elsewhere, (), {})
    if place.reach is None or place.busy:
        raise DrainRefusedError(f"drain refused for now: {place.busy or 'the speaker cannot be reached'}")
    return _here(record, place)


def _here(record: Drain, place: Place) -> Drained:
    """Return what is carried out of a drain of this very site."""
    state, policy = place.state, place.policy
    assert place.reach is not None
    out = {state.site, *record.others, *state.drains}
    kept: list[tuple[Prefix, str, str]] = []
    wanted: list[Prefix] = []
    for cidr in (c for c in record.goes if c in place.sites):
        left = elsewhere(place.sites[cidr], place.fleet, out)
        if policy.guards.keeper and len(left) < max(1, policy.keepers):
            at = ", ".join(sorted(left)) or "no site"
            kept.append(
                (cidr, "keeper", f"only {at} would be left to keep it, and {policy.keepers} sites must be")
            )
        else:
            wanted.append(cidr)
    cost = [c for c in wanted if c in place.reach]
    spending = state.budgets.get(LANE, Budget()).try_spend(cost, place.now, policy.drain)
    held = frozenset(spending.held) if policy.guards.budget else frozenset()
    kept += [(cidr, "budget", spending.says) for cidr in wanted if cidr in held]
    goes = tuple(sorted(c for c in wanted if c not in held))
    stays = {*record.stays, *(cidr for cidr, _, _ in kept)}
    # What is announced and not named came while the drain was on its way: it stays, too.
    stays |= (place.reach & place.sites.keys()) - set(goes)
    charges = _charges(tuple(c for c in goes if c in place.reach), place)
    return Drained(
        id=record.id,
        site=record.site,
        strategy=record.strategy,
        goes=goes,
        stays=tuple(sorted(stays)),
        elsewhere=record.elsewhere,
        kept=tuple(kept),
        charges=charges,
    )


def _charges(gone: tuple[Prefix, ...], place: Place) -> dict[str, Charge]:
    """Return what the lane's budget pays, and what counts in the ordinary one for what comes after."""
    if not gone:
        return {}
    budgets, policy = place.state.budgets, place.policy
    after = {
        LANE: budgets.get(LANE, Budget()).charge(gone, place.now, policy.drain),
        ORDINARY: budgets.get(ORDINARY, Budget()).charge(gone, place.now, policy.budget),
    }
    return {name: Charge(b.passed_s, b.boot_id, b.monotonic_s, gone) for name, b in after.items()}


def taken_off(
    state: JournalState,
    sites: Mapping[Prefix, Collection[str] | None],
    *,
    announced: Collection[Route],
    fleet: Collection[str],
    least: int,
) -> frozenset[Prefix]:
    """Return which of the prefixes that are to be announced here the site's own drain takes off.

    ``announced``: the routes that are or may be out there; ``least``: the agent's own K. What is announced as
    ever stays so unless the drain names it: nothing is taken off because it came to be announced elsewhere.
    """
    drain = state.drains.get(state.site)
    if drain is None:
        return frozenset()
    goes = frozenset(drain.goes)
    gently = drain.strategy == "prepend"
    as_ever = {r.prefix for r in announced if not gently or r.as_path != longer(r.as_path)}
    return off(
        sites,
        goes,
        as_ever.union(drain.stays) - goes,
        fleet=fleet,
        drained=state.drains.keys(),
        least=max(1, drain.elsewhere, least),
    )


def with_drain(state: SiteState, drain: Drained | None, taken: Collection[Prefix]) -> SiteState:
    """Return ``state`` with the drain laid over it: ``taken`` are gone, or have the longer path."""
    if drain is None or not taken:
        return state
    routes = (
        {r for r in state.routes if r.prefix not in taken}
        if drain.strategy == "withdraw"
        else {Route(r.prefix, longer(r.as_path)) if r.prefix in taken else r for r in state.routes}
    )
    return SiteState(frozenset(routes), state.bindings, state.needs)
