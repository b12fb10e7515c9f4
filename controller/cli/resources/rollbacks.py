"""``herald rollbacks …``: what was rolled back, and how far that is; ``herald rollback`` does it."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.resources.snapshots import short, told
from controller.cli.routes import herald

COLUMNS = (
    Column("id", "id"),
    Column("at", "at", cells.time),
    Column("to", "snapshot_id", short),
    Column("accounts", "accounts"),
    Column("pinned", "pinned"),
    Column("who", "actor", rank=2),
    Column("why", "reason", rank=1, wraps=True),
)
CARD = (
    Column("id", "id"),
    Column("at", "at", cells.zoned),
    Column("to snapshot", "snapshot_id"),
    Column("seen from", "based_on"),
    Column("who", "actor"),
    Column("why", "reason"),
)


def _half(name: str) -> Column:
    def shown(row: Object) -> str:
        half = row[name]
        if half is None:
            return "-"
        return f"{half['state']}: {half['reason']}" if half["reason"] else str(half["state"])

    return Column(f"{name} half", shown, wraps=True)


ACCOUNTS = (
    Column("account", "account_id"),
    Column("back", lambda row: len(row["back"])),
    Column("to go", lambda row: len(row["rest"])),
    Column("skipped", lambda row: len(row["skipped"])),
    _half("additive"),
    _half("subtractive"),
    Column("pinned", "pinned", rank=1),
)
OBJECTS = (
    Column("account", "account_id", rank=1),
    Column("what", lambda row: row["kind"].replace("_", " ").replace("bgp", "BGP")),
    Column("prefix", lambda row: (row["after"] or row["before"])["cidr"]),
    Column("is", lambda row: told(row["before"])),
    Column("will be", lambda row: told(row["after"])),
    Column("half", "half"),
)
SKIPPED = (
    Column("account", "account_id", rank=1),
    Column("what", lambda row: row["kind"].replace("_", " ").replace("bgp", "BGP")),
    Column("prefix", "cidr"),
    Column("left as it is, because", "why", wraps=True),
)
Which = Annotated[str, typer.Argument(metavar="ID", help="The rollback's id (herald rollbacks list).")]

app = Commands("rollbacks", "What was rolled back, by whom, why, and how far it is: list, show.")


@app.reads("list", account=False)
def list_(call: Call) -> Rows:
    """List rollbacks, newest first (operators).

    \b
    Examples:
      herald rollbacks list
    """
    return Rows(call.client.all(herald("rollbacks")), COLUMNS, "Nothing was rolled back.")


@app.reads("show", account=False)
def show(call: Call, rollback: Which) -> Card:
    """Show a rollback: each account's halves, what came back, what is to go, what was skipped and why.

    \b
    Examples:
      herald rollbacks show 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    body = call.client.one(herald("rollbacks", rollback))
    return Card(body, CARD, parts(body))


def parts(body: Object) -> tuple[Rows, ...]:
    """Return a rollback's accounts, objects and what it skips as tables."""
    accounts = body["result"]
    objects = [
        {**o, "account_id": a["account_id"], "half": half}
        for a in accounts
        for half, name in (("additive", "back"), ("subtractive", "rest"))
        for o in a[name]
    ]
    skipped = [{**s, "account_id": a["account_id"]} for a in accounts for s in a["skipped"]]
    found = [Rows(accounts, ACCOUNTS, "No account differs from that snapshot: there is nothing to do.")]
    if objects:
        found.append(Rows(objects, OBJECTS))
    if skipped:
        found.append(Rows(skipped, SKIPPED))
    return tuple(found)
