"""``herald lab``: bring a lab up, look at it, run something in it, bring it down."""

from __future__ import annotations

import dataclasses
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from labs.cli.progress import Display

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.runtimes.lab import Status

lab = typer.Typer(help="Bring up a laboratory of real routers, and look at it.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
LabName = Annotated[
    str | None,
    typer.Argument(metavar="[LAB]", help="The lab's name or topology file; the only one if left out."),
]
LabOption = Annotated[
    str | None,
    typer.Option("--lab", metavar="LAB", help="The lab's name or topology file; the only one if left out."),
]
INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended, as shells have it."""


@lab.command()
def up(
    topology: Annotated[Path, typer.Argument(metavar="TOPOLOGY", help="A .clab.yml file, or its folder.")],
    runtime: Annotated[str, typer.Option("--runtime", metavar="netns", help="How nodes are run.")] = "netns",
    reconfigure: Annotated[
        bool, typer.Option("--reconfigure", "-c", help="Start over if the lab is running already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a lab up; of one that is running, restart what has died.

    \b
    Examples:
      herald lab up topologies/two-sites
    """
    from labs.runtimes import lab as labs  # noqa: PLC0415

    if runtime != "netns":
        raise typer.BadParameter(
            f"{runtime!r}: this version runs labs in namespaces only: netns", param_hint="--runtime"
        )
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing may be left
    try:
        with Display(silent=as_json) as display:
            running = labs.up(
                topology, on_progress=display.progress, on_warning=display.warning, reconfigure=reconfigure
            )
            inventory = running.inventory
    except KeyboardInterrupt:
        print("interrupted: nothing of the lab is left", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    seconds = round(time.monotonic() - began, 3)
    if as_json:
        _print_json(
            {
                "lab": inventory.lab, "state": "up", "instance": inventory.instance, "seconds": seconds,
                "folder": inventory.folder, "runtime": inventory.runtime, "restarted": running.restarted,
                "warnings": running.warnings,
            }
        )  # fmt: skip
        return
    for warning in running.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if running.restarted is None:
        print(f"lab {inventory.lab}: up in {seconds:.1f} s")
    elif running.restarted:
        print(f"lab {inventory.lab}: was up; restarted {', '.join(running.restarted)}")
    else:
        print(f"lab {inventory.lab}: was up; nothing had died")


@lab.command()
def down(
    name: LabName = None,
    cleanup: Annotated[bool, typer.Option("--cleanup", help="Remove its logs and state, too.")] = False,
    as_json: Json = False,
) -> None:
    """End a lab, and wait until nothing of it is left.

    \b
    Examples:
      herald lab down two-sites
    """
    from labs.runtimes import lab as labs  # noqa: PLC0415

    meant = [s for s in labs.labs() if name is None or labs.is_meant(s, name)]
    gone = next((s for s in meant if s.state != "up"), None)
    if gone is None or any(s.state == "up" for s in meant):
        gone = labs.find(name).status()
    if gone.state != "dead":
        with Display(silent=as_json) as display:
            labs.RunningLab(Path(gone.runtime)).down(cleanup=cleanup, on_progress=display.progress)
    if as_json:
        _print_json({"lab": gone.lab, "state": "down", "was": gone.state, "folder": gone.folder})
    elif gone.state == "dead":
        print(f"lab {gone.lab}: was dead already; what it left is removed")
    else:
        print(f"lab {gone.lab}: down" + ("" if cleanup else f"; logs are kept in {gone.folder}"))


@lab.command()
def status(name: LabName = None, as_json: Json = False) -> None:
    """Show a lab's processes: which run, with which pid, and which have died.

    \b
    Examples:
      herald lab status
    """
    from labs.runtimes import lab as labs  # noqa: PLC0415

    found = labs.find(name).status()
    if as_json:
        _print_json(dataclasses.asdict(found))
        return
    _print_processes(found)


@lab.command(name="list")
def list_(as_json: Json = False) -> None:
    """List your labs; what dead ones left behind is removed.

    \b
    Examples:
      herald lab list --json
    """
    from labs.runtimes import lab as labs  # noqa: PLC0415

    found = labs.labs()
    if as_json:
        keys = ("lab", "state", "instance", "topology", "folder", "runtime", "privilege")
        _print_json([{key: getattr(s, key) for key in keys} for s in found])
        return
    if not found:
        print("no labs: herald lab up TOPOLOGY")
    for s in found:
        print(f"{s.lab}  {s.state}  {s.topology}")


@lab.command(name="exec", context_settings={"ignore_unknown_options": True})
def exec_(
    node: Annotated[str, typer.Argument(help="The node to run it in.")],
    command: Annotated[
        list[str], typer.Argument(metavar="-- CMD...", help="A program and its words; no shell.")
    ],
    lab_name: LabOption = None,
    as_json: Json = False,
) -> None:
    """Run a program in a node's namespaces; its exit status is this command's.

    \b
    Examples:
      herald lab exec t-bird -- birdc show route
    """
    from labs.runtimes import lab as labs  # noqa: PLC0415

    running = labs.find(lab_name)
    try:
        if as_json:
            done = running.exec(node, command, stdin=0)
            shown = {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
            _print_json({"node": node, "argv": command, **shown})
            result = done.returncode
        else:
            result = running.exec_attached(node, command, (0, 1, 2))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(result if result >= 0 else 128 - result)


@lab.command()
def restart(
    process: Annotated[str, typer.Argument(metavar="NAME", help="A process, as status names it.")],
    lab_name: LabOption = None,
    as_json: Json = False,
) -> None:
    """Restart one process: end it if it lives, start it, wait until it is ready.

    \b
    Examples:
      herald lab restart agent:site1
    """
    from labs.runtimes import lab as labs  # noqa: PLC0415

    running = labs.find(lab_name)
    running.restart(process)
    pid = running.host_pid(process)
    if as_json:
        _print_json({"restarted": [process], "pid": pid})
    else:
        print(f"{process}: restarted, pid {pid}")


@lab.command()
def generate(
    shape: Annotated[str, typer.Argument(metavar="clique|hierarchy|ring", help="Which topology.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write it.")],
    n: Annotated[int, typer.Option("--n", min=2, max=500, help="How many routers.")] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Of what is drawn by chance (hierarchy).")] = 1,
    as_json: Json = False,
) -> None:
    """Write a topology of BIRD routers of any size.

    \b
    Examples:
      herald lab generate clique --n 12 out
      herald lab generate hierarchy --n 60 --seed 7 out
    """
    from labs.topology import generate as generators  # noqa: PLC0415

    makers: dict[str, Callable[[], Path]] = {
        "clique": lambda: generators.generate_clique(n, folder),
        "hierarchy": lambda: generators.generate_hierarchy(n, folder, seed),
        "ring": lambda: generators.generate_ring(n, folder),
    }
    if shape not in makers:
        raise typer.BadParameter(f"{shape!r}: there are {', '.join(makers)}", param_hint="|".join(makers))
    written = makers[shape]()
    if as_json:
        _print_json({"topology": str(written), "routers": n})
    else:
        print(written)


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def _print_processes(found: Status) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    nodes = f"{len(found.nodes)} nodes"
    print(f"lab {found.lab}: {found.state}, {nodes}, instance {found.instance}")
    print(found.topology)
    table = Table(box=None, pad_edge=False)
    for title in ("process", "state", "pid", "detail"):
        table.add_column(title)
    for p in found.processes:
        detail = "" if p.state == "running" else p.detail
        table.add_row(p.name, p.state, str(p.pid or ""), detail)
    Console(soft_wrap=True).print(table)
