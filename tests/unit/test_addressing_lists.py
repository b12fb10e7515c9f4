"""Lists: whole unless pages are asked for, one state however long, never a shorter one in silence."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from controller.addressing import prefixes, rules
from controller.addressing.tables import AccountRow, PrefixRow
from controller.bgp import Prefix
from tests.addressing_api import Api, running_api

BASE = "/client/v4/accounts/acme/addressing/prefixes"
MANY = 1203


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("lists")) as running:
        began = datetime(2026, 1, 1, tzinfo=UTC)
        with running.store.write() as session:
            session.add_all([AccountRow(id=a, name=a, created_at=began) for a in ("acme", "globex")])
            session.flush()
            for count in range(MANY):
                cidr = Prefix(f"20.{count >> 8}.{count & 255}.0/24")
                low, high = rules.bounds(cidr)
                at = began + timedelta(seconds=count // 7)  # many share a time: the id decides
                session.add(
                    PrefixRow(
                        id=f"{(count * 7919) % MANY:05}",
                        account_id="acme",
                        cidr=cidr,
                        low=low,
                        high=high,
                        ownership_token="t",
                        created_at=at,
                        modified_at=at,
                    )
                )
        yield running


def in_order(found: list[dict]) -> bool:
    keys = [(p["created_at"], p["id"]) for p in found]
    return keys == sorted(keys) and len(set(keys)) == len(keys)


def test_a_list_is_whole(api: Api) -> None:
    with api.http() as http:
        body = http.get(BASE).json()
        assert len(body["result"]) == MANY and in_order(body["result"])
        assert body["result_info"]["total_count"] == body["result_info"]["count"] == MANY
        empty = http.get("/client/v4/accounts/globex/addressing/prefixes").json()
        assert (empty["result"], empty["result_info"]["count"], empty["success"]) == ([], 0, True)


@pytest.mark.parametrize("limit", [1000, 401, 1])
def test_pages_put_together_are_the_list(api: Api, limit: int) -> None:
    most = 5 if limit == 1 else 10_000
    with api.http() as http:
        whole = [p["id"] for p in http.get(BASE).json()["result"]]
        seen: list[str] = []
        path: str | None = f"{BASE}?limit={limit}"
        while path is not None and len(seen) < most:
            answer = http.get(path)
            assert answer.status_code == 200, answer.text
            seen += [p["id"] for p in answer.json()["result"]]
            assert answer.json()["result_info"]["total_count"] == MANY
            path = answer.links.get("next", {}).get("url")
        assert seen == whole[: len(seen)] and (len(seen) == MANY or limit == 1)


def test_what_is_no_page_is_refused(api: Api) -> None:
    with api.http() as http:
        for query, name in (
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("after=nobody", "after"),
            ("after=", "after"),
        ):
            answer = http.get(f"{BASE}?{query}")
            assert answer.status_code == 400, query
            assert answer.json()["errors"][0]["source"]["pointer"] == f"/query/{name}"


def test_a_fault_in_the_middle_cannot_be_taken_for_a_shorter_list(api: Api, monkeypatch) -> None:
    shown = prefixes.prefix_body

    def fails(row: PrefixRow, *rest: object) -> dict:
        if row.cidr == "20.3.0.0/24":
            raise RuntimeError("a fault while sending")
        return shown(row, *rest)

    monkeypatch.setattr(prefixes, "prefix_body", fails)
    with api.http() as http:
        try:
            text = http.get(BASE).text
        except httpx.RemoteProtocolError:
            return
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
