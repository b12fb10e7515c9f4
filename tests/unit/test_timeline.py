"""The timeline and the history: one order, with who, from where, before and after, and evidence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controller.addressing.sightings import Sightings
from controller.bgp import AsPath, Prefix
from controller.snapshots import outbox
from controller.timeline.sighting import Reading
from tests.addressing_api import Api, furnished, running_api

BASE = "/client/v4/accounts/acme/addressing/prefixes"
TIMELINE = "/herald/v1/accounts/acme/timeline"
ACME = Prefix("192.0.2.0/24")


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as running:
        running.ids = furnished(running)
        yield running


def get(api: Api, path: str, token: str | None = None) -> dict[str, Any]:
    with api.http(token) as http:
        answer = http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def timeline(api: Api, query: str = "?limit=1000") -> list[dict[str, Any]]:
    return get(api, TIMELINE + query)["result"]


def toggle(api: Api, advertised: bool, token: str | None = None, **headers: str) -> str:
    path = f"{BASE}/{api.ids['prefix']}/bgp/prefixes/{api.ids['bgp']}"
    with api.http(token) as http:
        answer = http.patch(path, json={"on_demand": {"advertised": advertised}}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["Herald-Change-Set"]


def reading(*holders: str, path: AsPath = (65001, 64500)) -> Reading:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Reading(at, 5, {ACME: dict.fromkeys(holders, path)} if holders else {})


def test_what_was_asked_comes_before_what_becomes_of_it(api: Api) -> None:
    change_set = toggle(api, True, **{"Herald-Reason": "moving house"})
    with api.store.write() as session:
        outbox.move(session, change_set, "held", "the breaker is open")
    found = timeline(api)[-3:]
    assert [(e["kind"], e["type"]) for e in found] == [
        ("configured", "bgp_prefix.advertised"),
        ("operational", "change_set.queued"),
        ("operational", "change_set.held"),
    ]
    assert {e["change_set_id"] for e in found} == {change_set}
    assert [e["reason"] for e in found] == ["moving house", "moving house", "the breaker is open"]
    assert found[0]["detail"]["changed"]["advertised"] == {"before": False, "after": True}
    assert found[2]["detail"]["cidrs"] == [ACME]
    seqs = [e["seq"] for e in timeline(api)]
    assert seqs == sorted(set(seqs))


def test_a_state_that_is_written_again_is_told_once(api: Api) -> None:
    change_set = toggle(api, True)
    with api.store.write() as session:
        outbox.move(session, change_set, "rolling", "site2 is away")
        outbox.move(session, change_set, "rolling", "site2 is still away")
    assert [e["type"] for e in timeline(api)].count("change_set.rolling") == 1


def test_pages_follow_each_other_and_new_entries_come_after(api: Api) -> None:
    whole, after, found = timeline(api), 0, []
    while True:
        page = get(api, f"{TIMELINE}?limit=2&after={after}")
        found += page["result"]
        if page["next"] is None:
            break
        after = page["next"]
    assert found == whole and len(whole) > 5
    toggle(api, True)
    later = timeline(api, f"?after={whole[-1]['seq']}")
    assert [e["type"] for e in later] == ["bgp_prefix.advertised", "change_set.queued"]


def test_one_prefixs_part_has_its_change_sets_and_no_others(api: Api) -> None:
    other = api.client().create_prefix("acme", "198.51.100.0/24")["id"]
    change_set = toggle(api, True)
    mine = timeline(api, f"?prefix_id={api.ids['prefix']}&limit=1000")
    assert change_set in {e["change_set_id"] for e in mine if e["type"] == "change_set.queued"}
    assert {e["prefix_id"] for e in mine} == {api.ids["prefix"], None}
    assert [e["type"] for e in timeline(api, f"?prefix_id={other}")] == ["prefix.created"]
    assert timeline(api, "?prefix_id=none") == []


def test_the_history_has_each_change_of_the_prefix_and_of_what_stands_in_it(api: Api) -> None:
    prefix = api.ids["prefix"]
    path = f"/herald/v1/accounts/acme/prefixes/{prefix}/history"
    with api.http() as http:
        http.patch(f"{BASE}/{prefix}", json={"description": "one"})
        http.patch(f"{BASE}/{prefix}", json={"description": "two"})
    whole = get(api, path)["result"]
    assert [(e["object"]["kind"], e["action"]) for e in whole] == [
        ("prefix", "create"), ("prefix", "approve"), ("binding", "create"), ("bgp_prefix", "create"),
        ("prefix", "edit"), ("prefix", "edit"),
    ]  # fmt: skip
    assert whole[-1]["detail"]["changed"] == {"description": {"before": "one", "after": "two"}}
    assert whole[1]["detail"]["changed"]["approved"] == {"before": False, "after": True}
    first = get(api, f"{path}?limit=4")
    assert first["result"] + get(api, f"{path}?limit=4&after={first['next']}")["result"] == whole
    with api.http() as http:
        assert http.get(path.replace(prefix, "none")).status_code == 404


def test_a_deleted_prefix_keeps_its_history(api: Api) -> None:
    prefix = api.client().create_prefix("acme", "198.51.100.0/24")["id"]
    with api.http() as http:
        assert http.delete(f"{BASE}/{prefix}").status_code == 200
    found = get(api, f"/herald/v1/accounts/acme/prefixes/{prefix}/history")["result"]
    assert [e["action"] for e in found] == ["create", "delete"]
    assert found[1]["detail"]["changed"]["deleted_at"]["before"] is None


def test_customers_see_from_where_their_own_calls_came_and_not_the_operators(api: Api) -> None:
    token = api.client().create_token("customer", account_id="acme", description="")["token"]
    toggle(api, True, token)
    path = f"/herald/v1/accounts/acme/prefixes/{api.ids['prefix']}/history"
    mine, all_of_it = get(api, path, token)["result"], get(api, path)["result"]
    assert {e["origin"] for e in mine if e["actor"].startswith("operator:")} == {None}
    assert mine[-1]["origin"] == "127.0.0.1" and mine[-1]["actor"].startswith("customer:")
    assert None not in {e["origin"] for e in all_of_it}
    told = get(api, f"{TIMELINE}?limit=1000", token)["result"]
    assert {e["origin"] for e in told} == {None, "127.0.0.1"}


def test_an_account_sees_its_own_alone(api: Api) -> None:
    client = api.client()
    client.create_account("Globex", id="globex")
    token = client.create_token("customer", account_id="globex", description="")["token"]
    with api.http(token) as http:
        assert http.get(TIMELINE).status_code == 403
        own = http.get(TIMELINE.replace("acme", "globex")).json()["result"]
        assert {e["account_id"] for e in own} == {"globex"}
        other = f"/herald/v1/accounts/globex/prefixes/{api.ids['prefix']}/history"
        assert http.get(other).status_code == 404


@pytest.mark.parametrize("path", [TIMELINE, "/herald/v1/accounts/acme/prefixes/{prefix}/history"])
def test_a_number_that_was_never_given_has_nothing_after_it(api: Api, path: str) -> None:
    path = path.format(prefix=api.ids["prefix"])
    assert get(api, f"{path}?after={2**63 - 1}") == {"result": [], "next": None}
    with api.http() as http:
        assert http.get(f"{path}?after={2**63}").status_code == 400


# -- what was seen ----------------------------------------------------------------------------------------
def observed(api: Api) -> list[tuple[str, str]]:
    return [(e["type"], e["reason"]) for e in timeline(api) if e["kind"] == "observed"]


def test_a_reading_that_shows_a_change_is_told_with_its_evidence(api: Api) -> None:
    rung: list[int] = []
    sightings = Sightings(api.store, lambda: rung.append(1))
    assert sightings.take(reading()) == 0
    assert sightings.take(reading("t1", "t2")) == 1
    assert sightings.take(reading("t1", "t2", path=(65009, 64500))) == 0, "another path, the same routers"
    assert sightings.take(reading("t2")) == 1
    assert sightings.take(reading()) == 1
    assert observed(api) == [
        ("bgp_prefix.visible", "2 of 5 routers hold it"),
        ("bgp_prefix.visible", "1 of 5 routers hold it"),
        ("bgp_prefix.absent", "none of 5 routers holds it"),
    ]
    entries = [e for e in timeline(api) if e["kind"] == "observed"]
    assert entries[0]["detail"]["routers"] == {"t1": "65001 64500", "t2": "65001 64500"}
    assert [e["detail"]["lost"] for e in entries] == [[], ["t1"], ["t2"]]
    assert {e["prefix_id"] for e in entries} == {api.ids["prefix"]}
    assert len(rung) == 3


def test_a_restart_tells_nothing_twice_and_what_it_missed_once(api: Api) -> None:
    Sightings(api.store, lambda: None).take(reading("t1", "t2"))
    assert Sightings(api.store, lambda: None).take(reading("t1", "t2")) == 0
    assert Sightings(api.store, lambda: None).take(reading()) == 1
    assert [t for t, _ in observed(api)] == ["bgp_prefix.visible", "bgp_prefix.absent"]


def test_what_is_nobodys_bgp_prefix_is_told_to_nobody(api: Api) -> None:
    sightings = Sightings(api.store, lambda: None)
    sightings.take(reading())
    foreign = Reading(reading().at, 5, {Prefix("203.0.113.0/24"): {"t1": (65001,)}})
    assert sightings.take(foreign) == 0
    assert observed(api) == []
