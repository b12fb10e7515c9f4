"""A prefix's state and what of it is not (yet) as it was asked, as the API shows them; and their page."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.addressing.differences import (
    DECIDE,
    OPERATOR,
    RETRIED,
    Configured,
    Difference,
    differences,
)
from controller.addressing.life_diagram import drawn
from controller.addressing.views import Observed, Operational, Provisioning, SiteOperational
from controller.bgp import Prefix
from tests.addressing_api import Api, furnished, running_api

ACME = Prefix("192.0.2.0/24")
BASE = "/client/v4/accounts/acme/addressing/prefixes"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "life-of-a-prefix.md"
ON, OFF = Configured(ACME, True), Configured(ACME, False)
UNSEEN = Observed("unknown", reason="no inventory")


class View:
    """What the layers below would say; set by the tests."""

    def __init__(self) -> None:
        self.is_to_be = Operational("unknown", reason="nothing below")
        self.seen = UNSEEN

    def operational(self, account_id: str, bgp_prefix_id: str) -> Operational:
        return self.is_to_be

    def observed(self, prefix: Prefix) -> Observed:
        return self.seen

    def provisioning(self, account_id: str, binding_id: str) -> Provisioning:
        return "provisioning"


def at(**sites: SiteOperational) -> Operational:
    return Operational("rolling", sites=sites)


@pytest.fixture
def view() -> View:
    return View()


@pytest.fixture
def api(tmp_path: Path, view: View):
    with running_api(tmp_path, view=view) as running:
        yield running


def state(api: Api, prefix: str) -> tuple[str, str]:
    with api.http() as http:
        shown = http.get(f"{BASE}/{prefix}").json()["result"]["configured"]
        listed = [p["configured"] for p in http.get(BASE).json()["result"] if p["id"] == prefix]
    assert listed == [shown]
    return shown["state"], shown["next_step"]


def test_the_page_is_drawn_from_the_table() -> None:
    page = PAGE.read_text()
    assert drawn(page) == page, "draw it again: python -m controller.addressing.life_diagram"
    assert page.count("```mermaid") == 1


def test_a_prefix_shows_how_far_it_is(api: Api) -> None:
    client = api.client()
    client.create_service("cdn", "CDN")
    client.create_account("Acme", id="acme")
    prefix = client.create_prefix("acme", ACME)["id"]
    assert state(api, prefix) == ("submitted", "have it validated and approved")
    client.approve_prefix("acme", prefix)
    assert state(api, prefix)[0] == "approved"
    client.bind("acme", prefix, ACME, "cdn")
    assert state(api, prefix) == ("advertisable", "advertise it")
    with api.http() as http:
        (bgp,) = http.get(f"{BASE}/{prefix}/bgp/prefixes").json()["result"]
        part = f"{BASE}/{prefix}/bgp/prefixes/{bgp['id']}"
        assert http.patch(part, json={"on_demand": {"advertised": True}}).status_code == 200
        assert state(api, prefix) == ("advertised", "")
        assert http.patch(part, json={"on_demand": {"advertised": False}}).status_code == 200
        assert state(api, prefix)[0] == "withdrawn"
        assert http.delete(part).status_code == 200
        assert state(api, prefix)[0] == "withdrawn", "what was on the air is no newcomer"


def test_a_binding_without_a_bgp_prefix_is_bound(api: Api) -> None:
    ids = furnished(api)
    with api.http() as http:
        assert http.delete(f"{BASE}/{ids['prefix']}/bgp/prefixes/{ids['bgp']}").status_code == 200
        assert state(api, ids["prefix"])[0] == "bound"
        assert http.delete(f"{BASE}/{ids['prefix']}/bindings/{ids['binding']}").status_code == 200
        assert state(api, ids["prefix"])[0] == "approved"


def test_what_differs_is_shown_on_the_prefix_and_its_bgp_prefix(api: Api, view: View) -> None:
    ids = furnished(api)
    with api.http() as http:
        http.patch(
            f"{BASE}/{ids['prefix']}/bgp/prefixes/{ids['bgp']}", json={"on_demand": {"advertised": True}}
        )
        view.is_to_be = at(
            site1=SiteOperational("announced"), site2=SiteOperational("rolling", "its agent does not answer")
        )
        view.seen = Observed("visible", 3, 5)
        whole = http.get(f"{BASE}/{ids['prefix']}").json()["result"]["observed"]
        part = http.get(f"{BASE}/{ids['prefix']}/bgp/prefixes/{ids['bgp']}").json()["result"]["observed"]
        assert whole["differs"] == part["differs"] == [
            {
                "cidr": ACME,
                "site": "site2",
                "reason": "192.0.2.0/24 was asked to be advertised; site2 has not got it: "
                "its agent does not answer",
                "remedy": RETRIED,
            }
        ]  # fmt: skip
        view.is_to_be = Operational("announced", sites={"site1": SiteOperational("announced")})
        assert http.get(f"{BASE}/{ids['prefix']}").json()["result"]["observed"]["differs"] == []


def test_nothing_differs_when_all_say_the_same_or_nobody_knows() -> None:
    announced = Operational("announced", sites={"site1": SiteOperational("announced", "as of its last")})
    assert differences(ON, announced, Observed("visible", 2, 4)) == ()
    assert differences(ON, Operational("unknown", reason="?"), UNSEEN) == ()
    withdrawn = Operational("withdrawn", sites={"site1": SiteOperational("withdrawn")})
    assert differences(OFF, withdrawn, Observed("absent", 0, 4)) == ()
    only_there = Operational("announced", sites={"a": SiteOperational("announced"),
                                                 "b": SiteOperational("withdrawn")})  # fmt: skip
    assert differences(Configured(ACME, True, ("a",)), only_there, UNSEEN) == ()


@pytest.mark.parametrize(
    ("configured", "operational", "observed", "told"),
    [
        (ON, at(s=SiteOperational("failed", "no")), UNSEEN, ("s", "has not got it: no", OPERATOR)),
        (ON, at(s=SiteOperational("held", "budget")), UNSEEN, ("s", "has not got it: budget", DECIDE)),
        (OFF, at(s=SiteOperational("rolling", "away")), UNSEEN, ("s", "still has it: away", RETRIED)),
        (OFF, at(s=SiteOperational("unknown", "not heard of yet")), UNSEEN, ("s", "has not told", RETRIED)),
        (OFF, Operational("held", reason="the breaker is open"), UNSEEN, (None, "held: the breaker", DECIDE)),
        (ON, Operational("failed", reason="no"), UNSEEN, (None, "its change-set failed: no", "put right")),
        (ON, Operational("rolling", reason="queued"), UNSEEN, (None, "under way: queued", "nothing to do")),
        (ON, Operational("withdrawn"), UNSEEN, (None, "it is to be withdrawn", "ask for it again")),
        (ON, Operational("announced"), Observed("absent", 0, 4), (None, "none of 4 routers", "ROA")),
        (OFF, Operational("withdrawn"), Observed("visible", 1, 4), (None, "1 of 4 routers still", "wait")),
    ],
)  # fmt: skip
def test_each_difference_has_its_reason_and_remedy(
    configured: Configured, operational: Operational, observed: Observed, told: tuple[str | None, str, str]
) -> None:
    site, reason, remedy = told
    (found,) = differences(configured, operational, observed)
    assert isinstance(found, Difference) and found.site == site
    assert reason in found.reason and remedy in found.remedy
    assert found.reason.startswith(configured.words)


def test_a_route_that_nobody_sees_because_no_site_has_it_is_not_blamed_on_its_roa() -> None:
    found = differences(ON, at(s=SiteOperational("rolling", "0 of 2 machines")), Observed("absent", 0, 4))
    assert [d.site for d in found] == ["s", None]
    assert "ROA" not in found[1].remedy
