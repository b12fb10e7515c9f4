"""``herald store …``: copies, exports and checks of a store; all but ``status`` work without a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from controller.cli.answers import Card, Column, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands, HeraldCommand
from controller.cli.options import Database, Json, StoreDir
from controller.cli.routes import herald

if TYPE_CHECKING:
    from controller.store import StoreAddress

File = Annotated[str, typer.Argument(metavar="FILE", help="Where to, or from.")]
FileOrPipe = Annotated[str, typer.Argument(metavar="FILE", help="Where to, or from; - for a pipe.")]

STATUS = (
    Column("store", "address"),
    Column("kind", "kind"),
    Column("schema", "schema_version"),
    Column("commits reach the disk", "durable"),
    Column("sites know more than it does", "shrunk"),
)
SITES = (
    Column("site", "site"),
    Column("reachable", "reachable"),
    Column("given", "given"),
    Column("has", "generation"),
    Column("conflicts", "conflicts"),
    Column("journal", lambda row: row["journal"] or "in order", wraps=True),
    Column("prefixes unknown here", lambda row: len(row["unknown_prefixes"]), rank=1),
)
CONFLICTS = (
    Column("site", "site"),
    Column("account", "account_id"),
    Column("holds", lambda row: row["held"][:12]),
    Column("wanted here", lambda row: (row["wanted"] or "nothing")[:12]),
    Column("generation", "generation", rank=1),
    Column("since", "since", rank=2),
)

app = Commands("store", "The store: status, copies, exports, checks.")


@app.reads("status", account=False)
def status(call: Call) -> Card:
    """Show the running store, and what sites hold that it does not know (operators).

    \b
    Examples:
      herald store status
    """
    found: Any = call.client.get(herald("store"))
    return Card(
        found, STATUS, (Rows(found["sites"], SITES), Rows(found["conflicts"], CONFLICTS, "No conflict."))
    )


@app.app.command(cls=HeraldCommand)
def backup(
    file: File, *, database: Database = None, state_dir: StoreDir = None, as_json: Json = False
) -> None:
    """Copy the whole store into a file, also while it is served (secrets are in it).

    \b
    Examples:
      herald store backup herald-backup.db --state-dir /var/lib/herald
      herald store backup herald.dump --database postgresql://herald@db1/herald
    """
    from controller.store.backup import back_up  # noqa: PLC0415 (quick `herald --help`)

    where = _where(database, state_dir)
    size = back_up(where, Path(file))
    _say(
        {"file": file, "store": str(where), "bytes": size},
        as_json,
        f"{where} is copied: {file}, {size} bytes",
    )


@app.app.command(cls=HeraldCommand)
def restore(
    file: File,
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Though there is a store already.")] = False,
    database: Database = None,
    state_dir: StoreDir = None,
    as_json: Json = False,
) -> None:
    """Make the store what a backup holds; a SQLite store that was there is put aside.

    Sites that know more than the copy are recognised when it is served, and nothing is withdrawn by it.

    \b
    Examples:
      herald store restore herald-backup.db --state-dir /var/lib/herald --replace
    """
    from controller.store.backup import restore as put_back  # noqa: PLC0415

    where = _where(database, state_dir)
    kept = put_back(Path(file), where, replace=replace)
    beside = "" if kept is None else f"; what was there is in {kept}"
    body = {"file": file, "store": str(where), "kept": None if kept is None else str(kept)}
    _say(
        body, as_json, f"{where} is what {file} holds{beside}: look at herald store status once it is served"
    )


@app.app.command("export", cls=HeraldCommand)
def export(
    file: FileOrPipe,
    *,
    secrets: Annotated[bool, typer.Option("--secrets", help="Hashes of tokens, too.")] = False,
    database: Database = None,
    state_dir: StoreDir = None,
    as_json: Json = False,
) -> None:
    """Write the whole configured state as lines of JSON, which any kind of store can import.

    \b
    Examples:
      herald store export herald.jsonl --state-dir /var/lib/herald
      herald store export - --database postgresql://herald@db1/herald
    """
    from controller.exports import export_lines  # noqa: PLC0415

    store = _open(database, state_dir)
    try:
        lines = export_lines(store, secrets=secrets)
        if file == "-":  # the lines are the answer
            _write(typer.get_binary_stream("stdout"), lines)
            return
        count = _write_file(Path(file), lines)
    finally:
        store.close()
    _say({"file": file, "lines": count}, as_json, f"{count} lines are in {file}")


@app.app.command("import", cls=HeraldCommand)
def import_(
    file: FileOrPipe, *, database: Database = None, state_dir: StoreDir = None, as_json: Json = False
) -> None:
    """Read an export into an empty store: all of it, or nothing.

    \b
    Examples:
      herald store import herald.jsonl --database postgresql://herald@db1/herald
    """
    from controller.exports import import_lines  # noqa: PLC0415
    from controller.exports.lines import LONGEST_LINE  # noqa: PLC0415

    store = _open(database, state_dir, new=True)
    try:
        with _reading(file) as opened:
            made = import_lines(store, iter(lambda: opened.readline(LONGEST_LINE + 1), b""))
    finally:
        store.close()
    rows = sum(made.rows.values())
    body = {"rows": made.rows, "operational": made.operational}
    _say(
        body, as_json, f"{rows} rows, and the operational state of {made.operational} accounts, are imported"
    )


@app.app.command(cls=HeraldCommand)
def check(*, database: Database = None, state_dir: StoreDir = None, as_json: Json = False) -> None:
    """Go through the whole store: references, chunks by their hashes, the chain of events.

    \b
    Examples:
      herald store check --state-dir /var/lib/herald
    """
    from controller.exports.check import check_store  # noqa: PLC0415

    store = _open(database, state_dir)
    try:
        found = check_store(store)
    finally:
        store.close()
    body = {"whole": not found.problems, "rows": found.rows, "problems": list(found.problems)}
    rows = sum(found.rows.values())
    _say(
        body,
        as_json,
        "\n".join(found.problems) or f"the store is whole: {rows} rows in {len(found.rows)} tables",
    )
    if found.problems:
        raise typer.Exit(1)


def _where(database: str | None, state_dir: Path | None) -> StoreAddress:
    from controller.store import store_address  # noqa: PLC0415

    if state_dir is not None and database is None:
        return store_address(state_dir / "herald.db")
    if database is None or state_dir is not None:
        raise typer.BadParameter("give one of them", param_hint="--database or --state-dir")
    return store_address(database)


def _open(database: str | None, state_dir: Path | None, *, new: bool = False) -> Any:
    from controller.store import open_store  # noqa: PLC0415

    where = _where(database, state_dir)
    if not new and where.path is not None and not where.path.exists():
        raise CliError(f"there is no store at {where}")
    return open_store(where)


def _write(stream: BinaryIO, lines: Iterable[bytes]) -> int:
    count = 0
    for line in lines:
        stream.write(line)
        count += 1
    stream.flush()
    return count


def _write_file(file: Path, lines: Iterator[bytes]) -> int:
    """Write whole or not at all; private, as a store is."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        partial.touch(mode=0o600)
        with partial.open("wb") as stream:
            count = _write(stream, lines)
        partial.replace(file)
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def _reading(file: str) -> BinaryIO:
    if file == "-":
        return typer.get_binary_stream("stdin")
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}") from error


def _say(body: dict[str, Any], as_json: bool, says: str) -> None:
    from controller.cli.output import print_json  # noqa: PLC0415

    if as_json:
        print_json(body)
    else:
        typer.echo(says)
