"""``herald tokens …``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from controller.cli import cells, completion
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.options import Account
from controller.cli.routes import herald


class Role(StrEnum):
    """What a token is for."""

    CUSTOMER = "customer"
    OPERATOR = "operator"
    TASK = "task"
    BREAK_GLASS = "break-glass"


def _scopes(value: object) -> str:
    """Return scopes in words; null stands for all that the role may."""
    if not isinstance(value, dict):
        return "all"
    return " ".join(f"{resource}:{','.join(verbs)}" for resource, verbs in value.items())


COLUMNS = (
    Column("id", "id"),
    Column("role", "role"),
    Column("account", "account_id", rank=1),
    Column("description", "description", rank=4, wraps=True),
    Column("scopes", "scopes", _scopes, rank=3, wraps=True),
    Column("expires", "expires_at", cells.time, rank=3),
    Column("revoked", "revoked_at", cells.time, rank=2),
    Column("created", "created_at", cells.time, rank=5),
)
CARD = (
    *COLUMNS[:5],
    Column("expires", "expires_at", cells.zoned),
    Column("revoked", "revoked_at", cells.zoned),
    Column("created", "created_at", cells.zoned),
    Column("issued with", "issued_by"),
)
TokenId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The token's id, not its secret.",
        autocompletion=completion.ids("/herald/v1/tokens"),
    ),
]

app = Commands("tokens", "Bearer tokens: list, show, add, delete.")


@app.reads("list", account=False)
def list_(call: Call) -> Rows:
    """List tokens, without the secrets.

    \b
    Examples:
      herald tokens list
    """
    return Rows(call.client.tokens(), COLUMNS, "There is no token.")


@app.reads("show", account=False)
def show(call: Call, id_: TokenId) -> Card:
    """Show one token, without the secret.

    \b
    Examples:
      herald tokens show 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    return Card(call.client.one(herald("tokens", id_)), CARD)


@app.writes("add", "create", account=False)
def add(
    call: Call,
    *,
    account: Account = None,
    role: Annotated[
        Role | None,
        typer.Option("--role", help="customer if an account is named, else operator, if left out."),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="RESOURCE:VERBS",
            help="Such as prefixes:read,edit or *:read; may be given again; all of its role if left out.",
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="Such as 2027-01-31T12:00:00Z; never if left out."),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", metavar="TEXT", help="What it is for, in words.")
    ] = "",
) -> Done:
    """Issue a token; it is shown this once.

    \b
    Examples:
      herald tokens add --account acme --description "Acme's automation"
      herald tokens add --account acme --scope prefixes:read --scope bindings:read,create
    """
    body: Object = {
        "role": role or (Role.OPERATOR if account is None else Role.CUSTOMER),
        "account_id": account,
        "description": description,
        **({"scopes": _parsed(scope)} if scope else {}),
        **({"expires_at": expires} if expires is not None else {}),
    }
    made = call.client.write("POST", herald("tokens"), body)
    shown = Card(made.result, (Column("token", "token"), *CARD))
    return Done(made, "Keep the token now: it is not shown again.", shown)


@app.writes("delete", "revoke", account=False)
def delete(
    call: Call,
    id_: TokenId,
    with_issued: Annotated[
        bool, typer.Option("--with-issued", help="Also those that were issued with it: for a stolen one.")
    ] = False,
) -> Done:
    """Revoke a token at once.

    \b
    Examples:
      herald tokens delete 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --with-issued
    """
    query = {"with_issued": "true"} if with_issued else None
    made = call.client.write("DELETE", herald("tokens", id_), query=query)
    more = len(made.result.get("revoked", ())) - 1
    return Done(made, f"token {id_} is revoked" + (f", and {more} issued with it" if more > 0 else ""))


def _parsed(scopes: list[str]) -> Object:
    found: dict[str, list[str]] = {}
    for text in scopes:
        resource, colon, verbs = text.partition(":")
        if not colon or not resource or not all(verbs.split(",")):
            raise typer.BadParameter(f"{text!r} is no RESOURCE:VERBS", param_hint="--scope")
        found.setdefault(resource, []).extend(verbs.split(","))
    return {resource: sorted(set(verbs)) for resource, verbs in found.items()}
