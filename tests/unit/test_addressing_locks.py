"""Withdrawal locks: nothing is taken from a locked prefix by any route, and only its key or code opens it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.addressing.life_policy import LifePolicy
from controller.addressing.life_tables import WithdrawalLockRow
from tests.addressing_api import running_api
from tests.removal import BASE, cast, refused

CIDR = "192.0.2.0/24"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()


@pytest.fixture
def api(tmp_path: Path):
    with running_api(tmp_path, life=LifePolicy(unlock_tries=2)) as running:
        yield running


@pytest.fixture
def play(api):
    with cast(api) as made:
        yield made


def lock(play, public_key: str | None = None) -> dict:
    answer = play.owner.put(f"{play.path}/withdrawal_lock", json={"public_key": public_key})
    assert answer.status_code == 200, answer.text
    return answer.json()


def unlock(client, play, text: str):
    return client.delete(f"{play.path}/withdrawal_lock", headers={"Herald-Unlock": text})


def signed(challenge: str, key: Ed25519PrivateKey = KEY) -> str:
    return base64.b64encode(key.sign(challenge.encode())).decode()


@pytest.mark.parametrize("who", ["owner", "operator"])
def test_nothing_is_taken_from_a_locked_prefix_whoever_asks(api, play, who: str) -> None:
    play.advertise()
    id_ = play.two_operators("withdraw", CIDR)
    made = lock(play)
    client = getattr(play, who)
    before = api.counts()
    put = f"/herald/v1/accounts/acme/bgp_prefixes/{play.ids['bgp']}/advertisement"
    part = f"{play.path}/advertisement"
    takes = [
        client.patch(play.bgp, json={"on_demand": {"advertised": False}}),
        client.patch(play.bgp, json={"asn_prepend_count": 1}),
        client.patch(f"{BASE}/{play.prefix}/bgp/status", json={"advertised": False}),
        client.put(put, json={"advertised": True, "sites": ["site1"]}),
        client.put(put, json={"advertised": False, "sites": None}),
        client.put(part, json={"cidr": CIDR, "advertised": False, "sites": None}),
        client.patch(f"{play.bgp}?dry_run=true", json={"on_demand": {"advertised": False}}),
        play.operator.patch(
            play.bgp, json={"on_demand": {"advertised": False}}, headers={"Herald-Intent": id_}
        ),
    ]
    for answer in takes:
        refused(answer, 423, "withdrawal_locked")
        assert made["id"] in answer.text
    assert api.counts() == before


def test_nor_is_what_is_withdrawn_already(api, play) -> None:
    play.advertise()
    play.advertise(False)
    made = lock(play)
    before = api.counts()
    plan = {
        "cidrs": [CIDR], "expected_count": 1, "reason": "r",
        "not_before": "2020-01-01T00:00:00Z", "not_after": "2020-01-02T00:00:00Z",
    }  # fmt: skip
    refused(play.owner.post("/herald/v1/accounts/acme/migrations", json=plan), 409, "outside_window")
    takes = [
        play.owner.delete(f"{BASE}/{play.prefix}/bindings/{play.ids['binding']}"),
        play.owner.delete(play.bgp),
        play.ask_deletion(),
        play.owner.post(f"{play.path}/transfers", json={"to_account_id": "globex", "reason": "sold"}),
        play.owner.put(f"{play.path}/withdrawal_lock", json={"public_key": PUBLIC}),
    ]
    for answer in takes:
        refused(answer, 423, "withdrawal_locked")
        assert made["id"] in answer.text
    assert api.counts() == before


def test_what_adds_goes_on(api, play) -> None:
    lock(play)
    assert play.advertise().status_code == 200
    body = {"cidr": "192.0.2.0/25", "service_id": "cdn"}
    assert play.owner.post(f"{BASE}/{play.prefix}/bindings", json=body).status_code == 200
    assert play.owner.patch(f"{BASE}/{play.prefix}", json={"description": "x"}).status_code == 200
    other = play.another("198.18.0.0/24")
    assert play.ask_deletion(other).status_code == 200


def test_a_lock_does_not_keep_what_was_asked_for_before_it(api, play) -> None:
    play.ask_deletion()
    lock(play)
    refused(play.delete(play.prefix), 423, "withdrawal_locked", "/ids/0")
    id_ = play.two_operators("delete", CIDR)
    refused(play.delete(play.prefix, **{"Herald-Intent": id_}), 423, "withdrawal_locked", "/ids/0")
    offered = play.another("198.18.0.0/24")
    path = f"/herald/v1/accounts/acme/prefixes/{offered}"
    offer = play.owner.post(f"{path}/transfers", json={"to_account_id": "globex", "reason": "sold"}).json()
    play.owner.put(f"{path}/withdrawal_lock", json={"public_key": None})
    answer = play.globex.post(f"/herald/v1/accounts/globex/transfers/{offer['id']}/accept")
    refused(answer, 423, "withdrawal_locked")


# -- who locks, and what opens -----------------------------------------------------------------------------
def test_only_the_owner_locks(play) -> None:
    body = {"public_key": None}
    refused(play.operator.put(f"{play.path}/withdrawal_lock", json=body), 403, "not_allowed")
    refused(play.globex.put(f"{play.path}/withdrawal_lock", json=body), 403, "not_allowed")
    refused(play.owner.get(f"{play.path}/withdrawal_lock"), 404, "not_found")
    refused(unlock(play.owner, play, "x"), 404, "not_found")


def test_a_code_opens_once_is_shown_once_and_is_kept_hashed(api, play) -> None:
    made = lock(play)
    assert made["opens_with"] == "code" and made["challenge"] is None
    shown = play.owner.get(f"{play.path}/withdrawal_lock").json()
    assert {**shown, "code": made["code"]} == made and "code" not in shown
    with api.store.read() as session:
        row = session.get_one(WithdrawalLockRow, play.prefix)
    assert made["code"] not in (row.code_hash, row.nonce)
    key = {"Idempotency-Key": "k"}
    put = play.owner.put(f"{play.path}/withdrawal_lock", json={"public_key": None}, headers=key)
    refused(put, 400, "malformed_header")
    assert unlock(play.operator, play, made["code"]).json() == {"id": made["id"], "prefix_id": play.prefix}
    play.advertise()
    assert play.advertise(False).status_code == 200
    again = lock(play)
    refused(unlock(play.owner, play, made["code"]), 403, "unlock_refused", "/header/Herald-Unlock")
    assert unlock(play.owner, play, again["code"]).status_code == 200


@pytest.mark.parametrize("dry", ["", "?dry_run=true"])
def test_only_some_wrong_codes_are_heard_dry_runs_among_them(api, play, dry: str) -> None:
    made = lock(play)
    path = f"{play.path}/withdrawal_lock{dry}"
    for _ in range(2):
        answer = play.operator.delete(path, headers={"Herald-Unlock": "guess"})
        refused(answer, 403, "unlock_refused")
    refused(play.operator.delete(path, headers={"Herald-Unlock": made["code"]}), 423, "unlock_paused")
    refused(unlock(play.owner, play, made["code"]), 423, "unlock_paused")
    audit = play.operator.get("/herald/v1/audit").text
    assert audit.count('"action":"wrong-unlock"') == 2
    with api.store.write() as session:  # an hour later
        row = session.get_one(WithdrawalLockRow, play.prefix)
        row.tries_since = row.created_at.replace(year=row.created_at.year - 1)
    assert unlock(play.owner, play, made["code"]).status_code == 200


def test_a_dry_run_leaves_the_lock(play) -> None:
    made = lock(play)
    path = f"{play.path}/withdrawal_lock?dry_run=true"
    assert play.owner.delete(path, headers={"Herald-Unlock": made["code"]}).status_code == 200
    assert play.owner.get(f"{play.path}/withdrawal_lock").json()["id"] == made["id"]


def test_a_key_opens_by_its_signature_over_this_locks_challenge(api, play) -> None:
    made = lock(play, PUBLIC)
    assert (made["opens_with"], made["code"], made["public_key"]) == ("key", None, PUBLIC)
    other = play.another("198.18.0.0/24")
    theirs = play.owner.put(
        f"/herald/v1/accounts/acme/prefixes/{other}/withdrawal_lock", json={"public_key": PUBLIC}
    ).json()
    stranger = Ed25519PrivateKey.generate()
    wrong = [
        "x", PUBLIC, signed(theirs["challenge"]), signed(made["challenge"] + "x"),
        signed(made["challenge"], stranger),
    ]  # fmt: skip
    for text in wrong:
        refused(unlock(play.operator, play, text), 403, "unlock_refused")
    assert unlock(play.owner, play, signed(made["challenge"])).status_code == 200
    again = lock(play, PUBLIC)
    refused(unlock(play.owner, play, signed(made["challenge"])), 403, "unlock_refused")  # an old signature
    assert unlock(play.owner, play, signed(again["challenge"])).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 44, "A" * 43, 5, "A" * 44])
def test_what_is_no_key_is_refused(play, key) -> None:
    answer = play.owner.put(f"{play.path}/withdrawal_lock", json={"public_key": key})
    refused(answer, 400, "malformed_body", "/public_key")


def test_unlocking_needs_the_header(play) -> None:
    lock(play)
    answer = play.owner.delete(f"{play.path}/withdrawal_lock")
    assert answer.status_code == 400 and "Herald-Unlock" in answer.text
