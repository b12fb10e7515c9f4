"""Effects by site: exactly what the sites' states differ in, whatever the change was called."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.safety.effects import effects, subtractive
from controller.snapshots.model import Chunk
from controller.snapshots.projection import project
from tests.properties.test_snapshot_laws import HISTORIES, run

SITES = ("site1", "site2")
OURS = 64500


CHUNKS = st.one_of(st.none(), HISTORIES.map(lambda history: run(history)[-1]))
"""An account's operational chunk after a history of changes; None: it never had one."""


@given(CHUNKS, CHUNKS)
def test_effects_are_what_the_projections_of_the_sites_differ_in(
    old: Chunk | None, new: Chunk | None
) -> None:
    found = effects(old, new, SITES)
    for site in SITES:
        before = project({} if old is None else {"acme": old}, site, OURS)
        after = project({} if new is None else {"acme": new}, site, OURS)
        mine = [e for e in found if e.site == site]
        was, is_ = {r.prefix: r for r in before.routes}, {r.prefix: r for r in after.routes}
        assert {e.cidr for e in mine if e.verb == "announce"} == is_.keys() - was.keys()
        assert {e.cidr for e in mine if e.verb == "withdraw"} == was.keys() - is_.keys()
        changed = {p for p in was.keys() & is_.keys() if was[p] != is_[p]}
        assert {e.cidr for e in mine if e.verb in ("reorigin", "more-prepend", "less-prepend")} == changed
        longer = {p for p in changed if was[p].as_path.count(OURS) < is_[p].as_path.count(OURS)}
        assert {e.cidr for e in mine if e.verb == "more-prepend"} == longer
        bound, unbound = after.bindings - before.bindings, before.bindings - after.bindings
        assert {e.cidr for e in mine if e.verb == "bind"} == {b.cidr for b in bound}
        assert {e.cidr for e in mine if e.verb == "unbind"} == {b.cidr for b in unbound}


@given(CHUNKS)
def test_nothing_changes_nothing_and_what_only_adds_is_not_subtractive(chunk: Chunk | None) -> None:
    assert effects(chunk, chunk, SITES) == ()
    assert subtractive(effects(None, chunk, SITES)) == ()
    gone = effects(chunk, None, SITES)
    assert subtractive(gone) == gone
