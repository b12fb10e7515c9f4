"""Drains as operators have them: the API and the command line, with roll-outs to four fake agents."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog

from controller.bgp import Prefix, family_of
from controller.cli.app import run
from controller.drains.routes import build_drain_router
from controller.guard import scopes
from controller.guard.freeze_routes import router as freeze_router
from controller.guard.signals import SignalledBreaker
from controller.observe.evidence import Kind, Moment, Sight
from controller.rollout.driver import Driver
from controller.rollout.gatekeeper import GateAnswer, GateQuestion
from controller.rollout.metrics import Metrics
from controller.rollout.rollout_routes import build_rollout_router
from controller.rollout.routes import build_router
from controller.rollout.view import StoreView
from controller.safety.breaker import Exceeded
from controller.safety.policy import Guards, Policy
from controller.snapshots import store as snapshots
from controller.snapshots.model import ChunkHash, encode_chunk, hash_chunk
from controller.snapshots.tables import ChunkRow, HeadRow
from controller.store import Store
from controller.transport.messages import DrainOrder
from tests.addressing_api import Api, furnished
from tests.addressing_api import running_api as serving  # SQLite is enough here, but for one test
from tests.fake_agent import FakeAgent, MemoryLink
from tests.guarding import unguarded
from tests.properties.test_drain import record

SITES = ("site1", "site2", "site3", "site4")
ACME, OTHER = Prefix("192.0.2.0/24"), Prefix("198.18.0.0/24")
DEADLINE_S = 20.0


@dataclass
class Eyes:
    """Sees what fake agents send, by two kinds of observer; ``blind``: sites that nobody can look at."""

    agents: Mapping[str, FakeAgent]
    blind: set[str] = field(default_factory=set)
    lying: set[str] = field(default_factory=set)

    def look(self, sites: Sequence[str], touched: object, targets: object) -> Moment:
        kinds: tuple[Kind, ...] = ("rib", "wire")
        sights = [
            Sight(kind, "t1", site, family_of(ACME), holds=dict(agent.status().sent))
            for site, agent in self.agents.items()
            for kind in kinds
            if site in sites and site not in self.blind and not (kind == "wire" and site in self.lying)
        ]
        sights += [Sight("wire", "t1", site, family_of(ACME)) for site in self.lying]
        return Moment(sights=tuple(sights), kinds=frozenset({"rib", "wire", "probe"}))


@dataclass
class Gates:
    """A gatekeeper that passes everything, and notes at which sites it was to look."""

    asked: list[GateQuestion] = field(default_factory=list)

    async def baseline(self, question: GateQuestion) -> GateAnswer:
        self.asked.append(question)
        return GateAnswer("pass", "well")

    judge = baseline


@dataclass
class World:
    api: Api
    agents: dict[str, FakeAgent]
    links: dict[str, MemoryLink]
    eyes: Eyes
    gates: Gates
    drivers: list[Driver]
    tokens: dict[str, str]
    capsys: pytest.CaptureFixture[str]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    over: int = 0

    def at_once(self, call: Callable[..., object], *given: object) -> None:
        """Make a call where the agents live: whoever polls them hears of it."""
        self.loop.call_soon_threadsafe(call, *given)

    def http(self, who: str) -> httpx.Client:
        return self.api.http(self.tokens[who])

    def herald(self, *argv: str, who: str = "ann", code: int = 0) -> str:
        self.capsys.readouterr()
        reach = ["--url", f"unix:{self.api.socket}", "--token", self.tokens[who]]
        assert run([*argv, *reach]) == code, self.capsys.readouterr().err
        out = self.capsys.readouterr()
        return out.out if code == 0 else out.err

    def roll_out(self, *, until: str = "done") -> None:
        for id_ in self.api.change_sets()[self.over :]:
            self.over += 1
            self.drivers[-1].change_set_queued(id_)
            found = self.api.client().wait_change_set(id_, DEADLINE_S)
            assert found.state == until, found

    def onboard(self, account: str, cidr: Prefix, sites: list[str] | None = None) -> dict[str, Any]:
        client = self.api.client()
        client.create_account(account.title(), id=account)
        prefix = client.create_prefix(account, cidr)
        client.approve_prefix(account, prefix["id"])
        client.bind(account, prefix["id"], cidr, "cdn")
        bgp = client.bgp_prefixes(account, prefix["id"])[0]
        self.api.client().advertise(cidr, advertised=True)
        return {"prefix": prefix["id"], "bgp": bgp["id"]}

    def at(self) -> dict[str, list[str]]:
        return {site: sorted(a.status().sent) for site, a in self.agents.items()}

    def ask(self, site: str, *more: str, who: str = "ann") -> str:
        argv = ("site", "drain", site, "--reason", "New cards", "--capacity-confirmed", "--json", *more)
        return str(json.loads(self.herald(*argv, who=who))["id"])

    def drain(self, site: str, *more: str) -> str:
        id_ = self.ask(site, *more)
        self.herald("site", "confirm-drain", id_, who="bob")
        self.until(lambda: self.state(id_) == "drained")
        return id_

    def shown(self, id_: str) -> dict[str, Any]:
        return dict(json.loads(self.herald("site", "show-drain", id_, "--json")))

    def state(self, id_: str) -> str:
        return str(self.shown(id_)["state"])

    def until(self, wanted: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not wanted():
            assert time.monotonic() < deadline, "not within the deadline"
            time.sleep(0.02)

    def make(self, store: Store) -> list[Any]:
        guard = unguarded()
        off = dict.fromkeys(Guards.__struct_fields__, False)
        guard.policy = Policy(guards=Guards(**{**off, "last_site": True, "staged": True}))
        driver = Driver(store, dict(self.links), guard=guard, gatekeeper=self.gates)
        self.drivers.append(driver)
        routers = [build_drain_router(driver, self.eyes), build_router(driver), build_rollout_router(driver)]
        return [*routers, freeze_router]


@contextmanager
def living(folder: Path, agents: dict[str, FakeAgent], capsys: pytest.CaptureFixture[str]) -> Iterator[World]:
    """One life of a controller over the store in ``folder``."""
    (folder / "api.sock").unlink(missing_ok=True)
    links = {site: MemoryLink(agent) for site, agent in agents.items()}
    made = World(None, agents, links, Eyes(agents), Gates(), [], {}, capsys)  # type: ignore[arg-type]
    with serving(folder, routers_over=made.make) as api:
        made.api, driver = api, made.drivers[0]
        view = StoreView(api.store, lambda: [f.view for f in driver.sites.values()], None)
        driver.on_change(view.forget)
        api.app.state.context = replace(
            api.app.state.context, on_change_set=driver.change_set_queued, view=view, sites=SITES
        )
        made.tokens = {who: api.client().create_token("operator")["token"] for who in ("ann", "bob")}
        made.tokens["first"] = api.token
        loop, end, started = made.loop, asyncio.Event(), threading.Event()

        async def live() -> None:
            for agent in agents.values():
                agent.touch()  # what waits for a change waits on this loop
            await driver.start()
            running = asyncio.create_task(driver.run())
            started.set()
            await end.wait()
            running.cancel()
            await asyncio.wait([running])
            await driver.close()

        thread = threading.Thread(target=lambda: loop.run_until_complete(live()), daemon=True)
        thread.start()
        assert started.wait(DEADLINE_S)
        try:
            yield made
        finally:
            loop.call_soon_threadsafe(end.set)
            thread.join(DEADLINE_S)


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[dict[str, FakeAgent]]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # stdout is the command's
    yield {site: FakeAgent(site, tmp_path / f"{site}.sock") for site in SITES}
    structlog.reset_defaults()


@pytest.fixture
def world(
    tmp_path: Path, agents: dict[str, FakeAgent], capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    with living(tmp_path, agents, capsys) as made:
        begin(made)
        yield made


def begin(made: World) -> None:
    """Let account acme's owner announce its prefix."""
    furnished(made.api)
    made.tokens["owner"] = made.api.client().create_token("customer", account_id="acme")["token"]
    made.api.client(made.tokens["owner"]).advertise(ACME, advertised=True)
    made.roll_out()


ON = [ACME]


@pytest.mark.stores
def test_two_operators_drain_a_site_and_one_brings_it_back(world: World) -> None:
    chunks = {site: dict(a.accounts) for site, a in world.agents.items()}
    id_ = world.ask("site2")
    assert world.at()["site2"] == ON, "one operator alone drains nothing"
    assert "second_operator_needed" in world.herald("site", "confirm-drain", id_, code=1)
    assert "second_operator_needed" in world.herald("site", "confirm-drain", id_, who="first", code=1)
    assert world.state(id_) == "asked"
    world.herald("site", "confirm-drain", id_, who="bob")
    world.until(lambda: world.state(id_) == "drained")
    assert world.at() == {"site1": ON, "site2": [], "site3": ON, "site4": ON}
    assert {site: dict(a.accounts) for site, a in world.agents.items()} == chunks
    assert b'herald_drained_prefixes{site="site2"} 1.0' in Metrics(world.drivers[0]).text()
    told = [site for site, a in world.agents.items() for o in a.orders if o.begin]
    assert sorted(told) == list(SITES), "each is told once"
    listed = world.herald("site", "drains")
    assert "site2" in listed and "drained" in listed and "New cards" in listed
    assert "is not drained" in world.herald("site", "undrain", "site1", "--reason", "x", code=1)
    world.herald("site", "undrain", "site2", "--reason", "They work", who="bob")
    world.until(lambda: world.state(id_) == "ended")
    assert world.at() == dict.fromkeys(SITES, ON)
    assert {site: dict(a.accounts) for site, a in world.agents.items()} == chunks
    assert world.shown(id_)["lifted_why"] == "They work"


def test_a_dry_run_says_what_would_stay_and_why(world: World) -> None:
    world.onboard("globex", OTHER)
    world.roll_out()
    world.eyes.blind = {"site3", "site4"}
    argv = ("site", "drain", "site2", "--reason", "x", "--dry-run")
    found = json.loads(world.herald(*argv, "--json"))
    assert (found["goes"], [s["cidr"] for s in found["stays"]]) == ([], [ACME, OTHER])
    assert found["stays"][0]["seen_at"] == ["site1"]
    assert {f["check"] for f in found["findings"]} == {"drain", "capacity"}
    assert "observed at 1 other undrained sites (site1)" in world.herald(*argv)
    assert "drain_refused" in world.herald("site", "drain", "site2", "--reason", "x", code=1)
    world.eyes.blind = set()
    assert json.loads(world.herald(*argv, "--json"))["goes"] == [ACME, OTHER]
    assert json.loads(world.herald("site", "drains", "--json")) == [], "a dry run leaves nothing"
    said = world.herald("site", "drain", "site2", "--reason", "x", code=1)
    assert "nothing here measures capacity" in said and "--capacity-confirmed" in said


def test_observers_that_disagree_observe_nothing(world: World) -> None:
    world.eyes.lying = {"site3", "site4"}
    found = json.loads(world.herald("site", "drain", "site2", "--reason", "x", "--dry-run", "--json"))
    assert found["goes"] == [] and found["stays"][0]["seen_at"] == ["site1"]


def test_what_is_locked_or_frozen_stays(world: World) -> None:
    world.onboard("globex", OTHER)
    world.roll_out()
    (prefix,) = world.api.client().prefixes("acme")
    lock = f"/herald/v1/accounts/acme/prefixes/{prefix['id']}/withdrawal_lock"
    assert world.http("owner").put(lock, json={"public_key": None}).status_code == 200
    shown = world.shown(world.drain("site2"))
    assert shown["goes"] == [OTHER] and "withdrawal lock" in shown["stays"][0]["why"]
    assert world.at()["site2"] == ON
    world.herald("site", "undrain", "site2", "--reason", "x")
    freeze = {"scope": "site:site2", "kind": "subtractive", "reason": "Watching it"}
    assert world.http("bob").post("/herald/v1/freezes", json=freeze).status_code == 200
    said = world.herald("site", "drain", "site2", "--reason", "x", "--capacity-confirmed", code=1)
    assert "nothing that site2 announces may go now" in said


def test_what_a_roll_out_under_way_takes_from_other_sites_stays(world: World) -> None:
    """It is still seen there, and is not to be much longer."""
    with world.api.store.write() as session:
        head = session.get_one(HeadRow, "acme")
        now = snapshots.chunk(session, ChunkHash(head.hash))
        (bgp,) = now.bgp_prefixes
        narrow = msgspec.structs.replace(bgp, sites=("site1", "site2"))
        body = encode_chunk(msgspec.structs.replace(now, bgp_prefixes=(narrow,)))
        session.add(ChunkRow(hash=hash_chunk(body), body=body))
        session.flush()
        head.hash = hash_chunk(body)
    found = json.loads(world.herald("site", "drain", "site2", "--reason", "x", "--dry-run", "--json"))
    assert found["goes"] == [] and found["stays"][0]["seen_at"] == ["site1"]


def test_a_site_that_cannot_be_told_is_not_drained(world: World) -> None:
    id_ = world.ask("site2")
    world.at_once(world.links["site2"].go, False)
    world.until(lambda: world.drivers[0].sites["site2"].view.reachable is False)
    assert "cannot be told" in world.herald("site", "confirm-drain", id_, who="bob", code=1)
    assert world.state(id_) == "asked"


def test_one_site_is_drained_at_once_and_never_below_two_others(world: World) -> None:
    world.drain("site2")
    refused = world.herald("site", "drain", "site3", "--reason", "x", "--capacity-confirmed", code=1)
    assert "2 sites would be drained at once (site2, site3), and 1 may" in refused


def test_what_is_announced_meanwhile_goes_to_the_other_sites(world: World) -> None:
    id_ = world.drain("site2")
    world.onboard("globex", OTHER)
    world.roll_out()
    assert world.at() == {"site1": [*ON, OTHER], "site2": [], "site3": [*ON, OTHER], "site4": [*ON, OTHER]}
    owner = world.api.client(world.tokens["owner"])
    owner.advertise(ACME, advertised=False)
    world.roll_out()
    owner.advertise(ACME, advertised=True)
    world.roll_out()
    assert world.at()["site2"] == []
    shown = json.loads(world.herald("bgp-prefixes", "list", "--account", "acme", "--json", who="owner"))[0]
    (differs,) = shown["observed"]["differs"]
    assert differs["site"] == "site2" and "drained" in differs["reason"]
    assert "back in use" in differs["remedy"]
    assert world.state(id_) == "drained"
    world.herald("site", "undrain", "site2", "--reason", "x")
    world.until(lambda: all(sent == [*ON, OTHER] for sent in world.at().values()))


def test_gates_do_not_look_at_a_drained_site(world: World) -> None:
    """An operator's change is staged: site2 gets it, and is neither canary nor control."""
    world.drain("site2")
    ids = world.onboard("globex", OTHER)
    world.roll_out()
    world.gates.asked.clear()
    client = world.api.client()
    client.edit_bgp_prefix("globex", ids["prefix"], ids["bgp"], {"asn_prepend_count": 1})
    id_ = world.api.change_sets()[-1]
    world.over += 1
    world.drivers[-1].change_set_queued(id_)
    world.until(lambda: bool(world.gates.asked))
    rollout = world.api.client().change_set(id_).rollout_id
    world.until(lambda: len({q.wave for q in world.gates.asked}) >= 1 and len(world.gates.asked) >= 3)
    looked = {s for q in world.gates.asked if q.rollout_id == rollout for s in (*q.changed, *q.unchanged)}
    assert looked and "site2" not in looked


def test_gates_look_at_a_drained_site_where_what_is_changed_stays(world: World) -> None:
    world.onboard("globex", OTHER)
    (prefix,) = world.api.client().prefixes("acme")
    (bgp,) = world.api.client().bgp_prefixes("acme", prefix["id"])
    owner = world.api.client(world.tokens["owner"])
    owner.edit_bgp_prefix("acme", prefix["id"], bgp["id"], {"asn_prepend_count": 1})
    world.roll_out()
    lock = f"/herald/v1/accounts/acme/prefixes/{prefix['id']}/withdrawal_lock"
    assert world.http("owner").put(lock, json={"public_key": None}).status_code == 200
    world.drain("site2")
    world.gates.asked.clear()
    world.api.client().edit_bgp_prefix("acme", prefix["id"], bgp["id"], {"asn_prepend_count": 0})
    world.roll_out()
    assert {s for q in world.gates.asked for s in q.changed} == set(SITES)


def test_nobody_takes_the_last_site_in_use_while_another_is_drained(world: World) -> None:
    """A site that is drained counts for no site of a prefix (guards.md, 4)."""
    world.drain("site2")
    (prefix,) = world.api.client().prefixes("acme")
    (bgp,) = world.api.client().bgp_prefixes("acme", prefix["id"])
    body = {"advertised": True, "sites": ["site2"]}
    path = f"/herald/v1/accounts/acme/bgp_prefixes/{bgp['id']}/advertisement"
    answer = world.http("ann").put(path, json=body)
    assert answer.status_code == 200, answer.text
    (held,) = world.api.change_sets()[world.over :]
    world.until(lambda: world.api.client().change_set(held).state == "held")
    assert "would be left at fewer than 1 site" in world.api.client().change_set(held).reason


def test_a_restarted_controller_goes_on_and_a_site_that_was_away_is_told(
    tmp_path: Path, agents: dict[str, FakeAgent], capsys: pytest.CaptureFixture[str]
) -> None:
    with living(tmp_path, agents, capsys) as world:
        begin(world)
        world.at_once(world.links["site4"].go, False)
        world.until(lambda: world.drivers[0].sites["site4"].view.reachable is False)
        world.eyes.blind = {"site4"}
        id_ = world.drain("site2")
        assert "site4" not in {s for s, a in agents.items() for o in a.orders}
        assert "cannot be reached" in world.shown(id_)["why"]
    with living(tmp_path, agents, capsys) as world:
        world.until(lambda: agents["site4"].drains.keys() == {"site2"})
        assert world.drivers[0].draining.drained() == {"site2"}
        assert (world.state(id_), world.at()["site2"]) == ("drained", [])
        world.herald("site", "undrain", "site2", "--reason", "x")
        world.until(lambda: world.state(id_) == "ended")
        assert world.at() == dict.fromkeys(SITES, ON)


def test_an_agent_that_refuses_is_told_again_until_it_takes_it_up(world: World) -> None:
    world.agents["site2"].refuses = "for now"
    id_ = world.ask("site2")
    world.herald("site", "confirm-drain", id_, who="bob")
    world.until(lambda: "site2: for now" in world.shown(id_)["why"])
    assert world.state(id_) == "draining" and world.at()["site2"] == ON
    world.agents["site2"].refuses = ""
    world.until(lambda: world.state(id_) == "drained")


def test_a_later_drain_takes_the_place_of_the_one_before(world: World) -> None:
    first = world.drain("site2", "--strategy", "prepend")
    second = world.drain("site2")
    shown = world.shown(first)
    assert (shown["state"], shown["replaced_by"]) == ("ended", second)
    assert world.agents["site2"].drains["site2"].strategy == "withdraw"


def test_what_was_asked_for_is_taken_back_and_confirmed_once(world: World) -> None:
    id_ = world.ask("site2")
    world.herald("site", "cancel-drain", id_, "--reason", "The wrong site")
    assert world.state(id_) == "cancelled"
    assert "not_in_that_state" in world.herald("site", "confirm-drain", id_, who="bob", code=1)
    done = world.drain("site2")
    assert "not_in_that_state" in world.herald("site", "confirm-drain", done, who="bob", code=1)
    assert "unknown_site" in world.herald("site", "drain", "nowhere", "--reason", "x", code=1)


def test_a_drain_that_the_store_knows_nothing_of_is_shown_and_left_until_somebody_lifts_it(
    world: World,
) -> None:
    order = DrainOrder("site2", begin=record(id="f" * 32, site="site2"))
    world.at_once(world.agents["site2"].drain, order)
    world.until(lambda: world.drivers[-1].draining.drained() == {"site2"})
    (shown,) = json.loads(world.herald("site", "drains", "--json"))
    assert (shown["state"], shown["site"]) == ("unknown", "site2")
    assert world.at()["site2"] == []
    world.herald("site", "undrain", "site2", "--reason", "Nobody knows why")
    world.until(lambda: world.at()["site2"] == ON)


def test_an_open_breaker_holds_no_drain(world: World) -> None:
    """Drains have a budget of their own: one at once, and the agent's (SAFETY.md, 4)."""
    breaker = SignalledBreaker(world.api.store, Policy(), lambda: None)
    breaker.exceeded(Exceeded("fleet", "visibility", "much has gone from sight", 1.0, ()))
    with world.api.store.read() as session:
        assert list(scopes.load(session).open) == ["fleet"]
    world.drain("site2")
    assert world.at()["site2"] == []


def test_customers_are_told_that_a_site_is_drained_of_their_prefixes(world: World) -> None:
    world.api.client().create_account("Globex", id="globex")
    world.drain("site2")
    world.herald("site", "undrain", "site2", "--reason", "They work")
    told = {
        account: [
            (entry["type"], entry["site"], "New cards" in entry["reason"])
            for entry in world.http("first").get(f"/herald/v1/accounts/{account}/timeline").json()["result"]
            if entry["type"].startswith("drain.")
        ]
        for account in ("acme", "globex")
    }
    assert told["acme"] == [("drain.began", "site2", True), ("drain.ended", "site2", False)]
    assert told["globex"] == []


def test_customers_have_no_business_with_drains(world: World) -> None:
    http = world.http("owner")
    assert http.get("/herald/v1/drains").status_code == 403
    body = {"site": "site2", "reason": "x", "capacity_confirmed": True}
    assert http.post("/herald/v1/drains", json=body).status_code == 403
