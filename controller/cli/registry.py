"""``herald accounts``, ``services`` and ``tokens``: what operators keep."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli.options import Account, Json, Lab, Token, Url


def _group(name: str, what: str) -> typer.Typer:
    return typer.Typer(name=name, help=what, no_args_is_help=True, rich_markup_mode=None)


accounts = _group("accounts", "Customers' accounts.")
services = _group("services", "Services that may be bound to addresses.")
tokens = _group("tokens", "Bearer tokens: issue, list, revoke (operators).")


def register(app: typer.Typer) -> None:
    """Add the groups."""
    for group in (accounts, services, tokens):
        app.add_typer(group)


@accounts.command("list")
def list_accounts(url: Url = None, token: Token = None, lab: Lab = None, as_json: Json = False) -> None:
    """List accounts."""
    from controller.cli.find import connect  # noqa: PLC0415 (quick `herald --help`)

    _show(connect(url, token, lab).client.accounts(), ("id", "name"), as_json)


@accounts.command("create")
def create_account(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    id_: Annotated[str | None, typer.Option("--id", help="Made up if left out.")] = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Make an account.

    \b
    Examples:
      herald accounts create "Acme" --id acme
    """
    from controller.cli.find import connect  # noqa: PLC0415

    _show([connect(url, token, lab).client.create_account(name, id=id_)], ("id", "name"), as_json, one=True)


@services.command("list")
def list_services(
    *, account: Account = None, url: Url = None, token: Token = None, lab: Lab = None, as_json: Json = False
) -> None:
    """List services; they are the same for every account."""
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.ownership import accounts_to_list  # noqa: PLC0415

    client = connect(url, token, lab).client
    any_account = accounts_to_list(client, account)[:1]
    _show(client.services(any_account[0]) if any_account else [], ("id", "name"), as_json)


@services.command("create")
def create_service(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Make a service (operators).

    \b
    Examples:
      herald services create cdn CDN
    """
    from controller.cli.find import connect  # noqa: PLC0415

    _show([connect(url, token, lab).client.create_service(id_, name)], ("id", "name"), as_json, one=True)


@tokens.command("list")
def list_tokens(url: Url = None, token: Token = None, lab: Lab = None, as_json: Json = False) -> None:
    """List tokens, without the secrets."""
    from controller.cli.find import connect  # noqa: PLC0415

    columns = ("id", "role", "account_id", "description", "created_at", "revoked_at")
    _show(connect(url, token, lab).client.tokens(), columns, as_json)


@tokens.command("create")
def create_token(
    *,
    account: Annotated[
        str | None, typer.Option("--account", help="The customer's account; an operator's token if left out.")
    ] = None,
    description: Annotated[str, typer.Option("--description")] = "",
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Issue a token; it is shown this once.

    \b
    Examples:
      herald tokens create --account acme --description "Acme's automation"
    """
    from controller.cli.find import connect  # noqa: PLC0415

    role = "operator" if account is None else "customer"
    made = connect(url, token, lab).client.create_token(role, account_id=account, description=description)
    _show([made], ("token", "id", "role", "account_id"), as_json, one=True)


@tokens.command("revoke")
def revoke_token(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    *,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Revoke a token at once.

    \b
    Examples:
      herald tokens revoke 0f9c…
    """
    from controller.cli.find import connect  # noqa: PLC0415

    made = connect(url, token, lab).client.revoke_token(id_)
    _show([made], ("id", "role", "revoked_at"), as_json, one=True)


def _show(
    found: list[dict[str, object]], columns: tuple[str, ...], as_json: bool, *, one: bool = False
) -> None:
    from controller.cli.output import print_json, print_table  # noqa: PLC0415

    if as_json:
        print_json(found[0] if one else found)
    else:
        print_table(columns, ([row.get(c) for c in columns] for row in found))
