"""The named checks of an assessment, each one rule (pure): docs/guards.md has the table of them.

A check gives a finding when it has something to say, with its numbers and what to do about it. The budgets
are in :mod:`controller.safety.excess`.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.safety.candidate import SPECIAL, Candidate
from controller.safety.freeze import frozen
from controller.safety.radius import several, some
from controller.safety.verdict import Finding
from controller.safety.windows import account_scope


def intents(candidate: Candidate) -> Iterable[Finding]:
    """Nothing subtractive without a record that its owner, or two operators, wanted it (SAFETY.md, 2)."""
    missing = candidate.uncovered
    if candidate.context.policy.guards.intents and missing:
        yield Finding(
            "intents",
            f"nobody asked for {several(len(missing), 'effect')} of {len(candidate.losses)} that take "
            f"something away ({some(e.cidr for e in missing)}): the owner asks for it, or two operators do",
        )


def pin(candidate: Candidate) -> Iterable[Finding]:
    """Nothing of a rolled-back account compiles unasked, but for its owner's additive changes."""
    context = candidate.context
    if context.pin and context.lane != "rollback" and (candidate.losses or not context.owner):
        yield Finding("pin", context.pin, account_scope(context.account_id))


def freeze(candidate: Candidate) -> Iterable[Finding]:
    """Nothing passes somebody's freeze, but owners' additive changes and emergencies."""
    context = candidate.context
    if candidate.lane == "emergency":
        return
    found = frozen(
        context.freezes,
        candidate.effects,
        context.actor,
        context.account_id,
        context.now,
        owner=context.owner,
    )
    if found is not None:
        yield Finding("freeze", found.says, found.scope)


def shrinkage(candidate: Candidate) -> Iterable[Finding]:
    """What comes from a source that has shrunk takes nothing away (guards.md, 7; SAFETY.md, 12)."""
    context = candidate.context
    if context.released_by:
        return
    if context.policy.guards.shrinkage and context.shrunk and candidate.losses:
        yield Finding(
            "shrinkage", f"{context.shrunk}: nothing is taken away until somebody says that it is right"
        )


def ceiling(candidate: Candidate) -> Iterable[Finding]:
    """No more prefixes are announced than the ceiling says; it is a leak, not growth (guards.md, 12)."""
    context = candidate.context
    if not context.policy.guards.ceiling:
        return
    new = {e.cidr for e in candidate.effects if e.verb == "announce" and not context.announced.get(e.cidr)}
    total, most = context.numbers.fleet + len(new), context.policy.lanes.ceiling
    if new and total > most:
        more = several(len(new), "more BGP prefix", "more BGP prefixes")
        yield Finding(
            "ceiling",
            f"{more} would make {total} announced, and the ceiling is {most}: raise lanes.ceiling if that is "
            "growth and no leak",
        )


def non_production(candidate: Candidate) -> Iterable[Finding]:
    """A change alters only prefixes that it names; what else it does was dormant (guards.md, 9 and 10)."""
    context = candidate.context
    if not context.policy.guards.non_production or context.touched is None:
        return
    judged = candidate.losses if context.owner else candidate.effects
    others = {e.cidr for e in judged if e.cidr not in context.touched and context.announced.get(e.cidr)}
    if others:
        more = several(len(others), "announced prefix", "announced prefixes")
        yield Finding(
            "non-production",
            f"it would alter {more} that it does not name ({some(others)}): change those by themselves",
        )


def last_site(candidate: Candidate) -> Iterable[Finding]:
    """No prefix is taken below ``min_sites`` by itself; its owner may, or two operators after a hold."""
    context = candidate.context
    if not context.policy.guards.last_site:
        return
    if context.released_by and not candidate.uncovered:
        return
    lost = {e.cidr for e in candidate.unowned if e.verb == "withdraw"} & candidate.gone
    if lost:
        least = context.policy.lanes.min_sites
        yield Finding(
            "last-site",
            f"{several(len(lost), 'prefix', 'prefixes')} ({some(lost)}) would be left at fewer than "
            f"{several(least, 'site')}, and no owner asked for that: the owner withdraws it, or two "
            "operators ask and one releases it",
        )


def open_breaker(candidate: Candidate) -> Iterable[Finding]:
    """While a scope is open nothing subtractive in it passes (I7)."""
    context = candidate.context
    if not context.policy.guards.breaker or context.released_by or candidate.lane in SPECIAL:
        return
    for opening in candidate.held_by:
        yield Finding(
            "breaker",
            f"the breaker of {opening.scope} is open since {max(0.0, context.now - opening.since):.0f} s "
            f"({opening.check}: {opening.says}): somebody looks at its queue and closes it "
            f"(herald breaker close {opening.scope})",
            opening.scope,
        )


def drain(candidate: Candidate) -> Iterable[Finding]:
    """A site is drained of what is observed at enough others, and few sites at once (SAFETY.md, 5)."""
    if candidate.lane != "drain" or not candidate.losses:
        return
    context, lanes = candidate.context, candidate.context.policy.lanes
    other = [e for e in candidate.losses if e.verb not in {"withdraw", "more-prepend"}]
    if other:
        yield Finding(
            "drain", f"a drain withdraws or prepends, and this would {other[0].verb} {other[0].cidr}"
        )
    sites = {e.site for e in candidate.losses} | set(context.drains)
    if len(sites) > lanes.drains_at_once:
        yield Finding(
            "drain",
            f"{len(sites)} sites would be drained at once ({some(sites)}), and {lanes.drains_at_once} may: "
            "wait until the others are back",
        )
    few = {c for c in candidate.lost if context.seen_at.get(c, 0) < lanes.drain_elsewhere}
    if few:
        yield Finding(
            "drain",
            f"{several(len(few), 'prefix', 'prefixes')} ({some(few)}) not observed at "
            f"{lanes.drain_elsewhere} other sites: announce them there first",
        )


def emergency(candidate: Candidate) -> Iterable[Finding]:
    """An emergency withdraws at one site, with signed intents for all of it (SAFETY.md, 5)."""
    if candidate.lane != "emergency":
        return
    sites = {e.site for e in candidate.losses}
    if len(sites) > 1:
        yield Finding(
            "emergency", f"an emergency withdraws at one site, and this at {len(sites)}: one action for each"
        )
    if candidate.uncovered and not candidate.context.policy.guards.intents:
        yield Finding("emergency", "an emergency needs a signed intent even where others need none")


def migration(candidate: Candidate) -> Iterable[Finding]:
    """A migration is an owner's own, and each prefix is seen elsewhere before it goes (SAFETY.md, 5).

    Its owner may release a step that nobody sees elsewhere: that is withdrawing it outright.
    """
    if candidate.lane != "migration":
        return
    context = candidate.context
    if not context.owner or candidate.unowned:
        yield Finding("migration", "a migration is its owner's own: the owner plans and confirms it")
    unseen = {c for c in candidate.gone if c not in context.seen_elsewhere}
    if unseen and not context.released_by:
        yield Finding(
            "migration",
            f"{several(len(unseen), 'prefix', 'prefixes')} ({some(unseen)}) not seen elsewhere at the same "
            "length yet: announce them there first, and this goes on by itself",
        )
