"""What checks decide: new announcements, and whether an approval needs a reason. Never a withdrawal."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from controller.addressing.errors import Kind, Refusal
from controller.addressing.prefix_checks import checks_of, rows_of, subject_of
from controller.addressing.tables import PrefixRow
from controller.bgp import Prefix
from controller.validation.checks import block, part_block, remedy
from controller.validation.config import ValidationConfig


def may_announce(
    session: Session, row: PrefixRow, cidr: Prefix, config: ValidationConfig, now: datetime
) -> None:
    """Refuse to announce ``cidr``, which is not announced yet, while a check of its prefix blocks that.

    Only checks that have a source count: nobody could satisfy the others.
    """
    if not config.required:
        return
    subject = subject_of(row, config.local_as)
    checks = checks_of(rows_of(session, row.id), evidence=True)
    found = []
    for name in config.available():
        why = block(checks[name], now)
        part = None
        if why is None and name == "rpki" and cidr != subject.cidr:
            part, why = cidr, part_block(checks[name], cidr, subject.asn)
        if why is not None:
            state = checks[name].state
            found.append(f"the check {name} is {state} ({why}): {remedy(name, subject, part)}")
    if found:
        raise Refusal(
            Kind.VALIDATION_BLOCKS,
            f"{cidr} cannot be announced anew: {'; '.join(found)}; then have {row.cidr} validated again",
        )


def may_approve(session: Session, row: PrefixRow, config: ValidationConfig, reason: str) -> None:
    """Refuse an approval without a reason while checks are not all valid, once there are sources."""
    if not config.available() or reason:
        return
    checks = checks_of(rows_of(session, row.id))
    wrong = [f"{name} is {check.state}" for name, check in checks.items() if check.state != "valid"]
    if wrong:
        raise Refusal(
            Kind.APPROVAL_NEEDS_REASON,
            f"of the checks of {row.cidr}, {', '.join(wrong)}: say why you approve in Herald-Reason",
            "/header/Herald-Reason",
        )
