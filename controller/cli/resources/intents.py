"""``herald intents …``: what two operators make together (SAFETY.md, 2)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from controller.cli import cells, completion
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.routes import herald


class Kind(StrEnum):
    """What an intent allows."""

    WITHDRAW = "withdraw"
    UNBIND = "unbind"
    DELETE = "delete"
    PREPEND = "prepend"
    NARROW = "narrow"
    REORIGIN = "reorigin"


COLUMNS = (
    Column("id", "id"),
    Column("state", "state"),
    Column("kind", "kind", rank=1),
    Column("account", "account_id", rank=2),
    Column("prefixes", "prefixes", rank=3, wraps=True),
    Column("expires", "expires_at", cells.time, rank=4),
    Column("reason", "reason", rank=5, wraps=True),
)
CARD = (
    *COLUMNS[:5],
    Column("sites", "sites", cells.sites, wraps=True),
    Column("reason", "reason", wraps=True),
    Column("requested by", "requested_by"),
    Column("requested", "requested_at", cells.zoned),
    Column("confirmed by", "confirmed_by"),
    Column("confirmed", "confirmed_at", cells.zoned),
    Column("expires", "expires_at", cells.zoned),
    Column("used", "used_at", cells.zoned),
    Column("used for", "used_for"),
)
KEYS = (Column("id", "id"), Column("public key", "public_key"), Column("signs", "signs", rank=1))
Id = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The request's id.", autocompletion=completion.ids("/herald/v1/intent_requests")
    ),
]

app = Commands("intents", "Intents of two operators: list, show, add, confirm, keys.")


@app.reads("list", account=False)
def list_(call: Call) -> Rows:
    """List what operators asked for (operators).

    \b
    Examples:
      herald intents list
    """
    return Rows(call.client.all(herald("intent_requests")), COLUMNS, "No operator asked for an intent.")


@app.reads("show", account=False)
def show(call: Call, id_: Id) -> Card:
    """Show one, and what it was used for (operators).

    \b
    Examples:
      herald intents show 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    return Card(call.client.one(herald("intent_requests", id_)), CARD)


@app.reads("keys", account=False)
def keys(call: Call) -> Rows:
    """List the public keys that intents are checked with; the one that signs is the first.

    \b
    Examples:
      herald intents keys
    """
    return Rows(call.client.all(herald("intents", "keys")), KEYS, "There is no key.")


@app.writes("add")
def add(
    call: Call,
    *,
    kind: Annotated[Kind, typer.Argument(help="What it allows.")],
    cidrs: Annotated[
        list[str],
        typer.Argument(metavar="CIDR...", help="Each prefix, named.", autocompletion=completion.cidrs),
    ],
    site: Annotated[
        list[str] | None,
        typer.Option(
            "--site", metavar="SITE", help="Only there; may be given again.", autocompletion=completion.sites
        ),
    ] = None,
    expires: Annotated[
        int, typer.Option("--expires-in", metavar="SECONDS", min=60, help="For confirming and using it.")
    ] = 3600,
) -> Done:
    """Ask for an intent that another operator must confirm; name the --account and the --reason.

    \b
    Examples:
      herald intents add withdraw 192.0.2.0/24 --account acme --reason "Court order 7"
    """
    if call.shared.account is None:
        raise CliError("whose prefixes? give --account")
    body: Object = {
        "account_id": call.shared.account, "kind": kind, "prefixes": cidrs, "sites": site,
        "reason": call.why(), "expires_in_s": expires,
    }  # fmt: skip
    made = call.client.write("POST", herald("intent_requests"), body)
    return Done(made, f"another operator confirms it: herald intents confirm {made.result.get('id')}")


@app.writes("confirm", account=False)
def confirm(call: Call, id_: Id) -> Done:
    """Confirm what another operator asked for: it is signed, and can be used once by --intent ID.

    \b
    Examples:
      herald intents confirm 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    made = call.client.write("POST", f"{herald('intent_requests', id_)}/confirm")
    return Done(made, f"intent {id_} is signed: give it by --intent {id_}")
