"""How commands print: JSON, a table, a card, progress; and how a write is followed to its end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

from controller.cli.answers import Answer, Card, Column, Done, Rows
from controller.cli.cells import plain
from controller.cli.errors import CliError, NotReachedError
from controller.cli.options import Until

if TYPE_CHECKING:
    from controller.cli.call import Call
    from controller.cli.client import ChangeSetProgress


def print_json(value: object) -> None:
    """Print ``value`` (structs, dicts, lists) as indented JSON on stdout, in UTF-8 whatever the locale."""
    import msgspec  # noqa: PLC0415

    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def width() -> int | None:
    """Return the terminal's width in cells; None when stdout is none, where nothing is to be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(columns: Sequence[Column], rows: Iterable[dict[str, object]]) -> None:
    """Print rows in columns that fit the terminal; what had to be left out is said on stderr."""
    from controller.cli.tables import Head, fit, lines, record  # noqa: PLC0415

    room = width()
    cells = [[column.cell(row) for column in columns] for row in rows]
    fitted = fit([Head(c.title, c.rank, c.wraps) for c in columns], cells, room)
    if not fitted.fits:
        for number, row in enumerate(cells):
            if number:
                typer.echo()
            for line in record([(c.title, cell) for c, cell in zip(columns, row, strict=True)], room):
                typer.echo(line)
        return
    for line in lines([columns[i].title for i in fitted.shown], fitted.widths):
        typer.secho(line, bold=True)
    for row in cells:
        for line in lines([row[i] for i in fitted.shown], fitted.widths):
            typer.echo(line)
    if fitted.left_out:
        progress(f"(not shown in {room} columns: {', '.join(fitted.left_out)}; --json has all)")


def print_answer(answer: Rows | Card) -> None:
    """Print a list or one object for people."""
    if isinstance(answer, Rows):
        if answer.rows:
            print_table(answer.columns, answer.rows)
        else:
            typer.echo(answer.none)
        return
    from controller.cli.tables import record  # noqa: PLC0415

    for line in record([(c.title, c.cell(answer.body)) for c in answer.columns], width()):
        typer.echo(line)
    for part in answer.parts:
        typer.echo()
        print_answer(part)


def progress(message: str) -> None:
    """Print one line of progress to stderr."""
    print(plain(message), file=sys.stderr, flush=True)


def finish(call: Call, answer: Answer) -> None:
    """Print what a command answered; a write is waited for as far as was asked.

    Raises NotReachedError when it is not there at the deadline, and CliError when it failed or is held.
    """
    as_json = call.shared.as_json
    if isinstance(answer, Done):
        _finish_write(call, answer)
    elif not as_json:
        print_answer(answer)
    else:
        print_json(answer.rows if isinstance(answer, Rows) else answer.body)


def _finish_write(call: Call, done: Done) -> None:
    as_json = call.shared.as_json
    if call.shared.dry_run:
        print_json(done.body) if as_json else print_plan(done.written.plan)
        return
    found = _wait(call, done)
    if as_json:
        print_json({**done.body, **({"progress": found} if found else {})})
    else:
        typer.echo(plain(done.says))
        if done.shown is not None:
            print_answer(done.shown)
        if done.written.change_sets and not found:
            progress(f"accepted as change-set {', '.join(done.written.change_sets)}")
    for one in found:
        if one.state in ("failed", "held"):
            raise CliError(f"change-set {one.id} is {one.state}: {reasons(one)}")
        if one.state != "done":
            raise NotReachedError(
                f"the change was accepted (change-set {one.id}) and goes on, "
                f"but at the deadline {reasons(one)}"
            )


def _wait(call: Call, done: Done) -> list[ChangeSetProgress]:
    if call.shared.wait != Until.SENT:
        return []
    from controller.cli.waiting import wait_until_sent  # noqa: PLC0415

    return [wait_until_sent(call.client, i, call.ends, progress) for i in done.written.change_sets]


def print_plan(plan: dict[str, object] | None) -> None:
    """Print what a dry run foresees."""
    from controller.cli.plan import effects, remarks  # noqa: PLC0415

    typer.echo("Dry run: nothing was changed.")
    if plan is None:
        return
    print_answer(effects(plan))
    for remark in remarks(plan):
        typer.echo(remark)


def reasons(found: ChangeSetProgress) -> str:
    """Return why a change-set is not done: its own reason, which names the sites, or else each site's."""
    at_sites = [f"{name}: {s.reason}" for name, s in sorted(found.sites.items()) if s.reason]
    return found.reason or "; ".join(at_sites) or f"it is {found.state}"
