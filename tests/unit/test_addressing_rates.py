"""Rates, and what a request may not be: too many, too large, too slow."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.addressing.access import LARGEST_HEADERS, MOST_HEADERS, remote_address
from controller.addressing.errors import Kind, Refusal
from controller.addressing.permissions import Caller, Role
from controller.addressing.rates import Limiter, Rate, RateError, Rates, WindowStorage
from controller.addressing.strict import LARGEST_BODY, LARGEST_UPLOAD, declared_routes, read_body
from tests.addressing_api import Api, furnished, running_api

FEW = Rates(
    customer=Rate(5, 300), operator=Rate(60_000, 300), failures=Rate(3, 300), local_failures=Rate(6, 300)
)
CALLER = "/herald/v1/caller"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api(tmp_path: Path):
    with running_api(tmp_path, rates=FEW) as running:
        furnished(running)
        yield running


def customer(api: Api) -> str:
    return str(api.client().create_token("customer", account_id="acme")["token"])


def headers_of(answer: Any) -> tuple[str, int, int]:
    policy = re.fullmatch(r'"(\w+)";q=(\d+);w=(\d+)', answer.headers["RateLimit-Policy"])
    left = re.fullmatch(r'"(\w+)";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    assert policy and left and policy[1] == left[1] and 1 <= int(left[3]) <= int(policy[3]) + 3
    return policy[1], int(policy[2]), int(left[2])


def test_each_answer_says_what_is_left_and_the_call_after_the_last_is_refused(api: Api) -> None:
    token, other = customer(api), customer(api)
    with api.http(token) as http:
        for left in (4, 3, 2, 1):
            assert headers_of(http.get(CALLER)) == ("customer", 5, left)
        missing = http.get("/nowhere")
        assert (missing.status_code, headers_of(missing)) == (404, ("customer", 5, 0))
        before = api.counts()
        for method, path in (("GET", CALLER), ("POST", "/herald/v1/tokens"), ("GET", "/nowhere")):
            refused = http.request(method, path)
            assert refused.status_code == 429, path
            assert headers_of(refused) == ("customer", 5, 0)
            assert 1 <= int(refused.headers["Retry-After"]) <= 303
            assert "X-Should-Retry" not in refused.headers  # it passes by itself: the SDK may wait
            assert refused.json()["errors"][0]["message"].startswith("rate_limited: ")
        assert api.counts() == before
    with api.http(other) as http:
        assert headers_of(http.get(CALLER)) == ("customer", 5, 4)
    with api.http() as http:
        assert headers_of(http.get(CALLER))[:2] == ("operator", 60_000)


def test_who_fails_too_often_is_asked_to_wait_and_good_neighbours_are_not(api: Api) -> None:
    good, late = customer(api), customer(api)
    with api.http(good) as http, api.http("wrong") as wrong, api.http(late) as newcomer:
        assert http.get(CALLER).status_code == 200
        assert [wrong.get(CALLER).status_code for _ in range(4)] == [401, 401, 401, 429]
        refused = wrong.get(CALLER)
        assert headers_of(refused) == ("failures", 3, 0) and refused.headers["Retry-After"]
        assert http.get(CALLER).status_code == 200, "a token that was good before still is"
        assert newcomer.get(CALLER).status_code == 429, "or guessing would be free"
    assert api.client(late).caller().account_id == "acme", "a unix socket is another address"


def test_a_revoked_token_is_no_way_around_the_limit_of_failures(api: Api) -> None:
    token = api.client().create_token("customer", account_id="acme")
    with api.http(token["token"]) as http:
        assert http.get(CALLER).status_code == 200
        api.client().revoke_token(token["id"])
        assert [http.get(CALLER).status_code for _ in range(4)] == [401, 401, 401, 429]


def test_headers_may_be_many_and_large_only_so_far(api: Api) -> None:
    with api.http() as http:
        for headers in (
            {f"X-{n}": "" for n in range(MOST_HEADERS)},
            {"X-Long": "x" * LARGEST_HEADERS},
        ):
            answer = http.get(CALLER, headers=headers)
            assert answer.status_code == 431 and "headers_too_large" in answer.text
        assert http.get(CALLER, headers={f"X-{n}": "x" * 300 for n in range(90)}).status_code == 200


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("controller.addressing.strict.BODY_DEADLINE_S", 0.05)
    with running_api(tmp_path) as api, socket.create_connection(("127.0.0.1", api.port)) as raw:
        raw.settimeout(20)
        raw.sendall(
            b"POST /herald/v1/accounts HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + api.token.encode() + b"\r\nContent-Length: 100\r\n\r\n{"
        )
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 408 ") and b"body_too_slow" in answer
        assert b"connection: close" in answer.lower()


def test_a_slow_body_is_refused_however_it_trickles() -> None:
    async def trickle() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def whole() -> None:
        with pytest.raises(Refusal) as refused:
            await read_body(trickle, 10, 0.01)
        assert refused.value.kind is Kind.BODY_TOO_SLOW

    asyncio.run(whole())


def test_forms_may_be_larger_than_json() -> None:
    paths = {
        "/a": {"post": {"requestBody": {"content": {"multipart/form-data": {}}}}},
        "/b": {"post": {"requestBody": {"content": {"application/json": {}}}}},
    }
    form, json = declared_routes({"paths": paths})["POST"]
    assert (form.largest_body, json.largest_body) == (LARGEST_UPLOAD, LARGEST_BODY)


@pytest.mark.parametrize(
    ("client", "key"),
    [
        (None, None), (("192.0.2.1", 5), "192.0.2.1"), (("2001:db8:1:2:3::4", 5), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5), "fe80::/64"), (("testclient", 5), "testclient"),
    ],
)  # fmt: skip
def test_addresses(client: Any, key: str | None) -> None:
    assert remote_address({"client": client}) == key


@pytest.mark.parametrize(
    "text", ["", "5", "5/", "/5", "0/5", "5/0", "-1/5", "1.5/2", " 1/2", "1/2/3", "1e3/5"]
)
def test_rates_that_cannot_be_read(text: str) -> None:
    with pytest.raises(RateError, match="CALLS/SECONDS"):
        Rate.parse(text)


def test_a_rate_for_customers_gives_operators_fifty_times_that() -> None:
    rates = Rates.of_calls(Rate.parse("10/60"))
    assert (rates.customer, rates.operator) == (Rate(10, 60), Rate(500, 60))


def who(role: Role, token: str = "t") -> Caller:
    return Caller(token, role, None)


def test_calls_are_free_again_when_their_window_has_moved_on() -> None:
    clock = Clock()
    limiter = Limiter(Rates(customer=Rate(2, 100)), clock)
    assert [limiter.call(who("task")).allowed for _ in range(3)] == [True, True, False]
    wait = limiter.call(who("task")).reset_s
    clock.now += wait - 2
    assert not limiter.call(who("task")).allowed
    clock.now += 2
    assert limiter.call(who("task")).allowed
    assert limiter.call(who("operator")).rate == Rates().operator


@given(
    st.lists(st.floats(0, 30), max_size=60),
    st.integers(1, 8),
    st.integers(5, 50),
)
def test_no_window_ever_has_more_calls_than_its_rate(gaps: list[float], calls: int, seconds: int) -> None:
    clock, allowed = Clock(), []
    storage = WindowStorage(clock)
    for gap in gaps:
        clock.now += gap
        if storage.acquire_entry("k", calls, seconds):
            allowed.append(clock.now)
    for start in allowed:
        assert sum(start <= at < start + seconds for at in allowed) <= calls
    # And a call that was refused had a full window before it: nobody waits for longer than one part more.
    clock.now = (allowed[-1] if allowed else clock.now) + seconds * 1.02
    assert storage.get_moving_window("k", calls, seconds)[1] == 0


def test_memory_is_bounded_and_the_window_unused_for_longest_goes_first() -> None:
    clock = Clock()
    storage = WindowStorage(clock, most=3)
    for key in ("a", "b", "a", "c", "d"):
        assert storage.acquire_entry(key, 10, 60)
    assert [storage.get_moving_window(key, 10, 60)[1] for key in "abcd"] == [2, 0, 1, 1]
    for _ in range(5000):
        clock.now += 0.01
        storage.acquire_entry("a", 100_000, 60)
    assert len(storage._windows["a"].parts) <= 101
