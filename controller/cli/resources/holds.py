"""``herald holds …``: what is held before it becomes operational, and deciding on it."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Column, Done, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.routes import herald

COLUMNS = (
    Column("change-set", "change_set_id"),
    Column("account", "account_id", rank=1),
    Column("by", "actor", rank=2),
    Column("since", "since", cells.time, rank=3),
    Column("held by", lambda h: ", ".join(h["checks"])),
    Column("waiting", lambda h: len(h["waiting"]) or "", rank=4),
    Column("reason", "reason", rank=2, wraps=True),
)
Id = Annotated[str, typer.Argument(metavar="CHANGE_SET", help="The held change-set's id.")]

app = Commands("holds", "What is held before it becomes operational: list, deploy, drop.")


@app.reads("list")
def list_(call: Call) -> Rows:
    """List what is held, by what, and why; customers see their own.

    \b
    Examples:
      herald holds list
      herald holds list --account acme --json
    """
    query = None if call.shared.account is None else {"account_id": call.shared.account}
    return Rows(call.client.all(herald("holds"), query), COLUMNS, "Nothing is held.")


def _decide(call: Call, id_: str, decision: str, says: str) -> Done:
    held = next((h for h in call.client.all(herald("holds")) if h["change_set_id"] == id_), None)
    if held is None:
        raise CliError(f"no change-set {id_!r} is held: herald holds list shows what is")
    path = f"{herald('accounts', held['account_id'], 'holds', id_)}/decision"
    client = call.connection.as_owner(held["account_id"]).client if decision == "deploy" else call.client
    made = client.write("POST", path, {"decision": decision, "reason": call.why()})
    return Done(made, f"{id_} {says}")


@app.writes("deploy", account=False, rolls=True)
def deploy(call: Call, id_: Id) -> Done:
    """Want it after all: as its owner, or as operators by the --intent of two; say the --reason.

    \b
    Examples:
      herald holds deploy 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --reason "asked the customer" --intent ID
    """
    return _decide(call, id_, "deploy", "is assessed again, and goes out unless something else holds it")


@app.writes("drop", account=False)
def drop(call: Call, id_: Id) -> Done:
    """Never carry it out; what waits behind it is looked at again; say the --reason.

    \b
    Examples:
      herald holds drop 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --reason "a run-away clean-up"
    """
    return _decide(call, id_, "drop", "is dropped")
