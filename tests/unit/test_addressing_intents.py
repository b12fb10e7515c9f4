"""Intents on writes: what an owner's write carries, what two operators may allow, and what nobody gets."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.addressing.intents import IntentKeyError, open_intent_service, rotate
from controller.addressing.life_tables import IntentRequestRow
from controller.safety.effects import Effect
from controller.safety.intents import UnknownKeyError, covers_all, key_id, verify
from tests.addressing_api import SITES, running_api
from tests.removal import BASE, admit, cast, change_set, intents, refused

CIDR = "192.0.2.0/24"


@pytest.fixture
def api(tmp_path: Path):
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
def play(api):
    with cast(api) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("shared")) as running, cast(running) as made:
        yield made


@pytest.mark.parametrize("admitted", [True, False])
def test_an_owners_withdrawal_carries_one_intent_for_exactly_that(api, play, admitted: bool) -> None:
    announced = play.advertise()
    assert intents(api, announced) == []  # nothing is taken away
    if admitted:
        admit(api)
    (intent,) = intents(api, play.advertise(False))
    assert (intent.kind, intent.prefixes, intent.sites) == ("withdraw", (CIDR,), SITES)
    assert (intent.account_id, intent.authority) == ("acme", "owner")
    assert intent.asked_by == (play.owner.get("/herald/v1/caller").json()["id"],)
    assert (intent.generation is not None) is admitted
    assert covers_all(intent, "acme", [Effect(site, CIDR, "withdraw") for site in SITES])
    admit(api)
    assert intents(api, play.advertise(False)) == []  # there is nothing left to take


def test_what_the_operational_state_would_lose_counts_though_it_was_asked_for_before(api, play) -> None:
    play.advertise()
    admit(api)
    assert len(intents(api, play.advertise(False))) == 1
    assert len(intents(api, play.advertise(False))) == 1  # the first one is still queued
    admit(api)
    assert intents(api, play.advertise(False)) == []


def test_each_kind_of_subtraction_is_named(api, play) -> None:
    play.advertise()
    (more,) = intents(api, play.owner.patch(play.bgp, json={"asn_prepend_count": 2}))
    assert (more.kind, more.prefixes) == ("prepend", (CIDR,))
    assert intents(api, play.owner.patch(play.bgp, json={"asn_prepend_count": 1})) == []
    put = f"/herald/v1/accounts/acme/bgp_prefixes/{play.ids['bgp']}/advertisement"
    (narrow,) = intents(api, play.owner.put(put, json={"advertised": True, "sites": ["site1"]}))
    assert (narrow.kind, narrow.sites) == ("narrow", ("site2",))
    both = {"on_demand": {"advertised": False}, "asn_prepend_count": 3}
    assert [i.kind for i in intents(api, play.owner.patch(play.bgp, json=both))] == ["narrow"]
    (unbind,) = intents(api, play.owner.delete(f"{BASE}/{play.prefix}/bindings/{play.ids['binding']}"))
    assert (unbind.kind, unbind.prefixes, unbind.sites) == ("unbind", (CIDR,), SITES)


def test_a_withdrawal_touches_no_binding(api, play) -> None:
    play.advertise()
    before = admit(api)
    answer = play.advertise(False)
    assert all(c.binding is None and c.remove is None for c in change_set(api, answer).changes)
    after = admit(api)
    assert after.bindings == before.bindings and len(after.bindings) == 1
    assert [b.advertised for b in after.bgp_prefixes] == [False]
    (binding,) = play.owner.get(f"{BASE}/{play.prefix}/bindings").json()["result"]
    assert binding["id"] == play.ids["binding"]


def test_a_single_operator_gets_no_intent_and_is_still_heard(api, play) -> None:
    play.advertise()
    answer = play.operator.patch(play.bgp, json={"on_demand": {"advertised": False}})
    assert answer.status_code == 200 and intents(api, answer) == []


def test_two_operators_make_an_intent_that_works_once(api, play) -> None:
    play.advertise()
    id_ = play.two_operators("withdraw", CIDR)
    withdraw, header = {"on_demand": {"advertised": False}}, {"Herald-Intent": id_}
    assert play.operator.patch(f"{play.bgp}?dry_run=true", json=withdraw, headers=header).status_code == 200
    answer = play.operator.patch(play.bgp, json=withdraw, headers=header)
    (intent,) = intents(api, answer)
    assert intent.authority == "operators" and len(set(intent.asked_by)) == 2
    shown = play.second.get(f"/herald/v1/intent_requests/{id_}").json()
    assert (shown["state"], shown["used_for"]) == ("used", answer.headers["Herald-Change-Set"])
    play.advertise()
    before = api.counts()
    refused(play.operator.patch(play.bgp, json=withdraw, headers=header), 409, "intent_not_usable")
    assert api.counts() == before
    (listed,) = play.operator.get("/herald/v1/intent_requests").json()["result"]
    assert listed == shown


def test_an_intent_that_does_not_cover_is_refused_and_not_spent(api, play) -> None:
    play.advertise()
    id_ = play.two_operators("prepend", CIDR)
    header = {"Herald-Intent": id_}
    before = api.counts()
    answer = play.operator.patch(play.bgp, json={"on_demand": {"advertised": False}}, headers=header)
    refused(answer, 409, "intent_does_not_cover", "/header/Herald-Intent")
    one_site = play.two_operators("narrow", CIDR, sites=["site1"])
    answer = play.operator.patch(
        play.bgp, json={"on_demand": {"advertised": False}}, headers={"Herald-Intent": one_site}
    )
    refused(answer, 409, "intent_does_not_cover")
    nothing = play.operator.patch(play.bgp, json={"on_demand": {"advertised": True}}, headers=header)
    refused(nothing, 409, "intent_not_usable")
    unknown = play.operator.patch(
        play.bgp, json={"on_demand": {"advertised": False}}, headers={"Herald-Intent": "x"}
    )
    refused(unknown, 409, "intent_not_usable")
    assert play.operator.get(f"/herald/v1/intent_requests/{id_}").json()["state"] == "signed"
    asked = {"intent_requests", "events", "timeline"}
    assert {k: v for k, v in api.counts().items() if k not in asked} == {
        k: v for k, v in before.items() if k not in asked
    }


def test_one_operator_is_not_two(api, play) -> None:
    body = {"account_id": "acme", "kind": "withdraw", "prefixes": [CIDR], "reason": "r", "expires_in_s": 60}
    made = play.operator.post("/herald/v1/intent_requests", json=body).json()
    assert made["state"] == "pending"
    path = f"/herald/v1/intent_requests/{made['id']}/confirm"
    refused(play.operator.post(path), 409, "second_operator_needed")
    refused(play.owner.post(path), 403, "not_allowed")
    header = {"Herald-Intent": made["id"]}
    play.advertise()
    withdraw = {"on_demand": {"advertised": False}}
    refused(play.operator.patch(play.bgp, json=withdraw, headers=header), 409, "intent_not_usable")
    assert play.second.post(path).json()["state"] == "signed"
    refused(play.second.post(path), 409, "not_in_that_state")
    refused(play.owner.patch(play.bgp, json=withdraw, headers=header), 400, "malformed_header")


def test_who_issues_himself_a_second_token_is_still_one_operator(api, play) -> None:
    """Else one operator, or whoever stole his token, could withdraw anything alone."""
    body = {"account_id": "acme", "kind": "withdraw", "prefixes": [CIDR], "reason": "r", "expires_in_s": 60}
    id_ = play.operator.post("/herald/v1/intent_requests", json=body).json()["id"]
    path = f"/herald/v1/intent_requests/{id_}/confirm"
    token = {"role": "operator", "account_id": None, "description": "mine, too"}
    child = play.operator.post("/herald/v1/tokens", json=token).json()
    with api.http(child["token"]) as http:
        refused(http.post(path), 409, "second_operator_needed")
        grandchild = http.post("/herald/v1/tokens", json=token).json()
    with api.http(grandchild["token"]) as http:
        refused(http.post(path), 409, "second_operator_needed")
    with api.http() as first:
        refused(first.post(path), 409, "second_operator_needed")
    assert play.second.post(path).json()["state"] == "signed"


def test_an_intent_request_of_a_revoked_token_cannot_be_confirmed(api, play) -> None:
    made = api.client().create_token("operator")
    body = {"account_id": "acme", "kind": "withdraw", "prefixes": [CIDR], "reason": "r", "expires_in_s": 60}
    with api.http(made["token"]) as http:
        id_ = http.post("/herald/v1/intent_requests", json=body).json()["id"]
    api.client().revoke_token(made["id"])
    refused(play.second.post(f"/herald/v1/intent_requests/{id_}/confirm"), 409, "second_operator_needed")


@pytest.mark.parametrize(
    ("changed", "label", "pointer"),
    [
        ({"prefixes": ["198.18.0.0/24"]}, "unknown_prefix", "/prefixes/0"),
        ({"prefixes": [CIDR, CIDR]}, "named_twice", "/prefixes/1"),
        ({"prefixes": ["192.0.2.1/24"]}, "invalid_prefix", "/prefixes/0"),
        ({"prefixes": []}, "malformed_body", "/prefixes"),
        ({"kind": "narrow"}, "unknown_site", "/sites"),
        ({"sites": ["site9"]}, "unknown_site", "/sites/0"),
        ({"kind": "announce"}, "malformed_body", "/kind"),
        ({"account_id": "nobody"}, "unknown_prefix", "/account_id"),
        ({"expires_in_s": 8 * 86_400}, "malformed_body", "/expires_in_s"),
        ({"reason": ""}, "malformed_body", "/reason"),
    ],
)
def test_intent_requests_are_strict(shared, changed: dict, label: str, pointer: str) -> None:
    body = {"account_id": "acme", "kind": "withdraw", "prefixes": [CIDR], "reason": "r", "expires_in_s": 60}
    before = shared.api.counts()
    answer = shared.operator.post("/herald/v1/intent_requests", json=body | changed)
    refused(answer, answer.status_code, label, pointer)
    assert shared.api.counts() == before


def test_the_public_keys_are_published_and_check_what_is_carried(api, play) -> None:
    play.advertise()
    text = change_set(api, play.advertise(False)).intents[0]
    (key,) = play.owner.get("/herald/v1/intents/keys").json()["result"]
    raw = base64.b64decode(key["public_key"])
    assert key == {"id": key_id(raw), "algorithm": "ed25519", "public_key": key["public_key"], "signs": True}
    assert verify(text, [raw], _now()).kind == "withdraw"


def _now() -> datetime:
    return datetime.now(UTC)


# -- the key -------------------------------------------------------------------------------------------------
def test_the_key_is_private_kept_and_rotated(tmp_path: Path) -> None:
    path = tmp_path / "state" / "intent.key"
    first = open_intent_service(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_intent_service(path).public_keys == first.public_keys
    text = _sign(first)
    rotate(path)
    second = open_intent_service(path)
    assert second.public_keys[1:] == first.public_keys
    assert second.check(text, _now()).account_id == "acme"
    with pytest.raises(UnknownKeyError):
        first.check(_sign(second), _now())
    path.write_text(path.read_text().split("\n")[0])  # the old key is retired
    with pytest.raises(UnknownKeyError):
        open_intent_service(path).check(text, _now())
    assert path.stat().st_mode & 0o777 == 0o600


def _sign(service) -> str:
    return service.sign(
        "acme",
        "withdraw",
        [CIDR],
        asked_by=("t",),
        sites=None,
        generation=None,
        now=_now(),
        expires_at=_now() + timedelta(hours=1),
    )


@pytest.mark.parametrize("text", ["", "nonsense", "AAAA", "é", "A" * 43 + "=\nprivate x"])
def test_a_damaged_key_is_not_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "intent.key"
    path.write_text(text)
    with pytest.raises(IntentKeyError, match=r"intent\.key"):
        open_intent_service(path)
    assert path.read_text() == text


def test_an_expired_intent_of_two_operators_is_refused(tmp_path: Path) -> None:
    with running_api(tmp_path) as api, cast(api) as play:
        id_ = play.two_operators("withdraw", CIDR)
        with api.store.write() as session:
            row = session.get_one(IntentRequestRow, id_)
            service = api.app.state.context.intents
            intent = service.check(row.text, _now())
            row.text = service.sign(
                "acme", "withdraw", [CIDR], asked_by=intent.asked_by, sites=None, generation=None,
                now=intent.issued_at, expires_at=_now(),
            )  # fmt: skip
        play.operator.patch(play.bgp, json={"on_demand": {"advertised": True}})
        answer = play.operator.patch(
            play.bgp, json={"on_demand": {"advertised": False}}, headers={"Herald-Intent": id_}
        )
        refused(answer, 409, "intent_not_usable")
        assert "expired" in answer.text
