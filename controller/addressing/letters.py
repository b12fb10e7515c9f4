"""Finding letters of authorization, and what stands on them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from controller.addressing.errors import Kind, Refusal
from controller.addressing.loa_tables import LoaDocumentRow
from controller.addressing.tables import PrefixRow
from controller.addressing.times import rfc3339


def the_letter(session: Session, account_id: str, document_id: str) -> LoaDocumentRow:
    """Return the account's letter; 404 when it has none of that id."""
    row = session.get(LoaDocumentRow, document_id)
    if row is None or row.account_id != account_id:
        raise Refusal(Kind.NOT_FOUND, f"account {account_id} has no LOA document {document_id!r}")
    return row


def usable(session: Session, account_id: str, document_id: str | None, pointer: str) -> None:
    """Refuse an id under which the account has no letter, or a withdrawn one; None names none."""
    if document_id is None:
        return
    row = session.get(LoaDocumentRow, document_id)
    if row is None or row.account_id != account_id:
        raise Refusal(
            Kind.UNKNOWN_LETTER,
            f"account {account_id} has no LOA document {document_id!r}: upload it first, or give null",
            pointer,
        )
    if row.withdrawn_at is not None:
        raise Refusal(
            Kind.LETTER_WITHDRAWN,
            f"LOA document {row.id} was withdrawn at {rfc3339(row.withdrawn_at)}: upload another",
            pointer,
        )


def authorizes(session: Session, prefix: PrefixRow) -> None:
    """Refuse a new announcement of a prefix whose letter was withdrawn (SAFETY.md, 11).

    What is announced stays announced: a letter's end is no reason to withdraw.
    """
    row = None if prefix.loa_document_id is None else session.get(LoaDocumentRow, prefix.loa_document_id)
    if row is not None and row.withdrawn_at is not None:
        raise Refusal(
            Kind.LETTER_WITHDRAWN,
            f"the letter of authorization of {prefix.cidr} ({row.id}) was withdrawn at "
            f"{rfc3339(row.withdrawn_at)}: nothing new of it is announced; ask an operator about a new one",
        )
