"""``herald locks …``: withdrawal locks (SAFETY.md, 2)."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.options import Which
from controller.cli.ownership import Target
from controller.cli.routes import herald

CARD = (
    Column("prefix", "cidr"),
    Column("opens with", "opens_with"),
    Column("code", "code"),
    Column("challenge", "challenge"),
    Column("public key", "public_key"),
    Column("locked by", "locked_by"),
    Column("since", "created_at", cells.zoned),
    Column("id", "id"),
)

app = Commands("locks", "Withdrawal locks on prefixes: show, add, delete.")


@app.reads("show")
def show(call: Call, prefix: Which) -> Card:
    """Show the lock on a prefix, and what opens it.

    \b
    Examples:
      herald locks show 192.0.2.0/24
    """
    return Card(call.client.one(_path(call.prefix(prefix))), CARD)


@app.writes("add")
def add(
    call: Call,
    prefix: Which,
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key",
            metavar="BASE64",
            help="An Ed25519 key that opens it; a code, shown once, if left out.",
        ),
    ] = None,
) -> Done:
    """Lock a prefix, as its owner: without the key or code nobody withdraws it, operators neither.

    \b
    Examples:
      herald locks add 192.0.2.0/24
    """
    target = call.prefix(prefix)
    made = call.client.write("PUT", _path(target), {"public_key": public_key})
    more = "" if public_key else ". Keep the code now: it is not shown again"
    return Done(made, f"{target.cidr} is locked{more}.", Card(made.result, CARD))


@app.writes("delete")
def delete(
    call: Call,
    prefix: Which,
    opener: Annotated[
        str,
        typer.Option("--unlock", metavar="CODE|SIGNATURE", help="The code, or the challenge's signature."),
    ],
) -> Done:
    """Take the lock off a prefix.

    \b
    Examples:
      herald locks delete 192.0.2.0/24 --unlock Qm9va3MgYXJlIGJsdWUgYW5k
    """
    if not opener.isascii() or not opener.isprintable() or not opener.strip():
        raise CliError("--unlock: neither a code nor a signature has such characters")
    target = call.prefix(prefix)
    made = call.client.write("DELETE", _path(target), headers={"Herald-Unlock": opener})
    return Done(made, f"{target.cidr} is no longer locked")


def _path(target: Target) -> str:
    return herald("accounts", target.account_id, "prefixes", target.prefix_id, "withdrawal_lock")
