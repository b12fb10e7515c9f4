"""``herald bgp-prefixes …``; to advertise one and wait for it, there are announce and withdraw."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.options import Cidr, MaybePrefix
from controller.cli.ownership import Target, find_part

COLUMNS = (
    Column("BGP prefix", "cidr"),
    Column("advertised", "on_demand.advertised"),
    Column("sites", "configured.sites", cells.sites, rank=2, wraps=True),
    Column("prepends", "asn_prepend_count", rank=4),
    Column("operational", "operational", cells.state, rank=1),
    Column("observed", "observed", cells.state),
    Column("reason", "operational.reason", rank=3, wraps=True),
)
OF_ALL = (COLUMNS[0], Column("account", "account_id", rank=2), *COLUMNS[1:])
CARD = (
    *COLUMNS,
    Column("origin", "asn", cells.origin),
    Column("by BGP control", "auto_advertise_withdraw"),
    Column("locked", "on_demand.on_demand_locked"),
    Column("advertised since", "on_demand.advertised_modified_at", cells.zoned),
    Column("created", "created_at", cells.zoned),
    Column("changed", "modified_at", cells.zoned),
    Column("id", "id"),
    Column("etag", "etag"),
)
Count = Annotated[int, typer.Argument(metavar="COUNT", min=0, max=3, help="Times our AS is prepended.")]

app = Commands("bgp-prefixes", "The advertisable parts of prefixes: list, show, add, change, delete.")


@app.reads("list")
def list_(call: Call, prefix: MaybePrefix = None) -> Rows:
    """List BGP prefixes: of one prefix, or of all.

    \b
    Examples:
      herald bgp-prefixes list
      herald bgp-prefixes list 198.18.0.0/22 --json
    """
    rows = [
        {"account_id": target.account_id, "prefix_id": target.prefix_id, **row}
        for target in call.prefixes(prefix)
        for row in call.client.bgp_prefixes(target.account_id, target.prefix_id)
    ]
    return Rows(rows, OF_ALL, "There is no BGP prefix: bind a prefix to a service first.")


@app.reads("show")
def show(call: Call, cidr: Cidr) -> Card:
    """Show one BGP prefix: what is wanted, what is to be, and what routers hold.

    \b
    Examples:
      herald bgp-prefixes show 192.0.2.0/24
    """
    target, found = _find(call, cidr)
    body, etag = call.client.tagged(_path(target, found))
    return Card({**body, "etag": etag}, CARD)


@app.writes("add", rolls=True)
def add(call: Call, cidr: Cidr) -> Done:
    """Make a part of a prefix a BGP prefix of its own, withdrawn (announce does it by itself).

    \b
    Examples:
      herald bgp-prefixes add 198.18.1.0/24
    """
    target = call.prefix(cidr)
    made = call.client.write("POST", target.path("bgp", "prefixes"), {"cidr": cidr})
    return Done(made, f"{cidr} is a BGP prefix in {target.cidr}, withdrawn")


@app.writes("change", rolls=True, matches=True)
def change(
    call: Call,
    cidr: Cidr,
    prepends: Annotated[
        int | None,
        typer.Option("--prepends", metavar="COUNT", min=0, max=3, help="Times our AS is prepended."),
    ] = None,
    control: Annotated[
        bool | None,
        typer.Option("--bgp-control/--no-bgp-control", help="Whether the customer signals over BGP instead."),
    ] = None,
) -> Done:
    """Change how a BGP prefix is advertised; announce and withdraw say whether and where.

    \b
    Examples:
      herald bgp-prefixes change 192.0.2.0/24 --prepends 2 --dry-run
    """
    wanted = {"asn_prepend_count": prepends, "auto_advertise_withdraw": control}
    body: Object = {name: value for name, value in wanted.items() if value is not None}
    if not body:
        raise typer.BadParameter("say what is to change", param_hint="--prepends or --bgp-control")
    target, found = _find(call, cidr)
    made = call.client.write("PATCH", _path(target, found), body)
    says = {
        "asn_prepend_count": f"has {prepends} prepends",
        "auto_advertise_withdraw": f"{'follows' if control else 'does not follow'} BGP control",
    }
    return Done(made, f"{found['cidr']} {' and '.join(says[name] for name in body)}")


def prepend(call: Call, cidr: Cidr, count: Count) -> Done:
    """Prepend our AS to a BGP prefix's path.

    \b
    Examples:
      herald prefixes prepend 192.0.2.0/24 2
    """
    return change(call, cidr, count)


@app.writes("delete", rolls=True, matches=True)
def delete(call: Call, cidr: Cidr) -> Done:
    """Delete a withdrawn BGP prefix; the prefix around it stays.

    \b
    Examples:
      herald bgp-prefixes delete 198.18.1.0/24
    """
    target, found = _find(call, cidr)
    made = call.client.write("DELETE", _path(target, found))
    also = {"id": found["id"], "cidr": found["cidr"]}
    return Done(made, f"{found['cidr']} is no BGP prefix any more", also=also)


def _find(call: Call, cidr: str) -> tuple[Target, Object]:
    target = call.prefix(cidr)
    return target, find_part(call.client.all(target.path("bgp", "prefixes")), cidr, "BGP prefix")


def _path(target: Target, found: Object) -> str:
    return target.path("bgp", "prefixes", str(found["id"]))
