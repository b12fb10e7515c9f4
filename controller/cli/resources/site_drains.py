"""``herald site drain|confirm-drain|undrain|drains``: a site out of use and back, by the API (operators)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from controller.cli import cells, completion
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.routes import herald


class Strategy(StrEnum):
    """How a site is drained."""

    PREPEND = "prepend"
    WITHDRAW = "withdraw"


STANDS = ("draining", "drained", "unknown")
COLUMNS = (
    Column("id", "id"),
    Column("site", "site"),
    Column("state", "state"),
    Column("strategy", "strategy", rank=2),
    Column("goes", lambda d: len(d["goes"])),
    Column("stays", lambda d: len(d["stays"]) + len(d["kept"])),
    Column("off", lambda d: len(d["off"])),
    Column("asked", "asked_at", cells.time, rank=3),
    Column("reason", "reason", rank=1, wraps=True),
    Column("why", "why", rank=4, wraps=True),
)
STAYS = (
    Column("stays", "cidr"),
    Column("account", "account_id"),
    Column("seen at", lambda s: ", ".join(s["seen_at"])),
    Column("why", "why", wraps=True),
)
KEPT = (
    Column("kept by the agent", "cidr"),
    Column("account", "account_id"),
    Column("check", "check"),
    Column("reason", "reason", wraps=True),
)
FINDINGS = (Column("against it", "check"), Column("says", "says", wraps=True))
GOES = (Column("goes", "cidr"),)

Site = Annotated[
    str, typer.Argument(metavar="SITE", help="The site's name.", autocompletion=completion.sites)
]
Id = Annotated[
    str,
    typer.Argument(metavar="ID", help="The drain's id.", autocompletion=completion.ids("/herald/v1/drains")),
]


def drain(
    call: Call,
    *,
    site: Site,
    strategy: Annotated[
        Strategy, typer.Option("--strategy", help="prepend: the site is used last; withdraw: its routes go.")
    ] = Strategy.WITHDRAW,
    capacity_confirmed: Annotated[
        bool,
        typer.Option(
            "--capacity-confirmed", help="You have looked whether the others carry it: Herald cannot."
        ),
    ] = False,
) -> Done | Card:
    """Ask for a site to be taken out of use; another operator confirms it. Say the --reason.

    Only prefixes go that are observed at enough other sites: --dry-run lists which stay, and why.

    \b
    Examples:
      herald site drain ams --reason "New line cards" --dry-run
      herald site drain ams --reason "New line cards" --capacity-confirmed
      herald site drain ams --strategy prepend --reason "New line cards" --capacity-confirmed
    """
    body: Object = {
        "site": site, "strategy": strategy, "reason": call.why(), "capacity_confirmed": capacity_confirmed,
    }  # fmt: skip
    made = call.client.write("POST", herald("drains"), body)
    if call.shared.dry_run:
        return _card(made.result)
    says = f"another operator confirms it: herald site confirm-drain {made.result['id']}"
    return Done(made, says, _card(made.result))


def confirm_drain(call: Call, *, id_: Id) -> Done:
    """Confirm a drain that another operator asked for: the site's agent takes its routes off.

    \b
    Examples:
      herald site confirm-drain 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    made = call.client.write("POST", f"{herald('drains', id_)}/confirm")
    return Done(made, f"{made.result['site']} is being drained: herald site drains", _card(made.result))


def undrain(call: Call, *, site: Site) -> Done:
    """Bring a site back into use: it has what it is to have by now. Say the --reason.

    \b
    Examples:
      herald site undrain ams --reason "The new cards carry traffic"
    """
    found = [d for d in call.client.all(herald("drains")) if d["site"] == site and d["state"] in STANDS]
    if not found:
        raise CliError(f"site {site} is not drained: see herald site drains")
    made = call.client.write("POST", f"{herald('drains', found[0]['id'])}/lift", {"reason": call.why()})
    return Done(made, f"{site} comes back into use")


def cancel_drain(call: Call, *, id_: Id) -> Done:
    """Take back a drain that nobody has confirmed yet, or end one by its id. Say the --reason.

    \b
    Examples:
      herald site cancel-drain 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --reason "The wrong site"
    """
    made = call.client.write("POST", f"{herald('drains', id_)}/lift", {"reason": call.why()})
    return Done(made, f"drain {id_} is over")


def drains(call: Call) -> Rows:
    """List the drains, newest first: which stand, how far each is, and for what it waits (operators).

    \b
    Examples:
      herald site drains
      herald site drains --json
    """
    return Rows(call.client.all(herald("drains")), COLUMNS, "No site was ever drained.")


def show_drain(call: Call, *, id_: Id) -> Card:
    """Show one drain: what goes, what stays, and why (operators).

    \b
    Examples:
      herald site show-drain 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    return _card(call.client.one(herald("drains", id_)))


def add_to(app: Commands) -> None:
    """Add the commands to those of a site."""
    app.writes("drain", account=False)(drain)
    app.writes("confirm-drain", account=False)(confirm_drain)
    app.writes("cancel-drain", account=False)(cancel_drain)
    app.writes("undrain", account=False)(undrain)
    app.reads("drains", account=False)(drains)
    app.reads("show-drain", account=False)(show_drain)


def _card(body: Object) -> Card:
    parts = (
        Rows(body["findings"], FINDINGS, "Nothing speaks against it."),
        Rows([{"cidr": cidr} for cidr in body["goes"]], GOES, "Nothing goes."),
        Rows(body["stays"], STAYS, "Nothing stays."),
        Rows(body["kept"], KEPT, "The agent keeps nothing."),
    )
    return Card(body, COLUMNS, parts)
