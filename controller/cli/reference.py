"""The reference of all commands as Markdown, from the commands themselves: docs/cli.md."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import typer

from controller.cli.frame import SHARED_OPTIONS

HEAD = """# The command line

Every command, from the commands themselves: `scripts/generate-cli-docs` writes this page, and a test holds
that it is up to date.

Exit codes: 0 done, 1 refused or failed (one line on stderr says what and what to do), 2 wrong usage. Tables
are for people: they fit the terminal, and leave out what matters least. `--json` is for programs: all of it,
times in RFC 3339. A running lab is found without any URL or token. `herald --install-completion` teaches the
shell (bash, zsh, fish) the commands, and the CIDRs, accounts and services of what runs.
"""


Record = tuple[str, str]
"""How an option is spelled, and what it means, as its help has it."""


def reference(app: typer.Typer) -> str:
    """Return the page."""
    found = [(path, command, _records(command)) for path, command in commands(typer.main.get_command(app))]
    counted = Counter(
        record
        for _, _, records in found
        for name, record in records["option"].items()
        if name in SHARED_OPTIONS
    )
    # What one command means otherwise (announce waits until routers have it) stands with that command.
    shared = {record: _name(record) for record, count in counted.items() if count > 2}
    common = "\n".join(
        ["## Shared options", "Many commands take these; each says which.", "", *_table(shared)]
    )
    parts = ["\n".join(_command(path, command, records, shared)) for path, command, records in found]
    return "\n".join([HEAD, common, "", *parts])


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command that help shows, with its path."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def examples(command: Any) -> list[str]:
    """Return the example lines of a command's help, without what is around them."""
    _, _, after = inspect.cleandoc(command.help or "").partition("Examples:")
    return [part.strip() for line in after.splitlines() for part in line.split(" · ") if part.strip()]


def _command(
    path: tuple[str, ...], command: Any, records: dict[str, dict[str, Record]], shared: dict[Record, str]
) -> Iterator[str]:
    text, _, _ = inspect.cleandoc(command.help or "").partition("Examples:")
    own = [*records["argument"].values(), *(r for r in records["option"].values() if r not in shared)]
    taken = sorted(shared[r] for r in records["option"].values() if r in shared)
    yield f"## herald {' '.join(path)}"
    yield " ".join(text.replace("\b", " ").split())
    yield ""
    yield "```"
    yield from examples(command)
    yield "```"
    if own:
        yield ""
        yield from _table(own)
    if taken:
        yield ""
        yield f"Shared: {', '.join(f'`{o}`' for o in taken)}"
    yield ""


def _records(command: Any) -> dict[str, dict[str, Record]]:
    """Return what help says of each parameter, by its kind and name."""
    found: dict[str, dict[str, Record]] = {"argument": {}, "option": {}}
    context = typer.Context(command)
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and parameter.name != "help":
            found[parameter.param_type_name][parameter.name] = record
    return found


def _name(record: Record) -> str:
    return next(word.strip(",") for word in record[0].split() if word.startswith("--"))


def _table(records: Iterable[Record]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    for spelled, meaning in records:
        cells = (
            " ".join(text.split()).replace("|", "\\|") for text in (spelled.replace(" <str>", ""), meaning)
        )
        yield "| `{}` | {} |".format(*cells)
