"""``scripts/bench``: run the comparisons, print raw samples and ratios."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from labs.benchmarks import propagation, startup, undisturbed
from labs.benchmarks.showing import Showing

KNOWN = ("propagation", "startup", "undisturbed")


def main() -> int:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help="propagation (a call to the last peer's Loc-RIB), startup (a lab's start); both by default; "
        "undisturbed (a customer's toggle while others have trouble). With options of their own: "
        "scripts/bench rollback [--sites real] (1,100 of 6,500 prefixes back at six sites), "
        "scripts/bench addressing (the API with 100,000 prefixes), "
        "scripts/bench snapshots (1,000,000 BGP prefixes)",
    )
    parser.add_argument("--runs", type=int, default=5, help="samples of each (default 5)")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[10, 50, 200], help="routers in a started lab"
    )
    parser.add_argument("--json", action="store_true", help="raw samples (seconds) and ratios as JSON")
    options = parser.parse_args()
    if wrong := set(options.what) - set(KNOWN):
        parser.error(f"unknown {', '.join(sorted(wrong))}: there are {', '.join(KNOWN)}")
    what = options.what or ["propagation", "startup"]
    showing = Showing(to_json=options.json)
    if "propagation" in what:
        with tempfile.TemporaryDirectory(prefix="herald-bench-") as folder:
            found = propagation.measure_all(Path(folder), options.runs)
        showing.add(found, "From a call to the last peer's Loc-RIB")
    if "startup" in what:
        showing.add(startup.measure(options.sizes, options.runs), "A lab's start")
    if "undisturbed" in what:
        with tempfile.TemporaryDirectory(prefix="herald-bench-") as folder:
            for one in undisturbed.measure_all(Path(folder), options.runs):
                showing.add([one], "A toggle, from the call to the last router's Loc-RIB")
    showing.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
