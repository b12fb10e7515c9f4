"""Prefixes' checks as they are kept: what is due, what was answered, whom other VRPs concern.

Nothing here makes a change-set or touches what is announced (SAFETY.md, 11).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session, undefer

from controller.addressing.tables import BgpPrefixRow, PrefixRow
from controller.addressing.validation_tables import PrefixCheckAnswerRow, PrefixCheckRow
from controller.bgp import Prefix
from controller.timeline.log import note
from controller.timeline.show import Entry
from controller.validation.checks import CHECKS, Answer, Check, CheckName, Subject, after
from controller.validation.config import ValidationConfig
from controller.validation.vrps import VrpSet, key_of

BY_NAME: dict[str, CheckName] = {name: name for name in CHECKS}

EVIDENCE_TOLD = 20
"""How much of the evidence a notification has; the check itself has all."""

AT_ONCE = 500
"""Rows that one statement takes."""


@dataclass(frozen=True, slots=True)
class Job:
    """Look-ups that are due for one prefix; ``due``: the checks, and when each became due."""

    subject: Subject
    due: Mapping[CheckName, datetime]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job that began at ``at``."""

    job: Job
    answers: Mapping[CheckName, Answer]
    at: datetime


def subject_of(row: PrefixRow, local_as: int, parts: Iterable[str] = ()) -> Subject:
    """Return what is checked of a prefix; without an AS of its own the operator's is its origin."""
    asn = local_as if row.asn is None else row.asn
    return Subject(row.id, Prefix(row.cidr), asn, row.ownership_token, tuple(Prefix(p) for p in parts))


def check_of(row: PrefixCheckRow, *, evidence: bool = False) -> Check:
    """Return the check that a row keeps; with its evidence only where the row was loaded with that."""
    return msgspec.convert({**row.body, "evidence": row.evidence} if evidence else row.body, Check)


def checks_of(rows: Iterable[PrefixCheckRow], *, evidence: bool = False) -> dict[CheckName, Check]:
    """Return all checks of one prefix, pending where there is no row."""
    found = {check.name: check for check in (check_of(row, evidence=evidence) for row in rows)}
    return {name: found.get(name, Check(name)) for name in CHECKS}


def rows_of(session: Session, prefix_id: str) -> Sequence[PrefixCheckRow]:
    """Return the rows of one prefix, with their evidence."""
    query = select(PrefixCheckRow).where(PrefixCheckRow.prefix_id == prefix_id)
    return session.scalars(query.options(undefer(PrefixCheckRow.evidence))).all()


def schedule(
    session: Session, prefix_id: str, names: Collection[CheckName], now: datetime, *, requested: bool
) -> None:
    """Let ``names`` be looked up at once; ``requested``: somebody asked for it."""
    for name in names:
        row = session.get(PrefixCheckRow, (prefix_id, name))
        if row is None:
            row = PrefixCheckRow(
                prefix_id=prefix_id, name=name, state="pending", body=_body(Check(name)), evidence=[]
            )
            session.add(row)
        row.due_at = now
        if requested:
            row.requested_at = now


def adopt(session: Session, names: Sequence[CheckName], now: datetime) -> int:
    """Schedule the checks of prefixes that have none, such as imported ones; return how many were missing."""
    missing = 0
    for name in names:
        has = exists().where(PrefixCheckRow.prefix_id == PrefixRow.id, PrefixCheckRow.name == name)
        wanted = select(PrefixRow.id).where(PrefixRow.deleted_at.is_(None), ~has).limit(AT_ONCE)
        for prefix_id in session.scalars(wanted).all():
            schedule(session, prefix_id, (name,), now, requested=False)
            missing += 1
    return missing


def due(
    session: Session, config: ValidationConfig, now: datetime, room: int, busy: Collection[str]
) -> list[Job]:
    """Return up to ``room`` jobs, what waits longest first; ``busy``: prefixes that are looked up now."""
    rows = session.execute(
        select(PrefixCheckRow.prefix_id, PrefixCheckRow.name, PrefixCheckRow.due_at)
        .join(PrefixRow, PrefixRow.id == PrefixCheckRow.prefix_id)
        .where(
            PrefixCheckRow.due_at <= now,
            PrefixCheckRow.name.in_(config.available()),
            PrefixRow.deleted_at.is_(None),
        )
        .order_by(PrefixCheckRow.due_at)
        .limit((room + len(busy)) * len(CHECKS))
    ).all()
    wanted: dict[str, dict[CheckName, datetime]] = {}
    for prefix_id, name, due_at in rows:
        if prefix_id not in busy and (prefix_id in wanted or len(wanted) < room):
            wanted.setdefault(prefix_id, {})[BY_NAME[name]] = due_at
    prefixes = session.scalars(select(PrefixRow).where(PrefixRow.id.in_(wanted))).all()
    parts: dict[str, list[str]] = {}
    for prefix_id, cidr in session.execute(
        select(BgpPrefixRow.prefix_id, BgpPrefixRow.cidr)
        .where(BgpPrefixRow.prefix_id.in_(wanted), BgpPrefixRow.deleted_at.is_(None))
        .order_by(BgpPrefixRow.cidr)
    ):
        parts.setdefault(prefix_id, []).append(cidr)
    return [Job(subject_of(p, config.local_as, parts.get(p.id, ())), wanted[p.id]) for p in prefixes]


def next_due(session: Session, config: ValidationConfig) -> datetime | None:
    """Return when the next look-up is due, None when none ever is."""
    return session.scalar(
        select(PrefixCheckRow.due_at)
        .where(PrefixCheckRow.name.in_(config.available()))
        .order_by(PrefixCheckRow.due_at)
        .limit(1)
    )


def record(session: Session, results: Iterable[Result], config: ValidationConfig) -> None:
    """Keep what was answered, and when it is to be asked again; history only of what is new.

    A check that became due again while it was looked up stays due: its answer may be of before.
    """
    for result in results:
        for name, given in result.answers.items():
            row = session.get(PrefixCheckRow, (result.job.subject.prefix_id, name))
            if row is None:
                continue
            answer = _storable(given)
            check = after(check_of(row, evidence=True), answer, result.at, config.limits)
            if check.state != row.state:
                _tell(session, row, check, answer, result.at)
            row.body, row.state, row.evidence = _body(check), check.state, list(check.evidence)
            if row.due_at == result.job.due[name]:
                again = config.retry_s if answer.outcome == "failed" else config.interval_s
                row.due_at = result.at + timedelta(seconds=again)
            digest = hashlib.sha256(msgspec.json.encode(answer)).hexdigest()
            if digest != row.answer_hash:
                row.answer_hash = digest
                session.add(
                    PrefixCheckAnswerRow(
                        prefix_id=row.prefix_id,
                        name=name,
                        at=result.at,
                        outcome=answer.outcome,
                        state=check.state,
                        reason=answer.reason,
                        source=answer.source,
                        evidence=list(answer.evidence),
                    )
                )


def _tell(session: Session, row: PrefixCheckRow, check: Check, answer: Answer, at: datetime) -> None:
    """Tell the account that a check of its prefix came to another state, with the evidence."""
    prefix = session.get_one(PrefixRow, row.prefix_id)
    note(
        session,
        Entry(
            account_id=prefix.account_id,
            at=at,
            kind="observed",
            type="prefix.checked",
            object_kind="prefix",
            object_id=prefix.id,
            prefix_id=prefix.id,
            reason=f"{row.name}: {check.state}: {answer.reason}",
            detail={
                "check": row.name,
                "before": row.state,
                "state": check.state,
                "source": answer.source,
                "evidence": list(answer.evidence)[:EVIDENCE_TOLD],
            },
        ),
    )


def affected(session: Session, difference: VrpSet | None) -> list[str]:
    """Return the prefixes that VRPs in ``difference`` can concern; None: all."""
    query = select(PrefixRow.id, PrefixRow.cidr).where(PrefixRow.deleted_at.is_(None))
    return [
        prefix_id
        for prefix_id, cidr in session.execute(query)
        if difference is None or difference.overlapping(key_of(Prefix(cidr)))
    ]


def make_due(session: Session, prefix_ids: Sequence[str], name: CheckName, now: datetime) -> None:
    """Let a check of many prefixes be looked up at once."""
    for start in range(0, len(prefix_ids), AT_ONCE):
        session.execute(
            update(PrefixCheckRow)
            .where(
                PrefixCheckRow.prefix_id.in_(prefix_ids[start : start + AT_ONCE]), PrefixCheckRow.name == name
            )
            .values(due_at=now)
        )


def _body(check: Check) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(check)
    del body["evidence"]
    return body


def _storable(answer: Answer) -> Answer:
    """Return the answer without control characters, which no text column takes, and no longer than those."""
    plain: dict[str, Any] = _printable(msgspec.to_builtins(answer))
    plain["reason"], plain["source"] = plain["reason"][:1000], plain["source"][:500]
    return msgspec.convert(plain, Answer)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in value)
    if isinstance(value, dict):
        return {key: _printable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(part) for part in value]
    return value
