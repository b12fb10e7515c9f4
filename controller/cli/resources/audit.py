"""``herald audit …``."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Object, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.output import finish
from controller.cli.routes import herald

COLUMNS = (
    Column("at", "at", cells.time),
    Column("actor", "actor", rank=2),
    Column("action", lambda e: f"{e['action']} {e['object_kind']}"),
    Column("account", "account_id", rank=1),
    Column("object", "object_id", rank=4),
    Column("reason", "reason", rank=3, wraps=True),
    Column("from", "origin", rank=6),
    Column("change-set", "change_set_id", rank=7),
    Column("seq", "seq", rank=5),
)
VERDICT = (
    Column("chain", lambda v: "whole" if v["intact"] else "broken"),
    Column("events", "events"),
    Column("head", lambda v: v["head"] and f"{v['head']['seq']}:{v['head']['hash']}"),
    Column("broken at", "broken_at"),
    Column("reason", "reason", wraps=True),
)
PAGE = 1000

app = Commands("audit", "Who did what, when, from where and why.")


@app.reads("list")
def list_(
    call: Call,
    object_: Annotated[
        str | None, typer.Option("--object", metavar="ID", help="Only what was done to this one.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option("--actor", metavar="ROLE:TOKEN_ID", help="Only what this one did.")
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="VERB", help="Only this, such as delete.")
    ] = None,
    last: Annotated[int, typer.Option("--last", metavar="N", min=1, help="The newest N.")] = 50,
) -> Rows:
    """List what was changed, the oldest first.

    \b
    Examples:
      herald audit list --last 10
      herald audit list --account acme --action delete --json
    """
    wanted = {"account_id": call.shared.account, "object_id": object_, "actor": actor, "action": action}
    query = {name: value for name, value in wanted.items() if value is not None}
    found: list[Object] = []
    after: Object = {}
    while len(found) < last:
        limit = str(min(last - len(found), PAGE))
        page = call.client.one(herald("audit"), {**query, **after, "newest": "true", "limit": limit})
        found += page["result"]
        if page["next"] is None:
            break
        after = {"after": str(page["next"])}
    return Rows(found[::-1], COLUMNS, "Nothing of the kind was changed.")


@app.reads("verify", account=False)
def verify(
    call: Call,
    head: Annotated[
        str | None,
        typer.Option(
            "--head", metavar="SEQ:HASH", help="A head that was noted earlier: what was cut off is found."
        ),
    ] = None,
) -> None:
    """Go through the whole chain of events; exit code 1 if it is broken (operators).

    \b
    Examples:
      herald audit verify
    """
    query: dict[str, str] = {}
    if head is not None:
        seq, colon, digest = head.partition(":")
        if not colon:
            raise typer.BadParameter(f"{head!r} is no SEQ:HASH", param_hint="--head")
        query = {"seq": seq, "hash": digest}
    verdict = call.client.one(herald("audit", "verify"), query)
    finish(call, Card(verdict, VERDICT))
    if not verdict["intact"]:
        raise CliError(f"the audit is broken at event {verdict['broken_at']}: {verdict['reason']}")
