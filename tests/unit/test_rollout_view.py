"""What the API shows beside what was asked, and who may see what of roll-outs."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import httpx
import pytest

from controller.addressing.app import create_app
from controller.addressing.auth import issue_token
from controller.addressing.tables import AccountRow
from controller.addressing.views import NullView
from controller.observe.inventory import InventoryError
from controller.observe.rib import RibRow
from controller.rollout import view as view_module
from controller.rollout.routes import build_router
from controller.rollout.snapshot_routes import build_snapshot_router
from controller.rollout.view import StoreView
from controller.snapshots.model import Change
from controller.store import Store
from tests.driving import ACME, GLOBEX, Controller, change, controlling, onboard, toggle
from tests.fake_agent import FakeAgent

ROWS = [
    RibRow("r1", "bird", ACME, True, (64500,), "10.0.0.1"),
    RibRow("r1", "bird", ACME, False, (65002, 64500), "10.0.0.5"),
    RibRow("r2", "frr", ACME, True, (64500,), "10.0.0.9"),
    RibRow("r3", "frr", GLOBEX, False, (64500,), "10.0.0.9"),
]
NO_STORE = cast(Store, None)  # observing needs none
Scenario = Callable[[Controller, StoreView, FakeAgent, FakeAgent], Awaitable[None]]


@pytest.fixture
def play(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Callable[[Scenario], None]:
    folder = tmp_path_factory.mktemp("v")
    shutil.copy(empty_database, folder / "herald.db")

    def run(scenario: Scenario) -> None:
        async def whole() -> None:
            one, two = FakeAgent("site1", folder / "1.sock"), FakeAgent("site2", folder / "2.sock")
            async with one, two, controlling(folder / "herald.db", one, two) as controller:
                view = StoreView(
                    controller.store, lambda: [f.view for f in controller.driver.sites.values()], None
                )
                controller.driver.on_change(view.forget)
                await scenario(controller, view, one, two)

        asyncio.run(whole())

    return run


def test_operational_follows_the_rollout(play: Callable[[Scenario], None]) -> None:
    async def scenario(c: Controller, view: StoreView, one: FakeAgent, two: FakeAgent) -> None:
        assert view.operational("acme", "acme-g").state == "unknown"
        assert view.provisioning("acme", "acme-b") == "provisioning"
        await c.over(c.submit(onboard("acme", ACME, advertised=False)))
        assert view.operational("acme", "acme-g").state == "withdrawn"
        assert view.provisioning("acme", "acme-b") == "active"
        one.waiting[ACME] = "0 of 2 machines hold its bindings"
        held = c.submit(toggle("acme", ACME, True))
        await c.until(held, lambda r: "machines" in r.reason)
        rolling = view.operational("acme", "acme-g")
        assert (rolling.state, rolling.sites["site1"].state) == ("rolling", "rolling")
        assert "0 of 2 machines" in rolling.reason
        assert "0 of 2 machines" in rolling.sites["site1"].reason
        one.waiting.clear()
        one.touch()
        await c.over(held)
        done = view.operational("acme", "acme-g")
        assert (done.state, done.reason) == ("announced", "")
        assert {s: v.state for s, v in done.sites.items()} == {"site1": "announced", "site2": "announced"}
        assert done.since is not None and done.since.endswith("Z")

    play(scenario)


def test_a_failed_change_is_told_until_another_one_is_made(play: Callable[[Scenario], None]) -> None:
    async def scenario(c: Controller, view: StoreView, one: FakeAgent, two: FakeAgent) -> None:
        await c.over(c.submit(onboard("acme", ACME)))
        await c.over(c.submit(change("acme", Change(remove=("binding", "acme-b")))))
        assert view.operational("acme", "acme-g").state == "announced"
        one.refuses = "outside the envelope"
        await c.over(c.submit(toggle("acme", ACME, False)))
        failed = view.operational("acme", "acme-g")
        assert failed.state == "failed"
        assert "outside the envelope" in failed.reason
        assert failed.sites["site1"].state == "failed"
        one.refuses = ""
        await c.over(c.submit(toggle("acme", ACME, True)))
        assert view.operational("acme", "acme-g").state == "announced"

    play(scenario)


def test_a_site_that_went_away_is_shown_as_it_was(play: Callable[[Scenario], None]) -> None:
    async def scenario(c: Controller, view: StoreView, one: FakeAgent, two: FakeAgent) -> None:
        await c.over(c.submit(onboard("acme", ACME)))
        await one.down()
        await c.until(c.submit(onboard("globex", GLOBEX)), lambda r: "cannot be reached" in r.reason)
        site = view.operational("acme", "acme-g").sites["site1"]
        assert site.state == "announced"
        heard_at = c.driver.sites["site1"].view.heard_at
        assert f"as of its last report at {heard_at}; agent of site1 cannot be reached" in site.reason

    play(scenario)


def test_observed_counts_routers_that_chose_the_route() -> None:
    asked: list[int] = []

    def reader() -> tuple[list[RibRow], int]:
        asked.append(1)
        return ROWS, 4

    view = StoreView(NO_STORE, list, reader)
    seen = view.observed(ACME)
    assert (seen.state, seen.seen_by, seen.of) == ("visible", 2, 4)
    assert (view.observed(GLOBEX).state, view.observed(GLOBEX).seen_by) == ("absent", 0)
    assert len(asked) == 1, "one reading serves for a while"


def test_what_cannot_be_observed_is_unknown_and_says_why() -> None:
    def reader() -> tuple[list[RibRow], int]:
        raise InventoryError("no inventory at there: is the lab up?")

    view = StoreView(NO_STORE, list, reader)
    assert view.observed(ACME).state == "unknown"
    assert "is the lab up?" in view.observed(ACME).reason
    blind = StoreView(NO_STORE, list, None)
    assert (blind.observed(ACME).state, blind.observed(ACME).seen_by) == ("unknown", None)


def token_for(controller: Controller, account: str | None) -> str:
    with controller.store.write() as session:
        if account is not None:
            session.merge(AccountRow(id=account, name=account, created_at=datetime.now(UTC)))
            session.flush()
        role = "operator" if account is None else "customer"
        return issue_token(session, role, account, "test", datetime.now(UTC))[0]


def test_customers_see_their_own_and_operators_all(play: Callable[[Scenario], None]) -> None:
    async def scenario(c: Controller, view: StoreView, one: FakeAgent, two: FakeAgent) -> None:
        app = create_app(
            c.store, view=NullView(), sites=["site1"], on_change_set=print,
            extra_routers=[build_router(c.driver), build_snapshot_router(c.driver)],
        )  # fmt: skip
        tokens = {who: token_for(c, who) for who in (None, "acme", "globex")}

        async def get(path: str, who: str | None) -> httpx.Response:
            return await client.get(path, headers={"Authorization": f"Bearer {tokens[who]}"})

        mine, theirs = c.submit(onboard("acme", ACME)), c.submit(onboard("globex", GLOBEX))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://h", timeout=30) as client:
            found = (await get(f"/herald/v1/change-sets/{mine}?wait=20", "acme")).json()
            assert found["state"] == "done"
            assert found["sites"] == {
                "site1": {"state": "confirmed", "reason": ""},
                "site2": {"state": "confirmed", "reason": ""},
            }
            assert (await get(f"/herald/v1/change-sets/{theirs}?wait=20", "acme")).status_code == 404
            assert (await get(f"/herald/v1/change-sets/{theirs}?wait=20", None)).status_code == 200
            rollouts = (await get("/herald/v1/rollouts", "acme")).json()
            assert [r["change_set_id"] for r in rollouts] == [mine]
            assert len((await get("/herald/v1/rollouts", None)).json()) == 2
            assert len((await get("/herald/v1/rollouts?limit=1", None)).json()) == 1
            snapshots = (await get("/herald/v1/snapshots", "globex")).json()
            assert [list(s["accounts"]) for s in snapshots] == [["globex"]]
            sites = (await get("/herald/v1/sites", None)).json()
            assert [(s["site"], s["reachable"]) for s in sites] == [("site1", True), ("site2", True)]
            assert (await get("/herald/v1/sites", "acme")).status_code == 403
            assert (await get("/herald/v1/sites/site1/adj-rib-out", None)).json() == []
            unknown = await get("/herald/v1/sites/site9/adj-rib-out", None)
            assert unknown.status_code == 404
            assert "there are site1, site2" in unknown.text
            await one.down()
            away = await get("/herald/v1/sites/site1/adj-rib-out", None)
            assert away.status_code == 503
            for bad in ("change-sets/x?wait=", "change-sets/x?wait=-1", "rollouts?limit=0", "sites?x=1"):
                assert (await get(f"/herald/v1/{bad}", None)).status_code == 400

    play(scenario)


def test_a_slow_network_is_shown_as_it_was_last_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "OBSERVED_FOR_S", 0.0)
    monkeypatch.setattr(view_module, "PATIENCE_S", 0.0)
    goes_on, readings = threading.Event(), [ROWS, ROWS[:2]]

    def reader() -> tuple[list[RibRow], int]:
        if len(readings) == 1:
            goes_on.wait()
        return readings.pop(0), 3

    view = StoreView(NO_STORE, list, reader)
    assert view.observed(ACME).seen_by == 2
    assert view.observed(ACME).seen_by == 2, "nobody waits while the routers are read again"
    goes_on.set()
    while view.observed(ACME).seen_by != 1:  # the new one serves once it is there
        assert len(readings) <= 1
        if not readings:
            readings.append(ROWS[:2])
