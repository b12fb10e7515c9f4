"""``herald delegations …``."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells, completion
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.options import Cidr, MaybePrefix
from controller.cli.ownership import Target, find_part
from controller.cli.routes import herald

COLUMNS = (
    Column("delegation", "cidr"),
    Column("to account", "delegated_account_id"),
    Column("from account", "account_id", rank=1),
    Column("created", "created_at", cells.time, rank=2),
    Column("id", "id", rank=3),
)
CARD = (
    *COLUMNS[:2],
    Column("may advertise", "may_advertise"),
    Column("created", "created_at", cells.zoned),
    Column("changed", "modified_at", cells.zoned),
    Column("id", "id"),
    Column("etag", "etag"),
)
RECEIVED = (
    Column("delegation", "cidr"),
    Column("in prefix", "prefix_cidr", rank=1),
    Column("from account", "owner_account_id"),
    Column("to account", "account_id", rank=2),
    Column("may advertise", "may_advertise"),
    Column("created", "created_at", cells.time, rank=3),
)
Which = Annotated[
    str,
    typer.Argument(
        metavar="DELEGATION", help="Its CIDR, or its id.", autocompletion=completion.cidrs
    ),
]  # fmt: skip
Permit = Annotated[
    bool, typer.Option("--advertise/--no-advertise", help="Whether that account may advertise and withdraw.")
]

app = Commands("delegations", "Parts of prefixes that other accounts may use.")


@app.reads("list")
def list_(call: Call, prefix: MaybePrefix = None) -> Rows:
    """List what is delegated to others: of one prefix, or of all.

    \b
    Examples:
      herald delegations list
      herald delegations list 198.18.0.0/22 --json
    """
    return Rows([row for _, row in _all(call, prefix)], COLUMNS, "Nothing is delegated to others.")


@app.reads("received")
def received(call: Call) -> Rows:
    """List what others delegated to an account.

    \b
    Examples:
      herald delegations received --account globex
    """
    rows = [
        {**row, "account_id": account}
        for account in call.accounts()
        for row in call.client.all(herald("accounts", account, "delegated_prefixes"))
    ]
    return Rows(rows, RECEIVED, "Nothing was delegated by others.")


@app.reads("show")
def show(call: Call, delegation: Which) -> Card:
    """Show one delegation, and what it allows beyond binding.

    \b
    Examples:
      herald delegations show 198.18.1.0/24
    """
    target, found = _find(call, delegation)
    body, etag = call.client.tagged(_permissions(target, found))
    return Card({**body, "etag": etag}, CARD)


@app.writes("add")
def add(
    call: Call,
    cidr: Cidr,
    to: Annotated[
        str,
        typer.Argument(
            metavar="ACCOUNT", help="The account that may use it.", autocompletion=completion.accounts
        ),
    ],
) -> Done:
    """Let another account bind services to a part of a prefix; advertising stays with the owner.

    \b
    Examples:
      herald delegations add 198.18.1.0/24 globex --dry-run
    """
    target = call.prefix(cidr)
    body = {"cidr": cidr, "delegated_account_id": to}
    return Done(
        call.client.write("POST", target.path("delegations"), body), f"{cidr} is delegated to account {to}"
    )


@app.writes("change", matches=True)
def change(call: Call, delegation: Which, advertise: Permit) -> Done:
    """Let the delegated account advertise, or no longer; what is advertised stays so.

    \b
    Examples:
      herald delegations change 198.18.1.0/24 --advertise
    """
    target, found = _find(call, delegation)
    made = call.client.write("PUT", _permissions(target, found), {"may_advertise": advertise})
    may = "may" if advertise else "may not"
    return Done(made, f"account {found['delegated_account_id']} {may} advertise {found['cidr']}")


@app.writes("delete", matches=True)
def delete(call: Call, delegation: Which) -> Done:
    """End a delegation that nothing of the delegated account stands on.

    \b
    Examples:
      herald delegations delete 198.18.1.0/24
    """
    target, found = _find(call, delegation)
    made = call.client.write("DELETE", target.path("delegations", str(found["id"])))
    says = f"{found['cidr']} is no longer delegated to account {found['delegated_account_id']}"
    return Done(made, says, also={"cidr": found["cidr"]})


def _all(call: Call, prefix: str | None) -> list[tuple[Target, Object]]:
    return [
        (target, {"account_id": target.account_id, **row})
        for target in call.prefixes(prefix)
        for row in call.client.all(target.path("delegations"))
    ]


def _find(call: Call, which: str) -> tuple[Target, Object]:
    found = _all(call, which if "/" in which else None)
    row = find_part([row for _, row in found], which, "delegation")
    return next(target for target, other in found if other is row), row


def _permissions(target: Target, found: Object) -> str:
    parts = ("prefixes", target.prefix_id, "delegations", str(found["id"]), "permissions")
    return herald("accounts", target.account_id, *parts)
