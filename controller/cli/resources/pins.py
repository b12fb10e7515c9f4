"""``herald pins …``: accounts that were rolled back, and what is to be kept or dropped of what they asked."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.resources.snapshots import short
from controller.cli.routes import herald

COLUMNS = (
    Column("account", "account_id"),
    Column("since", "since", cells.time),
    Column("rolled back to", "snapshot_id", short),
    Column("open", "open"),
    Column("rollback", "rollback_id", rank=1),
)
CARD = (
    Column("account", "account_id"),
    Column("since", "since", cells.zoned),
    Column("rollback", "rollback_id"),
    Column("to snapshot", "snapshot_id"),
    Column("why", "reason"),
)
CHANGE_SETS = (
    Column("change-set", "change_set_id"),
    Column("at", "at", cells.time, rank=1),
    Column("who", "actor", rank=2),
    Column("asked", "touches", wraps=True),
    Column("why", "reason", rank=3, wraps=True),
    Column("decision", lambda row: row["decision"] or "open"),
)
Ids = Annotated[
    list[str] | None,
    typer.Option("--keep", metavar="CHANGE-SET", help="Ask for this one anew; may be given again."),
]
Drops = Annotated[
    list[str] | None,
    typer.Option("--drop", metavar="CHANGE-SET", help="Let this one go; may be given again."),
]

app = Commands("pins", "Accounts that were rolled back, and what is to be decided: list, show, decide.")


@app.reads("list", account=False)
def list_(call: Call) -> Rows:
    """List the accounts that are pinned by a rollback.

    \b
    Examples:
      herald pins list
    """
    return Rows(call.client.all(herald("pins")), COLUMNS, "No account is pinned.")


@app.reads("show")
def show(call: Call) -> Card:
    """Show an account's pin: each change-set that a rollback undid or kept back.

    \b
    Examples:
      herald pins show --account acme
    """
    pin = _pin(call)
    return Card(pin, CARD, [Rows(pin["change_sets"], CHANGE_SETS)])


@app.writes("decide")
def decide(
    call: Call,
    keep: Ids = None,
    drop: Drops = None,
    keep_rest: Annotated[bool, typer.Option("--keep-rest", help="Keep all others that are open.")] = False,
    drop_rest: Annotated[bool, typer.Option("--drop-rest", help="Drop all others that are open.")] = False,
) -> Done:
    """Keep or drop what an account asked for since it was rolled back to; with the last the pin ends.

    \b
    Examples:
      herald pins decide --account acme --keep 41cb70 --drop-rest
      herald pins decide --account acme --drop-rest --dry-run
    """
    if keep_rest and drop_rest:
        raise typer.BadParameter("give one of --keep-rest and --drop-rest", param_hint="--keep-rest")
    pin = _pin(call)
    decisions: dict[str, str] = {}
    for given, decision in ((keep, "keep"), (drop, "drop")):
        for text in given or ():
            decisions[_one(pin, text)] = decision
    rest = "keep" if keep_rest else "drop" if drop_rest else None
    if rest is not None:
        still_open = [c["change_set_id"] for c in pin["change_sets"] if c["decision"] is None]
        decisions = dict.fromkeys(still_open, rest) | decisions
    if not decisions:
        raise CliError("decide what? give --keep, --drop, --keep-rest or --drop-rest: herald pins show")
    account = str(pin["account_id"])
    path = herald("accounts", account, "pin", "decisions")
    made = call.client.write("POST", path, {"decisions": decisions})
    left = made.result["pin"]
    says = (
        f"everything is decided: account {account} is not pinned any more"
        if left is None
        else f"decided {len(decisions)}; {left['open']} of account {account} are open: herald pins show"
    )
    return Done(made, says)


def _pin(call: Call) -> Object:
    pins = call.client.all(herald("pins"))
    account = call.shared.account
    found = [p for p in pins if account in (None, p["account_id"])]
    if len(found) != 1:
        names = ", ".join(str(p["account_id"]) for p in pins) or "none"
        raise CliError(f"which pin? give --account; pinned accounts: {names}")
    return found[0]


def _one(pin: Object, text: str) -> str:
    found = [c["change_set_id"] for c in pin["change_sets"] if str(c["change_set_id"]).startswith(text)]
    if len(found) != 1:
        ids = ", ".join(str(c["change_set_id"]) for c in pin["change_sets"])
        raise CliError(f"{text!r} begins {len(found)} change-sets of that pin: there are {ids}")
    return str(found[0])
