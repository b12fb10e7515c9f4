"""What an account is told of what a rollback undid: that, why, and who decides; not that sites lag behind."""

from __future__ import annotations

from controller.addressing.differences import UNDONE, Configured, differences
from controller.addressing.views import Observed, Operational, SiteOperational
from controller.bgp import Prefix

CIDR = Prefix("192.0.2.0/24")
WHY = "account acme was rolled back to 5d41402abc4b by rollback 7d79 (a mistake): herald pins decide"
UNKNOWN = Observed("unknown")


def test_what_a_rollback_undid_is_told_once_with_who_decides() -> None:
    sites = {"site1": SiteOperational("announced"), "site2": SiteOperational("announced")}
    [found] = differences(Configured(CIDR, False), Operational("announced", None, WHY, sites), UNKNOWN)
    assert found.site is None and WHY in found.reason and found.remedy == UNDONE


def test_a_site_that_lags_behind_production_is_told_too() -> None:
    sites = {"site1": SiteOperational("announced"), "site2": SiteOperational("rolling", "on its way")}
    found = differences(Configured(CIDR, False), Operational("announced", None, WHY, sites), UNKNOWN)
    assert [d.site for d in found] == ["site2", None]


def test_without_a_rollback_sites_are_told_one_by_one() -> None:
    sites = {"site1": SiteOperational("announced"), "site2": SiteOperational("withdrawn")}
    found = differences(Configured(CIDR, False), Operational("announced", None, "", sites), UNKNOWN)
    assert [d.site for d in found] == ["site1", None]
    assert all(d.remedy != UNDONE for d in found)
