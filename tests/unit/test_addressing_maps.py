"""Address maps: what may be in one, when it may be enabled, and what then cannot be taken from under it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.addressing_api import Api, running_api
from tests.customers import Customer


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("maps")) as running:
        for service, name in (("cdn", "CDN"), ("magic", "Magic Transit")):
            running.client().create_service(service, name)
        for account in ("acme", "beta", "gamma"):
            running.client().create_account(account.title(), id=account)
        yield running


@pytest.fixture(scope="module")
def acme(api: Api) -> Customer:
    return Customer(api, "acme")


@pytest.fixture(scope="module")
def beta(api: Api) -> Customer:
    return Customer(api, "beta")


BARE = {
    "success": True, "errors": [], "messages": [],
    "result_info": {"page": 1, "per_page": 0, "count": 0, "total_count": 0, "total_pages": 1},
}  # fmt: skip


def address(prefix: dict[str, str], last: int = 1) -> str:
    """Return an address in the prefix's part."""
    return prefix["part"].removesuffix("0/24") + str(last)


def make(customer: Customer, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = customer.call("POST", "address_maps", body)
    return made


def test_a_map_from_its_making_to_its_end(api: Api, acme: Customer) -> None:
    prefix = acme.prefix()
    ip, zone = address(prefix), {"identifier": "0f" * 16, "kind": "zone"}
    made = make(acme, description="one", ips=[ip], memberships=[zone])
    when = made["created_at"]
    assert made == {
        "id": made["id"], "can_delete": True, "can_modify_ips": True, "created_at": when,
        "default_sni": None, "description": "one", "enabled": False, "modified_at": when,
        "ips": [{"ip": ip, "created_at": when}],
        "memberships": [{**zone, "can_delete": True, "created_at": when}],
    }  # fmt: skip
    path = f"address_maps/{made['id']}"
    assert acme.call("GET", path) == made
    bare = {k: v for k, v in made.items() if k not in ("ips", "memberships")}
    assert bare in acme.call("GET", "address_maps")

    edited = acme.call("PATCH", path, {"default_sni": "www.example.com", "enabled": True})
    changed = {"default_sni": "www.example.com", "enabled": True, "modified_at": edited["modified_at"]}
    assert edited == {**bare, **changed}
    assert acme.call("PATCH", path, {"description": None, "default_sni": None})["description"] is None
    acme.refused("DELETE", path, None, 409, "address_map_is_enabled")
    acme.call("PATCH", path, {"enabled": False})
    assert acme.call("DELETE", path) == BARE
    acme.refused("GET", path, None, 404, "not_found")
    assert made["id"] not in {m["id"] for m in acme.call("GET", "address_maps")}
    assert api.change_sets() == api.woken  # maps are no part of the operational state


def test_an_empty_body_makes_an_empty_disabled_map(acme: Customer) -> None:
    made = make(acme)
    assert (made["enabled"], made["description"], made["ips"], made["memberships"]) == (False, None, [], [])
    assert make(acme, enabled=None, description=None)["enabled"] is False


def test_members_and_addresses_are_put_and_taken(acme: Customer) -> None:
    prefix = acme.prefix()
    path = f"address_maps/{make(acme)['id']}"
    ip = address(prefix)
    for what in (f"ips/{ip}", "accounts/acme", "zones/zone-1"):
        assert acme.call("PUT", f"{path}/{what}") == BARE
        once = acme.call("GET", path)
        assert acme.call("PUT", f"{path}/{what}") == BARE  # again changes nothing
        assert acme.call("GET", path) == once
    shown = acme.call("GET", path)
    assert [i["ip"] for i in shown["ips"]] == [ip]
    assert [(m["kind"], m["identifier"]) for m in shown["memberships"]] == [
        ("account", "acme"),
        ("zone", "zone-1"),
    ]
    for what in (f"ips/{ip}", "accounts/acme", "zones/zone-1"):
        assert acme.call("DELETE", f"{path}/{what}") == BARE
        acme.refused("DELETE", f"{path}/{what}", None, 404, "not_found")
    assert acme.call("GET", path)["ips"] == []
    acme.call("PUT", f"{path}/ips/{ip}")  # its place is free again


def test_what_cannot_be_in_a_map_is_refused_by_name_and_changes_nothing(api: Api, acme: Customer) -> None:
    prefix, waiting = acme.prefix(), acme.prefix(approved=False)
    unbound, transit = acme.prefix(service=None), acme.prefix(service="magic")
    path = f"address_maps/{make(acme)['id']}"
    before = api.counts()
    good = address(prefix)
    cases = [
        ("nothing", 400, "invalid_ip"),
        (prefix["part"], 400, "invalid_ip"),
        ("192.0.2.001", 400, "invalid_ip"),
        ("2001:DB8::1", 400, "invalid_ip"),
        ("fe80::1%eth0", 400, "invalid_ip"),
        ("192.0.2.1", 400, "not_within_prefix"),
        (address(waiting), 409, "prefix_not_valid_and_approved"),
        (address(unbound), 409, "ip_not_served"),
        (address(transit), 409, "ip_not_served"),
    ]
    for ip, status, label in cases:
        error = acme.refused("POST", "address_maps", {"ips": [good, ip]}, status, label)
        assert error["source"]["pointer"] == "/ips/1"
        if "/" not in ip:
            error = acme.refused("PUT", f"{path}/ips/{ip.replace('%', '%25')}", None, status, label)
            assert error["source"]["pointer"] == "/path/ip"
    assert acme.refused("POST", "address_maps", {"ips": [good, good]}, 400, "malformed_body")
    zone = {"identifier": "z", "kind": "zone"}
    acme.refused("POST", "address_maps", {"memberships": [zone, zone]}, 400, "malformed_body")
    acme.refused("POST", "address_maps", {"memberships": [{**zone, "kind": "site"}]}, 400, "malformed_body")
    acme.refused("POST", "address_maps", {"memberships": [{"kind": "zone"}]}, 400, "malformed_body")
    other = {"memberships": [{"identifier": "gamma", "kind": "account"}]}
    error = acme.refused("POST", "address_maps", other, 400, "invalid_member")
    assert error["source"]["pointer"] == "/memberships/0/identifier"
    for member in ("accounts/gamma", "accounts/nobody", "zones/" + "z" * 33, "zones/%F0%9F%92%A9"):
        acme.refused("PUT", f"{path}/{member}", None, 400, "invalid_member")
    assert api.counts() == before


def test_an_edit_says_what_and_to_what(acme: Customer) -> None:
    path = f"address_maps/{make(acme)['id']}"
    acme.refused("PATCH", path, {}, 400, "malformed_body")
    assert (
        acme.refused("PATCH", path, {"enabled": None}, 400, "malformed_body")["source"]["pointer"]
        == "/enabled"
    )
    acme.refused("PATCH", path, {"ips": []}, 400, "malformed_body")
    for name in (
        "localhost",
        "192.0.2.1",
        "-a.example",
        "a..b",
        "www.example.com.",
        "a_b.example",
        "é.example",
    ):
        error = acme.refused("PATCH", path, {"default_sni": name}, 400, "invalid_default_sni")
        assert error["source"]["pointer"] == "/default_sni"
    assert acme.call("PATCH", path, {"default_sni": "xn--9ca.example"})["default_sni"] == "xn--9ca.example"


def test_an_address_is_in_one_enabled_map_at_a_time(acme: Customer) -> None:
    ip = address(acme.prefix())
    first, second = make(acme, ips=[ip], enabled=True), make(acme, ips=[ip])
    label = "ip_in_another_enabled_map"
    error = acme.refused("PATCH", f"address_maps/{second['id']}", {"enabled": True}, 409, label)
    assert error["source"]["pointer"] == "/enabled" and first["id"] in error["message"]
    acme.refused("POST", "address_maps", {"ips": [ip], "enabled": True}, 409, label)
    third = make(acme, enabled=True)
    acme.refused("PUT", f"address_maps/{third['id']}/ips/{ip}", None, 409, label)
    acme.call("PATCH", f"address_maps/{first['id']}", {"enabled": False})
    acme.call("PATCH", f"address_maps/{second['id']}", {"enabled": True})


def test_a_binding_under_an_enabled_map_stays(acme: Customer) -> None:
    prefix = acme.prefix(service="magic")
    bindings = f"prefixes/{prefix['id']}/bindings"
    part = acme.call("POST", bindings, {"cidr": prefix["part"], "service_id": "cdn"})
    ip = address(prefix)
    made = make(acme, ips=[ip], enabled=True)
    error = acme.refused("DELETE", f"{bindings}/{part['id']}", None, 409, "binding_in_use")
    assert ip in error["message"] and made["id"] in error["message"]
    twice = acme.call("POST", bindings, {"cidr": f"{ip}/32", "service_id": "cdn"})
    acme.call("DELETE", f"{bindings}/{part['id']}")  # the more specific one serves it
    acme.refused("DELETE", f"{bindings}/{twice['id']}", None, 409, "binding_in_use")
    acme.call("PATCH", f"address_maps/{made['id']}", {"enabled": False})
    acme.call("DELETE", f"{bindings}/{twice['id']}")
    error = acme.refused("PATCH", f"address_maps/{made['id']}", {"enabled": True}, 409, "ip_not_served")
    assert "Magic Transit" in error["message"]


def test_delegated_addresses_and_accounts(acme: Customer, beta: Customer) -> None:
    prefix = acme.prefix()
    ip = address(prefix)
    mine = make(acme)
    beta.refused("POST", "address_maps", {"ips": [ip]}, 400, "not_within_prefix")
    acme.refused("PUT", f"address_maps/{mine['id']}/accounts/beta", None, 400, "invalid_member")
    where = f"prefixes/{prefix['id']}/delegations"
    delegation = acme.call("POST", where, {"cidr": prefix["part"], "delegated_account_id": "beta"})
    made = make(beta, ips=[ip], enabled=True)
    beta.refused("PUT", f"address_maps/{made['id']}/ips/{address(prefix, 0)[:-2]}9", None, 400, "invalid_ip")
    acme.call("PUT", f"address_maps/{mine['id']}/accounts/beta")
    error = acme.refused("DELETE", f"{where}/{delegation['id']}", None, 409, "delegation_in_use")
    assert ip in error["message"] and f"membership of address map {mine['id']}" in error["message"]
    other = acme.refused(
        "POST", "address_maps", {"ips": [ip], "enabled": True}, 409, "ip_in_another_enabled_map"
    )
    assert made["id"] not in other["message"]  # another account's map is not told
    beta.call("DELETE", f"address_maps/{made['id']}/ips/{ip}")
    acme.call("DELETE", f"address_maps/{mine['id']}/accounts/beta")
    acme.call("DELETE", f"{where}/{delegation['id']}")


def test_a_map_of_the_operators_is_theirs_to_change(api: Api, acme: Customer) -> None:
    ip = address(acme.prefix())
    made = make(acme, ips=[ip])
    management = f"{acme.own}address_maps/{made['id']}/management"
    wanted = {"can_delete": False, "can_modify_ips": False}
    acme.refused("PUT", management, wanted, 403, "not_allowed")
    path = f"address_maps/{made['id']}"
    with api.http() as http:
        assert http.put(management, json=wanted).json()["can_delete"] is False
        acme.refused("DELETE", path, None, 403, "address_map_is_managed")
        acme.refused("DELETE", f"{path}/ips/{ip}", None, 403, "address_map_is_managed")
        acme.refused("PUT", f"{path}/zones/z", None, 403, "address_map_is_managed")
        assert http.put(f"{acme.base}{path}/zones/z").status_code == 200
        assert acme.call("GET", path)["memberships"][0]["can_delete"] is False
        assert http.delete(f"{acme.base}{path}").status_code == 200


def test_maps_are_the_accounts_own(acme: Customer, beta: Customer) -> None:
    made = make(acme)
    for method, body in (("GET", None), ("PATCH", {"enabled": True}), ("DELETE", None)):
        beta.refused(method, f"address_maps/{made['id']}", body, 404, "not_found")
    for odd in ("x" * 300, "%00", "..%2f", "%F0%9F%92%A9"):
        answer = acme.http.get(f"{acme.base}address_maps/{odd}")
        assert answer.status_code in (400, 404)


def test_edits_keep_to_if_match(acme: Customer) -> None:
    made = make(acme)
    where = f"{acme.base}address_maps/{made['id']}"
    tag = acme.http.get(where).headers["ETag"]
    assert acme.http.put(f"{where}/zones/z", headers={"If-Match": tag}).status_code == 200
    assert acme.http.patch(where, json={"enabled": True}, headers={"If-Match": tag}).status_code == 412
