"""Laws of going back to a snapshot, over random pairs of chunks, bars and locks (SAFETY.md, 5 and 8)."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix, covers
from controller.safety.effects import effects, subtractive
from controller.snapshots.compile import apply, validate
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    Chunk,
    ChunkHash,
    PrefixObject,
    encode_chunk,
    hash_chunk,
)
from controller.snapshots.objects import objects_of
from controller.snapshots.rollback import AccountPlan, Bar, Limits, plan, plan_account

SITES = ("site1", "site2", "site3")
WHOLE = (Prefix("192.0.2.0/23"), Prefix("198.18.0.0/22"), Prefix("2001:db8:1000::/47"))
PARTS = {
    WHOLE[0]: ("192.0.2.0/23", "192.0.2.0/24", "192.0.3.0/24"),
    WHOLE[1]: ("198.18.0.0/22", "198.18.0.0/24", "198.18.1.0/24"),
    WHOLE[2]: ("2001:db8:1000::/47", "2001:db8:1000::/48"),
}
SOME_SITES = st.sampled_from([None, (), ("site1",), ("site2",), ("site1", "site3"), ("gone",)])


@st.composite
def chunks(draw: st.DrawFn) -> Chunk | None:
    """A valid chunk, or None. Ids are few, so that two of them share objects, places, and neither."""
    prefixes, bindings, routes = [], [], []
    for number, whole in enumerate(WHOLE):
        if not draw(st.booleans()):
            continue
        id_ = f"p{number}{draw(st.sampled_from('ab'))}"  # the same, or onboarded anew
        prefixes.append(PrefixObject(id_, whole, draw(st.sampled_from([None, 64511]))))
        for cidr in PARTS[whole]:
            part = Prefix(cidr)
            if draw(st.booleans()):
                name = f"{id_}b{cidr}{draw(st.sampled_from('xy'))}"
                bindings.append(BindingObject(name, id_, part, draw(st.sampled_from(["cdn", "spectrum"]))))
            if draw(st.booleans()):
                bound = any(covers(b.cidr, part) or covers(part, b.cidr) for b in bindings)
                routes.append(
                    BgpPrefixObject(
                        f"{id_}g{cidr}{draw(st.sampled_from('xy'))}", id_, part,
                        draw(st.sampled_from([None, 64511])), bound and draw(st.booleans()),
                        draw(SOME_SITES), draw(st.integers(0, 3)),
                    )
                )  # fmt: skip
    if not prefixes:
        return None
    found = Chunk("acme", tuple(prefixes), tuple(routes), tuple(bindings))
    validate(found)
    return found


BARS = st.lists(
    st.sampled_from([*(p for parts in PARTS.values() for p in parts), "198.18.0.0/23", "192.0.0.0/16"]),
    max_size=2,
    unique=True,
).map(lambda cidrs: [Bar(Prefix(c), "revoked") for c in cidrs])
LOCKS = st.sets(st.sampled_from([f"p{n}{c}" for n in range(3) for c in "ab"]), max_size=2)


def carried_out(chunk: Chunk | None, changes: tuple[Change, ...]) -> Chunk:
    """Return ``chunk`` as compiling a change-set of ``changes`` leaves it: valid, or an error."""
    return apply(chunk, ChangeSet("cs", "acme", "operator:o", "", "2026-02-20T00:00:00Z", changes))


def same(a: Chunk, b: Chunk) -> bool:
    return encode_chunk(a) == encode_chunk(b)


def both_halves(now: Chunk | None, found: AccountPlan) -> Chunk:
    between = carried_out(now, found.additive)
    assert same(between, found.between)
    return carried_out(between, found.subtractive)


@given(chunks(), chunks())
def test_additive_then_subtractive_is_the_snapshot(now: Chunk | None, then: Chunk | None) -> None:
    found = plan_account("acme", now, then, SITES)
    assert same(both_halves(now, found), then or Chunk("acme"))
    assert found.skipped == ()


@given(chunks(), chunks(), BARS, LOCKS)
def test_the_additive_half_takes_nothing_away_anywhere(
    now: Chunk | None, then: Chunk | None, bars: list[Bar], locked: set[str]
) -> None:
    found = plan_account("acme", now, then, SITES, Limits(bars, locked))
    assert subtractive(effects(now, carried_out(now, found.additive), SITES)) == ()


@given(chunks(), chunks())
def test_the_additive_half_brings_back_every_route_that_can_be(now: Chunk | None, then: Chunk | None) -> None:
    """What the snapshot announced and nobody announces now is announced again before anything is taken."""
    found = plan_account("acme", now, then, SITES)
    for site in SITES:
        before, between, after = (announced(c, site) for c in (now, found.between, then))
        assert before <= between
        if not anew(now, then):
            assert after <= between


def anew(now: Chunk | None, then: Chunk | None) -> bool:
    """Whether an object stands now where the snapshot had another, which cannot always be put beside it."""
    mine = {(k, o.cidr): i for (k, i), o in objects_of(now).items()}
    return any(mine.get((k, o.cidr), i) != i for (k, i), o in objects_of(then).items())


def announced(chunk: Chunk | None, site: str) -> set[Prefix]:
    routes = () if chunk is None else chunk.bgp_prefixes
    return {b.cidr for b in routes if b.advertised and (b.sites is None or site in b.sites)}


@given(chunks(), chunks(), BARS)
def test_what_was_revoked_does_not_come_back_and_is_listed(
    now: Chunk | None, then: Chunk | None, bars: list[Bar]
) -> None:
    found = plan_account("acme", now, then, SITES, Limits(bars))
    end = both_halves(now, found)
    assert same(end, found.target)
    for site in SITES:
        for cidr in announced(end, site) - announced(now, site):
            assert not any(covers(b.cidr, cidr) or covers(cidr, b.cidr) for b in bars), cidr
    listed = {(s.kind, s.id) for s in found.skipped}
    before, wanted = objects_of(now), objects_of(then)
    for key, thing in objects_of(end).items():
        if key not in before:
            assert not any(covers(b.cidr, thing.cidr) for b in bars)
        assert thing in (wanted.get(key), before.get(key))
    missing = {k for k, o in wanted.items() if objects_of(end).get(k) != o}
    assert missing == listed, "what is not as the snapshot had it is listed, and nothing else"


@given(chunks(), chunks(), LOCKS)
def test_nothing_is_taken_from_a_locked_prefix(
    now: Chunk | None, then: Chunk | None, locked: set[str]
) -> None:
    found = plan_account("acme", now, then, SITES, Limits((), locked))
    end = objects_of(both_halves(now, found))
    for key, thing in objects_of(now).items():
        parent = thing.id if isinstance(thing, PrefixObject) else thing.prefix_id
        if parent in locked:
            assert key in end
    if now is not None:
        lost = subtractive(effects(now, found.target, SITES))
        kept = {b.cidr for b in now.bgp_prefixes if b.prefix_id in locked}
        assert not any(e.cidr in kept and e.verb != "unbind" for e in lost)


@given(chunks(), BARS, LOCKS)
def test_equal_chunks_give_nothing(now: Chunk | None, bars: list[Bar], locked: set[str]) -> None:
    assert plan_account("acme", now, now, SITES, Limits(bars, locked)).is_empty


@given(chunks(), chunks(), BARS, LOCKS)
def test_what_was_carried_out_leaves_nothing_to_do(
    now: Chunk | None, then: Chunk | None, bars: list[Bar], locked: set[str]
) -> None:
    end = both_halves(now, plan_account("acme", now, then, SITES, Limits(bars, locked)))
    again = plan_account("acme", end, then, SITES, Limits(bars, locked))
    assert (again.additive, again.subtractive) == ((), ())


ACCOUNTS = ("acme", "globex", "initech", "umbrella")


@given(
    st.dictionaries(st.sampled_from(ACCOUNTS), chunks()),
    st.dictionaries(st.sampled_from(ACCOUNTS), chunks()),
    st.sets(st.sampled_from(ACCOUNTS)) | st.none(),
)
def test_only_accounts_that_differ_and_are_asked_for_are_looked_at(
    now: dict[str, Chunk | None], then: dict[str, Chunk | None], asked: set[str] | None
) -> None:
    looked: list[ChunkHash] = []

    class Chunks(dict[ChunkHash, Chunk]):
        def __getitem__(self, key: ChunkHash) -> Chunk:
            looked.append(key)
            return super().__getitem__(key)

    chunks_ = Chunks()
    trees = [tree(side, chunks_) for side in (now, then)]
    found = plan(trees[0], trees[1], chunks_, SITES, {}, accounts=asked)
    differ = {a for a in ACCOUNTS if trees[0].get(a) != trees[1].get(a)}
    assert [p.account_id for p in found] == sorted(differ if asked is None else differ & asked)
    assert len(looked) <= 2 * len(found)


def tree(side: dict[str, Chunk | None], chunks_: dict[ChunkHash, Chunk]) -> dict[str, ChunkHash]:
    named: dict[str, ChunkHash] = {}
    for account, chunk in side.items():
        if chunk is not None:
            body = encode_chunk(chunk)
            named[account] = hash_chunk(body)
            dict.__setitem__(chunks_, named[account], chunk)
    return named


def test_a_route_that_lost_sites_and_got_prepends_gets_back_all_that_can_be_added() -> None:
    def having(sites: tuple[str, ...] | None, prepends: int) -> Chunk:
        whole = WHOLE[0]
        route = BgpPrefixObject("g", "p", whole, None, advertised=True, sites=sites, prepends=prepends)
        return Chunk("acme", (PrefixObject("p", whole, None),), (route,), (binding(whole),))

    found = plan_account("acme", having(("site1",), 2), having(("site2",), 0), SITES)
    assert found.between.bgp_prefixes == having(("site1", "site2"), 0).bgp_prefixes
    assert [e.verb for e in effects(having(("site1",), 2), found.between, SITES)] == [
        "less-prepend",
        "announce",
    ]


def binding(cidr: Prefix) -> BindingObject:
    return BindingObject("b", "p", cidr, "cdn")


def test_a_stripped_and_deleted_prefix_comes_back_whole_at_once() -> None:
    """The outage's third class: withdrawn, and without its bindings."""
    whole = WHOLE[0]
    then = Chunk(
        "acme",
        (PrefixObject("p", whole, None),),
        (BgpPrefixObject("g", "p", whole, None, advertised=True),),
        (binding(whole),),
    )
    found = plan_account("acme", Chunk("acme"), then, SITES)
    assert same(found.between, then)
    assert found.subtractive == ()
    kinds: Sequence[str] = [s.kind for s in found.back]
    assert kinds == ["prefix", "binding", "bgp_prefix"], "what a route stands on comes before it"
