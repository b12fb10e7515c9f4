"""``herald serve``, killed by SIGKILL at each named step of a staged roll-out: each end is that of the law.

Four scenarios: a staged withdrawal that passes (two canaries, then the others); one that a site of the second
wave refuses, so that what was reached goes back; a delete, which is two roll-outs; and a rollback with both
halves, asked for over the API by somebody who asks again until he has an answer. The agents are in this
process, over sockets; the server is a process of its own on a store on disk. It is killed at its n-th passing
of a place (``rollout/crash_points.py``), started again, and then compared with the law: everywhere or
nowhere, no generation twice or falling, no binding gone under a route, nothing else touched, nothing left
that waits for a confirmation.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import structlog
from sqlalchemy import func, select

from controller.bgp import Prefix
from controller.rollout import reports
from controller.rollout.crash_points import NAMES
from controller.rollout.driver import Driver
from controller.snapshots import outbox
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    PrefixObject,
    decode_chunk,
)
from controller.snapshots.rollback_tables import RollbackRow
from controller.store import open_store
from controller.transport.messages import Command, Receipt
from tests.driving import living
from tests.fake_agent import FakeAgent, MemoryLink
from tests.guarding import unguarded
from tests.serve_process import BASE, Serve, operator_token, serve_command, serving

SITES = ("s1", "s2", "s3", "s4")
SCENARIOS = ("passes", "refused", "delete", "rollback")
WHOLE, STAYS, GOES = Prefix("198.18.0.0/23"), Prefix("198.18.0.0/24"), Prefix("198.18.1.0/24")
POLICY = """
[guards]
intents = false
breaker = false
last_site = false
[lanes]
unbind_after_s = 0.2
[waves]
bake_s = 0.2
[gates]
wait_s = 20.0
"""
"""What the server is given: nobody has to have asked, and bakes are short."""
PATIENCE_S = 180.0
STATES = {
    "passes": ["done", "done"],
    "refused": ["done", "reverted", "done"],
    "delete": ["done", "done", "done"],
}
"""The roll-outs' ends, oldest first: the first announces all."""


class CrashError(Exception):
    """The end is not that of the law; the message says how."""


@dataclass
class Shared:
    """What the agents of a scenario know of one another: who has taken the withdrawal; who may.

    ``early``: bindings that were taken while a site still sent the route that stands on them.
    """

    refuses: bool
    took: set[str] = field(default_factory=set)
    agents: list[Agent] = field(default_factory=list)
    early: list[str] = field(default_factory=list)


class Agent(FakeAgent):
    """An agent that refuses the withdrawal once two others have taken it, where the scenario is that."""

    def __init__(self, site: str, socket: Path, shared: Shared) -> None:
        super().__init__(site, socket)
        self.shared = shared

    def decide(self, command: Command) -> Receipt:
        assert command.chunk is not None and command.to_hash is not None
        chunk = decode_chunk(command.chunk, command.to_hash)
        withdraws = any(b.cidr == GOES and not b.advertised for b in chunk.bgp_prefixes)
        if (
            withdraws
            and self.shared.refuses
            and self.site not in self.shared.took
            and len(self.shared.took) > 1
        ):
            return Receipt(self.site, command.generation, "refused", "the scenario says so")
        before = self.chunks.get(command.account_id)
        unbound = {b.cidr for b in before.bindings} - {b.cidr for b in chunk.bindings} if before else set()
        for other in self.shared.agents:
            still = {p for p in unbound if p in other.status().sent}
            self.shared.early += [
                f"{self.site} unbinds {p} under {other.site}'s route" for p in sorted(still)
            ]
        receipt = super().decide(command)
        if withdraws and receipt.outcome == "accepted":
            self.shared.took.add(self.site)
        return receipt


def route(id_: str, cidr: Prefix, advertised: bool) -> Change:
    return Change(bgp_prefix=BgpPrefixObject(id_, "p", cidr, None, advertised))


def change(id_: str, *changes: Change, lane: str | None = None) -> ChangeSet:
    return ChangeSet(id_, "acme", "customer:t1", "why", "2026-01-01T00:00:00Z", changes, lane=lane)


@dataclass
class Case:
    """One scenario in a folder of its own."""

    folder: Path
    scenario: str

    def __post_init__(self) -> None:
        self.shared = Shared(self.scenario == "refused")
        self.store = self.folder / "state" / "herald.db"
        (self.folder / "policy.toml").write_text(POLICY)
        self.agents = [Agent(s, self.folder / f"{s}.sock", self.shared) for s in SITES]
        self.shared.agents = self.agents

    async def prepare(self) -> None:
        """Announce both, and queue the staged withdrawal, or the delete, of one."""
        store = open_store(self.store)
        onboarded = (
            Change(prefix=PrefixObject("p", WHOLE, None)),
            Change(binding=BindingObject("b", "p", STAYS, "cdn")),
            Change(binding=BindingObject("b1", "p", GOES, "cdn")),
            route("g0", STAYS, True),
            route("g1", GOES, True),
        )
        with store.write() as session:
            outbox.append(session, change("cs1", *onboarded))
        driver = Driver(store, {a.site: MemoryLink(a) for a in self.agents}, guard=unguarded())
        async with living(driver):
            await self._until(lambda: self._states()[:1] == ["done"])
        with store.write() as session:
            if self.scenario == "delete":
                gone = (Change(remove=("bgp_prefix", "g1")), Change(remove=("binding", "b1")))
                outbox.append(session, change("cs2", *gone))
            else:
                outbox.append(session, change("cs2", route("g1", GOES, False), lane="staged"))
        store.close()

    async def ask(self) -> None:
        """Do what somebody does over the API meanwhile; repeated in each life until it returns."""

    def _states(self) -> list[str]:
        """The roll-outs' states, oldest first; without a process they are read from the store."""
        store = open_store(self.store)
        try:
            with store.read() as session:
                return [r.state for r in reports.rollouts(session, None, 100)[::-1]]
        finally:
            store.close()

    async def _until(self, wanted: Callable[[], bool]) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not await asyncio.to_thread(wanted):
            if time.monotonic() > ends:
                raise CrashError(f"{self.scenario}: the states stay {self._states()}\n{self._log()}")
            await asyncio.sleep(0.1)

    def _log(self) -> str:
        log = self.folder / "serve.log"
        return log.read_text()[-6000:] if log.exists() else ""

    async def life(self, crash_at: str | None) -> bool:
        """Run the process until the roll-outs are over; tell whether it has killed itself."""
        environment = {k: v for k, v in os.environ.items() if k != "HERALD_CRASH_AT"}
        if crash_at is not None:
            environment["HERALD_CRASH_AT"] = crash_at
        sites = [word for a in self.agents for word in ("--site", f"{a.site}={a.socket}")]
        with (self.folder / "serve.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *serve_command(self.folder, "--policy", str(self.folder / "policy.toml"), *sites),
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        ended = asyncio.create_task(process.wait())
        over = asyncio.create_task(self._ask_and_wait())
        try:
            await asyncio.wait([ended, over], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                if process.returncode != -signal.SIGKILL:
                    raise CrashError(f"it ended with {process.returncode}:\n{self._log()}")
                return True
            await over
            return False
        finally:
            over.cancel()
            await asyncio.wait([over])
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await ended

    async def _ask_and_wait(self) -> None:
        await self.ask()
        await self._until(self._is_over)

    def _is_over(self) -> bool:
        states = self._states()
        moving = {"planned", "delivering", "confirming", "gating", "baking", "waiting", "reverting", "paused"}
        enough = len(states) >= len(STATES.get(self.scenario, ()))
        return enough and not moving & set(states) and not any(a.unconfirmed for a in self.agents)

    def judge(self) -> None:
        """Compare with the law."""
        states = self._states()
        wanted = STATES[self.scenario]
        problems = [] if states == wanted else [f"the roll-outs ended {states}, not {wanted}"]
        self.compare({STAYS, GOES} if self.scenario == "refused" else {STAYS}, problems)

    def compare(self, sent: set[Prefix], problems: list[str]) -> None:
        """Raise what is wrong: all sites send ``sent`` and hold the same, by generations that only rise."""
        problems += self.shared.early
        bound = {b.cidr for a in self.agents for c in a.chunks.values() for b in c.bindings}
        if self.scenario in ("delete", "rollback") and bound != sent:
            problems.append(f"bound is {sorted(bound)}, not {sorted(sent)}")
        for agent in self.agents:
            if set(agent.status().sent) != sent:
                problems.append(f"{agent.site} sends {sorted(agent.status().sent)}, not {sorted(sent)}")
            given = [c.generation for c in agent.commands]
            if given != sorted(set(given)):
                problems.append(f"{agent.site} was given generations {given}")
        if len({a.accounts["acme"] for a in self.agents}) != 1:
            problems.append("the sites hold different chunks")
        if problems:
            raise CrashError(f"{self.scenario}: {'; '.join(problems)}\n{self._log()}")


class RollbackCase(Case):
    """A rollback to when one prefix was announced: it is back, and what came since goes, in two steps."""

    async def prepare(self) -> None:
        """Announce one prefix; name that; withdraw it, and announce another."""
        options = [word for a in self.agents for word in ("--site", f"{a.site}={a.socket}")]
        async with serving(self.folder, "--policy", str(self.folder / "policy.toml"), *options) as serve:
            await serve.call("POST", "/herald/v1/services", {"id": "cdn", "name": "CDN"})
            await serve.call("POST", "/herald/v1/accounts", {"id": "acme", "name": "Acme"})
            one = await self._bound(serve, STAYS)
            await serve.over(await serve.advertise(one, True))
            found = (await serve.call("GET", "/herald/v1/snapshots?limit=1")).json()
            self.snapshot = found[0]["id"]
            await serve.over(await serve.advertise(one, False))
            await serve.over(await serve.advertise(await self._bound(serve, GOES), True))
            assert {p for a in self.agents for p in a.status().sent} == {GOES}
        self.before = len(self._states())

    async def _bound(self, serve: Serve, cidr: Prefix) -> str:
        prefix = (await serve.call("POST", BASE, {"cidr": cidr, "asn": None})).json()["result"]["id"]
        await serve.call("POST", f"{BASE}/{prefix}/approve")
        await serve.call("POST", f"{BASE}/{prefix}/bindings", {"cidr": cidr, "service_id": "cdn"})
        found = (await serve.call("GET", f"/herald/v1/bgp_prefixes?cidr={cidr}")).json()
        return str(found["bgp_prefix_id"])

    async def ask(self) -> None:
        """Ask for the rollback, by one key, until there is an answer."""
        body = {"snapshot": self.snapshot, "accounts": ["acme"], "reason": "a drill"}
        transport = httpx.AsyncHTTPTransport(uds=str(self.folder / "api.sock"))
        headers = {"Authorization": f"Bearer {operator_token(self.folder)}", "Idempotency-Key": "the-drill"}
        async with httpx.AsyncClient(transport=transport, base_url="http://herald", headers=headers) as api:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await api.post("/herald/v1/rollbacks", json=body)
                    assert answer.is_success, answer.text
                    return
                await asyncio.sleep(0.05)

    def _is_over(self) -> bool:
        return len(self._states()) >= self.before + 3 and super()._is_over()

    def judge(self) -> None:
        """One rollback; its additive half, what withdraws, what removes."""
        states = self._states()[self.before :]
        problems = [] if states == ["done"] * 3 else [f"the rollback's roll-outs ended {states}"]
        store = open_store(self.store)
        with store.read() as session:
            made = session.scalar(select(func.count()).select_from(RollbackRow))
        store.close()
        if made != 1:
            problems.append(f"{made} rollbacks are recorded")
        self.compare({STAYS}, problems)


async def run_case(empty: Path, scenario: str, point: str, times: int) -> bool:
    """Play one scenario with one crash; tell whether the place was passed so often at all."""
    with tempfile.TemporaryDirectory(prefix="c-") as name:
        folder = Path(name)
        (folder / "state").mkdir()
        shutil.copy(empty, folder / "state" / "herald.db")
        case = RollbackCase(folder, scenario) if scenario == "rollback" else Case(folder, scenario)
        await asyncio.gather(*(a.up() for a in case.agents))
        try:
            await case.prepare()
            crashed = await case.life(f"{point}:{times}")
            if crashed:
                await case.life(None)
            case.judge()
        finally:
            await asyncio.gather(*(a.down() for a in case.agents))
    return crashed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--point", action="append", choices=NAMES)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--times", type=int, default=4, help="passings of each place at most (4)")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    crashes = 0
    with tempfile.TemporaryDirectory() as name:
        empty = Path(name) / "herald.db"
        open_store(empty).close()
        for scenario in given.scenario or SCENARIOS:
            for point in given.point or NAMES:
                for times in range(1, given.times + 1):
                    crashed = asyncio.run(run_case(empty, scenario, point, times))
                    crashes += crashed
                    what = "killed, and ended as it is to" if crashed else "not passed so often"
                    print(f"{scenario:8} {point}:{times} {what}", flush=True)
                    if not crashed:
                        break
    print(f"{crashes} crashes, each ended as the law says")


if __name__ == "__main__":
    main()
