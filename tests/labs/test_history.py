"""What routers held at a moment, by the capture and by its MRT file alone, as they told it themselves."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mrtparse import Reader

from controller.observe.event import utc
from controller.observe.stream import fetch_events
from controller.observe.table_dump import table_dump
from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from tests.labs.test_agent_guard import herald
from tests.labs.test_two_sites import TOPOLOGY, TRANSITS, UPSTREAMS_OF_VANTAGE, wait_for_paths

Told = set[tuple[str, tuple[int, ...]]]
"""Who told which path."""
Sessions = dict[tuple[str, str], tuple[int, ...]]
"""What is told now, by the addresses of the sender and of the receiver."""

NODES = (*TRANSITS, "vantage")

pytestmark = [pytest.mark.lab, pytest.mark.slow]
"""Not in CI's tier: it has not run twenty times yet."""


def moments(lab: LiveLab, prefix: str) -> Iterator[tuple[int, dict[str, Told]]]:
    """Change where the prefix is announced; give a time of rest each time, and what routers say they hold."""
    for sites in (("site1",), ("site1", "site2"), ("site2",)):
        lab.announce(prefix, sites=sites)
        wait_for_paths(lab, prefix, (64500,), sites=len(sites))
        found: list[tuple[int, dict[str, Told]]] = []

        def calm(found: list[tuple[int, dict[str, Told]]] = found) -> bool:
            """They are asked one after the other: it is of one moment if nothing came between."""
            mark, at = lab.mark(), time.time_ns()
            held = by_themselves(lab, prefix)
            found[:] = [(at, held)]
            return by_themselves(lab, prefix) == held and not lab.updates(prefix, since=mark)

        lab.wait_until(calm, what=f"no news of {prefix} while routers are asked")
        yield found[0]


def by_themselves(lab: LiveLab, prefix: str) -> dict[str, Told]:
    """Ask the routers' control sockets."""
    rows = lab.ribs(prefix)
    return {node: {(row.from_, row.as_path) for row in rows if row.node == node} for node in NODES}


def by_history(lab: LiveLab, prefix: str, at_ns: int) -> dict[str, Told]:
    out, _ = herald("history", prefix, "--at", utc(at_ns), "--lab", lab.inventory.topology, "--json")
    found: dict[str, Told] = {node: set() for node in NODES}
    answer = json.loads(out)
    assert answer["missed"] == 0
    for row in answer["held"]:
        if row["usable"] and row["node"] in found:
            found[row["node"]].add((row["from"], tuple(row["as_path"])))
    return found


def by_mrt(lab: LiveLab, prefix: str, at_ns: int) -> dict[str, Told]:
    """Rebuild it from the MRT file, as a reader of others' makes of it."""
    mrt = Path(lab.inventory.folder) / "capture" / f"{lab.inventory.instance}.mrt"
    told: Sessions = {}
    ases: dict[str, int] = {}
    for entry in Reader(str(mrt)):
        assert not entry.err, entry.err_msg
        data = entry.data
        seconds = int(next(iter(data["timestamp"])))
        if seconds * 1_000_000 + int(data["microsecond_timestamp"]) > at_ns // 1000:
            break
        key = (data["peer_ip"], data["local_ip"])
        ases[data["local_ip"]] = int(data["local_as"])
        if "new_state" in data:
            told.pop(key, None)
            told.pop(key[::-1], None)
        elif "bgp_message" in data:
            _apply(told, key, data["bgp_message"], prefix)
    names = {a.split("/")[0]: n.name for n in lab.inventory.nodes for i in n.interfaces for a in i.addresses}
    found: dict[str, Told] = {node: set() for node in NODES}
    for (sender, receiver), path in told.items():
        node = names[receiver]
        if node in found and ases[receiver] not in path:
            found[node].add((names[sender], path))
    return found


def by_table_dump(lab: LiveLab, prefix: str, at_ns: int, folder: Path) -> dict[str, Told]:
    """Write each router's table, and read it with bgpdump."""
    events, _ = fetch_events(lab.inventory.capture_socket)
    names = {a.split("/")[0]: n.name for n in lab.inventory.nodes for i in n.interfaces for a in i.addresses}
    found: dict[str, Told] = {}
    for node in NODES:
        file = folder / f"{node}-{at_ns}.mrt"
        file.write_bytes(b"".join(table_dump(events, node, at_ns)))
        done = subprocess.run(["bgpdump", "-m", str(file)], capture_output=True, text=True, check=True)
        rows = [line.split("|") for line in done.stdout.splitlines()]
        found[node] = {(names[r[3]], tuple(map(int, r[6].split()))) for r in rows if r[5] == prefix}
    return found


def _apply(told: Sessions, key: tuple[str, str], message: dict[str, Any], prefix: str) -> None:
    attributes = {next(iter(a["type"])): a["value"] for a in message.get("path_attributes", [])}
    withdrawn = [*message.get("withdrawn_routes", []), *attributes.get(15, {}).get("withdrawn_routes", [])]
    announced = [*message.get("nlri", []), *attributes.get(14, {}).get("nlri", [])]
    if prefix in _cidrs(withdrawn):
        told.pop(key, None)
    if prefix in _cidrs(announced):
        told[key] = tuple(int(asn) for segment in attributes[2] for asn in segment["value"])


def _cidrs(routes: Iterable[dict[str, Any]]) -> set[str]:
    return {f"{route['prefix']}/{route['length']}" for route in routes}


@pytest.mark.parametrize("prefix", ["192.0.2.0/24", "2001:db8:1000::/48"])
def test_a_rib_of_any_moment_is_rebuilt_as_the_router_told_it(
    herald_lab: LabFactory, prefix: str, tmp_path: Path
) -> None:
    lab = herald_lab(TOPOLOGY)
    said = list(moments(lab, prefix))
    assert len({frozenset(told) for _, held in said for told in held.values()}) > len(NODES)
    for at_ns, held in said:
        assert by_history(lab, prefix, at_ns) == held
        assert by_mrt(lab, prefix, at_ns) == held
        assert by_table_dump(lab, prefix, at_ns, tmp_path) == held
    everywhere = said[1][1]["vantage"]
    assert everywhere == {(t, (TRANSITS[t], 64500)) for t in UPSTREAMS_OF_VANTAGE}
