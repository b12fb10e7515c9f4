"""``herald hunt``: withdraw, measure, put back."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.options import Json, Lab

if TYPE_CHECKING:
    from types import FrameType

    from controller.bgp import Prefix
    from controller.forecast.foretell import Forecast
    from controller.observe.inventory import Inventory
    from labs.hunting.analysis import Hunt


def register(app: typer.Typer) -> None:
    """Add ``herald hunt`` to ``app``."""
    app.command("hunt")(hunt)


def hunt(
    cidr: Annotated[str, typer.Argument(metavar="CIDR", help="The prefix, such as 192.0.2.0/24.")],
    *,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Write a page and a picture there.")
    ] = None,
    site: Annotated[
        list[str] | None, typer.Option("--site", help="Withdraw at this site only (can be repeated).")
    ] = None,
    times: Annotated[
        int, typer.Option("--times", min=1, max=1000, help="Hunt so many times, and show the spread.")
    ] = 1,
    deadline: Annotated[
        float, typer.Option("--deadline", min=1.0, help="Seconds that each step may take.")
    ] = 30.0,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Withdraw a prefix, measure how its peers hunt for another path, and put it back.

    A prefix that is not announced is announced first, and withdrawn again in the end. Interrupted, it is
    put back, too. Examples: herald hunt 192.0.2.0/24 --times 10 · herald hunt 192.0.2.0/24 --report out
    """
    from controller.bgp import parse_prefix  # noqa: PLC0415 (quick `herald --help`)
    from controller.cli.find import find_inventory  # noqa: PLC0415
    from controller.cli.output import print_json, progress  # noqa: PLC0415
    from labs.hunting.showing import show, show_spread  # noqa: PLC0415

    prefix = parse_prefix(cidr)
    inventory = find_inventory(lab)
    signal.signal(signal.SIGTERM, _interrupt)
    if times == 1:
        found = measure(inventory, prefix, site or [], report, deadline)
        if as_json:
            print_json(found)
        else:
            show(found)
        return
    from labs.hunting.repeats import repeats  # noqa: PLC0415

    hunts = []
    for number in range(1, times + 1):
        progress(f"hunt {number} of {times}")
        folder = None if report is None else report / str(number)
        hunts.append(measure(inventory, prefix, site or [], folder, deadline))
    several = repeats(hunts)
    if as_json:
        print_json(several)
    else:
        show_spread(several)


def measure(
    inventory: Inventory, prefix: Prefix, sites: list[str], report: Path | None, deadline_s: float
) -> Hunt:
    """Carry out one hunt in a running lab; writes the MRT file, and the report if ``report`` names a folder.

    Raises HuntError, or what API, capture and readers raise.
    """
    from controller.cli.client import Client  # noqa: PLC0415
    from controller.cli.output import progress  # noqa: PLC0415
    from controller.forecast.observed import forecast  # noqa: PLC0415
    from controller.observe.mrt_file import write_mrt  # noqa: PLC0415
    from controller.observe.readers import read_ribs  # noqa: PLC0415
    from labs.hunting.analysis import analyse, time_zero, updates_of  # noqa: PLC0415
    from labs.hunting.real import LabApi, LabRibWatch, LabWire  # noqa: PLC0415
    from labs.hunting.run import HuntRun  # noqa: PLC0415

    told: list[Forecast | None] = []
    at = sites or [site.name for site in inventory.sites]
    routers = [node.name for node in inventory.routers()]
    origins = {site.router for site in inventory.sites}
    with Client.from_inventory(inventory) as client:
        record = HuntRun(
            prefix,
            routers=routers,
            sites=[site.name for site in inventory.sites],
            api=LabApi(client, lambda account: Client.of_owner(inventory, account)),
            wire=LabWire(inventory.capture_socket),
            ribs=lambda wanted: read_ribs(inventory, wanted),
            rib_watch=LabRibWatch(inventory, prefix),
            deadline_s=deadline_s,
            say=progress,
            about_to=lambda rows: told.append(forecast(inventory, rows, at)),
        ).run(sites)
    t0 = time_zero(record.events, prefix, origins)
    mrt = _mrt_path(inventory, prefix, t0, report)
    mrt.parent.mkdir(parents=True, exist_ok=True)
    write_mrt(mrt, updates_of(record.events, prefix, t0))
    found = analyse(
        record.events,
        prefix=prefix,
        routers=routers,
        origins=origins,
        before=record.before if record.whole else None,
        back=record.back,
        everywhere=record.everywhere,
        rib_changes=record.rib_changes,
        forecast=told[0],
        drops=record.drops,
        mrt=str(mrt),
        report=None if report is None else str(report.resolve() / "hunt.html"),
    )
    if report is not None:
        from labs.hunting.report import write_report  # noqa: PLC0415

        write_report(report.resolve(), found, inventory, record.before, record.events)
    return found


def _mrt_path(inventory: Inventory, prefix: Prefix, t0_ns: int, report: Path | None) -> Path:
    if report is not None:
        return report.resolve() / "hunt.mrt"
    name = prefix.replace("/", "-").replace(":", "_")
    return Path(inventory.folder) / "capture" / f"hunt-{name}-{t0_ns // 1000}.mrt"


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that the prefix is put back."""
    raise KeyboardInterrupt
