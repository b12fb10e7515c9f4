"""Deleting: only what somebody wanted gone, all or nothing, and back exactly as it was within the grace.

The middle part replays the cause of the outage of 2026-02-20 against the API.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.addressing.life_policy import LifePolicy
from controller.snapshots.model import encode_chunk
from tests.addressing_api import running_api
from tests.removal import BASE, admit, cast, change_set, intents, refused

ALL = "/herald/v1/prefixes"
PENDING = {"pending_delete": True, "account_id": None}


@pytest.fixture
def api(tmp_path: Path):
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
def play(api):
    with cast(api, "198.18.0.0/22") as made:
        yield made


def pointers(answer) -> dict[str, str]:
    """Return what is refused where, by name."""
    return {e["source"]["pointer"]: e["message"].partition(":")[0] for e in answer.json()["errors"]}


# -- asking ------------------------------------------------------------------------------------------------
def test_an_owner_asks_and_takes_it_back(api, play) -> None:
    def configured() -> bool:
        shown = play.owner.get(f"{BASE}/{play.prefix}").json()["result"]
        return shown["configured"]["pending_delete"]

    assert not configured()
    woken = list(api.woken)
    asked = play.ask_deletion().json()
    assert (asked["pending_delete"], asked["cidr"], asked["reason"]) == (True, "198.18.0.0/22", "we left")
    assert configured() and api.woken == woken  # nothing operational has changed
    again = play.ask_deletion().json()
    assert again["requested_at"] > asked["requested_at"]
    assert play.owner.get(f"{play.path}/deletion").json() == again
    assert play.owner.delete(f"{play.path}/deletion").json()["pending_delete"] is False
    assert not configured()
    refused(play.owner.delete(f"{play.path}/deletion"), 409, "not_pending_delete")
    assert play.owner.get(f"{play.path}/deletion").json()["reason"] is None


def test_nobody_asks_for_an_owner(api, play) -> None:
    before = api.counts()
    body = {"reason": "housekeeping"}
    refused(play.operator.put(f"{play.path}/deletion", json=body), 403, "not_allowed")
    refused(play.globex.put(f"{play.path}/deletion", json=body), 403, "not_allowed")
    other = f"/herald/v1/accounts/globex/prefixes/{play.prefix}/deletion"
    refused(play.globex.put(other, json=body), 404, "not_found")
    assert api.counts() == before


# -- the list ----------------------------------------------------------------------------------------------
def test_the_list_states_its_selector_and_how_many_match(api, play) -> None:
    ids = [play.prefix, *(play.another(f"198.19.{i}.0/24") for i in range(4))]
    theirs = play.another("198.51.100.0/24", "globex")
    play.ask_deletion(ids[1])
    play.ask_deletion(ids[3])
    play.ask_deletion(theirs, "globex")
    page = play.operator.get(f"{ALL}?pending_delete=true&account_id=acme").json()
    assert page["selector"] == {"pending_delete": True, "account_id": "acme"}
    assert (page["total"], page["next"]) == (2, None)
    assert [p["id"] for p in page["result"]] == sorted([ids[1], ids[3]])
    assert page["result"][0]["pending_delete_at"] is not None and not page["result"][0]["advertised"]
    assert play.operator.get(f"{ALL}?pending_delete=false").json()["total"] == 3
    assert play.operator.get(ALL).json()["total"] == 6
    seen, after = [], ""
    while True:
        page = play.operator.get(f"{ALL}?limit=2{after}").json()
        assert page["total"] == 6
        seen += [p["id"] for p in page["result"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == sorted([*ids, theirs])
    refused(play.owner.get(ALL), 403, "not_allowed")


# -- the cause of the outage -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "query", ["pending_delete", "pending_delete=", "pending_delete=1", "pending_delete=yes", "pending=true"]
)
def test_the_outages_query_is_refused(api, play, query: str) -> None:
    answer = play.operator.get(f"{ALL}?{query}")
    refused(answer, 400, "malformed_query", f"/query/{query.partition('=')[0]}")


def test_a_clean_up_that_takes_everything_for_queued_deletes_nothing(api, play) -> None:
    ids = [play.prefix, *(play.another(f"198.19.{i}.0/24") for i in range(3))]
    play.ask_deletion(ids[2])
    before, change_sets, woken = api.counts(), api.change_sets(), list(api.woken)
    everything = [p["id"] for p in play.operator.get(ALL).json()["result"]]
    assert sorted(everything) == sorted(ids)
    # It believes that these are the pending ones, and says so: the selector matches one.
    wrong = play.delete(*everything, selector=PENDING)
    assert wrong.status_code == 409
    assert pointers(wrong) == {"/selector": "count_disagrees"} | {
        f"/ids/{i}": "count_disagrees" for i, id_ in enumerate(everything) if id_ != ids[2]
    }
    # It counts what it asked for, and posts more.
    refused(play.delete(*everything, count=1, selector=PENDING), 409, "count_disagrees", "/expected_count")
    # It says nothing of where its list came from: nobody asked for three of them.
    blind = play.delete(*everything)
    assert pointers(blind) == {
        f"/ids/{i}": "not_pending_delete" for i, id_ in enumerate(everything) if id_ != ids[2]
    }
    assert (api.counts(), api.change_sets(), api.woken) == (before, change_sets, woken)
    assert play.operator.get(ALL).json()["total"] == 4
    # Only what is truly pending goes.
    page = play.operator.get(f"{ALL}?pending_delete=true").json()
    good = play.delete(*(p["id"] for p in page["result"]), selector=page["selector"])
    assert good.json()["count"] == 1 and good.json()["result"][0]["prefix_id"] == ids[2]
    assert sorted(p["id"] for p in play.operator.get(ALL).json()["result"]) == sorted(
        [ids[0], ids[1], ids[3]]
    )
    assert all(p["configured"]["state"] == "advertisable" for p in _all(play))


def _all(play) -> list[dict]:
    return play.owner.get(BASE).json()["result"]


def test_every_offender_is_named_and_nothing_is_changed(api, play) -> None:
    gone, locked, on_air, kept, fine = (play.another(f"198.19.{i}.0/24") for i in range(5))
    for id_ in (gone, locked, on_air, fine):
        play.ask_deletion(id_)
    assert play.delete(gone).status_code == 200
    lock = play.owner.put(
        f"/herald/v1/accounts/acme/prefixes/{locked}/withdrawal_lock", json={"public_key": None}
    )
    assert lock.status_code == 200
    put = f"/herald/v1/accounts/acme/prefixes/{on_air}/advertisement"
    play.owner.put(put, json={"cidr": "198.19.2.0/24", "advertised": True, "sites": None})
    before = api.counts()
    answer = play.delete(fine, gone, locked, on_air, kept, fine, "nothing")
    assert pointers(answer) == {
        "/ids/1": "unknown_prefix",
        "/ids/2": "withdrawal_locked",
        "/ids/3": "still_advertised",
        "/ids/4": "not_pending_delete",
        "/ids/5": "named_twice",
        "/ids/6": "unknown_prefix",
    }
    assert lock.json()["id"] in answer.text
    assert api.counts() == before
    refused(play.owner.post("/herald/v1/prefix_deletions", json={}), 400, "malformed_body")
    body = {"ids": [fine], "expected_count": 1, "selector": None, "reason": "r"}
    refused(play.owner.post("/herald/v1/prefix_deletions", json=body), 403, "not_allowed")
    assert (
        play.operator.post("/herald/v1/prefix_deletions?dry_run=true", json=body).json()["plan"]["accounts"]
        == 1
    )
    assert play.operator.get(f"{ALL}?pending_delete=true").json()["total"] == 3


def test_a_deletion_carries_its_owners_intents_one_change_set_an_account(api, play) -> None:
    second, theirs = play.another("198.19.0.0/24"), play.another("198.51.100.0/24", "globex")
    for id_, account in ((play.prefix, "acme"), (second, "acme"), (theirs, "globex")):
        play.ask_deletion(id_, account)
    made = len(api.change_sets())
    answer = play.delete(play.prefix, second, theirs)
    assert answer.json()["count"] == 3 and len(api.change_sets()) == made + 2
    first = answer.headers["Herald-Change-Set"].split(", ")[0]
    answer.headers["Herald-Change-Set"] = first
    found = intents(api, answer)
    assert {(i.account_id, i.kind, i.authority, i.prefixes) for i in found} == {
        ("acme", "delete", "owner", ("198.18.0.0/22",)),
        ("acme", "delete", "owner", ("198.19.0.0/24",)),
    }
    assert admit(api).prefixes == () and admit(api, "globex").bindings == ()


def test_an_expired_request_lets_nothing_go(tmp_path: Path) -> None:
    with running_api(tmp_path, life=LifePolicy(request_s=1)) as api, cast(api) as play:
        asked = play.ask_deletion().json()
        service = api.app.state.context.intents
        with api.store.write() as session:
            from datetime import datetime, timedelta

            from controller.addressing.life_tables import DeletionRequestRow

            row = session.get_one(DeletionRequestRow, play.prefix)
            then = datetime.fromisoformat(asked["requested_at"]) - timedelta(days=31)
            row.text = service.sign(
                "acme", "delete", ["192.0.2.0/24"], asked_by=("t",), sites=None, generation=None,
                now=then, expires_at=then + timedelta(days=30),
            )  # fmt: skip
        answer = play.delete(play.prefix)
        refused(answer, 409, "not_pending_delete", "/ids/0")
        assert "expired" in answer.text


def test_two_operators_can_have_removed_what_no_owner_asked_for(api, play) -> None:
    other = play.another("198.19.0.0/24")
    id_ = play.two_operators("delete", "198.18.0.0/22")
    refused(play.delete(play.prefix, other, **{"Herald-Intent": id_}), 409, "not_pending_delete", "/ids/1")
    answer = play.delete(play.prefix, **{"Herald-Intent": id_})
    assert [i.authority for i in intents(api, answer)] == ["operators"]
    shown = play.operator.get(f"/herald/v1/intent_requests/{id_}").json()
    assert (shown["state"], shown["used_for"]) == ("used", answer.headers["Herald-Change-Set"])
    only_withdraw = play.two_operators("withdraw", "198.19.0.0/24")
    refused(play.delete(other, **{"Herald-Intent": only_withdraw}), 409, "not_pending_delete")


# -- and back ----------------------------------------------------------------------------------------------
def richly(play) -> None:
    """Give the prefix parts with settings of their own; withdraw all."""
    client = play.api.client()
    client.create_service("spectrum", "Spectrum")
    client.bind("acme", play.prefix, "198.18.1.0/24", "spectrum")
    put = f"{play.path}/advertisement"
    for cidr, sites in (("198.18.1.0/24", ["site2"]), ("198.18.2.0/24", None)):
        for advertised in (True, False):
            body = {"cidr": cidr, "advertised": advertised, "sites": sites}
            assert play.owner.put(put, json=body).status_code == 200
    answer = play.owner.patch(play.bgp, json={"asn_prepend_count": 2, "auto_advertise_withdraw": True})
    assert answer.status_code == 200


def test_undelete_gives_back_exactly_what_was_taken(api, play) -> None:
    richly(play)
    before, shown = admit(api), play.owner.get(f"{BASE}/{play.prefix}").json()["result"]
    play.ask_deletion()
    deleted = play.delete(play.prefix).json()["result"][0]
    assert admit(api).prefixes == () and admit(api).bindings == () and admit(api).bgp_prefixes == ()
    refused(play.owner.get(f"{BASE}/{play.prefix}"), 404, "not_found")
    assert _all(play) == []
    (listed,) = play.owner.get("/herald/v1/accounts/acme/deletions").json()["result"]
    assert listed == deleted and listed["state"] == "tombstoned"
    assert listed["grace_ends_at"] > listed["deleted_at"]
    undeleted = play.owner.post(f"{play.path}/undelete")
    assert undeleted.json()["state"] == "undeleted", undeleted.text
    after = admit(api)
    assert encode_chunk(after) == encode_chunk(before)
    assert not any(b.advertised for b in after.bgp_prefixes) and len(after.bgp_prefixes) == 3
    again = play.owner.get(f"{BASE}/{play.prefix}").json()["result"]
    assert {k: v for k, v in again.items() if k not in {"operational", "observed"}} == {
        k: v for k, v in shown.items() if k not in {"operational", "observed"}
    }
    assert again["configured"]["pending_delete"] is False
    refused(play.owner.post(f"{play.path}/undelete"), 404, "not_found")
    refused(play.delete(play.prefix), 409, "not_pending_delete")  # the old request is used up


def test_undelete_brings_nothing_of_an_earlier_deletion_back(api, play) -> None:
    play.owner.delete(f"{BASE}/{play.prefix}/bindings/{play.ids['binding']}")
    before = admit(api)
    play.ask_deletion()
    play.delete(play.prefix)
    play.operator.post(f"{play.path}/undelete")
    assert admit(api) == before and before.bindings == ()


def test_what_stands_in_the_way_is_named(api, play) -> None:
    inner = play.another("198.18.1.0/24")
    play.ask_deletion(inner)
    play.delete(inner)
    body = {"cidr": "198.18.1.0/24", "service_id": "cdn"}
    play.owner.post(f"{BASE}/{play.prefix}/bindings", json=body)
    before = api.counts()
    answer = play.owner.post(f"/herald/v1/accounts/acme/prefixes/{inner}/undelete")
    refused(answer, 409, "already_exists")
    assert "198.18.1.0/24" in answer.text and api.counts() == before


def test_what_was_revoked_since_does_not_come_back(api, play) -> None:
    play.ask_deletion()
    play.delete(play.prefix)
    order = {"kind": "legal_order", "account_id": "acme", "cidr": "198.18.3.0/24", "reason": "court"}
    entry = play.operator.post("/herald/v1/revocations", json=order).json()
    answer = play.owner.post(f"{play.path}/undelete")
    refused(answer, 409, "revoked")
    assert str(entry["seq"]) in answer.text


# -- reserved, and gone ------------------------------------------------------------------------------------
def onboard(client, account: str, cidr: str):
    return client.post(f"/client/v4/accounts/{account}/addressing/prefixes", json={"cidr": cidr, "asn": None})


def test_addresses_stay_reserved_until_they_are_purged(tmp_path: Path) -> None:
    with running_api(tmp_path, life=LifePolicy(grace_s=0)) as api, cast(api) as play:
        richer = play.another("198.18.0.0/22")
        play.ask_deletion(richer)
        play.ask_deletion()
        play.delete(play.prefix, richer)
        refused(onboard(play.globex, "globex", "192.0.2.0/24"), 409, "prefix_overlaps", "/cidr")
        refused(onboard(play.globex, "globex", "198.18.1.0/24"), 409, "prefix_overlaps", "/cidr")
        refused(onboard(play.owner, "acme", "192.0.2.0/24"), 409, "prefix_is_tombstoned", "/cidr")
        refused(play.owner.post(f"{play.path}/undelete"), 409, "grace_is_over")
        purge = {"ids": [play.prefix, richer], "expected_count": 2}
        refused(play.owner.post("/herald/v1/prefix_purges", json=purge), 403, "not_allowed")
        gone = play.operator.post("/herald/v1/prefix_purges", json=purge)
        assert gone.json()["count"] == 2, gone.text
        refused(play.operator.post("/herald/v1/prefix_purges", json=purge), 409, "unknown_prefix", "/ids/0")
        states = [d["state"] for d in play.owner.get("/herald/v1/accounts/acme/deletions").json()["result"]]
        assert states == ["purged", "purged"]
        counts = api.counts()
        assert {counts[t] for t in ("prefixes", "bgp_prefixes", "bindings")} == {0}
        assert onboard(play.globex, "globex", "192.0.2.0/24").status_code == 200
        refused(play.owner.post(f"{play.path}/undelete"), 404, "not_found")


def test_nothing_is_purged_in_its_grace(api, play) -> None:
    play.ask_deletion()
    other = play.another("198.19.0.0/24")
    play.delete(play.prefix)
    before = api.counts()
    answer = play.operator.post(
        "/herald/v1/prefix_purges", json={"ids": [play.prefix, other, play.prefix], "expected_count": 2}
    )
    assert pointers(answer) == {
        "/expected_count": "count_disagrees",
        "/ids/0": "grace_is_not_over",
        "/ids/1": "unknown_prefix",
        "/ids/2": "named_twice",
    }
    assert api.counts() == before
    assert play.owner.post(f"{play.path}/undelete").status_code == 200


def test_what_was_never_approved_is_free_at_once(api, play) -> None:
    made = onboard(play.owner, "acme", "198.19.0.0/24").json()["result"]["id"]
    play.owner.delete(f"{BASE}/{made}")
    assert onboard(play.globex, "globex", "198.19.0.0/24").status_code == 200


def test_pages_of_deletions(api, play) -> None:
    ids = [play.another(f"198.19.{i}.0/24") for i in range(3)]
    for id_ in ids:
        play.ask_deletion(id_)
        play.delete(id_)
    path = "/herald/v1/accounts/acme/deletions"
    first = play.owner.get(f"{path}?limit=2").json()
    assert [d["prefix_id"] for d in first["result"]] == [ids[2], ids[1]]
    last = play.owner.get(f"{path}?limit=2&after={first['next']}").json()
    assert [d["prefix_id"] for d in last["result"]] == [ids[0]] and last["next"] is None
    refused(play.owner.get(f"{path}?after=nothing"), 400, "malformed_query", "/query/after")


def test_a_request_with_its_key_is_deleted_once(api, play) -> None:
    play.ask_deletion()
    key = {"Idempotency-Key": "once"}
    first, again = (play.delete(play.prefix, **key) for _ in range(2))
    assert first.content == again.content
    assert change_set(api, first) == change_set(api, again)
