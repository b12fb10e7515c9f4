"""Tells accounts and operators of holds, openings and freezes, in the transaction of what happened.

An entry of an account goes into its timeline and to its webhooks; one for operators into a timeline of
theirs, whose account no customer can have. In a lab both are files of ``notifications``, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from controller.timeline.log import foresee, note
from controller.timeline.show import Entry

OPERATORS = "_operators"
"""The timeline of operators: an account's id begins with a letter or a digit."""
MANAGEMENT = "_management"
"""The timeline of those whom the operators answer to: what nobody has answered in the end."""


@dataclass(frozen=True, slots=True)
class News:
    """What is told. ``object_id``: of what it is about; ``actor``: who did it, None when nobody.

    ``site``: the one at which it is so, None: at none in particular.
    """

    type: str
    object_kind: str
    object_id: str
    reason: str
    change_set_id: str | None = None
    site: str | None = None
    actor: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def tell(session: Session, accounts: Iterable[str], news: News, now: datetime) -> None:
    """Put an entry into the timeline of each of ``accounts``, and into the operators'."""
    told = (OPERATORS, *sorted(set(accounts) - {OPERATORS}))
    tell_each(session, dict.fromkeys(told, news), now)


def tell_each(session: Session, said: Mapping[str, News], now: datetime) -> None:
    """Put an entry of its own into the timeline of each account."""
    foresee(session, said)
    for account_id, news in said.items():
        note(
            session,
            Entry(
                account_id=account_id,
                at=now,
                kind="operational",
                type=news.type,
                object_kind=news.object_kind,
                object_id=news.object_id,
                change_set_id=news.change_set_id,
                site=news.site,
                actor=news.actor,
                reason=news.reason,
                detail=dict(news.detail),
            ),
        )
