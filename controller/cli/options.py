"""Options that many commands take."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="HERALD_URL",
        help="The API: http://HOST:PORT or unix:/PATH; a running lab's if left out.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar="HERALD_TOKEN", help="A bearer token; the lab's operator if left out."),
]
Lab = Annotated[
    str | None,
    typer.Option("--lab", envvar="HERALD_LAB", help="Which running lab: its name, folder or topology."),
]
Account = Annotated[
    str | None, typer.Option("--account", help="The account's id; found by itself where it can be.")
]
