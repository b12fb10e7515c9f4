"""The guards between API and roll-outs: what is held, what passes, and what a crash does not forget."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from controller.bgp import Prefix
from controller.guard import holds, scopes
from controller.guard.admission import Guard
from controller.guard.tables import AssessmentRow, EffectEntryRow, HoldRow
from controller.guard.telling import OPERATORS
from controller.observe.elsewhere import Held
from controller.rollout import records, reports
from controller.rollout.migrating import Migrating
from controller.rollout.reports import ChangeSetReport
from controller.safety.policy import Guards, Policy
from controller.safety.verdict import Verdict
from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.model import BgpPrefixObject, BindingObject, Change, ChangeSet, PrefixObject
from controller.timeline.tables import TimelineRow
from tests import driving
from tests.driving import DEADLINE_S, OVER, Controller, change, play
from tests.fake_agent import FakeAgent
from tests.guarding import ALL_OFF, KEYS, asked

pytestmark = pytest.mark.stores
TASK, OWNER, OPERATOR = "task:clean-up", "customer:t1", "operator:o1"
WITHOUT_GATES = Policy(guards=Guards(staged=False))
"""Production's, but that nothing waits for observers, of which there are none here."""


def cidr(number: int) -> Prefix:
    return Prefix(f"20.0.{number}.0/24")


def onboard(account: str, *numbers: int) -> ChangeSet:
    changes: list[Change] = []
    for n in numbers:
        changes += [
            Change(prefix=PrefixObject(f"p{n}", cidr(n), None)),
            Change(binding=BindingObject(f"b{n}", f"p{n}", cidr(n), "cdn")),
            Change(bgp_prefix=BgpPrefixObject(f"g{n}", f"p{n}", cidr(n), None, True)),
        ]
    return change(account, *changes, actor=OWNER)


def announce(account: str, number: int, *, actor: str = OWNER, on: bool = True) -> ChangeSet:
    bgp = BgpPrefixObject(f"g{number}", f"p{number}", cidr(number), None, on)
    return change(account, Change(bgp_prefix=bgp), actor=actor)


def withdraw(account: str, number: int, *, actor: str = OWNER) -> ChangeSet:
    made = announce(account, number, actor=actor, on=False)
    return asked(made, "withdraw", cidr(number)) if actor == OWNER else made


def delete(account: str, number: int, *, actor: str = TASK) -> ChangeSet:
    names = (("bgp_prefix", f"g{number}"), ("binding", f"b{number}"), ("prefix", f"p{number}"))
    return change(account, *(Change(remove=name) for name in names), actor=actor)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def controlling(
    path: Path, *agents: FakeAgent, policy: Policy = WITHOUT_GATES
) -> AsyncIterator[Controller]:
    async with driving.controlling(path, *agents, guard=Guard(policy, KEYS)) as controller:
        yield controller


async def waits(controller: Controller, change_set: ChangeSet) -> ChangeSetReport:
    """Submit, and return it once it has a reason to be queued."""
    id_ = controller.submit(change_set)
    return await controller.until(id_, lambda r: r.state == "queued" and bool(r.reason))


def opened(controller: Controller) -> set[str]:
    """Return the scopes in which the breaker is open."""
    with controller.store.read() as session:
        return set(scopes.load(session).open)


def told(controller: Controller, account: str, type_: str) -> list[str]:
    """Return the reasons of an account's timeline entries of one type, oldest first."""
    with controller.store.read() as session:
        rows = select(TimelineRow).where(TimelineRow.account_id == account, TimelineRow.type == type_)
        return [row.reason for row in session.scalars(rows.order_by(TimelineRow.seq))]


def test_a_tasks_delete_is_held_and_nothing_of_it_reaches_an_agent(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            assert (await controller.does(onboard("acme", 1))).state == "done"
            sent = len(one.commands), len(two.commands)
            found = await controller.does(delete("acme", 1))
            assert found.state == "held"
            assert "intents: nobody asked for" in found.reason
            assert f"herald holds deploy {found.id}" in found.reason
            with controller.store.read() as session:
                assert snapshots.announced(session, "acme") == (1, 1, 1)
                (held,) = holds.queue(session)
                assert (held.change_set_id, held.actor, held.prefixes) == (found.id, TASK, 1)
            assert told(controller, "acme", "change_set.held") == [found.reason]
            # What is held stays out of later candidates: the owner's next change carries nothing of it.
            assert (await controller.does(onboard("acme", 2))).state == "done"
            assert (len(one.commands), len(two.commands)) == (sent[0] + 1, sent[1] + 1)
            assert one.status().sent == two.status().sent == {cidr(1): (64500,), cidr(2): (64500,)}

    play(scenario, folder)


@pytest.mark.parametrize("actor", [OPERATOR, TASK, "break-glass:b1"])
def test_what_takes_away_without_an_intent_is_held_whoever_asks(folder: Path, actor: str) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", 1))
            assert (await controller.does(withdraw("acme", 1, actor=actor))).state == "held"
            assert one.status().sent == {cidr(1): (64500,)}

    play(scenario, folder)


def test_an_owners_withdrawal_goes_out_and_is_recorded_with_its_intent(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", 1))
            found = await controller.does(withdraw("acme", 1))
            assert found.state == "done" and one.status().sent == {}
            with controller.store.read() as session:
                row = session.get_one(AssessmentRow, found.id)
                verdict = msgspec.json.decode(row.verdict, type=Verdict)
                assert (row.actor, row.reason, row.decision, row.lane) == (OWNER, "why", "admit", "express")
                assert (verdict.radius.gone, verdict.radius.share_of_account) == (1, 1.0)
                assert [(i["kind"], i["authority"]) for i in row.intents] == [("withdraw", "owner")]

    play(scenario, folder)


def test_an_operators_onboarding_goes_at_once_and_his_announcing_is_staged(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two, policy=Policy()) as controller:
            quiet = [
                Change(prefix=PrefixObject("p1", cidr(1), None)),
                Change(binding=BindingObject("b1", "p1", cidr(1), "cdn")),
            ]
            for made, lane in (
                (change("acme", *quiet, actor=OPERATOR), "express"),
                (announce("acme", 1, actor=OPERATOR), "staged"),
            ):
                id_ = controller.submit(made)
                await controller.until(id_, lambda r: r.rollout_id is not None)
                with controller.store.read() as session:
                    assert [r.lane for r in reports.rollouts(session, "acme", 1)] == [lane]

    play(scenario, folder)


def test_two_operators_take_a_prefix_off_one_site_and_not_off_its_last(folder: Path) -> None:
    """Where it stays announced is asked of all sites, not of those alone at which something happens."""

    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", 1))
            for sites, gone, state in [(("site1",), "site2", "done"), ((), "site1", "held")]:
                bgp = BgpPrefixObject("g1", "p1", cidr(1), None, True, sites)
                narrow = change("acme", Change(bgp_prefix=bgp), actor=OPERATOR)
                signed = asked(narrow, "narrow", cidr(1), sites=[gone], by=("o1", "o2"))
                assert (await controller.does(signed)).state == state
            assert cidr(1) in one.status().sent
            assert cidr(1) not in two.status().sent

    play(scenario, folder)


@pytest.mark.parametrize("flaw", ["expired", "other prefix", "other account", "forged"])
def test_an_intent_that_does_not_hold_asks_for_nothing(folder: Path, flaw: str) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        bare = announce("acme", 1, on=False)
        good = asked(bare, "withdraw", cidr(1))
        flawed = {
            "expired": asked(bare, "withdraw", cidr(1), holds_for=timedelta(seconds=-1)),
            "other prefix": asked(bare, "withdraw", cidr(2)),
            "other account": msgspec.structs.replace(
                bare, intents=asked(announce("globex", 1), "withdraw", cidr(1)).intents
            ),
            "forged": msgspec.structs.replace(good, intents=(good.intents[0][:-4] + "AAAA",)),
        }[flaw]
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", 1))
            found = await controller.does(flawed)
            assert found.state == "held" and "nobody asked for" in found.reason
            if flaw in ("expired", "forged"):
                assert "carries an intent that does not count" in found.reason
            assert one.status().sent == {cidr(1): (64500,)}

    play(scenario, folder)


def test_later_changes_of_the_same_object_wait_behind_what_is_held_and_others_go_on(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", 1, 2))
            held = await controller.does(withdraw("acme", 1, actor=OPERATOR))
            behind = await waits(controller, withdraw("acme", 1, actor=TASK))
            assert behind.reason.startswith(f"it waits behind change-set {held.id} (operator:o1)")
            assert (await controller.does(withdraw("acme", 2))).state == "done"
            # The owner's own word about the object passes what others want of it: additive or asked for.
            assert (await controller.does(announce("acme", 1))).state == "done"
            assert (await controller.does(withdraw("acme", 1))).state == "done"
            assert one.status().sent == {}
            with controller.store.write() as session:
                await_ = session.get_one(HoldRow, held.id)
                holds.drop(session, await_.change_set_id, "operator:o2", "no", await_.since)
            controller.driver.change_set_queued(behind.id)
            found = await controller.until(behind.id, lambda r: r.state in OVER)
            assert (found.state, "overtaken" in found.reason) == ("failed", True)

    play(scenario, folder)


def test_what_is_released_late_undoes_nothing_that_was_admitted_since(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", 1, 2))
            off = [BgpPrefixObject(f"g{n}", f"p{n}", cidr(n), None, False) for n in (1, 2)]
            held = await controller.does(change("acme", *(Change(bgp_prefix=b) for b in off), actor=OPERATOR))
            assert (await controller.does(announce("acme", 1))).state == "done"
            release(controller, held.id, intent=cidr(1), also=cidr(2))
            found = await controller.until(held.id, lambda r: r.state in OVER)
            assert found.state == "done"
            assert one.status().sent == {cidr(1): (64500,)}

    play(scenario, folder)


def release(controller: Controller, id_: str, *, intent: Prefix, also: Prefix | None = None) -> None:
    """Let two operators' intent be carried, and an operator decide to deploy."""
    cidrs = [intent] if also is None else [intent, also]
    with controller.store.write() as session:
        account = session.get_one(HoldRow, id_).account_id
        signed = asked(announce(account, 1), "withdraw", *cidrs, by=("o1", "o2"))
        outbox.carry(session, id_, signed.intents)
        holds.deploy(session, id_, "operator:o1", "looked at", session.get_one(HoldRow, id_).since)
    controller.driver.change_set_queued(id_)


def test_a_held_change_is_deployed_once_two_operators_want_it(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", 1, 2))
            held = await controller.does(withdraw("acme", 1, actor=OPERATOR))
            release(controller, held.id, intent=cidr(1))
            assert (await controller.until(held.id, lambda r: r.state in OVER)).state == "done"
            assert one.status().sent == {cidr(2): (64500,)}
            # A decision alone is no intent: what nobody asked for is held again.
            other = await controller.does(withdraw("acme", 2, actor=OPERATOR))
            release(controller, other.id, intent=cidr(1))
            again = await controller.until(other.id, lambda r: r.state in OVER)
            assert again.state == "held" and "nobody asked for" in again.reason

    play(scenario, folder)


def test_twenty_changes_by_one_task_open_its_scope_and_owners_additive_ones_pass(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", *range(1, 21)))
            await controller.does(onboard("globex", *range(21, 31)))
            await controller.does(withdraw("globex", 21))
            ids = [controller.submit(delete("acme", n)) for n in range(1, 21)]
            for id_ in ids:
                assert (await controller.until(id_, lambda r: r.state in OVER)).state == "held"
            assert f"actor:{TASK}" in opened(controller)
            said = told(controller, OPERATORS, "breaker.opened")
            assert f"the breaker of actor:{TASK} opened" in said[0]
            assert told(controller, "acme", "breaker.opened")[0] == said[0]
            assert 0 <= open_one(controller, f"actor:{TASK}").detection_s < DEADLINE_S
            assert (await controller.does(announce("globex", 21))).state == "done"  # I7
            assert (await controller.does(onboard("acme", 40))).state == "done"
            assert len(one.status().sent) == 31

    play(scenario, folder)


def test_while_the_breaker_is_open_for_a_task_owners_announce_and_withdraw(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", *range(1, 21)))
            for n in range(1, 5):
                await controller.does(delete("acme", n))
            assert opened(controller) == {f"actor:{TASK}"}
            assert (await controller.does(withdraw("acme", 20))).state == "done"
            assert (await controller.does(announce("acme", 20))).state == "done"
            assert opened(controller) == {f"actor:{TASK}"}

    play(scenario, folder)


def open_one(controller: Controller, scope: str):
    with controller.store.read() as session:
        return scopes.load(session).open[scope]


def test_what_was_counted_and_held_before_a_crash_is_so_after_it(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        allowed = 2  # a prefix that would be gone counts twice
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", *range(1, 11)))
            for n in range(1, 1 + allowed):
                await controller.does(delete("acme", n))
            assert opened(controller) == set()
        async with controlling(db, one, two) as controller:  # another driver, with nothing in memory
            with controller.store.read() as session:
                assert len(holds.queue(session)) == allowed
            assert (await controller.does(delete("acme", allowed + 1))).state == "held"
            assert opened(controller) == {f"actor:{TASK}"}
        async with controlling(db, one, two) as controller:
            assert opened(controller) == {f"actor:{TASK}"}
            found = await controller.does(delete("acme", allowed + 2))
            assert found.state == "held" and "breaker" in found.reason

    play(scenario, folder)


def test_what_was_counted_in_a_transaction_that_was_undone_does_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", 1))
            crashes = iter([RuntimeError("power")])
            real = Guard._record

            def record(*args) -> None:
                for crash in crashes:
                    raise crash
                real(*args)

            monkeypatch.setattr(Guard, "_record", record)
            assert (await controller.does(delete("acme", 1))).state == "held"
            with controller.store.read() as session:
                assert len(session.scalars(select(EffectEntryRow)).all()) == 1

    play(scenario, folder)


@pytest.mark.parametrize(
    ("off", "act"),
    [
        ("intents", lambda: announce("acme", 1, actor=OPERATOR, on=False)),
        ("last_site", lambda: announce("acme", 1, actor=OPERATOR, on=False)),
    ],
)
def test_a_guard_that_is_off_is_missed(folder: Path, off: str, act: Callable[[], ChangeSet]) -> None:
    """With the one guard alone the change is held; without it, it goes out."""

    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        alone = Policy(guards=msgspec.structs.replace(ALL_OFF, **{off: True}))
        async with controlling(db, one, two, policy=alone) as controller:
            await controller.does(onboard("acme", 1))
            held = await controller.does(act())
            assert held.state == "held" and off.replace("_", "-") in held.reason
            with controller.store.write() as session:
                holds.drop(session, held.id, "operator:o1", "", session.get_one(HoldRow, held.id).since)
        async with controlling(db, one, two, policy=Policy(guards=ALL_OFF)) as controller:
            assert (await controller.does(act())).state == "done"
            assert one.status().sent == {}

    play(scenario, folder)


@pytest.mark.parametrize("armed", [True, False])
def test_what_a_shrunken_store_would_take_away_is_held_but_for_what_owners_ask_for_now(
    folder: Path, armed: bool
) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        guards = Guards(staged=False, shrinkage=armed, last_site=False)
        async with controlling(db, one, two, policy=Policy(guards=guards)) as controller:
            await controller.does(onboard("acme", 1, 2))
            other = await controller.does(onboard("globex", 3))
            assert other.state == "done"
            with controller.store.write() as session:
                hash_ = snapshots.head_of(session, "globex")
                assert hash_ is not None
                # A site holds what this store never gave it: it was restored from an older copy.
                records.record_foreign(session, "site1", 9, {"globex": hash_}, datetime.now(UTC))
            # The owner wanted it once, and may have taken that back since.
            clean_up = asked(announce("acme", 1, actor=TASK, on=False), "withdraw", cidr(1))
            found = await controller.does(clean_up)
            assert found.state == ("held" if armed else "done")
            assert not armed or "shrinkage: sites hold what this store never gave them" in found.reason
            assert (await controller.does(withdraw("acme", 2))).state == "done", "its owner asks for it now"

    play(scenario, folder)


class OtherRouters:
    """Two routers of others, which hold ``elsewhere`` by a path without us; ``asked``: how often."""

    def __init__(self, *elsewhere: Prefix) -> None:
        self.elsewhere, self.asked = elsewhere, 0

    def held_elsewhere(self, prefixes: Collection[Prefix]) -> tuple[Held, ...]:
        self.asked += 1
        paths = {p: ((3000, 65001),) for p in self.elsewhere if p in prefixes}
        return tuple(Held(name, frozenset({64500}), paths) for name in ("t1", "t2"))


def test_a_migrations_step_waits_until_it_is_seen_elsewhere_and_goes_on_by_itself(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", 1, 2))
            others, driver = OtherRouters(), controller.driver
            watch = Migrating(
                controller.store,
                others,
                driver.guard.sightings,
                driver.change_set_queued,
                lambda: driver.policy,
            )
            await watch.once()
            assert others.asked == 0, "nothing waits: nobody looks"
            step = change("acme", *withdraw("acme", 1).changes, *withdraw("acme", 2).changes, actor=OWNER)
            step = msgspec.structs.replace(asked(step, "withdraw", cidr(1), cidr(2)), lane="migration")
            found = await controller.does(step)
            assert found.state == "held" and "not seen elsewhere at the same length" in found.reason
            others.elsewhere = (cidr(1),)
            await watch.once()
            assert controller.report(step.id).state == "held", "a step waits for all of it"
            others.elsewhere = (cidr(1), cidr(2))
            await watch.once()
            await controller.until(step.id, lambda r: r.state == "done")
            assert one.status().sent == two.status().sent == {}
            # What its owner announces after that is not undone by looking again.
            assert (await controller.does(announce("acme", 1))).state == "done"
            await watch.once()
            assert others.asked == 2 and one.status().sent == {cidr(1): (64500,)}

    play(scenario, folder)


def test_the_owner_may_release_a_step_that_nobody_sees_elsewhere(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", 1))
            step = msgspec.structs.replace(withdraw("acme", 1), lane="migration")
            assert (await controller.does(step)).state == "held"
            with controller.store.write() as session:
                holds.deploy(session, step.id, OWNER, "it is meant", datetime.now(UTC))
            controller.driver.change_set_queued(step.id)
            await controller.until(step.id, lambda r: r.state == "done")
            assert one.status().sent == {}

    play(scenario, folder)


def test_without_the_breaker_a_tasks_twenty_approved_deletes_all_go_out(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        guards = Guards(intents=False, last_site=False, breaker=False, staged=False)
        async with controlling(db, one, two, policy=Policy(guards=guards)) as controller:
            await controller.does(onboard("acme", *range(1, 21)))
            for n in range(1, 21):
                assert (await controller.does(delete("acme", n))).state == "done"
            assert one.status().sent == {} and opened(controller) == set()

    play(scenario, folder)


def test_with_the_breaker_alone_a_task_is_stopped_within_its_windows(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        guards = Guards(intents=False, last_site=False, staged=False)
        async with controlling(db, one, two, policy=Policy(guards=guards)) as controller:
            await controller.does(onboard("acme", *range(1, 21)))
            states = [(await controller.does(delete("acme", n))).state for n in range(1, 21)]
            gone = states.index("held")
            assert gone <= Policy().breaker.actor[0].number
            assert set(states[gone:]) == {"held"}
            assert len(one.status().sent) == 20 - gone

    play(scenario, folder)
