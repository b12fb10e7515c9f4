"""``scripts/bench``: run the comparisons, print raw samples and ratios."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from labs.benchmarks import propagation, rollback, startup, undisturbed
from labs.benchmarks.samples import as_json, table


def main() -> int:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help="propagation (a call to the last peer's Loc-RIB), startup (a lab's start); both by default; "
        "six-sites (a rollback of 1,100 of 6,500 prefixes on real daemons; minutes a run); "
        "undisturbed (a customer's toggle while others have trouble). "
        "scripts/bench addressing (the API with 100,000 prefixes) has options of its own",
    )
    parser.add_argument("--runs", type=int, default=5, help="samples of each (default 5)")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[10, 50, 200], help="routers in a started lab"
    )
    parser.add_argument("--json", action="store_true", help="raw samples (seconds) and ratios as JSON")
    options = parser.parse_args()
    known = ["propagation", "startup", "six-sites", "undisturbed"]
    if wrong := set(options.what) - set(known):
        parser.error(f"unknown {', '.join(sorted(wrong))}: there are {', '.join(known)}")
    what = options.what or ["propagation", "startup"]
    console = Console(stderr=options.json, width=160)
    comparisons = []
    if "propagation" in what:
        with tempfile.TemporaryDirectory(prefix="herald-bench-") as folder:
            comparisons += propagation.measure_all(Path(folder), options.runs)
        console.print(table(comparisons, "From a call to the last peer's Loc-RIB"))
    if "startup" in what:
        started = startup.measure(options.sizes, options.runs)
        console.print(table(started, "A lab's start"))
        comparisons += started
    if "six-sites" in what:
        with tempfile.TemporaryDirectory(prefix="herald-bench-") as folder:
            rolled = rollback.measure_all(Path(folder), options.runs)
        console.print(table(rolled, "Rolling back, from the call to the last peer's RIB"))
        comparisons += rolled
    if "undisturbed" in what:
        with tempfile.TemporaryDirectory(prefix="herald-bench-") as folder:
            beside = undisturbed.measure_all(Path(folder), options.runs)
        console.print(table(beside, "A toggle, from the call to the last router's Loc-RIB"))
        comparisons += beside
    if options.json:
        print(json.dumps([as_json(c) for c in comparisons], indent=2))
    else:
        for c in comparisons:
            console.print(f"raw, s: {c.name}: {[round(s, 4) for s in c.samples]}")
            console.print(f"raw, s: {c.floor_name}: {[round(s, 4) for s in c.floor]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
