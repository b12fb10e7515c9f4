"""A customer's toggle while others have trouble, against the same on an idle system (SAFETY.md, 4, 13).

At six sites, on real daemons: from the API call until every router's Loc-RIB has the prefix. Each sample is
another prefix's first announcement by its owner:

- while a withdrawal of somebody else's bakes, by a policy that stages even one, as it does a bulk change;
- at the moment in which the account next door is rolled back;
- while a breaker is open for an operator, who has begun to take everybody's prefixes off the air.

The idle samples are of the same lab: by turns with those beside a rollback, before the trouble begins where
it lasts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

import labs.runtimes.lab as runtime
from controller.agent.policy import AgentPolicy
from controller.bgp import Prefix, parse_prefix
from controller.cli.output import progress
from controller.cli.routes import herald
from controller.safety.budget import Limit
from labs.benchmarks.propagation import until
from labs.benchmarks.samples import Comparison
from labs.live import LiveLab
from labs.topology.addressing_data import read_addressing
from labs.topology.generate import generate_six_sites

FLOOR = "the same on an idle system"
SPEAKER = {"HERALD_SPEAKER": "bird"}
BAKES = "[lanes]\nexpress_bgp_prefixes = 0\n"
"""A policy by which no withdrawal is small enough to go at once: a single one bakes as a bulk change does."""


class Customers:
    """The lab's customers, each used up by one sample: two IPv4 prefixes and no history."""

    def __init__(self, topology: Path) -> None:
        data = read_addressing(topology.parent / "configs" / "addressing.json")
        self._left = [
            (a.id, [parse_prefix(p.cidr) for p in a.prefixes if "." in p.cidr]) for a in data.accounts
        ]

    def take(self) -> tuple[str, list[Prefix]]:
        """Return another account and its prefixes."""
        return self._left.pop(0)

    def take_prefixes(self, count: int) -> list[Prefix]:
        """Return the first prefix of each of ``count`` others."""
        return [self.take()[1][0] for _ in range(count)]


def toggle(lab: LiveLab, prefix: Prefix) -> float:
    """Return the seconds from the call to the last router's Loc-RIB."""
    began = time.monotonic()
    made = lab.ask(prefix, advertised=True)
    until(lab.inventory, prefix, present=True)
    took = time.monotonic() - began
    if made is not None:
        lab.client.wait_change_set(made, 30)
    return took


def compare(
    lab: LiveLab,
    customers: Customers,
    name: str,
    runs: int,
    *,
    trouble: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
    idle: Sequence[float] | None = None,
) -> Comparison:
    """Take ``runs`` samples with ``trouble()`` before each, and as many idle ones if ``idle`` has none."""
    ours, floor = [], list(idle or ())
    for number in range(1, runs + 1):
        progress(f"{name}: {number} of {runs}")
        if idle is None:
            floor.append(toggle(lab, customers.take()[1][0]))
        trouble()
        ours.append(toggle(lab, customers.take()[1][0]))
        after()
    return Comparison(name, FLOOR, tuple(ours), tuple(floor))


def beside_a_bake(lab: LiveLab, customers: Customers, runs: int) -> Comparison:
    """Toggle while somebody else's withdrawal bakes."""
    _, [first, _] = customers.take()
    toggle(lab, first)
    idle = [toggle(lab, prefix) for prefix in customers.take_prefixes(runs)]
    made = lab.ask(first, advertised=False)
    assert made is not None

    def bakes() -> bool:
        return any(r["change_set_id"] == made and r["state"] == "baking" for r in lab.client.rollouts())

    lab.wait_until(bakes, within=60, what="the first wave to bake")
    return compare(
        lab, customers, "announce while a bulk change bakes", runs, trouble=lambda: _still(bakes), idle=idle
    )


def _still(bakes: Callable[[], bool]) -> None:
    if not bakes():
        raise TimeoutError("the bulk change bakes no more: fewer --runs fit into its bake")


def beside_a_rollback(lab: LiveLab, customers: Customers, runs: int) -> Comparison:
    """Toggle at the moment in which the account next door is rolled back."""
    asked: list[str] = []

    def roll_back() -> None:
        account, prefixes = customers.take()
        for prefix in prefixes:
            lab.announce(prefix)
        good = lab.client.snapshots()[0]["id"]
        for prefix in prefixes:
            lab.withdraw(prefix)
            lab.wait_for_absence(prefix)
        body = {"snapshot": good, "accounts": [account], "reason": "a benchmark"}
        made = lab.client.write("POST", herald("rollbacks"), body).result
        asked.append(made["result"][0]["additive"]["change_set_id"])

    def rolled_back() -> None:
        assert lab.client.wait_change_set(asked[-1], 30).state == "done"

    name = "announce while the account next door is rolled back"
    return compare(lab, customers, name, runs, trouble=roll_back, after=rolled_back)


def beside_an_open_breaker(lab: LiveLab, customers: Customers, runs: int) -> Comparison:
    """Toggle while an operator's clean-up is held."""
    victims = customers.take_prefixes(12)
    for prefix in victims:
        lab.announce(prefix)
    idle = [toggle(lab, prefix) for prefix in customers.take_prefixes(runs)]
    for prefix in victims:
        lab.as_operator().advertise(prefix, advertised=False)
    lab.wait_until(
        lambda: bool(lab.client.one(herald("breaker"))["open"]), within=30, what="the breaker to open"
    )
    return compare(lab, customers, "announce while a breaker is open", runs, idle=idle)


@contextmanager
def six_sites(folder: Path, policy: str) -> Iterator[tuple[LiveLab, Customers]]:
    """Give the lab with a policy, agents whose budget the samples do not spend, and its customers."""
    topology = generate_six_sites(folder / "six-sites")
    wide = tuple(Limit(limit.seconds, 100_000) for limit in AgentPolicy().budget)
    configs = topology.parent / "configs"
    (configs / "agent-policy.json").write_bytes(msgspec.json.encode(AgentPolicy(budget=wide)))
    (configs / "policy.toml").write_text(policy)
    with runtime.temporary(topology, variables=SPEAKER) as running:
        yield LiveLab(running), Customers(topology)


def measure_all(folder: Path, runs: int) -> Iterator[Comparison]:
    """Measure the three situations, one after the other."""
    progress("bringing six sites up, where every withdrawal bakes")
    with six_sites(folder / "bakes", BAKES) as (lab, customers):
        yield beside_a_bake(lab, customers, runs)
    progress("bringing six sites up, by production's policy")
    with six_sites(folder / "others", "") as (lab, customers):
        yield beside_a_rollback(lab, customers, runs)
        yield beside_an_open_breaker(lab, customers, runs)
