"""Who issued whose token, for :mod:`controller.safety.second_person`; in the caller's transaction."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import TokenRow
from controller.safety.second_person import SecondPersonError, require_second


def issuers_of(session: Session, *token_ids: str) -> dict[str, str | None]:
    """Return the lines of descent of these tokens: token id → its issuer's id."""
    found: dict[str, str | None] = {}
    wanted = set(token_ids)
    while wanted:
        rows = session.execute(select(TokenRow.id, TokenRow.issued_by).where(TokenRow.id.in_(wanted)))
        found |= dict.fromkeys(wanted)
        found |= {row.id: row.issued_by for row in rows}
        wanted = {issuer for issuer in found.values() if issuer is not None} - found.keys()
    return found


def require_second_operator(session: Session, asked_by: str, approver: str) -> None:
    """Refuse (409) unless the token ``approver`` is another person's than the token ``asked_by``.

    An asker's token that was revoked since stands for nobody.
    """
    asker = session.get(TokenRow, asked_by)
    if asker is None or asker.revoked_at is not None:
        raise Refusal(
            Kind.SECOND_OPERATOR, "the token that asked for this was revoked: ask again with another"
        )
    try:
        require_second(asked_by, approver, issuers_of(session, asked_by, approver))
    except SecondPersonError as error:
        raise Refusal(Kind.SECOND_OPERATOR, str(error)) from error
