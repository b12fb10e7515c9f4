"""Options that many commands take, and values that arguments of several resources have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from controller.cli import completion


class Until(StrEnum):
    """How far a write is waited for."""

    ACCEPTED = "accepted"
    SENT = "sent"


Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        envvar="HERALD_URL",
        help="The API: https://HOST:PORT, http://… or unix:/PATH; a running lab's if left out.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="HERALD_TOKEN",
        help="A bearer token; in a lab its operator's, or the prefix's owner's, if left out.",
    ),
]
Ca = Annotated[
    str | None,
    typer.Option(
        "--ca", metavar="FILE", envvar="HERALD_CA", help="Who signs an https:// API's certificate (PEM)."
    ),
]
Lab = Annotated[
    str | None,
    typer.Option(
        "--lab",
        metavar="LAB",
        envvar="HERALD_LAB",
        help="Which running lab: its name, folder or topology.",
        autocompletion=completion.labs,
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="HERALD_DATABASE",
        help="The store: postgresql://USER@HOST/DATABASE (the password from PGPASSWORD or ~/.pgpass), or a "
        "SQLite file; STATE_DIR/herald.db if left out.",
        show_envvar=True,
    ),
]
StoreDir = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="The state directory whose herald.db is the store."),
]
Account = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="ACCOUNT",
        help="The account's id; found by itself where it can be.",
        autocompletion=completion.accounts,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done, and where; change nothing.")
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept in the history of what changes.")
]
IfMatch = Annotated[
    str | None,
    typer.Option(
        "--if-match",
        metavar="ETAG",
        help="Refuse if it was changed since show --json said this etag.",
    ),
]
Intent = Annotated[
    str | None,
    typer.Option(
        "--intent",
        metavar="ID",
        help="One that two operators signed, for what this takes away (herald intents).",
    ),
]
Wait = Annotated[
    Until, typer.Option("--wait", help="Return once it is accepted, or sent by the sites concerned.")
]
Deadline = Annotated[
    float, typer.Option("--deadline", metavar="SECONDS", min=0.0, help="Wait this long at most.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

Cidr = Annotated[
    str,
    typer.Argument(
        metavar="CIDR",
        help="A prefix such as 192.0.2.0/24 or 2001:db8::/48.",
        autocompletion=completion.cidrs,
    ),
]
Which = Annotated[
    str,
    typer.Argument(
        metavar="PREFIX", help="A CIDR such as 192.0.2.0/24, or an id.", autocompletion=completion.cidrs
    ),
]
MaybePrefix = Annotated[
    str | None,
    typer.Argument(
        metavar="[PREFIX]",
        help="Only in this one: a CIDR or an id.",
        autocompletion=completion.cidrs,
    ),
]
Service = Annotated[
    str,
    typer.Argument(
        metavar="SERVICE", help="The service's id (herald services list).", autocompletion=completion.services
    ),
]
Description = Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for, in words.")]
