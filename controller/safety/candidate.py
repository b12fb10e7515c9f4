"""A candidate in its context: the one value that all checks of an assessment look at (pure).

What several checks ask of it is found once: which effects nobody asked for, which prefixes would go, which
lane fits, which open scopes hold it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property

from controller.bgp import Prefix
from controller.safety import breaker
from controller.safety.effects import Effect, EffectVerb, subtractive
from controller.safety.freeze import Freeze
from controller.safety.intents import Intent, around, uncovered
from controller.safety.policy import Policy
from controller.safety.verdict import Lane
from controller.safety.windows import Entry, Ledger, Outcome

SPECIAL: frozenset[Lane] = frozenset({"emergency", "drain", "migration"})
"""Lanes with budgets of their own, which the breaker does not hold."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many BGP prefixes are announced now (anywhere): by the account, by all; and how many accounts have
    any."""

    account: int
    fleet: int
    accounts: int = 0


@dataclass(frozen=True)
class Context:
    """All that an assessment may look at beside the effects.

    ``actor``: ``ROLE:ID``. ``owner``: it acts for the account that it changes (its own token, or a
    delegate's). ``intents``: verified already. ``lane``: the one that was asked for. ``announced``: where
    each of the account's prefixes is announced now. ``touched``: the prefixes of the objects that the
    change-set names, None when nobody can tell. ``pin`` and ``shrunk``: why, or empty. ``seen_at``: at how
    many *other* sites each prefix is observed (drain). ``seen_elsewhere``: prefixes that are observed with
    another origin, at the same length (migration). ``drains``: sites that are drained now, this one not among
    them. ``released_by``: who decided to deploy it after it was held; empty: nobody.
    """

    policy: Policy
    actor: str
    owner: bool
    account_id: str
    numbers: Numbers
    ledger: Ledger
    now: float
    intents: Sequence[Intent] = ()
    lane: Lane | None = None
    breaker: breaker.State = field(default_factory=breaker.State)
    freezes: Sequence[Freeze] = ()
    pin: str = ""
    shrunk: str = ""
    announced: Mapping[Prefix, Collection[str]] = field(default_factory=dict)
    touched: AbstractSet[Prefix] | None = None
    seen_at: Mapping[Prefix, int] = field(default_factory=dict)
    seen_elsewhere: AbstractSet[Prefix] = frozenset()
    drains: Collection[str] = ()
    released_by: str = ""


class Candidate:
    """The effects of one change-set in their context, and what the checks ask of them."""

    def __init__(self, effects: Iterable[Effect], context: Context) -> None:
        self.context = context
        self.effects = tuple(effects)
        self.losses = subtractive(self.effects)
        self._carriers: dict[Prefix, Prefix] = {}
        self.lost = frozenset(self.carrier(e.cidr) for e in self.losses)

    def carrier(self, cidr: Prefix) -> Prefix:
        """Return the announced BGP prefix that traffic to ``cidr`` comes by; ``cidr`` itself if none does.

        So that the bindings of one BGP prefix, however many, count as that one.
        """
        found = self._carriers.get(cidr)
        if found is None:
            announced = self.context.announced
            above = () if announced.get(cidr) else reversed(around(cidr))
            found = next((p for p in above if announced.get(p)), cidr)
            self._carriers[cidr] = found
        return found

    @cached_property
    def uncovered(self) -> tuple[Effect, ...]:
        """Subtractive effects that nobody asked for."""
        return uncovered(self.context.intents, self.context.account_id, self.losses)

    @cached_property
    def unowned(self) -> frozenset[Effect]:
        """Subtractive effects that no owner (or delegate) asked for; two operators are no owner."""
        context = self.context
        if context.owner and not context.policy.guards.intents:
            return frozenset()
        owners = [i for i in context.intents if i.authority != "operators"]
        if len(owners) == len(context.intents):
            return frozenset(self.uncovered)
        return frozenset(uncovered(owners, context.account_id, self.losses))

    @cached_property
    def remaining(self) -> dict[Prefix, frozenset[str]]:
        """Where each prefix that loses a site stays announced."""
        after = {cidr: set(self.context.announced.get(cidr, ())) for cidr in self.withdrawn}
        for effect in self.effects:
            if effect.cidr in after and effect.verb == "announce":
                after[effect.cidr].add(effect.site)
        for effect in self.losses:
            if effect.verb == "withdraw":
                after[effect.cidr].discard(effect.site)
        return {cidr: frozenset(sites) for cidr, sites in after.items()}

    @cached_property
    def withdrawn(self) -> frozenset[Prefix]:
        """Prefixes that are withdrawn anywhere."""
        return frozenset(e.cidr for e in self.losses if e.verb == "withdraw")

    @cached_property
    def gone(self) -> frozenset[Prefix]:
        """Prefixes that are taken below ``min_sites``."""
        least = self.context.policy.lanes.min_sites
        return frozenset(c for c in self.withdrawn if len(self.remaining[c]) < least)

    @cached_property
    def nowhere(self) -> frozenset[Prefix]:
        """Prefixes that would be announced nowhere any more."""
        return frozenset(c for c in self.withdrawn if not self.remaining[c])

    @cached_property
    def lane(self) -> Lane:
        """The lane that it goes in if nothing holds it: the one asked for, or the one that fits."""
        context = self.context
        if context.lane in {"rollback", *SPECIAL}:
            return context.lane
        if not context.policy.guards.staged or not self.effects:
            return "express"
        if not context.owner:
            return "staged"
        hit = {self.carrier(e.cidr) for e in self.effects}
        if not self.losses or (len(hit) <= context.policy.lanes.express_bgp_prefixes and not self.unowned):
            return "express"
        return "staged"

    @cached_property
    def verbs(self) -> tuple[EffectVerb, ...]:
        """The classes of its subtractive effects."""
        return tuple(sorted({e.verb for e in self.losses}))

    @cached_property
    def held_by(self) -> tuple[breaker.Opening, ...]:
        """Open scopes that hold it."""
        context = self.context
        return breaker.holding(context.breaker, context.actor, context.account_id, self.verbs)

    def entries(self, outcome: Outcome) -> tuple[Entry, ...]:
        """Return what the ledger counts of it.

        An unbinding that its owner asked for, under no announced route, takes nothing from anybody: clearing
        away what was withdrawn long ago is charged to nobody.
        """
        context = self.context
        where: dict[tuple[EffectVerb, Prefix], list[Effect]] = {}
        for effect in self.losses:
            cidr = self.carrier(effect.cidr)
            idle = effect.verb == "unbind" and not context.announced.get(cidr)
            if not idle or effect in self.unowned:
                where.setdefault((effect.verb, cidr), []).append(effect)
        return tuple(
            Entry(
                at=context.now,
                actor=context.actor,
                account_id=context.account_id,
                verb=verb,
                prefix=cidr,
                sites=tuple(sorted({e.site for e in found})),
                owned=self.unowned.isdisjoint(found),
                gone=cidr in self.gone,
                outcome=outcome,
                lane=self.lane,
            )
            for (verb, cidr), found in where.items()
        )
