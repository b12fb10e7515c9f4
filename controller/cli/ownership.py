"""From what a person types (a CIDR or an id) to an account's prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.bgp import parse_prefix
from controller.cli.errors import CliError

if TYPE_CHECKING:
    from controller.cli.client import Client, Object


@dataclass(frozen=True, slots=True)
class Target:
    """An onboarded prefix."""

    account_id: str
    prefix_id: str
    cidr: str


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
    raise CliError(f"which account? give --account: there are {', '.join(ids) or 'none'}")


def accounts_to_list(client: Client, account: str | None) -> list[str]:
    """Return the accounts to list: the one given, or all that the token may see."""
    return [account] if account is not None else [str(a["id"]) for a in client.accounts()]


def find_prefix(client: Client, text: str, account: str | None) -> Target:
    """Return the prefix with the CIDR or id ``text``; a part of a prefix stands for the whole."""
    if "/" in text:
        owner = client.whose(parse_prefix(text))
        check_account(owner.account_id, account, text)
        return Target(owner.account_id, owner.prefix_id, owner.prefix_cidr)
    for account_id in accounts_to_list(client, account):
        for row in client.prefixes(account_id):
            if row["id"] == text:
                return Target(account_id, text, str(row["cidr"]))
    raise CliError(f"no prefix has the id {text!r}: give a CIDR or an id (herald prefixes list)")


def check_account(found: str, wanted: str | None, what: str) -> None:
    """Raise CliError when ``what`` belongs to another account than the one named."""
    if wanted is not None and found != wanted:
        raise CliError(f"{what} is account {found}'s, not {wanted}'s: leave --account out or correct it")


def find_part(rows: list[Object], text: str, what: str) -> Object:
    """Return the row (a binding, a BGP prefix) with the CIDR or id ``text``."""
    for row in rows:
        if text in (row["id"], row["cidr"]):
            return row
    there = ", ".join(str(r["cidr"]) for r in rows) or "none"
    raise CliError(f"no {what} is {text!r}: there are {there}")
