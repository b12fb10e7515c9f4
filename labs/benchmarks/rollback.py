"""Rolling back 1,100 withdrawn prefixes of 6,500, 300 of them without bindings, at six sites.

Against the same daemons putting the same 1,100 back when a bare script drives them. For both the end is the
later of two: the last of the routes arrived at the last neighbour of the last site (by the wire), and
the routers that are BIRDs hold all networks (asked over and over, which costs both the same).
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import labs.runtimes.lab as runtime
from controller.bgp import Prefix
from controller.cli.routes import herald
from labs.benchmarks.arrivals import Session, last_arrival_ns
from labs.benchmarks.bare_speakers import bare
from labs.benchmarks.bird_counts import routes_in_master
from labs.benchmarks.fleet import Customer, ids_beside, write_fleet
from labs.benchmarks.samples import Comparison
from labs.live import LiveLab
from labs.topology.generate import generate_six_sites

PREFIXES, ACCOUNTS = 6_500, 1_500
WITHDRAWN, STRIPPED = 1_100, 300
DEADLINE_S = 300.0
LOOK_S = 0.01


@dataclass(frozen=True, slots=True)
class Fleet:
    """A lab with all prefixes announced at all sites."""

    lab: LiveLab
    customers: Sequence[Customer]

    @property
    def cidrs(self) -> list[Prefix]:
        """All prefixes."""
        return [cidr for customer in self.customers for cidr, _ in customer.prefixes]

    @property
    def victims(self) -> list[Customer]:
        """The first customers that have :data:`WITHDRAWN` prefixes together (the last one cut to fit)."""
        found: list[Customer] = []
        left = WITHDRAWN
        for customer in self.customers:
            if left > 0:
                found.append(Customer(customer.account_id, customer.prefixes[:left]))
                left -= len(found[-1].prefixes)
        return found

    def sessions(self) -> set[Session]:
        """Each site's router with each of its neighbours."""
        inventory = self.lab.inventory
        ours = {site.router for site in inventory.sites}
        return {
            (router, interface.peer_node)
            for router in ours
            for interface in inventory.node(router).interfaces
            if inventory.node(interface.peer_node).role not in ("machine", "site")
        }

    def wait_for_networks(self, count: int) -> None:
        """Return when each BIRD of others holds ``count`` networks."""
        birds = [
            Path(n.run) / "bird" / "bird.ctl" for n in self.lab.inventory.routers() if n.daemon == "bird"
        ]
        deadline = time.monotonic() + DEADLINE_S
        while not all(routes_in_master(control) == count for control in birds):
            if time.monotonic() > deadline:
                held = [routes_in_master(control) for control in birds]
                raise TimeoutError(f"not {count} networks everywhere after {DEADLINE_S:g} s, but {held}")
            time.sleep(LOOK_S)

    def wait_for_sites(self) -> None:
        """Return when ``serve`` hears from all sites, and each has all that it is to have."""
        self.lab.wait_until(
            lambda: all(row["reachable"] and row["status"]["settled"] for row in self.lab.client.sites()),
            within=DEADLINE_S,
            what="all sites to be reachable and settled",
        )

    def arrival(self, since: int, prefixes: Collection[Prefix]) -> int:
        """Return the last arrival after the mark ``since``, in nanoseconds since the epoch."""
        deadline = time.monotonic() + DEADLINE_S
        while (found := last_arrival_ns(self.lab.events(since), self.sessions(), prefixes)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError("some of the routes never arrived at some neighbour")
            time.sleep(0.05)
        return found


@contextmanager
def fleet(
    folder: Path, speaker: str, policy: str = "", agents: Mapping[str, object] | None = None
) -> Iterator[Fleet]:
    """Bring up ``six-sites`` with the whole fleet announced.

    ``policy``: the text of the controller's policy; ``agents``: the agents' policy, production's if None.
    """
    topology = generate_six_sites(folder)
    (folder / "configs" / "addressing.json").unlink()
    (folder / "configs" / "policy.toml").write_text(policy)
    if agents is not None:
        (folder / "configs" / "agent-policy.json").write_text(json.dumps(agents))
    customers = write_fleet(folder / "configs" / "store.jsonl", prefixes=PREFIXES, accounts=ACCOUNTS)
    with runtime.temporary(topology, variables={"HERALD_SPEAKER": speaker}) as running:
        made = Fleet(LiveLab(running), customers)
        made.wait_for_networks(PREFIXES)
        yield made


def by_bare_script(made: Fleet) -> float:
    """Time the speakers' own commands for the same routes; no agent runs meanwhile."""
    lab = made.lab
    prefixes = [cidr for customer in made.victims for cidr, _ in customer.prefixes]
    agents = [f"agent:{site.name}" for site in lab.inventory.sites]
    for agent in agents:
        lab.running.signal(agent, signal.SIGKILL)
    speakers = [bare(lab.inventory.node(site.router), made.cidrs) for site in lab.inventory.sites]
    with ThreadPoolExecutor(len(speakers)) as pool:
        list(pool.map(lambda s: s.write_many(prefixes, withdraw=True), speakers))
        made.wait_for_networks(PREFIXES - len(prefixes))
        since = lab.mark()
        began_ns = time.time_ns()
        list(pool.map(lambda s: s.write_many(prefixes, withdraw=False), speakers))
        made.wait_for_networks(PREFIXES)
        held_ns = time.time_ns()
    took = (max(held_ns, made.arrival(since, prefixes)) - began_ns) / 1e9
    for speaker in speakers:
        speaker.close()
    for agent in agents:
        lab.running.restart(agent)
    made.wait_for_sites()
    return took


FLOOR = "speakers' commands, bare script"
DISARMED = "[guards]\n" + "".join(
    f"{name} = false\n"
    for name in ("intents", "breaker", "staged", "last_site", "correlated", "shrinkage", "tasks")
)
AGENTS_DISARMED = {"guards": {"intents": False, "keeper": False, "budget": False}}


def harm(made: Fleet) -> str:
    """Withdraw the victims' prefixes and strip the first of them of their bindings, as an operator.

    The guards must be disarmed. Returns the snapshot from before.
    """
    operator = made.lab.as_operator()
    before = str(operator.snapshots()[0]["id"])
    left = STRIPPED
    for customer in made.victims:
        for _, bgp_id in customer.prefixes:
            path = herald("accounts", customer.account_id, "bgp_prefixes", bgp_id, "advertisement")
            operator.write("PUT", path, {"advertised": False, "sites": None})
            if left > 0:
                left -= 1
                operator.unbind(customer.account_id, *ids_beside(bgp_id))
    made.wait_for_networks(PREFIXES - sum(len(c.prefixes) for c in made.victims))
    made.wait_for_sites()
    return before


def by_rollback(made: Fleet, snapshot: str) -> tuple[float, float]:
    """Time ``POST /herald/v1/rollbacks`` until the last route is back, and until its answer; in seconds."""
    prefixes = [cidr for customer in made.victims for cidr, _ in customer.prefixes]
    operator = made.lab.as_operator()
    since = made.lab.mark()
    began_ns = time.time_ns()
    operator.write("POST", herald("rollbacks"), {"snapshot": snapshot, "accounts": None, "reason": "bench"})
    answered_ns = time.time_ns()
    made.wait_for_networks(PREFIXES)
    held_ns = time.time_ns()
    took = max(held_ns, made.arrival(since, prefixes)) - began_ns
    return took / 1e9, (answered_ns - began_ns) / 1e9


def measure_all(folder: Path, runs: int) -> list[Comparison]:
    """Compare on each speaker; a lab for each, since what was rolled back is pinned."""
    found = []
    for speaker in ("bird", "gobgp", "exabgp"):
        ours, floor = [], []
        for run in range(runs):
            with fleet(folder / f"{speaker}-{run}", speaker, DISARMED, AGENTS_DISARMED) as made:
                floor.append(by_bare_script(made))
                snapshot = harm(made)
                # The way back is measured with production's guards at the controller.
                (folder / f"{speaker}-{run}" / "configs" / "policy.toml").write_text("")
                made.lab.running.restart("serve")
                made.wait_for_sites()
                took, _ = by_rollback(made, snapshot)
                ours.append(took)
        found.append(
            Comparison(
                f"rollback of {WITHDRAWN} of {PREFIXES} to six sites, {speaker}: call → last RIB",
                FLOOR,
                tuple(ours),
                tuple(floor),
            )
        )
    return found
