"""Want of bindings, end to end: real machines' HTTP, the agent's site, and a controller that looks around.

Kernel and speaker are stand-ins; everything between them is the product's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.agent.config import AgentConfig, MachineConfig, SpeakerConfig
from controller.agent.journal import Journal
from controller.agent.policy import AgentPolicy
from controller.agent.site import Site
from controller.bgp import Prefix
from controller.cli.app import run
from controller.machine import process as machine_process
from controller.machine.absence import Absences, wrong_report
from controller.machine.bindings import binding_set
from controller.machine.process import Machine, machine_app
from controller.machine.routes import KernelRoute
from controller.rollout.health_grants import health_grants
from controller.safety.correlated import Wishes
from controller.safety.policy import Guards, Policy
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Chunk,
    PrefixObject,
    encode_chunk,
    hash_chunk,
)
from controller.transport.http import HttpMachineLink
from controller.transport.http_server import serve_app
from controller.transport.messages import (
    AbsenceReport,
    BindingItem,
    Command,
    HealthGrant,
    HealthWish,
    SiteStatus,
)
from tests.agent_site import FakeSpeaker, Kernels, until
from tests.site_status import status

PREFIX = Prefix("198.18.0.0/24")
OTHER = Prefix("198.18.1.0/24")
CHUNK = Chunk(
    "acme",
    (PrefixObject("p", Prefix("198.18.0.0/23"), None),),
    tuple(BgpPrefixObject(f"g{p}", "p", p, None, True, None, 0) for p in (PREFIX, OTHER)),
    tuple(BindingObject(f"b{p}", "p", p, "cdn") for p in (PREFIX, OTHER)),
)
QUICK = AgentPolicy(health_withdrawal=True, keepers=0, withdraw_after_s=0.2, return_after_s=0.2)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Kernels:
    found = Kernels()
    monkeypatch.setattr(machine_process, "set_routes", found.set)
    monkeypatch.setattr(machine_process, "read_routes", found.read)
    return found


@contextlib.asynccontextmanager
async def site(
    folder: Path, policy: AgentPolicy, fleet: tuple[str, ...] = ()
) -> AsyncIterator[tuple[Site, FakeSpeaker, list[Machine]]]:
    """Run a site with two machines, which has the chunk and announces both prefixes."""
    machines, configs = [], []
    async with asyncio.TaskGroup() as group:
        tasks = []
        for name in ("m1", "m2"):
            machine = Machine(name, folder / f"{name}.json")
            ready = asyncio.Event()
            socket = folder / f"{name}.sock"
            tasks.append(group.create_task(serve_app(machine_app(machine), socket=socket, ready=ready.set)))
            await ready.wait()
            machines.append(machine)
            configs.append(MachineConfig(name, str(socket)))
        config = AgentConfig(SpeakerConfig("exabgp", "none"), tuple(configs), forward=False, fleet=fleet,
                             machine_deadline_s=0.4)  # fmt: skip
        journal = Journal.open(folder / "agent", "s1")
        speaker = FakeSpeaker()
        here = Site(journal, config, speaker, 1, policy)
        data = encode_chunk(CHUNK)
        assert here.commands([Command("s1", 1, "r", "acme", None, hash_chunk(data), data)])[0].outcome == (
            "accepted"
        )
        tasks.append(group.create_task(here.run()))
        try:
            await until(here, lambda s: s.settled and len(s.sent) == 2)
            yield here, speaker, machines
        finally:
            for task in tasks:
                task.cancel()
            journal.close()


def wish_of(said: SiteStatus, prefix: Prefix = PREFIX) -> HealthWish:
    return next(w for w in said.health if w.prefix == prefix)


async def tell(machines: list[Machine], *absent: Prefix) -> None:
    for machine in machines:
        machine.hear(AbsenceReport(absent, 60.0))


def test_what_all_machines_report_absent_goes_once_the_controller_grants_it_and_comes_back(
    tmp_path: Path, kernels: Kernels
) -> None:
    async def story() -> None:
        async with site(tmp_path, QUICK) as (here, speaker, machines):
            await tell(machines[:1], PREFIX)
            said = await until(here, lambda s: bool(s.health))
            assert (wish_of(said).check, wish_of(said).absent, wish_of(said).withdraw_quorum) == (
                "quorum",
                1,
                2,
            )
            assert (wish_of(said).holding, wish_of(said).announce_quorum, wish_of(said).live) == (1, 2, 2)
            assert any(w.reason.startswith("degraded-held") for w in said.waiting)
            assert said.machines[0].absent == (PREFIX,)
            await tell(machines, PREFIX)
            said = await until(here, lambda s: any(w.wish for w in s.health))
            assert wish_of(said).check == "correlated" and PREFIX in said.sent, "it asks, and stays"
            late = HealthGrant("s1", ("another.1.0",))
            assert here.grant(late).outcome == "stale"
            assert here.grant(HealthGrant("s1", (wish_of(said).wish,))).outcome == "accepted"
            said = await until(here, lambda s: PREFIX not in s.sent)
            assert (wish_of(said).check, said.held[0].check, said.held[0].verb) == (
                "out",
                "health",
                "announce",
            )
            assert OTHER in said.sent and len(said.health) == 1
            budget = here._journal.state.budgets["ordinary"]
            assert [s.prefix for s in budget.spent] == [PREFIX]
            await tell(machines)
            said = await until(here, lambda s: PREFIX in s.sent and not s.health)
            assert speaker.history[-1] == {PREFIX, OTHER}

    asyncio.run(story())


def test_keepers_and_production_keep_what_no_machine_serves(tmp_path: Path, kernels: Kernels) -> None:
    async def story(folder: Path, policy: AgentPolicy, check: str, fleet: tuple[str, ...] = ()) -> None:
        async with site(folder, policy, fleet) as (here, _, machines):
            await tell(machines, PREFIX, OTHER)
            said = await until(here, lambda s: {w.check for w in s.health} == {check})
            assert not any(w.wish for w in said.health), "the controller is not even asked"
            assert said.sent.keys() == {PREFIX, OTHER}

    for name in ("production", "kept"):
        (tmp_path / name).mkdir()
    asyncio.run(story(tmp_path / "production", AgentPolicy(), "policy"))
    kept = AgentPolicy(health_withdrawal=True, withdraw_after_s=0.1)
    asyncio.run(story(tmp_path / "kept", kept, "keeper", ("s1", "s2")))


def test_a_machine_that_dies_reports_nothing(tmp_path: Path, kernels: Kernels) -> None:
    async def story() -> None:
        async with site(tmp_path, QUICK) as (here, _, machines):
            await tell(machines[1:], PREFIX)
            machines[0].ack = None  # type: ignore[method-assign,assignment]  # it answers nobody any more
            await until(here, lambda s: [m.live for m in s.machines] == [False, True])
            said = await until(here, lambda s: bool(s.health))
            assert (wish_of(said).absent, wish_of(said).withdraw_quorum, wish_of(said).live) == (1, 2, 1)
            assert wish_of(said).check == "quorum" and PREFIX in said.sent

    asyncio.run(story())


def test_a_machine_puts_back_what_its_kernel_lost_and_reports_what_it_cannot(
    tmp_path: Path, kernels: Kernels, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story() -> None:
        machine = Machine("m1", tmp_path / "bindings.json")
        held = binding_set(1, [BindingItem(p, "cdn", "acme", f"b{p}") for p in (PREFIX, OTHER)])
        assert await machine.take(held) is None
        await machine.look()
        assert machine.ack().absent == ()
        kernels.routes.clear()
        kernels.refuses = {OTHER}
        await machine.look()
        assert kernels.routes == {KernelRoute(PREFIX)}, "what can be put back is"
        assert machine.ack().absent == (OTHER,)
        kernels.refuses.clear()
        await machine.look()
        assert machine.ack().absent == ()
        socket = tmp_path / "m1.sock"
        stop, ready = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(
            serve_app(machine_app(machine), socket=socket, ready=ready.set, stop=stop)
        )
        await ready.wait()
        words = ("site", "absent", str(PREFIX), "203.0.113.0/24", "--machine", str(socket))
        assert await asyncio.to_thread(run, list(words)) == 0
        assert f"m1 reports absent: {PREFIX}\n" in capsys.readouterr().out, (
            "what it does not hold is no matter"
        )
        link = HttpMachineLink("m1", str(socket))
        assert (await link.get()).absent == (PREFIX,)
        await link.close()
        assert await asyncio.to_thread(run, ["site", "absent", "--machine", str(socket), "--json"]) == 0
        assert '"absent":[]' in capsys.readouterr().out.replace(" ", "")
        stop.set()
        await serving

    asyncio.run(story())


def test_what_was_told_lapses_unless_it_is_told_again() -> None:
    held = binding_set(1, [BindingItem(PREFIX, "cdn", "acme", "b")])
    told = Absences().hear(AbsenceReport((PREFIX, OTHER), 60.0), 100.0)
    assert told.among(held, 159.0) == (PREFIX,)
    assert told.among(held, 160.0) == ()
    assert told.hear(AbsenceReport((), 60.0), 101.0).among(held, 102.0) == ()
    for wrong in (AbsenceReport((PREFIX,), 0.0), AbsenceReport((PREFIX,), 3601.0),
                  AbsenceReport((Prefix("198.18.0.1/24"),))):  # fmt: skip
        assert wrong_report(wrong)
    assert wrong_report(AbsenceReport((PREFIX,))) is None


# What the controller grants.

SITES = ("s1", "s2", "s3", "s4")


def said_by(site: str, *wished: Prefix) -> SiteStatus:
    health = tuple(HealthWish(p, f"{site}.{p}", "correlated", "", 2, 0, 2, 2, 2) for p in wished)
    return status(site, sent=dict.fromkeys((PREFIX, OTHER), (64500,)), health=health)


def granted(
    begun: dict[str, float], *, now: float, held: tuple[str, ...] = (), policy: Policy = Policy(),
    silent: tuple[str, ...] = (),
) -> dict[str, tuple[str, ...]]:  # fmt: skip
    """Return what is granted when sites began to wish the first prefix gone at these times."""
    wishes = Wishes()
    for site, at in begun.items():
        wishes = wishes.heard(site, [PREFIX], at, policy.correlated)
    statuses = [said_by(s, *([PREFIX] if s in begun else [])) for s in SITES if s not in silent]
    return health_grants(statuses, wishes, len(SITES), {PREFIX: "acme"}, held, policy=policy, now=now)


def test_a_site_alone_is_granted_its_wish_after_the_window_and_several_are_not() -> None:
    window = Policy().correlated.window_s
    assert granted({"s1": 0.0}, now=window - 1) == {}, "others may still be heard"
    assert granted({"s1": 0.0}, now=window) == {"s1": (f"s1.{PREFIX}",)}
    assert granted({"s1": 0.0, "s2": window - 1}, now=2 * window) == {}, "correlated: all are held"
    off = Policy(guards=Guards(correlated=False))
    assert granted({"s1": 0.0, "s2": window - 1}, now=2 * window, policy=off).keys() == {"s1", "s2"}


@pytest.mark.parametrize("scope", ["fleet", "class:withdraw", "account:acme", "site:s1"])
def test_nothing_is_granted_where_the_breaker_or_a_freeze_stands(scope: str) -> None:
    assert granted({"s1": 0.0}, now=1e4, held=(scope,)) == {}
    assert granted({"s1": 0.0}, now=1e4, held=("account:globex", "site:s2"))


def test_no_prefix_is_granted_below_its_least_sites() -> None:
    off = Policy(guards=Guards(correlated=False))
    everywhere = dict.fromkeys(SITES, 0.0)
    left = len(SITES) - len(granted(everywhere, now=1e4, policy=off))
    assert left == max(1, off.lanes.min_sites), "each grant leaves fewer for the next"
    assert granted({"s1": 0.0}, now=1e4, silent=("s2", "s3", "s4")) == {}, "who is silent sends nothing"
    lax = Policy(guards=Guards(correlated=False, last_site=False))
    assert len(granted(everywhere, now=1e4, policy=lax)) == len(SITES)
