"""Who may take part in removal: owners ask, operators and tasks carry out."""

from __future__ import annotations

from controller.addressing.auth import Caller
from controller.addressing.errors import Kind, Refusal


def require_owner(caller: Caller, account_id: str, what: str) -> None:
    """Refuse (403) anybody but the account's own customer: an operator's word is no owner's intent."""
    if caller.role != "customer" or caller.account_id != account_id:
        raise Refusal(
            Kind.FORBIDDEN,
            f"only the owner can {what}: use a token of account {account_id} itself",
        )


def require_staff(caller: Caller) -> None:
    """Refuse (403) customers; a task that is kept to one account sees no other (:func:`kept_to`)."""
    if caller.role == "customer":
        raise Refusal(Kind.FORBIDDEN, "this is for operators and tasks only: use one of their tokens")


def kept_to(caller: Caller, account_id: str | None) -> str | None:
    """Return the account that a list is about: as asked, or the one that the caller is kept to."""
    if account_id is not None:
        caller.require_account(account_id)
        return account_id
    return caller.account_id
