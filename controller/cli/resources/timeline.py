"""``herald timeline …``, and ``herald prefixes history`` (registered by :mod:`.prefixes`)."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Column, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.options import Which
from controller.cli.routes import herald

COLUMNS = (
    Column("at", "at", cells.time),
    Column("what", "type"),
    Column("site", "site", rank=3),
    Column("account", "account_id", rank=2),
    Column("reason", "reason", rank=1, wraps=True),
    Column("actor", "actor", rank=4),
    Column("change-set", "change_set_id", rank=5),
    Column("object", "object.id", rank=4),
)
HISTORY = (
    Column("at", "at", cells.time),
    Column("action", lambda c: f"{c['action']} {c['object']['kind']}"),
    Column("reason", "reason", rank=1, wraps=True),
    Column("actor", "actor", rank=2),
    Column("from", "origin", rank=4),
    Column("change-set", "change_set_id", rank=5),
)

app = Commands("timeline", "What happened to an account: asked, became, seen, in one order.")


@app.reads("list")
def list_(
    call: Call,
    prefix: Annotated[
        str | None, typer.Option("--prefix", metavar="PREFIX", help="Only of this one (CIDR or id).")
    ] = None,
) -> Rows:
    """List all that was asked, what became of it, and what routers were seen to hold, oldest first.

    \b
    Examples:
      herald timeline list --account acme
      herald timeline list --prefix 192.0.2.0/24 --json
    """
    if prefix is not None:
        target = call.prefix(prefix)
        wanted = [(target.account_id, {"prefix_id": target.prefix_id})]
    else:
        wanted = [(account, {}) for account in call.accounts()]
    found = [e for a, query in wanted for e in call.client.all(herald("accounts", a, "timeline"), query)]
    return Rows(sorted(found, key=_seq), COLUMNS, "Nothing happened yet.")


def history(call: Call, prefix: Which) -> Rows:
    """Show who changed what of a prefix: when, from where, from what to what, and why.

    \b
    Examples:
      herald prefixes history 192.0.2.0/24 --json
    """
    target = call.prefix(prefix)
    path = herald("accounts", target.account_id, "prefixes", target.prefix_id, "history")
    return Rows(call.client.all(path), HISTORY, "Nothing was changed.")


def _seq(entry: Object) -> int:
    return int(entry["seq"])
