"""How services of changed accounts fare: no data says nothing, and what ails others speaks for changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.observe.evidence import Fate, Probed
from controller.rollout.faring import PROBED, Faring, chosen
from controller.safety.breaker import Exceeded
from controller.safety.policy import Policy
from controller.safety.windows import Entry, Ledger

CHANGED = [Prefix(f"10.0.{n}.0/24") for n in range(4)]
OTHERS = [Prefix(f"10.1.{n}.0/24") for n in range(4)]
WHOSE = {p: str(p) for p in (*CHANGED, *OTHERS)}
POLICY = Policy()
LEDGER = Ledger(POLICY, [Entry(0.0, "task:t", str(p), "unbind", p, ("s1",), owned=False) for p in CHANGED])

fates: st.SearchStrategy[Fate] = st.sampled_from(["answered", "timed-out", "unreachable", "looped", "unsent"])
looks = st.fixed_dictionaries({(o, p): fates for o in ("t1", "t2") for p in WHOSE})


def probed(look: dict[tuple[str, Prefix], Fate]) -> list[Probed]:
    return [Probed(o, s, p, "answered", fate) for (o, p), fate in look.items() for s in ("s1", "s2")]


def seen(*looks: dict[tuple[str, Prefix], Fate]) -> Exceeded | None:
    """Return what the last look opens."""
    state, signal = Faring(), None
    changed = frozenset(map(str, CHANGED))
    for look in looks:
        state, signal = state.looked(probed(look), WHOSE, changed, LEDGER, policy=POLICY, now=1.0)
    return signal


@given(looks, looks)
def test_it_takes_two_looks_and_at_least_as_many_that_fail(first: dict, second: dict) -> None:
    assert seen(first) is None
    signal = seen(first, second)
    if signal is not None:
        assert (signal.check, signal.scope) == ("health", "actor:task:t")
        assert len(signal.accounts) >= POLICY.signals.health_least
        answered = {p for (_, p), fate in second.items() if fate == "answered"}
        assert set(signal.accounts) <= {str(p) for p in CHANGED}
        assert any(p not in answered for p in CHANGED)


@given(looks, looks, st.sampled_from(OTHERS))
def test_what_fails_of_the_others_too_never_opens_more(first: dict, second: dict, other: Prefix) -> None:
    worse = {**second, **{(o, other): "timed-out" for o in ("t1", "t2")}}
    if seen(first, second) is None and all(second[o, other] != "unsent" for o in ("t1", "t2")):
        assert seen(first, worse) is None or not _telling(second) <= _telling(worse)


def _telling(look: dict[tuple[str, Prefix], Fate]) -> set[str]:
    return {o for (o, _), fate in look.items() if fate == "answered"}


@given(looks)
def test_probes_that_reach_nobody_are_no_data(look: dict) -> None:
    lost = {key: "timed-out" if fate == "answered" else fate for key, fate in look.items()}
    assert seen(lost, lost) is None


@given(st.sets(st.sampled_from([*CHANGED, *OTHERS])), st.integers(0, 40))
def test_a_few_of_each_are_probed_and_none_when_nobody_took_anything(some: set[Prefix], many: int) -> None:
    more = [Prefix(f"10.2.{n}.0/24") for n in range(many)]
    assert chosen(Ledger(POLICY), {*some, *more}, 1.0).prefixes == ()
    found = chosen(LEDGER, {*some, *more}, 1.0)
    assert set(CHANGED) <= set(found.prefixes)
    assert len(found.prefixes) - len(CHANGED) == min(PROBED, len({*some, *more} - set(CHANGED)))
    assert chosen(LEDGER, some, 3601.0).prefixes == (), "of long ago"
