"""``herald prefixes …``."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.options import Deadline, Description, Which
from controller.cli.resources import bgp_prefixes, bindings, checks, deletions, timeline
from controller.cli.routes import addressing

COLUMNS = (
    Column("prefix", "cidr"),
    Column("account", "account_id", rank=2),
    Column("origin", "asn", cells.origin, rank=4),
    Column("approved", "approved", cells.approval, rank=3),
    Column("advertised", "configured.advertised", rank=1),
    Column("operational", "operational", cells.state, rank=2),
    Column("observed", "observed", cells.state, rank=1),
    Column("description", "description", rank=5, wraps=True),
)
CARD = (
    *COLUMNS,
    Column("reason", "operational.reason", wraps=True),
    Column("IRR", "irr_validation_state"),
    Column("RPKI", "rpki_validation_state"),
    Column("ownership", "ownership_validation_state"),
    Column("ownership token", "ownership_validation_token"),
    Column("letter", "loa_document_id"),
    Column("created", "created_at", cells.zoned),
    Column("changed", "modified_at", cells.zoned),
    Column("id", "id"),
    Column("etag", "etag"),
)

app = Commands("prefixes", "Onboarded prefixes: list, show, add, change, approve, delete.")


@app.reads("list")
def list_(call: Call) -> Rows:
    """List prefixes: what is wanted, what is to be, and what routers hold.

    \b
    Examples:
      herald prefixes list
      herald prefixes list --account acme --json
    """
    rows = [row for a in call.accounts() for row in call.client.prefixes(a)]
    return Rows(rows, COLUMNS, "There is no prefix: herald prefixes add CIDR")


@app.reads("show")
def show(call: Call, prefix: Which) -> Card:
    """Show one prefix with its BGP prefixes and bindings.

    \b
    Examples:
      herald prefixes show 192.0.2.0/24
    """
    target = call.prefix(prefix)
    found, etag = call.client.tagged(target.path())
    bgp = call.client.bgp_prefixes(target.account_id, target.prefix_id)
    bound = call.client.bindings(target.account_id, target.prefix_id)
    return Card(
        {**found, "bgp_prefixes": bgp, "bindings": bound, "etag": etag},
        CARD,
        (
            Rows(bgp, bgp_prefixes.COLUMNS, "It has no BGP prefix: bind it to a service first."),
            Rows(bound, bindings.COLUMNS, "It is bound to no service: herald bindings add CIDR SERVICE"),
        ),
    )


@app.writes("add", "create")
def add(
    call: Call,
    cidr: Annotated[str, typer.Argument(metavar="CIDR", help="At most /24 or /48 long.")],
    asn: Annotated[
        int | None, typer.Option("--asn", metavar="ASN", help="The origin AS; ours if left out.")
    ] = None,
    description: Description = "",
    loa: Annotated[
        str | None, typer.Option("--loa", metavar="ID", help="Its letter of authorization (herald loa list).")
    ] = None,
) -> Done:
    """Onboard a prefix; an operator approves it before it can be used.

    \b
    Examples:
      herald prefixes add 198.51.100.0/24 --asn 64511 --account globex
    """
    body: Object = {"cidr": cidr, "asn": asn, "description": description}
    if loa is not None:
        body["loa_document_id"] = loa
    made = call.client.write("POST", addressing(call.account(), "prefixes"), body)
    return Done(made, f"{cidr} is onboarded and waits for approval: herald prefixes approve {cidr}")


@app.writes("change", "edit", matches=True)
def change(call: Call, prefix: Which, description: Description) -> Done:
    """Change a prefix's description.

    \b
    Examples:
      herald prefixes change 192.0.2.0/24 --description "Web servers"
    """
    target = call.prefix(prefix)
    made = call.client.write("PATCH", target.path(), {"description": description})
    return Done(made, f"{target.cidr} is described as {description!r}")


@app.writes("approve", matches=True, rolls=True)
def approve(call: Call, prefix: Which) -> Done:
    """Approve a prefix (operators).

    \b
    Examples:
      herald prefixes approve 198.51.100.0/24 --reason "Letter seen"
    """
    target = call.prefix(prefix)
    made = call.client.write("POST", target.path("approve"))
    return Done(made, f"{target.cidr} {'is' if made.change_sets else 'was'} approved")


@app.writes("delete", matches=True)
def delete(call: Call, prefix: Which) -> Done:
    """Delete a prefix that is not approved.

    \b
    Examples:
      herald prefixes delete 203.0.113.0/24
    """
    target = call.prefix(prefix)
    made = call.client.write("DELETE", target.path())
    return Done(made, f"{target.cidr} is deleted", also={"id": target.prefix_id, "cidr": target.cidr})


@app.writes("undelete", rolls=True)
def undelete(call: Call, prefix: deletions.Deleted) -> Done:
    """Bring a deleted prefix back with its BGP prefixes and bindings, withdrawn.

    \b
    Examples:
      herald prefixes undelete 198.51.100.0/24
    """
    return deletions.undelete(call, prefix)


app.reads("checks")(checks.checks)
app.reads("history")(timeline.history)
app.writes("validate", other={"deadline": (Deadline, 60.0)})(checks.validate)

# The names that these had at first.
app.writes("bind", rolls=True, shown=False)(bindings.add)
app.writes("unbind", rolls=True, matches=True, shown=False)(bindings.delete)
app.writes("split", rolls=True, shown=False)(bgp_prefixes.add)
app.writes("join", rolls=True, matches=True, shown=False)(bgp_prefixes.delete)
app.writes("prepend", rolls=True, matches=True, shown=False)(bgp_prefixes.prepend)
