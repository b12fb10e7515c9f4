"""Networks for tests of the forecast: cliques as their RIBs show them, and random ones at rest."""

from __future__ import annotations

from controller.bgp import AsPath, parse_prefix
from controller.forecast.network import Network, network
from controller.observe.rib import RibRow

PREFIX = parse_prefix("192.0.2.0/24")
OURS = 64500


def row(
    node: str, sender: str, path: AsPath, *, best: bool = False, daemon: str = "bird", mark: str = ""
) -> RibRow:
    return RibRow(node, daemon, PREFIX, best, path, None, (mark,) if mark else (), sender)


def clique(n: int, daemon: str = "bird") -> Network:
    """A mesh of ``n`` routers with our stub on the first, as their Loc-RIBs show it."""
    routers = {f"r{i:02}": 65000 + i for i in range(1, n + 1)}
    first = routers["r01"]
    rows = [row("r01", "site1", (OURS,), best=True, daemon=daemon)]
    for name in list(routers)[1:]:
        rows.append(row(name, "r01", (first, OURS), best=True, daemon=daemon))
        rows += [
            row(name, other, (asn, first, OURS), daemon=daemon)
            for other, asn in routers.items()
            if other not in ("r01", name)
        ]
    neighbours = {name: [o for o in routers if o != name] for name in routers}
    neighbours["r01"].append("site1")
    neighbours["site1"] = ["r01"]
    return network(
        rows, neighbours=neighbours, daemons={**dict.fromkeys(routers, daemon), "site1": "exabgp"},
        origins={"site1"},
    )  # fmt: skip
