"""The reference's semantics, one by one, as a customer meets them."""

from __future__ import annotations

import pytest

from controller.addressing.tables import BgpPrefixRow
from controller.addressing.views import NullView, Provisioning
from tests.addressing_api import Api, running_api
from tests.customers import Customer


class Deployed(NullView):
    """The view of a controller whose sites all hold every binding."""

    def provisioning(self, account_id: str, binding_id: str) -> Provisioning:
        return "active"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("semantics"), view=Deployed()) as running:
        for service, name in (("cdn", "CDN"), ("magic", "Magic Transit")):
            running.client().create_service(service, name)
        running.client().create_account("Acme", id="acme")
        yield running


@pytest.fixture(scope="module")
def acme(api: Api) -> Customer:
    return Customer(api, "acme")


def bgp_of(acme: Customer, prefix: dict[str, str]) -> list[dict]:
    return acme.call("GET", f"prefixes/{prefix['id']}/bgp/prefixes")


def test_the_first_binding_is_for_all_of_the_prefix_and_makes_its_bgp_prefix(acme: Customer) -> None:
    prefix = acme.prefix(service=None)
    path = f"prefixes/{prefix['id']}/bindings"
    part = {"cidr": prefix["part"], "service_id": "cdn"}
    error = acme.refused("POST", path, part, 409, "default_binding_required")
    assert error["source"]["pointer"] == "/cidr" and bgp_of(acme, prefix) == []
    acme.call("POST", path, {"cidr": prefix["cidr"], "service_id": "cdn"})
    assert [b["cidr"] for b in bgp_of(acme, prefix)] == [prefix["cidr"]]
    acme.call("POST", path, part)
    assert [b["cidr"] for b in bgp_of(acme, prefix)] == [prefix["cidr"]]  # a later one makes none


def test_a_bgp_prefix_is_born_withdrawn_however_it_is_made(acme: Customer) -> None:
    prefix = acme.prefix()
    acme.call("POST", f"prefixes/{prefix['id']}/bgp/prefixes", {"cidr": prefix["part"]})
    for bgp in bgp_of(acme, prefix):
        assert bgp["on_demand"] == {
            "advertised": False, "advertised_modified_at": None, "on_demand_enabled": True,
            "on_demand_locked": False,
        }  # fmt: skip
        assert bgp["bgp_signal_opts"] == {"enabled": False, "modified_at": None}


def test_advertised_is_never_null_since_advertising_is_always_on_demand(acme: Customer) -> None:
    waiting, unbound, bound = acme.prefix(approved=False), acme.prefix(service=None), acme.prefix()
    for prefix in (waiting, unbound, bound):
        path = f"prefixes/{prefix['id']}"
        shown = acme.call("GET", path)
        assert (shown["on_demand_enabled"], shown["advertised"]) == (True, False)
        assert acme.call("GET", f"{path}/bgp/status") == {"advertised": False, "advertised_modified_at": None}


def test_advertised_of_a_prefix_is_that_of_its_own_bgp_prefix(acme: Customer) -> None:
    prefix = acme.prefix()
    path = f"prefixes/{prefix['id']}"
    (whole,) = bgp_of(acme, prefix)
    part = acme.call("POST", f"{path}/bgp/prefixes", {"cidr": prefix["part"]})
    on = {"on_demand": {"advertised": True}}
    acme.call("PATCH", f"{path}/bgp/prefixes/{part['id']}", on)
    assert acme.call("GET", path)["advertised"] is False  # a part of it is
    assert acme.call("GET", path)["configured"]["advertised"] is True
    assert acme.call("GET", f"{path}/bgp/status")["advertised"] is False
    acme.call("PATCH", f"{path}/bgp/prefixes/{whole['id']}", on)
    shown = acme.call("GET", path)
    assert shown["advertised"] is True
    assert shown["advertised_modified_at"] == acme.call("GET", f"{path}/bgp/status")["advertised_modified_at"]


def test_a_success_is_accepted_and_not_yet_in_effect(acme: Customer) -> None:
    prefix = acme.prefix()
    (bgp,) = bgp_of(acme, prefix)
    answer = acme.http.patch(
        f"{acme.base}prefixes/{prefix['id']}/bgp/prefixes/{bgp['id']}",
        json={"on_demand": {"advertised": True}},
    )
    shown = answer.json()["result"]
    assert answer.status_code == 200 and answer.headers["Herald-Change-Set"]
    assert shown["on_demand"]["advertised"] is True
    assert (shown["operational"]["state"], shown["observed"]["state"]) == ("rolling", "unknown")


def test_what_is_not_approved_cannot_be_used(acme: Customer) -> None:
    prefix = acme.prefix(approved=False)
    path = f"prefixes/{prefix['id']}"
    for where, body in (
        ("bindings", {"cidr": prefix["cidr"], "service_id": "cdn"}),
        ("bgp/prefixes", {"cidr": prefix["cidr"]}),
        ("delegations", {"cidr": prefix["cidr"], "delegated_account_id": "acme"}),
    ):
        acme.refused("POST", f"{path}/{where}", body, 409, "prefix_not_valid_and_approved")
    acme.refused("PATCH", f"{path}/bgp/status", {"advertised": True}, 409, "prefix_not_valid_and_approved")


def test_nothing_is_advertised_without_a_binding(acme: Customer) -> None:
    prefix = acme.prefix(service=None)
    path = f"prefixes/{prefix['id']}/bgp"
    part = acme.call("POST", f"{path}/prefixes", {"cidr": prefix["part"]})
    label = "incomplete_bgp_deployment"
    acme.refused("PATCH", f"{path}/prefixes/{part['id']}", {"on_demand": {"advertised": True}}, 409, label)
    acme.refused("PATCH", f"{path}/status", {"advertised": True}, 409, label)


def test_a_locked_advertisement_stays_as_it_is(api: Api, acme: Customer) -> None:
    prefix = acme.prefix()
    (bgp,) = bgp_of(acme, prefix)
    with api.store.write() as session:
        session.get_one(BgpPrefixRow, bgp["id"]).locked = True
    path = f"prefixes/{prefix['id']}/bgp"
    assert acme.call("GET", f"prefixes/{prefix['id']}")["on_demand_locked"] is True
    on = {"on_demand": {"advertised": True}}
    acme.refused("PATCH", f"{path}/prefixes/{bgp['id']}", on, 423, "advertise_state_locked")
    acme.refused("PATCH", f"{path}/status", {"advertised": True}, 423, "advertise_state_locked")


@pytest.mark.parametrize("count", [-1, 4, 1.0, "1", True, None])
def test_a_path_is_prepended_to_three_times_at_most(acme: Customer, count: object) -> None:
    prefix = acme.prefix()
    (bgp,) = bgp_of(acme, prefix)
    path = f"prefixes/{prefix['id']}/bgp/prefixes/{bgp['id']}"
    acme.refused("PATCH", path, {"asn_prepend_count": count}, 400, "malformed_body")
    assert acme.call("PATCH", path, {"asn_prepend_count": 3})["asn_prepend_count"] == 3


def test_magic_transit_is_a_default_binding_and_its_state_is_that_of_any(acme: Customer) -> None:
    """``magic_transit_route_missing`` tells of a Magic routing table, which Herald does not have."""
    prefix = acme.prefix(service="magic")
    path = f"prefixes/{prefix['id']}/bindings"
    part = {"cidr": prefix["part"], "service_id": "magic"}
    error = acme.refused("POST", path, part, 409, "service_is_default_binding_only")
    assert error["source"]["pointer"] == "/service_id"
    (bound,) = acme.call("GET", path)
    assert (bound["service_name"], bound["provisioning"]) == ("Magic Transit", {"state": "active"})
    acme.call("POST", path, {**part, "service_id": "cdn"})  # the most specific one wins there


def test_ids_have_at_most_32_characters_and_times_are_utc(acme: Customer) -> None:
    prefix = acme.prefix()
    for shown in (acme.call("GET", f"prefixes/{prefix['id']}"), *bgp_of(acme, prefix)):
        assert len(shown["id"]) <= 32
        assert shown["created_at"].endswith("Z") and "T" in shown["created_at"]
