"""I1 to I11 of SAFETY.md as predicates, each looking at the facts of one step and the world after it.

They stand on what the harness noted and on what the models' speakers and machines truly have, never on what
the product says of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from controller.snapshots.diff import apply_to_tree
from controller.snapshots.projection import project
from tests.simulation.records import (
    Acknowledged,
    Admitted,
    Announced,
    Calm,
    Fact,
    Journalled,
    Refused,
    Restarted,
    Unbound,
    Withdrew,
)
from tests.simulation.universe import BEGINNING, OUR_AS
from tests.simulation.world import World


class BrokenError(AssertionError):
    """An invariant does not hold. ``name`` is the predicate's, such as ``i02_…``."""

    def __init__(self, name: str, says: str) -> None:
        super().__init__(f"{name}: {says}")
        self.name = name


def i02_no_route_before_its_quorum(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Announced):
            most = min(fact.live, max(2, (fact.live + 1) // 2))
            if not fact.live or fact.holding < most:
                return f"{fact.site} announces {fact.route.prefix} on {fact.holding} of {fact.live} machines"
    return None


def i03_no_binding_leaves_under_a_route(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Unbound) and fact.under:
            return f"{fact.site}/{fact.machine} drops bindings under {fact.under[0]}"
    return None


def i04_what_comes_back_is_the_last_admitted_state(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Restarted) and fact.before != fact.after:
            return f"the agent of {fact.site} came back with another journal than it left"
    if any(isinstance(fact, Calm) for fact in new):
        for site in world.sites.values():
            if site.fault:
                continue
            desired = site.projections.desired(site.state)
            bound = {r for r in desired.routes if desired.needs[r.prefix]}
            found = {r for r in site.rib.values() if desired.needs.get(r.prefix)}
            if found != bound:
                return f"{site.name} announces {sorted(found ^ bound)} otherwise than its journal has it"
    return None


def i05_no_acknowledged_write_is_lost_or_done_twice(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Acknowledged) and world.store.keys.get(fact.key) != fact.change_set_id:
            return f"the write {fact.key} was acknowledged as {fact.change_set_id} and is not there"
    for fact in new:
        if isinstance(fact, Admitted):
            times = sum(row.change_set.id == fact.change_set_id for row in world.store.snapshots)
            if times != 1:
                return f"change-set {fact.change_set_id} was carried out {times} times"
    if any(isinstance(fact, Calm) for fact in new):
        for key, id_ in world.acknowledged.items():
            row = world.store.change_sets.get(id_)
            if row is None or row.state == "queued":
                return f"the acknowledged write {key} is {'lost' if row is None else 'still queued'}"
    return None


def i06_operational_state_changes_by_recorded_steps_alone(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Admitted):
            (row,) = (r for r in world.store.snapshots if r.change_set.id == fact.change_set_id)
            if not row.change_set.actor or not row.change_set.reason or row.effects != fact.effects:
                return f"the snapshot of {fact.change_set_id} does not say who, why, and with what effects"
            tree = dict(BEGINNING.head)
            for step in world.store.snapshots:
                tree = apply_to_tree(tree, (step.step,))
            if tree != world.store.head:
                return f"the head is not what its snapshots add up to after {fact.change_set_id}"
        elif isinstance(fact, Withdrew) and fact.rollout_id is None:
            return f"{fact.site} withdraws {fact.prefix} and no roll-out says so"
    return None


def i08_sites_end_with_the_operational_tree(world: World, new: Sequence[Fact]) -> str | None:
    if not any(isinstance(fact, Calm) for fact in new):
        return None
    for site in world.sites.values():
        held = {a: h for a, (h, _) in site.state.chunk_bytes().items()}
        wanted = {a: t.hash for a, t in world.store.targets[site.name].items()}
        if held != wanted and not world.store.conflicts[site.name] and not site.fault:
            return f"{site.name} ends with {held}, and was to have {wanted}"
        chunks = {a: world.controller.chunk(h) for a, h in wanted.items()}
        state = project(chunks, site.name, OUR_AS)
        lacking = {r.prefix for r in state.routes if state.needs[r.prefix]} - site.rib.keys()
        if lacking and not site.fault:
            return f"{site.name} ends without {sorted(lacking)}"
    return None


def i09_a_malformed_request_changes_nothing_and_is_told_why(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Refused) and (fact.changed or fact.field not in fact.error):
            return f"a request whose {fact.field!r} was wrong {'changed the state' if fact.changed else ''}: {fact.error!r}"  # noqa: E501
    return None


def i11_nothing_is_applied_twice_or_from_the_past(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Journalled):
            highest = world.highest.get(fact.site, 0)
            if fact.generation <= highest:
                return f"{fact.site} takes generation {fact.generation} after {highest}"
            world.highest[fact.site] = fact.generation
    return None


Invariant = Callable[[World, Sequence[Fact]], str | None]

INVARIANTS: dict[str, Invariant] = {
    check.__name__: check
    for check in (
        i02_no_route_before_its_quorum,
        i03_no_binding_leaves_under_a_route,
        i04_what_comes_back_is_the_last_admitted_state,
        i05_no_acknowledged_write_is_lost_or_done_twice,
        i06_operational_state_changes_by_recorded_steps_alone,
        i08_sites_end_with_the_operational_tree,
        i09_a_malformed_request_changes_nothing_and_is_told_why,
        i11_nothing_is_applied_twice_or_from_the_past,
    )
}


def check(world: World) -> None:
    """Judge what the last operation did; raises :class:`BrokenError`."""
    new = world.take_new()
    if not new:
        return
    for name, predicate in INVARIANTS.items():
        says = predicate(world, new)
        if says is not None:
            raise BrokenError(name, says)
