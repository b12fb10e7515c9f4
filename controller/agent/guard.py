"""The agent's own guard: which of what the journal asks to take away may go now (pure; SAFETY.md, 3).

It trusts no controller and no database. What stands (:mod:`controller.agent.standing`) is looked at again
whenever anything changes, and when the budget has refilled; each effect is held by the first check that has
something against it:

- ``intents``: nobody's signed intent asked for it;
- ``keeper``: this site is one of the prefix's keepers, and it was not the owner who asked;
- ``correlated``: it is wished because machines report bindings absent (:mod:`controller.agent.health`), and
  the controller has not said that other sites do not wish the same; nobody else need have asked for it;
- ``budget``: the site's withdrawals in one of its windows are spent;
- ``registry``: what is to come instead may not be announced;
- ``speaker``: it is away, or has not carried out what was let go (:mod:`controller.agent.outstanding`).

What is let go is to be journalled, with the budget after it, before anybody acts on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from controller.agent.journal_records import Charge, Released
from controller.agent.policy import AgentPolicy
from controller.agent.standing import OWN_BUDGET, Authority, Standing, StandingBinding, StandingRoute
from controller.bgp import Prefix, Route
from controller.safety.budget import Budget, Limit, Reading
from controller.safety.effects import SUBTRACTIVE
from controller.safety.keepers import is_keeper, keepers
from controller.transport.messages import HeldEffect

RETRY_S = 1.0
"""Seconds after which what could not be journalled is tried again."""

ORDINARY = "ordinary"
"""The name of the budget that everything counts in."""


@dataclass(frozen=True, slots=True)
class Wished:
    """A withdrawal for want of bindings: the withdraw quorum reports them absent. ``sites`` as in
    :class:`StandingRoute`; ``granted``: the controller has said that it may be."""

    account_id: str
    prefix: Prefix
    sites: tuple[str, ...] | None
    granted: bool


@dataclass(frozen=True, slots=True)
class Guarded:
    """What the guard is asked: what stands, by account, what else there is, and the clocks.

    ``budgets`` by name (:data:`ORDINARY`, or the lane's); ``fleet``: all sites of the operator. ``excepted``:
    effects that an override let go, as (account, prefix, verb). ``moot``: prefixes that another account is to
    announce by the same path, so that nothing is lost. ``barred``: what the registry does not let out, as
    (account, prefix). ``busy``: why no withdrawal may be let go now, or empty. ``wished``: withdrawals for
    want of bindings; no override lets them go, an emergency is there for that. ``drained``: sites that keep
    nothing for now; what they kept is kept by others in their place.
    """

    site: str
    fleet: Collection[str]
    policy: AgentPolicy
    standing: Mapping[str, Standing]
    budgets: Mapping[str, Budget]
    now: Reading
    excepted: Collection[tuple[str, Prefix, str]] = ()
    moot: Collection[tuple[str, Prefix]] = ()
    barred: Collection[tuple[str, Prefix]] = ()
    busy: str = ""
    wished: tuple[Wished, ...] = ()
    drained: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What may go now, and what is held; ``budgets``: those that change by it, ``charged`` what each is for.

    ``wait_s``: seconds after which more may go by itself; None: nothing will. ``unserved``: what may go for
    want of bindings; ``wishes``: what of that is held.
    """

    routes: tuple[StandingRoute, ...]
    bindings: tuple[StandingBinding, ...]
    held: tuple[HeldEffect, ...]
    budgets: dict[str, Budget]
    charged: dict[str, tuple[Prefix, ...]]
    wait_s: float | None = None
    unserved: tuple[Prefix, ...] = ()
    wishes: tuple[HeldEffect, ...] = ()

    @property
    def lets_go(self) -> bool:
        """Whether anything may go."""
        return bool(self.routes or self.bindings or self.unserved)


@dataclass(slots=True)
class _Item:
    """One thing that stands, and what the budget is to be asked about it (None: nothing)."""

    account_id: str
    prefix: Prefix
    verbs: tuple[str, ...]
    by: Authority
    lane: str
    costs: bool
    route: StandingRoute | None = None
    binding: StandingBinding | None = None
    wished: Wished | None = None
    check: str = ""
    reason: str = ""


def judge(asked: Guarded) -> Ruling:
    """Return what may go now. The same facts give the same ruling."""
    items = list(_items(asked))
    for item in items:
        item.check, item.reason = _asked_for(item, asked)
        if asked.busy and item.costs and not item.check and not _is_excepted(item, asked):
            item.check, item.reason = "speaker", asked.busy
    budgets: dict[str, Budget] = {}
    charged: dict[str, tuple[Prefix, ...]] = {}
    waits: list[float] = []
    for lane in (*OWN_BUDGET, ORDINARY):
        due = [i for i in items if i.costs and not i.check and _budget_of(i.lane) == lane]
        if due:
            wait = _spend(lane, due, asked, budgets, charged)
            if wait is not None:
                waits.append(wait)
    gone = [i for i in items if not i.check]
    held = [
        (i, HeldEffect(i.account_id, i.prefix, verb, i.check, i.reason))
        for i in items
        if i.check
        for verb in i.verbs
    ]
    return Ruling(
        tuple(i.route for i in gone if i.route is not None),
        tuple(i.binding for i in gone if i.binding is not None),
        tuple(effect for i, effect in held if i.wished is None),
        budgets,
        charged,
        min(waits, default=None),
        tuple(i.prefix for i in gone if i.wished is not None),
        tuple(effect for i, effect in held if i.wished is not None),
    )


def released(ruling: Ruling) -> Released:
    """Return the record that lets go what the ruling allows."""
    charges = {
        name: Charge(budget.passed_s, budget.boot_id, budget.monotonic_s, ruling.charged.get(name, ()))
        for name, budget in ruling.budgets.items()
    }
    return Released(
        tuple((r.account_id, r.prefix) for r in ruling.routes),
        tuple(b.binding for b in ruling.bindings),
        charges,
        ruling.unserved,
    )


def unreleased(ruling: Ruling, why: str) -> Ruling:
    """Return a ruling that holds what could not be journalled, too; it is tried again soon."""
    reason = f"it cannot be journalled: {why}"
    held = [
        HeldEffect(r.account_id, r.prefix, verb, "journal", reason) for r in ruling.routes for verb in r.verbs
    ]
    held += [
        HeldEffect(b.binding.account_id, b.binding.cidr, "unbind", "journal", reason) for b in ruling.bindings
    ]
    return Ruling((), (), (*ruling.held, *held), {}, {}, RETRY_S, wishes=ruling.wishes)


def moot(standing: Mapping[str, Standing], desired: Collection[Route]) -> frozenset[tuple[str, Prefix]]:
    """Return what of an account stands by the very route that another account is to have: nothing is lost."""
    return frozenset(
        (account_id, r.prefix)
        for account_id, stands in standing.items()
        for r in stands.routes
        if r.route in desired
    )


def overridable(held: Iterable[HeldEffect]) -> tuple[HeldEffect, ...]:
    """Return what of the held effects an override may let go: what takes away, and nothing that adds.

    What the registry holds is about what would come instead, and that no override lets out.
    """
    return tuple(h for h in held if h.verb in SUBTRACTIVE and h.check != "registry")


def change_hash(held: Iterable[HeldEffect]) -> str:
    """Return the name of exactly these held effects, which an override must give (64 hex digits)."""
    named = sorted((h.account_id, h.prefix, h.verb) for h in held)
    return hashlib.sha256(msgspec.json.encode(named)).hexdigest()


def _items(asked: Guarded) -> Iterable[_Item]:
    for account_id, standing in sorted(asked.standing.items()):
        for route in standing.routes:
            costs = (account_id, route.prefix) not in asked.moot
            yield _Item(account_id, route.prefix, route.verbs, route.by, route.lane, costs, route=route)
        for bound in standing.bindings:
            cidr = bound.binding.cidr
            yield _Item(account_id, cidr, ("unbind",), bound.by, bound.lane, bool(bound.under), binding=bound)
    for wished in asked.wished:
        yield _Item(wished.account_id, wished.prefix, ("withdraw",), "", "health", costs=True, wished=wished)


def _asked_for(item: _Item, asked: Guarded) -> tuple[str, str]:
    """Return the check that holds an item for want of somebody who asked, and why; both empty: none."""
    if item.wished is not None:
        return _unserved(item.wished, asked)
    if item.route is not None and (item.account_id, item.prefix) in asked.barred:
        return "registry", f"the registry does not cover {item.prefix} as it is asked for: it stays as it was"
    if (item.route is not None and not item.costs) or _is_excepted(item, asked):
        return "", ""
    guards = asked.policy.guards
    said = " and ".join(item.verbs)
    if guards.intents and not item.by:
        return "intents", f"nobody's signed intent asks to {said} {item.prefix}; its owner must ask for it"
    if (
        guards.keeper
        and item.route is not None
        and "withdraw" in item.verbs
        and item.by not in ("owner", "delegate")
    ):
        return _kept(item.prefix, item.route.sites, asked)
    return "", ""


def _kept(prefix: Prefix, at: Collection[str] | None, asked: Guarded) -> tuple[str, str]:
    """Return the check that holds the withdrawal of ``prefix``, announced ``at`` these sites, at a keeper."""
    k = asked.policy.keepers
    sites = asked.fleet or (asked.site,)
    if at is not None:
        # A prefix that is announced at some sites only is kept by some of those.
        sites = [s for s in sites if s in at] or (asked.site,)
    in_use = [s for s in sites if s not in asked.drained]
    # A drain only ever adds keepers: those drawn among all sites go on being some.
    for among in (sites, in_use) if asked.drained else (sites,):
        if is_keeper(asked.site, prefix, among, k):
            kept = ", ".join(keepers(prefix, among, k))
            return "keeper", f"{kept} keep {prefix}, and let it go for its owner alone"
    return "", ""


def _unserved(wished: Wished, asked: Guarded) -> tuple[str, str]:
    """Return the check that holds a withdrawal for want of bindings, and why."""
    if asked.policy.guards.keeper:
        check, reason = _kept(wished.prefix, wished.sites, asked)
        if check:
            return check, reason
    if not wished.granted:
        return "correlated", "the controller has not said that other sites do not want the same: it stays"
    return "", ""


def _is_excepted(item: _Item, asked: Guarded) -> bool:
    """Tell whether an override let all of it go; none does for want of bindings."""
    return item.wished is None and all(
        (item.account_id, item.prefix, verb) in asked.excepted for verb in item.verbs
    )


def _budget_of(lane: str) -> str:
    return lane if lane in OWN_BUDGET else ORDINARY


def _limits(lane: str, policy: AgentPolicy) -> tuple[Limit, ...]:
    return {"emergency": policy.emergency, "drain": policy.drain}.get(lane, policy.budget)


def _spend(
    lane: str,
    due: list[_Item],
    asked: Guarded,
    budgets: dict[str, Budget],
    charged: dict[str, tuple[Prefix, ...]],
) -> float | None:
    """Let go what fits into the lane's budget, hold the rest; return when more will fit."""
    limits, now = _limits(lane, asked.policy), asked.now
    fresh = lane not in budgets
    before = budgets.get(lane) or asked.budgets.get(lane) or Budget()
    excepted = {i.prefix for i in due if _is_excepted(i, asked)}
    if not asked.policy.guards.budget:
        excepted = {i.prefix for i in due}
    wanted = {i.prefix for i in due} - excepted
    spending = before.charge(excepted, now, limits).try_spend(wanted, now, limits)
    allowed = tuple(sorted({*excepted, *spending.allowed}))
    if allowed or not fresh:
        budgets[lane] = spending.budget
        charged[lane] = (*charged.get(lane, ()), *allowed)
    if lane != ORDINARY and allowed:
        ordinary = budgets.get(ORDINARY) or asked.budgets.get(ORDINARY) or Budget()
        budgets[ORDINARY] = ordinary.charge(allowed, now, asked.policy.budget)
        charged[ORDINARY] = (*charged.get(ORDINARY, ()), *allowed)
    held = frozenset(spending.held)
    limit = spending.limit
    for item in due:
        if item.prefix in held:
            item.check = "budget"
            item.reason = (
                "this site allows no such withdrawals"
                if limit is None or limit.number <= 0
                else f"this site withdraws {limit.number} in {limit.seconds:g} s at most in the lane "
                f"{lane}, and has: it goes on by itself as time passes, or by an override"
            )
    return spending.wait_s
