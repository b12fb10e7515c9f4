"""Assessment: no sequence of changes gets past the windows, and owners' additive ones always pass."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.safety import breaker
from controller.safety.assess import BUDGETS, CHECKS, LANE_BUDGETS, assess
from controller.safety.candidate import Candidate, Context, Numbers
from controller.safety.effects import Effect, EffectVerb
from controller.safety.freeze import Freeze
from controller.safety.policy import Guards, Policy
from controller.safety.verdict import OPENING, Lane, Verdict
from controller.safety.windows import (
    BREADTH,
    FLEET,
    OWNERS,
    Entry,
    Ledger,
    charged,
    floor_of,
    limits,
    too_many,
)
from tests.safety_controller import (
    SITES,
    Controller,
    asked_by_operators,
    asked_by_owner,
    at_sites,
    prefix,
)

VERBS: list[EffectVerb] = ["withdraw", "unbind", "more-prepend", "reorigin"]
ACCOUNTS = [f"a{n}" for n in range(4)]
ACTORS = ["task:t1", "task:t2", "operator:o1", *(f"customer:{a}" for a in ACCOUNTS)]


def without(*guards: str) -> Policy:
    """Return the production policy with some guards switched off."""
    return Policy(guards=Guards(**dict.fromkeys(guards, False)))


def prefixes_of(account: str, count: int = 8) -> list[Prefix]:
    """Return an account's first prefixes."""
    first = ACCOUNTS.index(account) * 100
    return [prefix(first + n) for n in range(count)]


def withdrawal(account: str, *numbers: int, sites: Iterable[str] = SITES) -> list[Effect]:
    return at_sites([prefixes_of(account, 60)[n] for n in numbers], "withdraw", sites)


def checks_of(verdict: Verdict) -> set[str]:
    return {f.check for f in verdict.findings}


# -- the laws of windows ------------------------------------------------------------------------------------

asks = st.lists(
    st.tuples(
        st.floats(-300, 900),
        st.sampled_from(ACTORS),
        st.sampled_from(ACCOUNTS),
        st.sets(st.integers(0, 7), min_size=1, max_size=4),
        st.sampled_from(VERBS),
        st.sampled_from(["nobody", "owner", "operators"]),
        st.sets(st.sampled_from(SITES), min_size=1),
    ),
    max_size=30,
)


def carried_out(
    controller: Controller, moves: Iterable[tuple[float, str, str, set[int], EffectVerb, str, set[str]]]
) -> None:
    """Ask for all of it, one after another; what is over is announced again by itself."""
    now = 0.0
    for gone, actor, account, numbers, verb, who, sites in moves:
        now += gone
        effects = at_sites([prefixes_of(account)[n] for n in sorted(numbers)], verb, sorted(sites))
        intents = {"nobody": lambda *_: [], "owner": asked_by_owner, "operators": asked_by_operators}[who]
        controller.ask(effects, actor, account, now, intents=intents(account, effects))


def excesses(controller: Controller) -> list[str]:
    """Count all that was admitted anew, at each moment, in each window; return what is over a limit."""
    seen: list[Entry] = []
    found = []
    for candidate, at in controller.admitted:
        seen += (msgspec.structs.replace(e, at=at) for e in candidate.entries("admitted"))
        for scope in {s for e in seen for s in charged(e)}:
            for window in limits(controller.policy, scope):
                weights: dict[str, int] = {}
                for e in seen:
                    if scope in charged(e) and at - window.seconds < e.at:
                        key = e.account_id if scope == BREADTH else e.prefix
                        weights[key] = max(weights.get(key, 0), 2 if e.gone and not e.owned else 1)
                total = {BREADTH: 900}.get(scope, 10 if scope.startswith("account:") else 5000)
                if too_many(sum(weights.values()), window, total, floor_of(controller.policy, scope)):
                    found.append(f"{scope} {window}: {weights}")
    return found


@given(asks)
def test_no_window_ever_holds_more_than_its_limit(
    moves: list[tuple[float, str, str, set[int], EffectVerb, str, set[str]]],
) -> None:
    """Whoever asks, with clocks that jump back, with or without intents as a guard."""
    for policy in (Policy(), without("intents", "last_site")):
        controller = Controller(policy)
        carried_out(controller, moves)
        assert excesses(controller) == []


def test_windows_overflow_without_the_breaker() -> None:
    one_by_one = [(1.0, "task:t1", "a0", {n % 8}, "withdraw", "nobody", set(SITES)) for n in range(8)]
    free = Controller(without("intents", "last_site", "breaker"))
    carried_out(free, one_by_one)  # type: ignore[arg-type]
    assert excesses(free)
    armed = Controller(without("intents", "last_site"))
    carried_out(armed, one_by_one)  # type: ignore[arg-type]
    assert not excesses(armed)


@given(
    st.integers(1, 40),
    st.lists(st.integers(1, 8), min_size=1, max_size=40),
    st.lists(st.integers(0, 58), max_size=40),
    st.integers(0, 8),
    st.sampled_from(["operator:o1", "task:t1"]),
)
def test_what_does_not_pass_whole_does_not_pass_in_pieces(
    size: int, cuts: list[int], pauses: list[int], before: int, actor: str
) -> None:
    """However it is cut, within a minute, the pieces that pass are never the whole."""

    def begin() -> Controller:
        controller = Controller(without("intents", "last_site"))
        carried_out(
            controller, [(0.0, "task:t1", "a3", {n}, "withdraw", "nobody", {"s1"}) for n in range(before)]
        )
        return controller

    everything = [prefix(1000 + n) for n in range(size)]
    whole = begin().ask(at_sites(everything, "withdraw"), actor, "a0", 1.0)
    pieces, left, now, passed = begin(), list(everything), 1.0, 0
    pauses_s = sorted(pauses)
    for n in range(size):
        cut = cuts[n % len(cuts)]
        part, left = left[:cut], left[cut:]
        if not part:
            break
        now = 1.0 + (pauses_s[min(n, len(pauses_s) - 1)] if pauses_s else 0)
        passed += len(part) * (pieces.ask(at_sites(part, "withdraw"), actor, "a0", now).decision != "hold")
    if whole.decision == "hold":
        minute = next(w for w in pieces.policy.breaker.actor if w.seconds == 60)
        assert passed < size
        assert passed * pieces.policy.breaker.gone_counts <= minute.number
    else:
        assert passed == size


# -- owners -------------------------------------------------------------------------------------------------


@given(
    asks,
    st.sampled_from(["announce", "less-prepend", "bind"]),
    st.sampled_from(["fleet", "account:a1", "actor:customer:a1", "site:s1"]),
    st.sampled_from([None, "emergency", "drain", "migration", "rollback"]),
    st.booleans(),
)
def test_an_owners_additive_change_is_admitted_in_every_state(
    moves: list[tuple[float, str, str, set[int], EffectVerb, str, set[str]]],
    verb: EffectVerb,
    scope: str,
    lane: Lane | None,
    closed: bool,
) -> None:
    controller = Controller(without("intents", "last_site"))
    carried_out(controller, moves)
    for name in ("fleet", "account:a1", "actor:customer:a1", "class:withdraw", "class:bind", f"class:{verb}"):
        controller.tell(breaker.Exceeded(name, "test", "a test opened it", 0.0), 1e4)
    controller.freezes = [Freeze("f", scope, "all", "operator:o", "a test", 0.0)]
    effects = at_sites(prefixes_of("a1"), verb)
    verdict = controller.ask(
        effects,
        "customer:a1",
        "a1",
        1e4,
        lane=lane,
        pin="rolled back",
        shrunk="the source shrank",
        drains=("s1", "s2"),
        touched=frozenset() if closed else None,
    )
    assert verdict.decision == "admit"
    assert verdict.lane == (lane or "express")


@pytest.mark.parametrize("count", [1, 2, 4])
def test_an_owner_withdraws_one_or_all_of_a_few_at_once(count: int) -> None:
    controller = Controller(numbers=Numbers(account=count, fleet=5000, accounts=900))
    effects = withdrawal("a0", *range(count))
    verdict = controller.ask(effects, "customer:a0", "a0", 0.0, intents=asked_by_owner("a0", effects))
    assert (verdict.decision, verdict.lane, verdict.findings) == ("admit", "express", ())
    assert (verdict.radius.gone, verdict.radius.share_of_account) == (count, 1.0)
    assert controller.state.open == {}


def test_what_is_broad_or_by_others_is_staged() -> None:
    def verdicts(policy: Policy) -> list[tuple[str, str]]:
        broad, one = withdrawal("a0", *range(5)), withdrawal("a1", 1, sites=["s1"])
        controller = Controller(policy)
        found = [
            controller.ask(broad, "customer:a0", "a0", 0.0, intents=asked_by_owner("a0", broad)),
            controller.ask(one, "operator:o1", "a1", 0.0, intents=asked_by_owner("a1", one)),
            controller.ask(one, "task:t1", "a1", 0.0, intents=asked_by_owner("a1", one)),
            controller.ask(at_sites([prefix(7)], "announce"), "operator:o1", "a1", 0.0),
        ]
        return [(v.decision, v.lane) for v in found]

    assert verdicts(Policy()) == [("stage", "staged")] * 4
    assert verdicts(without("staged")) == [("admit", "express")] * 4


def test_many_owners_at_work_open_nothing_and_a_stolen_intent_service_does() -> None:
    """Intents are the first line; what all owners ask for together is the second."""
    quiet = Controller()
    for n in range(50):
        effects = at_sites([prefix(n)], "withdraw")
        verdict = quiet.ask(
            effects, f"customer:c{n}", f"c{n}", n * 6.0, intents=asked_by_owner(f"c{n}", effects)
        )
        assert verdict.decision == "admit"
    assert quiet.state.open == {}
    stolen = Controller()
    for n in range(200):
        effects = at_sites([prefix(n)], "withdraw")
        stolen.ask(effects, f"customer:c{n}", f"c{n}", n * 0.1, intents=asked_by_owner(f"c{n}", effects))
    assert len(stolen.admitted) == 150
    assert set(stolen.state.open) == {FLEET}


@given(st.integers(1, 200), st.integers(1, 60))
def test_one_account_never_opens_the_fleet(fleet: int, at_once: int) -> None:
    """Small fleets and labs, too: an owner may withdraw all there is, and opens its own account at most."""
    controller = Controller(numbers=Numbers(fleet, fleet, 3))
    for n in range(0, fleet, at_once):
        effects = at_sites([prefix(k) for k in range(n, min(fleet, n + at_once))], "withdraw", ["s1"])
        controller.ask(effects, "customer:a0", "a0", float(n), intents=asked_by_owner("a0", effects))
    assert set(controller.state.open) <= {"account:a0"}


def test_many_accounts_that_lose_one_each_are_breadth() -> None:
    def ask_all(policy: Policy) -> Controller:
        controller = Controller(policy, Numbers(10, 200_000, 20_000))
        for n in range(8):
            effects = at_sites([prefix(n)], "withdraw", ["s1"])
            controller.ask(
                effects, f"operator:o{n}", f"c{n}", n * 100.0, intents=asked_by_operators(f"c{n}", effects)
            )
        return controller

    assert ask_all(Policy()).state.open[FLEET].check == "breadth"
    assert ask_all(without("breaker")).state.open == {}


def test_what_one_actor_fills_alone_opens_that_actor_and_not_a_wider_scope() -> None:
    def ask(controller: Controller, n: int, at: float) -> Verdict:
        effects = at_sites([prefix(n)], "withdraw", ["s1"])
        asked = asked_by_operators(f"c{n}", effects)
        return controller.ask(effects, "operator:o", f"c{n}", at, intents=asked)

    broad = Controller(Policy(), Numbers(10, 200_000, 20_000))
    assert [ask(broad, n, n * 90.0).decision for n in range(6)] == ["stage"] * 5 + ["hold"]
    assert {s: o.check for s, o in broad.state.open.items()} == {"actor:operator:o": "breadth"}

    again = Controller(Policy(), Numbers(10, 5000, 20_000))
    for n in range(6):
        ask(again, n, n * 1.0)
    waiting = breaker.queue(again.state, "actor:operator:o")
    dropped: dict[str, breaker.Decision] = dict.fromkeys(breaker.groups(waiting), "drop")
    hash_ = breaker.queue_hash(waiting)
    again.tell(breaker.Closing("actor:operator:o", hash_, dropped, "operator:x"), 10.0)
    for n in range(6, 12):
        ask(again, n, 10.0 + n)
    assert set(again.state.open) == {"actor:operator:o"}
    assert len(again.admitted) <= 8, "what was counted of it before it was closed counts in its class"


def test_a_customer_who_is_held_holds_up_nobody_else() -> None:
    controller = Controller()
    for n in range(200):
        broad = at_sites([prefix(1000 + n * 60 + k) for k in range(60)], "withdraw")
        controller.ask(broad, "customer:a0", "a0", float(n), intents=asked_by_owner("a0", broad))
        controller.ask(broad, "customer:a0", "a0", float(n))
    assert set(controller.state.open) == {"account:a0"}
    effects = withdrawal("a1", 0)
    assert (
        controller.ask(effects, "customer:a1", "a1", 9.0, intents=asked_by_owner("a1", effects)).decision
        == "admit"
    )


def test_an_operators_long_job_opens_that_operator_and_nobody_else() -> None:
    controller = Controller()
    for n in range(100):
        effects = at_sites([prefix(n)], "withdraw", ["s1"])
        controller.ask(effects, "operator:o1", "a0", n * 1.0, intents=asked_by_operators("a0", effects))
    assert set(controller.state.open) == {"actor:operator:o1"}
    assert len(controller.admitted) == 5


def test_the_bindings_of_one_bgp_prefix_count_as_one_and_idle_ones_as_none() -> None:
    bindings = [Prefix(f"10.0.0.{n}/32") for n in range(200)]
    effects = at_sites(bindings, "unbind")
    controller = Controller(announced={prefix(0): set(SITES), **{b: set() for b in bindings}})
    verdict = controller.ask(effects, "customer:a0", "a0", 0.0, intents=asked_by_owner("a0", effects))
    assert (verdict.decision, verdict.lane, verdict.radius.prefixes) == ("admit", "express", 1)
    assert controller.ledger.counts("account:a0", 0.0)[600] == 1
    idle = Controller(announced={b: set() for b in bindings})
    done = idle.ask(effects, "task:clean-up", "a0", 0.0, intents=asked_by_owner("a0", effects))
    assert done.decision == "stage"
    assert idle.ledger.entries == ()
    unasked = Controller(without("intents"), announced={b: set() for b in bindings})
    assert unasked.ask(effects, "task:clean-up", "a0", 0.0).decision == "hold"


# -- the outage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Policy(), without("intents"), without("intents", "last_site", "staged")])
def test_the_outages_task_is_stopped_within_a_minute(policy: Policy) -> None:
    """22 deletions a minute of 4,306 prefixes, by a task that nobody asked (incident.md)."""
    controller = Controller(policy, Numbers(account=5, fleet=4306, accounts=900))
    verdicts = []
    for n in range(1100):
        cidr = [prefix(n)]
        effects = [*at_sites(cidr, "withdraw"), *at_sites(cidr, "unbind")]
        verdicts.append(controller.ask(effects, "task:clean-up", f"c{n // 5}", n * 60 / 22))
    assert (controller.opened("actor:task:clean-up") or 1e9) < 60
    assert sum(v.decision != "hold" for v in verdicts) <= 2
    opening = controller.state.open["actor:task:clean-up"]
    assert opening.detection_s < 60
    # It goes on for 50 minutes; reminders come, nothing closes by itself, and it holds up itself alone.
    assert set(controller.state.open) == {"actor:task:clean-up"}
    # Meanwhile owners help themselves, and withdraw what is theirs.
    back = at_sites([prefix(3)], "announce")
    assert controller.ask(back, "customer:c0", "c0", 3000.0).decision == "admit"
    own = at_sites([prefix(4200)], "withdraw")
    asked = asked_by_owner("c840", own)
    assert controller.ask(own, "customer:c840", "c840", 3000.0, intents=asked).decision == "admit"


def test_the_same_fault_in_several_tasks_opens_the_fleet() -> None:
    controller = Controller(Policy(), Numbers(account=5, fleet=4306, accounts=900))
    for n in range(60):
        effects = at_sites([prefix(n)], "withdraw")
        controller.ask(effects, f"task:clean-up-{n % 3}", f"c{n // 5}", n * 60 / 22)
    assert controller.state.open[FLEET].check == "several"
    assert (controller.opened(FLEET) or 1e9) < 120


attempts = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 20.0, 70.0, 700.0, 4000.0]),
        st.integers(0, 3),
        st.sampled_from(VERBS),
        st.integers(0, 190),
        st.integers(1, 9),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)
"""Seconds since the one before; whose; what; which prefixes; asked by two operators; closed afterwards."""


@given(attempts, st.sampled_from(["task:t1", "operator:o1"]), st.booleans())
def test_whatever_one_actor_does_opens_its_own_scope_alone_and_owners_go_on(
    done: list[tuple[float, int, EffectVerb, int, int, bool, bool]], actor: str, armed: bool
) -> None:
    """However it insists, and however often somebody closes its scope, so that it may begin again."""
    controller = Controller(Policy() if armed else without("intents", "last_site"))
    now = 0.0
    for gap, whose, verb, first, count, asked, closed in done:
        now += gap
        account = ACCOUNTS[whose]
        effects = at_sites([prefix(whose * 200 + first + n) for n in range(count)], verb, ["s1"])
        intents = asked_by_operators(account, effects) if asked else []
        controller.ask(effects, actor, account, now, intents=intents)
        assert set(controller.state.open) <= {f"actor:{actor}"}
        if closed and controller.state.open:
            waiting = breaker.queue(controller.state, f"actor:{actor}")
            decisions: dict[str, breaker.Decision] = dict.fromkeys(breaker.groups(waiting), "drop")
            hash_ = breaker.queue_hash(waiting)
            controller.tell(breaker.Closing(f"actor:{actor}", hash_, decisions, "operator:x"), now)
    for n, account in enumerate(ACCOUNTS):
        own = at_sites([prefix(n * 200)], "withdraw", ["s2"])
        asked_for = asked_by_owner(account, own)
        assert controller.ask(own, f"customer:{account}", account, now, intents=asked_for).decision == "admit"


def test_the_outage_happens_without_intents_and_breaker() -> None:
    controller = Controller(without("intents", "breaker", "last_site"), Numbers(5, 4306, 900))
    for n in range(100):
        controller.ask(at_sites([prefix(n)], "withdraw"), "task:clean-up", f"c{n // 5}", n * 60 / 22)
    assert len(controller.admitted) == 100


# -- each check ---------------------------------------------------------------------------------------------


def test_nothing_is_taken_away_that_nobody_asked_for() -> None:
    effects = withdrawal("a0", 0, sites=["s1"])
    for actor in ACTORS:
        verdict = Controller().ask(effects, actor, "a0", 0.0)
        assert checks_of(verdict) == {"intents"}
    held = Controller().ask(effects, "operator:o1", "a0", 0.0, intents=asked_by_owner("a1", effects))
    assert held.reason == (
        "intents: nobody asked for 1 effect of 1 that take something away (10.0.0.0/24): the owner asks for "
        "it, or two operators do"
    )
    assert Controller(without("intents")).ask(effects, "operator:o1", "a0", 0.0).decision == "stage"


def test_an_operator_who_waits_for_a_second_one_opens_nothing() -> None:
    controller = Controller()
    effects = withdrawal("a0", *range(30), sites=["s1"])
    assert checks_of(controller.ask(effects, "operator:o1", "a0", 0.0)) == {"intents"}
    assert controller.state.open == {}
    both = controller.ask(effects, "operator:o1", "a0", 1.0, intents=asked_by_operators("a0", effects))
    assert checks_of(both) == {"budget-actor"}
    assert set(controller.state.open) == {"actor:operator:o1"}


def test_the_last_site_is_never_taken_by_itself() -> None:
    def verdict(policy: Policy, **more: object) -> Verdict:
        effects = withdrawal("a0", 0)
        return Controller(policy).ask(
            effects, "operator:o1", "a0", 0.0, intents=asked_by_operators("a0", effects), **more
        )

    assert checks_of(verdict(Policy())) == {"last-site"}
    assert verdict(Policy(), released_by="operator:o2").decision == "stage"
    assert verdict(without("last_site")).decision == "stage"
    some = withdrawal("a0", 0, sites=SITES[1:])
    assert (
        Controller().ask(some, "operator:o1", "a0", 0.0, intents=asked_by_operators("a0", some)).decision
        == "stage"
    )
    controller = Controller()
    for n, site in enumerate(SITES):
        one = withdrawal("a0", 0, sites=[site])
        last = controller.ask(one, "operator:o1", "a0", float(n), intents=asked_by_operators("a0", one))
    assert checks_of(last) == {"last-site"}


def test_more_than_the_ceiling_is_a_leak() -> None:
    def verdict(policy: Policy, account: str = "a0") -> Verdict:
        controller = Controller(policy, Numbers(10, policy.lanes.ceiling - 3, 900))
        new = [prefix(5000 + n) for n in range(4)]
        controller.announced = {p: set() for p in new}
        return controller.ask(at_sites(new, "announce"), "customer:a0", account, 0.0)

    assert checks_of(verdict(Policy())) == {"ceiling"}
    assert verdict(without("ceiling")).decision == "admit"


def test_a_dormant_change_of_another_prefix_is_held() -> None:
    def verdict(policy: Policy, *named: int) -> Verdict:
        effects = withdrawal("a0", 0, 1, sites=["s1"])
        touched = frozenset(prefixes_of("a0")[n] for n in named)
        return Controller(policy).ask(
            effects, "operator:o1", "a0", 0.0, intents=asked_by_operators("a0", effects), touched=touched
        )

    assert checks_of(verdict(Policy(), 0)) == {"non-production"}
    assert verdict(Policy(), 0, 1).decision == "stage"
    assert verdict(without("non_production"), 0).decision == "stage"


def test_a_source_that_shrank_takes_nothing_away() -> None:
    def verdict(policy: Policy, **more: object) -> Verdict:
        effects = withdrawal("a0", 0, sites=["s1"])
        return Controller(policy).ask(
            effects,
            "task:t1",
            "a0",
            0.0,
            intents=asked_by_owner("a0", effects),
            shrunk="3 of 900 came",
            **more,
        )

    assert checks_of(verdict(Policy())) == {"shrinkage"}
    assert verdict(Policy(), released_by="operator:o1").decision == "stage"
    assert verdict(without("shrinkage")).decision == "stage"


@given(
    asks,
    st.sets(st.sampled_from(["fleet", "account:a0", "class:withdraw", "actor:task:t1", "actor:customer:a1"])),
)
def test_nothing_subtractive_in_an_open_scope_is_admitted(
    moves: list[tuple[float, str, str, set[int], EffectVerb, str, set[str]]], scopes: set[str]
) -> None:
    """I7."""
    controller = Controller(without("intents", "last_site"))
    for scope in scopes:
        controller.tell(breaker.Exceeded(scope, "test", "a test opened it", 0.0), 0.0)
    carried_out(controller, moves)
    for candidate, _ in controller.admitted:
        context = candidate.context
        mine = breaker.scopes_of(context.actor, context.account_id, candidate.verbs)
        assert scopes.isdisjoint(mine)
    assert scopes <= set(controller.state.open)


def test_a_pin_and_a_freeze_hold_what_they_say() -> None:
    effects = withdrawal("a0", 0)
    intents = asked_by_owner("a0", effects)
    pinned = Controller().ask(effects, "customer:a0", "a0", 0.0, intents=intents, pin="rolled back by x")
    assert [(f.check, f.says, f.scope) for f in pinned.findings] == [
        ("pin", "rolled back by x", "account:a0")
    ]
    frozen = Controller(freezes=[Freeze("f", "site:s3", "subtractive", "operator:o", "a fibre works", 0.0)])
    assert checks_of(frozen.ask(effects, "customer:a0", "a0", 0.0, intents=intents)) == {"freeze"}
    elsewhere = withdrawal("a0", 0, sites=["s1"])
    assert frozen.ask(elsewhere, "customer:a0", "a0", 0.0, intents=intents).decision == "admit"


# -- lanes --------------------------------------------------------------------------------------------------


def test_a_drain_needs_enough_other_sites_and_one_at_once() -> None:
    effects = withdrawal("a0", *range(40), sites=["s1"])
    intents = asked_by_operators("a0", effects)
    seen = {e.cidr: 2 for e in effects}

    def verdict(**more: object) -> Verdict:
        controller = Controller()
        controller.tell(breaker.Exceeded(FLEET, "test", "a test opened it", 0.0), 0.0)
        return controller.ask(effects, "operator:o1", "a0", 0.0, intents=intents, lane="drain", **more)

    assert (verdict(seen_at=seen).decision, verdict(seen_at=seen).lane) == ("admit", "drain")
    assert checks_of(verdict(seen_at={**seen, effects[0].cidr: 1})) == {"drain"}
    assert checks_of(verdict(seen_at=seen, drains=("s2",))) == {"drain"}
    assert verdict(seen_at=seen, drains=("s1",)).decision == "admit"


def test_emergencies_have_a_budget_of_their_own() -> None:
    controller = Controller()
    controller.tell(breaker.Exceeded(FLEET, "test", "a test opened it", 0.0), 0.0)
    verdicts = []
    for n in range(25):
        effects = at_sites([prefix(n)], "withdraw", ["s1"])
        verdicts.append(
            controller.ask(
                effects,
                "break-glass:b",
                "a0",
                float(n),
                intents=asked_by_operators("a0", effects),
                lane="emergency",
            )
        )
    assert [v.decision for v in verdicts].count("admit") == 20
    assert checks_of(verdicts[-1]) == {"budget-emergency"}
    assert set(controller.state.open) == {FLEET}
    two = at_sites([prefix(99)], "withdraw", ["s1", "s2"])
    assert "emergency" in checks_of(
        controller.ask(
            two, "break-glass:b", "a0", 2e5, intents=asked_by_operators("a0", two), lane="emergency"
        )
    )


def test_a_migration_is_charged_to_its_account_and_waits_for_elsewhere() -> None:
    controller = Controller()
    effects = withdrawal("a0", *range(45))
    intents = asked_by_owner("a0", effects)
    seen = frozenset(e.cidr for e in effects)

    def ask(**more: object) -> Verdict:
        return controller.ask(effects, "customer:a0", "a0", 0.0, intents=intents, lane="migration", **more)

    assert checks_of(ask()) == {"migration"}
    assert ask(seen_elsewhere=seen).decision == "admit"
    assert controller.ledger.counts(FLEET, 0.0)[600] == controller.ledger.counts(OWNERS, 0.0)[600] == 0
    others = controller.ask(
        effects, "operator:o1", "a0", 0.0, intents=intents, lane="migration", seen_elsewhere=seen
    )
    assert checks_of(others) == {"migration"}


def test_the_subtractive_half_of_a_rollback_is_held_like_any_other_and_the_additive_half_is_not() -> None:
    half = withdrawal("a0", *range(30), sites=["s1"])
    verdict = Controller().ask(half, "operator:o1", "a0", 0.0, lane="rollback", pin="rolled back")
    assert (verdict.lane, checks_of(verdict)) == ("rollback", {"intents"})
    back = at_sites(prefixes_of("a0"), "announce")
    assert Controller().ask(back, "operator:o1", "a0", 0.0, lane="rollback", pin="x").decision == "admit"


@given(asks)
def test_risk_is_assessed_anew(
    moves: list[tuple[float, str, str, set[int], EffectVerb, str, set[str]]],
) -> None:
    """guards.md, 15: after whatever was admitted, nothing is easier than at the beginning."""
    controller = Controller(without("intents", "last_site"))
    effects = withdrawal("a2", *range(4), sites=["s1"])
    first = Controller(without("intents", "last_site")).ask(effects, "task:t1", "a2", 0.0)
    carried_out(controller, moves)
    again = controller.ask(effects, "task:t1", "a2", controller.ledger.now + 0.0)
    severity = {"admit": 0, "stage": 1, "hold": 2}
    assert severity[again.decision] >= severity[first.decision]


def test_an_assessment_is_a_function() -> None:
    effects = withdrawal("a0", 0, 1)
    context = Context(Policy(), "task:t", False, "a0", Numbers(9, 99, 9), Ledger(Policy()), 0.0)
    assert assess(effects, context) == assess(effects, context) == assess(reversed(effects), context)
    assert context.ledger.entries == ()
    assert Candidate(effects, context).gone == {e.cidr for e in effects}


def test_names_of_checks_are_what_opens_and_what_is_documented() -> None:
    assert set(OPENING) == set(BUDGETS)
    text = (Path(__file__).parents[2] / "docs/guards.md").read_text()
    for name in [*CHECKS, *BUDGETS, *LANE_BUDGETS]:
        assert f"`{name}`" in text, f"docs/guards.md says nothing of the check {name}"
