"""The official SDK, unchanged, against the API on a real server: every call that it has for this version."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path

import cloudflare
import httpx
import pytest

from tests.addressing_api import Api, furnished, running_api

A = "acme"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("sdk")) as running:
        running.client().create_service("cdn", "CDN")
        running.client().create_account("Acme", id=A)
        yield running


def sdk(api: Api) -> cloudflare.Cloudflare:
    return cloudflare.Cloudflare(
        api_token=api.token, base_url=f"http://127.0.0.1:{api.port}/client/v4", max_retries=0
    )


def approve(api: Api, prefix_id: str) -> httpx.Response:
    return api.http().post(f"/client/v4/accounts/{A}/addressing/prefixes/{prefix_id}/approve")


def test_the_life_of_a_prefix(api: Api) -> None:
    addressing = sdk(api).addressing
    made = addressing.prefixes.create(account_id=A, asn=64511, cidr="198.51.100.0/24", description="one")
    assert (made.approved, made.asn, made.cidr, made.account_id) == ("P", 64511, "198.51.100.0/24", A)
    assert addressing.prefixes.edit(made.id, account_id=A, description="two").description == "two"
    assert [p.id for p in addressing.prefixes.list(account_id=A) if p.cidr == made.cidr] == [made.id]
    with pytest.raises(cloudflare.ConflictError, match="prefix_not_valid_and_approved"):
        addressing.prefixes.service_bindings.create(made.id, account_id=A, cidr=made.cidr, service_id="cdn")
    assert approve(api, made.id).headers["Herald-Change-Set"] == api.woken[-1]
    assert addressing.prefixes.get(made.id, account_id=A).approved == "V"
    assert list(addressing.prefixes.bgp_prefixes.list(made.id, account_id=A)) == []  # approval makes nothing
    with pytest.raises(cloudflare.ConflictError, match="prefix_is_approved"):
        addressing.prefixes.delete(made.id, account_id=A)

    bound = addressing.prefixes.service_bindings.create(
        made.id, account_id=A, cidr=made.cidr, service_id="cdn"
    )
    assert (bound.service_name, bound.provisioning.state) == ("CDN", "provisioning")
    assert (
        addressing.prefixes.service_bindings.get(bound.id, account_id=A, prefix_id=made.id).cidr == made.cidr
    )
    assert [b.id for b in addressing.prefixes.service_bindings.list(made.id, account_id=A)] == [bound.id]
    (bgp,) = addressing.prefixes.bgp_prefixes.list(made.id, account_id=A)
    assert (bgp.cidr, bgp.asn, bgp.on_demand.advertised) == (made.cidr, 64511, False)
    assert bgp.on_demand.advertised_modified_at is None

    edit = {"account_id": A, "prefix_id": made.id}
    on = addressing.prefixes.bgp_prefixes.edit(bgp.id, **edit, on_demand={"advertised": True})
    assert on.on_demand.advertised is True and on.on_demand.advertised_modified_at is not None
    assert on.operational["state"] == "rolling" and on.configured["advertised"] is True
    more = addressing.prefixes.bgp_prefixes.edit(
        bgp.id, **edit, asn_prepend_count=3, auto_advertise_withdraw=True
    )
    assert (more.asn_prepend_count, more.auto_advertise_withdraw) == (3, True)
    assert more.on_demand.advertised_modified_at == on.on_demand.advertised_modified_at
    assert addressing.prefixes.get(made.id, account_id=A).advertised is True
    with pytest.raises(cloudflare.ConflictError, match="still_advertised"):
        addressing.prefixes.bgp_prefixes.delete(bgp.id, **edit)
    with pytest.raises(cloudflare.ConflictError, match="still_advertised"):
        addressing.prefixes.service_bindings.delete(bound.id, **edit)

    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old = addressing.prefixes.advertisement_status
        assert old.get(made.id, account_id=A).advertised is True
        assert old.edit(made.id, account_id=A, advertised=False).advertised is False
    assert addressing.prefixes.bgp_prefixes.get(bgp.id, **edit).on_demand.advertised is False
    assert addressing.prefixes.bgp_prefixes.delete(bgp.id, **edit).success is True
    assert addressing.prefixes.service_bindings.delete(bound.id, **edit).success is True
    assert list(addressing.prefixes.bgp_prefixes.list(made.id, account_id=A)) == []
    assert list(addressing.prefixes.service_bindings.list(made.id, account_id=A)) == []


def test_parts_of_a_prefix(api: Api) -> None:
    addressing = sdk(api).addressing
    made = addressing.prefixes.create(account_id=A, asn=None, cidr="2001:db8:40::/44")  # type: ignore[arg-type]
    approve(api, made.id)
    with pytest.raises(cloudflare.ConflictError, match="default_binding_required"):
        addressing.prefixes.service_bindings.create(
            made.id, account_id=A, cidr="2001:db8:41::/48", service_id="cdn"
        )
    part = addressing.prefixes.bgp_prefixes.create(made.id, account_id=A, cidr="2001:db8:41::/48")
    edit = {"account_id": A, "prefix_id": made.id}
    with pytest.raises(cloudflare.ConflictError, match="incomplete_bgp_deployment"):
        addressing.prefixes.bgp_prefixes.edit(part.id, **edit, on_demand={"advertised": True})
    addressing.prefixes.service_bindings.create(made.id, account_id=A, cidr=made.cidr, service_id="cdn")
    part_binding = addressing.prefixes.service_bindings.create(
        made.id, account_id=A, cidr="2001:db8:41::/64", service_id="cdn"
    )
    assert part_binding.cidr == "2001:db8:41::/64"  # a binding may be longer than a route
    assert addressing.prefixes.bgp_prefixes.edit(
        part.id, **edit, on_demand={"advertised": True}
    ).on_demand.advertised


def test_unapproved_is_deleted_and_its_place_is_free_again(api: Api) -> None:
    addressing = sdk(api).addressing
    for _ in range(2):
        made = addressing.prefixes.create(account_id=A, asn=None, cidr="203.0.113.0/24")  # type: ignore[arg-type]
        assert addressing.prefixes.delete(made.id, account_id=A).success is True
        with pytest.raises(cloudflare.NotFoundError):
            addressing.prefixes.get(made.id, account_id=A)


def test_services(api: Api) -> None:
    assert [(s.id, s.name) for s in sdk(api).addressing.services.list(account_id=A)] == [("cdn", "CDN")]


def test_zones_are_no_part_of_herald_and_there_are_no_regions(api: Api) -> None:
    names = sdk(api).addressing.regional_hostnames
    with pytest.raises(cloudflare.NotFoundError, match="not part of Herald"):
        names.list(zone_id="z")
    assert list(names.regions.list(account_id=A)) == []


def test_a_refusal_is_not_repeated_by_the_sdk(api: Api) -> None:
    calls: list[str] = []
    http = httpx.Client(event_hooks={"request": [lambda r: calls.append(r.url.path)]})
    patient = cloudflare.Cloudflare(
        api_token=api.token,
        base_url=f"http://127.0.0.1:{api.port}/client/v4",
        max_retries=2,
        http_client=http,
    )
    prefixes = patient.addressing.prefixes
    made = prefixes.create(account_id=A, asn=64511, cidr="192.0.2.0/24")
    calls.clear()
    with pytest.raises(cloudflare.ConflictError):  # which it would repeat by itself
        prefixes.bgp_prefixes.create(made.id, account_id=A, cidr=made.cidr)
    assert len(calls) == 1


def test_the_asynchronous_sdk_over_the_unix_socket(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        ids = furnished(api)

        async def toggle() -> list[bool]:
            transport = httpx.AsyncHTTPTransport(uds=str(api.socket))
            client = cloudflare.AsyncCloudflare(
                api_token=api.token,
                base_url="http://herald/client/v4",
                max_retries=0,
                http_client=httpx.AsyncClient(transport=transport),
            )
            async with client:
                bgp = client.addressing.prefixes.bgp_prefixes
                for wanted in (True, False):
                    await bgp.edit(
                        ids["bgp"], account_id=A, prefix_id=ids["prefix"], on_demand={"advertised": wanted}
                    )
                return [b.on_demand.advertised async for b in bgp.list(ids["prefix"], account_id=A)]

        assert asyncio.run(toggle()) == [False]
        assert api.woken == api.change_sets()
