"""Writes: who may, what is refused by which rule, and that a write is whole or not at all."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from controller.addressing.policy import AddressPolicy
from controller.addressing.tables import EventRow, TokenRow
from controller.cli.errors import ApiError
from controller.snapshots.model import ChangeSet
from controller.snapshots.tables import ChangeSetRow
from tests.addressing_api import Api, furnished, running_api

BASE = "/client/v4/accounts/acme/addressing/prefixes"


@pytest.fixture
def api(tmp_path: Path):
    with running_api(tmp_path) as running:
        yield running


def change_set(api: Api, id_: str) -> ChangeSet:
    with api.store.read() as session:
        row = session.scalars(select(ChangeSetRow).where(ChangeSetRow.id == id_)).one()
    return msgspec.json.decode(row.body, type=ChangeSet)


def refused(answer, status: int, label: str, pointer: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["errors"][0]
    assert error["message"].startswith(label + ": "), error
    assert pointer is None or error["source"]["pointer"] == pointer


# -- rules -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "cidr",
    [
        "198.18.0.1/24", "198.18.0.0", "nonsense/24", "198.18.0.0/25", "2001:db8::/49", "0.0.0.0/0", "::/0",
        "0.0.0.0/1", "2001:DB8::/32", "2001:db8:0::/48", "127.0.0.0/8", "224.0.0.0/24", "fe80::/48",
        "198.18.0.0/024", " 198.18.0.0/24", "198.18.0.0/255.255.255.0", "192.0.2.0/24",
    ],
)  # fmt: skip
def test_prefixes_that_cannot_be_onboarded(shared: Api, cidr: str) -> None:
    before = shared.counts()
    with shared.http() as http:
        answer = http.post(BASE, json={"cidr": cidr, "asn": None})
    onboarded = cidr == "192.0.2.0/24"
    refused(answer, 409 if onboarded else 400, "already_exists" if onboarded else "invalid_prefix", "/cidr")
    assert shared.counts() == before


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("shared")) as running:
        furnished(running)
        yield running


@pytest.mark.parametrize("asn", [0, -1, 23456, 65535, 2**32 - 1, 2**32, 10**30])
def test_as_numbers_that_cannot_be_an_origin(shared: Api, asn: int) -> None:
    with shared.http() as http:
        refused(http.post(BASE, json={"cidr": "198.18.9.0/24", "asn": asn}), 400, "invalid_asn", "/asn")


def test_special_space_is_refused_where_the_policy_says_so(tmp_path: Path) -> None:
    with running_api(tmp_path, policy=AddressPolicy(allow_special=False)) as api, api.http() as http:
        api.client().create_account("Acme", id="acme")
        for cidr in ("192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "fd00::/48"):
            refused(http.post(BASE, json={"cidr": cidr, "asn": None}), 400, "invalid_prefix", "/cidr")
        assert http.post(BASE, json={"cidr": "8.8.8.0/24", "asn": None}).status_code == 200


@pytest.mark.parametrize("cidr", ["192.0.2.0/24", "192.0.0.0/16", "192.0.0.0/22"])
def test_another_accounts_addresses_cannot_be_onboarded(shared: Api, cidr: str) -> None:
    shared.client().create_account("Globex", id="globex")
    with pytest.raises(ApiError, match="prefix_overlaps") as refusal:
        shared.client().create_prefix("globex", cidr)
    assert "acme" not in str(refusal.value)  # whose it is, is not told


def test_parts_must_lie_in_their_prefix(shared: Api) -> None:
    ids = {p["cidr"]: p["id"] for p in shared.client().prefixes("acme")}
    path = f"{BASE}/{ids['192.0.2.0/24']}"
    with shared.http() as http:
        answer = http.post(f"{path}/bgp/prefixes", json={"cidr": "198.18.0.0/24"})
        refused(answer, 400, "not_within_prefix", "/cidr")
        answer = http.post(f"{path}/bindings", json={"cidr": "198.18.0.0/24", "service_id": "cdn"})
        refused(answer, 400, "not_within_prefix", "/cidr")
        answer = http.post(f"{path}/bindings", json={"cidr": "192.0.2.0/25", "service_id": "nothing"})
        refused(answer, 400, "malformed_body", "/service_id")
        assert "cdn" in answer.text
        answer = http.post(f"{path}/bgp/prefixes", json={"cidr": "192.0.2.0/24"})
        refused(answer, 409, "already_exists", "/cidr")


def test_magic_transit_only_as_the_default_binding(api: Api) -> None:
    ids = furnished(api)
    api.client().create_service("magic-transit", "Magic Transit")
    with pytest.raises(ApiError, match="service_is_default_binding_only"):
        api.client().bind("acme", ids["prefix"], "192.0.2.0/25", "magic-transit")


def test_a_default_binding_goes_last_and_can_come_back(api: Api) -> None:
    ids, client = furnished(api), api.client()
    part, _ = client.bind("acme", ids["prefix"], "192.0.2.0/25", "cdn")
    with pytest.raises(ApiError, match="binding_in_use"):
        client.unbind("acme", ids["prefix"], ids["binding"])
    client.unbind("acme", ids["prefix"], part["id"])
    client.unbind("acme", ids["prefix"], ids["binding"])
    client.bind("acme", ids["prefix"], ids["cidr"], "cdn")
    assert [b["id"] for b in client.bgp_prefixes("acme", ids["prefix"])] == [ids["bgp"]]  # not made twice


def test_advertising_at_sites(api: Api) -> None:
    ids = furnished(api)
    path = f"/herald/v1/accounts/acme/bgp_prefixes/{ids['bgp']}/advertisement"
    with api.http() as http:
        for sites, pointer in ((["site9"], "/sites/0"), ([], "/sites"), (["site1", "site1"], "/sites/1")):
            before = api.counts()
            refused(http.put(path, json={"advertised": True, "sites": sites}), 400, "unknown_site", pointer)
            assert api.counts() == before
        refused(http.put(path, json={"advertised": True}), 400, "malformed_body", "/sites")
        answer = http.put(path, json={"advertised": True, "sites": ["site2", "site1"]})
    assert answer.json()["configured"] == {"advertised": True, "sites": ["site1", "site2"], "prepends": 0}
    (change,) = change_set(api, answer.headers["Herald-Change-Set"]).changes
    assert change.bgp_prefix.advertised and change.bgp_prefix.sites == ("site1", "site2")


def test_a_part_is_made_and_advertised_in_one_change_set_or_not_at_all(api: Api) -> None:
    ids = furnished(api, cidr="198.18.0.0/22")
    path = f"/herald/v1/accounts/acme/prefixes/{ids['prefix']}/advertisement"
    before = api.counts()
    with api.http() as http:
        bad = http.put(path, json={"cidr": "198.18.1.0/24", "advertised": True, "sites": ["site9"]})
        refused(bad, 400, "unknown_site")
        assert api.counts() == before
        good = http.put(path, json={"cidr": "198.18.1.0/24", "advertised": True, "sites": None})
    changes = change_set(api, good.headers["Herald-Change-Set"]).changes
    assert [c.bgp_prefix.advertised for c in changes] == [False, True]
    owner = api.client().whose("198.18.1.0/24")
    assert (owner.bgp_prefix_id, owner.prefix_cidr) == (good.json()["id"], "198.18.0.0/22")


# -- who may -------------------------------------------------------------------------------------------------
def test_a_customer_sees_its_own_account_only(api: Api) -> None:
    ids = furnished(api)
    api.client().create_account("Globex", id="globex")
    token = api.client().create_token("customer", account_id="globex")["token"]
    with api.http(token) as http:
        assert http.get("/client/v4/accounts/globex/addressing/prefixes").json()["result"] == []
        refused(http.get(BASE), 403, "not_allowed")
        refused(http.get("/client/v4/accounts/nobody/addressing/prefixes"), 403, "not_allowed")
        own = "/client/v4/accounts/globex/addressing/prefixes"
        refused(http.get(f"{own}/{ids['prefix']}"), 404, "not_found")
        refused(http.get(f"{own}/{ids['prefix']}/bgp/prefixes/{ids['bgp']}"), 404, "not_found")
        refused(http.get("/herald/v1/bgp_prefixes?cidr=192.0.2.0/24"), 404, "not_found")
        put = f"/herald/v1/accounts/globex/bgp_prefixes/{ids['bgp']}/advertisement"
        refused(http.put(put, json={"advertised": True, "sites": None}), 404, "not_found")
        made = http.post(own, json={"cidr": "198.18.0.0/24", "asn": None}).json()["result"]["id"]
        before = api.counts()
        refused(http.post(f"{own}/{made}/approve"), 403, "not_allowed")
        refused(http.post("/herald/v1/tokens", json={"role": "operator"}), 403, "not_allowed")
        refused(http.post("/herald/v1/accounts", json={"name": "x"}), 403, "not_allowed")
        refused(http.post("/herald/v1/services", json={"id": "x", "name": "x"}), 403, "not_allowed")
        assert [a["id"] for a in http.get("/herald/v1/accounts").json()] == ["globex"]
    assert api.counts() == before


def test_an_operator_gets_404_for_an_account_that_is_not(api: Api) -> None:
    with api.http() as http:
        refused(http.get(BASE), 404, "not_found")


def test_tokens_are_hashed_shown_once_and_revoked_at_once(api: Api) -> None:
    client = api.client()
    client.create_account("Acme", id="acme")
    made = client.create_token("customer", account_id="acme", description="bot")
    with api.store.read() as session:
        row = session.get_one(TokenRow, made["id"])
    assert row.hash == hashlib.sha256(made["token"].encode()).hexdigest()
    assert all("token" not in t and "hash" not in t for t in client.tokens())
    assert api.client(made["token"]).caller().account_id == "acme"
    client.revoke_token(made["id"])
    with pytest.raises(ApiError, match="authentication_error"):
        api.client(made["token"]).caller()
    with pytest.raises(ApiError, match="revoke it with another one"):
        client.revoke_token(client.caller().id)


def test_the_operators_token_is_a_private_file_and_survives_a_new_database(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        file = tmp_path / "operator.token"
        assert file.read_text().strip() == api.token
        assert file.stat().st_mode & 0o777 == 0o600
    for path in tmp_path.iterdir():
        if path.name != "operator.token":
            path.unlink()
    with running_api(tmp_path) as again:
        assert again.token == api.token
        assert again.client().caller().role == "operator"


# -- whole or not at all -------------------------------------------------------------------------------------
def test_each_write_leaves_one_event_trail_and_one_change_set(api: Api) -> None:
    ids = furnished(api)
    with api.http() as http:
        answer = http.patch(
            f"{BASE}/{ids['prefix']}/bgp/prefixes/{ids['bgp']}",
            json={"on_demand": {"advertised": True}},
            headers={"Herald-Reason": "the other provider is down"},
        )
    id_ = answer.headers["Herald-Change-Set"]
    assert api.woken[-1] == id_ == api.change_sets()[-1]
    made = change_set(api, id_)
    assert (made.account_id, made.reason) == ("acme", "the other provider is down")
    assert made.actor == f"operator:{api.client().caller().id}"
    with api.store.read() as session:
        event = session.scalars(select(EventRow).order_by(EventRow.seq.desc())).first()
    assert (event.action, event.object_id, event.change_set_id) == ("advertise", ids["bgp"], id_)
    assert (event.actor, event.reason, event.origin) == (made.actor, made.reason, "127.0.0.1")


def test_the_default_binding_and_its_bgp_prefix_are_one_change_set(api: Api) -> None:
    ids = furnished(api)
    changes = change_set(api, api.change_sets()[-1]).changes
    assert changes[0].binding.id == ids["binding"]
    assert (changes[1].bgp_prefix.id, changes[1].bgp_prefix.advertised) == (ids["bgp"], False)


def test_a_fault_in_the_middle_leaves_nothing_and_shows_no_traceback(api: Api, monkeypatch) -> None:
    ids = furnished(api)
    before, woken = api.counts(), list(api.woken)

    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("controller.snapshots.outbox.append", broken)
    with api.http() as http:
        answer = http.patch(
            f"{BASE}/{ids['prefix']}/bgp/prefixes/{ids['bgp']}", json={"on_demand": {"advertised": True}}
        )
    refused(answer, 500, "internal_error")
    assert "secret" not in answer.text and "Traceback" not in answer.text
    assert (api.counts(), api.woken) == (before, woken)


def test_a_repeated_key_gives_the_stored_answer_and_does_it_once(api: Api) -> None:
    ids = furnished(api)
    path = f"{BASE}/{ids['prefix']}/bgp/prefixes/{ids['bgp']}"
    body, key = {"on_demand": {"advertised": True}}, {"Idempotency-Key": "k1"}
    with api.http() as http:
        first = http.patch(path, json=body, headers=key)
        before = api.counts()
        again = http.patch(path, json=body, headers=key)
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["Herald-Change-Set"] == first.headers["Herald-Change-Set"]
        other = http.patch(path, json={"on_demand": {"advertised": False}}, headers=key)
        refused(other, 409, "idempotency_key_reused", "/header/Idempotency-Key")
        refused(http.patch(path, json=body, headers={"Idempotency-Key": ""}), 400, "malformed_header")
        assert api.counts() == before
        twice = http.patch(path, json=body, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
        refused(twice, 400, "malformed_header")


def test_a_refused_request_does_not_use_its_key_up(api: Api) -> None:
    ids, key = furnished(api), {"Idempotency-Key": "k"}
    body = {"cidr": "192.0.2.0/24", "service_id": "cdn"}
    with api.http() as http:
        assert http.post(f"{BASE}/{ids['prefix']}/bindings", json=body, headers=key).status_code == 409
        http.delete(f"{BASE}/{ids['prefix']}/bindings/{ids['binding']}")
        assert http.post(f"{BASE}/{ids['prefix']}/bindings", json=body, headers=key).status_code == 200


def test_the_same_key_at_the_same_time_is_done_once(api: Api) -> None:
    api.client().create_account("Acme", id="acme")
    answers = []

    def post() -> None:
        with api.http() as http:
            body = {"cidr": "198.18.0.0/24", "asn": None}
            answers.append(http.post(BASE, json=body, headers={"Idempotency-Key": "same"}))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {a.status_code for a in answers} == {200} and len({a.content for a in answers}) == 1
    assert len(api.client().prefixes("acme")) == 1


def test_a_token_is_not_kept_as_an_answer(api: Api) -> None:
    with api.http() as http:
        answer = http.post("/herald/v1/tokens", json={"role": "operator"}, headers={"Idempotency-Key": "k"})
    refused(answer, 400, "malformed_header")


def test_making_the_same_account_or_service_again_changes_nothing(api: Api) -> None:
    client = api.client()
    for _ in range(2):
        client.create_account("Acme", id="acme")
        client.create_service("cdn", "CDN")
        before = api.counts()
    client.create_account("Acme", id="acme")
    assert api.counts() == before
    with pytest.raises(ApiError, match="already"):
        client.create_account("Other", id="acme")
    with pytest.raises(ApiError, match="already"):
        client.create_service("cdn2", "CDN")
