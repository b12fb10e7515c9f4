"""``herald address-maps …``."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells, completion
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import addressing, segments

COLUMNS = (
    Column("id", "id"),
    Column("account", "account_id", rank=1),
    Column("enabled", "enabled"),
    Column("default SNI", "default_sni", rank=2),
    Column("description", "description", rank=3, wraps=True),
    Column("changed", "modified_at", cells.time, rank=4),
)
CARD = (
    *COLUMNS[:-1],
    Column("may be deleted", "can_delete"),
    Column("addresses may change", "can_modify_ips"),
    Column("created", "created_at", cells.zoned),
    Column("changed", "modified_at", cells.zoned),
    Column("etag", "etag"),
)
IPS = (Column("address", "ip"), Column("since", "created_at", cells.time, rank=1))
MEMBERS = (
    Column("member", "identifier"),
    Column("kind", "kind"),
    Column("since", "created_at", cells.time, rank=1),
)

Which = Annotated[
    str,
    typer.Argument(
        metavar="MAP",
        help="An id (herald address-maps list), or the description.",
        autocompletion=completion.address_maps,
    ),
]
Ips = Annotated[list[str] | None, typer.Option("--ip", metavar="IP", help="An address; may be given again.")]
Zones = Annotated[
    list[str] | None, typer.Option("--zone", metavar="ZONE", help="A zone's id; may be given again.")
]
Members = Annotated[
    list[str] | None,
    typer.Option(
        "--member",
        metavar="ACCOUNT",
        help="An account; may be given again.",
        autocompletion=completion.accounts,
    ),
]
Enabled = Annotated[bool | None, typer.Option("--enable/--disable", help="Whether it is in effect.")]
MaybeDescription = Annotated[
    str | None, typer.Option("--description", metavar="TEXT", help="What it is for, in words.")
]

app = Commands("address-maps", "Which addresses answer for which zones.")


@app.reads("list")
def list_(call: Call) -> Rows:
    """List address maps.

    \b
    Examples:
      herald address-maps list --account acme
    """
    rows = [{"account_id": account, **row} for account in call.accounts() for row in _all(call, account)]
    return Rows(rows, COLUMNS, "There is no address map: herald address-maps add --ip IP")


@app.reads("show")
def show(call: Call, map_: Which) -> Card:
    """Show one address map with its addresses and members.

    \b
    Examples:
      herald address-maps show 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    account, path = _find(call, map_)
    found, etag = call.client.tagged(path)
    return Card(
        {"account_id": account, **found, "etag": etag},
        CARD,
        (
            Rows(found["ips"], IPS, "It has no address."),
            Rows(found["memberships"], MEMBERS, "It has no member."),
        ),
    )


@app.writes("add")
def add(
    call: Call,
    *,
    ip: Ips = None,
    zone: Zones = None,
    member: Members = None,
    enabled: Enabled = None,
    description: MaybeDescription = None,
) -> Done:
    """Make an address map, disabled if not told otherwise.

    \b
    Examples:
      herald address-maps add --ip 192.0.2.1 --ip 192.0.2.2 --zone example --description Shop
    """
    members = [{"kind": "zone", "identifier": z} for z in zone or []]
    members += [{"kind": "account", "identifier": a} for a in member or []]
    body: Object = {"ips": ip or [], "memberships": members, "enabled": enabled, "description": description}
    made = call.client.write("POST", addressing(call.account(), "address_maps"), body)
    state = "enabled" if made.result.get("enabled") else "disabled"
    return Done(made, f"address map {made.result.get('id')} is there, {state}")


@app.writes("change", matches=True)
def change(
    call: Call,
    map_: Which,
    enabled: Enabled = None,
    description: MaybeDescription = None,
    sni: Annotated[
        str | None,
        typer.Option("--default-sni", metavar="NAME", help='For clients that name no server; "" for none.'),
    ] = None,
) -> Done:
    """Enable or disable an address map, or change its description or default SNI.

    \b
    Examples:
      herald address-maps change 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --disable
    """
    wanted = {"enabled": enabled, "description": description, "default_sni": sni}
    body: Object = {name: value for name, value in wanted.items() if value is not None}
    if not body:
        raise typer.BadParameter("say what is to change", param_hint="--enable, --description, --default-sni")
    if sni == "":
        body["default_sni"] = None
    _, path = _find(call, map_)
    return Done(call.client.write("PATCH", path, body), f"address map {map_} is changed")


@app.writes("put", matches=True)
def put(
    call: Call,
    map_: Which,
    ip: Annotated[str | None, typer.Option("--ip", metavar="IP", help="An address.")] = None,
    zone: Annotated[str | None, typer.Option("--zone", metavar="ZONE", help="A zone's id.")] = None,
    member: Annotated[str | None, typer.Option("--member", metavar="ACCOUNT", help="An account.")] = None,
) -> Done:
    """Put an address, a zone or an account into an address map.

    \b
    Examples:
      herald address-maps put Shop --ip 192.0.2.3
    """
    part, what = _part(ip, zone, member)
    _, path = _find(call, map_)
    return Done(call.client.write("PUT", f"{path}{part}"), f"{what} is in address map {map_}")


@app.writes("take", matches=True)
def take(
    call: Call,
    map_: Which,
    ip: Annotated[str | None, typer.Option("--ip", metavar="IP", help="An address.")] = None,
    zone: Annotated[str | None, typer.Option("--zone", metavar="ZONE", help="A zone's id.")] = None,
    member: Annotated[str | None, typer.Option("--member", metavar="ACCOUNT", help="An account.")] = None,
) -> Done:
    """Take an address, a zone or an account out of an address map.

    \b
    Examples:
      herald address-maps take Shop --zone example
    """
    part, what = _part(ip, zone, member)
    _, path = _find(call, map_)
    return Done(call.client.write("DELETE", f"{path}{part}"), f"{what} is no longer in address map {map_}")


@app.writes("delete", matches=True)
def delete(call: Call, map_: Which) -> Done:
    """Delete a disabled address map.

    \b
    Examples:
      herald address-maps delete 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    _, path = _find(call, map_)
    return Done(call.client.write("DELETE", path), f"address map {map_} is deleted")


def _all(call: Call, account: str) -> list[Object]:
    return call.client.all(addressing(account, "address_maps"))


def _find(call: Call, which: str) -> tuple[str, str]:
    """Return the account and the path of a map."""
    account, found = call.find(lambda a: _all(call, a), which, "address map", "id", "description")
    return account, addressing(account, "address_maps", str(found["id"]))


def _part(ip: str | None, zone: str | None, member: str | None) -> tuple[str, str]:
    """Return the end of the path of what is put or taken, and what it is called."""
    given = [
        (kind, what, value)
        for kind, what, value in (
            ("ips", "address", ip),
            ("zones", "zone", zone),
            ("accounts", "account", member),
        )
        if value is not None
    ]
    if len(given) != 1:
        raise typer.BadParameter("give one of them", param_hint="--ip, --zone or --member")
    kind, what, value = given[0]
    return segments(kind, value), f"{what} {value}"
