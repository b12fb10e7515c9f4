"""A delete in two steps: the first takes no binding, the second no route, and together they are the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rollout.two_steps import in_two_steps
from controller.safety.effects import effects
from controller.snapshots.compile import CompileError, apply
from controller.snapshots.model import ChangeSet
from tests.properties.test_rebase_laws import SETS, built


@given(st.lists(SETS, max_size=3), SETS)
def test_routes_go_first_and_bindings_after(before: list[ChangeSet], change: ChangeSet) -> None:
    old = built(before)
    try:
        whole = apply(old, change)
    except CompileError:
        with pytest.raises(CompileError):
            in_two_steps(old, change, "second")
        return
    halves = in_two_steps(old, change, "second")
    verbs = {e.verb for e in effects(old, whole, ["s"])}
    if halves is None:
        return
    assert {"withdraw", "unbind"} <= verbs
    first, second = halves
    assert (first.id, second.id, second.after) == (change.id, "second", change.id)
    withdrawn = apply(old, first)
    assert "unbind" not in {e.verb for e in effects(old, withdrawn, ["s"])}
    assert "withdraw" not in {e.verb for e in effects(withdrawn, whole, ["s"])}
    assert apply(withdrawn, second) == whole


@given(st.lists(SETS, max_size=3), SETS)
def test_what_withdraws_and_unbinds_is_always_two(before: list[ChangeSet], change: ChangeSet) -> None:
    old = built(before)
    try:
        verbs = {e.verb for e in effects(old, apply(old, change), ["s"])}
    except CompileError:
        return
    assert (in_two_steps(old, change, "second") is not None) == ({"withdraw", "unbind"} <= verbs)
