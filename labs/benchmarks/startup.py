"""A lab's start: ``herald lab up`` of a ring of BIRD routers, against the bare script."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import labs.runtimes.lab as runtime
from controller.cli.output import progress
from labs.benchmarks.bird_counts import routes_in_master
from labs.benchmarks.samples import Comparison
from labs.topology.generate import generate_ring

POLL_S = 0.01


def measure(sizes: list[int], runs: int) -> list[Comparison]:
    """Return a comparison for each number of routers; ours and the floor are run in turn."""
    comparisons = []
    for n in sizes:
        with tempfile.TemporaryDirectory(prefix="herald-bench-") as folder:
            topology = generate_ring(n, Path(folder) / "ring")
            ours, floor = [], []
            for number in range(1, runs + 1):
                progress(f"{n} routers: {number} of {runs}")
                floor.append(bare(topology))
                ours.append(herald(topology))
        comparisons.append(
            Comparison(
                f"lab up, {n} BIRD routers, all have all routes", "ip netns", tuple(ours), tuple(floor)
            )
        )
    return comparisons


def bare(topology: Path) -> float:
    """Return the seconds that the bare script needs."""
    words = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
    if os.getuid() != 0:
        words += ["--user", "--map-root-user"]
    words += [sys.executable, "-m", "labs.benchmarks.bare_netns", str(topology)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def herald(topology: Path) -> float:
    """Return the seconds from the call of ``herald lab up`` until every router has every route."""
    command = [str(Path(sys.executable).parent / "herald"), "lab", "up", str(topology)]
    began = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    running = runtime.find(topology)
    try:
        nodes = running.inventory.nodes
        for node in nodes:
            while routes_in_master(Path(node.run) / "bird" / "bird.ctl") < 2 * len(nodes):
                time.sleep(POLL_S)
        return time.monotonic() - began
    finally:
        running.down()
