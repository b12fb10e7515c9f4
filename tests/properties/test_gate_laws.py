"""Laws of gates: what observers say before and after, and what may never be taken for a pass."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Family, Prefix
from controller.observe.evidence import Fate, Kind, Moment, Probed, Sight, Word
from controller.rollout.delivery import Footprint
from controller.rollout.gatekeeper import GateAnswer, GateQuestion
from controller.rollout.gates import baseline, judge
from controller.safety.policy import Gates, Guards, Policy
from controller.snapshots.model import BgpPrefixObject
from controller.transport.messages import HeldEffect, Waiting
from tests.site_status import status

MINE = Prefix("192.0.2.0/24")
OTHERS = [Prefix(f"198.18.{n}.0/24") for n in range(20)]
PATH = (64500,)
CANARY, CONTROL = "site1", "site2"
OBSERVERS = ("t-bird", "t-frr", "t-gobgp")
KINDS: tuple[Kind, ...] = ("rib", "wire", "probe")
LATE = 1000.0  # long after the gate's patience

HELD = HeldEffect("acme", MINE, "withdraw", "budget", "20 of 20 used")
OBJECT = BgpPrefixObject("g", "p", MINE, None, advertised=True)


@dataclass(frozen=True)
class World:
    """What is true of each site: by it honest observers speak."""

    routes: dict[str, set[Prefix]]
    serves: dict[str, set[Prefix]] = field(default_factory=dict)
    carries: dict[str, set[Prefix]] = field(default_factory=dict)

    def moment(self, kinds: tuple[Kind, ...] = KINDS) -> Moment:
        words = tuple(Word(s, status(s), dict.fromkeys(sorted(r), PATH)) for s, r in self.routes.items())
        total = sum(map(len, self.routes.values()))
        sights = tuple(
            Sight(kind, o, s, Family.IPV4, holds=dict.fromkeys(sorted(r), PATH), total=total)
            for kind in kinds
            if kind != "probe"
            for o in OBSERVERS
            for s, r in self.routes.items()
        )  # fmt: skip
        probes = tuple(
            probed(
                o,
                s,
                p,
                "answered" if p in self.serves.get(s, r) else "timed-out",
                *([s] if p in self.carries.get(s, r) else []),
            )
            for o in OBSERVERS
            for s, r in self.routes.items()
            for p in (MINE, *OTHERS[:3])
            if "probe" in kinds
        )
        return Moment(words, sights, probes, frozenset(kinds))


def probed(observer: str, site: str, prefix: Prefix, through: Fate, *led_to: str) -> Probed:
    return Probed(observer, site, prefix, through, "answered", led_to, mine=prefix == MINE)


def question(*, announce: bool, **changes: Any) -> GateQuestion:
    bgp = OBJECT if announce else msgspec.structs.replace(OBJECT, advertised=False)
    plain = GateQuestion(
        "r", "acme", 0, (CANARY,), (CONTROL,), Footprint(((MINE, bgp),), False), not announce, 0.0
    )
    return msgspec.structs.replace(plain, **changes)


def worlds(*, announce: bool) -> tuple[World, World]:
    """Before and after a change that does at the canary exactly what it was to do."""
    held, free = {MINE, *OTHERS}, set(OTHERS)
    if announce:
        return World({CANARY: free, CONTROL: free}), World({CANARY: held, CONTROL: free})
    # Withdrawing takes no binding away: probes through the site are still answered, and none arrives by BGP.
    before = World({CANARY: held, CONTROL: held})
    return before, World({CANARY: free, CONTROL: held}, serves={CANARY: held})


def asked(
    *, announce: bool, kinds: tuple[Kind, ...] = KINDS, after: World | None = None, now: float = LATE
) -> GateAnswer:
    before, then = worlds(announce=announce)
    return judge(
        question(announce=announce), Policy(), before.moment(kinds), (after or then).moment(kinds), now=now
    )


BOTH = pytest.mark.parametrize("announce", [True, False], ids=["additive", "subtractive"])


@BOTH
def test_a_change_that_does_what_it_was_to_do_passes_and_says_who_saw_it(announce: bool) -> None:
    answer = asked(announce=announce)
    assert answer.outcome == "pass", answer
    assert "3 of 3 kinds of observer agree (probe, rib, wire)" in answer.reason
    assert answer.evidence["site1 rib"].startswith("good")


@BOTH
def test_lost_unchanged_prefixes_fail_at_once(announce: bool) -> None:
    _, after = worlds(announce=announce)
    after.routes[CANARY].discard(OTHERS[0])
    answer = asked(announce=announce, after=after, now=0.0)
    assert answer.outcome == "fail", answer
    assert "1 of 20 unchanged ipv4 prefixes lost (198.18.0.0/24)" in answer.reason


def test_few_enough_lost_prefixes_are_said_and_pass() -> None:
    before, after = worlds(announce=True)
    after.routes[CANARY].discard(OTHERS[9])
    tolerant = Policy(gates=Gates(lost_share=0.05))
    answer = judge(question(announce=True), tolerant, before.moment(), after.moment(), now=LATE)
    assert answer.outcome == "pass", answer
    assert "1 of 20" in answer.evidence["site1 rib"] + answer.evidence["site1 wire"]


def test_what_other_changes_took_away_meanwhile_is_not_lost() -> None:
    before, after = worlds(announce=True)
    after.routes[CANARY].discard(OTHERS[9])
    gone = {CANARY: frozenset({OTHERS[9]})}
    answer = judge(question(announce=True), Policy(), before.moment(), after.moment(), now=LATE, gone=gone)
    assert answer.outcome == "pass", answer


@BOTH
def test_what_is_not_there_yet_is_inconclusive_first_and_a_failure_after_the_patience(announce: bool) -> None:
    before, after = worlds(announce=announce)
    stuck = World(before.routes)
    agents = after.moment().words  # the speakers have it, and nobody sees it
    for now, outcome in ((0.0, "inconclusive"), (14.9, "inconclusive"), (15.0, "fail")):
        seen = msgspec.structs.replace(stuck.moment(), words=agents)
        answer = judge(question(announce=announce), Policy(), before.moment(), seen, now=now)
        assert answer.outcome == outcome, (now, answer)


def test_a_withdrawal_that_still_carries_traffic_makes_observers_disagree() -> None:
    _, after = worlds(announce=False)
    answer = asked(announce=False, after=replace(after, carries={CANARY: {MINE}}))
    assert answer.outcome == "inconclusive", answer
    assert "192.0.2.0/24 still carries traffic to site1 from t-bird, t-frr, t-gobgp" in answer.reason


@pytest.mark.parametrize("asked_for", [True, False])
def test_a_withdrawal_that_nobody_asked_for_is_held_while_it_carries_traffic(asked_for: bool) -> None:
    before, _ = worlds(announce=False)
    asks = question(announce=False, unasked=() if asked_for else (MINE,))
    answer = baseline(asks, Policy(), before.moment())
    assert answer.outcome == ("pass" if asked_for else "fail"), answer
    idle = replace(before, carries={CANARY: set()})
    assert baseline(asks, Policy(), idle.moment()).outcome == "pass"


def test_a_canary_whose_own_baseline_fails_is_not_used() -> None:
    before, _ = worlds(announce=True)
    blind = before.moment()
    unseen = tuple(
        msgspec.structs.replace(s, holds={}) if s.site == CANARY and s.kind == "rib" else s
        for s in blind.sights
    )
    answer = baseline(question(announce=True), Policy(), msgspec.structs.replace(blind, sights=unseen))
    assert answer.outcome == "fail"
    assert "20 of 20 prefixes that it sends are not seen there by rib" in answer.reason
    dead = replace(before, serves={CANARY: set()})
    answer = baseline(question(announce=True), Policy(), dead.moment())
    assert answer.outcome == "fail"
    assert "do not answer through it already" in answer.reason


@pytest.mark.parametrize("fault", ["rib", "wire"])
def test_a_source_that_has_shrunk_is_an_error_and_one_that_is_away_is_no_data(fault: Kind) -> None:
    _, after = worlds(announce=False)
    before = worlds(announce=False)[0].moment()

    def seen(**changes: Any) -> GateAnswer:
        moment = after.moment()
        sights = tuple(msgspec.structs.replace(s, **changes) if s.kind == fault else s for s in moment.sights)
        now = msgspec.structs.replace(moment, sights=sights)
        return judge(question(announce=False), Policy(), before, now, now=LATE)

    empty = seen(holds={}, total=0)
    assert empty.outcome == "error"
    assert "has shrunk: 0 routes, 42 before" in empty.reason
    assert seen(state="garbled", why="t-bird answered nonsense").outcome == "error"
    away = seen(state="silent", why="the session is down", holds={}, total=0)
    assert away.outcome == "pass"  # two other kinds agree, and two are what the policy asks for
    assert "3 routers" in away.evidence[f"site1 {fault}"]


def test_a_disarmed_guard_against_shrinkage_takes_an_empty_answer_for_a_loss() -> None:
    before, after = worlds(announce=False)
    moment = after.moment(("rib",))
    sights = tuple(msgspec.structs.replace(s, holds={}, total=0) for s in moment.sights)
    now = msgspec.structs.replace(moment, sights=sights)
    for armed, outcome in ((True, "error"), (False, "inconclusive")):
        policy = Policy(guards=Guards(shrinkage=armed))
        answer = judge(question(announce=False), policy, before.moment(("rib",)), now, now=LATE)
        assert answer.outcome == outcome, answer  # inconclusive: the control lost all, too


def test_a_loss_that_the_control_suffers_as_well_is_not_put_down_to_the_wave() -> None:
    _, after = worlds(announce=True)
    for routes in after.routes.values():
        routes.discard(OTHERS[0])
    answer = asked(announce=True, after=after)
    assert answer.outcome == "inconclusive"
    assert "the control, which was not touched, suffers as well" in answer.reason


def test_a_control_that_loses_what_the_wave_changes_elsewhere_stops_it() -> None:
    _, after = worlds(announce=False)
    after.routes[CONTROL].discard(MINE)
    after.serves[CONTROL] = {MINE, *OTHERS}
    answer = asked(announce=False, after=after)
    assert answer.outcome == "inconclusive"
    assert "the control lost 192.0.2.0/24" in answer.reason


@pytest.mark.parametrize(
    ("word", "outcome", "says"),
    [
        (Word(CANARY, None, None, "no answer within 5 s"), "inconclusive", "no answer within 5 s"),
        (Word(CANARY, status(CANARY, fault="its journal is damaged"), {}), "error", "quarantined"),
        (Word(CANARY, status(CANARY, waiting=(Waiting(MINE, "1 of 2 live"),)), {}), "inconclusive", "1 of 2"),
        (Word(CANARY, status(CANARY, held=(HELD,)), {}), "inconclusive", "budget: 20 of 20 used"),
        (Word(CANARY, status(CANARY), None, "the speaker is down"), "inconclusive", "the speaker is down"),
        (Word(CANARY, status(CANARY), {MINE: PATH}), "fail", "192.0.2.0/24 is sent"),
    ],
)  # fmt: skip
def test_no_wave_passes_past_its_agents(word: Word, outcome: str, says: str) -> None:
    before, after = worlds(announce=False)
    moment = after.moment()
    words = tuple(word if w.site == CANARY else w for w in moment.words)
    now = msgspec.structs.replace(moment, words=words)
    answer = judge(question(announce=False), Policy(), before.moment(), now, now=LATE)
    assert answer.outcome == outcome, answer
    assert says in answer.reason


def test_a_wrong_path_is_not_the_route_that_was_asked_for() -> None:
    asks = question(announce=True)
    prepended = msgspec.structs.replace(OBJECT, prepends=2)
    asks = msgspec.structs.replace(asks, footprint=Footprint(((MINE, prepended),), False))
    before, after = worlds(announce=True)
    answer = judge(asks, Policy(), before.moment(), after.moment(), now=LATE)
    assert answer.outcome == "fail"
    assert "192.0.2.0/24 has AS path 64500" in answer.reason


def test_routers_that_hold_another_path_do_not_hold_the_route() -> None:
    """The speaker says that it prepends; the routers hold the path without."""
    prepended = msgspec.structs.replace(OBJECT, prepends=1)
    asks = question(announce=True, footprint=Footprint(((MINE, prepended),), False))
    before, after = worlds(announce=True)
    moment = after.moment()
    words = tuple(
        msgspec.structs.replace(w, sent={**(w.sent or {}), MINE: (64500, 64500)}) if w.site == CANARY else w
        for w in moment.words
    )
    now = msgspec.structs.replace(moment, words=words)
    answer = judge(asks, Policy(), before.moment(), now, now=LATE)
    assert answer.outcome == "fail", answer
    assert "192.0.2.0/24 at 0 of 3 routers" in answer.reason


@pytest.mark.parametrize(("away", "data"), [(1, True), (2, False)])
def test_a_minority_of_a_kinds_observers_does_not_speak_for_it(away: int, data: bool) -> None:
    before, after = worlds(announce=False)
    moment = after.moment()
    sights = tuple(
        msgspec.structs.replace(s, state="silent", holds={}, total=0)
        if s.kind == "rib" and s.observer in OBSERVERS[:away]
        else s
        for s in moment.sights
    )
    now = msgspec.structs.replace(moment, sights=sights)
    policy = Policy(gates=Gates(observers=3))
    answer = judge(question(announce=False), policy, before.moment(), now, now=LATE)
    assert answer.outcome == ("pass" if data else "inconclusive"), answer


def test_a_changed_account_that_answers_no_more_fails_where_others_do_answer() -> None:
    before, after = worlds(announce=True)
    mine = OTHERS[1]

    def own(moment: Moment) -> Moment:
        probes = tuple(msgspec.structs.replace(p, mine=p.prefix in (MINE, mine)) for p in moment.probes)
        return msgspec.structs.replace(moment, probes=probes)

    sick = replace(after, serves={CANARY: after.routes[CANARY] - {mine}})
    policy = Policy(gates=Gates(observers=1))
    answer = judge(question(announce=True), policy, own(before.moment()), own(sick.moment()), now=0.0)
    assert answer.outcome == "fail"
    assert "1 of them of the account that is changed" in answer.reason


# -- laws ------------------------------------------------------------------------------------------------


@st.composite
def moments(draw: st.DrawFn, announce: bool) -> Moment:
    """A moment in which each observer may be honest, lying, silent or garbled."""
    kinds = tuple(draw(st.lists(st.sampled_from(KINDS), unique=True)))
    honest = draw(st.sampled_from(worlds(announce=announce))).moment(kinds)
    sights, probes = len(honest.sights), len(honest.probes)
    faults = st.integers(0, 9)
    return damage(
        honest,
        draw(st.lists(faults, min_size=sights, max_size=sights)),
        draw(st.lists(faults, min_size=probes, max_size=probes)),
    )


def damage(moment: Moment, sights: list[int], probes: list[int]) -> Moment:
    told = {
        0: lambda s: msgspec.structs.replace(s, state="silent", holds={}, total=0, why="away"),
        1: lambda s: msgspec.structs.replace(s, state="garbled", holds={}, total=0, why="nonsense"),
        2: lambda s: msgspec.structs.replace(s, holds={}, total=0),
        3: lambda s: msgspec.structs.replace(s, holds={**s.holds, MINE: PATH}),
        4: lambda s: msgspec.structs.replace(s, holds={p: v for p, v in s.holds.items() if p != MINE}),
        5: lambda s: msgspec.structs.replace(s, holds={p: v for p, v in s.holds.items() if p != OTHERS[0]}),
    }
    tried = {
        0: lambda p: msgspec.structs.replace(p, through="unsent", led="unsent", led_to=()),
        1: lambda p: msgspec.structs.replace(p, through="timed-out"),
        2: lambda p: msgspec.structs.replace(p, led="looped", led_to=()),
        3: lambda p: msgspec.structs.replace(p, led_to=(p.site,)),
    }
    return msgspec.structs.replace(
        moment,
        sights=tuple(told.get(n, lambda s: s)(s) for s, n in zip(moment.sights, sights, strict=True)),
        probes=tuple(tried.get(n, lambda p: p)(p) for p, n in zip(moment.probes, probes, strict=True)),
    )


TIMES = st.sampled_from([0.0, 10.0, LATE])
POLICIES = st.builds(lambda k: Policy(gates=Gates(observers=k)), st.integers(1, 3))


def worse(draw: st.DrawFn, moment: Moment, *, announce: bool) -> Moment:
    """Return the moment with more bad evidence: from what was told, or instead of it."""
    sights, probes, words = list(moment.sights), list(moment.probes), list(moment.words)
    what = draw(st.sampled_from(["sight", "probe", "word"]))
    if what == "sight" and sights:
        at = draw(st.integers(0, len(sights) - 1))
        sight = sights[at]
        lost = draw(st.sampled_from([*OTHERS[:2], *([MINE] if announce or sight.site == CONTROL else [])]))
        holds = {p: v for p, v in sight.holds.items() if p != lost}
        if not announce and sight.site == CANARY and sight.state == "told" and draw(st.booleans()):
            holds[MINE] = PATH
        state = draw(st.sampled_from([sight.state, "garbled"]))
        sights[at] = msgspec.structs.replace(
            sight,
            holds=holds if state == "told" else {},
            total=len(holds) if state == "told" else 0,
            state=state,
        )
    elif what == "probe" and probes:
        at = draw(st.integers(0, len(probes) - 1))
        to = (probes[at].site,) if not announce else probes[at].led_to
        probes[at] = msgspec.structs.replace(
            probes[at], led_to=to, **({} if not announce else {"through": "timed-out"})
        )
    else:
        at = draw(st.integers(0, len(words) - 1))
        words[at] = msgspec.structs.replace(words[at], status=None, sent=None)
    return msgspec.structs.replace(moment, sights=tuple(sights), probes=tuple(probes), words=tuple(words))


@given(st.data(), POLICIES, TIMES)
def test_more_bad_evidence_never_makes_a_subtractive_wave_pass(
    data: st.DataObject, policy: Policy, now: float
) -> None:
    before = data.draw(moments(announce=False))
    after = data.draw(moments(announce=False))
    asks = question(announce=False)
    first = judge(asks, policy, before, after, now=now)
    second = judge(asks, policy, before, worse(data.draw, after, announce=False), now=now)
    if first.outcome != "pass":
        assert second.outcome != "pass", (first, second)


@given(st.data(), POLICIES, TIMES)
def test_nothing_that_is_told_less_of_passes_a_subtractive_wave(
    data: st.DataObject, policy: Policy, now: float
) -> None:
    """No data never passes: of the kinds that say good, at least k (or all that there are) remain."""
    before, after = data.draw(moments(announce=False)), data.draw(moments(announce=False))
    answer = judge(question(announce=False), policy, before, after, now=now)
    if answer.outcome == "pass":
        good = [k for k, why in answer.evidence.items() if k.startswith("site1 ") and why.startswith("good")]
        kinds = before.kinds | after.kinds
        assert kinds
        assert len(good) >= min(policy.gates.observers, len(kinds)), answer


@given(st.sampled_from([True, False]), POLICIES, TIMES, st.data())
def test_observers_may_stand_in_any_order(
    announce: bool, policy: Policy, now: float, data: st.DataObject
) -> None:
    before, after = data.draw(moments(announce=announce)), data.draw(moments(announce=announce))
    dice = random.Random(data.draw(st.integers()))

    def shuffled(moment: Moment) -> Moment:
        parts: dict[str, Any] = {}
        for name in ("words", "sights", "probes"):
            values = list(getattr(moment, name))
            dice.shuffle(values)
            parts[name] = tuple(values)
        return msgspec.structs.replace(moment, **parts)

    asks = question(announce=announce)
    plain = judge(asks, policy, before, after, now=now)
    assert judge(asks, policy, shuffled(before), shuffled(after), now=now).outcome == plain.outcome


@given(st.sets(st.sampled_from(KINDS)), st.integers(1, 3))
def test_k_of_n_kinds_must_agree_to_pass(lost: set[Kind], k: int) -> None:
    """With everything as asked, a subtractive wave passes if and only if k kinds can tell."""
    before, after = (w.moment() for w in worlds(announce=False))
    sights = tuple(
        msgspec.structs.replace(s, state="silent", holds={}, total=0) if s.kind in lost else s
        for s in after.sights
    )
    probes = tuple(
        msgspec.structs.replace(p, through="unsent", led="unsent", led_to=()) if "probe" in lost else p
        for p in after.probes
    )
    now = msgspec.structs.replace(after, sights=sights, probes=probes)
    answer = judge(question(announce=False), Policy(gates=Gates(observers=k)), before, now, now=LATE)
    assert answer.outcome == ("pass" if len(KINDS) - len(lost) >= k else "inconclusive"), answer


@given(st.sets(st.sampled_from(KINDS)), st.integers(1, 3))
def test_k_of_n_kinds_must_agree_to_fail(liars: set[Kind], k: int) -> None:
    """Kinds that see a loss: k of them make a failure, fewer only stop the wave, none lets it pass."""
    before, after = (w.moment() for w in worlds(announce=True))
    lies = worlds(announce=True)[1]
    lies.routes[CANARY].difference_update(OTHERS[:3])
    lied = replace(lies, serves={CANARY: lies.routes[CANARY], CONTROL: set(OTHERS)}).moment()
    now = msgspec.structs.replace(
        after,
        sights=tuple(b if b.kind in liars else a for a, b in zip(after.sights, lied.sights, strict=True)),
        probes=lied.probes if "probe" in liars else after.probes,
    )
    answer = judge(question(announce=True), Policy(gates=Gates(observers=k)), before, now, now=LATE)
    wanted = "pass" if not liars else "fail" if len(liars) >= k else "inconclusive"
    assert answer.outcome == wanted, answer


@given(st.integers(1, 3), st.booleans())
def test_additive_restoration_goes_on_by_its_agents_when_nobody_can_look(k: int, kinds: bool) -> None:
    before, after = worlds(announce=True)
    now = after.moment(())
    if kinds:
        now = msgspec.structs.replace(now, kinds=frozenset(KINDS))
    answer = judge(
        question(announce=True), Policy(gates=Gates(observers=k)), before.moment(()), now, now=LATE
    )
    assert answer.outcome == "pass"
    assert "goes on by its machines' acknowledgements and Adj-RIB-Out" in answer.reason
    nobody = worlds(announce=False)[1].moment(())
    down = judge(question(announce=False), Policy(gates=Gates(observers=k)), None, nobody, now=LATE)
    assert down.outcome == "inconclusive"


@given(st.data(), POLICIES, TIMES)
def test_nothing_subtractive_passes_without_a_baseline(
    data: st.DataObject, policy: Policy, now: float
) -> None:
    after = data.draw(moments(announce=False))
    assert judge(question(announce=False), policy, None, after, now=now).outcome != "pass"
