"""The main job, end to end, as a person would do it: every step is a ``herald`` command that is shown.

Two labs: ``two-sites`` (announce, look at peers' RIBs, withdraw and watch), then ``clique`` (the same
withdrawal where the network has many stale paths to try). Whatever happens, the labs that were started here
are taken down again, unless ``--keep`` says otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
HERALD = Path(sys.executable).parent / "herald"
TWO_SITES = "topologies/two-sites/two-sites.clab.yml"
CLIQUE = "topologies/clique/clique.clab.yml"
IPV4, IPV6 = "192.0.2.0/24", "2001:db8:1000::/48"

console = Console(stderr=False, highlight=False)


class StepFailed(Exception):  # noqa: N818  (it is not an error of a package; it ends the demo)
    """A step's command did not exit with 0; its own message has been shown."""


def say(text: str) -> None:
    """Print a heading between steps."""
    console.print(f"\n[bold cyan]{text}[/]")


def herald(*words: str, lab: str = "", shown: bool = True) -> None:
    """Show a ``herald`` command, run it with its output on the screen, and stop the demo if it fails."""
    if shown:
        console.print(f"[bold]$ herald {' '.join(words)}[/]")
    if subprocess.run([HERALD, *words], cwd=ROOT, env=_environment(lab), check=False).returncode != 0:
        raise StepFailed(f"herald {' '.join(words)}")


def herald_json(*words: str, lab: str = "") -> Any:
    """Run a ``herald`` command with ``--json`` and return what it printed; progress stays on the screen."""
    console.print(f"[bold]$ herald {' '.join(words)}[/]")
    done = subprocess.run(
        [HERALD, *words, "--json"], cwd=ROOT, env=_environment(lab), stdout=subprocess.PIPE, check=False
    )
    if done.returncode != 0:
        raise StepFailed(f"herald {' '.join(words)}")
    return json.loads(done.stdout)


def _environment(lab: str) -> dict[str, str]:
    return {**os.environ, **({"HERALD_LAB": lab} if lab else {})}


def _already_up() -> set[str]:
    done = subprocess.run(
        [HERALD, "lab", "list", "--json"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True
    )
    return {row["lab"] for row in json.loads(done.stdout) if row["state"] == "up"}


def _report_folder() -> Path:
    folder = ROOT / "demo-report"
    try:
        folder.mkdir(exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="herald-demo-report-"))
    return folder


def two_sites() -> None:
    """Announce one prefix of each family, show who has it, withdraw the one and watch it go."""
    say("1. A lab: two sites of ours, four transit networks on four different daemons, a vantage point")
    herald("lab", "up", TWO_SITES)
    say("2. Announce by the Addressing API; bindings reach the machines first, then the routes go out")
    herald("announce", IPV4, lab="two-sites")
    herald("announce", IPV6, lab="two-sites")
    say("3. What the peers' daemons hold")
    herald("ribs", lab="two-sites")
    say("4. Withdraw, and watch the peers try what they have left until it is gone")
    herald("withdraw", IPV4, "--watch", lab="two-sites")
    herald("withdraw", IPV6, "--watch", lab="two-sites")


def clique(report: Path) -> dict[str, Any]:
    """Hunt in the mesh of eight, and return its figures."""
    say("5. The same withdrawal in a full mesh of eight networks: path hunting")
    herald("lab", "up", CLIQUE)
    hunt: dict[str, Any] = herald_json("hunt", IPV4, "--report", str(report), lab="clique")
    return hunt


def summary(hunt: dict[str, Any], seconds: float) -> None:
    """Print the hunt's figures and where the picture is."""
    table = Table(title=f"Path hunting for {hunt['prefix']} in a clique of {hunt['routers']}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    rib = "not measured" if hunt["t_rib"] is None else f"{hunt['t_rib'] * 1000:.1f} ms"
    for name, value in (
        ("UPDATEs on the wire", hunt["updates"]),
        ("of them withdrawals", hunt["withdrawals"]),
        ("distinct paths explored", hunt["paths_explored"]),
        ("longest path", f"{hunt['longest_path']} ASes"),
        ("last UPDATE after", f"{hunt['t_wire'] * 1000:.1f} ms"),
        ("last change of a RIB or FIB after", rib),
    ):
        table.add_row(name, str(value))
    console.print(table)
    console.print(f"MRT (read it with bgpdump): {hunt['mrt']}")
    console.print(f"[bold green]Picture: {hunt['report']}[/]")
    console.print(f"Done in {seconds:.0f} s.")


def main() -> int:
    """Run the demo; 0 when every step did what it says."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave both labs running, and say what to try")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    theirs = _already_up()
    if theirs & {"two-sites", "clique"}:
        running = ", ".join(sorted(theirs & {"two-sites", "clique"}))
        print(f"scripts/demo: lab {running} is up already: herald lab down {running}", file=sys.stderr)
        return 1
    keep, code = options.keep, 0
    try:
        two_sites()
        if not keep:
            herald("lab", "down", "two-sites")
        hunt = clique(_report_folder())
        summary(hunt, time.monotonic() - began)
    except StepFailed as failure:
        print(f"scripts/demo: stopped, because this failed: {failure}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("scripts/demo: interrupted; taking the labs down", file=sys.stderr)
        keep, code = False, 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if keep and code == 0:
            console.print(
                "\nBoth labs are up. Try:\n"
                f"  .venv/bin/herald announce {IPV4} --lab two-sites --site site1\n"
                "  .venv/bin/herald ribs --lab two-sites\n"
                "  .venv/bin/herald lab exec --lab two-sites t-bird -- birdc show protocols\n"
                f"  .venv/bin/herald hunt {IPV6} --lab clique\n"
                "  .venv/bin/herald lab down two-sites; .venv/bin/herald lab down clique"
            )
        else:
            for lab in sorted(_already_up() & {"two-sites", "clique"}):
                subprocess.run([HERALD, "lab", "down", lab], cwd=ROOT, check=False)
    return code


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
