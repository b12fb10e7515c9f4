"""Transfers between accounts, the ledger of revocations, and migrations away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from controller.addressing.life_policy import LifePolicy
from controller.addressing.life_tables import MigrationRow, TransferRow
from controller.snapshots.model import encode_chunk
from tests.addressing_api import running_api
from tests.removal import BASE, admit, cast, change_set, intents, refused

CIDR = "198.18.0.0/22"
MIGRATIONS = "/herald/v1/accounts/acme/migrations"


@pytest.fixture
def api(tmp_path: Path):
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
def play(api):
    with cast(api, CIDR) as made:
        yield made


def offer(play, to: str = "globex"):
    return play.owner.post(f"{play.path}/transfers", json={"to_account_id": to, "reason": "sold"})


def decide(client, account: str, id_: str, what: str = "accept"):
    return client.post(f"/herald/v1/accounts/{account}/transfers/{id_}/{what}")


# -- transfers ---------------------------------------------------------------------------------------------
def test_an_accepted_prefix_moves_with_all_that_stands_on_it(api, play) -> None:
    owner = play.owner
    owner.post(f"{BASE}/{play.prefix}/bindings", json={"cidr": "198.18.1.0/24", "service_id": "cdn"})
    owner.patch(play.bgp, json={"asn_prepend_count": 2})
    delegation = owner.post(
        f"{BASE}/{play.prefix}/delegations",
        json={"cidr": "198.18.2.0/24", "delegated_account_id": "globex"},
    ).json()["result"]
    play.globex.post(
        f"/client/v4/accounts/globex/addressing/prefixes/{play.prefix}/bindings",
        json={"cidr": "198.18.2.0/24", "service_id": "cdn"},
    ).raise_for_status()
    before = admit(api)
    token = owner.get(f"{BASE}/{play.prefix}").json()["result"]["ownership_validation_token"]
    made = offer(play)
    assert made.json()["state"] == "offered", made.text
    assert admit(api) == before  # nothing has moved
    for account in ("acme", "globex"):
        client = play.owner if account == "acme" else play.globex
        listed = client.get(f"/herald/v1/accounts/{account}/transfers").json()["result"]
        assert listed == [made.json()]
    accepted = decide(play.globex, "globex", made.json()["id"])
    assert accepted.json()["state"] == "accepted", accepted.text
    giver, taker = accepted.headers["Herald-Change-Set"].split(", ")
    accepted.headers["Herald-Change-Set"] = giver
    (intent,) = intents(api, accepted)
    assert (intent.account_id, intent.kind, intent.authority) == ("acme", "unbind", "owner")
    assert all(c.remove is not None for c in change_set(api, accepted).changes)
    accepted.headers["Herald-Change-Set"] = taker
    assert intents(api, accepted) == []
    assert admit(api).prefixes == () and admit(api).bindings == () and admit(api).bgp_prefixes == ()
    moved = admit(api, "globex")
    assert (moved.prefixes, moved.bgp_prefixes, moved.bindings) == (
        before.prefixes, before.bgp_prefixes, before.bindings,
    )  # fmt: skip
    refused(owner.get(f"{BASE}/{play.prefix}"), 404, "not_found")
    theirs = "/client/v4/accounts/globex/addressing/prefixes"
    shown = play.globex.get(f"{theirs}/{play.prefix}").json()["result"]
    assert shown["approved"] == "V" and shown["ownership_validation_token"] != token
    assert play.globex.get(f"{theirs}/{play.prefix}/delegations").json()["result"] == []
    assert len(play.globex.get(f"{theirs}/{play.prefix}/bindings").json()["result"]) == 3
    assert delegation["id"] not in play.globex.get("/herald/v1/accounts/globex/delegated_prefixes").text
    (entry,) = play.operator.get("/herald/v1/revocations").json()["result"]
    assert (entry["kind"], entry["account_id"], entry["cidr"]) == ("transfer", "acme", CIDR)
    refused(decide(play.globex, "globex", made.json()["id"]), 409, "not_in_that_state")
    path = f"{theirs}/{play.prefix}/bgp/prefixes/{play.ids['bgp']}"
    assert play.globex.patch(path, json={"on_demand": {"advertised": True}}).status_code == 200


def test_who_offers_and_who_accepts(api, play) -> None:
    body = {"to_account_id": "globex", "reason": "r"}
    refused(play.operator.post(f"{play.path}/transfers", json=body), 403, "not_allowed")
    refused(offer(play, "acme"), 409, "unknown_prefix", "/to_account_id")
    refused(offer(play, "nobody"), 409, "unknown_prefix", "/to_account_id")
    id_ = offer(play).json()["id"]
    refused(offer(play), 409, "not_in_that_state")
    refused(decide(play.operator, "globex", id_), 403, "not_allowed")
    refused(decide(play.owner, "acme", id_), 404, "not_found")
    refused(decide(play.owner, "globex", id_), 403, "not_allowed")
    assert decide(play.globex, "globex", id_, "cancel").json()["state"] == "cancelled"
    refused(decide(play.globex, "globex", id_), 409, "not_in_that_state")
    again = offer(play).json()["id"]
    assert decide(play.operator, "acme", again, "cancel").json()["state"] == "cancelled"


def test_what_is_on_the_air_or_to_be_removed_is_not_given_away(api, play) -> None:
    play.advertise()
    refused(offer(play), 409, "still_advertised")
    play.advertise(False)
    play.ask_deletion()
    refused(offer(play), 409, "not_in_that_state")
    play.owner.delete(f"{play.path}/deletion")
    id_ = offer(play).json()["id"]
    play.advertise()
    before = api.counts()
    refused(decide(play.globex, "globex", id_), 409, "still_advertised")
    assert api.counts() == before
    play.advertise(False)
    play.owner.post(f"{BASE}/{play.prefix}/bindings", json={"cidr": "198.18.3.0/24", "service_id": "cdn"})
    answer = decide(play.globex, "globex", id_)
    refused(answer, 409, "not_in_that_state")
    assert "198.18.3.0/24" in answer.text
    play.ask_deletion()
    play.delete(play.prefix)
    refused(decide(play.globex, "globex", id_), 409, "not_in_that_state")


def test_the_givers_wish_to_have_it_removed_does_not_reach_the_taker(api, play) -> None:
    id_ = offer(play).json()["id"]
    play.ask_deletion()
    assert decide(play.globex, "globex", id_).status_code == 200
    refused(play.delete(play.prefix), 409, "not_pending_delete", "/ids/0")
    assert play.operator.get("/herald/v1/prefixes?pending_delete=true").json()["total"] == 0


def test_an_offer_lapses(api, play) -> None:
    id_ = offer(play).json()["id"]
    with api.store.write() as session:
        session.get_one(TransferRow, id_).expires_at = datetime.now(UTC)
    refused(decide(play.globex, "globex", id_), 409, "not_in_that_state")
    assert play.owner.get("/herald/v1/accounts/acme/transfers").json()["result"][0]["state"] == "lapsed"
    assert offer(play).status_code == 200


# -- delegations -------------------------------------------------------------------------------------------
def delegate(play) -> str:
    made = play.owner.post(
        f"{BASE}/{play.prefix}/delegations",
        json={"cidr": "198.18.1.0/24", "delegated_account_id": "globex"},
    )
    return made.json()["result"]["id"]


def test_a_delegated_accounts_unbinding_says_who_asked(api, play) -> None:
    delegate(play)
    bindings = f"/client/v4/accounts/globex/addressing/prefixes/{play.prefix}/bindings"
    made = play.globex.post(bindings, json={"cidr": "198.18.1.0/24", "service_id": "cdn"}).json()["result"]
    (intent,) = intents(api, play.globex.delete(f"{bindings}/{made['id']}"))
    assert (intent.account_id, intent.authority, intent.kind) == ("acme", "delegate", "unbind")
    assert intent.prefixes == ("198.18.1.0/24",)


def test_a_deletion_takes_delegations_and_an_undelete_gives_them_back(api, play) -> None:
    delegation = delegate(play)
    bindings = f"/client/v4/accounts/globex/addressing/prefixes/{play.prefix}/bindings"
    play.globex.post(bindings, json={"cidr": "198.18.1.0/24", "service_id": "cdn"})
    before = admit(api)
    delegated = play.globex.get("/herald/v1/accounts/globex/delegated_prefixes").json()
    play.ask_deletion()
    assert play.delete(play.prefix).status_code == 200
    assert play.globex.get("/herald/v1/accounts/globex/delegated_prefixes").json() == {"result": []}
    assert play.owner.post(f"{play.path}/undelete").status_code == 200
    assert encode_chunk(admit(api)) == encode_chunk(before)
    assert play.globex.get("/herald/v1/accounts/globex/delegated_prefixes").json() == delegated
    assert delegated["result"][0]["delegation_id"] == delegation
    refused(
        play.globex.get(f"/herald/v1/accounts/globex/prefixes/{play.prefix}/deletion"), 403, "not_the_owner"
    )


# -- revocations -------------------------------------------------------------------------------------------
def test_the_ledger_only_grows(api, play) -> None:
    order = {"kind": "legal_order", "account_id": "acme", "cidr": CIDR, "reason": "court"}
    first, second = (play.operator.post("/herald/v1/revocations", json=order).json() for _ in range(2))
    assert second["seq"] > first["seq"] and first["actor"].startswith("operator:")
    for statement in ("DELETE FROM revocations", "UPDATE revocations SET reason = 'x'"):
        with pytest.raises(IntegrityError, match="append-only"), api.store.write() as session:
            session.execute(text(statement))
    page = play.operator.get("/herald/v1/revocations?limit=1").json()
    assert page == {"result": [first], "next": first["seq"]}
    rest = play.operator.get(f"/herald/v1/revocations?after={page['next']}").json()
    assert rest == {"result": [second], "next": None}
    assert play.owner.get("/herald/v1/revocations").json()["result"] == [first, second]
    assert play.globex.get("/herald/v1/revocations").json()["result"] == []
    refused(play.owner.post("/herald/v1/revocations", json=order), 403, "not_allowed")
    bad = play.operator.post("/herald/v1/revocations", json=order | {"kind": "transfer"})
    refused(bad, 400, "malformed_body", "/kind")


# -- migrations --------------------------------------------------------------------------------------------
def moment(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def plan(play, *cidrs: str, **changed: object):
    body = {
        "cidrs": list(cidrs), "expected_count": len(cidrs), "reason": "moving",
        "not_before": moment(-1), "not_after": moment(24),
    }  # fmt: skip
    return play.owner.post(MIGRATIONS, json=body | changed)


def parts(play, count: int = 3) -> list[str]:
    """Advertise parts of the prefix."""
    cidrs = [f"198.18.{i}.0/24" for i in range(count)]
    for cidr in cidrs:
        body = {"cidr": cidr, "advertised": True, "sites": None}
        assert play.owner.put(f"{play.path}/advertisement", json=body).status_code == 200
    return cidrs


def confirm(play, made: dict, code: str | None = None):
    return play.owner.post(
        f"{MIGRATIONS}/{made['id']}/confirm", json={"confirmation": code or made["confirmation"]}
    )


def withdraw(play, made: dict, *cidrs: str):
    return play.owner.post(f"{MIGRATIONS}/{made['id']}/withdraw", json={"cidrs": list(cidrs)})


def test_a_migration_withdraws_its_list_under_one_intent(api, play) -> None:
    cidrs = parts(play)
    made = plan(play, *cidrs).json()
    assert (made["state"], made["withdrawn"]) == ("planned", [])
    refused(withdraw(play, made, cidrs[0]), 409, "not_in_that_state")
    refused(confirm(play, made, "0" * 12), 409, "confirmation_differs", "/confirmation")
    assert confirm(play, made).json()["state"] == "confirmed"
    refused(confirm(play, made), 409, "not_in_that_state")
    before = api.counts()
    refused(withdraw(play, made, CIDR), 409, "unknown_prefix", "/cidrs/0")
    refused(withdraw(play, made, cidrs[0], cidrs[0]), 409, "named_twice", "/cidrs/1")
    assert api.counts() == before
    first = withdraw(play, made, cidrs[1])
    assert first.json()["state"] == "withdrawing" and first.json()["withdrawn"] == [cidrs[1]]
    (intent,) = intents(api, first)
    assert (intent.kind, list(intent.prefixes)) == ("withdraw", cidrs)
    assert change_set(api, first).lane == "migration", "each step waits until it is seen elsewhere"
    last = withdraw(play, made, cidrs[0], cidrs[2])
    assert last.json()["state"] == "done" and last.json()["withdrawn"] == cidrs
    assert intents(api, last) == [intent]
    assert play.owner.get(f"{MIGRATIONS}/{made['id']}").json() == last.json()
    assert play.owner.get(MIGRATIONS).json()["result"] == [last.json()]
    chunk = admit(api)
    assert not any(b.advertised for b in chunk.bgp_prefixes) and len(chunk.bindings) == 1
    refused(play.owner.post(f"{MIGRATIONS}/{made['id']}/cancel"), 409, "not_in_that_state")


@pytest.mark.parametrize(
    ("changed", "label", "pointer"),
    [
        ({"expected_count": 2}, "count_disagrees", "/expected_count"),
        ({"cidrs": ["198.18.0.0/24", "198.18.0.0/24"], "expected_count": 2}, "named_twice", "/cidrs/1"),
        ({"cidrs": ["198.19.0.0/24"]}, "unknown_prefix", "/cidrs/0"),
        ({"cidrs": ["198.18.0.1/24"]}, "invalid_prefix", "/cidrs/0"),
        ({"cidrs": []}, "malformed_body", "/cidrs"),
        ({"not_after": "2020-01-01T00:00:00Z"}, "outside_window", "/not_after"),
        ({"not_after": "9999-12-31T23:59:59-23:59"}, "malformed_body", "/not_after"),
        ({"not_after": "2999-01-01T00:00:00Z"}, "outside_window", "/not_after"),
        ({"not_before": "2026-01-01 00:00:00Z"}, "malformed_body", "/not_before"),
        ({"not_before": "2026-01-01T00:00:00"}, "malformed_body", "/not_before"),
        ({"not_before": "2026-13-01T00:00:00Z"}, "malformed_body", "/not_before"),
    ],
)
def test_plans_are_strict(shared, changed: dict, label: str, pointer: str) -> None:
    before = shared.api.counts()
    answer = plan(shared, "198.18.0.0/24", **changed)
    refused(answer, answer.status_code, label, pointer)
    assert 400 <= answer.status_code < 500 and shared.api.counts() == before


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("shared")) as running, cast(running, CIDR) as made:
        parts(made, 1)
        yield made


def test_outside_its_window_nothing_is_withdrawn(api, play) -> None:
    (cidr, _) = parts(play, 2)
    early = plan(play, cidr, not_before=moment(1)).json()
    confirm(play, early)
    refused(withdraw(play, early, cidr), 409, "outside_window")
    late = plan(play, cidr).json()
    confirm(play, late)
    with api.store.write() as session:
        session.get_one(MigrationRow, late["id"]).not_after = datetime.now(UTC)
    refused(withdraw(play, late, cidr), 409, "not_in_that_state")
    assert play.owner.get(f"{MIGRATIONS}/{late['id']}").json()["state"] == "lapsed"


def test_cancelling_stops_the_rest(api, play) -> None:
    cidrs = parts(play)
    made = plan(play, *cidrs).json()
    confirm(play, made)
    withdraw(play, made, cidrs[0])
    cancelled = play.operator.post(f"{MIGRATIONS}/{made['id']}/cancel").json()
    assert (cancelled["state"], cancelled["withdrawn"]) == ("cancelled", [cidrs[0]])
    refused(withdraw(play, made, cidrs[1]), 409, "not_in_that_state")


def test_only_the_owner_moves_away(api, play) -> None:
    cidrs = parts(play, 1)
    made = plan(play, *cidrs).json()
    body = {
        "cidrs": cidrs, "expected_count": 1, "reason": "r", "not_before": moment(0), "not_after": moment(1)
    }  # fmt: skip
    refused(play.operator.post(MIGRATIONS, json=body), 403, "not_allowed")
    code = {"confirmation": made["confirmation"]}
    refused(play.operator.post(f"{MIGRATIONS}/{made['id']}/confirm", json=code), 403, "not_allowed")
    refused(
        play.operator.post(f"{MIGRATIONS}/{made['id']}/withdraw", json={"cidrs": cidrs}), 403, "not_allowed"
    )
    refused(play.globex.get(f"/herald/v1/accounts/globex/migrations/{made['id']}"), 404, "not_found")


def test_a_lock_holds_a_migration_too(tmp_path: Path) -> None:
    with running_api(tmp_path, life=LifePolicy()) as api, cast(api, CIDR) as play:
        cidrs = parts(play, 1)
        made = plan(play, *cidrs).json()
        confirm(play, made)
        play.owner.put(f"{play.path}/withdrawal_lock", json={"public_key": None})
        refused(withdraw(play, made, *cidrs), 423, "withdrawal_locked")
