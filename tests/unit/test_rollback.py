"""Rollbacks over the API, on both stores: what comes back, waits, is skipped; pins, keep and drop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from controller.addressing.delegation_tables import DelegationRow
from controller.addressing.life_tables import DeletionRow
from controller.addressing.registry import compose_all
from controller.addressing.tables import BgpPrefixRow, BindingRow, PrefixRow
from controller.bgp import Prefix
from controller.cli.client import Client
from controller.cli.errors import ApiError
from controller.cli.routes import herald
from controller.rollbacks import pin_routes
from controller.rollbacks import routes as rollback_routes
from controller.rollout import admission, records
from controller.rollout.view import StoreView
from controller.snapshots import store as snapshots
from controller.snapshots.model import Chunk
from controller.snapshots.rollback_tables import PinRow
from controller.snapshots.tables import ChangeSetRow
from tests.addressing_api import SITES, Api, furnished, running_api
from tests.guarding import unguarded

ACME = Prefix("192.0.2.0/24")


@dataclass
class World:
    """Two customers, each with an announced prefix; whatever is queued is admitted by :meth:`admit`."""

    api: Api
    operator: Client
    acme: Client
    ids: dict[str, Any]

    def admit(self) -> None:
        with self.api.store.write() as session:
            while admission.has_queued(session):
                admission.admit_next(session, SITES, lambda _: None, 0.0, unguarded())

    def chunk(self, account: str = "acme") -> Chunk:
        with self.api.store.read() as session:
            head = snapshots.head_of(session, account)
            assert head is not None
            return snapshots.chunk(session, head)

    def snapshot(self) -> str:
        with self.api.store.read() as session:
            return snapshots.find(session, "HEAD").id

    def state(self, change_set_id: str) -> str:
        with self.api.store.read() as session:
            found = session.scalar(select(ChangeSetRow.state).where(ChangeSetRow.id == change_set_id))
            assert found is not None
            return found

    def roll_back(self, snapshot: str, accounts: list[str] | None = None, **more: object) -> dict[str, Any]:
        body = {"snapshot": snapshot, "accounts": accounts, "reason": "the clean-up ran away", **more}
        return self.operator.write("POST", herald("rollbacks"), body).result

    def pins(self) -> list[dict[str, Any]]:
        return self.operator.all(herald("pins"))

    def decide(self, account: str, decisions: dict[str, str]) -> dict[str, Any]:
        path = herald("accounts", account, "pin", "decisions")
        return self.operator.write("POST", path, {"decisions": decisions}).result


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running_api(tmp_path, extra_routers=[rollback_routes.router, pin_routes.router]) as api:
        with api.store.write() as session:
            records.join_sites(session, SITES)
        ids = furnished(api)
        operator = api.client()
        operator.create_account("Globex", id="globex")
        token = operator.create_token("customer", account_id="acme", description="acme's")["token"]
        made = World(api, operator, api.client(token), ids)
        operator.advertise(ACME, advertised=True)
        made.admit()
        yield made


def withdraw_unbind_delete(world: World) -> None:
    """What the outage did: withdrawn, stripped of its binding, deleted."""
    ids, acme = world.ids, world.acme
    acme.write("POST", f"/client/v4/accounts/acme/addressing/prefixes/{ids['prefix']}/delegations",
               {"cidr": "192.0.2.128/25", "delegated_account_id": "globex"})  # fmt: skip
    world.admit()
    acme.advertise(ACME, advertised=False)
    acme.unbind("acme", ids["prefix"], ids["binding"])
    path = herald("accounts", "acme", "prefixes", ids["prefix"], "deletion")
    acme.write("PUT", path, {"reason": "we move"})
    body = {"ids": [ids["prefix"]], "expected_count": 1, "selector": None, "reason": "asked for"}
    world.operator.write("POST", herald("prefix_deletions"), body)
    world.admit()


def test_a_withdrawn_stripped_and_deleted_prefix_comes_back_with_its_ids(world: World) -> None:
    before, good = world.chunk(), world.snapshot()
    withdraw_unbind_delete(world)
    assert world.chunk().prefixes == ()
    made = world.roll_back(good)
    [account] = made["result"]
    assert [s["kind"] for s in account["back"]] == ["prefix", "binding", "bgp_prefix"]
    assert (account["rest"], account["skipped"], account["subtractive"]) == ([], [], None)
    world.admit()
    assert world.chunk() == before
    # Configured, operational: the rows stay as they were asked until somebody decides.
    assert world.acme.prefixes("acme") == []
    [pin] = world.pins()
    assert (pin["account_id"], pin["rollback_id"], pin["open"]) == ("acme", made["id"], 3)
    result = world.decide("acme", {c["change_set_id"]: "drop" for c in pin["change_sets"]})
    assert result["pin"] is None and world.pins() == []
    [prefix] = world.acme.prefixes("acme")
    assert (prefix["id"], prefix["configured"]["advertised"]) == (world.ids["prefix"], True)
    assert [b["id"] for b in world.acme.bindings("acme", prefix["id"])] == [world.ids["binding"]]
    with world.api.store.read() as session:
        assert session.scalars(select(DelegationRow.deleted_at)).all() == [None]
    world.admit()
    assert world.chunk() == before


def test_nothing_else_compiles_until_each_change_set_is_decided(world: World) -> None:
    good = world.snapshot()
    world.acme.advertise(ACME, advertised=False)
    world.admit()
    world.roll_back(good, ["acme"])
    world.admit()
    with pytest.raises(ApiError, match=r"account_rolled_back.*herald pins decide"):
        world.acme.advertise(ACME, advertised=False)
    # What only adds something passes: that is how customers help themselves.
    _, made = world.acme.bind("acme", world.ids["prefix"], "192.0.2.1/32", "cdn")
    world.admit()
    assert made is not None and world.state(made) == "rolling"
    [pin] = world.pins()
    assert [c["touches"] for c in pin["change_sets"]] == [["put BGP prefix 192.0.2.0/24 withdrawn"]]
    world.decide("acme", {pin["change_sets"][0]["change_set_id"]: "drop"})
    assert world.acme.advertise(ACME, advertised=False) is not None


def test_what_is_kept_is_asked_for_anew_by_whom_it_was_asked(world: World) -> None:
    good = world.snapshot()
    withdrawal = world.acme.advertise(ACME, advertised=False)
    world.admit()
    world.roll_back(good)
    world.admit()
    assert world.chunk().bgp_prefixes[0].advertised
    assert withdrawal is not None
    world.decide("acme", {withdrawal: "keep"})
    with world.api.store.read() as session:
        row = session.scalars(select(ChangeSetRow).order_by(ChangeSetRow.seq.desc())).first()
        assert row is not None and row.state == "queued"
        assert row.actor.startswith("customer:") and row.id != withdrawal
    assert b'"intents":["hi1.' in row.body
    [prefix] = world.acme.prefixes("acme")
    assert prefix["configured"]["advertised"] is False


def test_what_was_dropped_does_not_ride_along_with_what_is_kept(world: World) -> None:
    """Both put the whole BGP prefix: only what the kept one itself changed is asked for anew."""
    good = world.snapshot()
    world.acme.edit_bgp_prefix("acme", world.ids["prefix"], world.ids["bgp"], {"asn_prepend_count": 3})
    withdrawal = world.acme.advertise(ACME, advertised=False)
    world.admit()
    world.roll_back(good)
    world.admit()
    [pin] = world.pins()
    world.decide(
        "acme",
        {
            c["change_set_id"]: "keep" if c["change_set_id"] == withdrawal else "drop"
            for c in pin["change_sets"]
        },
    )
    with world.api.store.read() as session:
        row = session.scalars(select(BgpPrefixRow)).one()
        assert (row.advertised, row.asn_prepend_count) == (False, 0)
        newest = session.scalars(select(ChangeSetRow).order_by(ChangeSetRow.seq.desc())).first()
        assert newest is not None and b'"prepends":0' in newest.body


def test_what_the_snapshot_did_not_have_is_its_own_change_set_and_comes_later(world: World) -> None:
    good = world.snapshot()
    made, _ = world.acme.bind("acme", world.ids["prefix"], "192.0.2.7/32", "cdn")
    world.acme.advertise(ACME, advertised=False)
    world.admit()
    [account] = world.roll_back(good)["result"]
    assert [s["kind"] for s in account["back"]] == ["bgp_prefix"]
    assert [(s["kind"], s["id"], s["after"]) for s in account["rest"]] == [("binding", made["id"], None)]
    assert account["additive"]["change_set_id"] != account["subtractive"]["change_set_id"]
    with world.api.store.read() as session:
        queued = session.scalars(select(ChangeSetRow.id).where(ChangeSetRow.state == "queued")).all()
    assert queued == [account["additive"]["change_set_id"], account["subtractive"]["change_set_id"]]


def test_keeping_takes_it_out_of_a_subtractive_half_that_waits(world: World) -> None:
    good = world.snapshot()
    made, binding = world.acme.bind("acme", world.ids["prefix"], "192.0.2.7/32", "cdn")
    world.admit()
    [account] = world.roll_back(good)["result"]
    assert binding is not None
    world.decide("acme", {binding: "keep"})
    assert world.state(account["subtractive"]["change_set_id"]) == "failed"
    world.admit()
    assert made["id"] in {b.id for b in world.chunk().bindings}


def test_what_was_revoked_since_is_skipped_and_listed(world: World) -> None:
    good = world.snapshot()
    withdraw_unbind_delete(world)
    body = {"kind": "legal_order", "account_id": "acme", "cidr": ACME, "reason": "court order 7"}
    world.operator.write("POST", herald("revocations"), body)
    [account] = world.roll_back(good)["result"]
    assert (account["back"], account["rest"]) == ([], [])
    assert {s["kind"] for s in account["skipped"]} == {"prefix", "binding", "bgp_prefix"}
    assert all("legal_order" in s["why"] and "court order 7" in s["why"] for s in account["skipped"])
    world.admit()
    assert world.chunk().prefixes == ()


def test_the_registry_covers_what_comes_back_less_what_was_revoked_since(world: World) -> None:
    def registered() -> tuple[list[str], list[str]]:
        with world.api.store.read() as session:
            entry = compose_all(session, ["acme"])["acme"]
        return [r.cidr for r in entry.registered], [r.cidr for r in entry.revoked]

    order = {"kind": "legal_order", "account_id": "acme", "cidr": ACME, "reason": "court"}
    world.operator.write("POST", herald("revocations"), order)
    assert registered() == ([ACME], [ACME]), "announced already: it stays, and shows"
    world.acme.edit_bgp_prefix("acme", world.ids["prefix"], world.ids["bgp"], {"asn_prepend_count": 1})
    world.admit()
    good = world.snapshot()
    withdraw_unbind_delete(world)
    assert registered() == ([ACME], [ACME])
    with world.api.store.write() as session:
        session.execute(update(DeletionRow).values(grace_ends_at=datetime(2026, 1, 1, tzinfo=UTC)))
    purge = {"ids": [world.ids["prefix"]], "expected_count": 1}
    world.operator.write("POST", herald("prefix_purges"), purge)
    assert registered() == ([], [])
    world.roll_back(good)
    assert registered() == ([ACME], []), "the snapshot announced it, whatever had been revoked by then"
    world.operator.write("POST", herald("revocations"), order)
    assert registered() == ([ACME], [ACME])


def test_what_another_account_has_now_does_not_come_back(world: World) -> None:
    good = world.snapshot()
    withdraw_unbind_delete(world)
    with world.api.store.write() as session:  # purged, and onboarded by another account
        for row in session.scalars(select(PrefixRow)):
            row.deletion_id = None
    world.operator.create_prefix("globex", ACME)
    [account] = world.roll_back(good)["result"]
    assert account["back"] == []
    assert {s["why"] for s in account["skipped"]} == {"it is account globex's now"}


def test_an_account_next_door_is_neither_pinned_nor_delayed(world: World) -> None:
    """Its change-set is compiled in its turn, whatever of the other account waits."""
    operator = world.operator
    prefix = operator.create_prefix("globex", "198.51.100.0/24")
    operator.approve_prefix("globex", prefix["id"])
    operator.bind("globex", prefix["id"], "198.51.100.0/24", "cdn")
    world.admit()
    good = world.snapshot()
    world.acme.advertise(ACME, advertised=False)
    world.admit()
    world.roll_back(good, ["acme"])
    toggled = operator.advertise(Prefix("198.51.100.0/24"), advertised=True)
    world.admit()
    assert toggled is not None and world.state(toggled) == "rolling"
    assert [p["account_id"] for p in world.pins()] == ["acme"]


def test_only_the_accounts_that_are_named_are_rolled_back(world: World) -> None:
    good = world.snapshot()
    world.acme.advertise(ACME, advertised=False)
    world.admit()
    assert world.roll_back(good, ["globex"])["result"] == []
    assert not world.chunk().bgp_prefixes[0].advertised
    with pytest.raises(ApiError, match="there is no account acne"):
        world.roll_back(good, ["acme", "acne"])
    with pytest.raises(ApiError, match="2 accounts were expected, and 1 differ"):
        world.roll_back(good, None, expected_accounts=2)
    assert world.pins() == []


def test_a_plan_that_was_overtaken_is_refused(world: World) -> None:
    good = world.snapshot()
    world.acme.advertise(ACME, advertised=False)
    world.admit()
    seen = world.snapshot()
    world.operator.create_prefix("globex", "198.51.100.0/24")
    world.acme.bind("acme", world.ids["prefix"], "192.0.2.1/32", "cdn")
    world.admit()
    with pytest.raises(ApiError, match=r"accounts_moved.*acme"):
        world.roll_back(good, ["acme"], based_on=seen)
    world.roll_back(good, ["acme"], based_on=world.snapshot())


def test_a_dry_run_says_the_plan_and_does_nothing(world: World) -> None:
    good = world.snapshot()
    withdraw_unbind_delete(world)
    counts = world.api.counts()
    with world.api.http() as http:
        answer = http.post(
            "/herald/v1/rollbacks",
            params={"dry_run": "true"},
            json={"snapshot": good, "accounts": None, "reason": "look"},
        )
    assert answer.status_code == 200
    plan = answer.json()["plan"]
    assert (plan["accounts"], plan["subtractive"]) == (1, 0)
    assert {e["verb"] for p in plan["change_sets"] for e in p["effects"]} == {"announce", "bind"}
    assert world.api.counts() == counts


def test_a_repeated_call_with_the_same_key_is_done_once(world: World) -> None:
    good = world.snapshot()
    world.acme.advertise(ACME, advertised=False)
    world.admit()
    body = {"snapshot": good, "accounts": None, "reason": "again"}
    with world.api.http() as http:
        answers = [
            http.post("/herald/v1/rollbacks", json=body, headers={"Idempotency-Key": "k1"}).json()
            for _ in range(2)
        ]
        assert answers[0] == answers[1]
        listed = http.get("/herald/v1/rollbacks").json()["result"]
    assert [r["id"] for r in listed] == [answers[0]["id"]]
    # Carried out, there is nothing left to go back to.
    world.admit()
    assert world.roll_back(good)["result"] == []


def test_what_waits_is_held_and_can_be_kept(world: World) -> None:
    """Queued, and not compiled yet: it must not slip in after the rollback."""
    good = world.snapshot()
    world.acme.advertise(ACME, advertised=False)
    world.admit()
    _, waiting = world.acme.bind("acme", world.ids["prefix"], "192.0.2.9/32", "cdn")
    assert waiting is not None
    world.roll_back(good)
    assert world.state(waiting) == "held"
    world.admit()
    assert len(world.chunk().bindings) == 1
    [pin] = world.pins()
    by_id = {c["change_set_id"]: c for c in pin["change_sets"]}
    assert by_id[waiting]["state"] == "held"
    world.decide("acme", {c: "keep" if c == waiting else "drop" for c in by_id})
    world.admit()
    assert len(world.chunk().bindings) == 2
    with world.api.store.read() as session:
        assert len(session.scalars(select(BindingRow).where(BindingRow.deleted_at.is_(None))).all()) == 2


def test_decisions_are_for_operators_and_name_what_there_is(world: World) -> None:
    good = world.snapshot()
    withdrawal = world.acme.advertise(ACME, advertised=False)
    world.admit()
    world.roll_back(good)
    assert withdrawal is not None
    path = herald("accounts", "acme", "pin", "decisions")
    with pytest.raises(ApiError, match="operators only"):
        world.acme.write("POST", path, {"decisions": {withdrawal: "drop"}})
    with pytest.raises(ApiError, match="account_not_pinned"):
        world.decide("acme", {"nothing": "drop"})
    with pytest.raises(ApiError, match="account_not_pinned"):
        world.decide("globex", {withdrawal: "drop"})
    assert [p["account_id"] for p in world.acme.all(herald("pins"))] == ["acme"]
    with world.api.store.read() as session:
        assert session.scalars(select(PinRow.account_id)).all() == ["acme"]


def test_what_was_undone_is_shown_with_why_until_it_is_decided(world: World) -> None:
    good = world.snapshot()
    withdrawal = world.acme.advertise(ACME, advertised=False)
    world.admit()
    world.roll_back(good)
    world.admit()
    with world.api.store.write() as session:  # in effect at every site
        for row in session.scalars(select(ChangeSetRow)):
            row.state = "done"
    shown = StoreView(world.api.store, list, None).operational("acme", world.ids["bgp"])
    assert shown.state == "announced" and "herald pins decide" in shown.reason
    assert withdrawal is not None
    world.decide("acme", {withdrawal: "drop"})
    assert StoreView(world.api.store, list, None).operational("acme", world.ids["bgp"]).reason == ""


def test_a_second_rollback_takes_over_what_the_first_left_open(world: World) -> None:
    first = world.snapshot()
    withdrawal = world.acme.advertise(ACME, advertised=False)
    world.admit()
    second = world.snapshot()
    world.roll_back(first)
    world.admit()
    world.roll_back(second)  # back to where it was withdrawn: all of it is subtractive
    [pin] = world.pins()
    assert [c["change_set_id"] for c in pin["change_sets"]] == [withdrawal]
