"""What endpoints share: the store and what the application was made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from controller.addressing.auth import CallerDep
from controller.addressing.errors import Kind, Refusal
from controller.addressing.intents import IntentService, temporary_service
from controller.addressing.life_policy import LifePolicy
from controller.addressing.policy import AddressPolicy
from controller.addressing.tables import AccountRow
from controller.addressing.validation_view import NoSources, Validation
from controller.addressing.views import OperationalView
from controller.store import Store


@dataclass(frozen=True, slots=True)
class Context:
    """``sites``: the names of all sites; ``on_change_set`` is called after the commit, in a worker thread.

    ``intents`` signs what owners and pairs of operators ask for; ``life``: how long removal takes.
    """

    store: Store
    view: OperationalView
    sites: Sequence[str]
    on_change_set: Callable[[str], None]
    policy: AddressPolicy
    intents: IntentService = field(default_factory=temporary_service)
    life: LifePolicy = field(default_factory=LifePolicy)
    validation: Validation = field(default_factory=NoSources)


def current_context(request: Request) -> Context:
    """Return the application's context."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


ContextDep = Annotated[Context, Depends(current_context)]


def current_account(account_id: str, caller: CallerDep, context: ContextDep) -> str:
    """Return the account of the path; 403 for a caller of another account, 404 when there is none."""
    caller.require_account(account_id)
    if caller.sees_all_accounts:
        with context.store.read() as session:
            if session.get(AccountRow, account_id) is None:
                raise Refusal(Kind.NOT_FOUND, f"there is no account {account_id!r}")
    return account_id


AccountDep = Annotated[str, Depends(current_account)]
"""Parameter type of an endpoint under ``/accounts/{account_id}``."""
