"""Who is told of an open scope, beside operators and the accounts concerned: wider at each deadline."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.guard import holds
from controller.guard.ledger import KeptLedger
from controller.guard.tables import AssessmentRow
from controller.guard.telling import MANAGEMENT
from controller.safety.breaker import Notify, scopes_of
from controller.safety.policy import Policy
from controller.snapshots.tables import HeadRow


def accounts(session: Session, policy: Policy, command: Notify, now: datetime) -> set[str]:
    """Return the accounts that the command's audience stands for (:data:`controller.safety.policy.Audience`).

    Those that whoever closed the scope counts anew are told, too: it is about them all the same.
    """
    found: set[str] = set()
    for one in command.audience:
        if one == "touched":
            found |= _touched(session, policy, command.scope, now)
        elif one == "everybody":
            found |= _everybody(session, command.scope)
        else:
            found.add(MANAGEMENT)
    return found


def _touched(session: Session, policy: Policy, scope: str, now: datetime) -> set[str]:
    lost = KeptLedger(policy).at(session, now).accounts(scope, float("-inf"))
    waiting = {
        h.account_id for h in holds.queue(session) if scope in scopes_of(h.actor, h.account_id, h.verbs)
    }
    return {*lost, *waiting}


def _everybody(session: Session, scope: str) -> set[str]:
    kind, _, who = scope.partition(":")
    if kind == "account":
        return {who}
    if kind == "actor":
        ever = select(AssessmentRow.account_id).where(AssessmentRow.actor == who[:100]).distinct()
        return set(session.scalars(ever))
    return set(session.scalars(select(HeadRow.account_id)))
