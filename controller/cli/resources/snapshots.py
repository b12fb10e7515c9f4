"""``herald snapshots …``: the operational state's history: who, why, and what it changed."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.routes import herald

SHORT = 12


def short(value: object) -> str:
    """Return the beginning of an id or hash; nothing for none."""
    return "-" if value is None else cells.text(value)[:SHORT]


COLUMNS = (
    Column("id", "id", short),
    Column("at", "at", cells.time),
    Column("who", "actor", rank=2),
    Column("accounts", lambda row: ", ".join(sorted(row["accounts"])), rank=1),
    Column("why", "reason", wraps=True),
)
CARD = (
    Column("id", "id"),
    Column("at", "at", cells.zoned),
    Column("who", "actor"),
    Column("why", "reason"),
    Column("change-set", "change_set_id"),
    Column("parent", "parent_id"),
    Column("newest", "head"),
    Column("thinned", lambda row: "its tree is not whole any more" if row["thinned"] else None),
)
OBJECTS = (
    Column("account", "account_id", rank=1),
    Column("what", lambda row: row["kind"].replace("_", " ").replace("bgp", "BGP")),
    Column("prefix", lambda row: (row["after"] or row["before"])["cidr"]),
    Column("before", lambda row: told(row["before"])),
    Column("after", lambda row: told(row["after"])),
    Column("id", "id", rank=2),
)
EFFECTS = (
    Column("account", "account_id", rank=1),
    Column("site", "site"),
    Column("what", "verb"),
    Column("prefix", "cidr"),
    Column("kind", "kind", rank=2),
)
Name = Annotated[
    str,
    typer.Argument(
        metavar="SNAPSHOT", help="An id's beginning, HEAD, HEAD~2, @2026-02-20T17:56Z, @-15m (ago)."
    ),
]

app = Commands("snapshots", "The operational state's history: list, show, diff, check, collect.")


def told(thing: Object | None) -> str:
    """Return what an object is, in a few words; a dash where it is not there."""
    if thing is None:
        return "-"
    if "advertised" in thing:
        state = "advertised" if thing["advertised"] else "withdrawn"
        prepends = f", {thing['prepends']} prepends" if thing["prepends"] else ""
        return f"{state} at {cells.sites(thing['sites'])}{prepends}"
    return cells.text(thing["service_id"]) if "service_id" in thing else cells.origin(thing["asn"])


@app.reads("list")
def list_(
    call: Call,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="So many.")] = 20,
) -> Rows:
    """List the newest snapshots: who changed what is in production, when and why.

    \b
    Examples:
      herald snapshots list --account acme
    """
    account = call.shared.account
    query = {"limit": str(limit), **({} if account is None else {"account_id": account})}
    return Rows(call.client.all(herald("snapshots"), query), COLUMNS, "There is no snapshot yet.")


@app.reads("show", account=False)
def show(call: Call, snapshot: Name) -> Card:
    """Show one snapshot: who, why, the objects that it changed, and what that did at each site.

    \b
    Examples:
      herald snapshots show HEAD
      herald snapshots show @2026-02-20T17:56Z --json
    """
    body = call.client.one(herald("snapshots", snapshot))
    return Card(body, CARD, parts(body["changes"]))


@app.reads("diff")
def diff(call: Call, older: Name, newer: Name) -> Card:
    """Compare two snapshots: accounts, objects, and effects at each site of going from one to the other.

    \b
    Examples:
      herald snapshots diff HEAD~5 HEAD --account acme
    """
    account = call.shared.account
    query = None if account is None else {"account_id": account}
    body = call.client.one(herald("snapshots", older, "diff", newer), query)
    columns = (
        Column("from", "from_id"), Column("to", "to_id"), Column("accounts that differ", "total"),
    )  # fmt: skip
    return Card(body, columns, parts(body["accounts"]) if body["total"] else ())


@app.reads("check", account=False)
def check(call: Call) -> Card:
    """Read and hash every chunk; fails if one is damaged, and says whose it is (operators).

    \b
    Examples:
      herald snapshots check
    """
    body = call.client.one(herald("chunks"))
    damaged = (
        Column("chunk", "hash", short), Column("accounts now", "accounts"), Column("sites", "sites", rank=1),
        Column("snapshots", lambda row: ", ".join(i[:SHORT] for i in row["snapshots"]), rank=2),
        Column("what", "why", wraps=True),
    )  # fmt: skip
    if body["damaged"] and not call.shared.as_json:
        from controller.cli.output import print_answer  # noqa: PLC0415

        print_answer(Rows(body["damaged"], damaged))
        raise CliError(f"{len(body['damaged'])} of {body['chunks']} chunks are damaged: restore from a copy")
    return Card(body, (Column("chunks", "chunks"), Column("damaged", lambda row: len(row["damaged"]))))


@app.writes("collect", account=False, bulk=True)
def collect(
    call: Call,
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=1, help="The newest so many stay, whatever their age.")
    ] = 1000,
    days: Annotated[
        int, typer.Option("--days", metavar="DAYS", min=0, help="Younger ones stay, however many.")
    ] = 90,
) -> Done:
    """Let old history go that nothing stands on (operators). What is live or referenced always stays.

    \b
    Examples:
      herald snapshots collect --dry-run
      herald snapshots collect --keep 100 --days 30 --yes
    """
    call.confirm(f"Let history go that is older than {days} days and the newest {keep} snapshots?")
    made = call.client.write("POST", herald("snapshot_collections"), {"keep_newest": keep, "keep_days": days})
    found = made.result
    would = "would be" if call.shared.dry_run else "were"
    says = (
        f"{found['snapshots']} snapshots, {found['rollouts']} roll-outs and {found['chunks']} chunks {would} "
        f"let go, {found['thinned']} snapshots thinned; {found['chunks_left']} chunks stay"
    )
    if call.shared.dry_run and not call.shared.as_json:
        typer.echo(f"Dry run: {says}.")
        raise typer.Exit
    return Done(made, says)


def parts(changes: list[Object]) -> tuple[Rows, ...]:
    """Return objects and effects of accounts as tables."""
    objects = [{**o, "account_id": c["account_id"]} for c in changes for o in c["objects"]]
    effects = [{**e, "account_id": c["account_id"]} for c in changes for e in c["effects"]]
    return (
        Rows(objects, OBJECTS, "No object is changed."),
        Rows(effects, EFFECTS, "Nothing changes at any site."),
    )
