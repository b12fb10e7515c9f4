"""``herald tokens …``."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells, completion
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.options import Account
from controller.cli.routes import herald

COLUMNS = (
    Column("id", "id"),
    Column("role", "role"),
    Column("account", "account_id"),
    Column("description", "description", rank=2, wraps=True),
    Column("created", "created_at", cells.time, rank=1),
    Column("revoked", "revoked_at", cells.time),
)
TokenId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The token's id, not its secret.",
        autocompletion=completion.ids("/herald/v1/tokens"),
    ),
]

app = Commands("tokens", "Bearer tokens: issue, list, revoke (operators).")


@app.reads("list", account=False)
def list_(call: Call) -> Rows:
    """List tokens, without the secrets.

    \b
    Examples:
      herald tokens list
    """
    return Rows(call.client.tokens(), COLUMNS)


@app.writes("add", "create", account=False)
def add(
    call: Call,
    account: Account = None,
    description: Annotated[
        str, typer.Option("--description", metavar="TEXT", help="What it is for, in words.")
    ] = "",
) -> Done:
    """Issue a token: a customer's if an account is named, else an operator's; it is shown this once.

    \b
    Examples:
      herald tokens add --account acme --description "Acme's automation"
    """
    body: Object = {
        "role": "operator" if account is None else "customer",
        "account_id": account,
        "description": description,
    }
    made = call.client.write("POST", herald("tokens"), body)
    shown = Card(made.result, (Column("token", "token"), *COLUMNS))
    return Done(made, "Keep the token now: it is not shown again.", shown)


@app.writes("delete", "revoke", account=False, matches=True)
def delete(call: Call, id_: TokenId) -> Done:
    """Revoke a token at once.

    \b
    Examples:
      herald tokens delete 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    return Done(call.client.write("DELETE", herald("tokens", id_)), f"token {id_} is revoked")
