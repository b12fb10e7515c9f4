"""Budgets of the controller: does a candidate exceed a window, and in which scope (pure); guards.md, 2.

Counted cumulatively, with all that the ledger holds: a change that is split counts as much as the whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.safety.candidate import SPECIAL, Candidate
from controller.safety.policy import Window
from controller.safety.verdict import Finding
from controller.safety.windows import (
    BREADTH,
    FLEET,
    OWNERS,
    Entry,
    account_scope,
    actor_scope,
    class_scope,
    floor_of,
    lane_scope,
    limits,
    too_many,
)


def budgets(candidate: Candidate) -> Iterable[Finding]:
    """Budgets by number and share in each window; the smallest scope that explains an excess is named.

    What an owner asked for is charged to the account, and to all owners together; what nobody's owner asked
    for to its actor, its class, and the fleet. A wider scope speaks only when no narrower one does, and opens
    only when it was not one actor, or one account, that filled it.
    """
    context = candidate.context
    if not context.policy.guards.breaker or context.released_by or not candidate.losses:
        return
    if candidate.lane in SPECIAL:
        yield from _lane_budget(candidate)
        return
    adding = candidate.entries("admitted")
    narrow = [*_over(candidate, adding, "budget-actor", actor_scope(context.actor))]
    narrow += _over(candidate, adding, "budget-account", account_scope(context.account_id))
    if narrow or candidate.held_by:
        yield from narrow
        return
    classes = [f for v in candidate.verbs for f in _over(candidate, adding, "budget-class", class_scope(v))]
    if classes:
        yield from classes
        return
    wide = [
        *_over(candidate, adding, "budget-fleet", FLEET),
        *_over(candidate, adding, "breadth", BREADTH),
        *_over(candidate, adding, "budget-fleet", OWNERS),
    ]
    yield from wide[:1]


def _lane_budget(candidate: Candidate) -> Iterable[Finding]:
    context = candidate.context
    scope = lane_scope(candidate.lane, context.account_id)
    adding = candidate.entries("admitted")
    yield from _over(candidate, adding, f"budget-{candidate.lane}", scope)


def _over(candidate: Candidate, adding: Iterable[Entry], check: str, scope: str) -> Iterable[Finding]:
    """Say which window of ``scope`` would be exceeded; a scope that is open already has said so."""
    context = candidate.context
    opens = FLEET if scope in {OWNERS, BREADTH} else scope
    if opens in context.breaker.open:
        return
    counts = context.ledger.counts(scope, context.now, adding)
    for window in limits(context.policy, scope):
        count, total = counts.get(window.seconds, 0), _total(candidate, scope)
        if too_many(count, window, total, floor_of(context.policy, scope)):
            first = context.ledger.first(scope, window.seconds, context.now)
            smallest = _sole(candidate, scope, window) or opens
            yield Finding(check, _excess(scope, count, window, total), smallest, first)
            return


def _sole(candidate: Candidate, scope: str, window: Window) -> str:
    """Return the scope of the one actor, or the one owner, that filled ``window``; empty: there are more.

    It may be filled by one who was closed for meanwhile, and counts anew in a scope of its own. One whose
    own scope is open, and does not hold this, explains nothing.
    """
    context = candidate.context
    if scope.startswith(("actor:", "account:", "lane:")):
        return ""
    before = context.ledger.after(scope, max(context.now, context.ledger.now) - window.seconds)
    if scope == OWNERS:
        who = {account_scope(e.account_id) for e in before} | {account_scope(context.account_id)}
    else:
        who = {actor_scope(e.actor) for e in before} | {actor_scope(context.actor)}
    return "" if len(who) > 1 else "".join(who - context.breaker.open.keys())


def _total(candidate: Candidate, scope: str) -> int:
    numbers = candidate.context.numbers
    if scope == BREADTH:
        return numbers.accounts
    return numbers.account if scope.startswith("account:") else numbers.fleet


def _excess(scope: str, count: int, window: Window, total: int) -> str:
    what = {
        FLEET: "BGP prefixes would lose something that no owner asked for, of all",
        OWNERS: "BGP prefixes would be taken away by their owners, of all",
        BREADTH: "accounts would lose something that they did not ask for, of all",
    }.get(scope, f"BGP prefixes would count for {scope}, of")
    share = f" or {window.share:.1%}" if window.share < 1 else ""
    return (
        f"{count} {what} {total}, within {window.seconds} s, and {window.number}{share} may: "
        "somebody looks at it (herald breaker show)"
    )
