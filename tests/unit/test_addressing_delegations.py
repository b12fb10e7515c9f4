"""Delegations: what another account may do with a part of a prefix, and what it may not."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select

from controller.addressing.tables import EventRow
from controller.snapshots.compile import apply
from controller.snapshots.model import ChangeSet
from controller.snapshots.tables import ChangeSetRow
from tests.addressing_api import Api, running_api
from tests.customers import Customer


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("delegations")) as running:
        client = running.client()
        client.create_service("cdn", "CDN")
        for account in ("acme", "beta", "gamma"):
            client.create_account(account.title(), id=account)
        yield running


@pytest.fixture(scope="module")
def owner(api: Api) -> Customer:
    return Customer(api, "acme")


@pytest.fixture(scope="module")
def other(api: Api) -> Customer:
    return Customer(api, "beta")


@pytest.fixture
def prefix(owner: Customer) -> dict[str, str]:
    return owner.prefix()


def delegate(owner: Customer, prefix: dict[str, str], cidr: str | None = None, to: str = "beta") -> dict:
    body = {"cidr": cidr or prefix["part"], "delegated_account_id": to}
    return owner.call("POST", f"prefixes/{prefix['id']}/delegations", body)


def histories(api: Api, object_id: str) -> list[tuple[str | None, str]]:
    with api.store.read() as session:
        found = session.execute(
            select(EventRow.account_id, EventRow.action)
            .where(EventRow.object_id == object_id)
            .order_by(EventRow.seq)
        )
        return [(account, action) for account, action in found]


def test_a_delegation_is_made_listed_and_ended_in_both_histories(
    api: Api, owner: Customer, prefix: dict
) -> None:
    path = f"prefixes/{prefix['id']}/delegations"
    made = delegate(owner, prefix)
    assert made == {
        "id": made["id"], "cidr": prefix["part"], "delegated_account_id": "beta",
        "parent_prefix_id": prefix["id"], "created_at": made["created_at"],
        "modified_at": made["created_at"],
    }  # fmt: skip
    assert owner.call("GET", path) == [made]
    before = api.change_sets()
    assert owner.call("DELETE", f"{path}/{made['id']}") == {"id": made["id"]}
    assert api.change_sets() == before  # the end of one takes nothing off the air
    assert owner.call("GET", path) == []
    owner.refused("DELETE", f"{path}/{made['id']}", None, 404, "not_found")
    both = [("acme", "create"), ("beta", "create"), ("acme", "delete"), ("beta", "delete")]
    assert histories(api, made["id"]) == both


def test_what_cannot_be_delegated_is_refused_and_changes_nothing(
    api: Api, owner: Customer, prefix: dict
) -> None:
    path = f"prefixes/{prefix['id']}/delegations"
    delegate(owner, prefix)
    waiting = owner.prefix(approved=False)
    before = api.counts()
    base = prefix["part"].removesuffix("0/24")
    for cidr, to, status, label, pointer in (
        (base + "1/24", "gamma", 400, "invalid_prefix", "/cidr"),
        ("192.0.2.0/24", "gamma", 400, "not_within_prefix", "/cidr"),
        ("0.0.0.0/0", "gamma", 400, "invalid_prefix", "/cidr"),
        (prefix["cidr"], "nobody", 400, "invalid_account", "/delegated_account_id"),
        (prefix["cidr"], "acme", 400, "invalid_account", "/delegated_account_id"),
        (prefix["part"], "beta", 409, "already_exists", "/cidr"),
        (prefix["part"], "gamma", 409, "delegation_overlaps", "/cidr"),
        (base + "128/25", "beta", 409, "delegation_overlaps", "/cidr"),
        (prefix["cidr"], "beta", 409, "delegation_overlaps", "/cidr"),
    ):
        body = {"cidr": cidr, "delegated_account_id": to}
        assert owner.refused("POST", path, body, status, label)["source"]["pointer"] == pointer
    body = {"cidr": waiting["part"], "delegated_account_id": "beta"}
    owner.refused("POST", f"prefixes/{waiting['id']}/delegations", body, 409, "prefix_not_valid_and_approved")
    owner.refused("POST", path, {**body, "may_advertise": True}, 400, "malformed_body")
    assert api.counts() == before


def test_a_part_in_two_prefixes_of_one_account_is_delegated_once(owner: Customer, prefix: dict) -> None:
    inner = owner.call("POST", "prefixes", {"cidr": prefix["part"], "asn": None})
    owner.approve(inner["id"])
    delegate(owner, prefix)
    body = {"cidr": prefix["part"], "delegated_account_id": "gamma"}
    owner.refused("POST", f"prefixes/{inner['id']}/delegations", body, 409, "delegation_overlaps")


def test_the_delegated_account_binds_within_its_part_and_sees_no_more(
    api: Api, owner: Customer, other: Customer, prefix: dict
) -> None:
    path = f"prefixes/{prefix['id']}"
    other.refused("GET", path, None, 404, "not_found")
    other.refused("GET", f"{path}/bindings", None, 404, "not_found")
    delegation = delegate(owner, prefix)
    (whole,) = owner.call("GET", f"{path}/bindings")
    assert other.call("GET", path)["account_id"] == "acme"
    assert other.call("GET", f"{path}/bindings") == []
    other.refused("GET", f"{path}/bindings/{whole['id']}", None, 404, "not_found")
    error = other.refused(
        "POST", f"{path}/bindings", {"cidr": prefix["cidr"], "service_id": "cdn"},
        400, "not_within_delegation",
    )  # fmt: skip
    assert prefix["part"] in error["message"]

    bound = other.call("POST", f"{path}/bindings", {"cidr": prefix["part"], "service_id": "cdn"})
    assert other.call("GET", f"{path}/bindings") == [bound]
    assert other.call("GET", f"{path}/bindings/{bound['id']}") == bound
    assert bound in owner.call("GET", f"{path}/bindings")
    assert histories(api, bound["id"]) == [("acme", "create"), ("beta", "create")]

    where = f"{path}/delegations/{delegation['id']}"
    error = owner.refused("DELETE", where, None, 409, "delegation_in_use")
    assert bound["id"] in error["message"] and prefix["part"] in error["message"]
    assert other.call("DELETE", f"{path}/bindings/{bound['id']}")["success"] is True
    assert owner.call("DELETE", where) == {"id": delegation["id"]}
    other.refused("GET", path, None, 404, "not_found")
    chunk = compiled(api, "acme")
    assert [b.cidr for b in chunk.bindings if b.prefix_id == prefix["id"]] == [prefix["cidr"]]
    assert compiled(api, "beta") is None


def compiled(api: Api, account: str):
    """Return the account's chunk with all its change-sets applied, as roll-outs do it."""
    chunk = None
    with api.store.read() as session:
        for row in session.scalars(
            select(ChangeSetRow).where(ChangeSetRow.account_id == account).order_by(ChangeSetRow.seq)
        ):
            chunk = apply(chunk, msgspec.json.decode(row.body, type=ChangeSet))
    return chunk


def test_bindings_of_a_delegated_account_are_in_the_owners_chunk(
    api: Api, owner: Customer, other: Customer, prefix: dict
) -> None:
    delegate(owner, prefix)
    bound = other.call(
        "POST", f"prefixes/{prefix['id']}/bindings", {"cidr": prefix["part"], "service_id": "cdn"}
    )
    assert bound["id"] in {b.id for b in compiled(api, "acme").bindings}
    assert compiled(api, "beta") is None


def test_the_owners_own_binding_in_a_delegated_part_is_seen_and_left_alone(
    owner: Customer, other: Customer, prefix: dict
) -> None:
    path = f"prefixes/{prefix['id']}/bindings"
    mine = owner.call("POST", path, {"cidr": prefix["part"], "service_id": "cdn"})
    delegation = delegate(owner, prefix)
    assert other.call("GET", path) == [mine]
    other.refused("DELETE", f"{path}/{mine['id']}", None, 403, "not_the_owner")
    owner.call("DELETE", f"prefixes/{prefix['id']}/delegations/{delegation['id']}")  # it is no dependent


def test_what_is_the_owners_alone(owner: Customer, other: Customer, prefix: dict) -> None:
    delegation = delegate(owner, prefix)
    path = f"prefixes/{prefix['id']}"
    (bgp,) = owner.call("GET", f"{path}/bgp/prefixes")
    inside = owner.call("POST", f"{path}/bgp/prefixes", {"cidr": prefix["part"]})
    again = {"cidr": prefix["part"], "delegated_account_id": "gamma"}
    permissions = f"{other.own}prefixes/{prefix['id']}/delegations/{delegation['id']}/permissions"
    for method, where, body in (
        ("PATCH", path, {"description": "mine"}),
        ("DELETE", path, None),
        ("GET", f"{path}/delegations", None),
        ("POST", f"{path}/delegations", again),
        ("DELETE", f"{path}/delegations/{delegation['id']}", None),
        ("PATCH", f"{path}/bgp/status", {"advertised": True}),
        ("POST", f"{path}/bgp/prefixes", {"cidr": prefix["part"]}),
        ("DELETE", f"{path}/bgp/prefixes/{inside['id']}", None),
        ("GET", permissions, None),
        ("PUT", permissions, {"may_advertise": True}),
        ("PATCH", f"{path}/bgp/prefixes/{inside['id']}", {"asn_prepend_count": 1}),
    ):
        other.refused(method, where, body, 403, "not_the_owner")
    other.refused("PATCH", f"{path}/bgp/prefixes/{bgp['id']}", {"asn_prepend_count": 1}, 404, "not_found")
    assert other.call("GET", f"{path}/bgp/prefixes") == [
        other.call("GET", f"{path}/bgp/prefixes/{inside['id']}")
    ]
    shown = other.call("GET", path)["configured"]["bgp_prefixes"]
    assert {b["cidr"] for b in shown} == {prefix["cidr"], prefix["part"]}  # in both its addresses lie


def test_advertising_needs_the_owners_permission(
    api: Api, owner: Customer, other: Customer, prefix: dict
) -> None:
    delegation = delegate(owner, prefix)
    path = f"prefixes/{prefix['id']}/bgp/prefixes"
    inside = owner.call("POST", path, {"cidr": prefix["part"]})
    edit = f"{path}/{inside['id']}"
    on, off = ({"on_demand": {"advertised": wanted}} for wanted in (True, False))
    before = api.counts()
    error = other.refused("PATCH", edit, on, 403, "may_not_advertise")
    assert error["source"]["pointer"] == "/on_demand" and api.counts() == before

    permissions = f"{owner.own}prefixes/{prefix['id']}/delegations/{delegation['id']}/permissions"
    assert owner.call("GET", permissions)["may_advertise"] is False
    assert owner.call("PUT", permissions, {"may_advertise": True})["may_advertise"] is True
    other.refused("PATCH", edit, {**on, "asn_prepend_count": 2}, 403, "not_the_owner")
    assert other.call("PATCH", edit, on)["on_demand"]["advertised"] is True
    (listed,) = other.call("GET", path)
    assert listed["configured"]["advertised"] is True
    assert ("beta", "advertise") in histories(api, inside["id"])
    assert [b.advertised for b in compiled(api, "acme").bgp_prefixes if b.id == inside["id"]] == [True]

    owner.call("PUT", permissions, {"may_advertise": False})  # withdraws nothing
    assert owner.call("GET", edit)["on_demand"]["advertised"] is True
    other.refused("PATCH", edit, off, 403, "may_not_advertise")
    owner.call("PATCH", edit, off)
    assert histories(api, inside["id"])[-2:] == [("acme", "withdraw"), ("beta", "withdraw")]


def test_what_was_delegated_to_an_account_is_listed(owner: Customer, prefix: dict, api: Api) -> None:
    third = Customer(api, "gamma")
    delegation = delegate(owner, prefix, to="gamma")
    (found,) = third.call("GET", f"{third.own}delegated_prefixes")["result"]
    assert found == {
        "delegation_id": delegation["id"], "cidr": prefix["part"], "may_advertise": False,
        "prefix_id": prefix["id"], "prefix_cidr": prefix["cidr"], "owner_account_id": "acme",
        "approved": True, "created_at": delegation["created_at"], "modified_at": delegation["modified_at"],
    }  # fmt: skip
    assert owner.call("GET", f"{owner.own}delegated_prefixes") == {"result": []}
    owner.call("DELETE", f"prefixes/{prefix['id']}/delegations/{delegation['id']}")
    assert third.call("GET", f"{third.own}delegated_prefixes") == {"result": []}


def test_a_delegated_prefix_is_not_in_the_accounts_own_list(
    owner: Customer, other: Customer, prefix: dict
) -> None:
    delegate(owner, prefix)
    assert prefix["id"] not in {p["id"] for p in other.call("GET", "prefixes")}


def test_a_delegation_of_all_of_a_prefix_can_make_the_default_binding(
    owner: Customer, other: Customer
) -> None:
    prefix = owner.prefix(service=None)
    delegate(owner, prefix, cidr=prefix["cidr"])
    path = f"prefixes/{prefix['id']}"
    part = {"cidr": prefix["part"], "service_id": "cdn"}
    other.refused("POST", f"{path}/bindings", part, 409, "default_binding_required")
    other.call("POST", f"{path}/bindings", {"cidr": prefix["cidr"], "service_id": "cdn"})
    assert [b["on_demand"]["advertised"] for b in owner.call("GET", f"{path}/bgp/prefixes")] == [False]


def test_permissions_keep_to_if_match(owner: Customer, prefix: dict) -> None:
    delegation = delegate(owner, prefix)
    path = f"{owner.own}prefixes/{prefix['id']}/delegations/{delegation['id']}/permissions"
    tag = owner.http.get(path).headers["ETag"]
    first = owner.http.put(path, json={"may_advertise": True}, headers={"If-Match": tag})
    assert first.status_code == 200 and first.headers["ETag"] != tag
    late = owner.http.put(path, json={"may_advertise": False}, headers={"If-Match": tag})
    assert late.status_code == 412
