"""Assessment: what a candidate would do, and whether it may, and how (pure): SAFETY.md, 1 to 5.

:func:`assess` judges a candidate by its effects at each site: all of :data:`CHECKS` look at them, and
each one that has something to say gives a finding. Any finding holds the change-set. What none of them holds
is admitted at once or staged, by its lane. Nothing is remembered between two assessments but what the ledger
and the breaker hold: an earlier success lowers no risk (guards.md, 15).

An owner's purely additive change is admitted in every state: only the ceiling judges it (I7).

What follows from an assessment: its driver records :func:`entries` in the ledger, and takes :func:`events`
to the breaker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from controller.safety import breaker, checks
from controller.safety.candidate import Candidate, Context
from controller.safety.effects import Effect
from controller.safety.excess import budgets
from controller.safety.radius import radius
from controller.safety.verdict import Decision, Finding, Verdict
from controller.safety.windows import Entry

Check = Callable[[Candidate], Iterable[Finding]]

CHECKS: Mapping[str, Check] = {
    "intents": checks.intents,
    "pin": checks.pin,
    "freeze": checks.freeze,
    "shrinkage": checks.shrinkage,
    "ceiling": checks.ceiling,
    "non-production": checks.non_production,
    "last-site": checks.last_site,
    "breaker": checks.open_breaker,
    "drain": checks.drain,
    "emergency": checks.emergency,
    "migration": checks.migration,
}
"""All of them are asked, in this order; the budgets come last."""

BUDGETS = ("budget-actor", "budget-account", "budget-class", "budget-fleet", "breadth")
LANE_BUDGETS = ("budget-emergency", "budget-migration")
"""As what :func:`controller.safety.excess.budgets` speaks; those of lanes hold, and open nothing."""

LATELY_S = 600.0
"""Accounts that lost something within so long before an opening are told of it."""


def assess(effects: Iterable[Effect], context: Context) -> Verdict:
    """Return the verdict on a candidate with these ``effects``.

    ``hold`` when any check has something to say; else ``admit``, or ``stage`` in the staged lane.
    """
    return judge(Candidate(effects, context))


def judge(candidate: Candidate) -> Verdict:
    """Do as :func:`assess`, on a candidate of which more is to be asked afterwards."""
    context = candidate.context
    findings = tuple(f for check in CHECKS.values() for f in check(candidate))
    if context.actor.startswith("task:") or all(f.check == "breaker" for f in findings):
        # What a person asks for and is held anyway may yet be put right: only a task's attempts count.
        findings += tuple(budgets(candidate))
    decision: Decision = "stage" if candidate.lane == "staged" else "admit"
    if findings:
        decision = "hold"
    return Verdict(decision, candidate.lane, findings, radius(candidate))


def entries(effects: Iterable[Effect], context: Context, verdict: Verdict) -> tuple[Entry, ...]:
    """Return what the ledger is to record after ``verdict``; nothing for what is purely additive."""
    return counted(Candidate(effects, context), verdict)


def counted(candidate: Candidate, verdict: Verdict) -> tuple[Entry, ...]:
    """Do as :func:`entries`, on a candidate that was judged."""
    if verdict.decision != "hold":
        return candidate.entries("released" if candidate.context.released_by else "admitted")
    return candidate.entries("held")


def events(
    effects: Iterable[Effect], context: Context, verdict: Verdict, change_set_id: str, group: str = ""
) -> list[breaker.Event]:
    """Return what the breaker is to be told after ``verdict``: what opens, and what waits from now on.

    ``group``: what operators decide on as one; empty: what this actor does of these classes.
    """
    return told(Candidate(effects, context), verdict, change_set_id, group)


def told(candidate: Candidate, verdict: Verdict, change_set_id: str, group: str = "") -> list[breaker.Event]:
    """Do as :func:`events`, on a candidate that was judged."""
    context = candidate.context
    found: list[breaker.Event] = [
        breaker.Exceeded(
            f.scope,
            f.check,
            f.says,
            context.now if f.first is None else f.first,
            (context.account_id, *context.ledger.accounts(f.scope, context.now - LATELY_S)),
        )
        for f in verdict.opens
    ]
    if found or any(f.check == "breaker" for f in verdict.findings):
        found.append(
            breaker.Holding(
                breaker.Held(
                    change_set_id,
                    context.account_id,
                    context.actor,
                    candidate.verbs,
                    len(candidate.lost),
                    context.now,
                    group,
                )
            )
        )
    return found
