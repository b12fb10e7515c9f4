"""``herald migrations …``: an owner moves many prefixes away."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import herald

COLUMNS = (
    Column("id", "id"),
    Column("account", "account_id", rank=2),
    Column("state", "state"),
    Column("withdrawn", lambda m: f"{len(m['withdrawn'])} of {len(m['cidrs'])}", rank=1),
    Column("from", "not_before", cells.time, rank=3),
    Column("to", "not_after", cells.time, rank=3),
    Column("reason", "reason", rank=4, wraps=True),
)
CARD = (
    *COLUMNS[:4],
    Column("prefixes", "cidrs", wraps=True),
    Column("gone", "withdrawn", wraps=True),
    Column("from", "not_before", cells.zoned),
    Column("to", "not_after", cells.zoned),
    Column("reason", "reason", wraps=True),
    Column("confirmation", "confirmation"),
    Column("etag", "etag"),
)
Id = Annotated[str, typer.Argument(metavar="ID", help="The migration's id.")]
Cidrs = Annotated[list[str], typer.Argument(metavar="CIDR...", help="BGP prefixes, each named.")]

app = Commands("migrations", "Moving many prefixes away: list, show, add, confirm, withdraw, cancel.")


@app.reads("list")
def list_(call: Call) -> Rows:
    """List migrations.

    \b
    Examples:
      herald migrations list
    """
    return Rows([row for a in call.accounts() for row in _all(call, a)], COLUMNS, "There is no migration.")


@app.reads("show")
def show(call: Call, id_: Id) -> Card:
    """Show one migration, and the code that confirms it.

    \b
    Examples:
      herald migrations show 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    body, etag = call.client.tagged(_path(call, id_))
    return Card({**body, "etag": etag}, CARD)


@app.writes("add")
def add(
    call: Call,
    *,
    cidrs: Cidrs,
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=0, help="How many they are: if not, nothing is done.")
    ],
    not_before: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="When the window opens, such as 2027-01-31T12:00:00Z."),
    ],
    not_after: Annotated[str, typer.Option("--to", metavar="TIME", help="When the window closes.")],
) -> Done:
    """Plan a migration, as the owner; nothing is withdrawn. Needs --reason.

    \b
    Examples:
      herald migrations add 192.0.2.0/24 --count 1 --from 2027-01-31T12:00:00Z --to 2027-02-01T12:00:00Z
    """
    body: Object = {
        "cidrs": cidrs, "expected_count": count, "not_before": not_before, "not_after": not_after,
        "reason": call.why(),
    }  # fmt: skip
    made = call.client.write("POST", herald("accounts", call.account(), "migrations"), body)
    return Done(made, "It is planned: look, and confirm it with its code.", Card(made.result, CARD))


@app.writes("confirm", matches=True)
def confirm(
    call: Call,
    id_: Id,
    code: Annotated[str, typer.Option("--code", metavar="CODE", help="The confirmation that show gives.")],
) -> Done:
    """Confirm a migration: its list and window are signed as the owner's intent.

    \b
    Examples:
      herald migrations confirm 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --code 3f2a9c
    """
    made = call.client.write("POST", f"{_path(call, id_)}/confirm", {"confirmation": code})
    return Done(made, f"migration {id_} is confirmed")


@app.writes("withdraw", matches=True, rolls=True, bulk=True)
def withdraw(call: Call, id_: Id, cidrs: Cidrs) -> Done:
    """Withdraw some of a confirmed migration's prefixes, in its window, once all of them are seen elsewhere.

    Until then the step is held (herald holds list), and goes on by itself; its owner may release it.

    \b
    Examples:
      herald migrations withdraw 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f 192.0.2.0/24 --dry-run
    """
    path = _path(call, id_)
    call.confirm(f"Withdraw {len(cidrs)} prefixes: {', '.join(cidrs)}?")
    made = call.client.write("POST", f"{path}/withdraw", {"cidrs": cidrs})
    state = made.result.get("state")
    return Done(made, f"{', '.join(cidrs)} go once they are seen elsewhere: migration {id_} is {state}")


@app.writes("cancel", matches=True)
def cancel(call: Call, id_: Id) -> Done:
    """End a migration; what was withdrawn stays withdrawn.

    \b
    Examples:
      herald migrations cancel 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    return Done(call.client.write("POST", f"{_path(call, id_)}/cancel"), f"migration {id_} is ended")


def _all(call: Call, account: str) -> list[Object]:
    return call.client.all(herald("accounts", account, "migrations"))


def _path(call: Call, which: str) -> str:
    account, found = call.find(lambda a: _all(call, a), which, "migration")
    return herald("accounts", account, "migrations", str(found["id"]))
