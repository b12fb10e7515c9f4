"""The walk of the official SDK over every account-level method, and that it would see what is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import cloudflare
import pytest
from cloudflare.types.addressing import AddressMapGetResponse, Prefix
from cloudflare.types.addressing.prefixes import BGPPrefix, ServiceBinding
from pydantic import BaseModel

from tests.addressing_api import Api, running_api
from tests.sdk import walk as walking
from tests.sdk.scenario import Ground, whole_way
from tests.sdk.surface import account_methods, method_at, zone_methods
from tests.sdk.typed import problems

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("walk")) as running:
        yield running


def test_every_account_level_method_keeps_to_the_sdks_types_sync_and_async(api: Api) -> None:
    rows = walking.walk(f"http://127.0.0.1:{api.port}", api.token)
    print(walking.table(rows))
    wrong = {row.method: row.verdict for row in rows if row.verdict != "pass"}
    assert wrong == {}
    assert len(rows) >= 33


def test_zone_level_methods_say_that_zones_are_no_part_of_herald(api: Api) -> None:
    client = cloudflare.Cloudflare(
        api_token=api.token, base_url=f"http://127.0.0.1:{api.port}/client/v4", max_retries=0
    )
    given = {"zone_id": "z", "hostname": "a.example.com", "region_key": "eu"}
    names = zone_methods()
    assert len(names) >= 5
    for name in names:
        method = method_at(client.addressing, name)
        takes = method.__func__.__code__.co_varnames
        with pytest.raises(cloudflare.NotFoundError, match="not part of Herald"):
            method(**{k: v for k, v in given.items() if k in takes})


def test_a_method_that_a_newer_sdk_adds_is_reported_as_not_covered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cloudflare.resources.addressing.prefixes import PrefixesResource

    def rename(self: Any, prefix_id: str, *, account_id: str) -> None:
        """A method of tomorrow."""

    monkeypatch.setattr(PrefixesResource, "rename", rename, raising=False)
    assert "prefixes.rename" in account_methods()
    assert walking._row("prefixes.rename", None, None).verdict == walking.NOT_COVERED


PREFIX: dict[str, Any] = {
    "id": "x", "account_id": "a", "advertised": False, "advertised_modified_at": None, "approved": "P",
    "asn": 64511, "cidr": "192.0.2.0/24", "created_at": "2026-01-02T03:04:05.000000Z",
    "delegate_loa_creation": False, "description": "", "irr_validation_state": "pending",
    "loa_document_id": None, "modified_at": "2026-01-02T03:04:05.000000Z", "on_demand_enabled": True,
    "on_demand_locked": False, "ownership_validation_state": "pending", "ownership_validation_token": "t",
    "rpki_validation_state": "pending", "configured": {}, "operational": {}, "observed": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda raw: None, []),
        (lambda raw: raw.pop("cidr"), ["Prefix.cidr is missing"]),
        (lambda raw: raw.pop("observed"), ["Prefix.observed is missing"]),
        (lambda raw: raw.update(colour="red"), ["Prefix.colour is not declared"]),
        (lambda raw: raw.update(description=None), ["Prefix.description is null"]),
        (lambda raw: raw.update(asn=True), ["Prefix.asn is True, no int"]),
        (lambda raw: raw.update(asn="64511"), ["Prefix.asn is '64511', no int"]),
        (lambda raw: raw.update(advertised="false"), ["Prefix.advertised is 'false', no bool"]),
        (lambda raw: raw.update(created_at="today"), ["Prefix.created_at is 'today', no datetime"]),
        (
            lambda raw: raw.update(created_at="2026-01-02T03:04:05+01:00"),
            ["Prefix.created_at is '2026-01-02T03:04:05+01:00', no datetime"],
        ),
    ],
)
def test_the_walk_sees_what_is_not_as_declared(change: Callable[[dict], object], found: list[str]) -> None:
    raw = dict(PREFIX)
    change(raw)
    assert list(problems(Prefix, raw)) == found


def test_the_walk_looks_into_lists_objects_and_choices() -> None:
    when = "2026-01-02T03:04:05Z"
    raw = {
        "id": "m", "can_delete": True, "can_modify_ips": True, "created_at": when, "default_sni": None,
        "description": "d", "enabled": False, "modified_at": when, "ips": [{"ip": 1, "created_at": when}],
        "memberships": [{"can_delete": True, "created_at": when, "identifier": "z", "kind": "site"}],
    }  # fmt: skip
    assert list(problems(AddressMapGetResponse, raw)) == [
        "AddressMapGetResponse.ips[0].ip is 1, no str",
        "AddressMapGetResponse.memberships[0].kind is 'site', no Literal",
    ]
    binding = {"id": "b", "cidr": "c", "service_id": "s", "service_name": "n", "provisioning": {}}
    assert list(problems(ServiceBinding, {**binding, "configured": {}})) == [
        "ServiceBinding.configured is not declared",
        "ServiceBinding.provisioning.state is missing",
    ]
    assert issubclass(BGPPrefix, BaseModel) and datetime  # what the types stand on


def test_an_assertion_of_the_scenario_is_a_fault_of_the_last_method() -> None:
    walked = walking.Walk("http://127.0.0.1:9", "none")
    scenario = whole_way(
        Ground("a", "b", "s", "198.18.0.0/23", "198.18.0.0/24", "198.18.2.0/23", "198.18.0.7")
    )
    first = walked._next(scenario, None)
    assert first is not None and first.name == "loa_documents.create"
    assert walked._next(scenario, object()) is None  # it has no id
    assert walked.found["loa_documents.create"].faults


def test_the_script_walks_a_herald_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.sdk.walk"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pass") >= 32
