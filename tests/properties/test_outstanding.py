"""What was let go and is not carried out: nothing more goes meanwhile; what goes late counts late (I1)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.agent.outstanding import LATE_S, charged_anew, still_out, why_busy
from controller.bgp import Prefix
from controller.safety.budget import Budget, Limit, Reading

PREFIXES = [Prefix(f"192.0.2.{16 * n}/28") for n in range(4)]
SOME = st.frozensets(st.sampled_from(PREFIXES))
LIMITS = (Limit(60, 2),)


@given(going=SOME, reach=st.none() | SOME, desired=SOME)
def test_only_what_is_out_there_and_not_wanted_again_holds_others_up(
    going: frozenset[Prefix], reach: frozenset[Prefix] | None, desired: frozenset[Prefix]
) -> None:
    out = still_out(going, reach, desired)
    assert out <= going - desired and (reach is None or out <= reach)
    assert bool(why_busy(out, reach)) == (reach is None or bool(out))


@given(since=st.dictionaries(st.sampled_from(PREFIXES), st.floats(0, 100)), out=SOME, now=st.floats(100, 200))
def test_what_was_carried_out_late_is_charged_for_the_window_in_which_it_went(
    since: dict[Prefix, float], out: frozenset[Prefix], now: float
) -> None:
    budget = Budget(0.0, "b", 0.0).at(Reading("b", now))
    record = charged_anew(since, out, name="ordinary", budget=budget, now=Reading("b", now), limits=LIMITS)
    late = {p for p, at in since.items() if p not in out and now - at > LATE_S}
    assert set(() if record is None else record.charges["ordinary"].prefixes) == late
    if record is not None:
        assert (record.routes, record.bindings) == ((), ())
        assert record.charges["ordinary"].passed_s == now
