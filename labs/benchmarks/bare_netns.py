"""The floor of a lab's start: ``ip netns``, one ``ip -batch``, and the same daemons; nothing else.

Run as ``python -m labs.benchmarks.bare_netns TOPOLOGY`` inside a mount, PID and network namespace of its
own (``startup`` does that), so that it leaves nothing behind. Prints the seconds from its first ``ip`` call
until every router has every router's routes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labs.benchmarks.bird_counts import routes_in_master
from labs.topology import load_topology
from labs.topology.model import Topology

DEADLINE_S = 120.0


def batch(lines: list[str], *, node: str | None = None) -> None:
    """Feed one ``ip -batch`` (in ``node``'s namespace when given)."""
    words = ["ip", *(["-n", node] if node else []), "-batch", "-"]
    subprocess.run(words, input="\n".join(lines), text=True, check=True)


def build(topology: Topology) -> None:
    """Make the namespaces, links and addresses."""
    batch([f"netns add {node.name}" for node in topology.nodes])
    batch(
        [
            f"link add {a.interface} netns {a.node} type veth peer name {b.interface} netns {b.node}"
            for a, b in (link.endpoints for link in topology.links)
        ]
    )
    for node in topology.nodes:
        ends = [e for link in topology.links for e in link.endpoints if e.node == node.name]
        lines = ["link set lo up", *(f"link set {end.interface} up" for end in ends)]
        lines += [" ".join(words[1:]) for words in node.exec if words[0] == "ip"]
        batch(lines, node=node.name)


def start(topology: Topology, folder: Path) -> list[subprocess.Popen[bytes]]:
    """Start one BIRD a node, its control socket at ``folder/<node>.ctl``."""
    started = []
    for node in topology.nodes:
        config = next(b.source for b in node.binds if b.target == "/etc/bird/bird.conf")
        command = ["ip", "netns", "exec", node.name, "/usr/sbin/bird", "-f", "-c", str(config)]
        socket = folder / f"{node.name}.ctl"
        with (folder / f"{node.name}.log").open("wb") as log:
            started.append(subprocess.Popen([*command, "-s", str(socket)], stdout=log, stderr=log))
    return started


def wait_until_all_have_all(topology: Topology, folder: Path) -> None:
    """Return when every router holds a route of each family for every router."""
    wanted = 2 * len(topology.nodes)
    deadline = time.monotonic() + DEADLINE_S
    for node in topology.nodes:
        while routes_in_master(folder / f"{node.name}.ctl") < wanted:
            if time.monotonic() > deadline:
                sys.exit(f"bare_netns: {node.name} has not {wanted} routes after {DEADLINE_S:g} s")
            time.sleep(0.01)


def main() -> None:
    """Measure once, print the seconds, end the daemons."""
    topology = load_topology(Path(sys.argv[1]))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    Path("/run/netns").mkdir()
    with tempfile.TemporaryDirectory(dir="/run") as name:
        folder = Path(name)
        began = time.monotonic()
        build(topology)
        started = start(topology, folder)
        wait_until_all_have_all(topology, folder)
        print(time.monotonic() - began, flush=True)
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


if __name__ == "__main__":
    main()
