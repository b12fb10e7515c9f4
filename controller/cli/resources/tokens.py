"""``herald tokens …``."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from controller.addressing.permissions import scopes_from, scopes_text
from controller.cli import cells, completion, token_words
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.options import Account
from controller.cli.routes import herald


class RoleWord(StrEnum):
    """What a token is for."""

    CUSTOMER = "customer"
    OPERATOR = "operator"
    TASK = "task"
    BREAK_GLASS = "break-glass"


def _scopes(row: Object) -> str:
    return scopes_text(scopes_from(row.get("scopes")))


COLUMNS = (
    Column("id", "id"),
    Column("role", "role"),
    Column("account", "account_id"),
    Column("scopes", _scopes, rank=1, wraps=True),
    Column("expires", "expires_at", cells.time),
    Column("description", "description", rank=2, wraps=True),
    Column("created", "created_at", cells.time, rank=3),
    Column("issued by", "issued_by", rank=4),
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

app = Commands("tokens", "Bearer tokens: issue, list, show, revoke; customers those of their account.")


@app.reads("list", account=False)
def list_(call: Call) -> Rows:
    """List tokens, without the secrets; a customer sees its account's.

    \b
    Examples:
      herald tokens list
    """
    return Rows(call.client.tokens(), COLUMNS)


@app.reads("show", account=False)
def show(call: Call, id_: TokenId) -> Card:
    """Show one token, without the secret.

    \b
    Examples:
      herald tokens show 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    return Card(call.client.one(herald("tokens", id_)), COLUMNS)


@app.writes("add", "create", account=False)
def add(
    call: Call,
    *,
    account: Account = None,
    role: Annotated[
        RoleWord | None,
        typer.Option("--role", help="A customer's if an account is named, else an operator's, if left out."),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="RESOURCE:VERB[,VERB]",
            help="What it may do: read, create, edit, delete. Give it for each resource; all if left out.",
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="IN", help="How long it lasts (90m, 8h, 30d, 2w), or until when."),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", metavar="TEXT", help="What it is for, in words.")
    ] = "",
) -> Done:
    """Issue a token that may do no more than yours, for no longer; it is shown this once.

    \b
    Examples:
      herald tokens add --account acme --description "Acme's automation"
      herald tokens add --account acme --scope prefixes:read --scope bgp_prefixes:read,edit --expires 30d
      herald tokens add --role break-glass --expires 8h --reason "the site burns"
    """
    ends = None if expires is None else token_words.end(expires, datetime.now(UTC))
    body: Object = {
        "role": role or (RoleWord.OPERATOR if account is None else RoleWord.CUSTOMER),
        "account_id": account,
        "description": description,
        "scopes": token_words.scopes(scope or ()),
        "expires_at": None if ends is None else ends.isoformat(),
    }
    made = call.client.write("POST", herald("tokens"), body)
    shown = Card(made.result, (Column("token", "token"), *COLUMNS))
    return Done(made, "Keep the token now: it is not shown again.", shown)


@app.writes("delete", "revoke", account=False, matches=True)
def delete(
    call: Call,
    id_: TokenId,
    with_issued: Annotated[
        bool, typer.Option("--with-issued", help="Also all that were issued with it: for a stolen token.")
    ] = False,
) -> Done:
    """Revoke a token at once.

    \b
    Examples:
      herald tokens delete 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    query = {"with_issued": "true"} if with_issued else None
    made = call.client.write("DELETE", herald("tokens", id_), query=query)
    also = [t for t in made.result.get("revoked", ()) if t != id_]
    return Done(made, f"token {id_} is revoked" + (f", and {len(also)} that it issued" if also else ""))
