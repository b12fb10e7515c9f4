"""From what a person types (a CIDR or an id) to an account's prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.bgp import parse_prefix
from controller.cli.answers import Object
from controller.cli.errors import ApiError, CliError
from controller.cli.routes import addressing

if TYPE_CHECKING:
    from controller.cli.client import Client

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Target:
    """An onboarded prefix."""

    account_id: str
    prefix_id: str
    cidr: str

    def path(self, *parts: str) -> str:
        """Return the path of the prefix, or of what is in it."""
        return addressing(self.account_id, "prefixes", self.prefix_id, *parts)


def the_account(client: Client, account: str | None) -> str:
    """Return the account that is meant: the one given, the token's, or the only one."""
    if account is not None:
        return account
    own = client.caller().account_id
    if own is not None:
        return own
    ids = [str(a["id"]) for a in client.accounts()]
    if len(ids) == 1:
        return ids[0]
    raise CliError(f"which account? give --account: there are {_some(ids)}")


def accounts_to_list(client: Client, account: str | None) -> list[str]:
    """Return the accounts to list: the one given, the token's, or all that it may see.

    Whose it is every token may ask; a narrow one may not ask for the accounts.
    """
    own = account if account is not None else client.caller().account_id
    return [own] if own is not None else [str(a["id"]) for a in client.accounts()]


def find_prefix(client: Client, text: str, account: str | None) -> Target:
    """Return the prefix with the CIDR or id ``text``; a part of a prefix stands for the whole."""
    if "/" in text or ":" in text:
        owner = client.whose(parse_prefix(text))
        check_account(owner.account_id, account, text)
        return Target(owner.account_id, owner.prefix_id, owner.prefix_cidr)
    for account_id in accounts_to_list(client, account):
        target = Target(account_id, text, "")
        try:
            found = client.one(target.path())
        except ApiError as error:
            if error.status != NOT_FOUND or account is not None:
                raise
        else:
            return Target(account_id, text, str(found["cidr"]))
    raise CliError(f"no prefix has the id {text!r}: give a CIDR or an id (herald prefixes list)")


def check_account(found: str, wanted: str | None, what: str) -> None:
    """Raise CliError when ``what`` belongs to another account than the one named."""
    if wanted is not None and found != wanted:
        raise CliError(f"{what} is account {found}'s, not {wanted}'s: leave --account out or correct it")


def find_part(rows: Sequence[Object], text: str, what: str, *names: str) -> Object:
    """Return the row (a binding, a BGP prefix, …) whose id, or whose field of ``names``, is ``text``.

    Raises CliError that lists what there is, or that several are called so.
    """
    names = names or ("cidr",)
    found = [r for r in rows if r["id"] == text] or [r for r in rows if text in (r.get(n) for n in names)]
    if len(found) > 1:
        ids = _some([str(r["id"]) for r in found])
        raise CliError(f"{len(found)} {what}s are called {text!r}: give an id: {ids}")
    if not found:
        there = _some([str(r.get(names[0]) or r["id"]) for r in rows])
        raise CliError(f"no {what} is {text!r}: there are {there}")
    return found[0]


def _some(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(names[:most]) or "none"
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
