"""What a route does not declare is refused: a walk over all routes, those of other packages among them."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated

import pytest
from fastapi import APIRouter, Query, Response
from starlette.routing import Route

from controller.addressing.auth import CallerDep
from controller.addressing.envelope import json_response
from controller.addressing.strict import LARGEST_BODY, Declared, DeclaredRoutes, _is_flag
from tests.addressing_api import Api, furnished, running_api

extra = APIRouter(prefix="/herald/v1/extra", tags=["things"])


@extra.get("/{thing}")
def read_thing(thing: str, caller: CallerDep, wait: Annotated[float, Query(ge=0)] = 0.0) -> Response:
    return json_response({"thing": thing, "wait": wait})


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("strict"), extra_routers=[extra]) as running:
        running.ids = furnished(running)
        yield running


def operations(api: Api) -> list[tuple[str, str, dict]]:
    """Every (method, path, description) of the API, with the ids of real objects where we have some."""
    values = {
        "account_id": "acme", "prefix_id": api.ids["prefix"], "bgp_prefix_id": api.ids["bgp"],
        "binding_id": api.ids["binding"], "thing": "x",
    }  # fmt: skip
    return [
        (method.upper(), re.sub(r"{(\w+)}", lambda m: values.get(m[1], "none"), path), operation)
        for path, methods in api.app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


def parameters(operation: dict) -> dict[str, str]:
    """The query's parameters, each with a value that its parser takes."""
    query = [p for p in operation.get("parameters", ()) if p["in"] == "query"]
    return {p["name"]: "true" if _is_flag(p["schema"]) else "1" for p in query}


def test_the_walk_covers_every_route_that_there_is(api: Api) -> None:
    described = set(api.app.openapi()["paths"])
    hidden = {"/client/v4/zones/{rest:path}", "/openapi.json"}
    routes = {r.path for r in _routes(api.app.router.routes)}
    assert routes - hidden == described and len(described) > 15


def _routes(routes):
    for route in routes:
        if isinstance(route, Route):
            yield route
        else:  # an included router
            yield from route.effective_route_contexts()


def loose_routes(api: Api) -> list[str]:
    """Walk all routes with unknown, empty and repeated parameters; say which are not refused by name."""
    found = []
    with api.http() as http:
        for method, path, operation in operations(api):
            bad = {"x": "x", "x=": "x", "x=1": "x", "pending_delet=true": "pending_delet"}
            for name, good in parameters(operation).items():
                twice = f"{name}={good}&{name}={good}"
                bad |= {f"{name}=": name, name: name, twice: name, f"{name}={good}&x": "x"}
            for query, name in bad.items():
                answer = http.request(method, f"{path}?{query}")
                errors = answer.json()["errors"] if answer.status_code == 400 else []
                pointers = [e.get("source", {}).get("pointer") for e in errors]
                if f"/query/{name}" not in pointers or any(e["code"] < 1000 for e in errors):
                    found.append(f"{method} {path}?{query}: {answer.status_code} {answer.text[:200]}")
    return found


def test_unknown_empty_and_repeated_parameters_are_named_and_change_nothing(api: Api) -> None:
    before = api.counts()
    assert loose_routes(api) == []
    assert api.counts() == before


@pytest.mark.parametrize("loosened", ["/herald/v1/accounts", "/client/v4/accounts/acme/addressing/services"])
def test_the_walk_finds_a_route_whose_parser_was_loosened(api: Api, monkeypatch, loosened: str) -> None:
    strict = DeclaredRoutes.find

    def find(self: DeclaredRoutes, method: str, path: str) -> Declared | None:
        route = strict(self, method, path)
        if route is None or (method, path) != ("GET", loosened):
            return route
        return dataclasses.replace(route, query=Everything())

    monkeypatch.setattr(DeclaredRoutes, "find", find)
    assert {line.partition("?")[0] for line in loose_routes(api)} == {f"GET {loosened}"}


class Everything(frozenset[str]):
    """What a parser takes that passes over what it does not know."""

    def __contains__(self, name: object) -> bool:
        return True


def test_pending_delete_without_a_value_is_refused_wherever_prefixes_are_listed(api: Api) -> None:
    """The call of 2026-02-20."""
    with api.http() as http:
        for query in ("pending_delete", "pending_delete=", "pending_delete=1", "pending_delete=True"):
            answer = http.get(f"/client/v4/accounts/acme/addressing/prefixes?{query}")
            assert answer.status_code == 400
            assert answer.json()["errors"][0]["source"]["pointer"] == "/query/pending_delete"


def test_a_good_parameter_still_passes(api: Api) -> None:
    with api.http() as http:
        assert http.get("/herald/v1/extra/a?wait=1.5").json() == {"thing": "a", "wait": 1.5}
        assert http.get("/herald/v1/extra/a?wait=soon").status_code == 400
        assert http.get("/herald/v1/extra/a?wait=1&%77ait=2").status_code == 400


BODIES = [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"NaN", b'{"a": NaN}', b"[" * 100_000,
    b'{"unknown": 1}', b'{"cidr": "192.0.2.0/24", "cidr": "198.18.0.0/24"}',
    b'{"advertised": "true"}', b'{"advertised": 1, "sites": null}', b'{"id": "x", "name": 5}',
    b'{"name": "\\ud800"}', b'{"description": 5}', b'{"asn": 1' + b"0" * 5000 + b"}",
]  # fmt: skip


def test_malformed_bodies_are_refused_by_every_write_and_change_nothing(api: Api) -> None:
    before = api.counts()
    tried = 0
    with api.http() as http:
        for method, path, operation in operations(api):
            if "requestBody" not in operation:
                continue
            for body in BODIES:
                answer = http.request(
                    method, path, content=body, headers={"Content-Type": "application/json"}
                )
                assert 400 <= answer.status_code < 500, (method, path, body[:40], answer.text)
                assert answer.json()["errors"][0]["message"]
                tried += 1
    assert tried > 150 and api.counts() == before


def test_an_unknown_or_mistyped_field_is_named(api: Api) -> None:
    path = "/client/v4/accounts/acme/addressing/prefixes"
    with api.http() as http:
        answer = http.post(path, json={"cidr": 5, "asn": "64500", "colour": "red"})
        assert {e["source"]["pointer"] for e in answer.json()["errors"]} == {"/cidr", "/asn", "/colour"}
        for asn in (True, 1.0, "1"):
            answer = http.post(path, json={"cidr": "198.18.0.0/24", "asn": asn})
            assert (answer.status_code, answer.json()["errors"][0]["source"]["pointer"]) == (400, "/asn")


def test_a_body_of_another_type_or_where_none_is_taken(api: Api) -> None:
    path = "/client/v4/accounts/acme/addressing/prefixes"
    with api.http() as http:
        form = http.post(path, data={"cidr": "198.18.0.0/24"})
        assert form.status_code == 415
        assert http.request("GET", path, content=b'{"cidr": 1}').status_code == 400
        empty = http.request("GET", path, content=b"", headers={"Content-Type": "application/json"})
        assert empty.status_code == 200  # the SDK sends this


def test_a_huge_body_is_refused(api: Api) -> None:
    path = "/client/v4/accounts/acme/addressing/prefixes"
    with api.http() as http:
        answer = http.post(
            path, content=b" " * (LARGEST_BODY + 1), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413


def test_nobody_learns_anything_without_a_token(api: Api) -> None:
    with api.http(token="wrong") as http:
        everything = [(m, p) for m, p, _ in operations(api)] + [("GET", "/nowhere"), ("GET", "/openapi.json")]
        for method, path in everything:
            answer = http.request(method, f"{path}?x", content=b"{")
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for header in ("", "Bearer", "Basic abc", f"Token {api.token}"):
            answer = http.get("/herald/v1/caller", headers={"Authorization": header})
            assert answer.status_code == 401, header


def test_unknown_paths_and_methods_answer_in_the_envelope(api: Api) -> None:
    with api.http() as http:
        for method, path, status in (("GET", "/client/v4/x", 404), ("PUT", "/herald/v1/accounts", 405)):
            answer = http.request(method, path)
            assert answer.status_code == status
            assert answer.json()["success"] is False and answer.json()["result"] is None


def test_ids_of_any_shape_are_just_not_found(api: Api) -> None:
    with api.http() as http:
        for odd in ("x" * 500, "%00", "%F0%9F%92%A9", "..%2f", "' OR 1=1 --", "%FF"):
            answer = http.get(f"/client/v4/accounts/acme/addressing/prefixes/{odd}")
            assert answer.status_code in (400, 404), (odd, answer.text)
            assert not re.search("Traceback|sqlite|psycopg", answer.text)


UNTEXTUAL = ("\\u0000", "a\\u0000b", "\\ud800", "\\udfff\\ud800", "\\ud83d")


@pytest.mark.parametrize("odd", UNTEXTUAL)
def test_text_that_no_store_can_keep_is_refused_wherever_it_stands(api: Api, odd: str) -> None:
    base = "/client/v4/accounts/acme/addressing"
    bound = f"{base}/prefixes/{api.ids['prefix']}/bindings"
    wanted = [
        ("POST", f"{base}/prefixes", '{"asn": null, "cidr": "ODD"}', "/cidr"),
        ("POST", bound, '{"cidr": "192.0.2.0/24", "service_id": "ODD"}', "/service_id"),
        ("POST", "/herald/v1/tokens", '{"role": "operator", "description": "ODD"}', "/description"),
        ("POST", "/herald/v1/accounts", '{"name": "x", "ODD": 1}', None),
        ("POST", "/herald/v1/accounts", '{"name": "x", "ODD": 1, "ODD": 2}', None),
        ("POST", "/herald/v1/accounts", '{"name": ["x", {"y": "ODD"}]}', "/name/1/y"),
    ]
    before = api.counts()
    with api.http() as http:
        for method, path, body, pointer in wanted:
            answer = http.request(
                method, path, content=body.replace("ODD", odd), headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 400, (path, body, answer.text)
            if pointer is not None:
                assert answer.json()["errors"][0]["source"] == {"pointer": pointer}
    assert api.counts() == before


def test_control_characters_are_refused_in_paths_queries_and_headers(api: Api) -> None:
    base = "/client/v4/accounts/acme/addressing/prefixes"
    with api.http() as http:
        for path in ("/client/v4/accounts/%00/addressing/prefixes", "/herald/v1/tokens/a%00b", "/%00"):
            assert http.get(path).status_code in (404, 405)
            assert http.delete(path).status_code in (404, 405)
        answer = http.get("/herald/v1/bgp_prefixes?cidr=%00")
        assert (answer.status_code, answer.json()["errors"][0]["source"]) == (400, {"pointer": "/query/cidr"})
        for header in ("Idempotency-Key", "Herald-Reason", "If-Match"):
            answer = http.post(base, json={}, headers={header: b"a\x01b"})
            assert answer.status_code == 400, (header, answer.text)
