"""``herald history``, ``herald table-dump``: what routers had been told, and when; or at one moment."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli.answers import Column
from controller.cli.errors import MomentError
from controller.cli.options import Json, Lab

if TYPE_CHECKING:
    from controller.observe.event import CaptureStats
    from controller.observe.history import Interval

SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _time(value: str | None) -> str:
    return "still" if value is None else value[11:-1]


def _path(row: dict[str, Any]) -> str:
    from controller.bgp import path_text  # noqa: PLC0415

    note = " (stale)" if row["stale"] else "" if row["usable"] else " (with its own AS)"
    return path_text(row["as_path"]) + note


COLUMNS = (
    Column("node", "node"),
    Column("from", "from"),
    Column("since (UTC)", "begin", _time),
    Column("until", "end", _time, rank=1),
    Column("AS path", _path),
)


def register(app: typer.Typer) -> None:
    """Add ``herald history`` and ``herald table-dump`` to ``app``."""
    app.command("history")(history)
    app.command("table-dump")(table_dump)


def history(
    cidr: Annotated[str, typer.Argument(metavar="CIDR", help="The prefix, such as 192.0.2.0/24.")],
    *,
    node: Annotated[
        list[str] | None, typer.Option("--node", help="Only this router (can be repeated).")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="Only what was held then: 2026-02-20T17:56:00.25Z, or -2.5s, -300ms, -4m ago."
        ),
    ] = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Show what routers had been told of a prefix, from when until when, by all that was on the wire.

    Examples: herald history 192.0.2.0/24 --node t-frr · herald history 192.0.2.0/24 --at -2.5s
    """
    from controller.bgp import parse_prefix  # noqa: PLC0415 (quick `herald --help`)
    from controller.cli.find import find_inventory  # noqa: PLC0415
    from controller.cli.output import print_json, print_table  # noqa: PLC0415
    from controller.observe.event import utc  # noqa: PLC0415
    from controller.observe.history import held, held_at  # noqa: PLC0415
    from controller.observe.stream import fetch_events  # noqa: PLC0415

    prefix = parse_prefix(cidr)
    moment = None if at is None else moment_ns(at, time.time_ns())
    inventory = find_inventory(lab)
    names = [inventory.node(name).name for name in node or [n.name for n in inventory.routers()]]
    events, stats = fetch_events(inventory.capture_socket)
    missed = _lacking(stats)
    rows = [
        _row(interval)
        for name in names
        for interval in (
            held(events, name, prefix) if moment is None else held_at(events, name, prefix, moment)
        )
    ]
    if as_json:
        print_json(
            {
                "prefix": prefix,
                "at": None if moment is None else utc(moment),
                "missed": missed,
                "held": rows,
            }
        )
    elif not rows:
        typer.echo(f"No router had been told of {prefix}{'' if at is None else ' at that moment'}.")
    else:
        print_table(COLUMNS, rows)


def table_dump(
    node: Annotated[str, typer.Argument(metavar="NODE", help="The router.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; it must not be there.")],
    *,
    at: Annotated[
        str | None, typer.Option("--at", help="Of this moment instead of now, as for herald history.")
    ] = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Write what a router had been told and might use as MRT (TABLE_DUMP_V2), for other tools.

    Examples: herald table-dump t-frr t-frr.mrt · herald table-dump t-frr before.mrt --at -30s
    """
    from controller.cli.errors import FileTakenError  # noqa: PLC0415
    from controller.cli.find import find_inventory  # noqa: PLC0415
    from controller.cli.output import print_json  # noqa: PLC0415
    from controller.observe.event import utc  # noqa: PLC0415
    from controller.observe.stream import fetch_events  # noqa: PLC0415
    from controller.observe.table_dump import table_dump  # noqa: PLC0415

    now = time.time_ns()
    moment = now if at is None else moment_ns(at, now)
    inventory = find_inventory(lab)
    name = inventory.node(node).name
    events, stats = fetch_events(inventory.capture_socket)
    records = list(table_dump(events, name, moment))
    missed = _lacking(stats)
    try:
        with file.open("xb") as out:
            out.writelines(records)
    except FileExistsError as error:
        raise FileTakenError(f"{file} is there already: name another file") from error
    except OSError as error:
        raise FileTakenError(f"{file} cannot be written: {error.strerror}") from error
    prefixes = len(records) - 1
    if as_json:
        print_json(
            {"node": name, "at": utc(moment), "file": str(file), "prefixes": prefixes, "missed": missed}
        )
    else:
        typer.echo(f"{file}: what {name} held of {prefixes} prefixes at {utc(moment)}")


def _lacking(stats: CaptureStats) -> int:
    """Return how much the capture lacks, and say so."""
    from controller.cli.output import progress  # noqa: PLC0415

    missed = stats.dropped + stats.gaps + stats.let_go
    if missed:
        progress(f"the capture lacks something ({missed} drops, gaps and events let go): this may not be all")
    return missed


def moment_ns(text: str, now_ns: int) -> int:
    """Return a moment in nanoseconds since the Unix epoch: a time with its zone, or so long ago.

    Raises :class:`MomentError`.
    """
    ago = re.fullmatch(r"-([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", text)
    if ago is not None:
        return now_ns - round(float(ago[1]) * SECONDS[ago[2]] * 1e9)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise MomentError(
            f"{text!r} is no moment: give 2026-02-20T17:56:00.25Z, or -2.5s, -300ms, -4m, -1h ago"
        )
    since = found - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def _row(interval: Interval) -> dict[str, Any]:
    from controller.observe.event import utc  # noqa: PLC0415

    return {
        "node": interval.receiver,
        "from": interval.sender,
        "as_path": interval.as_path,
        "next_hop": interval.next_hop,
        "usable": interval.usable,
        "stale": interval.stale,
        "begin": utc(interval.begin_ns),
        "end": None if interval.end_ns is None else utc(interval.end_ns),
    }
