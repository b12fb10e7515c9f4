"""The authorisation matrix: every route of the description × who calls × with which token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from controller.addressing.auth import issue_token
from controller.addressing.permissions import OF_METHOD, OPEN, Scopes
from controller.addressing.rates import Rate, Rates
from controller.addressing.registry import RegistryIssuer
from controller.addressing.registry_routes import build_registry_router
from controller.addressing.strict import declared_routes
from controller.addressing.tokens import resources_of
from controller.drains.routes import build_drain_router
from controller.guard.routers import build_guard_routers
from controller.rollbacks import pin_routes
from controller.rollbacks import routes as rollback_routes
from controller.rollout.driver import Driver
from controller.rollout.metrics import Metrics, build_metrics_router
from controller.rollout.rollout_routes import build_rollout_router
from controller.rollout.routes import build_router
from controller.rollout.snapshot_routes import build_snapshot_router
from controller.rollout.store_routes import build_store_router
from controller.store import Store
from tests.addressing_api import Api, furnished, running_api
from tests.authorisation import ALLOWED, CALLERS, REFUSED, ROUTES, VERDICTS, Row
from tests.tasks import task_routers

MANY = Rate(1_000_000, 300)
WHY = {"Herald-Reason": "the matrix"}


@dataclass
class Matrix:
    """The running API, the ids that paths are filled with, and the tokens by who has them."""

    api: Api
    ids: dict[str, str]
    soon: str
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, who: str, scopes: Scopes | None = None, *, lasts_s: float = 7200) -> str:
        role, account = {
            "owner": ("customer", "acme"), "stranger": ("customer", "globex"), "operator": ("operator", None),
            "break-glass": ("break-glass", None), "task": ("task", None),
        }[who]  # fmt: skip
        now = datetime.now(UTC)
        with self.api.store.write() as session:
            return issue_token(
                session, role, account, who, now, scopes=scopes, expires_at=now + timedelta(seconds=lasts_s)
            )[0]

    def call(self, http: httpx.Client, route: str, token: str | None) -> httpx.Response:
        """Call a route with what the table sends; writes as dry runs."""
        method, path = route.split(" ")
        row = ROUTES[route]
        query = "&".join(filter(None, [row.query, "" if method == "GET" else "dry_run=true"]))
        json = row.json and {k: self.soon if v == "{soon}" else v for k, v in row.json.items()}
        headers = {**WHY, **({} if token is None else {"Authorization": f"Bearer {token}"})}
        url = path.format_map(self.ids) + (f"?{query}" if query else "")
        return http.request(method, url, json=json, files=row.files, headers=headers)


class _Ids(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "none"


def own_routers(store: Store) -> list[APIRouter]:
    driver = Driver(store, {})
    return [
        build_router(driver),
        build_rollout_router(driver),
        build_store_router(driver),
        build_snapshot_router(driver),
        build_drain_router(driver, None),
        build_registry_router(RegistryIssuer(store, b"r" * 32)),
        rollback_routes.router,
        pin_routes.router,
        build_metrics_router(Metrics(driver)),
        *build_guard_routers(),
        *task_routers(store),
    ]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    rates = Rates(MANY, MANY, MANY, MANY)
    with running_api(tmp_path_factory.mktemp("matrix"), rates=rates, routers_over=own_routers) as api:
        made = furnished(api)
        client = api.client()
        client.create_account("Globex", id="globex")
        ids = _Ids(
            account_id="acme",
            prefix_id=made["prefix"],
            bgp_prefix_id=made["bgp"],
            binding_id=made["binding"],
            token_id=client.create_token("customer", account_id="acme")["id"],
            change_set_id=api.change_sets()[0],
            site="site1",
            task="clean-up",
        )
        soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        found = Matrix(api, ids, soon)
        every = dict.fromkeys(resources_of(api.app.openapi()), frozenset(OF_METHOD.values()))
        for who in CALLERS:
            found.tokens[who] = found.token(who, every if who == "task" else None)
        yield found


def operations(matrix: Matrix) -> dict[str, dict[str, Any]]:
    paths = matrix.api.app.openapi()["paths"]
    return {f"{m.upper()} {path}": o for path, methods in paths.items() for m, o in methods.items()}


@pytest.fixture(scope="module")
def http(matrix: Matrix) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{matrix.api.port}") as client:
        yield client


def test_the_table_knows_every_route_and_no_other(matrix: Matrix) -> None:
    assert set(ROUTES) == set(operations(matrix)), "tests/authorisation.py needs a line for each route"


def test_every_route_has_one_tag_in_snake_case(matrix: Matrix) -> None:
    for route, operation in operations(matrix).items():
        (tag,) = operation.get("tags", ())
        assert tag.replace("_", "").isalpha() and tag.islower(), (route, tag)


def test_every_path_is_taken_for_itself(matrix: Matrix) -> None:
    """Else scopes of another resource would be asked for than those of the route that answers."""
    declared = declared_routes(matrix.api.app.openapi())
    for route, operation in operations(matrix).items():
        method, path = route.split(" ")
        first = next(r for r in declared[method] if r.path.match(path))
        assert first.path.match(path.replace("{", "<").replace("}", ">")), route
        assert first.resource == operation["tags"][0], route


@pytest.mark.parametrize("route", ROUTES)
def test_the_matrix(matrix: Matrix, http: httpx.Client, route: str) -> None:
    before = matrix.api.counts()
    row = ROUTES[route]
    for who, verdict in zip(CALLERS, VERDICTS[row.who], strict=True):
        judge(matrix.call(http, route, matrix.tokens[who]), row, verdict, f"{who}: {route}")
    assert matrix.api.counts() == before


def judge(answer: httpx.Response, row: Row, verdict: str, what: str) -> None:
    wanted = {ALLOWED: row.answer, REFUSED: 403}.get(verdict, 404)
    assert answer.status_code == wanted, (what, answer.text)
    assert answer.headers["RateLimit-Policy"] and answer.headers["RateLimit"], what


def test_no_route_takes_a_bad_token_and_a_forged_one_is_like_an_unknown_one(
    matrix: Matrix, http: httpx.Client
) -> None:
    good = matrix.tokens["operator"]
    revoked = matrix.token("operator")
    with matrix.api.http() as operator:
        mine = operator.get("/herald/v1/caller", headers={"Authorization": f"Bearer {revoked}"}).json()["id"]
        assert operator.delete(f"/herald/v1/tokens/{mine}").status_code == 200
    bad = {
        "expired": matrix.token("operator", lasts_s=-1),
        "revoked": revoked,
        "forged": good[:-1] + chr(ord(good[-1]) ^ 1),
        "unknown": "herald_" + "x" * 43,
        "none": None,
    }
    before = matrix.api.counts()
    for route in ROUTES:
        answers = {name: matrix.call(http, route, token) for name, token in bad.items()}
        assert {a.status_code for a in answers.values()} == {401}, route
        assert answers["forged"].content == answers["unknown"].content, route
        names = {a.headers.raw and tuple(sorted(a.headers)) for a in answers.values()}
        assert len(names) == 1, route
        assert "ended at" in answers["expired"].text and "was revoked" in answers["revoked"].text
    assert matrix.api.counts() == before


def test_a_missing_scope_is_refused_on_every_route_and_the_one_scope_is_enough(
    matrix: Matrix, http: httpx.Client
) -> None:
    every = {r: frozenset(OF_METHOD.values()) for r in resources_of(matrix.api.app.openapi())}
    tokens: dict[tuple[str, str, str], tuple[str, str]] = {}
    routes = []
    for route, operation in operations(matrix).items():
        resource, verb = operation["tags"][0], OF_METHOD[route.split(" ")[0]]
        row = ROUTES[route]
        who = "operator" if row.who in {"operators", "staff"} else "owner"
        if resource in OPEN:
            continue
        if (resource, verb, who) not in tokens:
            less = {**every, resource: every[resource] - {verb}}
            only: Scopes = {resource: frozenset({verb})}
            tokens[resource, verb, who] = matrix.token(who, less), matrix.token(who, only)
        routes.append((route, row, *tokens[resource, verb, who]))
    before = matrix.api.counts()
    for route, row, less_token, only_token in routes:
        refused = matrix.call(http, route, less_token)
        assert refused.status_code == 403, (route, refused.text)
        assert refused.json()["errors"][0]["message"].startswith("out_of_scope: "), route
        issuing = route == "POST /herald/v1/tokens"  # {prefixes: read} is wider than {tokens: create}
        judge(matrix.call(http, route, only_token), row, REFUSED if issuing else ALLOWED, route)
    assert matrix.api.counts() == before


def test_break_glass_needs_a_reason_for_every_write_and_is_logged_loudly(
    matrix: Matrix, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: set[str] = set()

    class Log:
        """What is logged, whatever other tests have made of the process's logging."""

        def warning(self, event: str, **more: object) -> None:
            logged.update({event, str(more["path"])})

    monkeypatch.setattr("controller.addressing.access.log", Log())
    header = {"Authorization": f"Bearer {matrix.tokens['break-glass']}"}
    before = matrix.api.counts()
    for route in ROUTES:
        method, path = route.split(" ")
        if method == "GET":
            continue
        answer = http.request(method, path.format_map(matrix.ids), headers=header, json={})
        assert answer.status_code == 400, (route, answer.text)
        (error,) = answer.json()["errors"]
        assert error["message"].startswith("reason_required: "), route
        assert error["source"]["pointer"] == "/header/Herald-Reason"
    assert matrix.api.counts() == before
    assert http.get("/herald/v1/caller", headers=header).status_code == 200
    assert {"a break-glass token is used", "/herald/v1/caller"} <= logged
