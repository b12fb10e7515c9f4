"""Webhooks against real receivers on loopback: signed, in order, retried, given up, and never misdirected."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from controller.timeline.policy import WebhookPolicy
from tests.addressing_api import Api, running_api
from tests.receiver import DEADLINE_S, LAB, Receiver, sending

ANYWHERE = {"url": "https://hooks.example/", "events": ["*"]}
NUMBERS = itertools.count(1)
Make = Callable[..., Receiver]


class Account:
    """An account of its own in a running API, with an approved and bound prefix."""

    def __init__(self, running: Api) -> None:
        number = next(NUMBERS)
        self.id, self.cidr, self.running = f"a{number}", f"10.0.{number}.0/24", running
        self.app, self.store, self.http, self.client = (
            running.app,
            running.store,
            running.http,
            running.client,
        )
        self.hooks = f"/herald/v1/accounts/{self.id}/webhooks"
        self.timeline = f"/herald/v1/accounts/{self.id}/timeline?limit=1000"
        self.base = f"/client/v4/accounts/{self.id}/addressing/prefixes"
        client = running.client()
        client.create_service("cdn", "CDN")
        client.create_account(self.id, id=self.id)
        self.prefix = client.create_prefix(self.id, self.cidr)["id"]
        client.approve_prefix(self.id, self.prefix)
        client.bind(self.id, self.prefix, self.cidr, "cdn")
        self.bgp = client.bgp_prefixes(self.id, self.prefix)[0]["id"]
        self.part = f"{self.base}/{self.prefix}/bgp/prefixes/{self.bgp}"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("w")) as served:
        yield served


@pytest.fixture
def api(running: Api) -> Account:
    running.app.state.context = replace(running.app.state.context, webhooks=WebhookPolicy())
    return Account(running)


@pytest.fixture
def receiver() -> Iterator[Make]:
    made: list[Receiver] = []

    def make(*answers: Any, **more: Any) -> Receiver:
        made.append(Receiver(*answers, **more))
        return made[-1]

    yield make
    for one in made:
        one.down()


def call(api: Account, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    with api.http() as http:
        answer = http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def hook(api: Account, to: Receiver, *events: str) -> dict[str, Any]:
    return call(api, "POST", api.hooks, {"url": to.url, "events": list(events) or ["bgp_prefix.*"]})


def toggle(api: Account, *wanted: bool) -> None:
    for advertised in wanted:
        path = api.part
        call(api, "PATCH", path, {"on_demand": {"advertised": advertised}})


def deliveries(api: Account, webhook: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    return call(api, "GET", f"{api.hooks}/{webhook['id']}/deliveries{query}")["result"]


def until(
    api: Account, webhook: dict[str, Any], wanted: Callable[[list[dict[str, Any]]], bool]
) -> list[dict]:
    """Ask until the deliveries are as wanted: the answer of a receiver is written down a moment later."""
    done = threading.Event()
    for _ in range(int(DEADLINE_S / 0.02)):
        found = deliveries(api, webhook)
        if wanted(found):
            return found
        done.wait(0.02)
    raise AssertionError(found)


def refused(api: Account, method: str, path: str, body: Any, told: tuple[int, int]) -> dict[str, Any]:
    status, code = told
    (error,) = call(api, method, path, body, status)["errors"]
    assert error["code"] == code, error
    return error


# -- what arrives -----------------------------------------------------------------------------------------
def test_a_change_arrives_signed_as_the_library_wants_it(api: Account, receiver: Make) -> None:
    to = receiver()
    with sending(api):
        made = hook(api, to, "bgp_prefix.advertised", "change_set.*")
        toggle(api, True)
        first, second = to.wait_for(2)[:2]
        (row, _) = until(api, made, lambda d: [x["state"] for x in d] == ["delivered"] * 2)
    assert made["secret"].startswith("whsec_")
    payload = first.verified(made["secret"])
    assert payload["type"] == "bgp_prefix.advertised"
    assert payload["timestamp"] == payload["data"]["at"]
    data = payload["data"]
    assert data["object"] == {"kind": "bgp_prefix", "id": api.bgp}
    assert data["prefix_id"] == api.prefix
    assert data["detail"]["changed"]["advertised"] == {"before": False, "after": True}
    queued = second.verified(made["secret"])
    assert (queued["type"], queued["data"]["change_set_id"]) == ("change_set.queued", data["change_set_id"])
    assert queued["data"]["detail"]["cidrs"] == [api.cidr]
    assert first.id != second.id
    with pytest.raises(WebhookVerificationError):
        first.verified("whsec_" + "A" * 44)
    assert (row["id"], row["attempts"], row["last_status"], row["last_error"]) == (first.id, 1, 200, "")


def test_the_secret_is_shown_once_and_is_in_no_history(api: Account, receiver: Make) -> None:
    made = call(api, "POST", api.hooks, ANYWHERE)
    rotated = call(api, "POST", f"{api.hooks}/{made['id']}/rotate", {})
    shown = [
        call(api, "GET", api.hooks),
        call(api, "GET", f"{api.hooks}/{made['id']}"),
        call(api, "GET", api.timeline),
        call(api, "GET", "/herald/v1/audit?limit=1000"),
        deliveries(api, made),
    ]
    for secret in (made["secret"], rotated["secret"]):
        assert secret not in str(shown)
    with api.http() as http:
        for path, body in ((api.hooks, {"url": "https://a.example/", "events": ["*"]}),
                           (f"{api.hooks}/{made['id']}/rotate", {})):  # fmt: skip
            answer = http.post(path, json=body, headers={"Idempotency-Key": "k"})
            assert answer.status_code == 400 and "shown once" in answer.text


def test_a_rotated_secret_overlaps_with_the_old_one(api: Account, receiver: Make) -> None:
    to = receiver()
    with sending(api):
        made = hook(api, to)
        rotated = call(api, "POST", f"{api.hooks}/{made['id']}/rotate", {"overlap_s": 600})
        toggle(api, True)
        (both,) = to.wait_for(1)
        assert both.verified(made["secret"]) == both.verified(rotated["secret"])
        again = call(api, "POST", f"{api.hooks}/{made['id']}/rotate", {"overlap_s": 0})
        toggle(api, False)
        only = to.wait_for(2)[1]
        assert only.verified(again["secret"])["type"] == "bgp_prefix.withdrawn"
        with pytest.raises(WebhookVerificationError):
            only.verified(rotated["secret"])


def test_a_webhook_gets_what_it_chose_of_its_own_account_and_nothing_else(
    api: Account, receiver: Make
) -> None:
    chosen, everything = receiver(), receiver()
    other = Account(api.running)
    with sending(api):
        hook(api, chosen, "bgp_prefix.withdrawn", "prefix.*")
        hook(api, everything, "*")
        toggle(other, True)
        call(api, "PATCH", f"{api.base}/{api.prefix}", {"description": "x"})
        toggle(api, True, False)
        chosen.wait_for(2)
        everything.wait(lambda _: everything.types().count("change_set.queued") == 2)
    assert chosen.types() == ["prefix.edited", "bgp_prefix.withdrawn"]
    assert {r.account_id for r in everything.received} == {api.id}
    assert everything.types()[:2] == ["webhook.created", "prefix.edited"], "its own making, then the rest"


# -- when it does not arrive ------------------------------------------------------------------------------
def test_what_failed_is_sent_again_with_its_id_before_what_came_later(api: Account, receiver: Make) -> None:
    to = receiver(500, 503, 302, headers={"Location": "http://127.0.0.1:1/", "Retry-After": "0"})
    with sending(api):
        made = hook(api, to)
        toggle(api, True, False, True)
        found = to.wait_for(6)
        rows = until(api, made, lambda d: [x["state"] for x in d] == ["delivered"] * 3)
    ids = [r.id for r in found]
    assert ids[:4] == [ids[0]] * 4, "the same webhook-id at each attempt"
    assert len({r.body for r in found[:4]}) == 1
    assert [r.answered for r in found] == [500, 503, 302, 200, 200, 200]
    assert [r.type.partition(".")[2] for r in found[3:]] == ["advertised", "withdrawn", "advertised"]
    assert [r["attempts"] for r in rows] == [4, 1, 1]
    assert [r["id"] for r in rows] == list(dict.fromkeys(ids))


def test_a_receiver_that_is_down_gets_all_of_it_in_order_when_it_is_back(
    api: Account, receiver: Make
) -> None:
    to = receiver()
    to.down()
    with sending(api):
        made = hook(api, to)
        toggle(api, True, False)
        rows = until(api, made, lambda d: d[0]["attempts"] >= 2)
        assert rows[0]["state"] == "pending" and rows[0]["next_attempt_at"] is not None
        assert (rows[0]["last_status"], rows[1]["attempts"]) == (None, 0)
        assert "ConnectError" in rows[0]["last_error"]
        assert call(api, "GET", f"{api.hooks}/{made['id']}")["pending"] == 2
        to.up()
        to.wait_for(2)
    assert to.types() == ["bgp_prefix.advertised", "bgp_prefix.withdrawn"]


def test_a_slow_receiver_is_broken_off_and_holds_up_nobody_else(api: Account, receiver: Make) -> None:
    may_go_on = threading.Event()

    def slow() -> int:
        may_go_on.wait(DEADLINE_S)
        return 200

    lazy, brisk = receiver(slow), receiver()
    with sending(api, WebhookPolicy(private_targets=True, first_delay_s=0.02, timeout_s=0.3)):
        late = hook(api, lazy)
        hook(api, brisk)
        toggle(api, True)
        brisk.wait_for(1)
        rows = until(api, late, lambda d: d[0]["attempts"] >= 1)
        assert "no answer within 0.3 s" in rows[0]["last_error"] or rows[0]["state"] == "delivered"
        may_go_on.set()
        found = lazy.wait_for(2)
    assert len({r.id for r in found}) == 1


def test_a_target_that_is_gone_disables_its_webhook_and_others_are_told(api: Account, receiver: Make) -> None:
    gone, other = receiver(410), receiver()
    with sending(api):
        made = hook(api, gone)
        hook(api, other, "webhook.disabled")
        toggle(api, True, False)
        (told,) = other.wait_for(1)
        shown = call(api, "GET", f"{api.hooks}/{made['id']}")
        assert shown["enabled"] is False and "410" in shown["disabled_reason"]
        assert (told.type, shown["pending"]) == ("webhook.disabled", 0)
        assert {d["state"] for d in deliveries(api, made)} == {"failed"}
        refused(api, "POST", f"{api.hooks}/{made['id']}/test", None, (409, 1293))
        toggle(api, True)  # nothing is kept for it meanwhile
        assert len(deliveries(api, made, "?state=failed")) == len(deliveries(api, made))
        assert call(api, "PATCH", f"{api.hooks}/{made['id']}", {"enabled": True})["enabled"] is True
        toggle(api, False)
        assert gone.wait_for(2)[1].type == "bgp_prefix.withdrawn"


def test_what_fails_for_too_long_is_given_up_and_shown(api: Account, receiver: Make) -> None:
    to = receiver(*[500] * 50)
    impatient = WebhookPolicy(private_targets=True, first_delay_s=0.02, give_up_after=timedelta(0))
    with sending(api, impatient):
        made = hook(api, to)
        toggle(api, True)
        until(api, made, lambda d: d[0]["state"] == "failed")
        shown = call(api, "GET", f"{api.hooks}/{made['id']}")
    assert shown["enabled"] is False
    assert "nothing arrived since" in shown["disabled_reason"] and "500" in shown["disabled_reason"]
    told = call(api, "GET", api.timeline)["result"][-1]
    assert (told["type"], told["kind"], told["object"]["id"]) == (
        "webhook.disabled",
        "operational",
        made["id"],
    )


def test_a_delivery_can_be_asked_for_again(api: Account, receiver: Make) -> None:
    to = receiver()
    with sending(api):
        made = hook(api, to)
        toggle(api, True)
        (row,) = until(api, made, lambda d: d[0]["state"] == "delivered")
        path = f"{api.hooks}/{made['id']}/deliveries/{row['id']}/redeliver"
        assert call(api, "POST", path)["state"] == "pending"
        first, second = to.wait_for(2)
        assert (first.id, first.body) == (second.id, second.body)
        to.down()
        toggle(api, False)
        waiting = deliveries(api, made)[-1]
        refused(
            api, "POST", f"{api.hooks}/{made['id']}/deliveries/{waiting['id']}/redeliver", None, (409, 1294)
        )
        refused(api, "POST", f"{api.hooks}/{made['id']}/deliveries/msg_x/redeliver", None, (404, 7003))


def test_a_test_goes_to_the_webhook_that_is_tested(api: Account, receiver: Make) -> None:
    to, other = receiver(), receiver()
    with sending(api):
        made, _ = hook(api, to, "prefix.*"), hook(api, other, "*")
        asked = call(api, "POST", f"{api.hooks}/{made['id']}/test")
        (found,) = to.wait_for(1)
        other.wait(lambda _: "webhook.tested" in other.types())
    assert (found.id, found.type) == (asked["id"], "webhook.test")
    assert found.verified(made["secret"])["data"]["object"] == {"kind": "webhook", "id": made["id"]}
    assert "webhook.test" not in other.types()


# -- what is written, and when ----------------------------------------------------------------------------
def test_a_refused_write_and_a_dry_run_tell_nobody(api: Account, receiver: Make) -> None:
    made = call(api, "POST", api.hooks, ANYWHERE)
    before = api.running.counts()
    path = api.part
    call(api, "PATCH", f"{path}?dry_run=true", {"on_demand": {"advertised": True}})
    call(api, "DELETE", f"{api.base}/{api.prefix}", status=409)
    call(api, "POST", f"{api.hooks}?dry_run=true", {"url": "http://127.0.0.1/", "events": ["*"]}, status=400)
    assert api.running.counts() == before
    toggle(api, True)
    assert [d["type"] for d in deliveries(api, made)][-2:] == ["bgp_prefix.advertised", "change_set.queued"]


def test_deliveries_are_paged(api: Account, receiver: Make) -> None:
    made = call(api, "POST", api.hooks, ANYWHERE)
    toggle(api, True, False)
    whole = deliveries(api, made)
    page = call(api, "GET", f"{api.hooks}/{made['id']}/deliveries?limit=2")
    rest = call(api, "GET", f"{api.hooks}/{made['id']}/deliveries?limit=1000&after={page['next']}")
    assert page["result"] + rest["result"] == whole and rest["next"] is None
    assert deliveries(api, made, "?state=delivered") == []


# -- what is refused --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example/", "give https"),
        ("https://127.0.0.1/", "not on the public Internet"),
        ("https://10.1.2.3/", "not on the public Internet"),
        ("https://169.254.169.254/latest", "not on the public Internet"),
        ("https://[::1]/", "not on the public Internet"),
        ("https://[fe80::1]/", "not on the public Internet"),
        ("https://[::ffff:127.0.0.1]/", "not on the public Internet"),
        ("https://[64:ff9b::a00:1]/", "not on the public Internet"),
        ("https://[2002:7f00:1::]/", "not on the public Internet"),
        ("https://224.0.0.1/", "no host's address"),
        ("https://0.0.0.0/", "no host's address"),
        ("https://user:pass@hooks.example/", "user or password"),
        ("https://hooks.example/#x", "fragment"),
        ("https://hooks.example:99999/", "no URL"),
        ("https:///path", "names no host"),
    ],
)
def test_production_sends_to_the_public_internet_only(api: Account, url: str, why: str) -> None:
    before = api.running.counts()
    error = refused(api, "POST", api.hooks, {"url": url, "events": ["*"]}, (400, 1290))
    assert why in error["message"] and error["source"]["pointer"] == "/url"
    assert api.running.counts() == before


def test_a_name_that_leads_to_a_private_address_is_refused_when_it_is_connected_to(
    api: Account, receiver: Make
) -> None:
    to = receiver()
    made = call(api, "POST", api.hooks, {"url": f"https://localhost:{to.port}/", "events": ["bgp_prefix.*"]})
    with sending(api, WebhookPolicy(first_delay_s=0.02)):
        toggle(api, True)
        rows = until(api, made, lambda d: d[0]["attempts"] >= 1)
    assert "refused by our policy" in rows[0]["last_error"] and to.received == []


def test_a_redirect_is_not_followed(api: Account, receiver: Make) -> None:
    inside = receiver()
    to = receiver(*[307] * 50, headers={"Location": inside.url})
    with sending(api):
        made = hook(api, to)
        toggle(api, True)
        rows = until(api, made, lambda d: d[0]["attempts"] >= 2)
    assert "redirect" in rows[0]["last_error"] and inside.received == []


def test_bad_webhooks_are_refused_by_field(api: Account) -> None:
    good = ANYWHERE
    error = refused(api, "POST", api.hooks, {**good, "events": ["*", "prefix.exploded"]}, (400, 1291))
    assert error["source"]["pointer"] == "/events/1" and "bgp_prefix.*" in error["message"]
    for bad in (
        {"events": []},
        {"events": ["Prefix.*"]},
        {"url": "ftp://x"},
        {"url": "https://a b"},
        {"x": 1},
    ):
        assert call(api, "POST", api.hooks, {**good, **bad}, 400)["errors"][0]["code"] == 1002, bad
    made = call(api, "POST", api.hooks, good)
    for bad in ({}, {"url": None}, {"enabled": "yes"}):
        call(api, "PATCH", f"{api.hooks}/{made['id']}", bad, 400)
    few = WebhookPolicy(most_webhooks=2)
    api.app.state.context = replace(api.app.state.context, webhooks=few)
    call(api, "POST", api.hooks, good)
    refused(api, "POST", api.hooks, good, (409, 1292))
    call(api, "DELETE", f"{api.hooks}/{made['id']}")
    call(api, "GET", f"{api.hooks}/{made['id']}", status=404)
    call(api, "POST", api.hooks, good)


def test_a_webhook_is_its_accounts_alone(api: Account, receiver: Make) -> None:
    other = Account(api.running)
    token = api.client().create_token("customer", account_id=other.id, description="")["token"]
    with sending(api):
        made = hook(api, receiver())
    with api.http(token) as http:
        assert http.get(f"{api.hooks}/{made['id']}").status_code == 403
        own = other.hooks
        assert http.get(own).json() == {"result": []}
        for path in ("", "/deliveries"):
            assert http.get(f"{own}/{made['id']}{path}").status_code == 404


def test_if_match_guards_a_webhook(api: Account) -> None:
    made = call(api, "POST", api.hooks, ANYWHERE)
    with api.http() as http:
        tag = http.get(f"{api.hooks}/{made['id']}").headers["ETag"]
        for status in (200, 412):
            answer = http.patch(
                f"{api.hooks}/{made['id']}", json={"description": "x"}, headers={"If-Match": tag}
            )
            assert answer.status_code == status


# -- the policy, alone ------------------------------------------------------------------------------------
def test_the_wait_doubles_up_to_its_longest_and_is_jittered() -> None:
    policy = WebhookPolicy()
    assert [policy.delay_s(n, 0.0) for n in (1, 2, 3, 11, 12, 500)] == [1, 2, 4, 1024, 1800, 1800]
    assert policy.delay_s(3, 0.999) == pytest.approx(2.002)
    waits = [policy.delay_s(n, 0.5) for n in range(1, 400)]
    assert waits == sorted(waits)


def test_a_lab_may_be_its_own_receiver() -> None:
    LAB.check_url("http://127.0.0.1:8080/hook")
    LAB.check_url("https://10.0.0.1/")
