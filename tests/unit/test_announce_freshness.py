"""An announcement stands on machines that answered after it was asked for, not on what they said before."""

from __future__ import annotations

from controller.agent.policy import AgentPolicy
from controller.agent.reconcile import Facts, MachineFacts, reconcile
from controller.bgp import Prefix, Route
from controller.snapshots.projection import SiteBinding, SiteState

PREFIX = Prefix("192.0.2.0/24")
ROUTE = Route(PREFIX, (64500,))
BINDING = SiteBinding(PREFIX, "cdn", "acme", "b1")
DESIRED = SiteState(frozenset({ROUTE}), frozenset({BINDING}), {PREFIX: frozenset({BINDING})})


def facts(announced: frozenset[Route], *fresh: bool) -> Facts:
    machines = tuple(
        MachineFacts(f"m{i}", live=True, held=frozenset({BINDING}), fresh=f) for i, f in enumerate(fresh)
    )
    return Facts(DESIRED, (), announced, frozenset(), frozenset(), machines)


def test_machines_that_have_not_answered_since_do_not_count_for_a_new_route() -> None:
    plan = reconcile(facts(frozenset(), False, False))
    assert plan.routes == frozenset()
    assert "0 of 2 live machines" in plan.waiting[0].reason


def test_all_that_answered_anew_count() -> None:
    assert reconcile(facts(frozenset(), True, True)).routes == frozenset({ROUTE})


def test_no_more_than_the_ceiling_is_announced_and_nothing_goes_for_it() -> None:
    others = frozenset(Route(Prefix(f"198.51.{n}.0/24"), (64500,)) for n in range(3))
    needs = {r.prefix: frozenset({BINDING}) for r in (*others, ROUTE)}
    machines = (MachineFacts("m1", live=True, held=frozenset({BINDING})),)
    desired = SiteState(others | {ROUTE}, frozenset({BINDING}), needs)
    for ceiling, out in ((4, others | {ROUTE}), (3, others), (2, others)):
        policy = AgentPolicy(ceiling=ceiling)
        plan = reconcile(Facts(desired, (), others, frozenset(), frozenset(), machines, policy))
        assert plan.routes == out
        assert [w.prefix for w in plan.waiting] == ([] if ceiling == 4 else [PREFIX])


def test_a_route_that_is_announced_does_not_wait_for_anybody() -> None:
    plan = reconcile(facts(frozenset({ROUTE}), False, False))
    assert plan.routes == frozenset({ROUTE})
    assert plan.waiting == ()
