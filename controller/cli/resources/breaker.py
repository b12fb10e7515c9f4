"""``herald breaker …``: what is open, why, since when, what waits; closing it (SAFETY.md, 4)."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import herald

OPEN = (
    Column("scope", "scope"),
    Column("since", "since", cells.time),
    Column("detected after", lambda o: f"{o['detected_after_s']:.3f} s"),
    Column("held", lambda o: sum(len(g["change_sets"]) for g in o["groups"])),
    Column("why", "says", rank=1, wraps=True),
    Column("answered by", "answered_by", rank=2),
)
GROUPS = (
    Column("scope", "scope"),
    Column("queue", "queue_hash"),
    Column("group", "group"),
    Column("change-sets", lambda g: len(g["change_sets"])),
    Column("prefixes", "prefixes"),
    Column("unasked", lambda g: "yes: needs two operators' intent, or the owners" if g["unasked"] else ""),
    Column("accounts", lambda g: ", ".join(g["accounts"]), rank=1, wraps=True),
)
CLOSED = (
    Column("scope", "scope"),
    Column("opened", "since", cells.time, rank=1),
    Column("closed", "closed_at", cells.time),
    Column("by", "closed_by", rank=1),
    Column("reason", "reason", wraps=True),
)

Scope = Annotated[
    str, typer.Argument(metavar="SCOPE", help="fleet, class:VERB, actor:ROLE:ID or account:ID, as shown.")
]

app = Commands("breaker", "The circuit breaker: show, answer, close.")


@app.reads("show", account=False)
def show(call: Call) -> Card:
    """Show what is open, since when and why, what waits by group, and what closes it.

    \b
    Examples:
      herald breaker show
      herald breaker show --json
    """
    found = call.client.one(herald("breaker"))
    queues = [
        {"scope": o["scope"], "queue_hash": o["queue_hash"], **g} for o in found["open"] for g in o["groups"]
    ]
    return Card(
        found,
        (Column("breaker", lambda f: "open" if f["open"] else "closed: nothing is held by it"),),
        (
            Rows(found["open"], OPEN, "No scope is open."),
            Rows(queues, GROUPS, "Nothing waits in an open scope."),
            Rows(found["closed"], CLOSED, "Nothing was closed lately."),
        ),
    )


@app.writes("close", account=False, bulk=True, other={})
def close(
    call: Call,
    *,
    scope: Scope,
    queue: Annotated[str, typer.Option("--queue", metavar="HASH", help="Of the queue that you looked at.")],
    decide: Annotated[
        list[str] | None,
        typer.Option(
            "--decide", metavar="GROUP=WHAT", help="deploy, drop or wait; once for each group of the queue."
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="SCOPE", help="For this account: or actor: alone.")
    ] = None,
    intent: Annotated[
        str | None,
        typer.Option("--intent", metavar="ID", help="Of two operators, for what nobody asked for."),
    ] = None,
) -> Done:
    """Close a scope, with a decision for each group of its queue (operators); say the --reason.

    \b
    Examples:
      herald breaker close actor:task:clean-up --queue 0f9c4d1e8a7b4c3d --decide 'task:clean-up withdraw=drop'
      herald breaker close fleet --queue 0f9c4d1e8a7b4c3d --only account:acme --reason "asked them"
    """
    decisions: Object = {}
    for text in decide or []:
        group, equals, what = text.rpartition("=")
        if not equals or what not in ("deploy", "drop", "wait"):
            raise typer.BadParameter(f"{text!r} is no GROUP=deploy|drop|wait", param_hint="--decide")
        decisions[group] = what
    if any(what == "deploy" for what in decisions.values()):
        call.confirm(f"Deploy what the breaker of {scope} holds?")
    body = {
        "scope": scope, "queue_hash": queue, "decisions": decisions, "only": only, "reason": call.why(),
    }  # fmt: skip
    made = call.client.write("POST", f"{herald('breaker')}/close", body)
    return Done(made, f"{scope} is closed" + (f" for {only}" if only else ""))


@app.writes("answer", account=False)
def answer(call: Call, scope: Scope) -> Done:
    """Say that you look at it: it stays open, and nobody is reminded any more; say the --reason.

    \b
    Examples:
      herald breaker answer fleet --reason "on it"
    """
    body = {"scope": scope, "reason": call.why()}
    made = call.client.write("POST", f"{herald('breaker')}/answer", body)
    return Done(made, f"{scope} stays open, and is yours to look at")
