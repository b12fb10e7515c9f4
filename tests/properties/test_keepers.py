"""Keepers: everybody finds the same ones, and few prefixes move when sites come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.safety.keepers import is_keeper, keepers

PREFIXES = [Prefix(f"198.18.{n}.0/24") for n in range(200)]
sites = st.lists(st.sampled_from([f"site-{n}" for n in range(12)]), unique=True, max_size=12)


@given(sites, st.sampled_from(PREFIXES), st.integers(0, 5), st.randoms())
def test_the_order_of_sites_is_of_no_matter(names: list[str], prefix: Prefix, k: int, draw: object) -> None:
    found = keepers(prefix, names, k)
    assert found == keepers(prefix, sorted(names, reverse=True), k) == keepers(prefix, set(names), k)
    assert len(found) == len(set(found)) == min(k, len(names))
    assert {n for n in names if is_keeper(n, prefix, names, k)} == set(found)


@given(sites, st.sampled_from(PREFIXES), st.integers(1, 4), st.text("abc", min_size=1, max_size=3))
def test_a_site_that_joins_replaces_one_keeper_at_most(
    names: list[str], prefix: Prefix, k: int, new: str
) -> None:
    before, after = keepers(prefix, names, k), keepers(prefix, [*names, new], k)
    assert len(set(before) - set(after)) <= 1
    assert set(after) - set(before) <= {new}


@given(sites.filter(bool), st.sampled_from(PREFIXES), st.integers(1, 4))
def test_a_site_that_leaves_moves_only_what_it_kept(names: list[str], prefix: Prefix, k: int) -> None:
    before = keepers(prefix, names, k)
    for gone in set(names) - set(before):
        assert keepers(prefix, [n for n in names if n != gone], k) == before
    for gone in before:
        assert set(before) - {gone} <= set(keepers(prefix, [n for n in names if n != gone], k))


def test_prefixes_spread_over_the_sites_and_never_change_with_a_release() -> None:
    names = [f"site-{n}" for n in range(10)]
    kept = {n: sum(is_keeper(n, p, names, 2) for p in PREFIXES) for n in names}
    assert min(kept.values()) > 20 and max(kept.values()) < 60, kept
    # Agents of two releases must agree: the scheme is part of what they exchange.
    assert keepers(PREFIXES[0], names, 2) == ("site-9", "site-8")
