"""Gates on real daemons: what agents, neighbours' RIBs, the wire and probes say of a real change."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from controller.addressing.tables import BgpPrefixRow
from controller.bgp import Prefix
from controller.observe.inventory import Inventory
from controller.observe.looking import Looker
from controller.observe.probes import address_in, probe_sites
from controller.observe.rib import RibRow
from controller.rollout.baselines import Baselines
from controller.rollout.delivery import Footprint
from controller.rollout.gatekeeper import GateAnswer, GateQuestion
from controller.rollout.watchers import Watchers
from controller.safety.policy import Gates, Policy
from controller.snapshots import outbox
from controller.snapshots.model import BgpPrefixObject, Change, ChangeSet
from controller.store import open_store
from controller.transport.http import HttpSiteLink
from labs.live import LiveLab
from labs.pytest_plugin import LabFactory

pytestmark = pytest.mark.lab

TOPOLOGY = "topologies/two-sites/two-sites.clab.yml"
V4, V6 = Prefix("192.0.2.0/24"), Prefix("2001:db8:1000::/48")
OTHER = Prefix("198.18.0.0/24")
"""What no wave changes: one only, since agents' budgets count what is put back between tests, too."""
NEIGHBOURS = ("t-bird", "t-frr", "t-gobgp", "t-openbgpd")
KILLED = {"t-gobgp": "t-gobgp/gobgpd", "t-openbgpd": "t-openbgpd/bgpd", "t-frr": "t-frr/bgpd"}
LATE = 1000.0
"""Seconds after which nobody waits for a route any more."""


class Bound:
    """All that these tests announce is bound as a whole, and stays wanted where it was."""

    def addresses(self, prefixes: Sequence[Prefix]) -> dict[Prefix, str]:
        return {p: address_in(p) for p in prefixes}

    def owned(self, account_id: str, prefixes: Sequence[Prefix]) -> frozenset[Prefix]:
        return frozenset(prefixes)

    def gone(self, site: str, prefixes: frozenset[Prefix]) -> frozenset[Prefix]:
        return frozenset()

    def unasked(self, question: GateQuestion) -> tuple[Prefix, ...]:
        return ()


class Gate:
    """A gatekeeper over a lab, as ``serve`` has it, and a question about one wave."""

    def __init__(
        self, lab: LiveLab, folder: str, *, observers: int = 2, **looking: Callable[..., object]
    ) -> None:
        self.lab = lab
        self.observers = observers
        self.began = time.monotonic()
        self.looker = Looker(Path(lab.inventory.runtime) / "inventory.json", **looking)  # type: ignore[arg-type]
        self.baselines = Baselines(Path(folder))

    def ask(self, what: str, question: GateQuestion) -> GateAnswer:
        async def once() -> GateAnswer:
            links = {s.name: HttpSiteLink(s.name, s.agent_socket) for s in self.lab.inventory.sites}
            policy = Policy(gates=Gates(observers=self.observers))
            watchers = Watchers(
                links, self.looker, Bound(), self.baselines, policy=lambda: policy, settle_s=0.0
            )
            try:
                return await (watchers.baseline(question) if what == "baseline" else watchers.judge(question))
            finally:
                for link in links.values():
                    await link.close()

        return asyncio.run(once())


def wave(prefix: Prefix, *, announce: bool, late: bool = False, unasked: bool = False) -> GateQuestion:
    sites = None if announce else ("site2",)
    bgp = BgpPrefixObject("b", "p", prefix, None, advertised=True, sites=sites)
    return GateQuestion(
        rollout_id="r",
        account_id="acme",
        wave=0,
        changed=("site1",),
        unchanged=("site2",),
        footprint=Footprint(((prefix, bgp),), False),
        subtractive=not announce,
        began=time.monotonic() - (LATE if late else 0.0),
        unasked=(prefix,) if unasked else (),
    )


@contextmanager
def gate(lab: LiveLab, observers: int = 2, **looking: Callable[..., object]) -> Iterator[Gate]:
    with tempfile.TemporaryDirectory() as folder:
        made = Gate(lab, folder, observers=observers, **looking)
        try:
            yield made
        finally:
            made.looker.close()


def passes(asked: Gate, question: GateQuestion) -> GateAnswer:
    """Ask until it passes: routes take their time; a failure is one at once."""
    answers: list[GateAnswer] = []

    def once() -> bool:
        answers.append(asked.ask("judge", question))
        assert answers[-1].outcome != "fail", answers[-1]
        return answers[-1].outcome == "pass"

    try:
        asked.lab.wait_until(once, within=20, what="the gate to pass")
    except Exception as error:
        raise AssertionError(answers[-1]) from error
    return answers[-1]


def other_announced(lab: LiveLab) -> None:
    lab.announce(OTHER)
    lab.wait_for_route(OTHER)


@pytest.mark.parametrize("prefix", [V4, V6], ids=["ipv4", "ipv6"])
def test_gates_pass_a_real_announcement_and_a_real_withdrawal_at_one_site(
    herald_lab: LabFactory, prefix: Prefix
) -> None:
    lab = herald_lab(TOPOLOGY)
    other_announced(lab)
    lab.announce(prefix, sites=["site2"])
    lab.wait_for_route(prefix)
    with gate(lab, observers=3) as asked:
        up = wave(prefix, announce=True)
        assert asked.ask("baseline", up).outcome == "pass"
        lab.announce(prefix)
        answer = passes(asked, up)
        assert "3 of 3 kinds of observer agree (probe, rib, wire)" in answer.reason

        down = wave(prefix, announce=False)
        baseline = asked.ask("baseline", down)
        assert baseline.outcome == "pass", baseline
        lab.announce(prefix, sites=["site2"])
        answer = passes(asked, down)
        assert "3 of 3 kinds of observer agree (probe, rib, wire)" in answer.reason
        assert "unchanged" in answer.evidence["site1 wire"] or "as asked" in answer.evidence["site1 wire"]


def test_probes_tell_what_a_site_serves_and_where_routes_lead(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    lab.announce(V4, sites=["site2"])
    lab.announce(V6, sites=["site2"])
    lab.wait_for_route(V4)
    lab.wait_for_route(V6)
    targets = {V4: address_in(V4), V6: address_in(V6), Prefix("100.64.0.0/22"): "100.64.0.1"}

    def led() -> bool:
        rows = probe_sites(lab.inventory, ["site1", "site2"], targets)
        ours = [r for r in rows if r.prefix in (V4, V6)]
        # Bound everywhere, so served through either site; announced at site2 alone, so led there.
        assert {r.observer for r in ours} == set(NEIGHBOURS)
        assert {r.through for r in ours} == {"answered"}
        assert {r.through for r in rows if r not in ours} <= {"timed-out", "unreachable", "looped"}
        routed = [r for r in ours if r.observer in ("t-bird", "t-frr")]  # the others route in no kernel
        return {(r.led, r.led_to) for r in routed} == {("answered", ("site2",))}

    lab.wait_until(led, what="t-bird's and t-frr's kernels to lead to site2")


def test_a_tcp_probe_is_answered_through_the_site(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    lab.announce(V4)
    lab.announce(V6)
    targets = {V4: address_in(V4), V6: address_in(V6)}
    rows = probe_sites(lab.inventory, ["site1"], targets, port=9)
    assert {r.through for r in rows} == {"answered"}, rows
    assert {r.why.partition(";")[0] for r in rows} == {"through: refused the connection"}


def test_a_withdrawal_that_ribs_show_and_probes_deny_is_inconclusive(herald_lab: LabFactory) -> None:
    """A kernel that keeps leading traffic to the site, though its own BGP has the route no more."""
    lab = herald_lab(TOPOLOGY)
    other_announced(lab)
    lab.announce(V4)
    lab.wait_for_route(V4)
    with gate(lab) as asked:
        down = wave(V4, announce=False, late=True)
        assert asked.ask("baseline", down).outcome == "pass"
        lab.node("t-bird").run("ip", "route", "add", V4, "via", "10.0.5.1", "metric", "1")
        try:
            lab.announce(V4, sites=["site2"])
            lab.wait_until(
                lambda: not any(r.from_ == "site1" for r in lab.ribs(V4)), what="site1's routes to go"
            )
            answer = asked.ask("judge", down)
            assert answer.outcome == "inconclusive", answer
            assert "still carries traffic to site1 from t-bird" in answer.reason
            assert answer.evidence["site1 rib"].startswith("good")
        finally:
            lab.node("t-bird").run("ip", "route", "del", V4, "via", "10.0.5.1", "metric", "1")
        assert passes(asked, down).outcome == "pass"


def test_a_withdrawal_that_nobody_asked_for_is_held_while_traffic_comes_through_that_site(
    herald_lab: LabFactory,
) -> None:
    lab = herald_lab(TOPOLOGY)
    lab.announce(V4, sites=["site1"])
    lab.wait_for_route(V4)
    with gate(lab) as asked:
        lab.wait_until(
            lambda: asked.ask("baseline", wave(V4, announce=False, unasked=True)).outcome == "fail",
            what="the baseline to see traffic at site1",
        )
        held = asked.ask("baseline", wave(V4, announce=False, unasked=True))
        assert (
            "192.0.2.0/24 still carries traffic at site1, and nobody asked for its withdrawal" in held.reason
        )
        assert asked.ask("baseline", wave(V4, announce=False)).outcome == "pass"


def test_ribs_that_answer_empty_are_an_error(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    other_announced(lab)
    lab.announce(V4)
    lab.wait_for_route(V4)
    with gate(lab) as asked:
        down = wave(V4, announce=False, late=True)
        assert asked.ask("baseline", down).outcome == "pass"

        def nothing(inventory: Inventory, node: str) -> Sequence[RibRow]:
            return []

        asked.looker.close()
        asked.looker = Looker(Path(lab.inventory.runtime) / "inventory.json", read_rib=nothing)
        lab.announce(V4, sites=["site2"])
        answer = asked.ask("judge", down)
        assert answer.outcome == "error", answer
        assert "has shrunk: 0 routes, 1 before" in answer.reason


def test_killed_observers_are_no_data_and_never_a_loss(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    other_announced(lab)
    lab.announce(V4)
    lab.wait_for_route(V4)
    with gate(lab) as asked:
        down, up = wave(V4, announce=False, late=True), wave(V4, announce=True, late=True)
        assert asked.ask("baseline", down).outcome == "pass"
        for process in KILLED.values():
            lab.running.signal(process, signal.SIGKILL)
        ends = dict.fromkeys(KILLED, 0)

        def over() -> bool:
            for event in lab.events():
                for name in {event.sender, event.receiver} & ends.keys():
                    ends[name] += event.kind == "down" and "site1" in (event.sender, event.receiver)
            return all(ends.values())

        lab.wait_until(over, what="their sessions with site1 to end")
        lab.announce(V4, sites=["site2"])
        answer = asked.ask("judge", down)
        assert answer.outcome == "inconclusive", answer
        assert "1 of 4 routers tell of ipv4" in answer.evidence["site1 rib"]
        assert answer.evidence["site1 wire"].startswith("no_data"), answer.evidence
        # What only adds goes on by its agents' word.
        lab.announce(V4)
        restored = asked.ask("judge", up)
        assert restored.outcome == "pass", restored
        assert "goes on by its machines' acknowledgements and Adj-RIB-Out" in restored.reason


def test_a_staged_change_goes_wave_by_wave_past_the_gates_of_serve(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    rollout = staged(lab, V4, advertised=True)
    lab.wait_for_route(V4)
    looked = [(g["wave"], g["baseline"], g["outcome"]) for g in rollout["gates"]]
    assert looked[-4:] == [(0, True, "pass"), (0, False, "pass"), (1, True, "pass"), (1, False, "pass")], (
        looked
    )
    assert "3 of 3 kinds of observer agree (probe, rib, wire)" in rollout["gates"][-1]["reason"], rollout[
        "gates"
    ]
    lab.wait_until(
        lambda: not any(s["status"]["unconfirmed"] for s in lab.client.sites()),
        what="both agents to hear that it is final",
    )


def staged(lab: LiveLab, prefix: Prefix, *, advertised: bool) -> dict[str, Any]:
    """Have a staged change-set admitted, and return its roll-out once it is over.

    It is put where the API would put it: an owner's small change takes no gates.
    """
    row = next(b for b in lab.bgp_prefixes() if b["cidr"] == prefix)
    owned = next(
        p for a in lab.client.accounts() for p in lab.client.prefixes(a["id"]) if p["cidr"] == prefix
    )
    store = open_store(lab.state_folder("serve") / "herald.db")
    try:
        with store.write() as session:
            configured = session.scalars(select(BgpPrefixRow).where(BgpPrefixRow.id == row["id"])).one()
            configured.advertised = advertised  # what is configured says so, too: the lab is shared
            bgp = BgpPrefixObject(row["id"], owned["id"], prefix, None, advertised=advertised)
            change_set = f"staged{time.monotonic_ns()}"
            made = ChangeSet(change_set, configured.account_id, "operator:test", "staged",
                             "2026-01-01T00:00:00Z", (Change(bgp_prefix=bgp),), lane="staged")  # fmt: skip
            outbox.append(session, made)
    finally:
        store.close()
    lab.announce(OTHER)  # any write wakes the admission
    answer = lab.client.wait_change_set(change_set, 40.0)
    assert answer.state == "done", answer
    return next(r for r in lab.client.rollouts() if r["change_set_id"] == change_set)
