"""The audit over a real store: who sees what, that tampering is found, and that no write goes unrecorded."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from fastapi import APIRouter, Response
from sqlalchemy import create_engine, text, update

from controller.addressing.audit_chain import Head, verify
from controller.addressing.audit_log import chain_of, head_of
from controller.addressing.auth import CallerDep
from controller.addressing.tables import AccountRow, EventRow
from controller.addressing.writes import Write, WriterDep
from controller.store import Store, open_store
from controller.store.migrate import MIGRATIONS
from tests.addressing_api import Api, furnished, running_api

AUDIT = "/herald/v1/audit"
careless = APIRouter(prefix="/herald/v1/careless", tags=["things"])


@careless.post("/{how}")
def forget(how: str, caller: CallerDep, writer: WriterDep) -> Response:
    def work(write: Write) -> dict[str, Any]:
        if how == "add":
            write.session.add(AccountRow(id="ghost", name="Ghost", created_at=write.now))
        elif how == "change":
            write.session.get_one(AccountRow, "acme").name = "Other"
        elif how == "remove":
            write.session.delete(write.session.get_one(AccountRow, "globex"))
        elif how == "state":
            write.session.execute(update(AccountRow).values(name="All the same"))
        elif how == "same":
            write.session.get_one(AccountRow, "acme").name = "Acme"
        return {}

    return writer.run(work)


@pytest.fixture
def api(tmp_path: Path):
    with running_api(tmp_path, extra_routers=[careless]) as running:
        running.ids = furnished(running)
        running.client().create_account("Globex", id="globex")
        yield running


def verdict(api: Api, query: str = "") -> dict[str, Any]:
    with api.http() as http:
        answer = http.get(f"{AUDIT}/verify{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()


def test_all_changes_are_there_in_order_and_chained(api: Api) -> None:
    found = verdict(api)
    with api.http() as http:
        events = http.get(AUDIT).json()["result"]
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert found == {
        "intact": True, "events": len(events), "broken_at": None, "reason": None,
        "head": {"seq": events[-1]["seq"], "hash": events[-1]["hash"]},
    }  # fmt: skip
    did = [(e["action"], e["object_kind"]) for e in events]
    assert did[0] == ("issue", "token")  # the operator's, made at the first start
    assert {("create", "account"), ("approve", "prefix"), ("create", "binding")} <= set(did)


def test_pages_and_filters(api: Api) -> None:
    with api.http() as http:
        whole = http.get(AUDIT).json()["result"]
        paged, after = [], 0
        while after is not None:
            page = http.get(f"{AUDIT}?limit=3&after={after}").json()
            paged += page["result"]
            after = page["next"]
        assert paged == whole and len(whole) > 6
        newest = http.get(f"{AUDIT}?newest=true&limit=2").json()
        assert newest["result"] == whole[:-3:-1] and newest["next"] == whole[-2]["seq"]
        older = http.get(f"{AUDIT}?newest=true&limit=1&after={newest['next']}").json()["result"]
        assert older == [whole[-3]]
        actor = whole[-1]["actor"]
        for query, wanted in (
            (f"object_id={api.ids['prefix']}", lambda e: e["object_id"] == api.ids["prefix"]),
            ("account_id=acme", lambda e: e["account_id"] == "acme"),
            ("action=create", lambda e: e["action"] == "create"),
            (f"actor={actor}", lambda e: e["actor"] == actor),
            ("action=approve&account_id=globex", lambda _: False),
        ):
            assert http.get(f"{AUDIT}?{query}").json()["result"] == [e for e in whole if wanted(e)], query
        for bad in ("after=-1", "limit=0", "limit=1001", "after=99999999999999999999", "actor=%00"):
            assert http.get(f"{AUDIT}?{bad}").status_code == 400, bad


def test_a_customer_sees_its_own_accounts_events_only(api: Api) -> None:
    token = api.client().create_token("customer", account_id="globex")["token"]
    with api.http(token) as http:
        events = http.get(AUDIT).json()["result"]
        assert {e["account_id"] for e in events} == {"globex"} and len(events) == 2
        assert http.get(f"{AUDIT}?account_id=acme").status_code == 403
        assert http.get(f"{AUDIT}?object_id={api.ids['prefix']}").json()["result"] == []
        assert http.get(f"{AUDIT}/verify").status_code == 403


def test_a_cut_at_the_end_is_found_against_a_noted_head(api: Api) -> None:
    head = verdict(api)["head"]
    assert verdict(api, f"?seq={head['seq']}&hash={head['hash']}")["intact"] is True
    beyond = verdict(api, f"?seq={head['seq'] + 2}&hash={'0' * 64}")
    assert beyond["broken_at"] == head["seq"] + 1 and "cut off" in beyond["reason"]
    anew = verdict(api, f"?seq={head['seq']}&hash={'0' * 64}")
    assert anew["broken_at"] == head["seq"] and "made anew" in anew["reason"]
    with api.http() as http:
        answer = http.get(f"{AUDIT}/verify?seq=1")
        assert (answer.status_code, answer.json()["errors"][0]["source"]["pointer"]) == (400, "/query/hash")


def test_a_dry_run_leaves_no_event_and_no_gap_in_the_chain(api: Api) -> None:
    before = verdict(api)
    with api.http() as http:
        assert http.post("/herald/v1/accounts?dry_run=true", json={"name": "x"}).status_code == 200
        assert verdict(api) == before
        http.post("/herald/v1/accounts", json={"name": "x"})
    assert verdict(api)["head"]["seq"] == before["head"]["seq"] + 1


def test_a_write_that_changes_rows_and_records_nothing_is_undone(api: Api) -> None:
    before = api.counts()
    for how in ("add", "change", "remove", "state"):
        with api.http() as http:  # after such an error the server closes the connection
            assert http.post(f"/herald/v1/careless/{how}").status_code == 500, how
    with api.http() as http:
        assert http.post("/herald/v1/careless/same").status_code == 200
        assert {a["name"] for a in http.get("/herald/v1/accounts").json()} == {"Acme", "Globex"}
    assert api.counts() == before


def event(name: str) -> EventRow:
    return EventRow(
        at=datetime(2026, 1, 2, tzinfo=UTC), actor=name, origin="o", action="a", object_kind="k",
        object_id="i", reason="r", detail={"b": [1, 2.5, None], "a": "ü\ud7ff"},
    )  # fmt: skip


def store_with(path: Path, count: int) -> Store:
    store = open_store(path)
    for index in range(count):
        with store.write() as session:
            session.add_all([event(f"{index}a"), event(f"{index}b")])
            session.flush()
            session.add(event(f"{index}c"))
    return store


def tampered(path: Path, *statements: str) -> Any:
    """Do what only somebody with the file itself can, and return what the chain says."""
    with sqlite3.connect(path) as raw:
        for name in ("events_no_update", "events_no_delete"):
            raw.execute(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            raw.execute(statement)
    raw.close()
    store = open_store(path)
    with store.read() as session:
        found = verify(chain_of(session))
    store.close()
    return found


def test_events_are_chained_in_the_order_in_which_they_were_added_whoever_adds_them(tmp_path: Path) -> None:
    store = store_with(tmp_path / "herald.db", 2)
    with store.read() as session:
        chain = list(chain_of(session))
        assert [e.actor for e, _ in chain] == ["0a", "0b", "0c", "1a", "1b", "1c"]
        assert verify(chain).intact and head_of(session) == Head(6, chain[-1][1])
    store.close()


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE events SET actor = 'x' WHERE seq = 2", 2),
        ("UPDATE events SET detail = '{}' WHERE seq = 5", 5),
        ("UPDATE events SET hash = '' WHERE seq = 1", 1),
        ("DELETE FROM events WHERE seq = 3", 4),
        ("UPDATE events SET seq = 30 WHERE seq = 3", 4),
        ("INSERT INTO events SELECT 7, at, actor, origin, action, account_id, object_kind, object_id, "
         "reason, change_set_id, detail, hash FROM events WHERE seq = 6", 7),
    ],
)  # fmt: skip
def test_tampering_is_found_where_it_was_done(tmp_path: Path, statement: str, broken_at: int) -> None:
    store_with(tmp_path / "herald.db", 2).close()
    assert tampered(tmp_path / "herald.db").intact
    assert tampered(tmp_path / "herald.db", statement).broken_at == broken_at


def test_a_database_of_the_release_before_keeps_tokens_answers_and_events(tmp_path: Path) -> None:
    path = tmp_path / "herald.db"
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        connection.execute(text("PRAGMA foreign_keys=ON"))
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        at = "2026-01-02T03:04:05.000006Z"
        connection.execute(text(f"INSERT INTO accounts VALUES ('acme', 'Acme', '{at}')"))
        connection.execute(
            text(f"INSERT INTO tokens VALUES ('t1', 'h1', 'customer', 'acme', '', '{at}', NULL)")
        )
        connection.execute(
            text(f"INSERT INTO answers VALUES ('t1', 'k', 'h', 200, x'7b7d', NULL, '{at}', NULL)")
        )
        for seq in (1, 3):
            detail = json.dumps({"n": seq, "s": "ü"})
            connection.execute(
                text(
                    "INSERT INTO events VALUES (:seq, :at, 'a', 'o', 'create', NULL, 'k', 'i', 'r', NULL, :d)"
                ),
                {"seq": seq, "at": at, "d": detail},
            )
    engine.dispose()
    store = open_store(path)
    with store.read() as session:
        assert verify(chain_of(session)) == verify(chain_of(session), head_of(session))
        assert verify(chain_of(session)).intact and verify(chain_of(session)).events == 2
        assert session.execute(text("SELECT token_id, key, body FROM answers")).all() == [("t1", "k", b"{}")]
        assert session.execute(text("SELECT id, role, scopes FROM tokens")).all() == [
            ("t1", "customer", None)
        ]
        assert session.execute(text("PRAGMA foreign_key_check")).all() == []
    with store.write() as session:
        session.add(event("new"))
    with store.read() as session:
        assert verify(chain_of(session)).intact
    store.close()


def test_a_place_beyond_all_events_is_no_fault(api: Api) -> None:
    with api.http() as http:
        for after in (2**31, 2**63 - 1):
            for query in (f"after={after}", f"after={after}&newest=true"):
                assert http.get(f"/herald/v1/audit?{query}").status_code == 200, query
