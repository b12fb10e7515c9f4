"""Checks in the API: what they show, what they block, and that they withdraw nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cloudflare import Cloudflare
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from controller.addressing import prefix_checks
from controller.addressing.prefix_checks import Job, Result
from controller.addressing.validation_view import NoSources
from controller.bgp import Prefix
from controller.validation.checks import Answer, CheckName, vrp_evidence
from controller.validation.config import ValidationConfig
from controller.validation.vrps import Vrp, VrpSet, key_of
from tests.addressing_api import Api, furnished, running_api

CONFIG = ValidationConfig(rtr=("127.0.0.1:1",), whois=("127.0.0.1:1",))
CIDR = "192.0.2.0/24"
BASE = "/client/v4/accounts/acme/addressing/prefixes"
GOOD = Answer("valid", "all is well", "test")


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("v"), validation=NoSources(CONFIG)) as running:
        running.client().create_service("cdn", "CDN")
        running.client().create_account("Acme", id="acme")
        yield running


SPACE = iter(range(1 << 16))


@pytest.fixture
def prefix(api: Api) -> Mapping[str, str]:
    """A new prefix that is approved and bound, its checks never done."""
    number = next(SPACE)
    cidr = f"10.{number >> 8}.{number & 255}.0/24"
    client = api.client()
    made = client.create_prefix("acme", cidr)
    with api.http() as http:
        headers = {"Herald-Reason": "a test"}
        assert http.post(f"{BASE}/{made['id']}/approve", headers=headers).status_code == 200
    client.bind("acme", made["id"], cidr, "cdn")
    return {"id": made["id"], "cidr": cidr, "bgp": client.bgp_prefixes("acme", made["id"])[0]["id"]}


def answer(api: Api, prefix: Mapping[str, str], at: datetime | None = None, /, **answers: Answer) -> None:
    """Let the checks be answered, as the runner records it."""
    with api.store.write() as session:
        _answer(session, prefix, at or datetime.now(UTC), answers)


def _answer(
    session: Session, prefix: Mapping[str, str], now: datetime, answers: Mapping[CheckName, Answer]
) -> None:
    prefix_checks.schedule(session, prefix["id"], list(answers), now, requested=False)
    session.flush()
    jobs = prefix_checks.due(session, CONFIG, now, 1000, ())
    job = next(j for j in jobs if j.subject.prefix_id == prefix["id"])
    prefix_checks.record(session, [Result(job, answers, now)], CONFIG)


def advertise(api: Api, prefix: Mapping[str, str], advertised: bool = True):
    with api.http() as http:
        return http.patch(
            f"{BASE}/{prefix['id']}/bgp/prefixes/{prefix['bgp']}",
            json={"on_demand": {"advertised": advertised}},
        )


def checks(api: Api, prefix: Mapping[str, str]) -> dict[str, dict]:
    with api.http() as http:
        found = http.get(f"/herald/v1/accounts/acme/prefixes/{prefix['id']}/checks").json()
    assert (found["prefix_id"], found["cidr"], found["required"]) == (prefix["id"], prefix["cidr"], True)
    return {c["name"]: c for c in found["result"]}


def test_without_a_source_all_stays_pending_and_says_why(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        ids = furnished(api)
        with api.http() as http:
            asked = http.post(f"{BASE}/{ids['prefix']}/validate").json()["result"]
            assert asked["id"] == ids["prefix"]
            found = http.get(f"/herald/v1/accounts/acme/prefixes/{ids['prefix']}/checks").json()
        assert [(c["state"], c["reason"], c["blocks"], c["under_way"]) for c in found["result"]] == [
            ("pending", "no source is configured", None, False)
        ] * 3
        assert api.client().edit_bgp_prefix(
            "acme", ids["prefix"], ids["bgp"], {"on_demand": {"advertised": True}}
        )


def test_the_sdk_starts_a_validation_and_sees_the_states(api: Api, prefix: Mapping[str, str]) -> None:
    sdk = Cloudflare(base_url=f"http://127.0.0.1:{api.port}/client/v4", api_token=api.token, max_retries=0)
    made = sdk.addressing.prefixes.validate(prefix["id"], account_id="acme")
    assert made is not None and made.id == prefix["id"]
    assert all(c["under_way"] for c in checks(api, prefix).values())
    answer(api, prefix, irr=GOOD, rpki=Answer("invalid", "AS1"), ownership=Answer("failed", "no answer"))
    shown = sdk.addressing.prefixes.get(prefix["id"], account_id="acme")
    states = (shown.irr_validation_state, shown.rpki_validation_state, shown.ownership_validation_state)
    assert states == ("valid", "invalid", "error")
    assert not any(c["under_way"] for c in checks(api, prefix).values())
    listed = {p.id: p for p in sdk.addressing.prefixes.list(account_id="acme")}
    assert listed[prefix["id"]].rpki_validation_state == "invalid"
    assert listed[prefix["id"]].model_extra["observed"]["warnings"] == [
        "rpki is invalid: AS1", "ownership is error: no answer"
    ]  # fmt: skip


def test_what_is_not_valid_blocks_a_new_announcement_and_says_what_to_publish(
    api: Api, prefix: Mapping[str, str]
) -> None:
    answer(api, prefix, irr=Answer("missing", "no object"), rpki=GOOD, ownership=GOOD)
    before = api.counts()
    refused = advertise(api, prefix)
    assert refused.status_code == 409
    (error,) = refused.json()["errors"]
    assert error["code"] == 1250
    assert f"publish a route object for exactly {prefix['cidr']} with origin AS64500" in error["message"]
    assert "the check irr is error" in error["message"] and "rpki" not in error["message"]
    assert api.counts() == before
    found = checks(api, prefix)
    assert found["irr"]["blocks"] == "no object" and found["irr"]["remedy"].startswith(
        "publish a route object"
    )
    assert (found["rpki"]["blocks"], found["rpki"]["remedy"]) == (None, None)
    answer(api, prefix, irr=GOOD)
    assert advertise(api, prefix).status_code == 200


@pytest.mark.parametrize("outcome", ["invalid", "missing", "failed"])
def test_nothing_that_a_check_says_withdraws_or_blocks_what_is_announced(
    api: Api, prefix: Mapping[str, str], outcome: str
) -> None:
    answer(api, prefix, irr=GOOD, rpki=GOOD, ownership=GOOD)
    assert advertise(api, prefix).status_code == 200
    before = api.change_sets()
    bad = Answer(outcome, "bad news")
    answer(api, prefix, irr=bad, rpki=bad, ownership=bad)
    assert api.change_sets() == before
    with api.http() as http:
        shown = http.get(f"{BASE}/{prefix['id']}").json()["result"]
        assert shown["advertised"] is True and len(shown["observed"]["warnings"]) == 3
    assert advertise(api, prefix).status_code == 200, "it is announced: asking again is fine"
    assert advertise(api, prefix, False).status_code == 200
    blocked = advertise(api, prefix)
    assert blocked.status_code == (200 if outcome == "failed" else 409), "a source that is away is no reason"


def test_a_valid_that_nobody_confirmed_for_too_long_blocks(api: Api, prefix: Mapping[str, str]) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    answer(api, prefix, long_ago, irr=GOOD, rpki=GOOD, ownership=GOOD)
    assert advertise(api, prefix).status_code == 200, "no look-up has failed"
    advertise(api, prefix, False)
    answer(api, prefix, rpki=Answer("failed", "the cache is away"))
    found = checks(api, prefix)["rpki"]
    assert (found["state"], found["trouble"]) == ("valid", "the cache is away")
    assert found["age_s"] > 86_400 * 1.9 and "valid 2 days ago" in found["warnings"][0]
    assert advertise(api, prefix).status_code == 409


def test_an_ending_roa_warns_and_blocks_new_announcements_only(api: Api, prefix: Mapping[str, str]) -> None:
    ends = Answer("valid", "a ROA", expires_at=datetime.now(UTC) + timedelta(days=6))
    answer(api, prefix, irr=GOOD, rpki=GOOD, ownership=GOOD)
    assert advertise(api, prefix).status_code == 200
    before = api.change_sets()
    answer(api, prefix, rpki=ends)
    assert api.change_sets() == before
    assert "ends within 7 days" in checks(api, prefix)["rpki"]["warnings"][0]
    assert advertise(api, prefix, False).status_code == 200
    assert "the ROA ends on" in advertise(api, prefix).json()["errors"][0]["message"]


def test_a_part_is_judged_by_itself(api: Api) -> None:
    client = api.client()
    made = client.create_prefix("acme", "172.16.0.0/20")
    with api.http() as http:
        http.post(f"{BASE}/{made['id']}/approve", headers={"Herald-Reason": "a test"})
    client.bind("acme", made["id"], "172.16.0.0/20", "cdn")
    part, _ = client.create_bgp_prefix("acme", made["id"], "172.16.1.0/24")
    prefix = {"id": made["id"], "bgp": part["id"], "cidr": made["cidr"]}

    def roa(max_length: int) -> Answer:
        vrp = Vrp(key_of(Prefix("172.16.0.0/20")), max_length, 64500)
        return Answer("valid", "a ROA", evidence=(vrp_evidence(vrp, None, "test", matches=True),))

    answer(api, prefix, irr=GOOD, rpki=roa(20), ownership=GOOD)
    refused = advertise(api, prefix)
    assert refused.status_code == 409
    assert "maximum length of 24 or more" in refused.json()["errors"][0]["message"]
    answer(api, prefix, rpki=roa(24))
    assert advertise(api, prefix).status_code == 200


def test_approving_what_is_not_valid_needs_a_reason(api: Api) -> None:
    made = api.client().create_prefix("acme", "172.17.0.0/24")
    with api.http() as http:
        refused = http.post(f"{BASE}/{made['id']}/approve")
        assert refused.status_code == 409
        (error,) = refused.json()["errors"]
        assert (error["code"], error["source"]["pointer"]) == (1251, "/header/Herald-Reason")
        foreseen = http.post(f"{BASE}/{made['id']}/approve?dry_run=true")
        assert foreseen.status_code == 409
    answer(api, made, irr=GOOD, rpki=GOOD, ownership=GOOD)
    with api.http() as http:
        assert http.post(f"{BASE}/{made['id']}/approve").status_code == 200


def test_history_has_each_answer_once_and_the_newest_first(api: Api, prefix: Mapping[str, str]) -> None:
    for said in (GOOD, GOOD, Answer("missing", "gone"), Answer("missing", "gone"), GOOD):
        answer(api, prefix, irr=said)
    with api.http() as http:
        path = f"/herald/v1/accounts/acme/prefixes/{prefix['id']}/checks/history"
        found = http.get(path).json()["result"]
        assert [(a["outcome"], a["state"]) for a in found] == [
            ("valid", "valid"), ("missing", "valid"), ("valid", "valid")
        ]  # fmt: skip
        assert len(http.get(f"{path}?limit=1").json()["result"]) == 1


def test_text_of_any_kind_is_kept(api: Api, prefix: Mapping[str, str]) -> None:
    odd = Answer("invalid", "a\x00b\ud800" + "x" * 3000, "s" * 900, ({"txt": ["\x00\x1b[31m"]},))
    answer(api, prefix, ownership=odd)
    found = checks(api, prefix)["ownership"]
    assert len(found["reason"]) == 1000 and "\x00" not in found["reason"]
    assert found["evidence"] == [{"txt": ["��[31m"]}]


def test_a_check_that_is_asked_for_anew_while_it_is_looked_up_stays_due(
    api: Api, prefix: Mapping[str, str]
) -> None:
    now = datetime.now(UTC)
    with api.store.write() as session:
        prefix_checks.schedule(session, prefix["id"], ["irr"], now, requested=False)
    with api.store.read() as session:
        job = next(
            j
            for j in prefix_checks.due(session, CONFIG, now, 1000, ())
            if j.subject.prefix_id == prefix["id"]
        )
    later = now + timedelta(seconds=1)
    with api.store.write() as session:
        prefix_checks.schedule(session, prefix["id"], ["irr"], later, requested=True)
    with api.store.write() as session:
        prefix_checks.record(session, [Result(job, {"irr": GOOD}, now)], CONFIG)
    assert checks(api, prefix)["irr"]["under_way"] is True
    with api.store.read() as session:
        jobs = {j.subject.prefix_id: j for j in prefix_checks.due(session, CONFIG, later, 1000, ())}
        assert jobs[prefix["id"]].due["irr"] == later


def test_only_prefixes_that_changed_vrps_concern_become_due(api: Api, prefix: Mapping[str, str]) -> None:
    near = Vrp(key_of(Prefix(prefix["cidr"])), 24, 1)
    far = Vrp(key_of(Prefix("198.51.100.0/24")), 24, 1)
    with api.store.read() as session:
        assert prefix_checks.affected(session, VrpSet([near])) == [prefix["id"]]
        assert prefix_checks.affected(session, VrpSet([far])) == []
        everything = prefix_checks.affected(session, None)
    assert prefix["id"] in everything and len(everything) > 1


def test_prefixes_without_checks_are_adopted(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        furnished(api)
        with api.store.write() as session:
            assert prefix_checks.adopt(session, CONFIG.available(), datetime.now(UTC)) == 3
        with api.store.write() as session:
            assert prefix_checks.adopt(session, CONFIG.available(), datetime.now(UTC)) == 0


def test_sources_are_for_operators(api: Api) -> None:
    customer = api.client().create_token("customer", account_id="acme")["token"]
    with api.http(customer) as http:
        assert http.get("/herald/v1/validation").status_code == 403
        body = {"source": "127.0.0.1:1", "vrps": 1}
        assert http.post("/herald/v1/validation/accept", json=body).status_code == 403
    with api.http() as http:
        found = http.get("/herald/v1/validation").json()
        assert found["available"] == ["irr", "rpki", "ownership"] and found["required"] is True
        refused = http.post("/herald/v1/validation/accept", json=body)
        assert refused.status_code == 409 and refused.json()["errors"][0]["code"] == 1252


OUTCOMES = st.builds(
    Answer,
    outcome=st.sampled_from(["valid", "invalid", "missing", "failed"]),
    reason=st.sampled_from(["a", "b"]),
    expires_at=st.none() | st.integers(-40, 40).map(lambda d: datetime.now(UTC) + timedelta(days=d)),
)


def test_no_sequence_of_check_results_makes_any_change_set(api: Api, prefix: Mapping[str, str]) -> None:
    answer(api, prefix, irr=GOOD, rpki=GOOD, ownership=GOOD)
    assert advertise(api, prefix).status_code == 200
    change_sets, rows = api.change_sets(), api.counts()

    @settings(max_examples=10)
    @given(
        st.lists(
            st.dictionaries(st.sampled_from(["irr", "rpki", "ownership"]), OUTCOMES, min_size=1), max_size=6
        ),
        st.sampled_from([None, VrpSet(), VrpSet([Vrp(key_of(Prefix(prefix["cidr"])), 24, 7)])]),
    )
    def law(history: list[dict[CheckName, Answer]], vrps: VrpSet | None) -> None:
        now = datetime.now(UTC)
        with api.store.write() as session:
            for answers in history:
                _answer(session, prefix, now, answers)
            prefix_checks.adopt(session, CONFIG.available(), now)
            prefix_checks.make_due(session, prefix_checks.affected(session, vrps), "rpki", now)
        assert api.change_sets() == change_sets
        own = ("prefix_check", "timeline")  # checks, and what accounts are told of them
        left = {name: n for name, n in api.counts().items() if not name.startswith(own)}
        assert left == {name: n for name, n in rows.items() if not name.startswith(own)}
        with api.http() as http:
            assert http.get(f"{BASE}/{prefix['id']}").json()["result"]["advertised"] is True

    law()
    assert api.woken == change_sets, "and the driver was told of nothing else"


def test_a_job_is_what_is_due(api: Api, prefix: Mapping[str, str]) -> None:
    now = datetime.now(UTC)
    with api.store.read() as session:
        jobs: list[Job] = prefix_checks.due(session, CONFIG, now, 1, ())
        assert len(jobs) == 1, "no more than there is room for"
        busy = [j.subject.prefix_id for j in prefix_checks.due(session, CONFIG, now, 1000, ())]
        assert prefix_checks.due(session, CONFIG, now, 10, busy) == []


def test_the_account_is_told_when_a_check_comes_to_another_state(api: Api, prefix: Mapping[str, str]) -> None:
    bad = Answer("invalid", "AS1 holds it", "test", ({"asn": 1},))
    for one in (GOOD, GOOD, bad):
        answer(api, prefix, rpki=one)
    with api.http() as http:
        found = http.get(f"/herald/v1/accounts/acme/timeline?limit=1000&prefix_id={prefix['id']}").json()
    told = [e for e in found["result"] if e["type"] == "prefix.checked"]
    assert [e["reason"] for e in told] == ["rpki: valid: all is well", "rpki: invalid: AS1 holds it"]
    assert {e["kind"] for e in told} == {"observed"}
    assert told[1]["detail"] == {
        "check": "rpki", "before": "valid", "state": "invalid", "source": "test", "evidence": [{"asn": 1}],
    }  # fmt: skip
