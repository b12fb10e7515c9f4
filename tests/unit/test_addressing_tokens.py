"""Tokens: what each role may issue, never wider than its own; and what each of them may do then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from controller.addressing.auth import authenticate, issue_token
from controller.addressing.errors import Refusal
from controller.addressing.permissions import ANY, VERBS, Scopes, scopes_from, wider
from tests.addressing_api import Api, furnished, running_api

TOKENS = "/herald/v1/tokens"
PREFIXES = "/client/v4/accounts/acme/addressing/prefixes"
READ_ALL = {"*": ["read"]}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("tokens")) as running:
        running.ids = furnished(running)
        running.client().create_account("Globex", id="globex")
        yield running


def later(**parts: float) -> str:
    return (datetime.now(UTC) + timedelta(**parts)).isoformat()


def ask(api: Api, body: dict[str, Any], token: str | None = None) -> httpx.Response:
    with api.http(token) as http:
        return http.post(TOKENS, json=body, headers={"Herald-Reason": "a test"})


def issued(api: Api, token: str | None = None, **body: Any) -> dict[str, Any]:
    answer = ask(api, body, token)
    assert answer.status_code == 200, answer.text
    return answer.json()


def customer(api: Api, token: str | None = None, **body: Any) -> dict[str, Any]:
    return issued(api, token, role="customer", account_id="acme", **body)


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({"role": "customer"}, "/account_id", "needs an account_id"),
        ({"role": "customer", "account_id": "nobody"}, "/account_id", "no account"),
        ({"role": "operator", "account_id": "acme"}, "/account_id", "leave account_id out"),
        ({"role": "break-glass"}, "/expires_at", "needs an expires_at"),
        ({"role": "break-glass", "expires_at": later(hours=10)}, "/expires_at", "at most 8 hours"),
        ({"role": "break-glass", "expires_at": later(hours=1), "account_id": "acme"}, "/account_id", "all"),
        ({"role": "task", "scopes": READ_ALL, "expires_at": later(days=1)}, "/scopes", "names each"),
        ({"role": "task", "expires_at": later(days=1)}, "/scopes", "names each"),
        ({"role": "task", "scopes": {"prefixes": ["read"]}}, "/expires_at", "needs an expires_at"),
        ({"role": "operator", "expires_at": later(hours=-1)}, "/expires_at", "is over"),
        ({"role": "operator", "expires_at": "2026-02-30T00:00:00Z"}, "/expires_at", "no time"),
        ({"role": "operator", "expires_at": "2026-12-30"}, "/expires_at", ""),
        ({"role": "operator", "expires_at": "0001-01-01T00:00:00+23:59"}, "/expires_at", "no time"),
        ({"role": "operator", "scopes": {"colours": ["read"]}}, "/scopes/colours", "no resource"),
        ({"role": "operator", "scopes": {"caller": ["read"]}}, "/scopes/caller", "no resource"),
        ({"role": "operator", "scopes": {"prefixes": ["look"]}}, "/scopes/prefixes/0", ""),
        ({"role": "operator", "scopes": {"prefixes": []}}, "/scopes/prefixes", ""),
        ({"role": "operator", "scopes": {}}, "/scopes", ""),
        ({"role": "root"}, "/role", ""),
        ({"role": "operator", "description": "a\nb"}, "/description", ""),
    ],
)
def test_tokens_that_make_no_sense_are_refused(
    api: Api, body: dict[str, Any], pointer: str, says: str
) -> None:
    before = api.counts()
    answer = ask(api, body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["errors"][0]
    assert error["source"]["pointer"] == pointer and says in error["message"], error
    assert api.counts() == before


def test_a_customer_issues_narrower_tokens_for_its_own_account_and_never_wider(api: Api) -> None:
    end = later(days=2)
    scopes = {"prefixes": ["read", "edit"], "tokens": ["create", "read", "delete"]}
    mine = customer(api, scopes=scopes, expires_at=end)
    narrower = customer(api, mine["token"], scopes={"prefixes": ["read"]}, expires_at=later(days=1))
    assert narrower["issued_by"] == mine["id"]
    before = api.counts()
    base = {"role": "customer", "account_id": "acme", "expires_at": end, "scopes": {"prefixes": ["read"]}}
    for change, status, label, pointer in (
        ({"scopes": None}, 403, "wider_than_your_token", "/scopes"),
        ({"scopes": {"prefixes": ["read", "delete"]}}, 403, "wider_than_your_token", "/scopes"),
        ({"scopes": {"*": ["read"]}}, 403, "wider_than_your_token", "/scopes"),
        ({"expires_at": None}, 403, "wider_than_your_token", "/expires_at"),
        ({"expires_at": later(days=3)}, 403, "wider_than_your_token", "/expires_at"),
        ({"account_id": "globex"}, 403, "wider_than_your_token", "/account_id"),
        ({"role": "operator", "account_id": None}, 403, "not_allowed", "/role"),
        ({"role": "task", "account_id": "acme"}, 403, "not_allowed", "/role"),
        (
            {"role": "break-glass", "account_id": None, "expires_at": later(hours=1)},
            403,
            "not_allowed",
            "/role",
        ),
    ):
        answer = ask(api, {**base, **change}, mine["token"])
        error = answer.json()["errors"][0]
        assert (answer.status_code, error["source"]["pointer"]) == (status, pointer), (change, error)
        assert error["message"].startswith(label + ": "), error
    assert api.counts() == before


def test_a_customer_sees_and_revokes_its_accounts_tokens_only(api: Api) -> None:
    mine, other = customer(api), issued(api, role="customer", account_id="globex")
    task = issued(
        api, role="task", account_id="acme", scopes={"prefixes": ["read"]}, expires_at=later(hours=1)
    )
    with api.http(mine["token"]) as http:
        assert {t["account_id"] for t in http.get(TOKENS).json()} == {"acme"}
        assert http.get(f"{TOKENS}/{mine['id']}").json()["id"] == mine["id"]
        assert http.get(f"{TOKENS}/{other['id']}").status_code == 404
        assert http.delete(f"{TOKENS}/{other['id']}").status_code == 404
        assert http.delete(f"{TOKENS}/{mine['id']}").status_code == 403  # the one in use
        assert http.delete(f"{TOKENS}/{task['id']}").status_code == 403
        second = customer(api, mine["token"])
        assert http.delete(f"{TOKENS}/{second['id']}").json()["revoked"] == [second["id"]]
        assert http.delete(f"{TOKENS}/{second['id']}").json()["revoked"] == []  # again is fine


def test_what_a_stolen_token_issued_can_be_revoked_with_it(api: Api) -> None:
    stolen = customer(api)
    child = customer(api, stolen["token"])
    grandchild = customer(api, child["token"])
    with api.http() as http:
        answer = http.delete(f"{TOKENS}/{stolen['id']}?with_issued=true").json()
        assert set(answer["revoked"]) == {stolen["id"], child["id"], grandchild["id"]}
    with api.http(grandchild["token"]) as http:
        assert http.get("/herald/v1/caller").status_code == 401


def test_a_token_rotates_itself_out(api: Api) -> None:
    old = customer(api)
    new = customer(api, old["token"])
    with api.http(new["token"]) as http:
        assert http.delete(f"{TOKENS}/{old['id']}").json()["revoked"] == [old["id"]]
        assert http.get("/herald/v1/caller").status_code == 200


def test_break_glass_has_an_operators_powers_and_issues_nothing_that_outlasts_it(api: Api) -> None:
    glass = issued(api, role="break-glass", expires_at=later(hours=8))
    with api.http(glass["token"]) as http:
        why = {"Herald-Reason": "the site burns"}
        made = http.post(PREFIXES, json={"cidr": "198.18.1.0/24", "asn": None}, headers=why).json()["result"]
        assert http.post(f"{PREFIXES}/{made['id']}/approve", headers=why).status_code == 200
        event = http.get(f"/herald/v1/audit?object_id={made['id']}&action=approve").json()["result"][0]
        assert (event["actor"], event["reason"]) == (f"break-glass:{glass['id']}", "the site burns")
    for body in (
        {"role": "operator", "expires_at": later(hours=1)},
        {"role": "customer", "account_id": "acme"},
        {"role": "break-glass", "expires_at": later(hours=8)},
    ):
        answer = ask(api, body, glass["token"])
        assert answer.status_code == 403, body
    customer(api, glass["token"], expires_at=later(hours=1))


def test_a_task_does_what_its_scopes_name_and_nothing_that_needs_somebody(api: Api) -> None:
    scopes = {"prefixes": ["read", "create", "edit"], "tokens": list(VERBS), "accounts": list(VERBS)}
    task = issued(api, role="task", scopes=scopes, expires_at=later(hours=1))
    with api.http(task["token"]) as http:
        assert http.get("/herald/v1/caller").json()["role"] == "task"
        assert len(http.get("/herald/v1/accounts").json()) == 2  # a task without an account sees all
        made = http.post(PREFIXES, json={"cidr": "198.18.2.0/24", "asn": None}).json()["result"]["id"]
        assert http.post(f"{PREFIXES}/{made}/approve").status_code == 403
        assert http.delete(f"{PREFIXES}/{made}").status_code == 403
        assert http.post("/herald/v1/accounts", json={"name": "x"}).status_code == 403
        assert http.delete(f"{TOKENS}/{task['id']}").status_code == 403
    assert ask(api, {"role": "customer", "account_id": "acme"}, task["token"]).status_code == 403
    bound = issued(api, role="task", account_id="globex", scopes=scopes, expires_at=later(hours=1))
    with api.http(bound["token"]) as http:
        assert http.get(PREFIXES).status_code == 403
        assert [a["id"] for a in http.get("/herald/v1/accounts").json()] == ["globex"]


def test_the_caller_learns_what_its_token_is(api: Api) -> None:
    mine = customer(api, scopes={"bindings": ["delete", "read"]}, expires_at="2999-01-01T00:00:00+01:00")
    with api.http(mine["token"]) as http:
        assert http.get("/herald/v1/caller").json() == {
            "id": mine["id"], "role": "customer", "account_id": "acme",
            "scopes": {"bindings": ["read", "delete"]}, "expires_at": "2998-12-31T23:00:00.000000Z",
        }  # fmt: skip


def test_a_token_ends_at_its_time_to_the_microsecond(api: Api) -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    with api.store.write() as session:
        token, row = issue_token(session, "operator", None, "", end, expires_at=end)
        session.flush()
        assert authenticate(session, token, end - timedelta(microseconds=1)).token_id == row.id
        with pytest.raises(Refusal, match="ended at 2026-01-01T00:00:00"):
            authenticate(session, token, end)


@pytest.mark.parametrize(
    ("wanted", "own", "beyond"),
    [
        (None, None, None),
        ({"a": ["read"]}, None, None),
        (None, {ANY: list(VERBS)}, "everything"),
        ({"a": ["read"]}, {ANY: ["read"]}, None),
        ({"a": ["read", "edit"]}, {ANY: ["read"], "a": ["edit"]}, None),
        ({ANY: ["read"]}, {"a": ["read"]}, "*:read"),
        ({"a": ["delete"]}, {"a": ["read"], "b": ["delete"]}, "a:delete"),
    ],
)
def test_wider(wanted: Any, own: Any, beyond: str | None) -> None:
    def scopes(found: Any) -> Scopes | None:
        return scopes_from(found)

    assert wider(scopes(wanted), scopes(own)) == beyond
