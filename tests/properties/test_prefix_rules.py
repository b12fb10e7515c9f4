"""Laws of the prefix rules, by Hypothesis: against :mod:`ipaddress` and against themselves."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.addressing.errors import Kind, Refusal
from controller.addressing.policy import AddressPolicy
from controller.addressing.rules import (
    announceable,
    bounds,
    canonical,
    free_of,
    may_bind,
    may_unbind,
    starts_around,
    within,
)
from controller.addressing.strict import check_query, parse_json
from controller.bgp import Prefix, covers
from controller.cli.scope import Wanted, announcing, withdrawing


def networks(longest4: int = 32, longest6: int = 128):
    def of(version: int, width: int, longest: int):
        return st.builds(
            lambda address, length: ipaddress.ip_network(
                (ipaddress.ip_address(address.to_bytes(width // 8, "big")), length), strict=False
            ),
            st.integers(0, 2**width - 1),
            st.integers(0, longest),
        )

    return st.one_of(of(4, 32, longest4), of(6, 128, longest6))


def near(network):
    """A network that often overlaps the given one: around it, in it, or beside it."""
    width = network.max_prefixlen

    def move(length: int, offset: int):
        address = (int(network.network_address) + offset) % 2**width
        return type(network)((address, length), strict=False)

    return st.builds(move, st.integers(0, width), st.integers(-(2**16), 2**16))


@given(networks())
def test_canonical_takes_the_canonical_text_and_nothing_else(network) -> None:
    text = str(network)
    if network.prefixlen == 0:
        with pytest.raises(Refusal):
            canonical(text, "/cidr")
        return
    assert canonical(text, "/cidr") == text
    for other in (text.upper(), f" {text}", f"{text} ", text.replace("/", "/0"), network.exploded):
        if other != text:
            with pytest.raises(Refusal) as refusal:
                canonical(other, "/cidr")
            assert refusal.value.kind is Kind.INVALID_PREFIX and refusal.value.pointer == "/cidr"


@given(st.text(max_size=60))
def test_any_text_is_a_prefix_or_a_refusal_of_one_line(text: str) -> None:
    try:
        assert announceable(text, AddressPolicy(), "/cidr") == text
    except Refusal as refusal:
        assert "\n" not in str(refusal)


@given(networks())
def test_what_may_be_announced_is_as_long_as_the_internet_carries(network) -> None:
    longest, shortest = (24, 8) if network.version == 4 else (48, 16)
    try:
        announceable(str(network), AddressPolicy(), "/cidr")
    except Refusal:
        special = network.is_loopback or network.is_multicast or network.is_link_local or network.is_reserved
        unspecified = int(network.network_address) >> (24 if network.version == 4 else 120) == 0
        assert not shortest <= network.prefixlen <= longest or special or unspecified
    else:
        assert shortest <= network.prefixlen <= longest
        assert not network.is_multicast


@given(networks(24, 48))
def test_the_strict_policy_only_takes_away(network) -> None:
    strict = AddressPolicy(allow_special=False)
    try:
        announceable(str(network), strict, "/cidr")
    except Refusal:
        return
    assert announceable(str(network), AddressPolicy(), "/cidr") == str(network)
    assert not network.is_private


@given(networks().flatmap(lambda n: st.tuples(st.just(n), st.one_of(networks(), near(n)))))
def test_bounds_meet_exactly_when_prefixes_overlap(pair) -> None:
    a, b = pair
    (low_a, high_a), (low_b, high_b) = bounds(Prefix(str(a))), bounds(Prefix(str(b)))
    wide = {a.version, b.version} == {4, 6} and min(a.prefixlen, b.prefixlen) < 96
    if not wide:  # an IPv6 prefix around ::ffff:0:0 is refused before (::/8 is never onboarded)
        assert (low_a <= high_b and low_b <= high_a) == (a.version == b.version and a.overlaps(b))
        # The way in which overlaps are looked up: what starts in it, or around it and ends after it.
        around = low_b in starts_around(Prefix(str(a))) and high_b >= high_a
        assert (low_a <= low_b <= high_a or around) == (a.version == b.version and a.overlaps(b))
    assert len(low_a) == len(high_a) == 16 and low_a <= high_a


@given(networks().flatmap(lambda n: st.tuples(st.just(n), near(n))))
def test_within_agrees_with_covers(pair) -> None:
    outer, inner = (Prefix(str(n)) for n in pair)
    if covers(outer, inner):
        within(inner, outer, "/cidr")
    else:
        with pytest.raises(Refusal):
            within(inner, outer, "/cidr")


@given(networks(), st.lists(st.tuples(st.sampled_from(["mine", "theirs"]), networks()), max_size=4))
def test_a_prefix_is_free_unless_somebody_else_has_some_of_it(network, others) -> None:
    prefix = Prefix(str(network))
    found = [
        (owner, Prefix(str(n))) for owner, n in others if n.version == network.version and n.overlaps(network)
    ]
    taken = any(owner != "mine" or other == prefix for owner, other in found)
    if taken:
        with pytest.raises(Refusal):
            free_of(prefix, "mine", found, "/cidr")
    else:
        free_of(prefix, "mine", found, "/cidr")


WHOLE = Prefix("198.18.0.0/22")
PARTS = [WHOLE, Prefix("198.18.0.0/24"), Prefix("198.18.1.0/24"), Prefix("198.18.1.128/25")]


@given(
    st.lists(
        st.tuples(st.sampled_from(["bind", "unbind", "up", "down"]), st.sampled_from(PARTS)), max_size=30
    )
)
def test_no_order_of_bindings_leaves_an_advertised_prefix_or_a_part_without_its_ground(steps) -> None:
    bound: list[Prefix] = []
    up: list[Prefix] = []
    for verb, cidr in steps:
        try:
            if verb == "bind":
                may_bind(cidr, WHOLE, "CDN", bound)
                bound.append(cidr)
            elif verb == "unbind" and cidr in bound:
                may_unbind(cidr, WHOLE, bound, up)
                bound.remove(cidr)
            elif verb == "up" and cidr not in up and any(covers(b, cidr) for b in bound):
                up.append(cidr)
            elif verb == "down" and cidr in up:
                up.remove(cidr)
        except Refusal:
            pass
        assert not bound or WHOLE in bound
        assert all(any(covers(b, p) for b in bound) for p in up)


NAMES = st.sampled_from(["a", "b", "c"])


@given(
    st.dictionaries(NAMES, st.text(max_size=3), max_size=3),
    st.frozensets(NAMES, max_size=3),
    st.lists(NAMES, max_size=2),
)
def test_a_query_passes_only_if_all_of_it_is_declared_given_once_and_not_empty(
    given_, declared, again
) -> None:
    from urllib.parse import urlencode

    pairs = [*given_.items(), *((name, "x") for name in again)]
    names = [n for n, _ in pairs]
    good = set(names) <= declared and len(set(names)) == len(names) and all(v for _, v in pairs)
    try:
        check_query(urlencode(pairs).encode(), declared)
    except Refusal as refusal:
        assert not good and refusal.kind.status == 400
    else:
        assert good


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_a_refusal(body: bytes) -> None:
    try:
        parse_json(body)
    except Refusal as refusal:
        assert refusal.kind is Kind.MALFORMED_BODY


KNOWN = ["s1", "s2", "s3"]
WANTED = st.one_of(
    st.just(Wanted(False)),
    st.just(Wanted(True)),
    st.builds(lambda s: Wanted(True, tuple(sorted(s))), st.sets(st.sampled_from(KNOWN), min_size=1)),
)


@given(WANTED, st.lists(st.sampled_from(KNOWN), max_size=3, unique=True))
def test_sites_are_added_and_taken_and_no_others(now: Wanted, named: list[str]) -> None:
    before = now.at(KNOWN)
    assert announcing(now, named).at(KNOWN) == (before | set(named) if named else set(KNOWN))
    after = withdrawing(now, named, KNOWN)
    assert after.at(KNOWN) == (before - set(named) if named else set())
    assert after.advertised == bool(after.at(KNOWN))
