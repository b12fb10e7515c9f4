"""``herald rollouts`` as a person runs it, and the routes behind it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from controller.bgp import Prefix
from controller.cli.app import run
from controller.cli.resources.rollouts import happened
from controller.rollout import admission, records
from controller.rollout.driver import Driver
from controller.rollout.rollout_routes import RolloutBody, build_rollout_router
from controller.rollout.routes import build_router
from controller.snapshots import outbox
from controller.snapshots.model import BgpPrefixObject, BindingObject, Change, ChangeSet, PrefixObject
from tests.addressing_api import running_api as serving  # SQLite is enough here
from tests.fake_agent import FakeAgent, MemoryLink
from tests.guarding import unguarded

CIDR = Prefix("192.0.2.0/24")
SITES = ("s1", "s2", "s3")


def seed(store) -> None:
    """An account that is announced, and a staged withdrawal that waits for somebody to look."""
    on, off = (Change(bgp_prefix=BgpPrefixObject("g", "p", CIDR, None, there)) for there in (True, False))
    base = (
        Change(prefix=PrefixObject("p", CIDR, None)),
        Change(binding=BindingObject("b", "p", CIDR, "cdn")),
    )
    for id_, changes, lane in (("cs1", (*base, on), None), ("cs2", (off,), "staged")):
        change_set = ChangeSet(id_, "acme", "customer:t", "why", "2026-01-01T00:00:00Z", changes, lane=lane)
        with store.write() as session:
            records.join_sites(session, SITES)
            outbox.append(session, change_set)
        with store.write() as session:
            admission.admit_next(session, SITES, lambda _: None, 0.0, unguarded())


def test_a_person_follows_and_stops_a_roll_out(tmp_path: Path, capsys, monkeypatch) -> None:
    def routers(store):
        seed(store)
        driver = Driver(store, {s: MemoryLink(FakeAgent(s, tmp_path / s)) for s in SITES})
        asyncio.run(driver.start())
        return [build_router(driver), build_rollout_router(driver)]

    def out() -> str:
        return capsys.readouterr().out

    with serving(tmp_path, routers_over=routers) as api, api.http() as http:
        monkeypatch.setenv("HERALD_URL", f"unix:{api.socket}")
        monkeypatch.setenv("HERALD_TOKEN", api.token)
        assert run(["rollouts", "list", "--json"]) == 0
        newest = json.loads(out())[0]
        RolloutBody.model_validate(newest, strict=True)
        which = newest["id"][:8]
        assert (newest["state"], newest["lane"], len(newest["waves"])) == ("planned", "staged", 2)
        assert run(["rollouts", "pause", which, "--reason", "odd graphs"]) == 0
        assert "is paused" in out()
        assert run(["rollouts", "show", which]) == 0
        shown = out()
        assert "paused (operator): odd graphs" in shown and "s3" in shown
        assert run(["rollouts", "pause", which, "--reason", "odd graphs"]) == 1
        assert "changes nothing" in capsys.readouterr().err
        assert run(["rollouts", "pause", which]) == 2, "say why"
        capsys.readouterr()
        assert run(["rollouts", "resume", which, "--reason", "old graphs", "--json"]) == 0
        assert json.loads(out())["state"] == "planned"
        assert run(["rollouts", "abort", which, "--reason", "not today", "--dry-run"]) == 0
        assert run(["rollouts", "abort", which, "--reason", "not today"]) == 0
        capsys.readouterr()
        assert run(["rollouts", "watch", which, "--for", "0", "--json"]) == 0
        lines = [json.loads(line) for line in out().splitlines()]
        # Nothing runs here that would end it.
        assert lines[-1]["what"] == "reverting (wave 0 of 2)" and lines[-1]["reason"] == "not today"
        audited = http.get("/herald/v1/audit", params={"object_id": newest["id"]}).json()["result"]
        assert [(e["action"], e["detail"]["reason"]) for e in audited] == [
            ("pause", "odd graphs"),
            ("resume", "old graphs"),
            ("abort", "not today"),
        ]
        assert run(["rollouts", "show", "nope"]) == 1
        bad = http.post(f"/herald/v1/rollouts/{newest['id']}/abort", json={"reason": "", "x": 1})
        assert bad.status_code == 400


def test_what_happened_between_two_answers() -> None:
    before = {"gates": [], "sites": {"s1": {"state": "pending", "reason": ""}}, "state": "planned", "wave": 0}
    after = {
        "gates": [{"wave": 0, "baseline": False, "outcome": "fail", "reason": "lost"}],
        "sites": {"s1": {"state": "confirmed", "reason": ""}},
        "state": "reverting", "wave": 0, "reason": "lost", "gated": True, "waves": [["s1"]],
    }  # fmt: skip
    assert [e["what"] for e in happened(before, after)] == [
        "gate of wave 0: fail",
        "s1: confirmed",
        "reverting (wave 0 of 1)",
    ]
    assert happened(after, after) == []
