"""From the official SDK's edit to four real peers' RIBs, as a customer does it; and the object says so."""

from __future__ import annotations

from collections.abc import Iterator

import cloudflare
import httpx
import pytest

from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from tests.labs.test_two_sites import SPEAKERS, TOPOLOGY, TRANSITS, wait_for_paths

pytestmark = pytest.mark.lab

ACCOUNT = "acme"
PREFIXES = {"ipv4": "192.0.2.0/24", "ipv6": "2001:db8:1000::/48"}


@pytest.fixture
def sdk(lab: LiveLab) -> Iterator[cloudflare.Cloudflare]:
    """The official client with a token of the customer's own, over the lab's unix socket."""
    made = lab.client.create_token("customer", account_id=ACCOUNT, description="the customer's automation")
    transport = httpx.HTTPTransport(uds=lab.inventory.api_socket)
    with cloudflare.Cloudflare(
        api_token=made["token"],
        base_url="http://herald/client/v4",
        http_client=httpx.Client(transport=transport),
        max_retries=0,
    ) as client:
        yield client
    lab.client.revoke_token(made["id"])


@pytest.fixture(params=["exabgp", "gobgp"])
def lab(herald_lab: LabFactory, request: pytest.FixtureRequest) -> LiveLab:
    return herald_lab(TOPOLOGY, **SPEAKERS[request.param])


@pytest.mark.parametrize("family", PREFIXES)
def test_an_edit_reaches_four_peers_and_the_object_says_that_it_did(
    lab: LiveLab, sdk: cloudflare.Cloudflare, family: str
) -> None:
    cidr = PREFIXES[family]
    prefixes = sdk.addressing.prefixes
    (prefix,) = [p for p in prefixes.list(account_id=ACCOUNT) if p.cidr == cidr]
    assert prefix.id is not None
    (bgp,) = prefixes.bgp_prefixes.list(prefix.id, account_id=ACCOUNT)
    assert bgp.id is not None

    def edit(advertised: bool) -> None:
        prefixes.bgp_prefixes.edit(
            bgp.id, account_id=ACCOUNT, prefix_id=prefix.id, on_demand={"advertised": advertised}
        )

    def observed() -> dict:
        found = prefixes.bgp_prefixes.get(bgp.id, account_id=ACCOUNT, prefix_id=prefix.id)
        return found.observed  # type: ignore[attr-defined]  (our extension of the SDK's model)

    edit(True)
    wait_for_paths(lab, cidr, (64500,))
    lab.wait_until(lambda: observed()["state"] == "visible", what="the object to say that it is visible")
    everybody = len(TRANSITS) + 1
    lab.wait_until(lambda: observed()["seen_by"] == everybody, what="the object to say that all see it")
    found = prefixes.bgp_prefixes.get(bgp.id, account_id=ACCOUNT, prefix_id=prefix.id)
    assert found.operational["state"] == "announced"  # type: ignore[attr-defined]
    assert found.on_demand is not None and found.on_demand.advertised is True

    edit(False)
    lab.wait_for_absence(cidr)
    lab.wait_until(lambda: observed()["state"] == "absent", what="the object to say that nobody sees it")
