"""Dry runs and conditional writes: what would happen, and only if nothing else happened meanwhile."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from controller.rollout.admission import admit_next
from controller.rollout.records import join_sites
from tests.addressing_api import SITES, Api, furnished, running_api
from tests.guarding import unguarded

BASE = "/client/v4/accounts/acme/addressing/prefixes"


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as running:
        running.ids = furnished(running)
        yield running


def roll_out(api: Api) -> None:
    """Let the operational state follow what was asked, without any site."""
    with api.store.write() as session:
        join_sites(session, SITES)
        admit_next(session, SITES, lambda _: None, 0.0, unguarded())


def bgp(api: Api) -> str:
    return f"{BASE}/{api.ids['prefix']}/bgp/prefixes/{api.ids['bgp']}"


def advertise(api: Api, wanted: bool, query: str = "", **headers: str) -> Any:
    with api.http() as http:
        return http.patch(f"{bgp(api)}{query}", json={"on_demand": {"advertised": wanted}}, headers=headers)


# -- dry runs ---------------------------------------------------------------------------------------------
def test_a_dry_run_tells_each_sites_effects_and_changes_nothing(api: Api) -> None:
    roll_out(api)
    before, woken = api.counts(), list(api.woken)
    answer = advertise(api, True, "?dry_run=true")
    assert answer.status_code == 200
    body = answer.json()
    assert body["result"]["configured"]["advertised"] is True
    assert "dry run" in body["messages"][0]["message"]
    plan = body["plan"]
    assert (plan["accounts"], plan["prefixes"], plan["sites"]) == (1, 1, list(SITES))
    assert (plan["additive"], plan["subtractive"]) == (2, 0)
    assert [e["verb"] for e in plan["change_sets"][0]["effects"]] == ["announce", "announce"]
    assert plan["share"] == {"fleet": 0.0, "accounts": 0.0}
    assert "Herald-Change-Set" not in answer.headers and "ETag" not in answer.headers
    assert (api.counts(), api.woken) == (before, woken)
    with api.http() as http:
        assert http.get(bgp(api)).json()["result"]["on_demand"]["advertised"] is False


def test_the_share_of_a_withdrawal_is_of_all_that_is_advertised(api: Api) -> None:
    client = api.client()
    client.create_account("Globex", id="globex")
    for account, cidr in (("acme", "198.51.100.0/24"), ("globex", "203.0.113.0/24")):
        made = client.create_prefix(account, cidr)
        client.approve_prefix(account, made["id"])
        client.bind(account, made["id"], cidr, "cdn")
        client.advertise(cidr, advertised=True)
    advertise(api, True)
    roll_out(api)
    plan = advertise(api, False, "?dry_run=true").json()["plan"]
    assert (plan["additive"], plan["subtractive"]) == (0, 2)
    assert plan["share"] == {"fleet": pytest.approx(1 / 3, abs=1e-6), "accounts": 0.5}


def test_a_dry_run_says_what_does_not_fit(api: Api) -> None:
    # Nothing was rolled out yet: the operational state has no prefix for the BGP prefix to stand on.
    plan = advertise(api, True, "?dry_run=true").json()["plan"]
    assert "which is not there" in plan["change_sets"][0]["problem"]


def test_a_dry_run_is_refused_like_the_write_itself(api: Api) -> None:
    with api.http() as http:
        answer = http.post(f"{BASE}?dry_run=true", json={"cidr": "192.0.2.0/24", "asn": None})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, 1210)
        for value in ("", "yes", "1", "TRUE", "true&dry_run=false"):
            answer = http.post(f"{BASE}?dry_run={value}", json={"cidr": "198.18.0.0/24", "asn": None})
            assert answer.status_code == 400, value
            assert answer.json()["errors"][0]["source"]["pointer"] == "/query/dry_run"


def test_every_write_takes_dry_run_and_keys_are_not_used_up(api: Api) -> None:
    for path, operations in api.app.openapi()["paths"].items():
        for method, operation in operations.items():
            names = {p["name"] for p in operation.get("parameters", ())}
            assert (method == "get") or "dry_run" in names, (method, path)
    key = {"Idempotency-Key": "k"}
    assert "plan" in advertise(api, True, "?dry_run=true", **key).json()
    assert advertise(api, True, **key).json()["result"]["on_demand"]["advertised"] is True


# -- conditional writes -----------------------------------------------------------------------------------
def test_a_write_on_what_somebody_changed_is_refused(api: Api) -> None:
    with api.http() as http:
        seen = http.get(bgp(api)).headers["ETag"]
        first = advertise(api, True, **{"If-Match": seen})
        assert first.status_code == 200 and first.headers["ETag"] != seen
        before = api.counts()
        late = advertise(api, False, **{"If-Match": seen})
        assert (late.status_code, late.json()["errors"][0]["source"]["pointer"]) == (412, "/header/If-Match")
        assert first.headers["ETag"] in late.json()["errors"][0]["message"]
        assert api.counts() == before
        assert http.get(bgp(api)).headers["ETag"] == first.headers["ETag"]
        assert advertise(api, False, **{"If-Match": f'"x", {first.headers["ETag"]}'}).status_code == 200
        assert advertise(api, False, **{"If-Match": "*"}).status_code == 200


def test_what_is_no_entity_tag_is_refused_and_so_is_one_where_it_means_nothing(api: Api) -> None:
    for odd in ("x", '"a" "b"', "W/x", '"a', ","):
        answer = advertise(api, True, **{"If-Match": odd})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 1003), odd
    with api.http() as http:
        answer = http.post(BASE, json={"cidr": "198.18.0.0/24", "asn": None}, headers={"If-Match": '"a"'})
        assert answer.status_code == 400 and "no meaning" in answer.text


def test_the_tag_stays_while_nothing_is_asked(api: Api) -> None:
    with api.http() as http:
        before = http.get(bgp(api)).headers["ETag"]
        roll_out(api)  # the operational state moves, the configured one does not
        assert http.get(bgp(api)).headers["ETag"] == before


def test_a_repeated_key_gives_the_same_tag(api: Api) -> None:
    first = advertise(api, True, **{"Idempotency-Key": "a"})
    again = advertise(api, True, **{"Idempotency-Key": "a"})
    assert first.headers["ETag"] == again.headers["ETag"]


def test_of_writers_that_saw_the_same_one_wins_and_the_others_are_told(api: Api) -> None:
    with api.http() as http:
        seen = http.get(bgp(api)).headers["ETag"]
    verdicts: list[int] = []
    ready = threading.Barrier(8)

    def write(count: int) -> None:
        with api.http() as http:
            ready.wait()
            answer = http.patch(bgp(api), json={"asn_prepend_count": count % 4}, headers={"If-Match": seen})
            verdicts.append(answer.status_code)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(verdicts) == [200] + [412] * 7
