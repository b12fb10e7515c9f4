"""Snapshots, rollback and pins as a person has them: the API, with roll-outs to two fake agents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select, update

from controller.bgp import Prefix
from controller.cli.app import run
from controller.rollbacks import pin_routes
from controller.rollbacks import routes as rollback_routes
from controller.rollout.driver import Driver
from controller.rollout.snapshot_routes import build_snapshot_router
from controller.snapshots.tables import ChunkRow, SnapshotRow
from controller.store import Store
from tests.addressing_api import Api, furnished
from tests.addressing_api import running_api as serving  # SQLite is enough here: test_rollback has both
from tests.driving import DEADLINE_S, living_in_a_thread
from tests.fake_agent import FakeAgent, MemoryLink
from tests.guarding import unguarded

ACME = Prefix("192.0.2.0/24")


@dataclass
class Lab:
    api: Api
    agents: dict[str, FakeAgent]
    driver: Driver
    herald: Callable[..., str]
    over: int = 0

    def roll_out(self) -> None:
        """Carry out what is queued, until the agents have it."""
        for id_ in self.api.change_sets()[self.over :]:
            self.over += 1
            self.driver.change_set_queued(id_)
            found = self.api.client().wait_change_set(id_, DEADLINE_S)
            assert found.state in ("done", "failed", "held"), found

    def announced(self) -> list[list[str]]:
        return [sorted(a.status().sent) for a in self.agents.values()]


@pytest.fixture
def lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Lab]:
    from controller.rollout.routes import build_router

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # stdout is the command's
    agents = {site: FakeAgent(site, tmp_path / f"{site}.sock") for site in ("site1", "site2")}
    made: list[Driver] = []

    def routers(store: Store):
        made.append(
            Driver(store, {site: MemoryLink(agent) for site, agent in agents.items()}, guard=unguarded())
        )
        built = (build_router(made[0]), build_snapshot_router(made[0]))
        return [*built, rollback_routes.router, pin_routes.router]

    with serving(tmp_path, routers_over=routers) as api:

        def herald(*argv: str, code: int = 0) -> str:
            reach = ["--url", f"unix:{api.socket}", "--token", api.token]
            assert run([*argv, *reach]) == code, capsys.readouterr().err
            out = capsys.readouterr()
            return out.out if code == 0 else out.err

        api.app.state.context = _woken_by(api, made[0])
        try:
            with living_in_a_thread(made[0]):
                yield Lab(api, agents, made[0], herald)
        finally:
            structlog.reset_defaults()


def _woken_by(api: Api, driver: Driver):
    from dataclasses import replace

    return replace(api.app.state.context, on_change_set=driver.change_set_queued)


def test_back_to_a_snapshot_by_one_command(lab: Lab) -> None:
    ids = furnished(lab.api)
    token = lab.api.client().create_token("customer", account_id="acme")["token"]
    owner = lab.api.client(token)
    owner.advertise(ACME, advertised=True)
    lab.roll_out()
    assert lab.announced() == [[ACME], [ACME]]
    before = json.loads(lab.herald("snapshots", "list", "--json"))[0]["id"]
    owner.advertise(ACME, advertised=False)
    owner.unbind("acme", ids["prefix"], ids["binding"])
    lab.roll_out()
    shown = lab.herald("snapshots", "show", "HEAD")
    assert "unbind" in shown and "site2" in shown and "customer:" in shown
    diff = json.loads(lab.herald("snapshots", "diff", before, "HEAD", "--account", "acme", "--json"))
    assert {e["verb"] for e in diff["accounts"][0]["effects"]} == {"withdraw", "unbind"}

    plan = lab.herald("rollback", "HEAD~2", "--dry-run")
    assert "Dry run" in plan and "advertised at all" in plan
    assert lab.announced() != [[ACME], [ACME]]
    out = lab.herald("rollback", "HEAD~2", "--account", "acme", "--reason", "It was a mistake")
    assert "2 objects of 1 accounts are to be back" in out and "site1 1/1, site2 1/1" in out
    assert "1 accounts are pinned" in out
    assert lab.announced() == [[ACME], [ACME]]
    assert "It was a mistake" in lab.herald("rollbacks", "list")
    same = json.loads(lab.herald("snapshots", "diff", before, "HEAD", "--json"))
    assert (same["total"], same["accounts"]) == (0, [])

    assert "withdrawn" in lab.herald("pins", "show", "--account", "acme")
    assert "is not pinned any more" in lab.herald("pins", "decide", "--account", "acme", "--drop-rest")
    assert "No account is pinned" in lab.herald("pins", "list")
    found = json.loads(lab.herald("rollback", before, "--json"))
    assert found["result"] == [], "there is nothing left to go back to"


def test_a_rollback_that_names_what_is_not_there_is_one_line(lab: Lab) -> None:
    furnished(lab.api)
    lab.roll_out()
    for argv, says in (
        (["rollback", "nonsense"], "names no snapshot"),
        (["rollback", "HEAD~99"], "there are not 100 snapshots"),
        (["rollback", "HEAD", "--account", "acne"], "there is no account acne"),
        (["rollback", "HEAD", "--expect", "3"], "3 accounts were expected, and 0 differ"),
        (["snapshots", "diff", "HEAD", "@2001-01-01"], "no snapshot is as old as"),
        (["pins", "decide", "--account", "acme", "--drop-rest"], "pinned accounts: none"),
    ):
        err = lab.herald(*argv, code=1)
        assert says in err and err.count("\n") == 1, err


def test_a_damaged_chunk_is_named_with_whose_it_is(lab: Lab) -> None:
    furnished(lab.api)
    lab.roll_out()
    assert "damaged  0" in lab.herald("snapshots", "check")
    with lab.api.store.write() as session:
        session.execute(update(ChunkRow).values(body=b"{}"))
    assert "chunks are damaged" in lab.herald("snapshots", "check", code=1)
    found = json.loads(lab.herald("snapshots", "check", "--json"))
    assert any(d["accounts"] == ["acme"] and d["sites"] == ["site1", "site2"] for d in found["damaged"])
    assert "chunk_damaged: account acme" in lab.herald("rollback", "HEAD~1", code=1)


def test_old_history_goes_and_what_is_live_stays(lab: Lab) -> None:
    ids = furnished(lab.api)
    lab.roll_out()
    client = lab.api.client()
    for advertised in (True, False, True, False):
        client.edit_bgp_prefix("acme", ids["prefix"], ids["bgp"], {"asn_prepend_count": 0})
        client.advertise(ACME, advertised=advertised)
        lab.roll_out()
    with lab.api.store.write() as session:  # a year has passed since
        for row in session.scalars(select(SnapshotRow)):
            row.at -= timedelta(days=365)
    before = json.loads(lab.herald("snapshots", "list", "--limit", "1000", "--json"))
    counts = lab.api.counts()
    assert "Dry run" in lab.herald("snapshots", "collect", "--keep", "2", "--dry-run")
    assert lab.api.counts() == counts
    done = json.loads(lab.herald("snapshots", "collect", "--keep", "2", "--yes", "--json"))
    left = json.loads(lab.herald("snapshots", "list", "--limit", "1000", "--json"))
    assert done["snapshots"] > 0 and len(left) == len(before) - done["snapshots"]
    assert [s["id"] for s in left[:2]] == [s["id"] for s in before[:2]]
    assert all(s["thinned"] for s in left[2:]) and not any(s["thinned"] for s in left[:2])
    assert "damaged  0" in lab.herald("snapshots", "check")
    lab.herald("rollback", "HEAD~1")
    if len(left) > 2:
        assert "older than the history that is kept" in lab.herald("rollback", left[-1]["id"], code=1)
    # What goes on afterwards finds all that it stands on.
    client.advertise(ACME, advertised=True)
    lab.roll_out()
    assert lab.announced() == [[ACME], [ACME]]
