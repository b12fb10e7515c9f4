"""One call of a command: which API, whose account, on which terms; and how to find what is meant."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from controller.cli.errors import CliError
from controller.cli.options import Until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from controller.cli.answers import Object
    from controller.cli.client import Client
    from controller.cli.find import Connection
    from controller.cli.ownership import Target


@dataclass(frozen=True, slots=True)
class Shared:
    """The values of the shared options; those that a command does not take are as here."""

    url: str | None = None
    token: str | None = None
    lab: str | None = None
    ca: str | None = None
    account: str | None = None
    as_json: bool = False
    dry_run: bool = False
    reason: str | None = None
    if_match: str | None = None
    intent: str | None = None
    wait: str = Until.ACCEPTED
    deadline: float = 15.0
    yes: bool = False


@dataclass
class Call:
    """What a command has in hand. ``ends``: monotonic seconds at which waiting is over."""

    shared: Shared
    ends: float = field(init=False)

    def __post_init__(self) -> None:
        self.ends = time.monotonic() + self.shared.deadline
        _check(self.shared)

    @cached_property
    def connection(self) -> Connection:
        """The API that is meant; looked for when first asked."""
        from controller.cli.find import connect  # noqa: PLC0415 (httpx is slow to import)
        from controller.cli.http import Terms  # noqa: PLC0415

        given = self.shared
        terms = Terms(given.dry_run, given.reason, given.if_match, given.intent)
        return connect(given.url, given.token, given.lab, ca=given.ca, terms=terms)

    @property
    def client(self) -> Client:
        """Its client, whose writes are on this call's terms."""
        return self.connection.client

    def account(self) -> str:
        """Return the account that is meant: the one given, the token's, or the only one."""
        from controller.cli.ownership import the_account  # noqa: PLC0415

        return the_account(self.client, self.shared.account)

    def accounts(self) -> list[str]:
        """Return the accounts to list: the one given, or all that the token may see."""
        from controller.cli.ownership import accounts_to_list  # noqa: PLC0415

        return accounts_to_list(self.client, self.shared.account)

    def prefix(self, which: str) -> Target:
        """Return the prefix with this CIDR or id; a part of a prefix stands for the whole."""
        from controller.cli.ownership import find_prefix  # noqa: PLC0415

        return find_prefix(self.client, which, self.shared.account)

    def prefixes(self, which: str | None) -> list[Target]:
        """Return the prefix with this CIDR or id, or all that are to be listed."""
        from controller.cli.ownership import Target  # noqa: PLC0415

        if which is not None:
            return [self.prefix(which)]
        rows = (row for account in self.accounts() for row in self.client.prefixes(account))
        return [Target(str(r["account_id"]), str(r["id"]), str(r["cidr"])) for r in rows]

    def find(
        self, lists: Callable[[str], Sequence[Object]], which: str, what: str, *names: str
    ) -> tuple[str, Object]:
        """Return an account and its object with this id (or this value in a field of ``names``).

        ``lists`` gives an account's objects. Raises CliError that lists what there is.
        """
        from controller.cli.ownership import find_part  # noqa: PLC0415

        rows = [{**row, "account_id": account} for account in self.accounts() for row in lists(account)]
        found = find_part(rows, which, what, *(names or ("id",)))
        return str(found["account_id"]), found

    def why(self) -> str:
        """Return the reason, where one must be given."""
        if self.shared.reason is None:
            raise typer.BadParameter("say why", param_hint="--reason")
        return self.shared.reason

    def confirm(self, question: str) -> None:
        """Ask before something that takes away much at once; ``--yes`` and a dry run do not ask.

        Raises CliError when there is nobody to ask, and Abort (exit 130) when the answer is no.
        """
        if self.shared.yes or self.shared.dry_run:
            return
        if not sys.stdin.isatty():
            raise CliError(f"{question} Nobody is there to answer: give --yes if it is meant")
        typer.confirm(question, abort=True, err=True)


def _check(given: Shared) -> None:
    """Refuse what cannot be sent in a header, before anything is asked for."""
    from controller.addressing import headers  # noqa: PLC0415

    for option, header, value in (
        ("--reason", headers.REASON, given.reason),
        ("--if-match", headers.MATCH, _quoted(given.if_match)),
        ("--intent", headers.INTENT, given.intent),
    ):
        if value is not None and not header.takes(value):
            what = "ids have letters and digits" if header is headers.INTENT else "visible ASCII characters, "
            what += "" if header is headers.INTENT else "spaces only between them"
            raise typer.BadParameter(f"at most {header.longest}: {what}", param_hint=option)


def _quoted(tag: str | None) -> str | None:
    return tag if tag is None or tag == "*" or '"' in tag else f'"{tag}"'
