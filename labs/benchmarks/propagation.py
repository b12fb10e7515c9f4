"""From an API call to the last peer's Loc-RIB, against the same speaker driven by a bare script.

Both are timed by the same observer, which asks every router's own daemon in turn, over and over: so the
observer's cost is in both, and in the ratio it makes Herald look better than it is by at most one round.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from controller.observe.readers import read_ribs

from controller.bgp import Prefix, Route, parse_prefix
from controller.observe.inventory import Inventory
from controller.speakers.protocol import Speaker
from labs.benchmarks.samples import Comparison
from labs.live import LiveLab

DEADLINE_S = 30.0


def until(inventory: Inventory, prefix: Prefix, *, present: bool) -> None:
    """Return when all routers (or none of them) hold ``prefix``."""
    wanted = {node.name for node in inventory.routers()} if present else set()
    deadline = time.monotonic() + DEADLINE_S
    while {row.node for row in read_ribs(inventory, prefix)} != wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{prefix} is not {'everywhere' if present else 'gone'} after {DEADLINE_S:g} s"
            )


def through_the_api(lab: LiveLab, prefix: Prefix, runs: int) -> tuple[list[float], list[float]]:
    """Time ``runs`` announcements and withdrawals, each from the HTTP call on."""
    up, down = [], []
    for _ in range(runs):
        for samples, advertised in ((up, True), (down, False)):
            began = time.monotonic()
            lab.ask(prefix, advertised=advertised)
            until(lab.inventory, prefix, present=advertised)
            samples.append(time.monotonic() - began)
    return up, down


async def by_bare_script(
    lab: LiveLab, speakers: list[Speaker], prefix: Prefix, runs: int
) -> tuple[list[float], list[float]]:
    """Time the same with nothing but the speakers' own commands; the agents are not running."""
    for speaker in speakers:
        await speaker.attach()
    up, down = [], []
    for _ in range(runs):
        for samples, routes in ((up, frozenset({Route(prefix, (64500,))})), (down, frozenset[Route]())):
            began = time.monotonic()
            await asyncio.gather(*(speaker.set(routes) for speaker in speakers))
            await asyncio.to_thread(until, lab.inventory, prefix, present=bool(routes))
            samples.append(time.monotonic() - began)
    for speaker in speakers:
        await speaker.close()
    return up, down


def measure(lab: LiveLab, name: str, make: Callable[[], list[Speaker]], runs: int) -> list[Comparison]:
    """Compare announcing and withdrawing on ``lab``; ``make`` gives drivers for its sites' speakers."""
    prefix = parse_prefix("192.0.2.0/24")
    through_the_api(lab, prefix, 1)  # the first use of each daemon's reader is not counted
    up, down = through_the_api(lab, prefix, runs)
    agents = [f"agent:{site.name}" for site in lab.inventory.sites]
    for agent in agents:
        lab.running.stop(agent)
    bare_up, bare_down = asyncio.run(by_bare_script(lab, make(), prefix, runs))
    for agent in agents:
        lab.running.restart(agent)
    floor = "speaker, bare script"
    return [
        Comparison(f"{name}: announce call → last Loc-RIB", floor, tuple(up), tuple(bare_up)),
        Comparison(f"{name}: withdraw call → gone from all", floor, tuple(down), tuple(bare_down)),
    ]
