"""``scripts/bench rollback``: many accounts back by one call, on fake sites or on real ones.

As on 2026-02-20: of 6,500 BGP prefixes 1,100 are withdrawn, and 300 of these stripped of their bindings and
deleted; then one call brings all back.

``--sites fake`` (a minute): sites are agents in this process that answer and do nothing else, so that what is
measured is the controller: plan, transaction, admission, delivery. ``cpu_s`` is the time of this process, for
a machine that has other work.

``--sites real`` (minutes a run): agents, machines and daemons of each speaker, until the last peer has the
last route, against the same speakers driven by bare scripts (:mod:`labs.benchmarks.rollback`).
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import sys
import tempfile
import time
from pathlib import Path

import structlog
from fastapi import APIRouter
from sqlalchemy import insert

from controller.addressing.tables import AccountRow
from controller.bgp import Prefix
from controller.guard.admission import Guard
from controller.rollbacks import pin_routes
from controller.rollbacks import routes as rollback_routes
from controller.rollout.driver import Driver
from controller.rollout.routes import build_router
from controller.rollout.snapshot_routes import build_snapshot_router
from controller.safety.policy import Guards, Policy
from controller.snapshots import outbox
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    PrefixObject,
)
from controller.snapshots.projection import project
from controller.store import Store
from controller.transport.messages import Command, Receipt, SiteStatus
from tests.addressing_api import running_api
from tests.driving import living_in_a_thread
from tests.fake_agent import FakeAgent, MemoryLink
from tests.scale.dataset import BEGAN

DEADLINE_S = 600.0
SITES = 6


class QuickAgent(FakeAgent):
    """Keeps what it sends account by account, so that a status costs what has changed."""

    def __init__(self, site: str, socket: Path) -> None:
        super().__init__(site, socket)
        self.routes: dict[str, dict[Prefix, tuple[int, ...]]] = {}
        self.receipts: dict[str, float] = {}

    def decide(self, command: Command) -> Receipt:
        receipt = super().decide(command)
        chunk = self.chunks[command.account_id]
        routes = project({command.account_id: chunk}, self.site, 64500).routes
        self.routes[command.account_id] = {r.prefix: r.as_path for r in routes}
        self.receipts[command.account_id] = time.perf_counter()
        return receipt

    def status(self) -> SiteStatus:
        sent = {p: path for routes in self.routes.values() for p, path in routes.items()}
        return SiteStatus(
            site=self.site, version=self.version, generation=self.generation, epoch="e1",
            accounts=dict(self.accounts), settled=True, speaker="fake", speaker_up=True, sent=sent,
            machines=(), waiting=(), fault="",
        )  # fmt: skip


def objects(account: str, numbers: range) -> list[Change]:
    """Return prefixes, bindings and announced BGP prefixes, a /24 each."""
    found: list[Change] = []
    for n in numbers:
        cidr = Prefix(str(ipaddress.IPv4Network((20 << 24) + (n << 8)).supernet(new_prefix=24)))
        prefix, binding, bgp = (f"{kind}{n:07}" for kind in ("p", "b", "g"))
        found += [
            Change(prefix=PrefixObject(prefix, cidr, None)),
            Change(binding=BindingObject(binding, prefix, cidr, "cdn")),
            Change(bgp_prefix=BgpPrefixObject(bgp, prefix, cidr, None, advertised=True)),
        ]
    return found


def damage(numbers: range, stripped: int) -> list[Change]:
    """Withdraw them all, and strip and delete the first ``stripped``."""
    found: list[Change] = []
    for place, n in enumerate(numbers):
        if place < stripped:
            for kind, letter in (("bgp_prefix", "g"), ("binding", "b"), ("prefix", "p")):
                found.append(Change(remove=(kind, f"{letter}{n:07}")))  # type: ignore[arg-type]
            continue
        cidr = Prefix(str(ipaddress.IPv4Network((20 << 24) + (n << 8)).supernet(new_prefix=24)))
        bgp = BgpPrefixObject(f"g{n:07}", f"p{n:07}", cidr, None, advertised=False)
        found.append(Change(bgp_prefix=bgp))
    return found


class Bench:
    def __init__(self, store: Store, driver: Driver, told: argparse.Namespace) -> None:
        self.store, self.driver, self.told = store, driver, told
        self.accounts = [f"acc{n:05}" for n in range(told.accounts)]
        each = told.prefixes // told.accounts
        self.numbers = {a: range(i * each, (i + 1) * each) for i, a in enumerate(self.accounts)}

    def submit(self, sets: list[ChangeSet]) -> None:
        with self.store.write() as session:
            for change_set in sets:
                outbox.append(session, change_set)
        self.driver.change_set_queued(sets[-1].id)

    def change_sets(self, what: str, changes: dict[str, list[Change]]) -> list[ChangeSet]:
        at = "2026-02-20T17:56:00Z"
        return [
            ChangeSet(f"{what}{a}", a, f"customer:{a}", what, at, tuple(found), lane="express")
            for a, found in changes.items()
            if found
        ]

    def onboard(self) -> list[ChangeSet]:
        return self.change_sets("in", {a: objects(a, n) for a, n in self.numbers.items()})

    def outage(self) -> list[ChangeSet]:
        withdrawn = self.told.withdrawn // self.told.accounts
        left = self.told.withdrawn - withdrawn * self.told.accounts
        stripped = self.told.stripped // self.told.accounts
        changes = {}
        for place, (account, numbers) in enumerate(self.numbers.items()):
            count = withdrawn + (place < left)
            changes[account] = damage(numbers[:count], min(count, stripped + (place < 2)))
        return self.change_sets("out", changes)


def main(argv: list[str]) -> None:
    """Measure and print."""
    told = _told(argv)
    if told.sites == "real":
        _on_real_sites(told)
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), told)
    print(json.dumps(result, indent=2))


def _on_real_sites(told: argparse.Namespace) -> None:
    from labs.benchmarks.rollback import measure_all
    from labs.benchmarks.showing import Showing

    showing = Showing(to_json=told.json)
    with tempfile.TemporaryDirectory(prefix="herald-bench-") as folder:
        found = measure_all(Path(folder), told.runs)
    showing.add(found, "Rolling back, from the call to the last peer's RIB")
    showing.end()


def measure(folder: Path, told: argparse.Namespace) -> dict[str, object]:
    """Return the times of one run, in seconds."""
    agents = [QuickAgent(f"site{n}", folder / f"{n}.sock") for n in range(SITES)]
    made: list[Driver] = []

    def routers(store: Store) -> list[APIRouter]:
        # The outage itself must pass, to be rolled back: what the guards cost is scripts/bench snapshots'.
        off = Guards(intents=False, breaker=False, staged=False, last_site=False)
        guard = Guard(Policy(guards=off))
        made.append(Driver(store, {a.site: MemoryLink(a) for a in agents}, guard=guard))
        return [
            build_router(made[0]), build_snapshot_router(made[0]), rollback_routes.router, pin_routes.router,
        ]  # fmt: skip

    with running_api(folder, routers_over=routers) as api:
        bench = Bench(api.store, made[0], told)
        with api.store.write() as session:
            session.execute(
                insert(AccountRow), [{"id": a, "name": a, "created_at": BEGAN} for a in bench.accounts]
            )
        with living_in_a_thread(made[0]), api.http() as http:
            http.timeout = DEADLINE_S
            _carry(bench, agents, bench.onboard())
            idle = _toggle(bench, agents, "idle")
            before = http.get("/herald/v1/snapshots?limit=1").json()[0]["id"]
            _carry(bench, agents, bench.outage())
            body = {"snapshot": before, "accounts": None, "reason": "the clean-up ran away"}
            started = time.perf_counter()
            dry = http.post("/herald/v1/rollbacks?dry_run=true", json=body)
            planned = time.perf_counter() - started
            assert dry.status_code == 200, dry.text
            for agent in agents:
                agent.receipts.clear()
            started, cpu = time.perf_counter(), time.process_time()
            answer = http.post("/herald/v1/rollbacks", json=body)
            posted, posted_cpu = time.perf_counter() - started, time.process_time() - cpu
            assert answer.status_code == 200, answer.text
            back = answer.json()["result"]
            toggled = _toggle(bench, agents, "next door")
            _await(lambda: all(len(a.receipts) >= len(back) for a in agents))
            all_cpu = time.process_time() - cpu
            receipts = [t - started for a in agents for t in a.receipts.values()]
            restored = sum(len(a.routes[x]) for a in agents[:1] for x in a.routes)
    ordered = sorted(receipts)
    return {
        "accounts": told.accounts, "prefixes": told.prefixes, "withdrawn": told.withdrawn,
        "stripped": told.stripped, "sites": SITES, "accounts_back": len(back),
        "announced_at_a_site": restored, "dry_run_s": round(planned, 3), "post_s": round(posted, 3),
        "first_receipt_s": round(ordered[0], 3), "median_receipt_s": round(ordered[len(ordered) // 2], 3),
        "toggle_idle_s": round(idle, 3), "toggle_next_door_s": round(toggled, 3),
        "last_receipt_s": round(ordered[-1], 3), "post_cpu_s": round(posted_cpu, 3),
        "cpu_s": round(all_cpu, 3),
    }  # fmt: skip


def _toggle(bench: Bench, agents: list[QuickAgent], when: str) -> float:
    """Return how long a change of an account takes that has nothing to do with all this."""
    began = time.perf_counter()
    first = bench.told.prefixes + (100 if when == "idle" else 200)
    account = f"other-{when.replace(' ', '-')}"
    changes = tuple(objects(account, range(first, first + 1)))
    made = ChangeSet(when, account, f"customer:{account}", when, "2026-02-20T17:56:00Z", changes)
    bench.submit([made])
    _await(lambda: all(account in a.receipts for a in agents))
    for agent in agents:
        del agent.receipts[account]
    return time.perf_counter() - began


def _carry(bench: Bench, agents: list[QuickAgent], sets: list[ChangeSet]) -> None:
    for agent in agents:
        agent.receipts.clear()
    bench.submit(sets)
    _await(lambda: all(len(a.receipts) >= len(sets) for a in agents))


def _await(done) -> None:  # type: ignore[no-untyped-def]
    ends = time.monotonic() + DEADLINE_S
    while not done():
        if time.monotonic() > ends:
            raise TimeoutError("the sites have not got it")
        time.sleep(0.002)


def _told(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench rollback", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sites", choices=("fake", "real"), default="fake", help="fake: the controller alone; real: daemons"
    )
    fake = parser.add_argument_group("fake sites")
    fake.add_argument("--accounts", type=int, default=300)
    fake.add_argument("--prefixes", type=int, default=6500)
    fake.add_argument("--withdrawn", type=int, default=1100)
    fake.add_argument("--stripped", type=int, default=300)
    real = parser.add_argument_group("real sites")
    real.add_argument("--runs", type=int, default=5, help="samples of each speaker (default 5)")
    real.add_argument("--json", action="store_true", help="raw samples (seconds) and ratios as JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main(sys.argv[1:])
