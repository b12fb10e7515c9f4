"""Rollback on real daemons: what was withdrawn, stripped and deleted is in peers' RIBs as before (I2, I8)."""

from __future__ import annotations

import signal

import pytest

from controller.cli.routes import herald
from controller.observe.rib import RibRow
from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from tests.labs.test_two_sites import wait_for_paths

pytestmark = pytest.mark.lab

TOPOLOGY = "topologies/two-sites/two-sites.clab.yml"
V4, V6, NEXT_DOOR = "192.0.2.0/24", "2001:db8:1000::/48", "198.51.100.0/24"


def held(lab: LiveLab) -> set[tuple[str, str, tuple[object, ...], str]]:
    """What each router that is not ours holds: prefix, path, from whom."""
    rows: list[RibRow] = [r for prefix in (V4, V6, NEXT_DOOR) for r in lab.ribs(prefix)]
    return {(r.node, r.prefix, r.as_path, r.from_) for r in rows}


def strip_and_delete(lab: LiveLab) -> None:
    """Do to acme what the outage did: both withdrawn, one also without its binding, and deleted."""
    owner, operator = lab.owner_of(V4), lab.as_operator()
    prefix = next(p for p in owner.prefixes("acme") if p["cidr"] == V4)
    lab.withdraw(V6)
    lab.withdraw(V4)
    binding = owner.bindings("acme", prefix["id"])[0]
    made = owner.unbind("acme", prefix["id"], binding["id"])
    assert made and operator.wait_change_set(made, 20).state == "done"
    owner.write(
        "PUT", herald("accounts", "acme", "prefixes", prefix["id"], "deletion"), {"reason": "a mistake"}
    )
    body = {"ids": [prefix["id"]], "expected_count": 1, "selector": None, "reason": "the clean-up"}
    deleted = operator.write("POST", herald("prefix_deletions"), body)
    for change_set in deleted.change_sets:
        assert operator.wait_change_set(change_set, 20).state == "done"
    lab.wait_for_absence(V4)
    lab.wait_for_absence(V6)


@pytest.mark.parametrize("speaker", ["exabgp", "gobgp"])
def test_a_stripped_account_is_back_as_it_was_and_no_route_comes_before_its_quorum(
    herald_lab: LabFactory, speaker: str
) -> None:
    lab = herald_lab(TOPOLOGY, HERALD_SPEAKER=speaker, HERALD_SPEAKER_2=speaker)
    lab.spoiled = True  # acme stays pinned
    operator = lab.as_operator()
    for prefix in (V4, V6, NEXT_DOOR):
        lab.announce(prefix)
    for prefix, origin in ((V4, (64500,)), (V6, (64500,)), (NEXT_DOOR, (64500, 64511))):
        wait_for_paths(lab, prefix, origin)  # a young FRR tells others late
    before = held(lab)
    good = operator.snapshots()[0]["id"]
    with lab.never_lost("vantage", NEXT_DOOR):
        strip_and_delete(lab)
        assert [p["cidr"] for p in operator.prefixes("acme") if p["cidr"] == V4] == []
        mark = lab.mark()
        for machine in ("s1m1", "s1m2"):
            lab.running.signal(f"machine:{machine}", signal.SIGSTOP)
        try:
            body = {"snapshot": good, "accounts": ["acme"], "reason": "it was a mistake"}
            made = operator.write("POST", herald("rollbacks"), body).result
            lab.wait_for_route(V4)  # by the other site, whose machines have acknowledged its binding
            additive = made["result"][0]["additive"]["change_set_id"]
            lab.wait_until(
                lambda: "quorum" in operator.change_set(additive).sites["site1"].reason,
                what="site1 to say that it waits for its machines' quorum",
            )
            assert lab.updates(V4, sender="site1", since=mark) == []
            assert lab.updates(V4, sender="site2", since=mark)
        finally:
            for machine in ("s1m1", "s1m2"):
                lab.running.signal(f"machine:{machine}", signal.SIGCONT)
        lab.wait_until(lambda: held(lab) == before, what="every peer's RIB to be as it was at the snapshot")
        assert operator.wait_change_set(additive, 20).state == "done"
    diff = operator.one(herald("snapshots", good, "diff", "HEAD"), {"account_id": "acme"})
    assert diff["total"] == 0

    [pin] = operator.all(herald("pins"))
    decisions = {c["change_set_id"]: "drop" for c in pin["change_sets"]}
    path = herald("accounts", "acme", "pin", "decisions")
    assert operator.write("POST", path, {"decisions": decisions}).result["pin"] is None
    [prefix] = [p for p in operator.prefixes("acme") if p["cidr"] == V4]
    assert prefix["configured"]["advertised"] and held(lab) == before
