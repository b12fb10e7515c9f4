"""What is kept of a prefix's checks, and what follows from it (pure): SAFETY.md, 11.

A check is ``pending`` until it was answered. A look-up that failed or found nothing is ``error``, never
``invalid``; after ``valid`` it leaves ``valid`` standing, with a warning and its age. What follows is
warnings, and a block on new announcements; never a withdrawal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from controller.bgp import Prefix
from controller.validation.reverse import reverse_zones, token_name
from controller.validation.vrps import Key, Vrp, VrpSet, key_of, validate_origin

CheckName = Literal["irr", "rpki", "ownership"]
CheckState = Literal["pending", "valid", "invalid", "error"]
Outcome = Literal["valid", "invalid", "missing", "failed"]
Evidence = dict[str, Any]

CHECKS: tuple[CheckName, ...] = ("irr", "rpki", "ownership")
STATES: dict[Outcome, CheckState] = {
    "valid": "valid",
    "invalid": "invalid",
    "missing": "error",
    "failed": "error",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: ``asn`` is the origin that is announced; ``parts``: the BGP prefixes in ``cidr``."""

    prefix_id: str
    cidr: Prefix
    asn: int
    token: str
    parts: tuple[Prefix, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """What one look-up gave. ``missing``: asked and answered, and nothing is there; ``failed``: no answer."""

    outcome: Outcome
    reason: str
    source: str = ""
    evidence: tuple[Evidence, ...] = ()
    expires_at: datetime | None = None
    notes: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True):
    """``warn_days``: days before a ROA's end at which it is warned of, ``block_days``: from when it blocks.

    ``valid_for_s``: seconds for which a ``valid`` that cannot be confirmed does not block.
    """

    warn_days: tuple[float, ...] = (30, 7, 1)
    block_days: float = 30
    valid_for_s: float = 86_400


class Check(msgspec.Struct, frozen=True):
    """A check as it is kept.

    ``at``: when it was last answered in any way; ``confirmed_at``: when an answer last gave this state.
    ``trouble``: why later look-ups did not confirm a ``valid``, and which ``trouble_kind`` of failure.
    ``limits``: those of the configuration at the last answer.
    """

    name: CheckName
    state: CheckState = "pending"
    reason: str = ""
    source: str = ""
    evidence: tuple[Evidence, ...] = ()
    at: datetime | None = None
    confirmed_at: datetime | None = None
    expires_at: datetime | None = None
    notes: tuple[str, ...] = ()
    trouble: str = ""
    trouble_kind: Outcome | None = None
    limits: Limits = Limits()


def after(check: Check, answer: Answer, at: datetime, limits: Limits | None = None) -> Check:
    """Return the check once ``answer`` came at ``at``."""
    limits = limits or check.limits
    if answer.outcome in ("missing", "failed") and check.state == "valid":
        # That something was not found stays true while nobody can be asked.
        kind: Outcome = "missing" if "missing" in (answer.outcome, check.trouble_kind) else "failed"
        return msgspec.structs.replace(check, at=at, trouble=answer.reason, trouble_kind=kind, limits=limits)
    state = STATES[answer.outcome]
    return Check(
        name=check.name,
        state=state,
        reason=answer.reason,
        source=answer.source,
        evidence=answer.evidence,
        at=at,
        confirmed_at=at,
        expires_at=answer.expires_at,
        notes=answer.notes,
        trouble_kind=answer.outcome if state == "error" else None,
        limits=limits,
    )


def warnings(check: Check, now: datetime) -> tuple[str, ...]:
    """Return what somebody should look at, a sentence each; none for a check that is pending or well."""
    found = []
    if check.state in ("invalid", "error"):
        found.append(f"{check.name} is {check.state}: {check.reason}")
    if check.trouble and check.confirmed_at is not None:
        age = _age(now - check.confirmed_at)
        found.append(f"{check.name} was valid {age} ago and is not confirmed since: {check.trouble}")
    left = None if check.expires_at is None else check.expires_at - now
    if check.state == "valid" and left is not None and check.expires_at is not None:
        day = next((d for d in sorted(check.limits.warn_days) if left <= timedelta(days=d)), None)
        if day is not None:
            until = check.expires_at.strftime("%Y-%m-%d %H:%M UTC")
            when = f"ends within {day:g} days" if left > timedelta() else "has ended"
            found.append(f"{check.name}: the ROA {when} ({until}): renew it")
    return (*found, *(f"{check.name}: {note}" for note in check.notes))


def block(check: Check, now: datetime) -> str | None:
    """Return why the check lets nothing new be announced, None when it does."""
    if check.state == "pending":
        return "it has not been answered yet"
    if check.state != "valid":
        return check.reason
    if check.trouble_kind == "missing":
        return check.trouble
    if check.trouble and check.confirmed_at is not None:
        age = now - check.confirmed_at
        if age > timedelta(seconds=check.limits.valid_for_s):
            return f"it was last confirmed {_age(age)} ago: {check.trouble}"
    if check.expires_at is not None and check.expires_at - now <= timedelta(days=check.limits.block_days):
        return f"the ROA ends on {check.expires_at:%Y-%m-%d %H:%M UTC}"
    return None


def part_block(check: Check, part: Prefix, asn: int) -> str | None:
    """Return why the VRPs that the rpki check saw make ``part`` invalid, None when they do not."""
    vrps = VrpSet(_vrp(e) for e in check.evidence)
    if validate_origin(part, asn, vrps).state != "invalid":
        return None
    return f"the ROAs do not allow AS{asn} to originate a /{key_of(part).length} here, {part}"


def remedy(name: CheckName, subject: Subject, part: Prefix | None = None) -> str:
    """Return what the customer must publish for the check to become valid."""
    cidr = part or subject.cidr
    if name == "irr":
        kind = "route6" if ":" in subject.cidr else "route"
        return f"publish a {kind} object for exactly {subject.cidr} with origin AS{subject.asn}"
    if name == "rpki":
        length = key_of(cidr).length
        return (
            f"publish a ROA for AS{subject.asn} that covers {cidr} with a maximum length of {length} or more"
        )
    where = ", ".join(token_name(z) for z in reverse_zones(subject.cidr)[:2])
    more = "" if len(reverse_zones(subject.cidr)) <= 2 else ", … (every zone of it)"
    return (
        f"publish {subject.token} as TXT record of {where}{more}, or in the remarks of the route object "
        f"for {subject.cidr}"
    )


def vrp_evidence(vrp: Vrp, expires: int | None, source: str, *, matches: bool) -> Evidence:
    """Return a VRP as evidence; :func:`part_block` reads it again."""
    found: Evidence = {**vrp.evidence(), "matches": matches, "source": source}
    if expires is not None:
        found["expires"] = expires
    return found


def _vrp(evidence: Evidence) -> Vrp:
    key: Key = key_of(Prefix(evidence["prefix"]))
    return Vrp(key, evidence["max_length"], evidence["asn"])


def _age(span: timedelta) -> str:
    seconds = max(int(span.total_seconds()), 0)
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
