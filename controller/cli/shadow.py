"""``herald shadow``: what a release would do with production's data, tried on a copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli.answers import Card, Column, Rows
from controller.cli.frame import HeraldCommand
from controller.cli.options import Json

if TYPE_CHECKING:
    from controller.shadow.run import Shadow

HEAD = (
    Column("candidate", "candidate"),
    Column(
        "copy", lambda b: f"{b['accounts']} accounts, {b['prefixes']} prefixes, {b['advertised']} announced"
    ),
    Column("network", "network"),
    Column("verdict", "verdict", wraps=True),
)
TASKS = (
    Column("task", "name"),
    Column("state", "state"),
    Column("reason", "reason", rank=1, wraps=True),
)
MEANT = (
    Column("task", "task"),
    Column("account", "account_id"),
    Column("prefix", "cidr"),
    Column("would", "what"),
    Column("asked for", "asked"),
    Column("outcome", "outcome", rank=1, wraps=True),
)
TAKEN = (
    Column("state", "state"),
    Column("account", "account_id"),
    Column("prefix", "cidr"),
    Column("would be", "what"),
    Column("at sites", "sites"),
    Column("asked for", "asked"),
)
HELD = (
    Column("held", "change_set_id", rank=1),
    Column("account", "account_id"),
    Column("by", "actor", rank=2),
    Column("because", "reason", wraps=True),
)
PROBLEMS = (Column("could not be judged", "says", wraps=True),)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("shadow", cls=HeraldCommand)(shadow)


def shadow(
    *,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="COPY_OR_URL", help="Production's store, or a copy: only read."),
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="An export instead of a store.")
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option(
            "--candidate",
            metavar="PYTHON_OR_DIR",
            help="The release: its interpreter or checkout. [this one]",
        ),
    ] = None,
    tasks: Annotated[
        str | None, typer.Option("--tasks", metavar="NAMES", help="Only these, with commas between. [all]")
    ] = None,
    seconds: Annotated[
        float, typer.Option("--for", metavar="SECONDS", min=1, help="How long its tasks may run.")
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Run a release, tasks included, on a private copy, and tell what it would have taken away.

    Nothing of it reaches a site, a customer or production's store. Exits with 1 when anything would have been
    taken away that its owner had not asked for, or could not be judged.

    \b
    Examples:
      herald shadow --store /var/lib/herald/herald.db --candidate /srv/herald-next
      herald shadow --export herald.jsonl --tasks clean-up --json
    """
    if (store is None) == (export is None):
        raise typer.BadParameter("give one of them", param_hint="--store or --export")
    from controller.cli.output import print_answer, print_json  # noqa: PLC0415
    from controller.shadow.run import Wanted, run_shadow  # noqa: PLC0415 (slow to import)

    names = tuple(name for name in (tasks or "").split(",") if name)
    found = run_shadow(Wanted(store, export, candidate, names, seconds))
    body = _body(found)
    if as_json:
        print_json(body)
    else:
        print_answer(Card(body, HEAD, _parts(body)))
    if not found.report.safe:
        raise typer.Exit(1)


def _body(found: Shadow) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415

    report, before = found.report, found.before
    verdict = "nothing would be taken away but what owners asked for"
    if report.unasked:
        verdict = f"{report.unasked} times something would be taken away that its owner did not ask for"
    elif report.problems:
        verdict = "it could not be judged as a whole"
    return {
        "candidate": found.candidate,
        "accounts": len({p.account_id for p in before.prefixes.values()} | before.head.keys()),
        "prefixes": len(before.prefixes),
        "advertised": sum(b.advertised for b in before.bgp_prefixes.values()),
        "network": "none: a namespace of its own" if found.apart else "this host's: it allows no namespaces",
        "safe": report.safe,
        "unasked": report.unasked,
        "verdict": verdict,
        **msgspec.to_builtins(report),
    }


def _parts(body: dict[str, Any]) -> list[Rows]:
    meant = [{"task": t["name"], **m} for t in body["tasks"] for m in t["meant"]]
    taken = [{"state": state, **t} for state in ("configured", "operational") for t in body[state]]
    taken += [{"state": "compiled", **t} for c in body["compiled"] for t in c["taken"]]
    changed = [c for c in body["compiled"] if not c["taken"]]
    parts = [Rows(body["tasks"], TASKS, "The candidate has no tasks.")]
    parts += [Rows(meant, MEANT)] if meant else []
    parts.append(Rows(taken, TAKEN, "Nothing would be taken away."))
    parts += [Rows(body["held"], HELD)] if body["held"] else []
    if changed:
        parts.append(Rows(changed, (Column("compiled otherwise", "account_id"), Column("added", "additive"))))
    parts += [Rows([{"says": p} for p in body["problems"]], PROBLEMS)] if body["problems"] else []
    return parts
