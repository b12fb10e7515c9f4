"""``GET /metrics``: numbers of the store, the agents and whoever looks, and no label that names a prefix."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.bgp import Family, Prefix
from controller.guard import scopes
from controller.observe.evidence import Moment, Sight
from controller.rollout import records
from controller.rollout.driver import Driver
from controller.rollout.metrics import Metrics
from controller.safety.breaker import Exceeded
from controller.safety.policy import Policy
from controller.store import Store, open_store
from controller.transport.http import HttpSiteLink
from tests.stores import a_store
from tests.unit.test_watchers import MINE, OTHERS, onboard

pytestmark = pytest.mark.stores
SITES = ("site1", "site2")


class Seen:
    """Two neighbours see site1's routes; nobody can tell of site2's."""

    def look(self, sites: Sequence[str], touched: Sequence[Prefix], targets: Mapping[Prefix, str]) -> Moment:
        return Moment(
            sights=(
                Sight("rib", "t1", "site1", Family.IPV4, holds={MINE: (64500,)}),
                Sight("rib", "t2", "site1", Family.IPV4, holds={OTHERS[0]: (64500,)}),
                Sight("rib", "t1", "site2", Family.IPV4, state="silent", why="away"),
            )
        )


def numbers(metrics: Metrics) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def a_driver(path: Path) -> tuple[Store, Driver]:
    store = open_store(a_store(path / "herald.db"))
    with store.write() as session:
        records.join_sites(session, SITES)
    return store, Driver(store, {s: HttpSiteLink(s, str(path / s)) for s in SITES})


def test_what_is_wanted_seen_taken_away_and_held_is_told_in_numbers(tmp_path: Path) -> None:
    store, driver = a_driver(tmp_path)
    metrics = Metrics(driver, Seen())
    onboard(store, "acme", MINE, MINE, 1, advertised=True)
    onboard(store, "globex", OTHERS[0], OTHERS[0], 2, advertised=True)
    onboard(store, "acme", MINE, MINE, 3, advertised=False)
    with store.write() as session:
        opened = Exceeded("actor:task:cleaner", "fleet", "22 in 60 s", 0.0)
        scopes.happened(scopes.Moment(session, Policy(), datetime.now(UTC)), scopes.State(), opened)
    asyncio.run(driver.start())
    found = numbers(metrics)
    assert found["herald_operational_prefixes{site=site1}"] == 1
    assert found["herald_observed_prefixes{site=site1,source=rib}"] == 2
    assert found["herald_observers{site=site2,source=rib}"] == 0
    assert "herald_observed_prefixes{site=site2,source=rib}" not in found  # no data is not zero
    assert found["herald_withdrawals_total{reason=test}"] == 2  # at two sites
    assert found["herald_breaker_state{scope=actor}"] == 1
    assert found["herald_breaker_state{scope=fleet}"] == 0
    assert sum(v for k, v in found.items() if k.startswith("herald_rollout_phase")) == 3
    assert not [k for k in found if "/24" in k or "acme" in k or "cleaner" in k]
    assert numbers(metrics)["herald_withdrawals_total{reason=test}"] == 2  # each is counted once


def test_without_observers_nothing_is_said_of_what_is_seen(tmp_path: Path) -> None:
    _, driver = a_driver(tmp_path)
    asyncio.run(driver.start())
    assert not [k for k in numbers(Metrics(driver)) if "observe" in k]
