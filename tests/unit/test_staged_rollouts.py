"""Staged roll-outs: waves in order, gates, the way back, pauses, crashes, and changes that do not wait."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

import controller.exports.choice  # noqa: F401 (every room's tables: what refers to what goes with it)
from controller.bgp import Prefix
from controller.rollout import records, reports
from controller.rollout.collection import collect_history
from controller.rollout.driver import Driver
from controller.rollout.errors import RolloutOverError, UnknownRolloutError
from controller.rollout.events import Aborted, Paused, Resumed
from controller.rollout.gatekeeper import GateAnswer, GateOutcome, GateQuestion
from controller.rollout.reports import RolloutReport
from controller.safety.policy import Gates, Lanes, Policy, Waves
from controller.snapshots import outbox
from controller.snapshots.collection import Keep
from controller.snapshots.model import BgpPrefixObject, BindingObject, Change, ChangeSet, PrefixObject
from controller.snapshots.tables import ChangeSetRow
from controller.store import Store, open_store
from tests import driving
from tests.fake_agent import FakeAgent, MemoryLink
from tests.guarding import unguarded

SITES = ("s1", "s2", "s3", "s4")
WHOLE = Prefix("198.18.0.0/22")
PARTS = [Prefix(f"198.18.{n}.0/24") for n in range(4)]
QUICK = Policy(waves=Waves(bake_s=0.0), gates=Gates(wait_s=5.0))


def onboarded(*advertised: int) -> tuple[Change, ...]:
    return (
        Change(prefix=PrefixObject("p", WHOLE, None)),
        Change(binding=BindingObject("b", "p", WHOLE, "cdn")),
        *(route(n, n in advertised) for n in range(4)),
    )


def route(n: int, advertised: bool) -> Change:
    return Change(bgp_prefix=BgpPrefixObject(f"g{n}", "p", PARTS[n], None, advertised))


def change(*changes: Change, lane: str | None = None, intents: tuple[str, ...] = ()) -> ChangeSet:
    return driving.change("acme", *changes, actor="customer:t1", lane=lane, intents=intents)


@dataclass
class Observers:
    """A gatekeeper whose answers the test writes; ``open``: it answers at all."""

    gates: dict[int, GateOutcome] = field(default_factory=dict)
    unfit: set[str] = field(default_factory=set)
    baselines: list[GateQuestion] = field(default_factory=list)
    asked: list[GateQuestion] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def baseline(self, question: GateQuestion) -> GateAnswer:
        self.baselines.append(question)
        bad = set(question.changed) & self.unfit
        return GateAnswer("fail", f"{bad} is ill") if bad else GateAnswer("pass", "well")

    async def judge(self, question: GateQuestion) -> GateAnswer:
        self.asked.append(question)
        await self.open.wait()
        return GateAnswer(self.gates.get(question.wave, "pass"), "as the test says")


class Controller(driving.Controller):
    """One life of the driver over a store, four agents and the observers."""

    def __init__(self, store: Store, world: World, policy: Policy) -> None:
        guard, looks = unguarded(), world.observers
        driver = Driver(store, world.links, policy=policy, gatekeeper=looks, guard=guard)
        super().__init__(store, driver)

    def all_change_sets(self) -> list[ChangeSetRow]:
        with self.store.read() as session:
            rows = list(session.scalars(select(ChangeSetRow).order_by(ChangeSetRow.seq)))
            session.expunge_all()
        return rows

    def waiting(self) -> list[ChangeSetRow]:
        return [row for row in self.all_change_sets() if row.state == "queued"]

    def rollouts(self) -> list[RolloutReport]:
        """Oldest first."""
        with self.store.read() as session:
            return reports.rollouts(session, None, 100)[::-1]

    async def once(self, wanted: Callable[[], bool]) -> None:
        moved = asyncio.Event()
        self.driver.on_change(lambda _: moved.set())
        async with asyncio.timeout(driving.DEADLINE_S):
            while not wanted():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await moved.wait()
                moved.clear()

    async def at(self, state: str, n: int = -1) -> RolloutReport:
        """Wait until a roll-out (by default the newest) is in a state."""
        await self.once(lambda: bool(self.rollouts()) and self.rollouts()[n].state == state)
        return self.rollouts()[n]


@dataclass
class World:
    """What outlives a controller."""

    path: Path
    observers: Observers = field(default_factory=Observers)

    def __post_init__(self) -> None:
        self.agents = {s: FakeAgent(s, self.path.parent / s) for s in SITES}
        self.links = {s: MemoryLink(a) for s, a in self.agents.items()}

    @contextlib.asynccontextmanager
    async def controller(self, policy: Policy = QUICK) -> AsyncIterator[Controller]:
        store = open_store(self.path)
        controller = Controller(store, self, policy)
        try:
            async with driving.living(controller.driver):
                yield controller
        finally:
            store.close()

    def sent(self, n: int) -> set[str]:
        """The sites that announce part ``n``."""
        return {s for s, a in self.agents.items() if PARTS[n] in a.status().sent}


@pytest.fixture
def world(tmp_path: Path, empty_database: Path) -> World:
    shutil.copy(empty_database, tmp_path / "herald.db")
    return World(tmp_path / "herald.db")


def play(world: World, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        world.observers.open = asyncio.Event()
        world.observers.open.set()
        await scenario(world)

    asyncio.run(run())


def test_waves_go_in_order_and_each_is_final_after_its_gate(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller() as c:
            await c.over(c.submit(change(*onboarded(0, 1))))
            world.observers.open.clear()
            id_ = c.submit(change(route(0, False), lane="staged"))
            first = await c.at("gating")
            canaries = {s for s, r in first.sites.items() if r.state == "confirmed"}
            assert len(canaries) == 2
            assert world.sent(0) == set(SITES) - canaries, "the others have not heard of it"
            assert {c.confirm_within_s for a in world.agents.values() for c in a.commands[1:]} == {120.0}
            assert all(not a.confirmed for a in world.agents.values())
            assert world.observers.asked[-1].unchanged, "there is a control to compare with"
            assert set(world.observers.asked[-1].unchanged).isdisjoint(canaries)
            world.observers.open.set()
            assert (await c.over(id_)).state == "done"
            assert world.sent(0) == set()
            assert world.sent(1) == set(SITES)
            await c.once(lambda: all(len(a.confirmed) == 1 for a in world.agents.values()))
            waves = [set(q.changed) for q in world.observers.asked]
            assert waves[0] == canaries and set().union(*waves) == set(SITES)

    play(world, scenario)


def test_a_gate_that_fails_takes_everything_back_by_itself(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller() as c:
            await c.over(c.submit(change(*onboarded(0, 1))))
            world.observers.gates[1] = "fail"
            found = await c.over(c.submit(change(route(0, False), lane="staged")))
            assert found.state == "failed"
            assert "gate of wave 1 failed: as the test says" in found.reason
            assert world.sent(0) == set(SITES), "all that were reached announce it again"
            staged, back = c.rollouts()[1:]
            assert (staged.state, back.state) == ("reverted", "done")
            assert back.to_hash == staged.from_hash
            generations = [x.generation for a in world.agents.values() for x in a.commands]
            assert all(g > 0 for g in generations)
            for agent in world.agents.values():
                mine = [x.generation for x in agent.commands]
                assert mine == sorted(set(mine)), "it went back by new generations"

    play(world, scenario)


def test_what_a_revert_would_take_away_is_a_change_set_like_any_other(world: World) -> None:
    """Routes whose gate failed were announced by somebody: withdrawing them again is assessed."""

    async def scenario(world: World) -> None:
        async with world.controller() as c:
            await c.over(c.submit(change(*onboarded(1))))
            world.observers.gates[0] = "fail"
            id_ = c.submit(change(route(0, True), route(1, False), lane="staged"))
            await c.once(lambda: len(c.rollouts()) == 4)
            at_once, subtractive = c.rollouts()[2:]
            assert (at_once.lane, subtractive.lane) == ("rollback", "rollback")
            assert not at_once.gated and subtractive.gated, "what takes away goes wave by wave, too"
            world.observers.gates.clear()
            await c.over(id_)
            assert world.sent(0) == set()
            assert world.sent(1) == set(SITES)
            assert c.rollouts()[1].state == "reverted"
            with c.store.read() as session:
                trees = {records.targets(session, s)["acme"].hash for s in SITES}
            assert trees == {c.rollouts()[1].from_hash}

    play(world, scenario)


def test_an_unclear_gate_stops_what_takes_away_until_a_person_has_looked(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller(Policy(waves=Waves(bake_s=0.0), gates=Gates(wait_s=1.5))) as c:
            await c.over(c.submit(change(*onboarded(0))))
            world.observers.gates[0] = "inconclusive"
            id_ = c.submit(change(route(0, False), lane="staged"))
            paused = await c.at("paused")
            assert "unclear, and nothing is taken away on that: as the test says" in paused.reason
            assert len(world.sent(0)) == 2
            await c.driver.wish(paused.id, Resumed("operator", "I have looked", vouch=True))
            assert (await c.over(id_)).state == "done"
            adds = await c.over(c.submit(change(route(0, True), lane="staged")))
            assert adds.state == "done", "what only adds goes on by its agents' reports"

    play(world, scenario)


def test_a_canary_that_is_ill_before_is_not_used(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller() as c:
            await c.over(c.submit(change(*onboarded(0))))
            world.observers.unfit = {"s1", "s3"}
            world.observers.open.clear()
            c.submit(change(route(0, False), lane="staged"))
            await c.at("gating")
            assert set(world.observers.asked[-1].changed) == {"s2", "s4"}
            world.observers.open.set()
            paused = await c.at("paused")
            assert "the baseline of wave" in paused.reason, "nor are they taken along later, unseen"

    play(world, scenario)


def test_with_no_site_that_is_well_nothing_is_sent(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller() as c:
            await c.over(c.submit(change(*onboarded(0))))
            world.observers.unfit = set(SITES)
            c.submit(change(route(0, False), lane="staged"))
            paused = await c.at("paused")
            assert "no site is fit to go first" in paused.reason
            assert all(len(a.commands) == 1 for a in world.agents.values())
            await c.driver.wish(paused.id, Aborted("another day"))
            assert (await c.at("aborted", n=1)).reason == "another day"
            assert (await c.over(c.submit(change(route(1, True))))).state == "done"
            assert world.sent(1) == world.sent(0) == set(SITES), "what was aborted does not come along"

    play(world, scenario)


def test_a_site_that_puts_back_by_itself_fails_its_wave(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller() as c:
            await c.over(c.submit(change(*onboarded(0))))
            world.observers.open.clear()
            id_ = c.submit(change(route(0, False), lane="staged"))
            gating = await c.at("gating")
            canary = next(s for s, r in gating.sites.items() if r.state == "confirmed")
            world.agents[canary].put_back("acme")
            found = await c.over(id_)
            assert "the agent took it back" in found.reason
            assert world.sent(0) == set(SITES)
            assert c.rollouts()[1].state == "reverted"

    play(world, scenario)


def test_pause_resume_and_abort(world: World) -> None:
    async def scenario(world: World) -> None:
        policy = Policy(waves=Waves(bake_s=600.0), gates=Gates(wait_s=5.0))
        async with world.controller(policy) as c:
            await c.over(c.submit(change(*onboarded(0))))
            c.submit(change(route(0, False), lane="staged"))
            baking = await c.at("baking")
            await c.driver.wish(baking.id, Paused("operator", "lunch"))
            paused = await c.at("paused")
            assert paused.reason == "paused (operator): lunch"
            assert paused.bake_left_s is not None and 0 < paused.bake_left_s <= 600.0
            with pytest.raises(RolloutOverError, match="changes nothing"):
                await c.driver.wish(baking.id, Paused("operator", "lunch"))
            await c.driver.wish(baking.id, Resumed("operator", "back"))
            again = await c.at("baking")
            assert again.bake_left_s is not None and again.bake_left_s <= paused.bake_left_s
            await c.driver.wish(baking.id, Aborted("not today"))
            aborted = await c.at("aborted", n=1)
            assert aborted.reason == "not today"
            assert world.sent(0) == set(SITES)
            with pytest.raises((RolloutOverError, UnknownRolloutError)):
                await c.driver.wish(baking.id, Resumed("operator", "too late"))

    play(world, scenario)


def test_the_breaker_stops_it_and_nobody_resumes_past_it(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller() as c:
            await c.over(c.submit(change(*onboarded(0))))
            world.observers.open.clear()
            id_ = c.submit(change(route(0, False), lane="staged"))
            gating = await c.at("gating")
            c.driver.breaker_opened("account:globex", "not ours")
            c.driver.breaker_opened("actor:customer:t1", "23 in 10 min")
            await c.at("paused")
            with pytest.raises(RolloutOverError):
                await c.driver.wish(gating.id, Resumed("operator", "go on"))
            world.observers.open.set()
            c.driver.breaker_closed("actor:customer:t1")
            assert (await c.over(id_)).state == "done"

    play(world, scenario)


def test_an_owners_toggle_does_not_wait_for_a_bake_and_is_kept_by_both_sides(world: World) -> None:
    async def scenario(world: World) -> None:
        policy = Policy(waves=Waves(bake_s=600.0), gates=Gates(wait_s=5.0))
        async with world.controller(policy) as c:
            await c.over(c.submit(change(*onboarded(0))))
            c.submit(change(route(0, False), lane="staged"))
            staged = await c.at("baking")
            toggled = await c.over(c.submit(change(route(1, True))))
            assert toggled.state == "done", "it is everywhere while the other bakes"
            assert world.sent(1) == set(SITES)
            assert len(world.sent(0)) == 2, "and the staged one is where it was"
            same = c.submit(change(route(0, True)))
            await c.once(lambda: staged.id in c.report(same).reason)
            assert c.report(same).state == "queued", "what is about the same object waits"
            await c.driver.wish(staged.id, Aborted("no"))
            await c.at("aborted", n=1)
            assert world.sent(0) == world.sent(1) == set(SITES), "the way back kept the toggle"
            assert (await c.over(same)).state == "done"

    play(world, scenario)


def test_a_toggle_while_a_gate_is_asked_waits_at_the_canaries_only_for_the_answer(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller() as c:
            await c.over(c.submit(change(*onboarded(0))))
            world.observers.open.clear()
            id_ = c.submit(change(route(0, False), lane="staged"))
            gating = await c.at("gating")
            canaries = {s for s, r in gating.sites.items() if r.state == "confirmed"}
            toggle = c.submit(change(route(1, True)))
            await c.once(lambda: world.sent(1) == set(SITES) - canaries)
            world.observers.open.set()
            assert (await c.over(toggle)).state == "done"
            assert (await c.over(id_)).state == "done"
            assert world.sent(0) == set() and world.sent(1) == set(SITES)
            assert c.rollouts()[1].state == "done"

    play(world, scenario)


def test_a_crash_loses_neither_gate_nor_bake_nor_pause(world: World) -> None:
    async def scenario(world: World) -> None:
        policy = Policy(waves=Waves(bake_s=600.0), gates=Gates(wait_s=50.0))
        async with world.controller(policy) as c:
            await c.over(c.submit(change(*onboarded(0))))
            world.observers.open.clear()
            c.submit(change(route(0, False), lane="staged"))
            await c.at("gating")
        async with world.controller(policy) as c:
            await c.once(lambda: len(world.observers.asked) > 1)
            world.observers.open.set()
            baking = await c.at("baking")
            assert baking.bake_left_s is not None
        async with world.controller(policy) as c:
            again = await c.at("baking")
            assert again.bake_left_s is not None and 0 < again.bake_left_s <= baking.bake_left_s
            await c.driver.wish(again.id, Paused("operator", "the night"))
        async with world.controller(policy) as c:
            paused = await c.at("paused")
            assert paused.reason == "paused (operator): the night"
            await c.driver.wish(paused.id, Aborted("enough"))
            await c.at("aborted", n=1)
            assert world.sent(0) == set(SITES)

    play(world, scenario)


def test_a_site_that_is_away_holds_nobody_up_and_gets_it_when_it_is_back(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller() as c:
            await c.over(c.submit(change(*onboarded(0))))
            world.links["s2"].go(False)
            await c.once(lambda: c.driver.sites["s2"].view.reachable is False)
            id_ = c.submit(change(route(0, False), lane="staged"))
            waiting = await c.at("waiting")
            assert "s2: the agent of s2 cannot be reached" in waiting.reason
            assert world.sent(0) == {"s2"}, "all others went on"
            toggle = c.submit(change(route(0, True)))
            await c.once(lambda: world.sent(0) == set(SITES))
            world.links["s2"].go(True)
            assert (await c.over(id_)).state == (await c.over(toggle)).state == "done"
            assert world.agents["s2"].commands[-1].confirm_within_s is None, "its gate has passed long ago"

    play(world, scenario)


def test_a_site_that_joins_meanwhile_goes_with_the_last_wave(world: World) -> None:
    async def scenario(world: World) -> None:
        late = world.links.pop("s4")
        policy = Policy(waves=Waves(bake_s=600.0), gates=Gates(wait_s=5.0))
        async with world.controller(policy) as c:
            await c.over(c.submit(change(*onboarded(0))))
            c.submit(change(route(0, False), lane="staged"))
            baking = await c.at("baking")
            await c.driver.wish(baking.id, Paused("operator", "a new site"))
        world.links["s4"] = late
        async with world.controller(policy) as c:
            paused = await c.at("paused")
            await c.once(lambda: "s4" in world.sent(0))
            assert "s4" in paused.waves[-1], "it announces what the others have not withdrawn yet"
            await c.driver.wish(paused.id, Aborted("no"))
            await c.at("aborted", n=1)
            assert world.sent(0) == set(SITES)

    play(world, scenario)


def test_intents_of_all_change_sets_between_travel_along(world: World) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from controller.safety.intents import Intent, sign

    key = Ed25519PrivateKey.generate()

    def intent(n: int, year: int = 2100) -> str:

        start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(year, 1, 1, tzinfo=UTC)
        return sign(
            Intent("acme", "withdraw", (PARTS[n],), None, None, start, start, end, f"n{n}", "owner", ("t1",)),
            key,
        )

    async def scenario(world: World) -> None:
        first, second, expired = intent(0), intent(1), intent(2, 2021)
        async with world.controller() as c:
            await c.over(c.submit(change(*onboarded(0, 1, 2))))
            world.links["s2"].go(False)
            await c.once(lambda: c.driver.sites["s2"].view.reachable is False)
            one = c.submit(change(route(0, False), intents=(first, expired)))
            await c.once(lambda: world.sent(0) == {"s2"})
            two = c.submit(change(route(1, False), intents=(second,)))
            await c.once(lambda: world.sent(1) == {"s2"})
            assert world.agents["s1"].commands[-1].intents == (second,), "it holds the first already"
            world.links["s2"].go(True)
            await c.over(one)
            await c.over(two)
            assert set(world.agents["s2"].commands[-1].intents) == {first, second}

    play(world, scenario)


def test_a_delete_is_two_roll_outs(world: World) -> None:
    """Routes go everywhere first; bindings only once they are seen to be gone at all sites that answer."""

    async def scenario(world: World) -> None:
        policy = Policy(lanes=Lanes(unbind_after_s=0.2))
        async with world.controller(policy) as c:
            await c.over(c.submit(change(*onboarded(0, 1))))
            slow = world.agents["s3"]
            slow.lingers.add(PARTS[1])
            removals = [Change(remove=("bgp_prefix", f"g{n}")) for n in range(4)]
            delete = c.submit(
                change(*removals, Change(remove=("binding", "b")), Change(remove=("prefix", "p")))
            )
            await c.once(lambda: world.sent(0) == set() and world.sent(1) == {"s3"})
            await c.once(lambda: any("is gone at all sites" in r.reason for r in c.waiting()))
            assert all(a.chunks["acme"].bindings for a in world.agents.values()), "no binding goes before"
            slow.lingers.clear()
            slow.touch()
            assert (await c.over(delete)).state == "done"
            await c.once(lambda: len(c.rollouts()) == 3 and c.rollouts()[2].state == "done")
            assert all(not a.chunks["acme"].prefixes for a in world.agents.values())

    play(world, scenario)


def test_what_was_not_withdrawn_is_not_unbound(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller(Policy(lanes=Lanes(unbind_after_s=0.0))) as c:
            await c.over(c.submit(change(*onboarded(0))))
            for agent in world.agents.values():
                agent.refuses = "not now"
            delete = c.submit(change(Change(remove=("bgp_prefix", "g0")), Change(remove=("binding", "b"))))
            assert (await c.over(delete)).state == "failed"
            await c.once(lambda: any("nothing is removed" in r.reason for r in c.all_change_sets()))
            assert all(a.chunks["acme"].bindings for a in world.agents.values())

    play(world, scenario)


def test_a_site_that_is_away_keeps_route_and_binding_and_holds_no_other_up(world: World) -> None:
    async def scenario(world: World) -> None:
        async with world.controller(Policy(lanes=Lanes(unbind_after_s=0.0))) as c:
            await c.over(c.submit(change(*onboarded(0))))
            world.links["s2"].go(False)
            await c.once(lambda: c.driver.sites["s2"].view.reachable is False)
            c.submit(change(Change(remove=("bgp_prefix", "g0")), Change(remove=("binding", "b"))))
            await c.once(lambda: not world.agents["s1"].chunks["acme"].bindings)
            assert world.agents["s2"].chunks["acme"].bindings and world.sent(0) == {"s2"}
            assert "s2: the agent of s2 cannot be reached" in c.rollouts()[-1].reason
            world.links["s2"].go(True)
            await c.once(lambda: [r.state for r in c.rollouts()] == ["done"] * 3)
            assert not world.agents["s2"].chunks["acme"].bindings

    play(world, scenario)


def test_what_a_site_holds_from_beside_a_staged_one_stays_known_while_it_is_away(world: World) -> None:
    """The chunk of a site that was not reached is no snapshot's; letting history go must not forget it."""

    async def scenario(world: World) -> None:
        policy = Policy(waves=Waves(bake_s=0.0, shares=(0.5, 1.0)), gates=Gates(wait_s=5.0))
        async with world.controller(policy) as c:
            await c.over(c.submit(change(*onboarded(0))))
            world.observers.open.clear()
            staged = c.submit(change(route(0, False), lane="staged"))
            last = (await c.at("gating")).waves[-1][0]
            toggle = c.submit(change(route(1, True)))
            await c.once(lambda: last in world.sent(1))
            world.links[last].go(False)
            await c.once(lambda: c.driver.sites[last].view.reachable is False)
            c.submit(change(route(2, True)))
            await c.once(lambda: len(c.rollouts()) == 4)
            world.observers.open.set()
            await c.once(lambda: world.sent(0) == {last})
            c.submit(change(route(3, True)))
            await c.once(lambda: world.sent(3) == set(SITES) - {last})
            with c.store.write() as session:
                collect_history(session, Keep(0, timedelta(0)), datetime(2100, 1, 1, tzinfo=UTC), [])
        async with world.controller(policy) as c:
            world.links[last].go(True)
            assert (await c.over(staged)).state == (await c.over(toggle)).state == "done"
            assert world.sent(0) == set() and world.sent(1) == world.sent(3) == set(SITES)

    play(world, scenario)


def test_what_waits_behind_a_staged_one_holds_up_nobody_behind_it(world: World) -> None:
    """More change-sets wait than are looked at together, and the next account's goes all the same."""

    async def scenario(world: World) -> None:
        policy = Policy(waves=Waves(bake_s=600.0), gates=Gates(wait_s=5.0))
        async with world.controller(policy) as c:
            await c.over(c.submit(change(*onboarded(0))))
            c.submit(change(route(0, False), lane="staged"))
            await c.at("baking")
            with c.store.write() as session:
                for n in range(120):
                    outbox.append(session, change(route(0, bool(n % 2))))
            assert (await c.over(c.submit(change(route(1, True))))).state == "done"
            assert len(c.waiting()) == 120

    play(world, scenario)
