"""``herald deletions …``: an owner asks, an operator or a task deletes, the owner may have it back."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.options import Which
from controller.cli.ownership import Target
from controller.cli.routes import herald

COLUMNS = (
    Column("prefix", "cidr"),
    Column("account", "account_id", rank=1),
    Column("state", "state"),
    Column("deleted", "deleted_at", cells.time, rank=2),
    Column("can be undone until", "grace_ends_at", cells.time, rank=1),
    Column("reason", "reason", rank=3, wraps=True),
    Column("prefix id", "prefix_id", rank=4),
)
PENDING = (
    Column("prefix", "cidr"),
    Column("account", "account_id", rank=1),
    Column("advertised", "advertised"),
    Column("asked", "pending_delete_at", cells.time, rank=1),
    Column("id", "id", rank=2),
)
Many = Annotated[
    list[str], typer.Argument(metavar="PREFIX...", help="Each by its CIDR or id; none is chosen for you.")
]
Count = Annotated[
    int, typer.Option("--count", metavar="N", min=0, help="How many they are: if not, nothing is done.")
]
Deleted = Annotated[str, typer.Argument(metavar="PREFIX", help="The CIDR or id that it had.")]

app = Commands("deletions", "Asking for a prefix's removal, removing, bringing back.")


@app.reads("list")
def list_(call: Call) -> Rows:
    """List what was deleted, and until when it can be brought back.

    \b
    Examples:
      herald deletions list --account acme
    """
    rows = [
        row
        for account in call.accounts()
        for row in call.client.all(herald("accounts", account, "deletions"))
    ]
    return Rows(rows, COLUMNS, "Nothing was deleted.")


@app.reads("pending")
def pending(call: Call) -> Rows:
    """List the prefixes whose owners asked for their removal (operators).

    \b
    Examples:
      herald deletions pending
    """
    account = call.shared.account
    query = {"pending_delete": "true", **({} if account is None else {"account_id": account})}
    return Rows(call.client.all(herald("prefixes"), query), PENDING, "No owner asked for a removal.")


@app.writes("request", matches=True)
def request(call: Call, prefix: Which) -> Done:
    """Ask for a prefix's removal, as its owner; nothing goes before somebody deletes it. Needs --reason.

    \b
    Examples:
      herald deletions request 198.51.100.0/24 --reason "We moved"
    """
    reason = call.why()
    target = call.prefix(prefix)
    made = call.client.write("PUT", _path(target, "deletion"), {"reason": reason})
    return Done(made, f"the removal of {target.cidr} is asked for; herald deletions cancel takes it back")


@app.writes("cancel", matches=True)
def cancel(call: Call, prefix: Which) -> Done:
    """Take back that a prefix is to be removed.

    \b
    Examples:
      herald deletions cancel 198.51.100.0/24
    """
    target = call.prefix(prefix)
    return Done(call.client.write("DELETE", _path(target, "deletion")), f"{target.cidr} is to stay")


@app.writes("add", "delete", rolls=True, bulk=True)
def add(call: Call, prefixes: Many, count: Count) -> Done:
    """Delete prefixes whose owners asked for it, all or none (operators). Needs --reason; can be undone.

    \b
    Examples:
      herald deletions add 198.51.100.0/24 203.0.113.0/24 --count 2 --reason "Asked for" --dry-run
    """
    reason = call.why()
    targets = [call.prefix(text) for text in prefixes]
    cidrs = ", ".join(t.cidr for t in targets)
    call.confirm(f"Delete {len(targets)} prefixes with their bindings: {cidrs}?")
    body: Object = {
        "ids": [t.prefix_id for t in targets], "expected_count": count, "selector": None, "reason": reason,
    }  # fmt: skip
    made = call.client.write("POST", herald("prefix_deletions"), body)
    return Done(made, f"deleted: {cidrs}; herald deletions undelete brings each back")


@app.writes("undelete", rolls=True)
def undelete(call: Call, prefix: Deleted) -> Done:
    """Bring a deleted prefix back with its BGP prefixes and bindings, withdrawn.

    \b
    Examples:
      herald deletions undelete 198.51.100.0/24
    """

    def deleted(account: str) -> list[Object]:
        rows = call.client.all(herald("accounts", account, "deletions"))
        return [{**row, "id": row["prefix_id"]} for row in rows if row["state"] == "tombstoned"]

    account, found = call.find(deleted, prefix, "deleted prefix", "cidr")
    target = Target(account, str(found["prefix_id"]), str(found["cidr"]))
    return Done(call.client.write("POST", _path(target, "undelete")), f"{target.cidr} is back, withdrawn")


@app.writes("purge", account=False, bulk=True)
def purge(
    call: Call,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of prefixes that were deleted.")],
    count: Count,
) -> Done:
    """Remove deleted prefixes for good once their grace is over, all or none (operators).

    \b
    Examples:
      herald deletions purge 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --count 1
    """
    call.confirm(f"Remove {len(ids)} deleted prefixes for good? This cannot be undone.")
    made = call.client.write("POST", herald("prefix_purges"), {"ids": ids, "expected_count": count})
    return Done(made, f"{len(ids)} prefixes are gone for good")


def _path(target: Target, what: str) -> str:
    return herald("accounts", target.account_id, "prefixes", target.prefix_id, what)
