"""``herald prefixes checks`` and ``herald prefixes validate``: registered by :mod:`.prefixes`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.options import Which
from controller.cli.ownership import Target
from controller.cli.routes import herald

POLL_S = 0.1
"""Seconds between two looks at checks that are under way."""

COLUMNS = (
    Column("check", "name"),
    Column("state", lambda c: "under way" if c["under_way"] else c["state"]),
    Column("at", "at", cells.time, rank=2),
    Column("source", "source", rank=3),
    Column("reason", lambda c: c["trouble"] or c["reason"], rank=1, wraps=True),
    Column("blocks", lambda c: c["blocks"] is not None, rank=4),
    Column("to do", "remedy", rank=2, wraps=True),
)
HISTORY = (
    Column("at", "at", cells.time),
    Column("check", "name"),
    Column("answer", "outcome"),
    Column("state", "state", rank=2),
    Column("source", "source", rank=3),
    Column("reason", "reason", rank=1, wraps=True),
)
CARD = (Column("prefix", "cidr"), Column("required for a new announcement", "required"))


def checks(
    call: Call,
    prefix: Which,
    history: Annotated[bool, typer.Option("--history", help="What was answered before instead.")] = False,
) -> Rows | Card:
    """Show the checks of a prefix: IRR, RPKI and ownership, and what to do about them.

    \b
    Examples:
      herald prefixes checks 192.0.2.0/24
      herald prefixes checks 192.0.2.0/24 --history --json
    """
    target = call.prefix(prefix)
    if history:
        found = call.client.one(_path(target, "history"))["result"]
        return Rows(found, HISTORY, "Nothing was answered yet: herald prefixes validate PREFIX")
    return _card(_checks(call, target))


def validate(
    call: Call,
    prefix: Which,
    until_answered: Annotated[
        bool, typer.Option("--wait", help="Return once all checks that have a source are answered.")
    ] = False,
) -> Done:
    """Begin to check a prefix anew.

    \b
    Examples:
      herald prefixes validate 192.0.2.0/24 --wait
    """
    target = call.prefix(prefix)
    made = call.client.write("POST", target.path("validate"))
    body = _checks(call, target)
    while until_answered and not call.shared.dry_run and _under_way(body):
        if time.monotonic() >= call.ends:
            raise CliError(
                f"{', '.join(_under_way(body))}: not answered within {call.shared.deadline:g} s; it goes on: "
                f"herald prefixes checks {target.cidr}"
            )
        time.sleep(POLL_S)
        body = _checks(call, target)
    says = f"{target.cidr} is being checked" if _under_way(body) else f"{target.cidr} was checked"
    return Done(made, says, _card(body), also={"checks": body["result"]})


def _checks(call: Call, target: Target) -> Object:
    return call.client.one(_path(target))


def _path(target: Target, *parts: str) -> str:
    return herald("accounts", target.account_id, "prefixes", target.prefix_id, "checks", *parts)


def _under_way(body: Object) -> list[str]:
    return [str(c["name"]) for c in body["result"] if c["under_way"]]


def _card(body: Object) -> Card:
    return Card(body, CARD, (Rows(body["result"], COLUMNS),))
