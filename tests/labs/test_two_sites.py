"""The main job on real daemons: an API call reaches every peer's RIB by exactly the implied AS paths."""

from __future__ import annotations

import signal

import pytest

from labs.live import LiveLab
from labs.pytest_plugin import LabFactory

pytestmark = pytest.mark.lab

TOPOLOGY = "topologies/two-sites/two-sites.clab.yml"
TRANSITS = {"t-bird": 65001, "t-frr": 65002, "t-gobgp": 65003, "t-openbgpd": 65004}
UPSTREAMS_OF_VANTAGE = ("t-bird", "t-frr")
PREFIXES = {
    ("ipv4", None): "192.0.2.0/24",
    ("ipv6", None): "2001:db8:1000::/48",
    ("ipv4", 64511): "198.51.100.0/24",
    ("ipv6", 64511): "2001:db8:2000::/48",
}
SPEAKERS = {
    "exabgp": {"HERALD_SPEAKER": "exabgp", "HERALD_SPEAKER_2": "exabgp"},
    "gobgp": {"HERALD_SPEAKER": "gobgp", "HERALD_SPEAKER_2": "gobgp"},
    "both": {},
}


def expected_paths(node: str, origin: tuple[int, ...], sites: int = 2) -> list[tuple[int, ...]]:
    """What the topology implies: both sites directly, and each other transit's best path."""
    if node == "vantage":
        return sorted(((TRANSITS[t], *origin) for t in UPSTREAMS_OF_VANTAGE), key=repr)
    others = [(number, *origin) for name, number in TRANSITS.items() if name != node]
    return sorted([origin] * sites + others, key=repr)


def wait_for_paths(lab: LiveLab, prefix: str, origin: tuple[int, ...], sites: int = 2) -> None:
    for node in (*TRANSITS, "vantage"):
        lab.wait_until(
            lambda node=node: lab.node(node).rib(prefix).paths(prefix) == expected_paths(node, origin, sites),
            what=f"{node} to hold {expected_paths(node, origin, sites)} for {prefix}",
        )


@pytest.mark.parametrize("asn", [None, 64511], ids=["own-asn", "customer-asn"])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_announced_everywhere_by_the_implied_paths_and_gone_after_the_withdrawal(
    herald_lab: LabFactory, speaker: str, family: str, asn: int | None
) -> None:
    lab = herald_lab(TOPOLOGY, **SPEAKERS[speaker])
    prefix = PREFIXES[family, asn]
    origin = (64500,) if asn is None else (64500, asn)

    lab.announce(prefix)
    wait_for_paths(lab, prefix, origin)
    for transit in TRANSITS:
        rows = lab.node(transit).rib(prefix)[prefix]
        assert {"site1", "site2"} <= {row.from_ for row in rows}, rows
        assert sum(row.best for row in rows) == 1, rows
        assert all(row.next_hop and not row.next_hop.startswith("fe80") for row in rows), rows
    assert {(r.node, r.prefix) for r in lab.sent(prefix)} == {("site1", prefix), ("site2", prefix)}

    lab.withdraw(prefix)
    lab.wait_for_absence(prefix)
    assert lab.sent(prefix) == []


def test_one_site_alone(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    lab.announce("192.0.2.0/24", sites=["site1"])
    wait_for_paths(lab, "192.0.2.0/24", (64500,), sites=1)
    mark = lab.mark()
    lab.announce("192.0.2.0/24")
    wait_for_paths(lab, "192.0.2.0/24", (64500,))
    with lab.never_lost("vantage", "192.0.2.0/24"), lab.never_lost("t-frr", "192.0.2.0/24"):
        lab.announce("192.0.2.0/24", sites=["site2"])
        wait_for_paths(lab, "192.0.2.0/24", (64500,), sites=1)
    assert lab.updates("192.0.2.0/24", sender="site2", since=mark)


def test_traffic_reaches_a_machine(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    for prefix, address in (("192.0.2.0/24", "192.0.2.1"), ("2001:db8:1000::/48", "2001:db8:1000::1")):
        lab.announce(prefix)
        lab.wait_for_route(prefix)
        answers = lab.node("vantage").run("ping", "-c", "3", "-i", "0.2", "-W", "2", address)
        assert " 0% packet loss" in answers


def stop_machines(lab: LiveLab, *machines: str) -> None:
    for machine in machines:
        lab.running.signal(f"machine:{machine}", signal.SIGSTOP)


def let_go_on(lab: LiveLab, *machines: str) -> None:
    for machine in machines:
        lab.running.signal(f"machine:{machine}", signal.SIGCONT)


@pytest.mark.parametrize("speaker", ["exabgp", "gobgp"])
def test_one_stopped_machine_does_not_hold_its_site_back(herald_lab: LabFactory, speaker: str) -> None:
    lab = herald_lab(TOPOLOGY, **SPEAKERS[speaker])
    stop_machines(lab, "s1m1")
    try:
        lab.ask("192.0.2.0/24", advertised=True)
        wait_for_paths(lab, "192.0.2.0/24", (64500,))
    finally:
        let_go_on(lab, "s1m1")


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("speaker", ["exabgp", "gobgp"])
def test_a_site_whose_machines_are_all_stopped_sends_no_update(
    herald_lab: LabFactory, speaker: str, family: str
) -> None:
    lab = herald_lab(TOPOLOGY, **SPEAKERS[speaker])
    prefix = PREFIXES[family, None]
    mark = lab.mark()
    stop_machines(lab, "s1m1", "s1m2")
    try:
        change_set = lab.ask(prefix, advertised=True)
        assert change_set
        # The other site announces, and the stopped one says what it waits for: then we know it had its turn.
        lab.wait_for_route(prefix)
        lab.wait_until(
            lambda: "quorum" in lab.client.change_set(change_set).sites["site1"].reason,
            what="site1 to say that it waits for its machines' quorum",
        )
        assert lab.updates(prefix, sender="site1", since=mark) == []
        assert lab.updates(prefix, sender="site2", since=mark)
    finally:
        let_go_on(lab, "s1m1", "s1m2")
    wait_for_paths(lab, prefix, (64500,))
    assert lab.updates(prefix, sender="site1", since=mark)
